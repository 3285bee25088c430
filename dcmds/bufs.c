/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The walkers over caches, slabs, buffers and bufctls, and one for the buffers of
 * each cache. */
#include "audited.h"

/* what a walk over buffers calls, and which of them it wants */
struct walk_arg {
	walk_fn *fn;
	void *arg;
	struct heap *heap;
	unsigned states;
	bool wants_ctl;
	taddr_t cache; /* 0: every one */
};

static struct err *pass_cache(void *arg, const struct heap_cache *c)
{
	struct walk_arg *w = arg;

	return w->fn(w->arg, c->addr);
}

static struct err *walk_caches(struct session *s, const struct walker *walker,
			       bool has_addr, taddr_t addr, walk_fn *fn,
			       void *arg)
{
	struct walk_arg w = {.fn = fn, .arg = arg};
	struct err *err = session_heap(s, &w.heap);

	(void)walker;
	(void)has_addr; /* takes none */
	(void)addr;
	return err ? err : w.heap->ops->caches(w.heap, pass_cache, &w);
}

static struct err *pass_buf(void *arg, const struct heap_buf *b)
{
	struct walk_arg *w = arg;

	if (!w->wants_ctl)
		return w->fn(w->arg, b->addr);
	/* segments have boundary tags, not bufctls; raw buffers have a word */
	if (b->kind != BUF_IN_CACHE || !b->ctl)
		return NULL;
	return w->fn(w->arg, b->ctl);
}

static struct err *bufctls_of(void *arg, const struct heap_cache *c)
{
	struct walk_arg *w = arg;

	if (!c->has_hash || c->is_internal)
		return NULL;
	return w->heap->ops->bufs(w->heap, c->addr, w->states, pass_buf, w);
}

/* free buffers that still are what the constructor made of them */
static struct err *constructed_of(void *arg, const struct heap_cache *c)
{
	struct walk_arg *w = arg;

	if ((w->cache ? c->addr != w->cache : c->is_internal) ||
	    !c->has_constructor || c->is_poisoned)
		return NULL;
	if (w->wants_ctl && !c->has_hash)
		return NULL;
	return w->heap->ops->bufs(w->heap, c->addr, w->states, pass_buf, w);
}

/* data: "f" the buffers, "F" their bufctls.  What has gone back to its slab is
 * not constructed any more. */
static struct err *walk_constructed(struct session *s,
				    const struct walker *walker, bool has_addr,
				    taddr_t addr, walk_fn *fn, void *arg)
{
	struct walk_arg w = {
		.fn = fn,
		.arg = arg,
		.states = BUF_FREE_MAG | BUF_FREE_DEPOT,
		.wants_ctl = *(const char *)walker->data == 'F',
		.cache = has_addr ? addr : 0,
	};
	struct err *err = session_heap(s, &w.heap);

	return err ? err : w.heap->ops->caches(w.heap, constructed_of, &w);
}

/* is the cache one whose bufctls are structures of their own? */
static struct err *check_hash(void *arg, const struct heap_cache *c)
{
	struct heap_cache *want = arg;

	if (c->addr == want->addr)
		*want = *c;
	return NULL;
}

/* data: "a" allocated or "f" free buffers, "A" and "F" their bufctls */
static struct err *walk_bufs(struct session *s, const struct walker *walker,
			     bool has_addr, taddr_t addr, walk_fn *fn,
			     void *arg)
{
	const char *how = walker->data;
	struct walk_arg w = {.fn = fn, .arg = arg};
	struct heap_cache cache = {.addr = addr};
	struct err *err = session_heap(s, &w.heap);

	w.states = *how == 'a' || *how == 'A' ? BUF_ALLOCATED : BUF_FREE;
	w.wants_ctl = *how == 'A' || *how == 'F';
	if (!err && w.wants_ctl && !w.heap->ops->audit)
		err = err_new(ERR_NOSUP, "%s heap keeps no audit records",
			      w.heap->ops->name);
	if (err)
		return err;
	if (w.wants_ctl && !has_addr)
		return w.heap->ops->caches(w.heap, bufctls_of, &w);
	if (w.wants_ctl) {
		err = w.heap->ops->caches(w.heap, check_hash, &cache);
		if (err || (cache.name && !cache.has_hash))
			return err;
	}
	return w.heap->ops->bufs(w.heap, has_addr ? addr : 0, w.states,
				 pass_buf, &w);
}

