/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ::printf: members of a structure in a format of the user's. */
#include "place.h"

#include <arpa/inet.h>
#include <ctype.h>

/* one conversion of the format: "%-08x" */
struct conversion {
	bool is_left, has_zero;
	int width;
	char c;
};

struct printf_call {
	struct dcmd_call *call;
	struct place_env env;
	struct place base;
	struct strbuf out;
	size_t next; /* argument that the next conversion takes */
};

static struct err *illegal(const char *format, const char *at)
{
	return err_new(ERR_USAGE,
		       "illegal format string at or near '%c' (position %zu)",
		       *at ? *at : '%', (size_t)(at - format) + 1);
}

static struct err *parse_conversion(const char *format, const char **p,
				    struct conversion *ret)
{
	const char *q = *p + 1;

	*ret = (struct conversion){0};
	for (; *q == '-' || *q == '0'; q++) {
		ret->is_left |= *q == '-';
		ret->has_zero |= *q == '0';
	}
	if (*q == '?') {
		ret->width = 16;
		q++;
	}
	for (; isdigit((unsigned char)*q); q++)
		if (ret->width < 1000)
			ret->width = ret->width * 10 + (*q - '0');
	if (*q == '\0' || !strchr("%aApdqRorxXuHsINY", *q))
		return illegal(format, q);
	ret->c = *q;
	*p = q + 1;
	return NULL;
}

static void pad(struct strbuf *out, const struct conversion *c,
		const char *text)
{
	int n = (int)strlen(text);

	if (c->is_left) {
		strbuf_printf(out, "%-*s", c->width, text);
		return;
	}
	/* zeros stand behind a sign */
	if (c->has_zero && text[0] == '-') {
		strbuf_putc(out, '-');
		text++;
	}
	for (int i = n; i < c->width; i++)
		strbuf_putc(out, c->has_zero ? '0' : ' ');
	strbuf_puts(out, text);
}

/* ---- values */

static char *in_signed_radix(int64_t v, unsigned radix)
{
	_free_ char *digits =
		out_digits(v < 0 ? -(uint64_t)v : (uint64_t)v, radix);

	return mem_printf("%s%s", v < 0 ? "-" : "", digits);
}

/* "1.5M": three digits that matter */
static char *human(uint64_t v)
{
	static const char units[] = " KMGTPE";
	double n = (double)v;
	size_t unit = 0;
	int digits = 0;

	while (n >= 1024 && unit < 6) {
		n /= 1024;
		unit++;
	}
	if (unit == 0)
		return mem_printf("%" PRIu64, v);
	digits = n < 10 ? 2 : n < 100 ? 1 : 0;
	if (n == (double)(uint64_t)n)
		digits = 0;
	return mem_printf("%.*f%c", digits, n, units[unit]);
}

static bool is_integer(const struct place *pl)
{
	enum type_kind kind = type_info(pl->type).kind;

	return kind == TYPE_INT || kind == TYPE_ENUM || kind == TYPE_POINTER;
}

static struct err *integer_text(const struct printf_call *p,
				const struct place *pl, char c, char **ret)
{
	struct type_info ti = type_info(pl->type);
	unsigned bits =
		pl->bit_size ? pl->bit_size : (unsigned)ti.size_bytes * 8;
	unsigned radix = (unsigned)session_radix(p->call->s);
	uint64_t v = 0;
	int64_t sv = 0;
	struct err *err = NULL;

	if (!is_integer(pl))
		return err_new(ERR_NOTFOUND, "expected integer type");
	err = place_scalar(&p->env, pl, &v);
	if (err)
		return err;
	sv = ti.is_signed ? sign_extend(v, bits) : (int64_t)v;
	switch (c) {
	case 'd':
		*ret = mem_printf("%" PRId64, sv);
		break;
	case 'q':
		*ret = in_signed_radix(sv, 8);
		break;
	case 'R':
		*ret = in_signed_radix(sv, radix);
		break;
	case 'o':
		*ret = out_digits(v, 8);
		break;
	case 'r':
		*ret = out_digits(v, radix);
		break;
	case 'u':
		*ret = mem_printf("%" PRIu64, v);
		break;
	case 'x':
		*ret = mem_printf("%" PRIx64, v);
		break;
	case 'X':
		*ret = mem_printf("%" PRIX64, v);
		break;
	case 'H':
		*ret = human(v);
		break;
	case 'I':
		*ret = ipv4_text((uint32_t)v);
		break;
	default:
		*ret = time_text(v);
		break;
	}
	return NULL;
}

static struct err *pointer_text(const struct printf_call *p,
				const struct place *pl, char c, char **ret)
{
	enum type_kind kind = type_info(pl->type).kind;
	uint64_t v = pl->addr;
	struct symbol sym;
	struct err *err = NULL;

	if (kind == TYPE_POINTER || kind == TYPE_REFERENCE)
		err = place_scalar(&p->env, pl, &v);
	else if (kind != TYPE_FUNCTION && kind != TYPE_ARRAY)
		err = err_new(ERR_NOTFOUND, "expected pointer type");
	if (err)
		return err;
	if (c == 'p')
		*ret = mem_printf("%" PRIx64, v);
	else if (c == 'A' &&
		 !types_symbol_at(session_types(p->call->s), v, &sym))
		*ret = mem_strdup("");
	else
		*ret = types_addr_name(session_types(p->call->s), v);
	return NULL;
}

