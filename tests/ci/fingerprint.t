#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A finding has one fingerprint: in each run, wherever things are loaded, with
another build of the library it goes through, with other lines above it."""
import os, re, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cilib import *

MAIN = """#include <stdlib.h>
extern void each(void (*fn)(int), int n);
void *volatile sink;
%s
__attribute__((noinline)) static void lose(int n) { sink = malloc(64 + n); sink = 0; }
__attribute__((noinline)) static void drop(int n)
{
	sink = malloc(200); sink = 0;
	%s
}
int main(void) { %s each(lose, 3); each(drop, 1); return 0; }
"""
LIB = """%s
__attribute__((noinline)) void each(void (*fn)(int), int n)
{
	%s
	for (int i = 0; i < n; i++)
		fn(i * 100);
	__asm__ volatile("");
}
"""
plan(12)


def build(where, main=("", "", ""), lib=("", ""), opt="-O1"):
    os.makedirs(os.path.join(WORK, where), exist_ok=True)
    write(where + "/main.c", MAIN % main)
    write(where + "/lib.c", LIB % lib)
    compile_c(where + "/libeach.so", "-fPIC", "-shared", opt, where + "/lib.c")
    return compile_c(where + "/prog", opt, where + "/main.c",
                     where + "/libeach.so", "-Wl,-rpath,$ORIGIN")


def prints(exe, name):
    rc, v = verdict(dump([exe], name))
    return v, {g["fingerprint"]: g for g in v["leaks"]}


def pcs(v):
    return [f["pc"] for g in v["leaks"] for f in g["stack"]]


def offsets(v, what):
    return [f["offset"] for g in v["leaks"] for f in g["stack"]
            if what in (f["object"] or "")]


exe = build("a")
one, first = prints(exe, "one")
ok(len(first) == 2, "two places, of which one is in several caches",
   [(g["caches"], g["bytes"]) for g in one["leaks"]])
ok(sorted(g["caches"] for g in one["leaks"]) == [1, 3], "it counts them")
rc, out, err = check(os.path.join(WORK, "one.core"))
ok(sorted(re.findall(r"\[([0-9a-f]{16})\]\n", out)) == sorted(first),
   "text: the same as in JSON", out)
two, again = prints(exe, "two")
ok(set(first) == set(again) and pcs(one) != pcs(two),
   "the same where the loader puts things elsewhere", (first.keys(), again.keys()))

# a library that the stack goes through, with other code before the call
other, third = prints(build("b", lib=(
    "int grown(int a, int b) { return a * b / (a + 7); }",
    "extern int rand(void); if (rand() == 7) n++;")), "other")
ok(offsets(one, "libeach") != offsets(other, "libeach"),
   "the library is another one indeed", offsets(other, "libeach"))
ok(set(third) == set(first), "the same with another build of a library",
   (first.keys(), third.keys()))

# the program with lines above, and a function before
edited, fourth = prints(build("c", main=(
    "\n\n\nint more(int a) { return a %% 12345 + 3; }\n".replace("%%", "%"), "", "")),
    "edited")
ok([f["line"] for g in one["leaks"] for f in g["stack"]] !=
   [f["line"] for g in edited["leaks"] for f in g["stack"]],
   "the lines are others indeed")
ok(set(fourth) == set(first), "the same when the program was edited elsewhere",
   (first.keys(), fourth.keys()))

# one more call in the same function is one more
more, fifth = prints(build("d", main=("", "sink = malloc(300); sink = 0;", "")),
                     "more")
ok(len(fifth) == 3 and set(first) < set(fifth), "a second call of one function",
   (first.keys(), fifth.keys()))
# from elsewhere it is another
elsewhere, sixth = prints(build("e", main=("", "", "lose(1);")), "elsewhere")
ok(len(sixth) == 3 and set(first) < set(sixth), "the same call from elsewhere",
   (first.keys(), sixth.keys()))

# without symbols there are offsets in the object, which stay from run to run
run("strip", "-s", exe)
_, seventh = prints(exe, "stripped")
_, eighth = prints(exe, "stripped2")
ok(len(seventh) == 2 and set(seventh) == set(eighth), "stripped: the same in each run",
   (seventh.keys(), eighth.keys()))
ok(set(seventh) != set(first), "stripped: another than by name")
