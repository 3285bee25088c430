/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ::typedef: types of the user's making.
 *
 *	::typedef TYPE NAME
 *	::typedef "struct [tag] { TYPE member; TYPE *member; TYPE member[N]; }" NAME
 *
 * -w writes them as C, -r reads what looks so.
 */
#include "place.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* what is left to parse, and where complaints begin */
struct parser {
	struct session *s;
	const char *p;
};

static void skip_blanks(struct parser *ps)
{
	while (isspace((unsigned char)*ps->p))
		ps->p++;
}

static bool take(struct parser *ps, char c)
{
	skip_blanks(ps);
	if (*ps->p != c)
		return false;
	ps->p++;
	return true;
}

/* an identifier; owned; NULL: there is none */
static char *take_name(struct parser *ps)
{
	size_t n = 0;

	skip_blanks(ps);
	if (!isalpha((unsigned char)ps->p[0]) && ps->p[0] != '_')
		return NULL;
	while (isalnum((unsigned char)ps->p[n]) || ps->p[n] == '_')
		n++;
	ps->p += n;
	return mem_strndup(ps->p - n, n);
}

static bool is_identifier(const char *name)
{
	struct parser ps = {.p = name};
	_free_ char *word = take_name(&ps);

	return word && *ps.p == '\0';
}

static struct err *bad(const char *what, const char *at)
{
	if (*at)
		return err_new(ERR_BADDATA, "%s at '%.20s'", what, at);
	return err_new(ERR_BADDATA, "%s at the end", what);
}

/* ---- members */

/* "[N]", decimal unless prefixed; 0: "[]" */
static struct err *take_length(struct parser *ps, uint64_t *ret)
{
	char *end = NULL;

	skip_blanks(ps);
	*ret = 0;
	if (*ps->p == ']') {
		ps->p++;
		return NULL;
	}
	if (!isdigit((unsigned char)*ps->p))
		return bad("the length of an array must be a number", ps->p);
	*ret = strtoull(ps->p + (!strncmp(ps->p, "0t", 2) ? 2 : 0), &end, 0);
	if (*ret == 0 || *ret > UINT32_MAX)
		return bad("the length of an array must be positive", ps->p);
	ps->p = end;
	if (!take(ps, ']'))
		return bad("] is missing", ps->p);
	return NULL;
}

/*
 * "unsigned long *name[4]" up to ";": the last word is the name, the words
 * before it are the type.
 */
static struct err *take_member(struct parser *ps, char **ret_name,
			       const struct type **ret)
{
	struct strbuf words = {0};
	char *name = NULL;
	unsigned nstars = 0;
	uint64_t n = 0;
	bool is_array = false;
	struct err *err = NULL;

	strbuf_puts(&words, "");
	while (nstars == 0) {
		char *word = take_name(ps);

		if (!word)
			break;
		if (name)
			strbuf_printf(&words, "%s ", name);
		mem_free(name);
		name = word;
		while (take(ps, '*'))
			nstars++;
	}
	if (nstars > 0) {
		/* all before the stars is the type */
		strbuf_puts(&words, name ? name : "");
		mem_free(name);
		name = take_name(ps);
	}
	if (words.n == 0 || !name)
		err = bad("a member needs a type and a name", ps->p);
	else
		err = lookup_type(ps->s, words.s, ret);
	for (unsigned i = 0; i < nstars && !err; i++)
		*ret = type_pointer(*ret);
	if (!err && take(ps, '[')) {
		is_array = true;
		err = take_length(ps, &n);
	}
	if (!err && is_array)
		*ret = type_array(*ret, n);
	if (!err && !take(ps, ';'))
		err = bad("; is missing", ps->p);
	strbuf_free(&words);
	if (err)
		mem_free(name);
	else
		*ret_name = name;
	return err;
}

struct record {
	bool is_union;
	VEC(struct type_member) members;
};

