/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Conservative marking, on all processors.
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
 * What is found does not depend on who finds it or when: a buffer's mark says
 * whether any reached word points at its start, and the counts are sums.
 *
 *   workers   have a list each, and take from their own end of it.  One that has
 *             many while another has none puts half of them in the pool, from
 *             where those who have none help themselves.  In the pool, too, are
 *             ranges: pieces of roots and of large buffers.  When all workers
 *             wait the round is done.
 *   marks     a buffer's mark is a byte with a bit for "reached", set by an
 *             atomic or: whoever finds it clear puts the buffer on its list.
 *   edges     what the words of buffers point at was listed before, in the order
 *             of addresses (mark_edges.c): only roots and the few buffers that
 *             were left for later are looked at in the dump.
 *   pipeline  what is looked at lies anywhere in memory, and to wait for one
 *             cache line takes as long as all the work on a buffer.  So a
 *             buffer passes through four short queues, and in each something of
 *             it is on its way into the cache: of one taken from the list the
 *             place of its edges, then those; of a word that may point at a
 *             buffer that one's block; of a buffer pointed at its mark.
 *   aside     words that are not mapped bytes of the dump (of files; across the
 *             end of a map) are for the calling thread, between two rounds.
 *
 * Invariants: (I1) a buffer is put on a list once at most: when "reached" is set,
 * or when its turn comes among those of which only the end is known.  (I2) a mark
 * only grows: an exact pointer met later adds its bit, without a second scan.
 * (I3) only roots and marked buffers are followed: what a free buffer or the
 * allocator itself holds keeps nothing alive.
 *
 * Cost: each word of roots and reachable buffers once; 4 bytes a buffer at most
 * for the lists.
 */
#include <string.h>
#include "base/interrupt.h"
#include "base/jobs.h"
#include "base/progress.h"
#include "graph/mark_impl.h"

/* a list longer than this is shared with those who have none */
#define SHARE_MIN 64u
/* at most so many change hands at a time */
#define SHARE_MAX 4096u
#define NAMES     1048576u /* marks that one thread names at a time */

/* ---- one word -------------------------------------------------------- */

/* sets bits of a mark; returns what it was */
static unsigned char set_bits(const struct worker *w, uint32_t i,
			      unsigned char bits)
{
	unsigned char *mark = &w->m->set->mark[i];
	unsigned char old = __atomic_load_n(mark, __ATOMIC_RELAXED);

	if ((old & bits) == bits)
		return old;
	if (!w->is_alone)
		return __atomic_fetch_or(mark, bits, __ATOMIC_RELAXED);
	*mark = old | bits;
	return old;
}

static void mark_hit(struct worker *w, struct hit hit)
{
	if (hit.where == JUST_BEHIND) {
		if (!(set_bits(w, hit.buf, PAST) & PAST))
			VEC_PUSH(&w->past, hit.buf);
		return;
	}
	if (!(set_bits(w, hit.buf,
		       hit.where == AT_START ? REACHED | EXACT : REACHED) &
	      (REACHED | LISTED | LEAF)))
		VEC_PUSH(&w->todo, hit.buf);
}

static void mark_oldest_hit(struct worker *w)
{
	mark_hit(w, w->hits.v[w->hits.out++ % QUEUE]);
}

static void add_hit(struct worker *w, struct hit hit)
{
	w->nhits += hit.where != JUST_BEHIND;
	__builtin_prefetch(&w->m->set->mark[hit.buf], 1);
	if (w->hits.in - w->hits.out == QUEUE)
		mark_oldest_hit(w);
	w->hits.v[w->hits.in++ % QUEUE] = hit;
}

static void find_oldest_value(struct worker *w)
{
	uint64_t value = w->values.v[w->values.out++ % QUEUE];
	struct hit hit;

	if (mark_find(w->m->set, &w->run, value, &hit))
		add_hit(w, hit);
}

/* a word that may point at a buffer */
static void add_value(struct worker *w, uint64_t value)
{
	if (!mark_foresee(w->m->set, &w->run, value))
		return;
	if (w->values.in - w->values.out == QUEUE)
		find_oldest_value(w);
	w->values.v[w->values.in++ % QUEUE] = value;
}

