/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ::findsym: which instructions refer to a symbol.
 *
 * Every function of every object is decoded once, from its start.  A reference
 * is the target of a branch, or an operand relative to rip, that
 *   - lies in what is asked for, or
 *   - is an entry of a linkage table for it ("PLT=name"), or
 *   - is a word that holds its address (an entry of a global offset table).
 * Addresses that are computed in several steps are not seen.
 */
#include "pmdb_mod.h"

#include <elf.h>
#include <stdlib.h>

enum {
	FUNC_MAX = 16 << 20, /* bytes; a longer one is damage */
};

static const struct opt findsym_opts[] = {
	{'g', OPT_FLAG, NULL, "look in global functions only"},
	{0},
};

static const struct column findsym_cols[] = {
	{"addr", NULL, CELL_ADDR, 0},
	{"name", NULL, CELL_TEXT, 0},
	{"symbol", NULL, CELL_TEXT, 0},
};

struct wanted {
	taddr_t addr;
	uint64_t size_bytes; /* at least 1 */
	const char *name;    /* NULL: an address without a symbol */
};

struct func {
	taddr_t addr;
	uint64_t size_bytes;
};

struct findsym {
	struct dcmd_call *call;
	struct types *types;
	bool only_global;
	struct wanted *wanted;
	size_t nwanted;
	VEC(struct func) funcs;
	unsigned char *bytes;
};

static struct err *add_func(void *arg, const struct symbol *sym)
{
	struct findsym *f = arg;
	struct func fn = {sym->value, sym->size};

	if (sym->type != STT_FUNC || sym->shndx == SHN_UNDEF ||
	    sym->size == 0 || sym->size > FUNC_MAX ||
	    (f->only_global && sym->bind == STB_LOCAL))
		return NULL;
	VEC_PUSH(&f->funcs, fn);
	return NULL;
}

static int by_addr(const void *a, const void *b)
{
	const struct func *x = a;
	const struct func *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

static bool holds_address(const struct findsym *f, taddr_t at, taddr_t want)
{
	uint64_t word = 0;
	struct err *err =
		target_read_u64(session_target(f->call->s), at, &word);
	bool is = !err && word == want;

	err_free(err);
	return is;
}

static bool is_wanted(const struct findsym *f, const struct wanted *w,
		      taddr_t to, bool is_branch)
{
	struct symbol sym;

	if (to - w->addr < w->size_bytes)
		return true;
	if (!is_branch)
		return holds_address(f, to, w->addr);
	return w->name && types_symbol_at(f->types, to, &sym) &&
	       sym.value == to && strncmp(sym.name, "PLT=", 4) == 0 &&
	       strcmp(sym.name + 4, w->name) == 0;
}

static struct err *on_ref(void *arg, taddr_t at, taddr_t to, bool is_branch)
{
	struct findsym *f = arg;
	struct out *o = f->call->out;

	for (size_t i = 0; i < f->nwanted; i++) {
		_free_ char *name = NULL;
		_free_ char *what = NULL;

		if (!is_wanted(f, &f->wanted[i], to, is_branch))
			continue;
		name = types_addr_name(f->types, at);
		what = types_addr_name(f->types, f->wanted[i].addr);
		if (!out_is_json(o) && !out_is_pipe(o)) {
			out_text(o, "%s refers to %s\n", name, what);
			continue;
		}
		out_addr(o, at);
		out_str(o, name);
		out_str(o, what);
		out_end_row(o, at);
	}
	return NULL;
}

/* code that is in neither the dump nor a file is passed over */
static struct err *search_func(struct findsym *f, const struct func *fn)
{
	struct err *err = target_read(session_target(f->call->s), fn->addr,
				      f->bytes, fn->size_bytes);

	if (err) {
		err_free(err);
		err = types_read_file(f->types, fn->addr, f->bytes,
				      fn->size_bytes);
	}
	if (err) {
		err_free(err);
		return NULL;
	}
	return disasm_refs(f->types, fn->addr, f->bytes, fn->size_bytes, on_ref,
			   f);
}

static struct err *search(struct findsym *f)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < types_nobjects(f->types); i++)
		err = types_symbols(f->types, types_object(f->types, i), false,
				    add_func, f);
	if (f->funcs.n > 0)
		qsort(f->funcs.v, f->funcs.n, sizeof(*f->funcs.v), by_addr);
	for (size_t i = 0; !err && i < f->funcs.n; i++) {
		/* a function may have several names */
		if (i > 0 && f->funcs.v[i].addr == f->funcs.v[i - 1].addr)
			continue;
		err = search_func(f, &f->funcs.v[i]);
		if (!err)
			err = interrupt_check();
		if (i % 256 == 0)
			progress_set("decoding functions", i, f->funcs.n);
	}
	return err;
}

static void want(struct findsym *f, taddr_t addr)
{
	struct wanted *w = &f->wanted[f->nwanted++];
	struct symbol sym;

	*w = (struct wanted){.addr = addr, .size_bytes = 1};
	if (!types_symbol_at(f->types, addr, &sym) || sym.value != addr)
		return;
	w->name = sym.name;
	if (sym.type == STT_OBJECT && sym.size > 1)
		w->size_bytes = sym.size;
}

static struct err *dcmd_findsym(struct dcmd_call *call)
{
	struct findsym f = {.call = call, .types = session_types(call->s)};
	void *const values[] = {&f.only_global};
	size_t first = 0;
	struct err *err = dcmd_options(call, findsym_opts, values, &first);

	if (err)
		return err;
	if (!f.types)
		return err_new(ERR_NOSUP, "there is no target");
	f.wanted = mem_array(call->argc + 1, sizeof(*f.wanted));
	if (call->flags & DCMD_ADDRSPEC)
		want(&f, call->addr);
	for (size_t i = first; !err && i < call->argc; i++) {
		taddr_t addr = 0;

		err = session_eval_expr(call->s, call->argv[i].str, &addr);
		if (!err)
			want(&f, addr);
	}
	if (!err && f.nwanted == 0)
		err = err_new(ERR_USAGE, "a symbol or an address is needed");
	f.bytes = err ? NULL : mem_array(FUNC_MAX, 1);
	if (!err) {
		out_begin(call->out, findsym_cols, 3, "");
		err = search(&f);
		out_end(call->out);
	}
	mem_free(f.bytes);
	VEC_FREE(&f.funcs);
	mem_free(f.wanted);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "findsym",
	 .addr = ADDR_OPTIONAL,
	 .opts = findsym_opts,
	 .usage = "[symbol|address] ...",
	 .brief = "find the instructions that refer to a symbol",
	 .run = dcmd_findsym},
	{0},
};

const struct group group_findsym = {.name = "findsym", .dcmds = dcmds};
