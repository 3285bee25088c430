/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The inside of struct target, for the files of this folder. */
#ifndef TARGET_TARGET_IMPL_H
#define TARGET_TARGET_IMPL_H

#include "base/mem.h"
#include "target/target.h"

/* bounds on what a hostile file can make us allocate (doc/limits.md) */
enum {
	NOTES_MAX = 1 << 20,
	THREADS_MAX = 1 << 18,
	FILES_MAX = 1 << 20, /* entries of NT_FILE */
	BSS_MAX = 1 << 30,   /* bytes of zeros behind a segment */
};

struct map_impl {
	struct target_map pub;
	const unsigned char *bytes; /* [start, core_end); NULL if empty */
	bool is_owned;              /* bytes is ours to free */
	bool is_left_out;           /* who wrote the core gave it no bytes */
};

/* a line of NT_FILE */
struct file_range {
	taddr_t start, end;
	uint64_t file_off;
	const char *path; /* in the core: NUL-terminated */
};

struct target {
	char *path;
	int fd;
	const unsigned char *base; /* the mapped file */
	uint64_t size_bytes;       /* of the file */
	uint64_t passed_bytes;     /* see target_passed() */
	int statm_fd;              /* for that; -1: not open */
	void *zeros;               /* what a .bss reads as */
	size_t zeros_bytes;

	VEC(struct map_impl) maps;
	VEC(struct target_thread) threads;
	VEC(struct target_note) notes;
	VEC(struct file_range) files;   /* ascending, disjoint */
	VEC(struct file_range) absents; /* ascending, disjoint; path NULL */

	const unsigned char *auxv; /* pairs of uint64_t; any alignment */
	size_t nauxv;
	struct target_info info;
	char *incomplete; /* what info.incomplete points at */

	target_file_reader_fn *read_file;
	void *read_file_arg;
	struct live *live; /* NULL: not of a process that runs */
};

/** Empties a target of maps, threads and notes. */
void target_forget(struct target *t);

/** Has [addr, addr + len), which is in one map and there, copied from the
 * process; false: it cannot be had. */
bool live_fill(const struct target *t, taddr_t addr, uint64_t len);
/** The same for as much of it as target_peek() shows at a time; how much. */
uint64_t live_peek(const struct target *t, taddr_t addr, uint64_t len);
/** Ends what target_open_live() began; nothing for other targets. */
void live_close(struct target *t);

/**
 * Unpacks the mapped file if it is compressed.
 *
 * @ret_fd:  a file with the contents, owned; -1: it is not compressed
 *
 * Errors: ERR_IO no room for it, ERR_BADDATA nothing could be unpacked.
 */
struct err *target_unpack(struct target *t, int *ret_fd) must_use;

/** Adds a reason to info.incomplete. */
void target_incomplete(struct target *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * Parses one PT_NOTE segment into t->notes.
 *
 * @off, len:  clamped to the mapped file by the caller
 * @align:     4 or 8
 */
void notes_parse(struct target *t, uint64_t off, uint64_t len, uint64_t align);

/** Fills info, threads, auxv, files and absents from t->notes. */
void notes_interpret(struct target *t);

/** Sorts ranges and makes them disjoint: the first one wins. */
void ranges_tidy(struct file_range *v, size_t *n);

/** Builds t->maps from PT_LOADs (ascending, disjoint), files and absents;
 * loads is consumed. */
void maps_build(struct target *t, struct map_impl *loads, size_t nloads);

/** Names and partial registers of threads, from KMEM_NT_THREADS; the thread
 * that asked comes first. */
void threads_finish(struct target *t);
/** A note that belongs to a thread: NT_PRSTATUS begins one. */
void threads_note(struct target *t, const struct target_note *note);

#endif
