#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The prompt on a terminal: editing, completion, history, Ctrl-C, the end."""
import os, stat, subprocess, sys, time
import pexpect

B, WORK = os.environ["B"], os.environ["WORK"]
PMDB = B + "/pmdb"
n = 0


def check(name, ok, why=""):
    global n
    n += 1
    print("%s %d - %s%s" % ("ok" if ok else "not ok", n, name,
                            "" if ok else ": " + why), flush=True)


def make_core():
    with open("prog.c", "w") as f:
        f.write("int main(void) { volatile int *p = 0; return *p; }\n")
    subprocess.run(["gcc", "-g", "-o", "prog", "prog.c"], check=True)
    p = subprocess.run(["gdb", "-q", "-nx", "-batch", "-ex", "run", "-ex",
                        "gcore core.prog", "./prog"], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True)
    if not os.path.exists("core.prog"):
        print("gdb made no core here: " + p.stdout[-200:])
        sys.exit(77)


def spawn(*args):
    c = pexpect.spawn(PMDB, list(args) + ["core.prog"], encoding="utf8",
                      timeout=30, dimensions=(24, 80),
                      env=dict(os.environ, TERM="dumb"))
    c.expect("\n> |^> ")
    return c


def ask(c, line, want):
    c.sendline(line)
    try:
        c.expect(want)
        c.expect("> ")
        return True
    except (pexpect.TIMEOUT, pexpect.EOF):
        return False


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

# a command without end: dot moves on through the whole address space
c.sendline("0,ffffffffffffffff::echo x ! cat >/dev/null")
time.sleep(0.7)
start = time.time()
c.send("\x03")
c.expect("> ")
check("Ctrl-C ends a running command", time.time() - start < 5)
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
for word in ("quit", "exit", "::quit"):
    c = spawn("-q")
    c.sendline(word)
    c.expect(pexpect.EOF)
    c.close()
    check("%s ends" % word, c.exitstatus == 0)
print("1..%d" % n)
