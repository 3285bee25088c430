/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Several heaps of one process as one: a libkmem arena beside malloc's.
 *
 * What lists, lists the parts one after the other; what is about one cache,
 * arena or buffer is asked of the part that knows it; what only one kind of heap
 * can answer is asked of the first that can.  A slot is NULL when no part has
 * it.  Addresses tell the parts apart, so that nobody above has to.
 *
 * The health is that of all together: what makes one part doubtful makes the
 * whole so.  Parts learn about themselves while they are read, so it is put
 * together again after each question.
 */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "heap/heap_impl.h"

struct many {
	struct heap *part[HEAP_PARTS_MAX];
	size_t n;
	struct heap_ops ops;
	char *name;    /* owned */
	uint64_t seen; /* findings of parts, counted before */
};

static void merge_one(struct heap_health *to, const struct heap_health *from)
{
	/* all rest if each does; of one that does not, it is enough to know */
	if (from->is_quiescent_known && !from->is_quiescent)
		to->is_quiescent = false;
	to->is_quiescent_known =
		!to->is_quiescent ||
		(to->is_quiescent_known && from->is_quiescent_known);
	if (from->now_ns)
		to->now_ns = from->now_ns;
	if (to->nthreads_lost < from->nthreads_lost)
		to->nthreads_lost = from->nthreads_lost;
	if (from->first_finding && !to->first_finding)
		to->first_finding = mem_strdup(from->first_finding);
	if (from->doubt && !to->doubt)
		to->doubt = mem_strdup(from->doubt);
	if (!from->has_panic || to->has_panic)
		return;
	to->has_panic = true;
	to->panic_of = from->panic_of;
	to->panic = from->panic ? mem_strdup(from->panic) : NULL;
}

static void take_untold(struct heap_health *to, struct heap_health *from)
{
	if (to->untold)
		mem_free(from->untold);
	else
		to->untold = from->untold;
	from->untold = NULL;
}

static void merge(struct heap *heap)
{
	struct many *m = heap->priv;
	struct heap_health *h = &heap->health;
	uint64_t found = 0;

	h->is_quiescent_known = h->is_quiescent = m->n > 0;
	for (size_t i = 0; i < m->n; i++) {
		merge_one(h, &m->part[i]->health);
		take_untold(h, &m->part[i]->health);
		found += m->part[i]->health.nfindings;
	}
	/* heap_damage() may have counted for the whole in between */
	h->nfindings += found - m->seen;
	m->seen = found;
}

static struct err *merged(struct heap *heap, struct err *err)
{
	merge(heap);
	return err;
}

/* ---- whose is it? ---------------------------------------------------- */

struct owner_arg {
	taddr_t addr;
	bool is_found;
};

static struct err *match_cache(void *arg, const struct heap_cache *c)
{
	struct owner_arg *o = arg;

	o->is_found = o->is_found || c->addr == o->addr;
	return NULL;
}

static struct err *match_arena(void *arg, const struct heap_arena *a)
{
	struct owner_arg *o = arg;

	o->is_found = o->is_found || a->addr == o->addr;
	return NULL;
}

/* the part that has a cache or arena at addr; the first, to say that there is
 * none */
static struct heap *owner(struct heap *heap, taddr_t addr)
{
	struct many *m = heap->priv;
	struct owner_arg o = {.addr = addr};

	for (size_t i = 0; i < m->n; i++) {
		struct heap *p = m->part[i];

		err_free(p->ops->caches(p, match_cache, &o));
		if (!o.is_found && p->ops->arenas)
			err_free(p->ops->arenas(p, match_arena, &o));
		if (o.is_found)
			return p;
	}
	return m->part[0];
}

/* the part that a buffer is of, or NULL */
static struct heap *holder(struct heap *heap, taddr_t buf)
{
	struct many *m = heap->priv;
	struct heap_buf b;

