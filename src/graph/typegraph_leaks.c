/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Types of leaks that nobody recorded the caller of.
 *
 * No variable leads to a leak, so what types buffers in use says nothing of it.
 * But if those in use that look like a group of leaks (shape.c), and that a
 * typed pointer or a virtual table gave a type, are all of one type, then so are
 * the leaks, probably; and what they point at follows from that.
 *
 * A look says something only if there is a pointer in it; one that fits two
 * groups as well says nothing.
 */
#include "base/hash.h"
#include "graph/shape.h"
#include "graph/typegraph_impl.h"

#define MIXED UINT32_MAX
#define NEAR  1 /* words that may be zero in the one only */

struct said {
	struct typegraph *g;
	struct leaks *leaks;
	uint32_t *type; /* of each shape; 0 nothing said, MIXED */
};

static bool is_leaked(const struct bufset *set, size_t i)
{
	return set->mark[i] == MARK_NONE || set->mark[i] == MARK_INDIRECT;
}

/* the one shape that a buffer in use looks like, or NULL */
static const struct shape *shape_of(const struct said *s,
				    struct shape_looker *lk, size_t i)
{
	uint64_t size = tg_buf(s->g, i).size_bytes;
	const struct shape *found = NULL;
	int best = NEAR + 1;
	struct shape_look look;
	bool is_known = false;

	for (size_t k = 0; k < s->leaks->shapes->v.n; k++) {
		const struct shape *shape = &s->leaks->shapes->v.v[k];

		if (size < shape->min_bytes || size > shape->max_bytes)
			continue;
		if (!is_known)
			look = shape_look(lk, i);
		is_known = true;
		int distance = shape_distance(shape, &look);

		if (distance < 0 || distance > best)
			continue;
		found = distance < best ? shape : NULL;
		best = distance;
	}
	return found && shape_is_telling(found) ? found : NULL;
}

/* what the buffers in use say */
static struct err *listen(struct said *s)
{
	struct typegraph *g = s->g;
	struct shape_looker *lk = shape_looker_create(g->heap, g->set);
	struct err *err = NULL;

	for (size_t i = 0; !err && i < g->set->n; i++) {
		const struct tg_node *n = &g->nodes[i];

		err = tg_poll(g, "comparing leaks", i, g->set->n);
		if (is_leaked(g->set, i) || n->reason < REASON_GUESS)
			continue;
		const struct shape *shape = shape_of(s, lk, i);

		if (!shape)
			continue;
		uint32_t *type = &s->type[shape - s->leaks->shapes->v.v];

		*type = (n->flags & NODE_CONFLICT) ||
					(*type && *type != n->type)
				? MIXED
				: n->type;
	}
	shape_looker_free(lk);
	return err;
}

static void tell(struct said *s)
{
	for (size_t i = 0; i < s->leaks->n; i++) {
		const struct leak *l = &s->leaks->v[i];
		uint32_t type = l->kind && l->kind <= s->leaks->shapes->v.n
					? s->type[l->kind - 1]
					: 0;

		for (size_t k = 0; type && type != MIXED && k < l->nbufs; k++)
			if (s->g->nodes[l->members[k]].reason < REASON_INFERRED)
				tg_offer(s->g, l->members[k], type,
					 REASON_INFERRED, 0);
	}
}

static uint32_t kind_of(void *arg, size_t buf)
{
	const struct typegraph *g = arg;
	const struct tg_node *n = &g->nodes[buf];

	/* pointers to char may point at anything */
	return n->reason < REASON_INFERRED || n->flags & NODE_CONFLICT
		       ? 0
		       : n->type;
}

struct err *typegraph_group_leaks(struct typegraph *g, struct leaks *leaks)
{
	struct said s = {.g = g, .leaks = leaks};
	struct err *err = NULL;

	if (!leaks->shapes)
		return NULL;
	s.type = mem_array(leaks->shapes->v.n + 1, sizeof(*s.type));
	err = listen(&s);
	if (!err) {
		tell(&s);
		err = tg_follow(g);
	}
	if (!err)
		leaks_regroup(leaks, kind_of, g);
	mem_free(s.type);
	return err;
}
