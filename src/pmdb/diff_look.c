/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One dump of a diff: its buffers by address, each with its call site, cache and
 * type, which are numbered as they are met.
 *
 * A call site is known by three hashes.  Its print is the fingerprint of "pmdb
 * check" before several equal ones are told apart; its place is made of build-ids
 * and offsets, and so is exact, but changes with the build of any object on the
 * way.  In between, near is the print with the place of the innermost call.
 */
#include "pmdb/diff_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/progress.h"
#include "graph/typegraph.h"

struct looker {
	struct diff_dump *dump;
	struct target *target;
	struct types *types;
	struct heap *heap;
	struct bufset *set;
	struct typegraph *graph;     /* NULL: types are not wanted */
	struct hash names[DIFF_BYS]; /* hash of a name: 1 + its key */
	struct hash stacks;          /* number of a stack: 1 + its key */
	struct hash places;          /* place of a stack: 1 + its key */
	struct hash caches;          /* address: 1 + its key */
	struct hash types_of;        /* address of a name: 1 + its key */
};

static bool is_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static uint32_t new_key(struct looker *l, enum diff_by by, const char *name)
{
	struct diff_key key = {.name = name ? mem_strdup(name) : NULL};

	VEC_PUSH(&l->dump->keys[by], key);
	return (uint32_t)l->dump->keys[by].n - 1;
}

/* the key of a cache, type or site without a stack by its name */
static uint32_t key_named(struct looker *l, enum diff_by by, const char *name)
{
	uint64_t hash = frames_hash_text(by, name ? name : "");
	uint64_t *at = hash_put(&l->names[by], hash, NULL);

	/* a hash may be taken by another name: then the next one is asked */
	while (*at) {
		if (is_equal(l->dump->keys[by].v[*at - 1].name, name))
			return (uint32_t)*at - 1;
		at = hash_put(&l->names[by], ++hash, NULL);
	}
	*at = l->dump->keys[by].n + 1;
	uint32_t i = new_key(l, by, name);
	struct diff_key *key = &l->dump->keys[by].v[i];

	key->place = hash;
	key->near = hash;
	key->print = hash;
	return i;
}

static uint32_t cache_of(struct looker *l, const struct heap_buf *b)
{
	uint64_t *at =
		hash_put(&l->caches, b->cache ? b->cache : b->arena, NULL);

	if (!*at) {
		_free_ char *name = frames_copy(heap_buf_from(l->heap, b));

		*at = key_named(l, DIFF_CACHE, name) + 1;
	}
	return (uint32_t)*at - 1;
}

/* how sure a type is may change from dump to dump, and so is left out */
static uint32_t type_of(struct looker *l, size_t i)
{
	struct typed t;
	uint64_t *at = NULL;

	if (!l->graph || !typegraph_node(l->graph, i, &t) ||
	    t.grade == GRADE_NONE || (!t.name && t.grade != GRADE_CONFLICT))
		return key_named(l, DIFF_TYPE, NULL);
	l->dump->has_types = true;
	t.nelems = 1;
	if (t.grade == GRADE_CONFLICT) {
		_free_ char *text = typegraph_text(&t);
		_free_ char *name = frames_copy(text);

		return key_named(l, DIFF_TYPE, name);
	}
	at = hash_put(&l->types_of, (uintptr_t)t.name, NULL);
	if (!*at) {
		_free_ char *name = frames_copy(t.name);

		*at = key_named(l, DIFF_TYPE, name) + 1;
	}
	return (uint32_t)*at - 1;
}

/* ---- call sites ---------------------------------------------------------- */

/* build-id and offset; where there is no build-id, the address in this run */
static uint64_t add_pc(uint64_t hash, const struct object *o, taddr_t pc)
{
	if (o && o->build_id_bytes > 0) {
		hash = hash_bytes(o->build_id, o->build_id_bytes, hash);
		pc -= o->bias;
	}
	return hash_bytes(&pc, sizeof(pc), hash);
}

/* both hashes that the places of a stack make */
static void set_places(struct looker *l, const struct heap_stack *s,
		       struct diff_key *key)
{
	for (unsigned i = 0; i < s->depth; i++) {
		const struct object *o =
			types_object_at(l->types, s->pc[i] - 1);

		if (o && object_is_libkmem(o))
			continue;
		key->place = add_pc(key->place, o, s->pc[i]);
		if (!key->near)
			key->near = key->place;
	}
}

