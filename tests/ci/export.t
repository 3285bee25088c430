#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""pmdb export: what each format says, read back by readers others wrote, against
what the program knows of itself."""
import csv, gzip, io, json, os, re, sqlite3, subprocess, sys
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.environ["TOP"], "tests", "truth")]
import jsonschema
import truthlib as T
from cilib import PMDB, TOP, WORK, run

T.plan(32)
r = T.run("leak_groups")
t = r.truth()
out = os.path.join(WORK, "export.")
leaked = {}  # function -> [buffers, bytes]
for addr, (size, group) in t.leak.items():
    n = leaked.setdefault(t.stack[addr], [0, 0])
    n[0] += 1
    n[1] += size
allocated = [len(T.walk(r.dump, "::walk kmem"))]


def export(name, *args, status=0):
    p = run(PMDB, "export", "--format", name, "-o", out + name, *args, r.dump)
    T.ok(p.returncode == status and not p.stdout,
         "%s %s: status %d" % (name, " ".join(args), status), p)
    return p


def sums(rows):
    """[(functions, buffers, bytes)] -> what the fixture's functions have"""
    got = {}
    for stack, n, b in rows:
        for name in set(stack) & set(leaked):
            at = got.setdefault(name, [0, 0])
            at[0] += n
            at[1] += b
    return got


# ---- folded
export("folded", "--sample", "leaked")
rows = []
for line in open(out + "folded"):
    m = re.fullmatch(r"(.*)\s+(\d+(?:\.\d*)?)\n", line)  # flamegraph.pl's
    rows.append((m.group(1).split(";"), 0, int(m.group(2))))
T.ok({k: v[1] for k, v in sums(rows).items()} ==
     {k: v[1] for k, v in leaked.items()}, "folded: bytes of each function",
     rows)
T.ok(all(s[0] == "_start" and "main" in s for s, n, b in rows),
     "folded: outermost first", rows)

# ---- csv
export("csv")
with open(out + "csv", newline="") as f:
    rows = list(csv.DictReader(f))
T.ok(sums((x["stack"].split(";"), int(x["leaked_buffers"]),
           int(x["leaked_bytes"])) for x in rows) == leaked,
     "csv: leaks of each function", rows)
T.ok(sum(int(x["inuse_buffers"]) for x in rows) == allocated[0],
     "csv: every buffer is in a row")
T.ok(all(int(x["inuse_bytes"]) ==
         int(x["inuse_buffers"]) * int(x["size_bytes"]) for x in rows),
     "csv: bytes are buffers of a size")

# ---- speedscope, by its own schema
export("speedscope")
doc = json.load(open(out + "speedscope"))
schema = json.load(open(os.path.join(TOP, "tests/ci/data",
                                     "speedscope-1.25.0.json")))
bad = [e.message for e in
       jsonschema.Draft7Validator(schema).iter_errors(doc)]
T.ok(not bad, "speedscope: valid", bad)
names = [f["name"] for f in doc["shared"]["frames"]]


def profile(name):
    p = next(p for p in doc["profiles"] if p["name"] == name)
    T.ok(len(p["samples"]) == len(p["weights"]) and
         sum(p["weights"]) == p["endValue"], "speedscope: %s adds up" % name)
    return [([names[i] for i in s], w) for s, w in
            zip(p["samples"], p["weights"])]


T.ok(sums((s, w, 0) for s, w in profile("leaked buffers")) ==
     {k: [v[0], 0] for k, v in leaked.items()}, "speedscope: leaked buffers")
T.ok(sums((s, 0, w) for s, w in profile("leaked bytes")) ==
     {k: [0, v[1]] for k, v in leaked.items()}, "speedscope: leaked bytes")
T.ok(any(f.get("file", "").endswith("leak_groups.c") and f.get("line")
         for f in doc["shared"]["frames"]), "speedscope: files and lines")

# ---- pprof, by protobuf's compiler and by Go's pprof
export("pprof", "--sample", "leaked")
raw = subprocess.run(["protoc", "--decode_raw"], capture_output=True,
                     input=gzip.open(out + "pprof").read())
T.ok(raw.returncode == 0 and raw.stdout.count(b"\n2 {") >= 3,
     "pprof: protobuf's compiler reads it", raw.stderr)


