/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bytes of the dump, for loops that look at every buffer there is: the map of
 * the last is mostly that of the next. */
#ifndef GRAPH_PEEK_H
#define GRAPH_PEEK_H

#include "target/target.h"

struct peeker {
	const struct target_map *map;   /* where the last bytes were */
	const unsigned char *map_bytes; /* of map->start */
};

/* where the bytes of [at, ...) are; *ret_len: how many, 0 none */
static inline const unsigned char *peeker_at(struct peeker *p,
					     const struct target *t, taddr_t at,
					     uint64_t *ret_len)
{
	size_t len = 0;

	if (p->map && at - p->map->start < p->map->core_end - p->map->start) {
		*ret_len = p->map->core_end - at;
		return p->map_bytes + (at - p->map->start);
	}
	const unsigned char *bytes = target_peek(t, at, &len);

	/* of a process that runs no more of a map is there than was asked for */
	if (bytes && !target_info(t)->is_live) {
		p->map = target_map_at(t, at);
		p->map_bytes = bytes - (at - p->map->start);
	}
	*ret_len = len;
	return bytes;
}

#endif
