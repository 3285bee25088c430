/* SPDX-License-Identifier: MIT */
/*
 * The short way of audited buffers: malloc and free under KMEM_DEBUG when all
 * is well.
 *
 *   alloc   bin -> is it free and untouched? -> poison, mark, record
 *   free    is it live and whole? -> record, poison -> bin
 *
 * The checks are those of kmem_debug.c, each of them, but only asked: whether
 * all are passed.  When one is not, nothing has been changed yet, and the long
 * way makes them again, one by one, and reports.  Buffers of the short way lie
 * in the bins of the thread (kmem_thread.c), so it takes no lock.  What malloc()
 * and free() look at first, kmem_malloc_class and slab_flags, leads to none of
 * these bins.
 *
 * What a check has to read is asked for as early as its address is known: the
 * tag, the buffer and its record before the stack is captured, and those of the
 * next two rounds while this one is worked on.  Where a record is, the slab says
 * (kmem_slab.c): to wait for the tag first, and then for the record, was most of
 * what the free of a buffer cost that was not used for a while.
 *
 * malloc and free jump here (kmem_alloc.c), so that the function they were
 * called in is two frames up.
 *
 * A buffer is worked on inside the gate, so a snapshot finds it as it was
 * before or as it is after.
 */
#include "kmem_pattern.h"
#include "kmem_short.h"

/* what a cache must have, and must not, for the short way */
#define HAS    (KMF_AUDIT | KMF_REDZONE | KMF_HASH)
#define HASNOT (KMF_LITE | KMF_FIREWALL | KMF_NOMAGAZINE | KMF_RANDOMIZE)

int kmem_audited_is_short(const kmem_cache_t *cp)
{
	return (cp->cache_flags & (HAS | HASNOT)) == HAS && !cp->cache_mtbf &&
	       !cp->cache_constructor && !cp->cache_destructor &&
	       cp->cache_bufsize <= KMEM_BIN_BYTES;
}

/** Starts to fetch what the checks of a buffer will read. */
static inline void fetch(kmem_cache_t *cp, void *buf)
{
	__builtin_prefetch(kmem_buftag_of(cp, buf), 1);
	__builtin_prefetch(buf, 1);
}

/** The same of a buffer's record, which may lie on two lines. */
static inline void fetch_record(const void *bcp)
{
	__builtin_prefetch(bcp, 1);
	__builtin_prefetch((const char *)bcp + KMEM_BUFCTL_SHORT - 1, 1);
}

/** A free buffer of the thread's bin, or NULL. */
static inline __attribute__((always_inline)) void *take(kmem_thread_t *th,
							kmem_cache_t *cp)
{
	kmem_thread_bin_t *bin = &th->th_bin[cp->cache_class - 1];
	void *next[2];
	void *buf = kmem_bin_take(th, bin, next);

	if (KM_UNLIKELY(!buf))
		return kmem_thread_refill(cp->cache_class - 1);
	/* the tag of the next one was asked for the last time */
	fetch_record(KM_PEEK(kmem_buftag_of(cp, next[0])->bt_bufctl));
	fetch(cp, next[1]);
	return buf;
}

/** Makes a free buffer a live one of so many bytes; 0: it is damaged. */
static inline __attribute__((always_inline)) int
make_live(kmem_thread_t *th, kmem_cache_t *cp, void *buf, size_t bytes,
	  int kind)
{
	kmem_buftag_t *btp = kmem_buftag_of(cp, buf);
	kmem_bufctl_t *bcp = btp->bt_bufctl;
	uint32_t stack;

	stack = kmem_stack_recognise(th);
	if (KM_UNLIKELY(btp->bt_bxstat != kmem_bxstat(bcp, KMEM_BUFTAG_FREE) ||
			bcp->bc_addr != buf))
		return 0;
	if (cp->cache_flags & KMF_DEADBEEF) {
		if (KM_UNLIKELY(kmem_words_replace(KMEM_FREE_PATTERN,
						   KMEM_UNINITIALIZED_PATTERN,
						   buf,
						   cp->cache_verify) != NULL))
			return 0;
	}
	btp->bt_redzone = (uint64_t)KMEM_SIZE_ENCODE(bytes) << 32 |
			  (uint32_t)KMEM_REDZONE_PATTERN;
	btp->bt_bxstat = kmem_bxstat(bcp, KMEM_BUFTAG_ALLOC);
	((unsigned char *)buf)[bytes] = KMEM_REDZONE_BYTE;
	kmem_audit_by(th, cp, (kmem_bufctl_audit_t *)bcp, stack,
		      KMEM_WHAT_ALLOC, kind);
	return 1;
}

