/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What buffers look like: which of their words are pointers, numbers, text. */
#ifndef GRAPH_SHAPE_H
#define GRAPH_SHAPE_H

#include "base/mem.h"
#include "graph/graph.h"

#define SHAPE_WORDS 16 /* of a buffer that are looked at */

/* what a word is; a nibble of struct shape.kinds */
enum word_kind {
	WORD_ZERO,
	WORD_SHORT,  /* a number, or text of a few letters */
	WORD_NUMBER, /* nothing else */
	WORD_TEXT,
	WORD_OWN,    /* the start of a buffer of the same size */
	WORD_BUF,    /* the start of another one */
	WORD_STR,    /* the start of a text */
	WORD_VAGUE,  /* the start of a buffer that may be an empty text */
	WORD_INSIDE, /* within another buffer */
	WORD_SELF,   /* this buffer */
	WORD_FREED,  /* the heap, but no buffer in use */
	WORD_CODE,
	WORD_DATA,  /* of a program or library */
	WORD_TABLE, /* of functions: which, tells kinds of objects apart */
	WORD_STACK,
	WORD_MAPPED, /* other memory */
};

/* what one buffer looks like */
struct shape_look {
	uint64_t kinds; /* the first word in the low nibble */
	uint64_t table; /* of WORD_TABLE, its address; SHAPE_STRING; 0 none */
};
#define SHAPE_STRING 1u /* the buffer is one text, and no larger than that */

/* what the buffers of a group look like */
struct shape {
	taddr_t cache;
	uint64_t nbufs;
	struct shape_look look; /* of words that are zero in some, of others */
	uint16_t maybe; /* the words that are zero in some: a bit each */
	bool is_mixed;  /* they are not alike */
	uint64_t min_bytes, max_bytes; /* of one buffer */
	unsigned nwords;
	bool is_more; /* the buffers have more words */
	char *text;   /* "{own? num str}"; owned */
};

struct shapes {
	VEC(struct shape) v;
};

/* a buffer to be grouped */
struct shape_buf {
	size_t buf; /* index in the set */
	taddr_t cache;
	uint32_t shape; /* found: index in struct shapes, + 1 */
};

/**
 * Groups buffers by what they look like, those of each cache by themselves.
 *
 * @v:    the buffers; put in the order of caches and addresses
 * @ret:  owned, see shapes_free()
 *
 * Cost: some look-ups for each of their first words.
 */
struct err *shapes_find(struct heap *heap, const struct bufset *set,
			struct shape_buf *v, size_t n,
			struct shapes **ret) must_use;
/** Releases them; NULL allowed. */
void shapes_free(struct shapes *shapes);
/** Could a look be that of one more buffer of a shape?  Then in how many words
 * one has something, and the other zero; else -1. */
int shape_distance(const struct shape *shape, const struct shape_look *look);
/** Says a shape something of a type: does it have a pointer? */
bool shape_is_telling(const struct shape *shape);

/* ---- shape_look.c ---------------------------------------------------- */

struct shape_looker;
/** Prepares for many calls of shape_look().  Owned. */
struct shape_looker *shape_looker_create(struct heap *heap,
					 const struct bufset *set);
void shape_looker_free(struct shape_looker *lk);
/** What the i-th buffer of the set looks like. */
struct shape_look shape_look(struct shape_looker *lk, size_t i);
/** The buffers of the same size that its words point at, by index in the set;
 * returns how many. */
size_t shape_links(struct shape_looker *lk, size_t i, struct shape_look look,
		   size_t ret[SHAPE_WORDS]);
/** A word's kind. */
static inline enum word_kind shape_kind(uint64_t kinds, unsigned i)
{
	return (enum word_kind)(kinds >> 4 * i & 15);
}

#endif
