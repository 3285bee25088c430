#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each external function of src and dcmds has a docstring ("/** ... */") above
its prototype or its definition.  What POSIX specifies (the names preload.map
exports) needs none."""
import os, re, sys
top = os.environ["TOP"]
sys.path.insert(0, os.path.join(top, "tests/lint"))
sys.dont_write_bytecode = True
import cparse

posix = {"main"}
path = os.path.join(top, "src/kmem/preload.map")
ours = set()
if os.path.exists(path):
    posix |= set(re.findall(r"\b(\w+)\s*;", open(path).read()))
    text = open(os.path.join(top, "src/kmem/libkmem.map")).read()
    ours = set(re.findall(r"\b(\w+)\s*;", text))
seen, documented = {}, set()
for p in cparse.sources(top):
    for it in cparse.items(p):
        if it.is_static:
            continue
        rel = os.path.relpath(p, top)
        # a header's line is the one to name
        if it.name not in seen or p.endswith(".h"):
            seen[it.name] = "%s:%d" % (rel, it.line)
        if it.doc and it.doc.startswith("/**"):
            documented.add(it.name)
bad = [n for n in seen if n not in documented and
       not (n in posix and n not in ours)]
for n in sorted(bad, key=lambda n: seen[n]):
    print("%s: %s has no docstring" % (seen[n], n))
print("%d external functions, %d without a docstring" % (len(seen), len(bad)))
sys.exit(1 if bad or len(seen) < 20 else 0)
