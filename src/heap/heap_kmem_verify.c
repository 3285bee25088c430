/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is damaged: the buffers of caches with guards, compared with what they
 * should hold (heap_kmem_expect.c), and the structures.
 *
 * Of the structures, what could not be read at all was noted while loading; here
 * the numbers they hold of each other are compared.  That is done only when
 * nobody was in the middle of changing them.
 */
#include <stdio.h>
#include <string.h>
#include "base/interrupt.h"
#include "heap/heap_kmem_impl.h"

#define TAG_MAX 64

struct verifier {
	struct kmem_heap *kh;
	heap_finding_fn *fn;
	void *arg;
};

uint64_t kmem_requested(struct kmem_heap *kh, const struct kmem_slab *s,
			uint64_t i)
{
	const struct kmem_cache *kc = &kh->caches.v[s->cache];
	struct kmem_tag tag = {0};
	uint64_t asked = 0;

	if (s->first_asked == NO_INDEX)
		return kc->pub.bufsize_bytes;
	if (kh->asked.v[s->first_asked + i])
		return kh->asked.v[s->first_asked + i] - 1U;
	if (kmem_read_tag(kh, kc, s->base + i * kc->chunk_bytes, &tag) &&
	    kmem_decode_size(kh, kc, tag.redzone, &asked))
		return asked;
	return kc->pub.bufsize_bytes;
}

/* ---- buffers --------------------------------------------------------- */

static struct err *report(struct verifier *v, const struct kmem_cache *kc,
			  const struct heap_buf *b, taddr_t at,
			  const char *what)
{
	struct heap_finding f = {
		.addr = b->addr,
		.cache = kc->pub.addr,
		.kind = FINDING_BUFFER,
		.state = b->state,
		.at = at,
	};
	const char *state = b->state == BUF_ALLOCATED ? "allocated" : "free";

	kmem_expect_all(v->kh, kc, b, f.want);
	snprintf(f.text, sizeof(f.text), "buffer %" PRIx64 " (%s) %s", b->addr,
		 state, what);
	return v->fn(v->arg, &f);
}

/* first of n bytes at "at", which p holds, that is not of the pattern; 0 none */
static taddr_t first_other(const unsigned char *p, taddr_t at, uint64_t n,
			   uint64_t pattern)
{
	for (uint64_t i = 0; i < n;) {
		uint64_t word = 0;

		if ((at + i) % 8 == 0 && n - i >= 8) {
			memcpy(&word, p + i, sizeof(word));
			if (word == pattern) {
				i += 8;
				continue;
			}
		}
		if (p[i] != ((pattern >> ((at + i) % 8 * 8)) & 0xff))
			return at + i;
		i++;
	}
	return 0;
}

/* First byte that is not as it should be; 0 none.  Advice on a page makes maps of
 * what the allocator has as one. */
static taddr_t first_modified(struct kmem_heap *kh,
			      const struct heap_expect *want)
{
	taddr_t at = want->from;
	taddr_t found = 0;

	while (!found && at < want->to) {
		size_t len = 0;
		const unsigned char *p = target_peek(kh->t, at, &len);

		if (!p)
			return 0;
		if (len > want->to - at)
			len = want->to - at;
		found = first_other(p, at, len, want->word);
		at += len;
	}
	return found;
}

/* a finding that says where */
static struct err *report_at(struct verifier *v, const struct kmem_cache *kc,
			     const struct heap_buf *b, taddr_t at,
			     const char *what)
{
	char text[TAG_MAX];

	snprintf(text, sizeof(text), "%s, at %" PRIx64, what, at);
	return report(v, kc, b, at, text);
}

static struct err *verify_free(struct verifier *v, const struct kmem_cache *kc,
			       const struct heap_buf *b,
			       const struct kmem_tag *tag)
{
	struct kmem_heap *kh = v->kh;
	struct heap_expect want = kmem_body_of(kh, kc, b);
	taddr_t at = first_modified(kh, &want);

	if (at)
		return report_at(v, kc, b, at, "seems corrupted");
	if (!kmem_has_free_link(kc, b) && tag->redzone != kh->num.redzone)
		return report(v, kc, b, b->addr + kc->buftag_off,
			      "seems to have a corrupt redzone pattern");
	if ((tag->bufctl ^ tag->bxstat) != kh->num.buftag_free ||
	    (kc->pub.has_hash && b->ctl && tag->bufctl != b->ctl))
		return report(v, kc, b, b->addr + kc->buftag_off + 8,
			      "has a corrupt buftag");
	return NULL;
}

