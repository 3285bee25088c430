#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole report of each wrong use of the heap, line by line, under each
way to check, and the same out of the dump.  --update writes what is said now;
read the difference before you commit it."""
import os, re, subprocess, sys

B = os.environ["B"]
HERE = os.path.dirname(os.path.abspath(__file__))
MISUSE = os.path.join(B, "fixtures", "misuse")
PRELOAD = os.path.join(B, "libkmem_preload.so")
# file of the expected text: what KMEM_DEBUG says
MODES = (
    ("default", "default,mismatch=abort"),
    ("audit", "audit,mismatch=abort"),
    ("guards", "guards,mismatch=abort"),
    ("lite", "lite,mismatch=abort"),
    ("firewall", "default,firewall=16,mismatch=abort"),
    ("nomismatch", "default,nomismatch"),
)
UPDATE = "--update" in sys.argv
count = 0


def ok(good, name, why=""):
    global count
    count += 1
    print("%sok %d - %s" % ("" if good else "not ", count, name))
    if not good:
        for line in str(why).splitlines()[:60]:
            print("#   " + line)
    sys.stdout.flush()


def uses():
    return subprocess.run([MISUSE], capture_output=True, text=True, timeout=20,
                          check=True).stdout.split()


def plain(text):
    """Addresses by order of appearance; no times, ids and offsets in code.
    The insides of the C library are one line."""
    seen = {}

    def name(m):
        if int(m.group(0), 16) < 4096:
            return m.group(0)
        return seen.setdefault(m.group(0), "A%d" % (len(seen) + 1))

    out = []
    for line in text.splitlines():
        if line.startswith("    "):
            if "libc.so" in line:
                line = "    libc.so.6"
            line = re.sub(r"\+0x[0-9a-f]+( \[0x[0-9a-f]+\])?$", "", line)
            if out and out[-1] == line and "libc" in line:
                continue
        elif "replaced by" not in line:
            line = re.sub(r"0x[0-9a-f]+", name, line)
        line = re.sub(r"thread=[0-9]+", "thread=T", line)
        line = re.sub(r"time=T-[0-9.]+", "time=T-S", line)
        out.append(line)
    return "".join(line + "\n" for line in out)


def run(use, debug):
    env = dict(os.environ, KMEM_DEBUG=debug, LD_PRELOAD=PRELOAD)
    for var in ("KMEM_LOGGING", "KMEM_OPTIONS", "KMEM_SNAPSHOT"):
        env.pop(var, None)
    r = subprocess.run([MISUSE, use], env=env, capture_output=True,
                       text=True, timeout=60)
    end = {0: "nothing\n", -6: ""}.get(r.returncode,
                                       "status %d\n" % r.returncode)
    return plain(r.stderr) + end


def sections(path):
    parts = re.split(r"^== (\S+)\n", open(path).read(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def pmdb(*args):
    r = subprocess.run([os.path.join(B, "pmdb")] + list(args), timeout=60,
                       capture_output=True, text=True, errors="replace")
    return r.stdout


def from_the_dump(use):
    """What is reported is in the dump, word by word, and check finds it."""
    dump = "dump." + use
    r = subprocess.run([os.path.join(B, "pmdb"), "run", "-o", dump, "--",
                        MISUSE, use], capture_output=True, text=True,
                       env=dict(os.environ, KMEM_DEBUG="default,mismatch=abort"),
                       timeout=60)
    status = pmdb("-e", "::status", dump)
    check = pmdb("check", dump)
    first = r.stderr.split("\n")[0]
    ok(r.returncode == 134 and r.stderr in status,
       use + ": ::status has the report", r.stderr + status)
    ok("Heap corruption, reported by the allocator:\n  " + first in check and
       re.search(r"corruption", check.splitlines()[-1] if check else ""),
       use + ": check has it", first + "\n" + check)
    os.unlink(dump)


# what of them is damage a walk over the dump finds by itself
WALK = {"overrun": "redzone signature", "overrun_by_16": "corrupt redzone",
        "overrun_large": "written past its end",
        "underrun": "written before its start"}


def found_by_a_walk(use, words):
    """The walk finds it where the report says it is."""
    dump = "dump." + use
    r = subprocess.run([os.path.join(B, "pmdb"), "run", "-o", dump, "--",
                        MISUSE, use], capture_output=True, text=True,
                       timeout=60)
    addr = re.search(r"buffer=0x([0-9a-f]+)", r.stderr).group(1)
    said = pmdb("-e", "::walk kmem_cache | ::kmem_verify", "-e",
                "::kmem_verify", dump)
    lines = [line for line in said.splitlines() if "buffer " + addr in line]
    ok(any(words in line for line in lines), use + ": ::kmem_verify finds it",
       addr + "\n" + "\n".join(line for line in said.splitlines()
                               if "buffer" in line))
    os.unlink(dump)


names = uses()
print("1..%d" % (len(MODES) * len(names) + 2 * len(names) + len(WALK)))
for mode, debug in MODES:
    path = os.path.join(HERE, "reports", mode + ".txt")
    if UPDATE:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write("# SPDX-License-Identifier: GPL-3.0-or-later\n"
                    "# KMEM_DEBUG=%s; written by tests/kmem/reports.t\n"
                    % debug)
            for use in names:
                f.write("== %s\n%s" % (use, run(use, debug)))
    expected = sections(path)
    for use in names:
        got = run(use, debug)
        ok(got == expected.get(use), mode + ": " + use,
           "expected:\n%s\ngot:\n%s" % (expected.get(use), got))
for use in names:
    from_the_dump(use)
for use, words in WALK.items():
    found_by_a_walk(use, words)
