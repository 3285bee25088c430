/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ::print and its kin: memory by its C types.
 *
 * A place is a type and where its bytes are.  Members lead from a place to
 * another; printing a place prints a scalar on a line and an aggregate as a
 * block, 4 blanks a level:
 *
 *	{
 *	    x = 0x2a
 *	    sub = {
 *	        y = 0
 *	    }
 *	}
 */
#include "print_impl.h"

/* ---- lines ----------------------------------------------------------- */

static const struct column print_cols[] = {
	{"addr", NULL, CELL_ADDR, 0},
	{"name", NULL, CELL_TEXT, 0},
	{"type", NULL, CELL_TEXT, 0},
	{"value", NULL, CELL_TEXT, 0},
};

/* "foo_t " or "char *"; with -T what it is underneath */
static void put_type(const struct print *p, const struct place *pl,
		     bool has_name, struct strbuf *sb)
{
	const char *type = type_name(pl->type);
	const char *base = type_name(type_resolve(pl->type));
	size_t n = strlen(type);

	if (p->show_types)
		strbuf_puts(sb, type);
	if (p->show_types && pl->bit_size)
		strbuf_printf(sb, ":%u", pl->bit_size);
	if (p->show_types && (n == 0 || type[n - 1] != '*' || !has_name))
		strbuf_putc(sb, ' ');
	if (p->show_base_types && strcmp(type, base) != 0)
		strbuf_printf(sb, "<<%s>> ", base);
}

static void put_addr(const struct print *p, const struct place *pl,
		     struct strbuf *sb)
{
	if (p->addrs && pl->bit_size)
		strbuf_printf(sb, "%" PRIx64 ".%x ", pl->addr, pl->bit);
	else if (p->addrs)
		strbuf_printf(sb, "%" PRIx64 " ", pl->addr);
}

/* address, type and name of a line, and " = " if a value follows */
static void put_head(struct print *p, const struct place *pl, const char *name,
		     int level)
{
	struct strbuf sb = {0};

	strbuf_printf(&sb, "%*s", level * 4, "");
	put_addr(p, pl, &sb);
	put_type(p, pl, name, &sb);
	if (name && level == 1 && p->prefix)
		strbuf_printf(&sb, "%s%s", p->prefix, p->joint);
	if (name)
		strbuf_printf(&sb, "%s ", name);
	if (name && p->show_types && pl->bit_size)
		strbuf_printf(&sb, ":%u ", pl->bit_size);
	if (name && p->env.has_values)
		strbuf_puts(&sb, "= ");
	out_text(p->o, "%s", sb.s);
	strbuf_free(&sb);
}

static void put_row(struct print *p, const struct place *pl, const char *value)
{
	out_addr(p->o, pl->addr);
	out_str(p->o, strbuf_str(&p->path));
	out_str(p->o, type_name(pl->type));
	out_str(p->o, value);
	out_end_row(p->o, pl->addr);
}

static struct err *print_place(struct print *p, const struct place *pl,
			       const char *name, int level);

/* back to where the path was n characters long */
static void cut_path(struct print *p, size_t n)
{
	p->path.n = n;
	if (p->path.s)
		p->path.s[n] = '\0';
}

/* ---- arrays ---------------------------------------------------------- */

/* the innermost element of arrays of arrays */
static const struct type *base_elem(const struct type *type)
{
	struct type_info ti = type_info(type);

	while (ti.kind == TYPE_ARRAY && ti.elem) {
		type = ti.elem;
		ti = type_info(type);
	}
	return type;
}

/* "[ 0x1, 0x2, ... ]" */
static struct err *inline_array(struct print *p, const struct place *pl,
				struct strbuf *sb)
{
	struct type_info ti = type_info(pl->type);
	uint64_t n = ti.nelems;
	char *text = NULL;
	struct err *err = print_char_array(p, pl, &text);

