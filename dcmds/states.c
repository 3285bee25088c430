/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ::kmem_states: what each buffer is, of an allocated one why, counted. */
#include "pmdb_mod.h"

enum {
	/* first those of enum root_kind, in its order */
	STATE_INTERIOR = ROOT_ANON + 1,
	STATE_PAST,
	STATE_LEAKED,
	STATE_INDIRECT,
	STATE_UNKNOWN,
	STATE_FREE_SLAB,
	STATE_NEVER_USED,
	STATE_FREE_MAG,
	STATE_FREE_DEPOT,
	STATE_CONSTRUCTED,
	STATE_TRANSIT,
	STATE_MAX
};

/* name in JSON, and in words */
static const char *const names[STATE_MAX][2] = {
	[ROOT_REGISTER] = {"register", "allocated, held by a register"},
	[ROOT_STACK] = {"stack", "allocated, held by a stack"},
	[ROOT_DATA] = {"data", "allocated, held by data of an object"},
	[ROOT_TLS] = {"tls", "allocated, held by a thread's descriptor"},
	[ROOT_ANON] = {"anon", "allocated, held by mapped memory"},
	[STATE_INTERIOR] = {"interior",
			    "allocated, held by inner pointers only"},
	[STATE_PAST] = {"past", "allocated, only its end is pointed at"},
	[STATE_LEAKED] = {"leaked", "leaked"},
	[STATE_INDIRECT] = {"indirect", "leaked with another leak"},
	[STATE_UNKNOWN] = {"allocator", "allocated, the allocator's own"},
	[STATE_FREE_SLAB] = {"free", "free in its slab"},
	[STATE_NEVER_USED] = {"never_used", "free, never used"},
	[STATE_FREE_MAG] = {"magazine", "free in a magazine"},
	[STATE_FREE_DEPOT] = {"depot", "free in the depot"},
	[STATE_CONSTRUCTED] = {"constructed", "free and constructed"},
	[STATE_TRANSIT] = {"transit", "on its way, or set aside"},
};

static const struct column cols[] = {
	{"state", NULL, CELL_TEXT, 0},
	{NULL, "STATE", CELL_TEXT, -40},
	{"buffers", "BUFFERS", CELL_COUNT, 10},
	{"bytes", "BYTES", CELL_COUNT, 14},
};

struct states_arg {
	struct heap *heap;
	const struct leaks *leaks;
	const struct heap_cache *cache; /* at hand; NULL: a large buffer */
	const char *wanted;             /* name of the one cache, or NULL */
	taddr_t wanted_addr;            /* the same, 0: not by address */
	bool is_found;
	uint64_t nseen;
	struct {
		uint64_t nbufs, bytes;
	} sum[STATE_MAX];
};

static unsigned allocated_state(const struct states_arg *a,
				const struct heap_buf *b)
{
	const struct bufset *set = a->leaks->set;
	size_t i = bufset_find(set, b->addr);

	if (i == BUFSET_NONE || set->v[i].addr != b->addr)
		return STATE_UNKNOWN;
	switch ((enum mark)set->mark[i]) {
	case MARK_NONE:
		return STATE_LEAKED;
	case MARK_INDIRECT:
		return STATE_INDIRECT;
	case MARK_PAST:
		return STATE_PAST;
	case MARK_INTERIOR:
		return STATE_INTERIOR;
	case MARK_REACHABLE:
		return set->root[i];
	}
	return STATE_UNKNOWN;
}

/* an audited buffer without a transaction was not used since its slab was made,
 * though it may have come to a magazine */
static bool is_never_used(const struct states_arg *a, const struct heap_buf *b)
{
	struct heap_audit au;

	return a->cache && a->cache->has_audit && a->cache->has_hash &&
	       b->ctl && !a->heap->ops->audit(a->heap, b, &au);
}

static unsigned state_of(const struct states_arg *a, const struct heap_buf *b)
{
	bool is_made =
		a->cache && a->cache->has_constructor && !a->cache->is_poisoned;

	if (b->state == BUF_ALLOCATED)
		return allocated_state(a, b);
	if (b->state == BUF_TRANSIT)
		return STATE_TRANSIT;
	if (is_never_used(a, b))
		return STATE_NEVER_USED;
	if (b->state == BUF_FREE_SLAB)
		return STATE_FREE_SLAB;
	if (is_made)
		return STATE_CONSTRUCTED;
	return b->state == BUF_FREE_MAG ? STATE_FREE_MAG : STATE_FREE_DEPOT;
}

