#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""--json: each line is one object, by Python's reader; keys say their units;
and the text of the same rows says the same."""
import json, os, re, subprocess, sys

B, TOP, WORK = (os.environ[k] for k in ("B", "TOP", "WORK"))
PMDB = B + "/pmdb"
n = 0


def check(name, ok, why=""):
    global n
    n += 1
    print("%s %d - %s%s" % ("ok" if ok else "not ok", n, name,
                            "" if ok else ": " + str(why)[:300]))


def run(cmd, *opts):
    p = subprocess.run([PMDB, *opts, "-e", cmd, "core.prog"],
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE)
    return p.returncode, p.stdout


def rows(cmd):
    rc, out = run(cmd, "--json")
    return [json.loads(line) for line in out.decode("utf-8").splitlines()]


def strict(pairs):
    keys = [k for k, _ in pairs]
    assert len(keys) == len(set(keys)), "key twice: %s" % keys
    return dict(pairs)


subprocess.run(["gcc", "-g", "-O1", "-pthread", "-o", "prog",
                TOP + "/tests/shell/prog.c"], check=True)
subprocess.run(["gdb", "-q", "-nx", "-batch", "-ex", "run", "-ex",
                # bytes that are no UTF-8
                "set var text[0] = 0xff", "-ex", "set var text[1] = 0xc0",
                "-ex", "gcore core.prog", "./prog"], stdin=subprocess.DEVNULL,
               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
if not os.path.exists("core.prog"):
    print("gdb made no core here")
    sys.exit(77)

ADDR = re.compile(r"^0x[0-9a-f]+$")
UNIT = re.compile(r"(_bytes|_bits|_ns|_pct)$")
for cmd in ("::status", "::mappings", "::objects", "::objects -v", "::stack",
            "$C", "::walk thread | ::stack", "::regs", "::walk thread",
            "::nm a.out", "::dcmds", "::walkers", "::vars", "shape::print",
            "shape::print -at in numbers", "::sizeof int",
            "::offsetof struct shape five", "table,40::dump",
            "shape::list struct shape next", "table::array", "1=X",
            "text/s", "answer/X", "::echo a", "::help", "::help stack",
            "::walk thread | ::head -1"):
    rc, out = run(cmd, "--json")
    try:
        objs = [json.loads(line, object_pairs_hook=strict)
                for line in out.decode("utf-8").splitlines()]
        bad = [o for o in objs if not isinstance(o, dict) or not o]
        for o in objs:
            for k, v in o.items():
                if not re.match(r"^[a-z][a-z0-9_]*$", k):
                    bad.append(k)
                if k in ("addr", "base", "limit", "pc", "cfa") and \
                        not ADDR.match(v):
                    bad.append((k, v))
                if UNIT.search(k) and v is not None and \
                        not isinstance(v, int):
                    bad.append((k, v))
        check("%s is JSON lines" % cmd, rc == 0 and objs and not bad, bad)
    except (ValueError, AssertionError) as e:
        check("%s is JSON lines" % cmd, False, e)

r = rows("answer/X")
check("text becomes a text object", r[1]["text"].split() == ["answer:", "2a"],
      r)
r = rows("::walk thread")
check("values are strings of hex", all(ADDR.match(o["value"]) for o in r), r)
rc, out = run("::walk thread")
check("and the same as in text",
      [o["value"] for o in r] == out.decode().split(), out)
r = rows("::mappings")
rc, out = run("::mappings")
text = [line.split(None, 3) for line in out.decode().splitlines()[1:]]
check("mappings: the rows of the text",
      [[o["base"], o["limit"], o["size_bytes"], o["name"]] for o in r] ==
      [["0x" + a, "0x" + b, int(c, 16), d] for a, b, c, d in text], r[:2])
r = rows("::stack")
check("frames have function, file and line",
      r[0]["function"] == "crash" and r[0]["file"].endswith("prog.c") and
      isinstance(r[0]["line"], int), r[0])
r = rows("shape::print")
by = {o["name"]: o for o in r}
check("print: nested members by path",
      by["pair[1].c"]["value"] == "'b'" and by["in.x"]["value"] == "7" and
      by["in.x"]["type"] == "int", sorted(by))
r = rows("::regs")
check("regs", {"rip", "rsp", "r15"} <= {o["register"] for o in r})
r = rows("text/s")
check("bytes that are no UTF-8 are replaced",
      "\ufffd\ufffdffer text" in r[1]["text"], r)
rc, out = run("::walk nosuch", "--json")
check("an error is no row", rc == 1 and out == b"", out)
r = rows("::walk thread | ::map .+1 | ::head")
check("a pipeline ends in JSON only", len(r) == 2 and list(r[0]) == ["value"],
      r)
rc, out = run("::walk thread ! wc -l", "--json")
check("a shell command reads JSON lines", out.strip() == b"2", out)
print("1..%d" % n)
