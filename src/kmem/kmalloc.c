/* SPDX-License-Identifier: MIT */
/*
 * The allocation calls of the Linux kernel over this allocator.
 *
 * Both sets of flags are brought to what there is here: sleep or not, zeros or
 * not, the DMA arena or not.  A unit compiled for the flags of 2.6 calls names
 * that end in _2_6 (KMALLOC_ERA), each of which differs in that step only.
 *
 * kfree() finds the cache by address, so memory of kmalloc() is freed like
 * that of malloc(), and what is wrong with it is reported in the same words.
 * DMA memory comes from caches dma-kmalloc-N over an arena of their own: a user
 * process has no addresses below 16 MiB to give, the arena shows who uses it.
 */
#include "kmalloc.h"

#include "kmem_internal.h"

#include <string.h>

#define CACHE_LINE  64u
#define NDMA        11 /* 8 bytes to 8 KiB */
#define DMA_MIN_LOG 3

/* a request, of whichever era */
struct request {
	int kmflag;
	int is_zeroed;
	int is_dma;
};

struct lk_kmem_cache {
	kmem_cache_t *lk_cache;
	void (*lk_ctor)(void *);
	unsigned int lk_size;
};

/* created on first use, published under kmem_align_lock */
static vmem_t *dma_arena;
static kmem_cache_t *dma_cache[NDMA];

/**
 * What the flags of an era mean.
 *
 * @is_reclaim:  memory may be got together for it: asked for, or waited for
 * @is_patient:  so long as it takes
 * @is_urgent:   it may not wait, but matters
 * @is_helper:   it is needed to free memory
 */
static int kmflag_of(int is_reclaim, int is_patient, int is_urgent,
		     int is_helper)
{
	int kmflag = is_patient ? KM_SLEEP : KM_NOSLEEP;

	if (!is_reclaim && !is_patient && !is_urgent)
		kmflag = KM_NOSLEEP_LAZY;
	return is_helper ? kmflag | KM_PUSHPAGE : kmflag;
}

static struct request request_of(gfp_t flags)
{
	int is_reclaim = (flags & __GFP_DIRECT_RECLAIM) != 0;
	int may_fail = (flags & (__GFP_NORETRY | __GFP_RETRY_MAYFAIL)) != 0;
	int no_fail = (flags & __GFP_NOFAIL) != 0;
	struct request r = {
		.kmflag = kmflag_of(is_reclaim,
				    (is_reclaim && !may_fail) || no_fail,
				    (flags & __GFP_HIGH) != 0,
				    (flags & __GFP_MEMALLOC) != 0),
		.is_zeroed = (flags & __GFP_ZERO) != 0,
		.is_dma = (flags & (__GFP_DMA | __GFP_DMA32)) != 0,
	};

	return r;
}

/* the bits of 2.6.32 that have a meaning here */
#define OLD_DMA     (0x01u | 0x04u)
#define OLD_WAIT    0x10u
#define OLD_HIGH    0x20u
#define OLD_NOFAIL  0x800u
#define OLD_NORETRY 0x1000u
#define OLD_ZERO    0x8000u

static struct request request_of_2_6(gfp_t flags)
{
	int is_reclaim = (flags & OLD_WAIT) != 0;
	int no_fail = (flags & OLD_NOFAIL) != 0;
	struct request r = {
		.kmflag = kmflag_of(is_reclaim,
				    (is_reclaim && !(flags & OLD_NORETRY)) ||
					    no_fail,
				    (flags & OLD_HIGH) != 0, 0),
		.is_zeroed = (flags & OLD_ZERO) != 0,
		.is_dma = (flags & OLD_DMA) != 0,
	};

	return r;
}

/* ---- DMA ---- */

static vmem_t *dma_arena_get(void)
{
	vmem_t *vmp = __atomic_load_n(&dma_arena, __ATOMIC_ACQUIRE);

	if (vmp)
		return vmp;
	kmem_gate_enter(); /* G2 of kmem_gate.c */
	kmem_update_hold();
	kmem_mutex_enter(&kmem_align_lock);
	if (!dma_arena)
		__atomic_store_n(&dma_arena,
				 vmem_create("kmalloc_dma", NULL, 0, KMEM_PAGE,
					     vmem_alloc, vmem_free, vmem_heap,
					     0, VM_NOSLEEP),
				 __ATOMIC_RELEASE);
	vmp = dma_arena;
	kmem_mutex_exit(&kmem_align_lock);
	kmem_update_unhold();
	kmem_gate_exit();
	return vmp;
}

