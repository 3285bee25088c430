/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of formats, and values as text. */
#include "shell/fmt_impl.h"

#include <ctype.h>
#include <time.h>

static const struct format formats[] = {
	{'+', 0, LOOK_NONE, 0, false, "move dot forward by the count"},
	{'-', 0, LOOK_NONE, 0, false, "move dot back by the count"},
	{'^', 0, LOOK_NONE, 0, false, "move dot back by increment * count"},
	{'B', 1, LOOK_HEX, 8, false, "hexadecimal int"},
	{'C', 1, LOOK_ESC, 0, false, "character using C character notation"},
	{'D', 4, LOOK_SDEC, 16, false, "decimal signed int"},
	{'E', 8, LOOK_DEC, 21, false, "decimal unsigned long long"},
	{'F', 8, LOOK_FLOAT, 0, false, "double"},
	{'G', 8, LOOK_BARE_OCT, 23, false, "octal unsigned long long"},
	{'H', 4, LOOK_SWAP, 16, false, "swap bytes and shorts"},
	{'I', 0, LOOK_ADDR_INSN, 0, false, "address and instruction"},
	{'J', 8, LOOK_HEX, 16, false, "hexadecimal long long"},
	{'K', 8, LOOK_HEX, 16, false, "hexadecimal uintptr_t"},
	{'L', 4, LOOK_FIND, 0, false, "int"},
	{'M', 8, LOOK_FIND, 0, false, "long long"},
	{'N', 0, LOOK_NONE, 0, false, "newline"},
	{'O', 4, LOOK_OCT, 16, false, "octal unsigned int"},
	{'P', 8, LOOK_SYM, 19, false, "symbol"},
	{'Q', 4, LOOK_SOCT, 16, false, "octal signed int"},
	{'R', 8, LOOK_BIN, 64, false, "binary unsigned long long"},
	{'S', 0, LOOK_ESC_STRING, 0, false, "string using C string notation"},
	{'T', 0, LOOK_NONE, 0, false, "horizontal tab"},
	{'U', 4, LOOK_DEC, 16, false, "decimal unsigned int"},
	{'V', 1, LOOK_DEC, 8, false, "decimal unsigned int"},
	{'W', 4, LOOK_RADIX, 16, true, "default radix unsigned int"},
	{'X', 4, LOOK_HEX, 16, false, "hexadecimal int"},
	{'Y', 4, LOOK_TIME, 24, false, "decoded time32_t"},
	{'Z', 8, LOOK_HEX, 16, true, "hexadecimal long long"},
	{'a', 0, LOOK_LABEL, 0, false, "dot as symbol+offset"},
	{'b', 1, LOOK_OCT, 8, false, "octal unsigned int"},
	{'c', 1, LOOK_CHAR, 0, false, "character"},
	{'d', 2, LOOK_SDEC, 8, false, "decimal signed short"},
	{'e', 8, LOOK_SDEC, 21, false, "decimal signed long long"},
	{'f', 4, LOOK_FLOAT, 0, false, "float"},
	{'g', 8, LOOK_BARE_SOCT, 24, false, "octal signed long long"},
	{'h', 2, LOOK_SWAP, 8, false, "swap bytes"},
	{'i', 0, LOOK_INSN, 0, false, "disassembled instruction"},
	{'j', 8, LOOK_JAZZ, 0, false, "jazzed-up binary unsigned long long"},
	{'l', 2, LOOK_FIND, 0, false, "short"},
	{'n', 0, LOOK_NONE, 0, false, "newline"},
	{'o', 2, LOOK_OCT, 8, false, "octal unsigned short"},
	{'p', 8, LOOK_SYM, 19, false, "symbol"},
	{'q', 2, LOOK_SOCT, 8, false, "octal signed short"},
	{'r', 0, LOOK_NONE, 0, false, "whitespace"},
	{'s', 0, LOOK_STRING, 0, false, "raw string"},
	{'t', 0, LOOK_NONE, 0, false, "horizontal tab"},
	{'u', 2, LOOK_DEC, 8, false, "decimal unsigned short"},
	{'v', 1, LOOK_SDEC, 8, true, "decimal signed int"},
	{'w', 2, LOOK_RADIX, 8, true, "default radix unsigned short"},
	{'x', 2, LOOK_HEX, 8, false, "hexadecimal short"},
	{'y', 8, LOOK_TIME, 24, false, "decoded time64_t"},
	{'z', 0, LOOK_WRITE, 0, true, "value of the symbol's type"},
};

