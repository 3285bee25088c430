/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Modules that the user has loaded. */
#ifndef SHELL_MODULE_H
#define SHELL_MODULE_H

#include "pmdb_mod.h"

struct loaded;
struct modules {
	struct loaded **v;
	size_t n, cap;
	const struct group **groups; /* those built in and these; NULL: not
				      * made since the last change */
};

/** Counts what runs of a module: by 1, later by -1; a group that is built in
 * is not counted. */
void module_enter(struct session *s, const struct group *g, int by);
/** Unloads all. */
void modules_free(struct session *s);

#endif
