/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Completion, without the terminal. */
#ifndef SHELL_COMPLETE_H
#define SHELL_COMPLETE_H

#include "pmdb_mod.h"

struct completion {
	VEC(char *) words; /* what may stand there: sorted, owned */
	size_t start;      /* where in the line the word begins */
	bool is_file;      /* the name of a file is meant: words is empty */
	bool is_open;      /* more of the same word may follow: no blank */
};

/**
 * What may stand for the word that ends a line.
 *
 * @line:  up to the cursor
 * @ret:   owned, see completion_free()
 *
 * Cost: the first question about types reads debug information.
 */
void complete_line(struct session *s, const char *line, struct completion *ret);
/** Releases the words. */
void completion_free(struct completion *c);

#endif
