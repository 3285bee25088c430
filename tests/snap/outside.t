#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""pmdb snap -p: the core is what gcore's is, the process goes on unharmed, and
where it may not be stopped a line says why."""
import os, re, signal, struct, subprocess, sys, time
B, TOP, WORK = os.environ["B"], os.environ["TOP"], os.environ["WORK"]
PMDB = B + "/pmdb"
count = 0


def ok(good, name, why=""):
    global count
    count += 1
    print("%sok %d - %s" % ("" if good else "not ", count, name), flush=True)
    if not good:
        for line in str(why).splitlines()[:20]:
            print("# " + line)


def skip(name, why):
    global count
    count += 1
    print("ok %d - %s # SKIP %s" % (count, name, why))


def run(*args, **kw):
    return subprocess.run(args, stdin=subprocess.DEVNULL, text=True,
                          errors="replace", capture_output=True, timeout=60,
                          **kw)


class Proc:
    """a process in one of its modes, ready"""
    def __init__(self, *args, env=None):
        self.p = subprocess.Popen(["./outside", *args], text=True,
                                  stdin=subprocess.PIPE, env=env,
                                  stdout=subprocess.PIPE)
        self.pid = self.p.pid
        assert self.p.stdout.readline() == "ready\n"

    def end(self):
        out, _ = self.p.communicate(timeout=60)
        return self.p.returncode, out

    def status(self, name):
        for line in open("/proc/%d/status" % self.pid):
            if line.startswith(name + ":"):
                return line.split(":", 1)[1].strip()

    def state(self, wanted=""):
        """its letter; one that is wanted may take a moment"""
        for i in range(200):
            now = self.status("State")[0]
            if now in wanted or not wanted:
                break
            time.sleep(0.01)
        return now


def snap(pid, core, *args, **kw):
    return run(PMDB, "snap", "-p", str(pid), "-o", core, *args, **kw)


def left():
    return [f for f in os.listdir(".") if ".tmp." in f]


subprocess.run(["gcc", "-std=gnu11", "-g", "-O1", "-w", "-o", "outside",
                TOP + "/tests/snap/outside.c", "-lpthread"], check=True)

# ---- as gcore does, and better -----------------------------------------------


def loads(path):
    """{address: bytes} of every page of the PT_LOADs that is in the file"""
    d = open(path, "rb").read()
    phoff, = struct.unpack_from("<Q", d, 32)
    phnum, = struct.unpack_from("<H", d, 56)
    pages = {}
    for i in range(phnum):
        t, flags, off, va, _, filesz, _, _ = struct.unpack_from(
            "<IIQQQQQQ", d, phoff + i * 56)
        if t == 1:
            for at in range(0, filesz, 4096):
                pages[va + at] = d[off + at:off + at + 4096]
    return pages


def gdb(core, *commands):
    args = ["gdb", "-nx", "-batch", "-ex", "set debuginfod enabled off"]
    for c in commands:
        args += ["-ex", c]
    p = run(*args, "./outside", core)
    return p.stdout, p.stderr


p = Proc("shapes")
os.kill(p.pid, signal.SIGSTOP)  # so that both see the same
time.sleep(0.1)
r = snap(p.pid, "ours.core")
ok(r.returncode == 0 and not r.stderr and
   re.match(r"ours.core: [\d.]+ MiB of memory, 4 threads, stopped for [\d.]+ ms\n$",
            r.stdout), "a snapshot: one line says what it is", r)
ok(p.state("T") == "T" and p.status("TracerPid") == "0",
   "a stopped process stays stopped", p.state())
g = run("gcore", "-o", "theirs", str(p.pid))
theirs = "theirs.%d" % p.pid
ok(p.state("T") == "T" and os.path.exists(theirs), "gcore wrote its own", g)
a, b = loads("ours.core"), loads(theirs)
maps = [(*(int(x, 16) for x in l.split()[0].split("-")), *l.split()[1:])
        for l in open("/proc/%d/maps" % p.pid)]


def in_file(addr, page):
    """is it what the file has that is mapped there, unwritable?"""
    for m in maps:
        if m[0] <= addr < m[1]:
            if "[vvar" in m[-1] or "[vsyscall]" in m[-1]:
                return True
            if "w" in m[2] or not m[-1].startswith("/"):
                return False
            with open(m[-1], "rb") as f:
                f.seek(int(m[3], 16) + addr - m[0])
                return f.read(4096).ljust(4096, b"\0") == page
    return False


missing = [hex(k) for k in b if k not in a and b[k] != bytes(4096) and
           not in_file(k, b[k])]
ok(len(b) > 900 and not missing, "all memory gcore takes",
   "%d pages of gcore's, missing: %s" % (len(b), missing[:10]))
differ = [hex(k) for k in b if k in a and a[k] != b[k]]
ok(not differ, "every byte equal", differ[:10])
ask = ["info threads", "thread apply all bt 4",
       "thread apply all info registers", "thread apply all p $xmm1",
       "info auxv", "info proc", "p kept"]
(o1, e1), (o2, e2) = gdb("ours.core", *ask), gdb(theirs, *ask)


def plain(text):
    """without what gcore gets wrong, or names otherwise"""
    return [l for l in text.splitlines() if not re.match(
        r"(k\d |\[New LWP|exe = |Core was|Program term|#0 .*\(\)$|warning)", l)]


ok("spins" in o1 and plain(o1) == plain(o2), "gdb shows the same of both",
   "\n".join(set(plain(o1)) ^ set(plain(o2))) + e1)
ok("warning" not in o1 + e1, "gdb has nothing to warn of",
   [l for l in (o1 + e1).splitlines() if "warning" in l])
s1 = run("eu-stack", "--core", "ours.core", "-e", "./outside")
s2 = run("eu-stack", "--core", theirs, "-e", "./outside")
ok(s1.stdout.count("TID ") == 4 and s1.stdout == s2.stdout,
   "eu-stack shows the same of both", s1.stdout + s2.stdout)
n = run("eu-readelf", "-n", "ours.core")
ok(n.returncode == 0 and n.stdout.count("X86_XSTATE") == 4 and not n.stderr,
   "eu-readelf reads every note", n.stderr)
st = run(PMDB, "-e", "::status", "ours.core").stdout
ok("snapshot written by pmdb snap" in st and "threads: 4" in st and
   "dump: complete" in st, "pmdb reads it", st)
ok(oct(os.stat("ours.core").st_mode & 0o777) == "0o600", "mode 0600")
size = os.stat("ours.core").st_size
os.truncate("ours.core", size - 4)
st = run(PMDB, "-e", "::status", "ours.core")
ok("dump: " in st.stdout and "complete" not in
   st.stdout.split("dump: ")[1].split("\n")[0].replace("incomplete", ""),
   "a truncated one is told", st.stdout)
os.truncate("ours.core", 40000)
st = run(PMDB, "-e", "::status; ::mappings ! grep -c outside", "ours.core")
ok("threads: 4" in st.stdout and int(st.stdout.split()[-1]) >= 3,
   "cut behind its notes it still names threads and files", st.stdout)
os.kill(p.pid, signal.SIGCONT)
p.end()
os.unlink(theirs)

# ---- unharmed ------------------------------------------------------------------

p = Proc("calls")
for i in range(4):
    r = snap(p.pid, "calls.core")
ok(r.returncode == 0 and " 11 threads" in r.stdout, "a process that waits", r)
rc, out = p.end()
ok(rc == 0 and out == "0 calls went wrong\n",
   "no call of another kind returns EINTR", out)
bt = run("eu-stack", "--core", "calls.core", "-e", "./outside").stdout
ok(all(c in bt for c in ("epoll_wait", "poll", "accept")),
   "its threads are seen where they wait", bt)

p = Proc("signals", "1500")
nsnaps = 0
while p.p.poll() is None and nsnaps < 12:
    r = snap(p.pid, "signals.core")
    nsnaps += 1
    if r.returncode:
        break
ok(r.returncode == 0, "a process that gets signals and makes threads", r)
rc, out = p.end()
ok(out == "1500 of 1500 signals\n", "no signal lost, none twice", out)

p = Proc("noleader")
r = snap(p.pid, "noleader.core")
ok(r.returncode == 0 and " 1 thread," in r.stdout,
   "a process whose main thread has ended", r)
bt = run("eu-stack", "--core", "noleader.core", "-e", "./outside").stdout
ok("await_end" in bt or "waits" in bt, "its other thread is seen", bt)
ok(p.end() == (0, "went on\n"), "it goes on")

p = Proc("vfork")
time.sleep(0.2)
r = snap(p.pid, "vfork.core")
ok(r.returncode == 0 and r.stderr.count("\n") == 1 and
   "slept in the kernel" in r.stderr, "a thread nothing can stop: a line", r)
regs = run(PMDB, "-e", "::stack", "vfork.core")
ok("vfork" in regs.stdout, "its pc and sp are known", regs)
c = run(PMDB, "check", "vfork.core")
ok(c.returncode == 3, "check has no verdict on it", c)
ok(p.end() == (0, "went on\n"), "it goes on")

# ---- what is taken -----------------------------------------------------------

p = Proc("memory")
rss, shm = p.status("RssAnon"), p.status("RssShmem")
before = time.monotonic()
r = snap(p.pid, "sparse.core")
ok(r.returncode == 0 and os.stat("sparse.core").st_blocks * 512 < 20 << 20 and
   os.stat("sparse.core").st_size > 16 << 30,
   "16 GiB of which little is there: a small file",
   "%s %s" % (r, os.stat("sparse.core")))
if os.geteuid() == 0:
    ok((p.status("RssAnon"), p.status("RssShmem")) == (rss, shm),
       "no page is made by looking", (rss, shm, p.status("RssAnon")))
else:
    skip("no page is made by looking", "root only")
words = run(PMDB, "-e", "*sparse+0x100000000/s; *shared+0x100000000/s",
            "sparse.core").stdout
ok("in the middle" in words and "shared" in words, "both have what is in them",
   words)
no = run(PMDB, "-e", "*secret/s", "sparse.core")
ok("the secret" not in no.stdout and "failed to read" in no.stderr,
   "MADV_DONTDUMP is heeded", no)
st = run(PMDB, "-e", "::status", "sparse.core").stdout
ok("memory left out: 8192 bytes" in st, "what was left out is said", st)
snap(p.pid, "all.core", "-a")
yes = run(PMDB, "-e", "*secret/s", "all.core")
ok("the secret" in yes.stdout, "-a takes it", yes)
p.end()
os.unlink("sparse.core"), os.unlink("all.core")

env = dict(os.environ, LD_PRELOAD=B + "/libkmem_preload.so",
           KMEM_DEBUG="default")
p = Proc("leaks", env=env)
r = snap(p.pid, "kmem.core")
c = run(PMDB, "check", "kmem.core")
ok(c.returncode == 1 and re.search(r"\b3 (buffers|leak)|3 +300", c.stdout),
   "a process under libkmem: check finds its leaks", c)
h = run(PMDB, "-e", "::findleaks; ::status", "kmem.core").stdout
ok("heap: libkmem, at rest" in h or "heap: kmem, at rest" in h,
   "its locks say that it was at rest", h)
open("/proc/%d/coredump_filter" % p.pid, "w").write("0")
r = snap(p.pid, "empty.core")
c = run(PMDB, "check", "empty.core")
ok(r.returncode == 0 and c.returncode == 3 and c.stderr.count("\n") == 1,
   "coredump_filter 0 is heeded, and check has no verdict", c)
ok(p.end() == (0, "went on\n"), "it goes on")

# ---- ends --------------------------------------------------------------------

p = Proc("large")
for signo, what in ((signal.SIGKILL, "killed"), (signal.SIGINT, "interrupted")):
    for attempt in range(50):  # the pause is short: it is held in it
        s = subprocess.Popen([PMDB, "snap", "-p", str(p.pid), "-o",
                              "cut.core"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while s.poll() is None:
            if p.state() == "t" and left():
                s.send_signal(signal.SIGSTOP)
                break
        time.sleep(0.05)
        seen = p.state()
        if seen == "t" and s.poll() is None:
            break
        s.kill()
        s.communicate()
        for f in left() + ["cut.core"]:
            if os.path.exists(f):
                os.unlink(f)
    s.send_signal(signo)
    s.send_signal(signal.SIGCONT)
    s.communicate()
    ok(seen == "t" and s.returncode == -signo and p.state("SR") in "SR" and
       p.status("TracerPid") == "0", "pmdb is %s: the process goes on" % what,
       (seen, s.returncode, p.state()))
    ok(not os.path.exists("cut.core"), "no half dump under its name")
    if signo == signal.SIGINT:
        ok(not left(), "and none under another", left())
    for f in left():
        os.unlink(f)
r = run("bash", "-c", "ulimit -f 10000; exec \"$@\"", "-", PMDB, "snap", "-p",
        str(p.pid), "-o", "cut.core")
ok(r.returncode == 3 and r.stderr == "pmdb: snap: cut.core: File too large\n"
   and not left() and not os.path.exists("cut.core"),
   "too large a file: one line, no file", r)
os.mkdir("small")
if os.geteuid() == 0 and run("mount", "-t", "tmpfs", "-o", "size=4m", "none",
                             "small").returncode == 0:
    r = snap(p.pid, "small/cut.core")
    ok(r.returncode == 3 and r.stderr.endswith("No space left on device\n") and
       r.stderr.count("\n") == 1 and not os.listdir("small"),
       "a full disk: one line, no file", r)
    run("umount", "small")
else:
    skip("a full disk: one line, no file", "no tmpfs can be mounted")

# ---- where it may not ----------------------------------------------------------


def refused(name, r, pattern, status=3):
    ok(r.returncode == status and r.stderr.count("\n") == 1 and not r.stdout and
       re.match("pmdb: snap: " + pattern, r.stderr) and
       not os.path.exists("no.core") and not left(), name, r)


refused("no such process", snap(4194303, "no.core"), "there is no process")


def is_kthread(pid):
    """no memory, and no zombie; false when it is gone by now"""
    try:
        status = open("/proc/%s/status" % pid).read()
    except OSError:
        return False
    return ("VmSize" not in status and "zombie" not in status and
            not os.path.exists("/proc/%s/root/proc" % pid))


kthread = [d for d in os.listdir("/proc") if d.isdigit() and is_kthread(d)]
if kthread:
    refused("a thread of the kernel", snap(kthread[0], "no.core"),
            r".*thread of the kernel")
else:
    skip("a thread of the kernel", "none is seen here")
p2 = Proc("calls")
tid = [t for t in os.listdir("/proc/%d/task" % p2.pid) if t != str(p2.pid)][0]
refused("a thread", snap(tid, "no.core"), r".*is a thread of process %d" % p2.pid)
t = subprocess.Popen(["gdb", "-nx", "-batch", "-p", str(p2.pid), "-ex",
                      "shell touch attached; sleep 2"],
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
for i in range(300):
    if os.path.exists("attached"):
        break
    time.sleep(0.05)
refused("a traced process", snap(p2.pid, "no.core"),
        r".*process %d traces it already" % t.pid)
t.kill()
t.wait()
p2.p.kill()
z = subprocess.Popen(["true"])
time.sleep(0.2)
refused("a zombie", snap(z.pid, "no.core"), r".*has ended")
z.wait()
other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
if os.geteuid() == 0 and run(*other, "test", "-x", PMDB).returncode == 0:
    os.chmod(".", 0o777)
    r = run(*other, PMDB, "snap", "-p", str(p.pid), "-o", "no.core")
    refused("a process of another user", r, r".*belongs to user 0")
    # a user's own
    q = subprocess.Popen([*other, "sleep", "100"])
    for i in range(100):
        if open("/proc/%d/comm" % q.pid).read() == "sleep\n":
            break
        time.sleep(0.02)
    r = run(*other, PMDB, "snap", "-p", str(q.pid), "-o", "%c.%p.core")
    ok(r.returncode == 0 and os.path.exists("sleep.%d.core" % q.pid),
       "a user's own process, by a name of its own", r)
    q.kill()
    q.wait()
else:
    skip("a process of another user", "nobody cannot reach the build tree")
    skip("a user's own process, by a name of its own", "the same")
# with memory for a copy of what it has, and without
big = subprocess.Popen([sys.executable, "-c", """if 1:
    import sys
    x = [bytes([i]) * 99999 for i in range(256)] + [
         b"%d" % i * 999 for i in range(9999)]
    print("ready", flush=True)
    sys.stdin.read()"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
