/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads caches, slabs and the state of every buffer into tables of our own.
 *
 *   caches[]   in order of creation
 *   slabs[]    complete ones, then partial ones, cache by cache
 *   state[]    one byte a buffer: enum buf_state
 *   ctl[]      one bufctl address a buffer of a hashed cache
 *
 * Deciding the state of a buffer:
 *   raw cache      what the slab's free list names is free, the rest allocated.
 *                  If the list is damaged, the buffer's tag decides where there
 *                  is one.
 *   hashed cache   what the hash table names is allocated by the slab layer, the
 *                  rest free; the free list only tells the bufctls of the rest.
 *                  Without a readable table it is as for raw caches.
 *   both           what a magazine names is free after all (heap_kmem_mag.c);
 *                  what has a tag or a record that says free is in transit.
 *
 * Invariants after loading: (I1) a slab's buffers lie in mapped memory and in
 * its slab's bytes.  (I2) slabs of leaf caches are disjoint, as are the slabs
 * of one cache.  (I3) a buffer has exactly one state.
 *
 * What is alike in all of a million buffers is done in bulk, on all processors
 * (heap_kmem_bulk.c, _hash.c, _sweep.c).  Those give way when anything is not as
 * it should be; what is here then finds out what, and says so.
 *
 * Cost: one read a slab, bufctl, free-list entry and hash entry; 9 bytes a
 * buffer and some 100 a slab.
 */
#include <stdlib.h>
#include <string.h>
#include "base/interrupt.h"
#include "heap/heap_kmem_impl.h"

#define CACHES_MAX 100000
#define PAGE_BYTES 4096u
/* pages to a slab for which there is an index */
#define PAGES_MAX 64u

/* ---- caches ---------------------------------------------------------- */

