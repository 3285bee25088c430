/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Leaks: ::findleaks and the walkers over its result. */
#include <stdio.h>
#include <stdlib.h>
#include "audited.h"
#include "typed.h"

#define RULE                                                                 \
	"------------------------------------------------------------------" \
	"------"

/* the three tables of ::findleaks */
enum section {
	SECTION_BIG,     /* segments */
	SECTION_PLAIN,   /* buffers nobody recorded a stack of */
	SECTION_AUDITED, /* buffers with a bufctl that knows */
	SECTION_MAX
};

static const struct column big_cols[] = {
	{"bytes", "BYTES", CELL_TEXT, -16},
	{"leaked", "LEAKED", CELL_COUNT, 7},
	{"vmem_seg", "VMEM_SEG", CELL_HEX, 16},
	{"caller", "CALLER", CELL_SYM, 0},
	{"leaked_bytes", NULL, CELL_BYTES, 0},
	{"is_direct", NULL, CELL_COUNT, 0},
	{"type", NULL, CELL_TEXT, 0},
	{"shape", NULL, CELL_TEXT, 0},
	{"stack", NULL, CELL_STACK, 0},
};
static const struct column plain_cols[] = {
	{"cache", "CACHE", CELL_ADDR, -16},
	{"leaked", "LEAKED", CELL_COUNT, 7},
	{"buffer", "BUFFER", CELL_ADDR, -16},
	{"caller", "CALLER", CELL_SYM, 0},
	{"leaked_bytes", NULL, CELL_BYTES, 0},
	{"is_direct", NULL, CELL_COUNT, 0},
	{"type", NULL, CELL_TEXT, 0},
	{"shape", NULL, CELL_TEXT, 0},
	{"stack", NULL, CELL_STACK, 0},
};
static const struct column audited_cols[] = {
	{"cache", "CACHE", CELL_ADDR, -16},
	{"leaked", "LEAKED", CELL_COUNT, 7},
	{"bufctl", "BUFCTL", CELL_ADDR, -16},
	{"caller", "CALLER", CELL_SYM, 0},
	{"leaked_bytes", NULL, CELL_BYTES, 0},
	{"is_direct", NULL, CELL_COUNT, 0},
	{"type", NULL, CELL_TEXT, 0},
	{"shape", NULL, CELL_TEXT, 0},
	{"stack", NULL, CELL_STACK, 0},
};
static const struct column *const section_cols[SECTION_MAX] = {
	big_cols, plain_cols, audited_cols};
static const char *const section_heading[SECTION_MAX] = {
	"BYTES             LEAKED         VMEM_SEG CALLER",
	"CACHE             LEAKED           BUFFER CALLER",
	"CACHE             LEAKED           BUFCTL CALLER",
};

static const struct opt leak_opts[] = {
	{'d', OPT_FLAG, NULL, "print each leak in detail"},
	{'f', OPT_FLAG, NULL, "look again, forget what was found before"},
	{'r', OPT_FLAG, NULL, "print each leaked subgraph by its root"},
	{'v', OPT_FLAG, NULL, "print statistics"},
	{'u', OPT_FLAG, NULL, "look for pointers at every byte"},
	{0},
};

/* a leak as it is shown */
struct shown {
	const struct leak *leak;
	struct heap_buf rep;
	taddr_t caller;
	char *name; /* of the caller, owned */
	enum section section;
};

struct find_arg {
	struct dcmd_call *call;
	struct heap *heap;
	struct leaks *leaks;
	VEC(struct shown) shown;
	size_t nroots; /* rows of -r */
	bool is_detailed, is_verbose, by_root;
	struct pc_filter filter; /* when an address was given */
};

/* ---- what is shown --------------------------------------------------- */

static void add_shown(struct find_arg *f, const struct leak *l)
{
	struct heap_stack stack;
	struct shown s = {.leak = l};

	bufset_get(f->heap, f->leaks->set, l->buf, &s.rep);
	heap_stack_of(f->heap, l->stack, &stack);
	if (!pc_filter_passes(&f->filter, &stack))
		return;
	s.caller = heap_caller(f->heap, &stack);
	s.name = s.caller ? types_addr_name(session_types(f->call->s), s.caller)
			  : mem_strdup("?");
	if (s.rep.kind == BUF_OVERSIZE)
		s.section = SECTION_BIG;
	else
		s.section = l->stack ? SECTION_AUDITED : SECTION_PLAIN;
	VEC_PUSH(&f->shown, s);
}

