/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Leaks: what marking did not reach, told into direct and indirect ones and
 * grouped by who allocated it; where that was not recorded, by cache and by what
 * they look like (shape.c).
 *
 * A leaked buffer is indirect when another leak points at it: freeing that one
 * properly would have freed this one.  In a ring everybody is pointed at, so
 * one must stand for it.  Formally: of each strongly connected part of the
 * graph of leaks that no other part points into, one buffer is direct.
 *
 * Two depth-first searches find them (the first half of Kosaraju's algorithm,
 * used as a search for mother vertices).  The first takes the buffers oldest
 * first and notes the order in which they are finished.  The second goes
 * through that order backwards: a buffer it has not been to yet is direct, and
 * it goes to all that this one reaches.  The last finished of the rest lies in a
 * part nobody points into; and of such a part the one finished last is the one
 * the first search entered it by, its oldest.
 *
 * Both searches keep their path themselves (a leaked list may be a million
 * long), and read the words of a buffer again rather than storing edges.
 *
 * What the second search comes to from a direct leak is leaked with it: it is
 * counted for ::findleaks -r.
 *
 * Cost: words of leaked buffers, four times at most; 57 bytes a leaked buffer,
 * 24 more for one that is direct, 24 for one without a stack while it is looked
 * at.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/interrupt.h"
#include "base/mem.h"
#include "base/progress.h"
#include "graph/edges.h"
#include "graph/shape.h"

/* that a record stands for, which lies anywhere */
#define RECORD_BYTES 65536u
#define BATCH        32u

/* a leaked buffer and what it is grouped by */
struct lost {
	size_t buf; /* index in the set */
	uint64_t stamp_ns;
	taddr_t cache;
	uint32_t stack;
	uint32_t kind; /* see struct leak */
	const char *shape;
	bool is_direct;
};

struct step {
	size_t buf;
	uint64_t offset; /* next edge to look at, or word */
};

struct finder {
	struct heap *heap;
	struct leaks *leaks;
	struct lost *lost; /* oldest first */
	size_t nlost;
	unsigned char *seen; /* of each buffer of the set: search number */
	struct step *path;
	size_t *finished;
	size_t nfinished;
	struct leak_root root; /* that the second search goes on from */
	VEC(struct leak_root) roots;
};

static int by_age(const void *a, const void *b)
{
	const struct lost *x = a;
	const struct lost *y = b;

	if (x->stamp_ns != y->stamp_ns)
		return x->stamp_ns < y->stamp_ns ? -1 : 1;
	return x->buf < y->buf ? -1 : x->buf > y->buf;
}

static int by_group(const void *a, const void *b)
{
	const struct lost *x = a;
	const struct lost *y = b;

	if (x->stack != y->stack)
		return x->stack < y->stack ? -1 : 1;
	if (x->cache != y->cache)
		return x->cache < y->cache ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return by_age(a, b);
}

/* an indirect leak goes away with a direct one: that is the one to look at */
static int by_weight(const void *a, const void *b)
{
	const struct leak *x = a;
	const struct leak *y = b;

	if (x->is_direct != y->is_direct)
		return x->is_direct ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	if (x->nbufs != y->nbufs)
		return x->nbufs > y->nbufs ? -1 : 1;
	return x->buf < y->buf ? -1 : x->buf > y->buf;
}

/* next_edge() when marking has noted where the words of a buffer point */
static size_t next_noted(const struct bufset *set, struct step *s,
			 const edge_t *edges, uint32_t n)
{
	while (s->offset < n) {
		edge_t edge = edges[s->offset++];
		size_t to = edge_buf(edge);

		if (edge_where(edge) != JUST_BEHIND &&
		    set->mark[to] == MARK_NONE)
			return to;
	}
	return BUFSET_NONE;
}

/* the leaked buffer that the next word of a step points at, or NONE */
static size_t next_edge(struct finder *f, struct step *s)
{
	const struct bufset *set = f->leaks->set;
	struct bufset_buf b = bufset_at(set, s->buf);
	uint32_t n = 0;
	const edge_t *edges =
		set->edges->first ? edges_of(set->edges, s->buf, &n) : NULL;

	/* marking looks at aligned words only */
	if (edges && b.addr % 8 == 0 &&
	    (n == 0 || edge_where(edges[0]) != UNTOLD))
		return next_noted(set, s, edges, n);
	size_t step = set->is_bytewise ? 1 : 8;
	size_t len = 0;
	const unsigned char *p = NULL;

	while (s->offset + 8 <= b.size_bytes) {
		uint64_t value = 0;

		if (len < 8) {
			p = target_peek(f->heap->target, b.addr + s->offset,
					&len);
			if (!p || len < 8)
				return BUFSET_NONE;
		}
		memcpy(&value, p, sizeof(value));
		p += step;
		len -= step;
		s->offset += step;
		size_t to = bufset_find(set, value);

		if (to != BUFSET_NONE && set->mark[to] == MARK_NONE)
			return to;
	}
	return BUFSET_NONE;
}

