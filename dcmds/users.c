/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who uses the memory: ::kmausers, ::allocdby, ::freedby and their walkers. */
#include <stdlib.h>
#include "audited.h"

/* ---- ::kmausers ------------------------------------------------------ */

/* below both of these a user is not worth a stack, unless with -e */
#define USER_BYTES_MIN 8192
#define USER_COUNT_MIN 100

static const struct column user_cols[] = {
	{"total_bytes", NULL, CELL_BYTES, 0}, {"count", NULL, CELL_COUNT, 0},
	{"size_bytes", NULL, CELL_BYTES, 0},  {"bufctl", NULL, CELL_ADDR, 0},
	{"stack", NULL, CELL_STACK, 0},
};
static const struct column each_cols[] = {
	{"size_bytes", NULL, CELL_BYTES, 0}, {"bufctl", NULL, CELL_ADDR, 0},
	{"buffer", NULL, CELL_ADDR, 0},      {"thread", NULL, CELL_COUNT, 0},
	{"cache", NULL, CELL_TEXT, 0},       {"stack", NULL, CELL_STACK, 0},
};

static const struct opt user_opts[] = {
	{'e', OPT_FLAG, NULL, "the small users, too"},
	{'f', OPT_FLAG, NULL, "each allocation before the sums"},
	{'F', OPT_FLAG, "--folded",
	 "folded stacks and bytes, for flame graphs"},
	{0},
};

/* buffers of one size from one stack */
struct usage {
	uint64_t size_bytes, count;
	uint32_t stack;
	taddr_t ctl; /* of one of them */
};

struct users_arg {
	struct dcmd_call *call;
	struct heap *heap;
	bool has_all, has_each, is_folded;
	VEC(struct usage) users;
	struct hash index; /* stack and size -> users[] + 1 */
	uint64_t nseen;
	/* the cache asked for by name */
	const char *wanted;
	taddr_t cache;
	bool has_audit;
	unsigned naudited;
};

static void add_user(struct users_arg *u, const struct heap_buf *b,
		     const struct heap_audit *au)
{
	struct usage one = {.size_bytes = b->req_bytes,
			    .stack = au->stack,
			    .ctl = au->addr};
	const uint64_t words[2] = {au->stack, b->req_bytes};
	uint64_t key = hash_bytes(words, sizeof(words), 0);
	uint64_t *at = hash_put(&u->index, key, NULL);

	/* a key may be taken by another: then the next one is asked */
	while (*at && (u->users.v[*at - 1].stack != one.stack ||
		       u->users.v[*at - 1].size_bytes != one.size_bytes))
		at = hash_put(&u->index, ++key, NULL);
	if (!*at) {
		VEC_PUSH(&u->users, one);
		*at = u->users.n;
	}
	u->users.v[*at - 1].count++;
}

static void print_each(const struct users_arg *u, const struct heap_buf *b,
		       const struct heap_audit *au)
{
	struct out *o = u->call->out;
	struct heap_stack stack;
	const char *name = heap_buf_from(u->heap, b);

	heap_stack_of(u->heap, au->stack, &stack);
	if (!out_is_json(o)) {
		out_text(o,
			 "size %" PRIu64 ", addr %" PRIx64
			 ", thread %u, cache %s\n",
			 b->req_bytes, au->addr, au->tid, name);
		print_frames(u->call, &stack);
		return;
	}
	out_begin(o, each_cols, 6, "");
	out_u64(o, b->req_bytes);
	out_addr(o, au->addr);
	out_addr(o, b->addr);
	out_u64(o, au->tid);
	out_str(o, name);
	out_stack(o, stack.pc, stack.depth);
	out_end_row(o, au->addr);
	out_end(o);
}

static struct err *take_buf(void *arg, const struct heap_buf *b)
{
	struct users_arg *u = arg;
	struct heap_audit au;

	progress_set("summing up", u->nseen++, 0);
	if (!u->heap->ops->audit(u->heap, b, &au))
		return NULL;
	if ((u->call->flags & DCMD_ADDRSPEC) && au.tid != u->call->addr)
		return NULL;
	if (u->has_each && !out_is_pipe(u->call->out))
		print_each(u, b, &au);
	add_user(u, b, &au);
	return NULL;
}

static int most_bytes_first(const void *a, const void *b)
{
	const struct usage *x = a;
	const struct usage *y = b;
	uint64_t nx = x->size_bytes * x->count;
	uint64_t ny = y->size_bytes * y->count;

	if (nx != ny)
		return nx > ny ? -1 : 1;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return x->ctl < y->ctl ? -1 : x->ctl > y->ctl;
}

