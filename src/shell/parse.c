/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The parser: recursive descent for commands, precedence climbing for
 * expressions.
 *
 *	command:   [expr] ["," expr] [pipeline] ["!" text]   then ";" or newline
 *	pipeline:  stage { "|" stage }
 *	stage:     "::" name args | "$"c args | ":"c args
 *		 | verb formats | ">" ["/"c"/"] variable
 *
 * Binary operators, all left associative, from tightest: "%%"; "*" "%" "#";
 * "+" "-"; "<<" ">>"; "==" "!="; "&"; "^"; "|".  "/" divides nothing: it is a
 * verb.  Commands are parsed one at a time, just before each is run, so that a
 * new radix holds from the next command on and what stands before an error has
 * been done.
 *
 * I1  Nesting is at most EXPR_DEPTH, and an expression at most EXPR_NODES long:
 *     a script cannot overflow our stack.
 */
#include "shell/parse.h"

#include <ctype.h>
#include <string.h>

#define EXPR_DEPTH 200
#define EXPR_NODES 10000

struct parser {
	struct lex *lx;
	int radix;
	unsigned depth, nodes;
};

static struct err *syntax_error(const struct parser *p)
{
	p->lx->tok = p->lx->pos;
	return err_new(ERR_USAGE, "syntax error");
}

/* ---- expressions ----------------------------------------------------- */

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
static struct err *parse_modifier(struct parser *p, char op, unsigned *ret)
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
		return syntax_error(p);
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
	return syntax_error(p);
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
		return syntax_error(p);
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

/* ---- arguments and formats ------------------------------------------- */

static struct err *parse_dollar(struct parser *p, struct expr **ret)
{
	struct lex *lx = p->lx;
	size_t start = lx->pos;
	struct err *err = NULL;

	if (lex_peek(lx, 1) != '[')
		return syntax_error(p);
	lx->pos += 2;
	lx->in_brackets = true;
	err = parse_binary(p, LEVEL_MIN, ret);
	if (!err)
		lex_space(lx);
	lx->in_brackets = false;
	if (err && !lex_at_end(lx))
		return err;
	err_free(err); /* it ended too early, which is said below */
	if (lex_peek(lx, 0) == ']') {
		lx->pos++;
		return NULL;
	}
	expr_free(*ret);
	*ret = NULL;
	if (!lex_at_end(lx))
		return syntax_error(p);
	lx->tok = start;
	return err_new(ERR_USAGE, "syntax error: $[ unmatched");
}

/* one word: plain and quoted parts without a blank between them */
static struct err *parse_word(struct parser *p, struct words *words)
{
	struct lex *lx = p->lx;
	struct strbuf sb = {0};
	struct word w = {0};
	struct err *err = NULL;
	bool found = false;

	if (lex_peek(lx, 0) == '$') {
		err = parse_dollar(p, &w.expr);
		if (!err)
			VEC_PUSH(words, w);
		return err;
	}
	while (!err) {
		char c = lex_peek(lx, 0);

		if (c == '"' || c == '\'')
			err = lex_quoted(lx, &sb);
		else if (!lex_plain(lx, &sb))
			break;
		found = true;
	}
	if (!err && !found)
		err = syntax_error(p);
	if (!err) {
		w.text = mem_strdup(strbuf_str(&sb));
		VEC_PUSH(words, w);
	}
	strbuf_free(&sb);
	return err;
}

static bool at_stage_end(const struct lex *lx)
{
	char c = lex_peek(lx, 0);

	return lex_at_end(lx) || c == '|' || c == '!';
}

static struct err *parse_args(struct parser *p, struct words *words)
{
	for (lex_space(p->lx); !at_stage_end(p->lx); lex_space(p->lx)) {
		struct err *err = parse_word(p, words);

		if (err)
			return err;
	}
	return NULL;
}

static bool is_format_char(char c)
{
	return isalpha((unsigned char)c) || c == '+' || c == '-' || c == '^';
}

static struct err *parse_format(struct parser *p, struct fmt_items *items)
{
	struct lex *lx = p->lx;
	struct fmt_item item = {.count = 1};
	struct strbuf sb = {0};
	struct err *err = NULL;
	char c = lex_peek(lx, 0);

