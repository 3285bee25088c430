#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The corpus of the fuzzer of glibc's heaps is replayed, and random inputs from
a fixed seed (tests/fuzz/glibc.c): no crash, no hang; of no input the heap is
whole."""
import glob, os, random, subprocess, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import glibclib as G, truthlib as T

corpus = sorted(glob.glob(os.path.join(os.environ["TOP"], "tests/fuzz/glibc/*")))
rng = random.Random(11)
for i in range(60):
    corpus.append(os.path.join(T.WORK, "random%d" % i))
    with open(corpus[-1], "wb") as f:
        f.write(rng.randbytes(10 * rng.choice((1, 1, 1, 2, 4, 40))))
empty = os.path.join(T.WORK, "empty")
open(empty, "w").close()
core = G.run("glibc_lists", ["small"], "lists")[0].core
T.plan(2)


def replay(files):
    p = subprocess.run([os.path.join(T.B, "tests/fuzz/glibc"), *files],
                       env=dict(os.environ, FUZZ_CORE=core), timeout=T.TIMEOUT,
                       capture_output=True, text=True, errors="replace")
    return p.returncode == 0 and p.stdout == "%d inputs\n" % len(files), \
        "%d\n%s" % (p.returncode, p.stderr[-1000:])


T.ok(*replay([empty])[:1], "of no input the heap is whole", replay([empty])[1])
good, why = replay(corpus + [empty])
T.ok(good and len(corpus) >= 70, "%d inputs" % len(corpus), why)
