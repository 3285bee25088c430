/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests at the edges: alignments up to 1 GiB, sizes up to SIZE_MAX, address
 * space that ends, huge pages allowed and not.
 *
 * usage: sizes align|large|as|data|thp
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static int nfailed;

static void expect(int good, const char *what, size_t n)
{
	nfailed += !good;
	if (!good)
		printf("not so: %s, %zu\n", what, n);
}

static void align(void)
{
	for (size_t a = 16; a <= (size_t)1 << 30; a *= 2) {
		static const size_t sizes[] = {1, 100, 4096, 100000, 3000000};
		char *kept[5];

		for (size_t i = 0; i < 5; i++) {
			char *p = i % 2 ? aligned_alloc(a, sizes[i]) : NULL;

			if (i % 2 == 0 &&
			    posix_memalign((void **)&p, a, sizes[i]))
				p = NULL;
			expect(p && (uintptr_t)p % a == 0, "aligned", a);
			if (!p)
				continue;
			p[0] = p[sizes[i] - 1] = 3;
			expect(malloc_usable_size(p) >= sizes[i], "usable", a);
			kept[i] = realloc(p, sizes[i] + 5000);
			expect(kept[i] && kept[i][0] == 3 &&
				       kept[i][sizes[i] - 1] == 3,
			       "moved", a);
		}
		for (size_t i = 0; i < 5; i++)
			free(kept[i]);
	}
	expect(posix_memalign((void **)&(void *){NULL}, 24, 8) == EINVAL,
	       "no power of two", 24);
	printf("alignments: %d failed\n", nfailed);
}

/* must not be given; a volatile so that no compiler knows better */
static void refused(volatile size_t size)
{
	void *p = NULL;

	errno = 0;
	expect(!malloc(size) && errno == ENOMEM, "malloc", size);
	errno = 0;
	expect(!calloc(1, size) && errno == ENOMEM, "calloc", size);
	expect(!calloc(size, 2), "calloc twice", size);
	p = malloc(10);
	strcpy(p, "nine long");
	errno = 0;
	expect(!realloc(p, size) && errno == ENOMEM, "realloc", size);
	expect(!reallocarray(p, size, 3), "reallocarray", size);
	expect(!strcmp(p, "nine long"), "realloc that fails keeps", size);
	free(p);
	expect(!aligned_alloc(64, size), "aligned_alloc", size);
	expect(!memalign((size_t)1 << 30, size), "memalign", size);
	expect(!valloc(size) && !pvalloc(size), "pages", size);
	expect(posix_memalign(&p, 4096, size) == ENOMEM, "posix", size);
}

static void large(void)
{
	static const size_t less[] = {0, 1, 7, 8, 15, 16, 4095, 4096, 65536};

	volatile size_t none = 0;

	for (size_t i = 0; i < sizeof(less) / sizeof(*less); i++) {
		refused((size_t)PTRDIFF_MAX - less[i]);
		refused((size_t)PTRDIFF_MAX + 1 + less[i]);
		refused(SIZE_MAX - less[i]);
		refused(((size_t)1 << 47) - less[i]);
	}
	free(malloc(none));
	free(calloc(none, less[8]));
	printf("sizes: %d failed\n", nfailed);
}

/* gets memory until there is no more, gives it back, and gets it again */
static size_t fill(size_t size)
{
	void **list = NULL;
	void **p;
	size_t n = 0;

	for (errno = 0; (p = malloc(size)) != NULL; n++) {
		memset(p, 1, size < 4096 ? size : 4096);
		*p = list;
		list = p;
	}
	expect(errno == ENOMEM, "ENOMEM", size);
	while (list) {
		p = *list;
		free(list);
		list = p;
	}
	return n * size;
}

static void limited(int resource, const char *name)
{
	static const size_t sizes[] = {20, 500, 5000, 100000, 700000, 7000000};
	size_t first[6] = {0};
	struct rlimit lim = {(rlim_t)100 << 20, (rlim_t)100 << 20};

	if (setrlimit(resource, &lim))
		exit(2);
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			size_t bytes = fill(sizes[i]);

			/* debugging costs, small ones most */
			expect(bytes >= (size_t)(sizes[i] < 1000 ? 3 : 20)
						<< 20,
			       name, sizes[i]);
			/* what one size kept must not be lost to the next */
			expect(bytes >= first[i] / 4 * 3, "again", sizes[i]);
			first[i] = bytes;
		}
	printf("%s: %d failed\n", name, nfailed);
}

static void thp(void)
{
	for (int off = 0; off < 2; off++) {
		char *p;

		prctl(PR_SET_THP_DISABLE, off, 0, 0, 0);
		p = aligned_alloc((size_t)2 << 20, (size_t)16 << 20);
		expect(p != NULL, "aligned", 2 << 20);
		(void)madvise(p, (size_t)16 << 20, MADV_HUGEPAGE);
		memset(p, 1, (size_t)16 << 20);
		free(p);
		p = calloc(1, (size_t)16 << 20);
		for (size_t i = 0; i < (size_t)16 << 20; i += 4096)
			expect(p[i] == 0, "zero", i);
		free(p);
		(void)fill((size_t)1 << 45); /* none */
	}
	printf("huge pages: %d failed\n", nfailed);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	if (!strcmp(argv[1], "align"))
		align();
	else if (!strcmp(argv[1], "large"))
		large();
	else if (!strcmp(argv[1], "as"))
		limited(RLIMIT_AS, "RLIMIT_AS");
	else if (!strcmp(argv[1], "data"))
		limited(RLIMIT_DATA, "RLIMIT_DATA");
	else if (!strcmp(argv[1], "thp"))
		thp();
	return nfailed != 0;
}
