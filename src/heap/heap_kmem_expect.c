/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a buffer of a cache with guards should hold, and what lies around it.
 *
 *   | object ........ |bb| slack | redzone w0 w1 | bt_bufctl | bt_bxstat | pad |
 *   0               asked        cache_buftag
 *
 * A free buffer is full of the free pattern and has an untouched redzone.  Of
 * an allocated one, w1 tells what was asked for (kp_size_mul * n + 1) and the
 * byte behind that is kp_redzone_byte; or the whole redzone is untouched, when
 * the buffer came from kmem_cache_alloc(), and its slack begins where the object
 * ends.  bt_bxstat is bt_bufctl exclusive-or a word that says which of the two
 * the buffer is.  A free buffer of a raw cache keeps its free-list link in the
 * redzone; that of a lite cache its first word.
 *
 * Nobody writes to the slack, as malloc_usable_size() tells what was asked for,
 * nor to the padding that rounds a chunk to its alignment or the colour in front
 * of the first: they keep the pattern of memory not yet used.  The padding is
 * counted to the buffer behind it, since a write over the end of the one before
 * it would have met its tag first.  Behind the last buffer of a slab it is that
 * buffer's: who writes there may have meant the one that begins there.
 */
#include "heap/heap_kmem_impl.h"

/* ---- tags ------------------------------------------------------------ */

bool kmem_read_tag(struct kmem_heap *kh, const struct kmem_cache *kc,
		   taddr_t buf, struct kmem_tag *ret)
{
	const void *raw = kmem_peek(kh, K_kmem_buftag, buf + kc->buftag_off);

	if (!raw)
		return false;
	ret->redzone = kmem_get(kh, F_kmem_buftag_bt_redzone, raw);
	ret->bufctl = kmem_get(kh, F_kmem_buftag_bt_bufctl, raw);
	ret->bxstat = kmem_get(kh, F_kmem_buftag_bt_bxstat, raw);
	return true;
}

/* the size a redzone says was asked for; false when it says none */
bool kmem_decode_size(const struct kmem_heap *kh, const struct kmem_cache *kc,
		      uint64_t redzone, uint64_t *ret)
{
	uint64_t code = redzone >> 32;
	uint64_t mul = kh->num.size_mul;

	if (mul == 0 || redzone == kh->num.redzone || code % mul != 1 ||
	    code / mul > kc->pub.bufsize_bytes)
		return false;
	*ret = code / mul;
	return true;
}

/* ---- what should be there -------------------------------------------- */

/* what lies in front of a buffer, behind the tag of the one before it or the
 * start of the slab */
struct heap_expect kmem_padding_of(const struct kmem_heap *kh,
				   const struct kmem_cache *kc, taddr_t buf)
{
	const struct kmem_slab *s = kmem_slab_at(kh, buf);
	struct heap_expect want = {buf, buf, kh->num.uninitialized};

	if (!kc->has_deadbeef || !s)
		return want;
	if (buf == s->base)
		want.from = buf & -kc->quantum_bytes;
	else
		want.from = buf - kc->chunk_bytes + kc->buftag_off +
			    kh->names.struct_bytes[K_kmem_buftag];
	return want;
}

/* the same behind the tag of the last buffer of a slab, to the slab's end */
struct heap_expect kmem_tail_of(const struct kmem_heap *kh,
				const struct kmem_cache *kc, taddr_t buf)
{
	const struct kmem_slab *s = kmem_slab_at(kh, buf);
	struct heap_expect want = {buf, buf, kh->num.uninitialized};
	taddr_t end = buf + kc->chunk_bytes;

	if (!kc->has_deadbeef || !s ||
	    end != s->base + s->nbufs * kc->chunk_bytes)
		return want;
	/* without a hash the slab's header is there */
	if (kc->pub.has_hash)
		end = (s->base & -kc->quantum_bytes) + kc->slab_bytes;
	want.from =
		buf + kc->buftag_off + kh->names.struct_bytes[K_kmem_buftag];
	want.to = end;
	return want;
}

/* on its slab's free list a raw buffer has the link in the redzone, and a lite
 * one never had a redzone */
bool kmem_has_free_link(const struct kmem_cache *kc, const struct heap_buf *b)
{
	return kc->is_lite || (!kc->pub.has_hash && b->state == BUF_FREE_SLAB);
}

