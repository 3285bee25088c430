/* SPDX-License-Identifier: MIT */
/*
 * What a transaction of an audited buffer needs of the layers below, in line:
 * the gate, the stack, the time and the log.  Each of them takes a few
 * instructions when all is well, and is asked for out of line when not.
 * Theory in kmem_gate.c, kmem_audit.c, kmem_clock.c and kmem_log.c.
 */
#ifndef KMEM_SHORT_H
#define KMEM_SHORT_H

#include "kmem_thread.h"
#include "unwind_memo.h"

#include <elf.h>
#include <stddef.h>
#include <sys/single_threaded.h>
#include <time.h>

/* ---- the gate (kmem_gate.c) ------------------------------------------- */

struct kmem_gate_self {
	int gs_depth;             /* G1 */
	kmem_thread_t *gs_record; /* counted in while inside, or NULL */
};

extern KM_HIDDEN __thread struct kmem_gate_self kmem_gate_self;
extern KM_HIDDEN int32_t kmem_gate_closed;
extern KM_HIDDEN int kmem_gate_has_membarrier;

/** Does who closes the gate pay for the barrier of who enters?  (G3) */
static inline int kmem_gate_is_cheap(void)
{
	return KM_LIKELY(kmem_gate_has_membarrier || __libc_single_threaded);
}

static inline void kmem_gate_count_in(kmem_thread_t *th)
{
	__asm__ volatile("incl %0" : "+m"(th->th_inside) : : "memory", "cc");
}

static inline void kmem_gate_count_out(kmem_thread_t *th)
{
	__asm__ volatile("decl %0" : "+m"(th->th_inside) : : "memory", "cc");
}

/* not by a pointer to it: of one gcc 12 makes a check for null, with
 * -fsanitize=null, that asks the flags of another comparison */

/** kmem_gate_enter() by a thread that has a record. */
static inline void kmem_gate_step_in(kmem_thread_t *th)
{
	if (KM_UNLIKELY(kmem_gate_self.gs_depth != 0) ||
	    !kmem_gate_is_cheap()) {
		kmem_gate_enter();
		return;
	}
	kmem_gate_self.gs_record = th;
	kmem_gate_count_in(th);
	if (KM_UNLIKELY(KM_PEEK(kmem_gate_closed) != 0)) {
		kmem_gate_count_out(th);
		kmem_gate_enter();
		return;
	}
	kmem_gate_self.gs_depth = 1;
}

/** kmem_gate_exit() of that. */
static inline void kmem_gate_step_out(kmem_thread_t *th)
{
	if (KM_LIKELY(--kmem_gate_self.gs_depth == 0 &&
		      kmem_gate_self.gs_record == th))
		kmem_gate_count_out(th);
	else {
		kmem_gate_self.gs_depth++;
		kmem_gate_exit();
	}
}

/* ---- time (kmem_clock.c) ---------------------------------------------- */

/* clock_gettime(), of the kernel's page if it can be */
extern KM_HIDDEN int (*kmem_clock_coarse)(clockid_t id, struct timespec *ts);

#define KMEM_STAMPS      64 /* of one look at the clock */
#define KMEM_STAMP_AHEAD ((hrtime_t)1000000000)

/** Is a time right, to a tick, for the next transaction of a thread without a
 * look at the clock? */
