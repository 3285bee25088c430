/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the dcmds on threads share. */
#ifndef DCMDS_THREAD_H
#define DCMDS_THREAD_H

#include "pmdb_mod.h"

/** The thread whose id stands before the dcmd, or the current one; an error
 * when it has no registers. */
struct err *find_thread(struct dcmd_call *call,
			const struct target_thread **ret) must_use;
/** The thread of an id, or NULL. */
const struct target_thread *thread_by_id(struct target *t, uint64_t tid);

#endif
