#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""One thread and four say the same, byte for byte: of sound dumps, with and
without debugging, and of dumps with words of the allocator's overwritten; of
heaps of glibc's malloc, sound and with damage in them, too."""
import os, random, struct, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import glibclib as G, truthlib as T

FIXTURES = ("clean", "deep_list", "ends", "interior", "kmem_sizes", "leak_chain",
            "leak_ring", "leak_shared", "leak_tree", "magazines", "oversize",
            "threads_busy", "thread_exited", "tls", "overrun_live",
            "write_freed")
COMMANDS = ("::findleaks -dv", "::kmem_states", "::retained", "::walk kmem",
            "::walk leakbuf", "::walk freemem", "::kmastat", "::kmem_verify")
DAMAGED = 12
T.plan(2 * len(FIXTURES) + 10)


def answer(dump, njobs, commands=COMMANDS):
    os.environ["PMDB_JOBS"] = str(njobs)
    try:
        return T.pmdb(dump, *commands)
    finally:
        del os.environ["PMDB_JOBS"]


def first_difference(a, b):
    for x, y in zip(a[1].splitlines() + [a[2]], b[1].splitlines() + [b[2]]):
        if x != y:
            return "%s\n%s" % (x, y)
    return "%s, %s" % (a[0], b[0])


for name in FIXTURES:
    for tag, env in (("audited", None), ("plain", {"KMEM_DEBUG": ""})):
        r = T.run(name, env=env, tag=tag)
        one, four = answer(r.dump, 1), answer(r.dump, 4)
        T.ok(one == four and len(one[1]) > 200, "%s, %s" % (name, tag),
             first_difference(one, four))

# levels so wide that each thread has a part of them: the same ways, and the
# right ones
r = T.run("wide")
t = r.truth()
asked = ["%x::path" % a for a in sorted(t.path)]
asked += ["::kmem_states", "::walk -s past kmem",
          "::walk -s interior kmem | ::path", "::retained"]
one, four = answer(r.dump, 1, asked), answer(r.dump, 4, asked)
T.ok(one == four, "wide: the same ways", first_difference(one, four))
lengths = [way.count("\n") for way in four[1].split("WORD ")[1:len(t.path)]]
T.ok(set(lengths) == {4} and {n for n, *_ in t.path.values()} == {3},
     "wide: a header and three steps", lengths)
states = {row["state"]: row["buffers"] for row in T.parse_json(
    T.pmdb(r.dump, "::kmem_states", json_out=True)[1])}
T.ok(0 <= states["interior"] - len(t.interior) <= t.other and
     states["past"] == len(t.interior), "wide: how they are held", states)

# and a search of all memory, in each of its sizes, against one of the file
a = min(t.path)
asked = ["%x::kgrep" % a, "%x::kgrep -v -d 10000" % a,
         "%x::kgrep -s 1" % (a & 255), "%x::kgrep -s 2" % (a & 65535),
         "%x::kgrep -s 4" % (a & 0xffffffff)]
one, four = answer(r.dump, 1, asked), answer(r.dump, 4, asked)
T.ok(one == four, "wide: the same words", first_difference(one, four))
core = open(r.dump, "rb").read()
words = struct.unpack("<%dQ" % (len(core) // 8), core[:len(core) // 8 * 8])
found = T.pmdb(r.dump, *asked[:1])[1].split()
T.ok(len(found) == words.count(a) > 0, "wide: every word", found)

# words that look like pointers are bent, so that lists and slabs are damaged
dice = random.Random(417)
sound = T.run("magazines", env={"KMEM_DEBUG": ""}, tag="bent").dump
data = open(sound, "rb").read()
ndamaged, bad = 0, []
for k in range(DAMAGED):
    bent = bytearray(data)
    for _ in range(600):
        at = dice.randrange(0x1000, len(bent) // 8 - 1) * 8
        word = struct.unpack_from("<Q", bent, at)[0]
        if 0x7000_0000_0000 <= word < 0x8000_0000_0000:
            struct.pack_into("<Q", bent, at, word + dice.choice((-64, 8, 4096)))
    dump = os.path.join(T.WORK, "bent.core")
    with open(dump, "wb") as f:
        f.write(bent)
    one, four = answer(dump, 1), answer(dump, 4)
    ndamaged += "no verdict" in one[2] + one[1]
    if one != four:
        bad.append((k, first_difference(one, four)))
T.ok(not bad, "%d damaged dumps" % DAMAGED, bad)
T.ok(ndamaged >= DAMAGED // 3, "they are damaged", ndamaged)

# glibc's regions are walked in pieces: sizes of chunks are overwritten, which
# then lie before, behind and across the places where pieces begin
GLIBC = ("::arenas", "::heapstat", "::findleaks", "::walk kmem",
         "::walk freemem", "::bins", "::kmem_verify")
NBENT = 6
m = G.run("glibc_states", (7, 4, 1), "states")[0]
one, four = answer(m.core, 1, GLIBC), answer(m.core, 4, GLIBC)
T.ok(one == four and "main" in one[1], "glibc: sound",
     first_difference(one, four))
data, bad, ndamaged = open(m.core, "rb").read(), [], 0
heads = {struct.pack("<Q", (size + 23 & ~15) | flags)
         for size in m.live.values() for flags in (0, 1, 4, 5) if size > 40}
places = [at for at in range(0, len(data) // 8 * 8, 8)
          if data[at:at + 8] in heads]
for k in range(NBENT):
    bent = bytearray(data)
    for at in dice.sample(places, dice.choice((1, 2, 8))):
        word = struct.unpack_from("<Q", bent, at)[0]
        struct.pack_into("<Q", bent, at, dice.choice(
            (word + 16, word ^ 1, word - 16, 0x4141414141414141, 0)))
    dump = os.path.join(T.WORK, "bent.core")
    with open(dump, "wb") as f:
        f.write(bent)
    one, four = answer(dump, 1, GLIBC), answer(dump, 4, GLIBC)
    ndamaged += "no verdict" in one[2] + one[1]
    if one != four:
        bad.append((k, first_difference(one, four)))
T.ok(not bad, "glibc: %d damaged dumps" % NBENT, bad)
T.ok(ndamaged >= NBENT // 3, "glibc: they are damaged", ndamaged)
