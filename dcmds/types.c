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
#include "pmdb_mod.h"

#include <ctype.h>
#include <stdlib.h>
#include <time.h>

/* a value somewhere in the target */
struct place {
	const struct type *type;
	taddr_t addr;
	unsigned bit;      /* of a bit-field, within addr */
	unsigned bit_size; /* 0: not one */
};

struct print {
	struct dcmd_call *call;
	struct session *s;
	struct out *o;
	struct types *types;
	bool addrs, decimal, hex, numeric, show_types, immediate;
	bool no_char_limit, no_elem_limit;
	uint64_t char_limit, elem_limit, depth_limit;
	bool has_values;    /* false: the layout only */
	uint64_t value;     /* -i: what is printed */
	struct strbuf path; /* JSON: where we are */
	const char *prefix; /* of the members of the first level, or NULL */
};

static char *number(uint64_t n)
{
	return mem_printf(n > 9 ? "0x%" PRIx64 : "%" PRIx64, n);
}

/* a number in the default radix, as mdb hands addresses on */
static void put_address(struct dcmd_call *call, taddr_t addr)
{
	static const char digits[] = "0123456789abcdef";
	unsigned radix = (unsigned)session_radix(call->s);
	char buf[66];
	size_t i = sizeof(buf) - 1;

	if (out_is_pipe(call->out) || out_is_json(call->out)) {
		out_value(call->out, addr);
		return;
	}
	buf[i] = '\0';
	do {
		buf[--i] = digits[addr % radix];
		addr /= radix;
	} while (addr > 0);
	out_text(call->out, "%s\n", buf + i);
}

/* ---- types named by arguments ---------------------------------------- */

static struct err *try_lookup(struct session *s, const char *name,
			      const struct type **ret)
{
	const char *mark = strrchr(name, '`');
	const struct object *scope = NULL;
	_free_ char *object = NULL;
	struct err *err = NULL;

	if (mark) {
		object = mem_strndup(name, (size_t)(mark - name));
		scope = types_object_named(session_types(s), object);
		if (!scope)
			return err_new(ERR_NOTFOUND,
				       "failed to look up type %s: no such "
				       "object",
				       name);
	}
	err = types_lookup(session_types(s), scope, mark ? mark + 1 : name,
			   ret);
	return err_prefix(err, "failed to look up type %s", name);
}

/* the same, and on failure the type that may have been meant */
static struct err *lookup(struct session *s, const char *name,
			  const struct type **ret)
{
	const char *mark = strrchr(name, '`');
	_err_free_ struct err *err = try_lookup(s, name, ret);
	_free_ char *meant = NULL;

	if (!err)
		return NULL;
	meant = types_suggest_type(session_types(s), mark ? mark + 1 : name);
	return err_new(err->code, "%s%s", err->msg, meant);
}

/* "struct foo" may be two words; *first moves past what was used.  Owned. */
static char *type_words(const struct dcmd_call *call, size_t *first)
{
	const struct arg *a = &call->argv[*first];
	bool is_tag = !strcmp(a->str, "struct") || !strcmp(a->str, "union") ||
		      !strcmp(a->str, "enum");

	if (is_tag && *first + 1 < call->argc) {
		*first += 2;
		return mem_printf("%s %s", a->str, call->argv[*first - 1].str);
	}
	*first += 1;
	return mem_strdup(a->str);
}

/* the type of the symbol that starts exactly at addr */
static struct err *type_at(struct session *s, taddr_t addr,
			   const struct type **ret)
{
	struct symbol sym;
	struct err *err = NULL;

	if (!types_symbol_at(session_types(s), addr, &sym) || sym.value != addr)
		return err_new(ERR_NOTFOUND,
			       "no symbol information for 0x%" PRIx64, addr);
	err = types_of_symbol(session_types(s), &sym, ret);
	if (!err)
		return NULL;
	err_free(err);
	return err_new(ERR_NOTFOUND,
		       "no type data available for %s [0x%" PRIx64 "]",
		       sym.name, addr);
}

/* ---- reading --------------------------------------------------------- */

static struct err *read_at(const struct print *p, taddr_t addr, void *buf,
			   size_t n)
{
	struct err *err = NULL;

	if (p->immediate) {
		memset(buf, 0, n);
		memcpy(buf, &p->value, n < 8 ? n : 8);
		return NULL;
	}
	err = target_read(session_target(p->s), addr, buf, n);
	if (!err)
		return NULL;
	err_free(err);
	return err_new(ERR_FAULT,
		       "failed to read data from target: no mapping for "
		       "address 0x%" PRIx64,
		       addr);
}

