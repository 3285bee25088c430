#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pmdb check decides and how it says so: kinds to fail on, what is
tolerated, who keeps whom, types, output files, and the schema of its JSON."""
import json, os, re, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cilib import *
import jsonschema

plan(46)

# the verdict is of the schema, whatever it is
with open(TOP + "/doc/schema/check.json") as f:
    schema = json.load(f)
validator = jsonschema.Draft7Validator(schema)
validator.check_schema(schema)
tree, clean = fixture("leak_tree"), fixture("clean")
cut = write("cut.core", "")
with open(tree, "rb") as f, open(cut, "wb") as g:
    g.write(f.read()[:200000])
for name, words in (("clean", []), ("leak_tree", ["leaks"]),
                    ("cxx", ["leaks"]), ("overrun_live", ["corruption"]),
                    ("double_free", ["panic"]), ("misuse", ["corruption"])):
    path = fixture(name, ["new_free"] if name == "misuse" else [])
    rc, v = verdict("--fail-on", "leaks,indirect,possible,corruption", path)
    bad = [e.message for e in validator.iter_errors(v)]
    ok(not bad, "schema: " + name, "\n".join(bad))
    ok(v["verdicts"] == words or (words == ["panic"] and "panic" in
                                  v["verdicts"]), "verdicts: " + name,
       v["verdicts"])
rc, v = verdict(cut)
bad = [e.message for e in validator.iter_errors(v)]
ok(rc == 3 and not bad and "inconclusive" in v["verdicts"],
   "schema: no verdict", "\n".join(bad))
broken = dict(v, leaks=[{"kind": "direct"}])
ok(list(validator.iter_errors(broken)), "the schema refuses what is broken")

# who keeps whom: a root and its subtrees, each node kept by one above it
rc, v = verdict(tree)
by_print = {g["fingerprint"]: g for g in v["leaks"]}
ok(len(by_print) == len(v["leaks"]), "fingerprints are distinct")
direct = [g for g in v["leaks"] if g["kind"] == "direct"]
indirect = [g for g in v["leaks"] if g["kind"] == "indirect"]
ok(direct and indirect and not any(g["kept_by"] for g in direct),
   "a direct leak is kept by nobody")
ok(all(g["kept_by"] in by_print for g in indirect),
   "an indirect leak is kept by one that is listed")
ok(sum(g["kept_bytes"] for g in direct) == sum(g["bytes"] for g in indirect)
   and sum(g["kept_buffers"] for g in direct) ==
   sum(g["buffers"] for g in indirect), "what direct ones keep adds up")
rc, out, err = check(tree)
ok(re.search(r"kept by the direct leak of \d+ bytes from .*\d \[[0-9a-f]{16}\]",
             out), "text: who keeps it", out[-600:])
ok(re.search(r"  keeps \d+ more bytes in \d+ buffers\n", out),
   "text: what it keeps", out[-600:])

# the type of a C++ object
rc, v = verdict(os.path.join(WORK, "cxx.core"))
ok([g for g in v["leaks"] if g["type"] == "shape"], "a C++ object has its type",
   [g["type"] for g in v["leaks"]])

# what fails
total = len(verdict(tree)[1]["leaks"])
for args, rc in (((), 1), (("--fail-on", "leaks"), 1),
                 (("--fail-on", "indirect"), 1), (("--fail-on", "none"), 0),
                 (("--fail-on", "corruption"), 0),
                 (("--min-bytes", "1K"), 0), (("--min-bytes", "17"), 1),
                 (("--max-leaks", "1"), 1), (("--max-leaks", "2"), 0),
                 (("--exit-code", "42"), 42)):
    got, out, err = check(*args, tree)
    ok(got == rc and not err, "status %d with %s" % (rc, " ".join(args)),
       (got, err))
rc, out, err = check("--max-leaks", "2", tree)
ok(re.search(r"clean, \d+ buffers live; %d tolerated leaks" % total, out),
   "text: tolerated ones are counted", out[-300:])
rc, v = verdict("--fail-on", "none", fixture("overrun_live"))
ok(rc == 0 and v["corruption"][0]["state"] == "tolerated",
   "corruption can be tolerated", v["corruption"][:1])
rc, v = verdict("--fail-on", "possible", fixture("interior"))
ok(rc == 1 and [g for g in v["leaks"] if g["kind"] == "possible" and
                g["state"] == "fails"], "possible leaks are listed when asked for")
ok(check(clean, cut, "--exit-code", "9")[0] == 3 and
   check(clean, tree, "--exit-code", "9")[0] == 9,
   "no verdict keeps its status")
for args, words in ((("--fail-on", "growth"), "between two dumps"),
                    (("--fail-on", "sin"), "--fail-on is a list"),
                    (("--min-bytes", "-1"), "no number"),
                    (("--exit-code", "256"), "no number"),
                    (("--source-root", "no/such"), "No such file")):
    rc, out, err = check(*args, clean)
    ok(rc == 2 and words in err and err.count("\n") == 1 and not out,
       "usage: " + " ".join(args), (rc, err))

# outputs
os.mkdir(os.path.join(WORK, "out"))
rc, out, err = check("--format", "json=out/a.json", "--format", "text=out/a.txt",
                     "--format", "json", clean, tree, cwd=WORK)
with open(os.path.join(WORK, "out/a.json")) as f:
    ok(f.read() == out and len(out.splitlines()) == 2, "several formats at once")
with open(os.path.join(WORK, "out/a.txt")) as f:
    ok(f.read().splitlines()[-1].startswith("pmdb: " + tree + ": "),
       "a file of its own")
mode = os.stat(os.path.join(WORK, "out/a.json")).st_mode & 0o777
mask = os.umask(0)
os.umask(mask)
ok(mode == 0o666 & ~mask, "with the permissions of a new file", oct(mode))
rc, out, err = check("--format", "json=/no/such/x", clean)
ok(rc == 3 and "/no/such/x: No such file" in err, "a file that cannot be written",
   (rc, err))
rc, out, err = check("--format", "json=/dev/full", clean)
ok(rc == 3 and "/dev/full: No space" in err, "a full disk", (rc, err))
rc, v = verdict("--source-root", os.path.dirname(TOP), os.path.join(WORK, "cxx.core"))
files = {f["file"] for g in v["leaks"] for f in g["stack"] if f["file"]}
ok(any(f.endswith("fixtures/prog/cxx.cc") and f[0] != "/" for f in files),
   "--source-root is for JSON, too", files)
