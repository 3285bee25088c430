/* SPDX-License-Identifier: MIT */
/*
 * malloc and its relations, as glibc 2.36 defines them, over the allocator.
 *
 * There is no header before a buffer: kmem_malloc_impl() finds a cache by size,
 * kmem_free_impl() finds the cache by address.  So every function here is a
 * check of its arguments, one call, and errno.
 *
 *   M1  A pointer is the start of a kmem buffer: what a debugger calls the
 *       buffer is what the program was given.
 *   M2  errno changes on failure only; free() never changes it.
 *   M3  realloc() gives the old buffer up only after its bytes are elsewhere.
 *   M4  No function here calls another exported one: what a program interposes
 *       or a compiler recognises (malloc and memset make calloc) stays out of
 *       the way.  The file is compiled with -fno-builtin for the same reason.
 *
 * realloc() under debugging always moves, so that a stale pointer to the old
 * buffer shows and the audit record names the call that resized it.  Without,
 * a buffer stays while the request fits it and fills at least half of it.
 *
 * The frame of the function called stays on the stack (no tail calls), so
 * that audit stacks begin with it.
 */
#define _GNU_SOURCE
#include "kmem_thread.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define EXPORT __attribute__((visibility("default")))
/* after the last call of a function: keeps the compiler from jumping there */
#define KEEP_FRAME() __asm__ volatile("" ::: "memory")

/* above this, calloc() asks the kernel for zeros instead of writing them */
#define ZERO_BY_KERNEL ((size_t)256 * 1024)
/* below this, realloc() to something smaller never moves */
#define SHRINK_IN_PLACE ((size_t)64)

/* says to kmem_alloc.c that this file is linked in */
extern const char kmem_serves_malloc KM_HIDDEN;
const char kmem_serves_malloc = 1;

/* what glibc exports beside what its headers declare */
EXPORT void cfree(void *p);
EXPORT void *__libc_malloc(size_t size);
EXPORT void *__libc_calloc(size_t n, size_t size);
EXPORT void *__libc_realloc(void *p, size_t size);
EXPORT void __libc_free(void *p);
EXPORT void *__libc_memalign(size_t align, size_t size);
EXPORT void *__libc_valloc(size_t size);
EXPORT void *__libc_pvalloc(size_t size);
EXPORT int __posix_memalign(void **ret, size_t align, size_t size);

static inline __attribute__((always_inline)) void *get(size_t size,
						       size_t align, int kind)
{
	void *p = NULL;

	if (KM_LIKELY(size <= PTRDIFF_MAX))
		p = kmem_malloc_impl(size, align, kind);
	if (KM_UNLIKELY(!p)) {
		kmem_error_null();
		errno = ENOMEM;
	}
	return p;
}

/** malloc(): a bin of the thread's if it has one, and all else out of line. */
static inline __attribute__((always_inline)) void *get_fast(size_t size)
{
	if (KM_LIKELY(size <= KMEM_BIN_BYTES)) {
		void *p = kmem_thread_pop(kmem_malloc_class[(size + 7) / 8]);

		if (KM_LIKELY(p != NULL))
			return p;
	}
	return get(size, 0, KMEM_KIND_MALLOC);
}

static inline __attribute__((always_inline)) void put(void *p)
{
	if (KM_UNLIKELY(!kmem_thread_push(p)))
		kmem_free_impl(p, KMEM_KIND_MALLOC);
}

/** Zeros memory; whole pages of a large range are dropped, not written. */
static void zero(char *p, size_t size)
{
	uintptr_t start = ((uintptr_t)p + KMEM_PAGE - 1) & -KMEM_PAGE;
	uintptr_t end = ((uintptr_t)p + size) & -KMEM_PAGE;
	int saved = errno;

	if (size < ZERO_BY_KERNEL ||
	    madvise((void *)start, end - start, MADV_DONTNEED) != 0) {
		errno = saved;
		memset(p, 0, size);
		return;
	}
	memset(p, 0, start - (uintptr_t)p);
	memset((void *)end, 0, (uintptr_t)p + size - end);
}

static inline __attribute__((always_inline)) void *get_zeroed(size_t n,
							      size_t size)
{
	size_t total = 0;
	void *p;

	if (__builtin_mul_overflow(n, size, &total)) {
		errno = ENOMEM;
		return NULL;
	}
	p = get_fast(total);
	if (p)
		zero(p, total);
	return p;
}

/** Is the buffer watched, so that realloc() has to move it? */
static int is_debugged(const void *p)
{
	const kmem_cache_t *cp = kmem_addr_cache(p, NULL, NULL);
	int flags = cp ? cp->cache_flags : kmem_flags;

	return (flags & (KMF_DEBUG & ~KMF_NOMAGAZINE)) != 0;
}

/** May a buffer of so many usable bytes serve a request for size? */
static int can_stay(const void *p, size_t usable, size_t size)
{
	if (size > usable)
		return 0;
	if (size == usable)
		return 1;
	return (size >= usable / 2 || usable <= SHRINK_IN_PLACE) &&
	       !is_debugged(p);
}

/** How much of an old buffer to keep; a damaged size mark reads as 0, and then
 * all there is counts (M3). */
static size_t extent(const void *p, size_t usable)
{
	const kmem_cache_t *cp = usable ? NULL : kmem_addr_cache(p, NULL, NULL);

	return cp ? cp->cache_bufsize : usable;
}

