/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ::path: why a buffer is alive, step by step.
 *
 * The search of src/graph/reach.c has one way to each buffer.  Others are found
 * by one look at every word: a word that points at any buffer of that way, from
 * a holder that is not on it, and the way of that holder make another.
 *
 *	root ──► a ──► b ──► buffer
 *	               ▲
 *	root2 ──► x ───┘             x's way, then b, buffer
 */
#include "holder.h"
#include "place.h"
#include "typed.h"

/* of a long way that is printed, at either end */
#define SHOWN_STEPS 12
/* ways that are looked at for the best of them */
#define OTHERS_MAX 100000

enum how {
	HOW_EXACT,
	HOW_INTERIOR,
	HOW_PAST,
};
static const char *const how_names[] = {
	[HOW_EXACT] = "exact",
	[HOW_INTERIOR] = "interior",
	[HOW_PAST] = "past",
};

static const struct column cols[] = {
	{"word", "WORD", CELL_ADDR, -16},
	{NULL, "HOW", CELL_TEXT, -9},
	{"buffer", "BUFFER", CELL_ADDR, -16},
	{"is", "IS", CELL_TEXT, -20},
	{"sure", "SURE", CELL_TEXT, -8},
	{"held_by", "HELD BY", CELL_TEXT, 0},
	{"chain", NULL, CELL_COUNT, 0},
	{"step", NULL, CELL_COUNT, 0},
	{"how", NULL, CELL_TEXT, 0},
	{"to_offset", NULL, CELL_HEX, 0},
	{"size_bytes", NULL, CELL_BYTES, 0},
	{"kind", NULL, CELL_TEXT, 0},
	{"is_weak", NULL, CELL_COUNT, 0},
	{"thread", NULL, CELL_COUNT, 0},
	{"frame", NULL, CELL_COUNT, 0},
	{"function", NULL, CELL_TEXT, 0},
	{"variable", NULL, CELL_TEXT, 0},
	{"cache", NULL, CELL_TEXT, 0},
	{"type", NULL, CELL_TEXT, 0},
};
#define NCOLS (sizeof(cols) / sizeof(*cols))

/* the first step of a way: by a root, or by nobody */
struct start {
	const struct reach_span *span; /* NULL: a leak */
	taddr_t at;
};

struct way {
	struct start start;
	size_t *buf; /* from the root on; owned */
	size_t n;
	enum hold hold; /* the weakest of it */
};

struct path_arg {
	struct dcmd_call *call;
	struct heap *heap;
	struct reach *reach;
	const struct bufset *set;
	uint64_t nways;
	const char *stop_type; /* NULL: none */
	bool is_all;
	struct way first;
	VEC(struct way) others;
	struct hash on_first; /* buffer -> its place on the first way, + 1 */
	struct hash seen;     /* holders of others */
	size_t nseen;
	bool is_next; /* a way was printed */
};

/* ---- ways ------------------------------------------------------------ */

static size_t length_to(const struct reach *reach, size_t i)
{
	size_t n = 1;

	while ((i = reach_from(reach, i)) != BUFSET_NONE)
		n++;
	return n;
}

static struct way way_to(const struct reach *reach, size_t i)
{
	struct way w = {.hold = reach_hold(reach, i)};

	w.n = length_to(reach, i);
	w.buf = mem_array(w.n, sizeof(*w.buf));
	for (size_t k = w.n; k-- > 0; i = reach_from(reach, i))
		w.buf[k] = i;
	w.start.span = reach_root(reach, w.buf[0], &w.start.at);
	return w;
}

/* is a buffer of the first way, at place k or later, on the way to i? */
static bool crosses(const struct path_arg *a, size_t i, size_t k)
{
	for (; i != BUFSET_NONE; i = reach_from(a->reach, i)) {
		const uint64_t *place = hash_get(&a->on_first, i);

		if (place && *place - 1 >= k)
			return true;
	}
	return false;
}

static int by_worth(const struct way *x, const struct way *y)
{
	if (hold_is_weak(x->hold) || hold_is_weak(y->hold))
		if (x->hold != y->hold)
			return x->hold < y->hold ? -1 : 1;
	return x->n < y->n ? -1 : x->n > y->n;
}

/* keeps the best, of equals those met first.  way is consumed. */
static void keep(struct path_arg *a, struct way way)
{
	size_t i = 0;

	while (i < a->others.n && by_worth(&a->others.v[i], &way) <= 0)
		i++;
	VEC_PUSH(&a->others, way);
	memmove(&a->others.v[i + 1], &a->others.v[i],
		(a->others.n - 1 - i) * sizeof(way));
	a->others.v[i] = way;
	if (a->others.n >= a->nways)
		mem_free(a->others.v[--a->others.n].buf);
}