static char *read_name(const struct kmem_heap *kh, enum kmem_field f,
		       const void *raw)
{
	const struct view_row *row = &kh->names.row[f];
	const char *p = (const char *)raw + row->offset_bytes;
	size_t n = row->size_bytes < KMEM_NAME_MAX ? row->size_bytes
						   : KMEM_NAME_MAX;
	char *name = mem_strndup(p, strnlen(p, n));

	for (char *c = name; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			*c = '?';
	return name;
}

/* statistics that need only the cache structure and its CPUs */
static void sum_cpus(struct kmem_heap *kh, struct kmem_cache *kc)
{
	taddr_t cpu = kc->pub.addr +
		      kh->names.row[F_kmem_cache_cache_cpu].offset_bytes;

	for (uint32_t i = 0; i < kh->ncpus; i++) {
		const void *raw = kmem_peek(kh, K_kmem_cpu_cache, cpu);

		if (!raw)
			return;
		kc->pub.nalloc += kmem_get(kh, F_kmem_cpu_cache_cc_alloc, raw);
		cpu += kh->names.struct_bytes[K_kmem_cpu_cache];
	}
}

/* is what the slab lists say possible at all? */
static bool check_geometry(struct kmem_heap *kh, const struct kmem_cache *kc)
{
	uint64_t q = kc->quantum_bytes;
	bool ok = kc->chunk_bytes > 0 && kc->chunk_bytes <= kc->slab_bytes &&
		  kc->pub.bufsize_bytes > 0 &&
		  kc->pub.bufsize_bytes <= kc->chunk_bytes && q > 0 &&
		  (q & (q - 1)) == 0 && kc->slab_bytes % q == 0 &&
		  (kc->pub.has_hash || kc->bufctl_off + 8 <= kc->chunk_bytes) &&
		  (!kc->has_buftag || kc->buftag_off + 24 <= kc->chunk_bytes) &&
		  kc->verify_bytes <= kc->chunk_bytes;

	if (!ok)
		kmem_damage(kh, kc->pub.addr, kc->pub.addr,
			    "cache %s (0x%" PRIx64 "): chunk size %" PRIu64
			    ", slab size %" PRIu64 ", quantum %" PRIu64
			    " cannot be",
			    kc->name, kc->pub.addr, kc->chunk_bytes,
			    kc->slab_bytes, kc->quantum_bytes);
	return ok;
}

static void read_flags(struct kmem_heap *kh, struct kmem_cache *kc)
{
	uint64_t flags = kc->pub.flags;
	uint64_t cflags = kc->pub.cflags;

	kc->has_deadbeef = flags & kh->num.kmf_deadbeef;
	kc->has_redzone = flags & kh->num.kmf_redzone;
	kc->has_buftag = kc->has_deadbeef || kc->has_redzone;
	kc->is_lite = flags & kh->num.kmf_lite;
	kc->pub.has_audit = flags & kh->num.kmf_audit;
	kc->pub.has_guards = kc->has_redzone;
	kc->pub.has_hash = flags & kh->num.kmf_hash;
	kc->pub.is_notouch = cflags & kh->num.kmc_notouch;
}

/* whose buffers are the program's: those of caches on the arenas for objects,
 * or on an arena of the program's own */
static void classify(struct kmem_heap *kh, struct kmem_cache *kc)
{
	const struct kmem_arena *arena = kmem_arena_at(kh, kc->pub.arena);
	bool is_qcache = kc->pub.cflags & kh->num.kmc_qcache;
	bool is_identifier = arena && arena->pub.is_identifier;
	bool is_object_arena =
		kc->pub.arena &&
		(kc->pub.arena == kmem_global(kh, S_kmem_default_arena, 8) ||
		 kc->pub.arena == kmem_global(kh, S_kmem_firewall_arena, 8));

	kc->is_leaf = !is_qcache && !is_identifier;
	kc->quantum_bytes = arena ? arena->pub.quantum_bytes : 0;
	kc->pub.is_internal =
		!kc->is_leaf ||
		!(is_object_arena || (arena && !arena->pub.is_internal));
}

/* kmem_alloc_N or kmem_align_A_N, what sizes are rounded to; else they are
 * alike */
static bool is_size_class(const char *name)
{
	static const char digits[] = "0123456789";
	static const char plain[] = "kmem_alloc_";
	static const char aligned[] = "kmem_align_";
	const char *n = name + sizeof(plain) - 1;

	if (strncmp(name, aligned, sizeof(aligned) - 1) == 0) {
		n += strspn(n, digits);
		if (*n++ != '_')
			return false;
	} else if (strncmp(name, plain, sizeof(plain) - 1) != 0) {
		return false;
	}
	return *n && strspn(n, digits) == strlen(n);
}

/* mdb has a walker for each size that threads keep buffers of */
static void name_thread_walkers(struct kmem_cache *kc)
{
	static const char *const spelling[2] = {"kmem", "umem"};

	if (kc->size_class == 0 || strncmp(kc->name, "kmem_alloc_", 11) != 0)
		return;
	for (int i = 0; i < 2; i++) {
		kc->thread_walker[i] =
			mem_printf("%s_ptc_%s", spelling[i], kc->name + 11);
		kc->pub.thread_walker[i] = kc->thread_walker[i];
	}
}

static void read_cache(struct kmem_heap *kh, taddr_t addr, const void *raw)
{
	struct kmem_cache kc = {0};
	const unsigned char *full =
		(const unsigned char *)raw +
		kh->names.row[F_kmem_cache_cache_full].offset_bytes;

#define G(f) kmem_get(kh, F_kmem_cache_cache_##f, raw)
	kc.name = read_name(kh, F_kmem_cache_cache_name, raw);
	kc.chunk_bytes = G(chunksize);
	kc.slab_bytes = G(slabsize);
	kc.bufctl_off = G(bufctl);
	kc.buftag_off = G(buftag);
	kc.verify_bytes = G(verify);
	kc.hash_mask = G(hash_mask);
	kc.hash_shift = G(hash_shift);
	kc.hash_table = G(hash_table);
	kc.complete = G(complete_slabs);
	kc.partial = G(partial_slabs);
	kc.magtype = G(magtype);
	kc.size_class = G(class);
	kc.pub = (struct heap_cache){
		.addr = addr,
		.name = kc.name,
		.bufsize_bytes = G(bufsize),
		.chunk_bytes = kc.chunk_bytes,
		.slab_bytes = kc.slab_bytes,
		.flags = (uint32_t)G(flags),
		.cflags = (uint32_t)G(cflags),
		.arena = G(arena),
		.buftotal = G(buftotal),
		.slabs_created = G(slab_create),
		.slabs_destroyed = G(slab_destroy),
		.nalloc = G(slab_alloc) - G(bin_fill),
		.nalloc_fail = G(alloc_fail),
	};
#undef G
	kc.full_list = kmem_get(kh, F_kmem_maglist_ml_list, full);
	kc.full_total = kmem_get(kh, F_kmem_maglist_ml_total, full);
	kc.pub.is_sized = is_size_class(kc.name);
	kc.pub.has_constructor =
		kmem_get(kh, F_kmem_cache_cache_constructor, raw) != 0;
	read_flags(kh, &kc);
	kc.pub.is_poisoned = kc.has_deadbeef;
	classify(kh, &kc);
	name_thread_walkers(&kc);
	sum_cpus(kh, &kc);
	kc.is_usable = check_geometry(kh, &kc);
	VEC_PUSH(&kh->caches, kc);
}

static void check_prev(struct kmem_heap *kh, taddr_t at, taddr_t prev,
		       const void *raw)
{
	taddr_t back = kmem_get(kh, F_kmem_cache_cache_prev, raw);

	if (kh->names.row[F_kmem_cache_cache_prev].is_bound && back != prev)
		kmem_damage(kh, at, at,
			    "cache 0x%" PRIx64 ": previous cache is 0x%" PRIx64
			    ", should be 0x%" PRIx64,
			    at, back, prev);
}

static struct err *load_caches(struct kmem_heap *kh)
{
	taddr_t head = kh->names.sym[S_kmem_null_cache];
	taddr_t prev = head;
	taddr_t at = kmem_get_at(kh, F_kmem_cache_cache_next, head);
	struct hash seen;
	struct err *err = NULL;

	hash_init(&seen);
	while (!err && at != head) {
		const void *raw = kmem_peek(kh, K_kmem_cache, at);
		bool is_new = false;

		hash_put(&seen, at, &is_new);
		if (!raw || !is_new || kh->caches.n == CACHES_MAX) {
			kmem_damage(kh, prev, prev,
				    "cache 0x%" PRIx64 ": next cache 0x%" PRIx64
				    " %s",
				    prev, at,
				    raw ? "is in the list already"
					: "is not in the dump");
			break;
		}
		/* a cache that is skipped would take its buffers with it */
		check_prev(kh, at, prev, raw);
		prev = at;
		at = kmem_get(kh, F_kmem_cache_cache_next, raw);
		read_cache(kh, prev, raw);
		err = interrupt_check();
	}
	hash_fini(&seen);
	if (!err && prev == head && at == head)
		kmem_damage(kh, head, 0, "the list of caches is empty");
	return err;
}

const struct kmem_cache *kmem_cache_at(const struct kmem_heap *kh, taddr_t addr)
{
	for (size_t i = 0; i < kh->caches.n; i++)
		if (kh->caches.v[i].pub.addr == addr)
			return &kh->caches.v[i];
	return NULL;
}

/* ---- slabs ----------------------------------------------------------- */

static bool is_mapped(const struct kmem_heap *kh, taddr_t start, taddr_t end)
{
	while (start < end) {
		const struct target_map *map = target_map_at(kh->t, start);

		if (!map)
			return false;
		start = map->end;
	}
	return true;
}

/* (I1): false with a finding when the slab cannot be what it says */
static bool check_slab(struct kmem_heap *kh, const struct kmem_cache *kc,
		       const struct kmem_slab *s, taddr_t owner)
{
	taddr_t memory = s->base & -kc->quantum_bytes;
	uint64_t bytes = (uint64_t)s->nbufs * kc->chunk_bytes;
	const char *what = NULL;

	if (owner != kc->pub.addr)
		what = "belongs to another cache";
	else if (s->nbufs == 0 || s->nused > s->nbufs)
		what = "has more buffers used than there are";
	else if (s->base + bytes < s->base ||
		 s->base + bytes > memory + kc->slab_bytes)
		what = "has more buffers than it has room for";
	else if (kc->is_leaf && !is_mapped(kh, s->base, s->base + bytes))
		what = "is not mapped";
	if (what)
		kmem_damage(kh, s->addr, kc->pub.addr,
			    "cache %s: slab 0x%" PRIx64 " %s", kc->name,
			    s->addr, what);
	return !what;
}

static void add_slab(struct kmem_heap *kh, size_t cache, const void *raw,
		     taddr_t addr, bool is_complete)
{
	struct kmem_cache *kc = &kh->caches.v[cache];
	struct kmem_slab s = {
		.addr = addr,
		.base = kmem_get(kh, F_kmem_slab_slab_base, raw),
		.head = kmem_get(kh, F_kmem_slab_slab_head, raw),
		.back = kmem_get(kh, F_kmem_slab_slab_prev, raw),
		.nbufs = (uint32_t)kmem_get(kh, F_kmem_slab_slab_chunks, raw),
		.nused = (uint32_t)kmem_get(kh, F_kmem_slab_slab_refcnt, raw),
		.cache = (uint32_t)cache,
		.is_complete = is_complete,
		.is_nomove = kmem_get(kh, F_kmem_slab_slab_nomove, raw) != 0,
		.first_ctl = NO_INDEX,
		.first_asked = NO_INDEX,
	};

	if (!check_slab(kh, kc, &s, kmem_get(kh, F_kmem_slab_slab_cache, raw)))
		return;
	s.first_state = kh->state.n;
	kh->state.n += s.nbufs;
	if (kc->pub.has_hash) {
		s.first_ctl = kh->ctl.n;
		kh->ctl.n += s.nbufs;
	}
	if (kc->has_redzone && !kc->is_lite) {
		s.first_asked = kh->asked.n;
		kh->asked.n += s.nbufs;
	}
	kc->pub.nfree_slab += s.nbufs - s.nused;
	kc->pub.nslabs++;
	kc->nslabs++;
	VEC_PUSH(&kh->slabs, s);
}

static struct err *walk_slabs(struct kmem_heap *kh, size_t cache, taddr_t at,
			      bool is_complete, struct hash *seen)
{
	taddr_t prev = 0;
	taddr_t owner = kh->caches.v[cache].pub.addr;
	const struct heap_cache *c = &kh->caches.v[cache].pub;
	uint64_t nslabs = c->slabs_created - c->slabs_destroyed;
	const char *name = c->name;

	for (unsigned n = 0; at; n++) {
		const void *raw = kmem_peek(kh, K_kmem_slab, at);
		bool is_new = false;

		hash_put(seen, at, &is_new);
		if (!raw || !is_new) {
			kmem_damage(kh, owner, owner,
				    "cache %s: slab list: 0x%" PRIx64
				    " after 0x%" PRIx64 " %s",
				    name, at, prev,
				    raw ? "is in the list already"
					: "is not in the dump");
			return NULL;
		}
		if (kmem_get(kh, F_kmem_slab_slab_cache, raw) != owner) {
			/* what follows is not ours either */
			kmem_damage(kh, owner, owner,
				    "cache %s: slab 0x%" PRIx64
				    " belongs to another cache",
				    name, at);
			return NULL;
		}
		prev = at;
		at = kmem_get(kh, F_kmem_slab_slab_next, raw);
		add_slab(kh, cache, raw, prev, is_complete);
		target_passed_share(kh->t, nslabs);
		if ((n & 0xfff) == 0) {
			struct err *err = interrupt_check();

			if (err)
				return err;
		}
	}
	return NULL;
}

static struct err *load_slabs(struct kmem_heap *kh)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < kh->caches.n; i++) {
		struct kmem_cache *kc = &kh->caches.v[i];
		struct hash seen;

