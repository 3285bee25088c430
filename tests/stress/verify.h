/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The whole state of the allocator against itself, by its own structures, while
 * no other thread uses it.
 */
#ifndef STRESS_VERIFY_H
#define STRESS_VERIFY_H

#include "kmem_internal.h"

typedef void verify_fn(void *buf, void *arg);

/** Checks every cache and every arena; says on stderr what is wrong, and returns
 * how much. */
int verify_all(void);

/**
 * The same for: all metadata that is allocated is some cache's or arena's, none
 * is lost.  Not so in a forked child, where a slab is lost that another thread
 * was about to make.
 */
int verify_metadata(void);

/**
 * Calls back for every buffer of a cache that is in the program's hands, and for
 * every one that is free, wherever it lies: in its slab, in a magazine, in a
 * thread's bin.  NULL: not of interest.
 */
void verify_buffers(kmem_cache_t *cp, verify_fn *live, verify_fn *free_fn,
		    void *arg);

/** The name of a cache's owner: is it metadata of the library? */
int verify_is_metadata(const kmem_cache_t *cp);

#endif
