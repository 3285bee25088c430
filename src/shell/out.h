/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where rows go: rendered as text, as JSON, or as values into the next stage
 * of a pipeline.  pmdb_mod.h has what dcmds call; this is for the shell.
 */
#ifndef SHELL_OUT_H
#define SHELL_OUT_H

#include <stdio.h>

#include "pmdb_mod.h"

enum out_kind {
	OUT_TEXT,
	OUT_JSON,
	OUT_PIPE
};

enum cell_fill {
	FILL_NONE,
	FILL_NUM,
	FILL_STR,
	FILL_STACK
};

struct cell {
	enum cell_fill fill;
	uint64_t num;
	char *str;
	taddr_t *pcs;
	size_t npcs;
};

/* headings printed since the loop began */
#define OUT_SEEN_MAX 8
struct out_seen {
	const void *cols[OUT_SEEN_MAX];
	size_t n;
};

/* takes a value that travels to the next stage */
typedef void out_value_fn(void *arg, taddr_t value);

struct out {
	enum out_kind kind;
	FILE *fp;               /* TEXT, JSON; borrowed */
	FILE *log;              /* gets a copy; NULL: none */
	struct types *types;    /* for names; may be NULL */
	out_value_fn *value_fn; /* PIPE */
	void *value_arg;
	struct strbuf text; /* PIPE, JSON: lines that are not handled yet */
	size_t column;      /* TEXT: of the cursor */
	unsigned radix;     /* TEXT: of bare values; 0: 16 */
	size_t wrap;        /* TEXT: lines end here at the latest; 0: never */
	const struct column *cols;
	size_t ncols;
	struct cell *cells;
	size_t ncells;
	const char *dump; /* JSON: the first key of each object; NULL: none */
	bool is_colour;   /* TEXT: styles are shown */
	bool is_loop;     /* the running dcmd is one call of several */
	bool is_closed;   /* nobody reads any more, or the disk is full */
	int error;        /* why: errno */
	struct out_seen seen;
	unsigned nwarnings;
};

/** Makes an output; fp is borrowed, NULL for OUT_PIPE. */
void out_init(struct out *o, enum out_kind kind, FILE *fp, struct types *types);
/** Releases what it holds; fp stays open. */
void out_fini(struct out *o);
/** Ends an unfinished line, hands on pending text (JSON), flushes. */
void out_finish(struct out *o);
/** Text as it is, for renderers. */
void out_put(struct out *o, const char *s, size_t n);
/** A STYLE_ of term.h, where colours are wanted: no text, no width. */
void out_style(struct out *o, const char *style);
/** The name of an address; "0x..." without types.  Owned. */
char *out_addr_name(const struct out *o, taddr_t addr);
/** The name of a return address, see session_frame_name().  Owned. */
char *out_frame_name(const struct out *o, taddr_t pc);
/** printf on stderr with "pmdb: " and a newline, stdout flushed before. */
void out_error(struct out *o, const char *msg);

/* the renderers */
/** Prints the heading made of the columns' titles. */
void out_text_heading(struct out *o);
/** Prints a row in columns. */
void out_text_row(struct out *o);
/** Prints a row as an object on a line. */
void out_json_row(struct out *o);
/** Prints {"text": line}. */
void out_json_text(struct out *o, const char *line);
/** Prints {"value": "0x..."}. */
void out_json_value(struct out *o, taddr_t value);

#endif
