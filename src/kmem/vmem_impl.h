/* SPDX-License-Identifier: MIT */
/*
 * The structures of vmem.  Their member names are the contract with the
 * debugger (src/contract/contract.def): add, never rename or reuse.
 */
#ifndef VMEM_IMPL_H
#define VMEM_IMPL_H

#include <stdint.h>
#include "vmem.h"

typedef int64_t hrtime_t; /* nanoseconds, CLOCK_MONOTONIC */

/* a futex: 0 free, 1 held, 2 held and awaited */
typedef struct kmem_mutex {
	int32_t km_word;
} kmem_mutex_t;

/* a condition variable over a kmem_mutex_t */
typedef struct kmem_cv {
	int32_t kc_seq;
	int32_t kc_waiters;
} kmem_cv_t;

/*
 * A boundary tag.  The first four members are shared with vmem_freelist_t.
 * vs_thread and what follows exist only when the allocator audits;
 * vmem_seg_size says so.
 */
typedef struct vmem_seg {
	uintptr_t vs_start; /* [vs_start, vs_end); an allocated segment's end
			     * is start plus the size asked for */
	uintptr_t vs_end;
	struct vmem_seg *vs_knext; /* hash chain, free list or span list */
	struct vmem_seg *vs_kprev;
	struct vmem_seg *vs_anext; /* arena order */
	struct vmem_seg *vs_aprev;
	uint8_t vs_type; /* VMEM_ALLOC, VMEM_FREE, VMEM_SPAN, ... */
	uint8_t vs_import;
	uint8_t vs_kind;    /* enum kmem_kind of the call that allocated */
	uint32_t vs_thread; /* tid; from here on: audited arenas only */
	uint32_t vs_stack;  /* stack depot id, 0 none */
	hrtime_t vs_timestamp;
} vmem_seg_t;

typedef struct vmem_freelist {
	uintptr_t vs_start; /* always 0: a list head */
	uintptr_t vs_end;   /* 2^n */
	vmem_seg_t *vs_knext;
	vmem_seg_t *vs_kprev;
} vmem_freelist_t;

typedef struct vmem_kstat {
	uint64_t vk_mem_inuse;
	uint64_t vk_mem_import;
	uint64_t vk_mem_total;
	uint64_t vk_alloc;
	uint64_t vk_free;
	uint64_t vk_wait;
	uint64_t vk_fail;
	uint64_t vk_lookup;
	uint64_t vk_search;
	uint64_t vk_populate_wait;
	uint64_t vk_populate_fail;
	uint64_t vk_contains;        /* vmem_contains() calls */
	uint64_t vk_contains_search; /* spans they looked at */
} vmem_kstat_t;

#define VMEM_NAMELEN      30
#define VMEM_HASH_INITIAL 16
#define VMEM_NQCACHE_MAX  16
#define VMEM_FREELISTS    64

struct vmem {
	char vm_name[VMEM_NAMELEN];
	kmem_cv_t vm_cv;
	kmem_mutex_t vm_lock;
	uint32_t vm_id;
	uint32_t vm_mtbf;
	int vm_cflags;
	int vm_qshift;
	size_t vm_quantum;
	size_t vm_qcache_max;
	size_t vm_min_import;
	vmem_alloc_t *vm_source_alloc;
	vmem_free_t *vm_source_free;
	vmem_t *vm_source;
	vmem_t *vm_next; /* vmem_list, in order of creation */
	size_t vm_nsegfree;
	vmem_seg_t *vm_segfree;
	vmem_seg_t **vm_hash_table;
	size_t vm_hash_mask;
	size_t vm_hash_shift;
	uint64_t vm_freemap;
	vmem_seg_t vm_seg0;  /* anchor of both lists; type SPAN */
	vmem_seg_t vm_rotor; /* marker of next-fit */
	vmem_seg_t *vm_hash0[VMEM_HASH_INITIAL];
	void *vm_qcache[VMEM_NQCACHE_MAX]; /* kmem_cache_t * */
	vmem_freelist_t vm_freelist[VMEM_FREELISTS + 1];
	vmem_kstat_t vm_kstat;
	size_t vm_limit;                /* of vk_mem_inuse; 0 none */
	struct kmem_waiter *vm_waiters; /* who sleeps, longest first; vm_lock */
	uint32_t vm_ncaches;            /* object caches over it; atomic */
};

/* roots of the contract */
#pragma GCC visibility push(default)
extern vmem_t *vmem_list;    /* every arena, by vm_next */
extern size_t vmem_seg_size; /* bytes of a vmem_seg_t in this process */
extern vmem_t *vmem_heap;    /* the arena all memory of the allocator is in:
				 * its spans are exactly what the library has
				 * mapped, its own metadata included */
extern uint32_t vmem_nown;   /* arenas with vm_id up to this are the library's,
			    * those above the program's; 0 while starting */
#pragma GCC visibility pop

#endif
