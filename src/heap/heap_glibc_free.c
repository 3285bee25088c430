/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The lists of free chunks of an arena.
 *
 * Fastbins, one a size, are linked by one mangled pointer; their chunks look
 * like ones in use.  The bins (unsorted, small, large) are rings through a head
 * in the arena; their chunks are free by what the next chunk says, too.
 *
 * (L1) What a list leads to is a chunk that begins where the walk has found
 * one.  (L2) In a fastbin it is one of that size, seen once: what is seen again
 * was freed twice.  (L3) In a bin it is free, of a size that belongs there, and
 * the chunk after points back.  Where two links contradict each other, the one
 * that stands alone is the bad one.  (L4) A large bin is sorted, the largest first;
 * the first of each size are in a ring of their own.
 *
 * A ring that is broken is followed from its other end as well; what no list
 * leads to stays "free, in no list".  A fastbin that is broken is lost from there
 * on.  Its chunks cannot be told from ones in use but by what begins them: what
 * may be a link of that list makes a chunk of that size one of which nothing is
 * known.
 */
#include <string.h>
#include "base/interrupt.h"
#include "heap/heap_glibc_impl.h"

#define FD 16u
#define BK 24u

unsigned glibc_bin_of(uint64_t size)
{
	static const struct {
		unsigned shift, limit, base;
	} large[] = {
		{6, 48, 48},  {9, 20, 91},  {12, 10, 110},
		{15, 4, 119}, {18, 2, 124},
	};

	if (size < 0x400)
		return (unsigned)(size >> 4);
	for (size_t i = 0; i < sizeof(large) / sizeof(*large); i++)
		if (size >> large[i].shift <= large[i].limit)
			return large[i].base +
			       (unsigned)(size >> large[i].shift);
	return GLIBC_NBINS - 1;
}

struct list {
	struct glibc_heap *gh;
	const struct glibc_arena *arena;
	struct heap_freelist pub;
	enum chunk_state state;
	bool is_damaged;
	VEC(taddr_t) chunks; /* of a large bin */
};

static uint64_t chunk_bytes(const struct glibc_region *r, size_t g)
{
	return (uint64_t)(glibc_next(r, g) - g) * GRANULE;
}

static void keep_list(struct list *l)
{
	struct glibc_list kept = {l->pub};

	if (l->pub.n)
		VEC_PUSH(&l->gh->lists, kept);
}

static void count(struct list *l, taddr_t chunk, uint64_t bytes)
{
	if (l->pub.n++ == 0)
		l->pub.first = chunk + CHUNK_HEAD;
	l->pub.bytes += bytes;
}

/* ---- fastbins -------------------------------------------------------- */

/* may the chunk at granule g be one that a broken fastbin has lost? */
static bool is_lost_fast(struct glibc_heap *gh, struct glibc_region *r,
			 size_t g, uint64_t bytes)
{
	taddr_t next = 0;
	size_t next_g = 0;

	if (glibc_state(r, g) != CHUNK_USED || chunk_bytes(r, g) != bytes ||
	    !glibc_link(gh, r->start + g * GRANULE + FD, &next))
		return false;
	const struct glibc_region *to = glibc_chunk_at(gh, next, &next_g);

	return next == 0 || (to && to->arena == r->arena &&
			     chunk_bytes(to, next_g) == bytes);
}

/* what a broken list may have led to is neither in use nor free */
static void lose_fast(struct list *l)
{
	struct glibc_heap *gh = l->gh;
	uint64_t bytes = l->pub.max_bytes + 8;
	size_t arena = (size_t)(l->arena - gh->arenas.v);
	size_t n = 0;

	for (size_t i = 0; i < gh->regions.n; i++) {
		struct glibc_region *r = &gh->regions.v[i];

		if (r->arena != arena)
			continue;
		for (size_t g = 0; g < r->ngranules; g = glibc_next(r, g)) {
			if (!is_lost_fast(gh, r, g, bytes))
				continue;
			glibc_set_state(r, g, CHUNK_LOST);
			n++;
		}
	}
	if (n && !gh->is_partial)
		glibc_damage(gh, 0, l->pub.addr,
			     "arena %s: %zu buffers of %" PRIu64
			     " bytes may be in its broken fastbin: whether "
			     "they are in use is unknown",
			     l->arena->name, n, l->pub.max_bytes);
}

