/* SPDX-License-Identifier: MIT */
/*
 * The stack depot: each distinct stack is stored once and has a number for
 * ever.
 *
 * A program makes millions of transactions from some thousands of places, so
 * an audit record holds a 32-bit id instead of the frames.
 *
 *   sd_hash[bucket] --id--> stack --st_next--> stack --st_next--> 0
 *
 *   id = chunk << KMEM_STACK_SHIFT | offset / 8       (chunks of 1 MiB)
 *
 * The position of a stack in the depot, in bytes from the first chunk on, is
 * therefore id * 8, and sd_used is the next position to hand out.  The first
 * 16 bytes are never handed out: id 0 means no stack.
 *
 * (I1) A stack is complete before its id is in a bucket, and is never changed,
 *      moved or freed: who has an id needs no lock and no reference.
 * (I2) Only the head of a chain is ever written, by compare-and-swap; a
 *      chain therefore only grows at its head.
 * (I3) A chunk has memory before a position in it is handed out.
 *
 * No locks: a signal handler may interrupt an insert and insert.  Two threads
 * that bring the same new stack both store it; the loser of the race for the
 * head finds the winner's by (I2) and forgets its own, which costs a few words.
 * A stack that is known costs a hash of its frames, one bucket and one
 * comparison.
 */
#include "kmem_impl.h"

#define CHUNK_SHIFT    (KMEM_STACK_SHIFT + 3)
#define CHUNK_BYTES    ((uint64_t)1 << CHUNK_SHIFT)
#define FIRST_POSITION 16

_Static_assert(sizeof(kmem_stack_t) + KMEM_STACK_DEPTH * sizeof(uintptr_t) <
		       CHUNK_BYTES - FIRST_POSITION,
	       "a stack fits a chunk");
_Static_assert((uint64_t)KMEM_STACK_CHUNKS << KMEM_STACK_SHIFT <= (uint64_t)1
									  << 32,
	       "an id fits 32 bits");
_Static_assert((KMEM_STACK_BUCKETS & (KMEM_STACK_BUCKETS - 1)) == 0,
	       "a mask selects the bucket");

/* no lock: see (I1) to (I3) */
__attribute__((visibility("default")))
kmem_stackdepot_t kmem_stackdepot KM_SELDOM;

/* written while starting only */
void (*kmem_stack_told)(uint32_t id, const uintptr_t *pcs, unsigned depth);

static uint32_t hash_stack(const uintptr_t *pcs, unsigned depth)
{
	uint64_t even = depth;
	uint64_t odd = 0x9e3779b97f4a7c15;
	unsigned i;

	/* two chains, since a multiplication is 3 cycles of waiting */
	for (i = 0; i + 1 < depth; i += 2) {
		even = (even ^ pcs[i]) * 0x9fb21c651e98df25;
		odd = (odd ^ pcs[i + 1]) * 0xc2b2ae3d27d4eb4f;
		even ^= even >> 32;
		odd ^= odd >> 29;
	}
	if (i < depth)
		even = (even ^ pcs[i]) * 0x9fb21c651e98df25;
	even = (even ^ (even >> 29) ^ odd) * 0x9e3779b97f4a7c15;
	return (uint32_t)(even >> 32);
}

static kmem_stack_t *stack_at(uint32_t id)
{
	char *chunk = __atomic_load_n(
		&kmem_stackdepot.sd_chunk[id >> KMEM_STACK_SHIFT],
		__ATOMIC_ACQUIRE);
	uint32_t words = id & ((1u << KMEM_STACK_SHIFT) - 1);

	return chunk ? (kmem_stack_t *)(chunk + (size_t)words * 8) : NULL;
}

/* looks at the chain from id on, up to but not including last */
static uint32_t find(uint32_t id, uint32_t last, uint32_t hash,
		     const uintptr_t *pcs, unsigned depth)
{
	const kmem_stack_t *stack;
	unsigned i;

	for (; id != last; id = stack->st_next) {
		stack = stack_at(id);
		if (stack->st_hash != hash || stack->st_depth != depth)
			continue;
		for (i = 0; i < depth; i++)
			if (stack->st_pc[i] != pcs[i])
				break;
		if (i == depth)
			return id;
	}
	return 0;
}

