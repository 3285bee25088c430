/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sums by call site.  A buffer counts as large as was asked for; what the log
 * has of buffers freed since, as large as those of its cache are.
 */
#include "pmdb/profile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/progress.h"
#include "base/strbuf.h"

struct builder {
	struct heap *heap;
	const struct leaks *leaks;
	struct profile *p;
	struct hash live;   /* buffer -> when it was allocated */
	struct hash caches; /* cache -> size of its buffers */
	uint64_t nseen;
};

/* ---- places ---------------------------------------------------------- */

static size_t add_object(struct builder *b, const struct object *o)
{
	struct profile *p = b->p;
	struct strbuf id = {0};

	for (size_t i = 0; i < p->objects.n; i++)
		if (p->objects.v[i].start == o->start)
			return i;
	strbuf_puts(&id, "");
	for (size_t i = 0; i < o->build_id_bytes; i++)
		strbuf_printf(&id, "%02x", o->build_id[i]);
	VEC_PUSH(&p->objects, ((struct profile_object){
				      .path = mem_strdup(o->path),
				      .build_id = id.s,
				      .start = o->start,
				      .end = o->end,
			      }));
	return p->objects.n - 1;
}

static size_t object_of(struct builder *b, taddr_t pc)
{
	const struct object *o = types_object_at(b->heap->types, pc - 1);

	return o ? add_object(b, o) : PROFILE_NONE;
}

/* the program is the first, wherever its code is met */
static void add_program(struct builder *b)
{
	struct types *types = b->heap->types;

	for (size_t i = 0; i < types_nobjects(types); i++)
		if (types_object(types, i)->is_exec)
			(void)add_object(b, types_object(types, i));
}

struct line_arg {
	struct builder *b;
	struct profile_place *place;
};

static void add_line(void *arg, taddr_t pc, const char *function,
		     const char *file, int line)
{
	struct line_arg *a = arg;
	struct profile_line l = {
		.function = function ? mem_strdup(function)
				     : types_place_name(a->b->heap->types, pc),
		.file = file ? mem_strdup(file) : NULL,
		.line = line,
	};

	VEC_PUSH(&a->place->lines, l);
	if (file && a->place->object != PROFILE_NONE)
		a->b->p->objects.v[a->place->object].has_lines = true;
}

static size_t place_of(struct builder *b, taddr_t pc)
{
	struct profile *p = b->p;
	uint64_t *at = hash_put(&p->by_pc, pc, NULL);
	struct profile_place place = {.pc = pc};
	struct line_arg arg = {b, &place};

	if (*at)
		return *at - 1;
	place.object = object_of(b, pc);
	types_each_function(b->heap->types, pc, add_line, &arg);
	if (!place.lines.n)
		add_line(&arg, pc, NULL, NULL, 0);
	VEC_PUSH(&p->places, place);
	*at = p->places.n;
	return p->places.n - 1;
}

/* a place that is no code: nobody recorded who called */
static size_t place_named(struct builder *b, const char *name)
{
	struct profile_place place = {.object = PROFILE_NONE};
	struct line_arg arg = {b, &place};

	add_line(&arg, 0, name, NULL, 0);
	VEC_PUSH(&b->p->places, place);
	return b->p->places.n - 1;
}

/* ---- sites ----------------------------------------------------------- */

/* the first frame that is not the allocator's, which would be everybody's */
static unsigned first_outside(struct builder *b, const struct heap_stack *s)
{
	for (unsigned i = 0; i < s->depth; i++) {
		const struct object *o =
			types_object_at(b->heap->types, s->pc[i] - 1);

		if (!o || !object_is_libkmem(o))
			return i;
	}
	return 0;
}

static struct profile_site *new_site(struct builder *b, const char *cache,
				     uint32_t stack, uint64_t size)
{
	struct profile_site site = {
		.size_bytes = size,
		.cache = mem_strdup(cache),
		.stack = stack,
	};
	struct heap_stack s = {0};

	heap_stack_of(b->heap, stack, &s);
	unsigned first = first_outside(b, &s);

	site.places = mem_alloc((s.depth + 1) * sizeof(*site.places));
	for (unsigned i = first; i < s.depth; i++)
		site.places[site.nplaces++] = place_of(b, s.pc[i]);
	if (!site.nplaces)
		site.places[site.nplaces++] = place_named(b, cache);
	VEC_PUSH(&b->p->sites, site);
	return &b->p->sites.v[b->p->sites.n - 1];
}

static struct profile_site *site_of(struct builder *b, taddr_t from,
				    uint32_t stack, uint64_t size)
{
	const uint64_t words[3] = {stack, stack ? 0 : from, size};
	uint64_t key = hash_bytes(words, sizeof(words), 0);
	/* looked for only where it tells sites apart: there are many buffers */
	const char *name = stack ? NULL : heap_name(b->heap, from);
	uint64_t *at = hash_put(&b->p->by_key, key, NULL);

	/* a key may be taken by another: then the next one is asked */
	while (*at) {
		struct profile_site *s = &b->p->sites.v[*at - 1];

		if (s->stack == stack && s->size_bytes == size &&
		    (stack || strcmp(s->cache, name) == 0))
			return s;
		at = hash_put(&b->p->by_key, ++key, NULL);
	}
	*at = b->p->sites.n + 1;
	return new_site(b, name ? name : heap_name(b->heap, from), stack, size);
}

static void count(struct profile_site *site, enum profile_sample what,
		  uint64_t bytes)
{
	site->count[what]++;
	site->bytes[what] += bytes;
}

