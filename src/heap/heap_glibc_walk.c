/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every chunk of every region.
 *
 * A region is contiguous memory of an arena: what the break has given the main
 * one, each heap of 64 MB, at most, of the others.  Its chunks follow each other:
 *
 *	p      prev_size   the size of the chunk before if that is free,
 *	                   else the last 8 bytes of its buffer
 *	p + 8  size        with flags: the chunk before is in use, this one is
 *	                   mmapped, or is not of the main arena
 *	p + 16 the buffer
 *
 * (W1) A chunk lies between the start of its region and the top chunk, which
 * ends the region; a region that could not grow ends in fences.  (W2) A chunk
 * is free when the one after it says so, which then also tells its size again.
 * What the lists of free chunks say is another matter, see heap_glibc_free.c.
 *
 * What is kept is one nibble for each 16 bytes: nothing begins here, or what
 * does.  The size of a chunk is the distance to the next that begins, so that
 * it is right behind damage, too.  Cost: one word read and one nibble written
 * a chunk; half a byte of ours for 16 of theirs.
 *
 * Where a size is not one (W1), the chunk is damaged, or the one before has led
 * astray.  The walk goes on at the first place behind the damage from where a
 * chain of sound chunks begins; what lies between is one chunk of which nothing
 * is known: no leak, and what it points at is none.  Places within the one
 * before are tried, too: old headers lie about in memory that was given out
 * again, so a chain from there must have passed two chunks, or come close, before
 * the place where the walk stumbled, or end where the top chunk begins.
 *
 * (W3) No chunk reaches over the top chunk.  An arena whose pointer to it leads
 * elsewhere, or to a chunk that ends before the region does, has lost it: the
 * chunk that ends with the region is taken for it.
 *
 * Regions are walked on all processors, large ones in pieces.  (P1) A piece is
 * walked from its first place where a chain of sound chunks begins to the first
 * chunk behind it, and no further than everything is sound.  (P2) One thread
 * joins them: a piece counts if the walk of the one before ends where it was
 * begun; else, or if there was damage in it, it is walked anew from where that
 * one did end.  By induction the chunks are those of one walk from the start,
 * and damage is told as by that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/interrupt.h"
#include "base/jobs.h"
#include "base/progress.h"
#include "heap/heap_glibc_impl.h"

#define PAGE        4096u
#define CHAIN_SOUND 8u /* so many sound chunks are no accident */
#define BEHIND      2u /* and of those, behind where the walk stumbled */
#define NEAR        0x100u

/* ---- nibbles --------------------------------------------------------- */

void glibc_set_state(struct glibc_region *r, size_t granule,
		     enum chunk_state state)
{
	unsigned char *byte = &r->state[granule / 2];

	*byte = granule & 1
			? (unsigned char)((*byte & 15u) | (unsigned)state << 4)
			: (unsigned char)((*byte & 0xf0u) | (unsigned)state);
}

size_t glibc_next(const struct glibc_region *r, size_t granule)
{
	granule++;
	while (granule < r->ngranules) {
		uint64_t word = 0;

		if (granule % 16 == 0 && granule + 16 <= r->ngranules) {
			memcpy(&word, r->state + granule / 2, sizeof(word));
			if (word == 0) {
				granule += 16;
				continue;
			}
			return granule + (size_t)__builtin_ctzll(word) / 4;
		}
		if (glibc_state(r, granule) != CHUNK_NONE)
			return granule;
		granule++;
	}
	return r->ngranules;
}

