/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The output of a command that is longer than the screen. */
#ifndef SHELL_PAGER_H
#define SHELL_PAGER_H

#include <stdbool.h>
#include <stdio.h>

/** The stream that pages; NULL: there is no terminal, or it cannot be made.
 * Until pager_begin() it is standard output.  Ended by pager_close(). */
FILE *pager_open(void);
/** A command begins; is_on: what it prints may be paged. */
void pager_begin(bool is_on);
/** Shows what is held back, and waits for a pager that runs.  Before a message,
 * before somebody else uses the terminal, and when a command has ended. */
void pager_settle(void);
/** The same at the end of a command; true: the user has quit the pager. */
bool pager_end(void);
/** The stream to a running pager: messages go there, too; else NULL. */
FILE *pager_running(void);
/** Shows what is held back before a message. */
void pager_show(void);
/** Ends what pager_open() began. */
void pager_close(void);

#endif
