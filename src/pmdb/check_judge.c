/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The verdict on one dump.
 *
 *   clean       everything could be looked at, and nothing was found
 *   findings    leaks, damage that is certain, or frees by the wrong call
 *   no verdict  something could not be looked at
 *
 * "Clean" is said only when nothing stood in the way.  Leaks of a dump that is
 * incomplete, or was taken in the middle of an operation of the allocator, are
 * printed but are no verdict.  Damage is certain when the dump is whole and the
 * allocator was at rest, or when the allocator reported it itself.
 *
 * What is found is told from what fails: the user names the kinds that do, and
 * how much of them is tolerated; suppressions and baselines take away more.
 */
#include "pmdb/check_items.h"

static void no_verdict(struct verdict *v, struct err *err)
{
	if (!v->reason)
		v->reason = mem_strdup(err->msg);
	err_free(err);
}

static struct err *keep_finding(void *arg, const struct heap_finding *f)
{
	struct evidence *e = arg;

	VEC_PUSH(&e->findings, *f);
	return NULL;
}

/* counts what there is, so that an empty answer is known to be one */
static struct err *count_cache(void *arg, const struct heap_cache *c)
{
	size_t *n = arg;

	(void)c; /* that it is there is enough */
	(*n)++;
	return NULL;
}

static struct err *keep_mismatch(void *arg, const struct heap_mismatch *m)
{
	struct evidence *e = arg;

	VEC_PUSH(&e->mismatches, *m);
	return NULL;
}

static struct err *look(struct verdict *v, struct evidence *e)
{
	struct types_options opt = {0};
	size_t ncaches = 0;
	struct err *err = target_open_core(v->path, &e->target);

	if (!err)
		err = types_open(e->target, &opt, &e->types);
	if (!err)
		err = heap_open(e->target, e->types, &e->heap);
	if (!err)
		err = e->heap->ops->caches(e->heap, count_cache, &ncaches);
	if (!err && ncaches == 0)
		err = err_new(ERR_BADDATA, "the heap has no caches");
	if (!err)
		err = leaks_find(e->heap, &e->leaks);
	if (!err && e->heap->ops->verify)
		err = e->heap->ops->verify(e->heap, 0, keep_finding, e);
	if (!err && e->heap->ops->mismatches)
		err = e->heap->ops->mismatches(e->heap, &v->nmismatches,
					       keep_mismatch, e);
	return err;
}

/* is damage certain, or may it be the dump's own fault? */
static bool is_damage_certain(const struct verdict *v, const struct evidence *e)
{
	const struct heap_health *h = &e->heap->health;

	if (target_info(e->target)->incomplete)
		return false;
	return h->has_panic || v->nmismatches > 0 ||
	       (h->is_quiescent_known && h->is_quiescent && e->findings.n > 0);
}

/* the first file of the program that is not there, or of another build */
static void note_missing(struct verdict *v, const struct evidence *e)
{
	const struct object *first = NULL;
	size_t n = 0;

	for (size_t i = 0; e->types && i < types_nobjects(e->types); i++) {
		const struct object *o = types_object(e->types, i);

		if (o->state != OBJECT_OK && n++ == 0)
			first = o;
	}
	if (first)
		v->trouble = mem_printf("%s: %s%s", first->path,
					first->why ? first->why : "not found",
					n > 1 ? " (nor are others)" : "");
}

static void note_facts(struct verdict *v, const struct evidence *e)
{
	const struct target_info *info = target_info(e->target);

	v->program = mem_strdup(info->fname);
	v->psargs = mem_strdup(info->psargs);
	v->pid = info->pid;
	if (!e->leaks)
		return;
	v->has_leaks = true;
	v->live.nbufs = e->leaks->nlive;
	v->live.bytes = e->leaks->live_bytes;
	v->interior.nbufs = e->leaks->ninterior;
	v->interior.bytes = e->leaks->interior_bytes;
}

void check_judge_open(const struct check *check, struct verdict *v,
		      struct evidence *e)
{
	struct err *err = look(v, e);

