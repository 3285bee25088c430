/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ::kmem_states and ::state: what each buffer is, of an allocated one why. */
#include "bufstate.h"

static const struct column cols[] = {
	{"state", NULL, CELL_TEXT, 0},
	{NULL, "STATE", CELL_TEXT, -40},
	{"buffers", "BUFFERS", CELL_COUNT, 10},
	{"bytes", "BYTES", CELL_COUNT, 14},
};

struct state_sum {
	const char *where; /* of STATE_FREE_LIST: one for each kind of list */
	uint64_t nbufs, bytes;
};

struct states_arg {
	struct heap *heap;
	const struct reach *reach;
	const struct heap_cache *cache; /* at hand; NULL: a large buffer */
	const char *wanted;             /* name of the one cache, or NULL */
	taddr_t wanted_addr;            /* the same, 0: not by address */
	bool is_found;
	uint64_t nseen;
	struct state_sum sum[STATE_MAX];
	VEC(struct state_sum) lists;
};

static struct state_sum *sum_of(struct states_arg *a, enum bufstate state,
				const char *where)
{
	struct state_sum one = {.where = where};

	if (state != STATE_FREE_LIST || !where)
		return &a->sum[state];
	/* names of a back end: the same address each time, and few */
	for (size_t i = 0; i < a->lists.n; i++)
		if (a->lists.v[i].where == where)
			return &a->lists.v[i];
	VEC_PUSH(&a->lists, one);
	return &a->lists.v[a->lists.n - 1];
}

static struct err *count_buf(void *arg, const struct heap_buf *b)
{
	struct states_arg *a = arg;
	enum bufstate state = bufstate_of(a->heap, a->reach, a->cache, b);

	struct state_sum *sum = sum_of(a, state, b->where);

	sum->nbufs++;
	sum->bytes += b->size_bytes;
	progress_set("counting buffers", a->nseen++, 0);
	return NULL;
}

static struct err *count_cache(void *arg, const struct heap_cache *c)
{
	struct states_arg *a = arg;

	if (a->wanted        ? strcmp(c->name, a->wanted) != 0
	    : a->wanted_addr ? c->addr != a->wanted_addr
			     : c->is_internal || c->is_notouch)
		return NULL;
	a->is_found = true;
	a->cache = c;
	struct err *err =
		a->heap->ops->bufs(a->heap, c->addr, BUF_ANY, count_buf, a);

	a->cache = NULL;
	return err;
}

static struct err *count_big(void *arg, const struct heap_buf *b)
{
	return b->kind == BUF_OVERSIZE ? count_buf(arg, b) : NULL;
}

static struct err *count_all(struct states_arg *a)
{
	struct err *err = a->heap->ops->caches(a->heap, count_cache, a);

	if (err)
		return err;
	if (!a->wanted && !a->wanted_addr)
		return a->heap->ops->bufs(a->heap, 0, BUF_ALLOCATED, count_big,
					  a);
	if (a->is_found)
		return NULL;
	return a->wanted ? err_new(ERR_NOTFOUND, "unknown kmem cache: %s",
				   a->wanted)
			 : err_new(ERR_NOTFOUND,
				   "0x%" PRIx64 " is not a kmem_cache",
				   a->wanted_addr);
}

static void print_sum(struct out *o, enum bufstate state,
		      const struct state_sum *sum)
{
	_free_ char *words = NULL;

	if (sum->nbufs == 0)
		return;
	words = bufstate_words(state, sum->where);
	out_str(o, bufstate_name(state, sum->where));
	out_str(o, words);
	out_u64(o, sum->nbufs);
	out_u64(o, sum->bytes);
	out_end_row(o, sum->nbufs);
}

static void print_states(const struct states_arg *a, struct out *o)
{
	out_begin(o, cols, 4, NULL);
	for (unsigned i = 0; i < STATE_MAX; i++) {
		print_sum(o, (enum bufstate)i, &a->sum[i]);
		for (size_t k = 0; i == STATE_FREE_LIST && k < a->lists.n; k++)
			print_sum(o, STATE_FREE_LIST, &a->lists.v[k]);
	}
	out_end(o);
}

