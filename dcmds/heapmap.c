/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ::heapmap: how full memory is, as a picture of buffers, or of the segments of
 * an arena.  heap/pagemap.h has how they are summed up.
 */
#include <stdlib.h>
#include <string.h>
#include "draw.h"

#define ROWS_MAX    32
#define MARGIN      14 /* of the address */
#define CELLS_LEAST 8

static const struct column cols[] = {
	{"addr", NULL, CELL_ADDR, 0},
	{"cell_bytes", NULL, CELL_BYTES, 0},
	{"allocated_bytes", NULL, CELL_BYTES, 0},
	{"free_bytes", NULL, CELL_BYTES, 0},
};

static const struct opt opts[] = {
	{'A', OPT_FLAG, NULL, "ASCII only"},
	{'s', OPT_NUMBER, "bytes", "a cell is at least so much memory"},
	{0},
};

struct map_arg {
	struct dcmd_call *call;
	struct heap *heap;
	struct pagemap map;
	bool is_ascii;
	uint64_t least_bytes;
	uint64_t nseen;
	/* what was asked for */
	const char *name;
	taddr_t addr;
	taddr_t cache, arena; /* one of them, or neither */
};

static struct err *take_buf(void *arg, const struct heap_buf *b)
{
	struct map_arg *m = arg;

	progress_set("drawing", m->nseen++, 0);
	return pagemap_add(&m->map, b->addr, b->size_bytes,
			   b->state == BUF_ALLOCATED);
}

static struct err *take_segment(void *arg, const struct heap_segment *s)
{
	struct map_arg *m = arg;

	progress_set("drawing", m->nseen++, 0);
	return pagemap_add(&m->map, s->start, s->end - s->start,
			   s->type == SEG_ALLOC);
}

/* ---- what is drawn --------------------------------------------------- */

static bool is_asked_for(const struct map_arg *m, taddr_t addr,
			 const char *name)
{
	return m->name ? strcmp(name, m->name) == 0 : addr == m->addr;
}

static struct err *match_cache(void *arg, const struct heap_cache *c)
{
	struct map_arg *m = arg;

	if (is_asked_for(m, c->addr, c->name))
		m->cache = c->addr;
	return NULL;
}

static struct err *match_arena(void *arg, const struct heap_arena *a)
{
	struct map_arg *m = arg;

	if (!is_asked_for(m, a->addr, a->name))
		return NULL;
	if (a->is_identifier)
		return err_new(ERR_NOSUP, "arena %s has identifiers, no memory",
			       a->name);
	m->arena = a->addr;
	return NULL;
}

static struct err *find_asked(struct map_arg *m)
{
	struct err *err = m->heap->ops->caches(m->heap, match_cache, m);

	if (!err && !m->cache && m->heap->ops->arenas)
		err = m->heap->ops->arenas(m->heap, match_arena, m);
	if (err || m->cache || m->arena)
		return err;
	return m->name ? err_new(ERR_NOTFOUND, "no cache or arena named %s",
				 m->name)
		       : err_new(ERR_NOTFOUND,
				 "0x%" PRIx64 " is no cache and no arena",
				 m->addr);
}

static struct err *collect(struct map_arg *m)
{
	if (m->arena)
		return m->heap->ops->segments(m->heap, m->arena,
					      1u << SEG_ALLOC | 1u << SEG_FREE,
					      take_segment, m);
	return m->heap->ops->bufs(m->heap, m->cache, BUF_ANY, take_buf, m);
}

/* ---- the picture ----------------------------------------------------- */

static void print_cells(const struct map_arg *m)
{
	struct out *o = m->call->out;

	out_begin(o, cols, 4, "");
	for (size_t i = 0; i < m->map.pages.n;) {
		struct pagemap_cell sum = pagemap_next(&m->map, &i);

		out_addr(o, sum.number << m->map.cell_bits);
		out_u64(o, 1ULL << m->map.cell_bits);
		out_u64(o, sum.allocated_bytes);
		out_u64(o, sum.free_bytes);
		out_end_row(o, sum.number << m->map.cell_bits);
	}
	out_end(o);
}