/* what follows place k of the first way, behind n buffers */
static struct way continued(const struct path_arg *a, size_t n, size_t k)
{
	struct way w = {.n = n + a->first.n - k};

	w.buf = mem_array(w.n, sizeof(*w.buf));
	memcpy(w.buf + n, a->first.buf + k, (a->first.n - k) * sizeof(*w.buf));
	return w;
}

static void by_root(struct path_arg *a, const struct ref *ref, size_t k)
{
	const struct reach_span *span =
		reach_span_of(a->reach, ref->root, ref->at);
	struct way w;

	if (!span || ref->root->is_shallow ||
	    (k == 0 && a->first.start.span == span &&
	     a->first.start.at == ref->at))
		return;
	w = continued(a, 0, k);
	w.start = (struct start){span, ref->at};
	w.hold = span->hold;
	keep(a, w);
}

static void by_buf(struct path_arg *a, size_t from, size_t k)
{
	struct way to;
	struct way w;
	bool is_new = false;

	if ((k > 0 && a->first.buf[k - 1] == from) ||
	    reach_hold(a->reach, from) == HOLD_NONE ||
	    (reach_hold(a->reach, from) == HOLD_LEAK &&
	     a->first.hold != HOLD_LEAK) ||
	    crosses(a, from, k))
		return;
	hash_put(&a->seen, from * (a->first.n + 1) + k, &is_new);
	if (!is_new)
		return;
	to = way_to(a->reach, from);
	w = continued(a, to.n, k);
	memcpy(w.buf, to.buf, to.n * sizeof(*w.buf));
	w.start = to.start;
	w.hold = to.hold;
	mem_free(to.buf);
	keep(a, w);
}

static struct err *on_ref(void *arg, const struct ref *ref)
{
	struct path_arg *a = arg;
	size_t i = bufset_find(a->set, ref->value);
	const uint64_t *place = NULL;

	if (i != BUFSET_NONE)
		place = hash_get(&a->on_first, i);
	if (!place || a->nseen++ > OTHERS_MAX)
		return NULL;
	if (ref->root)
		by_root(a, ref, *place - 1);
	else
		by_buf(a, ref->buf, *place - 1);
	return NULL;
}

static struct err *find_others(struct path_arg *a)
{
	taddr_t lo = UINT64_MAX;
	taddr_t hi = 0;

	for (size_t k = 0; k < a->first.n; k++) {
		struct bufset_buf b = bufset_at(a->set, a->first.buf[k]);
		taddr_t end = b.addr + (b.size_bytes ? b.size_bytes : 1);

		*hash_put(&a->on_first, a->first.buf[k], NULL) = k + 1;
		lo = b.addr < lo ? b.addr : lo;
		hi = end > hi ? end : hi;
	}
	return refs_scan(a->reach->leaks, session_target(a->call->s), lo, hi,
			 on_ref, a);
}

/* ---- steps ----------------------------------------------------------- */

/* the word of a buffer that points at another; the best there is */
struct word {
	size_t buf; /* that it points at */
	struct bufset_buf to;
	taddr_t at;
	uint64_t value;
	bool is_found;
	enum how how;
};

static enum how how_of(const struct bufset_buf *to, uint64_t value)
{
	if (value == to->addr)
		return HOW_EXACT;
	return value - to->addr < to->size_bytes ? HOW_INTERIOR : HOW_PAST;
}

static struct err *look_at(void *arg, taddr_t at, uint64_t value)
{
	struct word *w = arg;
	uint64_t size = w->to.size_bytes ? w->to.size_bytes : 1;

	if (value < w->to.addr || value - w->to.addr > size)
		return NULL;
	enum how how = how_of(&w->to, value);

	if (w->is_found && how >= w->how)
		return NULL;
	*w = (struct word){w->buf, w->to, at, value, true, how};
	return how == HOW_EXACT ? err_new(ERR_STOP, "found") : NULL;
}

static struct word find_word(const struct path_arg *a, size_t from, size_t to)
{
	struct word w = {.buf = to, .to = bufset_at(a->set, to)};
	struct bufset_buf b = bufset_at(a->set, from);

	err_free(words_scan(session_target(a->call->s), b.addr,
			    b.addr + b.size_bytes, look_at, &w, NULL));
	return w;
}

