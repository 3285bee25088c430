#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""No function that cannot be used safely; malloc and its relations only on the
lowest floor of pmdb; no "//" comment; nothing foreign in the target."""
import os, re, sys
top = os.environ["TOP"]
sys.path.insert(0, os.path.join(top, "tests/lint"))
sys.dont_write_bytecode = True
import cparse

ALWAYS = r"strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|gets|alloca"
HEAP = r"malloc|calloc|realloc|strdup|strndup|asprintf|vasprintf"
# what a guest in somebody's process must not call
GUEST = HEAP + r"|printf|fprintf|puts|fopen|fputs|exit|system|popen|getenv"
bad = n = 0


def report(rel, line, what):
    global bad
    bad += 1
    print("%s:%d: %s" % (rel, line, what))


for p in cparse.sources(top, ("src", "dcmds", "fixtures", "tests"),
                        (".c", ".h", ".cc")):
    n += 1
    rel = os.path.relpath(p, top)
    text = cparse.code(p, keep_slashes=True)
    for i, line in enumerate(text.split("\n"), 1):
        if "//" in line and not p.endswith(".cc"):
            report(rel, i, "a // comment")
        if rel.startswith(("src/", "dcmds/")):
            pats = [ALWAYS]
            if not rel.startswith(("src/base/", "src/kmem/", "src/snap/")):
                pats.append(HEAP)
            if rel.startswith(("src/snap/", "src/kmem/")) and \
               not os.path.basename(rel).startswith(("malloc", "preload")):
                # the callback of UMEM_NOFAIL may answer that exit() is wanted
                pats.append(GUEST.replace("|exit", "")
                            if rel == "src/kmem/kmem_nofail.c" else GUEST)
            for pat in pats:
                # a call, not a member or a part of a longer name
                m = re.search(r"(?<![\w.>])(%s)\s*\(" % pat, line)
                if m:
                    report(rel, i, m.group(1) + "() is banned here")
print("%d files" % n)
sys.exit(1 if bad or n < 5 else 0)
