/* SPDX-License-Identifier: MIT */
/*
 * The magazine layer: per-CPU stacks of constructed objects (Bonwick and
 * Adams, USENIX 2001).
 *
 *   CPU element:  loaded [oooo..]  previous [oooooo] or [......]
 *   depot:        full list, empty list
 *
 * Invariants
 *   I1  only the loaded magazine may be partly filled; the previous one, when
 *       there is one, is full or empty, so that after any exchange with the
 *       depot at least a magazine's worth of allocations or of frees goes
 *       without another
 *   I2  rounds are -1 exactly when the magazine is NULL
 *   I3  cc_magsize is the magazine size while the layer is open, 0 else; all
 *       magazines of a cache have its current size
 *   I4  what is in a magazine is constructed, and allocated as far as the slab
 *       layer knows
 *
 * The working set: the least number of magazines a depot list had during an
 * interval is what the cache did without, and is what a reap may free.
 *
 * An element is chosen by the CPU the caller runs on.  It may have moved by
 * the time it holds the lock, which costs sharing, not correctness.
 */
#define _GNU_SOURCE
#include "kmem_internal.h"

#include <limits.h>
#include <sched.h>
#include <sys/single_threaded.h>

kmem_magtype_t kmem_magtypes[KMEM_NMAGTYPES] = {
	{1, 8, 3200, 65536, NULL}, {3, 16, 256, 32768, NULL},
	{7, 32, 64, 16384, NULL},  {15, 64, 0, 8192, NULL},
	{31, 64, 0, 4096, NULL},   {47, 64, 0, 2048, NULL},
	{63, 64, 0, 1024, NULL},   {95, 64, 0, 512, NULL},
	{143, 64, 0, 0, NULL},
};

unsigned kmem_cpu_index(void)
{
	if (__libc_single_threaded) /* nobody to share with */
		return 0;
	return (unsigned)sched_getcpu() & (kmem_max_ncpus - 1);
}

kmem_cpu_cache_t *kmem_cpu_cache(kmem_cache_t *cp)
{
	return &cp->cache_cpu[kmem_cpu_index()];
}

static void depot_enter(kmem_cache_t *cp)
{
	if (KM_LIKELY(kmem_mutex_tryenter(&cp->cache_depot_lock)))
		return;
	kmem_mutex_enter(&cp->cache_depot_lock);
	KM_ADD(cp->cache_depot_contention, 1);
}

kmem_magazine_t *kmem_depot_alloc(kmem_cache_t *cp, kmem_maglist_t *mlp)
{
	kmem_magazine_t *mp;

	/* a stale look costs one magazine's worth of slab work, no more */
	if (!KM_PEEK(mlp->ml_list))
		return NULL;
	depot_enter(cp);
	mp = mlp->ml_list;
	if (mp) {
		KM_POKE(mlp->ml_list, mp->mag_next);
		KM_ADD(mlp->ml_total, -1);
		if (mlp->ml_total < mlp->ml_min)
			mlp->ml_min = mlp->ml_total;
		mlp->ml_alloc++;
	}
	kmem_mutex_exit(&cp->cache_depot_lock);
	return mp;
}

void kmem_depot_free(kmem_cache_t *cp, kmem_maglist_t *mlp, kmem_magazine_t *mp)
{
	depot_enter(cp);
	mp->mag_next = mlp->ml_list;
	KM_POKE(mlp->ml_list, mp);
	KM_ADD(mlp->ml_total, 1);
	kmem_mutex_exit(&cp->cache_depot_lock);
}

void kmem_cpu_reload(kmem_cpu_cache_t *ccp, kmem_magazine_t *mp, int rounds)
{
	ccp->cc_ploaded = ccp->cc_loaded;
	ccp->cc_prounds = ccp->cc_rounds;
	ccp->cc_loaded = mp;
	ccp->cc_rounds = rounds;
}

