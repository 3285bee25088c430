/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finite memory: who may not wait fails, who waits gets it, in order. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>

#define MIB     ((size_t)1 << 20)
#define LIMIT   (24 * MIB)
#define NWAITER 100

static void *get(size_t n)
{
	return kmem_malloc_impl(n, 0, KMEM_KIND_MALLOC);
}

static void put(void *p)
{
	kmem_free_impl(p, KMEM_KIND_MALLOC);
}

/* takes all there is in buffers of a size; returns how many */
static int take_all(void **p, int max, size_t size)
{
	int n = 0;

	while (n < max) {
		p[n] = get(size);
		if (!p[n])
			break;
		n++;
	}
	return n;
}

static int nwaiting(void)
{
	int n = 0;

	kmem_mutex_enter(&kmem_wait_lock);
	for (kmem_waiter_t *w = kmem_waiters; w; w = w->kw_next)
		n++;
	kmem_mutex_exit(&kmem_wait_lock);
	return n;
}

static void await_waiters(int n)
{
	while (nwaiting() != n)
		usleep(200);
}

static void the_limit_is_kept(void **state)
{
	static void *p[1000];
	uint64_t nlogged = kmem_failure_log->lh_cpu[0].clh_hits;
	int n;

	(void)state;
	assert_int_equal(vmem_heap->vm_limit, LIMIT);
	for (int round = 0; round < 3; round++) {
		n = take_all(p, 1000, MIB);
		assert_in_range(n, 15, 23);
		assert_true(kmem_oversize_arena->vm_kstat.vk_mem_inuse <=
			    LIMIT);
		assert_null(kmem_alloc(MIB, KM_NOSLEEP));
		put(p[--n]);
		p[n] = get(MIB);
		assert_non_null(p[n++]);
		while (n > 0)
			put(p[--n]);
	}
	nlogged = 0 - nlogged;
	for (uint32_t i = 0; i < kmem_max_ncpus; i++)
		nlogged += kmem_failure_log->lh_cpu[i].clh_hits;
	assert_true(nlogged >= 6);
}

static void small_buffers_are_limited_too(void **state)
{
	static void *p[LIMIT / 1024];
	int n = take_all(p, (int)(LIMIT / 1024), 1024);

	(void)state;
	assert_in_range(n, 5000, LIMIT / 1024 - 1);
	while (n > 0)
		put(p[--n]);
	kmem_reap_all();
	assert_non_null(p[0] = get(10 * MIB)); /* it all came back */
	put(p[0]);
}

static volatile int norder;

struct waiter {
	pthread_t thread;
	size_t bytes;
	kmem_cache_t *cache;
	volatile uint32_t tid;
	void *volatile p;
};

