/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A debugging session: one target, its analyses, and the language's state. */
#ifndef SHELL_SESSION_H
#define SHELL_SESSION_H

#include <stdio.h>

#include "pmdb_mod.h"

struct session_options {
	struct types_options types; /* to open a live target's anew */
	bool is_json;               /* rows as JSON */
	bool is_quiet;              /* no line that says how far work is */
	const char *dump;           /* JSON: of each object; NULL: no key */
	FILE *out;                  /* NULL: stdout */
	struct settings *settings;  /* moved from; NULL: defaults */
};

/** The settings before anything is set. */
void settings_init(struct settings *set);
/** Releases them; zeroed ones allowed. */
void settings_free(struct settings *set);
/** Sets or clears options: "pager,array_mem_limit=100".
 * Errors: ERR_USAGE. */
struct err *settings_option(struct settings *set, const char *text,
			    bool is_on) must_use;
/** Sets what one letter of the command line sets: s, I, L, P, w. */
struct err *settings_letter(struct settings *set, char letter,
			    const char *text) must_use;
/** The prompt, its %<_variable> filled in.  Owned. */
char *session_prompt(struct session *s);

/**
 * Makes a session.
 *
 * @target:  consumed: closed with the session
 * @types:   consumed; NULL allowed: no symbols then
 * @opt:     NULL: text on stdout
 */
struct session *session_create(struct target *target, struct types *types,
			       const struct session_options *opt);
void session_destroy(struct session *s);

/** Stops the process, if the target is one; calls nest.  False, and said: it
 * cannot be stopped any more. */
bool session_hold(struct session *s);
/** Lets it go on, forgets what was computed of it, and prints what was held
 * back. */
void session_let_go(struct session *s);

/** Reads a transaction log that was kept in a file, beside the dump. */
struct err *session_log_file(struct session *s, const char *path) must_use;
/** True once ::quit has run, or nobody reads the output any more. */
bool session_is_over(const struct session *s);
/** From now on the first command that fails ends the session. */
void session_fail_fast(struct session *s);
/** How many commands have failed so far. */
unsigned session_nfailed(const struct session *s);

/** errno of the write that failed, 0: all was written so far. */
int session_output_error(struct session *s);

/** Runs ~/.pmdbrc, or else $XDG_CONFIG_HOME/pmdb/pmdbrc. */
void session_start_file(struct session *s);
/** Runs the text of "-e": errors are printed and counted. */
void session_string(struct session *s, const char *text);
/** Runs commands from a file descriptor, a line at a time.  A first line that
 * begins with "#!" is for the kernel. */
void session_script(struct session *s, int fd, const char *name);
/** Runs a file of commands; what fails is said with its name and line. */
void session_script_file(struct session *s, const char *path);
/** Runs a line typed at the prompt; Ctrl-C ends the command, not the session.*/
void session_line(struct session *s, const char *line);
/** The prompt, until the end of input or ::quit. */
void repl_run(struct session *s);

#endif
