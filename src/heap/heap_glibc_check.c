/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What arenas, heaps and malloc's parameters say of themselves, once the chunks
 * and lists were read.
 *
 * (C1) An arena has as much memory as it counts, and never had less than it has.
 * (C2) What is free for other threads is an arena; no more threads share one than
 * a system can have: those that ended by a system call, or that the parent of a
 * vfork() has, count, but are not in the dump.  (C3) A bin that is not empty is
 * marked so.  (C4) A heap of 64 MB other than the first of its arena leads to one
 * made before; what of it can be written is no less than what is used.  (C5) There
 * were never more mapped chunks than there are.
 *
 * An arena that is locked is in the middle of something, and is passed over.
 */
#include <string.h>
#include "heap/heap_glibc_impl.h"

#define ALIGN_MASK    ((taddr_t)CHUNK_ALIGN - 1)
#define USER_END      ((taddr_t)1 << 47)
#define PAGE          4096u
#define THREADS_MAX   ((uint64_t)1 << 22) /* the kernel's limit of pids */
#define FLAGS_MAX     3u
#define NONCONTIGUOUS 2u
/* members of an arena that follow "next" */
#define NEXT_FREE      8u
#define ATTACHED       16u
#define MAX_SYSTEM_MEM 8u /* behind system_mem */
/* members of a heap_info */
#define HEAP_PREV 8u
#define HEAP_SIZE 16u
#define HEAP_OPEN 24u

static void tell(struct glibc_heap *gh, const struct glibc_arena *a,
		 uint64_t off, const char *what, uint64_t word)
{
	glibc_damage(gh, 0, a->addr + off,
		     "arena %s: %s overwritten (0x%" PRIx64 ")", a->name, what,
		     word);
}

static bool is_arena(const struct glibc_heap *gh, taddr_t addr)
{
	for (size_t i = 0; i < gh->arenas.n; i++)
		if (gh->arenas.v[i].addr == addr)
			return true;
	return false;
}

/* (C1) */
static void check_memory(struct glibc_heap *gh, const struct glibc_arena *a)
{
	uint64_t bytes = 0;
	uint64_t max = 0;

	for (size_t i = 0; i < gh->regions.n; i++) {
		const struct glibc_region *r = &gh->regions.v[i];

		if (&gh->arenas.v[r->arena] == a)
			bytes += r->end - r->base;
	}
	if (bytes != a->system_bytes)
		glibc_damage(gh, 0, a->addr + gh->lay.system_mem,
			     "arena %s: %" PRIu64
			     " bytes of its memory were found, it counts "
			     "%" PRIu64,
			     a->name, bytes, a->system_bytes);
	if (glibc_read(gh, a->addr + gh->lay.system_mem + MAX_SYSTEM_MEM,
		       &max) &&
	    max < a->system_bytes)
		tell(gh, a, gh->lay.system_mem + MAX_SYSTEM_MEM,
		     "max_system_mem", max);
}

/* (C2) */
static void check_sharing(struct glibc_heap *gh, const struct glibc_arena *a)
{
	uint64_t next = gh->lay.next;
	uint64_t word = 0;

	if (glibc_read(gh, a->addr + next + NEXT_FREE, &word) && word &&
	    (word == a->addr || !is_arena(gh, word)))
		tell(gh, a, next + NEXT_FREE, "next_free", word);
	if (glibc_read(gh, a->addr + next + ATTACHED, &word) &&
	    word > THREADS_MAX)
		tell(gh, a, next + ATTACHED, "attached_threads", word);
}

/* what it points at may be long gone, but was a chunk */
static void check_words(struct glibc_heap *gh, const struct glibc_arena *a)
{
	uint64_t word = 0;

	if (glibc_read(gh, a->addr + gh->lay.top + 8, &word) &&
	    ((word & ALIGN_MASK) || word >= USER_END))
		tell(gh, a, gh->lay.top + 8, "last_remainder", word);
	if (a->flags > FLAGS_MAX ||
	    (!a->is_main && !(a->flags & NONCONTIGUOUS)))
		tell(gh, a, 4, "flags", a->flags);
}

