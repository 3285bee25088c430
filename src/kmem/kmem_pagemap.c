/* SPDX-License-Identifier: MIT */
/*
 * From an address to what it belongs to, in three loads: a radix tree over the
 * 36 bits of a page number, twelve a level.
 *
 *   root (.bss) -> 4096 middles -> 4096 leaves -> 4096 entries, 16 MiB a leaf
 *
 * An entry is 0, the kmem_slab_t the page is part of, or, for the first page
 * of an oversize buffer, its size with the low bit set.  Readers take no lock:
 * nodes are published once and never freed, and whoever asks about a live
 * buffer sees the entry its allocation wrote.
 *
 * Instead: a header before each buffer costs 8 to 16 bytes an object and is
 * the first thing an overrun destroys; rounding down to a slab-aligned header
 * reads unmapped memory for a foreign pointer.
 */
#include "kmem_internal.h"

#define LEVEL_BITS KMEM_LEVEL_BITS
#define LEVEL_SIZE KMEM_LEVEL_SIZE
#define LEVEL_MASK (LEVEL_SIZE - 1)
#define PAGE_SHIFT 12

/* published by compare and swap; never replaced */
uintptr_t *kmem_pagemap_root[KMEM_LEVEL_SIZE];

static inline uintptr_t *node_load(uintptr_t *slot)
{
	return (uintptr_t *)__atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

/** The node a slot points at, made if there is none; NULL: no memory. */
static uintptr_t *node_get(uintptr_t *slot)
{
	uintptr_t *node = node_load(slot);
	uintptr_t none = 0;
	size_t bytes = LEVEL_SIZE * sizeof(*node);

	if (node)
		return node;
	node = kmem_pages_alloc(bytes);
	if (!node)
		return NULL;
	if (__atomic_compare_exchange_n(slot, &none, (uintptr_t)node, 0,
					__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return node;
	kmem_pages_free(node, bytes);
	return (uintptr_t *)none;
}

static uintptr_t *entry_make(uintptr_t page)
{
	uintptr_t *node;

	node = node_get(
		(uintptr_t *)&kmem_pagemap_root[page >> 2 * LEVEL_BITS]);
	if (node)
		node = node_get(&node[page >> LEVEL_BITS & LEVEL_MASK]);
	return node ? &node[page & LEVEL_MASK] : NULL;
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
