/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Symbols and raw memory: ::nm, ::dump. */
#include "pmdb_mod.h"

#include <ctype.h>
#include <elf.h>
#include <stdlib.h>

/* ---- ::nm ------------------------------------------------------------ */

enum {
	NM_DYN,
	NM_PRIVATE,
	NM_DECIMAL,
	NM_FORMAT,
	NM_GLOBAL,
	NM_BARE,
	NM_BY_NAME,
	NM_OCTAL,
	NM_COMMANDS,
	NM_TYPES,
	NM_UNDEF,
	NM_BY_VALUE,
	NM_HEX,
};
static const struct opt nm_opts[] = {
	{'D', OPT_FLAG, NULL, "the dynamic symbols only"},
	{'P', OPT_FLAG, NULL, "those made with ::nmadd only"},
	{'d', OPT_FLAG, NULL, "values in decimal"},
	{'f', OPT_STRING, "columns",
	 "of ndx,val,sz,type,bind,oth,shndx,name,obj,ctype"},
	{'g', OPT_FLAG, NULL, "global symbols only"},
	{'h', OPT_FLAG, NULL, "no heading"},
	{'n', OPT_FLAG, NULL, "sort by name"},
	{'o', OPT_FLAG, NULL, "values in octal"},
	{'p', OPT_FLAG, NULL, "as commands, ::nmadd, that make them"},
	{'t', OPT_STRING, "types",
	 "only these, of noty,objt,func,sect,file,comm,tls,ifnc"},
	{'u', OPT_FLAG, NULL, "undefined symbols only"},
	{'v', OPT_FLAG, NULL, "sort by value"},
	{'x', OPT_FLAG, NULL, "values in hexadecimal (default)"},
	{0},
};

static const struct column nm_cols[] = {
	{"index", NULL, CELL_COUNT, 0},      {"value", NULL, CELL_ADDR, 0},
	{"size_bytes", NULL, CELL_BYTES, 0}, {"type", NULL, CELL_TEXT, 0},
	{"bind", NULL, CELL_TEXT, 0},        {"other", NULL, CELL_COUNT, 0},
	{"section", NULL, CELL_TEXT, 0},     {"name", NULL, CELL_TEXT, 0},
	{"object", NULL, CELL_TEXT, 0},      {"ctype", NULL, CELL_TEXT, 0},
};

/* what -f may name, in the order of nm_cols */
static const struct nm_field {
	const char *keyword, *title;
	int width; /* 0: last */
} nm_fields[] = {
	{"ndx", "Index", 5},    {"val", "Value", 18}, {"sz", "Size", 18},
	{"type", "Type", 5},    {"bind", "Bind", 5},  {"oth", "Other", 5},
	{"shndx", "Shndx", 8},  {"name", "Name", 0},  {"obj", "Object", 0},
	{"ctype", "CType", 50},
};
enum {
	NM_FIELDS = 10,
	NM_CTYPE = 9,
};

struct nm {
	struct dcmd_call *call;
	bool flags[sizeof(nm_opts) / sizeof(*nm_opts)];
	const char *format, *type_list;
	bool has_ctype;
	unsigned types; /* bit mask of STT_* */
	size_t fields[NM_FIELDS];
	size_t nfields;
	size_t index;
	VEC(struct symbol) syms;
	VEC(size_t) indices;
};

static const char *type_text(unsigned type)
{
	static const char *const names[16] = {
		"NOTY", "OBJT", "FUNC", "SECT",
		"FILE", "COMM", "TLS",  [STT_GNU_IFUNC] = "IFNC",
	};

	return type < 16 && names[type] ? names[type] : "?";
}

static const char *bind_text(unsigned bind)
{
	switch (bind) {
	case STB_LOCAL:
		return "LOCL";
	case STB_GLOBAL:
		return "GLOB";
	case STB_WEAK:
		return "WEAK";
	case STB_GNU_UNIQUE:
		return "UNIQ";
	}
	return "?";
}

static char *section_text(uint16_t shndx)
{
	if (shndx == SHN_UNDEF)
		return mem_strdup("UNDEF");
	if (shndx == SHN_ABS)
		return mem_strdup("ABS");
	if (shndx == SHN_COMMON)
		return mem_strdup("COMMON");
	return mem_printf("%u", shndx);
}