static struct err *verify_redzone(struct verifier *v,
				  const struct kmem_cache *kc,
				  const struct heap_buf *b,
				  const struct kmem_tag *tag)
{
	static const char signature[] = "has a corrupt redzone signature";
	struct kmem_heap *kh = v->kh;
	uint64_t asked = 0;

	if (!kmem_decode_size(kh, kc, tag->redzone, &asked))
		return report(v, kc, b, b->addr + kc->buftag_off,
			      "has a corrupt redzone size encoding");
	struct heap_expect want = kmem_mark_of(kh, b, asked);
	taddr_t at = first_modified(kh, &want);

	if (at)
		return report(v, kc, b, at, signature);
	want = kmem_zone_of(kh, kc, b, asked);
	if (first_modified(kh, &want))
		return report(v, kc, b, want.from, signature);
	want = kmem_slack_of(kh, kc, b, asked);
	at = first_modified(kh, &want);
	return at ? report_at(v, kc, b, at, "has been written past its end")
		  : NULL;
}

/* the redzone of a request that fills the object, between the two writes that
 * mark or unmark its end */
static bool is_being_marked(const struct kmem_heap *kh,
			    const struct kmem_cache *kc,
			    const struct kmem_tag *tag)
{
	return kc->pub.bufsize_bytes == kc->buftag_off &&
	       tag->redzone ==
		       ((kh->num.redzone & ~0xffULL) | kh->num.redzone_byte);
}

/* a buffer in transit may be anywhere between free and allocated, but what no
 * step of the way touches must be whole */
static struct err *verify_transit(struct verifier *v,
				  const struct kmem_cache *kc,
				  const struct heap_buf *b,
				  const struct kmem_tag *tag)
{
	struct kmem_heap *kh = v->kh;
	uint64_t x = tag->bufctl ^ tag->bxstat;

	if (!kc->is_lite && tag->redzone != kh->num.redzone &&
	    !is_being_marked(kh, kc, tag))
		return report(v, kc, b, b->addr + kc->buftag_off,
			      "seems to have a corrupt redzone pattern");
	if ((x != kh->num.buftag_free && x != kh->num.buftag_alloc) ||
	    (kc->pub.has_hash && b->ctl && tag->bufctl != b->ctl))
		return report(v, kc, b, b->addr + kc->buftag_off + 8,
			      "has a corrupt buftag");
	return NULL;
}

static struct err *verify_allocated(struct verifier *v,
				    const struct kmem_cache *kc,
				    const struct heap_buf *b,
				    const struct kmem_tag *tag)
{
	struct kmem_heap *kh = v->kh;

	if (tag->redzone == kh->num.redzone) {
		/* an object, which may end before its redzone */
		struct heap_expect want =
			kmem_slack_of(kh, kc, b, kc->pub.bufsize_bytes - 1);
		taddr_t at = first_modified(kh, &want);

		if (at)
			return report_at(v, kc, b, at,
					 "has been written past its end");
	} else if (!is_being_marked(kh, kc, tag)) {
		struct err *err = verify_redzone(v, kc, b, tag);

		if (err)
			return err;
	}
	if ((tag->bufctl ^ tag->bxstat) != kh->num.buftag_alloc ||
	    (kc->pub.has_hash && b->ctl && tag->bufctl != b->ctl))
		return report(v, kc, b, b->addr + kc->buftag_off + 8,
			      "has a corrupt buftag");
	return NULL;
}

struct cache_arg {
	struct verifier *v;
	const struct kmem_cache *kc;
};

static struct err *verify_buf(void *arg, const struct heap_buf *b)
{
	struct cache_arg *c = arg;
	struct kmem_tag tag = {0};
	struct heap_expect want = kmem_padding_of(c->v->kh, c->kc, b->addr);
	taddr_t at = first_modified(c->v->kh, &want);

	if (at)
		return report_at(c->v, c->kc, b, at,
				 "has been written before its start");
	want = kmem_tail_of(c->v->kh, c->kc, b->addr);
	at = first_modified(c->v->kh, &want);
	if (at)
		return report_at(c->v, c->kc, b, at, "has a corrupt padding");
	/* not in the dump: said elsewhere */
	if (!kmem_read_tag(c->v->kh, c->kc, b->addr, &tag))
		return NULL;
	if (b->state == BUF_TRANSIT)
		return verify_transit(c->v, c->kc, b, &tag);
	return b->state == BUF_ALLOCATED
		       ? verify_allocated(c->v, c->kc, b, &tag)
		       : verify_free(c->v, c->kc, b, &tag);
}

