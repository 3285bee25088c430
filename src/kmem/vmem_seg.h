/* SPDX-License-Identifier: MIT */
/*
 * Segments and spans of an arena (vmem_seg.c).  vm_lock is held in all of these.
 */
#ifndef VMEM_SEG_H
#define VMEM_SEG_H

#include "kmem_internal.h"

#define P2ALIGN(x, a)      ((x) & -(a))
#define P2PHASE(x, a)      ((x) & ((a)-1))
#define P2NPHASE(x, a)     (-(x) & ((a)-1))
#define P2ROUNDUP(x, a)    (-(-(x) & -(a)))
#define P2PHASEUP(x, a, p) ((p) - (((p) - (x)) & -(a)))
#define ISP2(x)            (((x) & ((x)-1)) == 0)

/* who asks, for the audit of this thread's vmem calls */
struct vmem_request {
	int depth; /* of nested calls: an import is a call in a call */
	int has_reaped;
	int kind;
	uint32_t stack;
};
extern KM_HIDDEN __thread struct vmem_request vmem_request;

/** 1 + the number of the lowest bit that is set; 0: none is. */
static inline int vmem_lowbit(size_t x)
{
	return x ? __builtin_ctzl(x) + 1 : 0;
}

/** Takes a free segment off its list. */
KM_HIDDEN void vmem_freelist_delete(vmem_t *vmp, vmem_seg_t *vsp);
/** Takes the segment that begins at addr out of the hash, and makes it nobody's;
 * panics unless it was asked for with so many bytes. */
KM_HIDDEN vmem_seg_t *vmem_hash_delete(vmem_t *vmp, uintptr_t addr,
				       size_t bytes);
/** Takes a segment out of the arena; its tag is spare then. */
KM_HIDDEN void vmem_seg_destroy(vmem_t *vmp, vmem_seg_t *vsp);
/** Puts an import in front of or behind the span it is a neighbour of, and
 * returns the free segment it then is part of; NULL: it has no neighbour. */
KM_HIDDEN vmem_seg_t *vmem_span_extend(vmem_t *vmp, void *addr, size_t bytes);
/**
 * Ends an operation that made vsp, which is on no list, free and merged: gives
 * a whole import back, else files it.  Drops vm_lock.
 */
KM_HIDDEN void vmem_settle_free(vmem_t *vmp, vmem_seg_t *vsp);
/** Carves [addr, addr + bytes) out of a free segment, for vmem_request; takes at
 * most two tags. */
KM_HIDDEN vmem_seg_t *vmem_seg_alloc(vmem_t *vmp, vmem_seg_t *vsp,
				     uintptr_t addr, size_t bytes);

#endif
