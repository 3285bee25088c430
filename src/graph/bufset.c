/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every allocated buffer, sorted by address, and the answer to "which buffer
 * holds this address".
 *
 * The question is asked once for every word of the process, and the answer is
 * mostly no.  Three steps, from cheap to dear:
 *
 *   runs     buffers less than RUN_GAP apart form a run; a process has few, so
 *            a search over runs settles nearly all words that are no pointers
 *   pages    a run has one index a page: the first buffer that ends beyond the
 *            start of that page
 *   buffers  those of a page mostly belong to one slab and lie at equal steps,
 *            so that one division hits; between the indices of two pages lie
 *            few: else halving
 *
 * Each lookup is a cache miss or two, and there are as many as words: what is
 * kept of a buffer is 16 bytes, the rest is asked of the heap when it is needed.
 *
 * Cost: 16 bytes a buffer, as many again while it is built, 12 bytes a page;
 * O(log runs + log buffers of a page).
 *
 * Invariants: (I1) v ascends by address and is disjoint.  (I2) each buffer lies
 * in exactly one run.  (I3) page[k].first <= page[k + 1].first, and
 * page[npages].first is the index after the run's last buffer.
 */
#include <inttypes.h>
#include <stdlib.h>
#include "base/interrupt.h"
#include "base/mem.h"
#include "base/progress.h"
#include "graph/graph.h"

#define RUN_GAP        (1u << 20)
#define RUN_PAGE_SHIFT 12
/* a run of more pages than this (a segment of absurd size) gets larger ones */
#define RUN_PAGES_MAX ((size_t)1 << 24)

struct page {
	uint32_t first; /* buffer that ends beyond the page's start */
	int32_t lead;   /* where that begins, from the page's start */
	uint32_t step;  /* to the next; 0: do not guess */
};

struct bufset_run {
	taddr_t start, end;
	unsigned shift; /* of its pages: RUN_PAGE_SHIFT or more */
	size_t npages;
	struct page *page; /* npages + 1 of them */
	size_t first; /* index of the first buffer; page[] counts from it */
};

struct builder {
	VEC(struct bufset_buf) bufs;
};

static struct err *add_buf(void *arg, const struct heap_buf *b)
{
	struct builder *bld = arg;

	struct bufset_buf mine = {b->addr, b->size_bytes};

	/* what lies behind the bytes asked for is not the program's: whether a
	 * pointer there keeps the buffer must not depend on its class */
	if (b->req_bytes < b->size_bytes)
		mine.size_bytes = b->req_bytes;
	VEC_PUSH(&bld->bufs, mine);
	if ((bld->bufs.n & 0xfff) != 0)
		return NULL;
	progress_set("listing buffers", bld->bufs.n, 0);
	return interrupt_check();
}

static int by_addr(const void *a, const void *b)
{
	const struct bufset_buf *x = a;
	const struct bufset_buf *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* a buffer of no size can be pointed at, too */
static taddr_t buf_end(const struct bufset_buf *b)
{
	return b->addr + (b->size_bytes ? b->size_bytes : 1);
}

/* true when [start, end) is not empty and all of it is mapped */
static bool is_mapped(const struct target *t, taddr_t start, taddr_t end)
{
	if (end <= start)
		return false;
	while (start < end) {
		const struct target_map *map = target_map_at(t, start);

		if (!map)
			return false;
		start = map->end;
	}
	return true;
}

/* establishes (I1); what overlaps, wraps or is not mapped is damage */
static size_t drop_overlaps(struct heap *heap, struct bufset_buf *v, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (!is_mapped(heap->target, v[i].addr, buf_end(&v[i]))) {
			heap_damage(heap,
				    "buffer 0x%" PRIx64 " of %" PRIu64
				    " bytes is not mapped",
				    v[i].addr, v[i].size_bytes);
			continue;
		}
		if (kept && v[i].addr < buf_end(&v[kept - 1])) {
			heap_damage(heap,
				    "buffers 0x%" PRIx64 " and 0x%" PRIx64
				    " overlap",
				    v[kept - 1].addr, v[i].addr);
			continue;
		}
		v[kept++] = v[i];
	}
	return kept;
}

/* v: the first buffer of page p; n: how many there are from it on */
static void guess_page(struct bufset_run *run, size_t p,
		       const struct bufset_buf *v, size_t n)
{
	taddr_t start = run->start + ((uint64_t)p << run->shift);

	run->page[p].lead = 0;
	run->page[p].step = 0;
	if (run->shift != RUN_PAGE_SHIFT || n < 2 ||
	    v[1].addr - v[0].addr > (1u << RUN_PAGE_SHIFT) ||
	    v[0].addr + INT32_MAX < start)
		return;
	run->page[p].lead = (int32_t)(int64_t)(v[0].addr - start);
	run->page[p].step = (uint32_t)(v[1].addr - v[0].addr);
}

