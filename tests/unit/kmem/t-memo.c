/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A stack that is recognised is the one a walk would find; and the clock that
 * stamps transactions. */
#define _GNU_SOURCE
#include "check.h"
#include "kmem_short.h"

#include <pthread.h>
#include <time.h>

#define NOINLINE __attribute__((noinline, noclone))

static unsigned seed = 417;
static int nchecked;

static void NOINLINE compare(void)
{
	uintptr_t pcs[KMEM_STACK_DEPTH];
	uint32_t id = kmem_stack_capture();
	unsigned n = kmem_unwind(pcs, kmem_options.stack_depth - 1, 0);
	const kmem_stack_t *stack = kmem_stack_get(id);

	assert_non_null(stack);
	/* the stored one begins in here */
	assert_int_equal(stack->st_depth, n + 1);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(stack->st_pc[i + 1], pcs[i]);
	nchecked++;
}

static void NOINLINE narrow(int depth);
static void NOINLINE wide(int depth);
static void NOINLINE variable(int depth);

static void NOINLINE step(int depth)
{
	switch (depth <= 0 ? 3 : next_random(&seed) % 5) {
	case 0:
		narrow(depth - 1);
		break;
	case 1:
		wide(depth - 1);
		break;
	case 2:
		variable(depth - 1);
		break;
	case 3:
		compare();
		break;
	default:
		compare();
		step(depth - 1);
	}
	__asm__ volatile("" ::: "memory");
}

static void NOINLINE narrow(int depth)
{
	step(depth);
	__asm__ volatile("" ::: "memory");
	step(depth - 3);
	__asm__ volatile("" ::: "memory");
}

static void NOINLINE wide(int depth)
{
	volatile char room[200];

	room[0] = 0;
	step(depth);
	(void)room[0];
}

static void NOINLINE variable(int depth)
{
	/* a frame that needs rbp */
	volatile char *room = __builtin_alloca(16 + next_random(&seed) % 64);

	room[0] = 0;
	step(depth);
	(void)room[0];
}

static void *run_chains(void *arg)
{
	for (int i = 0; i < 30000; i++)
		step((int)(next_random(&seed) % 12));
	return arg;
}

static void a_stack_recognised_is_the_one_that_is_there(void **state)
{
	pthread_t thread;

	(void)state;
	(void)kmem_alloc(1, KM_SLEEP); /* brings all up */
	run_chains(NULL);
	/* a second pass meets the entries of the first */
	seed = 417;
	run_chains(NULL);
	pthread_create(&thread, NULL, run_chains, NULL);
	pthread_join(thread, NULL);
	assert_true(nchecked > 90000);
}

static void what_is_forgotten_is_walked_again(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		compare();
		kmem_unwind_flush();
		compare();
	}
}

/* ---- the clock ---- */

static hrtime_t clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (hrtime_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void time_goes_on_with_the_systems_clock(void **state)
{
	hrtime_t end = clock_now() + 1200000000;
	hrtime_t last = kmem_now();
	hrtime_t before, now, after;

	(void)state;
	do {
		for (int i = 0; i < 1000; i++) {
			now = kmem_now();
			assert_true(now >= last);
			last = now;
		}
		before = clock_now();
		now = kmem_now();
		after = clock_now();
		assert_true(now >= before - 1000000);
		assert_true(now <= after + 1000000);
		last = now > last ? now : last;
	} while (after < end);
}

static void time_goes_on_after_a_pause(void **state)
{
	hrtime_t before;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct timespec pause = {0, 700000000};

		before = clock_now();
		assert_true(kmem_now() >= before - 1000000);
		nanosleep(&pause, NULL);
		assert_true(kmem_now() >= before + 699000000);
		assert_true(kmem_now() <= clock_now() + 1000000);
	}
}

static void stamps_are_in_order_and_go_on_with_time(void **state)
{
	struct timespec pause = {0, 30000000};
	hrtime_t tick = 11000000; /* at most 100 a second, and some */
	hrtime_t last = 0;
	hrtime_t now;

	(void)state;
	kmem_free(kmem_alloc(8, KM_SLEEP), 8);
	assert_non_null(kmem_thread_memo());
	assert_non_null(kmem_thread_self);
	for (int i = 0; i < 20; i++) {
		for (int k = 0; k < 1000 + i; k++) {
			now = kmem_stamp_after(kmem_thread_self, 0);
			assert_true(now > last);
			last = now;
		}
		assert_true(now >= clock_now() - tick);
		assert_true(now <= clock_now() + tick);
		nanosleep(&pause, NULL);
		now = kmem_stamp_after(kmem_thread_self, 0);
		assert_true(now - last > pause.tv_nsec - tick);
		/* another thread's may be later */
		last = kmem_stamp_after(kmem_thread_self, now + 1000);
		assert_true(last > now + 1000);
		assert_true(kmem_stamp_after(NULL, last + tick) > last + tick);
	}
}

static void *stamps_of_a_thread(void *arg)
{
	hrtime_t start = clock_now() - 1000000;

	(void)arg;
	kmem_free(kmem_alloc(8, KM_SLEEP), 8);
	assert_non_null(kmem_thread_memo());
	for (int i = 0; i < 1000; i++) {
		hrtime_t before = clock_now();
		hrtime_t now = kmem_stamp_after(kmem_thread_self, 0);
		/* what another one knows is no reason to be late */
		assert_true(now >= before - 1000000);
		assert_true(now <= clock_now() + 1000000);
	}
	/* a stamp that was written over does no lasting harm */
	(void)kmem_stamp_after(kmem_thread_self, INT64_MAX / 2);
	assert_true(kmem_stamp_after(kmem_thread_self, 0) <=
		    clock_now() + 1000000);
	assert_true(kmem_stamp_after(NULL, INT64_MAX / 2) <=
		    clock_now() + 1000000);
	assert_true(kmem_stamp_after(kmem_thread_self, INT64_MAX) <=
		    clock_now() + 1000000);
	assert_true(kmem_stamp_after(NULL, INT64_MIN) >= start);
	return NULL;
}

static void threads_stamp_what_they_do_in_its_order(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(
		pthread_create(&thread, NULL, stamps_of_a_thread, NULL), 0);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* first: while there is one thread */
		cmocka_unit_test(stamps_are_in_order_and_go_on_with_time),
		cmocka_unit_test(a_stack_recognised_is_the_one_that_is_there),
		cmocka_unit_test(what_is_forgotten_is_walked_again),
		cmocka_unit_test(threads_stamp_what_they_do_in_its_order),
		cmocka_unit_test(time_goes_on_with_the_systems_clock),
		cmocka_unit_test(time_goes_on_after_a_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
