/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Enumerations: names of values, ::enum. */
#include "place.h"

bool enum_is_flags(const struct type *type)
{
	size_t n = type_nenums(type);

	for (size_t i = 0; i < n; i++) {
		int64_t v = 0;

		(void)type_enum(type, i, &v); /* its name is not needed */
		if (v <= 0 || (v & (v - 1)))
			return false;
	}
	return n > 0;
}

size_t enum_prefix(const struct type *type)
{
	int64_t v = 0;
	const char *first = type_enum(type, 0, &v);
	size_t n = strlen(first);

	for (size_t i = 1; i < type_nenums(type); i++) {
		const char *name = type_enum(type, i, &v);
		size_t j = 0;

		while (j < n && name[j] == first[j])
			j++;
		n = j;
	}
	while (n > 0 && first[n - 1] != '_')
		n--;
	return type_nenums(type) > 1 ? n : 0;
}

char *enum_flags_text(const struct type *type, uint64_t v)
{
	size_t prefix = enum_prefix(type);
	struct strbuf sb = {0};
	int64_t value = 0;
	unsigned n = 0;

	for (size_t i = 0; i < type_nenums(type); i++) {
		const char *name = type_enum(type, i, &value);

		if (!(v & (uint64_t)value))
			continue;
		v &= ~(uint64_t)value;
		if (n++ > 0)
			strbuf_putc(&sb, '|');
		else if (prefix)
			strbuf_printf(&sb, "%.*s{", (int)prefix, name);
		strbuf_puts(&sb, name + prefix);
	}
	if (n > 0 && prefix)
		strbuf_putc(&sb, '}');
	if (v)
		strbuf_printf(&sb, "%s0x%" PRIx64, n ? "|" : "", v);
	return sb.s;
}

const char *enum_name(const struct type *type, uint64_t v, unsigned bits,
		      int64_t *ret_value)
{
	int64_t want = sign_extend(v, bits);

	for (size_t i = 0; i < type_nenums(type); i++) {
		const char *name = type_enum(type, i, ret_value);

		if (*ret_value == want || (uint64_t)*ret_value == v)
			return name;
	}
	*ret_value = want;
	return NULL;
}

/* ---- ::enum ---------------------------------------------------------- */

static const struct opt enum_opts[] = {
	{'e', OPT_FLAG, NULL, "without the prefix all names share"},
	{'x', OPT_FLAG, NULL, "values in hexadecimal"},
	{0},
};
static const struct column enum_cols[] = {
	{"value", NULL, CELL_TEXT, 0},
	{"name", NULL, CELL_TEXT, 0},
};

struct enum_print {
	struct dcmd_call *call;
	const struct type *type;
	const char *type_text;
	bool bare, hex;
	bool is_flags;
	size_t prefix; /* characters left out */
};

static char *enum_value_text(const struct enum_print *p, int64_t v)
{
	unsigned bits = (unsigned)type_info(p->type).size_bytes * 8;
	uint64_t raw = (uint64_t)v;

	if (bits < 64)
		raw &= (1ull << bits) - 1;
	if (p->is_flags)
		return mem_printf("%" PRIx64, raw);
	return p->hex ? mem_printf("0x%" PRIx64, raw)
		      : mem_printf("%" PRId64, v);
}

/* the list; in a pipe, the values */
static void enum_list(const struct enum_print *p)
{
	struct out *o = p->call->out;
	int width = p->is_flags ? 8 : 11;

	out_begin(o, enum_cols, 2, "");
	if (!out_is_json(o) && !out_is_pipe(o))
		out_text(o, "%*s NAME\n", width, "VALUE");
	for (size_t i = 0; i < type_nenums(p->type); i++) {
		int64_t v = 0;
		const char *name = type_enum(p->type, i, &v) + p->prefix;
		_free_ char *text = enum_value_text(p, v);

		if (!out_is_json(o) && !out_is_pipe(o)) {
			out_text(o, "%*s %s\n", width, text, name);
			continue;
		}
		out_str(o, text);
		out_str(o, name);
		out_end_row(o, (taddr_t)v);
	}
	out_end(o);
}

static struct err *enum_of_name(const struct enum_print *p, const char *name)
{
	for (size_t i = 0; i < type_nenums(p->type); i++) {
		int64_t v = 0;
		const char *full = type_enum(p->type, i, &v);
		_free_ char *text = NULL;

		if (strcmp(full, name) && strcmp(full + p->prefix, name))
			continue;
		text = enum_value_text(p, v);
		if (out_is_pipe(p->call->out) || out_is_json(p->call->out))
			out_value(p->call->out, (taddr_t)v);
		else
			out_text(p->call->out, "%s\n", text);
		return NULL;
	}
	return err_new(ERR_NOTFOUND, "name \"%s\" not in '%s'", name,
		       p->type_text);
}