static uint64_t buf_bytes(const struct finder *f, size_t i)
{
	return bufset_at(f->leaks->set, i).size_bytes;
}

/* goes to everything that a leaked buffer reaches and that this search has not
 * been to; notes the order of finishing in the first search */
static struct err *search(struct finder *f, size_t from, unsigned char number)
{
	struct err *err = NULL;
	size_t depth = 0;

	f->path[depth++] = (struct step){from, 0};
	f->seen[from] = number;
	for (unsigned n = 0; !err && depth; n++) {
		size_t to = next_edge(f, &f->path[depth - 1]);

		if (to == BUFSET_NONE) {
			depth--;
			if (number == 1)
				f->finished[f->nfinished++] =
					f->path[depth].buf;
		} else if (f->seen[to] != number) {
			f->seen[to] = number;
			f->root.nbufs++;
			f->root.bytes += buf_bytes(f, to);
			f->path[depth++] = (struct step){to, 0};
		}
		if ((n & 0xffff) != 0)
			continue;
		progress_set("grouping leaks", f->nfinished, 0);
		err = interrupt_check();
	}
	return err;
}

static struct err *find_direct(struct finder *f, bool *is_direct)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < f->nlost; i++)
		if (f->seen[f->lost[i].buf] == 0)
			err = search(f, f->lost[i].buf, 1);
	for (size_t i = f->nfinished; !err && i-- > 0;) {
		if (f->seen[f->finished[i]] == 2)
			continue;
		is_direct[f->finished[i]] = true;
		f->root = (struct leak_root){.buf = f->finished[i]};
		err = search(f, f->finished[i], 2);
		VEC_PUSH(&f->roots, f->root);
	}
	return err;
}

/* a few leaked buffers, as the heap knows them, whose records are on their way
 * into the cache */
struct batch {
	size_t i[BATCH];
	struct heap_buf b[BATCH];
	unsigned n;
};

static void add_lost(struct finder *f, size_t i, const struct heap_buf *b)
{
	struct lost *lost = &f->lost[f->nlost++];
	struct heap_audit a = {0};

	lost->buf = i;
	lost->cache = b->cache ? b->cache : b->arena;
	if (f->heap->ops->audit && f->heap->ops->audit(f->heap, b, &a)) {
		lost->stamp_ns = a.stamp_ns;
		lost->stack = a.stack;
		target_passed(f->heap->target, RECORD_BYTES);
	}
}

static void add_batch(struct finder *f, struct batch *batch)
{
	bool is_live = target_info(f->heap->target)->is_live;

	for (unsigned k = 0; k < batch->n; k++) {
		struct heap_buf *b = &batch->b[k];
		size_t len = 0;

		bufset_get(f->heap, f->leaks->set, batch->i[k], b);
		if (b->ctl && !is_live)
			__builtin_prefetch(
				target_peek(f->heap->target, b->ctl, &len));
	}
	for (unsigned k = 0; k < batch->n; k++)
		add_lost(f, batch->i[k], &batch->b[k]);
	batch->n = 0;
}

static void collect_lost(struct finder *f)
{
	struct leaks *l = f->leaks;
	const struct bufset *set = l->set;
	struct batch batch = {.n = 0};
	uint64_t live_bytes = 0;

	for (size_t i = 0; i < set->n; i++) {
		uint64_t bytes = bufset_at_fast(set, i).size_bytes;

		live_bytes += bytes;
		if (set->mark[i] == MARK_INTERIOR) {
			l->ninterior++;
			l->interior_bytes += bytes;
		}
		if (set->mark[i] != MARK_NONE)
			continue;
		l->nbufs++;
		l->bytes += bytes;
		batch.i[batch.n++] = i;
		if (batch.n == BATCH)
			add_batch(f, &batch);
	}
	add_batch(f, &batch);
	l->nlive = set->n;
	l->live_bytes = live_bytes;
}

