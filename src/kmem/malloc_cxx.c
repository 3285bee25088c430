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
 * A program may replace some of the operators.  The forms it leaves alone are
 * defined to call those it has: new[] calls new, a sized delete the plain one.
 * The library's own forms do, ours do not; so as soon as one of the forms that
 * others are built on is not ours, all others are handed to the C++ library.
 * The dynamic linker tells: it resolves the table below as it would for any
 * object, so what is in it is what the process calls by those names.
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
	/* needs no memory, as dlopen() does */
	void *fn = dlsym(RTLD_NEXT, name);
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

/* ---- whose operators ---- */

/*
 * Every form takes up to three words in registers.  One that has fewer
 * parameters passes on whatever is in the others, unread.
 */
typedef void *new_fn(size_t size, size_t a, size_t b);
typedef void delete_fn(void *p, size_t a, size_t b);

/* the forms other forms are built on, as bound by the dynamic linker and as
 * defined here */
#define BASES(X)                                         \
	X(new_fn, new, "_Znwm")                          \
	X(new_fn, new_array, "_Znam")                    \
	X(new_fn, new_al, "_ZnwmSt11align_val_t")        \
	X(new_fn, new_array_al, "_ZnamSt11align_val_t")  \
	X(delete_fn, delete, "_ZdlPv")                   \
	X(delete_fn, delete_array, "_ZdaPv")             \
	X(delete_fn, delete_al, "_ZdlPvSt11align_val_t") \
	X(delete_fn, delete_array_al, "_ZdaPvSt11align_val_t")

#define DECLARE_BASE(type, id, sym)          \
	extern type bound_##id __asm__(sym); \
	extern type own_##id __attribute__((alias(sym), visibility("hidden")));
BASES(DECLARE_BASE)

#define BASE_ROW(type, id, sym) {(void *)bound_##id, (void *)own_##id},
static const struct {
	void *bound;
	void *own;
} bases[] = {BASES(BASE_ROW)};

/* not looked yet, ours, some the program's; every writer writes the same */
static enum {
	UNKNOWN,
	OURS,
	PROGRAMS
} whose;

static int look(void)
{
	int answer = OURS;

	for (size_t i = 0; i < sizeof(bases) / sizeof(*bases); i++) {
		void *bound = bases[i].bound;

		/* the compiler must not think it knows */
		__asm__("" : "+r"(bound));
		if (bound != bases[i].own)
			answer = PROGRAMS;
	}
	if (answer == PROGRAMS)
		kmem_kinds_loosen();
	whose = answer;
	return answer == OURS;
}

static inline int is_ours(void)
{
	return KM_LIKELY(whose == OURS) || (whose == UNKNOWN && look());
}

/* ---- the operators ---- */

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

/** An allocation by the C++ library's operator: it gets memory by malloc(). */
static __attribute__((noinline)) void *get_by_runtime(const char *sym,
						      size_t size, size_t a,
						      size_t b, int kind,
						      int throws)
{
	new_fn *next = (new_fn *)runtime_operator(sym);
	void *p = NULL;

	if (next)
		p = next(size, a, b);
	else if (!is_ours()) /* no library: there is nobody else to ask */
		p = get(size, 0, kind);
	if (!p && throws)
		no_runtime(size);
	if (p && is_ours())
		kmem_kind_set(p, kind); /* not to seem malloc()'s */
	return p;
}

#define NAME(id, sym) EXPORT id __asm__(sym)

#define NEW(id, sym, align, kind, throws)                             \
	NAME(void *id(size_t size, size_t a, size_t b), sym);         \
	void *id(size_t size, size_t a, size_t b)                     \
	{                                                             \
		void *p = NULL;                                       \
                                                                      \
		if (is_ours())                                        \
			p = get(size, align, kind);                   \
		if (KM_LIKELY(p != NULL))                             \
			return p;                                     \
		return get_by_runtime(sym, size, a, b, kind, throws); \
	}

