#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""pmdb run in CI: where dumps go and which stay, processes chosen by name, a
time limit for all of them, runners that fork hundreds of times, threads."""
import os, re, sys, time
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cilib import *

RUNNER = """#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
void *volatile sink;
/* a child for each test; every fiftieth leaks */
int main(int argc, char **argv)
{
	int n = atoi(argv[1]), status, bad = 0;
	(void)argc;
	for (int i = 0; i < n; i++) {
		if (fork() == 0) {
			sink = malloc(100 + i);
			if (i % 50 == 49)
				sink = NULL;
			exit(0);
		}
		while (wait(&status) > 0)
			bad |= status;
	}
	return bad != 0;
}
"""
THREADS = """#include <pthread.h>
#include <stdlib.h>
void *volatile sink;
static void *work(void *arg)
{
	for (int i = 0; i < 20; i++)
		sink = malloc((size_t)arg);
	return sink = NULL;
}
int main(void)
{
	pthread_t t[16];
	for (size_t i = 0; i < 16; i++)
		pthread_create(&t[i], NULL, work, (void *)(1000 + i));
	for (size_t i = 0; i < 16; i++)
		pthread_join(t[i], NULL);
	return 0;
}
"""
write("runner.c", RUNNER)
write("threads.c", THREADS)
runner = compile_c("runner", "runner.c")
threads = compile_c("threads", "-O1", "threads.c", "-lpthread")
leaky, clean = B + "/fixtures/leak_one", B + "/fixtures/clean"
both = "%s; %s; %s; exit 0" % (leaky, clean, leaky)
plan(23)


def pmdb_run(*args, **kw):
    p = run(PMDB, "run", *args, cwd=WORK, **kw)
    return p.returncode, p.stdout + p.stderr


def left(where):
    path = os.path.join(WORK, where)
    return sorted(os.listdir(path)) if os.path.isdir(path) else None


rc, out = pmdb_run("--dump-dir", "a/b 100%/c", "--check", "--", "sh", "-c", both)
got = left("a/b 100%/c")
ok(rc == 1 and len(got) == 4 and
   all(re.fullmatch(r"pmdb\.(sh|leak_one|clean)\.\d+\.core", f) for f in got),
   "--dump-dir is made, and all dumps are in it", (rc, got, out))
ok(len(re.findall(r"^pmdb: .*: (?:clean|\d+ leak)", out, re.M)) == 4,
   "a verdict for each process", out)
rc, out = pmdb_run("--dump-dir", "d", "-o", "%c", "--", clean)
ok(rc == 0 and left("d") == ["clean"], "-o names the dump in it", left("d"))
write("file", "")
rc, out = pmdb_run("--dump-dir", "file/x", "--", clean)
ok(rc == 125 and "file/x: Not a directory" in out, "one that cannot be made", out)
rc, out = pmdb_run("--dump-dir", "e", "-o", "/tmp/x", "--", clean)
ok(rc == 2 and not os.path.exists(WORK + "/e"), "an absolute name is wrong there", out)

# what stays
for keep, n in (("failed", ["leak_one", "leak_one"]), ("none", []),
                ("all", ["clean", "leak_one", "leak_one", "sh"])):
    rc, out = pmdb_run("--dump-dir", "keep-" + keep, "--keep=" + keep, "--check",
                       "--", "sh", "-c", both)
    ok(rc == 1 and sorted(f.split(".")[1] for f in left("keep-" + keep)) == n,
       "--keep=" + keep, (rc, left("keep-" + keep)))
rc, out = pmdb_run("--keep=failed", "--", clean)
ok(rc == 2 and "without --check there is no --keep" in out, "--keep needs --check", out)
rc, out = pmdb_run("--format=json", "--", clean)
ok(rc == 2 and "without --check there is no format" in out, "as do check's options", out)
rc, out = pmdb_run("--keep=some", "--check", "--", clean)
ok(rc == 2, "--keep=some", out)

# who is dumped
os.link(leaky, WORK + "/a_program_with_a_long_name") if os.stat(leaky).st_dev == \
    os.stat(WORK).st_dev else run("cp", leaky, WORK + "/a_program_with_a_long_name")
for only, n in ((["leak_*"], 2), (["leak_on?", "clean"], 3), (["nobody"], 0),
                (["sh"], 1), (["dash", "leak_one"], 3)):
    args = [a for o in only for a in ("--only", o)]
    where = "only-" + re.sub(r"\W", "", "-".join(only))
    rc, out = pmdb_run("--dump-dir", where, *args, "--check", "--", "sh", "-c", both)
    want = 3 if n == 0 else 0 if only == ["sh"] else 1
    ok(rc == want and len(left(where)) == n and
       ("no process of that name left a dump" in out) == (n == 0),
       "--only " + " ".join(only), (rc, left(where), out))
rc, out = pmdb_run("--dump-dir", "long", "--only", "a_program_with_a_long_name", "--check",
                   "--", "./a_program_with_a_long_name")
ok(rc == 1 and len(left("long")) == 1, "a name that the kernel cuts off", (rc, out))
ok(pmdb_run("--only", "a,b", "--", clean)[0] == 2, "a comma is in no name")

# time
start = time.monotonic()
rc, out = pmdb_run("--dump-dir", "late", "--timeout", "1", "--check", "--",
                   "sh", "-c", "sleep 50 & sleep 60; true")
took = time.monotonic() - start
ok(rc == 124 and took < 30 and "sh: ended after 1 seconds" in out,
   "--timeout: status 124", (rc, took, out))
ok([f.split(".")[1] for f in left("late")].count("sleep") == 2,
   "--timeout: children end, too, and leave their dumps", left("late"))

# many
rc, out = pmdb_run("--dump-dir", "many", "--keep=failed", "--check", "--", runner, "200")
verdicts = re.findall(r"^pmdb: \S+: (clean|1 leak, (\d+) bytes in 1 buffer)", out, re.M)
ok(rc == 1 and len(verdicts) == 201 and
   sorted(v[1] for v in verdicts if v[1]) == ["149", "199", "249", "299"],
   "a runner that forks 200 times: the four that leak", (rc, len(verdicts), out[-500:]))
ok(len(left("many")) == 4, "and their dumps stay", left("many"))
rc, out = pmdb_run("--check", "--keep=none", "--", threads)
m = re.search(r": (\d+) leaks?, (\d+) bytes in (\d+) buffers\n", out)
ok(rc == 1 and m and m.groups()[1:] == (str(20 * sum(range(1000, 1016))), "320"),
   "sixteen threads: each buffer is counted", out[-300:])