		kc->first_slab = kh->slabs.n;
		if (!kc->is_usable)
			continue;
		hash_init(&seen);
		err = walk_slabs(kh, i, kc->complete, true, &seen);
		if (!err)
			err = walk_slabs(kh, i, kc->partial, false, &seen);
		hash_fini(&seen);
	}
	/* now it is known how many there are */
	kh->state.v = mem_table(kh->state.n + 1, sizeof(*kh->state.v));
	kh->ctl.v = mem_table(kh->ctl.n + 1, sizeof(*kh->ctl.v));
	kh->asked.v = mem_table(kh->asked.n + 1, sizeof(*kh->asked.v));
	return err;
}

/* ---- index ----------------------------------------------------------- */

struct key {
	taddr_t base;
	uint32_t slab;
};

static int by_key(const void *a, const void *b)
{
	const struct key *x = a;
	const struct key *y = b;

	return x->base < y->base ? -1 : x->base > y->base;
}

static taddr_t slab_end(const struct kmem_heap *kh, const struct kmem_slab *s)
{
	return s->base + s->nbufs * kh->caches.v[s->cache].chunk_bytes;
}

/* sorts n slabs from keys into out; (I2): what overlaps is dropped.  Returns
 * how many are left */
static size_t sort_slabs(struct kmem_heap *kh, struct key *keys, size_t n,
			 uint32_t *out)
{
	size_t kept = 0;

	if (n)
		qsort(keys, n, sizeof(*keys), by_key);
	for (size_t i = 0; i < n; i++) {
		struct kmem_slab *s = &kh->slabs.v[keys[i].slab];

		if (s->is_dropped)
			continue;
		if (kept &&
		    s->base < slab_end(kh, &kh->slabs.v[out[kept - 1]])) {
			s->is_dropped = true;
			kmem_damage(kh, s->addr,
				    kh->caches.v[s->cache].pub.addr,
				    "cache %s: slab 0x%" PRIx64
				    " overlaps slab 0x%" PRIx64,
				    kh->caches.v[s->cache].name, s->addr,
				    kh->slabs.v[out[kept - 1]].addr);
			continue;
		}
		out[kept++] = keys[i].slab;
	}
	return kept;
}

