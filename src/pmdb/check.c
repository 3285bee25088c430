/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "pmdb check": the verdict on dumps, for people and for CI; and what "pmdb run
 * --check" shares of it.  Every dump is looked at before a word is written, so
 * that a file of several formats is of all of them or not there at all.
 */
#include "pmdb/check_impl.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "pmdb/check_suppress.h"
#include "pmdb/options.h"

#define VERB "check"

struct check *check_create(FILE *out)
{
	struct check *check = mem_zalloc(sizeof(*check));

	check->out = out;
	check->exit_code = PMDB_FINDINGS;
	check->suppressions = mem_zalloc(sizeof(*check->suppressions));
	check->fail_on = 1U << ITEM_PANIC | 1U << ITEM_DAMAGE |
			 1U << ITEM_MISMATCH | 1U << ITEM_LEAK;
	return check;
}

void check_destroy(struct check *check)
{
	if (!check)
		return;
	VEC_FREE(&check->outputs);
	suppressions_fini(check->suppressions);
	mem_free(check->suppressions);
	mem_free(check->root);
	mem_free(check);
}

/* ---- options ------------------------------------------------------------- */

/* FORMAT or FORMAT=FILE */
static int add_output(struct check *check, const char *arg)
{
	size_t n = 0;
	struct check_output output = {0};

	if (opt_output(VERB, arg, &n, &output.path))
		return PMDB_USAGE;
	for (const struct check_format *f = check_formats; f->name; f++)
		if (strlen(f->name) == n && strncmp(f->name, arg, n) == 0)
			output.format = f;
	if (!output.format)
		return opt_usage(VERB, "there is no format ", arg);
	VEC_PUSH(&check->outputs, output);
	return 0;
}

static int set_fail_on(struct check *check, const char *arg)
{
	static const struct {
		const char *name;
		unsigned kinds;
	} words[] = {
		{"leaks", 1U << ITEM_LEAK},
		{"indirect", 1U << ITEM_INDIRECT},
		{"possible", 1U << ITEM_POSSIBLE},
		{"corruption",
		 1U << ITEM_PANIC | 1U << ITEM_DAMAGE | 1U << ITEM_MISMATCH},
		{"none", 0},
	};

	check->fail_on = 0;
	for (const char *p = arg;; p++) {
		size_t n = strcspn(p, ",");
		bool is_known = false;

		for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
			if (strlen(words[i].name) != n ||
			    strncmp(p, words[i].name, n) != 0)
				continue;
			check->fail_on |= words[i].kinds;
			is_known = true;
		}
		if (!is_known && n == 6 && strncmp(p, "growth", n) == 0)
			return opt_usage(
				VERB,
				"growth is between two dumps: pmdb diff "
				"has it",
				NULL);
		if (!is_known)
			return opt_usage(
				VERB,
				"--fail-on is a list of leaks, indirect, "
				"possible, corruption, none; not ",
				arg);
		p += n;
		if (*p == '\0')
			return 0;
	}
}

bool check_number(const char *arg, uint64_t *ret)
{
	static const char units[] = "KMG";
	char *end = NULL;
	const char *unit = NULL;

	errno = 0;
	*ret = strtoull(arg, &end, 10);
	if (end == arg || errno || *arg == '-')
		return false;
	unit = *end ? strchr(units, *end) : NULL;
	if (unit && end[1] == '\0' && *ret < 1ULL << 33) {
		*ret <<= 10 * (unit - units + 1);
		return true;
	}
	return *end == '\0';
}

static int set_number(const char *arg, uint64_t max, uint64_t *ret)
{
	if (!check_number(arg, ret) || *ret > max)
		return opt_usage(VERB, "that is no number for it: ", arg);
	return 0;
}

int check_option(struct check *check, int code, const char *arg)
{
	struct err *err = NULL;
	uint64_t n = 0;
	int status = 0;

	switch (code) {
	case CHECK_FORMAT:
		return add_output(check, arg);
	case CHECK_FAIL_ON:
		return set_fail_on(check, arg);
	case CHECK_MIN_BYTES:
		return set_number(arg, UINT64_MAX, &check->min_bytes);
	case CHECK_MAX_LEAKS:
		return set_number(arg, UINT64_MAX, &check->max_leaks);
	case CHECK_EXIT_CODE:
		status = set_number(arg, 255, &n);
		check->exit_code = (int)n;
		return status;
	case CHECK_SOURCE_ROOT:
		err = check_set_root(check, arg);
		break;
	case CHECK_SUPPRESSIONS:
		err = suppressions_read(check->suppressions, arg);
		break;
	case CHECK_BASELINE:
		err = baseline_read(check->suppressions, arg);
		break;
	case CHECK_WRITE_BASELINE:
		check->baseline_out = arg;
		break;
	case CHECK_GEN_SUPPRESSIONS:
		check->is_generating = true;
		check->suppressions_out = arg;
		break;
	case CHECK_FAIL_ON_UNUSED:
		check->is_unused_bad = true;
		break;
	default:
		return -1;
	}
	return err ? opt_complain(err, PMDB_USAGE) : 0;
}