static struct err *count_buf(void *arg, const struct heap_buf *b)
{
	struct states_arg *a = arg;
	unsigned state = state_of(a, b);

	a->sum[state].nbufs++;
	a->sum[state].bytes += b->size_bytes;
	progress_set("counting buffers", a->nseen++, 0);
	return NULL;
}

static struct err *count_cache(void *arg, const struct heap_cache *c)
{
	struct states_arg *a = arg;

	if (a->wanted        ? strcmp(c->name, a->wanted) != 0
	    : a->wanted_addr ? c->addr != a->wanted_addr
			     : c->is_internal || c->is_notouch)
		return NULL;
	a->is_found = true;
	a->cache = c;
	struct err *err =
		a->heap->ops->bufs(a->heap, c->addr, BUF_ANY, count_buf, a);

	a->cache = NULL;
	return err;
}

static struct err *count_big(void *arg, const struct heap_buf *b)
{
	return b->kind == BUF_OVERSIZE ? count_buf(arg, b) : NULL;
}

static struct err *count_all(struct states_arg *a)
{
	struct err *err = a->heap->ops->caches(a->heap, count_cache, a);

	if (err)
		return err;
	if (!a->wanted && !a->wanted_addr)
		return a->heap->ops->bufs(a->heap, 0, BUF_ALLOCATED, count_big,
					  a);
	if (a->is_found)
		return NULL;
	return a->wanted ? err_new(ERR_NOTFOUND, "unknown kmem cache: %s",
				   a->wanted)
			 : err_new(ERR_NOTFOUND,
				   "0x%" PRIx64 " is not a kmem_cache",
				   a->wanted_addr);
}

static void print_states(const struct states_arg *a, struct out *o)
{
	out_begin(o, cols, 4, NULL);
	for (unsigned i = 0; i < STATE_MAX; i++) {
		if (a->sum[i].nbufs == 0)
			continue;
		out_str(o, names[i][0]);
		out_str(o, names[i][1]);
		out_u64(o, a->sum[i].nbufs);
		out_u64(o, a->sum[i].bytes);
		out_end_row(o, a->sum[i].nbufs);
	}
	out_end(o);
}

static struct err *dcmd_kmem_states(struct dcmd_call *call)
{
	struct states_arg a = {0};
	struct leaks *leaks = NULL;
	struct err *err = NULL;

	if (call->argc > 1 ||
	    (call->argc == 1 && call->argv[0].type != ARG_STRING))
		return err_new(ERR_USAGE, "one name of a cache");
	if (call->argc == 1)
		a.wanted = call->argv[0].str;
	else if (call->flags & DCMD_ADDRSPEC)
		a.wanted_addr = call->addr;
	err = session_heap(call->s, &a.heap);
	if (!err && !a.heap->ops->audit)
		err = err_new(ERR_NOSUP, "%s heap keeps no audit records",
			      a.heap->ops->name);
	if (!err)
		err = session_leaks(call->s, &leaks);
	if (err)
		return err;
	a.leaks = leaks;
	err = count_all(&a);
	if (err)
		return err;
	if (leaks->inconclusive)
		out_warn(call->out,
			 "kmem_states: which are leaked is not "
			 "certain: %s",
			 leaks->inconclusive);
	print_states(&a, call->out);
	return NULL;
}

static const struct dcmd dcmds[] = {
	{.name = "kmem_states",
	 .addr = ADDR_OPTIONAL,
	 .usage = "[cache]",
	 .brief = "count the buffers by what they are",
	 .run = dcmd_kmem_states},
	{.name = "umem_states",
	 .addr = ADDR_OPTIONAL,
	 .usage = "[cache]",
	 .brief = "alias of ::kmem_states",
	 .run = dcmd_kmem_states},
	{0},
};

const struct group group_states = {.name = "states", .dcmds = dcmds};
