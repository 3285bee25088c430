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
 * (I1) An entry is used by its own thread only, and belongs to who began it
 *      last: a signal handler may take it over at any time.  The ticket in
 *      mo_key tells; it changes before and after everything else.
 * (I2) What is read when an entry is compared is on the stack that is known to
 *      be readable, as in a walk.
 * (I3) The words of an entry rise, but for the ones rbp was loaded from, which
 *      are below the frame that was found by it; the last is the highest.
 */
#include "unwind_memo.h"

kmem_memo_t *kmem_memo_begin(kmem_memo_table_t *table, const kmem_frame_t *from,
			     uintptr_t tag, uint32_t *ret_ticket)
{
	unsigned set = kmem_memo_set(from);
	unsigned way = table->mt_victim[set]++ % KMEM_MEMO_WAYS;
	kmem_memo_t *memo = &table->mt_memo[set][way];
	uint32_t ticket = ++table->mt_ticket;

	__atomic_store_n(&memo->mo_key, (uint64_t)ticket << 32,
			 __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* (I1) */
	memo->mo_tag = tag;
	memo->mo_pc = from->fr_pc;
	memo->mo_sp = from->fr_sp;
	memo->mo_bp = from->fr_bp;
	memo->mo_generation =
		__atomic_load_n(&unwind_generation, __ATOMIC_ACQUIRE);
	memo->mo_nwords = 0;
	memo->mo_has_bp = 0;
	*ret_ticket = ticket;
	return memo;
}

void kmem_memo_keep(kmem_memo_t *memo, uint32_t ticket, uint32_t id)
{
	uint64_t key = (uint64_t)ticket << 32;

	if (memo->mo_nwords > KMEM_MEMO_WORDS)
		id = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	/* another ticket: words of two stacks may be mixed in it */
	if (!__atomic_compare_exchange_n(&memo->mo_key, &key, key | id, 0,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		__atomic_store_n(&memo->mo_key, 0, __ATOMIC_RELAXED);
}
