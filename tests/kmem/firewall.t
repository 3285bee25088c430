#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done with a buffer after it was freed, behind a firewall: the program
dies there, and the dump says whose buffer it was and who freed it."""
import os, re, subprocess

B = os.environ["B"]
MISUSE = os.path.join(B, "fixtures", "misuse")
PMDB = os.path.join(B, "pmdb")
count = 0


def ok(good, name, why=""):
    global count
    count += 1
    print("%sok %d - %s" % ("" if good else "not ", count, name))
    if not good:
        for line in str(why).splitlines()[:60]:
            print("#   " + line)


def pmdb(commands):
    return subprocess.run([PMDB, "-e", commands, MISUSE, "dump"], text=True,
                          capture_output=True, timeout=60).stdout


def die(debug):
    env = dict(os.environ, KMEM_DEBUG=debug)
    if os.path.exists("dump"):
        os.unlink("dump")
    return subprocess.run([PMDB, "run", "-o", "dump", "--", MISUSE,
                           "write_after_free"], env=env, timeout=60,
                          capture_output=True, text=True).returncode


print("1..9")
for debug in ("default,firewall=1", "audit,firewall=1", "guards,firewall=1"):
    rc = die(debug)
    ok(rc == 139, debug + ": it dies of SIGSEGV", rc)
    status = pmdb("::status")
    addr = re.search(r"SIGSEGV.*addr=([0-9a-f]+)", status)
    said = pmdb(addr.group(1) + "::whatis") if addr else status
    has_audit = not debug.startswith("guards")
    good = re.search(r"freed from kmem_alloc_\d+", said) and \
        has_audit == bool(re.search(r"`free\+.*\n +release\(void\*\)\+",
                                    said))
    ok(good, debug + ": whose it was, and who freed it", said)
    verdict = pmdb("::kmem_verify")
    ok("clean" in verdict and not re.search("corrupt|buffer", verdict),
       debug + ": nothing is damaged", verdict)
