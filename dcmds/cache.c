/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Caches and slabs: ::kmastat ::kmem_cache ::kmem_slabs. */
#include <regex.h>
#include <stdio.h>
#include "dist.h"
#include "known.h"

/* ---- ::kmem_cache ---------------------------------------------------- */

static const struct column cache_cols[] = {
	{"addr", "ADDR", CELL_ADDR, -16},
	{"name", "NAME", CELL_TEXT, -25},
	{"flags", "FLAG", CELL_TEXT, 4},
	{"cflags", "CFLAG", CELL_TEXT, 8},
	{"bufsize_bytes", "BUFSIZE", CELL_BYTES, 8},
	{"buftotal", "BUFTOTL", CELL_COUNT, 8},
};

struct cache_arg {
	struct dcmd_call *call;
	const char *pattern; /* part of the name, or NULL */
	bool is_found;
};

static struct err *cache_row(void *arg, const struct heap_cache *c)
{
	struct cache_arg *a = arg;
	struct out *o = a->call->out;
	char flags[16];
	char cflags[16];

	if ((a->call->flags & DCMD_ADDRSPEC) && c->addr != a->call->addr)
		return NULL;
	if (a->pattern && !strstr(c->name, a->pattern))
		return NULL;
	a->is_found = true;
	snprintf(flags, sizeof(flags), "%04x", c->flags);
	snprintf(cflags, sizeof(cflags), "%08x", c->cflags);
	out_addr(o, c->addr);
	out_str(o, c->name);
	out_str(o, flags);
	out_str(o, cflags);
	out_u64(o, c->bufsize_bytes);
	out_known(o, c->buftotal);
	out_end_row(o, c->addr);
	return NULL;
}

static const struct opt cache_opts[] = {
	{'n', OPT_STRING, "name", "only caches whose name contains this"},
	{0},
};

static struct err *dcmd_kmem_cache(struct dcmd_call *call)
{
	struct cache_arg a = {.call = call};
	void *const values[] = {&a.pattern};
	struct heap *heap = NULL;
	size_t first = 0;
	struct err *err = dcmd_options(call, cache_opts, values, &first);

	if (!err && first != call->argc)
		err = err_new(ERR_USAGE, "unexpected argument");
	if (!err)
		err = session_heap(call->s, &heap);
	if (err)
		return err;
	out_begin(call->out, cache_cols, 6, NULL);
	err = heap->ops->caches(heap, cache_row, &a);
	out_end(call->out);
	if (!err && (call->flags & DCMD_ADDRSPEC) && !a.is_found)
		err = err_new(ERR_NOTFOUND, "0x%" PRIx64 " is not a kmem_cache",
			      call->addr);
	return err;
}

/* ---- ::kmastat ------------------------------------------------------- */

static const struct column stat_cols[] = {
	{"name", "", CELL_TEXT, -30},
	{"bufsize_bytes", "", CELL_BYTES, 6},
	{"in_use", "", CELL_COUNT, 8},
	{"total", "", CELL_COUNT, 8},
	{"memory_bytes", "", CELL_NICE, 8},
	{"alloc", "", CELL_COUNT, 10},
	{"alloc_fail", "", CELL_COUNT, 5},
};
static const char stat_rule[] =
	"------------------------------ ------ -------- -------- -------- "
	"---------- -----\n";
static const char stat_heading[] =
	"cache                             buf      buf      buf   memory "
	"     alloc alloc\n"
	"name                             size   in use    total   in use "
	"   succeed  fail\n"
	"------------------------------ ------ -------- -------- -------- "
	"---------- -----";

static const struct column arena_cols[] = {
	{"name", "", CELL_TEXT, -30},       {"in_use_bytes", "", CELL_NICE, 10},
	{"total_bytes", "", CELL_NICE, 10}, {"import_bytes", "", CELL_NICE, 10},
	{"alloc", "", CELL_COUNT, 10},      {"alloc_fail", "", CELL_COUNT, 5},
};
static const char arena_heading[] =
	"vmem                               memory     memory     memory "
	"     alloc alloc\n"
	"name                               in use      total     import "
	"   succeed  fail\n"
	"------------------------------ ---------- ---------- ---------- "
	"---------- -----";

/* what the caches on one arena have together */
struct total {
	taddr_t arena;
	uint64_t bytes, nalloc, nfail;
};

