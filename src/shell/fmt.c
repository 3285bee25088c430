/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The format verbs.  "/" reads the address space, "?" the object file, "=" the
 * value of dot itself.  A format list moves along from dot; what it consumed
 * becomes the increment.
 *
 *	main:           55      48 ...        label to column 16, then fields
 *	                e5      41 ...        next lines begin there, too
 *
 * A field that would go beyond column 80 begins a new line.  In a pipe only the
 * values travel.
 */
#include "shell/shell_impl.h"

#include <ctype.h>
#include <time.h>

enum {
	INDENT = 16,
	PAGE = 80,
	STRING_MAX = 1 << 20
};

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
};

static const struct value_format {
	char c;
	unsigned char size_bytes;
	enum look look;
	int width;
} formats[] = {
	{'B', 1, LOOK_HEX, 8},    {'C', 1, LOOK_ESC, 0},
	{'D', 4, LOOK_SDEC, 16},  {'E', 8, LOOK_DEC, 21},
	{'F', 8, LOOK_FLOAT, 0},  {'G', 8, LOOK_BARE_OCT, 23},
	{'H', 4, LOOK_SWAP, 16},  {'J', 8, LOOK_HEX, 16},
	{'K', 8, LOOK_HEX, 16},   {'O', 4, LOOK_OCT, 16},
	{'P', 8, LOOK_SYM, 19},   {'p', 8, LOOK_SYM, 19},
	{'Q', 4, LOOK_SOCT, 16},  {'R', 8, LOOK_BIN, 64},
	{'U', 4, LOOK_DEC, 16},   {'V', 1, LOOK_DEC, 8},
	{'W', 4, LOOK_RADIX, 16}, {'X', 4, LOOK_HEX, 16},
	{'Y', 4, LOOK_TIME, 24},  {'Z', 8, LOOK_HEX, 16},
	{'b', 1, LOOK_OCT, 8},    {'c', 1, LOOK_CHAR, 0},
	{'d', 2, LOOK_SDEC, 8},   {'e', 8, LOOK_SDEC, 21},
	{'f', 4, LOOK_FLOAT, 0},  {'g', 8, LOOK_BARE_SOCT, 24},
	{'h', 2, LOOK_SWAP, 8},   {'j', 8, LOOK_JAZZ, 0},
	{'o', 2, LOOK_OCT, 8},    {'q', 2, LOOK_SOCT, 8},
	{'u', 2, LOOK_DEC, 8},    {'v', 1, LOOK_SDEC, 8},
	{'w', 2, LOOK_RADIX, 8},  {'x', 2, LOOK_HEX, 8},
	{'y', 8, LOOK_TIME, 24},
};

static const struct value_format *format_find(char c)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++)
		if (formats[i].c == c)
			return &formats[i];
	return NULL;
}

/* ---- layout ---------------------------------------------------------- */

static size_t column(const struct fmt *f)
{
	return f->o->kind == OUT_JSON ? f->o->text.n : f->o->column;
}

static void indent(struct fmt *f)
{
	size_t at = column(f);

	if (at < INDENT)
		out_text(f->o, "%*s", (int)(INDENT - at), "");
}

/* a field, left aligned in width */
static void put(struct fmt *f, const char *text, int width)
{
	size_t n = strlen(text);

	if (out_is_pipe(f->o))
		return;
	if (n < (size_t)width)
		n = (size_t)width;
	else if (width > 0)
		n++; /* a blank after a value that fills its field */
	indent(f);
	if (width > 0 && column(f) > INDENT && column(f) + n > PAGE) {
		out_text(f->o, "\n");
		indent(f);
	}
	out_text(f->o, "%-*s", (int)n, text);
}

/* "name:" up to the next stop of 16 columns */
static void put_label(struct fmt *f, taddr_t addr)
{
	_free_ char *name = out_addr_name(f->o, addr);
	int n = (int)strlen(name) + 1;

	out_text(f->o, "%s:%*s", name, n % INDENT ? INDENT - n % INDENT : 0,
		 "");
}

static void put_heading(struct fmt *f)
{
	struct symbol sym;

	if (f->s->types && types_symbol_at(f->s->types, f->dot, &sym) &&
	    sym.value == f->dot) {
		_free_ char *name = out_addr_name(f->o, f->dot);

		out_text(f->o, "%s:\n", name);
	}
	put_label(f, f->dot);
}

