/* SPDX-License-Identifier: MIT */
/*
 * vmem: allocation of integers, usually addresses, from arenas.
 *
 * After Bonwick and Adams, "Magazines and Vmem" (USENIX 2001).  An arena is a
 * set of spans; a span is covered without gaps by segments, each allocated or
 * free.  A segment is described by a boundary tag that lives outside the
 * memory it describes, so that an arena can manage what is not memory.
 *
 *   vm_seg0 -> rotor -> SPAN [A,B) -> alloc -> free -> alloc -> SPAN [C,D) -> free
 *      ^         vs_anext: every tag of the arena, spans before their segments  |
 *      +------------------------------------------------------------------------+
 *
 *   vs_knext:  of a span      the next span (ring through vm_seg0)
 *              of allocated   hash chain, keyed by start
 *              of free        power-of-two free list; all list heads are in one
 *                             chain, so a search runs from list to list
 *
 * Invariants
 *   I1  segments of a span are contiguous and in address order
 *   I2  no two free segments are neighbours, a marker between them excepted
 *   I3  a free segment of n bytes is on free list floor(log2 n), and bit k of
 *       vm_freemap says that list k has any
 *   I4  an allocated segment ends where the request ended; what is left up to
 *       the quantum belongs to it and is added back when it is freed
 *   I5  an imported span that becomes one free segment goes back to its source,
 *       except what the heap keeps (vmem_heap_keeps)
 *   I6  before an operation an arena has VMEM_MINFREE tags of its own, so no
 *       operation stops half way for want of a tag (vmem_tags.c)
 *
 * Cost: instant fit is O(1): the head of the first non-empty list whose every
 * member is large enough.  Freeing is O(1) by the hash.
 */
#include "vmem_seg.h"

#include <string.h>

#define NUDGE_NS  ((hrtime_t)100 * 1000000)
#define HEAP_BEST ((size_t)1 << 20) /* from here on the heap fits best */

kmem_mutex_t vmem_list_lock; /* vmem_list, populators, ids */

__thread struct vmem_request vmem_request;

/* what an xalloc wants */
struct want {
	size_t bytes, align, phase, nocross;
	uintptr_t min, max;
};

/* an import that was not needed after all */
struct spare {
	void *addr;
	size_t bytes;
};

/* ---- allocation ---- */

/** The head of the first free list all of whose members fit; NULL if none. */
static vmem_seg_t *instant_fit(vmem_t *vmp, size_t bytes)
{
	size_t floor_bytes = bytes;
	int list;

	if (!ISP2(bytes)) {
		if (kmem_highbit(bytes) >= VMEM_FREELISTS)
			return NULL;
		floor_bytes = 1UL << kmem_highbit(bytes);
	}
	list = vmem_lowbit(P2ALIGN(vmp->vm_freemap, floor_bytes));
	return list ? vmp->vm_freelist[list - 1].vs_knext : NULL;
}

/** Where what the request may use of a free segment ends. */
static uintptr_t seg_limit(const vmem_seg_t *vsp, const struct want *w)
{
	return vsp->vs_end - 1 < w->max - 1 ? vsp->vs_end : w->max;
}

/** Where in a free segment the request would start; 0 if it does not fit. */
static uintptr_t place(const vmem_seg_t *vsp, const struct want *w)
{
	uintptr_t start = vsp->vs_start > w->min ? vsp->vs_start : w->min;
	uintptr_t end = seg_limit(vsp, w);
	uintptr_t at = P2PHASEUP(start, w->align, w->phase);

	if (w->nocross && P2ALIGN(at ^ (at + w->bytes - 1), w->nocross))
		at += P2ROUNDUP(P2NPHASE(at, w->nocross), w->align);
	if (start > end - 1 || at < start || at > end - 1 ||
	    w->bytes > end - at)
		return 0;
	return at;
}

/**
 * Searches free lists from one on; best fit stays in the first list that has
 * a fit.
 */
