/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What threads keep for themselves: bins, their records, and what becomes of
 * them at a thread's end, in a child, in a signal handler. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "kmem_thread.h"

static kmem_thread_bin_t *bin_of(size_t bytes)
{
	unsigned class = kmem_malloc_class[(bytes + 7) / 8];

	assert_non_null(kmem_thread_self);
	return &kmem_thread_self->th_bin[class];
}

static void *get(size_t bytes)
{
	void *p = kmem_malloc_impl(bytes, 0, KMEM_KIND_MALLOC);

	assert_non_null(p);
	return p;
}

static void put(void *p)
{
	kmem_free_impl(p, KMEM_KIND_MALLOC);
}

static void what_is_freed_is_given_out_next(void **state)
{
	void *p = get(100);

	(void)state;
	assert_int_equal(kmem_thread_push(p), 1);
	assert_ptr_equal(kmem_thread_pop(kmem_malloc_class[(100 + 7) / 8]), p);
	put(p);
	assert_ptr_equal(get(100), p);
	put(p);
}

static void a_bin_counts_what_was_taken(void **state)
{
	void *p = get(200);
	uint64_t before = bin_of(200)->tb_alloc;

	(void)state;
	put(p);
	for (int i = 0; i < 70000; i++)
		put(get(200));
	assert_int_equal(bin_of(200)->tb_alloc - before, 70000);
}

static void bins_grow_to_their_limit_and_no_more(void **state)
{
	enum {
		N = 3000
	};
	static void *p[N];

	(void)state;
	for (size_t bytes = 16; bytes <= KMEM_BIN_BYTES; bytes *= 2) {
		kmem_thread_bin_t *bin;

		for (int i = 0; i < N; i++) {
			p[i] = get(bytes);
			*(void **)p[i] = &p[i];
		}
		for (int i = 0; i < N; i++)
			assert_ptr_equal(*(void **)p[i], &p[i]);
		for (int i = 0; i < N; i++)
			put(p[i]);
		bin = bin_of(bytes);
		assert_int_equal(bin->tb_max, bin->tb_limit);
		assert_true(bin->tb_rounds > 0);
		assert_true(bin->tb_rounds <= bin->tb_limit);
	}
	assert_int_equal(check_all(), 0);
}

static void a_bin_takes_the_starts_of_buffers_only(void **state)
{
	char *p = get(100);
	char *big = get(200000);
	kmem_cache_t *cp = kmem_cache_create("t_thread", 64, 0, NULL, NULL,
					     NULL, NULL, NULL, 0);
	void *object = kmem_cache_alloc(cp, KM_SLEEP);
	int local;

	(void)state;
	for (int i = 1; i < 112; i++)
		assert_int_equal(kmem_thread_push(p + i), 0);
	assert_int_equal(kmem_thread_push(NULL), 0);
	assert_int_equal(kmem_thread_push(&local), 0);
	assert_int_equal(kmem_thread_push((void *)UINTPTR_MAX), 0);
	assert_int_equal(kmem_thread_push(big), 0);
	assert_int_equal(kmem_thread_push(object), 0);
	put(p);
	put(big);
	kmem_cache_free(cp, object);
	kmem_cache_destroy(cp);
}

/* ---- threads ---- */

static kmem_thread_t *record;

static void *use_all_classes(void *arg)
{
	(void)arg;
	for (size_t bytes = 1; bytes <= KMEM_BIN_BYTES; bytes += 200) {
		void *p[3] = {get(bytes), get(bytes), get(bytes)};

		for (int i = 0; i < 3; i++)
			put(p[i]);
	}
	record = kmem_thread_self;
	return NULL;
}

static unsigned rounds_of(const kmem_thread_t *th)
{
	unsigned n = 0;

	for (unsigned i = 0; i < KMEM_NCLASSES; i++)
		n += th->th_bin[i].tb_rounds;
	return n;
}