const struct format *format_find(char c)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++)
		if (formats[i].c == c)
			return &formats[i];
	return NULL;
}

void session_formats(struct session *s)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		const struct format *row = &formats[i];
		_free_ char *size = NULL;

		if (row->size_bytes > 0)
			size = mem_printf(" (%u byte%s)", row->size_bytes,
					  row->size_bytes == 1 ? "" : "s");
		out_text(s->out, "%c - %s%s%s\n", row->c,
			 row->look == LOOK_FIND ? "match "
			 : row->is_write        ? "write "
						: "",
			 row->is, size ? size : "");
	}
}

/* ---- values ---------------------------------------------------------- */

static int64_t sign_extend(uint64_t v, unsigned size_bytes)
{
	unsigned shift = 64 - size_bytes * 8;

	return (int64_t)(v << shift) >> shift;
}

static char *octal(int64_t v, bool prefix)
{
	uint64_t magnitude = v < 0 ? -(uint64_t)v : (uint64_t)v;

	return mem_printf("%s%s%" PRIo64, v < 0 ? "-" : "",
			  prefix && v != 0 ? "0" : "", magnitude);
}

static char *date(int64_t t)
{
	time_t when = t;
	struct tm tm;
	char buf[64];

	if (!localtime_r(&when, &tm) ||
	    strftime(buf, sizeof(buf), "%Y %b %e %H:%M:%S", &tm) == 0)
		return mem_printf("0x%" PRIx64, (uint64_t)t);
	return mem_strdup(buf);
}

static char *floating(uint64_t v, unsigned size_bytes)
{
	double d = 0;

	if (size_bytes == 4) {
		uint32_t bits = (uint32_t)v;
		float fl = 0;

		memcpy(&fl, &bits, sizeof(fl));
		return mem_printf("%e", (double)fl);
	}
	memcpy(&d, &v, sizeof(d));
	return mem_printf("%g", d);
}

void format_escape(struct strbuf *sb, unsigned char c)
{
	static const char from[] = "\a\b\f\n\r\t\v\"\\";
	static const char to[] = "abfnrtv\"\\";
	const char *p = c ? strchr(from, c) : NULL;

	if (p)
		strbuf_printf(sb, "\\%c", to[p - from]);
	else if (c == '\0')
		strbuf_puts(sb, "\\0");
	else if (c < 0x80 && isprint(c))
		strbuf_putc(sb, (char)c);
	else
		strbuf_printf(sb, "\\%03o", c);
}

static char *byte_text(uint64_t v, bool escaped)
{
	struct strbuf sb = {0};

	if (escaped)
		format_escape(&sb, (unsigned char)v);
	else
		strbuf_putc(&sb, (char)v);
	return sb.s;
}

/* the bytes of a word, and the shorts of a long, the other way round */
static uint64_t swap(uint64_t v, unsigned size_bytes)
{
	return size_bytes == 4 ? __builtin_bswap32((uint32_t)v)
			       : __builtin_bswap16((uint16_t)v);
}

char *format_text(struct fmt *f, const struct format *row, uint64_t v)
{
	unsigned size = row->size_bytes;

	switch ((unsigned)row->look) {
	case LOOK_HEX:
		return out_digits(v, 16);
	case LOOK_DEC:
		return out_digits(v, 10);
	case LOOK_SDEC:
		return mem_printf("%" PRId64, sign_extend(v, size));
	case LOOK_OCT:
		return mem_printf("%s%" PRIo64, v ? "0" : "", v);
	case LOOK_SOCT:
		return octal(sign_extend(v, size), true);
	case LOOK_BARE_OCT:
		return out_digits(v, 8);
	case LOOK_BARE_SOCT:
		return octal(sign_extend(v, size), false);
	case LOOK_BIN:
	case LOOK_JAZZ:
		return out_digits(v, 2);
	case LOOK_RADIX:
		return out_digits(v, (unsigned)f->s->radix);
	case LOOK_SYM:
		return fmt_name(f, v);
	case LOOK_TIME:
		return date(sign_extend(v, size));
	case LOOK_FLOAT:
		return floating(v, size);
	case LOOK_SWAP:
		return out_digits(swap(v, size), 16);
	case LOOK_CHAR:
	case LOOK_ESC:
		return byte_text(v, row->look == LOOK_ESC);
	}
	return mem_strdup("");
}
