/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "pmdb diff": what became of a heap between two dumps.  Both are looked at, and
 * brought together, before a word is written.
 */
#include "pmdb/diff_impl.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "pmdb/options.h"

#define VERB "diff"

static const char help_text[] =
	"usage: pmdb diff [OPTION]... OLD NEW\n"
	"\n"
	"Says what has grown between two dumps of one program, or of two builds "
	"of it: by\ncall site, by cache and by type, and which buffers outlived "
	"both.\n"
	"\n"
	"  --format FORMAT[=FILE]  text, json, markdown; several at once\n"
	"  --fail-on LIST          of growth=BYTES: a call site, or the whole "
	"heap, has\n"
	"                          grown by more; total-growth=BYTES: the "
	"whole heap has;\n"
	"                          none.  BYTES may end in K, M or G\n"
	"  --exit-code N           the status of that, instead of 1\n"
	"  --by LIST               of site, cache, type; all if not said\n"
	"  --top N                 so many of each are printed, 20 if not said, "
	"0 for all;\n"
	"                          json has all\n"
	"  --old-exe FILE          the program of OLD, where it is not found\n"
	"  --new-exe FILE          the same of NEW\n"
	"  --source-root DIR       print paths relative to DIR\n"
	"\n"
	"Status: 0 nothing over the limit, 1 growth over it, 2 usage, 3 a dump "
	"cannot be\nlooked at, or the two cannot be compared.\n";

/* ---- options ------------------------------------------------------------- */

static int add_output(struct diff *d, const char *arg)
{
	static const struct {
		const char *name;
		void (*print)(const struct diff *d, FILE *out);
	} formats[] = {
		{"text", diff_print_text},
		{"json", diff_print_json},
		{"markdown", diff_print_markdown},
	};
	size_t n = 0;
	struct diff_output output = {0};

	if (opt_output(VERB, arg, &n, &output.path))
		return PMDB_USAGE;
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++)
		if (strlen(formats[i].name) == n &&
		    strncmp(formats[i].name, arg, n) == 0)
			output.print = formats[i].print;
	if (!output.print)
		return opt_usage(VERB, "there is no format ", arg);
	VEC_PUSH(&d->outputs, output);
	return 0;
}

/* one word of --fail-on; false: it is none */
static bool add_limit(struct diff *d, const char *word)
{
	if (strcmp(word, "none") == 0)
		return true;
	if (strncmp(word, "growth=", 7) == 0) {
		d->has_limit = true;
		return check_number(word + 7, &d->limit);
	}
	if (strncmp(word, "total-growth=", 13) == 0) {
		d->has_total_limit = true;
		return check_number(word + 13, &d->total_limit);
	}
	return false;
}

static bool add_by(struct diff *d, const char *word)
{
	static const char *const names[DIFF_BYS] = {
		[DIFF_SITE] = "site",
		[DIFF_CACHE] = "cache",
		[DIFF_TYPE] = "type",
	};

	for (int i = 0; i < DIFF_BYS; i++) {
		if (strcmp(names[i], word) != 0)
			continue;
		d->by |= 1U << i;
		return true;
	}
	return false;
}

/* calls fn for each word between commas; false: one of them is wrong */
static bool each_word(struct diff *d, const char *list,
		      bool (*fn)(struct diff *d, const char *word))
{
	for (;; list++) {
		size_t n = strcspn(list, ",");
		_free_ char *word = mem_strndup(list, n);

		if (!fn(d, word))
			return false;
		list += n;
		if (!*list)
			return true;
	}
}

enum {
	OPT_BY = 1,
	OPT_TOP,
	OPT_OLD_EXE,
	OPT_NEW_EXE,
};

static int take_option(struct diff *d, int code, const char *arg)
{
	uint64_t n = 0;

	switch (code) {
	case CHECK_FORMAT:
		return add_output(d, arg);
	case CHECK_FAIL_ON:
		d->has_limit = false;
		d->has_total_limit = false;
		if (!each_word(d, arg, add_limit))
			return opt_usage(VERB,
					 "--fail-on is a list of growth=BYTES, "
					 "total-growth=BYTES, none; not ",
					 arg);
		return 0;
	case CHECK_EXIT_CODE:
		if (!check_number(arg, &n) || n > 255)
			return opt_usage(VERB,
					 "that is no number for it: ", arg);
		d->exit_code = (int)n;
		return 0;
	case CHECK_SOURCE_ROOT:
		return check_option(d->check, code, arg);
	case OPT_BY:
		d->by = 0;
		if (!each_word(d, arg, add_by))
			return opt_usage(VERB,
					 "--by is a list of site, cache, type; "
					 "not ",
					 arg);
		return 0;
	case OPT_TOP:
		if (!check_number(arg, &d->top))
			return opt_usage(VERB,
					 "that is no number for it: ", arg);
		return 0;
	case OPT_OLD_EXE:
		d->old.exe = arg;
		return 0;
	default:
		d->new.exe = arg;
		return 0;
	}
}

