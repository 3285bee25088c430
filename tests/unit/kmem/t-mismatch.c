/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of frees that do not fit the allocation: pairs are recorded once
 * and counted, what finds no room is counted all the same, nothing is lost
 * between threads or overwritten. */
#include "check.h"
#include "kmem_internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define PAIRS (4 * KMEM_MISMATCH_MAX)

static size_t used(uint64_t *ret_counted)
{
	size_t n = 0;

	*ret_counted = 0;
	for (size_t i = 0; i < KMEM_MISMATCH_MAX; i++) {
		const kmem_mismatch_t *m = &kmem_mismatch_log.mml_pair[i];

		n += m->mm_count > 0;
		*ret_counted += m->mm_count;
	}
	return n;
}

static const kmem_mismatch_t *find(const void *buf)
{
	for (size_t i = 0; i < KMEM_MISMATCH_MAX; i++)
		if (kmem_mismatch_log.mml_pair[i].mm_alloc.bc_addr == buf)
			return &kmem_mismatch_log.mml_pair[i];
	return NULL;
}

static int start(void **state)
{
	(void)state;
	memset(&kmem_mismatch_log, 0, sizeof(kmem_mismatch_log));
	kmem_mismatches = 0;
	return 0;
}

/* The library is no object of its own here, and its own frames are part of
 * stacks: a thread's first buffers come by another way than those after, and
 * are freed as they should be. */
static void *free_as_malloc(void *arg)
{
	for (int i = 0; i < 4; i++)
		kmem_free_impl(kmem_malloc_impl(100, 0, KMEM_KIND_NEW),
			       KMEM_KIND_NEW);
	for (int i = 0; i < 100; i++) {
		void *p = kmem_malloc_impl(100, 0, KMEM_KIND_NEW);

		errno = 77;
		kmem_free_impl(p, KMEM_KIND_MALLOC);
		if (errno != 77)
			*(int *)arg = 1;
	}
	return NULL;
}

static void one_pair_is_counted(void **state)
{
	int is_bad = 0;
	const kmem_mismatch_t *m = NULL;
	uint64_t counted;

	(void)state;
	free_as_malloc(&is_bad);
	assert_int_equal(is_bad, 0);
	assert_int_equal(used(&counted), 1);
	assert_int_equal(counted, 100);
	assert_int_equal(kmem_mismatches, 100);
	for (size_t i = 0; i < KMEM_MISMATCH_MAX && !m; i++)
		if (kmem_mismatch_log.mml_pair[i].mm_count)
			m = &kmem_mismatch_log.mml_pair[i];
	assert_int_equal(m->mm_bytes, 100);
	assert_true(m->mm_freed_bytes == SIZE_MAX);
	assert_int_equal(m->mm_alloc.bc_kind, KMEM_KIND_NEW);
	assert_int_equal(m->mm_alloc.bc_what, KMEM_WHAT_ALLOC);
	assert_int_equal(m->mm_free.bc_kind, KMEM_KIND_MALLOC);
	assert_int_equal(m->mm_free.bc_what, KMEM_WHAT_FREE);
	assert_ptr_equal(m->mm_free.bc_lastlog, &m->mm_alloc);
	assert_ptr_equal(m->mm_free.bc_addr, m->mm_alloc.bc_addr);
	assert_int_not_equal(m->mm_alloc.bc_stack, 0);
	assert_int_not_equal(m->mm_free.bc_stack, 0);
	assert_int_not_equal(m->mm_free.bc_stack, m->mm_alloc.bc_stack);
	assert_true(m->mm_free.bc_timestamp > m->mm_alloc.bc_timestamp);
}

static void note(uint32_t stack)
{
	kmem_bufctl_audit_t alloc = {
		.bc_addr = (void *)(uintptr_t)(stack * 64),
		.bc_kind = KMEM_KIND_NEW,
		.bc_what = KMEM_WHAT_ALLOC,
		.bc_stack = stack,
	};

	kmem_mismatch(NULL, &alloc, 8, SIZE_MAX, KMEM_KIND_MALLOC);
}

