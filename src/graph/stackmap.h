/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the words of the stacks are: variables, saved registers, or dead. */
#ifndef GRAPH_STACKMAP_H
#define GRAPH_STACKMAP_H

#include "base/err.h"
#include "base/mem.h"
#include "heap/heap.h"

/* part of a frame that is in use, or a register */
struct stack_slot {
	taddr_t start, end;
	size_t frame; /* whose variable it is: index in stackmap.frames */
	const char *variable, *function; /* NULL: a register saved by a frame,
					  * and of no variable known; borrowed
					  * from types */
	const struct type *type;
	bool is_listed;        /* see struct frame_var */
	uint64_t offset_bytes; /* of the slot in the variable */
	const char *reg;       /* the register it is in, NULL none */
	size_t saved_by;       /* the frame that saved that here */
	uint32_t tid;          /* of a register */
	uint64_t value;        /* the same: what is in it */
};

struct stack_frame {
	uint32_t tid;
	unsigned number; /* 0 the innermost */
	taddr_t pc;
	bool is_activation;
	taddr_t start, end; /* [sp, CFA) */
	bool is_known;      /* debug information has its variables */
	size_t first, n;    /* of its slots */
};

struct stackmap {
	VEC(struct stack_frame) frames;
	VEC(struct stack_slot) slots;
	VEC(struct stack_slot) in_regs; /* variables in registers of threads */
	VEC(struct heap_range) dead;    /* ascending, disjoint */
};

/** Unwinds every thread.  types NULL: an empty map.  ret: owned. */
struct err *stackmap_build(const struct target *t, struct types *types,
			   struct stackmap **ret) must_use;
void stackmap_free(struct stackmap *map);
/** The frame that has addr, or NULL. */
const struct stack_frame *stackmap_frame(const struct stackmap *map,
					 taddr_t addr);
/** What is at addr, a variable before a saved register; NULL: nothing that is
 * known. */
const struct stack_slot *stackmap_slot(const struct stackmap *map,
				       taddr_t addr);
/** The variable that is in a register of a thread, or NULL. */
const struct stack_slot *stackmap_register(const struct stackmap *map,
					   uint32_t tid, const char *name);

#endif
