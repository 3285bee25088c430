#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cores that the kernel makes are read like our own."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

NAMES = ("leak_one", "leak_ring", "registers", "tls", "other_stack",
         "data_bss", "magazines", "oversize", "cxx",
         "no_access")
T.plan(len(NAMES) * T.COMPARE)
why_not = T.kernel_core_why_not()
for name in NAMES:
    if why_not:
        for i in range(T.COMPARE):
            T.skip("%s (kernel) %d" % (name, i), why_not)
    else:
        T.compare(T.kernel_core(name), name + " (kernel)")
