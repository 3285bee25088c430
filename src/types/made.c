/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Types that the user makes: names for types there are, structures and unions
 * laid out as the compiler would.
 *
 * They are found before those of the target.  Forgetting them takes their
 * names away; what was made of them lives as long as the types do.
 */
#include <string.h>

#include "types/type_impl.h"

enum {
	ALIGN_MAX = 16
};

static const struct made *made_find(const struct types *types, const char *tag,
				    const char *name)
{
	for (size_t i = 0; i < types->made.n; i++)
		if (strcmp(types->made.v[i].tag, tag) == 0 &&
		    strcmp(types->made.v[i].name, name) == 0)
			return &types->made.v[i];
	return NULL;
}

const struct type *made_lookup(const struct types *types, const char *tag,
			       const char *name)
{
	const struct made *made = made_find(types, tag, name);

	return made ? made->type : NULL;
}

struct err *made_names(const struct types *types, type_name_fn *fn, void *arg)
{
	struct err *err = NULL;

	for (size_t i = 0; i < types->made.n && !err; i++)
		err = fn(arg, types->made.v[i].tag, types->made.v[i].name);
	return err;
}

void made_release(struct types *types)
{
	types_forget_made(types);
	VEC_FREE(&types->made);
}

void types_forget_made(struct types *types)
{
	for (size_t i = 0; i < types->made.n; i++)
		mem_free(types->made.v[i].name);
	types->made.n = 0;
}

struct err *types_made(const struct types *types, type_name_fn *fn, void *arg)
{
	return made_names(types, fn, arg);
}

static void enter(struct types *types, const char *tag, const char *name,
		  const struct type *type)
{
	const struct made made = {.tag = tag, mem_strdup(name), type};

	VEC_PUSH(&types->made, made);
}

void types_make_typedef(struct types *types, const char *name,
			const struct type *of)
{
	struct type *type = type_new(types, FORM_TYPEDEF);

	type->given = mem_strdup(name);
	type->elem = of;
	enter(types, "", name, type);
}

static const struct type *types_last_made(const struct types *types)
{
	return types->made.n > 0 ? types->made.v[types->made.n - 1].type : NULL;
}

/* ---- structures ---------------------------------------------------------- */

static uint64_t alignment(const struct type *type, int depth)
{
	struct type_info ti = type_info(type);
	uint64_t max = 1;

	switch (ti.kind) {
	case TYPE_ARRAY:
		return ti.elem && depth < DEPTH_MAX
			       ? alignment(ti.elem, depth + 1)
			       : 1;
	case TYPE_STRUCT:
	case TYPE_UNION:
		for (size_t i = 0; depth < DEPTH_MAX && i < type_nmembers(type);
		     i++) {
			uint64_t n =
				alignment(type_member(type, i).type, depth + 1);

			if (n > max)
				max = n;
		}
		return max;
	case TYPE_INT:
	case TYPE_FLOAT:
	case TYPE_ENUM:
	case TYPE_POINTER:
	case TYPE_REFERENCE:
		if (ti.size_bytes > ALIGN_MAX)
			return ALIGN_MAX;
		return ti.size_bytes ? ti.size_bytes : 1;
	case TYPE_VOID:
	case TYPE_FUNCTION:
	case TYPE_FORWARD:
		break;
	}
	return 1;
}

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

struct type *types_begin_record(struct types *types, bool is_union,
				const char *tag)
{
	struct type *type = type_new(types, FORM_RECORD);

	type->is_union = is_union;
	type->has_members = true;
	if (tag) {
		type->given = mem_strdup(tag);
		enter(types, is_union ? "union " : "struct ", tag, type);
	}
	return type;
}

void types_end_record(struct type *type, const struct type_member *members,
		      size_t n)
{
	uint64_t end = 0;
	uint64_t align = 1;

	for (size_t i = 0; i < n; i++) {
		struct type_member m = members[i];
		uint64_t a = alignment(m.type, 0);
		uint64_t size = type_info(m.type).size_bytes;
		uint64_t at = type->is_union ? 0 : round_up(end, a);
		char *name = mem_strdup(m.name);

		VEC_PUSH(&type->types->made_names, name);
		m.name = name;
		m.offset_bits = at * 8;
		VEC_PUSH(&type->members, m);
		if (at + size > end)
			end = at + size;
		if (a > align)
			align = a;
	}
	type->size_bytes = round_up(end, align);
	/* without members it was not to be: its tag is taken back */
	if (n == 0 && type->given && types_last_made(type->types) == type)
		mem_free(type->types->made.v[--type->types->made.n].name);
}

const struct type *type_of_typedef(const struct type *type)
{
	return type->form == FORM_TYPEDEF ? type->elem : type;
}

bool type_is_made_record(const struct type *type)
{
	return type->form == FORM_RECORD;
}

/* ---- the base types ------------------------------------------------------ */

bool types_set_model(struct types *types, const char *model)
{
	bool is_lp64 = strcasecmp(model, "lp64") == 0;

	if (!is_lp64 && strcasecmp(model, "ilp32") != 0 &&
	    strcasecmp(model, "lp32") != 0)
		return false;
	types->has_model = true;
	types->is_ilp32 = !is_lp64;
	return true;
}

bool types_has_base(const struct types *types)
{
	return types->has_model || types->objects.n > 0;
}
