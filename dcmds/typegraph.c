/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which type a buffer has: ::typegraph ::whattype ::istype ::notype. */
#include <stdlib.h>
#include "place.h"
#include "typed.h"

/* ---- ::typegraph ----------------------------------------------------- */

static const struct column coverage_cols[] = {
	{"cache", "NAME", CELL_TEXT, -25},
	{"buffers", "BUFS", CELL_COUNT, 8},
	{"certain", "KNOWN", CELL_COUNT, 8},
	{"probable", "INFER", CELL_COUNT, 8},
	{"parts", "FRAG", CELL_COUNT, 8},
	{"conflicts", "CONFL", CELL_COUNT, 8},
	{"unpointed", "UNMRK", CELL_COUNT, 8},
	{"share_pct", "HIT%", CELL_TEXT, 6},
	{"addr", NULL, CELL_ADDR, 0},
};

struct coverage {
	taddr_t from; /* cache or arena */
	uint64_t nbufs, ncertain, nprobable, nparts, nconflicts, nunpointed;
};

struct graph_arg {
	struct dcmd_call *call;
	struct heap *heap;
	struct leaks *leaks;
	struct typegraph *g;
	struct hash index; /* cache or arena -> index in rows, + 1 */
	VEC(struct coverage) rows;
};

static void statistic(struct out *o, const char *what, uint64_t n, uint64_t of)
{
	if (of)
		out_text(o, "typegraph: %30s => %-12" PRIu64 " (%.1f%%)\n",
			 what, n, 100.0 * (double)n / (double)of);
	else
		out_text(o, "typegraph: %30s => %" PRIu64 "\n", what, n);
}

static void statistics(const struct graph_arg *a)
{
	struct out *o = a->call->out;
	struct typegraph_stats st;

	typegraph_count(a->g, &st);
	statistic(o, "allocated buffers", st.nbufs, 0);
	statistic(o, "variables", st.nvariables, 0);
	statistic(o, "variables of frames", st.nframe_variables, 0);
	statistic(o, "types met", st.ntypes, 0);
	statistic(o, "typed pointers point at", st.npointed, st.nbufs);
	for (int i = REASON_MAX - 1; i > REASON_NONE; i--)
		if (st.by_reason[i])
			statistic(o, typegraph_reason_name((enum type_reason)i),
				  st.by_reason[i], st.nbufs);
	statistic(o, "of unknown type", st.by_grade[GRADE_NONE], st.nbufs);
	statistic(o, "of conflicting types", st.by_grade[GRADE_CONFLICT],
		  st.nbufs);
	statistic(o, "only their beginning", st.nparts, st.nbufs);
	statistic(o, "probable", st.by_grade[GRADE_PROBABLE] - st.nparts,
		  st.nbufs);
	statistic(o, "certain", st.by_grade[GRADE_CERTAIN], st.nbufs);
	out_text(o, "\n");
}

static struct coverage *row_of(struct graph_arg *a, const struct heap_buf *b)
{
	taddr_t from = b->cache ? b->cache : b->arena;
	uint64_t *index = hash_put(&a->index, from, NULL);

	if (*index == 0) {
		struct coverage c = {.from = from};

		VEC_PUSH(&a->rows, c);
		*index = a->rows.n;
	}
	return &a->rows.v[*index - 1];
}

static struct err *cover(void *arg, const struct heap_buf *b)
{
	struct graph_arg *a = arg;
	size_t i = bufset_find(a->leaks->set, b->addr);
	struct coverage *c = row_of(a, b);
	struct typed t = {.grade = GRADE_NONE};

	if (i == BUFSET_NONE)
		return NULL;
	bool is_known = typegraph_node(a->g, i, &t);
	bool is_part = is_known && t.reason == REASON_PART;

	c->nbufs++;
	c->ncertain += t.grade == GRADE_CERTAIN;
	c->nprobable += t.grade == GRADE_PROBABLE && !is_part;
	c->nparts += is_part;
	c->nconflicts += t.grade == GRADE_CONFLICT;
	c->nunpointed += !typegraph_is_pointed(a->g, i);
	return (c->nbufs & 0xfff) == 0 ? interrupt_check() : NULL;
}

static void coverage_row(const struct graph_arg *a, const struct coverage *c)
{
	struct out *o = a->call->out;
	_free_ char *hit = mem_printf(
		"%.1f", c->nbufs
				? 100.0 * (double)(c->ncertain + c->nprobable) /
					  (double)c->nbufs
				: 0.0);

	out_str(o, heap_name(a->heap, c->from));
	out_u64(o, c->nbufs);
	out_u64(o, c->ncertain);
	out_u64(o, c->nprobable);
	out_u64(o, c->nparts);
	out_u64(o, c->nconflicts);
	out_u64(o, c->nunpointed);
	out_str(o, hit);
	out_addr(o, c->from);
	out_end_row(o, c->from);
}

