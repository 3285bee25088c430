/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The heap as it was: a heap that stands in front of another one, and answers
 * for an earlier moment, as far as the records of transactions tell.
 *
 * All records of a buffer, those of the log and the one it carries, are its
 * life.  At a moment T it has a last one before and a next one after:
 *
 *   ---- alloc ------ free -------- alloc ---- dump
 *               T1            T2          T3
 *
 *   T3: the last is the buffer's own record: it has been so ever since
 *   T2: the next allocates: it was not allocated
 *   T1: the next frees: it was allocated
 *
 * (R1) A next record decides when it is the next there was, not only the next
 *      in hand: when the log tells every transaction since T (heap_coverage), or
 *      when it names its predecessor and that is the last in hand.
 * (R2) A last record decides when nothing can have come between it and T: when
 *      it is the buffer's own.  When the log tells every transaction since T and
 *      none of the buffer, it was what it is in the dump.
 * (R3) What neither decides is unknown.  So is every buffer that is not audited.
 * (R4) A buffer of a slab that is gone has no place in the dump.  It is told
 *      from its records, with the size of its cache; what the dump has at its
 *      place was not there then.
 *
 * What was not allocated is called free: which layer had it, and whether its
 * slab was there already, no log tells.  Contents are those of the dump.
 *
 * Cost: 56 bytes a record; opening sorts them, and each move looks at each
 * buffer once.  Nothing of this is done before the first ::replay.
 */
#include <stdlib.h>
#include <string.h>
#include "base/interrupt.h"
#include "base/progress.h"
#include "heap/heap_replay_impl.h"

#define EVENTS_MAX ((uint64_t)1 << 31)

/* ---- reading --------------------------------------------------------- */

int64_t replay_cache_of(const struct replay *r, taddr_t addr)
{
	const uint64_t *i = hash_get(&r->by_cache, addr);

	return i ? (int64_t)*i - 1 : -1;
}

static struct err *take_cache(void *arg, const struct heap_cache *c)
{
	struct replay *r = arg;
	struct replay_cache rc = {.pub = *c};

	VEC_PUSH(&r->caches, rc);
	*hash_put(&r->by_cache, c->addr, NULL) = r->caches.n;
	return NULL;
}

/* a cache of records that the dump does not have */
static uint32_t add_cache(struct replay *r, const struct heap_audit *a)
{
	struct replay_cache rc = {.is_gone = true};
	bool is_told = false;

	rc.is_large = a->large_bytes != 0;
	if (!rc.is_large && r->base->ops->cache_then)
		is_told = r->base->ops->cache_then(r->base, a->cache,
						   a->stamp_ns, &rc.pub);
	rc.name = mem_printf("%s (gone)", is_told ? rc.pub.name : "?");
	rc.pub.name = rc.name;
	rc.pub.addr = a->cache;
	rc.pub.has_audit = rc.pub.has_hash = true;
	VEC_PUSH(&r->caches, rc);
	*hash_put(&r->by_cache, a->cache, NULL) = r->caches.n;
	return (uint32_t)(r->caches.n - 1);
}

static uint8_t kind_of(struct replay *r, const char *kind)
{
	unsigned i = 0;

	while (i < r->nkinds && strcmp(r->kinds[i], kind) != 0)
		i++;
	if (i == r->nkinds && i < 16)
		r->kinds[r->nkinds++] = kind;
	return (uint8_t)(i < 16 ? i : 0);
}

static struct err *take_event(void *arg, const struct heap_audit *a)
{
	struct replay *r = arg;
	struct replay_event e = {
		.stamp_ns = a->stamp_ns,
		.buf = a->buf,
		.addr = a->addr,
		.prev_or_size = a->large_bytes ? a->large_bytes : a->lastlog,
		.stack = a->stack,
		.tid = a->tid,
		.what = (uint8_t)a->what,
	};
	int64_t cache = replay_cache_of(r, a->cache);

