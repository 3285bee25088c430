/* SPDX-License-Identifier: MIT */
/*
 * What the files of the library know of each other.  Nothing here is exported.
 *
 * Lock order, outermost first; the same order is taken for fork and for a
 * snapshot (kmem_fork.c):
 *
 *   kmem_init_lock, kmem_update_lock, kmem_list_lock,
 *   vmem_list_lock, vmem_populate_lock,
 *   of each cache: cache_lock, cc_lock by index, cache_depot_lock,
 *   the stack depot, the pagemap, each vm_lock, vmem_segfree_lock,
 *   of each log: clh_lock by index, lh_lock
 *
 * No cache lock is held while memory is asked of an arena, no vm_lock while an
 * arena asks its source.
 */
#ifndef KMEM_INTERNAL_H
#define KMEM_INTERNAL_H

#include <stdarg.h>
#include "kmem_impl.h"
#include "snap/snap.h"

#define KM_LIKELY(x) __builtin_expect(!!(x), 1)
#define KM_UNLIKELY(x) __builtin_expect(!!(x), 0)

#define KMEM_PAGE ((size_t)4096)

/* ---- for the malloc layer (kmem_alloc.c) ------------------------------ */

/**
 * Allocates memory of any size for malloc and its relations.
 *
 * @size:   bytes; 0 gives a buffer of its own
 * @align:  power of two; 0 and whatever is below 16 mean 16
 * @kind:   enum kmem_kind, for the audit record
 *
 * Returns NULL when there is no memory or the size is absurd; sets no errno
 * and keeps the one there is.  Works before anything was initialised.
 */
KM_HIDDEN void *kmem_malloc_impl(size_t size, size_t align, int kind);

/**
 * Frees what kmem_malloc_impl() gave; NULL is allowed.  A pointer that is not
 * the start of a live buffer is reported as KMERR_* and, with noabort, left.
 * Keeps errno.
 */
KM_HIDDEN void kmem_free_impl(void *p, int kind);

/**
 * The bytes a caller may use of a buffer kmem_malloc_impl() gave: exactly the
 * size asked for when guards are on, the size of the class when not; for an
 * oversize buffer what was asked for, rounded up to pages without guards.
 * Returns 0 for NULL and for what is not ours.
 */
KM_HIDDEN size_t kmem_usable(const void *p);

/**
 * Finds the cache an address belongs to, in O(1), without a lock.
 *
 * @slab:  set to the slab when not NULL
 * @base:  set to the start of the buffer that holds p when not NULL
 *
 * Returns NULL for an address in no slab of an object cache; p may be anything.
 */
KM_HIDDEN kmem_cache_t *kmem_addr_cache(const void *p, kmem_slab_t **slab,
					void **base);

/** Bytes asked for of the oversize buffer that starts at p; 0: none does. */
KM_HIDDEN size_t kmem_addr_oversize(const void *p);

/* ---- for the snapshot code (kmem_fork.c, kmem_fail.c) ----------------- */

/** Called once a report is printed and before SIGABRT; NULL: nothing. */
extern KM_HIDDEN void (*kmem_panic_hook)(void);

/**
 * Takes every lock of the allocator, in order; the calling thread may go on
 * using the allocator meanwhile, others wait.  Nests.
 *
 * @try_ms:  longest time to wait for all of them, -1 for ever
 *
 * Returns 0 when every lock is held; -1 when time ran out, then none is held.
 */
KM_HIDDEN int kmem_lock_all(int try_ms);

/** Undoes kmem_lock_all(); in a forked child too. */
KM_HIDDEN void kmem_unlock_all(void);

/**
 * Lists the spans of memory that hold the allocator's own data, to be written
 * first in a snapshot.  Takes no lock: call with kmem_lock_all() held.
 *
 * Returns how many were stored, at most max.
 */
KM_HIDDEN size_t kmem_meta_ranges(struct snap_range *ranges, size_t max);

/**
 * The value of an environment variable, readable before libc has set up
 * environ; NULL when unset.  In a set-id process every one is unset.
 */
KM_HIDDEN const char *kmem_getenv(const char *name);

/* ---- start and state (kmem_init.c, kmem_env.c) ------------------------ */

