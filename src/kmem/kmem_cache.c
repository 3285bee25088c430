/* SPDX-License-Identifier: MIT */
/*
 * Object caches: creation, allocation, freeing.
 *
 * A cache gives out objects of one size, kept constructed between uses.  Three
 * layers, each used only when the one above has nothing:
 *
 *   CPU element   two magazines       cc_lock            kmem_magazine.c
 *   depot         lists of magazines  cache_depot_lock   kmem_magazine.c
 *   slabs         buffers of pages    cache_lock         kmem_slab.c
 *   arena         pages               vm_lock            vmem.c
 *
 * With debugging, decided per cache when it is created (kmem_options, KMF_*),
 * a buffer is checked and poisoned on its way in and checked on its way out
 * (kmem_debug.c), outside every lock.
 *
 * Layout of a slab follows from the object's size alone (choose_layout): small
 * objects without audit keep their bookkeeping in the slab, others outside,
 * with the number of buffers a slab that wastes least a buffer.
 */
#include "kmem_logfile.h"

#include <string.h>

#define KMEM_ALIGN    ((size_t)8)
#define VOID_FRACTION 8 /* numbers of buffers a slab is tried with, hashed */

#define NO_MEMORY 2 /* beside what kmem_debug_alloc() returns */

kmem_mutex_t kmem_list_lock;
kmem_cache_t kmem_null_cache = {
	.cache_next = &kmem_null_cache,
	.cache_prev = &kmem_null_cache,
	.cache_name = "kmem_null_cache",
};
vmem_t *kmem_default_arena;
vmem_t *kmem_firewall_arena;
vmem_t *kmem_metadata_arena;
vmem_t *kmem_msb_arena;
vmem_t *kmem_bufctl_arena;
vmem_t *kmem_cache_arena;
vmem_t *kmem_hash_arena;
kmem_cache_t *kmem_slab_cache;
kmem_cache_t *kmem_bufctl_cache;
kmem_cache_t *kmem_bufctl_audit_cache;

static inline size_t roundup(size_t x, size_t to)
{
	return (x + to - 1) / to * to;
}

static unsigned long random_state = 0x9e3779b97f4a7c15UL; /* atomic */

void kmem_random_seed(unsigned long seed)
{
	random_state = seed * 0xd1342543de82ef95UL;
}

unsigned long kmem_random(void)
{
	unsigned long x = __atomic_add_fetch(
		&random_state, 0x9e3779b97f4a7c15UL, __ATOMIC_RELAXED);

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9UL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebUL;
	return x ^ (x >> 31);
}

int kmem_is_injected(unsigned long mtbf, int kmflag)
{
	return (kmflag & KM_NOSLEEP) && !(kmflag & (KM_PANIC | KM_NOINJECT)) &&
	       kmem_random() % mtbf == 0;
}

/* ---- creation ---- */

/** The LITE form of a cache's flags: tags only, or nothing at all. */
static int lite_flags(const struct kmem_spec *s, size_t align, int flags)
{
	if (align > 1024 || s->bufsize % 1024 == 0)
		return flags & ~KMF_DEBUG;
	return (flags | KMF_BUFTAG) & ~(KMF_AUDIT | KMF_FIREWALL);
}

/**
 * What all caches get; with KMF_RANDOMIZE another combination each time: the
 * bits of KMF_RANDOM count, in binary, the caches that were made.
 */
static int global_flags(void)
{
	static unsigned ncaches;
	unsigned n;
	int flags = kmem_flags;

	if (KM_LIKELY(!(flags & KMF_RANDOMIZE)))
		return flags;
	n = __atomic_add_fetch(&ncaches, 1, __ATOMIC_RELAXED);
	flags &= ~KMF_RANDOM;
	for (int left = KMF_RANDOM; left; left &= left - 1, n >>= 1)
		if (n & 1)
			flags |= left & -left;
	return flags;
}

