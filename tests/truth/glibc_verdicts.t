#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where leak checkers are known to be wrong, on heaps of glibc's malloc: tagged
and interior pointers, one past the end, thread-local storage, stacks of other
threads, mappings, rings, caches of threads, what only freed buffers point at."""
import os, subprocess, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

NAMES = ("awkward", "interior", "tls", "other_stack", "leak_ring",
         "magazines")
T.plan(3 * len(NAMES) + 2)


def addresses(text):
    return {int(w, 16) for w in text.split() if w.startswith("0x")}


for name in NAMES:
    r = T.gcore(name, env={"LD_PRELOAD": None, "KMEM_DEBUG": None,
                           "KMEM_LOGGING": None}, tag="glibc")
    truth = r.truth()
    _, out, err = T.pmdb(r.dump, "::findleaks -f ! cat >/dev/null",
                         "::walk leakbuf")
    leaks = addresses(out)
    live = addresses(T.pmdb(r.dump, "::walk kmem")[1])
    free = addresses(T.pmdb(r.dump, "::walk freemem")[1])
    mine = truth.allocated()
    T.ok(leaks == set(truth.leak), name + ": leaked are exactly these",
         T.difference(leaks, set(truth.leak)) + err)
    T.ok(mine <= live and len(live - mine) <= truth.other,
         name + ": allocated are these and at most %d more" % truth.other,
         T.difference(live, mine))
    T.ok(not free & mine and not live & truth.free,
         name + ": no free buffer is in use, none in use is free",
         T.difference(free & mine, live & truth.free))
    os.unlink(r.dump)

# a thread between what malloc counts of a mapping and the bytes of it
for where in ("sysmalloc_mmap", "munmap_chunk"):
    name = "in %s(): no verdict" % where
    core = os.path.join(os.environ["WORK"], where + ".core")
    script = ["set pagination off", "set debuginfod enabled off",
              "break work", "run", "break " + where, "continue",
              "watch -l mp_.n_mmaps", "continue",
              "gcore " + core, "kill"]
    p = subprocess.run(["gdb", "-q", "-nx", "-batch"] +
                       [w for s in script for w in ("-ex", s)] +
                       [T.fixture("oversize")], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=60,
                       env={"PATH": os.environ["PATH"],
                            "TRUTH": core + ".truth"})
    said = p.stdout.decode(errors="replace")
    if "not defined" in said or "No symbol" in said:
        T.skip(name, "libc's own symbols are not known")
        continue
    rc, out, err = T.check(core, json_out=False)
    T.ok(rc == 3 and "in the middle of an operation" in err, name,
         "status %s %s %s %s" % (rc, out, err, said[-500:]))