	for (size_t i = 0; i < m->n; i++)
		if (m->part[i]->ops->buf_at(m->part[i], buf, &b) &&
		    b.addr == buf)
			return m->part[i];
	return NULL;
}

/* the first part that can answer at all */
#define FIRST(heap, slot) first_with(heap, offsetof(struct heap_ops, slot))

static struct heap *first_with(struct heap *heap, size_t slot)
{
	struct many *m = heap->priv;

	for (size_t i = 0; i < m->n; i++) {
		void *fn = NULL;

		memcpy(&fn, (const char *)m->part[i]->ops + slot, sizeof(fn));
		if (fn)
			return m->part[i];
	}
	return m->part[0];
}

static struct err *cannot(const struct heap *part, const char *what)
{
	return err_new(ERR_NOSUP, "%s heap has no %s", part->ops->name, what);
}

/* ---- lists ----------------------------------------------------------- */

static struct err *many_caches(struct heap *heap, heap_cache_fn *fn, void *arg)
{
	struct many *m = heap->priv;
	struct err *err = NULL;

	for (size_t i = 0; !err && i < m->n; i++)
		err = m->part[i]->ops->caches(m->part[i], fn, arg);
	return merged(heap, err);
}

static struct err *many_bufs(struct heap *heap, taddr_t cache, unsigned states,
			     heap_buf_fn *fn, void *arg)
{
	struct many *m = heap->priv;
	struct err *err = NULL;

	if (cache) {
		struct heap *p = owner(heap, cache);

		return merged(heap, p->ops->bufs(p, cache, states, fn, arg));
	}
	for (size_t i = 0; !err && i < m->n; i++)
		err = m->part[i]->ops->bufs(m->part[i], 0, states, fn, arg);
	return merged(heap, err);
}

static bool many_buf_at(struct heap *heap, taddr_t addr, struct heap_buf *ret)
{
	struct many *m = heap->priv;

	for (size_t i = 0; i < m->n; i++)
		if (m->part[i]->ops->buf_at(m->part[i], addr, ret))
			return true;
	return false;
}

static struct err *many_arenas(struct heap *heap, heap_arena_fn *fn, void *arg)
{
	struct many *m = heap->priv;
	struct err *err = NULL;

	for (size_t i = 0; !err && i < m->n; i++)
		if (m->part[i]->ops->arenas)
			err = m->part[i]->ops->arenas(m->part[i], fn, arg);
	return merged(heap, err);
}

static struct err *many_verify(struct heap *heap, taddr_t cache,
			       heap_finding_fn *fn, void *arg)
{
	struct many *m = heap->priv;
	struct heap *only = cache ? owner(heap, cache) : NULL;
	struct err *err = NULL;

	for (size_t i = 0; !err && i < m->n; i++)
		if (m->part[i]->ops->verify && (!only || only == m->part[i]))
			err = m->part[i]->ops->verify(m->part[i], cache, fn,
						      arg);
	return merged(heap, err);
}

static int by_start(const void *a, const void *b)
{
	const struct heap_range *x = a;
	const struct heap_range *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static struct err *many_own(struct heap *heap, struct heap_range **ret,
			    size_t *ret_n)
{
	struct many *m = heap->priv;
	struct heap_range *all = mem_array(1, sizeof(*all));
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		_free_ struct heap_range *own = NULL;
		size_t k = 0;

		if (!m->part[i]->ops->own)
			continue;
		struct err *err = m->part[i]->ops->own(m->part[i], &own, &k);

		if (err) {
			mem_free(all);
			return err;
		}
		all = mem_realloc(all, n + k + 1, sizeof(*all));
		memcpy(all + n, own, k * sizeof(*all));
		n += k;
	}
	if (n)
		qsort(all, n, sizeof(*all), by_start);
	*ret = all;
	*ret_n = n;
	return merged(heap, NULL);
}

/* ---- of one cache, arena, buffer ------------------------------------- */

