/* SPDX-License-Identifier: MIT */
/*
 * What the files of the library know of each other.  Nothing here is exported.
 *
 * Lock order, outermost first; the same order is taken for fork and for a
 * snapshot (kmem_fork.c):
 *
 *   the gate (kmem_gate.c),
 *   kmem_firewall_lock, kmem_init_lock, kmem_align_lock, kmem_list_lock,
 *   vmem_list_lock, vmem_populate_lock, kmem_wait_lock, kmem_rmap_lock,
 *   of each cache: cache_lock, cc_lock by index, cache_depot_lock,
 *   each vm_lock, vmem_segfree_lock,
 *   of each log: clh_lock by index, lh_lock,
 *   kmem_mismatch_lock,
 *   kmem_report_lock; who holds that one takes no other
 *
 * No cache lock is held while memory is asked of an arena, no vm_lock while an
 * arena asks its source.  No lock is held while a function of the program is
 * called: a constructor, a destructor, a reclaim callback.
 */
#ifndef KMEM_INTERNAL_H
#define KMEM_INTERNAL_H

#include <stdarg.h>
#include "kmem_impl.h"
#include "snap/snap.h"

#define KM_LIKELY(x)   __builtin_expect(!!(x), 1)
#define KM_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* a word that is written under a lock and looked at without it */
#define KM_PEEK(x)    __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define KM_POKE(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELAXED)
#define KM_ADD(x, n)  KM_POKE(x, (x) + (n))

/** The highest bit that is set, counted from 1; 0: none is. */
static inline int kmem_highbit(size_t x)
{
	return x ? 64 - __builtin_clzl(x) : 0;
}

/** How many heads a hash table of n members should have: as many as it has, if
 * that is about right. */
static inline size_t kmem_hash_size(size_t n, size_t least, size_t now)
{
	size_t size = (size_t)1 << (kmem_highbit(3 * n + 4) - 2);

	if (size < least)
		size = least;
	return now >> 1 <= size && size <= now << 1 ? now : size;
}

#define KMEM_PAGE ((size_t)4096)
#define KMEM_LINE ((uintptr_t)64) /* of the cache */

/* ---- for the malloc layer (kmem_alloc.c) ------------------------------ */

/**
 * Allocates memory of any size for malloc and its relations.
 *
 * @size:   bytes; 0 gives a buffer of its own
 * @align:  power of two; 0 and whatever is below 16 mean 16
 * @kind:   enum kmem_kind, for the audit record
 *
 * Returns NULL when there is no memory or the size is absurd; sets no errno
 * and keeps the one there is.  Works before anything was initialised.
 */
KM_HIDDEN void *kmem_malloc_impl(size_t size, size_t align, int kind);

/**
 * Frees what kmem_malloc_impl() gave; NULL is allowed.  A pointer that is not
 * the start of a live buffer is reported as KMERR_* and, with noabort, left.
 * Keeps errno.
 */
KM_HIDDEN void kmem_free_impl(void *p, int kind);

/**
 * The bytes a caller may use of a buffer kmem_malloc_impl() gave: exactly the
 * size asked for when guards are on, the size of the class when not; for an
 * oversize buffer what was asked for, rounded up to pages without guards.
 * Returns 0 for NULL and for what is not ours.
 */
KM_HIDDEN size_t kmem_usable(const void *p);

/**
 * Finds the cache an address belongs to, in O(1), without a lock.
 *
 * @slab:  set to the slab when not NULL
 * @base:  set to the start of the buffer that holds p when not NULL
 *
 * Returns NULL for an address in no slab of an object cache; p may be anything.
 */
KM_HIDDEN kmem_cache_t *kmem_addr_cache(const void *p, kmem_slab_t **slab,
					void **base);

/** Bytes asked for of the oversize buffer that starts at p; 0: none does. */
KM_HIDDEN size_t kmem_addr_oversize(const void *p);

/* the most there was of memory at any time; written without a lock, as good as
 * that is */
struct kmem_peaks {
	uint64_t pk_system;           /* bytes of kmem_default */
	uint64_t pk_nlarge, pk_large; /* of kmem_oversize: segments, bytes */
};
extern KM_HIDDEN struct kmem_peaks kmem_peaks;

/** Raises a peak. */
static inline void kmem_peak(uint64_t *peak, uint64_t value)
{
	if (value > KM_PEEK(*peak))
		KM_POKE(*peak, value);
}

/* ---- large requests (kmem_oversize.c) --------------------------------- */

/** Allocates a segment of kmem_oversize; NULL when it may fail. */
KM_HIDDEN void *kmem_oversize_alloc(size_t bytes, size_t align, int kmflag,
				    int kind);
/** Checks and frees one; size SIZE_MAX: the caller did not say. */
KM_HIDDEN void kmem_oversize_free(void *p, size_t size, int kind);

/* a transaction as a report tells it */
struct kmem_event {
	hrtime_t ev_time; /* 0: none */
	uint32_t ev_thread;
	uint32_t ev_stack;
	int ev_what;
	int ev_kind;
};

/* the last two transactions of a buffer that is gone, newest first */
struct kmem_gone {
	const void *gn_addr;
	char gn_origin[KMEM_CACHE_NAMELEN + 1]; /* its cache or arena */
	struct kmem_event gn_event[2];
};

/** Remembers for a while the end of a buffer that leaves no bufctl. */
KM_HIDDEN void kmem_gone_note(const struct kmem_gone *gone);
/** What is remembered of the buffer that was at p; NULL: nothing. */
KM_HIDDEN const struct kmem_gone *kmem_gone_find(const void *p);

/* ---- for the snapshot code (kmem_fork.c, kmem_fail.c) ----------------- */

/** Called once a report is printed and before SIGABRT; NULL: nothing. */
extern KM_HIDDEN void (*kmem_panic_hook)(void);

/**
 * Takes every lock of the allocator, in order; the calling thread may go on
 * using the allocator meanwhile, others wait.  Nests.
 *
 * @try_ms:  longest time to wait for all of them, -1 for ever
 *
 * Returns 0 when every lock is held; -1 when time ran out, then none is held.
 */
KM_HIDDEN int kmem_lock_all(int try_ms);

/** Undoes kmem_lock_all(); in a forked child too. */
KM_HIDDEN void kmem_unlock_all(void);

/**
 * Lists the spans of memory that hold the allocator's own data, to be written
 * first in a snapshot.  Takes no lock: call with kmem_lock_all() held.
 *
 * Returns how many were stored, at most max.
 */
KM_HIDDEN size_t kmem_meta_ranges(struct snap_range *ranges, size_t max);

