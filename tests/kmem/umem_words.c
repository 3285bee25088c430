/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A program as they are written for libumem: counts the words of its input.
 * Entries come from an object cache whose objects keep a name buffer while they
 * are free, names too long for that and the table from umem_alloc().  The last
 * line of its output says how often memory was asked for in vain.
 * LINK: kmem */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <umem.h>

#define SHORT_NAME 12

struct entry {
	struct entry *next;
	unsigned long count;
	char *name;
	char *short_name; /* as long as the object lives */
};

static umem_cache_t *entry_cache;
static struct entry **table;
static size_t nbuckets = 4, nentries;
static char *reserve; /* for bad times */
static int nretries;

static int entry_constructor(void *buf, void *priv, int flags)
{
	struct entry *e = buf;

	e->short_name = umem_alloc(SHORT_NAME, flags);
	return priv || !e->short_name ? -1 : 0;
}

static void entry_destructor(void *buf, void *priv)
{
	struct entry *e = buf;

	(void)priv;
	umem_free(e->short_name, SHORT_NAME);
}

/* gives up a reserve, once, and then the program */
static int no_memory(void)
{
	nretries++;
	if (!reserve)
		return UMEM_CALLBACK_EXIT(12);
	umem_free(reserve, 1 << 20);
	reserve = NULL;
	return UMEM_CALLBACK_RETRY;
}

static size_t hash(const char *name)
{
	size_t h = 5381;

	while (*name)
		h = h * 33 + (unsigned char)*name++;
	return h;
}

static void grow(void)
{
	size_t n = nbuckets * 4;
	struct entry **bigger = umem_zalloc(n * sizeof(*table), UMEM_NOFAIL);

	for (size_t i = 0; i < nbuckets; i++) {
		struct entry *e = table[i];

		while (e) {
			struct entry *next = e->next;

			e->next = bigger[hash(e->name) % n];
			bigger[hash(e->name) % n] = e;
			e = next;
		}
	}
	umem_free(table, nbuckets * sizeof(*table));
	table = bigger;
	nbuckets = n;
}

static void count(const char *name)
{
	struct entry **link = &table[hash(name) % nbuckets];
	size_t size = strlen(name) + 1;
	struct entry *e;

	while ((e = *link) && strcmp(e->name, name) != 0)
		link = &e->next;
	if (e) {
		e->count++;
		return;
	}
	e = umem_cache_alloc(entry_cache, UMEM_NOFAIL);
	e->name = size <= SHORT_NAME ? e->short_name
				     : umem_alloc(size, UMEM_NOFAIL);
	memcpy(e->name, name, size);
	e->count = 1;
	e->next = NULL;
	*link = e;
	if (++nentries > 2 * nbuckets)
		grow();
}

static void print_and_free(void)
{
	for (size_t i = 0; i < nbuckets; i++) {
		struct entry *e = table[i];

		while (e) {
			struct entry *next = e->next;

			printf("%lu %s\n", e->count, e->name);
			if (e->name != e->short_name)
				umem_free(e->name, strlen(e->name) + 1);
			umem_cache_free(entry_cache, e);
			e = next;
		}
	}
	umem_free(table, nbuckets * sizeof(*table));
}

int main(void)
{
	char word[4096];
	size_t n = 0;
	int c;

	umem_nofail_callback(no_memory);
	reserve = umem_alloc(1 << 20, UMEM_DEFAULT);
	entry_cache = umem_cache_create("entry", sizeof(struct entry), 0,
					entry_constructor, entry_destructor,
					NULL, NULL, NULL, 0);
	if (!reserve || !entry_cache)
		return 3;
	table = umem_zalloc(nbuckets * sizeof(*table), UMEM_NOFAIL);
	while ((c = getchar()) != EOF || n > 0) {
		if (c != EOF && isalpha(c) && n < sizeof(word) - 1) {
			word[n++] = (char)c;
			continue;
		}
		word[n] = '\0';
		if (n > 0)
			count(word);
		n = 0;
		if (c == EOF)
			break;
	}
	print_and_free();
	umem_cache_destroy(entry_cache);
	printf("retries %d\n", nretries);
	return 0;
}
