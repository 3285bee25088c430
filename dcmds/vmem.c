/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Arenas and segments: ::vmem ::vmem_seg and their walkers. */
#include "audited.h"
#include "known.h"

/* ---- arenas ---------------------------------------------------------- */

static const struct column vmem_cols[] = {
	{"addr", "ADDR", CELL_ADDR, -16},
	{"name", "NAME", CELL_TEXT, -22},
	{"inuse_bytes", "INUSE", CELL_BYTES, 10},
	{"total_bytes", "TOTAL", CELL_BYTES, 12},
	{"succeed", "SUCCEED", CELL_COUNT, 9},
	{"fail", "FAIL", CELL_COUNT, 5},
};

struct vmem_arg {
	struct dcmd_call *call;
	bool is_found;
};

static struct err *vmem_row(void *arg, const struct heap_arena *a)
{
	struct vmem_arg *v = arg;
	struct out *o = v->call->out;
	bool is_one = v->call->flags & DCMD_ADDRSPEC;
	_free_ char *name = NULL;

	if (is_one && a->addr != v->call->addr)
		return NULL;
	v->is_found = true;
	name = mem_printf("%*s%s", is_one || out_is_json(o) ? 0 : 2 * a->depth,
			  "", a->name);
	out_addr(o, a->addr);
	out_str(o, name);
	out_known(o, a->inuse_bytes);
	out_known(o, a->total_bytes);
	out_known(o, a->nalloc);
	out_known(o, a->nfail);
	out_end_row(o, a->addr);
	return NULL;
}

static struct err *dcmd_vmem(struct dcmd_call *call)
{
	struct vmem_arg v = {.call = call};
	struct heap *heap = NULL;

	if (call->argc)
		return err_new(ERR_USAGE, "unexpected argument");
	struct err *err = session_heap(call->s, &heap);

	if (err)
		return err;
	out_begin(call->out, vmem_cols, 6, NULL);
	err = heap_arenas_tree(heap, vmem_row, &v);
	out_end(call->out);
	if (!err && !v.is_found && (call->flags & DCMD_ADDRSPEC))
		err = err_new(ERR_NOTFOUND, "0x%" PRIx64 " is not a vmem arena",
			      call->addr);
	return err;
}

/* ---- ::vmem_seg ------------------------------------------------------ */

/* addresses, or the numbers of an identifier arena */
#define SEG_COLS(place)                                      \
	{                                                    \
		{"addr", "ADDR", CELL_ADDR, 16},             \
			{"type", "TYPE", CELL_TEXT, 4},      \
			{"start", "START", place, 16},       \
			{"end", "END", place, 16},           \
			{"who", "WHO", CELL_SYM, 0},         \
			{"size_bytes", NULL, CELL_BYTES, 0}, \
	}
#define SEG_SIZE_COLS(place, size)                        \
	{                                                 \
		{"addr", "ADDR", CELL_ADDR, 16},          \
			{"type", "TYPE", CELL_TEXT, 4},   \
			{"start", "START", place, 16},    \
			{"size_bytes", "SIZE", size, 16}, \
			{"who", "WHO", CELL_SYM, 0},      \
	}
#define SEG_LONG_COLS(place)                                                   \
	{                                                                      \
		{"addr", "ADDR", CELL_HEX, 16},                                \
			{"type", "TYPE", CELL_TEXT, 4},                        \
			{"start", "START", place, 16},                         \
			{"end", "END", place, 16},                             \
			{"size", "SIZE", place, 16},                           \
			{NULL, "\n", CELL_TEXT, 16}, {NULL, "", CELL_TEXT, 4}, \
			{"thread", "THREAD", CELL_COUNT, 16},                  \
			{"timestamp", "TIMESTAMP", CELL_TIME, 16},             \
			{"stack", NULL, CELL_STACK, 0},                        \
	}
static const struct column seg_cols[2][6] = {SEG_COLS(CELL_ADDR),
					     SEG_COLS(CELL_COUNT)};
static const struct column seg_size_cols[2][5] = {
	SEG_SIZE_COLS(CELL_ADDR, CELL_HEX),
	SEG_SIZE_COLS(CELL_COUNT, CELL_COUNT)};
static const struct column seg_long_cols[2][10] = {SEG_LONG_COLS(CELL_HEX),
						   SEG_LONG_COLS(CELL_COUNT)};

static const char *const seg_types[] = {
	[SEG_ALLOC] = "ALLC", [SEG_FREE] = "FREE",   [SEG_SPAN] = "SPAN",
	[SEG_ROTOR] = "ROTR", [SEG_WALKER] = "WLKR",
};

