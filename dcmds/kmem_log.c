/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The logs: ::kmem_log ::kmalog and the walker of records. */
#include "audited.h"

#define NS_PER_SEC 1000000000u

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

/* ---- ::kmalog -------------------------------------------------------- */

static const struct column kmalog_cols[] = {
	{"age_ns", NULL, CELL_COUNT, 0},    {"buffer", NULL, CELL_ADDR, 0},
	{"cache", NULL, CELL_ADDR, 0},      {"cache_name", NULL, CELL_TEXT, 0},
	{"timestamp", NULL, CELL_COUNT, 0}, {"thread", NULL, CELL_COUNT, 0},
	{"what", NULL, CELL_TEXT, 0},       {"kind", NULL, CELL_TEXT, 0},
	{"stack", NULL, CELL_STACK, 0},
};

struct kmalog_arg {
	struct dcmd_call *call;
	struct heap *heap;
	uint64_t newest_ns; /* 0: the first record is still to come */
};

static void kmalog_json(const struct kmalog_arg *k, const struct heap_audit *a,
			const char *name, const struct heap_stack *stack)
{
	struct out *o = k->call->out;

	out_u64(o, k->newest_ns - a->stamp_ns);
	out_addr(o, a->buf);
	out_addr(o, a->cache);
	out_str(o, name);
	out_u64(o, a->stamp_ns);
	out_u64(o, a->tid);
	text_or_none(o, what_name(a->what));
	text_or_none(o, a->kind);
	out_stack(o, stack->pc, stack->depth);
	out_end_row(o, a->addr);
}

static struct err *kmalog_row(void *arg, const struct heap_audit *a)
{
	struct kmalog_arg *k = arg;
	struct out *o = k->call->out;
	struct heap_stack stack;

	if (!k->newest_ns)
		k->newest_ns = a->stamp_ns;
	uint64_t age_ns = k->newest_ns - a->stamp_ns;
	const char *name = a->cache ? heap_name(k->heap, a->cache) : "";

	heap_stack_of(k->heap, a->stack, &stack);
	if (out_is_json(o) || out_is_pipe(o)) {
		kmalog_json(k, a, name, &stack);
	} else {
		out_text(o,
			 "\nT-%" PRIu64 ".%09" PRIu64 "  addr=%" PRIx64
			 "%s%s\n",
			 age_ns / NS_PER_SEC, age_ns % NS_PER_SEC, a->buf,
			 *name ? "  " : "", name);
		print_frames(k->call, &stack);
	}
	return interrupt_check();
}

static struct err *find_log(const struct dcmd_call *call, enum heap_log *ret)
{
	static const char *const names[] = {
		[HEAP_LOG_TRANSACTION] = "transaction",
		[HEAP_LOG_FAIL] = "fail",
		[HEAP_LOG_SLAB] = "slab",
		[HEAP_LOG_ZEROSIZED] = "zerosized",
	};

	*ret = HEAP_LOG_TRANSACTION;
	if (call->argc == 0)
		return NULL;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (call->argv[0].type != ARG_STRING ||
		    strcmp(call->argv[0].str, names[i]) != 0)
			continue;
		*ret = (enum heap_log)i;
		if (call->argc == 1)
			return NULL;
	}
	return err_new(ERR_USAGE, "the log is transaction, fail, slab or "
				  "zerosized");
}

static struct err *dcmd_kmalog(struct dcmd_call *call)
{
	struct kmalog_arg k = {.call = call};
	enum heap_log which;
	struct err *err = find_log(call, &which);

	if (!err)
		err = session_heap(call->s, &k.heap);
	if (!err && !k.heap->ops->log)
		err = err_new(ERR_NOSUP, "%s heap keeps no log",
			      k.heap->ops->name);
	if (err)
		return err;
	out_begin(call->out, kmalog_cols, 9, "");
	err = k.heap->ops->log(k.heap, which,
			       call->flags & DCMD_ADDRSPEC ? call->addr : 0,
			       kmalog_row, &k);
	out_end(call->out);
	if (err_is(err, ERR_NOTFOUND)) {
		err_free(err);
		err = err_new(ERR_NOTFOUND, "no kmem %s log",
			      call->argc ? call->argv[0].str : "transaction");
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

static const struct dcmd dcmds[] = {
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
	{.name = "kmalog",
	 .addr = ADDR_OPTIONAL,
	 .usage = "[transaction|fail|slab|zerosized]",
	 .brief = "print a log with stacks, newest first",
	 .run = dcmd_kmalog},
	{.name = "umalog",
	 .addr = ADDR_OPTIONAL,
	 .usage = "[transaction|fail|slab|zerosized]",
	 .brief = "alias of ::kmalog",
	 .run = dcmd_kmalog},
	{0},
};

static const struct walker walkers[] = {
	{"kmem_log", "records of the transaction log, newest first",
	 ADDR_OPTIONAL, NULL, walk_log},
	{"umem_log", "records of the transaction log, newest first",
	 ADDR_OPTIONAL, NULL, walk_log},
	{0},
};

const struct group group_kmem_log = {
	.name = "kmem_log", .dcmds = dcmds, .walkers = walkers};
