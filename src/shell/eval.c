/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The evaluator.  All arithmetic is 64-bit unsigned, but "%", which divides
 * signed numbers, as mdb does.
 */
#include "shell/shell_impl.h"

struct err *eval_read_file(struct session *s, taddr_t addr, void *buf,
			   size_t len)
{
	if (target_info(s->target)->is_raw)
		return target_read(s->target, addr, buf, len);
	if (!s->types)
		return err_new(ERR_NOSUP, "there is no object file");
	return types_read_file(s->types, addr, buf, len);
}

static struct err *eval_read(struct session *s, const struct expr *e,
			     uint64_t *ret)
{
	uint64_t addr = 0;
	uint64_t value = 0;
	struct err *err = eval_expr(s, e->a, &addr);

	if (err)
		return err;
	if (e->op == EX_READ_FILE)
		err = eval_read_file(s, addr, &value, e->size_bytes);
	else {
		err = target_read(s->target, addr, &value, e->size_bytes);
	}
	if (err && e->op == EX_READ) {
		err_free(err);
		return err_new(ERR_FAULT,
			       "failed to read from address 0x%" PRIx64
			       ": no mapping for address",
			       addr);
	}
	if (!err)
		*ret = value;
	return err;
}

/* a symbol, or else a number: symbols beat numbers that look alike */
static struct err *eval_symbol(struct session *s, const struct expr *e,
			       uint64_t *ret)
{
	_err_free_ struct err *err = NULL;
	_free_ char *meant = NULL;
	struct symbol sym;

	if (session_symbol(s, e->name, &sym)) {
		*ret = sym.value;
		return NULL;
	}
	err = lex_number(e->name, strlen(e->name), s->radix, ret);
	if (!err)
		return NULL;
	meant = session_suggest_symbol(s, e->name);
	return err_new(ERR_NOTFOUND,
		       "failed to dereference symbol '%s': unknown symbol "
		       "name%s",
		       e->name, meant);
}

static struct err *divide(uint64_t a, uint64_t b, uint64_t *ret)
{
	if (b == 0)
		return err_new(ERR_USAGE, "attempted to divide by zero");
	if (a == 1ull << 63 && b == UINT64_MAX)
		return err_new(ERR_USAGE, "divide overflow");
	*ret = (uint64_t)((int64_t)a / (int64_t)b);
	return NULL;
}

static struct err *modulus(enum expr_op op, uint64_t a, uint64_t b,
			   uint64_t *ret)
{
	if (b == 0)
		return err_new(ERR_USAGE, "attempted to divide by zero");
	if (op == EX_MOD)
		*ret = a % b;
	else
		*ret = a % b == 0 ? a : a - a % b + b;
	return NULL;
}

static uint64_t shift(uint64_t a, uint64_t n, bool is_left)
{
	if (n >= 64)
		return 0;
	return is_left ? a << n : a >> n;
}

static struct err *eval_binary(struct session *s, const struct expr *e,
			       uint64_t *ret)
{
	uint64_t a = 0;
	uint64_t b = 0;
	struct err *err = eval_expr(s, e->a, &a);

	if (!err)
		err = eval_expr(s, e->b, &b);
	if (err)
		return err;
	switch ((unsigned)e->op) {
	case EX_MOD:
	case EX_ROUND:
		return modulus(e->op, a, b, ret);
	case EX_DIV:
		return divide(a, b, ret);
	case EX_MUL:
		*ret = a * b;
		break;
	case EX_ADD:
		*ret = a + b;
		break;
	case EX_SUB:
		*ret = a - b;
		break;
	case EX_SHL:
	case EX_SHR:
		*ret = shift(a, b, e->op == EX_SHL);
		break;
	case EX_EQ:
		*ret = a == b;
		break;
	case EX_NE:
		*ret = a != b;
		break;
	case EX_AND:
		*ret = a & b;
		break;
	case EX_XOR:
		*ret = a ^ b;
		break;
	case EX_OR:
		*ret = a | b;
		break;
	}
	return NULL;
}

static struct err *eval_unary(struct session *s, const struct expr *e,
			      uint64_t *ret)
{
	uint64_t a = 0;
	struct err *err = eval_expr(s, e->a, &a);

	if (err)
		return err;
	if (e->op == EX_NOT)
		*ret = !a;
	else
		*ret = e->op == EX_NEG ? -a : ~a;
	return NULL;
}

struct err *eval_expr(struct session *s, const struct expr *e, uint64_t *ret)
{
	switch (e->op) {
	case EX_NUM:
		*ret = e->num;
		return NULL;
	case EX_DOT:
		*ret = s->dot;
		return NULL;
	case EX_LAST:
		*ret = s->last_dot;
		return NULL;
	case EX_NEXT:
		*ret = s->dot + s->increment;
		return NULL;
	case EX_BACK:
		*ret = s->dot - s->increment;
		return NULL;
	case EX_VAR:
		if (vars_get(s, e->name, ret))
			return NULL;
		return err_new(ERR_NOTFOUND, "variable '%s' is not defined",
			       e->name);
	case EX_SYM:
		return eval_symbol(s, e, ret);
	case EX_READ:
	case EX_READ_FILE:
		return eval_read(s, e, ret);
	case EX_NOT:
	case EX_COMPL:
	case EX_NEG:
		return eval_unary(s, e, ret);
	case EX_MOD:
	case EX_MUL:
	case EX_DIV:
	case EX_ROUND:
	case EX_ADD:
	case EX_SUB:
	case EX_SHL:
	case EX_SHR:
	case EX_EQ:
	case EX_NE:
	case EX_AND:
	case EX_XOR:
	case EX_OR:
		return eval_binary(s, e, ret);
	}
	return NULL;
}
