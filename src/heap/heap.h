/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an allocator believes about its memory, in words that fit every
 * allocator: caches, slabs, buffers and their states, arenas and segments,
 * who made the last transaction, the log, and its own health.
 *
 * A back end fills struct heap_ops.  A NULL slot means that it cannot answer,
 * and the caller says so by name.  Items are values; strings in them are
 * borrowed for the life of the heap.  Walks are bounded; damage in the target
 * becomes a finding (heap_finding()), and the rest is still walked.
 */
#ifndef HEAP_HEAP_H
#define HEAP_HEAP_H

#include "base/err.h"
#include "target/target.h"
#include "types/types.h"

struct heap;

enum buf_state {
	BUF_ALLOCATED = 1 << 0,
	BUF_FREE_SLAB = 1 << 1,  /* on its slab's free list */
	BUF_FREE_MAG = 1 << 2,   /* in a CPU's or thread's magazine */
	BUF_FREE_DEPOT = 1 << 3, /* in a full magazine of the depot */
	/* no layer has it, nor has the program: on its way between the two, or
	 * set aside because it is damaged */
	BUF_TRANSIT = 1 << 4,
	/* of an earlier moment: not allocated; which layer had it, or whether
	 * its slab was there, no log tells */
	BUF_FREE_THEN = 1 << 5,
	/* nobody knows: of an earlier moment, or behind damage; what it points
	 * at is no leak */
	BUF_UNKNOWN = 1 << 6,
	BUF_FREE_LIST = 1 << 7, /* on a list of another kind: heap_buf.where */
	BUF_FREE = BUF_FREE_SLAB | BUF_FREE_MAG | BUF_FREE_DEPOT | BUF_TRANSIT |
		   BUF_FREE_THEN | BUF_FREE_LIST,
	BUF_ANY = BUF_ALLOCATED | BUF_FREE | BUF_UNKNOWN,
};

enum buf_kind {
	BUF_IN_CACHE, /* a buffer of a cache's slab */
	BUF_OVERSIZE, /* an allocated segment of an arena */
};

struct heap_buf {
	taddr_t addr;
	uint64_t size_bytes; /* all of it: [addr, addr + size) */
	uint64_t req_bytes;  /* what the client asked for when that is known,
			      * else size_bytes */
	enum buf_state state;
	enum buf_kind kind;
	taddr_t cache; /* heap_cache.addr; 0 for OVERSIZE */
	taddr_t arena; /* heap_arena.addr for OVERSIZE, else 0 if not known */
	taddr_t slab;  /* 0 unknown */
	taddr_t ctl;   /* bufctl, vmem_seg or header, 0 none */
	const char *where; /* BUF_FREE_LIST: the kind of list, else NULL */
};

/* a list of free buffers */
struct heap_freelist {
	taddr_t addr;       /* of its head */
	taddr_t owner;      /* heap_arena.addr, or what a thread has */
	uint32_t tid;       /* 0: of no thread that lives, or of an arena */
	bool is_thread;     /* a thread keeps it, not an arena */
	const char *where;  /* its kind: as heap_buf.where */
	unsigned index;     /* among those of its kind and owner */
	uint64_t min_bytes; /* of the buffers that belong there */
	uint64_t max_bytes; /* UINT64_MAX: no limit */
	taddr_t first;      /* buffer; 0: not known */
	uint64_t n, bytes;  /* in it; headers are counted */
};

/* what an arena's memory, headers and all, is used for: one line of a sum */
struct heap_use {
	taddr_t arena;    /* 0: of none, the system gave it alone */
	const char *name; /* of the arena */
	const char *what; /* "allocated", heap_buf.where, ... */
	bool is_free;     /* the allocator can give it out */
	uint64_t n, bytes;
};

struct heap_cache {
	taddr_t addr;
	const char *name;
	uint64_t bufsize_bytes, chunk_bytes, slab_bytes;
	uint32_t flags, cflags;
	taddr_t arena;
	bool is_internal; /* the allocator's own metadata, or a quantum cache:
			   * its buffers are no leak candidates */
	bool has_audit, has_guards, has_hash;
	bool has_constructor;
	bool is_poisoned; /* free buffers are filled with a pattern */
	bool is_sized;    /* one of the classes that sizes are rounded to */
	bool is_notouch; /* its buffers are slabs of other caches, or no memory;
			  * walks over all caches leave it out */
	uint64_t nslabs;
	/* statistics; HEAP_NOT_KNOWN of an earlier moment */
	uint64_t buftotal, slabs_created, slabs_destroyed;
	uint64_t nalloc, nalloc_fail;
	uint64_t nfree_mag; /* in magazines and depot */
	uint64_t nfree_slab;
	uint64_t nlive; /* allocated, when buftotal is not known */
	/* walkers over what threads keep of it: kmem_ptc_SIZE and umem_ptc_SIZE;
	 * NULL: they keep none */
	const char *thread_walker[2];
};

