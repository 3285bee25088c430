/* SPDX-License-Identifier: MIT */
/*
 * The structures of kmem.  Their member names are the contract with the
 * debugger (src/contract/contract.def): add, never rename or reuse.
 */
#ifndef KMEM_IMPL_H
#define KMEM_IMPL_H

#include <stdint.h>
#include <ucontext.h>
#include "kmem.h"
#include "vmem_impl.h"

/* cache_flags */
#define KMF_AUDIT       0x00000001
#define KMF_DEADBEEF    0x00000002
#define KMF_REDZONE     0x00000004
#define KMF_CONTENTS    0x00000008
#define KMF_CHECKSIGNAL 0x00000010
#define KMF_NOMAGAZINE  0x00000020
#define KMF_FIREWALL    0x00000040
#define KMF_LITE        0x00000100
#define KMF_HASH        0x00000200
#define KMF_RANDOMIZE   0x00000400
#define KMF_CHECKNULL   0x00001000
#define KMF_PREFILL     0x00004000
#define KMF_BUFTAG      (KMF_DEADBEEF | KMF_REDZONE)
#define KMF_TOUCH       (KMF_BUFTAG | KMF_LITE | KMF_CONTENTS)
#define KMF_RANDOM      (KMF_TOUCH | KMF_AUDIT | KMF_NOMAGAZINE)
#define KMF_DEBUG       (KMF_RANDOM | KMF_FIREWALL)
/* of kmem_flags: some cache has more than no magazines */
#define KMF_CHECKED ((KMF_DEBUG & ~KMF_NOMAGAZINE) | KMF_RANDOMIZE)

/* patterns: exported to the debugger as kmem_patterns below */
#define KMEM_FREE_PATTERN          0xdeadbeefdeadbeefULL
#define KMEM_UNINITIALIZED_PATTERN 0xbaddcafebaddcafeULL
#define KMEM_REDZONE_PATTERN       0xfeedfacefeedfaceULL
#define KMEM_REDZONE_BYTE          0xbb
#define KMEM_BUFTAG_ALLOC          0xa110c8edUL
#define KMEM_BUFTAG_FREE           0xf4eef4eeUL
#define KMEM_SIZE_ENCODE(n)        (251 * (uint32_t)(n) + 1)
#define KMEM_SIZE_DECODE(e)        ((e) / 251)
#define KMEM_SIZE_VALID(e)         ((e) % 251 == 1)

#define KMEM_OVERSIZE_TAG 16

struct kmem_slab;
struct kmem_cache;

/* which call made a transaction: bc_kind, vs_kind */
enum kmem_kind {
	KMEM_KIND_NONE,
	KMEM_KIND_KMEM,        /* kmem_alloc, kmem_zalloc / kmem_free */
	KMEM_KIND_CACHE,       /* kmem_cache_alloc / kmem_cache_free */
	KMEM_KIND_MALLOC,      /* malloc, calloc, realloc / free */
	KMEM_KIND_MEMALIGN,    /* memalign and relations */
	KMEM_KIND_NEW,         /* operator new / operator delete */
	KMEM_KIND_NEW_ARRAY,   /* operator new[] / operator delete[] */
	KMEM_KIND_VMEM,        /* vmem_alloc, vmem_xalloc */
	KMEM_KIND_REALLOC,     /* realloc, as far as it frees */
	KMEM_KIND_NEW_ALIGNED, /* the same with std::align_val_t */
	KMEM_KIND_NEW_ALIGNED_ARRAY,
	KMEM_KIND_USABLE_SIZE, /* malloc_usable_size; of no record */
};

/* what a transaction did: bc_what */
enum kmem_what {
	KMEM_WHAT_NONE,
	KMEM_WHAT_ALLOC,
	KMEM_WHAT_FREE,
	KMEM_WHAT_FAIL, /* failure log: bc_addr is the size asked for */
	KMEM_WHAT_SLAB, /* slab log: bc_addr is the slab's memory */
};

typedef struct kmem_bufctl {
	struct kmem_bufctl *bc_next; /* slab free list, or hash chain */
	void *bc_addr;
	struct kmem_slab *bc_slab;
} kmem_bufctl_t;

