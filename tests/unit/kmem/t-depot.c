/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The stack depot: one id a stack, for ever, whoever interns it.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "kmem/kmem_impl.h"

#define CHUNK ((uint64_t)8 << KMEM_STACK_SHIFT)

/* stack number n, of 1 to 64 frames */
static unsigned make(uintptr_t *pcs, unsigned n)
{
	unsigned depth = n % KMEM_STACK_DEPTH + 1;
	unsigned i;

	for (i = 0; i < depth; i++)
		pcs[i] = 0x400000 + (uintptr_t)n * 16 + i;
	return depth;
}

static uint32_t intern(unsigned n)
{
	uintptr_t pcs[KMEM_STACK_DEPTH];

	return kmem_stack_intern(pcs, make(pcs, n));
}

static void check(unsigned n, uint32_t id)
{
	uintptr_t pcs[KMEM_STACK_DEPTH];
	unsigned depth = make(pcs, n);
	const kmem_stack_t *stack = kmem_stack_get(id);

	assert_non_null(stack);
	assert_int_equal(stack->st_depth, depth);
	assert_memory_equal(stack->st_pc, pcs, depth * sizeof(pcs[0]));
}

static void same_stack_same_id(void **state)
{
	uint32_t id = intern(1000);
	uint64_t used = kmem_stackdepot.sd_used;
	uint64_t count = kmem_stackdepot.sd_count;

	(void)state;
	assert_int_not_equal(id, 0);
	assert_int_equal(intern(1000), id);
	assert_int_equal(kmem_stackdepot.sd_used, used);
	assert_int_equal(kmem_stackdepot.sd_count, count);
	check(1000, id);
}

static void other_stack_other_id(void **state)
{
	uintptr_t pcs[] = {1, 2, 3, 4};
	uintptr_t end[] = {1, 2, 3, 5};
	uint32_t id[4];
	unsigned i;
	unsigned k;

	(void)state;
	id[0] = kmem_stack_intern(pcs, 4);
	id[1] = kmem_stack_intern(pcs, 3);
	id[2] = kmem_stack_intern(pcs + 1, 3);
	id[3] = kmem_stack_intern(end, 4);
	for (i = 0; i < 4; i++)
		for (k = 0; k < i; k++)
			assert_int_not_equal(id[i], id[k]);
}

static void takes_depths_from_one_to_the_limit(void **state)
{
	uintptr_t pcs[KMEM_STACK_DEPTH + 10] = {7, 8, 9};
	uint32_t id;

	(void)state;
	assert_int_equal(kmem_stack_intern(pcs, 0), 0);
	id = kmem_stack_intern(pcs, 1);
	assert_int_equal(kmem_stack_get(id)->st_depth, 1);
	id = kmem_stack_intern(pcs, KMEM_STACK_DEPTH);
	assert_int_equal(kmem_stack_get(id)->st_depth, KMEM_STACK_DEPTH);
	/* more is cut off at the outer end */
	assert_int_equal(kmem_stack_intern(pcs, KMEM_STACK_DEPTH + 10), id);
}

static void answers_null_for_what_is_no_id(void **state)
{
	uint32_t id = intern(5);

	(void)state;
	assert_non_null(kmem_stack_get(id));
	assert_null(kmem_stack_get(0));
	assert_null(kmem_stack_get(UINT32_MAX));
	assert_null(kmem_stack_get((uint32_t)(kmem_stackdepot.sd_used / 8)));
}

/* 30,000 stacks fill some eight chunks */
static void crosses_from_chunk_to_chunk(void **state)
{
	static uint32_t ids[30000];
	uint64_t first = kmem_stackdepot.sd_used / CHUNK;
	unsigned i;

	(void)state;
	for (i = 0; i < 30000; i++) {
		ids[i] = intern(i + 100000);
		assert_int_not_equal(ids[i], 0);
	}
	assert_true(kmem_stackdepot.sd_used / CHUNK >= first + 5);
	for (i = 0; i < 30000; i++) {
		uint64_t at = (uint64_t)ids[i] * 8;
		uint64_t last = at + sizeof(kmem_stack_t) +
				((i + 100000) % KMEM_STACK_DEPTH + 1) * 8 - 1;

		check(i + 100000, ids[i]);
		assert_int_equal(at / CHUNK, last / CHUNK);
		assert_int_equal(intern(i + 100000), ids[i]);
	}
}

/* so many that some share all 32 bits of their hash */
static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void tells_stacks_of_the_same_hash_apart(void **state)
{
	enum {
		N = 300000
	};
	static uint32_t ids[N];
	static uint32_t hashes[N];
	unsigned nsame = 0;
	uintptr_t pc;
	unsigned i;

	(void)state;
	for (i = 0; i < N; i++) {
		pc = 0x7f0000000000 + (uintptr_t)i * 5;
		ids[i] = kmem_stack_intern(&pc, 1);
	}
	for (i = 0; i < N; i++) {
		const kmem_stack_t *stack = kmem_stack_get(ids[i]);

		assert_true(stack->st_pc[0] ==
			    0x7f0000000000 + (uintptr_t)i * 5);
		hashes[i] = stack->st_hash;
	}
	qsort(hashes, N, sizeof(hashes[0]), by_value);
	for (i = 1; i < N; i++)
		nsame += hashes[i] == hashes[i - 1];
	/* about ten by chance; a hundred would be a bad hash */
	assert_in_range(nsame, 1, 100);
}

#define THREADS 6
#define STACKS  20000

static uint32_t seen[THREADS][STACKS];
static pthread_barrier_t together;

static void *intern_all(void *arg)
{
	uint32_t *mine = arg;
	unsigned i;

	pthread_barrier_wait(&together);
	for (i = 0; i < STACKS; i++)
		mine[i] = intern(i + 1000000);
	return NULL;
}

/* a race may store a stack twice, but both ids are good and one then wins */
static void threads_may_bring_the_same_stacks(void **state)
{
	pthread_t tid[THREADS];
	uint64_t before = kmem_stackdepot.sd_count;
	unsigned i;
	unsigned k;

	(void)state;
	pthread_barrier_init(&together, NULL, THREADS);
	for (k = 0; k < THREADS; k++)
		assert_int_equal(
			pthread_create(&tid[k], NULL, intern_all, seen[k]), 0);
	for (k = 0; k < THREADS; k++)
		pthread_join(tid[k], NULL);
	for (i = 0; i < STACKS; i++) {
		uint32_t id = intern(i + 1000000);

		for (k = 0; k < THREADS; k++)
			assert_int_equal(seen[k][i], id);
		check(i + 1000000, id);
	}
	assert_int_equal(kmem_stackdepot.sd_count, before + STACKS);
	assert_int_equal(kmem_stackdepot.sd_dropped, 0);
}

static void a_forked_child_has_it_and_adds_to_it(void **state)
{
	uint32_t id = intern(77);
	int status = -1;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0)
		_exit(intern(77) == id && intern(2000001) != 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_stack_same_id),
		cmocka_unit_test(other_stack_other_id),
		cmocka_unit_test(takes_depths_from_one_to_the_limit),
		cmocka_unit_test(answers_null_for_what_is_no_id),
		cmocka_unit_test(crosses_from_chunk_to_chunk),
		cmocka_unit_test(tells_stacks_of_the_same_hash_apart),
		cmocka_unit_test(threads_may_bring_the_same_stacks),
		cmocka_unit_test(a_forked_child_has_it_and_adds_to_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