static void print_rows(const struct map_arg *m)
{
	struct out *o = m->call->out;
	uint64_t row = UINT64_MAX;
	uint64_t at = 0; /* cell the cursor is at */

	for (size_t i = 0; i < m->map.pages.n;) {
		struct pagemap_cell sum = pagemap_next(&m->map, &i);

		if (sum.number / m->map.ncells != row) {
			uint64_t before = row;

			row = sum.number / m->map.ncells;
			at = row * m->map.ncells;
			if (before != UINT64_MAX)
				out_text(o, before + 1 == row ? "\n" : "\n\n");
			out_text(o, "%12" PRIx64 "  ", at << m->map.cell_bits);
		}
		for (; at < sum.number; at++)
			out_text(o, " ");
		out_text(o, "%s",
			 draw_level(sum.allocated_bytes,
				    sum.allocated_bytes + sum.free_bytes,
				    m->is_ascii));
		at++;
	}
	if (row != UINT64_MAX)
		out_text(o, "\n");
}

static uint64_t percent(uint64_t part, uint64_t whole)
{
	return whole ? (uint64_t)((double)part * 100 / (double)whole) : 0;
}

static void print_summary(const struct map_arg *m)
{
	struct out *o = m->call->out;
	uint64_t all = m->map.allocated_bytes + m->map.free_bytes;

	out_text(o,
		 "\n%" PRIu64 " bytes a cell: %s all free, %s to %s part "
		 "allocated, %s all allocated\n",
		 (uint64_t)1 << m->map.cell_bits, draw_sign(0, m->is_ascii),
		 draw_sign(1, m->is_ascii),
		 draw_sign(DRAW_LEVELS - 1, m->is_ascii),
		 draw_sign(DRAW_LEVELS, m->is_ascii));
	out_text(o,
		 "allocated: %" PRIu64 " %s, %" PRIu64 " bytes (%" PRIu64
		 "%%)\n",
		 m->map.nallocated, m->arena ? "segments" : "buffers",
		 m->map.allocated_bytes, percent(m->map.allocated_bytes, all));
	out_text(o,
		 "free: %" PRIu64 " %s, %" PRIu64 " bytes, the largest %" PRIu64
		 " bytes\n",
		 m->map.nfree, m->arena ? "segments" : "buffers",
		 m->map.free_bytes, m->map.largest_free_bytes);
}

static void draw(struct map_arg *m)
{
	size_t width = session_page_width(m->call->s);

	pagemap_shape(&m->map,
		      width > MARGIN + CELLS_LEAST ? width - MARGIN
						   : CELLS_LEAST,
		      ROWS_MAX, m->least_bytes);
	if (out_is_json(m->call->out) || out_is_pipe(m->call->out)) {
		print_cells(m);
		return;
	}
	print_rows(m);
	print_summary(m);
}

static struct err *dcmd_heapmap(struct dcmd_call *call)
{
	struct map_arg m = {.call = call};
	bool wants_ascii = false;
	void *const values[] = {&wants_ascii, &m.least_bytes};
	size_t first = 0;
	struct err *err = dcmd_options(call, opts, values, &first);

	if (!err && call->argc > first + 1)
		err = err_new(ERR_USAGE, "one cache or arena is drawn");
	if (!err && call->argc > first && (call->flags & DCMD_ADDRSPEC))
		err = err_new(ERR_USAGE, "an address or a name, not both");
	if (!err && m.least_bytes > 1ULL << (PAGEMAP_CELL_BITS - 1))
		err = err_new(ERR_USAGE, "a cell cannot be that large");
	if (!err)
		err = session_heap(call->s, &m.heap);
	if (err)
		return err;
	pagemap_init(&m.map);
	m.is_ascii = draw_is_ascii(wants_ascii);
	m.addr = call->addr;
	m.name = call->argc > first ? call->argv[first].str : NULL;
	if (m.name || (call->flags & DCMD_ADDRSPEC))
		err = find_asked(&m);
	if (!err)
		err = collect(&m);
	if (!err)
		draw(&m);
	pagemap_fini(&m.map);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "heapmap",
	 .addr = ADDR_OPTIONAL,
	 .usage = "[cache|arena]",
	 .opts = opts,
	 .brief = "draw how full memory is",
	 .run = dcmd_heapmap},
	{0},
};

const struct group group_heapmap = {.name = "heapmap", .dcmds = dcmds};
