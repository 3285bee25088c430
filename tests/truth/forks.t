#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forked children have heaps, leaks and dumps of their own."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

T.plan(2 + 3 * T.COMPARE)
r = T.run("forks", dump=os.path.join(T.WORK, "forks.%p.core"))
T.ok(r.rc == 0 and not r.err, "forks: runs", r.err)
# pids grow: parent, child, grandchild (unless they wrap: then by what leaked)
dumps = sorted(f for f in os.listdir(T.WORK) if f.endswith(".core"))
T.ok(len(dumps) == 3, "forks: a dump for each process", dumps)
truths = [r.truth(), r.truth(".child"), r.truth(".grand")]
left = {}
for d in dumps:
    path = os.path.join(T.WORK, d)
    left[path] = len(T.leaked(path))
for name, t in zip(("parent", "child", "grandchild"), truths):
    path = next((p for p, n in left.items() if n == len(t.leak)), None)
    left.pop(path, None)
    T.compare(r, "forks: " + name, truth=t, dump=path or r.dump)
