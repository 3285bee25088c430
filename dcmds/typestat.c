/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the types of buffers add up to: ::typestat ::findfalse. */
#include <stdlib.h>
#include "place.h"
#include "typed.h"

#define LINE_BYTES 64 /* of a CPU's cache */

/* ---- ::typestat ------------------------------------------------------ */

static const struct column stat_cols[] = {
	{"buffers", "COUNT", CELL_COUNT, 9},
	{"total_bytes", "BYTES", CELL_BYTES, 12},
	{"share_pct", "SHARE", CELL_TEXT, 6},
	{"certain", "CERTAIN", CELL_COUNT, 9},
	{"probable", "PROBABLE", CELL_COUNT, 9},
	{"type", "TYPE", CELL_TEXT, 0},
};

static const struct column buf_cols[] = {
	{"addr", "BUFFER", CELL_ADDR, -16},
	{"size_bytes", "BYTES", CELL_BYTES, 10},
	{"elements", "ELEMS", CELL_COUNT, 7},
	{"grade", "GRADE", CELL_TEXT, -8},
	{"reason", "REASON", CELL_TEXT, 0},
};

struct total {
	const char *name; /* NULL: not known */
	uint64_t n, bytes, ncertain, nprobable;
};

struct stat_arg {
	struct dcmd_call *call;
	struct typegraph *g;
	const char *wanted; /* NULL: all */
	struct hash index;  /* name -> index in totals, + 1 */
	VEC(struct total) totals;
	uint64_t bytes, nbufs, known_bytes, ntyped;
};

static const struct opt stat_opts[] = {
	{'t', OPT_STRING, "type", "list the buffers of a type instead"},
	{0},
};

static bool is_wanted(const struct stat_arg *a, const struct typed *t)
{
	size_t n = strlen(a->wanted);
	const char *bare = strchr(t->name, ' ');

	/* "struct foo" is meant by "foo", too */
	return strcmp(t->name, a->wanted) == 0 ||
	       (bare && strcmp(bare + 1, a->wanted) == 0 &&
		strncmp(t->name, "struct ", 7) == 0 && n > 0);
}

static struct err *list_one(const struct stat_arg *a, const struct typed *t)
{
	struct out *o = a->call->out;

	if (t->reason == REASON_PART || !is_wanted(a, t))
		return NULL;
	out_addr(o, t->base);
	out_u64(o, t->size_bytes);
	out_u64(o, t->nelems);
	out_str(o, typegraph_grade_name(t->grade));
	out_str(o, typegraph_reason_name(t->reason));
	out_end_row(o, t->base);
	return NULL;
}

static struct err *add_typed(void *arg, const struct typed *t)
{
	struct stat_arg *a = arg;

	if (t->variable)
		return NULL;
	if (a->wanted)
		return list_one(a, t);
	bool is_sure = t->grade != GRADE_CONFLICT && t->reason != REASON_PART;

	if (!is_sure)
		return NULL;
	uint64_t *index = hash_put(
		&a->index, hash_bytes(t->name, strlen(t->name), 0), NULL);

	if (*index == 0) {
		struct total total = {.name = t->name};

		VEC_PUSH(&a->totals, total);
		*index = a->totals.n;
	}
	struct total *sum = &a->totals.v[*index - 1];

	sum->n++;
	sum->bytes += t->size_bytes;
	sum->ncertain += t->grade == GRADE_CERTAIN;
	sum->nprobable += t->grade == GRADE_PROBABLE;
	a->ntyped++;
	a->known_bytes += t->size_bytes;
	return NULL;
}

static int by_bytes(const void *a, const void *b)
{
	const struct total *x = a;
	const struct total *y = b;

	if (!x->name != !y->name)
		return x->name ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->name ? strcmp(x->name, y->name) : 0;
}

static void total_row(const struct stat_arg *a, const struct total *t)
{
	struct out *o = a->call->out;
	_free_ char *share = mem_printf(
		"%.1f",
		a->bytes ? 100.0 * (double)t->bytes / (double)a->bytes : 0.0);

	out_u64(o, t->n);
	out_u64(o, t->bytes);
	out_str(o, share);
	out_u64(o, t->ncertain);
	out_u64(o, t->nprobable);
	if (t->name)
		out_str(o, t->name);
	else
		out_none(o);
	out_end_row(o, 0);
}

static void print_totals(struct stat_arg *a)
{
	struct total rest = {
		.n = a->nbufs - a->ntyped,
		.bytes = a->bytes - a->known_bytes,
	};

	if (rest.n)
		VEC_PUSH(&a->totals, rest);
	if (a->totals.n)
		qsort(a->totals.v, a->totals.n, sizeof(*a->totals.v), by_bytes);
	for (size_t i = 0; i < a->totals.n; i++)
		total_row(a, &a->totals.v[i]);
}

static struct err *dcmd_typestat(struct dcmd_call *call)
{
	struct stat_arg a = {.call = call};
	void *const values[] = {&a.wanted};
	struct leaks *leaks = NULL;
	size_t first = 0;
	struct err *err = dcmd_options(call, stat_opts, values, &first);

