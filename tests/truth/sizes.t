#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sizes a program asked for: ::kmem_malloc_dist, ::kmem_malloc_info and the
histogram of ::kmem_slabs, against what the fixture asked for."""
import collections, os, re, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

T.plan(10)


def rows(dump, cmd):
    return T.parse_json(T.pmdb(dump, cmd, json_out=True)[1])


r = T.run("kmem_sizes")
t = r.truth()
caches = {row["name"]: row for row in rows(r.dump, "::kmem_cache")}
largest = max(row["bufsize_bytes"] for n, row in caches.items()
              if re.fullmatch(r"kmem_alloc_\d+", n))
asked = [s for s in t.live.values() if s <= largest]
asked += [s for s, g in t.leak.values() if s <= largest]
want = collections.Counter(asked)
raw = {row["first"]: row["count"] for row in rows(r.dump,
                                                  "::kmem_malloc_dist -d")}
extra = sum(raw.values()) - sum(want.values())
T.ok(r.rc == 0 and len(want) > 40 and
     all(raw.get(s, 0) >= n for s, n in want.items()) and
     0 <= extra <= t.other, "::kmem_malloc_dist -d: each size as often",
     "%s\n%s" % (sorted(raw.items()), sorted(want.items())))
text = T.pmdb(r.dump, "::kmem_malloc_dist -d")[1]
T.ok({tuple(map(int, line.split("\t"))) for line in text.splitlines()} ==
     set(raw.items()), "and as text")

bars = rows(r.dump, "::kmem_malloc_dist -b 4")
end = largest + 1
starts = [i * end // 4 for i in range(5)]
T.ok([(b["first"], b["last"]) for b in bars] ==
     [(a, b - 1) for a, b in zip(starts, starts[1:])],
     "-b 4: four bars of equal width", bars)
good = all(b["count"] == sum(n for s, n in raw.items()
                             if b["first"] <= s <= b["last"]) for b in bars)
T.ok(good, "each of as many buffers as it covers", bars)
bars = rows(r.dump, "::kmem_malloc_dist -g")
good = all(b["count"] == sum(n for s, n in raw.items()
                             if b["first"] <= s <= b["last"]) for b in bars)
T.ok(good and bars[0]["first"] == 0 and bars[-1]["last"] == largest and
     all(a["last"] + 1 == b["first"] for a, b in zip(bars, bars[1:])) and
     all(b["first"] == 2 * a["first"] for a, b in zip(bars[1:], bars[2:])),
     "-g: each starts at twice", bars)
text = T.pmdb(r.dump, "::kmem_malloc_dist -b 4")[1].splitlines()
total = sum(raw.values())
shape = [re.fullmatch(r" *\d+-\d+ \|(@*) * (\d+)", line) for line in text[1:]]
T.ok(len(text) == 5 and text[0].startswith("malloc size  -----") and
     all(m and len(m.group(1)) == int(m.group(2)) * 50 // total
         for m in shape), "as bars", "\n".join(text))

def promised(size):
    """-> what kmem_alloc() aligns a size to, beyond what malloc does"""
    return 4096 if size % 4096 == 0 else 64 if size % 64 == 0 else 0


# what each class holds; what is aligned has classes of its own
bad = []
for row in rows(r.dump, "::kmem_malloc_info"):
    name = [n for n, c in caches.items() if c["addr"] == row["cache"]][0]
    below = [c["bufsize_bytes"] for n, c in caches.items()
             if re.fullmatch(r"kmem_alloc_\d+", n) and
             c["bufsize_bytes"] < row["bufsize_bytes"]]
    low = max(below, default=-1)
    align = re.fullmatch(r"kmem_align_(\d+)_\d+", name)
    mine = [(s, n) for s, n in raw.items() if low < s <= row["bufsize_bytes"] and
            promised(s) == (int(align.group(1)) if align else 0)]
    if (row["buffers"], row["malloced_bytes"]) != (
            sum(n for s, n in mine), sum(s * n for s, n in mine)):
        bad.append((name, row, mine))
    if row["overhead_bytes"] < row["buffers"] * row["bufsize_bytes"] - \
            row["malloced_bytes"]:
        bad.append((name, "overhead", row))
T.ok(not bad, "::kmem_malloc_info: buffers and bytes of each class", bad)

rc, out, err = T.pmdb(r.dump, "::kmem_status")
T.ok(re.match(r"Status:\t\tready and active\nConcurrency:\t\d+\n"
              r"Logs:\t\ttransaction=\d+k", out), "::kmem_status", out + err)
r0 = T.run("kmem_sizes", env={"KMEM_DEBUG": "", "KMEM_LOGGING": ""},
           tag="plain")
rc, out, err = T.pmdb(r0.dump, "::kmem_malloc_dist")
T.ok("what was asked for is not recorded" in err,
     "without guards the classes are said to be classes", err)

# 50 buffers of a cache without magazines, every fifth of them freed
r = T.run("kmem_caches")
rc, out, err = T.pmdb(r.dump, "::kmem_slabs -v -N '^fix_nomag$' -b 4")
m = re.search(r"(\d+) complete(?: \((\d+)\))?, (\d+) partial:((?: \d+)+)", out)
bars = [int(x) for x in re.findall(r"(?m)^ *\d+(?:-\d+)? \|@* +(\d+)$", out)]
T.ok(m and "fix_small" not in out and
     int(m.group(1)) * int(m.group(2) or 0) +
     sum(map(int, m.group(4).split())) == 40 and
     len(m.group(4).split()) == int(m.group(3)) and
     sum(bars) == int(m.group(1)) + int(m.group(3)),
     "::kmem_slabs -v -N: 40 buffers of its slabs are in use", out + err)
