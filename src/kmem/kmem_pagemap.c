/* SPDX-License-Identifier: MIT */
/*
 * From an address to what it belongs to, in two loads: a table of leaves, each
 * an entry for each of the 65536 pages of 256 MiB.
 *
 *   root (.bss, 4 MiB of addresses) -> leaf of 512 KiB -> entry
 *
 * Of both only those pages are ever touched that say something.  An entry is 0;
 * or the kmem_slab_t the page is part of, and above it the size class, so that
 * free() of a sane program need not look at the slab before it knows the bin;
 * or, for the first page of an oversize buffer, its size with the low bit set.
 * Readers take no lock: leaves are published once and never freed, and whoever
 * asks about a live buffer sees the entry its allocation wrote.
 *
 * Instead: a header before each buffer costs 8 to 16 bytes an object and is
 * the first thing an overrun destroys; rounding down to a slab-aligned header
 * reads unmapped memory for a foreign pointer.
 */
#include "kmem_internal.h"

#define PAGE_SHIFT 12

/* published by compare and swap; never replaced */
uintptr_t *kmem_pagemap_root[KMEM_ROOT_SIZE] KM_SELDOM;

/** The entry of a page, its leaf made if there is none; NULL: no memory. */
static uintptr_t *entry_make(uintptr_t page)
{
	uintptr_t **slot = &kmem_pagemap_root[page >> KMEM_LEAF_BITS];
	size_t bytes = KMEM_LEAF_SIZE * sizeof(**slot);
	uintptr_t *leaf = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	uintptr_t *fresh;

	if (!leaf) {
		fresh = kmem_pages_alloc(bytes);
		if (!fresh)
			return NULL;
		if (__atomic_compare_exchange_n(slot, &leaf, fresh, 0,
						__ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			leaf = fresh;
		else
			kmem_pages_free(fresh, bytes);
	}
	return &leaf[page & (KMEM_LEAF_SIZE - 1)];
}

int kmem_pagemap_set(const void *addr, size_t bytes, uintptr_t entry)
{
	uintptr_t first = (uintptr_t)addr >> PAGE_SHIFT;
	uintptr_t last = ((uintptr_t)addr + bytes - 1) >> PAGE_SHIFT;

	for (uintptr_t page = first; page <= last; page++) {
		uintptr_t *slot = entry_make(page);

		if (!slot) {
			if (page > first)
				kmem_pagemap_clear(addr, (page - first)
								 << PAGE_SHIFT);
			return -1;
		}
		__atomic_store_n(slot, entry, __ATOMIC_RELEASE);
	}
	return 0;
}

void kmem_pagemap_clear(const void *addr, size_t bytes)
{
	uintptr_t page = (uintptr_t)addr >> PAGE_SHIFT;
	uintptr_t last = ((uintptr_t)addr + bytes - 1) >> PAGE_SHIFT;

	for (; page <= last; page++) {
		uintptr_t *slot = kmem_pagemap_slot(page);

		if (slot)
			__atomic_store_n(slot, 0, __ATOMIC_RELEASE);
	}
}

uintptr_t kmem_pagemap_get(const void *addr)
{
	return kmem_pagemap_entry(addr);
}
