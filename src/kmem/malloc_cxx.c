/* SPDX-License-Identifier: MIT */
/*
 * operator new and operator delete in every form of C++17, under their mangled
 * names, without the C++ library.
 *
 * All that C++ has over malloc is what happens when there is no memory: the
 * new-handler is asked, then bad_alloc is thrown, or swallowed by a nothrow
 * form.  That belongs to the C++ library of the process.  Its own operators do
 * it right and are built on malloc(), which is ours; so an allocation that
 * fails is simply handed to them.  They are looked up only then: they may have
 * come by dlopen().
 *
 * Exceptions pass through these C functions by their unwind tables, which this
 * architecture always has.
 */
#define _GNU_SOURCE
#include "kmem_thread.h"

#include <dlfcn.h>
#include <errno.h>

#define EXPORT       __attribute__((visibility("default")))
#define KEEP_FRAME() __asm__ volatile("" ::: "memory")

/** The C++ library's own operator, or NULL when none is loaded. */
static void *runtime_operator(const char *name)
{
	static const char *const libs[] = {"libstdc++.so.6", "libc++.so.1"};
	int saved = errno;
	void *fn = NULL;
	size_t i;

	for (i = 0; i < 2 && !fn; i++) {
		void *lib = dlopen(libs[i], RTLD_LAZY | RTLD_NOLOAD);

		if (!lib)
			continue;
		fn = dlsym(lib, name);
		(void)dlclose(lib); /* it was loaded before and stays so */
	}
	errno = saved;
	return fn;
}

static void __attribute__((noreturn)) no_runtime(size_t size)
{
	kmem_panic("operator new: no memory for %lu bytes, "
		   "and no C++ library to throw bad_alloc\n",
		   (unsigned long)size);
}

static inline __attribute__((always_inline)) void *get(size_t size,
						       size_t align, int kind)
{
	void *p;

	if (KM_LIKELY(size <= KMEM_BIN_BYTES) && align <= 16) {
		p = kmem_thread_pop(kmem_malloc_class[(size + 7) / 8]);
		if (KM_LIKELY(p != NULL))
			return p;
	}
	if (size > PTRDIFF_MAX)
		return NULL;
	return kmem_malloc_impl(size, align, kind);
}

/*
 * One macro a form, since each needs its symbol as the name of a function and
 * as text.  type: what the operator returns.
 */
#define NAME(id, sym) EXPORT id __asm__(sym)

#define NEW(id, sym, kind)                                       \
	NAME(void *id(size_t size), sym);                        \
	void *id(size_t size)                                    \
	{                                                        \
		void *(*next)(size_t);                           \
		void *p = get(size, 0, kind);                    \
                                                                 \
		if (KM_LIKELY(p != NULL))                        \
			return p;                                \
		next = (void *(*)(size_t))runtime_operator(sym); \
		if (!next)                                       \
			no_runtime(size);                        \
		return next(size);                               \
	}

#define NEW_NOTHROW(id, sym, kind)                                             \
	NAME(void *id(size_t size, const void *tag), sym);                     \
	void *id(size_t size, const void *tag)                                 \
	{                                                                      \
		void *(*next)(size_t, const void *);                           \
		void *p = get(size, 0, kind);                                  \
                                                                               \
		if (KM_LIKELY(p != NULL))                                      \
			return p;                                              \
		next = (void *(*)(size_t, const void *))runtime_operator(sym); \
		return next ? next(size, tag) : NULL;                          \
	}

#define NEW_ALIGNED(id, sym, kind)                                       \
	NAME(void *id(size_t size, size_t align), sym);                  \
	void *id(size_t size, size_t align)                              \
	{                                                                \
		void *(*next)(size_t, size_t);                           \
		void *p = get(size, align, kind);                        \
                                                                         \
		if (KM_LIKELY(p != NULL))                                \
			return p;                                        \
		next = (void *(*)(size_t, size_t))runtime_operator(sym); \
		if (!next)                                               \
			no_runtime(size);                                \
		return next(size, align);                                \
	}

#define NEW_ALIGNED_NOTHROW(id, sym, kind)                               \
	NAME(void *id(size_t size, size_t align, const void *tag), sym); \
	void *id(size_t size, size_t align, const void *tag)             \
	{                                                                \
		void *(*next)(size_t, size_t, const void *);             \
		void *p = get(size, align, kind);                        \
                                                                         \
		if (KM_LIKELY(p != NULL))                                \
			return p;                                        \
		next = (void *(*)(size_t, size_t,                        \
				  const void *))runtime_operator(sym);   \
		return next ? next(size, align, tag) : NULL;             \
	}

NEW(op_new, "_Znwm", KMEM_KIND_NEW)
NEW(op_new_array, "_Znam", KMEM_KIND_NEW_ARRAY)
NEW_NOTHROW(op_new_nt, "_ZnwmRKSt9nothrow_t", KMEM_KIND_NEW)
NEW_NOTHROW(op_new_array_nt, "_ZnamRKSt9nothrow_t", KMEM_KIND_NEW_ARRAY)
NEW_ALIGNED(op_new_al, "_ZnwmSt11align_val_t", KMEM_KIND_NEW)
NEW_ALIGNED(op_new_array_al, "_ZnamSt11align_val_t", KMEM_KIND_NEW_ARRAY)
NEW_ALIGNED_NOTHROW(op_new_al_nt, "_ZnwmSt11align_val_tRKSt9nothrow_t",
		    KMEM_KIND_NEW)
NEW_ALIGNED_NOTHROW(op_new_array_al_nt, "_ZnamSt11align_val_tRKSt9nothrow_t",
		    KMEM_KIND_NEW_ARRAY)

/* the size and alignment a sized delete brings are not needed: both are known
 * by address */
#define DELETE(id, sym, kind)                    \
	NAME(void id(void *p), sym);             \
	void id(void *p)                         \
	{                                        \
		if (!kmem_thread_push(p))        \
			kmem_free_impl(p, kind); \
		KEEP_FRAME();                    \
	}

DELETE(op_delete, "_ZdlPv", KMEM_KIND_NEW)
DELETE(op_delete_sz, "_ZdlPvm", KMEM_KIND_NEW)
DELETE(op_delete_nt, "_ZdlPvRKSt9nothrow_t", KMEM_KIND_NEW)
DELETE(op_delete_al, "_ZdlPvSt11align_val_t", KMEM_KIND_NEW)
DELETE(op_delete_sz_al, "_ZdlPvmSt11align_val_t", KMEM_KIND_NEW)
DELETE(op_delete_al_nt, "_ZdlPvSt11align_val_tRKSt9nothrow_t", KMEM_KIND_NEW)
DELETE(op_delete_array, "_ZdaPv", KMEM_KIND_NEW_ARRAY)
DELETE(op_delete_array_sz, "_ZdaPvm", KMEM_KIND_NEW_ARRAY)
DELETE(op_delete_array_nt, "_ZdaPvRKSt9nothrow_t", KMEM_KIND_NEW_ARRAY)
DELETE(op_delete_array_al, "_ZdaPvSt11align_val_t", KMEM_KIND_NEW_ARRAY)
DELETE(op_delete_array_sz_al, "_ZdaPvmSt11align_val_t", KMEM_KIND_NEW_ARRAY)
DELETE(op_delete_array_al_nt, "_ZdaPvSt11align_val_tRKSt9nothrow_t",
       KMEM_KIND_NEW_ARRAY)
