#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""::refs and ::pointees against a reading of the core's bytes: for the buffers
of two trees, who points at whom."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

T.plan(7)
r = T.run("leak_tree")
t = r.truth()
size = dict(t.live)
size.update({a: s for a, (s, g) in t.leak.items()})


def words(addr, n):
    return T.words(r.dump, addr, n // 8)


down = {a: [(i * 8, w) for i, w in enumerate(words(a, n)) if w in size]
        for a, n in size.items()}
up = {a: sorted((b, o) for b in down for o, w in down[b] if w == a)
      for a in size}


def rows(cmd):
    return T.parse_json(T.pmdb(r.dump, cmd, json_out=True)[1])


def num(x):
    return int(x, 16) if isinstance(x, str) else x


some = sorted(size)[::7]
bad = []
for a in some:
    got = [(num(v["offset"]), num(v["buffer"])) for v in
           rows("%x::pointees" % a)]
    if got != down[a]:
        bad.append((hex(a), got, down[a]))
T.ok(len(some) > 10 and sum(len(down[a]) for a in some) > 10 and not bad,
     "::pointees: each word", bad[:3])
bad = []
for a in some:
    got = sorted((num(v["holder"]), num(v["offset"])) for v in
                 rows("%x::refs" % a) if v["kind"] == "buffer")
    if got != up[a]:
        bad.append((hex(a), got, up[a]))
T.ok(not bad, "::refs: each buffer that points at it", bad[:3])

# the root of the tree that is kept, and of the one that is not
top = [a for a in t.live if not up[a]]
got = rows("%x::refs" % top[0])
T.ok(len(top) == 1 and [v["where"] for v in got if v["kind"] == "data"] ==
     ["kept"], "the root of the tree is held by its variable", got)
lost = [a for a in t.leak if not up[a]]
T.ok(len(lost) == 2 and all(rows("%x::refs" % a) == [] for a in lost),
     "what nobody holds has none", lost)
inner = [v["to_offset"] for v in rows("%x::refs" % (top[0] + 3))]
T.ok([num(o) for o in inner] == [0], "an address within means the buffer",
     inner)
got = T.walk(r.dump, "%x::pointees | ::refs | ::grep 1" % top[0])
T.ok(set(got) == {top[0]}, "down and up again", T.hexes(got))

# a thread that ended left its vector of TLS blocks to the next: that is a root
r = T.run("thread_exited")
leaked = set(T.walk(r.dump, "::walk leakbuf", "::findleaks"))
held = set(T.walk(r.dump, "::walk kmem")) - leaked
bare = [a for a in held if rows("%x::refs" % a) == []]
ended = rows("::walk kmem | ::refs")
T.ok(held and not bare and
     any(v["kind"] == "tls" and v["holder"] is None for v in ended),
     "whatever is not leaked is held by somebody", T.hexes(bare))
