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
T.plan(11)
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

# with audit and a log
core = os.path.join(T.WORK, "audited.core")
subprocess.run([T.fixture("glibc_beside"), core], check=True, timeout=60,
               env=dict(os.environ, TRUTH=truth + "2", KMEM_DEBUG="default",
                        KMEM_LOGGING="transaction"))
rc, out, err = T.check(core, json_out=False)
T.ok("(no stack: glibc heap records no callers)" in out and
     "in of_kmem" in out, "check says why only one of them has stacks", out)
rc, out, err = T.pmdb(core, "::replay -n -3", "::walk kmem ! wc -l")
T.ok("17" in out and "buffers are of caches without audit: not known" in err,
     "::replay goes back in the log of one; the other's are unknown",
     "%d %s %s" % (rc, out, err))
rc, out, err = T.pmdb(core, "::heapstat")
T.ok("main" in out and "libkmem heap does not sum up its memory" in err,
     "::heapstat says which heap is not in it", out + err)
rc, out, err = T.pmdb(core, "::kmastat")
rows = {line.split()[0]: line.split() for line in out.splitlines() if line}
T.ok(rows["malloc_56"][4:] == ["-", "-", "-"] and
     rows["kmem_alloc_48"][5] not in ("-", "0") and
     rows["main"][-2:] == ["-", "-"], "what malloc does not count is no zero",
     (rows["malloc_56"], rows["kmem_alloc_48"], rows["main"]))
rc, out, err = T.pmdb(core, "::arenas", json_out=True)
main = [r for r in T.parse_json(out) if r["name"] == "main"]
T.ok(main and main[0]["allocated"] > 10, "but its buffers in use are counted",
     main)