	strbuf_puts(sb, "[ ");
	if (text) {
		strbuf_printf(sb, "%s ]", text);
		mem_free(text);
		return err;
	}
	if (!p->no_elem_limit && n > p->elem_limit)
		n = p->elem_limit;
	for (uint64_t i = 0; i < n && !err && ti.elem; i++) {
		struct place elem = {.type = ti.elem};

		elem.addr = pl->addr + i * type_info(ti.elem).size_bytes;
		if (type_info(ti.elem).kind == TYPE_ARRAY) {
			err = inline_array(p, &elem, sb);
		} else {
			err = print_scalar(p, &elem, &text);
			strbuf_puts(sb, err ? "" : text);
			mem_free(err ? NULL : text);
		}
		strbuf_puts(sb, i + 1 < ti.nelems ? ", " : " ");
		if (!err)
			err = interrupt_check();
	}
	strbuf_puts(sb, n < ti.nelems ? "... ]" : "]");
	return err;
}

static struct err *print_struct_array(struct print *p, const struct place *pl,
				      int level)
{
	struct type_info ti = type_info(pl->type);
	uint64_t n = ti.nelems;
	size_t path = p->path.n;
	bool is_json = out_is_json(p->o);
	struct err *err = NULL;

	if (!p->no_elem_limit && n > p->elem_limit)
		n = p->elem_limit;
	if (!is_json)
		out_text(p->o, "[\n");
	for (uint64_t i = 0; i < n && !err; i++) {
		struct place elem = {.type = ti.elem};

		elem.addr = pl->addr + i * type_info(ti.elem).size_bytes;
		strbuf_printf(&p->path, "[%" PRIu64 "]", i);
		err = print_place(p, &elem, NULL, level + 1);
		cut_path(p, path);
		if (!is_json && !err)
			out_text(p->o, ",\n");
	}
	if (!is_json)
		out_text(p->o, "%*s%s", level * 4, "",
			 n < ti.nelems ? "... ]" : "]");
	return err;
}

/* ---- places ---------------------------------------------------------- */

/* -h: bits [from, to) of an aggregate that belong to no member */
static struct err *put_hole(struct print *p, const struct place *pl,
			    uint64_t from, uint64_t to, int level)
{
	struct err *err = NULL;

	for (uint64_t next = from; !err && from < to; from = next) {
		struct place hole = {.type = pl->type,
				     .addr = pl->addr + from / 8,
				     .bit = from % 8};
		struct strbuf sb = {0};
		uint64_t v = 0;

		/* words, so that each is a number */
		next = (from | 63) + 1 < to ? (from | 63) + 1 : to;
		hole.bit_size = (unsigned)(next - from);
		strbuf_printf(&sb, "%*s", level * 4, "");
		put_addr(p, &hole, &sb);
		strbuf_printf(&sb, "<<HOLE>> :%u ", hole.bit_size);
		if (p->env.has_values)
			err = place_scalar(&p->env, &hole, &v);
		if (!err && p->env.has_values) {
			_free_ char *text = number_text(v);

			strbuf_printf(&sb, "= %s", text);
		}
		if (!err)
			out_text(p->o, "%s\n", sb.s);
		strbuf_free(&sb);
	}
	return err;
}

static uint64_t size_bits(const struct type_member *m)
{
	return m->bit_size ? m->bit_size : type_info(m->type).size_bytes * 8;
}

