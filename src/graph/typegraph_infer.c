/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What no pointer says, but others like it do.
 *
 *	wholes  Of a buffer only a part is known: a list's link at an offset, a
 *	        struct that is smaller.  If just one struct of the buffer's size
 *	        has such a part there, it is that.
 *	sites   What one line of a program allocates, in one size, is mostly of
 *	        one type; so is what a cache holds that was made for objects.
 *	        When all of a site whose type is known agree, the rest is
 *	        (probably) the same: that types leaks, at which nothing points.
 *	lists   Elements of one list, tree or graph are joined to a set by
 *	        pointers to their own type (union-find).  What one void * member
 *	        points at, in one size, is of one type in all of a set.
 *
 * Cost: a record of each buffer is asked for once; then words of typed buffers.
 */
#include <string.h>
#include "graph/typegraph_impl.h"

/* ---- sites --------------------------------------------------------------- */

struct site_arg {
	struct typegraph *g;
	struct hash caches; /* address -> index in list, + 1 */
	VEC(struct heap_cache) list;
	struct hash freed; /* addresses the log tells were freed */
	size_t nrecords;
};

static struct err *note_cache(void *arg, const struct heap_cache *c)
{
	struct site_arg *a = arg;

	VEC_PUSH(&a->list, *c);
	*hash_put(&a->caches, c->addr, NULL) = a->list.n;
	return NULL;
}

static uint32_t site_of(struct typegraph *g, const struct heap_cache *c,
			uint32_t stack, uint64_t size)
{
	uint64_t key[3] = {0};

	if (c && !c->is_sized)
		key[0] = c->addr;
	else
		key[1] = stack;
	if (!key[0] && !key[1])
		return 0;
	if (!key[0])
		key[2] = size;
	uint64_t *index =
		hash_put(&g->by_site, hash_bytes(key, sizeof(key), 0), NULL);

	if (*index == 0) {
		struct tg_site s = {.cache = key[0]};

		VEC_PUSH(&g->sites, s);
		*index = g->sites.n;
	}
	g->sites.v[*index - 1].nbufs++;
	return (uint32_t)*index;
}

static struct err *note_buf(void *arg, const struct heap_buf *b)
{
	struct site_arg *a = arg;
	struct typegraph *g = a->g;
	struct heap_audit audit = {0};
	size_t i = bufset_find(g->set, b->addr);
	const uint64_t *index = hash_get(&a->caches, b->cache);
	const struct heap_cache *c = index ? &a->list.v[*index - 1] : NULL;

	if (i == BUFSET_NONE || tg_buf(g, i).addr != b->addr)
		return NULL;
	struct tg_node *n = &g->nodes[i];

	if (c &&
	    (!c->is_sized || c->has_guards || b->req_bytes < b->size_bytes))
		n->flags |= NODE_EXACT;
	if (c && c->has_guards && c->is_poisoned)
		n->flags |= NODE_FILLED;
	if (g->heap->ops->audit && g->heap->ops->audit(g->heap, b, &audit))
		g->stamps[i] = audit.stamp_ns;
	n->site = site_of(g, c, audit.stack, tg_buf(g, i).size_bytes);
	n->flags |= NODE_REUSED; /* unless the log knows better */
	return tg_poll(g, "listing call sites", g->npolled, g->set->n);
}

static struct err *note_free(void *arg, const struct heap_audit *a)
{
	struct site_arg *s = arg;

	s->nrecords++;
	if (a->what == HEAP_FREE)
		hash_put(&s->freed, a->buf, NULL);
	return tg_poll(s->g, "reading the log", s->nrecords, 0);
}

/* whose memory was something else before, as far as the log goes back */
static struct err *find_reused(struct site_arg *a)
{
	struct typegraph *g = a->g;
	struct err *err = NULL;

	if (!g->heap->ops->log)
		return NULL;
	hash_init(&a->freed);
	err = g->heap->ops->log(g->heap, HEAP_LOG_TRANSACTION, 0, note_free, a);
	if (err_is(err, ERR_NOTFOUND)) {
		err_free(err);
		err = NULL;
	}
	for (size_t i = 0; !err && a->nrecords && i < g->set->n; i++)
		if (!hash_get(&a->freed, tg_buf(g, i).addr))
			g->nodes[i].flags &= (uint16_t)~NODE_REUSED;
	hash_fini(&a->freed);
	return err;
}

struct err *tg_find_sites(struct typegraph *g)
{
	struct site_arg a = {.g = g};
	struct err *err = NULL;

	hash_init(&a.caches);
	if (g->heap->ops->caches)
		err = g->heap->ops->caches(g->heap, note_cache, &a);
	if (!err)
		err = g->heap->ops->bufs(g->heap, 0, BUF_ALLOCATED, note_buf,
					 &a);
	if (!err)
		err = find_reused(&a);
	hash_fini(&a.caches);
	VEC_FREE(&a.list);
	return err;
}

static void count_member(struct typegraph *g, const struct tg_node *n)
{
	struct tg_site *s = &g->sites.v[n->site - 1];

	/* a pointer to something within says nothing of the rest */
	if (n->reason < REASON_ARRAY)
		return;
	if (n->flags & NODE_CONFLICT || (s->type && s->type != n->type))
		s->is_mixed = true;
	else
		s->type = n->type;
	s->nstrong += n->reason >= REASON_POINTER;
}

