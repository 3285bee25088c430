/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where glibc keeps its heap, and how this build of it lays out what it keeps.
 *
 * With debug information of libc, everything is bound by name.  Without, the
 * main arena is recognised by what must be true of it, in whatever writable
 * data of a file it lies:
 *
 *	[fastbinsY]  top  last_remainder  bins[127 pairs]  binmap[4]  next ...
 *
 * (F1) The head of list i is the address of its pair less 16, so that an empty
 * list is a pair of words that both hold their own address less 16.  Most lists
 * of most arenas are empty; the scan looks for such a pair.  (F2) Of a list
 * that is not empty, the first chunk points back at the head, and so does the
 * last.  (F3) The word 16 bytes behind the pairs begins the ring of arenas,
 * which leads back to the start of this one: that tells how far before the
 * pairs the arena begins, and which pair is the first.  What there is room for
 * before top are fastbins, of which there are none since 2.43.  Rejected: a table
 * of offsets by version, which is a guess for the next version.
 *
 * malloc's parameters are found in the same way, by the relations between
 * counts, sizes and the start of the heap; heap_info by the arena behind it
 * that it points at.
 */
#include <elf.h>
#include <stdio.h>
#include <string.h>
#include "base/strbuf.h"
#include "heap/heap_glibc_impl.h"

#define PAGE           4096u
#define NPAIRS         GLIBC_NBINS
#define PAIR           16u
#define BINMAP_BYTES   16u
#define PAIRS_BYTES    (NPAIRS * PAIR)
#define FASTBINS_OFF   16u /* in an arena: its lock, flags, if any are filled */
#define BINS_OFF_MIN   24u /* of the pairs in an arena */
#define BINS_OFF_MAX   256u
#define PAIRS_GOOD_MIN 110u /* the rest may be damaged */
#define ARENAS_MAX     65536u
#define PARAMS_NEAR    0x8000u

static const char never_used[] = "glibc's malloc was never used";

/* ---- by invariants --------------------------------------------------- */

static bool is_writable(const struct target *t, taddr_t addr)
{
	const struct target_map *map = target_map_at(t, addr);

	return map && (map->prot & PF_W);
}

/* (F1), (F2) */
static bool is_pair(struct glibc_heap *gh, taddr_t pair)
{
	uint64_t fd = 0;
	uint64_t bk = 0;
	uint64_t back = 0;
	uint64_t forth = 0;
	taddr_t head = pair - PAIR;

	if (!glibc_read(gh, pair, &fd) || !glibc_read(gh, pair + 8, &bk))
		return false;
	if (fd == head && bk == head)
		return true;
	return glibc_read(gh, fd + 24, &back) &&
	       glibc_read(gh, bk + 16, &forth) && back == head && forth == head;
}

bool glibc_is_arena(struct glibc_heap *gh, taddr_t addr)
{
	unsigned good = 0;

	for (unsigned i = 0; i < NPAIRS; i++)
		good += is_pair(gh, addr + gh->lay.bins + (uint64_t)i * PAIR);
	return good >= PAIRS_GOOD_MIN;
}

/* (F3): does the ring of arenas that holds p close? */
static bool is_ring(struct glibc_heap *gh, taddr_t p, uint64_t next_off)
{
	uint64_t at = p;

	for (unsigned n = 0; n < ARENAS_MAX; n++) {
		if (!glibc_read(gh, at + next_off, &at) || at % 8 || at == 0)
			return false;
		if (at == p)
			return true;
	}
	return false;
}

