/* SPDX-License-Identifier: MIT */
/*
 * What the files of snapshots share: what KMEM_SNAPSHOT said, and how text is put
 * together without libc.
 */
#ifndef KMEM_SNAP_IMPL_H
#define KMEM_SNAP_IMPL_H

#include <limits.h>
#include <stddef.h>

#include "kmem_snap.h"

/* as the environment was at the start; written once, by the constructor */
struct kmem_snap_conf {
	int is_read;
	int is_left_out; /* by only= */
	unsigned events; /* KMEM_ON_* */
	int signo;
	int main_pid;
	char comm[16];
	size_t env_bytes;
	/* the pages of these are touched if there is something to put there */
	char list[PATH_MAX];
	char path[PATH_MAX]; /* a template, absolute */
	char env[8192];      /* KMEM_NT_ENV */
};
extern KM_HIDDEN struct kmem_snap_conf kmem_snap_conf;

/* a place to write text; what does not fit makes it fail */
struct kmem_text {
	char *at, *end;
	int is_full;
};

/** Adds a character, a string, a number in decimal; what is there ends in a
 * NUL. */
KM_HIDDEN void kmem_text_put(struct kmem_text *t, char c);
KM_HIDDEN void kmem_text_string(struct kmem_text *t, const char *s);
KM_HIDDEN void kmem_text_number(struct kmem_text *t, uint32_t n);

/** The file name that a template means in this process for its dump of that
 * number, from 1; 0 or -ENAMETOOLONG.  Only of the template of KMEM_SNAPSHOT
 * are names made different that lack %p or %n. */
KM_HIDDEN int kmem_snap_expand(const char *template, uint32_t number, char *buf,
			       size_t room);

/** Tells "pmdb run" of a dump, by its name, or why there is none; the caller
 * holds the lock of snapshots.  0 or -errno; -ENOENT when nobody wants to know. */
KM_HIDDEN long kmem_snap_tell(const char *what);
/** Says that a file could not be written: to "pmdb run", which has a line for it
 * in the end, or on stderr; the caller holds the lock of snapshots. */
KM_HIDDEN void kmem_snap_complain(const char *path, int rc);
/** Remembers what descriptor 2 is, while starting. */
KM_HIDDEN void kmem_snap_save_stderr(void);

#endif