/* where a search in by_base[] is to begin, by page: the first slab that ends
 * behind the start of the page */
static void index_pages(struct kmem_heap *kh)
{
	taddr_t end = 0;
	size_t k = 0;

	if (kh->nby_base == 0)
		return;
	kh->first_page = kh->slabs.v[kh->by_base[0]].base / PAGE_BYTES;
	end = slab_end(kh, &kh->slabs.v[kh->by_base[kh->nby_base - 1]]);
	kh->npages = (end - 1) / PAGE_BYTES - kh->first_page + 1;
	/* slabs that lie far apart are searched for */
	if (kh->npages / PAGES_MAX > kh->nby_base)
		kh->npages = 0;
	kh->by_page = mem_array(kh->npages + 1, sizeof(*kh->by_page));
	for (uint64_t i = 0; i < kh->npages; i++) {
		taddr_t at = (kh->first_page + i) * PAGE_BYTES;

		while (slab_end(kh, &kh->slabs.v[kh->by_base[k]]) <= at)
			k++;
		kh->by_page[i] = (uint32_t)k;
	}
}

static void index_slabs(struct kmem_heap *kh)
{
	struct key *keys = mem_array(kh->slabs.n + 1, sizeof(*keys));
	size_t n = 0;

	kh->by_base = mem_array(kh->slabs.n + 1, sizeof(*kh->by_base));
	kh->order = mem_array(kh->slabs.n + 1, sizeof(*kh->order));
	for (size_t i = 0; i < kh->slabs.n; i++) {
		const struct kmem_slab *s = &kh->slabs.v[i];

		if (kh->caches.v[s->cache].is_leaf)
			keys[n++] = (struct key){s->base, (uint32_t)i};
	}
	kh->nby_base = sort_slabs(kh, keys, n, kh->by_base);
	for (size_t c = 0; c < kh->caches.n; c++) {
		struct kmem_cache *kc = &kh->caches.v[c];

		for (size_t i = 0; i < kc->nslabs; i++) {
			size_t k = kc->first_slab + i;

			keys[i] =
				(struct key){kh->slabs.v[k].base, (uint32_t)k};
		}
		size_t kept = sort_slabs(kh, keys, kc->nslabs,
					 kh->order + kc->first_slab);

		/* the dropped ones fill the places that are left */
		for (size_t i = kept; i < kc->nslabs; i++)
			kh->order[kc->first_slab + i] = UINT32_MAX;
	}
	mem_free(keys);
	index_pages(kh);
}

