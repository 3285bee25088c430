#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Completion by Tab on a terminal: every kind of word there is."""
import os, subprocess, sys
sys.path.insert(0, os.path.join(os.environ["TOP"], "tests/e2e"))
from promptlib import *

make_core()
c = spawn("-q")


def completes(typed, want):
    """typed, one Tab: the line is want then"""
    c.send("\x15" + typed + "\t")
    c.send("\x01\x0b\x19\x05#\r")  # redraw by kill and yank; run a non-command
    try:
        c.expect_exact(want + "#", timeout=5)
        ok = True
    except pexpect.TIMEOUT:
        ok = False
    check("%r gives %r" % (typed, want), ok, repr(c.before[-200:]) if not ok
          else "")
    c.expect("> ")


def lists(typed, want, never=()):
    """typed, two Tabs: these words are shown, those are not"""
    missing = []
    text = ""
    try:
        c.send("\x15" + typed)
        c.expect_exact(typed, timeout=5)
        c.send("\t\t")
        c.expect_exact("\n> " + typed, timeout=5)
        text = c.before
    except pexpect.TIMEOUT:
        missing.append("a list")
    words = text.split()
    missing += [w for w in want if w not in words]
    missing += ["no " + w for w in never if w in words]
    check("%r lists %s" % (typed, " ".join(want)), not missing,
          "%s in %r" % (missing, text[-300:]))
    c.send("\x03")
    c.expect("> ")


# dcmds and walkers
completes("::mapp", "::mappings ")
completes("10::mapp", "10::mappings ")
completes("::walk threa", "::walk thread ")
completes("1=X;::offs", "1=X;::offsetof ")
completes("::walk thread|::mapp", "::walk thread|::mappings ")
completes("::walk thread | ::findst", "::walk thread | ::findstack ")
completes("::help findle", "::help findleaks ")
lists("::kmem_", ["kmem_cache", "kmem_log", "kmem_verify"], ["findleaks"])
# types, with and without the word for their kind
completes("::sizeof struct stock_i", "::sizeof struct stock_item ")
completes("::sizeof stock_item_", "::sizeof stock_item_t ")
completes("::sizeof struct dee", "::sizeof struct deep ")
completes('::sizeof "struct dee', '::sizeof "struct deep')
# members, through . -> and [i], of anonymous unions too
completes("::offsetof struct stock_item ne", "::offsetof struct stock_item next")
completes("stock::print struct stock_item na",
          "stock::print struct stock_item name ")
completes("stock::print stock_item_t in.le", "stock::print stock_item_t in.level ")
completes("stock::print stock_item_t next->next->na",
          "stock::print stock_item_t next->next->name ")
completes("stock::print stock_item_t pair[1].la",
          "stock::print stock_item_t pair[1].label ")
completes("stock::print -at stock_item_t as_f",
          "stock::print -at stock_item_t as_float ")
completes("stock::print pai", "stock::print pair")
completes("stock::print next->pai", "stock::print next->pair")
lists("stock::print stock_item_t next->as_", ["as_int", "as_float"], ["name"])
lists("stock::print struct deep l", ["level", "label"], ["next"])
# symbols, of an object too
completes("stock_c", "stock_count ")
completes("1+stock_c", "1+stock_count ")
completes("*stock_c", "*stock_count ")
completes("prog`stock_c", "prog`stock_count ")
completes("::echo $[stock_c", "::echo $[stock_count ")
lists("libc.so.6`mallo", ["libc.so.6`malloc", "libc.so.6`mallopt"], ["mallopt"])
completes("gr\u00fc", "gr\u00fc\u00dfe ")
# variables and registers
c.sendline("7>my_variable")
c.expect("> ")
completes("<my_v", "<my_variable ")
completes("1>my_v", "1>my_variable ")
completes("<rfl", "<rflags ")
# options of the dcmd that is typed
lists("::findleaks -", ["-d", "-f", "-v"], ["-a"])
lists("::nm -n -", ["-D", "-x"])
# objects
completes("::nm ld-linux", "::nm ld-linux-x86-64.so.2 ")
# commands within commands
completes("::walk thread | ::eval '::mapp", "::walk thread | ::eval '::mappings ")
completes("::walk thread | ::grep 'stock_c", "::walk thread | ::grep 'stock_count ")
# files, where a file is meant and nowhere else
completes("! cat prog.", "! cat prog.c ")
completes("1=X ! cat prog.", "1=X ! cat prog.c ")
completes("::sizeof prog.", "::sizeof prog.")
completes("::walk prog.", "::walk prog.")
completes("prog.", "prog.")
# nothing is made up
completes("::sizeof struct zzyzx", "::sizeof struct zzyzx")
completes("10", "10")
completes("", "")
# macros: aliases, files of the path, files elsewhere
os.mkdir("macros")
for name in "mine_one", ".hidden":
    with open("macros/" + name, "w") as f:
        f.write("1=K\n")
c.sendline("::set -I " + os.getcwd() + "/macros:/nosuch")
c.expect("> ")
completes("$<min", "$<mine_one ")
completes("1,2$<< min", "1,2$<< mine_one ")
completes("$<bufctl_a", "$<bufctl_audit ")
completes("$<./macros/mi", "$<./macros/mine_one ")
completes("$<.h", "$<.h")
check("the session ends well", end(c) == 0)

# C++ names as they are in the source
with open("cxx.cc", "w") as f:
    f.write("""#include <cstdlib>
namespace shop {
struct shelf { int fill(int n); };
int shelf::fill(int n) { if (n == 1) abort(); return n; }
template <typename T> struct basket { T lift(T x) { return x; } };
int sweep_all(int n) { return basket<int>().lift(shelf().fill(n)); }
}
int main() { return shop::sweep_all(1); }
""")
subprocess.run(["g++", "-g", "-o", "prog", "cxx.cc"], check=True)
subprocess.run(["gdb", "-q", "-nx", "-batch", "-ex", "run", "-ex",
                "gcore core.prog", "./prog"], stdin=subprocess.DEVNULL,
               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
c = spawn("-q")
completes("sweep_", "sweep_all ")
completes("::dis shop::sw", "::dis shop::sweep_all ")
completes("::dis shop::shelf::f", "::dis shop::shelf::fill ")
completes("::dis shop::basket<int>::l", "::dis shop::basket<int>::lift ")
completes("::stacks -c sweep_", "::stacks -c sweep_all ")
completes("::print shop::she", "::print shop::shelf ")
completes("shop::sw", "shop::sw")
c.sendline("::dis -n 1 shop::basket<int>::lift")
c.expect_exact("shop::basket<int>::lift(int):")
c.expect("> ")
check("the session ends well", end(c) == 0)
plan()