static void fast_damage(struct list *l, taddr_t from, taddr_t chunk)
{
	if (glibc_is_absent(l->gh, chunk))
		glibc_absent(l->gh, chunk, chunk + CHUNK_MIN);
	else if (from)
		glibc_damage(
			l->gh, from + CHUNK_HEAD, from + FD,
			"free buffer 0x%" PRIx64 " (%" PRIu64
			" bytes, fastbin): its link is overwritten, to 0x%" PRIx64
			": written to after it was freed",
			from + CHUNK_HEAD, l->pub.max_bytes, chunk);
	else
		glibc_damage(l->gh, 0, l->pub.addr,
			     "arena %s: a fastbin begins at 0x%" PRIx64
			     ", where no such chunk is",
			     l->arena->name, chunk);
}

/* is it of the size?  Where that is damaged, the list knows better */
static bool is_fast_chunk(struct list *l, struct glibc_region *r, size_t g)
{
	if (!r)
		return false;
	enum chunk_state state = glibc_state(r, g);

	return glibc_is_doubtful(state) ||
	       (state == CHUNK_USED &&
		chunk_bytes(r, g) == l->pub.max_bytes + 8);
}

/* (L1), (L2); from: the chunk before, 0: the head */
static bool take_fast(struct list *l, taddr_t from, taddr_t chunk)
{
	size_t g = 0;
	struct glibc_region *r = glibc_chunk_at(l->gh, chunk, &g);

	if (r && glibc_state(r, g) == CHUNK_FAST) {
		glibc_damage(l->gh, chunk + CHUNK_HEAD, from + FD,
			     "free buffer 0x%" PRIx64 " (%" PRIu64
			     " bytes) is in a fastbin twice, a cycle: freed "
			     "twice",
			     chunk + CHUNK_HEAD, l->pub.max_bytes);
		return false;
	}
	if (r && glibc_state(r, g) == CHUNK_TCACHE) {
		glibc_damage(
			l->gh, chunk + CHUNK_HEAD, chunk + FD,
			"free buffer 0x%" PRIx64 " (%" PRIu64
			" bytes) is in a fastbin and a tcache: freed twice",
			chunk + CHUNK_HEAD, l->pub.max_bytes);
		return false;
	}
	if (!is_fast_chunk(l, r, g)) {
		fast_damage(l, from, chunk);
		return false;
	}
	glibc_set_state(r, g, CHUNK_FAST);
	count(l, chunk, chunk_bytes(r, g));
	return true;
}

/* one whose link leads nowhere may be in use: what it points at is no leak */
static void doubt_fast(struct glibc_heap *gh, taddr_t chunk, taddr_t link)
{
	size_t g = 0;
	size_t to = 0;
	struct glibc_region *r = glibc_chunk_at(gh, chunk, &g);

	if (r && glibc_state(r, g) == CHUNK_FAST &&
	    !glibc_chunk_at(gh, link, &to))
		glibc_set_state(r, g, CHUNK_LOST);
}

static void read_fastbin(struct glibc_heap *gh, const struct glibc_arena *a,
			 unsigned i)
{
	struct list l = {.gh = gh, .arena = a, .state = CHUNK_FAST};
	uint64_t chunk = 0;
	taddr_t from = 0;

	l.pub.addr = a->addr + gh->lay.fastbins + i * 8ull;
	l.pub.owner = a->addr;
	l.pub.where = "fastbin";
	l.pub.index = i;
	l.pub.min_bytes = l.pub.max_bytes = CHUNK_MIN - 8 + i * CHUNK_ALIGN;
	if (!glibc_read(gh, l.pub.addr, &chunk))
		return;
	while (chunk) {
		l.is_damaged = !take_fast(&l, from, chunk);
		/* no link in it: free, and written to, or never in the list */
		if (l.is_damaged && from)
			doubt_fast(gh, from, chunk);
		from = chunk;
		if (l.is_damaged || !glibc_link(gh, chunk + FD, &chunk))
			break;
	}
	if (l.is_damaged)
		lose_fast(&l);
	keep_list(&l);
}

