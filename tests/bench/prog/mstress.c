/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * After mstress: threads that allocate much of very different sizes, keep a
 * part for long, exchange blocks through a table all share, and end; then the
 * next threads come.  Each block says what it is, and that is checked.
 *
 * usage: mstress [THREADS [ROUNDS]]
 */
#include "bench.h"

#define TABLE    1000
#define COOKIE   0xbf58476d1ce4e5b9ULL
#define TRANSFER 10 /* one in */
#define RETAIN   3  /* one in */

static uint64_t *table[TABLE];
static size_t scale = 50000; /* blocks a thread */

struct task {
	uint32_t seed;
	size_t scale;
};

/** A block of some words: seldom large. */
static uint64_t *block_new(uint32_t *seed)
{
	size_t n = random_in(seed, 1, 16);
	uint64_t *p;

	if (next_random(seed) % 100 == 0)
		n *= 10;
	if (next_random(seed) % 1000 == 0)
		n *= 100;
	if (next_random(seed) % 10000 == 0)
		n *= 100;
	p = must(next_random(seed) % 4 == 0 ? calloc(n, sizeof(*p))
					    : malloc(n * sizeof(*p)));
	for (size_t i = 0; i < n; i++)
		p[i] = (n - i) ^ COOKIE;
	return p;
}

static void block_drop(uint64_t *p)
{
	size_t n;

	if (!p)
		return;
	n = p[0] ^ COOKIE;
	for (size_t i = 0; i < n; i++)
		if ((p[i] ^ COOKIE) != n - i) {
			fprintf(stderr, "mstress: block %p was overwritten\n",
				(void *)p);
			abort();
		}
	free(p);
}

static void *work(void *arg)
{
	struct task *t = arg;
	size_t nkept = 0, nlive = 0, room = 0, left = t->scale;
	uint64_t **kept = must(malloc(scale * sizeof(*kept)));
	uint64_t **live = NULL;

	while (left > 0 || nlive > 0) {
		if (left > 0 && next_random(&t->seed) % 10 < 6) {
			left--;
			if (nlive == room) {
				room += 100;
				live = must(
					realloc(live, room * sizeof(*live)));
			}
			live[nlive++] = block_new(&t->seed);
			if (nkept < scale / RETAIN &&
			    next_random(&t->seed) % RETAIN == 0)
				kept[nkept++] = block_new(&t->seed);
		} else if (nlive > 0) {
			size_t k = next_random(&t->seed) % nlive;

			block_drop(live[k]);
			live[k] = live[--nlive];
		}
		if (nlive > 0 && next_random(&t->seed) % TRANSFER == 0) {
			size_t k = next_random(&t->seed) % TABLE;

			block_drop(__atomic_exchange_n(&table[k], live[--nlive],
						       __ATOMIC_ACQ_REL));
		}
	}
	while (nkept > 0)
		block_drop(kept[--nkept]);
	free(kept);
	free(live);
	return NULL;
}

int main(int argc, char **argv)
{
	size_t nthreads = arg_or(argc, argv, 1, 2);
	size_t nrounds = arg_or(argc, argv, 2, 30);
	struct task task[BENCH_MAX_THREADS];
	uint32_t seed = 417;

	if (nthreads < 1 || nthreads > BENCH_MAX_THREADS)
		return 2;
	for (size_t i = 0; i < nthreads; i++)
		task[i].seed = 417 + (uint32_t)i;
	for (size_t round = 0; round < nrounds; round++) {
		for (size_t i = 0; i < nthreads; i++)
			task[i].scale = scale / (i + 1);
		run_threads(nthreads, work, task, sizeof(task[0]));
		for (size_t k = 0; k < TABLE; k++) {
			uint64_t *p;

			if (next_random(&seed) % 2 && round + 1 < nrounds)
				continue;
			p = __atomic_exchange_n(&table[k], NULL,
						__ATOMIC_ACQ_REL);
			block_drop(p);
		}
	}
	printf("mstress: %zu rounds\n", nrounds);
	return 0;
}
