/* SPDX-License-Identifier: MIT */
/*
 * Stacks that were captured before: recognised, not walked.
 *
 * A walk is a function of where it begins, of the rules of the code and of the
 * words it reads on the stack.  So when those words are what they were, and the
 * code is, the stack is the same, and its number in the depot is known.  To
 * compare a word costs a nanosecond, to find it out anew ten.
 *
 *   entry:  tag, pc, sp, rbp | (offset, word) (offset, word) ... | depot id
 *
 * Which words count: every return address that was met, and rbp, or the word it
 * was loaded from, only where a frame was found by it.  In code without frame
 * pointers rbp is just a number, and differs at every call.
 *
 * The set an entry is in comes of pc, sp and the first return address above,
 * whose place the cache of rules says of most code: a program that allocates
 * through a function of its own does so from one pc and one sp, by many ways.
 * It is a guess that decides where to look, and no more.
 *
 * (I1) An entry is used by its own thread only, and belongs to who began it
 *      last: a signal handler may take it over at any time.  The ticket in
 *      mo_key tells; it changes before and after everything else.
 * (I2) What is read when an entry is compared is on the stack that is known to
 *      be readable, as in a walk: in the span it was captured in, or in one of
 *      those there are now.
 * (I3) Entries of a table are of one generation of the unwinder's knowledge.
 *      Who begins an entry when there is another one forgets them all.  What a
 *      walk that began before finds is still of the old one, and is forgotten
 *      by the next.
 * (I4) The words of an entry are at least one, and filled up with copies of the
 *      first to a multiple of 4.
 */
#include "unwind_memo.h"

/** What of unwind_spans has all of [sp, sp + bytes), or 0. */
static uint64_t span_of(uintptr_t sp, uintptr_t bytes)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t span =
			__atomic_load_n(&unwind_spans[i], __ATOMIC_RELAXED);
		uintptr_t lo = (span >> UNWIND_SPAN_BITS) * UNWIND_PAGE;
		uintptr_t length =
			(span & ((UINT64_C(1) << UNWIND_SPAN_BITS) - 1)) *
			UNWIND_PAGE;

		if (sp - lo < length && bytes <= length - (sp - lo))
			return span;
	}
	return 0;
}

bool kmem_memo_is_readable(const kmem_memo_t *memo)
{
	return span_of(memo->mo_sp, memo->mo_end) != 0;
}

/** Forgets what a table has; (I3). */
static void forget(kmem_memo_table_t *table, uint64_t now)
{
	for (unsigned i = 0; i < KMEM_MEMO_SETS * KMEM_MEMO_WAYS; i++)
		__atomic_store_n(&table->mt_memo[0][i].mo_key, 0,
				 __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&table->mt_generation, now, __ATOMIC_RELAXED);
}

kmem_memo_t *kmem_memo_begin(kmem_memo_table_t *table, const kmem_frame_t *from,
			     uintptr_t tag, uint32_t *ret_ticket)
{
	uint64_t now = __atomic_load_n(&unwind_generation, __ATOMIC_ACQUIRE);
	unsigned set = kmem_memo_set(from);
	unsigned way = table->mt_victim[set]++ % KMEM_MEMO_WAYS;
	kmem_memo_t *memo = &table->mt_memo[set][way];
	uint32_t ticket = ++table->mt_ticket;

	if (UNWIND_UNLIKELY(table->mt_generation != now))
		forget(table, now);
	__atomic_store_n(&memo->mo_key, (uint64_t)ticket << 32,
			 __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* (I1) */
	memo->mo_sp = from->fr_sp;
	memo->mo_pc = from->fr_pc;
	memo->mo_tag = tag;
	memo->mo_bp = from->fr_bp;
	memo->mo_bp_mask = 0;
	memo->mo_nwords = 0;
	memo->mo_end = 0;
	*ret_ticket = ticket;
	return memo;
}

void kmem_memo_keep(kmem_memo_t *memo, uint32_t ticket, uint32_t id)
{
	uint64_t key = (uint64_t)ticket << 32;
	unsigned n = memo->mo_nwords;

	if (n == 0 || n > KMEM_MEMO_WORDS)
		id = 0;
	for (; id != 0 && n % 4 != 0; n++) { /* (I4) */
		memo->mo_at[n] = memo->mo_at[0];
		memo->mo_word[n] = memo->mo_word[0];
	}
	memo->mo_nwords = n;
	memo->mo_span = span_of(memo->mo_sp, memo->mo_end);
	if (memo->mo_span == 0)
		id = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	/* another ticket: words of two stacks may be mixed in it */
	if (!__atomic_compare_exchange_n(&memo->mo_key, &key, key | id, 0,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		__atomic_store_n(&memo->mo_key, 0, __ATOMIC_RELAXED);
}
