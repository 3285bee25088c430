/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The heap as its allocator divides it: ::arenas, ::heapstat, its lists of free
 * buffers, and one buffer with all that is known of its place. */
#include "known.h"
#include <stdio.h>

struct arenas_arg {
	struct dcmd_call *call;
	struct heap *heap;
	bool wants_threads; /* lists of threads, else of arenas */
};

static struct err *open_heap(struct arenas_arg *a, struct dcmd_call *call)
{
	a->call = call;
	if (call->argc)
		return err_new(ERR_USAGE, "unexpected argument");
	return session_heap(call->s, &a->heap);
}

static bool is_wanted(const struct arenas_arg *a, taddr_t addr)
{
	return !(a->call->flags & DCMD_ADDRSPEC) || a->call->addr == addr;
}

/* ---- ::arenas -------------------------------------------------------- */

static const struct column arena_cols[] = {
	{"arena", "ADDR", CELL_ADDR, -16},
	{"name", "NAME", CELL_TEXT, -25},
	{"total_bytes", "TOTAL", CELL_BYTES, 14},
	{"in_use_bytes", "INUSE", CELL_BYTES, 14},
	{"free_bytes", "FREE", CELL_BYTES, 14},
	{"allocated", "COUNT", CELL_COUNT, 10},
};

#define SILENT "%s heap does not sum up its memory; see ::kmastat"

static struct err *arena_row(void *arg, const struct heap_arena *arena)
{
	struct arenas_arg *a = arg;
	struct out *o = a->call->out;

	if (!is_wanted(a, arena->addr))
		return NULL;
	out_addr(o, arena->addr);
	out_str(o, arena->name);
	out_known(o, arena->total_bytes);
	out_known(o, arena->inuse_bytes);
	out_known(o, arena->total_bytes == HEAP_NOT_KNOWN
			     ? HEAP_NOT_KNOWN
			     : arena->total_bytes - arena->inuse_bytes);
	out_known(o, arena->nalloc == HEAP_NOT_KNOWN ? arena->nbufs
						     : arena->nalloc);
	out_end_row(o, arena->addr);
	return NULL;
}

static struct err *dcmd_arenas(struct dcmd_call *call)
{
	struct arenas_arg a = {0};
	struct err *err = open_heap(&a, call);

	if (!err && !a.heap->ops->arenas)
		err = err_new(ERR_NOSUP, "%s heap has no arenas",
			      a.heap->ops->name);
	if (err)
		return err;
	out_begin(call->out, arena_cols, 6, NULL);
	err = heap_arenas_tree(a.heap, arena_row, &a);
	out_end(call->out);
	return err;
}

/* ---- ::heapstat ------------------------------------------------------ */

static const struct column use_cols[] = {
	{"arena", NULL, CELL_ADDR, 0},
	{"name", "ARENA", CELL_TEXT, -16},
	{"what", "WHAT", CELL_TEXT, -20},
	{"count", "COUNT", CELL_COUNT, 12},
	{"memory_bytes", "BYTES", CELL_BYTES, 16},
	{"is_free", NULL, CELL_COUNT, 0},
};

static struct err *use_row(void *arg, const struct heap_use *u)
{
	struct arenas_arg *a = arg;
	struct out *o = a->call->out;

	if (!is_wanted(a, u->arena))
		return NULL;
	if (u->arena)
		out_addr(o, u->arena);
	else
		out_none(o);
	out_str(o, u->name);
	out_str(o, u->what);
	out_u64(o, u->n);
	out_u64(o, u->bytes);
	out_u64(o, u->is_free);
	out_end_row(o, u->arena);
	return NULL;
}

/* of several heaps, those that are not in the table */
static void say_silent(const struct arenas_arg *a)
{
	const struct heap *heap = a->heap;
	const struct heap *part =
		heap->ops->part_at ? heap->ops->part_at(heap, 0) : NULL;

	for (size_t i = 1; part; i++) {
		if (!part->ops->uses)
			out_warn(a->call->out, "heapstat: " SILENT,
				 part->ops->name);
		part = heap->ops->part_at(heap, i);
	}
}

static struct err *dcmd_heapstat(struct dcmd_call *call)
{
	struct arenas_arg a = {0};
	struct err *err = open_heap(&a, call);

	if (!err && !a.heap->ops->uses)
		err = err_new(ERR_NOSUP, SILENT, a.heap->ops->name);
	if (err)
		return err;
	out_begin(call->out, use_cols, 6, NULL);
	err = a.heap->ops->uses(a.heap, use_row, &a);
	out_end(call->out);
	if (!err)
		say_silent(&a);
	return err;
}

/* ---- ::tcache, ::bins ------------------------------------------------ */

