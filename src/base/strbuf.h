/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A string that grows.  Zero-initialised is empty; s is "" then, never NULL
 * after the first append. */
#ifndef BASE_STRBUF_H
#define BASE_STRBUF_H

#include <stddef.h>

struct strbuf {
	char *s;
	size_t n, cap;
};

/** Appends n bytes, a string, a character, formatted text. */
void strbuf_add(struct strbuf *sb, const char *s, size_t n);
void strbuf_puts(struct strbuf *sb, const char *s);
void strbuf_putc(struct strbuf *sb, char c);
void strbuf_printf(struct strbuf *sb, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/** The text; borrowed until the next append. */
const char *strbuf_str(const struct strbuf *sb);
void strbuf_reset(struct strbuf *sb);
void strbuf_free(struct strbuf *sb);

#endif
