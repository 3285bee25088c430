/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Types: what a DIE says of the shape of bytes, and names composed of it.
 *
 * A struct type stands for a DIE, for a pointer or array made from a name the
 * user wrote ("foo_t *[4]"), or for a type every x86-64 program has, debug
 * information or not.  They are made when met and live as long as their
 * struct types; members, names and sizes are found when asked.
 *
 * (I1) one struct type a DIE, one a pair (array of n, element);
 * (I2) chains of typedefs and scopes are cut at CHAIN_MAX: a debug file is
 *      trusted to be of the right build, not to be sane.
 */
#include "types/type_impl.h"

#include <dwarf.h>
#include <string.h>

static struct type *mutable_type(const struct type *type)
{
	return (struct type *)(uintptr_t)type; /* ours; fills in lazily */
}

/* ---- making them --------------------------------------------------------- */

struct type *type_new(struct types *types, enum form form)
{
	struct type *type = mem_zalloc(sizeof(*type));

	type->form = form;
	type->types = types;
	VEC_PUSH(&types->all, type);
	type->number = types->all.n;
	return type;
}

void types_release(struct types *types)
{
	size_t i;

	for (i = 0; i < types->all.n; i++) {
		struct type *type = types->all.v[i];

		VEC_FREE(&type->members);
		VEC_FREE(&type->enums);
		mem_free(type->name);
		mem_free(type->given);
		mem_free(type);
	}
	for (i = 0; i < types->made_names.n; i++)
		mem_free(types->made_names.v[i]);
	VEC_FREE(&types->made_names);
	private_free(types);
	made_release(types);
	VEC_FREE(&types->all);
	hash_fini(&types->by_die);
	hash_fini(&types->by_parts);
}

/* the one derived type with these parts */
const struct type *type_derived(struct types *types, enum form form,
				const struct type *elem, uint64_t nelems)
{
	const uint64_t parts[3] = {form, (uintptr_t)elem, nelems};
	uint64_t *index = hash_put(&types->by_parts,
				   hash_bytes(parts, sizeof(parts), 0), NULL);
	struct type *type;

	if (*index > 0) {
		type = types->all.v[*index - 1];
		if (type->form == form && type->elem == elem &&
		    type->nelems == nelems)
			return type;
	}
	type = type_new(types, form);
	type->elem = elem;
	type->nelems = nelems;
	*index = types->all.n;
	return type;
}

const struct type *type_array(const struct type *elem, uint64_t n)
{
	return type_derived(elem->types, FORM_ARRAY, elem, n);
}

const struct type *type_pointer(const struct type *to)
{
	return type_derived(to->types, FORM_POINTER, to, 0);
}

const struct type *type_void(struct types *types)
{
	return type_derived(types, FORM_VOID, NULL, 0);
}

static bool int_attr(Dwarf_Die *die, unsigned name, uint64_t *ret)
{
	Dwarf_Attribute attr;
	Dwarf_Word value;

	if (!dwarf_attr_integrate(die, name, &attr) ||
	    dwarf_formudata(&attr, &value) != 0)
		return false;
	*ret = value;
	return true;
}

/* what DW_AT_type points at; false: nothing, which is void */
bool die_type(Dwarf_Die *die, Dwarf_Die *ret)
{
	Dwarf_Attribute attr;

	return dwarf_attr_integrate(die, DW_AT_type, &attr) &&
	       dwarf_formref_die(&attr, ret) != NULL;
}

/* the number of elements one subrange says; 0 unknown */
static uint64_t subrange(Dwarf_Die *die)
{
	uint64_t n;
	uint64_t lower = 0;

	if (int_attr(die, DW_AT_count, &n))
		return n;
	if (!int_attr(die, DW_AT_upper_bound, &n))
		return 0;
	(void)int_attr(die, DW_AT_lower_bound, &lower); /* C's is 0 */
	return n + 1 - lower;
}

/* "int [2][3]" is one DIE: an array of 2 arrays of 3 */
static const struct type *array_of_die(struct types *types,
				       struct object_impl *obj, Dwarf_Die *die,
				       int depth);