/* what is on its way is marked, too */
static void flush(struct worker *w)
{
	while (w->values.in != w->values.out)
		find_oldest_value(w);
	while (w->hits.in != w->hits.out)
		mark_oldest_hit(w);
}

static void mark_words(struct worker *w, const unsigned char *p, size_t nwords)
{
	taddr_t lo = w->m->lo;
	taddr_t span = w->m->span;

	for (size_t i = 0; i < nwords; i++) {
		uint64_t value = 0;

		memcpy(&value, p + i * WORD, WORD);
		if (value - lo < span)
			add_value(w, value);
	}
	w->nwords += nwords;
}

/* ---- ranges ---------------------------------------------------------- */

static void mark_range(struct worker *w, taddr_t start, taddr_t end, size_t buf)
{
	bool is_bytewise = w->m->set->is_bytewise;
	taddr_t at =
		is_bytewise ? start : (start + WORD - 1) & ~(taddr_t)(WORD - 1);

	while (at < end && end - at >= WORD) {
		uint64_t len = 0;
		const unsigned char *p =
			peeker_at(&w->peeker, w->m->heap->target, at, &len);

		if (!p || len < WORD) {
			struct piece rest = {at, end, buf};

			VEC_PUSH(&w->aside, rest);
			return;
		}
		if (len > end - at)
			len = end - at;
		mark_words(w, p, len / WORD);
		/* the words that begin between those */
		for (size_t off = 1; is_bytewise && off < WORD; off++)
			mark_words(w, p + off, (len - off) / WORD);
		at += is_bytewise ? len : len / WORD * WORD;
	}
}

static void cut_data(struct worker *w, taddr_t start, taddr_t end, size_t buf)
{
	while (start < end) {
		struct piece piece = {start, end, buf};

		if (end - start > RANGE_BYTES)
			piece.end = (start + RANGE_BYTES) & -(taddr_t)WORD;
		start = piece.end;
		/* a word may lie across the border */
		if (w->m->set->is_bytewise)
			piece.end +=
				end - start < WORD - 1 ? end - start : WORD - 1;
		VEC_PUSH(&w->pieces, piece);
	}
}

/* makes pieces of a range, without what nobody ever touched */
static void cut(struct worker *w, taddr_t start, taddr_t end, size_t buf)
{
	taddr_t stop = 0;

	for (taddr_t at = start; at < end; at = stop) {
		at = target_past_zeros(w->m->heap->target, at, end, &stop);
		/* of a word across the border the first bytes may be zeros */
		if (w->m->set->is_bytewise && at - start >= WORD)
			cut_data(w, at - (WORD - 1), stop, buf);
		else
			cut_data(w, at, stop, buf);
	}
}

/* looks into a buffer that is not in edges */
static void mark_buf(struct worker *w, uint32_t i)
{
	struct bufset_buf b = bufset_at(w->m->set, i);

	if (b.size_bytes <= RANGE_BYTES)
		mark_range(w, b.addr, b.addr + b.size_bytes, i);
	else
		cut(w, b.addr, b.addr + b.size_bytes, i);
}

static void follow(struct worker *w, uint32_t i)
{
	uint32_t n = 0;
	const edge_t *edge = NULL;

	w->nbufs++;
	if (w->m->set->mark[i] & LATER) {
		mark_buf(w, i);
		return;
	}
	edge = edges_of(w->m->set->edges, i, &n);
	for (; n; n--, edge++)
		add_hit(w, (struct hit){(uint32_t)edge_buf(*edge),
					edge_where(*edge)});
}

/* ---- the list of a worker -------------------------------------------- */

static unsigned held(const struct stage *s)
{
	return s->in - s->out;
}

/* asks for the first that is needed of a buffer */
static void foresee_entry(const struct worker *w, uint32_t i)
{
	const struct marker *m = w->m;

	if (m->set->mark[i] & LATER)
		__builtin_prefetch(&m->set->v[i]);
	else
		__builtin_prefetch(
			&m->set->edges->first[(size_t)i + i / EDGE_SLICE]);
}

