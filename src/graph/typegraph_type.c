/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The types of a type graph: one number for all copies of a type, the pointers
 * each type has, and which types are parts of which.
 *
 *   slots      A type is followed through a flat list of its pointers, members
 *              of members and elements of arrays among them.  It is made when a
 *              type is first met in a buffer.
 *   links      A slot within a member L that points at an L again is a link:
 *              what it points at is (probably) the L of another such struct, at
 *              the same place.  So intrusive lists and trees are followed, and
 *              the nodes of C++ containers, where L is a base.
 *   containers libstdc++ declares the pointers of its lists, trees and hash
 *              tables as pointers to the base of a node; which node it is, the
 *              container's own name tells.
 *   records    every struct with a name by its size: asked for a struct of that
 *              size with a given part (the whole around a list's link), and
 *              whether there is another that begins with this one.
 */
#include <string.h>
#include "base/strbuf.h"
#include "graph/typegraph_impl.h"

/* ---- numbers ------------------------------------------------------------- */

static uint32_t add_type(struct typegraph *g, const struct type *type)
{
	struct tg_type t = {.type = type};

	VEC_PUSH(&g->types, t);
	return (uint32_t)(g->types.n - 1);
}

/* steps: left of those that hostile debug information (a struct that is in
 * itself, many times) can make us take */
static bool is_virtual(const struct type *type, int depth, size_t *steps)
{
	size_t n = type_nmembers(type);

	for (size_t i = 0; i < n && depth < TG_DEPTH_MAX && *steps; i++) {
		struct type_member m = type_member(type, i);

		(*steps)--;
		if (m.offset_bits != 0 || m.vbase_bytes)
			continue;
		if (!m.is_base && strncmp(m.name, "_vptr", 5) == 0)
			return true;
		if (m.is_base && is_virtual(m.type, depth + 1, steps))
			return true;
	}
	return false;
}

static uint32_t new_type(struct typegraph *g, const struct type *type)
{
	struct type_info ti = type_info(type);
	uint64_t *same = hash_put(&g->by_identity, type_identity(type), NULL);

	if (*same)
		return (uint32_t)*same;
	if (g->types.n >= TG_TYPES_MAX)
		return 0;
	uint32_t id = add_type(g, type);
	struct tg_type *t = &g->types.v[id];

	size_t steps = TG_STEPS_MAX;

	*same = id;
	t->size_bytes = ti.size_bytes;
	t->is_record = ti.kind == TYPE_STRUCT || ti.kind == TYPE_UNION;
	t->is_poly = t->is_record && is_virtual(type, 0, &steps);
	return id;
}

uint32_t tg_type_of(struct typegraph *g, const struct type *type)
{
	struct type_info ti;
	bool is_new = false;

	if (!type)
		return 0;
	uint64_t *known = hash_put(&g->by_type, (uintptr_t)type, &is_new);
	uint32_t id = 0;

	if (!is_new)
		return (uint32_t)*known;
	ti = type_info(type);
	if (ti.kind != TYPE_VOID && ti.kind != TYPE_FUNCTION)
		id = new_type(g, type);
	*hash_put(&g->by_type, (uintptr_t)type, NULL) = id;
	return id;
}

uint32_t tg_type_named(struct typegraph *g, const char *name)
{
	uint64_t *same = hash_put(&g->by_identity,
				  hash_bytes(name, strlen(name), 1), NULL);

	if (*same)
		return (uint32_t)*same;
	if (g->types.n >= TG_TYPES_MAX)
		return 0;
	uint32_t id = add_type(g, NULL);

	*same = id;
	g->types.v[id].name = mem_strdup(name);
	g->types.v[id].is_record = true;
	g->types.v[id].is_poly = true;
	g->types.v[id].has_slots = true;
	return id;
}

const char *tg_type_name(struct typegraph *g, uint32_t id)
{
	struct tg_type *t = &g->types.v[id];
	const struct type *whole = NULL;

	if (t->name || !t->type)
		return t->name;
	/* a struct without a tag is called by its typedef */
	whole = type_resolve(t->type);
	t->name = mem_strdup(type_name(whole));
	if (strstr(t->name, "{...}")) {
		mem_free(t->name);
		t->name = mem_strdup(
			type_name(t->type) +
			(strncmp(type_name(t->type), "const ", 6) ? 0 : 6));
	}
	return t->name;
}

/* ---- slots --------------------------------------------------------------- */

struct flat {
	struct typegraph *g;
	uint32_t id;
	VEC(struct tg_slot) slots;
	/* the members around the one at hand, outermost first */
	uint32_t around[TG_DEPTH_MAX];
	uint32_t around_off[TG_DEPTH_MAX];
	/* libstdc++: pointers to node_base are pointers to node */
	uint32_t node_base, node;
	uint64_t fam_off;
	uint32_t fam_elem;
	size_t steps; /* left */
};

static void flatten(struct flat *f, const struct type *type, uint64_t off,
		    int depth, bool is_union);

static void add_slot(struct flat *f, const struct type_info *ti, uint64_t off,
		     int depth, bool is_union)
{
	struct tg_slot s = {
		.off = (uint32_t)off,
		.to = tg_type_of(f->g, ti->elem),
		.link = TG_NO_LINK,
		.is_union = is_union,
	};

	if (f->slots.n >= TG_SLOTS_MAX || off > UINT32_MAX - 8)
		return;
	if (s.to && s.to == f->node_base) {
		s.to = f->node;
	} else if (s.to) {
		for (int i = depth; i-- > 1 && s.link == TG_NO_LINK;)
			if (f->around[i] == s.to)
				s.link = f->around_off[i];
	}
	/* a pointer to code, or to nothing in particular */
	if (s.to || !ti->elem)
		VEC_PUSH(&f->slots, s);
}

static void flatten_array(struct flat *f, const struct type *type, uint64_t off,
			  int depth, bool is_union)
{
	struct type_info ti = type_info(type);
	struct type_info elem = type_info(ti.elem);

	if (ti.nelems == 0 && depth > 0) {
		f->fam_off = off;
		f->fam_elem = tg_type_of(f->g, ti.elem);
	}
	if (elem.kind == TYPE_INT || elem.kind == TYPE_FLOAT ||
	    elem.kind == TYPE_ENUM || elem.size_bytes == 0)
		return;
	for (uint64_t i = 0; i < ti.nelems && f->slots.n < TG_SLOTS_MAX; i++) {
		size_t before = f->slots.n;

		flatten(f, ti.elem, off + i * elem.size_bytes, depth, is_union);
		if (f->slots.n == before)
			return; /* there is none in any */
	}
}

/* the text of the n-th argument of a template, "Name<a, b<c> >" */
static char *template_arg(const char *name, unsigned n)
{
	const char *p = strchr(name, '<');
	const char *start = p ? p + 1 : NULL;
	int depth = 0;

	for (p = start; p && *p; p++) {
		if (*p == '<' || *p == '(')
			depth++;
		bool is_end = depth == 0 && (*p == ',' || *p == '>');

		if (*p == '>' || *p == ')')
			depth--;
		if (!is_end)
			continue;
		if (n-- == 0) {
			size_t len = (size_t)(p - start);

			while (len && start[len - 1] == ' ')
				len--;
			return mem_strndup(start, len);
		}
		start = p + 1 + (p[1] == ' ');
	}
	return NULL;
}

static const struct {
	const char *container, *base, *node, *tail;
	unsigned arg;
} containers[] = {
	{"std::_Rb_tree<", "std::_Rb_tree_node_base", "std::_Rb_tree_node<", "",
	 1},
	{"std::__cxx11::_List_base<", "std::__detail::_List_node_base",
	 "std::_List_node<", "", 0},
	{"std::_Fwd_list_base<", "std::_Fwd_list_node_base",
	 "std::_Fwd_list_node<", "", 0},
	{"std::_Hashtable<", "std::__detail::_Hash_node_base",
	 "std::__detail::_Hash_node<", ", false", 1},
	{"std::_Hashtable<", "std::__detail::_Hash_node_base",
	 "std::__detail::_Hash_node<", ", true", 1},
};

/* sets what the nodes of a container are, when type is one */
static void enter_container(struct flat *f, const struct type *type)
{
	struct types *types = f->g->heap->types;
	const char *name = type_name(type_resolve(type));

	if (strncmp(name, "std::_", 6) != 0)
		return;
	for (size_t i = 0; i < sizeof(containers) / sizeof(*containers); i++) {
		const char *c = containers[i].container;
		_free_ char *arg = NULL;
		_free_ char *node = NULL;
		const struct type *base_type = NULL;
		const struct type *node_type = NULL;

		if (strncmp(name, c, strlen(c)) != 0)
			continue;
		arg = template_arg(name, containers[i].arg);
		if (!arg || !arg[0])
			continue;
		node = mem_printf(
			"%s%s%s%s", containers[i].node, arg, containers[i].tail,
			!containers[i].tail[0] && arg[strlen(arg) - 1] == '>'
				? " >"
				: ">");
		_err_free_ struct err *err =
			types_lookup(types, NULL, node, &node_type);
		_err_free_ struct err *err2 = types_lookup(
			types, NULL, containers[i].base, &base_type);

		if (err || err2)
			continue;
		f->node_base = tg_type_of(f->g, base_type);
		f->node = tg_type_of(f->g, node_type);
		return;
	}
}

static void flatten_members(struct flat *f, const struct type *type,
			    uint64_t off, int depth, bool is_union)
{
	size_t n = type_nmembers(type);

	for (size_t i = 0; i < n && f->slots.n < TG_SLOTS_MAX; i++) {
		struct type_member m = type_member(type, i);

		if (m.bit_size || m.vbase_bytes || m.offset_bits % 8)
			continue;
		flatten(f, m.type, off + m.offset_bits / 8, depth, is_union);
	}
}

static void flatten(struct flat *f, const struct type *type, uint64_t off,
		    int depth, bool is_union)
{
	struct type_info ti = type_info(type);
	uint32_t node_base = f->node_base;
	uint32_t node = f->node;

	if (depth >= TG_DEPTH_MAX || f->steps == 0)
		return;
	f->steps--;
	switch (ti.kind) {
	case TYPE_POINTER:
	case TYPE_REFERENCE:
		add_slot(f, &ti, off, depth, is_union);
		break;
	case TYPE_ARRAY:
		flatten_array(f, type, off, depth, is_union);
		break;
	case TYPE_STRUCT:
	case TYPE_UNION:
		f->around[depth] = tg_type_of(f->g, type);
		f->around_off[depth] = (uint32_t)off;
		if (ti.kind == TYPE_STRUCT)
			enter_container(f, type);
		flatten_members(f, type, off, depth + 1,
				is_union || ti.kind == TYPE_UNION);
		f->node_base = node_base;
		f->node = node;
		break;
	case TYPE_VOID:
	case TYPE_INT:
	case TYPE_FLOAT:
	case TYPE_ENUM:
	case TYPE_FUNCTION:
	case TYPE_FORWARD:
		break;
	}
}

void tg_type_slots(struct typegraph *g, uint32_t id)
{
	struct flat f = {.g = g, .id = id, .steps = TG_STEPS_MAX};

	if (g->types.v[id].has_slots)
		return;
	g->types.v[id].has_slots = true;
	if (!g->types.v[id].type)
		return;
	flatten(&f, g->types.v[id].type, 0, 0, false);
	/* the table may have moved */
	struct tg_type *t = &g->types.v[id];

	t->slots.v = f.slots.v;
	t->slots.n = f.slots.n;
	t->fam_off = f.fam_off;
	t->fam_elem = f.fam_elem;
}

/* ---- parts --------------------------------------------------------------- */

static bool has_part(struct typegraph *g, const struct type *outer,
		     uint64_t off, uint32_t inner, int depth)
{
	struct type_info ti = type_info(outer);

	if (off == 0 && tg_type_of(g, outer) == inner)
		return true;
	if (off >= ti.size_bytes || depth >= TG_DEPTH_MAX || g->nsteps == 0)
		return false;
	g->nsteps--;
	if (ti.kind == TYPE_ARRAY) {
		uint64_t size = type_info(ti.elem).size_bytes;

		return size &&
		       has_part(g, ti.elem, off % size, inner, depth + 1);
	}
	size_t n = type_nmembers(outer);

	for (size_t i = 0; i < n; i++) {
		struct type_member m = type_member(outer, i);
		uint64_t at = m.offset_bits / 8;

		if (!m.bit_size && !m.vbase_bytes && at <= off &&
		    has_part(g, m.type, off - at, inner, depth + 1))
			return true;
	}
	return false;
}

bool tg_has_part(struct typegraph *g, uint32_t outer, uint64_t off,
		 uint32_t inner)
{
	const uint64_t key[3] = {outer, off, inner};
	uint64_t hash = hash_bytes(key, sizeof(key), 0);
	const uint64_t *known = hash_get(&g->subobjects, hash);

	if (outer == inner && off == 0)
		return true;
	if (known)
		return *known == 2;
	g->nsteps = TG_STEPS_MAX;
	bool is_part = g->types.v[outer].type &&
		       has_part(g, g->types.v[outer].type, off, inner, 0);

	*hash_put(&g->subobjects, hash, NULL) = is_part ? 2 : 1;
	return is_part;
}

static struct err *add_record(void *arg, const struct type *type)
{
	struct typegraph *g = arg;

	if (g->records.n >= TG_RECORDS_MAX)
		return err_new(ERR_STOP, "enough");
	if (type_info(type).size_bytes)
		VEC_PUSH(&g->records, type);
	return NULL;
}

static void find_records(struct typegraph *g)
{
	if (g->has_records)
		return;
	g->has_records = true;
	/* what was found until then is used */
	err_free(types_records(g->heap->types, add_record, g));
	g->records_next = mem_array(g->records.n + 1, sizeof(*g->records_next));
	for (size_t i = 0; i < g->records.n; i++) {
		uint64_t *head =
			hash_put(&g->by_size,
				 type_info(g->records.v[i]).size_bytes, NULL);

		g->records_next[i] = (uint32_t)*head;
		*head = i + 1;
	}
}

uint32_t tg_whole_of(struct typegraph *g, uint64_t size, uint64_t off,
		     uint32_t part)
{
	uint32_t found = 0;

	find_records(g);
	const uint64_t *head = hash_get(&g->by_size, size);

	for (size_t i = head ? *head : 0; i; i = g->records_next[i - 1]) {
		uint32_t id = tg_type_of(g, g->records.v[i - 1]);

		if (id == 0 || id == found || id == part ||
		    !tg_has_part(g, id, off, part))
			continue;
		/* the outer of two of which one is all of the other */
		if (found && tg_has_part(g, id, 0, found))
			found = 0;
		else if (found && tg_has_part(g, found, 0, id))
			continue;
		if (found)
			return 0;
		found = id;
	}
	return found;
}

bool tg_has_double(struct typegraph *g, uint32_t id)
{
	if (g->types.v[id].has_checked_double)
		return g->types.v[id].has_double;
	bool has = false;

	find_records(g);
	const uint64_t *head = hash_get(&g->by_size, g->types.v[id].size_bytes);

	for (size_t i = head ? *head : 0; i && !has;
	     i = g->records_next[i - 1]) {
		uint32_t other = tg_type_of(g, g->records.v[i - 1]);

		has = other && other != id && tg_has_part(g, other, 0, id);
	}
	g->types.v[id].has_checked_double = true;
	g->types.v[id].has_double = has;
	return has;
}

/* ---- fitting ------------------------------------------------------------- */

/* may a buffer of that size be what one of fewer bytes was rounded to? */
static bool is_near(uint64_t size, uint64_t buffer)
{
	return buffer >= size &&
	       buffer - size <= (size / 4 > 24 ? size / 4 : 24);
}

enum tg_fit tg_fit(const struct typegraph *g, uint32_t type, size_t node)
{
	const struct tg_type *t = &g->types.v[type];
	uint64_t buffer = tg_buf(g, node).size_bytes;
	uint64_t size = t->size_bytes;

	if (size == 0)
		return FIT_LARGER;
	if (buffer < size)
		return FIT_NOT;
	if (!(g->nodes[node].flags & NODE_EXACT)) {
		if (is_near(size, buffer) && t->is_record)
			return FIT_NEAR;
		return buffer % size == 0 || !t->is_record ? FIT_ARRAY
							   : FIT_LARGER;
	}
	if (buffer == size)
		return FIT_EXACT;
	if (t->fam_elem) {
		uint64_t elem = g->types.v[t->fam_elem].size_bytes;

		return elem && (buffer - t->fam_off) % elem == 0 ? FIT_NEAR
								 : FIT_LARGER;
	}
	return buffer % size == 0 ? FIT_ARRAY : FIT_LARGER;
}