	/* a file that is cut off explains whatever else is wrong with it */
	if (err && e->target && target_info(e->target)->incomplete)
		v->reason = mem_printf("the dump is incomplete: %s",
				       target_info(e->target)->incomplete);
	if (err)
		no_verdict(v, err);
	else if (e->leaks->inconclusive)
		v->reason = mem_strdup(e->leaks->inconclusive);
	if (e->target)
		note_facts(v, e);
	note_missing(v, e);
	if (e->heap && e->leaks) {
		v->is_damage_certain = is_damage_certain(v, e);
		check_items(check, v, e);
		check_fingerprints(v);
	}
}

void evidence_fini(struct evidence *e)
{
	leaks_free(e->leaks);
	heap_close(e->heap);
	types_close(e->types);
	target_close(e->target);
	VEC_FREE(&e->findings);
	VEC_FREE(&e->mismatches);
}

void check_judge(const struct check *check, struct verdict *v)
{
	struct evidence e = {0};

	check_judge_open(check, v, &e);
	evidence_fini(&e);
}

bool item_is_buffers(const struct item *item)
{
	return item->kind >= ITEM_LEAK;
}

size_t verdict_ncorruptions(const struct verdict *v)
{
	size_t n = 0;
	bool has_panic = false;

	for (size_t i = 0; i < v->items.n; i++) {
		const struct item *item = &v->items.v[i];

		if (item->state == ITEM_SUPPRESSED)
			continue;
		n += item->kind == ITEM_DAMAGE;
		has_panic |= item->kind == ITEM_PANIC;
	}
	return n ? n : has_panic;
}

/* is an item one to fail on?  A leak is as large as all that hangs on it */
static bool is_asked_for(const struct check *check, const struct item *item)
{
	if (!(check->fail_on & 1U << item->kind))
		return false;
	return !item_is_buffers(item) ||
	       item->bytes + item->kept_bytes >= check->min_bytes;
}

/* what fails of its own; a few leaks are tolerated if no more there are */
static void set_states(const struct check *check, struct verdict *v)
{
	uint64_t n = 0;

	for (size_t i = 0; i < v->items.n; i++) {
		struct item *item = &v->items.v[i];

		if (item->state != ITEM_FAILS)
			continue;
		item->is_follower = item->kind == ITEM_INDIRECT &&
				    !(check->fail_on & 1U << ITEM_INDIRECT);
		if (item->is_follower || !is_asked_for(check, item))
			item->state = ITEM_NOTED;
		else
			n += item_is_buffers(item);
	}
	for (size_t i = 0; n <= check->max_leaks && i < v->items.n; i++)
		if (v->items.v[i].state == ITEM_FAILS &&
		    item_is_buffers(&v->items.v[i]))
			v->items.v[i].state = ITEM_NOTED;
	check_follow(v);
}

void check_decide(const struct check *check, struct verdict *v)
{
	bool is_damaged = false;
	bool is_leaky = false;

	set_states(check, v);
	for (size_t i = 0; i < v->items.n; i++) {
		const struct item *item = &v->items.v[i];
		struct check_counts *sum = &v->sums[item->state];

		if (item_is_buffers(item)) {
			sum->nitems++;
			sum->nbufs += item->nbufs;
			sum->bytes += item->bytes;
		}
		if (item->state == ITEM_FAILS) {
			is_leaky |= item_is_buffers(item);
			is_damaged |= !item_is_buffers(item);
		}
	}
	if (v->is_damage_certain && is_damaged)
		v->status = PMDB_FINDINGS;
	else if (v->reason)
		v->status = PMDB_NO_VERDICT;
	else
		v->status = is_damaged || is_leaky ? PMDB_FINDINGS : PMDB_CLEAN;
}

static void stack_fini(struct check_stack *s)
{
	mem_free(s->v);
}

void verdict_fini(struct verdict *v)
{
	for (size_t i = 0; i < v->items.n; i++) {
		struct item *item = &v->items.v[i];

		mem_free(item->cache);
		mem_free(item->type);
		mem_free(item->shape);
		mem_free(item->no_stack);
		mem_free(item->call);
		mem_free(item->freed_by);
		mem_free(item->text);
		mem_free(item->report);
		stack_fini(&item->stack);
		stack_fini(&item->freed);
	}
	VEC_FREE(&v->items);
	VEC_FREE(&v->edges);
	frames_fini(&v->frames);
	mem_free(v->reason);
	mem_free(v->trouble);
	mem_free(v->program);
	mem_free(v->psargs);
}
