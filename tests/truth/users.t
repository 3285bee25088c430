#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who allocated, and who freed: ::kmausers, ::allocdby, ::freedby, ::kmalog and
the filters of ::bufctl, against what the fixture says it did."""
import os, re, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

T.plan(19)


def rows(dump, cmd):
    return T.parse_json(T.pmdb(dump, cmd, json_out=True)[1])


def num(x):
    return int(x, 16) if isinstance(x, str) else x


# 37, 11, 1 and 2 buffers from four stacks
r = T.run("leak_groups")
t = r.truth()
T.ok(r.rc == 0, "leak_groups: runs", r.err)
sizes = {}
for addr, (size, group) in t.leak.items():
    sizes.setdefault((size, t.stack[addr], group), set()).add(addr)
want = sorted((n * size, n, size, name) for (size, name, g), v in sizes.items()
              for n in [len(v)])


def user(row):
    own = [f["function"] for f in row["stack"]
           if "libkmem" not in (f["object"] or "")]
    # fixtures allocate through get()
    own = [f for f in own if f != "get"]
    return (row["total_bytes"], row["count"], row["size_bytes"], own[0])


folded = {}
for row in rows(r.dump, "::kmausers --folded"):
    own = [f for f in row["folded"].split(";") if f != "get"]
    name = own[-2] if own[-1] == "malloc" else own[-1]
    a, b = folded.get(name, (0, 0))  # there may be several ways to one
    folded[name] = (a + row["total_bytes"], b + row["count"])
sums = {}
for total, n, size, name in want:
    a, b = sums.get(name, (0, 0))
    sums[name] = (a + total, b + n)
T.ok(sums and all(folded.get(name) == v for name, v in sums.items()),
     "--folded: bytes and buffers of each stack", (folded, sums))
text = T.pmdb(r.dump, "::kmausers -F")[1].splitlines()
T.ok(all(re.fullmatch(r"\S.* \d+", line) for line in text) and
     all(line.split(";")[0] == "_start" for line in text if ";work" in line),
     "a line a stack, outermost function first, bytes last", text)
mine = {w[3] for w in want}
got = sorted(u for u in map(user, rows(r.dump, "::kmausers -e"))
             if u[3] in mine)
T.ok(got == want, "::kmausers -e: bytes, count, size and function of each",
     "%s\n%s" % (got, want))
few = [u for u in map(user, rows(r.dump, "::kmausers")) if u[3] in mine]
T.ok(few == [], "::kmausers: none of them is large", few)
rc, out, err = T.pmdb(r.dump, "::kmausers -e kmem_alloc_256")
T.ok("for 11 allocations with data size 256:\n" in out and
     "with data size 48:" not in out and "\t second+0x" in
     out.replace("\t get", "\t get"), "::kmausers kmem_alloc_256", out)
each = rows(r.dump, "::kmausers -f kmem_alloc_256")
got = {num(row["buffer"]) for row in each if "buffer" in row}
T.ok(sizes[(256, "second", "second")] <= got and
     all(row["cache"] == "kmem_alloc_256" for row in each if "buffer" in row),
     "::kmausers -f: every buffer", T.hexes(got))
rc, out, err = T.pmdb(r.dump, "::kmausers nosuch")
T.ok("unknown kmem cache: nosuch" in err, "::kmausers of no cache", err)
r0 = T.run("leak_one", env={"KMEM_DEBUG": ""}, tag="plain")
rc, out, err = T.pmdb(r0.dump, "::kmausers")
T.ok("KMF_AUDIT is not enabled for any caches" in err,
     "::kmausers without auditing says so", out + err)

# two threads
r = T.run("by_thread")
t = r.truth()
tids = sorted(set(t.by.values()))
T.ok(r.rc == 0 and len(tids) == 2, "by_thread: runs", r.err)
for tid in tids:
    live = {a for a in t.by if t.by[a] == tid and a not in t.free}
    free = {a for a in t.by if t.by[a] == tid and a in t.free}
    for cmd, want, not_mine in (("allocdby", live, t.free),
                                ("freedby", free, set(t.live))):
        table = rows(r.dump, "0t%d::%s" % (tid, cmd))
        got = {num(row["buffer"]) for row in table}
        stamps = [num(row["timestamp"]) for row in table]
        walked = T.walk(r.dump, "0t%d::walk %s" % (tid, cmd))
        if cmd == "freedby" and not want:
            good = got & set(t.by) == set()
        else:
            good = want <= got and not got & not_mine
        others = {a for a in t.by if t.by[a] != tid}
        T.ok(good and not got & others and
             stamps == sorted(stamps, reverse=True) and
             walked == [num(row["bufctl"]) for row in table],
             "0t%d::%s: those, newest first, as the walker has them" %
             (tid, cmd), T.difference(got, want))
    # the same by a filter, which ::bufctl hands on
    got = {num(row["buffer"]) for row in rows(
        r.dump, "::walk bufctl | ::bufctl -t 0t%d | ::bufctl" % tid)}
    T.ok(live <= got and not got & {a for a in t.by if t.by[a] != tid},
         "::bufctl -t 0t%d" % tid, T.difference(got, live))

# the log: the thread's frees are its newest records of the first five
log = rows(r.dump, "::kmalog")
freed = {num(row["buffer"]): row["thread"] for row in reversed(log)
         if row["what"] == "free"}
want = {a: t.by[a] for a in t.free if a in t.by}
T.ok(len(want) == 5 and all(freed.get(a) == tid for a, tid in want.items()),
     "::kmalog: who freed", "%s %s" % (want, freed))
text = T.pmdb(r.dump, "::kmalog")[1]
heads = re.findall(r"(?m)^T-(\d+)\.(\d{9})  addr=([0-9a-f]+)  (\S+)\n\t \S",
                   text)
ages = [int(s) * 10**9 + int(ns) for s, ns, a, c in heads]
T.ok(len(heads) == len(log) and ages[0] == 0 and ages == sorted(ages) and
     text.startswith("\nT-0.000000000  addr="), "::kmalog: its text", text[:300])

# nobody called for an arena's own segments: no name, and no text either
who = [row["who"] for row in rows(r.dump, "::walk vmem | ::walk vmem_alloc"
                                          " | ::vmem_seg")]
T.ok(None in who and all(w is None or num(w["addr"]) for w in who),
     "::vmem_seg: a caller or null", who[:5])
