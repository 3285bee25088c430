#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""pmdb diff: what it says of two dumps, against what the program knows of itself:
growth of each function, what outlived both dumps and what was replaced; of one
process, of two, of two builds, without stacks; and what cannot be compared."""
import json, os, re, shutil, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import jsonschema
from cilib import *

SOAK = os.path.join(TOP, "tests/ci/soak.c")
LIB = """#include <stdlib.h>
%s
void *each_get(size_t n) { %s void *p = malloc(n); __asm__ volatile(""); return p; }
void each_call(void (*fn)(int, int), int a, int b)
{ %s fn(a, b); __asm__ volatile(""); }
"""
FATES = ("survived", "freed", "added", "replaced", "unknown")
schema = jsonschema.Draft7Validator(
    json.load(open(os.path.join(TOP, "doc/schema/diff.json"))))


def build(where, lib=("", "", ""), opts=()):
    os.makedirs(os.path.join(WORK, where), exist_ok=True)
    write(where + "/lib.c", LIB % lib)
    compile_c(where + "/libeach.so", "-fPIC", "-shared", "-O1",
              "-Wl,-soname,libeach.so", where + "/lib.c")
    if opts is None:  # only the library is another one
        return shutil.copy(exe, os.path.join(WORK, where))
    return compile_c(where + "/soak", "-O1", *opts, SOAK, where + "/libeach.so",
                     "-Wl,-rpath,$ORIGIN")


class Soak:
    """A run of the program: both dumps, and what it says of them."""

    def __init__(self, exe, tag, env=None, is_glibc=False, args=()):
        self.old, self.new, truth = [os.path.join(WORK, tag + "." + x)
                                     for x in ("old", "new", "truth")]
        if is_glibc:
            self.snap([exe, self.old, self.new, truth])
        else:
            p = run(PMDB, "run", "-o", os.path.join(WORK, tag + ".end"), "--", exe,
                    self.old, self.new, truth, *args, env=dict(os.environ, **(env or {})))
            assert p.returncode == 0, p
        self.at = {"old": {}, "new": {}}  # address -> (bytes, function, number)
        for line in open(truth):
            which, addr, size, by, number = line.split()
            self.at[which][int(addr, 16)] = (int(size), by, int(number))

    def snap(self, argv):
        p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for path in self.old, self.new:
            p.stdout.readline()
            run(PMDB, "snap", "-q", "-p", p.pid, "-o", path)
            p.stdin.write(b"\n")
            p.stdin.flush()
        p.communicate(timeout=60)


def diff(*args, status=0):
    """pmdb diff as JSON -> (object, what is wrong with it)"""
    p = run(PMDB, "diff", "--format", "json", *args)
    if p.returncode != status:
        return None, p
    j = json.loads(p.stdout)
    return j, [e.message for e in schema.iter_errors(j)]


def add(sums, by, what, size):
    at = sums.setdefault(by, {}).setdefault(what, [0, 0])
    at[0] += 1
    at[1] += size


def truth_of(old, new, one_process):
    """function -> what -> [buffers, bytes]"""
    t = {}
    for size, by, _ in old.values():
        add(t, by, "old", size)
    for addr, (size, by, n) in new.items():
        add(t, by, "new", size)
        if not one_process:
            continue
        if old.get(addr, (0, 0, 0))[2] == n:
            add(t, by, "survived", size)
        else:
            add(t, by, "added", size)
            if addr in old:
                add(t, by, "replaced", size)
    for addr, (size, by, n) in old.items():
        if one_process and new.get(addr, (0, 0, 0))[2] != n:
            add(t, by, "freed", size)
    return t


def name_of(g):
    """the function a call site is known by in the truth"""
    for f in g["stack"]:
        if f["function"] == "one_of":
            lines = open(SOAK).read().split("\n")
            return re.search(r'"(\w+)"', lines[f["line"] - 1]).group(1)
        if f["function"] in names:
            return f["function"]


def told(j, names):
    got = {}
    for g in j["sites"]:
        by = name_of(g)
        for what in ("old", "new", *FATES):
            if by in names and g[what] and g[what]["buffers"]:
                at = got.setdefault(by, {}).setdefault(what, [0, 0])
                at[0] += g[what]["buffers"]
                at[1] += g[what]["bytes"]
    return got


def total(j):
    return all(sum(g[w][k] for g in j[by]) == j["total"][w][k]
               for by in ("sites", "caches", "types") if j[by] is not None
               for w in ("old", "new", *FATES) if j["total"][w] is not None
               for k in ("buffers", "bytes"))


def state(j, by):
    return sorted(g["state"] for g in j["sites"] if name_of(g) == by)


def said(args, status, pattern, name):
    """a line on stderr and nothing else"""
    p = run(PMDB, "diff", *args)
    ok(p.returncode == status and not p.stdout and p.stderr.count("\n") == 1 and
       re.search(pattern, p.stderr), name, p)


plan(51)

# ---- one process
exe = build("a")
a = Soak(exe, "a")
t = truth_of(a.at["old"], a.at["new"], True)
names = set(t)
j, bad = diff(a.old, a.new)
ok(j and not bad, "one process: JSON by its schema", bad)
ok(told(j, names) == t, "growth and fate of each function, exactly",
   (told(j, names), t))
ok(t["swaps"]["replaced"][0] > 0 and t["keeps"].keys() == {"old", "new", "survived"},
   "some were replaced, some outlived both", t)
ok([state(j, by) for by in ("keeps", "grows", "shrinks", "comes", "goes", "swaps")] ==
   [["same"], ["grown"], ["shrunk"], ["new"], ["gone"], ["same"]], "states")
ok(state(j, "first") == ["new"] and state(j, "second") == ["grown"],
   "two calls of one function are told apart, whichever was there first")
ok(state(j, "third") == ["gone"] and state(j, "fourth") == ["new"],
   "one that went is not taken for another of its function that came")
ok(total(j), "sites, caches and types add up to the heap")
ok(j["is_same_process"] and j["is_same_build"] and j["status"] == "clean", "one process")
sessions = [g for g in j["types"] if g["name"] == "struct session"]
ok(len(sessions) == 1 and sessions[0]["new"] == {"buffers": 16, "bytes": 16 * 56} and
   sessions[0]["growth_buffers"] == 4, "by type", j["types"])
sizes = {g["name"]: g for g in j["caches"]}
ok(sizes["kmem_alloc_112"]["growth_bytes"] == 2100 and
   sizes["kmem_alloc_2048"]["state"] == "gone", "by cache", sizes.keys())
came = next(g for g in j["sites"] if name_of(g) == "comes")
ok(a.at["new"][int(came["addr"], 16)][1] == "comes", "an address of one that came", came)

# the other way round: what came has gone
back, bad = diff(a.new, a.old)
ok(told(back, names) == truth_of(a.at["new"], a.at["old"], True), "backwards")
p = run(PMDB, "diff", a.new, a.old)
ok("was made after" in p.stderr, "the new one named first is noticed", p.stderr)
same, bad = diff(a.new, a.new)
ok(not bad and {g["state"] for g in same["sites"]} == {"same"} and
   same["total"]["survived"] == same["total"]["new"], "a dump with itself")

# ---- text and Markdown
p = run(PMDB, "diff", a.old, a.new)
ok(p.returncode == 0 and not p.stderr and re.search(
    r"^\+9000 bytes, \+9 buffers: new, 0 -> 9000 bytes, 0 -> 9 buffers of "
    r"kmem_alloc_1152, by \S+ at: \[%s\]\n  9 came, such as 0x[0-9a-f]+\n"
    r"    #0 .*\n    #1  0x\w+ in comes \S*soak.c:\d+\n" % came["fingerprint"],
    p.stdout, re.M), "text: a site", p)
ok(re.search(r"^  6 outlived both, 25 came(, such| \().*; 4 went$", p.stdout, re.M) and
   re.search(r"^ +\+224 +\+4 +672 +896  grown   struct session$", p.stdout, re.M) and
   p.stdout.strip().split("\n")[-1].startswith("pmdb: diff: -"),
   "text: fates, a table, the sum last", p.stdout)
p = run(PMDB, "diff", "--top", "1", "--by", "site,cache", a.old, a.new)
ok(p.stdout.count("such as 0x") == 1 and "(--top 0 shows all)" in p.stdout and
   "By type" not in p.stdout, "--top and --by", p.stdout)
p = run(PMDB, "diff", "--by", "site", "--source-root", TOP, "--format",
        "markdown=" + os.path.join(WORK, "d.md"), "--format", "text", a.old, a.new)
md = open(os.path.join(WORK, "d.md")).read()
ok("in comes tests/ci/soak.c:" in p.stdout and
   re.search(r"^\| \+9000 \| \+9 \| 0 \| 9000 \| new \| comes tests/ci/soak.c:\d+ `%s` "
             r"\| 0 \| 9 \| 0 \| 0 \|$" % came["fingerprint"], md, re.M) and
   all(r.count("|") == 11 for r in md.split("\n") if r.startswith("|")),
   "Markdown, below the root", md)

# ---- limits
growth = j["total"]["growth_bytes"]
for limit, over in (("growth=9000", 0), ("growth=8999", 1), ("growth=8K", 1),
                    ("total-growth=0", 0), ("none", 0)):
    k, bad = diff("--fail-on", limit, a.old, a.new, status=over)
    ok(growth < 0 and k and k["status"] == ("over-limit" if over else "clean") and
       [name_of(g) for g in k["sites"] if g["is_over_limit"]] == ["comes"] * over,
       "--fail-on %s: status %d" % (limit, over), bad)
k, bad = diff("--fail-on", "total-growth=%d" % (-growth - 1), "--exit-code", "9",
              a.new, a.old, status=9)
ok(k and k["total"]["is_over_limit"] and not bad, "total-growth, --exit-code", bad)
p = run(PMDB, "diff", "--fail-on", "growth=100", a.old, a.new)
ok(p.returncode == 1 and "over the limit: " in p.stdout.strip().split("\n")[-1] and
   p.stdout.count("] over the limit\n") >= 3, "text: what is over the limit")

# ---- a library that was closed and opened again is elsewhere
write("plug.c", "int plug(void) { return 7; }")
plug = compile_c("libplug.so", "-shared", "-fPIC", "plug.c")
moved = Soak(exe, "moved", args=[plug])
k, bad = diff(moved.old, moved.new)
ok(k and not bad and k["is_same_process"] and
   told(k, names) == truth_of(moved.at["old"], moved.at["new"], True),
   "one process, of which a library has moved", bad or k)

# ---- another process: the loader puts things elsewhere
b = Soak(exe, "b")
t = truth_of(a.at["old"], b.at["new"], False)
j2, bad = diff(a.old, b.new)
ok(j2 and not bad and told(j2, names) == t, "two processes: growth of each function",
   bad or (told(j2, names), t))
ok(not j2["is_same_process"] and j2["is_same_build"] and
   all(j2["total"][w] is None for w in FATES), "nothing outlived two processes", j2["total"])
ok({name_of(g): g["fingerprint"] for g in j["sites"]} ==
   {name_of(g): g["fingerprint"] for g in j2["sites"]}, "fingerprints are the same")

# ---- another build of the library, then of the program too
for tag, lib, opts in (("c", ("int grown(int a, int b) { return a * b / (a + 7); }",
                              "extern int rand(void); if (rand() == 7) n++;",
                              "if (b < -3) fn(1, a);"), None),
                       ("d", ("", "", ""), ("-DMORE",))):
    other = Soak(build(tag, lib, opts), tag)
    t = truth_of(a.at["old"], other.at["new"], False)
    k, bad = diff(a.old, other.new)
    got = told(k, names)
    if tag == "d":  # which of two calls in one function is which, is not known
        for x in got, t:
            for by in "first", "second", "third", "fourth":
                x.pop(by, None)
    ok(k and not bad and got == t, "build %s: growth of each function" % tag,
       bad or (got, t))
    ok([state(k, by) for by in ("keeps", "grows", "comes", "goes", "reaches")] ==
       [["same"], ["grown"], ["new"], ["gone"], ["grown"]],
       "build %s: states" % tag, [(name_of(g), g["state"]) for g in k["sites"]])
    ok(k["is_same_build"] == (tag == "c"), "build %s: it is told" % tag)

# ---- the old build has been overwritten
os.rename(exe, exe + ".kept")
compile_c("a/soak", "-O1", "-DMORE", SOAK, "a/libeach.so", "-Wl,-rpath,$ORIGIN")
k, bad = diff(a.old, other.new)
ok(k and not bad and k["sites"] is None and "--old-exe" in k["no_sites_reason"] and
   k["caches"], "an old build that is not there: no call sites, and why", bad or k)
k, bad = diff("--old-exe", exe + ".kept", a.old, other.new)
ok(k and not bad and state(k, "grows") == ["grown"], "--old-exe", bad)

os.rename(exe + ".kept", exe)

# ---- without auditing
n = Soak(exe, "n", {"KMEM_DEBUG": "none"})
k, bad = diff(n.old, n.new)
ok(k and not bad and k["sites"] is None and "auditing was off" in k["no_sites_reason"],
   "not audited: no call sites, and why", bad or k)
both = set(n.at["old"]) & set(n.at["new"])
ok(k["total"]["survived"]["buffers"] == 0 and k["total"]["replaced"]["buffers"] == 0 and
   k["total"]["unknown"]["buffers"] >= len(both) > 0 and total(k),
   "not audited: at an old address nothing is told", k["total"])
p = run(PMDB, "diff", "--fail-on", "growth=100", n.old, n.new)
ok(p.returncode == 1 and re.search(r"over the limit: \d+ cache", p.stdout) and
   "the same or another cannot be told" in p.stdout, "not audited: limits are of caches", p)

# ---- glibc's heap: nothing is recorded, sizes are those of chunks
g = Soak(exe, "g", is_glibc=True)
k, bad = diff(g.old, g.new)
ok(k and not bad and k["allocator"] == "glibc" and k["sites"] is None and
   "records no stacks" in k["no_sites_reason"], "glibc: no call sites, and why", bad or k)
t = truth_of(g.at["old"], g.at["new"], True)
caches = {x["name"]: x for x in k["caches"]}
classes = {"shrinks": 344, "comes": 1000, "goes": 2024, "reaches": 648, "first": 504,
           "second": 712}
none = [0, 0]
bad = [(by, caches.get("malloc_%d" % n)) for by, n in classes.items()
       if any(caches["malloc_%d" % n][w]["buffers"] != t[by].get(w, none)[0]
              for w in ("old", "new"))]
ok(not bad, "glibc: growth of each class of sizes", (bad, t))
common = {x: v for x, v in g.at["new"].items() if x in g.at["old"]}
bad = [by for by, n in classes.items() if by != "shrinks" and
       caches["malloc_%d" % n]["unknown"]["buffers"] !=
       sum(v[1] == by for v in common.values())]
ok(not bad and k["total"]["survived"]["buffers"] == 0,
   "glibc: at an old address nothing is told, elsewhere they came", (bad, caches))
ok([x["growth_buffers"] for x in k["types"] if x["name"] == "struct session"] == [4],
   "glibc: by type", k["types"])
said([n.old, g.new], 3, "libkmem's and .* glibc's: they cannot", "two allocators")

# ---- what cannot be compared, or written
alien = compile_c("alien", write("alien.c", "int main(void) { return 0; }"))
alien = dump([alien], "alien")
out = os.path.join(WORK, "out.json")
said(["--format", "json=" + out, a.old, alien], 3,
     r"is of soak and .* of alien: between dumps of two programs", "two programs: status 3")
with open(a.new, "rb") as f:
    half = write("half.core", "")
    open(half, "wb").write(f.read(os.path.getsize(a.new) // 2))
said(["--format", "json=" + out, a.old, half], 3, "incomplete", "half a dump")
said([a.old, a.new + ".no"], 3, "No such file", "no dump")
ok(not os.path.exists(out), "no file is left of them")
said(["--format", "json=/dev/full", a.old, a.new], 3, "No space", "a full disk")
p = run(PMDB, "check", "--fail-on", "growth", a.new)
bad = [x for x in ([a.old], [a.old, a.new, b.new], ["--fail-on", "growth", a.old, a.new],
                   ["--fail-on", "growth=x", a.old, a.new], ["--by", "moon", a.old, a.new],
                   ["--format", "xml", a.old, a.new], ["--nope", a.old, a.new])
       if run(PMDB, "diff", *x).returncode != 2]
ok(not bad and p.returncode == 2 and "pmdb diff" in p.stderr, "usage: status 2", bad)
