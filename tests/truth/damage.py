# SPDX-License-Identifier: GPL-3.0-or-later
"""Damages a dump on purpose: places of a dump's memory, found by the names of
structs and members as pmdb knows them, are overwritten one at a time."""
import mmap, os, re, resource, struct, subprocess, tempfile
PMDB = os.path.join(os.environ["B"], "pmdb")
CPU_SECONDS = 20  # what a mutant may take; a loaded machine does not matter


def run(args):
    """(status, output, messages); one that loops is killed by its CPU time."""
    def limit():
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        p = subprocess.run([PMDB] + args, stdin=subprocess.DEVNULL, stdout=out,
                           stderr=err, preexec_fn=limit)
        out.seek(0)
        err.seek(0)
        return p.returncode, out.read().decode(errors="replace"), \
            err.read().decode(errors="replace")


def commands(core, lines):
    return run([x for line in lines for x in ("-e", line)] + [core])


class Dump:
    """A core file that is changed in place and put back."""

    def __init__(self, path):
        self.path = path
        with open(path, "r+b") as f:
            self.image = mmap.mmap(f.fileno(), 0)
        self.loads, self.offsets, self.symbols = [], {}, {}
        phoff, = struct.unpack_from("<Q", self.image, 32)
        phnum, = struct.unpack_from("<H", self.image, 56)
        for i in range(phnum):
            p = struct.unpack_from("<IIQQQQQQ", self.image, phoff + 56 * i)
            if p[0] == 1 and p[5]:
                self.loads.append((p[3], p[2], p[5]))
        self.saved = []

    def learn(self, members, symbols):
        """Looks up "struct.member" and symbols."""
        lines = ["::offsetof %s %s" % tuple(m.split(".", 1)) for m in members]
        lines += ["%s=K" % s for s in symbols]
        out = commands(self.path, lines)[1].splitlines()
        for m, line in zip(members, out):
            self.offsets[m] = int(re.search(r"\) = (\w+)", line).group(1), 0)
        for s, line in zip(symbols, out[len(members):]):
            self.symbols[s] = int(line, 16)

    def where(self, addr):
        for start, off, size in self.loads:
            if start <= addr < start + size - 7:
                return off + addr - start
        raise ValueError("0x%x is not in the dump" % addr)

    def word(self, addr):
        return struct.unpack_from("<Q", self.image, self.where(addr))[0]

    def get(self, addr, member):
        return self.word(addr + self.offsets[member])

    def walk(self, command):
        return [int(w, 16) for w in commands(self.path, [command])[1].split()
                if w.startswith("0x")]

    def put(self, addr, value, size=8):
        at = self.where(addr)
        self.saved.append((at, self.image[at:at + size]))
        self.image[at:at + size] = (value & (1 << 8 * size) - 1).to_bytes(
            size, "little")

    def restore(self):
        while self.saved:
            at, old = self.saved.pop()
            self.image[at:at + len(old)] = old
