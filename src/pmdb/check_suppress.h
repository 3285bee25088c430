/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Suppressions and baselines: what is found and is not to fail. */
#ifndef PMDB_CHECK_SUPPRESS_H
#define PMDB_CHECK_SUPPRESS_H

#include "pmdb/check_impl.h"

enum rule_kind {
	RULE_FUN, /* of valgrind: a function */
	RULE_OBJ, /* an object */
	RULE_SRC, /* a source file, or file:line */
	RULE_ANY, /* "...": any frames, or none */
};

struct frame_rule {
	enum rule_kind kind;
	char *pattern;
};

/* one suppression; what is NULL or 0 is not asked for */
struct suppression {
	char *path; /* where it is written */
	unsigned line;
	char *text;  /* as it is written, or a block's name */
	char *leak;  /* LeakSanitizer's pattern */
	char *cache; /* pattern */
	bool has_print;
	uint64_t print; /* fingerprint */
	int until;      /* last day that it holds, as 20271231 */
	bool is_expired;
	VEC(struct frame_rule) frames; /* of a block of valgrind */
	unsigned kinds;                /* bits, 1 << enum item_kind */
	uint64_t nused, bytes;         /* items, and what they lost */
};

struct suppressions {
	VEC(struct suppression) v;
	VEC(uint64_t) known; /* fingerprints of the baseline, sorted */
	bool has_baseline;
};

/* check_suppress.c */
/** Sets the state of items that are suppressed or known. */
void check_suppress(struct suppressions *s, struct verdict *v);
/** Adds the LeakSanitizer lines and valgrind blocks of a file.
 * Errors: ERR_IO; ERR_USAGE names file and line. */
struct err *suppressions_read(struct suppressions *s,
			      const char *path) must_use;
/** Releases what it holds. */
void suppressions_fini(struct suppressions *s);

/** Says of each that was not needed so, a line on stderr; returns how many. */
size_t suppressions_unused(const struct suppressions *s);
/** Prints those that were needed, as LeakSanitizer does; nothing if none. */
void suppressions_print(const struct suppressions *s, FILE *out);

/* check_baseline.c */
/** Adds the fingerprints of a baseline.  Errors: ERR_IO, ERR_USAGE. */
struct err *baseline_read(struct suppressions *s, const char *path) must_use;
/** Writes one of all findings.  Errors: ERR_IO; ERR_BADDATA there is no verdict
 * on a dump. */
struct err *baseline_write(const struct report *r, const char *path) must_use;

/* check_match.c */
/** Is text matched by a pattern of LeakSanitizer: a substring, "*" for any
 * text, "^" the start, "$" the end? */
bool match_leak(const char *pattern, const char *text);
/** Is it matched as a whole by one of valgrind: "*" any text, "?" a character? */
bool match_glob(const char *pattern, const char *text);
/** Is a stack matched by the frames of a block, innermost first? */
bool match_stack(const struct frame_rule *rules, size_t n,
		 const struct check_stack *stack);

#endif