static const struct opt seg_opts[] = {
	{'v', OPT_FLAG, NULL, "size, thread, time and stack, too"},
	{'s', OPT_FLAG, NULL, "size instead of end"},
	FILTER_OPTS,
	{'m', OPT_NUMBER, "min", "only of at least so many bytes"},
	{'M', OPT_NUMBER, "max", "only of at most so many bytes"},
	{'T', OPT_STRING, "type",
	 "only of this type: ALLC FREE SPAN ROTR WLKR"},
	{0},
};

struct seg_arg {
	struct dcmd_call *call;
	struct heap *heap;
	bool is_long, has_size;
	const char *type;
	uint64_t min, max;
	struct audit_filter filter;
};

/* "ALLOC" and "ALLC" are the same to users */
static bool is_type(const char *want, const char *have)
{
	if (strcmp(want, "ALLOC") == 0)
		want = "ALLC";
	else if (strcmp(want, "ROTOR") == 0)
		want = "ROTR";
	else if (strcmp(want, "WALKER") == 0)
		want = "WLKR";
	return strcmp(want, have) == 0;
}

static bool is_wanted(const struct seg_arg *a, const struct heap_segment *s,
		      const struct heap_stack *stack)
{
	uint64_t bytes = s->end - s->start;

	if (a->type && !is_type(a->type, seg_types[s->type]))
		return false;
	if (bytes < a->min || (a->max && bytes > a->max))
		return false;
	if (audit_filter_is_set(&a->filter) && !s->stamp_ns)
		return false;
	return audit_filter_passes(&a->filter, s->stamp_ns, s->tid, stack);
}

/* a place in memory, or a number */
static void out_place(struct out *o, const struct heap_segment *s, uint64_t at)
{
	if (s->is_identifier)
		out_u64(o, at);
	else
		out_addr(o, at);
}

static void short_row(const struct seg_arg *a, const struct heap_segment *s,
		      taddr_t who)
{
	struct out *o = a->call->out;

	out_addr(o, s->addr);
	out_str(o, seg_types[s->type]);
	out_place(o, s, s->start);
	if (a->has_size)
		out_u64(o, s->end - s->start);
	else
		out_place(o, s, s->end);
	caller_or_blank(o, who);
	if (!a->has_size)
		out_u64(o, s->end - s->start);
	out_end_row(o, s->addr);
}

static void long_row(const struct seg_arg *a, const struct heap_segment *s,
		     const struct heap_stack *stack)
{
	struct out *o = a->call->out;

	out_addr(o, s->addr);
	out_str(o, seg_types[s->type]);
	out_place(o, s, s->start);
	out_place(o, s, s->end);
	out_u64(o, s->end - s->start);
	out_str(o, "");
	out_str(o, "");
	if (s->stamp_ns) {
		out_u64(o, s->tid);
		out_u64(o, s->stamp_ns);
	} else {
		out_none(o);
		out_none(o);
	}
	out_stack(o, stack->pc, stack->depth);
	out_end_row(o, s->addr);
}

static void seg_row(struct seg_arg *a, const struct heap_segment *s)
{
	struct heap_stack stack;

	heap_stack_of(a->heap, s->stack, &stack);
	if (!is_wanted(a, s, &stack))
		return;
	if (a->is_long)
		long_row(a, s, &stack);
	else
		short_row(a, s, heap_caller(a->heap, &stack));
}

static struct err *dcmd_vmem_seg(struct dcmd_call *call)
{
	struct seg_arg a = {.call = call};
	void *const values[] = {
		&a.is_long, &a.has_size, FILTER_VALUES(&a.filter),
		&a.min,     &a.max,      &a.type};
	struct heap_segment seg;
	size_t first = 0;
	struct err *err = dcmd_options(call, seg_opts, values, &first);

	if (!err && first != call->argc)
		err = err_new(ERR_USAGE, "unexpected argument");
	if (!err)
		err = session_heap(call->s, &a.heap);
	if (!err && !a.heap->ops->segment_at)
		err = err_new(ERR_NOSUP, "%s heap has no segments",
			      a.heap->ops->name);
	if (!err)
		err = audit_filter_init(&a.filter, call->s);
	if (!err)
		err = a.heap->ops->segment_at(a.heap, call->addr, &seg);
	if (err)
		return err;
	if (a.is_long)
		out_begin(call->out, seg_long_cols[seg.is_identifier], 10,
			  NULL);
	else if (a.has_size)
		out_begin(call->out, seg_size_cols[seg.is_identifier], 5, NULL);
	else
		out_begin(call->out, seg_cols[seg.is_identifier], 6, NULL);
	seg_row(&a, &seg);
	out_end(call->out);
	return NULL;
}

