#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""::kmem_states counts what the fixtures say that there is."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

T.plan(19)


def states(dump, cmd="::kmem_states"):
    return {row["state"]: row["buffers"] for row in
            T.parse_json(T.pmdb(dump, cmd, json_out=True)[1])}


def caches(dump):
    return {row["name"]: row for row in
            T.parse_json(T.pmdb(dump, "::kmem_cache", json_out=True)[1])}


# two trees were dropped: the root of each is leaked, the rest with it
r = T.run("leak_tree")
t = r.truth()
got = states(r.dump)
T.ok(len(t.leak) > 60 and got["leaked"] == 2 and
     got["indirect"] == len(t.leak) - 2, "leak_tree: two, and what they hold",
     got)
T.ok(0 <= sum(got.get(k, 0) for k in ("register", "stack", "data", "tls",
                                      "anon", "dead", "interior")) -
     len(t.live) <=
     t.other, "leak_tree: what lives", got)
r = T.run("leak_ring")
got = states(r.dump)
T.ok(len(r.truth().leak) == 7 + 1 + 2 and got["leaked"] == 3 and
     got["indirect"] == 6 + 0 + 1, "leak_ring: one of each of three rings", got)
r = T.run("interior")
t = r.truth()
got = states(r.dump)
T.ok(t.interior and 0 <= got.get("interior", 0) - len(t.interior) <= t.other,
     "interior: inner pointers only", got)
T.ok(got.get("past") == len(t.held) == 1, "interior: its end only", got)
r = T.run("ends")
got = states(r.dump)
T.ok(got.get("past") == len(r.truth().held) == 8, "ends: of any size", got)
r = T.run("stack_words")
got = states(r.dump, "::kmem_states kmem_alloc_112")
T.ok(got.get("stack", 0) + got.get("register", 0) == len(r.truth().live) and
     not got.get("data") and not got.get("anon"),
     "stack_words: by stacks, or what a register has of them", got)
r = T.run("tls")
got = states(r.dump, "::kmem_states kmem_alloc_160")
T.ok(got.get("tls") == len(r.truth().live) and got["leaked"] == 2,
     "tls: by a thread's memory", got)

# 50 buffers of each cache: 10 leaked, 10 freed, 30 kept by a table; the rest of
# the slab was never used, which only an audited cache knows
for tag, env in (("default", {}), ("plain", {"KMEM_DEBUG": ""})):
    r = T.run("kmem_caches", env=env, tag=tag)
    total = caches(r.dump)["fix_nomag"]["buftotal"]
    want = {"data": 30, "leaked": 10, "free": 10, "never_used": total - 50}
    if tag == "plain":
        want = {"data": 30, "leaked": 10, "free": total - 40}
    got = states(r.dump, "::kmem_states fix_nomag")
    T.ok(got == {k: v for k, v in want.items() if v},
         "fix_nomag (%s): each of its %d buffers" % (tag, total), got)
got = states(r.dump, "::kmem_states fix_built")
total = caches(r.dump)["fix_built"]["buftotal"]
T.ok(got.get("constructed", 0) >= 10 and got["data"] == 30 and
     got["leaked"] == 10 and sum(got.values()) == total,
     "fix_built (plain): freed are constructed", got)
addr = caches(r.dump)["fix_built"]["addr"]
T.ok(states(r.dump, addr + "::kmem_states") == got, "the same by address")
rc, out, err = T.pmdb(r.dump, "::kmem_states nosuch")
T.ok("unknown kmem cache: nosuch" in err, "of no cache", err)

# what a buffer hangs on, and nothing surer; and by state out of any walker
r = T.run("paths", env={"TRUTH_MODE": "abort"})
t = r.truth()
for how in ("dead", "anon", "past"):
    want = {a for a, h in t.held.items() if h == how}
    got = T.walk(r.dump, "::walk -s %s kmem" % how)
    T.ok(len(want) == 2 and set(got) == want and len(got) == 2,
         "paths: ::walk -s %s" % how, T.hexes(set(got) ^ want))
ctls = set(T.walk(r.dump, "::walk -s weak bufctl"))
bufs = T.parse_json(T.pmdb(r.dump, "::walk -s weak bufctl | ::bufctl",
                           json_out=True)[1])
T.ok({int(b["buffer"], 16) for b in bufs} == set(t.held) and
     len(ctls) == len(t.held), "by their bufctls", bufs)
every = T.parse_json(T.pmdb(r.dump, "::walk kmem | ::state",
                            json_out=True)[1])
n = {}
for row in every:
    n[row["state"]] = n.get(row["state"], 0) + 1
live = {k: v for k, v in states(r.dump).items() if k not in
        ("free", "never_used", "magazine", "depot", "constructed")}
T.ok(n == live, "::state of each is what ::kmem_states counts", (n, live))
rc, out, err = T.pmdb(r.dump, "::walk -s weka kmem")
T.ok("no state is called \"weka\" (did you mean weak?)" in err, "no state",
     err)
