/* SPDX-License-Identifier: MIT */
/*
 * The slab layer: buffers carved from runs of pages (Bonwick, USENIX 1994).
 *
 * A slab is memory of the cache's arena cut into chunks of equal size.  Its
 * first buffer begins at an offset, the colour, that changes from slab to slab
 * so that equal members of objects do not all fall on the same cache lines.
 *
 *   raw:    | colour | buf | buf | ... | buf | unused | kmem_slab_t |
 *           one quantum; the free list runs through the free buffers
 *   hashed: | colour | buf | buf | ... | buf | unused |
 *           kmem_slab_t and one bufctl a buffer live elsewhere; the bufctls of
 *           allocated buffers hang in the cache's hash table, by address
 *   of one with tags and records, these are together, so that the record of a
 *   buffer can be fetched before its tag says where it is:
 *           | kmem_slab_t | pad | bufctl 0 | bufctl 1 | ... |
 *
 * Invariants, all under cache_lock
 *   I1  slab_refcnt counts what is outside this layer, in magazines too;
 *       the free list has slab_chunks - slab_refcnt members
 *   I2  a slab is on the complete list iff slab_refcnt == slab_chunks, else on
 *       the partial list; an empty slab is destroyed at once, or walled
 *       (kmem_firewall.c): behind all others of that list, and never used again
 *   I3  cache_buftotal is the sum of slab_chunks, cache_bufslab of the free
 *   I4  of a hashed cache, exactly the allocated buffers are in the hash
 *   I5  free lists are built in ascending order and used from the head, so the
 *       highest buffer goes first
 *
 * Partial slabs are used most recent first; those of a cache whose objects may
 * be moved, fullest first (kmem_move.c).  No lock is held while memory is asked
 * for or given back.
 */
#include "kmem_thread.h"

#include <string.h>

/** Do slabs of the cache have a guard page, and stay when they are freed? */
static inline int is_firewalled(const kmem_cache_t *cp)
{
	return KM_UNLIKELY((cp->cache_flags & KMF_FIREWALL) != 0);
}

/** Are the cache's slabs in the page map?  Those of memory are. */
static int is_mapped(const kmem_cache_t *cp)
{
	return !(cp->cache_cflags &
		 (KMC_QCACHE | KMC_NOTOUCH | KMC_IDENTIFIER)) &&
	       cp->cache_arena->vm_quantum >= KMEM_PAGE;
}

/** Is this an audited cache whose buffers have no tag to be audited by? */
static int audits_slabs(const kmem_cache_t *cp)
{
	return (cp->cache_flags & (KMF_AUDIT | KMF_BUFTAG)) == KMF_AUDIT;
}

/** Have slabs of the cache header and bufctls in one piece? */
static int has_array(const kmem_cache_t *cp)
{
	return (cp->cache_flags & (KMF_HASH | KMF_AUDIT)) ==
		       (KMF_HASH | KMF_AUDIT) &&
	       (cp->cache_flags & KMF_BUFTAG);
}

/** Bytes of that piece. */
static size_t array_bytes(size_t nchunks)
{
	return KMEM_SLAB_HEAD + nchunks * kmem_bufctl_audit_size;
}

/* ---- hash ---- */

static kmem_bufctl_t **hash_bucket(kmem_cache_t *cp, const void *buf)
{
	size_t i = (uintptr_t)buf >> cp->cache_hash_shift;

	return &cp->cache_hash_table[i & cp->cache_hash_mask];
}

kmem_bufctl_t *kmem_hash_find(kmem_cache_t *cp, const void *buf)
{
	kmem_bufctl_t *bcp = *hash_bucket(cp, buf);
	uint64_t left = cp->cache_buftotal;

	while (bcp && bcp->bc_addr != buf && left-- > 0)
		bcp = bcp->bc_next;
	return bcp && bcp->bc_addr == buf ? bcp : NULL;
}

