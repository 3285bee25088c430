/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The scanner.  The language is modal: "|" is bitwise or in an expression and a
 * pipe after a dcmd; "/" divides nothing but starts a format.  So there is no
 * one token stream: the parser knows its mode and asks for what may stand here.
 */
#include "shell/lex.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

char lex_peek(const struct lex *lx, size_t ahead)
{
	for (size_t i = 0; i < ahead; i++)
		if (lx->text[lx->pos + i] == '\0')
			return '\0';
	return lx->text[lx->pos + ahead];
}

bool lex_at_end(const struct lex *lx)
{
	char c = lx->text[lx->pos];

	return c == '\0' || c == '\n' || c == ';';
}

void lex_space(struct lex *lx)
{
	const char *s = lx->text;

	while (s[lx->pos] == ' ' || s[lx->pos] == '\t' || s[lx->pos] == '\r')
		lx->pos++;
	if (!lx->in_brackets && s[lx->pos] == '/' && s[lx->pos + 1] == '/')
		lx->pos += strcspn(s + lx->pos, "\n");
	lx->tok = lx->pos;
}

void lex_skip_command(struct lex *lx)
{
	lx->pos += strcspn(lx->text + lx->pos, ";\n");
	if (lx->text[lx->pos] != '\0')
		lx->pos++;
}

/* a word of the source around a bad token */
char *lex_near(const struct lex *lx)
{
	const char *s = lx->text + lx->tok;
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == '.')
		n++;
	if (n == 0 && s[0] != '\0' && s[0] != '\n')
		n = 1;
	if (n > 40)
		n = 40;
	while (((unsigned char)s[n] & 0xc0) == 0x80) /* not half a letter */
		n++;
	return mem_strndup(s, n);
}

/* ---- numbers --------------------------------------------------------- */

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'Z')
		return c - 'A' + 10;
	return 99;
}

static int prefix_radix(char c)
{
	switch (c) {
	case 'i':
	case 'I':
		return 2;
	case 'o':
	case 'O':
		return 8;
	case 't':
	case 'T':
		return 10;
	case 'x':
	case 'X':
		return 16;
	}
	return 0;
}

/* 0tD.D: the bits of a double */
static struct err *parse_double(const char *text, size_t n, uint64_t *ret)
{
	_free_ char *copy = mem_strndup(text, n);
	char *end = NULL;
	double d = strtod(copy, &end);

	if (*end != '\0')
		return err_new(ERR_USAGE,
			       "digit '%c' is invalid in current base", *end);
	memcpy(ret, &d, sizeof(*ret));
	return NULL;
}

struct err *lex_number(const char *text, size_t n, int radix, uint64_t *ret)
{
	size_t i = 0;
	uint64_t value = 0;

	if (n >= 2 && text[0] == '0' && prefix_radix(text[1]) > 0) {
		radix = prefix_radix(text[1]);
		i = 2;
		if (radix == 10 && memchr(text, '.', n))
			return parse_double(text + 2, n - 2, ret);
	}
	if (i == n)
		return err_new(ERR_USAGE, "expected digits after '%.*s'",
			       (int)n, text);
	for (size_t first = i; i < n; i++) {
		int d = digit_value(text[i]);

		if (text[i] == '_' && i > first)
			continue;
		if (d >= radix)
			return err_new(ERR_USAGE,
				       "digit '%c' is invalid in current base",
				       text[i]);
		if (__builtin_mul_overflow(value, (uint64_t)radix, &value) ||
		    __builtin_add_overflow(value, (uint64_t)d, &value))
			return err_new(ERR_USAGE, "specified value exceeds "
						  "maximum immediate value");
	}
	*ret = value;
	return NULL;
}

size_t lex_number_span(const struct lex *lx)
{
	const char *s = lx->text + lx->pos;
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || s[n] == '_')
		n++;
	if (n > 2 && s[0] == '0' && prefix_radix(s[1]) == 10 && s[n] == '.' &&
	    isdigit((unsigned char)s[n + 1]) &&
	    strspn(s + 2, "0123456789") == n - 2) {
		n++;
		while (isdigit((unsigned char)s[n]))
			n++;
	}
	return n;
}

/* ---- names ----------------------------------------------------------- */

/* bytes of letters in UTF-8 are letters */
static bool is_name_start(char c)
{
	return isalpha((unsigned char)c) || c == '_' ||
	       (unsigned char)c >= 0x80;
}

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || is_name_start(c) || c == '.' ||
	       c == '`';
}

/* "ld-linux-x86-64.so.2`", "libstdc++.so.6`", "/usr/bin/prog`": a file name,
 * which may hold characters that are operators elsewhere */