static const struct type *make(struct types *types, struct object_impl *obj,
			       Dwarf_Die *die, int depth)
{
	uint64_t key = (uintptr_t)die->addr;
	uint64_t *index = hash_get(&types->by_die, key);
	const struct type *array;
	struct type *type;

	if (index)
		return types->all.v[*index - 1];
	if (dwarf_tag(die) == DW_TAG_array_type && depth < DEPTH_MAX) {
		array = array_of_die(types, obj, die, depth + 1);
		*hash_put(&types->by_die, key, NULL) = array->number;
		return array;
	}
	type = type_new(types, FORM_DIE);
	type->obj = obj;
	type->die = *die;
	*hash_put(&types->by_die, key, NULL) = types->all.n;
	return type;
}

static const struct type *array_of_die(struct types *types,
				       struct object_impl *obj, Dwarf_Die *die,
				       int depth)
{
	uint64_t dims[DEPTH_MAX];
	size_t n = 0;
	const struct type *type;
	Dwarf_Die child;

	if (dwarf_child(die, &child) == 0) {
		do
			if (dwarf_tag(&child) == DW_TAG_subrange_type &&
			    n < DEPTH_MAX)
				dims[n++] = subrange(&child);
		while (dwarf_siblingof(&child, &child) == 0);
	}
	if (die_type(die, &child))
		type = make(types, obj, &child, depth);
	else
		type = type_void(types);
	if (n == 0)
		dims[n++] = 0;
	while (n > 0)
		type = type_derived(types, FORM_ARRAY, type, dims[--n]);
	return type;
}

const struct type *type_of_die(struct types *types, struct object_impl *obj,
			       Dwarf_Die *die)
{
	return die ? make(types, obj, die, 0) : type_void(types);
}

/* the type DW_AT_type of a type's DIE leads to */
const struct type *type_target(const struct type *type)
{
	Dwarf_Die die = type->die;
	Dwarf_Die to;

	return type_of_die(type->types, type->obj,
			   die_type(&die, &to) ? &to : NULL);
}

int type_tag(const struct type *type)
{
	Dwarf_Die die = type->die;

	return type->form == FORM_DIE ? dwarf_tag(&die) : 0;
}

/* ---- resolving ----------------------------------------------------------- */

static bool is_wrapper(int tag)
{
	switch (tag) {
	case DW_TAG_typedef:
	case DW_TAG_const_type:
	case DW_TAG_volatile_type:
	case DW_TAG_restrict_type:
	case DW_TAG_atomic_type:
	case DW_TAG_packed_type:
		return true;
	default:
		return false;
	}
}

/* "ns::outer::name", as the index has it; owned */
char *die_qualified_name(Dwarf_Die *die)
{
	const char *name = dwarf_diename(die);
	Dwarf_Die *scopes = NULL;
	char *full = mem_strdup(name ? name : "");
	int n = dwarf_getscopes_die(die, &scopes);
	int i;

	for (i = 1; i < n; i++) {
		int tag = dwarf_tag(&scopes[i]);
		const char *scope = dwarf_diename(&scopes[i]);
		char *longer;

		if (!scope ||
		    (tag != DW_TAG_namespace && tag != DW_TAG_structure_type &&
		     tag != DW_TAG_class_type && tag != DW_TAG_union_type))
			continue;
		longer = mem_printf("%s::%s", scope, full);
		mem_free(full);
		full = longer;
	}
	mem_free(scopes);
	return full;
}

/* the definition of what a DIE only declares; NULL when nobody has it */
static const struct type *definition(const struct type *type)
{
	struct types *types = type->types;
	Dwarf_Die die = type->die;
	_free_ char *name = NULL;
	Dwarf_Attribute attr;
	Dwarf_Die found;
	size_t i;

	if (dwarf_attr(&die, DW_AT_signature, &attr) &&
	    dwarf_formref_die(&attr, &found) && !die_is_declaration(&found))
		return type_of_die(types, type->obj, &found);
	name = die_qualified_name(&die);
	for (i = 0; i <= types->objects.n && name[0]; i++) {
		/* its own object first */
		struct object_impl *obj =
			i == 0 ? type->obj : types->objects.v[i - 1];
		bool is_declaration;

		if (index_find(obj, die_lookup_tag(dwarf_tag(&die)), name,
			       &found, &is_declaration) &&
		    !is_declaration)
			return type_of_die(types, obj, &found);
	}
	return NULL;
}

