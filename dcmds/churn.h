/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is told of the transaction log as a whole. */
#ifndef DCMDS_CHURN_H
#define DCMDS_CHURN_H

#include "audited.h"

/** Sizes of what records are of, by cache. */
struct record_sizes {
	struct hash by_cache; /* address -> bytes + 1; internal ones 0 */
};
/** Reads them; closed also when it failed. */
struct err *record_sizes_open(struct heap *heap,
			      struct record_sizes *ret) must_use;
void record_sizes_close(struct record_sizes *sizes);
/** The bytes a record is of; false: the allocator's own, or no transaction of a
 * buffer. */
bool record_size(const struct record_sizes *sizes, const struct heap_audit *a,
		 uint64_t *ret);

/** ::replay -g: draws live bytes and buffers over time, of a cache or of all. */
struct err *churn_graph(struct dcmd_call *call, const char *cache,
			bool is_ascii) must_use;

#endif
