/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The lists, hashes and tables of the allocator that no answer about a buffer
 * hangs on, or that are asked for one by one: whether they are whole.
 *
 *   links     of a list that goes both ways each link is answered: what a
 *             points at points back at a.  That is looked at tag by tag, from
 *             the ring of the arena, so no list is followed and none can lead
 *             astray.
 *   hashes    hold what the ring says is allocated: as many entries, and the
 *             same, which their sum tells.
 *   chains    that go one way are followed with a bound; what the allocator
 *             counts of them is compared.
 *   what is   in an arena of the library's own (logs, records of threads) is
 *             compared with the segments of that arena: a list that was cut
 *             leaves out a segment.
 *   bufctls   name their slab, their cache, and a record and a stack that are
 *             there.
 *
 * Most of it holds only while nobody changes it, so it is done when the
 * allocator was at rest.
 */
#include <string.h>
#include "base/interrupt.h"
#include "heap/heap_kmem_impl.h"

/* records of threads are whole pages */
#define PAGE_BYTES    4096
#define MAGAZINES_MAX ((uint64_t)1 << 32)

/* ---- arenas ---------------------------------------------------------- */

struct arena_lists {
	struct kmem_heap *kh;
	const struct kmem_arena *a;
	uint64_t nalloc, sum; /* of the ring's allocated tags */
};

/* what at's links point at points back */
static void check_links(struct arena_lists *l, taddr_t at, const char *what)
{
	taddr_t next = kmem_get_at(l->kh, F_vmem_seg_vs_knext, at);
	taddr_t prev = kmem_get_at(l->kh, F_vmem_seg_vs_kprev, at);

	if (kmem_get_at(l->kh, F_vmem_seg_vs_kprev, next) != at)
		kmem_damage(l->kh, at, 0,
			    "arena %s: %s 0x%" PRIx64 ": 0x%" PRIx64
			    " behind it does not point back",
			    l->a->name, what, at, next);
	else if (kmem_get_at(l->kh, F_vmem_seg_vs_knext, prev) != at)
		kmem_damage(l->kh, at, 0,
			    "arena %s: %s 0x%" PRIx64 ": 0x%" PRIx64
			    " before it does not point to it",
			    l->a->name, what, at, prev);
}

static struct err *check_tag(void *arg, const struct heap_segment *s)
{
	struct arena_lists *l = arg;

	switch (s->type) {
	case SEG_SPAN:
		check_links(l, s->addr, "span");
		break;
	case SEG_FREE:
		check_links(l, s->addr, "free segment");
		break;
	case SEG_ALLOC:
		l->nalloc++;
		l->sum += s->addr;
		break;
	case SEG_ROTOR:
	case SEG_WALKER: /* in no other list */
		break;
	}
	return NULL;
}

static void check_hash(struct arena_lists *l)
{
	struct kmem_heap *kh = l->kh;
	taddr_t table = kmem_get_at(kh, F_vmem_vm_hash_table, l->a->pub.addr);
	uint64_t n = kmem_get_at(kh, F_vmem_vm_hash_mask, l->a->pub.addr) + 1;
	uint64_t nfound = 0;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < n && nfound <= l->nalloc; i++) {
		uint64_t at = 0;
		struct err *err =
			n <= kh->total_bytes / 8
				? target_read_u64(kh->t, table + i * 8, &at)
				: err_new(ERR_BADDATA, "too large");

		if (err) {
			kmem_damage(kh, l->a->pub.addr, 0,
				    "arena %s: hash table 0x%" PRIx64
				    " of %" PRIu64 " entries: %s",
				    l->a->name, table, n, err->msg);
			err_free(err);
			return;
		}
		while (at && nfound++ <= l->nalloc) {
			sum += at;
			at = kmem_get_at(kh, F_vmem_seg_vs_knext, at);
		}
	}
	if (nfound != l->nalloc || sum != l->sum)
		kmem_damage(kh, l->a->pub.addr, 0,
			    "arena %s: its hash table does not hold its "
			    "%" PRIu64 " allocated segments",
			    l->a->name, l->nalloc);
}

/* tags that wait for use */
static void check_spare(struct arena_lists *l)
{
	struct kmem_heap *kh = l->kh;
	uint64_t want = kmem_get_at(kh, F_vmem_vm_nsegfree, l->a->pub.addr);
	taddr_t at = kmem_get_at(kh, F_vmem_vm_segfree, l->a->pub.addr);
	uint64_t n = 0;

	while (at && n <= want) {
		if (!kmem_peek(kh, K_vmem_seg, at))
			break;
		n++;
		at = kmem_get_at(kh, F_vmem_seg_vs_knext, at);
	}
	if (at || n != want)
		kmem_damage(kh, l->a->pub.addr, 0,
			    "arena %s: list of spare tags: found %" PRIu64
			    " of %" PRIu64,
			    l->a->name, n, want);
}

