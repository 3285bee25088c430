/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All chunks, in parts for many threads: a part is so many granules of one region.
 * They are counted; and buffers in use are listed, where there is one more part
 * for the mmapped ones.  Nothing is read but the nibbles.
 */
#include "base/jobs.h"
#include "heap/heap_glibc_impl.h"

#define PART ((size_t)1 << 20) /* granules */

static size_t parts_of(const struct glibc_region *r)
{
	return r->ngranules / PART + 1;
}

/* ---- counting -------------------------------------------------------- */

struct counter {
	struct glibc_heap *gh;
	size_t *region; /* of each part */
	size_t *first;  /* granule of each part */
	struct glibc_census *sums;
};

static void count_part(void *arg, size_t i)
{
	struct counter *c = arg;
	const struct glibc_region *r = &c->gh->regions.v[c->region[i]];
	size_t g = c->first[i];
	size_t end = r->ngranules - g < PART ? r->ngranules : g + PART;

	if (g < end && glibc_state(r, g) == CHUNK_NONE)
		g = glibc_next(r, g);
	while (g < end) {
		size_t next = glibc_next(r, g);

		glibc_census_add(&c->sums[i], glibc_state(r, g),
				 (next - g) * GRANULE);
		g = next;
	}
}

static void sum_up(struct glibc_census *to, const struct glibc_census *c)
{
	for (unsigned i = 0; i < CHUNK_MAX; i++) {
		to->n[i] += c->n[i];
		to->bytes[i] += c->bytes[i];
	}
	for (unsigned i = 0; i < GLIBC_NBINS; i++) {
		to->nbufs[i] += c->nbufs[i];
		to->ntcache[i] += c->ntcache[i];
		to->nfree[i] += c->nfree[i];
	}
}

struct err *glibc_census(struct glibc_heap *gh, struct glibc_census **ret)
{
	struct counter c = {.gh = gh};
	struct glibc_census *all = NULL;
	size_t n = 0;
	size_t k = 0;

	for (size_t i = 0; i < gh->regions.n; i++)
		n += parts_of(&gh->regions.v[i]);
	c.region = mem_array(n + 1, sizeof(*c.region));
	c.first = mem_array(n + 1, sizeof(*c.first));
	c.sums = mem_array(n + 1, sizeof(*c.sums));
	for (size_t i = 0; i < gh->regions.n; i++) {
		for (size_t p = 0; p < parts_of(&gh->regions.v[i]); p++) {
			c.region[k] = i;
			c.first[k++] = p * PART;
		}
	}
	struct err *err =
		jobs_each("counting chunks", n, PART / 64, count_part, &c);

	if (!err) {
		all = mem_array(gh->arenas.n, sizeof(*all));
		for (size_t i = 0; i < n; i++)
			sum_up(&all[gh->regions.v[c.region[i]].arena],
			       &c.sums[i]);
		*ret = all;
	}
	mem_free(c.region);
	mem_free(c.first);
	mem_free(c.sums);
	return err;
}

/* ---- listing --------------------------------------------------------- */

struct err *glibc_nparts(struct heap *heap, size_t *ret_n)
{
	struct glibc_heap *gh = heap->priv;
	struct err *err = glibc_load(gh);
	size_t n = 1;

	for (size_t i = 0; i < gh->regions.n; i++)
		n += parts_of(&gh->regions.v[i]);
	if (!err)
		*ret_n = n;
	return err;
}

static void flush(struct heap_run *run, heap_run_fn *fn, void *arg)
{
	if (run->n)
		fn(arg, run);
	run->n = 0;
}

/* one more buffer: of the run at hand, or the first of another */
static void add(struct heap_run *run, taddr_t addr, uint64_t stride,
		heap_run_fn *fn, void *arg)
{
	if (run->n && run->stride_bytes == stride &&
	    run->addr + run->n * stride == addr) {
		run->n++;
		return;
	}
	flush(run, fn, arg);
	*run = (struct heap_run){addr, stride, stride - 8, 1};
}

static void list_region(const struct glibc_region *r, size_t first,
			heap_run_fn *fn, void *arg)
{
	struct heap_run run = {0};
	size_t g = first;
	size_t end = r->ngranules - first < PART ? r->ngranules : first + PART;

	if (g < end && glibc_state(r, g) == CHUNK_NONE)
		g = glibc_next(r, g);
	while (g < end) {
		size_t next = glibc_next(r, g);

		if (glibc_state(r, g) == CHUNK_USED)
			add(&run, r->start + g * GRANULE + CHUNK_HEAD,
			    (next - g) * GRANULE, fn, arg);
		g = next;
	}
	flush(&run, fn, arg);
}

bool glibc_part(struct heap *heap, size_t part, bool is_alone, heap_run_fn *fn,
		void *arg)
{
	struct glibc_heap *gh = heap->priv;

	(void)is_alone; /* nothing of the target is read */
	for (size_t i = 0; i < gh->regions.n; i++) {
		const struct glibc_region *r = &gh->regions.v[i];

		if (part < parts_of(r)) {
			list_region(r, part * PART, fn, arg);
			return true;
		}
		part -= parts_of(r);
	}
	for (size_t i = 0; i < gh->bigs.n; i++) {
		const struct glibc_big *big = &gh->bigs.v[i];
		uint64_t bytes = big->end - big->chunk - CHUNK_HEAD - big->tail;
		struct heap_run run = {big->chunk + CHUNK_HEAD, bytes, bytes,
				       1};

		if (!big->is_cached && !big->is_own)
			fn(arg, &run);
	}
	return true;
}
