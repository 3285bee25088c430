#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Heaps of programs we did not write: what ::heapstat sums up is what malloc
itself said just before (mallinfo2()), byte for byte.  By the names of libc's
debug information, and without any file of libc, by the invariants."""
import glob, os, shutil, subprocess, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import glibclib as G, truthlib as T

TOP = os.environ["TOP"]
LIB = os.path.join(T.WORK, "oracle.so")
# the programs themselves: one that starts another is not asked twice
PATH = "/usr/bin:/bin"
PROGRAMS = {
    "python3": ["python3", "-c", """
import json, threading, random
random.seed(1)
keep = [{str(i): [i] * (i % 50)} for i in range(20000)]
def f():
    for i in range(2000): keep[random.randrange(20000)] = json.dumps(keep[i])
t = [threading.Thread(target=f) for _ in range(6)]
[x.start() for x in t]; [x.join() for x in t]
big = bytearray(3000000); del keep[::3]"""],
    "perl": ["perl", "-e", "my %h; $h{$_ % 5000} .= 'x' x ($_ % 300) "
             "for 1..60000; delete $h{$_ * 2} for 1..1000; exit 0"],
    "sqlite3": ["sqlite3", ":memory:", "create table t(a,b);"
                "with recursive c(x) as (select 1 union all select x+1 from c "
                "where x < 30000) insert into t select x, hex(randomblob(20)) "
                "from c; create index i on t(b); delete from t where a % 3;"
                "select count(*) from t;"],
    "bash": ["bash", "-c", "for i in {1..20000}; do a[$((i*7))]=x$i$i; done; "
             "for i in {1..9000}; do unset \"a[$((i*14))]\"; done; exit 0"],
    "git": ["git", "-C", TOP, "log", "--stat", "-n", "40", "--format=%H %s"],
    "gcc": ["gcc", "-print-search-dirs"],
    "sort": ["sort", "-S", "4M", "/usr/share/dict/words"
             if os.path.exists("/usr/share/dict/words") else "/etc/services"],
    "gdb": ["gdb", "-nx", "-batch", "-ex", "info functions malloc",
            "/usr/bin/gdb"],
}


def build():
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-I" + TOP + "/src", "-o",
                    LIB, TOP + "/tests/truth/glibc_oracle.c"] +
                   sorted(glob.glob(T.B + "/src/snap/*.o")), check=True)


def check(name, core, want, *opts):
    why = G.why_not_totals(core, want, *opts)
    T.ok(not why, "%s: %d bytes, %d in use, %d free chunks" %
         (name, want["arena"], want["uordblks"], want["ordblks"]), why)


build()
have = {n: a for n, a in PROGRAMS.items() if shutil.which(a[0], path=PATH)}
T.plan(2 * len(PROGRAMS))
for name, args in PROGRAMS.items():
    if name not in have:
        T.skip(name, args[0] + " is not installed")
        T.skip(name + " without libc", args[0] + " is not installed")
        continue
    stem = os.path.join(T.WORK, name.replace(" ", ""))
    subprocess.run([shutil.which(args[0], path=PATH)] + args[1:],
                   env=dict(os.environ, ORACLE=stem, LD_PRELOAD=LIB),
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   timeout=T.TIMEOUT, check=True)
    with open(stem) as f:
        want = {w[0]: int(w[1]) for w in map(str.split, f)}
    check(name, stem + ".core", want)
    G.forget(stem + ".core")
    check(name + " without libc", stem + ".core", want, "-R", "/nowhere")
    os.unlink(stem + ".core")