static char *number_text(const struct nm *nm, uint64_t n)
{
	if (nm->flags[NM_DECIMAL])
		return mem_printf("%20" PRIu64, n);
	if (nm->flags[NM_OCTAL])
		return mem_printf("0%022" PRIo64, n);
	return mem_printf("0x%016" PRIx64, n);
}

static int field_width(const struct nm *nm, size_t field)
{
	if (field != 1 && field != 2)
		return nm_fields[field].width;
	return nm->flags[NM_DECIMAL] ? 20 : nm->flags[NM_OCTAL] ? 23 : 18;
}

/* "int (*)(int, char **)" of a function; owned */
static char *ctype_text(const struct nm *nm, const struct symbol *sym)
{
	const struct type *type = NULL;
	struct err *err = NULL;

	if (sym->shndx != SHN_UNDEF &&
	    (sym->type == STT_FUNC || sym->type == STT_OBJECT))
		err = types_of_symbol(session_types(nm->call->s), sym, &type);
	if (err || !type) {
		err_free(err);
		return mem_strdup("<unknown type>");
	}
	if (type_info(type).kind == TYPE_FUNCTION)
		type = type_pointer(type);
	return mem_strdup(type_name(type));
}

static char *field_text(const struct nm *nm, size_t field,
			const struct symbol *sym, size_t index)
{
	switch (field) {
	case 0:
		return mem_printf("%zu", index);
	case 1:
		return number_text(nm, sym->value);
	case 2:
		return number_text(nm, sym->size);
	case 3:
		return mem_strdup(type_text(sym->type));
	case 4:
		return mem_strdup(bind_text(sym->bind));
	case 5:
		return mem_printf("0x%x", sym->other);
	case 6:
		return section_text(sym->shndx);
	case 7:
		return mem_strdup(sym->name);
	case NM_CTYPE:
		return ctype_text(nm, sym);
	}
	return mem_strdup(sym->object ? sym->object->name : "-");
}

static void print_text(const struct nm *nm, const struct symbol *sym,
		       size_t index)
{
	struct strbuf sb = {0};

	for (size_t i = 0; i < nm->nfields; i++) {
		size_t f = nm->fields[i];
		_free_ char *s = field_text(nm, f, sym, index);
		bool is_last = i + 1 == nm->nfields;

		if (i > 0)
			strbuf_putc(&sb, '|');
		strbuf_printf(&sb, "%-*s", is_last ? 0 : field_width(nm, f), s);
	}
	out_text(nm->call->out, "%s\n", sb.s);
	strbuf_free(&sb);
}

static void print_heading(const struct nm *nm)
{
	struct strbuf sb = {0};

	for (size_t i = 0; i < nm->nfields; i++) {
		size_t f = nm->fields[i];
		bool is_last = i + 1 == nm->nfields;

		if (i > 0)
			strbuf_putc(&sb, ' ');
		strbuf_printf(&sb, "%-*s", is_last ? 0 : field_width(nm, f),
			      nm_fields[f].title);
	}
	out_text(nm->call->out, "%s\n", sb.s);
	strbuf_free(&sb);
}

static void print_row(const struct nm *nm, const struct symbol *sym,
		      size_t index)
{
	struct out *o = nm->call->out;
	_free_ char *section = NULL;

	if (nm->flags[NM_COMMANDS] && !out_is_json(o) && !out_is_pipe(o)) {
		if (sym->type == STT_FUNC || sym->type == STT_OBJECT)
			out_text(o,
				 "%" PRIx64 "::nmadd -%c -s %" PRIx64 " %s\n",
				 sym->value, sym->type == STT_FUNC ? 'f' : 'o',
				 sym->size, sym->name);
		return;
	}
	if (!out_is_json(o) && !out_is_pipe(o)) {
		print_text(nm, sym, index);
		return;
	}
	section = section_text(sym->shndx);
	out_u64(o, index);
	out_addr(o, sym->value);
	out_u64(o, sym->size);
	out_str(o, type_text(sym->type));
	out_str(o, bind_text(sym->bind));
	out_u64(o, sym->other);
	out_str(o, section);
	out_str(o, sym->name);
	out_str(o, sym->object ? sym->object->name : NULL);
	if (nm->has_ctype) {
		_free_ char *ctype = ctype_text(nm, sym);

		out_str(o, ctype);
	} else {
		out_none(o); /* it takes all debug information */
	}
	out_end_row(o, sym->value);
}

