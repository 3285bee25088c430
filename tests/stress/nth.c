/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Each allocation fails once: the library's own too.
 *
 * A scenario that uses every interface runs in a forked child with the first
 * allocation that may fail failing, then with the second, and so on until none
 * is left to fail; and then again with all from the n-th on failing.  Whatever
 * happens, a request says so by NULL, what was given can be freed, and in the
 * end nothing is lost, of the program's or of the library's.
 *
 * What fails is what passes between the files of the library (the linker's
 * --wrap): memory of arenas, objects of the caches of metadata, pages for the
 * page map, for records of threads, for stacks.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kmalloc.h"
#include "rmap.h"
#include "umem.h"
#include "verify.h"

#define NBUFS 300

static long count, target; /* of allocations that may fail; 0: none does */
static int is_lasting, is_armed, is_mapless;

static int is_hit(void)
{
	if (!__atomic_load_n(&is_armed, __ATOMIC_RELAXED))
		return 0;
	count++;
	return is_lasting ? count >= target : count == target;
}

void *__real_vmem_alloc(vmem_t *vmp, size_t size, int vmflag);
void *__wrap_vmem_alloc(vmem_t *vmp, size_t size, int vmflag);
void *__wrap_vmem_alloc(vmem_t *vmp, size_t size, int vmflag)
{
	return (vmflag & VM_NOSLEEP) && is_hit()
		       ? NULL
		       : __real_vmem_alloc(vmp, size, vmflag);
}

void *__real_vmem_xalloc(vmem_t *vmp, size_t size, size_t align, size_t phase,
			 size_t nocross, void *min, void *max, int vmflag);
void *__wrap_vmem_xalloc(vmem_t *vmp, size_t size, size_t align, size_t phase,
			 size_t nocross, void *min, void *max, int vmflag);
void *__wrap_vmem_xalloc(vmem_t *vmp, size_t size, size_t align, size_t phase,
			 size_t nocross, void *min, void *max, int vmflag)
{
	return (vmflag & VM_NOSLEEP) && is_hit()
		       ? NULL
		       : __real_vmem_xalloc(vmp, size, align, phase, nocross,
					    min, max, vmflag);
}

void *__real_kmem_cache_alloc(kmem_cache_t *cp, int kmflag);
void *__wrap_kmem_cache_alloc(kmem_cache_t *cp, int kmflag);
void *__wrap_kmem_cache_alloc(kmem_cache_t *cp, int kmflag)
{
	return (kmflag & KM_NOSLEEP) && is_hit()
		       ? NULL
		       : __real_kmem_cache_alloc(cp, kmflag);
}

void *__real_kmem_pages_alloc(size_t bytes);
void *__wrap_kmem_pages_alloc(size_t bytes);
void *__wrap_kmem_pages_alloc(size_t bytes)
{
	return is_hit() ? NULL : __real_kmem_pages_alloc(bytes);
}

int __real_kmem_pagemap_set(const void *addr, size_t bytes, uintptr_t entry);
int __wrap_kmem_pagemap_set(const void *addr, size_t bytes, uintptr_t entry);
int __wrap_kmem_pagemap_set(const void *addr, size_t bytes, uintptr_t entry)
{
	if (is_mapless)
		return -1;
	/* what marks a page as freed finds its place */
	return entry != KMEM_PAGE_FREED && is_hit()
		       ? -1
		       : __real_kmem_pagemap_set(addr, bytes, entry);
}

/* ---- the scenario ---- */

static void sizes(void)
{
	static const size_t size[] = {8,    40,    200,    512,   3000,
				      9000, 40000, 131072, 200000};
	static void *p[NBUFS], *q[NBUFS];

	for (size_t i = 0; i < NBUFS; i++) {
		size_t n = size[i % 9];

		p[i] = kmem_alloc(n, KM_NOSLEEP);
		if (p[i])
			memset(p[i], 1, n);
		q[i] = kmem_malloc_impl(n, i % 4 ? 0 : 256, KMEM_KIND_MALLOC);
		if (q[i])
			memset(q[i], 2, n);
	}
	for (size_t i = 0; i < NBUFS; i++) {
		size_t n = size[i % 9];
		void *more = NULL;

		if (p[i] && i % 5 == 0)
			more = kmem_rezalloc(p[i], n, n + 100, KM_NOSLEEP);
		if (more)
			kmem_free(more, n + 100);
		else if (p[i])
			kmem_free(p[i], n);
		kmem_free_impl(q[i], KMEM_KIND_MALLOC);
	}
}

static int construct(void *buf, void *priv, int kmflag)
{
	(void)priv;
	(void)kmflag;
	*(uint64_t *)buf = 1;
	return 0;
}

