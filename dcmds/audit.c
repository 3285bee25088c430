/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who did it: ::bufctl ::kmem_log and the walkers of records. */
#include "pmdb_mod.h"

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
	{'c', OPT_STRING, "caller",
	 "only with this function or pc in the stack"},
	{'e', OPT_NUMBER, "earliest", "only from this time on"},
	{'l', OPT_NUMBER, "latest", "only up to this time"},
	{'t', OPT_NUMBER, "thread", "only by this thread"},
	{0},
};

struct bufctl_arg {
	struct dcmd_call *call;
	struct heap *heap;
	bool is_long, has_history;
	const char *caller;
	uint64_t buf, earliest, latest, tid;
	taddr_t caller_lo, caller_hi;
};

static const char *what_name(uint32_t what)
{
	static const char *const names[] = {NULL, "alloc", "free", "fail",
					    "slab"};

	return what < sizeof(names) / sizeof(*names) ? names[what] : NULL;
}

static bool has_caller(const struct bufctl_arg *a,
		       const struct heap_stack *stack)
{
	for (unsigned i = 0; i < stack->depth; i++)
		if (stack->pc[i] >= a->caller_lo && stack->pc[i] < a->caller_hi)
			return true;
	return false;
}

static bool is_wanted(const struct bufctl_arg *a, const struct heap_audit *au,
		      const struct heap_stack *stack)
{
	if (a->buf && au->buf != a->buf)
		return false;
	if (a->caller && !has_caller(a, stack))
		return false;
	if (a->earliest && au->stamp_ns < a->earliest)
		return false;
	if (a->latest && au->stamp_ns > a->latest)
		return false;
	return !a->tid || au->tid == a->tid;
}

static void text_or_none(struct out *o, const char *s)
{
	if (s && *s)
		out_str(o, s);
	else
		out_none(o);
}

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
	if (caller)
		out_addr(o, caller);
	else
		out_str(o, "");
	text_or_none(o, what_name(au->what));
	text_or_none(o, au->kind);
	out_end_row(o, au->addr);
	out_end(o);
}

static void bufctl_row(struct bufctl_arg *a, const struct heap_audit *au)
{
	struct heap_stack stack = {0};

	if (!a->heap->ops->stack ||
	    !a->heap->ops->stack(a->heap, au->stack, &stack))
		stack.depth = 0;
	if (!is_wanted(a, au, &stack))
		return;
	if (a->is_long)
		long_row(a->call->out, au, &stack);
	else
		short_row(a->heap, a->call->out, au, &stack);
}

static struct err *find_caller(struct bufctl_arg *a)
{
	struct symbol sym;
	uint64_t pc = 0;
	struct err *err = NULL;

	if (!a->caller)
		return NULL;
	err = session_eval_expr(a->call->s, a->caller, &pc);
	if (err)
		return err;
	a->caller_lo = pc;
	a->caller_hi = pc + 1;
	/* a function stands for every pc in it; a return address may lie just
	 * behind its end */
	if (types_symbol_at(session_types(a->call->s), pc, &sym) &&
	    sym.value == pc && sym.size)
		a->caller_hi = pc + sym.size + 1;
	return NULL;
}

/* the transactions before one, as far as the log still has them: each record
 * names the one before it.  The newest record is a copy of the bufctl. */
static struct err *
each_older(struct heap *heap, const struct heap_audit *from,
	   struct err *(*fn)(void *arg, const struct heap_audit *a), void *arg)
{
	struct heap_audit now = *from;
	struct err *err = NULL;

	while (!err && now.lastlog) {
		struct heap_audit older;

		err = heap->ops->audit_at(heap, now.lastlog, &older);
		if (err) { /* overwritten, or not in the dump: the end */
			err_free(err);
			return NULL;
		}
		if (older.buf != from->buf || older.cache != from->cache ||
		    older.stamp_ns > now.stamp_ns ||
		    older.lastlog == now.lastlog)
			return NULL;
		if (older.stamp_ns < now.stamp_ns)
			err = fn(arg, &older);
		now = older;
		if (!err)
			err = interrupt_check();
	}
	return err;
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
		err = find_caller(a);
	if (!err)
		err = a->heap->ops->audit_at(a->heap, a->call->addr, &au);
	if (err)
		return err;
	bufctl_row(a, &au);
	if (a->has_history)
		err = each_older(a->heap, &au, older_row, a);
	return err;
}

