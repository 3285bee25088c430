/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Completion, without the terminal: what may stand for the last word of a line.
 *
 *	stock::print -t struct item next->na_
 *	^address  ^name ^option  ^type     ^member, through what is before it
 *
 * The line is cut at the last ";", "|" or newline outside quotes; what follows
 * a "!" is the shell's, and file names are offered.  Within a command, the dcmd
 * is what follows "::"; each argument is of the kind that the word for it in the
 * dcmd's usage line says ("type", "member", "walker", ...), so that a new dcmd
 * is completed without a line here.  An option's argument likewise.  Anything
 * else is an expression: a symbol, or, after "<" and ">", a variable; after
 * "$<" a macro.
 */
#include "shell/complete.h"

#include <ctype.h>
#include <stdlib.h>

#include "shell/offer.h"
#include "shell/shell_impl.h"

enum kind {
	KIND_NONE,
	KIND_TYPE,
	KIND_MEMBER,
	KIND_WALKER,
	KIND_DCMD,
	KIND_OBJECT,
	KIND_VARIABLE,
	KIND_SYMBOL,
	KIND_FILE,
	KIND_MODULE,
	KIND_COMMAND,
	KIND_EXPRESSION,
};

/* ---- arguments ------------------------------------------------------- */

/* the type of the symbol that stands before the dcmd; NULL not known */
static const struct type *type_before(struct session *s, const char *text,
				      size_t n)
{
	_free_ char *name = mem_strndup(text + strspn(text, " \t*"),
					n - strspn(text, " \t*"));
	const struct type *type = NULL;
	struct symbol sym;

	if (session_symbol(s, name, &sym))
		err_free(types_of_symbol(s->types, &sym, &type));
	return type;
}

static enum kind kind_of_word(const char *word, size_t n)
{
	static const struct {
		const char *word;
		enum kind kind;
	} known[] = {
		{"type", KIND_TYPE},       {"member", KIND_MEMBER},
		{"walker", KIND_WALKER},   {"walk", KIND_WALKER},
		{"dcmd", KIND_DCMD},       {"object", KIND_OBJECT},
		{"name", KIND_OBJECT},     {"variable", KIND_VARIABLE},
		{"var", KIND_VARIABLE},    {"symbol", KIND_SYMBOL},
		{"sym", KIND_SYMBOL},      {"func", KIND_SYMBOL},
		{"function", KIND_SYMBOL}, {"caller", KIND_SYMBOL},
		{"addr", KIND_SYMBOL},     {"address", KIND_SYMBOL},
		{"file", KIND_FILE},       {"filename", KIND_FILE},
		{"module", KIND_MODULE},   {"mod", KIND_MODULE},
		{"command", KIND_COMMAND}, {"expression", KIND_EXPRESSION},
		{"expr", KIND_EXPRESSION},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strlen(known[i].word) == n &&
		    !strncmp(known[i].word, word, n))
			return known[i].kind;
	return KIND_NONE;
}

/* of argument i: the word of the usage line at that place; "..." repeats */
static enum kind kind_of_argument(const struct dcmd *d, size_t i)
{
	enum kind kind = KIND_NONE;

	if (!strcmp(d->name, "load"))
		return KIND_FILE; /* its usage says module: one to be */
	for (const char *p = d->usage ? d->usage : ""; *p && *p != '|';) {
		size_t n = strcspn(p, " []|");

		if (!strncmp(p, "...", 3))
			return kind;
		if (n > 0) {
			kind = kind_of_word(p, strcspn(p, " []|."));
			if (i-- == 0)
				return kind;
			if (n > 3 && !strncmp(p + n - 3, "...", 3))
				return kind;
		}
		p += n > 0 ? n : 1;
	}
	return KIND_NONE;
}

/* what may follow an option: the argument it takes; NULL: none is awaited */
static const struct opt *awaits(const struct dcmd *d, const char *word,
				size_t n)
{
	const struct opt *o = d->opts;

	for (; n >= 2 && o && o->letter; o++)
		if (o->letter == word[n - 1])
			return o->type != OPT_FLAG ? o : NULL;
	return NULL;
}

static void complete_command(struct request *r, const char *text);
static void complete_expression(struct request *r, const char *text);