static void a_thread_that_ends_gives_all_back(void **state)
{
	kmem_thread_t *first;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, use_all_classes, NULL),
			 0);
	pthread_join(thread, NULL);
	first = record;
	assert_non_null(first);
	assert_ptr_not_equal(first, kmem_thread_self);
	assert_int_equal(first->th_tid, 0);
	assert_int_equal(rounds_of(first), 0);
	/* and the next one takes its record over */
	for (int i = 0; i < 100; i++) {
		assert_int_equal(
			pthread_create(&thread, NULL, use_all_classes, NULL),
			0);
		pthread_join(thread, NULL);
		assert_ptr_equal(record, first);
	}
	assert_int_equal(check_all(), 0);
}

static pthread_key_t late_key;
static int nlate;

static void late(void *p)
{
	put(p);
	p = get(48); /* past the bins if they are gone */
	memset(p, 1, 48);
	put(p);
	if (++nlate < 3)
		pthread_setspecific(late_key, get(64));
}

static void *end_late(void *arg)
{
	pthread_setspecific(late_key, get(64));
	return arg;
}

static void destructors_may_use_memory_after_ours(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_key_create(&late_key, late), 0);
	assert_int_equal(pthread_create(&thread, NULL, end_late, NULL), 0);
	pthread_join(thread, NULL);
	assert_int_equal(nlate, 3);
	for (kmem_thread_t *th = kmem_threads; th; th = th->th_next)
		if (th != kmem_thread_self)
			assert_int_equal(rounds_of(th), 0);
	assert_int_equal(check_all(), 0);
}

/* ---- fork ---- */

static void *hold_some(void *arg)
{
	pthread_barrier_t *barrier = arg;

	use_all_classes(NULL);
	pthread_barrier_wait(barrier); /* forks now */
	pthread_barrier_wait(barrier);
	return NULL;
}

static int child_is_sound(void)
{
	kmem_thread_t *other = record;
	pthread_t thread;

	if (other->th_tid != 0 || rounds_of(other) == 0)
		return 1;
	if (pthread_create(&thread, NULL, use_all_classes, NULL) != 0)
		return 2;
	pthread_join(thread, NULL);
	if (record != other || rounds_of(other) != 0)
		return 3;
	kmem_reap();
	return check_all() ? 4 : 0;
}

static void a_child_takes_over_what_other_threads_had(void **state)
{
	pthread_barrier_t barrier;
	pthread_t thread;
	int status;
	pid_t pid;

	(void)state;
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&thread, NULL, hold_some, &barrier);
	pthread_barrier_wait(&barrier);
	assert_true(rounds_of(record) > 0);
	pid = fork();
	if (pid == 0)
		_exit(child_is_sound());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_not_equal(record->th_tid, 0);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
}

static void a_reap_empties_what_nobody_has(void **state)
{
	(void)state;
	use_all_classes(NULL);
	kmem_reap();
	for (kmem_thread_t *th = kmem_threads; th; th = th->th_next)
		assert_int_equal(rounds_of(th), 0);
	assert_int_equal(check_all(), 0);
}

/* ---- signals ---- */

static volatile sig_atomic_t nsignals, nbad;

static void on_alarm(int signo)
{
	unsigned char *p[3];

	(void)signo;
	for (int i = 0; i < 3; i++) {
		p[i] = get(64);
		memset(p[i], 0x50 + i, 64);
	}
	for (int i = 0; i < 3; i++) {
		if (p[i][0] != 0x50 + i || p[i][63] != 0x50 + i)
			nbad++;
		put(p[i]);
	}
	nsignals++;
}

/* The bin is deep enough that this thread never leaves it, so that the handler
 * comes between the two halves of a pop or a push only. */
static void a_handler_that_comes_between_corrupts_nothing(void **state)
{
	struct itimerval often = {{0, 50}, {0, 50}};
	struct itimerval never = {{0, 0}, {0, 0}};
	unsigned char *p[64];

	(void)state;
	for (int i = 0; i < 64; i++)
		p[i] = get(64);
	for (int i = 0; i < 64; i++)
		put(p[i]);
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &often, NULL);
	while (nsignals < 2000) {
		for (int i = 0; i < 8; i++) {
			p[i] = get(64);
			memset(p[i], i, 64);
		}
		for (int i = 0; i < 8; i++) {
			if (p[i][0] != i || p[i][63] != i)
				nbad++;
			put(p[i]);
		}
	}
	setitimer(ITIMER_REAL, &never, NULL);
	assert_int_equal(nbad, 0);
	assert_int_equal(kmem_thread_self->th_busy, 0);
	assert_int_equal(check_all(), 0);
}

