/* SPDX-License-Identifier: MIT */
/*
 * The walk with every register.
 *
 * The walk of unwind.c knows three registers of a frame: pc, stack pointer and
 * rbp.  Some frames need another one: a function whose CFA is kept in rbx (the
 * loader's lazy binding) or r10, assembler interrupted by a signal.  Such a
 * frame is rare and may be found at any depth, so the walk is done again from
 * its start with all registers and without the cache: about a microsecond a
 * frame.
 *
 * It starts in its own frame, with the registers as they are there; the rules
 * of libkmem's own code give the registers of kmem_unwind()'s caller.
 *
 * Frames without rules are stepped over by unwind_step_plain(), which serves
 * both walks.
 */
#define _GNU_SOURCE /* REG_RIP */
#include "unwind_impl.h"

#include <sys/auxv.h>

#define NEAR        ((uintptr_t)256 << 20) /* extent of one generator's code */
#define PLAIN_PAGES 256 /* largest frame believed without rules */

/* may the code that ends at these 8 bytes have ended in a call? */
static bool is_call(uintptr_t bytes)
{
	uint8_t b[8];
	unsigned i;
	unsigned at;

	for (i = 0; i < 8; i++)
		b[i] = (uint8_t)(bytes >> 8 * i);
	if (b[3] == 0xe8)
		return true;
	for (at = 1; at <= 6; at++) /* ff /2, of 2 to 7 bytes */
		if (b[at] == 0xff && (b[at + 1] & 0x38) == 0x10)
			return true;
	return false;
}

/* is ra in an object?  Then *is_after_call tells if a call ends there. */
static bool is_in_object(const struct unwind_stack *st, uintptr_t ra,
			 bool *is_after_call)
{
	uint64_t before = unwind_call_begin();
	struct unwind_object obj;
	uintptr_t bytes;

	if (unwind_call_get(ra, is_after_call))
		return true;
	*is_after_call = false;
	if (!unwind_object_find(ra - 1, &obj))
		return false;
	if (unwind_load(st, ra - sizeof(bytes), &bytes)) {
		*is_after_call = is_call(bytes);
		unwind_call_put(ra, *is_after_call, &obj, before);
	}
	return true;
}

/* may ra be the return address of a frame that runs at pc? */
static bool is_plausible(const struct unwind_stack *st, uintptr_t pc,
			 uintptr_t ra)
{
	bool is_after_call;

	if (ra < UNWIND_PAGE)
		return false;
	if (is_in_object(st, ra, &is_after_call))
		return is_after_call;
	return ra - pc + NEAR < 2 * NEAR; /* generated code calls its like */
}

bool unwind_step_plain(struct unwind_frame *f, struct unwind_stack *st)
{
	struct unwind_object obj;
	bool is_after_call;
	uintptr_t bp = f->bp;
	uintptr_t ra;

	/* a call to nowhere: the return address was the last thing pushed */
	if (f->is_exact && !unwind_object_find(f->pc - 1, &obj) &&
	    unwind_load(st, f->sp, &ra) &&
	    is_in_object(st, ra, &is_after_call) && is_after_call) {
		f->sp += 8;
		goto step;
	}
	if (bp % 8 != 0 || bp < f->sp ||
	    !unwind_stack_reach(st, f->sp, bp + 16, PLAIN_PAGES) ||
	    !unwind_load(st, bp + 8, &ra) || !is_plausible(st, f->pc, ra) ||
	    !unwind_load(st, bp, &f->bp))
		return false;
	f->sp = bp + 16;
step:
	f->pc = ra;
	f->is_exact = false;
	return true;
}

static void know(struct unwind_regs *regs, unsigned reg, uintptr_t value)
{
	regs->r[reg] = value;
	regs->known |= 1u << reg;
}

static bool find_cfa(const struct unwind_row *row,
		     const struct unwind_regs *regs, struct unwind_stack *st,
		     uintptr_t *cfa)
{
	if (row->cfa_expr)
		return unwind_eval(row->cfa_expr, regs, st, NULL, cfa, NULL);
	if (row->cfa_reg >= UNWIND_NREG || !(regs->known >> row->cfa_reg & 1))
		return false;
	*cfa = regs->r[row->cfa_reg] + (uintptr_t)row->cfa_off;
	return true;
}