/* imports must come from an arena, and those that import have one */
static void check_source(struct kmem_heap *kh, const struct kmem_arena *a)
{
	if (a->pub.source && !kmem_arena_at(kh, a->pub.source))
		kmem_damage(kh, a->pub.addr, 0,
			    "arena %s: source 0x%" PRIx64 " is no arena",
			    a->name, a->pub.source);
	else if (a->pub.depth >= KMEM_DEPTH_MAX)
		kmem_damage(kh, a->pub.addr, 0,
			    "arena %s: its sources are a ring", a->name);
	else if (!a->pub.source && a->pub.import_bytes && !a->is_root)
		kmem_damage(kh, a->pub.addr, 0,
			    "arena %s: it imported %" PRIu64
			    " bytes, but has no source",
			    a->name, a->pub.import_bytes);
}

static struct err *check_arena(struct kmem_heap *kh, const struct kmem_arena *a)
{
	const struct view_row *heads = &kh->names.row[F_vmem_vm_freelist];
	struct arena_lists l = {.kh = kh, .a = a};
	uint64_t nmet = kh->nmet;
	/* a head has the first four members of a tag */
	uint64_t stride = kh->names.row[F_vmem_seg_vs_kprev].offset_bytes + 8;
	struct err *err = NULL;

	check_source(kh, a);
	if (!kh->names.row[F_vmem_seg_vs_knext].is_bound ||
	    !kh->names.row[F_vmem_seg_vs_kprev].is_bound)
		return NULL;
	err = kmem_segments(kh->heap, a->pub.addr, ~0u, check_tag, &l);
	if (err)
		return err;
	check_links(&l,
		    a->pub.addr + kh->names.row[F_vmem_vm_seg0].offset_bytes,
		    "list of spans");
	/* the first and the last end the lists */
	for (uint64_t i = 1;
	     heads->is_bound && i + 1 < heads->size_bytes / stride; i++)
		check_links(&l, a->pub.addr + heads->offset_bytes + i * stride,
			    "free list");
	/* of a ring that could not be walked to its end nothing is known */
	if (nmet == kh->nmet && kh->names.row[F_vmem_vm_hash_table].is_bound)
		check_hash(&l);
	if (kh->names.row[F_vmem_vm_segfree].is_bound)
		check_spare(&l);
	return NULL;
}

/* ---- segments that are something of the library's ------------------- */

struct pieces {
	struct kmem_heap *kh;
	uint64_t bytes;         /* of the segments that are sought; 0: any */
	uint64_t quantum_bytes; /* to which they may be rounded */
	uint64_t n;
	taddr_t at;        /* is one of them here? */
	uint64_t at_bytes; /* so large is it; 0: none */
};

static struct err *count_piece(void *arg, const struct heap_segment *s)
{
	struct pieces *p = arg;
	uint64_t q = p->quantum_bytes;

	if (p->bytes && s->end - s->start != ((p->bytes + q - 1) & -q))
		return NULL;
	p->n++;
	if (s->start == p->at)
		p->at_bytes = s->end - s->start;
	return NULL;
}

static struct err *find_pieces(struct kmem_heap *kh, const char *arena,
			       struct pieces *p)
{
	for (size_t i = 0; i < kh->arenas.n; i++)
		if (kh->arenas.v[i].pub.is_internal &&
		    strcmp(kh->arenas.v[i].name, arena) == 0)
			return kmem_segments(kh->heap, kh->arenas.v[i].pub.addr,
					     1u << SEG_ALLOC, count_piece, p);
	return NULL;
}

/* ---- caches ---------------------------------------------------------- */

static void check_slabs(struct kmem_heap *kh, const struct kmem_cache *kc)
{
	taddr_t prev = 0;

	if (!kh->names.row[F_kmem_slab_slab_prev].is_bound)
		return;
	for (size_t i = 0; i < kc->nslabs; i++) {
		const struct kmem_slab *s = &kh->slabs.v[kc->first_slab + i];

		if (i && s[-1].is_complete != s->is_complete)
			prev = 0;
		if (s->back != prev)
			kmem_damage(kh, s->addr, kc->pub.addr,
				    "cache %s: slab 0x%" PRIx64
				    ": previous slab is 0x%" PRIx64
				    ", should be 0x%" PRIx64,
				    kc->name, s->addr, s->back, prev);
		prev = s->addr;
	}
}

