/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What every buffer points at, listed before anything is followed.
 *
 * Who follows pointers jumps about in memory, and each jump is a miss of every
 * cache there is, and of the tables of pages behind them.  So the memory of the
 * dump is gone through once, in the order of addresses, and for each word that
 * points at a buffer an edge is noted: the number of that buffer in four bytes.
 * What is followed then (mark.c) is edges, which are a tenth of the memory they
 * stand for.  Half of the buffers have none; those need not be looked at again.
 *
 * Edges of buffers that nobody reaches are listed and not followed.
 *
 * Left for later (LATER), to be looked at when they are reached, are the few
 * large buffers, what is not one piece of mapped bytes of the dump, and all when
 * every byte is to be looked at or there are more than EDGE_BUFS.
 *
 * Cost: 4 bytes a buffer, and 4 for each word that points at one: half of the
 * memory looked at, at most.
 */
#include <string.h>
#include "base/jobs.h"
#include "graph/mark_impl.h"

/* that one table has room for */
#define TABLE_EDGES ((size_t)4 << 20)

/* words that are looked up side by side, and that are looked through at a time
 */
#define BATCH 256u
#define STEP  64u

struct lister {
	struct marker *m;
	uint32_t *first; /* of the slice's buffers */
	uint32_t next;   /* of which it is to be set */
	VEC(edge_t) edges;
	/* words that may point at a buffer, and the place of whose they are in
	 * the slice */
	uint64_t value[BATCH + STEP];
	uint32_t from[BATCH + STEP];
	unsigned n;
	const struct bufset_run *run;
	struct peeker peeker;
};

/* from now on edges are those of a later buffer */
static void go_to(struct lister *l, uint32_t to)
{
	while (l->next <= to)
		l->first[l->next++] = (uint32_t)l->edges.n;
}

/* looks up what was gathered; what is needed for all is asked for first */
static void look_up(struct lister *l)
{
	const struct bufset *set = l->m->set;
	unsigned n = 0;

	for (unsigned i = 0; i < l->n; i++) {
		l->value[n] = l->value[i];
		l->from[n] = l->from[i];
		n += mark_foresee(set, &l->run, l->value[i]);
	}
	for (unsigned i = 0; i < n; i++) {
		struct hit hit;

		if (!mark_find(set, &l->run, l->value[i], &hit))
			continue;
		go_to(l, l->from[i]);
		VEC_PUSH(&l->edges, hit.buf | (edge_t)hit.where << EDGE_BITS);
	}
	l->n = 0;
}

/* which of the words at p may be a pointer is not to be foreseen: so there is
 * no branch on it */
static void gather(struct lister *l, const unsigned char *p, uint64_t nwords,
		   uint32_t from)
{
	taddr_t lo = l->m->lo;
	taddr_t span = l->m->span;
	unsigned n = l->n;

	for (uint64_t i = 0; i < nwords; i++) {
		uint64_t value = 0;

		memcpy(&value, p + i * WORD, WORD);
		l->value[n] = value;
		l->from[n] = from;
		n += value - lo < span;
	}
	l->n = n;
	if (n >= BATCH)
		look_up(l);
}

/* false: it is to be left for later */
static bool list_buf(struct lister *l, struct bufset_buf b, uint32_t from)
{
	taddr_t at = (b.addr + WORD - 1) & ~(taddr_t)(WORD - 1);
	uint64_t nwords = 0;
	uint64_t len = 0;
	const unsigned char *p = NULL;

	if (at >= b.addr + b.size_bytes)
		return true;
	nwords = (b.addr + b.size_bytes - at) / WORD;
	if (nwords == 0)
		return true;
	if (b.size_bytes > RANGE_BYTES)
		return false;
	p = peeker_at(&l->peeker, l->m->heap->target, at, &len);
	if (!p || len / WORD < nwords)
		return false;
	for (; nwords > STEP; nwords -= STEP, p += STEP * WORD)
		gather(l, p, STEP, from);
	gather(l, p, nwords, from);
	return true;
}

/* a copy of a slice's edges that lies close to those of others */
static edge_t *keep(struct edges *e, const edge_t *v, size_t n)
{
	edge_t *to = NULL;

	if (n == 0)
		return NULL;
	(void)pthread_mutex_lock(&e->lock);
	if (e->nfree < n) {
		e->nfree = n > TABLE_EDGES ? n : TABLE_EDGES;
		e->free = mem_table(e->nfree, sizeof(*e->free));
		VEC_PUSH(&e->tables, e->free);
	}
	to = e->free;
	e->free += n;
	e->nfree -= n;
	(void)pthread_mutex_unlock(&e->lock);
	memcpy(to, v, n * sizeof(*v));
	return to;
}

/* for later; words of it may be on their way */
static void leave(struct lister *l, uint32_t i)
{
	look_up(l);
	go_to(l, i);
	VEC_PUSH(&l->edges, (edge_t)UNTOLD << EDGE_BITS);
}

static void list_slice(void *arg, size_t slice)
{
	struct marker *m = arg;
	const struct bufset *set = m->set;
	size_t start = slice * EDGE_SLICE;
	uint32_t n = set->n - start < EDGE_SLICE ? (uint32_t)(set->n - start)
						 : EDGE_SLICE;
	unsigned char *mark = set->mark + start;
	struct lister l = {
		.m = m,
		.first = set->edges->first + start + slice,
	};

	for (uint32_t i = 0; i < n; i++)
		if (!list_buf(&l, bufset_at_fast(set, start + i), i)) {
			leave(&l, i);
			mark[i] = LATER;
		}
	look_up(&l);
	go_to(&l, n);
	for (uint32_t i = 0; i < n; i++)
		if (l.first[i] == l.first[i + 1])
			mark[i] = LEAF;
	set->edges->of[slice] = keep(set->edges, l.edges.v, l.edges.n);
	VEC_FREE(&l.edges);
	target_passed(m->heap->target,
		      bufset_end(set, start + n - 1) - bufset_addr(set, start));
}

struct err *edges_build(struct marker *m)
{
	struct bufset *set = m->set;
	struct edges *e = mem_zalloc(sizeof(*e));

	set->edges = e;
	e->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	if (set->is_bytewise || set->n > EDGE_BUFS) {
		memset(set->mark, LATER, set->n);
		return NULL;
	}
	e->nslices = (set->n + EDGE_SLICE - 1) / EDGE_SLICE;
	e->of = mem_array(e->nslices, sizeof(*e->of));
	e->first = mem_table(set->n + e->nslices + 1, sizeof(*e->first));
	return jobs_each("looking for pointers", e->nslices, EDGE_SLICE,
			 list_slice, m);
}

void edges_free(struct edges *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->tables.n; i++)
		mem_free(e->tables.v[i]);
	VEC_FREE(&e->tables);
	mem_free(e->of);
	mem_free(e->first);
	mem_free(e);
}
