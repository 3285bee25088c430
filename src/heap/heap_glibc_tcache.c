/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The caches of threads.
 *
 * A thread keeps what it frees in lists of its own, by size, few in each; such
 * a chunk looks like one in use.  The structure is a chunk itself, of a size
 * that many others have; it is told from them by what it must hold:
 *
 *	counts[64]   entries[64]
 *
 * (T1) a list without entries counts none, and the other way round; (T2) what
 * entry i points at is a buffer of a chunk of 32 + 16 i bytes, behind whose link
 * stands the same key as in every other (since 2.34 a number drawn once; before
 * that the address of the structure).  Threads that were ended rudely, and those
 * that a fork has left behind, have such structures, too; so all chunks of the
 * size are looked at, not only those that a thread points at.  An empty one holds
 * nothing but zeros, and is taken for one only where a thread's own variables
 * point at it, or where it is the first of its arena.
 *
 * Links are stored mangled since 2.32: xor the place of the link over 4096,
 * which is known by whether lists of one end in that or in zero.
 *
 * A list that is damaged is lost from there on; but what was in it still has the
 * key, so that the rest is found by it.
 */
#include <string.h>
#include "heap/heap_glibc_impl.h"

#define LINK_SHIFT   12
#define TLS_BEFORE   0x2000u /* of a thread's variables, below its pointer */
#define COUNT_MAX    0x7fffu
#define KEY_OFF      8u
#define BIN_CHUNK(i) (CHUNK_MIN + CHUNK_ALIGN * (i))

/* ---- links ----------------------------------------------------------- */

bool glibc_link(struct glibc_heap *gh, taddr_t at, taddr_t *ret)
{
	uint64_t stored = 0;

	if (!glibc_read(gh, at, &stored))
		return false;
	*ret = gh->is_protected ? stored ^ at >> LINK_SHIFT : stored;
	return true;
}

static bool is_buffer(struct glibc_heap *gh, taddr_t addr)
{
	size_t granule = 0;

	return addr % CHUNK_ALIGN == 0 &&
	       glibc_chunk_at(gh, addr - CHUNK_HEAD, &granule);
}

/* looks at the link of one buffer in a list, to learn how links are stored */
static void learn_link(struct glibc_heap *gh, taddr_t at)
{
	uint64_t stored = 0;

	if (gh->is_protected_known || !glibc_read(gh, at, &stored))
		return;
	taddr_t plain = stored ^ at >> LINK_SHIFT;

	if (stored == 0 || is_buffer(gh, stored))
		gh->is_protected = false;
	else if (plain == 0 || is_buffer(gh, plain))
		gh->is_protected = true;
	else
		return;
	gh->is_protected_known = true;
}

/* ---- the structures -------------------------------------------------- */

static uint64_t count_of(struct glibc_heap *gh, taddr_t tcache, unsigned i)
{
	uint64_t bytes = gh->lay.tcache_count_bytes;
	taddr_t at = tcache + i * bytes;
	uint64_t word = 0;

	if (!glibc_read(gh, at & ~7ull, &word))
		return 0;
	word >>= (at & 7) * 8;
	return word & ((1ull << bytes * 8) - 1);
}

static taddr_t entry_of(struct glibc_heap *gh, taddr_t tcache, unsigned i)
{
	uint64_t entry = 0;

	(void)!glibc_read(gh, tcache + gh->lay.tcache_entries + i * 8ull,
			  &entry);
	return entry;
}

/* size of the chunk of a buffer, 0: it is none */
static uint64_t chunk_bytes_of(struct glibc_heap *gh, taddr_t buf,
			       enum chunk_state *ret_state)
{
	size_t g = 0;
	struct glibc_region *r = glibc_chunk_at(gh, buf - CHUNK_HEAD, &g);

	if (!r)
		return 0;
	*ret_state = glibc_state(r, g);
	return (uint64_t)(glibc_next(r, g) - g) * GRANULE;
}

/* (T1), (T2).  *ret_n: lists that hold something */
static bool is_tcache(struct glibc_heap *gh, taddr_t tcache, unsigned *ret_n)
{
	enum chunk_state state = CHUNK_NONE;
	unsigned good = 0;
	unsigned bad = 0;

	for (unsigned i = 0; i < TCACHE_BINS; i++) {
		uint64_t n = count_of(gh, tcache, i);
		taddr_t entry = entry_of(gh, tcache, i);

		if (n > COUNT_MAX)
			return false;
		if (n == 0 && entry == 0)
			continue;
		if (n == 0 || entry == 0 || entry % CHUNK_ALIGN ||
		    chunk_bytes_of(gh, entry, &state) != BIN_CHUNK(i))
			bad++;
		else
			good++;
	}
	*ret_n = good;
	return good >= 2 * bad;
}

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
	size_t g = 0;
	struct glibc_region *r = glibc_chunk_at(gh, tcache - CHUNK_HEAD, &g);

	if (!r || glibc_state(r, g) != CHUNK_USED || is_known(gh, tcache))
		return false;
	glibc_set_state(r, g, CHUNK_OWN);
	VEC_PUSH(&gh->tcaches, t);
	return true;
}

