/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What was found in a dump, as items that need the dump no more: stacks by
 * name, types, and who keeps whom.
 *
 * The leaks come grouped by stack and cache.  A site that asks for many sizes
 * is in many caches, and which of them changes from run to run; here groups of
 * one stack are one item.
 *
 * Who keeps an indirect leak is found by reading the words of all leaked buffers
 * once more; between items, not buffers, there are few edges.
 */
#include "pmdb/check_items.h"

#include <stdlib.h>
#include <string.h>

#include "graph/typegraph.h"

struct maker {
	const struct check *check;
	struct verdict *v;
	const struct evidence *e;
	size_t *next;      /* group of leaks: the next one of the same stack */
	uint32_t *item_of; /* buffer of the set: 1 + its item */
	bool has_types;    /* types has been asked for */
	struct typegraph *types; /* NULL: there is none */
};

/* a stack by its number; false: it was not recorded */
static bool take_stack(struct maker *m, uint32_t id, struct check_stack *ret)
{
	return frames_stack(&m->v->frames, m->e->heap, id, ret);
}

/* ---- buffers ------------------------------------------------------------- */

/* The type graph, which is only built when there is something to say of a
 * buffer.  A verdict needs no types: what stops them is no trouble. */
static void want_types(struct maker *m)
{
	if (m->has_types || !m->e->leaks ||
	    m->e->leaks->set->n > TYPEGRAPH_UNASKED_MAX)
		return;
	m->has_types = true;
	err_free(typegraph_build(m->e->heap, m->e->leaks->set, &m->types));
	if (m->types)
		err_free(typegraph_group_leaks(m->types, m->e->leaks));
}

/* what a buffer is: by the type graph; without it by a virtual table */
static char *type_of(struct maker *m, taddr_t addr)
{
	struct typed t;

	want_types(m);
	if (!m->types)
		return vtable_class(m->e->types, m->e->target, addr);
	bool is_known = typegraph_type_of(m->types, addr, &t);

	/* of others of its group there may be more or less */
	if (is_known && t.nelems > 1)
		t.nelems = 0;
	return is_known ? typegraph_text(&t) : NULL;
}

static struct item *new_item(struct maker *m, enum item_kind kind)
{
	struct item item = {
		.kind = kind,
		.kept_by = ITEM_NONE,
		.group = ITEM_NONE,
		.freed_bytes = UINT64_MAX,
	};

	VEC_PUSH(&m->v->items, item);
	return &m->v->items.v[m->v->items.n - 1];
}

/* what the record of a buffer of the set says */
static bool audit_of(struct maker *m, size_t buf, struct heap_buf *b,
		     struct heap_audit *a)
{
	struct heap *heap = m->e->heap;

	bufset_get(heap, m->e->leaks->set, buf, b);
	return heap->ops->audit && heap->ops->audit(heap, b, a);
}

/* a group's facts, from the buffer that stands for it */
static struct item *buffers_item(struct maker *m, enum item_kind kind,
				 size_t buf, uint32_t stack)
{
	struct item *item = new_item(m, kind);
	struct heap_audit a = {0};
	struct heap_buf b;

	if (audit_of(m, buf, &b, &a)) {
		item->tid = a.tid;
	}
	item->call = frames_copy(a.kind ? a.kind : "");
	item->addr = b.addr;
	item->cache = frames_copy(heap_buf_from(m->e->heap, &b));
	_free_ char *type = type_of(m, b.addr);

	item->type = frames_copy(type);
	item->has_stack = take_stack(m, stack, &item->stack);
	if (!item->has_stack)
		item->no_stack = heap_no_stack(m->e->heap, b.addr);
	return item;
}

static void leak_items(struct maker *m)
{
	const struct leaks *leaks = m->e->leaks;
	struct hash sites;

	hash_init(&sites);
	/* groups them by type */
	if (leaks_want_types(leaks))
		want_types(m);
	for (size_t i = 0; i < leaks->n; i++) {
		const struct leak *l = &leaks->v[i];
		uint64_t *site =
			l->stack ? hash_put(&sites, l->stack, NULL) : NULL;
		struct item *item = NULL;

		m->next[i] = ITEM_NONE;
		if (site && *site) {
			item = &m->v->items.v[*site - 1];
			m->next[i] = m->next[item->group];
			m->next[item->group] = i;
		} else {
			item = buffers_item(m, ITEM_INDIRECT, l->buf, l->stack);
			item->group = i;
			item->shape = frames_copy(l->shape);
			if (site)
				*site = m->v->items.n;
		}
		/* direct ones come first: the item's facts are of one */
		if (l->is_direct)
			item->kind = ITEM_LEAK;
		item->ncaches++;
		item->nbufs += l->nbufs;
		item->ndirect += l->ndirect;
		item->bytes += l->bytes;
	}
	hash_fini(&sites);
}