/*
 * Prefix identical to kmem_bufctl_t; also the record of every log.  bc_cache
 * and what follows exist in records, and in the bufctl of a buffer only when
 * there is a content log; kmem_bufctl_audit_size says so.  Else the cache is
 * the one of the slab.
 */
typedef struct kmem_bufctl_audit {
	struct kmem_bufctl *bc_next;
	void *bc_addr;
	struct kmem_slab *bc_slab;
	hrtime_t bc_timestamp;
	struct kmem_bufctl_audit *bc_lastlog; /* most recent log record of this
					       * buffer; in a record, the one
					       * before it */
	uint32_t bc_thread : 24;              /* tid */
	uint32_t bc_kind : 4;                 /* enum kmem_kind */
	uint32_t bc_what : 4;                 /* enum kmem_what */
	uint32_t bc_stack;                    /* stack depot id, 0 none */
	struct kmem_cache *bc_cache;
	void *bc_contents; /* in the content log, or NULL */
} kmem_bufctl_audit_t;     /* 64 bytes */

typedef struct kmem_buftag {
	uint64_t bt_redzone; /* upper half: encoded size of a sized request */
	kmem_bufctl_t *bt_bufctl;
	intptr_t bt_bxstat; /* bt_bufctl ^ KMEM_BUFTAG_ALLOC or _FREE */
} kmem_buftag_t;

typedef struct kmem_slab {
	struct kmem_cache *slab_cache;
	void *slab_base;             /* first buffer = slab memory + colour */
	struct kmem_slab *slab_next; /* complete or partial list */
	struct kmem_slab *slab_prev;
	kmem_bufctl_t *slab_head; /* first free bufctl */
	uint32_t slab_refcnt;     /* buffers outside the slab layer */
	uint32_t slab_chunks;     /* buffers in this slab */
	uint32_t slab_flags;      /* cache_class, if free() need not check */
	/* for the consolidator (kmem_move.c) */
	uint32_t slab_stuck : 20;  /* 1 + index of the buffer that would not
				    * move, or is to be moved; 0 none */
	uint32_t slab_bin : 7;     /* place in the order of partial slabs */
	uint32_t slab_later : 2;   /* answers LATER in a row */
	uint32_t slab_nomove : 1;  /* no source of moves */
	uint32_t slab_pending : 1; /* slab_stuck is to be moved */
	uint32_t slab_walled : 1;  /* freed; its memory cannot be touched
				    * (kmem_firewall.c) */
} kmem_slab_t;

typedef struct kmem_magazine {
	struct kmem_magazine *mag_next;
	void *mag_round[1]; /* mt_magsize of them */
} kmem_magazine_t;

typedef struct kmem_magtype {
	uint32_t mt_magsize;
	uint32_t mt_align;
	uint32_t mt_minbuf;
	uint32_t mt_maxbuf;
	kmem_cache_t *mt_cache;
} kmem_magtype_t;

typedef struct kmem_cpu_cache {
	kmem_mutex_t cc_lock;
	uint32_t cc_flags;
	uint64_t cc_alloc;
	uint64_t cc_free;
	kmem_magazine_t *cc_loaded;
	kmem_magazine_t *cc_ploaded;
	int32_t cc_rounds;  /* -1: cc_loaded is NULL */
	int32_t cc_prounds; /* -1: cc_ploaded is NULL */
	int32_t cc_magsize; /* 0: no magazine layer */
	char cc_pad[12];
} kmem_cpu_cache_t; /* 64 bytes, 64-aligned */

typedef struct kmem_maglist {
	kmem_magazine_t *ml_list;
	int64_t ml_total;
	int64_t ml_min;
	int64_t ml_reaplimit;
	uint64_t ml_alloc;
} kmem_maglist_t;

#define KMEM_DEFRAG_BINS 128

