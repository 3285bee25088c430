/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What holds a buffer, in words: variables, frames, members. */
#ifndef DCMDS_HOLDER_H
#define DCMDS_HOLDER_H

#include "pmdb_mod.h"

/* a word that points at a buffer, explained */
struct holder {
	char *text;            /* "stock", "head of work, frame 2"; owned */
	const char *sure;      /* "variable", "saved", "frame", "dead", ... */
	const struct type *to; /* what its type says it points at; NULL */
	uint32_t tid;          /* 0 none */
	int frame;             /* -1 none */
	const char *function, *variable; /* NULL none */
};

/**
 * Explains a word of a root.
 *
 * @at:   0: the root is a value, not a word
 * @ret:  see holder_fini()
 */
void holder_of_root(struct session *s, const struct reach *reach,
		    const struct reach_span *span, taddr_t at,
		    struct holder *ret);
/**
 * Explains a word of a buffer.
 *
 * @type:  of the buffer, or NULL
 * @from:  how far behind the buffer's start an object of that type begins
 */
void holder_of_buf(struct session *s, const struct heap_buf *buf,
		   const struct type *type, uint64_t from, taddr_t at,
		   struct holder *ret);
void holder_fini(struct holder *h);

#endif
