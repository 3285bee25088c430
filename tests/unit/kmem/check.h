/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the tests of libkmem's inside share: the invariants of an arena and of
 * a cache as functions that say how many were broken.
 */
#ifndef UNIT_KMEM_CHECK_H
#define UNIT_KMEM_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kmem_internal.h"

#define BROKEN(...)                                        \
	do {                                               \
		fprintf(stderr, "# broken: " __VA_ARGS__); \
		fprintf(stderr, "\n");                     \
		nbroken++;                                 \
	} while (0)

static inline int floor_log2(uint64_t x)
{
	return 63 - __builtin_clzl(x);
}

/* The segments of one arena, in order: contiguous, no free neighbours, filed
 * where they belong, and adding up to the statistics. */
static inline int check_arena(vmem_t *vmp)
{
	uint64_t inuse = 0, total = 0, import = 0, nalloc = 0, nhash = 0;
	uintptr_t at = 0, span_end = 0;
	int nbroken = 0, was_free = 0;
	uint64_t freemap = 0;
	vmem_seg_t *vsp;

	for (vsp = vmp->vm_seg0.vs_anext; vsp != &vmp->vm_seg0;
	     vsp = vsp->vs_anext) {
		uintptr_t end = vsp->vs_end;

		if (vsp->vs_anext->vs_aprev != vsp)
			BROKEN("%s: arena list", vmp->vm_name);
		if (vsp->vs_type == VMEM_ROTOR || vsp->vs_type == VMEM_WALKER) {
			was_free = 0;
			continue;
		}
		if (vsp->vs_type == VMEM_SPAN) {
			if (at != span_end)
				BROKEN("%s: span not covered", vmp->vm_name);
			at = vsp->vs_start;
			span_end = vsp->vs_end;
			total += span_end - at;
			if (vsp->vs_import)
				import += span_end - at;
			was_free = 0;
			continue;
		}
		if (vsp->vs_start != at)
			BROKEN("%s: gap at %lx", vmp->vm_name, at);
		if (vsp->vs_type == VMEM_FREE) {
			int list = floor_log2(end - vsp->vs_start);
			vmem_seg_t *f = vmp->vm_freelist[list].vs_knext;

			if (was_free)
				BROKEN("%s: two free neighbours", vmp->vm_name);
			while (f && f->vs_start != 0 && f != vsp)
				f = f->vs_knext;
			if (f != vsp)
				BROKEN("%s: not on its list", vmp->vm_name);
			freemap |= 1UL << list;
			was_free = 1;
		} else {
			vmem_seg_t *h = *vmem_hash_bucket(vmp, vsp->vs_start);

			while (h && h != vsp)
				h = h->vs_knext;
			if (!h || vsp->vs_type != VMEM_ALLOC)
				BROKEN("%s: not in the hash", vmp->vm_name);
			inuse += end - vsp->vs_start;
			nalloc++;
			end = (end + vmp->vm_quantum - 1) & -vmp->vm_quantum;
			was_free = 0;
		}
		at = end;
	}
	if (at != span_end)
		BROKEN("%s: last span not covered", vmp->vm_name);
	for (size_t i = 0; i <= vmp->vm_hash_mask; i++)
		for (vsp = vmp->vm_hash_table[i]; vsp; vsp = vsp->vs_knext)
			nhash++;
	if (freemap != vmp->vm_freemap)
		BROKEN("%s: freemap %lx, lists %lx", vmp->vm_name,
		       vmp->vm_freemap, freemap);
	if (nhash != nalloc ||
	    nalloc != vmp->vm_kstat.vk_alloc - vmp->vm_kstat.vk_free)
		BROKEN("%s: %lu allocated, %lu in hash", vmp->vm_name, nalloc,
		       nhash);
	if (inuse != vmp->vm_kstat.vk_mem_inuse ||
	    total != vmp->vm_kstat.vk_mem_total ||
	    import != vmp->vm_kstat.vk_mem_import)
		BROKEN("%s: statistics", vmp->vm_name);
	return nbroken;
}

/* One slab: its free list has what refcnt says, on the chunk grid, once. */
static inline int check_slab(kmem_cache_t *cp, kmem_slab_t *sp)
{
	size_t color =
		(uintptr_t)sp->slab_base & (cp->cache_arena->vm_quantum - 1);
	unsigned char *seen = calloc(sp->slab_chunks, 1);
	uint32_t nfree = 0;
	int nbroken = 0;

	if (color < cp->cache_mincolor || color > cp->cache_maxcolor ||
	    color % cp->cache_align)
		BROKEN("%s: colour %lu", cp->cache_name, color);
	for (kmem_bufctl_t *bcp = sp->slab_head; bcp; bcp = bcp->bc_next) {
		char *buf = cp->cache_flags & KMF_HASH
				    ? bcp->bc_addr
				    : (char *)bcp - cp->cache_bufctl;
		size_t offset = (size_t)(buf - (char *)sp->slab_base);

		if (offset % cp->cache_chunksize ||
		    offset / cp->cache_chunksize >= sp->slab_chunks ||
		    seen[offset / cp->cache_chunksize]++) {
			BROKEN("%s: free list", cp->cache_name);
			break;
		}
		nfree++;
	}
	if (nfree != sp->slab_chunks - sp->slab_refcnt)
		BROKEN("%s: %u free, %u of %u out", cp->cache_name, nfree,
		       sp->slab_refcnt, sp->slab_chunks);
	free(seen);
	return nbroken;
}