/**
 * The value of an environment variable, readable before libc has set up
 * environ; NULL when unset.  In a set-id process every one is unset.
 */
KM_HIDDEN const char *kmem_getenv(const char *name);

/* ---- start and state (kmem_init.c, kmem_env.c) ------------------------ */

/** kmem_malloc_impl() for a caller that may be willing to wait. */
KM_HIDDEN void *kmem_malloc_flags(size_t size, size_t align, int kmflag,
				  int kind);
/** kmem_free_impl() for a caller that says the size, which is checked where it
 * is known. */
KM_HIDDEN void kmem_free_sized_impl(void *p, size_t size, int kind);
/* internal cflag: made through umem.h; its constructor is told UMEM_DEFAULT */
#define KMC_UMEM 0x01000000
/** Runs a cache's constructor; 0, or not 0 when it failed. */
static inline int kmem_construct(kmem_cache_t *cp, void *buf, int kmflag)
{
	if (cp->cache_cflags & KMC_UMEM)
		kmflag = 0;
	return cp->cache_constructor(buf, cp->cache_private, kmflag);
}
/** Allocates from a cache what may be smaller than its buffers, and marks the
 * end of it. */
KM_HIDDEN void *kmem_cache_alloc_sized(kmem_cache_t *cp, size_t bytes,
				       int kmflag, int kind);

/** Brings the whole allocator up; every public entry that finds it not ready
 * calls it.  Returns at once in the thread that is doing so already. */
KM_HIDDEN void kmem_init(void);

/* every entry begins with this */
static inline void kmem_ready_check(void)
{
	if (KM_UNLIKELY(kmem_ready != 2))
		kmem_init();
}

/* effective options; written once, before kmem_ready is 2 */
struct kmem_options {
	unsigned stack_depth;   /* audit=N */
	size_t content_maxsave; /* contents=N */
	size_t maxverify;       /* maxverify=N, SIZE_MAX none */
	size_t minfirewall;     /* firewall=N, SIZE_MAX none */
	unsigned long mtbf;     /* mtbf=N, 0 none */
	unsigned concurrency;   /* concurrency=N, 0 by the CPUs */
	size_t limit;           /* limit=N, 0 none */
	unsigned long seed;     /* seed=N, of what is random; 0: the usual */
	int is_verbose;         /* verbose */
	int no_mismatch;        /* nomismatch */
	int abort_mismatch;     /* mismatch=abort */
	size_t max_contention;  /* max_contention=N, an interval */
	size_t reap_interval;   /* reap_interval=N, seconds */
	size_t thread_cache;    /* perthread_cache=N, 0: threads keep none */
	size_t heap_policy;     /* allocator=..., VM_*FIT of the heap */
	int no_abort;           /* noabort */
	size_t log_transaction; /* bytes, 0 no log */
	char log_file[256];     /* transaction=file:PATH; "": none */
	size_t log_content;
	size_t log_failure;
	size_t log_slab;
	size_t log_zerosized;
};
extern KM_HIDDEN struct kmem_options kmem_options;

/** Reads the environment into kmem_flags and kmem_options. */
KM_HIDDEN void kmem_env_init(void);

/* ---- caches (kmem_cache.c) -------------------------------------------- */

/* what a cache is made of; the arguments of kmem_cache_create() */
struct kmem_spec {
	const char *name;
	size_t bufsize;
	size_t align;
	int (*ctor)(void *buf, void *priv, int kmflag);
	void (*dtor)(void *buf, void *priv);
	void (*reclaim)(void *priv);
	void *priv;
	vmem_t *arena;
	int cflags;
	uint32_t size_class; /* + 1; 0: none */
	int vmflag;          /* VM_SLEEP, or VM_NOSLEEP: creation may fail */
	size_t audited_slab; /* least bytes of a slab, if it is audited */
};

extern KM_HIDDEN kmem_mutex_t kmem_list_lock; /* the ring of caches */
extern KM_HIDDEN vmem_t *kmem_metadata_arena;
extern KM_HIDDEN vmem_t *kmem_msb_arena;
extern KM_HIDDEN vmem_t *kmem_bufctl_arena; /* slabs with their bufctls */
extern KM_HIDDEN vmem_t *kmem_cache_arena;
extern KM_HIDDEN vmem_t *kmem_hash_arena;
extern KM_HIDDEN vmem_t *kmem_log_arena;
extern KM_HIDDEN kmem_cache_t *kmem_slab_cache;
extern KM_HIDDEN kmem_cache_t *kmem_bufctl_cache;
extern KM_HIDDEN kmem_cache_t *kmem_bufctl_audit_cache;

/** kmem_cache_create() from a specification. */
KM_HIDDEN kmem_cache_t *kmem_cache_create_spec(const struct kmem_spec *spec);
/** kmem_cache_alloc() and kmem_cache_free() for a given kind of call. */
KM_HIDDEN void *kmem_cache_alloc_kind(kmem_cache_t *cp, int kmflag, int kind);
KM_HIDDEN void kmem_cache_free_kind(kmem_cache_t *cp, void *buf, int kind);
/** The rest of that, for a buffer that was checked. */
KM_HIDDEN void kmem_cache_put(kmem_cache_t *cp, void *buf, int kind);
/** Turns a free object back into memory for the slab layer: destructor, last
 * check.  Returns 0, or -1 when damage was reported: then keep it out. */
KM_HIDDEN int kmem_object_undo(kmem_cache_t *cp, void *buf);
/* internal kmflag, vmflag: fails, if there is none, but not for the sake of a
 * test */
#define KM_NOINJECT 0x0010
/** Should this request fail for the sake of a test (mtbf)? */
KM_HIDDEN int kmem_is_injected(unsigned long mtbf, int kmflag);
/** A number from a fixed sequence; cheap, not secret. */
KM_HIDDEN unsigned long kmem_random(void);
/** Starts another such sequence: while starting only. */
KM_HIDDEN void kmem_random_seed(unsigned long seed);

/* ---- slabs (kmem_slab.c) ---------------------------------------------- */

#define KMEM_HASH_MIN ((size_t)8) /* heads; many caches are never used */

/** A raw buffer of the slab layer, or NULL; takes cache_lock. */
KM_HIDDEN void *kmem_slab_alloc(kmem_cache_t *cp, int kmflag, int kind);
/** Moves n raw buffers of the slab layer to a bin of the calling thread, or
 * less, or what is on the last one's cache line as well; n is not 0, and
 * the cache has no debugging.  Returns how many. */
