#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""pmdb -p: a process is examined as its dump would be, stands still only while
a command works, and goes on whatever becomes of pmdb."""
import os, re, signal, subprocess, time
B, TOP = os.environ["B"], os.environ["TOP"]
PMDB = B + "/pmdb"
count = 0


def ok(good, name, why=""):
    global count
    count += 1
    print("%sok %d - %s" % ("" if good else "not ", count, name), flush=True)
    if not good:
        for line in str(why).splitlines()[:20]:
            print("# " + line)


def run(*args):
    return subprocess.run(args, stdin=subprocess.DEVNULL, text=True,
                          errors="replace", capture_output=True, timeout=60)


subprocess.run(["gcc", "-std=gnu11", "-g", "-O1", "-w", "-o", "outside",
                TOP + "/tests/snap/outside.c", "-lpthread"], check=True)


class Proc:
    def __init__(self, *args, env=None):
        self.p = subprocess.Popen(["./outside", *args], text=True, bufsize=0,
                                  stdin=subprocess.PIPE, env=env,
                                  stdout=subprocess.PIPE)
        self.pid = str(self.p.pid)
        assert self.p.stdout.readline() == "ready\n"

    def tell(self, letter):
        self.p.stdin.write(letter)
        return self.p.stdout.readline() == letter + "\n"

    def state(self, wanted=""):
        for i in range(300):
            status = open("/proc/%s/status" % self.pid).read()
            now = re.search(r"State:\s*(\S)", status).group(1)
            if now in wanted or not wanted:
                break
            time.sleep(0.01)
        return now

    def end(self):
        out, _ = self.p.communicate(timeout=60)
        return self.p.returncode, out


class Pmdb:
    """lines in, what each prints out"""
    def __init__(self, *args):
        self.p = subprocess.Popen([PMDB, "-q", *args], text=True, bufsize=0,
                                  stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)

    def ask(self, line):
        self.p.stdin.write(line + "\n!echo END\n")
        out = ""
        for text in self.p.stdout:
            if text == "END\n":
                break
            out += text
        return out


env = dict(os.environ, LD_PRELOAD=B + "/libkmem_preload.so",
           KMEM_DEBUG="default", KMEM_LOGGING="transaction=1m")
p = Proc("leaks", env=env)

# ---- the same answers as a dump's --------------------------------------------
lines = ["::walk kmem", "::findleaks", "::findleaks -d", "::kmastat", "$r",
         "::stack", "::walk kmem | ::whatis", "::kmem_verify", "::objects",
         "::walk kmem | ::head 3 | ::dump -w 4", "main::dis", "kept/p",
         "::mappings", "::kmem_log ! wc -l", "::vmem", "::stacks", "::tls kept"]
run(PMDB, "snap", "-qp", p.pid, "-o", "d.core")
for line in lines:
    a = run(PMDB, "-e", line, "d.core")
    b = run(PMDB, "-p", p.pid, "-e", line)
    ok(a.stdout == b.stdout and a.stderr == b.stderr and
       (a.stdout + a.stderr) and a.returncode == b.returncode,
       "as of its dump: " + line, a.stdout[:600] + b.stdout[:600] + b.stderr)
a = run(PMDB, "--json", "-e", "::findleaks", "d.core")
b = run(PMDB, "--json", "-p", p.pid, "-e", "::findleaks")
ok(a.stdout == b.stdout and '"' in b.stdout, "JSON", b)
st = run(PMDB, "-p", p.pid, "-e", "::status").stdout
ok("debugging PID %s of outside" % p.pid in st and "core" not in st and
   "dump" not in st, "::status", st)
w = run(PMDB, "-p", p.pid, "-e", "0x%x/w 1" % 4096)
ok(w.returncode != 0, "nothing is written", w)
ok(p.state("S") == "S", "it goes on after each")
ok(p.end() == (0, "went on\n"), "and to its end")

# ---- between commands --------------------------------------------------------
p = Proc("obeys", env=env)
d = Pmdb("-p", p.pid)
ok("= 0" in d.ask("counter::print") or "0" in d.ask("counter/D"),
   "a command is answered")
ok(p.state("S") == "S", "then the process runs")
ok(p.tell("c") and p.tell("c") and p.tell("l"), "and obeys")
ok(re.search(r":\s+2$", d.ask("counter/D").strip()), "the next sees it changed",
   d.ask("counter/D"))
ok("3 buffers" in d.ask("::findleaks"), "leaks", d.ask("::findleaks"))
ok(p.tell("l"), "more leaks")
# the buffer that was kept is lost when the next takes its place
ok(re.search("[67] buffers", d.ask("::findleaks")), "are seen", d.ask("::findleaks"))
ok("libm.so" not in d.ask("::objects"), "a library is not there yet")
ok(p.tell("d"), "it is loaded")
out = d.ask("::objects; libm.so.6`cos::dis ! head -1")
ok("libm.so.6" in out and "cos" in out.splitlines()[-1], "it has symbols", out)
s = Proc("obeys")
ok("sleeping" in d.ask("!grep State /proc/%s/status" % p.pid),
   "it runs while a shell command alone does")
d2 = run(PMDB, "-p", p.pid, "-e", "::status")
ok(d2.returncode == 0, "another pmdb may look meanwhile", d2)
d.p.kill()
d.p.wait()
ok(p.tell("c"), "pmdb is killed at its prompt: it goes on")

# ---- pmdb is killed while it stands still ------------------------------------
with open("hold", "w") as f:
    f.write("#!/bin/sh\ntouch held\nsleep 30\n")
os.chmod("hold", 0o755)
for signo in (signal.SIGKILL, signal.SIGINT):
    k = subprocess.Popen([PMDB, "-p", p.pid, "-e", "! ./hold"],
                         stdin=subprocess.DEVNULL, start_new_session=True)
    for i in range(500):
        if os.path.exists("held"):
            break
        time.sleep(0.01)
    held = p.state("t")
    k.send_signal(signo)
    k.wait()
    os.killpg(k.pid, signal.SIGKILL)  # the shell
    ok(held == "t" and p.state("SR") in "SR" and p.tell("c"),
       "pmdb ends by %s in the middle: it goes on" % signo.name, held)
    os.unlink("held")

# ---- what stands in the way ----------------------------------------------------
d = Pmdb("-p", p.pid)
d.ask("counter/D")
ok(p.end() == (0, "went on\n"), "it ends at its own time")
out = d.ask("counter/D")
ok("there is no process %s" % p.pid in out and out.count("\n") == 1,
   "then a command says so", out)
out = d.ask("1+1=D")
ok("there is no process" in out, "each does", out)
d.p.stdin.close()
d.p.wait()
one = run(PMDB, "-p", "4194303", "-e", "::status")
ok(one.returncode == 3 and one.stderr == "pmdb: there is no process 4194303\n",
   "no such process: one line", one)
one = run(PMDB, "-p", "x")
ok(one.returncode == 2 and one.stderr.count("\n") == 1, "no number", one)
one = run(PMDB, "-p", s.pid, "d.core")
ok(one.returncode == 2 and one.stderr.count("\n") == 1, "a dump, too", one)
other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
if os.geteuid() == 0 and run(*other, "test", "-x", PMDB).returncode == 0:
    one = run(*other, PMDB, "-p", s.pid, "-e", "::status")
    ok(one.returncode == 3 and "belongs to user 0" in one.stderr and
       one.stderr.count("\n") == 1, "another user's: one line", one)
else:
    count += 1
    print("ok %d - another user's # SKIP nobody cannot reach the tree" % count)
wrong = run(PMDB, "-p", s.pid, "-e", "::status", "/bin/true")
ok(wrong.returncode == 3 and wrong.stderr.count("\n") == 1 and s.tell("c"),
   "an executable that is not its: one line, and it goes on", wrong)
s.end()

# ---- what it was started with is text, whatever is in it -----------------------
q = subprocess.Popen(["cat", "-", "a\nb\x1b[2J\x7f\tc\u009b"],
                     stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
while open("/proc/%d/comm" % q.pid).read() != "cat\n":
    time.sleep(0.01)
out = run(PMDB, "-p", str(q.pid), "-e", "::status").stdout
ok("initial argv: cat - a\\nb\\033[2J\\177\\tc\\302\\233\n" in out,
   "control characters of the arguments do not reach the terminal", out)
q.communicate()
# ---- large maps, of which little is there ------------------------------------
with open("large.c", "w") as f:
    f.write("""#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
int main(void)
{
	size_t n = 64 << 20;
	char *p = mmap(0, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);

	for (size_t i = 0; i < n; i += 8 << 20)
		*(void **)(p + i) = malloc(50 + i / (8 << 20));
	puts("ready");
	fflush(stdout);
	return getchar() != EOF;
}
""")
subprocess.run(["gcc", "-O0", "-w", "-o", "large", "large.c"], check=True)
q = subprocess.Popen(["./large"], stdin=subprocess.PIPE, text=True,
                     stdout=subprocess.PIPE)
q.stdout.readline()
r = run(PMDB, "-p", str(q.pid), "-e", "::findleaks")
ok(r.returncode == 0 and r.stdout == "findleaks: no memory leaks detected\n",
   "what hangs on shared memory, far apart, is no leak", (r.returncode, r))
q.communicate("")
ok(q.returncode == 0, "and that process went on", q.returncode)

print("1..%d" % count)