/* ---- walkers --------------------------------------------------------- */

struct walk_arg {
	walk_fn *fn;
	void *arg;
	bool has_addr;
	taddr_t addr;
};

static struct err *pass_arena(void *arg, const struct heap_arena *a)
{
	struct walk_arg *w = arg;

	if (w->has_addr && a->addr != w->addr)
		return NULL;
	return w->fn(w->arg, a->addr);
}

static struct err *walk_vmem(struct session *s, const struct walker *walker,
			     bool has_addr, taddr_t addr, walk_fn *fn,
			     void *arg)
{
	struct walk_arg w = {fn, arg, has_addr, addr};
	struct heap *heap = NULL;
	struct err *err = session_heap(s, &heap);

	(void)walker;
	return err ? err : heap_arenas_tree(heap, pass_arena, &w);
}

struct postfix_arg {
	VEC(struct heap_arena) open; /* each below the one before it */
	walk_fn *fn;
	void *arg;
};

/* tells of the arenas at this depth or deeper: nothing more is below them */
static struct err *close_arenas(struct postfix_arg *p, int depth)
{
	struct err *err = NULL;

	while (!err && p->open.n && p->open.v[p->open.n - 1].depth >= depth)
		err = p->fn(p->arg, p->open.v[--p->open.n].addr);
	return err;
}

static struct err *postfix_arena(void *arg, const struct heap_arena *a)
{
	struct postfix_arg *p = arg;
	struct err *err = close_arenas(p, a->depth);

	if (!err)
		VEC_PUSH(&p->open, *a);
	return err;
}

static struct err *walk_postfix(struct session *s, const struct walker *walker,
				bool has_addr, taddr_t addr, walk_fn *fn,
				void *arg)
{
	struct postfix_arg p = {.fn = fn, .arg = arg};
	struct heap *heap = NULL;
	struct err *err = session_heap(s, &heap);

	if (!err && has_addr)
		return walk_vmem(s, walker, true, addr, fn, arg);
	if (!err)
		err = heap_arenas_tree(heap, postfix_arena, &p);
	if (!err)
		err = close_arenas(&p, 0);
	VEC_FREE(&p.open);
	return err;
}

static struct err *pass_seg(void *arg, const struct heap_segment *s)
{
	struct walk_arg *w = arg;

	return w->fn(w->arg, s->addr);
}

/* data: the SEG_* wanted */
static struct err *walk_segs(struct session *s, const struct walker *walker,
			     bool has_addr, taddr_t addr, walk_fn *fn,
			     void *arg)
{
	struct walk_arg w = {fn, arg, has_addr, addr};
	const unsigned *types = walker->data;
	struct heap *heap = NULL;
	struct err *err = session_heap(s, &heap);

	if (!err && !heap->ops->segments)
		err = err_new(ERR_NOSUP, "%s heap has no arenas",
			      heap->ops->name);
	return err ? err
		   : heap->ops->segments(heap, addr, *types, pass_seg, &w);
}

static const unsigned any_seg = ~0u;
static const unsigned alloc_seg = 1u << SEG_ALLOC;
static const unsigned free_seg = 1u << SEG_FREE;
static const unsigned span_seg = 1u << SEG_SPAN;

static const struct dcmd dcmds[] = {
	{.name = "vmem",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .brief = "print the vmem arenas",
	 .run = dcmd_vmem},
	{.name = "vmem_seg",
	 .addr = ADDR_REQUIRED,
	 .usage = "",
	 .opts = seg_opts,
	 .brief = "print or filter vmem segments",
	 .run = dcmd_vmem_seg},
	{0},
};

static const struct walker walkers[] = {
	{"vmem", "vmem arenas, sources first", ADDR_OPTIONAL, NULL, walk_vmem},
	{"vmem_postfix", "vmem arenas, sources last", ADDR_OPTIONAL, NULL,
	 walk_postfix},
	{"vmem_seg", "segments of an arena", ADDR_REQUIRED, &any_seg,
	 walk_segs},
	{"arena", "arenas, sources first", ADDR_OPTIONAL, NULL, walk_vmem},
	{"chunk", "segments of an arena", ADDR_REQUIRED, &any_seg, walk_segs},
	{"vmem_alloc", "allocated segments of an arena", ADDR_REQUIRED,
	 &alloc_seg, walk_segs},
	{"vmem_free", "free segments of an arena", ADDR_REQUIRED, &free_seg,
	 walk_segs},
	{"vmem_span", "spans of an arena", ADDR_REQUIRED, &span_seg, walk_segs},
	{0},
};

const struct group group_vmem = {
	.name = "vmem", .dcmds = dcmds, .walkers = walkers};
