/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A page of the manual on a terminal.  Of Markdown it knows what the pages use:
 * "#" and "##" headings, paragraphs, tables, fenced blocks, `code` and
 * [links](to.md).
 *
 *	# ::name	-> NAME
 *	first sentence	   beside the name
 *	```usage	-> SYNOPSIS, OPTIONS
 *	paragraphs	-> DESCRIPTION
 *	## Example	-> EXAMPLE
 *
 * Up to the end of the usage the dcmd's row says the same (tests/lint/dcmds.t),
 * and is what is printed: it is the row that options are parsed by.
 */
#include "shell/help_page.h"

#include <ctype.h>

#include "shell/term.h"

enum {
	INDENT = 2,
	TABLE_COLUMNS = 8,
	COLUMN_MIN = 8, /* of a table, wide */
};

struct render {
	struct out *o;
	const char *p; /* what is left */
	size_t width;
};

/* ---- text ------------------------------------------------------------ */

/* columns a text takes: letters, not bytes */
static size_t columns_of(const char *s, size_t n)
{
	size_t column = 0;

	(void)term_advance(s, n, SIZE_MAX, &column);
	return column;
}

/* length of the word at text; "[-c n]" is one */
static size_t word_span(const char *text)
{
	size_t n = strcspn(text, " \n");
	const char *close = strchr(text, ']');

	if (!strncmp(text, "[-", 2) && close && close > text + n)
		n = (size_t)(close - text) + 1;
	return n;
}

/* from column at on; later lines begin at hanging */
static void wrap_from(struct out *o, const char *text, size_t at,
		      size_t hanging, size_t width)
{
	bool is_start = true; /* of a line */

	while (*(text += strspn(text, " \n"))) {
		size_t n = word_span(text);
		size_t columns = columns_of(text, n);

		if (!is_start && at + 1 + columns > width) {
			out_text(o, "\n%*s", (int)hanging, "");
			at = hanging;
			is_start = true;
		}
		out_text(o, "%s%.*s", is_start ? "" : " ", (int)n, text);
		at += columns + !is_start;
		is_start = false;
		text += n;
	}
	out_text(o, "\n");
}

void help_wrap(struct out *o, const char *text, size_t indent, size_t hanging,
	       size_t width)
{
	out_text(o, "%*s", (int)indent, "");
	wrap_from(o, text, indent, hanging, width);
}

/* [text](target): a page elsewhere in the manual is named */
static void put_link(struct strbuf *sb, const char *text, const char *target,
		     size_t n)
{
	const char *base = target + n;

	strbuf_puts(sb, "");
	while (base > target && base[-1] != '/')
		base--;
	if (n < 3 || strncmp(target, "../", 3) != 0)
		strbuf_puts(sb, text);
	else if (strlen(text) == n - (size_t)(base - target) &&
		 !strncmp(text, base, strlen(text)))
		strbuf_printf(sb, "doc/%.*s", (int)n - 3, target + 3);
	else
		strbuf_printf(sb, "%s (doc/%.*s)", text, (int)n - 3,
			      target + 3);
}

/* without the marks of Markdown.  Owned. */
static char *plain(const char *s, size_t n)
{
	struct strbuf sb = {0};

	strbuf_puts(&sb, "");
	for (size_t i = 0; i < n; i++) {
		const char *close = NULL;

		if (s[i] == '`' && i + 2 < n && s[i + 1] == '`') {
			/* ``a`b``: code with a tick in it */
			close = strstr(s + i + 2, "``");
			if (close && close < s + n) {
				strbuf_add(&sb, s + i + 2,
					   (size_t)(close - s) - i - 2);
				i = (size_t)(close - s) + 1;
				continue;
			}
		}
		if (s[i] == '`') {
			close = memchr(s + i + 1, '`', n - i - 1);
			if (!close)
				continue;
			strbuf_add(&sb, s + i + 1, (size_t)(close - s) - i - 1);
			i = (size_t)(close - s);
			continue;
		}
		if (s[i] == '[')
			close = memchr(s + i, ']', n - i);
		if (close && close[1] == '(') {
			_free_ char *inner =
				plain(s + i + 1, (size_t)(close - s) - i - 1);

			put_link(&sb, inner, close + 2,
				 strcspn(close + 2, ")"));
			i = (size_t)(close - s) + strcspn(close, ")");
			continue;
		}
		if (s[i] == '\\' && i + 1 < n &&
		    ispunct((unsigned char)s[i + 1]))
			i++;
		strbuf_putc(&sb, s[i]);
	}
	return sb.s;
}

