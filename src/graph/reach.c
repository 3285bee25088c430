/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Why each buffer is alive: the shortest of the surest ways to it.
 *
 * Marking says that a buffer is reached; this says how.  The roots are told into
 * what they are, and looked at from the surest to the weakest:
 *
 *   data       variables of objects          anon  memory the program mapped;
 *   tls        thread-local memory                 nobody explains it
 *   stack      frames, less what is dead     dead  the rest of a frame, where no
 *   register                                       variable is (stackmap.h)
 *
 * and at last pointers to just behind a buffer ("past").  A breadth-first search
 * goes on from each before the next weaker kind is looked at: a buffer's kind is
 * the surest it hangs on, and its way the shortest of that kind.  data, tls,
 * stack and register are equally sure and searched as one; of two ways of the
 * same length the kind named first wins, then the lower address.
 *
 * When all that lives is known, the search goes on from the leaks that are
 * direct, so that each buffer that is leaked with another has a way, too.
 *
 *      root word ──► a ──► b          from[b] = a   from[a] = ROOT | k
 *                    └───► c          holders[k] = the root word
 *
 * Between two ways of the same length the one whose last step is exact wins:
 * such a buffer is told from one that only interior pointers hold.
 *
 * Invariants: (I1) from[] leads to a root, or a direct leak, without a ring: it
 * is only set to a buffer that was reached at an earlier level, or earlier kind.
 * (I2) how[i] is HOLD_NONE, or what i hangs on; CANDIDATE stands for the first
 * while an end of i was pointed at, and from[i] says by whom.
 * (I3) each buffer is looked into once.
 *
 * reach_search.c goes from level to level, reach_collect.c looks at the words of
 * one, on all processors; here are the roots, and the answers.
 *
 * Cost: each word of roots and buffers once; 5 bytes a buffer, two lists of
 * those of one level, 16 bytes for each that a root holds.
 */
#include "graph/reach.h"

#include <stdlib.h>

#include "graph/dominators.h"
#include "graph/reach_impl.h"

/* of a thread's descriptor, if glibc does not say */
#define DESCRIPTOR_BYTES 2304u

/* ---- what the roots are ---------------------------------------------- */

struct overlay {
	taddr_t start, end;
	enum hold hold;
	uint32_t tid;
};

struct overlays {
	VEC(struct overlay) v; /* ascending, disjoint */
	uint32_t tid;
};

static struct err *add_block(void *arg, const struct object *object,
			     taddr_t start, taddr_t end)
{
	struct overlays *o = arg;
	struct overlay x = {start, end, HOLD_TLS, o->tid};

	(void)object;
	VEC_PUSH(&o->v, x);
	return NULL;
}

static uint32_t descriptor_bytes(const struct heap *heap)
{
	struct symbol sym;
	uint32_t n = 0;

	if (!types_symbol_named(heap->types, NULL, "_thread_db_sizeof_pthread",
				&sym))
		return DESCRIPTOR_BYTES;
	_err_free_ struct err *err =
		target_read(heap->target, sym.value, &n, sizeof(n));

	return err || n > 65536 ? DESCRIPTOR_BYTES : n;
}