KM_HIDDEN unsigned kmem_slab_fill(kmem_cache_t *cp, kmem_thread_t *th,
				  kmem_thread_bin_t *bin, unsigned n);
/** Moves the n oldest buffers of such a bin to their slabs. */
KM_HIDDEN void kmem_slab_give(kmem_cache_t *cp, kmem_thread_t *th,
			      kmem_thread_bin_t *bin, unsigned n);
/** Takes the next buffer of the first partial slab of a cache with a move
 * callback, raw; cache_lock is held. */
KM_HIDDEN void *kmem_slab_take(kmem_cache_t *cp);
/** Gives the memory of an empty slab back. */
KM_HIDDEN void kmem_slab_release(kmem_cache_t *cp, kmem_slab_t *sp);
/** Is the header of a slab as far from damaged as can be seen of it?  One in the
 * slab is reached by who writes far beyond the end of a buffer. */
KM_HIDDEN int kmem_slab_is_sound(const kmem_slab_t *sp);
/** May that be the address of a cache?  cp may be anything. */
KM_HIDDEN int kmem_cache_may_be(const kmem_cache_t *cp);
/** Frees a walled slab of a firewalled cache. */
KM_HIDDEN void kmem_slab_unwall(kmem_cache_t *cp, kmem_slab_t *sp);
/** Gives a buffer back to its slab; an empty slab is destroyed. */
KM_HIDDEN void kmem_slab_free(kmem_cache_t *cp, void *buf, int kind);
/** The slab of this cache that holds an address, or NULL; for reports: takes
 * no lock, walks lists. */
KM_HIDDEN kmem_slab_t *kmem_slab_find(kmem_cache_t *cp, const void *buf);
/** The slab of this cache that a buffer begins in, or NULL; cache_lock is held.
 * A free buffer of a hashed cache has none. */
KM_HIDDEN kmem_slab_t *kmem_slab_of(kmem_cache_t *cp, const void *buf);
/** Gives the system the pages of free buffers, which must be whole pages of
 * memory that nobody looks at. */
KM_HIDDEN void kmem_slab_trim(kmem_cache_t *cp);
/** The bufctl of an allocated buffer of a hashed cache, or NULL; no lock. */
KM_HIDDEN kmem_bufctl_t *kmem_hash_find(kmem_cache_t *cp, const void *buf);
/** Gives a hashed cache a table that fits its number of buffers. */
KM_HIDDEN void kmem_hash_rescale(kmem_cache_t *cp);

/* ---- moving objects (kmem_move.c) ------------------------------------- */

/** Puts a slab where it belongs among the partial ones of a cache with a move
 * callback, takes it out, or both; cache_lock is held. */
KM_HIDDEN void kmem_partial_insert(kmem_cache_t *cp, kmem_slab_t *sp);
KM_HIDDEN void kmem_partial_remove(kmem_cache_t *cp, kmem_slab_t *sp);
KM_HIDDEN void kmem_partial_update(kmem_cache_t *cp, kmem_slab_t *sp);
/** A slab of such a cache has no buffer to give, or got back one: what is known
 * of why it did not move may be void; cache_lock is held. */
KM_HIDDEN void kmem_move_forget(kmem_slab_t *sp);
KM_HIDDEN void kmem_move_given(kmem_slab_t *sp, const void *buf);
/** Keeps an empty slab until the pass that may refer to it is over; 0: there is
 * none.  cache_lock is held. */
KM_HIDDEN int kmem_move_bury(kmem_cache_t *cp, kmem_slab_t *sp);
/** The periodic look at a cache with a move callback; no lock is held. */
KM_HIDDEN void kmem_move_scan(kmem_cache_t *cp);
/** Empties as many slabs of it as can be; no lock is held. */
KM_HIDDEN void kmem_move_all(kmem_cache_t *cp);
/** In a forked child: a pass of another thread is over. */
KM_HIDDEN void kmem_move_reset(kmem_cache_t *cp);
/** Memory of a cache's consolidator goes with the cache. */
KM_HIDDEN void kmem_move_fini(kmem_cache_t *cp);

static inline void *kmem_at(void *base, size_t offset)
{
	return (char *)base + offset;
}

/** The tag of a buffer; the cache must have KMF_BUFTAG. */
static inline kmem_buftag_t *kmem_buftag_of(kmem_cache_t *cp, void *buf)
{
	return kmem_at(buf, cp->cache_buftag);
}

/** What bt_bxstat is in a state. */
static inline intptr_t kmem_bxstat(const kmem_bufctl_t *bcp,
				   unsigned long state)
{
	return (intptr_t)bcp ^ (intptr_t)state;
}

/* bytes in front of a buffer that are looked at when it is freed */
#define KMEM_PADDING_MAX ((size_t)64)

/** The padding in front of a buffer, as far as it is looked at. */
static inline size_t kmem_padding_before(const kmem_cache_t *cp,
					 const kmem_slab_t *sp, const void *buf)
{
	size_t bytes;

	if (buf == sp->slab_base)
		bytes = (uintptr_t)buf & (cp->cache_arena->vm_quantum - 1);
	else
		bytes = cp->cache_chunksize - cp->cache_buftag -
			sizeof(kmem_buftag_t);
	return bytes < KMEM_PADDING_MAX ? bytes : KMEM_PADDING_MAX;
}

/* where the bufctls of a slab that has them begin */
#define KMEM_SLAB_HEAD ((size_t)64)

_Static_assert(sizeof(kmem_slab_t) <= KMEM_SLAB_HEAD, "the header is there");

/** The bufctl of buffer i; the cache must have tags, audit and a hash. */
static inline kmem_bufctl_t *kmem_slab_bufctl(const kmem_slab_t *sp, size_t i)
{
	return kmem_at((void *)(uintptr_t)sp,
		       KMEM_SLAB_HEAD + i * kmem_bufctl_audit_size);
}

/** The slab memory a slab's first buffer lies in. */
static inline void *kmem_slab_memory(const kmem_slab_t *sp)
{
	return (void *)((uintptr_t)sp->slab_base &
			-sp->slab_cache->cache_arena->vm_quantum);
}

/* ---- magazines (kmem_magazine.c) -------------------------------------- */

#define KMEM_NMAGTYPES 9

extern KM_HIDDEN kmem_magtype_t kmem_magtypes[KMEM_NMAGTYPES];

/** The number of the CPU the caller runs on, below kmem_max_ncpus. */
KM_HIDDEN unsigned kmem_cpu_index(void);
/** The CPU element the caller should use now. */
KM_HIDDEN kmem_cpu_cache_t *kmem_cpu_cache(kmem_cache_t *cp);
/** Takes a magazine of a depot list, or NULL. */
KM_HIDDEN kmem_magazine_t *kmem_depot_alloc(kmem_cache_t *cp,
					    kmem_maglist_t *mlp);