static uint32_t site_by_stack(struct looker *l, uint32_t id,
			      const struct heap_stack *s)
{
	struct diff_key at_places = {0};

	set_places(l, s, &at_places);
	uint64_t *at = hash_put(&l->places, at_places.place, NULL);

	if (*at)
		return (uint32_t)*at - 1;
	uint32_t i = new_key(l, DIFF_SITE, NULL);
	struct diff_key *key = &l->dump->keys[DIFF_SITE].v[i];

	*at = i + 1;
	key->place = at_places.place;
	key->has_stack =
		frames_stack(&l->dump->frames, l->heap, id, &key->stack);
	key->print = frames_hash(frames_hash_text(0, "leak"), &key->stack);
	key->near =
		hash_bytes(&at_places.near, sizeof(at_places.near), key->print);
	return i;
}

static uint32_t site_of(struct looker *l, const struct heap_audit *a,
			const char *cache)
{
	struct heap_stack s = {0};
	uint64_t *at = NULL;
	uint32_t i = 0;

	if (a->stack) {
		at = hash_get(&l->stacks, a->stack);
		if (at)
			return (uint32_t)*at - 1;
		heap_stack_of(l->heap, a->stack, &s);
	}
	if (s.depth > 0) {
		l->dump->has_stacks = true;
		i = site_by_stack(l, a->stack, &s);
		*hash_put(&l->stacks, a->stack, NULL) = i + 1;
		return i;
	}
	i = key_named(l, DIFF_SITE, cache);
	l->dump->keys[DIFF_SITE].v[i].print =
		frames_hash_text(frames_hash_text(0, "leak"), cache);
	return i;
}

/* what a site says of its buffers, from one of them */
static void describe_site(struct diff_dump *dump, const struct diff_buf *b,
			  const char *call)
{
	struct diff_key *site = &dump->keys[DIFF_SITE].v[b->key[DIFF_SITE]];
	const char *cache = dump->keys[DIFF_CACHE].v[b->key[DIFF_CACHE]].name;
	const char *type = dump->keys[DIFF_TYPE].v[b->key[DIFF_TYPE]].name;

	if (!site->call) {
		site->call = frames_copy(call ? call : "");
		site->type = type ? mem_strdup(type) : NULL;
		if (!site->name)
			site->name = mem_strdup(cache);
	}
	if (strcmp(site->name, cache) != 0)
		site->is_mixed = true;
	if (!is_equal(site->type, type))
		site->is_motley = true;
}

/* ---- buffers ------------------------------------------------------------- */

static void take_buf(struct looker *l, size_t i)
{
	struct diff_dump *dump = l->dump;
	struct heap_audit a = {0};
	struct heap_buf buf;
	struct diff_buf b = {0};

	bufset_get(l->heap, l->set, i, &buf);
	b.addr = buf.addr;
	b.bytes = buf.req_bytes;
	if (l->heap->ops->audit && l->heap->ops->audit(l->heap, &buf, &a) &&
	    a.what == HEAP_ALLOC) {
		b.stamp_ns = a.stamp_ns;
		b.tid = a.tid;
	} else {
		a = (struct heap_audit){0};
	}
	b.key[DIFF_CACHE] = cache_of(l, &buf);
	b.key[DIFF_TYPE] = type_of(l, i);
	b.key[DIFF_SITE] = site_of(
		l, &a, dump->keys[DIFF_CACHE].v[b.key[DIFF_CACHE]].name);
	describe_site(dump, &b, a.kind);
	VEC_PUSH(&dump->bufs, b);
}

static struct err *take_bufs(struct looker *l)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < l->set->n; i++) {
		take_buf(l, i);
		if ((i & 0xfff) != 0)
			continue;
		progress_set("summing up", i, l->set->n);
		err = interrupt_check();
	}
	return err;
}

/* ---- the dump ------------------------------------------------------------ */

static void take_objects(struct looker *l)
{
	struct diff_dump *dump = l->dump;

	for (size_t i = 0; i < types_nobjects(l->types); i++) {
		const struct object *o = types_object(l->types, i);
		struct diff_object ret = {
			.path = frames_copy(o->path),
			.start = o->start,
			.build_id_bytes = o->build_id_bytes,
			.is_exec = o->is_exec,
		};

		if (o->state != OBJECT_OK)
			ret.why = frames_copy(o->why ? o->why : "not found");
		memcpy(ret.build_id, o->build_id, sizeof(ret.build_id));
		VEC_PUSH(&dump->objects, ret);
		if (ret.why && !dump->trouble)
			dump->trouble = mem_printf("%s: %s", ret.path, ret.why);
	}
}