static void index_run(struct bufset_run *run, const struct bufset_buf *v,
		      size_t first, size_t n)
{
	size_t i = 0;

	run->start = v[first].addr;
	run->end = buf_end(&v[first + n - 1]);
	run->first = first;
	run->shift = RUN_PAGE_SHIFT;
	while ((run->end - run->start) >> run->shift >= RUN_PAGES_MAX)
		run->shift++;
	run->npages = ((run->end - run->start) >> run->shift) + 1;
	run->page = mem_array(run->npages + 1, sizeof(*run->page));
	for (size_t p = 0; p < run->npages; p++) {
		while (i < n && buf_end(&v[first + i]) - run->start <=
					((uint64_t)p << run->shift))
			i++;
		run->page[p].first = (uint32_t)i;
		guess_page(run, p, v + first + i, n - i);
	}
	run->page[run->npages] = (struct page){.first = (uint32_t)n};
}

static void index_all(struct bufset *set)
{
	VEC(struct bufset_run) runs = {0};

	for (size_t i = 0; i < set->n;) {
		struct bufset_run run = {0};
		size_t n = 1;

		while (i + n < set->n && n < UINT32_MAX &&
		       set->v[i + n].addr - buf_end(&set->v[i + n - 1]) <
			       RUN_GAP)
			n++;
		index_run(&run, set->v, i, n);
		VEC_PUSH(&runs, run);
		i += n;
	}
	set->runs = runs.v;
	set->nruns = runs.n;
}

static bool is_sorted(const struct bufset_buf *v, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (v[i - 1].addr > v[i].addr)
			return false;
	return true;
}

struct err *bufset_build(struct heap *heap, struct bufset **ret)
{
	struct builder bld = {0};
	struct err *err = NULL;

	if (!heap->ops->bufs)
		return err_new(ERR_NOSUP, "%s heap cannot list its buffers",
			       heap->ops->name);
	err = heap->ops->bufs(heap, 0, BUF_ALLOCATED, add_buf, &bld);
	if (err) {
		VEC_FREE(&bld.bufs);
		return err;
	}
	struct bufset *set = mem_zalloc(sizeof(*set));

	set->v = bld.bufs.v;
	if (bld.bufs.n && !is_sorted(set->v, bld.bufs.n))
		qsort(set->v, bld.bufs.n, sizeof(*set->v), by_addr);
	set->n = drop_overlaps(heap, set->v, bld.bufs.n);
	if (set->n)
		set->v = mem_realloc(set->v, set->n, sizeof(*set->v));
	set->mark = mem_array(set->n + 1, sizeof(*set->mark));
	set->root = mem_array(set->n + 1, sizeof(*set->root));
	index_all(set);
	*ret = set;
	return NULL;
}

void bufset_free(struct bufset *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->nruns; i++)
		mem_free(set->runs[i].page);
	mem_free(set->runs);
	mem_free(set->mark);
	mem_free(set->root);
	mem_free(set->v);
	mem_free(set);
}

void bufset_get(struct heap *heap, const struct bufset *set, size_t i,
		struct heap_buf *ret)
{
	const struct bufset_buf *b = &set->v[i];

	if (heap->ops->buf_at && heap->ops->buf_at(heap, b->addr, ret))
		return;
	*ret = (struct heap_buf){
		.addr = b->addr,
		.size_bytes = b->size_bytes,
		.req_bytes = b->size_bytes,
		.state = BUF_ALLOCATED,
	};
}

static const struct bufset_run *find_run(const struct bufset *set, taddr_t addr)
{
	size_t lo = 0;
	size_t hi = set->nruns;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (addr >= set->runs[mid].end)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == set->nruns || addr < set->runs[lo].start)
		return NULL;
	return &set->runs[lo];
}

/* how many buffers behind the first of its page addr ought to be */
static size_t guess_at(const struct bufset_run *run, size_t p, taddr_t addr)
{
	const struct page *page = &run->page[p];
	int64_t off =
		(int64_t)(addr - run->start - ((uint64_t)p << run->shift)) -
		page->lead;

	if (page->step == 0 || off < 0 || off > UINT32_MAX)
		return 0;
	return (uint32_t)off / page->step;
}

size_t bufset_find(const struct bufset *set, taddr_t addr)
{
	const struct bufset_run *run = find_run(set, addr);

	if (!run)
		return BUFSET_NONE;
	size_t p = (addr - run->start) >> run->shift;
	size_t lo = run->first + run->page[p].first;
	/* the buffer of page[p + 1] may begin in this page (I3) */
	size_t hi = run->first + run->page[p + 1].first + 1;
	size_t end = run->first + run->page[run->npages].first;
	size_t guess = lo + guess_at(run, p, addr);

	if (hi > end)
		hi = end;
	if (guess < hi && addr >= set->v[guess].addr &&
	    addr < buf_end(&set->v[guess]))
		return guess;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (addr >= buf_end(&set->v[mid]))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == end || addr < set->v[lo].addr || addr >= buf_end(&set->v[lo]))
		return BUFSET_NONE;
	return lo;
}

size_t bufset_find_past(const struct bufset *set, taddr_t addr)
{
	size_t i = addr ? bufset_find(set, addr - 1) : BUFSET_NONE;

	if (i == BUFSET_NONE || addr != buf_end(&set->v[i]) ||
	    bufset_find(set, addr) != BUFSET_NONE)
		return BUFSET_NONE;
	return i;
}
