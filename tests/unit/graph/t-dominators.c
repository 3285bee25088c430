/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Ways and dominators of random graphs, against searches that cannot be wrong:
 * d dominates b when b is not reached any more once d is taken away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <elf.h>
#include <string.h>
#include "base/mem.h"
#include "graph/dominators.h"

#define HEAP   0x10000000ULL
#define DATA   0x20000000ULL
#define N      24
#define WORDS  8
#define BUF(i) (HEAP + (uint64_t)(i)*128) /* 64 bytes each */

struct graph {
	uint64_t heap[N * 16];
	uint64_t data[N];
	bool has[N][N]; /* edges */
	bool root[N];
	struct target *t;
	struct heap *h;
	struct leaks *l;
	struct reach *r;
	struct dominators *d;
};

static uint32_t seed = 1;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

/* nroots and nedges: about so many */
static void make(struct graph *g, unsigned nroots, unsigned nedges)
{
	struct heap_fake_buf bufs[N];
	static const struct heap_range own = {HEAP, HEAP + sizeof(g->heap)};

	memset(g, 0, sizeof(*g));
	for (unsigned i = 0; i < N; i++)
		bufs[i] = (struct heap_fake_buf){BUF(i), 64, BUF_ALLOCATED, 1};
	for (unsigned i = 0; i < nroots; i++) {
		unsigned to = rnd(N);

		g->data[i] = BUF(to);
		g->root[to] = true;
	}
	for (unsigned i = 0; i < nedges; i++) {
		unsigned from = rnd(N);
		unsigned to = rnd(N);
		uint64_t *word = &g->heap[from * 16 + rnd(WORDS)];

		if (*word)
			continue;
		*word = BUF(to) + (rnd(3) ? 0 : 8);
		g->has[from][to] = true;
	}
	g->t = target_mem_create();
	target_mem_add(g->t, HEAP, g->heap, sizeof(g->heap), PF_R | PF_W);
	target_mem_add(g->t, DATA, g->data, sizeof(g->data), PF_R | PF_W);
	g->h = heap_fake_create(g->t, NULL, bufs, N, &own, 1);
	assert_null(leaks_find(g->h, &g->l));
	assert_null(reach_build(g->h, g->l, &g->r));
	assert_null(reach_dominators(g->h, g->r, &g->d));
}

static void drop(struct graph *g)
{
	reach_free(g->r);
	leaks_free(g->l);
	heap_close(g->h);
	target_close(g->t);
}

/* how many steps lead to each without one of them; 0: none */
static void distances(const struct graph *g, unsigned without, unsigned *ret)
{
	bool is_changed = true;

	for (unsigned i = 0; i < N; i++)
		ret[i] = g->root[i] && i != without;
	while (is_changed) {
		is_changed = false;
		for (unsigned i = 0; i < N; i++)
			for (unsigned k = 0; k < N; k++) {
				if (!ret[i] || !g->has[i][k] || k == without ||
				    (ret[k] && ret[k] <= ret[i] + 1))
					continue;
				ret[k] = ret[i] + 1;
				is_changed = true;
			}
	}
}

static unsigned way_length(const struct graph *g, size_t i)
{
	unsigned n = 0;

	for (; i != BUFSET_NONE; i = reach_from(g->r, i))
		n++;
	return n;
}

static void check_ways(const struct graph *g)
{
	unsigned dist[N];

	distances(g, N, dist);
	for (unsigned i = 0; i < N; i++) {
		bool is_live = reach_hold(g->r, i) == HOLD_ANON;

		assert_int_equal(is_live, dist[i] > 0);
		if (is_live)
			assert_int_equal(way_length(g, i), dist[i]);
		else
			assert_int_equal(reach_hold(g->r, i), HOLD_LEAK);
	}
}

static void check_dominators(const struct graph *g)
{
	unsigned dist[N];
	unsigned all[N];
	uint64_t bytes;

	distances(g, N, all);
	for (unsigned d = 0; d < N; d++) {
		uint32_t number = g->d->number[d];

		assert_int_equal(number > 0, all[d] > 0);
		distances(g, d, dist);
		bytes = 0;
		for (unsigned i = 0; i < N; i++) {
			uint32_t w = g->d->number[i];

			if (!all[i] || !number)
				continue;
			while (w > number)
				w = g->d->idom[w];
			assert_int_equal(w == number, dist[i] == 0);
			bytes += dist[i] == 0 ? 64 : 0;
		}
		if (number)
			assert_int_equal(g->d->bytes[number], bytes);
	}
}

static void of_random_graphs(void **state)
{
	struct graph *g = mem_zalloc(sizeof(*g));
	unsigned nlive = 0;

	(void)state;
	for (unsigned i = 0; i < 600; i++) {
		make(g, 1 + rnd(4), rnd(N * 3));
		check_ways(g);
		check_dominators(g);
		nlive += g->d->n;
		drop(g);
	}
	assert_true(nlive > 2000);
	mem_free(g);
}

static void of_nothing(void **state)
{
	struct graph *g = mem_zalloc(sizeof(*g));

	(void)state;
	make(g, 0, 40);
	assert_int_equal(g->d->n, 0);
	check_ways(g);
	drop(g);
	mem_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_random_graphs),
		cmocka_unit_test(of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