/* an integer, pointer or bit-field of at most 8 bytes */
static struct err *read_scalar(const struct print *p, const struct place *pl,
			       uint64_t *ret)
{
	struct type_info ti = type_info(pl->type);
	unsigned char buf[9] = {0};
	size_t n =
		pl->bit_size ? (pl->bit + pl->bit_size + 7) / 8 : ti.size_bytes;
	uint64_t low = 0;
	struct err *err = NULL;

	if (n > (pl->bit_size ? sizeof(buf) : 8))
		return err_new(ERR_NOSUP, "a number of %zu bytes", n);
	err = read_at(p, pl->addr, buf, n);
	if (err)
		return err;
	memcpy(&low, buf, sizeof(low));
	if (pl->bit_size) {
		low >>= pl->bit;
		if (pl->bit > 0)
			low |= (uint64_t)buf[8] << (64 - pl->bit);
		if (pl->bit_size < 64)
			low &= (1ull << pl->bit_size) - 1;
	}
	*ret = low;
	return NULL;
}

/* ---- members --------------------------------------------------------- */

static struct place member_place(const struct place *of,
				 const struct type_member *m)
{
	struct place pl = {.type = m->type,
			   .addr = of->addr + m->offset_bits / 8};

	if (m->bit_size) {
		pl.bit = m->offset_bits % 8;
		pl.bit_size = m->bit_size;
	}
	return pl;
}

static struct err *deref(const struct print *p, struct place *pl)
{
	struct type_info ti = type_info(pl->type);
	uint64_t value = 0;
	struct err *err = NULL;

	if (!p->has_values)
		return err_new(ERR_USAGE, "a pointer cannot be followed "
					  "without an address");
	err = read_scalar(p, pl, &value);
	if (err)
		return err;
	if (!ti.elem)
		return err_new(ERR_NOTFOUND,
			       "a pointer to void has no members");
	*pl = (struct place){.type = ti.elem, .addr = value};
	return NULL;
}

static bool is_pointer(const struct type *type)
{
	enum type_kind kind = type_info(type).kind;

	return kind == TYPE_POINTER || kind == TYPE_REFERENCE;
}

static struct err *into_member(struct print *p, struct place *pl,
			       const char *name)
{
	struct type_member m;

	if (is_pointer(pl->type)) {
		struct err *err = deref(p, pl);

		if (err)
			return err;
	}
	if (!type_find_member(type_resolve(pl->type), name, &m)) {
		_free_ char *meant = types_suggest_member(pl->type, name);

		session_stop_loop(p->s);
		return err_new(ERR_NOTFOUND,
			       "failed to find member %s of %s: no such member "
			       "of structure or union%s",
			       name, type_name(pl->type), meant);
	}
	*pl = member_place(pl, &m);
	return NULL;
}

static struct err *into_index(struct print *p, struct place *pl,
			      const char *text)
{
	struct type_info ti = type_info(pl->type);
	struct type_info elem;
	uint64_t i = 0;
	struct err *err = session_eval_expr(p->s, text, &i);

	if (err)
		return err;
	if (ti.kind == TYPE_POINTER) {
		err = deref(p, pl);
		if (err)
			return err;
		elem = type_info(pl->type);
		pl->addr += i * elem.size_bytes;
		return NULL;
	}
	if (ti.kind != TYPE_ARRAY || !ti.elem) {
		session_stop_loop(p->s);
		return err_new(ERR_NOTFOUND, "%s is neither array nor pointer",
			       type_name(pl->type));
	}
	if (i >= ti.nelems && ti.nelems > 0)
		out_warn(p->o,
			 "index %" PRIu64 " is outside of array bounds [0 .. "
			 "%" PRIu64 "]",
			 i, ti.nelems - 1);
	elem = type_info(ti.elem);
	*pl = (struct place){.type = ti.elem,
			     .addr = pl->addr + i * elem.size_bytes};
	return NULL;
}

/* "a.b->c[3]" from a place to another */
static struct err *follow(struct print *p, struct place *pl, const char *path)
{
	struct err *err = NULL;

