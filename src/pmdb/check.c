/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "pmdb check": the verdict on dumps, for people and for CI.
 *
 *   clean       everything could be looked at, and nothing was found
 *   findings    leaks, damage that is certain, or frees by the wrong call
 *   no verdict  something could not be looked at
 *
 * "Clean" is said only when nothing stood in the way.  Leaks of a dump that is
 * incomplete, or was taken in the middle of an operation of the allocator, are
 * printed but are no verdict.  Damage is certain when the dump is whole and the
 * allocator was at rest, or when the allocator reported it itself.
 */
#include "pmdb/pmdb.h"

#include <getopt.h>
#include <string.h>

#include "pmdb/check_impl.h"

/* ---- looking --------------------------------------------------------- */

static void no_verdict(struct verdict *v, struct err *err)
{
	if (!v->reason)
		v->reason = mem_strdup(err->msg);
	err_free(err);
}

static struct err *keep_finding(void *arg, const struct heap_finding *f)
{
	struct verdict *v = arg;

	VEC_PUSH(&v->findings, *f);
	return NULL;
}

/* counts what there is, so that an empty answer is known to be one */
static struct err *count_cache(void *arg, const struct heap_cache *c)
{
	size_t *n = arg;

	(void)c; /* that it is there is enough */
	(*n)++;
	return NULL;
}

static struct err *keep_mismatch(void *arg, const struct heap_mismatch *m)
{
	struct verdict *v = arg;

	VEC_PUSH(&v->mismatches, *m);
	return NULL;
}

static struct err *look(struct verdict *v)
{
	struct types_options opt = {0};
	size_t ncaches = 0;
	struct err *err = target_open_core(v->path, &v->target);

	if (!err)
		err = types_open(v->target, &opt, &v->types);
	if (!err)
		err = heap_open(v->target, v->types, &v->heap);
	if (!err)
		err = v->heap->ops->caches(v->heap, count_cache, &ncaches);
	if (!err && ncaches == 0)
		err = err_new(ERR_BADDATA, "the heap has no caches");
	if (!err)
		err = leaks_find(v->heap, &v->leaks);
	if (!err && v->heap->ops->verify)
		err = v->heap->ops->verify(v->heap, 0, keep_finding, v);
	if (!err && v->heap->ops->mismatches)
		err = v->heap->ops->mismatches(v->heap, &v->nmismatches,
					       keep_mismatch, v);
	return err;
}

/* is damage certain, or may it be the dump's own fault? */
static bool is_damage_certain(const struct verdict *v)
{
	const struct heap_health *h = &v->heap->health;

	if (target_info(v->target)->incomplete)
		return false;
	return h->has_panic || v->nmismatches > 0 ||
	       (h->is_quiescent && v->findings.n > 0);
}

static void judge(struct verdict *v)
{
	struct err *err = look(v);

	/* a file that is cut off explains whatever else is wrong with it */
	if (err && v->target && target_info(v->target)->incomplete)
		v->reason = mem_printf("the dump is incomplete: %s",
				       target_info(v->target)->incomplete);
	if (err)
		no_verdict(v, err);
	else if (v->leaks->inconclusive)
		v->reason = mem_strdup(v->leaks->inconclusive);
	if (v->heap && v->leaks && is_damage_certain(v))
		v->status = PMDB_FINDINGS;
	else if (v->reason)
		v->status = PMDB_NO_VERDICT;
	else
		v->status = v->leaks->nbufs || v->findings.n || v->nmismatches
				    ? PMDB_FINDINGS
				    : PMDB_CLEAN;
}

static void verdict_fini(struct verdict *v)
{
	leaks_free(v->leaks);
	heap_close(v->heap);
	types_close(v->types);
	target_close(v->target);
	VEC_FREE(&v->findings);
	VEC_FREE(&v->mismatches);
	mem_free(v->reason);
}

bool check_stack(const struct verdict *v, uint32_t id, struct heap_stack *ret)
{
	return id && v->heap->ops->stack &&
	       v->heap->ops->stack(v->heap, id, ret);
}

const char *check_alloc_kind(const struct verdict *v, const struct leak *l)
{
	struct heap_audit a;
	struct heap_buf b;

	bufset_get(v->heap, v->leaks->set, l->buf, &b);
	if (v->heap->ops->audit && v->heap->ops->audit(v->heap, &b, &a))
		return a.kind;
	return "";
}

/* ---- the commands ---------------------------------------------------- */

/* no verdict outranks findings, findings outrank clean */
static int worse(int a, int b)
{
	return a > b ? a : b;
}

int check_dumps(char *const paths[], size_t n, const struct check_options *opt,
		FILE *out)
{
	int status = PMDB_CLEAN;

	for (size_t i = 0; i < n; i++) {
		struct verdict v = {.path = paths[i]};

		judge(&v);
		if (opt && opt->is_json)
			check_print_json(&v, out);
		else
			check_print_text(&v, out);
		check_print_trouble(&v);
		status = worse(status, v.status);
		verdict_fini(&v);
	}
	/* a verdict nobody could read is none */
	if (fflush(out) || ferror(out))
		return PMDB_NO_VERDICT;
	return status;
}

static int usage(const char *what, const char *arg)
{
	fprintf(stderr, "pmdb: check: %s%s (see pmdb check --help)\n", what,
		arg ? arg : "");
	return PMDB_USAGE;
}

static const struct option long_options[] = {
	{"format", required_argument, NULL, 'f'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static const char help_text[] =
	"usage: pmdb check [--format text|json] DUMP...\n"
	"\n"
	"Says of each dump whether it shows leaks, heap corruption or frees by "
	"the wrong\ncall.  The last line is the verdict; JSON is one object a "
	"line.  Why there is none\n"
	"is said on standard error.\n"
	"\n"
	"Status: 0 clean, 1 findings, 2 usage, 3 no verdict; of several dumps "
	"the worst,\nno verdict before findings before clean.\n";

int check_main(int argc, char **argv)
{
	struct check_options opt = {0};
	int c = 0;

	opterr = 0; /* we say it, in one line */
	optind = 0;
	while ((c = getopt_long(argc, argv, ":f:h", long_options, NULL)) !=
	       -1) {
		switch (c) {
		case 'f':
			if (strcmp(optarg, "json") == 0)
				opt.is_json = 1;
			else if (strcmp(optarg, "text") == 0)
				opt.is_json = 0;
			else
				return usage("there is no format ", optarg);
			break;
		case 'h':
			fputs(help_text, stdout);
			return fflush(stdout) ? PMDB_NO_VERDICT : PMDB_CLEAN;
		case ':':
			return usage("an argument is missing after ",
				     argv[optind - 1]);
		default:
			return usage("there is no option ", argv[optind - 1]);
		}
	}
	if (optind == argc)
		return usage("no dump is named", NULL);
	return check_dumps(argv + optind, (size_t)(argc - optind), &opt,
			   stdout);
}