/* (C3) */
static void check_binmap(struct glibc_heap *gh, const struct heap_freelist *l)
{
	taddr_t at = l->owner + gh->lay.bins + GLIBC_NBINS * 16ull +
		     l->index / 32 * 4;

	if (l->is_thread || strcmp(l->where, "fastbin") == 0 || l->index < 2 ||
	    glibc_u32(gh, at) >> l->index % 32 & 1)
		return;
	glibc_damage(gh, 0, at,
		     "arena 0x%" PRIx64
		     ": binmap overwritten: the %s of %" PRIu64
		     " bytes is not empty",
		     l->owner, l->where, l->min_bytes);
}

static bool is_heap_of(const struct glibc_heap *gh, taddr_t base, size_t arena)
{
	for (size_t i = 0; i < gh->regions.n; i++)
		if (gh->regions.v[i].base == base &&
		    gh->regions.v[i].arena == arena)
			return true;
	return false;
}

/* (C4) */
static void check_heap(struct glibc_heap *gh, const struct glibc_region *r)
{
	const struct glibc_arena *a = &gh->arenas.v[r->arena];
	bool is_first = a->addr > r->base && a->addr < r->start;
	uint64_t prev = 0;
	uint64_t size = 0;
	uint64_t open = 0;

	if (a->is_main || !glibc_read(gh, r->base + HEAP_PREV, &prev) ||
	    !glibc_read(gh, r->base + HEAP_SIZE, &size) ||
	    !glibc_read(gh, r->base + HEAP_OPEN, &open))
		return;
	if (is_first ? prev != 0
		     : prev == r->base || !is_heap_of(gh, prev, r->arena))
		glibc_damage(gh, 0, r->base + HEAP_PREV,
			     "heap 0x%" PRIx64
			     " of arena %s: prev overwritten (0x%" PRIx64 ")",
			     r->base, a->name, prev);
	if (open < size || open % PAGE)
		glibc_damage(gh, 0, r->base + HEAP_OPEN,
			     "heap 0x%" PRIx64
			     " of arena %s: mprotect_size overwritten "
			     "(0x%" PRIx64 ")",
			     r->base, a->name, open);
}

/* (C5) */
static void check_params(struct glibc_heap *gh)
{
	taddr_t at = gh->lay.mp_n_mmaps;
	uint64_t bytes = 0;
	uint64_t max = 0;

	if (!at)
		return;
	if (gh->arenas.v[0].system_bytes && gh->regions.n &&
	    !(gh->arenas.v[0].flags & NONCONTIGUOUS) &&
	    !target_map_at(gh->t, gh->lay.sbrk_base))
		glibc_damage(gh, 0, gh->lay.mp_mmapped + 16,
			     "malloc's sbrk_base overwritten (0x%" PRIx64 ")",
			     gh->lay.sbrk_base);
	if (glibc_u32(gh, at) > glibc_u32(gh, at + 8))
		glibc_damage(gh, 0, at + 8,
			     "malloc's max_n_mmaps overwritten (%u)",
			     glibc_u32(gh, at + 8));
	if (glibc_read(gh, gh->lay.mp_mmapped, &bytes) &&
	    glibc_read(gh, gh->lay.mp_mmapped + 8, &max) && bytes > max)
		glibc_damage(gh, 0, gh->lay.mp_mmapped + 8,
			     "malloc's max_mmapped_mem overwritten "
			     "(0x%" PRIx64 ")",
			     max);
}

void glibc_check(struct glibc_heap *gh)
{
	for (size_t i = 0; i < gh->arenas.n; i++) {
		const struct glibc_arena *a = &gh->arenas.v[i];

		if (a->is_locked)
			continue;
		check_memory(gh, a);
		check_sharing(gh, a);
		check_words(gh, a);
		for (size_t k = 0; k < gh->lists.n; k++)
			if (gh->lists.v[k].pub.owner == a->addr)
				check_binmap(gh, &gh->lists.v[k].pub);
		for (size_t k = 0; k < gh->regions.n; k++)
			if (&gh->arenas.v[gh->regions.v[k].arena] == a)
				check_heap(gh, &gh->regions.v[k]);
	}
	check_params(gh);
}
