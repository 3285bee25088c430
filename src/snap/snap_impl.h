/* SPDX-License-Identifier: MIT */
/*
 * What the files of the snapshot writer know of each other.
 */
#ifndef SNAP_IMPL_H
#define SNAP_IMPL_H

#include <limits.h>
#include <stdint.h>
#include <sys/user.h>

#include "contract/notes.h"
#include "snap/elfcore.h"
#include "snap/snap.h"

#define SNAP_NO_REGS  0 /* nt_regs */
#define SNAP_PC_SP    1
#define SNAP_ALL_REGS 2
#define SNAP_AT_CALL  3

/* a thread, filled in by itself in the handler of the stop signal */
struct snap_thread {
	uint32_t tid;
	uint32_t regs; /* SNAP_NO_REGS .. SNAP_AT_CALL */
	int is_signalled;
	volatile int is_stopped;
	const void *ucontext; /* ucontext_t on the thread's own stack */
	uint64_t fs_base, gs_base;
	uint64_t pc, sp; /* all there is for SNAP_PC_SP */
	char name[16];
};

/*
 * The memory a snapshot works in: shared with the forked child, never part of
 * the image.  The parent writes it before the fork, the child after.
 */
struct snap_work {
	size_t work_bytes; /* of this mapping */
	const struct snap_request *req;
	/* the process */
	int32_t pid, tid, ppid, pgrp, sid;
	uint32_t uid, gid;
	char comm[16];
	int is_forked;
	uint64_t wall_ns, mono_ns;
	/* the calling thread, when req->ucontext is NULL */
	struct user_regs_struct self_regs;
	char self_fpregs[512] __attribute__((aligned(16)));
	/* set by the writer */
	uint32_t nthreads_lost;
	volatile int is_done;
	volatile int result;     /* 0 or errno, once is_done */
	char tmp[PATH_MAX + 32]; /* the unfinished file, or "" */
	struct elfcore core;
	char scratch[65536]; /* text from /proc, records of pagemap */
	char path[256];      /* names in /proc */
	size_t nthreads, max_threads;
	struct snap_thread threads[]; /* the calling one first */
};

/* what of a map goes into the file */
enum snap_take {
	SNAP_NOTHING,    /* not readable, or to be found in the mapped file */
	SNAP_FIRST_PAGE, /* of an ELF file: headers, build-id */
	SNAP_PRESENT,    /* pages there are; the others read as zero */
	SNAP_ALL,
	SNAP_ABSENT, /* readable, left out on purpose */
};

#define SNAP_R      1
#define SNAP_W      2
#define SNAP_X      4
#define SNAP_SHARED 8

/* a line of /proc/self/maps */
struct snap_map {
	uint64_t start, end;
	uint64_t pgoff_bytes;
	uint64_t inode;
	uint64_t file_at;    /* p_offset */
	uint64_t file_bytes; /* p_filesz */
	const char *name;    /* "" for anonymous memory */
	uint8_t flags;       /* SNAP_R ... */
	uint8_t take;        /* enum snap_take */
	uint8_t rank;        /* 0 is first in the file */
};

struct snap_maps {
	size_t table_bytes; /* of the mapping that holds maps[] and names */
	size_t nmaps;
	struct snap_map *maps; /* by address */
};

/**
 * Reads a file of /proc, or the start of it.
 *
 * Returns the bytes read, at most room, or -errno.
 */
long snap_read_file(const char *path, char *buf, size_t room);

/** Appends text to a string in a buffer of room bytes; what does not fit is
 * left out.  Returns the new end. */
char *snap_append(char *at, char *end, const char *text);

/** Appends a decimal number as snap_append() does. */
char *snap_append_number(char *at, char *end, uint64_t n);

/**
 * Reads the map of the process that calls it, less what belongs to the
 * snapshot, and decides what of it goes into the file.
 *
 * @ret_maps:  released with snap_maps_fini(); also set up on failure
 *
 * Returns 0 or -errno.
 */
int snap_maps_init(struct snap_maps *ret_maps, struct snap_work *work);

/** Releases what snap_maps_init() took. */
void snap_maps_fini(struct snap_maps *maps);

/** Writes what is taken of a map: map->file_bytes of it. */
void snap_map_write(const struct snap_map *map, struct snap_work *work,
		    int pagemap_fd);

/**
 * Stops every other thread of the process and collects where it is.  Each is
 * in work->threads afterwards; those that do not answer in time go on running.
 */
void snap_threads_stop(struct snap_work *work);

/** Lets the threads go on; work may be unmapped if this returns 0. */
int snap_threads_resume(struct snap_work *work);

/** The calling thread's own fs and gs base. */
void snap_own_bases(struct snap_thread *thread);

/** NT_PRSTATUS registers of a thread. */
void snap_regs_general(const struct snap_work *work,
		       const struct snap_thread *thread,
		       struct user_regs_struct *ret_regs);

/** NT_FPREGSET of a thread, 512 bytes; NULL when unknown. */
const void *snap_regs_fp(const struct snap_work *work,
			 const struct snap_thread *thread);

/**
 * NT_X86_XSTATE of a thread, cut to what readers know; NULL when there is
 * none.
 *
 * @ret_mask:   the features its bytes hold; goes to offset 464 and 512
 */
const void *snap_regs_xstate(const struct snap_work *work,
			     const struct snap_thread *thread,
			     size_t *ret_bytes, uint64_t *ret_mask);

/** Writes the file req->path.  Returns 0 or a positive errno; then there is
 * no file. */
int snap_write(struct snap_work *work);

#endif
