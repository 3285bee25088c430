/* SPDX-License-Identifier: MIT */
/*
 * The consolidator: moving objects, so that slabs with few of them become empty
 * and can be given back.
 *
 * The owner of a cache gives it a callback that can move an object (kmem.h).
 * The partial slabs of such a cache are kept in order, fullest first, and
 * buffers are taken from the first: slabs that are nearly empty get emptier.
 * They are at the end, where the consolidator takes its sources; its targets
 * come from the front.
 *
 *   cache_partial_slabs -> [o o o o .] -> [o o . . .] -> [. . o . .]  kmd_last
 *                           target                        source
 *
 * The order is one list cut into bins: exact at both ends, where it counts,
 * and coarse in the middle, so that most changes move nothing.  With bs =
 * kmem_highbit(maxchunks / 16) + 1, a slab of r used and f free buffers has
 *
 *   rank  r - 1                 when r <= bs
 *         highest - f + 1       when f <= bs
 *         bs - 1 + (r >> bs)    else
 *
 * and slabs that will not be emptied (slab_nomove) come before all others, to be
 * filled up.  kmd_binmap says which bins have any, kmd_first where they begin,
 * so that all changes of the order are O(1).
 *
 * Two things start a pass.  The periodic round looks at a cache that is
 * fragmented, among its last SCAN_RANGE slabs for SCAN_SLABS to empty.  A reap
 * tries every slab that could be emptied, whatever was answered before.
 *
 * The answer NO marks the slab, as does the third LATER in a row; the mark goes
 * when the buffer is freed, when the slab was full once, or when the owner says
 * so (kmem_cache_move_notify).
 *
 * Invariants
 *   M1  the thread that does the round (U1 of kmem_update.c) moves objects, one
 *       at a time, with no lock held while the callback runs
 *   M2  during a pass (kmd_is_moving) an empty slab is not given back but put
 *       on kmd_deadlist: whoever is asked about an object may look at it,
 *       though it is freed meanwhile
 *   M3  what is moved was allocated, as the slab layer has it, when it was
 *       looked at under cache_lock; it may be in a magazine or half
 *       constructed, so only the owner can tell, who does so under his own lock
 *   M4  the order of the list is that of slab_bin, under cache_lock
 *
 * A child forked by another thread in the middle of a callback has the target,
 * allocated, in nobody's hands: one buffer is lost there.
 */
#include "kmem_internal.h"

#include <string.h>

#define MIN_SLABS  101               /* fewer are never fragmented */
#define SCAN_RANGE 12                /* slabs looked at in a round */
#define SCAN_SLABS 1                 /* and how many are to be emptied */
#define DISBELIEF  3                 /* that many LATER are a NO */
#define MAX_CHUNKS ((size_t)1 << 19) /* fits slab_stuck */
#define WINDOW     ((uint32_t)1024)  /* buffers looked at with one lock */
#define ANY_INDEX  UINT32_MAX

/* how a slab fared */
struct pass {
	int is_desperate; /* try also what said NO, and what is not empty */
	uint32_t index;   /* of the only buffer to be moved, or ANY_INDEX */
};

/* ---- the order of partial slabs ---- */

static unsigned bin_of(const kmem_defrag_t *kmd, const kmem_slab_t *sp)
{
	uint32_t bs = kmd->kmd_binshift;
	uint32_t top = kmd->kmd_nranks - 1;
	uint32_t nfree = sp->slab_chunks - sp->slab_refcnt;
	uint32_t rank;

	if (sp->slab_refcnt <= bs)
		rank = sp->slab_refcnt - 1;
	else if (nfree <= bs)
		rank = top - nfree + 1;
	else
		rank = bs - 1 + (sp->slab_refcnt >> bs);
	return (sp->slab_nomove ? 0 : kmd->kmd_nranks) + top - rank;
}