static inline int kmem_stamp_is_near(kmem_thread_t *th, hrtime_t now)
{
	struct timespec ts = {0, 0};
	hrtime_t tick;

	if (KM_UNLIKELY(!__libc_single_threaded) || KM_UNLIKELY(!th))
		return 0;
	(void)kmem_clock_coarse(CLOCK_MONOTONIC_COARSE, &ts);
	tick = (hrtime_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
	if (KM_LIKELY(tick == th->th_tick && th->th_nstamps > 0) &&
	    KM_LIKELY((uint64_t)now - (uint64_t)tick < KMEM_STAMP_AHEAD)) {
		th->th_nstamps--;
		return 1;
	}
	th->th_tick = tick;
	th->th_nstamps = KMEM_STAMPS - 1;
	return 0;
}

/** The time of a transaction, later than that of the last one of the thread,
 * which may be NULL, and than another one, the buffer's last; right to a tick
 * of the kernel's clock while there is one thread, else as the counter is. */
static inline hrtime_t kmem_stamp_after(kmem_thread_t *th, hrtime_t after)
{
	hrtime_t now, clock;

	if (KM_LIKELY(th != NULL) && after < th->th_stamp)
		after = th->th_stamp;
	now = (hrtime_t)((uint64_t)after + 1);
	if (!kmem_stamp_is_near(th, now)) {
		clock = kmem_now();
		/* a record from so far ahead was written over */
		if (clock > now || now - clock > KMEM_STAMP_AHEAD)
			now = clock;
	}
	if (KM_LIKELY(th != NULL))
		th->th_stamp = now;
	return now;
}

/* ---- the log (kmem_log.c) --------------------------------------------- */

/** Gives a CPU the chunk that has been full longest; 0: there is no memory for
 * it now. */
KM_HIDDEN int kmem_log_exchange(kmem_log_header_t *lhp,
				kmem_cpu_log_header_t *clhp, size_t bytes);

/** kmem_spin_enter() of a lock that is most likely free. */
static inline void kmem_spin_step_in(kmem_mutex_t *m)
{
	int32_t free_word = 0;

	if (KM_LIKELY(!KM_PEEK(kmem_all_holder))) {
		if (KM_LIKELY(__libc_single_threaded)) {
			if (KM_LIKELY(m->km_word == 0)) {
				m->km_word = 1;
				return;
			}
		} else if (KM_LIKELY(__atomic_compare_exchange_n(
				   &m->km_word, &free_word, 1, 0,
				   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))) {
			return;
		}
	}
	kmem_spin_enter(m);
}

static inline void kmem_spin_step_out(kmem_mutex_t *m)
{
	if (KM_LIKELY(!KM_PEEK(kmem_all_holder)))
		__atomic_store_n(&m->km_word, 0, __ATOMIC_RELEASE);
	else
		kmem_spin_exit(m);
}

/**
 * Room for a record in the log, to be written and then given free by
 * kmem_spin_step_out() of the lock of *ret_clhp; NULL: there is no log.
 *
 * @bytes:  a multiple of 8, at most lh_chunksize
 */
static inline void *kmem_log_reserve(kmem_log_header_t *lhp, size_t bytes,
				     kmem_cpu_log_header_t **ret_clhp)
{
	kmem_cpu_log_header_t *clhp;
	void *record;

	if (!lhp || !kmem_logging)
		return NULL;
	clhp = &lhp->lh_cpu[KM_LIKELY(__libc_single_threaded)
				    ? 0
				    : kmem_cpu_index()];
	kmem_spin_step_in(&clhp->clh_lock);
	clhp->clh_hits++;
	if (KM_UNLIKELY(bytes > clhp->clh_avail) &&
	    KM_UNLIKELY(!kmem_log_exchange(lhp, clhp, bytes))) {
		kmem_spin_step_out(&clhp->clh_lock);
		return NULL;
	}
	record = clhp->clh_current;
	clhp->clh_current += bytes;
	clhp->clh_avail -= bytes;
	*ret_clhp = clhp;
	return record;
}

/** Room for a record when a thread's run has none, and a new run if it may have
 * one; NULL: there is no log.  What *ret_clhp is set to is as for
 * kmem_log_reserve(), or NULL. */
KM_HIDDEN kmem_bufctl_audit_t *kmem_log_run(kmem_thread_t *th,
					    kmem_cpu_log_header_t **ret_clhp);

/** kmem_log_reserve() of a record of a transaction; th may be NULL. */
static inline __attribute__((always_inline)) kmem_bufctl_audit_t *
kmem_log_record(kmem_thread_t *th, kmem_cpu_log_header_t **ret_clhp)
{
	char *record = (char *)sizeof(kmem_bufctl_audit_t);

	*ret_clhp = NULL;
	if (KM_UNLIKELY(!th))
		return kmem_log_reserve(kmem_transaction_log,
					sizeof(kmem_bufctl_audit_t), ret_clhp);
	if (KM_UNLIKELY(!kmem_logging))
		return NULL;
	__asm__ volatile("xaddq %0, %1" /* L4 of kmem_log.c */
			 : "+r"(record), "+m"(th->th_log)
			 :
			 : "memory", "cc");
	if (KM_LIKELY(record < th->th_log_end))
		return (kmem_bufctl_audit_t *)record;
	return kmem_log_run(th, ret_clhp);
}

/* ---- the stack (kmem_audit.c) ----------------------------------------- */

/* the linker's: where this object begins and its code ends */
extern const Elf64_Ehdr __ehdr_start KM_HIDDEN;
extern const char etext[] KM_HIDDEN;
#define KMEM_NEST_BYTES ((uintptr_t)64 * 1024) /* of stack, most of a capture */

/* the code of the library, when that is an object of its own; written while
 * starting */
struct kmem_own_code {
	uintptr_t oc_start;
	uintptr_t oc_bytes;
};

extern KM_HIDDEN struct kmem_own_code kmem_own_code;

static inline int kmem_is_own_pc(uintptr_t pc)
{
	return pc - kmem_own_code.oc_start < kmem_own_code.oc_bytes;
}

/**
 * The frame that called the library, and the return address in the function it
 * called.  All of the library has frame pointers.  False when the chain of them
 * looks broken.
 */
KM_HIDDEN int kmem_find_caller(const uintptr_t *frame, kmem_frame_t *from,
			       uintptr_t *ret_own);

/** The same in line; it is most likely that the program called the function
 * that called this one. */
static inline __attribute__((always_inline)) int
kmem_find_near(const uintptr_t *frame, kmem_frame_t *from, uintptr_t *ret_own)
{
	const uintptr_t *outer;

	if (KM_UNLIKELY(!kmem_is_own_pc(frame[1])))
		return kmem_find_caller(frame, from, ret_own);
	outer = (const uintptr_t *)frame[0];
	if (KM_UNLIKELY(kmem_is_own_pc(outer[1])))
		return kmem_find_caller(frame, from, ret_own);
	*ret_own = frame[1];
	from->fr_pc = outer[1];
	from->fr_sp = (uintptr_t)(outer + 2);
	from->fr_bp = outer[0];
	return 1;
}

/** kmem_stack_capture() by a thread that has a record.  It is in line, so the
 * frame is the one of the function it is in. */
static inline __attribute__((always_inline)) uint32_t
kmem_stack_recognise(const kmem_thread_t *th)
{
	kmem_frame_t from;
	uintptr_t own;
	uint32_t id = 0;

	if (KM_LIKELY(th->th_memo != NULL) &&
	    KM_LIKELY(kmem_find_near(__builtin_frame_address(0), &from, &own)))
		id = kmem_memo_find(th->th_memo, &from, own);
	return KM_LIKELY(id != 0) ? id : kmem_stack_capture();
}

/* ---- the record (kmem_audit.c) ---------------------------------------- */

/** The last word of a record: thread, kind, what, stack.  Written whole, since
 * a word written in parts is waited for when it is read whole. */
static inline uint64_t kmem_audit_word(uint32_t tid, uint32_t stack, int what,
				       int kind)
{
	return (uint64_t)stack << 32 | ((uint64_t)what & 0xf) << 28 |
	       ((uint64_t)kind & 0xf) << 24 | (tid & 0xffffff);
}

#define KMEM_AUDIT_WORD 5 /* its place */

_Static_assert(offsetof(kmem_bufctl_audit_t, bc_lastlog) + 8 ==
		       KMEM_AUDIT_WORD * 8,
	       "the word is there");
_Static_assert(offsetof(kmem_bufctl_audit_t, bc_stack) ==
		       KMEM_AUDIT_WORD * 8 + 4,
	       "in its half");

static inline void kmem_audit_put_word(kmem_bufctl_audit_t *bcap, uint64_t word)
{
	((uint64_t *)bcap)[KMEM_AUDIT_WORD] = word;
}

/** Writes the record of a transaction of a buffer, and a copy into the log;
 * th is the thread's own, or NULL. */
static inline __attribute__((always_inline)) void
kmem_audit_by(kmem_thread_t *th, kmem_cache_t *cp, kmem_bufctl_audit_t *bcap,
	      uint32_t stack, int what, int kind)
{
	hrtime_t stamp = kmem_stamp_after(th, bcap->bc_timestamp);
	uint64_t word = kmem_audit_word(
		KM_LIKELY(th != NULL) ? KM_PEEK(th->th_tid) : kmem_tid(), stack,
		what, kind);
	kmem_cpu_log_header_t *clhp;
	kmem_bufctl_audit_t *record;

	record = kmem_log_record(th, &clhp);
	/* the copy holds the record before it, which makes a history */
	if (record) {
		record->bc_next = NULL;
		record->bc_addr = bcap->bc_addr;
		record->bc_slab = bcap->bc_slab;
		record->bc_cache = cp;
		record->bc_timestamp = stamp;
		record->bc_lastlog = bcap->bc_lastlog;
		kmem_audit_put_word(record, word);
		record->bc_contents = KM_UNLIKELY(kmem_has_contents)
					      ? bcap->bc_contents
					      : NULL;
		if (KM_UNLIKELY(clhp != NULL))
			kmem_spin_step_out(&clhp->clh_lock);
		bcap->bc_lastlog = record;
	}
	bcap->bc_timestamp = stamp;
	kmem_audit_put_word(bcap, word);
}

#endif
