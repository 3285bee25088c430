/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a frame has where: variables by DWARF, saved registers by CFI.
 *
 * A variable counts when its scope is around the frame's pc (lexical blocks and
 * inlined functions among them) and its location there is memory or a register.
 * For a caller that is the pc of its call: what is to be used after the call is
 * what is live.  A variable may be in pieces.  What the compiler only knows the
 * value of has no place, and is left out.
 *
 * Location expressions are evaluated here, of their operators those that
 * compilers use for places.  One that is not known, or what is not in the dump,
 * means "no place": nothing is guessed.
 */
#include "types/type_impl.h"

#include <dwarf.h>

enum {
	STACK_MAX = 16,  /* of an expression */
	OPS_MAX = 64,    /* operators of one */
	SCOPES_MAX = 64, /* around a pc */
	REG_MAX = 16,    /* registers a frame knows, DWARF's numbers */
	REG_SP = 7,
};

struct walk {
	struct types *types;
	struct object_impl *obj;
	const struct frame *frame;
	uint64_t base; /* the frame base */
	bool has_base;
	frame_var_fn *fn;
	void *arg;
	struct frame_var var; /* at hand */
};

/* what an expression says */
struct result {
	enum {
		AT_NOWHERE,
		AT_MEMORY,
		AT_REGISTER,
	} kind;
	uint64_t stack[STACK_MAX];
	unsigned depth;
	unsigned reg;
};

/* ---- expressions --------------------------------------------------------- */

static bool push(struct result *r, uint64_t value)
{
	if (r->depth == STACK_MAX)
		return false;
	r->stack[r->depth++] = value;
	return true;
}

static bool push_reg(const struct walk *w, struct result *r, uint64_t reg,
		     uint64_t off)
{
	return reg < REG_MAX && (w->frame->has_regs & 1u << reg) &&
	       push(r, w->frame->regs[reg] + off);
}

/* operators of two operands, the second on top */
static bool binary(struct result *r, unsigned atom)
{
	if (r->depth < 2)
		return false;
	uint64_t b = r->stack[--r->depth];
	uint64_t *a = &r->stack[r->depth - 1];

	switch (atom) {
	case DW_OP_plus:
		*a += b;
		return true;
	case DW_OP_minus:
		*a -= b;
		return true;
	case DW_OP_and:
		*a &= b;
		return true;
	case DW_OP_mul:
		*a *= b;
		return true;
	default:
		return false;
	}
}

static bool deref(const struct walk *w, struct result *r)
{
	uint64_t *top = &r->stack[r->depth - 1];

	if (r->depth == 0)
		return false;
	_err_free_ struct err *err =
		target_read_u64(w->types->target, *top, top);

	return err == NULL;
}

static bool push_constant(const struct walk *w, struct result *r,
			  const Dwarf_Op *op)
{
	switch (op->atom) {
	case DW_OP_const1u:
	case DW_OP_const1s:
	case DW_OP_const2u:
	case DW_OP_const2s:
	case DW_OP_const4u:
	case DW_OP_const4s:
	case DW_OP_const8u:
	case DW_OP_const8s:
	case DW_OP_constu:
	case DW_OP_consts:
		return push(r, op->number);
	case DW_OP_addr:
		return push(r, op->number + w->obj->dwarf_bias);
	case DW_OP_fbreg:
		return w->has_base && push(r, w->base + op->number);
	case DW_OP_call_frame_cfa:
		return w->frame->cfa && push(r, w->frame->cfa);
	case DW_OP_bregx:
		return push_reg(w, r, op->number, op->number2);
	default:
		return binary(r, op->atom);
	}
}

/* false: not known; what ends a location (a register, a value) too */
static bool step(const struct walk *w, struct result *r, const Dwarf_Op *op)
{
	unsigned atom = op->atom;

	if (atom >= DW_OP_breg0 && atom <= DW_OP_breg31)
		return push_reg(w, r, atom - DW_OP_breg0, op->number);
	if (atom >= DW_OP_lit0 && atom <= DW_OP_lit31)
		return push(r, atom - DW_OP_lit0);
	if (atom == DW_OP_deref)
		return deref(w, r);
	if (atom == DW_OP_nop)
		return true;
	if (atom == DW_OP_dup)
		return r->depth && push(r, r->stack[r->depth - 1]);
	if (atom == DW_OP_plus_uconst) {
		if (r->depth == 0)
			return false;
		r->stack[r->depth - 1] += op->number;
		return true;
	}
	return push_constant(w, r, op);
}

/* evaluates one location, or a piece of one: up to the end or DW_OP_piece.
 * *i moves behind it */