/* gives *slot zeroed memory if it has none; false when there is no memory */
static int back(char **slot, size_t bytes)
{
	char *none = NULL;
	char *fresh;

	if (__atomic_load_n(slot, __ATOMIC_ACQUIRE))
		return 1;
	fresh = kmem_pages_alloc(bytes);
	if (!fresh)
		return __atomic_load_n(slot, __ATOMIC_ACQUIRE) != NULL;
	if (!__atomic_compare_exchange_n(slot, &none, fresh, 0,
					 __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		kmem_pages_free(fresh, bytes);
	return 1;
}

/* takes room for a stack; returns its id, 0 when there is none */
static uint32_t reserve(size_t bytes)
{
	kmem_stackdepot_t *sd = &kmem_stackdepot;
	uint64_t used = __atomic_load_n(&sd->sd_used, __ATOMIC_RELAXED);
	uint64_t at;

	do {
		at = used ? used : FIRST_POSITION;
		if ((at ^ (at + bytes - 1)) >> CHUNK_SHIFT)
			at = (at | (CHUNK_BYTES - 1)) + 1;
		if (at >> CHUNK_SHIFT >= KMEM_STACK_CHUNKS)
			return 0;
		if (!back(&sd->sd_chunk[at >> CHUNK_SHIFT], CHUNK_BYTES))
			return 0;
	} while (!__atomic_compare_exchange_n(&sd->sd_used, &used, at + bytes,
					      1, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	return (uint32_t)(at / 8);
}

static uint32_t insert(uint32_t *bucket, uint32_t head, uint32_t hash,
		       const uintptr_t *pcs, unsigned depth)
{
	size_t bytes = sizeof(kmem_stack_t) + depth * sizeof(uintptr_t);
	uint32_t id = reserve(bytes);
	uint32_t seen = head;
	kmem_stack_t *stack;
	uint32_t same;
	unsigned i;

	if (id == 0)
		return 0;
	stack = stack_at(id);
	stack->st_hash = hash;
	stack->st_depth = depth;
	for (i = 0; i < depth; i++)
		stack->st_pc[i] = pcs[i];
	for (;;) {
		stack->st_next = head;
		if (__atomic_compare_exchange_n(bucket, &head, id, 0,
						__ATOMIC_RELEASE,
						__ATOMIC_ACQUIRE))
			break;
		same = find(head, seen, hash, pcs, depth); /* (I2) */
		if (same)
			return same;
		seen = head;
	}
	__atomic_fetch_add(&kmem_stackdepot.sd_count, 1, __ATOMIC_RELAXED);
	if (kmem_stack_told)
		kmem_stack_told(id, pcs, depth);
	return id;
}

uint32_t kmem_stack_intern(const uintptr_t *pcs, unsigned depth)
{
	kmem_stackdepot_t *sd = &kmem_stackdepot;
	uint32_t *buckets;
	uint32_t hash;
	uint32_t head;
	uint32_t id;

	if (depth == 0)
		return 0;
	if (depth > KMEM_STACK_DEPTH)
		depth = KMEM_STACK_DEPTH;
	buckets = __atomic_load_n(&sd->sd_hash, __ATOMIC_ACQUIRE);
	if (!buckets) {
		if (!back((char **)&sd->sd_hash,
			  KMEM_STACK_BUCKETS * sizeof(uint32_t)))
			goto dropped;
		buckets = __atomic_load_n(&sd->sd_hash, __ATOMIC_ACQUIRE);
	}
	hash = hash_stack(pcs, depth);
	buckets += hash & (KMEM_STACK_BUCKETS - 1);
	head = __atomic_load_n(buckets, __ATOMIC_ACQUIRE);
	id = find(head, 0, hash, pcs, depth);
	if (!id)
		id = insert(buckets, head, hash, pcs, depth);
	if (id)
		return id;
dropped:
	__atomic_fetch_add(&sd->sd_dropped, 1, __ATOMIC_RELAXED);
	return 0;
}

const kmem_stack_t *kmem_stack_get(uint32_t id)
{
	uint64_t used =
		__atomic_load_n(&kmem_stackdepot.sd_used, __ATOMIC_RELAXED);

	if (id < FIRST_POSITION / 8 || (uint64_t)id * 8 >= used)
		return NULL;
	return stack_at(id);
}
