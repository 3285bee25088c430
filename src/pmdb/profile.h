/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who has the memory of a dump, summed up by call site: what profilers show.
 * It owns all it says.
 */
#ifndef PMDB_PROFILE_H
#define PMDB_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "graph/graph.h"

/* what a value of a site counts; objects, then bytes, of each */
enum profile_sample {
	PROFILE_ALLOC,  /* allocated ever, as far as the log goes back */
	PROFILE_INUSE,  /* allocated now */
	PROFILE_LEAKED, /* of these, leaked */
	PROFILE_NSAMPLES,
};

/* a function at a code address; inlined ones have the same address */
struct profile_line {
	char *function; /* never NULL */
	char *file;     /* NULL unknown */
	int line;       /* 0 unknown */
};

/* a code address of a stack */
struct profile_place {
	taddr_t pc;    /* a return address; 0: no address, but a name */
	size_t object; /* index in objects, PROFILE_NONE: in none */
	VEC(struct profile_line) lines; /* innermost first, never empty */
};

struct profile_object {
	char *path, *build_id; /* build_id: hex, "" none */
	taddr_t start, end;
	bool has_lines; /* of some place of it a file is known */
};

#define PROFILE_NONE ((size_t)-1)

/* buffers of one size from one stack */
struct profile_site {
	size_t *places; /* innermost first */
	size_t nplaces;
	uint64_t size_bytes;
	char *cache;    /* of one of them, or its arena */
	uint32_t stack; /* of the heap; 0: not recorded, and the place has the
			 * name of the cache */
	uint64_t count[PROFILE_NSAMPLES], bytes[PROFILE_NSAMPLES];
};

struct profile {
	VEC(struct profile_site) sites; /* most bytes in use first */
	VEC(struct profile_place) places;
	VEC(struct profile_object) objects;
	uint64_t *born_ns; /* of each buffer in use, in the order of the set:
			    * when; 0 not recorded */
	bool has_alloc;    /* there was a log */
	uint64_t time_ns;  /* when the dump was made, since 1970; 0 unknown */
	struct hash by_pc, by_key;
};

/**
 * Sums up the allocated buffers of a heap, and what its log has of others.
 *
 * @leaks:  of that heap
 * @ret:    filled; see profile_fini()
 */
struct err *profile_build(struct heap *heap, const struct leaks *leaks,
			  struct profile *ret) must_use;
void profile_fini(struct profile *p);
/** A stack on a line: functions, outermost first, ";" between.  Owned. */
char *profile_folded(const struct profile *p, const struct profile_site *site);

#endif