static struct err *print_members(struct print *p, const struct place *pl,
				 int level)
{
	const struct type *type = type_resolve(pl->type);
	bool has_holes = p->holes && type_info(type).kind == TYPE_STRUCT &&
			 !out_is_json(p->o);
	size_t path = p->path.n;
	uint64_t end = 0; /* of the members so far, bits */
	struct err *err = NULL;

	for (size_t i = 0; i < type_nmembers(type) && !err; i++) {
		struct type_member m = type_member(type, i);
		struct place sub = {0};
		const char *name = m.name && m.name[0] ? m.name : "<anon>";

		err = place_member(&p->env, pl, &m, &sub);
		if (!err && has_holes && m.offset_bits > end)
			err = put_hole(p, pl, end, m.offset_bits, level + 1);
		if (m.offset_bits + size_bits(&m) > end)
			end = m.offset_bits + size_bits(&m);
		if (err)
			break;
		if (path > 0)
			strbuf_putc(&p->path, '.');
		strbuf_puts(&p->path, name);
		err = print_place(p, &sub, name, level + 1);
		cut_path(p, path);
		if (!out_is_json(p->o) && !err)
			out_text(p->o, "\n");
	}
	if (has_holes && !err && type_nmembers(type) > 0)
		err = put_hole(p, pl, end, type_info(type).size_bytes * 8,
			       level + 1);
	return err;
}

static struct err *print_struct(struct print *p, const struct place *pl,
				int level)
{
	struct err *err = NULL;

	if (out_is_json(p->o))
		return print_members(p, pl, level);
	out_text(p->o, "{\n");
	err = print_members(p, pl, level);
	out_text(p->o, "%*s}", level * 4, "");
	return err;
}

/* in one piece, or what stands where the depth ends */
static struct err *leaf_text(struct print *p, const struct place *pl,
			     bool is_too_deep, char **ret)
{
	struct type_info ti = type_info(pl->type);
	struct strbuf sb = {0};
	struct err *err = NULL;

	if (is_too_deep) {
		*ret = mem_strdup(ti.kind == TYPE_ARRAY ? "[ ... ]"
							: "{ ... }");
		return NULL;
	}
	if (ti.kind != TYPE_ARRAY)
		return print_scalar(p, pl, ret);
	err = inline_array(p, pl, &sb);
	if (err)
		strbuf_free(&sb);
	else
		*ret = sb.s;
	return err;
}

/* is it written over several lines? */
static bool is_block(const struct place *pl)
{
	struct type_info ti = type_info(pl->type);

	return is_aggregate(pl->type) || (ti.kind == TYPE_ARRAY && ti.elem &&
					  is_aggregate(base_elem(ti.elem)));
}

/* a value written on its line; block: one that is too deep, or known */
static struct err *print_leaf(struct print *p, const struct place *pl,
			      char *text)
{
	bool is_too_deep = is_block(pl);
	_free_ char *owned = text;
	struct err *err = NULL;

	if (!text && p->env.has_values)
		err = leaf_text(p, pl, is_too_deep, &owned);
	if (err)
		return err;
	if (out_is_json(p->o))
		put_row(p, pl, owned);
	else if (owned)
		out_text(p->o, "%s", owned);
	return NULL;
}

/* no newline at the end */
static struct err *print_place(struct print *p, const struct place *pl,
			       const char *name, int level)
{
	char *known = NULL;
	struct place array;
	struct err *err = interrupt_check();

	if (!err && is_aggregate(pl->type))
		err = print_known(p, pl, &known);
	if (err)
		return err;
	if (!out_is_json(p->o))
		put_head(p, pl, name, level);
	if (!known && !p->raw && is_aggregate(pl->type) &&
	    place_as_array(&p->env, pl, &array))
		pl = &array;
	if (known || !is_block(pl) ||
	    (level > 0 && (uint64_t)level > p->depth_limit))
		return print_leaf(p, pl, known);
	if (is_aggregate(pl->type))
		return print_struct(p, pl, level);
	if (p->env.has_values)
		return print_struct_array(p, pl, level);
	return print_leaf(p, pl, NULL);
}

/* what goes into a pipe for a place */
static struct err *pipe_value(struct print *p, const struct place *pl)
{
	uint64_t v = pl->addr;
	struct place held;
	struct err *err = NULL;

