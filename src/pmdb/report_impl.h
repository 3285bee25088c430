/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of "pmdb report" share. */
#ifndef PMDB_REPORT_IMPL_H
#define PMDB_REPORT_IMPL_H

#include "heap/pagemap.h"
#include "pmdb/check_items.h"
#include "pmdb/profile.h"

#define PAST_SLOTS 200
#define PAST_BINS  11 /* of lifetimes, see past_bin_end() */
/* of sizes: 0, 1, 2-3, 4-7, ... */
#define SIZE_BINS 65

/* what the records of a heap tell */
struct past {
	const char *why; /* there is no curve; NULL: there is one */
	uint64_t first_ns, last_ns, nrecords;
	struct {
		uint64_t bytes, nbufs; /* the most there was of each */
	} slot[PAST_SLOTS];
	uint64_t freed[PAST_BINS], live[PAST_BINS];
	uint64_t nfreed, nlive; /* sums of these */
};

/* a dump, and all that a report tells of it */
struct page {
	const char *path;
	const struct check *check;
	struct verdict v;
	struct evidence e;
	struct profile profile;
	bool has_stacks; /* of some buffer */
	struct pagemap map;
	struct hash live; /* cache -> how many of its buffers are allocated */
	uint64_t nlarge, large_bytes; /* allocated, of no cache */
	struct past past;
	char *stories; /* damage, told; "" none */
};

/* report_past.c */
/** Reads the records: who lives since when, and the log.  The page has its
 * profile and what lives. */
struct err *past_read(const struct page *p, struct past *ret) must_use;
/** The first duration, in ns, that is not in a bin any more; the last has no
 * end. */
uint64_t past_bin_end(unsigned bin);

/* each writes its part; out is borrowed */
/** Who, when, and the verdict. */
void report_head(const struct page *p, FILE *o);
/** Leaks, damage and mismatched frees. */
void report_findings(const struct page *p, FILE *o);
/** A flame graph of live bytes, and the same as a table. */
void report_sites(const struct page *p, FILE *o);
/** The picture alone. */
void report_flame(const struct page *p, FILE *o);
/** Every cache. */
struct err *report_caches(const struct page *p, FILE *o) must_use;
/** How full memory is. */
void report_map(const struct page *p, FILE *o);
/** Live bytes over time. */
void report_past(const struct page *p, FILE *o);
/** Sizes and lifetimes. */
void report_distributions(const struct page *p, FILE *o);

#endif
