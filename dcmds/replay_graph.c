/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ::replay -g: live bytes and buffers over time.
 *
 * What lives in the dump is counted; from there the records lead back, newest
 * first: before an allocation there was a buffer less, before a free one more.
 * Of each slot of time the most there was is drawn.
 */
#include "churn.h"
#include "draw.h"

#define HEIGHT  8  /* rows of the curve of bytes */
#define MARGIN  12 /* of the scale */
#define SLOTS   20 /* at least */
#define MAXSLOT 400

static const struct column cols[] = {
	{"start_ns", NULL, CELL_TIME, 0},      {"end_ns", NULL, CELL_TIME, 0},
	{"live_bytes", NULL, CELL_BYTES, 0},   {"live", NULL, CELL_COUNT, 0},
	{"transactions", NULL, CELL_COUNT, 0},
};

struct slot {
	uint64_t bytes, nbufs, nevents;
};

struct graph_arg {
	struct dcmd_call *call;
	struct heap *heap;
	struct record_sizes sizes;
	const char *wanted;         /* name of the one cache, or NULL */
	taddr_t cache;              /* the same */
	uint64_t first_ns, last_ns; /* what is drawn */
	uint64_t bytes, nbufs;      /* at the moment the records have led to */
	size_t nslots;
	struct slot slot[MAXSLOT];
	size_t at; /* the slot that is being filled, from the last down */
};

static struct err *count_live(void *arg, const struct heap_buf *b)
{
	struct graph_arg *g = arg;

	g->nbufs++;
	g->bytes += b->kind == BUF_OVERSIZE ? b->req_bytes : b->size_bytes;
	return NULL;
}

static struct err *count_large(void *arg, const struct heap_buf *b)
{
	return b->kind == BUF_OVERSIZE ? count_live(arg, b) : NULL;
}

/* what has records: a curve of the others would be a guess */
static struct err *count_cache(void *arg, const struct heap_cache *c)
{
	struct graph_arg *g = arg;

	if (g->wanted ? strcmp(c->name, g->wanted) != 0 : c->is_internal)
		return NULL;
	g->cache = c->addr;
	if (!c->has_audit)
		return g->wanted ? err_new(ERR_NOSUP,
					   "cache %s is not audited: no "
					   "records",
					   c->name)
				 : NULL;
	return g->heap->ops->bufs(g->heap, c->addr, BUF_ALLOCATED, count_live,
				  g);
}

static struct err *count_now(struct graph_arg *g)
{
	struct err *err = g->heap->ops->caches(g->heap, count_cache, g);

	if (!err && g->wanted && !g->cache)
		err = err_new(ERR_NOTFOUND, "unknown kmem cache: %s",
			      g->wanted);
	if (!err && !g->wanted)
		err = g->heap->ops->bufs(g->heap, 0, BUF_ALLOCATED, count_large,
					 g);
	return err;
}

/* ---- time ------------------------------------------------------------ */

static struct err *find_times(void *arg, const struct heap_audit *a)
{
	struct graph_arg *g = arg;

	if (a->stamp_ns < g->first_ns || g->first_ns == 0)
		g->first_ns = a->stamp_ns;
	if (a->stamp_ns > g->last_ns)
		g->last_ns = a->stamp_ns;
	return NULL;
}

static size_t slot_of(const struct graph_arg *g, uint64_t stamp_ns)
{
	uint64_t span = g->last_ns - g->first_ns + 1;

	return (size_t)((double)(stamp_ns - g->first_ns) / (double)span *
			(double)g->nslots);
}

static uint64_t slot_start(const struct graph_arg *g, size_t i)
{
	uint64_t span = g->last_ns - g->first_ns + 1;

	return g->first_ns +
	       (uint64_t)((double)span / (double)g->nslots * (double)i);
}

static void note(struct graph_arg *g)
{
	struct slot *s = &g->slot[g->at];

	if (g->bytes > s->bytes)
		s->bytes = g->bytes;
	if (g->nbufs > s->nbufs)
		s->nbufs = g->nbufs;
}

static struct err *lead_back(void *arg, const struct heap_audit *a)
{
	struct graph_arg *g = arg;
	uint64_t bytes = 0;

	if (a->stamp_ns < g->first_ns || a->stamp_ns > g->last_ns ||
	    !record_size(&g->sizes, a, &bytes) ||
	    (g->wanted && a->cache != g->cache))
		return NULL;
	while (g->at > slot_of(g, a->stamp_ns)) {
		g->at--;
		note(g);
	}
	g->slot[g->at].nevents++;
	if (a->what == HEAP_ALLOC) {
		g->nbufs -= g->nbufs > 0;
		g->bytes -= bytes < g->bytes ? bytes : g->bytes;
	} else {
		g->nbufs++;
		g->bytes += bytes;
	}
	note(g);
	return NULL;
}

/* ---- drawing --------------------------------------------------------- */