/* what the consolidator knows of a cache (kmem_move.c) */
typedef struct kmem_defrag {
	uint64_t kmd_callbacks;
	uint64_t kmd_yes;
	uint64_t kmd_no;
	uint64_t kmd_later;
	uint64_t kmd_dont_need;
	uint64_t kmd_dont_know;
	uint64_t kmd_slabs_freed;       /* emptied by moves */
	uint64_t kmd_defrags;           /* passes over all partial slabs */
	uint64_t kmd_scans;             /* periodic ones over a few */
	struct kmem_slab *kmd_deadlist; /* emptied while objects are moved */
	uint64_t kmd_deadcount;
	uint32_t kmd_reclaim_numer; /* eighths of a slab in use that are few */
	uint32_t kmd_slabs_sought;
	uint32_t kmd_slabs_found;
	uint32_t kmd_tries;
	uint32_t kmd_is_moving; /* a pass is going on: empty slabs stay */
	uint32_t kmd_thread;    /* who is in the callback, 0 nobody */
	void *kmd_from_buf;
	void *kmd_to_buf;
	uint64_t kmd_npending; /* slabs with slab_pending */
	uint32_t kmd_binshift;
	uint32_t kmd_nranks;
	kmem_slab_t *kmd_last; /* partial slab that is used last */
	uint64_t kmd_binmap[KMEM_DEFRAG_BINS / 64];
	kmem_slab_t *kmd_first[KMEM_DEFRAG_BINS]; /* partial slab of each bin */
} kmem_defrag_t;

#define KMEM_CACHE_NAMELEN 31

struct kmem_cache {
	/* statistics */
	uint64_t cache_slab_create;
	uint64_t cache_slab_destroy;
	uint64_t cache_slab_alloc;
	uint64_t cache_slab_free;
	uint64_t cache_alloc_fail;
	uint64_t cache_buftotal;
	uint64_t cache_bufmax;
	uint64_t cache_bufslab;
	uint64_t cache_reap;
	uint64_t cache_rescale;
	uint64_t cache_lookup_depth;
	uint64_t cache_depot_contention;
	uint64_t cache_depot_contention_prev;
	/* properties */
	char cache_name[KMEM_CACHE_NAMELEN + 1];
	size_t cache_bufsize;
	size_t cache_align;
	int (*cache_constructor)(void *, void *, int);
	void (*cache_destructor)(void *, void *);
	void (*cache_reclaim)(void *);
	kmem_cbrc_t (*cache_move)(void *, void *, size_t, void *);
	void *cache_private;
	vmem_t *cache_arena;
	int cache_cflags;
	int cache_flags;
	uint32_t cache_mtbf;
	kmem_cache_t *cache_next; /* kmem_caches, in order of creation */
	kmem_cache_t *cache_prev;
	/* slab layer */
	kmem_mutex_t cache_lock;
	size_t cache_chunksize;
	size_t cache_slabsize;
	size_t cache_maxchunks;
	size_t cache_bufctl; /* offset of the bufctl word in a raw buffer */
	size_t cache_buftag; /* offset of the buftag, 0 none */
	size_t cache_verify;
	size_t cache_contents;
	size_t cache_color;
	size_t cache_mincolor;
	size_t cache_maxcolor;
	size_t cache_hash_shift;
	size_t cache_hash_mask;
	kmem_slab_t *cache_complete_slabs;
	uint64_t cache_complete_slab_count;
	kmem_slab_t *cache_partial_slabs;
	uint64_t cache_partial_slab_count;
	kmem_defrag_t *cache_defrag; /* NULL: objects stay where they are */
	kmem_cache_t *cache_bufctl_cache;
	kmem_bufctl_t **cache_hash_table;
	uint32_t cache_class; /* size class + 1 if threads keep some, else 0 */
	uint64_t cache_magic; /* 2^64 / cache_chunksize, rounded up */
	/* of cache_slab_alloc, how many went to bins or, prefilled, to
	 * magazines */
	uint64_t cache_bin_fill;
	/* depot */
	kmem_mutex_t cache_depot_lock;
	kmem_magtype_t *cache_magtype;
	kmem_maglist_t cache_full;
	kmem_maglist_t cache_empty;
	/* one element a CPU; kmem_max_ncpus of them */
	kmem_cpu_cache_t cache_cpu[] __attribute__((aligned(64)));
};

