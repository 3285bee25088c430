/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How far long work is, for whoever shows it: one place that is written often
 * and read by a timer. */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include <stdint.h>

struct progress {
	const char *volatile what; /* static text: "marking"; NULL: nothing */
	volatile uint64_t done;
	volatile uint64_t total; /* 0: not known */
};
extern struct progress progress_state;

/** Says what is done now and how far it is; cheap enough for each turn of a
 * loop.  what is static text. */
static inline void progress_set(const char *what, uint64_t done, uint64_t total)
{
	progress_state.what = what;
	progress_state.done = done;
	progress_state.total = total;
}

#endif