/* ---- values as text -------------------------------------------------- */

static char *in_radix(uint64_t v, unsigned radix)
{
	char buf[65];
	size_t i = sizeof(buf) - 1;

	buf[i] = '\0';
	do {
		buf[--i] = "0123456789abcdef"[v % radix];
		v /= radix;
	} while (v > 0);
	return mem_strdup(buf + i);
}

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

/* a byte as a C programmer writes it */
static void escape(struct strbuf *sb, unsigned char c)
{
	static const char from[] = "\a\b\f\n\r\t\v\"\\";
	static const char to[] = "abfnrtv\"\\";
	const char *p = c ? strchr(from, c) : NULL;

	if (p)
		strbuf_printf(sb, "\\%c", to[p - from]);
	else if (c == '\0')
		strbuf_puts(sb, "\\0");
	else if (isprint(c))
		strbuf_putc(sb, (char)c);
	else
		strbuf_printf(sb, "\\%03o", c);
}

static char *byte_text(uint64_t v, bool escaped)
{
	struct strbuf sb = {0};

	if (escaped)
		escape(&sb, (unsigned char)v);
	else
		strbuf_putc(&sb, (char)v);
	return sb.s;
}

static char *value_text(struct fmt *f, const struct value_format *vf,
			uint64_t v)
{
	switch (vf->look) {
	case LOOK_HEX:
		return in_radix(v, 16);
	case LOOK_DEC:
		return in_radix(v, 10);
	case LOOK_SDEC:
		return mem_printf("%" PRId64, sign_extend(v, vf->size_bytes));
	case LOOK_OCT:
		return mem_printf("%s%" PRIo64, v ? "0" : "", v);
	case LOOK_SOCT:
		return octal(sign_extend(v, vf->size_bytes), true);
	case LOOK_BARE_OCT:
		return in_radix(v, 8);
	case LOOK_BARE_SOCT:
		return octal(sign_extend(v, vf->size_bytes), false);
	case LOOK_BIN:
		return in_radix(v, 2);
	case LOOK_RADIX:
		return in_radix(v, (unsigned)f->s->radix);
	case LOOK_SYM:
		return out_addr_name(f->o, v);
	case LOOK_TIME:
		return date(sign_extend(v, vf->size_bytes));
	case LOOK_FLOAT:
		return floating(v, vf->size_bytes);
	case LOOK_SWAP:
		v = vf->size_bytes == 4 ? __builtin_bswap32((uint32_t)v)
					: __builtin_bswap16((uint16_t)v);
		return in_radix(v, 16);
	case LOOK_CHAR:
	case LOOK_ESC:
		return byte_text(v, vf->look == LOOK_ESC);
	case LOOK_JAZZ:
		break;
	}
	return mem_strdup("");
}

/* the bits, and under each that is set a line that leads to its number */
static void put_jazz(struct fmt *f, uint64_t v)
{
	_free_ char *bits = in_radix(v, 2);
	_free_ char *hex = in_radix(v, 16);
	int n = (int)strlen(bits);
	struct strbuf sb = {0};

	if (out_is_pipe(f->o))
		return;
	put(f, bits, 0);
	if (v == 0)
		return;
	for (int i = 0; i < n; i++)
		strbuf_putc(&sb, bits[i] == '1' ? '|' : ' ');
	out_text(f->o, "\n%*s%s", INDENT, "", sb.s);
	for (int bit = 0; bit < n; bit++) {
		int at = n - 1 - bit;

		if (bits[at] != '1')
			continue;
		strbuf_reset(&sb);
		for (int i = 0; i < at; i++)
			strbuf_putc(&sb, bits[i] == '1' ? '|' : ' ');
		strbuf_putc(&sb, '+');
		for (int i = at + 1; i < n + 2; i++)
			strbuf_putc(&sb, '-');
		out_text(f->o, "\n%*s%s bit %-*d mask 0x%0*" PRIx64, INDENT, "",
			 sb.s, n > 10 ? 2 : 1, bit, (int)strlen(hex),
			 (uint64_t)1 << bit);
	}
	strbuf_free(&sb);
}

/* ---- reading --------------------------------------------------------- */