/** Which checks a cache gets; the order of the steps matters. */
static int choose_flags(const struct kmem_spec *s, size_t align, vmem_t *arena)
{
	int cflags = s->cflags;
	int flags = (global_flags() | cflags) & KMF_DEBUG;

	if (flags & KMF_LITE)
		flags = lite_flags(s, align, flags);
	if (flags & KMF_DEADBEEF)
		flags |= KMF_REDZONE;
	if ((cflags & KMC_QCACHE) && (flags & KMF_AUDIT))
		flags |= KMF_NOMAGAZINE; /* so that each one is audited */
	if (cflags & KMC_NODEBUG)
		flags &= ~KMF_DEBUG;
	if (cflags & KMC_NOTOUCH)
		flags &= ~KMF_TOUCH;
	if (cflags & KMC_NOHASH)
		flags &= ~(KMF_AUDIT | KMF_FIREWALL);
	if (cflags & KMC_NOMAGAZINE)
		flags |= KMF_NOMAGAZINE;
	if ((flags & KMF_AUDIT) && !(cflags & KMC_NOTOUCH))
		flags |= KMF_REDZONE;
	if (!(flags & KMF_AUDIT))
		flags &= ~KMF_CONTENTS;
	if ((flags & KMF_BUFTAG) && !(flags & KMF_LITE) &&
	    !(cflags & KMC_NOHASH) && s->bufsize >= kmem_options.minfirewall)
		flags |= KMF_FIREWALL;
	if (arena != kmem_default_arena || !kmem_firewall_arena)
		flags &= ~KMF_FIREWALL;
	if (flags & KMF_FIREWALL)
		flags = (flags & ~KMF_BUFTAG) | KMF_NOMAGAZINE;
	return flags;
}

/** The slab of a hashed cache: the first of least waste a buffer, of at least so
 * many bytes. */
static size_t best_slab(size_t chunk, size_t quantum, size_t bytes)
{
	size_t first = bytes > chunk ? bytes / chunk : 1;
	size_t best = 0;
	size_t least = SIZE_MAX;

	for (size_t n = first; n < first + VOID_FRACTION; n++) {
		size_t slab = roundup(chunk * n, quantum);
		size_t waste;

		n = slab / chunk;
		waste = slab % chunk / n;
		if (waste < least) {
			least = waste;
			best = slab;
		}
	}
	return best;
}

static void choose_layout(kmem_cache_t *cp, size_t audited_slab)
{
	size_t quantum = cp->cache_arena->vm_quantum;
	int cflags = cp->cache_cflags;
	size_t chunk = cp->cache_chunksize;

	if (cp->cache_flags & KMF_FIREWALL) {
		cp->cache_slabsize = roundup(chunk, quantum);
		cp->cache_mincolor = cp->cache_slabsize - chunk;
		cp->cache_maxcolor = cp->cache_mincolor;
		cp->cache_flags |= KMF_HASH;
	} else if ((cflags & KMC_NOHASH) ||
		   (!(cflags & KMC_NOTOUCH) && !(cp->cache_flags & KMF_AUDIT) &&
		    chunk < quantum / 8)) {
		cp->cache_slabsize = quantum;
		/* behind the slab before this one is its header: not to be in
		 * reach of a write before the first buffer */
		if ((cp->cache_flags & KMF_BUFTAG) && !(cflags & KMC_NOHASH))
			cp->cache_mincolor = roundup(16, cp->cache_align);
		cp->cache_maxcolor = cp->cache_mincolor +
				     (cp->cache_slabsize - sizeof(kmem_slab_t) -
				      cp->cache_mincolor) %
					     chunk;
	} else {
		cp->cache_slabsize = best_slab(
			chunk, quantum,
			cp->cache_flags & KMF_AUDIT ? audited_slab : 0);
		if (cflags & KMC_QCACHE) {
			cp->cache_slabsize =
				(size_t)1 << kmem_highbit(
					3 * cp->cache_arena->vm_qcache_max);
			if (cp->cache_slabsize < 64)
				cp->cache_slabsize = 64;
		}
		cp->cache_maxcolor = cp->cache_slabsize % chunk;
		cp->cache_flags |= KMF_HASH;
	}
	if ((cflags & KMC_PREFILL) && cp->cache_arena != kmem_msb_arena &&
	    !cp->cache_constructor &&
	    !(cp->cache_flags & (KMF_HASH | KMF_BUFTAG | KMF_NOMAGAZINE)))
		cp->cache_flags |= KMF_PREFILL;
	if (cp->cache_maxcolor >= quantum)
		cp->cache_maxcolor = quantum - 1;
	cp->cache_maxchunks = cp->cache_slabsize / chunk;
	if ((cflags & KMC_NOHASH) &&
	    ((cflags & KMC_NOTOUCH) || chunk > quantum - sizeof(kmem_slab_t)))
		kmem_panic("kmem_cache_create: '%s' cannot be KMC_NOHASH",
			   cp->cache_name);
	cp->cache_color = cp->cache_mincolor;
}

