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
 *   - of buffers without a stack, the cache.
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

static uint64_t add(uint64_t hash, const char *s)
{
	return hash_bytes(s, strlen(s) + 1, hash);
}

static const char *base_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path ? path : "";
}

/* the part of a linker's name that stays from build to build.  Owned. */
static char *stable_name(const char *name)
{
	if (strncmp(name, "_Z", 2) != 0 && strncmp(name, "_R", 2) != 0) {
		if (strncmp(name, "__GI_", 5) == 0)
			name += 5;
		name += strspn(name, "_");
	}
	size_t n = strcspn(name, ".");

	/* _ZN5prog4main17h0123456789abcdefE */
	if (n > 20 && name[n - 1] == 'E' &&
	    memcmp(name + n - 20, "17h", 3) == 0 &&
	    strspn(name + n - 17, "0123456789abcdef") == 16)
		n -= 20;
	return mem_strndup(name, n);
}

static uint64_t add_frame(uint64_t hash, const struct check_frame *f)
{
	const char *object = base_name(f->object);
	const char *so = strstr(object, ".so");
	_free_ char *name = NULL;

	if (f->linkname && f->linkname[0])
		name = stable_name(f->linkname);
	else
		name = mem_printf("+%" PRIx64, f->offset);
	_free_ char *stem = mem_strndup(object, so ? (size_t)(so - object) + 3
						   : strlen(object));

	return add(add(hash, stem), name);
}

/* a caller of main() or of a thread's function */
static bool is_starter(const struct check_frame *f)
{
	const char *object = base_name(f->object);

	return strncmp(object, "libc.so", 7) == 0 ||
	       strncmp(object, "libpthread", 10) == 0 ||
	       strncmp(object, "ld-linux", 8) == 0 ||
	       (f->linkname && strcmp(f->linkname, "_start") == 0);
}

static uint64_t add_stack(uint64_t hash, const struct check_stack *s)
{
	size_t n = s->n;

	while (n > 0 && is_starter(s->v[n - 1]))
		n--;
	for (size_t i = 0; i < n; i++)
		if (!s->v[i]->is_own && !s->v[i]->is_inlined)
			hash = add_frame(hash, s->v[i]);
	return hash;
}

static uint64_t hash_of(const struct item *item)
{
	bool is_buffers = item_is_buffers(item);
	uint64_t hash =
		add(0, is_buffers ? "leak" : check_kind_name(item->kind));

	if (item->cache && (!is_buffers || !item->has_stack))
		hash = add(hash, item->cache);
	hash = add_stack(hash, &item->stack);
	return add_stack(hash, &item->freed);
}

static int compare_stacks(const struct check_stack *a,
			  const struct check_stack *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (a->v[i]->offset != b->v[i]->offset)
			return a->v[i]->offset < b->v[i]->offset ? -1 : 1;
	return a->n < b->n ? -1 : a->n > b->n;
}

static int by_print_and_place(const void *a, const void *b)
{
	const struct item *x = *(const struct item *const *)a;
	const struct item *y = *(const struct item *const *)b;

	if (x->fingerprint != y->fingerprint)
		return x->fingerprint < y->fingerprint ? -1 : 1;
	int place = compare_stacks(&x->stack, &y->stack);

	if (place == 0)
		place = compare_stacks(&x->freed, &y->freed);
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

			sorted[i]->fingerprint = add(hash, suffix);
		}
	}
}
