/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A string that grows by doubling; always NUL-terminated once allocated. */
#include "base/strbuf.h"

#include <stdarg.h>
#include <string.h>

#include "base/mem.h"

/* room for n more bytes and the NUL */
static void reserve(struct strbuf *sb, size_t n)
{
	size_t want = sb->cap ? sb->cap : 32;

	while (want - sb->n <= n)
		want *= 2;
	if (want == sb->cap)
		return;
	sb->s = mem_realloc(sb->s, want, 1);
	sb->cap = want;
}

void strbuf_add(struct strbuf *sb, const char *s, size_t n)
{
	reserve(sb, n);
	if (n > 0)
		memcpy(sb->s + sb->n, s, n);
	sb->n += n;
	sb->s[sb->n] = '\0';
}

void strbuf_puts(struct strbuf *sb, const char *s)
{
	strbuf_add(sb, s, strlen(s));
}

void strbuf_putc(struct strbuf *sb, char c)
{
	strbuf_add(sb, &c, 1);
}

void strbuf_printf(struct strbuf *sb, const char *fmt, ...)
{
	_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = mem_vprintf(fmt, ap);
	va_end(ap);
	strbuf_puts(sb, text);
}

const char *strbuf_str(const struct strbuf *sb)
{
	return sb->s ? sb->s : "";
}

void strbuf_reset(struct strbuf *sb)
{
	sb->n = 0;
	if (sb->s)
		sb->s[0] = '\0';
}

void strbuf_free(struct strbuf *sb)
{
	mem_free(sb->s);
	*sb = (struct strbuf){0};
}