static vmem_seg_t *scan_lists(vmem_t *vmp, int list, const struct want *w,
			      int is_best, uintptr_t *ret_addr)
{
	vmem_seg_t *best = NULL;
	vmem_seg_t *vsp;

	for (vsp = (vmem_seg_t *)&vmp->vm_freelist[list]; vsp;
	     vsp = vsp->vs_knext) {
		uintptr_t at;

		if (vsp->vs_start == 0) {
			if (best)
				break;
			continue;
		}
		at = place(vsp, w);
		if (!at || (best && vsp->vs_end - vsp->vs_start >=
					    best->vs_end - best->vs_start))
			continue;
		best = vsp;
		*ret_addr = at;
		if (!is_best)
			break;
	}
	return best;
}

static vmem_seg_t *find_fit(vmem_t *vmp, const struct want *w, int vmflag,
			    uintptr_t *ret_addr)
{
	int own = kmem_highbit(w->bytes) - 1;
	vmem_seg_t *vsp = NULL;

	if (!ISP2(w->bytes) && !(vmflag & (VM_BESTFIT | VM_FIRSTFIT)))
		vsp = scan_lists(vmp, own + 1, w, 0, ret_addr);
	if (!vsp)
		vsp = scan_lists(vmp, own, w, vmflag & VM_BESTFIT, ret_addr);
	return vsp;
}

/** Calls the source of an arena; *bytes may grow. */
static void *call_source(vmem_t *vmp, size_t *bytes, size_t align, int vmflag)
{
	union {
		vmem_alloc_t *alloc;
		vmem_ximport_t *ximport;
	} func = {.alloc = vmp->vm_source_alloc};

	vmflag &= VM_KMFLAGS;
	return vmp->vm_cflags & VMC_XALLOC
		       ? func.ximport(vmp->vm_source, bytes, align, vmflag)
		       : func.alloc(vmp->vm_source, *bytes, vmflag);
}

/** Memory of the source: the more than *bytes that an arena imports at a time or,
 * when there is not so much, *bytes. */
static void *import(vmem_t *vmp, size_t *bytes, size_t align, int vmflag)
{
	size_t more = KM_PEEK(vmp->vm_min_import);
	size_t least = *bytes;
	void *addr;

	if (vmp == vmem_heap && more < vmem_heap_import())
		more = vmem_heap_import();
	if (least >= more)
		return call_source(vmp, bytes, align, vmflag);
	*bytes = more;
	addr = call_source(vmp, bytes, align,
			   vmflag | VM_NOSLEEP | VM_NORMALPRI);
	if (addr && vmp == vmem_heap)
		vmem_heap_grew(addr, *bytes);
	if (addr)
		return addr;
	*bytes = least;
	return call_source(vmp, bytes, align, vmflag);
}

/**
 * Asks the source for a span that holds the request.  Drops vm_lock meanwhile;
 * the tags needed afterwards are set aside.  When others freed enough until
 * then, it is their segment that is found, and the import is left in *ret_spare
 * to be given back.
 */
static vmem_seg_t *import_span(vmem_t *vmp, const struct want *w, int vmflag,
			       struct spare *ret_spare, uintptr_t *ret_addr)
{
	size_t quantum = vmp->vm_quantum;
	size_t slack = w->align > quantum ? w->align - quantum : 0;
	vmem_seg_t *vsp;
	size_t bytes;
	void *addr;

	if (vmp->vm_cflags & VMC_XALIGN)
		slack = 0;
	if (!vmp->vm_source_alloc || w->nocross || w->min || w->max)
		return NULL;
	if (vmp->vm_source && vmp->vm_source->vm_quantum > quantum)
		quantum = vmp->vm_source->vm_quantum;
	if (w->bytes + w->phase + slack + quantum < w->bytes)
		return NULL;
	bytes = P2ROUNDUP(w->bytes + w->phase + slack, quantum);
	vmp->vm_nsegfree -= VMEM_RESERVE;
	kmem_mutex_exit(&vmp->vm_lock);
	addr = import(vmp, &bytes, w->align, vmflag);
	kmem_mutex_enter(&vmp->vm_lock);
	vmp->vm_nsegfree += VMEM_RESERVE;
	if (!addr)
		return NULL;
	vsp = vmp->vm_source_free ? find_fit(vmp, w, vmflag, ret_addr) : NULL;
	if (vsp) {
		ret_spare->addr = addr;
		ret_spare->bytes = bytes;
		return vsp;
	}
	vsp = vmp == vmem_heap ? vmem_span_extend(vmp, addr, bytes) : NULL;
	if (!vsp)
		vsp = vmem_span_create(vmp, addr, bytes, 1);
	*ret_addr = place(vsp, w);
	return vsp;
}

