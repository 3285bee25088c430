/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stopping a process that runs, and letting it go on as if nothing had been. */
#ifndef TARGET_ATTACH_H
#define TARGET_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>
#include "base/err.h"

enum attach_regs {
	ATTACH_NONE,  /* it could not be stopped, and says nothing */
	ATTACH_PC_SP, /* asleep in the kernel: pc, sp and arguments only */
	ATTACH_ALL,
};

struct attach_thread {
	pid_t tid;
	enum attach_regs regs_known;
	struct user_regs_struct regs;
	struct user_fpregs_struct fpregs; /* ATTACH_ALL */
	void *xstate;                     /* NT_X86_XSTATE, or NULL */
	size_t xstate_bytes;
	char name[17];
	/* the inside of attach.c */
	bool is_seized, is_stopped;
	int signo; /* that was on its way to the thread */
};

struct attach;

/**
 * Stops every thread of a process and reads its registers.
 *
 * @pid:         of the process, not of one of its threads
 * @ret_attach:  owned by the caller, see attach_resume()
 *
 * The process is let go when attach_resume() is called, and also when the
 * calling process ends in whatever way.
 *
 * Errors: ERR_NOTFOUND there is no such process; ERR_IO it may not be stopped,
 * with the reason; ERR_NOSUP it is none that could be examined (a thread of
 * the kernel, 32-bit, ended).
 * Cost: 50 us a thread.
 */
struct err *attach_stop(pid_t pid, struct attach **ret_attach) must_use;

/** Lets the process go on; returns for how long (ns) it had been stopped.
 * NULL allowed. */
uint64_t attach_resume(struct attach *attach);

/** Its threads, the main one first if it still runs.  Borrowed. */
const struct attach_thread *attach_threads(const struct attach *attach,
					   size_t *ret_n);

/** A thread by which /proc shows the memory of the process: a main thread that
 * has ended shows none. */
pid_t attach_tid(const struct attach *attach);

/** The value of a line "name:" of /proc/PID/status, owned; NULL: there is no
 * such process or line. */
char *proc_status(pid_t pid, const char *name);

/** The number such a line begins with; -1: there is none. */
long proc_number(pid_t pid, const char *name);

#endif
