/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the glibc back end share. */
#ifndef HEAP_HEAP_GLIBC_IMPL_H
#define HEAP_HEAP_GLIBC_IMPL_H

#include <inttypes.h>
#include "base/mem.h"
#include "heap/heap.h"

/* flags in the size field of a chunk */
#define CHUNK_PREV_INUSE 1u
#define CHUNK_MMAPPED    2u
#define CHUNK_NON_MAIN   4u
#define CHUNK_FLAGS      7u

#define CHUNK_HEAD  16u /* from the start of a chunk to what malloc returns */
#define CHUNK_MIN   32u
#define CHUNK_ALIGN 16u
#define GRANULE     16u

#define GLIBC_NBINS    127u /* lists of an arena, the unsorted one first */
#define TCACHE_SMALL   64u  /* lists of one size in a thread's cache */
#define TCACHE_MAX     128u /* lists of it, at most */
#define GLIBC_FINDINGS 10000u

/* what begins at a granule of a region: a nibble each */
enum chunk_state {
	CHUNK_NONE, /* nothing begins here */
	CHUNK_USED,
	CHUNK_TCACHE,
	CHUNK_FAST,
	CHUNK_UNSORTED,
	CHUNK_SMALL,
	CHUNK_LARGE,
	CHUNK_UNLINKED, /* free, but in no list */
	CHUNK_TOP,
	CHUNK_OWN,    /* a thread's tcache */
	CHUNK_FENCE,  /* ends a region that could not grow */
	CHUNK_GAP,    /* not the heap's: someone else moved the break */
	CHUNK_UNSURE, /* what would say whether it is in use is damaged; used,
		       * unless a bin has it */
	CHUNK_LOST, /* damage hides what it is, or was part of: nobody knows */
	CHUNK_MAX
};

/* where members are: by name from debug information, or as found, see
 * heap_glibc_find.c */
struct glibc_layout {
	bool is_named;
	/* malloc_state */
	uint64_t fastbins, top, bins, next, system_mem, arena_bytes;
	unsigned nfastbins; /* none since 2.43 */
	/* heap_info */
	uint64_t heap_info_bytes;
	/* a thread's cache; 0 bins: not known, see heap_glibc_thread.c */
	unsigned tcache_bins;
	uint64_t tcache_bytes, tcache_count_bytes, tcache_entries;
	bool has_slots; /* it counts what still fits, since 2.42 */
	uint64_t tcache_limit;
	taddr_t mp_n_mmaps, mp_mmapped; /* addresses; 0: not found */
	taddr_t sbrk_base;              /* value; 0: not known */
};

struct glibc_arena {
	taddr_t addr;
	char *name; /* owned */
	taddr_t top;
	uint64_t system_bytes;
	uint32_t flags;
	bool is_main, is_locked;
	/* chunks, and bytes of them, by enum chunk_state */
	uint64_t n[CHUNK_MAX], bytes[CHUNK_MAX];
	uint64_t other_bytes; /* heap_info, the arena itself, alignment */
};

/* contiguous memory of an arena */
struct glibc_region {
	taddr_t start, end;   /* of the chunks */
	taddr_t base;         /* own memory begins here: a heap_info or start */
	size_t arena;         /* index */
	unsigned char *state; /* two granules a byte; owned */
	size_t ngranules;
};

/* an allocation with a mapping of its own */
struct glibc_big {
	taddr_t chunk, start, end; /* of the mapping */
	unsigned tail;  /* bytes of its end that are not the buffer's */
	bool is_cached; /* free, in a tcache */
	bool is_own;    /* a thread's tcache */
};

/* a chunk: of a region, or with a mapping of its own */
struct glibc_place {
	struct glibc_region *r; /* or else */
	struct glibc_big *big;
	size_t g;
	uint64_t bytes; /* as its size field has them */
};

/* a list of free chunks */
struct glibc_list {
	struct heap_freelist pub;
};

/* one size class, with what is in it */
struct glibc_class {
	struct heap_cache pub;
	char *name; /* owned */
};

/* chunks, and bytes of them, by what they are; buffers by number of bin */
struct glibc_census {
	uint64_t n[CHUNK_MAX], bytes[CHUNK_MAX];
	uint64_t nbufs[GLIBC_NBINS], ntcache[GLIBC_NBINS], nfree[GLIBC_NBINS];
};

struct glibc_tcache {
	taddr_t addr; /* of the structure; the chunk is CHUNK_HEAD below */
	uint32_t tid; /* 0: of no thread that lives */
};

/* reads of memory that lies together */
struct glibc_reader {
	const struct target *t;
	taddr_t start;
	size_t len;
	const unsigned char *p;
	bool is_beside; /* other threads: mapped bytes are all there is */
};

