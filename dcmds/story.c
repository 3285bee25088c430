/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Damage told like a story, for ::kmem_verify -v.
 *
 * A finding says which bytes are wrong and what should be there.  The writer is
 * not known; those who may be are: who has the buffer, who had it before (a
 * write after its free), who has the one in front (a write past its end), and
 * whoever still has a pointer at it.  The references of all findings are looked
 * for in one pass.
 */
#include <stdlib.h>
#include "audited.h"
#include "refs.h"
#include "story.h"

#define LINE_BYTES 16
#define LINES_MAX  4
#define REFS_MAX   8  /* told of one buffer */
#define HEX_MAX    64 /* bytes in a row */

struct story {
	const struct heap_finding *f;
	struct heap_buf buf;
	bool has_buf;
	taddr_t from, to; /* wrong bytes; equal: not known which */
	uint64_t nwrong;  /* of them */
	struct heap_audit last, before; /* what HEAP_NOTHING: not recorded */
	struct heap_buf front, behind;  /* size 0: none */
	uint64_t nrefs;
	struct ref refs[REFS_MAX]; /* the first */
};

struct teller {
	struct dcmd_call *call;
	struct heap *heap;
	struct target *t;
	const struct leaks *leaks; /* NULL: references are not known */
	struct err *why;           /* they are not */
	struct story *v;
	size_t n;
};

/* ---- what is known --------------------------------------------------- */

/* the byte that should be at an address; false: none is expected */
static bool is_wanted(const struct heap_finding *f, taddr_t at,
		      unsigned char *ret)
{
	for (const struct heap_expect *w = f->want; w->from < w->to; w++) {
		if (at < w->from || at >= w->to)
			continue;
		*ret = (unsigned char)(w->word >> (at % 8 * 8));
		return true;
	}
	return false;
}

static bool has_byte(const struct teller *te, taddr_t at, unsigned char *ret)
{
	size_t len = 0;
	const unsigned char *p = target_peek(te->t, at, &len);

	if (!p || !len)
		return false;
	*ret = *p;
	return true;
}

/* from the first wrong byte to the last, in what the finding expects */
static void find_wrong(struct teller *te, struct story *s)
{
	for (const struct heap_expect *w = s->f->want; w->from < w->to; w++) {
		size_t len = 0;
		const unsigned char *p = target_peek(te->t, w->from, &len);

		if (!p)
			continue;
		if (len > w->to - w->from)
			len = w->to - w->from;
		for (size_t i = 0; i < len; i++) {
			taddr_t at = w->from + i;

			if (p[i] == (unsigned char)(w->word >> (at % 8 * 8)))
				continue;
			if (s->nwrong++ == 0)
				s->from = at;
			s->to = at + 1;
		}
	}
}

struct chunk_arg {
	taddr_t cache;
	uint64_t chunk_bytes;
};

static struct err *take_chunk(void *arg, const struct heap_cache *c)
{
	struct chunk_arg *a = arg;

	if (c->addr == a->cache)
		a->chunk_bytes = c->chunk_bytes;
	return NULL;
}

static void find_neighbours(struct teller *te, struct story *s)
{
	struct chunk_arg a = {.cache = s->buf.cache};
	const struct heap_ops *ops = te->heap->ops;
	struct heap_buf b;

	if (!a.cache)
		return;
	err_free(ops->caches(te->heap, take_chunk, &a));
	if (!a.chunk_bytes)
		return;
	if (ops->buf_at(te->heap, s->buf.addr - a.chunk_bytes, &b) &&
	    b.cache == a.cache)
		s->front = b;
	if (ops->buf_at(te->heap, s->buf.addr + a.chunk_bytes, &b) &&
	    b.cache == a.cache)
		s->behind = b;
}

static struct err *take_newest(void *arg, const struct heap_audit *a)
{
	struct story *s = arg;

	if (s->before.what == HEAP_NOTHING)
		s->before = *a;
	return NULL;
}

static struct err *find_owners(struct teller *te, struct story *s)
{
	const struct heap_ops *ops = te->heap->ops;

	if (!ops->audit || !ops->audit(te->heap, &s->buf, &s->last))
		return NULL;
	return audit_each_older(te->heap, &s->last, take_newest, s);
}

static struct err *learn(struct teller *te, struct story *s)
{
	find_wrong(te, s);
	s->has_buf = s->f->kind == FINDING_BUFFER &&
		     te->heap->ops->buf_at(te->heap, s->f->addr, &s->buf);
	if (!s->has_buf)
		return NULL;
	find_neighbours(te, s);
	return find_owners(te, s);
}

