/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every allocated buffer, sorted by address, and the answer to "which buffer
 * holds this address".
 *
 * The question is asked once for every word of the process.  Each answer costs
 * a cache miss or two, there are tens of millions of them, and nothing else
 * costs as much: so what is looked at is kept small.
 *
 *   v        a buffer is one word: its address above, its size in the low 16
 *            bits.  A size that does not fit is in large[], a table beside.
 *   runs     buffers less than RUN_GAP apart form a run; one of large buffers is
 *            a run by itself.  A process has few, so a search over runs, or over
 *            those of a stretch, settles nearly all words that are no pointers.
 *   blocks   a run is cut into blocks of 3 KB.  A block is one cache line: a
 *            bit for every 8 bytes, set where a buffer begins, and how many
 *            begin before it.  Counting bits gives the index of the last buffer
 *            at or below an address; when that begins at the address, nothing
 *            else has to be looked at.
 *
 * A run whose buffers are few, or begin at odd addresses, has no blocks; there
 * v is searched by halving.
 *
 * Building.  The back end lists its buffers in parts, which are independent
 * and so done on all processors (heap_ops.part); one that has no parts is asked
 * for all of them by one thread.  Checking and indexing go in slices of the
 * sorted table.  What is found damaged is left for one thread at the end, which
 * looks at everything in order: damage is told in the same words and the same
 * order by one thread as by many.
 *
 * Cost: 8 bytes a buffer, twice that while it is built, unless the back end
 * says beforehand how many there are; and a byte for the
 * mark; blocks cost 2 % of the memory they stand for, at most 16 bytes a
 * buffer.  O(buffers); a lookup is O(log runs).
 *
 * Invariants: (I1) v ascends by address and is disjoint.  (I2) each buffer lies
 * in exactly one run.  (I3) in a run with blocks, buffers begin at multiples of
 * GRANULE from its start, and so one at most in a granule.
 */
#include "graph/edges.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/interrupt.h"
#include "base/jobs.h"
#include "base/mem.h"
#include "base/progress.h"

/* that a part of a heap stands for, if the heap is not small */
#define PART_BUFS 1024u
#define RUN_GAP   (1u << 20)
#define ADDR_MAX  ((taddr_t)1 << (64 - SIZE_BITS))
#define MAP_GRAIN 4096u /* mappings begin at multiples */
/* buffers from this size on may be mapped by themselves: glibc's threshold is
 * twice that at least, unless the program lowers it */
#define OWN_MAP_MIN (64u << 10)
#define SLICE       65536u /* buffers */
#define LARGE_MIN \
	65536u /* such a buffer is alone in its run, or with its like */
/* blocks are worth it when buffers are no farther apart, on average */
#define SPACING_MAX 768u
#define FILL_BLOCKS 8192u /* that one thread fills at a time */
#define STRETCHES   4096u

/* ---- packing --------------------------------------------------------- */

struct part {
	VEC(uint64_t) v;
	VEC(struct bufset_buf) large;
	VEC(struct bufset_buf) beyond; /* above ADDR_MAX: damage */
	bool is_refused;               /* it must be done alone */
	bool is_placed;                /* v is a piece of the set's */
};

static void add(struct part *part, taddr_t addr, uint64_t size)
{
	struct bufset_buf b = {addr, size};

	if (addr >= ADDR_MAX) {
		VEC_PUSH(&part->beyond, b);
		return;
	}
	if (size >= SIZE_IS_LARGE) {
		VEC_PUSH(&part->large, b);
		size = SIZE_IS_LARGE;
	}
	assert(!part->is_placed || part->v.n < part->v.cap);
	VEC_PUSH(&part->v, addr << SIZE_BITS | size);
}

