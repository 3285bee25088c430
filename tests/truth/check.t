#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""pmdb run --check: the verdict decides the status when the program itself
succeeded, and follows on stderr; children count."""
import os, subprocess, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

# program, status, what stderr says (None: nothing beside the verdict line)
CASES = (
    ("clean", [T.fixture("clean")], 0, ""),
    ("leaky", [T.fixture("leak_groups")], 1, "51 buffers"),
    ("corrupted", [T.fixture("overrun_live")], 1, "corrupt"),
    ("fails", ["/bin/sh", "-c", "exit 9"], 9, ""),
    ("killed", ["/bin/sh", "-c", "kill -TERM $$"], 143, ""),
    ("leaky child of a clean shell",
     ["/bin/sh", "-c", T.fixture("leak_one") + "; exit 0"], 1, "1 buffer"),
    ("aborts", [T.fixture("double_free")], T.ABORT, "duplicate free"),
)
T.plan(len(CASES) * 2 + 1)
for name, argv, status, text in CASES:
    out = subprocess.run(
        [T.PMDB, "run", "--check", "-o", os.path.join(T.WORK, "%c.%p.core"),
         "--", *argv], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=T.TIMEOUT, errors="replace")
    T.ok(out.returncode == status, "run --check: %s: status %d"
         % (name, status), "status %d\n%s" % (out.returncode, out.stderr))
    T.ok(out.stdout == "" and text in out.stderr and out.stderr,
         "run --check: %s: the verdict is on stderr" % name,
         out.stdout + out.stderr)
left = [f for f in os.listdir(T.WORK) if not f.endswith(".core")]
T.ok(left == [], "run --check: leaves nothing but dumps", left)