static struct err *pass_slab(void *arg, const struct heap_slab *slab)
{
	struct walk_arg *w = arg;

	return w->fn(w->arg, slab->addr);
}

/* data: not NULL for partial slabs only */
static struct err *walk_slabs(struct session *s, const struct walker *walker,
			      bool has_addr, taddr_t addr, walk_fn *fn,
			      void *arg)
{
	struct walk_arg w = {.fn = fn, .arg = arg};
	struct err *err = session_heap(s, &w.heap);

	(void)has_addr; /* required */
	if (!err && !w.heap->ops->slabs)
		err = err_new(ERR_NOSUP, "%s heap has no slabs",
			      w.heap->ops->name);
	return err ? err
		   : w.heap->ops->slabs(w.heap, addr, walker->data != NULL,
					pass_slab, &w);
}

static struct err *walk_hash(struct session *s, const struct walker *walker,
			     bool has_addr, taddr_t addr, walk_fn *fn,
			     void *arg)
{
	struct addr_pass w = {fn, arg};
	struct heap *heap = NULL;
	struct err *err = session_heap(s, &heap);

	(void)walker;
	(void)has_addr; /* required */
	if (!err && !heap->ops->hash)
		err = err_new(ERR_NOSUP, "%s heap has no hash tables",
			      heap->ops->name);
	return err ? err : heap->ops->hash(heap, addr, audit_pass_addr, &w);
}

static struct err *pass_addr(void *arg, taddr_t addr)
{
	struct walk_arg *w = arg;

	return w->fn(w->arg, addr);
}

static struct err *walk_cpus(struct session *s, const struct walker *walker,
			     bool has_addr, taddr_t addr, walk_fn *fn,
			     void *arg)
{
	struct walk_arg w = {.fn = fn, .arg = arg};
	struct err *err = session_heap(s, &w.heap);

	(void)walker;
	(void)has_addr; /* required */
	if (!err && !w.heap->ops->cpu_caches)
		err = err_new(ERR_NOSUP, "%s heap has no layer for CPUs",
			      w.heap->ops->name);
	return err ? err : w.heap->ops->cpu_caches(w.heap, addr, pass_addr, &w);
}

/* ---- one walker a cache ---------------------------------------------- */

struct maker {
	VEC(struct walker) list;
};

/* by name, since a walker outlives nothing of the heap but its strings */
struct find_arg {
	const char *name;
	taddr_t addr;
};

static struct err *match_name(void *arg, const struct heap_cache *c)
{
	struct find_arg *f = arg;

	if (!f->addr && strcmp(c->name, f->name) == 0)
		f->addr = c->addr;
	return NULL;
}

static struct err *walk_named(struct session *s, const struct walker *walker,
			      bool has_addr, taddr_t addr, walk_fn *fn,
			      void *arg)
{
	struct walk_arg w = {.fn = fn, .arg = arg};
	struct find_arg find = {.name = walker->name};
	struct err *err = session_heap(s, &w.heap);

	(void)has_addr; /* takes none */
	(void)addr;
	if (!err)
		err = w.heap->ops->caches(w.heap, match_name, &find);
	if (err)
		return err;
	return w.heap->ops->bufs(w.heap, find.addr, BUF_ALLOCATED, pass_buf,
				 &w);
}

