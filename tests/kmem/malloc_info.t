#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""malloc_info() and malloc_stats(): the form of glibc's, and numbers that agree
with each other, with mallinfo2() and with what the program did."""
import os, re, subprocess
import xml.etree.ElementTree as ET

B = os.environ["B"]
PROGRAM = os.path.join(B, "tests", "kmem", "malloc_info")
PRELOAD = os.path.join(B, "libkmem_preload.so")
MODES = ({}, {"KMEM_DEBUG": "default"}, {"KMEM_DEBUG": "guards"},
         {"KMEM_DEBUG": "audit,firewall=1"}, {"KMEM_OPTIONS": "nomagazines"})
count = 0


def ok(good, name, why=""):
    global count
    count += 1
    print("%sok %d - %s" % ("" if good else "not ", count, name))
    if not good:
        for line in str(why).splitlines()[:60]:
            print("#   " + line)


def run(env, *args):
    clean = {k: v for k, v in os.environ.items()
             if not k.startswith(("KMEM_", "LD_PRELOAD"))}
    return subprocess.run([PROGRAM, *args], env=dict(clean, **env), text=True,
                          capture_output=True, timeout=100)


def shape(element, path=""):
    """What elements there are where, in order, and their attributes."""
    path += "/" + element.tag
    if "type" in element.attrib:
        path += "[%s]" % element.get("type")
    out = [(path, tuple(element.attrib))]
    for child in element:
        for item in shape(child, path):
            if item not in out:
                out.append(item)
    return out


def total(element, kind, of="total"):
    for e in element.findall(of):
        if e.get("type") == kind:
            return int(e.get("count", 0)), int(e.get("size"))
    return None


glibc = run({})
# several arenas are no matter of form
want = [i for i in shape(ET.fromstring(glibc.stdout))
        if "unsorted" not in i[0] and "subheaps" not in i[0]]
print("1..%d" % (2 + 5 * len(MODES)))
ok(glibc.returncode == 0 and len(want) > 10, "glibc's own", glibc)
stats = re.sub(r" *\d+$", " N", glibc.stderr, flags=re.M)
for mode in MODES:
    name = " ".join("%s=%s" % i for i in mode.items()) or "plain"
    r = run(dict(mode, LD_PRELOAD=PRELOAD))
    ok(r.returncode == 0, name + ": nothing is allocated by asking",
       "%d %s" % (r.returncode, r.stderr))
    xml = ET.fromstring(r.stdout)
    ok(shape(xml) == want, name + ": malloc_info has glibc's form",
       "%s\n%s" % (shape(xml), want))
    (arena, ordblks, smblks, hblks, hblkhd, fsmblks, uordblks,
     fordblks) = map(int, re.search(r"<!-- (.*) -->", r.stdout)[1].split())
    heap = xml.find("heap")
    sizes = [{k: int(v) for k, v in s.attrib.items()}
             for s in heap.find("sizes")]
    fast, rest = total(xml, "fast"), total(xml, "rest")
    ok(fast == (smblks, fsmblks) and rest == (ordblks, fordblks - fsmblks) and
       total(xml, "mmap") == (hblks, hblkhd) == (1, 700000) and
       total(xml, "current", "system")[1] == arena <=
       total(xml, "max", "system")[1] and
       all(total(heap, t) == total(xml, t) for t in ("fast", "rest")),
       name + ": and mallinfo2's numbers", r.stdout)
    # of every buffer the program has, the bytes it asked for at least
    asked = sum(i * 13 + 1 for i in range(300) if i % 3)
    ok(uordblks + fordblks == arena and asked <= uordblks < 3 * asked + 300000
       and sum(s["total"] for s in sizes) <= fordblks and
       sizes == sorted(sizes, key=lambda s: s["from"]) and
       all(s["from"] * s["count"] <= s["total"] <= s["to"] * s["count"]
           for s in sizes) and sum(s["count"] for s in sizes) > 50,
       name + ": and they add up", r.stdout)
    numbers = [int(n) for n in re.findall(r"= +(\d+)$", r.stderr, flags=re.M)]
    ok(re.sub(r" *\d+$", " N", r.stderr, flags=re.M) == stats and
       numbers == [arena, uordblks, arena + hblkhd, uordblks + hblkhd, 2,
                   1600000],
       name + ": malloc_stats, too", r.stderr)
r = run({"LD_PRELOAD": PRELOAD}, "busy")
ok(r.returncode == 0, "while others allocate", r)
