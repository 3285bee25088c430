/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which sizes a program asks for, and the state of the allocator:
 * ::kmem_malloc_dist ::kmem_malloc_info ::kmem_status. */
#include <stdio.h>
#include "dist.h"

struct sizes_arg {
	struct dcmd_call *call;
	struct heap *heap;
	struct dist_shape shape;
	struct dist dist;
	bool is_raw, has_dist;
	uint64_t nseen, largest;
	bool is_found, has_classes_only; /* a cache without guards */
	/* of the cache at hand */
	uint64_t nbufs, asked_bytes;
};

static const char dist_heading[] = "malloc size  ------------------ "
				   "Distribution ------------------ count";

static struct err *take_size(void *arg, const struct heap_buf *b)
{
	struct sizes_arg *a = arg;

	progress_set("looking at sizes", a->nseen++, 0);
	a->nbufs++;
	a->asked_bytes += b->req_bytes;
	dist_add(&a->dist, b->req_bytes);
	return NULL;
}

/* the sizes of a cache's live buffers */
static struct err *take_cache(struct sizes_arg *a, const struct heap_cache *c)
{
	a->nbufs = a->asked_bytes = 0;
	a->is_found = true;
	if (c->bufsize_bytes > a->largest)
		a->largest = c->bufsize_bytes;
	struct err *err = a->heap->ops->bufs(a->heap, c->addr, BUF_ALLOCATED,
					     take_size, a);

	if (a->nbufs && !c->has_guards)
		a->has_classes_only = true;
	return err;
}

static void print_dist(struct sizes_arg *a)
{
	a->shape.end = a->largest + 1;
	if (a->is_raw)
		dist_print_raw(&a->dist, a->call->out);
	else
		dist_print(&a->dist, a->call->out, &a->shape, dist_heading);
}

static struct err *begin(struct sizes_arg *a, const struct opt *opts,
			 void *const values[])
{
	size_t first = 0;
	struct err *err = dcmd_options(a->call, opts, values, &first);

	if (!err && first != a->call->argc)
		err = err_new(ERR_USAGE, "unexpected argument");
	if (!err)
		err = session_heap(a->call->s, &a->heap);
	if (!err)
		dist_init(&a->dist);
	return err;
}

static void warn_of_classes(const struct sizes_arg *a)
{
	if (a->has_classes_only)
		out_warn(a->call->out,
			 "without guards what was asked for is not recorded: "
			 "a buffer counts as large as it can be");
}

/* ---- ::kmem_malloc_dist ---------------------------------------------- */

static const struct opt dist_opts[] = {
	{'d', OPT_FLAG, NULL, "each size and its count, no bars"},
	{'g', OPT_FLAG, NULL, "each bar for twice the sizes of that before"},
	DIST_OPTS,
	{0},
};

static struct err *dist_cache(void *arg, const struct heap_cache *c)
{
	return c->is_sized ? take_cache(arg, c) : NULL;
}

static struct err *dcmd_malloc_dist(struct dcmd_call *call)
{
	struct sizes_arg a = {.call = call};
	void *const values[] = {&a.is_raw, &a.shape.is_geometric,
				DIST_VALUES(&a.shape)};
	struct err *err = begin(&a, dist_opts, values);

	if (err)
		return err;
	err = a.heap->ops->caches(a.heap, dist_cache, &a);
	if (!err) {
		warn_of_classes(&a);
		print_dist(&a);
	}
	dist_fini(&a.dist);
	return err;
}

/* ---- ::kmem_malloc_info ---------------------------------------------- */

static const struct column info_cols[] = {
	{"cache", "CACHE", CELL_ADDR, 16},
	{"bufsize_bytes", "BUFSZ", CELL_BYTES, 6},
	{"max_bytes", "MAXMAL", CELL_BYTES, 6},
	{"buffers", "BUFMALLC", CELL_COUNT, 8},
	{"average_bytes", "AVG_MAL", CELL_BYTES, 8},
	{"malloced_bytes", "MALLOCED", CELL_BYTES, 10},
	{"overhead_bytes", "OVERHEAD", CELL_BYTES, 10},
	{"overhead", "%OVER", CELL_TEXT, 6},
};

static const struct opt info_opts[] = {
	{'d', OPT_FLAG, NULL, "the distribution of each cache, too"},
	{'g', OPT_FLAG, NULL, "the same, each bar for twice the sizes"},
	DIST_OPTS,
	{0},
};

static void info_row(const struct sizes_arg *a, const struct heap_cache *c)
{
	struct out *o = a->call->out;
	uint64_t overhead = a->nbufs * c->chunk_bytes;
	char percent[32];

	overhead = overhead > a->asked_bytes ? overhead - a->asked_bytes : 0;
	snprintf(percent, sizeof(percent), "%.1f%%",
		 a->asked_bytes
			 ? 100.0 * (double)overhead / (double)a->asked_bytes
			 : 0.0);
	out_addr(o, c->addr);
	out_u64(o, c->bufsize_bytes);
	out_u64(o, c->bufsize_bytes); /* there is no header in the buffer */
	out_u64(o, a->nbufs);
	out_u64(o, a->nbufs ? a->asked_bytes / a->nbufs : 0);
	out_u64(o, a->asked_bytes);
	out_u64(o, overhead);
	out_str(o, percent);
	out_end_row(o, c->addr);
}