#define HEAP_NOT_KNOWN UINT64_MAX

struct heap_slab {
	taddr_t addr, cache, base;
	uint64_t nbufs, nused; /* outside the slab layer */
	bool is_complete;
	bool is_nomove; /* a callback refused to move a buffer of it */
};

struct heap_arena {
	taddr_t addr;
	const char *name;
	taddr_t source; /* 0 none */
	int depth;      /* of the source chain */
	uint64_t quantum_bytes, inuse_bytes, total_bytes, import_bytes;
	uint64_t nalloc, nfail; /* HEAP_NOT_KNOWN: not counted, or of an
				 * earlier moment */
	uint64_t nbufs;         /* in use, when nalloc is not counted */
	uint32_t cflags;
	bool is_identifier;
	bool is_internal; /* the allocator's own, not made by the program */
};

enum seg_type {
	SEG_ALLOC,
	SEG_FREE,
	SEG_SPAN,
	SEG_ROTOR,
	SEG_WALKER
};

struct heap_segment {
	taddr_t addr; /* of the boundary tag */
	taddr_t arena, start, end;
	enum seg_type type;
	bool is_imported;
	bool is_identifier; /* numbers, not addresses */
	uint32_t tid;
	uint64_t stamp_ns;
	uint32_t stack; /* see heap_ops.stack; 0 none */
};

enum heap_what {
	HEAP_NOTHING, /* not recorded */
	HEAP_ALLOC,
	HEAP_FREE,
	HEAP_FAIL, /* an allocation that failed */
	HEAP_SLAB, /* a slab was made */
};

/* one transaction: of a live control, or a record of the log */
struct heap_audit {
	taddr_t addr; /* of the bufctl or record */
	taddr_t buf;
	taddr_t cache, slab;
	uint64_t stamp_ns;
	uint32_t tid;
	enum heap_what what;
	const char *kind; /* "malloc", "new", ... or "" */
	taddr_t lastlog, contents;
	uint32_t stack; /* 0 none */
	int cpu; /* whose chunk of the log the record is in; -1 not known */
	/* of a large buffer, whose arena stands in cache; else 0 */
	uint64_t large_bytes;
};

/* the transactions that log tells: of these times it tells all */
struct heap_coverage {
	/* every one later than this; HEAP_NOT_KNOWN: no time is covered */
	uint64_t since_ns;
	uint64_t until_ns; /* the last record, or the dump */
	/* where a log was or is kept whole; borrowed, NULL: nowhere */
	const char *path;
	bool is_open;     /* that file is read, too */
	uint64_t stop_ns; /* it holds none since; 0: all */
	int stop_errno;   /* why */
};

#define HEAP_STACK_MAX 128
struct heap_stack {
	unsigned depth;
	taddr_t pc[HEAP_STACK_MAX]; /* return addresses, innermost first */
};

/* what should be in [from, to): a word, again on each 8-byte boundary */
struct heap_expect {
	taddr_t from, to;
	uint64_t word;
};

#define HEAP_EXPECT_MAX 8

struct heap_finding {
	taddr_t addr;  /* the buffer, slab, cache or arena that is damaged */
	taddr_t cache; /* 0 if not known; of a large buffer its arena */
	bool is_large;
	enum {
		FINDING_BUFFER,
		FINDING_STRUCTURE
	} kind;
	enum buf_state state; /* of a buffer, else 0 */
	taddr_t at;           /* first damaged byte, or 0 */
	/* ascending, as much as is known of the buffer and what lies around it;
	 * ends with the first that is empty */
	struct heap_expect want[HEAP_EXPECT_MAX + 1];
	char text[256]; /* mdb's words for a buffer */
};

enum heap_log {
	HEAP_LOG_TRANSACTION,
	HEAP_LOG_FAIL,
	HEAP_LOG_SLAB,
	HEAP_LOG_ZEROSIZED
};

/* a free by a call that does not belong to the one that allocated: new freed by
 * free, a sized delete with another size */