static struct err *no_mapping(struct err *err, taddr_t addr)
{
	if (!err_is(err, ERR_FAULT))
		return err;
	err_free(err);
	return err_new(ERR_FAULT,
		       "failed to read data from target: no mapping for "
		       "address 0x%" PRIx64,
		       addr);
}

static struct err *read_bytes(struct fmt *f, void *buf, size_t n)
{
	uint64_t value = f->s->dot;
	taddr_t at = f->dot;

	if (f->verb == '?')
		return eval_read_file(f->s, at, buf, n);
	if (f->verb != '=')
		return no_mapping(target_read(f->s->target, at, buf, n), at);
	/* "=": the value is the memory, eight bytes of it */
	at -= f->s->dot;
	memset(buf, 0, n);
	if (at < sizeof(value))
		memcpy(buf, (char *)&value + at,
		       n < sizeof(value) - at ? n : sizeof(value) - at);
	return NULL;
}

static void emit(struct fmt *f, uint64_t value)
{
	/* it is there: session_create() made it */
	err_free(session_set_var(f->s, "0", value));
	if (out_is_pipe(f->o))
		out_value(f->o, value);
}

static struct err *put_value(struct fmt *f, const struct value_format *vf)
{
	_free_ char *text = NULL;
	uint64_t value = 0;
	struct err *err = NULL;
	int width = vf->width;

	if (f->verb == '=') {
		value = f->s->dot;
		if (vf->size_bytes < 8)
			value &= (1ull << (vf->size_bytes * 8)) - 1;
	} else {
		err = read_bytes(f, &value, vf->size_bytes);
	}
	if (err)
		return err;
	if (vf->look == LOOK_JAZZ)
		put_jazz(f, value);
	text = value_text(f, vf, value);
	if (strlen(text) == (size_t)width)
		width++;
	if (vf->look != LOOK_JAZZ)
		put(f, text, width);
	emit(f, value);
	f->dot += f->verb == '=' ? 0 : vf->size_bytes;
	f->increment = vf->size_bytes;
	return NULL;
}

static struct err *put_string(struct fmt *f, bool escaped)
{
	struct strbuf sb = {0};
	struct err *err = NULL;
	taddr_t start = f->dot;

	strbuf_puts(&sb, "");
	for (;;) {
		unsigned char c = 0;

		err = read_bytes(f, &c, 1);
		f->dot++;
		if (err || c == '\0' || sb.n > STRING_MAX)
			break;
		if (escaped)
			escape(&sb, c);
		else
			strbuf_putc(&sb, (char)c);
	}
	f->increment = f->dot - start;
	if (!err)
		put(f, sb.s, 0);
	strbuf_free(&sb);
	return err;
}

/* ---- the list -------------------------------------------------------- */

static void put_blank(struct fmt *f, char c, uint64_t count)
{
	size_t at = column(f);
	size_t stop = count > 1 ? count : 8;

	if (out_is_pipe(f->o) || count > 10000)
		return;
	if (c == 't' || c == 'T') {
		out_text(f->o, "%*s", (int)(stop - at % stop), "");
		return;
	}
	for (; count > 0; count--)
		out_text(f->o, c == 'r' ? " " : "\n");
}

static struct err *put_item(struct fmt *f, char c)
{
	const struct value_format *vf = format_find(c);

	if (vf)
		return put_value(f, vf);
	if (c == 's' || c == 'S')
		return put_string(f, c == 'S');
	if (c == 'a') {
		if (out_is_pipe(f->o))
			out_value(f->o, f->dot);
		else if (f->verb == '=')
			indent(f);
		if (!out_is_pipe(f->o))
			put_label(f, f->dot);
		return NULL;
	}
	session_stop_loop(f->s);
	if (c == 'i' || c == 'I')
		return err_new(ERR_NOSUP,
			       "format '%c': instructions are not "
			       "disassembled by this version",
			       c);
	return err_new(ERR_NOTFOUND, "invalid format character '%c'", c);
}

static struct err *run_item(struct fmt *f, const struct fmt_item *item)
{
	uint64_t count = item->count;
	struct err *err = NULL;