	if (c == '"') {
		err = lex_quoted(lx, &sb);
		if (!err) {
			item.text = mem_strdup(strbuf_str(&sb));
			VEC_PUSH(items, item);
		}
		strbuf_free(&sb);
		return err;
	}
	if (isdigit((unsigned char)c)) {
		size_t n = strspn(lx->text + lx->pos, "0123456789");

		err = lex_number(lx->text + lx->pos, n, 10, &item.count);
		lx->pos += n;
	} else if (c == '$') {
		err = parse_dollar(p, &item.count_expr);
	}
	item.c = lex_peek(lx, 0);
	if (!err && !is_format_char(item.c))
		err = syntax_error(p);
	if (err) {
		expr_free(item.count_expr);
		return err;
	}
	lx->pos++;
	VEC_PUSH(items, item);
	return NULL;
}

/* ---- stages ---------------------------------------------------------- */

static struct err *parse_verb(struct parser *p, struct stage *st)
{
	struct lex *lx = p->lx;
	char verb = lex_peek(lx, 0);

	st->kind = STAGE_FORMAT;
	st->name = mem_strndup(&verb, 1);
	lx->pos++;
	lex_space(lx);
	if (verb != '=' && lex_peek(lx, 0) != '\0' &&
	    strchr("lLMvwWZz", lex_peek(lx, 0))) {
		struct fmt_item item = {.c = lex_peek(lx, 0), .count = 1};

		VEC_PUSH(&st->fmts, item);
		lx->pos++;
		return parse_args(p, &st->args);
	}
	for (; !at_stage_end(lx); lex_space(lx)) {
		struct err *err = parse_format(p, &st->fmts);

		if (err)
			return err;
	}
	return NULL;
}

static struct err *parse_assign(struct parser *p, struct stage *st)
{
	struct lex *lx = p->lx;
	struct err *err = NULL;
	size_t n = 0;

	st->kind = STAGE_ASSIGN;
	lx->pos++;
	err = parse_modifier(p, '>', &st->size_bytes);
	if (err)
		return err;
	lex_space(lx);
	n = lex_var_span(lx);
	if (n == 0 && lex_at_end(lx))
		return syntax_error(p);
	if (n == 0)
		return err_new(ERR_USAGE,
			       "'%c' may not be used in a variable name",
			       lex_peek(lx, 0));
	if (n > 30)
		return err_new(ERR_USAGE,
			       "variable names may not exceed 30 characters");
	st->name = mem_strndup(lx->text + lx->pos, n);
	lx->pos += n;
	lex_space(lx);
	return NULL;
}

static struct err *parse_dcmd(struct parser *p, struct stage *st)
{
	struct lex *lx = p->lx;
	size_t n = 2;
	bool is_bare = false; /* "$" is "$?" */

	st->kind = STAGE_DCMD;
	if (lex_peek(lx, 0) == ':' && lex_peek(lx, 1) == ':') {
		lx->pos += 2;
		n = lex_dcmd_span(lx);
		if (n == 0)
			return syntax_error(p);
	} else if (lex_peek(lx, 0) == '$' &&
		   (lex_peek(lx, 1) == '<' || lex_peek(lx, 1) == '>')) {
		n = lex_peek(lx, 2) == '<' ? 3 : 2;
	} else if (!lex_is_short_dcmd(lex_peek(lx, 1))) {
		if (lex_peek(lx, 0) == ':')
			return syntax_error(p);
		n = 1;
		is_bare = true;
	}
	st->name =
		is_bare ? mem_strdup("$?") : mem_strndup(lx->text + lx->pos, n);
	lx->pos += n;
	return parse_args(p, &st->args);
}

static struct err *parse_stage(struct parser *p, struct stage *st)
{
	lex_space(p->lx);
	switch (lex_peek(p->lx, 0)) {
	case ':':
	case '$':
		return parse_dcmd(p, st);
	case '/':
	case '\\':
	case '@':
	case '?':
	case '=':
		return parse_verb(p, st);
	case '>':
		return parse_assign(p, st);
	default:
		return syntax_error(p);
	}
}