/* asks for what that leads to */
static void foresee_words(struct worker *w, uint32_t i)
{
	const struct bufset *set = w->m->set;
	uint64_t len = 0;
	uint32_t n = 0;
	const unsigned char *p = NULL;

	if (!(set->mark[i] & LATER)) {
		__builtin_prefetch(edges_of(w->m->set->edges, i, &n));
		return;
	}
	p = peeker_at(&w->peeker, w->m->heap->target, bufset_addr(set, i),
		      &len);
	if (p) {
		__builtin_prefetch(p);
		__builtin_prefetch(p + (set->v[i] & SIZE_IS_LARGE) / 2);
	}
}

/* takes buffers from the list through the stages; false: there are none */
static bool advance(struct worker *w)
{
	struct stage *entries = &w->entries;
	struct stage *words = &w->words;

	while (w->todo.n && held(entries) < QUEUE) {
		uint32_t i = w->todo.v[--w->todo.n];

		foresee_entry(w, i);
		entries->buf[entries->in++ % QUEUE] = i;
	}
	while (held(entries) && held(words) < QUEUE &&
	       (held(entries) > QUEUE / 2 || !w->todo.n)) {
		uint32_t i = entries->buf[entries->out++ % QUEUE];

		foresee_words(w, i);
		words->buf[words->in++ % QUEUE] = i;
	}
	if (!held(words)) {
		flush(w);
		return w->todo.n > 0;
	}
	follow(w, words->buf[words->out++ % QUEUE]);
	return true;
}

/* ---- the pool -------------------------------------------------------- */

/* gives others what they can use */
static void share(struct worker *w)
{
	struct marker *m = w->m;
	size_t n = w->todo.n / 2;

	(void)pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < w->pieces.n; i++)
		VEC_PUSH(&m->pieces, w->pieces.v[i]);
	w->pieces.n = 0;
	if (m->nwaiting && w->todo.n >= SHARE_MIN && m->bufs.n == 0) {
		/* the oldest, of which the longest paths are to be hoped for */
		if (n > SHARE_MAX)
			n = SHARE_MAX;
		for (size_t i = 0; i < n; i++)
			VEC_PUSH(&m->bufs, w->todo.v[i]);
		memmove(w->todo.v, w->todo.v + n,
			(w->todo.n - n) * sizeof(*w->todo.v));
		w->todo.n -= n;
	}
	if (m->bufs.n || m->pieces.n)
		(void)pthread_cond_broadcast(&m->changed);
	(void)pthread_mutex_unlock(&m->lock);
}

static bool is_wanted(const struct worker *w)
{
	return w->pieces.n ||
	       (w->todo.n >= SHARE_MIN &&
		__atomic_load_n(&w->m->nwaiting, __ATOMIC_RELAXED));
}

static void drain(struct worker *w)
{
	for (unsigned n = 1; advance(w); n++) {
		if (w->pieces.n)
			share(w);
		if ((n & 0xff) != 0)
			continue;
		if (is_wanted(w))
			share(w);
		if (jobs_is_stopped())
			return;
		if (w->is_caller && (n & 0xfff) == 0)
			progress_set("following pointers",
				     w->m->ndone + w->nbufs * w->m->nworkers,
				     w->m->set->n);
	}
}

/* work from the pool; false: there will be none */
static bool take(struct worker *w, struct piece *ret_piece)
{
	struct marker *m = w->m;
	bool is_some = false;

	ret_piece->start = ret_piece->end = 0;
	(void)pthread_mutex_lock(&m->lock);
	__atomic_store_n(&m->nwaiting, m->nwaiting + 1, __ATOMIC_RELAXED);
	while (!m->is_over && !m->bufs.n && !m->pieces.n &&
	       m->nwaiting < m->nworkers)
		(void)pthread_cond_wait(&m->changed, &m->lock);
	if (jobs_is_stopped())
		m->is_over = true;
	if (!m->is_over && m->bufs.n) {
		size_t n = m->bufs.n < SHARE_MAX ? m->bufs.n : SHARE_MAX;

		for (size_t i = 0; i < n; i++)
			VEC_PUSH(&w->todo, m->bufs.v[--m->bufs.n]);
		is_some = true;
	} else if (!m->is_over && m->pieces.n) {
		*ret_piece = m->pieces.v[--m->pieces.n];
		is_some = true;
	} else {
		m->is_over = true; /* all wait, and nothing is left */
		(void)pthread_cond_broadcast(&m->changed);
	}
	__atomic_store_n(&m->nwaiting, m->nwaiting - 1, __ATOMIC_RELAXED);
	(void)pthread_mutex_unlock(&m->lock);
	return is_some;
}

