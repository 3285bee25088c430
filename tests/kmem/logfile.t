#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""KMEM_LOGGING=transaction=file:PATH: each transaction is in the file, however
the process ends, and only those of the process; where it cannot be, the program
is none the worse and the file says so."""
import collections, os, resource, struct, subprocess, sys, time

B = os.environ["B"]
PROG = os.path.join(B, "tests/kmem/logfile")
N = 20000
count = 0
print("1..16", flush=True)


def ok(good, name, why=""):
    global count
    count += 1
    print("%sok %d - %s" % ("" if good else "not ", count, name))
    if not good:
        print("#", repr(why)[:2000])


def run(path, *words, debug="default", prog=PROG, n=N, **more):
    env = dict(os.environ, LD_PRELOAD=B + "/libkmem_preload.so",
               KMEM_DEBUG=debug, KMEM_LOGGING="transaction=file:" + path,
               **more.pop("env", {}))
    return subprocess.run([prog, str(n), *words], env=env, text=True,
                          capture_output=True, timeout=60, **more)


HEADER = "<8sIIQQIIQQQQQQII"


class Log:
    """What contract/logfile.h says."""

    def __init__(self, path):
        self.data = open(path, "rb").read()
        (magic, version, head, _, _, self.pid, record, chunk, self.nchunks,
         self.start, _, self.forked, self.stop, self.errno,
         self.ppid) = struct.unpack_from(HEADER, self.data)
        assert magic == b"KMEMLOG\0" and version == 1 and record == 64
        assert head + self.nchunks * chunk <= len(self.data)
        self.records, self.stacks, self.caches = [], {}, {}
        chunks = [head + i * chunk for i in range(self.nchunks)]
        for kind in 2, 1:
            for at in chunks:
                self._chunk(at, at + chunk, kind)
        self.records.sort(key=lambda r: r[1])

    def _chunk(self, at, end, wanted):
        magic, kind = struct.unpack_from("<II", self.data, at)
        assert magic == 0x4b4e5543 and kind in (1, 2)
        if kind != wanted:
            return
        at += 64
        while at < end:
            if kind == 1:
                (_, addr, _, stamp, _, word, stack, cache,
                 _) = struct.unpack_from("<QQQQQIIQQ", self.data, at)
                if stamp and not self.caches.get(cache, b"").startswith(
                        (b"kmem_magazine", b"kmem_va")):
                    self.records.append((addr, stamp, word >> 28, cache,
                                         stack))
                at += 64
                continue
            what, size, key = struct.unpack_from("<IIQ", self.data, at)
            if not what:
                break
            if what == 1:
                self.stacks[key] = (size - 16) // 8
            else:
                self.caches[key] = self.data[at + 40:at + 72].split(b"\0")[0]
            at += size

    def tally(self):
        return collections.Counter(r[2] for r in self.records)

    def is_sound(self):
        """Does each buffer change hands in turn, from known places?"""
        live = set()
        for addr, stamp, what, cache, stack in self.records:
            if (what == 1) == (addr in live) or stack not in self.stacks or \
                    cache not in self.caches or stamp < self.start:
                return False
            (live.add if what == 1 else live.discard)(addr)
        return True


p = run("a.log")
log = Log("a.log")
run("few.log", n=1)
few = len(Log("few.log").records) - 1  # what the program does not do itself
ok(p.returncode == 0 and not p.stderr and len(log.records) - few == N and log.is_sound() and
   log.stop == 0, "every transaction is in it, with stacks and caches",
   (p, len(log.records), few))
ok(os.stat("a.log").st_mode & 0o777 == 0o600, "it is its owner's to read")
p = run("k.log", "kill")
log = Log("k.log")
ok(p.returncode == -9 and len(log.records) - few in range(N, N + 9)
   and log.is_sound(), "killed, too", (p, len(log.records)))
p = run("again.log")
first = Log("again.log").pid
p = run("again.log")
ok(p.returncode == 0 and Log("again.log").pid != first and not p.stderr,
   "the log of a process that is gone makes room", p)

# forks
p = run("one.log", "fork")
log = Log("one.log")
extra = len(log.records) - few - 2 * N
ok(p.returncode == 0 and 0 <= extra < 12 and log.is_sound() and
   log.forked == 0, "a child writes nothing into its parent's", (p, extra))
p = run("%p.each", "fork")
child = int(p.stdout.split()[1])
log = Log("%d.each" % child)
other = [f for f in os.listdir(".") if f.endswith(".each")]
ok(len(other) == 2 and log.pid == child and log.forked == log.start and
   len(log.records) - N // 2 in range(2, 9) and
   all(r[1] >= log.start for r in log.records),
   "with %p it has its own, since the fork",
   (p, other, len(log.records), log.forked, log.start))
p = run("x.log", "exec")
ok(p.returncode == 0 and not p.stderr and
   len(Log("x.log").records) - few < N,
   "exec() begins anew", p)

# who is not to notice
p = run("f.log", "fds", "errno", n=N)
ok(p.stdout == "fds 0\nerrno 1\n" and not p.stderr,
   "no descriptor is kept, errno stays", p)
q = subprocess.Popen([PROG, "10", "wait"], stdin=subprocess.PIPE, text=True,
                     env=dict(os.environ, KMEM_DEBUG="default",
                              LD_PRELOAD=B + "/libkmem_preload.so",
                              KMEM_LOGGING="transaction=file:busy.log"))
while (not os.path.exists("busy.log") or not os.path.getsize("busy.log") or
       not Log("busy.log").nchunks):
    time.sleep(0.01)
p = run("busy.log")
ok(p.returncode == 0 and not p.stderr and Log("busy.log").pid == q.pid,
   "that of a process that lives is left alone", p)
q.communicate("")
open("mine", "w").write("precious\n" * 100)
p = run("mine")
ok(p.returncode == 0 and "it is there, and no log" in p.stderr and
   open("mine").read() == "precious\n" * 100,
   "a file that is no log is left alone, and it is said", p)
p = run("no/such/dir.log")
ok(p.returncode == 0 and p.stderr.count("\n") == 1 and
   "no/such/dir.log: no such directory" in p.stderr,
   "one that cannot be made costs a line", p)

# where the room ends
p = run("m.log", "rename", env={"LOG": "m.log", "MOVED": "moved.log"})
log = Log("moved.log")
ok(p.returncode == 0 and not p.stderr and log.stop and log.errno == 2 and
   log.is_sound() and N <= len(log.records) < 2 * N,
   "a file that is not there any more ends the log, which says so",
   (p, log.stop, log.errno, len(log.records)))


def limit():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))


p = run("l.log", preexec_fn=limit)
log = Log("l.log")
ok(p.returncode == 0 and not p.stderr and log.stop and log.errno == 27 and
   log.is_sound() and len(log.records) > 1000,
   "a limit of the size of files ends the log, not the program",
   (p, log.stop, log.errno))
os.mkdir("full")
if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none",
                   "full"], capture_output=True).returncode == 0:
    p = run("full/f.log")
    log = Log("full/f.log")
    subprocess.run(["umount", "full"])
    ok(p.returncode == 0 and not p.stderr and log.stop and log.errno == 28 and
       log.is_sound() and len(log.records) > 1000,
       "a full device, too", (p, log.stop, log.errno))
else:
    print("ok 14 - a full device # SKIP may not mount")
    count += 1
p = run("", debug="default")
q = run("v" * 300, debug="default,verbose")
ok(p.returncode == 0 and q.returncode == 0 and
   "the name is too long" in q.stderr, "bad names are dropped", (p, q))
env = dict(os.environ, TRUTH="t", KMEM_DEBUG="default",
           KMEM_LOGGING="transaction=file:t.kmem",
           LD_PRELOAD=B + "/libkmem_preload.so")
p = subprocess.run([B + "/fixtures/transactions", "5", "400"], env=env,
                   capture_output=True, text=True, timeout=60)
log = Log("t.kmem")
arena = {r[3] for r in log.records} - set(log.caches)
log.caches.update((a, b"kmem_oversize") for a in arena)
said = [e for e in struct.iter_unpack("<QQQQQ", open("t.log", "rb").read())
        if e[4] in (1, 2)]
found = collections.Counter((r[0], r[2]) for r in log.records)
want = collections.Counter((e[2], e[4]) for e in said)
ok(p.returncode == 0 and len(said) >= 8000 and len(arena) == 1 and
   not want - found and sum((found - want).values()) < 60 and log.is_sound(),
   "of several threads, of every size and kind, each once",
   (p, len(said), len(arena), list((want - found).items())[:5],
    sum((found - want).values())))
