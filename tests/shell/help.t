#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""::help NAME is the page doc/dcmds/NAME.md: the same words,
laid out for a terminal; no line is wider than it but those of examples."""
import collections, glob, os, re, subprocess, sys
top, pmdb = os.environ["TOP"], os.environ["B"] + "/pmdb"
n = bad = 0


def check(name, ok, why=""):
    global n
    n += 1
    print("%s %d - %s%s" % ("ok" if ok else "not ok", n, name,
                            "" if ok else ": " + why))


def words_of_page(text):
    text = text[text.index("```", text.index("```usage") + 3) + 3:]
    text = re.sub(r"(?m)^## (.*)$", lambda m: m.group(1).upper(), text)
    text = re.sub(r"(?m)^\|[-:|\s]+\|$", "", text)
    parts = text.split("```")
    for i in range(0, len(parts), 2):  # outside blocks
        p = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", parts[i])
        # bars are of tables only: there is "::a | ::b" in prose, too
        p = re.sub(r"(?m)^\|.*\|$",
                   lambda m: re.sub(r"^\||\|$|\s\|(?=\s)", " ", m.group()), p)
        parts[i] = re.sub(r"\\([^\w\s])", r"\1", p.replace("`", ""))
    for i in range(1, len(parts), 2):
        parts[i] = parts[i].split("\n", 1)[1]  # ```varies
    return " ".join(parts).split()


def words_of_help(text):
    text = re.sub(r"(?s)^.*?\n(DESCRIPTION|EXAMPLE)\n", r"\1\n", text)
    text = text[:text.rindex("\nATTRIBUTES\n")]
    text = re.sub(r"\s\(doc/[^)]*\)", "", text).replace("doc/", "")
    return re.sub(r"^DESCRIPTION\n", "", text).split()


for path in sorted(glob.glob(top + "/doc/dcmds/*.md")):
    name = os.path.basename(path)[:-3]
    if name == "README":
        continue
    p = subprocess.run([pmdb, "-e", "::help " + name], text=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT)
    want = words_of_page(
        re.sub(r"\s\(doc/[^)]*\)", "", open(path).read()).replace("doc/", ""))
    got = words_of_help(p.stdout)
    # cells of a table may be broken over lines, beside each other
    lost = collections.Counter(want) - collections.Counter(got)
    more = collections.Counter(got) - collections.Counter(want)
    check("::help %s is its page" % name, not lost and not more and
          len(want) > 3, "lost %r, more %r" % (dict(lost), dict(more)))
    wide = [l for l in p.stdout.split("\nEXAMPLE\n")[0].split("\n")
            if len(l) > 80]
    check("::help %s fits in 80 columns" % name, not wide, repr(wide[:1]))
p = subprocess.run([pmdb, "-e", "::help nosuchthing"], text=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                   stderr=subprocess.STDOUT)
check("an unknown one is an error", p.returncode == 1 and
      p.stdout == "pmdb: unknown command: nosuchthing\n", p.stdout)
p = subprocess.run([pmdb, "-e", "::help findlaeks"], text=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                   stderr=subprocess.STDOUT)
check("or it is known what was meant", "(did you mean ::findleaks?)" in p.stdout)
print("1..%d" % n)
