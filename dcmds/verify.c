/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Integrity: ::kmem_verify. */
#include <stdio.h>
#include <string.h>
#include "story.h"

static const struct column cols[] = {
	{"cache", "", CELL_TEXT, -31},
	{"addr", "", CELL_HEX, 16},
	{"integrity", "", CELL_TEXT, 0},
	{"corrupt_buffers", NULL, CELL_COUNT, 0},
};
static const char heading[] =
	"Cache Name                      Addr             Cache Integrity";

static const struct column finding_cols[] = {
	{NULL, "", CELL_TEXT, 1},     {"text", "", CELL_TEXT, 0},
	{"addr", NULL, CELL_ADDR, 0}, {"cache", NULL, CELL_ADDR, 0},
	{"at", NULL, CELL_ADDR, 0},   {"kind", NULL, CELL_TEXT, 0},
};

struct verify_arg {
	struct dcmd_call *call;
	struct heap *heap;
	VEC(struct heap_finding) findings;
	struct heap_cache cache; /* the one asked for */
	bool is_found;
	bool is_verbose;
};

static const struct opt opts[] = {
	{'v', OPT_FLAG, NULL, "the story of each damaged buffer"},
	{0},
};

static struct err *keep(void *arg, const struct heap_finding *f)
{
	struct verify_arg *v = arg;

	VEC_PUSH(&v->findings, *f);
	return NULL;
}

static uint64_t count_of(const struct verify_arg *v, taddr_t cache)
{
	uint64_t n = 0;

	for (size_t i = 0; i < v->findings.n; i++)
		n += v->findings.v[i].kind == FINDING_BUFFER &&
		     v->findings.v[i].cache == cache;
	return n;
}

static struct err *cache_row(void *arg, const struct heap_cache *c)
{
	struct verify_arg *v = arg;
	struct out *o = v->call->out;
	uint64_t n = 0;
	_free_ char *text = NULL;

	if (!c->has_guards)
		return NULL;
	n = count_of(v, c->addr);
	text = n ? mem_printf("%" PRIu64 " corrupt buffer%s", n,
			      n == 1 ? "" : "s")
		 : mem_strdup("clean");
	out_str(o, c->name);
	out_addr(o, c->addr);
	out_str(o, text);
	out_u64(o, n);
	out_end_row(o, c->addr);
	return NULL;
}

/* ---- arenas that chunks lie in, headers and all ---------------------- */

struct arena_arg {
	struct verify_arg *v;
	taddr_t last;           /* the arena of the row before */
	uint64_t nhere, nfound; /* damaged places: in this one, in all */
};

/* damage in one region of an arena */
static struct err *count_region(void *arg, const struct heap_segment *seg)
{
	struct arena_arg *a = arg;

	for (size_t i = 0; i < a->v->findings.n; i++) {
		taddr_t addr = a->v->findings.v[i].addr;

		a->nhere += addr >= seg->start && addr < seg->end;
	}
	return NULL;
}

static struct err *count_use(void *arg, const struct heap_use *u)
{
	struct arena_arg *a = arg;
	struct heap *heap = a->v->heap;

	if (!u->arena || u->arena == a->last)
		return NULL;
	a->last = u->arena;
	a->nhere = 0;
	struct err *err = heap->ops->segments(heap, u->arena, 1u << SEG_SPAN,
					      count_region, a);

	a->nfound += a->nhere;
	return err;
}

/* damage may be in what belongs to no region: then nobody is "clean" */
static struct err *arena_row(void *arg, const struct heap_use *u)
{
	struct arena_arg *a = arg;
	struct out *o = a->v->call->out;
	bool is_new = u->arena && u->arena != a->last;
	_free_ char *name = mem_printf("arena %s", u->name);
	_free_ char *text = NULL;
	uint64_t before = a->nfound;
	struct err *err = count_use(a, u);

	a->nfound = before;
	if (err || !is_new)
		return err;
	text = a->nhere ? mem_printf("%" PRIu64 " damaged place%s", a->nhere,
				     a->nhere == 1 ? "" : "s")
	       : a->v->heap->health.doubt
		       ? mem_strdup("not all of it could be looked at")
	       : a->nfound < a->v->findings.n
		       ? mem_strdup("no damage in its chunks")
		       : mem_strdup("clean");
	out_str(o, name);
	out_addr(o, u->arena);
	out_str(o, text);
	out_u64(o, a->nhere);
	out_end_row(o, u->arena);
	return NULL;
}

static struct err *arena_rows(struct verify_arg *v)
{
	const struct heap_ops *ops = v->heap->ops;
	struct arena_arg a = {.v = v};
	struct err *err = NULL;

	if (!ops->uses || !ops->segments)
		return NULL;
	err = ops->uses(v->heap, count_use, &a);
	a.last = 0;
	return err ? err : ops->uses(v->heap, arena_row, &a);
}

