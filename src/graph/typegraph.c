/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The type graph: which buffer is of which type.
 *
 * A variable has a type, by debug information.  What a pointer in it points at
 * has the type the pointer says; the pointers in that are followed in turn.  An
 * object of a C++ class says itself what it is.
 *
 *	tables     buffers that begin with a virtual table
 *	variables  what globals, statics, TLS and live stack variables point at,
 *	           and what those point at: from strong reasons to weak, so that
 *	           a buffer is followed once, by the best type it has
 *	wholes     only a part of a buffer is known (the link of a list, a base):
 *	           there may be just one struct of its size with such a part
 *	sites      others of its call site and size (or of a cache made for one
 *	           kind of object) all have one type
 *	lists      a void * in elements of a list: as in the elements beside
 *	grades     which of all this is certain: see typegraph_grade.c
 *
 * A reason is as strong as its weakest step.  A pointer declared "T *" to the
 * start of a buffer of T's size is strong; one to a buffer of n sizes means an
 * array; in a union it is a guess; a link of a list means another such struct
 * if that fits.  Pointers to scalars say what nobody else denies: any struct
 * may be looked at through a char *.
 *
 * Invariants: (I1) a node's reason only grows; it is queued each time it does,
 * and followed by what it is when it is taken out.  (I2) what follows from a node
 * is no stronger than the node, so that taking strong ones first follows each
 * once, but for what later passes raise: at most REASON_MAX times.  (I3) only
 * allocated buffers are nodes: a pointer to a freed one says nothing.
 *
 * Cost: words of typed buffers, some times; 40 bytes a buffer.
 */
#include <inttypes.h>
#include <string.h>
#include "base/interrupt.h"
#include "base/progress.h"
#include "graph/typegraph_impl.h"

#define POLL_EVERY 0xfff

struct err *tg_poll(struct typegraph *g, const char *what, size_t n, size_t of)
{
	if ((g->npolled++ & POLL_EVERY) != 0)
		return NULL;
	progress_set(what, n, of);
	return interrupt_check();
}

bool tg_word(const struct typegraph *g, taddr_t at, uint64_t *ret)
{
	size_t len = 0;
	const unsigned char *p = target_peek(g->heap->target, at, &len);

	if (p && len >= sizeof(*ret)) {
		memcpy(ret, p, sizeof(*ret));
		return true;
	}
	_err_free_ struct err *err = target_read_u64(g->heap->target, at, ret);

	return !err;
}

/* ---- what is said of a node ---------------------------------------------- */

static void disagree(struct typegraph *g, struct tg_node *n, uint32_t type)
{
	/* of two of which one begins with the other, the outer */
	if (tg_has_part(g, n->type, 0, type))
		return;
	if (n->reason >= REASON_ARRAY && tg_has_part(g, type, 0, n->type)) {
		n->type = type;
		return;
	}
	if (n->reason < REASON_ARRAY || n->flags & NODE_CONFLICT)
		return;
	n->flags |= NODE_CONFLICT;
	n->other = type;
}

void tg_offer(struct typegraph *g, size_t node, uint32_t type,
	      enum type_reason reason, taddr_t from)
{
	struct tg_node *n = &g->nodes[node];

	if (n->flags & NODE_DENIED && reason != REASON_ASSERTION)
		return;
	if (reason < n->reason || type == 0)
		return;
	if (reason == n->reason) {
		if (type != n->type)
			disagree(g, n, type);
		return;
	}
	n->type = type;
	n->reason = (uint8_t)reason;
	n->from = from;
	n->flags &= (uint16_t)~NODE_CONFLICT;
	n->other = 0;
	VEC_PUSH(&g->queue[reason], (uint32_t)node);
}

/* ---- the pointers of a place --------------------------------------------- */

/* bytes are walked in runs, without a look-up a word */
struct window {
	const unsigned char *p;
	taddr_t start;
	size_t len;
};