static bool is_wanted(const struct nm *nm, const struct symbol *sym)
{
	const struct dcmd_call *call = nm->call;

	if (nm->types && !(nm->types & 1u << sym->type))
		return false;
	if (nm->flags[NM_GLOBAL] && sym->bind == STB_LOCAL)
		return false;
	if (nm->flags[NM_UNDEF] && sym->shndx != SHN_UNDEF)
		return false;
	if (call->flags & DCMD_ADDRSPEC)
		return sym->shndx != SHN_UNDEF && sym->type != STT_SECTION &&
		       sym->type != STT_FILE && call->addr >= sym->value &&
		       call->addr - sym->value < sym->size;
	return true;
}

static struct err *take_symbol(void *arg, const struct symbol *sym)
{
	struct nm *nm = arg;

	if (is_wanted(nm, sym)) {
		VEC_PUSH(&nm->syms, *sym);
		VEC_PUSH(&nm->indices, nm->index);
	}
	nm->index++;
	return interrupt_check();
}

/* "func,objt" to a mask */
static struct err *parse_types(struct nm *nm)
{
	const char *p = nm->type_list;

	while (p && *p) {
		size_t n = strcspn(p, ",");
		unsigned i = 0;

		for (; i < 16; i++) {
			const char *name = type_text(i);

			if (strlen(name) == n && !strncasecmp(name, p, n))
				break;
		}
		if (i == 16)
			return err_new(ERR_USAGE, "unknown symbol type '%.*s'",
				       (int)n, p);
		nm->types |= 1u << i;
		p += n + (p[n] == ',');
	}
	return NULL;
}

static struct err *parse_fields(struct nm *nm)
{
	const char *p =
		nm->format ? nm->format : "val,sz,type,bind,oth,shndx,name";

	while (*p) {
		size_t n = strcspn(p, ",");
		size_t i = 0;

		for (; i < NM_FIELDS; i++)
			if (strlen(nm_fields[i].keyword) == n &&
			    !strncmp(nm_fields[i].keyword, p, n))
				break;
		if (i == NM_FIELDS || nm->nfields == NM_FIELDS)
			return err_new(ERR_USAGE, "unknown column '%.*s'",
				       (int)n, p);
		nm->fields[nm->nfields++] = i;
		nm->has_ctype |= i == NM_CTYPE;
		p += n + (p[n] == ',');
	}
	return NULL;
}

static struct err *nm_options(struct nm *nm, const char **ret_object)
{
	bool *f = nm->flags;
	void *const values[] = {
		&f[NM_DYN],     &f[NM_PRIVATE], &f[NM_DECIMAL],
		&nm->format,    &f[NM_GLOBAL],  &f[NM_BARE],
		&f[NM_BY_NAME], &f[NM_OCTAL],   &f[NM_COMMANDS],
		&nm->type_list, &f[NM_UNDEF],   &f[NM_BY_VALUE],
		&f[NM_HEX],
	};
	size_t first = 0;
	struct err *err = dcmd_options(nm->call, nm_opts, values, &first);

	if (!err && nm->call->argc > first + 1)
		err = err_new(ERR_USAGE, "only one object may be given");
	if (!err && nm->call->argc > first)
		*ret_object = nm->call->argv[first].str;
	if (!err)
		err = parse_types(nm);
	return err ? err : parse_fields(nm);
}

static struct err *collect(struct nm *nm, const char *name)
{
	struct types *types = session_types(nm->call->s);
	const struct object *only = NULL;
	struct err *err = NULL;

