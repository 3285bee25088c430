/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ::print: one value as text. */
#include "print_impl.h"

#include <ctype.h>

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

static char *integer_text(const struct print *p, const struct place *pl,
			  const struct type_info *ti, uint64_t v)
{
	unsigned bits =
		pl->bit_size ? pl->bit_size : (unsigned)ti->size_bytes * 8;
	const char *name = type_name(pl->type);

	if (p->hex)
		return number_text(v);
	if (p->decimal && !ti->is_char)
		return ti->is_signed
			       ? mem_printf("%" PRId64, sign_extend(v, bits))
			       : mem_printf("%" PRIu64, v);
	if (ti->is_char && !pl->bit_size)
		return char_text((unsigned char)v);
	if (!strcmp(name, "time_t"))
		return time_text(v);
	if (!strcmp(name, "in_addr_t") || !strcmp(name, "ipaddr_t"))
		return ipv4_text((uint32_t)v);
	if (pl->bit_size && ti->is_signed)
		return mem_printf("%" PRId64, sign_extend(v, bits));
	return number_text(v);
}

/* ---- enums */

static char *enum_text(const struct print *p, const struct place *pl,
		       uint64_t v)
{
	const struct type *type = type_resolve(pl->type);
	unsigned bits = pl->bit_size ? pl->bit_size
				     : (unsigned)type_info(type).size_bytes * 8;
	int64_t value = 0;
	const char *name = enum_name(type, v, bits, &value);

	if (enum_is_flags(type) && v != 0) {
		_free_ char *flags = enum_flags_text(type, v);

		return mem_printf("0x%" PRIx64 " (%s)", v, flags);
	}
	if (p->hex && name)
		return mem_printf("0x%" PRIx64 " (%s)", v, name);
	return mem_printf("%" PRId64 " (%s)", value, name ? name : "??\?");
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
	err = target_read_str(session_target(p->env.s), addr, 256, &s);
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
		return number_text(v);
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
	err = place_read(&p->env, pl->addr, &u, size);
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

/* __int128, or the two words of a pointer to a member function */
static struct err *wide_text(const struct print *p, const struct place *pl,
			     uint64_t size, char **ret)
{
	uint64_t w[2] = {0};
	struct err *err = NULL;

	if (size != sizeof(w))
		return err_new(ERR_NOSUP, "%s: a number of %" PRIu64 " bytes",
			       type_name(pl->type), size);
	err = place_read(&p->env, pl->addr, w, sizeof(w));
	if (err)
		return err;
	*ret = w[1] == 0 ? number_text(w[0])
			 : mem_printf("0x%" PRIx64 "%016" PRIx64, w[1], w[0]);
	return NULL;
}

struct err *print_scalar(const struct print *p, const struct place *pl,
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
	if (ti.size_bytes > 8 && !pl->bit_size)
		return wide_text(p, pl, ti.size_bytes, ret);
	err = place_scalar(&p->env, pl, &v);
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

struct err *print_char_array(const struct print *p, const struct place *pl,
			     char **ret)
{
	struct type_info ti = type_info(pl->type);
	_free_ char *buf = NULL;
	uint64_t n = ti.nelems;
	struct err *err = NULL;

	*ret = NULL;
	if (n == 0 || n > (1u << 20) || !ti.elem ||
	    !type_info(ti.elem).is_char || type_info(ti.elem).size_bytes != 1 ||
	    (!p->no_char_limit && n > p->char_limit))
		return NULL;
	buf = mem_zalloc(n + 1);
	err = place_read(&p->env, pl->addr, buf, n);
	if (err)
		return err;
	for (const char *q = buf; *q; q++)
		if (!isprint((unsigned char)*q))
			return NULL;
	*ret = mem_printf("\"%s\"", buf);
	return NULL;
}
