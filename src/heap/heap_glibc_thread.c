/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where threads keep their caches.
 *
 * The structure is a chunk of its thread's arena, of a size that many others
 * have; it is told from them by what it must hold:
 *
 *	counts[n]   entries[n]
 *
 * (T1) A list without entries counts none, and the other way round.  Since 2.42
 * what is counted is what still fits: the same number, the limit, for all lists
 * that are empty, and less for the others.  (T2) What entry i points at is a
 * buffer of a chunk of a size that list i is for: 32 + 16 i bytes for the first
 * 64; each of those behind is for the sizes from one power of two to the next, of
 * mmapped chunks, too.  Threads that were ended rudely, and those that a fork has
 * left behind, have such structures, too; so all chunks of the size are looked
 * at, not only those that a thread points at.  One that is empty holds nothing
 * but zeros, and is taken for one only where a thread's own variables point at
 * it, or where it is the first of its arena.  What threads that a fork has left
 * behind had in theirs is in memory still: their descriptors are looked for.
 *
 * How many lists there are, and what is counted, is bound by name.  Where no
 * name tells, every number of lists that fits the chunk is tried, on what the
 * threads' own variables point at, and on the first chunk of each arena; the one
 * of which most lists hold what they should (T2) is it.  With a number that is
 * wrong, entries are looked for in the wrong places.
 */
#include <elf.h>
#include <string.h>
#include "heap/heap_glibc_impl.h"

#define FS_ALIGN     64u /* of a thread's descriptor */
#define FS_SELF      0x10u
#define TLS_BEFORE   0x2000u /* of a thread's variables, below its pointer */
#define CHUNK_LEAST  0x200u  /* that a cache may be */
#define CHUNK_MOST   (10u * TCACHE_MAX)
#define TCACHE_SLOTS 76u /* lists, since what fits is counted */
#define REST_MAX     48u /* of a chunk, behind the structure */
#define PAGE         4096u
#define LARGE_LEAST  0x400u /* sizes of the lists behind TCACHE_SMALL */

void glibc_tcache_range(unsigned i, uint64_t *ret_min, uint64_t *ret_max)
{
	*ret_min = *ret_max = CHUNK_MIN + (uint64_t)CHUNK_ALIGN * i;
	if (i < TCACHE_SMALL)
		return;
	i -= TCACHE_SMALL;
	*ret_min = i ? (uint64_t)LARGE_LEAST << i : LARGE_LEAST + CHUNK_MIN;
	*ret_max = ((uint64_t)LARGE_LEAST << (i + 1)) - CHUNK_ALIGN;
}

/* ---- chunks ---------------------------------------------------------- */

bool glibc_place_of(struct glibc_heap *gh, taddr_t buf, struct glibc_place *ret)
{
	taddr_t chunk = buf - CHUNK_HEAD;

	memset(ret, 0, sizeof(*ret));
	if (buf % CHUNK_ALIGN)
		return false;
	ret->r = glibc_chunk_at(gh, chunk, &ret->g);
	if (ret->r) {
		ret->bytes = (uint64_t)(glibc_next(ret->r, ret->g) - ret->g) *
			     GRANULE;
		return true;
	}
	ret->big = glibc_big_at(gh, chunk);
	if (!ret->big || ret->big->chunk != chunk)
		return false;
	ret->bytes = ret->big->end - chunk - 2ull * ret->big->tail;
	return true;
}

enum chunk_state glibc_place_state(const struct glibc_place *p)
{
	if (p->r)
		return glibc_state(p->r, p->g);
	if (p->big->is_own)
		return CHUNK_OWN;
	return p->big->is_cached ? CHUNK_TCACHE : CHUNK_USED;
}

void glibc_place_cached(const struct glibc_place *p)
{
	if (p->r)
		glibc_set_state(p->r, p->g, CHUNK_TCACHE);
	else
		p->big->is_cached = true;
}

/* ---- one structure --------------------------------------------------- */

/* the number at place i of those that count */
static uint64_t counter_of(struct glibc_heap *gh, taddr_t tcache, unsigned i)
{
	uint64_t bytes = gh->lay.tcache_count_bytes;
	taddr_t at = tcache + i * bytes;
	uint64_t word = 0;

	if (!glibc_read(gh, at & ~7ull, &word))
		return 0;
	word >>= (at & 7) * 8;
	return word & ((1ull << bytes * 8) - 1);
}

uint64_t glibc_tcache_count(struct glibc_heap *gh, taddr_t tcache, unsigned i)
{
	uint64_t n = counter_of(gh, tcache, i);

	if (!gh->lay.has_slots)
		return n;
	return n < gh->lay.tcache_limit ? gh->lay.tcache_limit - n : 0;
}

