/* SPDX-License-Identifier: MIT */
/*
 * Resource maps: the allocator of ranges of numbers that Unix had before
 * arenas.  A map is empty until it is given a range by rmfree(); 0 is no
 * address, since it is the answer of a failed rmalloc().
 */
#ifndef RMAP_H
#define RMAP_H

#include <stddef.h>

/*
 * The names are other libraries' too: in the library they have a prefix, so that
 * its preloaded form takes nobody's place.
 */
#pragma redefine_extname rmallocmap kmem_as_rmallocmap
#pragma redefine_extname rmallocmap_wait kmem_as_rmallocmap_wait
#pragma redefine_extname rmfreemap kmem_as_rmfreemap
#pragma redefine_extname rmalloc kmem_as_rmalloc
#pragma redefine_extname rmalloc_wait kmem_as_rmalloc_wait
#pragma redefine_extname rmalloc_locked kmem_as_rmalloc_locked
#pragma redefine_extname rmget kmem_as_rmget
#pragma redefine_extname rmfree kmem_as_rmfree
#pragma redefine_extname rmsetwant kmem_as_rmsetwant
#pragma redefine_extname rm_lock kmem_as_rm_lock
#pragma redefine_extname rm_unlock kmem_as_rm_unlock

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct map;

/**
 * Makes an empty map.
 *
 * @nslots:  ranges it can hold as free at one time; what is more is lost
 *
 * Returns NULL when there is no memory; rmallocmap_wait() waits instead.
 */
struct map *rmallocmap(size_t nslots);
struct map *rmallocmap_wait(size_t nslots);

/** Ends a map; whatever was not freed is forgotten.  NULL is allowed. */
void rmfreemap(struct map *mp);

/**
 * Takes the first size numbers of the lowest free range that has so many.
 *
 * Returns the first of them; 0 when there is no such range or size is 0.
 * rmalloc_wait() waits until there is one; rmalloc_locked() is for callers
 * between rm_lock() and rm_unlock().
 */
unsigned long rmalloc(struct map *mp, size_t size);
unsigned long rmalloc_wait(struct map *mp, size_t size);
unsigned long rmalloc_locked(struct map *mp, size_t size);

/**
 * Takes exactly [addr, addr + size); the caller holds the map's lock.
 *
 * Returns addr; 0 when not all of it is free, or when the rest would be two
 * ranges and there is no slot for the second.
 */
unsigned long rmget(struct map *mp, size_t size, unsigned long addr);

/**
 * Gives [addr, addr + size) to a map: back, or to begin with.  It is merged
 * with free neighbours; in a full map the smallest range is lost, with a
 * warning under the option verbose.  An overlap with what is free, address 0 or
 * size 0 is a panic: bad rmfree.
 */
void rmfree(struct map *mp, size_t size, unsigned long addr);

/** Says that somebody waits: the next rmfree() wakes all.  The lock is held. */
void rmsetwant(struct map *mp);

/** Holds a map still over several calls that say so. */
void rm_lock(struct map *mp);
void rm_unlock(struct map *mp);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
