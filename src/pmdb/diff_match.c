/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Two dumps brought together.
 *
 * Call sites are matched in three steps.  First by place, which is exact as far as
 * both dumps are of the same files.  Of those left over, because some file is of
 * another build, by what the functions are called and the place of the innermost
 * call; of the rest, because that file is, by names alone: several calls in one
 * function have the same, and are paired in the order of their offsets.
 *
 * A buffer of the old dump is still there in the new one when both are of one
 * process, its address is, and the record of its allocation is the same: time
 * stamp and thread.  With another record it was replaced.  Where nothing was
 * recorded, an address that is in both dumps says neither.
 *
 * Both dumps are of one process when the ids are, and every object is where it
 * was: the loader puts them elsewhere in each run.
 */
#include "pmdb/diff_impl.h"

#include <stdlib.h>
#include <string.h>

int64_t diff_growth(const struct diff_group *g)
{
	return (int64_t)(g->sum[DIFF_NEW].bytes - g->sum[DIFF_OLD].bytes);
}

int64_t diff_growth_bufs(const struct diff_group *g)
{
	return (int64_t)(g->sum[DIFF_NEW].nbufs - g->sum[DIFF_OLD].nbufs);
}

const char *diff_state_name(enum diff_state state)
{
	static const char *const names[DIFF_STATES] = {
		[STATE_NEW] = "new",       [STATE_GROWN] = "grown",
		[STATE_SHRUNK] = "shrunk", [STATE_GONE] = "gone",
		[STATE_SAME] = "same",
	};

	return names[state];
}

const struct diff_key *diff_key_of(const struct diff_group *g)
{
	return g->is ? g->is : g->was;
}

/* ---- can they be compared? ----------------------------------------------- */

static const struct diff_object *exec_of(const struct diff_dump *dump)
{
	for (size_t i = 0; i < dump->objects.n; i++)
		if (dump->objects.v[i].is_exec)
			return &dump->objects.v[i];
	return NULL;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static const char *program_of(const struct diff_dump *dump)
{
	const struct diff_object *exec = exec_of(dump);

	return exec ? base_name(exec->path) : dump->program;
}

static bool is_same_file(const struct diff_object *a,
			 const struct diff_object *b)
{
	return a->build_id_bytes > 0 &&
	       a->build_id_bytes == b->build_id_bytes &&
	       memcmp(a->build_id, b->build_id, a->build_id_bytes) == 0;
}

static struct err *compare_programs(struct diff *d)
{
	const struct diff_object *was = exec_of(&d->old);
	const struct diff_object *is = exec_of(&d->new);

	d->is_same_build = was && is && is_same_file(was, is);
	if (!d->is_same_build &&
	    strcmp(program_of(&d->old), program_of(&d->new)) != 0)
		return err_new(ERR_NOSUP,
			       "%s is of %s and %s of %s: between dumps of two "
			       "programs there is no growth",
			       d->old.path, program_of(&d->old), d->new.path,
			       program_of(&d->new));
	if (strcmp(d->old.allocator, d->new.allocator) != 0)
		return err_new(ERR_NOSUP,
			       "the heap of %s is %s's and that of %s is %s's: "
			       "they cannot be compared",
			       d->old.path, d->old.allocator, d->new.path,
			       d->new.allocator);
	return NULL;
}

/* is each object that both have where it was? */
static bool is_layout_same(const struct diff *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->old.objects.n; i++) {
		const struct diff_object *a = &d->old.objects.v[i];

		for (size_t j = 0; j < d->new.objects.n; j++) {
			const struct diff_object *b = &d->new.objects.v[j];

			if (strcmp(a->path, b->path) != 0)
				continue;
			if (a->start != b->start)
				return false;
			n++;
			break;
		}
	}
	return n > 0;
}

/* names of functions are missing in one dump, and offsets do not match */
static bool lacks_names(const struct diff *d, const struct diff_dump *dump)
{
	const struct diff_object *exec = exec_of(dump);

	return !d->is_same_build && (!exec || exec->why);
}

