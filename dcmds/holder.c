/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What holds a buffer, in words.
 *
 * A word of a root is named by what the debug information and glibc say is there:
 * a variable and its member, a slot of a frame, a key of pthread_setspecific().
 * glibc exports the places of its own members for debuggers (_thread_db_...);
 * the values of a thread's keys are in tables of 32, of which the first is in its
 * descriptor:
 *
 *	descriptor + specific: table[32] of { sequence, value }*
 */
#include "holder.h"

#include "place.h"

#define KEYS        32 /* of a table, and tables */
#define KEY_BYTES   16
#define KEY_VALUE   8
#define NEST_MAX    16
#define DB_SPECIFIC "_thread_db_pthread_specific"

/* ---- members --------------------------------------------------------- */

static bool covers(const struct type_member *m, uint64_t off)
{
	struct type_info ti = type_info(m->type);
	uint64_t start = m->offset_bits / 8;

	if (m->bit_size || m->vbase_bytes || off < start)
		return false;
	return off < start + ti.size_bytes ||
	       (ti.kind == TYPE_ARRAY && ti.nelems == 0);
}

/* the member of an aggregate at *off, which moves into it */
static const struct type *into_member(const struct type *type, uint64_t *off,
				      struct strbuf *sb)
{
	for (size_t i = 0; i < type_nmembers(type); i++) {
		struct type_member m = type_member(type, i);

		if (!covers(&m, *off))
			continue;
		if (m.name[0] && !m.is_base)
			strbuf_printf(sb, ".%s", m.name);
		*off -= m.offset_bits / 8;
		return m.type;
	}
	return NULL;
}

static const struct type *into_element(const struct type_info *ti,
				       uint64_t *off, struct strbuf *sb)
{
	uint64_t size = ti->elem ? type_info(ti->elem).size_bytes : 0;

	if (size == 0 || (ti->nelems && *off / size >= ti->nelems))
		return NULL;
	strbuf_printf(sb, "[%" PRIu64 "]", *off / size);
	*off %= size;
	return ti->elem;
}

/* the type of the innermost part at off; its path is added to sb */
static const struct type *part_at(const struct type *type, uint64_t off,
				  struct strbuf *sb)
{
	for (int depth = 0; type && depth < NEST_MAX; depth++) {
		const struct type *bare = type_resolve(type);
		struct type_info ti = type_info(bare);

		if (ti.kind == TYPE_STRUCT || ti.kind == TYPE_UNION)
			type = into_member(bare, &off, sb);
		else if (ti.kind == TYPE_ARRAY)
			type = into_element(&ti, &off, sb);
		else
			return off == 0 ? type : NULL;
	}
	return NULL;
}

/* what a pointer of a type points at; NULL: void, or no pointer */
static const struct type *pointee(const struct type *type)
{
	struct type_info ti;

	if (!type)
		return NULL;
	ti = type_info(type);
	if (ti.kind != TYPE_POINTER && ti.kind != TYPE_REFERENCE)
		return NULL;
	if (!ti.elem || type_info(ti.elem).kind == TYPE_VOID)
		return NULL;
	return ti.elem;
}

/* adds "name.member" and sets what it points at */
static void add_part(struct strbuf *sb, const char *name,
		     const struct type *type, uint64_t off, struct holder *ret)
{
	size_t before = 0;

	strbuf_puts(sb, name);
	before = sb->n;
	ret->to = pointee(part_at(type, off, sb));
	if (sb->n == before && off)
		strbuf_printf(sb, "+0x%" PRIx64, off);
}

/* ---- roots ----------------------------------------------------------- */

static void data_words(struct session *s, taddr_t at, struct strbuf *sb,
		       struct holder *ret)
{
	struct types *types = session_types(s);
	const struct type *type = NULL;
	struct symbol sym;

	if (!types_symbol_at(types, at, &sym)) {
		_free_ char *name = types_addr_name(types, at);
		const struct object *obj = types_object_at(types, at);

		ret->sure = "data";
		strbuf_printf(sb, "%s%s%s", obj ? "data of " : "",
			      obj ? obj->name : "", obj ? " at " : "");
		strbuf_puts(sb, name);
		return;
	}
	ret->sure = "variable";
	ret->variable = sym.name;
	_free_ char *name = types_addr_name(types, sym.value);

