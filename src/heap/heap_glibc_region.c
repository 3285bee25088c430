/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The regions of the arenas.
 *
 * The main arena has what the break gave it, from where malloc found the break to
 * the end of its top chunk.  (R1) When the break could not be moved, or malloc was
 * told to use huge pages, it is not contiguous: further memory was mapped, which
 * begins at a page with a chunk, and ends at one with two fences, or with the top
 * chunk.  The kernel merges such an extent with mappings beside it, so that each
 * page of anonymous memory may be the begin of one: it is one if a chain of chunks
 * leads from it to an end.  Where damage breaks the chain after many chunks, the
 * next fences at the end of a page are taken for its end.
 *
 * (R2) The heaps of the other arenas begin at multiples of their largest size, 64
 * MB or four huge pages, with a heap_info that names the arena.
 */
#include <elf.h>
#include <stdlib.h>
#include "heap/heap_glibc_impl.h"

#define PAGE           4096u
#define HEAP_ALIGN     ((taddr_t)8 << 20)
#define CHAIN_SOUND    8u /* so many sound chunks are no accident */
#define FOREIGN_MAX    ((taddr_t)64 << 20) /* between two moves of the break */
#define ARENA_PAST_END ((size_t)-1)

/* ---- memory ---------------------------------------------------------- */

static bool is_memory(const struct target_map *map)
{
	return (map->prot & PF_W) && !map->path;
}

/* Anonymous memory without a gap: advice on a part makes maps of it.  *i: the map
 * to look at first; is the one behind the run, then. */
static bool next_run(const struct target *t, size_t *i, taddr_t *ret_start,
		     taddr_t *ret_end)
{
	size_t n = target_nmaps(t);

	while (*i < n && !is_memory(target_map(t, *i)))
		++*i;
	if (*i == n)
		return false;
	*ret_start = target_map(t, *i)->start;
	*ret_end = target_map(t, *i)->end;
	while (++*i < n && is_memory(target_map(t, *i)) &&
	       target_map(t, *i)->start == *ret_end)
		*ret_end = target_map(t, *i)->end;
	return true;
}

/* the run that holds addr; false: it is in none */
static bool run_at(const struct target *t, taddr_t addr, taddr_t *ret_start,
		   taddr_t *ret_end)
{
	for (size_t i = 0; next_run(t, &i, ret_start, ret_end);)
		if (addr >= *ret_start && addr < *ret_end)
			return true;
	return false;
}

/* ---- regions --------------------------------------------------------- */

static void add_region(struct glibc_heap *gh, taddr_t base, taddr_t start,
		       taddr_t end, size_t arena)
{
	struct glibc_region r = {
		.start = (start + GRANULE - 1) & ~(taddr_t)(GRANULE - 1),
		.base = base,
		.end = end,
		.arena = arena,
	};

	if (r.end > r.start && r.end - r.start >= CHUNK_HEAD)
		VEC_PUSH(&gh->regions, r);
}

/* where the break was when malloc came last: the top chunk ends there */
static taddr_t main_end(struct glibc_heap *gh, taddr_t base, taddr_t limit)
{
	const struct glibc_arena *a = &gh->arenas.v[0];
	uint64_t head = 0;
	taddr_t end = a->top;
	taddr_t counted = base + a->system_bytes;

	if (glibc_read(gh, a->top + 8, &head))
		end += head & ~(uint64_t)CHUNK_FLAGS;
	bool is_sound = a->top >= base && end > a->top && end <= limit &&
			end % GRANULE == 0;

	if (a->flags & NONCONTIGUOUS)
		return is_sound ? end : limit;
	/* two witnesses: the top chunk, and what the arena counts */
	if (counted == end || (is_sound && end % PAGE == 0))
		return end;
	return counted > base && counted <= limit ? counted : limit;
}

static void add_main(struct glibc_heap *gh)
{
	const struct glibc_arena *a = &gh->arenas.v[0];
	taddr_t base = gh->lay.sbrk_base;
	taddr_t start = 0;
	taddr_t end = 0;
	taddr_t first = 0;
	taddr_t first_end = 0;

	/* an arena that was never used has its top within itself */
	if (a->top >= a->addr && a->top < a->addr + gh->lay.arena_bytes)
		return;
	/* (W3) of heap_glibc_walk.c */
	if ((a->top % GRANULE || glibc_region_at(gh, a->top) ||
	     !run_at(gh->t, a->top, &start, &end)) &&
	    !run_at(gh->t, base, &start, &end))
		return;
	if (a->system_bytes == 0 && base == 0)
		return;
	/* extents that were mapped when the break could not move */
	if (base < start || base >= end) {
		if (base && run_at(gh->t, base, &first, &first_end))
			add_region(gh, base, base, first_end, 0);
		base = start;
	}
	add_region(gh, base, base, main_end(gh, base, end), 0);
}

