#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""::history of buffers that one thread allocated and another freed."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

T.plan(5)


def rows(dump, cmd):
    return T.parse_json(T.pmdb(dump, cmd, json_out=True)[1])


r = T.run("by_thread")
t = r.truth()
freed = sorted(t.free & set(t.by))
other = t.by[freed[0]]
main = [tid for tid in t.by.values() if tid != other][0]
bad = []
for a in freed:
    got = [(v["what"], v["thread"]) for v in rows(r.dump, "%x::history" % a)]
    if got[-2:] != [("alloc", main), ("free", other)]:
        bad.append((hex(a), got))
T.ok(len(freed) == 5 and not bad, "allocated by one, freed by the other", bad)
bad = []
for a in sorted(set(t.live) & set(t.by)):
    v = rows(r.dump, "%x::history" % (a + 9))
    if (v[-1]["what"], v[-1]["thread"], v[-1]["kind"]) != ("alloc", t.by[a],
                                                          "malloc"):
        bad.append((hex(a), v))
T.ok(not bad, "what lives was allocated last, by its thread", bad[:2])
v = rows(r.dump, "%x::history" % freed[0])
stamps = [int(x["timestamp"], 16) if isinstance(x["timestamp"], str)
          else x["timestamp"] for x in v]
T.ok(v[0]["gap_ns"] is None and stamps == sorted(stamps) and
     [x["gap_ns"] for x in v[1:]] ==
     [b - a for a, b in zip(stamps, stamps[1:])], "times and gaps", v)
T.ok(any(f["function"] == "other_thread" for f in v[-1]["stack"]),
     "and where", v[-1]["stack"])
r = T.run("by_thread", env={"KMEM_LOGGING": ""}, tag="nolog")
t = r.truth()
freed = sorted(t.free & set(t.by))
rc, out, err = T.pmdb(r.dump, "%x::history" % freed[0])
T.ok(len(out.splitlines()) == 2 and " free " in out and
     "what was before is not in the log any more" in err,
     "without a log its last transaction, and that the rest is lost",
     out + err)