/* full or empty magazines: as many as are counted */
static struct err *check_depot(struct kmem_heap *kh,
			       const struct kmem_cache *kc, enum kmem_field f,
			       const char *what)
{
	const struct view_row *row = &kh->names.row[f];
	const void *raw = NULL;
	taddr_t mag = 0;
	uint64_t want = 0;
	uint64_t n = 0;

	if (!row->is_bound)
		return NULL;
	raw = kmem_peek(kh, K_kmem_maglist, kc->pub.addr + row->offset_bytes);
	if (!raw)
		return NULL;
	mag = kmem_get(kh, F_kmem_maglist_ml_list, raw);
	want = kmem_get(kh, F_kmem_maglist_ml_total, raw);
	while (mag && n <= want && n < MAGAZINES_MAX &&
	       kmem_peek(kh, K_kmem_magazine, mag)) {
		struct err *err = (n++ & 0xfff) == 0 ? interrupt_check() : NULL;

		if (err)
			return err;
		mag = kmem_get_at(kh, F_kmem_magazine_mag_next, mag);
	}
	if (mag || n != want)
		kmem_damage(kh, kc->pub.addr, kc->pub.addr,
			    "cache %s: depot: found %" PRIu64 " of %" PRIu64
			    " %s magazines",
			    kc->name, n, want, what);
	return NULL;
}

/* which stacks were looked at; the log that records must be in */
struct ctls {
	struct kmem_heap *kh;
	const struct kmem_cache *kc;
	struct hash stacks;
	struct kmem_records log;
	uint64_t nbuckets; /* of the depot's hash; 0: not known */
};

/* where the depot has a stack; 0: nowhere */
static taddr_t place_of(struct kmem_heap *kh, uint32_t id)
{
	const struct view_row *row = &kh->names.row[F_kmem_stackdepot_sd_chunk];
	uint64_t shift = kh->num.stack_shift & 31;
	uint64_t slot = (uint64_t)(id >> shift) * 8;
	uint64_t chunk = 0;

	if (slot + 8 <= row->size_bytes)
		err_free(target_read_u64(kh->t,
					 kh->names.sym[S_kmem_stackdepot] +
						 row->offset_bytes + slot,
					 &chunk));
	return chunk ? chunk + (id & ((1u << shift) - 1)) * (uint64_t)8 : 0;
}

/* a stack of the depot, and the next of its chain */
struct link {
	taddr_t at;
	uint64_t next;
};

/* is that a stack of the same bucket? */
static bool is_chained(const struct ctls *c, uint32_t id, struct link *ret)
{
	struct kmem_heap *kh = c->kh;
	uint64_t mask = c->nbuckets ? c->nbuckets - 1 : 0;

	ret->at = place_of(kh, id);
	ret->next = kmem_get_at(kh, F_kmem_stack_st_next, ret->at);
	if (!ret->at || !ret->next)
		return true;
	uint64_t hash = kmem_get_at(kh, F_kmem_stack_st_hash, ret->at);
	taddr_t next_at = place_of(kh, (uint32_t)ret->next);

	return ret->next != id && next_at &&
	       !((kmem_get_at(kh, F_kmem_stack_st_hash, next_at) ^ hash) &
		 mask);
}

static bool is_in_depot(const struct ctls *c, uint32_t id)
{
	struct heap_stack stack = {0};

	return kmem_stack(c->kh->heap, id, &stack) && stack.depth;
}

static void check_stack(struct ctls *c, taddr_t ctl, uint32_t id)
{
	struct link link;
	bool is_new = false;

	hash_put(&c->stacks, id, &is_new);
	if (!is_new)
		return;
	if (!is_in_depot(c, id))
		kmem_damage(c->kh, ctl, c->kc->pub.addr,
			    "bufctl 0x%" PRIx64
			    ": its stack (%u) is not in the "
			    "depot",
			    ctl, id);
	else if (!is_chained(c, id, &link))
		kmem_damage(c->kh, link.at, 0,
			    "stack %u: %" PRIu64
			    " behind it is no stack of its bucket",
			    id, link.next);
}

static struct err *check_ctl(void *arg, const struct heap_buf *b)
{
	struct ctls *c = arg;
	struct kmem_heap *kh = c->kh;
	struct heap_audit a;
	const void *raw = b->ctl ? kmem_peek(kh, K_kmem_bufctl, b->ctl) : NULL;

