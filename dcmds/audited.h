/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the dcmds on audited transactions share: filters, stacks, names. */
#ifndef DCMDS_AUDITED_H
#define DCMDS_AUDITED_H

#include "pmdb_mod.h"

/* pcs that a function or a pc stands for: [start, end); equal: any */
struct pc_filter {
	taddr_t start, end;
};

/* which transactions are wanted; 0 and NULL: any.  The options are those of
 * FILTER_OPTS, in that order. */
struct audit_filter {
	const char *caller;
	uint64_t earliest, latest, tid;
	struct pc_filter pcs; /* made of caller */
};

/* rows of a table of options, and the places of their values */
#define FILTER_OPTS                                                      \
	{'c', OPT_STRING, "caller",                                      \
	 "only with this function or pc in the stack"},                  \
		{'e', OPT_NUMBER, "earliest", "only from this time on"}, \
		{'l', OPT_NUMBER, "latest", "only up to this time"},     \
	{                                                                \
		't', OPT_NUMBER, "thread", "only by this thread"         \
	}
#define FILTER_VALUES(f) &(f)->caller, &(f)->earliest, &(f)->latest, &(f)->tid

/* what a walker over records calls */
struct addr_pass {
	walk_fn *fn;
	void *arg;
};

/** Hands the address of a record on; arg is a struct addr_pass. */
struct err *audit_pass_addr(void *arg, const struct heap_audit *a);

/** The pcs that an address stands for: a function's start for all of the
 * function, a return address just behind its end included. */
struct pc_filter pc_filter_of(struct types *types, taddr_t pc);
/** True when a stack has one of the pcs, or any will do. */
bool pc_filter_passes(const struct pc_filter *f,
		      const struct heap_stack *stack);

/** Evaluates what the options said; before the filter is used. */
struct err *audit_filter_init(struct audit_filter *f,
			      struct session *s) must_use;
/** True when the filter asks for what only an audited transaction has. */
bool audit_filter_is_set(const struct audit_filter *f);
/** True when a transaction is wanted. */
bool audit_filter_passes(const struct audit_filter *f, uint64_t stamp_ns,
			 uint64_t tid, const struct heap_stack *stack);

/** Prints the frames of a stack, "\t frame" a line, as the logs have it. */
void print_frames(struct dcmd_call *call, const struct heap_stack *stack);
/** A cell with text, or one that says there is none. */
void text_or_none(struct out *o, const char *s);
/** A cell with the first frame outside the allocator; 0: not known. */
void caller_or_blank(struct out *o, taddr_t caller);
/** Nanoseconds as seconds: "1.000000123".  Owned. */
char *seconds_text(uint64_t ns);
/** "alloc", "free", ... of heap_audit.what, or NULL. */
const char *what_name(enum heap_what what);
/**
 * Calls fn for the transactions of a buffer before one, newest first, as far as
 * the log still has them: each record names the one before it, and the newest
 * is a copy of the live record, which is skipped.
 */
struct err *audit_each_older(struct heap *heap, const struct heap_audit *from,
			     heap_audit_fn *fn, void *arg) must_use;

#endif
