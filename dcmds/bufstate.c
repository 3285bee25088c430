/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The one state each buffer is in.
 *
 * Of an allocated buffer it says what it hangs on (src/graph/reach.h), of a free
 * one which layer has it.  An address stands for a buffer when it is in it, or
 * when it is the bufctl or the segment that the buffer is recorded by: so what
 * any walker over buffers gives can be told by state.
 */
#include "bufstate.h"

#include <stdlib.h>

/* name in JSON and of an option, and in words */
static const char *const names[STATE_MAX][2] = {
	[HOLD_DATA] = {"data", "allocated, held by data of an object"},
	[HOLD_TLS] = {"tls", "allocated, held by a thread's own data"},
	[HOLD_STACK] = {"stack", "allocated, held by a stack"},
	[HOLD_REGISTER] = {"register", "allocated, held by a register"},
	[HOLD_ANON] = {"anon", "allocated, held by mapped memory"},
	[HOLD_DEAD] = {"dead", "allocated, held by a dead part of a frame"},
	[HOLD_PAST] = {"past", "allocated, only its end is pointed at"},
	[STATE_INTERIOR] = {"interior",
			    "allocated, held by inner pointers only"},
	[STATE_LEAKED] = {"leaked", "leaked"},
	[STATE_INDIRECT] = {"indirect", "leaked with another leak"},
	[STATE_ALLOCATOR] = {"allocator", "allocated, the allocator's own"},
	[STATE_FREE_SLAB] = {"free", "free in its slab"},
	[STATE_NEVER_USED] = {"never_used", "free, never used"},
	[STATE_FREE_MAG] = {"magazine", "free in a magazine"},
	[STATE_FREE_DEPOT] = {"depot", "free in the depot"},
	[STATE_FREE_LIST] = {"list", "free in a list"},
	[STATE_CONSTRUCTED] = {"constructed", "free and constructed"},
	[STATE_TRANSIT] = {"transit", "on its way, or set aside"},
	[STATE_THEN] = {"then", "allocated then"},
	[STATE_FREE_THEN] = {"free_then", "not allocated then"},
	[STATE_NOT_KNOWN] = {"unknown",
			     "not known: damaged, or no log of that time"},
};

#define BIT(state)  (1ull << (state))
#define ALL_STATES  (BIT(STATE_MAX) - 1)
#define WEAK_STATES (BIT(HOLD_ANON) | BIT(HOLD_DEAD) | BIT(HOLD_PAST))
#define LEAK_STATES (BIT(STATE_LEAKED) | BIT(STATE_INDIRECT))
#define FREE_STATES (ALL_STATES & ~(BIT(STATE_FREE_SLAB) - 1))
#define LIVE_STATES (BIT(STATE_LEAKED) - 1)

static const struct {
	const char *name;
	uint64_t states;
} groups[] = {
	{"weak", WEAK_STATES},
	{"leak", LEAK_STATES},
	{"reachable", LIVE_STATES},
	{"allocated",
	 LIVE_STATES | LEAK_STATES | BIT(STATE_ALLOCATOR) | BIT(STATE_THEN)},
	{"freed", FREE_STATES},
};

const char *bufstate_name(enum bufstate state, const char *where)
{
	return state == STATE_FREE_LIST && where ? where : names[state][0];
}

char *bufstate_words(enum bufstate state, const char *where)
{
	return state == STATE_FREE_LIST && where ? mem_printf("free, %s", where)
						 : mem_strdup(names[state][1]);
}

/* ---- of a buffer ----------------------------------------------------- */

static enum bufstate allocated_state(const struct reach *reach,
				     const struct heap_buf *b)
{
	const struct bufset *set = reach->leaks->set;
	size_t i = bufset_find(set, b->addr);

	if (i == BUFSET_NONE || bufset_at(set, i).addr != b->addr)
		return STATE_ALLOCATOR;
	enum hold hold = reach_hold(reach, i);

	if (hold == HOLD_LEAK || hold == HOLD_NONE)
		return set->mark[i] == MARK_NONE ? STATE_LEAKED
						 : STATE_INDIRECT;
	if (!hold_is_weak(hold) && reach_is_interior(reach, i))
		return STATE_INTERIOR;
	return (enum bufstate)hold;
}

/* an audited buffer without a transaction was not used since its slab was made,
 * though it may have come to a magazine */
static bool is_never_used(struct heap *heap, const struct heap_cache *cache,
			  const struct heap_buf *b)
{
	struct heap_audit au;

	return cache && cache->has_audit && cache->has_hash && b->ctl &&
	       heap->ops->audit && !heap->ops->audit(heap, b, &au);
}

enum bufstate bufstate_of(struct heap *heap, const struct reach *reach,
			  const struct heap_cache *cache,
			  const struct heap_buf *b)
{
	bool is_made = cache && cache->has_constructor && !cache->is_poisoned;

	if (b->state == BUF_ALLOCATED)
		return heap->health.moment_ns ? STATE_THEN
					      : allocated_state(reach, b);
	if (b->state == BUF_TRANSIT)
		return STATE_TRANSIT;
	if (b->state == BUF_FREE_THEN)
		return STATE_FREE_THEN;
	if (b->state == BUF_UNKNOWN)
		return STATE_NOT_KNOWN;
	if (b->state == BUF_FREE_LIST)
		return STATE_FREE_LIST;
	if (is_never_used(heap, cache, b))
		return STATE_NEVER_USED;
	if (b->state == BUF_FREE_SLAB)
		return STATE_FREE_SLAB;
	if (is_made)
		return STATE_CONSTRUCTED;
	return b->state == BUF_FREE_MAG ? STATE_FREE_MAG : STATE_FREE_DEPOT;
}