/** Would so many bytes more be beyond the limit?  vm_lock is held. */
static inline int is_beyond(const vmem_t *vmp, size_t bytes, int vmflag)
{
	return KM_UNLIKELY(vmp->vm_limit) && !(vmflag & VM_PUSHPAGE) &&
	       (bytes > vmp->vm_limit ||
		vmp->vm_kstat.vk_mem_inuse > vmp->vm_limit - bytes);
}

/* ---- sleeping ----
 *
 * Who sleeps in an arena is in vm_waiters, in order of arrival; every free wakes
 * all, and the first tries.  A request that could not be satisfied were all of
 * the arena free, or that wants a certain place, lets others pass: else nobody
 * would ever get what it cannot have.
 *
 * What others free may stay in the magazines of a cache.  So who sleeps where
 * that can be has them emptied if nothing happens for a while.
 */

/** Must those behind a waiter wait until it has its share?  vm_lock is held. */
static int blocks_others(const vmem_t *vmp, const kmem_waiter_t *w)
{
	return !w->kw_is_placed &&
	       (!vmp->vm_limit || w->kw_bytes <= vmp->vm_limit) &&
	       (vmp->vm_source_alloc ||
		w->kw_bytes <= vmp->vm_kstat.vk_mem_total);
}

/** Sleeps until something is freed and it is the waiter's turn to try; vm_lock
 * is held, and dropped meanwhile. */
static void sleep_in(vmem_t *vmp, kmem_waiter_t *me)
{
	kmem_waiter_t **link = &vmp->vm_waiters;
	kmem_waiter_t *w;

	if (me->kw_since == 0) {
		me->kw_since = kmem_now();
		me->kw_thread = kmem_tid();
		while (*link)
			link = &(*link)->kw_next;
		*link = me;
	}
	vmp->vm_kstat.vk_wait++;
	do {
		if (!kmem_cv_timedwait(&vmp->vm_cv, &vmp->vm_lock, NUDGE_NS) &&
		    (vmp == vmem_heap || vmp->vm_ncaches)) {
			kmem_mutex_exit(&vmp->vm_lock);
			kmem_reap_all();
			kmem_mutex_enter(&vmp->vm_lock);
		}
		w = vmp->vm_waiters;
		while (w && w != me && !blocks_others(vmp, w))
			w = w->kw_next;
	} while (w && w != me);
}

/** Ends a waiter's sleep; the next one may try.  vm_lock is held. */
static void wake_from(vmem_t *vmp, kmem_waiter_t *me)
{
	kmem_waiter_t **link = &vmp->vm_waiters;

	if (me->kw_since == 0)
		return;
	while (*link && *link != me)
		link = &(*link)->kw_next;
	if (*link)
		*link = me->kw_next;
	kmem_cv_broadcast(&vmp->vm_cv);
}

/* what wait_for_memory() says */
enum {
	GIVE_UP,
	LOOK_AGAIN,
	LOOK_HERE
};

/**
 * What to do when nothing fits and nothing can be imported.  A request reaps
 * once, in whichever of nested arenas finds first that there is nothing; the
 * others look only whether that helped them: would each ask its source again,
 * that were 2^n times for n arenas.  vm_lock is held.
 */
static int wait_for_memory(vmem_t *vmp, const struct want *w, int vmflag,
			   int *has_looked, kmem_waiter_t *me)
{
	if ((vmflag & VM_ABORT) || (vmflag & (VM_NOSLEEP | VM_NORMALPRI)) ==
					   (VM_NOSLEEP | VM_NORMALPRI))
		return GIVE_UP;
	if (!vmem_request.has_reaped && !vmem_is_populating() &&
	    (vmp->vm_source_alloc || vmp->vm_ncaches)) {
		vmem_request.has_reaped = *has_looked = 1;
		kmem_mutex_exit(&vmp->vm_lock);
		if (vmp->vm_cflags & VMC_IDENTIFIER)
			kmem_reap_idspace();
		else
			kmem_reap();
		kmem_mutex_enter(&vmp->vm_lock);
		return LOOK_AGAIN;
	}
	if (vmem_request.has_reaped && !*has_looked) {
		*has_looked = 1;
		return LOOK_HERE;
	}
	if (vmflag & VM_PANIC) {
		kmem_mutex_exit(&vmp->vm_lock);
		kmem_panic(
			"vmem_xalloc(%p, %lu, %lu, %lu, %lu, %p, %p, %x): cannot satisfy mandatory allocation",
			(void *)vmp, w->bytes, w->align, w->phase, w->nocross,
			(void *)w->min, (void *)w->max, vmflag);
	}
	if (vmflag & VM_NOSLEEP)
		return GIVE_UP;
	sleep_in(vmp, me);
	return LOOK_AGAIN;
}

