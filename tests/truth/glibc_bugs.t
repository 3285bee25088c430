#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bugs people have, as programs that run into them (glibc_bugs.c), under glibc's
malloc, with the core of the kernel, or of gdb where the kernel writes none: the
bug is told by its name and place, status 1, and every buffer that it did not
touch is there, before the damage and behind it."""
import os, re, resource, subprocess, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

OVER = r"chunk 0x\w+: size field overwritten .*written past the end of the " \
    r"buffer before, 0x%x of"
LINK = r"free buffer 0x%x \(%s.*overwritten.*written to after it was freed"
# name, what is said, with the address of the bad buffer for %x; buffers whose
# header is gone, of which nobody knows
BUGS = (
    ("strcpy_long", OVER, 0),
    ("off_by_one", r"zero byte was written past the end of the buffer before, "
     r"0x%x of 264 bytes", 0),
    ("write_after_free_tcache", r"tcache 0x\w+: its list of 56 bytes begins at",
     0),
    ("write_after_free_unsorted", LINK.replace("%s", "unsorted"), 0),
    ("double_free_tcache", r"free\(\): double free detected in tcache 2", 0),
    ("double_free_fasttop", r"double free or corruption \(fasttop\)", 0),
    ("double_free_later", r"free buffer 0x%x \(56 bytes\) is in a fastbin "
     r"twice, a cycle: freed twice", 0),
    ("top_overrun", r"size of the top chunk 0x\w+ overwritten \(0xf+\): written "
     r"past the end of the buffer before, 0x%x of 104 bytes", 0),
    ("underrun", r"size field overwritten .*before its own begin", 0),
    ("header_of_next", OVER, 1),
    ("links_of_freed", LINK.replace("%s", "unsorted"), 0),
    ("free_inside", r"double free or corruption \(out\)|invalid", 0),
)
PROG = os.path.join(T.WORK, "bugs")


def run(args, core):
    """Runs the program -> what it printed; the core is that of its end."""
    if T.kernel_core_why_not():
        out = subprocess.run(
            ["gdb", "-nx", "-batch", "-ex", "run", "-ex", "gcore " + core,
             "--args", PROG, *args], capture_output=True, text=True,
            timeout=T.TIMEOUT, stdin=subprocess.DEVNULL).stdout
        return out
    cwd = core + ".d"
    os.makedirs(cwd)
    p = subprocess.run([PROG, *args], cwd=cwd, capture_output=True, text=True,
                       stdin=subprocess.DEVNULL, timeout=T.TIMEOUT,
                       preexec_fn=lambda: resource.setrlimit(
                           resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2))
    os.rename(os.path.join(cwd, os.listdir(cwd)[0]), core)
    return p.stdout


def addresses(word, text):
    return {int(a, 16) for a in re.findall("^%s (0x[0-9a-f]+)$" % word, text,
                                           re.M)}


subprocess.run(["gcc", "-g", "-O1", "-o", PROG, os.path.join(
    os.environ["TOP"], "tests/truth/glibc_bugs.c"), "-lpthread"], check=True)
T.plan(len(BUGS) * 2 * 2)
for name, words, nunknown in BUGS:
    for thread in ((), ("thread",)):
        what = name + (" in a thread" if thread else "")
        core = os.path.join(T.WORK, what.replace(" ", "_") + ".core")
        told = run((name, *thread), core)
        bad, keep = addresses("bad", told), addresses("keep", told)
        rc, v, err = T.check(core)
        text = "\n".join(f["text"] for f in v["corruption"]) if v else err
        if "%x" in words:
            words_here = words % min(bad)
        else:
            words_here = words
        T.ok(rc == 1 and re.search(words_here, text, re.S) and
             len(v["corruption"]) <= 3, what + ": it is named",
             "status %d, %s\n%s" % (rc, words_here, text))
        used = set(T.walk(core, "::walk kmem", is_damaged=True))
        lost = keep - used
        leaks = [g for g in v["leaks"]] if v else []
        T.ok(len(keep) >= 200 and len(lost) <= nunknown and not leaks,
             what + ": %d others are what they are" % len(keep),
             "%s %s" % (T.hexes(lost), leaks))
        os.unlink(core)