static const struct column thread_cols[] = {
	{"owner", "ADDR", CELL_ADDR, -16},
	{"thread", "THRD", CELL_TEXT, 7},
	{"list", NULL, CELL_TEXT, 0},
	{"size_bytes", "SIZE", CELL_TEXT, 14},
	{"count", "COUNT", CELL_COUNT, 8},
	{"memory_bytes", "BYTES", CELL_BYTES, 12},
	{"first", "FIRST", CELL_ADDR, 16},
};
static const struct column list_cols[] = {
	{"owner", "ARENA", CELL_ADDR, -16},
	{"index", "BIN", CELL_TEXT, 4},
	{"list", "LIST", CELL_TEXT, 9},
	{"size_bytes", "SIZE", CELL_TEXT, 17},
	{"count", "COUNT", CELL_COUNT, 8},
	{"memory_bytes", "BYTES", CELL_BYTES, 12},
	{"first", "FIRST", CELL_ADDR, 16},
};

static struct err *list_row(void *arg, const struct heap_freelist *l)
{
	struct arenas_arg *a = arg;
	struct out *o = a->call->out;
	char number[24];
	char sizes[48];

	if (l->is_thread != a->wants_threads || !is_wanted(a, l->owner))
		return NULL;
	if (l->min_bytes == l->max_bytes)
		snprintf(sizes, sizeof(sizes), "%" PRIu64, l->min_bytes);
	else if (l->max_bytes == UINT64_MAX)
		snprintf(sizes, sizeof(sizes), "%" PRIu64 "-", l->min_bytes);
	else
		snprintf(sizes, sizeof(sizes), "%" PRIu64 "-%" PRIu64,
			 l->min_bytes, l->max_bytes);
	snprintf(number, sizeof(number), "%u",
		 l->is_thread ? l->tid : l->index);
	out_addr(o, l->owner);
	out_str(o, l->is_thread && l->tid == 0 ? NULL : number);
	out_str(o, l->where);
	out_str(o, sizes);
	out_u64(o, l->n);
	out_u64(o, l->bytes);
	out_addr(o, l->first);
	out_end_row(o, l->first);
	return NULL;
}

static struct err *print_lists(struct dcmd_call *call, bool of_threads)
{
	struct arenas_arg a = {.wants_threads = of_threads};
	struct err *err = open_heap(&a, call);

	if (!err && !a.heap->ops->freelists)
		err = err_new(ERR_NOSUP, "%s heap has no such lists",
			      a.heap->ops->name);
	if (err)
		return err;
	out_begin(call->out, of_threads ? thread_cols : list_cols, 7, NULL);
	err = a.heap->ops->freelists(a.heap, list_row, &a);
	out_end(call->out);
	return err;
}

static struct err *dcmd_tcache(struct dcmd_call *call)
{
	return print_lists(call, true);
}

static struct err *dcmd_bins(struct dcmd_call *call)
{
	return print_lists(call, false);
}

/* ---- ::chunk --------------------------------------------------------- */

static const struct column chunk_cols[] = {
	{"chunk", "CHUNK", CELL_ADDR, -16},
	{"buffer", "BUFFER", CELL_ADDR, -16},
	{"size_bytes", "SIZE", CELL_BYTES, 10},
	{"state", "STATE", CELL_TEXT, -9},
	{"list", "LIST", CELL_TEXT, -8},
	{"arena", NULL, CELL_ADDR, 0},
	{"arena_name", "ARENA", CELL_TEXT, -10},
	{"cache", "CACHE", CELL_TEXT, 0},
};

static struct err *dcmd_chunk(struct dcmd_call *call)
{
	struct arenas_arg a = {0};
	struct heap_buf b;
	struct err *err = open_heap(&a, call);
	struct out *o = call->out;

	if (err)
		return err;
	if (!a.heap->ops->buf_at(a.heap, call->addr, &b))
		return err_new(ERR_NOTFOUND, "0x%" PRIx64 " is in no buffer",
			       call->addr);
	out_begin(o, chunk_cols, 8, NULL);
	if (b.ctl)
		out_addr(o, b.ctl);
	else
		out_none(o);
	out_addr(o, b.addr);
	out_u64(o, b.size_bytes);
	out_str(o, b.state == BUF_ALLOCATED ? "allocated" : "free");
	out_str(o, b.where);
	if (b.arena)
		out_addr(o, b.arena);
	else
		out_none(o);
	out_str(o, b.arena ? heap_name(a.heap, b.arena) : NULL);
	out_str(o, b.cache ? heap_name(a.heap, b.cache) : NULL);
	out_end_row(o, b.addr);
	out_end(o);
	return NULL;
}

static const struct dcmd dcmds[] = {
	{.name = "arenas",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .brief = "print the arenas with what is in use and free",
	 .run = dcmd_arenas},
	{.name = "heapstat",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .brief = "sum up what the memory of each arena is used for",
	 .run = dcmd_heapstat},
	{.name = "tcache",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .brief = "print the lists of free buffers of each thread",
	 .run = dcmd_tcache},
	{.name = "bins",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .brief = "print the lists of free buffers of each arena",
	 .run = dcmd_bins},
	{.name = "chunk",
	 .addr = ADDR_REQUIRED,
	 .usage = "",
	 .brief = "print the buffer at an address and where it lies",
	 .run = dcmd_chunk},
	{0},
};

const struct group group_arenas = {.name = "arenas", .dcmds = dcmds};