/* the slab of a sorted list that holds addr; UINT32_MAX ends the list */
static struct kmem_slab *search(const struct kmem_heap *kh,
				const uint32_t *list, size_t n, taddr_t addr)
{
	size_t lo = 0;
	size_t hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (list[mid] != UINT32_MAX &&
		    slab_end(kh, &kh->slabs.v[list[mid]]) <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == n || list[lo] == UINT32_MAX ||
	    addr < kh->slabs.v[list[lo]].base)
		return NULL;
	return &kh->slabs.v[list[lo]];
}

struct kmem_slab *kmem_slab_at(const struct kmem_heap *kh, taddr_t addr)
{
	uint64_t page = addr / PAGE_BYTES - kh->first_page;

	if (page >= kh->npages)
		return search(kh, kh->by_base, kh->nby_base, addr);
	for (size_t k = kh->by_page[page]; k < kh->nby_base; k++) {
		struct kmem_slab *s = &kh->slabs.v[kh->by_base[k]];

		if (addr < s->base)
			return NULL;
		if (addr < slab_end(kh, s))
			return s;
	}
	return NULL;
}

uint8_t *kmem_state_of(struct kmem_heap *kh, size_t cache, taddr_t addr,
		       struct kmem_slab **ret_slab)
{
	const struct kmem_cache *kc = &kh->caches.v[cache];
	struct kmem_slab *s = NULL;

	if (!kc->is_leaf)
		s = search(kh, kh->order + kc->first_slab, kc->nslabs, addr);
	else
		s = kmem_slab_at(kh, addr);
	if (!s || s->cache != cache || (addr - s->base) % kc->chunk_bytes)
		return NULL;
	if (ret_slab)
		*ret_slab = s;
	return &kh->state
			.v[s->first_state + (addr - s->base) / kc->chunk_bytes];
}