static void draw_row(const struct graph_arg *g, struct strbuf *sb, unsigned row,
		     uint64_t most, bool is_ascii)
{
	for (size_t i = 0; i < g->nslots; i++) {
		double level =
			(double)g->slot[i].bytes / (double)most * HEIGHT - row;
		unsigned sign = level >= 1   ? DRAW_LEVELS
				: level <= 0 ? 0
					     : (unsigned)(level * DRAW_LEVELS);

		strbuf_puts(sb, sign ? draw_sign(sign, is_ascii) : " ");
	}
}

static void draw(const struct graph_arg *g, bool is_ascii)
{
	struct out *o = g->call->out;
	struct strbuf sb = {0};
	uint64_t most = 1;
	uint64_t most_bufs = 1;

	for (size_t i = 0; i < g->nslots; i++) {
		if (g->slot[i].bytes > most)
			most = g->slot[i].bytes;
		if (g->slot[i].nbufs > most_bufs)
			most_bufs = g->slot[i].nbufs;
	}
	for (unsigned row = HEIGHT; row-- > 0;) {
		strbuf_reset(&sb);
		draw_row(g, &sb, row, most, is_ascii);
		if (row == HEIGHT - 1)
			out_text(o, "%11" PRIu64 " %s\n", most,
				 strbuf_str(&sb));
		else
			out_text(o, "%11s %s\n", row ? "" : "bytes",
				 strbuf_str(&sb));
	}
	strbuf_reset(&sb);
	for (size_t i = 0; i < g->nslots; i++)
		strbuf_puts(&sb,
			    draw_level(g->slot[i].nbufs, most_bufs, is_ascii));
	out_text(o, "%11" PRIu64 " %s\n", most_bufs, strbuf_str(&sb));
	_free_ char *span = seconds_text(g->last_ns - g->first_ns);

	out_text(o, "%11s 0x%" PRIx64 " to 0x%" PRIx64 ", %s s in %zu slots\n",
		 "buffers", g->first_ns, g->last_ns, span, g->nslots);
	strbuf_free(&sb);
}

static void print_rows(const struct graph_arg *g)
{
	struct out *o = g->call->out;

	out_begin(o, cols, 5, "");
	for (size_t i = 0; i < g->nslots; i++) {
		out_u64(o, slot_start(g, i));
		out_u64(o, slot_start(g, i + 1));
		out_u64(o, g->slot[i].bytes);
		out_u64(o, g->slot[i].nbufs);
		out_u64(o, g->slot[i].nevents);
		out_end_row(o, slot_start(g, i));
	}
	out_end(o);
}

static struct err *collect(struct graph_arg *g)
{
	struct heap_coverage covered;
	size_t width = session_page_width(g->call->s);
	struct err *err = session_heap(g->call->s, &g->heap);

	if (!err && (!g->heap->ops->log || !g->heap->ops->coverage))
		err = err_new(ERR_NOSUP, "%s heap keeps no log",
			      g->heap->ops->name);
	if (!err && !g->heap->ops->coverage(g->heap, &covered))
		err = err_new(ERR_NOTFOUND, "log is disabled");
	if (!err)
		err = record_sizes_open(g->heap, &g->sizes);
	if (!err)
		err = count_now(g);
	if (!err)
		err = g->heap->ops->log(g->heap, HEAP_LOG_TRANSACTION, 0,
					find_times, g);
	if (err)
		return err;
	if (g->heap->health.now_ns && !g->heap->health.moment_ns &&
	    g->heap->health.now_ns < g->last_ns)
		g->last_ns = g->heap->health.now_ns; /* what lives is of then */
	if (covered.since_ns != HEAP_NOT_KNOWN &&
	    covered.since_ns > g->first_ns)
		g->first_ns = covered.since_ns;
	if (covered.since_ns == HEAP_NOT_KNOWN || g->first_ns >= g->last_ns)
		return err_new(ERR_NOTFOUND, "the log covers no time");
	g->nslots = width > MARGIN + SLOTS ? width - MARGIN - 1 : SLOTS;
	if (g->nslots > MAXSLOT)
		g->nslots = MAXSLOT;
	g->at = g->nslots - 1;
	note(g);
	err = g->heap->ops->log(g->heap, HEAP_LOG_TRANSACTION, 0, lead_back, g);
	while (!err && g->at > 0) {
		g->at--;
		note(g);
	}
	return err;
}

struct err *churn_graph(struct dcmd_call *call, const char *cache,
			bool is_ascii)
{
	struct graph_arg *g = mem_zalloc(sizeof(*g));

	g->call = call;
	g->wanted = cache;
	hash_init(&g->sizes.by_cache);
	struct err *err = collect(g);

	if (!err && (out_is_json(call->out) || out_is_pipe(call->out)))
		print_rows(g);
	else if (!err)
		draw(g, draw_is_ascii(is_ascii));
	record_sizes_close(&g->sizes);
	mem_free(g);
	return err;
}