static void choose_chunk(kmem_cache_t *cp)
{
	size_t chunk = cp->cache_bufsize;

	if (cp->cache_align >= KMEM_ALIGN) {
		chunk = roundup(chunk, KMEM_ALIGN);
		cp->cache_bufctl = chunk - KMEM_ALIGN;
	}
	if (cp->cache_flags & KMF_BUFTAG) {
		cp->cache_bufctl = chunk;
		cp->cache_buftag = chunk;
		chunk += sizeof(kmem_buftag_t);
	}
	if (cp->cache_flags & KMF_DEADBEEF) {
		cp->cache_verify = cp->cache_buftag;
		if (cp->cache_verify > kmem_options.maxverify)
			cp->cache_verify = kmem_options.maxverify & ~7UL;
		if (cp->cache_flags & KMF_LITE)
			cp->cache_verify = sizeof(uint64_t);
	}
	if (cp->cache_flags & KMF_CONTENTS) {
		cp->cache_contents = cp->cache_bufctl;
		if (cp->cache_contents > kmem_options.content_maxsave)
			cp->cache_contents = kmem_options.content_maxsave;
	}
	cp->cache_chunksize = roundup(chunk, cp->cache_align);
	cp->cache_magic = UINT64_MAX / cp->cache_chunksize + 1;
}

static void init_depot(kmem_cache_t *cp)
{
	kmem_magtype_t *mtp = kmem_magtypes;

	while (cp->cache_chunksize <= mtp->mt_minbuf)
		mtp++;
	cp->cache_magtype = mtp;
	for (uint32_t i = 0; i < kmem_max_ncpus; i++) {
		kmem_cpu_cache_t *ccp = &cp->cache_cpu[i];

		ccp->cc_flags = (uint32_t)cp->cache_flags;
		ccp->cc_rounds = -1;
		ccp->cc_prounds = -1;
	}
}

static size_t cache_bytes(void)
{
	return sizeof(kmem_cache_t) + kmem_max_ncpus * sizeof(kmem_cpu_cache_t);
}

/** The hash table of a new cache; -1: no memory. */
static int init_hash(kmem_cache_t *cp, int vmflag)
{
	size_t bytes = KMEM_HASH_MIN * sizeof(*cp->cache_hash_table);

	cp->cache_bufctl_cache = cp->cache_flags & KMF_AUDIT
					 ? kmem_bufctl_audit_cache
					 : kmem_bufctl_cache;
	cp->cache_hash_table = vmem_alloc(kmem_hash_arena, bytes, vmflag);
	if (!cp->cache_hash_table)
		return -1;
	memset(cp->cache_hash_table, 0, bytes);
	cp->cache_hash_mask = KMEM_HASH_MIN - 1;
	cp->cache_hash_shift = (size_t)kmem_highbit(cp->cache_chunksize) - 1;
	return 0;
}

static uintptr_t lowest = UINTPTR_MAX, highest; /* caches; kmem_list_lock */

int kmem_cache_may_be(const kmem_cache_t *cp)
{
	uintptr_t at = (uintptr_t)cp;

	return at >= KM_PEEK(lowest) && at <= KM_PEEK(highest) && at % 64 == 0;
}

