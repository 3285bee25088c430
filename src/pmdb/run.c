/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "pmdb run": starts a program with libkmem preloaded, waits for it, and gives
 * its status as its own.
 *
 * The work is done by the library in the program; all that passes between is
 * the environment.  A program the loader would not preload anything into is
 * refused before it starts, for it would run unobserved:
 *
 *   LD_PRELOAD      libkmem_preload.so, then what the user had
 *   KMEM_DEBUG      default, unless the user chose
 *   KMEM_LOGGING    transaction=1m, unless the user chose
 *   KMEM_SNAPSHOT   exit,_exit,fatal,panic,main=PID[,list=FILE][,only=PATTERNS],
 *                   path=TEMPLATE
 *
 * Each process appends a record to FILE, since only the library knows which
 * dumps there are: "PID /NAME", or "PID WHY" of one that failed, with a NUL.  A
 * process that has become another user may append as well; the name of the
 * file is kept from others by a directory they cannot list.
 */
#define _GNU_SOURCE
#include "pmdb/pmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "pmdb/run_impl.h"

#define PRELOAD_NAME "libkmem_preload.so"
#define DEFAULT_DUMP "pmdb.%c.%p.core"
/* options of run alone; those of check are above 0x100 */
enum run_code {
	RUN_DUMP_DIR = 0x80,
	RUN_KEEP,
	RUN_ONLY,
	RUN_TIMEOUT,
};

/* what the processes of a run told */
struct told {
	VEC(char *) paths; /* borrowed from the list */
	int is_any_failed;
	int has_main; /* the program told something */
};

void run_complain(const char *what, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "pmdb: %s: ", what);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}
/* ---- the library --------------------------------------------------------- */

/* where the preload library is: beside pmdb in a build tree, or installed;
 * returns 0 or -1 with a line said */
static int find_library(char *lib)
{
	static const char *const places[] = {"", "/../lib/pmdb"};
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	int dir = 0;

	if (n > 0) {
		exe[n] = '\0';
		dir = (int)(strrchr(exe, '/') - exe);
	}
	for (size_t i = 0; n > 0 && i < 2; i++) {
		char path[2 * PATH_MAX];

		snprintf(path, sizeof(path), "%.*s%s/%s", dir, exe, places[i],
			 PRELOAD_NAME);
		if (realpath(path, lib))
			goto out_found;
	}
	if (!realpath(PMDB_LIBDIR "/" PRELOAD_NAME, lib)) {
		run_complain(PRELOAD_NAME, "not beside pmdb, nor in %s",
			     PMDB_LIBDIR);
		return -1;
	}
out_found:
	/* the loader splits LD_PRELOAD at these */
	if (strpbrk(lib, ": ")) {
		run_complain(lib,
			     "LD_PRELOAD cannot name a path with ':' or ' '");
		return -1;
	}
	return 0;
}
/* makes a directory and those above it; returns its path, owned, or NULL */
static char *make_dir(const char *path)
{
	_free_ char *part = mem_strdup(path);

	for (char *p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		(void)mkdir(part, 0777); /* the last one will tell */
		*p = '/';
	}
	if (mkdir(part, 0777) && errno != EEXIST)
		return NULL;
	return realpath(path, NULL);
}

/* where a relative name of the dump begins, fit for a template; returns 0 or
 * -1 with a line said */
static int find_cwd(struct run *run)
{
	_free_ char *cwd = NULL;
	char *to;

	if (run->dump_dir) {
		cwd = make_dir(run->dump_dir);
		if (!cwd) {
			run_complain(run->dump_dir, "%s", strerror(errno));
			return -1;
		}
	} else if (run->dump[0] == '/') {
		run->cwd = mem_strdup("");
		return 0;
	}
	if (!cwd)
		cwd = getcwd(NULL, 0); /* allocates what it needs */
	if (!cwd || cwd[0] != '/') {
		run_complain("current directory", "%s",
			     cwd ? "cannot be reached" : strerror(errno));
		return -1;
	}
	to = run->cwd = mem_array(2 * strlen(cwd) + 2, 1);
	for (const char *from = cwd; *from; from++) {
		if (*from == '%')
			*to++ = '%';
		*to++ = *from;
	}
	*to++ = '/';
	*to = '\0';
	return 0;
}
/* ---- what became of it --------------------------------------------------- */