/** The first slab of a bin or of those behind it, or NULL. */
static kmem_slab_t *first_from(const kmem_defrag_t *kmd, unsigned bin)
{
	unsigned word = bin / 64;
	uint64_t bits = kmd->kmd_binmap[word] & (~0UL << bin % 64);

	while (!bits && ++word < KMEM_DEFRAG_BINS / 64)
		bits = kmd->kmd_binmap[word];
	return bits ? kmd->kmd_first[word * 64 + (unsigned)__builtin_ctzl(bits)]
		    : NULL;
}

void kmem_partial_insert(kmem_cache_t *cp, kmem_slab_t *sp)
{
	kmem_defrag_t *kmd = cp->cache_defrag;
	unsigned bin = bin_of(kmd, sp);
	kmem_slab_t *next = first_from(kmd, bin);
	kmem_slab_t *prev = next ? next->slab_prev : kmd->kmd_last;

	sp->slab_next = next;
	sp->slab_prev = prev;
	if (next)
		next->slab_prev = sp;
	else
		kmd->kmd_last = sp;
	if (prev)
		prev->slab_next = sp;
	else
		cp->cache_partial_slabs = sp;
	sp->slab_bin = bin;
	kmd->kmd_first[bin] = sp;
	kmd->kmd_binmap[bin / 64] |= 1UL << bin % 64;
}

void kmem_partial_remove(kmem_cache_t *cp, kmem_slab_t *sp)
{
	kmem_defrag_t *kmd = cp->cache_defrag;
	unsigned bin = sp->slab_bin;

	if (kmd->kmd_first[bin] == sp) {
		if (sp->slab_next && sp->slab_next->slab_bin == bin) {
			kmd->kmd_first[bin] = sp->slab_next;
		} else {
			kmd->kmd_first[bin] = NULL;
			kmd->kmd_binmap[bin / 64] &= ~(1UL << bin % 64);
		}
	}
	if (sp->slab_next)
		sp->slab_next->slab_prev = sp->slab_prev;
	else
		kmd->kmd_last = sp->slab_prev;
	if (sp->slab_prev)
		sp->slab_prev->slab_next = sp->slab_next;
	else
		cp->cache_partial_slabs = sp->slab_next;
}

void kmem_partial_update(kmem_cache_t *cp, kmem_slab_t *sp)
{
	if (bin_of(cp->cache_defrag, sp) == sp->slab_bin)
		return;
	kmem_partial_remove(cp, sp);
	kmem_partial_insert(cp, sp);
}

/* ---- what is known of a slab ---- */

static uint32_t index_of(const kmem_slab_t *sp, const void *buf)
{
	size_t offset = (uintptr_t)buf - (uintptr_t)sp->slab_base;

	return (uint32_t)(offset / sp->slab_cache->cache_chunksize);
}

void kmem_move_forget(kmem_slab_t *sp)
{
	if (sp->slab_pending)
		KM_ADD(sp->slab_cache->cache_defrag->kmd_npending, -1);
	sp->slab_pending = 0;
	sp->slab_nomove = 0;
	sp->slab_later = 0;
	sp->slab_stuck = 0;
}

void kmem_move_given(kmem_slab_t *sp, const void *buf)
{
	if (sp->slab_stuck && sp->slab_stuck == index_of(sp, buf) + 1)
		kmem_move_forget(sp);
}

int kmem_move_bury(kmem_cache_t *cp, kmem_slab_t *sp)
{
	kmem_defrag_t *kmd = cp->cache_defrag;

	kmem_move_forget(sp);
	if (!kmd->kmd_is_moving)
		return 0;
	sp->slab_next = kmd->kmd_deadlist;
	kmd->kmd_deadlist = sp;
	kmd->kmd_deadcount++;
	return 1;
}

static int is_partial(const kmem_slab_t *sp)
{
	return sp->slab_refcnt > 0 && sp->slab_refcnt < sp->slab_chunks;
}