	if (name) {
		only = types_object_named(types, name);
		if (!only)
			return err_new(ERR_NOTFOUND, "no such object: %s",
				       name);
	}
	if (nm->flags[NM_PRIVATE]) {
		const struct symbol *mine = NULL;
		size_t n = types_privates(types, &mine);

		for (size_t i = 0; !err && i < n; i++)
			err = take_symbol(nm, &mine[i]);
		return err;
	}
	for (size_t i = 0; !err && i < types_nobjects(types); i++) {
		const struct object *o = types_object(types, i);

		nm->index = 0;
		if (only ? o == only : o->state == OBJECT_OK)
			err = types_symbols(types, o, nm->flags[NM_DYN],
					    take_symbol, nm);
	}
	return err;
}

struct order {
	const struct nm *nm;
	size_t i;
};

static int by_name(const void *a, const void *b)
{
	const struct order *x = a;
	const struct order *y = b;
	int c = strcmp(x->nm->syms.v[x->i].name, y->nm->syms.v[y->i].name);

	return c ? c : (x->i > y->i) - (x->i < y->i);
}

static int by_value(const void *a, const void *b)
{
	const struct order *x = a;
	const struct order *y = b;
	uint64_t v = x->nm->syms.v[x->i].value;
	uint64_t w = y->nm->syms.v[y->i].value;

	return v != w ? (v > w) - (v < w) : (x->i > y->i) - (x->i < y->i);
}

static void print_symbols(struct nm *nm)
{
	size_t n = nm->syms.n;
	struct order *order = mem_array(n + 1, sizeof(*order));

	for (size_t i = 0; i < n; i++)
		order[i] = (struct order){nm, i};
	if (nm->flags[NM_BY_NAME])
		qsort(order, n, sizeof(*order), by_name);
	else if (nm->flags[NM_BY_VALUE])
		qsort(order, n, sizeof(*order), by_value);
	out_begin(nm->call->out, nm_cols, NM_FIELDS, "");
	if (!nm->flags[NM_BARE] && !nm->flags[NM_COMMANDS] &&
	    DCMD_HDRSPEC(nm->call->flags) && !out_is_json(nm->call->out) &&
	    !out_is_pipe(nm->call->out))
		print_heading(nm);
	for (size_t i = 0; i < n; i++)
		print_row(nm, &nm->syms.v[order[i].i],
			  nm->indices.v[order[i].i]);
	out_end(nm->call->out);
	mem_free(order);
}

static struct err *dcmd_nm(struct dcmd_call *call)
{
	struct nm nm = {.call = call};
	const char *object = NULL;
	struct err *err = nm_options(&nm, &object);

	if (!err)
		err = collect(&nm, object);
	if (!err)
		print_symbols(&nm);
	VEC_FREE(&nm.syms);
	VEC_FREE(&nm.indices);
	return err;
}

/* ---- ::dump ---------------------------------------------------------- */

static const struct opt dump_opts[] = {
	{'e', OPT_FLAG, NULL, "each group as a number; no heading, no text"},
	{'f', OPT_FLAG, NULL, "what the object file holds, not the memory"},
	{'g', OPT_NUMBER, "bytes", "size of a group: 1, 2, 4 (default), ..."},
	{'l', OPT_NUMBER, "bytes", "how much; else the repeat count"},
	{'p', OPT_FLAG, NULL, "physical addresses: a dump has none"},
	{'q', OPT_FLAG, NULL, "no text at the right"},
	{'r', OPT_FLAG, NULL, "offsets instead of addresses"},
	{'s', OPT_FLAG, NULL, "one * for lines like the one before"},
	{'t', OPT_FLAG, NULL, "only the bytes asked for"},
	{'u', OPT_FLAG, NULL, "begin at the address, not at a line's begin"},
	{'v', OPT_FLAG, NULL, "all digits of addresses"},
	{'w', OPT_NUMBER, "paras", "paragraphs of 16 bytes a line, 1 to 16"},
	{0},
};

static const struct column dump_cols[] = {
	{"addr", NULL, CELL_ADDR, 0},
	{"bytes", NULL, CELL_TEXT, 0},
	{"text", NULL, CELL_TEXT, 0},
};

struct dump {
	struct dcmd_call *call;
	bool swap, from_file, physical, quiet, relative, squeeze, trim,
		unaligned, full;
	uint64_t group, length, paras;
	taddr_t addr;       /* first byte asked for */
	taddr_t start, end; /* whole lines; bytes asked for if trim */
	size_t line;        /* bytes of one */
	int digits;
};

