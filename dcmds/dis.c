/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Instructions: ::dis, ::disasms, ::dismode.
 *
 * Instructions have no fixed length, so code is decoded forwards only, from a
 * place that is known to begin one: the start of the function.  Outside of
 * functions there is no such place, and a window begins at its address.
 */
#include "pmdb_mod.h"

enum {
	LABEL_WIDTH = 32,
	WINDOW = 10, /* instructions either side */
};

static const struct opt dis_opts[] = {
	{'a', OPT_FLAG, NULL, "addresses instead of names"},
	{'b', OPT_FLAG, NULL, "addresses and names"},
	{'f', OPT_FLAG, NULL, "what the object file holds, not the memory"},
	{'n', OPT_NUMBER, "count", "a window of so many either side"},
	{'w', OPT_FLAG, NULL, "a window, also where a function starts"},
	{0},
};

static const struct column dis_cols[] = {
	{"addr", NULL, CELL_ADDR, 0},
	{"name", NULL, CELL_TEXT, 0},
	{"size_bytes", NULL, CELL_BYTES, 0},
	{"instruction", NULL, CELL_TEXT, 0},
};

struct dis {
	struct dcmd_call *call;
	struct types *types;
	bool addrs, both, from_file, window;
	uint64_t count;
	taddr_t addr;
	taddr_t start, end; /* of the function; both 0: none */
};

/* ends before whatever cannot be read */
static struct err *decode(const struct dis *d, taddr_t addr, struct insn *ret)
{
	unsigned char bytes[INSN_BYTES_MAX];
	struct err *err = NULL;

	if (!d->from_file)
		return disasm_at(d->types, addr, ret);
	for (size_t n = sizeof(bytes); n > 0; n--) {
		err_free(err);
		err = types_read_file(d->types, addr, bytes, n);
		if (err)
			continue;
		disasm_bytes(d->types, addr, bytes, n, ret);
		break;
	}
	return err;
}

static char *label(const struct dis *d, const struct insn *in)
{
	_free_ char *name = NULL;

	if (d->addrs)
		return mem_printf("%" PRIx64 ":", in->addr);
	name = types_addr_name(d->types, in->addr);
	if (d->both)
		return mem_printf("%" PRIx64 " %s:", in->addr, name);
	return mem_printf("%s:", name);
}

static void put_insn(const struct dis *d, const struct insn *in)
{
	struct out *o = d->call->out;
	_free_ char *text = label(d, in);
	size_t width = LABEL_WIDTH;

	if (!out_is_json(o) && !out_is_pipe(o)) {
		/* a long label moves its instruction to the next tab stop */
		while (strlen(text) >= width)
			width += 8;
		out_text(o, "%-*s%s\n", (int)width, text, in->text);
		return;
	}
	text[strlen(text) - 1] = '\0';
	out_addr(o, in->addr);
	out_str(o, text);
	out_u64(o, in->size_bytes);
	out_str(o, in->text);
	out_end_row(o, in->addr);
}

/* where the window begins: count instructions before, or fewer */
static struct err *window_start(const struct dis *d, taddr_t *ret)
{
	_free_ taddr_t *ring = mem_array(d->count + 1, sizeof(*ring));
	uint64_t n = 0;
	taddr_t at = d->start;
	struct err *err = NULL;

	while (!err && at < d->addr) {
		struct insn in;

		err = decode(d, at, &in);
		if (err)
			break;
		ring[n++ % (d->count + 1)] = at;
		at += in.size_bytes;
		err = interrupt_check();
	}
	*ret = d->addr;
	/* an address inside of an instruction has none before it */
	if (!err && at == d->addr && n > 0 && d->count > 0)
		*ret = ring[n > d->count ? (n - d->count) % (d->count + 1) : 0];
	return err;
}

/* prints up to an address, and count more */
static struct err *put_range(const struct dis *d, taddr_t at, taddr_t end,
			     uint64_t count)
{
	struct err *err = NULL;

	while (!err && (at < end || count > 0)) {
		struct insn in;

		err = decode(d, at, &in);
		if (err)
			break;
		if (at >= end)
			count--;
		put_insn(d, &in);
		at += in.size_bytes;
		session_set_dot(d->call->s, at);
		err = interrupt_check();
	}
	return err;
}

