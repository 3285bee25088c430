#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a buffer: interior pointers, registers, thread-local and thread-
specific data, stacks, static data, mappings; and what does not."""
import os, signal, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

NAMES = ("interior", "registers", "tls", "thread_specific", "other_stack",
         "below_sp", "data_bss", "mmap_region", "thread_exited",
         "threads_busy", "vectors", "on_altstack",
         "ends")
STATUS = {"vectors": T.signal_status(signal.SIGTERM)}
T.plan(len(NAMES) * (T.COMPARE + 1))
for name in NAMES:
    r = T.run(name)
    T.ok(r.rc == STATUS.get(name, 0) and r.out == "" and r.err == "",
         name + ": runs as without the library",
         "status %d %r %r" % (r.rc, r.out, r.err))
    T.compare(r, name)
