/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The inside of struct typegraph, for typegraph*.c. */
#ifndef GRAPH_TYPEGRAPH_IMPL_H
#define GRAPH_TYPEGRAPH_IMPL_H

#include "base/hash.h"
#include "base/mem.h"
#include "graph/typegraph.h"

/* bounds on what hostile debug information can make us do (doc/limits.md) */
enum {
	TG_SLOTS_MAX = 4096,     /* pointers of one type that are followed */
	TG_DEPTH_MAX = 16,       /* of members in members */
	TG_STEPS_MAX = 1 << 18,  /* members looked at for one question */
	TG_TYPES_MAX = 1 << 20,  /* types of pointers, distinct */
	TG_RECORDS_MAX = 200000, /* structs, for what a struct may be in */
	TG_ELEMS_MAX = 1 << 24,  /* elements of an array variable */
};

#define TG_NO_LINK UINT32_MAX

/* a pointer in a type */
struct tg_slot {
	uint32_t off;
	uint32_t to; /* type; 0: void */
	/* it is in a member that it points at again in others, at this place:
	 * a link of a list; TG_NO_LINK: it is not */
	uint32_t link;
	bool is_union; /* may be another member's word */
};

struct tg_type {
	const struct type *type; /* NULL: by name only */
	char *name;              /* owned; NULL: not yet asked */
	uint64_t size_bytes;     /* 0 unknown */
	bool is_record;          /* struct, class or union */
	bool is_poly;            /* begins with a virtual table */
	bool has_slots, has_checked_double;
	bool has_double; /* another type of its size begins with it */
	VEC(struct tg_slot) slots;
	/* the array without length at its end, or 0 */
	uint32_t fam_elem;
	uint64_t fam_off;
};

/* a buffer */
struct tg_node {
	taddr_t from; /* the word that says its type */
	uint32_t type, other;
	uint32_t part, part_off; /* a type met in it that is not all of it */
	uint32_t site;           /* index in sites, + 1; 0 none */
	uint8_t reason;
	uint8_t nplaces; /* sure pointers to it, 2 means more */
	uint16_t flags;
};
enum {
	NODE_EXACT = 1 << 0,    /* its size is that which was asked for */
	NODE_FILLED = 1 << 1,   /* was filled when it was allocated */
	NODE_POINTED = 1 << 2,  /* a typed pointer points into it */
	NODE_CONFLICT = 1 << 3, /* other is as good as type */
	NODE_DOUBT = 1 << 4,    /* a sure pointer says something else */
	NODE_DENIED = 1 << 5,   /* ::notype */
	NODE_CERTAIN = 1 << 6,
	NODE_ON_STACK = 1 << 7, /* one of its places is on a stack */
	NODE_SOUND = 1 << 8,    /* its bytes agree with its type */
	NODE_CHECKED = 1 << 9,  /* whether it is sound is known */
	NODE_REUSED = 1 << 10,  /* its memory was freed before, for all that is
				 * known: a pointer to it may be older */
};

/* buffers that ought to be of one type: of a call site and size, or of a cache
 * that is made for objects */
struct tg_site {
	uint32_t nbufs, nstrong;
	uint32_t type; /* of those whose is known; 0 none */
	bool is_mixed;
	taddr_t cache; /* 0: a call site */
};

/* a variable */
struct tg_var {
	taddr_t addr;
	uint64_t size_bytes, nelems;
	uint32_t type; /* of an element */
	uint32_t tid;
	const char *name;
	const struct type *whole;
	bool is_stack;
	bool is_sure;  /* it has a value that is meant */
	bool is_value; /* a register, or a part: the word is value */
	uint64_t value;
};

struct typegraph {
	struct heap *heap;
	const struct bufset *set;
	struct tg_node *nodes;
	uint64_t *stamps;          /* when each was allocated; 0 not recorded */
	VEC(struct tg_type) types; /* [0] is void */
	struct hash by_type;       /* struct type * -> index */
	struct hash by_identity;   /* type_identity() -> index */
	VEC(struct tg_var) vars;   /* by address; values by themselves last */
	size_t nvariables, nframe_variables;
	VEC(struct tg_site) sites;
	struct hash by_site;
	VEC(uint32_t) queue[REASON_MAX]; /* nodes to be followed */
	struct hash vtables;             /* word -> type, 0: is none */
	taddr_t objects_lo, objects_hi;
	bool has_records;
	VEC(const struct type *) records;
	struct hash by_size;    /* size -> index in records, + 1 */
	uint32_t *records_next; /* chain: index + 1; 0 ends */
	struct hash subobjects; /* (type, offset, type) -> 1 no, 2 yes */
	size_t npolled;
	size_t nsteps; /* of tg_has_part(), left */
};

