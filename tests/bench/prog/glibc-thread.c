/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * After glibc's bench-malloc-thread: each thread replaces blocks of a large
 * table at random; a size is the more likely the smaller it is (1 over size).
 *
 * usage: glibc-thread [THREADS [REPLACEMENTS]]
 */
#include "bench.h"

#include <math.h>

#define SLOTS (1 << 16)
#define MIN   4
#define MAX   32768
#define SIZES 8192

static uint32_t sizes[SIZES]; /* drawn beforehand: exp() is not what is timed */

struct task {
	uint32_t seed;
	size_t count;
};

static void *work(void *arg)
{
	struct task *t = arg;
	char **slot = must(calloc(SLOTS, sizeof(*slot)));

	for (size_t i = 0; i < t->count; i++) {
		uint32_t r = next_random(&t->seed);
		size_t k = r % SLOTS;

		free(slot[k]);
		slot[k] = must(malloc(sizes[next_random(&t->seed) % SIZES]));
		slot[k][0] = 1;
	}
	for (size_t k = 0; k < SLOTS; k++)
		free(slot[k]);
	free(slot);
	return NULL;
}

int main(int argc, char **argv)
{
	size_t nthreads = arg_or(argc, argv, 1, 2);
	size_t count = arg_or(argc, argv, 2, 4000000);
	struct task task[BENCH_MAX_THREADS];
	uint32_t seed = 417;

	if (nthreads < 1 || nthreads > BENCH_MAX_THREADS)
		return 2;
	for (int i = 0; i < SIZES; i++)
		sizes[i] = (uint32_t)(MIN *
				      exp(log((double)MAX / MIN) *
					  (next_random(&seed) / 4294967296.0)));
	for (size_t i = 0; i < nthreads; i++)
		task[i] = (struct task){.seed = 417 + (uint32_t)i,
					.count = count / nthreads};
	run_threads(nthreads, work, task, sizeof(task[0]));
	printf("glibc-thread: %zu replaced\n", count);
	return 0;
}
