#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""One thread and four say the same, byte for byte: of sound dumps, with and
without debugging, and of dumps with words of the allocator's overwritten."""
import os, random, struct, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

FIXTURES = ("clean", "deep_list", "ends", "interior", "kmem_sizes", "leak_chain",
            "leak_ring", "leak_shared", "leak_tree", "magazines", "oversize",
            "threads_busy", "thread_exited", "tls", "overrun_live",
            "write_freed")
COMMANDS = ("::findleaks -dv", "::kmem_states", "::retained", "::walk kmem",
            "::walk leakbuf", "::walk freemem", "::kmastat", "::kmem_verify")
DAMAGED = 12
T.plan(2 * len(FIXTURES) + 7)


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
