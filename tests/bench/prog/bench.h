/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the programs that measure allocators share.  Each does a fixed amount
 * of work, given by its arguments, prints one line that says the work was
 * done, and frees what it allocated where the program it is named after does.
 */
#ifndef BENCH_H
#define BENCH_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BENCH_MAX_THREADS 64

static inline uint32_t next_random(uint32_t *state)
{
	uint32_t x = *state;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *state = x;
}

/** A random number in [low, high]. */
static inline size_t random_in(uint32_t *state, size_t low, size_t high)
{
	return low + next_random(state) % (high - low + 1);
}

static inline void *must(void *p)
{
	if (!p) {
		fprintf(stderr, "bench: out of memory\n");
		exit(1);
	}
	return p;
}

/** Memory whose first and last byte are written, as a program would. */
static inline void *make(size_t size)
{
	char *p = must(malloc(size));

	p[0] = p[size - 1] = 1;
	return p;
}

/** The n-th argument as a number, or what it is by default. */
static inline size_t arg_or(int argc, char **argv, int n, size_t or)
{
	return n < argc ? strtoul(argv[n], NULL, 10) : or ;
}

/** Runs a function in n threads with elements of an array, and waits. */
static inline void run_threads(size_t n, void *(*func)(void *arg), void *args,
			       size_t stride)
{
	pthread_t t[BENCH_MAX_THREADS];

	for (size_t i = 0; i < n; i++)
		if (pthread_create(&t[i], NULL, func,
				   (char *)args + i * stride) != 0) {
			fprintf(stderr, "bench: no thread\n");
			exit(1);
		}
	for (size_t i = 0; i < n; i++)
		pthread_join(t[i], NULL);
}

#endif