	if (!err && first != call->argc)
		err = err_new(ERR_USAGE, "unexpected argument");
	if (!err && !a.wanted && out_is_pipe(call->out))
		err = err_new(ERR_USAGE, "typestat: a type is no address; -t "
					 "gives the buffers of one");
	if (!err)
		err = session_leaks(call->s, &leaks);
	if (!err)
		err = typed_graph(call, &a.g);
	if (err)
		return err_prefix(err, "typestat");
	a.nbufs = leaks->nlive;
	a.bytes = leaks->live_bytes;
	hash_init(&a.index);
	if (a.wanted)
		out_begin(call->out, buf_cols, 5, NULL);
	else
		out_begin(call->out, stat_cols, 6, NULL);
	err = typegraph_each(a.g, add_typed, &a);
	if (!err && !a.wanted)
		print_totals(&a);
	out_end(call->out);
	hash_fini(&a.index);
	VEC_FREE(&a.totals);
	return err;
}

/* ---- ::findfalse ----------------------------------------------------- */

static const struct column false_cols[] = {
	{"addr", "ADDR", CELL_ADDR, -16},
	{"symbol", "SYMBOL", CELL_TEXT, -28},
	{"type", "TYPE", CELL_TEXT, -22},
	{"element_bytes", "SZ", CELL_BYTES, 5},
	{"total_bytes", "TOTSIZE", CELL_BYTES, 8},
	{"grade", NULL, CELL_TEXT, 0},
};

struct false_arg {
	struct dcmd_call *call;
	struct hash known; /* struct type * -> 1 no, 2 has what is shared */
};

/* what threads write to one another's annoyance */
static bool is_shared_name(const char *name)
{
	static const char *const names[] = {
		"pthread_mutex_t",
		"pthread_rwlock_t",
		"pthread_cond_t",
		"pthread_spinlock_t",
		"pthread_barrier_t",
		"sem_t",
		"mtx_t",
		"std::mutex",
		"std::__atomic_base<",
		"std::atomic<",
		"std::atomic_flag",
		"_Atomic ",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strncmp(name, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/* steps: left, whatever debug information says */
static bool has_shared(const struct type *type, int depth, size_t *steps)
{
	if (depth > 8 || *steps == 0)
		return false;
	(*steps)--;
	struct type_info ti = type_info(type);

	/* a pointer to one is not one */
	if (ti.kind == TYPE_POINTER || ti.kind == TYPE_REFERENCE)
		return false;
	if (is_shared_name(type_name(type)))
		return true;
	if (ti.kind == TYPE_ARRAY)
		return has_shared(ti.elem, depth + 1, steps);
	size_t n = type_nmembers(type);

	for (size_t i = 0; i < n; i++)
		if (has_shared(type_member(type, i).type, depth + 1, steps))
			return true;
	return false;
}

static bool is_shared(struct false_arg *a, const struct type *type)
{
	uint64_t *known = hash_put(&a->known, (uintptr_t)type, NULL);

	size_t steps = 100000;

	if (*known == 0)
		*known = has_shared(type, 0, &steps) ? 2 : 1;
	return *known == 2;
}

static struct err *look_at(void *arg, const struct typed *t)
{
	struct false_arg *a = arg;
	struct out *o = a->call->out;
	uint64_t size = t->type ? type_info(t->type).size_bytes : 0;

	if (t->nelems < 2 || size == 0 || size % LINE_BYTES == 0 ||
	    t->grade == GRADE_CONFLICT || !is_shared(a, t->type))
		return NULL;
	_free_ char *name =
		t->variable
			? types_addr_name(session_types(a->call->s), t->base)
			: NULL;

	out_addr(o, t->base);
	out_str(o, name);
	out_str(o, t->name);
	out_u64(o, size);
	out_u64(o, size * t->nelems);
	out_str(o, typegraph_grade_name(t->grade));
	out_end_row(o, t->base);
	return NULL;
}

static struct err *dcmd_findfalse(struct dcmd_call *call)
{
	struct false_arg a = {.call = call};
	struct typegraph *g = NULL;
	struct err *err = NULL;

	if (call->argc)
		return err_new(ERR_USAGE, "unexpected argument");
	err = typed_graph(call, &g);
	if (err)
		return err_prefix(err, "findfalse");
	hash_init(&a.known);
	out_begin(call->out, false_cols, 6, NULL);
	err = typegraph_each(g, look_at, &a);
	out_end(call->out);
	hash_fini(&a.known);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "typestat",
	 .addr = ADDR_NONE,
	 .usage = "",
	 .opts = stat_opts,
	 .brief = "count buffers and bytes by type",
	 .run = dcmd_typestat},
	{.name = "findfalse",
	 .addr = ADDR_NONE,
	 .usage = "",
	 .brief = "find arrays whose locks share lines of the cache",
	 .run = dcmd_findfalse},
	{0},
};

const struct group group_typestat = {.name = "typestat", .dcmds = dcmds};
