/* SPDX-License-Identifier: MIT */
/*
 * vmem: arenas of integers, usually addresses, handed out in quanta.
 */
#ifndef VMEM_H
#define VMEM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct vmem vmem_t;
typedef void *vmem_alloc_t(vmem_t *, size_t, int);
typedef void vmem_free_t(vmem_t *, void *, size_t);
/* like vmem_alloc_t; may give more, and then says so in *ret_size */
typedef void *vmem_ximport_t(vmem_t *, size_t *ret_size, size_t align, int);

#define VM_SLEEP     0x00000000
#define VM_NOSLEEP   0x00000001
#define VM_PANIC     0x00000002
#define VM_PUSHPAGE  0x00000004
#define VM_NORMALPRI 0x00000008
#define VM_KMFLAGS   0x000000ff
#define VM_BESTFIT   0x00000100
#define VM_FIRSTFIT  0x00000200
#define VM_NEXTFIT   0x00000400
#define VM_MEMLOAD   0x00000800 /* of no meaning here */
#define VM_NORELOC   0x00001000 /* of no meaning here */
#define VM_ABORT     0x00002000
#define VM_ENDALLOC  0x00004000

#define VMC_POPULATOR  0x00010000
#define VMC_NO_QCACHE  0x00020000
#define VMC_IDENTIFIER 0x00040000
#define VMC_XALLOC     0x00080000 /* set by vmem_xcreate() */
#define VMC_XALIGN     0x00100000 /* its source aligns as it is told */
#define VMC_DUMPSAFE   0x00200000 /* of no meaning here */

#define VMEM_ALLOC     0x01
#define VMEM_FREE      0x02
#define VMEM_SPAN      0x10
#define VMEM_ROTOR     0x20
#define VMEM_WALKER    0x40
#define VMEM_REENTRANT 0x80000000

vmem_t *vmem_create(const char *name, void *base, size_t size, size_t quantum,
		    vmem_alloc_t *afunc, vmem_free_t *ffunc, vmem_t *source,
		    size_t qcache_max, int vmflag);
vmem_t *vmem_xcreate(const char *name, void *base, size_t size, size_t quantum,
		     vmem_ximport_t *afunc, vmem_free_t *ffunc, vmem_t *source,
		     size_t qcache_max, int vmflag);
void vmem_destroy(vmem_t *vmp);
void *vmem_alloc(vmem_t *vmp, size_t size, int vmflag);
void vmem_free(vmem_t *vmp, void *addr, size_t size);
void *vmem_xalloc(vmem_t *vmp, size_t size, size_t align, size_t phase,
		  size_t nocross, void *minaddr, void *maxaddr, int vmflag);
void vmem_xfree(vmem_t *vmp, void *addr, size_t size);
void *vmem_add(vmem_t *vmp, void *addr, size_t size, int vmflag);
int vmem_contains(vmem_t *vmp, void *addr, size_t size);
void vmem_walk(vmem_t *vmp, int typemask,
	       void (*func)(void *arg, void *start, size_t size), void *arg);
size_t vmem_size(vmem_t *vmp, int typemask);

/** Gives back what the quantum caches of an arena hold in reserve. */
void vmem_qcache_reap(vmem_t *vmp);

/**
 * Limits what may be allocated of an arena at one time; 0: no limit.  A request
 * beyond it waits, or fails with VM_NOSLEEP; one with VM_PUSHPAGE is not
 * limited.
 */
void vmem_set_limit(vmem_t *vmp, size_t limit);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
