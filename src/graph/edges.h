/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What each buffer points at, as numbers of buffers (mark_edges.c). */
#ifndef GRAPH_EDGES_H
#define GRAPH_EDGES_H

#include <pthread.h>
#include "base/mem.h"
#include "graph/bufset.h"

/* where a word points at a buffer */
enum where {
	AT_START,
	INSIDE,
	JUST_BEHIND,
	UNTOLD, /* of an edge: it stands for all that the buffer points at */
};

struct hit {
	uint32_t buf;
	enum where where;
};

/* a hit in a word: the upper bits say where */
typedef uint32_t edge_t;
#define EDGE_BITS 30u
#define EDGE_BUFS ((size_t)1 << EDGE_BITS) /* so many can be told apart */

/* buffers of a slice */
#define EDGE_SLICE 16384u

/* what each buffer points at */
struct edges {
	uint32_t *first; /* of each buffer, in its slice's; and one more a slice
			  */
	edge_t **of;     /* of each slice */
	size_t nslices;
	/* where edges are, and where there is room for more */
	pthread_mutex_t lock;
	VEC(edge_t *) tables;
	edge_t *free;
	size_t nfree;
};

static inline enum where edge_where(edge_t edge)
{
	return (enum where)(edge >> EDGE_BITS);
}

static inline size_t edge_buf(edge_t edge)
{
	return edge % EDGE_BUFS;
}

/* the edges of a buffer, in the order of its words */
static inline const edge_t *edges_of(const struct edges *e, size_t i,
				     uint32_t *ret_n)
{
	size_t slice = i / EDGE_SLICE;
	const uint32_t *first = &e->first[i + slice];

	*ret_n = first[1] - first[0];
	return e->of[slice] + first[0];
}

/** Frees what mark_all() has listed; NULL allowed. */
void edges_free(struct edges *e);

#endif