/* a pointer that was met */
struct tg_pointer {
	taddr_t at;
	uint64_t value;
	uint32_t holder; /* type that has it; 0: a variable's own word */
	size_t node;     /* buffer it is in, or BUFSET_NONE */
	uint32_t to;
	uint32_t link;
	enum type_reason reason; /* no more than this can be said by it */
	bool is_stack;
};
typedef void tg_pointer_fn(struct typegraph *g, const struct tg_pointer *p,
			   void *arg);

/* ---- typegraph_type.c ---------------------------------------------------- */

/** The index of a type; 0: void, a function, or too many. */
uint32_t tg_type_of(struct typegraph *g, const struct type *type);
/** One that is known by name only. */
uint32_t tg_type_named(struct typegraph *g, const char *name);
/** Its pointers are in slots after this. */
void tg_type_slots(struct typegraph *g, uint32_t id);
/** Its name.  Borrowed for the life of the graph. */
const char *tg_type_name(struct typegraph *g, uint32_t id);
/** Is there a member (or base) of type inner at an offset of outer? */
bool tg_has_part(struct typegraph *g, uint32_t outer, uint64_t off,
		 uint32_t inner);
/** Another type of the same size that begins with this one? */
bool tg_has_double(struct typegraph *g, uint32_t id);
/** The one type of a size that has a part at an offset; 0: none, or several. */
uint32_t tg_whole_of(struct typegraph *g, uint64_t size, uint64_t off,
		     uint32_t part);

/* how a type goes into a buffer */
enum tg_fit {
	FIT_NOT,
	FIT_LARGER, /* the buffer is larger */
	FIT_ARRAY,  /* a multiple */
	FIT_NEAR,   /* perhaps, as sizes are rounded; or ends in an array */
	FIT_EXACT,
};
/** How a type goes into a buffer. */
enum tg_fit tg_fit(const struct typegraph *g, uint32_t type, size_t node);

/* ---- typegraph_vtable.c -------------------------------------------------- */

/** The class whose virtual table a word points at, as that of a whole object;
 * 0 none. */
uint32_t tg_vtable(struct typegraph *g, uint64_t word);
/** Types every buffer that begins with one. */
struct err *tg_find_vtables(struct typegraph *g) must_use;

/* ---- typegraph_var.c ----------------------------------------------------- */

/** Lists the variables. */
struct err *tg_find_vars(struct typegraph *g) must_use;
/** The variable that holds an address, or NULL. */
const struct tg_var *tg_var_at(const struct typegraph *g, taddr_t addr);

/* ---- typegraph.c --------------------------------------------------------- */

/** Notes that a buffer is of a type. */
void tg_offer(struct typegraph *g, size_t node, uint32_t type,
	      enum type_reason reason, taddr_t from);
/** Follows all that is queued. */
struct err *tg_follow(struct typegraph *g) must_use;
/** Calls fn for each pointer of a buffer, a variable. */
void tg_pointers_of_node(struct typegraph *g, size_t node, tg_pointer_fn *fn,
			 void *arg);
void tg_pointers_of_var(struct typegraph *g, const struct tg_var *var,
			tg_pointer_fn *fn, void *arg);
/** The i-th buffer. */
static inline struct bufset_buf tg_buf(const struct typegraph *g, size_t i)
{
	return bufset_at(g->set, i);
}
/** A word of the target; false: not in the dump. */
bool tg_word(const struct typegraph *g, taddr_t at, uint64_t *ret);
/** Looks at the interrupt flag now and then. */
struct err *tg_poll(struct typegraph *g, const char *what, size_t n,
		    size_t of) must_use;

/* ---- typegraph_infer.c --------------------------------------------------- */

/** Notes of each buffer where it was allocated. */
struct err *tg_find_sites(struct typegraph *g) must_use;
/** Types what only a part was known of. */
struct err *tg_infer_wholes(struct typegraph *g) must_use;
/** Types buffers by others of their site. */
struct err *tg_infer_sites(struct typegraph *g) must_use;
/** Types what untyped pointers of a list's elements point at. */
struct err *tg_infer_lists(struct typegraph *g) must_use;

/* ---- typegraph_grade.c --------------------------------------------------- */

/** Decides what is certain. */
struct err *tg_grade(struct typegraph *g) must_use;

#endif
