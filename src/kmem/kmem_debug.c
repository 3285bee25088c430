/* SPDX-License-Identifier: MIT */
/*
 * The checks a buffer passes on its way out of a cache and back in.
 *
 *   | object ...... |BB?| slack | redzone: w0 w1 | bt_bufctl | bt_bxstat | pad |
 *   0                 size       cache_buftag     +8          +16         +24
 *
 * The tag says who the buffer is (bt_bufctl), whether it is free or allocated
 * (bt_bxstat, the same pointer exclusive-or a state word), and how much of it
 * was asked for (w1, encoded so that a random overwrite decodes with chance 1
 * in 251).  The byte behind what was asked for is 0xbb.  A free buffer is full
 * of 0xdeadbeef, one just allocated of 0xbaddcafe.  The slack keeps that until
 * the buffer is freed, since the usable size is the size asked for, and the
 * padding has it from the slab's creation on: who writes in front of a buffer
 * hits the padding of the one before, or the slab's colour.
 *
 * Each check is made before anything that relies on what it checks; a buffer
 * that failed one is never used again.
 *
 * LITE keeps only the tag and the first word; that word of a free buffer is
 * kept in the redzone, so that objects stay constructed.
 */
#include "kmem_internal.h"

#include <string.h>

/**
 * The stack of an audited call.  What the checks will read is fetched into the
 * CPU's cache meanwhile: of a buffer that was not used for a while, waiting for
 * that is most of their cost.
 */
static inline uint32_t capture(kmem_cache_t *cp, void *buf)
{
	__builtin_prefetch(kmem_buftag_of(cp, buf), 1);
	if (cp->cache_flags & KMF_DEADBEEF)
		__builtin_prefetch(buf, 1);
	return cp->cache_flags & KMF_AUDIT ? kmem_stack_capture() : 0;
}

static intptr_t bxstat(const kmem_buftag_t *btp, unsigned long state)
{
	return kmem_bxstat(btp->bt_bufctl, state);
}

static int report_modified(kmem_cache_t *cp, void *buf, const uint64_t *at)
{
	struct kmem_fault fault = {
		.code = KMERR_MODIFIED,
		.cp = cp,
		.buf = buf,
		.offset = (size_t)((const char *)at - (const char *)buf),
		.expect = KMEM_FREE_PATTERN,
		.found = *at,
	};

	kmem_error(&fault);
	return -1;
}

static int report(int code, kmem_cache_t *cp, void *buf, int kind)
{
	kmem_error_at(code, cp, buf, kind);
	return -1;
}

static int needs_constructor(const kmem_cache_t *cp, int construct)
{
	int poisons =
		(cp->cache_flags & (KMF_DEADBEEF | KMF_LITE)) == KMF_DEADBEEF;

	return cp->cache_constructor && (poisons || construct);
}

/** The pattern check of kmem_debug_alloc(). */
static int check_free_content(kmem_cache_t *cp, void *buf)
{
	kmem_buftag_t *btp = kmem_buftag_of(cp, buf);
	uint64_t *first = buf;
	uint64_t *at;

	if (cp->cache_flags & KMF_LITE) {
		if (*first != KMEM_FREE_PATTERN)
			return report_modified(cp, buf, first);
		*first = cp->cache_constructor ? btp->bt_redzone
					       : KMEM_UNINITIALIZED_PATTERN;
		return 0;
	}
	at = kmem_pattern_replace(KMEM_FREE_PATTERN, KMEM_UNINITIALIZED_PATTERN,
				  buf, cp->cache_verify);
	return at ? report_modified(cp, buf, at) : 0;
}

int kmem_debug_alloc(kmem_cache_t *cp, void *buf, int kmflag, int construct,
		     int kind)
{
	kmem_buftag_t *btp = kmem_buftag_of(cp, buf);
	uint32_t stack = capture(cp, buf);

	if (btp->bt_bxstat != bxstat(btp, KMEM_BUFTAG_FREE))
		return report(KMERR_BADBUFTAG, cp, buf, kind);
	btp->bt_bxstat = bxstat(btp, KMEM_BUFTAG_ALLOC);
	if ((cp->cache_flags & KMF_HASH) && btp->bt_bufctl->bc_addr != buf)
		return report(KMERR_BADBUFCTL, cp, buf, kind);
	if ((cp->cache_flags & KMF_DEADBEEF) && check_free_content(cp, buf))
		return -1;
	btp->bt_redzone = KMEM_REDZONE_PATTERN;

	if (needs_constructor(cp, construct) &&
	    kmem_construct(cp, buf, kmflag) != 0) {
		__atomic_fetch_add(&cp->cache_alloc_fail, 1, __ATOMIC_RELAXED);
		btp->bt_bxstat = bxstat(btp, KMEM_BUFTAG_FREE);
		if (cp->cache_flags & KMF_DEADBEEF)
			kmem_pattern_fill(KMEM_FREE_PATTERN, buf,
					  cp->cache_verify);
		kmem_slab_free(cp, buf, kind);
		return 1;
	}
	if (cp->cache_flags & KMF_AUDIT)
		kmem_audit(cp, btp->bt_bufctl, stack, KMEM_WHAT_ALLOC, kind);
	return 0;
}

