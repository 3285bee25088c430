/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The glibc back end: answers for the chunks of malloc in the words of the heap
 * interface.
 *
 *	arena      an arena; "mmap" is that of chunks with their own mappings
 *	segment    a chunk, its header the boundary tag; a span is a region
 *	cache      the sizes that share a bin: no memory of its own
 *	buffer     what malloc returned: from 16 bytes behind the begin of a
 *	           chunk to 8 bytes beyond its end
 *
 * The size of a buffer is what the program may use; what it asked for is not
 * recorded, nor is who asked.
 */
#include "heap/heap_glibc_impl.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/interrupt.h"
#include "heap/heap_impl.h"

#define ABORT_MSG_MAX 512u

/* what a state is called, and how the interface sees it */
static const struct {
	enum buf_state state; /* 0: no buffer */
	const char *name;
	bool is_free;
} states[CHUNK_MAX] = {
	[CHUNK_USED] = {BUF_ALLOCATED, "allocated", false},
	[CHUNK_TCACHE] = {BUF_FREE_LIST, "tcache", true},
	[CHUNK_FAST] = {BUF_FREE_LIST, "fastbin", true},
	[CHUNK_UNSORTED] = {BUF_FREE_LIST, "unsorted", true},
	[CHUNK_SMALL] = {BUF_FREE_LIST, "smallbin", true},
	[CHUNK_LARGE] = {BUF_FREE_LIST, "largebin", true},
	[CHUNK_UNLINKED] = {BUF_TRANSIT, "in no list", true},
	[CHUNK_TOP] = {0, "top", true},
	[CHUNK_OWN] = {BUF_ALLOCATED, "malloc's own", false},
	[CHUNK_FENCE] = {0, "fence", false},
	[CHUNK_GAP] = {0, "not the heap's", false},
	[CHUNK_LOST] = {BUF_UNKNOWN, "unknown", false},
};

/* ---- reading --------------------------------------------------------- */

bool glibc_reader_u64(struct glibc_reader *rd, taddr_t at, uint64_t *ret)
{
	if (at - rd->start >= rd->len || rd->len - (at - rd->start) < 8) {
		rd->start = at;
		rd->p = target_peek(rd->t, at, &rd->len);
		if (!rd->p)
			rd->len = 0;
		if (rd->len < 8) {
			rd->len = 0;
			if (rd->is_beside)
				return false;
			_err_free_ struct err *err =
				target_read_u64(rd->t, at, ret);

			return !err;
		}
	}
	memcpy(ret, rd->p + (at - rd->start), sizeof(*ret));
	return true;
}

bool glibc_read(struct glibc_heap *gh, taddr_t at, uint64_t *ret)
{
	if (at + 8 < at)
		return false;
	return glibc_reader_u64(&gh->rd, at, ret);
}

void glibc_damage(struct glibc_heap *gh, taddr_t buf, taddr_t at,
		  const char *fmt, ...)
{
	struct heap_finding f = {
		.addr = buf ? buf : at,
		.kind = FINDING_STRUCTURE,
		.at = at,
	};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f.text, sizeof(f.text), fmt, ap);
	va_end(ap);
	heap_damage(gh->heap, "%s", f.text);
	if (gh->findings.n < GLIBC_FINDINGS)
		VEC_PUSH(&gh->findings, f);
}

bool glibc_is_absent(const struct glibc_heap *gh, taddr_t addr)
{
	size_t len = 0;

	return target_map_at(gh->t, addr) && !target_peek(gh->t, addr, &len);
}

void glibc_absent(struct glibc_heap *gh, taddr_t start, taddr_t end)
{
	struct heap_health *h = &gh->heap->health;

	gh->is_partial = true;
	if (!h->doubt)
		h->doubt = mem_printf(
			"%" PRIu64 " bytes of the heap, from 0x%" PRIx64
			" on, are not in the dump (see coredump_filter in "
			"core(5)): what is in them is not known",
			end - start, start);
}

/* ---- loading --------------------------------------------------------- */

static void add_census(struct glibc_heap *gh, struct glibc_arena *a,
		       const struct glibc_census *c)
{
	for (unsigned i = 0; i < CHUNK_MAX; i++) {
		a->n[i] += c->n[i];
		a->bytes[i] += c->bytes[i];
	}
	gh->classes[0].pub.buftotal += c->n[CHUNK_OWN];
	for (unsigned i = 0; i < GLIBC_NBINS; i++) {
		struct heap_cache *k = &gh->classes[i].pub;

		k->buftotal += c->nbufs[i];
		k->nfree_mag += c->ntcache[i];
		k->nfree_slab += c->nfree[i];
	}
}

