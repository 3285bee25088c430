/* SPDX-License-Identifier: MIT */
/*
 * What makes a process take a snapshot of itself, for the hooks of the preload
 * library.
 */
#ifndef KMEM_SNAP_H
#define KMEM_SNAP_H

#include <signal.h>

#include "kmem_impl.h"

/* the items of KMEM_SNAPSHOT */
#define KMEM_ON_EXIT   0x01
#define KMEM_ON__EXIT  0x02
#define KMEM_ON_FATAL  0x04
#define KMEM_ON_PANIC  0x08
#define KMEM_ON_SIGNAL 0x10

/* why and where a process ends */
struct kmem_snap_cause {
	uint32_t reason;      /* enum kmem_snap_reason */
	int signo;            /* 0 none */
	const void *siginfo;  /* of the signal, or NULL */
	const void *ucontext; /* where it struck, or NULL: here */
	uint32_t exit_status;
	int may_go_on; /* the thread, while another one takes the snapshot */
};

/** Answers whether another libkmem, preloaded, is the one in use. */
KM_HIDDEN int kmem_snap_is_beside(void);

/** Reads KMEM_SNAPSHOT, once; returns KMEM_ON_*, 0 when it is unset. */
KM_HIDDEN unsigned kmem_snap_events(void);

/**
 * Takes the last snapshot of the process, unless it has been taken, and says
 * so on stderr if it cannot be written.
 *
 * Does nothing in a child of vfork(), which has the memory of its parent; in
 * another thread, waits until the one that was first has finished, unless it
 * may go on.
 *
 * Returns 1 when the process shall end, 0 when another thread will end it.
 */
KM_HIDDEN int kmem_snap_last(const struct kmem_snap_cause *cause);

/** Called first in the handler of a fault: does not return if it was raised
 * by the snapshot's own look at damaged lists. */
KM_HIDDEN void kmem_snap_recover(void);

/** Is this a child of vfork(), on its parent's memory? */
KM_HIDDEN int kmem_snap_is_vforked(void);

/** May every system call a snapshot needs be made? */
KM_HIDDEN int kmem_snap_is_possible(void);

/** Tells "pmdb run", as long as it can, that its program will leave no dump. */
KM_HIDDEN void kmem_snap_give_up(void);

/** Gives the signals that would end the process back to the system, as far as
 * the program has none of its own (preload_hooks.c). */
KM_HIDDEN void kmem_hooks_stop(void);

/** The signal of signal=NAME, or 0. */
KM_HIDDEN int kmem_snap_signal(void);

/** The handler of that signal: takes a snapshot and goes on. */
KM_HIDDEN void kmem_snap_on_signal(int signo, siginfo_t *siginfo,
				   void *ucontext);

#endif