/** Has nobody written in front of buf?  Reports when somebody has. */
static int check_before(kmem_cache_t *cp, const kmem_slab_t *sp, void *buf,
			int kind)
{
	size_t bytes;

	if (!(cp->cache_flags & KMF_DEADBEEF))
		return 0;
	bytes = kmem_padding_before(cp, sp, buf);
	if (!kmem_pattern_verify(KMEM_UNINITIALIZED_PATTERN,
				 (char *)buf - bytes, bytes))
		return 0;
	return report(KMERR_UNDERRUN, cp, buf, kind);
}

/** Is buf the start of a buffer of this cache?  Reports when not. */
static int check_base(kmem_cache_t *cp, void *buf, int kind)
{
	kmem_slab_t *sp;
	void *base;
	kmem_cache_t *owner = kmem_addr_cache(buf, &sp, &base);

	if (owner == cp && base == buf)
		return check_before(cp, sp, buf, kind);
	/* slabs of a foreign arena are not in the page map */
	if (!owner && cp->cache_arena->vm_quantum < KMEM_PAGE)
		return 0;
	return report(KMERR_BADADDR, cp, buf, kind);
}

/** Is what lies between an object and its redzone as it was filled?  What was
 * asked for ends earlier in a sized buffer: is_slack_whole(). */
static int is_fill_whole(const kmem_cache_t *cp, const void *buf)
{
	return (cp->cache_flags & (KMF_DEADBEEF | KMF_LITE)) != KMF_DEADBEEF ||
	       kmem_is_fresh(buf, cp->cache_bufsize, cp->cache_verify);
}

/** kmem_debug_free() of what is known to be a buffer of the cache. */
static int check_and_poison(kmem_cache_t *cp, void *buf, uint32_t stack,
			    int kind)
{
	kmem_buftag_t *btp = kmem_buftag_of(cp, buf);

	if (btp->bt_bxstat != bxstat(btp, KMEM_BUFTAG_ALLOC))
		return report(btp->bt_bxstat == bxstat(btp, KMEM_BUFTAG_FREE)
				      ? KMERR_DUPFREE
				      : KMERR_REDZONE,
			      cp, buf, kind);
	btp->bt_bxstat = bxstat(btp, KMEM_BUFTAG_FREE);
	if ((cp->cache_flags & KMF_HASH) && btp->bt_bufctl->bc_addr != buf)
		return report(KMERR_BADBUFCTL, cp, buf, kind);
	if (btp->bt_redzone != KMEM_REDZONE_PATTERN || !is_fill_whole(cp, buf))
		return report(KMERR_REDZONE, cp, buf, kind);
	if (cp->cache_flags & KMF_AUDIT) {
		if (cp->cache_flags & KMF_CONTENTS)
			kmem_audit_contents(
				cp, (kmem_bufctl_audit_t *)btp->bt_bufctl, buf);
		kmem_audit(cp, btp->bt_bufctl, stack, KMEM_WHAT_FREE, kind);
	}
	if (cp->cache_flags & KMF_LITE) {
		btp->bt_redzone = *(uint64_t *)buf;
		*(uint64_t *)buf = KMEM_FREE_PATTERN;
	} else if (cp->cache_flags & KMF_DEADBEEF) {
		if (cp->cache_destructor)
			cp->cache_destructor(buf, cp->cache_private);
		kmem_pattern_fill(KMEM_FREE_PATTERN, buf, cp->cache_verify);
	}
	return 0;
}

int kmem_debug_free(kmem_cache_t *cp, void *buf, int kind)
{
	if (check_base(cp, buf, kind) != 0)
		return -1;
	return check_and_poison(cp, buf, capture(cp, buf), kind);
}

int kmem_debug_undo(kmem_cache_t *cp, void *buf)
{
	uint64_t *first = buf;
	uint64_t *at;

	at = kmem_pattern_verify(KMEM_FREE_PATTERN, buf, cp->cache_verify);
	if (at)
		return report_modified(cp, buf, at);
	if (!(cp->cache_flags & KMF_LITE) || !cp->cache_destructor)
		return 0;
	*first = kmem_buftag_of(cp, buf)->bt_redzone;
	cp->cache_destructor(buf, cp->cache_private);
	*first = KMEM_FREE_PATTERN;
	return 0;
}

