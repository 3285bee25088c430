/* SPDX-License-Identifier: MIT */
/*
 * Arenas as objects: creation, spans, walks, upkeep, and the first few, which
 * come from static storage because there is no memory yet to put them in:
 *
 *   heap                      spans from the kernel
 *    +- vmem_metadata
 *    |   +- vmem_seg          boundary tags
 *    |   +- vmem_hash         hash tables
 *    |   +- vmem_vmem         vmem_t's; holds the static ones as well
 *    +- kmem_pages            whole pages for the library itself
 *
 * The first three are populators (vmem.c).
 */
#include "kmem_internal.h"

#include <string.h>

#define NVMEM0         16 /* the library's own; what is unused is untouched */
#define QCACHE_NAMELEN (VMEM_NAMELEN + 24)
#define HEAP_IMPORT    ((size_t)1 << 20)

vmem_t *vmem_list; /* vmem_list_lock; appended to, in order of creation */
size_t vmem_seg_size = VMEM_SEG_SHORT;
vmem_t *vmem_heap;
vmem_t *vmem_metadata_arena;
vmem_t *vmem_seg_arena;
vmem_t *vmem_hash_arena;
vmem_t *vmem_vmem_arena;
vmem_t *kmem_pages_arena;

static vmem_t vmem0[NVMEM0];
static uint32_t nvmem; /* vmem_list_lock; the last vm_id */

/** Slab size of the quantum caches, also the unit a NO_QCACHE arena imports. */
static size_t qcache_slab_bytes(size_t qcache_max)
{
	size_t bytes = (size_t)1 << kmem_highbit(3 * qcache_max);

	return bytes > 64 ? bytes : 64;
}

static void lists_init(vmem_t *vmp)
{
	vmem_freelist_t *head = vmp->vm_freelist;

	for (int i = 0; i <= VMEM_FREELISTS; i++) {
		head[i].vs_end = i < VMEM_FREELISTS ? 1UL << i : 0;
		head[i].vs_knext = (vmem_seg_t *)&head[i + 1];
		head[i].vs_kprev = (vmem_seg_t *)&head[i - 1];
	}
	head[0].vs_kprev = NULL;
	head[VMEM_FREELISTS].vs_knext = NULL;

	vmp->vm_seg0.vs_type = VMEM_SPAN;
	vmp->vm_seg0.vs_knext = &vmp->vm_seg0;
	vmp->vm_seg0.vs_kprev = &vmp->vm_seg0;
	vmp->vm_seg0.vs_anext = &vmp->vm_rotor;
	vmp->vm_seg0.vs_aprev = &vmp->vm_rotor;
	vmp->vm_rotor.vs_type = VMEM_ROTOR;
	vmp->vm_rotor.vs_anext = &vmp->vm_seg0;
	vmp->vm_rotor.vs_aprev = &vmp->vm_seg0;

	vmp->vm_hash_table = vmp->vm_hash0;
	vmp->vm_hash_mask = VMEM_HASH_INITIAL - 1;
	vmp->vm_hash_shift = (size_t)kmem_highbit(vmp->vm_hash_mask);
}

static void link_arena(vmem_t *vmp)
{
	vmem_t **link = &vmem_list;

	kmem_mutex_enter(&vmem_list_lock);
	while (*link)
		link = &(*link)->vm_next;
	*link = vmp;
	vmp->vm_id = ++nvmem;
	if ((vmp->vm_cflags & VMC_POPULATOR) &&
	    vmem_npopulators < VMEM_NPOPULATORS)
		vmem_populators[vmem_npopulators++] = vmp;
	kmem_mutex_exit(&vmem_list_lock);
}

static void create_qcaches(vmem_t *vmp, size_t qcache_max)
{
	size_t n = qcache_max >> vmp->vm_qshift;
	char name[QCACHE_NAMELEN];

	if (n > VMEM_NQCACHE_MAX)
		n = VMEM_NQCACHE_MAX;
	vmp->vm_qcache_max = n << vmp->vm_qshift; /* decides their slab size */
	for (size_t i = 0; i < n; i++) {
		size_t bytes = (i + 1) * vmp->vm_quantum;

		(void)kmem_format(name, sizeof(name), "%s_%lu", vmp->vm_name,
				  bytes);
		vmp->vm_qcache[i] = kmem_cache_create(
			name, bytes, vmp->vm_quantum, NULL, NULL, NULL, NULL,
			vmp, KMC_QCACHE | KMC_NOTOUCH);
	}
}