/* a quoted shell command may be followed by "|" and another stage */
static struct err *parse_quoted_shell(struct parser *p, struct command *cmd,
				      bool *ret_more)
{
	struct lex *lx = p->lx;
	struct stage st = {.kind = STAGE_SHELL};
	struct strbuf sb = {0};
	struct err *err = lex_quoted_shell(lx, &sb);

	if (!err)
		st.name = mem_strdup(strbuf_str(&sb));
	strbuf_free(&sb);
	if (err)
		return err;
	lex_space(lx);
	*ret_more = lex_peek(lx, 0) == '|' && !cmd->shell_source;
	if (!*ret_more) {
		cmd->shell = st.name;
		return lex_at_end(lx) ? NULL : syntax_error(p);
	}
	lx->pos++;
	VEC_PUSH(&cmd->stages, st);
	return NULL;
}

/* "! text": a shell command */
static struct err *parse_shell(struct parser *p, struct command *cmd,
			       bool *ret_more)
{
	struct lex *lx = p->lx;
	size_t n = 0;

	lx->pos++;
	if (lex_peek(lx, 0) == '<') {
		cmd->shell_source = true;
		lx->pos++;
	}
	while (lex_peek(lx, 0) == ' ' || lex_peek(lx, 0) == '\t')
		lx->pos++;
	if (lex_peek(lx, 0) == '"' || lex_peek(lx, 0) == '\'')
		return parse_quoted_shell(p, cmd, ret_more);
	n = strcspn(lx->text + lx->pos, ";\n");
	cmd->shell = mem_strndup(lx->text + lx->pos, n);
	lx->pos += n;
	return NULL;
}

static struct err *parse_pipeline(struct parser *p, struct command *cmd)
{
	struct lex *lx = p->lx;
	bool more = !lex_at_end(lx);

	while (more) {
		struct stage st = {0};
		struct err *err = NULL;

		lex_space(lx);
		more = false;
		if (lex_peek(lx, 0) != '!') {
			err = parse_stage(p, &st);
			VEC_PUSH(&cmd->stages, st);
		}
		if (err)
			return err;
		if (lex_peek(lx, 0) == '|') {
			lx->pos++;
			more = true;
		} else if (lex_peek(lx, 0) == '!') {
			err = parse_shell(p, cmd, &more);
			if (err)
				return err;
		} else if (!lex_at_end(lx)) {
			return syntax_error(p);
		}
	}
	return NULL;
}

/* ---- commands -------------------------------------------------------- */

static void words_free(struct words *words)
{
	for (size_t i = 0; i < words->n; i++) {
		mem_free(words->v[i].text);
		expr_free(words->v[i].expr);
	}
	VEC_FREE(words);
}

struct command *command_hold(struct command *cmd)
{
	cmd->nholds++;
	return cmd;
}

void command_free(struct command *cmd)
{
	if (!cmd)
		return;
	if (cmd->nholds > 0) {
		cmd->nholds--;
		return;
	}
	for (size_t i = 0; i < cmd->stages.n; i++) {
		struct stage *st = &cmd->stages.v[i];

		mem_free(st->name);
		words_free(&st->args);
		for (size_t j = 0; j < st->fmts.n; j++) {
			mem_free(st->fmts.v[j].text);
			expr_free(st->fmts.v[j].count_expr);
		}
		VEC_FREE(&st->fmts);
	}
	VEC_FREE(&cmd->stages);
	expr_free(cmd->addr);
	expr_free(cmd->count);
	mem_free(cmd->shell);
	mem_free(cmd);
}

/* does an expression start here? */
static bool at_address(const struct lex *lx)
{
	char c = lex_peek(lx, 0);

	return !strchr(":$/\\@?=>,!|", c);
}

struct err *parse_command(struct lex *lx, int radix, struct command **ret)
{
	struct parser p = {.lx = lx, .radix = radix};
	struct command *cmd = NULL;
	struct err *err = NULL;

	*ret = NULL;
	for (lex_space(lx); lex_at_end(lx); lex_space(lx)) {
		if (lex_peek(lx, 0) == '\0')
			return NULL;
		lx->pos++;
	}
	cmd = mem_zalloc(sizeof(*cmd));
	if (at_address(lx))
		err = parse_binary(&p, LEVEL_MIN, &cmd->addr);
	if (!err && lex_peek(lx, 0) == ',') {
		lx->pos++;
		err = parse_binary(&p, LEVEL_MIN, &cmd->count);
	}
	if (!err)
		err = parse_pipeline(&p, cmd);
	if (err) {
		command_free(cmd);
		return err;
	}
	if (lex_peek(lx, 0) != '\0')
		lx->pos++;
	*ret = cmd;
	return NULL;
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
	return syntax_error(&p);
}
