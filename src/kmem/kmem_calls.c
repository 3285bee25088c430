/* SPDX-License-Identifier: MIT */
/*
 * Calls of kmem that are made of others: kmem_alloc_tryhard(), kmem_rezalloc(),
 * and a cache's statistics by name.
 */
#include "kmem_thread.h"

#include <string.h>

/* ---- sizes ---- */

void *kmem_alloc_tryhard(size_t size, size_t *ret_size, int kmflag)
{
	size_t least = (size + 7) & ~(size_t)7;
	int flags = kmflag & ~(KM_SLEEP | KM_PANIC);
	void *buf;

	for (size_t n = least; n >= size && (n == least || n <= KMEM_PAGE);
	     n += 8) {
		buf = kmem_alloc(n, flags | KM_NOSLEEP | KM_NORMALPRI);
		if (buf || size == 0) {
			*ret_size = n;
			return buf;
		}
	}
	*ret_size = least;
	return least < size ? NULL : kmem_alloc(least, kmflag);
}

void *kmem_rezalloc(void *buf, size_t old_size, size_t new_size, int kmflag)
{
	void *p = kmem_zalloc(new_size, kmflag);

	if (!p && new_size > 0)
		return NULL;
	if (p && old_size > 0)
		memcpy(p, buf, old_size < new_size ? old_size : new_size);
	kmem_free(buf, old_size);
	return p;
}

/* ---- statistics ---- */

/* what is added up of a cache */
struct totals {
	uint64_t nalloc; /* from magazines and bins */
	uint64_t navail; /* objects in these */
};

/** Adds up what the magazines and bins of a cache have; cache_depot_lock is
 * held.  Bins are their threads': they may change meanwhile. */
static void add_up(const kmem_cache_t *cp, struct totals *t)
{
	int64_t magsize = cp->cache_magtype->mt_magsize;

	memset(t, 0, sizeof(*t));
	for (uint32_t i = 0; i < kmem_max_ncpus; i++) {
		const kmem_cpu_cache_t *ccp = &cp->cache_cpu[i];

		t->nalloc += ccp->cc_alloc;
		t->navail += ccp->cc_rounds > 0 ? (uint64_t)ccp->cc_rounds : 0;
		t->navail +=
			ccp->cc_prounds > 0 ? (uint64_t)ccp->cc_prounds : 0;
	}
	t->navail += (uint64_t)(cp->cache_full.ml_total * magsize);
	if (!cp->cache_class)
		return;
	for (kmem_thread_t *th =
		     __atomic_load_n(&kmem_threads, __ATOMIC_ACQUIRE);
	     th; th = th->th_next) {
		uint64_t word = KM_PEEK(
			*kmem_bin_word(&th->th_bin[cp->cache_class - 1]));

		t->nalloc += word / (KMEM_BIN_ROUNDS + 1);
		t->navail += word & KMEM_BIN_ROUNDS;
	}
}

/** Buffers that would go back if moves and a reap went as well as they can. */
static uint64_t reclaimable(const kmem_cache_t *cp, uint32_t magsize)
{
	const kmem_maglist_t *full = &cp->cache_full;
	long nmags = full->ml_min < full->ml_reaplimit ? full->ml_min
						       : full->ml_reaplimit;
	uint64_t n = (uint64_t)nmags * magsize;

	if (!cp->cache_defrag)
		return 0;
	if (cp->cache_bufslab >= cp->cache_maxchunks)
		n += cp->cache_bufslab - cp->cache_maxchunks + 1;
	return n;
}

static uint64_t locked_stat(kmem_cache_t *cp, const char *name)
{
	const kmem_defrag_t none = {.kmd_callbacks = 0};
	const kmem_defrag_t *kmd = cp->cache_defrag ? cp->cache_defrag : &none;
	uint32_t magsize = cp->cache_flags & KMF_NOMAGAZINE
				   ? 0
				   : cp->cache_magtype->mt_magsize;
	uint64_t nalloc, ninuse;
	struct totals t;

	add_up(cp, &t);
	nalloc = cp->cache_slab_alloc - cp->cache_bin_fill + t.nalloc;
	ninuse = cp->cache_buftotal - cp->cache_bufslab - t.navail;

	const struct {
		const char *name;
		uint64_t value;
	} stat[] = {
		{"buf_size", cp->cache_bufsize},
		{"align", cp->cache_align},
		{"chunk_size", cp->cache_chunksize},
		{"slab_size", cp->cache_slabsize},
		{"alloc", nalloc},
		{"alloc_fail", cp->cache_alloc_fail},
		{"free", nalloc - ninuse},
		{"depot_alloc", cp->cache_full.ml_alloc},
		{"depot_free", cp->cache_empty.ml_alloc},
		{"depot_contention", cp->cache_depot_contention},
		{"slab_alloc", cp->cache_slab_alloc},
		{"slab_free", cp->cache_slab_free},
		{"buf_constructed", t.navail},
		{"buf_avail", t.navail + cp->cache_bufslab},
		{"buf_inuse", ninuse},
		{"buf_total", cp->cache_buftotal},
		{"buf_max", cp->cache_bufmax},
		{"slab_create", cp->cache_slab_create},
		{"slab_destroy", cp->cache_slab_destroy},
		{"vmem_source", cp->cache_arena->vm_id},
		{"hash_size",
		 cp->cache_flags & KMF_HASH ? cp->cache_hash_mask + 1 : 0},
		{"hash_lookup_depth", cp->cache_lookup_depth},
		{"hash_rescale", cp->cache_rescale},
		{"full_magazines", (uint64_t)cp->cache_full.ml_total},
		{"empty_magazines", (uint64_t)cp->cache_empty.ml_total},
		{"magazine_size", magsize},
		{"reap", KM_PEEK(cp->cache_reap)},
		{"defrag", KM_PEEK(kmd->kmd_defrags)},
		{"scan", KM_PEEK(kmd->kmd_scans)},
		{"move_callbacks", KM_PEEK(kmd->kmd_callbacks)},
		{"move_yes", KM_PEEK(kmd->kmd_yes)},
		{"move_no", KM_PEEK(kmd->kmd_no)},
		{"move_later", KM_PEEK(kmd->kmd_later)},
		{"move_dont_need", KM_PEEK(kmd->kmd_dont_need)},
		{"move_dont_know", KM_PEEK(kmd->kmd_dont_know)},
		{"move_hunt_found", 0}, /* who says DONT_KNOW is believed:
					 * magazines are not hunted through */
		{"move_slabs_freed", KM_PEEK(kmd->kmd_slabs_freed)},
		{"move_reclaimable", reclaimable(cp, magsize)},
	};

	for (size_t i = 0; i < sizeof(stat) / sizeof(*stat); i++)
		if (strcmp(stat[i].name, name) == 0)
			return stat[i].value;
	return UINT64_MAX;
}

uint64_t kmem_cache_stat(kmem_cache_t *cp, const char *name)
{
	uint64_t value;

	kmem_mutex_enter(&cp->cache_lock);
	for (uint32_t i = 0; i < kmem_max_ncpus; i++)
		kmem_mutex_enter(&cp->cache_cpu[i].cc_lock);
	kmem_mutex_enter(&cp->cache_depot_lock);
	value = locked_stat(cp, name);
	kmem_mutex_exit(&cp->cache_depot_lock);
	for (uint32_t i = kmem_max_ncpus; i > 0; i--)
		kmem_mutex_exit(&cp->cache_cpu[i - 1].cc_lock);
	kmem_mutex_exit(&cp->cache_lock);
	return value;
}