/* ---- by names -------------------------------------------------------- */

static uint64_t states_named(const char *name, size_t n)
{
	for (size_t i = 0; i < STATE_MAX; i++)
		if (names[i][0] && strlen(names[i][0]) == n &&
		    strncmp(names[i][0], name, n) == 0)
			return BIT(i);
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++)
		if (strlen(groups[i].name) == n &&
		    strncmp(groups[i].name, name, n) == 0)
			return groups[i].states;
	return 0;
}

/* a kind of list that is asked for by its name */
struct list_arg {
	const char *name;
	const char *found; /* the same, of the heap */
	struct nearest *near;
};

static struct err *match_list(void *arg, const struct heap_use *u)
{
	struct list_arg *a = arg;

	if (!u->is_free)
		return NULL;
	if (a->near)
		nearest_try(a->near, u->what);
	if (strcmp(u->what, a->name) == 0)
		a->found = u->what;
	return NULL;
}

static struct err *unknown_state(struct heap *heap, const char *word)
{
	struct nearest near = nearest_to(word);
	struct list_arg list = {.name = word, .near = &near};
	_free_ char *meant = NULL;

	for (size_t i = 0; i < STATE_MAX; i++)
		if (names[i][0])
			nearest_try(&near, names[i][0]);
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++)
		nearest_try(&near, groups[i].name);
	if (heap->ops->uses)
		err_free(heap->ops->uses(heap, match_list, &list));
	meant = nearest_text(&near, "");
	return err_new(ERR_USAGE, "no state is called \"%s\"%s", word, meant);
}

/* one name of a state, a group or a kind of list */
static struct err *parse_name(struct bufstates *b, const char *text, size_t n,
			      bool *is_every_list)
{
	_free_ char *word = mem_strndup(text, n);
	uint64_t states = states_named(text, n);
	struct list_arg list = {.name = word};
	struct err *err = NULL;

	b->wanted |= states;
	*is_every_list = *is_every_list || (states & BIT(STATE_FREE_LIST));
	if (states)
		return NULL;
	if (b->heap->ops->uses)
		err = b->heap->ops->uses(b->heap, match_list, &list);
	if (err || !list.found)
		return err ? err : unknown_state(b->heap, word);
	b->wanted |= BIT(STATE_FREE_LIST);
	VEC_PUSH(&b->lists, list.found);
	return NULL;
}

static struct err *parse_names(struct bufstates *b, const char *text)
{
	bool is_every_list = false;

	while (text) {
		size_t n = strcspn(text, ",");
		struct err *err = parse_name(b, text, n, &is_every_list);

		if (err)
			return err;
		text = text[n] ? text + n + 1 : NULL;
	}
	if (is_every_list)
		VEC_FREE(&b->lists);
	return NULL;
}

static struct err *add_cache(void *arg, const struct heap_cache *c)
{
	struct bufstates *b = arg;

	VEC_PUSH(&b->caches, *c);
	return NULL;
}

struct err *bufstates_open(struct session *s, const char *text,
			   struct bufstates *ret)
{
	struct err *err = NULL;

	*ret = (struct bufstates){.s = s, .wanted = text ? 0 : ALL_STATES};
	err = session_heap(s, &ret->heap);
	if (!err)
		err = parse_names(ret, text);
	if (!err)
		err = session_reach(s, &ret->reach);
	if (!err && ret->heap->ops->caches)
		err = ret->heap->ops->caches(ret->heap, add_cache, ret);
	if (err)
		session_stop_loop(s);
	return err;
}

void bufstates_close(struct bufstates *b)
{
	VEC_FREE(&b->caches);
	VEC_FREE(&b->lists);
}

/* the buffer whose bufctl or segment is at addr */
static bool by_control(struct heap *heap, taddr_t addr, struct heap_buf *ret)
{
	struct heap_audit au = {0};
	struct heap_segment seg = {0};

	if (heap->ops->audit_at) {
		_err_free_ struct err *err =
			heap->ops->audit_at(heap, addr, &au);

		if (!err && au.buf && heap->ops->buf_at(heap, au.buf, ret) &&
		    ret->ctl == addr)
			return true;
	}
	if (heap->ops->segment_at) {
		_err_free_ struct err *err =
			heap->ops->segment_at(heap, addr, &seg);

		if (!err && heap->ops->buf_at(heap, seg.start, ret) &&
		    ret->ctl == addr)
			return true;
	}
	return false;
}

bool bufstates_at(const struct bufstates *b, taddr_t addr, struct heap_buf *ret,
		  enum bufstate *ret_state)
{
	const struct heap_cache *cache = NULL;

	if (!b->heap->ops->buf_at)
		return false;
	if (!by_control(b->heap, addr, ret) &&
	    !b->heap->ops->buf_at(b->heap, addr, ret))
		return false;
	for (size_t i = 0; i < b->caches.n && !cache; i++)
		if (b->caches.v[i].addr == ret->cache)
			cache = &b->caches.v[i];
	*ret_state = bufstate_of(b->heap, b->reach, cache, ret);
	return true;
}

bool bufstates_has(const struct bufstates *b, const struct heap_buf *buf,
		   enum bufstate state)
{
	bool is_listed = b->lists.n == 0 || state != STATE_FREE_LIST;

	for (size_t i = 0; !is_listed && i < b->lists.n; i++)
		is_listed = buf->where && !strcmp(b->lists.v[i], buf->where);
	return is_listed && (b->wanted & BIT(state));
}

bool bufstates_wants(const struct bufstates *b, taddr_t addr)
{
	enum bufstate state = STATE_MAX;
	struct heap_buf buf;

	return bufstates_at(b, addr, &buf, &state) &&
	       bufstates_has(b, &buf, state);
}
