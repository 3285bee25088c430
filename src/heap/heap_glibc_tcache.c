/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The caches of threads.
 *
 * A thread keeps what it frees in lists of its own, by size, few in each; such
 * a chunk looks like one in use.  Where the lists are, heap_glibc_thread.c tells.
 * Behind the link of each buffer in one stands the same key as in every other
 * (since 2.34 a number drawn once; before that the address of the structure).
 *
 * Links are stored mangled since 2.32: xor the place of the link over 4096,
 * which is known by whether what the first of most lists has leads to a chunk as
 * it is, or so.
 *
 * A list that is damaged is lost from there on; but what was in it still has the
 * key, so that the rest is found by it.
 */
#include <string.h>
#include "heap/heap_glibc_impl.h"

#define LINK_SHIFT 12
#define KEY_OFF    8u
#define COUNT_SANE 256u

/* ---- links ----------------------------------------------------------- */

bool glibc_link(struct glibc_heap *gh, taddr_t at, taddr_t *ret)
{
	uint64_t stored = 0;

	if (!glibc_read(gh, at, &stored))
		return false;
	*ret = gh->is_protected ? stored ^ at >> LINK_SHIFT : stored;
	return true;
}

/* looks at the link of the first buffer of a list; links lead "off" behind the
 * begin of what is a buffer */
static void vote_link(struct glibc_heap *gh, taddr_t buf, unsigned off,
		      long *votes)
{
	struct glibc_place p;
	uint64_t stored = 0;

	if (!glibc_place_of(gh, buf, &p) || !glibc_read(gh, buf, &stored))
		return;
	taddr_t plain = stored ^ buf >> LINK_SHIFT;

	if (stored == 0 || glibc_place_of(gh, stored + off, &p))
		--*votes;
	else if (plain == 0 || glibc_place_of(gh, plain + off, &p))
		++*votes;
}

