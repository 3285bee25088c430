/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The format verbs.  "/" reads the address space, "?" the object file, "=" the
 * value of dot itself.  A format list moves along from dot; what it consumed
 * becomes the increment.
 *
 *	main:           55      48 ...        label to column 16, then fields
 *	                e5      41 ...        next lines begin there, too
 *
 * A field that would go beyond the page's width begins a new line.  In a pipe
 * only the values travel.
 */
#include "shell/fmt_impl.h"
#include "types/disasm.h"

enum {
	STRING_MAX = 1 << 20,
	INSN_WIDTH = 32, /* of the address before an instruction */
};

/* ---- layout ---------------------------------------------------------- */

static size_t column(const struct fmt *f)
{
	return f->o->kind == OUT_JSON ? f->o->text.n : f->o->column;
}

static void indent(struct fmt *f)
{
	size_t at = column(f);

	if (at < FMT_INDENT)
		out_text(f->o, "%*s", (int)(FMT_INDENT - at), "");
}

/* a number, left aligned in width, on a new line if this one is full */
static void put_field(struct fmt *f, const char *text, int width)
{
	size_t n = strlen(text);

	if (n < (size_t)width)
		n = (size_t)width;
	else if (width > 0)
		n++; /* a blank after a value that fills its field */
	indent(f);
	if (column(f) > FMT_INDENT &&
	    column(f) + n > session_page_width(f->s)) {
		out_text(f->o, "\n");
		indent(f);
	}
	out_text(f->o, "%-*s", (int)n, text);
}

static void put_text(struct fmt *f, const char *text)
{
	if (out_is_pipe(f->o))
		return;
	indent(f);
	out_text(f->o, "%s", text);
}

char *fmt_name(struct fmt *f, taddr_t addr)
{
	struct symbol sym;

	if (f->s->types && types_symbol_at(f->s->types, addr, &sym))
		vars_offset(f->s, addr - sym.value);
	return out_addr_name(f->o, addr);
}

/* "name:" up to the next stop of 16 columns */
static void put_label(struct fmt *f, taddr_t addr)
{
	_free_ char *name = fmt_name(f, addr);
	int n = (int)strlen(name) + 1;

	out_text(f->o, "%s:%*s", name, FMT_INDENT - n % FMT_INDENT, "");
}

static void put_heading(struct fmt *f, bool has_label)
{
	struct symbol sym;

	if (f->s->types && types_symbol_at(f->s->types, f->dot, &sym) &&
	    sym.value == f->dot) {
		_free_ char *name = fmt_name(f, f->dot);

		out_text(f->o, "%s:\n", name);
	}
	if (has_label)
		put_label(f, f->dot);
}