static void possible_items(struct maker *m)
{
	const struct bufset *set = m->e->leaks->set;
	struct hash sites;

	hash_init(&sites);
	for (size_t i = 0; i < set->n; i++) {
		struct heap_audit a = {0};
		struct item *item = NULL;
		struct heap_buf b;

		if (set->mark[i] != MARK_INTERIOR)
			continue;
		if (!audit_of(m, i, &b, &a))
			a.stack = 0;
		/* without a stack the cache is the site */
		uint64_t *site = hash_put(
			&sites,
			a.stack ? a.stack : (b.cache ? b.cache : b.arena),
			NULL);

		if (*site) {
			item = &m->v->items.v[*site - 1];
		} else {
			item = buffers_item(m, ITEM_POSSIBLE, i, a.stack);
			item->ncaches = 1;
			*site = m->v->items.n;
		}
		item->nbufs++;
		item->bytes += bufset_at(set, i).size_bytes;
	}
	hash_fini(&sites);
}

static int by_kind_and_bytes(const void *a, const void *b)
{
	const struct item *x = a;
	const struct item *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	if (x->nbufs != y->nbufs)
		return x->nbufs > y->nbufs ? -1 : 1;
	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* ---- who keeps whom ------------------------------------------------------ */

struct edges_arg {
	struct maker *m;
	struct hash seen; /* pairs that are edges already */
	size_t from;
};

static struct err *take_word(void *arg, taddr_t at, uint64_t value)
{
	struct edges_arg *a = arg;
	struct maker *m = a->m;
	size_t buf = bufset_find(m->e->leaks->set, value);
	bool is_new = false;

	(void)at; /* which word it is does not matter */
	if (buf == BUFSET_NONE || m->item_of[buf] == 0 ||
	    m->item_of[buf] - 1 == a->from)
		return NULL;
	struct item_edge edge = {a->from, m->item_of[buf] - 1};

	hash_put(&a->seen, (uint64_t)edge.from << 32 | edge.to, &is_new);
	if (is_new)
		VEC_PUSH(&m->v->edges, edge);
	return NULL;
}

static void each_member(struct maker *m, size_t i,
			void (*fn)(struct maker *, size_t i, size_t buf,
				   void *arg),
			void *arg)
{
	size_t g = m->v->items.v[i].group;

	for (; g != ITEM_NONE; g = m->next[g])
		for (size_t k = 0; k < m->e->leaks->v[g].nbufs; k++)
			fn(m, i, m->e->leaks->v[g].members[k], arg);
}

static void own_member(struct maker *m, size_t i, size_t buf, void *arg)
{
	(void)arg; /* needs none */
	m->item_of[buf] = (uint32_t)i + 1;
}

static void scan_member(struct maker *m, size_t i, size_t buf, void *arg)
{
	struct bufset_buf b = bufset_at(m->e->leaks->set, buf);
	struct edges_arg *a = arg;

	a->from = i;
	/* take_word() never fails */
	err_free(words_scan(m->e->target, b.addr, b.addr + b.size_bytes,
			    take_word, a, NULL));
}

static void find_keepers(struct maker *m)
{
	struct edges_arg a = {.m = m};
	struct verdict *v = m->v;
	bool is_needed = false;

	for (size_t i = 0; i < v->items.n; i++)
		is_needed |= v->items.v[i].kind == ITEM_INDIRECT;
	if (!is_needed)
		return;
	hash_init(&a.seen);
	for (size_t i = 0; i < v->items.n; i++)
		each_member(m, i, own_member, NULL);
	for (size_t i = 0; i < v->items.n; i++)
		each_member(m, i, scan_member, &a);
	hash_fini(&a.seen);
	check_keepers(v);
}

/* ---- damage -------------------------------------------------------------- */

/*
 * The pc of a line as the allocator prints frames: "    object+0xoffset", or
 * "    object`symbol+0xn [0xoffset]".
 */
static bool frame_of(struct maker *m, const char *line, size_t len,
		     taddr_t *ret)
{
	_free_ char *s = mem_strndup(line, len);
	char *name = s + strspn(s, " ");
	char *tick = strchr(name, '`');
	char *number = strstr(name, tick ? " [0x" : "+0x");
	char *end = NULL;

	if (name == s || !number)
		return false;
	uint64_t offset = strtoull(number + (tick ? 4 : 3), &end, 16);

	if (strcmp(end, tick ? "]" : "") != 0)
		return false;
	*(tick ? tick : number) = '\0';
	const struct object *obj = types_object_named(m->e->types, name);

	if (!obj)
		return false;
	*ret = obj->bias + offset;
	return true;
}

/* a stack has ended: the item keeps the first */
static void hand_over(struct item *item, struct check_stack *stack)
{
	if (stack->n && !item->has_stack) {
		item->stack = *stack;
		item->has_stack = true;
	} else {
		mem_free(stack->v);
	}
	*stack = (struct check_stack){0};
}

/* what the allocator printed, with its frames by name; the first stack in it
 * is that of who did it */
static void panic_item(struct maker *m)
{
	const struct heap_health *h = &m->e->heap->health;
	struct item *item = new_item(m, ITEM_PANIC);
	struct check_stack stack = {0};
	struct strbuf sb = {0};
	taddr_t pc = 0;

	item->text = mem_strdup(h->panic ? h->panic : "");
	for (const char *p = item->text; *p;) {
		size_t len = strcspn(p, "\n");
		size_t n = stack.n;

		if (frame_of(m, p, len, &pc)) {
			frames_add(&m->v->frames, pc, &stack);
			for (; n < stack.n; n++)
				check_frame_line(&sb, stack.v[n], (unsigned)n,
						 m->check);
		} else {
			hand_over(item, &stack);
			strbuf_puts(&sb, "  ");
			strbuf_add(&sb, p, len);
			strbuf_putc(&sb, '\n');
		}
		p += len + (p[len] == '\n');
	}
	hand_over(item, &stack);
	item->report = mem_strdup(strbuf_str(&sb));
	strbuf_free(&sb);
}

static void damage_item(struct maker *m, const struct heap_finding *f)
{
	static const char *const did[] = {
		[HEAP_ALLOC] = "allocated",
		[HEAP_FREE] = "freed",
	};
	struct heap *heap = m->e->heap;
	struct item *item = new_item(m, ITEM_DAMAGE);
	struct heap_audit a;
	struct heap_buf b;

	item->text = mem_strdup(f->text);
	item->addr = f->addr;
	item->at = f->at;
	item->is_structure = f->kind == FINDING_STRUCTURE;
	if (f->cache) {
		item->cache = frames_copy(heap_name(heap, f->cache));
		item->ncaches = 1;
	}
	if (item->is_structure || !heap->ops->buf_at(heap, f->addr, &b) ||
	    !heap->ops->audit || !heap->ops->audit(heap, &b, &a) ||
	    (a.what != HEAP_ALLOC && a.what != HEAP_FREE))
		return;
	item->did = did[a.what];
	item->tid = a.tid;
	item->has_stack = take_stack(m, a.stack, &item->stack);
}

static void mismatch_item(struct maker *m, const struct heap_mismatch *f)
{
	struct item *item = new_item(m, ITEM_MISMATCH);

	item->addr = f->free.buf;
	item->nbufs = f->count;
	item->bytes = f->size_bytes;
	item->call = frames_copy(heap_alloc_call(f->alloc.kind));
	item->tid = f->alloc.tid;
	item->has_stack = take_stack(m, f->alloc.stack, &item->stack);
	item->freed_by = frames_copy(heap_free_call(f->free.kind));
	item->freed_tid = f->free.tid;
	item->freed_bytes = f->freed_bytes;
	item->has_freed = take_stack(m, f->free.stack, &item->freed);
}

void check_items(const struct check *check, struct verdict *v,
		 const struct evidence *e)
{
	struct maker m = {.check = check, .v = v, .e = e};
	size_t first = 0;

	m.next = mem_array(e->leaks->n + 1, sizeof(*m.next));
	m.item_of = mem_array(e->leaks->set->n + 1, sizeof(*m.item_of));
	frames_init(&v->frames, check, e->types);
	if (e->heap->health.has_panic)
		panic_item(&m);
	for (size_t i = 0; i < e->findings.n; i++)
		damage_item(&m, &e->findings.v[i]);
	for (size_t i = 0; i < e->mismatches.n; i++)
		mismatch_item(&m, &e->mismatches.v[i]);
	first = v->items.n;
	leak_items(&m);
	if (check->fail_on & 1U << ITEM_POSSIBLE)
		possible_items(&m);
	if (v->items.n > first)
		qsort(v->items.v + first, v->items.n - first,
		      sizeof(*v->items.v), by_kind_and_bytes);
	find_keepers(&m);
	typegraph_free(m.types);
	mem_free(m.next);
	mem_free(m.item_of);
}