static struct err *add_member(struct record *r, char *name,
			      const struct type *type)
{
	struct type_info ti = type_info(type);
	struct type_member m = {.name = name, .type = type};
	size_t n = r->members.n;
	struct err *err = NULL;

	for (size_t i = 0; i < n && !err; i++)
		if (!strcmp(r->members.v[i].name, name))
			err = err_new(ERR_BADDATA,
				      "there are two members called %s", name);
	if (!err && n > 0 &&
	    type_info(r->members.v[n - 1].type).kind == TYPE_ARRAY &&
	    type_info(r->members.v[n - 1].type).nelems == 0)
		err = err_new(ERR_BADDATA, "nothing may follow %s[]",
			      r->members.v[n - 1].name);
	if (!err && ti.kind == TYPE_ARRAY && ti.nelems == 0 &&
	    (r->is_union || n == 0))
		err = err_new(ERR_BADDATA,
			      "%s[] must be the last of several members of a "
			      "structure",
			      name);
	if (!err && ti.size_bytes == 0 && ti.kind != TYPE_ARRAY &&
	    type_nmembers(type) == 0)
		err = err_new(ERR_BADDATA, "%s has no size", type_name(type));
	if (err)
		mem_free(name);
	else
		VEC_PUSH(&r->members, m);
	return err;
}

/* "{ ... }" */
static struct err *take_members(struct parser *ps, struct record *r)
{
	struct err *err = NULL;

	if (!take(ps, '{'))
		return bad("{ is missing", ps->p);
	while (!err && !take(ps, '}')) {
		const struct type *type = NULL;
		char *name = NULL;

		err = take_member(ps, &name, &type);
		if (!err)
			err = add_member(r, name, type);
	}
	if (!err && r->members.n == 0)
		err = err_new(ERR_BADDATA, "there are no members");
	return err;
}

/* "struct tag { ... }"; *ret NULL: the text is none of that */
static struct err *take_record(struct parser *ps, const struct type **ret)
{
	struct record r = {0};
	_free_ char *word = NULL;
	_free_ char *tag = NULL;
	struct type *type = NULL;
	struct err *err = NULL;

	*ret = NULL;
	if (!strchr(ps->p, '{') && !strchr(ps->p, '}'))
		return NULL;
	word = take_name(ps);
	if (!word || (strcmp(word, "struct") && strcmp(word, "union")))
		return bad("struct or union is missing", word ? word : ps->p);
	r.is_union = word[0] == 'u';
	tag = take_name(ps);
	type = types_begin_record(session_types(ps->s), r.is_union, tag);
	err = take_members(ps, &r);
	types_end_record(type, r.members.v, err ? 0 : r.members.n);
	if (!err)
		*ret = type;
	for (size_t i = 0; i < r.members.n; i++)
		mem_free((char *)r.members.v[i].name);
	VEC_FREE(&r.members);
	return err;
}

/* ---- one typedef */

static struct err *make(struct session *s, const char *text, const char *name)
{
	struct types *types = session_types(s);
	struct parser ps = {.s = s, .p = text};
	const struct type *type = NULL;
	struct err *err = NULL;

	if (!is_identifier(name))
		return err_new(ERR_BADDATA, "'%s' is no name for a type", name);
	if (!types_has_base(types))
		return err_new(ERR_NOSUP, "there are no types to make one of: "
					  "see ::typedef -c");
	err = try_lookup_type(s, name, &type);
	if (!err && !strcmp(type_name(type), name))
		return err_new(ERR_BADDATA, "there is a type %s already", name);
	err_free(err);
	type = NULL;
	err = take_record(&ps, &type);
	if (!err && type) {
		skip_blanks(&ps);
		if (*ps.p)
			err = bad("nothing may follow the }", ps.p);
	} else if (!err) {
		err = lookup_type(s, text, &type);
	}
	if (!err)
		types_make_typedef(types, name, type);
	return err;
}

/* ---- files */

/* a type as C that can be read back */
static void put_declaration(FILE *f, const struct type *type, const char *name)
{
	const struct type *of = type_of_typedef(type);
	size_t n = type_nmembers(of);

	if (!type_is_made_record(of)) {
		fprintf(f, "typedef %s %s;\n", type_name(of), name);
		return;
	}
	/* "struct {...}" has no tag */
	fprintf(f, "typedef %.*s {",
		(int)strcspn(type_name(of),
			     strchr(type_name(of), '{') ? " " : ""),
		type_name(of));
	for (size_t i = 0; i < n; i++) {
		struct type_member m = type_member(of, i);
		struct type_info ti = type_info(m.type);
		bool is_array = ti.kind == TYPE_ARRAY;

		fprintf(f, " %s %s", type_name(is_array ? ti.elem : m.type),
			m.name);
		if (is_array && ti.nelems > 0)
			fprintf(f, "[%" PRIu64 "]", ti.nelems);
		else if (is_array)
			fputs("[]", f);
		fputc(';', f);
	}
	fprintf(f, " } %s;\n", name);
}

struct writer {
	struct types *types;
	FILE *f;
};