int kmem_cpu_refill(kmem_cache_t *cp, kmem_cpu_cache_t *ccp)
{
	kmem_magazine_t *mp;

	if (ccp->cc_rounds > 0)
		return 1;
	if (ccp->cc_prounds > 0) {
		kmem_cpu_reload(ccp, ccp->cc_ploaded, ccp->cc_prounds);
		return 1;
	}
	if (ccp->cc_magsize == 0)
		return 0;
	mp = kmem_depot_alloc(cp, &cp->cache_full);
	if (!mp)
		return 0;
	if (ccp->cc_ploaded)
		kmem_depot_free(cp, &cp->cache_empty, ccp->cc_ploaded);
	kmem_cpu_reload(ccp, mp, ccp->cc_magsize);
	return 1;
}

int kmem_cpu_make_room(kmem_cache_t *cp, kmem_cpu_cache_t *ccp)
{
	for (;;) {
		kmem_magtype_t *mtp;
		kmem_magazine_t *mp;

		if ((uint32_t)ccp->cc_rounds < (uint32_t)ccp->cc_magsize)
			return 1;
		if (ccp->cc_prounds == 0) {
			kmem_cpu_reload(ccp, ccp->cc_ploaded, ccp->cc_prounds);
			continue;
		}
		if (ccp->cc_magsize == 0)
			return 0;
		mp = kmem_depot_alloc(cp, &cp->cache_empty);
		if (mp) {
			if (ccp->cc_ploaded)
				kmem_depot_free(cp, &cp->cache_full,
						ccp->cc_ploaded);
			kmem_cpu_reload(ccp, mp, 0);
			continue;
		}
		/* a new magazine; the lock is dropped, so all may change */
		mtp = cp->cache_magtype;
		kmem_mutex_exit(&ccp->cc_lock);
		mp = kmem_cache_alloc(mtp->mt_cache, KM_NOSLEEP);
		kmem_mutex_enter(&ccp->cc_lock);
		if (!mp)
			return 0;
		if ((uint32_t)ccp->cc_magsize == mtp->mt_magsize) {
			kmem_depot_free(cp, &cp->cache_empty, mp);
			continue;
		}
		kmem_mutex_exit(&ccp->cc_lock);
		kmem_cache_free(mtp->mt_cache, mp);
		kmem_mutex_enter(&ccp->cc_lock);
	}
}

/** Frees a magazine and what is in it.  From its removal on the caller is inside
 * the gate: its rounds are in no list an image would show them in. */
static void magazine_destroy(kmem_cache_t *cp, kmem_magazine_t *mp, int nrounds)
{
	for (int i = 0; i < nrounds; i++) {
		void *buf = mp->mag_round[i];

		if (kmem_object_undo(cp, buf) == 0)
			kmem_slab_free(cp, buf, KMEM_KIND_NONE);
	}
	kmem_cache_free(cp->cache_magtype->mt_cache, mp);
}

void kmem_magazine_enable(kmem_cache_t *cp)
{
	if (cp->cache_flags & KMF_NOMAGAZINE)
		return;
	for (uint32_t i = 0; i < kmem_max_ncpus; i++) {
		kmem_cpu_cache_t *ccp = &cp->cache_cpu[i];

		kmem_mutex_enter(&ccp->cc_lock);
		ccp->cc_magsize = (int32_t)cp->cache_magtype->mt_magsize;
		kmem_mutex_exit(&ccp->cc_lock);
	}
}

void kmem_magazine_purge(kmem_cache_t *cp)
{
	for (uint32_t i = 0; i < kmem_max_ncpus; i++) {
		kmem_cpu_cache_t *ccp = &cp->cache_cpu[i];
		kmem_magazine_t *mp, *pmp;
		int rounds, prounds;

		kmem_gate_enter();
		kmem_mutex_enter(&ccp->cc_lock);
		mp = ccp->cc_loaded;
		pmp = ccp->cc_ploaded;
		rounds = ccp->cc_rounds;
		prounds = ccp->cc_prounds;
		ccp->cc_loaded = ccp->cc_ploaded = NULL;
		ccp->cc_rounds = ccp->cc_prounds = -1;
		ccp->cc_magsize = 0;
		kmem_mutex_exit(&ccp->cc_lock);
		if (mp)
			magazine_destroy(cp, mp, rounds);
		if (pmp)
			magazine_destroy(cp, pmp, prounds);
		kmem_gate_exit();
	}
	kmem_depot_ws_zero(cp);
	kmem_depot_ws_reap(cp);
}

