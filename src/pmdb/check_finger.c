/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fingerprints: what makes a finding of today the finding of last week.
 *
 * Two runs of a program differ in every address, and two builds in every offset
 * behind the line that was changed.  What stays is who called whom.  So the
 * fingerprint of a group is a hash (FNV-1a, 64 bits) over these strings, each
 * with its NUL:
 *
 *   - what it is: "leak" for buffers, whether direct or not, since the next run
 *     may find it the other way round; else the kind, and of damage the cache;
 *   - for each function of the stack, innermost first, the base name of its
 *     object up to ".so", and the name the linker has for it, up to the first
 *     dot (".part.0" is the compiler's), without the hash that ends a name of
 *     Rust, and in C without "__GI_" and "_" in front (libc's debug information
 *     has other names of a function than its table of exports); for one without
 *     a name, "+" and its offset in the object in hex;
 *   - of a mismatched free, the same of the stack of the free;
 *   - of buffers without a stack, the cache, and their type, however sure, or
 *     what they look like, whether a word is zero in some or in none.
 *
 * Left out are the functions of the allocator, those that were inlined (the
 * next build may decide otherwise), and at the outer end those of libc and the
 * loader that have called main() or the thread (without their debug information
 * they have no names) with the program's own _start.
 *
 * Several groups may come out equal: two calls of malloc() in one function.  Of
 * those, in the order of their offsets, the first keeps the hash, the second
 * gets it with "#1" hashed in, and so on: one that is new is one more, whichever
 * of them it is.
 */
#include "pmdb/check_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* what tells groups without a stack apart */
static uint64_t hash_kind(uint64_t hash, const struct item *item)
{
	static const char probably[] = "probably ";
	const char *type = item->type;
	_free_ char *shape = NULL;
	size_t n = 0;

	if (type && strncmp(type, probably, strlen(probably)) == 0)
		type += strlen(probably);
	if (type)
		return frames_hash_text(hash, type);
	if (!item->shape)
		return hash;
	shape = mem_strdup(item->shape);
	for (const char *p = item->shape; *p; p++)
		if (*p != '?')
			shape[n++] = *p;
	shape[n] = '\0';
	return frames_hash_text(hash, shape);
}

static uint64_t hash_of(const struct item *item)
{
	bool is_buffers = item_is_buffers(item);
	uint64_t hash = frames_hash_text(
		0, is_buffers ? "leak" : check_kind_name(item->kind));

	if (item->cache && (!is_buffers || !item->has_stack))
		hash = frames_hash_text(hash, item->cache);
	if (is_buffers && !item->has_stack)
		hash = hash_kind(hash, item);
	hash = frames_hash(hash, &item->stack);
	return frames_hash(hash, &item->freed);
}

static int by_print_and_place(const void *a, const void *b)
{
	const struct item *x = *(const struct item *const *)a;
	const struct item *y = *(const struct item *const *)b;

	if (x->fingerprint != y->fingerprint)
		return x->fingerprint < y->fingerprint ? -1 : 1;
	int place = frames_compare(&x->stack, &y->stack);

	if (place == 0)
		place = frames_compare(&x->freed, &y->freed);
	return place ? place : x->addr < y->addr ? -1 : x->addr > y->addr;
}

void check_fingerprints(struct verdict *v)
{
	_free_ struct item **sorted =
		mem_array(v->items.n + 1, sizeof(*sorted));
	uint64_t last = 0;
	unsigned nth = 0;

	for (size_t i = 0; i < v->items.n; i++) {
		v->items.v[i].fingerprint = hash_of(&v->items.v[i]);
		sorted[i] = &v->items.v[i];
	}
	qsort(sorted, v->items.n, sizeof(*sorted), by_print_and_place);
	for (size_t i = 0; i < v->items.n; i++) {
		uint64_t hash = sorted[i]->fingerprint;

		nth = i > 0 && hash == last ? nth + 1 : 0;
		last = hash;
		if (nth > 0) {
			_free_ char *suffix = mem_printf("#%u", nth);

			sorted[i]->fingerprint = frames_hash_text(hash, suffix);
		}
	}
}
