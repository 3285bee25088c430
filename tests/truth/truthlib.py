# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs fixtures and compares what pmdb says of a dump with what the fixture
said of itself (fixtures/truth.h), buffer by buffer."""
import atexit, json, os, re, shutil, signal, struct, subprocess, sys, time

B = os.environ["B"]
WORK = os.environ["WORK"]
PMDB = os.path.join(B, "pmdb")
PRELOAD = os.path.join(B, "libkmem_preload.so")
TIMEOUT = 120

_count = 0


def plan(n):
    """Says how many checks there are; the driver holds the script to it."""
    print("1..%d" % n, flush=True)


def ok(good, name, why=""):
    """One check."""
    global _count
    _count += 1
    print("%sok %d - %s" % ("" if good else "not ", _count, name))
    if not good and why:
        for line in str(why).splitlines()[:30]:
            print("#   " + line)
    sys.stdout.flush()
    return good


def skip(name, why):
    global _count
    _count += 1
    print("ok %d - %s # SKIP %s" % (_count, name, why), flush=True)


class Truth:
    """A truth file."""

    def __init__(self, path):
        self.live, self.interior, self.leak = {}, {}, {}
        self.free, self.gone = set(), set()
        self.corrupt, self.segment, self.stack = {}, {}, {}
        self.by, self.held, self.path = {}, {}, {}
        self.other = None
        with open(path) as f:
            for line in f:
                self._line(line.split(None, 3))
        if self.other is None:
            raise ValueError(path + " is not complete")

    def _line(self, w):
        if w[0] == "other":
            self.other = int(w[1])
            return
        addr = int(w[1], 16)
        if w[0] in ("live", "interior"):
            getattr(self, w[0])[addr] = int(w[2])
        elif w[0] == "leak":
            self.leak[addr] = (int(w[2]), w[3].strip())
        elif w[0] in ("free", "gone"):
            getattr(self, w[0]).add(addr)
        elif w[0] == "corrupt":
            self.corrupt[addr] = " ".join(w[2:]).strip()
        elif w[0] == "segment":
            self.segment[addr] = (int(w[2]), w[3].strip())
        elif w[0] == "by":
            self.by[addr] = int(w[2])
        elif w[0] == "held":
            self.held[addr] = w[2].strip()
        elif w[0] == "path":
            self.path[addr] = (int(w[2]), *w[3].split())
        elif w[0] == "stack":
            self.stack[addr] = w[2].strip()
        else:
            raise ValueError("truth: %r" % (w,))

    def allocated(self):
        return set(self.live) | set(self.interior) | set(self.leak)

    def groups(self):
        """name -> set of leaked addresses"""
        g = {}
        for addr, (_, name) in self.leak.items():
            g.setdefault(name, set()).add(addr)
        return g


class Run:
    """A fixture that ran: its status, output, dump and truth file."""

    def __init__(self, rc, out, err, dump, truth):
        self.rc, self.out, self.err = rc, out, err
        self.dump, self.truth_path = dump, truth

    def truth(self, suffix=""):
        return Truth(self.truth_path + suffix)


def fixture(name):
    return os.path.join(B, "fixtures", name)


def _paths(name, tag):
    stem = os.path.join(WORK, name + ("-" + tag if tag else ""))
    return stem + ".core", stem + ".truth"


def run(name, args=(), env=None, tag="", dump=None):
    """Runs a fixture under "pmdb run"."""
    core, truth = _paths(name, tag)
    p = subprocess.run(
        [PMDB, "run", "-o", dump or core, "--", fixture(name), *args],
        env=dict(os.environ, TRUTH=truth, **(env or {})), timeout=TIMEOUT,
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        errors="replace")
    return Run(p.returncode, p.stdout, p.stderr, core, truth)


def _plain_env(truth, mode, env):
    e = dict(os.environ, TRUTH=truth, TRUTH_MODE=mode, LD_PRELOAD=PRELOAD,
             KMEM_DEBUG="default", KMEM_LOGGING="transaction")
    e.update(env or {})
    return {k: v for k, v in e.items() if v is not None}


def dump_by(writer, args, env, core):
    """Runs a program until it says "ready", and has others write its core: the
    command "writer", in which PID and CORE stand for what they say.
    -> (status, stdout, stderr) of the program"""
    p = subprocess.Popen(args, env=env, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True)
    atexit.register(p.kill)
    if p.stdout.readline() != "ready\n":
        p.kill()
        raise RuntimeError(args[0] + ": not ready: " + p.communicate()[1])
    time.sleep(0.2)  # until it waits in read()
    w = subprocess.run([a.replace("PID", str(p.pid)).replace("CORE", core)
                        for a in writer], timeout=TIMEOUT,
                       stdin=subprocess.DEVNULL, capture_output=True, text=True)
    out, err = p.communicate()
    if not os.path.exists(core):
        raise RuntimeError(writer[0] + ": " + w.stdout + w.stderr)
    return p.returncode, out, err


BY_GCORE = ("gdb", "-nx", "-batch", "-p", "PID", "-ex", "gcore CORE")
BY_PMDB = (PMDB, "snap", "-p", "PID", "-o", "CORE")


def gcore(name, env=None, tag="gcore", how=BY_GCORE):
    """Runs a fixture under the library alone and has gdb write its core."""
    core, truth = _paths(name, tag)
    rc, out, err = dump_by(how, [fixture(name)],
                           _plain_env(truth, "wait", env), core)
    return Run(rc, out, err, core, truth)


def kernel_core_why_not():
    """Why the kernel would not write a core file here; "" if it would."""
    with open("/proc/sys/kernel/core_pattern") as f:
        pattern = f.read().strip()
    if pattern.startswith("|") or "/" in pattern or "%" in pattern:
        return "core_pattern is " + pattern
    import resource
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        return "the hard limit of core files is not unlimited"
    return ""


def dump_by_kernel(args, env, core):
    """Runs a program that aborts -> (status, stdout, stderr)"""
    import resource
    cwd = core + ".d"
    os.makedirs(cwd)

    def limits():
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)

    p = subprocess.run(args, env=env, preexec_fn=limits, cwd=cwd,
                       timeout=TIMEOUT, stdin=subprocess.DEVNULL,
                       capture_output=True, text=True)
    found = os.listdir(cwd)
    if len(found) != 1:
        raise RuntimeError("%s: status %d, cores %r" % (args[0], p.returncode,
                                                        found))
    os.rename(os.path.join(cwd, found[0]), core)
    os.rmdir(cwd)
    return p.returncode, p.stdout, p.stderr


def kernel_core(name, env=None, tag="kernel"):
    """Runs a fixture under the library alone; abort() makes the core."""
    core, truth = _paths(name, tag)
    rc, out, err = dump_by_kernel([fixture(name)],
                                  _plain_env(truth, "abort", env), core)
    return Run(rc, out, err, core, truth)


def pmdb(dump, *cmds, json_out=False):
    """Runs commands on a dump -> (status, stdout, stderr)"""
    args = [PMDB] + (["--json"] if json_out else [])
    for c in cmds:
        args += ["-e", c]
    p = subprocess.run(args + [dump], timeout=TIMEOUT, capture_output=True,
                       stdin=subprocess.DEVNULL, text=True, errors="replace")
    return p.returncode, p.stdout, p.stderr


class PmdbError(Exception):
    pass


def walk(dump, cmd, first=None, is_damaged=False):
    """The addresses a walk prints, as a list; anything else is an error.

    first: a command to run before, whose table is passed over
    is_damaged: the heap is, and that may be said"""
    rc, out, err = pmdb(dump, *([first, cmd] if first else [cmd]))
    if is_damaged and re.fullmatch(r"pmdb: the heap is damaged: .*\n", err):
        err = ""
    if rc != 0 or err:
        raise PmdbError("%s: status %d: %s" % (cmd, rc, err or out[:400]))
    addrs = []
    for line in out.splitlines():
        if re.fullmatch(r"0x[0-9a-f]+", line):
            addrs.append(int(line, 16))
        elif not first:
            raise PmdbError("%s: %r" % (cmd, line))
    return addrs


def walks(dump, *cmds):
    """The addresses that each of several walks prints, in one run of pmdb; all
    that is leaked was looked for before."""
    args = ["::findleaks"]
    for c in cmds:
        args += ["::echo --", c]
    rc, out, err = pmdb(dump, *args)
    if rc != 0 or err:
        raise PmdbError("%s: status %d: %s" % (cmds, rc, err or out[:400]))
    parts = re.split(r"^--\s*$", out, flags=re.M)[1:]
    if len(parts) != len(cmds):
        raise PmdbError("%s: %r" % (cmds, out[-400:]))
    return [[int(word, 16) for word in part.split()] for part in parts]


def leaked(dump):
    """Every leaked buffer"""
    return walk(dump, "::walk leakbuf", first="::findleaks")


def check(dump, json_out=True):
    """pmdb check -> (status, parsed JSON or text, stderr)"""
    p = subprocess.run([PMDB, "check", "--format",
                        "json" if json_out else "text", dump],
                       timeout=TIMEOUT, capture_output=True, text=True,
                       stdin=subprocess.DEVNULL, errors="replace")
    if not json_out:
        return p.returncode, p.stdout, p.stderr
    try:
        return p.returncode, json.loads(p.stdout), p.stderr
    except ValueError:
        return p.returncode, None, p.stderr + p.stdout[:2000]


def hexes(addrs, n=12):
    addrs = sorted(addrs)
    return " ".join("0x%x" % a for a in addrs[:n]) + (
        " and %d more" % (len(addrs) - n) if len(addrs) > n else "")


def difference(got, want):
    text = ""
    if want - got:
        text += "missed %d: %s\n" % (len(want - got), hexes(want - got))
    if got - want:
        text += "invented %d: %s\n" % (len(got - want), hexes(got - want))
    return text


# the checks compare() makes
COMPARE = 8


def compare(r, name, truth=None, dump=None, free_stays=True,
            exact=True):
    """Compares a dump with its truth: COMPARE checks.

    free_stays: False when there are no magazines, so that an emptied slab is
    given back to its arena and its buffers are no more; a number when so many
    of them must be there
    exact: False without guards, when only the size of the class is known"""
    t = truth or r.truth()
    d = dump or r.dump
    try:
        leaks = leaked(d)
        kmem = walk(d, "::walk kmem")
        free = walk(d, "::walk freemem")
    except PmdbError as e:
        for what in ("leaks", "kmem", "once", "freed", "freemem", "report",
                     "check", "verify"):
            ok(False, "%s: %s" % (name, what), e)
        return
    ok(set(leaks) == set(t.leak), name + ": leaked are exactly these",
       difference(set(leaks), set(t.leak)))
    mine, got = t.allocated(), set(kmem)
    extra = got - mine - t.free - t.gone
    ok(mine <= got and len(extra) <= t.other,
       name + ": allocated are these and at most %d more" % t.other,
       difference(got - extra, mine) + "others %d: %s" % (len(extra),
                                                          hexes(extra)))
    ok(len(leaks) == len(set(leaks)) and len(kmem) == len(set(kmem)) and
       len(free) == len(set(free)), name + ": no address is walked twice")
    wrong = got & (t.free | t.gone)
    ok(not wrong, name + ": freed are not allocated", hexes(wrong))
    least = len(t.free) if free_stays is True else int(free_stays)
    ok(len(t.free & set(free)) >= least and not set(free) & mine,
       name + ": free are these, and none in use",
       "missed %s;\n in use %s" % (hexes(t.free - set(free)),
                                 hexes(set(free) & mine)))
    _compare_verify(d, t, name)
    _compare_check(d, t, name, exact)


def _compare_verify(d, t, name):
    try:
        clean, bad = verify(d)
        ok(bool(bad) == bool(t.corrupt), name + ": ::kmem_verify finds " +
           ("damage" if t.corrupt else "all clean"), bad)
    except PmdbError as e:
        ok(False, name + ": ::kmem_verify", e)


def _compare_check(d, t, name, exact):
    rc, verdict, err = check(d)
    want = 1 if t.leak or t.corrupt else 0
    if not isinstance(verdict, dict):
        ok(False, name + ": check", err)
        ok(False, name + ": check counts", err)
        return
    ok(rc == want, name + ": check ends with %d" % want,
       "status %d: %s" % (rc, json.dumps(verdict)[:600] + err))
    groups = verdict.get("leaks") or []
    nbufs = sum(g["buffers"] for g in groups)
    nbytes = sum(g["bytes"] for g in groups)
    want_bytes = sum(size for size, _ in t.leak.values())
    ok(nbufs == len(t.leak) and (nbytes == want_bytes or
                                 (not exact and nbytes > want_bytes)),
       name + ": check counts %d buffers, %d bytes" % (len(t.leak), want_bytes),
       "%d buffers, %d bytes; truth %d, %d" % (nbufs, nbytes, len(t.leak),
                                               want_bytes))


def findleaks(dump):
    """::findleaks as JSON -> list of objects"""
    rc, out, err = pmdb(dump, "::findleaks", json_out=True)
    if rc != 0:
        raise PmdbError("::findleaks: " + err)
    return parse_json(out)


def parse_json(out):
    """JSON of any layout: one value, or one a line -> list of rows"""
    out = out.strip()
    if not out:
        return []
    try:
        v = json.loads(out)
        return v if isinstance(v, list) else [v]
    except ValueError:
        return [json.loads(line) for line in out.splitlines() if line.strip()]


_images = {}


def words(dump, addr, n):
    """n words of a dump, read from the file without any debugger."""
    if dump not in _images:
        image = open(dump, "rb").read()
        phoff, = struct.unpack_from("<Q", image, 32)
        phnum, = struct.unpack_from("<H", image, 56)
        _images[dump] = image, [struct.unpack_from("<IIQQQQQQ", image,
                                                   phoff + 56 * i)
                                for i in range(phnum)]
    image, loads = _images[dump]
    for p in loads:
        if p[0] == 1 and p[3] <= addr < p[3] + p[5]:
            return struct.unpack_from("<%dQ" % n, image, p[2] + addr - p[3])
    return ()


def verify(dump):
    """::kmem_verify -> (caches said to be clean, {cache: text of damage})"""
    rc, out, err = pmdb(dump, "::kmem_verify")
    if rc != 0:
        raise PmdbError("::kmem_verify: " + err + out)
    clean, bad = set(), {}
    for line in out.splitlines()[1:]:
        w = line.split(None, 2)
        if len(w) < 3 or line.startswith(" "):
            continue  # a finding that is of no cache
        if w[2] == "clean":
            clean.add(w[0])
        else:
            bad[w[0]] = w[1:]
    return clean, bad


def signal_status(signo):
    return 128 + int(signo)


ABORT = signal_status(signal.SIGABRT)
SEGV = signal_status(signal.SIGSEGV)
