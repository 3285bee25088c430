/* SPDX-License-Identifier: MIT */
/*
 * Is a stack one that was captured before?  It is asked at each transaction of
 * an audited buffer, hence in line.  Theory in unwind_memo.c.
 */
#ifndef KMEM_UNWIND_MEMO_H
#define KMEM_UNWIND_MEMO_H

#include "unwind_impl.h"

#define KMEM_MEMO_SET_BITS 6

_Static_assert(1 << KMEM_MEMO_SET_BITS == KMEM_MEMO_SETS, "all sets are used");

/** The set a stack belongs in. */
static inline unsigned kmem_memo_set(const kmem_frame_t *from)
{
	return (unsigned)((from->fr_pc ^ from->fr_sp << 24) *
				  0x9e3779b97f4a7c15 >>
			  (64 - KMEM_MEMO_SET_BITS));
}

/** Bytes from sp on that are known to be readable. */
static inline uintptr_t kmem_memo_readable(uintptr_t sp)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t span =
			__atomic_load_n(&unwind_spans[i], __ATOMIC_RELAXED);
		uintptr_t lo = (span >> UNWIND_SPAN_BITS) * UNWIND_PAGE;
		uintptr_t bytes =
			(span & ((UINT64_C(1) << UNWIND_SPAN_BITS) - 1)) *
			UNWIND_PAGE;

		if (UNWIND_LIKELY(sp - lo < bytes))
			return bytes - (sp - lo);
	}
	return 0;
}

/** Are the words what they were?  (I2) */
static inline __attribute__((always_inline)) bool
kmem_memo_is_same(const kmem_memo_t *memo, uintptr_t sp)
{
	const uintptr_t *at = (const uintptr_t *)sp;
	unsigned n = memo->mo_nwords;
	uintptr_t differ = 0;

	if (n == 0 || n > KMEM_MEMO_WORDS ||
	    memo->mo_at[n - 1] * (uintptr_t)8 + 8 > kmem_memo_readable(sp))
		return false;
		/* nearly always all are the same: no branch a word */
#pragma GCC unroll 4
	for (unsigned i = 0; i < n; i++)
		differ |= at[memo->mo_at[i]] ^ memo->mo_word[i];
	return differ == 0;
}

/**
 * The depot id of a stack that is in the table; 0: it is not.
 *
 * @tag:  what distinguishes two stacks with the same frames
 */
static inline __attribute__((always_inline)) uint32_t
kmem_memo_find(const kmem_memo_table_t *table, const kmem_frame_t *from,
	       uintptr_t tag)
{
	uint64_t now = __atomic_load_n(&unwind_generation, __ATOMIC_ACQUIRE);
	const kmem_memo_t *set = table->mt_memo[kmem_memo_set(from)];

	for (unsigned i = 0; i < KMEM_MEMO_WAYS; i++) {
		const kmem_memo_t *memo = &set[i];
		uint64_t key = __atomic_load_n(&memo->mo_key, __ATOMIC_RELAXED);

		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		if (memo->mo_sp != from->fr_sp || memo->mo_pc != from->fr_pc ||
		    memo->mo_tag != tag || memo->mo_generation != now ||
		    (memo->mo_has_bp && memo->mo_bp != from->fr_bp) ||
		    !kmem_memo_is_same(memo, from->fr_sp))
			continue;
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(&memo->mo_key, __ATOMIC_RELAXED) == key &&
		    (uint32_t)key != 0) /* (I1) */
			return (uint32_t)key;
	}
	return 0;
}

#endif