static void add_member(struct leak *leak, const struct bufset *set,
		       const struct lost *lost)
{
	uint64_t bytes = bufset_at(set, lost->buf).size_bytes;

	if (leak->nbufs == 0 || bytes < leak->min_bytes)
		leak->min_bytes = bytes;
	if (leak->nbufs == 0 || bytes > leak->max_bytes)
		leak->max_bytes = bytes;
	leak->members[leak->nbufs++] = lost->buf;
	leak->bytes += bytes;
	leak->ndirect += lost->is_direct;
	leak->is_direct = leak->ndirect > 0;
}

static bool is_one_group(const struct lost *a, const struct lost *b)
{
	return a->stack == b->stack && a->cache == b->cache &&
	       a->kind == b->kind;
}

/* consumes the order of lost */
static void group(struct leaks *l, struct lost *lost, size_t nlost)
{
	VEC(struct leak) leaks = {0};

	if (nlost)
		qsort(lost, nlost, sizeof(*lost), by_group);
	for (size_t i = 0; i < nlost;) {
		struct leak leak = {
			.buf = lost[i].buf,
			.stack = lost[i].stack,
			.cache = lost[i].cache,
			.kind = lost[i].kind,
			.shape = lost[i].shape,
		};
		size_t n = 1;

		while (i + n < nlost && is_one_group(&lost[i], &lost[i + n]))
			n++;
		leak.members = mem_array(n, sizeof(*leak.members));
		for (size_t k = 0; k < n; k++) {
			add_member(&leak, l->set, &lost[i + k]);
			if (lost[i + k].shape != leak.shape)
				leak.shape = NULL;
		}
		VEC_PUSH(&leaks, leak);
		i += n;
	}
	if (leaks.n)
		qsort(leaks.v, leaks.n, sizeof(*leaks.v), by_weight);
	l->v = leaks.v;
	l->n = leaks.n;
}

/* ---- by kind ------------------------------------------------------------- */

static int by_index(const void *a, const void *b)
{
	const struct shape_buf *x = a;
	const struct shape_buf *y = b;

	return x->buf < y->buf ? -1 : x->buf > y->buf;
}

/* gives every leak without a stack a kind, by what it looks like */
static struct err *find_shapes(struct finder *f)
{
	VEC(struct shape_buf) bufs = {0};
	struct err *err = NULL;

	for (size_t i = 0; i < f->nlost; i++) {
		struct shape_buf b = {f->lost[i].buf, f->lost[i].cache, 0};

		if (!f->lost[i].stack)
			VEC_PUSH(&bufs, b);
	}
	if (bufs.n)
		err = shapes_find(f->heap, f->leaks->set, bufs.v, bufs.n,
				  &f->leaks->shapes);
	if (bufs.n && !err)
		qsort(bufs.v, bufs.n, sizeof(*bufs.v), by_index);
	for (size_t i = 0; !err && i < f->nlost; i++) {
		struct shape_buf key = {.buf = f->lost[i].buf};
		const struct shape_buf *b =
			bufs.n ? bsearch(&key, bufs.v, bufs.n, sizeof(key),
					 by_index)
			       : NULL;

		if (!b)
			continue;
		f->lost[i].kind = b->shape;
		f->lost[i].shape = f->leaks->shapes->v.v[b->shape - 1].text;
	}
	VEC_FREE(&bufs);
	return err;
}

/* kinds that leaks_regroup() is told, beside those of shapes */
#define KIND_TOLD 0x80000000u

void leaks_regroup(struct leaks *leaks, leak_kind_fn *fn, void *arg)
{
	struct lost *lost = mem_array(leaks->nbufs + 1, sizeof(*lost));
	size_t n = 0;

	for (size_t i = 0; i < leaks->n; i++) {
		const struct leak *l = &leaks->v[i];

		for (size_t k = 0; k < l->nbufs; k++) {
			uint32_t told = l->stack ? 0 : fn(arg, l->members[k]);

			lost[n++] = (struct lost){
				.buf = l->members[k],
				.stamp_ns = k, /* the order in a group stays */
				.cache = l->cache,
				.stack = l->stack,
				.kind = told ? told | KIND_TOLD : l->kind,
				.shape = l->shape,
				.is_direct = leaks->set->mark[l->members[k]] !=
					     MARK_INDIRECT,
			};
		}
		mem_free(l->members);
	}
	mem_free(leaks->v);
	group(leaks, lost, n);
	mem_free(lost);
}

bool leaks_want_types(const struct leaks *leaks)
{
	return leaks->shapes != NULL;
}