/** Memory for a vmem_t, cleared: static while there is no arena of them. */
static vmem_t *vmem_t_alloc(int vmflag)
{
	vmem_t *vmp;

	if (!vmem_vmem_arena)
		return &vmem0[nvmem];
	vmp = vmem_alloc(vmem_vmem_arena, sizeof(*vmp), vmflag & VM_KMFLAGS);
	if (vmp)
		memset(vmp, 0, sizeof(*vmp));
	return vmp;
}

/**
 * Creates an arena.
 *
 * @base, @size:    first span; size 0: none
 * @quantum:        power of two; every span is a multiple of it
 * @afunc, @ffunc:  import from and return to the source; NULL: no import
 * @qcache_max:     up to this size requests are served by caches
 *
 * Returns NULL with VM_NOSLEEP only.
 */
vmem_t *vmem_create(const char *name, void *base, size_t size, size_t quantum,
		    vmem_alloc_t *afunc, vmem_free_t *ffunc, vmem_t *source,
		    size_t qcache_max, int vmflag)
{
	vmem_t *vmp;

	kmem_ready_check();
	if (quantum == 0 || (quantum & (quantum - 1)))
		kmem_panic(
			"vmem_create('%s'): quantum %lu is not a power of two",
			name, quantum);
	if (source && (vmflag & VMC_IDENTIFIER) &&
	    !(source->vm_cflags & VMC_IDENTIFIER))
		kmem_panic(
			"vmem_create('%s'): identifiers come from identifiers only",
			name);
	vmp = vmem_t_alloc(vmflag);
	if (!vmp)
		return NULL;
	(void)kmem_format(vmp->vm_name, sizeof(vmp->vm_name), "%s", name);
	vmp->vm_cflags = vmflag;
	vmp->vm_quantum = quantum;
	vmp->vm_qshift = kmem_highbit(quantum) - 1;
	vmp->vm_source = source;
	vmp->vm_source_alloc = afunc;
	vmp->vm_source_free = ffunc;
	lists_init(vmp);
	if (qcache_max && (vmflag & VMC_NO_QCACHE))
		vmp->vm_min_import = qcache_slab_bytes(qcache_max);
	link_arena(vmp);
	if (vmflag & VMC_POPULATOR) { /* its reserve, from the static tags */
		kmem_mutex_enter(&vmp->vm_lock);
		(void)vmem_populate(vmp, vmflag);
		kmem_mutex_exit(&vmp->vm_lock);
	}
	if (size && !vmem_add(vmp, base, size, vmflag)) {
		vmem_destroy(vmp);
		return NULL;
	}
	if (qcache_max && !(vmflag & VMC_NO_QCACHE))
		create_qcaches(vmp, qcache_max);
	return vmp;
}

/** vmem_create() of an arena whose source may give more than it is asked for,
 * and, with VMC_XALIGN, aligns what it gives. */
vmem_t *vmem_xcreate(const char *name, void *base, size_t size, size_t quantum,
		     vmem_ximport_t *afunc, vmem_free_t *ffunc, vmem_t *source,
		     size_t qcache_max, int vmflag)
{
	union {
		vmem_ximport_t *ximport;
		vmem_alloc_t *alloc;
	} func = {.ximport = afunc};

	return vmem_create(name, base, size, quantum, func.alloc, ffunc, source,
			   qcache_max, vmflag | VMC_XALLOC);
}

/** Gives back what the quantum caches of an arena hold in reserve. */
void vmem_qcache_reap(vmem_t *vmp)
{
	for (int i = 0; i < VMEM_NQCACHE_MAX; i++)
		if (vmp->vm_qcache[i])
			kmem_cache_reap_now(vmp->vm_qcache[i]);
}

static void unlink_arena(vmem_t *vmp)
{
	vmem_t **link = &vmem_list;

	kmem_mutex_enter(&vmem_list_lock);
	while (*link != vmp)
		link = &(*link)->vm_next;
	*link = vmp->vm_next;
	kmem_mutex_exit(&vmem_list_lock);
}