static const struct type *resolve(const struct type *type)
{
	Dwarf_Die die;
	int i;

	for (i = 0; i < CHAIN_MAX; i++) {
		if (type->form == FORM_TYPEDEF)
			type = type->elem;
		else if (is_wrapper(type_tag(type)))
			type = type_target(type);
		else
			break;
	}
	if (type->form != FORM_DIE || die_lookup_tag(type_tag(type)) <= 0)
		return type;
	die = type->die;
	if (die_is_declaration(&die)) {
		const struct type *def = definition(type);

		if (def)
			return def;
	}
	return type;
}

const struct type *type_resolve(const struct type *type)
{
	if (!type->resolved)
		mutable_type(type)->resolved = resolve(type);
	return type->resolved;
}

/* ---- facts --------------------------------------------------------------- */

static void base_info(Dwarf_Die *die, struct type_info *info)
{
	uint64_t encoding = 0;

	(void)int_attr(die, DW_AT_encoding, &encoding); /* 0: an integer */
	info->kind = TYPE_INT;
	switch (encoding) {
	case DW_ATE_float:
	case DW_ATE_complex_float:
	case DW_ATE_imaginary_float:
	case DW_ATE_decimal_float:
		info->kind = TYPE_FLOAT;
		info->is_signed = true;
		break;
	case DW_ATE_boolean:
		info->is_bool = true;
		break;
	case DW_ATE_signed_char:
		info->is_signed = true;
		info->is_char = info->size_bytes == 1;
		break;
	case DW_ATE_unsigned_char:
	case DW_ATE_UTF:
		info->is_char = info->size_bytes == 1;
		break;
	case DW_ATE_signed:
		info->is_signed = true;
		break;
	default:
		break;
	}
}

static bool has_negative(const struct type *type)
{
	size_t n = type_nenums(type);
	size_t i;

	for (i = 0; i < n; i++)
		if (type->enums.v[i].value < 0)
			return true;
	return false;
}

static bool is_nullptr(Dwarf_Die *die)
{
	const char *name = dwarf_diename(die);

	return name && strcmp(name, "decltype(nullptr)") == 0;
}

static bool is_function(const struct type *type)
{
	return type_tag(type_resolve(type)) == DW_TAG_subroutine_type;
}

static struct type_info die_info(const struct type *type)
{
	Dwarf_Die die = type->die;
	struct type_info info = {.kind = TYPE_VOID};

	(void)int_attr(&die, DW_AT_byte_size, &info.size_bytes); /* 0 */
	switch (dwarf_tag(&die)) {
	case DW_TAG_base_type:
		base_info(&die, &info);
		return info;
	case DW_TAG_pointer_type:
	case DW_TAG_reference_type:
	case DW_TAG_rvalue_reference_type:
		info.kind = dwarf_tag(&die) == DW_TAG_pointer_type
				    ? TYPE_POINTER
				    : TYPE_REFERENCE;
		info.size_bytes = 8;
		info.elem = type_target(type);
		if (info.elem->form == FORM_VOID)
			info.elem = NULL;
		return info;
	case DW_TAG_ptr_to_member_type:
		/* to a function: its address or place in the virtual table,
		 * and what to add to "this" */
		info.kind = TYPE_INT;
		if (info.size_bytes == 0)
			info.size_bytes =
				is_function(type_target(type)) ? 16 : 8;
		return info;
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
		info.kind = dwarf_tag(&die) == DW_TAG_union_type ? TYPE_UNION
								 : TYPE_STRUCT;
		break;
	case DW_TAG_enumeration_type:
		info.kind = TYPE_ENUM;
		info.is_signed = has_negative(type);
		break;
	case DW_TAG_subroutine_type:
	case DW_TAG_subprogram:
		info.kind = TYPE_FUNCTION;
		info.size_bytes = 0;
		info.elem = type_target(type);
		return info;
	case DW_TAG_unspecified_type:
		if (is_nullptr(&die)) {
			info.kind = TYPE_POINTER;
			info.size_bytes = 8;
		}
		return info;
	default:
		return info; /* void, what we do not know */
	}
	if (die_is_declaration(&die))
		info.kind = TYPE_FORWARD;
	return info;
}