struct glibc_heap {
	struct heap *heap;
	const struct target *t;
	struct types *types;
	const struct object *libc; /* NULL: not known */
	taddr_t main_arena;
	struct glibc_layout lay;
	bool is_loaded;
	bool is_partial;     /* memory of a heap is not in the dump */
	bool is_protected;   /* links are mangled, since 2.32 */
	uint64_t tcache_key; /* 0: not known */
	/* buffers that damaged lists count, and were not found, by list */
	uint64_t tcache_missing[TCACHE_MAX];
	VEC(struct glibc_arena) arenas;
	VEC(struct glibc_region) regions; /* ascending */
	VEC(struct glibc_big) bigs;       /* ascending */
	VEC(struct glibc_tcache) tcaches;
	VEC(struct glibc_list) lists;
	VEC(struct heap_finding) findings;
	/* by number of bin; [0]: what malloc has for itself */
	struct glibc_class classes[GLIBC_NBINS];
	struct glibc_reader rd; /* for reads here and there */
};

/* ---- heap_glibc_inside.c --------------------------------------------- */

enum glibc_inside {
	INSIDE_NO,
	INSIDE_YES,
	INSIDE_UNKNOWN, /* in libc, of which no names are known */
};

/** Is a thread in malloc(), or in what that has called?
 *
 * @ret_where:  the function, static; NULL unless it is */
enum glibc_inside glibc_inside(struct glibc_heap *gh,
			       const struct target_thread *th,
			       const char **ret_where);

/* ---- heap_glibc_find.c ----------------------------------------------- */

/** Finds the main arena and how this glibc lays out its structures; 0: there
 * is none, *ret_why says why (owned). */
int glibc_find(struct target *t, struct types *types, struct glibc_heap *ret,
	       char **ret_why);
/** Four bytes of the target, aligned; 0 when they are not in the dump. */
uint32_t glibc_u32(struct glibc_heap *gh, taddr_t at);
/** Does this look like an arena, by its lists? */
bool glibc_is_arena(struct glibc_heap *gh, taddr_t addr);
/** Adds one to the list. */
void glibc_add_arena(struct glibc_heap *gh, taddr_t addr);
/** Lists the arenas, the main one first. */
void glibc_find_arenas(struct glibc_heap *gh);

/* ---- heap_glibc_region.c --------------------------------------------- */

#define NONCONTIGUOUS 2u /* in the flags of an arena */

/** Lists the regions of all arenas, ascending. */
void glibc_find_regions(struct glibc_heap *gh);

/* ---- heap_glibc_walk.c ----------------------------------------------- */

/** Lists regions and mmapped chunks, and walks them: every chunk has a state,
 * as far as the chunks themselves tell. */
struct err *glibc_walk(struct glibc_heap *gh) must_use;

/* ---- heap_glibc_big.c ------------------------------------------------ */

/** Finds the mmapped chunks, in order of address, and says what malloc has more
 * or less of them. */
void glibc_find_bigs(struct glibc_heap *gh);
/** What begins at a granule of a region. */
static inline enum chunk_state glibc_state(const struct glibc_region *r,
					   size_t granule)
{
	unsigned byte = r->state[granule / 2];

	return (enum chunk_state)(granule & 1 ? byte >> 4 : byte & 15);
}
/** May a list have it, though nothing else says that it is free?  Its size is
 * what the list says if it is not sure. */
static inline bool glibc_is_doubtful(enum chunk_state state)
{
	return state == CHUNK_UNSURE || state == CHUNK_LOST;
}
/** Sets it. */
void glibc_set_state(struct glibc_region *r, size_t granule,
		     enum chunk_state state);
/** The granule after granule at which something begins, or ngranules. */
size_t glibc_next(const struct glibc_region *r, size_t granule);
/** The mmapped chunk that holds addr, or NULL. */
struct glibc_big *glibc_big_at(struct glibc_heap *gh, taddr_t addr);
/** The region that holds addr, or NULL. */
struct glibc_region *glibc_region_at(struct glibc_heap *gh, taddr_t addr);
/** The region and granule of a chunk; NULL when no chunk begins there. */
struct glibc_region *glibc_chunk_at(struct glibc_heap *gh, taddr_t chunk,
				    size_t *ret_granule);

/* ---- heap_glibc_free.c ----------------------------------------------- */

/** Takes the lists of free chunks into account: caches of threads, fastbins,
 * bins. */
struct err *glibc_free_lists(struct glibc_heap *gh) must_use;
/** Index of the bin that a size of chunk belongs to, 2 .. GLIBC_NBINS - 1:
 * also its size class. */
