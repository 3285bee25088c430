# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares what pmdb says of a heap of glibc's malloc with what the fixture
said of it (fixtures/glibc.h), every buffer of the process."""
import os, subprocess
import truthlib as T


class Moment:
    """The truth of one moment, and its dump."""

    def __init__(self, path):
        self.core = path + ".core"
        self.live, self.leak, self.free, self.info = {}, {}, set(), {}
        self.corrupt = {}
        is_whole = False
        with open(path) as f:
            for line in f:
                w = line.split()
                if w[0] == "info":
                    self.info[w[1]] = int(w[2])
                elif w[0] in ("live", "leak"):
                    getattr(self, w[0])[int(w[1], 16)] = int(w[2])
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
    """Runs a fixture -> its moments, in order"""
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




def why_not(m):
    """What is wrong with pmdb's view of a moment; "" when nothing is."""
    text = ""
    walked = T.walk(m.core, "::walk kmem")
    free = T.walk(m.core, "::walk freemem")
    leaked = T.leaked(m.core)
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
    return text


def forget(core):
    """Makes the core that of a libc nobody has: no file, no debug file."""
    with open(core, "r+b") as f:
        data = f.read()
        for build_id in _libc_ids():
            at = data.find(build_id)
            while at >= 0:
                f.seek(at)
                f.write(bytes(len(build_id)))
                at = data.find(build_id, at + 1)


def _libc_ids():
    libc = [line.split()[2] for line in subprocess.run(
        ["ldd", "/bin/sh"], capture_output=True, text=True).stdout.splitlines()
        if "libc.so" in line][0]
    out = subprocess.run(["eu-readelf", "-n", libc], capture_output=True,
                         text=True).stdout
    return [bytes.fromhex(line.split()[-1]) for line in out.splitlines()
            if "Build ID:" in line]