/* is there an arena whose pairs begin here? */
static bool learn_at(struct glibc_heap *gh, taddr_t pairs)
{
	uint64_t off = BINS_OFF_MIN;
	uint64_t top = 0;
	unsigned good = 0;

	while (off < BINS_OFF_MAX &&
	       !is_ring(gh, pairs - off, off + PAIRS_BYTES + BINMAP_BYTES))
		off += 8;
	if (off == BINS_OFF_MAX || !glibc_read(gh, pairs - 16, &top) ||
	    top % CHUNK_ALIGN || (top && !is_writable(gh->t, top)))
		return false;
	for (unsigned i = 0; i < NPAIRS; i++)
		good += is_pair(gh, pairs + (uint64_t)i * PAIR);
	if (good < PAIRS_GOOD_MIN)
		return false;
	gh->main_arena = pairs - off;
	gh->lay.bins = off;
	gh->lay.top = off - 16;
	gh->lay.fastbins = FASTBINS_OFF;
	if (gh->lay.top > FASTBINS_OFF)
		gh->lay.nfastbins = (unsigned)(gh->lay.top - FASTBINS_OFF) / 8;
	gh->lay.next = off + PAIRS_BYTES + BINMAP_BYTES;
	/* next, next_free, attached_threads, system_mem, max_system_mem */
	gh->lay.system_mem = gh->lay.next + 24;
	gh->lay.arena_bytes = gh->lay.next + 40;
	return true;
}

/* a pair of an empty list is at addr: which one? */
static bool learn_around(struct glibc_heap *gh, taddr_t addr)
{
	for (unsigned i = 0; i < NPAIRS; i++)
		if (learn_at(gh, addr - (uint64_t)i * PAIR))
			return true;
	return false;
}

static bool scan(struct glibc_heap *gh, taddr_t start, taddr_t end)
{
	uint64_t a = 0;
	uint64_t b = 0;

	for (taddr_t at = (start + 7) & ~7ull; at + PAIR <= end; at += 8) {
		if (!glibc_read(gh, at, &a))
			return false;
		if (a != at - PAIR || !glibc_read(gh, at + 8, &b) || b != a)
			continue;
		if (learn_around(gh, at))
			return true;
		/* one that is no arena's: its neighbours will not be, either */
		at += PAIRS_BYTES;
	}
	return false;
}

static bool is_libc_path(const char *path)
{
	const char *name = path ? strrchr(path, '/') : NULL;

	name = name ? name + 1 : path;
	return name && (strncmp(name, "libc.so", 7) == 0 ||
			strncmp(name, "libc-2.", 7) == 0);
}

/* data of files, and what lies right behind it: .bss */
static bool is_data(const struct target *t, size_t i, bool libc_only)
{
	const struct target_map *map = target_map(t, i);

	if (!(map->prot & PF_W) || (map->prot & PF_X))
		return false;
	if (!map->path && i > 0 && target_map(t, i - 1)->end == map->start)
		map = target_map(t, i - 1);
	return map->path && is_libc_path(map->path) == libc_only;
}

static bool learn(struct glibc_heap *gh)
{
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < target_nmaps(gh->t); i++) {
			const struct target_map *map = target_map(gh->t, i);

			if (is_data(gh->t, i, pass == 0) &&
			    scan(gh, map->start, map->end))
				return true;
		}
	return false;
}

uint32_t glibc_u32(struct glibc_heap *gh, taddr_t at)
{
	uint64_t word = 0;

	if (!glibc_read(gh, at & ~7ull, &word))
		return 0;
	return (uint32_t)(word >> (at & 4) * 8);
}

/* Does the heap begin at base?  In the map of its top, which begins there unless
 * the program or the loader moved the break before; in any, if it is not
 * contiguous.  any_head: the first chunk may be damaged. */
static bool is_heap_start(struct glibc_heap *gh, taddr_t base, taddr_t top,
			  bool any_head)
{
	const struct target_map *map = target_map_at(gh->t, base);
	taddr_t chunk = (base + CHUNK_ALIGN - 1) & ~(CHUNK_ALIGN - 1ull);
	uint64_t words = 0;
	uint64_t head = 0;

	if (!map || !(map->prot & PF_W) || map->path)
		return false;
	if (map != target_map_at(gh->t, top) &&
	    (!glibc_read(gh, gh->main_arena, &words) ||
	     !(words >> 32 & NONCONTIGUOUS)))
		return false;
	if (any_head)
		return map == target_map_at(gh->t, top) && base <= top &&
		       base == chunk;
	return glibc_read(gh, chunk + 8, &head) &&
	       (head & CHUNK_FLAGS) == CHUNK_PREV_INUSE &&
	       head % CHUNK_ALIGN == CHUNK_PREV_INUSE && head > CHUNK_MIN &&
	       head <= map->end - chunk + CHUNK_PREV_INUSE;
}

