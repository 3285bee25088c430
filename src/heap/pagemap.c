/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How full memory is: see the header. */
#include "heap/pagemap.h"

#include <stdlib.h>

#include "base/interrupt.h"

#define PAGE_BITS 12

void pagemap_init(struct pagemap *m)
{
	*m = (struct pagemap){.cell_bits = PAGE_BITS, .ncells = 1};
	hash_init(&m->index);
}

void pagemap_fini(struct pagemap *m)
{
	hash_fini(&m->index);
	VEC_FREE(&m->pages);
}

static struct pagemap_cell *page_at(struct pagemap *m, uint64_t number)
{
	if (m->last < m->pages.n && m->pages.v[m->last].number == number)
		return &m->pages.v[m->last];
	uint64_t *at = hash_put(&m->index, number, NULL);

	if (!*at) {
		VEC_PUSH(&m->pages, ((struct pagemap_cell){.number = number}));
		*at = m->pages.n;
	}
	m->last = *at - 1;
	return &m->pages.v[m->last];
}

struct err *pagemap_add(struct pagemap *m, taddr_t start, uint64_t bytes,
			bool is_allocated)
{
	taddr_t end = start + bytes;
	struct err *err = NULL;

	if (is_allocated) {
		m->nallocated++;
		m->allocated_bytes += bytes;
	} else {
		m->nfree++;
		m->free_bytes += bytes;
		if (bytes > m->largest_free_bytes)
			m->largest_free_bytes = bytes;
	}
	if (end < start)
		return NULL;
	for (taddr_t at = start; !err && at < end;) {
		taddr_t next = ((at >> PAGE_BITS) + 1) << PAGE_BITS;
		struct pagemap_cell *p = page_at(m, at >> PAGE_BITS);

		if (next > end || next < at)
			next = end;
		*(is_allocated ? &p->allocated_bytes : &p->free_bytes) +=
			next - at;
		at = next;
		if (at >> PAGE_BITS << PAGE_BITS == at)
			err = interrupt_check();
	}
	return err;
}

static int by_number(const void *a, const void *b)
{
	const struct pagemap_cell *x = a;
	const struct pagemap_cell *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static uint64_t cell_of(const struct pagemap *m, const struct pagemap_cell *p)
{
	return p->number >> (m->cell_bits - PAGE_BITS);
}

static uint64_t count_rows(const struct pagemap *m)
{
	uint64_t n = 0;
	uint64_t row = 0;

	for (size_t i = 0; i < m->pages.n; i++) {
		uint64_t r = cell_of(m, &m->pages.v[i]) / m->ncells;

		n += n == 0 || r != row;
		row = r;
	}
	return n;
}

void pagemap_shape(struct pagemap *m, uint64_t ncells, uint64_t nrows,
		   uint64_t least_bytes)
{
	if (m->pages.n)
		qsort(m->pages.v, m->pages.n, sizeof(*m->pages.v), by_number);
	m->last = m->pages.n; /* the index is of the former order */
	m->ncells = ncells;
	/* a row begins at a round address */
	while (m->ncells & (m->ncells - 1))
		m->ncells &= m->ncells - 1;
	m->cell_bits = PAGE_BITS;
	while (m->cell_bits < PAGEMAP_CELL_BITS &&
	       (1ULL << m->cell_bits < least_bytes ||
		(!least_bytes && count_rows(m) > nrows)))
		m->cell_bits++;
}

struct pagemap_cell pagemap_next(const struct pagemap *m, size_t *i)
{
	struct pagemap_cell sum = {.number = cell_of(m, &m->pages.v[*i])};

	for (; *i < m->pages.n && cell_of(m, &m->pages.v[*i]) == sum.number;
	     ++*i) {
		sum.allocated_bytes += m->pages.v[*i].allocated_bytes;
		sum.free_bytes += m->pages.v[*i].free_bytes;
	}
	return sum;
}
