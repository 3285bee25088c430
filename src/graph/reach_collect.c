/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The words of a level, looked at on all processors.
 *
 * What makes the search slow is to read words that lie anywhere and to find what
 * they point at; to note the few that tell something new is quick.  So threads
 * only collect: each takes an item, looks at its words and lists those that may
 * change something.  One thread then notes them, item by item in the order of
 * the level: what comes out does not depend on who looked at what.
 *
 *	level ──► items ──► words ──► pointers ──► hits ──► noted in order
 *	          (by any thread; how[] stands still)       (by the caller)
 *
 * A hit may be left out when it would change nothing now, as how[] only grows:
 * it will not later, either.
 *
 * As in marking, what is looked at passes through short queues in which it is on
 * its way into the cache: a buffer's entry in the set, its words, the block of
 * what a word points at, that one's state.
 *
 * Cost: each word once; 8 bytes a hit, for the items of one batch at a time.
 */
#include "base/interrupt.h"
#include "base/jobs.h"
#include "graph/bufset.h"
#include "graph/peek.h"
#include "graph/reach_impl.h"

#define WORD sizeof(uint64_t)
/* pointers in each queue; a power of two */
#define QUEUE 16u
/* buffers looked ahead for what is to be read: entries, then words */
#define AHEAD_ENTRY 24
#define AHEAD_WORDS 12
/* items for which another thread is not worth it */
#define ITEMS_MIN 4

struct value {
	uint64_t value;
	uint32_t by;
};

struct looker {
	const struct reach_batch *b;
	struct reach_item *item;
	taddr_t lo, span; /* what points at a buffer is in [lo, lo + span) */
	struct peeker peeker;
	const struct bufset_run *run; /* where the last pointer led */
	/* pointers whose block is on its way, hits whose state is */
	struct {
		struct value v[QUEUE];
		unsigned in, out;
	} values;
	struct {
		struct reach_hit v[QUEUE];
		unsigned in, out;
	} hits;
};

/* ---- one word -------------------------------------------------------- */

static bool is_news(const struct looker *l, const struct reach_hit *hit)
{
	unsigned char how = l->b->how[hit->to & ~HIT_EXACT];

	if (hit->by & HIT_PAST)
		return how == HOLD_NONE;
	if (how == HOLD_NONE || how == CANDIDATE)
		return true;
	return (hit->to & HIT_EXACT) && !(how & HOW_EXACT);
}

static void take_oldest_hit(struct looker *l)
{
	struct reach_hit hit = l->hits.v[l->hits.out++ % QUEUE];

	if (is_news(l, &hit))
		VEC_PUSH(&l->item->hits, hit);
}

static void find_oldest_value(struct looker *l)
{
	struct value v = l->values.v[l->values.out++ % QUEUE];
	const struct bufset *set = l->b->set;
	const struct bufset_run *run = bufset_run_near(set, &l->run, v.value);
	struct reach_hit hit = {0, v.by};
	bool is_exact = false;
	size_t i = bufset_last_in(set, run, v.value, &is_exact);

	hit.to = (uint32_t)i;
	if (is_exact) {
		hit.to |= HIT_EXACT;
	} else if (v.value >= bufset_end(set, i)) {
		if (!bufset_is_past(set, i, v.value))
			return;
		hit.by |= HIT_PAST;
	}
	__builtin_prefetch(&l->b->how[i]);
	if (l->hits.in - l->hits.out == QUEUE)
		take_oldest_hit(l);
	l->hits.v[l->hits.in++ % QUEUE] = hit;
}

static void add_value(struct looker *l, uint64_t value, uint32_t by)
{
	const struct bufset_run *run =
		bufset_run_near(l->b->set, &l->run, value);

	if (!run)
		return;
	if (run->blocks && value < run->end)
		__builtin_prefetch(bufset_block(run, value));
	if (l->values.in - l->values.out == QUEUE)
		find_oldest_value(l);
	l->values.v[l->values.in++ % QUEUE] = (struct value){value, by};
}

static void flush(struct looker *l)
{
	while (l->values.in != l->values.out)
		find_oldest_value(l);
	while (l->hits.in != l->hits.out)
		take_oldest_hit(l);
}

