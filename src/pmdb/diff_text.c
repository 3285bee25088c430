/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A diff for people: what grew most first, and as much of it as fits a screen. */
#include "pmdb/diff_impl.h"

#include <inttypes.h>
#include <string.h>

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

bool diff_time_words(const struct diff *d, struct strbuf *sb)
{
	uint64_t from = d->old.now_ns;
	uint64_t to = d->new.now_ns;

	/* the clock of records begins anew with the machine */
	if (!d->is_same_process || !from || !to) {
		from = d->old.wall_ns;
		to = d->new.wall_ns;
	}
	if (!from || !to)
		return false;
	double s = (double)(int64_t)(to - from) / 1e9;

	if (s < 10 && s > -10)
		strbuf_printf(sb, "%.3f s", s);
	else if (s < 120 && s > -120)
		strbuf_printf(sb, "%.1f s", s);
	else if (s < 7200 && s > -7200)
		strbuf_printf(sb, "%.1f minutes", s / 60);
	else
		strbuf_printf(sb, "%.1f hours", s / 3600);
	return true;
}

void diff_states_words(const struct diff *d, enum diff_by by, struct strbuf *sb)
{
	size_t start = sb->n;

	for (int i = 0; i < STATE_SAME; i++)
		if (d->nstates[by][i])
			strbuf_printf(sb, "%s%zu %s", sb->n > start ? ", " : "",
				      d->nstates[by][i],
				      diff_state_name((enum diff_state)i));
	if (sb->n == start)
		strbuf_puts(sb, "no change");
}

static void put_limit(struct strbuf *sb, const struct diff *d)
{
	static const char *const names[DIFF_BYS] = {
		[DIFF_SITE] = "call site",
		[DIFF_CACHE] = "cache",
		[DIFF_TYPE] = "type",
	};

	if (!d->has_limit && !d->has_total_limit)
		return;
	if (!d->is_over) {
		strbuf_puts(sb, "; nothing over the limit");
		return;
	}
	strbuf_puts(sb, "; over the limit: ");
	if (d->nover)
		strbuf_printf(sb, "%zu %s%s", d->nover, names[d->over_by],
			      plural(d->nover));
	if (d->total.is_over)
		strbuf_puts(sb, d->nover ? " and the heap as a whole"
					 : "the heap as a whole");
}

void diff_summary_words(const struct diff *d, struct strbuf *sb)
{
	enum diff_by by = d->missing[DIFF_SITE] ? DIFF_CACHE : DIFF_SITE;

	strbuf_printf(sb, "%+" PRId64 " bytes, %+" PRId64 " buffers; %s: ",
		      diff_growth(&d->total), diff_growth_bufs(&d->total),
		      by == DIFF_SITE ? "call sites" : "caches");
	diff_states_words(d, by, sb);
	put_limit(sb, d);
}

/* ---- the head ------------------------------------------------------------ */

static void put_dump(FILE *out, const char *what, const struct diff_dump *dump,
		     const struct check_counts *sum)
{
	fprintf(out,
		"%s %s: %s, process %u: %" PRIu64 " byte%s in %" PRIu64
		" buffer%s\n",
		what, dump->path,
		dump->psargs[0] ? dump->psargs : dump->program, dump->pid,
		sum->bytes, plural(sum->bytes), sum->nbufs, plural(sum->nbufs));
}

static void put_share(FILE *out, const struct diff *d)
{
	int64_t growth = diff_growth(&d->total);
	uint64_t was = d->total.sum[DIFF_OLD].bytes;

	fprintf(out, "growth: %+" PRId64 " bytes", growth);
	if (was)
		fprintf(out, " (%+.1f%%)",
			100.0 * (double)growth / (double)was);
	fprintf(out, ", %+" PRId64 " buffers\n", diff_growth_bufs(&d->total));
}

/* what became of the old buffers, and where the new ones are from */
static void put_fates(FILE *out, const char *indent, const struct diff_group *g)
{
	const struct check_counts *sum = g->sum;
	const char *comma = "";

	fputs(indent, out);
	if (sum[DIFF_SURVIVED].nbufs) {
		fprintf(out, "%" PRIu64 " outlived both",
			sum[DIFF_SURVIVED].nbufs);
		comma = ", ";
	}
	if (sum[DIFF_UNKNOWN].nbufs) {
		fprintf(out, "%s%" PRIu64 " at an old address", comma,
			sum[DIFF_UNKNOWN].nbufs);
		comma = ", ";
	}
	fprintf(out, "%s%" PRIu64 " came", comma, sum[DIFF_ADDED].nbufs);
	if (sum[DIFF_REPLACED].nbufs)
		fprintf(out, " (%" PRIu64 " where another was)",
			sum[DIFF_REPLACED].nbufs);
	if (sum[DIFF_ADDED].nbufs && g->addr)
		fprintf(out, ", such as 0x%" PRIx64, g->addr);
	if (sum[DIFF_OLD].nbufs == 0)
		fputc('\n', out);
	else if (sum[DIFF_FREED].nbufs == 0)
		fputs("; none went\n", out);
	else
		fprintf(out, "; %" PRIu64 " went\n", sum[DIFF_FREED].nbufs);
}

