/* SPDX-License-Identifier: MIT */
/*
 * Segments and spans of an arena, the lists they are on and the hash: what a
 * request does once it is known where.  What they are, and the invariants, is told
 * in vmem.c.
 */
#include "vmem_seg.h"

/* ---- lists ---- */

static void alist_insert(vmem_seg_t *behind, vmem_seg_t *vsp)
{
	vmem_seg_t *next = behind->vs_anext;

	vsp->vs_anext = next;
	vsp->vs_aprev = behind;
	behind->vs_anext = vsp;
	next->vs_aprev = vsp;
}

static void alist_delete(vmem_seg_t *vsp)
{
	vsp->vs_aprev->vs_anext = vsp->vs_anext;
	vsp->vs_anext->vs_aprev = vsp->vs_aprev;
}

static void klist_insert(vmem_seg_t *behind, vmem_seg_t *vsp)
{
	vmem_seg_t *next = behind->vs_knext;

	vsp->vs_knext = next;
	vsp->vs_kprev = behind;
	behind->vs_knext = vsp;
	next->vs_kprev = vsp;
}

static void klist_delete(vmem_seg_t *vsp)
{
	vsp->vs_kprev->vs_knext = vsp->vs_knext;
	vsp->vs_knext->vs_kprev = vsp->vs_kprev;
}

static void freelist_insert(vmem_t *vmp, vmem_seg_t *vsp)
{
	int list = kmem_highbit(vsp->vs_end - vsp->vs_start) - 1;

	vsp->vs_type = VMEM_FREE;
	vmp->vm_freemap |= 1UL << list;
	klist_insert((vmem_seg_t *)&vmp->vm_freelist[list], vsp);
	kmem_cv_broadcast(&vmp->vm_cv);
}

void vmem_freelist_delete(vmem_t *vmp, vmem_seg_t *vsp)
{
	/* a list head's vs_start is 0: between two heads it was the last one */
	if (vsp->vs_knext->vs_start == 0 && vsp->vs_kprev->vs_start == 0)
		vmp->vm_freemap &= ~(
			1UL << (kmem_highbit(vsp->vs_end - vsp->vs_start) - 1));
	klist_delete(vsp);
}

vmem_seg_t **vmem_hash_bucket(vmem_t *vmp, uintptr_t addr)
{
	size_t s = vmp->vm_hash_shift;
	uintptr_t h = addr + (addr >> s) + (addr >> 2 * s);

	return &vmp->vm_hash_table[(h >> vmp->vm_qshift) & vmp->vm_hash_mask];
}

static void hash_insert(vmem_t *vmp, vmem_seg_t *vsp)
{
	vmem_seg_t **bucket = vmem_hash_bucket(vmp, vsp->vs_start);

	vsp->vs_type = VMEM_ALLOC;
	vsp->vs_kind = (uint8_t)vmem_request.kind;
	vsp->vs_knext = *bucket;
	*bucket = vsp;
	if (vmem_seg_size == VMEM_SEG_FULL) {
		vsp->vs_thread = kmem_tid();
		vsp->vs_stack = vmem_request.stack;
		vsp->vs_timestamp = kmem_now();
	}
	KM_ADD(vmp->vm_kstat.vk_alloc, 1);
	KM_ADD(vmp->vm_kstat.vk_mem_inuse, vsp->vs_end - vsp->vs_start);
}

vmem_seg_t *vmem_hash_delete(vmem_t *vmp, uintptr_t addr, size_t bytes)
{
	vmem_seg_t **link = vmem_hash_bucket(vmp, addr);
	vmem_seg_t *vsp;

	vmp->vm_kstat.vk_lookup++;
	while ((vsp = *link) != NULL && vsp->vs_start != addr) {
		vmp->vm_kstat.vk_search++;
		link = &vsp->vs_knext;
	}
	if (!vsp) {
		kmem_mutex_exit(&vmp->vm_lock);
		kmem_panic("vmem_hash_delete(%p, %lx, %lu): bad free",
			   (void *)vmp, addr, bytes);
	}
	if (vsp->vs_end - vsp->vs_start != bytes) {
		size_t expect = vsp->vs_end - vsp->vs_start;

		kmem_mutex_exit(&vmp->vm_lock);
		kmem_panic(
			"vmem_hash_delete(%p, %lx, %lu): wrong size (expect %lu)",
			(void *)vmp, addr, bytes, expect);
	}
	*link = vsp->vs_knext;
	__atomic_store_n(&vmp->vm_kstat.vk_free, vmp->vm_kstat.vk_free + 1,
			 __ATOMIC_RELEASE);
	KM_ADD(vmp->vm_kstat.vk_mem_inuse, -bytes);
	return vsp;
}

size_t vmem_seg_bytes(vmem_t *vmp, const void *addr)
{
	vmem_seg_t *vsp;
	size_t bytes = 0;

	kmem_mutex_enter(&vmp->vm_lock);
	for (vsp = *vmem_hash_bucket(vmp, (uintptr_t)addr); vsp;
	     vsp = vsp->vs_knext)
		if (vsp->vs_start == (uintptr_t)addr)
			bytes = vsp->vs_end - vsp->vs_start;
	kmem_mutex_exit(&vmp->vm_lock);
	return bytes;
}

