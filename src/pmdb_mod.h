/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Everything a dcmd may call: the one header of dcmds/.
 *
 * A dcmd produces rows, not text: it declares columns with out_begin(), fills
 * cells, ends rows.  One renderer prints mdb's columns, another JSON.  Text that
 * is no table goes through out_text(), which JSON carries as {"text": ...}.
 */
#ifndef PMDB_MOD_H
#define PMDB_MOD_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "base/err.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/jobs.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "base/progress.h"
#include "base/strbuf.h"
#include "graph/dominators.h"
#include "graph/graph.h"
#include "graph/reach.h"
#include "graph/typegraph.h"
#include "heap/heap.h"
#include "heap/pagemap.h"
#include "target/target.h"
#include "types/disasm.h"
#include "types/types.h"

struct session;
struct out;
struct dcmd_call;
struct dcmd;
struct walker;

/* ---- the session ----------------------------------------------------- */

/** The examined program, and its symbols and types.  Borrowed. */
struct target *session_target(struct session *s);
struct types *session_types(struct session *s);
/** The heap; opened at first use.  ERR_NOTFOUND says why there is none. */
struct err *session_heap(struct session *s, struct heap **ret) must_use;
/** The same without an error: NULL when there is none; *ret_why (NULL allowed)
 * is borrowed. */
struct heap *session_try_heap(struct session *s, const char **ret_why);
/** The leaks, computed once.  Borrowed. */
struct err *session_leaks(struct session *s, struct leaks **ret) must_use;
/** The same, of a search that looks at every byte or not: what was found by the
 * other way is forgotten. */
struct err *session_leaks_bytewise(struct session *s, bool is_bytewise,
				   struct leaks **ret) must_use;
/** How each buffer is reached, computed once.  Borrowed. */
struct err *session_reach(struct session *s, struct reach **ret) must_use;
/** The types of buffers, found out once.  Borrowed. */
struct err *session_typegraph(struct session *s,
			      struct typegraph **ret) must_use;
/** The same if they have been found out already, else NULL. */
struct typegraph *session_try_typegraph(struct session *s);
/** Forgets the computed leaks, and what was computed from them. */
void session_drop_leaks(struct session *s);
/** True when session_leaks() has a result already. */
bool session_has_leaks(const struct session *s);
/** The heap at an earlier moment, made at first use.  Borrowed.
 * Errors: ERR_NOSUP, ERR_NOTFOUND: there is no log. */
struct err *session_replay(struct session *s, struct heap **ret) must_use;
/** Has every command ask that heap, or the dump's again.  What was computed of
 * the other is forgotten. */
void session_set_replaying(struct session *s, bool is_on);
bool session_is_replaying(const struct session *s);
struct out *session_out(struct session *s);
taddr_t session_dot(const struct session *s);
void session_set_dot(struct session *s, taddr_t dot);
/** The thread that ::stack, ::regs and register names mean. */
const struct target_thread *session_thread(struct session *s);
void session_set_radix(struct session *s, int radix);
int session_radix(const struct session *s);
/** Ends the debugger after the current command (::quit). */
void session_quit(struct session *s);

/** Evaluates an expression of the command language; dot unchanged. */
struct err *session_eval_expr(struct session *s, const char *text,
			      uint64_t *ret) must_use;
/** Runs a command line (a pipeline, or several) with dot set to addr, as if
 * the address stood before each command. */
struct err *session_run(struct session *s, taddr_t addr,
			const char *text) must_use;
/** The same, but dot alone is set: what ::eval does. */
struct err *session_run_at(struct session *s, taddr_t dot,
			   const char *text) must_use;
/** A return address by the call before it: one that follows the last
 * instruction of a function has that function's name.  Owned. */
char *session_frame_name(struct session *s, taddr_t pc);

/** A number as options take them: default radix, prefixes, or a symbol. */
struct err *session_parse_number(struct session *s, const char *text,
				 uint64_t *ret) must_use;

