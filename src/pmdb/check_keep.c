/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who keeps whom.  An indirect leak goes away with the direct one that it hangs
 * on, so what is decided of that one, that it fails, or is suppressed, holds for
 * it too.
 *
 * The items are a graph: an edge where a buffer of one points at a buffer of
 * another.  Each indirect item is reached from a direct one.  A breadth-first
 * search from the direct ones, largest first, gives each a keeper, in a forest
 * whose roots are direct: so what a direct leak keeps is counted once.  A search
 * from those in each state, worst state first, gives each the worst state of
 * all that keep it: one that hangs on two fails if either does.
 */
#include "pmdb/check_impl.h"

#include <stdlib.h>

struct search {
	struct verdict *v;
	size_t *first; /* of each item, and one more: its edges */
	size_t *queue;
	bool *is_seen;
	size_t n; /* in the queue */
};

static int by_from(const void *a, const void *b)
{
	const struct item_edge *x = a;
	const struct item_edge *y = b;

	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return x->to < y->to ? -1 : x->to > y->to;
}

static void search_init(struct search *s, struct verdict *v)
{
	size_t edge = 0;

	s->v = v;
	s->n = 0;
	s->first = mem_array(v->items.n + 1, sizeof(*s->first));
	s->queue = mem_array(v->items.n + 1, sizeof(*s->queue));
	s->is_seen = mem_array(v->items.n + 1, sizeof(*s->is_seen));
	if (v->edges.n)
		qsort(v->edges.v, v->edges.n, sizeof(*v->edges.v), by_from);
	for (size_t i = 0; i <= v->items.n; i++) {
		while (edge < v->edges.n && v->edges.v[edge].from < i)
			edge++;
		s->first[i] = edge;
	}
}

static void search_fini(struct search *s)
{
	mem_free(s->first);
	mem_free(s->queue);
	mem_free(s->is_seen);
}

/* begins at an item, which nobody has come to yet */
static void enter(struct search *s, size_t i)
{
	if (s->is_seen[i])
		return;
	s->is_seen[i] = true;
	s->queue[s->n++] = i;
}

typedef void reach_fn(struct search *s, size_t from, size_t to);

/* goes to what is reached from the queue's items, from *at on */
static void spread(struct search *s, size_t *at, reach_fn *fn)
{
	for (; *at < s->n; (*at)++) {
		size_t from = s->queue[*at];

		for (size_t e = s->first[from]; e < s->first[from + 1]; e++) {
			size_t to = s->v->edges.v[e].to;

			if (s->is_seen[to])
				continue;
			enter(s, to);
			fn(s, from, to);
		}
	}
}

static void take_keeper(struct search *s, size_t from, size_t to)
{
	s->v->items.v[to].kept_by = from;
}

void check_keepers(struct verdict *v)
{
	struct search s;
	size_t at = 0;

	search_init(&s, v);
	for (size_t i = 0; i < v->items.n; i++)
		if (v->items.v[i].kind == ITEM_LEAK)
			enter(&s, i);
	spread(&s, &at, take_keeper);
	/* the last reached first: what it keeps has been added to it */
	for (size_t i = s.n; i-- > 0;) {
		struct item *item = &v->items.v[s.queue[i]];

		if (item->kept_by == ITEM_NONE)
			continue;
		struct item *keeper = &v->items.v[item->kept_by];

		keeper->kept_bufs += item->nbufs + item->kept_bufs;
		keeper->kept_bytes += item->bytes + item->kept_bytes;
	}
	search_fini(&s);
}

static void take_state(struct search *s, size_t from, size_t to)
{
	struct item *item = &s->v->items.v[to];

	item->followed = s->v->items.v[from].followed;
	if (item->is_follower)
		item->state = item->followed;
}

void check_follow(struct verdict *v)
{
	struct search s;
	size_t at = 0;

	search_init(&s, v);
	for (int state = ITEM_FAILS; state < ITEM_STATES; state++) {
		for (size_t i = 0; i < v->items.n; i++) {
			struct item *item = &v->items.v[i];

			if (item->kind != ITEM_LEAK ||
			    (int)item->state != state)
				continue;
			item->followed = item->state;
			enter(&s, i);
		}
		spread(&s, &at, take_state);
	}
	search_fini(&s);
}