static taddr_t end_of(const struct heap_buf *b)
{
	return b->addr + (b->size_bytes ? b->size_bytes : 1);
}

static int by_buffer(const void *a, const void *b)
{
	const struct story *x = a;
	const struct story *y = b;

	return x->buf.addr < y->buf.addr ? -1 : x->buf.addr > y->buf.addr;
}

/* the stories are in the order of their buffers, structures (0) first */
static struct err *take_ref(void *arg, const struct ref *r)
{
	struct teller *te = arg;
	size_t lo = 0;
	size_t hi = te->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (te->v[mid].buf.addr <= r->value)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo > 0 && te->v[lo - 1].has_buf &&
	       r->value < end_of(&te->v[lo - 1].buf);
	     lo--) {
		struct story *s = &te->v[lo - 1];

		if (s->nrefs < REFS_MAX)
			s->refs[s->nrefs] = *r;
		s->nrefs++;
	}
	return NULL;
}

static struct err *find_refs(struct teller *te)
{
	taddr_t start = UINT64_MAX;
	taddr_t end = 0;
	struct leaks *leaks = NULL;

	for (size_t i = 0; i < te->n; i++) {
		const struct heap_buf *b = &te->v[i].buf;

		if (!te->v[i].has_buf)
			continue;
		start = b->addr < start ? b->addr : start;
		end = end_of(b) > end ? end_of(b) : end;
	}
	if (start >= end)
		return NULL;
	te->why = session_leaks(te->call->s, &leaks);
	if (te->why)
		return NULL;
	te->leaks = leaks;
	return refs_scan(leaks, te->t, start, end, take_ref, te);
}

/* ---- as text --------------------------------------------------------- */

static const char *state_text(const struct heap_buf *b)
{
	return b->state == BUF_ALLOCATED ? "allocated" : "free";
}

static void print_bytes(struct teller *te, const struct story *s, taddr_t at,
			size_t n, bool is_found)
{
	struct out *o = te->call->out;
	char text[LINE_BYTES + 1] = "";

	out_text(o, "    %-9s", is_found ? "found" : "expected");
	for (size_t i = 0; i < LINE_BYTES && (i < n || is_found); i++) {
		unsigned char byte = 0;
		bool is_known = is_found ? has_byte(te, at + i, &byte)
					 : is_wanted(s->f, at + i, &byte);

		if (i >= n)
			out_text(o, "   ");
		else if (is_known)
			out_text(o, " %02x", byte);
		else
			out_text(o, " %s", is_found ? "??" : "..");
		text[i] = '.';
		if (is_known && byte >= ' ' && byte <= '~')
			text[i] = (char)byte;
		text[i + 1] = '\0';
	}
	out_text(o, is_found ? "  %.*s\n" : "\n", (int)n, text);
}

static void print_wrong(struct teller *te, const struct story *s)
{
	struct out *o = te->call->out;
	taddr_t at = s->from;

	if (s->from == s->to)
		return;
	out_text(o, "  %" PRIu64 " wrong byte%s", s->nwrong,
		 s->nwrong == 1 ? "" : "s");
	if (s->nwrong != s->to - s->from)
		out_text(o, " among %" PRIu64, s->to - s->from);
	out_text(o, " at %" PRIx64, s->from);
	if (s->has_buf) {
		taddr_t end = s->buf.addr + s->buf.req_bytes;

		if (s->from < s->buf.addr)
			out_text(o, ", from %" PRIu64 " before its start",
				 s->buf.addr - s->from);
		else if (s->from >= end)
			out_text(o,
				 ", up to %" PRIu64
				 " past the end of the %" PRIu64 " asked for",
				 s->to - end, s->buf.req_bytes);
		else
			out_text(o, ", at offset %" PRIu64,
				 s->from - s->buf.addr);
	}
	out_text(o, "\n");
	for (int i = 0; i < LINES_MAX && at < s->to; i++) {
		size_t n = s->to - at < LINE_BYTES ? (size_t)(s->to - at)
						   : LINE_BYTES;

		print_bytes(te, s, at, n, true);
		print_bytes(te, s, at, n, false);
		at += n;
	}
	if (at < s->to)
		out_text(o, "    and %" PRIu64 " bytes more\n", s->to - at);
}

