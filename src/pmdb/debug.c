/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "pmdb [options] [EXE] DUMP": the debugger itself, at a prompt, with -e, or
 * with commands from standard input.
 */
#include "pmdb/pmdb.h"
#include "pmdb/many.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "shell/session.h"
#include "shell/term.h"
#include "types/disasm.h"

/* -e and -x, in the order they were given */
struct input {
	const char *text; /* commands, or the name of a file of them */
	bool is_file;
};

struct options {
	const char *core, *exe, *log;
	pid_t pid; /* -p; 0: none */
	struct types_options types;
	struct settings settings;
	VEC(struct input) inputs; /* none: standard input */
	VEC(const char *) dumps;  /* of a batch */
	unsigned jobs;            /* --jobs; 0: not given */
	bool is_json, is_quiet, is_fail_fast;
	bool no_start_file; /* -S */
	bool is_raw;        /* -f */
	const char *disassembler;
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

/* is it a transaction log that libkmem kept in a file? */
static bool is_log(const char *path)
{
	static const char magic[8] = "KMEMLOG";
	char head[sizeof(magic)] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return false;
	ssize_t n = read(fd, head, sizeof(head));

	(void)close(fd); /* only read */
	return n == (ssize_t)sizeof(head) &&
	       !memcmp(head, magic, sizeof(magic));
}

static int take_log(struct options *opt, char **v, int n)
{
	for (int i = 0; i < n && !opt->is_raw; i++) {
		if (!is_log(v[i]))
			continue;
		if (opt->log)
			return usage("two log files: one at a time");
		opt->log = v[i];
		v[i] = (char *)(uintptr_t) "-";
	}
	return 0;
}

/* a script whose first line says "pmdb -f", as others say "awk -f": run that
 * way it has a dump behind it, and so is no file to open as bytes */
static void take_script(struct options *opt, char **v, int n)
{
	char head[2] = "";
	int fd = -1;

	if (!opt->is_raw || n < 2)
		return;
	fd = open(v[0], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return;
	if (read(fd, head, 2) == 2 && head[0] == '#' && head[1] == '!') {
		VEC_PUSH(&opt->inputs, ((struct input){v[0], true}));
		opt->is_raw = false;
		v[0] = (char *)(uintptr_t) "-";
	}
	(void)close(fd); /* only read */
}

static bool is_regular(const struct input *in)
{
	struct stat st;

	return stat(in->text, &st) == 0 && S_ISREG(st.st_mode);
}

/* the operands of a batch: one executable, and dumps */
static int take_dumps(struct options *opt, char **v, int n)
{
	if (opt->core)
		VEC_PUSH(&opt->dumps, opt->core);
	for (int i = 0; i < n; i++) {
		int type = elf_type(v[i]);

		if (!strcmp(v[i], "-"))
			continue;
		if ((type == ET_EXEC || type == ET_DYN) && !opt->exe)
			opt->exe = v[i];
		else
			VEC_PUSH(&opt->dumps, v[i]);
	}
	if (opt->dumps.n == 1)
		opt->core = opt->dumps.v[0];
	if (opt->jobs && opt->dumps.n == 0)
		return usage("--jobs wants dumps");
	if (opt->log && opt->dumps.n > 1)
		return usage("a log file goes with one dump");
	for (size_t i = 0; i < opt->inputs.n && opt->dumps.n > 1; i++)
		if (opt->inputs.v[i].is_file && !is_regular(&opt->inputs.v[i]))
			return usage("a script for several dumps has to be a "
				     "file, which is read for each");
	return 0;
}

/* operands are told apart by what they are: a core is a core, a log a log, an
 * ELF file of another kind is the executable, anything else ought to be a
 * core */
static int take_operands(struct options *opt, char **v, int n)
{
	int rc = take_log(opt, v, n);

	if (rc)
		return rc;
	if (opt->pid && (opt->core || opt->is_raw))
		return usage("-p is a process, not a dump: one at a time");
	if (opt->inputs.n > 0 && !opt->is_raw && !opt->pid)
		return take_dumps(opt, v, n);
	if (opt->jobs)
		return usage("--jobs wants dumps, and -e or --script");
	if (opt->is_raw && n + (opt->core ? 1 : 0) != 1)
		return usage("-f wants one file");
	for (int i = 0; i < n && !opt->is_raw; i++) {
		if (elf_type(v[i]) != ET_CORE)
			continue;
		if (opt->pid)
			return usage("-p is a process, not a dump: one at a "
				     "time");
		if (opt->core)
			return usage("two core files: with -e or --script, "
				     "else one at a time");
		opt->core = v[i];
		v[i] = NULL;
	}
	for (int i = 0; i < n; i++) {
		int type = v[i] && !opt->is_raw ? elf_type(v[i]) : ET_CORE;
		bool is_exe = type == ET_EXEC || type == ET_DYN;

		/* "-" keeps a place, as it did for adb */
		if (!v[i] || !strcmp(v[i], "-"))
			continue;
		if (opt->core && opt->exe)
			return usage("too many operands: an executable and a "
				     "core file are all there can be");
		if (opt->core || (is_exe && !opt->exe))
			opt->exe = v[i];
		else
			opt->core = v[i];
	}
	return 0;
}

static const struct option long_options[] = {
	{"core", required_argument, NULL, 'c'},
	{"color", required_argument, NULL, 'C'},
	{"debug-path", required_argument, NULL, 'D'},
	{"eval", required_argument, NULL, 'e'},
	{"sysroot", required_argument, NULL, 'R'},
	{"fail-fast", no_argument, NULL, 'X'},
	{"jobs", required_argument, NULL, 'J'},
	{"json", no_argument, NULL, 'j'},
	{"script", required_argument, NULL, 'x'},
	{"quiet", no_argument, NULL, 'q'},
	{"pid", required_argument, NULL, 'p'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'v'},
	{0},
};

/* what mdb has an option for, but a debugger of dumps has not */
static const struct {
	char letter;
	const char *why;
} refused[] = {
	{'b', "virtual machines are not examined"},
	{'k', "kernels are not examined"},
	{'K', "kernels are not examined"},
	{'m', "kernels are not examined"},
	{'M', "kernels are not examined"},
	{'O', "there is no real-time mode"},
	{'U', "kernels are not examined"},
	{'w', "a dump is only read"},
	{'W', "a dump is only read"},
};

static int refuse(char letter)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		if (refused[i].letter == letter)
			fprintf(stderr, "pmdb: option -%c: %s\n", letter,
				refused[i].why);
	return PMDB_USAGE;
}

/* the error of a setting, as a status; consumes it */
static int setting(struct err *err)
{
	if (!err)
		return -1;
	fprintf(stderr, "pmdb: %s (see pmdb --help)\n", err->msg);
	err_free(err);
	return PMDB_USAGE;
}

static int take_colour(const char *word)
{
	if (!strcmp(word, "auto"))
		term_set_colour(COLOUR_AUTO);
	else if (!strcmp(word, "always"))
		term_set_colour(COLOUR_ALWAYS);
	else if (!strcmp(word, "never"))
		term_set_colour(COLOUR_NEVER);
	else
		return usage("--color is auto, always or never");
	return -1;
}

/* -1: go on */
static int take_jobs(struct options *opt, const char *text)
{
	char *end = NULL;
	unsigned long n = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end || n == 0)
		return usage("--jobs wants a number above 0");
	opt->jobs = n < MANY_JOBS_MAX ? (unsigned)n : MANY_JOBS_MAX;
	return -1;
}

