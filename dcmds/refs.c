/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who points at a buffer, and what it points at: ::refs ::pointees.  Looked at is
 * what ::findleaks follows: the roots, and allocated buffers. */
#include "refs.h"

static const struct column ref_cols[] = {
	{"holder", "HOLDER", CELL_ADDR, -16}, {"offset", "OFFSET", CELL_HEX, 8},
	{"to_offset", "TO", CELL_HEX, 8},     {"where", "WHERE", CELL_TEXT, 0},
	{"kind", NULL, CELL_TEXT, 0},         {"thread", NULL, CELL_COUNT, 0},
};

static const struct column pointee_cols[] = {
	{"offset", "OFFSET", CELL_HEX, 8}, {"buffer", "BUFFER", CELL_ADDR, -16},
	{"to_offset", "TO", CELL_HEX, 8},  {"bytes", "SIZE", CELL_COUNT, 10},
	{"where", "WHERE", CELL_TEXT, 0},
};

struct refs_arg {
	struct dcmd_call *call;
	struct heap *heap;
	const struct leaks *leaks;
	taddr_t start, end; /* of what is pointed at, or points */
};

/* "kmem_alloc_32", or that and "leaked" */
static char *buf_where(struct heap *heap, const struct leaks *leaks, size_t i)
{
	const struct bufset *set = leaks->set;
	struct heap_buf b;
	bool is_leaked =
		set->mark[i] == MARK_NONE || set->mark[i] == MARK_INDIRECT;

	bufset_get(heap, set, i, &b);
	return mem_printf("%s%s", heap_buf_from(heap, &b),
			  is_leaked ? ", leaked" : "");
}

static char *root_where(struct session *s, const struct root *r, taddr_t at)
{
	switch (r->kind) {
	case ROOT_REGISTER:
		return mem_printf("register %s of thread 0x%x", r->what,
				  r->tid);
	case ROOT_STACK:
		return r->tid ? mem_printf("stack of thread 0x%x", r->tid)
			      : mem_strdup("stack");
	case ROOT_DATA:
		return types_addr_name(session_types(s), at);
	case ROOT_TLS:
		/* a shallow root is of a thread that ended */
		return r->tid ? mem_printf("descriptor of thread 0x%x", r->tid)
			      : mem_strdup("descriptor of a thread that ended");
	case ROOT_ANON:
		break;
	}
	return mem_strdup("[ anon ]");
}

char *ref_where(struct session *s, struct heap *heap, const struct leaks *leaks,
		const struct ref *r)
{
	return r->root ? root_where(s, r->root, r->at)
		       : buf_where(heap, leaks, r->buf);
}

static const char *const root_kinds[] = {
	[ROOT_REGISTER] = "register", [ROOT_STACK] = "stack",
	[ROOT_DATA] = "data",         [ROOT_TLS] = "tls",
	[ROOT_ANON] = "anon",
};

/* a word that points there */
static struct err *ref_row(void *arg, const struct ref *r)
{
	struct refs_arg *a = arg;
	struct out *o = a->call->out;
	taddr_t holder =
		r->root ? r->at : bufset_at(a->leaks->set, r->buf).addr;
	_free_ char *where = ref_where(a->call->s, a->heap, a->leaks, r);

	if (holder)
		out_addr(o, holder);
	else
		out_none(o);
	out_u64(o, r->at - holder);
	out_u64(o, r->value - a->start);
	out_str(o, where);
	out_str(o, r->root ? root_kinds[r->root->kind] : "buffer");
	if (r->root && r->root->tid)
		out_u64(o, r->root->tid);
	else
		out_none(o);
	/* a value by itself has no address for the next stage to look at */
	if (holder || !out_is_pipe(o))
		out_end_row(o, holder);
	return NULL;
}

static struct err *begin(struct refs_arg *a)
{
	struct leaks *leaks = NULL;
	struct err *err = NULL;

	if (a->call->argc)
		return err_new(ERR_USAGE, "unexpected argument");
	err = session_heap(a->call->s, &a->heap);
	if (!err)
		err = session_leaks(a->call->s, &leaks);
	a->leaks = leaks;
	return err;
}

static struct err *dcmd_refs(struct dcmd_call *call)
{
	struct refs_arg a = {.call = call, .start = call->addr};
	struct err *err = begin(&a);

	if (err)
		return err;
	size_t i = bufset_find(a.leaks->set, call->addr);

	a.end = a.start + 1; /* what is no buffer is an address */
	if (i != BUFSET_NONE) {
		struct bufset_buf b = bufset_at(a.leaks->set, i);

		a.start = b.addr;
		a.end = b.addr + (b.size_bytes ? b.size_bytes : 1);
	}
	out_begin(call->out, ref_cols, 6, NULL);
	err = refs_scan(a.leaks, session_target(call->s), a.start, a.end,
			ref_row, &a);
	out_end(call->out);
	return err;
}

/* ---- ::pointees ------------------------------------------------------ */

static struct err *pointee_row(void *arg, taddr_t at, uint64_t value)
{
	struct refs_arg *a = arg;
	struct out *o = a->call->out;
	size_t i = bufset_find(a->leaks->set, value);

	if (i == BUFSET_NONE)
		return NULL;
	struct bufset_buf b = bufset_at(a->leaks->set, i);
	_free_ char *where = buf_where(a->heap, a->leaks, i);

	out_u64(o, at - a->start);
	out_addr(o, b.addr);
	out_u64(o, value - b.addr);
	out_u64(o, b.size_bytes);
	out_str(o, where);
	out_end_row(o, b.addr);
	return NULL;
}

static struct err *dcmd_pointees(struct dcmd_call *call)
{
	struct refs_arg a = {.call = call};
	struct err *err = begin(&a);

	if (err)
		return err;
	size_t i = bufset_find(a.leaks->set, call->addr);

	if (i == BUFSET_NONE)
		return err_new(ERR_NOTFOUND,
			       "0x%" PRIx64 " is in no allocated buffer",
			       call->addr);
	struct bufset_buf b = bufset_at(a.leaks->set, i);

	a.start = b.addr;
	a.end = a.start + b.size_bytes;
	out_begin(call->out, pointee_cols, 5, NULL);
	err = words_scan(session_target(call->s), a.start, a.end, pointee_row,
			 &a, NULL);
	out_end(call->out);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "refs",
	 .addr = ADDR_REQUIRED,
	 .usage = "",
	 .brief = "print who points at a buffer",
	 .run = dcmd_refs},
	{.name = "pointees",
	 .addr = ADDR_REQUIRED,
	 .usage = "",
	 .brief = "print the buffers that a buffer points at",
	 .run = dcmd_pointees},
	{0},
};

const struct group group_refs = {.name = "refs", .dcmds = dcmds};