static void link_cache(kmem_cache_t *cp)
{
	kmem_mutex_enter(&kmem_list_lock);
	if ((uintptr_t)cp < lowest)
		KM_POKE(lowest, (uintptr_t)cp);
	if ((uintptr_t)cp > highest)
		KM_POKE(highest, (uintptr_t)cp);
	cp->cache_next = &kmem_null_cache;
	cp->cache_prev = kmem_null_cache.cache_prev;
	cp->cache_prev->cache_next = cp;
	kmem_null_cache.cache_prev = cp;
	kmem_mutex_exit(&kmem_list_lock);
}

kmem_cache_t *kmem_cache_create_spec(const struct kmem_spec *s)
{
	vmem_t *arena = s->arena ? s->arena : kmem_default_arena;
	size_t align = s->align ? s->align : KMEM_ALIGN;
	struct kmem_spec spec = *s;
	kmem_cache_t *cp;

	if ((align & (align - 1)) || align > arena->vm_quantum)
		kmem_panic("kmem_cache_create: bad alignment %lu", align);
	if (s->bufsize == 0)
		kmem_panic("kmem_cache_create: '%s' has size 0", s->name);
	if (arena->vm_cflags & VMC_IDENTIFIER)
		spec.cflags |= KMC_IDENTIFIER | KMC_NOTOUCH;
	if (align < KMEM_ALIGN)
		spec.cflags |= KMC_NOTOUCH;
	cp = vmem_xalloc(kmem_cache_arena, cache_bytes(), 64, 0, 0, NULL, NULL,
			 s->vmflag);
	if (!cp)
		return NULL;
	memset(cp, 0, cache_bytes());
	(void)kmem_format(cp->cache_name, sizeof(cp->cache_name), "%s",
			  s->name);
	cp->cache_bufsize = s->bufsize;
	cp->cache_align = align;
	cp->cache_constructor = s->ctor;
	cp->cache_destructor = s->dtor;
	cp->cache_reclaim = s->reclaim;
	cp->cache_private = s->priv;
	cp->cache_cflags = spec.cflags;
	cp->cache_flags = choose_flags(&spec, align, arena);
	cp->cache_class = spec.size_class;
	cp->cache_arena =
		cp->cache_flags & KMF_FIREWALL ? kmem_firewall_arena : arena;
	if (arena != kmem_msb_arena && !(spec.cflags & KMC_QCACHE))
		cp->cache_mtbf = (uint32_t)kmem_options.mtbf;
	choose_chunk(cp);
	choose_layout(cp, s->audited_slab);
	if ((cp->cache_flags & KMF_HASH) && init_hash(cp, s->vmflag) != 0) {
		vmem_xfree(kmem_cache_arena, cp, cache_bytes());
		return NULL;
	}
	init_depot(cp);
	__atomic_fetch_add(&cp->cache_arena->vm_ncaches, 1, __ATOMIC_RELAXED);
	link_cache(cp);
	if (KM_UNLIKELY(kmem_logfile_log != NULL))
		kmem_logfile_cache(cp);
	if (kmem_ready == 2)
		kmem_magazine_enable(cp);
	return cp;
}

/**
 * Creates an object cache.
 *
 * @name:    at most 31 bytes of it are kept
 * @align:   power of two; 0 means 8
 * @ctor:    prepares an object; not 0: failed.  Runs when memory becomes an
 *           object, not at every allocation
 * @dtor:    undoes it before the memory is given up
 * @reclaim: called when memory is short
 * @vmp:     where slabs come from; NULL: memory
 * @cflags:  KMC_*, and KMF_* to ask for checks on this cache
 */
kmem_cache_t *kmem_cache_create(const char *name, size_t bufsize, size_t align,
				int (*ctor)(void *buf, void *priv, int kmflags),
				void (*dtor)(void *buf, void *priv),
				void (*reclaim)(void *priv), void *priv,
				vmem_t *vmp, int cflags)
{
	struct kmem_spec spec = {
		.name = name,
		.bufsize = bufsize,
		.align = align,
		.ctor = ctor,
		.dtor = dtor,
		.reclaim = reclaim,
		.priv = priv,
		.arena = vmp,
		.cflags = cflags,
		.vmflag = VM_SLEEP,
	};

	kmem_ready_check();
	return kmem_cache_create_spec(&spec);
}

