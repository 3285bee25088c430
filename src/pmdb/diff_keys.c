/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which call site, cache or type of one dump is which of the other.
 *
 * Caches and types are matched by name.
 *
 * Call sites are matched in three steps.  First by place, which is exact as far as
 * both dumps are of the same files: a stack all of whose files are in both is
 * found so, or it is not there.  Of those left over, because some file on the way
 * is of another build, by what the functions are called and the place of the
 * innermost call; of the rest, because that file is of another build, by names
 * alone: several calls in one function have the same, and are paired in the order
 * of their offsets.
 */
#include "pmdb/diff_impl.h"

#include <stdlib.h>
#include <string.h>

/* is the file that a function is in, in the other dump, too? */
static bool is_common(const struct diff_dump *dump, const struct check_frame *f)
{
	for (size_t i = 0; f->object && i < dump->objects.n; i++)
		if (strcmp(dump->objects.v[i].path, f->object) == 0)
			return dump->objects.v[i].is_common;
	return false;
}

/* would its place, or that which is near, be the same in the other dump? */
static bool is_exact(const struct diff_dump *dump, const struct diff_key *key,
		     bool is_near)
{
	for (size_t i = 0; i < key->stack.n; i++) {
		if (key->stack.v[i]->is_own)
			continue;
		if (!is_common(dump, key->stack.v[i]))
			return false;
		if (is_near)
			return true;
	}
	return key->has_stack;
}

typedef int key_compare(const struct diff_key *x, const struct diff_key *y);

static int by_hash(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int by_place(const struct diff_key *x, const struct diff_key *y)
{
	return by_hash(x->place, y->place);
}

static int by_near(const struct diff_key *x, const struct diff_key *y)
{
	return by_hash(x->near, y->near);
}

static int by_print(const struct diff_key *x, const struct diff_key *y)
{
	return by_hash(x->print, y->print);
}

/* the order of keys before they are paired: equal ones by their offsets */
static int sort_by(key_compare *compare, const void *a, const void *b)
{
	const struct diff_key *x = *(const struct diff_key *const *)a;
	const struct diff_key *y = *(const struct diff_key *const *)b;
	int order = compare(x, y);

	return order ? order : frames_compare(&x->stack, &y->stack);
}

static int sort_by_place(const void *a, const void *b)
{
	return sort_by(by_place, a, b);
}

static int sort_by_near(const void *a, const void *b)
{
	return sort_by(by_near, a, b);
}

static int sort_by_print(const void *a, const void *b)
{
	return sort_by(by_print, a, b);
}

struct keys {
	struct diff_key **v;
	size_t n;
};

static void add_group(struct diff *d, enum diff_by by, struct diff_key *was,
		      struct diff_key *is)
{
	struct diff_group g = {.was = was, .is = is};

	if (was)
		was->group = d->groups[by].n;
	if (is)
		is->group = d->groups[by].n;
	VEC_PUSH(&d->groups[by], g);
}

/* pairs keys that compare equal, in order, and keeps only the others */
static void pair(struct diff *d, enum diff_by by, struct keys *old,
		 struct keys *new, int (*sort)(const void *, const void *),
		 key_compare *compare)
{
	size_t nold = 0;
	size_t nnew = 0;
	size_t i = 0;
	size_t j = 0;

	qsort(old->v, old->n, sizeof(*old->v), sort);
	qsort(new->v, new->n, sizeof(*new->v), sort);
	while (i < old->n || j < new->n) {
		int order = i == old->n   ? 1
			    : j == new->n ? -1
					  : compare(old->v[i], new->v[j]);

		if (order == 0)
			add_group(d, by, old->v[i++], new->v[j++]);
		else if (order < 0)
			old->v[nold++] = old->v[i++];
		else
			new->v[nnew++] = new->v[j++];
	}
	old->n = nold;
	new->n = nnew;
}

static struct keys keys_of(struct diff_dump *dump, enum diff_by by)
{
	struct keys ret = {.n = dump->keys[by].n};

	ret.v = mem_array(ret.n + 1, sizeof(struct diff_key *));
	for (size_t i = 0; i < ret.n; i++)
		ret.v[i] = &dump->keys[by].v[i];
	return ret;
}

/* keys that would have been paired, if they were in the other dump, have no
 * partner */
static void set_apart(struct diff *d, enum diff_by by, struct keys *keys,
		      bool is_old, bool is_near)
{
	const struct diff_dump *dump = is_old ? &d->old : &d->new;
	size_t n = 0;

	for (size_t i = 0; i < keys->n; i++) {
		struct diff_key *key = keys->v[i];

		if (is_exact(dump, key, is_near))
			add_group(d, by, is_old ? key : NULL,
				  is_old ? NULL : key);
		else
			keys->v[n++] = key;
	}
	keys->n = n;
}

void diff_match_keys(struct diff *d, enum diff_by by)
{
	struct keys old = keys_of(&d->old, by);
	struct keys new = keys_of(&d->new, by);

	pair(d, by, &old, &new, sort_by_place, by_place);
	set_apart(d, by, &old, true, false);
	set_apart(d, by, &new, false, false);
	pair(d, by, &old, &new, sort_by_near, by_near);
	set_apart(d, by, &old, true, true);
	set_apart(d, by, &new, false, true);
	pair(d, by, &old, &new, sort_by_print, by_print);
	for (size_t i = 0; i < old.n; i++)
		add_group(d, by, old.v[i], NULL);
	for (size_t i = 0; i < new.n; i++)
		add_group(d, by, NULL, new.v[i]);
	mem_free(old.v);
	mem_free(new.v);
}

static int by_print_and_place(const void *a, const void *b)
{
	const struct diff_group *x = *(const struct diff_group *const *)a;
	const struct diff_group *y = *(const struct diff_group *const *)b;
	const struct diff_key *p = diff_key_of(x);
	const struct diff_key *q = diff_key_of(y);

	return sort_by_print(&p, &q);
}

/* as check does: of several equal ones, the second is "#1" */
void diff_set_fingerprints(struct diff *d)
{
	size_t n = d->groups[DIFF_SITE].n;
	_free_ struct diff_group **sorted = mem_array(n + 1, sizeof(*sorted));
	unsigned nth = 0;

	for (size_t i = 0; i < n; i++)
		sorted[i] = &d->groups[DIFF_SITE].v[i];
	qsort(sorted, n, sizeof(*sorted), by_print_and_place);
	for (size_t i = 0; i < n; i++) {
		uint64_t print = diff_key_of(sorted[i])->print;
		bool is_again =
			i > 0 && print == diff_key_of(sorted[i - 1])->print;

		nth = is_again ? nth + 1 : 0;
		sorted[i]->fingerprint = print;
		if (nth > 0) {
			_free_ char *suffix = mem_printf("#%u", nth);

			sorted[i]->fingerprint =
				frames_hash_text(print, suffix);
		}
	}
}
