/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Two dumps brought together.
 *
 * A buffer of the old dump is still there in the new one when both are of one
 * process, its address is, and the record of its allocation is the same: time
 * stamp and thread.  With another record it was replaced.  Where nothing was
 * recorded, an address that is in both dumps says neither.
 *
 * Both dumps are of one process when the ids are equal, the program is where it
 * was, and so is some library: the loader puts them elsewhere in each run.
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

/* Is the program where it was, and some library?  Not all need be: a process may
 * have closed one and opened it again. */
static bool is_layout_same(const struct diff *d)
{
	bool has_moved = false;
	bool has_stayed = false;

	if (!d->is_same_build ||
	    exec_of(&d->old)->start != exec_of(&d->new)->start)
		return false;
	for (size_t i = 0; i < d->old.objects.n; i++) {
		const struct diff_object *a = &d->old.objects.v[i];

		for (size_t j = 0; j < d->new.objects.n; j++) {
			const struct diff_object *b = &d->new.objects.v[j];

			if (a->is_exec || strcmp(a->path, b->path) != 0)
				continue;
			has_moved |= a->start != b->start;
			has_stayed |= a->start == b->start;
		}
	}
	return has_stayed || !has_moved;
}

/* files that are in both dumps; where there is no build-id, only a process can
 * say that it is one */
static void find_common(struct diff *d)
{
	for (size_t i = 0; i < d->old.objects.n; i++) {
		struct diff_object *a = &d->old.objects.v[i];

		for (size_t j = 0; j < d->new.objects.n; j++) {
			struct diff_object *b = &d->new.objects.v[j];

			if (!is_same_file(a, b) &&
			    !(d->is_same_process && a->start == b->start))
				continue;
			a->is_common = true;
			b->is_common = true;
		}
	}
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

	if (!d->new.can_audit)
		return mem_printf("%s records no stacks", d->new.allocator);
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
	d->is_same_process = d->old.pid == d->new.pid &&is_layout_same(d);
	find_common(d);
	d->missing[DIFF_SITE] = why_no_sites(d);
	if (d->by & 1U << DIFF_TYPE)
		d->missing[DIFF_TYPE] = why_no_types(d);
	for (int by = 0; by < DIFF_BYS; by++)
		diff_match_keys(d, (enum diff_by)by);
	diff_set_fingerprints(d);
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