/** Takes a buffer's bufctl out of the hash; NULL when it is not in it. */
static kmem_bufctl_t *hash_remove(kmem_cache_t *cp, const void *buf)
{
	kmem_bufctl_t **link = hash_bucket(cp, buf);
	kmem_bufctl_t *bcp;

	while ((bcp = *link) != NULL && bcp->bc_addr != buf) {
		cp->cache_lookup_depth++;
		link = &bcp->bc_next;
	}
	if (bcp)
		*link = bcp->bc_next;
	return bcp;
}

/** Gives a hashed cache a table for so many buffers. */
static void hash_rescale(kmem_cache_t *cp, size_t nbufs)
{
	size_t old_size = KM_PEEK(cp->cache_hash_mask) + 1;
	size_t new_size = kmem_hash_size(nbufs, KMEM_HASH_MIN, old_size);
	kmem_bufctl_t **old_table, **new_table;

	if (!(cp->cache_flags & KMF_HASH) || new_size == old_size)
		return;
	new_table = vmem_alloc(kmem_hash_arena, new_size * sizeof(*new_table),
			       VM_NOSLEEP);
	if (!new_table)
		return;
	memset(new_table, 0, new_size * sizeof(*new_table));

	kmem_mutex_enter(&cp->cache_lock);
	old_size = cp->cache_hash_mask + 1;
	old_table = cp->cache_hash_table;
	KM_POKE(cp->cache_hash_mask, new_size - 1);
	cp->cache_hash_table = new_table;
	cp->cache_rescale++;
	for (size_t i = 0; i < old_size; i++) {
		kmem_bufctl_t *bcp = old_table[i];

		while (bcp) {
			kmem_bufctl_t *next = bcp->bc_next;
			kmem_bufctl_t **bucket = hash_bucket(cp, bcp->bc_addr);

			bcp->bc_next = *bucket;
			*bucket = bcp;
			bcp = next;
		}
	}
	kmem_mutex_exit(&cp->cache_lock);
	vmem_free(kmem_hash_arena, old_table, old_size * sizeof(*old_table));
}

void kmem_hash_rescale(kmem_cache_t *cp)
{
	hash_rescale(cp, KM_PEEK(cp->cache_buftotal));
}

/* ---- lists of slabs ---- */

static void list_insert(kmem_slab_t **head, kmem_slab_t *sp)
{
	sp->slab_next = *head;
	sp->slab_prev = NULL;
	if (*head)
		(*head)->slab_prev = sp;
	*head = sp;
}

static void list_remove(kmem_slab_t **head, kmem_slab_t *sp)
{
	if (sp->slab_prev)
		sp->slab_prev->slab_next = sp->slab_next;
	else
		*head = sp->slab_next;
	if (sp->slab_next)
		sp->slab_next->slab_prev = sp->slab_prev;
}

static void partial_insert(kmem_cache_t *cp, kmem_slab_t *sp)
{
	if (KM_UNLIKELY(cp->cache_defrag != NULL))
		kmem_partial_insert(cp, sp);
	else
		list_insert(&cp->cache_partial_slabs, sp);
	cp->cache_partial_slab_count++;
}

static void partial_remove(kmem_cache_t *cp, kmem_slab_t *sp)
{
	if (KM_UNLIKELY(cp->cache_defrag != NULL))
		kmem_partial_remove(cp, sp);
	else
		list_remove(&cp->cache_partial_slabs, sp);
	cp->cache_partial_slab_count--;
}

/* ---- slab life cycle ---- */

