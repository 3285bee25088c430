/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From the roots to all that lives, level by level: see reach.c for what is
 * looked for, reach_collect.c for who looks at the words.
 *
 *	level ──► batches of slices ──► hits, noted in order ──► next level
 *	                                  └► put aside: ranges of a large buffer,
 *	                                     or words that are read one by one
 *
 * All that is written here is written by one thread, in the order of levels,
 * slices and words.
 */
#include "base/interrupt.h"
#include "base/jobs.h"
#include "base/progress.h"
#include "graph/bufset.h"
#include "graph/reach_impl.h"

/* hits looked ahead for what they change */
#define AHEAD 16

struct search {
	struct heap *heap;
	struct reach *reach;
	const struct bufset *set;
	VEC(uint32_t) now;
	VEC(uint32_t) next;
	VEC(uint32_t) fresh; /* of next: reached by interior pointers so far */
	VEC(uint32_t) past;  /* candidates */
	/* who is looked at: a buffer, or a part of a root */
	enum hold hold;
	uint32_t buf; /* FROM_NONE: the root */
	uint32_t span;
	uint64_t nseen;
	struct reach_batch slices, ranges;
};

/* ---- one hit --------------------------------------------------------- */

/* whose word at this address points somewhere, for from[] */
static uint32_t who(struct search *s, taddr_t at)
{
	struct reach_holder h = {at, s->span};

	if (s->buf != FROM_NONE)
		return s->buf;
	VEC_PUSH(&s->reach->holders, h);
	return FROM_ROOT | (uint32_t)(s->reach->holders.n - 1);
}

/* somebody who was there before points at it, too */
static void reach_again(struct search *s, uint32_t to, taddr_t at)
{
	unsigned char *how = &s->reach->how[to];

	/* what is leaked says nothing of what lives */
	if (s->hold == HOLD_LEAK && (*how & HOW_HOLD) != HOLD_LEAK)
		return;
	if ((*how & HOW_NEW) && (*how & HOW_HOLD) == s->hold) {
		s->reach->from[to] = who(s, at);
		*how &= (unsigned char)~(HOW_INTERIOR | HOW_NEW);
	}
	*how |= HOW_EXACT;
}

static void reach_buf(struct search *s, uint32_t to, bool is_exact, taddr_t at)
{
	unsigned char *how = &s->reach->how[to];

	if (*how != HOLD_NONE && *how != CANDIDATE) {
		if (is_exact && !(*how & HOW_EXACT))
			reach_again(s, to, at);
		return;
	}
	s->reach->from[to] = who(s, at);
	*how = (unsigned char)(s->hold |
			       (is_exact ? HOW_EXACT : HOW_INTERIOR | HOW_NEW));
	VEC_PUSH(&s->next, to);
	if (!is_exact)
		VEC_PUSH(&s->fresh, to);
}

/* only what nobody points at otherwise */
static void reach_past(struct search *s, uint32_t to, taddr_t at)
{
	if (s->reach->how[to] != HOLD_NONE)
		return;
	s->reach->how[to] = CANDIDATE;
	s->reach->from[to] = who(s, at);
	VEC_PUSH(&s->past, to);
}

static void reach_value(struct search *s, taddr_t at, uint64_t value)
{
	size_t i = bufset_find(s->set, value);

	if (i != BUFSET_NONE) {
		reach_buf(s, (uint32_t)i, value == bufset_addr(s->set, i), at);
		return;
	}
	i = bufset_find_past(s->set, value);
	if (i != BUFSET_NONE)
		reach_past(s, (uint32_t)i, at);
}

/* by: without HIT_PAST */
static void reach_hit(struct search *s, const struct reach_hit *hit, taddr_t at)
{
	if (hit->by & HIT_PAST)
		reach_past(s, hit->to, at);
	else
		reach_buf(s, hit->to & ~HIT_EXACT, hit->to & HIT_EXACT, at);
}

/* what a hit is going to change, on its way into the cache */
static void prefetch(const struct search *s, const struct reach_item *item,
		     size_t k)
{
	if (k + AHEAD >= item->hits.n)
		return;
	struct reach_hit hit = item->hits.v[k + AHEAD];

	if (hit.to == HIT_ASIDE)
		return;
	__builtin_prefetch(&s->reach->how[hit.to & ~HIT_EXACT], 1);
	__builtin_prefetch(&s->reach->from[hit.to & ~HIT_EXACT], 1);
	if (item->bufs)
		__builtin_prefetch(&s->reach->how[hit.by & ~HIT_PAST]);
}

/* ---- ranges: of the root or the large buffer at hand ------------------ */

static struct err *reach_word(void *arg, taddr_t at, uint64_t value)
{
	reach_value(arg, at, value);
	return NULL;
}