static void *wait_for_it(void *arg)
{
	struct waiter *w = arg;

	w->tid = (uint32_t)gettid();
	if (w->cache)
		w->p = kmem_cache_alloc(w->cache, KM_SLEEP);
	else
		w->p = kmem_alloc(w->bytes, KM_SLEEP);
	__atomic_fetch_add(&norder, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Do the last ones, and no others, still wait?  Who has got its memory may be
 * late to say so: it is no longer in the list. */
static void check_order(const struct waiter *w, int n)
{
	uint32_t tid[8];
	int left = 0;

	kmem_mutex_enter(&kmem_wait_lock);
	for (kmem_waiter_t *it = kmem_waiters; it; it = it->kw_next)
		tid[left++] = it->kw_thread;
	kmem_mutex_exit(&kmem_wait_lock);
	for (int i = 0; i < left; i++)
		assert_int_equal(tid[i], w[n - left + i].tid);
}

static void memory_goes_to_who_waits_longest(void **state)
{
	static void *p[1000];
	struct waiter w[8];
	int n = take_all(p, 1000, MIB);
	void *crumb = get(MIB / 2); /* so that no reap makes room for a MiB */

	(void)state;
	memset(w, 0, sizeof(w));
	norder = 0;
	for (int i = 0; i < 8; i++) {
		/* a large one is first: small ones must not overtake it */
		w[i].bytes = i == 0 ? 3 * MIB : MIB;
		pthread_create(&w[i].thread, NULL, wait_for_it, &w[i]);
		await_waiters(i + 1);
	}
	assert_int_equal(kmem_waiters->kw_bytes, 3 * MIB);
	assert_int_not_equal(kmem_waiters->kw_since, 0);
	assert_null(kmem_waiters->kw_cache);
	assert_int_not_equal(kmem_waiters->kw_thread, gettid());
	put(p[--n]);
	usleep(30000);
	assert_int_equal(norder, 0);
	while (n > 0) {
		put(p[--n]);
		usleep(3000);
		check_order(w, 8);
	}
	for (int i = 0; i < 8; i++) {
		(void)pthread_join(w[i].thread, NULL);
		assert_non_null(w[i].p);
		kmem_free(w[i].p, w[i].bytes);
	}
	assert_null(kmem_waiters);
	put(crumb);
}

/* The object comes back to its cache, its slab stays: no arena sees it. */
static void an_object_freed_to_its_cache_is_enough(void **state)
{
	enum {
		MAX = 30000
	};
	static void *p[MAX], *rest[1000];
	kmem_cache_t *cp = kmem_cache_create("objects", 2000, 0, NULL, NULL,
					     NULL, NULL, NULL, 0);
	struct waiter w = {.cache = cp};
	int nrest, n = 0;

	(void)state;
	nrest = take_all(rest, 1000, MIB);
	while (n < MAX) {
		p[n] = kmem_cache_alloc(cp, KM_NOSLEEP);
		if (!p[n])
			break;
		n++;
	}
	assert_in_range(n, 10, MAX - 1);
	pthread_create(&w.thread, NULL, wait_for_it, &w);
	await_waiters(1);
	assert_ptr_equal(kmem_waiters->kw_cache, cp);
	usleep(30000);
	assert_null(w.p);
	kmem_cache_free(cp, p[n / 2]);
	(void)pthread_join(w.thread, NULL);
	assert_non_null(w.p);
	p[n / 2] = w.p;
	while (n > 0)
		kmem_cache_free(cp, p[--n]);
	while (nrest > 0)
		put(rest[--nrest]);
	kmem_cache_destroy(cp);
}

static void *come_and_go(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < 10; i++) {
		size_t n = MIB / 8 + next_random(&seed) % (2 * MIB);
		char *p = kmem_alloc(n, KM_SLEEP);
		char *q;

		if (!p)
			return (void *)1;
		p[0] = p[n - 1] = 1;
		usleep(next_random(&seed) % 1000);
		kmem_free(p, n);
		n = 100 + next_random(&seed) % 60000;
		q = kmem_alloc(n, KM_SLEEP);
		if (!q)
			return (void *)1;
		memset(q, 2, n);
		kmem_free(q, n);
	}
	return NULL;
}

static void a_hundred_waiting_threads_all_get_theirs(void **state)
{
	pthread_t thread[NWAITER];
	static void *p[1000];
	int n = take_all(p, 1000, MIB);

	(void)state;
	for (uintptr_t i = 0; i < NWAITER; i++)
		pthread_create(&thread[i], NULL, come_and_go, (void *)i);
	await_waiters(NWAITER);
	while (n > 2)
		put(p[--n]);
	for (int i = 0; i < NWAITER; i++) {
		void *rc = NULL;

		(void)pthread_join(thread[i], &rc);
		assert_null(rc);
	}
	assert_null(kmem_waiters);
	assert_true(kmem_oversize_arena->vm_kstat.vk_mem_inuse <= LIMIT);
	while (n > 0)
		put(p[--n]);
}

static void *spare[5];

static void give_spare(void *priv)
{
	(void)priv;
	for (int i = 0; i < 5; i++) {
		if (spare[i])
			put(spare[i]);
		spare[i] = NULL;
	}
}

/* Nobody frees, but an owner can do without some when it is asked. */
static void a_reap_serves_who_waits(void **state)
{
	static void *p[1000];
	struct waiter w = {.bytes = 3 * MIB};
	int n = take_all(p, 1000, MIB);
	kmem_cache_t *cp;

	(void)state;
	pthread_create(&w.thread, NULL, wait_for_it, &w);
	await_waiters(1);
	usleep(30000);
	assert_null(w.p);
	for (int i = 0; i < 5; i++)
		spare[i] = p[--n];
	cp = kmem_cache_create("has_spare", 40, 0, NULL, NULL, give_spare, NULL,
			       NULL, 0);
	(void)pthread_join(w.thread, NULL);
	assert_non_null(w.p);
	kmem_free(w.p, w.bytes);
	while (n > 0)
		put(p[--n]);
	kmem_cache_destroy(cp);
}

/* ---- an arena ---- */

static void *wait_for_ten(void *arg)
{
	return vmem_alloc(arg, 10, VM_SLEEP);
}

static void any_arena_may_be_limited(void **state)
{
	vmem_t *vmp = vmem_create("limited", (void *)1000, 1000, 1, NULL, NULL,
				  NULL, 0, VM_SLEEP);
	pthread_t thread[2];
	void *p, *q, *r = NULL;

	(void)state;
	vmem_set_limit(vmp, 100);
	p = vmem_alloc(vmp, 95, VM_SLEEP);
	assert_null(vmem_alloc(vmp, 6, VM_NOSLEEP));
	assert_null(vmem_alloc(vmp, 6, VM_NOSLEEP | VM_BESTFIT));
	assert_null(vmem_alloc(vmp, 6, VM_NOSLEEP | VM_NEXTFIT));
	assert_null(vmem_alloc(vmp, 200, VM_NOSLEEP));
	q = vmem_alloc(vmp, 5, VM_NOSLEEP);
	assert_non_null(q);
	r = vmem_alloc(vmp, 50, VM_NOSLEEP | VM_PUSHPAGE);
	assert_non_null(r);
	vmem_free(vmp, r, 50);
	pthread_create(&thread[0], NULL, wait_for_ten, vmp);
	pthread_create(&thread[1], NULL, wait_for_ten, vmp);
	while (vmp->vm_kstat.vk_wait < 2)
		usleep(100);
	vmem_set_limit(vmp, 110); /* for one of them */
	usleep(1000);
	vmem_free(vmp, p, 95); /* and for the other */
	for (int i = 0; i < 2; i++) {
		(void)pthread_join(thread[i], &r);
		assert_non_null(r);
		vmem_free(vmp, r, 10);
	}
	vmem_set_limit(vmp, 0);
	p = vmem_alloc(vmp, 500, VM_NOSLEEP);
	assert_non_null(p);
	vmem_free(vmp, p, 500);
	vmem_free(vmp, q, 5);
	vmem_destroy(vmp);
}

static void all_is_consistent_in_the_end(void **state)
{
	(void)state;
	assert_int_equal(check_all(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_limit_is_kept),
		cmocka_unit_test(small_buffers_are_limited_too),
		cmocka_unit_test(memory_goes_to_who_waits_longest),
		cmocka_unit_test(an_object_freed_to_its_cache_is_enough),
		cmocka_unit_test(a_hundred_waiting_threads_all_get_theirs),
		cmocka_unit_test(a_reap_serves_who_waits),
		cmocka_unit_test(any_arena_may_be_limited),
		cmocka_unit_test(all_is_consistent_in_the_end),
	};

	alarm(30);
	setenv("KMEM_OPTIONS", "limit=24m", 1);
	setenv("KMEM_LOGGING", "fail", 1);
	kmem_init();
	(void)get(SIZE_MAX / 8); /* what the log of failures needs, once */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
