/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The program of leak.md: it reads an inventory, and forgets what it refuses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct item {
	struct item *next;
	char *name;
	long quantity;
};

static struct item *stock;

static struct item *parse_item(const char *line)
{
	struct item *it = malloc(sizeof(*it));
	const char *comma = strchr(line, ',');

	it->name = strndup(line, comma - line);
	it->quantity = strtol(comma + 1, NULL, 10);
	if (it->quantity <= 0)
		return NULL; /* refused, and forgotten */
	return it;
}

static void read_stock(void)
{
	char line[80];

	for (int i = 0; i < 1000; i++) {
		struct item *it;

		snprintf(line, sizeof(line), "part number %d,%d", i, i % 7);
		it = parse_item(line);
		if (it) {
			it->next = stock;
			stock = it;
		}
	}
}

int main(void)
{
	size_t n = 0;

	read_stock();
	for (struct item *it = stock; it; it = it->next)
		n++;
	printf("%zu items in stock\n", n);
	return 0;
}