/** The long way. */
static void *__attribute__((noinline))
alloc_checked(kmem_cache_t *cp, size_t bytes, int kmflag, int kind)
{
	void *buf;

	kmem_gate_enter();
	buf = kmem_cache_alloc_kind(cp, kmflag, kind);
	if (buf)
		kmem_size_mark(cp, buf, bytes);
	kmem_gate_exit();
	return buf;
}

void *kmem_audited_alloc(kmem_cache_t *cp, size_t bytes, int kmflag, int kind)
{
	kmem_thread_t *th = kmem_thread_self;
	void *buf;

	/* the long way makes a record, if it can be */
	if (KM_UNLIKELY(!th) || KM_UNLIKELY(!cp->cache_class))
		return alloc_checked(cp, bytes, kmflag, kind);
	kmem_gate_step_in(th);
	buf = take(th, cp);
	if (KM_LIKELY(buf != NULL) &&
	    KM_UNLIKELY(!make_live(th, cp, buf, bytes, kind))) {
		if (kmem_debug_alloc(cp, buf, KM_NOSLEEP, 0, kind) == 0)
			kmem_size_mark(cp, buf, bytes);
		else
			buf = NULL;
	}
	kmem_gate_step_out(th);
	return KM_LIKELY(buf != NULL) ? buf
				      : alloc_checked(cp, bytes, kmflag, kind);
}

/** Is the padding in front of a buffer as it was filled? */
static inline int is_front_whole(const kmem_cache_t *cp, const kmem_slab_t *sp,
				 void *buf)
{
	size_t bytes = kmem_padding_before(cp, sp, buf);

	return !kmem_words_verify(KMEM_UNINITIALIZED_PATTERN,
				  (char *)buf - bytes, bytes);
}

/** Is what lies between the size mark and the redzone as it was filled? */
static inline int is_slack_whole(const kmem_cache_t *cp, void *buf,
				 size_t marked)
{
	uint64_t *word = (uint64_t *)buf + (marked + 1) / 8;
	const uint64_t *end = kmem_at(buf, cp->cache_verify);
	unsigned bits = (marked + 1) % 8 * 8;

	if (word >= end)
		return 1;
	/* the bytes up to the mark are the program's */
	if ((*word++ ^ KMEM_UNINITIALIZED_PATTERN) >> bits)
		return 0;
	return !kmem_words_verify(KMEM_UNINITIALIZED_PATTERN, word,
				  (size_t)(end - word) * 8);
}

/** Is a live buffer's tag in order, with its size mark of so many bytes?
 * SIZE_MAX: any size. */
static inline int is_tag_whole(const kmem_cache_t *cp, const void *buf,
			       size_t bytes, size_t *ret_marked)
{
	const kmem_buftag_t *btp =
		(const void *)((const char *)buf + cp->cache_buftag);
	uint32_t encoded = (uint32_t)(btp->bt_redzone >> 32);
	uint32_t rest = (uint32_t)btp->bt_redzone;
	size_t marked = KMEM_SIZE_DECODE(encoded);

	*ret_marked = marked;
	if (!KMEM_SIZE_VALID(encoded) || marked > cp->cache_bufsize ||
	    (bytes != SIZE_MAX && bytes != marked) ||
	    ((const unsigned char *)buf)[marked] != KMEM_REDZONE_BYTE)
		return 0;
	if (marked == cp->cache_buftag) /* the mark's byte is in the redzone */
		rest = (rest & ~0xffu) | (KMEM_REDZONE_PATTERN & 0xff);
	return rest == (uint32_t)KMEM_REDZONE_PATTERN;
}

