/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The model of object caches: constructed state, constructors that fail, moves,
 * reclaim, and caches of every flag.
 *
 * An object begins with a word that is READY between its constructor and its
 * destructor whenever it is free, and a second one that says, for an object of
 * a cache with a move callback, which slot holds it.
 */
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "verify.h"

#define READY   0x600df00d600df00dUL
#define NO_SLOT UINT64_MAX

struct head {
	uint64_t state;
	uint64_t slot; /* atomic */
};

struct cache {
	kmem_cache_t *cp;
	size_t size, align;
	int cflags;
	int has_ctor, is_movable;
	long nctor, ndtor; /* atomic */
	long nreclaims, nmoves;
};

static struct cache caches[NCACHES];

/** Fails now and then, if the request may. */
static int construct(void *buf, void *priv, int kmflag)
{
	static unsigned long n; /* atomic */
	struct cache *c = priv;
	struct head *h = buf;

	if (c->has_ctor == 2 && (kmflag & KM_NOSLEEP) &&
	    __atomic_add_fetch(&n, 1, __ATOMIC_RELAXED) % 13 == 0)
		return -1;
	h->state = READY;
	__atomic_store_n(&h->slot, NO_SLOT, __ATOMIC_RELAXED);
	__atomic_fetch_add(&c->nctor, 1, __ATOMIC_RELAXED);
	return 0;
}

static void destruct(void *buf, void *priv)
{
	struct cache *c = priv;

	if (((struct head *)buf)->state != READY)
		fail("%s: the destructor finds %lx", c->cp->cache_name,
		     ((struct head *)buf)->state);
	__atomic_fetch_add(&c->ndtor, 1, __ATOMIC_RELAXED);
}

/** Frees one object of the cache, if one is found at once. */
static void reclaim(void *priv)
{
	struct cache *c = priv;

	__atomic_fetch_add(&c->nreclaims, 1, __ATOMIC_RELAXED);
	for (size_t i = 0; i < 64; i++) {
		struct slot *s = &slots[i];
		struct worker nobody = {.state = 1};

		if (!slot_take(s))
			continue;
		if (s->kind == OBJECT && caches[s->which].cp == c->cp) {
			obj_free(&nobody, s);
			i = 64;
		}
		slot_give(s);
	}
}

/* old may be anybody's by now, or nobody's: what it says is a hint */
__attribute__((no_sanitize("thread"))) static uint64_t slot_of(const void *old)
{
	return *(const volatile uint64_t *)&((const struct head *)old)->slot;
}

static kmem_cbrc_t move(void *old, void *to, size_t bytes, void *priv)
{
	struct cache *c = priv;
	uint64_t i = slot_of(old);
	kmem_cbrc_t answer = KMEM_CBRC_DONT_KNOW;
	struct slot *s = &slots[i % NSLOTS];

	if (bytes != c->size || ((struct head *)to)->state != READY)
		fail("%s: moved to %p of %zu", c->cp->cache_name, to, bytes);
	if (i >= NSLOTS)
		return KMEM_CBRC_DONT_KNOW;
	if (!slot_take(s))
		return KMEM_CBRC_LATER;
	if (s->kind == OBJECT && s->p == old) {
		content_check(s);
		if (s->tag % 16 == 0) {
			answer = KMEM_CBRC_NO;
		} else if (s->tag % 16 == 1) {
			((struct head *)old)->state = READY;
			__atomic_store_n(&((struct head *)old)->slot, NO_SLOT,
					 __ATOMIC_RELAXED);
			s->kind = EMPTY;
			answer = KMEM_CBRC_DONT_NEED;
		} else {
			s->p = to;
			content_fill(s, s->tag);
			__atomic_store_n(&((struct head *)to)->slot, i,
					 __ATOMIC_RELAXED);
			((struct head *)old)->state = READY;
			__atomic_store_n(&((struct head *)old)->slot, NO_SLOT,
					 __ATOMIC_RELAXED);
			__atomic_fetch_add(&c->nmoves, 1, __ATOMIC_RELAXED);
			answer = KMEM_CBRC_YES;
		}
	}
	slot_give(s);
	return answer;
}

static void cache_make(struct cache *c, unsigned i)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "stress_%u", i);
	c->cp = kmem_cache_create(name, c->size, c->align,
				  c->has_ctor ? construct : NULL,
				  c->has_ctor ? destruct : NULL,
				  i % 3 ? NULL : reclaim, c, NULL, c->cflags);
	if (c->is_movable)
		kmem_cache_set_move(c->cp, move);
}