static struct word root_word(const struct path_arg *a, const struct way *way)
{
	struct word w = {.buf = way->buf[0],
			 .to = bufset_at(a->set, way->buf[0]),
			 .at = way->start.at};
	const struct reach_span *span = way->start.span;

	w.value = span->root->value;
	if (w.at)
		err_free(target_read_u64(session_target(a->call->s), w.at,
					 &w.value));
	w.is_found = true;
	w.how = how_of(&w.to, w.value);
	return w;
}

/* what is known of the buffer that a step leads to */
struct known {
	const struct type *type;
	uint64_t from; /* where an object of it begins, behind the start */
};

/* what points at a buffer says what it is; one of char is of anything */
static struct known what_is(const struct type *said, const struct word *w)
{
	struct known k = {said, w->value - w->to.addr};

	if (said && (w->how == HOW_PAST || type_info(said).is_char))
		k.type = NULL;
	return k;
}

static char *is_text(const struct path_arg *a, const struct heap_buf *b,
		     const struct known *k)
{
	const char *from = heap_buf_from(a->heap, b);
	_free_ char *known = NULL;

	if (k->type)
		return mem_strdup(type_name(k->type));
	/* pointers on the way do not say */
	known = known_type(a->call->s, b->addr);
	return known ? mem_printf("%s (%s)", from, known) : mem_strdup(from);
}

struct shown_step {
	size_t chain, step;
	const struct holder *holder;
	const struct word *word;
	enum hold hold; /* of a root; HOLD_NONE: a buffer */
	const struct known *known;
};

static void print_how(struct out *o, const struct word *w)
{
	_free_ char *text = NULL;

	if (w->how == HOW_INTERIOR)
		text = mem_printf("+0x%" PRIx64, w->value - w->to.addr);
	out_str(o, text ? text : how_names[w->how]);
}

static void print_number(struct out *o, bool is_known, uint64_t n)
{
	if (is_known)
		out_u64(o, n);
	else
		out_none(o);
}

static void print_step(const struct path_arg *a, const struct shown_step *st)
{
	struct out *o = a->call->out;
	const struct holder *h = st->holder;
	const struct word *w = st->word;
	struct heap_buf b;

	bufset_get(a->heap, a->set, w->buf, &b);
	_free_ char *is = is_text(a, &b, st->known);

	if (w->is_found && w->at)
		out_addr(o, w->at);
	else
		out_none(o);
	if (w->is_found)
		print_how(o, w);
	else
		out_none(o);
	out_addr(o, w->to.addr);
	out_str(o, is);
	out_str(o, h->sure);
	out_str(o, h->text);
	out_u64(o, st->chain);
	out_u64(o, st->step);
	out_str(o, w->is_found ? how_names[w->how] : NULL);
	print_number(o, w->is_found, w->value - w->to.addr);
	out_u64(o, w->to.size_bytes);
	out_str(o, st->hold == HOLD_NONE ? "buffer" : hold_name(st->hold));
	out_u64(o, hold_is_weak(st->hold) || w->how == HOW_PAST);
	print_number(o, h->tid, h->tid);
	print_number(o, h->frame >= 0, (uint64_t)h->frame);
	out_str(o, h->function);
	out_str(o, h->variable);
	out_str(o, heap_buf_from(a->heap, &b));
	out_str(o, st->known->type ? type_name(st->known->type) : NULL);
	out_end_row(o, w->to.addr);
}

/* ---- printing -------------------------------------------------------- */

static bool is_named(const struct type *type, const char *name)
{
	const char *have = type ? type_name(type) : "";
	const char *blank = strchr(have, ' ');

	return !strcmp(have, name) || (blank && !strcmp(blank + 1, name));
}

/* the first step of a way, and what it says of the buffer */
static void start_step(const struct path_arg *a, const struct way *way,
		       struct holder *ret, struct word *ret_word)
{
	if (way->start.span) {
		*ret_word = root_word(a, way);
		holder_of_root(a->call->s, a->reach, way->start.span,
			       way->start.at, ret);
		return;
	}
	struct bufset_buf first = bufset_at(a->set, way->buf[0]);

	*ret_word = (struct word){
		.buf = way->buf[0], .to = first, .value = first.addr};
	*ret = (struct holder){
		.sure = "leaked",
		.text = mem_strdup("nobody: it is leaked"),
		.frame = -1,
	};
}

/* goes along a way; shown: the first step that is printed, SIZE_MAX: none.
 * Returns the last step but one that leads to the type to stop at. */
