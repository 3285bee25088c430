/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Types by name and by symbol, in one object or all of them. */
#include "types/type_impl.h"

#include <dwarf.h>
#include <string.h>

#include "types/names.h"

static const struct builtin *find_builtin(const struct builtin *list,
					  const char *name)
{
	for (; list->name[0]; list++)
		if (strcmp(list->name, name) == 0)
			return list;
	return NULL;
}

/* what every x86-64 program has, and means the same by; and what else they are
 * in the model that the user has chosen */
static const struct type *builtin_type(struct types *types, const char *name)
{
	static const struct builtin narrow[] = {
		{"long int", 4, false, true, false, false},
		{"long unsigned int", 4, false, false, false, false},
		{"size_t", 4, false, false, false, false},
		{"ssize_t", 4, false, true, false, false},
		{"intptr_t", 4, false, true, false, false},
		{"uintptr_t", 4, false, false, false, false},
		{.name = ""},
	};
	static const struct builtin known[] = {
		{"char", 1, false, true, true, false},
		{"signed char", 1, false, true, true, false},
		{"unsigned char", 1, false, false, true, false},
		{"short int", 2, false, true, false, false},
		{"short unsigned int", 2, false, false, false, false},
		{"int", 4, false, true, false, false},
		{"unsigned int", 4, false, false, false, false},
		{"long int", 8, false, true, false, false},
		{"long unsigned int", 8, false, false, false, false},
		{"long long int", 8, false, true, false, false},
		{"long long unsigned int", 8, false, false, false, false},
		{"float", 4, true, true, false, false},
		{"double", 8, true, true, false, false},
		{"long double", 16, true, true, false, false},
		{"_Bool", 1, false, false, false, true},
		{"bool", 1, false, false, false, true},
		{"int8_t", 1, false, true, true, false},
		{"uint8_t", 1, false, false, true, false},
		{"int16_t", 2, false, true, false, false},
		{"uint16_t", 2, false, false, false, false},
		{"int32_t", 4, false, true, false, false},
		{"uint32_t", 4, false, false, false, false},
		{"int64_t", 8, false, true, false, false},
		{"uint64_t", 8, false, false, false, false},
		{"size_t", 8, false, false, false, false},
		{"ssize_t", 8, false, true, false, false},
		{"intptr_t", 8, false, true, false, false},
		{"uintptr_t", 8, false, false, false, false},
		{.name = ""},
	};
	const struct builtin *b =
		types->is_ilp32 ? find_builtin(narrow, name) : NULL;
	struct type *type;
	uint64_t *index;

	if (!b)
		b = find_builtin(known, name);
	if (!b)
		return NULL;
	index = hash_put(&types->by_parts, hash_bytes(b, sizeof(*b), 0), NULL);
	if (*index > 0)
		return types->all.v[*index - 1];
	type = type_new(types, FORM_BUILTIN);
	type->builtin = b;
	*index = types->all.n;
	return type;
}

/* in one object; a declaration is kept in *ret while the search goes on */
static bool lookup_in(struct types *types, struct object_impl *obj,
		      const struct type_words *words, const struct type **ret)
{
	static const int tags[] = {0, DW_TAG_structure_type, DW_TAG_union_type,
				   DW_TAG_enumeration_type};
	size_t i;

	for (i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		bool is_declaration;
		Dwarf_Die die;

		if ((words->tag != 0 && tags[i] != words->tag) ||
		    !index_find(obj, tags[i], words->base, &die,
				&is_declaration))
			continue;
		if (!*ret || !is_declaration)
			*ret = type_of_die(types, obj, &die);
		if (!is_declaration)
			return true;
	}
	return false;
}

static const struct type *lookup_made(const struct types *types,
				      const struct type_words *words)
{
	return made_lookup(types,
			   words->tag == DW_TAG_structure_type ? "struct "
			   : words->tag == DW_TAG_union_type   ? "union "
							       : "",
			   words->base);
}

static const struct type *lookup_base(struct types *types,
				      const struct object *scope,
				      const struct type_words *words)
{
	const struct type *type = scope ? NULL : lookup_made(types, words);
	char *canonical = words->tag == 0 ? names_base_type(words->base) : NULL;
	size_t i;

	mem_free(canonical);
	if (type)
		return type;
	if (words->tag == 0 && strcmp(words->base, "void") == 0)
		return type_void(types);
	if (canonical)
		return builtin_type(types, words->base);
	if (scope) {
		(void)lookup_in(types, object_impl(types, scope), words, &type);
	} else {
		for (i = 0; i < types->objects.n; i++)
			if (lookup_in(types, types->objects.v[i], words, &type))
				break;
	}
	if (!type && words->tag == 0)
		type = builtin_type(types, words->base);
	return type;
}

static bool has_any_dwarf(struct types *types, const struct object *scope)
{
	size_t i;

	if (scope)
		return object_dwarf(object_impl(types, scope)) != NULL;
	for (i = 0; i < types->objects.n; i++)
		if (object_dwarf(types->objects.v[i]))
			return true;
	return false;
}

/* says which file could have told, if it were of the right build */
static struct err *not_found(struct types *types, const struct object *scope,
			     const char *name)
{
	const char *why = has_any_dwarf(types, scope)
				  ? "not in the debug information"
				  : "there is no debug information";
	const char *refused = NULL;
	size_t i;

	for (i = 0; i < types->objects.n && !refused; i++) {
		const struct object *obj = &types->objects.v[i]->pub;

		if (!scope || obj == scope)
			refused = obj->debug_why;
	}
	return err_new(ERR_NOTFOUND, "type \"%s\": %s%s%s%s", name, why,
		       refused ? " (" : "", refused ? refused : "",
		       refused ? ")" : "");
}

struct err *types_lookup(struct types *types, const struct object *scope,
			 const char *name, const struct type **ret)
{
	const char *tick = strchr(name, '`');
	struct type_words words;
	const struct type *type;
	unsigned i;

	if (tick) {
		_free_ char *object = mem_strndup(name, (size_t)(tick - name));

		scope = types_object_named(types, object);
		if (!scope)
			return err_new(ERR_NOTFOUND, "no object named %s",
				       object);
	}
	if (!names_parse(tick ? tick + 1 : name, &words))
		return err_new(ERR_NOTFOUND, "\"%s\" is not a type name", name);
	type = lookup_base(types, scope, &words);
	for (i = 0; type && i < words.nstars; i++)
		type = type_derived(types, FORM_POINTER, type, 0);
	for (i = 0; type && i < words.ndims; i++)
		type = type_derived(types, FORM_ARRAY, type,
				    words.dims[words.ndims - 1 - i]);
	names_free(&words);
	if (!type)
		return not_found(types, scope, name);
	*ret = type;
	return NULL;
}

struct err *types_of_symbol(struct types *types, const struct symbol *sym,
			    const struct type **ret)
{
	struct object_impl *obj = object_impl(types, sym->object);
	Dwarf_Die die, to;

	if (variable_at(obj, sym->value, &die)) {
		*ret = type_of_die(types, obj,
				   die_type(&die, &to) ? &to : NULL);
		return NULL;
	}
	if (function_at(obj, sym->value, &die)) {
		*ret = type_of_die(types, obj, &die);
		return NULL;
	}
	return err_new(ERR_NOTFOUND, "%s: its type is not known", sym->name);
}