void glibc_census_add(struct glibc_census *c, enum chunk_state state,
		      uint64_t bytes)
{
	c->n[state]++;
	c->bytes[state] += bytes;
	if (states[state].state == 0 || state == CHUNK_OWN)
		return;
	unsigned bin = glibc_bin_of(bytes);

	c->nbufs[bin]++;
	if (state == CHUNK_TCACHE)
		c->ntcache[bin]++;
	else if (states[state].is_free)
		c->nfree[bin]++;
}

/* all that begins in the regions, by arena and by size */
static struct err *take_census(struct glibc_heap *gh)
{
	struct glibc_census *c = NULL;
	uint64_t nodd = 0;
	struct err *err = glibc_census(gh, &c);

	for (size_t i = 0; !err && i < gh->arenas.n; i++)
		nodd += c[i].n[CHUNK_UNLINKED] + c[i].n[CHUNK_UNSURE];
	if (!err && nodd) {
		glibc_check_unlinked(gh);
		mem_free(c);
		c = NULL;
		err = glibc_census(gh, &c);
	}
	for (size_t i = 0; !err && i < gh->arenas.n; i++)
		add_census(gh, &gh->arenas.v[i], &c[i]);
	for (size_t i = 0; !err && i < gh->regions.n; i++) {
		const struct glibc_region *r = &gh->regions.v[i];

		gh->arenas.v[r->arena].other_bytes += r->start - r->base;
	}
	mem_free(c);
	return err;
}

static void judge_health(struct glibc_heap *gh)
{
	struct heap_health *h = &gh->heap->health;
	const char *where = NULL;

	h->is_quiescent_known = true;
	h->is_quiescent = true;
	for (size_t i = 0; i < gh->arenas.n; i++)
		if (gh->arenas.v[i].is_locked)
			h->is_quiescent = false;
	for (size_t i = 0; h->is_quiescent && i < target_nthreads(gh->t); i++) {
		const struct target_thread *th = target_thread(gh->t, i);
		enum glibc_inside inside = glibc_inside(gh, th, &where);

		if (inside != INSIDE_NO)
			h->is_quiescent = false;
		if (inside != INSIDE_UNKNOWN)
			continue;
		h->is_quiescent_known = false;
		h->doubt = mem_printf("whether thread %u was in malloc() is "
				      "not known: libc has no symbols",
				      th->tid);
	}
}

/* What was found when malloc itself stumbled over it is no operation that was
 * not finished. */
static void judge_crash(struct glibc_heap *gh)
{
	struct heap_health *h = &gh->heap->health;
	int signo = target_info(gh->t)->signo;
	const char *where = NULL;

	if (h->has_panic || gh->findings.n == 0 ||
	    (signo != SIGSEGV && signo != SIGBUS))
		return;
	for (size_t i = 0; i < target_nthreads(gh->t); i++) {
		const struct target_thread *th = target_thread(gh->t, i);

		if (th->cursig != signo ||
		    glibc_inside(gh, th, &where) != INSIDE_YES)
			continue;
		h->has_panic = true;
		h->panic = mem_printf("%s in %s(), over what is damaged",
				      signo == SIGSEGV ? "SIGSEGV" : "SIGBUS",
				      where);
		return;
	}
}

struct err *glibc_load(struct glibc_heap *gh)
{
	if (gh->is_loaded)
		return NULL;
	struct err *err = glibc_walk(gh);

	if (!err)
		err = glibc_free_lists(gh);
	if (!err)
		glibc_check(gh);
	if (!err)
		judge_crash(gh);
	/* what was interrupted is not read twice */
	gh->is_loaded = true;
	if (!err)
		err = take_census(gh);
	return err;
}

/* ---- opening --------------------------------------------------------- */

static int glibc_probe(struct target *t, struct types *types, char **ret_why)
{
	struct glibc_heap gh = {0};

	return glibc_find(t, types, &gh, ret_why) ? 50 : 0;
}