/** May objects of the slab be moved in this pass?  cache_lock is held. */
static int is_source(const kmem_cache_t *cp, const kmem_slab_t *sp,
		     const struct pass *pass)
{
	uint64_t others =
		cp->cache_bufslab - (sp->slab_chunks - sp->slab_refcnt);

	if (!is_partial(sp) || sp == cp->cache_partial_slabs)
		return 0;
	if (pass->index != ANY_INDEX)
		return 1;
	if (pass->is_desperate) /* no use if it cannot be emptied */
		return others >= sp->slab_refcnt;
	return !sp->slab_nomove &&
	       (sp->slab_refcnt == 1 ||
		(uint64_t)sp->slab_refcnt * 8 <
			(uint64_t)sp->slab_chunks *
				cp->cache_defrag->kmd_reclaim_numer);
}

/** Sets the bits of the free buffers among those from an index on; cache_lock
 * is held. */
static void mark_free(kmem_cache_t *cp, const kmem_slab_t *sp, uint32_t from,
		      uint64_t *bits)
{
	memset(bits, 0, WINDOW / 8);
	for (kmem_bufctl_t *bcp = sp->slab_head; bcp; bcp = bcp->bc_next) {
		void *buf = cp->cache_flags & KMF_HASH
				    ? bcp->bc_addr
				    : (char *)bcp - cp->cache_bufctl;
		uint32_t i = index_of(sp, buf);

		if (i >= from && i - from < WINDOW)
			bits[(i - from) / 64] |= 1UL << (i - from) % 64;
	}
}

/** Is a buffer outside the slab layer?  cache_lock is held. */
static int is_allocated(kmem_cache_t *cp, const kmem_slab_t *sp, void *buf)
{
	if (cp->cache_flags & KMF_HASH)
		return kmem_hash_find(cp, buf) != NULL;
	for (kmem_bufctl_t *bcp = sp->slab_head; bcp; bcp = bcp->bc_next)
		if ((char *)bcp - cp->cache_bufctl == (char *)buf)
			return 0;
	return 1;
}

/* ---- one object ---- */

/** Takes a buffer to move an object to, constructed; NULL: none, or nothing to
 * move any more. */
static void *take_target(kmem_cache_t *cp, kmem_slab_t *sp, void *from,
			 const struct pass *pass)
{
	void *to = NULL;

	kmem_gate_enter();
	kmem_mutex_enter(&cp->cache_lock);
	if (is_source(cp, sp, pass) && is_allocated(cp, sp, from))
		to = kmem_slab_take(cp);
	kmem_mutex_exit(&cp->cache_lock);
	if (to && (cp->cache_flags & KMF_BUFTAG)) {
		if (kmem_debug_alloc(cp, to, KM_NOSLEEP, 1, KMEM_KIND_CACHE))
			to = NULL;
	} else if (to && cp->cache_constructor &&
		   kmem_construct(cp, to, KM_NOSLEEP) != 0) {
		kmem_slab_free(cp, to, KMEM_KIND_NONE);
		to = NULL;
	}
	kmem_gate_exit();
	return to;
}

/** Frees an object to its slab, past the magazines. */
static void give_back(kmem_cache_t *cp, void *buf)
{
	kmem_gate_enter();
	if ((!(cp->cache_flags & KMF_BUFTAG) ||
	     kmem_debug_free(cp, buf, KMEM_KIND_CACHE) == 0) &&
	    kmem_object_undo(cp, buf) == 0)
		kmem_slab_free(cp, buf, KMEM_KIND_CACHE);
	kmem_gate_exit();
}

/** Notes that a buffer did not move. */
static void note_refusal(kmem_cache_t *cp, kmem_slab_t *sp, void *buf,
			 int is_final)
{
	kmem_mutex_enter(&cp->cache_lock);
	if (is_partial(sp)) { /* else that slab is history */
		if (!is_final && ++sp->slab_later == DISBELIEF)
			is_final = 1;
		if (is_final) {
			sp->slab_later = 0;
			sp->slab_nomove = 1;
			sp->slab_stuck = (index_of(sp, buf) + 1) & 0xfffff;
			kmem_partial_update(cp, sp);
		}
	}
	kmem_mutex_exit(&cp->cache_lock);
}