/* the bits, and under each that is set a line that leads to its number */
static void put_jazz(struct fmt *f, uint64_t v)
{
	_free_ char *bits = out_digits(v, 2);
	_free_ char *hex = out_digits(v, 16);
	int n = (int)strlen(bits);
	struct strbuf sb = {0};

	put_text(f, bits);
	if (v == 0)
		return;
	for (int i = 0; i < n; i++)
		strbuf_putc(&sb, bits[i] == '1' ? '|' : ' ');
	out_text(f->o, "\n%*s%s", FMT_INDENT, "", sb.s);
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
		out_text(f->o, "\n%*s%s bit %-*d mask 0x%0*" PRIx64, FMT_INDENT,
			 "", sb.s, n > 10 ? 2 : 1, bit, (int)strlen(hex),
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

struct err *fmt_read(struct fmt *f, void *buf, size_t n)
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

static struct err *put_value(struct fmt *f, const struct format *row)
{
	_free_ char *text = NULL;
	uint64_t value = 0;
	struct err *err = NULL;

	if (f->verb == '=') {
		value = f->s->dot;
		if (row->size_bytes < 8)
			value &= (1ull << (row->size_bytes * 8)) - 1;
	} else {
		err = fmt_read(f, &value, row->size_bytes);
	}
	if (err)
		return err;
	text = format_text(f, row, value);
	if (out_is_pipe(f->o))
		out_value(f->o, value);
	else if (row->look == LOOK_JAZZ)
		put_jazz(f, value);
	else if (row->look == LOOK_CHAR || row->look == LOOK_ESC)
		put_text(f, text);
	else
		put_field(f, text, row->width);
	vars_last_value(f->s, value);
	f->dot += f->verb == '=' ? 0 : row->size_bytes;
	f->increment = row->size_bytes;
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

		err = fmt_read(f, &c, 1);
		f->dot++;
		if (err || c == '\0' || sb.n > STRING_MAX)
			break;
		if (escaped)
			format_escape(&sb, c);
		else
			strbuf_putc(&sb, (char)c);
	}
	f->increment = f->dot - start;
	if (!err)
		put_text(f, sb.s);
	strbuf_free(&sb);
	return err;
}

/* the instruction at dot; a line of its own */
static struct err *put_insn(struct fmt *f, bool has_addr)
{
	unsigned char bytes[INSN_BYTES_MAX];
	size_t n = sizeof(bytes);
	struct insn insn;
	struct err *err = fmt_read(f, bytes, n);

	while (err_is(err, ERR_FAULT) && n > 1) {
		err_free(err); /* the memory ends before */
		err = fmt_read(f, bytes, --n);
	}
	if (err)
		return err;
	disasm_bytes(f->s->types, f->dot, bytes, n, &insn);
	if (!out_is_pipe(f->o) && has_addr) {
		_free_ char *name = fmt_name(f, f->dot);
		_free_ char *label = mem_printf("%s:", name);
		int pad = 8 - (int)strlen(label) % 8;

		if (strlen(label) <= INSN_WIDTH)
			pad = INSN_WIDTH + 8 - (int)strlen(label);
		out_text(f->o, "%s%*s", label, pad, "");
	}
	put_text(f, insn.text);
	if (!out_is_pipe(f->o))
		out_text(f->o, "\n");
	f->dot += insn.size_bytes;
	f->increment = insn.size_bytes;
	return NULL;
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

static void put_address(struct fmt *f)
{
	if (out_is_pipe(f->o)) {
		out_value(f->o, f->dot);
		return;
	}
	if (f->verb == '=')
		indent(f);
	put_label(f, f->dot);
}

static struct err *put_item(struct fmt *f, const struct format *row)
{
	switch ((unsigned)row->look) {
	case LOOK_STRING:
	case LOOK_ESC_STRING:
		return put_string(f, row->look == LOOK_ESC_STRING);
	case LOOK_LABEL:
		put_address(f);
		return NULL;
	case LOOK_FIND:
	case LOOK_WRITE:
		session_stop_loop(f->s);
		return err_new(ERR_NOTFOUND,
			       "format '%c' must come first after /", row->c);
	case LOOK_INSN:
	case LOOK_ADDR_INSN:
		return put_insn(f, row->look == LOOK_ADDR_INSN);
	}
	return put_value(f, row);
}

/* what moves dot or the cursor takes its count at once */
static void move(struct fmt *f, char c, uint64_t count)
{
	switch (c) {
	case '+':
		f->dot += count;
		break;
	case '-':
		f->dot -= count;
		break;
	case '^':
		f->dot -= f->increment * count;
		break;
	default:
		put_blank(f, c, count);
	}
}

static struct err *run_item(struct fmt *f, const struct fmt_item *item)
{
	const struct format *row = format_find(item->c);
	uint64_t count = item->count;
	struct err *err = NULL;

	if (item->text) {
		put_text(f, item->text);
		return NULL;
	}
	if (!row) {
		session_stop_loop(f->s);
		return err_new(ERR_NOTFOUND, "invalid format character '%c'",
			       item->c);
	}
	if (item->count_expr)
		err = eval_expr(f->s, item->count_expr, &count);
	if (!err && row->look == LOOK_NONE) {
		move(f, item->c, count);
		return NULL;
	}
	for (uint64_t i = 0; i < count && !err; i++) {
		err = put_item(f, row);
		if (!err)
			err = interrupt_check();
	}
	return err;
}

/* "ai" and "ia" print their own labels */
static bool labels_itself(const struct stage *st)
{
	char a = st->fmts.n > 1 ? st->fmts.v[0].c : 0;
	char b = st->fmts.n > 1 ? st->fmts.v[1].c : 0;

	return (a == 'a' && b == 'i') || (a == 'i' && b == 'a') ||
	       (st->fmts.n > 0 && st->fmts.v[0].c == 'I');
}

static struct err *run_list(struct fmt *f, const struct stage *st,
			    unsigned flags)
{
	/* what "/" alone prints: X^"= "i */
	static const struct fmt_item plain[] = {{.c = 'X', .count = 1},
						{.c = '^', .count = 1},
						{.text = (char *)"= "},
						{.c = 'i', .count = 1}};
	const struct fmt_item *items = st->fmts.n > 0 ? st->fmts.v : plain;
	size_t n = st->fmts.n > 0 ? st->fmts.n : 4;
	struct err *err = NULL;

	if (f->verb != '=' && DCMD_HDRSPEC(flags) && !out_is_pipe(f->o))
		put_heading(f, !labels_itself(st));
	for (size_t i = 0; i < n && !err; i++)
		err = run_item(f, &items[i]);
	if (f->verb != '=')
		f->s->increment = f->dot - f->s->dot;
	return err;
}

struct err *fmt_run(struct session *s, const struct stage *st, unsigned flags)
{
	struct fmt f = {
		.s = s, .o = s->out, .verb = st->name[0], .dot = s->dot};
	const struct format *first =
		st->fmts.n > 0 ? format_find(st->fmts.v[0].c) : NULL;

	s->last_dot = s->dot;
	s->increment = 0;
	if (f.verb == '\\' || f.verb == '@')
		return err_new(ERR_NOSUP,
			       "'%c': the target has no physical addresses",
			       f.verb);
	if (f.verb == '=' && st->fmts.n == 0)
		return err_new(ERR_NOTFOUND, "expected one or more format "
					     "characters following '='");
	if (f.verb != '=' && first && first->look == LOOK_FIND)
		return fmt_search(&f, st, first);
	if (f.verb != '=' && first && first->is_write)
		return fmt_write(&f, st, first);
	return run_list(&f, st, flags);
}