static bool window_word(const struct typegraph *g, struct window *w, taddr_t at,
			uint64_t *ret)
{
	if (at - w->start < w->len && w->len - (at - w->start) >= 8) {
		memcpy(ret, w->p + (at - w->start), 8);
		return true;
	}
	w->p = target_peek(g->heap->target, at, &w->len);
	w->start = at;
	if (w->p && w->len >= 8) {
		memcpy(ret, w->p, 8);
		return true;
	}
	w->len = 0;
	return tg_word(g, at, ret);
}

struct range {
	uint32_t type;
	uint32_t holder;
	size_t node;
	taddr_t addr;
	uint64_t size_bytes;
	enum type_reason reason;
	bool is_stack;
};

static void pointers_of(struct typegraph *g, const struct range *r,
			tg_pointer_fn *fn, void *arg)
{
	struct window w = {0};

	tg_type_slots(g, r->type);
	uint64_t step = g->types.v[r->type].size_bytes;
	size_t nslots = g->types.v[r->type].slots.n;

	if (step == 0 || nslots == 0)
		return;
	for (uint64_t off = 0; off < r->size_bytes; off += step) {
		for (size_t i = 0; i < nslots; i++) {
			/* fn may make types: the tables move */
			struct tg_slot s = g->types.v[r->type].slots.v[i];
			struct tg_pointer p = {
				.at = r->addr + off + s.off,
				.holder = r->holder,
				.node = r->node,
				.to = s.to,
				.link = s.link,
				.reason = r->reason,
				.is_stack = r->is_stack,
			};

			if (off + s.off + 8 > r->size_bytes)
				break;
			if (s.is_union && p.reason > REASON_GUESS)
				p.reason = REASON_GUESS;
			if (!window_word(g, &w, p.at, &p.value) || !p.value)
				continue;
			fn(g, &p, arg);
		}
		if (interrupt_flag)
			return;
	}
}

static void trailing_of(struct typegraph *g, struct range *r, tg_pointer_fn *fn,
			void *arg)
{
	const struct tg_type *t = &g->types.v[r->type];
	uint64_t off = t->fam_off;

	if (!t->fam_elem || off >= r->size_bytes)
		return;
	r->type = t->fam_elem;
	r->addr += off;
	r->size_bytes -= off;
	pointers_of(g, r, fn, arg);
}

void tg_pointers_of_node(struct typegraph *g, size_t node, tg_pointer_fn *fn,
			 void *arg)
{
	const struct tg_node *n = &g->nodes[node];
	const struct bufset_buf buf = tg_buf(g, node);
	const struct bufset_buf *b = &buf;
	enum type_reason reason = n->reason < REASON_POINTER
					  ? (enum type_reason)n->reason
					  : REASON_POINTER;

	if (n->type == 0 || n->flags & NODE_CONFLICT)
		return;
	uint64_t size = g->types.v[n->type].size_bytes;
	struct range r = {
		.type = n->type,
		.holder = n->type,
		.node = node,
		.addr = b->addr,
		.size_bytes = b->size_bytes,
		.reason = reason,
	};
	tg_type_slots(g, n->type);
	bool is_array = size && b->size_bytes % size == 0 &&
			n->reason != REASON_PART &&
			!g->types.v[n->type].fam_elem;

	if (!is_array && size < r.size_bytes)
		r.size_bytes = size;
	pointers_of(g, &r, fn, arg);
	if (!is_array && n->reason != REASON_PART) {
		r.size_bytes = b->size_bytes;
		trailing_of(g, &r, fn, arg);
	}
}

void tg_pointers_of_var(struct typegraph *g, const struct tg_var *var,
			tg_pointer_fn *fn, void *arg)
{
	struct range r = {
		.type = var->type,
		.node = BUFSET_NONE,
		.addr = var->addr,
		.size_bytes = var->size_bytes,
		.reason = var->is_sure ? REASON_POINTER : REASON_GUESS,
		.is_stack = var->is_stack,
	};

	tg_type_slots(g, var->type);
	const struct tg_type *t = &g->types.v[var->type];

	if (!var->is_value) {
		r.holder = t->is_record ? var->type : 0;
		pointers_of(g, &r, fn, arg);
	} else if (t->slots.n == 1 && t->slots.v[0].off == 0) {
		const struct tg_pointer p = {
			.at = var->addr,
			.value = var->value,
			.node = BUFSET_NONE,
			.to = t->slots.v[0].to,
			.link = TG_NO_LINK,
			.reason = r.reason,
			.is_stack = true,
		};
		fn(g, &p, arg);
	}
}