static size_t along(const struct path_arg *a, const struct way *way,
		    size_t chain, size_t shown)
{
	struct known known = {0};
	size_t stop = 0;

	for (size_t k = 0; k < way->n; k++) {
		struct holder h;
		struct word w;
		struct heap_buf b;
		bool is_elided =
			!a->is_all && way->n - shown > 2 * SHOWN_STEPS &&
			k >= shown + SHOWN_STEPS && k < way->n - SHOWN_STEPS;

		if (k == 0) {
			start_step(a, way, &h, &w);
		} else {
			bufset_get(a->heap, a->set, way->buf[k - 1], &b);
			w = find_word(a, way->buf[k - 1], way->buf[k]);
			holder_of_buf(a->call->s, &b, known.type, known.from,
				      w.at, &h);
		}
		known = what_is(h.to, &w);
		if (a->stop_type && k + 1 < way->n &&
		    is_named(known.type, a->stop_type))
			stop = k + 1;
		struct shown_step st = {
			chain,
			k + 1,
			&h,
			&w,
			k == 0 && way->start.span ? way->start.span->hold
						  : HOLD_NONE,
			&known,
		};
		if (k == 0 && !way->start.span)
			st.hold = HOLD_LEAK;
		if (k >= shown && !is_elided)
			print_step(a, &st);
		else if (k == shown + SHOWN_STEPS && is_elided)
			out_text(a->call->out, "... %zu steps ...\n",
				 way->n - shown - (size_t)2 * SHOWN_STEPS);
		holder_fini(&h);
	}
	return stop;
}

static void print_way(struct path_arg *a, const struct way *way, size_t chain)
{
	struct out *o = a->call->out;
	size_t first = 0;

	if (a->is_next && !out_is_json(o) && !out_is_pipe(o))
		out_text(o, "\n");
	a->is_next = true;
	if (a->stop_type)
		first = along(a, way, chain, SIZE_MAX);
	(void)along(a, way, chain, first);
}

static const struct opt opts[] = {
	{'a', OPT_FLAG, NULL, "every step of a long way"},
	{'n', OPT_NUMBER, "count", "so many ways, the best first"},
	{'t', OPT_STRING, "type", "from the last buffer of that type on"},
	{0},
};

static struct err *find_and_print(struct path_arg *a, size_t i)
{
	struct out *o = a->call->out;
	struct err *err = NULL;

	a->first = way_to(a->reach, i);
	hash_init(&a->on_first);
	hash_init(&a->seen);
	if (a->nways > 1)
		err = find_others(a);
	if (!err) {
		a->is_all = a->is_all || out_is_json(o) || out_is_pipe(o);
		out_begin(o, cols, NCOLS, NULL);
		print_way(a, &a->first, 1);
		for (size_t k = 0; k < a->others.n; k++)
			print_way(a, &a->others.v[k], k + 2);
		out_end(o);
	}
	for (size_t k = 0; k < a->others.n; k++)
		mem_free(a->others.v[k].buf);
	VEC_FREE(&a->others);
	hash_fini(&a->on_first);
	hash_fini(&a->seen);
	mem_free(a->first.buf);
	return err;
}

static struct err *dcmd_path(struct dcmd_call *call)
{
	struct path_arg a = {.call = call, .nways = 1};
	void *const values[] = {&a.is_all, &a.nways, &a.stop_type};
	size_t first = 0;
	struct err *err = dcmd_options(call, opts, values, &first);

	if (!err && (first != call->argc || a.nways == 0))
		err = err_new(ERR_USAGE, a.nways ? "unexpected argument"
						 : "no way is none to print");
	if (!err)
		err = session_heap(call->s, &a.heap);
	if (!err)
		err = session_reach(call->s, &a.reach);
	if (err)
		return err;
	a.set = a.reach->leaks->set;
	size_t i = bufset_find(a.set, call->addr);

	if (i == BUFSET_NONE)
		return err_new(ERR_NOTFOUND,
			       "0x%" PRIx64 " is in no allocated buffer",
			       call->addr);
	if (reach_hold(a.reach, i) == HOLD_LEAK)
		out_warn(call->out,
			 "path: 0x%" PRIx64 " is leaked: no root "
			 "leads to it",
			 call->addr);
	return find_and_print(&a, i);
}

static const struct dcmd dcmds[] = {
	{.name = "path",
	 .addr = ADDR_REQUIRED,
	 .usage = "",
	 .opts = opts,
	 .brief = "print the shortest way from a root to a buffer",
	 .run = dcmd_path},
	{0},
};

const struct group group_path = {.name = "path", .dcmds = dcmds};