/** Puts a magazine on a depot list. */
KM_HIDDEN void kmem_depot_free(kmem_cache_t *cp, kmem_maglist_t *mlp,
			       kmem_magazine_t *mp);
/** Makes loaded the previous one and mp the loaded one; cc_lock is held. */
KM_HIDDEN void kmem_cpu_reload(kmem_cpu_cache_t *ccp, kmem_magazine_t *mp,
			       int rounds);
/** Makes the loaded magazine one that is not empty; 0: there is none.  cc_lock
 * is held. */
KM_HIDDEN int kmem_cpu_refill(kmem_cache_t *cp, kmem_cpu_cache_t *ccp);
/** Makes the loaded magazine one with room; 0: there is none.  cc_lock is held,
 * and may be dropped for a while. */
KM_HIDDEN int kmem_cpu_make_room(kmem_cache_t *cp, kmem_cpu_cache_t *ccp);
/** Opens the magazine layer of a cache, with its current magazine size. */
KM_HIDDEN void kmem_magazine_enable(kmem_cache_t *cp);
/** Empties and closes the magazine layer of a cache. */
KM_HIDDEN void kmem_magazine_purge(kmem_cache_t *cp);
/** Starts a new interval of the working set. */
KM_HIDDEN void kmem_depot_ws_update(kmem_cache_t *cp);
/** Frees the magazines the working set did without. */
KM_HIDDEN void kmem_depot_ws_reap(kmem_cache_t *cp);
/** Declares every magazine in the depot reapable. */
KM_HIDDEN void kmem_depot_ws_zero(kmem_cache_t *cp);
/** Goes to the next magazine size if the depot lock was fought for. */
KM_HIDDEN void kmem_magazine_resize(kmem_cache_t *cp);
/** Goes to magazines of so many rounds, or to the largest the cache may have;
 * the caller is the updater. */
KM_HIDDEN void kmem_magazine_fit(kmem_cache_t *cp, unsigned nrounds);

/* ---- what threads keep (kmem_thread.c) -------------------------------- */

/** Where the calling thread remembers stacks; NULL: nowhere. */
KM_HIDDEN kmem_memo_table_t *kmem_thread_memo(void);
/** Opens the bins of a class: called for each class while starting. */
KM_HIDDEN void kmem_thread_class(unsigned class, kmem_cache_t *cp);
/**
 * An object of a class for the calling thread, whose bin had none: refilled,
 * and the record made at a thread's first call.  NULL: ask the cache.
 */
KM_HIDDEN void *kmem_thread_refill(unsigned class);
/** Takes an object when the bin is full or the thread has none yet; 0: give it
 * to the cache. */
KM_HIDDEN int kmem_thread_overflow(unsigned class, void *buf);
/** Gives back what the calling thread and threads that are gone hold. */
KM_HIDDEN void kmem_thread_reap(void);
/** Ends the use of bins: memory has a limit, or requests are to fail. */
KM_HIDDEN void kmem_thread_close(void);
/** Disowns what the threads had that a forked child has not. */
KM_HIDDEN void kmem_thread_forked(void);

/* ---- patterns (kmem_pattern.c) ---------------------------------------- */

/** Fills whole words with a pattern. */
KM_HIDDEN void kmem_pattern_fill(uint64_t pattern, void *buf, size_t bytes);
/** The first word that is not the pattern, or NULL. */
KM_HIDDEN uint64_t *kmem_pattern_verify(uint64_t pattern, void *buf,
					size_t bytes);
/** Replaces one pattern by another; when a word is not the old one, changes
 * nothing and returns that word. */
KM_HIDDEN uint64_t *kmem_pattern_replace(uint64_t old, uint64_t new, void *buf,
					 size_t bytes);

/* ---- checks (kmem_debug.c) -------------------------------------------- */

/**
 * Checks and prepares a buffer on its way out of a cache with KMF_BUFTAG.
 *
 * @construct:  it came from the slab layer
 *
 * Returns 0; 1 when the constructor failed (the buffer is back in its slab);
 * -1 when damage was reported and the buffer is abandoned.
 */
KM_HIDDEN int kmem_debug_alloc(kmem_cache_t *cp, void *buf, int kmflag,
			       int construct, int kind);
/** Checks and poisons a buffer on its way in; -1: reported, do not recycle. */
KM_HIDDEN int kmem_debug_free(kmem_cache_t *cp, void *buf, int kind);
/** Marks the end of a sized buffer; the cache must have KMF_BUFTAG. */
KM_HIDDEN void kmem_size_mark(kmem_cache_t *cp, void *buf, size_t bytes);
/** The size kmem_size_mark() left, or SIZE_MAX when there is none. */
KM_HIDDEN size_t kmem_size_marked(const kmem_cache_t *cp, const void *buf);
/** kmem_debug_free() of what is known to begin a sized buffer of the cache;
 * checks and removes that mark first.  bytes is SIZE_MAX when the caller of
 * free did not say the size. */
KM_HIDDEN int kmem_debug_free_sized(kmem_cache_t *cp, const kmem_slab_t *sp,
				    void *buf, size_t bytes, int kind);
/**
 * Was the buffer allocated by what is about to free it: malloc and free, new
 * and delete, new[] and delete[]?  Records or reports when not; it may be freed
 * all the same.  The buffer must be known to begin in a slab of the cache.
 *
 * @bytes:  what the call says it is; SIZE_MAX: nothing
 *
 * Returns 0, or -1 when it did.
 */
KM_HIDDEN int kmem_kind_check(kmem_cache_t *cp, void *buf, size_t bytes,
			      int kind);
/** Do an allocation and a free of these kinds belong together? */
KM_HIDDEN int kmem_kinds_match(int alloc_kind, int free_kind);
/** Says that the program has operators of its own, built on malloc() and free():
 * those are no mismatch of ours. */
KM_HIDDEN void kmem_kinds_loosen(void);
/** Changes what the record of a live buffer says of how it was allocated. */
KM_HIDDEN void kmem_kind_set(void *p, int kind);
/** Is p a live buffer of malloc's, as far as can be told?  Reports when not.
 * Returns 0, or -1 when it reported. */
KM_HIDDEN int kmem_live_check(void *p, int kind);
/** Is [from, to) of a buffer full of the pattern of fresh memory? */
KM_HIDDEN int kmem_is_fresh(const void *buf, size_t from, size_t to);
/** kmem_object_undo() of a cache with KMF_DEADBEEF. */
KM_HIDDEN int kmem_debug_undo(kmem_cache_t *cp, void *buf);