struct stat_arg {
	struct heap *heap;
	struct out *out;
	VEC(struct total) totals;
};

static uint64_t cache_memory(const struct heap_cache *c)
{
	uint64_t nslabs = c->slabs_created - c->slabs_destroyed;

	return c->slabs_created == HEAP_NOT_KNOWN ? HEAP_NOT_KNOWN
						  : nslabs * c->slab_bytes;
}

static uint64_t in_use(const struct heap_cache *c)
{
	uint64_t nfree = c->nfree_mag + c->nfree_slab;

	if (c->buftotal == HEAP_NOT_KNOWN)
		return c->nlive;
	return c->buftotal > nfree ? c->buftotal - nfree : 0;
}

static void add_known(uint64_t *sum, uint64_t n)
{
	*sum = n == HEAP_NOT_KNOWN || *sum == HEAP_NOT_KNOWN ? HEAP_NOT_KNOWN
							     : *sum + n;
}

static void add_total(struct stat_arg *a, const struct heap_cache *c)
{
	size_t i = 0;

	while (i < a->totals.n && a->totals.v[i].arena != c->arena)
		i++;
	if (i == a->totals.n) {
		struct total t = {.arena = c->arena};

		VEC_PUSH(&a->totals, t);
	}
	add_known(&a->totals.v[i].bytes, cache_memory(c));
	add_known(&a->totals.v[i].nalloc, c->nalloc);
	add_known(&a->totals.v[i].nfail, c->nalloc_fail);
}

static struct err *stat_row(void *arg, const struct heap_cache *c)
{
	struct stat_arg *a = arg;

	out_str(a->out, c->name);
	out_u64(a->out, c->bufsize_bytes);
	out_known(a->out, in_use(c));
	out_known(a->out, c->buftotal);
	out_known(a->out, cache_memory(c));
	out_known(a->out, c->nalloc);
	out_known(a->out, c->nalloc_fail);
	out_end_row(a->out, c->addr);
	add_total(a, c);
	return NULL;
}

static struct err *total_row(void *arg, const struct heap_arena *arena)
{
	struct stat_arg *a = arg;

	for (size_t i = 0; i < a->totals.n; i++) {
		const struct total *t = &a->totals.v[i];
		_free_ char *name = NULL;

		if (t->arena != arena->addr)
			continue;
		name = mem_printf("Total [%s]", arena->name);
		out_str(a->out, name);
		out_str(a->out, "");
		out_str(a->out, "");
		out_str(a->out, "");
		out_known(a->out, t->bytes);
		out_known(a->out, t->nalloc);
		out_known(a->out, t->nfail);
		out_end_row(a->out, arena->addr);
	}
	return NULL;
}

static struct err *arena_row(void *arg, const struct heap_arena *arena)
{
	struct stat_arg *a = arg;
	_free_ char *name =
		mem_printf("%*s%s", 4 * arena->depth, "", arena->name);

	out_str(a->out, name);
	out_known(a->out, arena->inuse_bytes);
	out_known(a->out, arena->total_bytes);
	out_known(a->out, arena->import_bytes);
	out_known(a->out, arena->nalloc);
	out_known(a->out, arena->nfail);
	out_end_row(a->out, arena->addr);
	return NULL;
}

static struct err *stat_tables(struct stat_arg *a)
{
	struct heap *heap = a->heap;
	bool is_text = !out_is_json(a->out) && !out_is_pipe(a->out);

	out_begin(a->out, stat_cols, 7, stat_heading);
	struct err *err = heap->ops->caches(heap, stat_row, a);

	if (err)
		return err;
	if (is_text)
		out_text(a->out, "%s", stat_rule);
	err = heap_arenas_tree(heap, total_row, a);
	out_end(a->out);
	if (err)
		return err;
	if (is_text)
		out_text(a->out, "%s\n", stat_rule);
	out_begin(a->out, arena_cols, 6, arena_heading);
	err = heap_arenas_tree(heap, arena_row, a);
	out_end(a->out);
	return err;
}

static const struct opt stat_opts[] = {
	{'k', OPT_FLAG, NULL, "accepted for mdb's sake: sizes have units"},
	{'m', OPT_FLAG, NULL, "the same"},
	{'g', OPT_FLAG, NULL, "the same"},
	{0},
};

