/* SPDX-License-Identifier: MIT */
/*
 * The source of the heap arena: anonymous memory of the kernel.  What is not
 * there is a fatal error for a caller that may not be refused, since nothing
 * would ever wake it.
 */
#include "kmem_internal.h"

#include <string.h>

void *vmem_mmap_alloc(vmem_t *vmp, size_t bytes, int vmflag)
{
	void *p = kmem_sys_map(bytes);

	(void)vmp; /* the heap has no source arena */
	if (!p && !(vmflag & (VM_NOSLEEP | VM_ABORT)))
		kmem_panic(
			"vmem_mmap_alloc(%lu): the system has no memory left for an allocation that may not fail",
			bytes);
	return p;
}

void vmem_mmap_free(vmem_t *vmp, void *addr, size_t bytes)
{
	(void)vmp;
	if (kmem_sys_unmap(addr, bytes) != 0)
		kmem_warn("vmem_mmap_free(%p, %lu): the system refused", addr,
			  bytes);
}

static void drop_pages(void *arg, void *start, size_t bytes)
{
	(void)arg;
	(void)kmem_sys_zero(start, bytes); /* refused: they stay, no harm */
}

void vmem_heap_trim(void)
{
	vmem_walk(vmem_heap, VMEM_FREE, drop_pages, NULL);
}

void *kmem_pages_alloc(size_t bytes)
{
	void *p;

	kmem_ready_check();
	bytes = (bytes + KMEM_PAGE - 1) & -KMEM_PAGE;
	p = vmem_alloc(kmem_pages_arena, bytes, VM_NOSLEEP);
	/* the heap may have had these pages in use before */
	if (p && kmem_sys_zero(p, bytes) != 0)
		memset(p, 0, bytes);
	return p;
}

void kmem_pages_free(void *addr, size_t bytes)
{
	bytes = (bytes + KMEM_PAGE - 1) & -KMEM_PAGE;
	vmem_free(kmem_pages_arena, addr, bytes);
}
