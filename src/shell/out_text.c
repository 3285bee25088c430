/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rows as mdb's columns: fields of a fixed width, one blank between them; a
 * value that is too wide pushes the rest of its line to the right.
 */
#include "shell/out.h"

#include <stdlib.h>

#include "shell/term.h"

/* a line under construction: no blanks are printed at its end */
static void flush_line(struct out *o, struct strbuf *line)
{
	while (line->n > 0 && line->s[line->n - 1] == ' ')
		line->n--;
	strbuf_putc(line, '\n');
	out_put(o, line->s, line->n);
	strbuf_reset(line);
}

static void add_field(struct strbuf *line, const char *s, int width,
		      bool is_first)
{
	_free_ char *plain = out_plain(s);

	if (!is_first)
		strbuf_putc(line, ' ');
	strbuf_printf(line, "%*s", width, plain);
}

static bool is_column(const struct column *c)
{
	return c->title && c->type != CELL_STACK;
}

void out_text_heading(struct out *o)
{
	struct strbuf line = {0};
	bool is_first = true;

	out_style(o, STYLE_HEADING);
	for (size_t i = 0; i < o->ncols; i++) {
		const struct column *c = &o->cols[i];
		const char *title = c->title;

		if (!is_column(c))
			continue;
		if (title[0] == '\n') {
			flush_line(o, &line);
			is_first = true;
			title++;
		}
		add_field(&line, title, c->width, is_first);
		is_first = false;
	}
	if (!is_first)
		flush_line(o, &line);
	strbuf_free(&line);
	out_style(o, STYLE_END);
}

/* 1536 is "1.5K": three significant digits */
static char *nice(uint64_t bytes)
{
	static const char units[] = "BKMGTPE";
	double v = (double)bytes;
	size_t u = 0;
	char *s = NULL;
	int digits = 2;

	while (v >= 1024 && u + 1 < sizeof(units) - 1) {
		v /= 1024;
		u++;
	}
	if (u == 0)
		return mem_printf("%" PRIu64, bytes);
	if (v >= 100)
		digits = 0;
	else if (v >= 10)
		digits = 1;
	s = mem_printf("%.*f", digits, v);
	if (digits > 0) {
		size_t n = strlen(s);

		while (s[n - 1] == '0')
			n--;
		if (s[n - 1] == '.')
			n--;
		s[n] = '\0';
	}
	char *ret = mem_printf("%s%c", s, units[u]);

	mem_free(s);
	return ret;
}

static char *cell_text(const struct out *o, const struct column *c,
		       const struct cell *cell)
{
	if (cell->fill == FILL_NONE)
		return mem_strdup("-");
	if (cell->fill == FILL_STR)
		return mem_strdup(cell->str);
	switch (c->type) {
	case CELL_ADDR:
		return mem_printf("%016" PRIx64, cell->num);
	case CELL_HEX:
	case CELL_TIME:
		return mem_printf("%" PRIx64, cell->num);
	case CELL_COUNT:
	case CELL_BYTES:
		return mem_printf("%" PRIu64, cell->num);
	case CELL_NICE:
		return nice(cell->num);
	case CELL_SYM:
		return out_addr_name(o, cell->num);
	case CELL_TEXT:
	case CELL_STACK:
		return mem_printf("%" PRIu64, cell->num);
	}
	abort();
}

static void put_stack(struct out *o, const struct cell *cell)
{
	for (size_t i = 0; i < cell->npcs; i++) {
		_free_ char *name = out_frame_name(o, cell->pcs[i]);
		_free_ char *blank = mem_printf("%17s", "");

		out_put(o, blank, strlen(blank));
		out_style(o, STYLE_NAME);
		out_put(o, name, strlen(name));
		out_style(o, STYLE_END);
		out_put(o, "\n", 1);
	}
}

void out_text_row(struct out *o)
{
	struct strbuf line = {0};
	bool is_first = true;

	for (size_t i = 0; i < o->ncells; i++) {
		const struct column *c = &o->cols[i];
		_free_ char *s = NULL;

		if (!is_column(c))
			continue;
		if (c->title[0] == '\n') {
			flush_line(o, &line);
			is_first = true;
		}
		s = cell_text(o, c, &o->cells[i]);
		add_field(&line, s, c->width, is_first);
		is_first = false;
	}
	if (!is_first)
		flush_line(o, &line);
	strbuf_free(&line);
	for (size_t i = 0; i < o->ncells; i++)
		if (o->cells[i].fill == FILL_STACK)
			put_stack(o, &o->cells[i]);
}
