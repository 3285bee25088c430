/* SPDX-License-Identifier: MIT */
/*
 * The fast paths of sized allocation: a bin of the calling thread, no lock, no
 * atomic operation, no line another thread writes.  Theory in kmem_thread.c.
 */
#ifndef KMEM_THREAD_H
#define KMEM_THREAD_H

#include "kmem_internal.h"

#define KMEM_BIN_BYTES ((size_t)32768) /* the largest class with bins */

/* how the word of tb_rounds and tb_alloc changes */
#define KMEM_BIN_ROUNDS ((uint64_t)0xffff)
#define KMEM_BIN_POP    ((uint64_t)0xffff) /* one round less, one more taken */
#define KMEM_BIN_PUSH   ((uint64_t)1)

#define KMEM_BARRIER() __asm__ volatile("" ::: "memory")

/* NULL: no record yet, or no more */
extern KM_HIDDEN __thread kmem_thread_t *kmem_thread_self;
/* the class of a malloc() of at most KMEM_BIN_BYTES, by (size + 7) / 8 */
extern KM_HIDDEN uint8_t kmem_malloc_class[KMEM_BIN_BYTES / 8 + 1];

/** The word that holds tb_rounds and tb_alloc. */
static inline uint64_t *kmem_bin_word(kmem_thread_bin_t *bin)
{
	return (uint64_t *)bin;
}

/** Moves rounds to a place that is not above them; not by memcpy(), which
 * leaves pointers in vector registers for a leak checker to find. */
static inline void kmem_rounds_move(void **to, void *const *from, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		to[i] = from[i];
		KMEM_BARRIER();
	}
}

/** Ends the time of the n oldest rounds in a bin: they are elsewhere now. */
static inline void kmem_bin_drop(kmem_thread_t *th, kmem_thread_bin_t *bin,
				 unsigned n)
{
	void **round = &th->th_round[bin->tb_first];

	kmem_rounds_move(round, round + n, (unsigned)bin->tb_rounds - n);
	KM_ADD(*kmem_bin_word(bin), -(uint64_t)n);
}

/** An object of the calling thread's bin, or NULL. */
static inline __attribute__((always_inline)) void *
kmem_thread_pop(unsigned class)
{
	kmem_thread_t *th = kmem_thread_self;
	kmem_thread_bin_t *bin;
	uint64_t word;
	void *p = NULL;

	if (KM_UNLIKELY(!th) || KM_UNLIKELY(th->th_busy))
		return NULL;
	th->th_busy = 1;
	KMEM_BARRIER();
	bin = &th->th_bin[class];
	word = *kmem_bin_word(bin);
	if (KM_LIKELY(word & KMEM_BIN_ROUNDS)) {
		p = th->th_round[bin->tb_first + (word & KMEM_BIN_ROUNDS) - 1];
		KMEM_BARRIER();
		KM_POKE(*kmem_bin_word(bin), word + KMEM_BIN_POP); /* I1 */
	}
	KMEM_BARRIER();
	th->th_busy = 0;
	return p;
}

/** An object of a bin of the calling thread's record, or NULL: it is empty, or
 * the thread is within it.  ret_next: the two that will be next, or others in
 * their place. */
static inline __attribute__((always_inline)) void *
kmem_bin_take(kmem_thread_t *th, kmem_thread_bin_t *bin, void *ret_next[2])
{
	void **round;
	void *p = NULL;
	uint64_t word;

	if (KM_UNLIKELY(th->th_busy))
		return NULL;
	th->th_busy = 1;
	KMEM_BARRIER();
	word = *kmem_bin_word(bin);
	if (KM_LIKELY(word & KMEM_BIN_ROUNDS)) {
		round = &th->th_round[bin->tb_first + (word & KMEM_BIN_ROUNDS) -
				      1];
		p = *round;
		ret_next[0] = round[-((word & KMEM_BIN_ROUNDS) > 1)];
		ret_next[1] = round[-2 * ((word & KMEM_BIN_ROUNDS) > 2)];
		KMEM_BARRIER();
		KM_POKE(*kmem_bin_word(bin), word + KMEM_BIN_POP); /* I1 */
	}
	KMEM_BARRIER();
	th->th_busy = 0;
	return p;
}

/** Does p begin a buffer of a slab of the bin's cache?  *ret_i: which. */
static inline __attribute__((always_inline)) int
kmem_base_index(const kmem_slab_t *sp, const kmem_thread_bin_t *bin,
		const void *p, size_t *ret_i)
{
	uint32_t offset = (uint32_t)((uintptr_t)p - (uintptr_t)sp->slab_base);
	unsigned __int128 product = (unsigned __int128)bin->tb_magic * offset;

	*ret_i = (size_t)(product >> 64);
	/* offset / chunk above, the rest, scaled, below */
	return (uint64_t)(product >> 64) < sp->slab_chunks &&
	       (uint64_t)product < bin->tb_magic;
}

/** Does p begin a buffer of a slab of the bin's cache? */
static inline __attribute__((always_inline)) int
kmem_is_base(const kmem_slab_t *sp, const kmem_thread_bin_t *bin, const void *p)
{
	size_t i;

	return kmem_base_index(sp, bin, p, &i);
}

/** Puts an object in a bin of the calling thread's record; 0: it is full, or
 * the thread is within it. */
static inline __attribute__((always_inline)) int
kmem_bin_put(kmem_thread_t *th, kmem_thread_bin_t *bin, void *p)
{
	uint64_t word;
	unsigned n;

	if (KM_UNLIKELY(th->th_busy))
		return 0;
	th->th_busy = 1;
	KMEM_BARRIER();
	word = *kmem_bin_word(bin);
	n = word & KMEM_BIN_ROUNDS;
	if (KM_UNLIKELY(n >= bin->tb_max)) {
		th->th_busy = 0;
		return 0;
	}
	th->th_round[bin->tb_first + n] = p;
	KMEM_BARRIER();
	KM_POKE(*kmem_bin_word(bin), word + KMEM_BIN_PUSH); /* I1 */
	KMEM_BARRIER();
	th->th_busy = 0;
	return 1;
}

/** Puts an object in the calling thread's bin of a class; 0: that cannot be. */
static inline int kmem_thread_put(unsigned class, void *p)
{
	kmem_thread_t *th = kmem_thread_self;

	return th && kmem_bin_put(th, &th->th_bin[class], p);
}

/** Puts what malloc gave in the calling thread's bin; 0: that cannot be, or p
 * is nothing that malloc gave. */
static inline __attribute__((always_inline)) int kmem_thread_push(void *p)
{
	kmem_thread_t *th = kmem_thread_self;
	uintptr_t entry = kmem_pagemap_entry(p);
	size_t class = (entry >> KMEM_PAGE_CLASS_SHIFT) - 1;

	if (KM_UNLIKELY(!th) || KM_UNLIKELY(class >= KMEM_NCLASSES) ||
	    KM_UNLIKELY(!kmem_is_base(kmem_entry_slab(entry),
				      &th->th_bin[class], p)))
		return 0;
	return kmem_bin_put(th, &th->th_bin[class], p);
}

#endif
