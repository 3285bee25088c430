/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the heap at an earlier moment answers: see heap_replay.c.
 *
 * A question the records cannot answer is an error that says so; a statistic
 * they do not tell is HEAP_NOT_KNOWN.  What does not change with time (stacks,
 * settings, which memory is the allocator's) is the base's.
 */
#include <string.h>
#include "heap/heap_replay_impl.h"

static struct err *not_told(const char *what)
{
	return err_new(ERR_NOSUP,
		       "no log tells the %s of an earlier moment; ::replay -r "
		       "goes back to the dump",
		       what);
}

static void replay_close(struct heap *heap)
{
	struct replay *r = heap->priv;

	for (size_t i = 0; i < r->caches.n; i++)
		mem_free(r->caches.v[i].name);
	VEC_FREE(&r->events);
	VEC_FREE(&r->lives);
	VEC_FREE(&r->caches);
	VEC_FREE(&r->larges);
	VEC_FREE(&r->pasts);
	mem_free(r->stamps);
	hash_fini(&r->by_cache);
	mem_free(r);
	heap->priv = NULL;
}

/* ---- buffers --------------------------------------------------------- */

struct teller {
	struct replay *r;
	uint32_t cache;
	unsigned states;
	heap_buf_fn *fn;
	void *arg;
};

static void past_buf(const struct replay *r, const struct replay_past *p,
		     struct heap_buf *ret)
{
	const struct replay_cache *rc = &r->caches.v[p->cache];

	*ret = (struct heap_buf){
		.addr = p->addr,
		.size_bytes = p->size_bytes,
		.req_bytes = p->size_bytes,
		.state = p->state,
		.kind = rc->is_large ? BUF_OVERSIZE : BUF_IN_CACHE,
		.cache = rc->is_large ? 0 : rc->pub.addr,
		.arena = rc->is_large ? rc->pub.addr : 0,
	};
}

/* a buffer of the dump at the moment; false: it was not there (R4) */
static bool buf_then(struct replay *r, uint32_t cache, const struct heap_buf *b,
		     struct heap_buf *ret)
{
	struct replay_around at;

	*ret = *b;
	ret->state =
		replay_judge(r, cache, replay_find(r, b->addr, cache), b, &at);
	/* what was asked for is in its tag, unless it was another's then */
	if (!at.is_live_last)
		ret->req_bytes = ret->size_bytes;
	return ret->state == BUF_ALLOCATED ||
	       r->caches.v[cache].pub.is_internal ||
	       !replay_past_in(r, b->addr, b->addr + b->size_bytes);
}

static struct err *tell_buf(void *arg, const struct heap_buf *b)
{
	const struct teller *t = arg;
	struct heap_buf then;

	if (!buf_then(t->r, t->cache, b, &then) || !(then.state & t->states))
		return NULL;
	return t->fn(t->arg, &then);
}

/* of internal caches: nobody walks them, so they are not kept */
static struct err *tell_lives(const struct teller *t)
{
	struct replay *r = t->r;
	struct err *err = NULL;

	for (size_t i = 0; !err && i < r->lives.n; i++) {
		const struct replay_life *life = &r->lives.v[i];
		struct replay_around at;
		struct replay_past p = {
			.addr = life->buf,
			.size_bytes = r->caches.v[t->cache].pub.bufsize_bytes,
			.cache = t->cache,
		};
		struct heap_buf b;

		if (life->cache != t->cache || life->is_there)
			continue;
		p.state = replay_judge(r, t->cache, life, NULL, &at);
		past_buf(r, &p, &b);
		if (b.state & t->states & (BUF_ALLOCATED | BUF_UNKNOWN))
			err = t->fn(t->arg, &b);
	}
	return err;
}

static struct err *tell_pasts(const struct teller *t)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < t->r->pasts.n; i++) {
		const struct replay_past *p = &t->r->pasts.v[i];
		struct heap_buf b;

		past_buf(t->r, p, &b);
		if (p->cache == t->cache && (p->state & t->states))
			err = t->fn(t->arg, &b);
	}
	return err;
}

static struct err *tell_cache(const struct teller *t)
{
	const struct replay_cache *rc = &t->r->caches.v[t->cache];
	struct err *err = NULL;