static struct result evaluate(const struct walk *w, const Dwarf_Op *ops,
			      size_t n, size_t *i)
{
	struct result r = {.kind = AT_NOWHERE};
	bool ok = true;

	for (; *i < n && ops[*i].atom != DW_OP_piece &&
	       ops[*i].atom != DW_OP_bit_piece;
	     ++*i) {
		const Dwarf_Op *op = &ops[*i];

		if (!ok)
			continue;
		if ((op->atom >= DW_OP_reg0 && op->atom <= DW_OP_reg31) ||
		    op->atom == DW_OP_regx) {
			r.reg = op->atom == DW_OP_regx
					? (unsigned)op->number
					: op->atom - (unsigned)DW_OP_reg0;
			r.kind = AT_REGISTER;
			ok = r.reg < REG_MAX;
			continue;
		}
		ok = r.kind == AT_NOWHERE && step(w, &r, op);
	}
	if (!ok)
		r.kind = AT_NOWHERE;
	else if (r.kind == AT_NOWHERE && r.depth > 0)
		r.kind = AT_MEMORY;
	return r;
}

/* ---- variables ----------------------------------------------------------- */

static struct err *tell(struct walk *w, const struct result *r, uint64_t bytes)
{
	w->var.size_bytes = bytes;
	w->var.reg = -1;
	w->var.addr = 0;
	switch (r->kind) {
	case AT_NOWHERE:
		return NULL;
	case AT_REGISTER:
		w->var.reg = (int)r->reg;
		break;
	case AT_MEMORY:
		w->var.addr = r->stack[r->depth - 1];
		break;
	}
	return w->fn(w->arg, &w->var);
}

static struct err *tell_places(struct walk *w, const Dwarf_Op *ops, size_t n)
{
	uint64_t whole = type_info(w->var.type).size_bytes;
	struct err *err = NULL;

	w->var.offset_bytes = 0;
	for (size_t i = 0; !err && i < n;) {
		struct result r = evaluate(w, ops, n, &i);

		if (i == n)
			return w->var.offset_bytes < whole
				       ? tell(w, &r,
					      whole - w->var.offset_bytes)
				       : NULL;
		if (ops[i].atom != DW_OP_piece)
			return NULL; /* bits */
		err = tell(w, &r, ops[i].number);
		w->var.offset_bytes += ops[i++].number;
	}
	return err;
}

/* the pc that scopes and locations are looked up by */
static Dwarf_Addr lookup_pc(const struct walk *w)
{
	taddr_t pc = w->frame->is_activation ? w->frame->pc : w->frame->pc - 1;

	return pc - w->obj->dwarf_bias;
}

static struct err *variable(struct walk *w, Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	Dwarf_Op *ops = NULL;
	size_t n = 0;
	Dwarf_Die to;

	if (!dwarf_attr(die, DW_AT_location, &attr) ||
	    dwarf_getlocation_addr(&attr, lookup_pc(w), &ops, &n, 1) != 1 ||
	    n > OPS_MAX)
		return NULL;
	/* DWARF 2 and 3 had a list as data4 or data8 */
	w->var.is_listed = dwarf_whatform(&attr) != DW_FORM_exprloc &&
			   dwarf_whatform(&attr) != DW_FORM_block1;
	/* a static is no variable of the frame */
	if (n > 0 && (ops[0].atom == DW_OP_addr || ops[0].atom == DW_OP_addrx))
		return NULL;
	w->var.name = dwarf_diename(die);
	w->var.is_param = dwarf_tag(die) == DW_TAG_formal_parameter;
	w->var.type =
		type_of_die(w->types, w->obj, die_type(die, &to) ? &to : NULL);
	return w->var.name ? tell_places(w, ops, n) : NULL;
}

static struct err *variables_of(struct walk *w, Dwarf_Die *scope)
{
	struct err *err = NULL;
	Dwarf_Die die;

	if (dwarf_child(scope, &die) != 0)
		return NULL;
	do {
		int tag = dwarf_tag(&die);

		if (tag == DW_TAG_variable || tag == DW_TAG_formal_parameter)
			err = variable(w, &die);
	} while (!err && dwarf_siblingof(&die, &die) == 0);
	return err;
}

static void find_base(struct walk *w, Dwarf_Die *function)
{
	Dwarf_Attribute attr;
	Dwarf_Op *ops = NULL;
	size_t n = 0;
	size_t i = 0;

	if (!dwarf_attr_integrate(function, DW_AT_frame_base, &attr) ||
	    dwarf_getlocation_addr(&attr, lookup_pc(w), &ops, &n, 1) != 1)
		return;
	struct result r = evaluate(w, ops, n, &i);

	if (r.kind == AT_REGISTER && (w->frame->has_regs & 1u << r.reg)) {
		w->base = w->frame->regs[r.reg];
		w->has_base = true;
	} else if (r.kind == AT_MEMORY) {
		w->base = r.stack[r.depth - 1];
		w->has_base = true;
	}
}

