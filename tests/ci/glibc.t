#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps of a program under glibc's malloc, which records no callers, in check,
report, export and diff: each says what it can by type, shape and size, and what it
cannot in one line."""
import json, os, sqlite3, subprocess, sys
import xml.etree.ElementTree as ET
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "truth"))
import truthlib as T

core = os.path.join(T.WORK, "kinds.core")
p = subprocess.Popen([T.fixture("leak_kinds")], stdin=subprocess.PIPE,
                     stdout=subprocess.PIPE, env=dict(
                         os.environ, TRUTH=os.path.join(T.WORK, "truth"),
                         TRUTH_MODE="wait"))
try:
    assert p.stdout.readline() == b"ready\n"
    subprocess.run([T.PMDB, "snap", "-o", core, "-p", str(p.pid)],
                   check=True, timeout=T.TIMEOUT, capture_output=True)
    p.communicate(b"\n", timeout=T.TIMEOUT)
finally:
    p.kill()


def pmdb(*args):
    r = subprocess.run([T.PMDB, *args], timeout=T.TIMEOUT, capture_output=True,
                       text=True, cwd=T.WORK)
    return r.returncode, r.stdout, r.stderr


T.plan(14)
leaks = json.loads(pmdb("check", "--format", "json", core)[1])["leaks"]
ring = next(g for g in leaks if "self" in (g["shape"] or ""))
words = "of malloc_40 %s" % ring["shape"]

out = pmdb("check", "--format", "junit", core)[1]
said = [f.get("message") for f in ET.fromstring(out).iter("failure")]
T.ok(len(said) == len(leaks) and any(words in s for s in said),
     "junit: a failure a group, with its shape", said)
sarif = json.loads(pmdb("check", "--format", "sarif", core)[1])
said = [r["message"]["text"] for r in sarif["runs"][0]["results"]]
T.ok(len(said) == len(leaks) and any(words in s for s in said),
     "sarif: a result a group, with its shape", said)
said = json.loads(pmdb("check", "--format", "gitlab", core)[1])
T.ok(len({s["fingerprint"] for s in said}) == len(leaks) and
     any(words in s["description"] for s in said), "gitlab: the same", said)
out = pmdb("check", "--format", "github", core)[1]
T.ok(words in out and "probably list" in out, "github: shapes and types", out)
out = pmdb("check", "--format", "markdown", core)[1]
T.ok(out.count("| leak |") + out.count("| indirect |") == len(leaks),
     "markdown: a row a group", out)

path = os.path.join(T.WORK, "supp")
with open(path, "w") as f:
    f.write("stack:%s\n" % ring["fingerprint"])
rc, out, err = pmdb("check", "--suppressions", path, core)
T.ok(rc == 1 and ring["shape"] not in out and
     "%d leaks" % (len(leaks) - 1) in out and "1 suppressed leak" in out,
     "one kind is suppressed by its fingerprint, the others not", out)
pmdb("check", "--gen-suppressions=" + path, core)
rc, out, err = pmdb("check", "--suppressions", path, core)
T.ok(rc == 0 and "clean" in out, "generated suppressions know all", out + err)
rc, out, err = pmdb("check", "--write-baseline", "base", core)
rc, out, err = pmdb("check", "--baseline", "base", core)
T.ok(rc == 0 and "%d known leaks" % len(leaks) in out,
     "so does a baseline", out + err)

rc, out, err = pmdb("report", "-o", "kinds.html", core)
with open(os.path.join(T.WORK, "kinds.html")) as f:
    page = f.read()
T.ok(rc == 0 and "<dt>Shape</dt><dd>%s</dd>" % ring["shape"] in page and
     "glibc heap records no callers" in page, "report has shapes", err)

rc, out, err = pmdb("export", "--format", "sqlite", "-o", "k.db", core)
db = sqlite3.connect(os.path.join(T.WORK, "k.db"))
n = dict(db.execute("SELECT verdict, count(*) FROM buffers GROUP BY verdict"))
T.ok(rc == 0 and n["leaked"] == sum(g["direct_buffers"] for g in leaks) and
     n["leaked"] + n["indirect"] == sum(g["buffers"] for g in leaks),
     "sqlite: the leaked buffers", (n, err))
counted = db.execute("SELECT count(*), count(allocations) FROM caches")
T.ok(counted.fetchone()[1] == 0, "sqlite: what is not counted is NULL")
out = pmdb("export", "--format", "folded", "--sample", "leaked", core)[1]
T.ok("malloc_40 %d" % sum(g["bytes"] for g in leaks
                          if g["cache"] == "malloc_40") in out,
     "folded: by size class", out)

rc, out, err = pmdb("diff", core, core)
T.ok(rc == 0 and "By call site: glibc records no stacks" in out and
     "+0 bytes" in out, "diff: nothing grew, and why there are no sites",
     out + err)
rc, out, err = pmdb("check", core)
T.ok("(no stack: glibc heap records no callers)" in out, "text says why", out)
