/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * After glibc's bench-malloc-simple: of one size, so many are allocated and
 * then freed in two halves, the second backwards, over and over.
 *
 * usage: glibc-simple [OPERATIONS]
 */
#include "bench.h"

#define MOST 1600

static void run(size_t size, size_t n, size_t operations)
{
	static void *block[MOST];

	for (size_t done = 0; done < operations; done += n) {
		for (size_t i = 0; i < n; i++)
			block[i] = make(size);
		for (size_t i = 0; i < n / 2; i++)
			free(block[i]);
		for (size_t i = n; i-- > n / 2;)
			free(block[i]);
	}
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = {16, 32, 64, 128};
	static const size_t counts[] = {25, 100, 400, MOST};
	size_t operations = arg_or(argc, argv, 1, 2000000);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++)
			run(sizes[i], counts[k], operations);
	printf("glibc-simple: done\n");
	return 0;
}
