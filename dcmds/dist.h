/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Distributions: how often each number occurs, as bars. */
#ifndef DCMDS_DIST_H
#define DCMDS_DIST_H

#include "pmdb_mod.h"

struct dist {
	struct hash counts; /* value -> how often */
	uint64_t total;
};

struct dist_shape {
	uint64_t begin, end; /* values in [begin, end); begin 0 or 1 */
	uint64_t nbins_max;  /* 0: 16 */
	uint64_t width_min;  /* of a bin; 0: 1 */
	bool is_geometric;   /* each bin as wide as all before it */
};

/* rows of a table of options: the shape */
#define DIST_OPTS                                             \
	{'b', OPT_NUMBER, "maxbins", "at most so many bars"}, \
	{                                                     \
		'B', OPT_NUMBER, "minbinsize",                \
			"no bar of fewer different numbers"   \
	}
#define DIST_VALUES(shape) &(shape)->nbins_max, &(shape)->width_min

/** An empty distribution; dist_fini() releases what it came to hold. */
void dist_init(struct dist *d);
void dist_fini(struct dist *d);
/** Counts a value. */
void dist_add(struct dist *d, uint64_t value);
/** Prints bars below a heading ("" none), or rows {first, last, count}. */
void dist_print(const struct dist *d, struct out *o,
		const struct dist_shape *shape, const char *heading);
/** Prints each value and how often it occurs, "value\tcount". */
void dist_print_raw(const struct dist *d, struct out *o);

#endif
