#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""::path: for each buffer of chains that the fixture made, from which root, how
long, by which variable, how sure; several ways; to a type; of a leak."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

T.plan(17)


def rows(dump, cmd):
    return T.parse_json(T.pmdb(dump, cmd, json_out=True)[1])


def num(x):
    return int(x, 16) if isinstance(x, str) else x


r = T.run("paths", env={"TRUTH_MODE": "abort"})
t = r.truth()
want = t.path
got = {a: rows(r.dump, "%x::path" % a) for a in want}
T.ok(len(want) > 25 and all(len(got[a]) == want[a][0] for a in want),
     "each chain has its length",
     [(hex(a), w, len(got[a])) for a, w in want.items()
      if len(got[a]) != w[0]])
T.ok(all(num(got[a][-1]["buffer"]) == a for a in want), "and ends there")
T.ok(all(got[a][0]["kind"] == want[a][1] for a in want),
     "each begins at its kind of root",
     [(hex(a), w, got[a][0]["kind"]) for a, w in want.items()
      if got[a][0]["kind"] != w[1]])
bad = [(hex(a), w, got[a][0]["held_by"]) for a, w in want.items()
       if w[2] not in got[a][0]["held_by"] and
       w[2] not in got[a][1 if len(got[a]) > 1 else 0]["held_by"] and
       w[2] not in ("gone", "mapped")]
T.ok(not bad, "and says which variable, member or key", bad)
bad = []
for a in want:
    for k, step in enumerate(got[a]):
        value, = T.words(r.dump, num(step["word"]), 1)
        end = num(step["buffer"]) + step["size_bytes"]
        how = "exact" if value == num(step["buffer"]) else \
            "interior" if num(step["buffer"]) < value < end else \
            "past" if value == end else "?"
        last = num(got[a][k - 1]["buffer"]) if k else None
        if step["how"] != how or step["step"] != k + 1 or \
                (k and not last <= num(step["word"]) < last + 100000):
            bad.append((hex(a), step, hex(value)))
T.ok(not bad, "each word is there, and points as it says", bad[:3])
T.ok({s["how"] for v in got.values() for s in v} ==
     {"exact", "interior", "past"}, "starts, insides and ends")
node = [a for a, w in want.items() if w[2] == "shelf.row[2].first"]
deep = max(node, key=lambda a: want[a][0])
T.ok([s["type"] for s in got[deep]] == ["struct node"] * 5 + [None] and
     got[deep][-1]["held_by"] == "struct node.data",
     "types and members on the way", got[deep][-2:])
weak = {a for a in want if any(s["is_weak"] for s in got[a])}
T.ok(weak == set(t.held), "what hangs on a weak reference is told",
     T.hexes(weak ^ set(t.held)))
live = [s for v in got.values() for s in v if s["variable"] == "kept"]
T.ok(live and all(s["function"] == "frames" and s["frame"] > 0 and
                  s["kind"] == "stack" for s in live), "variable and frame",
     live)
dead = [s for v in got.values() for s in v if s["sure"] == "dead"]
T.ok(dead and all("dead slot of frames" in s["held_by"] for s in dead),
     "a slot where no variable is", dead)

# several
both = [a for a, w in want.items() if w[2] == "ring"]
got = rows(r.dump, "%x::path -n 5" % both[0])
ways = {}
for s in got:
    ways.setdefault(s["chain"], []).append(s)
T.ok(sorted(ways) == [1, 2] and [len(w) for w in ways.values()] == [2, 3] and
     [w[0]["held_by"] for w in ways.values()] == ["ring[0]", "ring[1]"],
     "-n 5: both ways, the shorter first", got)
T.ok(len(rows(r.dump, "%x::path -n 2" % deep)) == want[deep][0],
     "-n 2 of what has one way")

# to a type
got = rows(r.dump, "%x::path -t node" % deep)
T.ok(len(got) == 1 and num(got[0]["buffer"]) == deep and got[0]["step"] == 6,
     "-t: from the last of that type", got)
rc, out, err = T.pmdb(r.dump, "1::path")
T.ok("is in no allocated buffer" in err, "of no buffer", err)

# of the leaks, those that others hold; and a long list
r = T.run("leak_chain")
leaked = sorted(r.truth().leak)
kinds = [rows(r.dump, "%x::path" % a) for a in leaked]
T.ok(all(k and k[0]["kind"] == "leak" and k[0]["word"] is None
         for k in kinds) and max(len(k) for k in kinds) > 1,
     "a leak is held by nobody, or by a leak", kinds[:3])
r = T.run("deep_list")
live = sorted(r.truth().live)
n = [len(rows(r.dump, "%x::path" % a)) for a in (live[0], live[-1])]
T.ok(max(n) > 1000, "a long list", n)
rc, out, err = T.pmdb(r.dump, "%x::path" %
                      (live[0] if n[0] > n[1] else live[-1]))
T.ok("steps ..." in out and len(out.splitlines()) < 40,
     "in text its middle is left out", out)