/* ---- following ----------------------------------------------------------- */

/* a link: to the same member of another such struct, if there is one */
static bool follow_link(struct typegraph *g, const struct tg_pointer *p,
			size_t node)
{
	const struct bufset_buf buf = tg_buf(g, node);
	const struct bufset_buf *b = &buf;
	enum type_reason reason =
		p->reason < REASON_GUESS ? p->reason : REASON_GUESS;

	if (p->link == TG_NO_LINK || p->holder == 0 ||
	    p->value - p->link != b->addr ||
	    tg_fit(g, p->holder, node) < FIT_NEAR)
		return false;
	tg_offer(g, node, p->holder, reason, p->at);
	return true;
}

static void note_part(struct tg_node *n, uint32_t type, uint64_t off)
{
	if (n->part || off > UINT32_MAX)
		return;
	n->part = type;
	n->part_off = (uint32_t)off;
}

/* the strongest thing a pointer to the start of a buffer can say */
static enum type_reason reason_of(const struct typegraph *g, uint32_t type,
				  size_t node, enum type_reason most)
{
	const struct tg_type *t = &g->types.v[type];
	enum type_reason reason = REASON_NONE;

	switch (tg_fit(g, type, node)) {
	case FIT_NOT:
		break;
	case FIT_LARGER:
		reason = t->size_bytes ? REASON_PART : REASON_SCALAR;
		break;
	case FIT_ARRAY:
		/* an array of pointers is rarely anything else */
		reason = t->is_record ? REASON_ARRAY : REASON_GUESS;
		break;
	case FIT_NEAR:
		reason = REASON_GUESS;
		break;
	case FIT_EXACT:
		/* of what class an object really is, its table would say */
		reason = t->is_poly ? REASON_GUESS : REASON_POINTER;
		break;
	}
	if (reason > REASON_SCALAR && !t->is_record &&
	    type_info(t->type).kind != TYPE_POINTER)
		reason = REASON_SCALAR;
	return reason < most ? reason : most;
}

static void follow_pointer(struct typegraph *g, const struct tg_pointer *p,
			   void *arg)
{
	(void)arg; /* nothing beside the graph is needed */
	size_t node = bufset_find(g->set, p->value);

	if (node == BUFSET_NONE || p->to == 0)
		return;
	uint64_t off = p->value - tg_buf(g, node).addr;

	g->nodes[node].flags |= NODE_POINTED;
	tg_type_slots(g, p->to); /* knows of arrays at the end */
	if (follow_link(g, p, node))
		return;
	if (off > 0) {
		if (g->types.v[p->to].is_record)
			note_part(&g->nodes[node], p->to, off);
		return;
	}
	enum type_reason reason = reason_of(g, p->to, node, p->reason);

	/* a link that leads elsewhere: to the head of its list */
	if (p->link != TG_NO_LINK && reason > REASON_PART)
		reason = REASON_PART;
	if (reason == REASON_PART && g->types.v[p->to].is_record)
		note_part(&g->nodes[node], p->to, 0);
	tg_offer(g, node, p->to, reason, p->at);
}

struct err *tg_follow(struct typegraph *g)
{
	struct err *err = NULL;
	size_t ndone = 0;

	for (int r = REASON_MAX - 1; !err && r > REASON_NONE;) {
		if (g->queue[r].n == 0) {
			r--;
			continue;
		}
		uint32_t node = g->queue[r].v[--g->queue[r].n];

		/* it has been raised since, and is queued there */
		if (g->nodes[node].reason != r)
			continue;
		tg_pointers_of_node(g, node, follow_pointer, NULL);
		err = tg_poll(g, "typing buffers", ++ndone, g->set->n);
	}
	return err;
}

