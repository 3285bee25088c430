/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of "pmdb diff" share: two dumps, each looked at on its own and
 * closed, and what has become of the heap between them, which every format only
 * renders.
 */
#ifndef PMDB_DIFF_IMPL_H
#define PMDB_DIFF_IMPL_H

#include "base/err.h"
#include "pmdb/check_impl.h"
#include "pmdb/frames.h"

/* what buffers are summed up by */
enum diff_by {
	DIFF_SITE, /* stack of the allocation; where there is none, cache */
	DIFF_CACHE,
	DIFF_TYPE,
	DIFF_BYS,
};

/* a call site, cache or type of one dump */
struct diff_key {
	char *name;     /* cache, type; of a site its first cache; NULL: a type
			 * that is not known */
	char *type;     /* of a site: of its first buffer; NULL not known */
	char *call;     /* of a site: "malloc"; "" not known */
	bool is_mixed;  /* a site: there are others of its caches */
	bool is_motley; /* the same of its types */
	bool has_stack;
	struct check_stack stack;
	uint64_t print; /* the same in each run and build, but for several in
			 * one function */
	uint64_t place; /* the same in each run of one build */
	uint64_t near;  /* the same as long as the function is of one build */
	size_t group;   /* of the diff, while that is made */
};

struct diff_buf {
	taddr_t addr;
	uint64_t bytes;
	uint64_t stamp_ns; /* of its allocation; 0: not recorded */
	uint32_t tid;
	uint32_t key[DIFF_BYS];
};

struct diff_object {
	char *path, *why; /* why its file is not used; NULL: it is */
	taddr_t start;
	unsigned char build_id[64];
	size_t build_id_bytes;
	bool is_exec;
	bool is_common; /* the other dump has the same file */
};

/* one dump; it is closed */
struct diff_dump {
	const char *path;
	const char *exe;       /* its program, as the user named it; or NULL */
	const char *allocator; /* "libkmem" */
	char *program, *psargs;
	char *trouble; /* what the reader ought to know; NULL none */
	uint32_t pid;
	uint64_t now_ns;  /* by the clock of records; 0 not known */
	uint64_t wall_ns; /* since 1970; 0 not known */
	bool can_audit;   /* the allocator can record who allocated */
	bool has_stacks, has_types;
	VEC(struct diff_object) objects;
	VEC(struct diff_buf) bufs; /* ascending */
	VEC(struct diff_key) keys[DIFF_BYS];
	struct frames frames;
};

/* what a sum is of */
enum diff_what {
	DIFF_OLD,      /* allocated in the old dump */
	DIFF_NEW,      /* in the new one */
	DIFF_SURVIVED, /* one allocation, in both */
	DIFF_FREED,    /* of the old, those that are gone */
	DIFF_ADDED,    /* of the new, those that are not in the old */
	DIFF_REPLACED, /* of these, where the old dump has another buffer */
	DIFF_UNKNOWN,  /* of the new, where the old dump has one, too: which
			* of both it is, nothing says */
	DIFF_WHATS,
};

enum diff_state {
	STATE_NEW,
	STATE_GROWN,
	STATE_SHRUNK,
	STATE_GONE,
	STATE_SAME,
	DIFF_STATES,
};

struct diff_group {
	const struct diff_key *was, *is; /* NULL: not there */
	uint64_t fingerprint;            /* of a site */
	enum diff_state state;
	bool is_over; /* the limit */
	taddr_t addr; /* of one that came, or else of any in the new dump */
	struct check_counts sum[DIFF_WHATS];
};

struct diff;

struct diff_output {
	void (*print)(const struct diff *d, FILE *out);
	const char *path; /* NULL: standard output */
};

struct diff {
	struct check *check; /* for the root of paths */
	VEC(struct diff_output) outputs;
	unsigned by;  /* 1 << enum diff_by of each that is wanted */
	uint64_t top; /* so many of each are printed for people; 0: all */
	bool has_limit, has_total_limit;
	uint64_t limit, total_limit;
	int exit_code; /* when one is passed */

	struct diff_dump old, new;
	bool is_same_process, is_same_build;
	char *missing[DIFF_BYS]; /* why there are no groups; NULL: there are */
	VEC(struct diff_group) groups[DIFF_BYS];
	struct diff_group total;
	size_t nstates[DIFF_BYS][DIFF_STATES];
	size_t nover; /* groups over the limit */
	enum diff_by over_by;
	bool is_over; /* the limit, or that of all together */
};

/* diff_look.c */
/** Looks at a dump, whose path and exe are set, and closes it. */
struct err *diff_look(const struct diff *d, struct diff_dump *dump) must_use;
void diff_dump_fini(struct diff_dump *dump);

/* diff_match.c */
/** Brings two dumps together.  Errors: ERR_NOSUP they cannot be compared. */
struct err *diff_match(struct diff *d) must_use;
/** Bytes that a group has grown by; negative: shrunk. */
int64_t diff_growth(const struct diff_group *g);
/** Buffers that a group has grown by. */
int64_t diff_growth_bufs(const struct diff_group *g);
/** "new", "grown", "shrunk", "gone", "same". */
const char *diff_state_name(enum diff_state state);
/** The key that a group is described by: that of the new dump, if it is there. */
const struct diff_key *diff_key_of(const struct diff_group *g);

/* diff_keys.c */
/** Makes the groups of what both dumps have, and of what only one has. */
void diff_match_keys(struct diff *d, enum diff_by by);
/** Sets the fingerprints of the groups of sites. */
void diff_set_fingerprints(struct diff *d);

/* diff_text.c, diff_json.c, diff_markdown.c */
/** Print a diff. */
void diff_print_text(const struct diff *d, FILE *out);
void diff_print_json(const struct diff *d, FILE *out);
void diff_print_markdown(const struct diff *d, FILE *out);
/** The last line: what has become of the heap, and whether that is too much. */
void diff_summary_words(const struct diff *d, struct strbuf *sb);
/** The time between the dumps, "61.2 s"; false: not known. */
bool diff_time_words(const struct diff *d, struct strbuf *sb);
/** How many of each state: "3 new, 2 grown"; "none" without a change. */
void diff_states_words(const struct diff *d, enum diff_by by,
		       struct strbuf *sb);

#endif
