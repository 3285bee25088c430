#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random programs that know which of their buffers are lost: with guards pmdb
finds each of them and no other; without debugging it invents none, and misses
some only where words of an earlier buffer are left, which it cannot tell from
words of the program."""
import os, subprocess
B, WORK = os.environ["B"], os.environ["WORK"]
MORE = 40 if os.environ.get("LONG") else 1
number = 0


def ok(good, name, why=""):
    global number
    number += 1
    print("%sok %d - %s" % ("" if good else "not ", number, name), flush=True)
    if not good:
        print("#   %s" % (why,))


def one(seed, how, debug):
    """-> lost, missed, invented"""
    env = dict(os.environ, LD_PRELOAD=B + "/libkmem_preload.so",
               KMEM_DEBUG=debug)
    p = subprocess.Popen([B + "/tests/guest/graph", str(seed), "20000", how],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         env=env, text=True)
    kept = {"L": set(), "X": set()}
    for line in p.stdout:
        if line == "ready\n":
            break
        kind, code = line.split()
        kept[kind].add(int(code, 16) // 3)
    dump = os.path.join(WORK, "dump")
    subprocess.run([B + "/pmdb", "snap", "-p", str(p.pid), "-o", dump],
                   stdout=subprocess.DEVNULL, check=True)
    p.stdin.close()
    p.wait()
    out = subprocess.run([B + "/pmdb", "-e", "::walk -s leaked,indirect kmem",
                          dump], stdout=subprocess.PIPE, text=True).stdout
    os.unlink(dump)
    found = {int(word, 16) for word in out.split()}
    return len(kept["X"]), len(kept["X"] - found), len(found & kept["L"])


print("1..9")
for debug in ("default", "guards", ""):
    for how in ("front", "end", "dirty"):
        lost, missed, invented = map(sum, zip(*(
            one(seed, how, debug) for seed in range(1, 1 + MORE))))
        name = "%s, %s: %d lost, %d missed, %d invented" % (
            debug or "no debugging", how, lost, missed, invented)
        # dirty memory with guards is pattern; without, what others left
        may_miss = not debug and how != "front"
        ok(lost > 1000 * MORE and invented == 0 and
           (may_miss or missed == 0) and missed < lost // 2, name)
