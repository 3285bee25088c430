/* SPDX-License-Identifier: MIT */
/*
 * DWARF expressions, as far as call frame information may use them.
 *
 * A stack machine of 64-bit words.  A compiler uses it for few things: the
 * frame of a function that realigned its stack, PLT entries, and assembler code
 * such as the return from a signal.  It is evaluated whole all the same, with
 * bounds on its stack, on its steps (it can loop) and on what it reads.
 */
#include "unwind_impl.h"

#define DEPTH 16
#define STEPS 256

enum {
	OP_ADDR = 0x03,
	OP_DEREF = 0x06,
	OP_CONST1U = 0x08,
	OP_CONST1S,
	OP_CONST2U,
	OP_CONST2S,
	OP_CONST4U,
	OP_CONST4S,
	OP_CONST8U,
	OP_CONST8S,
	OP_CONSTU,
	OP_CONSTS,
	OP_DUP,
	OP_DROP,
	OP_OVER,
	OP_PICK,
	OP_SWAP,
	OP_ROT,
	OP_ABS = 0x19,
	OP_AND,
	OP_DIV,
	OP_MINUS,
	OP_MOD,
	OP_MUL,
	OP_NEG,
	OP_NOT,
	OP_OR,
	OP_PLUS,
	OP_PLUS_UCONST,
	OP_SHL,
	OP_SHR,
	OP_SHRA,
	OP_XOR,
	OP_BRA,
	OP_EQ,
	OP_GE,
	OP_GT,
	OP_LE,
	OP_LT,
	OP_NE,
	OP_SKIP,
	OP_LIT0 = 0x30,
	OP_LIT31 = 0x4f,
	OP_BREG0 = 0x70,
	OP_BREG31 = 0x8f,
	OP_BREGX = 0x92,
	OP_DEREF_SIZE = 0x94,
	OP_NOP = 0x96,
};

struct machine {
	struct unwind_cursor c;
	const uint8_t *start;
	const struct unwind_regs *regs;
	struct unwind_stack *st;
	uint64_t v[DEPTH];
	unsigned n;
	uint32_t used;
	bool bad;
};

static void push(struct machine *m, uint64_t v)
{
	if (m->n == DEPTH)
		m->bad = true;
	else
		m->v[m->n++] = v;
}

static uint64_t pop(struct machine *m)
{
	if (m->n == 0) {
		m->bad = true;
		return 0;
	}
	return m->v[--m->n];
}

static void push_pick(struct machine *m, uint64_t depth)
{
	if (depth >= m->n)
		m->bad = true;
	else
		push(m, m->v[m->n - 1 - depth]);
}

static void push_reg(struct machine *m, uint64_t reg, int64_t off)
{
	if (reg >= UNWIND_NREG || !(m->regs->known >> reg & 1)) {
		m->bad = true;
		return;
	}
	m->used |= 1u << reg;
	push(m, m->regs->r[reg] + (uint64_t)off);
}

static void deref(struct machine *m, unsigned bytes)
{
	uintptr_t addr = pop(m);
	uintptr_t word = 0;

	if (m->bad || !m->st || bytes == 0 || bytes > 8 ||
	    !unwind_load(m->st, addr, &word)) {
		m->bad = true;
		return;
	}
	push(m, bytes == 8 ? word : word & ((UINT64_C(1) << 8 * bytes) - 1));
}

static void jump(struct machine *m, int64_t by)
{
	if (by < m->start - m->c.p || by > m->c.end - m->c.p)
		m->bad = true;
	else
		m->c.p += by;
}

static void rotate(struct machine *m)
{
	uint64_t top = pop(m);
	uint64_t second = pop(m);
	uint64_t third = pop(m);

	push(m, top);
	push(m, third);
	push(m, second);
}

/* operators of two operands; false: op is none of them */
static bool binary(struct machine *m, unsigned op)
{
	uint64_t b = pop(m);
	uint64_t a = pop(m);
	int64_t sa = (int64_t)a;
	int64_t sb = (int64_t)b;
	uint64_t r;

	switch (op) {
	case OP_AND:
		r = a & b;
		break;
	case OP_OR:
		r = a | b;
		break;
	case OP_XOR:
		r = a ^ b;
		break;
	case OP_PLUS:
		r = a + b;
		break;
	case OP_MINUS:
		r = a - b;
		break;
	case OP_MUL:
		r = a * b;
		break;
	case OP_SHL:
		r = b < 64 ? a << b : 0;
		break;
	case OP_SHR:
		r = b < 64 ? a >> b : 0;
		break;
	case OP_SHRA:
		r = (uint64_t)(sa >> (b < 64 ? b : 63));
		break;
	case OP_EQ:
		r = a == b;
		break;
	case OP_NE:
		r = a != b;
		break;
	case OP_GE:
		r = sa >= sb;
		break;
	case OP_GT:
		r = sa > sb;
		break;
	case OP_LE:
		r = sa <= sb;
		break;
	case OP_LT:
		r = sa < sb;
		break;
	case OP_MOD:
		m->bad |= b == 0;
		r = b ? a % b : 0;
		break;
	case OP_DIV:
		m->bad |= b == 0 || (sa == INT64_MIN && sb == -1);
		r = m->bad ? 0 : (uint64_t)(sa / sb);
		break;
	default:
		return false;
	}
	push(m, r);
	return true;
}