static struct err *begin(struct dcmd_call *call, struct heap **ret_heap,
			 struct leaks **ret_leaks, struct typegraph **ret_g)
{
	struct err *err = session_heap(call->s, ret_heap);

	if (!err)
		err = session_leaks(call->s, ret_leaks);
	if (!err)
		err = typed_graph(call, ret_g);
	if (err)
		session_stop_loop(call->s);
	return err;
}

static struct err *dcmd_typegraph(struct dcmd_call *call)
{
	struct graph_arg a = {.call = call};
	struct err *err = NULL;

	if (call->argc)
		return err_new(ERR_USAGE, "unexpected argument");
	err = begin(call, &a.heap, &a.leaks, &a.g);
	if (err)
		return err_prefix(err, "typegraph");
	hash_init(&a.index);
	err = a.heap->ops->bufs(a.heap, 0, BUF_ALLOCATED, cover, &a);
	if (!err && !out_is_json(call->out) && !out_is_pipe(call->out))
		statistics(&a);
	out_begin(call->out, coverage_cols, 9, NULL);
	for (size_t i = 0; !err && i < a.rows.n; i++)
		coverage_row(&a, &a.rows.v[i]);
	out_end(call->out);
	hash_fini(&a.index);
	VEC_FREE(&a.rows);
	return err;
}

/* ---- ::whattype ------------------------------------------------------ */

static const struct opt whattype_opts[] = {
	{'v', OPT_FLAG, NULL, "why, and each typed pointer to it"},
	{0},
};

static const struct column type_cols[] = {
	{"addr", "", CELL_HEX, 0},         {"base", "", CELL_HEX, 0},
	{"size_bytes", "", CELL_BYTES, 0}, {"type", "", CELL_TEXT, 0},
	{"elements", "", CELL_COUNT, 0},   {"member", "", CELL_TEXT, 0},
	{"grade", "", CELL_TEXT, 0},       {"reason", "", CELL_TEXT, 0},
	{"other_type", "", CELL_TEXT, 0},  {"variable", "", CELL_TEXT, 0},
	{"from", "", CELL_HEX, 0},
};

static const struct column from_cols[] = {
	{"at", "AT", CELL_ADDR, -16},
	{"to_offset", "TO", CELL_HEX, 6},
	{"is_sure", "SURE", CELL_TEXT, -4},
	{"type", "DECLARED", CELL_TEXT, -24},
	{"holder_offset", "OFFSET", CELL_HEX, 6},
	{"holder", "IN", CELL_TEXT, 0},
};

struct type_arg {
	struct dcmd_call *call;
	struct typegraph *g;
};

/* ".next" within an element: owned; NULL at its start, or not known */
static char *member_of(const struct dcmd_call *call, const struct typed *t)
{
	struct place_env env = {.s = call->s, .has_values = true};
	struct place pl = {.type = t->type, .addr = t->base};
	uint64_t size = t->type ? type_info(t->type).size_bytes : 0;
	uint64_t off = call->addr - t->base;
	char *path = NULL;

	if (size == 0 || !is_aggregate(t->type) || off == 0 ||
	    (t->reason == REASON_PART && off >= size))
		return NULL;
	err_free(place_path_at(&env, &pl, off % size, &path));
	return path;
}

static void type_row(const struct type_arg *a, const struct typed *t,
		     const char *member)
{
	struct out *o = a->call->out;

	out_begin(o, type_cols, 11, "");
	out_addr(o, a->call->addr);
	if (t->base)
		out_addr(o, t->base);
	else
		out_none(o);
	if (t->size_bytes)
		out_u64(o, t->size_bytes);
	else
		out_none(o);
	out_str(o, t->name);
	out_u64(o, t->nelems);
	out_str(o, member);
	out_str(o, typegraph_grade_name(t->grade));
	out_str(o, t->reason ? typegraph_reason_name(t->reason) : NULL);
	out_str(o, t->other);
	out_str(o, t->variable);
	if (t->from)
		out_addr(o, t->from);
	else
		out_none(o);
	out_end_row(o, a->call->addr);
	out_end(o);
}

static void type_text(const struct type_arg *a, const struct typed *t,
		      const char *member)
{
	struct out *o = a->call->out;
	_free_ char *text = typegraph_text(t);

	out_text(o, "%" PRIx64 " is ", a->call->addr);
	if (t->variable)
		out_text(o, "%s+%" PRIx64 ", ", t->variable,
			 a->call->addr - t->base);
	else if (t->base)
		out_text(o, "%" PRIx64 "+%" PRIx64 ", ", t->base,
			 a->call->addr - t->base);
	if (t->grade == GRADE_CONFLICT) {
		out_text(o, "possibly one of the following:\n\t%s\n\t%s\n",
			 t->name, t->other);
		return;
	}
	out_text(o, "%s%s%s%s\n", text, member ? " (." : "",
		 member ? member : "", member ? ")" : "");
}

