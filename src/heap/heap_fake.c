/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A heap from a table: lets the floors above be tested on buffers and memory
 * that a test wrote down itself.  Only what those floors ask for is answered.
 * A stack id is its own single frame; every buffer is in one cache, "fake".
 */
#include <stdlib.h>
#include "base/mem.h"
#include "heap/heap.h"

#define FAKE_CACHE 0xca5e000ULL

struct fake {
	struct heap_buf *bufs; /* by address */
	uint32_t *stacks;      /* of each */
	size_t n;
	struct heap_range *own;
	size_t nown;
};

static void fake_close(struct heap *heap)
{
	struct fake *f = heap->priv;

	mem_free(f->bufs);
	mem_free(f->stacks);
	mem_free(f->own);
	mem_free(f);
}

static struct err *fake_caches(struct heap *heap, heap_cache_fn *fn, void *arg)
{
	const struct fake *f = heap->priv;
	struct heap_cache c = {
		.addr = FAKE_CACHE,
		.name = "fake",
		.has_audit = true,
		.buftotal = f->n,
	};

	return fn(arg, &c);
}

static struct err *fake_bufs(struct heap *heap, taddr_t cache, unsigned states,
			     heap_buf_fn *fn, void *arg)
{
	const struct fake *f = heap->priv;

	if (cache && cache != FAKE_CACHE)
		return NULL;
	for (size_t i = 0; i < f->n; i++) {
		struct err *err = NULL;

		if (f->bufs[i].state & states)
			err = fn(arg, &f->bufs[i]);
		if (err)
			return err;
	}
	return NULL;
}

static const struct heap_buf *fake_find(const struct fake *f, taddr_t addr)
{
	for (size_t i = 0; i < f->n; i++)
		if (addr - f->bufs[i].addr < f->bufs[i].size_bytes)
			return &f->bufs[i];
	return NULL;
}

static bool fake_buf_at(struct heap *heap, taddr_t addr, struct heap_buf *ret)
{
	const struct heap_buf *b = fake_find(heap->priv, addr);

	if (b)
		*ret = *b;
	return b;
}

static bool fake_audit(struct heap *heap, const struct heap_buf *buf,
		       struct heap_audit *ret)
{
	const struct fake *f = heap->priv;
	const struct heap_buf *b = fake_find(f, buf->addr);

	if (!b)
		return false;
	*ret = (struct heap_audit){
		.addr = b->ctl,
		.buf = b->addr,
		.cache = FAKE_CACHE,
		.stamp_ns = (uint64_t)(b - f->bufs) + 1,
		.tid = 1,
		.what = b->state == BUF_ALLOCATED ? HEAP_ALLOC : HEAP_FREE,
		.kind = "",
		.stack = f->stacks[b - f->bufs],
		.cpu = -1,
	};
	return true;
}

static bool fake_stack(struct heap *heap, uint32_t id, struct heap_stack *ret)
{
	(void)heap; /* the id says it all */
	if (id == 0)
		return false;
	ret->depth = 1;
	ret->pc[0] = id;
	return true;
}

static struct err *fake_own(struct heap *heap, struct heap_range **ret,
			    size_t *ret_n)
{
	const struct fake *f = heap->priv;

	*ret = mem_array(f->nown + 1, sizeof(**ret));
	for (size_t i = 0; i < f->nown; i++)
		(*ret)[i] = f->own[i];
	*ret_n = f->nown;
	return NULL;
}

static const struct heap_ops fake_ops = {
	.name = "fake",
	.close = fake_close,
	.caches = fake_caches,
	.bufs = fake_bufs,
	.buf_at = fake_buf_at,
	.audit = fake_audit,
	.stack = fake_stack,
	.own = fake_own,
};

struct heap *heap_fake_create(struct target *t, struct types *types,
			      const struct heap_fake_buf *bufs, size_t n,
			      const struct heap_range *own, size_t nown)
{
	struct heap *heap = mem_zalloc(sizeof(*heap));
	struct fake *f = mem_zalloc(sizeof(*f));

	f->bufs = mem_array(n + 1, sizeof(*f->bufs));
	f->stacks = mem_array(n + 1, sizeof(*f->stacks));
	f->n = n;
	for (size_t i = 0; i < n; i++) {
		f->bufs[i] = (struct heap_buf){
			.addr = bufs[i].addr,
			.size_bytes = bufs[i].size_bytes,
			.req_bytes = bufs[i].size_bytes,
			.state = bufs[i].state,
			.kind = BUF_IN_CACHE,
			.cache = FAKE_CACHE,
			.ctl = bufs[i].addr,
		};
		f->stacks[i] = bufs[i].stack;
	}
	f->own = mem_array(nown + 1, sizeof(*f->own));
	for (size_t i = 0; i < nown; i++)
		f->own[i] = own[i];
	f->nown = nown;
	heap->ops = &fake_ops;
	heap->target = t;
	heap->types = types;
	heap->priv = f;
	heap->health.is_quiescent = true;
	heap->health.is_quiescent_known = true;
	return heap;
}
