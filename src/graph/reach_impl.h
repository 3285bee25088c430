/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of the search for ways share: reach.c has the theory. */
#ifndef GRAPH_REACH_IMPL_H
#define GRAPH_REACH_IMPL_H

#include "base/mem.h"
#include "graph/reach.h"

/* from[] of what a root holds: the bit, and an index in holders */
#define FROM_ROOT (1u << 31)
#define FROM_NONE UINT32_MAX
/* how[]: enum hold, and */
#define HOW_HOLD     0x0f
#define CANDIDATE    0x0f
#define HOW_INTERIOR 0x10 /* the last step of its way is not exact */
#define HOW_EXACT    0x20 /* somebody points at its start */
#define HOW_NEW      0x40 /* HOW_INTERIOR, and not yet looked into */

/* a word that may change what is known of a buffer */
struct reach_hit {
	uint32_t to; /* the buffer, or HIT_EXACT | it; HIT_ASIDE */
	uint32_t by; /* in a slice the buffer, in a range the number of the
		      * word; or HIT_PAST | it */
};
#define HIT_EXACT (1u << 31) /* points at its start */
#define HIT_PAST  (1u << 31) /* points just behind it */
/* to: the buffer, or the rest of the range, is to be read in another way */
#define HIT_ASIDE UINT32_MAX

/* what one thread looks at in one go: a slice of a level, or a range */
struct reach_item {
	const uint32_t *bufs; /* NULL: a range */
	size_t n;
	taddr_t start, end;         /* of a range, at whole words */
	VEC(struct reach_hit) hits; /* in the order of what was looked at */
};

#define BATCH_ITEMS 64u
#define SLICE_BUFS  1024u  /* in an item */
#define RANGE_BYTES 65536u /* in an item */
/* buffers of a slice that are larger are put aside, to be cut into ranges */
#define LARGE_BYTES 16384u

/* items that are looked at by all threads before any hit counts */
struct reach_batch {
	const struct target *target;
	const struct bufset *set;
	const unsigned char *how;
	unsigned njobs;
	struct reach_item items[BATCH_ITEMS];
	size_t n;
	size_t next; /* counted up by whoever takes an item */
};

/** Looks at each item of a batch: fills hits with the words that may change
 * something, those left out that cannot.  Errors: ERR_STOP. */
struct err *reach_collect(struct reach_batch *b) must_use;
/** Frees what the items own. */
void reach_batch_fini(struct reach_batch *b);

/** Fills from, how and holders. */
struct err *reach_search(struct heap *heap, struct reach *reach) must_use;

#endif
