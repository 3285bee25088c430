/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of the top floor share: one function a command, and the
 * verdict that both "pmdb check" and "pmdb run --check" give.
 */
#ifndef PMDB_PMDB_H
#define PMDB_PMDB_H

#include <stddef.h>
#include <stdio.h>

/* exit statuses of pmdb itself; "run" otherwise gives the child's */
enum pmdb_status {
	PMDB_CLEAN = 0,          /* no findings; a command succeeded */
	PMDB_FINDINGS = 1,       /* leaks or corruption; a command failed */
	PMDB_USAGE = 2,          /* the command line makes no sense */
	PMDB_NO_VERDICT = 3,     /* could not look, so does not say "clean" */
	PMDB_RUN_FAILED = 125,   /* run: pmdb failed before the child began */
	PMDB_RUN_NOEXEC = 126,   /* run: found, but not executable */
	PMDB_RUN_NOTFOUND = 127, /* run: no such program */
	PMDB_RUN_SIGNAL = 128,   /* run: plus the signal that ended the child */
};

struct check_options {
	int is_json; /* one JSON object instead of text */
};

/**
 * Gives the verdict on each dump.
 *
 * @paths:  borrowed; n names of files
 * @opt:    borrowed; NULL means text
 * @out:    borrowed; what the verdicts are printed on
 *
 * Returns PMDB_CLEAN, PMDB_FINDINGS or PMDB_NO_VERDICT, the worst of all
 * dumps: no verdict outranks findings.
 */
int check_dumps(char *const paths[], size_t n, const struct check_options *opt,
		FILE *out);

/**
 * "pmdb check [--format text|json] DUMP..."
 *
 * @argv:  borrowed; argv[0] is "check"
 *
 * Returns the exit status.
 */
int check_main(int argc, char **argv);

/**
 * "pmdb run [-o DUMP] [--check] -- CMD ARGS..."
 *
 * @argv:  borrowed; argv[0] is "run"
 *
 * Returns the exit status.
 */
int run_main(int argc, char **argv);

/**
 * Everything that is no command: "pmdb [-e CMDS] [EXE] DUMP".
 *
 * @argv:  borrowed; the whole command line
 *
 * Returns the exit status.
 */
int debug_main(int argc, char **argv);

/**
 * What "pmdb --help" says of the command line.
 *
 * @out:  borrowed
 */
void pmdb_usage(FILE *out);

#endif