	if (a->what != HEAP_ALLOC && a->what != HEAP_FREE)
		return NULL;
	if (r->events.n == EVENTS_MAX)
		return err_new(ERR_NOSUP, "more than %" PRIu64 " records",
			       EVENTS_MAX);
	e.cache = cache < 0 ? add_cache(r, a) : (uint32_t)cache;
	e.kind = kind_of(r, a->kind);
	VEC_PUSH(&r->events, e);
	progress_set("reading the log", r->events.n, 0);
	return NULL;
}

static int by_life(const void *a, const void *b)
{
	const struct replay_event *x = a;
	const struct replay_event *y = b;

	if (x->buf != y->buf)
		return x->buf < y->buf ? -1 : 1;
	if (x->cache != y->cache)
		return x->cache < y->cache ? -1 : 1;
	return x->stamp_ns < y->stamp_ns ? -1 : x->stamp_ns > y->stamp_ns;
}

static void make_lives(struct replay *r)
{
	for (size_t i = 0; i < r->events.n;) {
		const struct replay_event *e = &r->events.v[i];
		struct replay_life life = {
			.buf = e->buf,
			.cache = e->cache,
			.first = i,
		};

		while (i < r->events.n && r->events.v[i].buf == life.buf &&
		       r->events.v[i].cache == life.cache)
			i++;
		life.n = (uint32_t)(i - life.first);
		VEC_PUSH(&r->lives, life);
	}
}

/* the log comes newest first */
static void keep_stamps(struct replay *r)
{
	size_t n = r->events.n;

	r->stamps = mem_array(n + 1, sizeof(*r->stamps));
	for (size_t i = 0; i < n; i++)
		r->stamps[n - 1 - i] = r->events.v[i].stamp_ns;
}

const struct replay_life *replay_find(const struct replay *r, taddr_t buf,
				      uint32_t cache)
{
	size_t lo = 0;
	size_t hi = r->lives.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct replay_life *l = &r->lives.v[mid];

		if (l->buf < buf || (l->buf == buf && l->cache < cache))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == r->lives.n || r->lives.v[lo].buf != buf ||
	    r->lives.v[lo].cache != cache)
		return NULL;
	return &r->lives.v[lo];
}

/* ---- judging --------------------------------------------------------- */

static enum buf_state after(unsigned what)
{
	return what == HEAP_ALLOC ? BUF_ALLOCATED : BUF_FREE_THEN;
}

static enum buf_state before(unsigned what)
{
	return what == HEAP_ALLOC ? BUF_FREE_THEN : BUF_ALLOCATED;
}

static void look_around(const struct replay *r, const struct replay_life *life,
			struct replay_around *ret)
{
	const struct replay_event *e = r->events.v + life->first;
	size_t lo = 0;
	size_t hi = life->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (e[mid].stamp_ns <= r->now_ns)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo > 0)
		ret->last = &e[lo - 1];
	if (lo < life->n)
		ret->next = &e[lo];
}

/* does the record after the moment name the one before it? (R1) */
static bool is_chained(const struct replay *r, const struct replay_around *at)
{
	return at->last && at->next && at->last->addr &&
	       !r->caches.v[at->last->cache].is_large &&
	       at->next->prev_or_size == at->last->addr;
}

/* has the dump's own record of the buffer been true since the moment? (R2) */
static bool is_live_last(const struct replay *r, const struct replay_around *at)
{
	return at->live.stamp_ns && at->live.stamp_ns <= r->now_ns &&
	       (!at->last || at->live.stamp_ns >= at->last->stamp_ns);
}

