/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names are compared by edit distance: insert, delete, replace, and swap of two
 * neighbours cost one each (Damerau's, restricted to one edit a place); case is
 * ignored.  One slip in a short name, two in a longer one, are a slip; more is
 * another name.
 *
 * Cost: names whose lengths differ too much are not compared.
 */
#include "base/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/mem.h"

enum {
	LENGTH_MAX = 32 /* of names that are compared */
};

struct nearest nearest_to(const char *name)
{
	size_t n = strlen(name);

	return (struct nearest){.name = name,
				.best = n < 2   ? 1
					: n < 4 ? 2
						: 3};
}

static bool same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static unsigned distance(const char *a, size_t n, const char *b, size_t m)
{
	unsigned d[LENGTH_MAX + 1][LENGTH_MAX + 1];

	for (size_t i = 0; i <= n; i++)
		for (size_t j = 0; j <= m; j++) {
			unsigned best = (unsigned)(i + j);

			if (i > 0 && j > 0) {
				best = d[i - 1][j - 1] +
				       !same(a[i - 1], b[j - 1]);
				best = least(best, d[i - 1][j] + 1);
				best = least(best, d[i][j - 1] + 1);
			}
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) &&
			    same(a[i - 2], b[j - 1]))
				best = least(best, d[i - 2][j - 2] + 1);
			d[i][j] = best;
		}
	return d[n][m];
}

void nearest_try(struct nearest *n, const char *candidate)
{
	size_t a = strlen(n->name);
	size_t b = strlen(candidate);
	unsigned d = 0;

	if (a > LENGTH_MAX || b > LENGTH_MAX ||
	    (a > b ? a - b : b - a) >= n->best)
		return;
	d = distance(n->name, a, candidate, b);
	if (d >= n->best)
		return;
	n->best = d;
	mem_free(n->found);
	n->found = mem_strdup(candidate);
}

char *nearest_text(struct nearest *n, const char *before)
{
	char *text =
		n->found ? mem_printf(" (did you mean %s%s?)", before, n->found)
			 : mem_strdup("");

	mem_free(n->found);
	n->found = NULL;
	return text;
}
