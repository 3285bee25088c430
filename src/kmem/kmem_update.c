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
 * No lock is held while a cache is worked on, since its owner's callbacks and
 * destructors run and may do anything: fork, allocate, create and destroy
 * caches.  What a round needs is that the cache it is at stays:
 *
 *   U1  updater is the thread doing a round, claimed by compare and swap
 *   U2  working is the cache it is at; kmem_cache_destroy() of that cache waits
 *       for the end of its turn, or, in a callback of the round itself, leaves
 *       the destruction to the round (is_doomed)
 *   U3  a cache in its turn is linked, so the next one is found from it
 */
#include "kmem_internal.h"

static const void *updater;   /* U1, atomic */
static kmem_cache_t *working; /* U2; kmem_list_lock */
static int is_doomed;         /* U2; kmem_list_lock */
static kmem_cv_t turn_cv;     /* the end of a turn; kmem_list_lock */
static hrtime_t next_round;   /* written by the updater, read by all */
static uint32_t nasked;       /* whether it is time, at first; atomic */

/* so many slabs are made before the clock is looked at: there is little to give
 * back, and the clock brings 64 KiB of libc with it */
#define SLABS_UNTIMED 64

/* this thread holds a lock of the library's while it allocates */
static __thread int is_held;

void kmem_update_hold(void)
{
	is_held++;
}

void kmem_update_unhold(void)
{
	is_held--;
}

/** Becomes the updater; 0 when there is one, or when the program's functions must
 * not be called now. */
