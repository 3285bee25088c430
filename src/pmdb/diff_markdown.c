/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A diff in GitHub's Markdown, for a job summary or a comment: tables of what
 * changed, as many rows of each as people are shown. */
#include "pmdb/diff_impl.h"

#include <inttypes.h>

/* a call site in a line: the frame to look at, or the cache */
static void put_where(FILE *out, const struct diff_key *key)
{
	const struct item item = {.stack = key->stack};
	const struct check_frame *f = check_where(&item);
	struct strbuf sb = {0};

	if (f)
		check_frame_words(f, &sb);
	else
		strbuf_puts(&sb, key->name ? key->name : "(not known)");
	check_put_markdown(out, strbuf_str(&sb));
	strbuf_free(&sb);
}

static void put_group(FILE *out, const struct diff *d, enum diff_by by,
		      const struct diff_group *g)
{
	fprintf(out,
		"| %+" PRId64 " | %+" PRId64 " | %" PRIu64 " | %" PRIu64
		" | %s%s | ",
		diff_growth(g), diff_growth_bufs(g), g->sum[DIFF_OLD].bytes,
		g->sum[DIFF_NEW].bytes, diff_state_name(g->state),
		g->is_over ? " **over the limit**" : "");
	put_where(out, diff_key_of(g));
	if (by == DIFF_SITE)
		fprintf(out, " `%016" PRIx64 "`", g->fingerprint);
	if (d->is_same_process)
		fprintf(out,
			" | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64,
			g->sum[DIFF_SURVIVED].nbufs, g->sum[DIFF_ADDED].nbufs,
			g->sum[DIFF_FREED].nbufs, g->sum[DIFF_UNKNOWN].nbufs);
	fputs(" |\n", out);
}

static void put_groups(FILE *out, const struct diff *d, enum diff_by by)
{
	static const char *const titles[DIFF_BYS] = {
		[DIFF_SITE] = "call site",
		[DIFF_CACHE] = "cache",
		[DIFF_TYPE] = "type",
	};
	size_t nchanged = d->groups[by].n - d->nstates[by][STATE_SAME];
	size_t n = d->top && d->top < nchanged ? d->top : nchanged;

	if (!(d->by & 1U << by) || (n == 0 && !d->missing[by]))
		return;
	if (d->missing[by]) {
		fprintf(out, "By %s: ", titles[by]);
		check_put_markdown(out, d->missing[by]);
		fputs("\n\n", out);
		return;
	}
	fprintf(out,
		"| growth | buffers | old bytes | new bytes | state | %s |%s\n",
		titles[by],
		d->is_same_process
			? " outlived both | came | went | cannot be told |"
			: "");
	fprintf(out, "|---:|---:|---:|---:|---|---|%s\n",
		d->is_same_process ? "---:|---:|---:|---:|" : "");
	for (size_t i = 0; i < n; i++)
		put_group(out, d, by, &d->groups[by].v[i]);
	if (n < nchanged)
		fprintf(out, "\n%zu more are in the report.\n", nchanged - n);
	fputc('\n', out);
}

void diff_print_markdown(const struct diff *d, FILE *out)
{
	struct strbuf sb = {0};

	fprintf(out, "### pmdb diff: %s\n\n",
		d->is_over ? "growth over the limit" : "clean");
	diff_summary_words(d, &sb);
	fputs("**", out);
	check_put_markdown(out, d->old.path);
	fputs("** to **", out);
	check_put_markdown(out, d->new.path);
	fputs("**: ", out);
	check_put_markdown(out, strbuf_str(&sb));
	fputs("\n\n", out);
	for (int by = 0; by < DIFF_BYS; by++)
		put_groups(out, d, (enum diff_by)by);
	strbuf_free(&sb);
}