/** The DMA cache of 1 << log bytes; NULL: no memory. */
static kmem_cache_t *dma_cache_get(int log)
{
	kmem_cache_t **slot = &dma_cache[log - DMA_MIN_LOG];
	kmem_cache_t *cp = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	size_t bytes = (size_t)1 << log;
	struct kmem_spec spec = {
		.bufsize = bytes,
		.align = bytes < KMEM_PAGE ? bytes : KMEM_PAGE,
		.arena = dma_arena_get(),
		.cflags = KMC_KMEM_ALLOC,
		.vmflag = VM_NOSLEEP,
	};
	char name[KMEM_CACHE_NAMELEN + 1];

	if (cp || !spec.arena)
		return cp;
	(void)kmem_format(name, sizeof(name), "dma-kmalloc-%lu", bytes);
	spec.name = name;
	kmem_gate_enter(); /* G2 of kmem_gate.c */
	kmem_update_hold();
	kmem_mutex_enter(&kmem_align_lock);
	if (!*slot)
		__atomic_store_n(slot, kmem_cache_create_spec(&spec),
				 __ATOMIC_RELEASE);
	cp = *slot;
	kmem_mutex_exit(&kmem_align_lock);
	kmem_update_unhold();
	kmem_gate_exit();
	return cp;
}

static void *dma_alloc(size_t size, int kmflag)
{
	int log = DMA_MIN_LOG;
	kmem_cache_t *cp;

	while ((size_t)1 << log < size)
		log++;
	if (log - DMA_MIN_LOG >= NDMA)
		return NULL;
	cp = dma_cache_get(log);
	return cp ? kmem_cache_alloc_sized(cp, size, kmflag, KMEM_KIND_KMEM)
		  : NULL;
}

/* ---- kmalloc ---- */

static void *alloc(size_t size, struct request r)
{
	size_t align = 0;
	void *p;

	kmem_ready_check();
	if (size == 0)
		return ZERO_SIZE_PTR;
	if (size > KMALLOC_MAX_SIZE)
		return NULL;
	if ((size & (size - 1)) == 0)
		align = size < KMEM_PAGE ? size : KMEM_PAGE;
	p = r.is_dma ? dma_alloc(size, r.kmflag)
		     : kmem_malloc_flags(size, align, r.kmflag, KMEM_KIND_KMEM);
	if (p && r.is_zeroed)
		memset(p, 0, size);
	return p;
}

static void *alloc_zeroed(size_t size, struct request r)
{
	r.is_zeroed = 1;
	return alloc(size, r);
}

static void *alloc_array(size_t n, size_t size, struct request r)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		return NULL;
	return alloc(total, r);
}

/* not kfree() and ksize(): the program may have functions of those names */
static void release(const void *p)
{
	if (!ZERO_OR_NULL_PTR(p))
		kmem_free_impl((void *)(uintptr_t)p, KMEM_KIND_KMEM);
}

static size_t usable_bytes(const void *p)
{
	return ZERO_OR_NULL_PTR(p) ? 0 : kmem_usable(p);
}

static void *resize(const void *p, size_t size, struct request r)
{
	size_t usable;
	void *q;

	if (size == 0) {
		release(p);
		return ZERO_SIZE_PTR;
	}
	usable = usable_bytes(p);
	if (usable >= size)
		return (void *)(uintptr_t)p;
	q = alloc(size, r);
	if (q && usable) {
		memcpy(q, p, usable);
		release(p);
	}
	return q;
}

void kfree(const void *p)
{
	release(p);
}

size_t ksize(const void *p)
{
	return usable_bytes(p);
}

/* ---- caches ---- */

static int construct(void *buf, void *priv, int kmflag)
{
	const struct lk_kmem_cache *lk = priv;

	(void)kmflag;
	lk->lk_ctor(buf);
	return 0;
}

static kmem_cache_t *cache_create(struct lk_kmem_cache *lk, const char *name,
				  unsigned int align, unsigned int flags)
{
	struct kmem_spec spec = {
		.name = name,
		.bufsize = lk->lk_size,
		.align = align < 8 ? 8 : align,
		.ctor = lk->lk_ctor ? construct : NULL,
		.priv = lk,
		.vmflag = VM_NOSLEEP,
	};

	if ((flags & SLAB_HWCACHE_ALIGN) && spec.align < CACHE_LINE)
		spec.align = CACHE_LINE;
	if (flags & SLAB_RED_ZONE)
		spec.cflags |= KMF_REDZONE;
	if (flags & SLAB_POISON)
		spec.cflags |= KMF_DEADBEEF;
	if (flags & SLAB_STORE_USER)
		spec.cflags |= KMF_AUDIT;
	if (flags & SLAB_CACHE_DMA) {
		spec.arena = dma_arena_get();
		if (!spec.arena)
			return NULL;
	}
	return kmem_cache_create_spec(&spec);
}

