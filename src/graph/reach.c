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
 * Cost: each word of roots and buffers once; 5 bytes a buffer, two lists of
 * those of one level, 16 bytes for each that a root holds.
 */
#include "graph/reach.h"

#include <stdlib.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/progress.h"
#include "graph/dominators.h"

/* from[] of what a root holds: the bit, and an index in holders */
#define FROM_ROOT (1u << 31)
#define FROM_NONE UINT32_MAX
/* how[]: enum hold, and */
#define HOW_HOLD     0x0f
#define CANDIDATE    0x0f
#define HOW_INTERIOR 0x10 /* the last step of its way is not exact */
#define HOW_EXACT    0x20 /* somebody points at its start */
#define HOW_NEW      0x40 /* it waits to be looked into at the next level */
/* buffers looked ahead for what is to be read: entries, then words */
#define AHEAD_ENTRY 24
#define AHEAD_WORDS 12
/* pointers found whose buffer's state is on its way; a power of two */
#define HITS 16u
/* of a thread's descriptor, if glibc does not say */
#define DESCRIPTOR_BYTES 2304u

/* a pointer to a buffer */
struct hit {
	taddr_t at;
	uint32_t to;
	uint32_t by, span; /* as in struct search */
	enum hold hold;
	bool is_exact;
};

struct search {
	struct heap *heap;
	struct reach *reach;
	const struct bufset *set;
	taddr_t lo, hi; /* all buffers lie in [lo, hi) */
	VEC(uint32_t) now;
	VEC(uint32_t) next;
	VEC(uint32_t) past; /* candidates */
	/* who is looked at: a buffer, or a part of a root */
	enum hold hold;
	uint32_t buf; /* FROM_NONE: the root */
	uint32_t span;
	size_t nseen;
	struct hit hits[HITS];
	unsigned in, out;
};

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

/* ---- the search ------------------------------------------------------ */

static uint32_t who(struct search *s, const struct hit *hit)
{
	struct reach_holder h = {hit->at, hit->span};

	if (hit->by != FROM_NONE)
		return hit->by;
	VEC_PUSH(&s->reach->holders, h);
	return FROM_ROOT | (uint32_t)(s->reach->holders.n - 1);
}

/* somebody who was there before points at it, too */
static void reach_again(struct search *s, const struct hit *hit)
{
	unsigned char *how = &s->reach->how[hit->to];

	/* what is leaked says nothing of what lives */
	if (hit->hold == HOLD_LEAK && (*how & HOW_HOLD) != HOLD_LEAK)
		return;
	if ((*how & HOW_INTERIOR) && (*how & HOW_HOLD) == hit->hold &&
	    (*how & HOW_NEW)) {
		s->reach->from[hit->to] = who(s, hit);
		*how &= (unsigned char)~HOW_INTERIOR;
	}
	*how |= HOW_EXACT;
}

static void reach_hit(struct search *s, const struct hit *hit)
{
	unsigned char *how = &s->reach->how[hit->to];

	if (*how != HOLD_NONE && *how != CANDIDATE) {
		if (hit->is_exact && !(*how & HOW_EXACT))
			reach_again(s, hit);
		return;
	}
	s->reach->from[hit->to] = who(s, hit);
	*how = (unsigned char)(hit->hold | HOW_NEW |
			       (hit->is_exact ? HOW_EXACT : HOW_INTERIOR));
	VEC_PUSH(&s->next, hit->to);
}

/* in the order they were found */
static void flush(struct search *s)
{
	while (s->in != s->out)
		reach_hit(s, &s->hits[s->out++ % HITS]);
}

static struct hit hit_of(const struct search *s, taddr_t at, size_t to)
{
	return (struct hit){at, (uint32_t)to, s->buf, s->span, s->hold, false};
}

