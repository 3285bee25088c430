/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Conservative marking.
 *
 * Any aligned word that holds an address inside an allocated buffer, interior
 * addresses included, is a reference to it.  From the roots on, each buffer
 * that is referred to is marked and its own words are looked at in turn.  The
 * list of buffers still to be looked at is explicit: a linked list of a million
 * buffers must not become a million stack frames.
 *
 * A word that is the address just behind a buffer, where no other begins, is a
 * weak reference: a program may keep the end of an array, but as often it is a
 * limit that outlived it.  What nothing else holds is looked at last, when all
 * that is held properly is known.
 *
 * Invariants: (I1) a buffer is put on the list when its mark leaves MARK_NONE
 * or MARK_PAST, so twice at most, and the list never holds more than set->n.
 * (I2) a mark only grows: an exact pointer met later raises MARK_INTERIOR,
 * without a second scan.  (I3) only roots and marked buffers are read: what a free buffer or the
 * allocator itself holds keeps nothing alive.
 *
 * Cost: each word of roots and reachable buffers once.
 */
#include <string.h>
#include "base/interrupt.h"
#include "base/mem.h"
#include "base/progress.h"
#include "graph/graph.h"

#define WORD sizeof(uint64_t)
/* bytes between two looks at the interrupt flag */
#define POLL_BYTES (1u << 22)
/* a power of two */
#define QUEUE 16u

static struct err *scan_run(const unsigned char *p, size_t nwords, taddr_t at,
			    word_fn *fn, void *arg)
{
	for (size_t i = 0; i < nwords; i++) {
		uint64_t value = 0;

		memcpy(&value, p + i * WORD, WORD);
		struct err *err = fn(arg, at + i * WORD, value);

		if (err)
			return err;
	}
	return NULL;
}

/* what is not in the dump, in steps of a page, through the slow path: pages
 * of files, and words that lie across two maps */
static struct err *scan_word(const struct target *t, taddr_t at, word_fn *fn,
			     void *arg, bool *ret_read)
{
	uint64_t value = 0;
	_err_free_ struct err *err = target_read_u64(t, at, &value);

	*ret_read = !err;
	return err ? NULL : fn(arg, at, value);
}

struct err *words_scan(const struct target *t, taddr_t start, taddr_t end,
		       word_fn *fn, void *arg, uint64_t *ret_unread)
{
	uint64_t unread = 0;
	taddr_t at = (start + WORD - 1) & ~(taddr_t)(WORD - 1);
	struct err *err = NULL;

	while (!err && at < end && end - at >= WORD) {
		size_t len = 0;
		const unsigned char *p = target_peek(t, at, &len);

		if (p && len >= WORD) {
			if (len > end - at)
				len = end - at;
			if (len > POLL_BYTES)
				len = POLL_BYTES;
			err = scan_run(p, len / WORD, at, fn, arg);
			at += len / WORD * WORD;
			if (!err && len == POLL_BYTES)
				err = interrupt_check();
			continue;
		}
		bool ok = false;

		err = scan_word(t, at, fn, arg, &ok);
		if (ok) {
			at += WORD;
			continue;
		}
		/* nothing here: go on at the next page */
		taddr_t next = (at | 0xfff) + 1;

		if (next == 0 || next > end)
			next = end;
		unread += next - at;
		at = next;
	}
	if (ret_unread)
		*ret_unread = unread;
	return err;
}

struct marker {
	struct heap *heap;
	struct bufset *set;
	uint32_t *todo; /* (I1) */
	size_t ntodo;
	VEC(uint32_t) past; /* each that was marked MARK_PAST, once */
	taddr_t lo, hi;     /* all buffers lie in [lo, hi) */
	struct mark_stats *stats;
	enum root_kind kind; /* of the root at hand */
	size_t nmarked;      /* buffers looked at, for progress */
};

static void mark_past(struct marker *m, uint64_t value)
{
	size_t i = bufset_find_past(m->set, value);

	if (i == BUFSET_NONE || m->set->mark[i] != MARK_NONE)
		return;
	m->set->mark[i] = MARK_PAST;
	VEC_PUSH(&m->past, (uint32_t)i);
}

