/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The words of a C type name. */
#ifndef TYPES_NAMES_H
#define TYPES_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* what a name like "const struct foo *[4]" says */
struct type_words {
	int tag;    /* DW_TAG_structure_type, ... or 0 */
	char *base; /* owned: "foo", "long unsigned int" */
	unsigned nstars;
	uint64_t dims[8]; /* outermost first; 0: [] */
	size_t ndims;
};

/**
 * Takes a type name apart.
 *
 * @ret:  owned by the caller, see names_free()
 * Returns false when it is no type name.
 */
bool names_parse(const char *text, struct type_words *ret);
/** Releases what names_parse() made. */
void names_free(struct type_words *words);

/** "unsigned long" and its relations in gcc's order, "long unsigned int";
 * NULL when it is no such combination.  Owned. */
char *names_base_type(const char *name);

#endif
