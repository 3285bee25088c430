#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pager, colours and the progress line: on a terminal, and nowhere else."""
import os, subprocess, sys, time
sys.path.insert(0, os.path.join(os.environ["TOP"], "tests/e2e"))
from promptlib import *

make_core()
ESC = "\x1b"
LONG = "0,64::echo line"  # a hundred lines
MORE = ">> More"


def script(name, text):
    with open(name, "w") as f:
        f.write("#!/bin/sh\n" + text)
    os.chmod(name, 0o755)
    return os.path.abspath(name)


# ---- a program is the pager
cat = script("my pager", 'echo "PAGER BEGINS $LESS"; cat; echo PAGER ENDS\n')
c = spawn("-q", TERM="xterm", PAGER="'%s'" % cat)
check("a long answer goes through $PAGER",
      ask(c, LONG, "PAGER BEGINS FRX\r\n(line *\r\n){100}PAGER ENDS"))
check("a short one does not", ask(c, "1=X;2=X", "1=X;2=X\r\n {16}1[^P]*2 "))
check("a shell command waits for what was printed before it",
      ask(c, "1=D; ! echo shell", "\n {16}1 +\r\nshell"))
check("messages keep their place",
      ask(c, "1=D; zzyzx=X; 2=D", "\n {16}1 .*unknown symbol.*\n {16}2 "))
check("ends with 0", end(c) == 0)

# ---- one that quits: no error, no more of this command, the session goes on
quits = script("quits", "head -3; echo SEEN ENOUGH\n")
c = spawn("-q", TERM="xterm", PAGER=quits)
c.sendline("0,fffffffff::echo line")
start = time.time()
c.expect(["SEEN ENOUGH", pexpect.TIMEOUT])
c.expect("> $")
check("a pager that quits ends the command", time.time() - start < 5)
check("no error is printed", "pmdb:" not in c.before, repr(c.before[-300:]))
check("and the session goes on", ask(c, "1+1=X", "\n {16}2 "))
c.sendline("0,fffffffff::echo line; 3=X")
c.expect("SEEN ENOUGH")
c.expect("> $")
check("commands after it are not run", " 3 " not in c.before)
end(c)

# ---- less, as a user has it
c = spawn("-q", TERM="xterm", size=(24, 80))
c.sendline(LONG)
i = c.expect([":", pexpect.TIMEOUT])
c.send("q")
check("less pages", i == 0 and ask(c, "1+1=X", "2"))
end(c)

# ---- mdb's own, when there is no other
bare = os.path.abspath("bin")
os.mkdir(bare)
c = spawn("-q", TERM="xterm", PATH=bare)
c.sendline(LONG)
i = c.expect([r">> More \[<space>, <cr>, q, n, c, a\] \? $", pexpect.TIMEOUT])
check("mdb's question, after a screenful",
      i == 0 and c.before.count("line ") == 23, c.before.count("line "))
c.send("n")
c.expect(MORE)
check("n: one line more", c.before.count("line ") == 1)
c.send(" ")
c.expect(MORE)
check("space: a page", c.before.count("line ") == 23)
c.send("q")
c.expect("> $")
check("q: no more, and no error", "line " not in c.before and
      "pmdb:" not in c.before)
c.sendline(LONG)
c.expect(MORE)
c.send("c")
c.expect("\r\n.*> $")
check("c: the rest", c.before.count("line ") + c.after.count("line ") == 77)
check("the terminal is as before", ask(c, "1+1=X", "1\\+1=X\r\n.* 2 "))
end(c)

# ---- not wanted
for name, env in (("PAGER empty", {"PAGER": ""}), ("PAGER=cat", {"PAGER": "cat"}),
                  ("a dumb terminal", {"TERM": "dumb"})):
    c = spawn("-q", **dict({"TERM": "xterm", "PATH": bare}, **env))
    c.sendline(LONG)
    c.expect("> $")
    check("no pager: " + name, c.before.count("line ") == 100 + 0 and
          "More" not in c.before, c.before.count("line "))
    end(c)

# ---- colours
def colours(*args, cmd="::objects", **env):
    c = spawn("-q", *args, **env)
    c.sendline(cmd)
    c.expect("prog\r")
    text = c.before
    c.sendline("::nosuch")
    c.expect("unknown")
    text += c.before
    c.expect("> ")
    end(c)
    return ESC + "[1m" in text and ESC + "[1;31m" in text

check("a heading and a message have colours", colours(TERM="xterm"))
check("not with NO_COLOR", not colours(TERM="xterm", NO_COLOR="1"))
check("an empty NO_COLOR is none", colours(TERM="xterm", NO_COLOR=""))
check("not on a dumb terminal", not colours(TERM="dumb"))
p = subprocess.run([PMDB, "-e", "::objects; ::nosuch", "core.prog"],
                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                   stderr=subprocess.STDOUT, text=True,
                   env=dict(os.environ, TERM="xterm"))
check("not in a pipe", ESC not in p.stdout and "BASE" in p.stdout)

# ---- progress
c = spawn("-q", TERM="xterm")
c.sendline("0,ffffffffff::echo x ! cat >/dev/null")
c.expect("\n")
quiet = c.expect(["Ctrl-C", pexpect.TIMEOUT], timeout=2)
c.send("\x03")
c.expect("> $")
check("no line while a shell command has the terminal", quiet == 1)
busy = "0,ffffffffff::eval 1 | ::grep 0"
c.sendline("0,ffffff::eval 0 | ::grep 0")
start = time.time()
i = c.expect([r"working +[1-9]", pexpect.TIMEOUT], timeout=5)
check("a line after a second", i == 0 and 0.8 < time.time() - start < 3)
c.send("\x03")
c.expect("> $")
check("it is erased", ESC + "[K" in c.before.rsplit("s (Ctrl-C stops it)", 1)[-1],
      repr(c.before[-200:]))
end(c)
plan()