static int by_caller(const void *a, const void *b)
{
	const struct shown *x = a;
	const struct shown *y = b;
	int diff = strcmp(x->name, y->name);

	if (x->section != y->section)
		return x->section < y->section ? -1 : 1;
	if (diff)
		return diff;
	return x->rep.addr < y->rep.addr ? -1 : x->rep.addr > y->rep.addr;
}

/* ---- the tables ------------------------------------------------------ */

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static taddr_t handle(const struct shown *s)
{
	return s->section == SECTION_PLAIN ? s->rep.addr : s->rep.ctl;
}

/* in JSON only: in text -d prints it */
static void leak_stack(const struct find_arg *f, const struct leak *l)
{
	struct heap_stack stack;

	heap_stack_of(f->heap, l->stack, &stack);
	if (out_is_json(f->call->out) && stack.depth)
		out_stack(f->call->out, stack.pc, stack.depth);
	else
		out_none(f->call->out);
}

static void leak_row(const struct find_arg *f, const struct shown *s)
{
	const struct leak *l = s->leak;
	struct out *o = f->call->out;
	char bytes[48];
	_free_ char *type = known_type_of_leak(f->call->s, f->leaks, l);
	_free_ char *typed = type       ? mem_printf("%s (%s)", s->name, type)
			     : l->shape ? mem_printf("%s %s", s->name, l->shape)
					: NULL;

	if (l->min_bytes == l->max_bytes)
		snprintf(bytes, sizeof(bytes), "%" PRIu64, l->max_bytes);
	else
		snprintf(bytes, sizeof(bytes), "%" PRIu64 "-%" PRIu64,
			 l->min_bytes, l->max_bytes);
	if (s->section == SECTION_BIG)
		out_str(o, bytes);
	else
		out_addr(o, s->rep.cache);
	out_u64(o, l->nbufs);
	out_addr(o, handle(s));
	if (typed && !out_is_json(o))
		out_str(o, typed);
	else if (s->caller)
		out_addr(o, s->caller);
	else
		out_str(o, "?");
	out_u64(o, l->bytes);
	out_u64(o, l->is_direct);
	out_str(o, type);
	out_str(o, l->shape);
	leak_stack(f, l);
	out_end_row(o, handle(s));
}

static void total(const struct find_arg *f, enum section section, uint64_t n,
		  uint64_t bytes)
{
	struct out *o = f->call->out;
	const char *noun = section == SECTION_BIG ? "oversized leak" : "buffer";

	if (out_is_json(o) || out_is_pipe(o))
		return;
	out_text(o, RULE "\n%16s %7" PRIu64 " %s%s, %" PRIu64 " byte%s\n",
		 "Total", n, noun, plural(n), bytes, plural(bytes));
}

static void print_section(const struct find_arg *f, enum section section,
			  bool *is_first)
{
	struct out *o = f->call->out;
	uint64_t n = 0;
	uint64_t bytes = 0;

	for (size_t i = 0; i < f->shown.n; i++) {
		const struct shown *s = &f->shown.v[i];

		if (s->section != section)
			continue;
		if (n == 0) {
			if (!*is_first && !out_is_json(o) && !out_is_pipe(o))
				out_text(o, "\n");
			*is_first = false;
			out_begin(o, section_cols[section], 9,
				  section_heading[section]);
		}
		leak_row(f, s);
		n += s->leak->nbufs;
		bytes += s->leak->bytes;
	}
	if (n == 0)
		return;
	out_end(o);
	total(f, section, n, bytes);
}

/* ---- details --------------------------------------------------------- */

static struct err *detail(const struct find_arg *f, const struct shown *s)
{
	const struct leak *l = s->leak;
	struct out *o = f->call->out;
	const char *noun = s->section == SECTION_BIG ? "vmem_seg" : "buffer";
	const char *name = heap_buf_from(f->heap, &s->rep);
	_free_ char *type = known_type_of_leak(f->call->s, f->leaks, l);

	out_text(o, "%s leak: %zu %s%s, ", name, l->nbufs, noun,
		 plural(l->nbufs));
	if (l->nbufs > 1 && l->min_bytes == l->max_bytes)
		out_text(o,
			 "%" PRIu64 " bytes each, %" PRIu64 " bytes total,\n",
			 l->max_bytes, l->bytes);
	else
		out_text(o, "%" PRIu64 " byte%s%s\n", l->bytes,
			 plural(l->bytes), l->nbufs > 1 ? " total," : "");
	if (l->nbufs > 1 || s->section == SECTION_PLAIN)
		out_text(o, "    sample addr %" PRIx64 "\n", s->rep.addr);
	if (l->shape)
		out_text(o, "    %s%s%s\n", type ? type : "", type ? " " : "",
			 l->shape);
	if (s->section == SECTION_PLAIN)
		return NULL;
	return session_run(f->call->s, s->rep.ctl,
			   s->section == SECTION_BIG ? ".::vmem_seg -v"
						     : ".::bufctl -v");
}

