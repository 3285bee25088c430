/* SPDX-License-Identifier: MIT */
/*
 * What the files of the unwinder know of each other.
 *
 *   unwind.c        the walk, its cache of rules, stack limits   (theory there)
 *   unwind_memo.c   stacks captured before: recognised, not walked
 *   unwind_full.c   the walk with every register, for rare frames
 *   unwind_obj.c    which object holds an address
 *   unwind_cfi.c    .eh_frame: the rules of one address
 *   unwind_expr.c   DWARF expressions in such rules
 */
#ifndef KMEM_UNWIND_IMPL_H
#define KMEM_UNWIND_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kmem_impl.h"

#define UNWIND_PAGE        ((uintptr_t)4096)
#define UNWIND_FRAME_PAGES 2048 /* largest frame believed: 8 MiB */
#define UNWIND_LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNWIND_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* DWARF numbers of x86-64 registers */
enum {
	UNWIND_RBX = 3,
	UNWIND_RBP = 6,
	UNWIND_RSP = 7,
	UNWIND_R12 = 12,
	UNWIND_RA = 16,
	UNWIND_NREG,
};

/* registers a callee must preserve: what a frame knows of its caller's */
#define UNWIND_CALLEE_SAVED \
	(1u << UNWIND_RBX | 1u << UNWIND_RBP | 0xfu << UNWIND_R12)

/*
 * The part of the current stack that is known to be readable, [lo, hi), both
 * multiples of a page.
 */
struct unwind_stack {
	uintptr_t lo;
	uintptr_t hi;
};

/*
 * A frame: where it is and its registers.  pc is one above the byte that is
 * looked up, as callers get it: a return address, or an interrupted pc plus 1.
 */
struct unwind_frame {
	uintptr_t pc;
	uintptr_t sp;
	uintptr_t bp;
	bool is_exact; /* pc - 1 was interrupted */
};

/* all registers of a frame; r[UNWIND_RA] is the pc */
struct unwind_regs {
	uintptr_t r[UNWIND_NREG];
	uint32_t known; /* bit n: r[n] is known */
};

/* a load object that has unwind tables */
struct unwind_object {
	uintptr_t start; /* [start, end) of all its segments */
	uintptr_t end;
	const uint8_t *hdr; /* its .eh_frame_hdr */
	const void *map;    /* its struct link_map, or NULL */
};

/* how a register of the caller is had back; UNWIND_SAME is 0 */
enum unwind_how {
	UNWIND_SAME,    /* unchanged */
	UNWIND_UNDEF,   /* lost; for UNWIND_RA: there is no caller */
	UNWIND_AT_CFA,  /* stored at CFA + off */
	UNWIND_CFA_OFF, /* is CFA + off */
	UNWIND_IN_REG,  /* is in register off */
	UNWIND_AT_EXPR, /* stored where the expression says */
	UNWIND_EXPR,    /* is what the expression says */
};

/* the rules in force at one address */
struct unwind_row {
	const uint8_t *cfa_expr; /* NULL: cfa_reg + cfa_off */
	int64_t cfa_off;
	uint8_t cfa_reg;
	bool is_signal;           /* the frame of a signal handler's return */
	uintptr_t start;          /* of the function, or the part of it */
	uint8_t how[UNWIND_NREG]; /* enum unwind_how */
	union {
		int64_t off;
		const uint8_t *expr; /* at its length, a ULEB128 */
	} at[UNWIND_NREG];
};

/* bytes to be read, bounded; once it ran over, bad is set and 0 is read */
struct unwind_cursor {
	const uint8_t *p;
	const uint8_t *end;
	bool bad;
};

static inline uintptr_t unwind_word(uintptr_t addr)
{
	return *(const uintptr_t *)addr;
}

/* ---- unwind_cfi.c ------------------------------------------------------ */

/** Reads n bytes, little endian; n is 1, 2, 4 or 8. */
KM_HIDDEN uint64_t unwind_read(struct unwind_cursor *c, unsigned n);
/** Reads the same, extended by its sign. */
KM_HIDDEN int64_t unwind_read_signed(struct unwind_cursor *c, unsigned n);
/** Reads a ULEB128. */
KM_HIDDEN uint64_t unwind_uleb(struct unwind_cursor *c);
/** Reads an SLEB128. */
KM_HIDDEN int64_t unwind_sleb(struct unwind_cursor *c);

/**
 * Finds the rules in force at an address.
 *
 * @obj:    the object that holds pc
 * @row:    set when true is returned
 *
 * Returns false when the object says nothing of pc or what it says is damaged.
 */
KM_HIDDEN bool unwind_row_find(const struct unwind_object *obj, uintptr_t pc,
			       struct unwind_row *row);

/* ---- unwind_expr.c ----------------------------------------------------- */

