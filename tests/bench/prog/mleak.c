/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * After mleak: threads that come, allocate a little, and go.  What a thread
 * costs an allocator to begin and to end, and whether that memory is used
 * again by the next.
 *
 * usage: mleak [THREADS AT A TIME [ROUNDS [BLOCKS]]]
 */
#include "bench.h"

#define BLOCKS 200

static size_t nblocks; /* of each thread; 0: what threads cost by themselves */

static void *work(void *arg)
{
	uint32_t seed = *(uint32_t *)arg;
	void *block[BLOCKS];

	for (size_t i = 0; i < nblocks; i++)
		block[i] = make(random_in(&seed, 16, 2000));
	for (size_t i = 0; i < nblocks; i++)
		free(block[i]);
	return NULL;
}

int main(int argc, char **argv)
{
	size_t nthreads = arg_or(argc, argv, 1, 10);
	size_t nrounds = arg_or(argc, argv, 2, 800);
	uint32_t seed[BENCH_MAX_THREADS];

	nblocks = arg_or(argc, argv, 3, BLOCKS);
	if (nthreads < 1 || nthreads > BENCH_MAX_THREADS || nblocks > BLOCKS)
		return 2;
	for (size_t i = 0; i < nthreads; i++)
		seed[i] = 417 + (uint32_t)i;
	for (size_t round = 0; round < nrounds; round++)
		run_threads(nthreads, work, seed, sizeof(seed[0]));
	printf("mleak: %zu threads\n", nthreads * nrounds);
	return 0;
}