/* ---- calls that do not belong together (kmem_mismatch.c) -------------- */

extern KM_HIDDEN kmem_mutex_t kmem_mismatch_lock;
/** Is such a free to be recorded and done, or (0) reported?  The first is for
 * what runs with the C library's malloc too. */
KM_HIDDEN int kmem_mismatch_is_harmless(int alloc_kind, int free_kind,
					size_t freed_bytes);
/**
 * Records such a free; prints nothing, needs no memory, keeps errno.
 *
 * @alloc:        record of the allocation; bc_addr is known, the rest may be 0
 * @bytes:        that were asked for; SIZE_MAX: not known
 * @freed_bytes:  what the call says it is; SIZE_MAX: nothing
 * @kind:         of the call
 */
KM_HIDDEN void kmem_mismatch(kmem_cache_t *cp, const kmem_bufctl_audit_t *alloc,
			     size_t bytes, size_t freed_bytes, int kind);

/* ---- audited buffers when all is well (kmem_audited.c) ---------------- */

/** May buffers of a cache of sizes go the short way? */
KM_HIDDEN int kmem_audited_is_short(const kmem_cache_t *cp);
/** Allocates a buffer of a cache with tags for so many bytes, the short way or
 * the long one; NULL with KM_NOSLEEP. */
KM_HIDDEN void *kmem_audited_alloc(kmem_cache_t *cp, size_t bytes, int kmflag,
				   int kind);
/**
 * Frees a buffer of a cache with tags, the short way or, when something is
 * wrong with it, the long one, which reports.
 *
 * @buf:    known to begin a buffer of the slab
 * @bytes:  what the caller says it is; SIZE_MAX: nothing
 */
KM_HIDDEN void kmem_audited_free(kmem_cache_t *cp, const kmem_slab_t *sp,
				 void *buf, size_t bytes, int kind);
/** Frees what malloc gave, or reports what it did not, where buffers of malloc
 * go the short way; bytes as above. */
KM_HIDDEN void kmem_audited_put(void *p, size_t bytes, int kind);
/** The same, wherever buffers go (kmem_alloc.c). */
KM_HIDDEN void kmem_free_any(void *p, size_t bytes, int kind);

/* damage as it is reported */
struct kmem_fault {
	int code;         /* KMERR_* */
	kmem_cache_t *cp; /* the caller's; NULL: malloc's */
	void *buf;        /* the caller's */
	size_t offset;    /* MODIFIED: where */
	uint64_t expect;  /* MODIFIED: what was to be there */
	uint64_t found;
	size_t freed_bytes; /* BADSIZE */
	size_t bytes;
	int kind;       /* of the call, enum kmem_kind */
	int alloc_kind; /* BADKIND: of the allocation */
};

/** Reports damage; returns only with noabort. */
KM_HIDDEN void kmem_error(const struct kmem_fault *fault);
/** Is the calling thread the one that reports damage just now? */
KM_HIDDEN int kmem_is_reporting(void);
/** kmem_error() of a fault that is all said by its code. */
KM_HIDDEN void kmem_error_at(int code, kmem_cache_t *cp, void *buf, int kind);
/** An allocation of the program's returns NULL: with checknull that is reported,
 * and returns only with noabort. */
KM_HIDDEN void kmem_error_null(void);
/** Prints a line of a stack: object`symbol+0xoffset, as far as can be found
 * out.  kmem_report_lock is held. */
KM_HIDDEN void kmem_report_pc(uintptr_t pc);
/** Prints where an address that is not of the heap points to.
 * kmem_report_lock is held. */
KM_HIDDEN void kmem_report_place(const void *p);

/* ---- audit and logs (kmem_audit.c, kmem_log.c) ------------------------ */

/** Finds out which code is the library's; to be called once, while starting. */
KM_HIDDEN void kmem_audit_init(void);
/** The depot id of the caller's stack; 0 while starting or when nested. */
KM_HIDDEN uint32_t kmem_stack_capture(void);
/** Writes a transaction into an audited bufctl and the transaction log. */
KM_HIDDEN void kmem_audit(kmem_cache_t *cp, kmem_bufctl_t *bcp, uint32_t stack,
			  int what, int kind);
/** What the record of a transaction says, for a report. */
KM_HIDDEN struct kmem_event kmem_event_of(const kmem_bufctl_audit_t *bcap);
/** Saves the head of a buffer in the content log, if there is one. */
KM_HIDDEN void kmem_audit_contents(kmem_cache_t *cp, kmem_bufctl_audit_t *bcap,
				   void *buf);
extern KM_HIDDEN int kmem_has_contents; /* is there one? */
/* bytes of a buffer's audited bufctl when there is no content log */
#define KMEM_BUFCTL_SHORT offsetof(kmem_bufctl_audit_t, bc_cache)
/** A whole record of what the bufctl of a buffer says. */
KM_HIDDEN kmem_bufctl_audit_t kmem_record_of(const kmem_bufctl_audit_t *bcap,
					     kmem_cache_t *cp);
/** Logs what is no transaction of a buffer: a failure, a new slab. */
KM_HIDDEN void kmem_log_event(kmem_log_header_t *lhp, kmem_cache_t *cp,
			      kmem_slab_t *sp, void *addr, int what, int kind);
/** Creates a log of about so many bytes; NULL for 0 or for want of memory. */
KM_HIDDEN kmem_log_header_t *kmem_log_init(size_t bytes);
/** Lets threads take runs of a log, whose records are kmem_bufctl_audit_t. */
KM_HIDDEN void kmem_log_use_runs(kmem_log_header_t *lhp);
/** Copies any bytes into a log; returns where it is, NULL without a log. */
KM_HIDDEN void *kmem_log_enter(kmem_log_header_t *lhp, const void *data,
			       size_t bytes);

/* ---- the firewall (kmem_firewall.c) ----------------------------------- */

extern KM_HIDDEN kmem_mutex_t kmem_firewall_lock;

/** Prepares it, before there is an arena of it. */
KM_HIDDEN void kmem_firewall_init(void);
/** Memory with a guard page behind it: the source of kmem_firewall_va. */
KM_HIDDEN void *kmem_firewall_map(vmem_t *vmp, size_t bytes, int vmflag);
KM_HIDDEN void kmem_firewall_unmap(vmem_t *vmp, void *addr, size_t bytes);
/** Walls a slab whose buffer was freed, or frees it where that cannot be. */
KM_HIDDEN void kmem_firewall_keep(kmem_cache_t *cp, kmem_slab_t *sp);
/** Frees the walled slabs of a cache. */
KM_HIDDEN void kmem_firewall_forget(kmem_cache_t *cp);
/** Frees all walled slabs. */
KM_HIDDEN void kmem_firewall_reap(void);

