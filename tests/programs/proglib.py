# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a real program plainly, under "pmdb run" and with the library preloaded
but not debugging, and compares everything it does; then asks for a verdict on
every dump."""
import filecmp, os, shutil, subprocess, sys, time

B = os.environ["B"]
WORK = os.environ["WORK"]
PMDB = os.path.join(B, "pmdb")
PRELOAD = os.path.join(B, "libkmem_preload.so")
CHECK_SECONDS = 60  # a verdict takes no longer
CHECKS = 5  # what same() prints

_count = 0


def plan(n):
    print("1..%d" % n, flush=True)


def ok(good, name, why=""):
    global _count
    _count += 1
    print("%sok %d - %s" % ("" if good else "not ", _count, name))
    if not good:
        for line in str(why).splitlines()[:30]:
            print("#   " + line)
    sys.stdout.flush()
    return good


def tree(top, ignore):
    """path -> contents of every file below top"""
    files = {}
    for dir_, dirs, names in os.walk(top):
        dirs[:] = [d for d in dirs if d not in ignore]
        for n in names:
            path = os.path.join(dir_, n)
            key = os.path.relpath(path, top)
            if n in ignore:
                continue
            with open(path, "rb") as f:
                files[key] = f.read()
    return files


class Result:
    def __init__(self, rc, out, err, files):
        self.rc, self.out, self.err, self.files = rc, out, err, files

    def difference(self, other):
        text = ""
        if self.rc != other.rc:
            text += "status %d, should be %d\n" % (other.rc, self.rc)
        for what in ("out", "err"):
            a, b = getattr(self, what), getattr(other, what)
            if a != b:
                text += "std%s differs: %r\nshould be %r\n" % (
                    what, b[-1500:], a[-1500:])
        for f in sorted(set(self.files) | set(other.files)):
            if self.files.get(f) != other.files.get(f):
                text += "file %s differs\n" % f
        return text


def one(argv, prefix, env, setup, ignore, timeout):
    """Runs in a fresh directory of one and the same name."""
    box = os.path.join(WORK, "box")
    shutil.rmtree(box, ignore_errors=True)
    os.makedirs(box)
    if setup:
        setup(box)
    p = subprocess.run(prefix + argv, cwd=box, env=dict(os.environ, **env),
                       stdin=subprocess.DEVNULL, capture_output=True,
                       timeout=timeout)
    return Result(p.returncode, p.stdout, p.stderr, tree(box, ignore))


def verdicts(dumps):
    """Checks every dump -> what is wrong, counts"""
    text, slowest, count = "", 0, {0: 0, 1: 0}
    for name in sorted(os.listdir(dumps)):
        path = os.path.join(dumps, name)
        start = time.monotonic()
        try:
            p = subprocess.run([PMDB, "check", path], timeout=CHECK_SECONDS,
                               stdin=subprocess.DEVNULL, capture_output=True,
                               text=True, errors="replace")
            rc, out = p.returncode, p.stderr + p.stdout
        except subprocess.TimeoutExpired:
            rc, out = -1, "no end after %d s" % CHECK_SECONDS
        slowest = max(slowest, time.monotonic() - start)
        if rc in count:
            count[rc] += 1
        else:
            text += "%s: status %d: %s\n" % (name, rc, out[-400:])
        if "corrupt" in out:
            text += "%s: corruption: %s\n" % (name, out[-400:])
    print("# %d dumps clean, %d with leaks; slowest verdict %.1f s" % (
        count[0], count[1], slowest))
    return text


def same(name, argv, env=None, setup=None, ignore=(), dumps=1, rc=0,
         timeout=200):
    """CHECKS checks of one program.

    dumps: at least so many processes leave one"""
    env = env or {}
    where = os.path.join(WORK, "dumps-" + name)
    os.makedirs(where)
    plain = one(argv, [], env, setup, ignore, timeout)
    ok(plain.rc == rc, name + ": works at all",
       "status %d: %s" % (plain.rc, plain.err[-800:]))
    template = os.path.join(where, "%c.%p.core")
    run = one(argv, [PMDB, "run", "-o", template, "--"], env, setup, ignore,
              timeout)
    why = plain.difference(run)
    ok(not why, name + ": the same under pmdb run", why)
    pre = one(argv, [], dict(env, LD_PRELOAD=PRELOAD), setup, ignore, timeout)
    why = plain.difference(pre)
    ok(not why, name + ": the same with the library preloaded", why)
    left = os.listdir(where)
    ok(len(left) >= dumps and all(n.endswith(".core") for n in left),
       name + ": at least %d dumps, nothing else" % dumps,
       "%d: %s" % (len(left), " ".join(sorted(left))[:800]))
    why = verdicts(where)
    ok(left and not why, name + ": a verdict on every dump", why or "no dump")
    shutil.rmtree(where)
