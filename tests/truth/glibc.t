#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Heaps of glibc's malloc: every buffer has the state the program knows it to
have, at random moments of a program with one thread and with many; also when
nothing of libc is known but what is in the dump."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import glibclib as G, truthlib as T

# seed, threads, moments
RUNS = ((1, 0, 2), (2, 4, 2), (3, 12, 2))
# from how many bytes on all is mapped, the caches of threads, too
SMALL = (1, 500)

LISTS = ("tcache", "fastbin", "unsorted", "smallbin", "largebin")


def rows(core, command):
    rc, out, err = T.pmdb(core, command, json_out=True)
    if rc != 0:
        raise T.PmdbError(command + ": " + err)
    return T.parse_json(out)


def states(core, name):
    """Free buffers are told by the kind of list that they are in."""
    want, got = {}, {}
    for r in rows(core, "::heapstat"):
        if r["what"] in LISTS:
            want[r["what"]] = want.get(r["what"], 0) + r["count"]
    for r in rows(core, "::kmem_states"):
        if r["state"] in LISTS + ("list", "depot", "magazine"):
            got[r["state"]] = r["buffers"]
    T.ok(want and got == want, name + ": states of free buffers",
         "%r, not %r" % (got, want))
    rc, out, err = T.pmdb(core, "::findleaks")
    T.ok("heap records no callers" in out, name + ": why no leak has a stack",
         out + err)
    rc, out, err = T.pmdb(core, "::walk bufctl")
    T.ok("glibc heap keeps no audit records" in err, name + ": no bufctls", err)
    kind = max(want, key=want.get)
    T.ok(len(T.walk(core, "::walk -s %s freemem" % kind)) == want[kind] and
         len(T.walk(core, "::walk -s list freemem")) == sum(want.values()),
         name + ": walked by state, " + kind)


T.plan(sum(n for _, _, n in RUNS) + 5 * len(RUNS) + 2 * len(SMALL) + 5)
for seed, nthreads, n in RUNS:
    for i, m in enumerate(G.run("glibc_states", (seed, nthreads, n),
                                "s%d" % seed)):
        why = G.why_not(m)
        T.ok(not why, "seed %d, %d threads, moment %d: %d buffers, %d leaked" %
             (seed, nthreads, i, len(m.allocated()), len(m.leak)), why)
        if i == n - 1:
            states(m.core, "seed %d" % seed)
            G.forget(m.core)
            why = G.why_not(m)
            T.ok(not why, "seed %d: the same without libc" % seed, why)
        os.unlink(m.core)

for least in SMALL:
    for m in G.run("glibc_states", (4, 3, 1), "small%d" % least,
                   {"MALLOC_MMAP_THRESHOLD_": str(least)}):
        for how in ("", ", without libc"):
            why = G.why_not(m)
            T.ok(not why, "mapped from %d bytes on%s: %d buffers, %d leaked" %
                 (least, how, len(m.allocated()), len(m.leak)), why)
            if not how:
                G.forget(m.core)
        os.unlink(m.core)

for args in ((), (1,)):
    for m in G.run("glibc_left", args, "left%d" % len(args)):
        for how in ("", ", without libc"):
            why = G.why_not(m)
            T.ok(not why, "left behind by a fork, in %s%s" %
                 ("one arena" if args else "many", how), why)
            if not how:
                G.forget(m.core)
        os.unlink(m.core)

for m in G.run("glibc_uncounted", (), "uncounted"):
    T.ok(not G.why_not(m), "threads that malloc was not told of the end of",
         G.why_not(m))
    os.unlink(m.core)
