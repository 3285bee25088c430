#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaks in every shape: alone, chains, rings, trees, shared; none at all."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

NAMES = ("leak_one", "leak_chain", "leak_ring", "leak_tree", "leak_shared",
         "leak_groups", "leak_main", "exit_deep", "clean",
         "deep_list", "awkward")
T.plan(len(NAMES) * (T.COMPARE + 1) + T.COMPARE + 17 + 1)
runs = {}
for name in NAMES:
    r = runs[name] = T.run(name)
    T.ok(r.rc == 0 and r.out == "" and r.err == "",
         name + ": runs as without the library",
         "status %d %r %r" % (r.rc, r.out, r.err))
    T.compare(r, name)

# without guards a freed buffer keeps the words it had
r = T.run("awkward")
t = r.truth()
want = {a for a, (size, group) in t.leak.items() if group != "packed"}
got = set(T.walk(r.dump, "::walk leakbuf", first="::findleaks -u"))
T.ok(got == want, "awkward: -u sees pointers of packed structures, too",
     T.difference(got, want))
T.compare(T.run("awkward", env={"KMEM_DEBUG": "", "KMEM_LOGGING": ""},
                tag="plain"), "awkward, plain")

# the report itself: one group a stack, its numbers and its callers
r = runs["leak_groups"]
truth = r.truth().groups()
rc, verdict, err = T.check(r.dump)
groups = verdict.get("leaks", []) if verdict else []
want = sorted(len(g) for g in truth.values())
T.ok(sorted(g["buffers"] for g in groups) == want,
     "leak_groups: a group for each allocating stack, %s" % want, groups)
sizes = {"first": 48, "second": 256, "third_a": 1024, "third_b": 1024}
T.ok(sorted(g["bytes"] for g in groups) ==
     sorted(len(m) * sizes[n] for n, m in truth.items()),
     "leak_groups: bytes of each group", groups)
text = [str(g.get("stack")) for g in groups]
T.ok(all(sum(f in s for s in text) == n for f, n in
         (("first", 1), ("second", 1), ("third", 2), ("caller_a", 1),
          ("caller_b", 1))),
     "leak_groups: each stack names the function that allocated", text)
rc, out, err = T.pmdb(r.dump, "::findleaks -d")
stacks = r.truth().stack
T.ok(rc == 0 and all("`%s" % f in out or "%s+" % f in out
                     for f in set(stacks.values())),
     "leak_groups: ::findleaks -d shows the stacks", out + err)
rc, out, err = T.pmdb(r.dump, "::findleaks")
total = sum(len(m) * sizes[n] for n, m in truth.items())
nbufs = sum(want)
T.ok(rc == 0 and "%d buffers, %d bytes" % (nbufs, total) in out,
     "leak_groups: ::findleaks totals %d buffers, %d bytes" % (nbufs, total),
     out + err)

# what is lost with something else comes after it
for name in ("leak_tree", "leak_chain"):
    rc, verdict, err = T.check(runs[name].dump)
    kinds = [g["kind"] for g in verdict.get("leaks", [])]
    T.ok("direct" in kinds and kinds == sorted(kinds),
         name + ": direct leaks before indirect ones", kinds)

# a stack is the same in either report, and begins with the function that was
# called, not with what the compiler made of it
leak = verdict["leaks"][0]["stack"]
T.ok(leak[0]["function"] == "malloc" and leak[0]["file"] is None,
     "check: the first frame is malloc, without a line", leak[0])
rows = [g["stack"] for g in T.findleaks(runs[name].dump)]


def key(frame):
    """What starts main() has its line in one of them only."""
    if "libc_start" in frame["function"]:
        return frame["pc"]
    return frame["pc"], frame["function"], frame["file"], frame["line"]


frames = [[key(f) for f in s] for s in rows]
T.ok([key(f) for f in leak] in frames and
     sum(isinstance(key(f), tuple) for f in leak) > 2,
     "::findleaks --json: the frames are those of check", frames)


# each leaked subgraph by its root: what is behind it, read from the core
def behind(r, size, root):
    seen, todo = {root}, [root]
    while todo:
        a = todo.pop()
        new = {w for w in T.words(r.dump, a, size[a] // 8) if w in size}
        todo.extend(new - seen)
        seen |= new
    return seen - {root}


for name in ("leak_tree", "leak_chain", "leak_ring"):
    r = runs[name]
    size = {a: s for a, (s, g) in r.truth().leak.items()}
    rows = T.parse_json(T.pmdb(r.dump, "::findleaks -r", json_out=True)[1])
    roots = {int(v["root"], 16): v for v in rows}
    bad = []
    for a, v in roots.items():
        b = behind(r, size, a)
        if v["held_buffers"] != len(b) or v["size_bytes"] != size[a] or \
                v["held_bytes"] != sum(size[x] for x in b):
            bad.append((v, len(b)))
    T.ok(roots and not bad and sum(v["held_buffers"] + 1 for v in rows) ==
         len(size), name + ": -r: roots, and what is behind each", bad[:3])
    T.ok(all(0 < v["age_ns"] < 10 ** 11 and v["log"].startswith("alloc ") and
             v["stack"] for v in rows), name + ": -r: age, log and stack",
         rows[:2])

rc, out, err = T.pmdb(runs["clean"].dump, "::findleaks -r")
T.ok(rc == 0 and out == "findleaks: no memory leaks detected\n" and err == "",
     "clean: -r has no rows, and says so", out + err)
r = runs["leak_chain"]
rc, out, err = T.pmdb(r.dump, "::findleaks -r | ::istype 'struct node'",
                      "::findleaks -r")
T.ok(rc == 0 and out.count("\n") == 2 and out.endswith(" (struct node)\n"),
     "leak_chain: -r names the type that a root is said to be", out + err)