struct glibc_region *glibc_region_at(struct glibc_heap *gh, taddr_t addr)
{
	size_t lo = 0;
	size_t hi = gh->regions.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (gh->regions.v[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == gh->regions.n || addr < gh->regions.v[lo].start)
		return NULL;
	return &gh->regions.v[lo];
}

struct glibc_region *glibc_chunk_at(struct glibc_heap *gh, taddr_t chunk,
				    size_t *ret_granule)
{
	struct glibc_region *r = glibc_region_at(gh, chunk);

	if (!r || (chunk - r->start) % GRANULE)
		return NULL;
	*ret_granule = (size_t)(chunk - r->start) / GRANULE;
	return glibc_state(r, *ret_granule) == CHUNK_NONE ? NULL : r;
}

/* ---- the walk -------------------------------------------------------- */

enum head {
	HEAD_CHUNK,
	HEAD_TOP,
	HEAD_FENCE,  /* of the main arena, or next to the end */
	HEAD_END,    /* the last words of a heap that could not grow */
	HEAD_BAD,    /* (W1) does not hold */
	HEAD_ABSENT, /* not in the dump */
};

struct walker {
	struct glibc_heap *gh;
	struct glibc_region *r;
	const struct glibc_arena *arena;
	struct glibc_reader rd;
	taddr_t prev; /* chunk before, 0 none */
	uint64_t prev_head;
	bool is_prev_unsure; /* its head is damaged */
	uint64_t nchunks;
	bool is_top_lost; /* (W3) */
};

/* (W3): where a chunk at p must end */
static taddr_t limit_of(const struct walker *w, taddr_t p)
{
	taddr_t top = w->arena->top;

	if (!w->is_top_lost && top > p && top < w->r->end)
		return top;
	return w->r->end;
}

/* (W3): may one that ends with the region be the top chunk? */
static bool may_be_top(const struct walker *w, uint64_t head)
{
	taddr_t top = w->arena->top;

	return (head & CHUNK_FLAGS) == CHUNK_PREV_INUSE &&
	       (w->is_top_lost || top < w->r->start || top >= w->r->end);
}

static enum head classify(struct walker *w, taddr_t p, uint64_t *ret_size)
{
	const struct glibc_region *r = w->r;
	uint64_t head = 0;

	if (!glibc_reader_u64(&w->rd, p + 8, &head))
		return HEAD_ABSENT;
	uint64_t size = head & ~(uint64_t)CHUNK_FLAGS;
	bool is_main = w->arena->is_main;

	taddr_t limit = limit_of(w, p);