/** The audit record of a live buffer, or NULL: none, or it is not known to be
 * whole. */
static kmem_bufctl_audit_t *live_record(kmem_cache_t *cp, void *buf)
{
	kmem_buftag_t *btp;
	kmem_bufctl_t *bcp;

	if (!(cp->cache_flags & KMF_AUDIT))
		return NULL;
	if (cp->cache_flags & KMF_BUFTAG) {
		btp = kmem_buftag_of(cp, buf);
		bcp = btp->bt_bxstat == bxstat(btp, KMEM_BUFTAG_ALLOC)
			      ? btp->bt_bufctl
			      : NULL;
	} else {
		kmem_mutex_enter(&cp->cache_lock);
		bcp = kmem_hash_find(cp, buf);
		kmem_mutex_exit(&cp->cache_lock);
	}
	return bcp && bcp->bc_addr == buf ? (kmem_bufctl_audit_t *)bcp : NULL;
}

/* ---- sized buffers ---- */

void kmem_size_mark(kmem_cache_t *cp, void *buf, size_t bytes)
{
	uint32_t *word = (uint32_t *)kmem_buftag_of(cp, buf);

	((unsigned char *)buf)[bytes] = KMEM_REDZONE_BYTE;
	word[1] = KMEM_SIZE_ENCODE(bytes);
}

size_t kmem_size_marked(const kmem_cache_t *cp, const void *buf)
{
	const uint32_t *word =
		(const void *)((const char *)buf + cp->cache_buftag);

	if (!KMEM_SIZE_VALID(word[1]) ||
	    KMEM_SIZE_DECODE(word[1]) > cp->cache_bufsize)
		return SIZE_MAX;
	return KMEM_SIZE_DECODE(word[1]);
}

/** What a tag without a proper size says of the buffer. */
static int unsized_code(kmem_cache_t *cp, void *buf)
{
	kmem_buftag_t *btp = kmem_buftag_of(cp, buf);

	if (btp->bt_bxstat == bxstat(btp, KMEM_BUFTAG_FREE) ||
	    *(uint64_t *)buf == KMEM_FREE_PATTERN)
		return KMERR_DUPFREE;
	return KMERR_REDZONE;
}

int kmem_is_fresh(const void *buf, size_t from, size_t to)
{
	const uint64_t pattern = KMEM_UNINITIALIZED_PATTERN;
	const unsigned char *p = buf;

	for (; from < to && from % 8 != 0; from++)
		if (p[from] != ((pattern >> (from % 8 * 8)) & 0xff))
			return 0;
	return from >= to ||
	       !kmem_pattern_verify(pattern, (void *)(uintptr_t)(p + from),
				    to - from);
}

/** Is what lies between the mark and the redzone as it was filled? */
static int is_slack_whole(const kmem_cache_t *cp, const void *buf,
			  size_t marked)
{
	return (cp->cache_flags & (KMF_DEADBEEF | KMF_LITE)) != KMF_DEADBEEF ||
	       kmem_is_fresh(buf, marked + 1, cp->cache_verify);
}

/** The free says another size than was asked for; 0: go on, -1: reported. */
static int wrong_size(kmem_cache_t *cp, void *buf, size_t bytes, size_t marked,
		      int kind)
{
	const kmem_bufctl_audit_t *bcap = live_record(cp, buf);
	kmem_bufctl_audit_t unknown = {.bc_addr = buf};
	struct kmem_fault fault = {
		.code = KMERR_BADSIZE,
		.cp = cp,
		.buf = buf,
		.freed_bytes = bytes,
		.bytes = marked,
		.kind = kind,
	};

	if (!bcap)
		bcap = &unknown;
	if (kmem_mismatch_is_harmless(bcap->bc_kind, kind, bytes)) {
		kmem_mismatch(cp, bcap, marked, bytes, kind);
		return 0;
	}
	*(uint32_t *)kmem_buftag_of(cp, buf) = KMEM_SIZE_ENCODE(bytes);
	kmem_error(&fault);
	return -1;
}

