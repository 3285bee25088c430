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
#include <stdlib.h>
#include <string.h>

#define CREATE_FLAGS (UMC_NOTOUCH | UMC_NODEBUG | UMC_NOMAGAZINE | UMC_NOHASH)
#define TAG_ROOM     64 /* what guards may add to an object */

static umem_nofail_callback_t *callback; /* atomic */
static const void *exiting;              /* atomic: the thread that does */

/** What becomes of a request that found no memory: 1 to try again, 0 for NULL;
 * may not return. */
static int has_to_retry(int flags)
{
	umem_nofail_callback_t *func =
		__atomic_load_n(&callback, __ATOMIC_ACQUIRE);
	const void *nobody = NULL;
	int answer = UMEM_CALLBACK_EXIT(255);

	if (!(flags & UMEM_NOFAIL)) {
		errno = ENOMEM;
		return 0;
	}
	if (func)
		answer = func();
	if (answer == UMEM_CALLBACK_RETRY)
		return 1;
	if ((answer & ~0xff) != UMEM_CALLBACK_EXIT(0)) {
		kmem_warn("nofail callback returned %x", (unsigned)answer);
		answer = UMEM_CALLBACK_EXIT(255);
	}
	if (__atomic_compare_exchange_n(&exiting, &nobody, kmem_self(), 0,
					__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		exit(answer & 0xff);
	if (nobody == kmem_self())
		kmem_panic("recursive UMEM_CALLBACK_EXIT()");
	for (;;) /* the other one ends the process */
		kmem_nap((hrtime_t)1000000000);
}

void umem_nofail_callback(umem_nofail_callback_t *func)
{
	__atomic_store_n(&callback, func, __ATOMIC_RELEASE);
}

void *umem_alloc(size_t size, int flags)
{
	void *buf;

	if (size == 0)
		return NULL;
	do
		buf = kmem_alloc(size, KM_NOSLEEP);
	while (!buf && has_to_retry(flags));
	return buf;
}

void *umem_zalloc(size_t size, int flags)
{
	void *buf;

	if (size == 0)
		return NULL;
	do
		buf = kmem_alloc(size, KM_NOSLEEP);
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
		buf = kmem_malloc_flags(size, align, KM_NOSLEEP,
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
		buf = kmem_cache_alloc_kind(cp, KM_NOSLEEP, KMEM_KIND_CACHE);
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

vmem_t *vmem_heap_arena(vmem_alloc_t **ret_alloc, vmem_free_t **ret_free)
{
	kmem_ready_check();
	if (ret_alloc)
		*ret_alloc = vmem_alloc;
	if (ret_free)
		*ret_free = vmem_free;
	return vmem_heap;
}
