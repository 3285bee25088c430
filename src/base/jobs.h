/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Work on all processors, for loops that are long enough.
 *
 * What such a loop may touch: memory of its own, memory nobody writes to, and
 * mapped bytes of the target (target_peek()).  Nothing else of pmdb is for
 * several threads: not the progress line, not reads that may go through a file
 * (target_read()), nothing of elfutils, not the output.  What a loop finds that
 * needs them it puts aside for the thread that called.
 */
#ifndef BASE_JOBS_H
#define BASE_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

/** How many threads shall work on so many items, at most one each: as many as
 * PMDB_JOBS says, else as there are processors this process may run on, but one
 * for so few items that a thread is not worth it. */
unsigned jobs_for(size_t nitems);

typedef void jobs_fn(void *arg, unsigned worker);
/** Calls fn once for each worker below n, each in a thread of its own (worker 0
 * in this one), and waits for all.  No signal but those of faults is handled
 * in the others. */
void jobs_run(unsigned n, jobs_fn *fn, void *arg);

typedef void jobs_item_fn(void *arg, size_t item);
/**
 * Calls fn for every item below n, in no order, on all processors.
 *
 * @what:  for the progress line; static text
 * @cost:  how many things an item stands for: see jobs_for()
 * Errors: ERR_STOP when the user interrupted; some items are not done then.
 */
struct err *jobs_each(const char *what, size_t n, size_t cost, jobs_item_fn *fn,
		      void *arg) must_use;

/** Has the user interrupted?  For any thread. */
bool jobs_is_stopped(void);

#endif