static void statistic(struct out *o, const char *what, uint64_t n, uint64_t of)
{
	if (of)
		out_text(o, "findleaks: %30s => %-12" PRIu64 " (%.1f%%)\n",
			 what, n, 100.0 * (double)n / (double)of);
	else
		out_text(o, "findleaks: %30s => %" PRIu64 "\n", what, n);
}

static void statistics(const struct find_arg *f)
{
	const struct leaks *l = f->leaks;
	struct out *o = f->call->out;

	statistic(o, "allocated buffers", l->nlive, 0);
	statistic(o, "allocated bytes", l->live_bytes, 0);
	statistic(o, "leaked buffers", l->nbufs, l->nlive);
	statistic(o, "leaked bytes", l->bytes, l->live_bytes);
	statistic(o, "reached by interior pointers", l->ninterior, l->nlive);
	statistic(o, "roots", l->roots->n, 0);
	statistic(o, "bytes of memory roots", l->roots->scanned_bytes, 0);
	statistic(o, "bytes of dead stack left out", l->roots->dead_stack_bytes,
		  0);
	statistic(o, "bytes of roots not in the dump", l->roots->absent_bytes,
		  0);
	statistic(o, "words looked at", l->stats.nwords, 0);
	statistic(o, "words that point at a buffer", l->stats.nhits,
		  l->stats.nwords);
}

/* ---- roots of leaks -------------------------------------------------- */

static const struct column root_cols[] = {
	{"root", "ROOT", CELL_ADDR, -16},
	{"size_bytes", "SIZE", CELL_BYTES, 9},
	{"held_bytes", "BEHIND", CELL_BYTES, 12},
	{"held_buffers", "BUFFERS", CELL_COUNT, 9},
	{NULL, "AGE", CELL_TEXT, 12},
	{"caller", "CALLER", CELL_SYM, 0},
	{"age_ns", NULL, CELL_COUNT, 0},
	{"from", NULL, CELL_TEXT, 0},
	{"log", NULL, CELL_TEXT, 0},
	{"type", NULL, CELL_TEXT, 0},
	{"stack", NULL, CELL_STACK, 0},
};

/* of the log, for one buffer */
#define RECORDS_MAX 4

struct records {
	const struct find_arg *f;
	struct strbuf text;
	unsigned n;
};

static uint64_t age_of(const struct find_arg *f, uint64_t stamp_ns)
{
	uint64_t now = f->heap->health.now_ns;

	return now && stamp_ns && stamp_ns <= now ? now - stamp_ns : 0;
}

/* "alloc 1.5 s ago by 4711 in main+0x12" */
static struct err *add_record(void *arg, const struct heap_audit *a)
{
	struct records *r = arg;
	uint64_t age = age_of(r->f, a->stamp_ns);
	taddr_t caller = heap_caller_of(r->f->heap, a->stack);
	const char *what = what_name(a->what);

	if (r->n++ == RECORDS_MAX)
		return err_new(ERR_STOP, "enough");
	if (r->text.n)
		strbuf_puts(&r->text, "; ");
	strbuf_puts(&r->text, what ? what : "?");
	if (age) {
		_free_ char *text = seconds_text(age);

		strbuf_printf(&r->text, " %s s ago", text);
	}
	strbuf_printf(&r->text, " by %u", a->tid);
	if (caller) {
		_free_ char *name =
			types_addr_name(session_types(r->f->call->s), caller);

		strbuf_printf(&r->text, " in %s", name);
	}
	return NULL;
}

/* what happened to a buffer, the last first */
static struct err *records_of(const struct find_arg *f,
			      const struct heap_audit *last, char **ret)
{
	struct records r = {.f = f};
	struct err *err = add_record(&r, last);

	if (!err && f->heap->ops->audit_at)
		err = audit_each_older(f->heap, last, add_record, &r);
	if (err_is(err, ERR_STOP) && !interrupt_flag) {
		err_free(err);
		err = NULL;
	}
	if (err)
		strbuf_free(&r.text);
	else
		*ret = r.text.s;
	return err;
}

