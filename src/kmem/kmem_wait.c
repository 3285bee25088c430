/* SPDX-License-Identifier: MIT */
/*
 * Waiting for memory when there is a limit.
 *
 * A request that sleeps does so here, above all layers, and not in the arena
 * that refused it: what it waits for may as well be an object that comes back
 * to its cache.  Each try goes through all layers without sleeping.
 *
 *   kmem_waiters -> first -> second -> ...        in order of arrival
 *
 * Invariants, under kmem_wait_lock
 *   W1  a waiter is in the list from its first wait until it has its memory,
 *       and keeps its place
 *   W2  only the first one tries; kw_is_first is 1 for it, and was said to it
 *
 * So memory that is freed goes to who waits longest, and a large request is not
 * starved by small ones behind it.  A request that could wait and needs new
 * memory goes to the end of the list at once if there is one
 * (kmem_has_to_queue).  The first one is woken by every free, and looks every
 * 10 ms by itself: for memory that comes back to an arena only.  Before each try
 * the magazines of all caches are emptied; what lies in them
 * is nobody's.  Cost: a load for each free while nobody waits.
 *
 * Without a limit it is the system that has no memory: then a callback of the
 * program says what to do (kmem_nofail.c).
 */
#include "kmem_internal.h"

#define RETRY_NS ((hrtime_t)10 * 1000000)

int kmem_is_limited;         /* set once */
kmem_mutex_t kmem_wait_lock; /* a leaf */
kmem_waiter_t *kmem_waiters; /* kmem_wait_lock; read without */
uint32_t kmem_first_waiter;  /* its thread, 0 nobody; so too */
static int32_t free_seq;     /* a futex: counts frees while somebody waits */

static void enqueue(kmem_waiter_t *w)
{
	kmem_waiter_t **link = &kmem_waiters;

	w->kw_since = kmem_now();
	w->kw_thread = kmem_tid();
	kmem_mutex_enter(&kmem_wait_lock);
	while (*link)
		link = &(*link)->kw_next;
	w->kw_is_first = link == &kmem_waiters;
	if (w->kw_is_first)
		__atomic_store_n(&kmem_first_waiter, w->kw_thread,
				 __ATOMIC_RELAXED);
	__atomic_store_n(link, w, __ATOMIC_RELEASE);
	kmem_mutex_exit(&kmem_wait_lock);
}

void kmem_memory_wait(kmem_waiter_t *w)
{
	int32_t seq = __atomic_load_n(&free_seq, __ATOMIC_ACQUIRE);
	int is_new = w->kw_since == 0;
	int was_inside;

	if (kmem_holds_all())
		kmem_panic("a wait for memory in a fork handler: every lock is "
			   "held, nothing can be freed");
	was_inside = kmem_gate_leave();
	if (!kmem_is_limited) {
		/* it is the system that has none, and nobody can wait for it */
		kmem_nofail();
		kmem_gate_return(was_inside, 1);
		return;
	}
	if (is_new)
		enqueue(w);
	else
		kmem_futex_wait(&free_seq, seq, RETRY_NS);
	while (!__atomic_load_n(&w->kw_is_first, __ATOMIC_ACQUIRE))
		kmem_futex_wait(&w->kw_is_first, 0, 0);
	kmem_reap_all();
	kmem_gate_return(was_inside, 1);
}

void kmem_memory_got(kmem_waiter_t *w)
{
	if (w->kw_since == 0)
		return;
	kmem_mutex_enter(&kmem_wait_lock);
	if (kmem_waiters != w) { /* forked in a callback while it waited */
		kmem_mutex_exit(&kmem_wait_lock);
		return;
	}
	__atomic_store_n(&kmem_waiters, w->kw_next, __ATOMIC_RELEASE);
	__atomic_store_n(&kmem_first_waiter,
			 w->kw_next ? w->kw_next->kw_thread : 0,
			 __ATOMIC_RELAXED);
	if (w->kw_next) {
		__atomic_store_n(&w->kw_next->kw_is_first, 1, __ATOMIC_RELEASE);
		kmem_futex_wake_all(&w->kw_next->kw_is_first);
	}
	kmem_mutex_exit(&kmem_wait_lock);
}

void kmem_memory_freed(void)
{
	__atomic_fetch_add(&free_seq, 1, __ATOMIC_RELEASE);
	kmem_futex_wake_all(&free_seq);
}

void kmem_memory_reset(void)
{
	kmem_waiters = NULL;
	kmem_first_waiter = 0;
	for (vmem_t *vmp = vmem_list; vmp; vmp = vmp->vm_next)
		vmp->vm_waiters = NULL;
}
