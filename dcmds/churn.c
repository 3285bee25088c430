/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ::churn and ::lifetimes: the call sites of the transaction log.
 *
 * The log comes newest first, so the free of a buffer comes before the
 * allocation it ends, and is remembered until then.  What is older than what the
 * log tells whole is left out: a free may be missing there.
 */
#include <stdlib.h>
#include "churn.h"
#include "draw.h"

#define NDECADES 10 /* below 1 us, 10 us, ... and the rest */

struct site {
	taddr_t caller; /* 0: not recorded */
	uint64_t nallocs, nfrees, bytes;
	/* of those allocated here */
	uint64_t nlive, min_ns, max_ns, sum_ns, nended;
	uint64_t decade[NDECADES];
};

struct churn {
	struct dcmd_call *call;
	struct heap *heap;
	struct record_sizes sizes;
	uint64_t since_ns, nleft_out, nseen;
	struct hash by_stack;  /* id -> caller */
	struct hash by_caller; /* -> sites[] + 1 */
	struct hash freed;     /* buffer -> when it was freed, 0: live */
	VEC(struct site) sites;
};

/* ---- records --------------------------------------------------------- */

static struct err *take_size(void *arg, const struct heap_cache *c)
{
	struct record_sizes *sizes = arg;

	*hash_put(&sizes->by_cache, c->addr, NULL) =
		c->is_internal ? 0 : c->bufsize_bytes + 1;
	return NULL;
}

struct err *record_sizes_open(struct heap *heap, struct record_sizes *ret)
{
	hash_init(&ret->by_cache);
	return heap->ops->caches(heap, take_size, ret);
}

void record_sizes_close(struct record_sizes *sizes)
{
	hash_fini(&sizes->by_cache);
}

bool record_size(const struct record_sizes *sizes, const struct heap_audit *a,
		 uint64_t *ret)
{
	const uint64_t *bytes = hash_get(&sizes->by_cache, a->cache);

	if (a->what != HEAP_ALLOC && a->what != HEAP_FREE)
		return false;
	*ret = bytes && *bytes ? *bytes - 1 : a->large_bytes;
	return !bytes || *bytes;
}

static taddr_t caller_of(struct churn *c, uint32_t stack)
{
	bool is_new = false;
	uint64_t *caller = hash_put(&c->by_stack, stack, &is_new);

	if (is_new)
		*caller = heap_caller_of(c->heap, stack);
	return *caller;
}

static struct site *site_of(struct churn *c, uint32_t stack)
{
	taddr_t caller = caller_of(c, stack);
	uint64_t *at = hash_put(&c->by_caller, caller, NULL);

	if (!*at) {
		VEC_PUSH(&c->sites, ((struct site){.caller = caller,
						   .min_ns = UINT64_MAX}));
		*at = c->sites.n;
	}
	return &c->sites.v[*at - 1];
}

static void add_life(struct site *site, uint64_t ns)
{
	uint64_t limit = 1000;
	unsigned i = 0;

	for (; i < NDECADES - 1 && ns >= limit; i++)
		limit *= 10;
	site->decade[i]++;
	site->nended++;
	site->sum_ns += ns;
	if (ns < site->min_ns)
		site->min_ns = ns;
	if (ns > site->max_ns)
		site->max_ns = ns;
}

static struct err *take_record(void *arg, const struct heap_audit *a)
{
	struct churn *c = arg;
	uint64_t bytes = 0;

	progress_set("reading the log", c->nseen++, 0);
	if (!record_size(&c->sizes, a, &bytes))
		return NULL;
	if (a->stamp_ns <= c->since_ns && c->since_ns) {
		c->nleft_out++;
		return NULL;
	}
	struct site *site = site_of(c, a->stack);
	uint64_t *freed_ns = hash_put(&c->freed, a->buf, NULL);

	if (a->what == HEAP_FREE) {
		site->nfrees++;
		*freed_ns = a->stamp_ns;
		return NULL;
	}
	site->nallocs++;
	site->bytes += bytes;
	if (*freed_ns)
		add_life(site, *freed_ns - a->stamp_ns);
	else
		site->nlive++;
	*freed_ns = 0;
	return NULL;
}

static struct err *read_log(struct churn *c)
{
	struct heap_coverage covered;
	struct err *err = session_heap(c->call->s, &c->heap);

