#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where leak checkers are known to be wrong, on heaps of glibc's malloc: tagged
and interior pointers, one past the end, thread-local storage, stacks of other
threads, mappings, rings, caches of threads, what only freed buffers point at."""
import os, subprocess, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import glibclib as G, truthlib as T

NAMES = ("awkward", "interior", "tls", "other_stack", "leak_ring",
         "magazines")
T.plan(3 * len(NAMES) + 10)


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



def hidden(core):
    """What check says where libc's debug information is not installed."""
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /usr/lib/debug && '
         'echo hidden && exec "$@"', "sh", T.PMDB, "check", core],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=T.TIMEOUT)


# A thread between what malloc counts of a mapping and the bytes of it: in its own
# functions, and in what these call
MOMENTS = {"sysmalloc_mmap": ["break sysmalloc_mmap", "continue",
                              "watch -l mp_.n_mmaps", "continue"],
           "munmap_chunk": ["break munmap_chunk", "continue",
                            "watch -l mp_.n_mmaps", "continue"],
           "munmap": ["catch syscall munmap", "continue"]}
for where, steps in MOMENTS.items():
    name = "in %s(): no verdict" % where
    core = os.path.join(os.environ["WORK"], where + ".core")
    script = ["set pagination off", "set debuginfod enabled off",
              "break work", "run"] + steps + ["gcore " + core, "kill"]
    p = subprocess.run(["gdb", "-q", "-nx", "-batch"] +
                       [w for s in script for w in ("-ex", s)] +
                       [T.fixture("oversize")], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=60,
                       env={"PATH": os.environ["PATH"],
                            "TRUTH": core + ".truth"})
    said = p.stdout.decode(errors="replace")
    if "not defined" in said or "No symbol" in said:
        for how in ("", ", of a libc without symbols", ", of one not there"):
            T.skip(name + how, "libc's own symbols are not known")
        continue
    rc, out, err = T.check(core, json_out=False)
    T.ok(rc == 3 and "in the middle of an operation" in err, name,
         "status %s %s %s %s" % (rc, out, err, said[-500:]))
    p = hidden(core)
    if p.stdout.startswith("hidden"):
        T.ok(p.returncode == 3 and "in the middle of an operation" in p.stderr,
             name + ", of a libc without symbols", p.stdout + p.stderr)
    else:
        T.skip(name + ", of a libc without symbols", p.stderr)
    G.forget(core)
    rc, out, err = T.check(core, json_out=False)
    T.ok(rc == 3, name + ", of one not there",
         "status %s %s %s" % (rc, out, err))

# of a program that shares its memory, not all threads are in the dump
name = "child of a vfork(): no verdict"
why_not = T.kernel_core_why_not()
if why_not:
    T.skip(name, why_not)
else:
    core = os.path.join(T.WORK, "vfork.core")
    T.dump_by_kernel([T.fixture("vfork_abort")],
                     {"PATH": os.environ["PATH"]}, core)
    rc, out, err = T.check(core, json_out=False)
    T.ok(rc == 3 and "4 threads run, and are not in the dump" in err, name,
         "status %s %s %s" % (rc, out, err))