static int by_addr(const void *a, const void *b)
{
	const struct bufset_buf *x = a;
	const struct bufset_buf *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static uint64_t large_size(const struct bufset *set, taddr_t addr)
{
	struct bufset_buf key = {addr, 0};
	const struct bufset_buf *b = bsearch(&key, set->large, set->nlarge,
					     sizeof(*set->large), by_addr);

	return b ? b->size_bytes : SIZE_IS_LARGE;
}

struct bufset_buf bufset_at(const struct bufset *set, size_t i)
{
	struct bufset_buf b = {
		.addr = set->v[i] >> SIZE_BITS,
		.size_bytes = set->v[i] & SIZE_IS_LARGE,
	};

	if (b.size_bytes == SIZE_IS_LARGE)
		b.size_bytes = large_size(set, b.addr);
	return b;
}

taddr_t bufset_end(const struct bufset *set, size_t i)
{
	struct bufset_buf b = bufset_at(set, i);

	return b.addr + (b.size_bytes ? b.size_bytes : 1);
}

/* ---- listing --------------------------------------------------------- */

struct lister {
	struct heap *heap;
	struct part *parts;
	size_t nparts;
	size_t *start; /* of each part in v */
	struct bufset *set;
};

static void add_heap_run(void *arg, const struct heap_run *r)
{
	for (size_t i = 0; i < r->n; i++)
		add(arg, r->addr + i * r->stride_bytes, r->size_bytes);
}

static void list_part(void *arg, size_t i)
{
	struct lister *l = arg;
	struct part *part = &l->parts[i];

	part->is_refused =
		!l->heap->ops->part(l->heap, i, false, add_heap_run, part);
}

static struct err *add_buf(void *arg, const struct heap_buf *b)
{
	struct part *part = arg;
	uint64_t size = b->size_bytes;

	/* what lies behind the bytes asked for is not the program's: whether a
	 * pointer there keeps the buffer must not depend on its class */
	if (b->req_bytes < size)
		size = b->req_bytes;
	add(part, b->addr, size);
	if ((part->v.n & 0xfff) != 0)
		return NULL;
	progress_set("listing buffers", part->v.n, 0);
	return interrupt_check();
}

static struct err *list_parts(struct lister *l)
{
	struct err *err = jobs_each("listing buffers", l->nparts, PART_BUFS,
				    list_part, l);

	for (size_t i = 0; !err && i < l->nparts; i++) {
		struct part *part = &l->parts[i];

		if (!part->is_refused)
			continue;
		part->v.n = part->large.n = part->beyond.n = 0;
		(void)l->heap->ops->part(l->heap, i, true, add_heap_run, part);
		err = interrupt_check();
	}
	return err;
}

/* gives each part its piece of the table, when it is known how much it needs */
static void place_parts(struct lister *l)
{
	struct heap *heap = l->heap;
	size_t n = 0;

	if (!heap->ops->part || !heap->ops->part_max)
		return;
	for (size_t i = 0; i < l->nparts; i++) {
		l->parts[i].v.cap = heap->ops->part_max(heap, i);
		n += l->parts[i].v.cap;
	}
	l->set->v = mem_table(n + 1, sizeof(*l->set->v));
	n = 0;
	for (size_t i = 0; i < l->nparts; i++) {
		l->parts[i].is_placed = true;
		l->parts[i].v.v = l->set->v + n;
		n += l->parts[i].v.cap;
	}
}

/* closes the gaps behind parts that needed less */
static void close_up(struct lister *l)
{
	uint64_t *to = l->set->v;

	for (size_t i = 0; i < l->nparts; i++) {
		const struct part *part = &l->parts[i];

		if (part->v.v != to && part->v.n)
			memmove(to, part->v.v, part->v.n * sizeof(*to));
		to += part->v.n;
	}
}

static void copy_part(void *arg, size_t i)
{
	struct lister *l = arg;
	struct part *part = &l->parts[i];

	if (part->v.n)
		memcpy(l->set->v + l->start[i], part->v.v,
		       part->v.n * sizeof(*part->v.v));
	VEC_FREE(&part->v);
}

/* one table from all parts; large[] and damage in their order, too */
static struct err *join_parts(struct lister *l)
{
	VEC(struct bufset_buf) large = {0};
	size_t n = 0;

	l->start = mem_array(l->nparts + 1, sizeof(*l->start));
	for (size_t i = 0; i < l->nparts; i++) {
		struct part *part = &l->parts[i];

		l->start[i] = n;
		n += part->v.n;
		for (size_t k = 0; k < part->large.n; k++)
			VEC_PUSH(&large, part->large.v[k]);
		for (size_t k = 0; k < part->beyond.n; k++)
			heap_damage(l->heap,
				    "buffer 0x%" PRIx64 " of %" PRIu64
				    " bytes is not mapped",
				    part->beyond.v[k].addr,
				    part->beyond.v[k].size_bytes);
	}
	if (large.n)
		qsort(large.v, large.n, sizeof(*large.v), by_addr);
	l->set->large = large.v;
	l->set->nlarge = large.n;
	l->set->n = n;
	if (l->set->v) {
		close_up(l);
		return NULL;
	}
	if (l->nparts == 1) {
		l->set->v = l->parts[0].v.v;
		l->parts[0].v.v = NULL;
		return NULL;
	}
	l->set->v = mem_table(n + 1, sizeof(*l->set->v));
	return jobs_each("listing buffers", l->nparts, PART_BUFS, copy_part, l);
}

static struct err *list_all(struct heap *heap, struct bufset *set)
{
	struct lister l = {.heap = heap, .set = set, .nparts = 1};
	struct err *err = NULL;

	if (heap->ops->part)
		err = heap->ops->nparts(heap, &l.nparts);
	if (err)
		return err;
	l.parts = mem_array(l.nparts + 1, sizeof(*l.parts));
	place_parts(&l);
	if (heap->ops->part)
		err = list_parts(&l);
	else
		err = heap->ops->bufs(heap, 0, BUF_ALLOCATED, add_buf,
				      &l.parts[0]);
	if (!err)
		err = join_parts(&l);
	for (size_t i = 0; i < l.nparts; i++) {
		if (!l.parts[i].is_placed)
			VEC_FREE(&l.parts[i].v);
		VEC_FREE(&l.parts[i].large);
		VEC_FREE(&l.parts[i].beyond);
	}
	mem_free(l.parts);
	mem_free(l.start);
	return err;
}

/* ---- sorting and checking -------------------------------------------- */

static bool is_sorted(const uint64_t *v, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (v[i - 1] > v[i])
			return false;
	return true;
}

/* from the ascending stretch [i, n) begins with to its end */
static size_t stretch(const uint64_t *v, size_t i, size_t n)
{
	for (i++; i < n && v[i - 1] <= v[i]; i++)
		;
	return i;
}

static void merge(uint64_t *out, const uint64_t *a, const uint64_t *a_end,
		  const uint64_t *b, const uint64_t *b_end)
{
	while (a < a_end && b < b_end)
		*out++ = *b < *a ? *b++ : *a++;
	while (a < a_end)
		*out++ = *a++;
	while (b < b_end)
		*out++ = *b++;
}

/* what back ends list is a few ascending stretches, an arena or a cache each:
 * neighbours are merged until one is left */
static void sort(struct bufset *set)
{
	uint64_t *from = set->v;
	uint64_t *to = NULL;

	while (!is_sorted(from, set->n)) {
		if (!to)
			to = mem_table(set->n, sizeof(*to));
		for (size_t i = 0; i < set->n;) {
			size_t mid = stretch(from, i, set->n);
			size_t end =
				mid < set->n ? stretch(from, mid, set->n) : mid;

			merge(to + i, from + i, from + mid, from + mid,
			      from + end);
			i = end;
		}
		uint64_t *swap = from;

		from = to;
		to = swap;
	}
	set->v = from;
	mem_free(to);
}

/* true when [start, end) is not empty and all of it is mapped; *map: where to
 * look first, and where it was found */
static bool is_mapped(const struct target *t, const struct target_map **map,
		      taddr_t start, taddr_t end)
{
	if (end <= start)
		return false;
	while (start < end) {
		if (!*map || start < (*map)->start || start >= (*map)->end)
			*map = target_map_at(t, start);
		if (!*map)
			return false;
		start = (*map)->end;
	}
	return true;
}

struct checker {
	struct heap *heap;
	struct bufset *set;
	bool *is_bad; /* of each slice: something in it is damage */
};

/* (I1) for a slice, and for its first buffer and the one before */
static void check_slice(void *arg, size_t slice)
{
	const struct checker *c = arg;
	const struct target_map *map = NULL;
	size_t i = slice * SLICE;
	size_t end = c->set->n - i < SLICE ? c->set->n : i + SLICE;
	taddr_t last = i ? bufset_end(c->set, i - 1) : 0;

	for (; i < end; i++) {
		taddr_t next = bufset_end_fast(c->set, i);
		taddr_t addr = bufset_addr(c->set, i);

		if (addr < last ||
		    !is_mapped(c->heap->target, &map, addr, next))
			c->is_bad[slice] = true;
		last = next;
	}
}

/* establishes (I1); what overlaps, wraps or is not mapped is damage */
static void drop_damaged(struct heap *heap, struct bufset *set)
{
	const struct target_map *map = NULL;
	size_t kept = 0;

	for (size_t i = 0; i < set->n; i++) {
		struct bufset_buf b = bufset_at(set, i);

		if (!is_mapped(heap->target, &map, b.addr,
			       bufset_end(set, i))) {
			heap_damage(heap,
				    "buffer 0x%" PRIx64 " of %" PRIu64
				    " bytes is not mapped",
				    b.addr, b.size_bytes);
			continue;
		}
		if (kept && b.addr < bufset_end(set, kept - 1)) {
			heap_damage(heap,
				    "buffers 0x%" PRIx64 " and 0x%" PRIx64
				    " overlap",
				    bufset_addr(set, kept - 1), b.addr);
			continue;
		}
		set->v[kept++] = set->v[i];
	}
	set->n = kept;
}

static struct err *check_all(struct heap *heap, struct bufset *set)
{
	size_t nslices = (set->n + SLICE - 1) / SLICE;
	_free_ bool *is_bad = mem_array(nslices + 1, sizeof(*is_bad));
	struct checker c = {heap, set, is_bad};
	struct err *err =
		jobs_each("checking buffers", nslices, SLICE, check_slice, &c);
	bool any = false;

	for (size_t i = 0; i < nslices; i++)
		any = any || is_bad[i];
	if (!err && any)
		drop_damaged(heap, set);
	return err;
}

/* ---- runs and blocks ------------------------------------------------- */

static bool is_large(const struct bufset *set, size_t i)
{
	return (set->v[i] & SIZE_IS_LARGE) == SIZE_IS_LARGE &&
	       bufset_at(set, i).size_bytes >= LARGE_MIN;
}

static void add_run(struct bufset *set, size_t first, size_t end, size_t *cap)
{
	struct bufset_run run = {
		.start = bufset_addr(set, first),
		.end = bufset_end(set, end - 1),
		.first = first,
		.n = end - first,
	};

	if (set->nruns == *cap) {
		*cap = *cap ? *cap * 2 : 8;
		set->runs = mem_realloc(set->runs, *cap, sizeof(*set->runs));
	}
	set->runs[set->nruns++] = run;
}

static void cut_runs(struct bufset *set)
{
	size_t first = 0;
	size_t cap = 0;
	uint64_t limit = (uint64_t)RUN_GAP << SIZE_BITS;

	for (size_t i = 1; i < set->n; i++) {
		/* most are settled without a look at the size */
		if (set->v[i] - set->v[i - 1] < limit &&
		    (set->v[i] & SIZE_IS_LARGE) != SIZE_IS_LARGE &&
		    (set->v[i - 1] & SIZE_IS_LARGE) != SIZE_IS_LARGE &&
		    i - first < UINT32_MAX)
			continue;
		if (bufset_addr(set, i) - bufset_end(set, i - 1) < RUN_GAP &&
		    is_large(set, i) == is_large(set, i - 1) &&
		    i - first < UINT32_MAX)
			continue;
		add_run(set, first, i, &cap);
		first = i;
	}
	if (set->n)
		add_run(set, first, set->n, &cap);
}

/* a search for a run begins and ends with those of a stretch of addresses */
static void index_runs(struct bufset *set)
{
	uint64_t span = 0;
	size_t n = 0;
	size_t k = 0;

	if (set->nruns == 0)
		return;
	span = set->runs[set->nruns - 1].end - set->runs[0].start;
	while (span >> set->stretch_bits >= STRETCHES)
		set->stretch_bits++;
	n = (size_t)(span >> set->stretch_bits) + 2;
	set->first_run = mem_array(n, sizeof(*set->first_run));
	/* the first that ends behind the start of the stretch */
	for (size_t i = 0; i < n; i++) {
		while (k + 1 < set->nruns &&
		       set->runs[k].end - set->runs[0].start <=
			       (uint64_t)i << set->stretch_bits)
			k++;
		set->first_run[i] = (uint32_t)k;
	}
}

/* a stretch of blocks to be filled */
struct fill {
	struct bufset_run *run;
	size_t first, end;
};

struct filler {
	struct bufset *set;
	VEC(struct fill) list;
	bool *is_odd; /* of each of the list: buffers begin at odd addresses */
};

/* the first buffer of a run that begins at or behind addr */
static size_t first_from(const struct bufset *set, const struct bufset_run *run,
			 taddr_t addr)
{
	size_t lo = run->first;
	size_t hi = run->first + run->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (bufset_addr(set, mid) < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void fill_blocks(void *arg, size_t k)
{
	const struct filler *f = arg;
	const struct fill *fill = &f->list.v[k];
	const struct bufset_run *run = fill->run;
	const uint64_t *v = f->set->v;
	size_t end = run->first + run->n;
	size_t i =
		first_from(f->set, run, run->start + fill->first * BLOCK_BYTES);

	for (size_t at = fill->first; at < fill->end; at++) {
		struct block *b = &run->blocks[at];
		taddr_t start = run->start + at * BLOCK_BYTES;
		unsigned before = 0;

		b->rank = (uint32_t)(i - run->first);
		for (; i < end; i++) {
			uint64_t off = (v[i] >> SIZE_BITS) - start;

			if (off >= BLOCK_BYTES)
				break;
			if (off % GRANULE)
				f->is_odd[k] = true;
			b->bits[off / GRANULE / 64] |= (uint64_t)1
						       << off / GRANULE % 64;
		}
		for (unsigned w = 0; w < BLOCK_WORDS; w++) {
			b->before[w] = (uint16_t)before;
			before += count_bits(b->bits[w]);
		}
	}
}

static void plan_blocks(struct filler *f)
{
	for (size_t i = 0; i < f->set->nruns; i++) {
		struct bufset_run *run = &f->set->runs[i];
		uint64_t bytes = run->end - run->start;
		size_t nblocks = bytes / BLOCK_BYTES + 1;

		if (bytes / SPACING_MAX > run->n)
			continue;
		run->blocks = mem_table(nblocks, sizeof(*run->blocks));
		for (size_t at = 0; at < nblocks; at += FILL_BLOCKS) {
			size_t n = nblocks - at;
			struct fill fill = {
				run, at,
				at + (n < FILL_BLOCKS ? n : FILL_BLOCKS)};

			VEC_PUSH(&f->list, fill);
		}
	}
}

static struct err *index_all(struct bufset *set)
{
	struct filler f = {.set = set};

	cut_runs(set);
	index_runs(set);
	plan_blocks(&f);
	f.is_odd = mem_array(f.list.n + 1, sizeof(*f.is_odd));
	struct err *err = jobs_each("indexing buffers", f.list.n, FILL_BLOCKS,
				    fill_blocks, &f);

	for (size_t i = 0; !err && i < f.list.n; i++)
		if (f.is_odd[i]) { /* (I3) */
			mem_free(f.list.v[i].run->blocks);
			f.list.v[i].run->blocks = NULL;
		}
	mem_free(f.is_odd);
	VEC_FREE(&f.list);
	return err;
}

/* ---- the set --------------------------------------------------------- */

struct err *bufset_build(struct heap *heap, struct bufset **ret)
{
	if (!heap->ops->bufs)
		return err_new(ERR_NOSUP, "%s heap cannot list its buffers",
			       heap->ops->name);
	struct bufset *set = mem_zalloc(sizeof(*set));
	struct err *err = list_all(heap, set);

	set->target = heap->target;
	if (!err) {
		sort(set);
		err = check_all(heap, set);
	}
	if (!err)
		err = index_all(set);
	if (err) {
		bufset_free(set);
		return err;
	}
	set->mark = mem_table(set->n + 1, sizeof(*set->mark));
	*ret = set;
	return NULL;
}

void bufset_free(struct bufset *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->nruns; i++)
		mem_free(set->runs[i].blocks);
	mem_free(set->runs);
	mem_free(set->first_run);
	mem_free(set->large);
	edges_free(set->edges);
	mem_free(set->mark);
	mem_free(set->v);
	mem_free(set);
}

void bufset_get(struct heap *heap, const struct bufset *set, size_t i,
		struct heap_buf *ret)
{
	struct bufset_buf b = bufset_at(set, i);

	if (heap->ops->buf_at && heap->ops->buf_at(heap, b.addr, ret))
		return;
	*ret = (struct heap_buf){
		.addr = b.addr,
		.size_bytes = b.size_bytes,
		.req_bytes = b.size_bytes,
		.state = BUF_ALLOCATED,
	};
}

const struct bufset_run *bufset_find_run(const struct bufset *set, taddr_t addr)
{
	size_t lo = 0;
	size_t hi = 0;

	if (set->nruns == 0 || addr < set->runs[0].start ||
	    addr >= set->runs[set->nruns - 1].end)
		return NULL;
	uint64_t at = (addr - set->runs[0].start) >> set->stretch_bits;

	lo = set->first_run[at];
	hi = set->first_run[at + 1];
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (addr >= set->runs[mid].end)
			lo = mid + 1;
		else
			hi = mid;
	}
	return addr < set->runs[lo].start ? NULL : &set->runs[lo];
}

size_t bufset_last_in(const struct bufset *set, const struct bufset_run *run,
		      taddr_t addr, bool *ret_is_exact)
{
	size_t i = 0;

	*ret_is_exact = false;
	if (addr == run->end)
		return run->first + run->n - 1;
	if (run->blocks)
		return bufset_last(run, addr, ret_is_exact);
	i = first_from(set, run, addr + 1) - 1;
	*ret_is_exact = bufset_addr(set, i) == addr;
	return i;
}

size_t bufset_find(const struct bufset *set, taddr_t addr)
{
	const struct bufset_run *run = bufset_find_run(set, addr);
	bool is_exact = false;

	if (!run)
		return BUFSET_NONE;
	size_t i = bufset_last_in(set, run, addr, &is_exact);

	return is_exact || addr < bufset_end(set, i) ? i : BUFSET_NONE;
}

bool bufset_is_past(const struct bufset *set, size_t i, taddr_t addr)
{
	if (addr != bufset_end(set, i))
		return false;
	/*
	 * What begins at a page behind a large buffer, which has a mapping of
	 * its own, or at a mapping, is pointed at for its own sake: a thread's
	 * stack, the memory of an object.  The kernel makes one mapping of two
	 * that touch, so that their border is not always to be seen.
	 */
	if (addr % MAP_GRAIN == 0 && set->target) {
		const struct target_map *map = target_map_at(set->target, addr);
		bool is_large = bufset_at(set, i).size_bytes >= OWN_MAP_MIN;

		return !map || (map->start != addr && !is_large);
	}
	return true;
}

size_t bufset_find_past(const struct bufset *set, taddr_t addr)
{
	size_t i = addr ? bufset_find(set, addr - 1) : BUFSET_NONE;

	if (i == BUFSET_NONE || !bufset_is_past(set, i, addr) ||
	    bufset_find(set, addr) != BUFSET_NONE)
		return BUFSET_NONE;
	return i;
}
