/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The inside of struct type, for the files that make, name and find types. */
#ifndef TYPES_TYPE_IMPL_H
#define TYPES_TYPE_IMPL_H

#include "types/types_impl.h"

enum {
	CHAIN_MAX = 64, /* typedefs in a row */
	DEPTH_MAX = 16, /* anything nested */
};

enum form {
	FORM_DIE,
	FORM_VOID,
	FORM_BUILTIN,
	FORM_POINTER,
	FORM_ARRAY,
	FORM_TYPEDEF, /* of the user's making */
	FORM_RECORD,  /* the same: a structure or union */
};

struct builtin {
	char name[24];
	unsigned char size_bytes;
	bool is_float, is_signed, is_char, is_bool;
};

struct enumerator {
	const char *name;
	int64_t value;
};

struct type {
	enum form form;
	struct types *types;
	size_t number;           /* index in types->all, + 1 */
	struct object_impl *obj; /* of a DIE */
	Dwarf_Die die;
	const struct builtin *builtin;
	const struct type *elem; /* pointer, array, typedef */
	char *given;             /* name of a typedef, tag of a record */
	bool is_union;           /* record */
	uint64_t size_bytes;     /* record */
	uint64_t nelems;         /* array */
	char *name;              /* NULL: not yet asked */
	const struct type *resolved;
	bool has_members;
	VEC(struct type_member) members;
	bool has_enums;
	VEC(struct enumerator) enums;
};

/** A new type of a form; its number is its place in types->all, + 1. */
struct type *type_new(struct types *types, enum form form);
/** The one derived type with these parts: see enum form. */
const struct type *type_derived(struct types *types, enum form form,
				const struct type *elem, uint64_t nelems);
/** The one type "void". */
const struct type *type_void(struct types *types);
/** The DWARF tag of a type; 0 when it is no DIE's. */
int type_tag(const struct type *type);
/** The type that a type's DIE refers to: what it points at, qualifies, ... */
const struct type *type_target(const struct type *type);
/** What DW_AT_type of a DIE leads to; false: nothing, which is void. */
bool die_type(Dwarf_Die *die, Dwarf_Die *ret);
/** "ns::outer::name", as the index has it.  Owned. */
char *die_qualified_name(Dwarf_Die *die);

#endif
