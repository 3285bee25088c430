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

#define KM_SLEEP 0x0000
#define KM_NOSLEEP 0x0001
#define KM_PANIC 0x0002
#define KM_PUSHPAGE 0x0004
#define KM_NORMALPRI 0x0008
#define KM_NOSLEEP_LAZY (KM_NOSLEEP | KM_NORMALPRI)

#define KMC_NOTOUCH 0x00010000
#define KMC_NODEBUG 0x00020000
#define KMC_NOMAGAZINE 0x00040000
#define KMC_NOHASH 0x00080000
#define KMC_QCACHE 0x00100000
#define KMC_KMEM_ALLOC 0x00200000
#define KMC_IDENTIFIER 0x00400000
#define KMC_PREFILL 0x00800000

kmem_cache_t *kmem_cache_create(const char *name, size_t bufsize, size_t align,
				int (*ctor)(void *buf, void *priv, int kmflags),
				void (*dtor)(void *buf, void *priv),
				void (*reclaim)(void *priv), void *priv,
				vmem_t *vmp, int cflags);
void kmem_cache_destroy(kmem_cache_t *cp);
void *kmem_cache_alloc(kmem_cache_t *cp, int kmflag);
void kmem_cache_free(kmem_cache_t *cp, void *buf);
void *kmem_alloc(size_t size, int kmflag);
void *kmem_zalloc(size_t size, int kmflag);
void kmem_free(void *buf, size_t size);
void kmem_reap(void);

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