/**
 * Evaluates a DWARF expression.
 *
 * @expr:   at its length
 * @regs:   the registers it may use
 * @st:     where it may read; NULL: it may not read memory
 * @init:   pushed first when not NULL
 * @ret:    set to the result when true is returned
 * @used:   NULL, or gets a bit for each register used
 *
 * Returns false when it cannot be evaluated.
 */
KM_HIDDEN bool unwind_eval(const uint8_t *expr, const struct unwind_regs *regs,
			   struct unwind_stack *st, const uintptr_t *init,
			   uintptr_t *ret, uint32_t *used);

/**
 * Answers whether an expression is just "register + offset", with or without
 * a load from there, and sets the offset.
 */
KM_HIDDEN bool unwind_expr_is(const uint8_t *expr, unsigned reg, bool is_load,
			      int64_t *off);

/* ---- unwind_obj.c ------------------------------------------------------ */

/** Finds the object whose segments hold an address; false when none does. */
KM_HIDDEN bool unwind_object_find(uintptr_t pc, struct unwind_object *obj);

/**
 * Remembers that rules of this object are in the cache.  Returns false when
 * there is no room: then its rules must not be cached.
 */
KM_HIDDEN bool unwind_object_note(const struct unwind_object *obj);

/** Answers whether all objects noted are still where they were. */
KM_HIDDEN bool unwind_objects_hold(void);

/** Forgets all objects noted. */
KM_HIDDEN void unwind_objects_forget(void);

/**
 * Answers whether it is the dynamic loader that called this library: whether
 * the first frame outside of it is the loader's.
 */
KM_HIDDEN bool unwind_is_by_loader(const uintptr_t *pcs, unsigned n);

/** Makes the search go by /proc/self/maps, as before glibc 2.35; for tests. */
KM_HIDDEN void unwind_object_by_maps(bool on);

/* ---- unwind_full.c ----------------------------------------------------- */

/**
 * Steps over code that has no rules: by its frame pointer if that looks sane.
 *
 * Returns false, frame untouched, when it does not.
 */
KM_HIDDEN bool unwind_step_plain(struct unwind_frame *f,
				 struct unwind_stack *st);

/**
 * Walks again from the start, with every register.
 *
 * @from:   the stack pointer at which kmem_unwind() began its walk
 * @skip:   frames to leave out beyond that one
 *
 * Returns the number of frames stored.
 */
KM_HIDDEN unsigned unwind_full(uintptr_t from, uintptr_t *pcs, unsigned max,
			       unsigned skip);

/* ---- unwind.c ---------------------------------------------------------- */

/* changes whenever what is known of loaded code is forgotten */
extern KM_HIDDEN uint64_t unwind_generation;

/* parts of this thread's last two stacks known to be readable:
 * page << UNWIND_SPAN_BITS | pages; one word each, since a signal handler may
 * come between */
#define UNWIND_SPAN_BITS 28
extern KM_HIDDEN __thread uint64_t unwind_spans[2];

/* the rules of pcs, one word each (theory in unwind.c) */
#define UNWIND_CACHE_BITS 15
#define UNWIND_RULE_BITS  17
#define UNWIND_WORDS_MAX  4095
extern KM_HIDDEN uint64_t unwind_cache[1 << UNWIND_CACHE_BITS];

static inline uint64_t unwind_hash(uintptr_t pc, unsigned bits)
{
	return pc * 0x9e3779b97f4a7c15 >> (64 - bits);
}

/** Where the rule of a pc is if it is known. */
static inline uint64_t *unwind_cache_slot(uintptr_t pc)
{
	return &unwind_cache[unwind_hash(pc, UNWIND_CACHE_BITS)];
}

/** Sets st to what is known of the stack sp is on; false: not readable. */
KM_HIDDEN bool unwind_stack_find(struct unwind_stack *st, uintptr_t sp);

/**
 * Makes sure that all of [sp, end) can be read and is of one stack.
 *
 * @sp:     in [st->lo, st->hi)
 * @pages:  how many pages may be looked at
 */
KM_HIDDEN bool unwind_stack_reach(struct unwind_stack *st, uintptr_t sp,
				  uintptr_t end, unsigned pages);

/** Answers whether it is known if a call ends at ra, and sets *is_call. */
KM_HIDDEN bool unwind_call_get(uintptr_t ra, bool *is_call);

/** To be called before the object is found; its result goes to
 * unwind_call_put(). */
KM_HIDDEN uint64_t unwind_call_begin(void);

/** Remembers whether a call ends at ra, in obj, until objects go. */
KM_HIDDEN void unwind_call_put(uintptr_t ra, bool is_call,
			       const struct unwind_object *obj,
			       uint64_t before);

/** Loads a word from anywhere; false when it cannot be read. */
KM_HIDDEN bool unwind_load(const struct unwind_stack *st, uintptr_t addr,
			   uintptr_t *ret);

#endif