/** Lets two free segments that only the rotor keeps apart be one; 0: there are
 * none.  May drop vm_lock for a while. */
static int join_at_rotor(vmem_t *vmp)
{
	vmem_seg_t *rotor = &vmp->vm_rotor;

	if (rotor->vs_aprev->vs_type != VMEM_FREE ||
	    rotor->vs_anext->vs_type != VMEM_FREE)
		return 0;
	vmem_advance(vmp, rotor, rotor->vs_anext);
	return 1;
}

/** Ends an operation that was successful: drops vm_lock, and gives back what
 * was imported in vain. */
static void *xalloc_done(vmem_t *vmp, uintptr_t addr, kmem_waiter_t *me,
			 const struct spare *spare)
{
	wake_from(vmp, me);
	kmem_mutex_exit(&vmp->vm_lock);
	if (spare->addr)
		vmp->vm_source_free(vmp->vm_source, spare->addr, spare->bytes);
	return (void *)addr;
}

static void *xalloc(vmem_t *vmp, const struct want *w, int vmflag)
{
	kmem_waiter_t me = {
		.kw_bytes = w->bytes,
		.kw_is_placed = w->min || w->max || w->nocross,
	};
	struct spare spare = {NULL, 0};
	int has_looked = 0, how = LOOK_AGAIN;
	uintptr_t addr = 0;
	vmem_seg_t *vsp;

	kmem_mutex_enter(&vmp->vm_lock);
	while (how != GIVE_UP && vmem_populate(vmp, vmflag)) {
		vsp = NULL;
		if (!is_beyond(vmp, w->bytes, vmflag)) {
			vsp = find_fit(vmp, w, vmflag, &addr);
			if (!vsp && join_at_rotor(vmp))
				continue;
			if (!vsp && how == LOOK_AGAIN)
				vsp = import_span(vmp, w, vmflag, &spare,
						  &addr);
		}
		if (vsp && addr) {
			if ((vmflag & VM_ENDALLOC) && !w->nocross)
				addr += P2ALIGN(seg_limit(vsp, w) - addr -
							w->bytes,
						w->align);
			(void)vmem_seg_alloc(vmp, vsp, addr, w->bytes);
			return xalloc_done(vmp, addr, &me, &spare);
		}
		how = wait_for_memory(vmp, w, vmflag, &has_looked, &me);
	}
	vmp->vm_kstat.vk_fail++;
	wake_from(vmp, &me);
	kmem_mutex_exit(&vmp->vm_lock);
	return NULL;
}

static void *alloc_plain(vmem_t *vmp, size_t bytes, int vmflag)
{
	struct want w = {.bytes = bytes, .align = vmp->vm_quantum};
	vmem_seg_t *vsp;
	uintptr_t addr;

	if (vmp == vmem_heap && bytes >= HEAP_BEST)
		vmflag |= VM_BESTFIT;
	if (vmflag & (VM_BESTFIT | VM_FIRSTFIT))
		return xalloc(vmp, &w, vmflag);
	kmem_mutex_enter(&vmp->vm_lock);
	vsp = NULL;
	if ((vmp->vm_nsegfree >= VMEM_MINFREE || vmem_populate(vmp, vmflag)) &&
	    !is_beyond(vmp, bytes, vmflag))
		vsp = instant_fit(vmp, bytes);
	if (!vsp) {
		kmem_mutex_exit(&vmp->vm_lock);
		return xalloc(vmp, &w, vmflag);
	}
	addr = vsp->vs_start;
	if (vmflag & VM_ENDALLOC)
		addr = vsp->vs_end - P2ROUNDUP(bytes, vmp->vm_quantum);
	(void)vmem_seg_alloc(vmp, vsp, addr, bytes);
	kmem_mutex_exit(&vmp->vm_lock);
	return (void *)addr;
}

