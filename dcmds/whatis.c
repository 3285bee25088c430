/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ::whatis: what an address, or with -i an identifier, belongs to.
 *
 * All addresses of a pipeline are taken at once and answered in ascending order;
 * those nobody knows come last.
 *
 * The sources are asked from the most specific to the least: a buffer of a
 * cache, a segment of an arena, a thread's stack, a symbol of an object, a map.
 * The first that knows answers, or with -a every one.
 */
#include <stdlib.h>
#include "typed.h"

struct whatis_arg {
	struct dcmd_call *call;
	struct heap *heap; /* NULL: there is none */
	taddr_t addr;
	bool is_all, has_ctl, is_id, is_kept, is_quiet, is_verbose;
	unsigned nfound;
	char *type; /* of the buffer at hand, owned; NULL not known */
	VEC(taddr_t) unknown;
};

static const struct opt opts[] = {
	{'a', OPT_FLAG, NULL, "every source that knows, not only the first"},
	{'b', OPT_FLAG, NULL, "the bufctl or segment, too"},
	{'i', OPT_FLAG, NULL, "it is an identifier, not an address"},
	{'k', OPT_FLAG, NULL, "answer in the order of the input"},
	{'q', OPT_FLAG, NULL, "no audit record"},
	{'v', OPT_FLAG, NULL, "say what is searched"},
	{0},
};

static const struct column cols[] = {
	{"addr", "", CELL_HEX, 0},      {"what", "", CELL_TEXT, 0},
	{"base", NULL, CELL_ADDR, 0},   {"offset_bytes", NULL, CELL_BYTES, 0},
	{"source", NULL, CELL_TEXT, 0}, {"type", NULL, CELL_TEXT, 0},
};

/* one answer: "A is " and the words; base 0: not known */
static void answer(struct whatis_arg *w, const char *source, taddr_t base,
		   const char *words)
{
	struct out *o = w->call->out;
	_free_ char *type = w->type;

	w->type = NULL;

	w->nfound++;
	if (!out_is_json(o)) {
		out_text(o, "%" PRIx64 " is %s\n", w->addr, words);
		return;
	}
	out_begin(o, cols, 6, "");
	out_addr(o, w->addr);
	out_str(o, words);
	if (base) {
		out_addr(o, base);
		out_u64(o, w->addr - base);
	} else {
		out_none(o);
		out_none(o);
	}
	out_str(o, source);
	out_str(o, type);
	out_end_row(o, w->addr);
	out_end(o);
}

static bool is_done(const struct whatis_arg *w)
{
	return w->nfound && !w->is_all;
}

static void searching(const struct whatis_arg *w, const char *what)
{
	if (w->is_verbose && !out_is_json(w->call->out))
		out_text(w->call->out, "Searching %s...\n", what);
}

/* ---- buffers --------------------------------------------------------- */

struct name_arg {
	taddr_t addr;
	const char *name;
	bool has_audit;
};

static struct err *match_cache(void *arg, const struct heap_cache *c)
{
	struct name_arg *n = arg;

	if (c->addr == n->addr) {
		n->name = c->name;
		n->has_audit = c->has_audit && c->has_hash;
	}
	return NULL;
}

/* "B+off, bufctl C allocated from CACHE" */
static char *buf_words(struct whatis_arg *w, const struct heap_buf *b,
		       const struct name_arg *n, bool has_record)
{
	struct strbuf sb = {0};
	bool is_shown = w->has_ctl || (w->is_quiet && n->has_audit);

	if (b->addr != w->addr)
		strbuf_printf(&sb, "%" PRIx64 "+%" PRIx64 ", ", b->addr,
			      w->addr - b->addr);
	if (is_shown && b->ctl)
		strbuf_printf(&sb, "bufctl %" PRIx64 " ", b->ctl);
	if (b->state == BUF_ALLOCATED)
		w->type = known_type(w->call->s, b->addr);
	strbuf_printf(&sb, "%s from %s", heap_state_word(b->state), n->name);
	if (b->where)
		strbuf_printf(&sb, ", in %s", b->where);
	if (w->type)
		strbuf_printf(&sb, " (%s)", w->type);
	if (has_record)
		strbuf_putc(&sb, ':');
	return sb.s;
}

static struct err *ask_caches(struct whatis_arg *w)
{
	struct name_arg n = {.name = "?"};
	struct heap_audit au;
	struct heap_buf b;

	searching(w, "caches");
	if (!w->heap->ops->buf_at(w->heap, w->addr, &b) ||
	    b.kind != BUF_IN_CACHE)
		return NULL;
	n.addr = b.cache;
	struct err *err = w->heap->ops->caches(w->heap, match_cache, &n);

	if (err)
		return err;
	bool has_record = !w->is_quiet && w->heap->ops->audit &&
			  w->heap->ops->audit(w->heap, &b, &au);
	_free_ char *words = buf_words(w, &b, &n, has_record);

	answer(w, "cache", b.addr, words);
	if (!has_record)
		return NULL;
	return session_run(w->call->s, au.addr, ".::bufctl -v");
}