static void put_section(struct render *r, const char *name, size_t n)
{
	out_text(r->o, "\n");
	out_style(r->o, STYLE_HEADING);
	for (size_t i = 0; i < n; i++)
		out_text(r->o, "%c", toupper((unsigned char)name[i]));
	out_style(r->o, STYLE_END);
	out_text(r->o, "\n");
}

static size_t line_span(const char *p)
{
	return strcspn(p, "\n");
}

static const char *next_line(const char *p)
{
	p += line_span(p);
	return *p ? p + 1 : p;
}

/* ---- blocks ---------------------------------------------------------- */

static void put_block(struct render *r)
{
	r->p = next_line(r->p);
	for (; *r->p && strncmp(r->p, "```", 3); r->p = next_line(r->p)) {
		int n = (int)line_span(r->p);

		out_text(r->o, "%*s%.*s\n", n > 0 ? INDENT : 0, "", n, r->p);
	}
	r->p = next_line(r->p);
}

/* the cells of "| a | b |", plain; returns how many.  Owned. */
static size_t table_cells(const char *line, char *cells[TABLE_COLUMNS])
{
	const char *end = line + line_span(line);
	const char *p = line + 1;
	size_t n = 0;

	while (p < end && n < TABLE_COLUMNS) {
		size_t len = 0;

		p += strspn(p, " ");
		/* a bar in code is no border */
		for (bool is_code = false;
		     p + len < end && (p[len] != '|' || is_code ||
				       (len > 0 && p[len - 1] == '\\'));
		     len++)
			is_code ^= p[len] == '`';
		if (p + len >= end)
			break;
		for (size_t trimmed = len;; trimmed--)
			if (trimmed == 0 || p[trimmed - 1] != ' ') {
				cells[n++] = plain(p, trimmed);
				break;
			}
		p += len + 1;
	}
	return n;
}

static bool is_rule(const char *line)
{
	return line[0] == '|' && (line[1] == '-' || line[1] == ':');
}

struct table {
	size_t n; /* columns */
	size_t widths[TABLE_COLUMNS];
	const char *end; /* the line after it */
};

/* the widest column gives way until a row fits */
static void narrow(struct table *t, size_t width)
{
	for (;;) {
		size_t sum = INDENT;
		size_t widest = 0;

		for (size_t i = 0; i < t->n; i++) {
			sum += t->widths[i] + (i > 0 ? 2 : 0);
			if (t->widths[i] > t->widths[widest])
				widest = i;
		}
		if (sum <= width || t->widths[widest] <= COLUMN_MIN)
			return;
		t->widths[widest]--;
	}
}

static void measure_table(const char *p, size_t width, struct table *t)
{
	char *cells[TABLE_COLUMNS];

	for (; *p == '|'; p = next_line(p)) {
		size_t n = is_rule(p) ? 0 : table_cells(p, cells);

		if (n > t->n)
			t->n = n;
		for (size_t i = 0; i < n; i++) {
			size_t columns = columns_of(cells[i], strlen(cells[i]));

			if (columns > t->widths[i])
				t->widths[i] = columns;
			mem_free(cells[i]);
		}
	}
	t->end = p;
	narrow(t, width);
}