/* ---- bins ------------------------------------------------------------ */

static void link_damage(struct list *l, taddr_t head, taddr_t from,
			bool forward, taddr_t to)
{
	const char *name = forward ? "fd" : "bk";
	taddr_t at = from + (forward ? FD : BK);

	l->is_damaged = true;
	if (glibc_is_absent(l->gh, to))
		glibc_absent(l->gh, to, to + CHUNK_MIN);
	else if (from == head)
		glibc_damage(l->gh, 0, at,
			     "arena %s: %s of the %s list of %" PRIu64
			     " bytes leads to 0x%" PRIx64
			     ", where no free chunk is",
			     l->arena->name, name, l->pub.where,
			     l->pub.min_bytes, to);
	else
		glibc_damage(l->gh, from + CHUNK_HEAD, at,
			     "free buffer 0x%" PRIx64
			     " (%s): its list pointer %s is overwritten, to "
			     "0x%" PRIx64 ": written to after it was freed",
			     from + CHUNK_HEAD, l->pub.where, name, to);
}

/* (L3): another list holds the chunk, by a link to it and one back */
static bool is_elsewhere(struct list *l, taddr_t head, taddr_t from,
			 taddr_t chunk, bool forward)
{
	uint64_t back = 0;
	uint64_t forth = 0;

	return chunk != head &&
	       glibc_read(l->gh, chunk + (forward ? BK : FD), &back) &&
	       back != from && back != chunk &&
	       glibc_read(l->gh, back + (forward ? FD : BK), &forth) &&
	       forth == chunk;
}

static bool is_size_of(const struct list *l, uint64_t bytes)
{
	return bytes - 8 >= l->pub.min_bytes && bytes - 8 <= l->pub.max_bytes;
}

/* (L3): no chance brings that about */
static bool is_linked_back(struct list *l, taddr_t from, taddr_t chunk,
			   bool forward)
{
	uint64_t back = 0;

	return glibc_read(l->gh, chunk + (forward ? BK : FD), &back) &&
	       back == from;
}

/* what the chunk after a free one says is wrong */
static void tell_next(struct list *l, const struct glibc_region *r, size_t g)
{
	taddr_t chunk = r->start + g * GRANULE;
	taddr_t next = chunk + chunk_bytes(r, g);

	glibc_damage(l->gh, next + CHUNK_HEAD, next + 8,
		     "chunk 0x%" PRIx64
		     ": size field overwritten: it says that the buffer "
		     "before, 0x%" PRIx64 ", is in use, and that is in a %s",
		     next, chunk + CHUNK_HEAD, l->pub.where);
}

/* (L3).  forward: along fd, else along bk */
static bool take_binned(struct list *l, taddr_t head, taddr_t from,
			taddr_t chunk, bool forward)
{
	size_t g = 0;
	struct glibc_region *r = glibc_chunk_at(l->gh, chunk, &g);
	enum chunk_state state = r ? glibc_state(r, g) : CHUNK_NONE;

	/* the other way has come as far as here */
	if (!forward && l->is_damaged && state == l->state)
		return false;
	bool is_right = r && is_size_of(l, chunk_bytes(r, g)) &&
			!is_elsewhere(l, head, from, chunk, forward);

	if (state == CHUNK_USED && is_right &&
	    is_linked_back(l, from, chunk, forward)) {
		tell_next(l, r, g);
		state = CHUNK_UNLINKED;
	}
	if ((state == CHUNK_UNLINKED && is_right) || glibc_is_doubtful(state)) {
		glibc_set_state(r, g, l->state);
		count(l, chunk, chunk_bytes(r, g));
		if (l->state == CHUNK_LARGE)
			VEC_PUSH(&l->chunks, chunk);
		return true;
	}
	link_damage(l, head, from, forward, chunk);
	return false;
}

/* the chunk that the list led to points back; so does the head to the last */
static void check_back(struct list *l, taddr_t head, taddr_t from,
		       taddr_t chunk)
{
	uint64_t bk = 0;

	if (glibc_read(l->gh, chunk + BK, &bk) && bk != from)
		link_damage(l, head, chunk, false, bk);
}

