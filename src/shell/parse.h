/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The syntax tree of one command, and the parser that makes it. */
#ifndef SHELL_PARSE_H
#define SHELL_PARSE_H

#include "base/err.h"
#include "base/mem.h"
#include "shell/lex.h"

enum expr_op {
	EX_NUM,
	EX_DOT,  /* . */
	EX_LAST, /* & : dot of the last dcmd */
	EX_NEXT, /* + : dot + increment */
	EX_BACK, /* ^ : dot - increment */
	EX_VAR,
	EX_SYM, /* a symbol, or else a number in the default radix */
	EX_NOT,
	EX_COMPL,
	EX_NEG,
	EX_READ,      /* * : of the address space */
	EX_READ_FILE, /* % : of the object file */
	EX_MOD,
	EX_MUL,
	EX_DIV,
	EX_ROUND,
	EX_ADD,
	EX_SUB,
	EX_SHL,
	EX_SHR,
	EX_EQ,
	EX_NE,
	EX_AND,
	EX_XOR,
	EX_OR,
};

struct expr {
	enum expr_op op;
	unsigned size_bytes; /* READ, READ_FILE */
	uint64_t num;        /* NUM */
	char *name;          /* VAR, SYM */
	struct expr *a, *b;
};

/* an argument: text, or $[expr] */
struct word {
	char *text; /* NULL: expr */
	struct expr *expr;
};
struct words {
	struct word *v;
	size_t n, cap;
};

/* an element of a format list */
struct fmt_item {
	char c; /* 0: text is printed */
	char *text;
	uint64_t count;          /* repeat count */
	struct expr *count_expr; /* NULL: count */
};
struct fmt_items {
	struct fmt_item *v;
	size_t n, cap;
};

enum stage_kind {
	STAGE_DCMD,
	STAGE_FORMAT, /* name[0]: the verb */
	STAGE_ASSIGN, /* >name */
	STAGE_SHELL,  /* ! 'command' amid a pipeline */
};

struct stage {
	enum stage_kind kind;
	char *name;
	unsigned size_bytes;   /* ASSIGN: truncates to; 0: does not */
	struct words args;     /* DCMD; FORMAT: values to write or look for */
	struct fmt_items fmts; /* FORMAT */
};
struct stages {
	struct stage *v;
	size_t n, cap;
};

struct command {
	unsigned nholds;    /* beside the first owner's */
	struct expr *addr;  /* NULL: none stands before */
	struct expr *count; /* NULL: none */
	struct stages stages;
	char *shell;       /* "! command" at the end, or NULL */
	bool shell_source; /* "!<": its output is commands */
};

/**
 * Parses the next command of a text and moves past it and its terminator.
 *
 * @radix:  of numbers without prefix
 * @ret:    owned, see command_free(); NULL at the end of the text
 *
 * Errors: ERR_USAGE; lx->tok is at the offending token.
 */
struct err *parse_command(struct lex *lx, int radix,
			  struct command **ret) must_use;
/** Parses a whole text as one expression. */
struct err *parse_expression(struct lex *lx, int radix,
			     struct expr **ret) must_use;
/** Another owner of a command: each calls command_free(). */
struct command *command_hold(struct command *cmd);
/** Releases a command; NULL allowed. */
void command_free(struct command *cmd);
/** Releases an expression; NULL allowed. */
void expr_free(struct expr *e);

#endif
