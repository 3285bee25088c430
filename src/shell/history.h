/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines of earlier sessions, in a file that several sessions may share. */
#ifndef SHELL_HISTORY_H
#define SHELL_HISTORY_H

#include <stddef.h>

struct history {
	char *path;   /* NULL: nothing is kept; owned */
	size_t limit; /* lines */
};

/**
 * Opens the history and reads it into readline's.  A file that cannot be used
 * is said on stderr, once; there is no history then.
 *
 * Source: PMDB_HISTFILE (empty: none), else $XDG_STATE_HOME/pmdb/history, else
 * ~/.local/state/pmdb/history; HISTSIZE lines (0: none), 1000 when not set.
 */
void history_begin(struct history *h);
/** Remembers a line: now, in memory and in the file. */
void history_keep(struct history *h, const char *line);
void history_end(struct history *h);

#endif
