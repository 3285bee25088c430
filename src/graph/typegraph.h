/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Types of buffers: what debug information and virtual tables say they are, and
 * how sure that is. */
#ifndef GRAPH_TYPEGRAPH_H
#define GRAPH_TYPEGRAPH_H

#include "graph/graph.h"

struct typegraph;

enum type_grade {
	GRADE_NONE,     /* nothing says what it is */
	GRADE_CONFLICT, /* equally good reasons say different things */
	GRADE_PROBABLE,
	GRADE_CERTAIN, /* see the theory in typegraph_grade.c */
};

/* why a type is believed, from weak to strong */
enum type_reason {
	REASON_NONE,
	REASON_PART,      /* it begins with that, and is larger */
	REASON_SCALAR,    /* pointers to char, int, ...; or to what is never
			   * defined */
	REASON_INFERRED,  /* others of its call site, cache or list are that */
	REASON_ARRAY,     /* its size is a multiple */
	REASON_GUESS,     /* a union's member, a variable perhaps not set yet,
			   * a list that goes through it, ... */
	REASON_POINTER,   /* a pointer of that type to its start; size fits */
	REASON_VTABLE,    /* its virtual table */
	REASON_ASSERTION, /* the user's word */
	REASON_MAX
};

/* what is known of the bytes at an address */
struct typed {
	taddr_t base; /* of the buffer or variable */
	uint64_t size_bytes;
	const struct type *type; /* NULL: known by name only */
	const char *name;        /* of the type; NULL none.  Borrowed for the
				  * life of the graph, as are all here */
	uint64_t nelems;         /* 1: no array */
	enum type_grade grade;
	enum type_reason reason;
	const char *other;    /* GRADE_CONFLICT: the other type */
	taddr_t from;         /* the word that says so; 0 unknown */
	const char *variable; /* not a buffer, but this variable; else NULL */
	uint32_t tid;         /* whose variable; 0: everybody's */
};

/* how far each step came; for ::typegraph -v */
struct typegraph_stats {
	size_t nbufs, ntypes, nvariables, nframe_variables;
	size_t npointed; /* buffers that a typed pointer points at */
	size_t by_reason[REASON_MAX];
	size_t by_grade[GRADE_CERTAIN + 1];
	size_t nparts; /* probable, but of their beginning only */
};

/**
 * Types the buffers of a set.
 *
 * @set:  borrowed, must outlive the graph
 * @ret:  owned, see typegraph_free()
 *
 * Cost: words of typed memory, some times over; 40 bytes a buffer.
 */
struct err *typegraph_build(struct heap *heap, const struct bufset *set,
			    struct typegraph **ret) must_use;
/** Releases a graph; NULL allowed. */
void typegraph_free(struct typegraph *g);
/** What is known of the buffer or variable that holds addr; false: nothing. */
bool typegraph_type_of(struct typegraph *g, taddr_t addr, struct typed *ret);
/** The same of the i-th buffer of the set; false: nothing. */
bool typegraph_node(struct typegraph *g, size_t i, struct typed *ret);
/** What all members of a leak are, graded by the least sure, nelems 0 when that
 * differs; false: of several types, or nothing is known of one. */
bool typegraph_leak(struct typegraph *g, const struct leak *leak,
		    struct typed *ret);
/**
 * Types leaks without a stack by buffers in use that look like them, and groups
 * them by type; where none is known, as before (by what they look like).
 *
 * @leaks:  of the same set
 */
struct err *typegraph_group_leaks(struct typegraph *g,
				  struct leaks *leaks) must_use;
/** So many buffers at most are typed unasked: the graph costs more than the
 * leaks. */
#define TYPEGRAPH_UNASKED_MAX 200000u
/** True when a typed pointer points into the i-th buffer. */
bool typegraph_is_pointed(const struct typegraph *g, size_t i);
/** "struct foo", "probably struct foo [3]", "struct a or struct b".  Owned. */
char *typegraph_text(const struct typed *t);
/** "certain", "probable", "conflict", "unknown". */
const char *typegraph_grade_name(enum type_grade grade);
/** A reason in a few words. */
const char *typegraph_reason_name(enum type_reason reason);
/** Counts what is known. */
void typegraph_count(const struct typegraph *g, struct typegraph_stats *ret);
typedef struct err *typed_fn(void *arg, const struct typed *t);
/** Calls fn for each variable, then for each buffer of which anything is known.
 * The type of an array of n is that of an element, nelems is n. */
struct err *typegraph_each(struct typegraph *g, typed_fn *fn,
			   void *arg) must_use;
/**
 * Takes the user's word for the type of a buffer, and follows it.
 *
 * @type:  NULL: it is not of the type it was thought to be
 * Errors: ERR_NOTFOUND when addr is not the start of a buffer; ERR_USAGE when
 * the type does not fit in.
 */
struct err *typegraph_assert(struct typegraph *g, taddr_t addr,
			     const struct type *type) must_use;

/* a pointer of a known type, somewhere */
struct typed_ref {
	taddr_t at;         /* where it is */
	const char *holder; /* type or variable that has it */
	taddr_t base;       /* where that begins */
	const char *type;   /* what it points at, as declared */
	uint64_t to_offset; /* in the buffer */
	bool is_sure;       /* of a variable in use, or a buffer typed well */
};
typedef struct err *typed_ref_fn(void *arg, const struct typed_ref *ref);
/** Calls fn for each typed pointer into [start, end). */
struct err *typegraph_refs(struct typegraph *g, taddr_t start, taddr_t end,
			   typed_ref_fn *fn, void *arg) must_use;

/**
 * The class whose virtual table an object at addr begins with, as people write
 * it.  Owned; NULL: there is none.  Needs symbols only.
 */
char *vtable_class(struct types *types, const struct target *t, taddr_t addr);

#endif