taddr_t glibc_tcache_entry(struct glibc_heap *gh, taddr_t tcache, unsigned i)
{
	uint64_t entry = 0;

	(void)!glibc_read(gh, tcache + gh->lay.tcache_entries + i * 8ull,
			  &entry);
	return entry;
}

/* what most of the lists without entries count */
static uint64_t limit_of(struct glibc_heap *gh, taddr_t tcache)
{
	uint64_t limit = 0;
	unsigned votes = 0;

	for (unsigned i = 0; i < gh->lay.tcache_bins; i++) {
		if (glibc_tcache_entry(gh, tcache, i))
			continue;
		uint64_t n = counter_of(gh, tcache, i);

		if (n == limit) {
			votes++;
		} else if (votes == 0) {
			limit = n;
			votes = 1;
		} else {
			votes--;
		}
	}
	return limit;
}

/* (T1) of one list that has no entry, or has one */
static bool counts_right(struct glibc_heap *gh, taddr_t tcache, unsigned i,
			 taddr_t entry, uint64_t limit)
{
	uint64_t n = counter_of(gh, tcache, i);

	if (gh->lay.has_slots)
		return entry ? n < limit : n == limit;
	return (n != 0) == (entry != 0);
}

bool glibc_tcache_holds(struct glibc_heap *gh, unsigned i, taddr_t buf)
{
	struct glibc_place p;
	uint64_t min = 0;
	uint64_t max = 0;

	glibc_tcache_range(i, &min, &max);
	return glibc_place_of(gh, buf, &p) && p.bytes >= min && p.bytes <= max;
}

/* (T1), (T2).  *ret_n: lists that hold something */
static bool is_tcache(struct glibc_heap *gh, taddr_t tcache, unsigned *ret_n)
{
	uint64_t limit = gh->lay.tcache_limit;
	unsigned good = 0;
	unsigned bad = 0;

	if (gh->lay.has_slots && limit == 0)
		limit = limit_of(gh, tcache);
	for (unsigned i = 0; i < gh->lay.tcache_bins; i++) {
		taddr_t entry = glibc_tcache_entry(gh, tcache, i);
		bool is_right = counts_right(gh, tcache, i, entry, limit);

		if (is_right && !entry)
			continue;
		if (!is_right || !glibc_tcache_holds(gh, i, entry))
			bad++;
		else
			good++;
	}
	*ret_n = good;
	return good >= 2 * bad;
}

/* ---- threads that a fork has left behind ----------------------------- */

/* their descriptors, each of which holds its own address twice */
struct dead {
	bool is_found;
	size_t n, cap;
	taddr_t *v;
};

static bool is_alive(const struct glibc_heap *gh, taddr_t fs)
{
	for (size_t i = 0; i < target_nthreads(gh->t); i++)
		if (target_thread(gh->t, i)->regs.fs_base == fs)
			return true;
	return false;
}

static void find_dead_in(struct glibc_heap *gh, struct dead *dead, taddr_t at,
			 taddr_t end)
{
	at = (at + FS_ALIGN - 1) & ~(taddr_t)(FS_ALIGN - 1);
	while (at < end) {
		size_t len = 0;
		const unsigned char *p = target_peek(gh->t, at, &len);

		if (!p || len < FS_ALIGN)
			return;
		if (len > end - at)
			len = end - at;
		for (size_t i = 0; i + FS_ALIGN <= len; i += FS_ALIGN) {
			uint64_t tcb = 0;
			uint64_t self = 0;

			memcpy(&tcb, p + i, sizeof(tcb));
			memcpy(&self, p + i + FS_SELF, sizeof(self));
			if (tcb == at + i && self == tcb && !is_alive(gh, tcb))
				VEC_PUSH(dead, tcb);
		}
		at += len / FS_ALIGN * FS_ALIGN;
		if (len < FS_ALIGN)
			return;
	}
}

/* in all memory that is no heap's */
static void find_dead(struct glibc_heap *gh, struct dead *dead)
{
	if (dead->is_found)
		return;
	dead->is_found = true;
	for (size_t i = 0; i < target_nmaps(gh->t); i++) {
		const struct target_map *map = target_map(gh->t, i);
		taddr_t at = map->start;

		if (!(map->prot & PF_W) || map->path)
			continue;
		for (size_t k = 0; k < gh->regions.n; k++) {
			const struct glibc_region *r = &gh->regions.v[k];

			if (r->end <= at || r->base >= map->end)
				continue;
			find_dead_in(gh, dead, at, r->base);
			at = r->end;
		}
		find_dead_in(gh, dead, at, map->end);
	}
}

/* ---- how they are laid out ------------------------------------------- */