	*ret_size = head;
	if (p == w->arena->top ? !w->is_top_lost
			       : p + size == r->end && size >= CHUNK_MIN &&
					 may_be_top(w, head))
		return HEAD_TOP;
	if (is_main &&
	    (head | CHUNK_PREV_INUSE) == (CHUNK_HEAD | CHUNK_PREV_INUSE))
		return HEAD_FENCE;
	if (!is_main && head == CHUNK_PREV_INUSE && p + CHUNK_HEAD == r->end)
		return HEAD_END;
	if (!is_main && !(head & (CHUNK_NON_MAIN | CHUNK_MMAPPED)) &&
	    (size == 16 || size == 32) && p + size + CHUNK_HEAD == r->end)
		return HEAD_FENCE;
	/* a free chunk does not say that it is not of the main arena */
	if (size < CHUNK_MIN || size % CHUNK_ALIGN || size > limit - p ||
	    p + size == r->end || (head & CHUNK_MMAPPED) ||
	    (is_main && (head & CHUNK_NON_MAIN)))
		return HEAD_BAD;
	return HEAD_CHUNK;
}

/* a search for sound chunks, and the chain it is at */
struct search {
	taddr_t from, stop;  /* no chunk may begin at stop; 0: anywhere */
	unsigned char *dead; /* a bit for each place between the two that no
			      * chain leads on from; else NULL */
	taddr_t at;          /* where the chain has ended */
	unsigned n;          /* its chunks */
	unsigned before;     /* of those, that begin before stop */
};

static bool is_dead(const struct search *s, taddr_t p)
{
	size_t i = (size_t)(p - s->from) / GRANULE;

	return s->dead && p < s->stop && (s->dead[i / 8] >> i % 8 & 1);
}

/* Is p the begin of sound chunks?  Of such, too, that begin behind stop, as those
 * before it may be old ones.  One that ends at the top chunk is worth two */
static bool is_chain(struct walker *w, taddr_t p, struct search *s)
{
	uint64_t head = 0;
	uint64_t size = 0;
	uint64_t prev_size = 0;

	s->before = 0;
	for (s->n = 0;
	     s->n < CHAIN_SOUND || p <= s->stop || s->n < s->before + BEHIND;
	     s->n++) {
		s->at = p;
		if (p == s->stop || is_dead(s, p))
			return false;
		s->before += p < s->stop;
		enum head kind = classify(w, p, &head);

		if (s->n && !(head & CHUNK_PREV_INUSE) && kind == HEAD_CHUNK &&
		    (!glibc_reader_u64(&w->rd, p, &prev_size) ||
		     prev_size != size))
			return false;
		if (kind == HEAD_TOP && (head & CHUNK_PREV_INUSE)) {
			s->before += s->n > 0;
			return true;
		}
		if (kind == HEAD_END)
			return true;
		if (kind == HEAD_FENCE && s->n)
			return true;
		if (kind != HEAD_CHUNK)
			return false;
		size = head & ~(uint64_t)CHUNK_FLAGS;
		p += size;
	}
	return true;
}

/* The chain from p is none, and so is each that comes to a place of it: what is
 * looked at once is not looked at again.  A short one may be part of a longer one
 * that needs less behind stop. */
static void bury(struct walker *w, taddr_t p, const struct search *s)
{
	uint64_t head = 0;

	if (!s->dead || (s->at > s->stop && s->n < CHAIN_SOUND))
		return;
	while (p < s->stop && p < s->at) {
		size_t i = (size_t)(p - s->from) / GRANULE;

		s->dead[i / 8] |= (unsigned char)(1u << i % 8);
		(void)classify(w, p, &head);
		p += head & ~(uint64_t)CHUNK_FLAGS;
	}
}

/* the first sound chunk from "from" on; 0: none */
static taddr_t resync(struct walker *w, taddr_t from, taddr_t end, taddr_t stop)
{
	_free_ unsigned char *dead =
		stop > from
			? mem_array((size_t)(stop - from) / GRANULE / 8 + 1, 1)
			: NULL;
	struct search s = {.from = from, .stop = stop, .dead = dead};

	for (taddr_t p = from; p < end; p += GRANULE) {
		if (!is_chain(w, p, &s))
			bury(w, p, &s);
		else if (stop == 0 || s.before >= 2 || stop - p <= NEAR)
			return p;
	}
	return 0;
}

static void set_at(struct walker *w, taddr_t p, enum chunk_state state)
{
	glibc_set_state(w->r, (size_t)(p - w->r->start) / GRANULE, state);
}

/* The chunk before is in use, or in a list that keeps it so: its flag is that of
 * its arena, which free() gives it back to.  One that is free otherwise has
 * none. */
static void check_flag(struct walker *w, bool is_free)
{
	uint64_t want = w->arena->is_main || is_free ? 0 : CHUNK_NON_MAIN;

	if ((w->prev_head & CHUNK_NON_MAIN) != want)
		glibc_damage(w->gh, w->prev + CHUNK_HEAD, w->prev + 8,
			     "chunk 0x%" PRIx64
			     ": size field overwritten (0x%" PRIx64
			     "): it says it is of %s arena",
			     w->prev, w->prev_head,
			     want ? "the main" : "another");
}

/* (W2) */
static void settle(struct walker *w, taddr_t p, uint64_t head)
{
	uint64_t prev_size = 0;
	bool is_free = !(head & CHUNK_PREV_INUSE);

	if (!w->prev)
		return;
	bool is_sure = !is_free || !glibc_reader_u64(&w->rd, p, &prev_size) ||
		       prev_size == p - w->prev;

	if (!w->is_prev_unsure && is_sure)
		check_flag(w, is_free);
	if (is_free && is_sure)
		set_at(w, w->prev, CHUNK_UNLINKED);
	/* what is damaged was told of */
	if (is_sure || w->is_prev_unsure)
		return;
	set_at(w, w->prev, CHUNK_UNSURE);
	if ((head & 0xff) == 0)
		glibc_damage(w->gh, w->prev + CHUNK_HEAD, p + 8,
			     "chunk 0x%" PRIx64
			     ": size field overwritten (0x%" PRIx64
			     "): a zero byte was written past the end of the "
			     "buffer before, 0x%" PRIx64 " of %" PRIu64
			     " bytes",
			     p, head, w->prev + CHUNK_HEAD, p - w->prev - 8);
	else
		glibc_damage(w->gh, w->prev + CHUNK_HEAD, p,
			     "free buffer 0x%" PRIx64 " is %" PRIu64
			     " bytes away from the next chunk, which says "
			     "0x%" PRIx64 " (written past its end?)",
			     w->prev + CHUNK_HEAD, p - w->prev, prev_size);
}

/* a chunk begins at p; how it is, the next one says */
static void begin_at(struct walker *w, taddr_t p, uint64_t head, bool is_unsure)
{
	set_at(w, p, is_unsure ? CHUNK_LOST : CHUNK_USED);
	w->prev = p;
	w->prev_head = head;
	w->is_prev_unsure = is_unsure;
}

/* the end of a region's walk: nothing more is known from p on */
static taddr_t give_up(struct walker *w, taddr_t p, const char *why)
{
	glibc_damage(w->gh, 0, p + 8,
		     "heap 0x%" PRIx64 "-0x%" PRIx64 ": %s at 0x%" PRIx64
		     ", %" PRIu64 " bytes skipped",
		     w->r->start, w->r->end, why, p, w->r->end - p);
	set_at(w, p, CHUNK_LOST);
	w->prev = 0;
	return w->r->end;
}

/* the chunk before, whose size is known to be wrong, has led astray: it ends at
 * the next that is sound */
static taddr_t extend(struct walker *w, taddr_t p, taddr_t next)
{
	glibc_damage(w->gh, w->prev + CHUNK_HEAD, w->prev + 8,
		     "chunk 0x%" PRIx64
		     ": size field overwritten: no chunk begins where it ends; "
		     "%" PRIu64 " bytes skipped",
		     w->prev, next - p);
	set_at(w, w->prev, CHUNK_LOST);
	return next;
}

/* a size that cannot be: returns where to go on */
static taddr_t stumble(struct walker *w, taddr_t p, uint64_t head)
{
	taddr_t prev = w->prev;
	taddr_t next = 0;

	if (prev)
		next = resync(w, prev + CHUNK_MIN, p, p);
	if (next) {
		glibc_damage(w->gh, prev + CHUNK_HEAD, prev + 8,
			     "chunk 0x%" PRIx64
			     ": size field overwritten: %" PRIu64
			     " bytes reach beyond the next chunk at 0x%" PRIx64,
			     prev, p - prev, next);
		set_at(w, prev, CHUNK_UNSURE);
		w->is_prev_unsure = true;
		return next;
	}
	next = resync(w, p + GRANULE, w->r->end, 0);
	if (!next)
		return give_up(w, p, "size field overwritten, no sound chunk");
	if (prev && w->is_prev_unsure)
		return extend(w, p, next);
	if (prev)
		glibc_damage(
			w->gh, prev + CHUNK_HEAD, p + 8,
			"chunk 0x%" PRIx64
			": size field overwritten (0x%" PRIx64
			"): written past the end of the buffer before, "
			"0x%" PRIx64 " of %" PRIu64
			" bytes, or before its own begin, or that one's size "
			"is wrong; %" PRIu64 " bytes skipped",
			p, head, prev + CHUNK_HEAD, p - prev - 8, next - p);
	else
		glibc_damage(w->gh, 0, p + 8,
			     "chunk 0x%" PRIx64
			     ": size field overwritten (0x%" PRIx64
			     "); %" PRIu64 " bytes skipped",
			     p, head, next - p);
	if (prev)
		set_at(w, prev, CHUNK_UNSURE);
	begin_at(w, p, head, true);
	return next;
}

/* What is not in the dump is no damage: the walk goes on behind it. */
static taddr_t pass_absent(struct walker *w, taddr_t p)
{
	taddr_t at = (p + 8) & ~(taddr_t)(PAGE - 1);
	taddr_t next = 0;

	while (at < w->r->end && (at <= p || glibc_is_absent(w->gh, at)))
		at += PAGE;
	if (at < w->r->end)
		next = resync(w, at, w->r->end, 0);
	if (!next)
		next = w->r->end;
	glibc_absent(w->gh, p, next);
	set_at(w, p, CHUNK_LOST);
	w->prev = 0;
	return next;
}

/* fences of the main arena: the break was moved by someone else, whose memory
 * ends at the next chunk */
static taddr_t pass_gap(struct walker *w, taddr_t p)
{
	uint64_t head = 0;

	set_at(w, p, CHUNK_FENCE);
	w->prev = 0;
	p += CHUNK_HEAD;
	if (p < w->r->end && classify(w, p, &head) == HEAD_FENCE) {
		set_at(w, p, CHUNK_FENCE);
		p += CHUNK_HEAD;
	}
	if (p >= w->r->end)
		return p;
	taddr_t next = resync(w, p, w->r->end, 0);

	if (!next && (w->arena->flags & NONCONTIGUOUS)) {
		/* an extent: what follows was never the heap's */
		w->r->end = p;
		return p;
	}
	if (!next)
		return give_up(w, p, "no chunk behind foreign memory");
	if (next > p)
		set_at(w, p, CHUNK_GAP);
	return next;
}

/* (W3): does a chain of chunks lead on from what the arena takes for its top, up
 * to the end? */
static bool is_false_top(struct walker *w, taddr_t p, uint64_t head)
{
	uint64_t size = head & ~(uint64_t)CHUNK_FLAGS;
	struct search s = {.stop = w->r->end};

	w->is_top_lost = true;
	w->is_top_lost =
		size >= CHUNK_MIN && size < w->r->end - p && is_chain(w, p, &s);
	return w->is_top_lost;
}

static void top_damage(struct walker *w, taddr_t p, uint64_t head)
{
	if (w->prev)
		glibc_damage(w->gh, w->prev + CHUNK_HEAD, p + 8,
			     "size of the top chunk 0x%" PRIx64
			     " overwritten (0x%" PRIx64
			     "): written past the end of the buffer before, "
			     "0x%" PRIx64 " of %" PRIu64 " bytes",
			     p, head, w->prev + CHUNK_HEAD, p - w->prev - 8);
	else
		glibc_damage(w->gh, 0, p + 8,
			     "size of the top chunk 0x%" PRIx64
			     " overwritten (0x%" PRIx64 ")",
			     p, head);
}

/* the top chunk ends its region exactly; the one before it is never free, and it
 * says of no arena that it is its */
static taddr_t pass_top(struct walker *w, taddr_t p, uint64_t head)
{
	uint64_t size = head & ~(uint64_t)CHUNK_FLAGS;

	if (!w->is_top_lost && is_false_top(w, p, head)) {
		glibc_damage(w->gh, 0, w->arena->addr + w->gh->lay.top,
			     "arena %s: top overwritten (0x%" PRIx64
			     "), where another chunk begins",
			     w->arena->name, p);
		return p;
	}
	settle(w, p, head | CHUNK_PREV_INUSE);
	set_at(w, p, CHUNK_TOP);
	if (p != w->arena->top && !w->is_top_lost)
		glibc_damage(w->gh, 0, w->arena->addr + w->gh->lay.top,
			     "arena %s: top overwritten (0x%" PRIx64
			     "), the top chunk is at 0x%" PRIx64,
			     w->arena->name, w->arena->top, p);
	if (p + size != w->r->end || (head & CHUNK_FLAGS) != CHUNK_PREV_INUSE)
		top_damage(w, p, head);
	return w->r->end;
}

static taddr_t pass_chunk(struct walker *w, taddr_t p, uint64_t head)
{
	if (p == w->r->start && !(head & CHUNK_PREV_INUSE))
		glibc_damage(w->gh, p + CHUNK_HEAD, p + 8,
			     "chunk 0x%" PRIx64
			     ": size field overwritten (0x%" PRIx64
			     "): it says that one before it is free, "
			     "and is the first",
			     p, head);
	settle(w, p, head);
	begin_at(w, p, head, false);
	/* the flags of such a one are no flags */
	w->is_prev_unsure = (head & 0xff) == 0;
	return p + (head & ~(uint64_t)CHUNK_FLAGS);
}

static taddr_t step(struct walker *w, taddr_t p)
{
	uint64_t head = 0;

	switch (classify(w, p, &head)) {
	case HEAD_CHUNK:
		return pass_chunk(w, p, head);
	case HEAD_TOP:
		return pass_top(w, p, head);
	case HEAD_FENCE:
		settle(w, p, head);
		if (w->arena->is_main)
			return pass_gap(w, p);
		set_at(w, p, CHUNK_FENCE);
		w->prev = 0;
		return p + (head & ~(uint64_t)CHUNK_FLAGS);
	case HEAD_END:
		set_at(w, p, CHUNK_FENCE);
		return w->r->end;
	case HEAD_BAD:
		return stumble(w, p, head);
	case HEAD_ABSENT:
		return pass_absent(w, p);
	}
	return w->r->end;
}

/* walks on from p until a chunk begins at "end" or behind it */
static struct err *walk_to(struct walker *w, taddr_t *p, taddr_t end)
{
	const struct glibc_region *r = w->r;
	struct err *err = NULL;