/** Makes a live buffer a free one; 0: something is wrong with it. */
static inline __attribute__((always_inline)) int
make_free(kmem_thread_t *th, kmem_cache_t *cp, const kmem_slab_t *sp, void *buf,
	  size_t bytes, int kind)
{
	kmem_buftag_t *btp = kmem_buftag_of(cp, buf);
	kmem_bufctl_audit_t *bcap;
	uint32_t stack;
	size_t marked;

	stack = kmem_stack_recognise(th);
	bcap = (kmem_bufctl_audit_t *)btp->bt_bufctl;
	if (KM_UNLIKELY(btp->bt_bxstat !=
			kmem_bxstat((kmem_bufctl_t *)bcap, KMEM_BUFTAG_ALLOC)))
		return 0;
	if (KM_UNLIKELY(!is_tag_whole(cp, buf, bytes, &marked)))
		return 0;
	if ((cp->cache_flags & KMF_DEADBEEF) &&
	    KM_UNLIKELY(!is_front_whole(cp, sp, buf) ||
			!is_slack_whole(cp, buf, marked)))
		return 0;
	if (KM_UNLIKELY(bcap->bc_addr != buf) ||
	    (KM_UNLIKELY(bcap->bc_kind != (unsigned)kind) &&
	     !kmem_kinds_match(bcap->bc_kind, kind)))
		return 0;
	btp->bt_redzone = KMEM_REDZONE_PATTERN;
	btp->bt_bxstat = kmem_bxstat((kmem_bufctl_t *)bcap, KMEM_BUFTAG_FREE);
	if (KM_UNLIKELY(kmem_has_contents) && (cp->cache_flags & KMF_CONTENTS))
		kmem_audit_contents(cp, bcap, buf);
	kmem_audit_by(th, cp, bcap, stack, KMEM_WHAT_FREE, kind);
	if (cp->cache_flags & KMF_DEADBEEF)
		kmem_words_fill(KMEM_FREE_PATTERN, buf, cp->cache_verify);
	return 1;
}

static void __attribute__((noinline))
free_checked(kmem_cache_t *cp, const kmem_slab_t *sp, void *buf, size_t bytes,
	     int kind)
{
	kmem_gate_enter();
	if (kmem_debug_free_sized(cp, sp, buf, bytes, kind) == 0)
		kmem_cache_put(cp, buf, kind);
	kmem_gate_exit();
}

/** Puts what make_free() made in the thread's bin, or elsewhere. */
static inline __attribute__((always_inline)) void give(kmem_thread_t *th,
						       kmem_cache_t *cp,
						       kmem_thread_bin_t *bin,
						       void *buf, int kind)
{
	if (KM_UNLIKELY(!kmem_bin_put(th, bin, buf)) &&
	    !kmem_thread_overflow(cp->cache_class - 1, buf))
		kmem_cache_put(cp, buf, kind);
}

/** kmem_audited_free() by a thread with a record, of a class with bins. */
static inline __attribute__((always_inline)) void
free_short(kmem_thread_t *th, kmem_cache_t *cp, kmem_thread_bin_t *bin,
	   const kmem_slab_t *sp, void *buf, size_t bytes, int kind)
{
	kmem_gate_step_in(th);
	if (KM_UNLIKELY(!make_free(th, cp, sp, buf, bytes, kind))) {
		kmem_gate_step_out(th);
		free_checked(cp, sp, buf, bytes, kind);
		return;
	}
	give(th, cp, bin, buf, kind);
	kmem_gate_step_out(th);
}

void kmem_audited_free(kmem_cache_t *cp, const kmem_slab_t *sp, void *buf,
		       size_t bytes, int kind)
{
	kmem_thread_t *th = kmem_thread_self;

	if (KM_UNLIKELY(!th) || KM_UNLIKELY(!cp->cache_class))
		free_checked(cp, sp, buf, bytes, kind);
	else
		free_short(th, cp, &th->th_bin[cp->cache_class - 1], sp, buf,
			   bytes, kind);
}

void kmem_audited_put(void *p, size_t bytes, int kind)
{
	kmem_slab_t *sp = kmem_entry_slab(kmem_pagemap_entry(p));
	kmem_thread_t *th = kmem_thread_self;
	kmem_thread_bin_t *bin;
	kmem_cache_t *cp;
	uint32_t class;
	size_t i;

	if (KM_LIKELY(sp != NULL) && KM_LIKELY(th != NULL)) {
		cp = sp->slab_cache;
		class = cp->cache_class;
		bin = &th->th_bin[KM_LIKELY(class != 0) ? class - 1 : 0];
		if (KM_LIKELY(class != 0) &&
		    KM_LIKELY(kmem_base_index(sp, bin, p, &i))) {
			fetch(cp, p);
			fetch_record(kmem_slab_bufctl(sp, i));
			free_short(th, cp, bin, sp, p, bytes, kind);
			return;
		}
	}
	kmem_free_any(p, bytes, kind);
}