static void print_user(const struct users_arg *u, const struct usage *user)
{
	struct out *o = u->call->out;
	uint64_t bytes = user->size_bytes * user->count;
	struct heap_stack stack;

	if (!u->has_all && bytes < USER_BYTES_MIN &&
	    user->count < USER_COUNT_MIN)
		return;
	heap_stack_of(u->heap, user->stack, &stack);
	if (!out_is_json(o) && !out_is_pipe(o)) {
		out_text(o,
			 "%" PRIu64 " bytes for %" PRIu64
			 " allocations with data size %" PRIu64 ":\n",
			 bytes, user->count, user->size_bytes);
		print_frames(u->call, &stack);
		return;
	}
	out_u64(o, bytes);
	out_u64(o, user->count);
	out_u64(o, user->size_bytes);
	out_addr(o, user->ctl);
	out_stack(o, stack.pc, stack.depth);
	out_end_row(o, user->ctl);
}

static struct err *match_audited(void *arg, const struct heap_cache *c)
{
	struct users_arg *u = arg;

	u->naudited += c->has_audit;
	if (u->wanted && strcmp(c->name, u->wanted) == 0) {
		u->cache = c->addr;
		u->has_audit = c->has_audit;
	}
	return NULL;
}

/* the buffers of a cache named by an argument */
static struct err *take_named(struct users_arg *u, const struct arg *arg)
{
	_free_ char *name = arg->type == ARG_STRING
				    ? mem_strdup(arg->str)
				    : mem_printf("0x%" PRIx64, arg->num);

	u->wanted = name;
	u->cache = 0;
	struct err *err = u->heap->ops->caches(u->heap, match_audited, u);

	u->wanted = NULL;
	if (err)
		return err;
	if (!u->cache)
		return err_new(ERR_NOTFOUND, "unknown kmem cache: %s", name);
	if (!u->has_audit)
		return err_new(ERR_NOTFOUND, "KMF_AUDIT is not enabled for %s",
			       name);
	return u->heap->ops->bufs(u->heap, u->cache, BUF_ALLOCATED, take_buf,
				  u);
}

static struct err *take_all(struct users_arg *u)
{
	struct err *err = u->heap->ops->caches(u->heap, match_audited, u);

	if (!err && u->naudited == 0)
		err = err_new(ERR_NOTFOUND,
			      "KMF_AUDIT is not enabled for any caches");
	return err ? err
		   : u->heap->ops->bufs(u->heap, 0, BUF_ALLOCATED, take_buf, u);
}

/* the same stack may have had several sizes */
static int by_stack(const void *a, const void *b)
{
	const struct usage *x = a;
	const struct usage *y = b;

	return x->stack < y->stack ? -1 : x->stack > y->stack;
}

static const struct column folded_cols[] = {
	{"folded", "", CELL_TEXT, 1},
	{"total_bytes", "", CELL_BYTES, 0},
	{"count", NULL, CELL_COUNT, 0},
};

static void print_folded(struct users_arg *u)
{
	struct out *o = u->call->out;

	if (u->users.n)
		qsort(u->users.v, u->users.n, sizeof(*u->users.v), by_stack);
	out_begin(o, folded_cols, 3, "");
	for (size_t i = 0; i < u->users.n;) {
		struct usage sum = u->users.v[i];
		struct heap_stack stack;

		sum.size_bytes *= sum.count;
		for (i++; i < u->users.n && u->users.v[i].stack == sum.stack;
		     i++) {
			sum.size_bytes +=
				u->users.v[i].size_bytes * u->users.v[i].count;
			sum.count += u->users.v[i].count;
		}
		heap_stack_of(u->heap, sum.stack, &stack);
		_free_ char *line = types_folded(session_types(u->call->s),
						 stack.pc, stack.depth);

		out_str(o, line);
		out_u64(o, sum.size_bytes);
		out_u64(o, sum.count);
		out_end_row(o, sum.ctl);
	}
	out_end(o);
}

static void print_users(struct users_arg *u)
{
	if (u->users.n)
		qsort(u->users.v, u->users.n, sizeof(*u->users.v),
		      most_bytes_first);
	out_begin(u->call->out, user_cols, 5, "");
	for (size_t i = 0; i < u->users.n; i++)
		print_user(u, &u->users.v[i]);
	out_end(u->call->out);
}

static struct err *dcmd_kmausers(struct dcmd_call *call)
{
	struct users_arg u = {.call = call};
	void *const values[] = {&u.has_all, &u.has_each, &u.is_folded};
	size_t first = 0;
	struct err *err = dcmd_options(call, user_opts, values, &first);

	if (!err)
		err = session_heap(call->s, &u.heap);
	if (!err && !u.heap->ops->audit)
		err = err_new(ERR_NOSUP, "%s heap keeps no audit records",
			      u.heap->ops->name);
	if (err)
		return err;
	if (call->flags & DCMD_ADDRSPEC)
		u.has_each = true;
	if (u.is_folded && u.has_each)
		return err_new(ERR_USAGE, "-F is of sums only");
	hash_init(&u.index);
	if (first == call->argc)
		err = take_all(&u);
	for (size_t i = first; !err && i < call->argc; i++)
		err = take_named(&u, &call->argv[i]);
	if (!err && u.is_folded)
		print_folded(&u);
	else if (!err)
		print_users(&u);
	hash_fini(&u.index);
	VEC_FREE(&u.users);
	return err;
}

/* ---- ::allocdby, ::freedby ------------------------------------------- */

