/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of "pmdb check" share: the verdict on a dump, computed once,
 * which every format only renders.  It owns all it says: the dump is closed
 * before anything is rendered.
 */
#ifndef PMDB_CHECK_IMPL_H
#define PMDB_CHECK_IMPL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "pmdb/frames.h"
#include "pmdb/pmdb.h"
#include "target/target.h"

enum item_kind {
	ITEM_PANIC,    /* damage that the allocator reported itself */
	ITEM_DAMAGE,   /* damage that looking at the dump found */
	ITEM_MISMATCH, /* frees by the wrong call, at one place */
	ITEM_LEAK,     /* buffers; nobody points at some of them */
	ITEM_INDIRECT, /* buffers; other leaks point at all of them */
	ITEM_POSSIBLE, /* buffers kept by pointers to their inside only */
};

enum item_state {
	ITEM_FAILS,      /* a finding */
	ITEM_NOTED,      /* said, but no finding: tolerated, or not asked for */
	ITEM_KNOWN,      /* in the baseline */
	ITEM_SUPPRESSED, /* not said */
	ITEM_STATES,
};

#define ITEM_NONE ((size_t)-1)

/* one group of what was found */
struct item {
	enum item_kind kind;
	enum item_state state;
	bool is_follower;         /* its state is that of what keeps it */
	enum item_state followed; /* the worst state of what keeps it */
	uint64_t fingerprint;
	char *cache;        /* or arena; NULL: none */
	size_t ncaches;     /* of its buffers; cache is the first */
	char *type;         /* of the buffers; NULL unknown */
	char *shape;        /* what they look like, where that is what groups
			     * them; NULL unknown */
	char *no_stack;     /* why they have none; NULL: they have */
	char *call;         /* that allocated: "malloc"; "" unknown */
	uint64_t nbufs;     /* of a mismatch: how many times */
	uint64_t ndirect;   /* of nbufs, those nobody points at */
	uint64_t kept_bufs; /* others, which go away with these */
	uint64_t kept_bytes;
	uint64_t bytes;    /* of a mismatch UINT64_MAX: not known */
	taddr_t addr, at;  /* a buffer, the damaged byte; 0 none */
	size_t kept_by;    /* the item whose buffers point here, or NONE */
	size_t group;      /* of leaks, while they are open */
	char *text;        /* damage, panic: in words */
	char *report;      /* panic: the same with frames by name */
	bool is_structure; /* damage, but of no buffer */
	const char *did;   /* damage: what was done last; NULL unknown */
	uint32_t tid;      /* who allocated, or did that; 0 unknown */
	bool has_stack, has_freed;
	struct check_stack stack; /* of the allocation, or of did */
	/* a mismatch: the free */
	struct check_stack freed;
	char *freed_by;
	uint32_t freed_tid;
	uint64_t freed_bytes; /* UINT64_MAX: it does not say */
};

/* the buffers of one item point at those of another */
struct item_edge {
	size_t from, to;
};

struct check_counts {
	uint64_t nitems, nbufs, bytes;
};

/* one dump and what was found out about it */
struct verdict {
	const char *path;
	enum pmdb_status status;
	char *reason;  /* why there is no verdict; NULL: there is one */
	char *trouble; /* which file of the program is missing; NULL none */
	char *program, *psargs; /* NULL: not known */
	uint32_t pid;
	bool is_damage_certain;
	bool has_leaks; /* they were looked for */
	struct check_counts live, interior;
	VEC(struct item) items; /* by kind; buffers by bytes */
	VEC(struct item_edge) edges;
	struct frames frames;
	uint64_t nmismatches; /* frees; also of those no record is left of */
	/* of what is about buffers, in each state */
	struct check_counts sums[ITEM_STATES];
};

struct suppressions;

/* ---- what was asked for -------------------------------------------------- */

struct check_format;

struct check_output {
	const struct check_format *format;
	const char *path; /* NULL: check.out */
};

struct check {
	VEC(struct check_output) outputs; /* none: text */
	unsigned fail_on;                 /* bits, 1 << enum item_kind */
	uint64_t min_bytes, max_leaks;
	int exit_code; /* for findings */
	char *root;    /* absolute, no slash at its end; NULL none */
	bool has_root; /* the user named it: for text too */
	struct suppressions *suppressions;
	bool is_unused_bad;           /* a suppression that is, fails */
	const char *baseline_out;     /* file to write; NULL none */
	bool is_generating;           /* suppressions, into: */
	const char *suppressions_out; /* a file; NULL: out */
	FILE *out;                    /* what is written to no file */
};

