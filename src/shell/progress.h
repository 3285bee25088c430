/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A line on stderr that says that, and how far, a command works. */
#ifndef SHELL_PROGRESS_H
#define SHELL_PROGRESS_H

#include <stddef.h>

/** A command begins: should it take long, a line will say so.  Only when stderr
 * is a terminal that can erase it again. */
void progress_start(void);
/** Erases the line; it comes again if there is nothing else to see. */
void progress_erase(void);
/** Something was printed, and the cursor is in this column. */
void progress_printed(size_t column);
/** Ends it: a command has ended, or somebody else uses the terminal. */
void progress_stop(void);

#endif
