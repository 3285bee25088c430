/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Arenas: sources of every kind, nesting, who waits and in which order, what is
 * said of misuse, and a shadow model of constrained requests. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static vmem_t *ids(size_t base, size_t n)
{
	return vmem_create("ids", (void *)base, n, 1, NULL, NULL, NULL, 0,
			   VM_SLEEP | VMC_IDENTIFIER);
}

static size_t take(vmem_t *vmp, size_t n, int flags)
{
	return (size_t)vmem_alloc(vmp, n, flags | VM_NOSLEEP);
}

static void give(vmem_t *vmp, size_t at, size_t n)
{
	vmem_free(vmp, (void *)at, n);
}

/* Runs a function in a child; returns how it ended, and what it said. */
static char said[4096];

static int status_of(void (*func)(void))
{
	int fd[2], status = -1;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	pid = fork();
	if (pid == 0) {
		(void)dup2(fd[1], 2);
		(void)close(fd[1]);
		func();
		_exit(0);
	}
	(void)close(fd[1]);
	memset(said, 0, sizeof(said));
	while ((got = read(fd[0], said + n, sizeof(said) - 1 - n)) > 0)
		n += (size_t)got;
	(void)close(fd[0]);
	(void)waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- sources ---- */

static size_t asked_align;

static void *twice_as_much(vmem_t *src, size_t *ret_size, size_t align,
			   int vmflag)
{
	asked_align = align;
	*ret_size *= 2;
	return vmem_xalloc(src, *ret_size, align, 0, 0, NULL, NULL, vmflag);
}

static void a_source_may_give_more(void **state)
{
	vmem_t *src = ids(1 << 20, 1 << 20);
	vmem_t *vmp =
		vmem_xcreate("more", NULL, 0, 1, twice_as_much, vmem_xfree, src,
			     0, VM_SLEEP | VMC_IDENTIFIER | VMC_XALIGN);
	void *p, *q;

	(void)state;
	p = vmem_alloc(vmp, 100, VM_SLEEP);
	assert_int_equal(vmp->vm_kstat.vk_mem_import, 200);
	q = vmem_alloc(vmp, 100, VM_SLEEP);
	assert_int_equal(vmp->vm_kstat.vk_mem_import, 200);
	vmem_free(vmp, p, 100);
	assert_int_equal(vmem_size(src, VMEM_ALLOC), 200);
	vmem_free(vmp, q, 100);
	assert_int_equal(vmem_size(src, VMEM_ALLOC), 0);
	/* it aligns: no slack is asked for */
	(void)vmem_alloc(src, 3, VM_SLEEP);
	p = vmem_xalloc(vmp, 64, 64, 0, 0, NULL, NULL, VM_SLEEP);
	assert_int_equal(asked_align, 64);
	assert_int_equal((uintptr_t)p % 64, 0);
	assert_int_equal(vmp->vm_kstat.vk_mem_import, 128);
	vmem_xfree(vmp, p, 64);
	assert_int_equal(check_arena(vmp), 0);
	vmem_destroy(vmp);
}

static vmem_t *freed_meanwhile;
static size_t freed_at;

/* as if another thread had freed while the source is asked */
static void *free_then_give(vmem_t *src, size_t size, int vmflag)
{
	if (freed_at)
		vmem_free(freed_meanwhile, (void *)freed_at, 50);
	freed_at = 0;
	return vmem_alloc(src, size, vmflag);
}

static void an_import_that_is_not_needed_goes_back(void **state)
{
	vmem_t *src = ids(1000, 1000);
	vmem_t *vmp = vmem_create("surplus", (void *)1, 50, 1, free_then_give,
				  vmem_free, src, 0, VM_SLEEP | VMC_IDENTIFIER);

	(void)state;
	assert_int_equal(take(vmp, 50, 0), 1);
	freed_meanwhile = vmp;
	freed_at = 1;
	assert_int_equal(take(vmp, 20, 0), 1);
	assert_int_equal(vmem_size(src, VMEM_ALLOC), 0);
	assert_int_equal(vmp->vm_kstat.vk_mem_import, 0);
	give(vmp, 1, 20);
	assert_int_equal(check_arena(vmp), 0);
	vmem_destroy(vmp);
	vmem_destroy(src);
}

static void free_now(void *vmp, void *start, size_t size)
{
	vmem_free(vmp, start, size);
}

static void no_marker_keeps_an_import(void **state)
{
	vmem_t *src = ids(1000, 1000);
	vmem_t *vmp = vmem_create("marked", NULL, 0, 1, vmem_alloc, vmem_free,
				  src, 0, VM_SLEEP | VMC_IDENTIFIER);
	void *p;

	(void)state;
	/* the rotor comes to be between a span and its segment */
	p = vmem_alloc(vmp, 10, VM_SLEEP);
	vmem_free(vmp, vmem_alloc(vmp, 10, VM_SLEEP | VM_NEXTFIT), 10);
	vmem_free(vmp, p, 10);
	assert_int_equal(vmem_size(src, VMEM_ALLOC), 0);
	/* the marker of a walk */
	(void)vmem_alloc(vmp, 10, VM_SLEEP);
	vmem_walk(vmp, VMEM_ALLOC | (int)VMEM_REENTRANT, free_now, vmp);
	assert_int_equal(vmem_size(src, VMEM_ALLOC), 0);
	assert_int_equal(check_arena(vmp), 0);
	vmem_destroy(vmp);
	assert_int_equal(vmem_size(src, VMEM_ALLOC), 0);
	vmem_destroy(src);
}

static void a_table_is_not_rescaled_to_less_than_nothing(void **state)
{
	vmem_t *vmp = ids(1000, 1000);

	(void)state;
	/* as if others had allocated and freed between two looks without the
	 * lock */
	vmp->vm_kstat.vk_free++;
	vmem_hash_rescale(vmp);
	vmp->vm_kstat.vk_free--;
	assert_int_equal(vmp->vm_hash_mask, VMEM_HASH_INITIAL - 1);
	vmem_destroy(vmp);
}

static void what_is_imported_is_not_too_little(void **state)
{
	vmem_t *vmp =
		vmem_create("frugal", NULL, 0, 4096, vmem_alloc, vmem_free,
			    vmem_heap, 8 * 4096, VM_SLEEP | VMC_NO_QCACHE);
	void *p = vmem_alloc(vmp, 4096, VM_SLEEP);

	(void)state;
	assert_null(vmp->vm_qcache[0]);
	assert_int_equal(vmp->vm_min_import, 131072);
	assert_int_equal(vmp->vm_kstat.vk_mem_import, 131072);
	vmem_free(vmp, p, 4096);
	assert_int_equal(vmp->vm_kstat.vk_mem_import, 0);
	vmem_destroy(vmp);
}

#define DEPTH 100

static vmem_t *nest[DEPTH];

static void make_nest(size_t n)
{
	char name[VMEM_NAMELEN];

	nest[0] = ids(1, n);
	for (int i = 1; i < DEPTH; i++) {
		(void)snprintf(name, sizeof(name), "nest_%d", i);
		nest[i] =
			vmem_create(name, NULL, 0, 1, vmem_alloc, vmem_free,
				    nest[i - 1], 0, VM_SLEEP | VMC_IDENTIFIER);
	}
}

static void *take_from_the_innermost(void *arg)
{
	(void)arg;
	return vmem_alloc(nest[DEPTH - 1], 5, VM_SLEEP);
}

static void arenas_nest_a_hundred_deep(void **state)
{
	vmem_t *inner;
	pthread_t thread;
	size_t a, b;
	void *p;

	(void)state;
	make_nest(20);
	inner = nest[DEPTH - 1];
	a = take(inner, 10, 0);
	b = take(inner, 8, 0);
	assert_true(a >= 1 && a <= 20 && b >= 1 && b <= 20);
	for (int i = 0; i < DEPTH; i++) {
		assert_int_equal(vmem_size(nest[i], VMEM_ALLOC), 18);
		assert_int_equal(check_arena(nest[i]), 0);
	}
	assert_int_equal(take(inner, 5, 0), 0);
	/* who sleeps does so where there is nothing, and wakes from there */
	pthread_create(&thread, NULL, take_from_the_innermost, NULL);
	while (!__atomic_load_n(&nest[0]->vm_waiters, __ATOMIC_ACQUIRE))
		usleep(100);
	assert_int_equal(nest[0]->vm_waiters->kw_bytes, 5);
	give(inner, b, 8);
	(void)pthread_join(thread, &p);
	assert_non_null(p);
	assert_null(nest[0]->vm_waiters);
	vmem_free(inner, p, 5);
	give(inner, a, 10);
	for (int i = DEPTH - 1; i >= 0; i--) {
		assert_int_equal(vmem_size(nest[i], VMEM_ALLOC), 0);
		vmem_destroy(nest[i]);
	}
}

static void a_policy_may_be_the_arena_s(void **state)
{
	vmem_t *vmp = vmem_create("next", (void *)1, 100, 1, NULL, NULL, NULL,
				  0, VM_SLEEP | VMC_IDENTIFIER | VM_NEXTFIT);

	(void)state;
	for (size_t i = 1; i <= 50; i++) {
		assert_int_equal(take(vmp, 1, 0), i);
		give(vmp, i, 1);
	}
	assert_int_equal(take(vmp, 1, VM_BESTFIT), 1); /* the caller's wins */
	give(vmp, 1, 1);
	vmem_destroy(vmp);
}

static void first_fit_takes_the_first_of_its_list(void **state)
{
	vmem_t *vmp = ids(1, 100);
	size_t at[5];

	(void)state;
	/* free: 9 at 1, 14 at 11, 12 at 26, in the order they are freed */
	at[0] = take(vmp, 9, 0);
	(void)take(vmp, 1, 0);
	at[1] = take(vmp, 14, 0);
	(void)take(vmp, 1, 0);
	at[2] = take(vmp, 12, 0);
	(void)take(vmp, 63, 0);
	give(vmp, at[0], 9);
	give(vmp, at[1], 14);
	give(vmp, at[2], 12);
	/* the last freed is first in the list; not the lowest, not the best */
	at[3] = take(vmp, 9, VM_FIRSTFIT);
	assert_int_equal(at[3], at[2]);
	at[4] = take(vmp, 9, VM_BESTFIT);
	assert_int_equal(at[4], at[0]);
	assert_int_equal(check_arena(vmp), 0);
	vmem_destroy(vmp);
}

static void contains_is_counted(void **state)
{
	vmem_t *vmp = ids(1, 10);

	(void)state;
	(void)vmem_add(vmp, (void *)100, 10, VM_SLEEP);
	(void)vmem_add(vmp, (void *)110, 10, VM_SLEEP);
	assert_true(vmem_contains(vmp, (void *)105, 5));
	assert_false(vmem_contains(vmp, (void *)105, 6)); /* in two spans */
	assert_int_equal(vmp->vm_kstat.vk_contains, 2);
	assert_int_equal(vmp->vm_kstat.vk_contains_search, 2 + 3);
	vmem_destroy(vmp);
}

static void quantum_caches_are_reaped(void **state)
{
	vmem_t *vmp = vmem_create("quick", (void *)4096, 1 << 24, 4096, NULL,
				  NULL, NULL, 4 * 4096, VM_SLEEP);
	void *p[100];

	(void)state;
	assert_int_equal(vmp->vm_qcache_max, 4 * 4096);
	for (int i = 0; i < 100; i++)
		p[i] = vmem_alloc(vmp, 5000, VM_SLEEP);
	for (int i = 0; i < 100; i++)
		vmem_free(vmp, p[i], 5000);
	vmem_qcache_reap(vmp);
	assert_int_equal(kmem_cache_stat(vmp->vm_qcache[1], "reap"), 1);
	assert_int_equal(kmem_cache_stat(vmp->vm_qcache[1], "full_magazines"),
			 0);
	vmem_destroy(vmp);
}

/* What lies in the magazines of a cache over an arena is the arena's. */
static void a_reap_may_be_what_helps(void **state)
{
	vmem_t *vmp = ids(1, 400);
	kmem_cache_t *cp = kmem_cache_create("over_ids", 1, 1, NULL, NULL, NULL,
					     NULL, vmp, 0);
	void *p[400];
	int n = 0;

	(void)state;
	while (n < 400 && (p[n] = kmem_cache_alloc(cp, KM_NOSLEEP)))
		n++;
	assert_true(n > 300);
	while (n > 0)
		kmem_cache_free(cp, p[--n]);
	assert_true(kmem_cache_stat(cp, "full_magazines") > 2);
	assert_int_not_equal(take(vmp, 64, 0), 0);
	assert_int_equal(kmem_cache_stat(cp, "full_magazines"), 0);
	kmem_cache_destroy(cp);
	vmem_destroy(vmp);
}

/* ---- waiting ---- */

struct sleeper {
	pthread_t thread;
	vmem_t *vmp;
	size_t bytes;
	uintptr_t min;
	int vmflag;
	volatile int order;
	void *volatile p;
};

static volatile int norder;

static void *sleep_for_it(void *arg)
{
	struct sleeper *s = arg;

	if (s->min)
		s->p = vmem_xalloc(s->vmp, s->bytes, 0, 0, 0, (void *)s->min,
				   NULL, VM_SLEEP);
	else
		s->p = vmem_alloc(s->vmp, s->bytes, s->vmflag | VM_SLEEP);
	s->order = __atomic_add_fetch(&norder, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static int nsleeping(vmem_t *vmp)
{
	int n = 0;

	kmem_mutex_enter(&vmp->vm_lock);
	for (kmem_waiter_t *w = vmp->vm_waiters; w; w = w->kw_next)
		n++;
	kmem_mutex_exit(&vmp->vm_lock);
	return n;
}

static void start(struct sleeper *s, vmem_t *vmp, size_t bytes)
{
	int n = nsleeping(vmp);

	s->vmp = vmp;
	s->bytes = bytes;
	s->order = 0;
	assert_int_equal(pthread_create(&s->thread, NULL, sleep_for_it, s), 0);
	while (nsleeping(vmp) == n)
		usleep(100);
}

static void segments_go_to_who_waits_longest(int vmflag)
{
	enum {
		N = 20
	};
	vmem_t *vmp = ids(1, 40);
	static struct sleeper s[N];

	for (int i = 0; i < 40; i++)
		assert_int_not_equal(take(vmp, 1, 0), 0);
	norder = 0;
	memset(s, 0, sizeof(s));
	for (int i = 0; i < N; i++) {
		s[i].vmflag = vmflag;
		start(&s[i], vmp, i == 0 ? 10 : 1);
	}
	for (size_t i = 1; i < 10; i++) { /* not yet enough for the first */
		give(vmp, i, 1);
		usleep(300);
	}
	assert_int_equal(norder, 0);
	assert_int_equal(nsleeping(vmp), N);
	for (size_t i = 10; i < 10 + N; i++) {
		give(vmp, i, 1);
		while (norder < (int)i - 9)
			usleep(50);
		assert_int_equal(s[i - 10].order, i - 9);
	}
	for (int i = 0; i < N; i++)
		(void)pthread_join(s[i].thread, NULL);
	assert_null(vmp->vm_waiters);
	assert_int_equal(check_arena(vmp), 0);
	vmem_destroy(vmp);
}

static void sleepers_are_served_in_order(void **state)
{
	(void)state;
	segments_go_to_who_waits_longest(0);
	segments_go_to_who_waits_longest(VM_BESTFIT);
	segments_go_to_who_waits_longest(VM_NEXTFIT);
}

static void what_cannot_be_had_lets_others_pass(void **state)
{
	vmem_t *vmp = ids(1, 10);
	static struct sleeper s[3];

	(void)state;
	assert_int_equal(take(vmp, 10, 0), 1);
	norder = 0;
	memset(s, 0, sizeof(s));
	start(&s[0], vmp, 11); /* more than there is */
	s[1].min = 50;
	start(&s[1], vmp, 1); /* where there is nothing */
	start(&s[2], vmp, 2);
	give(vmp, 1, 10);
	(void)pthread_join(s[2].thread, NULL);
	assert_int_equal(s[2].order, 1);
	(void)vmem_add(vmp, (void *)40, 20, VM_SLEEP); /* now there is */
	(void)pthread_join(s[0].thread, NULL);
	(void)pthread_join(s[1].thread, NULL);
	assert_true((uintptr_t)s[0].p >= 40);
	assert_true((uintptr_t)s[1].p >= 50);
	assert_int_equal(check_arena(vmp), 0);
	vmem_destroy(vmp);
}

static void *come_and_go(void *arg)
{
	vmem_t *vmp = arg;
	unsigned seed = (unsigned)kmem_tid();

	for (int i = 0; i < 50; i++) {
		size_t n = 1 + next_random(&seed) % 10;
		void *p = vmem_alloc(vmp, n, VM_SLEEP);

		if (!p)
			return (void *)1;
		usleep(next_random(&seed) % 20);
		vmem_free(vmp, p, n);
	}
	return NULL;
}

static void a_hundred_sleepers_share_a_small_arena(void **state)
{
	vmem_t *vmp = ids(1, 30);
	pthread_t thread[100];
	void *rc;

	(void)state;
	assert_int_equal(take(vmp, 30, 0), 1);
	for (int i = 0; i < 100; i++)
		pthread_create(&thread[i], NULL, come_and_go, vmp);
	while (nsleeping(vmp) < 100)
		usleep(100);
	give(vmp, 1, 30);
	for (int i = 0; i < 100; i++) {
		(void)pthread_join(thread[i], &rc);
		assert_null(rc);
	}
	assert_null(vmp->vm_waiters);
	assert_int_equal(vmem_size(vmp, VMEM_ALLOC), 0);
	vmem_destroy(vmp);
}

/* What is freed goes to magazines of a cache, and the arena hears nothing. */
static void sleepers_get_what_lies_in_magazines(void **state)
{
	vmem_t *vmp = ids(1, 400);
	kmem_cache_t *cp = kmem_cache_create("above", 1, 1, NULL, NULL, NULL,
					     NULL, vmp, 0);
	static struct sleeper s;
	void *p[400];
	int n = 0;

	(void)state;
	while (n < 400 && (p[n] = kmem_cache_alloc(cp, KM_NOSLEEP)))
		n++;
	start(&s, vmp, 64);
	while (n > 0)
		kmem_cache_free(cp, p[--n]);
	(void)pthread_join(s.thread, NULL);
	assert_non_null(s.p);
	vmem_free(vmp, s.p, 64);
	kmem_cache_destroy(cp);
	vmem_destroy(vmp);
}

static vmem_t *arena_of_child;

static void sleep_in_a_child(void)
{
	static struct sleeper s;

	/* the sleeper of the parent is not here */
	if (arena_of_child->vm_waiters)
		_exit(1);
	start(&s, arena_of_child, 3);
	give(arena_of_child, 1, 4);
	(void)pthread_join(s.thread, NULL);
	_exit(s.p == (void *)1 ? 7 : 2);
}

static void a_child_has_no_sleepers(void **state)
{
	static struct sleeper s;

	(void)state;
	arena_of_child = ids(1, 4);
	assert_int_equal(take(arena_of_child, 4, 0), 1);
	start(&s, arena_of_child, 4);
	assert_int_equal(status_of(sleep_in_a_child), 7);
	give(arena_of_child, 1, 4);
	(void)pthread_join(s.thread, NULL);
	give(arena_of_child, 1, 4);
	vmem_destroy(arena_of_child);
}

/* ---- tags for many at once ---- */

static void *use_tags(void *arg)
{
	vmem_t *vmp = vmem_create("tags", (void *)1, 100000, 1, NULL, NULL,
				  NULL, 0, VM_SLEEP | VMC_IDENTIFIER);

	(void)arg;
	for (size_t i = 1; i <= 20000; i++)
		(void)vmem_alloc(vmp, 2, VM_SLEEP);
	for (size_t i = 1; i <= 20000; i += 2)
		vmem_free(vmp, (void *)(2 * i - 1), 2);
	return vmp;
}

static void tags_are_made_by_many_at_once(void **state)
{
	pthread_t thread[8];
	void *vmp;

	(void)state;
	for (int i = 0; i < 8; i++)
		pthread_create(&thread[i], NULL, use_tags, NULL);
	for (int i = 0; i < 8; i++) {
		(void)pthread_join(thread[i], &vmp);
		assert_int_equal(check_arena(vmp), 0);
		assert_int_equal(((vmem_t *)vmp)->vm_kstat.vk_populate_fail, 0);
	}
	assert_int_equal(check_all(), 0);
}

/* ---- the shadow model of constrained requests ---- */

#define UNITS 2048

static unsigned char used[UNITS + 1];

struct constraint {
	size_t size, align, phase, nocross, min, max;
};

static int is_allowed(const struct constraint *c, size_t at)
{
	size_t end = at + c->size;

	return at % c->align == c->phase && (!c->min || at >= c->min) &&
	       (!c->max || end <= c->max) &&
	       (!c->nocross || at / c->nocross == (end - 1) / c->nocross);
}

static int is_there_room(const struct constraint *c)
{
	for (size_t at = 1; at + c->size <= UNITS + 1; at++) {
		size_t i = 0;

		if (!is_allowed(c, at))
			continue;
		while (i < c->size && !used[at + i])
			i++;
		if (i == c->size)
			return 1;
	}
	return 0;
}

static struct constraint random_constraint(unsigned *seed)
{
	struct constraint c = {.size = 1 + next_random(seed) % 30};

	c.align = (size_t)1 << next_random(seed) % 6;
	c.phase = next_random(seed) % 2 ? next_random(seed) % c.align : 0;
	if (next_random(seed) % 2) {
		c.nocross = 64U << next_random(seed) % 3;
		if (((c.phase + c.size + c.align - 1) & -c.align) > c.nocross)
			c.nocross = 0;
	}
	if (next_random(seed) % 3 == 0)
		c.min = 1 + next_random(seed) % UNITS;
	if (next_random(seed) % 3 == 0)
		c.max = 1 + next_random(seed) % UNITS;
	return c;
}

static void constrained_requests_match_a_bitmap(void **state)
{
	enum {
		SLOTS = 120
	};
	static const int policy[] = {0, VM_BESTFIT, VM_FIRSTFIT, VM_ENDALLOC};
	vmem_t *vmp = ids(1, UNITS);
	size_t at[SLOTS] = {0}, size[SLOTS];
	int nfailed = 0, ndone = 0;
	unsigned seed = 7;

	(void)state;
	for (int i = 0; i < 60000; i++) {
		size_t k = next_random(&seed) % SLOTS;
		struct constraint c;

		if (at[k]) {
			memset(used + at[k], 0, size[k]);
			vmem_xfree(vmp, (void *)at[k], size[k]);
			at[k] = 0;
			continue;
		}
		c = random_constraint(&seed);
		size[k] = c.size;
		at[k] = (size_t)vmem_xalloc(
			vmp, c.size, c.align, c.phase, c.nocross, (void *)c.min,
			(void *)c.max,
			policy[next_random(&seed) % 4] | VM_NOSLEEP);
		if (!at[k]) {
			assert_false(is_there_room(&c));
			nfailed++;
			continue;
		}
		ndone++;
		assert_true(is_allowed(&c, at[k]));
		for (size_t j = 0; j < c.size; j++)
			assert_false(used[at[k] + j]++);
		if (i % 1000 == 0)
			assert_int_equal(check_arena(vmp), 0);
	}
	assert_true(nfailed > 1000 && ndone > 10000);
	for (size_t k = 0; k < SLOTS; k++)
		if (at[k])
			vmem_xfree(vmp, (void *)at[k], size[k]);
	assert_int_equal(check_arena(vmp), 0);
	assert_int_equal(take(vmp, UNITS, 0), 1);
	vmem_destroy(vmp);
}

/* ---- audit ---- */

static void audit_a_segment(void)
{
	uint32_t tid = (uint32_t)gettid();
	kmem_stack_t const *st;
	vmem_seg_t *vsp;
	vmem_t *vmp;

	setenv("KMEM_DEBUG", "audit", 1);
	vmp = ids(1, 10);
	(void)vmem_alloc(vmp, 3, VM_SLEEP);
	vsp = *vmem_hash_bucket(vmp, 1);
	if (vmem_seg_size != VMEM_SEG_FULL || !vsp || vsp->vs_start != 1)
		_exit(1);
	st = kmem_stack_get(vsp->vs_stack);
	if (vsp->vs_thread != tid || vsp->vs_timestamp == 0 || !st)
		_exit(2);
	for (uint32_t i = 0; i < st->st_depth; i++) {
		uintptr_t here = (uintptr_t)audit_a_segment;

		if (st->st_pc[i] > here && st->st_pc[i] < here + 1000)
			_exit(7);
	}
	_exit(3);
}

/* ---- misuse ---- */

static vmem_t *misused;

static void free_what_is_not(void)
{
	vmem_free(misused, (void *)5, 1);
}

static void free_too_much(void)
{
	vmem_free(misused, (void *)1, 4);
}

static void add_nothing(void)
{
	(void)vmem_add(misused, NULL, 10, VM_SLEEP);
}

static void alloc_nothing(void)
{
	(void)vmem_alloc(misused, 0, VM_NOSLEEP);
}

static void *constrained(size_t size, size_t align, size_t phase,
			 size_t nocross)
{
	return vmem_xalloc(misused, size, align, phase, nocross, NULL, NULL,
			   VM_NOSLEEP);
}

static void cross_too_little(void)
{
	(void)constrained(20, 1, 0, 16);
}

static void phase_beyond_align(void)
{
	(void)constrained(1, 4, 4, 0);
}

static void align_to_three(void)
{
	(void)constrained(1, 3, 0, 0);
}

static void break_the_quantum(void)
{
	vmem_t *vmp = vmem_create("pages", (void *)4096, 1 << 20, 4096, NULL,
				  NULL, NULL, 0, VM_SLEEP);

	(void)vmem_xalloc(vmp, 4096, 8192, 100, 0, NULL, NULL, VM_SLEEP);
}

static void must_have_it(void)
{
	(void)vmem_alloc(misused, 1000, VM_PANIC);
}

static void import_addresses_as_identifiers(void)
{
	(void)vmem_create("mixed", NULL, 0, 4096, vmem_alloc, vmem_free,
			  vmem_heap, 0, VM_SLEEP | VMC_IDENTIFIER);
}

static void misalign_a_span(void)
{
	vmem_t *vmp = vmem_create("pages", NULL, 0, 4096, NULL, NULL, NULL, 0,
				  VM_SLEEP);

	(void)vmem_add(vmp, (void *)100, 4096, VM_SLEEP);
}

static void leave_some(void)
{
	kmem_options.is_verbose = 1;
	vmem_destroy(misused);
}

static void misuse_is_said_to_be(void **state)
{
	static const struct {
		void (*func)(void);
		int status;
		const char *text;
	} tried[] = {
		{free_what_is_not, -SIGABRT, ", 5, 1): bad free"},
		{free_too_much, -SIGABRT, ", 1, 4): wrong size (expect 3)"},
		{add_nothing, -SIGABRT, ", 10): bad arguments"},
		{alloc_nothing, -SIGABRT, "vmem_xalloc(): size == 0"},
		{cross_too_little, -SIGABRT, "overconstrained allocation"},
		{phase_beyond_align, -SIGABRT,
		 "parameters inconsistent or invalid"},
		{align_to_three, -SIGABRT,
		 "parameters inconsistent or invalid"},
		{break_the_quantum, -SIGABRT,
		 "parameters not vm_quantum aligned"},
		{must_have_it, -SIGABRT, "cannot satisfy mandatory allocation"},
		{import_addresses_as_identifiers, -SIGABRT,
		 "identifiers come from identifiers only"},
		{misalign_a_span, -SIGABRT, "misaligned"},
		{leave_some, 0, "vmem_destroy('ids'): leaked 3 identifiers"},
	};

	(void)state;
	misused = ids(1, 10);
	(void)take(misused, 3, 0);
	for (size_t i = 0; i < sizeof(tried) / sizeof(*tried); i++) {
		assert_int_equal(status_of(tried[i].func), tried[i].status);
		if (!strstr(said, tried[i].text))
			fail_msg("'%s' is not in '%s'", tried[i].text, said);
	}
}

static void arenas_can_be_made_to_fail(void **state)
{
	vmem_t *vmp = ids(1, 10);
	int nfailed = 0;

	(void)state;
	vmp->vm_mtbf = 4;
	for (int i = 0; i < 4000; i++) {
		size_t at = take(vmp, 1, 0);

		nfailed += at == 0;
		if (at)
			give(vmp, at, 1);
		at = (size_t)vmem_alloc(vmp, 1, VM_SLEEP);
		assert_int_not_equal(at, 0);
		give(vmp, at, 1);
	}
	assert_in_range(nfailed, 800, 1200);
	vmem_destroy(vmp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_source_may_give_more),
		cmocka_unit_test(an_import_that_is_not_needed_goes_back),
		cmocka_unit_test(no_marker_keeps_an_import),
		cmocka_unit_test(a_table_is_not_rescaled_to_less_than_nothing),
		cmocka_unit_test(what_is_imported_is_not_too_little),
		cmocka_unit_test(arenas_nest_a_hundred_deep),
		cmocka_unit_test(a_policy_may_be_the_arena_s),
		cmocka_unit_test(first_fit_takes_the_first_of_its_list),
		cmocka_unit_test(contains_is_counted),
		cmocka_unit_test(quantum_caches_are_reaped),
		cmocka_unit_test(a_reap_may_be_what_helps),
		cmocka_unit_test(sleepers_are_served_in_order),
		cmocka_unit_test(what_cannot_be_had_lets_others_pass),
		cmocka_unit_test(a_hundred_sleepers_share_a_small_arena),
		cmocka_unit_test(sleepers_get_what_lies_in_magazines),
		cmocka_unit_test(a_child_has_no_sleepers),
		cmocka_unit_test(tags_are_made_by_many_at_once),
		cmocka_unit_test(constrained_requests_match_a_bitmap),
		cmocka_unit_test(misuse_is_said_to_be),
		cmocka_unit_test(arenas_can_be_made_to_fail),
	};

	alarm(60);
	/* options are read once a process: before the first use here */
	if (status_of(audit_a_segment) != 7) {
		printf("# no stack of a segment\n");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
