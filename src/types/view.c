/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Views: members of the target's structs bound to their places, by name.
 *
 * The debugger includes no header of what it examines and has no offset
 * compiled in: it asks the debug information that came with the library.
 */
#include "types/types_impl.h"

#include <string.h>

#include <dwarf.h>

/* the member a row names; "a.b" goes through a */
static bool find_path(const struct type *type, const char *path,
		      struct type_member *ret)
{
	uint64_t base = 0;

	for (;;) {
		size_t n = strcspn(path, ".");
		_free_ char *name = mem_strndup(path, n);

		if (!type_find_member(type, name, ret))
			return false;
		ret->offset_bits += base;
		if (path[n] == '\0')
			return true;
		base = ret->offset_bits;
		type = ret->type;
		path += n + 1;
	}
}

static bool bind_row(const struct type *type, struct view_row *row)
{
	struct type_member member;
	struct type_info info;
	uint32_t bits;

	row->is_bound = find_path(type, row->member, &member);
	if (!row->is_bound)
		return false;
	info = type_info(member.type);
	row->offset_bytes = (uint32_t)(member.offset_bits / 8);
	row->size_bytes = (uint32_t)info.size_bytes;
	row->elem_bytes = row->size_bytes;
	row->bit_offset = 0;
	row->bit_size = member.bit_size;
	row->is_signed = info.is_signed;
	if (info.kind == TYPE_ARRAY) {
		struct type_info elem = type_info(info.elem);

		row->elem_bytes = (uint32_t)elem.size_bytes;
		row->is_signed = elem.is_signed;
	}
	if (row->bit_size > 0) {
		bits = (uint32_t)(member.offset_bits % 8);
		row->bit_offset = bits;
		row->size_bytes = (bits + row->bit_size + 7) / 8;
		row->elem_bytes = row->size_bytes;
	}
	return true;
}

struct err *view_bind(struct types *types, const struct object *object,
		      struct view *view)
{
	struct object_impl *obj = object_impl(types, object);
	const struct type *type;
	bool is_declaration;
	Dwarf_Die die;
	size_t i;

	if (!object_dwarf(obj))
		return err_new(ERR_NOTFOUND, "%s: no debug information",
			       object->name);
	if ((!index_find(obj, DW_TAG_structure_type, view->struct_name, &die,
			 &is_declaration) &&
	     !index_find(obj, DW_TAG_union_type, view->struct_name, &die,
			 &is_declaration)) ||
	    is_declaration)
		return err_new(ERR_NOTFOUND,
			       "%s: struct %s is not in its debug information",
			       object->name, view->struct_name);
	type = type_of_die(types, obj, &die);
	view->size_bytes = type_info(type).size_bytes;
	for (i = 0; i < view->nrows; i++)
		if (!bind_row(type, &view->rows[i]) &&
		    view->rows[i].is_required)
			return err_new(ERR_NOTFOUND,
				       "%s: struct %s has no member %s",
				       object->name, view->struct_name,
				       view->rows[i].member);
	return NULL;
}

/* n bytes, at most 8; the usual sizes without a call */
static uint64_t load(const char *p, size_t n)
{
	uint64_t value = 0;
	uint32_t half;

	if (n == sizeof(value)) {
		memcpy(&value, p, sizeof(value));
		return value;
	}
	if (n == sizeof(half)) {
		memcpy(&half, p, sizeof(half));
		return half;
	}
	memcpy(&value, p, n);
	return value;
}

uint64_t view_get(const struct view_row *row, const void *raw)
{
	uint64_t value;
	unsigned nbits = row->bit_size;
	size_t n = row->size_bytes < sizeof(value) ? row->size_bytes
						   : sizeof(value);

	if (nbits == 0) {
		/* an array: its first element */
		if (row->elem_bytes < n)
			n = row->elem_bytes;
		nbits = (unsigned)n * 8;
	}
	value = load((const char *)raw + row->offset_bytes, n);
	value >>= row->bit_offset;
	if (nbits == 0 || nbits >= 64)
		return value;
	value &= (UINT64_C(1) << nbits) - 1;
	if (row->is_signed && (value >> (nbits - 1)) & 1)
		value |= ~UINT64_C(0) << nbits;
	return value;
}
