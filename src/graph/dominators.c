/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Dominators: which buffer would take which with it.
 *
 * A buffer d dominates b when every way from the roots to b goes through d; the
 * last such d is b's immediate dominator.  They make a tree, whose root stands
 * for all roots.  What is below d in it is what would be free if d were: the
 * bytes that d retains.
 *
 * The algorithm is the one Georgiadis calls semi-NCA, a simpler half of that of
 * Lengauer and Tarjan (1979).
 *
 *  1. A depth-first search numbers the buffers as it enters them and notes for
 *     each edge where it came from.  It keeps its path itself and reads the
 *     words of a buffer where it left off, as in leak.c.
 *  2. From the last number to the first: the semidominator of w is the smallest
 *     number from which a way leads to w through larger numbers only.  It is
 *     the least, over the buffers v that point at w, of the semidominators met
 *     from v up the tree of the search as far as numbers above w: a forest
 *     whose paths are compressed as they are walked (eval).
 *  3. From the first number on: the immediate dominator is the nearest ancestor
 *     of w in the dominator tree whose number is not above its semidominator.
 *  4. From the last on: bytes and buffers are added to those of the dominator.
 *
 * Invariants: (I1) parent[w] < w and idom[w] < w, so that one pass down or up
 * the numbers sees dominators before, or after, what they dominate.  (I2) while
 * w is at hand, semi[v] of v > w is final, and anc[v] leads up the search tree.
 *
 * Cost: words of roots and reachable buffers once; O(edges log buffers) in
 * time for steps 1 and 2, and linear in practice.  While it works 32 bytes a
 * buffer and 12 an edge; 20 bytes a buffer are kept.
 */
#include "graph/dominators.h"

#include <string.h>

#include "base/interrupt.h"
#include "base/mem.h"
#include "base/progress.h"

struct edge {
	uint32_t from, to; /* numbers */
};

/* a buffer on the path of the search, and where to read on */
struct path_step {
	uint32_t number;
	uint64_t offset;
};

struct finder {
	struct heap *heap;
	const struct reach *reach;
	const struct bufset *set;
	struct dominators *dom;
	unsigned char *is_held; /* of each buffer: a root points at it */
	VEC(struct path_step) path;
	VEC(struct edge) edges;
	uint32_t *parent; /* by number, as all below */
	uint32_t *semi, *label, *anc;
	uint32_t *first, *pred; /* who points at w: pred[first[w]..] */
	VEC(uint32_t) walked;   /* by eval() */
};

static bool is_node(const struct finder *f, size_t i)
{
	enum hold hold = reach_hold(f->reach, i);

	return hold != HOLD_NONE && hold != HOLD_LEAK;
}

/* the buffer that a word keeps, or NONE */
static size_t target_of(const struct finder *f, uint64_t value)
{
	size_t i = bufset_find(f->set, value);

	if (i == BUFSET_NONE) {
		i = bufset_find_past(f->set, value);
		if (i != BUFSET_NONE && reach_hold(f->reach, i) != HOLD_PAST)
			i = BUFSET_NONE;
	}
	return i != BUFSET_NONE && is_node(f, i) ? i : BUFSET_NONE;
}

/* ---- 1. numbers and edges -------------------------------------------- */

static struct err *hold_word(void *arg, taddr_t at, uint64_t value)
{
	struct finder *f = arg;
	size_t i = target_of(f, value);

	(void)at;
	if (i != BUFSET_NONE)
		f->is_held[i] = 1;
	return NULL;
}

static struct err *find_held(struct finder *f)
{
	const struct roots *roots = f->reach->leaks->roots;
	struct err *err = NULL;

	for (size_t i = 0; !err && i < roots->n; i++) {
		const struct root *r = &roots->v[i];

		if (r->start == r->end)
			err = hold_word(f, 0, r->value);
		else
			err = words_scan(f->heap->target, r->start, r->end,
					 hold_word, f, NULL);
	}
	return err;
}