static struct err *dcmd_kmastat(struct dcmd_call *call)
{
	struct stat_arg a = {.out = call->out};
	bool unused = false;
	void *const values[] = {&unused, &unused, &unused};
	size_t first = 0;
	struct err *err = dcmd_options(call, stat_opts, values, &first);

	if (!err && first != call->argc)
		err = err_new(ERR_USAGE, "unexpected argument");
	if (!err)
		err = session_heap(call->s, &a.heap);
	if (!err && !a.heap->ops->arenas)
		err = err_new(ERR_NOSUP, "%s heap has no arenas",
			      a.heap->ops->name);
	if (!err)
		err = stat_tables(&a);
	VEC_FREE(&a.totals);
	return err;
}

/* ---- ::kmem_slabs ---------------------------------------------------- */

static const struct column slab_cols[] = {
	{"name", "", CELL_TEXT, -25},          {"slabs", "", CELL_COUNT, 8},
	{"partial_slabs", "", CELL_COUNT, 8},  {"buffers", "", CELL_COUNT, 9},
	{"unused_buffers", "", CELL_COUNT, 9}, {"waste", "", CELL_TEXT, 6},
};
static const char slab_heading[] =
	"                                   Partial              Unused\n"
	"Cache Name                   Slabs    Slabs   Buffers   Buffers  Waste\n"
	"------------------------- -------- -------- --------- --------- ------";

static const struct opt slab_opts[] = {
	{'v', OPT_FLAG, NULL, "buffers used of each partial slab"},
	{'n', OPT_STRING, "name", "only caches whose name contains this"},
	{'N', OPT_STRING, "regex", "only caches whose name matches this"},
	DIST_OPTS,
	{0},
};

struct slab_arg {
	struct dcmd_call *call;
	struct heap *heap;
	bool is_verbose;
	const char *pattern;
	const regex_t *re; /* or NULL */
	struct dist_shape shape;
	/* of the cache at hand */
	uint64_t nslabs, npartial, nbufs, nused, slab_nbufs;
	struct strbuf used; /* of its partial slabs */
	struct dist dist;   /* buffers used of each slab */
};

static struct err *count_slab(void *arg, const struct heap_slab *s)
{
	struct slab_arg *a = arg;

	a->nslabs++;
	a->nbufs += s->nbufs;
	a->nused += s->nused;
	if (s->nbufs > a->slab_nbufs)
		a->slab_nbufs = s->nbufs;
	dist_add(&a->dist, s->nused);
	if (!s->is_complete) {
		a->npartial++;
		strbuf_printf(&a->used, " %" PRIu64 "%s", s->nused,
			      s->is_nomove ? "*" : "");
	}
	return NULL;
}

/* -v: "N complete (M), K partial: 7 3 1*", and how full the slabs are */
static void slab_details(struct slab_arg *a)
{
	struct out *o = a->call->out;
	uint64_t ncomplete = a->nslabs - a->npartial;

	out_text(o, "%26s%" PRIu64 " complete", "", ncomplete);
	if (ncomplete)
		out_text(o, " (%" PRIu64 ")", a->slab_nbufs);
	out_text(o, ", %" PRIu64 " partial%s%s\n", a->npartial,
		 a->npartial ? ":" : "", strbuf_str(&a->used));
	if (a->npartial == 0)
		return;
	a->shape.begin = 0;
	a->shape.end = a->slab_nbufs + 1;
	dist_print(&a->dist, o, &a->shape,
		   "  Allocated\n    Buffers  ------------------ Distribution "
		   "------------------ Slabs");
	out_begin(o, slab_cols, 6, "");
}

static struct err *slab_row(void *arg, const struct heap_cache *c)
{
	struct slab_arg *a = arg;
	struct out *o = a->call->out;
	char waste[16];
	double percent = 0;

	if ((a->call->flags & DCMD_ADDRSPEC) && c->addr != a->call->addr)
		return NULL;
	if (a->pattern && !strstr(c->name, a->pattern))
		return NULL;
	if (a->re && regexec(a->re, c->name, 0, NULL, 0) != 0)
		return NULL;
	a->nslabs = a->npartial = a->nbufs = a->nused = a->slab_nbufs = 0;
	strbuf_reset(&a->used);
	dist_fini(&a->dist);
	dist_init(&a->dist);
	struct err *err =
		a->heap->ops->slabs(a->heap, c->addr, false, count_slab, a);

