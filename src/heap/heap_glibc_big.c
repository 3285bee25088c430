/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Chunks too large for an arena have mappings of their own and stand in no
 * list; they are looked for at the pages of anonymous memory until as many
 * bytes were found as malloc says it has mapped.
 */
#include <elf.h>
#include <stdlib.h>
#include "heap/heap_glibc_impl.h"

#define PAGE 4096u

struct big_search {
	uint64_t n, bytes; /* that malloc says it has */
	bool is_known;
	bool is_inexact; /* since 2.43 each mremap() adds 16 to "bytes" */
	uint64_t bytes_found;
};

static bool is_all_found(const struct glibc_heap *gh,
			 const struct big_search *s)
{
	return s->is_known && gh->bigs.n >= s->n &&
	       ((s->n == 0 && gh->lay.nfastbins == 0) || s->is_inexact ||
		s->bytes_found >= s->bytes);
}

/* A mapped chunk whose header is at "at", in a mapping that begins at page or
 * later? *ret is set if so.  Its size is what is left of the mapping; since 2.43,
 * less 16, and there is a flag where how far it is from the begin stands. */
static bool is_big(struct glibc_heap *gh, taddr_t page, taddr_t at, taddr_t end,
		   struct glibc_big *ret)
{
	uint64_t before = 0;
	uint64_t head = 0;

	if (!glibc_read(gh, at + 8, &head) ||
	    (head & CHUNK_FLAGS) != CHUNK_MMAPPED ||
	    !glibc_read(gh, at, &before))
		return false;
	uint64_t size = head - CHUNK_MMAPPED;
	unsigned tail = 0;

	before &= ~(uint64_t)CHUNK_FLAGS;
	if (before > at - page || (at - before) % PAGE || size < CHUNK_MIN ||
	    size > end - at)
		return false;
	if ((at + size + CHUNK_HEAD) % PAGE == 0)
		tail = 8;
	size += 2ull * tail;
	if ((at + size) % PAGE || size > end - at)
		return false;
	*ret = (struct glibc_big){at,   at - before, at + size,
				  tail, false,       false};
	return true;
}

/* the header a mapping was made with, which realloc() has made smaller since:
 * it wrote to the header of the aligned chunk in it */
static bool is_shrunk(struct glibc_heap *gh, taddr_t page, taddr_t end)
{
	uint64_t before = 0;
	uint64_t head = 0;

	return glibc_read(gh, page, &before) && before == 0 &&
	       glibc_read(gh, page + 8, &head) &&
	       (head & CHUNK_FLAGS) == CHUNK_MMAPPED &&
	       ((head - CHUNK_MMAPPED) % PAGE == 0 ||
		(head - CHUNK_MMAPPED + CHUNK_HEAD) % PAGE == 0) &&
	       head - CHUNK_MMAPPED > end - page;
}

/* What is to be aligned has its header 16 bytes below a multiple of a power of
 * two; the header that the mapping was made with stays at its begin, so that one
 * counts only when there is no other. */
static bool big_at_page(struct glibc_heap *gh, taddr_t page, taddr_t end,
			struct glibc_big *ret)
{
	bool is_plain = is_big(gh, page, page, end, ret);
	struct glibc_big aligned;
	taddr_t limit = end; /* realloc() may have made it larger, too */

	if (is_plain)
		end = ret->end;
	else if (end - page > PAGE && !is_shrunk(gh, page, end))
		end = page + PAGE;
	for (taddr_t align = 32; align <= end - page; align *= 2) {
		taddr_t at = ((page + CHUNK_HEAD + align - 1) & ~(align - 1)) -
			     CHUNK_HEAD;

		if (at + CHUNK_HEAD > end ||
		    !is_big(gh, page, at, limit, &aligned) ||
		    aligned.start != page)
			continue;
		*ret = aligned;
		return true;
	}
	return is_plain;
}

static void find_bigs_in(struct glibc_heap *gh, struct big_search *s,
			 taddr_t start, taddr_t end)
{
	struct glibc_big big = {.end = end};
	taddr_t stop = start;
	size_t len = 0;

	for (taddr_t page = start; page < end && !is_all_found(gh, s);) {
		if (page >= stop) { /* a header is not all zeros */
			page = target_past_zeros(gh->t, page, end, &stop);
			continue;
		}
		big.end = end;
		if (!target_peek(gh->t, page, &len) ||
		    !big_at_page(gh, page, end, &big)) {
			page += PAGE;
			continue;
		}
		VEC_PUSH(&gh->bigs, big);
		s->is_inexact = s->is_inexact || big.tail;
		s->bytes_found += big.end - big.start;
		page = big.end;
	}
}