struct kmem_event vmem_event_of(const vmem_seg_t *vsp)
{
	struct kmem_event event = {0};

	if (vmem_seg_size < VMEM_SEG_FULL)
		return event; /* those members are not there */
	event.ev_time = vsp->vs_timestamp;
	event.ev_thread = vsp->vs_thread;
	event.ev_stack = vsp->vs_stack;
	event.ev_what = KMEM_WHAT_ALLOC;
	event.ev_kind = vsp->vs_kind;
	return event;
}

struct kmem_event vmem_seg_event(vmem_t *vmp, const void *addr)
{
	struct kmem_event event = {0};
	vmem_seg_t *vsp;

	kmem_mutex_enter(&vmp->vm_lock);
	for (vsp = *vmem_hash_bucket(vmp, (uintptr_t)addr); vsp;
	     vsp = vsp->vs_knext)
		if (vsp->vs_start == (uintptr_t)addr)
			event = vmem_event_of(vsp);
	kmem_mutex_exit(&vmp->vm_lock);
	return event;
}

/* ---- segments and spans ---- */

static vmem_seg_t *seg_create(vmem_t *vmp, vmem_seg_t *behind, uintptr_t start,
			      uintptr_t end)
{
	vmem_seg_t *vsp = vmem_getseg(vmp);

	vsp->vs_start = start;
	vsp->vs_end = end;
	vsp->vs_type = 0;
	vsp->vs_import = 0;
	vsp->vs_kind = 0;
	alist_insert(behind, vsp);
	return vsp;
}

void vmem_seg_destroy(vmem_t *vmp, vmem_seg_t *vsp)
{
	alist_delete(vsp);
	vmem_putseg(vmp, vsp);
}

vmem_seg_t *vmem_span_create(vmem_t *vmp, void *addr, size_t bytes, int import)
{
	uintptr_t start = (uintptr_t)addr;
	vmem_seg_t *next = &vmp->vm_seg0;
	vmem_seg_t *span, *vsp;

	if (P2PHASE(start | bytes, vmp->vm_quantum) != 0)
		kmem_panic("vmem_span_create(%p, %p, %lu): misaligned",
			   (void *)vmp, addr, bytes);
	if (!import) /* spans of our own are kept in address order */
		while (next->vs_kprev != &vmp->vm_seg0 &&
		       next->vs_kprev->vs_start > start)
			next = next->vs_kprev;
	span = seg_create(vmp, next->vs_aprev, start, start + bytes);
	span->vs_type = VMEM_SPAN;
	span->vs_import = (uint8_t)import;
	klist_insert(next->vs_kprev, span);
	vsp = seg_create(vmp, span, start, start + bytes);
	freelist_insert(vmp, vsp);
	KM_ADD(vmp->vm_kstat.vk_mem_total, bytes);
	if (import)
		vmp->vm_kstat.vk_mem_import += bytes;
	return vsp;
}

vmem_seg_t *vmem_span_extend(vmem_t *vmp, void *addr, size_t bytes)
{
	uintptr_t start = (uintptr_t)addr;
	vmem_seg_t *seg0 = &vmp->vm_seg0;
	vmem_seg_t *span = seg0->vs_knext;
	vmem_seg_t *behind,
		*edge; /* of what is new, and what it may merge with */

	while (span != seg0 &&
	       (!span->vs_import ||
		(span->vs_start != start + bytes && span->vs_end != start)))
		span = span->vs_knext;
	if (span == seg0)
		return NULL;
	KM_ADD(vmp->vm_kstat.vk_mem_total, bytes);
	vmp->vm_kstat.vk_mem_import += bytes;
	if (span->vs_end == start) {
		behind = edge = span->vs_knext->vs_aprev;
		span->vs_end += bytes;
	} else {
		behind = span;
		edge = span->vs_anext;
		span->vs_start = start;
	}
	if (edge->vs_type != VMEM_FREE) {
		edge = seg_create(vmp, behind, start, start + bytes);
	} else {
		vmem_freelist_delete(vmp, edge);
		if (edge->vs_start > start)
			edge->vs_start = start;
		else
			edge->vs_end += bytes;
	}
	freelist_insert(vmp, edge);
	return edge;
}

/** What comes before a segment, markers left out. */
static vmem_seg_t *before(const vmem_seg_t *vsp)
{
	vmem_seg_t *prev = vsp->vs_aprev;

	while (prev->vs_type == VMEM_ROTOR || prev->vs_type == VMEM_WALKER)
		prev = prev->vs_aprev;
	return prev;
}

/** Removes the span that vsp fills and vsp itself. */
static void span_destroy(vmem_t *vmp, vmem_seg_t *vsp)
{
	vmem_seg_t *span = before(vsp);
	size_t bytes = vsp->vs_end - vsp->vs_start;

	KM_ADD(vmp->vm_kstat.vk_mem_total, -bytes);
	if (span->vs_import)
		vmp->vm_kstat.vk_mem_import -= bytes;
	klist_delete(span);
	vmem_seg_destroy(vmp, vsp);
	vmem_seg_destroy(vmp, span);
}

