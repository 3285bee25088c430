/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The model of sized memory: kmem_alloc, what malloc stands on, umem_alloc and
 * kmalloc.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kmalloc.h"
#include "model.h"
#include "umem.h"
#include "verify.h"

#define MAXBUF  ((size_t)131072)
#define DMA_MAX ((size_t)4096)

static size_t pick_size(struct worker *w)
{
	size_t percent = below(w, 100);

	if (percent < 60)
		return 1 + below(w, 512);
	if (percent < 85)
		return 1 + below(w, 8192);
	if (percent < 98)
		return 1 + below(w, MAXBUF);
	return MAXBUF - 8 + below(w, 1 << 20);
}

int pick_kmflag(struct worker *w)
{
	static const int flags[] = {
		KM_SLEEP,
		KM_NOSLEEP,
		KM_NOSLEEP_LAZY,
		KM_PUSHPAGE,
		KM_NOSLEEP | KM_PUSHPAGE,
		KM_NORMALPRI,
	};

	return flags[below(w, sizeof(flags) / sizeof(*flags))];
}

void refused(struct worker *w, int kmflag, size_t size)
{
	w->nrefused++;
	if (!(kmflag & KM_NOSLEEP))
		fail("a request for %zu that may sleep failed", size);
	if (!may_fail)
		fail("a request for %zu failed for no reason", size);
}

static void check_zero(const void *p, size_t n)
{
	const char *c = p;

	for (size_t i = 0; i < n; i++)
		if (c[i])
			fail("%p is not zero at %zu", p, i);
}

static void check_align(const void *p, size_t align)
{
	if ((uintptr_t)p & (align - 1))
		fail("%p is not aligned to %zu", p, align);
}

/** Fills a slot with memory that was given, or counts the refusal. */
static void got(struct worker *w, struct slot *s, enum kind kind, void *p,
		size_t size, int kmflag)
{
	if (!p) {
		refused(w, kmflag, size);
		return;
	}
	s->kind = kind;
	s->p = p;
	s->size = size;
	s->bytes = size;
	w->count[kind]++;
	__atomic_fetch_add(&live_bytes, (long)size, __ATOMIC_RELAXED);
}

static void alloc_kmem(struct worker *w, struct slot *s)
{
	int kmflag = pick_kmflag(w);
	size_t size = pick_size(w);
	void *p;

	switch (below(w, 8)) {
	case 0:
		p = kmem_zalloc(size, kmflag);
		if (p)
			check_zero(p, size);
		break;
	case 1:
		p = kmem_alloc_tryhard(size, &size, kmflag);
		break;
	default:
		p = kmem_alloc(size, kmflag);
	}
	check_align(p, size >= 16 ? 16 : 8);
	got(w, s, KMEM, p, size, kmflag);
}

static void alloc_malloc(struct worker *w, struct slot *s)
{
	size_t align = below(w, 4) ? 0 : (size_t)1 << below(w, 15);
	size_t size = pick_size(w) - !below(w, 50);
	int saved = errno = (int)below(w, 100);
	void *p = kmem_malloc_impl(size, align, KMEM_KIND_MALLOC);

	if (errno != saved)
		fail("malloc of %zu changed errno", size);
	check_align(p, align > 16 ? align : 16);
	got(w, s, MALLOC, p, size, KM_NOSLEEP);
	if (!p)
		return;
	s->bytes = kmem_usable(p);
	if (s->bytes < size)
		fail("%zu bytes asked for, %zu usable", size, s->bytes);
}

static void alloc_umem(struct worker *w, struct slot *s)
{
	int umflag = below(w, 2) ? UMEM_NOFAIL : UMEM_DEFAULT;
	int kmflag = umflag == UMEM_NOFAIL ? KM_SLEEP : KM_NOSLEEP;
	size_t size = pick_size(w);
	size_t align = (size_t)1 << below(w, 13);
	void *p;

	if (below(w, 3) == 0) {
		p = umem_alloc_align(size, align, umflag);
		check_align(p, align);
		got(w, s, UALIGN, p, size, kmflag);
		return;
	}
	p = below(w, 2) ? umem_zalloc(size, umflag) : umem_alloc(size, umflag);
	got(w, s, UMEM, p, size, kmflag);
}

static void alloc_kmalloc(struct worker *w, struct slot *s)
{
	static const gfp_t flags[] = {
		GFP_KERNEL,
		GFP_ATOMIC,
		GFP_NOWAIT,
		GFP_KERNEL | __GFP_ZERO,
		GFP_KERNEL | __GFP_DMA,
		GFP_NOFS,
	};
	gfp_t gfp = flags[below(w, sizeof(flags) / sizeof(*flags))];
	int kmflag = gfp & __GFP_DIRECT_RECLAIM ? KM_SLEEP : KM_NOSLEEP;
	size_t size = pick_size(w);
	void *p;

	if (gfp & __GFP_DMA)
		size = 1 + size % DMA_MAX;
	p = kmalloc(size, gfp);

	if (p && (gfp & __GFP_ZERO))
		check_zero(p, size);
	got(w, s, KMALLOC, p, size, kmflag);
	if (!p)
		return;
	s->bytes = ksize(p);
	if (s->bytes < size)
		fail("%zu bytes asked for, ksize says %zu", size, s->bytes);
}

