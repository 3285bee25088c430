/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The logs: ::kmem_log ::kmalog and the walker of records. */
#include "audited.h"

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
	_free_ char *age = seconds_text(k->newest_ns - a->stamp_ns);
	const char *name = a->cache ? heap_name(k->heap, a->cache) : "";

	heap_stack_of(k->heap, a->stack, &stack);
	if (out_is_json(o) || out_is_pipe(o)) {
		kmalog_json(k, a, name, &stack);
	} else {
		out_text(o, "\nT-%s  addr=%" PRIx64 "%s%s\n", age, a->buf,
			 *name ? "  " : "", name);
		print_frames(k->call, &stack);
	}
	return interrupt_check();
}

static const struct column mismatch_cols[] = {
	{"age_ns", NULL, CELL_COUNT, 0},
	{"buffer", NULL, CELL_ADDR, 0},
	{"cache", NULL, CELL_ADDR, 0},
	{"cache_name", NULL, CELL_TEXT, 0},
	{"bytes", NULL, CELL_COUNT, 0},
	{"freed_bytes", NULL, CELL_COUNT, 0},
	{"count", NULL, CELL_COUNT, 0},
	{"freed_by", NULL, CELL_TEXT, 0},
	{"timestamp", NULL, CELL_COUNT, 0},
	{"thread", NULL, CELL_COUNT, 0},
	{"stack", NULL, CELL_STACK, 0},
	{"allocated_by", NULL, CELL_TEXT, 0},
	{"alloc_timestamp", NULL, CELL_COUNT, 0},
	{"alloc_thread", NULL, CELL_COUNT, 0},
	{"alloc_stack", NULL, CELL_STACK, 0},
};

static void size_or_none(struct out *o, uint64_t n)
{
	if (n == UINT64_MAX)
		out_none(o);
	else
		out_u64(o, n);
}

static void mismatch_json(const struct kmalog_arg *k,
			  const struct heap_mismatch *m, const char *name,
			  const struct heap_stack *stack)
{
	struct out *o = k->call->out;
	struct heap_stack from;

	heap_stack_of(k->heap, m->alloc.stack, &from);
	out_u64(o, k->newest_ns - m->free.stamp_ns);
	out_addr(o, m->free.buf);
	out_addr(o, m->free.cache);
	out_str(o, name);
	size_or_none(o, m->size_bytes);
	size_or_none(o, m->freed_bytes);
	out_u64(o, m->count);
	out_str(o, heap_free_call(m->free.kind));
	out_u64(o, m->free.stamp_ns);
	out_u64(o, m->free.tid);
	out_stack(o, stack->pc, stack->depth);
	out_str(o, heap_alloc_call(m->alloc.kind));
	out_u64(o, m->alloc.stamp_ns);
	out_u64(o, m->alloc.tid);
	out_stack(o, from.pc, from.depth);
	out_end_row(o, m->free.addr);
}

static void mismatch_text(const struct kmalog_arg *k,
			  const struct heap_mismatch *m, const char *name,
			  struct heap_stack *stack)
{
	struct out *o = k->call->out;
	_free_ char *age = seconds_text(k->newest_ns - m->free.stamp_ns);

	out_text(o, "\nT-%s  addr=%" PRIx64 "%s%s", age, m->free.buf,
		 *name ? "  " : "", name);
	if (m->count > 1)
		out_text(o, "  %" PRIu64 " times", m->count);
	out_text(o, "\nfreed by %s", heap_free_call(m->free.kind));
	if (m->freed_bytes != UINT64_MAX)
		out_text(o, " of %" PRIu64 " bytes", m->freed_bytes);
	out_text(o, ", thread %u\n", m->free.tid);
	print_frames(k->call, stack);
	out_text(o, "allocated by %s", heap_alloc_call(m->alloc.kind));
	if (m->size_bytes != UINT64_MAX)
		out_text(o, " of %" PRIu64 " bytes", m->size_bytes);
	if (m->alloc.tid)
		out_text(o, ", thread %u", m->alloc.tid);
	out_text(o, "\n");
	heap_stack_of(k->heap, m->alloc.stack, stack);
	print_frames(k->call, stack);
}

static struct err *mismatch_row(void *arg, const struct heap_mismatch *m)
{
	struct kmalog_arg *k = arg;
	struct heap_stack stack;
	const char *name =
		m->free.cache ? heap_name(k->heap, m->free.cache) : "";

	if (!k->newest_ns)
		k->newest_ns = m->free.stamp_ns;
	heap_stack_of(k->heap, m->free.stack, &stack);
	if (out_is_json(k->call->out) || out_is_pipe(k->call->out))
		mismatch_json(k, m, name, &stack);
	else
		mismatch_text(k, m, name, &stack);
	return interrupt_check();
}

/* "::kmalog mismatch": a table of pairs, no log of the others' kind */
static struct err *print_mismatches(struct dcmd_call *call)
{
	struct kmalog_arg k = {.call = call};
	uint64_t total = 0;
	struct err *err = session_heap(call->s, &k.heap);

	if (call->argc != 1 || (call->flags & DCMD_ADDRSPEC)) {
		err_free(err);
		return err_new(ERR_USAGE, "there is one log of mismatches");
	}
	if (!err && !k.heap->ops->mismatches)
		err = err_new(ERR_NOSUP, "%s heap keeps no log",
			      k.heap->ops->name);
	if (err)
		return err;
	out_begin(call->out, mismatch_cols,
		  sizeof(mismatch_cols) / sizeof(*mismatch_cols), "");
	err = k.heap->ops->mismatches(k.heap, &total, mismatch_row, &k);
	out_end(call->out);
	return err;
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
	return err_new(ERR_USAGE, "the log is transaction, fail, slab, "
				  "zerosized or mismatch");
}

static struct err *dcmd_kmalog(struct dcmd_call *call)
{
	struct kmalog_arg k = {.call = call};
	enum heap_log which;
	struct err *err = NULL;

	if (call->argc && call->argv[0].type == ARG_STRING &&
	    strcmp(call->argv[0].str, "mismatch") == 0)
		return print_mismatches(call);
	err = find_log(call, &which);
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

static struct err *walk_log(struct session *s, const struct walker *walker,
			    bool has_addr, taddr_t addr, walk_fn *fn, void *arg)
{
	struct addr_pass w = {fn, arg};
	struct heap *heap = NULL;
	struct err *err = session_heap(s, &heap);

	(void)walker;
	if (!err && !heap->ops->log)
		err = err_new(ERR_NOSUP, "%s heap keeps no log",
			      heap->ops->name);
	return err ? err
		   : heap->ops->log(heap, HEAP_LOG_TRANSACTION,
				    has_addr ? addr : 0, audit_pass_addr, &w);
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
	 .usage = "[transaction|fail|slab|zerosized|mismatch]",
	 .brief = "print a log with stacks, newest first",
	 .run = dcmd_kmalog},
	{.name = "umalog",
	 .addr = ADDR_OPTIONAL,
	 .usage = "[transaction|fail|slab|zerosized|mismatch]",
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