static struct err *add_live(struct builder *b)
{
	const struct bufset *set = b->leaks->set;
	struct err *err = NULL;

	b->p->born_ns = mem_array(set->n, sizeof(*b->p->born_ns));
	for (size_t i = 0; !err && i < set->n; i++) {
		struct heap_audit au = {0};
		struct heap_buf buf;

		bufset_get(b->heap, set, i, &buf);
		if (b->heap->ops->audit &&
		    b->heap->ops->audit(b->heap, &buf, &au)) {
			*hash_put(&b->live, buf.addr, NULL) = au.stamp_ns;
			b->p->born_ns[i] = au.stamp_ns;
		}
		struct profile_site *site =
			site_of(b, buf.cache ? buf.cache : buf.arena, au.stack,
				buf.req_bytes);

		count(site, PROFILE_INUSE, buf.req_bytes);
		count(site, PROFILE_ALLOC, buf.req_bytes);
		if (set->mark[i] == MARK_NONE || set->mark[i] == MARK_INDIRECT)
			count(site, PROFILE_LEAKED, buf.req_bytes);
		if ((i & 0xfff) != 0)
			continue;
		progress_set("summing up", i, set->n);
		err = interrupt_check();
	}
	return err;
}

static struct err *take_cache(void *arg, const struct heap_cache *c)
{
	struct builder *b = arg;

	if (!c->is_internal)
		*hash_put(&b->caches, c->addr, NULL) = c->bufsize_bytes;
	return NULL;
}

/* an allocation of a buffer that was freed again, or we know it already */
static struct err *take_record(void *arg, const struct heap_audit *a)
{
	struct builder *b = arg;
	const uint64_t *size = hash_get(&b->caches, a->cache);
	const uint64_t *stamp = hash_get(&b->live, a->buf);

	progress_set("reading the log", b->nseen++, 0);
	if (a->what != HEAP_ALLOC || !size || (stamp && *stamp == a->stamp_ns))
		return NULL;
	count(site_of(b, a->cache, a->stack, *size), PROFILE_ALLOC, *size);
	return NULL;
}

static struct err *add_log(struct builder *b)
{
	struct err *err = NULL;

	if (!b->heap->ops->log)
		return NULL;
	err = b->heap->ops->caches(b->heap, take_cache, b);
	if (!err)
		err = b->heap->ops->log(b->heap, HEAP_LOG_TRANSACTION, 0,
					take_record, b);
	b->p->has_alloc = !err;
	if (err_is(err, ERR_NOTFOUND)) { /* there is none */
		err_free(err);
		err = NULL;
	}
	return err;
}

static int most_bytes_first(const void *a, const void *b)
{
	const struct profile_site *x = a;
	const struct profile_site *y = b;

	for (int i = PROFILE_INUSE; i >= PROFILE_ALLOC; i--)
		if (x->bytes[i] != y->bytes[i])
			return x->bytes[i] > y->bytes[i] ? -1 : 1;
	if (x->stack != y->stack)
		return x->stack < y->stack ? -1 : 1;
	return x->size_bytes < y->size_bytes ? -1
					     : x->size_bytes > y->size_bytes;
}

struct err *profile_build(struct heap *heap, const struct leaks *leaks,
			  struct profile *ret)
{
	struct builder b = {.heap = heap, .leaks = leaks, .p = ret};
	struct err *err = NULL;

	*ret = (struct profile){0};
	add_program(&b);
	hash_init(&b.live);
	hash_init(&b.caches);
	hash_init(&ret->by_pc);
	hash_init(&ret->by_key);
	ret->time_ns = target_info(heap->target)->snap_wall_ns;
	err = add_live(&b);
	if (!err)
		err = add_log(&b);
	if (ret->sites.n)
		qsort(ret->sites.v, ret->sites.n, sizeof(*ret->sites.v),
		      most_bytes_first);
	hash_fini(&b.live);
	hash_fini(&b.caches);
	if (err)
		profile_fini(ret);
	return err;
}

void profile_fini(struct profile *p)
{
	for (size_t i = 0; i < p->sites.n; i++) {
		mem_free(p->sites.v[i].places);
		mem_free(p->sites.v[i].cache);
	}
	for (size_t i = 0; i < p->places.n; i++) {
		struct profile_place *place = &p->places.v[i];

		for (size_t j = 0; j < place->lines.n; j++) {
			mem_free(place->lines.v[j].function);
			mem_free(place->lines.v[j].file);
		}
		VEC_FREE(&place->lines);
	}
	for (size_t i = 0; i < p->objects.n; i++) {
		mem_free(p->objects.v[i].path);
		mem_free(p->objects.v[i].build_id);
	}
	mem_free(p->born_ns);
	VEC_FREE(&p->sites);
	VEC_FREE(&p->places);
	VEC_FREE(&p->objects);
	hash_fini(&p->by_pc);
	hash_fini(&p->by_key);
	*p = (struct profile){0};
}

char *profile_folded(const struct profile *p, const struct profile_site *site)
{
	struct strbuf sb = {0};

	for (size_t i = site->nplaces; i > 0; i--) {
		const struct profile_place *place =
			&p->places.v[site->places[i - 1]];

		for (size_t j = place->lines.n; j > 0; j--) {
			if (sb.n)
				strbuf_putc(&sb, ';');
			for (const char *s = place->lines.v[j - 1].function; *s;
			     s++)
				strbuf_putc(&sb,
					    *s == ';' || *s == '\n' ? ':' : *s);
		}
	}
	return sb.s;
}
