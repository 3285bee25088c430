/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where a value is in memory: ::kgrep ::whatthread.
 *
 * A value matches if (value & mask) - base < dist, as unsigned numbers of its
 * size: exact is dist 1, a range another dist, a mask another mask.  Memory is
 * taken as it lies in the file, a block of values at a time: only in a block
 * where any matches is each looked at.
 *
 * Long pieces are sifted first, on all processors: that says only which chunks
 * have a match at all.  Those are then searched in order, by one thread.
 */
#include "thread.h"

#define BLOCK      64   /* values */
#define READ_BYTES 4096 /* of what is not in the core, but in a file */
#define POLL_BYTES (1u << 22)
#define RED_ZONE   128
/* what one thread sifts in one go, and all of them before anything is told */
#define CHUNK_BYTES (1u << 18)
#define SIFT_BYTES  (1u << 26)

struct search {
	const struct target *t;
	unsigned size; /* of a value: 1, 2, 4 or 8 */
	uint64_t mask, base, dist;
	struct err *(*found)(void *arg, taddr_t at, uint64_t value);
	void *arg;
	uint64_t nread, total, unpolled;
};

static uint64_t load(const unsigned char *p, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, p, size); /* the target is little endian, as we are */
	return v;
}

static bool is_match(const struct search *s, uint64_t value)
{
	uint64_t low =
		s->size == 8 ? ~(uint64_t)0 : ((uint64_t)1 << s->size * 8) - 1;

	return (((value & s->mask) - s->base) & low) < s->dist;
}

/* any match among whole words?  Simple enough for vectors. */
static bool any_word(const struct search *s, const unsigned char *p)
{
	uint64_t mask = s->mask;
	uint64_t base = s->base;
	uint64_t dist = s->dist;
	unsigned any = 0;

	for (unsigned i = 0; i < BLOCK; i++) {
		uint64_t v;

		memcpy(&v, p + i * sizeof(v), sizeof(v));
		any |= (v & mask) - base < dist;
	}
	return any;
}

static struct err *scan(struct search *s, const unsigned char *p, size_t n,
			taddr_t at)
{
	struct err *err = NULL;
	size_t i = (size_t)(-at & (s->size - 1)); /* natural alignment */

	while (!err && i + s->size <= n) {
		size_t bytes = BLOCK * s->size;

		if (s->size == 8 && i + bytes <= n && !any_word(s, p + i)) {
			i += bytes;
			continue;
		}
		for (size_t end = i + bytes;
		     !err && i < end && i + s->size <= n; i += s->size) {
			uint64_t v = load(p + i, s->size);

			if (is_match(s, v))
				err = s->found(s->arg, at + i, v);
		}
	}
	return err;
}

/* ---- on all processors ------------------------------------------------ */

struct sieve {
	const struct search *s;
	const unsigned char *p;
	size_t n;
	size_t next; /* chunk, counted up by whoever takes one */
	bool has_match[SIFT_BYTES / CHUNK_BYTES];
};

static bool any_match(const struct search *s, const unsigned char *p, size_t n)
{
	size_t bytes = s->size == 8 ? BLOCK * s->size : s->size;
	size_t i = 0;

	for (; i + bytes <= n; i += bytes)
		if (s->size == 8 ? any_word(s, p + i)
				 : is_match(s, load(p + i, s->size)))
			return true;
	return i < n; /* less than a block: look */
}

static void sift(void *arg, unsigned worker)
{
	struct sieve *v = arg;

	(void)worker;
	while (!jobs_is_stopped()) {
		size_t i = __atomic_fetch_add(&v->next, 1, __ATOMIC_RELAXED);
		size_t from = i * CHUNK_BYTES;

		if (from >= v->n)
			return;
		v->has_match[i] = any_match(
			v->s, v->p + from,
			v->n - from < CHUNK_BYTES ? v->n - from : CHUNK_BYTES);
	}
}

/* at is aligned, n at most SIFT_BYTES */
static struct err *search_sifted(struct search *s, const unsigned char *p,
				 size_t n, taddr_t at)
{
	struct sieve v = {.s = s, .p = p, .n = n};
	struct err *err = NULL;

	jobs_run(jobs_for(n / s->size), sift, &v);
	err = interrupt_check();
	for (size_t from = 0; !err && from < n; from += CHUNK_BYTES) {
		size_t left = n - from;

		if (v.has_match[from / CHUNK_BYTES])
			err = scan(s, p + from,
				   left < CHUNK_BYTES ? left : CHUNK_BYTES,
				   at + from);
	}
	return err;
}

/* searches what can be read of [start, end) */
static struct err *search_range(struct search *s, taddr_t start, taddr_t end)
{
	unsigned char copy[READ_BYTES];
	taddr_t at = start;
	struct err *err = NULL;