/* ---- segments -------------------------------------------------------- */

struct arena_arg {
	struct whatis_arg *w;
	const struct heap_arena *arena;
	int depth; /* arenas of this depth are asked */
	int deepest;
	struct heap_segment found;
	bool is_found;
};

static struct err *match_segment(void *arg, const struct heap_segment *s)
{
	struct arena_arg *a = arg;

	if (a->w->addr < s->start || a->w->addr >= s->end)
		return NULL;
	a->found = *s;
	a->is_found = true;
	return err_new(ERR_STOP, "found");
}

static struct err *ask_arena(void *arg, const struct heap_arena *arena)
{
	struct arena_arg *a = arg;
	struct whatis_arg *w = a->w;
	_free_ char *words = NULL;

	if (arena->depth > a->deepest)
		a->deepest = arena->depth;
	if (arena->depth != a->depth || arena->is_identifier != w->is_id ||
	    is_done(w))
		return NULL;
	a->is_found = false;
	struct err *err = w->heap->ops->segments(
		w->heap, arena->addr, 1u << SEG_ALLOC | 1u << SEG_FREE,
		match_segment, a);

	/* a heap of an earlier moment does not know those of every arena */
	if (a->is_found || err_is(err, ERR_NOSUP)) {
		err_free(err);
		err = NULL;
	}
	if (err || !a->is_found)
		return err;
	struct strbuf sb = {0};

	if (a->found.start != w->addr)
		strbuf_printf(&sb, "%" PRIx64 "+%" PRIx64 ", ", a->found.start,
			      w->addr - a->found.start);
	if (w->has_ctl)
		strbuf_printf(&sb, "vmem_seg %" PRIx64 " ", a->found.addr);
	strbuf_printf(&sb, "%s from the %s vmem arena",
		      a->found.type == SEG_ALLOC ? "allocated" : "freed",
		      arena->name);
	words = sb.s;
	answer(w, "vmem", a->found.start, words);
	return NULL;
}

/* the arenas farthest from the root first: they say more */
static struct err *ask_arenas(struct whatis_arg *w)
{
	struct arena_arg a = {.w = w, .depth = -1};

	searching(w, "vmem arenas");
	if (!w->heap->ops->arenas)
		return NULL;
	struct err *err = w->heap->ops->arenas(w->heap, ask_arena, &a);

	for (a.depth = a.deepest; !err && a.depth >= 0 && !is_done(w);
	     a.depth--)
		err = w->heap->ops->arenas(w->heap, ask_arena, &a);
	return err;
}

/* ---- identifiers ----------------------------------------------------- */

struct id_arg {
	struct whatis_arg *w;
	taddr_t arena; /* of the cache at hand */
	bool is_id;    /* it gives out identifiers */
	struct heap_buf found;
};

static struct err *match_id(void *arg, const struct heap_buf *b)
{
	struct id_arg *i = arg;

	if (i->w->addr < b->addr || i->w->addr - b->addr >= b->size_bytes)
		return NULL;
	i->found = *b;
	return err_new(ERR_STOP, "found");
}

static struct err *match_id_arena(void *arg, const struct heap_arena *a)
{
	struct id_arg *i = arg;

	i->is_id = i->is_id || (a->addr == i->arena && a->is_identifier);
	return NULL;
}

/* small identifiers go through a cache, to which they may have come back */
static struct err *ask_id_cache(void *arg, const struct heap_cache *c)
{
	struct id_arg *i = arg;
	struct whatis_arg *w = i->w;

	i->arena = c->arena;
	i->is_id = false;
	if (is_done(w))
		return NULL;
	struct err *err = w->heap->ops->arenas(w->heap, match_id_arena, i);

	if (err || !i->is_id)
		return err;
	i->found.size_bytes = 0;
	err = w->heap->ops->bufs(w->heap, c->addr, BUF_ANY, match_id, i);
	if (i->found.size_bytes) {
		struct name_arg n = {.name = c->name};
		_free_ char *words = buf_words(w, &i->found, &n, false);

		err_free(err);
		err = NULL;
		answer(w, "cache", i->found.addr, words);
	}
	return err;
}

static struct err *ask_ids(struct whatis_arg *w)
{
	struct id_arg i = {.w = w};
	struct err *err = NULL;

	if (!w->heap || !w->heap->ops->arenas)
		return NULL;
	searching(w, "identifiers");
	err = w->heap->ops->caches(w->heap, ask_id_cache, &i);
	return err || is_done(w) ? err : ask_arenas(w);
}

/* ---- stacks, objects, maps ------------------------------------------- */

static void ask_stacks(struct whatis_arg *w)
{
	struct target *t = session_target(w->call->s);
	const struct target_map *map = target_map_at(t, w->addr);

	searching(w, "thread stacks");
	for (size_t i = 0; map && i < target_nthreads(t) && !is_done(w); i++) {
		const struct target_thread *th = target_thread(t, i);
		_free_ char *words = NULL;

		if (!th->has_regs || map->path || th->regs.rsp < map->start ||
		    th->regs.rsp >= map->end)
			continue;
		words = mem_printf("in [ stack tid=%u ]%s", th->tid,
				   w->addr < th->regs.rsp ? " (below sp)" : "");
		answer(w, "stack", 0, words);
	}
}