/** Brings the whole allocator up; every public entry that finds it not ready
 * calls it.  Returns at once in the thread that is doing so already. */
KM_HIDDEN void kmem_init(void);

/** Brings up options and arenas only: enough for kmem_pages_alloc(). */
KM_HIDDEN void kmem_init_vmem(void);

/* every entry begins with this */
static inline void kmem_ready_check(void)
{
	if (KM_UNLIKELY(kmem_ready != 2))
		kmem_init();
}

/* effective options; written once, before kmem_ready is 2 */
struct kmem_options {
	unsigned stack_depth;	 /* audit=N */
	size_t content_maxsave;	 /* contents=N */
	size_t maxverify;	 /* maxverify=N, SIZE_MAX none */
	size_t minfirewall;	 /* firewall=N, SIZE_MAX none */
	unsigned long mtbf;	 /* mtbf=N, 0 none */
	unsigned concurrency;	 /* concurrency=N, 0 by the CPUs */
	int is_verbose;		 /* verbose */
	int no_abort;		 /* noabort */
	size_t log_transaction;	 /* bytes, 0 no log */
	size_t log_content;
	size_t log_failure;
	size_t log_slab;
};
extern KM_HIDDEN struct kmem_options kmem_options;

/* ---- system calls that leave errno alone (kmem_sys.c) ----------------- */

/** Anonymous private read-write memory, or NULL. */
KM_HIDDEN void *kmem_sys_map(size_t bytes);
/** Gives mapped memory back; returns 0 or -1. */
KM_HIDDEN int kmem_sys_unmap(void *addr, size_t bytes);
/** Monotonic nanoseconds. */
KM_HIDDEN hrtime_t kmem_now(void);
/** Thread id of the caller, remembered per thread. */
KM_HIDDEN uint32_t kmem_tid(void);
/** Forgets the remembered thread id: first thing in a forked child. */
KM_HIDDEN void kmem_tid_reset(void);
/** Writes all bytes to a descriptor, as far as it goes. */
KM_HIDDEN void kmem_sys_write(int fd, const char *buf, size_t bytes);

/* ---- locks (kmem_lock.c) ---------------------------------------------- */

/* who holds everything (kmem_lock_all), or NULL */
extern KM_HIDDEN const void *volatile kmem_all_holder;

/** An address that stands for the calling thread; the same after fork. */
KM_HIDDEN const void *kmem_self(void);

KM_HIDDEN void kmem_mutex_enter(kmem_mutex_t *m);
KM_HIDDEN void kmem_mutex_exit(kmem_mutex_t *m);
/** Returns 1 when the lock was free and now is held, 0 when it was not. */
KM_HIDDEN int kmem_mutex_tryenter(kmem_mutex_t *m);
/** Like kmem_mutex_enter(), giving up at a time of kmem_now(); 1 when held. */
KM_HIDDEN int kmem_mutex_enter_until(kmem_mutex_t *m, hrtime_t deadline);
/** Frees a lock whoever holds it. */
KM_HIDDEN void kmem_mutex_break(kmem_mutex_t *m);
/** Waits for a broadcast; m is dropped meanwhile. */
KM_HIDDEN void kmem_cv_wait(kmem_cv_t *cv, kmem_mutex_t *m);
KM_HIDDEN void kmem_cv_broadcast(kmem_cv_t *cv);

/* ---- messages and panic (kmem_fail.c) --------------------------------- */

/**
 * Formats without libc: %s %c %d %u %x %p and their l, ll forms with width and
 * zero fill.  The result is always ended.  Returns its length.
 */
KM_HIDDEN size_t kmem_vformat(char *buf, size_t room, const char *fmt,
			      va_list ap) __attribute__((format(printf, 3, 0)));
KM_HIDDEN size_t kmem_format(char *buf, size_t room, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** Appends to kmem_error_buffer and writes to stderr. */
KM_HIDDEN void kmem_report(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
/** A line on stderr if the option verbose was given. */
KM_HIDDEN void kmem_warn(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
/** Reports, runs the hook and ends the process by SIGABRT. */
KM_HIDDEN void kmem_panic(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));
/** Runs the hook and ends the process by SIGABRT. */
KM_HIDDEN void kmem_abort(void) __attribute__((noreturn));

#endif
