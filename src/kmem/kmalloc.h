/* SPDX-License-Identifier: MIT */
/*
 * The allocation calls of the Linux kernel.
 *
 * The flags are those of 6.1, or those of 2.6.32 when KMALLOC_GFP_2_6 is
 * defined before this header is included: the same names have other values
 * there, so each unit of a program may be of either time.
 *
 * Calls whose names are those of kmem.h have the prefix lk_.  With
 * KMALLOC_LINUX_NAMES defined they have it hidden; kmem.h must then not be
 * included.
 */
#ifndef KMALLOC_H
#define KMALLOC_H

#include <stddef.h>

/*
 * The names are other libraries' too: in the library they have a prefix, so that
 * its preloaded form takes nobody's place.
 */
#pragma redefine_extname kmalloc_2_6 kmem_as_kmalloc_2_6
#pragma redefine_extname kzalloc_2_6 kmem_as_kzalloc_2_6
#pragma redefine_extname kmalloc_array_2_6 kmem_as_kmalloc_array_2_6
#pragma redefine_extname kcalloc_2_6 kmem_as_kcalloc_2_6
#pragma redefine_extname krealloc_2_6 kmem_as_krealloc_2_6
#pragma redefine_extname kfree kmem_as_kfree
#pragma redefine_extname ksize kmem_as_ksize
#pragma redefine_extname lk_kmem_cache_alloc_2_6 kmem_as_lk_kmem_cache_alloc_2_6
#pragma redefine_extname lk_kmem_cache_zalloc_2_6 \
	kmem_as_lk_kmem_cache_zalloc_2_6
#ifndef KMALLOC_GFP_2_6
#pragma redefine_extname kmalloc kmem_as_kmalloc
#pragma redefine_extname kzalloc kmem_as_kzalloc
#pragma redefine_extname kmalloc_array kmem_as_kmalloc_array
#pragma redefine_extname kcalloc kmem_as_kcalloc
#pragma redefine_extname krealloc kmem_as_krealloc
#endif

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef unsigned int gfp_t;

#ifdef KMALLOC_GFP_2_6

#define __GFP_DMA         0x01u
#define __GFP_HIGHMEM     0x02u
#define __GFP_DMA32       0x04u
#define __GFP_MOVABLE     0x08u
#define __GFP_WAIT        0x10u /* may sleep */
#define __GFP_HIGH        0x20u
#define __GFP_IO          0x40u
#define __GFP_FS          0x80u
#define __GFP_COLD        0x100u
#define __GFP_NOWARN      0x200u
#define __GFP_REPEAT      0x400u
#define __GFP_NOFAIL      0x800u
#define __GFP_NORETRY     0x1000u
#define __GFP_COMP        0x4000u
#define __GFP_ZERO        0x8000u
#define __GFP_NOMEMALLOC  0x10000u
#define __GFP_HARDWALL    0x20000u
#define __GFP_THISNODE    0x40000u
#define __GFP_RECLAIMABLE 0x80000u

#define GFP_NOWAIT 0u
#define GFP_ATOMIC __GFP_HIGH
#define GFP_NOIO   __GFP_WAIT
#define GFP_NOFS   (__GFP_WAIT | __GFP_IO)
#define GFP_KERNEL (__GFP_WAIT | __GFP_IO | __GFP_FS)
#define GFP_USER   (GFP_KERNEL | __GFP_HARDWALL)

#define KMALLOC_ERA(name) __asm__("kmem_as_" #name "_2_6")

#else

#define __GFP_DMA            0x01u
#define __GFP_HIGHMEM        0x02u
#define __GFP_DMA32          0x04u
#define __GFP_MOVABLE        0x08u
#define __GFP_RECLAIMABLE    0x10u
#define __GFP_HIGH           0x20u
#define __GFP_IO             0x40u
#define __GFP_FS             0x80u
#define __GFP_ZERO           0x100u
#define __GFP_ATOMIC         0x200u
#define __GFP_DIRECT_RECLAIM 0x400u /* may sleep */
#define __GFP_KSWAPD_RECLAIM 0x800u
#define __GFP_WRITE          0x1000u
#define __GFP_NOWARN         0x2000u
#define __GFP_RETRY_MAYFAIL  0x4000u
#define __GFP_NOFAIL         0x8000u
#define __GFP_NORETRY        0x10000u
#define __GFP_MEMALLOC       0x20000u
#define __GFP_COMP           0x40000u
#define __GFP_NOMEMALLOC     0x80000u
#define __GFP_HARDWALL       0x100000u
#define __GFP_THISNODE       0x200000u
#define __GFP_ACCOUNT        0x400000u
#define __GFP_ZEROTAGS       0x800000u
#define __GFP_RECLAIM        (__GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM)

