/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Resource maps: the worked example, a shadow, loss by overflow, waiting. */
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "rmap.h"

/* what is free, as text, found out by asking for it */
static const char *contents(struct map *mp)
{
	static char text[400];
	unsigned long start[50];
	size_t size[50];
	size_t used = 0;
	int n = 0;

	text[0] = '\0';
	rm_lock(mp);
	for (unsigned long a = 1; a < 200; a++) {
		if (!rmget(mp, 1, a))
			continue;
		if (n > 0 && start[n - 1] + size[n - 1] == a) {
			size[n - 1]++;
		} else {
			start[n] = a;
			size[n++] = 1;
		}
	}
	rm_unlock(mp);
	for (int i = 0; i < n; i++) {
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "%s%lu@%lu", i ? "," : "",
					 (unsigned long)size[i], start[i]);
		rmfree(mp, size[i], start[i]);
	}
	return text;
}

static void the_worked_example_holds(void **state)
{
	struct map *mp = rmallocmap(4);

	(void)state;
	assert_string_equal(contents(mp), "");
	rmfree(mp, 100, 1);
	assert_string_equal(contents(mp), "100@1");
	assert_int_equal(rmalloc(mp, 10), 1);
	assert_string_equal(contents(mp), "90@11");
	assert_int_equal(rmalloc(mp, 20), 11);
	assert_string_equal(contents(mp), "70@31");
	rmfree(mp, 10, 1);
	assert_string_equal(contents(mp), "10@1,70@31");
	assert_int_equal(rmalloc(mp, 15), 31);
	assert_string_equal(contents(mp), "10@1,55@46");
	rmfree(mp, 20, 11);
	assert_string_equal(contents(mp), "30@1,55@46");
	rmfree(mp, 15, 31);
	assert_string_equal(contents(mp), "100@1");
	rmfreemap(mp);
}

static void what_is_not_there_is_not_given(void **state)
{
	struct map *mp = rmallocmap_wait(8);

	(void)state;
	assert_int_equal(rmalloc(mp, 1), 0);
	rmfree(mp, 10, 100);
	assert_int_equal(rmalloc(mp, 11), 0);
	assert_int_equal(rmalloc(mp, 0), 0);
	assert_int_equal(rmalloc(mp, 10), 100);
	assert_int_equal(rmalloc(mp, 1), 0);
	assert_null(rmallocmap(0));
	assert_null(rmallocmap(SIZE_MAX / 2));
	rmfreemap(mp);
	rmfreemap(NULL);
}

static void a_given_range_is_taken_out_of_the_middle(void **state)
{
	struct map *mp = rmallocmap(2);

	(void)state;
	rmfree(mp, 100, 1);
	rm_lock(mp);
	assert_int_equal(rmget(mp, 10, 50), 50);
	assert_int_equal(rmget(mp, 10, 45), 0); /* not all of it is free */
	assert_int_equal(rmget(mp, 10, 95), 0); /* beyond the end */
	assert_int_equal(rmget(mp, 5, 20), 0);  /* no slot for the rest */
	assert_int_equal(rmget(mp, 5, 1), 1);
	assert_int_equal(rmget(mp, 5, 96), 96);
	assert_int_equal(rmget(mp, 44, 6), 6);
	assert_int_equal(rmalloc_locked(mp, 36), 60);
	assert_int_equal(rmalloc_locked(mp, 1), 0);
	rm_unlock(mp);
	rmfreemap(mp);
}

