/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an audited run is judged by: COUNT live buffers in lists, trees and
 * hash tables, twice as many made and freed meanwhile, one in a hundred
 * leaked; then it ends.
 *
 * usage: audit COUNT
 *
 * A record is a node and a name of its own, so half of the buffers are strings
 * of 8 to 71 bytes and half are nodes of 32 and 40.  A third of the records is
 * in each kind of table.  After the tables are built requests are served: each
 * makes and frees words of its own and replaces a record of a list and one of
 * the hash table.  Leaked are names: their node is freed and they are not.
 *
 * Prints how many buffers are live, were ever made and nobody reaches.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTS    1024
#define noinline __attribute__((noinline))

struct item {
	struct item *next;
	char *name;
	uint64_t key;
	uint32_t length;
};

struct branch {
	struct branch *left, *right;
	char *name;
	uint64_t key;
	uint64_t weight;
};

struct table {
	struct item **bucket;
	size_t mask;
};

static struct item *list[LISTS];
static struct branch *tree;
static struct table table;
static size_t nmade, nlive, nleaked, leaks_wanted;
static uint64_t state = 88172645463325252u;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

static noinline void *get(size_t bytes)
{
	void *p = malloc(bytes);

	if (!p) {
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	nmade++;
	nlive++;
	return p;
}

static noinline void put(void *p)
{
	free(p);
	nlive--;
}

static noinline char *name_make(uint64_t key)
{
	size_t length = 8 + key % 64;
	char *name = get(length);

	memset(name, 'a' + (int)(key % 26), length - 1);
	name[length - 1] = '\0';
	return name;
}

static noinline struct item *item_make(uint64_t key, struct item *next)
{
	struct item *item = get(sizeof(*item));

	item->next = next;
	item->key = key;
	item->name = name_make(key);
	item->length = (uint32_t)strlen(item->name);
	return item;
}

/* leaks the name of every 32nd record that goes, until there are enough */
static noinline void item_free(struct item *item)
{
	static unsigned turn;

	if (++turn % 32 == 0 && nleaked < leaks_wanted) {
		nleaked++;
		nlive--;
	} else {
		put(item->name);
	}
	item->name = NULL;
	put(item);
}

static noinline void list_add(uint64_t key)
{
	struct item **head = &list[key % LISTS];

	*head = item_make(key, *head);
}

/* drops the third record of a list */
static noinline void list_drop(uint64_t key)
{
	struct item **link = &list[key % LISTS];
	struct item *item;

	for (int i = 0; i < 2 && *link; i++)
		link = &(*link)->next;
	item = *link;
	if (!item)
		return;
	*link = item->next;
	item_free(item);
}

static struct item **hash_slot(uint64_t key)
{
	return &table.bucket[key * 0x9e3779b97f4a7c15u >> 20 & table.mask];
}

static noinline void hash_add(uint64_t key)
{
	struct item **slot = hash_slot(key);

	*slot = item_make(key, *slot);
}

static noinline void hash_drop(uint64_t key)
{
	struct item **slot = hash_slot(key);
	struct item *item;

	while (!*slot)
		slot = slot == &table.bucket[table.mask] ? table.bucket
							 : slot + 1;
	item = *slot;
	*slot = item->next;
	item_free(item);
}

static noinline struct branch *branch_make(uint64_t key)
{
	struct branch *b = get(sizeof(*b));

	b->left = b->right = NULL;
	b->key = key;
	b->weight = key >> 32;
	b->name = name_make(key);
	return b;
}

static noinline void tree_add(uint64_t key)
{
	struct branch **link = &tree;

	while (*link)
		link = key < (*link)->key ? &(*link)->left : &(*link)->right;
	*link = branch_make(key);
}

static noinline void load(size_t count)
{
	while (nlive < count) {
		uint64_t key = next_random();

		if (key % 3 == 0)
			tree_add(key);
		else if (key % 3 == 1)
			list_add(key);
		else
			hash_add(key);
	}
}

static noinline void serve(void)
{
	uint64_t key = next_random();
	char *word[4];
	size_t i;

	for (i = 0; i < 4; i++)
		word[i] = name_make(key >> (i * 8));
	hash_drop(key);
	hash_add(key);
	list_drop(key);
	list_add(key);
	for (i = 0; i < 4; i++)
		put(word[i]);
}

int main(int argc, char **argv)
{
	size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
	size_t nbuckets = 64;

	leaks_wanted = count / 100;
	while (nbuckets < count / 6)
		nbuckets *= 2;
	table.mask = nbuckets - 1;
	table.bucket = calloc(nbuckets, sizeof(struct item *));
	if (!table.bucket)
		return 1;
	load(count);
	while (nmade < 3 * count || nleaked < leaks_wanted)
		serve();
	printf("%zu %zu %zu\n", nlive, nmade, nleaked);
	return 0;
}
