/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Expressions, by precedence climbing.  Binary operators, all left associative,
 * from tightest: "%%"; "*" "%" "#"; "+" "-"; "<<" ">>"; "==" "!="; "&"; "^";
 * "|".  "/" divides nothing: it is a verb.
 *
 * I1  Nesting is at most EXPR_DEPTH, and an expression at most EXPR_NODES long:
 *     a script cannot overflow our stack.
 */
#include <ctype.h>
#include <string.h>

#include "shell/parse_impl.h"

#define EXPR_DEPTH 200
#define EXPR_NODES 10000

struct err *parse_error(const struct parser *p)
{
	p->lx->tok = p->lx->pos;
	return err_new(ERR_USAGE, "syntax error");
}

static struct err *parse_binary(struct parser *p, int min_level,
				struct expr **ret);

static struct expr *new_expr(enum expr_op op, struct expr *a, struct expr *b)
{
	struct expr *e = mem_zalloc(sizeof(*e));

	e->op = op;
	e->a = a;
	e->b = b;
	return e;
}

void expr_free(struct expr *e)
{
	while (e) {
		struct expr *next = e->a;

		expr_free(e->b);
		mem_free(e->name);
		mem_free(e);
		e = next;
	}
}

static const struct binary {
	const char *text;
	enum expr_op op;
	int level; /* higher binds tighter */
} binaries[] = {
	{"%%", EX_MOD, 8}, {"<<", EX_SHL, 5},  {">>", EX_SHR, 5},
	{"==", EX_EQ, 4},  {"!=", EX_NE, 4},   {"*", EX_MUL, 7},
	{"%", EX_DIV, 7},  {"#", EX_ROUND, 7}, {"+", EX_ADD, 6},
	{"-", EX_SUB, 6},  {"&", EX_AND, 3},   {"^", EX_XOR, 2},
	{"|", EX_OR, 1},
};
#define LEVEL_MIN 1

static const struct binary *binary_at(const struct lex *lx)
{
	for (size_t i = 0; i < sizeof(binaries) / sizeof(*binaries); i++) {
		const char *text = binaries[i].text;

		if (!strncmp(lx->text + lx->pos, text, strlen(text)))
			return &binaries[i];
	}
	return NULL;
}

static unsigned modifier_bytes(char c)
{
	switch (c) {
	case 'c':
	case '1':
		return 1;
	case 's':
	case '2':
		return 2;
	case 'i':
	case '4':
		return 4;
	case 'l':
	case '8':
		return 8;
	}
	return 0;
}

/* the X of "* / X /" and "> / X /"; leaves *ret alone if there is none */
struct err *parse_modifier(struct parser *p, char op, unsigned *ret)
{
	struct lex *lx = p->lx;
	unsigned size = 0;

	if (lex_peek(lx, 0) != '/')
		return NULL;
	lx->tok = lx->pos;
	if (op == '>' && lex_peek(lx, 2) != '/')
		return err_new(ERR_USAGE, "%c is not a valid // modifier",
			       lex_peek(lx, 1));
	size = modifier_bytes(lex_peek(lx, 1));
	if (op == '>' && (size == 0 || isdigit((unsigned char)lex_peek(lx, 1))))
		return err_new(ERR_USAGE, "%c is not a valid // modifier",
			       lex_peek(lx, 1));
	if (size == 0 || lex_peek(lx, 2) != '/')
		return err_new(ERR_USAGE, "invalid cast -- %c/%c/", op,
			       lex_peek(lx, 1));
	lx->pos += 3;
	*ret = size;
	return NULL;
}

static struct err *parse_unary(struct parser *p, struct expr **ret);

static struct err *parse_prefix(struct parser *p, char c, struct expr **ret)
{
	struct expr *e = new_expr(EX_NOT, NULL, NULL);
	struct err *err = NULL;

	switch (c) {
	case '~':
		e->op = EX_COMPL;
		break;
	case '-':
		e->op = EX_NEG;
		break;
	case '*':
	case '%':
		e->op = c == '*' ? EX_READ : EX_READ_FILE;
		e->size_bytes = 8;
		break;
	}
	p->lx->pos++;
	if (e->size_bytes > 0)
		err = parse_modifier(p, c, &e->size_bytes);
	if (!err)
		err = parse_unary(p, &e->a);
	if (err)
		expr_free(e);
	else
		*ret = e;
	return err;
}

