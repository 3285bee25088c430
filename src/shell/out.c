/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The row model: cells are collected until the row ends, then a renderer prints
 * it.  A heading is printed when a table begins, but once in a loop of calls
 * (mdb's header rule), per set of columns.
 */
#include "shell/out.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#include "shell/fmt_impl.h"
#include "shell/pager.h"
#include "shell/progress.h"
#include "shell/term.h"

void out_init(struct out *o, enum out_kind kind, FILE *fp, struct types *types)
{
	*o = (struct out){.kind = kind, .fp = fp, .types = types};
}

static void drop_cells(struct out *o)
{
	for (size_t i = 0; i < o->ncells; i++) {
		mem_free(o->cells[i].str);
		mem_free(o->cells[i].pcs);
		o->cells[i] = (struct cell){0};
	}
	o->ncells = 0;
}

void out_fini(struct out *o)
{
	drop_cells(o);
	mem_free(o->cells);
	strbuf_free(&o->text);
	*o = (struct out){0};
}

/* the reader went away: what runs ends at its next check */
static void check_closed(struct out *o)
{
	if (o->is_closed || !ferror(o->fp))
		return;
	o->is_closed = true;
	o->error = errno;
	interrupt_flag = 1;
}

/* how many of n bytes fit on the line; moves the cursor */
static size_t fit(struct out *o, const char *s, size_t n)
{
	size_t i = 0;

	for (; i < n; i++) {
		if (s[i] != '\n' && o->wrap > 0 && o->column >= o->wrap)
			break;
		o->column = s[i] == '\n' ? 0 : o->column + 1;
	}
	return i;
}

void out_put(struct out *o, const char *s, size_t n)
{
	progress_printed(o->column);
	progress_erase();
	while (n > 0 && !o->is_closed) {
		size_t some = fit(o, s, n);

		fwrite(s, 1, some, o->fp);
		if (o->log)
			fwrite(s, 1, some, o->log);
		s += some;
		n -= some;
		if (n > 0) {
			fputc('\n', o->fp);
			if (o->log)
				fputc('\n', o->log);
			o->column = 0;
		}
	}
	progress_printed(o->column);
	check_closed(o);
}

void out_style(struct out *o, const char *style)
{
	if (o->is_colour && !o->is_closed)
		fputs(style, o->fp);
}

void out_finish(struct out *o)
{
	if (o->kind == OUT_PIPE)
		return;
	if (o->kind == OUT_JSON && o->text.n > 0) {
		out_json_text(o, o->text.s);
		strbuf_reset(&o->text);
	}
	if (o->kind == OUT_TEXT && o->column > 0)
		out_put(o, "\n", 1);
	fflush(o->fp);
	check_closed(o);
}

char *out_addr_name(const struct out *o, taddr_t addr)
{
	if (o->types)
		return types_addr_name(o->types, addr);
	return addr ? mem_printf("0x%" PRIx64, addr) : mem_strdup("0");
}

/* bytes at s that a terminal would obey; C1 controls are two in UTF-8 */
static size_t control_bytes(const char *s)
{
	unsigned char c = (unsigned char)s[0];
	unsigned char next = c ? (unsigned char)s[1] : 0;

	if (c == 0xc2 && next >= 0x80 && next < 0xa0)
		return 2;
	return (c > 0 && c < 0x20) || c == 0x7f;
}

char *out_plain(const char *s)
{
	struct strbuf sb = {0};

	strbuf_puts(&sb, "");
	while (*s) {
		size_t n = control_bytes(s);

		if (n == 0)
			strbuf_putc(&sb, *s++);
		for (; n > 0; n--)
			format_escape(&sb, (unsigned char)*s++);
	}
	return sb.s;
}

char *out_frame_name(const struct out *o, taddr_t pc)
{
	struct symbol at, before;
	_free_ char *name = NULL;
	uint64_t off = 0;

	if (!o->types ||
	    (types_symbol_at(o->types, pc, &at) && at.value != pc) ||
	    !types_symbol_at(o->types, pc - 1, &before))
		return out_addr_name(o, pc);
	name = types_addr_name(o->types, before.value);
	off = pc - before.value;
	return mem_printf(off > 9 ? "%s+0x%" PRIx64 : "%s+%" PRIx64, name, off);
}

void out_error(struct out *o, const char *msg)
{
	bool has_colour = term_has_colour(STDERR_FILENO);
	FILE *fp = isatty(STDERR_FILENO) ? pager_running() : NULL;

	if (o && o->fp)
		fflush(o->fp);
	fflush(stdout);
	if (!fp) {
		pager_show();
		progress_erase();
		fp = stderr;
	}
	fprintf(fp, "%spmdb:%s %s\n", has_colour ? STYLE_ERROR : "",
		has_colour ? STYLE_END : "", msg);
	if (o && o->log)
		fprintf(o->log, "pmdb: %s\n", msg);
}

/* ---- tables ---------------------------------------------------------- */

static bool needs_heading(struct out *o, const struct column *cols,
			  const char *heading)
{
	if (heading && heading[0] == '\0')
		return false;
	if (!o->is_loop)
		return true;
	for (size_t i = 0; i < o->seen.n; i++)
		if (o->seen.cols[i] == cols)
			return false;
	if (o->seen.n < OUT_SEEN_MAX)
		o->seen.cols[o->seen.n++] = cols;
	return true;
}

void out_begin(struct out *o, const struct column *cols, size_t ncols,
	       const char *heading)
{
	drop_cells(o);
	mem_free(o->cells);
	o->cells = mem_array(ncols + 1, sizeof(*o->cells));
	o->cols = cols;
	o->ncols = ncols;
	if (o->kind != OUT_TEXT || !needs_heading(o, cols, heading))
		return;
	if (!heading) {
		out_text_heading(o);
		return;
	}
	out_style(o, STYLE_HEADING);
	out_put(o, heading, strlen(heading));
	if (heading[strlen(heading) - 1] != '\n')
		out_put(o, "\n", 1);
	out_style(o, STYLE_END);
}

static struct cell *next_cell(struct out *o, enum cell_fill fill)
{
	struct cell *c = NULL;

	if (o->kind == OUT_PIPE || o->ncells == o->ncols)
		return NULL;
	c = &o->cells[o->ncells++];
	c->fill = fill;
	return c;
}

void out_addr(struct out *o, taddr_t addr)
{
	out_u64(o, addr);
}

void out_u64(struct out *o, uint64_t n)
{
	struct cell *c = next_cell(o, FILL_NUM);

	if (c)
		c->num = n;
}

void out_str(struct out *o, const char *s)
{
	struct cell *c = next_cell(o, s ? FILL_STR : FILL_NONE);

	if (c && s)
		c->str = mem_strdup(s);
}

void out_none(struct out *o)
{
	(void)next_cell(o, FILL_NONE);
}

void out_stack(struct out *o, const taddr_t *pcs, size_t n)
{
	struct cell *c = next_cell(o, FILL_STACK);

	if (!c)
		return;
	c->pcs = mem_array(n + 1, sizeof(*pcs));
	memcpy(c->pcs, pcs, n * sizeof(*pcs));
	c->npcs = n;
}

void out_end_row(struct out *o, taddr_t value)
{
	switch (o->kind) {
	case OUT_TEXT:
		out_text_row(o);
		break;
	case OUT_JSON:
		out_json_row(o);
		break;
	case OUT_PIPE:
		o->value_fn(o->value_arg, value);
		break;
	}
	drop_cells(o);
}

void out_end(struct out *o)
{
	drop_cells(o);
	o->cols = NULL;
	o->ncols = 0;
}

/* ---- text and values ------------------------------------------------- */

/* whole lines of pending text become objects; empty ones do not */
static void json_lines(struct out *o)
{
	char *line = o->text.s;
	char *end = NULL;
	struct strbuf rest = {0};

	while ((end = strchr(line, '\n'))) {
		*end = '\0';
		if (line[0] != '\0')
			out_json_text(o, line);
		line = end + 1;
	}
	strbuf_puts(&rest, line);
	strbuf_free(&o->text);
	o->text = rest;
}

void out_text(struct out *o, const char *fmt, ...)
{
	_free_ char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	s = mem_vprintf(fmt, ap);
	va_end(ap);
	if (o->kind == OUT_TEXT) {
		out_put(o, s, strlen(s));
		return;
	}
	strbuf_puts(&o->text, s);
	if (o->kind == OUT_JSON)
		json_lines(o);
}

char *out_digits(uint64_t v, unsigned radix)
{
	char buf[65];
	size_t i = sizeof(buf) - 1;

	buf[i] = '\0';
	do {
		buf[--i] = "0123456789abcdef"[v % radix];
		v /= radix;
	} while (v > 0);
	return mem_strdup(buf + i);
}

/* mdb's "#": no prefix before a value that reads the same without it */
static const char *radix_prefix(uint64_t value, unsigned radix)
{
	switch (radix) {
	case 2:
		return value > 1 ? "0i" : "";
	case 8:
		return value > 7 ? "0o" : "";
	case 10:
		return value > 9 ? "0t" : "";
	case 16:
		return value > 9 ? "0x" : "";
	}
	return "";
}

void out_value(struct out *o, taddr_t value)
{
	unsigned radix = o->radix ? o->radix : 16;
	_free_ char *digits = NULL;

	switch (o->kind) {
	case OUT_TEXT:
		digits = out_digits(value, radix);
		out_text(o, "%s%s\n", radix_prefix(value, radix), digits);
		break;
	case OUT_JSON:
		out_json_value(o, value);
		break;
	case OUT_PIPE:
		o->value_fn(o->value_arg, value);
		break;
	}
}

bool out_is_pipe(const struct out *o)
{
	return o->kind == OUT_PIPE;
}

bool out_is_json(const struct out *o)
{
	return o->kind == OUT_JSON;
}

void out_warn(struct out *o, const char *fmt, ...)
{
	_free_ char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	s = mem_vprintf(fmt, ap);
	va_end(ap);
	out_error(o, s);
	o->nwarnings++;
}
