/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Variables and the default radix. */
#include "pmdb_mod.h"

/* ---- ::vars, $v ------------------------------------------------------ */

static const struct column var_cols[] = {
	{"name", "", CELL_TEXT, 0},
	{NULL, "", CELL_TEXT, 0},
	{"value", "", CELL_TEXT, 0},
};
static const struct opt vars_opts[] = {
	{'n', OPT_FLAG, NULL, "only those that are not zero"},
	{'p', OPT_FLAG, NULL, "as commands that set them"},
	{'t', OPT_FLAG, NULL, "only those that are tagged"},
	{0},
};

struct list {
	bool nonzero, as_commands, tagged;
};

static void list_one(struct dcmd_call *call, const struct variable *v,
		     bool as_command)
{
	_free_ char *value =
		out_digits(v->value, (unsigned)session_radix(call->s));

	if (as_command) {
		out_text(call->out, "0x%" PRIx64 ">%s\n", v->value, v->name);
		return;
	}
	out_str(call->out, v->name);
	out_str(call->out, "=");
	out_str(call->out, value);
	out_end_row(call->out, v->value);
}

static void list_vars(struct dcmd_call *call, const struct list *l)
{
	struct variable *v = NULL;
	size_t n = session_vars(call->s, &v);

	out_begin(call->out, var_cols, 3, "");
	for (size_t i = 0; i < n; i++) {
		if (l->nonzero && v[i].value == 0)
			continue;
		if (l->tagged && !v[i].is_tagged)
			continue;
		/* what cannot be set is no command */
		if (!l->as_commands || !v[i].is_readonly)
			list_one(call, &v[i], l->as_commands);
	}
	out_end(call->out);
	mem_free(v);
}

static struct err *dcmd_vars(struct dcmd_call *call)
{
	struct list l = {0};
	void *const values[] = {&l.nonzero, &l.as_commands, &l.tagged};
	size_t first = 0;
	struct err *err = dcmd_options(call, vars_opts, values, &first);

	if (!err && first < call->argc)
		err = err_new(ERR_USAGE, "%s", "");
	if (!err)
		list_vars(call, &l);
	return err;
}

static struct err *dcmd_vars_nonzero(struct dcmd_call *call)
{
	struct list l = {.nonzero = true};

	if (call->argc > 0)
		return err_new(ERR_USAGE, "%s", "");
	list_vars(call, &l);
	return NULL;
}

/* ---- ::typeset, ::unset ---------------------------------------------- */

static void list_attributes(struct dcmd_call *call)
{
	struct variable *v = NULL;
	size_t n = session_vars(call->s, &v);

	for (size_t i = 0; i < n; i++)
		out_text(call->out, "%s%s%s%s\n", v[i].name,
			 v[i].is_persistent ? " persistent" : "",
			 v[i].is_readonly ? " read-only" : "",
			 v[i].is_tagged ? " tagged" : "");
	mem_free(v);
}

static struct err *dcmd_typeset(struct dcmd_call *call)
{
	bool is_tagged = true;
	struct err *err = NULL;
	size_t i = 0;

	if (call->argc == 0) {
		list_attributes(call);
		return NULL;
	}
	if (strcmp(call->argv[0].str, "-t") && strcmp(call->argv[0].str, "+t"))
		return err_new(ERR_USAGE, "expected -t or +t");
	is_tagged = call->argv[0].str[0] == '-';
	if (call->argc == 1)
		return err_new(ERR_USAGE, "no variable is named");
	for (i = 1; i < call->argc && !err; i++)
		err = session_tag_var(call->s, call->argv[i].str, is_tagged);
	return err;
}

static struct err *dcmd_unset(struct dcmd_call *call)
{
	struct err *err = NULL;

	for (size_t i = 0; i < call->argc && !err; i++)
		err = session_unset_var(call->s, call->argv[i].str);
	return err;
}

/* ---- $d -------------------------------------------------------------- */

static struct err *dcmd_radix(struct dcmd_call *call)
{
	int radix = session_radix(call->s);

	if (call->argc > 0)
		return err_new(ERR_USAGE, "%s", "");
	if (call->flags & DCMD_ADDRSPEC) {
		if (call->addr < 2 || call->addr > 16)
			return err_new(
				ERR_NOTFOUND,
				"expected radix of 2 to 16, not %" PRIu64,
				call->addr);
		radix = (int)call->addr;
		session_set_radix(call->s, radix);
	}
	out_text(call->out, "radix = %d base ten\n", radix);
	return NULL;
}

static const struct dcmd dcmds[] = {
	{.name = "vars",
	 .opts = vars_opts,
	 .usage = "",
	 .brief = "list variables ($v: those that are not zero)",
	 .run = dcmd_vars},
	{.name = "$v",
	 .usage = "",
	 .brief = "list variables that are not zero",
	 .run = dcmd_vars_nonzero},
	{.name = "typeset",
	 .usage = "[+t | -t variable ...]",
	 .brief = "tag variables, or list what is special about each",
	 .run = dcmd_typeset},
	{.name = "unset",
	 .usage = "[variable ...]",
	 .brief = "forget variables",
	 .run = dcmd_unset},
	{.name = "$d",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .brief = "print or set the default radix",
	 .help = "The address is the new radix, 2 to 16: 0t10$d is decimal.",
	 .run = dcmd_radix},
	{0},
};

const struct group group_vars = {.name = "vars", .dcmds = dcmds};