/** Asks the owner; the counters are the updater's alone (M1). */
static kmem_cbrc_t ask(kmem_cache_t *cp, void *from, void *to)
{
	kmem_defrag_t *kmd = cp->cache_defrag;
	kmem_cbrc_t answer;

	KM_ADD(kmd->kmd_callbacks, 1);
	kmd->kmd_from_buf = from;
	kmd->kmd_to_buf = to;
	kmd->kmd_thread = kmem_tid();
	answer = cp->cache_move(from, to, cp->cache_bufsize, cp->cache_private);
	kmd->kmd_thread = 0;
	kmd->kmd_from_buf = kmd->kmd_to_buf = NULL;
	return answer;
}

/** Moves one object if it can be; 1: the slab is worth going on with. */
static int move_object(kmem_cache_t *cp, kmem_slab_t *sp, void *from,
		       const struct pass *pass)
{
	kmem_defrag_t *kmd = cp->cache_defrag;
	void *to = take_target(cp, sp, from, pass);
	kmem_cbrc_t answer;

	if (!to)
		return 1;
	answer = ask(cp, from, to);
	switch (answer) {
	case KMEM_CBRC_YES:
		KM_ADD(kmd->kmd_yes, 1);
		give_back(cp, from);
		return 1;
	case KMEM_CBRC_NO:
		KM_ADD(kmd->kmd_no, 1);
		note_refusal(cp, sp, from, 1);
		break;
	case KMEM_CBRC_LATER:
		KM_ADD(kmd->kmd_later, 1);
		note_refusal(cp, sp, from, 0);
		break;
	case KMEM_CBRC_DONT_NEED:
		KM_ADD(kmd->kmd_dont_need, 1);
		give_back(cp, from);
		give_back(cp, to);
		return 1;
	case KMEM_CBRC_DONT_KNOW:
		KM_ADD(kmd->kmd_dont_know, 1);
		break;
	default:
		kmem_panic("'%s' (%p) unexpected move callback response %d",
			   cp->cache_name, (void *)cp, (int)answer);
	}
	give_back(cp, to);
	return answer == KMEM_CBRC_DONT_KNOW || pass->is_desperate;
}

/** Tries to move the objects of a slab away; 1 when it is empty now. */
static int empty_slab(kmem_cache_t *cp, kmem_slab_t *sp,
		      const struct pass *pass)
{
	uint64_t is_free[WINDOW / 64];
	int goes_on = 1;
	int is_empty;

	for (uint32_t i = 0; i < sp->slab_chunks && goes_on; i++) {
		void *buf = kmem_at(sp->slab_base, i * cp->cache_chunksize);

		if (i % WINDOW == 0) {
			kmem_mutex_enter(&cp->cache_lock);
			mark_free(cp, sp, i, is_free);
			goes_on = is_source(cp, sp, pass);
			kmem_mutex_exit(&cp->cache_lock);
		}
		if (goes_on && !(is_free[i % WINDOW / 64] >> i % 64 & 1) &&
		    (pass->index == ANY_INDEX || pass->index == i))
			goes_on = move_object(cp, sp, buf, pass);
	}
	kmem_mutex_enter(&cp->cache_lock);
	is_empty = sp->slab_refcnt == 0;
	kmem_mutex_exit(&cp->cache_lock);
	return is_empty;
}

/* ---- passes ---- */

static int is_fragmented(const kmem_cache_t *cp)
{
	return cp->cache_complete_slab_count + cp->cache_partial_slab_count >=
		       MIN_SLABS &&
	       cp->cache_partial_slab_count > 1 &&
	       cp->cache_bufslab > cp->cache_buftotal / 8;
}

/** Returns how many partial slabs there are, and whether the cache is
 * fragmented. */
static uint64_t pass_begin(kmem_cache_t *cp, int *ret_is_fragmented)
{
	uint64_t npartial;

	kmem_mutex_enter(&cp->cache_lock);
	cp->cache_defrag->kmd_is_moving = 1;
	npartial = cp->cache_partial_slab_count;
	*ret_is_fragmented = is_fragmented(cp);
	kmem_mutex_exit(&cp->cache_lock);
	return npartial;
}

