/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ::print: structures that stand for something simpler.
 *
 * An internet address is written as one, and so are the classes of libstdc++
 * that a program uses as values: a std::string is its text, a std::vector its
 * elements, a smart pointer or an atomic what it holds.  They are known by
 * name, and what is inside of them is found by the names of members, so that
 * another layout (the reference-counted string of old) is told by its members
 * and one that is not known is printed as it is.  So it is with -r, and so are
 * contents that cannot be true.
 */
#include "print_impl.h"

#include <arpa/inet.h>
#include <ctype.h>

/* ---- values */

/* a class that stands for one of its members */
static const struct holder {
	const char *class; /* how its name begins */
	const char *path;
} holders[] = {
	{"std::unique_ptr<", "_M_t._M_t._M_head_impl"},
	{"std::shared_ptr<", "_M_ptr"},
	{"std::weak_ptr<", "_M_ptr"},
	{"std::__shared_ptr<", "_M_ptr"},
	{"std::atomic<", "_M_i"},
	{"std::atomic<", "_M_base._M_i"},
	{"std::atomic<", "_M_b._M_p"},
};

static bool begins(const char *name, const char *with)
{
	return !strncmp(name, with, strlen(with));
}

/* a member by name, in bases too; of several the first that is a value, as
 * empty bases of a tuple have members of the same name */
static bool find_inner(const struct place *pl, const char *name, int depth,
		       struct place *ret)
{
	const struct type *type = type_resolve(pl->type);
	bool has_found = false;

	if (!is_aggregate(type) || depth > 8)
		return false;
	for (size_t i = 0; i < type_nmembers(type); i++) {
		struct type_member m = type_member(type, i);
		struct place at = {.type = m.type,
				   .addr = pl->addr + m.offset_bits / 8};
		struct place found = at;

		if (m.is_base || m.name[0] == '\0') {
			if (!find_inner(&at, name, depth + 1, &found))
				continue;
		} else if (strcmp(m.name, name) != 0) {
			continue;
		}
		if (!has_found || !is_aggregate(found.type))
			*ret = found;
		has_found = true;
		if (!is_aggregate(found.type))
			return true;
	}
	return has_found;
}

/* a member by a path that only leads through structs; false: there is none */
static bool inner(const struct place *pl, const char *path, struct place *ret)
{
	*ret = *pl;
	while (*path) {
		size_t n = strcspn(path, ".");
		_free_ char *name = mem_strndup(path, n);
		struct place found;

		if (!find_inner(ret, name, 0, &found))
			return false;
		*ret = found;
		path += n + (path[n] == '.');
	}
	return true;
}

/* an integer or pointer member; false when there is none or no memory */
static bool inner_value(const struct place_env *env, const struct place *pl,
			const char *path, uint64_t *ret)
{
	struct place at;
	struct err *err = NULL;

	if (!inner(pl, path, &at) || type_info(at.type).size_bytes > 8)
		return false;
	err = place_scalar(env, &at, ret);
	if (!err)
		return true;
	err_free(err); /* it is printed as it is, and says so then */
	return false;
}

/* ---- strings */

static char *quoted(const unsigned char *s, size_t n, bool is_cut)
{
	static const char from[] = "\a\b\f\n\r\t\v\"\\";
	static const char to[] = "abfnrtv\"\\";
	struct strbuf sb = {0};

	strbuf_putc(&sb, '"');
	for (size_t i = 0; i < n; i++) {
		const char *e = s[i] ? strchr(from, s[i]) : NULL;

		if (e)
			strbuf_printf(&sb, "\\%c", to[e - from]);
		else if (s[i] < 32 || s[i] == 127)
			strbuf_printf(&sb, "\\%03o", s[i]);
		else
			strbuf_putc(&sb, (char)s[i]); /* UTF-8 too */
	}
	strbuf_puts(&sb, is_cut ? "\"..." : "\"");
	return sb.s;
}

/* the length before the text of a reference-counted string */
static bool old_length(const struct print *p, taddr_t text, uint64_t *ret)
{
	struct err *err =
		target_read_u64(session_target(p->env.s), text - 24, ret);

	if (!err)
		return true;
	err_free(err);
	return false;
}