static int by_held(const void *a, const void *b)
{
	const struct leak_root *x = a;
	const struct leak_root *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->buf < y->buf ? -1 : x->buf > y->buf;
}

static void take_roots(struct finder *f)
{
	if (f->roots.n)
		qsort(f->roots.v, f->roots.n, sizeof(*f->roots.v), by_held);
	f->leaks->lost = f->roots.v;
	f->leaks->nlost = f->roots.n;
}

static size_t count_unmarked(const struct bufset *set)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++)
		n += set->mark[i] == MARK_NONE;
	return n;
}

static struct err *sort_out(struct heap *heap, struct leaks *leaks)
{
	size_t n = count_unmarked(leaks->set);
	struct finder f = {.heap = heap, .leaks = leaks};
	_free_ bool *is_direct = mem_table(leaks->set->n + 1, sizeof(bool));

	f.lost = mem_table(n + 1, sizeof(*f.lost));
	f.path = mem_array(n + 1, sizeof(*f.path));
	f.finished = mem_array(n + 1, sizeof(*f.finished));
	f.seen = mem_table(leaks->set->n + 1, sizeof(*f.seen));
	collect_lost(&f);
	if (n)
		qsort(f.lost, f.nlost, sizeof(*f.lost), by_age);
	struct err *err = find_direct(&f, is_direct);

	mem_free(f.path);
	mem_free(f.finished);
	mem_free(f.seen);
	for (size_t i = 0; i < f.nlost; i++) {
		f.lost[i].is_direct = is_direct[f.lost[i].buf];
		if (!err && !f.lost[i].is_direct)
			leaks->set->mark[f.lost[i].buf] = MARK_INDIRECT;
	}
	take_roots(&f);
	if (!err)
		err = find_shapes(&f);
	if (!err)
		group(leaks, f.lost, f.nlost);
	mem_free(f.lost);
	return err;
}

/* the first reason why the numbers are no verdict */
static char *first_doubt(const struct heap *heap, const struct leaks *leaks)
{
	const struct target_info *info = target_info(heap->target);
	const struct heap_health *h = &heap->health;

	if (h->moment_ns)
		return mem_strdup(
			"contents and pointers are those of the dump, "
			"not of that moment");
	if (info->incomplete)
		return mem_printf("the dump is incomplete: %s",
				  info->incomplete);
	if (leaks->roots->nthreads_lost)
		return mem_strdup(leaks->roots->why);
	if (h->is_quiescent_known && !h->is_quiescent)
		return mem_strdup(
			"the allocator was in the middle of an operation");
	if (h->nfindings)
		return mem_printf("the allocator's structures are damaged: %s",
				  h->first_finding);
	if (h->doubt)
		return mem_strdup(h->doubt);
	if (leaks->roots->why)
		return mem_strdup(leaks->roots->why);
	if (leaks->stats.unread_bytes)
		return mem_printf(
			"%" PRIu64 " bytes of buffers are not in the dump, "
			"first of 0x%" PRIx64,
			leaks->stats.unread_bytes, leaks->stats.unread_at);
	return NULL;
}

static struct err *find(struct heap *heap, bool is_bytewise, struct leaks **ret)
{
	struct leaks *leaks = mem_zalloc(sizeof(*leaks));
	struct err *err = bufset_build(heap, &leaks->set);

	if (!err)
		leaks->set->is_bytewise = is_bytewise;
	if (!err)
		err = roots_build(heap, &leaks->roots);
	if (!err)
		err = mark_all(heap, leaks->roots, leaks->set, &leaks->stats);
	if (!err)
		err = sort_out(heap, leaks);
	if (err) {
		leaks_free(leaks);
		return err;
	}
	edges_free(leaks->set->edges);
	leaks->set->edges = NULL;
	leaks->inconclusive = first_doubt(heap, leaks);
	*ret = leaks;
	return NULL;
}

struct err *leaks_find(struct heap *heap, struct leaks **ret)
{
	return find(heap, false, ret);
}

struct err *leaks_find_bytewise(struct heap *heap, struct leaks **ret)
{
	return find(heap, true, ret);
}

void leaks_free(struct leaks *leaks)
{
	if (!leaks)
		return;
	for (size_t i = 0; i < leaks->n; i++)
		mem_free(leaks->v[i].members);
	mem_free(leaks->v);
	mem_free(leaks->lost);
	shapes_free(leaks->shapes);
	bufset_free(leaks->set);
	roots_free(leaks->roots);
	mem_free(leaks->inconclusive);
	mem_free(leaks);
}
