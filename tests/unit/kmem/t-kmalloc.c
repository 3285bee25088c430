/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the flags of the Linux calls mean where memory is limited: who waits,
 * who fails, who reaps first, who may go beyond. */
#define _GNU_SOURCE
#include "check.h"
#include "kmalloc.h"

#include <pthread.h>

#define MIB ((size_t)1 << 20)

void *kmalloc_2_6(size_t size, gfp_t flags) __asm__("kmem_as_kmalloc_2_6");

static int nreclaimed;

static void count_reclaim(void *priv)
{
	(void)priv;
	nreclaimed++;
}

static void *call(int era, gfp_t flags, size_t size)
{
	return era == 2 ? kmalloc_2_6(size, flags) : kmalloc(size, flags);
}

/* flags of requests that are refused, and whether they ask for a reap first */
static void who_does_not_wait_fails(void **state)
{
	static const struct {
		int era;
		gfp_t flags;
		int reaps;
	} tried[] = {
		{6, 0x800, 0},           /* GFP_NOWAIT */
		{6, 0x2800, 0},          /* and as it is today */
		{6, 0xa20, 1},           /* GFP_ATOMIC */
		{6, 0x820, 1},           /* since 6.3 */
		{6, 0xcc0 | 0x10000, 1}, /* GFP_KERNEL | __GFP_NORETRY */
		{6, 0xcc0 | 0x4000, 1},  /* GFP_KERNEL | __GFP_RETRY_MAYFAIL */
		{2, 0, 0},               /* GFP_NOWAIT */
		{2, 0x20, 1},            /* GFP_ATOMIC */
		{2, 0xd0 | 0x1000, 1},   /* GFP_KERNEL | __GFP_NORETRY */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(tried) / sizeof(*tried); i++) {
		nreclaimed = 0;
		assert_null(call(tried[i].era, tried[i].flags, MIB));
		assert_int_equal(nreclaimed, tried[i].reaps);
	}
	nreclaimed = 0;
}

static void who_frees_memory_may_have_more(void **state)
{
	void *p = kmalloc(MIB, __GFP_MEMALLOC);

	(void)state;
	assert_non_null(p);
	kfree(p);
}

struct sleeper {
	pthread_t thread;
	int era;
	gfp_t flags;
	void *volatile p;
};

static void *sleep_for_it(void *arg)
{
	struct sleeper *s = arg;

	s->p = call(s->era, s->flags, MIB);
	return NULL;
}

static int is_anyone_waiting(void)
{
	return __atomic_load_n(&kmem_waiters, __ATOMIC_ACQUIRE) != NULL;
}

static void who_may_wait_does(void **state)
{
	static const struct sleeper tried[] = {
		{.era = 6, .flags = 0xcc0},           /* GFP_KERNEL */
		{.era = 6, .flags = 0xc40},           /* GFP_NOFS */
		{.era = 6, .flags = 0xc00},           /* GFP_NOIO */
		{.era = 6, .flags = 0x100cc0},        /* GFP_USER */
		{.era = 6, .flags = 0xa20 | 0x8000},  /* ATOMIC | NOFAIL */
		{.era = 6, .flags = 0xcc0 | 0x18000}, /* NORETRY | NOFAIL */
		{.era = 2, .flags = 0xd0},            /* GFP_KERNEL */
		{.era = 2, .flags = 0x50},            /* GFP_NOFS */
		{.era = 2, .flags = 0x10},            /* GFP_NOIO */
		{.era = 2, .flags = 0x200d0},         /* GFP_USER */
		{.era = 2, .flags = 0x820},           /* ATOMIC | NOFAIL */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(tried) / sizeof(*tried); i++) {
		struct sleeper s = tried[i];

		pthread_create(&s.thread, NULL, sleep_for_it, &s);
		while (!is_anyone_waiting())
			usleep(100);
		assert_null(s.p);
		assert_int_equal(kmem_waiters->kw_bytes, MIB);
		vmem_heap->vm_limit += 2 * MIB;
		(void)pthread_join(s.thread, NULL);
		assert_non_null(s.p);
		kfree(s.p);
		vmem_heap->vm_limit -= 2 * MIB;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_does_not_wait_fails),
		cmocka_unit_test(who_frees_memory_may_have_more),
		cmocka_unit_test(who_may_wait_does),
	};
	pthread_t thread;
	struct sleeper warm = {.era = 6, .flags = 0xcc0};

	alarm(30);
	(void)kmem_cache_create("reclaims", 40, 0, NULL, NULL, count_reclaim,
				NULL, NULL, 0);
	pthread_create(&thread, NULL, sleep_for_it, &warm);
	(void)pthread_join(thread, NULL);
	kfree(warm.p);
	vmem_set_limit(vmem_heap, vmem_size(vmem_heap, VMEM_ALLOC));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