/** A symbol name, scoped or not, as expressions read it; false: none. */
bool session_symbol(struct session *s, const char *name, struct symbol *ret);

/** " (did you mean main?)" for a symbol there is not, or "".  Owned. */
char *session_suggest_symbol(struct session *s, const char *name);

/*
 * The loop of a pipeline.  A dcmd that wants more of its input than its own
 * address takes the elements that follow; one that knows that the rest cannot
 * succeed (a type that does not exist), or has served a repeat count by itself,
 * ends the loop.
 */

/** Moves call->addr to the next element of its loop; false at the end. */
bool session_next(struct dcmd_call *call);
/** The running dcmd is not called again in this loop. */
void session_stop_loop(struct session *s);

/* what -o, -s, -I, -L, -P and ::set set */
#define LIMIT_NONE UINT64_MAX
struct settings {
	uint64_t array_mem_limit; /* elements of arrays ::print shows */
	uint64_t array_str_limit; /* chars of an array that is a string */
	uint64_t symdist;         /* of a symbol before an address; 0: smart */
	uint64_t page_width;      /* columns; 0: the terminal's, or 80 */
	char *prompt;             /* as given; see session_prompt() */
	char *macro_path;         /* directories, ":" between; of $<name */
	char *module_path;        /* the same, of ::load */
	bool pager, autowrap, ignoreeof, repeatlast, nomods;
};
/** The session's settings.  Borrowed. */
const struct settings *session_settings(const struct session *s);
/** Sets options, "pager,array_mem_limit=100", or clears them. */
struct err *session_option(struct session *s, const char *text,
			   bool is_on) must_use;
/** Sets what one letter of ::set sets: s, I, L or P; also w, the width. */
struct err *session_setting(struct session *s, char letter,
			    const char *text) must_use;
/** Columns of a line of output. */
size_t session_page_width(const struct session *s);

/** "$<name" and (nested) "$<<name": runs a macro file. */
struct err *session_macro(struct dcmd_call *call, bool is_nested) must_use;
/** $M: prints what macro names stand for without a file. */
void session_aliases(struct session *s);

/** Appends what is typed and printed from now on to a file; NULL: ends it. */
struct err *session_log(struct session *s, const char *path) must_use;
/** The file, or NULL.  Borrowed. */
const char *session_log_path(const struct session *s);

/** ::formats: prints the format characters. */
void session_formats(struct session *s);

/* variables: ">name" and "<name" */
struct variable {
	const char *name; /* borrowed */
	uint64_t value;
	bool is_persistent, is_readonly, is_tagged;
};
/** Sets a variable, made if it is new; registers cannot be set. */
struct err *session_set_var(struct session *s, const char *name,
			    uint64_t value) must_use;
/** Sets a variable for the later stages of this pipeline: each value handed
 * on carries what the variable was then. */
struct err *session_bind_var(struct session *s, const char *name,
			     uint64_t value) must_use;
/** Tags a variable, made if it is new, or takes the tag away. */
struct err *session_tag_var(struct session *s, const char *name,
			    bool is_tagged) must_use;
/** Forgets a variable; those of the language itself cannot be. */
struct err *session_unset_var(struct session *s, const char *name) must_use;
/** All variables by name, registers not among them.  *ret owned. */
size_t session_vars(struct session *s, struct variable **ret);

/** Every dcmd by name.  *ret owned. */
size_t session_dcmds(struct session *s, const struct dcmd *const **ret);
/** Every walker by name, the target's own too.  *ret owned. */
size_t session_walkers(struct session *s, const struct walker *const **ret);
/** ::help NAME; ERR_NOTFOUND when there is no such dcmd. */
struct err *session_help(struct session *s, const char *name) must_use;

/* ---- output ---------------------------------------------------------- */