/* sets *ret to the caller's value of a register; false: it is lost */
static bool find_reg(const struct unwind_row *row, unsigned reg,
		     const struct unwind_regs *regs, struct unwind_stack *st,
		     uintptr_t cfa, uintptr_t *ret)
{
	int64_t off = row->at[reg].off;
	uintptr_t at;

	switch ((enum unwind_how)row->how[reg]) {
	case UNWIND_SAME:
		if (reg == UNWIND_RSP)
			*ret = cfa;
		else
			*ret = regs->r[reg];
		return reg == UNWIND_RSP ||
		       (regs->known & UNWIND_CALLEE_SAVED) >> reg & 1;
	case UNWIND_UNDEF:
		return false;
	case UNWIND_AT_CFA:
		return unwind_load(st, cfa + (uintptr_t)off, ret);
	case UNWIND_CFA_OFF:
		*ret = cfa + (uintptr_t)off;
		return true;
	case UNWIND_IN_REG:
		if (off < 0 || off >= UNWIND_NREG || !(regs->known >> off & 1))
			return false;
		*ret = regs->r[off];
		return true;
	case UNWIND_AT_EXPR:
		return unwind_eval(row->at[reg].expr, regs, st, &cfa, &at,
				   NULL) &&
		       unwind_load(st, at, ret);
	case UNWIND_EXPR:
		return unwind_eval(row->at[reg].expr, regs, st, &cfa, ret,
				   NULL);
	}
	return false;
}

/* one frame by its rules; false: there is no caller, or none that is sane */
static bool step_by_row(const struct unwind_row *row, struct unwind_frame *f,
			struct unwind_regs *regs, struct unwind_stack *st)
{
	struct unwind_regs next = {.known = 0};
	uintptr_t cfa;
	uintptr_t value;
	uintptr_t pc;
	unsigned i;

	if (!find_cfa(row, regs, st, &cfa))
		return false;
	/* the stack pointer itself is beyond the stack: begin at the CFA */
	if (st->hi == 0)
		st->lo = st->hi = (cfa - 1) & -UNWIND_PAGE;
	if (!row->is_signal &&
	    (cfa % 8 != 0 || cfa <= f->sp ||
	     !unwind_stack_reach(st, f->sp, cfa, UNWIND_FRAME_PAGES)))
		return false;
	for (i = 0; i < UNWIND_NREG; i++)
		if (find_reg(row, i, regs, st, cfa, &value))
			know(&next, i, value);
	pc = next.r[UNWIND_RA];
	if (!(next.known >> UNWIND_RA & 1) || (!row->is_signal && pc == 0))
		return false;
	f->sp = next.r[UNWIND_RSP];
	f->is_exact = row->is_signal;
	f->pc = row->is_signal ? pc + 1 : pc;
	if (row->is_signal && !unwind_stack_find(st, f->sp))
		*st = (struct unwind_stack){.lo = 0, .hi = 0}; /* overflowed */
	*regs = next;
	return true;
}

static bool step(struct unwind_frame *f, struct unwind_regs *regs,
		 struct unwind_stack *st)
{
	struct unwind_object obj;
	struct unwind_row row;

	know(regs, UNWIND_RA, f->pc - f->is_exact);
	if (unwind_object_find(f->pc - 1, &obj) &&
	    unwind_row_find(&obj, f->pc - 1, &row))
		return step_by_row(&row, f, regs, st);
	f->bp = regs->known >> UNWIND_RBP & 1 ? regs->r[UNWIND_RBP] : 0;
	if (!unwind_step_plain(f, st))
		return false;
	regs->known = 0;
	know(regs, UNWIND_RBP, f->bp);
	know(regs, UNWIND_RSP, f->sp);
	return true;
}

/* pc, stack pointer and the registers that a call preserves, as they are here */
#define HERE(pc, r)                                \
	__asm__ volatile("movq %%rbx, 24(%1)\n\t"  \
			 "movq %%rbp, 48(%1)\n\t"  \
			 "movq %%rsp, 56(%1)\n\t"  \
			 "movq %%r12, 96(%1)\n\t"  \
			 "movq %%r13, 104(%1)\n\t" \
			 "movq %%r14, 112(%1)\n\t" \
			 "movq %%r15, 120(%1)\n\t" \
			 "leaq 0(%%rip), %0"       \
			 : "=r"(pc)                \
			 : "r"(r)                  \
			 : "memory")