static struct err *parse_name(struct parser *p, enum expr_op op, size_t n,
			      struct expr **ret)
{
	struct lex *lx = p->lx;

	if (n == 0)
		return parse_error(p);
	*ret = new_expr(op, NULL, NULL);
	(*ret)->name = mem_strndup(lx->text + lx->pos, n);
	lx->pos += n;
	return NULL;
}

static struct err *parse_literal(struct parser *p, struct expr **ret)
{
	struct lex *lx = p->lx;
	struct err *err = NULL;
	uint64_t value = 0;

	if (lex_peek(lx, 0) == '\'') {
		err = lex_char_const(lx, &value);
	} else {
		size_t n = lex_number_span(lx);

		err = lex_number(lx->text + lx->pos, n, p->radix, &value);
		lx->pos += err ? 0 : n;
	}
	if (err)
		return err;
	*ret = new_expr(EX_NUM, NULL, NULL);
	(*ret)->num = value;
	return NULL;
}

static struct err *parse_paren(struct parser *p, struct expr **ret)
{
	struct err *err = NULL;

	p->lx->pos++;
	err = parse_binary(p, LEVEL_MIN, ret);
	if (err)
		return err;
	lex_space(p->lx);
	if (lex_peek(p->lx, 0) == ')') {
		p->lx->pos++;
		return NULL;
	}
	expr_free(*ret);
	*ret = NULL;
	return parse_error(p);
}

static struct err *parse_primary(struct parser *p, struct expr **ret)
{
	struct lex *lx = p->lx;
	char c = lex_peek(lx, 0);
	enum expr_op op = EX_NUM;

	if (isdigit((unsigned char)c) || c == '\'')
		return parse_literal(p, ret);
	if (c == '(')
		return parse_paren(p, ret);
	if (c == '<') {
		lx->pos++;
		return parse_name(p, EX_VAR, lex_var_span(lx), ret);
	}
	if (lex_symbol_span(lx) > 0)
		return parse_name(p, EX_SYM, lex_symbol_span(lx), ret);
	switch (c) {
	case '.':
		op = EX_DOT;
		break;
	case '&':
		op = EX_LAST;
		break;
	case '+':
		op = EX_NEXT;
		break;
	case '^':
		op = EX_BACK;
		break;
	default:
		return parse_error(p);
	}
	lx->pos++;
	*ret = new_expr(op, NULL, NULL);
	return NULL;
}

static struct err *parse_unary(struct parser *p, struct expr **ret)
{
	struct err *err = NULL;
	char c = 0;

	lex_space(p->lx);
	if (++p->depth > EXPR_DEPTH || ++p->nodes > EXPR_NODES) /* I1 */
		return err_new(ERR_USAGE, "expression is too complex");
	c = lex_peek(p->lx, 0);
	if (c != '\0' && strchr("#~-*%", c))
		err = parse_prefix(p, c, ret);
	else
		err = parse_primary(p, ret);
	p->depth--;
	return err;
}

static struct err *parse_binary(struct parser *p, int min_level,
				struct expr **ret)
{
	struct expr *left = NULL;
	struct err *err = parse_unary(p, &left);

	while (!err) {
		const struct binary *op = NULL;
		struct expr *right = NULL;

		lex_space(p->lx);
		op = binary_at(p->lx);
		if (!op || op->level < min_level)
			break;
		p->lx->pos += strlen(op->text);
		err = parse_binary(p, op->level + 1, &right);
		if (!err)
			left = new_expr(op->op, left, right);
	}
	if (err)
		expr_free(left);
	else
		*ret = left;
	return err;
}

struct err *parse_expr(struct parser *p, struct expr **ret)
{
	return parse_binary(p, LEVEL_MIN, ret);
}

struct err *parse_expression(struct lex *lx, int radix, struct expr **ret)
{
	struct parser p = {.lx = lx, .radix = radix};
	struct err *err = parse_binary(&p, LEVEL_MIN, ret);

	if (err)
		return err;
	lex_space(lx);
	if (lex_peek(lx, 0) == '\0')
		return NULL;
	expr_free(*ret);
	*ret = NULL;
	return parse_error(&p);
}