static inline __attribute__((always_inline)) void *resize(void *p, size_t size)
{
	size_t usable, keep;
	void *q;

	if (!p)
		return get_fast(size);
	if (KM_UNLIKELY(kmem_flags & KMF_CHECKED) &&
	    kmem_live_check(p, KMEM_KIND_REALLOC) != 0) {
		errno = EINVAL;
		return NULL;
	}
	if (size == 0) {
		kmem_free_impl(p, KMEM_KIND_REALLOC);
		return NULL;
	}
	usable = kmem_usable(p);
	if (usable && can_stay(p, usable, size))
		return p;
	q = get_fast(size);
	if (!q)
		return NULL;
	keep = extent(p, usable);
	memcpy(q, p, keep < size ? keep : size);
	if (KM_UNLIKELY(!kmem_thread_push(p))) /* (M3) */
		kmem_free_impl(p, KMEM_KIND_REALLOC);
	return q;
}

static int is_power_of_two(size_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/** memalign() of glibc: an alignment that is no power of two is rounded up. */
static inline __attribute__((always_inline)) void *get_aligned(size_t align,
							       size_t size)
{
	size_t pow2 = 16;

	if (align > SIZE_MAX / 2 + 1) {
		errno = EINVAL;
		return NULL;
	}
	while (pow2 < align)
		pow2 <<= 1;
	return get(size, pow2, KMEM_KIND_MEMALIGN);
}

static inline __attribute__((always_inline)) int
get_aligned_posix(void **ret, size_t align, size_t size)
{
	void *p = NULL;

	if (align % sizeof(void *) != 0 || !is_power_of_two(align))
		return EINVAL;
	if (size <= PTRDIFF_MAX)
		p = kmem_malloc_impl(size, align, KMEM_KIND_MEMALIGN);
	if (!p) {
		kmem_error_null();
		return ENOMEM;
	}
	*ret = p;
	return 0;
}

static inline __attribute__((always_inline)) void *get_pages(size_t size)
{
	if (size > PTRDIFF_MAX - KMEM_PAGE) {
		errno = ENOMEM;
		return NULL;
	}
	size = (size + KMEM_PAGE - 1) & -KMEM_PAGE;
	return get(size, KMEM_PAGE, KMEM_KIND_MEMALIGN);
}

EXPORT void *malloc(size_t size)
{
	return get_fast(size);
}

EXPORT void *calloc(size_t n, size_t size)
{
	return get_zeroed(n, size);
}

EXPORT void *realloc(void *p, size_t size)
{
	return resize(p, size);
}

EXPORT void *reallocarray(void *p, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total)) {
		errno = ENOMEM;
		return NULL;
	}
	return resize(p, total);
}

EXPORT void free(void *p)
{
	put(p);
	KEEP_FRAME();
}

EXPORT void cfree(void *p)
{
	put(p);
	KEEP_FRAME();
}

EXPORT void *memalign(size_t align, size_t size)
{
	return get_aligned(align, size);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	return get_aligned(align, size);
}

EXPORT int posix_memalign(void **ret, size_t align, size_t size)
{
	return get_aligned_posix(ret, align, size);
}

EXPORT void *valloc(size_t size)
{
	return get(size, KMEM_PAGE, KMEM_KIND_MEMALIGN);
}

EXPORT void *pvalloc(size_t size)
{
	return get_pages(size);
}

EXPORT size_t malloc_usable_size(void *p)
{
	if (KM_UNLIKELY(kmem_flags & KMF_CHECKED) && p &&
	    kmem_live_check(p, KMEM_KIND_USABLE_SIZE) != 0)
		return 0;
	return kmem_usable(p);
}

/* glibc's other names, for programs that call them on purpose */

EXPORT void *__libc_malloc(size_t size)
{
	return get_fast(size);
}

EXPORT void *__libc_calloc(size_t n, size_t size)
{
	return get_zeroed(n, size);
}

EXPORT void *__libc_realloc(void *p, size_t size)
{
	return resize(p, size);
}

EXPORT void __libc_free(void *p)
{
	put(p);
	KEEP_FRAME();
}

EXPORT void *__libc_memalign(size_t align, size_t size)
{
	return get_aligned(align, size);
}

EXPORT void *__libc_valloc(size_t size)
{
	return get(size, KMEM_PAGE, KMEM_KIND_MEMALIGN);
}

EXPORT void *__libc_pvalloc(size_t size)
{
	return get_pages(size);
}

EXPORT int __posix_memalign(void **ret, size_t align, size_t size)
{
	return get_aligned_posix(ret, align, size);
}

/* ---- tuning; statistics are in malloc_info.c ---------------------------- */

/** Bytes of an arena in segments of some types; 0 before there is one. */
static size_t arena_bytes(vmem_t *vmp, int types)
{
	return vmp ? vmem_size(vmp, types) : 0;
}

EXPORT int malloc_trim(size_t pad)
{
	size_t before = arena_bytes(kmem_default_arena, VMEM_ALLOC);

	(void)pad; /* nothing is kept on top: there is no top */
	kmem_reap();
	return arena_bytes(kmem_default_arena, VMEM_ALLOC) < before;
}

/* what glibc's tunables tune is not here; every one is taken, none does a
 * thing */
EXPORT int mallopt(int param, int value)
{
	(void)param;
	(void)value;
	return 1;
}