/* -1: go on; a script that is not there is found before a dump is opened */
static int take_file(struct options *opt, const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		errno = EISDIR;
	else if (access(path, R_OK) == 0) {
		VEC_PUSH(&opt->inputs, ((struct input){path, true}));
		return -1;
	}
	fprintf(stderr, "pmdb: %s: %s\n", path, strerror(errno));
	return PMDB_USAGE;
}

/* -1: go on; else the exit status */
static int take_option(struct options *opt, int c, const char *word)
{
	switch (c) {
	case 'A':
		return setting(settings_option(&opt->settings, "nomods", true));
	case 'C':
		return take_colour(optarg);
	case 'V':
		opt->disassembler = optarg;
		break;
	case 'D':
		opt->types.debug_path = optarg;
		break;
	case 'e':
		VEC_PUSH(&opt->inputs, ((struct input){optarg, false}));
		break;
	case 'x':
		return take_file(opt, optarg);
	case 'X':
		opt->is_fail_fast = true;
		break;
	case 'J':
		return take_jobs(opt, optarg);
	case 'c':
		if (opt->core)
			return usage("-c is given twice");
		opt->core = optarg;
		break;
	case 'p':
		if (!parse_pid(optarg, &opt->pid))
			return usage("-p wants the id of a process");
		break;
	case 'R':
		opt->types.sysroot = optarg;
		break;
	case 'j':
		opt->is_json = true;
		break;
	case 'o':
		return setting(settings_option(&opt->settings, optarg, true));
	case 's':
	case 'I':
	case 'L':
	case 'P':
		return setting(
			settings_letter(&opt->settings, (char)c, optarg));
	case 'f':
		opt->is_raw = true;
		break;
	case 'q':
		opt->is_quiet = true;
		break;
	case 'S':
		opt->no_start_file = true;
		break;
	case 'F': /* mdb's: nobody else holds a dump; we are a user's tool */
	case 'u':
	case 'y':
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
			word);
		return PMDB_USAGE;
	case '?':
		if (optopt == '?') {
			pmdb_usage(stderr);
			return 0;
		}
		fprintf(stderr, "pmdb: unknown option %s (see pmdb --help)\n",
			word);
		return PMDB_USAGE;
	default:
		return refuse((char)c);
	}
	return -1;
}

