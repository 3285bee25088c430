/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is certain, what is probable.
 *
 * A single pointer proves little.  It may be stale: its buffer was freed, and the
 * memory is something else of that size today.  It may point at the first member
 * of something else.  So a type is certain only when several things agree that
 * have nothing to do with each other:
 *
 *   size       the bytes that were asked for are known, and are just the type's
 *   no double  no other struct of that size begins with this one
 *   no doubt   no pointer of a sure place says something else of this buffer
 *   sound      each pointer in it is 0 or points at mapped memory
 *
 * and one of these:
 *
 *   table      it begins with the virtual table of its class; and the memory was
 *              filled when it was allocated, so that the table is not what an
 *              object has left there, or a sure pointer to that class or a base
 *              of it points at it
 *   places     two sure pointers of its type point at its start (a stack counts
 *              once however many copies it holds: callers and callees have
 *              the same one)
 *   back       one does, and where its type has a pointer to what holds that
 *              one, it has it
 *   site       one does, and at least half of what its call site made in that
 *              size has strong reasons for the same type, two at least, and
 *              none for another
 *
 * A pointer is stale when it was true of what was there before.  So pointers
 * count when the log of transactions tells of no earlier life of that memory;
 * else only those in buffers that are younger than what they point at.  (What
 * was freed before the log begins is not known: that is what more than one
 * reason is for.)
 *
 * Sure places are variables with a fixed place, variables of frames that a
 * location list says are live, and buffers whose own type is certain.  Members
 * of unions never are.  What the user asserts is taken as it is.
 *
 * (I1) certainty grows from sure places only, so that rings of buffers do not
 * confirm each other.
 */
#include <string.h>
#include "base/interrupt.h"
#include "graph/typegraph_impl.h"

struct grader {
	struct typegraph *g;
	VEC(uint32_t) todo; /* certain, not yet followed */
};

/* ---- doubt --------------------------------------------------------------- */

/* what a sure pointer says must go with what the buffer is thought to be */
static void doubt(struct typegraph *g, const struct tg_pointer *p, void *arg)
{
	(void)arg; /* flags of nodes are all that changes */
	size_t i = bufset_find(g->set, p->value);

	if (i == BUFSET_NONE || p->to == 0 || p->reason < REASON_POINTER ||
	    !g->types.v[p->to].is_record)
		return;
	struct tg_node *n = &g->nodes[i];
	uint64_t size = g->types.v[n->type].size_bytes;
	uint64_t off = p->value - tg_buf(g, i).addr;

	if (n->type == 0 || n->reason == REASON_ASSERTION || size == 0)
		return;
	/* where a virtual base lies only its object knows, which says itself
	 * what it is */
	if (n->reason == REASON_VTABLE && g->types.v[p->to].is_poly)
		return;
	if (!tg_has_part(g, n->type, off % size, p->to))
		n->flags |= NODE_DOUBT;
}

static void find_doubts(struct typegraph *g)
{
	for (size_t i = 0; i < g->set->n; i++) {
		g->nodes[i].flags &=
			(uint16_t) ~(NODE_DOUBT | NODE_CERTAIN | NODE_ON_STACK);
		g->nodes[i].nplaces = 0;
	}
	for (size_t i = 0; i < g->vars.n; i++)
		tg_pointers_of_var(g, &g->vars.v[i], doubt, NULL);
	for (size_t i = 0; i < g->set->n; i++)
		if (g->nodes[i].reason >= REASON_POINTER)
			tg_pointers_of_node(g, i, doubt, NULL);
}

/* ---- soundness ----------------------------------------------------------- */

static void check_mapped(struct typegraph *g, const struct tg_pointer *p,
			 void *arg)
{
	bool *is_sound = arg;

	if (p->reason >= REASON_POINTER &&
	    !target_map_at(g->heap->target, p->value))
		*is_sound = false;
}

static bool is_sound(struct typegraph *g, size_t i)
{
	struct tg_node *n = &g->nodes[i];
	bool ok = true;

	if (n->flags & NODE_CHECKED)
		return n->flags & NODE_SOUND;
	tg_pointers_of_node(g, i, check_mapped, &ok);
	n->flags |= NODE_CHECKED;
	if (ok)
		n->flags |= NODE_SOUND;
	return ok;
}

/* ---- certainty ----------------------------------------------------------- */