struct heap_mismatch {
	taddr_t addr;            /* of the entry in the library's table */
	struct heap_audit alloc; /* HEAP_NOTHING: not recorded */
	struct heap_audit free;
	uint64_t size_bytes;  /* asked for; UINT64_MAX: not known */
	uint64_t freed_bytes; /* as the free says; UINT64_MAX: it does not */
	uint64_t count;       /* of such frees with the same two stacks */
};

/* a thread that sleeps until it gets memory, or numbers of an arena */
struct heap_waiter {
	taddr_t addr;
	taddr_t cache; /* 0: it wants no object of a cache */
	taddr_t arena; /* of what it wants, 0 for an object */
	uint64_t size; /* bytes, or numbers of an identifier arena */
	uint64_t since_ns;
	uint32_t tid;
};

/* a BSD resource map */
struct heap_rmap {
	taddr_t addr;
	uint64_t nslots, nfree; /* ranges it can hold as free, and holds */
	bool has_waiter;
};

struct heap_range {
	taddr_t start, end;
};

/* the allocator as a whole */
struct heap_status {
	unsigned concurrency; /* CPUs it has a layer for */
	bool is_logging;
	unsigned nlogs; /* of those that are kept */
	struct {
		const char *name;
		uint64_t bytes;
	} log[8];
	char *message; /* its last messages; owned by the caller, or NULL */
};

/* buffers at equal steps, all of the same size; many a call */
struct heap_run {
	taddr_t addr;                      /* of the first */
	uint64_t stride_bytes, size_bytes; /* size: what the client asked for,
					    * if that is known */
	size_t n;
};

typedef void heap_run_fn(void *arg, const struct heap_run *r);
typedef struct err *heap_cache_fn(void *arg, const struct heap_cache *c);
typedef struct err *heap_slab_fn(void *arg, const struct heap_slab *s);
typedef struct err *heap_buf_fn(void *arg, const struct heap_buf *b);
typedef struct err *heap_arena_fn(void *arg, const struct heap_arena *a);
typedef struct err *heap_segment_fn(void *arg, const struct heap_segment *s);
typedef struct err *heap_audit_fn(void *arg, const struct heap_audit *a);
typedef struct err *heap_finding_fn(void *arg, const struct heap_finding *f);
typedef struct err *heap_waiter_fn(void *arg, const struct heap_waiter *w);
typedef struct err *heap_rmap_fn(void *arg, const struct heap_rmap *m);
typedef struct err *heap_addr_fn(void *arg, taddr_t addr);
typedef struct err *heap_freelist_fn(void *arg, const struct heap_freelist *l);
typedef struct err *heap_use_fn(void *arg, const struct heap_use *u);
typedef struct err *heap_mismatch_fn(void *arg, const struct heap_mismatch *m);
typedef struct err *heap_range_fn(void *arg, const struct heap_range *r);