enum cell_type {
	CELL_ADDR,  /* 16 hex digits, zero padded, no prefix; JSON "0x..." */
	CELL_HEX,   /* hex without padding or prefix; JSON "0x..." */
	CELL_COUNT, /* decimal */
	CELL_BYTES, /* decimal bytes; JSON key must end in _bytes */
	CELL_NICE,  /* bytes, human in text (8K), decimal in JSON */
	CELL_TIME,  /* nanoseconds: hex in text, as mdb */
	CELL_SYM,   /* an address by name; JSON {"addr","name"} */
	CELL_TEXT,
	CELL_STACK, /* not a column in text: indented lines below the row */
};

struct column {
	const char *key;   /* JSON, snake_case with unit: "size_bytes"; NULL:
			    * not in JSON */
	const char *title; /* text heading, "ADDR"; NULL: not shown in text.
			    * "\nCACHE" begins another line of the row */
	enum cell_type type;
	int width; /* field width in text; negative: left aligned; 0: the
		       * last column, as wide as it is */
};

/**
 * Starts a table.  In a pipeline's left stage nothing is printed: each row's
 * value (out_value()) is what travels.
 *
 * @cols, ncols:  static, borrowed
 * @heading:      NULL: made from the titles; "" none; else printed verbatim.
 *                Printed once a loop (mdb's header rule) by itself.
 */
void out_begin(struct out *o, const struct column *cols, size_t ncols,
	       const char *heading);
