/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers that an allocator may not count, or not of an earlier moment. */
#ifndef DCMDS_KNOWN_H
#define DCMDS_KNOWN_H

#include "pmdb_mod.h"

/* a cell with a number, or "-" */
static inline void out_known(struct out *o, uint64_t n)
{
	if (n == HEAP_NOT_KNOWN)
		out_none(o);
	else
		out_u64(o, n);
}

#endif
