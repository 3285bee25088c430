/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one state each buffer is in. */
#ifndef DCMDS_BUFSTATE_H
#define DCMDS_BUFSTATE_H

#include "pmdb_mod.h"

enum bufstate {
	/* first those of enum hold, in its order */
	STATE_INTERIOR = HOLD_LEAK,
	STATE_LEAKED,
	STATE_INDIRECT,
	STATE_ALLOCATOR,
	STATE_THEN, /* of an earlier moment: what held it nobody knows */
	STATE_NOT_KNOWN,
	STATE_FREE_SLAB,
	STATE_NEVER_USED,
	STATE_FREE_MAG,
	STATE_FREE_DEPOT,
	STATE_FREE_LIST, /* heap_buf.where says which kind of list */
	STATE_CONSTRUCTED,
	STATE_TRANSIT,
	STATE_FREE_THEN,
	STATE_MAX
};

/** What a buffer is; cache NULL: it is a large one. */
enum bufstate bufstate_of(struct heap *heap, const struct reach *reach,
			  const struct heap_cache *cache,
			  const struct heap_buf *b);
/** "leaked", and "leaked with another leak"; NULL: no state.  where: of
 * STATE_FREE_LIST, heap_buf.where. */
const char *bufstate_name(enum bufstate state, const char *where);
char *bufstate_words(enum bufstate state, const char *where);

/* addresses of buffers, bufctls and segments, told by their state */
struct bufstates {
	struct session *s;
	struct heap *heap;
	struct reach *reach;
	uint64_t wanted;         /* bit mask of 1 << enum bufstate */
	VEC(const char *) lists; /* of STATE_FREE_LIST only these; none: all */
	VEC(struct heap_cache) caches;
};

/** Begins; names: states and groups of them, "," between, NULL: every one.
 * Finds the leaks, too.  See bufstates_close(), also after an error. */
struct err *bufstates_open(struct session *s, const char *names,
			   struct bufstates *ret) must_use;
void bufstates_close(struct bufstates *b);
/** The buffer that an address is in, or that has it as its bufctl or
 * segment; false: of none. */
bool bufstates_at(const struct bufstates *b, taddr_t addr, struct heap_buf *ret,
		  enum bufstate *ret_state);
/** True when that is wanted of a buffer. */
bool bufstates_has(const struct bufstates *b, const struct heap_buf *buf,
		   enum bufstate state);
/** True when an address is of a buffer in a wanted state. */
bool bufstates_wants(const struct bufstates *b, taddr_t addr);

#endif