#define GFP_NOWAIT         __GFP_KSWAPD_RECLAIM
#define GFP_ATOMIC         (__GFP_HIGH | __GFP_ATOMIC | __GFP_KSWAPD_RECLAIM)
#define GFP_NOIO           __GFP_RECLAIM
#define GFP_NOFS           (__GFP_RECLAIM | __GFP_IO)
#define GFP_KERNEL         (__GFP_RECLAIM | __GFP_IO | __GFP_FS)
#define GFP_KERNEL_ACCOUNT (GFP_KERNEL | __GFP_ACCOUNT)
#define GFP_USER           (GFP_KERNEL | __GFP_HARDWALL)
#define GFP_DMA32          __GFP_DMA32

#define KMALLOC_ERA(name)

#endif
#define GFP_DMA __GFP_DMA

/* what kmalloc(0) gives; may be freed, not touched */
#define ZERO_SIZE_PTR       ((void *)16)
#define ZERO_OR_NULL_PTR(p) ((unsigned long)(p) <= 16)
/* larger requests fail, whatever their flags */
#define KMALLOC_MAX_SIZE ((size_t)4 << 20)

/**
 * Allocates memory of any size up to KMALLOC_MAX_SIZE, aligned to 16 bytes, or
 * to the size when that is a power of two, a page at most.
 *
 * @flags:  GFP_*; with a flag that allows sleeping, or __GFP_NOFAIL, the call
 *          waits for memory.  With __GFP_NORETRY or __GFP_RETRY_MAYFAIL it does
 *          not.  __GFP_ZERO clears the memory, __GFP_DMA and __GFP_DMA32 take
 *          it from the arena kmalloc_dma.
 *
 * Returns NULL when there is no memory; ZERO_SIZE_PTR for 0 bytes.
 */
void *kmalloc(size_t size, gfp_t flags) KMALLOC_ERA(kmalloc);
/** kmalloc() of zeros. */
void *kzalloc(size_t size, gfp_t flags) KMALLOC_ERA(kzalloc);
/** kmalloc() of n elements; NULL when n * size overflows. */
void *kmalloc_array(size_t n, size_t size, gfp_t flags)
	KMALLOC_ERA(kmalloc_array);
/** kmalloc_array() of zeros. */
void *kcalloc(size_t n, size_t size, gfp_t flags) KMALLOC_ERA(kcalloc);
/**
 * Makes a buffer larger or smaller; it may move.  Of size 0: frees it and
 * returns ZERO_SIZE_PTR.  When there is no memory returns NULL, and p stays.
 */
void *krealloc(const void *p, size_t size, gfp_t flags) KMALLOC_ERA(krealloc);
/** Frees what any of these gave; NULL and ZERO_SIZE_PTR are allowed. */
void kfree(const void *p);
/** The bytes that may be used of a buffer. */
size_t ksize(const void *p);

/* flags of a cache */
#define SLAB_RED_ZONE        0x400u
#define SLAB_POISON          0x800u
#define SLAB_HWCACHE_ALIGN   0x2000u
#define SLAB_CACHE_DMA       0x4000u
#define SLAB_STORE_USER      0x10000u
#define SLAB_RECLAIM_ACCOUNT 0x20000u
#define SLAB_PANIC           0x40000u
#define SLAB_ACCOUNT         0x4000000u

struct lk_kmem_cache;

/**
 * Makes a cache of objects.
 *
 * @flags:  SLAB_*; RED_ZONE, POISON and STORE_USER turn the checks of this
 *          cache on
 * @ctor:   prepares an object when its slab is made; NULL: none.  An object is
 *          freed in the state ctor left it in.
 *
 * Returns NULL when there is no memory or an argument is wrong; with SLAB_PANIC
 * the process ends instead.
 */
struct lk_kmem_cache *lk_kmem_cache_create(const char *name, unsigned int size,
					   unsigned int align,
					   unsigned int flags,
					   void (*ctor)(void *));
/** Ends a cache; NULL is allowed. */
void lk_kmem_cache_destroy(struct lk_kmem_cache *lk);
/** Allocates an object; sleeping and failing as kmalloc() does. */
void *lk_kmem_cache_alloc(struct lk_kmem_cache *lk, gfp_t flags)
	KMALLOC_ERA(lk_kmem_cache_alloc);
/** The same, all zeros. */
void *lk_kmem_cache_zalloc(struct lk_kmem_cache *lk, gfp_t flags)
	KMALLOC_ERA(lk_kmem_cache_zalloc);
/** Frees an object; NULL is allowed. */
void lk_kmem_cache_free(struct lk_kmem_cache *lk, void *p);
/** Bytes of an object. */
unsigned int lk_kmem_cache_size(struct lk_kmem_cache *lk);

#ifdef KMALLOC_LINUX_NAMES
#define kmem_cache         lk_kmem_cache
#define kmem_cache_create  lk_kmem_cache_create
#define kmem_cache_destroy lk_kmem_cache_destroy
#define kmem_cache_alloc   lk_kmem_cache_alloc
#define kmem_cache_zalloc  lk_kmem_cache_zalloc
#define kmem_cache_free    lk_kmem_cache_free
#define kmem_cache_size    lk_kmem_cache_size
#endif

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