/** Cells of the row being built, in the order of the columns. */
void out_addr(struct out *o, taddr_t addr); /* ADDR, HEX, SYM columns */
void out_u64(struct out *o, uint64_t n);    /* COUNT, BYTES, NICE, TIME, HEX */
void out_str(struct out *o, const char *s); /* TEXT; NULL is "-" */
void out_none(struct out *o);               /* not recorded: "-" and null */
/** A STACK cell: return addresses, innermost first. */
void out_stack(struct out *o, const taddr_t *pcs, size_t n);
/** Ends the row; value is what the row hands to the next stage of a pipe. */
void out_end_row(struct out *o, taddr_t value);
void out_end(struct out *o);
/** Free text (printf); JSON lines of {"text": ...}. */
void out_text(struct out *o, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/** A bare value into a pipe or, at its end, as "0x..." on a line. */
void out_value(struct out *o, taddr_t value);
/** v in a radix of 2 to 16, no prefix.  Owned. */
char *out_digits(uint64_t v, unsigned radix);
/** Text of the dump with control characters as C writes them ("\n").  Owned;
 * cells of rows are made so by themselves. */
char *out_plain(const char *s);
/** True when the output feeds another stage. */
bool out_is_pipe(const struct out *o);
/** True when rows are rendered as JSON. */
bool out_is_json(const struct out *o);
/** A warning: "pmdb: ..." on stderr; counted. */
void out_warn(struct out *o, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- dcmds ----------------------------------------------------------- */

enum arg_type {
	ARG_STRING,
	ARG_NUMBER
};
struct arg {
	enum arg_type type;
	const char *str; /* ARG_STRING, and the text of $[...] */
	uint64_t num;    /* ARG_NUMBER: from $[...] */
};

#define DCMD_ADDRSPEC   0x01 /* an address stands before the dcmd */
#define DCMD_LOOP       0x02 /* called for each of several addresses */
#define DCMD_LOOPFIRST  0x04 /* and this is the first */
#define DCMD_PIPE       0x08 /* input comes from a pipe */
#define DCMD_PIPE_OUT   0x10 /* output goes to a pipe */
#define DCMD_HDRSPEC(f) (((f)&DCMD_LOOPFIRST) || !((f)&DCMD_LOOP))

struct dcmd_call {
	struct session *s;
	struct out *out;
	taddr_t addr;   /* dot when no address stands before */
	uint64_t count; /* the ",n" of addr,n::dcmd; 1 */
	unsigned flags;
	size_t argc;
	const struct arg *argv;
};

/* options, described once: parsed, shown by ::help, completed */
enum opt_type {
	OPT_FLAG,   /* bool */
	OPT_STRING, /* const char * */
	OPT_NUMBER, /* uint64_t; default radix; and *(value + 1) is not touched */
};
struct opt {
	char letter; /* 0 ends the table */
	enum opt_type type;
	const char *arg;  /* name of the argument; of a flag its long form,
			   * "--name", or NULL */
	const char *help; /* one line */
};

enum addr_use {
	ADDR_NONE,
	ADDR_OPTIONAL,
	ADDR_REQUIRED
};

struct dcmd {
	const char *name;
	enum addr_use addr;
	const char *usage;      /* arguments after the options, "" none */
	const char *brief;      /* one line */
	const struct opt *opts; /* NULL: none */
	const char
		*help; /* more, for ::help, where there is no page doc/dcmds */
	/* ERR_USAGE prints the usage line */
	struct err *(*run)(struct dcmd_call *call);
};

/**
 * Parses the options of a call from its dcmd's table.
 *
 * @values:    one place per row of the table: bool *, const char **, or
 *             uint64_t *; NULL to refuse that option here
 * @ret_first: index of the first argument that is no option
 */
struct err *dcmd_options(const struct dcmd_call *call, const struct opt *opts,
			 void *const values[], size_t *ret_first) must_use;

/* ---- walkers --------------------------------------------------------- */

typedef struct err *walk_fn(void *arg, taddr_t addr);

struct walker {
	const char *name;
	const char *brief;
	enum addr_use addr;
	const void *data; /* for run */
	/* calls fn for each address; ERR_STOP from fn ends quietly */
	struct err *(*run)(struct session *s, const struct walker *w,
			   bool has_addr, taddr_t addr, walk_fn *fn, void *arg);
};

/** Runs a walker by name. */
struct err *walk_run(struct session *s, const char *name, bool has_addr,
		     taddr_t addr, walk_fn *fn, void *arg) must_use;

/*
 * What a file of dcmds/ defines: struct group group_NAME; registry.c lists
 * them.  make_walkers (may be NULL) returns walkers that depend on the target,
 * one a cache name; called once, when the heap is known.
 */
struct group {
	const char *name;
	const struct dcmd *dcmds;     /* ended by name NULL */
	const struct walker *walkers; /* ended by name NULL, or NULL */
	struct err *(*make_walkers)(struct session *s, struct walker **ret,
				    size_t *ret_n);
};
extern const struct group *const dcmd_groups[]; /* NULL-ended; registry.c */

/* ---- modules --------------------------------------------------------- */

/*
 * What a module defines, under the name pmdb_module:
 *
 *	const struct module pmdb_module = {
 *		.api_version = PMDB_API_VERSION,
 *		.dcmds = dcmds,
 *		.walkers = walkers,
 *	};
 *
 * The version is one number for all this header says, the headers it includes
 * among it: a module is loaded by a debugger of exactly that version.
 */
#define PMDB_API_VERSION 1

struct module {
	unsigned api_version;
	const struct dcmd *dcmds;     /* ended by name NULL, or NULL */
	const struct walker *walkers; /* the same */
	/* called when it has been loaded; an error refuses that; NULL: none */
	struct err *(*init)(struct session *s);
	/* called before it is unloaded; NULL: none */
	void (*fini)(struct session *s);
};
extern const struct module pmdb_module;

/** Loads a module: a file if there is a "/", else one of the module path. */
struct err *session_load(struct session *s, const char *name) must_use;
/** Unloads a module by name. */
struct err *session_unload(struct session *s, const char *name) must_use;
/** All groups: those built in, then the modules; NULL-ended, borrowed until a
 * module is loaded or unloaded. */
const struct group *const *session_groups(struct session *s);
/** True when a group is a module. */
bool session_is_module(struct session *s, const struct group *g);

#endif