/** Frees a slab's bufctls and header, then its memory. */
static void slab_release(kmem_cache_t *cp, kmem_slab_t *sp, void *memory)
{
	if (cp->cache_flags & KMF_FIREWALL)
		(void)kmem_pagemap_set(memory, cp->cache_slabsize,
				       KMEM_PAGE_FREED);
	else if (is_mapped(cp))
		kmem_pagemap_clear(memory, cp->cache_slabsize);
	if (has_array(cp)) {
		vmem_free(kmem_bufctl_arena, sp, array_bytes(sp->slab_chunks));
	} else if (cp->cache_flags & KMF_HASH) {
		kmem_bufctl_t *bcp = sp->slab_head;

		while (bcp) {
			kmem_bufctl_t *next = bcp->bc_next;

			kmem_cache_free(cp->cache_bufctl_cache, bcp);
			bcp = next;
		}
		kmem_cache_free(kmem_slab_cache, sp);
	}
	vmem_free(cp->cache_arena, memory, cp->cache_slabsize);
}

void kmem_slab_release(kmem_cache_t *cp, kmem_slab_t *sp)
{
	slab_release(cp, sp, kmem_slab_memory(sp));
}

/** The bufctl of buffer i of a new slab, or NULL for want of memory. */
static kmem_bufctl_t *bufctl_create(kmem_cache_t *cp, kmem_slab_t *sp,
				    uint32_t i, void *buf, int kmflag)
{
	kmem_bufctl_t *bcp;

	if (!(cp->cache_flags & KMF_HASH))
		return kmem_at(buf, cp->cache_bufctl);
	bcp = has_array(cp) ? kmem_slab_bufctl(sp, i)
			    : kmem_cache_alloc(cp->cache_bufctl_cache, kmflag);
	if (!bcp)
		return NULL;
	if (cp->cache_flags & KMF_AUDIT) {
		memset(bcp, 0, kmem_bufctl_audit_size);
		if (kmem_has_contents)
			((kmem_bufctl_audit_t *)bcp)->bc_cache = cp;
	}
	bcp->bc_addr = buf;
	bcp->bc_slab = sp;
	return bcp;
}

/** Puts every buffer of a new slab on its free list; -1: no memory. */
static int slab_fill(kmem_cache_t *cp, kmem_slab_t *sp, int kmflag)
{
	char *buf = sp->slab_base;

	for (uint32_t i = 0; i < sp->slab_chunks; i++) {
		kmem_bufctl_t *bcp = bufctl_create(cp, sp, i, buf, kmflag);

		if (!bcp)
			return -1;
		if (cp->cache_flags & KMF_BUFTAG) {
			kmem_buftag_t *btp = kmem_buftag_of(cp, buf);

			btp->bt_redzone = KMEM_REDZONE_PATTERN;
			btp->bt_bufctl = bcp;
			btp->bt_bxstat = kmem_bxstat(bcp, KMEM_BUFTAG_FREE);
			if (cp->cache_flags & KMF_DEADBEEF)
				kmem_pattern_fill(KMEM_FREE_PATTERN, buf,
						  cp->cache_verify);
		}
		bcp->bc_next = sp->slab_head;
		sp->slab_head = bcp;
		buf += cp->cache_chunksize;
	}
	return 0;
}

/** The header of a new slab, or NULL; the colour says where buffers begin. */
static kmem_slab_t *header_create(kmem_cache_t *cp, void *memory, size_t color,
				  int kmflag)
{
	size_t room = cp->cache_slabsize - color;
	kmem_slab_t *sp;

	if (has_array(cp)) {
		sp = vmem_alloc(kmem_bufctl_arena,
				array_bytes(room / cp->cache_chunksize),
				kmflag & VM_KMFLAGS);
		if (!sp)
			return NULL;
	} else if (cp->cache_flags & KMF_HASH) {
		sp = kmem_cache_alloc(kmem_slab_cache, kmflag);
		if (!sp)
			return NULL;
	} else {
		sp = kmem_at(memory, cp->cache_slabsize - sizeof(*sp));
		room -= sizeof(*sp);
	}
	memset(sp, 0, sizeof(*sp));
	sp->slab_cache = cp;
	sp->slab_base = kmem_at(memory, color);
	sp->slab_flags = cp->cache_flags & KMF_BUFTAG ? 0 : cp->cache_class;
	sp->slab_chunks = (uint32_t)(room / cp->cache_chunksize);
	return sp;
}

