/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Debug information by name and by address.
 *
 * Nothing is read until the first question about an object.  Then its units
 * are walked once, top level and name spaces only, and every named type is
 * entered in a hash under its qualified name.  Compilers repeat a type in each
 * unit that uses it: the first complete definition wins, a declaration only
 * stands in until one is found.  Variables have an index of their own, by
 * address, as that one must enter functions for their statics.
 *
 * gcc says "long unsigned int", clang "unsigned long": base types are entered
 * and asked for in gcc's order.
 *
 * Cost: one pass over the top level of .debug_info an object.
 */
#include "types/types_impl.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/progress.h"
#include "types/names.h"

struct named {
	const char *name;
	int tag; /* of a struct, union, enum; 0 a typedef or base type */
	bool is_declaration;
	Dwarf_Die die;
	uint32_t next; /* in the chain of its hash: index + 1 */
};

struct type_index {
	VEC(struct named) all;
	VEC(char *) names; /* those we had to make */
	struct hash by_name;
};

static void variables_free(struct object_impl *obj)
{
	if (obj->variables) {
		hash_fini(obj->variables);
		mem_free(obj->variables);
		obj->variables = NULL;
	}
	VEC_FREE(&obj->variable_dies);
}

void index_free(struct object_impl *obj)
{
	size_t i;

	if (obj->index) {
		for (i = 0; i < obj->index->names.n; i++)
			mem_free(obj->index->names.v[i]);
		VEC_FREE(&obj->index->names);
		VEC_FREE(&obj->index->all);
		hash_fini(&obj->index->by_name);
		mem_free(obj->index);
		obj->index = NULL;
	}
	variables_free(obj);
}

/* ---- the index of types -------------------------------------------------- */

int die_lookup_tag(int tag)
{
	switch (tag) {
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
		return DW_TAG_structure_type;
	case DW_TAG_union_type:
	case DW_TAG_enumeration_type:
		return tag;
	case DW_TAG_typedef:
	case DW_TAG_base_type:
	case DW_TAG_unspecified_type:
		return 0;
	default:
		return -1;
	}
}

static struct named *find(const struct type_index *index, int tag,
			  const char *name, uint64_t hash)
{
	const uint64_t *head = hash_get(&index->by_name, hash);
	uint64_t i = head ? *head : 0;

	for (; i != 0; i = index->all.v[i - 1].next) {
		struct named *named = &index->all.v[i - 1];

		if (named->tag == tag && strcmp(named->name, name) == 0)
			return named;
	}
	return NULL;
}

bool die_is_declaration(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	bool flag = false;

	return dwarf_attr(die, DW_AT_declaration, &attr) &&
	       dwarf_formflag(&attr, &flag) == 0 && flag;
}

/* enters a type under a name that lives as long as the index */
static void enter(struct type_index *index, Dwarf_Die *die, int tag,
		  const char *name)
{
	uint64_t hash = hash_bytes(name, strlen(name), 0);
	struct named *old = find(index, tag, name, hash);
	struct named named = {
		.name = name,
		.tag = tag,
		.is_declaration = die_is_declaration(die),
		.die = *die,
	};
	uint64_t *head;

	if (old) {
		if (old->is_declaration && !named.is_declaration) {
			old->is_declaration = false;
			old->die = *die;
		}
		return;
	}
	head = hash_put(&index->by_name, hash, NULL);
	named.next = (uint32_t)*head;
	VEC_PUSH(&index->all, named);
	*head = index->all.n;
}

static const char *keep(struct type_index *index, char *name)
{
	VEC_PUSH(&index->names, name);
	return name;
}

static void enter_children(struct type_index *index, Dwarf_Die *parent,
			   const char *scope, int depth);

static void enter_die(struct type_index *index, Dwarf_Die *die,
		      const char *scope, int depth)
{
	const char *name = dwarf_diename(die);
	int die_tag = dwarf_tag(die);
	int tag = die_lookup_tag(die_tag);

	if (!name && die_tag == DW_TAG_namespace) {
		enter_children(index, die, scope, depth + 1);
		return;
	}
	if (!name)
		return;
	if (tag < 0 && die_tag != DW_TAG_namespace)
		return;
	if (die_tag == DW_TAG_base_type) {
		char *canonical = names_base_type(name);

		if (canonical)
			name = keep(index, canonical);
	} else if (scope) {
		name = keep(index, mem_printf("%s::%s", scope, name));
	}
	if (tag >= 0)
		enter(index, die, tag, name);
	/* only C++ has types inside types that need a scope */
	if (die_tag == DW_TAG_namespace || tag == DW_TAG_structure_type ||
	    tag == DW_TAG_union_type)
		enter_children(index, die, name, depth + 1);
}