static struct err *dump_options(struct dump *d)
{
	void *const values[] = {&d->swap,      &d->from_file, &d->group,
				&d->length,    &d->physical,  &d->quiet,
				&d->relative,  &d->squeeze,   &d->trim,
				&d->unaligned, &d->full,      &d->paras};
	size_t first = 0;
	struct err *err = dcmd_options(d->call, dump_opts, values, &first);

	if (!err && first < d->call->argc)
		err = err_new(ERR_USAGE, "it takes no arguments");
	if (!err && d->physical)
		err = err_new(ERR_NOSUP, "operation not supported by target: "
					 "a dump has no physical memory");
	if (!err && d->length && d->call->count > 1)
		err = err_new(ERR_USAGE,
			      "-l and a repeat count exclude each other");
	if (!err && (d->paras < 1 || d->paras > 16))
		err = err_new(ERR_USAGE, "-w takes 1 to 16 paragraphs");
	return err;
}

static void dump_layout(struct dump *d)
{
	uint64_t n = d->length            ? d->length
		     : d->call->count > 1 ? d->call->count
					  : 1;
	bool whole_line = !d->length && d->call->count <= 1;

	d->addr = d->call->addr;
	d->line = 16 * d->paras;
	if (d->group == 0 || (d->group & (d->group - 1)) || d->line % d->group)
		d->group = 4;
	if (d->relative || d->swap)
		d->unaligned = true;
	if (d->swap)
		d->quiet = true;
	d->start = d->unaligned ? d->addr : d->addr & ~(taddr_t)15;
	if (whole_line && !d->trim)
		n = d->line - (d->addr - d->start) % d->line;
	if (__builtin_add_overflow(d->addr, n, &d->end))
		d->end = UINT64_MAX;
	if (d->full)
		d->digits = 16;
	for (uint64_t top = d->relative ? d->end - d->start : d->end;
	     d->digits < 16 && top >> (4 * d->digits) > 0;)
		d->digits++;
	if (d->digits == 0)
		d->digits = 1;
}

/* the blanks before byte i of a line */
static void put_gap(const struct dump *d, struct strbuf *sb, size_t i)
{
	if (i % d->group == 0)
		strbuf_putc(sb, ' ');
	if (d->group == 1 && i > 0 && i % 8 == 0)
		strbuf_putc(sb, ' ');
}

static void dump_heading(const struct dump *d)
{
	struct strbuf sb = {0};
	size_t mark = (size_t)(d->addr - d->start);
	unsigned base = d->relative ? 0 : (unsigned)(d->start & 15);

	strbuf_printf(&sb, "%*s", d->digits + 2, "");
	for (size_t i = 0; i < d->line; i++) {
		put_gap(d, &sb, i);
		if (i == mark)
			strbuf_puts(&sb, "\\/");
		else
			strbuf_printf(&sb, "%2x", (unsigned)(base + i) & 15);
	}
	strbuf_puts(&sb, d->quiet ? "" : "  ");
	for (size_t i = 0; i < d->line && !d->quiet; i++)
		strbuf_putc(&sb, i == mark
					 ? 'v'
					 : "0123456789abcdef"[(base + i) & 15]);
	out_text(d->call->out, "%s\n", sb.s);
	strbuf_free(&sb);
}

static bool is_shown(const struct dump *d, taddr_t at)
{
	return !d->trim || (at >= d->addr && at < d->end);
}

static void dump_text(const struct dump *d, taddr_t at,
		      const unsigned char *bytes, size_t n)
{
	struct strbuf sb = {0};

	strbuf_printf(&sb, "%0*" PRIx64 ": ", d->digits,
		      d->relative ? at - d->start : at);
	for (size_t i = 0; i < d->line; i++) {
		/* -e: a group's highest byte comes first */
		size_t j =
			d->swap ? i - i % d->group + d->group - 1 - i % d->group
				: i;

		put_gap(d, &sb, i);
		if (j < n && is_shown(d, at + j))
			strbuf_printf(&sb, "%02x", bytes[j]);
		else
			strbuf_puts(&sb, "  ");
	}
	strbuf_puts(&sb, d->quiet ? "" : "  ");
	for (size_t i = 0; i < n && !d->quiet; i++)
		strbuf_putc(&sb, !is_shown(d, at + i) ? ' '
				 : bytes[i] >= 32 && bytes[i] < 127
					 ? (char)bytes[i]
					 : '.');
	while (sb.n > 0 && sb.s[sb.n - 1] == ' ' && d->quiet)
		sb.s[--sb.n] = '\0';
	out_text(d->call->out, "%s\n", sb.s);
	strbuf_free(&sb);
}

