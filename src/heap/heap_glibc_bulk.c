/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All buffers in use, in parts for many threads: a part is so many granules of
 * one region, and lists the chunks that begin there; the last has the mmapped
 * ones.  Nothing is read but the nibbles.
 */
#include "heap/heap_glibc_impl.h"

#define PART ((size_t)1 << 20) /* granules */

static size_t parts_of(const struct glibc_region *r)
{
	return r->ngranules / PART + 1;
}

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

		if (!big->is_cached)
			fn(arg, &run);
	}
	return true;
}
