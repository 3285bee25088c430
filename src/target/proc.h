/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A process that stands still, as a core would show it: its notes, and what of
 * its memory is taken.
 */
#ifndef TARGET_PROC_H
#define TARGET_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "target/attach.h"

enum proc_take {
	PROC_NOTHING,    /* not readable, or to be found in the file */
	PROC_FIRST_PAGE, /* of an ELF file: headers, build-id */
	PROC_PRESENT,    /* pages there are; the others read as zero */
	PROC_ALL,
	PROC_ABSENT, /* readable, left out on purpose */
};

/* a line of /proc/PID/maps */
struct proc_map {
	uint64_t start, end; /* [start, end) */
	uint64_t file_off;
	uint64_t inode;
	const char *name; /* "" for anonymous memory; owned by the proc */
	unsigned prot;    /* PF_R | PF_W | PF_X */
	bool is_shared;
	enum proc_take take;
	uint64_t take_bytes; /* how much of it, from its start */
	unsigned rank;       /* 0 is first in a core */
};

struct proc {
	pid_t pid;
	struct attach *attach;
	int mem_fd, pagemap_fd; /* of the process */
	VEC(struct proc_map) maps;
	VEC(char *) names;
	struct strbuf notes; /* as in the first PT_NOTE of a core */
	unsigned filter;     /* /proc/PID/coredump_filter */
	uint64_t wall_ns;
	uint64_t paused_ns; /* when it goes on: for how long it stood still */
};

struct proc_hold;

struct proc_options {
	/* leave out what coredump_filter and MADV_DONTDUMP want left out, as
	 * the kernel does; else take all that can be read */
	bool is_filtered;
};

/**
 * Stops a process and describes it.
 *
 * @opt:       borrowed
 * @ret_proc:  owned by the caller, see proc_release()
 *
 * Errors: as attach_stop().
 */
struct err *proc_stop(pid_t pid, const struct proc_options *opt,
		      struct proc **ret_proc) must_use;

/** Lets the process go on: of its memory nothing can be read then. */
void proc_resume(struct proc *proc);
/** Lets the process go on, if it does not, and forgets it; NULL allowed.  Returns
 * for how long (ns) it had been stopped. */
uint64_t proc_release(struct proc *proc);

/**
 * Reads memory of the process.
 *
 * @buf:  bytes that cannot be read are zero in it
 *
 * Returns how many bytes could be read.
 */
size_t proc_read(const struct proc *proc, uint64_t addr, void *buf, size_t len);

/* calls for a run of [start, end) that is there (else: zeros) */
typedef struct err *proc_run_fn(void *arg, uint64_t start, uint64_t end);

/**
 * Says which pages of a map there are.
 *
 * @start, end:  page-aligned, in the map
 * @fn:          called for each run that may hold something but zeros
 *
 * Never has the process touch a page it has not touched.
 */
struct err *proc_runs(const struct proc *proc, const struct proc_map *map,
		      uint64_t start, uint64_t end, proc_run_fn *fn,
		      void *arg) must_use;

/** Appends the notes of a process to proc->notes. */
void proc_notes(struct proc *proc);

/** The last note of a core of ours: it is complete, and so long. */
void proc_end_note(struct strbuf *notes, uint64_t core_bytes,
		   uint64_t unreadable_bytes);

struct proc_written {
	uint64_t file_bytes;   /* of the core */
	uint64_t memory_bytes; /* of memory in it */
	uint64_t absent_bytes; /* left out by the filter */
	uint64_t unreadable_bytes;
	size_t nthreads, nthreads_lost;
};

/**
 * Writes a stopped process to a core file: beside its name, then renamed.  Lets
 * it go on when its memory has been copied.
 *
 * @path:         no file of this name, or a regular one, which is replaced
 * @hold:         made for this process; filled
 * @ret_written:  what is in it
 *
 * Errors: ERR_IO; ERR_STOP when interrupt_flag is set.  Then there is no file.
 */
struct err *proc_write(struct proc *proc, const char *path,
		       struct proc_hold *hold,
		       struct proc_written *ret_written) must_use;

#endif
