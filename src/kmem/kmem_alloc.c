/* SPDX-License-Identifier: MIT */
/*
 * Allocation by size: kmem_alloc() and what malloc stands on.
 *
 *   size <= 131072   the cache of the smallest class that holds it
 *   larger           a segment of kmem_oversize
 *
 * Classes of 16 bytes and more are aligned to 16, multiples of 64 to 64, and
 * multiples of a page to a page.  A stricter request gets a class that happens
 * to be aligned so and wastes little, or a cache kmem_align_<A>_<N> made on
 * first use, or a constrained segment.
 *
 * Behind a buffer with guards is its tag, so that to align a class of 4096 to a
 * page makes each of its buffers two pages.  malloc() never promised that:
 * where the library serves malloc, classes with guards are aligned to 16, and
 * kmem_alloc(), which does promise it, takes the caches memalign() has.  Audited
 * slabs are larger there, too: what is kept of each, here and in the arenas, is
 * then little beside what is kept of each buffer, and most of it is in the CPU's
 * cache when a buffer is freed.
 *
 * Freeing by address alone goes through the page map: the slab says the cache,
 * and an oversize buffer's first page says its size.
 */
#include "kmem_thread.h"

#include <string.h>

#define MAXBUF          KMEM_SIZE_LAST
#define MAX_ALIGN_CACHE KMEM_PAGE
#define MIN_ALIGN_SHIFT 5 /* 32: the first alignment with caches of its own */
#define NALIGNS         8
#define MALLOC_ALIGN    ((size_t)16)
#define NO_BIN          (KMEM_NCLASSES - 1)
#define AUDITED_SLAB    ((size_t)16384)

/* set while starting: the class of a size, by (size - 1) / 8 and, for those
 * above SMALL, whose classes are multiples of 64, by (size - 1) / 64; and each
 * class's cache */
#define SMALL KMEM_SIZE_SMALL
static uint8_t class_of_small[SMALL / 8];
static uint8_t class_of_large[MAXBUF / 64];
static kmem_cache_t *class_cache[KMEM_SIZES_MAX];
/* published once under align_lock, never removed */
static kmem_cache_t *align_cache[NALIGNS][KMEM_SIZES_MAX] KM_SELDOM;
kmem_mutex_t kmem_align_lock;

/* malloc.c's, when it is linked in */
extern const char kmem_serves_malloc KM_HIDDEN __attribute__((weak));
/* are classes aligned to what malloc() promises and no more?  Set while
 * starting */
static int is_packed;
/* do all buffers of classes with bins go the short way of kmem_audited.c?  Set
 * while starting */
static int is_audited;

/** The alignment kmem_alloc() promises for a size. */
static inline size_t promised_align(size_t bytes)
{
	if (bytes % KMEM_PAGE == 0)
		return KMEM_PAGE;
	if (bytes % 64 == 0)
		return 64;
	return bytes >= 16 ? 16 : 8;
}

static size_t class_align(size_t bytes)
{
	size_t align = promised_align(bytes);

	return is_packed && align > MALLOC_ALIGN ? MALLOC_ALIGN : align;
}

/** The class of a size, 1 to MAXBUF. */
static inline unsigned class_of(size_t size)
{
	return KM_LIKELY(size <= SMALL) ? class_of_small[(size - 1) / 8]
					: class_of_large[(size - 1) / 64];
}

/** Is a class one that threads may keep objects of?  There is room for so many,
 * and the last of those stays empty: it is what has no bin. */
static int may_have_bins(unsigned class)
{
	return kmem_sizes[class] <= KMEM_BIN_BYTES && class < NO_BIN;
}

/** Do threads keep objects of a class?  Not if any is to be looked at. */
static int has_bins(unsigned class)
{
	return may_have_bins(class) && kmem_options.thread_cache != 0 &&
	       !(kmem_flags & (KMF_DEBUG | KMF_RANDOMIZE)) &&
	       kmem_options.mtbf == 0;
}

static kmem_cache_t *create_class(unsigned class)
{
	struct kmem_spec spec = {
		.bufsize = kmem_sizes[class],
		.align = class_align(kmem_sizes[class]),
		.cflags = KMC_KMEM_ALLOC,
		.vmflag = VM_SLEEP,
		.audited_slab = is_packed ? AUDITED_SLAB : 0,
	};
	char name[KMEM_CACHE_NAMELEN + 1];

	(void)kmem_format(name, sizeof(name), "kmem_alloc_%u",
			  kmem_sizes[class]);
	spec.name = name;
	if (has_bins(class))
		spec.size_class = class + 1;
	return kmem_cache_create_spec(&spec);
}