static struct err *follow_vars(struct typegraph *g)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < g->vars.n; i++) {
		tg_pointers_of_var(g, &g->vars.v[i], follow_pointer, NULL);
		err = tg_poll(g, "reading variables", i, g->vars.n);
	}
	return err ? err : tg_follow(g);
}

/* ---- building ------------------------------------------------------------ */

static struct err *infer(struct typegraph *g)
{
	struct err *err = tg_infer_wholes(g);

	if (!err)
		err = tg_follow(g);
	/* what one pass finds may tell the next more */
	for (int i = 0; !err && i < 2; i++) {
		err = tg_infer_lists(g);
		if (!err)
			err = tg_follow(g);
		if (!err)
			err = tg_infer_sites(g);
		if (!err)
			err = tg_follow(g);
	}
	return err;
}

struct err *typegraph_build(struct heap *heap, const struct bufset *set,
			    struct typegraph **ret)
{
	struct typegraph *g = mem_zalloc(sizeof(*g));

	if (set->n > UINT32_MAX) {
		mem_free(g);
		return err_new(ERR_NOSUP, "more than 4 billion buffers");
	}
	g->heap = heap;
	g->set = set;
	g->nodes = mem_array(set->n + 1, sizeof(*g->nodes));
	g->stamps = mem_array(set->n + 1, sizeof(*g->stamps));
	VEC_PUSH(&g->types, (struct tg_type){.has_slots = true});
	hash_init(&g->by_type);
	hash_init(&g->by_identity);
	hash_init(&g->by_site);
	hash_init(&g->vtables);
	hash_init(&g->by_size);
	hash_init(&g->subobjects);
	struct err *err = tg_find_sites(g);

	if (!err)
		err = tg_find_vtables(g);
	if (!err)
		err = tg_find_vars(g);
	if (!err)
		err = follow_vars(g);
	if (!err)
		err = infer(g);
	if (!err)
		err = tg_grade(g);
	if (err) {
		typegraph_free(g);
		return err;
	}
	*ret = g;
	return NULL;
}

void typegraph_free(struct typegraph *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->types.n; i++) {
		mem_free(g->types.v[i].name);
		VEC_FREE(&g->types.v[i].slots);
	}
	for (size_t i = 0; i < REASON_MAX; i++)
		VEC_FREE(&g->queue[i]);
	VEC_FREE(&g->types);
	VEC_FREE(&g->vars);
	VEC_FREE(&g->sites);
	VEC_FREE(&g->records);
	hash_fini(&g->by_type);
	hash_fini(&g->by_identity);
	hash_fini(&g->by_site);
	hash_fini(&g->vtables);
	hash_fini(&g->by_size);
	hash_fini(&g->subobjects);
	mem_free(g->records_next);
	mem_free(g->stamps);
	mem_free(g->nodes);
	mem_free(g);
}

/* ---- the user's word ----------------------------------------------------- */

struct err *typegraph_assert(struct typegraph *g, taddr_t addr,
			     const struct type *type)
{
	size_t i = bufset_find(g->set, addr);

	if (i == BUFSET_NONE || tg_buf(g, i).addr != addr)
		return err_new(ERR_NOTFOUND,
			       "0x%" PRIx64 " is not the start of an allocated "
			       "buffer",
			       addr);
	struct tg_node *n = &g->nodes[i];

	n->reason = REASON_NONE;
	n->type = n->other = 0;
	n->flags &= (uint16_t) ~(NODE_CERTAIN | NODE_CONFLICT | NODE_DENIED |
				 NODE_CHECKED | NODE_SOUND);
	if (!type) {
		n->flags |= NODE_DENIED;
		return NULL;
	}
	uint32_t id = tg_type_of(g, type);

	if (id == 0 || type_info(type).size_bytes > tg_buf(g, i).size_bytes)
		return err_new(ERR_USAGE,
			       "%s does not fit in a buffer of %" PRIu64
			       " bytes",
			       type_name(type), tg_buf(g, i).size_bytes);
	tg_offer(g, i, id, REASON_ASSERTION, 0);
	struct err *err = tg_follow(g);

	return err ? err : tg_grade(g);
}