/* only what nobody points at otherwise: that it is on its way does not count */
static void reach_past(struct search *s, taddr_t at, uint64_t value)
{
	size_t i = bufset_find_past(s->set, value);

	if (i == BUFSET_NONE || s->reach->how[i] != HOLD_NONE)
		return;
	struct hit hit = hit_of(s, at, i);

	s->reach->how[i] = CANDIDATE;
	s->reach->from[i] = who(s, &hit);
	VEC_PUSH(&s->past, (uint32_t)i);
}

static void reach_value(struct search *s, taddr_t at, uint64_t value)
{
	if (value - s->lo >= s->hi - s->lo)
		return;
	size_t i = bufset_find(s->set, value);

	if (i == BUFSET_NONE) {
		reach_past(s, at, value);
		return;
	}
	__builtin_prefetch(&s->reach->how[i], 1);
	__builtin_prefetch(&s->reach->from[i], 1);
	if (s->in - s->out == HITS)
		reach_hit(s, &s->hits[s->out++ % HITS]);
	struct hit *hit = &s->hits[s->in++ % HITS];

	*hit = hit_of(s, at, i);
	hit->is_exact = value == bufset_at(s->set, i).addr;
}

static struct err *reach_word(void *arg, taddr_t at, uint64_t value)
{
	reach_value(arg, at, value);
	return NULL;
}

/* what is to be looked into soon, on its way into the cache */
static void prefetch(const struct search *s, size_t k)
{
	const unsigned char *p = NULL;
	size_t len = 0;

	if (k + AHEAD_ENTRY < s->now.n)
		__builtin_prefetch(&s->set->v[s->now.v[k + AHEAD_ENTRY]]);
	if (k + AHEAD_WORDS >= s->now.n)
		return;
	p = target_peek(s->heap->target,
			bufset_at(s->set, s->now.v[k + AHEAD_WORDS]).addr,
			&len);
	if (p) {
		__builtin_prefetch(p);
		__builtin_prefetch(p + 64);
	}
}

/* the words of a buffer, where they lie in one piece */
static bool look_at_words(struct search *s, const struct bufset_buf *b)
{
	taddr_t at = (b->addr + 7) & ~(taddr_t)7;
	taddr_t end = b->addr + b->size_bytes;
	const unsigned char *p = NULL;
	size_t len = 0;

	if (at >= end)
		return true;
	p = target_peek(s->heap->target, at, &len);
	if (!p || len < end - at)
		return false;
	for (; end - at >= 8; at += 8, p += 8) {
		uint64_t value = 0;

		memcpy(&value, p, sizeof(value));
		if (value - s->lo < s->hi - s->lo)
			reach_value(s, at, value);
	}
	return true;
}

static struct err *look_into(struct search *s, uint32_t i)
{
	struct bufset_buf b = bufset_at(s->set, i);

	s->buf = i;
	s->hold = (enum hold)(s->reach->how[i] & HOW_HOLD);
	if ((s->nseen++ & 0xfff) == 0) {
		struct err *err = interrupt_check();

		progress_set("looking for ways", s->nseen, s->set->n);
		if (err)
			return err;
	}
	if (look_at_words(s, &b))
		return NULL;
	return words_scan(s->heap->target, b.addr, b.addr + b.size_bytes,
			  reach_word, s, NULL);
}

/* goes on from what was reached, level by level */
static struct err *search_on(struct search *s)
{
	struct err *err = NULL;

	for (flush(s); !err && s->next.n; flush(s)) {
		uint32_t *spare = s->now.v;
		size_t cap = s->now.cap;

		s->now.v = s->next.v;
		s->now.n = s->next.n;
		s->now.cap = s->next.cap;
		s->next.v = spare;
		s->next.n = 0;
		s->next.cap = cap;
		for (size_t k = 0; k < s->now.n; k++)
			s->reach->how[s->now.v[k]] &= (unsigned char)~HOW_NEW;
		for (size_t k = 0; !err && k < s->now.n; k++) {
			prefetch(s, k);
			err = look_into(s, s->now.v[k]);
		}
	}
	return err;
}

