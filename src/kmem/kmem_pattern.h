/* SPDX-License-Identifier: MIT */
/*
 * kmem_pattern_fill() and its relations in line, for the short way of audited
 * buffers: most are a few words.  Theory in kmem_pattern.c.
 */
#ifndef KMEM_PATTERN_H
#define KMEM_PATTERN_H

#include "kmem_internal.h"

#define KMEM_TURN ((size_t)64)

/** Finds out which registers there are; to be called once, while starting. */
KM_HIDDEN void kmem_pattern_init(void);
extern KM_HIDDEN uint8_t kmem_has_avx2;

/* [p, end) is whole turns, and may be empty */

/** The first turn that is not all pattern, or end. */
KM_HIDDEN uint64_t *kmem_turns_verify(uint64_t pattern, uint64_t *p,
				      uint64_t *end);
/** Fills all of them. */
KM_HIDDEN void kmem_turns_fill(uint64_t pattern, uint64_t *p, uint64_t *end);
/** The first turn that is not all pattern, or end; new fills those before. */
KM_HIDDEN uint64_t *kmem_turns_replace(uint64_t pattern, uint64_t *p,
				       uint64_t *end, uint64_t new);

/** The end of the whole turns of [p, p + bytes). */
static inline uint64_t *kmem_turns_end(uint64_t *p, size_t bytes)
{
	return kmem_at(p, bytes & -KMEM_TURN);
}

/** kmem_pattern_fill() in line. */
static inline __attribute__((always_inline)) void
kmem_words_fill(uint64_t pattern, void *buf, size_t bytes)
{
	uint64_t *p = buf;
	uint64_t *end = kmem_at(buf, bytes);

	if (bytes >= KMEM_TURN) {
		kmem_turns_fill(pattern, p, kmem_turns_end(p, bytes));
		p = kmem_turns_end(p, bytes);
	}
	while (p < end)
		*p++ = pattern;
}

/** kmem_pattern_verify() in line. */
static inline __attribute__((always_inline)) uint64_t *
kmem_words_verify(uint64_t pattern, void *buf, size_t bytes)
{
	uint64_t *p = buf;
	uint64_t *end = kmem_at(buf, bytes);

	if (bytes >= KMEM_TURN)
		p = kmem_turns_verify(pattern, p, kmem_turns_end(p, bytes));
	for (; p < end; p++)
		if (*p != pattern)
			return p;
	return NULL;
}

/** kmem_pattern_replace() in line. */
static inline __attribute__((always_inline)) uint64_t *
kmem_words_replace(uint64_t old, uint64_t new, void *buf, size_t bytes)
{
	uint64_t *p = buf;
	uint64_t *end = kmem_at(buf, bytes);

	if (bytes >= KMEM_TURN)
		p = kmem_turns_replace(old, p, kmem_turns_end(p, bytes), new);
	for (; p < end; p++) {
		if (KM_UNLIKELY(*p != old)) {
			kmem_pattern_fill(old, buf,
					  (size_t)((char *)p - (char *)buf));
			return p;
		}
		*p = new;
	}
	return NULL;
}

#endif
