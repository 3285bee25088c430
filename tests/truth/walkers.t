#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Walkers over what is constructed, over the layers of CPUs, and over arenas
from the leaves up."""
import os, re, subprocess, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

T.plan(13)


def rows(dump, cmd):
    return T.parse_json(T.pmdb(dump, cmd, json_out=True)[1])


# freed buffers of a cache with a constructor lie in magazines as they were
r = T.run("kmem_caches", env={"KMEM_DEBUG": ""}, tag="plain")
t = r.truth()
built = {a for a in t.free if t.stack.get(a) == "built"}
got = set(T.walk(r.dump, "::walk freemem_constructed"))
T.ok(len(built) == 10 and built <= got and not got & (t.free - built) and
     not got & t.allocated(), "::walk freemem_constructed",
     T.difference(got, built))
addr = {row["name"]: row["addr"] for row in rows(r.dump, "::kmem_cache")}
one = set(T.walk(r.dump, addr["fix_built"] + "::walk freemem_constructed"))
T.ok(built <= one <= got, "of one cache", T.difference(one, built))
none = T.walk(r.dump, addr["fix_small"] + "::walk freemem_constructed")
T.ok(none == [], "of one without a constructor", none)
d = T.run("kmem_caches")
got = T.walk(d.dump, "::walk freemem_constructed")
T.ok(got == [], "none where free buffers are filled", T.hexes(got))

# a layer of a CPU is where the types say that it is
status = T.pmdb(r.dump, "::kmem_status")[1]
ncpus = int(re.search(r"Concurrency:\t(\d+)", status).group(1))
cpus = T.walk(r.dump, addr["fix_small"] + "::walk kmem_cpu_cache")
out = T.pmdb(r.dump, addr["fix_small"] +
             "::print -a kmem_cache_t cache_cpu[0].cc_alloc")[1]
where = int(re.match(r"([0-9a-f]+) ", out).group(1), 16)
out = T.pmdb(r.dump, "::offsetof kmem_cpu_cache_t cc_alloc",
             "::sizeof kmem_cpu_cache_t")[1]
nums = [int(re.findall(r"0x[0-9a-f]+|\d+", line)[-1], 0)
        for line in out.splitlines()]
offset, size = nums[0], nums[-1]
first = where - offset
T.ok(len(cpus) == ncpus and cpus == [first + i * size for i in range(ncpus)],
     "::walk kmem_cpu_cache: one a CPU", "%s %s %s" % (T.hexes(cpus), nums,
                                                        out))
T.ok(cpus == T.walk(r.dump, addr["fix_small"] + "::walk umem_cpu_cache"),
     "by libumem's name, too")

# arenas
r = T.run("arenas")
pre = T.walk(r.dump, "::walk vmem")
post = T.walk(r.dump, "::walk vmem_postfix")
T.ok(len(pre) > 5 and sorted(pre) == sorted(post) and pre != post,
     "::walk vmem_postfix: every arena once", T.hexes(post))
out = T.pmdb(r.dump, "::walk vmem_postfix | ::print vmem_t vm_source | "
                     "::grep 1")[1]
source = [int(line, 16) for line in out.splitlines()]
bad = [hex(a) for i, (a, s) in enumerate(zip(post, source))
       if s and post.index(s) < i]
T.ok(len(source) == len(post) and any(source) and not bad,
     "each before its source", bad)
bad = [hex(a) for a, s in zip(post, source) if s and
       pre.index(s) > pre.index(a)]
T.ok(not bad, "::walk vmem: each after its source", bad)

# what each thread keeps: of five buffers the three it has freed
PROG = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static pthread_barrier_t turn;
static void *volatile got[2][5];
static void *work(void *arg)
{
	int me = (int)(long)arg;

	for (int i = 0; i < 5; i++)
		got[me][i] = malloc(3000);
	for (int i = 0; i < 3; i++)
		free(got[me][i]);
	for (int i = 0; i < 5; i++)
		fprintf(stderr, "%s %p\n", i < 3 ? "free" : "live", got[me][i]);
	if (!me)
		return NULL;
	pthread_barrier_wait(&turn); /* it has said all */
	for (;;)
		pause();
}
int main(void)
{
	pthread_t t;

	pthread_barrier_init(&turn, NULL, 2);
	pthread_create(&t, NULL, work, (void *)1);
	pthread_barrier_wait(&turn);
	work(NULL);
	abort();
}
"""
subprocess.run(["gcc", "-x", "c", "-w", "-o", "keeps", "-", "-pthread"],
               input=PROG, text=True, check=True)
keeps = subprocess.Popen(["./keeps"], stderr=subprocess.PIPE, env=dict(
    os.environ, LD_PRELOAD=T.PRELOAD, KMEM_DEBUG="", KMEM_LOGGING="",
    KMEM_SNAPSHOT="fatal,path=keeps.core"), text=True)
out = keeps.communicate()[1]
os.rename("keeps.core.%d" % keeps.pid, "keeps.core")
said = {"free": set(), "live": set()}
for kind, a in re.findall("^(free|live) 0x([0-9a-f]+)$", out, re.M):
    said[kind].add(int(a, 16))
cache = re.search("from (kmem_alloc_(\\d+))", T.pmdb(
    "keeps.core", "%x::whatis" % max(said["live"]))[1])
got = T.walk("keeps.core", "::walk umem_ptc_" + cache.group(2))
T.ok(len(said["free"]) == 6 and len(got) == 6 and set(got) == said["free"],
     "::walk umem_ptc_SIZE: what two threads keep", T.hexes(got) + out)
same = T.walk("keeps.core", "::walk kmem_ptc_" + cache.group(2))
T.ok(same == got, "::walk kmem_ptc_SIZE is the same", T.hexes(same))
rc, out, err = T.pmdb("keeps.core", "::walk umem_ptc_" + cache.group(2) +
                      " | ::state")
T.ok(rc == 0 and out.count(" magazine ") == 6, "they are free", out + err)
rc, out, err = T.pmdb("keeps.core", "::walk kmem -s leak")
T.ok(rc == 1 and out == "" and "options before them" in err,
     "an option behind the walker is no option", err)