static size_t next_color(kmem_cache_t *cp)
{
	size_t color;

	kmem_mutex_enter(&cp->cache_lock);
	color = cp->cache_color + cp->cache_align;
	if (color > cp->cache_maxcolor)
		color = cp->cache_mincolor;
	cp->cache_color = color;
	kmem_mutex_exit(&cp->cache_lock);
	return color;
}

static kmem_slab_t *slab_create(kmem_cache_t *cp, int kmflag)
{
	int vmflag = kmflag & VM_KMFLAGS;
	kmem_slab_t *sp;
	uintptr_t entry;
	void *memory;

	if (cp->cache_flags & KMF_FIREWALL)
		vmflag |= VM_NEXTFIT; /* reuse of addresses as late as can be */
	memory = vmem_alloc(cp->cache_arena, cp->cache_slabsize, vmflag);
	if (!memory)
		return NULL;
	if ((cp->cache_flags & KMF_DEADBEEF) &&
	    !(cp->cache_cflags & KMC_NOTOUCH))
		kmem_pattern_fill(KMEM_UNINITIALIZED_PATTERN, memory,
				  cp->cache_slabsize);
	sp = header_create(cp, memory, next_color(cp), kmflag);
	if (!sp) {
		vmem_free(cp->cache_arena, memory, cp->cache_slabsize);
		return NULL;
	}
	entry = (uintptr_t)sp | (uintptr_t)sp->slab_flags
					<< KMEM_PAGE_CLASS_SHIFT;
	if (slab_fill(cp, sp, kmflag) != 0 ||
	    (is_mapped(cp) &&
	     kmem_pagemap_set(memory, cp->cache_slabsize, entry) != 0)) {
		slab_release(cp, sp, memory);
		return NULL;
	}
	kmem_log_event(kmem_slab_log, cp, sp, memory, KMEM_WHAT_SLAB,
		       KMEM_KIND_NONE);
	return sp;
}

/** Creates a slab and makes it a partial one.  0: cache_lock is held, so that
 * the caller takes a buffer of it (I2); -1: there is no memory. */
static int slab_add(kmem_cache_t *cp, int kmflag)
{
	int waits = kmem_has_to_wait(kmflag); /* up there, not in the arena */
	kmem_slab_t *sp;
	uint64_t total;

	if (waits && kmem_has_to_queue())
		return -1;
	sp = slab_create(cp, waits ? kmflag | KM_NOSLEEP : kmflag);
	if (!sp && waits)
		return -1;
	if (!sp) {
		kmem_log_event(kmem_failure_log, cp, NULL,
			       (void *)cp->cache_bufsize, KMEM_WHAT_FAIL,
			       KMEM_KIND_NONE);
		__atomic_fetch_add(&cp->cache_alloc_fail, 1, __ATOMIC_RELAXED);
		return -1;
	}
	total = KM_PEEK(cp->cache_buftotal) + sp->slab_chunks;
	if ((cp->cache_flags & KMF_HASH) &&
	    total > 2 * KM_PEEK(cp->cache_hash_mask))
		hash_rescale(cp, total);
	kmem_mutex_enter(&cp->cache_lock);
	if (KM_UNLIKELY(cp->cache_defrag != NULL) && cp->cache_partial_slabs) {
		/* others were faster; this one would be last and stay empty */
		kmem_mutex_exit(&cp->cache_lock);
		kmem_slab_release(cp, sp);
		kmem_mutex_enter(&cp->cache_lock);
		return 0;
	}
	cp->cache_slab_create++;
	KM_ADD(cp->cache_buftotal, sp->slab_chunks);
	cp->cache_bufslab += sp->slab_chunks;
	if (cp->cache_buftotal > cp->cache_bufmax)
		cp->cache_bufmax = cp->cache_buftotal;
	partial_insert(cp, sp);
	return 0;
}