/*
 * What a thread keeps of a size class, and of all of them (kmem_thread.c).
 * Objects in a bin are free; the program has taken tb_alloc out of it.
 */
#define KMEM_NCLASSES 46
#define KMEM_NROUNDS  2048 /* of all bins of a thread */

typedef struct kmem_thread_bin {
	uint64_t tb_rounds : 16; /* these two change in one store */
	uint64_t tb_alloc : 48;
	kmem_cache_t *tb_cache; /* NULL: threads keep none of that class */
	uint32_t tb_first;      /* its first round in th_round */
	uint16_t tb_max;        /* rounds it may hold now */
	uint16_t tb_limit;      /* and ever */
	uint64_t tb_magic;      /* its cache_magic */
} kmem_thread_bin_t;

typedef struct kmem_thread {
	struct kmem_thread *th_next; /* kmem_threads; never leaves it */
	uint32_t th_tid;             /* whose it is; 0 nobody's */
	uint32_t th_busy;            /* its thread is within it */
	uint32_t th_nbins;
	struct kmem_memo_table *th_memo; /* stacks it captured, or NULL */
	int32_t th_inside;   /* its thread is inside the gate (kmem_gate.c) */
	uint32_t th_nstamps; /* it may still give (kmem_clock.c) */
	hrtime_t th_stamp;   /* its last */
	hrtime_t th_tick;    /* of the kernel, when it looked */
	char *th_log;        /* its next record (kmem_log.c) */
	char *th_log_end;    /* where its run of the log ends */
	uint32_t th_log_run; /* 1 + its number; 0 none */
	char th_pad[44];
	kmem_thread_bin_t th_bin[KMEM_NCLASSES];
	void *th_round[KMEM_NROUNDS];
} kmem_thread_t;

typedef struct kmem_cpu_log_header {
	kmem_mutex_t clh_lock;
	int32_t clh_chunk;
	char *clh_current;
	size_t clh_avail; /* in its run, or else in the chunk */
	uint64_t clh_hits;
	size_t clh_kept; /* of clh_avail while a fork is made, and 1 more */
	char clh_pad[24];
} kmem_cpu_log_header_t;

typedef struct kmem_log_header {
	kmem_mutex_t lh_lock;
	char *lh_base;
	int32_t *lh_free;
	size_t lh_chunksize;
	int32_t lh_nchunks;
	int32_t lh_head;
	int32_t lh_tail;
	uint64_t lh_hits;
	hrtime_t lh_lost;  /* later than every record that was written over */
	size_t lh_runsize; /* of a run, 0: there are none */
	uint32_t lh_nruns; /* in all chunks */
	uint32_t lh_nheld; /* of them are a thread's; atomic */
	uint8_t *lh_held;  /* each run: is it?  Atomic */
	char lh_pad[40];
	kmem_cpu_log_header_t lh_cpu[]; /* kmem_max_ncpus of them */
} kmem_log_header_t;

/* the file the transaction log is kept in (kmem_logfile.c) */
typedef struct kmem_logfile {
	uint64_t klf_id[2]; /* 0: there is none */
	hrtime_t klf_start; /* it has every transaction since */
	hrtime_t klf_stop;  /* and none since; 0: all */
	int32_t klf_errno;  /* why */
	uint32_t klf_pid;
	char klf_path[512];
} kmem_logfile_t;

/*
 * The stack depot: each distinct stack is stored once.  An id is
 * chunk << KMEM_STACK_SHIFT | offset / 8; 0 means no stack.  A stack is never
 * moved or freed.
 */
#define KMEM_STACK_SHIFT   17 /* chunks of 1 MiB */
#define KMEM_STACK_CHUNKS  4096
#define KMEM_STACK_BUCKETS 65536
#define KMEM_STACK_DEPTH   64 /* upper bound of audit=N */

typedef struct kmem_stack {
	uint32_t st_next; /* id of the next in the hash chain, 0 none */
	uint32_t st_hash;
	uint32_t st_depth;
	uint32_t st_pad;
	uintptr_t st_pc[]; /* innermost first; return addresses */
} kmem_stack_t;

