/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * After cache-scratch and cache-thrash: do small blocks of different threads
 * come to share a cache line?  In scratch the main thread allocates one for
 * each thread, which frees it first, and so may get a neighbour of another's
 * again and again (passive); in thrash each begins with nothing (active).
 *
 * usage: cache-scratch scratch|thrash [THREADS [WRITES]]
 */
#include "bench.h"

#define SIZE  8
#define PAIRS 2000

struct task {
	char *first;
	size_t writes;
};

static void *work(void *arg)
{
	struct task *t = arg;

	free(t->first);
	for (size_t i = 0; i < PAIRS; i++) {
		volatile char *p = must(malloc(SIZE));

		for (size_t k = 0; k < t->writes; k++)
			for (int b = 0; b < SIZE; b++) {
				char was = p[b];

				p[b] = (char)(was + 1);
			}
		free((void *)p);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int is_passive = argc > 1 && strcmp(argv[1], "scratch") == 0;
	size_t nthreads = arg_or(argc, argv, 2, 1);
	size_t writes = arg_or(argc, argv, 3, 60000);
	struct task task[BENCH_MAX_THREADS];

	if (nthreads < 1 || nthreads > BENCH_MAX_THREADS)
		return 2;
	for (size_t i = 0; i < nthreads; i++) {
		task[i].first = is_passive ? must(malloc(SIZE)) : NULL;
		task[i].writes = writes / nthreads;
	}
	run_threads(nthreads, work, task, sizeof(task[0]));
	printf("cache-scratch: done\n");
	return 0;
}
