# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of pmdb in CI share."""
import json, os, subprocess, sys

B, TOP, WORK = os.environ["B"], os.environ["TOP"], os.environ["WORK"]
PMDB = os.path.join(B, "pmdb")
_count = 0


def plan(n):
    print("1..%d" % n, flush=True)


def ok(good, name, why=""):
    global _count
    _count += 1
    print("%sok %d - %s" % ("" if good else "not ", _count, name))
    if not good:
        for line in str(why).splitlines()[:25]:
            print("#   " + line)
    sys.stdout.flush()
    return good


def run(*argv, **kw):
    kw.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([str(a) for a in argv], capture_output=True, text=True,
                          timeout=120, errors="replace", **kw)


def check(*args, **kw):
    """pmdb check -> (status, stdout, stderr)"""
    p = run(PMDB, "check", *args, **kw)
    return p.returncode, p.stdout, p.stderr


def verdict(*args):
    """pmdb check of one dump as JSON -> (status, object)"""
    rc, out, err = check("--format", "json", *args)
    return rc, json.loads(out)


def write(name, text):
    path = os.path.join(WORK, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    return path


def dump(argv, name):
    """Runs a program under libkmem -> its dump."""
    path = os.path.join(WORK, name + ".core")
    run(PMDB, "run", "-o", path, "--", *argv)
    return path


def fixture(name, args=()):
    return dump([B + "/fixtures/" + name, *args], name)


def compile_c(out, *args, cc="gcc"):
    subprocess.run([cc, "-g", "-o", out, *args], check=True, cwd=WORK)
    return os.path.join(WORK, out)
