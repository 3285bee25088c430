#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""::whatis against the truth: each buffer, live, leaked or free; each identifier
with -i; the order of the answers."""
import os, re, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

T.plan(9)


def ask(dump, addrs, options):
    """address -> what is said of it, in the order of the answers"""
    args = ["%x::whatis %s" % (a, options) for a in addrs]
    said = {}
    for line in T.pmdb(dump, *args)[1].splitlines():
        addr, _, what = line.partition(" is ")
        said[int(addr, 16)] = what
    return said


r = T.run("kmem_caches")
t = r.truth()
live = sorted(t.allocated())
said = ask(r.dump, live, "-q")
bad = {a: said.get(a) for a in live
       if not re.match(r"(bufctl [0-9a-f]+ )?allocated from fix_",
                       said.get(a, ""))}
T.ok(len(live) > 100 and not bad, "every live buffer is allocated", bad)
free = sorted(t.free)
said = ask(r.dump, free, "-q")
bad = {a: said.get(a) for a in free
       if not re.match(r"(bufctl [0-9a-f]+ )?freed from fix_",
                       said.get(a, ""))}
T.ok(len(free) > 20 and not bad, "every free buffer is freed", bad)
said = ask(r.dump, [a + 5 for a in live], "-qb")
bad = {a: said.get(a + 5) for a in live
       if not re.match(r"%x\+5, (bufctl [0-9a-f]+ )?allocated from fix_" % a,
                       said.get(a + 5, ""))}
T.ok(not bad, "five bytes on it is the buffer and 5", bad)

# the order of a pipeline: ascending, unknown ones last; or that of the input
some = [live[3], 1, live[9], live[1]]
for options, want in (("-q", sorted(some[:1] + some[2:]) + [1]),
                      ("-qk", some)):
    out = T.pmdb(r.dump, "! 'printf \"%s\"' | ::whatis %s" %
                 ("".join("0x%x\\n" % a for a in some), options))[1]
    got = [int(line.split(" is ")[0], 16) for line in out.splitlines()]
    T.ok(got == want, "::whatis %s: the order" % options, out)
rc, out, err = T.pmdb(r.dump, "%x::whatis | ::head -1" % live[0])
T.ok("whatis: cannot be output into a pipe" in err, "into a pipe: no", err)

# identifiers: those that are out, and no other
r = T.run("pty_minors")
t = r.truth()
out_now = {n for a, (s, name) in t.segment.items() if name == "ptms_minor"
           for n in range(a, a + s)}
said = ask(r.dump, range(1, 386), "-i")
bad = {n: said.get(n) for n in out_now
       if "allocated from the ptms_minor vmem arena" not in said.get(n, "")}
T.ok(len(out_now) > 200 and not bad, "-i: each number that is out", bad)
bad = {n: w for n, w in said.items() if n not in out_now and
       "allocated from" in w}
T.ok(not bad, "-i: and no other", bad)
said = ask(r.dump, sorted(out_now)[:5], "")
T.ok(set(said.values()) == {"unknown"}, "as addresses they are nothing", said)
