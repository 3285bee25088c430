/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Arenas and segments of libkmem.
 *
 * All boundary tags of an arena hang in one ring through vm_seg0, spans before
 * the segments that lie in them.  A tag's vs_aprev must name the tag we came
 * from: that ends a ring tied in the wrong place at once; the loop check ends
 * the others.
 *
 * Which allocated segments are buffers of the program: those of the arena for
 * large requests, and those of arenas the program made itself, unless a cache
 * or another arena draws on that one (then its segments are slabs or spans).
 */
#include <stdlib.h>
#include <string.h>
#include "base/interrupt.h"
#include "heap/heap_kmem_impl.h"

#define ARENAS_MAX 10000
#define RED_ZONE   128
/* no stack of the library's is larger */
#define ALTSTACK_MAX (64u << 20)

struct kmem_arena *kmem_arena_at(const struct kmem_heap *kh, taddr_t addr)
{
	for (size_t i = 0; i < kh->arenas.n; i++)
		if (kh->arenas.v[i].pub.addr == addr)
			return &kh->arenas.v[i];
	return NULL;
}

static char *arena_name(const struct kmem_heap *kh, const void *raw)
{
	const struct view_row *row = &kh->names.row[F_vmem_vm_name];
	size_t n = row->size_bytes < KMEM_NAME_MAX ? row->size_bytes
						   : KMEM_NAME_MAX;
	const char *p = (const char *)raw + row->offset_bytes;
	char *name = mem_strndup(p, strnlen(p, n));

	for (char *c = name; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			*c = '?';
	return name;
}

static void read_arena(struct kmem_heap *kh, taddr_t addr, const void *raw,
		       uint64_t nown)
{
	struct kmem_arena a = {.name = arena_name(kh, raw)};
	const unsigned char *stat = (const unsigned char *)raw;

	a.pub = (struct heap_arena){
		.addr = addr,
		.name = a.name,
		.source = kmem_get(kh, F_vmem_vm_source, raw),
		.quantum_bytes = kmem_get(kh, F_vmem_vm_quantum, raw),
		.cflags = (uint32_t)kmem_get(kh, F_vmem_vm_cflags, raw),
	};
	a.pub.is_identifier = a.pub.cflags & kh->num.vmc_identifier;
	/* a library that does not say which are its own has no others */
	a.pub.is_internal =
		nown == 0 || kmem_get(kh, F_vmem_vm_id, raw) <= nown;
	if (kh->names.row[F_vmem_vm_kstat].is_bound) {
		stat += kh->names.row[F_vmem_vm_kstat].offset_bytes;
#define K(f) kmem_get(kh, F_vmem_kstat_vk_##f, stat)
		a.pub.inuse_bytes = K(mem_inuse);
		a.pub.total_bytes = K(mem_total);
		a.pub.import_bytes = K(mem_import);
		a.pub.nalloc = K(alloc);
		a.pub.nfail = K(fail);
#undef K
	}
	a.is_root = addr == kmem_global(kh, S_vmem_heap, 8);
	a.is_oversize = addr == kmem_global(kh, S_kmem_oversize_arena, 8);
	VEC_PUSH(&kh->arenas, a);
}

/* depth of each arena below its root; a ring of sources ends at 64 */
static void find_depths(struct kmem_heap *kh)
{
	for (size_t i = 0; i < kh->arenas.n; i++) {
		const struct kmem_arena *a = &kh->arenas.v[i];
		int depth = 0;

		while (a->pub.source && depth < KMEM_DEPTH_MAX) {
			struct kmem_arena *up =
				kmem_arena_at(kh, a->pub.source);

			if (!up)
				break;
			up->is_source = true;
			a = up;
			depth++;
		}
		kh->arenas.v[i].pub.depth = depth;
	}
}

/*
 * The root symbols say which arenas the program's buffers come from: one that
 * names another arena, or none, would hide them all.  Each must name the
 * library's own arena of its name, and the library's own are the first made.
 */
static void check_roots(struct kmem_heap *kh)
{
	static const struct {
		enum kmem_sym sym;
		const char *symbol, *arena;
	} roots[] = {
		{S_vmem_heap, "vmem_heap", "heap"},
		{S_kmem_default_arena, "kmem_default_arena", "kmem_default"},
		{S_kmem_oversize_arena, "kmem_oversize_arena", "kmem_oversize"},
		{S_kmem_firewall_arena, "kmem_firewall_arena", "kmem_firewall"},
	};
	uint64_t nown = kmem_global(kh, S_vmem_nown, 4);
	uint64_t nfound = 0;

	for (size_t i = 0; i < kh->arenas.n; i++)
		nfound += kh->arenas.v[i].pub.is_internal;
	if (kh->names.sym[S_vmem_nown] && nfound != nown)
		kmem_damage(kh, kh->names.sym[S_vmem_nown], 0,
			    "vmem_nown says that %" PRIu64
			    " arenas are the library's, but %" PRIu64 " are",
			    nown, nfound);
	for (size_t r = 0; r < sizeof(roots) / sizeof(*roots); r++) {
		taddr_t at = kmem_global(kh, roots[r].sym, 8);
		taddr_t want = 0;

		for (size_t i = 0; i < kh->arenas.n; i++)
			if (kh->arenas.v[i].pub.is_internal &&
			    strcmp(kh->arenas.v[i].name, roots[r].arena) == 0)
				want = kh->arenas.v[i].pub.addr;
		if (kh->names.sym[roots[r].sym] && at != want)
			kmem_damage(kh, kh->names.sym[roots[r].sym], 0,
				    "%s is 0x%" PRIx64
				    ", arena %s is at 0x%" PRIx64,
				    roots[r].symbol, at, roots[r].arena, want);
	}
}

struct err *kmem_load_arenas(struct kmem_heap *kh)
{
	taddr_t at = kmem_global(kh, S_vmem_list, 8);
	uint64_t nown = kmem_global(kh, S_vmem_nown, 4);
	taddr_t prev = 0;
	struct err *err = NULL;
	struct hash seen;

	hash_init(&seen);
	while (!err && at) {
		const void *raw = kmem_peek(kh, K_vmem, at);
		bool is_new = false;

		hash_put(&seen, at, &is_new);
		if (!raw || !is_new || kh->arenas.n == ARENAS_MAX) {
			kmem_damage(kh, prev, 0,
				    "arena 0x%" PRIx64 ": next arena 0x%" PRIx64
				    " %s",
				    prev, at,
				    raw ? "is in the list already"
					: "is not in the dump");
			break;
		}
		prev = at;
		at = kmem_get(kh, F_vmem_vm_next, raw);
		read_arena(kh, prev, raw, nown);
		err = interrupt_check();
	}
	hash_fini(&seen);
	find_depths(kh);
	if (!err)
		check_roots(kh);
	return err;
}

struct err *kmem_arenas(struct heap *heap, heap_arena_fn *fn, void *arg)
{
	struct kmem_heap *kh = heap->priv;
	struct err *err = kmem_load(kh);

	for (size_t i = 0; !err && i < kh->arenas.n; i++)
		err = fn(arg, &kh->arenas.v[i].pub);
	return err;
}

/* ---- segments -------------------------------------------------------- */

static bool seg_type(const struct kmem_heap *kh, uint64_t type,
		     enum seg_type *ret)
{
	const struct kmem_numbers *n = &kh->num;

	if (type == n->seg_alloc)
		*ret = SEG_ALLOC;
	else if (type == n->seg_free)
		*ret = SEG_FREE;
	else if (type == n->seg_span)
		*ret = SEG_SPAN;
	else if (type == n->seg_rotor)
		*ret = SEG_ROTOR;
	else if (type == n->seg_walker)
		*ret = SEG_WALKER;
	else
		return false;
	return true;
}

/* is a member of a boundary tag recorded in this process? */
static bool has_member(const struct kmem_heap *kh, enum kmem_field f)
{
	const struct view_row *row = &kh->names.row[f];

	return row->is_bound &&
	       row->offset_bytes + row->size_bytes <= kh->seg_bytes;
}

static bool read_segment(struct kmem_heap *kh, taddr_t addr, const void *raw,
			 struct heap_segment *ret)
{
	*ret = (struct heap_segment){
		.addr = addr,
		.start = kmem_get(kh, F_vmem_seg_vs_start, raw),
		.end = kmem_get(kh, F_vmem_seg_vs_end, raw),
		.is_imported = kmem_get(kh, F_vmem_seg_vs_import, raw),
	};
	if (has_member(kh, F_vmem_seg_vs_thread))
		ret->tid = (uint32_t)kmem_get(kh, F_vmem_seg_vs_thread, raw);
	if (has_member(kh, F_vmem_seg_vs_stack))
		ret->stack = (uint32_t)kmem_get(kh, F_vmem_seg_vs_stack, raw);
	if (has_member(kh, F_vmem_seg_vs_timestamp))
		ret->stamp_ns = kmem_get(kh, F_vmem_seg_vs_timestamp, raw);
	return seg_type(kh, kmem_get(kh, F_vmem_seg_vs_type, raw), &ret->type);
}

/* the ring from vm_seg0 on, that one not included */
static struct err *walk_ring(struct kmem_heap *kh, const struct kmem_arena *a,
			     unsigned types, heap_segment_fn *fn, void *arg)
{
	taddr_t head = a->pub.addr + kh->names.row[F_vmem_vm_seg0].offset_bytes;
	bool has_prev = kh->names.row[F_vmem_seg_vs_aprev].is_bound;
	taddr_t prev = head;
	taddr_t at = kmem_get_at(kh, F_vmem_seg_vs_anext, head);
	struct kmem_loop loop = {0};
	struct err *err = NULL;

	for (unsigned n = 0; !err && at != head; n++) {
		const void *raw = kmem_peek(kh, K_vmem_seg, at);
		struct heap_segment s = {0};
		const char *what = NULL;

		if (!raw)
			what = "is not in the dump";
		else if (has_prev &&
			 kmem_get(kh, F_vmem_seg_vs_aprev, raw) != prev)
			what = "does not point back";
		else if (kmem_loop_seen(&loop, at))
			what = "is in the list already";
		else if (!read_segment(kh, at, raw, &s) || s.end < s.start)
			what = "is no boundary tag";
		if (what) {
			kmem_damage(kh, a->pub.addr, 0,
				    "arena %s: segment 0x%" PRIx64
				    " after 0x%" PRIx64 " %s",
				    a->name, at, prev, what);
			return NULL;
		}
		s.arena = a->pub.addr;
		s.is_identifier = a->pub.is_identifier;
		prev = at;
		at = kmem_get(kh, F_vmem_seg_vs_anext, raw);
		if (types & (1u << s.type))
			err = fn(arg, &s);
		if (!err && (n & 0xfff) == 0)
			err = interrupt_check();
	}
	return err;
}

static struct err *take_number(void *arg, const struct heap_segment *s)
{
	struct kmem_heap *kh = arg;

	VEC_PUSH(&kh->numbers, s->addr);
	return NULL;
}

static int ascending(const void *a, const void *b)
{
	taddr_t x = *(const taddr_t *)a;
	taddr_t y = *(const taddr_t *)b;

	return x < y ? -1 : x > y;
}

/* a boundary tag does not say which arena it is of */
static struct err *list_numbers(struct kmem_heap *kh)
{
	struct err *err = kmem_load(kh);

	if (kh->has_numbers)
		return err;
	for (size_t i = 0; !err && i < kh->arenas.n; i++)
		if (kh->arenas.v[i].pub.is_identifier)
			err = walk_ring(kh, &kh->arenas.v[i], ~0u, take_number,
					kh);
	if (kh->numbers.n)
		qsort(kh->numbers.v, kh->numbers.n, sizeof(*kh->numbers.v),
		      ascending);
	kh->has_numbers = !err;
	return err;
}

struct err *kmem_segment_at(struct heap *heap, taddr_t addr,
			    struct heap_segment *ret)
{
	struct kmem_heap *kh = heap->priv;
	struct err *err = list_numbers(kh);

	if (err)
		return err;
	const void *raw = kmem_peek(kh, K_vmem_seg, addr);

	if (!raw || !read_segment(kh, addr, raw, ret) || ret->end < ret->start)
		return err_new(ERR_NOTFOUND, "0x%" PRIx64 " is not a vmem_seg",
			       addr);
	ret->is_identifier =
		kh->numbers.n && bsearch(&addr, kh->numbers.v, kh->numbers.n,
					 sizeof(*kh->numbers.v), ascending);
	return NULL;
}

struct err *kmem_segments(struct heap *heap, taddr_t arena, unsigned types,
			  heap_segment_fn *fn, void *arg)
{
	struct kmem_heap *kh = heap->priv;
	struct err *err = kmem_load(kh);

	if (err)
		return err;
	const struct kmem_arena *a = kmem_arena_at(kh, arena);

	if (!a)
		return err_new(ERR_NOTFOUND,
			       "0x%" PRIx64 " is not a vmem arena", arena);
	return walk_ring(kh, a, types, fn, arg);
}

/* ---- segments that are buffers --------------------------------------- */

static struct err *add_big(void *arg, const struct heap_segment *s)
{
	struct kmem_heap *kh = arg;
	struct kmem_big big = {
		.start = s->start,
		.end = s->end,
		.seg = s->addr,
		.arena = s->arena,
	};

	if (s->end - s->start > kh->total_bytes ||
	    !target_map_at(kh->t, s->start)) {
		kmem_damage(kh, s->addr, 0,
			    "segment 0x%" PRIx64 " [%" PRIx64 ", %" PRIx64
			    ") is not mapped",
			    s->addr, s->start, s->end);
		return NULL;
	}
	/* the guard bytes behind a large request are not the program's */
	if (s->arena == kmem_global(kh, S_kmem_oversize_arena, 8) &&
	    s->end - s->start > kh->oversize_tag_bytes) {
		big.end -= kh->oversize_tag_bytes;
		big.has_guard = kh->oversize_tag_bytes != 0;
	}
	VEC_PUSH(&kh->bigs, big);
	return NULL;
}

static int by_start(const void *a, const void *b)
{
	const struct kmem_big *x = a;
	const struct kmem_big *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* does what the arena hands out come from ours in the end? */
static bool is_from_heap(const struct kmem_heap *kh, const struct kmem_arena *a)
{
	for (int depth = 0; a && depth < 64; depth++) {
		if (a->is_root)
			return true;
		a = kmem_arena_at(kh, a->pub.source);
	}
	return false;
}

struct err *kmem_load_bigs(struct kmem_heap *kh)
{
	struct err *err = NULL;

	for (size_t i = 0; i < kh->caches.n; i++) {
		struct kmem_arena *a =
			kmem_arena_at(kh, kh->caches.v[i].pub.arena);

		if (a)
			a->is_source = true;
	}
	kh->oversize_tag_bytes = kmem_global(kh, S_kmem_oversize_tag, 4);
	for (size_t i = 0; !err && i < kh->arenas.n; i++) {
		const struct kmem_arena *a = &kh->arenas.v[i];
		bool is_programs = !a->pub.is_internal && !a->is_source &&
				   !a->pub.is_identifier && is_from_heap(kh, a);

		if (a->is_oversize || is_programs)
			err = walk_ring(kh, a, 1u << SEG_ALLOC, add_big, kh);
	}
	if (kh->bigs.n)
		qsort(kh->bigs.v, kh->bigs.n, sizeof(*kh->bigs.v), by_start);
	return err;
}

/* ---- the allocator's own memory -------------------------------------- */

struct ranges {
	VEC(struct heap_range) list;
};

static struct err *add_span(void *arg, const struct heap_segment *s)
{
	struct ranges *r = arg;
	struct heap_range range = {s->start, s->end};

	VEC_PUSH(&r->list, range);
	return NULL;
}

static int by_range(const void *a, const void *b)
{
	const struct heap_range *x = a;
	const struct heap_range *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/*
 * The alternate signal stack that the library gave the main thread: full of the
 * frames of its own handlers and of what they interrupted.  A handler of the
 * program's may be running on it; its part, from the stack pointer up, is not
 * the library's.
 */
static void add_altstack(struct kmem_heap *kh, struct ranges *r)
{
	struct heap_range range = {0};
	taddr_t at = kh->names.sym[S_kmem_altstack];

	if (!at)
		return;
	err_free(target_read_u64(kh->t, at, &range.start));
	err_free(target_read_u64(kh->t, at + 8, &range.end));
	for (size_t i = 0; i < target_nthreads(kh->t); i++) {
		const struct target_thread *th = target_thread(kh->t, i);
		taddr_t sp = th->has_regs ? th->regs.rsp : 0;

		if (sp < range.start || sp >= range.end)
			continue;
		range.end = sp - range.start < RED_ZONE ? range.start
							: sp - RED_ZONE;
	}
	if (range.start < range.end && range.end - range.start <= ALTSTACK_MAX)
		VEC_PUSH(&r->list, range);
}

struct err *kmem_own(struct heap *heap, struct heap_range **ret, size_t *ret_n)
{
	struct kmem_heap *kh = heap->priv;
	struct ranges r = {0};
	struct err *err = kmem_load(kh);

	for (size_t i = 0; !err && i < kh->arenas.n; i++)
		if (kh->arenas.v[i].is_root)
			err = walk_ring(kh, &kh->arenas.v[i], 1u << SEG_SPAN,
					add_span, &r);
	if (err) {
		VEC_FREE(&r.list);
		return err;
	}
	add_altstack(kh, &r);
	if (kh->names.own_start < kh->names.own_end) {
		struct heap_range own = {kh->names.own_start,
					 kh->names.own_end};

		VEC_PUSH(&r.list, own);
	}
	if (r.list.n)
		qsort(r.list.v, r.list.n, sizeof(*r.list.v), by_range);
	*ret = r.list.v;
	*ret_n = r.list.n;
	return NULL;
}