struct lk_kmem_cache *lk_kmem_cache_create(const char *name, unsigned int size,
					   unsigned int align,
					   unsigned int flags,
					   void (*ctor)(void *))
{
	struct lk_kmem_cache *lk = NULL;

	kmem_ready_check();
	if (name && size > 0 && size <= KMALLOC_MAX_SIZE &&
	    (align & (align - 1)) == 0 && align <= KMEM_PAGE)
		lk = kmem_zalloc(sizeof(*lk), KM_NOSLEEP);
	if (lk) {
		lk->lk_ctor = ctor;
		lk->lk_size = size;
		lk->lk_cache = cache_create(lk, name, align, flags);
		if (!lk->lk_cache) {
			kmem_free(lk, sizeof(*lk));
			lk = NULL;
		}
	}
	if (!lk && (flags & SLAB_PANIC))
		kmem_panic("kmem_cache_create: Failed to create slab '%s'",
			   name);
	return lk;
}

void lk_kmem_cache_destroy(struct lk_kmem_cache *lk)
{
	if (!lk)
		return;
	kmem_cache_destroy(lk->lk_cache);
	kmem_free(lk, sizeof(*lk));
}

static void *cache_alloc(struct lk_kmem_cache *lk, struct request r)
{
	void *p =
		kmem_cache_alloc_kind(lk->lk_cache, r.kmflag, KMEM_KIND_CACHE);

	if (p && r.is_zeroed)
		memset(p, 0, lk->lk_size);
	return p;
}

static void *cache_zalloc(struct lk_kmem_cache *lk, struct request r)
{
	r.is_zeroed = 1;
	return cache_alloc(lk, r);
}

void lk_kmem_cache_free(struct lk_kmem_cache *lk, void *p)
{
	if (p)
		kmem_cache_free_kind(lk->lk_cache, p, KMEM_KIND_CACHE);
}

unsigned int lk_kmem_cache_size(struct lk_kmem_cache *lk)
{
	return lk->lk_size;
}

/* ---- the calls with flags, of both eras ---- */

#define EXPORT __attribute__((visibility("default")))

/*
 * suffix: behind the name; to_request: what reads the flags
 */
#define CALLS(suffix, to_request)                                           \
	EXPORT void *kmalloc##suffix(size_t size, gfp_t flags);             \
	EXPORT void *kzalloc##suffix(size_t size, gfp_t flags);             \
	EXPORT void *kmalloc_array##suffix(size_t n, size_t size,           \
					   gfp_t flags);                    \
	EXPORT void *kcalloc##suffix(size_t n, size_t size, gfp_t flags);   \
	EXPORT void *krealloc##suffix(const void *p, size_t size,           \
				      gfp_t flags);                         \
	EXPORT void *lk_kmem_cache_alloc##suffix(struct lk_kmem_cache *lk,  \
						 gfp_t flags);              \
	EXPORT void *lk_kmem_cache_zalloc##suffix(struct lk_kmem_cache *lk, \
						  gfp_t flags);             \
	void *kmalloc##suffix(size_t size, gfp_t flags)                     \
	{                                                                   \
		return alloc(size, to_request(flags));                      \
	}                                                                   \
	void *kzalloc##suffix(size_t size, gfp_t flags)                     \
	{                                                                   \
		return alloc_zeroed(size, to_request(flags));               \
	}                                                                   \
	void *kmalloc_array##suffix(size_t n, size_t size, gfp_t flags)     \
	{                                                                   \
		return alloc_array(n, size, to_request(flags));             \
	}                                                                   \
	void *kcalloc##suffix(size_t n, size_t size, gfp_t flags)           \
	{                                                                   \
		struct request r = to_request(flags);                       \
                                                                            \
		r.is_zeroed = 1;                                            \
		return alloc_array(n, size, r);                             \
	}                                                                   \
	void *krealloc##suffix(const void *p, size_t size, gfp_t flags)     \
	{                                                                   \
		return resize(p, size, to_request(flags));                  \
	}                                                                   \
	void *lk_kmem_cache_alloc##suffix(struct lk_kmem_cache *lk,         \
					  gfp_t flags)                      \
	{                                                                   \
		return cache_alloc(lk, to_request(flags));                  \
	}                                                                   \
	void *lk_kmem_cache_zalloc##suffix(struct lk_kmem_cache *lk,        \
					   gfp_t flags)                     \
	{                                                                   \
		return cache_zalloc(lk, to_request(flags));                 \
	}

CALLS(, request_of)
CALLS(_2_6, request_of_2_6)
