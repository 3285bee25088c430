#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each dcmd has a row, a page doc/dcmds/NAME.md, and is listed by ::dcmds; no
page is left over.  The page quotes the usage line that ::help prints."""
import os, re, subprocess, sys
top, build = os.environ["TOP"], os.environ["B"]
pages = {f[:-3] for f in os.listdir(os.path.join(top, "doc/dcmds"))
         if f.endswith(".md") and f != "README.md"}
p = subprocess.run([build + "/pmdb", "-e", "::dcmds"], text=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
names = {}
for line in p.stdout.splitlines():
    m = re.match(r"\s*(?:::)?([a-z_$?=/\\][\w]*)\s+-?\s*(\S.*)$", line)
    if m and not m.group(2).startswith("alias of ::"):
        names[m.group(1)] = m.group(2)
bad = 0
if len(names) < 20:
    print("::dcmds lists %d names only" % len(names))
    bad += 1
for n in sorted(set(names) - pages):
    print("%s: no page doc/dcmds/%s.md" % (n, n))
    bad += 1
for n in sorted(pages - set(names)):
    print("doc/dcmds/%s.md: there is no such dcmd" % n)
    bad += 1
for n in sorted(pages & set(names)):
    h = subprocess.run([build + "/pmdb", "-e", "::help " + n], text=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    said = re.sub(r"\n {8}(?=\S)", " ", h.stdout)  # a long one is wrapped
    usage = [line.strip() for line in said.splitlines()
             if re.match(r"\s+(\[ addr \] |addr )?::%s\b" % re.escape(n), line)]
    text = open(os.path.join(top, "doc/dcmds", n + ".md")).read()
    options = re.findall(r"(?m)^  (-\S.*)$", re.sub(r"(?s)\nDESCRIPTION.*", "",
                                                   said))
    top_part = text.split("```usage", 1)[-1].split("```")[0].strip()
    first = re.search(r"(?m)^# ::.*\n\n(.*)$", text)
    if top_part.split("\n")[1:] != options:
        print("doc/dcmds/%s.md: options are not those of the row: %s" %
              (n, options))
        bad += 1
    if not first or (first.group(1).rstrip(".").replace("`", "").lower() !=
                     names[n].lower()):
        print("doc/dcmds/%s.md: does not begin with what ::dcmds says: %s" %
              (n, names[n]))
        bad += 1
    if not usage:
        print("::help %s: no usage line" % n)
        bad += 1
    elif n != "quit" and not re.search(r"(?m)^> .*::%s\b" % re.escape(n), text):
        print("doc/dcmds/%s.md: has no example" % n)
        bad += 1
    elif usage[0] not in text:
        print("doc/dcmds/%s.md: does not quote its usage: %s" % (n, usage[0]))
        bad += 1
print("%d dcmds, %d pages" % (len(names), len(pages)))
sys.exit(1 if bad else 0)
