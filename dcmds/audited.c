/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the dcmds on audited transactions share: filters, stacks, names. */
#include "audited.h"

struct pc_filter pc_filter_of(struct types *types, taddr_t pc)
{
	struct pc_filter f = {pc, pc + 1};
	struct symbol sym;

	if (types_symbol_at(types, pc, &sym) && sym.value == pc && sym.size)
		f.end = pc + sym.size + 1;
	return f;
}

bool pc_filter_passes(const struct pc_filter *f, const struct heap_stack *stack)
{
	if (f->start == f->end)
		return true;
	for (unsigned i = 0; i < stack->depth; i++)
		if (stack->pc[i] >= f->start && stack->pc[i] < f->end)
			return true;
	return false;
}

struct err *audit_filter_init(struct audit_filter *f, struct session *s)
{
	uint64_t pc = 0;

	if (!f->caller)
		return NULL;
	struct err *err = session_eval_expr(s, f->caller, &pc);

	if (!err)
		f->pcs = pc_filter_of(session_types(s), pc);
	return err;
}

bool audit_filter_is_set(const struct audit_filter *f)
{
	return f->caller || f->earliest || f->latest || f->tid;
}

bool audit_filter_passes(const struct audit_filter *f, uint64_t stamp_ns,
			 uint64_t tid, const struct heap_stack *stack)
{
	if (!pc_filter_passes(&f->pcs, stack))
		return false;
	if (f->earliest && stamp_ns < f->earliest)
		return false;
	if (f->latest && stamp_ns > f->latest)
		return false;
	return !f->tid || tid == f->tid;
}

void print_frames(struct dcmd_call *call, const struct heap_stack *stack)
{
	for (unsigned i = 0; i < stack->depth; i++) {
		_free_ char *name = session_frame_name(call->s, stack->pc[i]);

		out_text(call->out, "\t %s\n", name);
	}
}

void text_or_none(struct out *o, const char *s)
{
	if (s && *s)
		out_str(o, s);
	else
		out_none(o);
}

void caller_or_blank(struct out *o, taddr_t caller)
{
	if (caller)
		out_addr(o, caller);
	else
		out_str(o, "");
}

char *seconds_text(uint64_t ns)
{
	return mem_printf("%" PRIu64 ".%09" PRIu64, ns / 1000000000,
			  ns % 1000000000);
}

const char *what_name(enum heap_what what)
{
	static const char *const names[] = {
		[HEAP_ALLOC] = "alloc",
		[HEAP_FREE] = "free",
		[HEAP_FAIL] = "fail",
		[HEAP_SLAB] = "slab",
	};

	return names[what];
}

struct err *audit_each_older(struct heap *heap, const struct heap_audit *from,
			     heap_audit_fn *fn, void *arg)
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

struct err *audit_pass_addr(void *arg, const struct heap_audit *a)
{
	const struct addr_pass *pass = arg;

	return pass->fn(pass->arg, a->addr);
}
