/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who waits for memory, and resource maps: ::kmem_waiters ::rmap. */
#include "audited.h"
#include "thread.h"

/* ---- ::kmem_waiters -------------------------------------------------- */

static const struct column waiter_cols[] = {
	{"addr", "ADDR", CELL_ADDR, -16},   {"thread", "THRD", CELL_COUNT, 5},
	{"size", "SIZE", CELL_COUNT, 10},   {"since", "SINCE", CELL_TIME, 12},
	{"waited_ns", NULL, CELL_COUNT, 0}, {NULL, "WAITED", CELL_TEXT, 10},
	{"wants", "WANTS", CELL_TEXT, 0},   {"cache", NULL, CELL_ADDR, 0},
	{"arena", NULL, CELL_ADDR, 0},      {"stack", NULL, CELL_STACK, 0},
};

static const struct opt waiter_opts[] = {
	{'v', OPT_FLAG, NULL, "the stack of each thread, too"},
	{0},
};

struct waiter_arg {
	struct dcmd_call *call;
	struct heap *heap;
	bool is_verbose;
};

static struct err *take_frame(void *arg, const struct frame *f)
{
	struct heap_stack *stack = arg;

	stack->pc[stack->depth++] = f->pc;
	if (stack->depth == HEAP_STACK_MAX)
		return err_new(ERR_STOP, "so many are enough");
	return NULL;
}

/* where a thread is; no frames when that is not known */
static void stack_of(struct waiter_arg *a, uint32_t tid, struct heap_stack *ret)
{
	const struct target_thread *th =
		thread_by_id(session_target(a->call->s), tid);

	ret->depth = 0;
	if (th && (th->has_regs || th->regs_partial))
		err_free(types_unwind(session_types(a->call->s), th, take_frame,
				      ret));
}

/* seconds since it began, if the dump says when that was made */
static void waited_cells(struct out *o, uint64_t now_ns, uint64_t since_ns)
{
	if (!now_ns || !since_ns || since_ns > now_ns) {
		out_none(o);
		out_none(o);
		return;
	}
	uint64_t ns = now_ns - since_ns;
	_free_ char *text = mem_printf("%" PRIu64 ".%03" PRIu64 "s",
				       ns / 1000000000, ns / 1000000 % 1000);

	out_u64(o, ns);
	out_str(o, text);
}

static void addr_or_none(struct out *o, taddr_t addr)
{
	if (addr)
		out_addr(o, addr);
	else
		out_none(o);
}

static struct err *waiter_row(void *arg, const struct heap_waiter *w)
{
	struct waiter_arg *a = arg;
	struct out *o = a->call->out;
	taddr_t wanted = w->cache ? w->cache : w->arena;
	struct heap_stack stack = {0};

	if ((a->call->flags & DCMD_ADDRSPEC) && wanted != a->call->addr)
		return NULL;
	if (a->is_verbose || out_is_json(o))
		stack_of(a, w->tid, &stack);
	out_addr(o, w->addr);
	out_u64(o, w->tid);
	out_u64(o, w->size);
	out_u64(o, w->since_ns);
	waited_cells(o, a->heap->health.now_ns, w->since_ns);
	out_str(o, heap_name(a->heap, wanted));
	addr_or_none(o, w->cache);
	addr_or_none(o, w->cache ? 0 : w->arena);
	out_stack(o, stack.pc, stack.depth);
	out_end_row(o, w->tid);
	return NULL;
}

static struct err *dcmd_kmem_waiters(struct dcmd_call *call)
{
	struct waiter_arg a = {.call = call};
	void *const values[] = {&a.is_verbose};
	size_t first = 0;
	struct err *err = dcmd_options(call, waiter_opts, values, &first);

	if (!err && first != call->argc)
		err = err_new(ERR_USAGE, "unexpected argument");
	if (!err)
		err = session_heap(call->s, &a.heap);
	if (!err && !a.heap->ops->waiters)
		err = err_new(ERR_NOSUP, "%s heap does not tell who waits",
			      a.heap->ops->name);
	if (err)
		return err;
	out_begin(call->out, waiter_cols, 10, NULL);
	err = a.heap->ops->waiters(a.heap, waiter_row, &a);
	out_end(call->out);
	return err;
}