static struct err *dcmd_bufctl(struct dcmd_call *call)
{
	struct bufctl_arg a = {.call = call};
	void *const values[] = {&a.is_long,  &a.has_history, &a.buf, &a.caller,
				&a.earliest, &a.latest,      &a.tid};
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

/* ---- ::kmem_log ------------------------------------------------------ */

static const struct column log_cols[] = {
	{"cpu", "CPU", CELL_COUNT, 3},
	{"addr", "ADDR", CELL_ADDR, -16},
	{"buffer", "BUFADDR", CELL_ADDR, -16},
	{"timestamp", "TIMESTAMP", CELL_TIME, 16},
	{"thread", "THREAD", CELL_COUNT, 0},
	{"what", NULL, CELL_TEXT, 0},
	{"kind", NULL, CELL_TEXT, 0},
	{"cache", NULL, CELL_ADDR, 0},
};

static const struct opt log_opts[] = {
	{'b', OPT_FLAG, NULL, "records of the buffer that holds the address"},
	{0},
};

struct log_arg {
	struct dcmd_call *call;
	struct heap *heap;
	bool is_by_buf;
	taddr_t start, end; /* the buffer, with -b */
};

static struct err *log_row(void *arg, const struct heap_audit *a)
{
	struct log_arg *l = arg;
	struct out *o = l->call->out;

	if (l->is_by_buf && (a->buf < l->start || a->buf >= l->end))
		return NULL;
	if (!l->is_by_buf && (l->call->flags & DCMD_ADDRSPEC) &&
	    a->addr != l->call->addr)
		return NULL;
	if (a->cpu >= 0)
		out_u64(o, (uint64_t)a->cpu);
	else
		out_str(o, "");
	out_addr(o, a->addr);
	out_addr(o, a->buf);
	out_u64(o, a->stamp_ns);
	out_u64(o, a->tid);
	text_or_none(o, what_name(a->what));
	text_or_none(o, a->kind);
	out_addr(o, a->cache);
	out_end_row(o, a->addr);
	return NULL;
}

static struct err *dcmd_kmem_log(struct dcmd_call *call)
{
	struct log_arg l = {.call = call};
	void *const values[] = {&l.is_by_buf};
	struct heap_buf b;
	size_t first = 0;
	struct err *err = dcmd_options(call, log_opts, values, &first);

	if (!err && (first != call->argc ||
		     (l.is_by_buf && !(call->flags & DCMD_ADDRSPEC))))
		err = err_new(ERR_USAGE, "-b needs an address");
	if (!err)
		err = session_heap(call->s, &l.heap);
	if (err)
		return err;
	l.start = call->addr;
	l.end = call->addr + 1;
	if (l.is_by_buf && l.heap->ops->buf_at(l.heap, call->addr, &b)) {
		l.start = b.addr;
		l.end = b.addr + b.size_bytes;
	}
	if (!l.heap->ops->log)
		return err_new(ERR_NOSUP, "%s heap keeps no log",
			       l.heap->ops->name);
	out_begin(call->out, log_cols, 8, NULL);
	err = l.heap->ops->log(l.heap, HEAP_LOG_TRANSACTION, 0, log_row, &l);
	out_end(call->out);
	if (err_is(err, ERR_NOTFOUND)) {
		err_free(err);
		err = err_new(ERR_NOTFOUND, "no kmem transaction log");
	}
	return err;
}

/* ---- walkers --------------------------------------------------------- */

struct walk_arg {
	walk_fn *fn;
	void *arg;
};

static struct err *pass_audit(void *arg, const struct heap_audit *a)
{
	struct walk_arg *w = arg;

	return w->fn(w->arg, a->addr);
}

static struct err *walk_log(struct session *s, const struct walker *walker,
			    bool has_addr, taddr_t addr, walk_fn *fn, void *arg)
{
	struct walk_arg w = {fn, arg};
	struct heap *heap = NULL;
	struct err *err = session_heap(s, &heap);

	(void)walker;
	if (!err && !heap->ops->log)
		err = err_new(ERR_NOSUP, "%s heap keeps no log",
			      heap->ops->name);
	return err ? err
		   : heap->ops->log(heap, HEAP_LOG_TRANSACTION,
				    has_addr ? addr : 0, pass_audit, &w);
}

static struct err *walk_history(struct session *s, const struct walker *walker,
				bool has_addr, taddr_t addr, walk_fn *fn,
				void *arg)
{
	struct walk_arg w = {fn, arg};
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
	return err ? err : each_older(heap, &au, pass_audit, &w);
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
	{.name = "kmem_log",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .opts = log_opts,
	 .brief = "print the transaction log",
	 .run = dcmd_kmem_log},
	{.name = "umem_log",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .opts = log_opts,
	 .brief = "alias of ::kmem_log",
	 .run = dcmd_kmem_log},
	{0},
};

static const struct walker walkers[] = {
	{"kmem_log", "records of the transaction log, newest first",
	 ADDR_OPTIONAL, NULL, walk_log},
	{"umem_log", "records of the transaction log, newest first",
	 ADDR_OPTIONAL, NULL, walk_log},
	{"bufctl_history", "a bufctl and older transactions of its buffer",
	 ADDR_REQUIRED, NULL, walk_history},
	{0},
};

const struct group group_audit = {
	.name = "audit", .dcmds = dcmds, .walkers = walkers};
