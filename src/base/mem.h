/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memory of the debugger itself.  There is no out-of-memory path: a debugger
 * that cannot allocate says so in one line and ends with status 3, no verdict.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdarg.h>
#include <string.h>

/** Bytes of memory, as malloc and calloc give it; owned, see mem_free(). */
void *mem_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t bytes) __attribute__((malloc, returns_nonnull));
/** n elements of size bytes each, zeroed; an overflow is out of memory. */
void *mem_array(size_t n, size_t bytes)
	__attribute__((malloc, returns_nonnull));
/** The same for a table that is large and looked up at random: in huge pages
 * where the system has them.  Not for mem_realloc(). */
void *mem_table(size_t n, size_t bytes)
	__attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t n, size_t bytes)
	__attribute__((returns_nonnull));
char *mem_strdup(const char *s) __attribute__((malloc, returns_nonnull));
char *mem_strndup(const char *s, size_t n)
	__attribute__((malloc, returns_nonnull));
/** printf to a new string. */
char *mem_printf(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), malloc, returns_nonnull));
char *mem_vprintf(const char *fmt, va_list ap)
	__attribute__((format(printf, 1, 0), malloc, returns_nonnull));
void mem_free(void *p);

/** For local ownership: _free_ char *s = ... */
void mem_free_ptr(void *pp);
#define _free_ __attribute__((cleanup(mem_free_ptr)))

/*
 * A vector: struct { T *v; size_t n, cap; }.  VEC_PUSH evaluates its vector
 * several times.
 */
#define VEC(T)                 \
	struct {               \
		T *v;          \
		size_t n, cap; \
	}
#define VEC_PUSH(vec, item)                                           \
	do {                                                          \
		if ((vec)->n == (vec)->cap) {                         \
			(vec)->cap = (vec)->cap ? (vec)->cap * 2 : 8; \
			(vec)->v = mem_realloc((vec)->v, (vec)->cap,  \
					       sizeof(*(vec)->v));    \
		}                                                     \
		(vec)->v[(vec)->n++] = (item);                        \
	} while (0)
/* appends so many elements of zeros */
#define VEC_ADD_ZEROS(vec, count)                                    \
	do {                                                         \
		size_t vec_count_ = (count);                         \
		if ((vec)->cap - (vec)->n < vec_count_) {            \
			(vec)->cap = (vec)->cap * 2 + vec_count_;    \
			(vec)->v = mem_realloc((vec)->v, (vec)->cap, \
					       sizeof(*(vec)->v));   \
		}                                                    \
		memset((vec)->v + (vec)->n, 0,                       \
		       vec_count_ * sizeof(*(vec)->v));              \
		(vec)->n += vec_count_;                              \
	} while (0)
#define VEC_FREE(vec)                      \
	do {                               \
		mem_free((vec)->v);        \
		(vec)->v = NULL;           \
		(vec)->n = (vec)->cap = 0; \
	} while (0)

#endif