static int ctor_of_destroyed(void *buf, void *priv, int kmflag)
{
	(void)buf;
	(void)priv;
	(void)kmflag;
	return -1;
}

/**
 * Destroys a cache.  Objects that are still out are reported under verbose,
 * and the cache then stays, unlinked and without magazines.
 */
void kmem_cache_destroy(kmem_cache_t *cp)
{
	if (kmem_update_detach(cp))
		return;
	kmem_magazine_purge(cp);
	kmem_firewall_forget(cp);
	if (cp->cache_buftotal != 0) {
		kmem_warn("kmem_cache_destroy: '%s' (%p) not empty",
			  cp->cache_name, (void *)cp);
		cp->cache_constructor = ctor_of_destroyed;
		return;
	}
	__atomic_fetch_sub(&cp->cache_arena->vm_ncaches, 1, __ATOMIC_RELAXED);
	kmem_move_fini(cp);
	if (cp->cache_flags & KMF_HASH)
		vmem_free(kmem_hash_arena, cp->cache_hash_table,
			  (cp->cache_hash_mask + 1) *
				  sizeof(*cp->cache_hash_table));
	vmem_xfree(kmem_cache_arena, cp, cache_bytes());
}

int kmem_object_undo(kmem_cache_t *cp, void *buf)
{
	if (cp->cache_flags & KMF_DEADBEEF)
		return kmem_debug_undo(cp, buf);
	if (cp->cache_destructor)
		cp->cache_destructor(buf, cp->cache_private);
	return 0;
}

/* ---- allocation ---- */

/** Notes a refused request. */
static void *alloc_failed(kmem_cache_t *cp, int kind)
{
	__atomic_fetch_add(&cp->cache_alloc_fail, 1, __ATOMIC_RELAXED);
	kmem_log_event(kmem_failure_log, cp, NULL, (void *)cp->cache_bufsize,
		       KMEM_WHAT_FAIL, kind);
	return NULL;
}

/** An object of the magazine layer, or NULL. */
static void *alloc_magazine(kmem_cache_t *cp)
{
	kmem_cpu_cache_t *ccp = kmem_cpu_cache(cp);
	void *buf = NULL;

	kmem_mutex_enter(&ccp->cc_lock);
	if (KM_LIKELY(ccp->cc_rounds > 0) || kmem_cpu_refill(cp, ccp)) {
		buf = ccp->cc_loaded->mag_round[--ccp->cc_rounds];
		ccp->cc_alloc++;
	}
	kmem_mutex_exit(&ccp->cc_lock);
	return buf;
}

/** An object fresh from the slab layer, constructed, or NULL. */
static void *alloc_slab(kmem_cache_t *cp, int kmflag, int kind, int *ret_rc)
{
	void *buf = kmem_slab_alloc(cp, kmflag, kind);

	*ret_rc = buf ? 0 : NO_MEMORY;
	if (!buf)
		return NULL;
	if (cp->cache_flags & KMF_BUFTAG) {
		*ret_rc = kmem_debug_alloc(cp, buf, kmflag, 1, kind);
		return *ret_rc == 0 ? buf : NULL;
	}
	if (cp->cache_constructor && kmem_construct(cp, buf, kmflag) != 0) {
		kmem_slab_free(cp, buf, kind);
		return alloc_failed(cp, kind);
	}
	return buf;
}

/** cache_alloc() of a request that found no memory and has to wait for it. */
static void *alloc_waiting(kmem_cache_t *cp, int kmflag, int kind)
{
	kmem_waiter_t w = {.kw_cache = cp, .kw_bytes = cp->cache_bufsize};
	void *buf;
	int rc;

	do {
		kmem_memory_wait(&w);
		buf = alloc_magazine(cp);
		if (!buf)
			buf = alloc_slab(cp, kmflag, kind, &rc);
		else if (cp->cache_flags & KMF_BUFTAG)
			rc = kmem_debug_alloc(cp, buf, kmflag, 0, kind);
		else
			rc = 0;
	} while (rc == NO_MEMORY || rc < 0);
	kmem_memory_got(&w);
	return rc == 0 ? buf : NULL;
}

