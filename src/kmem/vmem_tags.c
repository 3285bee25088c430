/* SPDX-License-Identifier: MIT */
/*
 * Where the boundary tags of arenas come from.
 *
 * Tags are allocated from the arena vmem_seg, whose sources are arenas as well.
 * Such arenas are populators: the thread that holds vmem_populate_lock may draw
 * on the last VMEM_RESERVE tags of each, which nobody else touches, and restocks
 * them when it has got more.  So getting a tag never needs another tag.
 *
 *   seg0 (static) -> segfree (of all) -> vm_segfree (of an arena) -> in use
 *
 *   T1  before an operation an arena has VMEM_MINFREE tags of its own
 *   T2  a populator has 2 * VMEM_RESERVE after each time tags were made
 */
#include "kmem_internal.h"

#define P2ROUNDUP(x, a) (-(-(x) & -(a)))

#define NSEG0 200 /* tags there are before there is any memory */

kmem_mutex_t vmem_populate_lock;   /* who may use the reserves */
kmem_mutex_t vmem_segfree_lock;    /* segfree */
static const void *populate_owner; /* atomic */
static vmem_seg_t *segfree;        /* linked by vs_knext */
static vmem_seg_t seg0[NSEG0];
static size_t nseg0; /* of them were handed out; vmem_segfree_lock */

vmem_t *vmem_populators
	[VMEM_NPOPULATORS]; /* written while the process is still starting */
int vmem_npopulators;

int vmem_is_populating(void)
{
	return KM_PEEK(populate_owner) == kmem_self();
}

static vmem_seg_t *getseg_global(void)
{
	vmem_seg_t *vsp;

	kmem_mutex_enter(&vmem_segfree_lock);
	vsp = segfree;
	if (vsp)
		segfree = vsp->vs_knext;
	else if (nseg0 < NSEG0)
		vsp = &seg0[nseg0++]; /* a page of them when it is needed */
	kmem_mutex_exit(&vmem_segfree_lock);
	return vsp;
}

void vmem_putseg_global(vmem_seg_t *vsp)
{
	kmem_mutex_enter(&vmem_segfree_lock);
	vsp->vs_knext = segfree;
	segfree = vsp;
	kmem_mutex_exit(&vmem_segfree_lock);
}

void vmem_putseg(vmem_t *vmp, vmem_seg_t *vsp)
{
	if (vmp->vm_nsegfree >= 8 * VMEM_MINFREE) {
		vmem_putseg_global(vsp);
		return;
	}
	vsp->vs_knext = vmp->vm_segfree;
	vmp->vm_segfree = vsp;
	vmp->vm_nsegfree++;
}

vmem_seg_t *vmem_getseg(vmem_t *vmp)
{
	vmem_seg_t *vsp = vmp->vm_segfree;

	if (!vsp)
		kmem_panic("vmem: arena '%s' has no boundary tag",
			   vmp->vm_name);
	vmp->vm_segfree = vsp->vs_knext;
	vmp->vm_nsegfree--;
	return vsp;
}

/** Gives an arena tags of the global list until it has n; 1 if it has. */
static int stock(vmem_t *vmp, size_t n)
{
	while (vmp->vm_nsegfree < n) {
		vmem_seg_t *vsp = getseg_global();

		if (!vsp)
			return 0;
		vsp->vs_knext = vmp->vm_segfree;
		vmp->vm_segfree = vsp;
		vmp->vm_nsegfree++;
	}
	return 1;
}

/** Gives an arena tags of a list of new ones until it has n. */
static void stock_from(vmem_t *vmp, vmem_seg_t **fresh, size_t n)
{
	while (vmp->vm_nsegfree < n && *fresh) {
		vmem_seg_t *vsp = *fresh;

		*fresh = vsp->vs_knext;
		vsp->vs_knext = vmp->vm_segfree;
		vmp->vm_segfree = vsp;
		vmp->vm_nsegfree++;
	}
}

/**
 * Makes tags and restocks every populator; vmem_populate_lock is held.  The
 * populators come before the global list: from there other threads would take
 * the tags, and who makes the next ones would find none to make them with.
 */
static int make_tags(int vmflag)
{
	size_t n = VMEM_MINFREE + (size_t)vmem_npopulators * 2 * VMEM_RESERVE;
	size_t bytes = P2ROUNDUP(n * vmem_seg_size, vmem_seg_arena->vm_quantum);
	char *p = vmem_alloc(vmem_seg_arena, bytes, vmflag & VM_KMFLAGS);
	vmem_seg_t *fresh = NULL;
	vmem_seg_t *vsp;

	if (!p)
		return 0;
	for (n = bytes / vmem_seg_size; n > 0; n--) {
		vsp = (void *)(p + (n - 1) * vmem_seg_size);
		vsp->vs_knext = fresh;
		fresh = vsp;
	}
	for (int i = 0; i < vmem_npopulators; i++) {
		vmem_t *vmp = vmem_populators[i];

		kmem_mutex_enter(&vmp->vm_lock);
		stock_from(vmp, &fresh, (size_t)2 * VMEM_RESERVE);
		kmem_mutex_exit(&vmp->vm_lock);
	}
	while ((vsp = fresh) != NULL) {
		fresh = vsp->vs_knext;
		vmem_putseg_global(vsp);
	}
	return 1;
}

int vmem_populate(vmem_t *vmp, int vmflag)
{
	int has_made = 1;

	while (!stock(vmp, VMEM_MINFREE)) {
		if (KM_PEEK(populate_owner) == kmem_self())
			return vmp->vm_nsegfree >= VMEM_RESERVE;
		if (!has_made) {
			vmp->vm_kstat.vk_populate_fail++;
			return 0;
		}
		vmp->vm_kstat.vk_populate_wait++;
		kmem_mutex_exit(&vmp->vm_lock);
		kmem_mutex_enter(&vmem_populate_lock);
		KM_POKE(populate_owner, kmem_self());
		has_made = make_tags(vmflag);
		KM_POKE(populate_owner, NULL);
		kmem_mutex_exit(&vmem_populate_lock);
		kmem_mutex_enter(&vmp->vm_lock);
	}
	return 1;
}
