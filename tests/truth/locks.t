#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""::findlocks: which thread owns which mutex, as the fixture says."""
import os, re, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

T.plan(6)
r = T.run("locks")
t = r.truth()
rows = T.parse_json(T.pmdb(r.dump, "::findlocks", json_out=True)[1])
got = {int(v["addr"], 16): v for v in rows}
T.ok(r.rc == 0 and len(t.by) == 3 and len(set(t.by.values())) == 2,
     "locks: runs", r.err)
T.ok({a: v["owner"] for a, v in got.items()} == t.by and
     len(rows) == len(got), "each mutex that is owned, its owner, no other",
     "%s %s" % (rows, t.by))
waited = [a for a, v in got.items() if v["is_waited_for"]]
obj = [a for a in t.by if any(b <= a < b + s for b, s in t.live.items())]
T.ok(len(obj) == 1 and waited == obj, "the one somebody waits for", waited)
by_name = {v["where"]: a for a, v in got.items()}
T.ok({"plain", "twice"} <= set(by_name) and
     re.match(r"[0-9a-f]+\+28, allocated from kmem_alloc_",
              got[obj[0]]["where"]) and got[by_name["twice"]]["count"] == 2,
     "where they are, and how often one was taken", rows)
main = t.by[by_name["plain"]]
mine = T.walk(r.dump, "0t%d::findlocks | ::grep 1" % main)
T.ok(set(mine) == {a for a, tid in t.by.items() if tid == main},
     "those of one thread", T.hexes(mine))
rc, out, err = T.pmdb(r.dump, "::findlocks")
T.ok(re.search(r"(?m)^%x \(plain\) is owned by thread %x$" %
               (by_name["plain"], main), out), "as text", out)
