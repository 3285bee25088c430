/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rows as JSON lines.  Addresses are "0x..." strings, since a reader in
 * JavaScript loses the low bits of 64-bit numbers; counts and sizes are numbers;
 * what is not recorded is null.  Text of the target may hold any bytes: what is
 * not UTF-8 becomes U+FFFD.
 */
#include "shell/out.h"

#include <stdlib.h>
#include <string.h>

#include "shell/out_json.h"

/* length of the UTF-8 sequence at s, 0: none begins here */
static size_t utf8_span(const unsigned char *s)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] < 0x80                   ? 1
		   : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		   : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
		   : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
						 : 0;
	uint32_t code = 0;

	if (n < 2)
		return n;
	code = s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (code < least[n] || code > 0x10ffff ||
	    (code >= 0xd800 && code < 0xe000))
		return 0;
	return n;
}

json_t *out_json_string(const char *s)
{
	struct strbuf sb = {0};
	json_t *ret = NULL;

	while (*s) {
		size_t n = utf8_span((const unsigned char *)s);

		if (n == 0)
			strbuf_puts(&sb, "\xef\xbf\xbd");
		else
			strbuf_add(&sb, s, n);
		s += n ? n : 1;
	}
	ret = json_string(strbuf_str(&sb));
	strbuf_free(&sb);
	return ret;
}

json_t *out_json_hex(uint64_t n)
{
	return json_sprintf("0x%" PRIx64, n);
}

json_t *out_json_count(uint64_t n)
{
	if (n > INT64_MAX)
		return json_sprintf("%" PRIu64, n);
	return json_integer((json_int_t)n);
}

static void put_object(struct out *o, json_t *obj)
{
	char *s = json_dumps(obj, JSON_COMPACT);

	json_decref(obj);
	if (!s)
		return;
	out_put(o, s, strlen(s));
	out_put(o, "\n", 1);
	free(s);
}

static json_t *json_symbol(const struct out *o, taddr_t addr)
{
	_free_ char *name = out_addr_name(o, addr);
	json_t *obj = json_object();

	json_object_set_new(obj, "addr", out_json_hex(addr));
	json_object_set_new(obj, "name", out_json_string(name));
	return obj;
}

static json_t *json_text_or_null(const char *s)
{
	return s ? out_json_string(s) : json_null();
}

struct frames {
	const struct out *o;
	json_t *list;
};

static void add_frame(void *arg, taddr_t pc, const char *function,
		      const char *file, int line)
{
	const struct frames *f = arg;
	struct types *types = f->o->types;
	json_t *obj = json_object();
	const struct object *object = types_object_at(types, pc - 1);
	struct symbol sym;

	json_object_set_new(obj, "pc", out_json_hex(pc));
	json_object_set_new(obj, "function", json_text_or_null(function));
	json_object_set_new(obj, "object",
			    json_text_or_null(object ? object->name : NULL));
	json_object_set_new(obj, "offset",
			    types_symbol_at(types, pc - 1, &sym)
				    ? out_json_count(pc - sym.value)
				    : json_null());
	json_object_set_new(obj, "file", json_text_or_null(file));
	json_object_set_new(obj, "line",
			    file ? json_integer(line) : json_null());
	json_array_append_new(f->list, obj);
}

/* the frames of a return address */
static void json_frames(const struct out *o, taddr_t pc, bool is_starter,
			json_t *list)
{
	struct frames f = {o, list};

	if (o->types && is_starter)
		types_starter(o->types, pc, add_frame, &f);
	else if (o->types)
		types_each_function(o->types, pc, add_frame, &f);
	else
		json_array_append_new(
			list, json_pack("{s:o}", "pc", out_json_hex(pc)));
}

static json_t *json_stack(const struct out *o, const struct cell *cell)
{
	json_t *list = json_array();
	size_t n = o->types ? types_before_starters(o->types, cell->pcs,
						    cell->npcs)
			    : cell->npcs;

	for (size_t i = 0; i < cell->npcs; i++)
		json_frames(o, cell->pcs[i], i >= n, list);
	return list;
}

static json_t *json_cell(const struct out *o, const struct column *c,
			 const struct cell *cell)
{
	switch (cell->fill) {
	case FILL_NONE:
		return json_null();
	case FILL_STR:
		/* a blank stands for an address or a number there is not */
		if (c->type != CELL_TEXT && !cell->str[0])
			return json_null();
		return out_json_string(cell->str);
	case FILL_STACK:
		return json_stack(o, cell);
	case FILL_NUM:
		break;
	}
	switch (c->type) {
	case CELL_ADDR:
	case CELL_HEX:
		return out_json_hex(cell->num);
	case CELL_COUNT:
	case CELL_BYTES:
	case CELL_NICE:
	case CELL_TIME:
	case CELL_TEXT:
	case CELL_STACK:
		return out_json_count(cell->num);
	case CELL_SYM:
		return json_symbol(o, cell->num);
	}
	abort();
}

/* what is printed of several dumps says of which */
static json_t *new_object(const struct out *o)
{
	json_t *obj = json_object();

	if (o->dump)
		json_object_set_new(obj, "dump", out_json_string(o->dump));
	return obj;
}

void out_json_row(struct out *o)
{
	json_t *obj = new_object(o);

	for (size_t i = 0; i < o->ncells; i++)
		if (o->cols[i].key)
			json_object_set_new(
				obj, o->cols[i].key,
				json_cell(o, &o->cols[i], &o->cells[i]));
	put_object(o, obj);
}

void out_json_text(struct out *o, const char *line)
{
	json_t *obj = new_object(o);

	json_object_set_new(obj, "text", out_json_string(line));
	put_object(o, obj);
}

void out_json_value(struct out *o, taddr_t value)
{
	json_t *obj = new_object(o);

	json_object_set_new(obj, "value", out_json_hex(value));
	put_object(o, obj);
}