	if (err)
		return err;
	if (a->nbufs)
		percent = 100.0 * (double)(a->nbufs - a->nused) /
			  (double)a->nbufs;
	snprintf(waste, sizeof(waste), "%.1f%%", percent);
	out_str(o, c->name);
	out_u64(o, a->nslabs);
	out_u64(o, a->npartial);
	out_u64(o, a->nbufs);
	out_u64(o, a->nbufs - a->nused);
	out_str(o, waste);
	out_end_row(o, c->addr);
	if (a->is_verbose && a->nslabs && !out_is_json(o) && !out_is_pipe(o))
		slab_details(a);
	return NULL;
}

static struct err *print_slabs(struct slab_arg *a)
{
	struct err *err = session_heap(a->call->s, &a->heap);

	if (!err && !a->heap->ops->slabs)
		err = err_new(ERR_NOSUP, "%s heap has no slabs",
			      a->heap->ops->name);
	if (err)
		return err;
	out_begin(a->call->out, slab_cols, 6, slab_heading);
	err = a->heap->ops->caches(a->heap, slab_row, a);
	out_end(a->call->out);
	strbuf_free(&a->used);
	dist_fini(&a->dist);
	return err;
}

static struct err *dcmd_kmem_slabs(struct dcmd_call *call)
{
	struct slab_arg a = {.call = call};
	const char *pattern = NULL;
	void *const values[] = {&a.is_verbose, &a.pattern, &pattern,
				DIST_VALUES(&a.shape)};
	regex_t re;
	size_t first = 0;
	struct err *err = dcmd_options(call, slab_opts, values, &first);

	if (!err && first != call->argc)
		err = err_new(ERR_USAGE, "unexpected argument");
	if (err || !pattern)
		return err ? err : print_slabs(&a);
	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return err_new(ERR_USAGE, "not a regular expression: %s",
			       pattern);
	a.re = &re;
	err = print_slabs(&a);
	regfree(&re);
	return err;
}

/* ---- tables ---------------------------------------------------------- */

#define KMEM_CACHE_HELP                                                       \
	"One row a cache, in order of creation.  FLAG: audit 1, deadbeef 2, " \
	"redzone 4,\ncontents 8, nomagazine 20, firewall 40, lite 100, hash " \
	"200.  BUFSIZE in bytes;\nBUFTOTL counts buffers, free ones "         \
	"included.\n\n  > ::kmem_cache -n alloc_32\n"
#define KMASTAT_HELP                                                           \
	"Per cache: size of a buffer in bytes, buffers the program has, "      \
	"buffers there\nare, memory of the slabs, allocations that succeeded " \
	"and failed.  Then the sums\nof each arena, and the arenas, indented " \
	"below their source.\n"
#define SLABS_HELP                                                             \
	"Per cache: slabs, those with a free buffer, buffers, buffers free "   \
	"in their slab,\nand their share.  -v adds how many buffers are used " \
	"in each partial slab.\n"

static const struct dcmd dcmds[] = {
	{"kmem_cache", ADDR_OPTIONAL, "", "print the caches", cache_opts,
	 KMEM_CACHE_HELP, dcmd_kmem_cache},
	{"umem_cache", ADDR_OPTIONAL, "", "alias of ::kmem_cache", cache_opts,
	 KMEM_CACHE_HELP, dcmd_kmem_cache},
	{"kmastat", ADDR_NONE, "", "print statistics of caches and arenas",
	 stat_opts, KMASTAT_HELP, dcmd_kmastat},
	{"umastat", ADDR_NONE, "", "alias of ::kmastat", stat_opts,
	 KMASTAT_HELP, dcmd_kmastat},
	{"kmem_slabs", ADDR_OPTIONAL, "", "print slab use of the caches",
	 slab_opts, SLABS_HELP, dcmd_kmem_slabs},
	{"umem_slabs", ADDR_OPTIONAL, "", "alias of ::kmem_slabs", slab_opts,
	 SLABS_HELP, dcmd_kmem_slabs},
	{0},
};

const struct group group_cache = {.name = "cache", .dcmds = dcmds};