/* takes "+o option" out of the operands; returns how many are left, or minus
 * an exit status */
static int take_plus(struct options *opt, char **v, int n)
{
	int left = 0;

	for (int i = 0; i < n; i++) {
		int rc = -1;

		if (strncmp(v[i], "+o", 2)) {
			v[left++] = v[i];
			continue;
		}
		if (v[i][2] != '\0')
			rc = setting(settings_option(&opt->settings, v[i] + 2,
						     false));
		else if (i + 1 < n)
			rc = setting(
				settings_option(&opt->settings, v[++i], false));
		else
			rc = usage("option +o needs an argument");
		if (rc >= 0)
			return -rc;
	}
	return left;
}

/* -1: go on; else the exit status */
static int parse_options(int argc, char **argv, struct options *opt)
{
	int c = 0;
	int n = 0;
	int rc = 0;

	opterr = 0; /* we say it, in one line */
	while ((c = getopt_long(argc, argv,
				":e:x:c:R:fqhSo:s:I:L:P:V:AFuywWkKmMOUb:p:",
				long_options, NULL)) != -1) {
		rc = take_option(opt, c, argv[optind - 1]);
		if (rc >= 0)
			return rc;
	}
	n = take_plus(opt, argv + optind, argc - optind);
	if (n < 0)
		return -n;
	take_script(opt, argv + optind, n);
	rc = take_operands(opt, argv + optind, n);
	return rc ? rc : -1;
}

static int no_verdict(struct err *err)
{
	fprintf(stderr, "pmdb: %s\n", err->msg);
	err_free(err);
	return PMDB_NO_VERDICT;
}

/* --jobs alone makes it so, too: what a glob finds may be one dump today */
static bool is_many(const struct options *opt)
{
	return opt->dumps.n > 1 || opt->jobs;
}

