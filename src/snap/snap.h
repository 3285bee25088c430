/* SPDX-License-Identifier: MIT */
/*
 * The ELF core writer: what an allocator, or anything else that lives inside a
 * process, needs to write that process down as a core file.
 *
 * Everything here is async-signal-safe: raw system calls, static or stack
 * memory, no malloc, no stdio, no lock, errno kept.
 */
#ifndef SNAP_H
#define SNAP_H

#include <stddef.h>
#include <stdint.h>

struct snap_range {
	uintptr_t start, end; /* [start, end) */
};

struct snap_request {
	const char *path;     /* final name; written beside it, then renamed */
	uint32_t reason;      /* enum kmem_snap_reason */
	int signo;            /* the fatal signal, or 0 */
	const void *siginfo;  /* siginfo_t of it, or NULL */
	const void *ucontext; /* ucontext_t where the caller was interrupted,
			       * or NULL: the caller's own registers */
	int is_at_call;     /* ucontext is that of a call: vector registers and
			 * what is below its sp are not in use */
	uint32_t quiescent; /* the caller holds the allocator's locks */
	uint32_t exit_status;
	const char *env; /* "NAME=value\0..." for KMEM_NT_ENV */
	size_t env_bytes;
	/* what goes first in the file: the allocator's own memory; may be 0 */
	const struct snap_range *first;
	size_t nfirst;
	/* called in the parent once the image is fixed (forked, or written)
	 * and other threads may run again; releases the locks.  May be NULL. */
	void (*release)(void *arg);
	void *release_arg;
	int hold;   /* other threads stand still until the file is complete: the
		     * process is about to end */
	int nofork; /* write in place */
	/* memory with MADV_WIPEONFORK, snap_unforked(); may be 0 */
	const struct snap_range *wiped;
	size_t nwiped;
	int wait; /* 1: return when the file is complete (or failed);
		     * 0: return after the fork */
};

/**
 * Finds memory that a forked child would not see as it is.
 *
 * @ret_wiped:   room for max ranges with MADV_WIPEONFORK, for req->wiped
 * @ret_nwiped:  how many were stored
 *
 * Returns 1 when the snapshot must be written in place (req->nofork): there
 * is readable memory with MADV_DONTFORK, or more ranges than max.
 *
 * Source: VmFlags in /proc/self/smaps; where there is none, nothing is found.
 * Cost: 25 ms a GiB of small pages.
 */
int snap_unforked(struct snap_range *ret_wiped, size_t max, size_t *ret_nwiped);

/**
 * Writes the calling process to a core file.
 *
 * @req:   borrowed until the call returns
 *
 * Returns 0, or a negated errno; the reason is also what snap_strerror() says.
 * On failure no file is left under req->path or beside it.  Other threads are
 * stopped by a signal for the length of a fork, then go on.
 *
 * Cost: other threads stand still for about as long as fork() takes, 35 ms a
 * GiB of small pages; the caller waits for the file if req->wait is set.
 */
int snap_self(const struct snap_request *req);

/**
 * What an error of snap_self() means.
 *
 * @err:  a negated errno
 *
 * Returns a string that lives for ever; unlike strerror() it may be called
 * anywhere.
 */
const char *snap_strerror(int err);

/**
 * Has the calling thread shown, in snapshots others take, as it was at a place
 * it was interrupted at, for as long as it waits in a handler.
 *
 * @ucontext:  borrowed until the next call; NULL: as it is
 *
 * Returns what the call before said.
 */
const void *snap_show_as(const void *ucontext);

/**
 * Collects a writer that snap_self() did not wait for, if it has ended.
 *
 * Called by snap_self() itself; a process that takes no other snapshot may
 * call it so that no zombie stays.
 */
void snap_reap(void);

#endif
