/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which buffer keeps which alive: dominators and retained bytes. */
#ifndef GRAPH_DOMINATORS_H
#define GRAPH_DOMINATORS_H

#include "graph/reach.h"

/* of all that roots lead to; numbers are preorder, 0 stands for the roots */
struct dominators {
	uint32_t n;       /* the highest number */
	uint32_t *number; /* of the i-th buffer of the set; 0: no root leads
			    * to it */
	uint32_t *buf;    /* [number]: its index in the set */
	uint32_t *idom;   /* [number]: of its immediate dominator, less */
	uint64_t *bytes;  /* [number]: retained, its own among them */
	uint32_t *nbufs;  /* [number]: the same in buffers */
};

/**
 * Finds the immediate dominator of each buffer that a root leads to.
 *
 * @ret:  owned, see dominators_free()
 * Cost: each word of roots and buffers once; see dominators.c.
 */
struct err *dominators_build(struct heap *heap, const struct reach *reach,
			     struct dominators **ret) must_use;
void dominators_free(struct dominators *dom);

#endif