static struct err *write_one(void *arg, const char *tag, const char *name)
{
	struct writer *w = arg;
	const struct type *type = NULL;
	struct err *err = NULL;

	if (tag[0])
		return NULL; /* its typedef is written */
	err = types_lookup(w->types, NULL, name, &type);
	if (!err)
		put_declaration(w->f, type, name);
	return err;
}

static struct err *write_file(struct session *s, const char *path)
{
	struct writer w = {session_types(s), fopen(path, "we")};
	struct err *err = NULL;

	if (!w.f)
		return err_new(ERR_IO, "%s: %s", path, strerror(errno));
	err = types_made(w.types, write_one, &w);
	if (fclose(w.f) != 0 && !err)
		err = err_new(ERR_IO, "%s: %s", path, strerror(errno));
	return err;
}

/* "typedef TYPE NAME;": the last word is the name */
static struct err *read_one(struct session *s, char *line)
{
	size_t n = strlen(line);
	char *name = NULL;

	while (n > 0 &&
	       (isspace((unsigned char)line[n - 1]) || line[n - 1] == ';'))
		line[--n] = '\0';
	if (n == 0 || !strncmp(line, "/*", 2) || !strncmp(line, "//", 2))
		return NULL;
	while (n > 0 &&
	       (isalnum((unsigned char)line[n - 1]) || line[n - 1] == '_'))
		n--;
	name = line + n;
	if (strncmp(line, "typedef ", 8) != 0 || n < 9)
		return err_new(ERR_BADDATA, "'%s' is no typedef", line);
	_free_ char *text = mem_strndup(line + 8, n - 8);

	for (n = strlen(text); n > 0 && isspace((unsigned char)text[n - 1]);)
		text[--n] = '\0';
	return make(s, text, name);
}

static struct err *read_file(struct session *s, const char *path)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0;
	unsigned n = 0;
	struct err *err = NULL;

	if (!f)
		return err_new(ERR_IO, "%s: %s", path, strerror(errno));
	while (!err && getline(&line, &cap, f) > 0) {
		n++;
		err = err_prefix(read_one(s, line), "%s:%u", path, n);
	}
	free(line);
	(void)fclose(f); /* it was only read */
	return err;
}

/* ---- ::typedef */

static const struct opt typedef_opts[] = {
	{'c', OPT_STRING, "model",
	 "base types of LP64, ILP32 or LP32 to begin with"},
	{'d', OPT_FLAG, NULL, "forget all that were made"},
	{'l', OPT_FLAG, NULL, "list those that were made"},
	{'r', OPT_STRING, "file", "read typedefs from a file"},
	{'w', OPT_STRING, "file", "write those that were made to a file"},
	{0},
};
static const struct column made_cols[] = {
	{"type", "", CELL_TEXT, 0},
};

static struct err *list_one(void *arg, const char *tag, const char *name)
{
	struct out *o = arg;
	_free_ char *full = mem_printf("%s%s", tag, name);

	out_str(o, full);
	out_end_row(o, 0);
	return NULL;
}

static struct err *dcmd_typedef(struct dcmd_call *call)
{
	struct types *types = session_types(call->s);
	const char *model = NULL;
	const char *from = NULL;
	const char *to = NULL;
	bool forget = false;
	bool list = false;
	void *const values[] = {&model, &forget, &list, &from, &to};
	size_t first = 0;
	struct err *err = dcmd_options(call, typedef_opts, values, &first);
	size_t n = call->argc - first;
	bool has_option = model || forget || list || from || to;

	if (err)
		return err;
	if (n != (has_option ? 0 : 2))
		return err_new(ERR_USAGE, has_option
						  ? "nothing may follow"
						  : "a type and a name for it "
						    "are needed");
	if (model && !types_set_model(types, model))
		return err_new(ERR_USAGE, "unknown data model '%s'", model);
	if (forget)
		types_forget_made(types);
	if (from)
		err = read_file(call->s, from);
	if (!err && to)
		err = write_file(call->s, to);
	if (!err && list) {
		out_begin(call->out, made_cols, 1, "");
		err = types_made(types, list_one, call->out);
		out_end(call->out);
	}
	if (!err && !has_option)
		err = make(call->s, call->argv[first].str,
			   call->argv[first + 1].str);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "typedef",
	 .opts = typedef_opts,
	 .usage = "[type name]",
	 .brief = "make a type",
	 .run = dcmd_typedef},
	{0},
};

const struct group group_typedef = {.name = "types", .dcmds = dcmds};