static struct err *many_slabs(struct heap *heap, taddr_t cache, bool partial,
			      heap_slab_fn *fn, void *arg)
{
	struct heap *p = owner(heap, cache);

	/* sizes of malloc have none */
	return p->ops->slabs ? p->ops->slabs(p, cache, partial, fn, arg) : NULL;
}

static struct err *many_hash(struct heap *heap, taddr_t cache,
			     heap_audit_fn *fn, void *arg)
{
	struct heap *p = owner(heap, cache);

	return p->ops->hash ? p->ops->hash(p, cache, fn, arg)
			    : cannot(p, "hash tables");
}

static struct err *many_cpu_caches(struct heap *heap, taddr_t cache,
				   heap_addr_fn *fn, void *arg)
{
	struct heap *p = owner(heap, cache);

	return p->ops->cpu_caches ? p->ops->cpu_caches(p, cache, fn, arg)
				  : cannot(p, "layer for CPUs");
}

static struct err *many_thread_bufs(struct heap *heap, taddr_t cache,
				    heap_addr_fn *fn, void *arg)
{
	struct heap *p = owner(heap, cache);

	return p->ops->thread_bufs ? p->ops->thread_bufs(p, cache, fn, arg)
				   : cannot(p, "lists of threads by cache");
}

static struct err *many_segments(struct heap *heap, taddr_t arena,
				 unsigned types, heap_segment_fn *fn, void *arg)
{
	struct heap *p = owner(heap, arena);

	return p->ops->segments ? p->ops->segments(p, arena, types, fn, arg)
				: cannot(p, "segments");
}

static struct err *many_segment_at(struct heap *heap, taddr_t addr,
				   struct heap_segment *ret)
{
	struct many *m = heap->priv;
	struct err *err = NULL;

	for (size_t i = 0; i < m->n; i++) {
		if (!m->part[i]->ops->segment_at)
			continue;
		err_free(err);
		err = m->part[i]->ops->segment_at(m->part[i], addr, ret);
		if (!err)
			return NULL;
	}
	return err;
}

static bool many_audit(struct heap *heap, const struct heap_buf *buf,
		       struct heap_audit *ret)
{
	struct heap *p = holder(heap, buf->addr);

	return p && p->ops->audit && p->ops->audit(p, buf, ret);
}

/* ---- what one kind only can answer ----------------------------------- */

static struct err *many_audit_at(struct heap *heap, taddr_t addr,
				 struct heap_audit *ret)
{
	struct heap *p = FIRST(heap, audit_at);

	return p->ops->audit_at(p, addr, ret);
}

static struct err *many_log(struct heap *heap, enum heap_log which, taddr_t log,
			    heap_audit_fn *fn, void *arg)
{
	struct heap *p = FIRST(heap, log);

	return p->ops->log(p, which, log, fn, arg);
}

static bool many_coverage(struct heap *heap, struct heap_coverage *ret)
{
	struct heap *p = FIRST(heap, coverage);

	return p->ops->coverage(p, ret);
}

static bool many_cache_then(struct heap *heap, taddr_t addr, uint64_t stamp_ns,
			    struct heap_cache *ret)
{
	struct heap *p = FIRST(heap, cache_then);

	return p->ops->cache_then(p, addr, stamp_ns, ret);
}

static struct err *many_open_log(struct heap *heap, const char *path)
{
	struct heap *p = FIRST(heap, open_log);

	return p->ops->open_log(p, path);
}

static bool many_stack(struct heap *heap, uint32_t id, struct heap_stack *ret)
{
	struct heap *p = FIRST(heap, stack);

	return p->ops->stack(p, id, ret);
}

static struct err *many_waiters(struct heap *heap, heap_waiter_fn *fn,
				void *arg)
{
	struct heap *p = FIRST(heap, waiters);

	return p->ops->waiters(p, fn, arg);
}

static struct err *many_rmaps(struct heap *heap, heap_rmap_fn *fn, void *arg)
{
	struct heap *p = FIRST(heap, rmaps);

	return p->ops->rmaps(p, fn, arg);
}