/*
 * Is the word at "at" the start of the heap, with what malloc counts of mmapped
 * chunks before it?  *ret_counts: where the four numbers are that come first:
 *
 *	n_mmaps n_mmaps_max max_n_mmaps no_dyn_threshold [a gap of 4 bytes]
 *	mmapped_mem max_mmapped_mem sbrk_base
 */
static bool is_params(struct glibc_heap *gh, taddr_t at, taddr_t top,
		      bool any_head, taddr_t *ret_counts)
{
	uint64_t bytes = 0;
	uint64_t max_bytes = 0;
	uint64_t base = 0;

	if (!glibc_read(gh, at, &base) ||
	    !is_heap_start(gh, base, top, any_head) ||
	    !glibc_read(gh, at - 8, &max_bytes) ||
	    !glibc_read(gh, at - 16, &bytes) || bytes % CHUNK_ALIGN ||
	    bytes > max_bytes)
		return false;
	for (unsigned gap = 0; gap <= 4; gap += 4) {
		taddr_t p = at - 32 - gap;
		uint32_t n = glibc_u32(gh, p);
		uint32_t limit = glibc_u32(gh, p + 4);
		uint32_t max = glibc_u32(gh, p + 8);
		uint32_t is_set = glibc_u32(gh, p + 12);

		/* no limit is one that the user has set */
		if (limit + is_set == 0 || is_set > 1 || n > max ||
		    max > limit || n > bytes / PAGE ||
		    (max == 0) != (max_bytes == 0))
			continue;
		*ret_counts = p;
		return true;
	}
	return false;
}

static bool learn_params(struct glibc_heap *gh, bool any_head)
{
	uint64_t top = 0;
	uint64_t base = 0;
	taddr_t counts = 0;

	if (!glibc_read(gh, gh->main_arena + gh->lay.top, &top))
		return false;
	const struct target_map *data = target_map_at(gh->t, gh->main_arena);

	if (!data)
		return false;
	taddr_t from = gh->main_arena - PARAMS_NEAR;
	taddr_t to = gh->main_arena + gh->lay.arena_bytes + PARAMS_NEAR;

	if (from < data->start)
		from = data->start;
	for (taddr_t at = (from + 7) & ~7ull; at + 8 <= to; at += 8) {
		/* the arena's own words: its lists, and its top */
		if (at + 8 > gh->main_arena &&
		    at < gh->main_arena + gh->lay.arena_bytes)
			continue;
		if (!is_params(gh, at, top, any_head, &counts) ||
		    !glibc_read(gh, at, &base))
			continue;
		gh->lay.mp_n_mmaps = counts;
		gh->lay.mp_mmapped = at - 16;
		gh->lay.sbrk_base = base;
		return true;
	}
	return false;
}

static void learn_heap_info(struct glibc_heap *gh)
{
	uint64_t arena = 0;
	uint64_t word = 0;

	if (!glibc_read(gh, gh->main_arena + gh->lay.next, &arena) ||
	    arena == gh->main_arena)
		return;
	for (uint64_t n = 16; n <= 128; n += 8)
		if ((arena - n) % PAGE == 0 &&
		    glibc_read(gh, arena - n, &word) && word == arena)
			gh->lay.heap_info_bytes = n;
}

/* ---- by name --------------------------------------------------------- */

