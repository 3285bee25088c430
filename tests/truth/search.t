#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""::kgrep finds what a reading of the core's bytes finds, and no more;
::whatthread the threads whose stacks have a value, as the fixture says."""
import os, struct, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

T.plan(1 + 8 + 2 + 4)
r = T.run("stack_words")
t = r.truth()
T.ok(r.rc == 0 and len(set(t.by.values())) == 4, "stack_words: runs", r.err)

image = open(r.dump, "rb").read()
phoff, = struct.unpack_from("<Q", image, 32)
phnum, = struct.unpack_from("<H", image, 56)
loads = []
for i in range(phnum):
    p = struct.unpack_from("<IIQQQQQQ", image, phoff + 56 * i)
    if p[0] == 1 and p[5] and p[1]:
        loads.append((p[3], image[p[2]:p[2] + p[5]]))


def in_core(a):
    return any(s <= a < s + len(b) for s, b in loads)


def grep(match, size=8):
    code = {1: "B", 2: "<%dH", 4: "<%dI", 8: "<%dQ"}[size]
    found = set()
    for start, data in loads:
        n = len(data) // size
        words = data if size == 1 else struct.unpack_from(code % n, data)
        found.update(start + i * size for i, w in enumerate(words) if match(w))
    return found


buf = min(t.by)
low = buf & 0xffff
page = buf & ~0xfff
for options, match, size in (
        ("%x::kgrep" % buf, lambda w: w == buf, 8),
        ("%x::kgrep -d 0x70" % buf, lambda w: buf <= w < buf + 0x70, 8),
        ("%x::kgrep -M 0xfff" % page, lambda w: w & ~0xfff == page, 8),
        ("%x::kgrep -m 0xfffffffffffff000" % page,
         lambda w: w & ~0xfff == page, 8),
        ("0xdeadbeef::kgrep -s 4", lambda w: w == 0xdeadbeef, 4),
        ("%x::kgrep -s 2" % low, lambda w: w == low, 2),
        ("0xa5::kgrep -s 1", lambda w: w == 0xa5, 1)):
    got = set(T.walk(r.dump, options + " | ::grep 1"))
    want = grep(match, size)
    new = {a for a in got - want if in_core(a)}
    T.ok(want and want <= got and not new, options, T.difference(got, want))
some = sorted(grep(lambda w: w == buf))
got = T.walk(r.dump, "%x::kgrep -a %x -A %x | ::grep 1" %
             (buf, some[0] + 1, some[-1]))
T.ok(got == some[1:-1], "::kgrep -a -A: between two addresses",
     "%s %s" % (T.hexes(got), T.hexes(some)))

rc, out, err = T.pmdb(r.dump, "1::kgrep -d 2 -m 4")
T.ok("only one of -d, -m and -M may be specified" in err, "-d and -m", err)
rc, out, err = T.pmdb(r.dump, "1::kgrep -s 3")
T.ok("size must be a power of 2" in err, "-s 3", err)

for addr, tid in sorted(t.by.items()):
    got = set(T.walk(r.dump, "%x::whatthread" % addr))
    T.ok(got == {tid}, "%x::whatthread is thread %d" % (addr, tid), got)
