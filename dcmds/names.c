/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names: symbols of the user's making, source files, C++ names. */
#include "pmdb_mod.h"

#include <elf.h>

static void say(struct dcmd_call *call, const char *what,
		const struct symbol *sym)
{
	unsigned radix = (unsigned)session_radix(call->s);
	_free_ char *value = out_digits(sym->value, radix);
	_free_ char *size = out_digits(sym->size, radix);

	out_text(call->out, "%s %s, value=%s size=%s\n", what, sym->name, value,
		 size);
}

/* ---- ::nmadd, ::nmdel ------------------------------------------------ */

static const struct opt nmadd_opts[] = {
	{'e', OPT_NUMBER, "end", "its end"},
	{'f', OPT_FLAG, NULL, "it is a function"},
	{'o', OPT_FLAG, NULL, "it is data"},
	{'s', OPT_NUMBER, "size", "its size, bytes"},
	{0},
};

static struct err *dcmd_nmadd(struct dcmd_call *call)
{
	struct types *types = session_types(call->s);
	struct symbol sym = {.value = call->addr,
			     .type = STT_NOTYPE,
			     .bind = STB_GLOBAL,
			     .shndx = SHN_ABS};
	uint64_t end = 0;
	bool is_function = false;
	bool is_data = false;
	void *const values[] = {&end, &is_function, &is_data, &sym.size};
	size_t first = 0;
	struct err *err = dcmd_options(call, nmadd_opts, values, &first);

	if (!err && call->argc != first + 1)
		err = err_new(ERR_USAGE, "a name is needed");
	if (!err && end > 0 && (sym.size > 0 || end < sym.value))
		err = err_new(ERR_USAGE, "-e is the end, and excludes -s");
	if (err)
		return err;
	if (end > 0)
		sym.size = end - sym.value;
	if (is_function)
		sym.type = STT_FUNC;
	else if (is_data)
		sym.type = STT_OBJECT;
	sym.name = call->argv[first].str;
	if (types_nobjects(types) == 0)
		return err_new(ERR_NOSUP, "there is no program");
	if (!types_add_private(types, &sym))
		return err_new(ERR_NOSUP,
			       "there is a symbol %s already: see "
			       "::nmdel",
			       sym.name);
	say(call, "added", &sym);
	return NULL;
}

static struct err *dcmd_nmdel(struct dcmd_call *call)
{
	struct symbol sym;

	if (call->argc != 1)
		return err_new(ERR_USAGE, "a name is needed");
	if (!types_del_private(session_types(call->s), call->argv[0].str, &sym))
		return err_new(ERR_NOTFOUND,
			       "%s is not a symbol that ::nmadd has made",
			       call->argv[0].str);
	say(call, "deleted", &sym);
	return NULL;
}

/* ---- ::files --------------------------------------------------------- */

static const struct column files_cols[] = {
	{"number", NULL, CELL_COUNT, 0},
	{"object", NULL, CELL_TEXT, 0},
	{"file", NULL, CELL_TEXT, 0},
};

struct files {
	struct out *o;
	uint64_t n;
};

static struct err *put_file(void *arg, const struct symbol *sym)
{
	struct files *f = arg;

	if (sym->type != STT_FILE || !sym->name[0])
		return NULL;
	f->n++;
	if (!out_is_json(f->o)) {
		out_text(f->o, "%-3" PRIu64 " %s\n", f->n, sym->name);
		return NULL;
	}
	out_u64(f->o, f->n);
	out_str(f->o, sym->object->name);
	out_str(f->o, sym->name);
	out_end_row(f->o, 0);
	return NULL;
}

static struct err *dcmd_files(struct dcmd_call *call)
{
	struct types *types = session_types(call->s);
	const char *name = call->argc > 0 ? call->argv[0].str : "a.out";
	const struct object *o = types_object_named(types, name);
	struct files f = {.o = call->out};
	struct err *err = NULL;