static void pass_end(kmem_cache_t *cp)
{
	kmem_defrag_t *kmd = cp->cache_defrag;
	kmem_slab_t *sp, *next;

	kmem_mutex_enter(&cp->cache_lock);
	kmd->kmd_is_moving = 0;
	sp = kmd->kmd_deadlist;
	kmd->kmd_deadlist = NULL;
	kmd->kmd_deadcount = 0;
	kmem_mutex_exit(&cp->cache_lock);
	for (; sp; sp = next) {
		next = sp->slab_next;
		kmem_slab_release(cp, sp);
	}
}

/** The partial slab before one that was tried and stays where it is, or the last
 * one; NULL: none.  Both stay what they are until the pass ends (M2). */
static kmem_slab_t *slab_before(kmem_cache_t *cp, const kmem_slab_t *kept)
{
	kmem_slab_t *sp;

	kmem_mutex_enter(&cp->cache_lock);
	sp = kept && is_partial(kept) ? kept->slab_prev
				      : cp->cache_defrag->kmd_last;
	kmem_mutex_exit(&cp->cache_lock);
	return sp;
}

static int is_nomove(kmem_cache_t *cp, const kmem_slab_t *sp)
{
	int answer;

	kmem_mutex_enter(&cp->cache_lock);
	answer = sp->slab_nomove;
	kmem_mutex_exit(&cp->cache_lock);
	return answer;
}

/** Goes through the slabs from the end; returns how many were emptied. */
static uint64_t empty_slabs(kmem_cache_t *cp, uint64_t max_tries,
			    uint64_t max_slabs, const struct pass *pass)
{
	kmem_slab_t *kept = NULL;
	uint64_t nemptied = 0;

	while (max_tries-- > 0 && nemptied < max_slabs) {
		kmem_slab_t *sp = slab_before(cp, kept);
		int nomove;

		if (!sp)
			break;
		nomove = is_nomove(cp, sp);
		if (empty_slab(cp, sp, pass))
			nemptied++;
		else if (nomove || !is_nomove(cp, sp))
			kept = sp; /* else it went to the front */
	}
	KM_ADD(cp->cache_defrag->kmd_slabs_freed, nemptied);
	return nemptied;
}

/** Moves the objects whose owners asked for it (kmem_cache_move_notify). */
static void move_pending(kmem_cache_t *cp)
{
	kmem_defrag_t *kmd = cp->cache_defrag;
	struct pass pass = {.index = ANY_INDEX};
	uint64_t n = KM_PEEK(kmd->kmd_npending);

	for (; n > 0; n--) { /* those that are asked for meanwhile come later */
		kmem_slab_t *sp;

		kmem_mutex_enter(&cp->cache_lock);
		sp = kmd->kmd_last;
		while (sp && !sp->slab_pending)
			sp = sp->slab_prev;
		if (sp) {
			pass.index = sp->slab_stuck - 1;
			kmem_move_forget(sp);
			kmem_partial_update(cp, sp);
		}
		kmem_mutex_exit(&cp->cache_lock);
		if (!sp)
			return;
		if (empty_slab(cp, sp, &pass))
			KM_ADD(kmd->kmd_slabs_freed, 1);
	}
}

/** Adapts what counts as nearly empty to how well it went. */
static void adapt(kmem_defrag_t *kmd, uint64_t nemptied)
{
	kmd->kmd_slabs_sought += SCAN_SLABS;
	kmd->kmd_slabs_found += (uint32_t)nemptied;
	if (++kmd->kmd_tries < SCAN_RANGE)
		return;
	if (kmd->kmd_slabs_found == kmd->kmd_slabs_sought) {
		if (kmd->kmd_reclaim_numer > 1)
			kmd->kmd_reclaim_numer--;
	} else if (kmd->kmd_slabs_found * 2 < kmd->kmd_slabs_sought) {
		if (kmd->kmd_reclaim_numer < 7)
			kmd->kmd_reclaim_numer++;
	}
	kmd->kmd_tries = kmd->kmd_slabs_sought = kmd->kmd_slabs_found = 0;
}