void kmem_alloc_init(void)
{
	size_t size = 1;

	is_packed = (kmem_flags & KMF_BUFTAG) && &kmem_serves_malloc;
	is_audited = 1;
	for (unsigned i = 0; i < kmem_nsizes; i++) {
		size_t bytes = kmem_sizes[i];
		kmem_cache_t *cp = create_class(i);

		class_cache[i] = cp;
		if (kmem_audited_is_short(cp) && may_have_bins(i))
			cp->cache_class = i + 1;
		else if (bytes <= KMEM_BIN_BYTES)
			is_audited = 0;
		if (may_have_bins(i))
			kmem_thread_class(i, cp);
		for (; size <= bytes && size <= SMALL; size += 8)
			class_of_small[(size - 1) / 8] = (uint8_t)i;
		for (; size <= bytes; size += 64)
			class_of_large[(size - 1) / 64] = (uint8_t)i;
	}
	/* malloc's smallest is the class of 16; bins of buffers to be checked
	 * are not for it to see */
	for (size_t i = 0; i <= KMEM_BIN_BYTES / 8; i++) {
		unsigned class = class_of(i < 2 ? 16 : i * 8);

		if ((kmem_flags & KMF_DEBUG) || !may_have_bins(class))
			class = NO_BIN;
		kmem_malloc_class[i] = (uint8_t) class;
	}
}

static inline kmem_cache_t *size_cache(size_t bytes)
{
	return class_cache[class_of(bytes)];
}

/* ---- alignment ---- */

/** The cache for an alignment above what classes give; NULL: no memory. */
static kmem_cache_t *align_cache_get(int shift, int class, size_t align)
{
	kmem_cache_t **slot = &align_cache[shift - MIN_ALIGN_SHIFT][class];
	kmem_cache_t *cp = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	size_t bytes = (kmem_sizes[class] + align - 1) & -align;
	struct kmem_spec spec = {
		.bufsize = bytes,
		.align = align,
		.cflags = KMC_KMEM_ALLOC,
		.vmflag = VM_NOSLEEP,
	};
	char name[KMEM_CACHE_NAMELEN + 1];

	if (cp)
		return cp;
	(void)kmem_format(name, sizeof(name), "kmem_align_%lu_%lu", align,
			  bytes);
	spec.name = name;
	kmem_gate_enter(); /* G2: caches of metadata are used below */
	kmem_update_hold();
	kmem_mutex_enter(&kmem_align_lock);
	cp = *slot;
	if (!cp) {
		cp = kmem_cache_create_spec(&spec);
		__atomic_store_n(slot, cp, __ATOMIC_RELEASE);
	}
	kmem_mutex_exit(&kmem_align_lock);
	kmem_update_unhold();
	kmem_gate_exit();
	return cp;
}

/**
 * The cache for a size and an alignment.
 *
 * @bytes:  1 to MAXBUF
 * @align:  a power of two, 16 to a page
 */
static kmem_cache_t *aligned_cache(size_t bytes, size_t align)
{
	int class = (int)class_of(bytes);
	size_t enough = (kmem_sizes[class] + align - 1) & -align;
	int i;

	/* sizes that round up to the same share one cache */
	if (enough <= MAXBUF && (int)class_of(enough) > class)
		class = (int)class_of(enough);
	enough = (kmem_sizes[class] + align - 1) & -align;

	for (i = class; i < (int)kmem_nsizes && kmem_sizes[i] <= 2 * enough;
	     i++)
		if (class_cache[i]->cache_align >= align)
			return class_cache[i];
	if (align <= MAX_ALIGN_CACHE && enough <= MAXBUF)
		return align_cache_get(__builtin_ctzl(align), class, align);
	for (; i < (int)kmem_nsizes; i++)
		if (class_cache[i]->cache_align >= align)
			return class_cache[i];
	return NULL;
}

/** The cache kmem_alloc() takes for a size; NULL: no memory. */
static inline kmem_cache_t *promised_cache(size_t bytes)
{
	size_t align;

	if (KM_LIKELY(!is_packed))
		return size_cache(bytes);
	align = promised_align(bytes);
	return align > MALLOC_ALIGN ? aligned_cache(bytes, align)
				    : size_cache(bytes);
}

