#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The prompt on a terminal: editing, completion, history, Ctrl-C, the end."""
import os, signal, stat, sys, time
sys.path.insert(0, os.path.join(os.environ["TOP"], "tests/e2e"))
from promptlib import *

make_core()
c = spawn()
check("a command prints its output", ask(c, "1+1=X", "\n {16}2 {15}\r"))
check("the status of the core", ask(c, "::status", "SIGSEGV"))
check("an error is one line, the prompt stays",
      ask(c, "::nosuch", "pmdb: invalid command '::nosuch': unknown dcmd name"))
check("a syntax error says what is near, no line number",
      ask(c, "1 )", "pmdb: syntax error near \"\\)\""))

c.send("::mapp\t")
c.expect("::mappings")
c.send("\r")
check("completion of a dcmd", c.expect(["BASE +LIMIT", pexpect.TIMEOUT]) == 0)
c.expect("> ")
c.send("::walk thr\t")
c.expect("::walk thread")
c.send("\r")
check("completion of a walker",
      c.expect(["0x[0-9a-f]+\r", pexpect.TIMEOUT]) == 0)
c.expect("> ")
c.send("1::help mapp\t\r")
check("completion after ::help",
      c.expect(["::help takes no address", pexpect.TIMEOUT]) == 0)
c.expect("> ")
c.send("::q\t\t")
check("no file name is offered", c.expect(["::quit", pexpect.TIMEOUT]) == 0)
c.send("\x03")
c.expect("> ")

c.send("::nosuch half a line")
c.send("\x03")
c.expect("> ")
check("Ctrl-C drops a half-typed line", ask(c, "2+2=X", "\n {16}4 {15}\r"))

# commands without end: dot moves on through the whole address space
for what, line in (("a command", "0,ffffffffffffffff::eval 1"),
                   ("a pipeline", "0,ffffffffffff::eval . | ::grep 0"),
                   ("one into a shell command",
                    "0,ffffffffffffffff::echo x ! cat >/dev/null")):
    took = []
    for delay in (0.1, 0.3, 0.5):
        c.sendline(line)
        time.sleep(delay)
        start = time.time()
        c.send("\x03")
        c.expect(r"\^C.*> ")
        took.append(time.time() - start)
    # 0.1 s is asked for; the machine may have other work
    check("Ctrl-C ends %s at once" % what, min(took) < 0.1 and max(took) < 1,
          took)
check("and leaves the session alive", ask(c, "3+3=X", "\n {16}6 {15}\r"))
c.sendline("! sleep 30")
time.sleep(0.5)
start = time.time()
c.send("\x03")
c.expect("> ")
check("Ctrl-C ends a shell command", time.time() - start < 10)
check("and the session goes on", ask(c, "4+4=X", "\n {16}8 {15}\r"))

c.send("\x1b[A")  # up: the last line
c.expect("4\\+4=X")
c.send("\r")
check("history by arrow key", c.expect(["\n {16}8", pexpect.TIMEOUT]) == 0)
c.expect("> ")
check("a shell command's output", ask(c, "! echo a$((1+1))b", "a2b"))
check("output through a shell command", ask(c, "::walk thread ! wc -l", "1\r"))
c.sendline("$q")
c.expect(pexpect.EOF)
c.close()
check("$q ends with status 0", c.exitstatus == 0, str(c.exitstatus))

hist = os.path.join(os.environ["XDG_STATE_HOME"], "pmdb", "history")
mode = stat.S_IMODE(os.stat(hist).st_mode) if os.path.exists(hist) else 0
check("history is kept, mode 0600", mode == 0o600, oct(mode))
text = open(hist).read() if mode else ""
check("history holds the lines", "::status\n" in text and "$q\n" in text)

c = spawn("-q")
c.send("\x1b[A\x1b[A")
check("history is there in the next session",
      c.expect(["::walk thread ! wc -l", pexpect.TIMEOUT]) == 0)
c.send("\x03")
c.expect("> ")
c.send("\x04")
c.expect(pexpect.EOF)
c.close()
check("end of input ends with status 0", c.exitstatus == 0)

# ---- history
def typed(path):
    return open(path).read().split("\n")[:-1] if os.path.exists(path) else None

def session(lines, **env):
    """a session of these lines; its status"""
    k = spawn("-q", **env)
    for line in lines:
        ask(k, line, "\n")
    return end(k)

own = os.path.abspath("own history")
session(["1=X", "1=X", "", "2=X"], PMDB_HISTFILE=own)
check("a line twice is kept once, empty ones are not",
      typed(own) == ["1=X", "2=X", "$q"], typed(own))
before = typed(hist)
session(["3=X"], PMDB_HISTFILE="")
session(["3=X"], HISTSIZE="0")
check("PMDB_HISTFILE= and HISTSIZE=0: none is kept", typed(hist) == before)
session(["%d=X" % i for i in range(6)], PMDB_HISTFILE=own, HISTSIZE="4")
session([], PMDB_HISTFILE=own, HISTSIZE="4")
check("it is cut to HISTSIZE", typed(own) == ["3=X", "4=X", "5=X", "$q"],
      typed(own))