	if (!raw)
		return NULL;
	if (kmem_get(kh, F_kmem_bufctl_bc_slab, raw) != b->slab)
		kmem_damage(kh, b->ctl, b->cache,
			    "cache %s: bufctl 0x%" PRIx64
			    " names slab 0x%" PRIx64 ", should be 0x%" PRIx64,
			    c->kc->name, b->ctl,
			    kmem_get(kh, F_kmem_bufctl_bc_slab, raw), b->slab);
	if (!kmem_audit_of(kh->heap, b, &a))
		return NULL;
	if (a.cache != b->cache)
		kmem_damage(kh, b->ctl, b->cache,
			    "cache %s: bufctl 0x%" PRIx64
			    " names cache 0x%" PRIx64,
			    c->kc->name, b->ctl, a.cache);
	if (!kmem_is_record(&c->log, a.lastlog))
		kmem_damage(kh, b->ctl, b->cache,
			    "cache %s: bufctl 0x%" PRIx64
			    ": its record 0x%" PRIx64 " is not in the log",
			    c->kc->name, b->ctl, a.lastlog);
	if (a.stack)
		check_stack(c, b->ctl, a.stack);
	return NULL;
}

/* a stack that is wrong is told with the bufctl that names it: then all are
 * looked at again */
static void doubt_stacks(const struct ctls *c)
{
	const struct hash *stacks = &c->kh->stacks;
	struct link link;
	bool is_fine = true;

	for (size_t i = 0; is_fine && i < stacks->cap; i++) {
		uint32_t id = stacks->used[i] ? (uint32_t)stacks->keys[i] : 0;

		if (id)
			is_fine =
				is_in_depot(c, id) && is_chained(c, id, &link);
	}
	for (size_t i = 0; !is_fine && i < c->kh->slabs.n; i++)
		c->kh->slabs.v[i].is_whole = false;
}

struct kmem_records kmem_records_of(struct kmem_heap *kh)
{
	taddr_t log = kmem_global(kh, S_kmem_transaction_log, 8);
	const void *raw = kmem_peek(kh, K_kmem_log_header, log);
	struct kmem_records r = {0};

	if (!raw)
		return r;
	r.start = kmem_get(kh, F_kmem_log_header_lh_base, raw);
	r.end = r.start +
		kmem_get(kh, F_kmem_log_header_lh_chunksize, raw) *
			kmem_get(kh, F_kmem_log_header_lh_nchunks, raw);
	return r;
}

static struct err *find_pages(struct kmem_heap *kh, const char *what,
			      taddr_t at, uint64_t *ret_bytes)
{
	struct pieces p = {.kh = kh, .at = at};
	struct err *err = at ? find_pieces(kh, "kmem_pages", &p) : NULL;

	if (!err && at && !p.at_bytes)
		kmem_damage(kh, kh->names.sym[S_kmem_stackdepot], 0,
			    "depot of stacks: %s 0x%" PRIx64 " is not its own",
			    what, at);
	*ret_bytes = p.at_bytes;
	return err;
}

/* its chunks and its hash are pages of the library's */
static struct err *check_depot_of_stacks(struct ctls *c)
{
	struct kmem_heap *kh = c->kh;
	const struct view_row *row = &kh->names.row[F_kmem_stackdepot_sd_chunk];
	taddr_t depot = kh->names.sym[S_kmem_stackdepot];
	uint64_t bytes = 0;
	struct err *err = NULL;

	if (!depot || !kh->names.row[F_kmem_stackdepot_sd_hash].is_bound)
		return NULL;
	for (uint64_t i = 0; !err && i < row->size_bytes / 8; i++) {
		uint64_t chunk = 0;

		err_free(target_read_u64(
			kh->t, depot + row->offset_bytes + i * 8, &chunk));
		if (!chunk)
			break;
		err = find_pages(kh, "chunk", chunk, &bytes);
	}
	taddr_t table = kmem_get_at(kh, F_kmem_stackdepot_sd_hash, depot);

	if (!err)
		err = find_pages(kh, "hash", table, &bytes);
	if (!err && !table &&
	    kmem_get_at(kh, F_kmem_stackdepot_sd_count, depot))
		kmem_damage(kh, depot, 0, "depot of stacks: it has no hash");
	c->nbuckets = bytes / 4;
	return err;
}