	while (*path && !err) {
		_free_ char *word = NULL;
		size_t n = 0;

		if (path[0] == '[') {
			n = strcspn(path, "]");
			if (path[n] == '\0')
				return err_new(ERR_USAGE, "] is missing in %s",
					       path);
			word = mem_strndup(path + 1, n - 1);
			path += n + 1;
			err = into_index(p, pl, word);
			continue;
		}
		if (path[0] == '.')
			path++;
		else if (path[0] == '-' && path[1] == '>')
			path += 2;
		n = strcspn(path, ".[-");
		if (n == 0)
			return err_new(ERR_USAGE, "a member name is missing");
		word = mem_strndup(path, n);
		path += n;
		err = into_member(p, pl, word);
	}
	return err;
}

/* ---- values as text -------------------------------------------------- */

static char *char_text(unsigned char c)
{
	static const char from[] = "\a\b\f\n\r\t\v\"\\'";
	static const char to[] = "abfnrtv\"\\'";
	const char *p = c ? strchr(from, c) : NULL;

	if (p)
		return mem_printf("'\\%c'", to[p - from]);
	if (c == '\0')
		return mem_strdup("'\\0'");
	return mem_printf(isprint(c) ? "'%c'" : "'\\%03o'", c);
}

static int64_t sign_extend(uint64_t v, unsigned bits)
{
	unsigned shift = 64 - bits;

	return bits == 0 || bits > 64 ? 0 : (int64_t)(v << shift) >> shift;
}

static char *time_text(uint64_t v)
{
	time_t t = (time_t)v;
	struct tm tm;
	char buf[64];

	if (!localtime_r(&t, &tm) ||
	    strftime(buf, sizeof(buf), "%Y %b %e %H:%M:%S", &tm) == 0)
		return number(v);
	return mem_strdup(buf);
}

static char *integer_text(const struct print *p, const struct place *pl,
			  const struct type_info *ti, uint64_t v)
{
	unsigned bits =
		pl->bit_size ? pl->bit_size : (unsigned)ti->size_bytes * 8;
	const char *name = type_name(pl->type);

	if (p->hex)
		return number(v);
	if (p->decimal && !ti->is_char)
		return ti->is_signed
			       ? mem_printf("%" PRId64, sign_extend(v, bits))
			       : mem_printf("%" PRIu64, v);
	if (ti->is_char && !pl->bit_size)
		return char_text((unsigned char)v);
	if (!strcmp(name, "time_t"))
		return time_text(v);
	if (!strcmp(name, "in_addr_t") || !strcmp(name, "ipaddr_t"))
		return mem_printf("%u.%u.%u.%u", (unsigned)v & 255,
				  (unsigned)(v >> 8) & 255,
				  (unsigned)(v >> 16) & 255,
				  (unsigned)(v >> 24) & 255);
	if (pl->bit_size && ti->is_signed)
		return mem_printf("%" PRId64, sign_extend(v, bits));
	return number(v);
}

/* ---- enums */

static bool is_flags(const struct type *type)
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

/* how much of their names all enumerators share, up to a "_" */
static size_t common_prefix(const struct type *type)
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

