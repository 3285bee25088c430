/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A hash table from 64-bit key to 64-bit value: open addressing, grows. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash {
	uint64_t *keys, *vals;
	uint8_t *used;
	size_t n, cap;
};

/** An empty table; hash_fini() releases what it came to hold. */
void hash_init(struct hash *h);
void hash_fini(struct hash *h);
/** The value's place, made (0) if the key is new.  Borrowed until the next
 * call on h.  *ret_new may be NULL. */
uint64_t *hash_put(struct hash *h, uint64_t key, bool *ret_new);
/** The value's place, or NULL. */
uint64_t *hash_get(const struct hash *h, uint64_t key);
/** FNV-1a over bytes, chained by seed (0 to begin). */
uint64_t hash_bytes(const void *p, size_t n, uint64_t seed);

#endif