static struct err *walk_threads(struct session *s, const struct walker *walker,
				bool has_addr, taddr_t addr, walk_fn *fn,
				void *arg)
{
	struct walk_arg w = {.fn = fn, .arg = arg};
	struct find_arg find = {.name = walker->data};
	struct err *err = session_heap(s, &w.heap);

	(void)has_addr; /* takes none */
	(void)addr;
	if (!err)
		err = w.heap->ops->caches(w.heap, match_name, &find);
	if (!err && (!find.addr || !w.heap->ops->thread_bufs))
		err = err_new(ERR_NOSUP, "%s heap has no such lists of threads",
			      w.heap->ops->name);
	return err ? err
		   : w.heap->ops->thread_bufs(w.heap, find.addr, pass_addr, &w);
}

static struct err *make_walker(void *arg, const struct heap_cache *c)
{
	struct maker *m = arg;
	struct walker w = {
		.name = c->name,
		.brief = "allocated buffers of this cache",
		.addr = ADDR_NONE,
		.run = walk_named,
	};

	VEC_PUSH(&m->list, w);
	w.brief = "free buffers of this size that threads keep";
	w.data = c->name;
	w.run = walk_threads;
	for (size_t i = 0; i < 2; i++) {
		w.name = c->thread_walker[i];
		if (w.name)
			VEC_PUSH(&m->list, w);
	}
	return NULL;
}

static struct err *make_walkers(struct session *s, struct walker **ret,
				size_t *ret_n)
{
	struct maker m = {0};
	struct heap *heap = NULL;
	struct err *err = session_heap(s, &heap);

	if (!err)
		err = heap->ops->caches(heap, make_walker, &m);
	if (err) {
		VEC_FREE(&m.list);
		return err;
	}
	*ret = m.list.v;
	*ret_n = m.list.n;
	return NULL;
}

static const struct walker walkers[] = {
	{"kmem_cache", "every cache", ADDR_NONE, NULL, walk_caches},
	{"umem_cache", "every cache", ADDR_NONE, NULL, walk_caches},
	{"kmem", "allocated buffers, of a cache or of all", ADDR_OPTIONAL, "a",
	 walk_bufs},
	{"umem", "allocated buffers, of a cache or of all", ADDR_OPTIONAL, "a",
	 walk_bufs},
	{"cache", "every cache", ADDR_NONE, NULL, walk_caches},
	{"buf", "allocated buffers, of a cache or of all", ADDR_OPTIONAL, "a",
	 walk_bufs},
	{"freebuf", "free buffers, of a cache or of all", ADDR_OPTIONAL, "f",
	 walk_bufs},
	{"freemem", "free buffers, of a cache or of all", ADDR_OPTIONAL, "f",
	 walk_bufs},
	{"bufctl", "bufctls of allocated buffers", ADDR_OPTIONAL, "A",
	 walk_bufs},
	{"freectl", "bufctls of free buffers", ADDR_OPTIONAL, "F", walk_bufs},
	{"freemem_constructed", "free buffers that are still constructed",
	 ADDR_OPTIONAL, "f", walk_constructed},
	{"freectl_constructed", "their bufctls", ADDR_OPTIONAL, "F",
	 walk_constructed},
	{"kmem_cpu_cache", "what a cache has for each CPU", ADDR_REQUIRED, NULL,
	 walk_cpus},
	{"umem_cpu_cache", "what a cache has for each CPU", ADDR_REQUIRED, NULL,
	 walk_cpus},
	{"kmem_slab", "slabs of a cache", ADDR_REQUIRED, NULL, walk_slabs},
	{"umem_slab", "slabs of a cache", ADDR_REQUIRED, NULL, walk_slabs},
	{"kmem_slab_partial", "slabs of a cache with a free buffer",
	 ADDR_REQUIRED, "p", walk_slabs},
	{"umem_slab_partial", "slabs of a cache with a free buffer",
	 ADDR_REQUIRED, "p", walk_slabs},
	{"kmem_hash", "bufctls in the hash table of a cache", ADDR_REQUIRED,
	 NULL, walk_hash},
	{"umem_hash", "bufctls in the hash table of a cache", ADDR_REQUIRED,
	 NULL, walk_hash},
	{0},
};

const struct group group_bufs = {
	.name = "bufs",
	.walkers = walkers,
	.make_walkers = make_walkers,
};
