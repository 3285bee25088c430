/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Registers of threads. */
#define _GNU_SOURCE /* REG_R8 and its relations */
#include "thread.h"

#include <ucontext.h>

/* ---- ::regs ---------------------------------------------------------- */

static const struct column reg_cols[] = {
	{"tid", NULL, CELL_COUNT, 0},
	{"register", NULL, CELL_TEXT, 0},
	{"value", NULL, CELL_HEX, 0},
};

#define REG(name)                                              \
	{                                                      \
#name, offsetof(struct user_regs_struct, name) \
	}
static const struct reg {
	const char *name;
	size_t offset;
} reg_table[] = {
	REG(rax),     REG(rbx),      REG(rcx),    REG(rdx), REG(rsi),
	REG(rdi),     REG(r8),       REG(r9),     REG(r10), REG(r11),
	REG(r12),     REG(r13),      REG(r14),    REG(r15), REG(rip),
	REG(rbp),     REG(rsp),      REG(eflags), REG(cs),  REG(ds),
	REG(es),      REG(fs),       REG(gs),     REG(ss),  REG(fs_base),
	REG(gs_base), REG(orig_rax),
};

static const struct opt regs_opts[] = {
	{'u', OPT_FLAG, NULL, "the address is that of a ucontext_t"},
	{0},
};

static uint64_t reg_value(const struct target_thread *th, size_t i)
{
	uint64_t v = 0;

	memcpy(&v, (const char *)&th->regs + reg_table[i].offset, sizeof(v));
	return v;
}

static void regs_json(struct dcmd_call *call, const struct target_thread *th)
{
	size_t n = sizeof(reg_table) / sizeof(*reg_table);
	struct out *o = call->out;

	out_begin(o, reg_cols, 3, "");
	for (size_t i = 0; i < n; i++) {
		const char *name = reg_table[i].name;

		if (th->regs_partial && strcmp(name, "rip") &&
		    strcmp(name, "rsp"))
			continue;
		out_u64(o, th->tid);
		out_str(o, name);
		out_u64(o, reg_value(th, i));
		out_end_row(o, reg_value(th, i));
	}
	out_end(o);
}

static void flags_text(struct out *o, uint64_t flags)
{
	static const struct {
		const char *off, *on;
		unsigned bit;
	} names[] = {
		{"of", "OF", 11}, {"df", "DF", 10}, {"if", "IF", 9},
		{"tf", "TF", 8},  {"sf", "SF", 7},  {"zf", "ZF", 6},
		{"af", "AF", 4},  {"pf", "PF", 2},  {"cf", "CF", 0},
	};

	out_text(o, "%%rflags = 0x%08" PRIx64 "\n", flags);
	out_text(o, "  id=%d vip=%d vif=%d ac=%d vm=%d rf=%d nt=%d iopl=0x%x\n",
		 (int)(flags >> 21 & 1), (int)(flags >> 20 & 1),
		 (int)(flags >> 19 & 1), (int)(flags >> 18 & 1),
		 (int)(flags >> 17 & 1), (int)(flags >> 16 & 1),
		 (int)(flags >> 14 & 1), (unsigned)(flags >> 12 & 3));
	out_text(o, "  status=<");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		out_text(o, "%s%s", i ? "," : "",
			 flags >> names[i].bit & 1 ? names[i].on
						   : names[i].off);
	out_text(o, ">\n");
}

static void regs_text(struct dcmd_call *call, const struct target_thread *th)
{
	const struct user_regs_struct *r = &th->regs;
	struct out *o = call->out;
	_free_ char *at = types_addr_name(session_types(call->s), r->rip);

	for (size_t i = 0; i < 6; i++)
		out_text(o,
			 "%%%s = 0x%016" PRIx64 "\t%%%-3s = 0x%016" PRIx64 "\n",
			 reg_table[i].name, reg_value(th, i),
			 reg_table[i + 6].name, reg_value(th, i + 6));
	out_text(o, "\t\t\t\t%%r14 = 0x%016llx\n\t\t\t\t%%r15 = 0x%016llx\n",
		 r->r14, r->r15);
	out_text(o, "\n%%cs = 0x%04llx\t%%fs = 0x%04llx\t%%gs = 0x%04llx\n",
		 r->cs, r->fs, r->gs);
	out_text(o, "%%ds = 0x%04llx\t%%es = 0x%04llx\t%%ss = 0x%04llx\n",
		 r->ds, r->es, r->ss);
	out_text(o, "\n%%rip = 0x%016llx %s\n", r->rip, at);
	out_text(o, "%%rbp = 0x%016llx\n%%rsp = 0x%016llx\n\n", r->rbp, r->rsp);
	flags_text(o, r->eflags);
	out_text(o, "\n%%gsbase = 0x%llx\n%%fsbase = 0x%llx\n", r->gs_base,
		 r->fs_base);
}

