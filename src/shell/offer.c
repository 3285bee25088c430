/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The names that may complete a word: dcmds, symbols, types, members, ... */
#include "shell/offer.h"

#include <ctype.h>
#include <elf.h>

#include "shell/shell_impl.h"

void offer_begin(struct request *r, const char *p)
{
	r->ret->start = (size_t)(p - r->line);
}

const char *offer_prefix(const struct request *r)
{
	return r->line + r->ret->start;
}

static void offer(void *arg, const char *name)
{
	struct request *r = arg;
	const char *p = offer_prefix(r);

	if (!strncmp(name, p, strlen(p)))
		VEC_PUSH(&r->ret->words, mem_strdup(name));
}

void offer_dcmds(struct request *r)
{
	const struct dcmd *const *v = NULL;
	size_t n = session_dcmds(r->s, &v);

	for (size_t i = 0; i < n; i++)
		if (isalpha((unsigned char)v[i]->name[0]))
			offer(r, v[i]->name);
	mem_free((void *)v);
}

void offer_walkers(struct request *r)
{
	const struct walker *const *v = NULL;
	size_t n = session_walkers(r->s, &v);

	for (size_t i = 0; i < n; i++)
		offer(r, v[i]->name);
	mem_free((void *)v);
}

void offer_objects(struct request *r)
{
	for (size_t i = 0; r->s->types && i < types_nobjects(r->s->types); i++)
		offer(r, types_object(r->s->types, i)->name);
}

void offer_modules(struct request *r)
{
	const struct group *const *groups = session_groups(r->s);

	for (size_t i = 0; groups[i]; i++)
		offer(r, groups[i]->name);
}

void offer_variables(struct request *r)
{
	struct variable *v = NULL;
	size_t n = session_vars(r->s, &v);
	const char *reg = NULL;

	for (size_t i = 0; i < n; i++)
		offer(r, v[i].name);
	mem_free(v);
	for (size_t i = 0; (reg = vars_register(i)); i++)
		offer(r, reg);
}

void offer_options(struct request *r)
{
	const struct opt *o = r->dcmd->opts;

	for (; o && o->letter; o++) {
		char text[] = {'-', o->letter, '\0'};

		offer(r, text);
	}
}

struct symbol_search {
	struct request *r;
	const char *scope; /* "lib.so`", or "" */
};

static void offer_scoped(struct symbol_search *ss, const char *name)
{
	_free_ char *full = mem_printf("%s%s", ss->scope, name);

	offer(ss->r, full);
}

/* a C++ symbol as it is called in the source, and by the last part of that: in
 * an expression "::" begins a dcmd */
static void offer_cxx(struct symbol_search *ss, const char *mangled)
{
	const char *typed = offer_prefix(ss->r) + strlen(ss->scope);
	size_t n = strcspn(typed, ":<");
	const char *last = NULL;
	_free_ char *first = mem_strndup(typed, n);
	_free_ char *plain = NULL;

	/* most need no demangling; "std" is abbreviated */
	if (strcmp(first, "std") != 0 && !strstr(mangled, first))
		return;
	plain = types_plain_name(mangled);
	if (!plain)
		return;
	last = strchr(plain, '<') ? NULL : strrchr(plain, ':');
	if (last)
		offer_scoped(ss, last + 1);
	if (ss->r->dcmd || !strpbrk(plain, ":<"))
		offer_scoped(ss, plain);
}

static struct err *offer_symbol(void *arg, const struct symbol *sym)
{
	struct symbol_search *ss = arg;

	if (sym->name[0] == '\0' || sym->type == STT_SECTION ||
	    sym->type == STT_FILE)
		return NULL;
	/* nobody types it */
	if (!strncmp(sym->name, "_Z", 2) &&
	    strncmp(offer_prefix(ss->r) + strlen(ss->scope), "_Z", 2)) {
		offer_cxx(ss, sym->name);
		return interrupt_check();
	}
	offer_scoped(ss, sym->name);
	return interrupt_check();
}

void offer_symbols(struct request *r)
{
	const char *mark = strrchr(offer_prefix(r), '`');
	_free_ char *scope = mem_strndup(
		offer_prefix(r), mark ? (size_t)(mark - offer_prefix(r)) : 0);
	_free_ char *tick = mem_printf("%s%s", scope, mark ? "`" : "");
	struct symbol_search ss = {r, tick};
	const struct object *only = NULL;

	if (!r->s->types || offer_prefix(r)[0] == '\0')
		return;
	if (mark)
		only = types_object_named(r->s->types, scope);
	for (size_t i = 0; i < types_nobjects(r->s->types); i++) {
		const struct object *o = types_object(r->s->types, i);

		if (!mark || o == only)
			/* an object without symbols has none to offer */
			err_free(types_symbols(r->s->types, o, false,
					       offer_symbol, &ss));
	}
}

void offer_macros(struct request *r)
{
	macro_names(r->s, offer, r);
}

/* ---- types and members ----------------------------------------------- */

struct type_search {
	struct request *r;
	const char *tag; /* typed before: "struct", or "" */
};

static struct err *offer_type(void *arg, const char *tag, const char *name)
{
	struct type_search *ts = arg;
	size_t n = strlen(ts->tag);

	if (n > 0 && (strncmp(tag, ts->tag, n) || tag[n] != ' '))
		return NULL;
	if (n == 0 && tag[0]) {
		_free_ char *full = mem_printf("%s%s", tag, name);

		offer(ts->r, full);
	}
	if (n > 0 || offer_prefix(ts->r)[0]) /* a bare tag is found too */
		offer(ts->r, name);
	return NULL;
}

void offer_types(struct request *r, const char *tag)
{
	struct type_search ts = {r, tag};

	if (r->s->types)
		err_free(types_names(r->s->types, NULL, offer_type, &ts));
}

static bool is_aggregate(const struct type *type)
{
	enum type_kind kind = type_info(type).kind;

	return kind == TYPE_STRUCT || kind == TYPE_UNION;
}

/* through pointers, references and arrays */
static const struct type *pointee(const struct type *type)
{
	for (int depth = 0; type && !is_aggregate(type) && depth < 8; depth++)
		type = type_info(type).elem;
	return type && is_aggregate(type) ? type_resolve(type) : NULL;
}

void offer_path(struct request *r, const char *path)
{
	const struct type *type = pointee(r->base);
	struct type_member m;

	for (const char *p = path; type;) {
		size_t n = 0;

		while (isalnum((unsigned char)p[n]) || p[n] == '_')
			n++;
		if (p[n] == '\0') {
			offer_begin(r, p);
			type_member_names(type, offer, r);
			r->ret->is_open =
				r->ret->words.n == 1 &&
				type_find_member(type, r->ret->words.v[0],
						 &m) &&
				pointee(m.type);
			return;
		}
		if (n > 0) {
			_free_ char *name = mem_strndup(p, n);

			if (!type_find_member(type, name, &m))
				return;
			type = pointee(m.type);
		}
		p += n;
		while (*p == '[' && strchr(p, ']'))
			p = strchr(p, ']') + 1;
		if (*p == '.')
			p++;
		else if (!strncmp(p, "->", 2))
			p += 2;
		else
			return;
	}
}