unsigned glibc_bin_of(uint64_t chunk_bytes);
/** What a list is, before it is read: bin 1 .. GLIBC_NBINS - 1 of an arena. */
struct heap_freelist glibc_bin_list(const struct glibc_heap *gh,
				    const struct glibc_arena *a, unsigned i);
/** Damage: chunks that are free and in no list.  For a heap that has such, or
 * ones that are unsure, which are in use then. */
void glibc_check_unlinked(struct glibc_heap *gh);
/** Names the size classes. */
void glibc_classes_init(struct glibc_heap *gh);

/* ---- heap_glibc_thread.c --------------------------------------------- */

/** The chunk of a buffer; false: none begins there. */
bool glibc_place_of(struct glibc_heap *gh, taddr_t buf,
		    struct glibc_place *ret);
/** What it is. */
enum chunk_state glibc_place_state(const struct glibc_place *p);
/** Notes that it is in a thread's cache. */
void glibc_place_cached(const struct glibc_place *p);
/** Lists the caches of threads; learns how they are laid out if no name told. */
void glibc_find_tcaches(struct glibc_heap *gh);
/** How many buffers list i of a cache says it has. */
uint64_t glibc_tcache_count(struct glibc_heap *gh, taddr_t tcache, unsigned i);
/** Its first buffer, or 0. */
taddr_t glibc_tcache_entry(struct glibc_heap *gh, taddr_t tcache, unsigned i);
/** Sizes of chunk that list i of every cache is for. */
void glibc_tcache_range(unsigned i, uint64_t *ret_min, uint64_t *ret_max);
/** Is it a buffer that list i of a cache may hold? */
bool glibc_tcache_holds(struct glibc_heap *gh, unsigned i, taddr_t buf);

/* ---- heap_glibc_bins.c ----------------------------------------------- */

/* bins 1 to this are followed on all processors */
#define GLIBC_BINS_BESIDE 63u
/** Takes the chunks of these bins of all arenas, if all are sound: *ret (owned)
 * holds the lists, GLIBC_BINS_BESIDE + 1 of an arena, of which [0] is not used.
 * Else, or for want of processors, NULL, and nothing is changed. */
struct err *glibc_bins_beside(struct glibc_heap *gh,
			      struct heap_freelist **ret) must_use;

/* ---- heap_glibc_tcache.c --------------------------------------------- */

/** Finds the caches of threads and takes what is in them as free. */
struct err *glibc_tcaches(struct glibc_heap *gh) must_use;
/** What lists of threads have lost, once every other list was read. */
void glibc_sweep_tcaches(struct glibc_heap *gh);
/** Reads the link at an address as free lists store it. */
bool glibc_link(struct glibc_heap *gh, taddr_t at, taddr_t *ret);

/* ---- heap_glibc_check.c ---------------------------------------------- */

/** Looks at what arenas, heaps and malloc's parameters say of themselves. */
void glibc_check(struct glibc_heap *gh);

/* ---- heap_glibc_bulk.c ----------------------------------------------- */

/** Counts what begins in the regions, on all processors; a census for each arena.
 * Owned. */
struct err *glibc_census(struct glibc_heap *gh,
			 struct glibc_census **ret) must_use;
/** Slots of struct heap_ops. */
struct err *glibc_nparts(struct heap *heap, size_t *ret_n) must_use;
bool glibc_part(struct heap *heap, size_t part, bool is_alone, heap_run_fn *fn,
		void *arg);

/* ---- heap_glibc.c ---------------------------------------------------- */

/** A word of the target; false: it is not in the dump. */
bool glibc_read(struct glibc_heap *gh, taddr_t at, uint64_t *ret);
/** The same by a reader of one's own. */
bool glibc_reader_u64(struct glibc_reader *rd, taddr_t at, uint64_t *ret);
/** Counts one chunk. */
void glibc_census_add(struct glibc_census *c, enum chunk_state state,
		      uint64_t bytes);
/** Reads everything, once. */
struct err *glibc_load(struct glibc_heap *gh) must_use;
/** Is an address one of memory that is not in the dump? */
bool glibc_is_absent(const struct glibc_heap *gh, taddr_t addr);
/** Notes that memory of a heap is not in the dump: no verdict. */
void glibc_absent(struct glibc_heap *gh, taddr_t start, taddr_t end);
/** Notes damage.  at: the first bad byte; buf: the buffer that it is in, or
 * that ran over its end; 0: none. */
void glibc_damage(struct glibc_heap *gh, taddr_t buf, taddr_t at,
		  const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