static void take_facts(struct looker *l)
{
	const struct target_info *info = target_info(l->target);
	struct diff_dump *dump = l->dump;

	dump->allocator = l->heap->ops->name;
	dump->can_audit = l->heap->ops->audit;
	dump->program = frames_copy(info->fname);
	dump->psargs = frames_copy(info->psargs);
	/* a program that writes its title leaves blanks behind it */
	for (size_t n = strlen(dump->psargs);
	     n > 0 && dump->psargs[n - 1] == ' '; n--)
		dump->psargs[n - 1] = '\0';
	dump->pid = info->pid;
	dump->now_ns = l->heap->health.now_ns;
	dump->wall_ns = info->snap_wall_ns;
	take_objects(l);
}

/* damage makes numbers doubtful; it is said, and they stand */
static void take_damage(struct looker *l)
{
	const struct heap_health *h = &l->heap->health;

	if (!l->dump->trouble && h->doubt)
		l->dump->trouble = mem_strdup(h->doubt);
	if (!h->nfindings || !h->first_finding)
		return;
	mem_free(l->dump->trouble);
	l->dump->trouble =
		mem_printf("what is counted is uncertain, the heap is damaged: "
			   "%s",
			   h->first_finding);
}

static struct err *open_dump(struct looker *l)
{
	struct types_options opt = {.exe = l->dump->exe};
	struct err *err = target_open_core(l->dump->path, &l->target);

	if (!err && target_info(l->target)->incomplete)
		err = err_new(ERR_BADDATA, "%s: the dump is incomplete: %s",
			      l->dump->path,
			      target_info(l->target)->incomplete);
	if (!err)
		err = types_open(l->target, &opt, &l->types);
	if (!err)
		err = heap_open(l->target, l->types, &l->heap);
	if (!err)
		err = bufset_build(l->heap, &l->set);
	return err;
}

static void close_dump(struct looker *l)
{
	typegraph_free(l->graph);
	bufset_free(l->set);
	heap_close(l->heap);
	types_close(l->types);
	target_close(l->target);
	for (int i = 0; i < DIFF_BYS; i++)
		hash_fini(&l->names[i]);
	hash_fini(&l->stacks);
	hash_fini(&l->places);
	hash_fini(&l->caches);
	hash_fini(&l->types_of);
}

/* a message begins with the path, which may be in it already */
static struct err *with_path(struct err *err, const char *path)
{
	if (!err || strncmp(err->msg, path, strlen(path)) == 0)
		return err;
	return err_prefix(err, "%s", path);
}

struct err *diff_look(const struct diff *d, struct diff_dump *dump)
{
	struct looker l = {.dump = dump};

	for (int i = 0; i < DIFF_BYS; i++)
		hash_init(&l.names[i]);
	hash_init(&l.stacks);
	hash_init(&l.places);
	hash_init(&l.caches);
	hash_init(&l.types_of);
	struct err *err = open_dump(&l);

	if (!err && d->by & 1U << DIFF_TYPE)
		err = typegraph_build(l.heap, l.set, &l.graph);
	if (!err) {
		frames_init(&dump->frames, d->check, l.types);
		take_facts(&l);
		err = take_bufs(&l);
		take_damage(&l);
	}
	close_dump(&l);
	return with_path(err, dump->path);
}

static void key_fini(struct diff_key *key)
{
	mem_free(key->name);
	mem_free(key->type);
	mem_free(key->call);
	mem_free(key->stack.v);
}

void diff_dump_fini(struct diff_dump *dump)
{
	for (int by = 0; by < DIFF_BYS; by++) {
		for (size_t i = 0; i < dump->keys[by].n; i++)
			key_fini(&dump->keys[by].v[i]);
		VEC_FREE(&dump->keys[by]);
	}
	for (size_t i = 0; i < dump->objects.n; i++) {
		mem_free(dump->objects.v[i].path);
		mem_free(dump->objects.v[i].why);
	}
	VEC_FREE(&dump->objects);
	VEC_FREE(&dump->bufs);
	frames_fini(&dump->frames);
	mem_free(dump->program);
	mem_free(dump->psargs);
	mem_free(dump->trouble);
}
