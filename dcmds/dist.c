/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Distributions: how often each number occurs, as bars. */
#include "dist.h"
#include <stdio.h>
#include <stdlib.h>

#define BAR       50
#define NBINS     16
#define NBINS_MAX 4096

static const struct column bin_cols[] = {
	{"first", NULL, CELL_COUNT, 0},
	{"last", NULL, CELL_COUNT, 0},
	{"count", NULL, CELL_COUNT, 0},
};

struct value {
	uint64_t value, count;
};

struct bins {
	VEC(uint64_t) starts; /* each ends where the next begins */
	uint64_t *counts;
};

void dist_init(struct dist *d)
{
	hash_init(&d->counts);
	d->total = 0;
}

void dist_fini(struct dist *d)
{
	hash_fini(&d->counts);
}

void dist_add(struct dist *d, uint64_t value)
{
	++*hash_put(&d->counts, value, NULL);
	d->total++;
}

/* ---- bins ------------------------------------------------------------ */

static void make_linear(const struct dist_shape *s, uint64_t nbins,
			struct bins *b)
{
	uint64_t range = s->end > s->begin ? s->end - s->begin : 1;
	uint64_t width = s->width_min ? s->width_min : 1;

	if (nbins > range / width)
		nbins = range / width ? range / width : 1;
	for (uint64_t i = 0; i < nbins; i++) {
		/* begin + i * range / nbins, which would not overflow */
		uint64_t start = s->begin + range / nbins * i +
				 range % nbins * i / nbins;

		VEC_PUSH(&b->starts, start);
	}
}

static uint64_t count_doublings(uint64_t width, uint64_t end)
{
	uint64_t n = 1;

	for (; width < end && width << 1; width <<= 1)
		n++;
	return n;
}

/* [begin, w), [w, 2w), [2w, 4w) ... */
static void make_geometric(const struct dist_shape *s, uint64_t nbins,
			   struct bins *b)
{
	uint64_t width = s->width_min ? s->width_min : 1;

	if (width <= s->begin)
		width = s->begin + 1;
	while (width < s->end && count_doublings(width, s->end) > nbins)
		width <<= 1;
	VEC_PUSH(&b->starts, s->begin);
	for (; width < s->end; width <<= 1) {
		VEC_PUSH(&b->starts, width);
		if (width >> 63)
			break;
	}
}

static void fill_bins(const struct dist *d, struct bins *b)
{
	b->counts = mem_array(b->starts.n, sizeof(*b->counts));
	for (size_t i = 0; i < d->counts.cap; i++) {
		size_t at = 0;

		if (!d->counts.used[i])
			continue;
		while (at + 1 < b->starts.n &&
		       d->counts.keys[i] >= b->starts.v[at + 1])
			at++;
		b->counts[at] += d->counts.vals[i];
	}
}

static void print_bin(const struct dist *d, struct out *o, uint64_t first,
		      uint64_t last, uint64_t count)
{
	static const char bar[BAR + 1] =
		"@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@";
	int len = d->total ? (int)((double)count / (double)d->total * BAR) : 0;
	char range[48];

	if (out_is_json(o) || out_is_pipe(o)) {
		out_u64(o, first);
		out_u64(o, last);
		out_u64(o, count);
		out_end_row(o, first);
		return;
	}
	if (first == last)
		snprintf(range, sizeof(range), "%" PRIu64, first);
	else
		snprintf(range, sizeof(range), "%" PRIu64 "-%" PRIu64, first,
			 last);
	out_text(o, "%11s |%-*.*s %" PRIu64 "\n", range, BAR, len, bar, count);
}

void dist_print(const struct dist *d, struct out *o,
		const struct dist_shape *shape, const char *heading)
{
	uint64_t nbins = shape->nbins_max ? shape->nbins_max : NBINS;
	struct bins b = {0};

	if (nbins > NBINS_MAX)
		nbins = NBINS_MAX;
	if (shape->is_geometric)
		make_geometric(shape, nbins, &b);
	else
		make_linear(shape, nbins, &b);
	fill_bins(d, &b);
	if (*heading && !out_is_json(o) && !out_is_pipe(o))
		out_text(o, "%s\n", heading);
	out_begin(o, bin_cols, 3, "");
	for (size_t i = 0; i < b.starts.n; i++)
		print_bin(
			d, o, b.starts.v[i],
			(i + 1 < b.starts.n ? b.starts.v[i + 1] : shape->end) -
				1,
			b.counts[i]);
	out_end(o);
	mem_free(b.counts);
	VEC_FREE(&b.starts);
}

/* ---- each value ------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
	const struct value *x = a;
	const struct value *y = b;

	return x->value < y->value ? -1 : x->value > y->value;
}

void dist_print_raw(const struct dist *d, struct out *o)
{
	VEC(struct value) list = {0};

	for (size_t i = 0; i < d->counts.cap; i++) {
		struct value v;

		if (!d->counts.used[i])
			continue;
		v.value = d->counts.keys[i];
		v.count = d->counts.vals[i];
		VEC_PUSH(&list, v);
	}
	if (list.n)
		qsort(list.v, list.n, sizeof(*list.v), by_value);
	out_begin(o, bin_cols, 3, "");
	for (size_t i = 0; i < list.n; i++) {
		const struct value *v = &list.v[i];

		if (out_is_json(o) || out_is_pipe(o)) {
			out_u64(o, v->value);
			out_u64(o, v->value);
			out_u64(o, v->count);
			out_end_row(o, v->value);
		} else {
			out_text(o, "%" PRIu64 "\t%" PRIu64 "\n", v->value,
				 v->count);
		}
	}
	out_end(o);
	VEC_FREE(&list);
}