	while (!err && at < end) {
		size_t len = 0;
		const unsigned char *p = target_peek(s->t, at, &len);
		uint64_t left = end - at;

		if (!p || len == 0) {
			len = READ_BYTES - at % READ_BYTES;
			if (len > left)
				len = left;
			err = target_read(s->t, at, copy, len);
			p = err ? NULL : copy;
			err_free(err);
			err = NULL;
		}
		if (len > left)
			len = left;
		bool is_long = len > POLL_BYTES && at % sizeof(uint64_t) == 0;

		if (is_long && len > SIFT_BYTES)
			len = SIFT_BYTES;
		else if (!is_long && len > POLL_BYTES)
			len = POLL_BYTES - at % READ_BYTES;
		if (p) {
			err = is_long ? search_sifted(s, p, len, at)
				      : scan(s, p, len, at);
			s->nread += len;
		}
		at += len;
		s->unpolled += len;
		if (s->unpolled < POLL_BYTES)
			continue;
		s->unpolled = 0;
		progress_set("searching", s->nread, s->total);
		if (!err)
			err = interrupt_check();
	}
	return err;
}

/* the part of a map of which there are bytes somewhere */
static taddr_t readable_end(const struct target_map *map)
{
	if (map->prot == 0 || map->presence == MAP_ABSENT)
		return map->start;
	return map->presence == MAP_PARTLY && !map->path ? map->core_end
							 : map->end;
}

static struct err *search_maps(struct search *s, taddr_t lowest,
			       taddr_t highest)
{
	struct err *err = NULL;

	for (size_t i = 0; i < target_nmaps(s->t); i++) {
		const struct target_map *map = target_map(s->t, i);

		s->total += readable_end(map) - map->start;
	}
	for (size_t i = 0; !err && i < target_nmaps(s->t); i++) {
		const struct target_map *map = target_map(s->t, i);
		taddr_t start = map->start > lowest ? map->start : lowest;
		taddr_t end = readable_end(map);

		if (end > highest)
			end = highest;
		if (start < end)
			err = search_range(s, start, end);
	}
	return err;
}

/* ---- ::kgrep --------------------------------------------------------- */

static const struct opt grep_opts[] = {
	{'v', OPT_FLAG, NULL, "print the value, too"},
	{'d', OPT_NUMBER, "dist", "any value in [addr, addr + dist)"},
	{'m', OPT_NUMBER, "mask", "values that are addr under a mask"},
	{'M', OPT_NUMBER, "invmask", "values that are addr but for these bits"},
	{'a', OPT_NUMBER, "minad", "only from this address on"},
	{'A', OPT_NUMBER, "maxad", "only below this address"},
	{'s', OPT_NUMBER, "size", "of a value: 1, 2, 4 or 8 bytes; default 8"},
	{0},
};

static const struct column grep_cols[] = {
	{"addr", NULL, CELL_ADDR, 0},
	{"value", NULL, CELL_HEX, 0},
};

struct grep_arg {
	struct dcmd_call *call;
	bool is_verbose;
	uint64_t dist, mask, invmask, lowest, highest, size;
};

static struct err *print_hit(void *arg, taddr_t at, uint64_t value)
{
	const struct grep_arg *g = arg;
	struct out *o = g->call->out;

	if (!out_is_json(o) && !out_is_pipe(o)) {
		if (g->is_verbose)
			out_text(o, "%" PRIx64 ":\t%" PRIx64 "\n", at, value);
		else
			out_text(o, "%" PRIx64 "\n", at);
		return NULL;
	}
	out_addr(o, at);
	out_u64(o, value);
	out_end_row(o, at);
	return NULL;
}

/* what the options mean as (value & mask) - base < dist */
static struct err *make_search(const struct grep_arg *g, struct search *s)
{
	taddr_t addr = g->call->addr;
	uint64_t all = 0;

	if (g->size != 1 && g->size != 2 && g->size != 4 && g->size != 8)
		return err_new(ERR_USAGE,
			       g->size & (g->size - 1)
				       ? "size must be a power of 2"
				       : "size must be 1, 2, 4 or 8");
	s->size = (unsigned)g->size;
	all = s->size == 8 ? ~(uint64_t)0 : ((uint64_t)1 << s->size * 8) - 1;
	if ((g->dist != 0) + (g->mask != 0) + (g->invmask != 0) > 1)
		return err_new(ERR_USAGE,
			       "only one of -d, -m and -M may be specified");
	s->mask = g->mask ? g->mask : ~g->invmask;
	s->mask &= all;
	s->base = addr;
	s->dist = g->dist ? g->dist : 1;
	if (addr & ~all)
		return err_new(ERR_USAGE,
			       "0x%" PRIx64 " does not fit in %u bytes", addr,
			       s->size);
	if (s->dist - 1 > all - addr)
		return err_new(ERR_USAGE,
			       "0x%" PRIx64 " + 0x%" PRIx64
			       " does not fit in %u bytes",
			       addr, g->dist, s->size);
	if (addr & ~s->mask)
		out_warn(g->call->out, "warning: pattern does not match mask");
	return NULL;
}

