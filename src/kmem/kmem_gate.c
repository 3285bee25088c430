/* SPDX-License-Identifier: MIT */
/*
 * The gate: who is in the middle of changing a buffer.
 *
 * The checks of a debugged buffer are made outside every lock, so holding all
 * locks does not mean that no buffer is half poisoned or on its way between a
 * magazine and its slab.  Such a transaction therefore runs inside the gate,
 * and kmem_lock_all() closes the gate and waits until nobody is inside before
 * it takes the first lock.
 *
 *   enter:  *mine++; if it is closed: *mine--, sleep, again
 *   close:  closed = 1; wait until the sum of all counters is zero
 *
 * A thread that has a record (kmem_thread.c) counts in it, the others in one of
 * the counters here, which they may share.
 *
 * Invariants
 *   G1  a thread is counted once however deep it is inside; an inner enter
 *       never waits
 *   G2  the gate is outside all locks: a thread that may enter it with a lock
 *       held entered before it took that lock.  A wait for memory or for the
 *       report lock leaves the gate
 *   G3  counter and closed are written before the other one is read, with a
 *       full barrier between: either the one who enters sees the gate closed
 *       or the one who closes it sees him inside.  Where the kernel makes every
 *       thread of the process pass a barrier when asked (membarrier), who
 *       closes pays for both; to wait for all stores at each allocation costs
 *       more than the allocation
 *   G4  a counter changes in one instruction, since a signal handler may come
 *       between; one that is a thread's own needs no lock prefix to go down
 *
 * The gate is for the image, not for safety.  Who closes it waits for a limited
 * time: a callback of the program's may block inside, a thread may have been
 * thrown out of its transaction by longjmp() for ever.  A fork then goes on,
 * and at worst the child has a buffer that is nobody's; a snapshot says that
 * the heap was not at rest.
 *
 * Counters are spread over cache lines, by thread, since every allocation of a
 * debugged cache touches one twice.
 */
#include "kmem_sandbox.h"
#include "kmem_short.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NCOUNTS  64
#define DRAIN_NS ((hrtime_t)1000 * 1000000) /* patience of a fork */
#define WASTE_NS ((hrtime_t)2 * 1000000)    /* and once that was in vain */
#define NAP_NS   ((hrtime_t)50 * 1000)

static struct count {
	int32_t ninside; /* atomic */
	char pad[60];
} count[NCOUNTS] __attribute__((aligned(64)));

int32_t kmem_gate_closed; /* a futex; close_lock */
static kmem_mutex_t close_lock;
static int is_leaky;      /* close_lock: somebody never left */
static uint32_t nthreads; /* atomic: hands out counters */

int kmem_gate_has_membarrier; /* written while starting and after fork */

__thread struct kmem_gate_self kmem_gate_self;
static __thread uint32_t slot; /* 1 + index of this thread's counter here */

static int32_t *shared(void)
{
	if (KM_UNLIKELY(slot == 0))
		slot = 1 + __atomic_fetch_add(&nthreads, 1, __ATOMIC_RELAXED) %
				   NCOUNTS;
	return &count[slot - 1].ninside;
}

/** The system call; 0 or a negative error.  errno stays. */
static long membarrier(int command)
{
	int saved = errno;
	long rc = -1;

	if (kmem_may_call(SYS_membarrier))
		rc = syscall(SYS_membarrier, command, 0, 0);
	errno = saved;
	return rc;
}

void kmem_gate_init(void)
{
	kmem_gate_has_membarrier =
		membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
}

/** A full barrier between what this thread wrote and what it reads next, and
 * in every other thread that is inside or enters. */
static void barrier_for_all(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (kmem_gate_has_membarrier &&
	    membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0)
		/* forbidden since: no store stays that long in a CPU */
		kmem_nap(NAP_NS);
}