int kmem_slab_is_sound(const kmem_slab_t *sp)
{
	const kmem_cache_t *cp = sp->slab_cache;
	uintptr_t base = (uintptr_t)sp->slab_base;

	if (!kmem_cache_may_be(cp) || sp->slab_refcnt > sp->slab_chunks)
		return 0;
	return (cp->cache_flags & KMF_HASH) ||
	       (base < (uintptr_t)sp &&
		sp->slab_chunks * cp->cache_chunksize <= (uintptr_t)sp - base);
}

/** The header of the first partial slab was written over: what is behind it in
 * the list is lost.  cache_lock is held, and dropped. */
static void lose_partial(kmem_cache_t *cp)
{
	kmem_slab_t *sp = cp->cache_partial_slabs;

	cp->cache_partial_slabs = NULL;
	kmem_mutex_exit(&cp->cache_lock);
	kmem_error_at(KMERR_REDZONE, cp,
		      kmem_at(sp, sizeof(*sp) - cp->cache_slabsize),
		      KMEM_KIND_NONE);
}

/** Takes cache_lock when there is a partial slab: 0, or 1 if that is a new one;
 * -1: no memory. */
static int partial_enter(kmem_cache_t *cp, int kmflag)
{
	int is_new = 0;

	kmem_mutex_enter(&cp->cache_lock);
	if ((cp->cache_flags & KMF_BUFTAG) && cp->cache_partial_slabs &&
	    KM_UNLIKELY(cp->cache_partial_slabs->slab_cache != cp)) {
		lose_partial(cp);
		kmem_mutex_enter(&cp->cache_lock);
	}
	while (!cp->cache_partial_slabs ||
	       cp->cache_partial_slabs->slab_walled) {
		kmem_mutex_exit(&cp->cache_lock);
		kmem_update_if_due();
		if (slab_add(cp, kmflag) != 0)
			return -1;
		is_new = 1;
	}
	return is_new;
}

/* ---- buffers ---- */

/** Takes the first buffer of the first partial slab; cache_lock is held. */
static void *take_buffer(kmem_cache_t *cp, uint32_t stack, int kind)
{
	kmem_slab_t *sp = cp->cache_partial_slabs;
	kmem_bufctl_t *bcp = sp->slab_head;
	kmem_bufctl_t **bucket;

	cp->cache_slab_alloc++;
	cp->cache_bufslab--;
	sp->slab_head = bcp->bc_next;
	if (++sp->slab_refcnt == sp->slab_chunks) { /* I2 */
		partial_remove(cp, sp);
		list_insert(&cp->cache_complete_slabs, sp);
		cp->cache_complete_slab_count++;
		if (KM_UNLIKELY(cp->cache_defrag != NULL))
			kmem_move_forget(sp);
	} else if (KM_UNLIKELY(cp->cache_defrag != NULL)) {
		kmem_partial_update(cp, sp);
	}
	if (!(cp->cache_flags & KMF_HASH)) {
		/* the link lies in the buffer: left there, it would look to a
		 * leak checker like a pointer of the program */
		bcp->bc_next = NULL;
		return (char *)bcp - cp->cache_bufctl;
	}
	bucket = hash_bucket(cp, bcp->bc_addr);
	bcp->bc_next = *bucket;
	*bucket = bcp;
	if (audits_slabs(cp))
		kmem_audit(cp, bcp, stack, KMEM_WHAT_ALLOC, kind);
	return bcp->bc_addr;
}

/** Fills a magazine with buffers of the first partial slab, and puts it in the
 * depot; 0: not. */