	if (!err && (!c->heap->ops->log || !c->heap->ops->coverage))
		err = err_new(ERR_NOSUP, "%s heap keeps no log",
			      c->heap->ops->name);
	if (!err && !c->heap->ops->coverage(c->heap, &covered))
		err = err_new(ERR_NOTFOUND, "log is disabled");
	if (!err)
		err = record_sizes_open(c->heap, &c->sizes);
	if (err)
		return err;
	c->since_ns = covered.since_ns;
	return c->heap->ops->log(c->heap, HEAP_LOG_TRANSACTION, 0, take_record,
				 c);
}

static void churn_init(struct churn *c)
{
	hash_init(&c->sizes.by_cache);
	hash_init(&c->by_stack);
	hash_init(&c->by_caller);
	hash_init(&c->freed);
}

static void churn_fini(struct churn *c)
{
	record_sizes_close(&c->sizes);
	hash_fini(&c->by_stack);
	hash_fini(&c->by_caller);
	hash_fini(&c->freed);
	VEC_FREE(&c->sites);
}

static void say_left_out(const struct churn *c)
{
	if (c->nleft_out)
		out_warn(c->call->out,
			 "%" PRIu64 " records are older than what the log "
			 "tells whole and left out",
			 c->nleft_out);
}

/* ---- ::churn --------------------------------------------------------- */

static const struct column churn_cols[] = {
	{"transactions", "TRANSACTIONS", CELL_COUNT, 12},
	{"allocs", "ALLOCS", CELL_COUNT, 10},
	{"frees", "FREES", CELL_COUNT, 10},
	{"allocated_bytes", "BYTES", CELL_BYTES, 14},
	{"caller", "CALLER", CELL_SYM, 0},
};

static int by_transactions(const void *a, const void *b)
{
	const struct site *x = a;
	const struct site *y = b;
	uint64_t nx = x->nallocs + x->nfrees;
	uint64_t ny = y->nallocs + y->nfrees;

	if (nx != ny)
		return nx > ny ? -1 : 1;
	return x->caller < y->caller ? -1 : x->caller > y->caller;
}

static void print_churn(struct churn *c)
{
	struct out *o = c->call->out;

	if (c->sites.n)
		qsort(c->sites.v, c->sites.n, sizeof(*c->sites.v),
		      by_transactions);
	out_begin(o, churn_cols, 5, NULL);
	for (size_t i = 0; i < c->sites.n; i++) {
		const struct site *s = &c->sites.v[i];

		out_u64(o, s->nallocs + s->nfrees);
		out_u64(o, s->nallocs);
		out_u64(o, s->nfrees);
		out_u64(o, s->bytes);
		caller_or_blank(o, s->caller);
		out_end_row(o, s->caller);
	}
	out_end(o);
	say_left_out(c);
}

/* ---- ::lifetimes ----------------------------------------------------- */

static const struct column life_cols[] = {
	{"ended", "ENDED", CELL_COUNT, 9},
	{"live", "LIVE", CELL_COUNT, 9},
	{NULL, "SHORTEST", CELL_TEXT, 9},
	{NULL, "MEAN", CELL_TEXT, 9},
	{NULL, "LONGEST", CELL_TEXT, 9},
	{NULL, "1us->100s", CELL_TEXT, -NDECADES},
	{"min_ns", NULL, CELL_COUNT, 0},
	{"mean_ns", NULL, CELL_COUNT, 0},
	{"max_ns", NULL, CELL_COUNT, 0},
	{"below_1us", NULL, CELL_COUNT, 0},
	{"below_10us", NULL, CELL_COUNT, 0},
	{"below_100us", NULL, CELL_COUNT, 0},
	{"below_1ms", NULL, CELL_COUNT, 0},
	{"below_10ms", NULL, CELL_COUNT, 0},
	{"below_100ms", NULL, CELL_COUNT, 0},
	{"below_1s", NULL, CELL_COUNT, 0},
	{"below_10s", NULL, CELL_COUNT, 0},
	{"below_100s", NULL, CELL_COUNT, 0},
	{"longer", NULL, CELL_COUNT, 0},
	{"caller", "CALLER", CELL_SYM, 0},
};

