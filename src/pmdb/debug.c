/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "pmdb [options] [EXE] DUMP": the debugger itself, at a prompt, with -e, or
 * with commands from standard input.
 */
#include "pmdb/pmdb.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "shell/session.h"

struct options {
	const char *core, *exe;
	struct types_options types;
	VEC(const char *) commands; /* of -e */
	bool is_json, is_quiet;
};

static int usage(const char *why)
{
	fprintf(stderr, "pmdb: %s (see pmdb --help)\n", why);
	return PMDB_USAGE;
}

/* e_type of an ELF file, or -1 */
static int elf_type(const char *path)
{
	unsigned char head[18];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof(head));

	if (fd >= 0)
		(void)close(fd); /* only read */
	if (n != (ssize_t)sizeof(head) || memcmp(head, ELFMAG, SELFMAG))
		return -1;
	return head[16] | head[17] << 8;
}

/* one operand is the core, a second the executable, in either order */
static int take_operands(struct options *opt, char **v, int n)
{
	int room = opt->core ? 1 : 2;

	if (n > room)
		return usage("too many operands: an executable and a core "
			     "file are all there can be");
	if (n == 2 && elf_type(v[0]) == ET_CORE && elf_type(v[1]) == ET_CORE)
		return usage("two core files: one at a time");
	if (n == 2) {
		bool first = elf_type(v[0]) == ET_CORE;

		opt->core = v[first ? 0 : 1];
		opt->exe = v[first ? 1 : 0];
	} else if (n == 1 && opt->core) {
		opt->exe = v[0];
	} else if (n == 1) {
		opt->core = v[0];
	}
	return 0;
}

static const struct option long_options[] = {
	{"core", required_argument, NULL, 'c'},
	{"eval", required_argument, NULL, 'e'},
	{"sysroot", required_argument, NULL, 'R'},
	{"json", no_argument, NULL, 'j'},
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'v'},
	{0},
};

/* -1: go on; else the exit status */
static int parse_options(int argc, char **argv, struct options *opt)
{
	int c = 0;
	int rc = 0;

	opterr = 0; /* we say it, in one line */
	while ((c = getopt_long(argc, argv, ":e:c:R:qhS", long_options,
				NULL)) != -1) {
		switch (c) {
		case 'e':
			VEC_PUSH(&opt->commands, optarg);
			break;
		case 'c':
			if (opt->core)
				return usage("-c is given twice");
			opt->core = optarg;
			break;
		case 'R':
			opt->types.sysroot = optarg;
			break;
		case 'j':
			opt->is_json = true;
			break;
		case 'q':
			opt->is_quiet = true;
			break;
		case 'S': /* mdb: no start-up file; there is none */
			break;
		case 'h':
			pmdb_usage(stdout);
			return fflush(stdout) ? PMDB_NO_VERDICT : 0;
		case 'v':
			printf("pmdb %s\n", PMDB_VERSION);
			return fflush(stdout) ? PMDB_NO_VERDICT : 0;
		case ':':
			fprintf(stderr,
				"pmdb: option %s needs an argument (see pmdb "
				"--help)\n",
				argv[optind - 1]);
			return PMDB_USAGE;
		default:
			fprintf(stderr,
				"pmdb: unknown option %s (see pmdb --help)\n",
				argv[optind - 1]);
			return PMDB_USAGE;
		}
	}
	rc = take_operands(opt, argv + optind, argc - optind);
	if (rc)
		return rc;
	if (!opt->core && (opt->commands.n == 0 || opt->exe))
		return usage("no core file is named");
	return -1;
}

static int no_verdict(struct err *err)
{
	fprintf(stderr, "pmdb: %s\n", err->msg);
	err_free(err);
	return PMDB_NO_VERDICT;
}

/* without a core there is an empty target: arithmetic and ::help work */
static int open_session(const struct options *opt, struct session **ret)
{
	struct session_options so = {.is_json = opt->is_json};
	struct types_options to = opt->types;
	struct target *target = NULL;
	struct types *types = NULL;
	struct err *err = NULL;

	if (opt->core)
		err = target_open_core(opt->core, &target);
	else
		target = target_mem_create();
	if (err)
		return no_verdict(err);
	/* in every mode: what is shown is not all there was */
	if (target_info(target)->incomplete)
		fprintf(stderr, "pmdb: %s: the dump is incomplete: %s\n",
			opt->core, target_info(target)->incomplete);
	to.exe = opt->exe;
	err = types_open(target, &to, &types);
	if (err) {
		target_close(target);
		return no_verdict(err);
	}
	*ret = session_create(target, types, &so);
	return 0;
}

static void banner(struct session *s, bool is_quiet)
{
	struct target *t = session_target(s);
	const struct target_info *info = target_info(t);

	if (is_quiet)
		return;
	fprintf(stderr, "core of %s (pid %u), %zu thread%s; ::help\n",
		info->fname[0] ? info->fname : "?", info->pid,
		target_nthreads(t), target_nthreads(t) == 1 ? "" : "s");
}

/* the exit status: mdb's, but that lost output is said */
static int finish(struct session *s, bool is_strict)
{
	bool failed = session_nfailed(s) > 0;
	int err = session_output_error(s);

	session_destroy(s);
	if (err && err != EPIPE) {
		fprintf(stderr, "pmdb: cannot write the output: %s\n",
			strerror(err));
		return PMDB_NO_VERDICT;
	}
	return is_strict && failed ? PMDB_FINDINGS : PMDB_CLEAN;
}

static int run(const struct options *opt)
{
	struct session *s = NULL;
	int rc = open_session(opt, &s);

	if (rc)
		return rc;
	for (size_t i = 0; i < opt->commands.n && !session_is_over(s); i++)
		session_string(s, opt->commands.v[i]);
	if (opt->commands.n > 0)
		return finish(s, true);
	if (!isatty(STDIN_FILENO)) {
		session_script(s, STDIN_FILENO, "(stdin)");
		return finish(s, false);
	}
	banner(s, opt->is_quiet);
	repl_run(s);
	return finish(s, false);
}

int debug_main(int argc, char **argv)
{
	struct options opt = {0};
	int rc = 0;

	/* a pager that quits must not end us in the middle of a line */
	(void)signal(SIGPIPE, SIG_IGN);
	rc = parse_options(argc, argv, &opt);
	if (rc < 0)
		rc = run(&opt);
	VEC_FREE(&opt.commands);
	return rc;
}