/** Is there a free segment in a list whose members may be as large?  Where all
 * was imported to measure there is none, and no circle has to be walked. */
static int may_fit(const vmem_t *vmp, size_t bytes)
{
	return (vmp->vm_freemap >> (kmem_highbit(bytes) - 1)) != 0;
}

/**
 * Next fit: the first free segment that fits, in arena order from the rotor on;
 * the rotor moves behind it, so that reuse comes as late as possible.
 */
static void *alloc_next(vmem_t *vmp, size_t bytes, int vmflag)
{
	struct want w = {.bytes = bytes, .align = vmp->vm_quantum};
	kmem_waiter_t me = {.kw_bytes = bytes};
	size_t real = P2ROUNDUP(bytes, vmp->vm_quantum);
	vmem_seg_t *rotor = &vmp->vm_rotor;
	vmem_seg_t *vsp;
	uintptr_t addr;

	kmem_mutex_enter(&vmp->vm_lock);
	for (;;) {
		if (!vmem_populate(vmp, vmflag))
			break;
		vsp = rotor;
		if (may_fit(vmp, real))
			vsp = rotor->vs_anext;
		while (vsp != rotor && !(vsp->vs_type == VMEM_FREE &&
					 vsp->vs_end - vsp->vs_start >= real))
			vsp = vsp->vs_anext;
		if (vsp != rotor && !is_beyond(vmp, bytes, vmflag)) {
			addr = vsp->vs_start;
			vsp = vmem_seg_alloc(vmp, vsp, addr, bytes);
			wake_from(vmp, &me);
			vmem_advance(vmp, rotor, vsp);
			kmem_mutex_exit(&vmp->vm_lock);
			return (void *)addr;
		}
		/* full circle: two free segments around the rotor may merge */
		vmem_advance(vmp, rotor, rotor->vs_anext);
		if (vmp->vm_source_alloc || (vmflag & VM_NOSLEEP))
			break;
		sleep_in(vmp, &me);
	}
	wake_from(vmp, &me);
	kmem_mutex_exit(&vmp->vm_lock);
	return xalloc(vmp, &w, vmflag & ~VM_NEXTFIT);
}

/** Begins a request of this thread: notes who asks, outermost call only. */
static void request_begin(int kind)
{
	if (vmem_request.depth++ > 0)
		return;
	vmem_request.kind = kind;
	vmem_request.has_reaped = 0;
	vmem_request.stack = 0;
	if (vmem_seg_size == VMEM_SEG_FULL)
		vmem_request.stack = kmem_stack_capture();
}

/** Ends it; a hash table that became too small grows here, outside locks: the
 * arena's, and those of what it imported from. */
static void request_end(vmem_t *vmp)
{
	for (; vmp && vmem_request.depth == 1; vmp = vmp->vm_source)
		if (vmem_nallocated(vmp) > 2 * KM_PEEK(vmp->vm_hash_mask) + 2)
			vmem_hash_rescale(vmp);
	vmem_request.depth--;
}

/** Should this request fail for the sake of a test? */
static int is_injected(vmem_t *vmp, int vmflag)
{
	return KM_UNLIKELY(vmp->vm_mtbf) &&
	       kmem_is_injected(vmp->vm_mtbf, vmflag);
}

void *vmem_alloc_kind(vmem_t *vmp, size_t bytes, size_t align, int vmflag,
		      int kind)
{
	void *p;

	if (is_injected(vmp, vmflag))
		return NULL;
	if (!(vmflag & VM_FITMASK))
		vmflag |= vmp->vm_cflags & VM_FITMASK;
	request_begin(kind);
	if (align > vmp->vm_quantum) {
		struct want w = {.bytes = bytes, .align = align};

		p = xalloc(vmp, &w, vmflag);
	} else if (vmflag & VM_NEXTFIT) {
		p = alloc_next(vmp, bytes, vmflag);
	} else {
		p = alloc_plain(vmp, bytes, vmflag);
	}
	request_end(vmp);
	return p;
}

