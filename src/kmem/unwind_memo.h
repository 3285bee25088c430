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
_Static_assert(KMEM_MEMO_WORDS % 4 == 0, "words are compared by fours");

/** The first return address above, if it is near and where that is is known by
 * pc; else 0. */
static inline __attribute__((always_inline)) uintptr_t
kmem_memo_above(const kmem_frame_t *from)
{
	uint64_t entry = __atomic_load_n(unwind_cache_slot(from->fr_pc),
					 __ATOMIC_RELAXED);
	uintptr_t at = from->fr_sp - 8;

	/* with the bit that says RULE_OTHER */
	if (UNWIND_UNLIKELY(entry >> (UNWIND_RULE_BITS - 1) != from->fr_pc * 2))
		return 0;
	at += (entry >> 4 & UNWIND_WORDS_MAX) * 8;
	/* the page sp is in can be read */
	return UNWIND_LIKELY((at ^ from->fr_sp) < UNWIND_PAGE) ? unwind_word(at)
							       : 0;
}

/** The set a stack belongs in. */
static inline __attribute__((always_inline)) unsigned
kmem_memo_set(const kmem_frame_t *from)
{
	return (unsigned)((from->fr_pc ^ from->fr_sp << 24 ^
			   kmem_memo_above(from) << 11) *
				  0x9e3779b97f4a7c15 >>
			  (64 - KMEM_MEMO_SET_BITS));
}

/** Is it known by another span than the entry's that it can be read?  (I2) */
KM_HIDDEN bool kmem_memo_is_readable(const kmem_memo_t *memo);

/** Are the words what they were? */
static inline __attribute__((always_inline)) bool
kmem_memo_is_same(const kmem_memo_t *memo, uintptr_t sp)
{
	const uintptr_t *at = (const uintptr_t *)sp;
	const uintptr_t *word = memo->mo_word;
	const uint16_t *i = memo->mo_at;
	const uint16_t *end = i + memo->mo_nwords;
	uintptr_t differ = 0;

	/* nearly always all are the same: no branch a word */
	do {
		differ |= at[i[0]] ^ word[0];
		differ |= at[i[1]] ^ word[1];
		differ |= at[i[2]] ^ word[2];
		differ |= at[i[3]] ^ word[3];
		word += 4;
		i += 4;
	} while (i < end);
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
	uint64_t span = __atomic_load_n(&unwind_spans[0], __ATOMIC_RELAXED);
	const kmem_memo_t *memo = table->mt_memo[kmem_memo_set(from)];
	const kmem_memo_t *end = memo + KMEM_MEMO_WAYS;

	if (UNWIND_UNLIKELY(
		    table->mt_generation !=
		    __atomic_load_n(&unwind_generation, __ATOMIC_ACQUIRE)))
		return 0;
	for (; memo < end; memo++) {
		uint64_t key = __atomic_load_n(&memo->mo_key, __ATOMIC_RELAXED);

		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		if (memo->mo_sp != from->fr_sp || memo->mo_pc != from->fr_pc ||
		    memo->mo_tag != tag || (uint32_t)key == 0 ||
		    ((memo->mo_bp ^ from->fr_bp) & memo->mo_bp_mask) ||
		    (UNWIND_UNLIKELY(memo->mo_span != span) &&
		     !kmem_memo_is_readable(memo)) ||
		    !kmem_memo_is_same(memo, from->fr_sp))
			continue;
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(&memo->mo_key, __ATOMIC_RELAXED) == key)
			return (uint32_t)key; /* (I1) */
	}
	return 0;
}

#endif