struct type_info type_info(const struct type *type)
{
	struct type_info info = {.kind = TYPE_VOID};

	type = type_resolve(type);
	switch (type->form) {
	case FORM_DIE:
		return die_info(type);
	case FORM_VOID:
		break;
	case FORM_BUILTIN:
		info.kind = type->builtin->is_float ? TYPE_FLOAT : TYPE_INT;
		info.size_bytes = type->builtin->size_bytes;
		info.is_signed = type->builtin->is_signed;
		info.is_char = type->builtin->is_char;
		info.is_bool = type->builtin->is_bool;
		break;
	case FORM_POINTER:
		info.kind = TYPE_POINTER;
		info.size_bytes = 8;
		info.elem = type->elem->form == FORM_VOID ? NULL : type->elem;
		break;
	case FORM_ARRAY:
		info.kind = TYPE_ARRAY;
		info.elem = type->elem;
		info.nelems = type->nelems;
		if (__builtin_mul_overflow(type->nelems,
					   type_info(type->elem).size_bytes,
					   &info.size_bytes))
			info.size_bytes = 0;
		break;
	case FORM_TYPEDEF:
		break; /* resolved above; a chain too long is void */
	case FORM_RECORD:
		info.kind = type->is_union ? TYPE_UNION : TYPE_STRUCT;
		info.size_bytes = type->size_bytes;
		break;
	}
	return info;
}

/* ---- members ------------------------------------------------------------- */

/* "the object's virtual table, less n, holds how far to go": n; else 0 */
static uint32_t vbase_bytes(const Dwarf_Op *expr, size_t n)
{
	static const uint8_t atoms[] = {DW_OP_dup,   DW_OP_deref, 0,
					DW_OP_minus, DW_OP_deref, DW_OP_plus};

	if (n != sizeof(atoms))
		return 0;
	for (size_t i = 0; i < n; i++)
		if (i != 2 && expr[i].atom != atoms[i])
			return 0;
	if (expr[2].atom >= DW_OP_lit0 && expr[2].atom <= DW_OP_lit31)
		return expr[2].atom - DW_OP_lit0;
	return expr[2].atom >= DW_OP_const1u && expr[2].atom <= DW_OP_constu
		       ? (uint32_t)expr[2].number
		       : 0;
}

/* where a member is, in bytes; false: only known at run time */
static bool member_location(Dwarf_Die *die, uint64_t *ret, uint32_t *ret_vbase)
{
	Dwarf_Attribute attr;
	Dwarf_Word value;
	Dwarf_Op *expr;
	size_t n;

	*ret = 0;
	if (!dwarf_attr(die, DW_AT_data_member_location, &attr))
		return true; /* of a union */
	if (dwarf_formudata(&attr, &value) == 0) {
		*ret = value;
		return true;
	}
	if (dwarf_getlocation(&attr, &expr, &n) != 0)
		return false;
	*ret_vbase = vbase_bytes(expr, n);
	if (n == 1 && expr[0].atom == DW_OP_plus_uconst)
		*ret = expr[0].number;
	else
		return *ret_vbase > 0;
	return true;
}

static bool read_member(const struct type *type, Dwarf_Die *die,
			struct type_member *ret)
{
	const char *name = dwarf_diename(die);
	uint64_t bytes, bits, from_top, storage;
	Dwarf_Die to;

