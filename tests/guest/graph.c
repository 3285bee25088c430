/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A random program: nodes of random sizes that point at each other, some of
 * them kept by a table, all others lost.  Which are which it knows itself.
 *
 * usage: graph SEED OPERATIONS front|end|dirty
 *        front   links are in the first three quarters of a node
 *        end     they are its last words
 *        dirty   as front, but of a new node only the first word is written
 * Writes a line for each node, "L" it is kept or "X" it is lost, and its address
 * times 3, since no address is to be kept alive by these words; then "ready",
 * and waits for the end of its input.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NODES 3000
#define ROOTS 64
#define LINKS 4
#define NONE  (-1)
#define CODE  3

struct node {
	uintptr_t code; /* address times CODE; 0: none */
	unsigned nwords;
	int link[LINKS];
	unsigned at[LINKS]; /* which word of it a link is */
};

static struct node nodes[NODES];
void *volatile roots[ROOTS];
static int root_of[ROOTS];
static int is_kept[NODES];
static unsigned long state;
static int is_at_end, is_dirty;

static unsigned next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 11);
}

static void **node_at(int i)
{
	return (void **)(nodes[i].code / CODE);
}

static void link_to(int from, int k, int to)
{
	struct node *n = &nodes[from];

	if (!nodes[to].code || from == to || n->nwords < 2 * LINKS)
		return;
	n->link[k] = to;
	n->at[k] = is_at_end ? n->nwords - 1 - (unsigned)k
			     : n->nwords / LINKS * (unsigned)k;
	node_at(from)[n->at[k]] = node_at(to);
}

static void make(int i)
{
	size_t limit = next_random() % 3 ? 300 : 2000;
	size_t bytes = 16 + next_random() % limit;
	void *p = malloc(bytes);
	int nlinks = (int)(next_random() % LINKS);

	if (!p)
		exit(1);
	memset(p, 0, is_dirty ? 8 : bytes);
	nodes[i].code = (uintptr_t)p * CODE;
	nodes[i].nwords = (unsigned)(bytes / 8);
	for (int k = 0; k < LINKS; k++)
		nodes[i].link[k] = NONE;
	for (int k = 0; k < nlinks; k++)
		link_to(i, k, (int)(next_random() % NODES));
}

/* whoever points at it does so no more */
static void drop(int i)
{
	for (int j = 0; j < NODES; j++)
		for (int k = 0; nodes[j].code && k < LINKS; k++)
			if (nodes[j].link[k] == i) {
				node_at(j)[nodes[j].at[k]] = NULL;
				nodes[j].link[k] = NONE;
			}
	for (int k = 0; k < ROOTS; k++)
		if (root_of[k] == i) {
			roots[k] = NULL;
			root_of[k] = NONE;
		}
	free(node_at(i));
	nodes[i].code = 0;
}

static __attribute__((noinline)) void operate(void)
{
	int i = (int)(next_random() % NODES);
	unsigned what = next_random() % 8;

	if (!nodes[i].code) {
		make(i);
	} else if (what < 3) {
		drop(i);
	} else if (what < 5) {
		int k = (int)(next_random() % ROOTS);

		roots[k] = node_at(i);
		root_of[k] = i;
	} else {
		link_to(i, (int)(next_random() % LINKS),
			(int)(next_random() % NODES));
	}
}

static void keep(int i)
{
	if (i == NONE || is_kept[i])
		return;
	is_kept[i] = 1;
	for (int k = 0; k < LINKS; k++)
		keep(nodes[i].link[k]);
}

/* what calls have left on the stack */
static __attribute__((noinline)) void wipe_stack(void)
{
	char bytes[100000];

	memset(bytes, 0, sizeof(bytes));
	__asm__ volatile("" : : "r"(bytes) : "memory");
}

static __attribute__((noinline)) void tell(void)
{
	char line[64];

	for (int i = 0; i < NODES; i++) {
		int n;

		if (!nodes[i].code)
			continue;
		n = snprintf(line, sizeof(line), "%c %lx\n",
			     is_kept[i] ? 'L' : 'X', nodes[i].code);
		if (write(1, line, (size_t)n) != n)
			exit(1);
	}
	memset(line, 0, sizeof(line));
}

int main(int argc, char **argv)
{
	char c;

	if (argc < 4)
		return 2;
	state = strtoul(argv[1], NULL, 10) * 2654435761UL + 88172645463325252UL;
	is_at_end = !strcmp(argv[3], "end");
	is_dirty = !strcmp(argv[3], "dirty");
	for (int k = 0; k < ROOTS; k++)
		root_of[k] = NONE;
	for (int n = atoi(argv[2]); n > 0; n--)
		operate();
	for (int k = 0; k < ROOTS; k++)
		keep(root_of[k]);
	tell();
	wipe_stack();
	if (write(1, "ready\n", 6) != 6)
		return 1;
	while (read(0, &c, 1) > 0)
		;
	return 0;
}
