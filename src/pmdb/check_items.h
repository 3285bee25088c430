/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a dump that is open to the items of its verdict. */
#ifndef PMDB_CHECK_ITEMS_H
#define PMDB_CHECK_ITEMS_H

#include "graph/graph.h"
#include "heap/heap.h"
#include "pmdb/check_impl.h"
#include "types/types.h"

/* what is open while a dump is looked at */
struct evidence {
	struct target *target;
	struct types *types;
	struct heap *heap;
	struct leaks *leaks;
	VEC(struct heap_finding) findings;
	VEC(struct heap_mismatch) mismatches; /* newest first */
};

/** Makes the items of a verdict; the heap is open, leaks may be NULL. */
void check_items(const struct check *check, struct verdict *v,
		 const struct evidence *e);

/** check_judge() for who has more to ask of the dump; e is zeroed, and
 * evidence_fini()'s afterwards.  What could not be opened is NULL. */
void check_judge_open(const struct check *check, struct verdict *v,
		      struct evidence *e);
void evidence_fini(struct evidence *e);

#endif