/* what malloc said when it ended the process; others use the same words' place */
static void read_panic(struct glibc_heap *gh)
{
	static const char *const words[] = {
		"malloc",       "free(",  "realloc",     "corrupted",
		"munmap_chunk", "tcache", "double free", "memalign"};
	struct heap_health *h = &gh->heap->health;
	struct symbol sym;
	uint64_t msg = 0;
	_free_ char *text = NULL;

	if (!gh->libc || gh->libc->state != OBJECT_OK ||
	    !types_symbol_named(gh->types, gh->libc, "__abort_msg", &sym) ||
	    !glibc_read(gh, sym.value, &msg) || !msg)
		return;
	/* behind the length of its mapping */
	err_free(target_read_str(gh->t, msg + 4, ABORT_MSG_MAX, &text));
	for (size_t i = 0; text && i < sizeof(words) / sizeof(*words); i++)
		if (strncmp(text, words[i], strlen(words[i])) == 0) {
			h->has_panic = true;
			h->panic = text;
			text = NULL;
		}
}

static struct err *glibc_open(struct target *t, struct types *types,
			      struct heap *heap)
{
	struct glibc_heap *gh = mem_zalloc(sizeof(*gh));
	_free_ char *why = NULL;

	heap->priv = gh;
	gh->heap = heap;
	if (!glibc_find(t, types, gh, &why))
		return err_new(ERR_NOTFOUND, "%s", why);
	glibc_find_arenas(gh);
	glibc_classes_init(gh);
	judge_health(gh);
	read_panic(gh);
	return NULL;
}

static void glibc_close(struct heap *heap)
{
	struct glibc_heap *gh = heap->priv;

	for (size_t i = 0; i < gh->arenas.n; i++)
		mem_free(gh->arenas.v[i].name);
	for (size_t i = 0; i < gh->regions.n; i++)
		mem_free(gh->regions.v[i].state);
	for (size_t i = 0; i < GLIBC_NBINS; i++)
		mem_free(gh->classes[i].name);
	VEC_FREE(&gh->arenas);
	VEC_FREE(&gh->regions);
	VEC_FREE(&gh->bigs);
	VEC_FREE(&gh->tcaches);
	VEC_FREE(&gh->lists);
	VEC_FREE(&gh->findings);
	mem_free(gh);
	heap->priv = NULL;
}

/* ---- buffers --------------------------------------------------------- */

static void fill_buf(struct glibc_heap *gh, const struct glibc_region *r,
		     size_t g, size_t next, struct heap_buf *ret)
{
	enum chunk_state state = glibc_state(r, g);
	taddr_t chunk = r->start + g * GRANULE;
	uint64_t bytes = (next - g) * GRANULE;

	*ret = (struct heap_buf){
		.addr = chunk + CHUNK_HEAD,
		.size_bytes = bytes - 8,
		.req_bytes = bytes - 8,
		.state = states[state].state,
		.kind = BUF_IN_CACHE,
		.cache = gh->classes[state == CHUNK_OWN ? 0
							: glibc_bin_of(bytes)]
				 .pub.addr,
		.arena = gh->arenas.v[r->arena].addr,
		.ctl = chunk,
	};
	if (ret->state == BUF_FREE_LIST)
		ret->where = states[state].name;
}

static taddr_t big_arena(const struct glibc_heap *gh)
{
	return gh->lay.mp_n_mmaps ? gh->lay.mp_n_mmaps
				  : gh->main_arena + gh->lay.arena_bytes;
}

static void fill_big(const struct glibc_heap *gh, const struct glibc_big *big,
		     struct heap_buf *ret)
{
	*ret = (struct heap_buf){
		.addr = big->chunk + CHUNK_HEAD,
		.size_bytes = big->end - big->chunk - CHUNK_HEAD - big->tail,
		.req_bytes = big->end - big->chunk - CHUNK_HEAD - big->tail,
		.state = big->is_cached ? BUF_FREE_LIST : BUF_ALLOCATED,
		.kind = BUF_OVERSIZE,
		.arena = big_arena(gh),
		.ctl = big->chunk,
	};
	if (big->is_cached)
		ret->where = states[CHUNK_TCACHE].name;
}

/* only: bins this class, GLIBC_NBINS any but the internal one */
static struct err *region_bufs(struct glibc_heap *gh,
			       const struct glibc_region *r, unsigned only,
			       unsigned wanted, heap_buf_fn *fn, void *arg)
{
	struct heap_buf b;
	struct err *err = NULL;

	for (size_t g = 0; !err && g < r->ngranules;) {
		size_t next = glibc_next(r, g);
		enum chunk_state state = glibc_state(r, g);

		if ((states[state].state & wanted) &&
		    (only == GLIBC_NBINS ? state != CHUNK_OWN
		     : state == CHUNK_OWN
			     ? only == 0
			     : only == glibc_bin_of((next - g) * GRANULE))) {
			fill_buf(gh, r, g, next, &b);
			err = fn(arg, &b);
		}
		g = next;
	}
	return err;
}