def pprof(*args):
    p = run("go", "tool", "pprof", *args, out + "pprof",
            env=dict(os.environ, HOME=WORK, PPROF_TMPDIR=WORK,
                     GOFLAGS="", GOTOOLDIR=""))
    return p.stdout + p.stderr


text = pprof("-sample_index=leaked_objects", "-top", "-cum")
got = {m.group(2): int(m.group(1)) for m in
       re.finditer(r"(\d+)\s+[\d.]+%\s+(\S+)$", text, re.M)}
T.ok(all(got.get(k) == v[0] for k, v in leaked.items()),
     "pprof: go tool pprof: buffers of each function", text)
text = pprof("-sample_index=leaked_space", "-unit=B", "-top", "-cum")
got = {m.group(2): int(m.group(1)) for m in
       re.finditer(r"(\d+)B\s+[\d.]+%\s+(\S+)$", text, re.M)}
T.ok(all(got.get(k) == v[1] for k, v in leaked.items()),
     "pprof: go tool pprof: bytes of each function", text)
text = pprof("-raw")
T.ok(re.search(r"^1: 0x\w+/0x\w+/0x\w+ \S*leak_groups \w{40}", text, re.M),
     "pprof: the program is the first mapping, with its build-id", text[-600:])
T.ok("leak_groups.c:" in text and "bytes:[48 bytes]" in text,
     "pprof: lines and sizes", text[:900])
export("pprof")
text = pprof("-raw")
T.ok("alloc_objects/count alloc_space/bytes inuse_objects/count "
     "inuse_space/bytes" in text,
     "pprof: the types of heap profiles", text[:400])

# ---- sqlite
export("sqlite")
db = sqlite3.connect(out + "sqlite")
T.ok(db.execute("PRAGMA integrity_check").fetchall() == [("ok",)],
     "sqlite: whole")
got = {a for a, in db.execute("SELECT addr FROM buffers WHERE verdict IN "
                              "('leaked', 'indirect')")}
T.ok(got == set(t.leak), "sqlite: the leaked buffers")
got = dict((f, [n, b]) for f, n, b in db.execute(
    "SELECT f.function, count(*), sum(b.asked_bytes) FROM buffers b "
    "JOIN frames f USING (stack) WHERE b.verdict = 'leaked' GROUP BY 1"))
T.ok(all(got.get(k) == v for k, v in leaked.items()),
     "sqlite: a question nobody foresaw", got)
r2 = T.run("leak_tree")
p = run(PMDB, "export", "--format", "sqlite", "-o", out + "tree", r2.dump)
db = sqlite3.connect(out + "tree")
t2 = r2.truth()
held = {a for a, in db.execute("SELECT DISTINCT target FROM edges WHERE "
                               "offset = 0")}
T.ok(set(t2.live) <= held, "sqlite: edges lead to what lives",
     T.difference(held, set(t2.live)))
n = db.execute("SELECT count(*) FROM transactions WHERE what = 'alloc' AND "
               "buffer IN (SELECT addr FROM buffers WHERE verdict = 'leaked')"
               ).fetchone()[0]
T.ok(n > 0, "sqlite: transactions of leaked buffers", n)

# ---- what goes wrong
p = run(PMDB, "export", "--format", "nosuch", r.dump)
T.ok(p.returncode == 2 and "no format nosuch" in p.stderr, "no such format", p)
p = run(PMDB, "export", "--format", "sqlite", "-o", "/nosuch/x", r.dump)
T.ok(p.returncode == 3 and "/nosuch/x" in p.stderr, "no such directory", p)
p = run(PMDB, "export", "--format", "csv", "-o", "/dev/full", r.dump)
T.ok(p.returncode == 3 and "No space left" in p.stderr, "a full disk", p)
cut = out + "cut"
with open(r.dump, "rb") as f, open(cut, "wb") as to:
    to.write(f.read()[:4096])
p = run(PMDB, "export", "--format", "csv", "-o", out + "none", cut)
T.ok(p.returncode == 3 and len(p.stderr.splitlines()) == 1 and
     not [n for n in os.listdir(WORK) if n.startswith("export.none")],
     "a cut dump: a line, and no file", p)