/* ---- a fork while other threads make and unmake slabs ---- */

#define NCHURN     2
#define CHURN_SIZE 5000

static int churn_is_over;

static void *churn_slabs(void *arg)
{
	kmem_cache_t *cp = arg;
	void *p[40];

	while (!__atomic_load_n(&churn_is_over, __ATOMIC_RELAXED)) {
		for (int i = 0; i < 40; i++)
			p[i] = kmem_cache_alloc(cp, KM_SLEEP);
		for (int i = 0; i < 40; i++)
			kmem_cache_free(cp, p[i]);
	}
	return NULL;
}

/* bytes of memory for slabs that are no slab's */
static size_t slabs_lost(void)
{
	size_t bytes = vmem_size(kmem_default_arena, VMEM_ALLOC);

	for (kmem_cache_t *cp = kmem_null_cache.cache_next;
	     cp != &kmem_null_cache; cp = cp->cache_next)
		if (cp->cache_arena == kmem_default_arena)
			bytes -= cp->cache_slabsize *
				 (cp->cache_complete_slab_count +
				  cp->cache_partial_slab_count);
	return bytes;
}

/* what another thread has in its hands at that moment, and no more, is nobody's
 * in the child; all else is whole there, and goes on */
static void a_child_loses_a_slab_a_thread_at_most(void **state)
{
	kmem_cache_t *cp =
		kmem_cache_create("t_churn", CHURN_SIZE, 0, NULL, NULL, NULL,
				  NULL, NULL, KMC_NOMAGAZINE);
	size_t most = 0, before = slabs_lost();
	pthread_t thread[NCHURN];

	(void)state;
	assert_int_equal(before, 0);
	for (int i = 0; i < NCHURN; i++)
		assert_int_equal(
			pthread_create(&thread[i], NULL, churn_slabs, cp), 0);
	for (int i = 0; i < 300; i++) {
		int status = -1;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			size_t lost = slabs_lost();
			void *p = kmem_cache_alloc(cp, KM_NOSLEEP);

			if (!p || lost % KMEM_PAGE || check_all() != 0)
				_exit(255);
			kmem_cache_free(cp, p);
			_exit((int)(lost / cp->cache_slabsize));
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_not_equal(WEXITSTATUS(status), 255);
		if ((size_t)WEXITSTATUS(status) > most)
			most = (size_t)WEXITSTATUS(status);
	}
	__atomic_store_n(&churn_is_over, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < NCHURN; i++)
		pthread_join(thread[i], NULL);
	assert_true(most <= NCHURN);
	assert_int_equal(slabs_lost(), 0);
	kmem_cache_destroy(cp);
	fprintf(stderr, "# most slabs a child lost: %zu\n", most);
}

static void a_busy_record_is_left_alone(void **state)
{
	void *p = get(64);
	unsigned rounds = bin_of(64)->tb_rounds;
	void *q;

	(void)state;
	kmem_thread_self->th_busy = 1;
	q = get(64);
	assert_ptr_not_equal(p, q);
	put(q);
	kmem_reap();
	assert_int_equal(bin_of(64)->tb_rounds, rounds);
	kmem_thread_self->th_busy = 0;
	put(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_freed_is_given_out_next),
		cmocka_unit_test(a_bin_counts_what_was_taken),
		cmocka_unit_test(bins_grow_to_their_limit_and_no_more),
		cmocka_unit_test(a_bin_takes_the_starts_of_buffers_only),
		cmocka_unit_test(a_thread_that_ends_gives_all_back),
		cmocka_unit_test(destructors_may_use_memory_after_ours),
		cmocka_unit_test(a_child_takes_over_what_other_threads_had),
		cmocka_unit_test(a_reap_empties_what_nobody_has),
		cmocka_unit_test(a_handler_that_comes_between_corrupts_nothing),
		cmocka_unit_test(a_busy_record_is_left_alone),
		cmocka_unit_test(a_child_loses_a_slab_a_thread_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