static void print_audit(struct teller *te, const struct heap_audit *a,
			const char *when)
{
	struct out *o = te->call->out;
	_free_ char *time = seconds_text(a->stamp_ns);
	struct heap_stack stack;

	out_text(o, "  %s%s by thread 0x%x at %s:\n", when,
		 a->what == HEAP_FREE ? "freed" : "allocated", a->tid, time);
	heap_stack_of(te->heap, a->stack, &stack);
	print_frames(te->call, &stack);
}

static void print_neighbour(struct teller *te, const struct heap_buf *b,
			    const char *where)
{
	struct heap_audit a = {0};

	if (!b->size_bytes)
		return;
	out_text(te->call->out, "  %s it: %" PRIx64 " (%s), %" PRIu64 " bytes",
		 where, b->addr, state_text(b), b->req_bytes);
	if (te->heap->ops->audit && te->heap->ops->audit(te->heap, b, &a)) {
		out_text(te->call->out, "\n");
		print_audit(te, &a, "  ");
	} else {
		out_text(te->call->out, "\n");
	}
}

static void print_refs(struct teller *te, const struct story *s)
{
	struct out *o = te->call->out;

	if (!te->leaks) {
		out_text(o, "  what points at it is not known: %s\n",
			 te->why ? te->why->msg : "?");
		return;
	}
	out_text(o, "  %" PRIu64 " live pointer%s to it%s\n", s->nrefs,
		 s->nrefs == 1 ? "" : "s", s->nrefs ? ":" : "");
	for (size_t i = 0; i < s->nrefs && i < REFS_MAX; i++) {
		const struct ref *r = &s->refs[i];
		_free_ char *where =
			ref_where(te->call->s, te->heap, te->leaks, r);

		if (r->at)
			out_text(o, "\t %" PRIx64 " %s", r->at, where);
		else
			out_text(o, "\t %s", where);
		if (r->value != s->buf.addr)
			out_text(o, ", to offset %" PRIu64,
				 r->value - s->buf.addr);
		out_text(o, "\n");
	}
	if (s->nrefs > REFS_MAX)
		out_text(o, "\t and %" PRIu64 " more: %" PRIx64 "::refs\n",
			 s->nrefs - REFS_MAX, s->buf.addr);
}

/* where the allocator itself met the damage */
static void print_panic(struct teller *te, const struct story *s)
{
	const struct heap_health *h = &te->heap->health;
	struct heap_stack stack;

	if (!h->has_panic || h->panic_of.buf != s->f->addr)
		return;
	out_text(te->call->out,
		 "  the allocator met it when thread 0x%x called\n",
		 h->panic_of.tid);
	heap_stack_of(te->heap, h->panic_of.stack, &stack);
	print_frames(te->call, &stack);
}

static void print_story(struct teller *te, const struct story *s)
{
	out_text(te->call->out, "%s\n", s->f->text);
	print_wrong(te, s);
	print_panic(te, s);
	if (!s->has_buf)
		return;
	out_text(te->call->out, "  of %s%s\n", heap_buf_from(te->heap, &s->buf),
		 s->last.what == HEAP_NOTHING
			 ? ", not audited: nobody knows who had it"
			 : "");
	if (s->last.what != HEAP_NOTHING)
		print_audit(te, &s->last, "");
	if (s->before.what != HEAP_NOTHING)
		print_audit(te, &s->before, "before that ");
	else if (s->last.what != HEAP_NOTHING)
		out_text(te->call->out,
			 "  what was before is not in the log\n");
	print_neighbour(te, &s->front, "in front of");
	print_neighbour(te, &s->behind, "behind");
	print_refs(te, s);
}

/* ---- as rows --------------------------------------------------------- */

static const struct column cols[] = {
	{"text", "", CELL_TEXT, 0},
	{"addr", NULL, CELL_ADDR, 0},
	{"cache", NULL, CELL_TEXT, 0},
	{"state", NULL, CELL_TEXT, 0},
	{"asked_bytes", NULL, CELL_BYTES, 0},
	{"wrong_at", NULL, CELL_ADDR, 0},
	{"wrong_bytes", NULL, CELL_BYTES, 0},
	{"found", NULL, CELL_TEXT, 0},
	{"expected", NULL, CELL_TEXT, 0},
	{"last_what", NULL, CELL_TEXT, 0},
	{"last_thread", NULL, CELL_COUNT, 0},
	{"last_timestamp", NULL, CELL_TIME, 0},
	{"last_stack", NULL, CELL_STACK, 0},
	{"before_what", NULL, CELL_TEXT, 0},
	{"before_thread", NULL, CELL_COUNT, 0},
	{"before_timestamp", NULL, CELL_TIME, 0},
	{"before_stack", NULL, CELL_STACK, 0},
	{"front", NULL, CELL_ADDR, 0},
	{"front_state", NULL, CELL_TEXT, 0},
	{"front_stack", NULL, CELL_STACK, 0},
	{"behind", NULL, CELL_ADDR, 0},
	{"behind_state", NULL, CELL_TEXT, 0},
	{"behind_stack", NULL, CELL_STACK, 0},
	{"pointers", NULL, CELL_COUNT, 0},
};

