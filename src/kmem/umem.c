/* SPDX-License-Identifier: MIT */
/*
 * libumem's names.  Its requests do not sleep: they return NULL, or, with
 * UMEM_NOFAIL, ask a callback of the program, with no lock held, whether to try
 * again or to end the process.
 */
#define _GNU_SOURCE
#include "umem.h"

#include "kmem_internal.h"

#include <errno.h>
#include <string.h>

#define CREATE_FLAGS (UMC_NOTOUCH | UMC_NODEBUG | UMC_NOMAGAZINE | UMC_NOHASH)
#define TAG_ROOM     64 /* what guards may add to an object */

/** How a request is to be made of kmem. */
static int kmflag_of(int flags)
{
	return flags & UMEM_NOFAIL ? KM_NOSLEEP | KM_NOINJECT : KM_NOSLEEP;
}

/** What becomes of a request that found no memory: 1 to try again, 0 for NULL;
 * may not return. */
static int has_to_retry(int flags)
{
	if (!(flags & UMEM_NOFAIL)) {
		kmem_error_null();
		errno = ENOMEM;
		return 0;
	}
	kmem_nofail();
	return 1;
}

void umem_nofail_callback(umem_nofail_callback_t *func)
{
	kmem_nofail_callback(func);
}

void *umem_alloc(size_t size, int flags)
{
	void *buf;

	if (size == 0)
		return NULL;
	do
		buf = kmem_alloc(size, kmflag_of(flags));
	while (!buf && has_to_retry(flags));
	return buf;
}

void *umem_zalloc(size_t size, int flags)
{
	void *buf;

	if (size == 0)
		return NULL;
	do
		buf = kmem_alloc(size, kmflag_of(flags));
	while (!buf && has_to_retry(flags));
	if (buf)
		memset(buf, 0, size);
	return buf;
}

void umem_free(void *buf, size_t size)
{
	kmem_free(buf, size);
}

void *umem_alloc_align(size_t size, size_t align, int flags)
{
	void *buf;

	if (size == 0)
		return NULL;
	if (align & (align - 1)) {
		errno = EINVAL;
		return NULL;
	}
	do
		buf = kmem_malloc_flags(size, align, kmflag_of(flags),
					KMEM_KIND_MEMALIGN);
	while (!buf && has_to_retry(flags));
	return buf;
}

void umem_free_align(void *buf, size_t size)
{
	if (buf || size)
		kmem_free_sized_impl(buf, size, KMEM_KIND_MEMALIGN);
}

/** May a cache be made so? */
static int is_sound(const struct kmem_spec *s)
{
	size_t quantum = s->arena ? s->arena->vm_quantum : KMEM_PAGE;

	if (!s->name || s->bufsize == 0 || s->bufsize > SIZE_MAX / 64 ||
	    (s->align & (s->align - 1)) || s->align > quantum)
		return 0;
	if (!(s->cflags & UMC_NOHASH))
		return 1;
	return !(s->cflags & UMC_NOTOUCH) &&
	       s->bufsize + s->align + TAG_ROOM <=
		       quantum - sizeof(kmem_slab_t);
}

umem_cache_t *umem_cache_create(char *name, size_t bufsize, size_t align,
				umem_constructor_t *ctor,
				umem_destructor_t *dtor,
				umem_reclaim_t *reclaim, void *priv,
				vmem_t *vmp, int cflags)
{
	struct kmem_spec spec = {
		.name = name,
		.bufsize = bufsize,
		.align = align,
		.ctor = ctor,
		.dtor = dtor,
		.reclaim = reclaim,
		.priv = priv,
		.arena = vmp,
		.cflags = (cflags & CREATE_FLAGS) | KMC_UMEM,
		.vmflag = VM_NOSLEEP,
	};
	umem_cache_t *cp;

	kmem_ready_check();
	if (align == 0 && (!vmp || vmp->vm_quantum >= 16))
		spec.align = bufsize > 8 ? 16 : 8;
	if (!is_sound(&spec)) {
		errno = EINVAL;
		return NULL;
	}
	cp = kmem_cache_create_spec(&spec);
	if (!cp)
		errno = ENOMEM;
	return cp;
}

void umem_cache_destroy(umem_cache_t *cp)
{
	kmem_cache_destroy(cp);
}

void *umem_cache_alloc(umem_cache_t *cp, int flags)
{
	void *buf;

	do
		buf = kmem_cache_alloc_kind(cp, kmflag_of(flags),
					    KMEM_KIND_CACHE);
	while (!buf && has_to_retry(flags));
	return buf;
}

void umem_cache_free(umem_cache_t *cp, void *buf)
{
	kmem_cache_free_kind(cp, buf, KMEM_KIND_CACHE);
}

void umem_reap(void)
{
	kmem_reap();
}

void umem_setmtbf(uint32_t mtbf)
{
	kmem_ready_check();
	kmem_thread_close(); /* what lies in bins is given out unasked */
	kmem_options.mtbf = mtbf;
	kmem_mutex_enter(&kmem_list_lock);
	for (kmem_cache_t *cp = kmem_null_cache.cache_next;
	     cp != &kmem_null_cache; cp = cp->cache_next)
		if (cp->cache_arena != kmem_msb_arena &&
		    !(cp->cache_cflags & KMC_QCACHE))
			cp->cache_mtbf = mtbf;
	kmem_mutex_exit(&kmem_list_lock);
	kmem_oversize_arena->vm_mtbf = mtbf;
}

vmem_t *vmem_heap_arena(vmem_alloc_t **ret_alloc, vmem_free_t **ret_free)
{
	kmem_ready_check();
	if (ret_alloc)
		*ret_alloc = vmem_alloc;
	if (ret_free)
		*ret_free = vmem_free;
	return vmem_heap;
}
