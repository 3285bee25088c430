/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Floating point and vector registers: ::fpregs.
 *
 * The note NT_FPREGSET is what the processor's fxsave writes; NT_X86_XSTATE, if
 * the dump has it, begins the same and adds, in the layout of xsave, the upper
 * halves of the ymm registers at byte 576 when bit 2 of the word at byte 512
 * says that they were in use.
 */
#include "thread.h"

enum {
	NST = 8,
	NXMM = 16,
	XSAVE_BV = 512, /* which parts are there */
	XSAVE_YMM = 576,
	YMM_BIT = 2,
};

struct fpregs {
	struct dcmd_call *call;
	struct user_fpregs_struct fp;
	unsigned char high[NXMM][16]; /* of the ymm registers */
	bool has_ymm, doubles, quads, singles;
};

static const struct opt fpregs_opts[] = {
	{'d', OPT_FLAG, NULL, "vectors as doubles"},
	{'q', OPT_FLAG, NULL, "vectors as words of 8 bytes"},
	{'s', OPT_FLAG, NULL, "vectors as floats"},
	{0},
};
static const struct column fpregs_cols[] = {
	{"tid", NULL, CELL_COUNT, 0},
	{"register", NULL, CELL_TEXT, 0},
	{"value", NULL, CELL_TEXT, 0},
};

static void read_ymm(struct fpregs *p, const struct target_thread *th)
{
	const unsigned char *x = th->xstate;
	uint64_t there = 0;

	if (!x || th->xstate_bytes < XSAVE_YMM + sizeof(p->high))
		return;
	p->has_ymm = true;
	memcpy(&there, x + XSAVE_BV, sizeof(there));
	if (there >> YMM_BIT & 1) /* else they are zero */
		memcpy(p->high, x + XSAVE_YMM, sizeof(p->high));
}

static void put(const struct fpregs *p, uint32_t tid, const char *name,
		const char *value)
{
	struct out *o = p->call->out;

	if (!out_is_json(o)) {
		out_text(o, "%%%-6s = %s\n", name, value);
		return;
	}
	out_u64(o, tid);
	out_str(o, name);
	out_str(o, value);
	out_end_row(o, 0);
}

/* a vector as one number, or as what was asked for, the lowest first; owned */
static char *vector_text(const struct fpregs *p, const unsigned char *v,
			 size_t n)
{
	struct strbuf sb = {0};
	size_t step = p->singles ? 4 : 8;

	if (!p->doubles && !p->quads && !p->singles) {
		strbuf_puts(&sb, "0x");
		for (size_t i = n; i > 0; i--)
			strbuf_printf(&sb, "%02x", v[i - 1]);
		return sb.s;
	}
	strbuf_puts(&sb, "[ ");
	for (size_t i = 0; i < n; i += step) {
		float f = 0;
		double d = 0;
		uint64_t q = 0;

		memcpy(&f, v + i, sizeof(f));
		memcpy(&d, v + (i & ~(size_t)7), sizeof(d));
		memcpy(&q, v + (i & ~(size_t)7), sizeof(q));
		if (i > 0)
			strbuf_puts(&sb, ", ");
		if (p->singles)
			strbuf_printf(&sb, "%+.7e", (double)f);
		else if (p->doubles)
			strbuf_printf(&sb, "%+.16e", d);
		else
			strbuf_printf(&sb, "0x%016" PRIx64, q);
	}
	strbuf_puts(&sb, " ]");
	return sb.s;
}

static void put_control(const struct fpregs *p, uint32_t tid)
{
	const struct user_fpregs_struct *fp = &p->fp;
	_free_ char *cw = mem_printf("0x%04x", fp->cwd);
	_free_ char *sw = mem_printf("0x%04x  top=%u", fp->swd,
				     (unsigned)fp->swd >> 11 & 7);
	_free_ char *tag = mem_printf("0x%02x", fp->ftw & 0xffu);
	_free_ char *mxcsr = mem_printf("0x%08x", fp->mxcsr);
	_free_ char *rip = mem_printf("0x%016llx", (unsigned long long)fp->rip);

	put(p, tid, "cw", cw);
	put(p, tid, "sw", sw);
	put(p, tid, "tag", tag);
	put(p, tid, "fip", rip);
	put(p, tid, "mxcsr", mxcsr);
}

static void put_stack(const struct fpregs *p, uint32_t tid)
{
	for (size_t i = 0; i < NST; i++) {
		const unsigned char *b =
			(const unsigned char *)p->fp.st_space + i * 16;
		_free_ char *name = mem_printf("st%zu", i);
		struct strbuf sb = {0};
		long double ld = 0;

		memcpy(&ld, b, 10); /* the rest is padding */
		strbuf_printf(&sb, "%+.18Le  0x", ld);
		for (size_t k = 10; k > 0; k--)
			strbuf_printf(&sb, "%02x", b[k - 1]);
		put(p, tid, name, sb.s);
		strbuf_free(&sb);
	}
}

static void put_vectors(const struct fpregs *p, uint32_t tid)
{
	for (size_t i = 0; i < NXMM; i++) {
		unsigned char v[32];
		_free_ char *name =
			mem_printf("%cmm%zu", p->has_ymm ? 'y' : 'x', i);
		_free_ char *text = NULL;

		memcpy(v, (const unsigned char *)p->fp.xmm_space + i * 16, 16);
		memcpy(v + 16, p->high[i], 16);
		text = vector_text(p, v, p->has_ymm ? 32 : 16);
		put(p, tid, name, text);
	}
}

static struct err *dcmd_fpregs(struct dcmd_call *call)
{
	struct fpregs p = {.call = call};
	void *const values[] = {&p.doubles, &p.quads, &p.singles};
	const struct target_thread *th = NULL;
	size_t first = 0;
	struct err *err = dcmd_options(call, fpregs_opts, values, &first);

	if (!err && first < call->argc)
		err = err_new(ERR_USAGE, "it takes no arguments");
	if (!err)
		err = find_thread(call, &th);
	if (!err && (!th->fpregs || th->fpregs_bytes < sizeof(p.fp)))
		err = err_new(ERR_NOSUP,
			      "the floating point registers of thread 0x%x "
			      "were not recorded",
			      th->tid);
	if (err)
		return err;
	memcpy(&p.fp, th->fpregs, sizeof(p.fp));
	read_ymm(&p, th);
	out_begin(call->out, fpregs_cols, 3, "");
	put_control(&p, th->tid);
	put_stack(&p, th->tid);
	put_vectors(&p, th->tid);
	out_end(call->out);
	return NULL;
}

#define ALIAS(word)                                                           \
	{                                                                     \
		.name = word, .addr = ADDR_OPTIONAL, .opts = fpregs_opts,     \
		.usage = "", .brief = "alias of ::fpregs", .run = dcmd_fpregs \
	}

static const struct dcmd dcmds[] = {
	{.name = "fpregs",
	 .addr = ADDR_OPTIONAL,
	 .opts = fpregs_opts,
	 .usage = "",
	 .brief = "floating point and vector registers of a thread ($x)",
	 .run = dcmd_fpregs},
	ALIAS("$x"),
	ALIAS("$X"),
	ALIAS("$y"),
	ALIAS("$Y"),
	{0},
};

const struct group group_fpregs = {.name = "session", .dcmds = dcmds};