void kmem_move_scan(kmem_cache_t *cp)
{
	kmem_defrag_t *kmd = cp->cache_defrag;
	struct pass pass = {.index = ANY_INDEX};
	int is_sparse;

	(void)pass_begin(cp, &is_sparse);
	move_pending(cp);
	if (is_sparse) {
		KM_ADD(kmd->kmd_scans, 1);
		adapt(kmd, empty_slabs(cp, SCAN_RANGE, SCAN_SLABS, &pass));
	} else {
		kmd->kmd_reclaim_numer = 1;
		kmd->kmd_tries = 0;
		kmd->kmd_slabs_sought = kmd->kmd_slabs_found = 0;
	}
	pass_end(cp);
}

void kmem_move_all(kmem_cache_t *cp)
{
	struct pass pass = {.is_desperate = 1, .index = ANY_INDEX};
	int is_sparse;

	KM_ADD(cp->cache_defrag->kmd_defrags, 1);
	(void)empty_slabs(cp, pass_begin(cp, &is_sparse), UINT64_MAX, &pass);
	pass_end(cp);
}

void kmem_move_reset(kmem_cache_t *cp)
{
	if (!cp->cache_defrag)
		return;
	cp->cache_defrag->kmd_is_moving = 0; /* the next pass frees the dead */
	cp->cache_defrag->kmd_thread = 0;
}

void kmem_move_fini(kmem_cache_t *cp)
{
	if (!cp->cache_defrag)
		return;
	pass_end(cp); /* a child may have inherited dead slabs */
	vmem_free(kmem_cache_arena, cp->cache_defrag,
		  sizeof(*cp->cache_defrag));
	cp->cache_defrag = NULL;
}

/* ---- for the owner of a cache ---- */

void kmem_cache_set_move(kmem_cache_t *cp,
			 kmem_cbrc_t (*move)(void *old, void *new_buf,
					     size_t bytes, void *priv))
{
	kmem_defrag_t *kmd;

	if (!move || cp->cache_move || cp->cache_slab_create != 0 ||
	    (cp->cache_cflags & (KMC_NOTOUCH | KMC_IDENTIFIER)))
		kmem_panic("kmem_cache_set_move: '%s' (%p) cannot be moved",
			   cp->cache_name, (void *)cp);
	cp->cache_move = move;
	if (cp->cache_maxchunks < 2 || cp->cache_maxchunks > MAX_CHUNKS ||
	    (cp->cache_flags & KMF_FIREWALL))
		return; /* a slab is one object */
	kmd = vmem_alloc(kmem_cache_arena, sizeof(*kmd), VM_SLEEP);
	memset(kmd, 0, sizeof(*kmd));
	kmd->kmd_reclaim_numer = 1;
	kmd->kmd_binshift =
		(uint32_t)kmem_highbit(cp->cache_maxchunks / 16) + 1;
	kmd->kmd_nranks = 2 * kmd->kmd_binshift +
			  (uint32_t)(cp->cache_maxchunks >> kmd->kmd_binshift);
	cp->cache_defrag = kmd;
}

void kmem_cache_move_notify(kmem_cache_t *cp, void *buf)
{
	kmem_defrag_t *kmd = cp->cache_defrag;
	kmem_slab_t *sp;

	if (!kmd)
		return;
	kmem_mutex_enter(&cp->cache_lock);
	sp = kmem_slab_of(cp, buf);
	if (sp && is_partial(sp)) {
		kmem_move_forget(sp);
		sp->slab_stuck = (index_of(sp, buf) + 1) & 0xfffff;
		sp->slab_pending = 1;
		KM_ADD(kmd->kmd_npending, 1);
		kmem_partial_update(cp, sp);
	}
	kmem_mutex_exit(&cp->cache_lock);
}
