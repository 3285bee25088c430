#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage of a heap of glibc's malloc is named by its place, and what is not
damaged has the state it has: in the main arena and in that of a thread."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import glibclib as G, truthlib as T

# kind, what is said of the damaged buffer, bytes behind it whose buffers may
# be seen otherwise
KINDS = (
    ("clean", None, 0),
    ("overflow", "size field overwritten", 0),
    ("pairs", "written past the end of the buffer before", 0),
    ("one_byte", "size field overwritten", 208),
    ("fast_cycle", "in a fastbin twice, a cycle: freed twice", 0),
    ("fast_write", "(40 bytes, fastbin): its link is overwritten", 0),
    ("tcache_write", "(56 bytes, tcache): its link is overwritten", 0),
    ("tcache_cycle", "in a tcache twice: freed twice", 0),
    ("tcache_key", "(56 bytes, tcache): its key is overwritten", 0),
    ("unsorted_links", "(unsorted): its list pointer fd is overwritten", 0),
    ("large_bk", "(largebin): its list pointer bk is overwritten", 0),
    ("top", "size of the top chunk", 0),
    ("prev_size", "written past its end", 0),
    ("mapped", "mmapped chunk", 0),
)


def findings(core):
    rc, out, err = T.pmdb(core, "::kmem_verify", json_out=True)
    if rc != 0:
        raise T.PmdbError("::kmem_verify: " + err)
    rows = T.parse_json(out)
    return ([r for r in rows if "text" in r and "addr" in r],
            [r for r in rows if r.get("cache", "").startswith("arena ")])


def told(found, arenas):
    """The arenas' rows: clean where nothing is damaged, and no place twice."""
    counted = sum(r["corrupt_buffers"] for r in arenas)
    return arenas and counted <= len(found) and all(
        r["integrity"].startswith("%d damaged" % r["corrupt_buffers"])
        if r["corrupt_buffers"] else
        r["integrity"] == ("clean" if counted == len(found)
                           else "no damage in its chunks") for r in arenas)


def named(m, found, words):
    """The finding that names the damaged buffer."""
    addr = next(iter(m.corrupt))
    for f in found:
        if words in f["text"] and ("%x" % addr in f["text"] or
                                   int(f["addr"], 16) == addr):
            return f
    # a mapping that its neighbour was merged with has lost its place
    return words == "mmapped chunk" and len(found) == 1 and found[0]


def is_unknown(core, addr):
    """One whose header was overwritten: nobody knows, and that is said."""
    return " is unknown " in T.pmdb(core, "%#x::whatis" % addr)[1]


def walk(core):
    return T.walk(core, "::walk kmem", is_damaged=True)


T.plan(len(KINDS) * 2 * 3)
for kind, words, span in KINDS:
    for where in ("main", "thread"):
        name = "%s (%s)" % (kind, where)
        m = G.run("glibc_damage", [kind] + ["t"] * (where == "thread"),
                  kind + where)[0]
        found, arenas = findings(m.core)
        text = "\n".join(f["text"] for f in found)
        T.ok(told(found, arenas), name + ": a row for each arena", arenas)
        if words is None:
            T.ok(not found, name + ": nothing is found", text)
        else:
            T.ok(named(m, found, words) and len(found) <= 2,
                 name + ": its place is named", text)
        lo = min(m.corrupt) if m.corrupt else 0
        near = {a for a in set(m.allocated()) | m.free |
                set(walk(m.core))
                if lo <= a <= lo + span} if m.corrupt else set()
        got = set(walk(m.core)) - near
        lost = [a for a in set(m.allocated()) - near - got
                if is_unknown(m.core, a)]
        near |= set(lost)
        T.ok(got == set(m.allocated()) - near and
             len(lost) <= (kind in ("overflow", "pairs")),
             name + ": all other buffers are what they are",
             T.difference(got, set(m.allocated()) - near))