/** Destroys an arena all of which is free; says so under verbose if not. */
void vmem_destroy(vmem_t *vmp)
{
	vmem_seg_t *vsp, *next;
	size_t leaked;

	for (int i = 0; i < VMEM_NQCACHE_MAX; i++)
		if (vmp->vm_qcache[i])
			kmem_cache_destroy(vmp->vm_qcache[i]);
	unlink_arena(vmp);
	/* the rotor may keep two parts of an import apart that are both free */
	kmem_mutex_enter(&vmp->vm_lock);
	vmem_advance(vmp, &vmp->vm_rotor, &vmp->vm_seg0);
	kmem_mutex_exit(&vmp->vm_lock);
	leaked = vmem_size(vmp, VMEM_ALLOC);
	if (leaked)
		kmem_warn("vmem_destroy('%s'): leaked %lu %s", vmp->vm_name,
			  leaked,
			  vmp->vm_cflags & VMC_IDENTIFIER ? "identifiers"
							  : "bytes");
	if (vmp->vm_hash_table != vmp->vm_hash0)
		vmem_free(vmem_hash_arena, vmp->vm_hash_table,
			  (vmp->vm_hash_mask + 1) * sizeof(vmem_seg_t *));
	for (vsp = vmp->vm_seg0.vs_anext; vsp != &vmp->vm_seg0; vsp = next) {
		next = vsp->vs_anext;
		if (vsp != &vmp->vm_rotor)
			vmem_putseg_global(vsp);
	}
	for (vsp = vmp->vm_segfree; vsp; vsp = next) {
		next = vsp->vs_knext;
		vmem_putseg_global(vsp);
	}
	vmem_free(vmem_vmem_arena, vmp, sizeof(*vmp));
}

/** Adds a span that stays; returns addr, or NULL with VM_NOSLEEP only. */
void *vmem_add(vmem_t *vmp, void *addr, size_t size, int vmflag)
{
	kmem_ready_check();
	if (!addr || size == 0)
		kmem_panic("vmem_add(%p, %p, %lu): bad arguments", (void *)vmp,
			   addr, size);
	kmem_mutex_enter(&vmp->vm_lock);
	if (vmem_populate(vmp, vmflag))
		(void)vmem_span_create(vmp, addr, size, 0);
	else
		addr = NULL;
	kmem_mutex_exit(&vmp->vm_lock);
	return addr;
}

/** Answers whether [addr, addr + size) lies in one span; linear in spans. */
int vmem_contains(vmem_t *vmp, void *addr, size_t size)
{
	uintptr_t start = (uintptr_t)addr;
	vmem_seg_t *seg0 = &vmp->vm_seg0;
	vmem_seg_t *span;

	kmem_mutex_enter(&vmp->vm_lock);
	vmp->vm_kstat.vk_contains++;
	for (span = seg0->vs_knext; span != seg0; span = span->vs_knext) {
		vmp->vm_kstat.vk_contains_search++;
		if (start >= span->vs_start && start < span->vs_end &&
		    size <= span->vs_end - start)
			break;
	}
	kmem_mutex_exit(&vmp->vm_lock);
	return span != seg0;
}

/**
 * Calls func for every segment whose type is in the mask.  With VMEM_REENTRANT
 * func may use the arena: a marker of ours keeps the place.
 */
void vmem_walk(vmem_t *vmp, int typemask,
	       void (*func)(void *arg, void *start, size_t size), void *arg)
{
	vmem_seg_t walker = {.vs_type = VMEM_WALKER};
	vmem_seg_t *seg0 = &vmp->vm_seg0;
	vmem_seg_t *vsp;

	if (typemask & VMEM_WALKER)
		return;
	kmem_mutex_enter(&vmp->vm_lock);
	walker.vs_anext = walker.vs_aprev = NULL;
	for (vsp = seg0->vs_anext; vsp != seg0; vsp = vsp->vs_anext) {
		void *start = (void *)vsp->vs_start;
		size_t bytes = vsp->vs_end - vsp->vs_start;

		if (!(vsp->vs_type & typemask))
			continue;
		if (!(typemask & (int)VMEM_REENTRANT)) {
			func(arg, start, bytes);
			continue;
		}
		if (walker.vs_anext) {
			vmem_advance(vmp, &walker, vsp);
		} else {
			walker.vs_aprev = vsp;
			walker.vs_anext = vsp->vs_anext;
			vsp->vs_anext->vs_aprev = &walker;
			vsp->vs_anext = &walker;
		}
		kmem_mutex_exit(&vmp->vm_lock);
		func(arg, start, bytes);
		kmem_mutex_enter(&vmp->vm_lock);
		vsp = &walker;
	}
	if (walker.vs_anext)
		vmem_advance(vmp, &walker, NULL);
	kmem_mutex_exit(&vmp->vm_lock);
}

/** Units allocated (VMEM_ALLOC), free (VMEM_FREE), or both. */
size_t vmem_size(vmem_t *vmp, int typemask)
{
	size_t inuse = KM_PEEK(vmp->vm_kstat.vk_mem_inuse);
	size_t total = KM_PEEK(vmp->vm_kstat.vk_mem_total);
	size_t units = 0;

	if (typemask & VMEM_ALLOC)
		units += inuse;
	if (typemask & VMEM_FREE)
		units += total > inuse ? total - inuse : 0;
	return units;
}