	if (!p->raw && is_aggregate(pl->type) && place_held(pl, &held))
		pl = &held;
	switch (type_info(pl->type).kind) {
	case TYPE_INT:
	case TYPE_ENUM:
	case TYPE_POINTER:
	case TYPE_REFERENCE:
		if (!p->addrs)
			err = place_scalar(&p->env, pl, &v);
		break;
	case TYPE_VOID:
	case TYPE_FLOAT:
	case TYPE_ARRAY:
	case TYPE_STRUCT:
	case TYPE_UNION:
	case TYPE_FUNCTION:
	case TYPE_FORWARD:
		break;
	}
	if (!err)
		out_value(p->o, v);
	return err;
}

/* "p[0]" of a pointer is "p->", as far as its members are concerned; owned */
static char *top_prefix(struct print *p, const struct place *base,
			const char *name)
{
	size_t n = name ? strlen(name) : 0;
	struct place pl = *base;
	char *cut = NULL;
	struct err *err = NULL;

	p->joint = ".";
	if (n < 4 || strcmp(name + n - 3, "[0]") != 0)
		return name ? mem_strdup(name) : NULL;
	cut = mem_strndup(name, n - 3);
	err = place_follow(&p->env, &pl, cut);
	if (!err && type_info(pl.type).kind == TYPE_POINTER) {
		p->joint = "->";
		return cut;
	}
	err_free(err); /* what it was printed from was found */
	mem_free(cut);
	return mem_strdup(name);
}

static struct err *print_top(struct print *p, const struct place *pl,
			     const struct place *base, const char *name)
{
	_free_ char *prefix = NULL;
	struct err *err = NULL;

	if (out_is_pipe(p->o))
		return pipe_value(p, pl);
	prefix = top_prefix(p, base, name);
	p->prefix = prefix;
	strbuf_reset(&p->path);
	strbuf_puts(&p->path, name ? name : "");
	err = print_place(p, pl, name, 0);
	if (!out_is_json(p->o))
		out_text(p->o, "\n");
	return err;
}

/* ---- ::print --------------------------------------------------------- */

static const struct opt print_opts[] = {
	{'a', OPT_FLAG, NULL, "addresses of members"},
	{'C', OPT_FLAG, NULL, "no limit for character arrays"},
	{'L', OPT_FLAG, NULL, "no limit for other arrays"},
	{'T', OPT_FLAG, NULL, "what typedefs are underneath"},
	{'c', OPT_NUMBER, "n", "characters shown as a string, at most"},
	{'d', OPT_FLAG, NULL, "integers in decimal"},
	{'h', OPT_FLAG, NULL, "holes between members"},
	{'i', OPT_FLAG, NULL, "the address is the value itself"},
	{'l', OPT_NUMBER, "n", "elements of an array shown, at most"},
	{'n', OPT_FLAG, NULL, "pointers as numbers"},
	{'p', OPT_FLAG, NULL, "physical addresses: a dump has none"},
	{'r', OPT_FLAG, NULL, "std::string and the like as structures"},
	{'s', OPT_NUMBER, "depth", "levels of nesting shown"},
	{'t', OPT_FLAG, NULL, "types of members"},
	{'x', OPT_FLAG, NULL, "everything in hexadecimal"},
	{0},
};

/* contents that lead into themselves end there */
enum {
	DEPTH_MAX = 64
};

static struct err *print_options(struct print *p, size_t *first)
{
	void *const values[] = {
		&p->addrs,           &p->no_char_limit, &p->no_elem_limit,
		&p->show_base_types, &p->char_limit,    &p->decimal,
		&p->holes,           &p->env.immediate, &p->elem_limit,
		&p->numeric,         &p->physical,      &p->raw,
		&p->depth_limit,     &p->show_types,    &p->hex,
	};
	struct err *err = NULL;

	p->char_limit = session_settings(p->call->s)->array_str_limit;
	p->elem_limit = session_settings(p->call->s)->array_mem_limit;
	p->depth_limit = DEPTH_MAX;
	err = dcmd_options(p->call, print_opts, values, first);
	if (!err && p->physical)
		err = err_new(ERR_NOSUP, "operation not supported by target: "
					 "a dump has no physical memory");
	if (p->depth_limit > DEPTH_MAX)
		p->depth_limit = DEPTH_MAX;
	return err;
}