/* a large request: a mark and fresh memory behind it, to the end of a page */
static struct err *verify_big(struct verifier *v, const struct kmem_big *big)
{
	struct kmem_heap *kh = v->kh;
	const struct kmem_arena *a = kmem_arena_at(kh, big->arena);
	uint64_t q = a ? a->pub.quantum_bytes : 1;
	taddr_t end = (big->end + kh->oversize_tag_bytes + q - 1) & -q;
	struct heap_expect want = {big->end + 1, end, kh->num.uninitialized};
	taddr_t at = first_modified(kh, &want);
	size_t len = 0;
	const unsigned char *mark = target_peek(kh->t, big->end, &len);
	struct heap_finding f = {
		.addr = big->start,
		.cache = big->arena,
		.is_large = true,
		.kind = FINDING_BUFFER,
		.state = BUF_ALLOCATED,
	};

	if (!big->has_guard)
		return NULL;
	if (mark && len && *mark != (kh->num.redzone_byte & 0xff))
		at = big->end;
	if (!at)
		return NULL;
	f.at = at;
	f.want[0] = (struct heap_expect){big->end, big->end + 1,
					 (kh->num.redzone_byte & 0xff) *
						 EVERY_BYTE};
	f.want[1] = want;
	snprintf(f.text, sizeof(f.text),
		 "buffer %" PRIx64
		 " (allocated) has been written past its end, at %" PRIx64,
		 big->start, at);
	return v->fn(v->arg, &f);
}

/* ---- structures ------------------------------------------------------ */

__attribute__((format(printf, 4, 5))) static struct err *
structure(struct verifier *v, taddr_t addr, taddr_t cache, const char *fmt, ...)
{
	struct heap_finding f = {
		.addr = addr,
		.cache = cache,
		.kind = FINDING_STRUCTURE,
	};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f.text, sizeof(f.text), fmt, ap);
	va_end(ap);
	return v->fn(v->arg, &f);
}

static struct err *count(struct verifier *v, const struct kmem_cache *kc,
			 const char *what, uint64_t says, uint64_t is)
{
	if (says == is)
		return NULL;
	return structure(v, kc->pub.addr, kc->pub.addr,
			 "cache %s: %s is %" PRIu64 ", found %" PRIu64,
			 kc->name, what, says, is);
}

static struct err *verify_counts(struct verifier *v,
				 const struct kmem_cache *kc)
{
	uint64_t nbufs = 0;
	uint64_t nused = 0;
	struct err *err = NULL;

	for (size_t i = 0; i < kc->nslabs; i++) {
		const struct kmem_slab *s = &v->kh->slabs.v[kc->first_slab + i];

		nbufs += s->nbufs;
		nused += s->nused;
		if (s->is_complete != (s->nused == s->nbufs))
			err = structure(v, s->addr, kc->pub.addr,
					"cache %s: slab 0x%" PRIx64
					" is in the wrong list",
					kc->name, s->addr);
		if (err)
			return err;
	}
	err = count(v, kc, "cache_buftotal", kc->pub.buftotal, nbufs);
	if (!err)
		err = count(v, kc, "number of slabs",
			    kc->pub.slabs_created - kc->pub.slabs_destroyed,
			    kc->nslabs);
	if (!err && kc->is_hash)
		err = count(v, kc, "number of hash entries", nused,
			    kc->nhashed);
	return err;
}

/* one arena, segment by segment */
struct arena_arg {
	struct verifier *v;
	const struct kmem_arena *a;
	uint64_t quantum_bytes;
	taddr_t cursor, end; /* of the span we are in */
	uint64_t total_bytes, inuse_bytes;
	bool is_after_free;
	bool is_in_span;
};

static struct err *end_span(struct arena_arg *c)
{
	if (!c->is_in_span || c->cursor == c->end)
		return NULL;
	return structure(c->v, c->a->pub.addr, 0,
			 "arena %s: segments of a span end at 0x%" PRIx64
			 ", the span at 0x%" PRIx64,
			 c->a->name, c->cursor, c->end);
}