struct heap_ops {
	const char *name; /* "libkmem" */
	/* 0 = not here; < 0: here, but it cannot be read.  *ret_why says why
	 * (owned) */
	int (*probe)(struct target *t, struct types *types, char **ret_why);
	struct err *(*open)(struct target *t, struct types *types,
			    struct heap *heap);
	void (*close)(struct heap *heap);
	/* in order of creation */
	struct err *(*caches)(struct heap *heap, heap_cache_fn *fn, void *arg);
	struct err *(*slabs)(struct heap *heap, taddr_t cache, bool partial,
			     heap_slab_fn *fn, void *arg);
	/* buffers in any of the states (mask); cache 0: every cache that is
	 * not internal, then the oversize segments */
	struct err *(*bufs)(struct heap *heap, taddr_t cache, unsigned states,
			    heap_buf_fn *fn, void *arg);
	/* the same for BUF_ALLOCATED of the whole heap, in parts, for many
	 * threads at once: nparts() prepares, part() lists one part.  Parts
	 * best follow each other by address, and so do buffers in them.  While
	 * is_alone is false, part() runs beside others: it may look at bytes
	 * (target_peek()), but not note damage nor read files; what needs that
	 * it refuses by false, and is asked again alone.  NULL: there is bufs */
	struct err *(*nparts)(struct heap *heap, size_t *ret_n);
	bool (*part)(struct heap *heap, size_t part, bool is_alone,
		     heap_run_fn *fn, void *arg);
	/* how many buffers part() lists at most; NULL: that is not known */
	size_t (*part_max)(struct heap *heap, size_t part);
	/* false: no buffer holds addr.  Internal caches answer too. */
	bool (*buf_at)(struct heap *heap, taddr_t addr, struct heap_buf *ret);
	struct err *(*arenas)(struct heap *heap, heap_arena_fn *fn, void *arg);
	/* arena 0 is an error; types: bit mask of 1 << SEG_* */
	struct err *(*segments)(struct heap *heap, taddr_t arena,
				unsigned types, heap_segment_fn *fn, void *arg);
	/* the segment whose boundary tag is at addr; its arena is not told */
	struct err *(*segment_at)(struct heap *heap, taddr_t addr,
				  struct heap_segment *ret);
	/* last transaction of a buffer; false: not recorded */
	bool (*audit)(struct heap *heap, const struct heap_buf *buf,
		      struct heap_audit *ret);
	/* the record at an address (live bufctl or log record) */
	struct err *(*audit_at)(struct heap *heap, taddr_t addr,
				struct heap_audit *ret);
	/* log 0: the transaction log, else the header at that address;
	 * newest first.  ERR_NOTFOUND "... log is disabled" */
	struct err *(*log)(struct heap *heap, enum heap_log which, taddr_t log,
			   heap_audit_fn *fn, void *arg);
	/* raw hash table of a cache: audit filled as far as it is known */
	struct err *(*hash)(struct heap *heap, taddr_t cache, heap_audit_fn *fn,
			    void *arg);
	/* what the transaction log covers; false: there is none */
	bool (*coverage)(struct heap *heap, struct heap_coverage *ret);
	/* what is told of a cache that was at an address then and is gone;
	 * false: nothing */
	bool (*cache_then)(struct heap *heap, taddr_t addr, uint64_t stamp_ns,
			   struct heap_cache *ret);
	/* reads a log that was kept whole in a file, too */
	struct err *(*open_log)(struct heap *heap, const char *path);
	bool (*stack)(struct heap *heap, uint32_t id, struct heap_stack *ret);
	/* every finding; cache 0: all caches and arenas */
	struct err *(*verify)(struct heap *heap, taddr_t cache,
			      heap_finding_fn *fn, void *arg);
	/* memory that is the allocator's, sorted: its spans and its library's
	 * own data; never a root.  *ret owned */
	struct err *(*own)(struct heap *heap, struct heap_range **ret,
			   size_t *ret_n);
	/* who sleeps, in order of arrival: for memory, then in each arena */
	struct err *(*waiters)(struct heap *heap, heap_waiter_fn *fn,
			       void *arg);
	/* resource maps, and the free ranges of one, ascending */
	struct err *(*rmaps)(struct heap *heap, heap_rmap_fn *fn, void *arg);
	struct err *(*rmap_free)(struct heap *heap, taddr_t map,
				 heap_range_fn *fn, void *arg);
	void (*status)(struct heap *heap, struct heap_status *ret);
	/* what a cache has for each CPU */
	struct err *(*cpu_caches)(struct heap *heap, taddr_t cache,
				  heap_addr_fn *fn, void *arg);
	/* free buffers of a cache that threads keep at hand */
	struct err *(*thread_bufs)(struct heap *heap, taddr_t cache,
				   heap_addr_fn *fn, void *arg);
	/* frees by the wrong call, newest first; *ret_total counts all there
	 * were, of which fn (NULL: none) is told the recorded */
	struct err *(*mismatches)(struct heap *heap, uint64_t *ret_total,
				  heap_mismatch_fn *fn, void *arg);
	/* lists of free buffers that are not empty: of threads, then of each
	 * arena */
	struct err *(*freelists)(struct heap *heap, heap_freelist_fn *fn,
				 void *arg);
	/* several heaps as one: the part that a buffer is of, or NULL */
	struct heap *(*part_of)(struct heap *heap, taddr_t buf);
	/* the i-th part; NULL behind the last */
	const struct heap *(*part_at)(const struct heap *heap, size_t i);
	/* what each arena's memory is used for; all of it is counted */
	struct err *(*uses)(struct heap *heap, heap_use_fn *fn, void *arg);
};

/* what the allocator found damaged by itself */
struct heap_panic {
	taddr_t buf;   /* 0: not about one */
	taddr_t cache; /* 0: not known */
	uint32_t tid;  /* who called */
	uint32_t stack;
};

/* why the heap's word may be doubted; printed by ::status, decides "no
 * verdict" in check */
