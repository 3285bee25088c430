/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the back ends and heap.c share. */
#ifndef HEAP_HEAP_IMPL_H
#define HEAP_HEAP_IMPL_H

#include "heap/heap.h"

extern const struct heap_ops heap_kmem_ops;

#endif