static void dump_row(const struct dump *d, taddr_t at,
		     const unsigned char *bytes, size_t n)
{
	struct out *o = d->call->out;
	struct strbuf hex = {0};
	struct strbuf text = {0};

	for (size_t i = 0; i < n; i++) {
		strbuf_printf(&hex, "%02x", bytes[i]);
		strbuf_putc(&text, bytes[i] >= 32 && bytes[i] < 127
					   ? (char)bytes[i]
					   : '.');
	}
	out_addr(o, at);
	out_str(o, strbuf_str(&hex));
	out_str(o, strbuf_str(&text));
	out_end_row(o, at);
	strbuf_free(&hex);
	strbuf_free(&text);
}

/* the bytes of a line; trimmed ones are not needed */
static struct err *dump_read(const struct dump *d, taddr_t at,
			     unsigned char *bytes, size_t n)
{
	taddr_t from = at;
	taddr_t to = at + n;
	struct err *err = NULL;

	if (d->trim && from < d->addr)
		from = d->addr;
	if (d->trim && to > d->end)
		to = d->end;
	memset(bytes, 0, n);
	if (d->from_file)
		err = types_read_file(session_types(d->call->s), from,
				      bytes + (from - at), to - from);
	else
		err = target_read(session_target(d->call->s), from,
				  bytes + (from - at), to - from);
	if (!err)
		return NULL;
	err_free(err);
	return err_new(ERR_FAULT, "failed to read data at 0x%" PRIx64, from);
}

static struct err *dump_lines(struct dump *d)
{
	unsigned char bytes[256], last[256];
	enum {
		NONE,
		SEEN,
		STARRED
	} repeat = NONE;
	struct err *err = NULL;

	for (taddr_t at = d->start; !err && at < d->end; at += d->line) {
		size_t n = d->line;

		if (d->unaligned && d->end - at < n)
			n = d->end - at;
		err = dump_read(d, at, bytes, n);
		if (err)
			break;
		if (d->squeeze && repeat != NONE && d->end - at > d->line &&
		    !memcmp(bytes, last, n)) {
			if (repeat == SEEN && !out_is_json(d->call->out))
				out_text(d->call->out, "*\n");
			repeat = STARRED;
			continue;
		}
		repeat = SEEN;
		memcpy(last, bytes, n);
		if (out_is_json(d->call->out))
			dump_row(d, at, bytes, n);
		else
			dump_text(d, at, bytes, n);
		err = interrupt_check();
	}
	return err;
}

static struct err *dcmd_dump(struct dcmd_call *call)
{
	struct dump d = {.call = call, .group = 4, .paras = 1};
	struct err *err = dump_options(&d);

	session_stop_loop(call->s);
	if (err)
		return err;
	if (out_is_pipe(call->out))
		return err_new(ERR_USAGE,
			       "::dump cannot be output into a pipe");
	dump_layout(&d);
	out_begin(call->out, dump_cols, 3, "");
	if (!d.swap && !out_is_json(call->out))
		dump_heading(&d);
	err = dump_lines(&d);
	out_end(call->out);
	if (!err)
		session_set_dot(call->s, d.end);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "nm",
	 .addr = ADDR_OPTIONAL,
	 .opts = nm_opts,
	 .usage = "[object]",
	 .brief = "symbols",
	 .run = dcmd_nm},
	{.name = "dump",
	 .addr = ADDR_OPTIONAL,
	 .opts = dump_opts,
	 .usage = "",
	 .brief = "memory as bytes and text",
	 .run = dcmd_dump},
	{0},
};

const struct group group_syms = {.name = "syms", .dcmds = dcmds};
