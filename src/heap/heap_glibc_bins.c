/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The rings of free chunks, on all processors.
 *
 * A ring can only be followed link by link, but there are many: one for each bin
 * of each arena.  (B1) As long as all of them are sound, each chunk is in one
 * only, so that it does not matter who follows which when.  (B2) A chunk is taken
 * by one atomic exchange, so of two rings that share one, one sees that it came
 * too late.  Then, or when anything else is wrong, what was taken is given back,
 * and one thread does it all (heap_glibc_free.c), in order, and tells of damage.
 *
 * Large bins are sorted, too, which is looked at there; they hold few chunks.
 */
#include "base/jobs.h"
#include "heap/heap_glibc_impl.h"

#define FD         16u
#define BK         24u
#define CHUNK_MEAN 64u /* bytes, as programs are */
#define BINS       (GLIBC_BINS_BESIDE + 1)

struct rings {
	struct glibc_heap *gh;
	struct heap_freelist *lists; /* of each arena, by number of bin */
	bool is_unsound;
};

static void fail(struct rings *rings)
{
	__atomic_store_n(&rings->is_unsound, true, __ATOMIC_RELAXED);
}

/* takes a chunk of a bin (B2); 0: it is not to be had.  Returns its bytes. */
static uint64_t take(struct rings *rings, taddr_t chunk,
		     const struct heap_freelist *l, enum chunk_state state)
{
	struct glibc_region *r = glibc_region_at(rings->gh, chunk);

	if (!r || (chunk - r->start) % GRANULE)
		return 0;
	size_t g = (size_t)(chunk - r->start) / GRANULE;
	unsigned shift = g & 1 ? 4 : 0;
	/* no other chunk begins in this byte */
	unsigned char want = (unsigned char)(CHUNK_UNLINKED << shift);

	if (!__atomic_compare_exchange_n(&r->state[g / 2], &want,
					 (unsigned char)(state << shift), false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return 0;
	uint64_t bytes = (glibc_next(r, g) - g) * GRANULE;

	return bytes - 8 >= l->min_bytes && bytes - 8 <= l->max_bytes ? bytes
								      : 0;
}

static bool follow(struct rings *rings, struct heap_freelist *l,
		   enum chunk_state state)
{
	struct glibc_reader rd = {.t = rings->gh->t, .is_beside = true};
	struct glibc_reader head = rd; /* in libc or its arena, far away */
	taddr_t from = l->addr;
	uint64_t chunk = 0;
	uint64_t back = 0;

	if (!glibc_reader_u64(&head, l->addr + FD, &chunk))
		return false;
	for (;;) {
		bool is_end = chunk == l->addr;

		if (!glibc_reader_u64(is_end ? &head : &rd, chunk + BK,
				      &back) ||
		    back != from || jobs_is_stopped())
			return false;
		if (is_end)
			return true;
		uint64_t bytes = take(rings, chunk, l, state);

		if (bytes == 0)
			return false;
		if (l->n++ == 0)
			l->first = chunk + CHUNK_HEAD;
		l->bytes += bytes;
		from = chunk;
		if (!glibc_reader_u64(&rd, chunk + FD, &chunk))
			return false;
	}
}

static void follow_bin(void *arg, size_t i)
{
	struct rings *rings = arg;
	const struct glibc_arena *a = &rings->gh->arenas.v[i / BINS];
	unsigned bin = (unsigned)(i % BINS);

	if (bin == 0 || __atomic_load_n(&rings->is_unsound, __ATOMIC_RELAXED))
		return;
	rings->lists[i] = glibc_bin_list(rings->gh, a, bin);
	if (!follow(rings, &rings->lists[i],
		    bin == 1 ? CHUNK_UNSORTED : CHUNK_SMALL))
		fail(rings);
}

static void give_back(struct glibc_region *r)
{
	for (size_t g = 0; g < r->ngranules; g = glibc_next(r, g)) {
		enum chunk_state state = glibc_state(r, g);

		if (state == CHUNK_UNSORTED || state == CHUNK_SMALL)
			glibc_set_state(r, g, CHUNK_UNLINKED);
	}
}

struct err *glibc_bins_beside(struct glibc_heap *gh, struct heap_freelist **ret)
{
	struct rings rings = {.gh = gh};
	uint64_t all = 0;

	*ret = NULL;
	for (size_t i = 0; i < gh->regions.n; i++)
		all += gh->regions.v[i].end - gh->regions.v[i].start;
	if (jobs_for((size_t)(all / CHUNK_MEAN)) <= 1)
		return NULL;
	rings.lists = mem_array(gh->arenas.n * BINS + 1, sizeof(*rings.lists));
	struct err *err = jobs_each("following free lists", gh->arenas.n * BINS,
				    (size_t)(all / CHUNK_MEAN / BINS) + 1,
				    follow_bin, &rings);

	if (!err && !rings.is_unsound) {
		*ret = rings.lists;
		return NULL;
	}
	for (size_t i = 0; i < gh->regions.n; i++)
		give_back(&gh->regions.v[i]);
	mem_free(rings.lists);
	return err;
}