static int by_start(const void *a, const void *b)
{
	const struct glibc_region *x = a;
	const struct glibc_region *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void sort_regions(struct glibc_heap *gh)
{
	size_t kept = 0;

	if (gh->regions.n)
		qsort(gh->regions.v, gh->regions.n, sizeof(*gh->regions.v),
		      by_start);
	for (size_t i = 0; i < gh->regions.n; i++)
		if (kept == 0 ||
		    gh->regions.v[i].start >= gh->regions.v[kept - 1].end)
			gh->regions.v[kept++] = gh->regions.v[i];
	gh->regions.n = kept;
}

/* ---- (R1) ------------------------------------------------------------ */

static bool is_fence(struct glibc_heap *gh, taddr_t p)
{
	uint64_t head = 0;

	return glibc_read(gh, p + 8, &head) &&
	       (head | CHUNK_PREV_INUSE) == (CHUNK_HEAD | CHUNK_PREV_INUSE);
}

/* the end of an extent whose chunks cannot be followed from p on */
static taddr_t damaged_end(struct glibc_heap *gh, taddr_t p, taddr_t limit)
{
	taddr_t top = gh->arenas.v[0].top;

	for (taddr_t end = (p + PAGE) & ~(PAGE - 1ull); end <= limit;
	     end += PAGE)
		if (top < end - CHUNK_MIN && is_fence(gh, end - CHUNK_MIN) &&
		    is_fence(gh, end - CHUNK_HEAD))
			return end;
	return limit;
}

/* where the extent ends whose first chunk is at p; 0: it is none */
static taddr_t extent_end(struct glibc_heap *gh, taddr_t p, taddr_t limit)
{
	taddr_t start = p;
	uint64_t head = 0;

	for (unsigned n = 0;; n++) {
		if (p + CHUNK_HEAD > limit || !glibc_read(gh, p + 8, &head))
			return n < CHAIN_SOUND ? 0 : limit;
		uint64_t size = head & ~(uint64_t)CHUNK_FLAGS;

		if (p == start && !(head & CHUNK_PREV_INUSE))
			return 0;
		if (p == gh->arenas.v[0].top && size <= limit - p &&
		    (p + size) % PAGE == 0)
			return p + size;
		if (is_fence(gh, p)) {
			while (p + CHUNK_HEAD <= limit && is_fence(gh, p))
				p += CHUNK_HEAD;
			return p % PAGE || p - start < CHUNK_MIN ? 0 : p;
		}
		if (size < CHUNK_MIN || size % CHUNK_ALIGN ||
		    size > limit - p ||
		    (head & (CHUNK_MMAPPED | CHUNK_NON_MAIN)))
			return n < CHAIN_SOUND ? 0 : damaged_end(gh, p, limit);
		p += size;
	}
}

/* where what malloc has of the break ends: others have moved it, too */
static taddr_t break_end(struct glibc_heap *gh, taddr_t base, taddr_t limit)
{
	taddr_t end = extent_end(gh, base, limit);
	taddr_t at = end;

	while (end && at < limit && at - end < FOREIGN_MAX) {
		taddr_t more = at % PAGE ? extent_end(gh, at, limit) : 0;

		if (more)
			end = more;
		at = more ? more : at + GRANULE;
	}
	return end;
}

static void add_extents_in(struct glibc_heap *gh, taddr_t at, taddr_t end)
{
	taddr_t base = gh->lay.sbrk_base;
	taddr_t to = 0;

	while (at + PAGE <= end) {
		if (base >= at && base < at + PAGE) {
			to = break_end(gh, base, end);
			if (to)
				add_region(gh, base, base, to, 0);
		} else {
			to = extent_end(gh, at, end);
			if (to)
				add_region(gh, at, at, to, 0);
		}
		at = to ? to : at + PAGE;
	}
}

static void add_extents(struct glibc_heap *gh)
{
	size_t nheaps = gh->regions.n;
	taddr_t at = 0;
	taddr_t end = 0;

	for (size_t i = 0; next_run(gh->t, &i, &at, &end);) {
		for (size_t k = 0; k < nheaps; k++) {
			taddr_t heap = gh->regions.v[k].base;
			taddr_t heap_end = gh->regions.v[k].end;

			if (heap_end <= at || heap >= end)
				continue;
			add_extents_in(gh, at, heap);
			at = heap_end;
		}
		add_extents_in(gh, at, end);
	}
	sort_regions(gh);
}

/* ---- (R2) ------------------------------------------------------------ */

static size_t arena_at(const struct glibc_heap *gh, taddr_t addr)
{
	for (size_t i = 1; i < gh->arenas.n; i++)
		if (gh->arenas.v[i].addr == addr)
			return i;
	return ARENA_PAST_END;
}

/* The arena of a heap_info at addr.  If what it says is none, it is the arena that
 * lies behind it, or that of the heap before; the ring may have lost it, too. */
static size_t arena_of_heap(struct glibc_heap *gh, taddr_t addr, taddr_t ar_ptr,
			    taddr_t prev)
{
	taddr_t behind = addr + gh->lay.heap_info_bytes;
	size_t arena = arena_at(gh, ar_ptr);
	uint64_t word = 0;

	if (arena != ARENA_PAST_END)
		return arena;
	arena = arena_at(gh, behind);
	if (arena == ARENA_PAST_END && prev && glibc_read(gh, prev, &word))
		arena = arena_at(gh, word);
	if (arena != ARENA_PAST_END) {
		glibc_damage(gh, 0, addr,
			     "heap 0x%" PRIx64
			     " of arena %s: ar_ptr overwritten (0x%" PRIx64 ")",
			     addr, gh->arenas.v[arena].name, ar_ptr);
		return arena;
	}
	if (ar_ptr != behind || !glibc_is_arena(gh, ar_ptr))
		return ARENA_PAST_END;
	glibc_add_arena(gh, ar_ptr);
	arena = gh->arenas.n - 1;
	glibc_damage(gh, 0, gh->arenas.v[arena - 1].addr + gh->lay.next,
		     "arena %s at 0x%" PRIx64
		     " is not in the ring of arenas: next of one overwritten",
		     gh->arenas.v[arena].name, ar_ptr);
	return arena;
}

/* A heap_info at addr: what arena, what follows, how far.  Its bytes, 0: there is
 * none.  One of its words may be damaged. */
static uint64_t add_heap(struct glibc_heap *gh, taddr_t addr, taddr_t limit)
{
	uint64_t ar_ptr = 0;
	uint64_t prev = 0;
	uint64_t size = 0;
	uint64_t open = 0; /* that may be read and written */

	if (!glibc_read(gh, addr, &ar_ptr) ||
	    !glibc_read(gh, addr + 8, &prev) ||
	    !glibc_read(gh, addr + 16, &size) || size % PAGE || size == 0 ||
	    size > limit - addr || !glibc_read(gh, addr + 24, &open))
		return 0;
	bool is_prev_right = prev % HEAP_ALIGN == 0;
	bool is_open_right = open % PAGE == 0 && open >= size;
	size_t arena = is_prev_right && is_open_right
			       ? arena_of_heap(gh, addr, ar_ptr, prev)
			       : arena_at(gh, ar_ptr);

	if (arena == ARENA_PAST_END || (!is_prev_right && !is_open_right))
		return 0;
	taddr_t start = addr + gh->lay.heap_info_bytes;

	if (gh->arenas.v[arena].addr == start)
		start += gh->lay.arena_bytes;
	add_region(gh, addr, start, addr + size, arena);
	return size;
}

/* heaps begin at multiples of their largest size: 64 MB, or four huge pages */
static void add_heaps(struct glibc_heap *gh)
{
	taddr_t at = 0;
	taddr_t end = 0;
	taddr_t stop = 0;

	if (!gh->lay.heap_info_bytes)
		return;
	for (size_t i = 0; next_run(gh->t, &i, &at, &end);)
		for (;;) {
			at = (at + HEAP_ALIGN - 1) & ~(HEAP_ALIGN - 1);
			if (at >= end)
				break;
			taddr_t next = target_past_zeros(gh->t, at, end, &stop);

			if (next > at) { /* a heap_info is not all zeros */
				at = next;
				continue;
			}
			uint64_t bytes = add_heap(gh, at, end);

			at += bytes ? bytes : HEAP_ALIGN;
		}
}

void glibc_find_regions(struct glibc_heap *gh)
{
	add_heaps(gh);
	sort_regions(gh);
	if (gh->arenas.v[0].flags & NONCONTIGUOUS)
		add_extents(gh);
	const struct glibc_region *r = glibc_region_at(gh, gh->arenas.v[0].top);

	if (!r || r->arena != 0)
		add_main(gh);
	sort_regions(gh);
}
