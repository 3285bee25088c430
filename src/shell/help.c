/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ::help NAME: the page of the manual, or, for a dcmd of a module, which has
 * none, what its row says.
 */
#include <unistd.h>

#include "shell/help_page.h"
#include "shell/shell_impl.h"
#include "shell/term.h"

enum {
	WIDTH_MAX = 100 /* longer lines are hard to read */
};

static const struct help_page *page_named(const char *name)
{
	for (const struct help_page *p = help_pages; p->name; p++)
		if (!strcmp(p->name, name))
			return p;
	return NULL;
}

/* the page of a dcmd, or of another name for it */
static const struct help_page *page_of(struct session *s, const struct dcmd *d)
{
	const struct group *g = dcmd_group(s, d);
	const struct help_page *page = NULL;

	if (session_is_module(s, g))
		return NULL; /* whatever its name is */
	page = page_named(d->name);

	for (const struct dcmd *e = g->dcmds; !page && e && e->name; e++)
		if (e->run == d->run)
			page = page_named(e->name);
	return page;
}

static void put_heading(struct out *o, const char *name)
{
	out_text(o, "\n");
	out_style(o, STYLE_HEADING);
	out_text(o, "%s", name);
	out_style(o, STYLE_END);
	out_text(o, "\n");
}

/* indented by two, line by line */
static void put_lines(struct out *o, const char *text)
{
	while (*text) {
		int n = (int)strcspn(text, "\n");

		out_text(o, "%*s%.*s\n", n > 0 ? 2 : 0, "", n, text);
		text += n + (text[n] == '\n');
	}
}

static void put_row(struct out *o, const struct dcmd *d, size_t width)
{
	_free_ char *usage = dcmd_usage(d);
	const struct opt *opt = d->opts;

	put_heading(o, "NAME");
	out_text(o, "  %s - %s\n", d->name, d->brief ? d->brief : "");
	put_heading(o, "SYNOPSIS");
	help_wrap(o, usage, 2, 8, width);
	if (opt && opt->letter)
		put_heading(o, "OPTIONS");
	for (; opt && opt->letter; opt++)
		out_text(o, "  -%c %-10s %s\n", opt->letter,
			 opt->arg ? opt->arg : "", opt->help);
}

struct err *session_help(struct session *s, const char *name)
{
	struct out *o = session_out(s);
	const struct help_page *page = NULL;
	const struct dcmd *d = NULL;
	size_t width = 80;

	while (*name == ':')
		name++;
	d = dcmd_find(s, name);
	if (!d) {
		_err_free_ struct err *unknown = dcmd_unknown(s, name);
		const char *meant = strstr(unknown->msg, " (did you mean");

		return err_new(ERR_NOTFOUND, "unknown command: %s%s", name,
			       meant ? meant : "");
	}
	if (isatty(STDOUT_FILENO))
		term_size(STDOUT_FILENO, NULL, &width);
	if (width > WIDTH_MAX)
		width = WIDTH_MAX;
	put_row(o, d, width);
	page = page_of(s, d);
	if (page) {
		help_render(o, page, width);
	} else if (d->help && d->help[0]) {
		put_heading(o, "DESCRIPTION");
		put_lines(o, d->help);
	}
	put_heading(o, "ATTRIBUTES");
	out_text(o,
		 "  Target: core file\n  Module: %s\n"
		 "  Interface Stability: Evolving\n\n",
		 dcmd_group(s, d)->name);
	return NULL;
}
