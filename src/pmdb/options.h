/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the command lines of pmdb's verbs (check, diff, export, report, snap)
 * have in common. */
#ifndef PMDB_OPTIONS_H
#define PMDB_OPTIONS_H

#include <stddef.h>

#include "base/err.h"

/** Says "pmdb: VERB: WHAT ARG (see pmdb VERB --help)" on stderr; arg may be
 * NULL. Returns PMDB_USAGE. */
int opt_usage(const char *verb, const char *what, const char *arg);

/** Writes the help of a verb. Returns PMDB_CLEAN, or PMDB_NO_VERDICT when it
 * cannot be written. */
int opt_help(const char *help);

/** Says an error in one line and frees it. Returns the status. */
int opt_complain(struct err *err, int status);

/** For the answers ':' and '?' of getopt_long(): says what is wrong and returns
 * PMDB_USAGE. 0: c is an option. */
int opt_wrong(const char *verb, int c, char **argv);

/** Takes FORMAT=FILE apart: *ret_path is FILE, NULL when there is none or it is
 * "-"; *ret_len is the length of FORMAT. Returns 0, or PMDB_USAGE with a line
 * said. */
int opt_output(const char *verb, const char *arg, size_t *ret_len,
	       const char **ret_path);

#endif
