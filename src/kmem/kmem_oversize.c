/* SPDX-License-Identifier: MIT */
/*
 * Requests above the largest cache: segments of kmem_oversize.
 *
 *   | the bytes asked for | BB | pattern of fresh memory ... | end of a page
 *   0                     n    <------- at least 15 -------->
 *
 * Such a buffer has no bufctl and no tag.  Its size and the kind of call that
 * allocated it are in the page map, who did is in the segment, and what lies
 * behind it to the end of its last page is filled when checks are on; if that
 * were less than KMEM_OVERSIZE_TAG, the segment has another page.  Its content
 * is not filled and not verified: that would make memory real that the program
 * may never touch.
 *
 * When it is freed its memory goes back to the heap at once.  A second free is
 * known by the page map, and who was first by a table of the recently freed,
 * which firewalled buffers share: they leave no bufctl either.  An entry of the
 * table is replaced by the next address that falls on it; it is written without
 * a lock, with its address last.  A reader sees a mixture only if two buffers of
 * one entry are freed in the same instant.
 */
#include "kmem_short.h"

#include <string.h>

#define GONE_MAX 256 /* a power of two */

/* what a segment is longer than the request; the debugger takes it off */
uint32_t kmem_oversize_tag;
vmem_t *kmem_oversize_arena;

static struct kmem_gone gone_table[GONE_MAX] KM_SELDOM;

/* ---- what is gone ---- */

static struct kmem_gone *gone_slot(const void *p)
{
	uint64_t hash = ((uintptr_t)p >> 12) * 0x9e3779b97f4a7c15UL;

	return &gone_table[hash >> 56 & (GONE_MAX - 1)];
}

/** Copies whole words, of which two threads may write the same at once. */
static void copy_words(void *to, const void *from, size_t bytes)
{
	for (size_t i = 0; i < bytes / 8; i++)
		KM_POKE(((uint64_t *)to)[i], ((const uint64_t *)from)[i]);
}

