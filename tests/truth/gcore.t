#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cores that gdb's gcore makes are read like our own."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

NAMES = ("leak_one", "leak_tree", "interior", "registers", "tls",
         "thread_specific", "other_stack", "below_sp", "thread_exited",
         "magazines", "oversize", "cxx", "no_access")
PLAIN = ("leak_tree", "magazines", "cxx")
T.plan((len(NAMES) + len(PLAIN) + 1) * T.COMPARE)
for name in NAMES:
    T.compare(T.gcore(name), name + " (gcore)")
for name in PLAIN:
    r = T.gcore(name, env={"KMEM_DEBUG": None, "KMEM_LOGGING": None},
                tag="gcore-plain")
    T.compare(r, name + " (gcore, plain)", exact=False)
T.compare(T.gcore("no_access", tag="snap", how=T.BY_PMDB),
          "no_access (pmdb snap)")
