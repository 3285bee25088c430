/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A heap as programs have them, of COUNT live buffers of 41 bytes on average:
 * a fourth each in 64 lists that were built side by side, in a tree whose nodes
 * know their parents and lie in random order, in the chains of a hash table,
 * and strings of a vector.  One buffer in five is freed again, in no order.
 * One in a hundred is leaked, by five call sites: alone, in chains of 10, in
 * rings of 5, in trees of 7, and behind a buffer that was freed.
 *
 * usage: large COUNT [DUMP | -]
 * Prints how many buffers and bytes nobody reaches; then it ends, or snapshots
 * itself into DUMP, or waits for the end of its input.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NLISTS 64
#define HOLES  4 /* one buffer that goes for each four that stay */

struct node {
	struct node *next;
	uint64_t n;
};

struct tree {
	struct tree *left, *right, *parent;
	uint64_t key;
};

static struct node *list[NLISTS];
static struct tree *volatile root; /* kept, though nobody reads it again */
static struct node **table;
static char **strings;
static uint32_t seed = 417;
static size_t leaked, leaked_bytes;
static volatile unsigned char sink;

static uint32_t draw(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(seed >> 8) * below >> 24);
}

static void *get(size_t n)
{
	void *p = malloc(n);

	if (!p)
		exit(1);
	return p;
}

/* what the holes are: freed in another order than they were made */
static void **holes;
static size_t nholes, ndrawn;

static void maybe_hole(size_t n)
{
	void *p = NULL;

	if (++ndrawn % HOLES)
		return;
	p = get(n);
	memset(p, 0, n);
	holes[nholes++] = p;
}

static __attribute__((noinline)) void make_lists(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t n = 16 + draw(4) * 8;
		struct node *p = get(n);

		p->next = list[i % NLISTS];
		p->n = i;
		list[i % NLISTS] = p;
		maybe_hole(n);
	}
}

static struct tree *join(struct tree **v, size_t n, struct tree *parent)
{
	struct tree *t = NULL;

	if (n == 0)
		return NULL;
	t = v[n / 2];
	t->parent = parent;
	t->left = join(v, n / 2, t);
	t->right = join(v + n / 2 + 1, n - n / 2 - 1, t);
	return t;
}

static __attribute__((noinline)) void make_tree(size_t count)
{
	struct tree **v = calloc(count, sizeof(*v));

	for (size_t i = 0; i < count; i++) {
		v[i] = get(sizeof(**v));
		v[i]->key = i;
		maybe_hole(sizeof(**v));
	}
	for (size_t i = count; i > 1; i--) {
		size_t k = ((size_t)draw(1 << 12) << 12 | draw(1 << 12)) % i;
		struct tree *t = v[i - 1];

		v[i - 1] = v[k];
		v[k] = t;
	}
	root = join(v, count, NULL);
	memset(v, 0, count * sizeof(*v));
	free(v);
}

static __attribute__((noinline)) void make_table(size_t count)
{
	size_t nchains = count / 4 + 1;

	table = calloc(nchains, sizeof(*table));
	for (size_t i = 0; i < count; i++) {
		size_t n = 24 + draw(6) * 8;
		struct node *p = get(n);
		size_t k = (i * 2654435761u) % nchains;

		p->next = table[k];
		p->n = i;
		table[k] = p;
		maybe_hole(n);
	}
}

static __attribute__((noinline)) void make_strings(size_t count)
{
	strings = calloc(count + 1, sizeof(*strings));
	for (size_t i = 0; i < count; i++) {
		size_t n = 20 + draw(72);

		strings[i] = get(n);
		memset(strings[i], 'a' + (int)(i % 26), n - 1);
		strings[i][n - 1] = '\0';
		maybe_hole(n);
	}
}

/* ---- leaks: no pointer stays behind ---------------------------------- */

static void *lose(size_t n)
{
	void *p = get(n);

	memset(p, 0, n);
	leaked++;
	leaked_bytes += n;
	return p;
}

static __attribute__((noinline)) void lose_one(void)
{
	sink = *(unsigned char *)lose(40);
}

static __attribute__((noinline)) void lose_chain(void)
{
	struct node *head = NULL;

	for (int i = 0; i < 10; i++) {
		struct node *p = lose(32);

		p->next = head;
		head = p;
	}
	sink = (unsigned char)head->n;
}

static __attribute__((noinline)) void lose_ring(void)
{
	struct node *first = lose(24);
	struct node *p = first;

	for (int i = 1; i < 5; i++) {
		p->next = lose(24);
		p = p->next;
	}
	p->next = first;
}

static __attribute__((noinline)) void lose_tree(void)
{
	struct tree *v[7];

	for (int i = 0; i < 7; i++)
		v[i] = lose(sizeof(**v));
	join(v, 7, NULL);
	memset(v, 0, sizeof(v));
	sink = (unsigned char)(uintptr_t)v[0];
}

static __attribute__((noinline)) void lose_behind(void)
{
	struct node *p = get(48);

	p->next = lose(48);
	p->n = 0;
	holes[nholes++] = p;
}

static __attribute__((noinline)) void lose_all(size_t count)
{
	while (leaked < count) {
		lose_one();
		lose_chain();
		lose_ring();
		lose_tree();
		lose_behind();
	}
}

static __attribute__((noinline)) void free_holes(void)
{
	for (size_t i = nholes; i > 1; i--) {
		size_t k = ((size_t)draw(1 << 12) << 12 | draw(1 << 12)) % i;
		void *p = holes[i - 1];

		holes[i - 1] = holes[k];
		holes[k] = p;
	}
	for (size_t i = 0; i < nholes; i++)
		free(holes[i]);
	memset(holes, 0, nholes * sizeof(*holes));
	free(holes);
	holes = NULL;
}

int main(int argc, char **argv)
{
	size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
	size_t part = (count - count / 100) / 4;
	int (*snapshot)(const char *path, int flags);

	holes = calloc(count / 2 + 64, sizeof(*holes));
	make_lists(part);
	make_tree(part);
	make_table(part);
	lose_all(count / 100);
	make_strings(part);
	free_holes();
	if (argc > 2 && strcmp(argv[2], "-") != 0) {
		snapshot = (int (*)(const char *, int))dlsym(RTLD_DEFAULT,
							     "kmem_snapshot");
		if (!snapshot || snapshot(argv[2], 0) != 0) {
			fprintf(stderr, "no snapshot\n");
			return 1;
		}
	}
	printf("%zu %zu\n", leaked, leaked_bytes);
	fflush(stdout);
	if (argc > 2 && strcmp(argv[2], "-") == 0)
		while (getchar() != EOF)
			;
	return 0;
}