/* what is tried on one chunk, and the best so far */
struct trial {
	struct glibc_heap *gh;
	taddr_t tcache;
	struct glibc_layout best;
	unsigned best_n;
};

static void try_layout(struct trial *t, unsigned bins, bool has_slots)
{
	struct glibc_layout *lay = &t->gh->lay;
	unsigned n = 0;

	lay->tcache_bins = bins;
	lay->tcache_count_bytes = 2; /* since 2.30 */
	lay->tcache_entries = (2ull * bins + 7) & ~7ull;
	lay->tcache_bytes = lay->tcache_entries + 8ull * bins;
	lay->has_slots = has_slots;
	lay->tcache_limit = has_slots ? limit_of(t->gh, t->tcache) : 0;
	if (has_slots && lay->tcache_limit == 0)
		return;
	/* an empty one with slots is more than zeros */
	if (is_tcache(t->gh, t->tcache, &n) && n + has_slots > 0 &&
	    n + has_slots >= t->best_n) {
		t->best = *lay;
		t->best_n = n + has_slots;
	}
}

/* every layout that ends where the chunk does, within a rest; of those that are
 * as good as each other the last, with the most lists */
static void try_chunk(struct trial *t, taddr_t tcache)
{
	struct glibc_place p;

	if (!glibc_place_of(t->gh, tcache, &p) ||
	    glibc_place_state(&p) != CHUNK_USED)
		return;
	t->tcache = tcache;
	if (p.big && p.big->end - p.big->start == PAGE) {
		try_layout(t, TCACHE_SMALL, false);
		try_layout(t, TCACHE_SLOTS, true);
	}
	if (p.big || p.bytes < CHUNK_LEAST || p.bytes > CHUNK_MOST)
		return;
	for (unsigned bins = TCACHE_SMALL; bins <= TCACHE_MAX; bins++) {
		uint64_t bytes = ((2ull * bins + 7) & ~7ull) + 8ull * bins;

		if (bytes + 8 > p.bytes || bytes + 8 + REST_MAX <= p.bytes)
			continue;
		try_layout(t, bins, false);
		try_layout(t, bins, true);
	}
}

static void try_variables(struct trial *t, taddr_t fs)
{
	uint64_t word = 0;

	for (taddr_t at = fs - TLS_BEFORE; at < fs; at += 8)
		if (glibc_read(t->gh, at, &word))
			try_chunk(t, word);
}

static void learn(struct glibc_heap *gh, struct dead *dead)
{
	struct trial t = {.gh = gh, .best = gh->lay};

	for (size_t i = 0; i < target_nthreads(gh->t); i++) {
		const struct target_thread *th = target_thread(gh->t, i);

		if (th->has_regs && !th->regs_partial && th->regs.fs_base)
			try_variables(&t, th->regs.fs_base);
	}
	for (size_t i = 0; i < gh->regions.n; i++)
		try_chunk(&t, gh->regions.v[i].start + CHUNK_HEAD);
	if (t.best_n == 0)
		find_dead(gh, dead);
	for (size_t i = 0; i < dead->n; i++)
		try_variables(&t, dead->v[i]);
	gh->lay = t.best;
	if (t.best_n)
		return;
	/* nothing is in any: what they were since 2.30 */
	gh->lay.tcache_bins = TCACHE_SMALL;
	gh->lay.tcache_count_bytes = 2;
	gh->lay.tcache_entries = 2 * TCACHE_SMALL;
	gh->lay.tcache_bytes = 10 * TCACHE_SMALL;
}

/* ---- all of them ----------------------------------------------------- */

static bool is_known(const struct glibc_heap *gh, taddr_t tcache)
{
	for (size_t i = 0; i < gh->tcaches.n; i++)
		if (gh->tcaches.v[i].addr == tcache)
			return true;
	return false;
}

static bool add_tcache(struct glibc_heap *gh, taddr_t tcache, uint32_t tid)
{
	struct glibc_tcache t = {tcache, tid};
	struct glibc_place p;

	if (!glibc_place_of(gh, tcache, &p) || is_known(gh, tcache))
		return false;
	enum chunk_state state = glibc_place_state(&p);

	if (state != CHUNK_USED && !glibc_is_doubtful(state))
		return false;
	if (p.r)
		glibc_set_state(p.r, p.g, CHUNK_OWN);
	else
		p.big->is_own = true;
	VEC_PUSH(&gh->tcaches, t);
	return true;
}

/* a rest too small to be a chunk stays with the one before it: 16 bytes, and 32
 * have been seen of 2.43 */
