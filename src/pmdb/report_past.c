/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the records of a heap tell of the time before the dump.
 *
 * What lives in the dump is counted; from there the records of the log lead
 * back, newest first: before an allocation there was a buffer less, before a
 * free one more.  Of each slot of time the most there was is kept.  A buffer
 * counts as large as those of its cache are, since of one that was freed no more
 * is known.  Times of which the log has lost records are left out.
 *
 * A free with the allocation before it, of the same address, is a life.
 */
#include <string.h>

#include "base/progress.h"
#include "pmdb/report_impl.h"

struct reader {
	struct heap *heap;
	const struct hash *live; /* cache -> how many are allocated */
	struct past *past;
	struct hash sizes; /* cache -> size of its buffers + 1; 0 not audited */
	struct hash freed; /* buffer -> when; the alloc is still to come */
	uint64_t bytes, nbufs;
	size_t at; /* the slot that is being filled, from the last down */
	uint64_t nseen;
};

uint64_t past_bin_end(unsigned bin)
{
	static const uint64_t ends[PAST_BINS] = {
		1000,        10000,        100000,     1000000,
		10000000,    100000000,    1000000000, 10000000000,
		60000000000, 600000000000, UINT64_MAX,
	};

	return ends[bin];
}

static unsigned bin_of(uint64_t ns)
{
	unsigned bin = 0;

	while (bin < PAST_BINS - 1 && ns >= past_bin_end(bin))
		bin++;
	return bin;
}

/* ---- what lives ------------------------------------------------------ */

static struct err *take_cache(void *arg, const struct heap_cache *c)
{
	struct reader *r = arg;
	const uint64_t *n = hash_get(r->live, c->addr);

	if (c->is_internal || !c->has_audit) {
		*hash_put(&r->sizes, c->addr, NULL) = 0;
		return NULL;
	}
	*hash_put(&r->sizes, c->addr, NULL) = c->bufsize_bytes + 1;
	r->nbufs += n ? *n : 0;
	r->bytes += n ? *n * c->bufsize_bytes : 0;
	return NULL;
}

static void add_ages(struct past *past, uint64_t now, const uint64_t *born_ns,
		     size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!born_ns[i] || born_ns[i] > now)
			continue;
		past->live[bin_of(now - born_ns[i])]++;
		past->nlive++;
	}
}

/* ---- the log --------------------------------------------------------- */

static struct err *find_times(void *arg, const struct heap_audit *a)
{
	struct past *past = arg;

	if (past->nrecords++ == 0 || a->stamp_ns < past->first_ns)
		past->first_ns = a->stamp_ns;
	if (a->stamp_ns > past->last_ns)
		past->last_ns = a->stamp_ns;
	return NULL;
}

static void note(struct reader *r)
{
	if (r->bytes > r->past->slot[r->at].bytes)
		r->past->slot[r->at].bytes = r->bytes;
	if (r->nbufs > r->past->slot[r->at].nbufs)
		r->past->slot[r->at].nbufs = r->nbufs;
}

static void lead_back(struct reader *r, const struct heap_audit *a,
		      uint64_t bytes)
{
	double span = (double)(r->past->last_ns - r->past->first_ns + 1);
	size_t slot = (size_t)((double)(a->stamp_ns - r->past->first_ns) /
			       span * PAST_SLOTS);

	while (r->at > slot) {
		r->at--;
		note(r);
	}
	if (a->what == HEAP_ALLOC) {
		r->nbufs -= r->nbufs > 0;
		r->bytes -= bytes < r->bytes ? bytes : r->bytes;
	} else {
		r->nbufs++;
		r->bytes += bytes;
	}
	note(r);
}

static void take_life(struct reader *r, const struct heap_audit *a)
{
	if (a->what == HEAP_FREE) {
		*hash_put(&r->freed, a->buf, NULL) = a->stamp_ns;
		return;
	}
	uint64_t *freed_ns = hash_get(&r->freed, a->buf);

	if (!freed_ns || *freed_ns < a->stamp_ns)
		return;
	r->past->freed[bin_of(*freed_ns - a->stamp_ns)]++;
	r->past->nfreed++;
	*freed_ns = 0;
}

static struct err *take_record(void *arg, const struct heap_audit *a)
{
	struct reader *r = arg;
	const uint64_t *size = hash_get(&r->sizes, a->cache);

	progress_set("reading the log", r->nseen++, 0);
	if ((size && !*size) ||
	    (a->what != HEAP_ALLOC && a->what != HEAP_FREE) ||
	    a->stamp_ns < r->past->first_ns || a->stamp_ns > r->past->last_ns)
		return NULL;
	lead_back(r, a, size ? *size - 1 : a->large_bytes);
	take_life(r, a);
	return NULL;
}

static struct err *read_log(struct reader *r)
{
	struct heap *heap = r->heap;
	struct past *past = r->past;
	struct heap_coverage covered;
	struct err *err = NULL;

	if (!heap->ops->coverage(heap, &covered)) {
		past->why = "The program ran without a transaction log "
			    "(KMEM_LOGGING=transaction; pmdb run sets it).";
		return NULL;
	}
	err = heap->ops->log(heap, HEAP_LOG_TRANSACTION, 0, find_times, past);
	if (err)
		return err;
	if (covered.since_ns > past->first_ns)
		past->first_ns = covered.since_ns;
	if (covered.since_ns == HEAP_NOT_KNOWN ||
	    past->first_ns >= past->last_ns) {
		past->why = "The transaction log covers no time.";
		return NULL;
	}
	r->at = PAST_SLOTS - 1;
	note(r);
	err = heap->ops->log(heap, HEAP_LOG_TRANSACTION, 0, take_record, r);
	while (!err && r->at > 0) {
		r->at--;
		note(r);
	}
	return err;
}

struct err *past_read(const struct page *p, struct past *ret)
{
	struct heap *heap = p->e.heap;
	struct reader r = {.heap = heap,
			   .live = &p->live,
			   .past = ret,
			   .nbufs = p->nlarge,
			   .bytes = p->large_bytes};
	struct err *err = NULL;

	*ret = (struct past){.why = "This allocator keeps no log."};
	if (!heap->ops->audit)
		return NULL;
	hash_init(&r.sizes);
	hash_init(&r.freed);
	err = heap->ops->caches(heap, take_cache, &r);
	add_ages(ret, heap->health.now_ns, p->profile.born_ns,
		 p->e.leaks->set->n);
	if (!err && heap->ops->log && heap->ops->coverage) {
		ret->why = NULL;
		err = read_log(&r);
	}
	hash_fini(&r.sizes);
	hash_fini(&r.freed);
	return err;
}