/* ---- kmem_alloc ---- */

/** kmem_cache_alloc_sized() in line. */
static inline __attribute__((always_inline)) void *
alloc_sized(kmem_cache_t *cp, size_t bytes, int kmflag, int kind)
{
	void *buf;

	if (KM_LIKELY(!(cp->cache_flags & KMF_BUFTAG))) {
		if (cp->cache_class) {
			buf = kmem_thread_pop(cp->cache_class - 1);
			if (!buf)
				buf = kmem_thread_refill(cp->cache_class - 1);
			if (buf)
				return buf;
		}
		return kmem_cache_alloc_kind(cp, kmflag, kind);
	}
	return kmem_audited_alloc(cp, bytes, kmflag, kind);
}

void *kmem_cache_alloc_sized(kmem_cache_t *cp, size_t bytes, int kmflag,
			     int kind)
{
	return alloc_sized(cp, bytes, kmflag, kind);
}

/** Frees a buffer of a cache of sizes; bytes SIZE_MAX: the caller did not say. */
static inline __attribute__((always_inline)) void
sized_free(kmem_cache_t *cp, const kmem_slab_t *sp, void *buf, size_t bytes,
	   int kind)
{
	if (KM_LIKELY(!(cp->cache_flags & KMF_BUFTAG))) {
		if (KM_UNLIKELY(cp->cache_flags & KMF_AUDIT))
			(void)kmem_kind_check(cp, buf, bytes, kind);
		if (!cp->cache_class ||
		    !kmem_thread_overflow(cp->cache_class - 1, buf))
			kmem_cache_put(cp, buf, kind);
		return;
	}
	kmem_audited_free(cp, sp, buf, bytes, kind);
}

/** A request for nothing; of one that may wait, and never gets NULL else, it is
 * noted. */
static void *zero_alloc(int kmflag)
{
	static int has_warned;

	if (kmflag & KM_NOSLEEP)
		return NULL;
	kmem_log_event(kmem_zerosized_log, NULL, NULL, NULL, KMEM_WHAT_FAIL,
		       KMEM_KIND_KMEM);
	if (!__atomic_exchange_n(&has_warned, 1, __ATOMIC_RELAXED))
		kmem_warn("kmem_alloc(): sleeping allocation with size of 0; "
			  "see kmem_zerosized_log for details");
	return NULL;
}

/** Allocates size bytes; NULL for 0, and with KM_NOSLEEP. */
void *kmem_alloc(size_t size, int kmflag)
{
	kmem_cache_t *cp;

	kmem_ready_check();
	if (KM_UNLIKELY(size == 0))
		return zero_alloc(kmflag);
	if (KM_UNLIKELY(size > MAXBUF))
		return kmem_oversize_alloc(size, 0, kmflag, KMEM_KIND_KMEM);
	cp = promised_cache(size);
	if (KM_UNLIKELY(!cp))
		return kmem_no_memory(size, kmflag);
	return kmem_cache_alloc_sized(cp, size, kmflag, KMEM_KIND_KMEM);
}

/** kmem_alloc() of memory that is all zeros. */
void *kmem_zalloc(size_t size, int kmflag)
{
	void *buf = kmem_alloc(size, kmflag);

	if (buf)
		memset(buf, 0, size);
	return buf;
}

/** Frees what kmem_alloc() gave; the size must be the one asked for. */
void kmem_free(void *buf, size_t size)
{
	kmem_slab_t *sp;
	kmem_cache_t *cp;
	void *base;

	kmem_ready_check();
	if (!buf && size == 0)
		return;
	if (size == 0 || size > MAXBUF) {
		kmem_oversize_free(buf, size, KMEM_KIND_KMEM);
		return;
	}
	cp = promised_cache(size);
	if (!cp || kmem_addr_cache(buf, &sp, &base) != cp) {
		kmem_error_at(KMERR_BADCACHE, cp, buf, KMEM_KIND_KMEM);
		return;
	}
	if (base != buf && (cp->cache_flags & KMF_BUFTAG))
		kmem_error_at(KMERR_BADADDR, cp, buf, KMEM_KIND_KMEM);
	else
		sized_free(cp, sp, buf, size, KMEM_KIND_KMEM);
}

/* ---- malloc ---- */