static struct err *note_range(struct search *s, const struct reach_item *item)
{
	for (size_t k = 0; k < item->hits.n; k++) {
		const struct reach_hit *hit = &item->hits.v[k];
		taddr_t at = item->start +
			     (hit->by & ~HIT_PAST) * (taddr_t)sizeof(uint64_t);

		prefetch(s, item, k);
		if (hit->to == HIT_ASIDE)
			return words_scan(s->heap->target, at, item->end,
					  reach_word, s, NULL);
		reach_hit(s, hit, at);
	}
	return NULL;
}

static struct err *look_at_range(struct search *s, taddr_t start, taddr_t end)
{
	struct reach_batch *b = &s->ranges;
	taddr_t word = sizeof(uint64_t);
	taddr_t at = (start + word - 1) & -word;
	struct err *err = NULL;

	while (!err && at < end) {
		for (b->n = 0; b->n < BATCH_ITEMS && at < end; b->n++) {
			struct reach_item *item = &b->items[b->n];

			item->start = at;
			item->end =
				end - at > RANGE_BYTES ? at + RANGE_BYTES : end;
			at = item->end;
		}
		err = reach_collect(b);
		for (size_t i = 0; !err && i < b->n; i++)
			err = note_range(s, &b->items[i]);
	}
	return err;
}

/* ---- levels ---------------------------------------------------------- */

static void look_from_buf(struct search *s, uint32_t i)
{
	s->buf = i;
	s->hold = (enum hold)(s->reach->how[i] & HOW_HOLD);
}

static struct err *note_slice(struct search *s, const struct reach_item *item)
{
	struct err *err = NULL;

	for (size_t k = 0; !err && k < item->hits.n; k++) {
		const struct reach_hit *hit = &item->hits.v[k];

		prefetch(s, item, k);
		if (hit->to == HIT_ASIDE) {
			struct bufset_buf b = bufset_at(s->set, hit->by);

			look_from_buf(s, hit->by);
			err = look_at_range(s, b.addr, b.addr + b.size_bytes);
			continue;
		}
		look_from_buf(s, hit->by & ~HIT_PAST);
		reach_hit(s, hit, 0);
	}
	return err;
}

static struct err *look_at_level(struct search *s)
{
	struct reach_batch *b = &s->slices;
	struct err *err = NULL;
	size_t k = 0;

	while (!err && k < s->now.n) {
		for (b->n = 0; b->n < BATCH_ITEMS && k < s->now.n; b->n++) {
			struct reach_item *item = &b->items[b->n];
			size_t left = s->now.n - k;

			item->bufs = s->now.v + k;
			item->n = left < SLICE_BUFS ? left : SLICE_BUFS;
			k += item->n;
		}
		err = reach_collect(b);
		for (size_t i = 0; !err && i < b->n; i++)
			err = note_slice(s, &b->items[i]);
		progress_set("looking for ways", s->nseen + k, s->set->n);
	}
	s->nseen += s->now.n;
	return err;
}

/* goes on from what was reached */
static struct err *search_on(struct search *s)
{
	struct err *err = NULL;

	while (!err && s->next.n) {
		uint32_t *spare = s->now.v;
		size_t cap = s->now.cap;

		s->now.v = s->next.v;
		s->now.n = s->next.n;
		s->now.cap = s->next.cap;
		s->next.v = spare;
		s->next.n = 0;
		s->next.cap = cap;
		for (size_t k = 0; k < s->fresh.n; k++)
			s->reach->how[s->fresh.v[k]] &= (unsigned char)~HOW_NEW;
		s->fresh.n = 0;
		err = look_at_level(s);
	}
	return err;
}

/* ---- from where ------------------------------------------------------ */

static struct err *from_span(struct search *s, uint32_t i)
{
	const struct reach_span *span = &s->reach->spans.v[i];

	s->buf = FROM_NONE;
	s->span = i;
	s->hold = span->hold;
	if (span->root->start != span->root->end)
		return look_at_range(s, span->start, span->end);
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

static void batch_init(struct reach_batch *b, const struct search *s,
		       unsigned njobs)
{
	b->target = s->heap->target;
	b->set = s->set;
	b->how = s->reach->how;
	b->njobs = njobs;
}

struct err *reach_search(struct heap *heap, struct reach *reach)
{
	struct search s = {
		.heap = heap, .reach = reach, .set = reach->leaks->set};
	unsigned njobs = jobs_for(s.set->n);
	struct err *err = NULL;

	batch_init(&s.slices, &s, njobs);
	batch_init(&s.ranges, &s, njobs);
	err = from_roots(&s);
	if (!err)
		err = from_past(&s);
	from_shallow(&s);
	if (!err)
		err = from_leaks(&s);
	reach_batch_fini(&s.slices);
	reach_batch_fini(&s.ranges);
	VEC_FREE(&s.now);
	VEC_FREE(&s.next);
	VEC_FREE(&s.fresh);
	VEC_FREE(&s.past);
	return err;
}