	if (!rc->is_gone)
		err = t->r->base->ops->bufs(t->r->base, rc->pub.addr, BUF_ANY,
					    tell_buf, (void *)(uintptr_t)t);
	if (err)
		return err;
	return rc->pub.is_internal ? tell_lives(t) : tell_pasts(t);
}

static struct err *replay_bufs(struct heap *heap, taddr_t cache,
			       unsigned states, heap_buf_fn *fn, void *arg)
{
	struct replay *r = heap->priv;
	struct teller t = {r, 0, states, fn, arg};
	int64_t one = cache ? replay_cache_of(r, cache) : -1;
	struct err *err = NULL;

	if (cache && (one < 0 || r->caches.v[one].is_large))
		return err_new(ERR_NOTFOUND,
			       "0x%" PRIx64 " is not a kmem_cache", cache);
	if (cache) {
		t.cache = (uint32_t)one;
		return tell_cache(&t);
	}
	/* large ones last */
	for (int large = 0; large < 2; large++)
		for (size_t i = 0; !err && i < r->caches.n; i++) {
			t.cache = (uint32_t)i;
			if (!r->caches.v[i].pub.is_internal &&
			    r->caches.v[i].is_large == large)
				err = tell_cache(&t);
		}
	return err;
}

static bool replay_buf_at(struct heap *heap, taddr_t addr, struct heap_buf *ret)
{
	struct replay *r = heap->priv;
	const struct replay_past *p = replay_past_in(r, addr, addr + 1);
	struct heap_buf b;

	if (p) {
		past_buf(r, p, ret);
		return true;
	}
	if (!r->base->ops->buf_at(r->base, addr, &b) || b.kind == BUF_OVERSIZE)
		return false;
	int64_t cache = replay_cache_of(r, b.cache);

	return cache >= 0 && buf_then(r, (uint32_t)cache, &b, ret);
}

/* ---- caches and arenas ----------------------------------------------- */

/* how often it was allocated from until then */
static uint64_t nalloc_then(const struct replay *r,
			    const struct replay_cache *rc)
{
	if (!rc->pub.has_audit || r->now_ns < r->covered.since_ns ||
	    r->now_ns > r->dump_ns || rc->nalloc_after > rc->pub.nalloc)
		return HEAP_NOT_KNOWN;
	return rc->pub.nalloc - rc->nalloc_after;
}

static struct err *replay_caches(struct heap *heap, heap_cache_fn *fn,
				 void *arg)
{
	struct replay *r = heap->priv;
	struct err *err = NULL;

	for (size_t i = 0; !err && i < r->caches.n; i++) {
		const struct replay_cache *rc = &r->caches.v[i];
		struct heap_cache c = rc->pub;

		if (rc->is_large || (rc->is_gone && rc->nlive == 0))
			continue;
		c.buftotal = c.slabs_created = c.slabs_destroyed =
			HEAP_NOT_KNOWN;
		c.nalloc_fail = c.nfree_mag = c.nfree_slab = HEAP_NOT_KNOWN;
		c.nalloc = rc->is_gone ? HEAP_NOT_KNOWN : nalloc_then(r, rc);
		c.nlive = rc->nunknown || (!c.has_audit && !rc->is_gone)
				  ? HEAP_NOT_KNOWN
				  : rc->nlive;
		err = fn(arg, &c);
	}
	return err;
}

struct arena_teller {
	heap_arena_fn *fn;
	void *arg;
};

static struct err *tell_arena(void *arg, const struct heap_arena *arena)
{
	const struct arena_teller *t = arg;
	struct heap_arena a = *arena;

	a.inuse_bytes = a.total_bytes = a.import_bytes = HEAP_NOT_KNOWN;
	a.nalloc = a.nfail = a.nbufs = HEAP_NOT_KNOWN;
	return t->fn(t->arg, &a);
}

static struct err *replay_arenas(struct heap *heap, heap_arena_fn *fn,
				 void *arg)
{
	struct replay *r = heap->priv;
	struct arena_teller t = {fn, arg};

	if (!r->base->ops->arenas)
		return not_told("arenas");
	return r->base->ops->arenas(r->base, tell_arena, &t);
}

