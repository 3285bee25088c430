/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is asked of every buffer, in one pass over slabs, on all processors.
 *
 * Nearly every buffer of nearly every dump is as it should be, and to say so of
 * a million of them is most of what loading a heap with guards, ::kmem_verify and
 * "pmdb check" have to do.  So that is all that is asked here: is the slab whole,
 * each buffer of it with what lies around it (heap_kmem_expect.c), and its bufctl?
 * Of a slab that is not, or of which something is not mapped bytes of the dump,
 * nothing is said but that; heap_kmem_load.c, heap_kmem_verify.c and
 * heap_kmem_lists.c then look at its buffers one by one and find the words.  They
 * decide: this file may doubt what they find whole, but never the other way
 * round.
 *
 * On the way is kept what was asked for, which the tags say and the list of all
 * buffers needs; and which stacks there are, each once or a few times, for the
 * one thread that can look at them.
 *
 * Cost: the guards, tags and free buffers, each once, and 48 bytes of bufctl a
 * buffer; nothing of what the program wrote.
 */
#include <string.h>
#include "base/jobs.h"
#include "heap/heap_kmem_impl.h"

/* slabs that one thread does at a time */
#define SLABS 64u
/* buffers that a slab stands for */
#define SLAB_BUFS 16u
/* what is asked for ahead of the one that is looked at: so many bufctls, and the
 * buffer so far on, wherever that is */
#define AHEAD       24u
#define AHEAD_BYTES 1024
/* stacks that were met lately; a power of two */
#define LATELY 256u

struct sweep {
	struct kmem_heap *kh;
	struct kmem_records log;
	uint32_t mul; /* kp_size_mul */
	struct {
		uint32_t redzone, bufctl, bxstat;  /* in a tag */
		uint32_t slab, timestamp, lastlog; /* in a bufctl */
	} off;
	uint64_t tag_bytes, ctl_bytes;
	VEC(uint32_t) * stacks; /* of each item */
};

/* one slab, and what its cache says of each buffer */
struct swept {
	const struct sweep *sw;
	const struct kmem_cache *kc;
	const struct kmem_slab *slab;
	const unsigned char *bytes; /* of the slab's memory */
	uint64_t base_off;          /* of the first buffer in it */
	struct kmem_look ctls;
};

/* ---- patterns -------------------------------------------------------- */

/* do bytes [from, to) of p, which is aligned to a word as the target has it,
 * hold the pattern?  Whole words are read: p has them. */
static bool holds(const unsigned char *p, uint64_t from, uint64_t to,
		  uint64_t pattern)
{
	uint64_t at = from & ~7ULL;
	uint64_t bad = 0;

	if (from >= to)
		return true;
	if (from & 7) {
		bad = (kmem_word(p + at) ^ pattern) >>
		      (from & 7) * 8 << (from & 7) * 8;
		at += 8;
		if (at > to)
			return bad << (at - to) * 8 == 0;
	}
	for (; at + 8 <= to; at += 8)
		bad |= kmem_word(p + at) ^ pattern;
	if (at < to)
		bad |= (kmem_word(p + at) ^ pattern) << (at + 8 - to) * 8;
	return bad == 0;
}

/* ---- one buffer ------------------------------------------------------ */

/* what lies between an allocated buffer's end and its redzone */
static bool is_slack_whole(const struct swept *s, const unsigned char *buf,
			   uint64_t from)
{
	const struct kmem_cache *kc = s->kc;
	uint64_t end = kc->verify_bytes;

	if (end > kc->buftag_off)
		end = kc->buftag_off;
	return !kc->has_deadbeef || kc->is_lite ||
	       holds(buf, from, end, s->sw->kh->num.uninitialized);
}

/* what follows a buffer that says how much of it was asked for;
 * *ret_asked as in asked[] */
static bool is_end_whole(const struct swept *s, const unsigned char *buf,
			 uint64_t redzone, uint16_t *ret_asked)
{
	const struct kmem_numbers *num = &s->sw->kh->num;
	const struct kmem_cache *kc = s->kc;
	uint32_t code = (uint32_t)(redzone >> 32);
	uint64_t asked = code / s->sw->mul;
	uint32_t zone = (uint32_t)num->redzone;

	if (code % s->sw->mul != 1 || asked > kc->pub.bufsize_bytes ||
	    asked >= kc->chunk_bytes ||
	    buf[asked] != (num->redzone_byte & 0xff))
		return false;
	/* a request that fills the object has its mark in the redzone */
	if (asked >= kc->buftag_off && asked < kc->buftag_off + 4) {
		unsigned shift = 8 * (unsigned)(asked - kc->buftag_off);

		zone &= ~(0xffU << shift);
		zone |= (uint32_t)(num->redzone_byte & 0xff) << shift;
	}
	if ((uint32_t)redzone != zone)
		return false;
	if (asked < UINT16_MAX)
		*ret_asked = (uint16_t)(asked + 1);
	return is_slack_whole(s, buf, asked + 1);
}

