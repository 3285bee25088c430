/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who sleeps until there is memory, and the resource maps.
 *
 * A waiter is on the stack of the thread that sleeps, in one of two lists: the
 * heap's, or that of the arena whose numbers it wants.  Both are in order of
 * arrival.
 */
#include "base/interrupt.h"
#include "heap/heap_kmem_impl.h"

static struct err *each_waiter(struct kmem_heap *kh, taddr_t at, taddr_t arena,
			       heap_waiter_fn *fn, void *arg)
{
	struct kmem_loop loop = {0};
	struct err *err = NULL;

	while (!err && at) {
		const void *raw = kmem_peek(kh, K_kmem_waiter, at);

		if (!raw || kmem_loop_seen(&loop, at)) {
			kmem_damage(kh, at, 0, "waiter 0x%" PRIx64 " %s", at,
				    raw ? "is in the list already"
					: "is not in the dump");
			break;
		}
		struct heap_waiter w = {
			.addr = at,
			.cache = kmem_get(kh, F_kmem_waiter_kw_cache, raw),
			.arena = arena,
			.size = kmem_get(kh, F_kmem_waiter_kw_bytes, raw),
			.since_ns = kmem_get(kh, F_kmem_waiter_kw_since, raw),
			.tid = (uint32_t)kmem_get(kh, F_kmem_waiter_kw_thread,
						  raw),
		};

		at = kmem_get(kh, F_kmem_waiter_kw_next, raw);
		err = fn(arg, &w);
		if (!err)
			err = interrupt_check();
	}
	return err;
}

struct err *kmem_heap_waiters(struct heap *heap, heap_waiter_fn *fn, void *arg)
{
	struct kmem_heap *kh = heap->priv;
	struct err *err = kmem_load(kh);

	if (err)
		return err;
	if (!kh->names.row[F_kmem_waiter_kw_next].is_bound)
		return err_new(ERR_NOSUP, "this libkmem does not tell who "
					  "waits for memory");
	/* an oversize buffer is one of that arena's */
	err = each_waiter(kh, kmem_global(kh, S_kmem_waiters, 8),
			  kmem_global(kh, S_kmem_oversize_arena, 8), fn, arg);
	for (size_t i = 0; !err && i < kh->arenas.n; i++) {
		taddr_t addr = kh->arenas.v[i].pub.addr;

		err = each_waiter(kh, kmem_get_at(kh, F_vmem_vm_waiters, addr),
				  addr, fn, arg);
	}
	return err;
}

/* ---- resource maps --------------------------------------------------- */

static struct err *each_range(struct kmem_heap *kh, taddr_t map, uint64_t n,
			      heap_range_fn *fn, void *arg)
{
	taddr_t at = map + kh->names.row[F_map_m_map].offset_bytes;
	taddr_t last = 0;
	struct err *err = NULL;

	for (uint64_t i = 0; !err && i < n; i++) {
		const void *raw = kmem_peek(kh, K_mapent, at);
		struct heap_range r;

		if (!raw) {
			kmem_damage(kh, map, 0,
				    "resource map 0x%" PRIx64 ": range %" PRIu64
				    " is not in the dump",
				    map, i);
			break;
		}
		r.start = kmem_get(kh, F_mapent_m_addr, raw);
		r.end = r.start + kmem_get(kh, F_mapent_m_size, raw);
		at += kh->names.struct_bytes[K_mapent];
		if (r.start < last || r.end <= r.start)
			kmem_damage(kh, map, 0,
				    "resource map 0x%" PRIx64 ": range %" PRIu64
				    " [0x%" PRIx64 ", 0x%" PRIx64
				    ") is out of order",
				    map, i, r.start, r.end);
		last = r.end;
		err = fn(arg, &r);
		if (!err)
			err = interrupt_check();
	}
	return err;
}

static bool read_rmap(struct kmem_heap *kh, taddr_t at, struct heap_rmap *ret)
{
	const void *raw = kmem_peek(kh, K_map, at);

	if (!raw)
		return false;
	*ret = (struct heap_rmap){
		.addr = at,
		.nslots = kmem_get(kh, F_map_m_nslots, raw),
		.nfree = kmem_get(kh, F_map_m_nused, raw),
		.has_waiter = kmem_get(kh, F_map_m_want, raw) != 0,
	};
	return true;
}

struct err *kmem_rmaps(struct heap *heap, heap_rmap_fn *fn, void *arg)
{
	struct kmem_heap *kh = heap->priv;
	taddr_t at = kmem_global(kh, S_kmem_rmaps, 8);
	struct kmem_loop loop = {0};
	struct err *err = NULL;

	while (!err && at) {
		struct heap_rmap map;
		bool is_seen = kmem_loop_seen(&loop, at);

		if (is_seen || !read_rmap(kh, at, &map)) {
			kmem_damage(kh, at, 0, "resource map 0x%" PRIx64 " %s",
				    at,
				    is_seen ? "is in the list already"
					    : "is not in the dump");
			break;
		}
		at = kmem_get_at(kh, F_map_m_next, at);
		err = fn(arg, &map);
		if (!err)
			err = interrupt_check();
	}
	return err;
}

struct err *kmem_rmap_free(struct heap *heap, taddr_t map, heap_range_fn *fn,
			   void *arg)
{
	struct kmem_heap *kh = heap->priv;
	struct heap_rmap m;

	if (!read_rmap(kh, map, &m))
		return err_new(ERR_FAULT, "no resource map at 0x%" PRIx64, map);
	if (m.nfree > m.nslots + 1 ||
	    m.nfree > kh->total_bytes / sizeof(uint64_t))
		return err_new(ERR_BADDATA,
			       "resource map 0x%" PRIx64 ": %" PRIu64
			       " free ranges in %" PRIu64 " slots cannot be",
			       map, m.nfree, m.nslots);
	return each_range(kh, map, m.nfree, fn, arg);
}
