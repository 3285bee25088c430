# SPDX-License-Identifier: GPL-3.0-or-later
"""How long until the first prompt on a large core of many libraries, and what
the first question that needs symbols or types then costs."""
import os, statistics, subprocess, sys, time
import common

NLIBS = 50
SOURCE = """
#include <stddef.h>
%s
long lib%d(long n) { return n; }
"""
MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
%s
int main(int argc, char **argv)
{
	size_t n = strtoul(argv[1], NULL, 10) << 20;
	char *heap = mmap(NULL, n, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct rlimit lim = {RLIM_INFINITY, RLIM_INFINITY};
	long sum = argc;

	setrlimit(RLIMIT_CORE, &lim);
	for (size_t i = 0; i < n; i += 4096)
		heap[i] = 1;
	%s
	if (sum)
		abort();
}
"""


def library(i):
    """300 structures and 300 functions, as a library of some size has"""
    parts = []
    for k in range(300):
        parts.append(
            "struct s%d_%d { struct s%d_%d *next; int a[%d]; char name[16];"
            " union { long l; double d; } u; void (*fn)(int, char *); };\n"
            "struct s%d_%d v%d_%d;\n"
            "int f%d_%d(struct s%d_%d *p, int n) { int k = n * %d;"
            " if (p) p->a[0] = k; return k + (p != NULL); }\n" %
            (i, k, i, max(k - 1, 0), k % 7 + 1, i, k, i, k, i, k, i, k, k))
    return SOURCE % ("".join(parts), i)


def make(mib):
    """-> a program with NLIBS libraries, and its core"""
    here = common.work
    names = []
    for i in range(NLIBS):
        src = os.path.join(here, "lib%d.c" % i)
        open(src, "w").write(library(i))
        names.append(os.path.join(here, "libopen%d.so" % i))
        subprocess.run(["gcc", "-g", "-O1", "-fPIC", "-shared", "-o", names[-1],
                        src], check=True)
    src = os.path.join(here, "open.c")
    open(src, "w").write(MAIN % (
        "".join("long lib%d(long);\n" % i for i in range(NLIBS)),
        "".join("sum += lib%d(sum);\n\t" % i for i in range(NLIBS))))
    exe = os.path.join(here, "open")
    subprocess.run(["gcc", "-g", "-o", exe, src, *names], check=True)
    subprocess.run([exe, str(mib)], cwd=here, stderr=subprocess.DEVNULL)
    cores = [f for f in os.listdir(here) if f.startswith("core")]
    return exe, os.path.join(here, cores[0]) if cores else None


def prompt(core):
    """-> seconds until a prompt is there, on a terminal"""
    import pexpect
    start = time.monotonic()
    child = pexpect.spawn(common.pmdb, [core], timeout=60, env=dict(
        common.clean, TERM="dumb", HOME=common.work))
    child.expect("> ")
    took = time.monotonic() - start
    child.sendline("::quit")
    child.close(force=True)
    return took


def open_(opt):
    mib = 256 if common.is_quick else 2048
    exe, core = make(mib)
    print("a core of %d MiB, %d libraries with debug information\n" %
          (mib, NLIBS))
    if not core:
        print("the kernel left no core here: see core_pattern\n")
        return
    rounds = 3 if common.is_quick else 7
    print("%-44s %10s" % ("until", "ms"))
    print("%-44s %10.0f" % ("the prompt, on a terminal", statistics.median(
        prompt(core) for _ in range(rounds)) * 1000), flush=True)
    for name, command in (
            ("::status is answered", "::status"),
            ("::stack (unwinding, symbols)", "::stack"),
            ("a structure is printed by its symbol", "v49_7::print"),
            ("a type of the last library is found", "::sizeof struct s49_299"),
            ("a type nobody has is not found", "::sizeof struct nosuch")):
        print("%-44s %10.0f" % (name, statistics.median(
            common.run([common.pmdb, "-e", command, core], check=False).wall
            for _ in range(rounds)) * 1000), flush=True)
    if subprocess.run(["which", "gdb"], stdout=subprocess.DEVNULL).returncode == 0:
        print("%-44s %10.0f" % ("gdb has opened it", statistics.median(
            common.run(["gdb", "-q", "-nx", "-batch", "-iex",
                        "set debuginfod enabled off", exe, core],
                       check=False).wall for _ in range(3)) * 1000))
    print()
