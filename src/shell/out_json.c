/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rows as JSON lines.  Addresses are "0x..." strings, since a reader in
 * JavaScript loses the low bits of 64-bit numbers; counts and sizes are numbers;
 * what is not recorded is null.  Text of the target may hold any bytes: what is
 * not UTF-8 becomes U+FFFD.
 */
#include "shell/out.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

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

static json_t *json_text(const char *s)
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

static json_t *json_hex(uint64_t n)
{
	return json_sprintf("0x%" PRIx64, n);
}

/* JSON numbers of jansson are signed; a larger count is damage in the target
 * and stays readable as text */
static json_t *json_count(uint64_t n)
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

	json_object_set_new(obj, "addr", json_hex(addr));
	json_object_set_new(obj, "name", json_text(name));
	return obj;
}

/* functions inlined into each other at one address */
#define INLINES_MAX 32

static json_t *json_text_or_null(const char *s)
{
	return s ? json_text(s) : json_null();
}

/* what is known of an address whatever function it is told to be in */
static json_t *json_frame(const struct out *o, taddr_t pc, const char *function,
			  const char *file, int line)
{
	json_t *obj = json_object();
	const struct object *object = types_object_at(o->types, pc - 1);
	struct symbol sym;

	json_object_set_new(obj, "pc", json_hex(pc));
	json_object_set_new(obj, "function", json_text_or_null(function));
	json_object_set_new(obj, "object",
			    json_text_or_null(object ? object->name : NULL));
	json_object_set_new(obj, "offset",
			    types_symbol_at(o->types, pc - 1, &sym)
				    ? json_count(pc - sym.value)
				    : json_null());
	json_object_set_new(obj, "file", json_text_or_null(file));
	json_object_set_new(obj, "line",
			    file ? json_integer(line) : json_null());
	return obj;
}

/* the frame of an address without a description of what was inlined there */
static json_t *json_plain_frame(const struct out *o, taddr_t pc, bool is_own)
{
	_free_ char *function = NULL;
	const char *file = NULL;
	int line = 0;
	struct symbol sym;

	if (types_symbol_at(o->types, pc - 1, &sym))
		function = types_demangle(sym.name);
	if (is_own || !types_source_line(o->types, pc - 1, &file, &line))
		file = NULL;
	return json_frame(o, pc, function, file, line);
}

/* the frames of a return address (the call is just before it): those of the
 * functions inlined there first.  What the allocator has inlined in malloc() is
 * nobody's business. */
static void json_frames(const struct out *o, taddr_t pc, json_t *list)
{
	struct inline_frame frames[INLINES_MAX];
	const struct object *object = NULL;
	bool is_own = false;
	size_t n = 0;

	if (!o->types) {
		json_array_append_new(list,
				      json_pack("{s:o}", "pc", json_hex(pc)));
		return;
	}
	object = types_object_at(o->types, pc - 1);
	is_own = object && strncmp(object->name, "libkmem", 7) == 0;
	if (!is_own)
		n = types_inlines(o->types, pc - 1, frames, INLINES_MAX);
	for (size_t i = 0; i < n; i++) {
		_free_ char *name = types_demangle(frames[i].name);

		json_array_append_new(list,
				      json_frame(o, pc, name, frames[i].file,
						 frames[i].line));
	}
	if (n == 0)
		json_array_append_new(list, json_plain_frame(o, pc, is_own));
}

static json_t *json_stack(const struct out *o, const struct cell *cell)
{
	json_t *list = json_array();

	for (size_t i = 0; i < cell->npcs; i++)
		json_frames(o, cell->pcs[i], list);
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
		return json_text(cell->str);
	case FILL_STACK:
		return json_stack(o, cell);
	case FILL_NUM:
		break;
	}
	switch (c->type) {
	case CELL_ADDR:
	case CELL_HEX:
		return json_hex(cell->num);
	case CELL_COUNT:
	case CELL_BYTES:
	case CELL_NICE:
	case CELL_TIME:
	case CELL_TEXT:
	case CELL_STACK:
		return json_count(cell->num);
	case CELL_SYM:
		return json_symbol(o, cell->num);
	}
	abort();
}

void out_json_row(struct out *o)
{
	json_t *obj = json_object();

	for (size_t i = 0; i < o->ncells; i++)
		if (o->cols[i].key)
			json_object_set_new(
				obj, o->cols[i].key,
				json_cell(o, &o->cols[i], &o->cells[i]));
	put_object(o, obj);
}

void out_json_text(struct out *o, const char *line)
{
	json_t *obj = json_object();

	json_object_set_new(obj, "text", json_text(line));
	put_object(o, obj);
}

void out_json_value(struct out *o, taddr_t value)
{
	json_t *obj = json_object();

	json_object_set_new(obj, "value", json_hex(value));
	put_object(o, obj);
}
