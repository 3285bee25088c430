/* SPDX-License-Identifier: MIT */
/*
 * The audit record of a transaction: who, when, from where.
 *
 * Frames of the library itself say nothing to the user, so all but the last,
 * which is the function the program called, are dropped before a stack is
 * stored.  In a program that has the library linked in statically there is no
 * telling them apart, and nothing is dropped.
 */
#include "kmem_thread.h"

#include <elf.h>
#include <stddef.h>
#include <string.h>

/* the linker's: where this object begins and its code ends */
extern const Elf64_Ehdr __ehdr_start KM_HIDDEN;
extern const char etext[] KM_HIDDEN;

#define NEST_BYTES ((uintptr_t)64 * 1024) /* of stack a capture uses at most */

/* where on its stack this thread began a capture that has not ended */
static __thread uintptr_t capture_frame;

/**
 * Is this capture within another one: the depot asks for memory, which asks
 * for a stack?  A signal handler may have left the other one by siglongjmp();
 * the mark it left counts only for frames that can be below it.
 */
static int is_nested(uintptr_t frame)
{
	return capture_frame - frame - 1 < NEST_BYTES;
}

/** Is the library an object of its own?  Looked up once. */
static int is_own_object(void)
{
	static int known = -1; /* atomic; every writer writes the same */
	int answer = KM_PEEK(known);
	const Elf64_Phdr *ph;

	if (answer >= 0)
		return answer;
	ph = (const void *)((uintptr_t)&__ehdr_start + __ehdr_start.e_phoff);
	answer = 1;
	for (int i = 0; i < __ehdr_start.e_phnum; i++)
		if (ph[i].p_type == PT_INTERP)
			answer = 0;
	KM_POKE(known, answer);
	return answer;
}

static int is_own_pc(uintptr_t pc)
{
	return pc >= (uintptr_t)&__ehdr_start && pc < (uintptr_t)etext;
}

/**
 * The frame that called the library, and the return address in the function it
 * called.  All of the library has frame pointers.  False when the chain of them
 * looks broken.
 */
static inline int find_caller(const uintptr_t *frame, kmem_frame_t *from,
			      uintptr_t *ret_own)
{
	const uintptr_t *next;

	*ret_own = 0;
	if (is_own_object())
		while (is_own_pc(frame[1])) {
			next = (const uintptr_t *)frame[0];
			if ((uintptr_t)next - (uintptr_t)frame - 1 >=
			    NEST_BYTES)
				return 0;
			*ret_own = frame[1];
			frame = next;
		}
	from->fr_pc = frame[1];
	from->fr_sp = (uintptr_t)(frame + 2);
	from->fr_bp = frame[0];
	return 1;
}

/** The number of a stack that is not remembered. */
static uint32_t __attribute__((noinline))
capture_new(kmem_memo_table_t *table, const kmem_frame_t *from, uintptr_t own)
{
	uintptr_t pcs[KMEM_STACK_DEPTH + 1];
	unsigned first = own ? 0 : 1;
	kmem_memo_t *memo = NULL;
	uint32_t ticket = 0;
	unsigned depth;
	uint32_t id;

	if (table)
		memo = kmem_memo_begin(table, from, own, &ticket);
	pcs[0] = own;
	depth = kmem_options.stack_depth - (first ? 0 : 1);
	if (depth > 0)
		depth = kmem_unwind_from(from, pcs + 1, depth, memo);
	depth += first ? 0 : 1;
	id = kmem_stack_intern(pcs + first, depth);
	if (memo)
		kmem_memo_keep(memo, ticket, id);
	return id;
}

uint32_t kmem_stack_capture(void)
{
	const uintptr_t *frame = __builtin_frame_address(0);
	kmem_memo_table_t *table;
	kmem_frame_t from;
	uintptr_t own;
	uint32_t id = 0;

	if (is_nested((uintptr_t)frame) || kmem_ready != 2)
		return 0;
	capture_frame = (uintptr_t)frame;
	table = kmem_thread_self ? kmem_thread_self->th_memo : NULL;
	if (KM_UNLIKELY(!table))
		table = kmem_thread_memo();
	if (KM_LIKELY(find_caller(frame, &from, &own))) {
		if (KM_LIKELY(table != NULL))
			id = kmem_memo_find(table, &from, own);
		if (!id)
			id = capture_new(table, &from, own);
	}
	capture_frame = 0;
	return id;
}

/** The last word of a record: thread, kind, what, stack.  Written whole, since
 * a word written in parts is waited for when it is read whole. */
static inline uint64_t who(uint32_t stack, int what, int kind)
{
	return (uint64_t)stack << 32 | ((uint64_t)what & 0xf) << 28 |
	       ((uint64_t)kind & 0xf) << 24 | (kmem_tid() & 0xffffff);
}

_Static_assert(sizeof(kmem_bufctl_audit_t) == 64, "the last word is at 56");
_Static_assert(offsetof(kmem_bufctl_audit_t, bc_stack) == 60, "in its half");

static inline void put_who(kmem_bufctl_audit_t *bcap, uint64_t word)
{
	((uint64_t *)(bcap + 1))[-1] = word;
}

void kmem_audit(kmem_cache_t *cp, kmem_bufctl_t *bcp, uint32_t stack, int what,
		int kind)
{
	kmem_bufctl_audit_t *bcap = (kmem_bufctl_audit_t *)bcp;
	kmem_cpu_log_header_t *clhp;
	kmem_bufctl_audit_t *record =
		kmem_log_reserve(kmem_transaction_log, sizeof(*record), &clhp);
	hrtime_t stamp = kmem_stamp();
	uint64_t word = who(stack, what, kind);

	/* the copy holds the record before it, which makes a history */
	if (record) {
		record->bc_next = NULL;
		record->bc_addr = bcap->bc_addr;
		record->bc_slab = bcap->bc_slab;
		record->bc_cache = cp;
		record->bc_timestamp = stamp;
		record->bc_lastlog = bcap->bc_lastlog;
		record->bc_contents = bcap->bc_contents;
		put_who(record, word);
		kmem_spin_exit(&clhp->clh_lock);
		bcap->bc_lastlog = record;
	}
	bcap->bc_cache = cp;
	bcap->bc_timestamp = stamp;
	put_who(bcap, word);
}

struct kmem_event kmem_event_of(const kmem_bufctl_audit_t *bcap)
{
	return (struct kmem_event){
		.ev_time = bcap->bc_timestamp,
		.ev_thread = bcap->bc_thread,
		.ev_stack = bcap->bc_stack,
		.ev_what = bcap->bc_what,
		.ev_kind = bcap->bc_kind,
	};
}

void *kmem_audit_contents(kmem_cache_t *cp, void *buf)
{
	return kmem_log_enter(kmem_content_log, buf, cp->cache_contents);
}

void kmem_log_event(kmem_log_header_t *lhp, kmem_cache_t *cp, kmem_slab_t *sp,
		    void *addr, int what, int kind)
{
	kmem_bufctl_audit_t record;

	if (!lhp)
		return;
	memset(&record, 0, sizeof(record));
	record.bc_addr = addr;
	record.bc_slab = sp;
	record.bc_cache = cp;
	record.bc_timestamp = kmem_now();
	record.bc_thread = kmem_tid() & 0xffffff;
	record.bc_kind = (unsigned)kind & 0xf;
	record.bc_what = (unsigned)what & 0xf;
	record.bc_stack = kmem_stack_capture();
	(void)kmem_log_enter(lhp, &record, sizeof(record));
}