static bool bind(struct glibc_heap *gh, const char *name, struct view_row *rows,
		 size_t n, uint64_t *ret_bytes)
{
	struct view view = {.struct_name = name, .rows = rows, .nrows = n};
	_err_free_ struct err *err = view_bind(gh->types, gh->libc, &view);

	if (!err)
		*ret_bytes = view.size_bytes;
	return !err;
}

static bool bind_arena(struct glibc_heap *gh)
{
	struct view_row r[] = {
		{.member = "fastbinsY"},
		{.member = "top", .is_required = true},
		{.member = "bins", .is_required = true},
		{.member = "next", .is_required = true},
		{.member = "system_mem", .is_required = true},
	};
	struct view_row h[] = {{.member = "ar_ptr", .is_required = true}};

	if (!bind(gh, "malloc_state", r, 5, &gh->lay.arena_bytes) ||
	    r[2].size_bytes != PAIRS_BYTES ||
	    !bind(gh, "_heap_info", h, 1, &gh->lay.heap_info_bytes))
		return false;
	if (r[0].is_bound) {
		gh->lay.fastbins = r[0].offset_bytes;
		gh->lay.nfastbins = r[0].size_bytes / 8;
	}
	gh->lay.top = r[1].offset_bytes;
	gh->lay.bins = r[2].offset_bytes;
	gh->lay.next = r[3].offset_bytes;
	gh->lay.system_mem = r[4].offset_bytes;
	return true;
}

static void bind_tcache(struct glibc_heap *gh)
{
	struct view_row r[] = {{.member = "entries", .is_required = true},
			       {.member = "counts"},
			       {.member = "num_slots"}};
	struct symbol sym;
	uint64_t key = 0;
	uint64_t bytes = 0;

	if (bind(gh, "tcache_perthread_struct", r, 3, &bytes) &&
	    (r[1].is_bound || r[2].is_bound) &&
	    r[0].size_bytes <= TCACHE_MAX * 8) {
		gh->lay.has_slots = r[2].is_bound;
		gh->lay.tcache_bytes = bytes;
		gh->lay.tcache_bins = r[0].size_bytes / 8;
		gh->lay.tcache_entries = r[0].offset_bytes;
		gh->lay.tcache_count_bytes =
			r[r[2].is_bound ? 2 : 1].elem_bytes;
	}
	if (types_symbol_named(gh->types, gh->libc, "tcache_key", &sym) &&
	    glibc_read(gh, sym.value, &key))
		gh->tcache_key = key;
}

static bool bind_params(struct glibc_heap *gh)
{
	struct view_row r[] = {{.member = "n_mmaps", .is_required = true},
			       {.member = "mmapped_mem", .is_required = true},
			       {.member = "sbrk_base", .is_required = true},
			       {.member = "tcache_count"}};
	struct symbol sym;
	uint64_t bytes = 0;
	uint64_t base = 0;

	if (!types_symbol_named(gh->types, gh->libc, "mp_", &sym) ||
	    !bind(gh, "malloc_par", r, 4, &bytes))
		return false;
	gh->lay.mp_n_mmaps = sym.value + r[0].offset_bytes;
	gh->lay.mp_mmapped = sym.value + r[1].offset_bytes;
	if (glibc_read(gh, sym.value + r[2].offset_bytes, &base))
		gh->lay.sbrk_base = base;
	if (r[3].is_bound)
		(void)!glibc_read(gh, sym.value + r[3].offset_bytes,
				  &gh->lay.tcache_limit);
	return true;
}

static bool bind_all(struct glibc_heap *gh)
{
	struct symbol sym;

	if (!gh->libc || gh->libc->state != OBJECT_OK ||
	    !types_symbol_named(gh->types, gh->libc, "main_arena", &sym) ||
	    !bind_arena(gh) || !is_ring(gh, sym.value, gh->lay.next) ||
	    !bind_params(gh))
		return false;
	gh->main_arena = sym.value;
	bind_tcache(gh);
	gh->lay.is_named = true;
	return true;
}