struct heap_health {
	bool is_quiescent; /* the producer held every allocator lock */
	bool is_quiescent_known;
	uint64_t now_ns;        /* when the dump was made, by the clock of the
			  * records; 0: not known */
	unsigned nthreads_lost; /* threads the producer could not describe */
	uint64_t nfindings;     /* damage met while walking so far */
	char *first_finding;    /* owned by the heap; NULL none */
	char *untold; /* the first that no command told of; owned by the heap */
	char *panic;  /* the allocator's own last message; NULL none */
	bool has_panic; /* it found corruption by itself; panic may be "" */
	uint64_t
		moment_ns; /* it answers for this earlier moment; 0: the dump */
	struct heap_panic panic_of;
	char *doubt; /* another reason why leaks are not certain; owned by the
			 * heap; NULL none */
};

struct heap {
	const struct heap_ops *ops;
	struct target *target;
	struct types *types;
	void *priv; /* the back end's */
	struct heap_health health;
};

/**
 * Opens the heap of a target; all its heaps as one, if there are several.
 *
 * @ret_heap:  owned by the caller, see heap_close()
 * Errors: ERR_NOTFOUND says for each back end why it did not fit.
 */
struct err *heap_open(struct target *t, struct types *types,
		      struct heap **ret_heap) must_use;
void heap_close(struct heap *heap);
/**
 * The frame people look for in a stack: the first outside the allocator.
 * Returns its pc, or 0 when there is none.
 */
taddr_t heap_caller(struct heap *heap, const struct heap_stack *stack);
/** The stack of an id; depth 0 when it is not recorded. */
void heap_stack_of(struct heap *heap, uint32_t id, struct heap_stack *ret);
/** heap_caller() of a stack id; 0 when the stack is not recorded. */
taddr_t heap_caller_of(struct heap *heap, uint32_t stack);
/** ops->arenas in the order of a tree: an arena, then those that import from
 * it.  ERR_NOSUP when the heap has no arenas. */
struct err *heap_arenas_tree(struct heap *heap, heap_arena_fn *fn,
			     void *arg) must_use;
/** What a program called: that allocates, or frees, by the kind of a record
 * ("new" is "operator new" and "operator delete").  "?" when not known. */
const char *heap_alloc_call(const char *kind);
const char *heap_free_call(const char *kind);
/** The name of the cache or arena at addr; "?" when there is none.  Borrowed. */
const char *heap_name(struct heap *heap, taddr_t addr);
/** The same of what a buffer is from: its cache, or a large one's arena. */
const char *heap_buf_from(struct heap *heap, const struct heap_buf *b);
/** Why a buffer has no stack, in a few words: what its heap does not record. */
char *heap_no_stack(struct heap *heap, taddr_t buf);
/** What a buffer is, in a word: "allocated", "freed", "unknown". */
const char *heap_state_word(enum buf_state state);
/** Notes damage met while walking: counted, the first kept as text. */
void heap_damage(struct heap *heap, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- the heap as it was (heap_replay.c) ------------------------------ */

struct heap_moment {
	uint64_t stamp_ns; /* what it answers for */
	uint64_t dump_ns;
	uint64_t first_ns; /* the oldest record */
	struct heap_coverage covered;
	uint64_t nevents, nbefore; /* transactions, and those up to stamp_ns */
	uint64_t nlive, live_bytes;
	uint64_t nunknown;   /* buffers whose state then is not known */
	uint64_t nunaudited; /* of them, of caches that are not audited */
};

/**
 * Makes a heap that stands for another one at any moment its log tells of;
 * at first that of the dump.
 *
 * @base:  borrowed; must outlive it
 * @ret:   owned, see heap_close()
 * Errors: ERR_NOSUP the heap keeps no log; ERR_NOTFOUND there is none.
 */
struct err *heap_replay_open(struct heap *base, struct heap **ret) must_use;
/** Goes to a moment; ERR_NOTFOUND when no record is as old. */
struct err *heap_replay_to(struct heap *replay, uint64_t stamp_ns) must_use;
/** The moment right after the n-th transaction, from 1, by time. */
uint64_t heap_replay_nth(struct heap *replay, uint64_t n);
void heap_replay_moment(struct heap *replay, struct heap_moment *ret);

/* a heap from a table, for tests of what stands above */
struct heap_fake_buf {
	taddr_t addr;
	uint64_t size_bytes;
	enum buf_state state;
	uint32_t stack;
};
/** @bufs, own: copied.  Owned by the caller, see heap_close(). */
struct heap *heap_fake_create(struct target *t, struct types *types,
			      const struct heap_fake_buf *bufs, size_t n,
			      const struct heap_range *own, size_t nown);

#endif