static size_t object_span(const char *s)
{
	const char *marks = s[0] == '/' ? "_.+-/" : "_.+-";
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || (s[n] && strchr(marks, s[n])))
		n++;
	if (s[n] != '`')
		return 0;
	if (s[0] == '/')
		return n + 1;
	for (size_t i = 0; i + 3 <= n; i++)
		if (!strncmp(s + i, ".so", 3))
			return n + 1;
	return 0;
}

size_t lex_symbol_span(const struct lex *lx)
{
	const char *s = lx->text + lx->pos;
	size_t n = object_span(s);

	if (n == 0 && !is_name_start(s[0]) &&
	    !(s[0] == '.' && is_name_start(s[1])))
		return 0;
	while (is_name_char(s[n]))
		n++;
	return n;
}

size_t lex_var_span(const struct lex *lx)
{
	/* what may not be in a variable's name, and blanks */
	return strcspn(lx->text + lx->pos,
		       "#%^&*-+=,:$/\\?<>;|!`'\"[]{}() \t\r\n");
}

size_t lex_dcmd_span(const struct lex *lx)
{
	const char *s = lx->text + lx->pos;
	size_t n = 0;

	if (!isalpha((unsigned char)s[0]) && s[0] != '_' && s[0] != '.')
		return 0;
	while (is_name_char(s[n]))
		n++;
	return n;
}

bool lex_is_short_dcmd(char c)
{
	return c != '\0' &&
	       (isalpha((unsigned char)c) || strchr("?%@^_\\`", c));
}

/* ---- quotes ---------------------------------------------------------- */

/* a C escape; s is after the backslash; returns how much was eaten, 0: this
 * is none */
static size_t unescape(const char *s, char *ret)
{
	static const char from[] = "abfnrtv\"\\";
	static const char to[] = "\a\b\f\n\r\t\v\"\\";
	const char *p = s[0] ? strchr(from, s[0]) : NULL;
	size_t n = 0;
	unsigned octal = 0;

	if (p) {
		*ret = to[p - from];
		return 1;
	}
	while (n < 3 && s[n] >= '0' && s[n] <= '7')
		octal = octal * 8 + (unsigned)(s[n++] - '0');
	if (n > 0)
		*ret = (char)octal;
	return n;
}

/* what a backslash means between two quotes */
enum escapes {
	ESC_NONE,
	ESC_C,          /* C's; "\\" before anything else stays */
	ESC_QUOTE,      /* \' only */
	ESC_C_AND_QUOTE /* both */
};

/* s is after the backslash; as unescape() */
static size_t escaped(const char *s, enum escapes how, char *ret)
{
	size_t used = 0;

	if (how == ESC_C || how == ESC_C_AND_QUOTE)
		used = unescape(s, ret);
	if (used == 0 && how >= ESC_QUOTE && s[0] == '\'') {
		*ret = '\'';
		used = 1;
	}
	return used;
}

static struct err *read_string(struct lex *lx, struct strbuf *sb, char quote,
			       enum escapes how)
{
	lx->tok = lx->pos;
	for (lx->pos++;; lx->pos++) {
		const char *s = lx->text + lx->pos;
		size_t used = 0;
		char c = s[0];

		if (c == '\0' || c == '\n')
			return err_new(ERR_USAGE, "syntax error: %c unmatched",
				       quote);
		if (c == quote)
			break;
		if (c == '\\')
			used = escaped(s + 1, how, &c);
		strbuf_putc(sb, c);
		lx->pos += used;
	}
	lx->pos++;
	return NULL;
}

struct err *lex_quoted(struct lex *lx, struct strbuf *sb)
{
	char quote = lx->text[lx->pos];

	return read_string(lx, sb, quote, quote == '"' ? ESC_C : ESC_NONE);
}

struct err *lex_quoted_shell(struct lex *lx, struct strbuf *sb)
{
	char quote = lx->text[lx->pos];
	_err_free_ struct err *err = read_string(
		lx, sb, quote, quote == '"' ? ESC_C_AND_QUOTE : ESC_QUOTE);

	if (!err)
		return NULL;
	return err_new(ERR_USAGE, "syntax error: quote unmatched");
}

struct err *lex_char_const(struct lex *lx, uint64_t *ret)
{
	struct strbuf sb = {0};
	struct err *err = read_string(lx, &sb, '\'', ESC_C_AND_QUOTE);
	uint64_t value = 0;

	if (!err && sb.n > 8)
		err = err_new(ERR_USAGE,
			      "character constant may not exceed 8 bytes");
	for (size_t i = 0; !err && i < sb.n; i++)
		value = value << 8 | (unsigned char)sb.s[i];
	if (!err)
		*ret = value;
	strbuf_free(&sb);
	return err;
}

bool lex_plain(struct lex *lx, struct strbuf *sb)
{
	size_t n = strcspn(lx->text + lx->pos, " \t\r\n;!|\"'$");

	strbuf_add(sb, lx->text + lx->pos, n);
	lx->pos += n;
	return n > 0;
}