/* behind what is on its way */
static void put_aside(struct looker *l, uint32_t by)
{
	struct reach_hit hit = {HIT_ASIDE, by};

	flush(l);
	VEC_PUSH(&l->item->hits, hit);
}

/* by: the first word's, and what the next has more */
static void look_at_words(struct looker *l, const unsigned char *p,
			  size_t nwords, uint32_t by, uint32_t step)
{
	for (size_t i = 0; i < nwords; i++) {
		uint64_t value = 0;

		memcpy(&value, p + i * WORD, WORD);
		if (value - l->lo < l->span)
			add_value(l, value, by + (uint32_t)i * step);
	}
}

/* ---- items ----------------------------------------------------------- */

/* what is to be looked into soon, on its way into the cache */
static void prefetch(struct looker *l, size_t k)
{
	const struct reach_item *item = l->item;
	const struct bufset *set = l->b->set;
	const unsigned char *p = NULL;
	uint64_t len = 0;

	if (k + AHEAD_ENTRY < item->n)
		__builtin_prefetch(&set->v[item->bufs[k + AHEAD_ENTRY]]);
	if (k + AHEAD_WORDS >= item->n)
		return;
	uint32_t i = item->bufs[k + AHEAD_WORDS];

	p = peeker_at(&l->peeker, l->b->target, bufset_addr(set, i), &len);
	if (p) {
		__builtin_prefetch(p);
		__builtin_prefetch(p + (set->v[i] & SIZE_IS_LARGE) / 2);
	}
}

static void look_into(struct looker *l, uint32_t i)
{
	struct bufset_buf b = bufset_at(l->b->set, i);
	taddr_t at = (b.addr + WORD - 1) & ~(taddr_t)(WORD - 1);
	taddr_t end = b.addr + b.size_bytes;
	uint64_t len = 0;

	if (at >= end || end - at < WORD)
		return;
	const unsigned char *p = peeker_at(&l->peeker, l->b->target, at, &len);

	if (!p || len < end - at || b.size_bytes > LARGE_BYTES)
		put_aside(l, i);
	else
		look_at_words(l, p, (end - at) / WORD, i, 0);
}

static void look_at_slice(struct looker *l)
{
	for (size_t k = 0; k < l->item->n; k++) {
		prefetch(l, k);
		look_into(l, l->item->bufs[k]);
	}
	flush(l);
}

static void look_at_range(struct looker *l)
{
	taddr_t start = l->item->start;
	taddr_t end = l->item->end;
	taddr_t at = start;

	while (end - at >= WORD) {
		uint32_t number = (uint32_t)((at - start) / WORD);
		uint64_t len = 0;
		const unsigned char *p =
			peeker_at(&l->peeker, l->b->target, at, &len);

		if (!p || len < WORD) {
			put_aside(l, number);
			return;
		}
		if (len > end - at)
			len = end - at;
		look_at_words(l, p, len / WORD, number, 1);
		at += len / WORD * WORD;
	}
	flush(l);
}

static void look_at(struct reach_batch *b, struct reach_item *item)
{
	const struct bufset *set = b->set;
	struct looker l = {.b = b, .item = item};

	item->hits.n = 0;
	l.lo = set->runs[0].start;
	/* the address just behind them, too */
	l.span = set->runs[set->nruns - 1].end - l.lo + 1;
	if (item->bufs)
		look_at_slice(&l);
	else
		look_at_range(&l);
}

/* ---- batches --------------------------------------------------------- */

static void work(void *arg, unsigned worker)
{
	struct reach_batch *b = arg;

	(void)worker;
	while (!jobs_is_stopped()) {
		size_t i = __atomic_fetch_add(&b->next, 1, __ATOMIC_RELAXED);

		if (i >= b->n)
			return;
		look_at(b, &b->items[i]);
	}
}

struct err *reach_collect(struct reach_batch *b)
{
	b->next = 0;
	if (b->n < ITEMS_MIN || b->njobs < 2)
		work(b, 0);
	else
		jobs_run(b->njobs < b->n ? b->njobs : (unsigned)b->n, work, b);
	return interrupt_check();
}

void reach_batch_fini(struct reach_batch *b)
{
	for (size_t i = 0; i < BATCH_ITEMS; i++)
		VEC_FREE(&b->items[i].hits);
}
