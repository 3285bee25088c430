/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Modules: ::load ::unload ::dmods ::which. */
#include "pmdb_mod.h"

/* ---- ::load, ::unload ------------------------------------------------ */

static const struct opt load_opts[] = {
	{'s', OPT_FLAG, NULL, "say nothing when it cannot be loaded"},
	{0},
};

static struct err *dcmd_load(struct dcmd_call *call)
{
	bool silent = false;
	void *const values[] = {&silent};
	size_t first = 0;
	struct err *err = dcmd_options(call, load_opts, values, &first);

	if (err)
		return err;
	if (call->argc != first + 1)
		return err_new(ERR_USAGE, "a module is needed");
	err = session_load(call->s, call->argv[first].str);
	if (err && silent) {
		err_free(err);
		err = NULL;
	}
	return err;
}

static struct err *dcmd_unload(struct dcmd_call *call)
{
	if (call->argc != 1)
		return err_new(ERR_USAGE, "a module is needed");
	return session_unload(call->s, call->argv[0].str);
}

/* ---- ::dmods --------------------------------------------------------- */

static const struct opt dmods_opts[] = {
	{'l', OPT_FLAG, NULL, "the dcmds and walkers of each"},
	{0},
};
static const struct column dmods_cols[] = {
	{"module", "", CELL_TEXT, 0},
};
static const struct column dmods_l_cols[] = {
	{"module", NULL, CELL_TEXT, 0},
	{"kind", NULL, CELL_TEXT, 0},
	{"name", NULL, CELL_TEXT, 0},
	{"description", NULL, CELL_TEXT, 0},
};

static void put_member(struct out *o, const struct group *g, const char *kind,
		       const char *name, const char *brief)
{
	if (out_is_json(o)) {
		out_str(o, g->name);
		out_str(o, kind);
		out_str(o, name);
		out_str(o, brief);
		out_end_row(o, 0);
		return;
	}
	out_text(o, "  %-6s %s%-20s - %s\n", kind,
		 !strcmp(kind, "dcmd") && name[0] != '$' ? "::" : "  ", name,
		 brief);
}

static void put_group(struct dcmd_call *call, const struct group *g, bool all)
{
	struct out *o = call->out;

	if (!all) {
		out_str(o, g->name);
		out_end_row(o, 0);
		return;
	}
	if (!out_is_json(o))
		out_text(o, "\n%s\n%.*s\n", g->name, 70,
			 "---------------------------------------------------"
			 "---------------------------");
	for (const struct dcmd *d = g->dcmds; d && d->name; d++)
		put_member(o, g, "dcmd", d->name, d->brief);
	for (const struct walker *w = g->walkers; w && w->name; w++)
		put_member(o, g, "walker", w->name, w->brief);
}

/* one of several files of built-in dcmds that share a name */
static bool was_listed(const struct group *const *groups, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (!strcmp(groups[j]->name, groups[i]->name))
			return true;
	return false;
}

static struct err *dcmd_dmods(struct dcmd_call *call)
{
	const struct group *const *groups = session_groups(call->s);
	const char *only = NULL;
	bool all = false;
	bool has_found = false;
	void *const values[] = {&all};
	size_t first = 0;
	struct err *err = dcmd_options(call, dmods_opts, values, &first);

	if (err)
		return err;
	if (call->argc > first + 1)
		return err_new(ERR_USAGE, "only one module may be given");
	if (call->argc > first)
		only = call->argv[first].str;
	out_begin(call->out, all ? dmods_l_cols : dmods_cols, all ? 4 : 1, "");
	for (size_t i = 0; groups[i]; i++) {
		if ((only && strcmp(only, groups[i]->name) != 0) ||
		    (!all && was_listed(groups, i)))
			continue;
		put_group(call, groups[i], all);
		has_found = true;
	}
	out_end(call->out);
	if (only && !has_found)
		return err_new(ERR_NOTFOUND, "%s module is not loaded", only);
	return NULL;
}

/* ---- ::which --------------------------------------------------------- */

static const struct opt which_opts[] = {
	{'v', OPT_FLAG, NULL, "all definitions, in the order of their search"},
	{0},
};

struct which {
	struct dcmd_call *call;
	bool all;
	size_t n; /* found so far */
};

static void put_definition(struct which *w, const struct group *g,
			   const char *kind, const char *name)
{
	struct out *o = w->call->out;

	if (w->n++ > 0 && !w->all)
		return;
	if (session_is_module(w->call->s, g))
		out_text(o, "%s is a %s from module %s\n", name, kind, g->name);
	else
		out_text(o, "%s is a built-in %s\n", name, kind);
	if (w->all)
		out_text(o, "\t[%zu] %s`%s\n", w->n - 1, g->name, name);
}

static void which_name(struct which *w, const char *name)
{
	const struct group *const *groups = session_groups(w->call->s);
	const char *bare = name + strspn(name, ":");
	size_t nwalkers = 0;
	const struct walker *const *walkers = NULL;
	bool has_found = false;

	w->n = 0;
	for (size_t i = 0; groups[i]; i++)
		for (const struct dcmd *d = groups[i]->dcmds; d && d->name; d++)
			if (!strcmp(d->name, bare))
				put_definition(w, groups[i], "dcmd", bare);
	has_found = w->n > 0;
	w->n = 0;
	for (size_t i = 0; groups[i]; i++)
		for (const struct walker *x = groups[i]->walkers; x && x->name;
		     x++)
			if (!strcmp(x->name, bare))
				put_definition(w, groups[i], "walker", bare);
	if (has_found || w->n > 0)
		return;
	/* those the target brings along */
	nwalkers = session_walkers(w->call->s, &walkers);
	for (size_t i = 0; i < nwalkers && w->n == 0; i++)
		if (!strcmp(walkers[i]->name, bare)) {
			out_text(w->call->out, "%s is a walker of the dump\n",
				 bare);
			w->n++;
		}
	mem_free((void *)walkers);
	if (w->n == 0)
		out_text(w->call->out, "%s not found\n", name);
}

static struct err *dcmd_which(struct dcmd_call *call)
{
	struct which w = {.call = call};
	void *const values[] = {&w.all};
	size_t first = 0;
	struct err *err = dcmd_options(call, which_opts, values, &first);

	if (err)
		return err;
	if (first == call->argc)
		return err_new(ERR_USAGE, "a name is needed");
	for (size_t i = first; i < call->argc; i++)
		which_name(&w, call->argv[i].str);
	return NULL;
}

static const struct dcmd dcmds[] = {
	{.name = "load",
	 .opts = load_opts,
	 .usage = "module",
	 .brief = "load a module",
	 .run = dcmd_load},
	{.name = "unload",
	 .usage = "module",
	 .brief = "unload a module",
	 .run = dcmd_unload},
	{.name = "dmods",
	 .opts = dmods_opts,
	 .usage = "[module]",
	 .brief = "list modules",
	 .run = dcmd_dmods},
	{.name = "which",
	 .opts = which_opts,
	 .usage = "name ...",
	 .brief = "where a dcmd or walker comes from",
	 .run = dcmd_which},
	{.name = "whence",
	 .opts = which_opts,
	 .usage = "name ...",
	 .brief = "alias of ::which",
	 .run = dcmd_which},
	{0},
};

const struct group group_modules = {.name = "modules", .dcmds = dcmds};