static struct err *no_cache(taddr_t addr)
{
	return err_new(ERR_NOTFOUND, "0x%" PRIx64 " is not a kmem_cache", addr);
}

static struct err *glibc_bufs(struct heap *heap, taddr_t cache, unsigned wanted,
			      heap_buf_fn *fn, void *arg)
{
	struct glibc_heap *gh = heap->priv;
	struct err *err = glibc_load(gh);
	unsigned only = 0;

	while (cache && only < GLIBC_NBINS &&
	       gh->classes[only].pub.addr != cache)
		only++;
	if (!err && cache && only == GLIBC_NBINS)
		err = no_cache(cache);
	if (err || (cache && gh->classes[only].pub.buftotal == 0))
		return err;
	for (size_t i = 0; !err && i < gh->regions.n; i++)
		err = region_bufs(gh, &gh->regions.v[i],
				  cache ? only : GLIBC_NBINS, wanted, fn, arg);
	for (size_t i = 0; !err && !cache && i < gh->bigs.n; i++) {
		struct heap_buf b;

		fill_big(gh, &gh->bigs.v[i], &b);
		if ((b.state & wanted) && !gh->bigs.v[i].is_own)
			err = fn(arg, &b);
	}
	return err;
}

struct glibc_big *glibc_big_at(struct glibc_heap *gh, taddr_t addr)
{
	size_t lo = 0;
	size_t hi = gh->bigs.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (gh->bigs.v[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == gh->bigs.n || addr < gh->bigs.v[lo].chunk)
		return NULL;
	return &gh->bigs.v[lo];
}

/* the granule at or before g at which something begins */
static size_t begin_of(const struct glibc_region *r, size_t g)
{
	while (g > 0 && glibc_state(r, g) == CHUNK_NONE) {
		uint64_t word = 0;

		g--;
		while (g >= 16 && g % 16 == 15) {
			memcpy(&word, r->state + g / 2 - 7, sizeof(word));
			if (word)
				break;
			g -= 16;
		}
	}
	return g;
}

static bool glibc_buf_at(struct heap *heap, taddr_t addr, struct heap_buf *ret)
{
	struct glibc_heap *gh = heap->priv;
	_err_free_ struct err *err = glibc_load(gh);

	if (err)
		return false;
	/* the last 8 bytes of a buffer are the first of the next chunk */
	struct glibc_region *r = glibc_region_at(gh, addr - 8);

	if (!r) {
		const struct glibc_big *big = glibc_big_at(gh, addr);

		if (big && addr >= big->chunk + CHUNK_HEAD)
			fill_big(gh, big, ret);
		return big && addr >= big->chunk + CHUNK_HEAD;
	}
	size_t g = begin_of(r, (size_t)(addr - 8 - r->start) / GRANULE);

	if (states[glibc_state(r, g)].state == 0)
		return false;
	fill_buf(gh, r, g, glibc_next(r, g), ret);
	return addr >= ret->addr;
}

static struct err *glibc_caches(struct heap *heap, heap_cache_fn *fn, void *arg)
{
	struct glibc_heap *gh = heap->priv;
	struct err *err = glibc_load(gh);

	for (unsigned i = 0; !err && i < GLIBC_NBINS; i++)
		if (gh->classes[i].name)
			err = fn(arg, &gh->classes[i].pub);
	return err;
}

/* ---- arenas, segments ------------------------------------------------ */

/* mmapped chunks in use, or those in a tcache */
static struct heap_use big_use(const struct glibc_heap *gh, bool is_cached)
{
	struct heap_use u = {
		.name = "mmap",
		.what = states[is_cached ? CHUNK_TCACHE : CHUNK_USED].name,
		.is_free = is_cached,
	};

	for (size_t i = 0; i < gh->bigs.n; i++) {
		const struct glibc_big *big = &gh->bigs.v[i];

		if (big->is_cached != is_cached)
			continue;
		u.n++;
		u.bytes += big->end - big->start;
	}
	return u;
}

static struct err *glibc_arenas(struct heap *heap, heap_arena_fn *fn, void *arg)
{
	struct glibc_heap *gh = heap->priv;
	struct err *err = glibc_load(gh);

