#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Corruption: the program ends as it must, the message says what happened,
the dump shows which buffer, and check never says clean."""
import os, struct, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

# fixture, arguments, status, what stderr must say
ABORTS = (
    ("double_free", [], "duplicate free: buffer freed twice"),
    ("overrun_freed", [], "redzone violation: write past end of buffer"),
    ("underrun", ["free"], "redzone violation: write before start of buffer"),
    ("write_freed_reused", [], "buffer modified after being freed"),
    ("bad_free", ["1"], "bad free: free address"),
    ("bad_free", ["2"], "invalid free: buffer not in cache"),
    ("bad_free", ["3"], "invalid free: buffer not in cache"),
    ("bad_free", ["4"], "bad free: free address"),
)
T.plan(len(ABORTS) * 4 + 5 + 5 * 4 + 2)
for name, args, message in ABORTS:
    r = T.run(name, args=args, tag="-".join(args))
    title = " ".join([name] + args)
    T.ok(r.rc == T.ABORT, title + ": ends by SIGABRT",
         "status %d %s" % (r.rc, r.err))
    T.ok(message in r.err, title + ": says \"%s\"" % message, r.err)
    addr = next(iter(r.truth().corrupt))
    T.ok("%x" % addr in r.err, title + ": names the buffer 0x%x" % addr, r.err)
    rc, verdict, err = T.check(r.dump)
    T.ok(rc == 1 and isinstance(verdict, dict), title + ": check ends with 1",
         "status %d %s %s" % (rc, verdict, err))

r = T.run("use_after_free")
T.ok(r.rc == T.SEGV, "use_after_free: ends by SIGSEGV", "status %d %s"
     % (r.rc, r.err))
t = r.truth()
try:
    free = set(T.walk(r.dump, "::walk freemem"))
    kmem = set(T.walk(r.dump, "::walk kmem"))
except T.PmdbError as e:
    free, kmem = set(), set(t.free)
    print("#", e)
T.ok(t.free <= free, "use_after_free: the buffer is free")
T.ok(not t.free & kmem, "use_after_free: and not allocated")
rc, out, err = T.pmdb(r.dump, "::status")
T.ok("SIGSEGV" in out, "use_after_free: ::status names the signal", out + err)
rc, out, err = T.pmdb(r.dump, "::stack")
T.ok("work" in out and "main" in out, "use_after_free: ::stack shows where",
     out + err)

for name, kind in (("overrun_live", "redzone"), ("overrun_sizes", "redzone"),
                   ("write_freed", "modified"), ("underrun", "written"),
                   ("write_freed_apart", "modified")):
    r = T.run(name)
    t = r.truth()
    T.ok(r.rc == 0 and not r.err, name + ": runs to its end", r.err)
    rc, verdict, err = T.check(r.dump)
    T.ok(rc == 1, name + ": check ends with 1", "status %d %s" % (rc, err))
    found = set()
    rc, out, err = T.pmdb(r.dump, "::walk kmem_cache | ::kmem_verify")
    out += T.pmdb(r.dump, "::kmem_verify")[1]  # those of no cache
    said = {}
    for line in out.splitlines():
        m = T.re.search(r"buffer (?:0x)?([0-9a-f]+) ", line)
        if m and "Summary" not in line:
            said[int(m.group(1), 16)] = line
    T.ok(set(said) == set(t.corrupt), name + ": exactly the damaged buffers",
         T.difference(set(said), set(t.corrupt)) + out[-1500:] + err)
    clean, bad = T.verify(r.dump)
    T.ok(bad and all("corrupt" in " ".join(b) for b in bad.values()),
         name + ": ::kmem_verify counts them by cache", bad)

# the map that was written to is taken out of the dump
r = T.run("write_freed_apart", tag="absent")
page = (next(iter(r.truth().corrupt)) + 4096) & -4096
with open(r.dump, "r+b") as f:
    head = f.read(64)
    phoff, = struct.unpack_from("<Q", head, 32)
    phnum, = struct.unpack_from("<H", head, 56)
    f.seek(phoff)
    phdrs = f.read(phnum * 56)
    for i in range(phnum):
        if struct.unpack_from("<Q", phdrs, i * 56 + 16)[0] == page:
            f.seek(phoff + i * 56 + 32)
            f.write(bytes(8))
rc, verdict, err = T.check(r.dump, json_out=False)
T.ok(rc == 3, "guards that are not in the dump: check has no verdict",
     "status %d %s %s" % (rc, verdict, err))
T.ok("slabs with guards are not in the dump" in str(verdict) + err,
     "guards that are not in the dump: it says so", str(verdict) + err)