static struct err *check_caches(struct kmem_heap *kh)
{
	struct ctls c = {.kh = kh, .log = kmem_records_of(kh)};
	struct err *err = NULL;

	hash_init(&c.stacks);
	err = check_depot_of_stacks(&c);
	doubt_stacks(&c);
	for (size_t i = 0; !err && i < kh->caches.n; i++) {
		c.kc = &kh->caches.v[i];
		if (!c.kc->is_usable)
			continue;
		check_slabs(kh, c.kc);
		err = check_depot(kh, c.kc, F_kmem_cache_cache_full, "full");
		if (!err)
			err = check_depot(kh, c.kc, F_kmem_cache_cache_empty,
					  "empty");
		if (!err && c.kc->pub.has_hash)
			err = kmem_doubtful_bufs(kh, c.kc, check_ctl, &c);
	}
	hash_fini(&c.stacks);
	return err;
}

/* ---- what lies in an arena of the library's -------------------------- */

static struct err *check_piece(struct kmem_heap *kh, const char *name,
			       const char *what, taddr_t at, uint64_t bytes)
{
	struct pieces p = {
		.kh = kh, .bytes = bytes, .quantum_bytes = 1, .at = at};
	struct err *err = find_pieces(kh, "kmem_log", &p);

	if (!err && !p.at_bytes)
		kmem_damage(kh, at, 0,
			    "%s log: %s 0x%" PRIx64 " is none of the log's",
			    name, what, at);
	return err;
}

static struct err *check_log(struct kmem_heap *kh, const char *name, taddr_t at,
			     uint64_t header_bytes)
{
	const void *raw = kmem_peek(kh, K_kmem_log_header, at);
	struct err *err = check_piece(kh, name, "header", at, header_bytes);

	if (err || !raw)
		return err;
	raw = kmem_peek(kh, K_kmem_log_header, at);
	uint64_t n = kmem_get(kh, F_kmem_log_header_lh_nchunks, raw);
	uint64_t bytes = kmem_get(kh, F_kmem_log_header_lh_chunksize, raw);
	taddr_t ring = kmem_get(kh, F_kmem_log_header_lh_free, raw);

	err = check_piece(kh, name, "area",
			  kmem_get(kh, F_kmem_log_header_lh_base, raw),
			  n * bytes);
	/* behind the numbers of the chunks stands when each was returned */
	return err ? err
		   : check_piece(kh, name, "ring of chunks", ring, n * (4 + 8));
}

static struct err *check_logs(struct kmem_heap *kh)
{
	static const struct {
		enum kmem_sym sym;
		const char *name;
	} logs[] = {
		{S_kmem_transaction_log, "transaction"},
		{S_kmem_content_log, "content"},
		{S_kmem_failure_log, "fail"},
		{S_kmem_slab_log, "slab"},
		{S_kmem_zerosized_log, "zerosized"},
	};
	struct pieces p = {.kh = kh, .quantum_bytes = 1};
	uint64_t n = 0;
	struct err *err = NULL;

	if (!kh->names.row[F_kmem_log_header_lh_cpu].is_bound)
		return NULL;
	p.bytes = kh->names.row[F_kmem_log_header_lh_cpu].offset_bytes +
		  kh->ncpus * kh->names.struct_bytes[K_kmem_cpu_log_header];
	for (size_t i = 0; !err && i < sizeof(logs) / sizeof(*logs); i++) {
		taddr_t at = kmem_global(kh, logs[i].sym, 8);

		if (!at)
			continue;
		for (size_t k = 0; k < i; k++)
			if (kmem_global(kh, logs[k].sym, 8) == at)
				kmem_damage(kh, at, 0,
					    "%s log: 0x%" PRIx64
					    " is the %s log's",
					    logs[i].name, at, logs[k].name);
		n++;
		err = check_log(kh, logs[i].name, at, p.bytes);
	}
	if (!err)
		err = find_pieces(kh, "kmem_log", &p);
	if (!err && p.n != n)
		kmem_damage(kh, kh->names.sym[S_kmem_transaction_log], 0,
			    "%" PRIu64 " logs were made, %" PRIu64 " are there",
			    p.n, n);
	return err;
}

static struct err *check_threads(struct kmem_heap *kh)
{
	struct pieces p = {.kh = kh,
			   .bytes = kh->names.struct_bytes[K_kmem_thread],
			   .quantum_bytes = PAGE_BYTES};
	taddr_t at = kmem_global(kh, S_kmem_threads, 8);
	uint64_t n = 0;
	struct err *err = p.bytes ? find_pieces(kh, "kmem_pages", &p) : NULL;