	if (call->argc > 1)
		return err_new(ERR_USAGE, "only one object may be given");
	if (!o)
		return err_new(ERR_NOTFOUND, "no such object: %s", name);
	out_begin(call->out, files_cols, 3, "");
	err = types_symbols(types, o, false, put_file, &f);
	out_end(call->out);
	return err;
}

/* ---- $e -------------------------------------------------------------- */

static struct err *put_global(void *arg, const struct symbol *sym)
{
	struct dcmd_call *call = arg;
	uint32_t word = 0;
	struct err *err = NULL;

	if (sym->bind == STB_LOCAL || sym->shndx == SHN_UNDEF ||
	    (sym->type != STT_FUNC && sym->type != STT_OBJECT))
		return NULL;
	err = target_read(session_target(call->s), sym->value, &word,
			  sizeof(word));
	if (err)
		out_text(call->out, "%s:\t?\n", sym->name);
	else
		out_text(call->out, "%s:\t%x\n", sym->name, word);
	err_free(err); /* it is not in the dump */
	return interrupt_check();
}

static struct err *dcmd_globals(struct dcmd_call *call)
{
	struct types *types = session_types(call->s);
	struct err *err = NULL;

	for (size_t i = 0; !err && i < types_nobjects(types); i++)
		err = types_symbols(types, types_object(types, i), false,
				    put_global, call);
	return err;
}

/* ---- ::dem ----------------------------------------------------------- */

static struct err *dcmd_dem(struct dcmd_call *call)
{
	if (call->argc == 0)
		return err_new(ERR_USAGE, "a name is needed");
	for (size_t i = 0; i < call->argc; i++) {
		_free_ char *plain = types_demangle(call->argv[i].str);

		out_text(call->out, "%s == %s\n", call->argv[i].str, plain);
	}
	return NULL;
}

static struct err *say_demangling(struct dcmd_call *call, bool toggles)
{
	struct types *types = session_types(call->s);

	if (call->argc > 0)
		return err_new(ERR_USAGE, "it takes no arguments");
	if (!types)
		return err_new(ERR_NOSUP, "there is no target");
	if (toggles)
		types_set_demangling(types, !types_is_demangling(types));
	out_text(call->out, "C++ symbol demangling %s\n",
		 types_is_demangling(types) ? "enabled" : "disabled");
	return NULL;
}

static struct err *dcmd_show_demangling(struct dcmd_call *call)
{
	return say_demangling(call, false);
}

static struct err *dcmd_toggle_demangling(struct dcmd_call *call)
{
	return say_demangling(call, true);
}

static const struct dcmd dcmds[] = {
	{.name = "$g",
	 .usage = "",
	 .brief = "whether C++ names are those of the source",
	 .run = dcmd_show_demangling},
	{.name = "$G",
	 .usage = "",
	 .brief = "switch between C++ names of the source and of the linker",
	 .run = dcmd_toggle_demangling},
	{.name = "nmadd",
	 .addr = ADDR_REQUIRED,
	 .opts = nmadd_opts,
	 .usage = "name",
	 .brief = "make a symbol",
	 .run = dcmd_nmadd},
	{.name = "nmdel",
	 .usage = "name",
	 .brief = "take a symbol away that ::nmadd has made",
	 .run = dcmd_nmdel},
	{.name = "files",
	 .usage = "[object]",
	 .brief = "source files of an object ($f)",
	 .run = dcmd_files},
	{.name = "$f",
	 .usage = "[object]",
	 .brief = "source files of an object",
	 .run = dcmd_files},
	{.name = "$e",
	 .usage = "",
	 .brief = "all global symbols, and the word each is at",
	 .run = dcmd_globals},
	{.name = "dem",
	 .usage = "name ...",
	 .brief = "what a C++ or Rust symbol is in the source",
	 .run = dcmd_dem},
	{0},
};

const struct group group_names = {.name = "syms", .dcmds = dcmds};