static bool is_std_string(const char *name)
{
	return begins(name, "std::__cxx11::basic_string<char,") ||
	       begins(name, "std::basic_string<char,");
}

/* n characters of the target as a string, no more than asked for; NULL: they
 * cannot be read */
static char *quoted_at(const struct print *p, taddr_t text, uint64_t n)
{
	const uint64_t max = 1 << 20;
	_free_ unsigned char *buf = NULL;
	uint64_t shown = n;
	struct err *err = NULL;

	if (!p->no_char_limit && shown > p->char_limit)
		shown = p->char_limit;
	if (shown > max)
		shown = max;
	buf = mem_alloc(shown + 1);
	err = target_read(session_target(p->env.s), text, buf, shown);
	if (!err)
		return quoted(buf, shown, shown < n);
	err_free(err);
	return NULL;
}

static char *std_string(const struct print *p, const struct place *pl)
{
	uint64_t text = 0;
	uint64_t n = 0;

	if (!inner_value(&p->env, pl, "_M_dataplus._M_p", &text))
		return NULL;
	if (!inner_value(&p->env, pl, "_M_string_length", &n) &&
	    !old_length(p, text, &n))
		return NULL;
	return quoted_at(p, text, n);
}

static char *string_view(const struct print *p, const struct place *pl)
{
	uint64_t text = 0;
	uint64_t n = 0;

	if (!inner_value(&p->env, pl, "_M_str", &text) ||
	    !inner_value(&p->env, pl, "_M_len", &n))
		return NULL;
	return quoted_at(p, text, n);
}

/* ---- addresses of the internet */

static struct err *inet_text(const struct print *p, const struct place *pl,
			     int family, char **ret)
{
	unsigned char bytes[16] = {0};
	char text[INET6_ADDRSTRLEN];
	struct err *err = place_read(&p->env, pl->addr, bytes,
				     family == AF_INET ? 4 : 16);

	if (err)
		return err;
	if (inet_ntop(family, bytes, text, sizeof(text)))
		*ret = mem_strdup(text);
	return NULL;
}

/* ---- all of them */

struct err *print_known(const struct print *p, const struct place *pl,
			char **ret)
{
	const struct type *type = type_resolve(pl->type);
	uint64_t size = type_info(type).size_bytes;
	const char *name = type_name(type);
	struct place at;

	*ret = NULL;
	if (p->raw || !p->env.has_values)
		return NULL;
	if (begins(name, "struct "))
		name += strlen("struct ");
	if (!strcmp(name, "in_addr") && size == 4)
		return inet_text(p, pl, AF_INET, ret);
	if (!strcmp(name, "in6_addr") && size == 16)
		return inet_text(p, pl, AF_INET6, ret);
	if (!begins(name, "std::"))
		return NULL;
	if (is_std_string(name))
		*ret = std_string(p, pl);
	else if (begins(name, "std::basic_string_view<char,"))
		*ret = string_view(p, pl);
	else if (place_held(pl, &at))
		return print_scalar(p, &at, ret);
	return NULL;
}

bool place_held(const struct place *pl, struct place *ret)
{
	const char *name = type_name(type_resolve(pl->type));

	for (size_t i = 0; i < sizeof(holders) / sizeof(*holders); i++)
		if (begins(name, holders[i].class) &&
		    inner(pl, holders[i].path, ret) && !is_aggregate(ret->type))
			return true;
	return false;
}

bool place_as_array(const struct place_env *env, const struct place *pl,
		    struct place *ret)
{
	const char *name = type_name(type_resolve(pl->type));
	uint64_t start = 0;
	uint64_t end = 0;
	uint64_t size = 0;
	struct place at;
	struct type_info ti;

	if (!env->has_values || !begins(name, "std::vector<") ||
	    !inner(pl, "_M_impl._M_start", &at))
		return false;
	ti = type_info(at.type);
	if (ti.kind != TYPE_POINTER || !ti.elem ||
	    !inner_value(env, pl, "_M_impl._M_start", &start) ||
	    !inner_value(env, pl, "_M_impl._M_finish", &end))
		return false;
	size = type_info(ti.elem).size_bytes;
	if (size == 0 || end < start || (end - start) % size)
		return false;
	*ret = (struct place){.type = type_array(ti.elem, (end - start) / size),
			      .addr = start};
	return true;
}