	if (err || !p.bytes)
		return err;
	while (at && n <= p.n && kmem_peek(kh, K_kmem_thread, at)) {
		n++;
		at = kmem_get_at(kh, F_kmem_thread_th_next, at);
	}
	if (at || n != p.n)
		kmem_damage(kh, kh->names.sym[S_kmem_threads], 0,
			    "list of threads: found %" PRIu64 " of %" PRIu64, n,
			    p.n);
	return NULL;
}

/* each arena is a segment of one of them */
static struct err *check_list_of_arenas(struct kmem_heap *kh)
{
	struct pieces p = {.kh = kh,
			   .bytes = kh->names.struct_bytes[K_vmem],
			   .quantum_bytes = 1};
	struct err *err = find_pieces(kh, "vmem_vmem", &p);

	if (!err && p.n && p.n != kh->arenas.n)
		kmem_damage(kh, kh->names.sym[S_vmem_list], 0,
			    "list of arenas: found %zu of %" PRIu64,
			    kh->arenas.n, p.n);
	return err;
}

/* ---- what is asked for one by one ------------------------------------ */

static struct err *no_waiter(void *arg, const struct heap_waiter *w)
{
	(void)arg;
	(void)w;
	return NULL;
}

/* a record of a log names the one before it; that may have been written over,
 * by the record itself even */
static struct err *look_at_record(void *arg, const struct heap_audit *a)
{
	const struct ctls *c = arg;

	if (a->addr && !kmem_is_record(&c->log, a->lastlog))
		kmem_damage(c->kh, a->addr, 0,
			    "record 0x%" PRIx64 ": 0x%" PRIx64
			    " before it is not in the log",
			    a->addr, a->lastlog);
	return NULL;
}

static struct err *no_range(void *arg, const struct heap_range *r)
{
	(void)arg;
	(void)r;
	return NULL;
}

static struct err *no_mismatch(void *arg, const struct heap_mismatch *m)
{
	(void)arg;
	(void)m;
	return NULL;
}

static struct err *look_in_rmap(void *arg, const struct heap_rmap *m)
{
	struct kmem_heap *kh = arg;

	return kmem_rmap_free(kh->heap, m->addr, no_range, NULL);
}

/* what cannot be read is damage; that it is not recorded is none */
static struct err *noted(struct kmem_heap *kh, taddr_t at, struct err *err)
{
	if (!err || !(err_is(err, ERR_FAULT) || err_is(err, ERR_BADDATA))) {
		bool is_none =
			err_is(err, ERR_NOSUP) || err_is(err, ERR_NOTFOUND);

		if (is_none)
			err_free(err);
		return is_none ? NULL : err;
	}
	kmem_damage(kh, at, 0, "%s", err->msg);
	err_free(err);
	return NULL;
}

static struct err *ask_all(struct kmem_heap *kh)
{
	static const enum heap_log logs[] = {
		HEAP_LOG_TRANSACTION,
		HEAP_LOG_FAIL,
		HEAP_LOG_SLAB,
		HEAP_LOG_ZEROSIZED,
	};
	struct ctls c = {.kh = kh, .log = kmem_records_of(kh)};
	uint64_t total = 0;
	struct err *err = noted(kh, kh->names.sym[S_kmem_waiters],
				kmem_heap_waiters(kh->heap, no_waiter, NULL));

	if (!err)
		err = noted(kh, kh->names.sym[S_kmem_rmaps],
			    kmem_rmaps(kh->heap, look_in_rmap, kh));
	if (!err)
		err = noted(
			kh, kh->names.sym[S_kmem_mismatch_log],
			kmem_mismatches(kh->heap, &total, no_mismatch, NULL));
	for (size_t i = 0; !err && i < sizeof(logs) / sizeof(*logs); i++)
		err = noted(kh, kh->names.sym[S_kmem_transaction_log],
			    kmem_log(kh->heap, logs[i], 0, look_at_record, &c));
	return err;
}

struct err *kmem_verify_lists(struct kmem_heap *kh)
{
	struct err *err = ask_all(kh);

	if (err || !kh->heap->health.is_quiescent)
		return err;
	err = check_caches(kh);
	for (size_t i = 0; !err && i < kh->arenas.n; i++)
		err = check_arena(kh, &kh->arenas.v[i]);
	if (!err)
		err = check_logs(kh);
	if (!err)
		err = check_threads(kh);
	return err ? err : check_list_of_arenas(kh);
}