/* ---- both ------------------------------------------------------------ */

static const struct object *find_libc(struct types *types)
{
	struct symbol sym;

	for (size_t i = 0; types && i < types_nobjects(types); i++) {
		const struct object *obj = types_object(types, i);

		if (is_libc_path(obj->path))
			return obj;
	}
	/* a static program */
	if (types && types_symbol_named(types, NULL, "main_arena", &sym))
		return sym.object;
	return NULL;
}

/* was it ever asked for memory? */
static bool is_used(struct glibc_heap *gh)
{
	uint64_t bytes = 0;
	uint64_t next = 0;
	uint32_t n_mmaps = 0;

	(void)!glibc_read(gh, gh->main_arena + gh->lay.system_mem, &bytes);
	(void)!glibc_read(gh, gh->main_arena + gh->lay.next, &next);
	if (gh->lay.mp_n_mmaps)
		n_mmaps = glibc_u32(gh, gh->lay.mp_n_mmaps);
	return bytes || next != gh->main_arena || n_mmaps;
}

/* is the main arena as the linker left it?  Whatever allocates first fills its
 * lists.  That is seen without debug information, which costs as much to read as
 * all else about a dump where malloc() is libkmem's. */
static bool is_untouched(struct glibc_heap *gh)
{
	struct symbol sym;
	size_t nself = 0;
	size_t nones = 0;

	if (!gh->libc || gh->libc->state != OBJECT_OK ||
	    !types_symbol_named(gh->types, gh->libc, "main_arena", &sym) ||
	    sym.size < BINS_OFF_MIN + PAIRS_BYTES || sym.size > PAGE)
		return false;
	for (taddr_t at = sym.value; at < sym.value + sym.size; at += 8) {
		uint64_t word = 0;

		if (!glibc_read(gh, at, &word))
			return false;
		/* it is alone in the ring of arenas; one thread has it */
		nself += word == sym.value;
		nones += word == 1;
		if (word > 1 && word != sym.value)
			return false;
	}
	return nself == 1 && nones <= 1;
}

int glibc_find(struct target *t, struct types *types, struct glibc_heap *ret,
	       char **ret_why)
{
	ret->t = t;
	ret->types = types;
	ret->rd.t = t;
	ret->libc = find_libc(types);
	if (is_untouched(ret)) {
		*ret_why = mem_strdup(never_used);
		return 0;
	}
	if (!bind_all(ret)) {
		memset(&ret->lay, 0, sizeof(ret->lay));
		ret->tcache_key = 0;
		if (!learn(ret)) {
			*ret_why = mem_strdup("no heap of glibc's malloc");
			return 0;
		}
		if (!learn_params(ret, false))
			(void)learn_params(ret, true);
		learn_heap_info(ret);
	}
	if (!is_used(ret)) {
		*ret_why = mem_strdup(never_used);
		return 0;
	}
	return 1;
}

void glibc_add_arena(struct glibc_heap *gh, taddr_t addr)
{
	struct glibc_arena a = {.addr = addr, .is_main = gh->arenas.n == 0};
	uint64_t words = 0;

	(void)!glibc_read(gh, addr, &words);
	a.is_locked = (uint32_t)words != 0;
	a.flags = (uint32_t)(words >> 32);
	(void)!glibc_read(gh, addr + gh->lay.top, &a.top);
	(void)!glibc_read(gh, addr + gh->lay.system_mem, &a.system_bytes);
	a.name = a.is_main ? mem_strdup("main")
			   : mem_printf("arena_%zu", gh->arenas.n);
	VEC_PUSH(&gh->arenas, a);
}

void glibc_find_arenas(struct glibc_heap *gh)
{
	uint64_t at = gh->main_arena;

	do {
		glibc_add_arena(gh, at);
		if (!glibc_read(gh, at + gh->lay.next, &at))
			break;
	} while (at != gh->main_arena && gh->arenas.n < ARENAS_MAX);
}