static void offer_kind(struct request *r, enum kind kind, const char *word)
{
	offer_begin(r, word);
	switch (kind) {
	case KIND_NONE:
		break;
	case KIND_TYPE:
		offer_types(r, "");
		if (r->base) /* or a member of what lies at the address */
			offer_path(r, word);
		break;
	case KIND_MEMBER:
		if (r->base)
			offer_path(r, word);
		break;
	case KIND_WALKER:
		offer_walkers(r);
		break;
	case KIND_DCMD:
		offer_dcmds(r);
		break;
	case KIND_OBJECT:
		offer_objects(r);
		break;
	case KIND_VARIABLE:
		offer_variables(r);
		break;
	case KIND_SYMBOL:
		offer_symbols(r);
		break;
	case KIND_FILE:
		r->ret->is_file = true;
		break;
	case KIND_MODULE:
		offer_modules(r);
		break;
	case KIND_COMMAND:
		complete_command(r, word);
		break;
	case KIND_EXPRESSION:
		complete_expression(r, word);
		break;
	}
}

static bool is_tag(const char *word, size_t n)
{
	return (n == 6 && !strncmp(word, "struct", n)) ||
	       (n == 5 && !strncmp(word, "union", n)) ||
	       (n == 4 && !strncmp(word, "enum", n));
}

/* a type that was named: the members that follow are its */
static void take_type(struct request *r, const char *word, size_t n)
{
	_free_ char *name = mem_strndup(word, n);
	const struct type *type = NULL;

	if (!r->s->types)
		return;
	err_free(types_lookup(r->s->types, NULL, name, &type));
	if (type)
		r->base = type;
}

/* length of the word at p; *ret_text, *ret_n: without its quotes; *ret_ends:
 * it is the one that is being typed */
static size_t next_word(const char *p, const char **ret_text, size_t *ret_n,
			bool *ret_ends)
{
	const char *end = NULL;
	size_t n = 0;

	if (*p == '"' || *p == '\'') {
		end = strchr(p + 1, *p);
		*ret_text = p + 1;
		*ret_n = end ? (size_t)(end - p) - 1 : strlen(p + 1);
		*ret_ends = !end;
		return end ? *ret_n + 2 : *ret_n + 1;
	}
	for (; p[n] && p[n] != ' ' && p[n] != '\t'; n++)
		if (p[n] == '$' && p[n + 1] == '[')
			n += strcspn(p + n, "]") - !strchr(p + n, ']');
	*ret_text = p;
	*ret_n = n;
	*ret_ends = p[n] == '\0';
	return n;
}

static void complete_arguments(struct request *r, const char *p)
{
	const struct opt *awaited = NULL;
	const char *tag = ""; /* "struct": its name is to follow */
	const char *tag_at = NULL;
	bool has_options = true; /* they may still come */
	size_t i = 0;

	for (;;) {
		const char *word = NULL;
		bool ends = false;
		size_t n = 0;
		enum kind kind = KIND_NONE;
		size_t span = 0;

		p += strspn(p, " \t");
		span = next_word(p, &word, &n, &ends);
		kind = awaited ? kind_of_word(awaited->arg,
					      strlen(awaited->arg))
			       : kind_of_argument(r->dcmd, i);
		if (ends && strstr(word, "$[")) {
			while (strstr(word, "$["))
				word = strstr(word, "$[") + 2;
			complete_expression(r, word);
			return;
		}
		if (ends && tag_at) {
			offer_begin(r, word);
			offer_types(r, tag);
			return;
		}
		if (ends && word[0] == '-' && has_options && !awaited) {
			offer_begin(r, word);
			offer_options(r);
			return;
		}
		if (ends) {
			offer_kind(r, kind, word);
			if (kind == KIND_TYPE && strchr("'\"", word[-1]))
				r->ret->is_open = true; /* within quotes */
			return;
		}
		p += span;
		if (awaited) {
			awaited = NULL;
		} else if (word[0] == '-' && has_options) {
			awaited = awaits(r->dcmd, word, n);
		} else if (kind == KIND_TYPE && !tag_at && is_tag(word, n)) {
			tag_at = word;
			tag = n == 6 ? "struct" : n == 5 ? "union" : "enum";
		} else {
			has_options = false;
			if (tag_at || kind == KIND_TYPE)
				take_type(r, tag_at ? tag_at : word,
					  (size_t)(word -
						   (tag_at ? tag_at : word)) +
						  n);
			tag_at = NULL;
			i++;
		}
	}
}