typedef struct kmem_stackdepot {
	char *sd_chunk[KMEM_STACK_CHUNKS];
	uint64_t sd_used; /* bytes handed out, chunk ends included */
	uint64_t sd_count;
	uint64_t sd_dropped; /* stacks lost for want of memory */
	uint32_t *sd_hash;   /* KMEM_STACK_BUCKETS ids */
} kmem_stackdepot_t;

/* error codes, kmp_error */
enum kmem_error_code {
	KMERR_MODIFIED,
	KMERR_REDZONE,
	KMERR_DUPFREE,
	KMERR_BADADDR,
	KMERR_BADBUFTAG,
	KMERR_BADBUFCTL,
	KMERR_BADCACHE,
	KMERR_BADSIZE,
	KMERR_BADBASE,
	KMERR_UNDERRUN,
	KMERR_BADKIND,
	KMERR_BADUSE,
};

typedef struct kmem_panic_info {
	hrtime_t kmp_timestamp; /* 0: no error was ever reported */
	int kmp_error;
	uint32_t kmp_thread;
	void *kmp_buffer;
	void *kmp_realbuf;
	kmem_cache_t *kmp_cache;
	kmem_cache_t *kmp_realcache;
	kmem_slab_t *kmp_slab;
	kmem_bufctl_t *kmp_bufctl;
	uint32_t kmp_stack; /* depot id of the offending call */
} kmem_panic_info_t;

/*
 * A free by a call that does not belong to the one that allocated
 * (kmem_mismatch.c): both transactions.  Further ones with the same two stacks
 * are counted.
 */
#define KMEM_MISMATCH_MAX 256

typedef struct kmem_mismatch {
	kmem_bufctl_audit_t mm_alloc; /* bc_timestamp 0: not known */
	kmem_bufctl_audit_t mm_free;
	size_t mm_bytes;       /* that were asked for; SIZE_MAX: not known */
	size_t mm_freed_bytes; /* what a sized delete told; SIZE_MAX: none */
	uint64_t mm_count;     /* 0: the entry is not used */
} kmem_mismatch_t;

typedef struct kmem_mismatch_log {
	kmem_mismatch_t mml_pair[KMEM_MISMATCH_MAX];
} kmem_mismatch_log_t;

/* numbers the debugger must not compile in */
typedef struct kmem_patterns {
	uint64_t kp_free;
	uint64_t kp_uninitialized;
	uint64_t kp_redzone;
	uint64_t kp_buftag_alloc;
	uint64_t kp_buftag_free;
	uint64_t kp_redzone_byte;
	uint64_t kp_size_mul; /* encoded = kp_size_mul * n + 1 */
	uint64_t kp_stack_shift;
	/* flag bits the debugger asks about */
	uint64_t kp_kmf_audit;
	uint64_t kp_kmf_deadbeef;
	uint64_t kp_kmf_redzone;
	uint64_t kp_kmf_nomagazine;
	uint64_t kp_kmf_lite;
	uint64_t kp_kmf_hash;
	uint64_t kp_kmc_notouch;
	uint64_t kp_kmc_qcache;
	uint64_t kp_vmc_identifier;
	/* vs_type */
	uint64_t kp_seg_alloc;
	uint64_t kp_seg_free;
	uint64_t kp_seg_span;
	uint64_t kp_seg_rotor;
	uint64_t kp_seg_walker;
} kmem_patterns_t;

/* a request that waits for memory, in kmem_waiters or in the vm_waiters of an
 * arena; lies on the stack of its thread */
typedef struct kmem_waiter {
	struct kmem_waiter *kw_next; /* came later */
	kmem_cache_t *kw_cache;      /* NULL: an oversize buffer */
	size_t kw_bytes;
	hrtime_t kw_since; /* 0: not waiting */
	uint32_t kw_thread;
	int32_t kw_is_first;  /* a futex; kmem_waiters */
	int32_t kw_is_placed; /* wants a certain place; vm_waiters */
} kmem_waiter_t;

