/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who did it: ::bufctl, and the walker of a buffer's transactions. */
#include "audited.h"

/* ---- ::bufctl -------------------------------------------------------- */

static const struct column short_cols[] = {
	{"addr", "ADDR", CELL_ADDR, -16},
	{"buffer", "BUFADDR", CELL_ADDR, -16},
	{"timestamp", "TIMESTAMP", CELL_TIME, 12},
	{"thread", "THRD", CELL_COUNT, 5},
	{"caller", "CALLER", CELL_SYM, 0},
	{"what", NULL, CELL_TEXT, 0},
	{"kind", NULL, CELL_TEXT, 0},
};
/* mdb aligns this heading to the left and the times to the right */
static const char short_heading[] =
	"ADDR             BUFADDR          TIMESTAMP     THRD CALLER";

static const struct column long_cols[] = {
	{"addr", "ADDR", CELL_HEX, 16},
	{"buffer", "BUFADDR", CELL_HEX, 16},
	{"timestamp", "TIMESTAMP", CELL_TIME, 16},
	{"thread", "THREAD", CELL_COUNT, 16},
	{NULL, "\n", CELL_TEXT, 16},
	{"cache", "CACHE", CELL_HEX, 16},
	{"lastlog", "LASTLOG", CELL_HEX, 16},
	{"contents", "CONTENTS", CELL_HEX, 16},
	{"what", NULL, CELL_TEXT, 0},
	{"kind", NULL, CELL_TEXT, 0},
	{"stack", NULL, CELL_STACK, 0},
};

static const struct opt bufctl_opts[] = {
	{'v', OPT_FLAG, NULL, "everything, with the stack"},
	{'h', OPT_FLAG, NULL, "this and older transactions of the buffer"},
	{'a', OPT_NUMBER, "addr", "only of this buffer"},
	FILTER_OPTS,
	{0},
};

struct bufctl_arg {
	struct dcmd_call *call;
	struct heap *heap;
	bool is_long, has_history;
	uint64_t buf;
	struct audit_filter filter;
};

static void long_row(struct out *o, const struct heap_audit *au,
		     const struct heap_stack *stack)
{
	out_begin(o, long_cols, 11, NULL);
	out_addr(o, au->addr);
	out_addr(o, au->buf);
	out_u64(o, au->stamp_ns);
	out_u64(o, au->tid);
	out_str(o, "");
	out_addr(o, au->cache);
	out_addr(o, au->lastlog);
	out_addr(o, au->contents);
	text_or_none(o, what_name(au->what));
	text_or_none(o, au->kind);
	out_stack(o, stack->pc, stack->depth);
	out_end_row(o, au->addr);
	out_end(o);
	if (!out_is_json(o) && !out_is_pipe(o))
		out_text(o, "\n");
}

static void short_row(struct heap *heap, struct out *o,
		      const struct heap_audit *au,
		      const struct heap_stack *stack)
{
	taddr_t caller = heap_caller(heap, stack);

	out_begin(o, short_cols, 7, short_heading);
	out_addr(o, au->addr);
	out_addr(o, au->buf);
	out_u64(o, au->stamp_ns);
	out_u64(o, au->tid);
	caller_or_blank(o, caller);
	text_or_none(o, what_name(au->what));
	text_or_none(o, au->kind);
	out_end_row(o, au->addr);
	out_end(o);
}

static void bufctl_row(struct bufctl_arg *a, const struct heap_audit *au)
{
	struct heap_stack stack;

	heap_stack_of(a->heap, au->stack, &stack);
	if ((a->buf && au->buf != a->buf) ||
	    !audit_filter_passes(&a->filter, au->stamp_ns, au->tid, &stack))
		return;
	if (a->is_long)
		long_row(a->call->out, au, &stack);
	else
		short_row(a->heap, a->call->out, au, &stack);
}

static struct err *older_row(void *arg, const struct heap_audit *a)
{
	bufctl_row(arg, a);
	return NULL;
}

static struct err *run_bufctl(struct bufctl_arg *a)
{
	struct heap_audit au = {0};
	struct err *err = session_heap(a->call->s, &a->heap);

	if (!err && !a->heap->ops->audit_at)
		err = err_new(ERR_NOSUP, "%s heap keeps no audit records",
			      a->heap->ops->name);
	if (!err)
		err = audit_filter_init(&a->filter, a->call->s);
	if (!err)
		err = a->heap->ops->audit_at(a->heap, a->call->addr, &au);
	if (err)
		return err;
	bufctl_row(a, &au);
	if (a->has_history)
		err = audit_each_older(a->heap, &au, older_row, a);
	return err;
}

static struct err *dcmd_bufctl(struct dcmd_call *call)
{
	struct bufctl_arg a = {.call = call};
	void *const values[] = {&a.is_long, &a.has_history, &a.buf,
				FILTER_VALUES(&a.filter)};
	size_t first = 0;
	struct err *err = dcmd_options(call, bufctl_opts, values, &first);

	if (!err && first != call->argc)
		err = err_new(ERR_USAGE, "unexpected argument");
	return err ? err : run_bufctl(&a);
}

static struct err *dcmd_bufctl_audit(struct dcmd_call *call)
{
	struct bufctl_arg a = {.call = call, .is_long = true};

	if (call->argc)
		return err_new(ERR_USAGE, "unexpected argument");
	return run_bufctl(&a);
}

/* ---- walkers --------------------------------------------------------- */

static struct err *walk_history(struct session *s, const struct walker *walker,
				bool has_addr, taddr_t addr, walk_fn *fn,
				void *arg)
{
	struct addr_pass w = {fn, arg};
	struct heap_audit au;
	struct heap *heap = NULL;
	struct err *err = session_heap(s, &heap);

	(void)walker;
	(void)has_addr; /* required */
	if (!err && !heap->ops->audit_at)
		err = err_new(ERR_NOSUP, "%s heap keeps no audit records",
			      heap->ops->name);
	if (!err)
		err = heap->ops->audit_at(heap, addr, &au);
	if (!err)
		err = fn(arg, addr);
	return err ? err : audit_each_older(heap, &au, audit_pass_addr, &w);
}

static const struct dcmd dcmds[] = {
	{.name = "bufctl",
	 .addr = ADDR_REQUIRED,
	 .usage = "",
	 .opts = bufctl_opts,
	 .brief = "print or filter audited bufctls",
	 .run = dcmd_bufctl},
	{.name = "bufctl_audit",
	 .addr = ADDR_REQUIRED,
	 .usage = "",
	 .brief = "print an audited bufctl with its stack",
	 .run = dcmd_bufctl_audit},
	{0},
};

static const struct walker walkers[] = {
	{"bufctl_history", "a bufctl and older transactions of its buffer",
	 ADDR_REQUIRED, NULL, walk_history},
	{0},
};

const struct group group_audit = {
	.name = "audit", .dcmds = dcmds, .walkers = walkers};