	while (!err && *p < end && *p + CHUNK_HEAD <= r->end) {
		*p = step(w, *p);
		if ((++w->nchunks & 0xffff) != 0)
			continue;
		progress_set("walking chunks", (*p - r->start) >> 20,
			     (r->end - r->start) >> 20);
		err = interrupt_check();
	}
	return err;
}

/* ---- in pieces ------------------------------------------------------- */

/* bytes of a region that one thread walks: multiples of 2 granules, so that no
 * byte of nibbles is of two pieces */
#define PIECE_MIN  ((uint64_t)32 << 10)
#define PIECE_MAX  ((uint64_t)8 << 20)
#define PIECES     8u  /* a thread, at least */
#define CHUNK_MEAN 64u /* bytes, as programs are */

/* a part of a region, see (P1) and (P2) */
struct piece {
	size_t region;
	taddr_t start, end; /* of the part */
	taddr_t first;      /* the chunk it was walked from; 0: it was not */
	taddr_t next;       /* the first chunk behind the part */
	taddr_t prev;       /* the last within */
	uint64_t prev_head;
	bool is_prev_unsure;
};

struct pieces {
	struct glibc_heap *gh;
	VEC(struct piece) v;
};

/* in a thread: nothing is noted but nibbles of the piece */
static bool walk_sound(struct walker *w, struct piece *piece, taddr_t p)
{
	uint64_t head = 0;

	while (p < piece->end) {
		enum head kind = classify(w, p, &head);

		if (kind == HEAD_CHUNK) {
			p = pass_chunk(w, p, head);
		} else if (kind == HEAD_TOP) {
			p = pass_top(w, p, head);
			w->prev = 0;
		} else {
			return false;
		}
		if (w->gh->findings.n || jobs_is_stopped())
			return false;
	}
	piece->next = p;
	piece->prev = w->prev;
	piece->prev_head = w->prev_head;
	piece->is_prev_unsure = w->is_prev_unsure;
	/* what the chunk behind says of the last; if it is none, the walk of
	 * its piece will tell */
	if (w->prev && p + CHUNK_HEAD <= w->r->end) {
		enum head kind = classify(w, p, &head);

		if (kind == HEAD_CHUNK || kind == HEAD_TOP)
			settle(w, p,
			       kind == HEAD_TOP ? head | CHUNK_PREV_INUSE
						: head);
	}
	return w->gh->findings.n == 0;
}

static void walk_piece(void *arg, size_t i)
{
	struct pieces *pieces = arg;
	struct piece *piece = &pieces->v.v[i];
	struct heap none = {0};
	/* of its own: damage is only told by the walk that is done anew */
	_free_ struct glibc_heap *gh = mem_alloc(sizeof(*gh));
	struct glibc_region r = pieces->gh->regions.v[piece->region];

	*gh = *pieces->gh;
	gh->heap = &none;
	gh->findings.v = NULL;
	gh->findings.n = gh->findings.cap = 0;
	struct walker w = {.gh = gh,
			   .r = &r,
			   .arena = &gh->arenas.v[r.arena],
			   .rd = {.t = gh->t, .is_beside = true}};
	taddr_t first = piece->start == r.start
				? r.start
				: resync(&w, piece->start, piece->end, 0);

	if (first && walk_sound(&w, piece, first))
		piece->first = first;
	VEC_FREE(&gh->findings);
	mem_free(none.health.first_finding);
	mem_free(none.health.untold);
}

/* (P2): walks anew what was not walked from where the piece before ended */
static struct err *join_piece(struct walker *w, const struct piece *piece,
			      taddr_t *p)
{
	struct glibc_region *r = w->r;
	size_t from = (size_t)(piece->start - r->start) / GRANULE / 2;
	size_t to = (size_t)(piece->end - r->start + GRANULE) / GRANULE / 2;

	if (piece->first && piece->first == *p && !w->is_top_lost &&
	    *p + CHUNK_HEAD <= r->end) {
		uint64_t head = 0;

		/* of a chunk that was walked in this thread, nobody has said
		 * yet whether it is free */
		if (w->prev && classify(w, *p, &head) != HEAD_TOP)
			settle(w, *p, head);
		else if (w->prev)
			settle(w, *p, head | CHUNK_PREV_INUSE);
		*p = piece->next;
		w->prev = piece->prev;
		w->prev_head = piece->prev_head;
		w->is_prev_unsure = piece->is_prev_unsure;
		return NULL;
	}
	memset(r->state + from, 0, to - from);
	return walk_to(w, p, piece->end);
}

/* bytes of a piece, so that so many threads have enough of them */
static uint64_t piece_bytes(uint64_t all, unsigned nworkers)
{
	uint64_t bytes = all / nworkers / PIECES / PIECE_MIN * PIECE_MIN;

	if (bytes < PIECE_MIN)
		return PIECE_MIN;
	return bytes > PIECE_MAX ? PIECE_MAX : bytes;
}

static void add_pieces(struct pieces *pieces, size_t region, uint64_t bytes)
{
	const struct glibc_region *r = &pieces->gh->regions.v[region];

	for (taddr_t at = r->start; at < r->end; at += bytes) {
		struct piece piece = {.region = region,
				      .start = at,
				      .end = r->end - at > bytes ? at + bytes
								 : r->end};

		VEC_PUSH(&pieces->v, piece);
	}
}

/* the pieces of one region from the i-th on; *ret_next: the first of another */
static struct err *join_region(struct pieces *pieces, size_t i,
			       size_t *ret_next)
{
	struct glibc_region *r = &pieces->gh->regions.v[pieces->v.v[i].region];
	struct walker w = {.gh = pieces->gh,
			   .r = r,
			   .arena = &pieces->gh->arenas.v[r->arena],
			   .rd.t = pieces->gh->t};
	size_t region = pieces->v.v[i].region;
	taddr_t p = r->start;
	struct err *err = NULL;

	for (; !err && i < pieces->v.n && pieces->v.v[i].region == region; i++)
		err = join_piece(&w, &pieces->v.v[i], &p);
	*ret_next = i;
	return err;
}

static struct err *walk_regions(struct glibc_heap *gh)
{
	struct pieces pieces = {.gh = gh};
	uint64_t all = 0;
	struct err *err = NULL;

	for (size_t i = 0; i < gh->regions.n; i++) {
		struct glibc_region *r = &gh->regions.v[i];

		r->ngranules = (size_t)((r->end - r->start) / GRANULE);
		r->state = mem_array(r->ngranules / 2 + 1, 1);
		all += r->end - r->start;
	}
	unsigned nworkers = jobs_for((size_t)(all / CHUNK_MEAN));
	uint64_t bytes = piece_bytes(all, nworkers);

	for (size_t i = 0; i < gh->regions.n; i++)
		add_pieces(&pieces, i, bytes);
	/* one thread has nobody to wait for */
	if (nworkers > 1)
		err = jobs_each("walking chunks", pieces.v.n,
				bytes / CHUNK_MEAN, walk_piece, &pieces);
	for (size_t i = 0; !err && i < pieces.v.n;)
		err = join_region(&pieces, i, &i);
	VEC_FREE(&pieces.v);
	return err;
}

struct err *glibc_walk(struct glibc_heap *gh)
{
	struct err *err = NULL;

	glibc_find_regions(gh);
	err = walk_regions(gh);
	if (err)
		return err;
	glibc_find_bigs(gh);
	return NULL;
}
