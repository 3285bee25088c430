/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A program as they are written for libumem: only its headers are included.
 * LINK: kmem */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vmem.h>
#include <umem.h>

#define OK(expr) printf("%s - %s\n", (expr) ? "ok" : "not ok", #expr)

typedef struct foo {
	long lock;
	int refcnt;
	char name[36];
} foo_t;

static int nctor, ndtor, nreclaim, nflags;

static int foo_constructor(void *buf, void *private, int flags)
{
	foo_t *foo = buf;

	nctor++;
	nflags |= flags;
	if (private != &nctor)
		return -1;
	foo->lock = 0x10c;
	foo->refcnt = 0;
	return 0;
}

static void foo_destructor(void *buf, void *private)
{
	foo_t *foo = buf;

	ndtor += private == &nctor && foo->refcnt == 0;
}

static void foo_reclaim(void *private)
{
	nreclaim += private == &nctor;
}

static int no_constructor(void *buf, void *private, int flags)
{
	(void)buf;
	(void)private;
	(void)flags;
	return -1;
}

static void objects(void)
{
	umem_cache_t *cp = umem_cache_create("foo_cache", sizeof(foo_t), 0,
					     foo_constructor, foo_destructor,
					     foo_reclaim, &nctor, NULL, 0);
	foo_t *foo = umem_cache_alloc(cp, UMEM_DEFAULT);

	OK(foo && foo->lock == 0x10c && foo->refcnt == 0);
	OK((uintptr_t)foo % 16 == 0);
	OK(nctor > 0 && nflags == UMEM_DEFAULT);
	umem_cache_free(cp, foo);
	foo = umem_cache_alloc(cp, UMEM_NOFAIL);
	OK(foo->lock == 0x10c);
	umem_cache_free(cp, foo);
	umem_reap();
	OK(nreclaim == 1);
	umem_cache_destroy(cp);
	OK(ndtor > 0);
	errno = 0;
	OK(!umem_cache_create(NULL, 8, 0, NULL, NULL, NULL, NULL, NULL, 0) &&
	   errno == EINVAL);
	errno = 0;
	OK(!umem_cache_create("x", 0, 0, NULL, NULL, NULL, NULL, NULL, 0) &&
	   errno == EINVAL);
	errno = 0;
	OK(!umem_cache_create("x", 8, 24, NULL, NULL, NULL, NULL, NULL, 0) &&
	   errno == EINVAL);
	errno = 0;
	OK(!umem_cache_create("x", 8, 0, NULL, NULL, NULL, NULL, NULL,
			      UMC_NOHASH | UMC_NOTOUCH) &&
	   errno == EINVAL);
	errno = 0;
	OK(!umem_cache_create("x", 5000, 0, NULL, NULL, NULL, NULL, NULL,
			      UMC_NOHASH) &&
	   errno == EINVAL);
	cp = umem_cache_create("never", 8, 0, no_constructor, NULL, NULL, NULL,
			       NULL, UMC_NOMAGAZINE | UMC_NODEBUG);
	OK(cp && !umem_cache_alloc(cp, UMEM_DEFAULT));
	umem_cache_destroy(cp);
}

static void sizes(void)
{
	char *p;
	int is_zero = 1;

	OK(!umem_alloc(0, UMEM_DEFAULT));
	umem_free(NULL, 0);
	for (size_t n = 1; n < 1000000; n = n * 3 / 2 + 1) {
		p = umem_alloc(n, UMEM_DEFAULT);
		if (!p || (uintptr_t)p % (n % 64 == 0 ? 64 : n > 8 ? 16 : 8))
			printf("not ok - umem_alloc(%zu)\n", n);
		memset(p, 1, n);
		umem_free(p, n);
		p = umem_zalloc(n, UMEM_NOFAIL);
		for (size_t i = 0; i < n; i++)
			is_zero &= p[i] == 0;
		umem_free(p, n);
	}
	OK(is_zero);
	for (size_t align = 8; align <= 65536; align *= 2) {
		p = umem_alloc_align(100, align, UMEM_DEFAULT);
		if (!p || (uintptr_t)p % align)
			printf("not ok - align %zu\n", align);
		umem_free_align(p, 100);
	}
	errno = 0;
	OK(!umem_alloc_align(100, 48, UMEM_DEFAULT) && errno == EINVAL);
	errno = 0;
	OK(!umem_alloc(SIZE_MAX / 2, UMEM_DEFAULT) && errno == ENOMEM);
}

static void arenas(void)
{
	vmem_alloc_t *import;
	vmem_free_t *release;
	vmem_t *heap = vmem_heap_arena(&import, &release);
	vmem_t *ids = vmem_create("ids", (void *)1, 100, 1, NULL, NULL, NULL, 0,
				  VM_SLEEP | VMC_IDENTIFIER);
	vmem_t *mem = vmem_create("mem", NULL, 0, 4096, import, release, heap,
				  0, VM_SLEEP);
	void *p = vmem_alloc(mem, 8192, VM_SLEEP);

	OK(vmem_alloc(ids, 1, VM_SLEEP | VM_NEXTFIT) == (void *)1);
	OK(vmem_alloc(ids, 1, VM_SLEEP | VM_NEXTFIT) == (void *)2);
	memset(p, 1, 8192);
	OK(vmem_size(mem, VMEM_ALLOC) == 8192);
	vmem_free(mem, p, 8192);
	vmem_free(ids, (void *)1, 1);
	vmem_free(ids, (void *)2, 1);
	vmem_destroy(ids);
	vmem_destroy(mem);
}

static int nasked, limit;

static int ask(void)
{
	if (++nasked < limit)
		return UMEM_CALLBACK_RETRY;
	return limit == 5 ? 77 : UMEM_CALLBACK_EXIT(3);
}

static void at_exit(void)
{
	printf("asked %d times\n", nasked);
}

static void again(void)
{
	(void)umem_alloc(SIZE_MAX / 2, UMEM_NOFAIL);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "size") == 0) {
		umem_free_align(umem_alloc_align(200, 64, UMEM_DEFAULT), 201);
		return 0;
	}
	if (argc > 1) { /* NOFAIL: how often the callback is asked */
		limit = atoi(argv[1]);
		atexit(at_exit);
		if (limit == 6)
			atexit(again);
		if (limit > 0)
			umem_nofail_callback(ask);
		(void)umem_alloc(SIZE_MAX / 2, UMEM_NOFAIL);
		return 0;
	}
	objects();
	sizes();
	arenas();
	return 0;
}