/* a string, wherever its characters are, or the name of an enumerator */
static struct err *string_text(const struct printf_call *p,
			       const struct place *pl, char **ret)
{
	struct type_info ti = type_info(pl->type);
	struct target *t = session_target(p->call->s);
	bool is_char = ti.elem && type_info(ti.elem).is_char;
	const char *name = NULL;
	uint64_t v = pl->addr;
	int64_t value = 0;
	struct err *err = NULL;

	if (ti.kind == TYPE_ENUM) {
		err = place_scalar(&p->env, pl, &v);
		if (err)
			return err;
		name = enum_name(type_resolve(pl->type), v,
				 (unsigned)ti.size_bytes * 8, &value);
		*ret = name ? mem_strdup(name) : number_text(v);
		return NULL;
	}
	if (ti.kind == TYPE_ARRAY && is_char)
		return target_read_str(t, v, ti.nelems + 1, ret);
	if (ti.kind != TYPE_POINTER || !is_char)
		return err_new(ERR_NOTFOUND,
			       "expected string or enumerated type");
	err = place_scalar(&p->env, pl, &v);
	if (!err && v == 0)
		*ret = mem_strdup("<NULL>");
	else if (!err)
		err = target_read_str(t, v, 1u << 20, ret);
	return err;
}

static struct err *ipv6_text(const struct printf_call *p,
			     const struct place *pl, char **ret)
{
	unsigned char bytes[16];
	char text[INET6_ADDRSTRLEN];
	struct err *err = NULL;

	if (type_info(pl->type).size_bytes != sizeof(bytes))
		return err_new(ERR_NOTFOUND, "expected an address of 16 bytes");
	err = place_read(&p->env, pl->addr, bytes, sizeof(bytes));
	if (err)
		return err;
	*ret = mem_strdup(inet_ntop(AF_INET6, bytes, text, sizeof(text)) ? text
									 : "?");
	return NULL;
}

/* ---- the format */

static struct err *member_value(struct printf_call *p, struct place *ret)
{
	const struct arg *a = &p->call->argv[p->next++];
	_free_ char *path = NULL;
	struct err *err = NULL;

	*ret = p->base;
	if (!strcmp(a->str, "."))
		return NULL; /* the thing itself */
	if (a->type == ARG_NUMBER)
		err = place_path_at(&p->env, &p->base, a->num, &path);
	else
		path = mem_strdup(a->str);
	return err ? err : place_follow(&p->env, ret, path);
}

static struct err *convert(struct printf_call *p, const struct conversion *c)
{
	struct place pl;
	_free_ char *text = NULL;
	struct err *err = member_value(p, &pl);

	if (err)
		return err;
	if (strchr("aAp", c->c))
		err = pointer_text(p, &pl, c->c, &text);
	else if (c->c == 's')
		err = string_text(p, &pl, &text);
	else if (c->c == 'N')
		err = ipv6_text(p, &pl, &text);
	else
		err = integer_text(p, &pl, c->c, &text);
	if (!err)
		pad(&p->out, c, text);
	return err;
}

static struct err *run_format(struct printf_call *p, const char *format)
{
	const char *q = format;
	struct err *err = NULL;

	while (*q && !err) {
		struct conversion c;

		if (*q != '%') {
			strbuf_putc(&p->out, *q++);
			continue;
		}
		err = parse_conversion(format, &q, &c);
		if (!err && c.c == '%')
			strbuf_putc(&p->out, '%');
		else if (!err)
			err = convert(p, &c);
	}
	return err;
}

/* as many conversions as members, before anything is printed */
static struct err *check_format(const char *format, size_t nmembers)
{
	const char *q = format;
	size_t n = 0;

	while (*q) {
		struct conversion c;
		struct err *err = NULL;

		if (*q != '%') {
			q++;
			continue;
		}
		err = parse_conversion(format, &q, &c);
		if (err)
			return err;
		n += c.c != '%';
	}
	if (n == nmembers)
		return NULL;
	return err_new(ERR_USAGE,
		       "the format has %zu conversions, and there are %zu "
		       "members",
		       n, nmembers);
}

static struct err *dcmd_printf(struct dcmd_call *call)
{
	struct printf_call p = {
		.call = call,
		.env = {.s = call->s, .o = call->out, .has_values = true},
		.base = {.addr = call->addr},
		.next = 1,
	};
	_free_ char *name = NULL;
	struct err *err = NULL;

	if (call->argc == 0 || call->argv[0].type != ARG_STRING)
		return err_new(ERR_USAGE, "expected a format string");
	if (call->argc > 1)
		name = type_words(call, &p.next);
	err = check_format(call->argv[0].str, call->argc - p.next);
	if (!err && name)
		err = lookup_type(call->s, name, &p.base.type);
	if (err) {
		session_stop_loop(call->s);
		return err;
	}
	strbuf_puts(&p.out, "");
	err = run_format(&p, call->argv[0].str);
	if (!err)
		out_text(call->out, "%s", p.out.s);
	strbuf_free(&p.out);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "printf",
	 .addr = ADDR_OPTIONAL,
	 .usage = "format [type member ...]",
	 .brief = "members in a format of your own",
	 .run = dcmd_printf},
	{0},
};

const struct group group_printf = {.name = "types", .dcmds = dcmds};
