/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A summary in GitHub's Markdown, for $GITHUB_STEP_SUMMARY or a comment: a table
 * of findings, largest first as in the text, and their stacks behind a fold.  A
 * summary may have 1 MiB; fifty stacks of a hundred frames are below that.
 */
#include "pmdb/check_impl.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define ROWS_MAX   200
#define STACKS_MAX 50
#define FRAMES_MAX 60

/* what Markdown or HTML could read is escaped */
void check_put_markdown(FILE *out, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c == 0x7f)
			fputc(' ', out);
		else if (c == '<')
			fputs("&lt;", out);
		else if (c == '>')
			fputs("&gt;", out);
		else if (c == '&')
			fputs("&amp;", out);
		else if (ispunct(c) && !strchr("/.,:;+-=%'\"", c))
			fprintf(out, "\\%c", c);
		else
			fputc(c, out);
	}
}

/* the same within <pre> */
static void put_pre(FILE *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '<')
			fputs("&lt;", out);
		else if (*s == '>')
			fputs("&gt;", out);
		else if (*s == '&')
			fputs("&amp;", out);
		else if (*s == '\n' || (unsigned char)*s >= 0x20)
			fputc(*s, out);
		else
			fputc(' ', out);
	}
}

static void put_row(FILE *out, const struct item *item)
{
	const struct check_frame *f = check_where(item);
	struct strbuf sb = {0};

	if (item_is_buffers(item))
		fprintf(out, "| %" PRIu64 " | %" PRIu64 " ", item->bytes,
			item->nbufs);
	else
		fputs("| - | - ", out);
	if (f)
		check_frame_words(f, &sb);
	else
		check_item_words(item, &sb);
	fprintf(out, "| %s%s | ", check_kind_name(item->kind),
		item->state == ITEM_KNOWN   ? " (known)"
		: item->state == ITEM_NOTED ? " (tolerated)"
					    : "");
	check_put_markdown(out, strbuf_str(&sb));
	fprintf(out, " | `%016" PRIx64 "` |\n", item->fingerprint);
	strbuf_free(&sb);
}

static void put_stack(FILE *out, const struct item *item)
{
	struct strbuf sb = {0};

	check_item_words(item, &sb);
	strbuf_putc(&sb, '\n');
	for (size_t i = 0; i < item->stack.n && i < FRAMES_MAX; i++) {
		strbuf_printf(&sb, "  #%zu ", i);
		check_frame_words(item->stack.v[i], &sb);
		strbuf_putc(&sb, '\n');
	}
	put_pre(out, strbuf_str(&sb));
	fputc('\n', out);
	strbuf_free(&sb);
}

static void put_items(const struct verdict *v, FILE *out)
{
	size_t nrows = 0;
	size_t nstacks = 0;

	for (size_t i = 0; i < v->items.n; i++) {
		const struct item *item = &v->items.v[i];

		if (item->state == ITEM_SUPPRESSED)
			continue;
		if (nrows++ == 0)
			fputs("| bytes | buffers | kind | where | fingerprint "
			      "|\n|---:|---:|---|---|---|\n",
			      out);
		if (nrows <= ROWS_MAX)
			put_row(out, item);
	}
	if (nrows > ROWS_MAX)
		fprintf(out, "\n%zu more are in the report.\n",
			nrows - ROWS_MAX);
	if (nrows == 0)
		return;
	fputs("\n<details><summary>Stacks</summary>\n\n<pre>\n", out);
	for (size_t i = 0; i < v->items.n && nstacks < STACKS_MAX; i++)
		if (v->items.v[i].state == ITEM_FAILS) {
			put_stack(out, &v->items.v[i]);
			nstacks++;
		}
	fputs("</pre>\n\n</details>\n\n", out);
}

void check_print_markdown(const struct report *r, FILE *out)
{
	static const char *const words[] = {
		[PMDB_CLEAN] = "clean",
		[PMDB_FINDINGS] = "findings",
		[PMDB_NO_VERDICT] = "no verdict",
	};
	const char *status = r->status < 4 ? words[r->status] : "findings";

	fprintf(out, "### pmdb check: %s\n\n", status);
	for (size_t i = 0; i < r->n; i++) {
		const struct verdict *v = &r->v[i];
		struct strbuf sb = {0};

		check_summary_words(v, &sb);
		fputs("**", out);
		check_put_markdown(out, v->path);
		fputs("**: ", out);
		check_put_markdown(out, strbuf_str(&sb));
		fputs("\n\n", out);
		strbuf_free(&sb);
		put_items(v, out);
	}
}