void vmem_set_limit(vmem_t *vmp, size_t limit)
{
	kmem_mutex_enter(&vmp->vm_lock);
	vmp->vm_limit = limit;
	kmem_cv_broadcast(&vmp->vm_cv);
	kmem_mutex_exit(&vmp->vm_lock);
	if (limit) {
		kmem_is_limited = 1;
		kmem_thread_close();
	}
	kmem_memory_freed();
}

void *vmem_alloc_reserve(vmem_t *vmp, size_t bytes, int vmflag)
{
	return vmem_alloc(vmp, bytes, vmflag | VM_PUSHPAGE);
}

/* ---- upkeep ---- */

void vmem_hash_rescale(vmem_t *vmp)
{
	size_t old_size = KM_PEEK(vmp->vm_hash_mask) + 1;
	size_t new_size = kmem_hash_size(vmem_nallocated(vmp),
					 VMEM_HASH_INITIAL, old_size);
	vmem_seg_t **old_table, **new_table;

	if (new_size == old_size)
		return;
	new_table = vmem_alloc(vmem_hash_arena, new_size * sizeof(*new_table),
			       VM_NOSLEEP);
	if (!new_table)
		return;
	memset(new_table, 0, new_size * sizeof(*new_table));

	kmem_mutex_enter(&vmp->vm_lock);
	old_size = vmp->vm_hash_mask + 1;
	old_table = vmp->vm_hash_table;
	KM_POKE(vmp->vm_hash_mask, new_size - 1);
	vmp->vm_hash_table = new_table;
	vmp->vm_hash_shift = (size_t)kmem_highbit(vmp->vm_hash_mask);
	for (size_t i = 0; i < old_size; i++) {
		vmem_seg_t *vsp = old_table[i];

		while (vsp) {
			vmem_seg_t *next = vsp->vs_knext;
			vmem_seg_t **bucket =
				vmem_hash_bucket(vmp, vsp->vs_start);

			vsp->vs_knext = *bucket;
			*bucket = vsp;
			vsp = next;
		}
	}
	kmem_mutex_exit(&vmp->vm_lock);
	if (old_table != vmp->vm_hash0)
		vmem_free(vmem_hash_arena, old_table,
			  old_size * sizeof(*old_table));
}

void vmem_update(void)
{
	kmem_mutex_enter(&vmem_list_lock);
	for (vmem_t *vmp = vmem_list; vmp; vmp = vmp->vm_next) {
		kmem_cv_broadcast(&vmp->vm_cv);
		vmem_hash_rescale(vmp);
	}
	kmem_mutex_exit(&vmem_list_lock);
}

/* ---- boot ---- */

void vmem_init(int has_audit)
{
	vmem_t *own;

	if (has_audit)
		vmem_seg_size = VMEM_SEG_FULL;
	vmem_heap =
		vmem_create("heap", NULL, 0, KMEM_PAGE, vmem_mmap_alloc,
			    vmem_mmap_free, NULL, 0, VM_SLEEP | VMC_POPULATOR);
	vmem_heap->vm_min_import = HEAP_IMPORT;
	vmem_metadata_arena = vmem_create(
		"vmem_metadata", NULL, 0, KMEM_PAGE, vmem_alloc_reserve,
		vmem_free, vmem_heap, 8 * KMEM_PAGE,
		VM_SLEEP | VMC_POPULATOR | VMC_NO_QCACHE);
	vmem_seg_arena = vmem_create("vmem_seg", NULL, 0, KMEM_PAGE, vmem_alloc,
				     vmem_free, vmem_metadata_arena, 0,
				     VM_SLEEP | VMC_POPULATOR);
	vmem_hash_arena =
		vmem_create("vmem_hash", NULL, 0, 8, vmem_alloc, vmem_free,
			    vmem_metadata_arena, 0, VM_SLEEP);
	own = vmem_create("vmem_vmem", vmem0, sizeof(vmem0), 1, vmem_alloc,
			  vmem_free, vmem_metadata_arena, 0, VM_SLEEP);
	/* the static arenas are the first allocations of their own arena */
	for (uint32_t i = 0; i < nvmem; i++)
		(void)vmem_alloc(own, sizeof(vmem_t), VM_SLEEP);
	vmem_vmem_arena = own;
	kmem_pages_arena = vmem_create("kmem_pages", NULL, 0, KMEM_PAGE,
				       vmem_alloc_reserve, vmem_free, vmem_heap,
				       0, VM_SLEEP);
}
