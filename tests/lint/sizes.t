#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""No file beyond 1500 lines; no function beyond 100 unless a comment in it or
above it says "LONG: why"; no line beyond 100 columns in C (the formatter keeps
80 where it can break)."""
import os, sys
top = os.environ["TOP"]
sys.path.insert(0, os.path.join(top, "tests/lint"))
sys.dont_write_bytecode = True
import cparse

bad = n = 0
for p in cparse.sources(top, ("src", "dcmds", "fixtures", "tests")):
    n += 1
    rel = os.path.relpath(p, top)
    lines = open(p, errors="replace").read().split("\n")
    if len(lines) > 1500:
        print("%s: %d lines, more than 1500" % (rel, len(lines)))
        bad += 1
    for i, line in enumerate(lines):
        width = len(line.expandtabs(8))
        if width > 100 and '"' not in line:
            print("%s:%d: %d columns" % (rel, i + 1, width))
            bad += 1
    for it in cparse.items(p):
        size = it.end - it.line + 1
        text = "\n".join(lines[max(0, it.line - 4):it.end])
        if it.is_def and size > 100 and "LONG:" not in text:
            print("%s:%d: %s has %d lines, more than 100" %
                  (rel, it.line, it.name, size))
            bad += 1
print("%d files" % n)
sys.exit(1 if bad or n < 5 else 0)