static bool is_free_whole(const struct swept *s, const unsigned char *buf,
			  uint8_t state, uint64_t redzone)
{
	const struct kmem_numbers *num = &s->sw->kh->num;
	const struct kmem_cache *kc = s->kc;
	struct heap_buf b = {.state = state};

	if (kc->has_deadbeef &&
	    !holds(buf, 0, kc->is_lite ? 8 : kc->verify_bytes, num->free))
		return false;
	return kmem_has_free_link(kc, &b) || redzone == num->redzone;
}

/* the tag of a buffer, and all that it says of others */
static bool is_guarded(const struct swept *s, const unsigned char *buf,
		       uint8_t state, taddr_t ctl, uint16_t *ret_asked)
{
	const struct kmem_heap *kh = s->sw->kh;
	const unsigned char *tag = buf + s->kc->buftag_off;
	uint64_t redzone = kmem_word(tag + s->sw->off.redzone);
	uint64_t bufctl = kmem_word(tag + s->sw->off.bufctl);
	uint64_t x = bufctl ^ kmem_word(tag + s->sw->off.bxstat);

	if (ctl && bufctl != ctl)
		return false;
	if (state == BUF_ALLOCATED)
		return x == kh->num.buftag_alloc &&
		       (redzone == kh->num.redzone
				? is_slack_whole(s, buf,
						 s->kc->pub.bufsize_bytes)
				: is_end_whole(s, buf, redzone, ret_asked));
	return state != BUF_TRANSIT && x == kh->num.buftag_free &&
	       is_free_whole(s, buf, state, redzone);
}

/* does a bufctl name its slab, its cache, and a record of the log, and does the
 * last transaction fit the state?  *ret_stack: the stack it names */
static bool is_ctl_whole(struct swept *s, taddr_t ctl, uint8_t state,
			 uint32_t *ret_stack)
{
	struct kmem_heap *kh = s->sw->kh;
	const unsigned char *raw = kmem_look(&s->ctls, ctl, s->sw->ctl_bytes);

	if (!raw || kmem_word(raw + s->sw->off.slab) != s->slab->addr)
		return false;
	if (!s->kc->pub.has_audit)
		return true;
#define B(f) kmem_get(kh, F_kmem_bufctl_audit_bc_##f, raw)
	/* one of a buffer that was never given out has no time, nor more */
	if (!kmem_word(raw + s->sw->off.timestamp))
		return true;
	if (state == BUF_ALLOCATED && B(what) == kh->names.what_free)
		return false;
	if (!kh->is_bufctl_short && B(cache) != s->kc->pub.addr)
		return false;
	*ret_stack = (uint32_t)B(stack);
	return kmem_is_record(&s->sw->log, kmem_word(raw + s->sw->off.lastlog));
#undef B
}

/* ---- slabs ----------------------------------------------------------- */

/* where what lies behind a buffer's tag begins, as an offset from the buffer */
static uint64_t padding_off(const struct swept *s)
{
	return s->kc->buftag_off + s->sw->tag_bytes;
}

/* the colour in front of the first buffer, and what is behind the last */
static bool are_ends_whole(const struct swept *s)
{
	const struct kmem_cache *kc = s->kc;
	uint64_t fresh = s->sw->kh->num.uninitialized;
	uint64_t end = s->base_off + s->slab->nbufs * kc->chunk_bytes;
	uint64_t from = end - kc->chunk_bytes + padding_off(s);

	if (!kc->has_deadbeef)
		return true;
	/* without a hash the slab's header is there */
	if (kc->pub.has_hash)
		end = kc->slab_bytes;
	return holds(s->bytes, 0, s->base_off, fresh) &&
	       holds(s->bytes, from, end, fresh);
}

static bool is_slab_guarded(const struct swept *s)
{
	const struct kmem_heap *kh = s->sw->kh;
	const struct kmem_cache *kc = s->kc;
	const uint8_t *state = kh->state.v + s->slab->first_state;
	const taddr_t *ctl =
		kc->pub.has_hash ? kh->ctl.v + s->slab->first_ctl : NULL;
	bool is_asked = s->slab->first_asked != NO_INDEX;
	uint16_t *asked = kh->asked.v + (is_asked ? s->slab->first_asked : 0);
	uint64_t pad = padding_off(s);
	bool is_padded = kc->has_deadbeef && pad < kc->chunk_bytes;

	if (!are_ends_whole(s))
		return false;
	for (uint32_t i = 0; i < s->slab->nbufs; i++) {
		const unsigned char *buf =
			s->bytes + s->base_off + i * kc->chunk_bytes;

		uint16_t n = 0;

		__builtin_prefetch(buf + AHEAD_BYTES);
		__builtin_prefetch(buf + AHEAD_BYTES + 64);
		if (!is_guarded(s, buf, state[i], ctl ? ctl[i] : 0, &n))
			return false;
		if (is_asked)
			asked[i] = n;
		if (is_padded && i + 1 < s->slab->nbufs &&
		    !holds(buf, pad, kc->chunk_bytes, kh->num.uninitialized))
			return false;
	}
	return true;
}

