/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The scanner of the command language: characters to words and numbers. */
#ifndef SHELL_LEX_H
#define SHELL_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"

struct lex {
	const char *text; /* NUL-terminated, borrowed */
	size_t pos;
	size_t tok;       /* where the last token began, for messages */
	bool in_brackets; /* of $[ ]: no comments there */
};

/** The character at pos + ahead, 0 at the end. */
char lex_peek(const struct lex *lx, size_t ahead);
/** Skips blanks and a "//" comment; newlines stay. */
void lex_space(struct lex *lx);
/** True at ";", a newline or the end of the text. */
bool lex_at_end(const struct lex *lx);
/** Skips what is left of the command, its ";" or newline too. */
void lex_skip_command(struct lex *lx);
/** The token at tok, for "near"; owned by the caller. */
char *lex_near(const struct lex *lx);

/**
 * Reads a number as it is written: radix prefix or default radix, "_" between
 * digits, 0tD.D.
 *
 * @n:  all of text[0..n) must be the number
 *
 * Errors: ERR_USAGE for a bad digit, or too large a number.
 */
struct err *lex_number(const char *text, size_t n, int radix,
		       uint64_t *ret) must_use;
/** Length of the number that starts at pos (a digit stands there). */
size_t lex_number_span(const struct lex *lx);
/** Length of the symbol name at pos, lib`sym included; 0: none. */
size_t lex_symbol_span(const struct lex *lx);
/** Length of the variable name at pos. */
size_t lex_var_span(const struct lex *lx);
/** Length of a dcmd name after "::" at pos. */
size_t lex_dcmd_span(const struct lex *lx);
/** True when c may stand after "$" or ":" as a one-character dcmd. */
bool lex_is_short_dcmd(char c);
/** Reads a character constant; pos is at its first quote. */
struct err *lex_char_const(struct lex *lx, uint64_t *ret) must_use;
/** Appends the text of a quoted string ('...' or "..."); pos is at the
 * quote.  Double quotes: C escapes, unknown ones stay as they are. */
struct err *lex_quoted(struct lex *lx, struct strbuf *sb) must_use;
/** The same for a shell command: \' is a quote in both kinds. */
struct err *lex_quoted_shell(struct lex *lx, struct strbuf *sb) must_use;
/** Appends the run of plain argument characters at pos; false: none. */
bool lex_plain(struct lex *lx, struct strbuf *sb);

#endif