/* the wrong bytes, or those that should be there: "4f4f", "?" not known */
static char *hex_text(struct teller *te, const struct story *s, bool is_found)
{
	struct strbuf sb = {0};

	for (taddr_t at = s->from; at < s->to && at - s->from < HEX_MAX; at++) {
		unsigned char byte = 0;

		if (is_found ? has_byte(te, at, &byte)
			     : is_wanted(s->f, at, &byte))
			strbuf_printf(&sb, "%02x", byte);
		else
			strbuf_puts(&sb, "??");
	}
	return sb.s;
}

static void stack_cell(struct teller *te, uint32_t id)
{
	struct heap_stack stack = {0};

	if (id)
		heap_stack_of(te->heap, id, &stack);
	out_stack(te->call->out, stack.pc, stack.depth);
}

static void audit_cells(struct teller *te, const struct heap_audit *a)
{
	struct out *o = te->call->out;

	text_or_none(o, what_name(a->what));
	if (a->what != HEAP_NOTHING) {
		out_u64(o, a->tid);
		out_u64(o, a->stamp_ns);
	} else {
		out_none(o);
		out_none(o);
	}
	stack_cell(te, a->stack);
}

static void neighbour_cells(struct teller *te, const struct heap_buf *b)
{
	struct heap_audit a = {0};
	struct out *o = te->call->out;

	if (!b->size_bytes) {
		out_none(o);
		out_none(o);
		stack_cell(te, 0);
		return;
	}
	if (te->heap->ops->audit)
		(void)te->heap->ops->audit(te->heap, b, &a);
	out_addr(o, b->addr);
	out_str(o, state_text(b));
	stack_cell(te, a.stack);
}

static void row_of_story(struct teller *te, const struct story *s)
{
	struct out *o = te->call->out;
	_free_ char *found = hex_text(te, s, true);
	_free_ char *expected = hex_text(te, s, false);

	out_str(o, s->f->text);
	out_addr(o, s->f->addr);
	text_or_none(o, s->has_buf ? heap_buf_from(te->heap, &s->buf) : NULL);
	text_or_none(o, s->has_buf ? state_text(&s->buf) : NULL);
	if (s->has_buf)
		out_u64(o, s->buf.req_bytes);
	else
		out_none(o);
	if (s->f->at)
		out_addr(o, s->f->at);
	else
		out_none(o);
	out_u64(o, s->nwrong);
	text_or_none(o, found);
	text_or_none(o, expected);
	audit_cells(te, &s->last);
	audit_cells(te, &s->before);
	neighbour_cells(te, &s->front);
	neighbour_cells(te, &s->behind);
	if (te->leaks && s->has_buf)
		out_u64(o, s->nrefs);
	else
		out_none(o);
	out_end_row(o, s->f->addr);
}

static void print_all(struct teller *te)
{
	struct out *o = te->call->out;
	bool is_rows = out_is_json(o) || out_is_pipe(o);

	if (is_rows)
		out_begin(o, cols, sizeof(cols) / sizeof(*cols), "");
	for (size_t i = 0; i < te->n; i++)
		if (is_rows)
			row_of_story(te, &te->v[i]);
		else
			print_story(te, &te->v[i]);
	if (is_rows)
		out_end(o);
}

struct err *story_tell(struct dcmd_call *call, struct heap *heap,
		       const struct heap_finding *findings, size_t n)
{
	struct teller te = {.call = call,
			    .heap = heap,
			    .t = session_target(call->s),
			    .n = n};
	struct err *err = NULL;

	te.v = n ? mem_zalloc(n * sizeof(*te.v)) : NULL;
	for (size_t i = 0; !err && i < n; i++) {
		te.v[i].f = &findings[i];
		err = learn(&te, &te.v[i]);
	}
	if (te.n > 1)
		qsort(te.v, te.n, sizeof(*te.v), by_buffer);
	if (!err)
		err = find_refs(&te);
	if (!err)
		print_all(&te);
	err_free(te.why);
	mem_free(te.v);
	return err;
}