static void follow(struct list *l, taddr_t head, bool forward)
{
	uint64_t chunk = 0;
	taddr_t from = head;

	while (glibc_read(l->gh, from + (forward ? FD : BK), &chunk)) {
		/* to the head from another than its last: cut short */
		if (chunk == head
			    ? forward && is_elsewhere(l, 0, from, head, true)
			    : !take_binned(l, head, from, chunk, forward)) {
			if (chunk == head)
				link_damage(l, head, from, true, head);
			break;
		}
		if (forward)
			check_back(l, head, from, chunk);
		if (chunk == head)
			break;
		from = chunk;
	}
}

/* ---- the sizes of a large bin ---------------------------------------- */

#define FD_SIZE 32u
#define BK_SIZE 40u

static void check_size_link(struct list *l, taddr_t chunk, unsigned off,
			    taddr_t want)
{
	uint64_t got = 0;

	if (!glibc_read(l->gh, chunk + off, &got) || got == want)
		return;
	l->is_damaged = true;
	glibc_damage(l->gh, chunk + CHUNK_HEAD, chunk + off,
		     "free buffer 0x%" PRIx64
		     " (%s): its list pointer %s is overwritten, to 0x%" PRIx64
		     ": written to after it was freed",
		     chunk + CHUNK_HEAD, l->pub.where,
		     off == FD_SIZE ? "fd_nextsize" : "bk_nextsize", got);
}

static uint64_t bytes_at(struct list *l, size_t i)
{
	size_t g = 0;
	struct glibc_region *r = glibc_chunk_at(l->gh, l->chunks.v[i], &g);

	return r ? chunk_bytes(r, g) : 0;
}

/* (L4); firsts of a size are moved to the begin of the vector */
static void check_sizes(struct list *l)
{
	size_t n = 0;
	uint64_t last = 0;

	for (size_t i = 0; i < l->chunks.n; i++) {
		taddr_t chunk = l->chunks.v[i];
		uint64_t bytes = bytes_at(l, i);

		if (i && bytes == last) {
			check_size_link(l, chunk, FD_SIZE, 0);
			check_size_link(l, chunk, BK_SIZE, 0);
			continue;
		}
		last = bytes;
		l->chunks.v[n++] = chunk;
	}
	for (size_t i = 0; i < n; i++) {
		check_size_link(l, l->chunks.v[i], FD_SIZE,
				l->chunks.v[(i + 1) % n]);
		check_size_link(l, l->chunks.v[i], BK_SIZE,
				l->chunks.v[(i + n - 1) % n]);
	}
}

/* sizes of chunks that belong in a bin, by what glibc_bin_of() says */
static void bin_range(unsigned i, uint64_t *ret_min, uint64_t *ret_max)
{
	uint64_t size = CHUNK_MIN;
	uint64_t step = CHUNK_ALIGN;

	while (glibc_bin_of(size) < i)
		size += step;
	*ret_min = size - 8;
	if (i == GLIBC_NBINS - 1) {
		*ret_max = UINT64_MAX;
		return;
	}
	while (glibc_bin_of(size) <= i)
		size += step;
	*ret_max = size - step - 8;
}

struct heap_freelist glibc_bin_list(const struct glibc_heap *gh,
				    const struct glibc_arena *a, unsigned i)
{
	struct heap_freelist l = {
		.addr = a->addr + gh->lay.bins + (i - 1) * 16ull - FD,
		.owner = a->addr,
		.index = i,
		.where = i == 1   ? "unsorted"
			 : i < 64 ? "smallbin"
				  : "largebin",
		.min_bytes = CHUNK_MIN - 8,
		.max_bytes = UINT64_MAX,
	};

	if (i > 1)
		l.min_bytes = gh->classes[i].pub.chunk_bytes;
	if (i > 1 && i < GLIBC_NBINS - 1)
		l.max_bytes = gh->classes[i].pub.bufsize_bytes;
	return l;
}

