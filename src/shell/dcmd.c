/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dcmds by name: look-up, the nearest other name, usage lines, calls. */
#include "shell/shell_impl.h"

#include <stdlib.h>

const struct dcmd *dcmd_find(struct session *s, const char *name)
{
	const struct group *const *groups = session_groups(s);
	const char *mark = strchr(name, '`');

	for (size_t i = 0; groups[i]; i++) {
		const struct group *g = groups[i];

		if (mark && (strncmp(g->name, name, (size_t)(mark - name)) ||
			     g->name[mark - name] != '\0'))
			continue;
		for (const struct dcmd *d = g->dcmds; d && d->name; d++)
			if (!strcmp(d->name, mark ? mark + 1 : name))
				return d;
	}
	return NULL;
}

const struct group *dcmd_group(struct session *s, const struct dcmd *d)
{
	const struct group *const *groups = session_groups(s);

	for (size_t i = 0; groups[i]; i++)
		for (const struct dcmd *e = groups[i]->dcmds; e && e->name; e++)
			if (e == d)
				return groups[i];
	return NULL;
}

struct err *dcmd_unknown(struct session *s, const char *name)
{
	const struct group *const *groups = session_groups(s);
	const char *colons = name[0] == '$' || name[0] == ':' ? "" : "::";
	struct nearest near = nearest_to(name);
	_free_ char *meant = NULL;
	const char *why = dcmd_absent(name);

	if (why)
		return err_new(ERR_NOSUP,
			       "invalid command '%s%s': command is not "
			       "supported by current target: %s",
			       colons, name, why);

	for (size_t i = 0; groups[i] && colons[0]; i++)
		for (const struct dcmd *d = groups[i]->dcmds; d && d->name; d++)
			if (d->name[0] != '$')
				nearest_try(&near, d->name);
	meant = nearest_text(&near, "::");
	return err_new(ERR_NOTFOUND,
		       "invalid command '%s%s': unknown dcmd name%s", colons,
		       name, meant);
}

char *dcmd_usage(const struct dcmd *d)
{
	struct strbuf sb = {0};

	if (d->addr != ADDR_NONE)
		strbuf_puts(&sb,
			    d->addr == ADDR_REQUIRED ? "addr " : "[ addr ] ");
	if (d->name[0] != '$')
		strbuf_puts(&sb, "::");
	strbuf_puts(&sb, d->name);
	for (const struct opt *o = d->opts; o && o->letter; o++) {
		if (o->arg)
			strbuf_printf(&sb,
				      o->type == OPT_FLAG ? " [-%c|%s]"
							  : " [-%c %s]",
				      o->letter, o->arg);
		else
			strbuf_printf(&sb, " [-%c]", o->letter);
	}
	if (d->usage && d->usage[0])
		strbuf_printf(&sb, " %s", d->usage);
	return sb.s;
}

static struct err *make_args(struct session *s, const struct words *words,
			     struct arg *argv)
{
	for (size_t i = 0; i < words->n; i++) {
		const struct word *w = &words->v[i];
		struct err *err = NULL;

		argv[i].type = w->expr ? ARG_NUMBER : ARG_STRING;
		if (!w->expr) {
			argv[i].str = w->text;
			continue;
		}
		err = eval_expr(s, w->expr, &argv[i].num);
		if (err)
			return err;
		argv[i].str = mem_printf("0x%" PRIx64, argv[i].num);
	}
	return NULL;
}

static void free_args(const struct words *words, struct arg *argv)
{
	for (size_t i = 0; i < words->n; i++)
		if (words->v[i].expr)
			mem_free((char *)argv[i].str);
	mem_free(argv);
}

/* "Usage: ..." follows what was wrong */
static struct err *usage_error(struct session *s, const struct dcmd *d,
			       struct err *err)
{
	_free_ char *usage = dcmd_usage(d);
	struct err *ret = NULL;

	session_stop_loop(s);
	ret = err_new(ERR_USAGE, "%s%sUsage: %s", err->msg,
		      err->msg[0] ? "\n" : "", usage);
	err_free(err);
	return ret;
}

static struct err *check_call(const struct dcmd *d, unsigned flags, size_t argc)
{
	const char *colons = d->name[0] == '$' ? "" : "::";

	if (d->addr == ADDR_NONE && (flags & DCMD_ADDRSPEC))
		return err_new(ERR_USAGE, "%s%s takes no address", colons,
			       d->name);
	if (d->addr == ADDR_REQUIRED && !(flags & DCMD_ADDRSPEC))
		return err_new(ERR_USAGE, "%s%s needs an address", colons,
			       d->name);
	if (argc > 0 && d->usage && d->usage[0] == '\0' && !d->opts)
		return err_new(ERR_USAGE, "%s%s takes no arguments", colons,
			       d->name);
	return NULL;
}

struct err *dcmd_call(struct session *s, const struct dcmd *d,
		      const struct words *args, unsigned flags, taddr_t addr,
		      uint64_t count)
{
	struct dcmd_call call = {
		.s = s,
		.out = s->out,
		.addr = addr,
		.count = count,
		.flags = flags,
		.argc = args->n,
	};
	struct arg *argv = mem_array(args->n + 1, sizeof(*argv));
	struct err *err = check_call(d, flags, args->n);

	call.argv = argv;
	if (!err)
		err = make_args(s, args, argv);
	s->last_dot = s->dot;
	if (!err) {
		const struct group *g = dcmd_group(s, d);

		module_enter(s, g, 1);
		err = d->run(&call);
		module_enter(s, g, -1);
	}
	free_args(args, argv);
	if (err_is(err, ERR_USAGE))
		err = usage_error(s, d, err);
	return err;
}

static int by_name(const void *a, const void *b)
{
	const struct dcmd *const *x = a;
	const struct dcmd *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

size_t session_dcmds(struct session *s, const struct dcmd *const **ret)
{
	const struct group *const *groups = session_groups(s);
	VEC(const struct dcmd *) list = {0};

	for (size_t i = 0; groups[i]; i++)
		for (const struct dcmd *d = groups[i]->dcmds; d && d->name; d++)
			VEC_PUSH(&list, d);
	if (list.n > 0)
		qsort(list.v, list.n, sizeof(*list.v), by_name);
	*ret = list.v;
	return list.n;
}