/* what a format renders: all dumps of a call */
struct report {
	const struct check *check;
	const struct verdict *v;
	size_t n;
	int status;
};

struct check_format {
	const char *name;
	void (*print)(const struct report *r, FILE *out);
};

/* check.c */
/** A number, of bytes with K, M or G behind it if need be; false: it is none. */
bool check_number(const char *arg, uint64_t *ret);

/* check_judge.c */
/** Looks at a dump: v->path is set, what is found is filled in. */
void check_judge(const struct check *check, struct verdict *v);
/** Sums up and sets the status, once the state of every item is known. */
void check_decide(const struct check *check, struct verdict *v);
/** Releases what a verdict owns. */
void verdict_fini(struct verdict *v);
/** True for a group of buffers, false for damage. */
bool item_is_buffers(const struct item *item);
/** Damage to count: what the allocator reported is found again as a rule. */
size_t verdict_ncorruptions(const struct verdict *v);

/* check_finger.c */
/** Gives each item the fingerprint it has in every run of the program. */
void check_fingerprints(struct verdict *v);

/* check_keep.c */
/** Gives each indirect leak its keeper, and that one what it keeps. */
void check_keepers(struct verdict *v);
/** Gives each follower the worst state of those it hangs on. */
void check_follow(struct verdict *v);

/* check_where.c */
/**
 * The frame to look at first: the innermost with a line below the root, else
 * the first that is not of a library of the system, else the first that is not
 * the allocator's.  NULL: none.
 */
const struct check_frame *check_where(const struct item *item);
/** Sets the path of a frame, whose compiler ran in dir, and whether it is
 * inside the project. */
void check_place(const struct check *check, const char *dir,
		 struct check_frame *f);
/** Sets the root: what was asked for, or what the CI service says, or where we
 * are.  Errors: ERR_IO it is no directory. */
struct err *check_set_root(struct check *check, const char *dir) must_use;
/** "mk src/leak.c:5", "mk", "prog+0x1234": a frame in a line. */
void check_frame_words(const struct check_frame *f, struct strbuf *sb);
/** "96 bytes leaked in 3 buffers of kmem_alloc_32": an item in a line. */
void check_item_words(const struct item *item, struct strbuf *sb);
/** "leak", "indirect", "possible", "corruption", "panic", "mismatch". */
const char *check_kind_name(enum item_kind kind);

/* check_output.c */
/** The formats, ended by one without a name. */
extern const struct check_format check_formats[];
typedef void check_writer(const void *arg, FILE *out);
/** Writes a file, complete or not at all.  Errors: ERR_IO. */
struct err *check_write_file(const char *path, check_writer *fn,
			     const void *arg) must_use;
/** Writes every output that was asked for; a file is complete or not there.
 * Errors: ERR_IO, of the first. */
struct err *check_write(const struct report *r) must_use;

/* check_text.c */
/** Prints verdicts for people; one that is none is check_print_trouble()'s. */
void check_print_text(const struct report *r, FILE *out);
/**
 * What went wrong with the looking, one line on stderr whatever the format: why
 * there is no verdict; else, which file of the program is missing or of another
 * build, so that names are.
 */
void check_print_trouble(const struct verdict *v);
/** A frame as the text has it: "    #0  0x... in mk leak.c:5". */
void check_frame_line(struct strbuf *sb, const struct check_frame *f,
		      unsigned n, const struct check *check);

/** The verdict in a line: "3 leaks, 156 bytes in 8 buffers". */
void check_summary_words(const struct verdict *v, struct strbuf *sb);

/* check_json.c */
/** Prints an object on a line for each dump. */
void check_print_json(const struct report *r, FILE *out);
/** A stack as a list of frames, their files below the root.  A reference. */
struct json_t *check_json_stack(const struct check_stack *s, bool has_root);

/* check_gen.c */
/** Prints suppressions for what fails. */
void check_print_suppressions(const struct report *r, FILE *out);

/* check_sarif.c, and so on */
/** Print a format of others, of all dumps. */
void check_print_sarif(const struct report *r, FILE *out);
void check_print_junit(const struct report *r, FILE *out);
void check_print_github(const struct report *r, FILE *out);
void check_print_gitlab(const struct report *r, FILE *out);
void check_print_markdown(const struct report *r, FILE *out);
/** Writes text that is nothing else to Markdown and HTML. */
void check_put_markdown(FILE *out, const char *s);

#endif