static void *cache_alloc(kmem_cache_t *cp, int kmflag, int kind)
{
	if (KM_UNLIKELY(cp->cache_mtbf) &&
	    kmem_is_injected(cp->cache_mtbf, kmflag))
		return alloc_failed(cp, kind);
	for (;;) {
		void *buf = alloc_magazine(cp);
		int rc = 0;

		if (KM_LIKELY(buf != NULL)) {
			if (!(cp->cache_flags & KMF_BUFTAG))
				return buf;
			rc = kmem_debug_alloc(cp, buf, kmflag, 0, kind);
		} else {
			buf = alloc_slab(cp, kmflag, kind, &rc);
		}
		if (rc == 0)
			return buf;
		if (rc == NO_MEMORY && kmem_has_to_wait(kmflag))
			return alloc_waiting(cp, kmflag, kind);
		if (rc == NO_MEMORY)
			return kmem_no_memory(cp->cache_bufsize, kmflag);
		/* -1: damage was reported and that buffer is abandoned */
		if (rc > 0 || (kmflag & KM_NOSLEEP))
			return NULL;
	}
}

void *kmem_cache_alloc_kind(kmem_cache_t *cp, int kmflag, int kind)
{
	void *buf;

	if (KM_LIKELY(!(cp->cache_flags & KMF_BUFTAG)))
		return cache_alloc(cp, kmflag, kind);
	kmem_gate_enter();
	buf = cache_alloc(cp, kmflag, kind);
	kmem_gate_exit();
	return buf;
}

/** Allocates an object; NULL with KM_NOSLEEP, or when its constructor fails. */
void *kmem_cache_alloc(kmem_cache_t *cp, int kmflag)
{
	return kmem_cache_alloc_kind(cp, kmflag, KMEM_KIND_CACHE);
}

/** Puts an object in the magazine layer; 0 when that did not take it. */
static int free_magazine(kmem_cache_t *cp, void *buf)
{
	kmem_cpu_cache_t *ccp = kmem_cpu_cache(cp);
	int is_taken = 0;

	kmem_mutex_enter(&ccp->cc_lock);
	if (KM_LIKELY((uint32_t)ccp->cc_rounds < (uint32_t)ccp->cc_magsize) ||
	    kmem_cpu_make_room(cp, ccp)) {
		ccp->cc_loaded->mag_round[ccp->cc_rounds++] = buf;
		ccp->cc_free++;
		is_taken = 1;
	}
	kmem_mutex_exit(&ccp->cc_lock);
	return is_taken;
}

void kmem_cache_put(kmem_cache_t *cp, void *buf, int kind)
{
	if (KM_LIKELY(free_magazine(cp, buf)))
		return;
	if (kmem_object_undo(cp, buf) == 0)
		kmem_slab_free(cp, buf, kind);
}

static void cache_free(kmem_cache_t *cp, void *buf, int kind)
{
	if ((cp->cache_flags & KMF_BUFTAG) &&
	    kmem_debug_free(cp, buf, kind) != 0)
		return;
	kmem_cache_put(cp, buf, kind);
}

void kmem_cache_free_kind(kmem_cache_t *cp, void *buf, int kind)
{
	int is_gated = (cp->cache_flags & KMF_BUFTAG) != 0;

	if (KM_UNLIKELY(is_gated))
		kmem_gate_enter();
	cache_free(cp, buf, kind);
	if (KM_UNLIKELY(is_gated))
		kmem_gate_exit();
	if (KM_UNLIKELY(kmem_waiters != NULL))
		kmem_memory_freed();
}

/** Frees an object of this cache. */
void kmem_cache_free(kmem_cache_t *cp, void *buf)
{
	kmem_cache_free_kind(cp, buf, KMEM_KIND_CACHE);
}