/** Does a free segment fill a span that must go back (I5)? */
static int fills_import(vmem_t *vmp, const vmem_seg_t *vsp)
{
	const vmem_seg_t *span = before(vsp);

	return vmp->vm_source_free && span->vs_type == VMEM_SPAN &&
	       span->vs_import && span->vs_start == vsp->vs_start &&
	       span->vs_end == vsp->vs_end &&
	       !(vmp == vmem_heap && vmem_heap_keeps());
}

/** Takes a free segment, which is on no list, out of its span: that shrinks or,
 * when the segment has neighbours on both sides, becomes two; its tag is then
 * the second one's. */
static void span_cut(vmem_t *vmp, vmem_seg_t *span, vmem_seg_t *vsp)
{
	uintptr_t start = vsp->vs_start;
	uintptr_t end = span->vs_end;

	KM_ADD(vmp->vm_kstat.vk_mem_total, start - vsp->vs_end);
	vmp->vm_kstat.vk_mem_import -= vsp->vs_end - start;
	if (span->vs_start == start) {
		span->vs_start = vsp->vs_end;
		vmem_seg_destroy(vmp, vsp);
		return;
	}
	span->vs_end = start;
	if (vsp->vs_end == end) {
		vmem_seg_destroy(vmp, vsp);
		return;
	}
	vsp->vs_start = vsp->vs_end;
	vsp->vs_end = end;
	vsp->vs_type = VMEM_SPAN;
	vsp->vs_import = span->vs_import;
	klist_insert(span, vsp);
}

void vmem_heap_release(void)
{
	vmem_t *vmp = vmem_heap;
	vmem_seg_t *vsp, *next, *span;

	kmem_mutex_enter(&vmp->vm_lock);
	/* the heads of the lists begin at 0 */
	for (vsp = (vmem_seg_t *)&vmp->vm_freelist[0]; vsp; vsp = next) {
		void *addr = (void *)vsp->vs_start;
		size_t bytes = vsp->vs_end - vsp->vs_start;

		next = vsp->vs_knext;
		if (!addr || bytes < vmp->vm_min_import)
			continue;
		span = vsp->vs_aprev;
		while (span->vs_type != VMEM_SPAN)
			span = span->vs_aprev;
		if (!span->vs_import)
			continue;
		vmem_freelist_delete(vmp, vsp);
		if (span->vs_start == vsp->vs_start &&
		    span->vs_end == vsp->vs_end)
			span_destroy(vmp, vsp);
		else
			span_cut(vmp, span, vsp);
		vmp->vm_source_free(vmp->vm_source, addr, bytes);
	}
	kmem_mutex_exit(&vmp->vm_lock);
}

void vmem_settle_free(vmem_t *vmp, vmem_seg_t *vsp)
{
	void *addr = (void *)vsp->vs_start;
	size_t bytes = vsp->vs_end - vsp->vs_start;

	if (!fills_import(vmp, vsp)) {
		freelist_insert(vmp, vsp);
		kmem_mutex_exit(&vmp->vm_lock);
		return;
	}
	span_destroy(vmp, vsp);
	kmem_cv_broadcast(&vmp->vm_cv); /* there is room below a limit */
	kmem_mutex_exit(&vmp->vm_lock);
	vmp->vm_source_free(vmp->vm_source, addr, bytes);
}

vmem_seg_t *vmem_seg_alloc(vmem_t *vmp, vmem_seg_t *vsp, uintptr_t addr,
			   size_t bytes)
{
	uintptr_t end = addr + P2ROUNDUP(bytes, vmp->vm_quantum);

	if (vmp == vmem_heap)
		vmem_heap_took(bytes);
	vmem_freelist_delete(vmp, vsp);
	if (vsp->vs_end != end)
		freelist_insert(vmp, seg_create(vmp, vsp, end, vsp->vs_end));
	if (vsp->vs_start != addr) {
		vmem_seg_t *front = vsp;

		vsp = seg_create(vmp, front, addr, end);
		front->vs_end = addr;
		freelist_insert(vmp, front);
	}
	vsp->vs_end = addr + bytes; /* I4 */
	hash_insert(vmp, vsp);
	return vsp;
}

void vmem_advance(vmem_t *vmp, vmem_seg_t *walker, vmem_seg_t *behind)
{
	vmem_seg_t *prev = walker->vs_aprev;
	vmem_seg_t *next = walker->vs_anext;

	alist_delete(walker);
	if (behind == walker)
		behind = prev;
	if (behind)
		alist_insert(behind, walker);
	/* the marker may have kept two free neighbours apart (I2) */
	if (prev->vs_type != VMEM_FREE || next->vs_type != VMEM_FREE ||
	    prev->vs_anext != next)
		return;
	vmem_freelist_delete(vmp, prev);
	vmem_freelist_delete(vmp, next);
	prev->vs_end = next->vs_end;
	vmem_seg_destroy(vmp, next);
	vmem_settle_free(vmp, prev);
	kmem_mutex_enter(&vmp->vm_lock);
}
