/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A shadow model of the allocator: what the files of the stress test share.
 *
 * The model is a table of slots.  A slot is empty or holds one thing that was
 * allocated, by whichever interface, and all that was promised of it.  Threads
 * pick slots at random, so that things are checked, changed and freed by others
 * than made them.  A slot is somebody's while its lock is held, which is one
 * word, changed by one instruction each way: no more order between threads than
 * a program's own hand over makes.
 */
#ifndef STRESS_MODEL_H
#define STRESS_MODEL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "kmem_internal.h"

#define NSLOTS   2048
#define NCACHES  16
#define NARENAS  4
#define NOT_MOVE NCACHES

/* which interface gave it */
enum kind {
	EMPTY,
	KMEM,     /* kmem_alloc and relations */
	MALLOC,   /* what malloc() stands on */
	OBJECT,   /* an object cache */
	UMEM,     /* umem_alloc */
	UALIGN,   /* umem_alloc_align */
	KMALLOC,  /* the Linux API */
	SEGMENT,  /* vmem_alloc */
	XSEGMENT, /* vmem_xalloc */
	RANGE,    /* a resource map */
	NKINDS
};

struct slot {
	int lock; /* atomic */
	enum kind kind;
	void *p;
	size_t size;    /* what it is freed with */
	size_t bytes;   /* that may be written; 0: no memory */
	uint64_t tag;   /* of the content */
	int is_whole;   /* all of it is written, else the ends */
	unsigned which; /* cache or arena */
};

/* a thread of the test */
struct worker {
	uint64_t state; /* of its random numbers */
	unsigned long nops;
	unsigned long count[NKINDS]; /* allocations that succeeded */
	unsigned long nrefused;
};

extern struct slot slots[NSLOTS];
extern struct worker *all_workers;
extern int may_fail;  /* requests may be made to fail (mtbf, limit) */
extern int has_limit; /* memory is limited */
extern int may_fork;
extern long live_bytes; /* atomic; roughly */

/** The next random number of a thread, and one below n. */
uint64_t draw(struct worker *w);
static inline size_t below(struct worker *w, size_t n)
{
	return n ? (size_t)(draw(w) % n) : 0;
}

/** Ends the test: says what is wrong and how to see it again. */
void fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/** Takes a slot if nobody has it; gives it back. */
int slot_take(struct slot *s);
void slot_give(struct slot *s);

/** Writes the content of a slot, and checks that it is there still. */
void content_fill(struct slot *s, uint64_t tag);
void content_check(const struct slot *s);

/* memory (model_mem.c), caches (model_obj.c), arenas (model_arena.c) */
/** Fills an empty slot; it stays empty when the request failed, which is checked
 * to be allowed. */
void mem_alloc(struct worker *w, struct slot *s);
void obj_alloc(struct worker *w, struct slot *s);
void arena_alloc(struct worker *w, struct slot *s);
/** Frees what is in a slot of these kinds. */
void mem_free(struct worker *w, struct slot *s);
void obj_free(struct worker *w, struct slot *s);
void arena_free(struct worker *w, struct slot *s);
/** Changes the size of what is in a slot. */
void mem_resize(struct worker *w, struct slot *s);
/** One of the operations that are on no slot. */
void obj_upkeep(struct worker *w);
void arena_upkeep(struct worker *w);
/** Makes the caches and arenas, and takes them down when all is free. */
void obj_init(struct worker *w);
void obj_fini(void);
void arena_init(void);
void arena_fini(void);
/** What the allocator says is live against the model, all threads at rest;
 * returns how much differs. */
int obj_compare(void);
int arena_compare(void);
int mem_compare(void);
/** Notes the buffers of sized caches that are the library's own. */
void mem_init(void);

/** KM_* for a request. */
int pick_kmflag(struct worker *w);
/** Notes a refusal, which must be allowed. */
void refused(struct worker *w, int kmflag, size_t size);

#endif
