/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ::set and the one-letter commands that set one thing each. */
#include "pmdb_mod.h"

enum {
	PATH_LABEL = 13, /* columns of the labels of paths */
	LABEL = 26,      /* of the others */
};

/* ---- what is set ----------------------------------------------------- */

static void put_path(struct out *o, const char *label, const char *path)
{
	bool is_first = true;

	out_text(o, "%*s ", PATH_LABEL, label);
	while (*path) {
		int n = (int)strcspn(path, ":");

		if (n > 0)
			out_text(o, "%*s%.*s\n", is_first ? 0 : PATH_LABEL + 1,
				 "", n, path);
		is_first = false;
		path += n + (path[n] == ':');
	}
	out_text(o, is_first ? "\n\n" : "\n");
}

static void put_limit(struct out *o, const char *label, uint64_t limit)
{
	if (limit == LIMIT_NONE)
		out_text(o, "%*s none\n", LABEL, label);
	else
		out_text(o, "%*s %" PRIu64 "\n", LABEL, label, limit);
}

static void put_flags(struct out *o, const struct settings *set)
{
	const struct {
		const char *name;
		bool is_on;
	} flags[] = {
		{"autowrap", set->autowrap},     {"ignoreeof", set->ignoreeof},
		{"nomods", set->nomods},         {"pager", set->pager},
		{"repeatlast", set->repeatlast},
	};
	const char *before = " ";

	out_text(o, "%*s", LABEL, "debugger options:");
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		if (!flags[i].is_on)
			continue;
		out_text(o, "%s%s", before, flags[i].name);
		before = ", ";
	}
	out_text(o, "\n");
}

static void put_symdist(struct out *o, const char *between,
			const struct settings *set)
{
	out_text(o, "%s %" PRIu64 " (%s mode)\n", between, set->symdist,
		 set->symdist > 0 ? "absolute" : "smart");
}

static void list_settings(struct dcmd_call *call)
{
	const struct settings *set = session_settings(call->s);
	struct out *o = call->out;

	out_text(o, "\n");
	put_path(o, "macro path:", set->macro_path);
	put_path(o, "module path:", set->module_path);
	out_text(o, "%*s", LABEL, "symbol matching distance:");
	put_symdist(o, "", set);
	put_limit(o, "array member print limit:", set->array_mem_limit);
	put_limit(o, "array string print limit:", set->array_str_limit);
	out_text(o, "%*s \"%s\"\n", LABEL, "command prompt:", set->prompt);
	put_flags(o, set);
	out_text(o, "%*s read-only\n", LABEL, "target options:");
}

/* ---- ::set ----------------------------------------------------------- */

static const struct opt set_opts[] = {
	{'o', OPT_STRING, "option", "set an option (+o: clear it)"},
	{'s', OPT_STRING, "distance",
	 "of a symbol before an address; 0: it "
	 "must contain it"},
	{'I', OPT_STRING, "path", "directories of macros"},
	{'L', OPT_STRING, "path", "directories of modules"},
	{'P', OPT_STRING, "prompt", "the prompt"},
	{'w', OPT_FLAG, NULL, "refused: a dump is only read"},
	{0},
};

/* one option of ::set; *i is at its word */
static struct err *set_one(struct dcmd_call *call, size_t *i)
{
	const char *word = call->argv[*i].str;
	const char *value = NULL;
	bool is_on = word[0] == '-';

	if ((word[0] != '-' && word[0] != '+') || word[1] == '\0')
		return err_new(ERR_USAGE, "unexpected argument: %s", word);
	if (word[1] == 'w' && word[2] == '\0')
		return is_on ? err_new(ERR_NOSUP,
				       "the target is a core file: it cannot "
				       "be opened for writing")
			     : NULL;
	if (!strchr("osILP", word[1]) || (!is_on && word[1] != 'o'))
		return err_new(ERR_USAGE, "illegal option -- %s", word);
	if (word[2] != '\0') {
		value = word + 2;
	} else {
		if (++*i == call->argc)
			return err_new(ERR_USAGE,
				       "option requires an argument -- %c",
				       word[1]);
		value = call->argv[*i].str;
	}
	if (word[1] == 'o')
		return session_option(call->s, value, is_on);
	return session_setting(call->s, word[1], value);
}

static struct err *dcmd_set(struct dcmd_call *call)
{
	struct err *err = NULL;

	if (call->argc == 0)
		list_settings(call);
	for (size_t i = 0; i < call->argc && !err; i++)
		err = set_one(call, &i);
	return err;
}

/* ---- $s, $w, $P ------------------------------------------------------ */

static struct err *dcmd_symdist(struct dcmd_call *call)
{
	_free_ char *text = mem_printf("%" PRIu64, call->addr);
	struct err *err = NULL;

	if (call->argc > 0)
		return err_new(ERR_USAGE, "%s", "");
	if (call->flags & DCMD_ADDRSPEC)
		err = session_setting(call->s, 's', text);
	if (!err)
		put_symdist(call->out, "symbol matching distance =",
			    session_settings(call->s));
	return err;
}

static struct err *dcmd_width(struct dcmd_call *call)
{
	_free_ char *text = mem_printf("%" PRIu64, call->addr);
	struct err *err = NULL;

	if (call->argc > 0)
		return err_new(ERR_USAGE, "%s", "");
	if (call->flags & DCMD_ADDRSPEC)
		err = session_setting(call->s, 'w', text);
	if (!err)
		out_text(call->out, "output page width = %zu\n",
			 session_page_width(call->s));
	return err;
}

static struct err *dcmd_prompt(struct dcmd_call *call)
{
	if (call->argc > 1)
		return err_new(ERR_USAGE, "%s", "");
	return session_setting(call->s, 'P',
			       call->argc == 1 ? call->argv[0].str : "");
}

static const struct dcmd dcmds[] = {
	{.name = "set",
	 .opts = set_opts,
	 .usage = "[+o option]",
	 .brief = "print or change how the debugger behaves",
	 .run = dcmd_set},
	{.name = "$s",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .brief = "print or set the symbol matching distance",
	 .run = dcmd_symdist},
	{.name = "$w",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .brief = "print or set the columns of a line",
	 .run = dcmd_width},
	{.name = "$P",
	 .usage = "[prompt]",
	 .brief = "set the prompt",
	 .run = dcmd_prompt},
	{0},
};

const struct group group_settings = {.name = "settings", .dcmds = dcmds};
