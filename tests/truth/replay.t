#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""::replay at 100 moments, buffer for buffer, against what the fixture recorded
of its own transactions: with the log in a file, with one in memory that holds
all, with one that wrapped; and log files that lie."""
import collections, os, random, re, signal, struct, subprocess, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

T.plan(21)
random.seed(5)
SLACK = 20000  # ns: between the clock of the records and the fixture's
ALLOC, FREE, PAUSE = 1, 2, 3


class Truth:
    """What the fixture did, and what lived when."""

    def __init__(self, path):
        self.events, self.pauses = [], []
        with open(path, "rb") as f:
            for e in struct.iter_unpack("<QQQQQ", f.read()):
                if e[4] == PAUSE:
                    self.pauses.append((e[0] + e[1]) // 2)
                elif e[4]:
                    self.events.append(e)
        self.mine = {e[2] for e in self.events}
        self.start = min(e[0] for e in self.events)
        self.end = max(e[1] for e in self.events)

    def at(self, t):
        """(live for certain, not certain) at a time"""
        n, unsure = {}, set()
        for before, after, addr, _, what in self.events:
            if after < t - SLACK:
                n[addr] = n.get(addr, 0) + (1 if what == ALLOC else -1)
            elif before <= t + SLACK:
                unsure.add(addr)
        return {a for a, k in n.items() if k == 1} - unsure, unsure

    def moments(self):
        """a hundred: the pauses, and any"""
        some = self.pauses[:30]
        while len(some) < 100:
            some.append(random.randint(self.start, self.end))
        return sorted(some)


class Moment:
    """What pmdb said at one."""

    def __init__(self, row):
        (self.stamp, _, _, _, self.live, self.bytes,
         self.unknown) = row.split()
        self.live, self.unknown = int(self.live), int(self.unknown)
        self.said, self.free = [], []
        self.sure = False


def pmdb(files, *cmds, ok=(0, 1), **more):
    args = [T.PMDB] + [w for c in cmds for w in ("-e", c)] + list(files)
    p = subprocess.run(args, capture_output=True, text=True, timeout=120,
                       stdin=subprocess.DEVNULL, errors="replace", **more)
    if p.returncode not in ok:
        raise RuntimeError("%r: %d %s" % (cmds, p.returncode, p.stderr[:500]))
    return p


def replay(files, times):
    """{time: Moment or None}: every moment by one process"""
    cmds = []
    for t in times:
        cmds += ["::echo at", "::replay -t %x" % t,
                 "::walk kmem", "::echo free", "::walk freemem",
                 "::replay -r"]
    out = pmdb(files, *cmds).stdout
    parts = out.split("at \n")[1:]
    assert len(parts) == len(times), out[:500]
    return {t: parse(p, t) for t, p in zip(times, parts)}


def parse(text, t):
    lines = text.splitlines()
    row = lines[1].split() if len(lines) > 1 and "MOMENT" in lines[0] else []
    if not row or int(row[0], 16) != t:
        return None
    m = Moment(lines[1])
    m.sure = "every transaction is known\n" in text
    where = m.said
    for line in lines[2:]:
        if line == "free ":
            where = m.free
        elif "MOMENT" in line:
            break
        elif re.fullmatch("0x[0-9a-f]+", line):
            where.append(int(line, 16))
    return m


def compare(truth, t, m):
    """"" or what is wrong at a moment that is wholly known"""
    live, unsure = truth.at(t)
    if m is None:
        return "%x: no answer" % t
    got = set(m.said)
    if len(m.said) != len(got) or len(got) != m.live or m.unknown:
        return "%x: twice %d, %d and %d, unknown %d" % (
            t, len(m.said) - len(got), len(got), m.live, m.unknown)
    if got & truth.mine - unsure != live:
        return "%x: %s" % (t, T.difference(got & truth.mine - unsure, live))
    if len(got - truth.mine) > 12 or set(m.free) & got or set(m.free) & live:
        return "%x: others %s, free %s" % (t, T.hexes(got - truth.mine),
                                           T.hexes(set(m.free) & (got | live)))
    return ""


def run(tag, logging, *args):
    r = T.run("transactions", args, env={"KMEM_LOGGING": logging}, tag=tag)
    return r, Truth(r.truth_path + ".log")


# the log in a file
log = os.path.join(T.WORK, "whole.kmem")
r, truth = run("file", "transaction=file:" + log, "30", "400")
times = truth.moments()
said = replay((r.dump, log), times)
wrong = [w for w in (compare(truth, t, said[t]) for t in times) if w]
unsure = [len(truth.at(t)[1]) for t in times]
T.ok(not wrong and len(truth.events) >= 48000,
     "with the log in a file all of 100 moments is right", "\n".join(wrong[:3]))
T.ok(sum(unsure) < 3000 and unsure.count(0) >= 25,
     "and hardly a buffer was under way", unsure)
gone = [t for t in times if any(a not in said[times[-1]].said
                                for a in said[t].said)]
T.ok(len(gone) > 60 and all(said[t].sure for t in times),
     "what lived then is not what lives now", len(gone))
t = truth.pauses[10]
then = said.get(t) or replay((r.dump, log), [t])[t]
now = set(T.walk(r.dump, "::walk kmem"))
lost = sorted(set(then.said) - now & truth.mine)
p = pmdb((r.dump, log), "::replay -t %x" % t,
         *["%x::whatis" % a for a in then.said[:40] + lost])
T.ok(p.stdout.count(" is allocated from ") == len(then.said[:40] + lost) and
     "kmem_oversize" in p.stdout, "::whatis answers for that moment",
     p.stdout[-600:])
rows = T.parse_json(subprocess.run(
    [T.PMDB, "--json", "-e", "::replay -t %x" % t, "-e", "::kmausers -e 0",
     r.dump, log], capture_output=True, text=True).stdout)
T.ok(rows[0]["live"] == then.live and rows[0]["unknown"] == 0 and
     rows[0]["covered_since_ns"] <= truth.start <= rows[0]["oldest_ns"] + 10**9,
     "JSON tells the same", rows[0])
p = pmdb((r.dump, log), "::replay -t %x" % t, "::kmem_states fix_built",
         "::walk fix_built")
n = len(re.findall("^0x", p.stdout, re.M))
T.ok(n > 20 and re.search(r"allocated then +%d +%d\n" % (n, n * 120), p.stdout),
     "::kmem_states and a walker of one cache agree", p.stdout[-700:])
p = pmdb((r.dump, log), "::replay -t %x" % t, "::kmastat ! grep fix_built",
         "::replay -n +0 ! tail -n +2", "::replay -n -0500 ! tail -n +2",
         "::replay -n +0t500 ! tail -n +2", "::replay -r ! tail -n +2")
n = re.search(r"fix_built +120 +(\d+) +- +-", p.stdout)
steps = [line.split()[:4] for line in p.stdout.splitlines()
         if re.match(r" *[0-9a-f]{12} ", line)][1:]
T.ok(n and int(n.group(1)) > 20 and len(steps) == 4 and
     int(steps[1][2]) == int(steps[0][2]) - 500 and steps[2][2] == steps[0][2] and
     steps[3][1] == "0", "::kmastat too; -n moves by transactions, -r back",
     p.stdout)
p = pmdb((r.dump, log), "::replay -t %x" % t, "::walk kmem_slab",
         "::replay -n +100000000", "::replay -t +1000", "::replay -t 1",
         "::replay -n nonsense", "::replay -r -n 1", ok=(1,))
T.ok(p.stderr.count("pmdb:") >= 6 and "transactions after this moment" in
     p.stderr and "the last that is known" in p.stderr,
     "what cannot be is said", p.stderr)
p = pmdb((r.dump, log), "::replay -t %x" % t, "::findleaks", "::typestat")
T.ok("no memory leaks" not in p.stdout and "no verdict" in p.stderr and
     "types are told by contents and pointers of the dump" in p.stderr,
     "of that moment nothing is said that contents must tell", p.stderr)
p = pmdb((r.dump, log), "::replay -g -A", "::churn", "::lifetimes -A")
T.ok("bytes" in p.stdout and "buffers 0x" in p.stdout and
     p.stdout.isascii() and p.stdout.count(" run+") > 5, "the curve and tables",
     p.stdout[:900])
rows = T.parse_json(subprocess.run(
    [T.PMDB, "--json", "-e", "::churn", r.dump, log],
    capture_output=True, text=True).stdout)
mine = [v for v in rows if v["caller"] and re.match(
    "allocate|make|unmake|resize|operate|run", v["caller"].get("name") or "")]
nalloc = sum(e[4] == ALLOC for e in truth.events)
T.ok(sum(v["allocs"] for v in mine) == nalloc and
     sum(v["frees"] for v in mine) == len(truth.events) - nalloc,
     "::churn counts each transaction",
     (sum(v["allocs"] for v in mine), sum(v["frees"] for v in mine), nalloc,
      len(truth.events) - nalloc, rows))
rows = T.parse_json(subprocess.run(
    [T.PMDB, "--json", "-e", "::kmem_log", r.dump, log],
    capture_output=True, text=True).stdout)
twice = collections.Counter((v["timestamp"], v["buffer"], v["what"])
                            for v in rows)
T.ok(rows and max(twice.values()) == 1,
     "what is in the dump and in the file is told once", twice.most_common(3))
rows = T.parse_json(subprocess.run(
    [T.PMDB, "--json", "-e", "::lifetimes", r.dump, log],
    capture_output=True, text=True).stdout)
born, lives = {}, []
for before, after, addr, _, what in sorted(truth.events):
    if what == ALLOC:
        born[addr] = (before, after)
    elif addr in born:
        lives.append(before - born.pop(addr)[1])
T.ok(abs(sum(v["ended"] for v in rows) - len(lives)) < 30 and
     max(v["max_ns"] or 0 for v in rows) >= max(lives) - 10**6,
     "::lifetimes, too", (sum(v["ended"] for v in rows), len(lives)))
rows = T.parse_json(subprocess.run(
    [T.PMDB, "--json", "-e", "::replay -g", r.dump, log],
    capture_output=True, text=True).stdout)
bad = [v for v in rows for t in times if v["start_ns"] <= t < v["end_ns"] and
       said[t].live > v["live"]]
T.ok(len(rows) > 20 and not bad and
     sum(v["transactions"] for v in rows) >= len(truth.events),
     "no moment has more than the curve's slot of time", bad[:3])

# in memory, all of it
r2, truth2 = run("memory", "transaction=64m", "10", "200")
times2 = truth2.moments()
said2 = replay((r2.dump,), times2)
wrong = [w for w in (compare(truth2, t, said2[t]) for t in times2) if w]
T.ok(not wrong, "and with a log in memory that holds all",
     "\n".join(wrong[:3]))

# one that wrapped: what is said is true, the rest is said to be unknown
r3, truth3 = run("wrapped", "transaction=512k", "12", "400")
p = pmdb((r3.dump,), "::replay")
since = int(re.search(r"since 0x([0-9a-f]+)", p.stdout).group(1), 16)
oldest = T.parse_json(subprocess.run([T.PMDB, "--json", "-e", "::replay",
                                      r3.dump], capture_output=True,
                                     text=True).stdout)[0]["oldest_ns"]
some = truth3.moments() + truth3.pauses + \
    [random.randint(oldest, since) for _ in range(20)] + \
    [random.randint(since, truth3.end) for _ in range(20)]
said3 = replay((r3.dump,), some)
covered = [t for t in some if t >= since]
wrong = [w for w in (compare(truth3, t, said3[t]) for t in covered) if w]
T.ok(not wrong and len(covered) >= 20,
     "one that wrapped is right since when it says",
     "\n".join(wrong[:3]) + "%d" % len(covered))
lies, unknown, silent = [], 0, []
for t in some:
    m = said3[t]
    if t >= since or m is None:
        continue
    live, unsure = truth3.at(t)
    false = set(m.said) & truth3.mine - live - unsure
    false |= set(m.free) & live
    unknown += m.unknown
    if false:
        lies.append("%x %s" % (t, T.hexes(false)))
T.ok(not lies and unknown > 0,
     "before that it says nothing that is false, and what it does not know",
     (lies[:3], unknown))
old = [t for t in some if t < since and said3[t] is not None]
p = pmdb((r3.dump,), "::replay -t %x" % (old[-1] if old else since - 1))
T.ok("does not know" in p.stderr or "does not cover" in p.stderr or
     "oldest record" in p.stderr, "which it warns of", p.stderr + p.stdout)

# files that are not the dump's, and files that lie
p = pmdb((r2.dump, log), "::status", ok=(3,))
q = pmdb((r.dump, log, log), "::status", ok=(2,))
T.ok("the log of another process" in p.stderr and "one at a time" in q.stderr,
     "the log of another process is refused", p.stderr + q.stderr)
whole = open(log, "rb").read()
bad = []
for i in range(16):
    data = bytearray(whole if i % 3 else whole[:random.randrange(len(whole))])
    chunk = random.randrange(len(whole) // 262144)
    for _ in range(random.choice((1, 20, 300))):
        at = random.choice((random.randrange(112),
                            4096 + chunk * 262144 + random.randrange(4096),
                            random.randrange(len(whole))))
        if 8 <= at < len(data) and not 16 <= at < 32:
            data[at] = random.choice((0, 255, random.randrange(256)))
    open("mutant.kmem", "wb").write(data)
    p = pmdb((r.dump, "mutant.kmem"), "::replay -t %x" % t, "::walk kmem",
             "::churn", "::lifetimes", "::replay -g", "::kmem_log",
             ok=range(-20, 256))
    if p.returncode not in (0, 1, 2, 3):
        bad.append((i, p.returncode, p.stderr[-300:]))
T.ok(not bad, "16 damaged files are survived", bad)

# the log outlives the dump: the debugger goes on after it
env = dict(os.environ, KMEM_DEBUG="default", LD_PRELOAD=T.PRELOAD,
           KMEM_LOGGING="transaction=file:later.kmem")
prog = subprocess.Popen([T.B + "/tests/kmem/logfile", "4000", "wait", "kill"],
                        env=env, stdin=subprocess.PIPE, text=True)
while True:  # until it waits for a line
    with open("/proc/%d/wchan" % prog.pid) as f, \
            open("/proc/%d/syscall" % prog.pid) as s:
        if s.read().startswith("0 "):
            break
subprocess.run(["gdb", "-nx", "-batch", "-p", str(prog.pid), "-ex",
                "gcore later.core"], capture_output=True, timeout=60)
prog.communicate("\n")
p = pmdb(("later.core", "later.kmem"), "::replay -n +3000", "::walk kmem")
m = parse(p.stdout, int(p.stdout.splitlines()[1].split()[0], 16))
T.ok(prog.returncode == -signal.SIGKILL and m.live == len(set(m.said)) and
     m.unknown == 0 and m.live > 100 and " +" in p.stdout.splitlines()[1],
     "a killed process can be followed beyond its dump", p.stdout[:300])