/* as many words as fit; *text moves past them.  Returns the bytes taken. */
static size_t take_words(const char **text, size_t width)
{
	const char *start = *text;
	size_t n = strcspn(start, " ");

	while (start[n]) {
		size_t next = n + 1 + strcspn(start + n + 1, " ");

		if (columns_of(start, next) > width)
			break;
		n = next;
	}
	*text = start + n + strspn(start + n, " ");
	return n;
}

static void put_cells(struct render *r, const struct table *t, char **cells,
		      size_t n)
{
	const char *left[TABLE_COLUMNS];
	bool has_more = true;

	for (size_t i = 0; i < n; i++)
		left[i] = cells[i];
	while (has_more) {
		size_t blanks = INDENT; /* before the next text */

		has_more = false;
		for (size_t i = 0; i < n; i++) {
			const char *text = left[i];
			size_t len = take_words(&left[i], t->widths[i]);
			size_t columns = columns_of(text, len);

			if (len > 0) {
				out_text(r->o, "%*s%.*s", (int)blanks, "",
					 (int)len, text);
				blanks = 0;
			}
			blanks += 2;
			if (columns < t->widths[i])
				blanks += t->widths[i] - columns;
			has_more |= *left[i] != '\0';
		}
		out_text(r->o, "\n");
	}
}

static void put_table(struct render *r)
{
	struct table t = {0};
	bool is_heading = true;

	measure_table(r->p, r->width, &t);
	for (; r->p < t.end; r->p = next_line(r->p)) {
		char *cells[TABLE_COLUMNS];
		size_t n = is_rule(r->p) ? 0 : table_cells(r->p, cells);

		if (n == 0)
			continue;
		if (is_heading)
			out_style(r->o, STYLE_HEADING);
		put_cells(r, &t, cells, n);
		if (is_heading)
			out_style(r->o, STYLE_END);
		is_heading = false;
		for (size_t i = 0; i < n; i++)
			mem_free(cells[i]);
	}
}

static bool is_item(const char *p)
{
	return p[0] == '-' && p[1] == ' ';
}

/* lines up to an empty one, or to the start of another block or item */
static void put_paragraph(struct render *r)
{
	const char *start = r->p;
	size_t hanging = is_item(start) ? 2 * INDENT : INDENT;
	_free_ char *text = NULL;

	do
		r->p = next_line(r->p);
	while (*r->p && *r->p != '\n' && *r->p != '|' && *r->p != '#' &&
	       !is_item(r->p) && strncmp(r->p, "```", 3) != 0);
	text = plain(start, (size_t)(r->p - start));
	help_wrap(r->o, text, INDENT, hanging, r->width);
}

static void skip_block(struct render *r)
{
	do
		r->p = next_line(r->p);
	while (*r->p && strncmp(r->p, "```", 3) != 0);
	r->p = next_line(r->p);
}

/* the title, the first sentence and the usage: the row says the same */
static void skip_top(struct render *r)
{
	while (*r->p && strncmp(r->p, "```usage", 8) != 0)
		r->p = next_line(r->p);
	if (*r->p)
		skip_block(r);
}

void help_render(struct out *o, const struct help_page *page, size_t width)
{
	struct render r = {.o = o, .p = page->text, .width = width};
	bool is_start = true; /* of a section: no empty line */
	bool was_item = false;

	skip_top(&r);
	r.p += strspn(r.p, "\n");
	if (*r.p && *r.p != '#')
		put_section(&r, "description", 11);
	for (; *r.p; r.p += strspn(r.p, "\n")) {
		if (!strncmp(r.p, "## ", 3)) {
			put_section(&r, r.p + 3, line_span(r.p + 3));
			r.p = next_line(r.p);
			is_start = true;
			continue;
		}
		if (!is_start && !(is_item(r.p) && was_item))
			out_text(o, "\n");
		is_start = false;
		was_item = is_item(r.p);
		if (*r.p == '|')
			put_table(&r);
		else if (!strncmp(r.p, "```", 3))
			put_block(&r);
		else
			put_paragraph(&r);
	}
}