int check_prepare(struct check *check)
{
	struct check_output text = {&check_formats[0], NULL};

	if (check->outputs.n == 0)
		VEC_PUSH(&check->outputs, text);
	if (!check->has_root) {
		struct err *err = check_set_root(check, NULL);

		if (err)
			return opt_complain(err, PMDB_USAGE);
	}
	return 0;
}

/* ---- the verdict --------------------------------------------------------- */

/* no verdict outranks findings, findings outrank clean */
static int worse(int a, int b)
{
	return a > b ? a : b;
}

/* what goes into a baseline is known from now on */
static void accept(struct verdict *v)
{
	for (size_t i = 0; i < v->items.n; i++)
		if (v->items.v[i].state == ITEM_FAILS)
			v->items.v[i].state = ITEM_KNOWN;
}

static void render_suppressions(const void *arg, FILE *out)
{
	check_print_suppressions(arg, out);
}

/* the last line of a report is the verdict: what is for the next time is
 * before it */
static struct err *write_all(const struct report *r)
{
	const struct check *check = r->check;
	struct err *err = NULL;

	if (check->is_generating && check->suppressions_out)
		err = check_write_file(check->suppressions_out,
				       render_suppressions, r);
	else if (check->is_generating)
		check_print_suppressions(r, check->out);
	if (!err && check->baseline_out)
		err = baseline_write(r, check->baseline_out);
	return err ? err : check_write(r);
}

int check_dumps(struct check *check, char *const paths[], size_t n,
		enum pmdb_status *ret)
{
	struct verdict *v = mem_array(n, sizeof(*v));
	struct report r = {check, v, n, PMDB_CLEAN};
	struct err *err = NULL;

	for (size_t i = 0; i < n; i++) {
		v[i].path = paths[i];
		check_judge(check, &v[i]);
		check_suppress(check->suppressions, &v[i]);
		if (check->baseline_out)
			accept(&v[i]);
		check_decide(check, &v[i]);
		r.status = worse(r.status, (int)v[i].status);
		if (ret)
			ret[i] = v[i].status;
	}
	if (suppressions_unused(check->suppressions) && check->is_unused_bad)
		r.status = worse(r.status, PMDB_FINDINGS);
	err = write_all(&r);
	for (size_t i = 0; i < n; i++) {
		check_print_trouble(&v[i]);
		verdict_fini(&v[i]);
	}
	mem_free(v);
	/* a verdict nobody could read is none */
	if (err)
		return opt_complain(err, PMDB_NO_VERDICT);
	return r.status == PMDB_FINDINGS ? check->exit_code : r.status;
}

/* ---- the command --------------------------------------------------------- */

static const struct option long_options[] = {
	CHECK_OPTION_ROWS,
	{"help", no_argument, NULL, 'h'},
	{0},
};

void check_help(FILE *out)
{
	fputs("  --format FORMAT[=FILE]  text, json, sarif, junit, github, "
	      "gitlab, markdown;\n"
	      "                          several at once\n"
	      "  --fail-on LIST          of leaks, indirect, possible, "
	      "corruption, none;\n"
	      "                          leaks,corruption if not said\n"
	      "  --min-bytes N           a leak of fewer bytes is tolerated\n"
	      "  --max-leaks N           up to N leaks are tolerated\n"
	      "  --exit-code N           the status of findings, instead of 1\n"
	      "  --source-root DIR       print paths relative to DIR\n"
	      "  --suppressions FILE     of LeakSanitizer's or valgrind's "
	      "suppressions\n"
	      "  --gen-suppressions[=FILE]  print such for what fails\n"
	      "  --fail-on-unused-suppressions\n"
	      "  --baseline FILE         what is in it is known, and no "
	      "finding\n"
	      "  --write-baseline FILE   write one of what is found now\n",
	      out);
}

static int help(void)
{
	puts("usage: pmdb check [OPTION]... DUMP...\n"
	     "\n"
	     "Says of each dump whether it shows leaks, heap corruption or "
	     "frees by the wrong\ncall.  The last line is the verdict; why "
	     "there is none is said on standard error.\n");
	check_help(stdout);
	puts("\n"
	     "Status: 0 clean, 1 findings, 2 usage, 3 no verdict; of several "
	     "dumps the worst,\nno verdict before findings before clean.");
	return fflush(stdout) ? PMDB_NO_VERDICT : PMDB_CLEAN;
}

/* returns -1 to go on, or the exit status */
static int parse(struct check *check, int argc, char **argv)
{
	int c = 0;

	opterr = 0; /* we say it, in one line */
	optind = 0;
	while ((c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
		int status = 0;

		if (c == 'h')
			return help();
		status = opt_wrong(VERB, c, argv);
		if (status)
			return status;
		status = check_option(check, c, optarg);
		if (status)
			return status;
	}
	if (optind == argc)
		return opt_usage(VERB, "no dump is named", NULL);
	return -1;
}

int check_main(int argc, char **argv)
{
	struct check *check = check_create(stdout);
	int status = parse(check, argc, argv);

	if (status < 0) {
		status = check_prepare(check);
		if (status == 0)
			status = check_dumps(check, argv + optind,
					     (size_t)(argc - optind), NULL);
	}
	check_destroy(check);
	return status;
}