/* ---- records --------------------------------------------------------- */

static void event_audit(const struct replay *r, const struct replay_event *e,
			struct heap_audit *ret)
{
	const struct replay_cache *rc = &r->caches.v[e->cache];

	*ret = (struct heap_audit){
		.addr = e->addr,
		.buf = e->buf,
		.cache = rc->pub.addr,
		.stamp_ns = e->stamp_ns,
		.tid = e->tid,
		.what = (enum heap_what)e->what,
		.kind = r->kinds[e->kind],
		.stack = e->stack,
		.large_bytes = rc->is_large ? e->prev_or_size : 0,
		.lastlog = rc->is_large ? 0 : e->prev_or_size,
		.cpu = -1,
	};
}

/* the last transaction before the moment, when it is known to be that */
static bool audit_then(struct replay *r, uint32_t cache,
		       const struct heap_buf *in_dump, taddr_t addr,
		       struct heap_audit *ret)
{
	const struct replay_life *life = replay_find(r, addr, cache);
	struct replay_around at;
	enum buf_state state = replay_judge(r, cache, life, in_dump, &at);

	if (state == BUF_UNKNOWN)
		return false;
	if (at.is_live_last) {
		*ret = at.live;
		return true;
	}
	if (!at.last)
		return false;
	event_audit(r, at.last, ret);
	return true;
}

/* the same buffer in the dump; false: it is not there */
static bool find_in_dump(const struct replay *r, const struct heap_buf *buf,
			 struct heap_buf *ret)
{
	return r->base->ops->buf_at(r->base, buf->addr, ret) &&
	       ret->addr == buf->addr && ret->kind == buf->kind &&
	       (buf->kind == BUF_OVERSIZE || ret->cache == buf->cache);
}

static bool replay_audit(struct heap *heap, const struct heap_buf *buf,
			 struct heap_audit *ret)
{
	struct replay *r = heap->priv;
	int64_t cache = replay_cache_of(
		r, buf->kind == BUF_OVERSIZE ? buf->arena : buf->cache);
	struct heap_buf b;

	if (cache < 0)
		return false;
	return audit_then(r, (uint32_t)cache,
			  find_in_dump(r, buf, &b) ? &b : NULL, buf->addr, ret);
}

/* a bufctl has the record of the moment, a record of the log is what it is */
static struct err *replay_audit_at(struct heap *heap, taddr_t addr,
				   struct heap_audit *ret)
{
	struct replay *r = heap->priv;
	struct heap_audit a;
	struct heap_buf b;
	struct err *err = r->base->ops->audit_at(r->base, addr, &a);

	if (err)
		return err;
	*ret = a;
	if (a.stamp_ns <= r->now_ns ||
	    !r->base->ops->buf_at(r->base, a.buf, &b) || b.ctl != addr)
		return NULL;
	int64_t cache = replay_cache_of(r, b.cache);

	if (cache < 0 || !audit_then(r, (uint32_t)cache, &b, b.addr, ret))
		return err_new(ERR_NOTFOUND,
			       "bufctl 0x%" PRIx64
			       ": what it said then is not recorded",
			       addr);
	ret->addr = addr;
	return NULL;
}

struct log_teller {
	const struct replay *r;
	heap_audit_fn *fn;
	void *arg;
};

static struct err *tell_record(void *arg, const struct heap_audit *a)
{
	const struct log_teller *t = arg;

	return a->stamp_ns <= t->r->now_ns ? t->fn(t->arg, a) : NULL;
}

static struct err *replay_log(struct heap *heap, enum heap_log which,
			      taddr_t log, heap_audit_fn *fn, void *arg)
{
	struct replay *r = heap->priv;
	struct log_teller t = {r, fn, arg};

	return r->base->ops->log(r->base, which, log, tell_record, &t);
}

static bool replay_coverage(struct heap *heap, struct heap_coverage *ret)
{
	const struct replay *r = heap->priv;

	*ret = r->covered;
	return true;
}

static bool replay_stack(struct heap *heap, uint32_t id, struct heap_stack *ret)
{
	const struct replay *r = heap->priv;

	return r->base->ops->stack && r->base->ops->stack(r->base, id, ret);
}

