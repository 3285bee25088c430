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
 *   enter:  count[mine]++; if it is closed: count[mine]--, sleep, again
 *   close:  is_closed = 1; wait until the sum of count[] is zero
 *
 * Invariants
 *   G1  a thread is counted once however deep it is inside; an inner enter
 *       never waits
 *   G2  the gate is outside all locks: a thread that may enter it with a lock
 *       held entered before it took that lock.  A wait for memory or for the
 *       report lock leaves the gate
 *   G3  count and is_closed are written before the other one is read, each by
 *       an instruction that is a full barrier: either the one who enters sees
 *       the gate closed or the one who closes it sees him inside
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
#include "kmem_internal.h"

#include <sys/single_threaded.h>

#define NCOUNTS  64
#define DRAIN_NS ((hrtime_t)1000 * 1000000) /* patience of a fork */
#define WASTE_NS ((hrtime_t)2 * 1000000)    /* and once that was in vain */
#define NAP_NS   ((hrtime_t)50 * 1000)

static struct count {
	int32_t ninside; /* atomic */
	char pad[60];
} count[NCOUNTS] __attribute__((aligned(64)));

static int32_t is_closed; /* a futex; close_lock */
static kmem_mutex_t close_lock;
static int is_leaky;      /* close_lock: somebody never left */
static uint32_t nthreads; /* atomic: hands out counters */

static __thread int depth;     /* G1 */
static __thread uint32_t slot; /* 1 + index of this thread's counter */

static struct count *mine(void)
{
	if (KM_UNLIKELY(slot == 0))
		slot = 1 + __atomic_fetch_add(&nthreads, 1, __ATOMIC_RELAXED) %
				   NCOUNTS;
	return &count[slot - 1];
}

static void add(struct count *c, int n)
{
	if (__libc_single_threaded)
		c->ninside += n;
	else
		__atomic_fetch_add(&c->ninside, n, __ATOMIC_SEQ_CST);
}

/** Is it closed, and not by this thread? */
static int is_shut(void)
{
	return KM_UNLIKELY(__atomic_load_n(&is_closed, __ATOMIC_SEQ_CST) !=
			   0) &&
	       kmem_all_holder != kmem_self();
}

void kmem_gate_enter(void)
{
	struct count *c;

	if (depth == 0) {
		c = mine();
		add(c, 1);
		while (is_shut()) {
			add(c, -1);
			kmem_futex_wait(&is_closed, 1, NAP_NS * 1000);
			add(c, 1);
		}
	}
	depth++;
}

void kmem_gate_exit(void)
{
	if (--depth == 0)
		add(mine(), -1);
}

int kmem_gate_leave(void)
{
	int was = depth;

	if (was > 0)
		add(mine(), -1);
	depth = 0;
	return was;
}

void kmem_gate_return(int was, int is_waiting)
{
	if (was <= 0)
		return;
	if (is_waiting)
		kmem_gate_enter();
	else
		add(mine(), 1);
	depth = was;
}

int kmem_gate_is_inside(void)
{
	return depth > 0;
}

/** How many threads are inside, this one left out. */
static int others_inside(void)
{
	int n = depth > 0 ? -1 : 0;

	for (int i = 0; i < NCOUNTS; i++)
		n += __atomic_load_n(&count[i].ninside, __ATOMIC_SEQ_CST);
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
	__atomic_store_n(&is_closed, 1, __ATOMIC_SEQ_CST);
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
	__atomic_store_n(&is_closed, 0, __ATOMIC_SEQ_CST);
	kmem_futex_wake_all(&is_closed);
	kmem_mutex_break(&close_lock);
}

void kmem_gate_reset(void)
{
	for (int i = 0; i < NCOUNTS; i++)
		count[i].ninside = 0;
	if (depth > 0)
		add(mine(), 1);
	is_leaky = 0;
}
