/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Code addresses in the words of the source: lines, functions, inlining. */
#include "types/types_impl.h"

#include <dwarf.h>
#include <string.h>

/* functions inlined into each other at one address */
#define INLINES_MAX 32

bool types_source_line(struct types *types, taddr_t pc, const char **ret_file,
		       int *ret_line)
{
	struct object_impl *obj = object_at(types, pc);
	Dwfl_Module *mod = obj ? object_module(obj) : NULL;
	Dwfl_Line *line = mod ? dwfl_module_getsrc(mod, pc) : NULL;
	const char *file;
	int n;

	if (!line)
		return false;
	file = dwfl_lineinfo(line, NULL, &n, NULL, NULL, NULL);
	if (!file || n <= 0)
		return false;
	*ret_file = file;
	*ret_line = n;
	return true;
}

const char *types_compile_dir(struct types *types, taddr_t pc)
{
	struct object_impl *obj = object_at(types, pc);
	Dwfl_Module *mod = obj ? object_module(obj) : NULL;
	Dwfl_Line *line = mod ? dwfl_module_getsrc(mod, pc) : NULL;

	return line ? dwfl_line_comp_dir(line) : NULL;
}

static const char *link_name(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	const char *name = NULL;

	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attr))
		name = dwarf_formstring(&attr);
	return name ? name : dwarf_diename(die);
}

/* the line a function was called at where it was inlined */
static void call_site(Dwarf_Die *die, Dwarf_Die *cu, struct inline_frame *ret)
{
	Dwarf_Attribute attr;
	Dwarf_Files *files;
	Dwarf_Word n;
	size_t nfiles;

	ret->file = NULL;
	ret->line = 0;
	if (dwarf_attr(die, DW_AT_call_line, &attr) &&
	    dwarf_formudata(&attr, &n) == 0)
		ret->line = (int)n;
	if (dwarf_attr(die, DW_AT_call_file, &attr) &&
	    dwarf_formudata(&attr, &n) == 0 &&
	    dwarf_getsrcfiles(cu, &files, &nfiles) == 0 && n < nfiles)
		ret->file = dwarf_filesrc(files, n, NULL, NULL);
}

size_t types_inlines(struct types *types, taddr_t pc, struct inline_frame *ret,
		     size_t max)
{
	struct object_impl *obj = object_at(types, pc);
	struct inline_frame here = {0};
	Dwarf_Die *scopes = NULL;
	size_t n = 0;
	Dwarf_Die cu;
	int nscopes;
	int i;

	if (!obj || !object_cu_at(obj, pc, &cu))
		return 0;
	(void)types_source_line(types, pc, &here.file, &here.line); /* NULL */
	nscopes = dwarf_getscopes(&cu, pc - obj->dwarf_bias, &scopes);
	/* around an inlined function those are the scopes of where it was
	 * written; what is wanted is where it was put */
	if (nscopes > 0) {
		Dwarf_Die innermost = scopes[0];

		mem_free(scopes);
		scopes = NULL;
		nscopes = dwarf_getscopes_die(&innermost, &scopes);
	}
	for (i = 0; i < nscopes && n < max; i++) {
		int tag = dwarf_tag(&scopes[i]);

		if (tag != DW_TAG_inlined_subroutine &&
		    tag != DW_TAG_subprogram)
			continue;
		here.name = link_name(&scopes[i]);
		if (!here.name)
			break;
		ret[n++] = here;
		if (tag == DW_TAG_subprogram)
			break; /* what encloses it is no caller */
		call_site(&scopes[i], &cu, &here);
	}
	mem_free(scopes);
	return n;
}

char *types_function_name(struct types *types, taddr_t pc)
{
	struct inline_frame inner;
	struct symbol sym;

	if (types_inlines(types, pc, &inner, 1) > 0)
		return types_shown_name(types, inner.name);
	if (types_symbol_at(types, pc, &sym))
		return types_shown_name(types, sym.name);
	return NULL;
}

bool object_is_libkmem(const struct object *object)
{
	return strncmp(object->name, "libkmem", 7) == 0;
}

void types_each_function(struct types *types, taddr_t pc, types_function_fn *fn,
			 void *arg)
{
	const struct object *obj = types_object_at(types, pc - 1);
	bool is_own = obj && object_is_libkmem(obj);
	struct inline_frame frames[INLINES_MAX];
	const char *file = NULL;
	int line = 0;
	size_t n = 0;
	_free_ char *name = NULL;
	struct symbol sym;

	if (!is_own)
		n = types_inlines(types, pc - 1, frames, INLINES_MAX);
	for (size_t i = 0; i < n; i++) {
		_free_ char *inlined = types_shown_name(types, frames[i].name);

		fn(arg, pc, inlined, frames[i].file, frames[i].line);
	}
	if (n > 0)
		return;
	if (types_symbol_at(types, pc - 1, &sym))
		name = types_shown_name(types, sym.name);
	if (is_own || !types_source_line(types, pc - 1, &file, &line))
		file = NULL;
	fn(arg, pc, name, file, line);
}

bool types_is_starter(const char *object)
{
	return strncmp(object, "libc.so", 7) == 0 ||
	       strncmp(object, "libpthread", 10) == 0 ||
	       strncmp(object, "ld-linux", 8) == 0;
}

size_t types_before_starters(struct types *types, const taddr_t *pcs, size_t n)
{
	for (; n > 0; n--) {
		const struct object *obj =
			types_object_at(types, pcs[n - 1] - 1);
		struct symbol sym;

		if (obj && types_is_starter(obj->name))
			continue;
		if (!types_symbol_at(types, pcs[n - 1] - 1, &sym) ||
		    strcmp(sym.name, "_start") != 0)
			break;
	}
	return n;
}

void types_starter(struct types *types, taddr_t pc, types_function_fn *fn,
		   void *arg)
{
	struct symbol sym;

	fn(arg, pc, types_symbol_at(types, pc - 1, &sym) ? sym.name : NULL,
	   NULL, 0);
}