static void age_cells(struct out *o, uint64_t age, const char *text)
{
	if (age)
		out_str(o, text);
	else
		out_none(o);
}

/* the caller, in text with the type of the buffer */
static void caller_and_type(struct out *o, struct types *types, taddr_t caller,
			    const char *type)
{
	_free_ char *name = caller ? types_addr_name(types, caller) : NULL;
	_free_ char *both =
		mem_printf("%s (%s)", name ? name : "?", type ? type : "");

	if (type && !out_is_json(o))
		out_str(o, both);
	else
		caller_or_blank(o, caller);
}

static struct err *root_row(struct find_arg *f, const struct leak_root *root)
{
	struct out *o = f->call->out;
	struct heap_audit a = {0};
	struct heap_stack stack = {0};
	struct heap_buf b;
	_free_ char *age = NULL;
	_free_ char *log = NULL;
	_free_ char *type = NULL;
	struct err *err = NULL;

	bufset_get(f->heap, f->leaks->set, root->buf, &b);
	bool has_audit =
		f->heap->ops->audit && f->heap->ops->audit(f->heap, &b, &a);

	heap_stack_of(f->heap, a.stack, &stack);
	if (!pc_filter_passes(&f->filter, &stack))
		return NULL;
	age = seconds_text(age_of(f, a.stamp_ns));
	if (has_audit)
		err = records_of(f, &a, &log);
	if (err)
		return err;
	type = known_type(f->call->s, b.addr);
	if (f->nroots++ == 0)
		out_begin(o, root_cols, 11, NULL);
	out_addr(o, b.addr);
	out_u64(o, b.req_bytes < b.size_bytes ? b.req_bytes : b.size_bytes);
	out_u64(o, root->bytes);
	out_u64(o, root->nbufs);
	age_cells(o, age_of(f, a.stamp_ns), age);
	caller_and_type(o, session_types(f->call->s),
			heap_caller(f->heap, &stack), type);
	if (age_of(f, a.stamp_ns))
		out_u64(o, age_of(f, a.stamp_ns));
	else
		out_none(o);
	out_str(o, heap_buf_from(f->heap, &b));
	out_str(o, log);
	out_str(o, type);
	if (out_is_json(o) && stack.depth)
		out_stack(o, stack.pc, stack.depth);
	else
		out_none(o);
	out_end_row(o, b.addr);
	if (log && f->is_detailed && !out_is_json(o) && !out_is_pipe(o))
		out_text(o, "    %s\n", log);
	return interrupt_check();
}

static void say_none(const struct find_arg *f)
{
	struct out *o = f->call->out;

	if (out_is_json(o) || out_is_pipe(o))
		return;
	if (f->leaks->inconclusive) {
		out_text(o, "findleaks: none found, which is no verdict\n");
	} else if (f->call->flags & DCMD_ADDRSPEC) {
		_free_ char *name = types_addr_name(session_types(f->call->s),
						    f->call->addr);

		out_text(o, "findleaks: no memory leaks matching %s found\n",
			 name);
	} else {
		out_text(o, "findleaks: no memory leaks detected\n");
	}
}

static struct err *print_roots(struct find_arg *f)
{
	struct out *o = f->call->out;
	struct err *err = NULL;

	if (f->leaks->inconclusive)
		out_warn(o, "findleaks: this is no verdict: %s",
			 f->leaks->inconclusive);
	for (size_t i = 0; !err && i < f->leaks->nlost; i++)
		err = root_row(f, &f->leaks->lost[i]);
	if (f->nroots)
		out_end(o);
	else if (!err)
		say_none(f);
	return err;
}

/* ---- ::findleaks ----------------------------------------------------- */

static struct err *print_leaks(struct find_arg *f)
{
	struct out *o = f->call->out;
	bool is_first = true;
	struct err *err = NULL;

	for (size_t i = 0; i < f->leaks->n; i++)
		add_shown(f, &f->leaks->v[i]);
	if (f->shown.n)
		qsort(f->shown.v, f->shown.n, sizeof(*f->shown.v), by_caller);
	if (f->is_verbose && !out_is_pipe(o))
		statistics(f);
	if (f->leaks->inconclusive)
		out_warn(o, "findleaks: this is no verdict: %s",
			 f->leaks->inconclusive);
	for (int i = 0; i < SECTION_MAX; i++)
		print_section(f, (enum section)i, &is_first);
	if (f->shown.n && !f->heap->ops->audit && !out_is_pipe(o) &&
	    !out_is_json(o))
		out_text(
			o,
			"\n%s heap records no callers: a row is the leaks of one "
			"cache that are of one type, or look alike\n",
			f->heap->ops->name);
	if (f->shown.n == 0)
		say_none(f);
	if (!f->is_detailed || out_is_pipe(o))
		return NULL;
	if (f->shown.n && !out_is_json(o))
		out_text(o, "\n");
	for (size_t i = 0; !err && i < f->shown.n; i++)
		err = detail(f, &f->shown.v[i]);
	return err;
}

