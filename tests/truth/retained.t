#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""::retained and ::dominators against a reading of the core's bytes: what is not
reached any more when one buffer is taken away."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

T.plan(10)


def rows(dump, cmd):
    return T.parse_json(T.pmdb(dump, cmd, json_out=True)[1])


def graph(r, size):
    """buffer -> buffers it points at; and those that roots hold"""
    down = {a: {w for w in T.words(r.dump, a, n // 8) if w in size}
            for a, n in size.items()}
    held = {int(v["buffer"], 16) for v in rows(r.dump, "::walk kmem | ::path")
            if v["step"] == 1}
    return down, {a for a in held if a in size}


def reached(down, held, without):
    todo = [a for a in held if a != without]
    seen = set(todo)
    while todo:
        for b in down[todo.pop()]:
            if b not in seen and b != without:
                seen.add(b)
                todo.append(b)
    return seen


r = T.run("leak_tree")
size = dict(r.truth().live)
down, held = graph(r, size)
whole = reached(down, held, None)
T.ok(whole == set(size) and len(size) >= 30, "the tree that lives")
got = {int(v["buffer"], 16): v for v in rows(r.dump, "::retained -a -n 0t1000")}
bad = []
for a in size:
    lost = whole - reached(down, held, a)
    if got[a]["retained_bytes"] != sum(size[b] for b in lost) or \
            got[a]["retained_buffers"] != len(lost):
        bad.append((hex(a), got[a], len(lost)))
T.ok(not bad, "what each buffer retains", bad[:3])
order = [v["retained_bytes"] for v in rows(r.dump, "::retained -a -n 0t1000")]
T.ok(order == sorted(order, reverse=True), "the largest first", order[:20])
T.ok([v["buffer"] for v in rows(r.dump, "::retained -a -n 7")] ==
     [v["buffer"] for v in rows(r.dump, "::retained -a -n 0t1000")][:7],
     "-n: the first of them")
bad = []
for a in sorted(size)[::5]:
    want = {d for d in size if a in whole - reached(down, held, d)}
    line = [int(v["buffer"], 16) for v in rows(r.dump, "%x::dominators" % a)]
    if line[0] != a or set(line) != want:
        bad.append((hex(a), T.hexes(line), T.hexes(want)))
T.ok(not bad, "::dominators of some", bad[:3])
top = max(size, key=lambda a: got[a]["retained_bytes"])
parts = rows(r.dump, "%x::retained -n 0t1000" % top)
T.ok(int(parts[0]["buffer"], 16) == top and
     sum(v["retained_bytes"] for v in parts[1:]) + size[top] ==
     parts[0]["retained_bytes"], "the parts of one", parts[:3])
leak = sorted(r.truth().leak)[0]
rc, out, err = T.pmdb(r.dump, "%x::retained" % leak)
T.ok("is leaked" in err, "of a leak", err)

# a list: its head retains all of it, and so does the call site, once
r = T.run("deep_list")
t = r.truth()
best = rows(r.dump, "::retained -n 1")[0]
T.ok(best["retained_buffers"] == len(t.live) and
     best["retained_bytes"] == sum(t.live.values()), "the head of a list", best)
heads = rows(r.dump, "::retained -n 5")
T.ok(heads[0] == best and heads[1]["retained_bytes"] < 1000,
     "of a chain the head is enough", heads)
site = rows(r.dump, "::retained -c -n 1")[0]
T.ok(site["retained_bytes"] == sum(t.live.values()) == site["own_bytes"] and
     site["retained_buffers"] == len(t.live), "its call site", site)