static struct err *dis_options(struct dis *d)
{
	void *const values[] = {&d->addrs, &d->both, &d->from_file, &d->count,
				&d->window};
	size_t first = 0;
	struct err *err = NULL;

	d->count = UINT64_MAX;
	d->addr = d->call->addr;
	err = dcmd_options(d->call, dis_opts, values, &first);
	if (!err && d->call->argc > first + 1)
		err = err_new(ERR_USAGE, "only one address may be given");
	if (!err && d->call->argc == first + 1)
		err = session_eval_expr(d->call->s, d->call->argv[first].str,
					&d->addr);
	if (d->count != UINT64_MAX)
		d->window = true;
	else
		d->count = WINDOW;
	if (!err && d->count > 1u << 20)
		err = err_new(ERR_USAGE, "-n is too large");
	return err;
}

static struct err *dcmd_dis(struct dcmd_call *call)
{
	struct dis d = {.call = call, .types = session_types(call->s)};
	taddr_t start = 0;
	struct symbol sym;
	struct err *err = dis_options(&d);

	if (err)
		return err;
	if (!d.types)
		return err_new(ERR_NOSUP, "there is no target");
	if (types_symbol_at(d.types, d.addr, &sym) && sym.size > 0 &&
	    d.addr - sym.value < sym.size) {
		d.start = sym.value;
		d.end = sym.value + sym.size;
	}
	out_begin(call->out, dis_cols, 4, "");
	if (d.addr == d.start && d.end && !d.window) {
		err = put_range(&d, d.start, d.end, 0);
	} else {
		if (d.end)
			err = window_start(&d, &start);
		else
			start = d.addr;
		if (!err)
			err = put_range(&d, start, d.addr, d.count + 1);
	}
	out_end(call->out);
	return err;
}

/* ---- modes ----------------------------------------------------------- */

static const struct column mode_cols[] = {
	{"name", "", CELL_TEXT, -24},
	{NULL, "", CELL_TEXT, 1},
	{"description", "", CELL_TEXT, 0},
};

static struct err *dcmd_disasms(struct dcmd_call *call)
{
	if (call->argc > 0)
		return err_new(ERR_USAGE, "it takes no arguments");
	out_begin(call->out, mode_cols, 3, "");
	for (const struct disasm_mode *m = disasm_modes(); m->name; m++) {
		out_str(call->out, m->name);
		out_str(call->out, "-");
		out_str(call->out, m->brief);
		out_end_row(call->out, 0);
	}
	out_end(call->out);
	return NULL;
}

static struct err *dcmd_dismode(struct dcmd_call *call)
{
	struct types *types = session_types(call->s);
	const char *name = call->argc > 0 ? call->argv[0].str : NULL;

	if (call->argc > 1)
		return err_new(ERR_USAGE, "only one mode may be given");
	if (!types)
		return err_new(ERR_NOSUP, "there is no target");
	if (name && !disasm_set_mode(types, name))
		return err_new(ERR_NOTFOUND,
			       "failed to set disassembly mode: unknown "
			       "disassembler name '%s' (see ::disasms)",
			       name);
	if (!name)
		out_text(call->out, "disassembly mode is %s (%s)\n",
			 disasm_mode(types)->name, disasm_mode(types)->brief);
	return NULL;
}

static const struct dcmd dcmds[] = {
	{.name = "dis",
	 .addr = ADDR_OPTIONAL,
	 .opts = dis_opts,
	 .usage = "[address]",
	 .brief = "instructions around an address",
	 .run = dcmd_dis},
	{.name = "disasms",
	 .usage = "",
	 .brief = "list the ways to write instructions",
	 .run = dcmd_disasms},
	{.name = "dismode",
	 .usage = "[mode]",
	 .brief = "the way instructions are written ($V)",
	 .run = dcmd_dismode},
	{.name = "$V",
	 .usage = "[mode]",
	 .brief = "the way instructions are written",
	 .run = dcmd_dismode},
	{0},
};

const struct group group_dis = {.name = "dis", .dcmds = dcmds};