/* a rest too small to be a chunk stays with the one before it */
static bool is_tcache_size(const struct glibc_heap *gh, uint64_t chunk_bytes)
{
	uint64_t want = (gh->lay.tcache_bytes + 8 + CHUNK_ALIGN - 1) &
			~(uint64_t)(CHUNK_ALIGN - 1);

	return chunk_bytes == want || chunk_bytes == want + CHUNK_ALIGN;
}

static bool is_chunk_of_tcache(struct glibc_heap *gh, taddr_t tcache)
{
	enum chunk_state state = CHUNK_NONE;

	return tcache % CHUNK_ALIGN == 0 &&
	       is_tcache_size(gh, chunk_bytes_of(gh, tcache, &state)) &&
	       (state == CHUNK_USED || state == CHUNK_OWN);
}

/* by the variable of a thread, where its name is known */
static void tcache_by_name(struct glibc_heap *gh,
			   const struct target_thread *th)
{
	struct symbol sym;
	uint64_t tcache = 0;

	if (types_tls_symbol(gh->types, gh->libc, th, "tcache", &sym) &&
	    glibc_read(gh, sym.value, &tcache) &&
	    is_chunk_of_tcache(gh, tcache))
		(void)add_tcache(gh, tcache, th->tid);
}

/* by the words of its block of variables, which libc's are in */
static void tcache_by_tls(struct glibc_heap *gh, taddr_t fs, uint32_t tid)
{
	unsigned n = 0;
	uint64_t word = 0;

	for (taddr_t at = fs - TLS_BEFORE; at < fs; at += 8)
		if (glibc_read(gh, at, &word) && is_chunk_of_tcache(gh, word) &&
		    is_tcache(gh, word, &n) && add_tcache(gh, word, tid))
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

/* those of nobody, and those whose thread is not told */
static void tcaches_of_regions(struct glibc_heap *gh)
{
	for (size_t i = 0; i < gh->regions.n; i++) {
		struct glibc_region *r = &gh->regions.v[i];
		bool is_first = true;

		for (size_t g = 0; g < r->ngranules;) {
			size_t next = glibc_next(r, g);
			taddr_t tcache = r->start + g * GRANULE + CHUNK_HEAD;
			unsigned n = 0;

			if (is_tcache_size(gh, (next - g) * GRANULE) &&
			    glibc_state(r, g) == CHUNK_USED &&
			    is_tcache(gh, tcache, &n) && (n || is_first))
				(void)add_tcache(gh, tcache, 0);
			is_first = false;
			g = next;
		}
	}
}

/* ---- what is in them ------------------------------------------------- */

/* the key that most first entries have */
static void learn_key(struct glibc_heap *gh)
{
	uint64_t key = 0;
	uint64_t votes = 0;

	if (gh->tcache_key)
		return;
	for (size_t i = 0; i < gh->tcaches.n; i++)
		for (unsigned b = 0; b < TCACHE_BINS; b++) {
			taddr_t entry = entry_of(gh, gh->tcaches.v[i].addr, b);
			uint64_t word = 0;

			if (!entry || !glibc_read(gh, entry + KEY_OFF, &word))
				continue;
			/* one that has the majority stays */
			if (word == key) {
				votes++;
			} else if (votes == 0) {
				key = word;
				votes = 1;
			} else {
				votes--;
			}
		}
	gh->tcache_key = key;
}

struct chain {
	const struct glibc_tcache *tc;
	unsigned bin;
	uint64_t n;
	bool is_damaged;
};

static void broken(struct glibc_heap *gh, struct chain *c, taddr_t from,
		   taddr_t to)
{
	uint64_t size = BIN_CHUNK(c->bin) - 8;

	c->is_damaged = true;
	if (from)
		glibc_damage(
			gh, from, from,
			"free buffer 0x%" PRIx64 " (%" PRIu64
			" bytes, tcache): its link is overwritten, to 0x%" PRIx64
			": written to after it was freed",
			from, size, to);
	else
		glibc_damage(gh, c->tc->addr, c->tc->addr,
			     "tcache 0x%" PRIx64 ": its list of %" PRIu64
			     " bytes begins at 0x%" PRIx64
			     ", where no such buffer is",
			     c->tc->addr, size, to);
}

/* takes one buffer; false: the list ends here */
static bool take(struct glibc_heap *gh, struct chain *c, taddr_t from,
		 taddr_t buf)
{
	uint64_t size = BIN_CHUNK(c->bin);
	uint64_t key = 0;
	size_t g = 0;
	struct glibc_region *r = glibc_chunk_at(gh, buf - CHUNK_HEAD, &g);

	if (!r || buf % CHUNK_ALIGN) {
		broken(gh, c, from, buf);
		return false;
	}
	if (glibc_state(r, g) == CHUNK_TCACHE) {
		c->is_damaged = true;
		glibc_damage(gh, buf, buf,
			     "free buffer 0x%" PRIx64 " (%" PRIu64
			     " bytes) is in a tcache twice: freed twice",
			     buf, size - 8);
		return false;
	}
	if ((glibc_state(r, g) != CHUNK_USED &&
	     glibc_state(r, g) != CHUNK_UNSURE) ||
	    (glibc_next(r, g) - g) * GRANULE != size) {
		broken(gh, c, from, buf);
		return false;
	}
	glibc_set_state(r, g, CHUNK_TCACHE);
	c->n++;
	if (gh->tcache_key && gh->tcache_key != c->tc->addr &&
	    glibc_read(gh, buf + KEY_OFF, &key) && key != gh->tcache_key &&
	    key != c->tc->addr) {
		c->is_damaged = true;
		glibc_damage(gh, buf, buf + KEY_OFF,
			     "free buffer 0x%" PRIx64 " (%" PRIu64
			     " bytes, tcache): its key is overwritten: written "
			     "to after it was freed",
			     buf, size - 8);
	}
	return true;
}

/* a damaged list: buffers with the key that no list has */
static void sweep(struct glibc_heap *gh, unsigned bin, uint64_t missing)
{
	uint64_t key = 0;

	for (size_t i = 0; i < gh->regions.n && missing; i++) {
		struct glibc_region *r = &gh->regions.v[i];

		for (size_t g = 0; g < r->ngranules && missing;) {
			size_t next = glibc_next(r, g);
			taddr_t buf = r->start + g * GRANULE + CHUNK_HEAD;

			if ((next - g) * GRANULE == BIN_CHUNK(bin) &&
			    glibc_state(r, g) == CHUNK_USED &&
			    glibc_read(gh, buf + KEY_OFF, &key) &&
			    key == gh->tcache_key) {
				glibc_set_state(r, g, CHUNK_TCACHE);
				missing--;
			}
			g = next;
		}
	}
}

static void add_list(struct glibc_heap *gh, const struct chain *c,
		     taddr_t first)
{
	uint64_t size = BIN_CHUNK(c->bin);
	struct glibc_list l = {
		.pub = {.addr = c->tc->addr + gh->lay.tcache_entries +
				c->bin * 8ull,
			.owner = c->tc->addr,
			.tid = c->tc->tid,
			.is_thread = true,
			.where = "tcache",
			.index = c->bin,
			.min_bytes = size - 8,
			.max_bytes = size - 8,
			.first = first,
			.n = c->n,
			.bytes = c->n * size},
	};

	VEC_PUSH(&gh->lists, l);
}

/* how many buffers of it were not found */
static uint64_t read_list(struct glibc_heap *gh, struct chain *c)
{
	uint64_t count = count_of(gh, c->tc->addr, c->bin);
	taddr_t first = entry_of(gh, c->tc->addr, c->bin);
	taddr_t from = 0;
	taddr_t buf = first;

	while (buf && take(gh, c, from, buf)) {
		from = buf;
		if (!glibc_link(gh, buf, &buf))
			break;
	}
	if (c->n != count && !c->is_damaged)
		glibc_damage(gh, c->tc->addr, c->tc->addr,
			     "tcache 0x%" PRIx64
			     ": a list of %u bytes has %" PRIu64
			     " buffers and counts %" PRIu64,
			     c->tc->addr, BIN_CHUNK(c->bin) - 8, c->n, count);
	if (c->n)
		add_list(gh, c, first);
	return c->is_damaged && count > c->n ? count - c->n : 0;
}

struct err *glibc_tcaches(struct glibc_heap *gh)
{
	uint64_t missing[TCACHE_BINS] = {0};

	tcaches_of_threads(gh);
	tcaches_of_regions(gh);
	for (size_t i = 0; i < gh->tcaches.n; i++)
		for (unsigned b = 0; b < TCACHE_BINS; b++)
			if (count_of(gh, gh->tcaches.v[i].addr, b) == 1)
				learn_link(
					gh,
					entry_of(gh, gh->tcaches.v[i].addr, b));
	if (!gh->is_protected_known)
		gh->is_protected = true;
	learn_key(gh);
	for (size_t i = 0; i < gh->tcaches.n; i++)
		for (unsigned b = 0; b < TCACHE_BINS; b++) {
			struct chain c = {.tc = &gh->tcaches.v[i], .bin = b};

			missing[b] += read_list(gh, &c);
		}
	for (unsigned b = 0; b < TCACHE_BINS && gh->tcache_key; b++)
		if (missing[b])
			sweep(gh, b, missing[b]);
	return NULL;
}