big.stdout.readline()
for i in range(500):  # until it reads, and its memory is as it will be
    if open("/proc/%d/syscall" % big.pid).read().startswith("0 0x0 "):
        break
    time.sleep(0.02)
r = snap(big.pid, "held.core")
q = run("sh", "-c", "ulimit -v 70000; exec \"$@\"", "sh",
        PMDB, "snap", "-p", str(big.pid), "-o", "unheld.core")
big.communicate("")


def loads(path):
    """address -> bytes of memory in a core"""
    data, found = open(path, "rb").read(), {}
    n, = struct.unpack_from("<H", data, 56)
    for i in range(n):
        kind, _, off, addr, _, size = struct.unpack_from("<IIQQQQ", data,
                                                         64 + 56 * i)
        if kind == 1 and size:
            found[addr] = data[off:off + size]
    return found


a, b = loads("held.core"), loads("unheld.core")
ok(r.returncode == q.returncode == 0 and a.keys() == b.keys() and
   sum(map(len, a.values())) > 60000000 and
   [hex(k) for k in a if a[k] != b[k]] == [],
   "the same memory, copied first or written at once", (r, q))
refused("a directory that is not there", snap(p.pid, "nothere/x"), "nothere/x: ")
refused("a device", snap(p.pid, "/dev/null"), "/dev/null: ")
refused("no pid", run(PMDB, "snap"), "no process is named", 2)
refused("no number", snap("12x", "no.core"), "not a process id", 2)
ok(p.end() == (0, "went on\n"), "after all that it goes on")
print("1..%d" % count)
