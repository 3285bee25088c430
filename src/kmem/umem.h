/* SPDX-License-Identifier: MIT */
/*
 * The interface of libumem: a program written for that library is compiled and
 * runs unchanged.
 */
#ifndef UMEM_H
#define UMEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "vmem.h"

/*
 * The names are other libraries' too: in the library they have a prefix, so that
 * its preloaded form takes nobody's place.
 */
#pragma redefine_extname umem_alloc kmem_as_umem_alloc
#pragma redefine_extname umem_zalloc kmem_as_umem_zalloc
#pragma redefine_extname umem_free kmem_as_umem_free
#pragma redefine_extname umem_alloc_align kmem_as_umem_alloc_align
#pragma redefine_extname umem_free_align kmem_as_umem_free_align
#pragma redefine_extname umem_cache_create kmem_as_umem_cache_create
#pragma redefine_extname umem_cache_destroy kmem_as_umem_cache_destroy
#pragma redefine_extname umem_cache_alloc kmem_as_umem_cache_alloc
#pragma redefine_extname umem_cache_free kmem_as_umem_cache_free
#pragma redefine_extname umem_nofail_callback kmem_as_umem_nofail_callback
#pragma redefine_extname umem_reap kmem_as_umem_reap
#pragma redefine_extname umem_setmtbf kmem_as_umem_setmtbf

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define UMEM_DEFAULT 0x0000 /* may return NULL */
#define UMEM_NOFAIL  0x0100 /* asks the callback instead */

#define UMC_NOTOUCH    0x00010000
#define UMC_NODEBUG    0x00020000
#define UMC_NOMAGAZINE 0x00040000
#define UMC_NOHASH     0x00080000

/* what a callback for UMEM_NOFAIL answers */
#define UMEM_CALLBACK_RETRY        0
#define UMEM_CALLBACK_EXIT(status) (0x100 | ((status)&0xff))

typedef struct kmem_cache umem_cache_t;
typedef int umem_constructor_t(void *buf, void *priv, int flags);
typedef void umem_destructor_t(void *buf, void *priv);
typedef void umem_reclaim_t(void *priv);
typedef int umem_nofail_callback_t(void);

/**
 * Allocates memory; umem_zalloc() zeroes it.
 *
 * @flags:  UMEM_DEFAULT or UMEM_NOFAIL
 *
 * Returns NULL for size 0, and with UMEM_DEFAULT when there is no memory; then
 * errno is set.
 */
void *umem_alloc(size_t size, int flags);
void *umem_zalloc(size_t size, int flags);
/** Frees what these gave; the size must be the same. */
void umem_free(void *buf, size_t size);

/** umem_alloc() at a multiple of align, a power of two; freed with
 * umem_free_align(). */
void *umem_alloc_align(size_t size, size_t align, int flags);
void umem_free_align(void *buf, size_t size);

/**
 * Makes an object cache: kmem_cache_create() of kmem.h, except that wrong
 * arguments give NULL and EINVAL, and a constructor is always told
 * UMEM_DEFAULT.
 */
umem_cache_t *umem_cache_create(char *name, size_t bufsize, size_t align,
				umem_constructor_t *ctor,
				umem_destructor_t *dtor,
				umem_reclaim_t *reclaim, void *priv,
				vmem_t *vmp, int cflags);
/** Ends a cache; every object must have been freed. */
void umem_cache_destroy(umem_cache_t *cp);
/** Allocates and frees a constructed object; flags as for umem_alloc(). */
void *umem_cache_alloc(umem_cache_t *cp, int flags);
void umem_cache_free(umem_cache_t *cp, void *buf);

/**
 * Sets what is called when a request with UMEM_NOFAIL finds no memory: it
 * answers UMEM_CALLBACK_RETRY, or UMEM_CALLBACK_EXIT(status) to end the
 * process.  Without one the process ends with status 255.
 */
void umem_nofail_callback(umem_nofail_callback_t *callback);

/** Gives back memory that caches hold in reserve. */
void umem_reap(void);

/** From now on lets one request in so many fail, those with UMEM_NOFAIL
 * excepted; 0: none. */
void umem_setmtbf(uint32_t mtbf);

/** The arena all memory comes from, and how to import from it. */
vmem_t *vmem_heap_arena(vmem_alloc_t **ret_alloc, vmem_free_t **ret_free);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
