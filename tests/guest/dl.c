/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Libraries that come and go.
 *
 * usage: dl loop N LIB LIB    opens, uses and closes them in turn, N times
 *        dl same LIB LIB      the second where the first was; it leaks
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* one use of a library; -1: it cannot be used */
static int use(const char *path, int n, void **at)
{
	void *lib = dlopen(path, RTLD_NOW);
	int (*work)(int);
	struct link_map *map;
	int rc;

	if (!lib || dlinfo(lib, RTLD_DI_LINKMAP, &map))
		return -1;
	*at = (void *)map->l_addr;
	*(void **)&work = dlsym(lib, "work");
	rc = work ? work(n) : -1;
	return dlclose(lib) ? -1 : rc;
}

int main(int argc, char **argv)
{
	void *at[2] = {NULL, NULL};
	int n = argc > 2 ? atoi(argv[2]) : 0;
	int nfailed = 0;

	if (argc == 5) {
		for (int i = 0; i < n; i++)
			for (int j = 0; j < 2; j++)
				nfailed += use(argv[3 + j], i, &at[j]) < 0;
		printf("%d times, %d failed\n", n, nfailed);
		return nfailed != 0;
	}
	if (argc < 4)
		return 2;
	for (int i = 0; i < 5; i++)
		nfailed += use(argv[2], 3, &at[0]) < 0;
	/* stays open, so that it has names in the dump */
	dlopen(argv[3], RTLD_NOW);
	nfailed += use(argv[3], -1, &at[1]) < 0;
	printf("%s place, %d failed\n", at[0] == at[1] ? "same" : "another",
	       nfailed);
	return nfailed != 0;
}