/* ---- hash tables ----------------------------------------------------- */

/* one chain; every buffer is met once at most, so chains that are tied into
 * rings end by themselves */
static bool walk_chain(struct kmem_heap *kh, size_t cache, taddr_t at)
{
	struct kmem_cache *kc = &kh->caches.v[cache];

	while (at) {
		const void *raw = kmem_peek(kh, K_kmem_bufctl, at);
		struct kmem_slab *s = NULL;
		taddr_t buf = 0;
		uint8_t *state = NULL;

		if (raw) {
			buf = kmem_get(kh, F_kmem_bufctl_bc_addr, raw);
			state = kmem_state_of(kh, cache, buf, &s);
		}
		if (!raw || !state || *state != STATE_UNKNOWN) {
			kmem_damage(kh, at, kc->pub.addr,
				    "cache %s: hash entry 0x%" PRIx64 " %s",
				    kc->name, at,
				    !raw     ? "is not in the dump"
				    : !state ? "names no buffer of the cache"
					     : "is in the table twice");
			return false;
		}
		*state = BUF_ALLOCATED;
		kh->ctl.v[s->first_ctl + (buf - s->base) / kc->chunk_bytes] =
			at;
		kc->nhashed++;
		at = kmem_get(kh, F_kmem_bufctl_bc_next, raw);
	}
	return true;
}

static struct err *load_hash(struct kmem_heap *kh, size_t cache)
{
	struct kmem_cache *kc = &kh->caches.v[cache];
	uint64_t n = kc->hash_mask + 1;

	if (n == 0 || n > kh->total_bytes / 8 ||
	    !is_mapped(kh, kc->hash_table, kc->hash_table + n * 8)) {
		kmem_damage(kh, kc->pub.addr, kc->pub.addr,
			    "cache %s: hash table 0x%" PRIx64 " of %" PRIu64
			    " entries is not mapped",
			    kc->name, kc->hash_table, n);
		return NULL;
	}
	bool is_whole = false;
	struct err *err = kmem_load_table(kh, cache, &is_whole);

	kc->is_hash = true;
	if (err || is_whole)
		return err;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t head = 0;

		err = target_read_u64(kh->t, kc->hash_table + i * 8, &head);
		if (err) {
			kmem_damage(kh, kc->pub.addr, kc->pub.addr,
				    "cache %s: hash table: %s", kc->name,
				    err->msg);
			err_free(err);
			kc->is_hash = false;
			return NULL;
		}
		/* what a broken chain would have said, the free lists say */
		if (!walk_chain(kh, cache, head))
			kc->is_hash = false;
		if ((i & 0xffff) == 0) {
			err = interrupt_check();
			if (err)
				return err;
		}
	}
	return NULL;
}

/* ---- free lists ------------------------------------------------------ */

/* the buffer a free-list link stands for, and the link after it */
static bool read_link(struct kmem_heap *kh, const struct kmem_cache *kc,
		      taddr_t link, taddr_t *ret_buf, taddr_t *ret_next)
{
	if (!kc->pub.has_hash) {
		struct err *err = target_read_u64(kh->t, link, ret_next);

		*ret_buf = link - kc->bufctl_off;
		err_free(err);
		return !err;
	}
	const void *raw = kmem_peek(kh, K_kmem_bufctl, link);

	if (!raw)
		return false;
	*ret_buf = kmem_get(kh, F_kmem_bufctl_bc_addr, raw);
	*ret_next = kmem_get(kh, F_kmem_bufctl_bc_next, raw);
	return true;
}

static void torn(struct kmem_heap *kh, struct kmem_slab *s, const char *what,
		 taddr_t at)
{
	const struct kmem_cache *kc = &kh->caches.v[s->cache];

	s->is_torn = true;
	kmem_damage(kh, s->addr, kc->pub.addr,
		    "cache %s: slab 0x%" PRIx64 ": free list: 0x%" PRIx64 " %s",
		    kc->name, s->addr, at, what);
}