/* What is said while a range is freed. */
static const char *said_of(struct map *mp, size_t size, unsigned long addr)
{
	static char text[200];
	int fd[2], err;
	ssize_t n;

	assert_int_equal(pipe(fd), 0);
	err = dup(STDERR_FILENO);
	(void)dup2(fd[1], STDERR_FILENO);
	kmem_options.is_verbose = 1;
	rmfree(mp, size, addr);
	kmem_options.is_verbose = 0;
	(void)dup2(err, STDERR_FILENO);
	(void)close(fd[1]);
	(void)close(err);
	n = read(fd[0], text, sizeof(text) - 1);
	(void)close(fd[0]);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void an_overflow_loses_the_smaller_of_the_last_two(void **state)
{
	struct map *mp = rmallocmap(3);
	struct map *one = rmallocmap(1);

	(void)state;
	rmfree(mp, 2, 10);
	rmfree(mp, 20, 20);
	rmfree(mp, 5, 50);
	/* the new one is last and smaller than the one before it */
	assert_string_equal(said_of(mp, 3, 60),
			    "kmem: rmap overflow, lost [60, 63]\n");
	/* it is last and larger */
	assert_string_equal(said_of(mp, 7, 60),
			    "kmem: rmap overflow, lost [50, 55]\n");
	assert_string_equal(contents(mp), "2@10,20@20,7@60");
	/* it is last but one, and smaller than the last */
	assert_string_equal(said_of(mp, 3, 50),
			    "kmem: rmap overflow, lost [50, 53]\n");
	/* it is neither: the last is smaller than the one before it */
	assert_string_equal(said_of(mp, 1, 1),
			    "kmem: rmap overflow, lost [60, 67]\n");
	assert_string_equal(contents(mp), "1@1,2@10,20@20");
	/* a neighbour needs no slot */
	assert_string_equal(said_of(mp, 7, 3), "");
	assert_string_equal(contents(mp), "1@1,9@3,20@20");
	rmfree(one, 5, 10);
	assert_string_equal(said_of(one, 6, 1),
			    "kmem: rmap overflow, lost [10, 15]\n");
	assert_string_equal(said_of(one, 2, 20),
			    "kmem: rmap overflow, lost [20, 22]\n");
	assert_string_equal(contents(one), "6@1");
	rmfreemap(one);
	rmfreemap(mp);
}

static void every_map_can_be_found(void **state)
{
	struct map *a = rmallocmap(2), *b = rmallocmap_wait(3);

	(void)state;
	assert_ptr_equal(kmem_rmaps, b);
	assert_ptr_equal(b->m_next, a);
	rmfree(a, 5, 7);
	assert_int_equal(a->m_nused, 1);
	assert_int_equal(a->m_map[0].m_addr, 7);
	assert_int_equal(a->m_map[1].m_size, 0);
	rmfreemap(a);
	assert_ptr_equal(kmem_rmaps->m_next, NULL);
	rmfreemap(b);
	assert_null(kmem_rmaps);
	rmfreemap(NULL);
}

static void bad_frees_are_panics(void **state)
{
	static const struct {
		size_t size;
		unsigned long addr;
	} bad[] = {{1, 0},  {0, 5},   {10, 100}, {1, 109},
		   {5, 96}, {30, 90}, {10, 105}, {2, SIZE_MAX}};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int status = 0;
		pid_t pid = fork();

		if (pid == 0) {
			struct map *mp = rmallocmap(4);
			int null = open("/dev/null", O_WRONLY);

			(void)dup2(null, STDERR_FILENO);
			rmfree(mp, 10, 100);
			rmfree(mp, bad[i].size, bad[i].addr);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
	}
}

/* First fit and coalescing are what a search in a bitmap finds. */
static void random_operations_match_a_bitmap(void **state)
{
	enum {
		N = 2000
	};
	static unsigned char taken[N + 1]; /* by address, from 1 on */
	struct {
		unsigned long addr;
		size_t size;
	} slot[100] = {{0, 0}};
	struct map *mp = rmallocmap(N);
	unsigned seed = 11;

	(void)state;
	rmfree(mp, N, 1);
	for (int i = 0; i < 20000; i++) {
		unsigned at = next_random(&seed) % 100;
		size_t run = 0, n = next_random(&seed) % 60 + 1;
		unsigned long want = 0;

		if (slot[at].addr) {
			rmfree(mp, slot[at].size, slot[at].addr);
			memset(taken + slot[at].addr, 0, slot[at].size);
		}
		for (unsigned long a = 1; a <= N && !want; a++) {
			run = taken[a] ? 0 : run + 1;
			if (run == n)
				want = a - n + 1;
		}
		slot[at].size = n;
		slot[at].addr = rmalloc(mp, n);
		assert_int_equal(slot[at].addr, want);
		if (want)
			memset(taken + want, 1, n);
	}
	rmfreemap(mp);
}

static void *wait_for_ten(void *arg)
{
	return (void *)rmalloc_wait(arg, 10);
}

static void sleepers_are_woken(void **state)
{
	struct map *mp = rmallocmap(50);
	pthread_t thread[20];
	unsigned long sum = 0;
	void *addr;

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(
			pthread_create(&thread[i], NULL, wait_for_ten, mp), 0);
	usleep(20000);
	for (unsigned long a = 1; a < 200; a += 20) {
		rmfree(mp, 5, a);
		usleep(500);
		rmfree(mp, 15, a + 5);
	}
	for (int i = 0; i < 20; i++) {
		(void)pthread_join(thread[i], &addr);
		sum += (unsigned long)addr;
	}
	assert_int_equal(sum, 20 * 1 + 10 * (19 * 20 / 2));
	assert_int_equal(rmalloc(mp, 1), 0);
	rmfreemap(mp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_worked_example_holds),
		cmocka_unit_test(what_is_not_there_is_not_given),
		cmocka_unit_test(a_given_range_is_taken_out_of_the_middle),
		cmocka_unit_test(an_overflow_loses_the_smaller_of_the_last_two),
		cmocka_unit_test(every_map_can_be_found),
		cmocka_unit_test(bad_frees_are_panics),
		cmocka_unit_test(random_operations_match_a_bitmap),
		cmocka_unit_test(sleepers_are_woken),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