/* ---- what does not change, and what is not told ---------------------- */

static struct err *replay_own(struct heap *heap, struct heap_range **ret,
			      size_t *ret_n)
{
	const struct replay *r = heap->priv;

	return r->base->ops->own(r->base, ret, ret_n);
}

static void replay_status(struct heap *heap, struct heap_status *ret)
{
	const struct replay *r = heap->priv;

	*ret = (struct heap_status){0};
	if (r->base->ops->status)
		r->base->ops->status(r->base, ret);
}

static struct err *no_slabs(struct heap *heap, taddr_t cache, bool partial,
			    heap_slab_fn *fn, void *arg)
{
	(void)heap, (void)cache, (void)partial, (void)fn, (void)arg;
	return not_told("slabs");
}

/* large buffers are the segments that records tell of */
static struct err *large_segments(struct heap *heap, taddr_t arena,
				  unsigned types, heap_segment_fn *fn,
				  void *arg)
{
	const struct replay *r = heap->priv;
	int64_t cache = replay_cache_of(r, arena);
	struct err *err = NULL;

	if (cache < 0 || !r->caches.v[cache].is_large)
		return not_told("segments");
	for (size_t i = 0; !err && i < r->pasts.n; i++) {
		const struct replay_past *p = &r->pasts.v[i];
		struct heap_segment s = {
			.arena = arena,
			.start = p->addr,
			.end = p->addr + p->size_bytes,
			.type = SEG_ALLOC,
		};

		if (p->cache == cache && (types >> SEG_ALLOC & 1))
			err = fn(arg, &s);
	}
	return err;
}

static struct err *no_segment_at(struct heap *heap, taddr_t addr,
				 struct heap_segment *ret)
{
	(void)heap, (void)addr, (void)ret;
	return not_told("segments");
}

static struct err *no_hash(struct heap *heap, taddr_t cache, heap_audit_fn *fn,
			   void *arg)
{
	(void)heap, (void)cache, (void)fn, (void)arg;
	return not_told("hash tables");
}

static struct err *no_verify(struct heap *heap, taddr_t cache,
			     heap_finding_fn *fn, void *arg)
{
	(void)heap, (void)cache, (void)fn, (void)arg;
	return not_told("contents");
}

static struct err *no_waiters(struct heap *heap, heap_waiter_fn *fn, void *arg)
{
	(void)heap, (void)fn, (void)arg;
	return not_told("waiters");
}

static struct err *no_rmaps(struct heap *heap, heap_rmap_fn *fn, void *arg)
{
	(void)heap, (void)fn, (void)arg;
	return not_told("resource maps");
}

static struct err *no_rmap_free(struct heap *heap, taddr_t map,
				heap_range_fn *fn, void *arg)
{
	(void)heap, (void)map, (void)fn, (void)arg;
	return not_told("resource maps");
}

static struct err *no_cpu_caches(struct heap *heap, taddr_t cache,
				 heap_addr_fn *fn, void *arg)
{
	(void)heap, (void)cache, (void)fn, (void)arg;
	return not_told("magazines");
}

static struct err *no_thread_bufs(struct heap *heap, taddr_t cache,
				  heap_addr_fn *fn, void *arg)
{
	(void)heap, (void)cache, (void)fn, (void)arg;
	return not_told("lists of threads");
}

const struct heap_ops heap_replay_ops = {
	.name = "replayed",
	.close = replay_close,
	.caches = replay_caches,
	.slabs = no_slabs,
	.bufs = replay_bufs,
	.buf_at = replay_buf_at,
	.arenas = replay_arenas,
	.segments = large_segments,
	.segment_at = no_segment_at,
	.audit = replay_audit,
	.audit_at = replay_audit_at,
	.log = replay_log,
	.coverage = replay_coverage,
	.hash = no_hash,
	.stack = replay_stack,
	.verify = no_verify,
	.own = replay_own,
	.waiters = no_waiters,
	.rmaps = no_rmaps,
	.rmap_free = no_rmap_free,
	.status = replay_status,
	.cpu_caches = no_cpu_caches,
	.thread_bufs = no_thread_bufs,
};