static bool has_site(const struct typegraph *g, const struct tg_node *n)
{
	const struct tg_site *s = n->site ? &g->sites.v[n->site - 1] : NULL;

	return s && s->type == n->type && !s->is_mixed && s->nstrong >= 2 &&
	       s->nstrong >= s->nbufs / 2;
}

struct back_arg {
	taddr_t holder;
	uint32_t type;
	bool is_found;
};

static void look_back(struct typegraph *g, const struct tg_pointer *p,
		      void *arg)
{
	struct back_arg *b = arg;

	(void)g; /* the pointer says all */
	if (p->value == b->holder && p->to == b->type &&
	    p->reason >= REASON_POINTER)
		b->is_found = true;
}

/* does a buffer point back at what points at it? */
static bool points_back(struct typegraph *g, size_t i,
			const struct tg_pointer *p)
{
	struct back_arg b = {.type = p->holder};

	if (p->node == BUFSET_NONE)
		return false;
	b.holder = tg_buf(g, p->node).addr;
	tg_pointers_of_node(g, i, look_back, &b);
	return b.is_found;
}

/* may a pointer be older than what it points at? */
static bool is_stale(const struct typegraph *g, size_t i,
		     const struct tg_pointer *p)
{
	if (!(g->nodes[i].flags & NODE_REUSED))
		return false;
	return p->node == BUFSET_NONE || g->stamps[i] == 0 ||
	       g->stamps[p->node] <= g->stamps[i];
}

static bool is_certain(struct typegraph *g, size_t i)
{
	struct tg_node *n = &g->nodes[i];

	if (n->reason == REASON_ASSERTION)
		return true;
	if (n->reason < REASON_POINTER ||
	    n->flags & (NODE_CONFLICT | NODE_DOUBT) ||
	    tg_fit(g, n->type, i) != FIT_EXACT)
		return false;
	if (n->reason == REASON_VTABLE) {
		if (!(n->flags & NODE_FILLED) && n->nplaces == 0)
			return false;
	} else if (n->nplaces < 2 && !(n->nplaces == 1 && has_site(g, n))) {
		return false;
	}
	return !tg_has_double(g, n->type) && is_sound(g, i);
}

static void consider(struct grader *gr, size_t i)
{
	struct tg_node *n = &gr->g->nodes[i];

	if (n->flags & NODE_CERTAIN || !is_certain(gr->g, i))
		return;
	n->flags |= NODE_CERTAIN;
	VEC_PUSH(&gr->todo, (uint32_t)i);
}

static void confirm(struct typegraph *g, const struct tg_pointer *p, void *arg)
{
	struct grader *gr = arg;
	size_t i = bufset_find(g->set, p->value);

	if (i == BUFSET_NONE || p->to == 0 || p->reason < REASON_POINTER ||
	    p->link != TG_NO_LINK)
		return;
	struct tg_node *n = &g->nodes[i];
	bool is_whole = tg_buf(g, i).addr == p->value && n->type == p->to;

	/* of an object a pointer to a base is as good */
	if (!is_whole &&
	    (n->reason != REASON_VTABLE ||
	     !tg_has_part(g, n->type, p->value - tg_buf(g, i).addr, p->to)))
		return;
	if (n->flags & NODE_CERTAIN || is_stale(g, i, p))
		return;
	if (p->is_stack && n->flags & NODE_ON_STACK)
		return;
	if (p->is_stack)
		n->flags |= NODE_ON_STACK;
	if (n->nplaces < 2)
		n->nplaces++;
	if (n->nplaces < 2 && points_back(g, i, p))
		n->nplaces++;
	consider(gr, i);
}

struct err *tg_grade(struct typegraph *g)
{
	struct grader gr = {.g = g};
	struct err *err = NULL;

	find_doubts(g);
	for (size_t i = 0; i < g->set->n; i++)
		if (g->nodes[i].reason >= REASON_VTABLE)
			consider(&gr, i);
	for (size_t i = 0; i < g->vars.n; i++)
		tg_pointers_of_var(g, &g->vars.v[i], confirm, &gr);
	while (!err && gr.todo.n) {
		uint32_t i = gr.todo.v[--gr.todo.n];

		tg_pointers_of_node(g, i, confirm, &gr);
		err = tg_poll(g, "weighing types", gr.todo.n, g->set->n);
	}
	VEC_FREE(&gr.todo);
	return err ? err : interrupt_check();
}
