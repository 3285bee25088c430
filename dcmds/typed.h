/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The type of a buffer, for dcmds that say something else of it. */
#ifndef DCMDS_TYPED_H
#define DCMDS_TYPED_H

#include "pmdb_mod.h"

/**
 * What a buffer is, in words: "struct foo", "probably struct foo [3]".  Asks
 * the type graph if there is one; else its virtual table, which needs none.
 *
 * @base:  the start of the buffer
 * Returns NULL when nothing is known; else owned.
 */
char *known_type(struct session *s, taddr_t base);
/** The same of all members of a leak: NULL when they are not all of one type,
 * or nothing is known of any. */
char *known_type_of_leak(struct session *s, const struct leaks *leaks,
			 const struct leak *leak);
/** The type graph, for a dcmd that tells of the whole; while an earlier moment
 * is shown a warning says whose contents the types are from. */
struct err *typed_graph(struct dcmd_call *call, struct typegraph **ret);

#endif
