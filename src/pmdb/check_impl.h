/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of "pmdb check" share: the verdict, and its two forms. */
#ifndef PMDB_CHECK_IMPL_H
#define PMDB_CHECK_IMPL_H

#include <stdbool.h>
#include <stdio.h>

#include "base/mem.h"
#include "graph/graph.h"
#include "heap/heap.h"
#include "pmdb/pmdb.h"
#include "target/target.h"
#include "types/types.h"

/* one dump and what was found out about it */
struct verdict {
	const char *path;
	struct target *target;
	struct types *types;
	struct heap *heap;
	struct leaks *leaks;
	VEC(struct heap_finding) findings;
	VEC(struct heap_mismatch) mismatches; /* newest first */
	uint64_t nmismatches; /* frees; also of those that are not there */
	char *reason;         /* why there is no verdict; NULL: there is one */
	enum pmdb_status status;
};

/* check.c */
/** A stack by its number; false: it was not recorded. */
bool check_stack(const struct verdict *v, uint32_t id, struct heap_stack *ret);
/** "malloc", "new", ... as the record of a leak says; "": there is none. */
const char *check_alloc_kind(const struct verdict *v, const struct leak *l);

/* check_text.c */
/** Prints a verdict for people; one that is none is print_trouble()'s. */
void check_print_text(const struct verdict *v, FILE *out);
/**
 * What went wrong with the looking, one line on stderr whatever the format: why
 * there is no verdict; else, which file of the program is missing or of another
 * build, so that names are.
 */
void check_print_trouble(const struct verdict *v);

/* check_json.c */
/** Prints a verdict as an object on a line. */
void check_print_json(const struct verdict *v, FILE *out);

#endif
