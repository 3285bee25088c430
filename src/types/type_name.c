/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The names of types, in C's declarator syntax: "void (*)(int)", "int [2][3]".
 *
 * A declarator is built from the inside out: each level of the type wraps what
 * stands around the (missing) name - a star before, brackets or parameters
 * behind - and the innermost type is written in front of it all.
 */
#include "types/type_impl.h"

#include <dwarf.h>
#include <inttypes.h>

#include "base/strbuf.h"

static bool is_cplusplus(Dwarf_Die *die)
{
	Dwarf_Die cu;

	if (!dwarf_diecu(die, &cu, NULL, NULL))
		return false;
	switch (dwarf_srclang(&cu)) {
	case DW_LANG_C_plus_plus:
	case DW_LANG_C_plus_plus_03:
	case DW_LANG_C_plus_plus_11:
	case DW_LANG_C_plus_plus_14:
	case DW_LANG_Rust:
		return true;
	default:
		return false;
	}
}

static char *die_name(const struct type *type)
{
	Dwarf_Die die = type->die;
	const char *name = dwarf_diename(&die);
	const char *word = NULL;

	switch (dwarf_tag(&die)) {
	case DW_TAG_class_type:
		word = "class";
		break;
	case DW_TAG_structure_type:
		word = "struct";
		break;
	case DW_TAG_union_type:
		word = "union";
		break;
	case DW_TAG_enumeration_type:
		word = "enum";
		break;
	default:
		break;
	}
	if (!name)
		return word ? mem_printf("%s {...}", word) : mem_strdup("?");
	if (is_cplusplus(&die))
		return die_qualified_name(&die);
	return word ? mem_printf("%s %s", word, name) : mem_strdup(name);
}

static void declare(const struct type *type, const char *decl, int depth,
		    struct strbuf *out);

/* "void (int, char *)" around a declarator */
static void declare_function(const struct type *type, const char *decl,
			     int depth, struct strbuf *out)
{
	struct strbuf full = {0};
	Dwarf_Die die = type->die;
	Dwarf_Die child;
	bool any = false;

	strbuf_printf(&full, "%s(", decl);
	if (dwarf_haschildren(&die) && dwarf_child(&die, &child) == 0) {
		do {
			int tag = dwarf_tag(&child);
			Dwarf_Die to;
			bool has_type;

			if (tag == DW_TAG_unspecified_parameters)
				strbuf_puts(&full, any ? ", ..." : "...");
			if (tag != DW_TAG_formal_parameter)
				continue;
			if (any)
				strbuf_puts(&full, ", ");
			any = true;
			has_type = die_type(&child, &to);
			declare(type_of_die(type->types, type->obj,
					    has_type ? &to : NULL),
				"", depth + 1, &full);
		} while (dwarf_siblingof(&child, &child) == 0);
	}
	strbuf_puts(&full, any ? ")" : "void)");
	declare(type_target(type), strbuf_str(&full), depth + 1, out);
	strbuf_free(&full);
}

/* a pointer's star binds less than what its pointee adds behind */
static void declare_pointer(const struct type *elem, const char *star,
			    const char *decl, int depth, struct strbuf *out)
{
	bool needs_parens = elem->form == FORM_ARRAY ||
			    type_tag(elem) == DW_TAG_subroutine_type ||
			    type_tag(elem) == DW_TAG_subprogram;
	_free_ char *full = mem_printf("%s%s%s%s", needs_parens ? "(" : "",
				       star, decl, needs_parens ? ")" : "");

	declare(elem, full, depth + 1, out);
}

static void declare_qualified(const struct type *type, const char *word,
			      const char *decl, int depth, struct strbuf *out)
{
	const struct type *to = type_target(type);
	_free_ char *behind = NULL;

	if (to->form == FORM_POINTER || type_tag(to) == DW_TAG_pointer_type) {
		behind = mem_printf("%s%s%s", word, decl[0] ? " " : "", decl);
		declare(to, behind, depth + 1, out);
		return;
	}
	strbuf_printf(out, "%s ", word);
	declare(to, decl, depth + 1, out);
}

static void declare_die(const struct type *type, const char *decl, int depth,
			struct strbuf *out)
{
	_free_ char *name = NULL;

	switch (type_tag(type)) {
	case DW_TAG_pointer_type:
		declare_pointer(type_target(type), "*", decl, depth, out);
		return;
	case DW_TAG_reference_type:
		declare_pointer(type_target(type), "&", decl, depth, out);
		return;
	case DW_TAG_rvalue_reference_type:
		declare_pointer(type_target(type), "&&", decl, depth, out);
		return;
	case DW_TAG_const_type:
		declare_qualified(type, "const", decl, depth, out);
		return;
	case DW_TAG_volatile_type:
		declare_qualified(type, "volatile", decl, depth, out);
		return;
	case DW_TAG_restrict_type:
		declare_qualified(type, "restrict", decl, depth, out);
		return;
	case DW_TAG_atomic_type:
		declare_qualified(type, "_Atomic", decl, depth, out);
		return;
	case DW_TAG_subroutine_type:
	case DW_TAG_subprogram:
		declare_function(type, decl, depth, out);
		return;
	default:
		name = die_name(type);
		strbuf_printf(out, "%s%s%s", name, decl[0] ? " " : "", decl);
		return;
	}
}

/* appends "type decl", where decl is what stands around the name */
static void declare(const struct type *type, const char *decl, int depth,
		    struct strbuf *out)
{
	_free_ char *full = NULL;

	if (depth > DEPTH_MAX) {
		strbuf_puts(out, "...");
		return;
	}
	switch (type->form) {
	case FORM_DIE:
		declare_die(type, decl, depth, out);
		break;
	case FORM_VOID:
		strbuf_printf(out, "void%s%s", decl[0] ? " " : "", decl);
		break;
	case FORM_BUILTIN:
		strbuf_printf(out, "%s%s%s", type->builtin->name,
			      decl[0] ? " " : "", decl);
		break;
	case FORM_POINTER:
		declare_pointer(type->elem, "*", decl, depth, out);
		break;
	case FORM_ARRAY:
		full = type->nelems > 0 ? mem_printf("%s[%" PRIu64 "]", decl,
						     type->nelems)
					: mem_printf("%s[]", decl);
		declare(type->elem, full, depth + 1, out);
		break;
	case FORM_TYPEDEF:
		strbuf_printf(out, "%s%s%s", type->given, decl[0] ? " " : "",
			      decl);
		break;
	case FORM_RECORD:
		strbuf_printf(out, "%s %s%s%s",
			      type->is_union ? "union" : "struct",
			      type->given ? type->given : "{...}",
			      decl[0] ? " " : "", decl);
		break;
	}
}

const char *type_name(const struct type *type)
{
	if (!type->name) {
		struct strbuf out = {0};

		declare(type, "", 0, &out);
		((struct type *)(uintptr_t)type)->name =
			out.s; /* owned by type now */
	}
	return type->name;
}