enum buf_state replay_judge(struct replay *r, uint32_t cache,
			    const struct replay_life *life,
			    const struct heap_buf *b, struct replay_around *ret)
{
	const struct replay_cache *rc = &r->caches.v[cache];
	bool is_complete = r->now_ns >= r->covered.since_ns;

	*ret = (struct replay_around){0};
	if (life)
		look_around(r, life, ret);
	if (b && !r->base->ops->audit(r->base, b, &ret->live))
		ret->live.stamp_ns = 0;
	ret->is_live_last = is_live_last(r, ret);
	if (ret->is_live_last)
		return b->state == BUF_ALLOCATED ? BUF_ALLOCATED
						 : BUF_FREE_THEN;
	if (!rc->pub.has_audit && !rc->is_large)
		return BUF_UNKNOWN;
	/* never used until the dump */
	if (b && !ret->live.stamp_ns && !ret->last)
		return BUF_FREE_THEN;
	if (is_complete && ret->next)
		return before(ret->next->what);
	if (is_complete && ret->live.stamp_ns > r->now_ns)
		return before(ret->live.what);
	if (is_chained(r, ret))
		return after(ret->last->what);
	if (!is_complete)
		return BUF_UNKNOWN;
	/* nothing came between the moment and the dump, or the other way */
	if (ret->last && ret->last->stamp_ns > r->dump_ns)
		return after(ret->last->what);
	return b && b->state == BUF_ALLOCATED ? BUF_ALLOCATED : BUF_FREE_THEN;
}

/* ---- moving ---------------------------------------------------------- */

struct counter {
	struct replay *r;
	uint32_t cache;
};

static void count(struct replay *r, uint32_t cache, enum buf_state state,
		  uint64_t bytes)
{
	struct replay_cache *rc = &r->caches.v[cache];

	rc->nlive += state == BUF_ALLOCATED;
	rc->nunknown += state == BUF_UNKNOWN;
	if (rc->pub.is_internal)
		return;
	r->nlive += state == BUF_ALLOCATED;
	r->live_bytes += state == BUF_ALLOCATED ? bytes : 0;
	r->nunknown += state == BUF_UNKNOWN;
	r->nunaudited += state == BUF_UNKNOWN && !rc->pub.has_audit;
}

static struct err *count_buf(void *arg, const struct heap_buf *b)
{
	const struct counter *c = arg;
	struct replay_around at;
	enum buf_state state = replay_judge(
		c->r, c->cache, replay_find(c->r, b->addr, c->cache), b, &at);

	if (state != BUF_UNKNOWN ||
	    !replay_past_in(c->r, b->addr, b->addr + b->size_bytes))
		count(c->r, c->cache, state, b->size_bytes);
	return NULL;
}

static struct err *mark_there(void *arg, const struct heap_buf *b)
{
	const struct counter *c = arg;
	struct replay_life *life = (struct replay_life *)(uintptr_t)replay_find(
		c->r, b->addr, c->cache);

	struct heap_audit au;

	if (life)
		life->is_there = true;
	/* the last transaction there was is that of some buffer */
	if (!c->r->base->health.now_ns &&
	    c->r->base->ops->audit(c->r->base, b, &au) &&
	    au.stamp_ns > c->r->dump_ns)
		c->r->dump_ns = au.stamp_ns;
	return NULL;
}

static struct err *each_cache(struct replay *r, heap_buf_fn *fn)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < r->caches.n; i++) {
		struct counter c = {r, (uint32_t)i};
		const struct replay_cache *rc = &r->caches.v[i];

		if (rc->is_gone)
			continue;
		err = r->base->ops->bufs(r->base, rc->pub.addr, BUF_ANY, fn,
					 &c);
		if (!err)
			err = interrupt_check();
	}
	return err;
}

const struct replay_past *replay_past_in(const struct replay *r, taddr_t start,
					 taddr_t end)
{
	size_t lo = 0;
	size_t hi = r->pasts.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct replay_past *p = &r->pasts.v[mid];

		if (p->addr + p->size_bytes <= start)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == r->pasts.n || r->pasts.v[lo].addr >= end)
		return NULL;
	return &r->pasts.v[lo];
}

static const struct heap_buf *large_at(const struct replay *r, taddr_t addr)
{
	for (size_t i = 0; i < r->larges.n; i++)
		if (r->larges.v[i].addr == addr)
			return &r->larges.v[i];
	return NULL;
}

/* what a large buffer was asked for: its record says, or the dump */
static uint64_t large_size(const struct replay_around *at,
			   const struct heap_buf *b)
{
	if (at->is_live_last)
		return b->size_bytes;
	return at->last && at->last->what == HEAP_ALLOC
		       ? at->last->prev_or_size
		       : at->next->prev_or_size;
}