static int prefill_one(kmem_cache_t *cp, kmem_magtype_t *mtp,
		       kmem_magazine_t *mp)
{
	kmem_cpu_cache_t *ccp = kmem_cpu_cache(cp);
	kmem_slab_t *sp;
	int is_done = 0;

	kmem_mutex_enter(&cp->cache_lock);
	kmem_mutex_enter(&ccp->cc_lock); /* the size stays */
	sp = cp->cache_partial_slabs;
	if (sp && (uint32_t)ccp->cc_magsize == mtp->mt_magsize &&
	    sp->slab_chunks - sp->slab_refcnt >= mtp->mt_magsize) {
		for (uint32_t i = 0; i < mtp->mt_magsize; i++)
			mp->mag_round[i] = take_buffer(cp, 0, 0);
		cp->cache_bin_fill += mtp->mt_magsize;
		kmem_depot_free(cp, &cp->cache_full, mp);
		is_done = 1;
	}
	kmem_mutex_exit(&ccp->cc_lock);
	kmem_mutex_exit(&cp->cache_lock);
	return is_done;
}

/** Puts what a new slab has into magazines, as far as it fills them. */
static void prefill(kmem_cache_t *cp)
{
	kmem_magtype_t *mtp = KM_PEEK(cp->cache_magtype);
	kmem_magazine_t *mp;

	do {
		mp = kmem_cache_alloc(mtp->mt_cache, KM_NOSLEEP);
		if (!mp)
			return;
	} while (prefill_one(cp, mtp, mp));
	kmem_cache_free(mtp->mt_cache, mp);
}

void *kmem_slab_take(kmem_cache_t *cp)
{
	return take_buffer(cp, 0, KMEM_KIND_NONE);
}

void *kmem_slab_alloc(kmem_cache_t *cp, int kmflag, int kind)
{
	uint32_t stack = audits_slabs(cp) ? kmem_stack_capture() : 0;
	int is_new = partial_enter(cp, kmflag);
	void *buf;

	if (is_new < 0)
		return NULL;
	buf = take_buffer(cp, stack, kind);
	kmem_mutex_exit(&cp->cache_lock);
	if (KM_UNLIKELY(is_new) && (cp->cache_flags & KMF_PREFILL))
		prefill(cp);
	return buf;
}

/** Will the next buffer be on the same cache line as this one? */
static int shares_line(const kmem_cache_t *cp, const void *buf)
{
	const kmem_slab_t *sp = cp->cache_partial_slabs;

	return cp->cache_chunksize < KMEM_LINE && sp && sp->slab_head &&
	       (((uintptr_t)buf ^
		 ((uintptr_t)sp->slab_head - cp->cache_bufctl)) &
		-KMEM_LINE) == 0;
}

unsigned kmem_slab_fill(kmem_cache_t *cp, kmem_thread_t *th,
			kmem_thread_bin_t *bin, unsigned n)
{
	void **round = &th->th_round[bin->tb_first + bin->tb_rounds];
	unsigned room = bin->tb_limit - (unsigned)bin->tb_rounds;
	unsigned done = 0;
	void *first;

	/* a new slab of which nothing is taken would stay, empty (I2) */
	if (n == 0 || partial_enter(cp, KM_NOSLEEP) < 0)
		return 0;
	while (cp->cache_partial_slabs &&
	       (done < n || (done < room && shares_line(cp, round[done - 1]))))
		round[done++] = take_buffer(cp, 0, 0);
	/* audited: the last one goes first; else what is given out ascends */
	for (unsigned i = 0; i < done / 2 && (cp->cache_flags & KMF_BUFTAG);
	     i++) {
		first = round[i];
		round[i] = round[done - 1 - i];
		round[done - 1 - i] = first;
	}
	KM_ADD(*kmem_bin_word(bin), done);
	cp->cache_bin_fill += done;
	kmem_mutex_exit(&cp->cache_lock);
	return done;
}

static int holds(const kmem_slab_t *sp, const void *buf)
{
	size_t offset = (uintptr_t)buf - (uintptr_t)sp->slab_base;

	return offset < sp->slab_chunks * sp->slab_cache->cache_chunksize;
}