/* a ucontext_t of the target's, which signal handlers are given */
static struct err *read_ucontext(struct dcmd_call *call,
				 struct target_thread *ret)
{
	static const struct {
		int number; /* in gregs */
		size_t offset;
	} map[] = {
		{REG_R8, offsetof(struct user_regs_struct, r8)},
		{REG_R9, offsetof(struct user_regs_struct, r9)},
		{REG_R10, offsetof(struct user_regs_struct, r10)},
		{REG_R11, offsetof(struct user_regs_struct, r11)},
		{REG_R12, offsetof(struct user_regs_struct, r12)},
		{REG_R13, offsetof(struct user_regs_struct, r13)},
		{REG_R14, offsetof(struct user_regs_struct, r14)},
		{REG_R15, offsetof(struct user_regs_struct, r15)},
		{REG_RDI, offsetof(struct user_regs_struct, rdi)},
		{REG_RSI, offsetof(struct user_regs_struct, rsi)},
		{REG_RBP, offsetof(struct user_regs_struct, rbp)},
		{REG_RBX, offsetof(struct user_regs_struct, rbx)},
		{REG_RDX, offsetof(struct user_regs_struct, rdx)},
		{REG_RAX, offsetof(struct user_regs_struct, rax)},
		{REG_RCX, offsetof(struct user_regs_struct, rcx)},
		{REG_RSP, offsetof(struct user_regs_struct, rsp)},
		{REG_RIP, offsetof(struct user_regs_struct, rip)},
		{REG_EFL, offsetof(struct user_regs_struct, eflags)},
	};
	ucontext_t uc;
	struct err *err = NULL;

	if (!(call->flags & DCMD_ADDRSPEC))
		return err_new(ERR_USAGE, "-u needs an address");
	err = target_read(session_target(call->s), call->addr, &uc, sizeof(uc));
	if (err)
		return err;
	*ret = (struct target_thread){.has_regs = true};
	for (size_t i = 0; i < sizeof(map) / sizeof(*map); i++)
		memcpy((char *)&ret->regs + map[i].offset,
		       &uc.uc_mcontext.gregs[map[i].number], 8);
	/* cs, gs, fs and ss are packed into one */
	ret->regs.cs = (uint64_t)uc.uc_mcontext.gregs[REG_CSGSFS] & 0xffff;
	ret->regs.ss = (uint64_t)uc.uc_mcontext.gregs[REG_CSGSFS] >> 48;
	return NULL;
}

static struct err *dcmd_regs(struct dcmd_call *call)
{
	const struct target_thread *th = NULL;
	struct target_thread context;
	bool is_context = false;
	void *const values[] = {&is_context};
	size_t first = 0;
	struct err *err = dcmd_options(call, regs_opts, values, &first);

	if (!err && first < call->argc)
		err = err_new(ERR_USAGE, "it takes no arguments");
	if (!err && is_context) {
		th = &context;
		err = read_ucontext(call, &context);
	} else if (!err) {
		err = find_thread(call, &th);
	}
	if (err)
		return err;
	if (out_is_json(call->out) || out_is_pipe(call->out))
		regs_json(call, th);
	else if (th->regs_partial)
		out_text(call->out,
			 "%%rip = 0x%016llx\n%%rsp = 0x%016llx\n"
			 "(the other registers were not recorded)\n",
			 th->regs.rip, th->regs.rsp);
	else
		regs_text(call, th);
	return NULL;
}

static const struct dcmd dcmds[] = {
	{.name = "regs",
	 .addr = ADDR_OPTIONAL,
	 .opts = regs_opts,
	 .usage = "",
	 .brief = "registers of a thread ($r)",
	 .run = dcmd_regs},
	{.name = "$r",
	 .addr = ADDR_OPTIONAL,
	 .opts = regs_opts,
	 .usage = "",
	 .brief = "registers of a thread",
	 .run = dcmd_regs},
	{0},
};

const struct group group_regs = {.name = "session", .dcmds = dcmds};