/* creates the file the processes append to, or says why not */
static void list_create(struct run *run)
{
	const char *dir = getenv("TMPDIR");
	int fd = -1;

	/* the name goes between commas */
	if (!dir || dir[0] != '/' || strchr(dir, ',') || strlen(dir) > 200)
		dir = "/tmp";
	snprintf(run->list, sizeof(run->list), "%s/pmdb-run.XXXXXX", dir);
	if (mkdtemp(run->list)) {
		run->list_dir = strlen(run->list);
		/* may be entered, not listed: see the top */
		(void)chmod(run->list, 0711);
		snprintf(run->list + run->list_dir,
			 sizeof(run->list) - run->list_dir, "/XXXXXX");
		fd = mkostemp(run->list, O_CLOEXEC);
	}
	if (fd < 0) {
		run_complain(run->list, "%s", strerror(errno));
		run->list[run->list_dir] = '\0';
		if (run->list_dir)
			rmdir(run->list);
		run->list[0] = '\0';
		return;
	}
	(void)fchmod(fd, 0622);
	close(fd);
}

static void list_remove(struct run *run)
{
	if (!run->list[0])
		return;
	unlink(run->list);
	run->list[run->list_dir] = '\0';
	rmdir(run->list);
}

/* takes in one record */
static void take_record(const struct run *run, char *record, struct told *told)
{
	char *what = NULL;
	long pid = strtol(record, &what, 10);

	if (what == record || *what != ' ')
		return;
	what++;
	if (*what == '/') {
		VEC_PUSH(&told->paths, what);
	} else {
		fprintf(stderr, "pmdb: %s\n", what);
		told->is_any_failed = 1;
	}
	told->has_main |= pid == (long)run->pid;
}

/* reads the list, saying what failed */
static void take_list(const struct run *run, const struct image *img,
		      struct told *told)
{
	const char *list = img->bytes;

	if (img->size_bytes == 0 || list[img->size_bytes - 1] != '\0')
		return;
	for (size_t at = 0; at < img->size_bytes; at += strlen(list + at) + 1)
		take_record(run, (char *)(uintptr_t)(list + at), told);
}

/* takes away dumps that were judged and are not to be kept */
static void sweep(const struct run *run, const struct told *told,
		  const enum pmdb_status *status)
{
	for (size_t i = 0; i < told->paths.n; i++)
		if (run->keep == KEEP_NONE ||
		    (run->keep == KEEP_FAILED && status[i] == PMDB_CLEAN))
			unlink(told->paths.v[i]);
}

/* says what the run left, and gives the verdict if it is asked for */
static int judge_run(const struct run *run)
{
	struct told told = {{NULL, 0, 0}, 0, 0};
	struct image img;
	struct stat st;
	int verdict = PMDB_CLEAN;
	bool is_missing = false;
	int err = run_image_open(run->list, &img, &st);

	if (err) {
		run_complain(run->list, "%s", strerror(err));
		return PMDB_NO_VERDICT;
	}
	take_list(run, &img, &told);
	/* of those that were chosen there may be none but has to be one */
	is_missing = run->only.n ? told.paths.n == 0 : !told.has_main;
	if (is_missing)
		run_complain(run->argv[0],
			     run->only.n ? "no process of that name left "
					   "a dump"
					 : "left no dump");
	if (run->is_check && told.paths.n) {
		_free_ enum pmdb_status *status =
			mem_array(told.paths.n, sizeof(*status));

		verdict = check_dumps(run->check, told.paths.v, told.paths.n,
				      status);
		sweep(run, &told, status);
	}
	if (told.is_any_failed || is_missing) {
		verdict = PMDB_NO_VERDICT;
		if (run->is_check)
			run_complain(
				run->argv[0],
				"no verdict: not every process left a dump");
	}
	VEC_FREE(&told.paths);
	run_image_close(&img);
	return verdict;
}
/* ---- the command line ---------------------------------------------------- */

static void usage(FILE *out)
{
	fputs("usage: pmdb run [OPTION]... -- CMD ARGS...\n"
	      "\n"
	      "  -o, --output DUMP       the name of dumps; %p process, %c "
	      "command\n"
	      "  --dump-dir DIR          where they go; it is made\n"
	      "  --only PATTERN          dump processes of such a name only; "
	      "repeatable\n"
	      "  --timeout SECONDS       end the program and its children "
	      "then: status 124\n"
	      "  --check                 judge the dumps in the end; with it:\n"
	      "  --keep all|failed|none  which dumps stay\n",
	      out);
	check_help(out);
}

/* "pmdb: run: WHAT" on stderr */
static int bad_usage(const char *what, const char *arg)
{
	run_complain("run", "%s%s", what, arg);
	return PMDB_USAGE;
}