static void enter_children(struct type_index *index, Dwarf_Die *parent,
			   const char *scope, int depth)
{
	enum {
		DEPTH_MAX = 32
	};
	Dwarf_Die die;

	if (depth > DEPTH_MAX || !dwarf_haschildren(parent) ||
	    dwarf_child(parent, &die) != 0)
		return;
	do
		enter_die(index, &die, scope, depth);
	while (dwarf_siblingof(&die, &die) == 0);
}

/* a unit's root; of a skeleton, that of the split unit if it was found */
static Dwarf_Die whole_unit(struct object_impl *obj, Dwarf_Die *root)
{
	Dwarf_Die whole, split;
	uint64_t id;
	uint8_t type;

	if (dwarf_cu_info(root->cu, NULL, &type, &whole, &split, &id, NULL,
			  NULL) != 0 ||
	    type != DW_UT_skeleton)
		return *root;
	if (split.addr || dwp_unit(obj, root, id, &split))
		return split;
	return *root;
}

typedef void unit_fn(struct object_impl *obj, Dwarf_Die *unit);

/* calls fn for each unit's root, split ones in place of their skeletons */
static void each_unit(struct object_impl *obj, Dwarf *dwarf, unit_fn *fn)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die root;

	while (!interrupt_flag &&
	       dwarf_get_units(dwarf, cu, &cu, NULL, NULL, &root, NULL) == 0) {
		root = whole_unit(obj, &root);
		fn(obj, &root);
	}
}

static void index_unit(struct object_impl *obj, Dwarf_Die *unit)
{
	progress_set("reading types", obj->index->all.n, 0);
	enter_children(obj->index, unit, NULL, 0);
}

static struct type_index *type_index(struct object_impl *obj)
{
	Dwarf *dwarf = object_dwarf(obj);
	Dwarf *alt;

	if (obj->index || !dwarf)
		return obj->index;
	obj->index = mem_zalloc(sizeof(*obj->index));
	hash_init(&obj->index->by_name);
	each_unit(obj, dwarf, index_unit);
	alt = dwarf_getalt(dwarf); /* dwz moved what several files share */
	if (alt)
		each_unit(obj, alt, index_unit);
	if (interrupt_flag) /* half of it would be taken for all */
		index_free(obj);
	return obj->index;
}

bool index_find(struct object_impl *obj, int tag, const char *name,
		Dwarf_Die *ret, bool *ret_is_declaration)
{
	struct type_index *index = type_index(obj);
	const struct named *named =
		index ? find(index, tag, name,
			     hash_bytes(name, strlen(name), 0))
		      : NULL;

	if (!named)
		return false;
	*ret = named->die;
	*ret_is_declaration = named->is_declaration;
	return true;
}

struct err *index_names(struct object_impl *obj, type_name_fn *fn, void *arg)
{
	const struct type_index *index = type_index(obj);
	struct err *err = interrupt_check();
	size_t i;

	for (i = 0; index && i < index->all.n && !err; i++) {
		const struct named *named = &index->all.v[i];

		err = fn(arg,
			 named->tag == DW_TAG_structure_type     ? "struct "
			 : named->tag == DW_TAG_union_type       ? "union "
			 : named->tag == DW_TAG_enumeration_type ? "enum "
								 : "",
			 named->name);
	}
	return err;
}

struct err *index_each(struct object_impl *obj,
		       struct err *(*fn)(void *arg, Dwarf_Die *die), void *arg)
{
	struct type_index *index = type_index(obj);
	struct err *err = interrupt_check();

	for (size_t i = 0; index && i < index->all.n && !err; i++)
		if (!index->all.v[i].is_declaration)
			err = fn(arg, &index->all.v[i].die);
	return err;
}

/* ---- the index of variables ---------------------------------------------- */

/* variables of threads are among the others, by their place in the block: no
 * address in a file has this bit */
#define TLS_VARIABLE (1ull << 63)

/* "const4u 8; form_tls_address" */
static bool place_in_block(const Dwarf_Op *expr, size_t n, Dwarf_Addr *ret)
{
	if (n != 2 || (expr[1].atom != DW_OP_form_tls_address &&
		       expr[1].atom != DW_OP_GNU_push_tls_address))
		return false;
	switch (expr[0].atom) {
	case DW_OP_const1u:
	case DW_OP_const2u:
	case DW_OP_const4u:
	case DW_OP_const8u:
	case DW_OP_constu:
		*ret = expr[0].number | TLS_VARIABLE;
		return true;
	default:
		return false;
	}
}

/* the fixed address of a variable; false: it has none */
static bool fixed_address(struct object_impl *obj, Dwarf_Die *die,
			  Dwarf_Addr *ret)
{
	Dwarf_Attribute attr, pool;
	Dwarf_Op *expr;
	size_t n;

	if (!dwarf_attr(die, DW_AT_location, &attr) ||
	    dwarf_getlocation(&attr, &expr, &n) != 0)
		return false;
	if (n != 1)
		return place_in_block(expr, n, ret);
	if (expr[0].atom == DW_OP_addr) {
		*ret = expr[0].number;
		return true;
	}
	if (expr[0].atom != DW_OP_addrx && expr[0].atom != DW_OP_GNU_addr_index)
		return false;
	if (dwarf_getlocation_attr(&attr, expr, &pool) == 0 &&
	    dwarf_formaddr(&pool, ret) == 0)
		return true;
	return dwp_address(obj, die, expr[0].number, ret);
}

