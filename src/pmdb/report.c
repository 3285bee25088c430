/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "pmdb report": a dump as a page to look at.  One file that opens from disk
 * and asks the network for nothing; its security policy allows its own style
 * and script, by their hashes, and nothing else.  All it says is in tables that
 * need no script, which only sorts, searches and zooms.
 */
#include "pmdb/pmdb.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "pmdb/options.h"
#include "pmdb/report_html.h"
#include "pmdb/report_impl.h"
#include "shell/session.h"

#define VERB      "report"
#define MAP_CELLS 128 /* in a row of a large heap; of a small one 32 */
#define MAP_ROWS  64

/* ---- what is told ---------------------------------------------------- */

static struct err *take_buf(void *arg, const struct heap_buf *b)
{
	struct page *p = arg;

	if (b->state == BUF_ALLOCATED && b->cache) {
		(*hash_put(&p->live, b->cache, NULL))++;
	} else if (b->state == BUF_ALLOCATED) {
		p->nlarge++;
		p->large_bytes += b->req_bytes;
	}
	return pagemap_add(&p->map, b->addr, b->size_bytes,
			   b->state == BUF_ALLOCATED);
}

static bool has_stacks(const struct profile *p)
{
	for (size_t i = 0; i < p->sites.n; i++)
		if (p->sites.v[i].stack)
			return true;
	return false;
}

/* what ::kmem_verify -v says; it looks at the dump by itself */
static struct err *tell_stories(const char *path, char **ret)
{
	struct session_options so = {0};
	struct target *target = NULL;
	struct types *types = NULL;
	size_t n = 0;
	struct err *err = target_open_core(path, &target);

	if (!err)
		err = types_open(target, &so.types, &types);
	if (!err) {
		so.out = open_memstream(ret, &n);
		if (!so.out)
			err = err_new(ERR_IO, "%s", strerror(errno));
	}
	if (err) {
		types_close(types);
		target_close(target);
		return err;
	}
	struct session *s = session_create(target, types, &so);

	session_string(s, "::kmem_verify -v");
	session_destroy(s);
	if (fclose(so.out))
		err = err_new(ERR_IO, "%s", strerror(errno));
	return err;
}

static struct err *learn(struct page *p)
{
	struct heap *heap = p->e.heap;
	struct err *err = profile_build(heap, p->e.leaks, &p->profile);

	p->has_stacks = has_stacks(&p->profile);
	if (!err)
		err = heap->ops->bufs(heap, 0, BUF_ANY, take_buf, p);
	if (!err)
		err = past_read(p, &p->past);
	pagemap_shape(&p->map,
		      p->map.pages.n > (size_t)MAP_CELLS * 4 ? MAP_CELLS
							     : MAP_CELLS / 4,
		      MAP_ROWS, 0);
	if (!err && p->e.findings.n)
		err = tell_stories(p->path, &p->stories);
	if (!err && !p->stories)
		p->stories = mem_strdup("");
	return err;
}

/* ---- the page -------------------------------------------------------- */

static void put_begin(const struct page *p, FILE *o)
{
	fprintf(o,
		"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
		"<meta charset=\"utf-8\">\n"
		"<meta http-equiv=\"Content-Security-Policy\" "
		"content=\"default-src 'none'; style-src '%s'; "
		"script-src '%s'; base-uri 'none'; form-action 'none'\">\n"
		"<meta name=\"viewport\" content=\"width=device-width, "
		"initial-scale=1\">\n"
		"<meta name=\"color-scheme\" content=\"light dark\">\n"
		"<meta name=\"generator\" content=\"pmdb %s\">\n<title>",
		report_css_hash, report_js_hash, PMDB_VERSION);
	html_text(o, p->v.program ? p->v.program : "?");
	fprintf(o, " %u: heap report</title>\n<style>", p->v.pid);
	fputs(report_css, o);
	fputs("</style>\n</head>\n<body>\n"
	      "<a class=\"skip\" href=\"#damage\">Skip to the findings</a>\n",
	      o);
}

static void put_nav(FILE *o)
{
	static const struct {
		const char *id, *name;
	} parts[] = {
		{"damage", "Corruption"},   {"leaks", "Leaks"},
		{"live", "Live memory"},    {"caches-section", "Caches"},
		{"map-section", "Map"},     {"time", "Time"},
		{"distributions", "Sizes"},
	};

	fputs("<nav aria-label=\"Sections\"><ul>", o);
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		fprintf(o, "<li><a href=\"#%s\">%s</a></li>", parts[i].id,
			parts[i].name);
	fputs("</ul></nav>\n", o);
}

