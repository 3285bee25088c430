/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A program that allocates next to nothing: its heap is one slab of one cache.
 *
 * usage: small COUNT
 * Allocates COUNT buffers of 16 bytes, says so, and waits for the end of its
 * input.  It keeps every second one and frees the others.
 */
#include <stdlib.h>
#include <unistd.h>

#define MAX 64

static void *kept[MAX];

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1;
	char c;

	if (n < 1 || n > MAX)
		return 2;
	for (int i = 0; i < n; i++) {
		kept[i] = malloc(16);
		if (!kept[i])
			return 1;
	}
	for (int i = 1; i < n; i += 2) {
		free(kept[i]);
		kept[i] = NULL;
	}
	if (write(1, "ready\n", 6) != 6)
		return 1;
	while (read(0, &c, 1) > 0)
		;
	return 0;
}
