# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs we did not write, and what malloc says of itself in them when they
end: glibc_oracle.c."""
import os, shutil, subprocess
import glibclib as G, truthlib as T

TOP = os.environ["TOP"]
# the programs themselves: one that starts another is not asked twice
PATH = "/usr/bin:/bin"
PYTHON = """
import json, threading, random
random.seed(1)
keep = [{str(i): [i] * (i % 50)} for i in range(20000)]
def f():
    for i in range(2000): keep[random.randrange(20000)] = json.dumps(keep[i])
t = [threading.Thread(target=f) for _ in range(6)]
[x.start() for x in t]; [x.join() for x in t]
big = bytearray(3000000); del keep[::3]"""
PERL = ("my %h; $h{$_ % 5000} .= 'x' x ($_ % 300) for 1..60000; "
        "delete $h{$_ * 2} for 1..1000; exit 0")
SQL = ("create table t(a,b);"
       "with recursive c(x) as (select 1 union all select x+1 from c "
       "where x < 30000) insert into t select x, hex(randomblob(20)) "
       "from c; create index i on t(b); delete from t where a % 3;"
       "select count(*) from t;")
BASH = ("for i in {1..20000}; do a[$((i*7))]=x$i$i; done; "
        "for i in {1..9000}; do unset \"a[$((i*14))]\"; done; exit 0")
PROGRAMS = {
    "python3": ["python3", "-c", PYTHON],
    "perl": ["perl", "-e", PERL],
    "sqlite3": ["sqlite3", ":memory:", SQL],
    "bash": ["bash", "-c", BASH],
    "git": ["git", "-C", TOP, "log", "--stat", "-n", "40", "--format=%H %s"],
    "gcc": ["gcc", "-print-search-dirs"],
    "sort": ["sort", "-S", "4M", "/usr/share/dict/words"
             if os.path.exists("/usr/share/dict/words") else "/etc/services"],
    "gdb": ["gdb", "-nx", "-batch", "-ex", "info functions malloc",
            "/usr/bin/gdb"],
}
# of a release that is older than this machine
OLD = {
    "python3": ["/usr/bin/python3.9", "-c", PYTHON],
    "perl": ["/usr/bin/perl", "-e", PERL],
    "sqlite3": ["/usr/bin/sqlite3", ":memory:", SQL],
    "bash": ["/bin/bash", "-c", BASH],
}
# that compare() makes
CHECKS = 2


def read(path):
    """What malloc said."""
    with open(path) as f:
        return {w[0]: int(w[1]) for w in map(str.split, f)}


def check(name, core, want, *opts):
    why = G.why_not_totals(core, want, *opts)
    T.ok(not why, "%s: %d bytes, %d in use, %d free chunks" %
         (name, want["arena"], want["uordblks"], want["ordblks"]), why)


def compare(libc, lib, name, args):
    """Runs one: CHECKS checks, by the names of libc's debug information as far
    as there is any, and without any file of libc.

    lib: glibc_oracle.c, built for libc"""
    path = args[0] if args[0][0] == "/" else shutil.which(args[0], path=PATH)
    what = "%s, %s" % (libc.name, name)
    if not path:
        for _ in range(CHECKS):
            T.skip(what, args[0] + " is not installed")
        return
    stem = os.path.join(T.WORK, name)
    subprocess.run(libc.command([path] + args[1:]), check=True,
                   env=dict(os.environ, ORACLE=stem, LD_PRELOAD=lib),
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   timeout=T.TIMEOUT)
    want = read(stem)
    check(what, stem + ".core", want)
    G.forget(stem + ".core", libc.libc())
    check(what + " without libc", stem + ".core", want, "-R", "/nowhere")
    os.unlink(stem + ".core")
    os.unlink(stem)
