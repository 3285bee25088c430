/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The examined program: bytes at addresses, maps, threads, notes.
 *
 * The file is mapped, not copied.  Every number in it is hostile: headers and
 * notes are bounds-checked when the target is opened; an address is looked up
 * before it is read.
 */
#ifndef TARGET_TARGET_H
#define TARGET_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/procfs.h>
#include <sys/user.h>
#include "base/err.h"

/* an address in the target; never a pointer */
typedef uint64_t taddr_t;

struct target;

enum map_presence {
	MAP_IN_CORE,   /* every byte is in the core */
	MAP_PARTLY,    /* the first filesz bytes are, the rest is not */
	MAP_FROM_FILE, /* none in the core; unmodified file contents */
	MAP_ABSENT,    /* neither: unreadable, or left out */
};

/* a range of the target's address space, ascending, disjoint */
struct target_map {
	taddr_t start, end; /* [start, end) */
	taddr_t core_end;   /* bytes [start, core_end) are in the core */
	uint64_t core_off;  /* where in the core file */
	uint64_t file_off;  /* where in path; valid if path */
	const char *path;   /* file it maps (from NT_FILE), or NULL */
	unsigned prot;      /* PF_R | PF_W | PF_X; 0 = no access */
	enum map_presence presence;
};

struct target_thread {
	uint32_t tid;
	int cursig;
	struct user_regs_struct regs;
	bool has_regs;      /* false: registers were not recorded */
	bool regs_partial;  /* only rip and rsp are meaningful */
	bool is_at_call;    /* the thread is in a call it made: nothing below
			     * rsp is in use, not even a red zone */
	const void *fpregs; /* user_fpregs_struct bytes, or NULL; borrowed */
	size_t fpregs_bytes;
	const void *xstate; /* NT_X86_XSTATE bytes, or NULL */
	size_t xstate_bytes;
	char name[17]; /* "" when not recorded */
};

struct target_note {
	const char *owner; /* NUL-terminated copy */
	uint32_t type;
	const void *desc; /* borrowed: in the mapped file */
	size_t desc_bytes;
};

struct target_info {
	uint32_t pid;
	char fname[17]; /* from NT_PRPSINFO */
	char psargs[81];
	int signo;          /* that ended it, 0 none */
	taddr_t fault_addr; /* si_addr for a fault */
	int si_code;
	uint32_t sender_pid, sender_uid; /* of a signal with si_code <= 0 */
	bool is_raw;                     /* any file: see target_open_raw() */
	bool is_exec;            /* no process: see target_open_exec() */
	bool is_snapshot;        /* has KMEM notes */
	bool is_outside;         /* "pmdb snap -p" wrote them */
	bool is_live;            /* no dump: see target_open_live() */
	const char *snap_reason; /* why it was taken, in words; NULL unknown */
	uint64_t snap_wall_ns;   /* when, since 1970; 0 unknown */
	/* allocator options in effect: "NAME=value" strings, each ended by
	 * NUL; borrowed */
	const char *snap_env;
	size_t snap_env_bytes;
	/* what is missing from the file, in words; NULL when it is whole.  A
	 * truncated core, or a snapshot without its end mark. */
	const char *incomplete;
	uint64_t absent_bytes; /* readable memory the producer left out */
};

/**
 * Opens a core file.
 *
 * @path:        ELF64 x86-64 ET_CORE, ours, gdb's or the kernel's
 * @ret_target:  owned by the caller, see target_close()
 *
 * Errors: ERR_IO cannot be opened or mapped; ERR_BADDATA is not a core, with
 * what it is instead (not an ELF file, an executable, 32-bit, empty, ...).
 * A truncated file opens; target_info().incomplete says what is missing.
 */
struct err *target_open_core(const char *path,
			     struct target **ret_target) must_use;

/**
 * Opens an executable or library that no process runs: its segments at the
 * addresses it was linked for, as they are before any relocation.
 *
 * @ret_target:  owned by the caller, see target_close()
 *
 * Errors: as target_open_core().
 */
struct err *target_open_exec(const char *path,
			     struct target **ret_target) must_use;

/**
 * Stops a process and opens it; it is only read.
 *
 * @ret_target:  owned by the caller, see target_close(), which lets the process
 *               go on, as does the end of pmdb by whatever cause
 *
 * Errors: ERR_NOTFOUND, ERR_IO, ERR_NOSUP as one sentence on the process.
 */
struct err *target_open_live(int pid, struct target **ret_target) must_use;

/**
 * Stops the process again and looks at it anew: everything borrowed from the
 * target is void.  Nothing for other targets, and when it stands still.
 *
 * Errors: as target_open_live(); the target is empty then.
 */
struct err *target_hold(struct target *t) must_use;

