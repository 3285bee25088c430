/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pmdb/options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "pmdb/pmdb.h"

int opt_usage(const char *verb, const char *what, const char *arg)
{
	fprintf(stderr, "pmdb: %s: %s%s (see pmdb %s --help)\n", verb, what,
		arg ? arg : "", verb);
	return PMDB_USAGE;
}

int opt_help(const char *help)
{
	fputs(help, stdout);
	return fflush(stdout) ? PMDB_NO_VERDICT : PMDB_CLEAN;
}

int opt_complain(struct err *err, int status)
{
	fprintf(stderr, "pmdb: %s\n", err->msg);
	err_free(err);
	return status;
}

int opt_wrong(const char *verb, int c, char **argv)
{
	if (c == ':')
		return opt_usage(verb, "an argument is missing after ",
				 argv[optind - 1]);
	if (c == '?')
		return opt_usage(verb, "there is no option ", argv[optind - 1]);
	return 0;
}

int opt_output(const char *verb, const char *arg, size_t *ret_len,
	       const char **ret_path)
{
	*ret_len = strcspn(arg, "=");
	*ret_path = NULL;
	if (!arg[*ret_len])
		return 0;
	if (!arg[*ret_len + 1])
		return opt_usage(verb, "no file is named in --format ", arg);
	if (strcmp(arg + *ret_len + 1, "-") != 0)
		*ret_path = arg + *ret_len + 1;
	return 0;
}
