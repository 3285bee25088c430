/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When are two types the same?  Compilers repeat a type in each unit that uses
 * it, and each copy is a struct type of its own.  Copies agree in name, size,
 * line, and in name and place of each member; a number made of these stands for
 * them all.  Two types of one name that differ (each file of a program may have
 * a "struct node" of its own) have different numbers.
 *
 * The name is the last part of it only: to find the name spaces around a DIE
 * takes a walk over its whole unit.
 */
#include "types/type_impl.h"

#include <dwarf.h>
#include <string.h>

static uint64_t add_number(uint64_t hash, uint64_t n)
{
	return hash_bytes(&n, sizeof(n), hash);
}

static uint64_t add_text(uint64_t hash, const char *s)
{
	return hash_bytes(s, strlen(s) + 1, hash);
}

/* the line it is defined on: tells types of equal names in other scopes */
static uint64_t line_of(const struct type *type)
{
	Dwarf_Die die = type->die;
	int line = 0;

	return dwarf_decl_line(&die, &line) == 0 ? (uint64_t)line : 0;
}

static uint64_t of_record(const struct type *type, uint64_t hash)
{
	Dwarf_Die die = type->die;
	size_t n = type_nmembers(type);

	if (type->form == FORM_DIE) {
		const char *name = dwarf_diename(&die);

		hash = add_text(hash, name ? name : "");
		hash = add_number(hash, line_of(type));
	} else {
		hash = add_text(hash, type->given ? type->given : "");
	}
	for (size_t i = 0; i < n; i++) {
		struct type_member m = type_member(type, i);

		/* a base's name is its type's, which is not asked for */
		if (!m.is_base)
			hash = add_text(hash, m.name);
		hash = add_number(hash, m.offset_bits);
	}
	return add_number(hash, n);
}

static uint64_t identity(const struct type *type, int depth)
{
	struct type_info ti;
	uint64_t hash = 0;

	type = type_resolve(type);
	ti = type_info(type);
	hash = add_number(hash, ti.kind);
	hash = add_number(hash, ti.size_bytes);
	if (depth > DEPTH_MAX)
		return hash;
	switch (ti.kind) {
	case TYPE_POINTER:
	case TYPE_REFERENCE:
		hash = ti.elem ? add_number(hash, identity(ti.elem, depth + 1))
			       : hash;
		break;
	case TYPE_ARRAY:
		hash = add_number(hash, ti.nelems);
		hash = add_number(hash, identity(ti.elem, depth + 1));
		break;
	case TYPE_STRUCT:
	case TYPE_UNION:
	case TYPE_FORWARD:
	case TYPE_ENUM:
		hash = of_record(type, hash);
		break;
	case TYPE_INT:
		hash = add_number(hash, (uint64_t)ti.is_signed |
						(uint64_t)ti.is_char << 1 |
						(uint64_t)ti.is_bool << 2);
		break;
	case TYPE_VOID:
	case TYPE_FLOAT:
	case TYPE_FUNCTION:
		break;
	}
	return hash;
}

uint64_t type_identity(const struct type *type)
{
	return identity(type, 0);
}