	err_free(types_of_symbol(types, &sym, &type));
	add_part(sb, name, type, at - sym.value, ret);
}

static bool db_word(struct session *s, const char *name, uint32_t *ret_offset)
{
	struct symbol sym;
	uint32_t desc[3] = {0}; /* bits of one, how many, offset */

	if (!types_symbol_named(session_types(s), NULL, name, &sym))
		return false;
	_err_free_ struct err *err =
		target_read(session_target(s), sym.value, desc, sizeof(desc));

	*ret_offset = desc[2];
	return !err && (uint64_t)desc[0] * desc[1] == KEYS * 64;
}

/* the key of pthread_setspecific() whose value is at an address; -1: of none */
static int key_at(struct session *s, taddr_t at, uint32_t *ret_tid)
{
	struct target *t = session_target(s);
	uint32_t specific = 0;

	if (!db_word(s, DB_SPECIFIC, &specific))
		return -1;
	for (size_t i = 0; i < target_nthreads(t); i++) {
		const struct target_thread *th = target_thread(t, i);

		if (!th->has_regs || th->regs_partial)
			continue;
		for (unsigned k = 0; k < KEYS; k++) {
			uint64_t table = 0;

			err_free(target_read_u64(
				t, th->regs.fs_base + specific + k * 8,
				&table));
			if (!table || at - table >= KEYS * KEY_BYTES ||
			    (at - table) % KEY_BYTES != KEY_VALUE)
				continue;
			*ret_tid = th->tid;
			return (int)(k * KEYS + (at - table) / KEY_BYTES);
		}
	}
	return -1;
}

static void tls_words(struct session *s, const struct reach_span *span,
		      taddr_t at, struct strbuf *sb, struct holder *ret)
{
	const struct type *type = NULL;
	struct symbol sym;
	int key = -1;

	ret->tid = span->tid;
	if (at && types_tls_around(session_types(s), at, &sym, &type)) {
		_free_ char *name = types_demangle(sym.name);

		ret->sure = "variable";
		ret->variable = sym.name;
		add_part(sb, name, type, at - sym.value, ret);
		return;
	}
	key = at ? key_at(s, at, &ret->tid) : -1;
	ret->sure = key >= 0 ? "key" : "tls";
	if (key >= 0)
		strbuf_printf(sb, "pthread key %d", key);
	else
		strbuf_puts(sb, span->tid ? "thread descriptor"
					  : "descriptor of a thread that "
					    "ended");
}

/* "head.next of work, frame 2" */
static void slot_words(const struct reach *reach, const struct stack_slot *slot,
		       taddr_t at, struct strbuf *sb, struct holder *ret)
{
	const struct stack_frame *f = &reach->stacks->frames.v[slot->frame];

	ret->tid = f->tid;
	ret->frame = (int)f->number;
	ret->function = slot->function;
	ret->variable = slot->variable;
	ret->sure = slot->is_listed ? "live" : "variable";
	add_part(sb, slot->variable, slot->type,
		 slot->offset_bytes + (at ? at - slot->start : 0), ret);
	strbuf_printf(sb, " of %s, frame %u",
		      slot->function ? slot->function : "?", f->number);
	if (slot->reg)
		strbuf_printf(sb, ", in %s", slot->reg);
}

static void frame_words(struct session *s, const struct stack_frame *f,
			struct strbuf *sb, struct holder *ret)
{
	taddr_t pc = f->is_activation ? f->pc : f->pc - 1;
	_free_ char *name = types_function_name(session_types(s), pc);

	ret->tid = f->tid;
	ret->frame = (int)f->number;
	strbuf_printf(sb, "%s, frame %u", name ? name : "?", f->number);
}

static void stack_words(struct session *s, const struct reach *reach,
			const struct reach_span *span, taddr_t at,
			struct strbuf *sb, struct holder *ret)
{
	const struct stack_slot *slot = stackmap_slot(reach->stacks, at);
	const struct stack_frame *f = stackmap_frame(reach->stacks, at);