static void put_head(FILE *out, const struct diff *d)
{
	struct strbuf sb = {0};
	bool has_time = diff_time_words(d, &sb);

	put_dump(out, "old:", &d->old, &d->total.sum[DIFF_OLD]);
	put_dump(out, "new:", &d->new, &d->total.sum[DIFF_NEW]);
	fprintf(out, "%s%s%s%s\n",
		d->is_same_process ? "one process"
		: d->is_same_build ? "two processes of one build"
				   : "two builds",
		has_time ? ", " : "", strbuf_str(&sb),
		has_time ? " between them" : "");
	put_share(out, d);
	if (d->is_same_process)
		put_fates(out, "", &d->total);
	if (d->is_same_process && d->total.sum[DIFF_UNKNOWN].nbufs)
		fputs("(whether a buffer at an old address is the same or "
		      "another cannot be told: no allocation of it is "
		      "recorded)\n",
		      out);
	strbuf_free(&sb);
}

/* ---- call sites ---------------------------------------------------------- */

static void put_site(FILE *out, const struct diff *d,
		     const struct diff_group *g)
{
	const struct diff_key *key = diff_key_of(g);
	struct strbuf sb = {0};

	fprintf(out,
		"%+" PRId64 " bytes, %+" PRId64 " buffers: %s, %" PRIu64
		" -> %" PRIu64 " bytes, %" PRIu64 " -> %" PRIu64
		" buffers of %s%s",
		diff_growth(g), diff_growth_bufs(g), diff_state_name(g->state),
		g->sum[DIFF_OLD].bytes, g->sum[DIFF_NEW].bytes,
		g->sum[DIFF_OLD].nbufs, g->sum[DIFF_NEW].nbufs, key->name,
		key->is_mixed ? " and others" : "");
	if (key->type && !d->missing[DIFF_TYPE])
		fprintf(out, " (%s%s)", key->type,
			key->is_motley ? " and others" : "");
	if (key->has_stack)
		fprintf(out, *key->call ? ", by %s at:" : ", at:", key->call);
	fprintf(out, " [%016" PRIx64 "]%s\n", g->fingerprint,
		g->is_over ? " over the limit" : "");
	if (d->is_same_process)
		put_fates(out, "  ", g);
	for (size_t i = 0; i < key->stack.n; i++)
		check_frame_line(&sb, key->stack.v[i], (unsigned)i, d->check);
	if (!key->has_stack)
		strbuf_puts(&sb, "    (no stack was recorded)\n");
	fprintf(out, "%s\n", strbuf_str(&sb));
	strbuf_free(&sb);
}

/* ---- tables -------------------------------------------------------------- */

static void put_row(FILE *out, const struct diff_group *g)
{
	const struct diff_key *key = diff_key_of(g);

	fprintf(out,
		"%+14" PRId64 " %+10" PRId64 " %14" PRIu64 " %14" PRIu64
		"  %-6s  %s%s\n",
		diff_growth(g), diff_growth_bufs(g), g->sum[DIFF_OLD].bytes,
		g->sum[DIFF_NEW].bytes, diff_state_name(g->state),
		key->name ? key->name : "(not known)",
		g->is_over ? "  over the limit" : "");
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
	struct strbuf sb = {0};

	if (!(d->by & 1U << by))
		return;
	diff_states_words(d, by, &sb);
	fprintf(out, "\nBy %s: %s\n", titles[by],
		d->missing[by] ? d->missing[by] : strbuf_str(&sb));
	strbuf_free(&sb);
	if (d->missing[by])
		return;
	if (n > 0 && by == DIFF_SITE)
		fputc('\n', out);
	else if (n > 0)
		fprintf(out, "%14s %10s %14s %14s  %-6s  %s\n", "growth",
			"buffers", "old bytes", "new bytes", "state",
			titles[by]);
	for (size_t i = 0; i < n; i++) {
		if (by == DIFF_SITE)
			put_site(out, d, &d->groups[by].v[i]);
		else
			put_row(out, &d->groups[by].v[i]);
	}
	if (n < nchanged)
		fprintf(out, "... and %zu more (--top 0 shows all)\n",
			nchanged - n);
}

void diff_print_text(const struct diff *d, FILE *out)
{
	struct strbuf sb = {0};

	put_head(out, d);
	for (int by = 0; by < DIFF_BYS; by++)
		put_groups(out, d, (enum diff_by)by);
	diff_summary_words(d, &sb);
	fprintf(out, "\npmdb: diff: %s\n", strbuf_str(&sb));
	strbuf_free(&sb);
}