static struct err *info_cache(void *arg, const struct heap_cache *c)
{
	struct sizes_arg *a = arg;
	bool is_one = a->call->flags & DCMD_ADDRSPEC;

	if (is_one ? c->addr != a->call->addr : !c->is_sized)
		return NULL;
	dist_fini(&a->dist);
	dist_init(&a->dist);
	struct err *err = take_cache(a, c);

	if (err)
		return err;
	info_row(a, c);
	if (!a->has_dist || a->nbufs == 0 || out_is_json(a->call->out) ||
	    out_is_pipe(a->call->out))
		return NULL;
	a->shape.end = c->bufsize_bytes + 1;
	dist_print(&a->dist, a->call->out, &a->shape, dist_heading);
	out_begin(a->call->out, info_cols, 8, "");
	return NULL;
}

static struct err *dcmd_malloc_info(struct dcmd_call *call)
{
	struct sizes_arg a = {.call = call};
	void *const values[] = {&a.has_dist, &a.shape.is_geometric,
				DIST_VALUES(&a.shape)};
	struct err *err = begin(&a, info_opts, values);

	if (err)
		return err;
	a.has_dist = a.has_dist || a.shape.is_geometric;
	out_begin(call->out, info_cols, 8, NULL);
	err = a.heap->ops->caches(a.heap, info_cache, &a);
	out_end(call->out);
	if (!err)
		warn_of_classes(&a);
	if (!err && !a.is_found)
		err = err_new(ERR_NOTFOUND, "0x%" PRIx64 " is not a kmem_cache",
			      call->addr);
	dist_fini(&a.dist);
	return err;
}

/* ---- ::kmem_status --------------------------------------------------- */

static const struct column status_cols[] = {
	{"status", NULL, CELL_TEXT, 0},
	{"concurrency", NULL, CELL_COUNT, 0},
	{"logs", NULL, CELL_TEXT, 0},
	{"message", NULL, CELL_TEXT, 0},
};

static char *logs_text(const struct heap_status *st)
{
	struct strbuf sb = {0};

	for (unsigned i = 0; i < st->nlogs; i++)
		strbuf_printf(&sb, "%s%s=%" PRIu64 "k", i ? " " : "",
			      st->log[i].name, st->log[i].bytes / 1024);
	if (st->nlogs == 0)
		strbuf_puts(&sb, "none");
	else if (!st->is_logging)
		strbuf_puts(&sb, " (inactive)");
	return sb.s;
}

static void print_status(struct out *o, const struct heap_status *st,
			 const char *message)
{
	_free_ char *logs = logs_text(st);
	size_t n = strlen(message);

	if (!out_is_json(o) && !out_is_pipe(o)) {
		out_text(o,
			 "Status:\t\tready and active\n"
			 "Concurrency:\t%u\n"
			 "Logs:\t\t%s\n"
			 "Message buffer:\n%s%s",
			 st->concurrency, logs, message,
			 n && message[n - 1] != '\n' ? "\n" : "");
		return;
	}
	out_begin(o, status_cols, 4, "");
	out_str(o, "ready and active");
	out_u64(o, st->concurrency);
	out_str(o, logs);
	out_str(o, message);
	out_end_row(o, 0);
	out_end(o);
}

static struct err *dcmd_kmem_status(struct dcmd_call *call)
{
	struct heap_status st = {0};
	struct heap *heap = NULL;
	const char *why = "not loaded into address space";

	if (call->argc)
		return err_new(ERR_USAGE, "unexpected argument");
	heap = session_try_heap(call->s, &why);
	if (!heap) {
		out_text(call->out, "Status:\t\t%s\n", why);
		return NULL;
	}
	if (!heap->ops->status)
		return err_new(ERR_NOSUP, "%s heap does not tell its state",
			       heap->ops->name);
	heap->ops->status(heap, &st);
	print_status(call->out, &st, st.message ? st.message : "");
	mem_free(st.message);
	return NULL;
}

static const struct dcmd dcmds[] = {
	{.name = "kmem_malloc_dist",
	 .addr = ADDR_NONE,
	 .usage = "",
	 .opts = dist_opts,
	 .brief = "print the distribution of the sizes asked for",
	 .run = dcmd_malloc_dist},
	{.name = "umem_malloc_dist",
	 .addr = ADDR_NONE,
	 .usage = "",
	 .opts = dist_opts,
	 .brief = "alias of ::kmem_malloc_dist",
	 .run = dcmd_malloc_dist},
	{.name = "kmem_malloc_info",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .opts = info_opts,
	 .brief = "print what each size class holds, and wastes",
	 .run = dcmd_malloc_info},
	{.name = "umem_malloc_info",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .opts = info_opts,
	 .brief = "alias of ::kmem_malloc_info",
	 .run = dcmd_malloc_info},
	{.name = "kmem_status",
	 .addr = ADDR_NONE,
	 .usage = "",
	 .brief = "print the state of the allocator",
	 .run = dcmd_kmem_status},
	{.name = "umem_status",
	 .addr = ADDR_NONE,
	 .usage = "",
	 .brief = "alias of ::kmem_status",
	 .run = dcmd_kmem_status},
	{0},
};

const struct group group_sizes = {.name = "sizes", .dcmds = dcmds};
