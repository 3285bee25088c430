/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a thread that stops the allocator finds, and what it may be stopped in:
 * forks, callbacks, reports, handlers that jump. */
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/single_threaded.h>
#include <sys/time.h>
#include <sys/wait.h>

#define NTHREADS 3

static volatile int is_over;

/* the status of a child that does something; a hang is ended by SIGALRM */
static int status_of(void (*func)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(20);
		func();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void *churn(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	void *slot[16] = {0};

	while (!is_over) {
		unsigned at = next_random(&seed) % 16;

		kmem_free_impl(slot[at], KMEM_KIND_MALLOC);
		slot[at] = kmem_malloc_impl(next_random(&seed) % 300, 0,
					    KMEM_KIND_MALLOC);
	}
	for (int i = 0; i < 16; i++)
		kmem_free_impl(slot[i], KMEM_KIND_MALLOC);
	return NULL;
}

static void start(pthread_t *threads, void *(*func)(void *))
{
	is_over = 0;
	for (uintptr_t i = 0; i < NTHREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, func, (void *)i), 0);
}

static void stop(pthread_t *threads)
{
	is_over = 1;
	for (int i = 0; i < NTHREADS; i++)
		(void)pthread_join(threads[i], NULL);
}

/* buffers of a slab whose tag and content do not agree */
static int half_done(kmem_cache_t *cp, kmem_slab_t *sp)
{
	int n = 0;

	for (uint32_t i = 0; i < sp->slab_chunks; i++) {
		char *buf = (char *)sp->slab_base + i * cp->cache_chunksize;
		kmem_buftag_t *btp = kmem_buftag_of(cp, buf);
		uintptr_t stat =
			(uintptr_t)btp->bt_bufctl ^ (uintptr_t)btp->bt_bxstat;

		if (stat == KMEM_BUFTAG_FREE)
			n += kmem_pattern_verify(KMEM_FREE_PATTERN, buf,
						 cp->cache_verify) != NULL;
		else
			n += stat != KMEM_BUFTAG_ALLOC ||
			     kmem_size_marked(cp, buf) == SIZE_MAX;
	}
	return n;
}

static int all_half_done(void)
{
	kmem_cache_t *cp;
	int n = 0;

	for (cp = kmem_null_cache.cache_next; cp != &kmem_null_cache;
	     cp = cp->cache_next) {
		if (!(cp->cache_cflags & KMC_KMEM_ALLOC))
			continue;
		for (kmem_slab_t *sp = cp->cache_partial_slabs; sp;
		     sp = sp->slab_next)
			n += half_done(cp, sp);
		for (kmem_slab_t *sp = cp->cache_complete_slabs; sp;
		     sp = sp->slab_next)
			n += half_done(cp, sp);
	}
	return n;
}

static void no_buffer_is_half_done_while_all_is_held(void **state)
{
	pthread_t threads[NTHREADS];
	int n = 0;

	(void)state;
	start(threads, churn);
	for (int i = 0; i < 300; i++) {
		usleep(200);
		assert_int_equal(kmem_lock_all(5000), 0);
		n += all_half_done();
		kmem_unlock_all();
	}
	stop(threads);
	assert_int_equal(n, 0);
}

static void a_transaction_of_ones_own_is_no_heap_at_rest(void **state)
{
	(void)state;
	kmem_gate_enter();
	assert_int_equal(kmem_lock_all(10), -1);
	assert_int_equal(kmem_lock_all(-1), 0); /* but a fork goes on */
	kmem_unlock_all();
	kmem_gate_exit();
	assert_int_equal(kmem_lock_all(10), 0);
	kmem_unlock_all();
}

static void *stay_inside(void *arg)
{
	(void)arg;
	kmem_gate_enter();
	while (!is_over)
		usleep(1000);
	kmem_gate_exit();
	return NULL;
}

static void who_never_leaves_stops_no_fork(void **state)
{
	pthread_t threads[NTHREADS];
	hrtime_t then;

	(void)state;
	start(threads, stay_inside);
	usleep(20000);
	assert_int_equal(kmem_lock_all(20), -1);
	then = kmem_now();
	for (int i = 0; i < 20; i++) {
		assert_int_equal(kmem_lock_all(-1), 0);
		kmem_unlock_all();
	}
	assert_true(kmem_now() - then < (hrtime_t)3 * 1000000000);
	stop(threads);
	assert_int_equal(kmem_lock_all(20), 0);
	kmem_unlock_all();
}

/* ---- callbacks ---- */

static int nreclaims, nchildren;
static kmem_cache_t *doomed[2];

