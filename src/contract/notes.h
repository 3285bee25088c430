/* SPDX-License-Identifier: MIT */
/*
 * The notes a libkmem snapshot carries beside the standard ones.
 *
 * Owner "KMEM".  Payloads are little endian and of fixed width; a reader takes
 * the bytes it knows and ignores the rest, a writer only ever appends.  A note
 * of unknown type is skipped, one shorter than its first version is rejected.
 */
#ifndef CONTRACT_NOTES_H
#define CONTRACT_NOTES_H

#include <stdint.h>

#define KMEM_NOTE_OWNER   "KMEM"
#define KMEM_NOTE_VERSION 1

/* gdb reads a note of an owner it does not know as if the kernel had written
 * it, by type alone: ours are far from any of the kernel's */
enum kmem_note_type {
	KMEM_NT_SNAP = 0x4b4d0001, /* struct kmem_note_snap; first PT_NOTE */
	KMEM_NT_ENV,     /* effective options, "NAME=value\0" strings */
	KMEM_NT_THREADS, /* struct kmem_note_thread, one a thread */
	KMEM_NT_ABSENT,  /* pairs of uint64_t start, end: readable memory
			      * deliberately left out */
	KMEM_NT_END,     /* struct kmem_note_end; alone in the last PT_NOTE,
			      * at the very end of the file */
};

enum kmem_snap_reason {
	KMEM_SNAP_CALL = 1,    /* kmem_snapshot() */
	KMEM_SNAP_EXIT = 2,    /* exit(), or return from main */
	KMEM_SNAP__EXIT = 3,   /* _exit(), _Exit(), quick_exit() */
	KMEM_SNAP_SIGNAL = 4,  /* the signal the user asked for; goes on */
	KMEM_SNAP_FATAL = 5,   /* a signal that ends the process */
	KMEM_SNAP_PANIC = 6,   /* the allocator found corruption */
	KMEM_SNAP_OUTSIDE = 7, /* "pmdb snap -p", by ptrace */
};

enum kmem_snap_quiescent {
	KMEM_QUIESCENT_NO = 0,
	KMEM_QUIESCENT_YES = 1,     /* every allocator lock was held */
	KMEM_QUIESCENT_UNKNOWN = 2, /* the writer knows no allocator */
};

struct kmem_note_snap {
	uint32_t ns_version; /* KMEM_NOTE_VERSION */
	uint32_t ns_reason;  /* enum kmem_snap_reason */
	uint64_t ns_wall_ns; /* CLOCK_REALTIME */
	uint64_t ns_mono_ns; /* CLOCK_MONOTONIC; the log's clock */
	uint32_t ns_pid;
	uint32_t ns_tid;       /* the thread that asked */
	uint32_t ns_quiescent; /* enum kmem_snap_quiescent */
	uint32_t ns_signo;     /* 0 if none */
	uint32_t ns_nthreads;
	uint32_t ns_nthreads_lost; /* threads whose registers are unknown */
	uint32_t ns_exit_status;   /* for EXIT and _EXIT when known */
	uint32_t ns_forked; /* 1: written by a forked child; 0: in place */
};

struct kmem_note_thread {
	uint32_t nt_tid;
	uint32_t nt_regs; /* 3 all registers, at a call: nothing below sp is
			   * in use; 2 all, 1 pc and sp only, 0 none */
	char nt_name[16];
};

struct kmem_note_end {
	uint64_t ne_size;       /* bytes in the file, this note included */
	uint64_t ne_unreadable; /* bytes that could not be read: zeros stand
				 * in their place */
};

#endif