/* a free buffer, as much of it as is filled */
struct heap_expect kmem_body_of(const struct kmem_heap *kh,
				const struct kmem_cache *kc,
				const struct heap_buf *b)
{
	uint64_t n = kc->is_lite ? 8 : kc->verify_bytes;
	struct heap_expect want = {b->addr, b->addr, kh->num.free};

	if (kc->has_deadbeef)
		want.to += n;
	return want;
}

/* the byte behind what was asked for */
struct heap_expect kmem_mark_of(const struct kmem_heap *kh,
				const struct heap_buf *b, uint64_t asked)
{
	return (struct heap_expect){b->addr + asked, b->addr + asked + 1,
				    (kh->num.redzone_byte & 0xff) * EVERY_BYTE};
}

/* what was filled when it was allocated and is nobody's since */
struct heap_expect kmem_slack_of(const struct kmem_heap *kh,
				 const struct kmem_cache *kc,
				 const struct heap_buf *b, uint64_t asked)
{
	struct heap_expect want = {.word = kh->num.uninitialized};
	uint64_t n = kc->verify_bytes;

	want.from = want.to = b->addr + asked + 1;
	if (n > kc->buftag_off)
		n = kc->buftag_off;
	if (kc->has_deadbeef && !kc->is_lite && n > asked + 1)
		want.to = b->addr + n;
	return want;
}

/* the half of the redzone that does not say the size */
struct heap_expect kmem_zone_of(const struct kmem_heap *kh,
				const struct kmem_cache *kc,
				const struct heap_buf *b, uint64_t asked)
{
	taddr_t zone = b->addr + kc->buftag_off;
	struct heap_expect want = {zone, zone + 4, kh->num.redzone};
	uint64_t mark = kh->num.redzone_byte & 0xff;

	/* a request that fills the object has its mark in the redzone */
	if (asked >= kc->buftag_off && asked < kc->buftag_off + 4) {
		unsigned shift = 8 * (unsigned)(asked - kc->buftag_off);

		want.word = (want.word & ~(0xffULL << shift)) | mark << shift;
	}
	return want;
}

struct expects {
	struct heap_expect *v;
	size_t n;
};

static void expect(struct expects *e, struct heap_expect want)
{
	if (want.from < want.to && e->n < HEAP_EXPECT_MAX)
		e->v[e->n++] = want;
}

static void expect_allocated(struct expects *e, const struct kmem_heap *kh,
			     const struct kmem_cache *kc,
			     const struct heap_buf *b,
			     const struct kmem_tag *tag)
{
	taddr_t zone = b->addr + kc->buftag_off;
	uint64_t asked = 0;

	if (kmem_decode_size(kh, kc, tag->redzone, &asked)) {
		if (asked < kc->buftag_off)
			expect(e, kmem_mark_of(kh, b, asked));
		expect(e, kmem_slack_of(kh, kc, b, asked));
		expect(e, kmem_zone_of(kh, kc, b, asked));
	} else {
		if (tag->redzone == kh->num.redzone)
			expect(e, kmem_slack_of(kh, kc, b,
						kc->pub.bufsize_bytes - 1));
		/* the other half said a size that nobody knows any more */
		expect(e,
		       (struct heap_expect){zone, zone + 4, kh->num.redzone});
	}
}

/* all that is known of a buffer, of its tag, and of what is around it */
void kmem_expect_all(struct kmem_heap *kh, const struct kmem_cache *kc,
		     const struct heap_buf *b, struct heap_expect *ret)
{
	struct expects e = {.v = ret};
	taddr_t zone = b->addr + kc->buftag_off;
	uint64_t x = b->state == BUF_ALLOCATED ? kh->num.buftag_alloc
					       : kh->num.buftag_free;
	struct kmem_tag tag = {0};
	uint64_t ctl = 0;

	if (!kmem_read_tag(kh, kc, b->addr, &tag))
		return;
	ctl = kc->pub.has_hash && b->ctl ? b->ctl : tag.bufctl;
	expect(&e, kmem_padding_of(kh, kc, b->addr));
	if (b->state == BUF_ALLOCATED) {
		expect_allocated(&e, kh, kc, b, &tag);
	} else {
		if (b->state != BUF_TRANSIT)
			expect(&e, kmem_body_of(kh, kc, b));
		if (!kmem_has_free_link(kc, b))
			expect(&e, (struct heap_expect){zone, zone + 8,
							kh->num.redzone});
	}
	expect(&e, (struct heap_expect){zone + 8, zone + 16, ctl});
	if (b->state != BUF_TRANSIT)
		expect(&e, (struct heap_expect){zone + 16, zone + 24, ctl ^ x});
	expect(&e, kmem_tail_of(kh, kc, b->addr));
}
