/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * COUNT live buffers of 16..256 bytes in lists of 1000, one list in a hundred
 * leaked whole; then it ends, or snapshots itself into DUMP.
 *
 * usage: leaks COUNT [DUMP]
 * Prints how many buffers and bytes nobody reaches.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct node {
	struct node *next;
	uint64_t n;
};

static struct node **list;

/* leaves no pointer behind on the stack of its caller */
static __attribute__((noinline)) struct node *build(uint32_t *seed, size_t n,
						    size_t *bytes)
{
	struct node *head = NULL;

	for (size_t i = 0; i < n; i++) {
		size_t size;
		struct node *p;

		*seed = *seed * 1664525 + 1013904223;
		size = 16 + (*seed >> 16) % 241;
		p = malloc(size);
		if (!p)
			exit(1);
		*bytes += size;
		p->next = head;
		p->n = i;
		head = p;
	}
	return head;
}

int main(int argc, char **argv)
{
	size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
	size_t nlists = count / 1000, leaked = 0, leaked_bytes = 0;
	int (*snapshot)(const char *path, int flags);
	uint32_t seed = 417;

	list = calloc(nlists, sizeof(*list));
	for (size_t i = 0; i < nlists; i++) {
		size_t bytes = 0;

		list[i] = build(&seed, 1000, &bytes);
		if (i % 100 == 50) {
			list[i] = NULL;
			leaked += 1000;
			leaked_bytes += bytes;
		}
	}
	if (argc > 2) {
		snapshot = (int (*)(const char *, int))dlsym(RTLD_DEFAULT,
							     "kmem_snapshot");
		if (!snapshot || snapshot(argv[2], 0) != 0) {
			fprintf(stderr, "no snapshot\n");
			return 1;
		}
	}
	printf("%zu %zu\n", leaked, leaked_bytes);
	return 0;
}