static struct err *verify_piece(struct arena_arg *c,
				const struct heap_segment *s)
{
	uint64_t q = c->quantum_bytes;
	taddr_t start = c->cursor;

	c->cursor = (s->end + q - 1) & -q;
	if (s->start != start)
		return structure(c->v, s->addr, 0,
				 "arena %s: segment 0x%" PRIx64
				 " starts at 0x%" PRIx64 ", not 0x%" PRIx64,
				 c->a->name, s->addr, s->start, start);
	if (s->type == SEG_FREE && c->is_after_free)
		return structure(c->v, s->addr, 0,
				 "arena %s: free segment 0x%" PRIx64
				 " follows a free one",
				 c->a->name, s->addr);
	c->is_after_free = s->type == SEG_FREE;
	if (s->type == SEG_ALLOC)
		c->inuse_bytes += s->end - s->start;
	return NULL;
}

static struct err *verify_segment(void *arg, const struct heap_segment *s)
{
	struct arena_arg *c = arg;
	struct err *err = NULL;

	switch (s->type) {
	case SEG_SPAN:
		err = end_span(c);
		c->is_in_span = true;
		c->cursor = s->start;
		c->end = s->end;
		c->total_bytes += s->end - s->start;
		c->is_after_free = false;
		break;
	case SEG_ALLOC:
	case SEG_FREE:
		err = verify_piece(c, s);
		break;
	case SEG_ROTOR:
	case SEG_WALKER: /* a marker may part two free segments */
		c->is_after_free = false;
		break;
	}
	return err;
}

static struct err *verify_arena(struct verifier *v, const struct kmem_arena *a)
{
	uint64_t q = a->pub.quantum_bytes;
	struct arena_arg c = {.v = v, .a = a, .quantum_bytes = q};
	uint64_t nmet = v->kh->nmet;

	if (q == 0 || (q & (q - 1)))
		return structure(v, a->pub.addr, 0,
				 "arena %s: quantum %" PRIu64
				 " is no power of two",
				 a->name, q);
	struct err *err = kmem_segments(v->kh->heap, a->pub.addr, ~0u,
					verify_segment, &c);

	/* a ring that could not be walked to its end adds up to nothing */
	if (err || v->kh->nmet != nmet)
		return err;
	err = end_span(&c);
	if (!err && c.total_bytes != a->pub.total_bytes)
		err = structure(v, a->pub.addr, 0,
				"arena %s: spans add up to %" PRIu64
				" bytes, not %" PRIu64,
				a->name, c.total_bytes, a->pub.total_bytes);
	if (!err && c.inuse_bytes != a->pub.inuse_bytes)
		err = structure(v, a->pub.addr, 0,
				"arena %s: allocated segments add up to "
				"%" PRIu64 " bytes, not %" PRIu64,
				a->name, c.inuse_bytes, a->pub.inuse_bytes);
	return err;
}

/* ---- everything ------------------------------------------------------ */

static struct err *verify_cache(struct verifier *v, const struct kmem_cache *kc)
{
	struct cache_arg arg = {v, kc};
	struct err *err = NULL;

	if (kc->has_buftag && kc->is_usable)
		err = kmem_doubtful_bufs(v->kh, kc, verify_buf, &arg);
	if (!err && kc->is_usable && v->kh->heap->health.is_quiescent)
		err = verify_counts(v, kc);
	return err;
}

struct err *kmem_verify(struct heap *heap, taddr_t cache, heap_finding_fn *fn,
			void *arg)
{
	struct kmem_heap *kh = heap->priv;
	struct verifier v = {kh, fn, arg};
	const struct kmem_cache *kc = NULL;
	struct err *err =
		cache ? kmem_load_cache(kh, cache, &kc) : kmem_load(kh);
	size_t nfindings = 0;

	for (size_t i = 0; !err && i < kh->caches.n; i++)
		if (!kc || kc == &kh->caches.v[i])
			err = verify_cache(&v, &kh->caches.v[i]);
	for (size_t i = 0; !err && !cache && i < kh->bigs.n; i++)
		err = verify_big(&v, &kh->bigs.v[i]);
	for (size_t i = 0;
	     !err && !cache && heap->health.is_quiescent && i < kh->arenas.n;
	     i++)
		err = verify_arena(&v, &kh->arenas.v[i]);
	if (!err && !cache)
		err = kmem_verify_lists(kh);
	/* what loading and the walks above could not make sense of */
	nfindings = kh->findings.n;
	for (size_t i = 0; !err && i < nfindings; i++)
		if (!cache || kh->findings.v[i].cache == cache)
			err = fn(arg, &kh->findings.v[i]);
	return err;
}
