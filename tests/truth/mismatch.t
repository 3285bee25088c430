#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frees by calls that do not belong to the ones that allocated: the program
does what it does without the library, and the dump has each of them, with who
allocated and who freed, and nothing else."""
import json, os, random, shutil, struct, subprocess, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

# use of fixtures/prog/misuse.cc: how and how much was allocated, how and how
# much freed; the use is on both stacks, and before it these functions
USES = (
    ("new_free", "operator new", 16, [], "free", None, ["release"]),
    ("malloc_delete", "malloc", 16, ["make"], "operator delete", None, []),
    ("new_array_delete", "operator new[]", 16, [], "operator delete", 1, []),
    ("new_delete_array", "operator new", 16, [], "operator delete[]", None, []),
    ("new_array_free", "operator new[]", 40, [], "free", None, ["release"]),
    ("new_realloc", "operator new[]", 40, [], "realloc", None, []),
    ("delete_size", "operator new", 80, [], "operator delete", 16, []),
    ("aligned_new_delete", "aligned operator new", 128, [],
     "operator delete", None, []),
    ("new_aligned_delete", "operator new", 16, [], "aligned operator delete",
     None, []),
    ("memalign_delete", "memalign", 100, [], "operator delete", None, []),
    ("new_free_large", "operator new[]", 300000, [], "free", None,
     ["release"]),
)

# the operators of a static C++ library, hidden in a shared object: what others
# allocate by new it frees by free(), and the other way round
HIDDEN = r"""
#include <string>
#include <cerrno>
extern "C" void destroy(std::string *s) { delete s; }
extern "C" std::string *create() { return new std::string("small"); }
"""
MAIN = r"""
#include <cerrno>
#include <cstdio>
#include <string>
extern "C" void destroy(std::string *s);
extern "C" std::string *create();
static __attribute__((noinline)) void theirs(int i)
{
	std::string *s = new std::string(40 + i % 2, 'x');
	errno = 77;
	destroy(s);
	if (errno != 77)
		puts("errno");
}
static __attribute__((noinline)) void ours()
{
	delete create();
	__asm__ volatile("");
}
int main()
{
	for (int i = 0; i < 1000; i++) {
		theirs(i);
		ours();
	}
	puts("done");
	return 5;
}
"""


def functions(call):
    return [(f["function"] or "").split("(")[0] for f in call["stack"]]


def mismatches(dump):
    rc, verdict, err = T.check(dump)
    return rc, verdict["mismatches"], verdict, err


def one_use(use, how, size, makers, freed, freed_size, freers):
    r = T.run("misuse", args=[use], tag=use)
    T.ok((r.rc, r.out, r.err) == (0, "", ""), use + ": runs to its end",
         (r.rc, r.out, r.err))
    rc, found, verdict, err = mismatches(r.dump)
    T.ok(rc == 1 and len(found) == 1 and verdict["mismatched_frees"] == 1 and
         not verdict["corruption"], use + ": check has that, and no damage",
         json.dumps(verdict))
    m = found[0] if found else {"allocation": {}, "free": {}}
    a, f = m["allocation"], m["free"]
    T.ok((a["call"], a["bytes"], f["call"], f["bytes"]) ==
         (how, size, freed, freed_size) and m["count"] == 1,
         use + ": what was called", (a, f))
    T.ok(functions(a)[1:2 + len(makers)] == makers + [use] and
         functions(f)[1:2 + len(freers)] == freers + [use],
         use + ": from where", (functions(a), functions(f)))
    T.ok(a["thread"] == f["thread"] == verdict["pid"], use + ": by whom",
         (a["thread"], f["thread"], verdict["pid"]))


def compile_hidden():
    lib = os.path.join(T.WORK, "libhidden.so")
    exe = os.path.join(T.WORK, "user")
    for name, text in (("hidden.cc", HIDDEN), ("user.cc", MAIN)):
        with open(os.path.join(T.WORK, name), "w") as f:
            f.write(text)
    cxx = [os.environ.get("CXX", "g++"), "-O1", "-g"]
    subprocess.run(cxx + ["-shared", "-fPIC", "-static-libstdc++",
                          "-static-libgcc", "-Wl,--exclude-libs,ALL", "-o",
                          lib, os.path.join(T.WORK, "hidden.cc")], check=True)
    subprocess.run(cxx + ["-o", exe, os.path.join(T.WORK, "user.cc"), lib,
                          "-Wl,-rpath," + T.WORK], check=True)
    return exe


def hidden():
    exe, dump = compile_hidden(), os.path.join(T.WORK, "hidden.core")
    p = subprocess.run([T.PMDB, "run", "-o", dump, "--", exe], text=True,
                       capture_output=True, timeout=T.TIMEOUT)
    T.ok((p.returncode, p.stdout, p.stderr) == (5, "done\n", ""),
         "hidden operators: the program does what it does without us", p)
    rc, found, verdict, err = mismatches(dump)
    # a string and what it holds; the one that goes the other way is short
    # and holds nothing
    pairs = sorted((m["allocation"]["call"], m["free"]["call"], m["count"])
                   for m in found)
    T.ok(rc == 1 and pairs == [("malloc", "operator delete", 1000),
                               ("operator new", "free", 1000),
                               ("operator new", "free", 1000)],
         "hidden operators: both ways, counted", pairs)
    T.ok(sum(p[2] for p in pairs) == verdict["mismatched_frees"],
         "hidden operators: no other", verdict["mismatched_frees"])
    T.ok(all({"theirs", "ours"} & set(functions(m["allocation"])) &
             set(functions(m["free"])) and
             bool({"destroy", "create"} & set(functions(m["allocation"]) +
                                              functions(m["free"])))
             for m in found), "hidden operators: from where",
         [(functions(m["allocation"]), functions(m["free"])) for m in found])
    total = sum(p[2] for p in pairs)
    out = T.pmdb(dump, "::status")[1]
    T.ok("\n%d mismatched frees (::kmalog mismatch)\n" % total in out,
         "::status counts them", out)
    rc, out, err = T.pmdb(dump, "::kmalog mismatch")
    T.ok(rc == 0 and not err and out.count("\nfreed by ") == len(pairs) and
         out.count("\nallocated by ") == len(pairs) and "`destroy" in out and
         "`create" in out and "1000 times" in out,
         "::kmalog mismatch has the pairs", out + err)
    out = subprocess.run([T.PMDB, "check", dump], text=True,
                         capture_output=True, timeout=T.TIMEOUT).stdout
    T.ok(out.count("Mismatched free of ") == len(pairs) and
         out.endswith(": %d mismatched frees at %d places\n"
                      % (total, len(pairs))),
         "check tells them in words", out)
    torn(dump, len(pairs), 10)


def file_offset(dump, addr):
    """Where the byte at an address is in an ELF core."""
    with open(dump, "rb") as f:
        head = f.read(64)
        phoff, = struct.unpack_from("<Q", head, 32)
        size, n = struct.unpack_from("<HH", head, 54)
        f.seek(phoff)
        table = f.read(size * n)
    for i in range(n):
        kind, _, off, va, _, filesz = struct.unpack_from("<IIQQQQ", table,
                                                         i * size)
        if kind == 1 and va <= addr < va + filesz:
            return off + addr - va
    raise ValueError("0x%x is not in %s" % (addr, dump))


def torn(dump, npairs, seeds):
    """A table that says anything ends nothing, and no pair is made up."""
    out = T.pmdb(dump, "kmem_mismatch_log=K")[1]
    start = file_offset(dump, int(out.strip(), 16))
    bad = os.path.join(T.WORK, "torn.core")
    ends = set()
    made_up = 0
    for seed in range(seeds):
        r = random.Random(seed)
        shutil.copyfile(dump, bad)
        with open(bad, "r+b") as f:
            for _ in range(40):
                f.seek(start + r.randrange(256 * 152 // 8) * 8)
                f.write(r.choice((b"\xff" * 8, r.randbytes(8),
                                  struct.pack("<Q", r.randrange(1 << 47)))))
        rc, out, err = T.pmdb(bad, "::status", "::kmalog mismatch")
        ends.add(rc in (0, 1))
        made_up += out.count("\nfreed by ") > npairs
        rc = T.check(bad)[0]
        ends.add(rc in (1, 3))
    T.ok(ends == {True}, "a torn table: every command ends", ends)
    T.ok(made_up == 0, "a torn table: no pair is made up", made_up)


T.plan(5 * len(USES) + 7 + 2 + 3)
for use in USES:
    one_use(*use)
hidden()

# not looked at, and the old way
r = T.run("misuse", args=["new_free"], tag="off",
          env={"KMEM_DEBUG": "default,nomismatch"})
rc, found, verdict, err = mismatches(r.dump)
T.ok((r.rc, rc, found) == (0, 0, []), "nomismatch: nothing is recorded", found)
r = T.run("misuse", args=["new_free"], tag="abort",
          env={"KMEM_DEBUG": "default,mismatch=abort"})
T.ok(r.rc == T.ABORT and "mismatched free: allocated by operator new, freed "
     "by free\n" in r.err, "mismatch=abort: reported", r.err)
rc, found, verdict, err = mismatches(r.dump)
T.ok(rc == 1 and not found and len(verdict["corruption"]) == 1,
     "mismatch=abort: and not recorded", verdict)