static int by_start(const void *a, const void *b)
{
	const struct overlay *x = a;
	const struct overlay *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static struct err *find_overlays(const struct heap *heap,
				 const struct stackmap *stacks,
				 struct overlays *ret)
{
	uint32_t bytes = heap->types ? descriptor_bytes(heap) : 0;
	struct err *err = NULL;
	size_t kept = 0;

	for (size_t i = 0; !err && i < target_nthreads(heap->target); i++) {
		const struct target_thread *th = target_thread(heap->target, i);

		if (!heap->types || !th->has_regs || th->regs_partial)
			continue;
		ret->tid = th->tid;
		err = types_tls_blocks(heap->types, th, add_block, ret);
		if (th->regs.fs_base)
			err_free(add_block(ret, NULL, th->regs.fs_base,
					   th->regs.fs_base + bytes));
	}
	for (size_t i = 0; i < stacks->dead.n; i++) {
		struct overlay x = {stacks->dead.v[i].start,
				    stacks->dead.v[i].end, HOLD_DEAD, 0};

		VEC_PUSH(&ret->v, x);
	}
	if (ret->v.n)
		qsort(ret->v.v, ret->v.n, sizeof(*ret->v.v), by_start);
	for (size_t i = 0; i < ret->v.n; i++) {
		struct overlay x = ret->v.v[i];

		if (kept && x.start < ret->v.v[kept - 1].end)
			x.start = ret->v.v[kept - 1].end;
		if (x.start < x.end)
			ret->v.v[kept++] = x;
	}
	ret->v.n = kept;
	return err;
}

static void add_span(struct reach *reach, const struct root *root,
		     enum hold hold, uint32_t tid, taddr_t start, taddr_t end)
{
	struct reach_span s = {hold, start, end, root, tid};

	if (start < end || root->start == root->end)
		VEC_PUSH(&reach->spans, s);
}

static enum hold hold_of(enum root_kind kind)
{
	switch (kind) {
	case ROOT_REGISTER:
		return HOLD_REGISTER;
	case ROOT_STACK:
		return HOLD_STACK;
	case ROOT_DATA:
		return HOLD_DATA;
	case ROOT_TLS:
		return HOLD_TLS;
	case ROOT_ANON:
		break;
	}
	return HOLD_ANON;
}

/* a range of memory, cut where something better is known of it */
static void add_range(struct reach *reach, const struct overlays *o,
		      const struct root *r)
{
	taddr_t at = r->start;
	size_t lo = 0;
	size_t hi = o->v.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (o->v.v[mid].end <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < o->v.n && o->v.v[lo].start < r->end; lo++) {
		const struct overlay *x = &o->v.v[lo];
		taddr_t from = x->start > at ? x->start : at;
		taddr_t to = x->end < r->end ? x->end : r->end;

		add_span(reach, r, hold_of(r->kind), r->tid, at, from);
		add_span(reach, r, x->hold, x->tid ? x->tid : r->tid, from, to);
		at = to;
	}
	add_span(reach, r, hold_of(r->kind), r->tid, at, r->end);
}

static int by_hold(const void *a, const void *b)
{
	const struct reach_span *x = a;
	const struct reach_span *y = b;

	if (x->hold != y->hold)
		return x->hold < y->hold ? -1 : 1;
	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->root < y->root ? -1 : x->root > y->root;
}

static struct err *find_spans(const struct heap *heap, struct reach *reach)
{
	const struct roots *roots = reach->leaks->roots;
	struct overlays o = {0};
	struct err *err = find_overlays(heap, reach->stacks, &o);

	for (size_t i = 0; !err && i < roots->n; i++) {
		const struct root *r = &roots->v[i];

		if (r->start == r->end)
			add_span(reach, r, hold_of(r->kind), r->tid, 0, 0);
		else
			add_range(reach, &o, r);
	}
	VEC_FREE(&o.v);
	if (reach->spans.n)
		qsort(reach->spans.v, reach->spans.n, sizeof(*reach->spans.v),
		      by_hold);
	return err;
}

/* ---- the whole ------------------------------------------------------- */

struct err *reach_build(struct heap *heap, const struct leaks *leaks,
			struct reach **ret)
{
	struct reach *reach = mem_zalloc(sizeof(*reach));
	const struct bufset *set = leaks->set;
	struct err *err = NULL;

	reach->leaks = leaks;
	reach->from = mem_table(set->n + 1, sizeof(*reach->from));
	reach->how = mem_table(set->n + 1, sizeof(*reach->how));
	if (set->n >= FROM_ROOT)
		err = err_new(ERR_NOSUP, "more than 2 billion buffers");
	if (!err)
		err = stackmap_build(heap->target, heap->types, &reach->stacks);
	if (!err)
		err = find_spans(heap, reach);
	if (!err && set->n)
		err = reach_search(heap, reach);
	if (err) {
		reach_free(reach);
		return err;
	}
	*ret = reach;
	return NULL;
}

void reach_free(struct reach *reach)
{
	if (!reach)
		return;
	dominators_free(reach->dom);
	stackmap_free(reach->stacks);
	VEC_FREE(&reach->spans);
	VEC_FREE(&reach->holders);
	mem_free(reach->from);
	mem_free(reach->how);
	mem_free(reach);
}

struct err *reach_dominators(struct heap *heap, struct reach *reach,
			     struct dominators **ret)
{
	struct err *err = NULL;

	if (!reach->dom)
		err = dominators_build(heap, reach, &reach->dom);
	if (!err)
		*ret = reach->dom;
	return err;
}

/* ---- answers --------------------------------------------------------- */

enum hold reach_hold(const struct reach *reach, size_t i)
{
	unsigned char hold = reach->how[i] & HOW_HOLD;

	return hold == CANDIDATE ? HOLD_NONE : (enum hold)hold;
}

bool reach_is_interior(const struct reach *reach, size_t i)
{
	return (reach->how[i] & HOW_INTERIOR) && !(reach->how[i] & HOW_EXACT);
}

size_t reach_from(const struct reach *reach, size_t i)
{
	uint32_t from = reach->from[i];

	return reach_hold(reach, i) == HOLD_NONE || (from & FROM_ROOT)
		       ? BUFSET_NONE
		       : from;
}

const struct reach_span *reach_root(const struct reach *reach, size_t i,
				    taddr_t *ret_at)
{
	uint32_t from = reach->from[i];

	if (reach_hold(reach, i) == HOLD_NONE || !(from & FROM_ROOT) ||
	    from == FROM_NONE)
		return NULL;
	const struct reach_holder *h = &reach->holders.v[from & ~FROM_ROOT];

	*ret_at = h->at;
	return &reach->spans.v[h->span];
}

const struct reach_span *reach_span_of(const struct reach *reach,
				       const struct root *root, taddr_t at)
{
	for (size_t i = 0; i < reach->spans.n; i++) {
		const struct reach_span *s = &reach->spans.v[i];

		if (s->root == root && (root->start == root->end ||
					(at >= s->start && at < s->end)))
			return s;
	}
	return NULL;
}

const char *hold_name(enum hold hold)
{
	static const char *const names[HOLD_MAX] = {
		[HOLD_NONE] = "none",         [HOLD_DATA] = "data",
		[HOLD_TLS] = "tls",           [HOLD_STACK] = "stack",
		[HOLD_REGISTER] = "register", [HOLD_ANON] = "anon",
		[HOLD_DEAD] = "dead",         [HOLD_PAST] = "past",
		[HOLD_LEAK] = "leak",
	};

	return names[hold];
}

bool hold_is_weak(enum hold hold)
{
	return hold == HOLD_ANON || hold == HOLD_DEAD || hold == HOLD_PAST;
}
