#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Heaps of programs we did not write: what ::heapstat sums up is what malloc
itself said just before (mallinfo2()), byte for byte.  By the names of libc's
debug information, and without any file of libc, by the invariants."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import glibcs, oraclelib as O, truthlib as T

here = glibcs.Here()
lib = here.compile(os.path.join(T.WORK, "oracle.so"), "-shared", "-fPIC",
                   O.TOP + "/tests/truth/glibc_oracle.c")
T.plan(O.CHECKS * len(O.PROGRAMS))
for name, args in O.PROGRAMS.items():
    O.compare(here, lib, name, args)
