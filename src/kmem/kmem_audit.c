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
#include <string.h>

#define NOWN 8 /* frames of ours a stack may begin with */

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
	static int answer = -1; /* every writer writes the same */
	const Elf64_Phdr *ph;

	if (answer >= 0)
		return answer;
	ph = (const void *)((const char *)&__ehdr_start + __ehdr_start.e_phoff);
	answer = 1;
	for (int i = 0; i < __ehdr_start.e_phnum; i++)
		if (ph[i].p_type == PT_INTERP)
			answer = 0;
	return answer;
}

static int is_own_pc(uintptr_t pc)
{
	return pc >= (uintptr_t)&__ehdr_start && pc < (uintptr_t)etext;
}

uint32_t kmem_stack_capture(void)
{
	uintptr_t pcs[KMEM_STACK_DEPTH + NOWN];
	kmem_memo_table_t *table;
	kmem_memo_t *memo = NULL;
	unsigned first = 0;
	unsigned depth;
	uint32_t ticket = 0;
	uint32_t id;
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);

	if (is_nested(frame) || kmem_ready != 2)
		return 0;
	capture_frame = frame;
	table = kmem_thread_self ? kmem_thread_self->th_memo : NULL;
	if (KM_UNLIKELY(!table))
		table = kmem_thread_memo();
	depth = kmem_options.stack_depth + NOWN;
	depth = table ? kmem_unwind_memo(table, pcs, depth, &memo, &ticket)
		      : kmem_unwind(pcs, depth, 0);
	if (memo && depth == 0) {
		capture_frame = 0;
		return ticket;
	}
	if (is_own_object())
		while (first + 1 < depth && is_own_pc(pcs[first + 1]))
			first++;
	depth -= first;
	if (depth > kmem_options.stack_depth)
		depth = kmem_options.stack_depth;
	id = kmem_stack_intern(pcs + first, depth);
	if (memo)
		kmem_memo_keep(memo, ticket, id);
	capture_frame = 0;
	return id;
}

void kmem_audit(kmem_cache_t *cp, kmem_bufctl_t *bcp, uint32_t stack, int what,
		int kind)
{
	kmem_bufctl_audit_t *bcap = (kmem_bufctl_audit_t *)bcp;
	void *record;

	bcap->bc_cache = cp;
	bcap->bc_timestamp = kmem_now();
	bcap->bc_thread = kmem_tid() & 0xffffff;
	bcap->bc_kind = (unsigned)kind & 0xf;
	bcap->bc_what = (unsigned)what & 0xf;
	bcap->bc_stack = stack;
	/* the copy holds the record before it, which makes a history */
	record = kmem_log_record(kmem_transaction_log, bcap);
	if (record)
		bcap->bc_lastlog = record;
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
