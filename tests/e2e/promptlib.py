# SPDX-License-Identifier: GPL-3.0-or-later
"""For the tests of the prompt: TAP, a core, pmdb on a real pseudo-terminal."""
import os, subprocess, sys
import pexpect

PMDB = os.environ["B"] + "/pmdb"
count = 0

PROGRAM = """
#include <string.h>
struct deep { int level; char label[8]; };
struct stock_item {
	struct stock_item *next;
	struct deep in, pair[2];
	union { int as_int; float as_float; };
	const char *name;
};
typedef struct stock_item stock_item_t;
struct stock_item second = {.name = "two"};
stock_item_t *last;
struct stock_item stock = {.next = &second, .name = "one", .in = {3, "x"}};
int stock_count = 2;
int gr\\u00fc\\u00dfe = 1;
int main(void) { volatile int *p = 0; return *p + stock_count; }
"""


def check(name, ok, why=""):
    global count
    count += 1
    print("%s %d - %s%s" % ("ok" if ok else "not ok", count, name,
                            "" if ok else ": " + str(why)), flush=True)


def plan():
    print("1..%d" % count)


def make_core():
    with open("prog.c", "w") as f:
        f.write(PROGRAM)
    subprocess.run(["gcc", "-g", "-o", "prog", "prog.c"], check=True)
    p = subprocess.run(["gdb", "-q", "-nx", "-batch", "-ex", "run", "-ex",
                        "gcore core.prog", "./prog"], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True)
    if not os.path.exists("core.prog"):
        print("gdb made no core here: " + p.stdout[-200:])
        sys.exit(77)


def spawn(*args, size=(24, 80), core="core.prog", **env):
    """pmdb at its prompt; env: TERM and others, None: not set"""
    with open("inputrc", "w") as f:
        f.write("set enable-bracketed-paste off\n")
    e = dict(os.environ, TERM="dumb", LC_ALL="C.UTF-8",
             INPUTRC=os.path.abspath("inputrc"))
    for name in ("PAGER", "LESS", "NO_COLOR", "PMDB_HISTFILE", "HISTSIZE"):
        e.pop(name, None)
    for name, value in env.items():
        if value is None:
            e.pop(name, None)
        else:
            e[name] = value
    c = pexpect.spawn(PMDB, list(args) + [core], encoding="utf8",
                      timeout=20, dimensions=size, env=e)
    c.delaybeforesend = 0.02
    c.expect("> $")
    return c


def ask(c, line, want):
    """true when the answer to a line has want in it, and a prompt follows"""
    c.sendline(line)
    try:
        c.expect(want)
        c.expect("> ")
        return True
    except (pexpect.TIMEOUT, pexpect.EOF):
        return False


def end(c):
    """the exit status of a session that is told to end"""
    c.sendline("$q")
    c.expect(pexpect.EOF)
    c.close()
    return c.exitstatus