static int claim(void)
{
	const void *none = NULL;

	return !is_held &&
	       __atomic_compare_exchange_n(&updater, &none, kmem_self(), 0,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static void release(void)
{
	__atomic_store_n(&updater, NULL, __ATOMIC_RELEASE);
}

void kmem_update_reset(void)
{
	if (KM_PEEK(updater) == kmem_self())
		return; /* a callback of the round forked */
	if (!updater)
		return;
	if (working)
		kmem_move_reset(working);
	/* it may have closed the magazines of some for a while */
	for (kmem_cache_t *cp = kmem_null_cache.cache_next;
	     cp != &kmem_null_cache; cp = cp->cache_next)
		kmem_magazine_enable(cp);
	updater = NULL;
	working = NULL;
	is_doomed = 0;
}

int kmem_update_detach(kmem_cache_t *cp)
{
	kmem_mutex_enter(&kmem_list_lock);
	while (working == cp && KM_PEEK(updater) != kmem_self() &&
	       !kmem_holds_all())
		kmem_cv_wait(&turn_cv, &kmem_list_lock);
	if (working == cp && KM_PEEK(updater) == kmem_self()) {
		is_doomed = 1;
		kmem_mutex_exit(&kmem_list_lock);
		return 1;
	}
	cp->cache_prev->cache_next = cp->cache_next;
	cp->cache_next->cache_prev = cp->cache_prev;
	kmem_mutex_exit(&kmem_list_lock);
	return 0;
}

/** One cache's part of a round; magazines that lay idle for all of the last
 * interval go. */
static void update_cache(kmem_cache_t *cp)
{
	kmem_depot_ws_update(cp);
	kmem_depot_ws_reap(cp);
	kmem_hash_rescale(cp);
	kmem_magazine_resize(cp);
	if (cp->cache_defrag)
		kmem_move_scan(cp);
}

/** Gives back all a cache has in its depot. */
static void reap_any(kmem_cache_t *cp)
{
	if (cp->cache_reclaim)
		cp->cache_reclaim(cp->cache_private);
	kmem_depot_ws_zero(cp);
	kmem_depot_ws_reap(cp);
	if (cp->cache_defrag)
		kmem_move_all(cp);
	KM_ADD(cp->cache_reap, 1);
}

/** The same, of memory. */
static void reap_cache(kmem_cache_t *cp)
{
	if (!(cp->cache_cflags & KMC_IDENTIFIER))
		reap_any(cp);
}

/** And of identifiers. */
static void reap_identifiers(kmem_cache_t *cp)
{
	if (cp->cache_cflags & KMC_IDENTIFIER)
		reap_any(cp);
}

/** Runs a function on every cache, newest first; the caller is the updater.
 * Newest first, so that metadata freed by the others is reaped last. */
static void for_each_cache(void (*func)(kmem_cache_t *cp))
{
	kmem_cache_t *cp, *prev;

	kmem_mutex_enter(&kmem_list_lock);
	for (cp = kmem_null_cache.cache_prev; cp != &kmem_null_cache;
	     cp = prev) {
		int has_to_go;

		working = cp;
		kmem_mutex_exit(&kmem_list_lock);
		func(cp);
		kmem_mutex_enter(&kmem_list_lock);
		has_to_go = is_doomed;
		is_doomed = 0;
		working = NULL;
		prev = cp->cache_prev;
		kmem_cv_broadcast(&turn_cv);
		if (has_to_go) {
			/* prev stays: nobody else destroys meanwhile, or this
			 * would not be the place to go on from */
			working = prev;
			kmem_mutex_exit(&kmem_list_lock);
			kmem_cache_destroy(cp);
			kmem_mutex_enter(&kmem_list_lock);
		}
	}
	working = NULL;
	kmem_cv_broadcast(&turn_cv);
	kmem_mutex_exit(&kmem_list_lock);
}

void kmem_update_if_due(void)
{
	hrtime_t now;

	if (kmem_ready != 2)
		return;
	if (KM_UNLIKELY(KM_PEEK(nasked) < SLABS_UNTIMED)) {
		(void)__atomic_fetch_add(&nasked, 1, __ATOMIC_RELAXED);
		return;
	}
	now = kmem_now();
	if (now < __atomic_load_n(&next_round, __ATOMIC_RELAXED) ||
	    KM_PEEK(kmem_all_holder) || !claim())
		return;
	if (now >= next_round) {
		int is_first = next_round == 0;

		__atomic_store_n(&next_round,
				 now + (hrtime_t)kmem_options.reap_interval *
						 1000000000,
				 __ATOMIC_RELAXED);
		if (!is_first) {
			for_each_cache(update_cache);
			vmem_update();
		}
	}
	release();
}

void kmem_update_magazines(kmem_cache_t *cp, unsigned nrounds)
{
	if (KM_PEEK(kmem_all_holder) || !claim())
		return;
	kmem_magazine_fit(cp, nrounds);
	release();
}

/** Empties a cache's magazines, those in use too. */
static void empty_cache(kmem_cache_t *cp)
{
	kmem_magazine_purge(cp);
	reap_cache(cp);
	kmem_magazine_enable(cp);
}

/** What slabs were made of and is free now lies in caches of the arena under
 * them: gives its pages back, the addresses stay. */
static void trim_cache(kmem_cache_t *cp)
{
	if ((cp->cache_cflags & KMC_QCACHE) &&
	    cp->cache_arena == kmem_default_arena->vm_source)
		kmem_slab_trim(cp);
}

void kmem_reap_all(void)
{
	if (kmem_ready != 2 || KM_PEEK(kmem_all_holder) || !claim())
		return;
	for_each_cache(empty_cache);
	release();
}

/** Frees what the caches hold in reserve. */
void kmem_reap(void)
{
	if (kmem_ready != 2 || KM_PEEK(kmem_all_holder) || !claim())
		return;
	kmem_thread_reap();
	for_each_cache(reap_cache);
	for_each_cache(trim_cache);
	kmem_firewall_reap();
	vmem_heap_release();
	vmem_heap_trim();
	release();
}

/** Frees the identifiers that caches hold in reserve. */
void kmem_reap_idspace(void)
{
	if (kmem_ready != 2 || KM_PEEK(kmem_all_holder) || !claim())
		return;
	for_each_cache(reap_identifiers);
	release();
}

/** Frees what one cache holds in reserve; the cache must stay meanwhile. */
void kmem_cache_reap_now(kmem_cache_t *cp)
{
	int has_to_go;

	if (kmem_ready != 2 || KM_PEEK(kmem_all_holder))
		return;
	while (!claim()) { /* a round is going on */
		if (KM_PEEK(updater) == kmem_self() || is_held)
			return;
		kmem_nap((hrtime_t)1000000);
	}
	kmem_mutex_enter(&kmem_list_lock);
	working = cp;
	kmem_mutex_exit(&kmem_list_lock);
	reap_any(cp);
	kmem_mutex_enter(&kmem_list_lock);
	has_to_go = is_doomed;
	is_doomed = 0;
	working = NULL;
	kmem_cv_broadcast(&turn_cv);
	kmem_mutex_exit(&kmem_list_lock);
	if (has_to_go)
		kmem_cache_destroy(cp);
	release();
}