/* without a core there is an empty target: arithmetic and ::help work */
static int open_session(struct options *opt, struct session **ret)
{
	struct session_options so = {.is_json = opt->is_json,
				     .is_quiet =
					     opt->is_quiet && opt->inputs.n > 0,
				     .dump = is_many(opt) ? opt->core : NULL,
				     .settings = &opt->settings};
	struct types_options *to = &so.types;
	struct target *target = NULL;
	struct types *types = NULL;
	struct err *err = NULL;

	if (opt->pid)
		err = target_open_live(opt->pid, &target);
	else if (opt->core && opt->is_raw)
		err = target_open_raw(opt->core, &target);
	else if (opt->core)
		err = target_open_core(opt->core, &target);
	else if (opt->exe)
		err = target_open_exec(opt->exe, &target);
	else
		target = target_mem_create();
	if (err)
		return no_verdict(err);
	/* in every mode: what is shown is not all there was */
	if (target_info(target)->incomplete)
		fprintf(stderr, "pmdb: %s: the dump is incomplete: %s\n",
			opt->core, target_info(target)->incomplete);
	*to = opt->types;
	to->exe = opt->exe;
	to->use_servers = true;
	err = types_open(target, to, &types);
	if (err) {
		target_close(target);
		return no_verdict(err);
	}
	if (opt->disassembler && !disasm_set_mode(types, opt->disassembler)) {
		types_close(types);
		target_close(target);
		return usage("-V: there is no such disassembler mode");
	}
	*ret = session_create(target, types, &so);
	err = opt->log ? session_log_file(*ret, opt->log) : NULL;
	if (err) {
		session_destroy(*ret);
		return no_verdict(err);
	}
	return 0;
}

static void banner(struct session *s, bool is_quiet)
{
	struct target *t = session_target(s);
	const struct target_info *info = target_info(t);

	if (is_quiet)
		return;
	if (target_nmaps(t) == 0) {
		fputs("no dump is open; ::help\n", stderr);
		return;
	}
	if (info->is_exec || info->is_raw) {
		fprintf(stderr, "%s, %s; ::help\n", target_path(t),
			info->is_raw ? "as bytes" : "not running");
		return;
	}
	fprintf(stderr, "%s %s (pid %u), %zu thread%s; ::help\n",
		info->is_live ? "process" : "core of",
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

static void run_inputs(struct session *s, const struct options *opt)
{
	for (size_t i = 0; i < opt->inputs.n && !session_is_over(s); i++) {
		const struct input *in = &opt->inputs.v[i];

		if (in->is_file)
			session_script_file(s, in->text);
		else
			session_string(s, in->text);
	}
}

static int run(struct options *opt)
{
	bool is_batch = opt->inputs.n > 0 || !isatty(STDIN_FILENO);
	struct session *s = NULL;
	int rc = open_session(opt, &s);

	if (rc)
		return rc;
	(void)session_hold(s); /* it has just been stopped */
	if (!opt->no_start_file)
		session_start_file(s);
	if (is_batch && opt->is_fail_fast)
		session_fail_fast(s);
	run_inputs(s, opt);
	session_let_go(s);
	if (opt->inputs.n > 0)
		return finish(s, true);
	if (is_batch) {
		session_script(s, STDIN_FILENO, "(stdin)");
		return finish(s, opt->is_fail_fast);
	}
	banner(s, opt->is_quiet);
	repl_run(s);
	return finish(s, false);
}

static int run_one(void *arg, const char *dump)
{
	struct options *opt = arg;

	opt->core = dump;
	return run(opt);
}

static int run_many(struct options *opt)
{
	struct many m = {
		.dumps = opt->dumps.v,
		.n = opt->dumps.n,
		.jobs = opt->jobs ? opt->jobs : 1,
		.has_headings = !opt->is_json && !opt->is_quiet,
		.is_fail_fast = opt->is_fail_fast,
		.one = run_one,
		.arg = opt,
	};

	return many_run(&m);
}

int debug_main(int argc, char **argv)
{
	struct options opt = {0};
	int rc = 0;

	/* a pager that quits must not end us in the middle of a line */
	(void)signal(SIGPIPE, SIG_IGN);
	settings_init(&opt.settings);
	rc = parse_options(argc, argv, &opt);
	if (rc < 0)
		rc = is_many(&opt) ? run_many(&opt) : run(&opt);
	settings_free(&opt.settings);
	VEC_FREE(&opt.inputs);
	VEC_FREE(&opt.dumps);
	return rc;
}
