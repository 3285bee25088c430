/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ::help NAME, made from the dcmd's row. */
#include "shell/shell_impl.h"

/* indented by two, line by line */
static void put_paragraph(struct out *o, const char *text)
{
	while (*text) {
		int n = (int)strcspn(text, "\n");

		if (n > 0)
			out_text(o, "  %.*s\n", n, text);
		else
			out_text(o, "\n");
		text += n + (text[n] == '\n');
	}
}

static void put_options(struct out *o, const struct opt *opts)
{
	if (!opts || !opts->letter)
		return;
	out_text(o, "\nOPTIONS\n");
	for (; opts->letter; opts++)
		out_text(o, "  -%c %-10s %s\n", opts->letter,
			 opts->arg ? opts->arg : "", opts->help);
}

struct err *session_help(struct session *s, const char *name)
{
	struct out *o = session_out(s);
	const struct dcmd *d = NULL;
	_free_ char *usage = NULL;

	while (*name == ':')
		name++;
	d = dcmd_find(name);
	if (!d)
		return err_new(ERR_NOTFOUND, "unknown command: %s", name);
	usage = dcmd_usage(d);
	out_text(o, "\nNAME\n  %s - %s\n", d->name, d->brief);
	out_text(o, "\nSYNOPSIS\n  %s\n", usage);
	if (d->help && d->help[0]) {
		out_text(o, "\nDESCRIPTION\n");
		put_paragraph(o, d->help);
	}
	put_options(o, d->opts);
	out_text(o,
		 "\nATTRIBUTES\n  Target: core file\n  Module: %s\n"
		 "  Interface Stability: Evolving\n\n",
		 dcmd_group(d)->name);
	return NULL;
}