kmem_slab_t *kmem_slab_find(kmem_cache_t *cp, const void *buf)
{
	kmem_slab_t *heads[3] = {
		cp->cache_partial_slabs,
		cp->cache_complete_slabs,
		cp->cache_defrag ? cp->cache_defrag->kmd_deadlist : NULL,
	};

	for (int i = 0; i < 3; i++) {
		uint64_t left = cp->cache_slab_create;

		for (kmem_slab_t *sp = heads[i];
		     sp && left-- > 0 && kmem_slab_is_sound(sp);
		     sp = sp->slab_next)
			if (holds(sp, buf) && !sp->slab_walled)
				return sp;
	}
	return NULL;
}

/** The slab a buffer of a raw cache lies in; NULL: not one of its buffers. */
static kmem_slab_t *raw_slab(kmem_cache_t *cp, const void *buf)
{
	kmem_slab_t *sp;
	size_t offset;

	if (is_mapped(cp)) {
		sp = kmem_entry_slab(kmem_pagemap_get(buf));
	} else {
		uintptr_t memory = (uintptr_t)buf & -cp->cache_slabsize;

		sp = (kmem_slab_t *)(memory + cp->cache_slabsize - sizeof(*sp));
	}
	if (!sp || sp->slab_cache != cp || !holds(sp, buf))
		return NULL;
	offset = (uintptr_t)buf - (uintptr_t)sp->slab_base;
	return offset % cp->cache_chunksize == 0 ? sp : NULL;
}

kmem_slab_t *kmem_slab_of(kmem_cache_t *cp, const void *buf)
{
	kmem_bufctl_t *bcp;

	if (!(cp->cache_flags & KMF_HASH))
		return raw_slab(cp, buf);
	bcp = kmem_hash_find(cp, buf);
	return bcp ? bcp->bc_slab : NULL;
}

void kmem_slab_trim(kmem_cache_t *cp)
{
	kmem_mutex_enter(&cp->cache_lock);
	for (kmem_slab_t *sp = cp->cache_partial_slabs; sp; sp = sp->slab_next)
		for (kmem_bufctl_t *bcp = sp->slab_head; bcp;
		     bcp = bcp->bc_next)
			(void)kmem_sys_zero(bcp->bc_addr, cp->cache_chunksize);
	kmem_mutex_exit(&cp->cache_lock);
}

/** The audit of a free of a cache without tags; cache_lock is held. */
static void audit_free(kmem_cache_t *cp, kmem_bufctl_audit_t *bcap, void *buf,
		       uint32_t stack, int kind)
{
	struct kmem_gone gone = {
		.gn_addr = buf,
		.gn_event[1] = kmem_event_of(bcap),
	};

	if (cp->cache_flags & KMF_CONTENTS)
		kmem_audit_contents(cp, bcap, buf);
	kmem_audit(cp, (kmem_bufctl_t *)bcap, stack, KMEM_WHAT_FREE, kind);
	if (!(cp->cache_flags & KMF_FIREWALL))
		return;
	gone.gn_event[0] = kmem_event_of(bcap);
	memcpy(gone.gn_origin, cp->cache_name, sizeof(gone.gn_origin));
	kmem_gone_note(&gone);
}

/** Takes an empty slab out of its cache; cache_lock is held. */
static void forget_slab(kmem_cache_t *cp, kmem_slab_t *sp)
{
	partial_remove(cp, sp);
	cp->cache_slab_destroy++;
	KM_ADD(cp->cache_buftotal, -(uint64_t)sp->slab_chunks);
	cp->cache_bufslab -= sp->slab_chunks;
}

void kmem_slab_unwall(kmem_cache_t *cp, kmem_slab_t *sp)
{
	kmem_mutex_enter(&cp->cache_lock);
	forget_slab(cp, sp);
	kmem_mutex_exit(&cp->cache_lock);
	kmem_slab_release(cp, sp);
}