static const struct column by_cols[] = {
	{"bufctl", "BUFCTL", CELL_ADDR, -16},
	{"timestamp", "TIMESTAMP", CELL_TIME, 12},
	{"caller", "CALLER", CELL_SYM, 0},
	{"buffer", NULL, CELL_ADDR, 0},
};

struct transaction {
	uint64_t stamp_ns;
	taddr_t ctl, buf;
	uint32_t stack;
};

struct by_arg {
	struct heap *heap;
	uint64_t tid, nseen;
	VEC(struct transaction) list;
};

static struct err *take_mine(void *arg, const struct heap_buf *b)
{
	struct by_arg *by = arg;
	struct heap_audit au;

	progress_set("looking through bufctls", by->nseen++, 0);
	/* a large buffer has no bufctl */
	if (b->kind != BUF_IN_CACHE || !by->heap->ops->audit(by->heap, b, &au))
		return NULL;
	if (au.tid == by->tid) {
		struct transaction t = {au.stamp_ns, au.addr, au.buf, au.stack};

		VEC_PUSH(&by->list, t);
	}
	return NULL;
}

static int newest_first(const void *a, const void *b)
{
	const struct transaction *x = a;
	const struct transaction *y = b;

	if (x->stamp_ns != y->stamp_ns)
		return x->stamp_ns > y->stamp_ns ? -1 : 1;
	return x->ctl < y->ctl ? -1 : x->ctl > y->ctl;
}

/* the last transactions of buffers in some states, those of one thread */
static struct err *find_mine(struct session *s, struct by_arg *by,
			     unsigned states)
{
	struct err *err = session_heap(s, &by->heap);

	if (!err && !by->heap->ops->audit)
		err = err_new(ERR_NOSUP, "%s heap keeps no audit records",
			      by->heap->ops->name);
	if (!err)
		err = by->heap->ops->bufs(by->heap, 0, states, take_mine, by);
	if (!err && by->list.n)
		qsort(by->list.v, by->list.n, sizeof(*by->list.v),
		      newest_first);
	return err;
}

static struct err *done_by(struct dcmd_call *call, unsigned states)
{
	struct by_arg by = {.tid = call->addr};
	struct out *o = call->out;

	if (call->argc)
		return err_new(ERR_USAGE, "unexpected argument");
	struct err *err = find_mine(call->s, &by, states);

	if (!err)
		out_begin(o, by_cols, 4, NULL);
	for (size_t i = 0; !err && i < by.list.n; i++) {
		const struct transaction *t = &by.list.v[i];
		taddr_t caller = heap_caller_of(by.heap, t->stack);

		out_addr(o, t->ctl);
		out_u64(o, t->stamp_ns);
		caller_or_blank(o, caller);
		out_addr(o, t->buf);
		out_end_row(o, t->ctl);
	}
	if (!err)
		out_end(o);
	VEC_FREE(&by.list);
	return err;
}

static struct err *dcmd_allocdby(struct dcmd_call *call)
{
	return done_by(call, BUF_ALLOCATED);
}

static struct err *dcmd_freedby(struct dcmd_call *call)
{
	return done_by(call, BUF_FREE);
}

static const unsigned allocated = BUF_ALLOCATED;
static const unsigned freed = BUF_FREE;

/* data: the states of the buffers */
static struct err *walk_by(struct session *s, const struct walker *walker,
			   bool has_addr, taddr_t addr, walk_fn *fn, void *arg)
{
	struct by_arg by = {.tid = addr};
	const unsigned *states = walker->data;
	struct err *err = find_mine(s, &by, *states);

	(void)has_addr; /* required */
	for (size_t i = 0; !err && i < by.list.n; i++)
		err = fn(arg, by.list.v[i].ctl);
	VEC_FREE(&by.list);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "kmausers",
	 .addr = ADDR_OPTIONAL,
	 .usage = "[cache ...]",
	 .opts = user_opts,
	 .brief = "print who has most memory, by stack and size",
	 .run = dcmd_kmausers},
	{.name = "umausers",
	 .addr = ADDR_OPTIONAL,
	 .usage = "[cache ...]",
	 .opts = user_opts,
	 .brief = "alias of ::kmausers",
	 .run = dcmd_kmausers},
	{.name = "allocdby",
	 .addr = ADDR_REQUIRED,
	 .usage = "",
	 .brief = "print the buffers a thread allocated",
	 .run = dcmd_allocdby},
	{.name = "freedby",
	 .addr = ADDR_REQUIRED,
	 .usage = "",
	 .brief = "print the buffers a thread freed",
	 .run = dcmd_freedby},
	{0},
};

static const struct walker walkers[] = {
	{"allocdby", "bufctls of buffers a thread allocated, newest first",
	 ADDR_REQUIRED, &allocated, walk_by},
	{"freedby", "bufctls of buffers a thread freed, newest first",
	 ADDR_REQUIRED, &freed, walk_by},
	{0},
};

const struct group group_users = {
	.name = "users", .dcmds = dcmds, .walkers = walkers};