static void fork_in_reclaim(void *priv)
{
	int status = -1;
	pid_t pid;

	(void)priv;
	nreclaims++;
	pid = fork();
	if (pid == 0) {
		kmem_reap();
		_exit(kmem_alloc(100, KM_SLEEP) ? 7 : 8);
	}
	(void)waitpid(pid, &status, 0);
	nchildren += WIFEXITED(status) && WEXITSTATUS(status) == 7;
}

static void reap_with_a_fork(void)
{
	kmem_cache_t *cp = kmem_cache_create("forker", 40, 0, NULL, NULL,
					     fork_in_reclaim, NULL, NULL, 0);

	kmem_reap();
	kmem_cache_destroy(cp);
	_exit(nreclaims == 1 && nchildren == 1 ? 0 : 1);
}

static void a_reclaim_callback_may_fork(void **state)
{
	(void)state;
	assert_int_equal(status_of(reap_with_a_fork), 0);
}

static void destroy_in_reclaim(void *priv)
{
	(void)priv;
	nreclaims++;
	kmem_cache_destroy(doomed[1]);
	kmem_cache_destroy(doomed[0]); /* the one whose turn it is */
}

static void reap_with_a_destroy(void)
{
	doomed[1] = kmem_cache_create("other", 40, 0, NULL, NULL, NULL, NULL,
				      NULL, 0);
	doomed[0] = kmem_cache_create("suicide", 48, 0, NULL, NULL,
				      destroy_in_reclaim, NULL, NULL, 0);
	kmem_reap();
	if (nreclaims != 1 || cache_named("suicide") || cache_named("other"))
		_exit(1);
	kmem_reap();
	_exit(nreclaims == 1 && check_all() == 0 ? 0 : 2);
}

static void a_reclaim_callback_may_destroy_caches(void **state)
{
	(void)state;
	assert_int_equal(status_of(reap_with_a_destroy), 0);
}

static volatile int is_in_turn, is_turn_over;

static void take_long(void *priv)
{
	(void)priv;
	is_in_turn = 1;
	usleep(100000);
	is_turn_over = 1;
}

static void *reap(void *arg)
{
	kmem_reap();
	return arg;
}

static void a_cache_is_not_destroyed_in_its_turn(void **state)
{
	kmem_cache_t *cp = kmem_cache_create("slow", 40, 0, NULL, NULL,
					     take_long, NULL, NULL, 0);
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, reap, NULL), 0);
	while (!is_in_turn)
		usleep(100);
	kmem_cache_destroy(cp);
	assert_true(is_turn_over);
	(void)pthread_join(thread, NULL);
	assert_null(cache_named("slow"));
}

/* ---- reports ---- */

static void *report(void *arg)
{
	char *p = kmem_malloc_impl(300000, 0, KMEM_KIND_MALLOC);

	while (!is_over) {
		kmem_free_impl(p + 8192, KMEM_KIND_MALLOC);
		usleep(100); /* the lock is not fair */
	}
	kmem_free_impl(p, KMEM_KIND_MALLOC);
	return arg;
}

static void fork_beside_reports(void)
{
	pthread_t threads[NTHREADS];

	start(threads, report);
	for (int i = 0; i < 300; i++) {
		assert_int_equal(kmem_lock_all(-1), 0);
		kmem_unlock_all();
	}
	stop(threads);
}

static void reports_and_forks_do_not_wait_for_each_other(void **state)
{
	(void)state;
	assert_int_equal(status_of(fork_beside_reports), 0);
	assert_int_equal(kmem_panic_info.kmp_timestamp, 0);
}

static void wait_in_handler(void)
{
	vmem_t *vmp = vmem_create("full", (void *)1, 1, 1, NULL, NULL, NULL, 0,
				  VM_SLEEP);

	(void)vmem_alloc(vmp, 1, VM_SLEEP);
	(void)kmem_lock_all(-1);
	(void)vmem_alloc(vmp, 1, VM_SLEEP);
}

