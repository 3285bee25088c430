/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How full memory is.  Ranges are summed up by page: so much of it allocated, so
 * much free.  A cell of the picture is a power of two of pages, as few as fit a
 * height; a row begins at a multiple of its width, and rows in which there is
 * nothing are left out.
 */
#ifndef HEAP_PAGEMAP_H
#define HEAP_PAGEMAP_H

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "target/target.h"

#define PAGEMAP_CELL_BITS 62 /* of a cell at most: more than any address has */

/* a page, or a cell */
struct pagemap_cell {
	uint64_t number; /* its address is so many times its size */
	uint64_t allocated_bytes, free_bytes;
};

struct pagemap {
	struct hash index; /* page number -> pages[] + 1 */
	VEC(struct pagemap_cell) pages;
	size_t last; /* of pages[], that was added to */
	uint64_t nallocated, allocated_bytes, nfree, free_bytes;
	uint64_t largest_free_bytes;
	unsigned cell_bits; /* set by pagemap_shape() */
	uint64_t ncells;    /* a row, the same */
};

/** An empty map; pagemap_fini() releases what it came to hold. */
void pagemap_init(struct pagemap *m);
void pagemap_fini(struct pagemap *m);
/** Counts [start, start + bytes).  Errors: ERR_INTR. */
struct err *pagemap_add(struct pagemap *m, taddr_t start, uint64_t bytes,
			bool is_allocated) must_use;
/**
 * Orders what was added, and chooses the size of a cell.
 *
 * @ncells:       of a row; rounded down to a power of two
 * @nrows:        at most, unless a size is asked for
 * @least_bytes:  of a cell; 0: as few as fit the rows
 */
void pagemap_shape(struct pagemap *m, uint64_t ncells, uint64_t nrows,
		   uint64_t least_bytes);
/** The cell that begins with pages[*i], which is moved behind it; i counts up
 * from 0 to pages.n. */
struct pagemap_cell pagemap_next(const struct pagemap *m, size_t *i);

#endif
