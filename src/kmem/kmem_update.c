/* SPDX-License-Identifier: MIT */
/*
 * Upkeep: hash tables that fit, magazines that are large enough, memory given
 * back.
 *
 * There is no thread for it: a guest does not start threads in other people's
 * programs.  Who creates a slab looks at the clock, and if the interval has
 * passed does the round itself; that is rare and slow anyway.  A round frees
 * what the working set did without; a reap, by whoever finds no memory or asks
 * for it, empties the depots.  One at a time: the others do not wait.
 *
 * Locks: kmem_update_lock is held for the whole round, which keeps every cache
 * in the ring (kmem_cache_destroy takes it); no other lock is held while a
 * cache is worked on.
 */
#include "kmem_internal.h"

#define INTERVAL_NS ((hrtime_t)15 * 1000000000)

kmem_mutex_t kmem_update_lock;
static hrtime_t next_round; /* kmem_update_lock, read without */

/** One cache's part of a round; magazines that lay idle for all of the last
 * interval go. */
static void update_cache(kmem_cache_t *cp)
{
	kmem_depot_ws_update(cp);
	kmem_depot_ws_reap(cp);
	kmem_hash_rescale(cp);
	kmem_magazine_resize(cp);
}

/** Gives back all a cache has in its depot; identifiers are no memory. */
static void reap_cache(kmem_cache_t *cp)
{
	if (cp->cache_cflags & KMC_IDENTIFIER)
		return;
	if (cp->cache_reclaim)
		cp->cache_reclaim(cp->cache_private);
	kmem_depot_ws_zero(cp);
	kmem_depot_ws_reap(cp);
	cp->cache_reap++;
}

/** Runs a function on every cache, newest first; kmem_update_lock is held.
 * Newest first, so that metadata freed by the others is reaped last. */
static void for_each_cache(void (*func)(kmem_cache_t *cp))
{
	kmem_cache_t *cp, *prev;

	kmem_mutex_enter(&kmem_list_lock);
	cp = kmem_null_cache.cache_prev;
	kmem_mutex_exit(&kmem_list_lock);
	for (; cp != &kmem_null_cache; cp = prev) {
		func(cp);
		kmem_mutex_enter(&kmem_list_lock);
		prev = cp->cache_prev;
		kmem_mutex_exit(&kmem_list_lock);
	}
}

void kmem_update_if_due(void)
{
	hrtime_t now;

	if (kmem_ready != 2)
		return;
	now = kmem_now();
	if (now < __atomic_load_n(&next_round, __ATOMIC_RELAXED) ||
	    kmem_all_holder || !kmem_mutex_tryenter(&kmem_update_lock))
		return;
	if (now >= next_round) {
		int is_first = next_round == 0;

		__atomic_store_n(&next_round, now + INTERVAL_NS,
				 __ATOMIC_RELAXED);
		if (!is_first) {
			for_each_cache(update_cache);
			vmem_update();
		}
	}
	kmem_mutex_exit(&kmem_update_lock);
}

/** Frees what the caches hold in reserve. */
void kmem_reap(void)
{
	if (kmem_ready != 2 || kmem_all_holder ||
	    !kmem_mutex_tryenter(&kmem_update_lock))
		return;
	for_each_cache(reap_cache);
	vmem_heap_trim();
	kmem_mutex_exit(&kmem_update_lock);
}
