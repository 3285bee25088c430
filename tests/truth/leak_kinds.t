#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaks under glibc's malloc, which records no callers, are grouped by what they
are: exactly by the kinds of the program when all symbols are gone, by type when
there is debug information; check and its fingerprints tell them apart, too."""
import os, shutil, subprocess, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T


def snap(tag, strip):
    """A dump of the fixture under plain malloc -> path, truth"""
    os.mkdir(os.path.join(T.WORK, tag))
    exe = os.path.join(T.WORK, tag, "kinds")
    core, truth = exe + ".core", exe + ".truth"
    shutil.copy(T.fixture("leak_kinds"), exe)
    if strip:
        subprocess.run(["strip", "-s", exe], check=True)
    p = subprocess.Popen([exe], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         env=dict(os.environ, TRUTH=truth, TRUTH_MODE="wait"))
    try:
        if p.stdout.readline() != b"ready\n":
            raise RuntimeError("the fixture is not ready")
        subprocess.run([T.PMDB, "snap", "-o", core, "-p", str(p.pid)],
                       check=True, timeout=T.TIMEOUT, capture_output=True)
        p.communicate(b"\n", timeout=T.TIMEOUT)
    finally:
        p.kill()
    return core, T.Truth(truth)


def rows(core):
    out = T.pmdb(core, "::findleaks", json_out=True)[1]
    return T.parse_json(out)


def members(core, row):
    """The buffers of a row's leak"""
    addr = "%x" % int(row["buffer"], 16)
    out = T.pmdb(core, "::findleaks ! true", "%s::walk leakbuf" % addr)[1]
    return {int(line, 16) for line in out.split()
            if line.startswith("0x") or len(line) == 16}


def exactly(core, truth, by_row):
    """Is each kind one row, and each row one kind?  "" when it is."""
    kind_of = {a: kind for kind, all_ in truth.groups().items() for a in all_}
    why, seen = "", {}
    for row, bufs in by_row:
        kinds = {kind_of.get(b, "?") for b in bufs}
        name = row["type"] or row["shape"]
        if len(kinds) != 1:
            why += "%s is %s\n" % (name, sorted(kinds))
        for k in kinds:
            if k in seen:
                why += "%s is %s and %s\n" % (k, seen[k], name)
            seen[k] = name
    missing = set(truth.groups()) - set(seen)
    return why + ("missing: %s\n" % sorted(missing) if missing else "")


T.plan(10)
core, truth = snap("bare", True)
found = [(r, members(core, r)) for r in rows(core)]
T.ok(set().union(*(b for _, b in found)) == set(truth.leak),
     "the rows have all leaks")
why = exactly(core, truth, found)
T.ok(not why, "without symbols, %d rows are the kinds" % len(found), why)
T.ok(all(r["shape"] and not r["type"] for r, _ in found),
     "each row has a shape", found and found[0][0])
out = T.pmdb(core, "::findleaks")[1]
T.ok("? {own? num str num? num}" in out and "look alike" in out,
     "the shape of a list, and what a row is", out)
rc, verdict, err = T.check(core)
prints = {g["fingerprint"] for g in verdict["leaks"]}
T.ok(rc == 1 and len(prints) == len(found) and
     sorted(str(g["shape"]) for g in verdict["leaks"]) ==
     sorted(str(r["shape"]) for r, _ in found),
     "check has the same groups", "%d %s" % (rc, err))
core2, truth2 = snap("again", True)
again = {g["fingerprint"] for g in T.check(core2)[1]["leaks"]}
T.ok(again == prints, "the fingerprints are those of another run",
     again ^ prints)

core, truth = snap("typed", False)
found = [(r, members(core, r)) for r in rows(core)]
why = exactly(core, truth, found)
T.ok(not why, "with debug information, %d rows are the kinds" % len(found),
     why)
types = {r["type"] for r, _ in found}
T.ok({"probably list", "probably tree",
      "probably named"} <= types,
     "leaks like buffers in use have their type", types)
T.ok(any(t and t.endswith("circle") for t in types) and
     any(t and t.endswith("square") for t in types),
     "objects have their class", types)
rc, out, err = T.check(core, json_out=False)
T.ok("(probably list) {own? num str num? num}" in out and
     "(no stack: glibc heap records no callers)" in out,
     "check says type and shape", out + err)