/* a resource map (rmap.c): free ranges in order of address */
struct mapent {
	size_t m_size; /* 0: the end */
	unsigned long m_addr;
};

struct map {
	struct map *m_next; /* kmem_rmaps */
	kmem_mutex_t m_lock;
	kmem_cv_t m_cv;
	int m_want; /* somebody waits for a free */
	size_t m_nslots;
	size_t m_nused;
	struct mapent m_map[]; /* m_nslots + 1 */
};

#define KMEM_ERROR_BUFFER 8192

/* roots of the contract */
#pragma GCC visibility push(default)
extern const uint32_t kmem_abi_version; /* 1 */
extern const kmem_patterns_t kmem_patterns;
extern int kmem_ready; /* 0 untouched, 1 initialising, 2 ready */
extern uint32_t kmem_max_ncpus;
extern kmem_cache_t kmem_null_cache; /* anchor of the ring of caches */
extern kmem_thread_t *kmem_threads;  /* every record of a thread */
extern int kmem_flags;
extern int kmem_logging;
extern kmem_log_header_t *kmem_transaction_log;
extern kmem_log_header_t *kmem_content_log;
extern kmem_log_header_t *kmem_failure_log;
extern kmem_log_header_t *kmem_slab_log;
extern kmem_log_header_t *kmem_zerosized_log;
extern kmem_logfile_t kmem_logfile;
extern size_t kmem_bufctl_audit_size; /* bytes of a buffer's in this process */
extern kmem_mismatch_log_t kmem_mismatch_log;
extern uint64_t kmem_mismatches; /* all there were, recorded or not */
extern kmem_stackdepot_t kmem_stackdepot;
extern struct map *kmem_rmaps;      /* every resource map, latest first */
extern kmem_waiter_t *kmem_waiters; /* who waits for memory, longest first */
extern kmem_panic_info_t kmem_panic_info;
/* start and end of the alternate signal stack the library gave the main
 * thread; 0, 0 none.  What no stack pointer is above is the library's. */
extern uintptr_t kmem_altstack[2];
extern char kmem_error_buffer[KMEM_ERROR_BUFFER]; /* message text, NUL ended */
extern vmem_t *kmem_default_arena;                /* slabs of object caches */
extern vmem_t *kmem_firewall_arena; /* slabs with guard pages, or NULL */
extern vmem_t *kmem_oversize_arena; /* requests beyond the largest cache */
extern uint32_t kmem_oversize_tag;  /* its segments are so much longer than what
				     * was asked for: guard bytes; 0 none */

#pragma GCC visibility pop

/* ---- inside the library ---------------------------------------------- */

#define KM_HIDDEN __attribute__((visibility("hidden")))
/* large and seldom written: together behind what is, so that a small program
 * does not have a page for each small thing between them (the linker sorts) */
#define KM_SELDOM __attribute__((section(".bss.seldom")))
/* run at each start, though what is beside it in its file is not: linked among the
 * first, since text is brought in 64 KiB at a time */
#define KM_STARTUP __attribute__((section(".text.startup")))

/**
 * Captures the calling thread's stack.
 *
 * @pcs:   set to return addresses, innermost first
 * @max:   room in pcs
 * @skip:  frames to leave out beyond the caller's own
 *
 * Works for code without frame pointers, by the unwind tables of each object.
 * Async-signal-safe, no lock, no allocation, errno kept; never faults.
 * Returns the number of frames stored.
 */
KM_HIDDEN unsigned kmem_unwind(uintptr_t *pcs, unsigned max, unsigned skip);

/* a frame as its caller will find it: where the call returns to, the stack
 * pointer and rbp then */
typedef struct kmem_frame {
	uintptr_t fr_pc;
	uintptr_t fr_sp;
	uintptr_t fr_bp;
} kmem_frame_t;

/*
 * A stack that was captured before: what the walk read of it, from which
 * everything it found follows (unwind_memo.c).  A table of them belongs to one
 * thread.
 */
#define KMEM_MEMO_WORDS 32
#define KMEM_MEMO_NONE  ((uint32_t)(KMEM_MEMO_WORDS + 1)) /* too many */
#define KMEM_MEMO_SETS  64
#define KMEM_MEMO_WAYS  4

