/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The inside of struct bufset, for loops that look up every word there is. */
#ifndef GRAPH_BUFSET_H
#define GRAPH_BUFSET_H

#include "graph/graph.h"

/* where a buffer may begin, in a run with blocks */
#define GRANULE       8
#define BLOCK_WORDS   6
#define BLOCK_BYTES   ((uint64_t)BLOCK_WORDS * 64 * GRANULE)
#define SIZE_BITS     16
#define SIZE_IS_LARGE 0xffffu

/* a cache line: which granules of BLOCK_BYTES begin a buffer */
struct block {
	uint32_t rank; /* buffers of the run that begin before the block */
	uint16_t before[BLOCK_WORDS]; /* that begin before each word */
	uint64_t bits[BLOCK_WORDS];
};

/* buffers [first, first + n) of the set, which lie in [start, end) */
struct bufset_run {
	taddr_t start, end;
	size_t first, n;
	struct block *blocks; /* NULL: the buffers are searched */
};

/* how many bits are set; the instruction for it is not on every processor, and
 * the compiler's substitute is a call */
static inline unsigned count_bits(uint64_t x)
{
	x -= x >> 1 & 0x5555555555555555u;
	x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
	return (unsigned)((x * 0x0101010101010101u) >> 56);
}

static inline taddr_t bufset_addr(const struct bufset *set, size_t i)
{
	return set->v[i] >> SIZE_BITS;
}

/* the block of an address in a run that has blocks */
static inline const struct block *bufset_block(const struct bufset_run *run,
					       taddr_t addr)
{
	return &run->blocks[(addr - run->start) / BLOCK_BYTES];
}

/* the last buffer of a run with blocks that begins at or below addr;
 * *ret_is_exact: it begins there.  The run has one: its first begins at its
 * start. */
static inline size_t bufset_last(const struct bufset_run *run, taddr_t addr,
				 bool *ret_is_exact)
{
	uint64_t off = addr - run->start;
	const struct block *b = &run->blocks[off / BLOCK_BYTES];
	uint64_t granule = off % BLOCK_BYTES / GRANULE;
	uint64_t below = b->bits[granule / 64] << (63 - granule % 64);

	*ret_is_exact = below >> 63 && off % GRANULE == 0;
	return run->first + b->rank + b->before[granule / 64] +
	       count_bits(below) - 1;
}

/* bufset_at() for loops: sizes are mostly small */
static inline struct bufset_buf bufset_at_fast(const struct bufset *set,
					       size_t i)
{
	struct bufset_buf b = {set->v[i] >> SIZE_BITS,
			       set->v[i] & SIZE_IS_LARGE};

	return b.size_bytes == SIZE_IS_LARGE ? bufset_at(set, i) : b;
}

/* bufset_end() for loops */
static inline taddr_t bufset_end_fast(const struct bufset *set, size_t i)
{
	struct bufset_buf b = bufset_at_fast(set, i);

	return b.addr + (b.size_bytes ? b.size_bytes : 1);
}

/** The run that holds an address, or NULL. */
const struct bufset_run *bufset_find_run(const struct bufset *set,
					 taddr_t addr);
/** Where the i-th buffer ends; one of no size can be pointed at, too. */
taddr_t bufset_end(const struct bufset *set, size_t i);
/** The last buffer of a run that begins at or below addr, which lies in the run
 * or at its end.  *ret_is_exact: it begins there. */
size_t bufset_last_in(const struct bufset *set, const struct bufset_run *run,
		      taddr_t addr, bool *ret_is_exact);

/* the run of an address, or that which ends there; mostly it is *last, that of
 * the last one */
static inline const struct bufset_run *
bufset_run_near(const struct bufset *set, const struct bufset_run **last,
		taddr_t addr)
{
	const struct bufset_run *run = *last;

	if (run && addr - run->start < run->end - run->start)
		return run;
	run = bufset_find_run(set, addr);
	if (!run)
		run = bufset_find_run(set, addr - 1);
	if (run)
		*last = run;
	return run;
}

/** True when addr is just behind the i-th buffer, and nothing else begins there
 * that is no buffer: another mapping. */
bool bufset_is_past(const struct bufset *set, size_t i, taddr_t addr);

#endif