static char *why_no_sites(const struct diff *d)
{
	const struct diff_dump *dump = lacks_names(d, &d->new)   ? &d->new
				       : lacks_names(d, &d->old) ? &d->old
								 : NULL;

	if (!d->old.has_stacks && !d->new.has_stacks)
		return mem_strdup("no stacks were recorded: auditing was off");
	if (!d->old.has_stacks || !d->new.has_stacks)
		return mem_printf("%s has no stacks: auditing was off",
				  d->old.has_stacks ? d->new.path
						    : d->old.path);
	if (dump)
		return mem_printf("the functions of %s are not known by name "
				  "(%s); %s names its program",
				  dump->path,
				  dump->trouble ? dump->trouble
						: "no program in it",
				  dump == &d->old ? "--old-exe" : "--new-exe");
	return NULL;
}

static char *why_no_types(const struct diff *d)
{
	if (!d->old.has_types && !d->new.has_types)
		return mem_strdup("debug information says it of no buffer");
	if (!d->old.has_types || !d->new.has_types)
		return mem_printf("of %s debug information says it of no "
				  "buffer",
				  d->old.has_types ? d->new.path : d->old.path);
	return NULL;
}

/* ---- keys ---------------------------------------------------------------- */

typedef int key_compare(const struct diff_key *x, const struct diff_key *y);