static inline __attribute__((always_inline)) void *
malloc_any(size_t size, size_t align, int kmflag, int kind)
{
	kmem_cache_t *cp;

	kmem_ready_check();
	if (KM_UNLIKELY(align > MALLOC_ALIGN)) {
		if (size > MAXBUF || align > KMEM_PAGE)
			return kmem_oversize_alloc(size ? size : 1, align,
						   kmflag, kind);
		cp = aligned_cache(size ? size : 1, align);
	} else if (KM_UNLIKELY(size > MAXBUF)) {
		return kmem_oversize_alloc(size, 0, kmflag, kind);
	} else {
		/* the smallest class is aligned to 8 only */
		cp = size_cache(size > 8 ? size : 16);
	}
	return cp ? alloc_sized(cp, size, kmflag, kind) : NULL;
}

static void *__attribute__((noinline))
malloc_nosleep(size_t size, size_t align, int kind)
{
	return malloc_any(size, align, KM_NOSLEEP, kind);
}

void *kmem_malloc_impl(size_t size, size_t align, int kind)
{
	/* no more than two jumps: for what is audited they count */
	if (KM_UNLIKELY(is_audited) && KM_LIKELY(align <= MALLOC_ALIGN) &&
	    KM_LIKELY(size <= KMEM_BIN_BYTES))
		return kmem_audited_alloc(size_cache(size > 8 ? size : 16),
					  size, KM_NOSLEEP, kind);
	return malloc_nosleep(size, align, kind);
}

void *kmem_malloc_flags(size_t size, size_t align, int kmflag, int kind)
{
	return malloc_any(size, align, kmflag, kind);
}

/** kmem_addr_cache() in line. */
static inline __attribute__((always_inline)) kmem_cache_t *
addr_cache(const void *p, kmem_slab_t **slab, void **base)
{
	kmem_slab_t *sp = kmem_entry_slab(kmem_pagemap_entry(p));
	kmem_cache_t *cp;
	size_t offset;
	size_t i;

	if (!sp ||
	    (KM_UNLIKELY(kmem_flags & KMF_CHECKED) && !kmem_slab_is_sound(sp)))
		return NULL;
	cp = sp->slab_cache;
	/* a p below the first buffer makes these huge */
	offset = (uintptr_t)p - (uintptr_t)sp->slab_base;
	i = (uint64_t)((unsigned __int128)cp->cache_magic * offset >> 64);
	if (KM_UNLIKELY(cp->cache_slabsize > UINT32_MAX))
		i = offset / cp->cache_chunksize; /* magic is not that exact */
	if (i >= sp->slab_chunks)
		return NULL;
	if (slab)
		*slab = sp;
	if (base)
		*base = kmem_at(sp->slab_base, i * cp->cache_chunksize);
	return cp;
}

kmem_cache_t *kmem_addr_cache(const void *p, kmem_slab_t **slab, void **base)
{
	return addr_cache(p, slab, base);
}

void kmem_free_any(void *p, size_t size, int kind)
{
	kmem_slab_t *sp;
	kmem_cache_t *cp;
	void *base;

	if (!p)
		return;
	cp = addr_cache(p, &sp, &base);
	if (KM_UNLIKELY(!cp)) {
		kmem_oversize_free(p, size, kind);
		return;
	}
	if (KM_UNLIKELY(base != p || !(cp->cache_cflags & KMC_KMEM_ALLOC))) {
		kmem_error_at(base != p ? KMERR_BADBASE : KMERR_BADCACHE, NULL,
			      p, kind);
		return;
	}
	sized_free(cp, sp, p, size, kind);
}

void kmem_free_impl(void *p, int kind)
{
	if (KM_UNLIKELY(is_audited))
		kmem_audited_put(p, SIZE_MAX, kind);
	else
		kmem_free_any(p, SIZE_MAX, kind);
}

void kmem_free_sized_impl(void *p, size_t size, int kind)
{
	if (KM_UNLIKELY(is_audited))
		kmem_audited_put(p, size, kind);
	else
		kmem_free_any(p, size, kind);
}

size_t kmem_usable(const void *p)
{
	kmem_cache_t *cp = kmem_addr_cache(p, NULL, NULL);
	size_t bytes;

	if (cp && (cp->cache_flags & KMF_BUFTAG)) {
		bytes = kmem_size_marked(cp, p);
		return bytes == SIZE_MAX ? 0 : bytes;
	}
	if (cp)
		return cp->cache_bufsize;
	bytes = kmem_addr_oversize(p);
	if (kmem_oversize_tag)
		return bytes;
	return (bytes + KMEM_PAGE - 1) & -KMEM_PAGE;
}
