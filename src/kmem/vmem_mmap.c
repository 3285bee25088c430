/* SPDX-License-Identifier: MIT */
/*
 * The source of the heap arena: anonymous memory of the kernel.  What is not
 * there is a fatal error for a caller that may not be refused, since nothing
 * would ever wake it.
 *
 * How much of it the heap keeps.  To give memory back and ask for it again costs
 * a fault and a cleared page for each 4 KiB, which is more than most programs
 * do with the page; to keep all of it is greed.  So KEEP bytes stay or, if that
 * is more, half of what is in use.  Beyond that
 *
 *   a span that is all free is unmapped;
 *   a span that is not keeps its addresses, and once as much has been freed and
 *   not used again, all free segments lose their pages (vmem_heap_trim).
 *
 * Where no memory is found large free segments lose their addresses, too, for
 * these may be what is limited (vmem_heap_release).
 *
 * What is asked of the system grows with the heap: large buffers then come to be
 * neighbours in one span, and what they leave behind can merge.
 *
 * Huge pages.  An audited heap has twice the pages, and of each buffer its record
 * lies on another one than its tag: a large one spends a tenth of its time on
 * their faults and on finding them.  So what it grows by is asked for in huge
 * pages, if it is large enough to have one.  The most that costs is what was
 * not yet used of the last growth.  The span of a large buffer is not, since the
 * program may use a page of it; and nothing is without auditing, where memory
 * counts for more.  In front of each import of the program's memory is a page of
 * nobody (kmem_init.c), which is resident, too, when it is part of a huge one: so
 * there are fewer imports from then on.
 */
#include "kmem_internal.h"
#include "kmem_sandbox.h"

#include <string.h>

#define KEEP       ((size_t)32 << 20)
#define IMPORT_MAX ((size_t)64 << 20)
#define HUGE_PAGE  ((size_t)2 << 20)

#define DATA_IMPORT ((size_t)1 << 20)

/* bytes freed and, as far as is known, not given out since; vm_lock of the
 * heap */
static size_t dirty;

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

static size_t keep_bytes(void)
{
	size_t inuse = vmem_heap->vm_kstat.vk_mem_inuse;

	return inuse / 2 > KEEP ? inuse / 2 : KEEP;
}

int vmem_heap_keeps(void)
{
	const vmem_kstat_t *k = &vmem_heap->vm_kstat;

	return k->vk_mem_total - k->vk_mem_inuse <= keep_bytes();
}

size_t vmem_heap_import(void)
{
	size_t bytes = KM_PEEK(vmem_heap->vm_kstat.vk_mem_total) / 8;

	if (bytes > IMPORT_MAX)
		bytes = IMPORT_MAX;
	if (bytes < vmem_heap->vm_min_import)
		bytes = vmem_heap->vm_min_import;
	return bytes & -KMEM_PAGE;
}

void vmem_heap_grew(void *addr, size_t bytes)
{
	vmem_t *data =
		kmem_default_arena ? kmem_default_arena->vm_source : NULL;

	if (!(kmem_flags & KMF_AUDIT) || bytes < HUGE_PAGE ||
	    kmem_is_sandboxed())
		return;
	kmem_sys_huge(addr, bytes);
	if (data)
		__atomic_store_n(&data->vm_min_import, DATA_IMPORT,
				 __ATOMIC_RELAXED);
}

void vmem_heap_took(size_t bytes)
{
	dirty -= dirty < bytes ? dirty : bytes;
}

int vmem_heap_gave(size_t bytes)
{
	dirty += bytes;
	if (dirty <= keep_bytes())
		return 0;
	dirty = 0;
	return 1;
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