static struct err *from_span(struct search *s, uint32_t i)
{
	const struct reach_span *span = &s->reach->spans.v[i];

	s->buf = FROM_NONE;
	s->span = i;
	s->hold = span->hold;
	if (span->root->start != span->root->end)
		return words_scan(s->heap->target, span->start, span->end,
				  reach_word, s, NULL);
	if (!span->root->is_shallow)
		reach_value(s, 0, span->root->value);
	return NULL;
}

static bool is_sure(enum hold hold)
{
	return hold >= HOLD_DATA && hold <= HOLD_REGISTER;
}

/* the sure ones as one, then each kind by itself */
static struct err *from_roots(struct search *s)
{
	const struct reach *reach = s->reach;
	struct err *err = NULL;

	for (size_t i = 0; !err && i < reach->spans.n; i++) {
		enum hold hold = reach->spans.v[i].hold;
		bool is_last = i + 1 == reach->spans.n;

		err = from_span(s, (uint32_t)i);
		if (!err &&
		    (is_last ||
		     (hold != reach->spans.v[i + 1].hold &&
		      !(is_sure(hold) && is_sure(reach->spans.v[i + 1].hold)))))
			err = search_on(s);
	}
	return err;
}

static struct err *from_past(struct search *s)
{
	struct err *err = NULL;

	for (size_t k = 0; !err && k < s->past.n; k++) {
		uint32_t i = s->past.v[k];

		if (s->reach->how[i] != CANDIDATE)
			continue;
		s->reach->how[i] = HOLD_PAST;
		VEC_PUSH(&s->next, i);
		err = search_on(s);
	}
	return err;
}

/* what a thread that ended left: it is kept, but not looked into */
static void from_shallow(struct search *s)
{
	for (size_t i = 0; i < s->reach->spans.n; i++) {
		const struct reach_span *span = &s->reach->spans.v[i];

		if (!span->root->is_shallow)
			continue;
		s->buf = FROM_NONE;
		s->span = (uint32_t)i;
		s->hold = span->hold;
		reach_value(s, 0, span->root->value);
	}
	flush(s);
	s->next.n = 0;
}

static struct err *from_leaks(struct search *s)
{
	for (size_t i = 0; i < s->set->n; i++) {
		if (s->set->mark[i] != MARK_NONE ||
		    (s->reach->how[i] != HOLD_NONE &&
		     s->reach->how[i] != CANDIDATE))
			continue;
		s->reach->how[i] = HOLD_LEAK | HOW_EXACT;
		s->reach->from[i] = FROM_NONE;
		VEC_PUSH(&s->next, (uint32_t)i);
	}
	return search_on(s);
}

struct err *reach_build(struct heap *heap, const struct leaks *leaks,
			struct reach **ret)
{
	struct reach *reach = mem_zalloc(sizeof(*reach));
	const struct bufset *set = leaks->set;
	struct search s = {.heap = heap, .reach = reach, .set = set};
	struct err *err = NULL;

	reach->leaks = leaks;
	reach->from = mem_array(set->n + 1, sizeof(*reach->from));
	reach->how = mem_array(set->n + 1, sizeof(*reach->how));
	if (set->n >= FROM_ROOT)
		err = err_new(ERR_NOSUP, "more than 2 billion buffers");
	if (!err)
		err = stackmap_build(heap->target, heap->types, &reach->stacks);
	if (!err)
		err = find_spans(heap, reach);
	if (!err && set->n) {
		struct bufset_buf last = bufset_at(set, set->n - 1);

		s.lo = bufset_at(set, 0).addr;
		s.hi = last.addr + last.size_bytes + 2;
		err = from_roots(&s);
		if (!err)
			err = from_past(&s);
		from_shallow(&s);
		if (!err)
			err = from_leaks(&s);
	}
	VEC_FREE(&s.now);
	VEC_FREE(&s.next);
	VEC_FREE(&s.past);
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