static void keep_past(struct replay *r, const struct replay_past *p)
{
	/* two that cannot both have been: damage; the first counts */
	if (r->pasts.n > 0) {
		const struct replay_past *before_it =
			&r->pasts.v[r->pasts.n - 1];

		if (before_it->addr + before_it->size_bytes > p->addr)
			return;
	}
	VEC_PUSH(&r->pasts, *p);
	count(r, p->cache, p->state, p->size_bytes);
}

/* (R4), and large buffers, of which the dump has only those that live */
static struct err *find_pasts(struct replay *r)
{
	struct err *err = NULL;

	r->pasts.n = 0;
	for (size_t i = 0; !err && i < r->lives.n; i++) {
		const struct replay_life *life = &r->lives.v[i];
		const struct replay_cache *rc = &r->caches.v[life->cache];
		const struct heap_buf *b =
			rc->is_large ? large_at(r, life->buf) : NULL;
		struct replay_around at;
		struct replay_past p = {
			.addr = life->buf,
			.size_bytes = rc->pub.bufsize_bytes,
			.cache = life->cache,
		};

		if (life->is_there || rc->pub.is_internal)
			continue;
		p.state = replay_judge(r, life->cache, life, b, &at);
		if (p.state == BUF_ALLOCATED && rc->is_large)
			p.size_bytes = large_size(&at, b);
		if (p.state == BUF_ALLOCATED ||
		    (p.state == BUF_UNKNOWN && !rc->is_large))
			keep_past(r, &p);
		if ((i & 0xffff) == 0)
			err = interrupt_check();
	}
	return err;
}

/* large buffers of the dump that have no record in the log */
static void find_lone_larges(struct replay *r)
{
	for (size_t i = 0; i < r->larges.n; i++) {
		const struct heap_buf *b = &r->larges.v[i];
		int64_t cache = replay_cache_of(r, b->arena);
		struct replay_around at;

		if (cache < 0 || replay_find(r, b->addr, (uint32_t)cache) ||
		    replay_judge(r, (uint32_t)cache, NULL, b, &at) !=
			    BUF_ALLOCATED ||
		    replay_past_in(r, b->addr, b->addr + b->size_bytes))
			continue;
		struct replay_past p = {
			.addr = b->addr,
			.size_bytes = b->size_bytes,
			.cache = (uint32_t)cache,
			.state = BUF_ALLOCATED,
		};

		VEC_PUSH(&r->pasts, p);
		count(r, p.cache, p.state, p.size_bytes);
	}
}

