/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The inside of marking: what mark_edges.c lists and mark.c follows. */
#ifndef GRAPH_MARK_IMPL_H
#define GRAPH_MARK_IMPL_H

#include <pthread.h>
#include "base/mem.h"
#include "graph/edges.h"
#include "graph/peek.h"

#define WORD sizeof(uint64_t)
/* buffers in each queue; a power of two */
#define QUEUE 32u
/* larger ones are cut into ranges */
#define RANGE_BYTES 65536u

/* a mark while marking goes on; enum mark after it */
enum {
	REACHED = 1,
	EXACT = 2,
	PAST = 4,   /* a word points just behind it */
	LISTED = 8, /* it was looked at for that */
	LEAF = 16,  /* it points at nothing */
	LATER = 32, /* what it points at is not in edges */
};

struct piece {
	taddr_t start, end;
	size_t buf; /* whose words these are; BUFSET_NONE: a root's */
};

/* buffers on their way into the cache: their entries, or their words */
struct stage {
	uint32_t buf[QUEUE];
	unsigned in, out;
};

struct marker {
	struct heap *heap;
	struct bufset *set;
	taddr_t lo, span; /* what points at a buffer is in [lo, lo + span) */
	uint64_t ndone;   /* buffers looked at in earlier rounds */

	/* what workers share */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned nplanned, nworkers, nwaiting;
	bool is_over;
	VEC(uint32_t) bufs;
	VEC(struct piece) pieces;
	VEC(struct piece) aside;
	VEC(uint32_t) past;
	struct mark_stats sum;
};

struct worker {
	struct marker *m;
	bool is_caller;     /* may tell of progress */
	bool is_alone;      /* nobody else marks */
	VEC(uint32_t) todo; /* (I1) */
	struct stage entries, words;
	/* pointers whose block is on its way, edges whose mark is */
	struct {
		uint64_t v[QUEUE];
		unsigned in, out;
	} values;
	struct {
		struct hit v[QUEUE];
		unsigned in, out;
	} hits;
	const struct bufset_run *run; /* where the last pointer led */
	struct peeker peeker;
	VEC(struct piece) aside;
	VEC(struct piece) pieces;
	VEC(uint32_t) past;
	uint64_t nwords, nhits, nbufs;
};

/* what a value points at, which is in or just behind a run; false: nothing */
static inline bool mark_find(const struct bufset *set,
			     const struct bufset_run **last, uint64_t value,
			     struct hit *ret)
{
	const struct bufset_run *run = bufset_run_near(set, last, value);
	bool is_exact = false;
	size_t i = run->blocks && value != run->end
			   ? bufset_last(run, value, &is_exact)
			   : bufset_last_in(set, run, value, &is_exact);

	ret->buf = (uint32_t)i;
	ret->where = AT_START;
	if (is_exact)
		return true;
	ret->where = INSIDE;
	if (value < bufset_end(set, i))
		return true;
	ret->where = JUST_BEHIND;
	return bufset_is_past(set, i, value);
}

/* asks for what mark_find() will look at; false: the value is in no run */
static inline bool mark_foresee(const struct bufset *set,
				const struct bufset_run **last, uint64_t value)
{
	const struct bufset_run *run = bufset_run_near(set, last, value);

	if (!run)
		return false;
	if (run->blocks && value < run->end)
		__builtin_prefetch(bufset_block(run, value));
	return true;
}

/** Lists what every buffer points at, and says of each whether that is nothing
 * (LEAF), or is not told here (LATER). */
struct err *edges_build(struct marker *m) must_use;

#endif