/**
 * Allocates a segment.
 *
 * @size:    units of the arena, not 0
 * @vmflag:  VM_*
 *
 * Returns its start, or NULL with VM_NOSLEEP only.
 */
void *vmem_alloc(vmem_t *vmp, size_t size, int vmflag)
{
	kmem_ready_check();
	if (size - 1 < vmp->vm_qcache_max)
		return kmem_cache_alloc_kind(
			vmp->vm_qcache[(size - 1) >> vmp->vm_qshift],
			vmflag & VM_KMFLAGS, KMEM_KIND_VMEM);
	if (size == 0)
		kmem_panic("vmem_xalloc(): size == 0");
	return vmem_alloc_kind(vmp, size, 0, vmflag, KMEM_KIND_VMEM);
}

/** The complaint about a constrained request; NULL when it is sound. */
static const char *want_flaw(const vmem_t *vmp, const struct want *w)
{
	if (P2PHASE(w->align | w->phase | w->nocross, vmp->vm_quantum))
		return "parameters not vm_quantum aligned";
	if (w->nocross &&
	    (w->align > w->nocross ||
	     P2ROUNDUP(w->phase + w->bytes, w->align) > w->nocross))
		return "overconstrained allocation";
	if (w->phase >= w->align || !ISP2(w->align) || !ISP2(w->nocross))
		return "parameters inconsistent or invalid";
	return NULL;
}

/**
 * Allocates a segment under constraints: it starts at phase modulo align, does
 * not cross a multiple of nocross, and lies in [minaddr, maxaddr).  0 of any
 * constraint means none.  Free with vmem_xfree().
 */
void *vmem_xalloc(vmem_t *vmp, size_t size, size_t align, size_t phase,
		  size_t nocross, void *minaddr, void *maxaddr, int vmflag)
{
	struct want w = {size,
			 align ? align : vmp->vm_quantum,
			 phase,
			 nocross,
			 (uintptr_t)minaddr,
			 (uintptr_t)maxaddr};
	const char *flaw;
	void *p;

	kmem_ready_check();
	if (size == 0)
		kmem_panic("vmem_xalloc(): size == 0");
	flaw = want_flaw(vmp, &w);
	if (flaw)
		kmem_panic(
			"vmem_xalloc(%p, %lu, %lu, %lu, %lu, %p, %p, %x): %s",
			(void *)vmp, size, align, phase, nocross, minaddr,
			maxaddr, vmflag, flaw);
	if (is_injected(vmp, vmflag))
		return NULL;
	request_begin(KMEM_KIND_VMEM);
	p = xalloc(vmp, &w, vmflag);
	request_end(vmp);
	return p;
}

/** Frees what vmem_xalloc() gave; the size must be the one asked for. */
void vmem_xfree(vmem_t *vmp, void *addr, size_t size)
{
	vmem_seg_t *vsp, *near;
	int is_much = 0;

	kmem_mutex_enter(&vmp->vm_lock);
	vsp = vmem_hash_delete(vmp, (uintptr_t)addr, size);
	vsp->vs_end = P2ROUNDUP(vsp->vs_end, vmp->vm_quantum);
	near = vsp->vs_anext;
	if (near->vs_type == VMEM_FREE) {
		vmem_freelist_delete(vmp, near);
		vsp->vs_end = near->vs_end;
		vmem_seg_destroy(vmp, near);
	}
	near = vsp->vs_aprev;
	if (near->vs_type == VMEM_FREE) {
		vmem_freelist_delete(vmp, near);
		near->vs_end = vsp->vs_end;
		vmem_seg_destroy(vmp, vsp);
		vsp = near;
	}
	if (vmp == vmem_heap)
		is_much = vmem_heap_gave(size);
	vmem_settle_free(vmp, vsp);
	if (is_much)
		vmem_heap_trim();
}

/** Frees what vmem_alloc() gave; the size must be the one asked for. */
void vmem_free(vmem_t *vmp, void *addr, size_t size)
{
	if (size - 1 < vmp->vm_qcache_max)
		kmem_cache_free_kind(
			vmp->vm_qcache[(size - 1) >> vmp->vm_qshift], addr,
			KMEM_KIND_VMEM);
	else
		vmem_xfree(vmp, addr, size);
}