static void walk_free(struct kmem_heap *kh, size_t cache, struct kmem_slab *s)
{
	const struct kmem_cache *kc = &kh->caches.v[cache];
	uint32_t want = s->nbufs - s->nused;
	uint32_t n = 0;

	/* one more than counted: the process may have stopped in between */
	for (taddr_t link = s->head; link && n <= want; n++) {
		struct kmem_slab *of = NULL;
		taddr_t buf = 0;
		taddr_t next = 0;
		uint8_t *state = NULL;

		if (read_link(kh, kc, link, &buf, &next))
			state = kmem_state_of(kh, cache, buf, &of);
		if (!state || of != s) {
			torn(kh, s, "is no bufctl of the slab", link);
			return;
		}
		if (*state != STATE_UNKNOWN) {
			torn(kh, s,
			     *state == BUF_ALLOCATED
				     ? "is in the hash table, too"
				     : "is in the list twice",
			     buf);
			return;
		}
		*state = BUF_FREE_SLAB;
		if (s->first_ctl != NO_INDEX)
			kh->ctl.v[s->first_ctl +
				  (buf - s->base) / kc->chunk_bytes] = link;
		link = next;
	}
	if (n != want)
		torn(kh, s, n < want ? "ends too early" : "goes on too long",
		     s->head);
}

/* what a buffer's tag says of it; UNKNOWN when it says nothing */
static uint8_t state_by_tag(struct kmem_heap *kh, const struct kmem_cache *kc,
			    taddr_t buf)
{
	const void *raw = NULL;

	if (!kc->has_buftag)
		return STATE_UNKNOWN;
	raw = kmem_peek(kh, K_kmem_buftag, buf + kc->buftag_off);
	if (!raw)
		return STATE_UNKNOWN;
	uint64_t x = kmem_get(kh, F_kmem_buftag_bt_bufctl, raw) ^
		     kmem_get(kh, F_kmem_buftag_bt_bxstat, raw);

	if (x == kh->num.buftag_free)
		return BUF_FREE_SLAB;
	return x == kh->num.buftag_alloc ? BUF_ALLOCATED : STATE_UNKNOWN;
}

/* (I3): decides the buffers no list named */
static void decide_rest(struct kmem_heap *kh, const struct kmem_cache *kc,
			const struct kmem_slab *s)
{
	/* in a hashed cache a buffer in neither place is on its way */
	uint8_t rest = kc->is_hash ? BUF_FREE_SLAB : BUF_ALLOCATED;

	for (uint32_t i = 0; i < s->nbufs; i++) {
		uint8_t *state = &kh->state.v[s->first_state + i];
		uint8_t by_tag = STATE_UNKNOWN;

		if (*state != STATE_UNKNOWN)
			continue;
		if (s->is_torn)
			by_tag = state_by_tag(kh, kc,
					      s->base + i * kc->chunk_bytes);
		*state = by_tag ? by_tag : rest;
	}
}

/* bytes of a slab's buffers that are mapped and not in the dump */
static uint64_t absent_bytes(const struct kmem_heap *kh,
			     const struct kmem_slab *s)
{
	taddr_t at = s->base;
	taddr_t end = slab_end(kh, s);
	uint64_t n = 0;

	while (at < end) {
		const struct target_map *map = target_map_at(kh->t, at);
		taddr_t stop = map && map->end < end ? map->end : end;

		if (!map)
			break;
		if (map->core_end < stop)
			n += stop - (at > map->core_end ? at : map->core_end);
		at = stop;
	}
	return n;
}

/* guards that are not in the dump may be damaged: no verdict */
static void doubt_absent(struct kmem_heap *kh)
{
	struct heap_health *h = &kh->heap->health;
	uint64_t bytes = 0;
	taddr_t first = 0;

	for (size_t i = 0; i < kh->slabs.n; i++) {
		const struct kmem_slab *s = &kh->slabs.v[i];
		uint64_t n = 0;

		if (!s->is_whole && !s->is_dropped &&
		    kh->caches.v[s->cache].has_buftag)
			n = absent_bytes(kh, s);
		if (n && !bytes)
			first = s->base;
		bytes += n;
	}
	if (bytes && !h->doubt)
		h->doubt = mem_printf("%" PRIu64
				      " bytes of slabs with guards are not in "
				      "the dump, the first of 0x%" PRIx64,
				      bytes, first);
}

/* did the last transaction on an audited buffer take it from the program? */
static bool was_freed(struct kmem_heap *kh, const struct kmem_cache *kc,
		      const struct kmem_slab *s, uint32_t i)
{
	const void *raw = NULL;

	if (!kc->pub.has_audit || s->first_ctl == NO_INDEX)
		return false;
	raw = kmem_peek(kh, K_kmem_bufctl_audit, kh->ctl.v[s->first_ctl + i]);
	return raw && kmem_get(kh, F_kmem_bufctl_audit_bc_what, raw) ==
			      kh->names.what_free;
}