/* "12.3us" */
static char *short_time(uint64_t ns)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	uint64_t tenths = ns * 10;
	unsigned i = 0;

	if (ns > UINT64_MAX / 10)
		return mem_strdup("-");
	for (; i < 3 && tenths >= 10000; i++)
		tenths /= 1000;
	if (tenths % 10 == 0 || tenths >= 1000)
		return mem_printf("%" PRIu64 "%s", tenths / 10, units[i]);
	return mem_printf("%" PRIu64 ".%" PRIu64 "%s", tenths / 10, tenths % 10,
			  units[i]);
}

static int by_lives(const void *a, const void *b)
{
	const struct site *x = a;
	const struct site *y = b;

	if (x->nallocs != y->nallocs)
		return x->nallocs > y->nallocs ? -1 : 1;
	return x->caller < y->caller ? -1 : x->caller > y->caller;
}

static void out_time(struct out *o, const struct site *s, uint64_t ns)
{
	_free_ char *text = s->nended ? short_time(ns) : NULL;

	text_or_none(o, text);
}

static void out_ns(struct out *o, const struct site *s, uint64_t ns)
{
	if (s->nended)
		out_u64(o, ns);
	else
		out_none(o);
}

static void print_site(struct out *o, const struct site *s, bool is_ascii)
{
	uint64_t mean_ns = s->nended ? s->sum_ns / s->nended : 0;
	struct strbuf bars = {0};
	uint64_t most = 1;

	for (unsigned i = 0; i < NDECADES; i++)
		if (s->decade[i] > most)
			most = s->decade[i];
	for (unsigned i = 0; i < NDECADES; i++)
		strbuf_puts(&bars, draw_level(s->decade[i], most, is_ascii));
	out_u64(o, s->nended);
	out_u64(o, s->nlive);
	out_time(o, s, s->min_ns);
	out_time(o, s, mean_ns);
	out_time(o, s, s->max_ns);
	out_str(o, strbuf_str(&bars));
	out_ns(o, s, s->min_ns);
	out_ns(o, s, mean_ns);
	out_ns(o, s, s->max_ns);
	for (unsigned i = 0; i < NDECADES; i++)
		out_u64(o, s->decade[i]);
	caller_or_blank(o, s->caller);
	out_end_row(o, s->caller);
	strbuf_free(&bars);
}

static void print_lives(struct churn *c, bool is_ascii)
{
	struct out *o = c->call->out;

	if (c->sites.n)
		qsort(c->sites.v, c->sites.n, sizeof(*c->sites.v), by_lives);
	out_begin(o, life_cols, sizeof(life_cols) / sizeof(*life_cols), NULL);
	for (size_t i = 0; i < c->sites.n; i++)
		if (c->sites.v[i].nallocs)
			print_site(o, &c->sites.v[i], is_ascii);
	out_end(o);
	say_left_out(c);
}

/* ---- the commands ---------------------------------------------------- */

static const struct opt life_opts[] = {
	{'A', OPT_FLAG, NULL, "ASCII only"},
	{0},
};

static struct err *dcmd_churn(struct dcmd_call *call)
{
	struct churn c = {.call = call};
	struct err *err = NULL;

	if (call->argc)
		return err_new(ERR_USAGE, "unexpected argument");
	churn_init(&c);
	err = read_log(&c);
	if (!err)
		print_churn(&c);
	churn_fini(&c);
	return err;
}

static struct err *dcmd_lifetimes(struct dcmd_call *call)
{
	struct churn c = {.call = call};
	bool is_ascii = false;
	void *const values[] = {&is_ascii};
	size_t first = 0;
	struct err *err = dcmd_options(call, life_opts, values, &first);

	if (!err && first != call->argc)
		err = err_new(ERR_USAGE, "unexpected argument");
	if (err)
		return err;
	churn_init(&c);
	err = read_log(&c);
	if (!err)
		print_lives(&c, draw_is_ascii(is_ascii));
	churn_fini(&c);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "churn",
	 .addr = ADDR_NONE,
	 .usage = "",
	 .brief = "rank the call sites by transactions of the log",
	 .run = dcmd_churn},
	{.name = "lifetimes",
	 .addr = ADDR_NONE,
	 .usage = "[-A]",
	 .opts = life_opts,
	 .brief = "how long what each call site allocated lived",
	 .run = dcmd_lifetimes},
	{0},
};

const struct group group_churn = {.name = "churn", .dcmds = dcmds};
