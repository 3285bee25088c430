/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * After malloc-large: a few blocks of 5 to 25 MiB, replaced at random, each
 * cleared by its user.  Punishes those who give memory back at once.
 *
 * usage: malloc-large [REPLACEMENTS]
 */
#include "bench.h"

#define SLOTS 20

int main(int argc, char **argv)
{
	size_t count = arg_or(argc, argv, 1, 300);
	char *slot[SLOTS] = {NULL};
	uint32_t seed = 417;

	for (size_t i = 0; i < count; i++) {
		size_t size = random_in(&seed, 5 << 20, 25 << 20);
		size_t k = next_random(&seed) % SLOTS;

		free(slot[k]);
		slot[k] = must(malloc(size));
		memset(slot[k], 0, size);
	}
	for (size_t k = 0; k < SLOTS; k++)
		free(slot[k]);
	printf("malloc-large: %zu replaced\n", count);
	return 0;
}
