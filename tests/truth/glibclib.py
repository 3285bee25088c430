# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares what pmdb says of a heap of glibc's malloc with what the fixture
said of it (fixtures/glibc.h), every buffer of the process."""
import array, concurrent.futures, os, struct, subprocess
import truthlib as T


class Moment:
    """The truth of one moment, and its dump."""

    def __init__(self, path):
        self.core = path + ".core"
        self.live, self.leak, self.free, self.info = {}, {}, set(), {}
        self.corrupt = {}
        self.data = (0, 0)
        is_whole = False
        with open(path) as f:
            for line in f:
                w = line.split()
                if w[0] == "info":
                    self.info[w[1]] = int(w[2])
                elif w[0] in ("live", "leak"):
                    getattr(self, w[0])[int(w[1], 16)] = int(w[2])
                elif w[0] == "data":
                    self.data = int(w[1], 16) & ~7, int(w[2], 16)
                elif w[0] == "free":
                    self.free.add(int(w[1], 16))
                elif w[0] == "corrupt":
                    self.corrupt[int(w[1], 16)] = " ".join(w[2:])
                is_whole = w[0] == "other"
        if not is_whole:
            raise ValueError(path + " is not complete")

    def allocated(self):
        return {**self.live, **self.leak}


def run(name, args, tag, env=None):
    """Runs a fixture, by name or path -> its moments, in order"""
    stem = os.path.join(T.WORK, tag)
    subprocess.run([T.fixture(name), *map(str, args)], check=True,
                   timeout=T.TIMEOUT, stdin=subprocess.DEVNULL,
                   env=dict(os.environ, TRUTH=stem, **(env or {})))
    moments = []
    while os.path.exists("%s.%d" % (stem, len(moments))):
        moments.append(Moment("%s.%d" % (stem, len(moments))))
    if not moments:
        raise RuntimeError("%s: no snapshot" % name)
    return moments


def run_dumped(how, name, args, tag, env=None):
    """Runs a fixture to its first moment; of that the "kernel" writes the core,
    "gcore", or "pmdb".  -> the moment"""
    path = os.path.join(T.WORK, tag)
    cmd = [T.fixture(name), *map(str, args), "1"]
    env = dict(os.environ, TRUTH=path,
               TRUTH_MODE="abort" if how == "kernel" else "wait", **(env or {}))
    path += ".0"
    if how == "kernel":
        T.dump_by_kernel(cmd, env, path + ".core")
    else:
        T.dump_by(T.BY_GCORE if how == "gcore" else T.BY_PMDB, cmd, env,
                  path + ".core")
    return Moment(path)


def totals(core, *opts):
    """What mallinfo2() would say, from ::heapstat -> it, what pmdb complains"""
    p = subprocess.run([T.PMDB, "--json", *opts, "-e", "::heapstat", core],
                       capture_output=True, text=True, timeout=T.TIMEOUT,
                       stdin=subprocess.DEVNULL)
    rows = T.parse_json(p.stdout)
    heap = [r for r in rows if r["name"] != "mmap"]

    def sum_of(key, *what):
        return sum(r[key] for r in heap if not what or r["what"] in what)

    bins = ("unsorted", "smallbin", "largebin")
    m = {"arena": sum_of("memory_bytes"),
         "smblks": sum_of("count", "fastbin"),
         "fsmblks": sum_of("memory_bytes", "fastbin"),
         "ordblks": sum_of("count", "top", *bins),
         "fordblks": sum_of("memory_bytes", "fastbin", "top", *bins),
         "keepcost": sum(r["memory_bytes"] for r in heap
                         if r["name"] == "main" and r["what"] == "top"),
         "hblks": sum(r["count"] for r in rows if r["name"] == "mmap"),
         "hblkhd": sum(r["memory_bytes"] for r in rows if r["name"] == "mmap")}
    m["uordblks"] = m["arena"] - m["fordblks"]
    return m, p.stderr


def why_not_totals(core, want, *opts):
    """How ::heapstat differs from what mallinfo2() said; "" if it does not.

    2.43 and later count 16 bytes too many each time realloc() has the kernel
    resize a mapping: what is mapped are whole pages."""
    got, err = totals(core, *opts)
    if want["hblkhd"] % 4096 or want["hblkhd"] and not want["hblks"]:
        drift = want["hblkhd"] - got["hblkhd"]
        if drift > 0 and drift % 16 == 0 and got["hblkhd"] % 4096 == 0:
            want = dict(want, hblkhd=got["hblkhd"])
    return "" if got == want and not err else "pmdb %r\nmalloc %r\n%s" % (
        got, want, err)


def why_not(m):
    """What is wrong with pmdb's view of a moment; "" when nothing is."""
    try:
        return _why_not(m)
    except T.PmdbError as e:
        return str(e)


