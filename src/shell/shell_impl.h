/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the shell share. */
#ifndef SHELL_SHELL_IMPL_H
#define SHELL_SHELL_IMPL_H

#include <sys/types.h>

#include "shell/module.h"
#include "shell/out.h"
#include "shell/parse.h"
#include "shell/session.h"

/* where a command came from: a lone expression means different things */
enum input_kind {
	INPUT_LINES,  /* prompt or script: repeats the last pipeline */
	INPUT_STRING, /* -e, ::eval: sets dot */
};

struct named_value { /* name owned */
	char *name;
	uint64_t value;
	bool is_persistent, is_tagged;
};

/* the values that travel between two stages, and, with each, the values of the
 * variables that the pipeline has bound */
struct elem {
	uint64_t value;
	size_t bind; /* index of the first in binds */
	size_t nbinds;
};
struct elems {
	VEC(struct elem) list;
	VEC(uint64_t) binds;
};

struct pipeline {
	VEC(char *) bound; /* names, owned */
};

struct loop {
	struct pipeline *pipeline;
	const struct elems *in; /* NULL: no elements (first stage) */
	size_t i;
	bool is_stopped;
};

/* macro files that run */
struct macros {
	unsigned depth;
	bool is_ended;               /* the innermost one is left */
	char *next_path, *next_text; /* what it goes on with */
};

/* live.c: a process that runs */
struct session;
struct live_state {
	unsigned nholds; /* session_hold() not yet answered */
	bool is_held;    /* it stands still */
	FILE *fp;        /* where the output goes then */
	char *text;      /* what is kept until then; free() */
	size_t text_bytes;
};

/** Prints what is held back, before somebody else prints. */
void live_show(struct session *s);

struct session {
	struct target *target;
	struct types *types;
	struct types_options types_options;
	struct live_state live;
	struct heap *heap;
	struct heap *replay; /* the heap as it was; NULL: nobody asked */
	bool is_replaying;   /* it is what session_heap() gives */
	char *log_file;      /* read beside the dump; NULL: none */
	char *why_no_heap;
	struct leaks *leaks;
	struct reach *reach;
	struct typegraph *typegraph; /* of the set of leaks */
	struct out *out;             /* current; base_out at the prompt */
	struct out base_out;
	taddr_t dot, last_dot;
	uint64_t increment;
	int radix;
	bool is_quit;
	bool has_addr; /* session_run(): dot counts as an address given */
	unsigned nfailed;
	bool is_fail_fast;  /* the first failure is the end */
	bool is_quiet;      /* no progress line */
	const char *script; /* that runs, and its line; NULL: none */
	unsigned script_line;
	unsigned depth; /* of nested commands */
	struct settings settings;
	char *log_path; /* NULL: none */
	struct macros macros;
	struct modules modules;
	struct named_value *vars;
	size_t nvars, cap_vars;
	struct loop *loop;
	struct command *last;       /* what an empty address repeats */
	struct walker *own_walkers; /* of the target */
	size_t nown_walkers;
	bool has_own_walkers;
};

#define SESSION_DEPTH_MAX 64

/* eval.c */
/** Evaluates an expression. */
struct err *eval_expr(struct session *s, const struct expr *e,
		      uint64_t *ret) must_use;
/** Reads bytes of the file that is mapped at addr. */
struct err *eval_read_file(struct session *s, taddr_t addr, void *buf,
			   size_t len) must_use;

/* vars.c */
/** Makes the variables that the language itself sets. */
void vars_init(struct session *s);
/** A variable, or a register of the current thread. */
bool vars_get(struct session *s, const char *name, uint64_t *ret);
/** Variable 0: what a format printed. */
void vars_last_value(struct session *s, uint64_t value);
/** Variables 1 and 2: the offset of the last "symbol+offset", and before. */
void vars_offset(struct session *s, uint64_t offset);
/** Variable 9: the count of the last macro. */
void vars_macro_count(struct session *s, uint64_t count);
/** Names of registers, one by one; NULL at the end. */
const char *vars_register(size_t i);
/** Releases all. */
void vars_free(struct session *s);

/* settings.c */
/** Tells those who keep a copy of a setting. */
void settings_apply(struct session *s);

/* exec.c */
/** Runs a text; the error of its last failing command is returned, those
 * before it are printed and counted. */
struct err *exec_text(struct session *s, const char *text, enum input_kind kind,
		      const char *name, unsigned line) must_use;
/** Prints an error, counts it, consumes it. */
void exec_report(struct session *s, struct err *err);

/** The last pipeline again, where the last one ended. */
struct err *exec_repeat(struct session *s) must_use;

/* macro.c */
/** What an alias stands for, or NULL. */
const char *macro_alias(const char *name);
/** Calls fn for what may follow "$<": aliases, files of the macro path. */
void macro_names(const struct session *s,
		 void (*fn)(void *arg, const char *name), void *arg);
/** Releases what a macro left behind. */
void macros_free(struct session *s);

/* log.c */
/** Writes a line that was typed to the log, if there is one. */
void log_input(struct session *s, const char *line);
/** Ends the log. */
void log_close(struct session *s);

/* shellcmd.c */
/* a shell command that reads what we write */
struct shell_child {
	pid_t pid;
	FILE *fp; /* its standard input */
};
/** Runs "$SHELL -c command" and waits; its status is not looked at.
 * @in, out:  descriptors for it; -1: ours */
struct err *shell_run(const char *command, int in, int out) must_use;
/** Starts one that reads from ret->fp; see shell_finish(). */
struct err *shell_start(const char *command, int out,
			struct shell_child *ret) must_use;
/** Closes its input and waits. */
void shell_finish(struct shell_child *child);

/* dcmd.c */
/** A dcmd by name, "module`name" too; NULL: none. */
const struct dcmd *dcmd_find(struct session *s, const char *name);
/** The group that has it. */
const struct group *dcmd_group(struct session *s, const struct dcmd *d);
/** "unknown dcmd name", with the nearest one there is. */
struct err *dcmd_unknown(struct session *s, const char *name) must_use;
/** Why a command of mdb is not there; NULL: mdb has none of that name. */
const char *dcmd_absent(const char *name);
/** The usage line: "[ addr ] ::name [-a] ...".  Owned. */
char *dcmd_usage(const struct dcmd *d);
/** Calls a dcmd for one address. */
struct err *dcmd_call(struct session *s, const struct dcmd *d,
		      const struct words *args, unsigned flags, taddr_t addr,
		      uint64_t count) must_use;

/* fmt.c */
/** Runs a format verb at dot. */
struct err *fmt_run(struct session *s, const struct stage *st,
		    unsigned flags) must_use;

#endif