static void print_findings(struct verify_arg *v, bool structures_only)
{
	struct out *o = v->call->out;

	out_begin(o, finding_cols, 6, "");
	for (size_t i = 0; i < v->findings.n; i++) {
		const struct heap_finding *f = &v->findings.v[i];
		bool is_buf = f->kind == FINDING_BUFFER;

		/* those of a cache are counted in its row */
		if (is_buf && structures_only && !f->is_large)
			continue;
		out_str(o, "");
		out_str(o, f->text);
		out_addr(o, f->addr);
		out_addr(o, f->cache);
		out_addr(o, f->at);
		out_str(o, is_buf ? "buffer" : "structure");
		out_end_row(o, f->addr);
	}
	out_end(o);
}

/* the buffer at which the allocator itself stopped, unless it was found: by now
 * it may look whole */
static void add_panic(struct verify_arg *v)
{
	const struct heap_health *h = &v->heap->health;
	struct heap_finding f = {
		.addr = h->panic_of.buf,
		.cache = h->panic_of.cache,
		.kind = FINDING_BUFFER,
	};
	struct heap_buf b;
	const char *what = h->panic ? strchr(h->panic, ':') : NULL;

	if (!h->has_panic || !f.addr)
		return;
	for (size_t i = 0; i < v->findings.n; i++)
		if (v->findings.v[i].addr == f.addr)
			return;
	if (v->heap->ops->buf_at(v->heap, f.addr, &b))
		f.state = b.state;
	what = what ? what + 1 + strspn(what + 1, " ") : "damage";
	(void)snprintf(f.text, sizeof(f.text),
		       "buffer %" PRIx64 " was reported by the allocator: %.*s",
		       f.addr, (int)strcspn(what, "\n"), what);
	VEC_PUSH(&v->findings, f);
}

static struct err *verify_all(struct verify_arg *v)
{
	struct err *err = v->heap->ops->verify(v->heap, 0, keep, v);

	if (err)
		return err;
	if (v->is_verbose) {
		add_panic(v);
		return story_tell(v->call, v->heap, v->findings.v,
				  v->findings.n);
	}
	/* into a pipe go the damaged buffers */
	if (out_is_pipe(v->call->out)) {
		print_findings(v, false);
		return NULL;
	}
	out_begin(v->call->out, cols, 4, heading);
	err = v->heap->ops->caches(v->heap, cache_row, v);
	if (!err)
		err = arena_rows(v);
	out_end(v->call->out);
	if (!err)
		print_findings(v, true);
	return err;
}

static struct err *match(void *arg, const struct heap_cache *c)
{
	struct verify_arg *v = arg;

	if (c->addr == v->call->addr) {
		v->cache = *c;
		v->is_found = true;
	}
	return NULL;
}

static struct err *verify_one(struct verify_arg *v)
{
	struct err *err = v->heap->ops->caches(v->heap, match, v);
	struct out *o = v->call->out;

	if (err)
		return err;
	if (!v->is_found)
		return err_new(ERR_NOTFOUND,
			       "0x%" PRIx64 " is not a kmem_cache",
			       v->call->addr);
	if (!v->cache.has_guards)
		return err_new(ERR_NOSUP,
			       "cache 0x%" PRIx64
			       " (%s) does not have redzone checking enabled",
			       v->cache.addr, v->cache.name);
	err = v->heap->ops->verify(v->heap, v->cache.addr, keep, v);
	if (err)
		return err;
	if (!out_is_pipe(o) && !out_is_json(o))
		out_text(o, "Summary for cache '%s'\n%s", v->cache.name,
			 v->findings.n ? "" : "  clean\n");
	if (v->is_verbose) {
		add_panic(v);
		return story_tell(v->call, v->heap, v->findings.v,
				  v->findings.n);
	}
	print_findings(v, false);
	return NULL;
}

static struct err *dcmd_kmem_verify(struct dcmd_call *call)
{
	struct verify_arg v = {.call = call};
	void *const values[] = {&v.is_verbose};
	size_t first = 0;
	struct err *err = dcmd_options(call, opts, values, &first);

	if (!err && first != call->argc)
		err = err_new(ERR_USAGE, "unexpected argument");
	if (!err)
		err = session_heap(call->s, &v.heap);
	if (!err && !v.heap->ops->verify)
		err = err_new(ERR_NOSUP, "%s heap cannot verify itself",
			      v.heap->ops->name);
	if (!err)
		err = call->flags & DCMD_ADDRSPEC ? verify_one(&v)
						  : verify_all(&v);
	VEC_FREE(&v.findings);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "kmem_verify",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .opts = opts,
	 .brief = "check buffers and structures for damage",
	 .run = dcmd_kmem_verify},
	{.name = "heap_verify",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .opts = opts,
	 .brief = "alias of ::kmem_verify",
	 .run = dcmd_kmem_verify},
	{.name = "umem_verify",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .opts = opts,
	 .brief = "alias of ::kmem_verify",
	 .run = dcmd_kmem_verify},
	{0},
};

const struct group group_verify = {.name = "verify", .dcmds = dcmds};