static struct err *many_rmap_free(struct heap *heap, taddr_t map,
				  heap_range_fn *fn, void *arg)
{
	struct heap *p = FIRST(heap, rmap_free);

	return p->ops->rmap_free(p, map, fn, arg);
}

static void many_status(struct heap *heap, struct heap_status *ret)
{
	struct heap *p = FIRST(heap, status);

	p->ops->status(p, ret);
}

static struct err *many_mismatches(struct heap *heap, uint64_t *ret_total,
				   heap_mismatch_fn *fn, void *arg)
{
	struct heap *p = FIRST(heap, mismatches);

	return p->ops->mismatches(p, ret_total, fn, arg);
}

static struct err *many_freelists(struct heap *heap, heap_freelist_fn *fn,
				  void *arg)
{
	struct heap *p = FIRST(heap, freelists);

	return p->ops->freelists(p, fn, arg);
}

static struct err *many_uses(struct heap *heap, heap_use_fn *fn, void *arg)
{
	struct heap *p = FIRST(heap, uses);

	return p->ops->uses(p, fn, arg);
}

static const struct heap *many_part_at(const struct heap *heap, size_t i)
{
	const struct many *m = heap->priv;

	return i < m->n ? m->part[i] : NULL;
}

static void many_close(struct heap *heap)
{
	struct many *m = heap->priv;

	for (size_t i = 0; i < m->n; i++)
		heap_close(m->part[i]);
	mem_free(m->name);
	mem_free(m);
	heap->priv = NULL;
}

static const struct heap_ops many_ops = {
	.close = many_close,
	.caches = many_caches,
	.slabs = many_slabs,
	.bufs = many_bufs,
	.buf_at = many_buf_at,
	.arenas = many_arenas,
	.segments = many_segments,
	.segment_at = many_segment_at,
	.audit = many_audit,
	.audit_at = many_audit_at,
	.log = many_log,
	.hash = many_hash,
	.coverage = many_coverage,
	.cache_then = many_cache_then,
	.open_log = many_open_log,
	.stack = many_stack,
	.verify = many_verify,
	.own = many_own,
	.waiters = many_waiters,
	.rmaps = many_rmaps,
	.rmap_free = many_rmap_free,
	.status = many_status,
	.cpu_caches = many_cpu_caches,
	.thread_bufs = many_thread_bufs,
	.mismatches = many_mismatches,
	.freelists = many_freelists,
	.uses = many_uses,
	.part_of = holder,
	.part_at = many_part_at,
};

struct heap *heap_many(struct heap *const parts[], size_t n)
{
	struct heap *heap = mem_zalloc(sizeof(*heap));
	struct many *m = mem_zalloc(sizeof(*m));

	heap->target = parts[0]->target;
	heap->types = parts[0]->types;
	heap->priv = m;
	heap->ops = &m->ops;
	m->ops = many_ops;
	m->n = n;
	for (size_t i = 0; i < n; i++)
		m->part[i] = parts[i];
	m->name = mem_printf("%s and %s", parts[0]->ops->name,
			     parts[1]->ops->name);
	m->ops.name = m->name;
#define KEEP(slot)                         \
	if (!FIRST(heap, slot)->ops->slot) \
	m->ops.slot = NULL
	KEEP(slabs);
	KEEP(arenas);
	KEEP(segments);
	KEEP(segment_at);
	KEEP(audit);
	KEEP(audit_at);
	KEEP(log);
	KEEP(hash);
	KEEP(coverage);
	KEEP(cache_then);
	KEEP(open_log);
	KEEP(stack);
	KEEP(verify);
	KEEP(own);
	KEEP(waiters);
	KEEP(rmaps);
	KEEP(rmap_free);
	KEEP(status);
	KEEP(cpu_caches);
	KEEP(thread_bufs);
	KEEP(mismatches);
	KEEP(freelists);
	KEEP(uses);
#undef KEEP
	merge(heap);
	return heap;
}