static void read_bin(struct glibc_heap *gh, const struct glibc_arena *a,
		     unsigned i)
{
	struct list l = {.gh = gh, .arena = a, .pub = glibc_bin_list(gh, a, i)};
	taddr_t head = l.pub.addr;

	l.state = i == 1 ? CHUNK_UNSORTED : i < 64 ? CHUNK_SMALL : CHUNK_LARGE;
	follow(&l, head, true);
	if (l.is_damaged)
		follow(&l, head, false);
	else if (l.state == CHUNK_LARGE && !a->is_locked)
		check_sizes(&l);
	VEC_FREE(&l.chunks);
	keep_list(&l);
}

/* ---- what is in no list ---------------------------------------------- */

/* Free for the chunk after it, and nobody has it: of an arena whose lock is
 * free, that is damage, and who knows what it is.  What is unsure and was in no list is used. */
static void check_unlinked(struct glibc_heap *gh, struct glibc_region *r)
{
	const struct glibc_arena *a = &gh->arenas.v[r->arena];

	for (size_t g = 0; g < r->ngranules; g = glibc_next(r, g)) {
		taddr_t buf = r->start + g * GRANULE + CHUNK_HEAD;

		if (glibc_state(r, g) == CHUNK_UNSURE)
			glibc_set_state(r, g, CHUNK_USED);
		if (glibc_state(r, g) != CHUNK_UNLINKED || a->is_locked)
			continue;
		glibc_set_state(r, g, CHUNK_LOST);
		/* a list may be where the dump is not */
		if (gh->is_partial)
			continue;
		glibc_damage(gh, buf, 0,
			     "buffer 0x%" PRIx64
			     " is free, says the next chunk, and in no list",
			     buf);
	}
}

/* what malloc does not count */
static void not_counted(struct heap_cache *c)
{
	c->nalloc = c->nalloc_fail = HEAP_NOT_KNOWN;
	c->slabs_created = c->slabs_destroyed = HEAP_NOT_KNOWN;
}

void glibc_classes_init(struct glibc_heap *gh)
{
	struct glibc_class *own = &gh->classes[0];

	own->name = mem_strdup("malloc_own");
	own->pub.name = own->name;
	own->pub.addr = gh->main_arena + gh->lay.fastbins;
	own->pub.is_internal = true;
	not_counted(&own->pub);
	for (unsigned i = 2; i < GLIBC_NBINS; i++) {
		struct glibc_class *k = &gh->classes[i];
		uint64_t min = 0;
		uint64_t max = 0;

		bin_range(i, &min, &max);
		k->name = max == UINT64_MAX
				  ? mem_printf("malloc_%" PRIu64 "_up", min)
				  : mem_printf("malloc_%" PRIu64, max);
		k->pub.name = k->name;
		k->pub.addr =
			gh->main_arena + gh->lay.bins + (i - 1) * 16ull - FD;
		k->pub.bufsize_bytes = max == UINT64_MAX ? min : max;
		k->pub.chunk_bytes = min;
		k->pub.is_sized = true;
		not_counted(&k->pub);
	}
}

void glibc_check_unlinked(struct glibc_heap *gh)
{
	for (size_t i = 0; i < gh->regions.n; i++)
		check_unlinked(gh, &gh->regions.v[i]);
}

/* the lists of an arena; done: of bins that were read already, or NULL */
static void read_arena(struct glibc_heap *gh, const struct glibc_arena *a,
		       const struct heap_freelist *done)
{
	for (unsigned b = 0; b < gh->lay.nfastbins; b++)
		read_fastbin(gh, a, b);
	for (unsigned b = 1; b < GLIBC_NBINS; b++) {
		struct list l = {.gh = gh};

		if (!done || b > GLIBC_BINS_BESIDE) {
			read_bin(gh, a, b);
			continue;
		}
		l.pub = done[b];
		keep_list(&l);
	}
}

struct err *glibc_free_lists(struct glibc_heap *gh)
{
	struct heap_freelist *done = NULL;
	struct err *err = glibc_tcaches(gh);

	if (!err)
		err = glibc_bins_beside(gh, &done);
	for (size_t i = 0; !err && i < gh->arenas.n; i++) {
		read_arena(gh, &gh->arenas.v[i],
			   done ? done + i * (GLIBC_BINS_BESIDE + 1) : NULL);
		err = interrupt_check();
	}
	mem_free(done);
	if (!err)
		glibc_sweep_tcaches(gh);
	return err;
}
