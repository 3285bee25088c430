/* SPDX-License-Identifier: MIT */
/*
 * Calls that do not belong together: new and free, malloc and delete, new[] and
 * delete, a sized delete that tells another size.
 *
 * They are a mistake in most programs and harmless in all that run without this
 * library: a shared object may have the operators of a static C++ library
 * hidden in it, which are malloc() and free() to everybody else, and pass what
 * they gave to an object that has not.  So such a free is done as if all were
 * well, and remembered, for a dump to tell:
 *
 *   kmem_mismatch_log   [ alloc | free | sizes | count ] [ ... ] ...
 *
 * A table by the hash of both stacks, of the first free of each pair of them;
 * the next ones are counted.  It has a fixed size, needs no memory and is never
 * overwritten: a pair that finds no room near its place is counted in
 * kmem_mismatches only, as all are.
 *
 * Invariant: an entry with a count is whole and stays as it is, but for the
 * count.  All is written under kmem_mismatch_lock.
 */
#include "kmem_short.h"

#include <string.h>

#define PROBES 32 /* entries looked at for a pair */

kmem_mismatch_log_t kmem_mismatch_log KM_SELDOM;
uint64_t kmem_mismatches;
kmem_mutex_t kmem_mismatch_lock;

/** Is it one of the calls that the C library has too? */
static int is_of_libc(int kind)
{
	switch (kind) {
	case KMEM_KIND_NONE: /* not known: nothing is audited */
	case KMEM_KIND_MALLOC:
	case KMEM_KIND_MEMALIGN:
	case KMEM_KIND_REALLOC:
	case KMEM_KIND_NEW:
	case KMEM_KIND_NEW_ARRAY:
	case KMEM_KIND_NEW_ALIGNED:
	case KMEM_KIND_NEW_ALIGNED_ARRAY:
		return 1;
	default:
		return 0;
	}
}

/** Is it a call of the C library's that tells a size?  free() does not, and
 * who does for memalign is umem_free_align(). */
static int may_tell_size(int kind)
{
	return kind != KMEM_KIND_MALLOC && kind != KMEM_KIND_MEMALIGN &&
	       kind != KMEM_KIND_REALLOC;
}

int kmem_mismatch_is_harmless(int alloc_kind, int free_kind, size_t freed_bytes)
{
	return !kmem_options.abort_mismatch && is_of_libc(alloc_kind) &&
	       is_of_libc(free_kind) &&
	       (freed_bytes == SIZE_MAX || may_tell_size(free_kind));
}

static int is_same(const kmem_mismatch_t *a, const kmem_mismatch_t *b)
{
	return a->mm_alloc.bc_stack == b->mm_alloc.bc_stack &&
	       a->mm_alloc.bc_kind == b->mm_alloc.bc_kind &&
	       a->mm_free.bc_stack == b->mm_free.bc_stack &&
	       a->mm_free.bc_kind == b->mm_free.bc_kind;
}

static uint32_t place_of(const kmem_mismatch_t *m)
{
	uint64_t both =
		(uint64_t)m->mm_alloc.bc_stack << 32 | m->mm_free.bc_stack;

	return (uint32_t)(both * 0x9e3779b97f4a7c15UL >> 32);
}

/** Counts the pair, which is recorded if it is new; the lock is held. */
static void enter(const kmem_mismatch_t *m)
{
	uint32_t place = place_of(m);

	kmem_mismatches++;
	for (uint32_t i = 0; i < PROBES; i++) {
		kmem_mismatch_t *slot =
			&kmem_mismatch_log
				 .mml_pair[(place + i) % KMEM_MISMATCH_MAX];

		if (slot->mm_count == 0) {
			*slot = *m;
			slot->mm_free.bc_lastlog = &slot->mm_alloc;
		}
		if (is_same(slot, m)) {
			slot->mm_count++;
			return;
		}
	}
}

void kmem_mismatch(kmem_cache_t *cp, const kmem_bufctl_audit_t *alloc,
		   size_t bytes, size_t freed_bytes, int kind)
{
	kmem_mismatch_t m;

	memset(&m, 0, sizeof(m));
	m.mm_alloc = kmem_record_of(alloc, cp);
	m.mm_alloc.bc_lastlog = NULL;
	m.mm_free.bc_addr = alloc->bc_addr;
	m.mm_free.bc_slab = alloc->bc_slab;
	m.mm_free.bc_cache = cp;
	m.mm_free.bc_timestamp =
		kmem_stamp_after(kmem_thread_self, alloc->bc_timestamp);
	kmem_audit_put_word(&m.mm_free,
			    kmem_audit_word(kmem_tid(), kmem_stack_capture(),
					    KMEM_WHAT_FREE, kind));
	m.mm_bytes = bytes;
	m.mm_freed_bytes = freed_bytes;
	kmem_mutex_enter(&kmem_mismatch_lock);
	enter(&m);
	kmem_mutex_exit(&kmem_mismatch_lock);
}
