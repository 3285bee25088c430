/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the back ends and heap.c share. */
#ifndef HEAP_HEAP_IMPL_H
#define HEAP_HEAP_IMPL_H

#include "heap/heap.h"

extern const struct heap_ops heap_kmem_ops;
extern const struct heap_ops heap_glibc_ops;

/** What is said of a process whose malloc is an allocator we only know by name,
 * or, in a static program, not at all; NULL: neither.  Owned. */
char *heap_other(const struct target *t, struct types *types);

/** What stands in the way of every back end: memory that is not in the dump;
 * NULL: nothing that is seen.  Owned. */
char *heap_shape(const struct target *t);

#define HEAP_PARTS_MAX 4

/** Several heaps as one; the parts, two or more, are consumed.  Owned, see
 * heap_close(). */
struct heap *heap_many(struct heap *const parts[], size_t n);

#endif
