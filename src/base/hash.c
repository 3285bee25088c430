/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Open addressing with linear probing: three parallel arrays, a power of two of
 * places, at most 3/4 of them used, nothing is ever removed.  Keys are often
 * addresses, whose low bits agree, so they are mixed (the finaliser of
 * MurmurHash3) before they are masked.
 */
#include "base/hash.h"

#include "base/mem.h"

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	x ^= x >> 33;
	return x;
}

/* where key is, or where it would go; cap > 0 and a place is free */
static size_t place(const struct hash *h, uint64_t key)
{
	size_t mask = h->cap - 1;
	size_t i = mix(key) & mask;

	while (h->used[i] && h->keys[i] != key)
		i = (i + 1) & mask;
	return i;
}

static void grow(struct hash *h)
{
	struct hash old = *h;
	size_t i;

	h->cap = old.cap ? old.cap * 2 : 16;
	h->keys = mem_array(h->cap, sizeof(*h->keys));
	h->vals = mem_array(h->cap, sizeof(*h->vals));
	h->used = mem_array(h->cap, sizeof(*h->used));
	for (i = 0; i < old.cap; i++) {
		size_t to;

		if (!old.used[i])
			continue;
		to = place(h, old.keys[i]);
		h->used[to] = 1;
		h->keys[to] = old.keys[i];
		h->vals[to] = old.vals[i];
	}
	hash_fini(&old);
}

void hash_init(struct hash *h)
{
	*h = (struct hash){0};
}

void hash_fini(struct hash *h)
{
	mem_free(h->keys);
	mem_free(h->vals);
	mem_free(h->used);
	*h = (struct hash){0};
}

uint64_t *hash_put(struct hash *h, uint64_t key, bool *ret_new)
{
	size_t i;
	bool is_new;

	if (h->n >= h->cap / 4 * 3)
		grow(h);
	i = place(h, key);
	is_new = !h->used[i];
	if (is_new) {
		h->used[i] = 1;
		h->keys[i] = key;
		h->vals[i] = 0;
		h->n++;
	}
	if (ret_new)
		*ret_new = is_new;
	return &h->vals[i];
}

uint64_t *hash_get(const struct hash *h, uint64_t key)
{
	size_t i;

	if (h->n == 0)
		return NULL;
	i = place(h, key);
	return h->used[i] ? &h->vals[i] : NULL;
}

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed)
{
	const unsigned char *bytes = p;
	uint64_t h = seed ? seed : 0xcbf29ce484222325ULL;
	size_t i;

	for (i = 0; i < n; i++)
		h = (h ^ bytes[i]) * 0x100000001b3ULL;
	return h;
}