static void constant(struct machine *m, unsigned op)
{
	unsigned bytes = 1u << ((op - OP_CONST1U) / 2);

	if ((op - OP_CONST1U) % 2 == 0)
		push(m, unwind_read(&m->c, bytes));
	else
		push(m, (uint64_t)unwind_read_signed(&m->c, bytes));
}

/* one operation; op has been read */
static void step(struct machine *m, unsigned op)
{
	uint64_t a;
	uint64_t b;
	int64_t by;

	switch (op) {
	case OP_NOP:
		break;
	case OP_ADDR:
		push(m, unwind_read(&m->c, 8));
		break;
	case OP_CONSTU:
		push(m, unwind_uleb(&m->c));
		break;
	case OP_CONSTS:
		push(m, (uint64_t)unwind_sleb(&m->c));
		break;
	case OP_DEREF:
		deref(m, 8);
		break;
	case OP_DEREF_SIZE:
		deref(m, (unsigned)unwind_read(&m->c, 1));
		break;
	case OP_DUP:
		push_pick(m, 0);
		break;
	case OP_OVER:
		push_pick(m, 1);
		break;
	case OP_PICK:
		push_pick(m, unwind_read(&m->c, 1));
		break;
	case OP_DROP:
		(void)pop(m);
		break;
	case OP_SWAP:
		a = pop(m);
		b = pop(m);
		push(m, a);
		push(m, b);
		break;
	case OP_ROT:
		rotate(m);
		break;
	case OP_ABS:
		a = pop(m);
		push(m, (int64_t)a < 0 ? 0 - a : a);
		break;
	case OP_NEG:
		push(m, 0 - pop(m));
		break;
	case OP_NOT:
		push(m, ~pop(m));
		break;
	case OP_PLUS_UCONST:
		a = pop(m);
		push(m, a + unwind_uleb(&m->c));
		break;
	case OP_SKIP:
		jump(m, unwind_read_signed(&m->c, 2));
		break;
	case OP_BRA:
		by = unwind_read_signed(&m->c, 2);
		if (pop(m))
			jump(m, by);
		break;
	case OP_BREGX:
		a = unwind_uleb(&m->c);
		push_reg(m, a, unwind_sleb(&m->c));
		break;
	default:
		if (op >= OP_LIT0 && op <= OP_LIT31)
			push(m, op - OP_LIT0);
		else if (op >= OP_BREG0 && op <= OP_BREG31)
			push_reg(m, op - OP_BREG0, unwind_sleb(&m->c));
		else if (op >= OP_CONST1U && op <= OP_CONST8S)
			constant(m, op);
		else if (!binary(m, op))
			m->bad = true;
	}
}

/* sets c to the operations of an expression that stands at its length */
static void open_expr(struct unwind_cursor *c, const uint8_t *expr)
{
	uint64_t bytes;

	/* unwind_cfi.c has checked both when it read past them */
	*c = (struct unwind_cursor){.p = expr, .end = expr + 10};
	bytes = unwind_uleb(c);
	c->end = c->p + bytes;
}

bool unwind_eval(const uint8_t *expr, const struct unwind_regs *regs,
		 struct unwind_stack *st, const uintptr_t *init, uintptr_t *ret,
		 uint32_t *used)
{
	struct machine m;
	unsigned steps;

	m.regs = regs;
	m.st = st;
	m.n = 0;
	m.used = 0;
	m.bad = false;
	open_expr(&m.c, expr);
	m.start = m.c.p;
	if (init)
		push(&m, *init);
	for (steps = 0; m.c.p < m.c.end; steps++) {
		if (steps == STEPS)
			return false;
		step(&m, (unsigned)unwind_read(&m.c, 1));
		if (m.bad || m.c.bad)
			return false;
	}
	*ret = pop(&m);
	if (used)
		*used = m.used;
	return !m.bad;
}

bool unwind_expr_is(const uint8_t *expr, unsigned reg, bool is_load,
		    int64_t *off)
{
	struct unwind_cursor c;

	open_expr(&c, expr);
	if (unwind_read(&c, 1) != OP_BREG0 + reg)
		return false;
	*off = unwind_sleb(&c);
	if (is_load && unwind_read(&c, 1) != OP_DEREF)
		return false;
	return c.p == c.end && !c.bad;
}
