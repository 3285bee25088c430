/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * After alloc-test: each thread replaces blocks of a large set at random; sizes
 * and lifetimes follow a power law, and every byte of a block is written and
 * read.
 *
 * usage: alloc-test [THREADS [REPLACEMENTS]]
 */
#include "bench.h"

#define SLOTS    (1 << 15)
#define MAX_SIZE 1024

struct task {
	uint32_t seed;
	size_t count;
	uint64_t sum;
};

struct slot {
	uint8_t *p;
	size_t size;
};

/** Small ones are common: a uniform number of a uniform number of bits. */
static size_t power_law(uint32_t *seed, unsigned max_bits)
{
	unsigned bits = next_random(seed) % (max_bits + 1);

	return next_random(seed) & (((uint32_t)1 << bits) - 1);
}

static void *work(void *arg)
{
	struct task *t = arg;
	struct slot *slot = must(calloc(SLOTS, sizeof(*slot)));

	for (size_t i = 0; i < t->count; i++) {
		struct slot *s = &slot[(SLOTS - 1) ^ power_law(&t->seed, 15)];

		if (s->p) {
			for (size_t k = 0; k < s->size; k++)
				t->sum += s->p[k];
			free(s->p);
			s->p = NULL;
			continue;
		}
		s->size = 1 + power_law(&t->seed, 10);
		s->p = must(malloc(s->size));
		memset(s->p, (int)s->size, s->size);
	}
	for (size_t i = 0; i < SLOTS; i++)
		free(slot[i].p);
	free(slot);
	return NULL;
}

int main(int argc, char **argv)
{
	size_t nthreads = arg_or(argc, argv, 1, 1);
	size_t count = arg_or(argc, argv, 2, 8000000);
	struct task task[BENCH_MAX_THREADS];
	uint64_t sum = 0;

	if (nthreads < 1 || nthreads > BENCH_MAX_THREADS)
		return 2;
	for (size_t i = 0; i < nthreads; i++)
		task[i] = (struct task){.seed = 417 + (uint32_t)i,
					.count = count / nthreads};
	run_threads(nthreads, work, task, sizeof(task[0]));
	for (size_t i = 0; i < nthreads; i++)
		sum += task[i].sum;
	printf("alloc-test: %lu\n", (unsigned long)sum);
	return 0;
}