void kmem_gone_note(const struct kmem_gone *gone)
{
	struct kmem_gone *slot = gone_slot(gone->gn_addr);

	__atomic_store_n(&slot->gn_addr, NULL, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	copy_words(slot->gn_origin, gone->gn_origin, sizeof(slot->gn_origin));
	copy_words(slot->gn_event, gone->gn_event, sizeof(slot->gn_event));
	__atomic_store_n(&slot->gn_addr, gone->gn_addr, __ATOMIC_RELEASE);
}

const struct kmem_gone *kmem_gone_find(const void *p)
{
	const struct kmem_gone *slot = gone_slot(p);
	const void *addr = __atomic_load_n(&slot->gn_addr, __ATOMIC_ACQUIRE);

	return p && addr == p ? slot : NULL;
}

/**
 * Logs a transaction of an oversize buffer.  In its record the arena stands for
 * the cache, and the bytes asked for where the slab is.
 */
static void log_transaction(const void *p, size_t bytes,
			    const struct kmem_event *event)
{
	kmem_bufctl_audit_t record = {
		.bc_addr = (void *)(uintptr_t)p,
		.bc_slab = (void *)bytes,
		.bc_cache = (void *)kmem_oversize_arena,
		.bc_timestamp = event->ev_time,
	};

	kmem_audit_put_word(&record,
			    kmem_audit_word(event->ev_thread, event->ev_stack,
					    event->ev_what, event->ev_kind));
	(void)kmem_log_enter(kmem_transaction_log, &record, sizeof(record));
}

static void log_begin(const void *p, size_t bytes, int kind)
{
	struct kmem_event event;

	if (!(kmem_flags & KMF_AUDIT) || !kmem_transaction_log)
		return;
	event = vmem_seg_event(kmem_oversize_arena, p);
	event.ev_what = KMEM_WHAT_ALLOC;
	event.ev_kind = kind;
	log_transaction(p, bytes, &event);
}

/** Remembers the end of an oversize buffer, if anything is checked. */
static void note_end(const void *p, size_t bytes, int kind)
{
	struct kmem_gone gone = {
		.gn_addr = p,
		.gn_origin = "kmem_oversize",
	};

	if (!kmem_oversize_tag)
		return;
	if (kmem_flags & KMF_AUDIT) {
		gone.gn_event[0] = (struct kmem_event){
			.ev_time = kmem_now(),
			.ev_thread = kmem_tid(),
			.ev_stack = kmem_stack_capture(),
			.ev_what = KMEM_WHAT_FREE,
			.ev_kind = kind,
		};
		gone.gn_event[1] = vmem_seg_event(kmem_oversize_arena, p);
		log_transaction(p, bytes, &gone.gn_event[0]);
	}
	kmem_gone_note(&gone);
}

/* ---- guards ---- */

/** From the end of the request to that of its last page. */
static size_t guard_end(size_t bytes)
{
	return (bytes + kmem_oversize_tag + KMEM_PAGE - 1) & -KMEM_PAGE;
}

static void put_guard(void *p, size_t bytes)
{
	const uint64_t pattern = KMEM_UNINITIALIZED_PATTERN;
	unsigned char *byte = p;
	size_t i = bytes + 1;

	byte[bytes] = KMEM_REDZONE_BYTE;
	for (; i % 8 != 0; i++)
		byte[i] = pattern >> (i % 8 * 8) & 0xff;
	kmem_pattern_fill(pattern, byte + i, guard_end(bytes) - i);
}

static int is_guard_whole(const void *p, size_t bytes)
{
	return !kmem_oversize_tag ||
	       (((const unsigned char *)p)[bytes] == KMEM_REDZONE_BYTE &&
		kmem_is_fresh(p, bytes + 1, guard_end(bytes)));
}

/* ---- requests ---- */

static void note_peak(void)
{
	size_t n = vmem_nallocated(kmem_oversize_arena);

	kmem_peak(&kmem_peaks.pk_nlarge, n);
	kmem_peak(&kmem_peaks.pk_large,
		  vmem_size(kmem_oversize_arena, VMEM_ALLOC) -
			  n * kmem_oversize_tag);
}

void *kmem_oversize_alloc(size_t bytes, size_t align, int kmflag, int kind)
{
	kmem_waiter_t w = {.kw_bytes = bytes};
	int waits = kmem_has_to_wait(kmflag);
	int vmflag = (kmflag | (waits ? KM_NOSLEEP : 0)) & VM_KMFLAGS;
	size_t total = bytes + kmem_oversize_tag;
	void *p = NULL;

	if (bytes > SIZE_MAX / 64 && !(kmflag & KM_NOSLEEP))
		kmem_panic("kmem_alloc(%lu): no memory is that large", bytes);
	while (bytes <= SIZE_MAX / 64) {
		if (!waits || !kmem_has_to_queue())
			p = vmem_alloc_kind(kmem_oversize_arena, total, align,
					    vmflag, kind);
		if (p || !waits)
			break;
		kmem_memory_wait(&w);
	}
	kmem_memory_got(&w);
	if (p && kmem_pagemap_set(p, 1, kmem_oversize_entry(bytes, kind))) {
		vmem_xfree(kmem_oversize_arena, p, total);
		p = kmem_no_memory(bytes, kmflag);
	}
	note_peak();
	if (!p)
		kmem_log_event(kmem_failure_log, NULL, NULL, (void *)bytes,
			       KMEM_WHAT_FAIL, kind);
	else if (kmem_oversize_tag)
		put_guard(p, bytes);
	if (p)
		log_begin(p, bytes, kind);
	return p;
}

static uintptr_t oversize_entry(const void *p)
{
	uintptr_t entry = kmem_pagemap_get(p);

	return (entry & KMEM_PAGE_OVERSIZE) && !((uintptr_t)p & (KMEM_PAGE - 1))
		       ? entry
		       : 0;
}

size_t kmem_addr_oversize(const void *p)
{
	return oversize_entry(p) >> 5;
}

/** Records a free that does not fit the allocation but is to be done; 0: it is
 * to be reported. */
static int note_mismatch(void *p, size_t bytes, size_t size, int alloc_kind,
			 int kind)
{
	kmem_bufctl_audit_t alloc = {.bc_addr = p};
	struct kmem_event event = {0};

	if (!kmem_mismatch_is_harmless(alloc_kind, kind, size))
		return 0;
	if (kmem_flags & KMF_AUDIT)
		event = vmem_seg_event(kmem_oversize_arena, p);
	alloc.bc_timestamp = event.ev_time;
	kmem_audit_put_word(&alloc,
			    kmem_audit_word(event.ev_thread, event.ev_stack,
					    KMEM_WHAT_ALLOC, alloc_kind));
	kmem_mismatch(NULL, &alloc, bytes, size, kind);
	return 1;
}

/** The checks before a free; 0, or -1: reported, leave it alone. */
static int check(void *p, size_t bytes, size_t size, int kind)
{
	struct kmem_fault fault = {
		.buf = p,
		.kind = kind,
		.alloc_kind = oversize_entry(p) >> 1 & 0xf,
		.freed_bytes = size,
		.bytes = bytes,
	};

	if (bytes == 0) {
		fault.code = KMERR_BADADDR;
	} else if ((kmem_flags & KMF_AUDIT) &&
		   !kmem_kinds_match(fault.alloc_kind, kind)) {
		fault.code = KMERR_BADKIND;
		if (!note_mismatch(p, bytes, size, fault.alloc_kind, kind))
			kmem_error(&fault);
		return 0; /* it is a buffer all the same */
	} else if (size != SIZE_MAX && size != bytes &&
		   !note_mismatch(p, bytes, size, fault.alloc_kind, kind)) {
		fault.code = KMERR_BADSIZE;
	} else if (!is_guard_whole(p, bytes)) {
		fault.code = KMERR_REDZONE;
	} else {
		return 0;
	}
	kmem_error(&fault);
	return -1;
}

void kmem_oversize_free(void *p, size_t size, int kind)
{
	size_t bytes = kmem_addr_oversize(p);

	if (check(p, bytes, size, kind) != 0)
		return;
	note_end(p, bytes, kind);
	(void)kmem_pagemap_set(p, 1, KMEM_PAGE_FREED); /* the node is there */
	vmem_xfree(kmem_oversize_arena, p, bytes + kmem_oversize_tag);
	if (KM_UNLIKELY(kmem_waiters != NULL))
		kmem_memory_freed();
}