/* in C, "foo" is no type when only "struct foo" is: then it may be a member of
 * what is at the address */
static bool is_member(const struct print *p, const char *word,
		      const struct type *type)
{
	const struct type *here = NULL;
	struct type_member m;
	struct err *err = NULL;

	if (!p->env.has_values || !strcmp(type_name(type), word) ||
	    strchr(word, ' '))
		return false;
	err = type_at(p->env.s, p->call->addr, &here);
	if (!err)
		return type_find_member(type_resolve(here), word, &m);
	err_free(err); /* there is no symbol: a type was meant */
	return false;
}

/* the type named, or else that of the symbol at the address; what remains
 * are members */
static struct err *print_type(struct print *p, size_t *first, struct place *ret)
{
	struct dcmd_call *call = p->call;
	size_t next = *first;
	_free_ char *name = NULL;
	struct err *err = NULL;

	ret->addr = p->env.has_values && !p->env.immediate ? call->addr : 0;
	if (next == call->argc || call->argv[next].type == ARG_NUMBER) {
		if (!p->env.has_values)
			return err_new(ERR_USAGE,
				       "a type or an address is needed");
		return type_at(p->env.s, call->addr, &ret->type);
	}
	name = type_words(call, &next);
	err = try_lookup_type(p->env.s, name, &ret->type);
	if (!err && !is_member(p, call->argv[*first].str, ret->type)) {
		*first = next;
		return NULL;
	}
	err_free(err);
	/* one word may be a member of what lies at the address */
	if (p->env.has_values && next == *first + 1) {
		err = type_at(p->env.s, call->addr, &ret->type);
		if (!err)
			return NULL;
		err_free(err);
	}
	session_stop_loop(p->env.s); /* it will be unknown the next time, too */
	return lookup_type(p->env.s, name, &ret->type);
}

static struct err *print_member(struct print *p, const struct place *base,
				const struct arg *a)
{
	struct place pl = *base;
	_free_ char *path = NULL;
	struct err *err = NULL;

	if (a->type == ARG_NUMBER)
		err = place_path_at(&p->env, base, a->num, &path);
	else
		path = mem_strdup(a->str);
	if (!err)
		err = place_follow(&p->env, &pl, path);
	if (err)
		return err;
	return print_top(p, &pl, base,
			 path[0] == '.'            ? path + 1
			 : !strncmp(path, "->", 2) ? path + 2
						   : path);
}

static struct err *dcmd_print(struct dcmd_call *call)
{
	struct print p = {.call = call, .o = call->out};
	struct place pl = {0};
	size_t first = 0;
	struct err *err = NULL;

	p.types = session_types(call->s);
	p.env = (struct place_env){
		.s = call->s,
		.o = call->out,
		.has_values = call->flags & DCMD_ADDRSPEC,
		.value = call->addr,
	};
	err = print_options(&p, &first);
	if (!err)
		err = print_type(&p, &first, &pl);
	if (err)
		return err;
	out_begin(p.o, print_cols, 4, "");
	if (first == call->argc)
		err = print_top(&p, &pl, &pl, NULL);
	for (size_t i = first; i < call->argc && !err; i++)
		err = print_member(&p, &pl, &call->argv[i]);
	out_end(p.o);
	strbuf_free(&p.path);
	if (!err && p.env.has_values && !p.env.immediate)
		session_set_dot(call->s,
				pl.addr + type_info(pl.type).size_bytes);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "print",
	 .addr = ADDR_OPTIONAL,
	 .opts = print_opts,
	 .usage = "[type] [member ...]",
	 .brief = "memory by its C type",
	 .run = dcmd_print},
	{0},
};

const struct group group_print = {.name = "types", .dcmds = dcmds};
