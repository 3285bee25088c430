/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ::history: the life of one buffer, from the transaction log and its record. */
#include <stdlib.h>
#include "churn.h"

static const struct column cols[] = {
	{"timestamp", "TIMESTAMP", CELL_TIME, 12},
	{"gap_ns", NULL, CELL_COUNT, 0},
	{NULL, "AFTER", CELL_TEXT, 14},
	{"what", "WHAT", CELL_TEXT, -5},
	{"kind", "KIND", CELL_TEXT, -12},
	{"thread", "THRD", CELL_COUNT, 5},
	{"caller", "CALLER", CELL_SYM, 0},
	{"addr", NULL, CELL_ADDR, 0},
	{"stack", NULL, CELL_STACK, 0},
};

static const struct opt opts[] = {
	{'v', OPT_FLAG, NULL, "the stack of each transaction, too"},
	{0},
};

struct history_arg {
	struct dcmd_call *call;
	struct heap *heap;
	bool is_verbose;
	taddr_t buf;
	struct record_sizes sizes;
	uint64_t nseen;
	VEC(struct heap_audit) list;
};

static struct err *take_record(void *arg, const struct heap_audit *a)
{
	struct history_arg *h = arg;
	uint64_t bytes = 0;

	progress_set("reading the log", h->nseen++, 0);
	/* of a failure it is the size that stands there, of a slab its start;
	 * the memory of a slab is a buffer of the allocator's own */
	if (a->buf == h->buf && record_size(&h->sizes, a, &bytes))
		VEC_PUSH(&h->list, *a);
	return NULL;
}

static int oldest_first(const void *a, const void *b)
{
	const struct heap_audit *x = a;
	const struct heap_audit *y = b;

	if (x->stamp_ns != y->stamp_ns)
		return x->stamp_ns < y->stamp_ns ? -1 : 1;
	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* the log may have been off, or the last record overwritten in it */
static void take_live(struct history_arg *h, const struct heap_buf *b)
{
	struct heap_audit au;

	if (!h->heap->ops->audit || !h->heap->ops->audit(h->heap, b, &au))
		return;
	for (size_t i = 0; i < h->list.n; i++)
		if (h->list.v[i].stamp_ns == au.stamp_ns)
			return;
	VEC_PUSH(&h->list, au);
}

static void print_row(const struct history_arg *h, const struct heap_audit *a,
		      const struct heap_audit *before)
{
	struct out *o = h->call->out;
	uint64_t gap_ns = before ? a->stamp_ns - before->stamp_ns : 0;
	_free_ char *after = before ? seconds_text(gap_ns) : NULL;
	struct heap_stack stack;

	heap_stack_of(h->heap, a->stack, &stack);
	taddr_t caller = heap_caller(h->heap, &stack);

	out_u64(o, a->stamp_ns);
	if (before)
		out_u64(o, gap_ns);
	else
		out_none(o);
	text_or_none(o, after);
	text_or_none(o, what_name(a->what));
	text_or_none(o, a->kind);
	out_u64(o, a->tid);
	caller_or_blank(o, caller);
	out_addr(o, a->addr);
	out_stack(o, stack.pc,
		  h->is_verbose || out_is_json(o) ? stack.depth : 0);
	out_end_row(o, a->addr);
}

static void print_history(struct history_arg *h)
{
	struct out *o = h->call->out;

	if (h->list.n)
		qsort(h->list.v, h->list.n, sizeof(*h->list.v), oldest_first);
	if (h->list.n == 0 || h->list.v[0].what == HEAP_FREE)
		out_warn(o, "what was before is not in the log any more");
	out_begin(o, cols, 9, NULL);
	for (size_t i = 0; i < h->list.n; i++)
		print_row(h, &h->list.v[i], i ? &h->list.v[i - 1] : NULL);
	out_end(o);
}

static struct err *dcmd_history(struct dcmd_call *call)
{
	struct history_arg h = {.call = call, .buf = call->addr};
	void *const values[] = {&h.is_verbose};
	struct heap_buf b;
	size_t first = 0;
	struct err *err = dcmd_options(call, opts, values, &first);

	if (!err && first != call->argc)
		err = err_new(ERR_USAGE, "unexpected argument");
	if (!err)
		err = session_heap(call->s, &h.heap);
	if (!err && !h.heap->ops->log)
		err = err_new(ERR_NOSUP, "%s heap keeps no log",
			      h.heap->ops->name);
	if (err)
		return err;
	bool is_buf = h.heap->ops->buf_at(h.heap, call->addr, &b);

	if (is_buf)
		h.buf = b.addr;
	err = record_sizes_open(h.heap, &h.sizes);
	if (!err)
		err = h.heap->ops->log(h.heap, HEAP_LOG_TRANSACTION, 0,
				       take_record, &h);
	if (err_is(err, ERR_NOTFOUND)) { /* off: the last one may be known */
		err_free(err);
		err = NULL;
	}
	if (!err) {
		if (is_buf)
			take_live(&h, &b);
		print_history(&h);
	}
	record_sizes_close(&h.sizes);
	VEC_FREE(&h.list);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "history",
	 .addr = ADDR_REQUIRED,
	 .usage = "",
	 .opts = opts,
	 .brief = "print the life of a buffer, oldest first",
	 .run = dcmd_history},
	{0},
};

const struct group group_history = {.name = "history", .dcmds = dcmds};
