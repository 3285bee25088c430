/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The whole state of the allocator against itself.
 *
 * Beyond the invariants of tests/unit/kmem/check.h: a buffer is in one place
 * only.  Those which the slab layer gave out are collected from wherever they
 * may wait (magazines in use, the depot, the bins of threads); what is left is
 * live.  A place that is forgotten here, or by the debugger, shows as a leak
 * that is none.
 */
#include "../unit/kmem/check.h"

#include "kmem_thread.h"
#include "verify.h"

/* buffers that wait above the slab layer */
struct waiting {
	void **buf;
	size_t n, room;
};

static void add(struct waiting *w, void *buf)
{
	if (w->n == w->room) {
		w->room = w->room ? 2 * w->room : 256;
		w->buf = realloc(w->buf, w->room * sizeof(*w->buf));
		if (!w->buf)
			abort();
	}
	w->buf[w->n++] = buf;
}

static int by_address(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

static void add_magazine(struct waiting *w, const kmem_magazine_t *mp,
			 int32_t rounds)
{
	for (int32_t i = 0; i < rounds; i++)
		add(w, mp->mag_round[i]);
}

/** Collects what waits, sorted; returns how much is wrong. */
static int collect(kmem_cache_t *cp, struct waiting *w)
{
	int32_t magsize = (int32_t)cp->cache_magtype->mt_magsize;
	int64_t nfull = 0, nempty = 0;
	int nbroken = 0;

	for (uint32_t i = 0; i < kmem_max_ncpus; i++) {
		kmem_cpu_cache_t *ccp = &cp->cache_cpu[i];

		add_magazine(w, ccp->cc_loaded, ccp->cc_rounds);
		add_magazine(w, ccp->cc_ploaded, ccp->cc_prounds);
	}
	for (kmem_magazine_t *mp = cp->cache_full.ml_list; mp;
	     mp = mp->mag_next, nfull++)
		add_magazine(w, mp, magsize);
	for (kmem_magazine_t *mp = cp->cache_empty.ml_list; mp;
	     mp = mp->mag_next)
		nempty++;
	if (nfull != cp->cache_full.ml_total ||
	    nempty != cp->cache_empty.ml_total ||
	    cp->cache_full.ml_min > nfull || cp->cache_empty.ml_min > nempty)
		BROKEN("%s: depot of %ld and %ld", cp->cache_name, nfull,
		       nempty);
	for (kmem_thread_t *th = kmem_threads; th && cp->cache_class;
	     th = th->th_next) {
		kmem_thread_bin_t *bin = &th->th_bin[cp->cache_class - 1];

		for (unsigned i = 0; i < bin->tb_rounds; i++)
			add(w, th->th_round[bin->tb_first + i]);
	}
	if (w->n)
		qsort(w->buf, w->n, sizeof(*w->buf), by_address);
	for (size_t i = 0; i < w->n; i++) {
		if (i > 0 && w->buf[i] == w->buf[i - 1])
			BROKEN("%s: %p waits twice", cp->cache_name, w->buf[i]);
		if (!kmem_slab_of(cp, w->buf[i]))
			BROKEN("%s: %p waits and is in no slab", cp->cache_name,
			       w->buf[i]);
	}
	return nbroken;
}

static int is_waiting(const struct waiting *w, void *buf)
{
	return w->n && bsearch(&buf, w->buf, w->n, sizeof(buf), by_address);
}

static void visit_slab(kmem_cache_t *cp, kmem_slab_t *sp,
		       const struct waiting *w, verify_fn *live,
		       verify_fn *free_fn, void *arg)
{
	char *is_free = calloc(sp->slab_chunks, 1);

	for (kmem_bufctl_t *bcp = sp->slab_head; bcp; bcp = bcp->bc_next) {
		char *buf = cp->cache_flags & KMF_HASH
				    ? bcp->bc_addr
				    : (char *)bcp - cp->cache_bufctl;

		is_free[(size_t)(buf - (char *)sp->slab_base) /
			cp->cache_chunksize] = 1;
	}
	for (uint32_t i = 0; i < sp->slab_chunks; i++) {
		void *buf = (char *)sp->slab_base + i * cp->cache_chunksize;
		verify_fn *func =
			is_free[i] || is_waiting(w, buf) ? free_fn : live;

		if (func)
			func(buf, arg);
	}
	free(is_free);
}

void verify_buffers(kmem_cache_t *cp, verify_fn *live, verify_fn *free_fn,
		    void *arg)
{
	struct waiting w = {NULL, 0, 0};

	(void)collect(cp, &w);
	for (kmem_slab_t *sp = cp->cache_complete_slabs; sp; sp = sp->slab_next)
		visit_slab(cp, sp, &w, live, free_fn, arg);
	for (kmem_slab_t *sp = cp->cache_partial_slabs; sp; sp = sp->slab_next)
		visit_slab(cp, sp, &w, live, free_fn, arg);
	free(w.buf);
}

int verify_is_metadata(const kmem_cache_t *cp)
{
	return cp->cache_arena == kmem_msb_arena ||
	       (cp->cache_cflags & KMC_QCACHE);
}

/* one cache's buffers, looked at one by one */
struct look {
	kmem_cache_t *cp;
	uint64_t nlive, nfree;
	int nbroken;
};

/** Does a buffer's tag, if it has one, say so too? */
static int tag_says(struct look *l, void *buf, uint32_t state)
{
	kmem_cache_t *cp = l->cp;
	kmem_buftag_t *btp = kmem_buftag_of(cp, buf);

	if (!(cp->cache_flags & KMF_BUFTAG))
		return 1;
	return btp->bt_bxstat == ((intptr_t)btp->bt_bufctl ^ (intptr_t)state);
}

static void look_live(void *buf, void *arg)
{
	struct look *l = arg;
	int nbroken = 0;

	l->nlive++;
	if (!tag_says(l, buf, KMEM_BUFTAG_ALLOC))
		BROKEN("%s: %p is live, its tag says no", l->cp->cache_name,
		       buf);
	l->nbroken += nbroken;
}

static void look_free(void *buf, void *arg)
{
	struct look *l = arg;
	kmem_cache_t *cp = l->cp;
	int nbroken = 0;

	l->nfree++;
	if (!tag_says(l, buf, KMEM_BUFTAG_FREE))
		BROKEN("%s: %p is free, its tag says no", cp->cache_name, buf);
	if ((cp->cache_flags & KMF_DEADBEEF) &&
	    kmem_pattern_verify(KMEM_FREE_PATTERN, buf, cp->cache_verify))
		BROKEN("%s: %p is free and was written to", cp->cache_name,
		       buf);
	l->nbroken += nbroken;
}

/** The order of partial slabs of a cache with a move callback (M4), and that no
 * pass is going on. */
static int check_order(kmem_cache_t *cp)
{
	kmem_defrag_t *kmd = cp->cache_defrag;
	kmem_slab_t *sp, *last = NULL;
	uint64_t npending = 0;
	int nbroken = 0;

	if (!kmd)
		return 0;
	for (sp = cp->cache_partial_slabs; sp; last = sp, sp = sp->slab_next) {
		unsigned bin = sp->slab_bin;
		int is_first = !last || last->slab_bin != bin;

		npending += sp->slab_pending;
		if (sp->slab_prev != last || (last && last->slab_bin > bin) ||
		    (is_first && kmd->kmd_first[bin] != sp) ||
		    !(kmd->kmd_binmap[bin / 64] >> bin % 64 & 1))
			BROKEN("%s: order of slabs", cp->cache_name);
	}
	if (kmd->kmd_last != last || npending != kmd->kmd_npending)
		BROKEN("%s: last slab, or %lu pending", cp->cache_name,
		       npending);
	if (kmd->kmd_is_moving || kmd->kmd_deadlist || kmd->kmd_thread)
		BROKEN("%s: a pass did not end", cp->cache_name);
	return nbroken;
}

static int check_buffers(kmem_cache_t *cp)
{
	struct look l = {.cp = cp};
	struct waiting w = {NULL, 0, 0};
	int nbroken = collect(cp, &w);

	free(w.buf);
	verify_buffers(cp, look_live, look_free, &l);
	nbroken += l.nbroken;
	if (l.nlive + l.nfree != cp->cache_buftotal ||
	    l.nlive != kmem_cache_stat(cp, "buf_inuse") ||
	    l.nfree != kmem_cache_stat(cp, "buf_avail") ||
	    kmem_cache_stat(cp, "alloc") - kmem_cache_stat(cp, "free") !=
		    l.nlive ||
	    cp->cache_bufmax < cp->cache_buftotal)
		BROKEN("%s: %lu live and %lu free, statistics say %lu and %lu",
		       cp->cache_name, l.nlive, l.nfree,
		       kmem_cache_stat(cp, "buf_inuse"),
		       kmem_cache_stat(cp, "buf_avail"));
	return nbroken;
}

/* what all caches and arenas together have of metadata */
struct metadata {
	uint64_t nslabs, nbufctls, naudited; /* of hashed caches */
	size_t bufctl_bytes; /* of those whose slabs have them beside */
	uint64_t nmagazines[KMEM_NMAGTYPES];
	size_t default_bytes, hash_bytes, cache_bytes;
};

static void add_cache(struct metadata *m, const kmem_cache_t *cp)
{
	uint64_t nslabs = cp->cache_slab_create - cp->cache_slab_destroy;
	uint64_t *nmagazines =
		&m->nmagazines[cp->cache_magtype - kmem_magtypes];

	if (cp->cache_arena == kmem_default_arena)
		m->default_bytes += nslabs * cp->cache_slabsize;
	m->cache_bytes += sizeof(*cp) +
			  kmem_max_ncpus * sizeof(*cp->cache_cpu) +
			  (cp->cache_defrag ? sizeof(*cp->cache_defrag) : 0);
	*nmagazines +=
		(uint64_t)(cp->cache_full.ml_total + cp->cache_empty.ml_total);
	for (uint32_t i = 0; i < kmem_max_ncpus; i++)
		*nmagazines += (cp->cache_cpu[i].cc_loaded != NULL) +
			       (cp->cache_cpu[i].cc_ploaded != NULL);
	if (!(cp->cache_flags & KMF_HASH))
		return;
	m->hash_bytes +=
		(cp->cache_hash_mask + 1) * sizeof(*cp->cache_hash_table);
	if ((cp->cache_flags & KMF_AUDIT) && (cp->cache_flags & KMF_BUFTAG)) {
		m->bufctl_bytes += nslabs * KMEM_SLAB_HEAD +
				   cp->cache_buftotal * kmem_bufctl_audit_size;
		return;
	}
	m->nslabs += nslabs;
	if (cp->cache_bufctl_cache == kmem_bufctl_cache)
		m->nbufctls += cp->cache_buftotal;
	else
		m->naudited += cp->cache_buftotal;
}

static int differs(const char *what, uint64_t is, uint64_t used)
{
	int nbroken = 0;

	if (is != used)
		BROKEN("%s: %lu are allocated, %lu are used", what, is, used);
	return nbroken;
}

int verify_metadata(void)
{
	struct metadata m = {0};
	size_t vmem_hash_bytes = 0, vmem_bytes = 0;
	int nbroken = 0;

	for (kmem_cache_t *cp = kmem_null_cache.cache_next;
	     cp != &kmem_null_cache; cp = cp->cache_next)
		add_cache(&m, cp);
	for (vmem_t *vmp = vmem_list; vmp; vmp = vmp->vm_next) {
		vmem_bytes += sizeof(*vmp);
		if (vmp->vm_hash_table != vmp->vm_hash0)
			vmem_hash_bytes += (vmp->vm_hash_mask + 1) *
					   sizeof(*vmp->vm_hash_table);
	}
	nbroken +=
		differs("slabs", kmem_cache_stat(kmem_slab_cache, "buf_inuse"),
			m.nslabs);
	nbroken += differs("bufctls",
			   kmem_cache_stat(kmem_bufctl_cache, "buf_inuse"),
			   m.nbufctls);
	nbroken +=
		differs("audited bufctls",
			kmem_cache_stat(kmem_bufctl_audit_cache, "buf_inuse"),
			m.naudited);
	for (int i = 0; i < KMEM_NMAGTYPES; i++)
		nbroken += differs(
			kmem_magtypes[i].mt_cache->cache_name,
			kmem_cache_stat(kmem_magtypes[i].mt_cache, "buf_inuse"),
			m.nmagazines[i]);
	nbroken += differs("memory of slabs",
			   vmem_size(kmem_default_arena, VMEM_ALLOC),
			   m.default_bytes);
	nbroken += differs("slabs with bufctls",
			   vmem_size(kmem_bufctl_arena, VMEM_ALLOC),
			   m.bufctl_bytes);
	nbroken +=
		differs("hash tables", vmem_size(kmem_hash_arena, VMEM_ALLOC),
			m.hash_bytes);
	nbroken += differs("caches", vmem_size(kmem_cache_arena, VMEM_ALLOC),
			   m.cache_bytes);
	nbroken += differs("hash tables of arenas",
			   vmem_size(vmem_hash_arena, VMEM_ALLOC),
			   vmem_hash_bytes);
	nbroken += differs("arenas", vmem_size(vmem_vmem_arena, VMEM_ALLOC),
			   vmem_bytes);
	return nbroken;
}

int verify_all(void)
{
	int nbroken = check_all();

	for (kmem_cache_t *cp = kmem_null_cache.cache_next;
	     cp != &kmem_null_cache; cp = cp->cache_next)
		nbroken += check_order(cp) + check_buffers(cp);
	if (kmem_waiters)
		BROKEN("somebody waits for memory");
	for (vmem_t *vmp = vmem_list; vmp; vmp = vmp->vm_next)
		if (vmp->vm_waiters)
			BROKEN("%s: somebody waits", vmp->vm_name);
	for (kmem_thread_t *th = kmem_threads; th; th = th->th_next)
		if (th->th_busy || th->th_inside)
			BROKEN("a thread never left");
	return nbroken;
}
