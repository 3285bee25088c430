/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of "pmdb run" share. */
#ifndef PMDB_RUN_IMPL_H
#define PMDB_RUN_IMPL_H

#include <limits.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/strbuf.h"
#include "pmdb/pmdb.h"

/* which dumps stay when they have been judged */
enum keep {
	KEEP_ALL,
	KEEP_FAILED,
	KEEP_NONE,
};

struct run {
	const char *dump;     /* template, as given */
	const char *dump_dir; /* for it; NULL: where we are */
	enum keep keep;
	struct strbuf only;       /* patterns of names, ":" between */
	long timeout_s;           /* 0: none */
	const char *check_option; /* one that needs --check, NULL none */
	int is_check;
	struct check *check; /* what --check asks for */
	char **argv;         /* the program's */
	char prog[PATH_MAX]; /* what is executed */
	char lib[PATH_MAX];  /* the preload library */
	char list[256];      /* file of records, or "" */
	size_t list_dir;     /* length of the part that is its directory */
	char *cwd;           /* owned; for a relative name of the dump, or "" */
	pid_t pid;           /* the program */
};

/* a file mapped whole, read with a check of its size */
struct image {
	const char *bytes;
	size_t size_bytes;
};
/** Says "pmdb: WHAT: WHY" on stderr. */
void run_complain(const char *what, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/** Maps a file; img->bytes is NULL when it is empty. Returns 0 or errno. */
int run_image_open(const char *path, struct image *img, struct stat *st);
void run_image_close(struct image *img);

/** Finds a program as a shell does. prog has PATH_MAX bytes. Returns 0, or the
 * exit status with a line said. */
int run_find_program(const char *name, char *prog);

/** Why a program cannot be run under libkmem, or NULL; follows #! to the
 * program that is started in the end. */
const char *run_refuse(const char *path);

/** Starts the program and waits for it. Returns the exit status; *ret_started
 * tells whether the program ran at all. */
int run_and_wait(struct run *run, int *ret_started);

/** Sends a signal to a process and all its descendants. */
void run_signal_tree(pid_t pid, int signo);

#endif