static struct err *dcmd_kgrep(struct dcmd_call *call)
{
	struct grep_arg g = {.call = call, .size = 8, .highest = UINT64_MAX};
	void *const values[] = {&g.is_verbose, &g.dist,    &g.mask, &g.invmask,
				&g.lowest,     &g.highest, &g.size};
	struct search s = {
		.t = session_target(call->s), .found = print_hit, .arg = &g};
	size_t first = 0;
	struct err *err = dcmd_options(call, grep_opts, values, &first);

	if (!err && first != call->argc)
		err = err_new(ERR_USAGE, "unexpected argument");
	if (!err)
		err = make_search(&g, &s);
	if (err)
		return err;
	out_begin(call->out, grep_cols, 2, "");
	err = search_maps(&s, g.lowest, g.highest);
	out_end(call->out);
	if (!err && s.nread == 0)
		out_warn(call->out, "warning: nothing searched");
	return err;
}

/* ---- ::whatthread ---------------------------------------------------- */

static const struct opt whatthread_opts[] = {
	{'v', OPT_FLAG, NULL, "each place, and how the thread is busy"},
	{0},
};

static const struct column whatthread_cols[] = {
	{"thread", NULL, CELL_COUNT, 0},
	{"addr", NULL, CELL_ADDR, 0},
};

struct whatthread_arg {
	struct dcmd_call *call;
	const struct target_thread *th;
	bool is_verbose;
};

static struct err *stack_hit(void *arg, taddr_t at, uint64_t value)
{
	const struct whatthread_arg *w = arg;
	struct out *o = w->call->out;

	(void)value; /* is the one looked for */
	if (out_is_json(o) || out_is_pipe(o)) {
		out_u64(o, w->th->tid);
		out_addr(o, at);
		out_end_row(o, w->th->tid);
	} else if (w->is_verbose) {
		_free_ char *pc =
			session_frame_name(w->call->s, w->th->regs.rip);

		out_text(o,
			 "%" PRIx64 " in thread %x's stack, which is at %s\n",
			 at, w->th->tid, pc);
	} else {
		out_text(o, "0x%x\n", w->th->tid);
	}
	/* without -v each thread is told once */
	return w->is_verbose || out_is_json(o)
		       ? NULL
		       : err_new(ERR_STOP, "one will do");
}

/* where the stack of a thread ends: its map does, or that of another thread in
 * the same map begins */
static taddr_t stack_end(const struct target *t, const struct target_map *map,
			 taddr_t sp)
{
	taddr_t end = map->end;

	for (size_t i = 0; i < target_nthreads(t); i++) {
		const struct target_thread *th = target_thread(t, i);

		if ((th->has_regs || th->regs_partial) && th->regs.rsp > sp &&
		    th->regs.rsp < end)
			end = th->regs.rsp;
	}
	return end;
}

static struct err *search_stack(struct whatthread_arg *w, struct search *s)
{
	taddr_t sp = w->th->regs.rsp;
	const struct target_map *map = target_map_at(s->t, sp);

	if ((!w->th->has_regs && !w->th->regs_partial) || !map)
		return NULL;
	taddr_t start = sp;

	if (!w->th->is_at_call && sp - map->start > RED_ZONE)
		start = sp - RED_ZONE;
	struct err *err = search_range(s, start, stack_end(s->t, map, sp));

	if (err_is(err, ERR_STOP) && !interrupt_flag) {
		err_free(err);
		return NULL;
	}
	return err;
}

static struct err *dcmd_whatthread(struct dcmd_call *call)
{
	struct whatthread_arg w = {.call = call};
	void *const values[] = {&w.is_verbose};
	struct search s = {
		.t = session_target(call->s),
		.size = 8,
		.mask = ~(uint64_t)0,
		.base = call->addr,
		.dist = 1,
		.found = stack_hit,
		.arg = &w,
	};
	size_t first = 0;
	struct err *err = dcmd_options(call, whatthread_opts, values, &first);

	if (!err && first != call->argc)
		err = err_new(ERR_USAGE, "unexpected argument");
	if (err)
		return err;
	out_begin(call->out, whatthread_cols, 2, "");
	for (size_t i = 0; !err && i < target_nthreads(s.t); i++) {
		w.th = target_thread(s.t, i);
		err = search_stack(&w, &s);
	}
	out_end(call->out);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "kgrep",
	 .addr = ADDR_REQUIRED,
	 .usage = "",
	 .opts = grep_opts,
	 .brief = "find a value in all memory",
	 .run = dcmd_kgrep},
	{.name = "ugrep",
	 .addr = ADDR_REQUIRED,
	 .usage = "",
	 .opts = grep_opts,
	 .brief = "alias of ::kgrep",
	 .run = dcmd_kgrep},
	{.name = "whatthread",
	 .addr = ADDR_REQUIRED,
	 .usage = "",
	 .opts = whatthread_opts,
	 .brief = "find a value in the stacks of the threads",
	 .run = dcmd_whatthread},
	{0},
};

const struct group group_search = {.name = "search", .dcmds = dcmds};
