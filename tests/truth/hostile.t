#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps whose allocator structures were overwritten, with a fixed seed: every
command ends, none crashes, and damage never makes a heap "clean"."""
import array, os, random, re, struct, subprocess, sys
B, WORK = os.environ["B"], os.environ["WORK"]
PMDB = B + "/pmdb"
ROUNDS = 60
COMMANDS = ("::findleaks -dv", "::kmem_verify", "::kmastat", "::walk kmem",
            "::walk freemem", "::walk bufctl | ::bufctl -v", "::kmem_log",
            "::walk freectl | ::bufctl -h", "::vmem", "::kmem_slabs -v",
            "::walk vmem | ::walk vmem_seg | ::vmem_seg",
            "::walk kmem_cache | ::walk kmem_slab",
            "::walk kmem_cache | ::walk kmem_hash",
            "::walk kmem_alloc_48 | ::whatis -a", "::status", "::kmausers -ef",
            "::kmalog", "::kmalog mismatch", "::walk thread | ::allocdby",
            "::walk thread | ::freedby", "::kmem_waiters -v",
            "::rmap | ::rmap", "0::whatthread -v", "::walk vmem_postfix",
            "::walk freemem_constructed", "::kmem_malloc_dist",
            "::kmem_malloc_info -d", "::kmem_status", "::kmem_states",
            "::findlocks", "::walk kmem | ::head -2 | ::history",
            "::walk kmem | ::head -2 | ::refs", "::walk kmem | ::pointees",
            "3::whatis -ia")
count = 0
print("1..6", flush=True)


def ok(good, name, why=""):
    global count
    count += 1
    print("%sok %d - %s" % ("" if good else "not ", count, name))
    if not good:
        for line in str(why).splitlines()[:20]:
            print("#   " + line)


def run(args, seconds=60):
    try:
        p = subprocess.run([PMDB] + args, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=seconds)
        return p.returncode, p.stdout.decode(errors="replace"), \
            p.stderr.decode(errors="replace")
    except subprocess.TimeoutExpired:
        return "hangs", "", ""


good = os.path.join(WORK, "good.core")
subprocess.run([PMDB, "run", "-o", good, "--", B + "/fixtures/clean"],
               env=dict(os.environ, TRUTH=WORK + "/truth"))
ok(run(["check", good])[0] == 0, "the dump is clean to begin with")
image = open(good, "rb").read()

# where in the file an address is
phoff, = struct.unpack_from("<Q", image, 32)
phnum, = struct.unpack_from("<H", image, 56)
loads = []
for i in range(phnum):
    p = struct.unpack_from("<IIQQQQQQ", image, phoff + 56 * i)
    if p[0] == 1 and p[5]:
        loads.append((p[3], p[2], p[5]))


def offset(addr):
    for start, off, size in loads:
        if start <= addr < start + size - 8:
            return off + addr - start
    return None


def walk(command):
    return [int(x, 16) for x in run(["-e", command, good])[1].split()
            if x.startswith("0x")]


# every word of caches, slabs, bufctls, segments and arenas
words = []
for command, size in (("::walk kmem_cache", 640),
                      ("::walk kmem_cache | ::walk kmem_slab", 56),
                      ("::walk bufctl", 64), ("::walk freectl", 64),
                      ("::walk vmem | ::walk vmem_seg", 64),
                      ("::walk vmem", 1024)):
    for addr in walk(command):
        words += [o for o in map(offset, range(addr, addr + size, 8)) if o]
ok(len(words) > 5000, "there are structures to damage", len(words))

random.seed(20)
values = [struct.unpack_from("<Q", image, o)[0] for o in words]
values = [v for v in values if v]
bad_check, bad_command, hidden = [], [], []
for n in range(ROUNDS):
    core = bytearray(image)
    for _ in range(random.choice((1, 1, 2, 5, 50))):
        o = random.choice(words)
        old, = struct.unpack_from("<Q", core, o)
        struct.pack_into("<Q", core, o, random.choice(
            (0, 1, old + 8, old - 8, old ^ 1 << random.randrange(64),
             random.getrandbits(64), random.choice(values), 2**64 - 1,
             0x7fffffff, old + 4096)) & 2**64 - 1)
    path = os.path.join(WORK, "bad.core")
    with open(path, "wb") as f:
        f.write(core)
    rc, out, err = run(["check", path])
    if rc not in (0, 1, 3):
        bad_check.append("round %d: %s %s" % (n, rc, err[-300:]))
    # what the structures say of each other no longer agrees
    if rc == 0 and not re.search(r": clean, \d+ buffers? live$", out.strip()):
        hidden.append("round %d: %s" % (n, out[-300:]))
    if n % 3 == 0:
        args = [x for c in COMMANDS for x in ("-e", c)]
        rc, out, err = run(args + [path], 120)
        if rc not in (0, 1, 2, 3):
            bad_command.append("round %d: %s %s" % (n, rc, err[-300:]))
ok(not bad_check, "check ends with a status of its own", "\n".join(bad_check))
ok(not bad_command, "so does every command", "\n".join(bad_command))
ok(not hidden, "no damage is printed beside \"clean\"", "\n".join(hidden))

# which arenas, caches' lists and buffers there are hangs on a word each
silent = []
for name, size in (("kmem_default_arena", 8), ("kmem_oversize_arena", 8),
                   ("vmem_heap", 8), ("vmem_nown", 4), ("vmem_list", 8)):
    at = offset(int(run(["-e", name + "=K", good])[1], 16))
    for value in (0, 1 << 31, 1):
        core = bytearray(image)
        core[at:at + size] = value.to_bytes(size, "little")
        with open(path, "wb") as f:
            f.write(core)
        if run(["check", path])[0] == 0:
            silent.append("%s = %#x" % (name, value))
# a list that leaves one of its caches out
caches = walk("::walk kmem_cache")
for a, b, c in zip(caches[20:60:4], caches[21:61:4], caches[22:62:4]):
    words = [o for o in map(offset, range(a, a + 640, 8)) if o and
             struct.unpack_from("<Q", image, o)[0] == b]
    core = bytearray(image)
    struct.pack_into("<Q", core, words[0], c)
    with open(path, "wb") as f:
        f.write(core)
    if run(["check", path])[0] == 0:
        silent.append("cache %#x is skipped" % b)
ok(not silent, "a heap whose roots are damaged is not clean", silent)
