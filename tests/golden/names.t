#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command, walker, option and variable of mdb (tests/golden/data/mdb-names)
is here, or doc/mdb-differences.md names it, with a reason, in one of its tables
of what is not; and nothing is in such a table that is here."""
import os, re, subprocess, sys
top, build = os.environ["TOP"], os.environ["B"]
pmdb = build + "/pmdb"


def run(*args):
    p = subprocess.run([pmdb, "-S", *args], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       text=True, timeout=20)
    return p.returncode, p.stdout, p.stderr


def core():
    """A core with registers, of a program of ours."""
    subprocess.run(["gcc", "-g", "-o", "prog", "-pthread",
                    top + "/tests/shell/prog.c"], check=True)
    subprocess.run(["gdb", "-q", "-nx", "-batch", "-ex", "run", "-ex",
                    "gcore core.prog", "./prog"], stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if not os.path.exists("core.prog"):
        print("gdb makes no core here")
        sys.exit(77)


NEEDS = set("beDILoPRsVp")  # letters that take an argument


def is_here(kind, name):
    if kind == "dcmd":
        return run("-e", "::help '%s'" % name)[0] == 0
    if kind == "walker":
        return run("-e", "::walkers -n '^%s$'" % name)[1] != ""
    if kind == "letter":
        args = ["-" + name] + (["0"] if name in NEEDS else [])
        word = {"o": "pager", "V": "intel", "e": "2=X",
                "p": "4999999"}.get(name)
        if word:
            args = ["-" + name, word]
        rc, _, err = run(*args, "-e", "1=X")
        return (rc == 0 or "operand" in err or "wants one file" in err or
                "there is no process" in err)
    if kind == "option":
        for text in (name, name + "=1"):
            rc, _, err = run("-o", text, "-e", "1=X")
            if rc == 0:
                return True
        return False
    return run("-e", "<%s=X" % name, "core.prog")[0] == 0


core()
# the question itself can be answered with yes and no
for kind, there, not_there in (("dcmd", "walk", "nosuch"),
                               ("walker", "thread", "nosuch"),
                               ("letter", "q", "Z"),
                               ("option", "pager", "nosuch"),
                               ("variable", "rip", "nosuch")):
    if not is_here(kind, there) or is_here(kind, not_there):
        sys.exit("cannot tell whether a %s is there" % kind)
text = open(top + "/doc/mdb-differences.md").read()
absent = {}
for row in re.findall(r"(?m)^\|(.*)\|(.*)\|$", text):
    for name in re.findall(r"`([^`]+)`", row[0]):
        if len(row[1].strip()) > 5:
            absent[name.lstrip(":") if name.startswith("::") else name] = 1
SPELL = {"dcmd": "%s", "walker": "walk %s", "letter": "-%s", "option": "-o %s",
         "variable": "<%s"}
bad = n = 0
for line in open(top + "/tests/golden/data/mdb-names"):
    if line.startswith("#"):
        continue
    kind, name = line.split()
    n += 1
    said = SPELL[kind] % name in absent
    here = is_here(kind, name)
    if here == said:
        bad += 1
        print("%s %s: %s" % (kind, name, "is here, but the page says it is not"
                             if here else "neither here nor on the page"))
print("%d names, %d of them not there, with a reason" % (n, len(absent)))
sys.exit(1 if bad or n < 150 else 0)