/* ---- ::rmap ---------------------------------------------------------- */

static const struct column map_cols[] = {
	{"addr", "ADDR", CELL_ADDR, -16},
	{"slots", "SLOTS", CELL_COUNT, 8},
	{"ranges", "RANGES", CELL_COUNT, 8},
	{"free", "FREE", CELL_COUNT, 12},
	{"largest", "LARGEST", CELL_COUNT, 12},
	{"has_waiter", "WANT", CELL_COUNT, 0},
};
static const struct column range_cols[] = {
	{"start", "START", CELL_HEX, 16},
	{"end", "END", CELL_HEX, 16},
	{"size", "SIZE", CELL_COUNT, 0},
};

struct rmap_arg {
	struct dcmd_call *call;
	struct heap *heap;
	bool is_found;
	uint64_t total, largest; /* of the map at hand */
};

static struct err *add_range(void *arg, const struct heap_range *r)
{
	struct rmap_arg *a = arg;

	a->total += r->end - r->start;
	if (r->end - r->start > a->largest)
		a->largest = r->end - r->start;
	return NULL;
}

static struct err *map_row(void *arg, const struct heap_rmap *m)
{
	struct rmap_arg *a = arg;
	struct out *o = a->call->out;

	a->total = a->largest = 0;
	struct err *err =
		a->heap->ops->rmap_free(a->heap, m->addr, add_range, a);

	if (err_is(err, ERR_BADDATA)) { /* the others may be whole */
		out_warn(o, "%s", err->msg);
		err_free(err);
		return NULL;
	}
	if (err)
		return err;
	out_addr(o, m->addr);
	out_u64(o, m->nslots);
	out_u64(o, m->nfree);
	out_u64(o, a->total);
	out_u64(o, a->largest);
	out_u64(o, m->has_waiter);
	out_end_row(o, m->addr);
	return NULL;
}

static struct err *range_row(void *arg, const struct heap_range *r)
{
	struct rmap_arg *a = arg;
	struct out *o = a->call->out;

	out_addr(o, r->start);
	out_addr(o, r->end);
	out_u64(o, r->end - r->start);
	out_end_row(o, r->start);
	return NULL;
}

static struct err *match_map(void *arg, const struct heap_rmap *m)
{
	struct rmap_arg *a = arg;

	a->is_found = a->is_found || m->addr == a->call->addr;
	return NULL;
}

static struct err *one_map(struct rmap_arg *a)
{
	struct err *err = a->heap->ops->rmaps(a->heap, match_map, a);

	if (!err && !a->is_found)
		err = err_new(ERR_NOTFOUND,
			      "0x%" PRIx64 " is not a resource map",
			      a->call->addr);
	if (err)
		return err;
	out_begin(a->call->out, range_cols, 3, NULL);
	err = a->heap->ops->rmap_free(a->heap, a->call->addr, range_row, a);
	out_end(a->call->out);
	return err;
}

static struct err *dcmd_rmap(struct dcmd_call *call)
{
	struct rmap_arg a = {.call = call};
	struct err *err = NULL;

	if (call->argc)
		return err_new(ERR_USAGE, "unexpected argument");
	err = session_heap(call->s, &a.heap);
	if (!err && !a.heap->ops->rmaps)
		err = err_new(ERR_NOSUP, "%s heap has no resource maps",
			      a.heap->ops->name);
	if (err)
		return err;
	if (call->flags & DCMD_ADDRSPEC)
		return one_map(&a);
	out_begin(call->out, map_cols, 6, NULL);
	err = a.heap->ops->rmaps(a.heap, map_row, &a);
	out_end(call->out);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "kmem_waiters",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .opts = waiter_opts,
	 .brief = "print the threads that wait for memory",
	 .run = dcmd_kmem_waiters},
	{.name = "umem_waiters",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .opts = waiter_opts,
	 .brief = "alias of ::kmem_waiters",
	 .run = dcmd_kmem_waiters},
	{.name = "rmap",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .brief = "print the resource maps, or the free ranges of one",
	 .run = dcmd_rmap},
	{0},
};

const struct group group_waiters = {.name = "waiters", .dcmds = dcmds};