static void finish(struct worker *w)
{
	struct marker *m = w->m;

	flush(w);
	(void)pthread_mutex_lock(&m->lock);
	m->sum.nwords += w->nwords;
	m->sum.nhits += w->nhits;
	m->ndone += w->nbufs;
	for (size_t i = 0; i < w->aside.n; i++)
		VEC_PUSH(&m->aside, w->aside.v[i]);
	for (size_t i = 0; i < w->past.n; i++)
		VEC_PUSH(&m->past, w->past.v[i]);
	for (size_t i = 0; i < w->todo.n; i++)
		VEC_PUSH(&m->bufs, w->todo.v[i]);
	for (size_t i = 0; i < w->pieces.n; i++)
		VEC_PUSH(&m->pieces, w->pieces.v[i]);
	(void)pthread_mutex_unlock(&m->lock);
	VEC_FREE(&w->todo);
	VEC_FREE(&w->aside);
	VEC_FREE(&w->past);
	VEC_FREE(&w->pieces);
}

static void work(void *arg, unsigned number)
{
	struct marker *m = arg;
	struct worker w = {
		.m = m, .is_caller = number == 0, .is_alone = m->nplanned == 1};
	struct piece piece = {0};

	(void)pthread_mutex_lock(&m->lock);
	__atomic_store_n(&m->nworkers, m->nworkers + 1, __ATOMIC_RELAXED);
	(void)pthread_mutex_unlock(&m->lock);
	while (take(&w, &piece)) {
		mark_range(&w, piece.start, piece.end, piece.buf);
		drain(&w);
	}
	finish(&w);
}

/* ---- rounds ---------------------------------------------------------- */

static struct err *mark_aside_word(void *arg, taddr_t at, uint64_t value)
{
	struct worker *w = arg;

	(void)at; /* who refers is not kept */
	w->nwords++;
	if (value - w->m->lo < w->m->span)
		add_value(w, value);
	return NULL;
}

/* what workers could not read, in the order of addresses */
static struct err *mark_aside(struct marker *m)
{
	struct worker w = {.m = m, .is_alone = true};
	struct err *err = NULL;

	for (size_t i = 0; !err && i < m->aside.n; i++) {
		struct piece p = m->aside.v[i];
		uint64_t unread = 0;

		err = words_scan(m->heap->target, p.start, p.end,
				 mark_aside_word, &w, &unread);
		if (!unread || p.buf == BUFSET_NONE)
			continue;
		taddr_t addr = bufset_addr(m->set, p.buf);

		if (!m->sum.unread_bytes || addr < m->sum.unread_at)
			m->sum.unread_at = addr;
		m->sum.unread_bytes += unread;
	}
	m->aside.n = 0;
	finish(&w);
	return err;
}

/* all that the pool leads to */
static struct err *run(struct marker *m)
{
	struct err *err = NULL;

	while (!err && (m->bufs.n || m->pieces.n)) {
		m->is_over = false;
		m->nworkers = 0;
		m->nplanned = jobs_for(m->set->n);
		jobs_run(m->nplanned, work, m);
		err = interrupt_check();
		if (!err)
			err = mark_aside(m);
	}
	return err;
}

static void add_roots(struct marker *m, const struct roots *roots)
{
	struct worker w = {.m = m, .is_alone = true};

	for (size_t i = 0; i < roots->n; i++) {
		const struct root *r = &roots->v[i];

		if (r->is_shallow)
			continue;
		if (r->start != r->end)
			cut(&w, r->start, r->end, BUFSET_NONE);
		else if (r->value - m->lo < m->span)
			add_value(&w, r->value);
	}
	finish(&w);
}