	*ret = (struct type_member){
		.name = name ? name : "",
		.is_base = dwarf_tag(die) == DW_TAG_inheritance,
	};
	ret->type = type_of_die(type->types, type->obj,
				die_type(die, &to) ? &to : NULL);
	if (ret->is_base)
		ret->name = type_name(ret->type);
	if (!member_location(die, &bytes, &ret->vbase_bytes))
		return false;
	ret->offset_bits = bytes * 8;
	if (!int_attr(die, DW_AT_bit_size, &bits))
		return true;
	ret->bit_size = (uint32_t)bits;
	if (int_attr(die, DW_AT_data_bit_offset, &bits)) {
		ret->offset_bits = bits;
	} else if (int_attr(die, DW_AT_bit_offset, &from_top)) {
		/* before DWARF 4: counted from the top of the storage unit */
		if (!int_attr(die, DW_AT_byte_size, &storage))
			storage = type_info(ret->type).size_bytes;
		ret->offset_bits += storage * 8 - from_top - ret->bit_size;
	}
	return true;
}

static void read_members(struct type *type)
{
	Dwarf_Die die = type->die;
	Dwarf_Die child;

	if (type->has_members)
		return;
	type->has_members = true;
	switch (type_tag(type)) {
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
		break;
	default:
		return;
	}
	if (!dwarf_haschildren(&die) || dwarf_child(&die, &child) != 0)
		return;
	do {
		int tag = dwarf_tag(&child);
		struct type_member member;

		/* C++ statics are declared here and live elsewhere */
		if ((tag == DW_TAG_member && !die_is_declaration(&child)) ||
		    tag == DW_TAG_inheritance)
			if (read_member(type, &child, &member))
				VEC_PUSH(&type->members, member);
	} while (dwarf_siblingof(&child, &child) == 0);
}

size_t type_nmembers(const struct type *type)
{
	type = type_resolve(type);
	read_members(mutable_type(type));
	return type->members.n;
}

struct type_member type_member(const struct type *type, size_t i)
{
	return type_resolve(type)->members.v[i];
}

static bool find_member(const struct type *type, const char *name, int depth,
			struct type_member *ret)
{
	size_t n = type_nmembers(type);
	size_t i;

	for (i = 0; i < n; i++) {
		struct type_member member = type_member(type, i);

		if (!member.is_base && strcmp(member.name, name) == 0) {
			*ret = member;
			return true;
		}
		if ((member.name[0] != '\0' && !member.is_base) ||
		    member.vbase_bytes > 0 || depth >= DEPTH_MAX ||
		    !find_member(member.type, name, depth + 1, ret))
			continue;
		ret->offset_bits += member.offset_bits;
		return true;
	}
	return false;
}

bool type_find_member(const struct type *type, const char *name,
		      struct type_member *ret)
{
	return name[0] != '\0' && find_member(type, name, 0, ret);
}

/* ---- enumerators --------------------------------------------------------- */

static int64_t enum_value(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	Dwarf_Sword sword = 0;
	Dwarf_Word word = 0;

	if (!dwarf_attr(die, DW_AT_const_value, &attr))
		return 0;
	switch (dwarf_whatform(&attr)) {
	case DW_FORM_sdata:
	case DW_FORM_implicit_const:
		return dwarf_formsdata(&attr, &sword) == 0 ? sword : 0;
	default:
		/* libdw would extend the sign of short forms */
		return dwarf_formudata(&attr, &word) == 0 ? (int64_t)word : 0;
	}
}

static void read_enums(struct type *type)
{
	Dwarf_Die die = type->die;
	Dwarf_Die child;

	if (type->has_enums)
		return;
	type->has_enums = true;
	if (type_tag(type) != DW_TAG_enumeration_type ||
	    !dwarf_haschildren(&die) || dwarf_child(&die, &child) != 0)
		return;
	do {
		struct enumerator row = {.name = dwarf_diename(&child)};

		if (dwarf_tag(&child) != DW_TAG_enumerator || !row.name)
			continue;
		row.value = enum_value(&child);
		VEC_PUSH(&type->enums, row);
	} while (dwarf_siblingof(&child, &child) == 0);
}

size_t type_nenums(const struct type *type)
{
	type = type_resolve(type);
	read_enums(mutable_type(type));
	return type->enums.n;
}

const char *type_enum(const struct type *type, size_t i, int64_t *ret_value)
{
	type = type_resolve(type);
	*ret_value = type->enums.v[i].value;
	return type->enums.v[i].name;
}
