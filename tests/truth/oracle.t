#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real programs with real leaks: valgrind, which watches every instruction,
must agree on buffers and bytes, direct and indirect ones."""
import json, os, re, shutil, subprocess, sys
B, WORK = os.environ["B"], os.environ["WORK"]

# programs of Debian that end without freeing all they have lost sight of
PROGRAMS = (
    ("perl", ["-e", "print 1"]),
    ("sort", ["/etc/passwd"]),
    ("tar", ["cf", "/dev/null", "/etc/hostname"]),
    ("as", ["/dev/null", "-o", "/dev/null"]),
)
os.environ["PERL_HASH_SEED"] = "0"
print("1..%d" % (3 * len(PROGRAMS)), flush=True)
count = 0


def ok(good, name, why=""):
    global count
    count += 1
    print("%sok %d - %s" % ("" if good else "not ", count, name))
    if not good:
        print("#   " + str(why))


def valgrind(prog, args):
    """buffers and bytes lost, or None"""
    p = subprocess.run(["valgrind", "--leak-check=full", prog] + args,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.PIPE, text=True)
    total = []
    for kind in ("definitely", "indirectly"):
        m = re.search(kind + r" lost: ([\d,]+) bytes in ([\d,]+) blocks",
                      p.stderr)
        if m:
            total.append([int(x.replace(",", "")) for x in m.groups()])
        elif "no leaks are possible" in p.stderr:
            total.append([0, 0])
    if len(total) != 2:
        return None, p.stderr
    return (sum(t[1] for t in total), sum(t[0] for t in total)), ""


def pmdb(prog, args):
    dump = os.path.join(WORK, prog + ".core")
    p = subprocess.run([B + "/pmdb", "run", "-o", dump, "--",
                        shutil.which(prog)] + args,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.PIPE, text=True)
    run_rc = p.returncode
    p = subprocess.run([B + "/pmdb", "check", "--format", "json", dump],
                       stdout=subprocess.PIPE, text=True)
    v = json.loads(p.stdout)
    return run_rc, v, (sum(g["buffers"] for g in v["leaks"]),
                       sum(g["bytes"] for g in v["leaks"]))


for prog, args in PROGRAMS:
    want, why = valgrind(prog, args)
    rc, verdict, got = pmdb(prog, args)
    ok(rc == 0, prog + ": runs", "status %d" % rc)
    ok(verdict["status"] == ("findings" if got[0] else "clean"),
       prog + ": has a verdict", verdict["reason"])
    ok(got == want, "%s: %s buffers and bytes lost, as valgrind says"
       % (prog, want), "found %s %s" % (got, why[-300:]))