/* what only the address behind it holds, and what that holds */
static struct err *run_past(struct marker *m)
{
	struct err *err = NULL;
	size_t done = 0;

	while (!err && m->past.n > done) {
		for (; done < m->past.n; done++) {
			uint32_t i = m->past.v[done];

			if (m->set->mark[i] & (REACHED | LISTED))
				continue;
			m->set->mark[i] |= LISTED;
			VEC_PUSH(&m->bufs, i);
		}
		err = run(m);
	}
	return err;
}

/* last: what is reached in another way as well is looked into */
static void add_shallow(struct marker *m, const struct roots *roots)
{
	struct worker w = {.m = m, .is_alone = true};

	for (size_t i = 0; i < roots->n; i++) {
		const struct root *r = &roots->v[i];
		struct hit hit;

		if (!r->is_shallow || r->value - m->lo >= m->span ||
		    !mark_foresee(m->set, &w.run, r->value) ||
		    !mark_find(m->set, &w.run, r->value, &hit))
			continue;
		w.nhits += hit.where != JUST_BEHIND;
		/* no word of it was looked at */
		if (!(m->set->mark[hit.buf] & (REACHED | LISTED)))
			m->set->mark[hit.buf] |= LATER;
		mark_hit(&w, hit);
	}
	w.todo.n = 0;
	finish(&w);
}

/* what is counted of the words of buffers that edges told of */
static uint64_t words_in(const struct bufset *set, size_t i)
{
	struct bufset_buf b = bufset_at_fast(set, i);
	taddr_t start = (b.addr + WORD - 1) & ~(taddr_t)(WORD - 1);
	taddr_t end = b.addr + b.size_bytes;

	return end > start ? (end - start) / WORD : 0;
}

static void name_marks(void *arg, size_t slice)
{
	static const unsigned char names[REACHED + EXACT + PAST + 1] = {
		[PAST] = MARK_PAST,
		[REACHED] = MARK_INTERIOR,
		[REACHED | PAST] = MARK_INTERIOR,
		[REACHED | EXACT] = MARK_REACHABLE,
		[REACHED | EXACT | PAST] = MARK_REACHABLE,
	};
	struct marker *m = arg;
	struct bufset *set = m->set;
	size_t i = slice * NAMES;
	size_t end = set->n - i < NAMES ? set->n : i + NAMES;
	unsigned char *mark = set->mark;
	uint64_t nwords = 0;

	for (; i < end; i++) {
		if (mark[i] & (REACHED | LISTED) && !(mark[i] & LATER))
			nwords += words_in(set, i);
		mark[i] = names[mark[i] & (REACHED | EXACT | PAST)];
	}
	__atomic_fetch_add(&m->sum.nwords, nwords, __ATOMIC_RELAXED);
}

struct err *mark_all(struct heap *heap, const struct roots *roots,
		     struct bufset *set, struct mark_stats *stats)
{
	struct marker m = {
		.heap = heap,
		.set = set,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	struct err *err = NULL;

	if (stats)
		*stats = m.sum;
	if (set->n == 0)
		return NULL;
	if (set->n > UINT32_MAX)
		return err_new(ERR_NOSUP, "more than 4 billion buffers");
	memset(set->mark, 0, set->n);
	m.lo = set->runs[0].start;
	/* the address just behind them, too */
	m.span = set->runs[set->nruns - 1].end - m.lo + 1;
	err = edges_build(&m);
	if (!err) {
		add_roots(&m, roots);
		err = run(&m);
	}
	if (!err)
		err = run_past(&m);
	if (!err)
		add_shallow(&m, roots);
	if (!err)
		err = jobs_each("following pointers",
				(set->n + NAMES - 1) / NAMES, NAMES, name_marks,
				&m);
	if (stats)
		*stats = m.sum;
	VEC_FREE(&m.bufs);
	VEC_FREE(&m.pieces);
	VEC_FREE(&m.aside);
	VEC_FREE(&m.past);
	return err;
}
