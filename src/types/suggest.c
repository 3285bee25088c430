/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of types, and the names somebody may have meant who mistyped one. */
#include <string.h>

#include "base/nearest.h"
#include "types/types_impl.h"

struct err *types_names(struct types *types, const struct object *object,
			type_name_fn *fn, void *arg)
{
	struct err *err = NULL;
	size_t i;

	if (object)
		return index_names(object_impl(types, object), fn, arg);
	err = made_names(types, fn, arg);
	for (i = 0; i < types->objects.n && !err; i++)
		err = index_names(types->objects.v[i], fn, arg);
	return err;
}

struct search {
	struct nearest near;
	const char *tag; /* "struct ": others are not looked at; "" any */
};

static struct err *try_type(void *arg, const char *tag, const char *name)
{
	struct search *s = arg;

	/* a bare tag is found too, so it may be what was meant */
	if (!s->tag[0] || strcmp(s->tag, tag) == 0)
		nearest_try(&s->near, name);
	return NULL;
}

char *types_suggest_type(struct types *types, const char *name)
{
	static const char *const tags[] = {"struct ", "union ", "enum "};
	struct search s = {.tag = ""};
	const char *bare = name;
	size_t i;

	for (i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		if (strncmp(name, tags[i], strlen(tags[i])) != 0)
			continue;
		s.tag = tags[i];
		bare = name + strlen(tags[i]);
	}
	s.near = nearest_to(bare);
	err_free(types_names(types, NULL, try_type, &s)); /* Ctrl-C */
	return nearest_text(&s.near, s.tag);
}

static void member_names(const struct type *type,
			 void (*fn)(void *arg, const char *name), void *arg,
			 int depth)
{
	enum {
		DEPTH_MAX = 8
	};
	size_t n = depth < DEPTH_MAX ? type_nmembers(type) : 0;
	size_t i;

	for (i = 0; i < n; i++) {
		struct type_member m = type_member(type, i);

		if (m.name[0] && !m.is_base)
			fn(arg, m.name);
		else
			member_names(type_resolve(m.type), fn, arg, depth + 1);
	}
}

void type_member_names(const struct type *type,
		       void (*fn)(void *arg, const char *name), void *arg)
{
	member_names(type_resolve(type), fn, arg, 0);
}

static void try_name(void *arg, const char *name)
{
	nearest_try(arg, name);
}

char *types_suggest_member(const struct type *type, const char *name)
{
	struct nearest near = nearest_to(name);

	type_member_names(type, try_name, &near);
	return nearest_text(&near, "");
}

static struct err *try_symbol(void *arg, const struct symbol *sym)
{
	nearest_try(arg, sym->name);
	return NULL;
}

char *types_suggest_symbol(struct types *types, const struct object *object,
			   const char *name)
{
	struct nearest near = nearest_to(name);
	size_t i;

	for (i = 0; i < types_nobjects(types); i++) {
		const struct object *o = types_object(types, i);

		if (!object || o == object)
			/* an object without symbols has none to offer */
			err_free(types_symbols(types, o, false, try_symbol,
					       &near));
	}
	return nearest_text(&near, "");
}