/** Checks and removes the mark of kmem_size_mark(); 0, or -1: reported. */
static int size_check(kmem_cache_t *cp, void *buf, size_t bytes, int kind)
{
	kmem_buftag_t *btp = kmem_buftag_of(cp, buf);
	uint32_t *word = (uint32_t *)btp;
	size_t marked = kmem_size_marked(cp, buf);

	if (marked == SIZE_MAX)
		return report(unsized_code(cp, buf), cp, buf, kind);
	if (bytes != SIZE_MAX && marked != bytes &&
	    wrong_size(cp, buf, bytes, marked, kind) != 0)
		return -1;
	if (((unsigned char *)buf)[marked] != KMEM_REDZONE_BYTE ||
	    !is_slack_whole(cp, buf, marked))
		return report(KMERR_REDZONE, cp, buf, kind);
	/* the byte may lie in the redzone; any other byte of that must be
	 * intact, which the check of the whole word does next */
	word[1] = KMEM_REDZONE_PATTERN >> 32;
	if (marked == cp->cache_buftag)
		*(unsigned char *)btp = KMEM_REDZONE_PATTERN & 0xff;
	return 0;
}

int kmem_debug_free_sized(kmem_cache_t *cp, const kmem_slab_t *sp, void *buf,
			  size_t bytes, int kind)
{
	uint32_t stack = capture(cp, buf);

	if (check_before(cp, sp, buf, kind) != 0)
		return -1;
	/* one mistake, one report: delete of new[] has another size too */
	if (kmem_kind_check(cp, buf, bytes, kind) != 0)
		bytes = SIZE_MAX;
	if (size_check(cp, buf, bytes, kind) != 0)
		return -1;
	return check_and_poison(cp, buf, stack, kind);
}

/* ---- which call belongs to which ---- */

static int has_operators; /* the program's own; set before threads start */

void kmem_kinds_loosen(void)
{
	has_operators = 1;
}

/** Kinds that free each other's buffers have the same answer. */
static int family(int kind)
{
	switch (kind) {
	case KMEM_KIND_MALLOC:
	case KMEM_KIND_MEMALIGN:
	case KMEM_KIND_REALLOC:
		return KMEM_KIND_MALLOC;
	case KMEM_KIND_NEW:
	case KMEM_KIND_NEW_ARRAY:
	case KMEM_KIND_NEW_ALIGNED:
	case KMEM_KIND_NEW_ALIGNED_ARRAY:
		return has_operators ? KMEM_KIND_MALLOC : kind;
	default:
		return kind;
	}
}

int kmem_kinds_match(int alloc_kind, int free_kind)
{
	return kmem_options.no_mismatch || alloc_kind == KMEM_KIND_NONE ||
	       free_kind == KMEM_KIND_NONE ||
	       family(alloc_kind) == family(free_kind);
}

int kmem_kind_check(kmem_cache_t *cp, void *buf, size_t bytes, int kind)
{
	const kmem_bufctl_audit_t *bcap = live_record(cp, buf);
	struct kmem_fault fault = {
		.code = KMERR_BADKIND,
		.cp = cp,
		.buf = buf,
		.kind = kind,
	};

	if (!bcap || kmem_kinds_match(bcap->bc_kind, kind))
		return 0;
	if (kmem_mismatch_is_harmless(bcap->bc_kind, kind, bytes)) {
		kmem_mismatch(cp, bcap,
			      cp->cache_flags & KMF_BUFTAG
				      ? kmem_size_marked(cp, buf)
				      : SIZE_MAX,
			      bytes, kind);
		return -1;
	}
	fault.alloc_kind = bcap->bc_kind;
	kmem_error(&fault);
	return -1;
}

void kmem_kind_set(void *p, int kind)
{
	kmem_cache_t *cp = kmem_addr_cache(p, NULL, NULL);
	kmem_bufctl_audit_t *bcap = cp ? live_record(cp, p) : NULL;
	size_t bytes = kmem_addr_oversize(p);

	if (bcap)
		bcap->bc_kind = (unsigned)kind & 0xf;
	if (bytes)
		(void)kmem_pagemap_set(p, 1, kmem_oversize_entry(bytes, kind));
}

int kmem_live_check(void *p, int kind)
{
	void *base = p;
	kmem_cache_t *cp = kmem_addr_cache(p, NULL, &base);
	int use = kind == KMEM_KIND_USABLE_SIZE;
	kmem_buftag_t *btp;

	if (!cp)
		return kmem_addr_oversize(p)
			       ? 0
			       : report(use ? KMERR_BADUSE : KMERR_BADADDR,
					NULL, p, kind);
	if (base != p || !(cp->cache_cflags & KMC_KMEM_ALLOC))
		return report(base != p ? KMERR_BADBASE : KMERR_BADCACHE, NULL,
			      p, kind);
	if (!(cp->cache_flags & KMF_BUFTAG))
		return 0;
	btp = kmem_buftag_of(cp, p);
	if (btp->bt_bxstat != bxstat(btp, KMEM_BUFTAG_FREE))
		return 0; /* live, or so damaged that freeing it will tell */
	return report(use ? KMERR_BADUSE : KMERR_DUPFREE, cp, p, kind);
}