NEW(op_new, "_Znwm", 0, KMEM_KIND_NEW, 1)
NEW(op_new_array, "_Znam", 0, KMEM_KIND_NEW_ARRAY, 1)
NEW(op_new_nt, "_ZnwmRKSt9nothrow_t", 0, KMEM_KIND_NEW, 0)
NEW(op_new_array_nt, "_ZnamRKSt9nothrow_t", 0, KMEM_KIND_NEW_ARRAY, 0)
NEW(op_new_al, "_ZnwmSt11align_val_t", a, KMEM_KIND_NEW_ALIGNED, 1)
NEW(op_new_array_al, "_ZnamSt11align_val_t", a, KMEM_KIND_NEW_ALIGNED_ARRAY, 1)
NEW(op_new_al_nt, "_ZnwmSt11align_val_tRKSt9nothrow_t", a,
    KMEM_KIND_NEW_ALIGNED, 0)
NEW(op_new_array_al_nt, "_ZnamSt11align_val_tRKSt9nothrow_t", a,
    KMEM_KIND_NEW_ALIGNED_ARRAY, 0)

static inline __attribute__((always_inline)) void put(void *p, size_t size,
						      int kind)
{
	if (KM_LIKELY(kmem_thread_push(p)))
		return;
	if (!(kmem_flags & KMF_CHECKED) || kmem_options.no_mismatch)
		size = SIZE_MAX; /* known by address */
	kmem_free_sized_impl(p, size, kind);
}

static __attribute__((noinline)) void
put_by_runtime(const char *sym, void *p, size_t a, size_t b, int kind)
{
	delete_fn *next = (delete_fn *)runtime_operator(sym);

	if (next)
		next(p, a, b);
	else
		put(p, SIZE_MAX, kind);
}

#define DELETE(id, sym, size, kind)                         \
	NAME(void id(void *p, size_t a, size_t b), sym);    \
	void id(void *p, size_t a, size_t b)                \
	{                                                   \
		if (is_ours())                              \
			put(p, size, kind);                 \
		else                                        \
			put_by_runtime(sym, p, a, b, kind); \
		KEEP_FRAME();                               \
	}

DELETE(op_delete, "_ZdlPv", SIZE_MAX, KMEM_KIND_NEW)
DELETE(op_delete_sz, "_ZdlPvm", a, KMEM_KIND_NEW)
DELETE(op_delete_nt, "_ZdlPvRKSt9nothrow_t", SIZE_MAX, KMEM_KIND_NEW)
DELETE(op_delete_al, "_ZdlPvSt11align_val_t", SIZE_MAX, KMEM_KIND_NEW_ALIGNED)
DELETE(op_delete_sz_al, "_ZdlPvmSt11align_val_t", a, KMEM_KIND_NEW_ALIGNED)
DELETE(op_delete_al_nt, "_ZdlPvSt11align_val_tRKSt9nothrow_t", SIZE_MAX,
       KMEM_KIND_NEW_ALIGNED)
DELETE(op_delete_array, "_ZdaPv", SIZE_MAX, KMEM_KIND_NEW_ARRAY)
DELETE(op_delete_array_sz, "_ZdaPvm", a, KMEM_KIND_NEW_ARRAY)
DELETE(op_delete_array_nt, "_ZdaPvRKSt9nothrow_t", SIZE_MAX,
       KMEM_KIND_NEW_ARRAY)
DELETE(op_delete_array_al, "_ZdaPvSt11align_val_t", SIZE_MAX,
       KMEM_KIND_NEW_ALIGNED_ARRAY)
DELETE(op_delete_array_sz_al, "_ZdaPvmSt11align_val_t", a,
       KMEM_KIND_NEW_ALIGNED_ARRAY)
DELETE(op_delete_array_al_nt, "_ZdaPvSt11align_val_tRKSt9nothrow_t", SIZE_MAX,
       KMEM_KIND_NEW_ALIGNED_ARRAY)
