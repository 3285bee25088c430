/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the two files of the heap at an earlier moment share. */
#ifndef HEAP_HEAP_REPLAY_IMPL_H
#define HEAP_HEAP_REPLAY_IMPL_H

#include <inttypes.h>
#include "base/hash.h"
#include "base/mem.h"
#include "heap/heap.h"

/* an allocation or a free; there may be very many */
struct replay_event {
	uint64_t stamp_ns;
	taddr_t buf;
	taddr_t addr;          /* of the record; 0: in a file only */
	uint64_t prev_or_size; /* of a large buffer its bytes, else the record
				* of the transaction before it */
	uint32_t stack, tid;
	uint32_t cache; /* in caches[] */
	uint8_t kind;   /* in kinds[] */
	uint8_t what;   /* enum heap_what */
};

/* all of a buffer of a cache: events[first .. first + n) by time */
struct replay_life {
	taddr_t buf;
	uint32_t cache;
	uint32_t n;
	size_t first;
	bool is_there; /* the dump has this buffer of this cache, too */
};

struct replay_cache {
	struct heap_cache pub;
	char *name;    /* owned; NULL: pub.name is the base's */
	bool is_gone;  /* not in the dump any more */
	bool is_large; /* the arena of large buffers */
	/* at the moment */
	uint64_t nlive, nunknown, nalloc_after;
};

/* a buffer that the dump does not have, or not as it was */
struct replay_past {
	taddr_t addr;
	uint64_t size_bytes;
	uint32_t cache;
	enum buf_state state;
};

struct replay {
	struct heap *heap, *base;
	struct heap_coverage covered;
	uint64_t dump_ns, now_ns;        /* now_ns: the moment */
	VEC(struct replay_event) events; /* by buffer, cache, time */
	VEC(struct replay_life) lives;   /* by buffer, cache */
	VEC(struct replay_cache) caches;
	VEC(struct heap_buf) larges;   /* of the dump */
	VEC(struct replay_past) pasts; /* at the moment, ascending, disjoint */
	uint64_t *stamps;              /* of events, ascending */
	struct hash by_cache;          /* address to caches[] + 1 */
	const char *kinds[16];
	unsigned nkinds;
	uint64_t nlive, live_bytes, nunknown, nunaudited;
};

/* the two transactions of a buffer around the moment */
struct replay_around {
	const struct replay_event *last, *next; /* NULL: none in hand */
	struct heap_audit live; /* the dump's own; stamp 0: none */
	bool is_live_last;      /* it is the last before the moment */
};

/** The life of a buffer of caches[cache], or NULL. */
const struct replay_life *replay_find(const struct replay *r, taddr_t buf,
				      uint32_t cache);
/** caches[] of an address, or -1. */
int64_t replay_cache_of(const struct replay *r, taddr_t addr);
/**
 * What a buffer was at the moment.
 *
 * @life:  NULL: no record of it
 * @b:     as the dump has it; NULL: it does not
 */
enum buf_state replay_judge(struct replay *r, uint32_t cache,
			    const struct replay_life *life,
			    const struct heap_buf *b,
			    struct replay_around *ret);
/** The past buffer that lies in [start, end), or NULL. */
const struct replay_past *replay_past_in(const struct replay *r, taddr_t start,
					 taddr_t end);

extern const struct heap_ops heap_replay_ops;

#endif
