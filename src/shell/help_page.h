/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The pages of doc/dcmds, compiled in. */
#ifndef SHELL_HELP_PAGE_H
#define SHELL_HELP_PAGE_H

#include <stddef.h>

#include "shell/out.h"

struct help_page {
	const char *name; /* of the dcmd; NULL ends the table */
	const char *text; /* as the file has it */
};
/* made at build time: see help_pages.awk */
extern const struct help_page help_pages[];

/**
 * Prints what follows the usage on a page: sections, tables and examples.
 *
 * @width:  columns; what cannot be broken is longer
 */
void help_render(struct out *o, const struct help_page *page, size_t width);
/** A line that is broken at blanks, the lines after the first indented. */
void help_wrap(struct out *o, const char *text, size_t indent, size_t hanging,
	       size_t width);

#endif