/* "PFX_{A|B}", "A|0x80" */
static char *flags_text(const struct type *type, uint64_t v)
{
	size_t prefix = common_prefix(type);
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

static char *enum_text(const struct print *p, const struct place *pl,
		       uint64_t v)
{
	const struct type *type = type_resolve(pl->type);
	unsigned bits = pl->bit_size ? pl->bit_size
				     : (unsigned)type_info(type).size_bytes * 8;
	int64_t want = sign_extend(v, bits);

	if (is_flags(type) && v != 0) {
		_free_ char *flags = flags_text(type, v);

		return mem_printf("0x%" PRIx64 " (%s)", v, flags);
	}
	for (size_t i = 0; i < type_nenums(type); i++) {
		int64_t value = 0;
		const char *name = type_enum(type, i, &value);

		if (value == want || (uint64_t)value == v)
			return mem_printf(p->hex ? "0x%" PRIx64 " (%s)"
						 : "%" PRId64 " (%s)",
					  value, name);
	}
	return mem_printf("%" PRId64 " (??\?)", want);
}

/* ---- pointers and floats */

/* the string a char pointer points at, quoted; NULL: it is none */
static char *string_text(const struct print *p, taddr_t addr)
{
	char *s = NULL;
	char *ret = NULL;
	struct err *err = NULL;

	if (addr == 0)
		return NULL;
	err = target_read_str(session_target(p->s), addr, 256, &s);
	if (err) {
		err_free(err); /* the pointer alone, then */
		return NULL;
	}
	for (const char *q = s; *q; q++)
		if (!isprint((unsigned char)*q))
			goto out;
	ret = mem_printf("\"%s\"", s);
out:
	mem_free(s);
	return ret;
}

static char *pointer_text(const struct print *p, const struct type_info *ti,
			  uint64_t v)
{
	if (ti->elem && type_info(ti->elem).is_char) {
		_free_ char *s = string_text(p, v);

		if (s)
			return mem_printf("0x%" PRIx64 " %s", v, s);
	}
	if (p->numeric || p->hex || v == 0)
		return number(v);
	return types_addr_name(p->types, v);
}

static struct err *float_text(const struct print *p, const struct place *pl,
			      uint64_t size, char **ret)
{
	union {
		float f;
		double d;
		long double ld;
	} u = {0};
	struct err *err = NULL;

	if (size > sizeof(u)) {
		*ret = mem_strdup("?");
		return NULL;
	}
	err = read_at(p, pl->addr, &u, size);
	if (err)
		return err;
	if (size == sizeof(float))
		*ret = mem_printf("%+.7e", (double)u.f);
	else if (size == sizeof(double))
		*ret = mem_printf("%+.7e", u.d);
	else
		*ret = mem_printf("%+.16Le", u.ld);
	return NULL;
}

/* one value on a line; aggregates are elsewhere */
static struct err *scalar_text(const struct print *p, const struct place *pl,
			       char **ret)
{
	struct type_info ti = type_info(pl->type);
	uint64_t v = 0;
	struct err *err = NULL;

	if (ti.kind == TYPE_FLOAT)
		return float_text(p, pl, ti.size_bytes, ret);
	if (ti.kind == TYPE_FUNCTION) {
		*ret = types_addr_name(p->types, pl->addr);
		return NULL;
	}
	if (ti.kind == TYPE_FORWARD) {
		*ret = mem_printf("; <forward declaration of %s>",
				  type_name(pl->type));
		return NULL;
	}
	if (ti.kind == TYPE_VOID) {
		*ret = mem_strdup("; <void>");
		return NULL;
	}
	err = read_scalar(p, pl, &v);
	if (err)
		return err;
	if (ti.kind == TYPE_ENUM)
		*ret = enum_text(p, pl, v);
	else if (ti.kind == TYPE_POINTER || ti.kind == TYPE_REFERENCE)
		*ret = pointer_text(p, &ti, v);
	else
		*ret = integer_text(p, pl, &ti, v);
	return NULL;
}

/* ---- lines ----------------------------------------------------------- */

static const struct column print_cols[] = {
	{"addr", NULL, CELL_ADDR, 0},
	{"name", NULL, CELL_TEXT, 0},
	{"type", NULL, CELL_TEXT, 0},
	{"value", NULL, CELL_TEXT, 0},
};

/* address, type and name of a line, and " = " if a value follows */
static void put_head(struct print *p, const struct place *pl, const char *name,
		     int level)
{
	struct strbuf sb = {0};

	strbuf_printf(&sb, "%*s", level * 4, "");
	if (p->addrs && pl->bit_size)
		strbuf_printf(&sb, "%" PRIx64 ".%x ", pl->addr, pl->bit);
	else if (p->addrs)
		strbuf_printf(&sb, "%" PRIx64 " ", pl->addr);
	if (p->show_types) {
		const char *type = type_name(pl->type);
		size_t n = strlen(type);

		strbuf_puts(&sb, type);
		if (pl->bit_size)
			strbuf_printf(&sb, ":%u", pl->bit_size);
		if (n == 0 || type[n - 1] != '*' || !name)
			strbuf_putc(&sb, ' ');
	}
	if (name && level == 1 && p->prefix)
		strbuf_printf(&sb, "%s.", p->prefix);
	if (name)
		strbuf_printf(&sb, "%s ", name);
	if (name && p->show_types && pl->bit_size)
		strbuf_printf(&sb, ":%u ", pl->bit_size);
	if (name && p->has_values)
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

static bool is_aggregate(const struct type *type)
{
	enum type_kind kind = type_info(type).kind;

	return kind == TYPE_STRUCT || kind == TYPE_UNION;
}

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

/* a char array that holds a printable string: "text"; else NULL */
static struct err *char_array_text(struct print *p, const struct place *pl,
				   const struct type_info *ti, char **ret)
{
	_free_ char *buf = NULL;
	uint64_t n = ti->nelems;
	struct err *err = NULL;

	*ret = NULL;
	if (n == 0 || n > (1u << 20) || !ti->elem ||
	    !type_info(ti->elem).is_char ||
	    type_info(ti->elem).size_bytes != 1 ||
	    (!p->no_char_limit && n > p->char_limit))
		return NULL;
	buf = mem_zalloc(n + 1);
	err = read_at(p, pl->addr, buf, n);
	if (err)
		return err;
	for (const char *q = buf; *q; q++)
		if (!isprint((unsigned char)*q))
			return NULL;
	*ret = mem_printf("\"%s\"", buf);
	return NULL;
}

/* "[ 0x1, 0x2, ... ]" */
static struct err *inline_array(struct print *p, const struct place *pl,
				struct strbuf *sb)
{
	struct type_info ti = type_info(pl->type);
	uint64_t n = ti.nelems;
	char *text = NULL;
	struct err *err = char_array_text(p, pl, &ti, &text);

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
			err = scalar_text(p, &elem, &text);
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

static struct err *print_members(struct print *p, const struct place *pl,
				 int level)
{
	const struct type *type = type_resolve(pl->type);
	size_t path = p->path.n;
	struct err *err = NULL;

	for (size_t i = 0; i < type_nmembers(type) && !err; i++) {
		struct type_member m = type_member(type, i);
		struct place sub = member_place(pl, &m);
		const char *name = m.name && m.name[0] ? m.name : "<anon>";

		if (path > 0)
			strbuf_putc(&p->path, '.');
		strbuf_puts(&p->path, name);
		err = print_place(p, &sub, name, level + 1);
		cut_path(p, path);
		if (!out_is_json(p->o) && !err)
			out_text(p->o, "\n");
	}
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
		return scalar_text(p, pl, ret);
	err = inline_array(p, pl, &sb);
	if (err)
		strbuf_free(&sb);
	else
		*ret = sb.s;
	return err;
}

/* no newline at the end */
static struct err *print_place(struct print *p, const struct place *pl,
			       const char *name, int level)
{
	struct type_info ti = type_info(pl->type);
	bool is_struct = is_aggregate(pl->type);
	bool is_block = is_struct || (ti.kind == TYPE_ARRAY && ti.elem &&
				      is_aggregate(base_elem(ti.elem)));
	bool is_too_deep =
		is_block && level > 0 && (uint64_t)level > p->depth_limit;
	_free_ char *text = NULL;
	struct err *err = interrupt_check();

	if (err)
		return err;
	if (!out_is_json(p->o))
		put_head(p, pl, name, level);
	if (is_block && !is_too_deep) {
		if (is_struct)
			return print_struct(p, pl, level);
		if (p->has_values)
			return print_struct_array(p, pl, level);
	}
	if (p->has_values)
		err = leaf_text(p, pl, is_too_deep, &text);
	if (err)
		return err;
	if (out_is_json(p->o))
		put_row(p, pl, text);
	else if (text)
		out_text(p->o, "%s", text);
	return NULL;
}

/* what goes into a pipe for a place */
static struct err *pipe_value(struct print *p, const struct place *pl)
{
	uint64_t v = pl->addr;
	struct err *err = NULL;

	switch (type_info(pl->type).kind) {
	case TYPE_INT:
	case TYPE_ENUM:
	case TYPE_POINTER:
	case TYPE_REFERENCE:
		if (!p->addrs)
			err = read_scalar(p, pl, &v);
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

static struct err *print_top(struct print *p, const struct place *pl,
			     const char *name)
{
	struct err *err = NULL;

	if (out_is_pipe(p->o))
		return pipe_value(p, pl);
	p->prefix = name;
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
	{'c', OPT_NUMBER, "n", "characters shown as a string, at most"},
	{'d', OPT_FLAG, NULL, "integers in decimal"},
	{'i', OPT_FLAG, NULL, "the address is the value itself"},
	{'l', OPT_NUMBER, "n", "elements of an array shown, at most"},
	{'n', OPT_FLAG, NULL, "pointers as numbers"},
	{'s', OPT_NUMBER, "depth", "levels of nesting shown"},
	{'t', OPT_FLAG, NULL, "types of members"},
	{'x', OPT_FLAG, NULL, "everything in hexadecimal"},
	{0},
};

static struct err *print_options(struct print *p, size_t *first)
{
	void *const values[] = {
		&p->addrs,      &p->no_char_limit, &p->no_elem_limit,
		&p->char_limit, &p->decimal,       &p->immediate,
		&p->elem_limit, &p->numeric,       &p->depth_limit,
		&p->show_types, &p->hex,
	};

	p->char_limit = 1024;
	p->elem_limit = 32;
	p->depth_limit = UINT64_MAX;
	return dcmd_options(p->call, print_opts, values, first);
}

/* the type named, or else that of the symbol at the address; what remains
 * are members */
static struct err *print_type(struct print *p, size_t *first, struct place *ret)
{
	struct dcmd_call *call = p->call;
	size_t next = *first;
	_free_ char *name = NULL;
	struct err *err = NULL;

	ret->addr = p->immediate ? 0 : call->addr;
	if (next == call->argc || call->argv[next].type == ARG_NUMBER) {
		if (!p->has_values)
			return err_new(ERR_USAGE,
				       "a type or an address is needed");
		return type_at(p->s, call->addr, &ret->type);
	}
	name = type_words(call, &next);
	err = try_lookup(p->s, name, &ret->type);
	if (!err) {
		*first = next;
		return NULL;
	}
	err_free(err);
	/* one word may be a member of what lies at the address */
	if (p->has_values && next == *first + 1) {
		err = type_at(p->s, call->addr, &ret->type);
		if (!err)
			return NULL;
		err_free(err);
	}
	session_stop_loop(p->s); /* it will be unknown the next time, too */
	return lookup(p->s, name, &ret->type);
}

/* the member that holds byte offset off: $[off] */
static struct err *member_at(struct print *p, const struct place *pl,
			     uint64_t off, char **ret)
{
	const struct type *type = type_resolve(pl->type);
	struct strbuf sb = {0};

	while (is_aggregate(type)) {
		struct type_member m = {0};
		size_t i = 0;

		for (; i < type_nmembers(type); i++) {
			m = type_member(type, i);
			if (off >= m.offset_bits / 8 &&
			    off < m.offset_bits / 8 +
					    type_info(m.type).size_bytes)
				break;
		}
		if (i == type_nmembers(type))
			break;
		if (sb.n > 0 && m.name[0])
			strbuf_putc(&sb, '.');
		strbuf_puts(&sb, m.name);
		off -= m.offset_bits / 8;
		type = type_resolve(m.type);
	}
	if (sb.n > 0) {
		*ret = sb.s;
		return NULL;
	}
	strbuf_free(&sb);
	session_stop_loop(p->s);
	return err_new(ERR_NOTFOUND, "no member of %s at offset 0x%" PRIx64,
		       type_name(pl->type), off);
}

static struct err *print_member(struct print *p, const struct place *base,
				const struct arg *a)
{
	struct place pl = *base;
	_free_ char *path = NULL;
	struct err *err = NULL;

	if (a->type == ARG_NUMBER)
		err = member_at(p, base, a->num, &path);
	else
		path = mem_strdup(a->str);
	if (!err)
		err = follow(p, &pl, path);
	if (err)
		return err;
	return print_top(p, &pl, path[0] == '.' ? path + 1 : path);
}

static struct err *dcmd_print(struct dcmd_call *call)
{
	struct print p = {.call = call, .s = call->s, .o = call->out};
	struct place pl = {0};
	size_t first = 0;
	struct err *err = print_options(&p, &first);

	p.types = session_types(call->s);
	p.has_values = call->flags & DCMD_ADDRSPEC;
	p.value = call->addr;
	if (!err)
		err = print_type(&p, &first, &pl);
	if (err)
		return err;
	out_begin(p.o, print_cols, 4, "");
	if (first == call->argc)
		err = print_top(&p, &pl, NULL);
	for (size_t i = first; i < call->argc && !err; i++)
		err = print_member(&p, &pl, &call->argv[i]);
	out_end(p.o);
	strbuf_free(&p.path);
	if (!err && p.has_values && !p.immediate)
		session_set_dot(call->s,
				pl.addr + type_info(pl.type).size_bytes);
	return err;
}

/* ---- ::sizeof, ::offsetof -------------------------------------------- */

static const struct column sizeof_cols[] = {
	{"type", NULL, CELL_TEXT, 0},
	{"size_bytes", NULL, CELL_BYTES, 0},
};
static const struct column offsetof_cols[] = {
	{"type", NULL, CELL_TEXT, 0},
	{"member", NULL, CELL_TEXT, 0},
	{"offset_bits", NULL, CELL_COUNT, 0},
	{"size_bits", NULL, CELL_COUNT, 0},
};

static struct err *dcmd_sizeof(struct dcmd_call *call)
{
	const struct type *type = NULL;
	size_t first = 0;
	_free_ char *name = NULL;
	_free_ char *size = NULL;
	uint64_t n = 0;
	struct err *err = NULL;

	if (call->argc == 0)
		return err_new(ERR_USAGE, "a type is needed");
	name = type_words(call, &first);
	if (first < call->argc)
		return err_new(ERR_USAGE, "only one type may be given");
	err = lookup(call->s, name, &type);
	if (err)
		return err;
	n = type_info(type).size_bytes;
	size = number(n);
	if (!out_is_json(call->out) && !out_is_pipe(call->out)) {
		out_text(call->out, "sizeof (%s) = %s\n", name, size);
		return NULL;
	}
	out_begin(call->out, sizeof_cols, 2, "");
	out_str(call->out, name);
	out_u64(call->out, n);
	out_end_row(call->out, n);
	out_end(call->out);
	return NULL;
}

/* a member named without addresses: "a.b[2]" */
static struct err *member_named(struct dcmd_call *call, const struct type *type,
				const char *member, struct place *ret)
{
	struct print p = {.call = call,
			  .s = call->s,
			  .o = call->out,
			  .types = session_types(call->s)};

	*ret = (struct place){.type = type};
	return follow(&p, ret, member);
}

static void put_offset(struct dcmd_call *call, const char *name,
		       const char *member, const struct place *pl)
{
	bool is_bits = pl->bit_size;
	uint64_t size = is_bits ? pl->bit_size : type_info(pl->type).size_bytes;
	uint64_t off = is_bits ? pl->addr * 8 + pl->bit : pl->addr;
	_free_ char *off_text = number(off);
	_free_ char *size_text = number(size);

	if (!out_is_json(call->out) && !out_is_pipe(call->out)) {
		const char *unit = is_bits ? " bits" : "";

		out_text(call->out,
			 "offsetof (%s, %s) = %s%s, sizeof (...->%s) = %s%s\n",
			 name, member, off_text, unit, member, size_text, unit);
		return;
	}
	out_begin(call->out, offsetof_cols, 4, "");
	out_str(call->out, name);
	out_str(call->out, member);
	out_u64(call->out, is_bits ? off : off * 8);
	out_u64(call->out, is_bits ? size : size * 8);
	out_end_row(call->out, off);
	out_end(call->out);
}

static struct err *dcmd_offsetof(struct dcmd_call *call)
{
	const struct type *type = NULL;
	const char *member = NULL;
	_free_ char *name = NULL;
	struct place pl;
	size_t first = 0;
	struct err *err = NULL;

	if (call->argc < 2)
		return err_new(ERR_USAGE, "a type and a member are needed");
	name = type_words(call, &first);
	if (first + 1 != call->argc)
		return err_new(ERR_USAGE, "a type and a member are needed");
	member = call->argv[first].str;
	err = lookup(call->s, name, &type);
	if (!err)
		err = member_named(call, type, member, &pl);
	if (!err)
		put_offset(call, name, member, &pl);
	return err;
}

/* ---- ::list, ::array ------------------------------------------------- */

static struct err *list_offset(struct dcmd_call *call, uint64_t *ret,
			       const char **ret_var)
{
	const struct type *type = NULL;
	_free_ char *name = NULL;
	struct place pl;
	size_t first = 0;
	struct err *err = NULL;

	if (call->argc == 0)
		return err_new(ERR_USAGE, "a type and a member are needed");
	if (call->argv[0].type == ARG_NUMBER) {
		*ret = call->argv[0].num;
		first = 1;
	} else {
		name = type_words(call, &first);
		if (first == call->argc)
			return err_new(ERR_USAGE, "a member is needed");
		err = lookup(call->s, name, &type);
		if (!err)
			err = member_named(call, type, call->argv[first].str,
					   &pl);
		if (err)
			return err;
		first++;
		*ret = pl.addr;
		if (pl.bit_size)
			*ret = 1; /* not aligned */
	}
	if (*ret % 8)
		return err_new(ERR_NOTFOUND, "%s is not a word-aligned member",
			       call->argv[first - 1].str);
	if (call->argc > first + 1)
		return err_new(ERR_USAGE, "only one variable may be given");
	*ret_var = call->argc > first ? call->argv[first].str : NULL;
	return NULL;
}

static struct err *dcmd_list(struct dcmd_call *call)
{
	struct target *t = session_target(call->s);
	const char *var = NULL;
	uint64_t off = 0;
	taddr_t addr = call->addr;
	struct hash seen;
	struct err *err = list_offset(call, &off, &var);

	hash_init(&seen);
	while (!err && addr != 0) {
		bool is_new = false;

		(void)hash_put(&seen, addr, &is_new);
		if (!is_new && addr != call->addr)
			err = err_new(ERR_BADDATA,
				      "the list loops back to 0x%" PRIx64
				      ", which is not its start",
				      addr);
		if (!is_new)
			break;
		if (var)
			err = session_bind_var(call->s, var, addr);
		if (err)
			break;
		put_address(call, addr);
		err = target_read_u64(t, addr + off, &addr);
		if (!err)
			err = interrupt_check();
	}
	hash_fini(&seen);
	return err;
}

/* element type, count and variable of ::array */
static struct err *array_args(struct dcmd_call *call, const struct type **elem,
			      uint64_t *n, const char **var)
{
	size_t first = 0;
	_free_ char *name = NULL;
	struct type_info ti;
	struct err *err = NULL;

	if (call->argc >= 2) {
		name = type_words(call, &first);
		if (first == call->argc || call->argc > first + 2)
			return err_new(ERR_USAGE,
				       "a type and a count are needed");
		if (call->argc == first + 2)
			*var = call->argv[first + 1].str;
		err = lookup(call->s, name, elem);
		if (!err && call->argv[first].type == ARG_NUMBER)
			*n = call->argv[first].num;
		else if (!err)
			err = session_eval_expr(call->s, call->argv[first].str,
						n);
		return err;
	}
	if (call->argc == 1)
		*var = call->argv[0].str;
	err = type_at(call->s, call->addr, elem);
	if (err)
		return err;
	ti = type_info(*elem);
	if (ti.kind != TYPE_ARRAY || !ti.elem)
		return err_new(ERR_NOTFOUND,
			       "no symbol information for 0x%" PRIx64
			       ": %s is no array",
			       call->addr, type_name(*elem));
	*elem = ti.elem;
	*n = ti.nelems;
	return NULL;
}

static struct err *dcmd_array(struct dcmd_call *call)
{
	const struct type *elem = NULL;
	const char *var = NULL;
	uint64_t n = 0;
	uint64_t size = 0;
	struct err *err = array_args(call, &elem, &n, &var);

	if (!err)
		size = type_info(elem).size_bytes;
	if (!err && size == 0)
		err = err_new(ERR_NOTFOUND, "%s has no size", type_name(elem));
	for (uint64_t i = 0; !err && i < n; i++) {
		taddr_t addr = call->addr + i * size;

		if (var)
			err = session_bind_var(call->s, var, addr);
		if (!err) {
			put_address(call, addr);
			err = interrupt_check();
		}
	}
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "print",
	 .addr = ADDR_OPTIONAL,
	 .opts = print_opts,
	 .usage = "[type] [member ...]",
	 .brief = "memory by its C type",
	 .help = "The type is that of the symbol at the address if none is "
		 "named; without an address\nthe layout is printed.  Members: "
		 "a.b->c[3], or $[offset].\n\n"
		 "  > ::walk kmem_cache | ::print kmem_cache_t cache_name",
	 .run = dcmd_print},
	{.name = "sizeof",
	 .usage = "type",
	 .brief = "size of a type, bytes",
	 .help = "",
	 .run = dcmd_sizeof},
	{.name = "offsetof",
	 .usage = "type member",
	 .brief = "offset and size of a member, bytes",
	 .help = "Of a bit-field: in bits.",
	 .run = dcmd_offsetof},
	{.name = "list",
	 .addr = ADDR_OPTIONAL,
	 .usage = "type member [variable] | $[offset] [variable]",
	 .brief = "addresses of a linked list",
	 .help = "From the address on, through the pointer that the member "
		 "is, until NULL or back\nat the start.",
	 .run = dcmd_list},
	{.name = "array",
	 .addr = ADDR_REQUIRED,
	 .usage = "[type count] [variable]",
	 .brief = "addresses of an array's elements",
	 .help = "Type and count are those of the symbol at the address if "
		 "none are given.",
	 .run = dcmd_array},
	{0},
};

const struct group group_types = {.name = "types", .dcmds = dcmds};