	for (size_t i = 0; !err && i < gh->arenas.n; i++) {
		const struct glibc_arena *a = &gh->arenas.v[i];
		struct heap_arena pub = {
			.addr = a->addr,
			.name = a->name,
			.quantum_bytes = CHUNK_ALIGN,
			.total_bytes = a->other_bytes,
			.inuse_bytes = a->other_bytes,
			.nalloc = HEAP_NOT_KNOWN,
			.nfail = HEAP_NOT_KNOWN,
			.nbufs = a->n[CHUNK_USED],
		};

		for (unsigned s = 0; s < CHUNK_MAX; s++) {
			if (s == CHUNK_GAP)
				continue;
			pub.total_bytes += a->bytes[s];
			if (!states[s].is_free)
				pub.inuse_bytes += a->bytes[s];
		}
		err = fn(arg, &pub);
	}
	struct heap_use used = big_use(gh, false);
	struct heap_arena mapped = {
		.addr = big_arena(gh),
		.name = "mmap",
		.quantum_bytes = 4096,
		.inuse_bytes = used.bytes,
		.total_bytes = used.bytes + big_use(gh, true).bytes,
		.nalloc = HEAP_NOT_KNOWN,
		.nfail = HEAP_NOT_KNOWN,
		.nbufs = used.n,
	};

	return err || gh->bigs.n == 0 ? err : fn(arg, &mapped);
}

static struct heap_segment segment_of(struct glibc_heap *gh,
				      const struct glibc_region *r, size_t g)
{
	enum chunk_state state = glibc_state(r, g);
	taddr_t chunk = r->start + g * GRANULE;

	return (struct heap_segment){
		.addr = chunk,
		.arena = gh->arenas.v[r->arena].addr,
		.start = chunk,
		.end = r->start + glibc_next(r, g) * GRANULE,
		.type = states[state].is_free ? SEG_FREE : SEG_ALLOC,
	};
}

static struct heap_segment segment_of_big(struct glibc_heap *gh,
					  const struct glibc_big *big)
{
	return (struct heap_segment){
		.addr = big->chunk,
		.arena = big_arena(gh),
		.start = big->start,
		.end = big->end,
		.type = big->is_cached ? SEG_FREE : SEG_ALLOC,
		.is_imported = true,
	};
}

static struct err *region_segments(struct glibc_heap *gh,
				   const struct glibc_region *r, unsigned types,
				   heap_segment_fn *fn, void *arg)
{
	struct heap_segment span = {
		.addr = r->base,
		.arena = gh->arenas.v[r->arena].addr,
		.start = r->base,
		.end = r->end,
		.type = SEG_SPAN,
		.is_imported = true,
	};
	struct err *err = NULL;

	if (types & 1u << SEG_SPAN)
		err = fn(arg, &span);
	for (size_t g = 0; !err && g < r->ngranules; g = glibc_next(r, g)) {
		struct heap_segment s = segment_of(gh, r, g);

		if (glibc_state(r, g) != CHUNK_GAP && (types & 1u << s.type))
			err = fn(arg, &s);
	}
	return err;
}

static struct err *glibc_segments(struct heap *heap, taddr_t arena,
				  unsigned types, heap_segment_fn *fn,
				  void *arg)
{
	struct glibc_heap *gh = heap->priv;
	struct err *err = glibc_load(gh);
	bool is_found = false;

	if (err)
		return err;
	for (size_t i = 0; i < gh->arenas.n; i++)
		is_found = is_found || gh->arenas.v[i].addr == arena;
	for (size_t i = 0; !err && i < gh->regions.n; i++)
		if (gh->arenas.v[gh->regions.v[i].arena].addr == arena)
			err = region_segments(gh, &gh->regions.v[i], types, fn,
					      arg);
	if (is_found || arena != big_arena(gh))
		return err || is_found
			       ? err
			       : err_new(ERR_NOTFOUND,
					 "0x%" PRIx64 " is not an arena",
					 arena);
	for (size_t i = 0; !err && i < gh->bigs.n; i++) {
		struct heap_segment s = segment_of_big(gh, &gh->bigs.v[i]);

		if (types & 1u << s.type)
			err = fn(arg, &s);
	}
	return err;
}

static struct err *glibc_segment_at(struct heap *heap, taddr_t addr,
				    struct heap_segment *ret)
{
	struct glibc_heap *gh = heap->priv;
	struct err *err = glibc_load(gh);
	size_t g = 0;

	if (err)
		return err;
	const struct glibc_region *r = glibc_chunk_at(gh, addr, &g);
	const struct glibc_big *big = glibc_big_at(gh, addr);

