/* SPDX-License-Identifier: MIT */
/*
 * The audit record of a transaction: who, when, from where.
 *
 * Frames of the library itself say nothing to the user, so all but the last,
 * which is the function the program called, are dropped before a stack is
 * stored.  In a program that has the library linked in statically there is no
 * telling them apart, and nothing is dropped.
 */
#include "kmem_short.h"

#include <string.h>

/* where on its stack this thread began a capture that has not ended */
static __thread uintptr_t capture_frame;

/**
 * Is this capture within another one: the depot asks for memory, which asks
 * for a stack?  A signal handler may have left the other one by siglongjmp();
 * the mark it left counts only for frames that can be below it.
 */
static int is_nested(uintptr_t frame)
{
	return capture_frame - frame - 1 < KMEM_NEST_BYTES;
}

struct kmem_own_code kmem_own_code;

void kmem_audit_init(void)
{
	const Elf64_Phdr *ph =
		(const void *)((uintptr_t)&__ehdr_start + __ehdr_start.e_phoff);

	for (int i = 0; i < __ehdr_start.e_phnum; i++)
		if (ph[i].p_type == PT_INTERP)
			return; /* the program itself */
	kmem_own_code.oc_start = (uintptr_t)&__ehdr_start;
	kmem_own_code.oc_bytes = (uintptr_t)etext - (uintptr_t)&__ehdr_start;
}

int kmem_find_caller(const uintptr_t *frame, kmem_frame_t *from,
		     uintptr_t *ret_own)
{
	const uintptr_t *next;

	*ret_own = 0;
	while (kmem_is_own_pc(frame[1])) {
		next = (const uintptr_t *)frame[0];
		if ((uintptr_t)next - (uintptr_t)frame - 1 >= KMEM_NEST_BYTES)
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
	if (KM_LIKELY(kmem_find_caller(frame, &from, &own))) {
		if (KM_LIKELY(table != NULL))
			id = kmem_memo_find(table, &from, own);
		if (!id)
			id = capture_new(table, &from, own);
	}
	capture_frame = 0;
	return id;
}

/* written while starting only */
size_t kmem_bufctl_audit_size = KMEM_BUFCTL_SHORT;
int kmem_has_contents;

kmem_bufctl_audit_t kmem_record_of(const kmem_bufctl_audit_t *bcap,
				   kmem_cache_t *cp)
{
	kmem_bufctl_audit_t record = {.bc_cache = cp};

	memcpy(&record, bcap, KMEM_BUFCTL_SHORT);
	record.bc_next = NULL;
	if (kmem_has_contents)
		record.bc_contents = bcap->bc_contents;
	return record;
}

void kmem_audit(kmem_cache_t *cp, kmem_bufctl_t *bcp, uint32_t stack, int what,
		int kind)
{
	kmem_audit_by(kmem_thread_self, cp, (kmem_bufctl_audit_t *)bcp, stack,
		      what, kind);
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

void kmem_audit_contents(kmem_cache_t *cp, kmem_bufctl_audit_t *bcap, void *buf)
{
	if (kmem_has_contents)
		bcap->bc_contents = kmem_log_enter(kmem_content_log, buf,
						   cp->cache_contents);
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
	kmem_audit_put_word(
		&record,
		kmem_audit_word(kmem_tid(), kmem_stack_capture(), what, kind));
	(void)kmem_log_enter(lhp, &record, sizeof(record));
}