static bool wants_types(const struct find_arg *f)
{
	return leaks_want_types(f->leaks) &&
	       f->leaks->set->n <= TYPEGRAPH_UNASKED_MAX &&
	       !session_is_replaying(f->call->s);
}

static struct err *dcmd_findleaks(struct dcmd_call *call)
{
	struct find_arg f = {.call = call};
	struct typegraph *types = NULL;
	bool is_forced = false;
	bool is_bytewise = false;
	void *const values[] = {&f.is_detailed, &is_forced, &f.by_root,
				&f.is_verbose, &is_bytewise};
	size_t first = 0;
	struct err *err = dcmd_options(call, leak_opts, values, &first);

	if (!err && first != call->argc)
		err = err_new(ERR_USAGE, "unexpected argument");
	if (!err)
		err = session_heap(call->s, &f.heap);
	if (!err && is_forced)
		session_drop_leaks(call->s);
	if (!err)
		err = session_leaks_bytewise(call->s, is_bytewise, &f.leaks);
	/* who wants to see all waits for types, too; without callers they tell
	 * more than anything else */
	if (!err && f.leaks->n && (f.is_detailed || wants_types(&f)))
		err = session_typegraph(call->s, &types);
	if (err)
		return err_prefix(err, "findleaks");
	if (call->flags & DCMD_ADDRSPEC)
		f.filter = pc_filter_of(session_types(call->s), call->addr);
	err = f.by_root ? print_roots(&f) : print_leaks(&f);
	for (size_t i = 0; i < f.shown.n; i++)
		mem_free(f.shown.v[i].name);
	VEC_FREE(&f.shown);
	return err;
}

/* ---- walkers --------------------------------------------------------- */

/* does an address given to a walker mean this leak? */
static bool is_of(struct heap *heap, const struct leaks *leaks,
		  const struct leak *l, taddr_t addr)
{
	for (size_t i = 0; i < l->nbufs; i++) {
		struct heap_buf b;

		bufset_get(heap, leaks->set, l->members[i], &b);
		if (b.addr == addr || b.ctl == addr)
			return true;
	}
	return false;
}

static struct err *walk_one(struct heap *heap, const struct leaks *leaks,
			    const struct leak *l, bool wants_bufs, walk_fn *fn,
			    void *arg)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < l->nbufs; i++) {
		struct heap_buf b;

		bufset_get(heap, leaks->set, l->members[i], &b);
		bool has_ctl = l->stack || b.kind == BUF_OVERSIZE;

		err = fn(arg, wants_bufs || !has_ctl ? b.addr : b.ctl);
	}
	return err;
}

/* data: not NULL for buffers, NULL for their bufctls */
static struct err *walk_leak(struct session *s, const struct walker *walker,
			     bool has_addr, taddr_t addr, walk_fn *fn,
			     void *arg)
{
	struct leaks *leaks = NULL;
	struct heap *heap = NULL;
	struct err *err = NULL;

	if (!session_has_leaks(s))
		return err_new(ERR_NOTFOUND,
			       "::findleaks must be run (to completion) before "
			       "leaks can be walked");
	err = session_heap(s, &heap);
	if (!err)
		err = session_leaks(s, &leaks);
	for (size_t i = 0; !err && i < leaks->n; i++)
		if (!has_addr || is_of(heap, leaks, &leaks->v[i], addr))
			err = walk_one(heap, leaks, &leaks->v[i],
				       walker->data != NULL, fn, arg);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "findleaks",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .opts = leak_opts,
	 .brief = "find allocated buffers that nothing points at",
	 .run = dcmd_findleaks},
	{0},
};

static const struct walker walkers[] = {
	{"leak", "leaked bufctls and segments, all or of one leak",
	 ADDR_OPTIONAL, NULL, walk_leak},
	{"leakbuf", "leaked buffers, all or of one leak", ADDR_OPTIONAL, "b",
	 walk_leak},
	{0},
};

const struct group group_leaks = {
	.name = "leaks", .dcmds = dcmds, .walkers = walkers};