static void a_wait_that_cannot_end_is_a_panic(void **state)
{
	int status;

	(void)state;
	status = status_of(wait_in_handler);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* ---- what outlives a jump, or a child ---- */

static sigjmp_buf jump;
static volatile int is_armed;

static void on_alarm(int signo)
{
	(void)signo;
	if (is_armed)
		siglongjmp(jump, 1);
}

static void jump_out_of_captures(void)
{
	struct itimerval often = {{0, 300}, {0, 300}};
	volatile int njumps = 0;

	(void)signal(SIGPROF, on_alarm);
	(void)setitimer(ITIMER_PROF, &often, NULL);
	if (sigsetjmp(jump, 1)) {
		is_armed = 0;
		if (kmem_stack_capture() == 0)
			_exit(1);
		if (++njumps == 200)
			_exit(0);
	}
	is_armed = 1;
	for (;;)
		if (kmem_stack_capture() == 0)
			_exit(2);
}

static void a_capture_left_by_a_jump_is_forgotten(void **state)
{
	(void)state;
	assert_int_equal(status_of(jump_out_of_captures), 0);
}

static volatile int nforks, is_child;

static void fork_on_alarm(int signo)
{
	int status = -1;
	pid_t pid = fork();

	(void)signo;
	if (pid == 0) {
		is_child = 1;
		return;
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		_exit(1);
	nforks++;
}

static void fork_in_handlers(void)
{
	struct itimerval often = {{0, 1000}, {0, 1000}};
	unsigned seed = 1;
	static void *slot[1024];

	if (!__libc_single_threaded)
		_exit(2);
	(void)signal(SIGPROF, fork_on_alarm);
	(void)setitimer(ITIMER_PROF, &often, NULL);
	while (nforks < 100 && !is_child) {
		unsigned at = next_random(&seed) % 1024;

		kmem_free_impl(slot[at], KMEM_KIND_MALLOC);
		slot[at] = kmem_malloc_impl(next_random(&seed) % 9000, 0,
					    KMEM_KIND_MALLOC);
	}
	often = (struct itimerval){{0, 0}, {0, 0}};
	(void)setitimer(ITIMER_PROF, &often, NULL);
	if (check_all() != 0)
		_exit(3);
}

static void the_only_thread_may_fork_in_a_handler(void **state)
{
	(void)state;
	assert_int_equal(status_of(fork_in_handlers), 0);
}

static void *tids(void *arg)
{
	pid_t pid = vfork();

	(void)arg;
	if (pid == 0)
		_exit(kmem_tid() == (uint32_t)getpid() ? 0 : 1);
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	return (void *)(uintptr_t)(kmem_tid() == (uint32_t)gettid());
}

static void a_vforked_child_leaves_no_thread_id(void **state)
{
	void *is_own = NULL;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, tids, NULL), 0);
	(void)pthread_join(thread, &is_own);
	assert_non_null(is_own);
}

static void all_is_consistent_in_the_end(void **state)
{
	(void)state;
	assert_int_equal(check_all(), 0);
}

static int in_reclaim; /* atomic: 1 it waits, 2 it may go on */

static void wait_in_reclaim(void *priv)
{
	(void)priv;
	__atomic_store_n(&in_reclaim, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&in_reclaim, __ATOMIC_ACQUIRE) == 1)
		usleep(1000);
}

static void *reap_all(void *arg)
{
	kmem_reap_all();
	return arg;
}

/* the round of a thread that a child has not closes no magazines there */
static void a_child_has_magazines(void **state)
{
	kmem_cache_t *cp = kmem_cache_create("reaped", 64, 0, NULL, NULL,
					     wait_in_reclaim, NULL, NULL, 0);
	int32_t size = cp->cache_cpu[0].cc_magsize;
	pthread_t thread;
	int status = 1;
	pid_t pid;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, reap_all, NULL), 0);
	while (__atomic_load_n(&in_reclaim, __ATOMIC_ACQUIRE) != 1)
		usleep(1000);
	pid = fork();
	if (pid == 0)
		_exit(cp->cache_cpu[0].cc_magsize != size);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	__atomic_store_n(&in_reclaim, 2, __ATOMIC_RELEASE);
	(void)pthread_join(thread, NULL);
	assert_int_equal(status, 0);
	assert_true(size > 0);
	kmem_cache_destroy(cp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* before there are threads */
		cmocka_unit_test(the_only_thread_may_fork_in_a_handler),
		cmocka_unit_test(no_buffer_is_half_done_while_all_is_held),
		cmocka_unit_test(a_transaction_of_ones_own_is_no_heap_at_rest),
		cmocka_unit_test(who_never_leaves_stops_no_fork),
		cmocka_unit_test(a_reclaim_callback_may_fork),
		cmocka_unit_test(a_reclaim_callback_may_destroy_caches),
		cmocka_unit_test(a_cache_is_not_destroyed_in_its_turn),
		cmocka_unit_test(reports_and_forks_do_not_wait_for_each_other),
		cmocka_unit_test(a_wait_that_cannot_end_is_a_panic),
		cmocka_unit_test(a_capture_left_by_a_jump_is_forgotten),
		cmocka_unit_test(a_vforked_child_leaves_no_thread_id),
		cmocka_unit_test(all_is_consistent_in_the_end),
		cmocka_unit_test(a_child_has_magazines),
	};
	int null = open("/dev/null", O_WRONLY);

	alarm(100);
	setenv("KMEM_DEBUG", "default,noabort", 1);
	kmem_init();
	if (!getenv("SHOW_REPORTS"))
		(void)dup2(null, STDERR_FILENO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