/** Pages of the program with one before them that nobody uses. */
KM_HIDDEN void *kmem_data_alloc(vmem_t *vmp, size_t bytes, int vmflag);
KM_HIDDEN void kmem_data_free(vmem_t *vmp, void *addr, size_t bytes);

/* ---- size classes (kmem_sizes.c) --------------------------------------- */

#define KMEM_SIZE_LAST  ((size_t)131072)
#define KMEM_SIZE_SMALL ((size_t)1024)
#define KMEM_SIZES_MAX  (KMEM_NCLASSES + 24) /* that many can be added */

/* bytes of each, ascending; set while starting */
extern KM_HIDDEN const uint32_t *kmem_sizes;
extern KM_HIDDEN unsigned kmem_nsizes;

/** Adds a size to the table, rounded up; NULL, or why not. */
KM_HIDDEN const char *kmem_sizes_add(size_t bytes);
/** Removes one; NULL, or why not. */
KM_HIDDEN const char *kmem_sizes_remove(size_t bytes);
/** Removes all but the largest. */
KM_HIDDEN void kmem_sizes_clear(void);
/** Makes the table the usual one again. */
KM_HIDDEN void kmem_sizes_reset(void);

/* ---- address to slab (kmem_pagemap.c) --------------------------------- */

/** Sets the entry of every page of a range; 0, or -1 for want of memory. */
KM_HIDDEN int kmem_pagemap_set(const void *addr, size_t bytes, uintptr_t entry);
/** Clears the entries of a range. */
KM_HIDDEN void kmem_pagemap_clear(const void *addr, size_t bytes);
/** The entry of an address' page: 0, KMEM_PAGE_OVERSIZE, or a slab's. */
KM_HIDDEN uintptr_t kmem_pagemap_get(const void *addr);

#define KMEM_LEAF_BITS 16
#define KMEM_LEAF_SIZE ((size_t)1 << KMEM_LEAF_BITS)
#define KMEM_ROOT_SIZE ((size_t)1 << (47 - 12 - KMEM_LEAF_BITS))
extern KM_HIDDEN uintptr_t *kmem_pagemap_root[KMEM_ROOT_SIZE];

/** The place of a page's entry, or NULL. */
static inline uintptr_t *kmem_pagemap_slot(uintptr_t page)
{
	uintptr_t *leaf;

	if (KM_UNLIKELY(page >> KMEM_LEAF_BITS >= KMEM_ROOT_SIZE))
		return NULL;
	leaf = __atomic_load_n(&kmem_pagemap_root[page >> KMEM_LEAF_BITS],
			       __ATOMIC_ACQUIRE);
	return KM_LIKELY(leaf != NULL) ? &leaf[page & (KMEM_LEAF_SIZE - 1)]
				       : NULL;
}

/** kmem_pagemap_get() where speed matters. */
static inline uintptr_t kmem_pagemap_entry(const void *addr)
{
	uintptr_t *slot = kmem_pagemap_slot((uintptr_t)addr >> 12);

	return KM_LIKELY(slot != NULL) ? __atomic_load_n(slot, __ATOMIC_ACQUIRE)
				       : 0;
}

/* an oversize buffer's first page; above the bit four of the kind of the call,
 * and above those the bytes asked for */
#define KMEM_PAGE_OVERSIZE ((uintptr_t)1)

static inline uintptr_t kmem_oversize_entry(size_t bytes, int kind)
{
	return bytes << 5 | ((uintptr_t)kind & 0xf) << 1 | KMEM_PAGE_OVERSIZE;
}

/* a page that was one, or a slab with a guard page, until it was freed: tells a
 * second free from that of a foreign pointer.  Reads as no buffer. */
#define KMEM_PAGE_FREED KMEM_PAGE_OVERSIZE
/* a slab's: its address, and above it slab_flags */
#define KMEM_PAGE_CLASS_SHIFT 56

/** The slab of an entry, or NULL. */
static inline kmem_slab_t *kmem_entry_slab(uintptr_t entry)
{
	uintptr_t addr = entry & (((uintptr_t)1 << KMEM_PAGE_CLASS_SHIFT) - 1);

	return entry & KMEM_PAGE_OVERSIZE ? NULL : (kmem_slab_t *)addr;
}

/* ---- sized allocation, upkeep ----------------------------------------- */

extern KM_HIDDEN kmem_mutex_t kmem_align_lock; /* caches by alignment */
extern KM_HIDDEN kmem_mutex_t kmem_init_lock;  /* who is starting things */

/** Creates the caches of the size classes. */
KM_HIDDEN void kmem_alloc_init(void);
/** kmem_magazine_fit() if nobody does upkeep now. */
KM_HIDDEN void kmem_update_magazines(kmem_cache_t *cp, unsigned nrounds);
/** Does the periodic work if it is due: called where time matters little. */
KM_HIDDEN void kmem_update_if_due(void);
/** Waits until no round works on a cache, and unlinks it.  Returns 1 when it is
 * the calling thread's own round that does: then the cache is destroyed later,
 * when its turn is over. */
KM_HIDDEN int kmem_update_detach(kmem_cache_t *cp);
/** Between these two the calling thread does no upkeep: it holds a lock while it
 * allocates, and functions of the program must not run then. */
KM_HIDDEN void kmem_update_hold(void);
KM_HIDDEN void kmem_update_unhold(void);
/** In a forked child: a round of another thread is over. */
KM_HIDDEN void kmem_update_reset(void);

/* ---- system calls that leave errno alone (kmem_sys.c) ----------------- */

/** Anonymous private read-write memory, or NULL. */
KM_HIDDEN void *kmem_sys_map(size_t bytes);
/** Gives mapped memory back; returns 0 or -1. */
KM_HIDDEN int kmem_sys_unmap(void *addr, size_t bytes);
/** Makes pages unreachable, or readable and writable again; 0 or -1. */
KM_HIDDEN int kmem_sys_protect(void *addr, size_t bytes, int is_open);
/** Drops the content of anonymous pages: they read as zeros; 0 or -1. */
KM_HIDDEN int kmem_sys_zero(void *addr, size_t bytes);
/** Asks for huge pages where they fit. */
KM_HIDDEN void kmem_sys_huge(void *addr, size_t bytes);
/** Finds the kernel's own clock; to be called once, while starting. */
KM_HIDDEN void kmem_clock_init(void);
/** Monotonic nanoseconds. */
KM_HIDDEN hrtime_t kmem_now(void);
/** Thread id of the caller, remembered per thread. */
KM_HIDDEN uint32_t kmem_tid(void);
/** Forgets the remembered ids: first thing in a forked child. */
KM_HIDDEN void kmem_tid_reset(void);
/** Writes all bytes to a descriptor, as far as it goes. */
KM_HIDDEN void kmem_sys_write(int fd, const char *buf, size_t bytes);