static struct err *dcmd_kmem_states(struct dcmd_call *call)
{
	struct states_arg a = {0};
	struct reach *reach = NULL;
	struct err *err = NULL;

	if (call->argc > 1 ||
	    (call->argc == 1 && call->argv[0].type != ARG_STRING))
		return err_new(ERR_USAGE, "one name of a cache");
	if (call->argc == 1)
		a.wanted = call->argv[0].str;
	else if (call->flags & DCMD_ADDRSPEC)
		a.wanted_addr = call->addr;
	err = session_heap(call->s, &a.heap);
	if (!err)
		err = session_reach(call->s, &reach);
	if (err)
		return err;
	a.reach = reach;
	err = count_all(&a);
	if (err) {
		VEC_FREE(&a.lists);
		return err;
	}
	if (a.heap->health.moment_ns)
		out_warn(call->out, "kmem_states: what held a buffer then is "
				    "not recorded");
	else if (reach->leaks->inconclusive)
		out_warn(call->out,
			 "kmem_states: which are leaked is not "
			 "certain: %s",
			 reach->leaks->inconclusive);
	print_states(&a, call->out);
	VEC_FREE(&a.lists);
	return NULL;
}

/* ---- ::state --------------------------------------------------------- */

static const struct column state_cols[] = {
	{"buffer", "BUFFER", CELL_ADDR, -16},
	{"size_bytes", "SIZE", CELL_BYTES, 10},
	{"state", "STATE", CELL_TEXT, -12},
	{"from", "FROM", CELL_TEXT, 0},
	{"words", NULL, CELL_TEXT, 0},
};

static const struct opt state_opts[] = {
	{'s', OPT_STRING, "states", "only what is in one of them"},
	{0},
};

static void print_state(struct dcmd_call *call, const struct bufstates *b,
			taddr_t addr)
{
	enum bufstate state = STATE_MAX;
	struct out *o = call->out;
	struct heap_buf buf;

	if (!bufstates_at(b, addr, &buf, &state)) {
		out_warn(o, "state: 0x%" PRIx64 " is of no buffer", addr);
		return;
	}
	if (!bufstates_has(b, &buf, state))
		return;
	_free_ char *words = bufstate_words(state, buf.where);

	out_addr(o, buf.addr);
	out_u64(o, buf.size_bytes);
	out_str(o, bufstate_name(state, buf.where));
	out_str(o, heap_buf_from(b->heap, &buf));
	out_str(o, words);
	out_end_row(o, addr);
}

/* takes all addresses of a pipeline at once */
static struct err *dcmd_state(struct dcmd_call *call)
{
	const char *states = NULL;
	void *const values[] = {&states};
	struct bufstates b = {0};
	size_t first = 0;
	struct err *err = dcmd_options(call, state_opts, values, &first);

	if (!err && first != call->argc)
		err = err_new(ERR_USAGE, "unexpected argument");
	if (!err)
		err = bufstates_open(call->s, states, &b);
	if (!err)
		out_begin(call->out, state_cols, 5, NULL);
	while (!err) {
		print_state(call, &b, call->addr);
		err = interrupt_check();
		if (!session_next(call))
			break;
	}
	if (!err)
		out_end(call->out);
	bufstates_close(&b);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "kmem_states",
	 .addr = ADDR_OPTIONAL,
	 .usage = "[cache]",
	 .brief = "count the buffers by what they are",
	 .run = dcmd_kmem_states},
	{.name = "umem_states",
	 .addr = ADDR_OPTIONAL,
	 .usage = "[cache]",
	 .brief = "alias of ::kmem_states",
	 .run = dcmd_kmem_states},
	{.name = "state",
	 .addr = ADDR_REQUIRED,
	 .usage = "",
	 .opts = state_opts,
	 .brief = "print what a buffer is, or choose by that",
	 .run = dcmd_state},
	{0},
};

const struct group group_states = {.name = "states", .dcmds = dcmds};