static void enter_variables(struct object_impl *obj, Dwarf_Die *parent,
			    int depth)
{
	enum {
		DEPTH_MAX = 64
	};
	Dwarf_Die die;

	if (depth > DEPTH_MAX || !dwarf_haschildren(parent) ||
	    dwarf_child(parent, &die) != 0)
		return;
	do {
		Dwarf_Addr at;
		bool is_new;
		uint64_t *index;

		switch (dwarf_tag(&die)) {
		case DW_TAG_variable:
			if (!fixed_address(obj, &die, &at))
				break;
			index = hash_put(obj->variables, at, &is_new);
			if (!is_new)
				break;
			VEC_PUSH(&obj->variable_dies, die);
			*index = obj->variable_dies.n;
			break;
		case DW_TAG_namespace:
		case DW_TAG_subprogram:
		case DW_TAG_lexical_block:
			enter_variables(obj, &die, depth + 1);
			break;
		default:
			break;
		}
	} while (dwarf_siblingof(&die, &die) == 0);
}

static void variables_unit(struct object_impl *obj, Dwarf_Die *unit)
{
	enter_variables(obj, unit, 0);
}

/* false: there are none, or Ctrl-C stopped the search */
static bool find_variables(struct object_impl *obj)
{
	Dwarf *dwarf = object_dwarf(obj);

	if (!dwarf)
		return false;
	if (obj->variables)
		return true;
	obj->variables = mem_zalloc(sizeof(*obj->variables));
	hash_init(obj->variables);
	each_unit(obj, dwarf, variables_unit);
	if (interrupt_flag) /* half would be taken for all */
		variables_free(obj);
	return obj->variables;
}

struct err *variables_each(struct object_impl *obj, variable_fn *fn, void *arg)
{
	struct err *err = NULL;

	if (!find_variables(obj))
		return interrupt_check();
	for (size_t i = 0; !err && i < obj->variable_dies.n; i++) {
		Dwarf_Die die = obj->variable_dies.v[i];
		Dwarf_Addr at = 0;

		if (!fixed_address(obj, &die, &at))
			continue;
		if (at & TLS_VARIABLE)
			err = fn(arg, &die, at & ~TLS_VARIABLE, true);
		else
			err = fn(arg, &die, at + obj->dwarf_bias, false);
	}
	return err;
}

static bool find_variable(struct object_impl *obj, uint64_t key, Dwarf_Die *ret)
{
	const uint64_t *index;

	if (!find_variables(obj))
		return false;
	index = hash_get(obj->variables, key);
	if (!index)
		return false;
	*ret = obj->variable_dies.v[*index - 1];
	return true;
}

bool variable_at(struct object_impl *obj, taddr_t addr, Dwarf_Die *ret)
{
	/* the bias is known when the debug information has been found */
	return object_dwarf(obj) &&
	       find_variable(obj, addr - obj->dwarf_bias, ret);
}

bool variable_in_block(struct object_impl *obj, uint64_t offset, Dwarf_Die *ret)
{
	return find_variable(obj, offset | TLS_VARIABLE, ret);
}

/* ---- code ---------------------------------------------------------------- */

bool object_cu_at(struct object_impl *obj, taddr_t pc, Dwarf_Die *ret)
{
	Dwarf_CU *cu = NULL;
	Dwarf *dwarf = object_dwarf(obj);
	Dwarf_Addr bias;
	Dwarf_Die root;
	Dwarf_Die *die;

	if (!dwarf)
		return false;
	die = dwfl_module_addrdie(obj->mod, pc, &bias);
	if (die) {
		*ret = whole_unit(obj, die);
		return true;
	}
	/* clang leaves .debug_aranges out */
	while (dwarf_get_units(dwarf, cu, &cu, NULL, NULL, &root, NULL) == 0) {
		if (dwarf_haspc(&root, pc - obj->dwarf_bias) <= 0)
			continue;
		*ret = whole_unit(obj, &root);
		return true;
	}
	return false;
}

bool function_at(struct object_impl *obj, taddr_t addr, Dwarf_Die *ret)
{
	Dwarf_Die cu, die;

	if (!object_cu_at(obj, addr, &cu) || dwarf_child(&cu, &die) != 0)
		return false;
	do {
		Dwarf_Addr low;

		if (dwarf_tag(&die) == DW_TAG_subprogram &&
		    dwarf_lowpc(&die, &low) == 0 &&
		    low + obj->dwarf_bias == addr) {
			*ret = die;
			return true;
		}
	} while (dwarf_siblingof(&die, &die) == 0);
	return false;
}
