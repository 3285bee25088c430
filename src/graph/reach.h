/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Why each buffer is alive: what holds it, and by which way. */
#ifndef GRAPH_REACH_H
#define GRAPH_REACH_H

#include "graph/graph.h"
#include "graph/stackmap.h"

struct dominators;

/* what a buffer hangs on, from the surest to the weakest */
enum hold {
	HOLD_NONE, /* on nothing: it is leaked, or no candidate */
	HOLD_DATA,
	HOLD_TLS,
	HOLD_STACK,
	HOLD_REGISTER,
	HOLD_ANON, /* memory that nobody explains */
	HOLD_DEAD, /* a part of a frame where no variable is */
	HOLD_PAST, /* pointers to just behind an end */
	HOLD_LEAK, /* another leak, or itself: it is leaked directly */
	HOLD_MAX
};

/* a part of a root that is one kind of thing */
struct reach_span {
	enum hold hold;
	taddr_t start, end;
	const struct root *root;
	uint32_t tid; /* whose thread-local memory or stack; 0 not known */
};

struct reach_holder {
	taddr_t at; /* of the word; 0: a register or what is shallow */
	uint32_t span;
};

struct reach {
	const struct leaks *leaks; /* borrowed */
	struct stackmap *stacks;
	VEC(struct reach_span) spans; /* in the order they were looked at */
	uint32_t *from;               /* see reach.c */
	unsigned char *how;
	VEC(struct reach_holder) holders;
	struct dominators *dom; /* NULL: not yet asked for */
};

/**
 * Finds for every buffer the shortest of the surest ways to it.
 *
 * @leaks:  borrowed, must outlive the result
 * @ret:    owned, see reach_free()
 *
 * Cost: each word of roots and buffers once; 5 bytes a buffer, 16 more for
 * each that a root holds.
 */
struct err *reach_build(struct heap *heap, const struct leaks *leaks,
			struct reach **ret) must_use;
void reach_free(struct reach *reach);

/** The dominators, computed once.  Borrowed. */
struct err *reach_dominators(struct heap *heap, struct reach *reach,
			     struct dominators **ret) must_use;
/** What the i-th buffer hangs on. */
enum hold reach_hold(const struct reach *reach, size_t i);
/** True when no pointer to its start is known among what is held at least as
 * surely. */
bool reach_is_interior(const struct reach *reach, size_t i);
/** The buffer before it on its way, or BUFSET_NONE: a root holds it, or nobody
 * does. */
size_t reach_from(const struct reach *reach, size_t i);
/** Where a root holds it: *ret_at is the address of the word, or 0.  NULL: no
 * root holds it directly. */
const struct reach_span *reach_root(const struct reach *reach, size_t i,
				    taddr_t *ret_at);
/** The part of a root that an address is in; of a root that is a value, it. */
const struct reach_span *reach_span_of(const struct reach *reach,
				       const struct root *root, taddr_t at);
/** A word for each of enum hold, as ::kmem_states has it: "data". */
const char *hold_name(enum hold hold);
/** True for what is no certain reference. */
bool hold_is_weak(enum hold hold);

#endif