static bool is_tcache_size(const struct glibc_heap *gh, uint64_t chunk_bytes)
{
	uint64_t want = (gh->lay.tcache_bytes + 8 + CHUNK_ALIGN - 1) &
			~(uint64_t)(CHUNK_ALIGN - 1);

	return chunk_bytes >= want && chunk_bytes < want + REST_MAX;
}

/* mapped like all else, where the user has malloc() map what is so small */
static bool is_page_of_tcache(const struct glibc_heap *gh,
			      const struct glibc_big *big)
{
	uint64_t want = CHUNK_HEAD + gh->lay.tcache_bytes + big->tail;

	return big->end - big->start == ((want + PAGE - 1) & ~(PAGE - 1ull));
}

static bool is_chunk_of_tcache(struct glibc_heap *gh, taddr_t tcache)
{
	struct glibc_place p;

	if (!glibc_place_of(gh, tcache, &p))
		return false;
	enum chunk_state state = glibc_place_state(&p);

	if (p.big)
		return is_page_of_tcache(gh, p.big) && state != CHUNK_TCACHE;
	return glibc_is_doubtful(state) ||
	       (is_tcache_size(gh, p.bytes) &&
		(state == CHUNK_USED || state == CHUNK_OWN));
}

/* by the variable of a thread, where its name is known; of a thread that was
 * never in need of one it leads into libc, if anywhere */
static void tcache_by_name(struct glibc_heap *gh,
			   const struct target_thread *th)
{
	struct symbol sym;
	uint64_t tcache = 0;

	if (!types_tls_symbol(gh->types, gh->libc, th, "tcache", &sym) ||
	    !glibc_read(gh, sym.value, &tcache) || !tcache)
		return;
	if (is_chunk_of_tcache(gh, tcache) && add_tcache(gh, tcache, th->tid))
		return;
	/* a thread that has none yet: since 2.43 an empty one of libc's */
	if (types_object_at(gh->types, tcache))
		return;
	if (glibc_is_absent(gh, tcache))
		glibc_absent(gh, tcache, tcache + gh->lay.tcache_bytes);
	else
		glibc_damage(gh, 0, sym.value,
			     "thread %u: the pointer to its tcache is "
			     "overwritten (0x%" PRIx64 ")",
			     th->tid, tcache);
}

/* by the words of its block of variables, which libc's are in */
static void tcache_by_tls(struct glibc_heap *gh, taddr_t fs, uint32_t tid)
{
	unsigned n = 0;
	uint64_t word = 0;

	for (taddr_t at = fs - TLS_BEFORE; at < fs; at += 8)
		if (glibc_read(gh, at, &word) && is_chunk_of_tcache(gh, word) &&
		    is_tcache(gh, word, &n) && (n || !glibc_big_at(gh, word)) &&
		    add_tcache(gh, word, tid))
			return;
}

static void tcaches_of_threads(struct glibc_heap *gh)
{
	for (size_t i = 0; i < target_nthreads(gh->t); i++) {
		const struct target_thread *th = target_thread(gh->t, i);

		if (!th->has_regs || th->regs_partial || !th->regs.fs_base)
			continue;
		if (gh->lay.is_named)
			tcache_by_name(gh, th);
		else
			tcache_by_tls(gh, th->regs.fs_base, th->tid);
	}
}

/* those of nobody, and those whose thread is not told; true: there may be more,
 * that are empty */
static bool tcaches_of_regions(struct glibc_heap *gh)
{
	bool is_more = false;

	for (size_t i = 0; i < gh->regions.n; i++) {
		struct glibc_region *r = &gh->regions.v[i];
		bool is_first = true;

		for (size_t g = 0; g < r->ngranules;) {
			size_t next = glibc_next(r, g);
			taddr_t tcache = r->start + g * GRANULE + CHUNK_HEAD;
			unsigned n = 0;

			if (is_tcache_size(gh, (next - g) * GRANULE) &&
			    glibc_state(r, g) == CHUNK_USED &&
			    is_tcache(gh, tcache, &n)) {
				if (n || is_first)
					(void)add_tcache(gh, tcache, 0);
				else
					is_more = true;
			}
			is_first = false;
			g = next;
		}
	}
	return is_more;
}

void glibc_find_tcaches(struct glibc_heap *gh)
{
	struct dead dead = {0};

	if (!gh->lay.tcache_bins)
		learn(gh, &dead);
	gh->classes[0].pub.bufsize_bytes = gh->lay.tcache_bytes;
	gh->classes[0].pub.chunk_bytes = gh->lay.tcache_bytes;
	tcaches_of_threads(gh);
	if (tcaches_of_regions(gh))
		find_dead(gh, &dead);
	for (size_t i = 0; i < dead.n; i++)
		tcache_by_tls(gh, dead.v[i], 0);
	VEC_FREE(&dead);
}