/* asks for a bufctl, which may be two lines of the cache */
static void foresee_ctl(struct swept *s, taddr_t ctl)
{
	uint64_t n = s->sw->ctl_bytes;
	const unsigned char *raw = ctl ? kmem_look(&s->ctls, ctl, n) : NULL;

	if (!raw)
		return;
	__builtin_prefetch(raw);
	__builtin_prefetch(raw + n - 1);
}

static bool are_ctls_whole(struct swept *s, size_t item, uint32_t *lately)
{
	const struct kmem_heap *kh = s->sw->kh;
	const uint8_t *state = kh->state.v + s->slab->first_state;
	const taddr_t *ctl = kh->ctl.v + s->slab->first_ctl;

	for (uint32_t i = 0; i < s->slab->nbufs; i++) {
		uint32_t stack = 0;

		if (i + AHEAD < s->slab->nbufs)
			foresee_ctl(s, ctl[i + AHEAD]);
		if (!ctl[i])
			continue;
		if (!is_ctl_whole(s, ctl[i], state[i], &stack))
			return false;
		if (stack == lately[stack % LATELY])
			continue;
		lately[stack % LATELY] = stack;
		VEC_PUSH(&s->sw->stacks[item], stack);
	}
	return true;
}

/* what is not laid out in words is not for here */
static bool is_aligned(const struct swept *s)
{
	const struct kmem_cache *kc = s->kc;

	return ((s->slab->base | kc->chunk_bytes | kc->buftag_off |
		 kc->slab_bytes) &
		7) == 0 &&
	       padding_off(s) <= kc->chunk_bytes &&
	       kc->verify_bytes <= kc->buftag_off &&
	       kc->pub.bufsize_bytes <= kc->chunk_bytes && s->sw->mul != 0;
}

static bool is_whole(struct swept *s, struct kmem_look *look, size_t item,
		     uint32_t *lately)
{
	const struct kmem_cache *kc = s->kc;
	taddr_t memory = s->slab->base & -kc->quantum_bytes;

	if (s->slab->is_dropped)
		return false;
	if (kc->has_buftag) {
		s->bytes = kmem_look(look, memory, kc->slab_bytes);
		s->base_off = s->slab->base - memory;
		if (!s->bytes || !is_aligned(s) || !is_slab_guarded(s))
			return false;
	}
	return !kc->pub.has_hash || are_ctls_whole(s, item, lately);
}

static void sweep_some(void *arg, size_t item)
{
	struct sweep *sw = arg;
	struct kmem_heap *kh = sw->kh;
	struct kmem_look look = {.t = kh->t};
	struct swept s = {.sw = sw, .ctls = look};
	uint32_t lately[LATELY] = {0};
	size_t i = item * SLABS;
	size_t end = kh->nby_base - i < SLABS ? kh->nby_base : i + SLABS;
	uint64_t passed = 0;

	for (; i < end; i++) {
		struct kmem_slab *slab = &kh->slabs.v[kh->by_base[i]];

		s.slab = slab;
		s.kc = &kh->caches.v[slab->cache];
		slab->is_whole = is_whole(&s, &look, item, lately);
		if (s.kc->has_buftag)
			passed += slab->nbufs *
				  (s.kc->chunk_bytes + sw->ctl_bytes);
	}
	target_passed(kh->t, passed);
}

/* where what is read of every buffer is; false: it is no plain words */
static bool find_words(struct sweep *sw)
{
	const struct {
		enum kmem_field f;
		uint32_t *off;
	} words[] = {
		{F_kmem_buftag_bt_redzone, &sw->off.redzone},
		{F_kmem_buftag_bt_bufctl, &sw->off.bufctl},
		{F_kmem_buftag_bt_bxstat, &sw->off.bxstat},
		{F_kmem_bufctl_bc_slab, &sw->off.slab},
		{F_kmem_bufctl_audit_bc_timestamp, &sw->off.timestamp},
		{F_kmem_bufctl_audit_bc_lastlog, &sw->off.lastlog},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (!kmem_is_word(sw->kh, words[i].f))
			return false;
		*words[i].off = sw->kh->names.row[words[i].f].offset_bytes;
	}
	return true;
}

struct err *kmem_sweep(struct kmem_heap *kh)
{
	struct sweep sw = {
		.kh = kh,
		.log = kmem_records_of(kh),
		.mul = kh->num.size_mul <= UINT32_MAX
			       ? (uint32_t)kh->num.size_mul
			       : 0,
		.tag_bytes = kh->names.struct_bytes[K_kmem_buftag],
		.ctl_bytes = kh->names.struct_bytes[K_kmem_bufctl_audit],
	};
	size_t nitems = (kh->nby_base + SLABS - 1) / SLABS;

	if (!find_words(&sw))
		return NULL;
	sw.stacks = mem_array(nitems + 1, sizeof(*sw.stacks));
	struct err *err = jobs_each("checking slabs", nitems, SLABS * SLAB_BUFS,
				    sweep_some, &sw);

	for (size_t i = 0; i < nitems; i++) {
		for (size_t k = 0; k < sw.stacks[i].n; k++)
			hash_put(&kh->stacks, sw.stacks[i].v[k], NULL);
		VEC_FREE(&sw.stacks[i]);
	}
	mem_free(sw.stacks);
	return err;
}
