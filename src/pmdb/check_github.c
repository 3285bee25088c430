/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Annotations of GitHub Actions: workflow commands, a line each.  A step may make
 * ten, the rest is dropped without a word, so the last says how many more there
 * are.  Text of a dump is escaped: it must not be a command of its own.
 */
#include "pmdb/check_impl.h"

#include <inttypes.h>
#include <string.h>

#define ANNOTATIONS_MAX 10

/* data, or with more escaped a property */
static void put(FILE *out, const char *s, bool is_property)
{
	for (; *s; s++) {
		if (*s == '%' || *s == '\r' || *s == '\n' ||
		    (is_property && (*s == ':' || *s == ',')))
			fprintf(out, "%%%02X", (unsigned char)*s);
		else
			fputc(*s, out);
	}
}

static void put_item(FILE *out, const struct item *item)
{
	const struct check_frame *f = check_where(item);
	struct strbuf words = {0};
	struct strbuf text = {0};

	check_item_words(item, &words);
	fputs("::error ", out);
	if (f && f->is_inside) {
		fputs("file=", out);
		put(out, f->path, true);
		fprintf(out, ",line=%d,", f->line);
	}
	fputs("title=", out);
	put(out, "pmdb: ", true);
	put(out, check_kind_name(item->kind), true);
	strbuf_printf(&text, "%s [%016" PRIx64 "]", strbuf_str(&words),
		      item->fingerprint);
	for (size_t i = 0; i < item->stack.n; i++) {
		strbuf_printf(&text, "\n#%zu ", i);
		check_frame_words(item->stack.v[i], &text);
	}
	fputs("::", out);
	put(out, strbuf_str(&text), false);
	fputc('\n', out);
	strbuf_free(&words);
	strbuf_free(&text);
}

void check_print_github(const struct report *r, FILE *out)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++) {
		const struct verdict *v = &r->v[i];

		if (v->status == PMDB_NO_VERDICT && n++ < ANNOTATIONS_MAX - 1) {
			fputs("::error title=pmdb%3A no verdict::", out);
			put(out, v->path, false);
			fputs(": ", out);
			put(out, v->reason, false);
			fputc('\n', out);
		}
		for (size_t k = 0; k < v->items.n; k++)
			if (v->items.v[k].state == ITEM_FAILS &&
			    n++ < ANNOTATIONS_MAX - 1)
				put_item(out, &v->items.v[k]);
	}
	if (n > ANNOTATIONS_MAX - 1)
		fprintf(out,
			"::error title=pmdb%%3A more findings::%zu more "
			"findings are in the report\n",
			n - (ANNOTATIONS_MAX - 1));
}