/** Puts a buffer on its slab's list; 1 when that emptied the slab. */
static int give_buffer(kmem_cache_t *cp, kmem_slab_t *sp, kmem_bufctl_t *bcp)
{
	int was_complete = sp->slab_refcnt == sp->slab_chunks;

	bcp->bc_next = sp->slab_head;
	sp->slab_head = bcp;
	cp->cache_slab_free++;
	cp->cache_bufslab++;
	sp->slab_refcnt--;
	if (was_complete) {
		list_remove(&cp->cache_complete_slabs, sp);
		cp->cache_complete_slab_count--;
		partial_insert(cp, sp);
	}
	if (sp->slab_refcnt > 0) {
		if (KM_UNLIKELY(cp->cache_defrag != NULL) && !was_complete)
			kmem_partial_update(cp, sp);
		return 0;
	}
	if (is_firewalled(cp)) {
		sp->slab_walled = 1;
		return 1;
	}
	forget_slab(cp, sp);
	return KM_LIKELY(!cp->cache_defrag) || !kmem_move_bury(cp, sp);
}

void kmem_slab_free(kmem_cache_t *cp, void *buf, int kind)
{
	uint32_t stack = audits_slabs(cp) ? kmem_stack_capture() : 0;
	kmem_slab_t *sp = NULL;
	kmem_bufctl_t *bcp;
	int is_empty;

	kmem_mutex_enter(&cp->cache_lock);
	if (cp->cache_flags & KMF_HASH) {
		bcp = hash_remove(cp, buf);
		if (bcp)
			sp = bcp->bc_slab;
	} else {
		sp = raw_slab(cp, buf);
		bcp = kmem_at(buf, cp->cache_bufctl);
	}
	if (!sp) {
		kmem_mutex_exit(&cp->cache_lock);
		kmem_error_at(KMERR_BADADDR, cp, buf, kind);
		return;
	}
	if (audits_slabs(cp))
		audit_free(cp, (kmem_bufctl_audit_t *)bcp, buf, stack, kind);
	if (KM_UNLIKELY(cp->cache_defrag != NULL))
		kmem_move_given(sp, buf);
	is_empty = give_buffer(cp, sp, bcp);
	kmem_mutex_exit(&cp->cache_lock);
	if (!is_empty)
		return;
	if (is_firewalled(cp))
		kmem_firewall_keep(cp, sp);
	else
		kmem_slab_release(cp, sp);
}

void kmem_slab_give(kmem_cache_t *cp, kmem_thread_t *th, kmem_thread_bin_t *bin,
		    unsigned n)
{
	void **round = &th->th_round[bin->tb_first];
	kmem_slab_t *empty = NULL;
	void *stranger = NULL;

	kmem_mutex_enter(&cp->cache_lock);
	for (unsigned i = 0; i < n; i++) {
		kmem_bufctl_t *bcp = kmem_at(round[i], cp->cache_bufctl);
		kmem_slab_t *sp;

		if (cp->cache_flags & KMF_HASH) {
			bcp = hash_remove(cp, round[i]);
			sp = bcp ? bcp->bc_slab : NULL;
		} else {
			sp = kmem_entry_slab(kmem_pagemap_entry(round[i]));
		}
		if (KM_UNLIKELY(!sp)) {
			stranger = round[i]; /* given back twice */
		} else if (give_buffer(cp, sp, bcp)) {
			sp->slab_next = empty;
			empty = sp;
		}
	}
	kmem_bin_drop(th, bin, n);
	kmem_mutex_exit(&cp->cache_lock);
	if (KM_UNLIKELY(stranger != NULL))
		kmem_error_at(KMERR_BADADDR, cp, stranger, KMEM_KIND_NONE);
	while (empty) {
		kmem_slab_t *next = empty->slab_next;

		kmem_slab_release(cp, empty);
		empty = next;
	}
}