static struct err *from_row(void *arg, const struct typed_ref *ref)
{
	const struct type_arg *a = arg;
	struct out *o = a->call->out;
	_free_ char *type = mem_printf("%s *", ref->type);

	out_addr(o, ref->at);
	out_u64(o, ref->to_offset);
	out_str(o, ref->is_sure ? "yes" : "no");
	out_str(o, type);
	out_u64(o, ref->at ? ref->at - ref->base : 0);
	out_str(o, ref->holder);
	out_end_row(o, ref->at);
	return NULL;
}

/* the words before the table; why */
static struct err *reasons(const struct type_arg *a, const struct typed *t)
{
	struct out *o = a->call->out;
	taddr_t end = t->base + (t->size_bytes ? t->size_bytes : 1);
	struct err *err = NULL;

	if (!out_is_json(o) && t->grade != GRADE_NONE && t->reason) {
		out_text(o, "  %s: %s", typegraph_grade_name(t->grade),
			 typegraph_reason_name(t->reason));
		if (t->from)
			out_text(o, ", at %" PRIx64, t->from);
		out_text(o, "; %" PRIu64 " bytes\n", t->size_bytes);
	}
	out_begin(o, from_cols, 6, NULL);
	err = typegraph_refs(a->g, t->base, end, from_row,
			     (void *)(uintptr_t)a);
	out_end(o);
	return err;
}

static struct err *dcmd_whattype(struct dcmd_call *call)
{
	struct type_arg a = {.call = call};
	struct typed t = {.nelems = 1};
	struct leaks *leaks = NULL;
	struct heap *heap = NULL;
	bool is_verbose = false;
	void *const values[] = {&is_verbose};
	size_t first = 0;
	struct err *err = dcmd_options(call, whattype_opts, values, &first);

	if (!err && first != call->argc)
		err = err_new(ERR_USAGE, "unexpected argument");
	if (!err)
		err = begin(call, &heap, &leaks, &a.g);
	if (err)
		return err_prefix(err, "whattype");
	if (!typegraph_type_of(a.g, call->addr, &t)) {
		size_t i = bufset_find(leaks->set, call->addr);

		if (i != BUFSET_NONE) {
			t.base = bufset_at(leaks->set, i).addr;
			t.size_bytes = bufset_at(leaks->set, i).size_bytes;
		}
	}
	_free_ char *member = member_of(call, &t);

	if (out_is_json(call->out) || out_is_pipe(call->out))
		type_row(&a, &t, member);
	else
		type_text(&a, &t, member);
	return is_verbose && t.base ? reasons(&a, &t) : NULL;
}

/* ---- ::istype, ::notype ---------------------------------------------- */

static struct err *dcmd_istype(struct dcmd_call *call)
{
	const struct type *type = NULL;
	struct typegraph *g = NULL;
	struct leaks *leaks = NULL;
	struct heap *heap = NULL;
	size_t first = 0;
	struct err *err = NULL;

	if (call->argc == 0)
		return err_new(ERR_USAGE, "a type is missing");
	_free_ char *name = type_words(call, &first);

	if (first != call->argc)
		return err_new(ERR_USAGE, "unexpected argument");
	err = lookup_type(call->s, name, &type);
	if (err)
		session_stop_loop(call->s);
	if (!err)
		err = begin(call, &heap, &leaks, &g);
	if (!err)
		err = typegraph_assert(g, call->addr, type);
	return err_prefix(err, "istype");
}

static struct err *dcmd_notype(struct dcmd_call *call)
{
	struct typegraph *g = NULL;
	struct leaks *leaks = NULL;
	struct heap *heap = NULL;
	struct err *err = NULL;

	if (call->argc)
		return err_new(ERR_USAGE, "unexpected argument");
	err = begin(call, &heap, &leaks, &g);
	if (!err)
		err = typegraph_assert(g, call->addr, NULL);
	return err_prefix(err, "notype");
}

static const struct dcmd dcmds[] = {
	{.name = "typegraph",
	 .addr = ADDR_NONE,
	 .usage = "",
	 .brief = "find out the types of buffers",
	 .run = dcmd_typegraph},
	{.name = "whattype",
	 .addr = ADDR_REQUIRED,
	 .usage = "",
	 .opts = whattype_opts,
	 .brief = "say of what type a buffer or variable is",
	 .run = dcmd_whattype},
	{.name = "istype",
	 .addr = ADDR_REQUIRED,
	 .usage = "type",
	 .brief = "say that a buffer is of a type",
	 .run = dcmd_istype},
	{.name = "notype",
	 .addr = ADDR_REQUIRED,
	 .usage = "",
	 .brief = "say that a buffer is not of the type it seems to be",
	 .run = dcmd_notype},
	{0},
};

const struct group group_whattype = {.name = "whattype", .dcmds = dcmds};
