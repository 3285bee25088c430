/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The head of a report: who, when, and the verdict. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "pmdb/report_html.h"
#include "pmdb/report_impl.h"

static const char *verdict_css(const struct page *p)
{
	return p->v.status == PMDB_CLEAN      ? "good"
	       : p->v.status == PMDB_FINDINGS ? "bad"
					      : "unknown";
}

static const char *verdict_word(const struct page *p)
{
	return p->v.status == PMDB_CLEAN      ? "Clean"
	       : p->v.status == PMDB_FINDINGS ? "Findings"
					      : "No verdict";
}

static void put_fact(FILE *o, const char *name, const char *value)
{
	if (!value || !*value)
		return;
	fprintf(o, "<dt>%s</dt><dd>", name);
	html_text(o, value);
	fputs("</dd>\n", o);
}

static void put_time(FILE *o, uint64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / 1000000000);
	char text[32];
	struct tm tm;

	if (!wall_ns || !gmtime_r(&seconds, &tm) ||
	    !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		return;
	fprintf(o, "<dt>Taken</dt><dd><time datetime=\"%s\">", text);
	(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
	fprintf(o, "%s</time></dd>\n", text);
}

static void put_facts(const struct page *p, FILE *o)
{
	const struct target_info *info = target_info(p->e.target);

	fputs("<dl class=\"facts\">\n", o);
	put_fact(o, "Command", info->psargs);
	put_fact(o, "Dump", p->path);
	put_time(o, info->snap_wall_ns);
	put_fact(o, "Heap", p->e.heap->ops->name);
	fprintf(o, "<dt>Threads</dt><dd>%zu</dd>\n",
		target_nthreads(p->e.target));
	if (info->signo)
		put_fact(o, "Ended by", strsignal(info->signo));
	put_fact(o, "Incomplete", info->incomplete);
	put_fact(o, "Names missing", p->v.trouble);
	fputs("</dl>\n", o);
}

static void begin_tile(FILE *o, const char *name, const char *css)
{
	fprintf(o,
		"<li class=\"tile %s\"><span class=\"label\">%s</span> "
		"<span class=\"value\">",
		css, name);
}

static void put_buffers_tile(FILE *o, const char *name, const char *css,
			     uint64_t bytes, uint64_t nbufs)
{
	begin_tile(o, name, css);
	html_size(o, bytes);
	fputs("</span> <span class=\"sub\">", o);
	html_count(o, nbufs);
	fputs(nbufs == 1 ? " buffer</span></li>\n" : " buffers</span></li>\n",
	      o);
}

static void put_tiles(const struct page *p, FILE *o)
{
	const struct leaks *leaks = p->e.leaks;
	size_t ndamage = verdict_ncorruptions(&p->v);

	fputs("<ul class=\"tiles\">\n", o);
	put_buffers_tile(o, "Live", "", leaks->live_bytes, leaks->nlive);
	put_buffers_tile(o, "Leaked", leaks->nbufs ? "bad" : "good",
			 leaks->bytes, leaks->nbufs);
	put_buffers_tile(o, "Possibly leaked", "", leaks->interior_bytes,
			 leaks->ninterior);
	begin_tile(o, "Corruption", ndamage ? "bad" : "good");
	html_count(o, ndamage);
	fputs(ndamage == 1 ? "</span> <span class=\"sub\">finding"
			   : "</span> <span class=\"sub\">findings",
	      o);
	fputs("</span></li>\n", o);
	begin_tile(o, "Mismatched frees", p->v.nmismatches ? "bad" : "good");
	html_count(o, p->v.nmismatches);
	fputs("</span> <span class=\"sub\">by the wrong call</span></li>\n", o);
	put_buffers_tile(o, "Free in caches", "", p->map.free_bytes,
			 p->map.nfree);
	fputs("</ul>\n", o);
}

/* the verdict stands before its reason already */
static const char *without(const char *text, const char *begin)
{
	size_t n = strlen(begin);

	return strncmp(text, begin, n) == 0 ? text + n : text;
}

void report_head(const struct page *p, FILE *o)
{
	struct strbuf words = {0};

	check_summary_words(&p->v, &words);
	fputs("<header>\n<p class=\"brand\">pmdb report</p>\n<h1>", o);
	html_text(o, p->v.program && *p->v.program ? p->v.program : "?");
	fprintf(o, " <small>process %u</small></h1>\n", p->v.pid);
	fprintf(o, "<p class=\"verdict %s\"><strong>%s</strong> <span>",
		verdict_css(p), verdict_word(p));
	html_text(o, without(strbuf_str(&words), p->v.status == PMDB_CLEAN
							 ? "clean, "
							 : "no verdict: "));
	fputs("</span></p>\n", o);
	put_tiles(p, o);
	put_facts(p, o);
	fputs("</header>\n", o);
	strbuf_free(&words);
}