static void a_full_table_stays_as_it_is(void **state)
{
	static kmem_mismatch_log_t before;
	uint64_t counted, then;
	size_t n;

	(void)state;
	for (uint32_t i = 1; i <= PAIRS; i++)
		note(i * 11);
	n = used(&counted);
	assert_true(n > KMEM_MISMATCH_MAX * 9 / 10);
	assert_int_equal(counted, n);
	assert_int_equal(kmem_mismatches, PAIRS);
	before = kmem_mismatch_log;
	/* the same again: those that are there count, no other comes */
	for (uint32_t i = 1; i <= PAIRS; i++)
		note(i * 11);
	assert_int_equal(used(&then), n);
	assert_int_equal(kmem_mismatches, 2 * PAIRS);
	for (size_t i = 0; i < KMEM_MISMATCH_MAX; i++) {
		const kmem_mismatch_t *a = &before.mml_pair[i];
		const kmem_mismatch_t *b = &kmem_mismatch_log.mml_pair[i];

		assert_ptr_equal(b->mm_alloc.bc_addr, a->mm_alloc.bc_addr);
		assert_true(b->mm_count >= a->mm_count);
	}
	/* each of the first pairs has its place: they found an empty table */
	for (uint32_t i = 1; i <= KMEM_MISMATCH_MAX / 4; i++)
		assert_non_null(find((void *)(uintptr_t)(i * 11 * 64)));
}

static void nothing_is_lost_between_threads(void **state)
{
	pthread_t threads[4];
	int is_bad[4] = {0};
	uint64_t counted;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						free_as_malloc, &is_bad[i]),
				 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(used(&counted), 1);
	assert_int_equal(counted, 400);
	assert_int_equal(kmem_mismatches, 400);
}

static int is_over;

static void *note_until_over(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED))
		note(11);
	return NULL;
}

/* a child has the table whole, and its lock free; the threads are outside the
 * gate, as frees of large buffers are */
static void a_child_goes_on(void **state)
{
	pthread_t threads[2];
	int is_bad = 0;

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						note_until_over, NULL),
				 0);
	for (int i = 0; i < 200; i++) {
		uint64_t counted;
		int status = -1;
		pid_t pid = fork();

		if (pid == 0) {
			(void)alarm(20);
			free_as_malloc(&is_bad);
			(void)used(&counted);
			_exit(counted == kmem_mismatches && counted >= 100 ? 7
									   : 8);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 7);
	}
	__atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

static void a_sized_delete_is_told_apart(void **state)
{
	uint64_t counted;
	void *small = kmem_malloc_impl(80, 0, KMEM_KIND_NEW);
	void *large = kmem_malloc_impl(300000, 0, KMEM_KIND_NEW);

	(void)state;
	kmem_free_sized_impl(small, 16, KMEM_KIND_NEW);
	kmem_free_sized_impl(large, 299999, KMEM_KIND_NEW);
	assert_int_equal(used(&counted), 2);
	assert_int_equal(find(small)->mm_bytes, 80);
	assert_int_equal(find(small)->mm_freed_bytes, 16);
	assert_int_equal(find(large)->mm_bytes, 300000);
	assert_int_equal(find(large)->mm_freed_bytes, 299999);
	assert_int_not_equal(find(large)->mm_alloc.bc_stack, 0);
	assert_int_equal(kmem_addr_oversize(large), 0); /* it was freed */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_pair_is_counted, start),
		cmocka_unit_test_setup(a_full_table_stays_as_it_is, start),
		cmocka_unit_test_setup(nothing_is_lost_between_threads, start),
		cmocka_unit_test_setup(a_child_goes_on, start),
		cmocka_unit_test_setup(a_sized_delete_is_told_apart, start),
	};

	setenv("KMEM_DEBUG", "default", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
