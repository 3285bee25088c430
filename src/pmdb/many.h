/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The same work for many dumps, each in a process of its own. */
#ifndef PMDB_MANY_H
#define PMDB_MANY_H

#include <stdbool.h>
#include <stddef.h>

#define MANY_JOBS_MAX 64

struct many {
	const char *const *dumps;
	size_t n;
	unsigned jobs;     /* how many at a time, 1 to MANY_JOBS_MAX */
	bool has_headings; /* a line above what is printed of each */
	bool is_fail_fast; /* none is begun after one that failed */
	/* runs in the child; its standard output and error are kept */
	int (*one)(void *arg, const char *dump);
	void *arg;
};

/**
 * Works on all of them; what each prints appears in their order, and whole.
 *
 * Returns the exit status: the worst of all.
 */
int many_run(const struct many *m);

#endif