	if (!r && (!big || big->chunk != addr))
		return err_new(ERR_NOTFOUND, "no chunk begins at 0x%" PRIx64,
			       addr);
	*ret = r ? segment_of(gh, r, g) : segment_of_big(gh, big);
	return NULL;
}

/* ---- the rest -------------------------------------------------------- */

static struct err *glibc_verify(struct heap *heap, taddr_t cache,
				heap_finding_fn *fn, void *arg)
{
	struct glibc_heap *gh = heap->priv;
	struct err *err = glibc_load(gh);

	/* a chunk whose size is damaged is of no class */
	for (size_t i = 0; !err && !cache && i < gh->findings.n; i++)
		err = fn(arg, &gh->findings.v[i]);
	return err;
}

static int by_start(const void *a, const void *b)
{
	const struct heap_range *x = a;
	const struct heap_range *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static struct err *glibc_own(struct heap *heap, struct heap_range **ret,
			     size_t *ret_n)
{
	struct glibc_heap *gh = heap->priv;
	struct err *err = glibc_load(gh);
	VEC(struct heap_range) own = {0};
	struct heap_range one = {gh->main_arena,
				 gh->main_arena + gh->lay.arena_bytes};

	if (err)
		return err;
	VEC_PUSH(&own, one);
	for (size_t i = 0; i < gh->bigs.n; i++) {
		one.start = gh->bigs.v[i].start;
		one.end = gh->bigs.v[i].end;
		VEC_PUSH(&own, one);
	}
	for (size_t i = 0; i < gh->regions.n; i++) {
		const struct glibc_region *r = &gh->regions.v[i];

		one.start = r->base;
		for (size_t g = 0; g < r->ngranules; g = glibc_next(r, g)) {
			/* what nobody knows may keep others alive */
			if (glibc_state(r, g) != CHUNK_GAP &&
			    glibc_state(r, g) != CHUNK_LOST)
				continue;
			one.end = r->start + g * GRANULE;
			VEC_PUSH(&own, one);
			one.start = r->start + glibc_next(r, g) * GRANULE;
		}
		one.end = r->end;
		VEC_PUSH(&own, one);
	}
	qsort(own.v, own.n, sizeof(*own.v), by_start);
	*ret = own.v;
	*ret_n = own.n;
	return NULL;
}

static struct err *glibc_freelists(struct heap *heap, heap_freelist_fn *fn,
				   void *arg)
{
	struct glibc_heap *gh = heap->priv;
	struct err *err = glibc_load(gh);

	for (size_t i = 0; !err && i < gh->lists.n; i++)
		err = fn(arg, &gh->lists.v[i].pub);
	return err;
}

static struct err *arena_uses(const struct glibc_arena *a, heap_use_fn *fn,
			      void *arg)
{
	struct err *err = NULL;

	for (unsigned s = 0; !err && s < CHUNK_MAX; s++) {
		struct heap_use u = {
			.arena = a->addr,
			.name = a->name,
			.what = states[s].name,
			.is_free = states[s].is_free,
			.n = a->n[s],
			.bytes = a->bytes[s],
		};

		if (s == CHUNK_OWN) {
			u.bytes += a->other_bytes;
			u.n += a->other_bytes > 0;
		}
		if (u.n)
			err = fn(arg, &u);
	}
	return err;
}

static struct err *glibc_uses(struct heap *heap, heap_use_fn *fn, void *arg)
{
	struct glibc_heap *gh = heap->priv;
	struct err *err = glibc_load(gh);
	for (size_t i = 0; !err && i < gh->arenas.n; i++)
		err = arena_uses(&gh->arenas.v[i], fn, arg);
	for (int is_cached = 0; !err && is_cached < 2; is_cached++) {
		struct heap_use u = big_use(gh, is_cached);

		if (u.n)
			err = fn(arg, &u);
	}
	return err;
}

const struct heap_ops heap_glibc_ops = {
	.name = "glibc",
	.probe = glibc_probe,
	.open = glibc_open,
	.close = glibc_close,
	.caches = glibc_caches,
	.bufs = glibc_bufs,
	.nparts = glibc_nparts,
	.part = glibc_part,
	.buf_at = glibc_buf_at,
	.arenas = glibc_arenas,
	.segments = glibc_segments,
	.segment_at = glibc_segment_at,
	.verify = glibc_verify,
	.own = glibc_own,
	.freelists = glibc_freelists,
	.uses = glibc_uses,
};
