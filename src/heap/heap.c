/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opens the heap of a target: asks every back end, takes those that fit. */
#include "heap/heap.h"
#include <stdarg.h>
#include <string.h>
#include "base/mem.h"
#include "base/strbuf.h"
#include "heap/heap_impl.h"

static const struct heap_ops *const backends[] = {&heap_kmem_ops,
						  &heap_glibc_ops};

/* why: what the back ends say */
static struct err *none_fits(struct target *t, struct types *types,
			     const char *why)
{
	_free_ char *other = heap_other(t, types);
	_free_ char *shape = other ? NULL : heap_shape(t);

	if (other)
		return err_new(ERR_NOSUP, "%s", other);
	return err_new(ERR_NOTFOUND, "%s%s%s", why, shape ? "; " : "",
		       shape ? shape : "");
}

/* what was found when every back end was asked */
struct found {
	struct heap *v[HEAP_PARTS_MAX];
	size_t n;
	struct strbuf why; /* those that were not */
	char *doubt;       /* one is there that cannot be read; NULL none */
};

static struct err *ask(struct found *f, const struct heap_ops *ops,
		       struct target *t, struct types *types)
{
	char *reason = NULL;
	int fits = ops->probe(t, types, &reason);

	if (fits <= 0) {
		strbuf_printf(&f->why, "%s%s", f->why.n ? "; " : "",
			      reason ? reason : "does not fit");
		if (fits < 0 && !f->doubt)
			f->doubt = reason;
		else
			mem_free(reason);
		return NULL;
	}
	mem_free(reason);
	struct heap *heap = mem_zalloc(sizeof(*heap));

	heap->ops = ops;
	heap->target = t;
	heap->types = types;
	struct err *err = ops->open(t, types, heap);

	if (err)
		heap_close(heap);
	else
		f->v[f->n++] = heap;
	return err;
}

static bool is_preloaded(const struct types *types)
{
	for (size_t i = 0; i < types_nobjects(types); i++)
		if (!strncmp(types_object(types, i)->name, "libkmem_preload",
			     strlen("libkmem_preload")))
			return true;
	return false;
}

struct err *heap_open(struct target *t, struct types *types,
		      struct heap **ret_heap)
{
	struct found f = {0};
	struct err *err = NULL;

	for (size_t i = 0; !err && i < sizeof(backends) / sizeof(*backends);
	     i++) {
		/* libkmem is sure of itself; others find glibc's malloc also
		 * where nobody uses it */
		_free_ char *other = i > 0 ? heap_other(t, types) : NULL;

		if (other) {
			/* beside a heap of libkmem there is one that nobody
			 * looks into, unless malloc() is libkmem's */
			if (f.n && !f.doubt && !is_preloaded(types)) {
				f.doubt = other;
				other = NULL;
			}
			break;
		}
		err = ask(&f, backends[i], t, types);
	}
	if (!err && f.n == 0)
		err = none_fits(t, types, strbuf_str(&f.why));
	strbuf_free(&f.why);
	if (err) {
		for (size_t i = 0; i < f.n; i++)
			heap_close(f.v[i]);
		mem_free(f.doubt);
		return err;
	}
	*ret_heap = f.n == 1 ? f.v[0] : heap_many(f.v, f.n);
	if ((*ret_heap)->health.doubt)
		mem_free(f.doubt);
	else
		(*ret_heap)->health.doubt = f.doubt;
	return NULL;
}

void heap_close(struct heap *heap)
{
	if (!heap)
		return;
	if (heap->ops->close)
		heap->ops->close(heap);
	mem_free(heap->health.first_finding);
	mem_free(heap->health.untold);
	mem_free(heap->health.panic);
	mem_free(heap->health.doubt);
	mem_free(heap);
}

void heap_damage(struct heap *heap, const char *fmt, ...)
{
	va_list ap;

	heap->health.nfindings++;
	if (heap->health.untold)
		return;
	va_start(ap, fmt);
	heap->health.untold = mem_vprintf(fmt, ap);
	va_end(ap);
	if (!heap->health.first_finding)
		heap->health.first_finding = mem_strdup(heap->health.untold);
}

static bool has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* a frame of the allocator itself: of its object, or, in a static program, a
 * function that has its name */
static bool is_own_frame(struct types *types, taddr_t pc)
{
	const struct object *obj = types_object_at(types, pc);
	struct symbol sym;

	if (!obj)
		return false;
	if (has_prefix(obj->name, "libkmem"))
		return true;
	return types_symbol_at(types, pc - 1, &sym) &&
	       (has_prefix(sym.name, "kmem_") || has_prefix(sym.name, "vmem_"));
}