typedef struct kmem_memo {
	uint64_t mo_key; /* ticket of who filled it above, depot id below; the
			   * id is 0 until the entry is whole */
	uintptr_t mo_sp; /* where the walk began */
	uintptr_t mo_pc;
	uintptr_t mo_tag; /* what the caller says of the stack beside */
	uintptr_t mo_bp;
	uintptr_t mo_bp_mask; /* all ones: mo_bp counts */
	uint64_t mo_span;     /* of unwind_spans, that had all of it */
	uint32_t mo_nwords;   /* whole entries: filled up to a multiple of 4 */
	uint32_t mo_end;      /* bytes above mo_sp that were read */
	uint16_t mo_at[KMEM_MEMO_WORDS];    /* words above mo_sp */
	uintptr_t mo_word[KMEM_MEMO_WORDS]; /* what was there */
} kmem_memo_t;

typedef struct kmem_memo_table {
	uint64_t mt_generation; /* of unwind_generation, that entries are of */
	uint32_t mt_ticket;
	uint8_t mt_victim[KMEM_MEMO_SETS];
	kmem_memo_t mt_memo[KMEM_MEMO_SETS][KMEM_MEMO_WAYS];
} kmem_memo_table_t;

/**
 * Captures a stack from a given frame of the calling thread on.
 *
 * @from:  a frame that has not returned
 * @pcs:   set to fr_pc and return addresses
 * @max:   room in pcs, at least 1
 * @memo:  NULL, or what kmem_memo_begin() gave
 *
 * Otherwise as kmem_unwind().
 */
KM_HIDDEN unsigned kmem_unwind_from(const kmem_frame_t *from, uintptr_t *pcs,
				    unsigned max, kmem_memo_t *memo);

/** Begins an entry for a stack, to be filled by kmem_unwind_from(). */
KM_HIDDEN kmem_memo_t *kmem_memo_begin(kmem_memo_table_t *table,
				       const kmem_frame_t *from, uintptr_t tag,
				       uint32_t *ret_ticket);

/** Ends an entry kmem_memo_begin() began, unless the walk could not be kept or
 * a signal handler came between and began the entry anew. */
KM_HIDDEN void kmem_memo_keep(kmem_memo_t *memo, uint32_t ticket, uint32_t id);

/**
 * Makes the unwinder forget what it knows of loaded code.  To be called after
 * each dlclose(), before its caller runs on: other code may come to be where
 * the closed object was.
 */
KM_HIDDEN void kmem_unwind_flush(void);

/**
 * The registers of whoever called into this library: as they will be when the
 * call returns, what a call may destroy excepted; the pc is the call's last
 * byte.
 *
 * @past:  start of a function outside the library; when it is among the
 *         callers, its caller's registers are meant.  0: none
 * @uc:    set to them on success: uc_mcontext.gregs, fpregs NULL
 *
 * Returns 1; 0 when that cannot be found out.
 */
KM_HIDDEN int kmem_unwind_caller(uintptr_t past, ucontext_t *uc);

/**
 * Interns a stack; the same frames give the same id for ever.
 *
 * Returns the id, or 0 when there is no memory for a new one.
 */
KM_HIDDEN uint32_t kmem_stack_intern(const uintptr_t *pcs, unsigned depth);
/** Who is told of each stack that is new; NULL: nobody. */
extern KM_HIDDEN void (*kmem_stack_told)(uint32_t id, const uintptr_t *pcs,
					 unsigned depth);

/** The stored stack of an id, or NULL. */
KM_HIDDEN const kmem_stack_t *kmem_stack_get(uint32_t id);

/**
 * Anonymous private pages straight from the kernel, for the depot's chunks, the
 * unwinder's tables and the arenas: accounted in the vmem_heap arena once that
 * exists, so that the debugger knows them as the allocator's own.
 * Returns NULL when there are none; keeps errno.
 */
KM_HIDDEN void *kmem_pages_alloc(size_t bytes);
KM_HIDDEN void kmem_pages_free(void *addr, size_t bytes);

#endif