/* What threads keep of a cache: buffers of it, each once, no more than they
 * may; only while no other thread uses its bins. */
static inline int check_bins(kmem_cache_t *cp)
{
	int nbroken = 0;

	for (kmem_thread_t *th = kmem_threads; th; th = th->th_next) {
		kmem_thread_bin_t *bin =
			&th->th_bin[cp->cache_class ? cp->cache_class - 1 : 0];

		if (!cp->cache_class || bin->tb_cache != cp)
			continue;
		if (bin->tb_rounds > bin->tb_limit ||
		    bin->tb_max > bin->tb_limit ||
		    bin->tb_first + bin->tb_limit > KMEM_NROUNDS)
			BROKEN("%s: bin of %u rounds", cp->cache_name,
			       (unsigned)bin->tb_rounds);
		for (unsigned i = 0; i < bin->tb_rounds; i++) {
			void **round = &th->th_round[bin->tb_first];
			void *base = NULL;

			if (kmem_addr_cache(round[i], NULL, &base) != cp ||
			    base != round[i])
				BROKEN("%s: round %u", cp->cache_name, i);
			for (unsigned k = 0; k < i; k++)
				if (round[k] == round[i])
					BROKEN("%s: round %u twice",
					       cp->cache_name, i);
		}
	}
	return nbroken;
}

/* Every slab, the hash, the magazines and the statistics of one cache. */
static inline int check_cache(kmem_cache_t *cp)
{
	uint64_t nslabs = 0, total = 0, out = 0, nhash = 0;
	int nbroken = 0;

	for (kmem_slab_t *sp = cp->cache_complete_slabs; sp;
	     sp = sp->slab_next) {
		if (sp->slab_refcnt != sp->slab_chunks)
			BROKEN("%s: complete slab is not", cp->cache_name);
		nbroken += check_slab(cp, sp);
		nslabs++;
		total += sp->slab_chunks;
		out += sp->slab_refcnt;
	}
	for (kmem_slab_t *sp = cp->cache_partial_slabs; sp;
	     sp = sp->slab_next) {
		if ((sp->slab_refcnt == 0) != sp->slab_walled ||
		    sp->slab_refcnt >= sp->slab_chunks ||
		    (sp->slab_walled && sp->slab_next &&
		     !sp->slab_next->slab_walled))
			BROKEN("%s: partial slab is not", cp->cache_name);
		nbroken += check_slab(cp, sp);
		nslabs++;
		total += sp->slab_chunks;
		out += sp->slab_refcnt;
	}
	if (nslabs != cp->cache_slab_create - cp->cache_slab_destroy ||
	    nslabs != cp->cache_complete_slab_count +
			      cp->cache_partial_slab_count)
		BROKEN("%s: number of slabs", cp->cache_name);
	if (total != cp->cache_buftotal || total - out != cp->cache_bufslab)
		BROKEN("%s: number of buffers", cp->cache_name);
	if (cp->cache_flags & KMF_HASH) {
		for (size_t i = 0; i <= cp->cache_hash_mask; i++)
			for (kmem_bufctl_t *b = cp->cache_hash_table[i]; b;
			     b = b->bc_next)
				nhash++;
		if (nhash != out)
			BROKEN("%s: %lu out, %lu in hash", cp->cache_name, out,
			       nhash);
	}
	for (uint32_t i = 0; i < kmem_max_ncpus; i++) {
		kmem_cpu_cache_t *ccp = &cp->cache_cpu[i];

		if ((ccp->cc_rounds == -1) != !ccp->cc_loaded ||
		    (ccp->cc_prounds == -1) != !ccp->cc_ploaded ||
		    ccp->cc_rounds > ccp->cc_magsize ||
		    (ccp->cc_ploaded && ccp->cc_prounds != 0 &&
		     ccp->cc_prounds != ccp->cc_magsize))
			BROKEN("%s: magazine rounds", cp->cache_name);
		if (ccp->cc_loaded &&
		    kmem_addr_cache(ccp->cc_loaded, NULL, NULL) !=
			    cp->cache_magtype->mt_cache)
			BROKEN("%s: magazine of no cache", cp->cache_name);
	}
	nbroken += check_bins(cp);
	return nbroken;
}

/* Everything there is, at rest: other threads may be at work. */
static inline int check_all(void)
{
	int nbroken = 0;

	(void)kmem_lock_all(-1); /* without a limit it succeeds */
	for (vmem_t *vmp = vmem_list; vmp; vmp = vmp->vm_next)
		nbroken += check_arena(vmp);
	for (kmem_cache_t *cp = kmem_null_cache.cache_next;
	     cp != &kmem_null_cache; cp = cp->cache_next)
		nbroken += check_cache(cp);
	kmem_unlock_all();
	return nbroken;
}

static inline kmem_cache_t *cache_named(const char *name)
{
	for (kmem_cache_t *cp = kmem_null_cache.cache_next;
	     cp != &kmem_null_cache; cp = cp->cache_next)
		if (strcmp(cp->cache_name, name) == 0)
			return cp;
	return NULL;
}

static inline unsigned next_random(unsigned *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 8;
}

#endif
