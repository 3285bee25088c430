/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a stack costs: kmem_unwind(), kmem_stack_intern() and the two with the
 * table of stacks seen before, kmem_stack_capture(), against glibc's
 * backtrace(), in one run.  Nanoseconds a call; medians of several rounds.
 *
 *   same     one stack again and again
 *   random   64 stacks of the same depth through different functions
 *
 * Built without frame pointers; links the objects of libkmem.
 */
#define _GNU_SOURCE
#include <execinfo.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kmem/kmem_internal.h"

#define ROUNDS 7
#define MAX    64

#define noinline __attribute__((noinline))

enum way {
	WAY_NONE,
	WAY_UNWIND,
	WAY_INTERN,
	WAY_CAPTURE,
	WAY_BACKTRACE,
	WAY_MAX
};

static const char *const way_name[WAY_MAX] = {
	[WAY_NONE] = "nothing",
	[WAY_UNWIND] = "kmem_unwind",
	[WAY_INTERN] = "kmem_unwind + intern",
	[WAY_CAPTURE] = "kmem_stack_capture",
	[WAY_BACKTRACE] = "backtrace",
};

static enum way way;
static volatile unsigned sink;

static noinline void leaf(void)
{
	uintptr_t pcs[MAX];

	switch (way) {
	case WAY_NONE:
		break;
	case WAY_UNWIND:
		sink = kmem_unwind(pcs, MAX, 0);
		break;
	case WAY_INTERN:
		sink = kmem_stack_intern(pcs, kmem_unwind(pcs, MAX, 0));
		break;
	case WAY_CAPTURE:
		sink = kmem_stack_capture();
		break;
	case WAY_BACKTRACE:
		sink = (unsigned)backtrace((void **)pcs, MAX);
		break;
	case WAY_MAX:
		break;
	}
	__asm__ volatile("" ::: "memory");
}

/* two kinds of frame; which is taken at each level is a bit of the path */
static noinline void odd(unsigned depth, unsigned path);

static noinline void even(unsigned depth, unsigned path)
{
	if (depth == 0)
		leaf();
	else if (path & 1)
		odd(depth - 1, path >> 1);
	else
		even(depth - 1, path >> 1);
	__asm__ volatile("" ::: "memory");
}

static noinline void odd(unsigned depth, unsigned path)
{
	volatile char room[72];

	room[0] = 1;
	if (depth == 0)
		leaf();
	else if (path & 1)
		odd(depth - 1, path >> 1);
	else
		even(depth - 1, path >> 1);
	room[1] = room[0];
}

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

static double measure(enum way w, unsigned depth, bool is_random)
{
	unsigned calls = w == WAY_BACKTRACE ? 3000 : 60000;
	unsigned paths[64];
	double ns[ROUNDS];
	unsigned r;
	unsigned i;

	way = w;
	srand(1);
	for (i = 0; i < 64; i++)
		paths[i] = is_random ? (unsigned)rand() : 0x2a5a5;
	for (r = 0; r < ROUNDS; r++) {
		double start = now_ns();

		for (i = 0; i < calls; i++)
			even(depth, paths[(i * 2654435761u) >> 26]);
		ns[r] = (now_ns() - start) / calls;
	}
	qsort(ns, ROUNDS, sizeof(ns[0]), by_size);
	return ns[ROUNDS / 2];
}

static unsigned frames_at(unsigned depth)
{
	way = WAY_UNWIND;
	even(depth, 0);
	return sink;
}

int main(void)
{
	static const unsigned depths[] = {3, 8, 18, 38};
	unsigned d;
	int w;

	kmem_init();
	printf("%-22s %6s %10s %10s %10s %10s\n", "way", "frames", "same ns",
	       "random ns", "same/frame", "rand/frame");
	for (d = 0; d < sizeof(depths) / sizeof(depths[0]); d++) {
		unsigned n = frames_at(depths[d]);
		double base[2] = {measure(WAY_NONE, depths[d], false),
				  measure(WAY_NONE, depths[d], true)};

		for (w = WAY_UNWIND; w < WAY_MAX; w++) {
			double same = measure((enum way)w, depths[d], false) -
				      base[0];
			double rnd =
				measure((enum way)w, depths[d], true) - base[1];

			printf("%-22s %6u %10.1f %10.1f %10.1f %10.1f\n",
			       way_name[w], n, same, rnd, same / n, rnd / n);
		}
	}
	return 0;
}
