/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Stacks by name, which need the dump no more, and what of a stack is the same
 * in every run and every build of a program.
 */
#ifndef PMDB_FRAMES_H
#define PMDB_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/mem.h"
#include "heap/heap.h"
#include "types/types.h"

struct check;

/* a function of a stack; one that was inlined is one of its own */
struct check_frame {
	taddr_t pc;      /* return address; 0 ends an array */
	char *function;  /* as in the source; NULL unknown */
	char *linkname;  /* as the linker has it; NULL: unknown, or inlined */
	char *file;      /* as the debug information has it; NULL unknown */
	char *path;      /* the same for machines: below the root relative */
	int line;        /* of file */
	char *object;    /* path of its object; NULL: in none */
	uint64_t offset; /* of pc in the object */
	bool is_inlined; /* into the next one */
	bool is_own;     /* the allocator's */
	bool is_system;  /* of a library of the system */
	bool is_inside;  /* its file is one of the project */
};

struct check_stack {
	const struct check_frame **v; /* innermost first; the frames' own */
	size_t n;
};

/* the frames of a dump, by return address */
struct frames {
	const struct check *check; /* whose root the paths are below */
	struct types *types;       /* while the dump is open */
	VEC(struct check_frame *) v;
	struct hash pcs; /* pc: 1 + its place in v */
};

/** An empty table.  check and types are borrowed; types as long as stacks are
 * made. */
void frames_init(struct frames *frames, const struct check *check,
		 struct types *types);
/** Releases the frames, not the arrays of the stacks; zeroes are allowed. */
void frames_fini(struct frames *frames);
/** Appends the functions at a return address to a stack, whose array is owned
 * by the caller; at 0 there are none. */
void frames_add(struct frames *frames, taddr_t pc, struct check_stack *s);
/** The same of a stack of the heap by its number; false: it was not recorded. */
bool frames_stack(struct frames *frames, struct heap *heap, uint32_t id,
		  struct check_stack *ret);
/** A name of a dump, copied; a line end in it does not make a line.  NULL
 * allowed.  Owned. */
char *frames_copy(const char *name);

/* frames_hash.c */
/** Adds a string with its NUL to a fingerprint, which begins as 0. */
uint64_t frames_hash_text(uint64_t hash, const char *s);
/** Adds what of a stack stays from run to run and from build to build. */
uint64_t frames_hash(uint64_t hash, const struct check_stack *s);
/** The order of stacks by the offsets of their frames, for those that come out
 * equal. */
int frames_compare(const struct check_stack *a, const struct check_stack *b);

#endif
