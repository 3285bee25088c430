#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two heaps of one process are seen side by side: leaks of both are found, and
what one keeps alive for the other is none."""
import os, subprocess, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

core, truth = os.path.join(T.WORK, "b.core"), os.path.join(T.WORK, "truth")
subprocess.run([T.fixture("glibc_beside"), core], check=True, timeout=60,
               env=dict(os.environ, TRUTH=truth))
t = T.Truth(truth)
T.plan(6)
leaks = set(T.leaked(core))
T.ok(leaks == set(t.leak), "leaked are exactly these",
     T.difference(leaks, set(t.leak)))
got = set(T.walk(core, "::walk buf"))
T.ok(t.allocated() <= got and not got & t.free, "allocated are these",
     T.difference(got, t.allocated()))
T.ok(t.free <= set(T.walk(core, "::walk freebuf")), "freed of both are free")
rc, out, err = T.pmdb(core, "::arenas", json_out=True)
names = {r["name"] for r in T.parse_json(out)}
T.ok({"main", "kmem_default"} <= names, "arenas of both", names)
rc, out, err = T.pmdb(core, "::status")
T.ok("libkmem and glibc" in out, "::status names both", out)
rc, verdict, err = T.check(core)
T.ok(rc == 1 and sum(g["buffers"] for g in verdict["leaks"]) == len(t.leak),
     "check counts both", "%d %s %s" % (rc, verdict, err))