static void fill_cache(umem_cache_t *cp)
{
	static void *p[NBUFS];

	for (int i = 0; cp && i < NBUFS; i++)
		p[i] = umem_cache_alloc(cp, UMEM_DEFAULT);
	for (int i = 0; cp && i < NBUFS; i++)
		if (p[i])
			umem_cache_free(cp, p[i]);
	if (cp)
		umem_cache_destroy(cp);
}

static void caches(void)
{
	static char small[] = "nth_small", hashed[] = "nth_hashed";

	fill_cache(umem_cache_create(small, 32, 0, construct, NULL, NULL, NULL,
				     NULL, 0));
	fill_cache(umem_cache_create(hashed, 1000, 64, NULL, NULL, NULL, NULL,
				     NULL, 0));
}

static void arenas(void)
{
	vmem_t *vmp = vmem_create("nth_ids", (void *)1, 100000, 1, NULL, NULL,
				  NULL, 0, VM_NOSLEEP | VMC_IDENTIFIER);
	vmem_t *sub;
	static void *p[NBUFS];
	struct map *map = rmallocmap(10);

	rmfreemap(map);
	if (!vmp)
		return;
	sub = vmem_create("nth_sub", NULL, 0, 1, vmem_alloc, vmem_free, vmp, 0,
			  VM_NOSLEEP | VMC_IDENTIFIER);
	for (size_t i = 0; sub && i < NBUFS; i++)
		p[i] = vmem_alloc(sub, 1 + i % 9, VM_NOSLEEP | VM_BESTFIT);
	for (size_t i = 0; sub && i < NBUFS; i++)
		if (p[i])
			vmem_free(sub, p[i], 1 + i % 9);
	if (sub)
		vmem_destroy(sub);
	if (vmem_size(vmp, VMEM_ALLOC) != 0) {
		fprintf(stderr, "an import was lost\n");
		_exit(1);
	}
	vmem_destroy(vmp);
}

static void *in_thread(void *arg)
{
	sizes();
	kfree(kmalloc(100, GFP_ATOMIC));
	kfree(kmalloc(100, GFP_ATOMIC | __GFP_DMA));
	return arg;
}

static void scenario(void)
{
	pthread_t thread;

	sizes();
	caches();
	arenas();
	if (pthread_create(&thread, NULL, in_thread, NULL) == 0)
		(void)pthread_join(thread, NULL);
	kmem_reap();
}

/** Live buffers of all caches that are not metadata, and other memory. */
static uint64_t in_use(void)
{
	uint64_t n = vmem_size(kmem_oversize_arena, VMEM_ALLOC);

	for (kmem_cache_t *cp = kmem_null_cache.cache_next;
	     cp != &kmem_null_cache; cp = cp->cache_next)
		if (!verify_is_metadata(cp))
			n += kmem_cache_stat(cp, "buf_inuse");
	return n;
}

/** The child: 0 all is well, 3 there was nothing left to fail, 1 wrong. */
static int try(void)
{
	uint64_t before = in_use();

	alarm(60);
	is_armed = 1;
	scenario();
	is_armed = 0;
	if (verify_all() || verify_metadata() || in_use() != before) {
		fprintf(stderr, "# %lu in use, then %lu\n", before, in_use());
		return 1;
	}
	scenario(); /* and all works again */
	if (verify_all() || verify_metadata() || in_use() != before)
		return 1;
	return count < target ? 3 : 0;
}

/** A request that may sleep is never refused: with no place in the page map the
 * process ends. */
static int is_never_refused(size_t size)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		(void)freopen("/dev/null", "w", stderr);
		is_mapless = 1;
		for (;;)
			if (!kmem_alloc(size, KM_SLEEP))
				_exit(1);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid &&
	       WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

int main(int argc, char **argv)
{
	long step = argc > 1 ? strtol(argv[1], NULL, 0) : 1;
	int status = 0, nbad = 0;
	long ntried = 0;

	kmem_free(kmem_alloc(1, KM_SLEEP), 1);
	for (is_lasting = 0; is_lasting < 2; is_lasting++) {
		for (target = 1;; target += target < 25 ? 1 : step) {
			pid_t pid = fork();

			if (pid == 0)
				_exit(try());
			if (pid < 0 || waitpid(pid, &status, 0) != pid)
				return 1;
			if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
				break;
			ntried++;
			if (status != 0) {
				fprintf(stderr, "allocation %ld%s: %x\n",
					target, is_lasting ? " and on" : "",
					(unsigned)status);
				nbad++;
			}
		}
	}
	fprintf(stderr, "nth: %ld tried, %d bad\n", ntried, nbad);
	if (!is_never_refused(300) || !is_never_refused(300000)) {
		fprintf(stderr, "a request that may sleep was refused\n");
		nbad++;
	}
	return nbad || ntried < 10;
}
