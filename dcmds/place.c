/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Places: a type and where its bytes are.  Members lead from a place to
 * another, "a.b->c[3]".
 */
#include "place.h"

#include <time.h>

char *number_text(uint64_t n)
{
	return mem_printf(n > 9 ? "0x%" PRIx64 : "%" PRIx64, n);
}

char *time_text(uint64_t v)
{
	time_t t = (time_t)v;
	struct tm tm;
	char buf[64];

	if (!localtime_r(&t, &tm) ||
	    strftime(buf, sizeof(buf), "%Y %b %e %H:%M:%S", &tm) == 0)
		return number_text(v);
	return mem_strdup(buf);
}

char *ipv4_text(uint32_t v)
{
	return mem_printf("%u.%u.%u.%u", v & 255, v >> 8 & 255, v >> 16 & 255,
			  v >> 24);
}

int64_t sign_extend(uint64_t v, unsigned bits)
{
	unsigned shift = 64 - bits;

	return bits == 0 || bits > 64 ? 0 : (int64_t)(v << shift) >> shift;
}

/* ---- types named by arguments ---------------------------------------- */

struct err *try_lookup_type(struct session *s, const char *name,
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

struct err *lookup_type(struct session *s, const char *name,
			const struct type **ret)
{
	const char *mark = strrchr(name, '`');
	_err_free_ struct err *err = try_lookup_type(s, name, ret);
	_free_ char *meant = NULL;

	if (!err)
		return NULL;
	meant = types_suggest_type(session_types(s), mark ? mark + 1 : name);
	return err_new(err->code, "%s%s", err->msg, meant);
}

char *type_words(const struct dcmd_call *call, size_t *first)
{
	const struct arg *a = &call->argv[*first];
	bool is_tag = !strcmp(a->str, "struct") || !strcmp(a->str, "union") ||
		      !strcmp(a->str, "enum") || !strcmp(a->str, "class");

	if (is_tag && *first + 1 < call->argc) {
		*first += 2;
		return mem_printf("%s %s", a->str, call->argv[*first - 1].str);
	}
	*first += 1;
	return mem_strdup(a->str);
}

struct err *type_at(struct session *s, taddr_t addr, const struct type **ret)
{
	struct symbol sym;
	struct err *err = NULL;

	if (types_symbol_at(session_types(s), addr, &sym) && sym.value == addr)
		err = types_of_symbol(session_types(s), &sym, ret);
	else if (types_tls_at(session_types(s), addr, &sym, ret))
		err = *ret ? NULL : err_new(ERR_NOTFOUND, "%s", "");
	else
		return err_new(ERR_NOTFOUND,
			       "no symbol information for 0x%" PRIx64, addr);
	if (!err)
		return NULL;
	err_free(err);
	return err_new(ERR_NOTFOUND,
		       "no type data available for %s [0x%" PRIx64 "]",
		       sym.name, addr);
}

/* ---- reading --------------------------------------------------------- */

struct err *place_read(const struct place_env *env, taddr_t addr, void *buf,
		       size_t n)
{
	struct err *err = NULL;

	if (env->immediate) {
		uint64_t left = addr < 8 ? 8 - addr : 0;

		memset(buf, 0, n);
		memcpy(buf, (const char *)&env->value + (8 - left),
		       n < left ? n : left);
		return NULL;
	}
	err = target_read(session_target(env->s), addr, buf, n);
	if (!err)
		return NULL;
	err_free(err);
	return err_new(ERR_FAULT,
		       "failed to read data from target: no mapping for "
		       "address 0x%" PRIx64,
		       addr);
}

struct err *place_scalar(const struct place_env *env, const struct place *pl,
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
	err = place_read(env, pl->addr, buf, n);
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

bool is_aggregate(const struct type *type)
{
	enum type_kind kind = type_info(type).kind;

	return kind == TYPE_STRUCT || kind == TYPE_UNION;
}

struct err *place_member(const struct place_env *env, const struct place *of,
			 const struct type_member *m, struct place *ret)
{
	uint64_t table = 0;
	uint64_t offset = m->offset_bits / 8;
	struct err *err = NULL;

	if (m->vbase_bytes > 0 && env->has_values) {
		err = target_read_u64(session_target(env->s), of->addr, &table);
		if (!err)
			err = target_read_u64(session_target(env->s),
					      table - m->vbase_bytes, &offset);
		if (err)
			return err;
	}
	*ret = (struct place){.type = m->type, .addr = of->addr + offset};
	if (m->bit_size) {
		ret->bit = m->offset_bits % 8;
		ret->bit_size = m->bit_size;
	}
	return NULL;
}

static struct err *deref(const struct place_env *env, struct place *pl)
{
	struct type_info ti = type_info(pl->type);
	uint64_t value = 0;
	struct err *err = NULL;

	if (!env->has_values)
		return err_new(ERR_USAGE, "a pointer cannot be followed "
					  "without an address");
	err = place_scalar(env, pl, &value);
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

static struct err *into_member(const struct place_env *env, struct place *pl,
			       const char *name)
{
	struct type_member m;

	if (is_pointer(pl->type)) {
		struct err *err = deref(env, pl);

		if (err)
			return err;
	}
	if (!type_find_member(type_resolve(pl->type), name, &m)) {
		_free_ char *meant = types_suggest_member(pl->type, name);

		session_stop_loop(env->s);
		return err_new(ERR_NOTFOUND,
			       "failed to find member %s of %s: no such member "
			       "of structure or union%s",
			       name, type_name(pl->type), meant);
	}
	return place_member(env, pl, &m, pl);
}

static struct err *into_index(const struct place_env *env, struct place *pl,
			      const char *text)
{
	struct type_info ti;
	struct type_info elem;
	struct place array;
	uint64_t i = 0;
	struct err *err = session_eval_expr(env->s, text, &i);

	if (err)
		return err;
	if (is_aggregate(pl->type) && place_as_array(env, pl, &array))
		*pl = array;
	ti = type_info(pl->type);
	if (ti.kind == TYPE_POINTER) {
		err = deref(env, pl);
		if (err)
			return err;
		elem = type_info(pl->type);
		pl->addr += i * elem.size_bytes;
		return NULL;
	}
	if (ti.kind != TYPE_ARRAY || !ti.elem) {
		session_stop_loop(env->s);
		return err_new(ERR_NOTFOUND, "%s is neither array nor pointer",
			       type_name(pl->type));
	}
	if (i >= ti.nelems && ti.nelems > 0)
		out_warn(env->o,
			 "index %" PRIu64 " is outside of array bounds [0 .. "
			 "%" PRIu64 "]",
			 i, ti.nelems - 1);
	elem = type_info(ti.elem);
	*pl = (struct place){.type = ti.elem,
			     .addr = pl->addr + i * elem.size_bytes};
	return NULL;
}

struct err *place_follow(const struct place_env *env, struct place *pl,
			 const char *path)
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
			err = into_index(env, pl, word);
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
		err = into_member(env, pl, word);
	}
	return err;
}

struct err *place_path_at(const struct place_env *env, const struct place *pl,
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
	session_stop_loop(env->s);
	return err_new(ERR_NOTFOUND, "no member of %s at offset 0x%" PRIx64,
		       type_name(pl->type), off);
}
