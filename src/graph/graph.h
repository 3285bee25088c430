/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the pointers say: every buffer by address, the roots, what they reach,
 * and what nobody reaches.
 */
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include "base/err.h"
#include "heap/heap.h"

/* a buffer, as much of it as marking needs */
struct bufset_buf {
	taddr_t addr;
	uint64_t size_bytes; /* what was asked for, if known; may be 0 */
};

/* every allocated leak candidate, ascending by address, disjoint */
struct bufset {
	size_t n;
	unsigned char *mark;         /* one enum mark each */
	const struct target *target; /* borrowed */
	bool is_bytewise; /* marking looks at every byte, not at aligned words */
	/* the rest is for bufset_at() and bufset_find(): see bufset.c */
	uint64_t *v;
	struct bufset_buf *large;
	size_t nlarge;
	struct bufset_run *runs;
	size_t nruns;
	uint32_t *first_run; /* where to look for one, of each stretch */
	unsigned stretch_bits;
	struct edges *edges; /* for edges_of(), from mark_all() to edges_free();
			      * else NULL */
};

enum mark {
	MARK_NONE,      /* nobody points at it */
	MARK_PAST,      /* only pointers to just behind its end reach it */
	MARK_INTERIOR,  /* reached through interior pointers only */
	MARK_REACHABLE, /* reached by a pointer to its start */
	MARK_INDIRECT,  /* leaked, and another leak points at it; leaks_find()
			 * tells those from the others */
};

#define BUFSET_NONE ((size_t)-1)

/** Builds the set from every allocated buffer of a heap.  Buffers that overlap
 * are damage: the later is left out and counted in the heap's health. */
struct err *bufset_build(struct heap *heap, struct bufset **ret) must_use;
void bufset_free(struct bufset *set);
/** The i-th buffer. */
struct bufset_buf bufset_at(const struct bufset *set, size_t i);
/** Index of the buffer that holds addr, or BUFSET_NONE. */
size_t bufset_find(const struct bufset *set, taddr_t addr);
/** Index of the buffer that ends at addr, where no other begins, nor another
 * mapping, to which the pointer belongs then; or BUFSET_NONE. */
size_t bufset_find_past(const struct bufset *set, taddr_t addr);
/** All that the heap knows of the i-th buffer. */
void bufset_get(struct heap *heap, const struct bufset *set, size_t i,
		struct heap_buf *ret);

enum root_kind {
	ROOT_REGISTER,
	ROOT_STACK,
	ROOT_DATA, /* .data, .bss, relro of an object */
	ROOT_TLS,  /* a thread's static TLS and descriptor */
	ROOT_ANON, /* memory the program mapped itself */
};

struct root {
	enum root_kind kind;
	taddr_t start, end; /* [start, end); equal: no range but a value */
	uint32_t tid;       /* registers, stacks, TLS */
	uint64_t value;     /* when start == end: the pointer itself */
	bool is_shallow;    /* keeps what it points at, but nothing else */
	const char *what;   /* register or object name; borrowed */
};

struct roots {
	struct root *v;
	size_t n;
	uint64_t scanned_bytes;
	uint64_t absent_bytes; /* of ranges that should be roots but are not in
				* the dump: a verdict is not possible */
	uint64_t dead_stack_bytes; /* left out: below a stack pointer, or the
				    * cached stack of a thread that ended */
	unsigned nthreads_lost;    /* threads whose registers are unknown */
	char *why; /* first reason for a doubt, owned; NULL none */
};

/** Lists the roots: everything writable that is neither the allocator's nor
 * a dead part of a stack. */
struct err *roots_build(struct heap *heap, struct roots **ret) must_use;
void roots_free(struct roots *roots);

/* what marking met */
struct mark_stats {
	uint64_t nwords;       /* looked at, in roots and buffers */
	uint64_t nhits;        /* of them, words that point into a buffer */
	uint64_t unread_bytes; /* of reached buffers, not in the dump */
	taddr_t unread_at;     /* the first of them */
};