static struct err *enum_of_value(const struct enum_print *p, uint64_t v)
{
	unsigned bits = (unsigned)type_info(p->type).size_bytes * 8;
	int64_t value = 0;
	const char *name = enum_name(p->type, v, bits, &value);
	_free_ char *flags = NULL;
	_free_ char *text = number_text(v);

	if (!name && p->is_flags && v != 0)
		flags = enum_flags_text(p->type, v);
	if (flags && strncmp(flags, "0x", 2) != 0)
		name = flags;
	else if (name)
		name += p->prefix;
	if (!name)
		return err_new(ERR_NOTFOUND, "value %s not in '%s'", text,
			       p->type_text);
	if (out_is_pipe(p->call->out))
		out_value(p->call->out, v);
	else
		out_text(p->call->out, "%s\n", name);
	return NULL;
}

/* an argument behind the type: a name, $[value], or a number */
static struct err *enum_one(const struct enum_print *p, const struct arg *a)
{
	uint64_t v = 0;
	struct err *err = enum_of_name(p, a->str);

	if (!err)
		return NULL;
	if (a->type == ARG_NUMBER) {
		err_free(err);
		return enum_of_value(p, a->num);
	}
	if (strchr("-0123456789", a->str[0])) {
		err_free(err);
		err = session_eval_expr(p->call->s, a->str, &v);
		return err ? err : enum_of_value(p, v);
	}
	return err;
}

static struct err *dcmd_enum(struct dcmd_call *call)
{
	struct enum_print p = {.call = call};
	void *const values[] = {&p.bare, &p.hex};
	_free_ char *name = NULL;
	size_t first = 0;
	struct err *err = dcmd_options(call, enum_opts, values, &first);

	if (err)
		return err;
	if (first == call->argc)
		return err_new(ERR_USAGE, "an enumeration is needed");
	name = type_words(call, &first);
	p.type_text = name;
	if (call->argc > first + 1)
		return err_new(ERR_USAGE, "only one name may be given");
	err = lookup_type(call->s, name, &p.type);
	if (err)
		return err;
	if (type_info(p.type).kind != TYPE_ENUM)
		return err_new(ERR_NOTFOUND, "'%s': not an enumeration", name);
	p.is_flags = enum_is_flags(p.type);
	if (p.bare)
		p.prefix = enum_prefix(p.type);
	if (first < call->argc)
		return enum_one(&p, &call->argv[first]);
	if (call->flags & DCMD_ADDRSPEC)
		return enum_of_value(&p, call->addr);
	enum_list(&p);
	return NULL;
}

/* ---- ::typelist ------------------------------------------------------ */

static const struct column typelist_cols[] = {
	{"type", "", CELL_TEXT, 0},
};

struct typelist {
	struct out *o;
	struct hash seen; /* hashes of names */
};

static struct err *list_type(void *arg, const char *tag, const char *name)
{
	struct typelist *l = arg;
	_free_ char *full = mem_printf("%s%s", tag, name);
	bool is_new = false;

	(void)hash_put(&l->seen, hash_bytes(full, strlen(full), 0), &is_new);
	if (!is_new)
		return NULL;
	out_str(l->o, full);
	out_end_row(l->o, 0);
	return interrupt_check();
}

static struct err *dcmd_typelist(struct dcmd_call *call)
{
	struct typelist l = {.o = call->out};
	const struct object *only = NULL;
	struct err *err = NULL;

	if (call->argc > 1)
		return err_new(ERR_USAGE, "only one object may be given");
	if (call->argc == 1) {
		only = types_object_named(session_types(call->s),
					  call->argv[0].str);
		if (!only)
			return err_new(ERR_NOTFOUND, "no such object: %s",
				       call->argv[0].str);
	}
	hash_init(&l.seen);
	out_begin(call->out, typelist_cols, 1, "");
	err = types_names(session_types(call->s), only, list_type, &l);
	out_end(call->out);
	hash_fini(&l.seen);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "enum",
	 .addr = ADDR_OPTIONAL,
	 .opts = enum_opts,
	 .usage = "enum [name | $[value]]",
	 .brief = "names and values of an enumeration",
	 .run = dcmd_enum},
	{.name = "typelist",
	 .usage = "[object]",
	 .brief = "list all types",
	 .run = dcmd_typelist},
	{0},
};

const struct group group_enum = {.name = "types", .dcmds = dcmds};
