/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ::heapmap: how full memory is, as a picture.
 *
 * Buffers, or the segments of an arena, are summed up by page: so much of it
 * allocated, so much free.  A cell of the picture is a power of two of pages, as
 * few as fit the height; a row begins at a multiple of its width, and rows in
 * which there is nothing are left out.
 */
#include <stdlib.h>
#include <string.h>
#include "draw.h"

#define PAGE_BITS   12
#define ROWS_MAX    32
#define CELL_BITS   62 /* more than any address has */
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

struct page {
	uint64_t number;
	uint64_t allocated_bytes, free_bytes;
};

struct map_arg {
	struct dcmd_call *call;
	struct heap *heap;
	struct hash index; /* page number -> pages[] + 1 */
	VEC(struct page) pages;
	bool is_ascii;
	uint64_t least_bytes;
	unsigned cell_bits;
	uint64_t ncells; /* a row */
	uint64_t nallocated, allocated_bytes, nfree, free_bytes;
	uint64_t largest_free_bytes;
	uint64_t nseen;
	/* what was asked for */
	const char *name;
	taddr_t addr;
	taddr_t cache, arena; /* one of them, or neither */
};

static struct page *page_at(struct map_arg *m, uint64_t number)
{
	uint64_t *at = hash_put(&m->index, number, NULL);

	if (!*at) {
		VEC_PUSH(&m->pages, ((struct page){.number = number}));
		*at = m->pages.n;
	}
	return &m->pages.v[*at - 1];
}

static struct err *add_range(struct map_arg *m, taddr_t start, uint64_t bytes,
			     bool is_allocated)
{
	taddr_t end = start + bytes;
	struct err *err = NULL;

	if (is_allocated) {
		m->nallocated++;
		m->allocated_bytes += bytes;
	} else {
		m->nfree++;
		m->free_bytes += bytes;
		if (bytes > m->largest_free_bytes)
			m->largest_free_bytes = bytes;
	}
	if (end < start)
		return NULL;
	for (taddr_t at = start; !err && at < end;) {
		taddr_t next = ((at >> PAGE_BITS) + 1) << PAGE_BITS;
		struct page *p = page_at(m, at >> PAGE_BITS);

		if (next > end || next < at)
			next = end;
		*(is_allocated ? &p->allocated_bytes : &p->free_bytes) +=
			next - at;
		at = next;
		if (at >> PAGE_BITS << PAGE_BITS == at)
			err = interrupt_check();
	}
	return err;
}

static struct err *take_buf(void *arg, const struct heap_buf *b)
{
	struct map_arg *m = arg;

	progress_set("drawing", m->nseen++, 0);
	return add_range(m, b->addr, b->size_bytes, b->state == BUF_ALLOCATED);
}

static struct err *take_segment(void *arg, const struct heap_segment *s)
{
	struct map_arg *m = arg;

