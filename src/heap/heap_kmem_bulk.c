/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is done of a slab without regard to others, and so on all processors:
 * the free lists of whole slabs of raw caches, and the list of their allocated
 * buffers.
 *
 * Nothing is reported here.  A slab whose free list is not all that it should be
 * is left as it was, and heap_kmem_load.c looks at it again, one slab at a time,
 * and says what is wrong.
 */
#include <string.h>
#include "base/jobs.h"
#include "heap/heap_kmem_impl.h"

/* slabs that one thread does at a time */
#define SLABS 256u
/* free lists that one thread follows side by side */
#define FOLLOWERS 16u

/* ---- free lists ------------------------------------------------------ */

/* A link of a free list is a cache miss, and where the next one is is known only
 * then.  So as many lists are followed side by side as misses can be under way.
 */
struct follower {
	struct kmem_slab *slab; /* NULL: has nothing to do */
	const struct kmem_cache *cache;
	uint8_t *state;
	taddr_t at;
	uint32_t left;             /* buffers still to come */
	const unsigned char *next; /* bytes of the link; NULL: to be found */
};

/* the list has ended, or is not what it should be */
static void end_list(struct follower *f, bool is_whole)
{
	for (uint32_t i = 0; i < f->slab->nbufs; i++)
		if (!is_whole)
			f->state[i] = STATE_UNKNOWN;
		else if (f->state[i] == STATE_UNKNOWN)
			f->state[i] = BUF_ALLOCATED;
	f->slab->is_loaded = is_whole;
	f->slab = NULL;
}

/* marks the buffer that a list is at, and asks for the link in it.  A list
 * names as many buffers of its slab as it should, each once, or it is none. */
static void visit(struct follower *f, struct kmem_look *l)
{
	uint64_t off = f->at - f->cache->bufctl_off - f->slab->base;
	uint64_t i = off / f->cache->chunk_bytes;

	if (f->at == 0 || f->left == 0) {
		end_list(f, f->at == 0 && f->left == 0);
		return;
	}
	f->next = kmem_look(l, f->at, sizeof(f->at));
	if (!f->next || i >= f->slab->nbufs || off % f->cache->chunk_bytes ||
	    f->state[i] != STATE_UNKNOWN) {
		end_list(f, false);
		return;
	}
	__builtin_prefetch(f->next);
	f->state[i] = BUF_FREE_SLAB;
	f->left--;
}

static void begin_list(struct follower *f, struct kmem_heap *kh,
		       struct kmem_slab *s, struct kmem_look *l)
{
	*f = (struct follower){
		.slab = s,
		.cache = &kh->caches.v[s->cache],
		.state = kh->state.v + s->first_state,
		.at = s->head,
		.left = s->nbufs - s->nused,
	};
	visit(f, l);
}

static void load_some(void *arg, size_t item)
{
	struct kmem_heap *kh = arg;
	struct kmem_look l = {.t = kh->t};
	struct follower f[FOLLOWERS] = {0};
	size_t next = item * SLABS;
	size_t end = kh->slabs.n - next < SLABS ? kh->slabs.n : next + SLABS;
	unsigned nidle = 0;

	for (unsigned k = 0; nidle < FOLLOWERS; k++) {
		struct follower *at = &f[k % FOLLOWERS];

		if (at->slab) {
			memcpy(&at->at, at->next, sizeof(at->at));
			visit(at, &l);
			nidle = 0;
			continue;
		}
		while (!at->slab && next < end) {
			struct kmem_slab *s = &kh->slabs.v[next++];

			nidle = 0;
			if (!s->is_dropped &&
			    !kh->caches.v[s->cache].pub.has_hash)
				begin_list(at, kh, s, &l);
		}
		if (!at->slab)
			nidle++;
	}
}

struct err *kmem_load_raw_slabs(struct kmem_heap *kh)
{
	return jobs_each("reading slabs", (kh->slabs.n + SLABS - 1) / SLABS,
			 SLABS, load_some, kh);
}

/* ---- allocated buffers ----------------------------------------------- */

/* a part is SLABS slabs of by_base, and the large buffers from the first of
 * them on to the first of the next part */
struct err *kmem_nparts(struct heap *heap, size_t *ret_n)
{
	struct kmem_heap *kh = heap->priv;
	struct err *err = kmem_load(kh);

	if (!err)
		*ret_n = kh->nby_base / SLABS + 1;
	return err;
}

struct lister {
	struct kmem_heap *kh;
	struct kmem_look l;
	bool is_alone;
	heap_run_fn *fn;
	void *arg;
};