static int by_addr(const void *a, const void *b)
{
	const struct replay_past *x = a;
	const struct replay_past *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static void count_allocs_after(struct replay *r)
{
	for (size_t i = 0; i < r->events.n; i++) {
		const struct replay_event *e = &r->events.v[i];

		if (e->what == HEAP_ALLOC && e->stamp_ns > r->now_ns &&
		    e->stamp_ns <= r->dump_ns)
			r->caches.v[e->cache].nalloc_after++;
	}
}

static struct err *look(struct replay *r)
{
	r->nlive = r->live_bytes = r->nunknown = r->nunaudited = 0;
	for (size_t i = 0; i < r->caches.n; i++) {
		struct replay_cache *rc = &r->caches.v[i];

		rc->nlive = rc->nunknown = rc->nalloc_after = 0;
	}
	r->heap->health.moment_ns = r->now_ns;
	struct err *err = find_pasts(r);

	if (err)
		return err;
	find_lone_larges(r);
	if (r->pasts.n)
		qsort(r->pasts.v, r->pasts.n, sizeof(*r->pasts.v), by_addr);
	count_allocs_after(r);
	return each_cache(r, count_buf);
}

struct err *heap_replay_to(struct heap *replay, uint64_t stamp_ns)
{
	struct replay *r = replay->priv;
	uint64_t first = r->events.n ? r->stamps[0] : r->dump_ns;
	uint64_t since = r->covered.since_ns;

	if (stamp_ns < (since < first ? since : first))
		return err_new(ERR_NOTFOUND,
			       "the oldest record is of 0x%" PRIx64, first);
	r->now_ns = stamp_ns;
	return look(r);
}

uint64_t heap_replay_nth(struct heap *replay, uint64_t n)
{
	const struct replay *r = replay->priv;

	if (r->events.n == 0)
		return r->dump_ns;
	if (n > r->events.n)
		n = r->events.n;
	return r->stamps[n > 0 ? n - 1 : 0];
}

/* how many transactions are not later */
static uint64_t nbefore(const struct replay *r, uint64_t stamp_ns)
{
	size_t lo = 0;
	size_t hi = r->events.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->stamps[mid] <= stamp_ns)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void heap_replay_moment(struct heap *replay, struct heap_moment *ret)
{
	const struct replay *r = replay->priv;

	*ret = (struct heap_moment){
		.stamp_ns = r->now_ns,
		.dump_ns = r->dump_ns,
		.first_ns = r->events.n ? r->stamps[0] : 0,
		.covered = r->covered,
		.nevents = r->events.n,
		.nbefore = nbefore(r, r->now_ns),
		.nlive = r->nlive,
		.live_bytes = r->live_bytes,
		.nunknown = r->nunknown,
		.nunaudited = r->nunaudited,
	};
}

/* ---- opening --------------------------------------------------------- */

static struct err *take_large(void *arg, const struct heap_buf *b)
{
	struct replay *r = arg;

	if (b->kind == BUF_OVERSIZE)
		VEC_PUSH(&r->larges, *b);
	return NULL;
}

static struct err *read_all(struct replay *r)
{
	struct heap *base = r->base;
	struct err *err = base->ops->caches(base, take_cache, r);

	if (!err)
		err = base->ops->log(base, HEAP_LOG_TRANSACTION, 0, take_event,
				     r);
	if (!err)
		err = base->ops->bufs(base, 0, BUF_ALLOCATED, take_large, r);
	if (err)
		return err;
	keep_stamps(r);
	if (r->events.n)
		qsort(r->events.v, r->events.n, sizeof(*r->events.v), by_life);
	make_lives(r);
	/* of a dump that does not say: what its own log has */
	for (size_t i = 0; !base->health.now_ns && i < r->events.n; i++)
		if (r->events.v[i].addr && r->events.v[i].stamp_ns > r->dump_ns)
			r->dump_ns = r->events.v[i].stamp_ns;
	return each_cache(r, mark_there);
}

struct err *heap_replay_open(struct heap *base, struct heap **ret)
{
	struct heap *heap = mem_zalloc(sizeof(*heap));
	struct replay *r = mem_zalloc(sizeof(*r));
	struct err *err = NULL;

	*heap = *base;
	heap->ops = &heap_replay_ops;
	heap->priv = r;
	heap->health.first_finding = NULL;
	heap->health.untold = NULL;
	heap->health.panic = NULL;
	heap->health.doubt = NULL;
	r->heap = heap;
	r->base = base;
	r->dump_ns = base->health.now_ns;
	hash_init(&r->by_cache);
	if (!base->ops->coverage || !base->ops->log || !base->ops->audit)
		err = err_new(ERR_NOSUP, "%s heap keeps no log",
			      base->ops->name);
	else if (!base->ops->coverage(base, &r->covered))
		err = err_new(ERR_NOTFOUND, "log is disabled");
	if (!err)
		err = read_all(r);
	if (err) {
		heap_close(heap);
		return err;
	}
	r->covered.until_ns = r->dump_ns;
	if (r->events.n && r->stamps[r->events.n - 1] > r->dump_ns)
		r->covered.until_ns = r->stamps[r->events.n - 1];
	r->now_ns = r->dump_ns;
	if (base->health.first_finding)
		heap->health.first_finding =
			mem_strdup(base->health.first_finding);
	if (base->health.panic)
		heap->health.panic = mem_strdup(base->health.panic);
	*ret = heap;
	return NULL;
}