	progress_set("drawing", m->nseen++, 0);
	return add_range(m, s->start, s->end - s->start, s->type == SEG_ALLOC);
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

static int by_number(const void *a, const void *b)
{
	const struct page *x = a;
	const struct page *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static uint64_t cell_of(const struct map_arg *m, const struct page *p)
{
	return p->number >> (m->cell_bits - PAGE_BITS);
}

static uint64_t count_rows(const struct map_arg *m)
{
	uint64_t n = 0;
	uint64_t row = 0;

	for (size_t i = 0; i < m->pages.n; i++) {
		uint64_t r = cell_of(m, &m->pages.v[i]) / m->ncells;

		n += n == 0 || r != row;
		row = r;
	}
	return n;
}

static void choose_cell(struct map_arg *m)
{
	m->cell_bits = PAGE_BITS;
	while (m->cell_bits < CELL_BITS &&
	       (1ULL << m->cell_bits < m->least_bytes ||
		(!m->least_bytes && count_rows(m) > ROWS_MAX)))
		m->cell_bits++;
}

/* the sum of the pages of a cell; moves *i past them */
static struct page next_cell(const struct map_arg *m, size_t *i)
{
	struct page sum = {.number = cell_of(m, &m->pages.v[*i])};

	for (; *i < m->pages.n && cell_of(m, &m->pages.v[*i]) == sum.number;
	     ++*i) {
		sum.allocated_bytes += m->pages.v[*i].allocated_bytes;
		sum.free_bytes += m->pages.v[*i].free_bytes;
	}
	return sum;
}

static void print_cells(const struct map_arg *m)
{
	struct out *o = m->call->out;

	out_begin(o, cols, 4, "");
	for (size_t i = 0; i < m->pages.n;) {
		struct page sum = next_cell(m, &i);

		out_addr(o, sum.number << m->cell_bits);
		out_u64(o, 1ULL << m->cell_bits);
		out_u64(o, sum.allocated_bytes);
		out_u64(o, sum.free_bytes);
		out_end_row(o, sum.number << m->cell_bits);
	}
	out_end(o);
}

static void print_rows(const struct map_arg *m)
{
	struct out *o = m->call->out;
	uint64_t row = UINT64_MAX;
	uint64_t at = 0; /* cell the cursor is at */

	for (size_t i = 0; i < m->pages.n;) {
		struct page sum = next_cell(m, &i);

		if (sum.number / m->ncells != row) {
			uint64_t before = row;

			row = sum.number / m->ncells;
			at = row * m->ncells;
			if (before != UINT64_MAX)
				out_text(o, before + 1 == row ? "\n" : "\n\n");
			out_text(o, "%12" PRIx64 "  ", at << m->cell_bits);
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
	uint64_t all = m->allocated_bytes + m->free_bytes;

	out_text(o,
		 "\n%" PRIu64 " bytes a cell: %s all free, %s to %s part "
		 "allocated, %s all allocated\n",
		 (uint64_t)1 << m->cell_bits, draw_sign(0, m->is_ascii),
		 draw_sign(1, m->is_ascii),
		 draw_sign(DRAW_LEVELS - 1, m->is_ascii),
		 draw_sign(DRAW_LEVELS, m->is_ascii));
	out_text(o,
		 "allocated: %" PRIu64 " %s, %" PRIu64 " bytes (%" PRIu64
		 "%%)\n",
		 m->nallocated, m->arena ? "segments" : "buffers",
		 m->allocated_bytes, percent(m->allocated_bytes, all));
	out_text(o,
		 "free: %" PRIu64 " %s, %" PRIu64 " bytes, the largest %" PRIu64
		 " bytes\n",
		 m->nfree, m->arena ? "segments" : "buffers", m->free_bytes,
		 m->largest_free_bytes);
}

static void draw(struct map_arg *m)
{
	size_t width = session_page_width(m->call->s);

	if (m->pages.n)
		qsort(m->pages.v, m->pages.n, sizeof(*m->pages.v), by_number);
	m->ncells = width > MARGIN + CELLS_LEAST ? width - MARGIN : CELLS_LEAST;
	/* a row begins at a round address */
	while (m->ncells & (m->ncells - 1))
		m->ncells &= m->ncells - 1;
	choose_cell(m);
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
	if (!err && m.least_bytes > 1ULL << (CELL_BITS - 1))
		err = err_new(ERR_USAGE, "a cell cannot be that large");
	if (!err)
		err = session_heap(call->s, &m.heap);
	if (err)
		return err;
	hash_init(&m.index);
	m.is_ascii = draw_is_ascii(wants_ascii);
	m.addr = call->addr;
	m.name = call->argc > first ? call->argv[first].str : NULL;
	if (m.name || (call->flags & DCMD_ADDRSPEC))
		err = find_asked(&m);
	if (!err)
		err = collect(&m);
	if (!err)
		draw(&m);
	hash_fini(&m.index);
	VEC_FREE(&m.pages);
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