/* is a thread's stack in use here? */
static bool has_stack(const struct glibc_heap *gh, const struct target_map *map)
{
	for (size_t i = 0; i < target_nthreads(gh->t); i++) {
		const struct target_thread *th = target_thread(gh->t, i);

		if (th->has_regs && th->regs.rsp >= map->start &&
		    th->regs.rsp < map->end)
			return true;
	}
	return false;
}

/* stacks: false the maps that no thread runs on, true the others, with which the
 * kernel may have merged a neighbour */
static void find_bigs(struct glibc_heap *gh, struct big_search *s, bool stacks)
{
	for (size_t i = 0; i < target_nmaps(gh->t); i++) {
		const struct target_map *map = target_map(gh->t, i);
		taddr_t at = map->start;

		if (!(map->prot & PF_W) || map->path ||
		    has_stack(gh, map) != stacks)
			continue;
		for (size_t k = 0; k < gh->regions.n; k++) {
			const struct glibc_region *r = &gh->regions.v[k];

			if (r->end <= at || r->base >= map->end)
				continue;
			find_bigs_in(gh, s, at, r->base);
			at = (r->end + PAGE - 1) & ~(taddr_t)(PAGE - 1);
		}
		find_bigs_in(gh, s, at, map->end);
	}
}

/* a map that nothing else is in, as large as the chunk that was not found */
static taddr_t find_lost(struct glibc_heap *gh, uint64_t bytes)
{
	taddr_t found = 0;

	for (size_t i = 0; i < target_nmaps(gh->t); i++) {
		const struct target_map *map = target_map(gh->t, i);

		if (!(map->prot & PF_W) || map->path || has_stack(gh, map) ||
		    map->end - map->start != bytes)
			continue;
		if (found)
			return 0;
		found = map->start;
	}
	return found;
}

/* memory that may hold chunks and is not in the dump; NULL: there is none */
static const struct target_map *find_absent(const struct glibc_heap *gh)
{
	for (size_t i = 0; i < target_nmaps(gh->t); i++) {
		const struct target_map *map = target_map(gh->t, i);

		if ((map->prot & PF_W) && !map->path &&
		    map->core_end < map->end && !has_stack(gh, map))
			return map;
	}
	return NULL;
}

/* without fastbins, since 2.43, nobody knows what it counts when there are none */
static bool is_sum_right(const struct glibc_heap *gh,
			 const struct big_search *s)
{
	if (gh->bigs.n != s->n)
		return false;
	return s->is_inexact || (s->n == 0 && gh->lay.nfastbins == 0) ||
	       s->bytes_found == s->bytes;
}

static int big_order(const void *a, const void *b)
{
	const struct glibc_big *x = a;
	const struct glibc_big *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

void glibc_find_bigs(struct glibc_heap *gh)
{
	struct big_search s = {0};
	const struct target_map *absent = NULL;
	taddr_t lost = 0;

	s.is_known = gh->lay.mp_n_mmaps &&
		     glibc_read(gh, gh->lay.mp_mmapped, &s.bytes);
	s.n = s.is_known ? glibc_u32(gh, gh->lay.mp_n_mmaps) : 0;
	find_bigs(gh, &s, false);
	find_bigs(gh, &s, true);
	if (gh->bigs.n)
		qsort(gh->bigs.v, gh->bigs.n, sizeof(*gh->bigs.v), big_order);
	if (!s.is_known || (is_all_found(gh, &s) && is_sum_right(gh, &s)))
		return;
	absent = gh->bigs.n < s.n ? find_absent(gh) : NULL;
	if (absent) {
		glibc_absent(gh, absent->core_end, absent->end);
		return;
	}
	if (s.n - gh->bigs.n == 1 && s.bytes > s.bytes_found)
		lost = find_lost(gh,
				 (s.bytes - s.bytes_found) & ~(PAGE - 1ull));
	if (lost)
		glibc_damage(gh, lost + CHUNK_HEAD, lost + 8,
			     "mmapped chunk 0x%" PRIx64 " of %" PRIu64
			     " bytes: size field overwritten",
			     lost, s.bytes - s.bytes_found);
	else
		glibc_damage(gh, 0, gh->lay.mp_mmapped,
			     "%zu mmapped chunks of %" PRIu64
			     " bytes found, malloc has %" PRIu64 " of %" PRIu64,
			     gh->bigs.n, s.bytes_found, s.n, s.bytes);
}