/* the scopes around the frame's pc, innermost first, up to the function.  Owned */
static int scopes_of(const struct walk *w, Dwarf_Die **ret)
{
	Dwarf_Die *by_pc = NULL;
	Dwarf_Die cu;
	int n;

	if (!object_cu_at(w->obj, lookup_pc(w) + w->obj->dwarf_bias, &cu))
		return 0;
	n = dwarf_getscopes(&cu, lookup_pc(w), &by_pc);
	if (n <= 0)
		return 0;
	/* where it was put, not where it was written: as in source.c */
	Dwarf_Die innermost = by_pc[0];

	mem_free(by_pc);
	n = dwarf_getscopes_die(&innermost, ret);
	if (n > SCOPES_MAX)
		n = SCOPES_MAX;
	for (int i = 0; i < n; i++)
		if (dwarf_tag(&(*ret)[i]) == DW_TAG_subprogram)
			return i + 1;
	return 0;
}

static const char *name_around(Dwarf_Die *scopes, int n)
{
	for (int i = 0; i < n; i++) {
		int tag = dwarf_tag(&scopes[i]);

		if (tag == DW_TAG_inlined_subroutine ||
		    tag == DW_TAG_subprogram)
			return dwarf_diename(&scopes[i]);
	}
	return NULL;
}

struct err *types_frame_vars(struct types *types, const struct frame *frame,
			     frame_var_fn *fn, void *arg, bool *ret_is_known)
{
	struct walk w = {.types = types, .frame = frame, .fn = fn, .arg = arg};
	_free_ Dwarf_Die *scopes = NULL;
	struct err *err = NULL;
	int n = 0;

	w.obj = object_at(types,
			  frame->is_activation ? frame->pc : frame->pc - 1);
	if (w.obj && object_dwarf(w.obj))
		n = scopes_of(&w, &scopes);
	*ret_is_known = n > 0;
	if (n == 0)
		return NULL;
	find_base(&w, &scopes[n - 1]);
	for (int i = 0; !err && i < n; i++) {
		w.var.function = name_around(scopes + i, n - i);
		err = variables_of(&w, &scopes[i]);
	}
	return err;
}

/* ---- saved registers ----------------------------------------------------- */

/* "the CFA and so much": where a rule says that a register was saved */
static bool saved_at(const struct frame *frame, const Dwarf_Op *ops, size_t n,
		     taddr_t *ret)
{
	uint64_t at = frame->cfa;

	if (n == 0 || ops[0].atom != DW_OP_call_frame_cfa || !frame->cfa)
		return false;
	for (size_t i = 1; i < n; i++) {
		if (ops[i].atom != DW_OP_plus_uconst)
			return false; /* a value, or computed */
		at += ops[i].number;
	}
	*ret = at;
	return n > 1;
}

static Dwarf_Frame *frame_rules(Dwarf_CFI *cfi, Dwarf_Addr bias,
				const struct frame *frame)
{
	Dwarf_Frame *ret = NULL;
	taddr_t pc = frame->is_activation ? frame->pc : frame->pc - 1;

	if (!cfi || dwarf_cfi_addrframe(cfi, pc - bias, &ret) != 0)
		return NULL;
	return ret;
}

unsigned types_frame_saved(struct types *types, const struct frame *frame,
			   taddr_t ret[16])
{
	struct object_impl *obj = object_at(types, frame->pc - 1);
	Dwfl_Module *mod = obj ? object_module(obj) : NULL;
	Dwarf_Addr bias = 0;
	Dwarf_Frame *rules = NULL;
	unsigned mask = 0;

	if (!mod)
		return 0;
	rules = frame_rules(dwfl_module_eh_cfi(mod, &bias), bias, frame);
	if (!rules)
		rules = frame_rules(dwfl_module_dwarf_cfi(mod, &bias), bias,
				    frame);
	if (!rules)
		return 0;
	for (int reg = 0; reg < REG_MAX; reg++) {
		Dwarf_Op mem[3];
		Dwarf_Op *ops = NULL;
		size_t n = 0;

		if (reg != REG_SP &&
		    dwarf_frame_register(rules, reg, mem, &ops, &n) == 0 &&
		    saved_at(frame, ops, n, &ret[reg]))
			mask |= 1u << reg;
	}
	mem_free(rules);
	return mask;
}