one, two = (spawn("-q", PMDB_HISTFILE=own) for _ in range(2))
for i in range(5):
    ask(one, "a%d=X" % i, "\n")
    ask(two, "b%d=X" % i, "\n")
one.kill(signal.SIGKILL)
check("sessions side by side lose no line, not even when killed",
      {"%s%d=X" % (w, i) for w in "ab" for i in range(5)} <= set(typed(own)))
two.close(force=True)
k = spawn("-q", PMDB_HISTFILE=own)
ask(k, "7+7=X", "e")
k.kill(signal.SIGHUP)
k.expect(pexpect.EOF)
k.close()
check("a terminal that goes away leaves the history whole",
      typed(own)[-1] == "7+7=X", typed(own)[-2:])
os.symlink(own, "link")
k = spawn("-q", PMDB_HISTFILE=os.path.abspath("link"))
check("no link is followed", "no history is kept" in k.before, k.before)
end(k)
k = spawn("-q", PMDB_HISTFILE=own)
k.send("\x12a3")
found = k.expect(["a3=X", pexpect.TIMEOUT]) == 0
k.send("\x05 \x15")
check("Ctrl-R finds an earlier line", found)

# ---- what a terminal does
check("a line of 20000 characters", ask(k, "1" + "+1" * 4000 + "=D",
                                        "\n {16}4001 "))
k.send("1=D;\x16\n 2=D\r")
check("a newline within a line separates commands",
      k.expect(["\n {16}1 .*\n {16}2 ", pexpect.TIMEOUT]) == 0)
k.expect("> ")
check("a symbol of UTF-8", ask(k, "gr\u00fc\u00dfe/D", "gr\u00fc\u00dfe: +1"))
k.send("1\u00fc\u00df\x7f\x7f+1=X\r")
check("a letter is erased as one", k.expect(["\n {16}2 ", pexpect.TIMEOUT]) == 0)
k.expect("> ")
k.setwinsize(24, 40)
ask(k, "::help walk", "\n")
lines = k.before.split("EXAMPLE")[0].split("\r\n")
ask(k, "::help sizeof", "ATTRIBUTES")
wide = [l for l in k.before.split("EXAMPLE")[0].split("\r\n") if len(l) > 40]
check("a smaller window is seen", not wide, wide)
end(k)
k = spawn("-q", INPUTRC="/dev/null", TERM="xterm")
k.send("\x1b[200~1=D\n2=D\n3=D\n\x1b[201~")
time.sleep(0.3)
k.send("\r")
check("lines that are pasted run one after the other",
      k.expect(["[\r\n] {16}1 .*\n {16}2 .*\n {16}3 ", pexpect.TIMEOUT]) == 0)
end(k)

# ---- job control, under a shell
sh = pexpect.spawn("/bin/bash", ["--norc", "--noprofile", "-i"],
                   encoding="utf8", timeout=20, dimensions=(24, 80),
                   env=dict(os.environ, TERM="dumb", PS1="shell$ ",
                            PMDB_HISTFILE=""))
sh.expect_exact("shell$ ")
sh.sendline(PMDB + " -q core.prog")
sh.expect("\n> ")
sh.send("\x1a")
stopped = sh.expect_exact(["shell$ ", pexpect.TIMEOUT]) == 0
sh.sendline("echo in the sh''ell")
sh.expect_exact("in the shell")
sh.sendline("fg")
sh.expect("pmdb")
sh.sendline("6+6=X")
check("Ctrl-Z stops it, fg goes on",
      stopped and sh.expect(["\n {16}c ", pexpect.TIMEOUT]) == 0)
sh.sendline("0,ffffffffffffffff::eval 1")
time.sleep(0.5)
sh.send("\x1a")
stopped = sh.expect(["Stopped", pexpect.TIMEOUT]) == 0
sh.sendline("fg")
sh.expect("pmdb")
time.sleep(0.2)
sh.send("\x03")
check("also while a command runs",
      stopped and sh.expect(["cancelled by user", pexpect.TIMEOUT]) == 0)
sh.close(force=True)
c = spawn("-q", "-o", "ignoreeof")
c.send("\x04")
check("ignoreeof: Ctrl-D only says how to end",
      c.expect(["::quit.*> $", pexpect.TIMEOUT]) == 0 and end(c) == 0)
c = spawn("-q", "-o", "repeatlast")
ask(c, "stock_count/D", "2")
c.sendline("")
check("repeatlast: an empty line is the next address",
      c.expect(["gr\u00fc\u00dfe: +1 ", pexpect.TIMEOUT], timeout=5) == 0)
end(c)
c = spawn("-q", "-P", "pmdb> ")
check("a prompt of one's own", ask(c, "1=X", "\n {16}1 .*\npmdb"))
end(c)
for word in ("quit", "exit", "::quit"):
    c = spawn("-q")
    c.sendline(word)
    c.expect(pexpect.EOF)
    c.close()
    check("%s ends" % word, c.exitstatus == 0)
plan()
