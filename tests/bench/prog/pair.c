/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a hot malloc and free of 64 bytes costs: the least time a pair, of many
 * short runs, so that what else the machine does falls out.
 *
 * usage: pair [SIZE]
 * Prints nanoseconds a pair.
 */
#include "bench.h"

#include <time.h>

#define RUNS  400
#define PAIRS 20000

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

int main(int argc, char **argv)
{
	size_t size = arg_or(argc, argv, 1, 64);
	double best = 1e9;

	for (int run = 0; run < RUNS; run++) {
		double start = now();

		for (int i = 0; i < PAIRS; i++) {
			void *p = malloc(size);

			/* the compiler must believe that p is used */
			__asm__ volatile("" ::"r"(p) : "memory");
			free(p);
		}
		start = (now() - start) / PAIRS;
		if (start < best)
			best = start;
	}
	printf("%.3f\n", best);
	return 0;
}