/** Counts the calling thread as inside (G3). */
static void count_in(void)
{
	kmem_thread_t *th = kmem_thread_self;

	kmem_gate_self.gs_record = th;
	if (th && kmem_gate_is_cheap())
		kmem_gate_count_in(th);
	else
		(void)__atomic_fetch_add(th ? &th->th_inside : shared(), 1,
					 __ATOMIC_SEQ_CST);
}

static void count_out(void)
{
	if (KM_LIKELY(kmem_gate_self.gs_record != NULL))
		kmem_gate_count_out(kmem_gate_self.gs_record);
	else
		__atomic_fetch_sub(shared(), 1, __ATOMIC_SEQ_CST);
}

/** Is it closed, and not by this thread? */
static int is_shut(void)
{
	return KM_UNLIKELY(__atomic_load_n(&kmem_gate_closed,
					   __ATOMIC_SEQ_CST) != 0) &&
	       KM_PEEK(kmem_all_holder) != kmem_self();
}

void kmem_gate_enter(void)
{
	if (kmem_gate_self.gs_depth == 0) {
		count_in();
		while (is_shut()) {
			count_out();
			kmem_futex_wait(&kmem_gate_closed, 1, NAP_NS * 1000);
			count_in();
		}
	}
	kmem_gate_self.gs_depth++;
}

void kmem_gate_exit(void)
{
	if (--kmem_gate_self.gs_depth == 0)
		count_out();
}

int kmem_gate_leave(void)
{
	int was = kmem_gate_self.gs_depth;

	if (was > 0)
		count_out();
	kmem_gate_self.gs_depth = 0;
	return was;
}

void kmem_gate_return(int was, int is_waiting)
{
	if (was <= 0)
		return;
	if (is_waiting)
		kmem_gate_enter();
	else
		count_in();
	kmem_gate_self.gs_depth = was;
}

int kmem_gate_is_inside(void)
{
	return kmem_gate_self.gs_depth > 0;
}

/** How many threads are inside, this one left out. */
static int others_inside(void)
{
	kmem_thread_t *th = __atomic_load_n(&kmem_threads, __ATOMIC_ACQUIRE);
	int n = kmem_gate_self.gs_depth > 0 ? -1 : 0;

	for (int i = 0; i < NCOUNTS; i++)
		n += __atomic_load_n(&count[i].ninside, __ATOMIC_SEQ_CST);
	for (; th; th = th->th_next)
		n += __atomic_load_n(&th->th_inside, __ATOMIC_SEQ_CST);
	return n;
}

int kmem_gate_close(hrtime_t deadline)
{
	hrtime_t until = deadline;

	if (!deadline)
		kmem_mutex_enter(&close_lock);
	else if (!kmem_mutex_enter_until(&close_lock, deadline))
		return -1;
	if (!deadline)
		until = kmem_now() + (is_leaky ? WASTE_NS : DRAIN_NS);
	__atomic_store_n(&kmem_gate_closed, 1, __ATOMIC_SEQ_CST);
	barrier_for_all();
	/* seen empty once is enough: who comes now only looks and leaves (G3) */
	while (others_inside() > 0) {
		if (kmem_now() < until) {
			kmem_nap(NAP_NS);
			continue;
		}
		is_leaky = 1;
		if (!deadline)
			break;
		kmem_gate_open();
		return -1;
	}
	return 0;
}

void kmem_gate_open(void)
{
	__atomic_store_n(&kmem_gate_closed, 0, __ATOMIC_SEQ_CST);
	kmem_futex_wake_all(&kmem_gate_closed);
	kmem_mutex_break(&close_lock);
}

void kmem_gate_reset(void)
{
	for (int i = 0; i < NCOUNTS; i++)
		count[i].ninside = 0;
	for (kmem_thread_t *th = kmem_threads; th; th = th->th_next)
		th->th_inside = 0;
	if (kmem_gate_has_membarrier)
		kmem_gate_init();
	if (kmem_gate_self.gs_depth > 0)
		count_in();
	is_leaky = 0;
}