static const struct option long_options[] = {
	{"format", required_argument, NULL, CHECK_FORMAT},
	{"fail-on", required_argument, NULL, CHECK_FAIL_ON},
	{"exit-code", required_argument, NULL, CHECK_EXIT_CODE},
	{"source-root", required_argument, NULL, CHECK_SOURCE_ROOT},
	{"by", required_argument, NULL, OPT_BY},
	{"top", required_argument, NULL, OPT_TOP},
	{"old-exe", required_argument, NULL, OPT_OLD_EXE},
	{"new-exe", required_argument, NULL, OPT_NEW_EXE},
	{"help", no_argument, NULL, 'h'},
	{0},
};

/* returns -1 to go on, or the exit status */
static int parse(struct diff *d, int argc, char **argv)
{
	int status = 0;
	int c = 0;

	opterr = 0; /* we say it, in one line */
	optind = 0;
	while ((c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
		if (c == 'h')
			return opt_help(help_text);
		status = opt_wrong(VERB, c, argv);
		if (status)
			return status;
		status = take_option(d, c, optarg);
		if (status)
			return status;
	}
	if (optind + 2 != argc)
		return opt_usage(VERB,
				 "two dumps are compared, an old and a new one",
				 NULL);
	if (d->outputs.n == 0)
		(void)add_output(d, "text"); /* there is that format */
	status = check_prepare(d->check);
	return status ? status : -1;
}

/* ---- the output ---------------------------------------------------------- */

struct rendering {
	const struct diff *d;
	const struct diff_output *output;
};

static void render(const void *arg, FILE *out)
{
	const struct rendering *r = arg;

	r->output->print(r->d, out);
}

static struct err *write_output(const struct diff *d,
				const struct diff_output *o)
{
	struct rendering r = {d, o};

	if (o->path)
		return check_write_file(o->path, render, &r);
	render(&r, stdout);
	errno = 0;
	if (fflush(stdout) || ferror(stdout))
		return err_new(ERR_IO, "standard output: %s",
			       strerror(errno ? errno : EIO));
	return NULL;
}

/* what the reader of the numbers ought to know */
static void print_trouble(const struct diff *d)
{
	const struct diff_dump *const dumps[] = {&d->old, &d->new};

	for (int i = 0; i < 2; i++)
		if (dumps[i]->trouble)
			fprintf(stderr, "pmdb: %s: %s\n", dumps[i]->path,
				dumps[i]->trouble);
	if (d->is_same_process && d->old.now_ns && d->new.now_ns &&
	    d->old.now_ns > d->new.now_ns)
		fprintf(stderr,
			"pmdb: %s was made after %s: the old one is named "
			"first\n",
			d->old.path, d->new.path);
}

static int compare(struct diff *d)
{
	struct err *err = diff_look(d, &d->old);

	if (!err)
		err = diff_look(d, &d->new);
	if (!err)
		err = diff_match(d);
	if (!err)
		print_trouble(d);
	for (size_t i = 0; !err && i < d->outputs.n; i++)
		err = write_output(d, &d->outputs.v[i]);
	if (!err)
		return d->is_over ? d->exit_code : PMDB_CLEAN;
	fprintf(stderr, "pmdb: %s\n", err->msg);
	err_free(err);
	return PMDB_NO_VERDICT;
}

int diff_main(int argc, char **argv)
{
	struct diff d = {
		.check = check_create(stdout),
		.by = (1U << DIFF_BYS) - 1,
		.top = 20,
		.exit_code = PMDB_FINDINGS,
	};
	int status = parse(&d, argc, argv);

	if (status < 0) {
		d.old.path = argv[optind];
		d.new.path = argv[optind + 1];
		status = compare(&d);
	}
	for (int by = 0; by < DIFF_BYS; by++) {
		VEC_FREE(&d.groups[by]);
		mem_free(d.missing[by]);
	}
	diff_dump_fini(&d.old);
	diff_dump_fini(&d.new);
	VEC_FREE(&d.outputs);
	check_destroy(d.check);
	return status;
}
