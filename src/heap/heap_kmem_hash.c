/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The hash table of a cache, as a whole and on all processors: which of its
 * buffers the slab layer has given out, and their bufctls.
 *
 * Where the next bufctl of a chain is is known when the one before it has come
 * from memory.  So as many chains are followed side by side as misses can be
 * under way.
 *
 * It is all or nothing.  A table is taken when each entry names a buffer of the
 * cache, and as many buffers are named as there are entries: then none is named
 * twice, though nobody looked for that.  Otherwise everything is put back, and
 * heap_kmem_load.c walks the chains one by one and says what is wrong.
 */
#include <string.h>
#include "base/jobs.h"
#include "heap/heap_kmem_impl.h"

/* buckets that one thread does at a time */
#define BUCKETS 2048u
/* chains that one thread follows side by side */
#define FOLLOWERS 16u

struct table {
	struct kmem_heap *kh;
	size_t cache;
	const unsigned char *heads;
	uint64_t nheads;
	uint64_t nbufs;     /* of the cache: no more entries can there be */
	uint64_t *nentries; /* of each item; BAD */
};

#define BAD UINT64_MAX

struct chains {
	const struct table *t;
	const struct kmem_cache *kc;
	struct kmem_look look;
	uint32_t next_off, addr_off; /* in a bufctl */
	uint64_t nentries;
	struct {
		taddr_t ctl;
		const unsigned char *raw; /* NULL: the chain has ended */
	} at[FOLLOWERS];
};

/* a chain goes on at a bufctl; false: that cannot be */
static bool go_on(struct chains *c, unsigned i, taddr_t ctl)
{
	uint64_t n = c->t->kh->names.struct_bytes[K_kmem_bufctl];

	c->at[i].ctl = ctl;
	c->at[i].raw = NULL;
	if (!ctl)
		return true;
	c->at[i].raw = kmem_look(&c->look, ctl, n);
	if (!c->at[i].raw || c->nentries++ == c->t->nbufs)
		return false;
	__builtin_prefetch(c->at[i].raw);
	return true;
}

/* a buffer that is in the table, with its bufctl; false: it is none */
static bool take(struct chains *c, taddr_t buf, taddr_t ctl)
{
	struct kmem_heap *kh = c->t->kh;
	struct kmem_slab *s = NULL;
	const uint8_t *state = kmem_state_of(kh, c->t->cache, buf, &s);

	if (!state)
		return false;
	uint64_t i = (uint64_t)(state - kh->state.v) - s->first_state;

	/* one that is named twice is told by the sum */
	__atomic_store_n(&kh->state.v[s->first_state + i], BUF_ALLOCATED,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&kh->ctl.v[s->first_ctl + i], ctl, __ATOMIC_RELAXED);
	return true;
}

/* one step of one chain */
static bool follow(struct chains *c, unsigned i)
{
	const unsigned char *raw = c->at[i].raw;

	return take(c, kmem_word(raw + c->addr_off), c->at[i].ctl) &&
	       go_on(c, i, kmem_word(raw + c->next_off));
}

static void follow_some(void *arg, size_t item)
{
	const struct table *t = arg;
	struct chains c = {
		.t = t,
		.kc = &t->kh->caches.v[t->cache],
		.look = {.t = t->kh->t},
		.next_off =
			t->kh->names.row[F_kmem_bufctl_bc_next].offset_bytes,
		.addr_off =
			t->kh->names.row[F_kmem_bufctl_bc_addr].offset_bytes,
	};
	uint64_t next = item * BUCKETS;
	uint64_t end = t->nheads - next < BUCKETS ? t->nheads : next + BUCKETS;
	bool is_good = true;

	for (unsigned k = 0, nidle = 0; is_good && nidle < FOLLOWERS; k++) {
		unsigned i = k % FOLLOWERS;
		taddr_t head = 0;

		if (c.at[i].raw) {
			is_good = follow(&c, i);
			nidle = 0;
			continue;
		}
		for (; !head && next < end; next++)
			memcpy(&head, t->heads + next * 8, sizeof(head));
		nidle = head ? 0 : nidle + 1;
		is_good = go_on(&c, i, head);
	}
	t->nentries[item] = is_good ? c.nentries : BAD;
	target_passed_share(t->kh->t, 16);
}

/* how many buffers of a cache are known to be given out */
static uint64_t count_taken(const struct kmem_heap *kh,
			    const struct kmem_cache *kc)
{
	uint64_t n = 0;

	for (size_t i = 0; i < kc->nslabs; i++) {
		const struct kmem_slab *s = &kh->slabs.v[kc->first_slab + i];

		for (uint32_t k = 0; k < s->nbufs; k++)
			n += kh->state.v[s->first_state + k] == BUF_ALLOCATED;
	}
	return n;
}

static void put_back(struct kmem_heap *kh, const struct kmem_cache *kc)
{
	for (size_t i = 0; i < kc->nslabs; i++) {
		const struct kmem_slab *s = &kh->slabs.v[kc->first_slab + i];

		memset(kh->state.v + s->first_state, STATE_UNKNOWN, s->nbufs);
		memset(kh->ctl.v + s->first_ctl, 0,
		       s->nbufs * sizeof(*kh->ctl.v));
	}
}

struct err *kmem_load_table(struct kmem_heap *kh, size_t cache, bool *ret_is)
{
	struct kmem_cache *kc = &kh->caches.v[cache];
	struct kmem_look look = {.t = kh->t};
	struct table t = {.kh = kh, .cache = cache};
	uint64_t sum = 0;

	*ret_is = false;
	t.nheads = kc->hash_mask + 1;
	if (t.nheads == 0 || t.nheads > kh->total_bytes / 8 ||
	    !kmem_is_word(kh, F_kmem_bufctl_bc_next) ||
	    !kmem_is_word(kh, F_kmem_bufctl_bc_addr))
		return NULL;
	t.heads = kmem_look(&look, kc->hash_table, t.nheads * 8);
	if (!t.heads)
		return NULL;
	for (size_t i = 0; i < kc->nslabs; i++)
		t.nbufs += kh->slabs.v[kc->first_slab + i].nbufs;
	size_t nitems = (t.nheads + BUCKETS - 1) / BUCKETS;
	_free_ uint64_t *nentries = mem_array(nitems, sizeof(*nentries));

	t.nentries = nentries;
	struct err *err = jobs_each("reading hash tables", nitems, BUCKETS,
				    follow_some, &t);

	*ret_is = true;
	for (size_t i = 0; i < nitems; i++) {
		*ret_is = *ret_is && nentries[i] != BAD;
		sum += nentries[i];
	}
	*ret_is = *ret_is && sum == count_taken(kh, kc);
	if (*ret_is)
		kc->nhashed = sum;
	else
		put_back(kh, kc);
	return err;
}