void mem_alloc(struct worker *w, struct slot *s)
{
	switch (below(w, 8)) {
	case 0:
		alloc_umem(w, s);
		break;
	case 1:
		alloc_kmalloc(w, s);
		break;
	case 2:
	case 3:
	case 4:
		alloc_kmem(w, s);
		break;
	default:
		alloc_malloc(w, s);
	}
}

void mem_free(struct worker *w, struct slot *s)
{
	int saved = errno = (int)below(w, 100);

	__atomic_fetch_sub(&live_bytes, (long)s->size, __ATOMIC_RELAXED);
	if (s->kind == KMEM)
		kmem_free(s->p, s->size);
	else if (s->kind == MALLOC && below(w, 2))
		kmem_free_sized_impl(s->p, s->size, KMEM_KIND_MALLOC);
	else if (s->kind == MALLOC)
		kmem_free_impl(s->p, KMEM_KIND_MALLOC);
	else if (s->kind == UMEM)
		umem_free(s->p, s->size);
	else if (s->kind == UALIGN)
		umem_free_align(s->p, s->size);
	else
		kfree(s->p);
	if (errno != saved)
		fail("a free changed errno");
	s->kind = EMPTY;
}

void mem_resize(struct worker *w, struct slot *s)
{
	size_t size = pick_size(w);
	size_t kept = size < s->size ? size : s->size;
	uint64_t tag = s->tag;
	int kmflag = pick_kmflag(w);
	void *p;

	/* its content is compared up to the smaller size */
	s->bytes = s->size;
	s->is_whole = 1;
	content_fill(s, tag);
	if (s->kind == KMEM) {
		p = kmem_rezalloc(s->p, s->size, size, kmflag);
		if (p && size > kept)
			check_zero((char *)p + kept, size - kept);
	} else {
		p = krealloc(s->p, size, GFP_ATOMIC);
		kmflag = KM_NOSLEEP;
	}
	if (!p) {
		refused(w, kmflag, size);
		content_check(s);
		s->is_whole = 0;
		return;
	}
	__atomic_fetch_add(&live_bytes, (long)size - (long)s->size,
			   __ATOMIC_RELAXED);
	s->p = p;
	s->size = size;
	s->bytes = kept;
	content_check(s);
	s->is_whole = 0;
	s->bytes = size;
	content_fill(s, tag);
}

/* ---- what the allocator says ---- */

static void **own; /* sorted: buffers that were there before the model's */
static size_t nown;

static int by_address(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

struct set {
	void **p;
	size_t n;
};

static void count_one(void *buf, void *arg)
{
	struct set *set = arg;

	if (set->p)
		set->p[set->n] = buf;
	set->n++;
}

static int is_sized(const kmem_cache_t *cp)
{
	return (cp->cache_cflags & KMC_KMEM_ALLOC) != 0;
}

/** The live buffers of all caches of sizes, sorted. */
static struct set live_buffers(void)
{
	struct set set = {NULL, 0};

	for (int pass = 0; pass < 2; pass++) {
		if (pass == 1)
			set.p = calloc(set.n + 1, sizeof(*set.p));
		set.n = 0;
		for (kmem_cache_t *cp = kmem_null_cache.cache_next;
		     cp != &kmem_null_cache; cp = cp->cache_next)
			if (is_sized(cp))
				verify_buffers(cp, count_one, NULL, &set);
	}
	qsort(set.p, set.n, sizeof(*set.p), by_address);
	return set;
}

void mem_init(void)
{
	struct set set = live_buffers();

	own = set.p;
	nown = set.n;
}

static int is_in(void *p, void **set, size_t n)
{
	return n && bsearch(&p, set, n, sizeof(p), by_address) != NULL;
}

int mem_compare(void)
{
	struct set set = live_buffers();
	size_t nmodel = 0, nours = 0;
	int nbad = 0;

	for (size_t i = 0; i < NSLOTS; i++) {
		struct slot *s = &slots[i];
		kmem_cache_t *cp;

		if (s->kind == EMPTY || s->kind == OBJECT || s->kind >= SEGMENT)
			continue;
		content_check(s);
		cp = kmem_addr_cache(s->p, NULL, NULL);
		if (!cp && kmem_addr_oversize(s->p) < s->size) {
			fprintf(stderr, "%p of %zu bytes is unknown\n", s->p,
				s->size);
			nbad++;
		}
		if (!cp)
			continue;
		nmodel++;
		if (!is_in(s->p, set.p, set.n) || is_in(s->p, own, nown)) {
			fprintf(stderr, "%p of %zu bytes is not live in %s\n",
				s->p, s->size, cp->cache_name);
			nbad++;
		}
	}
	for (size_t i = 0; i < set.n; i++)
		nours += !is_in(set.p[i], own, nown);
	if (nours != nmodel) {
		fprintf(stderr, "%zu buffers are live, the model has %zu\n",
			nours, nmodel);
		nbad++;
	}
	free(set.p);
	return nbad;
}