static struct err *put_page(const struct page *p, FILE *o)
{
	struct err *err = NULL;

	put_begin(p, o);
	report_head(p, o);
	put_nav(o);
	fputs("<main>\n", o);
	report_findings(p, o);
	report_sites(p, o);
	err = report_caches(p, o);
	report_map(p, o);
	report_past(p, o);
	report_distributions(p, o);
	fprintf(o, "</main>\n<footer>pmdb %s</footer>\n<script>", PMDB_VERSION);
	fputs(report_js, o);
	fputs("</script>\n</body>\n</html>\n", o);
	return err;
}

static void write_text(const void *arg, FILE *o)
{
	fputs(arg, o);
}

/* it is made in memory, where how large it gets is known */
static struct err *write_page(const struct page *p, const char *out)
{
	char *text = NULL;
	size_t n = 0;
	FILE *o = open_memstream(&text, &n);
	struct err *err = NULL;

	if (!o)
		return err_new(ERR_IO, "%s", strerror(errno));
	err = put_page(p, o);
	if (fclose(o) && !err)
		err = err_new(ERR_IO, "%s", strerror(errno));
	if (!err && strcmp(out, "-") != 0) {
		err = check_write_file(out, write_text, text);
	} else if (!err) {
		write_text(text, stdout);
		if (fflush(stdout) || ferror(stdout))
			err = err_new(ERR_IO, "standard output: %s",
				      strerror(errno));
	}
	free(text); /* of open_memstream() */
	return err;
}

/* ---- the command ----------------------------------------------------- */

static const char help_text[] =
	"usage: pmdb report -o FILE DUMP\n"
	"\n"
	"Writes one HTML file to look at: the verdict, leaks and damage with "
	"their stacks,\nwho has the memory, caches, a map of the heap, live "
	"bytes over time, sizes and\nlifetimes.  It needs no network.\n"
	"\n"
	"-o, --output FILE      written when it is whole; - is standard "
	"output\n"
	"    --source-root DIR  paths of sources are relative to it\n"
	"\n"
	"Status: 0 written (whatever the verdict), 2 usage, 3 it could not "
	"be.\n";

static const struct option long_options[] = {
	{"output", required_argument, NULL, 'o'},
	{"source-root", required_argument, NULL, CHECK_SOURCE_ROOT},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static int report_dump(const struct check *check, const char *path,
		       const char *out)
{
	struct page p = {.path = path, .check = check, .v.path = path};
	struct err *err = NULL;
	int status = PMDB_CLEAN;

	pagemap_init(&p.map);
	hash_init(&p.live);
	check_judge_open(check, &p.v, &p.e);
	check_decide(check, &p.v);
	if (!p.e.heap || !p.e.leaks) {
		check_print_trouble(&p.v);
		status = PMDB_NO_VERDICT;
	} else {
		err = err_prefix(learn(&p), "%s", path);
		if (!err)
			err = write_page(&p, out);
		if (err)
			status = opt_complain(err, PMDB_NO_VERDICT);
		else
			check_print_trouble(&p.v);
	}
	profile_fini(&p.profile);
	pagemap_fini(&p.map);
	hash_fini(&p.live);
	mem_free(p.stories);
	verdict_fini(&p.v);
	evidence_fini(&p.e);
	return status;
}

/* returns -1 to go on, or the exit status */
static int parse(struct check *check, int argc, char **argv, const char **out)
{
	int c = 0;
	int status = 0;

	opterr = 0; /* we say it, in one line */
	optind = 0;
	while ((c = getopt_long(argc, argv, ":o:h", long_options, NULL)) !=
	       -1) {
		switch (c) {
		case 'o':
			*out = optarg;
			break;
		case CHECK_SOURCE_ROOT:
			status = check_option(check, c, optarg);
			if (status)
				return status;
			break;
		case 'h':
			return opt_help(help_text);
		default:
			return opt_wrong(VERB, c, argv);
		}
	}
	if (!*out)
		return opt_usage(VERB, "-o FILE is missing", NULL);
	if (optind + 1 != argc)
		return opt_usage(VERB, "one dump is reported", NULL);
	status = check_prepare(check);
	return status ? status : -1;
}

int report_main(int argc, char **argv)
{
	struct check *check = check_create(stdout);
	const char *out = NULL;
	int status = parse(check, argc, argv, &out);

	if (status < 0)
		status = report_dump(check, argv[optind], out);
	check_destroy(check);
	return status;
}