void obj_init(struct worker *w)
{
	static const struct cache first[] = {
		{.size = 16, .align = 8},
		{.size = 40, .align = 0, .has_ctor = 1},
		{.size = 64, .align = 64, .has_ctor = 2},
		{.size = 200, .cflags = KMC_NOMAGAZINE},
		{.size = 300, .cflags = KMC_NOHASH, .has_ctor = 1},
		{.size = 24, .cflags = KMC_NODEBUG},
		{.size = 96, .cflags = KMC_NOTOUCH},
		{.size = 48, .cflags = KMC_PREFILL},
		{.size = 80, .has_ctor = 1, .is_movable = 1},
		{.size = 700, .has_ctor = 1, .is_movable = 1},
		{.size = 3000},
		{.size = 20000, .has_ctor = 2},
	};
	unsigned n = sizeof(first) / sizeof(*first);

	for (unsigned i = 0; i < NCACHES; i++) {
		struct cache *c = &caches[i];

		if (i < n) {
			*c = first[i];
		} else {
			/* any size, any combination of checks */
			c->size = 16 + below(w, 4000);
			c->align = (size_t)8 << below(w, 6);
			c->has_ctor = (int)below(w, 3);
			c->cflags = (int)draw(w) &
				    (KMF_AUDIT | KMF_DEADBEEF | KMF_REDZONE |
				     KMF_CONTENTS | KMF_NOMAGAZINE | KMF_LITE);
		}
		cache_make(c, i);
	}
}

void obj_fini(void)
{
	for (unsigned i = 0; i < NCACHES; i++) {
		struct cache *c = &caches[i];

		kmem_cache_destroy(c->cp);
		if (c->nctor != c->ndtor)
			fail("stress_%u: %ld constructed, %ld destroyed", i,
			     c->nctor, c->ndtor);
	}
}

void obj_alloc(struct worker *w, struct slot *s)
{
	unsigned which = (unsigned)below(w, NCACHES);
	struct cache *c = &caches[which];
	int kmflag = pick_kmflag(w);
	void *p = kmem_cache_alloc(c->cp, kmflag);
	struct head *h = p;

	if (!p) {
		if (c->has_ctor != 2 || !(kmflag & KM_NOSLEEP))
			refused(w, kmflag, c->size);
		return;
	}
	if ((uintptr_t)p & ((c->align ? c->align : 8) - 1))
		fail("%p of %s is not aligned", p, c->cp->cache_name);
	if (c->has_ctor && h->state != READY)
		fail("%p of %s is not constructed", p, c->cp->cache_name);
	s->kind = OBJECT;
	s->p = p;
	s->which = which;
	s->size = c->size;
	s->bytes = c->size;
	w->count[OBJECT]++;
	if (c->is_movable)
		__atomic_store_n(&h->slot, (uint64_t)(s - slots),
				 __ATOMIC_RELAXED);
}

void obj_free(struct worker *w, struct slot *s)
{
	struct cache *c = &caches[s->which];
	struct head *h = s->p;

	if (c->is_movable && below(w, 8) == 0)
		kmem_cache_move_notify(c->cp, s->p);
	if (c->has_ctor) {
		h->state = READY;
		__atomic_store_n(&h->slot, NO_SLOT, __ATOMIC_RELAXED);
	}
	s->kind = EMPTY;
	kmem_cache_free(c->cp, s->p);
}

/** A cache that lives as long as this call. */
static void short_life(struct worker *w)
{
	void *p[40];
	size_t size = 8 + below(w, 2000);
	kmem_cache_t *cp =
		kmem_cache_create("stress_short", size, 0, NULL, NULL, NULL,
				  NULL, NULL, (int)draw(w) & KMC_NOMAGAZINE);

	for (int i = 0; i < 40; i++) {
		p[i] = kmem_cache_alloc(cp, KM_SLEEP);
		memset(p[i], i, size);
	}
	for (int i = 0; i < 40; i++)
		kmem_cache_free(cp, p[i]);
	kmem_cache_destroy(cp);
}

void obj_upkeep(struct worker *w)
{
	struct cache *c = &caches[below(w, NCACHES)];

	switch (below(w, 8)) {
	case 0:
		kmem_reap();
		break;
	case 1:
		kmem_reap_idspace();
		break;
	case 2:
		short_life(w);
		break;
	case 3:
		if (kmem_cache_stat(c->cp, "buf_size") != c->size)
			fail("%s: buf_size", c->cp->cache_name);
		break;
	default:
		kmem_cache_reap_now(c->cp);
	}
}

/* ---- what the allocator says ---- */

struct found {
	struct cache *c;
	size_t n;
	int nbad;
};

static void find(void *buf, void *arg)
{
	struct found *f = arg;

	f->n++;
	for (size_t i = 0; i < NSLOTS; i++)
		if (slots[i].kind == OBJECT && slots[i].p == buf &&
		    &caches[slots[i].which] == f->c)
			return;
	fprintf(stderr, "%s: %p is live, the model has it not\n",
		f->c->cp->cache_name, buf);
	f->nbad++;
}

int obj_compare(void)
{
	int nbad = 0;

	for (unsigned i = 0; i < NCACHES; i++) {
		struct cache *c = &caches[i];
		struct found f = {.c = c};
		size_t n = 0;

		for (size_t k = 0; k < NSLOTS; k++) {
			if (slots[k].kind != OBJECT || slots[k].which != i)
				continue;
			content_check(&slots[k]);
			n++;
		}
		verify_buffers(c->cp, find, NULL, &f);
		if (f.n != n || kmem_cache_stat(c->cp, "buf_inuse") != n) {
			fprintf(stderr, "%s: %zu live, the model has %zu\n",
				c->cp->cache_name, f.n, n);
			f.nbad++;
		}
		nbad += f.nbad;
	}
	return nbad;
}