/* the next buffer that one on the path points at, or NONE */
static size_t next_edge(struct finder *f, struct path_step *s)
{
	struct bufset_buf b = bufset_at(f->set, f->dom->buf[s->number]);
	const unsigned char *p = NULL;
	size_t len = 0;

	while (s->offset + 8 <= b.size_bytes) {
		uint64_t value = 0;

		if (len < 8) {
			p = target_peek(f->heap->target, b.addr + s->offset,
					&len);
			if (!p || len < 8)
				return BUFSET_NONE;
		}
		memcpy(&value, p, sizeof(value));
		p += 8;
		len -= 8;
		s->offset += 8;
		size_t to = target_of(f, value);

		if (to != BUFSET_NONE)
			return to;
	}
	return BUFSET_NONE;
}

static void enter(struct finder *f, size_t i, uint32_t parent)
{
	uint32_t number = ++f->dom->n;
	struct path_step s = {number, 0};

	f->dom->number[i] = number;
	f->dom->buf[number] = (uint32_t)i;
	f->parent[number] = parent;
	VEC_PUSH(&f->path, s);
}

static void add_edge(struct finder *f, uint32_t from, uint32_t to)
{
	struct edge e = {from, to};
	const struct edge *last =
		f->edges.n ? &f->edges.v[f->edges.n - 1] : NULL;

	if (from != to && !(last && last->from == from && last->to == to))
		VEC_PUSH(&f->edges, e);
}

static struct err *search(struct finder *f, size_t from)
{
	enter(f, from, 0);
	for (unsigned n = 0; f->path.n; n++) {
		struct path_step *s = &f->path.v[f->path.n - 1];
		uint32_t number = s->number;
		size_t to = next_edge(f, s);

		if (to == BUFSET_NONE)
			f->path.n--;
		else if (f->dom->number[to] == 0)
			enter(f, to, number);
		else
			add_edge(f, number, f->dom->number[to]);
		if ((n & 0xffff) != 0)
			continue;
		struct err *err = interrupt_check();

		progress_set("looking for dominators", f->dom->n, f->set->n);
		if (err)
			return err;
	}
	return NULL;
}

static struct err *number_all(struct finder *f)
{
	struct err *err = find_held(f);

	for (size_t i = 0; !err && i < f->set->n; i++)
		if (f->is_held[i] && f->dom->number[i] == 0)
			err = search(f, i);
	for (size_t i = 0; !err && i < f->set->n; i++)
		if (f->is_held[i])
			add_edge(f, 0, f->dom->number[i]);
	return err;
}

/* edges by where they lead */
static void sort_edges(struct finder *f)
{
	uint32_t n = f->dom->n;
	uint32_t *fill = NULL;

	f->first = mem_array((size_t)n + 2, sizeof(*f->first));
	f->pred = mem_array(f->edges.n + 1, sizeof(*f->pred));
	for (size_t i = 0; i < f->edges.n; i++)
		f->first[f->edges.v[i].to + 1]++;
	for (size_t w = 1; w <= (size_t)n + 1; w++)
		f->first[w] += f->first[w - 1];
	fill = mem_array((size_t)n + 2, sizeof(*fill));
	memcpy(fill, f->first, ((size_t)n + 2) * sizeof(*fill));
	for (size_t i = 0; i < f->edges.n; i++)
		f->pred[fill[f->edges.v[i].to]++] = f->edges.v[i].from;
	mem_free(fill);
	VEC_FREE(&f->edges);
}

/* ---- 2. semidominators ----------------------------------------------- */

/* the one of v and its ancestors above `than` whose semidominator is least */
static uint32_t eval(struct finder *f, uint32_t v, uint32_t than)
{
	f->walked.n = 0;
	while (f->anc[v] > than) {
		VEC_PUSH(&f->walked, v);
		v = f->anc[v];
	}
	for (size_t i = f->walked.n; i-- > 0;) {
		uint32_t below = f->walked.v[i];

		if (f->semi[f->label[v]] < f->semi[f->label[below]])
			f->label[below] = f->label[v];
		f->anc[below] = f->anc[v];
		v = below;
	}
	return f->label[v];
}

