/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the format verbs share. */
#ifndef SHELL_FMT_IMPL_H
#define SHELL_FMT_IMPL_H

#include "shell/shell_impl.h"

enum {
	FMT_INDENT = 16, /* where data begins */
};

/* a verb that runs */
struct fmt {
	struct session *s;
	struct out *o;
	char verb;
	taddr_t dot;
	uint64_t increment; /* size of the last item */
};

/* how a value looks */
enum look {
	LOOK_HEX,
	LOOK_DEC,
	LOOK_SDEC,
	LOOK_OCT, /* 010 */
	LOOK_SOCT,
	LOOK_BARE_OCT, /* 10 */
	LOOK_BARE_SOCT,
	LOOK_BIN,
	LOOK_RADIX,
	LOOK_SYM,
	LOOK_TIME,
	LOOK_FLOAT,
	LOOK_SWAP,
	LOOK_CHAR,
	LOOK_ESC,
	LOOK_JAZZ,
	/* those below are no numbers */
	LOOK_NONE, /* moves dot or the cursor */
	LOOK_LABEL,
	LOOK_STRING,
	LOOK_ESC_STRING,
	LOOK_INSN,
	LOOK_ADDR_INSN,
	LOOK_FIND, /* "/" only */
	LOOK_WRITE,
};

/* a row of the format table */
struct format {
	char c;
	unsigned char size_bytes; /* 0: depends on the data, or none */
	enum look look;
	int width;      /* left aligned; 0: as wide as it is */
	bool is_write;  /* first after "/": it writes */
	const char *is; /* for ::formats */
};

/* fmt_value.c */
/** The row of a character, or NULL. */
const struct format *format_find(char c);
/** A value as text.  Owned. */
char *format_text(struct fmt *f, const struct format *row, uint64_t value);
/** Appends a byte as a C programmer writes it. */
void format_escape(struct strbuf *sb, unsigned char c);

/* fmt.c */
/** The name of an address; its offset becomes variable 1.  Owned. */
char *fmt_name(struct fmt *f, taddr_t addr);
/** Bytes at f->dot, wherever the verb takes them from. */
struct err *fmt_read(struct fmt *f, void *buf, size_t n) must_use;

/* fmt_find.c */
/** "/l value [mask]": the first such word from dot on. */
struct err *fmt_search(struct fmt *f, const struct stage *st,
		       const struct format *row) must_use;
/** "/W value": refused, the target is a dump. */
struct err *fmt_write(struct fmt *f, const struct stage *st,
		      const struct format *row) must_use;

#endif
