/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The name a user may have meant: the nearest of those there are. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

struct nearest {
	const char *name; /* what was typed; borrowed */
	unsigned best;    /* distance of found, or what it must be below */
	char *found;      /* owned; NULL: none is near */
};

/** Begins a search; name is borrowed until nearest_text(). */
struct nearest nearest_to(const char *name);
/** Offers a name; the first of equally near ones is kept. */
void nearest_try(struct nearest *n, const char *candidate);
/**
 * Ends a search: " (did you mean ::walk?)", or "" when nothing is near.
 *
 * @before:  what stands before the name: "::"
 * Returns a string owned by the caller.
 */
char *nearest_text(struct nearest *n, const char *before);

#endif
