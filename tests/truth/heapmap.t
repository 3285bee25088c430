#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""::heapmap against the walks: what is allocated and free in each cell, and the
picture against the cells."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

T.plan(10)
r = T.run("magazines")


def rows(cmd):
    rc, out, err = T.pmdb(r.dump, cmd, json_out=True)
    return T.parse_json(out)


def cells(cmd):
    return {int(x["addr"], 16): (x["allocated_bytes"], x["free_bytes"])
            for x in rows(cmd)}


def sums(spans, size):
    """{cell: [allocated, free]} of (start, end, is allocated)"""
    to = {}
    for start, end, used in spans:
        while start < end:
            base = start // size * size
            step = min(end, base + size) - start
            to.setdefault(base, [0, 0])[0 if used else 1] += step
            start += step
    return {a: tuple(n) for a, n in to.items()}


caches = {c["name"]: c for c in rows("::walk kmem_cache | ::kmem_cache")}
most = max((c for c in caches if c.startswith("kmem_alloc_")),
           key=lambda c: len(T.walk(r.dump, "::walk " + c)))
size = caches[most]["bufsize_bytes"]
spans = [(a, a + size, used)
         for walk, used in (("kmem", True), ("freemem", False))
         for a in T.walk(r.dump, "%x::walk %s" %
                         (int(caches[most]["addr"], 16), walk))]
T.ok(len(spans) > 10, most + " has buffers", len(spans))
for n in (4096, 65536):
    got, want = cells("::heapmap -s 0t%d %s" % (n, most)), sums(spans, n)
    T.ok(got == want, "cells of %d bytes" % n, (got, want))
got = cells("%s::heapmap" % caches[most]["addr"])
T.ok(got and sum(map(sum, got.values())) == size * len(spans),
     "by address, all of it", got)

text = T.pmdb(r.dump, "::heapmap -A -s 0t4096 " + most)[1]
drawn = {}
for line in text.split("bytes a cell")[0].splitlines()[:-1]:
    if line:
        at, signs = int(line[:12], 16), line[14:]
        drawn.update({at + 4096 * i: c for i, c in enumerate(signs)
                      if c != " "})
want = {}
for at, (used, free) in sums(spans, 4096).items():
    want[at] = ("." if used == 0 else "#" if free == 0 else
                str(1 + used * 7 // (used + free)))
T.ok(drawn == want, "the picture shows them", (drawn, want))
T.ok("allocated: %d buffers" % sum(1 for s in spans if s[2]) in text and
     "free: %d buffers" % sum(1 for s in spans if not s[2]) in text,
     "and counts the buffers", text[-300:])
T.ok(all(len(line) <= 80 for line in text.splitlines() if line[12:14] == "  "),
     "it fits 80 columns")

segs = rows("::walk vmem | ::vmem")
oversize = next(s["addr"] for s in segs if s["name"] == "kmem_default")
rows_ = rows("%s::walk vmem_alloc | ::vmem_seg" % oversize)
spans = [(int(s["start"], 16), int(s["end"], 16), True) for s in rows_]
got = {a: n[0] for a, n in cells("::heapmap -s 0t4096 kmem_default").items()
       if n[0]}
want = {a: n[0] for a, n in sums(spans, 4096).items()}
T.ok(got == want, "an arena's segments", (len(got), len(want)))
rc, out, err = T.pmdb(r.dump, "::heapmap nosuch")
T.ok(rc == 1 and "no cache or arena named nosuch" in err, "no such name", err)
os.environ.update(LC_ALL="C.UTF-8")
text = T.pmdb(r.dump, "::heapmap " + most)[1]
T.ok("\u2588" in text or "\u00b7" in text, "blocks where there is UTF-8", text)
