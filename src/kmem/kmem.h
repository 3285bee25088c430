/* SPDX-License-Identifier: MIT */
/*
 * kmem: object caches and sized allocation.
 */
#ifndef KMEM_H
#define KMEM_H

#include <stddef.h>
#include <stdint.h>
#include "vmem.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct kmem_cache kmem_cache_t;

#define KM_SLEEP        0x0000
#define KM_NOSLEEP      0x0001
#define KM_PANIC        0x0002
#define KM_PUSHPAGE     0x0004
#define KM_NORMALPRI    0x0008
#define KM_NOSLEEP_LAZY (KM_NOSLEEP | KM_NORMALPRI)

#define KMC_NOTOUCH    0x00010000
#define KMC_NODEBUG    0x00020000
#define KMC_NOMAGAZINE 0x00040000
#define KMC_NOHASH     0x00080000
#define KMC_QCACHE     0x00100000
#define KMC_KMEM_ALLOC 0x00200000
#define KMC_IDENTIFIER 0x00400000
#define KMC_PREFILL    0x00800000

/**
 * Makes a cache of objects of one size.
 *
 * @name:     up to 31 characters; what the debugger shows
 * @bufsize:  bytes of an object
 * @align:    power of two; 0 means 8
 * @ctor:     brings a fresh buffer into the state an object has between
 *            kmem_cache_free() and kmem_cache_alloc(); returns 0, or else the
 *            allocation fails.  NULL: none.  kmflags are those of the request.
 * @dtor:     undoes it before the memory goes back.  NULL: none
 * @reclaim:  asks the owner to free what it can do without.  NULL: none
 * @priv:     handed to the three
 * @vmp:      arena the slabs come from; NULL: the default one
 * @cflags:   KMC_*
 */
kmem_cache_t *kmem_cache_create(const char *name, size_t bufsize, size_t align,
				int (*ctor)(void *buf, void *priv, int kmflags),
				void (*dtor)(void *buf, void *priv),
				void (*reclaim)(void *priv), void *priv,
				vmem_t *vmp, int cflags);

/** Ends a cache; every object must have been freed. */
void kmem_cache_destroy(kmem_cache_t *cp);

/**
 * Allocates a constructed object.
 *
 * @kmflag:  KM_SLEEP waits for memory and does not fail; KM_NOSLEEP returns
 *           NULL instead
 */
void *kmem_cache_alloc(kmem_cache_t *cp, int kmflag);

/** Gives an object back to its cache, in its constructed state. */
void kmem_cache_free(kmem_cache_t *cp, void *buf);

/**
 * Allocates bytes of any size; kmem_zalloc() zeroes them.  A size of 0 gives
 * NULL, which kmem_free() takes back with that size.
 */
void *kmem_alloc(size_t size, int kmflag);
void *kmem_zalloc(size_t size, int kmflag);

/** Frees what kmem_alloc() or kmem_zalloc() gave, of the same size. */
void kmem_free(void *buf, size_t size);

/** kmem_zalloc() of another size, with what fits of the old contents; the old
 * buffer is freed.  NULL, with KM_NOSLEEP: it is not. */
void *kmem_rezalloc(void *buf, size_t old_size, size_t new_size, int kmflag);

/**
 * Tries without sleeping whether a buffer of this size or of one somewhat
 * larger is to be had, and only then asks as kmflag says.
 *
 * @ret_size:  what the buffer must be freed with
 */
void *kmem_alloc_tryhard(size_t size, size_t *ret_size, int kmflag);

/* what a callback for requests that may not fail answers */
#define KMEM_CALLBACK_RETRY        0
#define KMEM_CALLBACK_EXIT(status) (0x100 | ((status)&0xff))

typedef int kmem_nofail_callback_t(void);

/**
 * Sets what is called, with no lock held, when the system has no memory for a
 * request with KM_SLEEP: it answers KMEM_CALLBACK_RETRY, or
 * KMEM_CALLBACK_EXIT(status) to end the process by exit().  Without one the
 * process ends with a report.  A limit has no part in this: there a request
 * waits.
 */
void kmem_nofail_callback(kmem_nofail_callback_t *callback);

/** Asks every cache to give back the memory it does not use. */
void kmem_reap(void);
/** The same for caches of identifiers, which kmem_reap() leaves alone. */
void kmem_reap_idspace(void);
/** The same for one cache. */
void kmem_cache_reap_now(kmem_cache_t *cp);

/** A number the cache counts, by the name it has in kmem_cache_create(3);
 * UINT64_MAX: there is none of that name. */
uint64_t kmem_cache_stat(kmem_cache_t *cp, const char *name);

/* what a move callback answers */
typedef enum kmem_cbrc {
	KMEM_CBRC_YES,       /* moved: old is no longer in use */
	KMEM_CBRC_NO,        /* will not move: do not ask again */
	KMEM_CBRC_LATER,     /* cannot move now */
	KMEM_CBRC_DONT_NEED, /* has no use for old */
	KMEM_CBRC_DONT_KNOW, /* old is no object I know */
} kmem_cbrc_t;

/**
 * Lets the allocator move the objects of a cache, so that slabs with few of
 * them can be given back.  To be called before the first allocation; not for
 * caches with KMC_NOTOUCH or of identifiers.
 *
 * @move:  copies the object at old to new, which is constructed, lets all who
 *         point to old point to new, and says KMEM_CBRC_YES; or says why not.
 *         old may be no live object of its owner: free, or just being made.
 *         Called with no lock held, by whichever thread does the upkeep.
 */
void kmem_cache_set_move(kmem_cache_t *cp,
			 kmem_cbrc_t (*move)(void *old, void *new_buf,
					     size_t bytes, void *priv));

/** Says that an object which answered NO or LATER may be moved now: it will be
 * asked for again. */
void kmem_cache_move_notify(kmem_cache_t *cp, void *buf);

/* kmem_snapshot() flags */
#define KMEM_SNAP_NOWAIT 0x1 /* return as soon as the image is fixed */

/**
 * Writes the calling process to a core file that gdb and pmdb read.
 *
 * @path:   %p and %c are replaced by process id and command name; NULL means
 *          the path of KMEM_SNAPSHOT
 * @flags:  KMEM_SNAP_*
 *
 * Returns 0, or -1 with errno set; no partial file is left behind.
 */
int kmem_snapshot(const char *path, int flags);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
