/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who points at something, in words. */
#ifndef DCMDS_REFS_H
#define DCMDS_REFS_H

#include "pmdb_mod.h"

/** Where a pointer was found: "register rax of thread 2f", "prog`head+8",
 * "kmem_alloc_32, leaked".  Owned. */
char *ref_where(struct session *s, struct heap *heap, const struct leaks *leaks,
		const struct ref *r);

#endif