/**
 * Marks what the roots reach, through allocated buffers, transitively.
 *
 * @stats:  filled; NULL allowed
 */
struct err *mark_all(struct heap *heap, const struct roots *roots,
		     struct bufset *set, struct mark_stats *stats) must_use;

typedef struct err *word_fn(void *arg, taddr_t at, uint64_t value);
/**
 * Calls fn for each aligned word in [start, end) that the dump holds.
 * fn returning non-NULL ends it.
 *
 * @ret_unread:  set to the bytes that are not in the dump; NULL allowed
 */
struct err *words_scan(const struct target *t, taddr_t start, taddr_t end,
		       word_fn *fn, void *arg, uint64_t *ret_unread) must_use;

struct leak {
	size_t buf; /* index in bufset: the oldest, who stands for all */
	size_t nbufs;
	uint64_t bytes;
	uint64_t min_bytes, max_bytes; /* of one buffer */
	bool is_direct; /* false: every member is pointed at by another leak */
	size_t ndirect; /* members nobody points at, one of each ring */
	uint32_t stack;
	taddr_t cache;     /* or arena for oversize */
	const char *shape; /* of leaks without a stack, what they look like (see
			    * shape.h); NULL: not looked at.  Borrowed from
			    * struct leaks */
	uint32_t kind;   /* tells groups without a stack apart, in a cache; 0 */
	size_t *members; /* indices in bufset, oldest first */
};

/* a buffer that is leaked directly, and what is leaked with it */
struct leak_root {
	size_t buf;            /* index in bufset */
	uint64_t nbufs, bytes; /* behind it, itself left out; what is behind
				* several is with one of them */
};

struct leaks {
	struct bufset *set;
	struct roots *roots;
	struct leak *v; /* direct ones first, then by bytes, largest first */
	size_t n;
	struct shapes *shapes;  /* of leaks without a stack; NULL: no such */
	struct leak_root *lost; /* those that hold most first */
	size_t nlost;
	uint64_t nbufs, bytes;      /* leaked */
	uint64_t nlive, live_bytes; /* allocated candidates, leaks included */
	uint64_t ninterior, interior_bytes; /* kept by interior pointers only */
	struct mark_stats stats;
	/* why this is no verdict; owned; NULL: it is one */
	char *inconclusive;
};

/**
 * Finds the leaks: builds the set and the roots, marks, groups.
 * @ret: owned, see leaks_free()
 */
struct err *leaks_find(struct heap *heap, struct leaks **ret) must_use;
/** The same, but that pointers may be at any byte: in packed structures, say. */
struct err *leaks_find_bytewise(struct heap *heap, struct leaks **ret) must_use;
void leaks_free(struct leaks *leaks);
typedef uint32_t leak_kind_fn(void *arg, size_t buf);
/** Groups leaks without a stack anew: by cache and by what fn says of each
 * buffer; where that is 0, as before. */
void leaks_regroup(struct leaks *leaks, leak_kind_fn *fn, void *arg);
/** True when there is a leak without a stack. */
bool leaks_want_types(const struct leaks *leaks);

/* a word that points somewhere */
struct ref {
	taddr_t at;     /* of the word; 0: it is the value of a register */
	uint64_t value; /* the pointer */
	const struct root *root; /* the root it is in; NULL: a buffer */
	size_t buf;              /* index in the set, when root is NULL */
};
typedef struct err *ref_fn(void *arg, const struct ref *r);
/**
 * Calls fn for each word that points into [start, end), of the roots and then of
 * the allocated buffers, in the order of both: what marking follows.  fn
 * returning non-NULL ends it.
 */
struct err *refs_scan(const struct leaks *leaks, const struct target *t,
		      taddr_t start, taddr_t end, ref_fn *fn,
		      void *arg) must_use;

#endif
