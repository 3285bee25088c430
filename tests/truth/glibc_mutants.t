#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps of a heap of glibc's malloc with one kind of word overwritten, in all
ways that are of interest: of each, "pmdb check" tells damage and names its
place, nothing ends badly, and what the damage does not touch is what it was:
no buffer is lost, none is free that was in use, no leak is invented.

The words are found by reading the dump here, by what malloc's own sources say
of its structures, not by asking pmdb.  SILENT lists what nobody can tell, and
why; a mutant of it that is told after all is an error of that list.

--all: every mutant (--part=I/N: a part of them); --only=TEXT: those whose
names have it; --table: what was told, by kind"""
import json, os, random, re, struct, subprocess, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import damage as D, glibclib as G, truthlib as T

OPTIONS = dict(a.lstrip("-").split("=", 1) if "=" in a else (a.lstrip("-"), "1")
               for a in sys.argv[1:])
ALL, ONLY = "all" in OPTIONS, OPTIONS.get("only")
EVERY = 29  # of a short run: one mutant in so many
JUNK = 0x4141414141414141
MAX_PAIR = 127

# struct malloc_state, heap_info, malloc_par, tcache_perthread_struct (64 bit,
# 2.35 to 2.41): what Debian 12 has; checked against libc's own names below
A = {"mutex": 0, "flags": 4, "fastbinsY": 16, "top": 96,
     "last_remainder": 104, "bins": 112, "binmap": 2144, "next": 2160,
     "next_free": 2168, "attached_threads": 2176, "system_mem": 2184,
     "max_system_mem": 2192}
H = {"ar_ptr": 0, "prev": 8, "size": 16, "mprotect_size": 24}
P = {"n_mmaps": 60, "max_n_mmaps": 68, "mmapped_mem": 80,
     "max_mmapped_mem": 88, "sbrk_base": 96}
P_SIZE = {"n_mmaps": 4, "max_n_mmaps": 4}

# (begin of a name, why nobody can tell)
SILENT = (
    (r"fastbin head .*: (zero|skips one)$|fd of (first|middle) fast .*: cut$",
     "no count says how many a fastbin has; malloc itself has lost the rest"),
    (r"a tcache all zeros", "so is one that is empty"),
    (r"(prev_)?size of mapped \(aligned\): (?!.*page (more|less))|"
     r"prev_size of mapped \(aligned\): a page", "the header that the mapping was "
     "made with stands before it, and says that all is there"),
    (r"arena attached_threads .*: (zero|one more)$", "no list says who they are"),
    (r"arena last_remainder .*: (zero|a used chunk)$",
     "it may be none, or what was one once"),
    (r"arena flags \(main\): NONCONTIGUOUS$", "so is one whose break could not "
     "be moved"),
    (r"binmap of an empty bin", "a bit is cleared when the bin is looked at"),
)


class Chunk:
    def __init__(self, at, head, role, arena):
        self.at, self.head, self.role, self.arena = at, head, role, arena
        self.size = head & ~7

    def buf(self):
        return self.at + 16

    def end(self):
        return self.at + self.size


class Heap:
    """Every chunk of the undamaged dump, and where the lists are."""

    def __init__(self, d, arenas, params, tcaches):
        self.d, self.arenas, self.params = d, arenas, params
        self.tcaches = tcaches
        self.chunks, self.by_addr = [], {}
        self.heaps = {}  # arena -> its heap_infos
        for a in arenas:
            for start, end in self.regions(a):
                self.walk(a, start, end)
        self.lists()

    def regions(self, a):
        d = self.d
        if a == self.arenas[0]:
            top = d.word(a + A["top"])
            base = d.word(self.params + P["sbrk_base"])
            return [(base, top + (d.word(top + 8) & ~7))]
        found = []
        heap = d.word(a + A["top"]) & ~0x3ffffff
        while heap:
            size = d.word(heap + H["size"])
            start = heap + 48
            if d.word(heap) == start:
                start += 2200
            found.append(((start + 15) & ~15, heap + size))
            self.heaps.setdefault(a, []).append(heap)
            heap = d.word(heap + H["prev"])
        return found

    def walk(self, a, at, end):
        top = self.d.word(a + A["top"])
        while at < end:
            head = self.d.word(at + 8)
            role = "top" if at == top else "used"
            if role == "used" and head & ~7 in (0, 16):
                role = "fence"
            c = Chunk(at, head, role, a)
            self.chunks.append(c)
            self.by_addr[at] = c
            at += max(c.size, 16)

    def link(self, at):
        return self.d.word(at) ^ at >> 12

    def mark(self, chunk, role):
        self.by_addr[chunk].role = role
        return self.by_addr[chunk]

    def lists(self):
        """(owner, kind, index) -> chunks in order"""
        self.list = {}
        d = self.d
        for tc in self.tcaches:
            self.mark(tc - 16, "own")
            for i in range(64):
                at = d.word(tc + 128 + 8 * i)
                while at:
                    self.list.setdefault((tc, "tcache", i), []).append(
                        self.mark(at - 16, "tcache"))
                    at = self.link(at)
        for a in self.arenas:
            for i in range(10):
                at = d.word(a + A["fastbinsY"] + 8 * i)
                while at:
                    self.list.setdefault((a, "fast", i), []).append(
                        self.mark(at, "fast"))
                    at = self.link(at + 16)
            for i in range(1, MAX_PAIR + 1):
                head = a + A["bins"] + 16 * (i - 1) - 16
                at = d.word(head + 16)
                kind = "unsorted" if i == 1 else "small" if i < 64 else "large"
                while at != head:
                    self.list.setdefault((a, kind, i), []).append(
                        self.mark(at, kind))
                    at = d.word(at + 16)

    def first(self, role, arena, n=0):
        found = [c for c in self.chunks if c.role == role and c.arena == arena]
        return found[min(n, len(found) - 1)] if found else None


class Mutant:
    def __init__(self, name, puts, touched):
        """puts: [(address, bytes)]; touched: chunks of these addresses may be
        seen otherwise"""
        self.name, self.puts, self.touched = name, puts, set(touched)
        self.kind, self.is_cut, self.is_silent = "", False, False


def words(name, at, values, touched, size=8):
    """One mutant for each value."""
    return [Mutant("%s %s" % (name, tag), [(at, (v % (1 << 8 * size)).to_bytes(
        size, "little"))], touched) for tag, v in values]


def around(h, c):
    """The chunk itself, and those at its ends."""
    near = [c]
    i = h.chunks.index(c)
    near += h.chunks[max(0, i - 1):i] + h.chunks[i + 1:i + 2]
    return {x.buf() for x in near if x.arena == c.arena}


def where(h, a):
    return "main" if a == h.arenas[0] else "thread"


# ---- what is damaged -------------------------------------------------------

def size_fields(h):
    for a in (h.arenas[0], h.arenas[-1]):
        picks = [(role, h.first(role, a, 3)) for role in
                 ("used", "tcache", "fast", "unsorted", "small", "large",
                  "top", "own", "fence")]
        top = h.first("top", a)
        if top:
            picks.append(("before top", h.chunks[h.chunks.index(top) - 1]))
        for role, c in picks:
            if not c:
                continue
            s = c.head
            values = [("zero", 0), ("flags only", s & 7), ("huge", 1 << 60 | 1),
                      ("text", JUNK), ("past the end", s + (1 << 27)),
                      ("unaligned", s + 8), ("16 more", s + 16),
                      ("NUL", s & ~0xff), ("twice", (s & ~7) * 2 | s & 7),
                      ("smallest", 32 | s & 7), ("-1", -1),
                      ("PREV_INUSE", s ^ 1), ("MMAPPED", s ^ 2),
                      ("NON_MAIN", s ^ 4)]
            if c.size >= 48:
                values.append(("16 less", s - 16))
            yield from words("size of %s (%s):" % (role, where(h, a)),
                             c.at + 8, [v for v in values
                                        if v[1] % (1 << 64) != s],
                             around(h, c))


def prev_sizes(h):
    for a in (h.arenas[0], h.arenas[-1]):
        for role in ("unsorted", "small", "large"):
            c = h.first(role, a)
            yield from words("prev_size behind %s (%s):" % (role, where(h, a)),
                             c.end(), [("zero", 0), ("text", JUNK),
                                       ("16 more", c.size + 16)],
                             around(h, c))


def targets(h, c, mine, other):
    """Where a pointer of a bin may lead that it must not."""
    used = h.first("used", c.arena, 5)
    return [("zero", 0), ("text", JUNK), ("itself", c.at),
            ("a used chunk", used.at), ("misaligned", mine + 8),
            ("another list", other.at), ("no memory", 0x10000),
            ("another arena", [x for x in h.arenas if x != c.arena][0] + 96)]


def bin_links(h):
    for a in (h.arenas[0], h.arenas[-1]):
        bins = {k: v for k, v in h.list.items() if k[0] == a and
                k[1] in ("unsorted", "small", "large")}
        for kind in ("unsorted", "small", "large"):
            mine = max((v for k, v in bins.items() if k[1] == kind), key=len)
            other = [v for v in bins.values() if v is not mine][-1][0]
            for pos, c in {"first": mine[0], "middle": mine[len(mine) // 2],
                           "last": mine[-1]}.items():
                for name, off in (("fd", 16), ("bk", 24)):
                    old = h.d.word(c.at + off)
                    yield from words("%s of %s %s (%s):" % (
                        name, pos, kind, where(h, a)), c.at + off,
                        [v for v in targets(h, c, old, other) if v[1] != old],
                        {x.buf() for x in mine})
                if kind != "large":
                    continue
                for name, off in (("fd_nextsize", 32), ("bk_nextsize", 40)):
                    old = h.d.word(c.at + off)
                    if old:
                        yield from words("%s of %s %s (%s):" % (
                            name, pos, kind, where(h, a)), c.at + off,
                            [v for v in targets(h, c, old, other)
                             if v[1] != old], {x.buf() for x in mine})


def bin_heads(h):
    for a in (h.arenas[0], h.arenas[-1]):
        for (owner, kind, i), v in sorted(h.list.items()):
            if owner != a or kind not in ("unsorted", "small", "large"):
                continue
            head = a + A["bins"] + 16 * (i - 1) - 16
            other = h.first("used", a, 2)
            for name, off in (("fd", 16), ("bk", 24)):
                yield from words("head of %s %s (%s):" % (name, kind,
                                                         where(h, a)),
                                 head + off, [("zero", 0), ("text", JUNK),
                                              ("empty", head),
                                              ("a used chunk", other.at)],
                                 {x.buf() for x in v} | {other.buf()})
        for i in (1, 30, 90):
            head = a + A["bins"] + 16 * (i - 1) - 16
            if (a, "unsorted" if i == 1 else "small" if i < 64 else "large",
                    i) in h.list:
                continue
            other = h.first("used", a, 2)
            for name, off in (("fd", 16), ("bk", 24)):
                yield from words("head of empty bin, %s (%s):" % (name,
                                                                  where(h, a)),
                                 head + off, [("zero", 0), ("text", JUNK),
                                              ("a used chunk", other.at)],
                                 {other.buf()})


def tcache_words(h):
    for t, tc in enumerate(h.tcaches[:2]):
        who = "main" if t == 0 else "thread"
        lists = {i: v for (o, kind, i), v in h.list.items() if o == tc}
        sizes = sorted((i for i in lists if len(lists[i]) > 2),
                       key=lambda i: -len(lists[i]))
        for i in (sizes[0], sizes[-1]):
            mine = lists[i]
            near = {c.buf() for c in mine}
            a = mine[0].arena
            used = h.first("used", a, 5)
            same = [c for c in h.chunks if c.role == "used" and
                    c.size == mine[0].size][:1]
            other = [v for v in lists.values() if v is not mine][0]
            entry = tc + 128 + 8 * i
            yield from words("tcache entry (%s):" % who, entry, [
                ("zero", 0), ("text", JUNK), ("misaligned", mine[0].buf() + 8),
                ("a used chunk", used.buf()), ("another list", other[0].buf()),
                ("skips one", mine[1].buf()), ("no memory", 0x10000)] +
                [("a used one of the size", c.buf()) for c in same],
                near | {used.buf()} | {c.buf() for c in same + other})
            n = len(mine)
            yield from words("tcache count (%s):" % who, tc + 2 * i, [
                ("zero", 0), ("one more", n + 1), ("one less", n - 1),
                ("0x7fff", 0x7fff), ("text", JUNK)], near, 2)
            for pos, c in {"first": mine[0], "middle": mine[len(mine) // 2],
                           "last": mine[-1]}.items():
                def mangled(p, at=c.buf()):
                    return p ^ at >> 12
                yield from words("tcache next of %s (%s):" % (pos, who),
                                 c.buf(), [
                    ("zero", 0), ("text", JUNK), ("not mangled", mine[1].buf()),
                    ("itself", mangled(c.buf())), ("cut", mangled(0)),
                    ("another list", mangled(other[0].buf())),
                    ("a used chunk", mangled(used.buf())),
                    ("cycle", mangled(mine[0].buf()))][: -1 if pos == "first"
                                                       else None],
                    near | {used.buf()} | {x.buf() for x in other})
                yield from words("tcache key of %s (%s):" % (pos, who),
                                 c.buf() + 8, [("zero", 0), ("text", JUNK)],
                                 near)
        empty = [i for i in range(64) if i not in lists]
        for i in (empty[0], empty[-1]):
            yield from words("tcache entry of none (%s):" % who,
                             tc + 128 + 8 * i, [
                ("text", JUNK), ("a used chunk",
                                 h.first("used", h.arenas[0], 4).buf())],
                {h.first("used", h.arenas[0], 4).buf()})
            yield from words("tcache count of none (%s):" % who, tc + 2 * i,
                             [("one", 1), ("text", JUNK)], (), 2)


def fastbins(h):
    for a in (h.arenas[0], h.arenas[-1]):
        lists = {i: v for (o, kind, i), v in h.list.items()
                 if o == a and kind == "fast"}
        for i, mine in sorted(lists.items()):
            other = [v for v in lists.values() if v is not mine][0]
            near = {c.buf() for c in mine}
            used = h.first("used", a, 7)
            yield from words("fastbin head (%s):" % where(h, a),
                             a + A["fastbinsY"] + 8 * i, [
                ("zero", 0), ("text", JUNK), ("a used chunk", used.at),
                ("misaligned", mine[0].at + 8), ("another list", other[0].at),
                ("skips one", mine[1].at), ("no memory", 0x10000)],
                near | {used.buf()} | {x.buf() for x in other})
            for pos, c in {"first": mine[0], "middle": mine[len(mine) // 2],
                           "last": mine[-1]}.items():
                def mangled(p, at=c.buf()):
                    return p ^ at >> 12
                yield from words("fd of %s fast (%s):" % (pos, where(h, a)),
                                 c.buf(), [
                    ("zero", 0), ("text", JUNK), ("not mangled", mine[0].at),
                    ("itself", mangled(c.at)), ("cut", mangled(0)),
                    ("another list", mangled(other[0].at)),
                    ("a used chunk", mangled(used.at)),
                    ("cycle", mangled(mine[0].at))][: -1 if pos == "first"
                                                    else None],
                    near | {used.buf()} | {x.buf() for x in other})
        empty = [i for i in range(7) if i not in lists][0]
        used = h.first("used", a, 7)
        yield from words("head of empty fastbin (%s):" % where(h, a),
                         a + A["fastbinsY"] + 8 * empty,
                         [("text", JUNK), ("a used chunk", used.at)],
                         {used.buf()})


def arena_words(h):
    for a in h.arenas[:1] + h.arenas[-1:]:
        who = where(h, a)
        top = h.first("top", a)
        last = h.chunks[h.chunks.index(top) - 1]
        used = h.first("used", a, 4)
        ring = [x for x in h.arenas if x != a]
        def arena(member, values, touched=(), size=8):
            old = h.d.word(a + A[member]) % (1 << 8 * size)
            return words("arena %s (%s):" % (member, who), a + A[member],
                         [v for v in values if v[1] != old], touched, size)
        yield from arena("top", [("zero", 0), ("text", JUNK),
                                 ("a used chunk", used.at),
                                 ("16 more", top.at + 16),
                                 ("the chunk before", last.at),
                                 ("another arena's", h.first("top", ring[0]).at)
                                 ], {top.buf(), used.buf(), last.buf()})
        yield from arena("last_remainder", [
            ("zero", 0), ("text", JUNK), ("a used chunk", used.at)])
        yield from arena("next", [
            ("zero", 0), ("text", JUNK), ("itself", a), ("past it", a + 16),
            ("skips one", ring[1] if a == h.arenas[0] else ring[0]),
            ("a used chunk", used.at)], ["*"])
        yield from arena("next_free", [
            ("text", JUNK), ("a used chunk", used.at), ("itself", a)])
        yield from arena("attached_threads", [
            ("zero", 0), ("text", JUNK),
            ("one more", h.d.word(a + A["attached_threads"]) + 1)])
        old = h.d.word(a + A["system_mem"])
        yield from arena("system_mem", [
            ("zero", 0), ("text", JUNK), ("a page more", old + 4096),
            ("a page less", old - 4096)])
        yield from arena("max_system_mem", [("zero", 0)])
        yield from arena("flags", [("text", JUNK), ("NONCONTIGUOUS",
                         h.d.word(a + 4) % (1 << 32) ^ 2)], (), 4)
        yield from arena("mutex", [("locked", 1), ("text", JUNK)], (), 4)
        full = [k[2] for k in h.list if k[0] == a and k[1] in ("small",
                                                               "large")]
        for i in full[:2]:
            at = a + A["binmap"] + 4 * (i >> 5)
            word = h.d.word(at) % (1 << 32)
            yield from words("binmap of a full bin (%s):" % who, at,
                             [("cleared", word & ~(1 << (i & 31)))], (), 4)
        yield from words("binmap of an empty bin (%s):" % who,
                         a + A["binmap"], [("set", h.d.word(a + A["binmap"])
                                            | 1 << 30)], ())


def heap_infos(h):
    heaps = h.heaps[[a for a in h.heaps if len(h.heaps[a]) > 1][0]]
    one = [v[0] for v in h.heaps.values() if len(v) == 1][0]
    for name, at in (("second", heaps[0]), ("first", heaps[-1]),
                     ("only", one)):
        inside = {c.buf() for c in h.chunks
                  if at <= c.at < at + (1 << 26)}
        size = h.d.word(at + H["size"])
        arena = h.d.word(at)
        def info(member, values, touched=inside):
            old = h.d.word(at + H[member])
            return words("heap_info %s (%s):" % (member, name), at + H[member],
                         [v for v in values if v[1] != old], touched)
        yield from info("ar_ptr", [("zero", 0), ("text", JUNK),
                                   ("another arena", [x for x in h.arenas if
                                                      x != arena][1])])
        yield from info("prev", [("zero", 0), ("text", JUNK), ("itself", at)])
        yield from info("size", [("zero", 0), ("text", JUNK),
                                 ("a page more", size + 4096),
                                 ("a page less", size - 4096),
                                 ("unaligned", size + 16)])
        yield from info("mprotect_size", [("zero", 0), ("text", JUNK)])


def params(h):
    def par(member, values):
        size = P_SIZE.get(member, 8)
        return words("mp_.%s:" % member, h.params + P[member], values, ["*"]
                     if member == "sbrk_base" else (), size)
    d, p = h.d, h.params
    yield from par("n_mmaps", [("zero", 0), ("one more", 7), ("text", JUNK)])
    yield from par("max_n_mmaps", [("zero", 0)])
    old = d.word(p + P["mmapped_mem"])
    yield from par("mmapped_mem", [("zero", 0), ("a page more", old + 4096),
                                   ("text", JUNK)])
    yield from par("max_mmapped_mem", [("zero", 0)])
    old = d.word(p + P["sbrk_base"])
    yield from par("sbrk_base", [("zero", 0), ("text", JUNK), ("16 more",
                                 old + 16), ("a page less", old - 4096)])


def mapped(h, bigs):
    for name, at in bigs:
        s = h.d.word(at + 8)
        before = h.d.word(at)
        yield from words("size of mapped (%s):" % name, at + 8, [
            ("zero", 0), ("text", JUNK), ("16 more", s + 16), ("NUL",
             s & ~0xff), ("a page more", s + 4096), ("a page less", s - 4096),
            ("NON_MAIN", s ^ 4), ("PREV_INUSE", s ^ 1), ("not mapped", s ^ 2)],
            {"mapped"})
        yield from words("prev_size of mapped (%s):" % name, at, [
            ("text", JUNK), ("16 more", before + 16),
            ("a page more", before + 4096)], {"mapped"})


def thread_pointers(h, places):
    for i, at in enumerate(places[:2]):
        name = "tcache of a thread (%s):" % ("main" if i == 0 else "thread")
        near = {h.tcaches[i]}
        other = h.tcaches[1 - i]
        used = h.first("used", h.arenas[0], 3)
        yield from words(name, at, [("text", JUNK), ("a used chunk",
                         used.buf()), ("misaligned", h.tcaches[i] + 8),
                         ("another thread's", other), ("no memory", 0x10000)],
                         near | {used.buf()})


def smashes(h):
    rng = random.Random(7)
    for a in (h.arenas[0], h.arenas[-1]):
        used = [c for c in h.chunks if c.role == "used" and c.arena == a and
                c.size >= 64]
        for role, c in (("a used buffer", used[6]),
                        ("a used buffer, later", used[-6]),
                        ("a large free", h.first("large", a, 1)),
                        ("an unsorted", h.first("unsorted", a)),
                        ("a small free", h.first("small", a)),
                        ("a fast", h.first("fast", a)),
                        ("a tcached", h.first("tcache", a, 2))):
            if not c:
                continue
            for n in (16, 64, 4096):
                for what, data in (("text", b"A" * n),
                                   ("noise", rng.randbytes(n)),
                                   ("zeros", bytes(n))):
                    # of a used one: from its end on; of a free one: from its
                    # begin, as writing after free does
                    at = c.end() + 8 if c.role == "used" else c.buf()
                    hit = {x.buf() for x in h.chunks
                           if x.at < at + n + 16 and x.end() + 16 > at}
                    yield Mutant("%d of %s over %s (%s)" % (
                        n, what, role, where(h, a)), [(at, data)],
                        hit | around(h, c))
        # the whole structure of a thread, and of an arena
        for what, data in (("text", b"A"), ("zeros", b"\0"), ("ones", b"\xff")):
            tc = h.tcaches[0 if a == h.arenas[0] else 1]
            yield Mutant("a tcache all %s (%s)" % (what, where(h, a)),
                         [(tc, data * 640)],
                         {c.buf() for k, v in h.list.items() if k[0] == tc
                          for c in v} | {tc})
            yield Mutant("bins all %s (%s)" % (what, where(h, a)),
                         [(a + A["bins"], data * 2032)],
                         {c.buf() for k, v in h.list.items() if k[0] == a
                          for c in v})
            yield Mutant("an arena all %s (%s)" % (what, where(h, a)),
                         [(a, data * 2200)], ["*"])


# ---- asking pmdb -----------------------------------------------------------

COMMANDS = ("::walk kmem", "::echo =====", "::walk freemem", "::echo =====",
            "::findleaks ! cat >/dev/null", "::walk leakbuf", "::echo =====",
            "::heapstat", "::bins", "::tcache", "::arenas", "::status",
            "::kmem_states", "::kmem_verify -v")


class Tester:
    def __init__(self):
        self.m = G.run("glibc_lists", [], "lists")[0]
        self.d = D.Dump(self.m.core)
        self.bad, self.silent, self.unnamed, self.wrong = [], [], [], []
        self.table, self.n, self.known = {}, 0, {}
        self.live = set(self.m.allocated())

    def learn(self):
        d = self.d
        d.learn([], ["main_arena", "mp_"])
        for name, members in (("malloc_state", A), ("_heap_info", H),
                              ("malloc_par", P)):
            for member, want in members.items():
                out = D.commands(d.path, ["::offsetof %s %s" % (name,
                                                               member)])[1]
                got = re.search(r"\) = (\w+),", out)
                if not got or int(got.group(1), 16) != want:
                    return "%s.%s: %s" % (name, member, out)
        main = d.symbols["main_arena"]
        arenas, at = [main], d.word(main + A["next"])
        while at != main:
            arenas.append(at)
            at = d.word(at + A["next"])
        # a structure is the first of its heap, and a variable of the thread
        # points at it
        starts = [d.word(d.symbols["mp_"] + P["sbrk_base"]) + 16]
        for a in arenas[1:]:
            starts.append(a + 2200 + 15 + 16 & ~15)
        found = {}
        for start, off, size in d.loads:
            if start <= main < start + size or size > 1 << 24:
                continue
            for at in range(start, start + size - 7, 8):
                w = struct.unpack_from("<Q", d.image, off + at - start)[0]
                if w in starts and w not in found and not any(
                        abs(at - s) < 1 << 26 for s in starts):
                    found[w] = at
        # that of a thread that is gone is free: the next chunk says so
        tcaches = [s for s in starts if s in found and
                   d.word(s - 8 + (d.word(s - 8) & ~7)) & 1]
        self.h = Heap(d, [main] + [a for a in arenas[1:]],
                      d.symbols["mp_"], tcaches)
        self.tls = [found[t] for t in tcaches]
        self.bigs = []
        self.mapped = {b for b in self.live if d.word(b - 8) & 2}
        for buf in sorted(self.m.live):
            head = d.word(buf - 8)
            if head & 7 == 2:
                name = "aligned" if d.word(buf - 16) else "plain"
                if name not in [n for n, _ in self.bigs]:
                    self.bigs.append((name, buf - 16))
        return ""

    def sites(self):
        h = self.h
        for kind, made in (
                ("size", size_fields(h)), ("prev_size", prev_sizes(h)),
                ("bin links", bin_links(h)), ("bin heads", bin_heads(h)),
                ("tcache", tcache_words(h)), ("fastbin", fastbins(h)),
                ("arena", arena_words(h)), ("heap_info", heap_infos(h)),
                ("mp_", params(h)), ("mapped", mapped(h, self.bigs)),
                ("TLS", thread_pointers(h, self.tls)),
                ("smash", smashes(h))):
            for m in made:
                m.kind = kind
                yield m

    def put(self, m):
        is_other = False
        for at, data in m.puts:
            off = self.d.where(at)
            old = self.d.image[off:off + len(data)]
            is_other = is_other or old != data
            self.d.saved.append((off, old))
            m.is_cut = m.is_cut or any(
                w in self.live for w in struct.unpack(
                    "<%dQ" % (len(old) // 8), old[:len(old) & ~7])
                ) and m.kind == "smash"
            self.d.image[off:off + len(data)] = data
        return is_other

    def test(self, m):
        try:
            if not self.put(m):
                return
            self.n += 1
            self.judge(m)
        finally:
            self.d.restore()

    def judge(self, m):
        row = self.table.setdefault(m.kind, [0, 0, 0, 0])
        row[0] += 1
        rc, out, err = D.run(["check", "--format", "json", self.d.path])
        if rc not in (0, 1, 3):
            self.bad.append("%s: check: %s %s" % (m.name, rc, err[-300:]))
            return
        v = json.loads(out) if out.strip() else {"corruption": [], "leaks": []}
        is_told = rc == 3 or bool(v["corruption"])
        why = [why for begin, why in SILENT if re.match(begin, m.name)]
        m.is_silent = bool(why)
        if is_told and why:
            self.unnamed.append("%s: told after all" % m.name)
        if not is_told and not why:
            self.silent.append("%s: check: %d" % (m.name, rc))
        if not is_told and why:
            row[2] += 1
        row[1] += is_told
        texts = [f["text"] for f in v["corruption"]]
        if is_told and v["corruption"] and not self.is_named(m, v):
            self.unnamed.append("%s: %s" % (m.name, " / ".join(texts[:3])))
        elif is_told:
            row[3] += 1
        rc, out, err = D.commands(self.d.path, COMMANDS)
        if rc not in (0, 1, 2, 3):
            self.bad.append("%s: commands: %s %s" % (m.name, rc, err[-300:]))
        elif out.count("=====") == 3:
            self.compare(m, out, texts)
        elif "*" not in m.touched:
            self.wrong.append("%s: %s" % (m.name, err[-200:]))

    def is_named(self, m, v):
        """Is it the place that is told, or what it belongs to?"""
        at, data = m.puts[0]
        near = {at, *m.touched} - {"*", "mapped"}
        for c in self.h.chunks:
            if c.at <= at < c.end() or c.buf() in near:
                near |= {c.at, c.buf()}
        near |= {a for a in self.h.arenas if a <= at < a + 2200}
        near |= {t for t in self.h.tcaches if t <= at < t + 640}
        if at in self.tls:
            near |= set(self.tls)
        if self.h.params <= at < self.h.params + 104:
            near |= {self.h.params + off for off in P.values()}
            near.add(self.h.arenas[0] + A["system_mem"])
        if m.name.startswith("arena next "):
            near |= {a + off for a in self.h.arenas for off in range(2200)}
        for name, big in self.bigs:
            near |= {big, big + 16} if big <= at < big + 16 else set()
        for f in v["corruption"]:
            said = [int(f[k], 16) for k in ("addr", "at") if f[k]]
            if any(at <= s < at + len(data) + 8 or s in near for s in said) or \
                    any("%x" % s in f["text"] for s in near):
                return True
        return "mapped" in m.touched and any("mmapped" in f["text"]
                                             for f in v["corruption"])

    def compare(self, m, out, texts):
        if "*" in m.touched:
            return
        used, free, leaks = ({int(w, 16) for w in part.split()
                              if w.startswith("0x")}
                             for part in out.split("=====")[:3])
        near = set(m.touched)
        if "mapped" in near:
            near |= self.mapped
        wrong = []
        lost = self.live - used - near
        if lost:
            wrong.append("%d in use are not seen, %x" % (len(lost), min(lost)))
        # what was pointed at from there is indeed leaked now
        false = leaks - set(self.m.leak) - near if not m.is_cut else ()
        if false:
            wrong.append("%d leaks invented, %x" % (len(false), min(false)))
        freed = {b for b in free & self.live} - near
        if freed:
            wrong.append("%d in use are free, %x" % (len(freed), min(freed)))
        alive = {b for b in used & self.m.free} - near
        if alive:
            wrong.append("%d free ones are in use, %x" % (len(alive),
                                                          min(alive)))
        false = leaks & near - set(self.m.leak)
        if false and not m.is_cut and not m.is_silent:
            wrong.append("%d leaks invented of what is damaged, %x" %
                         (len(false), min(x for x in false)))
        if wrong:
            self.wrong.append("%s: %s (%s)" % (m.name, "; ".join(wrong),
                                              " / ".join(texts[:2])))


def main():
    T.plan(6)
    t = Tester()
    why = t.learn()
    if why:
        for name in ("whole", "end", "told", "named", "else", "silent"):
            T.skip(name, "libc's structures are others: " + why)
        return
    rc, v, err = T.check(t.m.core)
    T.ok(rc == 1 and not v["corruption"] and "inconclusive" not in
         v["verdicts"] and {"used", "tcache", "fast", "unsorted", "small",
                            "large", "top", "fence", "own"} ==
         {c.role for c in t.h.chunks} and len(t.bigs) == 2 and
         len(t.h.arenas) == 4,
         "the dump is whole to begin with, with something in each list", err)
    part, parts = map(int, OPTIONS.get("part", "0/1").split("/"))
    for i, m in enumerate(t.sites()):
        if ONLY:
            if ONLY in m.name:
                t.test(m)
        elif (i % parts == part) if ALL else i % EVERY == 0:
            t.test(m)
    T.ok(not t.bad and t.n, "%d mutants end well" % t.n, "\n".join(t.bad))
    T.ok(not t.silent, "check tells each", "\n".join(t.silent))
    T.ok(not t.unnamed, "and its place", "\n".join(t.unnamed))
    T.ok(not t.wrong, "what it does not touch is what it was",
         "\n".join(t.wrong))
    T.ok(all(r[0] == r[1] + r[2] for r in t.table.values()) or t.silent,
         "the rest is what nobody can tell")
    if "table" in OPTIONS:
        print("# %-12s %7s %5s %6s %s" % ("kind", "mutants", "told", "placed",
                                          "nobody can tell"))
        for kind, (n, told, untold, named) in t.table.items():
            print("# %-12s %7d %5d %6d %d" % (kind, n, told, named, untold))


main()