unsigned unwind_full(uintptr_t from, uintptr_t *pcs, unsigned max,
		     unsigned skip)
{
	struct unwind_regs regs = {.known = UNWIND_CALLEE_SAVED |
					    1u << UNWIND_RSP};
	struct unwind_frame f = {.is_exact = true};
	struct unwind_stack st;
	unsigned n = 0;

	HERE(f.pc, regs.r);
	f.pc++;
	f.sp = regs.r[UNWIND_RSP];
	if (!unwind_stack_find(&st, f.sp))
		return 0;
	/* our own frames, up to that of kmem_unwind()'s caller */
	while (f.sp < from)
		if (!step(&f, &regs, &st))
			return 0;
	for (; skip; skip--)
		if (!step(&f, &regs, &st))
			return 0;
	while (n < max && step(&f, &regs, &st))
		pcs[n++] = f.pc;
	return n;
}

#define PAST_FRAMES 8 /* how far from the library past may be */

/* is the code at pc - 1 a part of the function that begins at start? */
static bool is_in_function(uintptr_t pc, uintptr_t start)
{
	struct unwind_object obj;
	struct unwind_row row;

	return unwind_object_find(pc - 1, &obj) &&
	       unwind_row_find(&obj, pc - 1, &row) && row.start == start;
}

/* is the library a part of the program, linked into it? */
static bool is_program(const struct unwind_object *own)
{
	uintptr_t phdr = getauxval(AT_PHDR);

	return phdr >= own->start && phdr < own->end;
}

/* false: a register that the program may use is lost */
static bool set_context(ucontext_t *uc, const struct unwind_frame *f,
			const struct unwind_regs *regs)
{
	static const struct {
		uint8_t reg, greg;
	} map[] = {{UNWIND_RBX, REG_RBX},     {UNWIND_RBP, REG_RBP},
		   {UNWIND_R12, REG_R12},     {UNWIND_R12 + 1, REG_R13},
		   {UNWIND_R12 + 2, REG_R14}, {UNWIND_R12 + 3, REG_R15}};
	greg_t *g = uc->uc_mcontext.gregs;
	unsigned i;

	if (~regs->known & UNWIND_CALLEE_SAVED)
		return false;
	for (i = 0; i < sizeof(*uc); i++)
		((char *)uc)[i] = 0;
	for (i = 0; i < sizeof(map) / sizeof(*map); i++)
		g[map[i].greg] = (greg_t)regs->r[map[i].reg];
	/* in the call, not behind it: there another function may begin, and a
	 * reader takes the pc of the innermost frame as it is */
	g[REG_RIP] = (greg_t)f->pc - 1;
	g[REG_RSP] = (greg_t)f->sp;
	g[REG_EFL] = 0x202;
	g[REG_CSGSFS] = 0x33 | (greg_t)0x2b << 48;
	return true;
}

int kmem_unwind_caller(uintptr_t past, ucontext_t *uc)
{
	struct unwind_regs regs = {.known = UNWIND_CALLEE_SAVED |
					    1u << UNWIND_RSP};
	struct unwind_frame f = {.is_exact = true};
	struct unwind_object own;
	struct unwind_stack st;
	unsigned n;

	HERE(f.pc, regs.r);
	f.pc++;
	f.sp = regs.r[UNWIND_RSP];
	if (!unwind_stack_find(&st, f.sp) || !unwind_object_find(f.pc, &own) ||
	    is_program(&own))
		return 0;
	do {
		if (!step(&f, &regs, &st) || f.is_exact)
			return 0;
	} while (f.pc - 1 >= own.start && f.pc - 1 < own.end);
	if (!set_context(uc, &f, &regs))
		return 0;
	for (n = 0; past && n < PAST_FRAMES; n++) {
		bool is_past = is_in_function(f.pc, past);

		if (!step(&f, &regs, &st) || f.is_exact)
			break;
		if (is_past)
			return set_context(uc, &f, &regs);
	}
	return 1;
}
