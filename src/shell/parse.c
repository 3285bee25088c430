/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The parser of commands: recursive descent.  parse_expr.c has expressions.
 *
 *	command:   [expr] ["," expr] [pipeline] ["!" text]   then ";" or newline
 *	pipeline:  stage { "|" stage }
 *	stage:     "::" name args | "$"c args | ":"c args
 *		 | verb formats | ">" ["/"c"/"] variable
 *
 * Commands are parsed one at a time, just before each is run, so that a new
 * radix holds from the next command on and what stands before an error has been
 * done.
 */
#include <ctype.h>
#include <string.h>

#include "shell/parse_impl.h"

/* ---- arguments and formats ------------------------------------------- */

static struct err *parse_dollar(struct parser *p, struct expr **ret)
{
	struct lex *lx = p->lx;
	size_t start = lx->pos;
	struct err *err = NULL;

	if (lex_peek(lx, 1) != '[')
		return parse_error(p);
	lx->pos += 2;
	lx->in_brackets = true;
	err = parse_expr(p, ret);
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
		return parse_error(p);
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
		err = parse_error(p);
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
		err = parse_error(p);
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
		return parse_error(p);
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
			return parse_error(p);
	} else if (lex_peek(lx, 0) == '$' &&
		   (lex_peek(lx, 1) == '<' || lex_peek(lx, 1) == '>')) {
		n = lex_peek(lx, 2) == '<' ? 3 : 2;
	} else if (!lex_is_short_dcmd(lex_peek(lx, 1))) {
		if (lex_peek(lx, 0) == ':')
			return parse_error(p);
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
		return parse_error(p);
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
		return lex_at_end(lx) ? NULL : parse_error(p);
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
			return parse_error(p);
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

	/* a format has no "`": it is a path */
	if (c == '/')
		return lex_symbol_span(lx) > 0;
	return !strchr(":$\\@?=>,!|", c);
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
		err = parse_expr(&p, &cmd->addr);
	if (!err && lex_peek(lx, 0) == ',') {
		lx->pos++;
		err = parse_expr(&p, &cmd->count);
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
