/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Classes by virtual table.
 *
 * By the C++ ABI of x86-64 an object of a class with virtual functions begins
 * with the address point of a virtual table.  Before that point lie
 *
 *	-16  offset to top    how far it is from here to the start of the whole
 *	                      object: 0 in the table of the whole object, less
 *	                      than 0 in those of further bases
 *	 -8  type information 0 or the symbol _ZTI<class>
 *
 * and the point is inside the symbol _ZTV<class>.  So the symbol alone names the
 * class, and an offset to top that is not 0 tells a base from an object.  The
 * tables a constructor uses while it builds bases are _ZTC: no class's.
 *
 * The class is looked up in the debug information by the name its symbol has in
 * the source; without debug information it is known by name only.
 */
#include <string.h>
#include "graph/typegraph_impl.h"

#define VTABLE_PREFIX "vtable for "
#define ANONYMOUS     "(anonymous namespace)::"
/* an address point is not far from the start of the table it is in */
#define HEADER_BYTES 16

static bool read_u64(const struct target *t, taddr_t at, uint64_t *ret)
{
	_err_free_ struct err *err = target_read_u64(t, at, ret);

	return !err;
}

/* the symbol of the table that a word is the address point of */
static bool find_table(struct types *types, const struct target *t,
		       uint64_t word, struct symbol *ret)
{
	uint64_t to_top = 1;
	uint64_t info = 1;
	struct symbol sym;

	if (word % 8 || !types_object_at(types, word) ||
	    !types_symbol_at(types, word, ret) ||
	    strncmp(ret->name, "_ZTV", 4) != 0 ||
	    word - ret->value < HEADER_BYTES || word - ret->value >= ret->size)
		return false;
	if (!read_u64(t, word - 16, &to_top) || to_top != 0 ||
	    !read_u64(t, word - 8, &info))
		return false;
	return info == 0 ||
	       (types_symbol_at(types, info, &sym) && sym.value == info &&
		strncmp(sym.name, "_ZTI", 4) == 0 &&
		strcmp(sym.name + 4, ret->name + 4) == 0);
}

static char *class_name(const char *symbol)
{
	char *name = types_demangle(symbol);
	size_t n = strlen(VTABLE_PREFIX);
	char *rest = NULL;

	if (strncmp(name, VTABLE_PREFIX, n) != 0)
		return name;
	rest = mem_strdup(name + n);
	mem_free(name);
	return rest;
}

char *vtable_class(struct types *types, const struct target *t, taddr_t addr)
{
	struct symbol sym;
	uint64_t word = 0;

	if (!types || !read_u64(t, addr, &word) ||
	    !find_table(types, t, word, &sym))
		return NULL;
	return class_name(sym.name);
}

/* debug information knows nothing of unnamed name spaces */
static char *source_name(const char *name)
{
	char *s = mem_strdup(name);
	char *at = NULL;

	while ((at = strstr(s, ANONYMOUS)) != NULL)
		memmove(at, at + strlen(ANONYMOUS),
			strlen(at + strlen(ANONYMOUS)) + 1);
	return s;
}

static uint32_t look_up(struct typegraph *g, const struct symbol *sym)
{
	struct types *types = g->heap->types;
	_free_ char *name = class_name(sym->name);
	_free_ char *plain = source_name(name);
	const struct type *type = NULL;
	_err_free_ struct err *err =
		types_lookup(types, sym->object, plain, &type);
	_err_free_ struct err *err2 =
		err ? types_lookup(types, NULL, plain, &type) : NULL;
	struct type_info ti = {.kind = TYPE_VOID};

	if (!err || !err2)
		ti = type_info(type);
	if (ti.kind == TYPE_STRUCT && ti.size_bytes)
		return tg_type_of(g, type);
	return tg_type_named(g, name);
}

uint32_t tg_vtable(struct typegraph *g, uint64_t word)
{
	struct symbol sym;
	bool is_new = false;

	if (word < g->objects_lo || word >= g->objects_hi || word % 8)
		return 0;
	uint64_t *known = hash_put(&g->vtables, word, &is_new);
	uint32_t id = 0;

	if (!is_new)
		return (uint32_t)*known;
	if (find_table(g->heap->types, g->heap->target, word, &sym))
		id = look_up(g, &sym);
	*hash_put(&g->vtables, word, NULL) = id;
	return id;
}

/* does each element of an array begin with the same word? */
static bool is_array(const struct typegraph *g, size_t i, uint32_t id,
		     uint64_t word)
{
	const struct bufset_buf buf = tg_buf(g, i);
	const struct bufset_buf *b = &buf;
	uint64_t size = g->types.v[id].size_bytes;

	for (uint64_t off = size; off + 8 <= b->size_bytes; off += size) {
		uint64_t other = 0;

		if (!tg_word(g, b->addr + off, &other) || other != word)
			return false;
	}
	return true;
}

static void offer_class(struct typegraph *g, size_t i, uint32_t id,
			uint64_t word)
{
	taddr_t addr = tg_buf(g, i).addr;
	bool is_named_only = g->types.v[id].size_bytes == 0;

	switch (is_named_only ? FIT_NEAR : tg_fit(g, id, i)) {
	case FIT_NOT:
		return;
	case FIT_LARGER:
		g->nodes[i].part = id;
		g->nodes[i].part_off = 0;
		tg_offer(g, i, id, REASON_PART, addr);
		return;
	case FIT_ARRAY:
		tg_offer(g, i, id,
			 is_array(g, i, id, word) ? REASON_VTABLE : REASON_PART,
			 addr);
		return;
	case FIT_NEAR:
	case FIT_EXACT:
		tg_offer(g, i, id, REASON_VTABLE, addr);
		return;
	}
}

static void find_objects(struct typegraph *g)
{
	struct types *types = g->heap->types;

	g->objects_lo = UINT64_MAX;
	for (size_t i = 0; types && i < types_nobjects(types); i++) {
		const struct object *o = types_object(types, i);

		if (o->start < g->objects_lo)
			g->objects_lo = o->start;
		if (o->end > g->objects_hi)
			g->objects_hi = o->end;
	}
}

struct err *tg_find_vtables(struct typegraph *g)
{
	struct err *err = NULL;

	find_objects(g);
	for (size_t i = 0; !err && i < g->set->n; i++) {
		uint64_t word = 0;

		err = tg_poll(g, "looking for virtual tables", i, g->set->n);
		if (tg_buf(g, i).size_bytes < 8 ||
		    !tg_word(g, tg_buf(g, i).addr, &word))
			continue;
		uint32_t id = tg_vtable(g, word);

		if (id)
			offer_class(g, i, id, word);
	}
	return err;
}