static void learn_links(struct glibc_heap *gh)
{
	uint64_t chunk = 0;
	long votes = 0;

	for (size_t i = 0; i < gh->tcaches.n; i++)
		for (unsigned b = 0; b < gh->lay.tcache_bins; b++)
			vote_link(gh,
				  glibc_tcache_entry(gh, gh->tcaches.v[i].addr,
						     b),
				  0, &votes);
	for (size_t i = 0; i < gh->arenas.n; i++)
		for (unsigned b = 0; b < gh->lay.nfastbins; b++)
			if (glibc_read(gh,
				       gh->arenas.v[i].addr + gh->lay.fastbins +
					       b * 8ull,
				       &chunk) &&
			    chunk)
				vote_link(gh, chunk + CHUNK_HEAD, CHUNK_HEAD,
					  &votes);
	gh->is_protected = votes >= 0;
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
		for (unsigned b = 0; b < gh->lay.tcache_bins; b++) {
			taddr_t entry = glibc_tcache_entry(
				gh, gh->tcaches.v[i].addr, b);
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
	uint64_t min, max; /* sizes of chunk */
	uint64_t n, bytes;
	uint64_t nbad; /* of those, that may not belong there */
	bool is_damaged;
};

static void broken(struct glibc_heap *gh, struct chain *c, taddr_t from,
		   taddr_t to)
{
	uint64_t size = c->max - 8;

	c->is_damaged = true;
	if (glibc_is_absent(gh, to))
		glibc_absent(gh, to, to + size);
	else if (from)
		glibc_damage(
			gh, from, from,
			"free buffer 0x%" PRIx64 " (%" PRIu64
			" bytes, tcache): its link is overwritten, to 0x%" PRIx64
			": written to after it was freed",
			from, size, to);
	else
		glibc_damage(gh, c->tc->addr,
			     c->tc->addr + gh->lay.tcache_entries +
				     c->bin * 8ull,
			     "tcache 0x%" PRIx64 ": its list of %" PRIu64
			     " bytes begins at 0x%" PRIx64
			     ", where no such buffer is",
			     c->tc->addr, size, to);
}

static bool leads_on(struct glibc_heap *gh, taddr_t buf)
{
	struct glibc_place p;
	taddr_t next = 0;

	return glibc_link(gh, buf, &next) &&
	       (next == 0 || glibc_place_of(gh, next, &p));
}

/* takes one buffer; false: the list ends here */
static bool take(struct glibc_heap *gh, struct chain *c, taddr_t from,
		 taddr_t buf)
{
	struct glibc_place p;
	uint64_t key = 0;

	if (!glibc_place_of(gh, buf, &p)) {
		broken(gh, c, from, buf);
		return false;
	}
	enum chunk_state state = glibc_place_state(&p);

	if (state == CHUNK_TCACHE) {
		c->is_damaged = true;
		glibc_damage(gh, buf, buf,
			     "free buffer 0x%" PRIx64 " (%" PRIu64
			     " bytes) is in a tcache twice: freed twice",
			     buf, p.bytes - 8);
		return false;
	}
	if (!glibc_is_doubtful(state) &&
	    (state != CHUNK_USED || p.bytes < c->min || p.bytes > c->max)) {
		broken(gh, c, from, buf);
		return false;
	}
	glibc_place_cached(&p);
	c->n++;
	c->bytes += p.bytes;
	if (gh->tcache_key && gh->tcache_key != c->tc->addr &&
	    glibc_read(gh, buf + KEY_OFF, &key) && key != gh->tcache_key &&
	    key != c->tc->addr) {
		c->is_damaged = true;
		/* nor is there a link: is it one that is in use? */
		if (!leads_on(gh, buf) && p.r) {
			glibc_set_state(p.r, p.g, CHUNK_LOST);
			c->nbad++;
		}
		glibc_damage(gh, buf, buf + KEY_OFF,
			     "free buffer 0x%" PRIx64 " (%" PRIu64
			     " bytes, tcache): its key is overwritten: written "
			     "to after it was freed",
			     buf, p.bytes - 8);
	}
	return true;
}

static void add_list(struct glibc_heap *gh, const struct chain *c,
		     taddr_t first)
{
	struct glibc_list l = {
		.pub = {.addr = c->tc->addr + gh->lay.tcache_entries +
				c->bin * 8ull,
			.owner = c->tc->addr,
			.tid = c->tc->tid,
			.is_thread = true,
			.where = "tcache",
			.index = c->bin,
			.min_bytes = c->min - 8,
			.max_bytes = c->max - 8,
			.first = first,
			.n = c->n,
			.bytes = c->bytes},
	};

	VEC_PUSH(&gh->lists, l);
}

/* how many buffers of it were not found */
static uint64_t read_list(struct glibc_heap *gh, struct chain *c)
{
	uint64_t count = glibc_tcache_count(gh, c->tc->addr, c->bin);
	taddr_t first = glibc_tcache_entry(gh, c->tc->addr, c->bin);
	taddr_t from = 0;
	taddr_t buf = first;

	while (buf && take(gh, c, from, buf)) {
		from = buf;
		if (!glibc_link(gh, buf, &buf))
			break;
	}
	if (c->n != count && !c->is_damaged)
		glibc_damage(gh, c->tc->addr, from ? from : c->tc->addr,
			     "tcache 0x%" PRIx64 ": a list of %" PRIu64
			     " bytes has %" PRIu64
			     " buffers, the last 0x%" PRIx64
			     ", and counts %" PRIu64,
			     c->tc->addr, c->max - 8, c->n, from, count);
	if (c->n)
		add_list(gh, c, first);
	return count > c->n - c->nbad ? count - (c->n - c->nbad) : 0;
}

struct err *glibc_tcaches(struct glibc_heap *gh)
{
	glibc_find_tcaches(gh);
	learn_links(gh);
	learn_key(gh);
	for (size_t i = 0; i < gh->tcaches.n; i++)
		for (unsigned b = 0; b < gh->lay.tcache_bins; b++) {
			struct chain c = {.tc = &gh->tcaches.v[i], .bin = b};

			glibc_tcache_range(b, &c.min, &c.max);
			gh->tcache_missing[b] += read_list(gh, &c);
		}
	return NULL;
}

/* ---- what damaged lists have lost ------------------------------------ */

/* A damaged list: buffers with the key that no list has.  As many as it counts
 * were in it; if that is no number of a list, who knows. */
static void sweep(struct glibc_heap *gh, unsigned bin, uint64_t missing)
{
	enum chunk_state state =
		missing > COUNT_SANE ? CHUNK_LOST : CHUNK_TCACHE;
	uint64_t key = 0;
	uint64_t min = 0;
	uint64_t max = 0;

	glibc_tcache_range(bin, &min, &max);

	for (size_t i = 0; i < gh->regions.n && missing; i++) {
		struct glibc_region *r = &gh->regions.v[i];

		for (size_t g = 0; g < r->ngranules && missing;) {
			size_t next = glibc_next(r, g);
			taddr_t buf = r->start + g * GRANULE + CHUNK_HEAD;

			if ((next - g) * GRANULE >= min &&
			    (next - g) * GRANULE <= max &&
			    glibc_state(r, g) == CHUNK_USED &&
			    glibc_read(gh, buf + KEY_OFF, &key) &&
			    key == gh->tcache_key) {
				glibc_set_state(r, g, state);
				missing--;
			}
			g = next;
		}
	}
}

void glibc_sweep_tcaches(struct glibc_heap *gh)
{
	for (unsigned b = 0; b < gh->lay.tcache_bins && gh->tcache_key; b++)
		if (gh->tcache_missing[b])
			sweep(gh, b, gh->tcache_missing[b]);
}
