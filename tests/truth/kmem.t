#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that link libkmem for caches, sizes and arenas of their own."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

T.plan(2 * (T.COMPARE + 1) * 2 + 4 + 5 + 6)
for tag, env in (("default", {}), ("plain", {"KMEM_DEBUG": ""})):
    for name in ("kmem_caches", "kmem_sizes"):
        r = T.run(name, env=env, tag=tag)
        title = "%s (%s)" % (name, tag)
        T.ok(r.rc == 0 and r.out == "" and r.err == "",
             title + ": runs", "status %d %r %r" % (r.rc, r.out, r.err))
        T.compare(r, title, exact=tag == "default")

# a walker of its own for each cache
r = T.run("kmem_caches")
t = r.truth()
for name, group, size in (("fix_small", "small", 24),
                          ("fix_large", "large", 3000),
                          ("fix_built", "built", 56),
                          ("fix_nomag", "nomag", 200)):
    got = set(T.walk(r.dump, "::walk " + name))
    want = {a for a, s in t.live.items() if s == size} | t.groups()[group]
    T.ok(got == want, "kmem_caches: ::walk " + name, T.difference(got, want))

r = T.run("arenas")
t = r.truth()
T.ok(r.rc == 0 and not r.err, "arenas: runs", r.err)
rows = T.parse_json(T.pmdb(r.dump, "::vmem", json_out=True)[1])
addr = {str(v.get("name", "")).strip(): v.get("addr") for v in rows}
for name in ("fix_source", "fix_child", "fix_ids"):
    got = set()
    try:
        segs = T.walk(r.dump, "%s::walk vmem_alloc" % addr.get(name))
        rc, out, err = T.pmdb(r.dump, "%s::walk vmem_alloc | ::vmem_seg"
                              % addr.get(name), json_out=True)
        for row in T.parse_json(out):
            place = row["start"], row["end"]
            if name != "fix_ids":  # whose places are numbers
                place = tuple(int(x, 16) for x in place)
            got.add(place)
    except (T.PmdbError, ValueError, KeyError) as e:
        print("#", e)
    want = {(a, a + s) for a, (s, n) in t.segment.items() if n == name}
    spans = want <= got and len(got) > len(want)
    T.ok(spans if name == "fix_source" else got == want,
         "arenas: segments of " + name, "%s\n%s" % (sorted(got), sorted(want)))
T.ok(T.check(r.dump)[0] == 0, "arenas: check ends with 0")

# minor numbers of ptys: identifiers, which are no addresses
r = T.run("pty_minors")
t = r.truth()
T.ok(r.rc == 0 and not r.err, "pty_minors: runs", r.err)
rows = T.parse_json(T.pmdb(r.dump, "::vmem", json_out=True)[1])
arena = [v for v in rows if str(v.get("name", "")).strip() == "ptms_minor"]
T.ok(len(arena) == 1, "pty_minors: the arena is there")
got, spans = set(), set()
addr = arena[0]["addr"]
for kind, into in (("alloc", got), ("span", spans)):
    rc, out, err = T.pmdb(r.dump, "%s::walk vmem_%s | ::vmem_seg"
                          % (addr, kind), json_out=True)
    for row in T.parse_json(out):
        into.add((row["start"], row["end"]))
want = {(a, a + s) for a, (s, n) in t.segment.items() if n == "ptms_minor"}
T.ok(len(want) > 200 and got == want, "pty_minors: each number that is out",
     "%s\n%s" % (sorted(got - want), sorted(want - got)))
T.ok(spans == {(1, 17), (17, 33), (33, 65), (65, 129), (129, 257),
               (257, 385)},
     "pty_minors: the spans it grew by", sorted(spans))
live = set(T.walk(r.dump, "::walk kmem"))
T.ok(set(t.live) <= live and not live & {a for a, e in want},
     "pty_minors: its buffers are, and no number is one")
T.ok(T.check(r.dump)[0] == 0, "pty_minors: check ends with 0")