/* a buffer that every layer calls allocated, but whose own tag or record says
 * free, is on its way in or out, or was set aside because it is damaged: either
 * way the program does not have it.  In a slab that is whole there is none. */
static struct err *heed_tags(struct kmem_heap *kh, const struct kmem_cache *kc)
{
	for (size_t i = 0; i < kc->nslabs; i++) {
		const struct kmem_slab *s = &kh->slabs.v[kc->first_slab + i];

		if (s->is_whole || s->is_dropped)
			continue;
		for (uint32_t k = 0; k < s->nbufs; k++) {
			uint8_t *state = &kh->state.v[s->first_state + k];
			taddr_t buf = s->base + k * kc->chunk_bytes;

			if (*state == BUF_ALLOCATED &&
			    (state_by_tag(kh, kc, buf) == BUF_FREE_SLAB ||
			     was_freed(kh, kc, s, k)))
				*state = BUF_TRANSIT;
		}
		struct err *err = interrupt_check();

		if (err)
			return err;
	}
	return NULL;
}

static struct err *load_states(struct kmem_heap *kh, size_t cache)
{
	struct kmem_cache *kc = &kh->caches.v[cache];
	struct err *err = NULL;

	if (kc->pub.has_hash && kc->nslabs)
		err = load_hash(kh, cache);
	for (size_t i = 0; !err && i < kc->nslabs; i++) {
		struct kmem_slab *s = &kh->slabs.v[kc->first_slab + i];

		if (s->is_dropped || s->is_loaded)
			continue;
		walk_free(kh, cache, s);
		decide_rest(kh, kc, s);
		if ((i & 0xff) == 0)
			err = interrupt_check();
	}
	return err ? err : kmem_load_magazines(kh, cache);
}

/* ---- the allocator's locks ------------------------------------------- */

/* a dump by others says nothing of quiescence; the locks do */
static void read_locks(struct kmem_heap *kh)
{
	struct heap_health *h = &kh->heap->health;
	bool is_held = false;

	if (h->is_quiescent_known ||
	    !kh->names.row[F_kmem_cache_cache_lock].is_bound)
		return;
	for (size_t i = 0; !is_held && i < kh->caches.n; i++) {
		taddr_t addr = kh->caches.v[i].pub.addr;
		taddr_t cpu =
			addr +
			kh->names.row[F_kmem_cache_cache_cpu].offset_bytes;

		is_held = kmem_get_at(kh, F_kmem_cache_cache_lock, addr) ||
			  kmem_get_at(kh, F_kmem_cache_cache_depot_lock, addr);
		for (uint32_t c = 0; !is_held && c < kh->ncpus; c++) {
			is_held =
				kmem_get_at(kh, F_kmem_cpu_cache_cc_lock, cpu);
			cpu += kh->names.struct_bytes[K_kmem_cpu_cache];
		}
	}
	for (size_t i = 0; !is_held && i < kh->arenas.n; i++)
		is_held = kmem_get_at(kh, F_vmem_vm_lock,
				      kh->arenas.v[i].pub.addr);
	h->is_quiescent_known = true;
	h->is_quiescent = !is_held;
}

struct err *kmem_load(struct kmem_heap *kh)
{
	if (kh->is_loaded)
		return NULL;
	struct err *err = kmem_load_arenas(kh);

	if (!err)
		err = load_caches(kh);
	if (!err)
		err = load_slabs(kh);
	if (!err && kh->slabs.n >= UINT32_MAX)
		err = err_new(ERR_NOSUP, "more than 4 billion slabs");
	if (!err)
		index_slabs(kh);
	if (!err)
		err = kmem_load_raw_slabs(kh);
	for (size_t i = 0; !err && i < kh->caches.n; i++)
		err = load_states(kh, i);
	if (!err)
		err = kmem_sweep(kh);
	if (!err)
		doubt_absent(kh);
	for (size_t i = 0; !err && i < kh->caches.n; i++)
		if (kh->caches.v[i].has_buftag)
			err = heed_tags(kh, &kh->caches.v[i]);
	if (!err)
		err = kmem_load_bigs(kh);
	if (!err) {
		read_locks(kh);
		kh->is_loaded = true;
	}
	return err;
}

struct err *kmem_load_cache(struct kmem_heap *kh, taddr_t addr,
			    const struct kmem_cache **ret)
{
	struct err *err = kmem_load(kh);

	if (err)
		return err;
	*ret = kmem_cache_at(kh, addr);
	return *ret ? NULL
		    : err_new(ERR_NOTFOUND, "0x%" PRIx64 " is not a kmem_cache",
			      addr);
}