/* "foo_cache" and "foo" hold struct foo or foo_t, if that has the size */
static uint32_t type_by_name(struct typegraph *g, const char *cache,
			     uint64_t size)
{
	static const struct {
		const char *before, *after;
	} forms[] = {{"", ""}, {"struct ", ""}, {"", "_t"}};
	size_t n = strlen(cache);

	if (n > 6 && strcmp(cache + n - 6, "_cache") == 0)
		n -= 6;
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		const struct type *type = NULL;
		_free_ char *name = mem_printf("%s%.*s%s", forms[i].before,
					       (int)n, cache, forms[i].after);
		_err_free_ struct err *err =
			types_lookup(g->heap->types, NULL, name, &type);

		if (!err && type_info(type).size_bytes == size)
			return tg_type_of(g, type);
	}
	return 0;
}

struct err *tg_infer_sites(struct typegraph *g)
{
	struct err *err = NULL;

	for (size_t i = 0; i < g->sites.n; i++) {
		g->sites.v[i].type = g->sites.v[i].nstrong = 0;
		g->sites.v[i].is_mixed = false;
	}
	for (size_t i = 0; i < g->set->n; i++)
		if (g->nodes[i].site)
			count_member(g, &g->nodes[i]);
	for (size_t i = 0; !err && i < g->set->n; i++) {
		struct tg_node *n = &g->nodes[i];
		struct tg_site *s = n->site ? &g->sites.v[n->site - 1] : NULL;

		err = tg_poll(g, "comparing call sites", i, g->set->n);
		if (!s || n->reason >= REASON_INFERRED || s->is_mixed)
			continue;
		if (!s->type && s->cache)
			s->type = type_by_name(g, heap_name(g->heap, s->cache),
					       tg_buf(g, i).size_bytes);
		if (s->type)
			tg_offer(g, i, s->type, REASON_INFERRED, 0);
		else if (s->cache)
			s->is_mixed = true; /* asked once */
	}
	return err;
}

/* ---- wholes -------------------------------------------------------------- */

struct err *tg_infer_wholes(struct typegraph *g)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < g->set->n; i++) {
		const struct tg_node *n = &g->nodes[i];

		err = tg_poll(g, "looking for containers", i, g->set->n);
		if (!n->part || n->reason > REASON_SCALAR ||
		    !(n->flags & NODE_EXACT))
			continue;
		uint32_t whole = tg_whole_of(g, tg_buf(g, i).size_bytes,
					     n->part_off, n->part);

		if (whole)
			tg_offer(g, i, whole, REASON_GUESS, 0);
	}
	return err;
}

/* ---- lists --------------------------------------------------------------- */

struct joiner {
	uint32_t *set;    /* of each node: another of its set, or itself */
	struct hash said; /* what a member points at -> type, or MIXED */
	size_t node;      /* at hand */
	bool is_assigning;
};
#define MIXED UINT64_MAX

static uint32_t find(uint32_t *set, uint32_t i)
{
	while (set[i] != i) {
		set[i] = set[set[i]];
		i = set[i];
	}
	return i;
}

static void join(struct typegraph *g, const struct tg_pointer *p, void *arg)
{
	struct joiner *j = arg;
	uint32_t own = g->nodes[j->node].type;

	if (p->to != own && p->link == TG_NO_LINK)
		return;
	size_t to = bufset_find(g->set, p->value);

	if (to != BUFSET_NONE && g->nodes[to].type == own)
		j->set[find(j->set, (uint32_t)j->node)] =
			find(j->set, (uint32_t)to);
}

/* which member of which list, and how large what it points at is */
static uint64_t member_key(const struct typegraph *g, struct joiner *j,
			   const struct tg_pointer *p, size_t to)
{
	const uint64_t key[3] = {
		find(j->set, (uint32_t)j->node),
		p->at - tg_buf(g, j->node).addr,
		tg_buf(g, to).size_bytes,
	};

	return hash_bytes(key, sizeof(key), 0);
}

static void void_pointer(struct typegraph *g, const struct tg_pointer *p,
			 void *arg)
{
	struct joiner *j = arg;

	if (p->to != 0)
		return;
	size_t to = bufset_find(g->set, p->value);

	if (to == BUFSET_NONE || tg_buf(g, to).addr != p->value)
		return;
	struct tg_node *n = &g->nodes[to];
	uint64_t key = member_key(g, j, p, to);

	if (j->is_assigning) {
		const uint64_t *type = hash_get(&j->said, key);

		if (n->reason < REASON_INFERRED && type && *type != MIXED)
			tg_offer(g, to, (uint32_t)*type, REASON_INFERRED,
				 p->at);
		return;
	}
	if (n->reason < REASON_ARRAY || n->flags & NODE_CONFLICT)
		return;
	uint64_t *type = hash_put(&j->said, key, NULL);

	if (*type == 0)
		*type = n->type;
	else if (*type != n->type)
		*type = MIXED;
}

static struct err *each_node(struct typegraph *g, struct joiner *j,
			     tg_pointer_fn *fn)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < g->set->n; i++) {
		err = tg_poll(g, "comparing lists", i, g->set->n);
		j->node = i;
		if (g->nodes[i].reason >= REASON_INFERRED)
			tg_pointers_of_node(g, i, fn, j);
	}
	return err;
}

struct err *tg_infer_lists(struct typegraph *g)
{
	struct joiner j = {0};
	struct err *err = NULL;

	j.set = mem_array(g->set->n + 1, sizeof(*j.set));
	for (size_t i = 0; i < g->set->n; i++)
		j.set[i] = (uint32_t)i;
	hash_init(&j.said);
	err = each_node(g, &j, join);
	if (!err)
		err = each_node(g, &j, void_pointer);
	j.is_assigning = true;
	if (!err)
		err = each_node(g, &j, void_pointer);
	hash_fini(&j.said);
	mem_free(j.set);
	return err;
}