static void mark_value(struct marker *m, uint64_t value)
{
	if (value - m->lo >= m->hi - m->lo)
		return;
	size_t i = bufset_find(m->set, value);

	if (i == BUFSET_NONE) {
		mark_past(m, value);
		return;
	}
	m->stats->nhits++;
	enum mark mark =
		value == m->set->v[i].addr ? MARK_REACHABLE : MARK_INTERIOR;

	if (m->set->mark[i] <= MARK_PAST) {
		m->todo[m->ntodo++] = (uint32_t)i;
		m->set->root[i] = (unsigned char)m->kind;
	}
	if (m->set->mark[i] < mark)
		m->set->mark[i] = mark;
}

static struct err *mark_word(void *arg, taddr_t at, uint64_t value)
{
	(void)at; /* who refers is not kept */
	struct marker *m = arg;

	m->stats->nwords++;
	mark_value(m, value);
	return NULL;
}

static struct err *mark_buf(struct marker *m, const struct bufset_buf *b)
{
	uint64_t unread = 0;
	struct err *err =
		words_scan(m->heap->target, b->addr, b->addr + b->size_bytes,
			   mark_word, m, &unread);

	if (unread && !m->stats->unread_bytes)
		m->stats->unread_at = b->addr;
	m->stats->unread_bytes += unread;
	return err;
}

/* the next buffer to look at, on its way into the cache */
static uint32_t fetch(struct marker *m)
{
	uint32_t i = m->todo[--m->ntodo];
	size_t len = 0;
	const unsigned char *p =
		target_peek(m->heap->target, m->set->v[i].addr, &len);

	if (p)
		__builtin_prefetch(p);
	return i;
}

/* Buffers pass through a short queue, so that the first words of each have
 * time to arrive while those before it are looked at. */
static struct err *drain(struct marker *m)
{
	uint32_t queue[QUEUE];
	unsigned in = 0;
	unsigned out = 0;
	struct err *err = NULL;

	while (!err && (m->ntodo || in != out)) {
		while (m->ntodo && in - out < QUEUE)
			queue[in++ % QUEUE] = fetch(m);
		err = mark_buf(m, &m->set->v[queue[out++ % QUEUE]]);
		m->nmarked++;
		if (err || (out & 0xfff) != 0)
			continue;
		progress_set("following pointers", m->nmarked, m->set->n);
		err = interrupt_check();
	}
	return err;
}

/* what only the address behind it holds, and what that holds */
static struct err *drain_past(struct marker *m)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < m->past.n; i++) {
		if (m->set->mark[m->past.v[i]] != MARK_PAST)
			continue;
		m->todo[m->ntodo++] = m->past.v[i];
		err = drain(m);
	}
	return err;
}

struct err *mark_all(struct heap *heap, const struct roots *roots,
		     struct bufset *set, struct mark_stats *stats)
{
	struct mark_stats own = {0};
	struct marker m = {.heap = heap, .set = set};
	struct err *err = NULL;

	m.stats = stats ? stats : &own;
	*m.stats = own;
	if (set->n == 0)
		return NULL;
	if (set->n > UINT32_MAX)
		return err_new(ERR_NOSUP, "more than 4 billion buffers");
	memset(set->mark, MARK_NONE, set->n);
	m.lo = set->v[0].addr;
	m.hi = set->v[set->n - 1].addr + set->v[set->n - 1].size_bytes + 1;
	m.todo = mem_array(set->n, sizeof(*m.todo));
	for (size_t i = 0; !err && i < roots->n; i++) {
		const struct root *r = &roots->v[i];

		if (r->is_shallow)
			continue;
		m.kind = r->kind;
		if (r->start == r->end)
			mark_value(&m, r->value);
		else
			err = words_scan(heap->target, r->start, r->end,
					 mark_word, &m, NULL);
		if (!err)
			err = drain(&m);
	}
	if (!err)
		err = drain_past(&m);
	/* last: what is reached in another way as well is looked into */
	for (size_t i = 0; !err && i < roots->n; i++) {
		m.kind = roots->v[i].kind;
		if (roots->v[i].is_shallow)
			mark_value(&m, roots->v[i].value);
	}
	VEC_FREE(&m.past);
	mem_free(m.todo);
	return err;
}
