/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The calls of kmalloc.h, with the flags of the era the including unit chose.
 * Every line of output is one expectation; LINK: kmem */
#define KMALLOC_LINUX_NAMES
#include "kmalloc.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_all(const void *p, int c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (((const unsigned char *)p)[i] != c)
			return 0;
	return 1;
}

#define OK(expr) printf("%s - %s\n", (expr) ? "ok" : "not ok", #expr)

static int nconstructed;

static void ctor(void *p)
{
	nconstructed++;
	memset(p, 0x5c, 40);
}

static void sizes(void)
{
	char *p, *q;

	OK(kmalloc(0, GFP_KERNEL) == ZERO_SIZE_PTR);
	OK(ksize(ZERO_SIZE_PTR) == 0 && ksize(NULL) == 0);
	kfree(ZERO_SIZE_PTR);
	kfree(NULL);
	OK(!kmalloc(KMALLOC_MAX_SIZE + 1, GFP_KERNEL));
	OK(!kmalloc(SIZE_MAX, GFP_KERNEL | __GFP_NOFAIL));
	OK(!kcalloc(SIZE_MAX / 2, 3, GFP_KERNEL));
	OK(!kmalloc_array(SIZE_MAX / 2, 3, GFP_KERNEL));
	for (size_t n = 1; n <= KMALLOC_MAX_SIZE; n *= 2) {
		p = kmalloc(n, GFP_KERNEL);
		if (!p || (uintptr_t)p % (n < 4096 ? n : 4096) || ksize(p) < n)
			printf("not ok - kmalloc(%zu)\n", n);
		memset(p, 1, n);
		kfree(p);
	}
	p = kzalloc(1000, GFP_ATOMIC);
	OK(is_all(p, 0, 1000));
	memset(p, 7, 1000);
	q = krealloc(p, 100000, GFP_KERNEL);
	OK(is_all(q, 7, 1000));
	OK(krealloc(q, 10, GFP_KERNEL) == q);
	OK(krealloc(q, 0, GFP_KERNEL) == ZERO_SIZE_PTR);
	p = krealloc(NULL, 10, GFP_KERNEL | __GFP_ZERO);
	OK(is_all(p, 0, 10));
	kfree(p);
	p = kcalloc(10, 20, GFP_KERNEL);
	OK(is_all(p, 0, 200));
	kfree(p);
	for (size_t n = 1; n <= 8192; n *= 3) {
		p = kmalloc(n, GFP_KERNEL | __GFP_DMA | __GFP_ZERO);
		if (!p || !is_all(p, 0, n) || ksize(p) < n)
			printf("not ok - DMA %zu\n", n);
		memset(p, 1, n);
		kfree(p);
	}
	OK(!kmalloc(8193, GFP_KERNEL | __GFP_DMA));
}

static void objects(void)
{
	struct kmem_cache *c =
		kmem_cache_create("objects", 40, 0, SLAB_HWCACHE_ALIGN, ctor);
	char *p = kmem_cache_alloc(c, GFP_KERNEL);

	OK(nconstructed > 0);
	OK((uintptr_t)p % 64 == 0);
	OK(is_all(p, 0x5c, 40));
	OK(kmem_cache_size(c) == 40);
	kmem_cache_free(c, p);
	kmem_cache_free(c, NULL);
	kmem_cache_destroy(c);
	kmem_cache_destroy(NULL);
	c = kmem_cache_create("checked", 48, 0,
			      SLAB_POISON | SLAB_RED_ZONE | SLAB_STORE_USER,
			      NULL);
	p = kmem_cache_zalloc(c, GFP_ATOMIC);
	OK(is_all(p, 0, 48));
	kmem_cache_free(c, p);
	OK(is_all(p, 0xef, 1) && ((unsigned char *)p)[3] == 0xde);
	kmem_cache_destroy(c);
	c = kmem_cache_create("dma", 64, 64, SLAB_CACHE_DMA, NULL);
	p = kmem_cache_alloc(c, GFP_KERNEL);
	OK(p != NULL);
	kmem_cache_free(c, p);
	kmem_cache_destroy(c);
	OK(!kmem_cache_create("bad", 0, 0, 0, NULL));
	OK(!kmem_cache_create("bad", 8, 3, 0, NULL));
	OK(!kmem_cache_create(NULL, 8, 0, 0, NULL));
}

/* under mtbf=1, every request that may fail does */
static void who_may_fail(void)
{
	OK(!kmalloc(100, GFP_ATOMIC));
	OK(!kmalloc(100, GFP_NOWAIT));
	OK(!kmalloc(100, GFP_KERNEL | __GFP_NORETRY));
	OK(kmalloc(100, GFP_KERNEL) != NULL);
	OK(kmalloc(100, GFP_USER) != NULL);
	OK(kmalloc(100, GFP_NOIO) != NULL);
	OK(kmalloc(100, GFP_NOFS) != NULL);
	OK(kmalloc(100, GFP_ATOMIC | __GFP_NOFAIL) != NULL);
	OK(!kmalloc(100, GFP_ATOMIC | __GFP_DMA));
	OK(kmalloc(100, GFP_KERNEL | __GFP_DMA) != NULL);
	OK(!kzalloc(100, GFP_ATOMIC));
	OK(!kcalloc(10, 10, GFP_ATOMIC));
	OK(!krealloc(NULL, 10, GFP_ATOMIC));
}

/* the second free of a buffer, or of a pointer into one, is noticed */
static void damage(const char *what)
{
	char *p = kmalloc(100, GFP_KERNEL);

	if (strcmp(what, "twice") == 0)
		kfree(p);
	kfree(strcmp(what, "interior") == 0 ? p + 8 : p);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "fail") == 0) {
		who_may_fail();
	} else if (argc > 1) {
		damage(argv[1]);
	} else {
		sizes();
		objects();
	}
	return 0;
}
