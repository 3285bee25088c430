#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents say what is there: each relative link leads somewhere, each path of
ours that is named in backquotes or in a table of files exists, and each make
target that is named is one."""
import os, re, subprocess, sys
top = os.environ["TOP"]
bad = n = 0
docs = ["README.md", "CONTRIBUTING.md", "src/README.md", "src/contract/README.md"]
for root, _, files in os.walk(os.path.join(top, "doc")):
    docs += [os.path.relpath(os.path.join(root, f), top)
             for f in files if f.endswith(".md")]
targets = set()
for line in open(os.path.join(top, "Makefile")):
    m = re.match(r"([a-z][a-z-]*(?: [a-z-]+)*):(?!=)", line)
    if m:
        targets |= set(m.group(1).split())


def report(doc, line, what):
    global bad
    bad += 1
    print("%s:%d: %s" % (doc, line, what))


for doc in sorted(docs):
    path = os.path.join(top, doc)
    if not os.path.exists(path):
        report(doc, 0, "missing")
        continue
    for i, line in enumerate(open(path), 1):
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", line):
            if re.match(r"\w+:", link):
                continue
            n += 1
            if not os.path.exists(os.path.join(os.path.dirname(path), link)):
                report(doc, i, "link to %s leads nowhere" % link)
        for p in re.findall(r"(?<![\w./-])((?:src|dcmds|tests|fixtures|doc)/"
                            r"[\w./-]*\w)(?![\w*<{/-])", line):
            if re.search(r"\b(NAME|SUITE)\b", p):
                continue  # a place to fill in
            n += 1
            if not os.path.exists(os.path.join(top, p)):
                report(doc, i, "there is no %s" % p)
        for t in re.findall(r"`make ([a-z-]+)", line):
            n += 1
            if t not in targets:
                report(doc, i, "there is no target %s" % t)
print("%d references in %d documents" % (n, len(docs)))
sys.exit(1 if bad or n < 20 else 0)
