/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of the top floor share: one function a command, and the
 * verdict that both "pmdb check" and "pmdb run --check" give.
 */
#ifndef PMDB_PMDB_H
#define PMDB_PMDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

/* exit statuses of pmdb itself; "run" otherwise gives the child's */
enum pmdb_status {
	PMDB_CLEAN = 0,          /* no findings; a command succeeded */
	PMDB_FINDINGS = 1,       /* leaks or corruption; a command failed */
	PMDB_USAGE = 2,          /* the command line makes no sense */
	PMDB_NO_VERDICT = 3,     /* could not look, so does not say "clean" */
	PMDB_RUN_TIMEOUT = 124,  /* run: the program was ended by --timeout */
	PMDB_RUN_FAILED = 125,   /* run: pmdb failed before the child began */
	PMDB_RUN_NOEXEC = 126,   /* run: found, but not executable */
	PMDB_RUN_NOTFOUND = 127, /* run: no such program */
	PMDB_RUN_SIGNAL = 128,   /* run: plus the signal that ended the child */
};

struct check; /* what "check", or "run --check", is asked for */

/* options of check by their codes for getopt_long() */
enum check_code {
	CHECK_FORMAT = 0x100,
	CHECK_FAIL_ON,
	CHECK_MIN_BYTES,
	CHECK_MAX_LEAKS,
	CHECK_EXIT_CODE,
	CHECK_SOURCE_ROOT,
	CHECK_SUPPRESSIONS,
	CHECK_GEN_SUPPRESSIONS,
	CHECK_FAIL_ON_UNUSED,
	CHECK_BASELINE,
	CHECK_WRITE_BASELINE,
};
/* clang-format off */
#define CHECK_OPTION_ROWS \
	{"format", required_argument, NULL, CHECK_FORMAT}, \
	{"fail-on", required_argument, NULL, CHECK_FAIL_ON}, \
	{"min-bytes", required_argument, NULL, CHECK_MIN_BYTES}, \
	{"max-leaks", required_argument, NULL, CHECK_MAX_LEAKS}, \
	{"exit-code", required_argument, NULL, CHECK_EXIT_CODE}, \
	{"source-root", required_argument, NULL, CHECK_SOURCE_ROOT}, \
	{"suppressions", required_argument, NULL, CHECK_SUPPRESSIONS}, \
	{"gen-suppressions", optional_argument, NULL, CHECK_GEN_SUPPRESSIONS}, \
	{"fail-on-unused-suppressions", no_argument, NULL, CHECK_FAIL_ON_UNUSED}, \
	{"baseline", required_argument, NULL, CHECK_BASELINE}, \
	{"write-baseline", required_argument, NULL, CHECK_WRITE_BASELINE}
/* clang-format on */

/**
 * Begins a check.
 *
 * @out:  borrowed; what is written to that has no file
 */
struct check *check_create(FILE *out);
/** Ends it; NULL allowed. */
void check_destroy(struct check *check);
/**
 * Takes an option.
 *
 * @code:  enum check_code
 * @arg:   borrowed as long as the check is
 *
 * Returns 0, or PMDB_USAGE with a line said, or -1: it is no option of check.
 */
int check_option(struct check *check, int code, const char *arg);
/** Ends the options; returns 0, or the exit status with a line said. */
int check_prepare(struct check *check);
/** Prints the options, a line each. */
void check_help(FILE *out);

/**
 * Gives the verdict on each dump.
 *
 * @paths:  borrowed; n names of files
 * @ret:    set to the status of each; NULL allowed
 *
 * Returns the exit status, of the worst of all dumps: no verdict outranks
 * findings.
 */
int check_dumps(struct check *check, char *const paths[], size_t n,
		enum pmdb_status *ret);

/**
 * "pmdb check [OPTION]... DUMP..."
 *
 * @argv:  borrowed; argv[0] is "check"
 *
 * Returns the exit status.
 */
int check_main(int argc, char **argv);

/**
 * "pmdb run [OPTION]... -- CMD ARGS..."
 *
 * @argv:  borrowed; argv[0] is "run"
 *
 * Returns the exit status.
 */
int run_main(int argc, char **argv);

/**
 * "pmdb snap -p PID [-o DUMP]"
 *
 * @argv:  borrowed; argv[0] is "snap"
 *
 * Returns the exit status.
 */
int snap_main(int argc, char **argv);

/** Reads a process id; false: the text is none. */
bool parse_pid(const char *text, pid_t *ret_pid);

/**
 * "pmdb export --format FORMAT [-o FILE] [--sample KIND] DUMP"
 *
 * @argv:  borrowed; argv[0] is "export"
 *
 * Returns the exit status.
 */
int export_main(int argc, char **argv);

/**
 * "pmdb diff [OPTION]... OLD NEW"
 *
 * @argv:  borrowed; argv[0] is "diff"
 *
 * Returns the exit status.
 */
int diff_main(int argc, char **argv);

/**
 * "pmdb report -o FILE DUMP"
 *
 * @argv:  borrowed; argv[0] is "report"
 *
 * Returns the exit status.
 */
int report_main(int argc, char **argv);

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
