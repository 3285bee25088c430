/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory of a stopped process, kept until the process goes on. */
#ifndef TARGET_PROC_HOLD_H
#define TARGET_PROC_HOLD_H

#include "target/proc.h"

struct proc_hold;

/** Makes memory for what a process has, before it is stopped; little or none
 * where there is not enough.  Owned, see proc_hold_free(). */
struct proc_hold *proc_hold_create(pid_t pid);
/** Releases it; NULL allowed. */
void proc_hold_free(struct proc_hold *hold);
/** Wants a range kept, that belongs at a place in the file; false: there is no
 * room. */
bool proc_hold_add(struct proc_hold *hold, uint64_t addr, size_t bytes,
		   uint64_t at);
/** Copies all ranges from the process, which stands still. */
struct err *proc_hold_read(struct proc_hold *hold,
			   const struct proc *proc) must_use;
typedef struct err *proc_held_fn(void *arg, const unsigned char *p,
				 size_t bytes, size_t nread, uint64_t at);
/** Calls fn for each copy: nread of its bytes could be read, the rest is zero. */
struct err *proc_hold_each(struct proc_hold *hold, proc_held_fn *fn,
			   void *arg) must_use;

#endif