static void ask_objects(struct whatis_arg *w)
{
	struct types *types = session_types(w->call->s);
	const struct object *obj = types_object_at(types, w->addr);
	const struct target_map *map =
		target_map_at(session_target(w->call->s), w->addr);
	struct symbol sym;

	searching(w, "objects");
	if (!obj || !map)
		return;
	bool has_sym = types_symbol_at(types, w->addr, &sym);
	_free_ char *name = types_addr_name(types, w->addr);
	_free_ char *words =
		has_sym ? mem_printf("%s, in %s [%" PRIx64 ",%" PRIx64 ")",
				     name, obj->path, map->start, map->end)
			: mem_printf("in %s [%" PRIx64 ",%" PRIx64 ")",
				     obj->path, map->start, map->end);

	answer(w, "object", has_sym ? sym.value : 0, words);
}

static bool is_own(const struct whatis_arg *w)
{
	_free_ struct heap_range *own = NULL;
	size_t n = 0;
	bool is_in = false;

	if (!w->heap || !w->heap->ops->own)
		return false;
	struct err *err = w->heap->ops->own(w->heap, &own, &n);

	for (size_t i = 0; !err && i < n; i++)
		is_in = is_in ||
			(w->addr >= own[i].start && w->addr < own[i].end);
	err_free(err);
	return is_in;
}

static void ask_maps(struct whatis_arg *w)
{
	const struct target_map *map =
		target_map_at(session_target(w->call->s), w->addr);
	_free_ char *words = NULL;

	searching(w, "mappings");
	if (!map)
		return;
	const char *name = map->path   ? map->path
			   : is_own(w) ? "[ heap ]"
				       : "[ anon ]";

	words = mem_printf("in %s [%" PRIx64 ",%" PRIx64 ")", name, map->start,
			   map->end);
	answer(w, "map", 0, words);
}

static struct err *ask_all(struct whatis_arg *w)
{
	struct err *err = NULL;

	if (w->is_id)
		return ask_ids(w);
	if (w->heap)
		err = ask_caches(w);
	if (!err && w->heap && !is_done(w))
		err = ask_arenas(w);
	if (err)
		return err;
	if (!is_done(w))
		ask_stacks(w);
	if (!is_done(w))
		ask_objects(w);
	if (!is_done(w))
		ask_maps(w);
	return NULL;
}

static struct err *ask_one(struct whatis_arg *w, taddr_t addr)
{
	w->addr = addr;
	w->nfound = 0;
	struct err *err = ask_all(w);

	if (err || w->nfound)
		return err;
	if (w->is_kept)
		answer(w, "none", 0, "unknown");
	else
		VEC_PUSH(&w->unknown, addr);
	return NULL;
}

static int ascending(const void *a, const void *b)
{
	const taddr_t *x = a;
	const taddr_t *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* takes what the pipeline has, and answers all of it */
static struct err *ask_input(struct whatis_arg *w)
{
	VEC(taddr_t) input = {0};
	struct err *err = NULL;

	do {
		VEC_PUSH(&input, w->call->addr);
		err = interrupt_check();
	} while (!err && session_next(w->call));
	if (!w->is_kept)
		qsort(input.v, input.n, sizeof(*input.v), ascending);
	for (size_t i = 0; !err && i < input.n; i++) {
		err = ask_one(w, input.v[i]);
		if (!err)
			err = interrupt_check();
	}
	for (size_t i = 0; i < w->unknown.n; i++) {
		w->addr = w->unknown.v[i];
		answer(w, "none", 0, "unknown");
	}
	VEC_FREE(&input);
	VEC_FREE(&w->unknown);
	return err;
}

static struct err *dcmd_whatis(struct dcmd_call *call)
{
	struct whatis_arg w = {.call = call};
	void *const values[] = {&w.is_all,  &w.has_ctl,  &w.is_id,
				&w.is_kept, &w.is_quiet, &w.is_verbose};
	size_t first = 0;
	struct err *err = dcmd_options(call, opts, values, &first);

	if (!err && first != call->argc)
		err = err_new(ERR_USAGE, "unexpected argument");
	if (!err && out_is_pipe(call->out)) {
		session_stop_loop(call->s);
		err = err_new(ERR_USAGE,
			      "whatis: cannot be output into a pipe");
	}
	if (err)
		return err;
	/* without a heap the other sources still answer */
	w.heap = session_try_heap(call->s, NULL);
	return ask_input(&w);
}

static const struct dcmd dcmds[] = {
	{.name = "whatis",
	 .addr = ADDR_REQUIRED,
	 .usage = "",
	 .opts = opts,
	 .brief = "say what an address belongs to",
	 .run = dcmd_whatis},
	{0},
};

const struct group group_whatis = {.name = "whatis", .dcmds = dcmds};