/* ---- arenas (vmem*.c) ----------------------- */

#define VM_FITMASK (VM_BESTFIT | VM_FIRSTFIT | VM_NEXTFIT)

#define VMEM_SEG_FULL    sizeof(vmem_seg_t)
#define VMEM_SEG_SHORT   ((offsetof(vmem_seg_t, vs_thread) + 7) & ~(size_t)7)
#define VMEM_MINFREE     8 /* boundary tags an arena has before it works */
#define VMEM_RESERVE     4 /* what one operation takes at worst */
#define VMEM_NPOPULATORS 8

extern KM_HIDDEN kmem_mutex_t vmem_list_lock;
extern KM_HIDDEN kmem_mutex_t vmem_populate_lock;
extern KM_HIDDEN kmem_mutex_t vmem_segfree_lock;
extern KM_HIDDEN vmem_t *vmem_populators[VMEM_NPOPULATORS];
extern KM_HIDDEN int vmem_npopulators;
extern KM_HIDDEN vmem_t *vmem_metadata_arena;
extern KM_HIDDEN vmem_t *vmem_seg_arena;
extern KM_HIDDEN vmem_t *vmem_hash_arena;
extern KM_HIDDEN vmem_t *vmem_vmem_arena;
extern KM_HIDDEN vmem_t *kmem_pages_arena;

/** vmem_alloc() beyond any limit, for memory the allocator itself needs: who
 * waits for it may hold what others need to free. */
KM_HIDDEN void *vmem_alloc_reserve(vmem_t *vmp, size_t bytes, int vmflag);
/** Creates the heap, metadata and pages arenas from static storage. */
KM_HIDDEN void vmem_init(int has_audit);
/** Like vmem_alloc() and vmem_xalloc() for a given kind of call. */
KM_HIDDEN void *vmem_alloc_kind(vmem_t *vmp, size_t bytes, size_t align,
				int vmflag, int kind);
/** Rescales hash tables and wakes all who wait; the periodic pass. */
KM_HIDDEN void vmem_update(void);
/** Segments that are allocated in an arena; no lock. */
static inline size_t vmem_nallocated(const vmem_t *vmp)
{
	/* in this order, so that what others do meanwhile makes it no less than
	 * nothing */
	uint64_t nfree =
		__atomic_load_n(&vmp->vm_kstat.vk_free, __ATOMIC_ACQUIRE);
	uint64_t nalloc = KM_PEEK(vmp->vm_kstat.vk_alloc);

	return nalloc > nfree ? nalloc - nfree : 0;
}
/** Gives one arena a hash table that fits what is allocated in it. */
KM_HIDDEN void vmem_hash_rescale(vmem_t *vmp);
/** Starts a span [addr, addr + bytes) and its free segment; returns that. */
KM_HIDDEN vmem_seg_t *vmem_span_create(vmem_t *vmp, void *addr, size_t bytes,
				       int import);
/** Makes sure the arena has VMEM_MINFREE tags; 0 when it cannot.  vm_lock is
 * held, and may be dropped for a while. */
KM_HIDDEN int vmem_populate(vmem_t *vmp, int vmflag);
/** Is the calling thread making tags? */
KM_HIDDEN int vmem_is_populating(void);
/** Takes a tag of an arena, which has one, and puts one back; vm_lock is held. */
KM_HIDDEN vmem_seg_t *vmem_getseg(vmem_t *vmp);
KM_HIDDEN void vmem_putseg(vmem_t *vmp, vmem_seg_t *vsp);
/** Puts tags on the global list. */
KM_HIDDEN void vmem_putseg_global(vmem_seg_t *vsp);
/** Moves a marker behind another segment and heals the place it leaves; vm_lock
 * is held, and dropped if a whole span goes back to its source. */
KM_HIDDEN void vmem_advance(vmem_t *vmp, vmem_seg_t *walker,
			    vmem_seg_t *behind);
/** A bucket of the allocated-segment hash. */
KM_HIDDEN vmem_seg_t **vmem_hash_bucket(vmem_t *vmp, uintptr_t addr);
/** The requested size of the segment allocated at exactly addr; 0: none. */
KM_HIDDEN size_t vmem_seg_bytes(vmem_t *vmp, const void *addr);
/** Who allocated that segment, as far as that was recorded. */
KM_HIDDEN struct kmem_event vmem_seg_event(vmem_t *vmp, const void *addr);
/** The same of a segment, which must not change meanwhile. */
KM_HIDDEN struct kmem_event vmem_event_of(const vmem_seg_t *vsp);
/** The root source: memory of the kernel, in multiples of a page. */
KM_HIDDEN void *vmem_mmap_alloc(vmem_t *vmp, size_t bytes, int vmflag);
KM_HIDDEN void vmem_mmap_free(vmem_t *vmp, void *addr, size_t bytes);
/** Does the heap keep what it has free, or give spans back?  vm_lock of the heap
 * is held, here and in the next two. */
KM_HIDDEN int vmem_heap_keeps(void);
/** Notes that so many bytes of the heap were given out. */
KM_HIDDEN void vmem_heap_took(size_t bytes);
/** Notes that they were freed; 1: it is time for vmem_heap_trim(). */
KM_HIDDEN int vmem_heap_gave(size_t bytes);
/** What the heap should ask the system for at a time; takes no lock. */
KM_HIDDEN size_t vmem_heap_import(void);
/** Advises on the memory it got then. */
KM_HIDDEN void vmem_heap_grew(void *addr, size_t bytes);
/** Gives the system the pages of the heap's free segments; the addresses stay,
 * since what is left of their span is in use. */
KM_HIDDEN void vmem_heap_trim(void);
/** Gives the system the large free segments of the heap, addresses and all
 * (vmem_seg.c): elsewhere they may be wanted in one piece. */
KM_HIDDEN void vmem_heap_release(void);

/* ---- locks (kmem_lock.c) ---------------------------------------------- */

