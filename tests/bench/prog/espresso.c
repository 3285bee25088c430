/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * After espresso: minimising two-level logic.  Covers are arrays of pointers
 * to cubes (bit sets of some words); complement and tautology recurse on
 * cofactors, each of them a new cover.  Blocks of 16 bytes to some KiB, in the
 * order of a recursion, with realloc of covers that grow.
 *
 * usage: espresso [FUNCTIONS]
 */
#include "bench.h"

#define NVARS  20
#define NWORDS 2 /* a bit for x, and one for not x, of each variable */

struct cube {
	uint32_t word[NWORDS];
};

struct cover {
	size_t n, room;
	struct cube **cube;
};

static int can_be(const struct cube *c, int var, int value)
{
	return c->word[value] >> var & 1;
}

static struct cover *cover_new(size_t room)
{
	struct cover *f = must(malloc(sizeof(*f)));

	f->n = 0;
	f->room = room;
	f->cube = must(malloc(room * sizeof(*f->cube)));
	return f;
}

static void cover_drop(struct cover *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->cube[i]);
	free(f->cube);
	free(f);
}

static struct cube *cover_add(struct cover *f, const struct cube *from)
{
	struct cube *c = must(malloc(sizeof(*c)));

	if (f->n == f->room) {
		f->room *= 2;
		f->cube = must(realloc(f->cube, f->room * sizeof(*f->cube)));
	}
	*c = *from;
	return f->cube[f->n++] = c;
}

/** The cover where a variable has a value. */
static struct cover *cofactor(const struct cover *f, int var, int value)
{
	struct cover *g = cover_new(4);

	for (size_t i = 0; i < f->n; i++) {
		if (!can_be(f->cube[i], var, value))
			continue;
		struct cube *c = cover_add(g, f->cube[i]);

		c->word[0] |= (uint32_t)1 << var;
		c->word[1] |= (uint32_t)1 << var;
	}
	return g;
}

static int is_full(const struct cube *c)
{
	uint32_t all = ((uint32_t)1 << NVARS) - 1;

	return (c->word[0] & all) == all && (c->word[1] & all) == all;
}

/** The variable that most cubes restrict; -1: one cube is everything. */
static int best_variable(const struct cover *f)
{
	int count[NVARS] = {0}, best = 0;

	for (size_t i = 0; i < f->n; i++) {
		if (is_full(f->cube[i]))
			return -1;
		for (int v = 0; v < NVARS; v++)
			count[v] += !can_be(f->cube[i], v, 0) +
				    !can_be(f->cube[i], v, 1);
	}
	for (int v = 1; v < NVARS; v++)
		if (count[v] > count[best])
			best = v;
	return best;
}

static int contains(const struct cube *a, const struct cube *b)
{
	return (b->word[0] & ~a->word[0]) == 0 &&
	       (b->word[1] & ~a->word[1]) == 0;
}

/** Removes the cubes that others contain. */
static void absorb(struct cover *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++) {
		size_t k = 0;

		while (k < f->n && (k == i || !f->cube[k] ||
				    !contains(f->cube[k], f->cube[i])))
			k++;
		if (k < f->n) {
			free(f->cube[i]);
			f->cube[i] = NULL;
		}
	}
	for (size_t i = 0; i < f->n; i++)
		if (f->cube[i])
			f->cube[n++] = f->cube[i];
	f->n = n;
}

static struct cover *complement(const struct cover *f)
{
	struct cover *g = cover_new(4);
	struct cube all = {{~0U, ~0U}};
	int var;

	if (f->n == 0) {
		(void)cover_add(g, &all);
		return g;
	}
	var = best_variable(f);
	if (var < 0)
		return g;
	for (int value = 0; value < 2; value++) {
		struct cover *part = cofactor(f, var, value);
		struct cover *not_part = complement(part);

		for (size_t i = 0; i < not_part->n; i++) {
			struct cube *c = cover_add(g, not_part->cube[i]);

			c->word[!value] &= ~((uint32_t)1 << var);
		}
		cover_drop(not_part);
		cover_drop(part);
	}
	absorb(g);
	return g;
}

int main(int argc, char **argv)
{
	size_t nfunctions = arg_or(argc, argv, 1, 90);
	uint32_t seed = 417;
	size_t total = 0;

	for (size_t i = 0; i < nfunctions; i++) {
		struct cover *f = cover_new(4), *off, *on;

		for (int k = 0; k < 26; k++) {
			uint32_t care = next_random(&seed) & next_random(&seed);
			uint32_t value = next_random(&seed);
			struct cube c = {{~care | value, ~care | ~value}};

			(void)cover_add(f, &c);
		}
		off = complement(f);
		on = complement(off);
		total += on->n;
		cover_drop(on);
		cover_drop(off);
		cover_drop(f);
	}
	printf("espresso: %zu cubes\n", total);
	return 0;
}
