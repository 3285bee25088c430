/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The command line of pmdb: the first word names a command, or else the
 * arguments are for the debugger.
 */
#include "pmdb/pmdb.h"

#include <stdio.h>
#include <string.h>

struct command {
	const char *name;
	int (*main)(int argc, char **argv);
};

static const struct command commands[] = {
	{"run", run_main},   {"check", check_main},   {"diff", diff_main},
	{"snap", snap_main}, {"export", export_main}, {"report", report_main},
};

void pmdb_usage(FILE *out)
{
	fputs("usage: pmdb [-e CMDS]... [EXE] [DUMP] [LOG]\n"
	      "       pmdb [--jobs N] [-e CMDS | -x FILE]... [EXE] DUMP...\n"
	      "       pmdb [-e CMDS]... -p PID [EXE]\n"
	      "       pmdb run [OPTION]... -- CMD ARGS...\n"
	      "       pmdb check [OPTION]... DUMP...\n"
	      "       pmdb diff [OPTION]... OLD NEW\n"
	      "       pmdb snap -p PID [-o DUMP]\n"
	      "       pmdb export --format FORMAT [-o FILE] DUMP\n"
	      "       pmdb report -o FILE DUMP\n"
	      "       pmdb --help | --version\n"
	      "\n"
	      "pmdb DUMP            examine a core file at a prompt; commands "
	      "may also come\n"
	      "                     from -e or from standard input\n"
	      "pmdb -p PID          examine a process, which stands still "
	      "while a command\n"
	      "                     works\n"
	      "pmdb run CMD         run a program under libkmem; leave a dump "
	      "when it ends\n"
	      "pmdb check DUMP      say whether a dump shows leaks or heap "
	      "corruption\n"
	      "pmdb diff OLD NEW    say what has grown between two dumps, and "
	      "where\n"
	      "pmdb snap -p PID     write a dump of a process that goes on\n"
	      "pmdb export DUMP     write it for other tools: pprof, folded, "
	      "speedscope,\n"
	      "                     csv, sqlite\n"
	      "pmdb report DUMP     write an HTML page to look at\n"
	      "                     run, check, diff, snap, export and report "
	      "have a --help\n"
	      "                     of their own\n"
	      "\n"
	      "-e CMDS              run these commands, then end; repeatable\n"
	      "-x, --script FILE    run the commands of a file; \"#!/usr/bin/env "
	      "-S pmdb -x\" is\n"
	      "                     its first line\n"
	      "    --jobs N         several dumps: so many at a time\n"
	      "    --fail-fast      end at the first command that fails\n"
	      "-c, --core DUMP      the dump, wherever it stands\n"
	      "-f                   open any file as bytes\n"
	      "-o OPT, +o OPT       set or clear an option, as ::set -o does\n"
	      "-s N                 name addresses by symbols up to N bytes "
	      "before\n"
	      "-I PATH, -L PATH     directories of macros, of modules\n"
	      "-P PROMPT            the prompt\n"
	      "-V MODE              how instructions are written "
	      "(::disasms)\n"
	      "-S                   do not read ~/.pmdbrc\n"
	      "-R, --sysroot DIR    look for the program's files below DIR\n"
	      "    --debug-path DIRS  look for debug files there first\n"
	      "    --color WHEN     auto, always or never\n"
	      "    --json           rows as JSON, one object a line\n"
	      "-q, --quiet          no banner, progress, or headings between "
	      "dumps\n"
	      "\n"
	      "Status of check: 0 clean, 1 findings, 2 usage, 3 no verdict.\n"
	      "Status of diff: 0 nothing over the limit, 1 growth over it, 2 "
	      "usage, 3 the\n"
	      "dumps cannot be compared.\n"
	      "Status of run: the program's own (128+N for signal N); 125 pmdb "
	      "failed,\n"
	      "126 not executable, 127 not found; with --check, the verdict if "
	      "the\n"
	      "program succeeded.\n",
	      out);
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";

	if (!strcmp(word, "--help") || !strcmp(word, "-h") ||
	    !strcmp(word, "help")) {
		pmdb_usage(stdout);
		return fflush(stdout) ? PMDB_NO_VERDICT : PMDB_CLEAN;
	}
	if (!strcmp(word, "--version")) {
		printf("pmdb %s\n", PMDB_VERSION);
		return fflush(stdout) ? PMDB_NO_VERDICT : PMDB_CLEAN;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcmp(word, commands[i].name))
			return commands[i].main(argc - 1, argv + 1);
	}
	return debug_main(argc, argv);
}