def _why_not(m):
    text = ""
    walked, free, leaked = T.walks(m.core, "::walk kmem", "::walk freemem",
                                   "::walk leakbuf")
    for what, got, want in (("allocated", walked, set(m.allocated())),
                            ("leaked", leaked, set(m.leak))):
        if set(got) != want:
            text += what + " " + T.difference(set(got), want)
        if len(got) != len(set(got)):
            text += what + ": an address is walked twice\n"
    wrong = set(free) & set(m.allocated())
    if wrong or len(free) != len(set(free)):
        text += "free, but in use, or twice: %s\n" % T.hexes(wrong)
    rc, verdict, err = T.check(m.core)
    if not verdict or rc != (1 if m.leak else 0):
        return text + "check: %d %s\n" % (rc, err)
    nbytes = sum(g["bytes"] for g in verdict["leaks"])
    if nbytes != sum(m.leak.values()):
        text += "check: %d bytes leaked, not %d\n" % (
            nbytes, sum(m.leak.values()))
    if m.info:
        text += why_not_totals(m.core, m.info)
    return text


def judge_all(moments, name):
    """A check for each moment, whose files go."""

    def judge(m):
        keep_ends(m)
        why = why_not(m)
        os.unlink(m.core)
        os.unlink(m.core[:-5])
        return why

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for i, why in enumerate(pool.map(judge, moments)):
            m = moments[i]
            T.ok(not why, "%s, moment %d: %d buffers, %d leaked" %
                 (name, i, len(m.allocated()), len(m.leak)), why)


def _words(core, start, end):
    """The words that a core has of some of its memory."""
    words = set()
    with open(core, "rb") as f:
        head = f.read(64)
        f.seek(struct.unpack_from("<Q", head, 32)[0])
        for ph in struct.iter_unpack("<IIQQQQQQ", f.read(
                56 * struct.unpack_from("<H", head, 56)[0])):
            lo, hi = max(start, ph[3]), min(end, ph[3] + ph[5])
            if ph[0] == 1 and lo < hi:
                f.seek(ph[2] + lo - ph[3])
                words.update(array.array("Q", f.read((hi - lo) & ~7)))
                f.seek(0)
    return words


def keep_ends(m):
    """A pointer one past the end of a buffer keeps it alive: C allows those.
    The writer of snapshots maps memory for itself, which may come to lie right
    behind an mmapped chunk that is leaked; where one of the fixture's variables
    has its address, that chunk is none.  Read here from the core itself."""
    words = _words(m.core, *m.data)
    for addr, size in list(m.leak.items()):
        if addr + size in words:
            m.live[addr] = m.leak.pop(addr)


def forget(core, libc=None):
    """Makes the core that of a libc nobody has: no file, no debug file.

    libc: the file; that of this machine"""
    with open(core, "r+b") as f:
        data = f.read()
        for build_id in _build_ids(libc or _libc()):
            at = data.find(build_id)
            while at >= 0:
                f.seek(at)
                f.write(bytes(len(build_id)))
                at = data.find(build_id, at + 1)


def _libc():
    return [line.split()[2] for line in subprocess.run(
        ["ldd", "/bin/sh"], capture_output=True, text=True).stdout.splitlines()
        if "libc.so" in line][0]


def _build_ids(path):
    out = subprocess.run(["eu-readelf", "-n", path], capture_output=True,
                         text=True).stdout
    return [bytes.fromhex(line.split()[-1]) for line in out.splitlines()
            if "Build ID:" in line]