/* the tag of a buffer with guards says how much of it was asked for */
static bool list_tagged(struct lister *ls, const struct kmem_slab *s,
			uint32_t i, struct heap_run *r)
{
	const struct kmem_cache *kc = &ls->kh->caches.v[s->cache];

	if (!ls->is_alone && !ls->kh->asked.v[s->first_asked + i] &&
	    !kmem_look(&ls->l, r->addr + kc->buftag_off,
		       ls->kh->names.struct_bytes[K_kmem_buftag]))
		return false;
	r->size_bytes = kmem_requested(ls->kh, s, i);
	if (r->size_bytes > kc->pub.bufsize_bytes)
		r->size_bytes = kc->pub.bufsize_bytes;
	ls->fn(ls->arg, r);
	return true;
}

static bool list_slab(struct lister *ls, const struct kmem_slab *s)
{
	const struct kmem_cache *kc = &ls->kh->caches.v[s->cache];
	const uint8_t *state = ls->kh->state.v + s->first_state;
	struct heap_run r = {
		.stride_bytes = kc->chunk_bytes,
		.size_bytes = kc->pub.bufsize_bytes,
	};

	if (kc->pub.is_internal || s->is_dropped)
		return true;
	for (uint32_t i = 0; i < s->nbufs; i += (uint32_t)r.n) {
		r.n = 1;
		r.addr = s->base + i * kc->chunk_bytes;
		if (state[i] != BUF_ALLOCATED)
			continue;
		if (s->first_asked != NO_INDEX) {
			if (!list_tagged(ls, s, i, &r))
				return false;
			continue;
		}
		while (i + r.n < s->nbufs && state[i + r.n] == BUF_ALLOCATED)
			r.n++;
		ls->fn(ls->arg, &r);
	}
	return true;
}

/* the first large buffer from addr on */
static size_t first_big(const struct kmem_heap *kh, taddr_t addr)
{
	size_t lo = 0;
	size_t hi = kh->bigs.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (kh->bigs.v[mid].start < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void list_bigs(struct lister *ls, size_t *big, taddr_t end)
{
	while (*big < ls->kh->bigs.n && ls->kh->bigs.v[*big].start < end) {
		const struct kmem_big *b = &ls->kh->bigs.v[(*big)++];
		struct heap_run r = {
			.addr = b->start,
			.size_bytes = b->end - b->start,
			.n = 1,
		};

		ls->fn(ls->arg, &r);
	}
}

/* the first large buffer of a part; that of the part behind the last is none */
static size_t part_big(const struct kmem_heap *kh, size_t part)
{
	size_t i = part * SLABS;

	if (part == 0)
		return 0;
	return i < kh->nby_base
		       ? first_big(kh, kh->slabs.v[kh->by_base[i]].base)
		       : kh->bigs.n;
}

size_t kmem_part_max(struct heap *heap, size_t part)
{
	const struct kmem_heap *kh = heap->priv;
	size_t i = part * SLABS;
	size_t end = kh->nby_base - i < SLABS ? kh->nby_base : i + SLABS;
	size_t n = part_big(kh, part + 1) - part_big(kh, part);

	for (; i < end; i++) {
		const struct kmem_slab *s = &kh->slabs.v[kh->by_base[i]];
		const uint8_t *state = kh->state.v + s->first_state;

		if (kh->caches.v[s->cache].pub.is_internal)
			continue;
		for (uint32_t k = 0; k < s->nbufs; k++)
			n += state[k] == BUF_ALLOCATED;
	}
	return n;
}

bool kmem_part(struct heap *heap, size_t part, bool is_alone, heap_run_fn *fn,
	       void *arg)
{
	struct kmem_heap *kh = heap->priv;
	struct lister ls = {.kh = kh,
			    .l = {.t = kh->t},
			    .is_alone = is_alone,
			    .fn = fn,
			    .arg = arg};
	size_t i = part * SLABS;
	size_t end = kh->nby_base - i < SLABS ? kh->nby_base : i + SLABS;
	size_t big = part_big(kh, part);

	for (; i < end; i++) {
		const struct kmem_slab *s = &kh->slabs.v[kh->by_base[i]];

		list_bigs(&ls, &big, s->base);
		if (!list_slab(&ls, s))
			return false;
	}
	list_bigs(&ls, &big,
		  end < kh->nby_base ? kh->slabs.v[kh->by_base[end]].base
				     : UINT64_MAX);
	return true;
}