static void find_semi(struct finder *f)
{
	uint32_t n = f->dom->n;

	for (uint32_t v = 0; v <= n; v++) {
		f->semi[v] = v;
		f->label[v] = v;
		f->anc[v] = f->parent[v];
	}
	for (uint32_t w = n; w > 0; w--) {
		uint32_t least = f->parent[w];

		for (uint32_t i = f->first[w]; i < f->first[w + 1]; i++) {
			uint32_t v = f->pred[i];
			uint32_t semi = v > w ? f->semi[eval(f, v, w)] : v;

			if (semi < least)
				least = semi;
		}
		f->semi[w] = least;
	}
}

/* ---- 3. and 4. ------------------------------------------------------- */

static void find_idom(struct finder *f)
{
	uint32_t *idom = f->dom->idom;

	for (uint32_t w = 1; w <= f->dom->n; w++) {
		uint32_t d = f->parent[w];

		while (d > f->semi[w])
			d = idom[d];
		idom[w] = d;
	}
}

static void add_up(struct finder *f)
{
	struct dominators *dom = f->dom;

	for (uint32_t w = dom->n; w > 0; w--) {
		dom->bytes[w] += bufset_at(f->set, dom->buf[w]).size_bytes;
		dom->nbufs[w]++;
		dom->bytes[dom->idom[w]] += dom->bytes[w];
		dom->nbufs[dom->idom[w]] += dom->nbufs[w];
	}
}

static void find_tree(struct finder *f)
{
	size_t n = (size_t)f->dom->n + 1;

	sort_edges(f);
	f->semi = mem_array(n, sizeof(*f->semi));
	f->label = mem_array(n, sizeof(*f->label));
	f->anc = mem_array(n, sizeof(*f->anc));
	find_semi(f);
	f->dom->idom = mem_array(n, sizeof(*f->dom->idom));
	f->dom->bytes = mem_array(n, sizeof(*f->dom->bytes));
	f->dom->nbufs = mem_array(n, sizeof(*f->dom->nbufs));
	find_idom(f);
	add_up(f);
}

struct err *dominators_build(struct heap *heap, const struct reach *reach,
			     struct dominators **ret)
{
	struct dominators *dom = mem_zalloc(sizeof(*dom));
	const struct bufset *set = reach->leaks->set;
	struct finder f = {
		.heap = heap, .reach = reach, .set = set, .dom = dom};

	dom->number = mem_array(set->n + 1, sizeof(*dom->number));
	dom->buf = mem_array(set->n + 1, sizeof(*dom->buf));
	f.parent = mem_array(set->n + 1, sizeof(*f.parent));
	f.is_held = mem_array(set->n + 1, sizeof(*f.is_held));
	struct err *err = number_all(&f);

	if (!err && f.edges.n >= UINT32_MAX)
		err = err_new(ERR_NOSUP, "more than 4 billion pointers");
	if (!err)
		find_tree(&f);
	VEC_FREE(&f.path);
	VEC_FREE(&f.edges);
	VEC_FREE(&f.walked);
	mem_free(f.is_held);
	mem_free(f.parent);
	mem_free(f.semi);
	mem_free(f.label);
	mem_free(f.anc);
	mem_free(f.first);
	mem_free(f.pred);
	if (err) {
		dominators_free(dom);
		return err;
	}
	*ret = dom;
	return NULL;
}

void dominators_free(struct dominators *dom)
{
	if (!dom)
		return;
	mem_free(dom->number);
	mem_free(dom->buf);
	mem_free(dom->idom);
	mem_free(dom->bytes);
	mem_free(dom->nbufs);
	mem_free(dom);
}
