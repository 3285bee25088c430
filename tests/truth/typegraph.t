#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The types of buffers: what fixtures say of theirs.  Nothing that is certain
may be wrong; of the rest, how much is known and how much of that is right."""
import os, subprocess, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T


class Row:
    def __init__(self, line):
        w = line.rstrip("\n").split(" ", 4)
        self.addr, self.size = int(w[0], 16), int(w[1])
        self.n, self.case, self.type = int(w[2]), w[3], w[4]


def read(r):
    with open(r.truth_path + ".types") as f:
        return [Row(line) for line in f]


def ask(dump, rows, first=()):
    """what pmdb says of each: addr -> its row"""
    cmds = list(first) + ["%x::whattype" % row.addr for row in rows]
    path = dump + ".cmds"
    with open(path, "w") as f:
        f.write("\n".join(cmds) + "\n")
    with open(path) as f:
        p = subprocess.run([T.PMDB, "--json", dump], stdin=f, text=True,
                           capture_output=True, timeout=T.TIMEOUT)
    got = {}
    for v in T.parse_json(p.stdout):
        if "grade" in v:
            got[int(v["addr"], 16)] = v
    return got


def is_right(row, v):
    """the type, and how many of it"""
    return v["type"] == row.type and (v["elements"] == row.n or
                                      row.case == "text")


def judge(rows, got):
    """(certain and wrong, typed, typed and right, by case)"""
    wrong, typed, right, cases = [], 0, 0, {}
    for row in rows:
        v = got[row.addr]
        c = cases.setdefault(row.case, [0, 0, 0, 0])
        c[0] += 1
        good = is_right(row, v)
        if v["grade"] == "certain":
            c[1] += 1
            if not good:
                wrong.append("%x %s is a %s [%d], not %s [%s]" %
                             (row.addr, row.case, row.type, row.n, v["type"],
                              v["elements"]))
        if v["grade"] in ("certain", "probable"):
            typed += 1
            c[2] += 1
            right += good
            c[3] += good
    return wrong, typed, right, cases


def report(cases):
    return "\n".join("%-14s %4d: %4d certain, %4d typed, %4d right" %
                     ((name,) + tuple(c)) for name, c in sorted(cases.items()))


T.plan(22)
ABORT = {"TRUTH_MODE": "abort"}  # before destructors


def check(name, r, share, certain):
    """share, certain: in percent, what must be known at least"""
    rows = read(r)
    got = ask(r.dump, rows)
    wrong, typed, right, cases = judge(rows, got)
    typable = [row for row in rows if row.type != "?"]
    sure = sum(c[1] for c in cases.values())
    T.ok(len(rows) > 200 and not wrong,
         "%s: nothing that is certain is wrong" % name, "\n".join(wrong))
    T.ok(right * 100 >= share * len(typable),
         "%s: %d%% of types are known and right" % (name, share),
         report(cases))
    T.ok(sure * 100 >= certain * len(typable),
         "%s: %d%% are certain" % (name, certain), report(cases))
    bad = [c for c in cases.items() if c[0] == "unknown" and c[1][2]]
    T.ok(not bad, "%s: what has no type is given none" % name, bad)
    return rows, got


r = T.run("types", env=ABORT)
rows, got = check("C", r, 96, 36)


def grades(case):
    return {got[row.addr]["grade"] for row in rows if row.case == case}


T.ok("certain" not in grades("trap-stale") | grades("trap-double"),
     "a stale pointer, or one to the first member, makes nothing certain")
T.ok(grades("trap-conflict") == {"conflict"},
     "two pointers that cannot both be right are a conflict")
T.ok(grades("tls") == {"certain"} and grades("void-list") == {"probable"} and
     grades("intrusive") == {"probable"},
     "of each thread's own; in lists of void *, and through members")
T.ok(grades("stack") == {"certain"} and grades("stack-struct") ==
     {"probable"}, "held by variables of frames: in lists of places, and in "
     "structs that may not be set yet", grades("stack"))
one = next(row for row in rows if row.case == "intrusive")
rc, out, err = T.pmdb(r.dump, "%x::whattype" % (one.addr + 0x18))
T.ok(rc == 0 and "%x+18, probably struct job (.all.prev)" % one.addr in out,
     "the member at an address", out + err)

# the user's word
rc, out, err = T.pmdb(r.dump, "%x::istype struct job" % one.addr,
                      "%x::whattype" % one.addr,
                      "%x::notype" % one.addr, "%x::whattype" % one.addr,
                      "%x::istype struct table" % one.addr)
lines = out.splitlines()
T.ok(lines == ["%x is %x+0, struct job" % (one.addr, one.addr),
               "%x is %x+0, unknown type" % (one.addr, one.addr)] and
     "does not fit in a buffer of" in err,
     "::istype and ::notype are believed", out + err)
got2 = ask(r.dump, [row for row in rows if row.case == "trap-stale"],
           first=["%x::istype struct pear" % row.addr for row in rows
                  if row.case == "trap-stale"])
T.ok({v["grade"] for v in got2.values()} == {"certain"} and
     {v["type"] for v in got2.values()} == {"struct pear"},
     "what the user says is certain", got2)

# sums
stat = T.parse_json(T.pmdb(r.dump, "::typestat", json_out=True)[1])
by_type = {v["type"]: v for v in stat}
T.ok(by_type["struct ring"]["buffers"] == 60 and
     by_type["struct ring"]["total_bytes"] == 60 * 40 and
     by_type["struct user"]["buffers"] == 33 and
     sum(v["buffers"] for v in stat) ==
     len(T.walk(r.dump, "::walk kmem")), "::typestat counts every buffer",
     stat)
rings = T.walk(r.dump, '::typestat -t "struct ring" | ::grep 1')
T.ok(set(rings) == {row.addr for row in rows if row.type == "struct ring"},
     "::typestat -t hands on the buffers of a type", T.hexes(rings))
false = T.parse_json(T.pmdb(r.dump, "::findfalse", json_out=True)[1])
T.ok([(v["symbol"], v["total_bytes"]) for v in false] ==
     [("counters", 8 * 48), (None, 12 * 48)],
     "::findfalse finds both arrays of counters, and no other", false)

# sizes are rounded, and earlier lives of the memory are not known
PLAIN = dict(ABORT, KMEM_DEBUG="", KMEM_LOGGING="")
rows, got = check("C without debugging", T.run("types", env=PLAIN,
                                               tag="plain"), 80, 0)
r = T.run("types_cxx", env=ABORT)
check("C++", r, 99, 18)
