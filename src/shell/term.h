/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is on the other end of a descriptor: a terminal, its size, colours. */
#ifndef SHELL_TERM_H
#define SHELL_TERM_H

#include <stdbool.h>
#include <stddef.h>

enum term_colour {
	COLOUR_AUTO, /* on a terminal, without NO_COLOR */
	COLOUR_ALWAYS,
	COLOUR_NEVER
};

/* styles, one for each meaning; nothing else in the shell has escapes in it */
#define STYLE_HEADING "\033[1m"
#define STYLE_NAME    "\033[36m"
#define STYLE_ERROR   "\033[1;31m"
#define STYLE_END     "\033[0m"

/** Says what the user wants; COLOUR_AUTO until then. */
void term_set_colour(enum term_colour want);
/** True when colours are wanted on a descriptor. */
bool term_has_colour(int fd);
/** True for a terminal that can move its cursor. */
bool term_is_capable(int fd);
/** Rows and columns, 24 and 80 when that is not known; NULL allowed. */
void term_size(int fd, size_t *ret_rows, size_t *ret_columns);
/**
 * Where the cursor is after text was printed.
 *
 * @column:  in: before, out: after
 * Returns how many times it moved down, for lines that wrap too.
 */
size_t term_advance(const char *text, size_t n, size_t columns, size_t *column);

#endif