taddr_t heap_caller(struct heap *heap, const struct heap_stack *stack)
{
	for (unsigned i = 0; i < stack->depth; i++)
		if (!heap->types || !is_own_frame(heap->types, stack->pc[i]))
			return stack->pc[i];
	return 0;
}

void heap_stack_of(struct heap *heap, uint32_t id, struct heap_stack *ret)
{
	if (id == 0 || !heap->ops->stack || !heap->ops->stack(heap, id, ret))
		ret->depth = 0;
}

taddr_t heap_caller_of(struct heap *heap, uint32_t stack)
{
	struct heap_stack frames;

	heap_stack_of(heap, stack, &frames);
	return heap_caller(heap, &frames);
}

struct tree {
	VEC(struct heap_arena) list;
};

static struct err *keep_arena(void *arg, const struct heap_arena *a)
{
	struct tree *tree = arg;

	VEC_PUSH(&tree->list, *a);
	return NULL;
}

/* bounded by depth: a back end gives arenas in a ring of sources a depth that
 * no source of theirs is one short of */
static struct err *each_below(const struct tree *tree, taddr_t source,
			      int depth, heap_arena_fn *fn, void *arg)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < tree->list.n; i++) {
		const struct heap_arena *a = &tree->list.v[i];

		if (a->depth != depth || (depth && a->source != source))
			continue;
		err = fn(arg, a);
		if (!err)
			err = each_below(tree, a->addr, depth + 1, fn, arg);
	}
	return err;
}

struct err *heap_arenas_tree(struct heap *heap, heap_arena_fn *fn, void *arg)
{
	struct tree tree = {0};

	if (!heap->ops->arenas)
		return err_new(ERR_NOSUP, "%s heap has no arenas",
			       heap->ops->name);
	struct err *err = heap->ops->arenas(heap, keep_arena, &tree);

	if (!err)
		err = each_below(&tree, 0, 0, fn, arg);
	VEC_FREE(&tree.list);
	return err;
}

struct name_arg {
	taddr_t addr;
	const char *name;
};

static struct err *match_cache(void *arg, const struct heap_cache *c)
{
	struct name_arg *n = arg;

	if (c->addr == n->addr)
		n->name = c->name;
	return NULL;
}

static struct err *match_arena(void *arg, const struct heap_arena *a)
{
	struct name_arg *n = arg;

	if (a->addr == n->addr)
		n->name = a->name;
	return NULL;
}

/* kinds whose calls have other names */
static const struct {
	const char *kind, *alloc, *free;
} calls[] = {
	{"kmem", "kmem_alloc", "kmem_free"},
	{"cache", "kmem_cache_alloc", "kmem_cache_free"},
	{"malloc", "malloc", "free"},
	{"memalign", "memalign", "free"},
	{"realloc", "realloc", "realloc"},
	{"new", "operator new", "operator delete"},
	{"new[]", "operator new[]", "operator delete[]"},
	{"new_aligned", "aligned operator new", "aligned operator delete"},
	{"new_aligned[]", "aligned operator new[]",
	 "aligned operator delete[]"},
};

const char *heap_alloc_call(const char *kind)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (strcmp(calls[i].kind, kind) == 0)
			return calls[i].alloc;
	return "?";
}

const char *heap_free_call(const char *kind)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (strcmp(calls[i].kind, kind) == 0)
			return calls[i].free;
	return "?";
}

const char *heap_state_word(enum buf_state state)
{
	if (state == BUF_UNKNOWN)
		return "unknown";
	return state == BUF_ALLOCATED ? "allocated" : "freed";
}

const char *heap_name(struct heap *heap, taddr_t addr)
{
	struct name_arg n = {addr, NULL};

	err_free(heap->ops->caches(heap, match_cache, &n));
	if (!n.name && heap->ops->arenas)
		err_free(heap->ops->arenas(heap, match_arena, &n));
	return n.name ? n.name : "?";
}

const char *heap_buf_from(struct heap *heap, const struct heap_buf *b)
{
	return heap_name(heap, b->kind == BUF_OVERSIZE ? b->arena : b->cache);
}

char *heap_no_stack(struct heap *heap, taddr_t buf)
{
	struct heap *part =
		heap->ops->part_of ? heap->ops->part_of(heap, buf) : heap;

	return part && !part->ops->audit
		       ? mem_printf("%s heap records no callers",
				    part->ops->name)
		       : mem_strdup("auditing was off");
}