/** Lets the process go on.  What was read of it can still be read. */
void target_let_go(struct target *t);

/** A number for the files a live target maps, and where. */
uint64_t target_objects_id(const struct target *t);

/**
 * Opens any file as bytes: the address is the offset.
 *
 * @ret_target:  owned by the caller, see target_close()
 *
 * Errors: as target_open_core(), but that every content will do.
 */
struct err *target_open_raw(const char *path,
			    struct target **ret_target) must_use;

/**
 * A target from bytes, for tests and fuzzers: one map a call of
 * target_mem_add().
 */
struct target *target_mem_create(void);
void target_mem_add(struct target *t, taddr_t start, const void *bytes,
		    size_t n, unsigned prot);
/** Adds a thread to a target_mem_create() target. */
void target_mem_thread(struct target *t, const struct target_thread *thread);

/** Ends a target and everything borrowed from it; NULL allowed. */
void target_close(struct target *t);

/** What the core says of its process.  Borrowed. */
const struct target_info *target_info(const struct target *t);
/** Path of the core file; "" for a target from bytes. */
const char *target_path(const struct target *t);
/** The open file descriptor of the core, for libelf; -1 if there is none. */
int target_fd(const struct target *t);

/**
 * Reads memory: all of it or ERR_FAULT naming the first bad address.
 * Pages not in the core but unmodified from a file are read through the
 * provider set by target_set_file_reader().
 *
 * @addr: addr + len must not wrap
 */
struct err *target_read(const struct target *t, taddr_t addr, void *buf,
			size_t len) must_use;
struct err *target_read_u64(const struct target *t, taddr_t addr,
			    uint64_t *ret) must_use;
/**
 * Reads a NUL-terminated string of at most max bytes (NUL included).
 * @ret: owned by the caller; cut at max
 */
struct err *target_read_str(const struct target *t, taddr_t addr, size_t max,
			    char **ret) must_use;

/**
 * The longest run of bytes in memory that starts at addr, without copying.
 *
 * @ret_len:  set to its length; 0 when nothing is there
 *
 * Returns a pointer into the mapped core (any alignment), or NULL.  Borrowed
 * until the target closes, or target_hold().  Of a process that runs, the run
 * is 1 MiB at least, if the memory is, but need not be the longest.  A core
 * whose file shrinks under us raises SIGBUS, which target_open_core() turns
 * into one line and status 3.
 */
const void *target_peek(const struct target *t, taddr_t addr, size_t *ret_len);

/**
 * The first address from at on, below end, that may read as other than zero, or
 * end: what nobody ever touched is a hole in the core's file, and of a large map
 * it may be nearly all.  Told by pages from at on.
 *
 * @ret_stop:  up to there nothing more is left out
 */
taddr_t target_past_zeros(const struct target *t, taddr_t at, taddr_t end,
			  taddr_t *ret_stop);

/**
 * What was looked at of the core will not be soon: the memory of this process
 * that holds it is given back.  Every pointer into it stays good; what is looked
 * at again is had from the file.  Nothing for a small core, or a process.
 */
void target_release(const struct target *t);
/** The same after so many bytes were passed, looked at or not, once too much of
 * it is held.  For any thread. */
void target_passed(struct target *t, uint64_t bytes);
/** The same of one of n things that lie all over the core, mostly in order. */
void target_passed_share(struct target *t, uint64_t n);

/** Maps in ascending order. */
size_t target_nmaps(const struct target *t);
const struct target_map *target_map(const struct target *t, size_t i);
/** The map that holds addr, or NULL. */
const struct target_map *target_map_at(const struct target *t, taddr_t addr);

/** Threads, as the core lists them. */
size_t target_nthreads(const struct target *t);
/** The i-th thread; 0 is the one that crashed or asked for the snapshot. */
const struct target_thread *target_thread(const struct target *t, size_t i);

/** Every note of the core, in file order.  Borrowed. */
size_t target_nnotes(const struct target *t);
const struct target_note *target_note(const struct target *t, size_t i);
/** First note of an owner and type, or NULL. */
const struct target_note *target_find_note(const struct target *t,
					   const char *owner, uint32_t type);
/** Value of an auxiliary vector entry; false when there is none. */
bool target_auxv(const struct target *t, uint64_t type, uint64_t *ret_value);

/**
 * Supplies bytes of files that are mapped but not in the core: fills buf with
 * len bytes of path from off, or returns false.  The types floor sets it, after
 * it has matched the file's build-id.
 */
typedef bool target_file_reader_fn(void *arg, const char *path, uint64_t off,
				   void *buf, size_t len);
/** Sets who supplies them; NULL: nobody. */
void target_set_file_reader(struct target *t, target_file_reader_fn *fn,
			    void *arg);

#endif