static int set_keep(struct run *run, const char *arg)
{
	static const char *const words[] = {
		[KEEP_ALL] = "all",
		[KEEP_FAILED] = "failed",
		[KEEP_NONE] = "none",
	};

	for (int i = KEEP_ALL; i <= KEEP_NONE; i++) {
		if (strcmp(arg, words[i]) == 0) {
			run->keep = (enum keep)i;
			return 0;
		}
	}
	return bad_usage("--keep is all, failed or none; not ", arg);
}

static int add_only(struct run *run, const char *arg)
{
	if (!*arg || strpbrk(arg, ",:"))
		return bad_usage("no pattern of a name: ", arg);
	strbuf_printf(&run->only, "%s%s", run->only.n ? ":" : "", arg);
	return 0;
}

static int set_timeout(struct run *run, const char *arg)
{
	char *end = NULL;

	errno = 0;
	run->timeout_s = strtol(arg, &end, 10);
	if (end == arg || *end || errno || run->timeout_s <= 0 ||
	    run->timeout_s > INT_MAX)
		return bad_usage("no number of seconds: ", arg);
	return 0;
}

/* takes an option that is not of check */
static int take_option(struct run *run, int code, const char *arg)
{
	switch (code) {
	case 'o':
		run->dump = arg;
		return 0;
	case 'c':
		run->is_check = 1;
		return 0;
	case RUN_DUMP_DIR:
		run->dump_dir = arg;
		return *arg ? 0 : bad_usage("no directory: ", arg);
	case RUN_KEEP:
		run->check_option = "--keep";
		return set_keep(run, arg);
	case RUN_ONLY:
		return add_only(run, arg);
	case RUN_TIMEOUT:
		return set_timeout(run, arg);
	default:
		usage(stderr);
		return PMDB_USAGE;
	}
}

static const struct option longs[] = {
	{"output", required_argument, NULL, 'o'},
	{"check", no_argument, NULL, 'c'},
	{"dump-dir", required_argument, NULL, RUN_DUMP_DIR},
	{"keep", required_argument, NULL, RUN_KEEP},
	{"only", required_argument, NULL, RUN_ONLY},
	{"timeout", required_argument, NULL, RUN_TIMEOUT},
	{"help", no_argument, NULL, 'h'},
	CHECK_OPTION_ROWS,
	{NULL, 0, NULL, 0},
};

/* returns -1 to go on, or the exit status */
static int parse(int argc, char **argv, struct run *run)
{
	int index = 0;
	int status;
	int opt;

	while ((opt = getopt_long(argc, argv, "+o:h", longs, &index)) != -1) {
		if (opt == 'h') {
			usage(stdout);
			return fflush(stdout) ? PMDB_NO_VERDICT : PMDB_CLEAN;
		}
		if (opt >= CHECK_FORMAT)
			run->check_option = longs[index].name;
		status = opt >= CHECK_FORMAT
				 ? check_option(run->check, opt, optarg)
				 : take_option(run, opt, optarg);
		if (status)
			return status;
	}
	run->argv = argv + optind;
	if (!run->argv[0] || !run->argv[0][0] || !run->dump[0]) {
		usage(stderr);
		return PMDB_USAGE;
	}
	if (run->check_option && !run->is_check)
		return bad_usage("without --check there is no ",
				 run->check_option);
	if (run->dump_dir && run->dump[0] == '/')
		return bad_usage("in --dump-dir a dump cannot be named ",
				 run->dump);
	return -1;
}

/* the whole of it; run->check is there */
static int run_it(struct run *run, int argc, char **argv)
{
	const char *why;
	int started;
	int status;
	int verdict;

	status = parse(argc, argv, run);
	if (status >= 0)
		return status;
	status = check_prepare(run->check);
	if (status)
		return status;
	status = run_find_program(run->argv[0], run->prog);
	if (status)
		return status;
	why = run_refuse(run->prog);
	if (why) {
		run_complain(run->prog, "%s", why);
		return PMDB_RUN_FAILED;
	}
	if (find_library(run->lib))
		return PMDB_RUN_FAILED;
	if (find_cwd(run))
		return PMDB_RUN_FAILED;
	list_create(run);
	if (run->is_check && !run->list[0])
		return PMDB_RUN_FAILED;
	status = run_and_wait(run, &started);
	if (started && run->list[0]) {
		verdict = judge_run(run);
		if (run->is_check && status == 0)
			status = verdict;
	}
	list_remove(run);
	return status;
}

int run_main(int argc, char **argv)
{
	struct run run = {.dump = DEFAULT_DUMP};
	int status;

	run.check = check_create(stderr);
	status = run_it(&run, argc, argv);
	check_destroy(run.check);
	strbuf_free(&run.only);
	mem_free(run.cwd);
	return status;
}
