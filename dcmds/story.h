/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Damage told like a story. */
#ifndef DCMDS_STORY_H
#define DCMDS_STORY_H

#include "pmdb_mod.h"

/**
 * Tells of each finding what is known: the bytes that are wrong and what should
 * be there, whose the buffer is and was, who has the ones beside it, and what
 * points at it.  In JSON a row each.
 *
 * @n:  findings, of which those about structures are only their line
 */
struct err *story_tell(struct dcmd_call *call, struct heap *heap,
		       const struct heap_finding *findings, size_t n) must_use;

#endif