static int by_hash(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int by_place(const struct diff_key *x, const struct diff_key *y)
{
	return by_hash(x->place, y->place);
}

static int by_near(const struct diff_key *x, const struct diff_key *y)
{
	return by_hash(x->near, y->near);
}

static int by_print(const struct diff_key *x, const struct diff_key *y)
{
	return by_hash(x->print, y->print);
}

/* the order of keys before they are paired: equal ones by their offsets */
static int sort_by(key_compare *compare, const void *a, const void *b)
{
	const struct diff_key *x = *(const struct diff_key *const *)a;
	const struct diff_key *y = *(const struct diff_key *const *)b;
	int order = compare(x, y);

	return order ? order : frames_compare(&x->stack, &y->stack);
}

static int sort_by_place(const void *a, const void *b)
{
	return sort_by(by_place, a, b);
}

static int sort_by_near(const void *a, const void *b)
{
	return sort_by(by_near, a, b);
}

static int sort_by_print(const void *a, const void *b)
{
	return sort_by(by_print, a, b);
}

struct keys {
	struct diff_key **v;
	size_t n;
};

static void add_group(struct diff *d, enum diff_by by, struct diff_key *was,
		      struct diff_key *is)
{
	struct diff_group g = {.was = was, .is = is};

	if (was)
		was->group = d->groups[by].n;
	if (is)
		is->group = d->groups[by].n;
	VEC_PUSH(&d->groups[by], g);
}

/* pairs keys that compare equal, in order, and keeps only the others */
static void pair(struct diff *d, enum diff_by by, struct keys *old,
		 struct keys *new, int (*sort)(const void *, const void *),
		 key_compare *compare)
{
	size_t nold = 0;
	size_t nnew = 0;
	size_t i = 0;
	size_t j = 0;

	qsort(old->v, old->n, sizeof(*old->v), sort);
	qsort(new->v, new->n, sizeof(*new->v), sort);
	while (i < old->n || j < new->n) {
		int order = i == old->n   ? 1
			    : j == new->n ? -1
					  : compare(old->v[i], new->v[j]);

		if (order == 0)
			add_group(d, by, old->v[i++], new->v[j++]);
		else if (order < 0)
			old->v[nold++] = old->v[i++];
		else
			new->v[nnew++] = new->v[j++];
	}
	old->n = nold;
	new->n = nnew;
}

static struct keys keys_of(struct diff_dump *dump, enum diff_by by)
{
	struct keys ret = {.n = dump->keys[by].n};

	ret.v = mem_array(ret.n + 1, sizeof(struct diff_key *));
	for (size_t i = 0; i < ret.n; i++)
		ret.v[i] = &dump->keys[by].v[i];
	return ret;
}

static void match_keys(struct diff *d, enum diff_by by)
{
	struct keys old = keys_of(&d->old, by);
	struct keys new = keys_of(&d->new, by);

	pair(d, by, &old, &new, sort_by_place, by_place);
	pair(d, by, &old, &new, sort_by_near, by_near);
	pair(d, by, &old, &new, sort_by_print, by_print);
	for (size_t i = 0; i < old.n; i++)
		add_group(d, by, old.v[i], NULL);
	for (size_t i = 0; i < new.n; i++)
		add_group(d, by, NULL, new.v[i]);
	mem_free(old.v);
	mem_free(new.v);
}

/* ---- buffers ------------------------------------------------------------- */

static void add_to(struct check_counts *sum, const struct diff_buf *b)
{
	sum->nbufs++;
	sum->bytes += b->bytes;
}

static void tally(struct diff *d, const struct diff_dump *dump,
		  const struct diff_buf *b, enum diff_what what)
{
	for (int by = 0; by < DIFF_BYS; by++) {
		size_t group = dump->keys[by].v[b->key[by]].group;
		struct diff_group *g = &d->groups[by].v[group];

		add_to(&g->sum[what], b);
		if ((what == DIFF_NEW && !g->addr) ||
		    (what == DIFF_ADDED && g->sum[what].nbufs == 1))
			g->addr = b->addr;
	}
	add_to(&d->total.sum[what], b);
}

/* two buffers at one address */
static void tally_both(struct diff *d, const struct diff_buf *was,
		       const struct diff_buf *is)
{
	if (!was->stamp_ns || !is->stamp_ns) {
		tally(d, &d->new, is, DIFF_UNKNOWN);
	} else if (was->stamp_ns == is->stamp_ns && was->tid == is->tid) {
		tally(d, &d->new, is, DIFF_SURVIVED);
	} else {
		tally(d, &d->old, was, DIFF_FREED);
		tally(d, &d->new, is, DIFF_ADDED);
		tally(d, &d->new, is, DIFF_REPLACED);
	}
}

static void tally_addresses(struct diff *d)
{
	size_t i = 0;
	size_t j = 0;

	while (i < d->old.bufs.n || j < d->new.bufs.n) {
		const struct diff_buf *was =
			i < d->old.bufs.n ? &d->old.bufs.v[i] : NULL;
		const struct diff_buf *is =
			j < d->new.bufs.n ? &d->new.bufs.v[j] : NULL;

		if (was && is && was->addr == is->addr)
			tally_both(d, was, is);
		else if (is && (!was || is->addr < was->addr))
			was = NULL;
		else
			is = NULL;
		if (!is)
			tally(d, &d->old, was, DIFF_FREED);
		if (!was)
			tally(d, &d->new, is, DIFF_ADDED);
		i += was != NULL;
		j += is != NULL;
	}
}

/* ---- groups -------------------------------------------------------------- */

static int by_print_and_place(const void *a, const void *b)
{
	const struct diff_group *x = *(const struct diff_group *const *)a;
	const struct diff_group *y = *(const struct diff_group *const *)b;
	const struct diff_key *p = diff_key_of(x);
	const struct diff_key *q = diff_key_of(y);

	return sort_by_print(&p, &q);
}

/* as check does: of several equal ones, the second is "#1" */
static void set_fingerprints(struct diff *d)
{
	size_t n = d->groups[DIFF_SITE].n;
	_free_ struct diff_group **sorted = mem_array(n + 1, sizeof(*sorted));
	unsigned nth = 0;

	for (size_t i = 0; i < n; i++)
		sorted[i] = &d->groups[DIFF_SITE].v[i];
	qsort(sorted, n, sizeof(*sorted), by_print_and_place);
	for (size_t i = 0; i < n; i++) {
		uint64_t print = diff_key_of(sorted[i])->print;
		bool is_again =
			i > 0 && print == diff_key_of(sorted[i - 1])->print;

		nth = is_again ? nth + 1 : 0;
		sorted[i]->fingerprint = print;
		if (nth > 0) {
			_free_ char *suffix = mem_printf("#%u", nth);

			sorted[i]->fingerprint =
				frames_hash_text(print, suffix);
		}
	}
}

static enum diff_state state_of(const struct diff_group *g)
{
	int64_t growth = diff_growth(g);

	/* buffers of 0 bytes are buffers */
	if (growth == 0)
		growth = diff_growth_bufs(g);
	if (g->sum[DIFF_OLD].nbufs == 0 && g->sum[DIFF_NEW].nbufs > 0)
		return STATE_NEW;
	if (g->sum[DIFF_NEW].nbufs == 0 && g->sum[DIFF_OLD].nbufs > 0)
		return STATE_GONE;
	return growth > 0   ? STATE_GROWN
	       : growth < 0 ? STATE_SHRUNK
			    : STATE_SAME;
}

static int sign(int64_t n)
{
	return n < 0 ? -1 : n > 0;
}

/* what grew most, what shrank most, what is the same */
static int by_growth(const void *a, const void *b)
{
	const struct diff_group *x = a;
	const struct diff_group *y = b;
	int64_t m = diff_growth(x);
	int64_t n = diff_growth(y);
	const char *p = diff_key_of(x)->name;
	const char *q = diff_key_of(y)->name;

	if ((x->state == STATE_SAME) != (y->state == STATE_SAME))
		return x->state == STATE_SAME ? 1 : -1;
	if (sign(m) != sign(n))
		return sign(m) > sign(n) ? -1 : 1;
	if (m != n)
		return (m > n) == (m > 0) ? -1 : 1;
	if (x->sum[DIFF_NEW].bytes != y->sum[DIFF_NEW].bytes)
		return x->sum[DIFF_NEW].bytes > y->sum[DIFF_NEW].bytes ? -1 : 1;
	if (x->fingerprint != y->fingerprint)
		return x->fingerprint < y->fingerprint ? -1 : 1;
	return strcmp(p ? p : "", q ? q : "");
}

static void finish_groups(struct diff *d, enum diff_by by)
{
	struct diff_group *v = d->groups[by].v;
	size_t n = d->groups[by].n;

	for (size_t i = 0; i < n; i++) {
		v[i].state = state_of(&v[i]);
		d->nstates[by][v[i].state]++;
	}
	if (n > 0)
		qsort(v, n, sizeof(*v), by_growth);
}

static bool is_over(const struct diff_group *g, uint64_t limit)
{
	int64_t growth = diff_growth(g);

	return growth > 0 && (uint64_t)growth > limit;
}

/* a limit is of each call site; of each cache, when sites are not known */
static void apply_limits(struct diff *d)
{
	enum diff_by by = d->missing[DIFF_SITE] ? DIFF_CACHE : DIFF_SITE;

	d->over_by = by;
	for (size_t i = 0; d->has_limit && i < d->groups[by].n; i++) {
		struct diff_group *g = &d->groups[by].v[i];

		g->is_over = is_over(g, d->limit);
		d->nover += g->is_over;
	}
	d->total.is_over =
		(d->has_limit && is_over(&d->total, d->limit)) ||
		(d->has_total_limit && is_over(&d->total, d->total_limit));
	d->is_over = d->nover > 0 || d->total.is_over;
}

struct err *diff_match(struct diff *d)
{
	struct err *err = compare_programs(d);

	if (err)
		return err;
	d->is_same_process = d->old.pid == d->new.pid &&
			     d->is_same_build &&is_layout_same(d);
	d->missing[DIFF_SITE] = why_no_sites(d);
	if (d->by & 1U << DIFF_TYPE)
		d->missing[DIFF_TYPE] = why_no_types(d);
	for (int by = 0; by < DIFF_BYS; by++)
		match_keys(d, (enum diff_by)by);
	set_fingerprints(d);
	for (size_t i = 0; i < d->old.bufs.n; i++)
		tally(d, &d->old, &d->old.bufs.v[i], DIFF_OLD);
	for (size_t i = 0; i < d->new.bufs.n; i++)
		tally(d, &d->new, &d->new.bufs.v[i], DIFF_NEW);
	if (d->is_same_process)
		tally_addresses(d);
	for (int by = 0; by < DIFF_BYS; by++)
		finish_groups(d, (enum diff_by)by);
	d->total.state = state_of(&d->total);
	apply_limits(d);
	return NULL;
}