/* ---- commands -------------------------------------------------------- */

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || (unsigned char)c >= 0x80 ||
	       (c && strchr("_.`@", c));
}

static void complete_expression(struct request *r, const char *text)
{
	const char *p = text + strlen(text);
	char before = 0;

	while (p > text && is_name_char(p[-1]))
		p--;
	if (p > text)
		before = p[-1];
	offer_begin(r, p);
	if (before == '<' || before == '>')
		offer_variables(r);
	else if (!isdigit((unsigned char)*p) &&
		 !(before && strchr("/?=\\:", before)))
		offer_symbols(r);
}

/* after "$<" or "$<<" */
static void complete_macro(struct request *r, const char *text)
{
	offer_begin(r, text + strspn(text, "< \t"));
	if (strchr(offer_prefix(r), '/'))
		r->ret->is_file = true;
	else
		offer_macros(r);
}

/* the first "::" that is neither quoted nor in brackets, or NULL */
static const char *find_colons(const char *text)
{
	int depth = 0;
	char quote = 0;

	for (const char *p = text; *p; p++) {
		if (quote)
			quote = *p == quote ? 0 : quote;
		else if (*p == '"' || *p == '\'')
			quote = *p;
		else if (*p == '(' || *p == '[')
			depth++;
		else if (*p == ')' || *p == ']')
			depth--;
		else if (depth == 0 && p[0] == ':' && p[1] == ':')
			return p;
	}
	return NULL;
}

static void complete_stage(struct request *r, const char *text)
{
	const char *name = find_colons(text);
	const char *macro = strstr(text, "$<");
	_free_ char *copy = NULL;
	size_t n = 0;

	if (macro && (!name || macro < name)) {
		complete_macro(r, macro + 2);
		return;
	}
	if (!name) {
		complete_expression(r, text);
		return;
	}
	n = strcspn(name + 2, " \t");
	offer_begin(r, name + 2);
	if (name[2 + n] == '\0') {
		offer_dcmds(r);
		return;
	}
	copy = mem_strndup(name + 2, n);
	r->dcmd = dcmd_find(r->s, copy);
	if (!r->dcmd)
		return;
	if (r->s->types)
		r->base = type_before(r->s, text, (size_t)(name - text));
	complete_arguments(r, name + 2 + n);
}

static void complete_command(struct request *r, const char *text)
{
	const char *stage = text;
	bool is_shell = false;
	char quote = 0;

	for (const char *p = text; *p; p++) {
		if (*p == ';' && !quote)
			is_shell = false;
		if (quote) {
			quote = *p == quote ? 0 : quote;
		} else if (*p == '"' || *p == '\'') {
			quote = *p;
		} else if (*p == '!' && p[1] != '=') {
			is_shell = true;
			stage = p + 1;
		} else if (strchr(is_shell ? ";\n" : ";\n|", *p)) {
			stage = p + 1;
		}
	}
	if (is_shell)
		r->ret->is_file = true;
	else
		complete_stage(r, stage + strspn(stage, " \t"));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void complete_line(struct session *s, const char *line, struct completion *ret)
{
	struct request r = {.s = s, .line = line, .ret = ret};
	size_t n = 0;

	*ret = (struct completion){.start = strlen(line)};
	complete_command(&r, line);
	if (ret->words.n > 0)
		qsort(ret->words.v, ret->words.n, sizeof(*ret->words.v),
		      by_name);
	for (size_t i = 0; i < ret->words.n; i++) {
		if (n > 0 && !strcmp(ret->words.v[n - 1], ret->words.v[i]))
			mem_free(ret->words.v[i]);
		else
			ret->words.v[n++] = ret->words.v[i];
	}
	ret->words.n = n;
}

void completion_free(struct completion *c)
{
	for (size_t i = 0; i < c->words.n; i++)
		mem_free(c->words.v[i]);
	VEC_FREE(&c->words);
}