	if (slot && slot->variable) {
		slot_words(reach, slot, at, sb, ret);
		return;
	}
	ret->tid = span->tid;
	ret->sure = slot ? "saved" : span->hold == HOLD_DEAD ? "dead" : "frame";
	if (slot) {
		strbuf_printf(sb, "%s saved by ", slot->reg);
		f = &reach->stacks->frames.v[slot->saved_by];
	} else if (span->hold == HOLD_DEAD) {
		strbuf_puts(sb, "dead slot of ");
	}
	if (f)
		frame_words(s, f, sb, ret);
	else
		strbuf_puts(sb, "stack, in no frame");
}

static void register_words(const struct reach *reach,
			   const struct reach_span *span, struct strbuf *sb,
			   struct holder *ret)
{
	const struct root *r = span->root;
	const struct stack_slot *slot =
		stackmap_register(reach->stacks, r->tid, r->what);

	ret->tid = r->tid;
	ret->sure = "register";
	if (slot)
		slot_words(reach, slot, 0, sb, ret);
	else
		strbuf_printf(sb, "register %s", r->what);
}

static void anon_words(struct session *s, taddr_t at, struct strbuf *sb,
		       struct holder *ret)
{
	const struct target_map *map = target_map_at(session_target(s), at);

	ret->sure = "anon";
	strbuf_puts(sb, "mapped memory, nobody explains it");
	if (map)
		strbuf_printf(sb, " (0x%" PRIx64 "+0x%" PRIx64 ")", map->start,
			      at - map->start);
}

void holder_of_root(struct session *s, const struct reach *reach,
		    const struct reach_span *span, taddr_t at,
		    struct holder *ret)
{
	struct strbuf sb = {0};

	*ret = (struct holder){.sure = "?", .frame = -1};
	switch (span->hold) {
	case HOLD_DATA:
		data_words(s, at, &sb, ret);
		break;
	case HOLD_TLS:
		tls_words(s, span, at, &sb, ret);
		break;
	case HOLD_STACK:
	case HOLD_DEAD:
		stack_words(s, reach, span, at, &sb, ret);
		break;
	case HOLD_REGISTER:
		register_words(reach, span, &sb, ret);
		break;
	case HOLD_ANON:
		anon_words(s, at, &sb, ret);
		break;
	case HOLD_NONE:
	case HOLD_PAST:
	case HOLD_LEAK:
	case HOLD_MAX:
		break;
	}
	if (ret->tid && target_nthreads(session_target(s)) > 1)
		strbuf_printf(&sb, " of thread %u", ret->tid);
	ret->text = sb.n ? sb.s : mem_strdup("?");
}

/* ---- buffers --------------------------------------------------------- */

void holder_of_buf(struct session *s, const struct heap_buf *buf,
		   const struct type *type, uint64_t from, taddr_t at,
		   struct holder *ret)
{
	uint64_t off = at - buf->addr;
	uint64_t size = type ? type_info(type).size_bytes : 0;
	struct heap *heap = session_try_heap(s, NULL);
	struct strbuf sb = {0};
	uint32_t tid = 0;
	int key = type ? -1 : key_at(s, at, &tid);

	*ret = (struct holder){.sure = "buffer", .frame = -1};
	if (key >= 0) {
		ret->sure = "key";
		ret->tid = tid;
		strbuf_printf(&sb, "pthread key %d", key);
	} else if (size && off >= from) {
		_free_ char *name = mem_strdup(type_name(type));

		off -= from;
		if (off >= size)
			strbuf_printf(&sb, "(%s)[%" PRIu64 "]", name,
				      off / size);
		add_part(&sb, off >= size ? "" : name, type, off % size, ret);
	} else {
		strbuf_printf(&sb, "%s+0x%" PRIx64,
			      heap ? heap_buf_from(heap, buf) : "?", off);
	}
	ret->text = sb.s;
}

void holder_fini(struct holder *h)
{
	mem_free(h->text);
	h->text = NULL;
}
