/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * After larson: threads of a server.  Each replaces the blocks of its array at
 * random, ends, and leaves the array to a successor; so most blocks are freed
 * by another thread than the one that allocated them.
 *
 * usage: larson [THREADS [REPLACEMENTS [MIN [MAX]]]]
 */
#include "bench.h"

#define SLOTS  1000
#define ROUNDS 20

#ifdef SIZED /* as a C++ program that says the size when it deletes */
void *_Znwm(size_t size);
void _ZdlPvm(void *p, size_t size);
#define get(n)     _Znwm(n)
#define drop(p, n) _ZdlPvm(p, n)
#else
#define get(n)     must(malloc(n))
#define drop(p, n) free(p)
#endif

struct server {
	uint32_t seed;
	size_t count, min, max;
	char *slot[SLOTS];
	size_t size[SLOTS];
};

static void replace(struct server *s, size_t k)
{
	size_t size = random_in(&s->seed, s->min, s->max);
	char *p = get(size);

	p[0] = p[size - 1] = 1;
	s->slot[k] = p;
	s->size[k] = size;
}

static void *serve(void *arg)
{
	struct server *s = arg;

	for (size_t i = 0; i < s->count; i++) {
		size_t k = next_random(&s->seed) % SLOTS;

		drop(s->slot[k], s->size[k]);
		replace(s, k);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	size_t nthreads = arg_or(argc, argv, 1, 2);
	size_t count = arg_or(argc, argv, 2, 25000000);
	static struct server server[BENCH_MAX_THREADS];

	if (nthreads < 1 || nthreads > BENCH_MAX_THREADS)
		return 2;
	for (size_t i = 0; i < nthreads; i++) {
		server[i].seed = 417 + (uint32_t)i;
		server[i].count = count / nthreads / ROUNDS;
		server[i].min = arg_or(argc, argv, 3, 8);
		server[i].max = arg_or(argc, argv, 4, 1000);
		for (size_t k = 0; k < SLOTS; k++)
			replace(&server[i], k);
	}
	for (int round = 0; round < ROUNDS; round++)
		run_threads(nthreads, serve, server, sizeof(server[0]));
	for (size_t i = 0; i < nthreads; i++)
		for (size_t k = 0; k < SLOTS; k++)
			drop(server[i].slot[k], server[i].size[k]);
	printf("larson: %zu replaced\n", count);
	return 0;
}