/* who holds everything (kmem_lock_all), or NULL */
extern KM_HIDDEN const void *volatile kmem_all_holder;

/** An address that stands for the calling thread; the same after fork. */
KM_HIDDEN const void *kmem_self(void);

/** Takes a lock, waiting for it. */
KM_HIDDEN void kmem_mutex_enter(kmem_mutex_t *m);
/** Frees a lock the caller took. */
KM_HIDDEN void kmem_mutex_exit(kmem_mutex_t *m);
/** Returns 1 when the lock was free and now is held, 0 when it was not. */
KM_HIDDEN int kmem_mutex_tryenter(kmem_mutex_t *m);
/** Takes and frees a lock that is held for some instructions only: it is taken
 * by nothing else, but for who takes all (kmem_lock_all). */
KM_HIDDEN void kmem_spin_enter(kmem_mutex_t *m);
KM_HIDDEN void kmem_spin_exit(kmem_mutex_t *m);
/** Like kmem_mutex_enter(), giving up at a time of kmem_now(); 1 when held. */
KM_HIDDEN int kmem_mutex_enter_until(kmem_mutex_t *m, hrtime_t deadline);
/** Does the calling thread hold every lock (kmem_lock_all)? */
KM_HIDDEN int kmem_holds_all(void);
/** Frees a lock whoever holds it. */
KM_HIDDEN void kmem_mutex_break(kmem_mutex_t *m);
/** Waits for a broadcast; m is dropped meanwhile. */
KM_HIDDEN void kmem_cv_wait(kmem_cv_t *cv, kmem_mutex_t *m);
/** The same, at most so long; 0: time ran out. */
KM_HIDDEN int kmem_cv_timedwait(kmem_cv_t *cv, kmem_mutex_t *m, hrtime_t ns);
/** Wakes all who wait. */
KM_HIDDEN void kmem_cv_broadcast(kmem_cv_t *cv);
/** Sleeps while the word has the value, at most so long; 0: without limit. */
KM_HIDDEN void kmem_futex_wait(int32_t *word, int32_t value, hrtime_t ns);
KM_HIDDEN void kmem_futex_wake_all(int32_t *word);
/** Sleeps so long. */
KM_HIDDEN void kmem_nap(hrtime_t ns);

/* ---- waiting for memory (kmem_wait.c) --------------------------------- */

/* was there ever a limit? */
extern KM_HIDDEN int kmem_is_limited;

extern KM_HIDDEN uint32_t kmem_first_waiter; /* a thread, 0 nobody */

/** Must a request that may wait do so at once, since others wait before it? */
static inline int kmem_has_to_queue(void)
{
	uint32_t first = __atomic_load_n(&kmem_first_waiter, __ATOMIC_RELAXED);

	return KM_UNLIKELY(first != 0) && first != kmem_tid();
}

/* is somebody asked when the system has no memory (kmem_nofail.c)? */
extern KM_HIDDEN int kmem_has_callback;

/** Asks him; returns when it is worth trying again, or not at all. */
KM_HIDDEN void kmem_nofail(void);

/** Does a request with these flags wait in kmem_memory_wait()? */
static inline int kmem_has_to_wait(int kmflag)
{
	return KM_UNLIKELY(kmem_is_limited | kmem_has_callback) &&
	       !(kmflag & (KM_NOSLEEP | KM_PANIC));
}

/**
 * Waits until it is worth trying again.
 *
 * @w:  zeroed before the first call for a request; bytes and cache set
 */
KM_HIDDEN void kmem_memory_wait(kmem_waiter_t *w);
/** Ends the waiting of a request that got its memory. */
KM_HIDDEN void kmem_memory_got(kmem_waiter_t *w);
/** Wakes who waits longest: something was freed. */
KM_HIDDEN void kmem_memory_freed(void);
/** In a forked child: nobody waits. */
KM_HIDDEN void kmem_memory_reset(void);
extern KM_HIDDEN kmem_mutex_t kmem_wait_lock;
extern KM_HIDDEN kmem_mutex_t kmem_rmap_lock; /* kmem_rmaps */
/** Gives back everything no object is in, magazines in use too. */
KM_HIDDEN void kmem_reap_all(void);

/* ---- the gate (kmem_gate.c) ------------------------------------------- */

/** Begins a transaction on a buffer that an image must not show half done;
 * waits while the gate is closed.  Nests. */
KM_HIDDEN void kmem_gate_enter(void);
KM_HIDDEN void kmem_gate_exit(void);
/** Finds out how the gate can work; called while starting, by one thread. */
KM_HIDDEN void kmem_gate_init(void);
/** Steps out before a long wait; returns what kmem_gate_return() takes. */
KM_HIDDEN int kmem_gate_leave(void);
/** Steps in again; is_waiting 0: even if the gate is closed, for the holder of
 * a lock. */
KM_HIDDEN void kmem_gate_return(int was, int is_waiting);
/** Is the calling thread inside? */
KM_HIDDEN int kmem_gate_is_inside(void);
/** Closes the gate and waits for all others to leave.  Without a deadline it
 * succeeds, if need be with somebody inside.  Returns 0, or -1: open again. */
KM_HIDDEN int kmem_gate_close(hrtime_t deadline);
KM_HIDDEN void kmem_gate_open(void);
/** In a forked child: only this thread can be inside. */
KM_HIDDEN void kmem_gate_reset(void);

/* ---- messages and panic (kmem_fail.c) --------------------------------- */

/**
 * Formats without libc: %s %c %d %u %x %p and their l, ll forms with width and
 * zero fill.  The result is always ended.  Returns its length.
 */
KM_HIDDEN size_t kmem_vformat(char *buf, size_t room, const char *fmt,
			      va_list ap) __attribute__((format(printf, 3, 0)));
KM_HIDDEN size_t kmem_format(char *buf, size_t room, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** Appends to kmem_error_buffer and writes to stderr. */
KM_HIDDEN void kmem_report(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
/** Empties kmem_error_buffer: a new report begins. */
KM_HIDDEN void kmem_report_clear(void);
/** A line on stderr if the option verbose was given. */
KM_HIDDEN void kmem_warn(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
/** NULL, for a request that may fail; else a panic: there is no memory, not even
 * for what the allocator itself needs, and nothing would ever wake who waits. */
KM_HIDDEN void *kmem_no_memory(size_t bytes, int kmflag);
/** Reports, runs the hook and ends the process by SIGABRT. */
KM_HIDDEN void kmem_panic(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));
/** Runs the hook and ends the process by SIGABRT. */
KM_HIDDEN void kmem_abort(void) __attribute__((noreturn));

#endif