	if (item->text) {
		put(f, item->text, 0);
		return NULL;
	}
	if (item->count_expr)
		err = eval_expr(f->s, item->count_expr, &count);
	if (err)
		return err;
	switch (item->c) {
	case '+':
		f->dot += count;
		return NULL;
	case '-':
		f->dot -= count;
		return NULL;
	case '^':
		f->dot -= f->increment * count;
		return NULL;
	case 'n':
	case 'N':
	case 'r':
	case 't':
	case 'T':
		put_blank(f, item->c, count);
		return NULL;
	}
	for (uint64_t i = 0; i < count && !err; i++) {
		err = put_item(f, item->c);
		if (!err)
			err = interrupt_check();
	}
	return err;
}

/* ---- searching and writing ------------------------------------------- */

static struct err *arg_value(struct session *s, const struct word *w,
			     uint64_t *ret)
{
	if (w->expr)
		return eval_expr(s, w->expr, ret);
	return session_eval_expr(s, w->text, ret);
}

/* "/l val [mask]": the first word from dot on that is val under mask */
static struct err *search(struct fmt *f, const struct stage *st, char c)
{
	size_t size = c == 'l' ? 2 : c == 'L' ? 4 : 8;
	uint64_t want = 0;
	uint64_t mask = UINT64_MAX;
	uint64_t word = 0;
	struct err *err = NULL;

	session_stop_loop(f->s);
	if (st->args.n == 0)
		return err_new(ERR_NOTFOUND, "expected value following %c", c);
	if (st->args.n > 2)
		return err_new(ERR_NOTFOUND,
			       "only value and mask may follow %c", c);
	err = arg_value(f->s, &st->args.v[0], &want);
	if (!err && st->args.n == 2)
		err = arg_value(f->s, &st->args.v[1], &mask);
	for (; !err; f->dot += size) {
		err = interrupt_check();
		if (err)
			break;
		word = 0;
		err = read_bytes(f, &word, size);
		if (err || (word & mask) == want)
			break;
	}
	f->s->dot = f->dot;
	if (err_is(err, ERR_FAULT)) {
		err_free(err); /* the end of what is there: no match */
		return NULL;
	}
	if (err)
		return err;
	if (out_is_pipe(f->o) || out_is_json(f->o)) {
		out_value(f->o, f->dot);
	} else {
		_free_ char *name = out_addr_name(f->o, f->dot);

		out_text(f->o, "%s\n", name);
	}
	return NULL;
}

static struct err *refuse_write(struct fmt *f, const struct stage *st, char c)
{
	uint64_t value = 0;
	struct err *err = NULL;

	session_stop_loop(f->s);
	if (st->args.n == 0)
		return err_new(ERR_NOTFOUND,
			       "expected value to write following %c", c);
	err = arg_value(f->s, &st->args.v[0], &value);
	if (err)
		return err;
	return err_new(ERR_NOSUP,
		       "failed to write 0x%" PRIx64 " at address 0x%" PRIx64
		       ": target is not open for writing",
		       value, f->dot);
}

struct err *fmt_run(struct session *s, const struct stage *st, unsigned flags)
{
	static const struct fmt_item word = {.c = 'X', .count = 1};
	struct fmt f = {
		.s = s, .o = s->out, .verb = st->name[0], .dot = s->dot};
	struct err *err = NULL;
	char c = st->fmts.n > 0 ? st->fmts.v[0].c : 0;

	s->last_dot = s->dot;
	s->increment = 0;
	if (f.verb == '\\' || f.verb == '@')
		return err_new(ERR_NOSUP,
			       "'%c': the target has no physical addresses",
			       f.verb);
	if (f.verb == '=' && st->fmts.n == 0)
		return err_new(ERR_NOTFOUND, "expected one or more format "
					     "characters following '='");
	if (f.verb != '=' && c && strchr("lLM", c))
		return search(&f, st, c);
	if (f.verb != '=' && c && strchr("vwWZz", c))
		return refuse_write(&f, st, c);
	if (f.verb != '=' && DCMD_HDRSPEC(flags) && !out_is_pipe(s->out))
		put_heading(&f);
	if (st->fmts.n == 0)
		err = run_item(&f, &word);
	for (size_t i = 0; i < st->fmts.n && !err; i++)
		err = run_item(&f, &st->fmts.v[i]);
	if (f.verb != '=')
		s->increment = f.dot - s->dot;
	return err;
}
