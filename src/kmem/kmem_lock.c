/* SPDX-License-Identifier: MIT */
/*
 * Locks of four bytes, and condition variables over them.
 *
 * A mutex is a futex with three states: 0 free, 1 held, 2 held and somebody
 * may be asleep.  The uncontended paths are one atomic exchange each.  The
 * state carries no owner, so a lock taken before fork is freed in the child by
 * a plain store.
 *
 * Invariant L1: while kmem_all_holder names a thread, that thread holds every
 * lock there is, and enter, exit and wait of that thread do nothing.  This is
 * what lets other people's atfork handlers, which run between ours, allocate.
 *
 * While libc knows of one thread only (__libc_single_threaded) plain loads and
 * stores do, which halves the cost of an allocation.  The states are the same,
 * so a lock taken one way is freed the other way when a thread comes up.
 *
 * A lock that the only thread there is finds held is held by what a signal
 * handler interrupted, and will be for ever: that is an error of the program, and
 * is told.
 *
 * A lock that is held for some instructions only and taken millions of times a
 * second, that of a log, is one nobody sleeps on (kmem_spin_enter): to free it
 * then is a plain store, which wakes nobody.  Who takes all locks sleeps on it
 * for a moment at a time (kmem_fork.c), since large buffers are recorded outside
 * the gate.
 *
 * A pthread_mutex_t was not used: 40 bytes would break the 64-byte CPU element,
 * and its error checking may allocate in some libcs.
 */
#define _GNU_SOURCE
#include "kmem_internal.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPIN_NAP_NS ((hrtime_t)20 * 1000)

const void *volatile kmem_all_holder;

static __thread char self_mark;

const void *kmem_self(void)
{
	return &self_mark;
}

int kmem_holds_all(void)
{
	const void *holder = KM_PEEK(kmem_all_holder);

	return holder != NULL && holder == kmem_self();
}

/** The same for the hot paths (L1). */
static inline int holds_all(void)
{
	const void *holder = KM_PEEK(kmem_all_holder);

	return KM_UNLIKELY(holder != NULL) && holder == kmem_self();
}

static void futex_wait(int32_t *word, int32_t value, hrtime_t deadline)
{
	struct timespec ts;
	int saved = errno;

	if (deadline) {
		hrtime_t left = deadline - kmem_now();

		if (left < 0)
			left = 0;
		ts.tv_sec = left / 1000000000;
		ts.tv_nsec = left % 1000000000;
	}
	(void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value,
		      deadline ? &ts : NULL, NULL, 0);
	errno = saved;
}

static void futex_wake(int32_t *word, int count)
{
	int saved = errno;

	(void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL,
		      0);
	errno = saved;
}

/** The caller finds a lock held: by whom, if it is alone? */
static void check_alone(void)
{
	if (__libc_single_threaded && !kmem_is_reporting())
		kmem_panic("a signal handler called the allocator while its "
			   "thread was within it: the lock it needs is held "
			   "by what it interrupted");
}

static int enter_slow(kmem_mutex_t *m, hrtime_t deadline)
{
	int spin;

	for (spin = 0; spin < 64; spin++) {
		int32_t free_word = 0;

		if (__atomic_load_n(&m->km_word, __ATOMIC_RELAXED) == 0 &&
		    __atomic_compare_exchange_n(&m->km_word, &free_word, 1, 0,
						__ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return 1;
		__builtin_ia32_pause();
	}
	if (!deadline)
		check_alone();
	while (__atomic_exchange_n(&m->km_word, 2, __ATOMIC_ACQUIRE) != 0) {
		if (deadline && kmem_now() >= deadline)
			return 0;
		futex_wait(&m->km_word, 2, deadline);
	}
	return 1;
}

int kmem_mutex_tryenter(kmem_mutex_t *m)
{
	int32_t free_word = 0;

	if (holds_all())
		return 1;
	if (KM_LIKELY(__libc_single_threaded)) {
		if (m->km_word != 0)
			return 0;
		m->km_word = 1;
		return 1;
	}
	return __atomic_compare_exchange_n(&m->km_word, &free_word, 1, 0,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

void kmem_mutex_enter(kmem_mutex_t *m)
{
	if (KM_UNLIKELY(!kmem_mutex_tryenter(m)))
		(void)enter_slow(m, 0); /* without a deadline it returns held */
}

void kmem_spin_enter(kmem_mutex_t *m)
{
	unsigned n = 0;

	while (KM_UNLIKELY(!kmem_mutex_tryenter(m)))
		if (++n % 64 == 0) {
			check_alone();
			kmem_nap(SPIN_NAP_NS);
		} else {
			__builtin_ia32_pause();
		}
}

void kmem_spin_exit(kmem_mutex_t *m)
{
	if (!holds_all())
		__atomic_store_n(&m->km_word, 0, __ATOMIC_RELEASE);
}

int kmem_mutex_enter_until(kmem_mutex_t *m, hrtime_t deadline)
{
	return kmem_mutex_tryenter(m) || enter_slow(m, deadline);
}

void kmem_mutex_break(kmem_mutex_t *m)
{
	if (KM_LIKELY(__libc_single_threaded))
		m->km_word = 0;
	else if (__atomic_exchange_n(&m->km_word, 0, __ATOMIC_RELEASE) == 2)
		futex_wake(&m->km_word, 1);
}

void kmem_mutex_exit(kmem_mutex_t *m)
{
	if (!holds_all())
		kmem_mutex_break(m);
}

int kmem_cv_timedwait(kmem_cv_t *cv, kmem_mutex_t *m, hrtime_t ns)
{
	int32_t seq = __atomic_load_n(&cv->kc_seq, __ATOMIC_RELAXED);
	int was_inside;

	if (holds_all()) /* nobody else can do anything: it would not end */
		kmem_panic("a wait for memory in a fork handler: every lock is "
			   "held, nothing can be freed");
	was_inside = kmem_gate_leave();
	__atomic_fetch_add(&cv->kc_waiters, 1, __ATOMIC_RELAXED);
	kmem_mutex_exit(m);
	futex_wait(&cv->kc_seq, seq, ns ? kmem_now() + ns : 0);
	kmem_gate_return(was_inside, 1);
	kmem_mutex_enter(m);
	__atomic_fetch_sub(&cv->kc_waiters, 1, __ATOMIC_RELAXED);
	return seq != __atomic_load_n(&cv->kc_seq, __ATOMIC_RELAXED);
}

void kmem_cv_wait(kmem_cv_t *cv, kmem_mutex_t *m)
{
	(void)kmem_cv_timedwait(cv, m, 0);
}

void kmem_cv_broadcast(kmem_cv_t *cv)
{
	if (__atomic_load_n(&cv->kc_waiters, __ATOMIC_RELAXED) == 0)
		return;
	__atomic_fetch_add(&cv->kc_seq, 1, __ATOMIC_RELEASE);
	futex_wake(&cv->kc_seq, INT_MAX);
}

void kmem_futex_wait(int32_t *word, int32_t value, hrtime_t ns)
{
	futex_wait(word, value, ns ? kmem_now() + ns : 0);
}

void kmem_futex_wake_all(int32_t *word)
{
	futex_wake(word, INT_MAX);
}

void kmem_nap(hrtime_t ns)
{
	int32_t never = 0;

	futex_wait(&never, 0, kmem_now() + ns);
}