/** Starts an interval of a list; so many of it may be reaped. */
static void list_ws_begin(kmem_maglist_t *mlp, int64_t reaplimit)
{
	mlp->ml_reaplimit = reaplimit;
	mlp->ml_min = mlp->ml_total;
}

void kmem_depot_ws_update(kmem_cache_t *cp)
{
	kmem_mutex_enter(&cp->cache_depot_lock);
	list_ws_begin(&cp->cache_full, cp->cache_full.ml_min);
	list_ws_begin(&cp->cache_empty, cp->cache_empty.ml_min);
	kmem_mutex_exit(&cp->cache_depot_lock);
}

void kmem_depot_ws_zero(kmem_cache_t *cp)
{
	kmem_mutex_enter(&cp->cache_depot_lock);
	list_ws_begin(&cp->cache_full, cp->cache_full.ml_total);
	list_ws_begin(&cp->cache_empty, cp->cache_empty.ml_total);
	kmem_mutex_exit(&cp->cache_depot_lock);
}

static void list_reap(kmem_cache_t *cp, kmem_maglist_t *mlp, int nrounds)
{
	kmem_magazine_t *mp;
	int64_t n;

	kmem_mutex_enter(&cp->cache_depot_lock);
	n = mlp->ml_reaplimit < mlp->ml_min ? mlp->ml_reaplimit : mlp->ml_min;
	kmem_mutex_exit(&cp->cache_depot_lock);
	do {
		kmem_gate_enter();
		mp = n-- > 0 ? kmem_depot_alloc(cp, mlp) : NULL;
		if (mp)
			magazine_destroy(cp, mp, nrounds);
		kmem_gate_exit();
	} while (mp);
}

void kmem_depot_ws_reap(kmem_cache_t *cp)
{
	list_reap(cp, &cp->cache_full, (int)cp->cache_magtype->mt_magsize);
	list_reap(cp, &cp->cache_empty, 0);
}

/** Goes to a larger magazine; the caller is the updater. */
static void go_to(kmem_cache_t *cp, kmem_magtype_t *mtp)
{
	kmem_magazine_purge(cp);
	kmem_mutex_enter(&cp->cache_depot_lock);
	KM_POKE(cp->cache_magtype, mtp);
	/* the purge itself is no reason to grow again */
	cp->cache_depot_contention_prev = cp->cache_depot_contention + INT_MAX;
	kmem_mutex_exit(&cp->cache_depot_lock);
	kmem_magazine_enable(cp);
}

void kmem_magazine_resize(kmem_cache_t *cp)
{
	uint64_t now = KM_PEEK(cp->cache_depot_contention);
	uint64_t contention = now - cp->cache_depot_contention_prev;
	int is_worth =
		cp->cache_chunksize < cp->cache_magtype->mt_maxbuf &&
		(int64_t)contention > (int64_t)kmem_options.max_contention;

	cp->cache_depot_contention_prev = now;
	if (is_worth && !(cp->cache_flags & KMF_NOMAGAZINE))
		go_to(cp, cp->cache_magtype + 1);
}

void kmem_magazine_fit(kmem_cache_t *cp, unsigned nrounds)
{
	kmem_magtype_t *mtp = cp->cache_magtype;

	while (mtp->mt_magsize < nrounds &&
	       cp->cache_chunksize < mtp->mt_maxbuf)
		mtp++;
	if (mtp != cp->cache_magtype)
		go_to(cp, mtp);
}
