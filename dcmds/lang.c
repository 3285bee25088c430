/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The language's own dcmds: walks, filters, help. */
#include "bufstate.h"

#include <regex.h>

/* an argument as one text; evaluated ones as "0x..." */
static char *join_args(const struct dcmd_call *call, size_t first)
{
	struct strbuf sb = {0};

	strbuf_puts(&sb, "");
	for (size_t i = first; i < call->argc; i++) {
		if (i > first)
			strbuf_putc(&sb, ' ');
		strbuf_puts(&sb, call->argv[i].str);
	}
	return sb.s;
}

/* ---- ::walk ---------------------------------------------------------- */

struct walk_arg {
	const struct dcmd_call *call;
	const char *var;
	const struct bufstates *states; /* NULL: whatever they are */
};

static const struct opt walk_opts[] = {
	{'s', OPT_STRING, "states", "only of buffers in one of these states"},
	{0},
};

static struct err *walk_one(void *arg, taddr_t addr)
{
	struct walk_arg *w = arg;
	struct err *err = NULL;

	if (w->states && !bufstates_wants(w->states, addr))
		return interrupt_check();
	if (w->var)
		err = session_bind_var(w->call->s, w->var, addr);
	if (err)
		return err;
	out_value(w->call->out, addr);
	return interrupt_check();
}

static struct err *dcmd_walk(struct dcmd_call *call)
{
	struct walk_arg w = {.call = call};
	const char *names = NULL;
	void *const values[] = {&names};
	struct bufstates states = {0};
	size_t first = 0;
	struct err *err = dcmd_options(call, walk_opts, values, &first);

	if (err)
		return err;
	if (call->argc == first)
		return err_new(ERR_USAGE, "::walk needs the name of a walker");
	if (call->argc > first + 2)
		return err_new(ERR_USAGE, "::walk takes one walker and one "
					  "variable, options before them");
	if (call->argc == first + 2)
		w.var = call->argv[first + 1].str;
	if (names) {
		err = bufstates_open(call->s, names, &states);
		w.states = &states;
	}
	if (!err)
		err = walk_run(call->s, call->argv[first].str,
			       call->flags & DCMD_ADDRSPEC, call->addr,
			       walk_one, &w);
	bufstates_close(&states);
	return err;
}

/* ---- ::dcmds, ::walkers, ::help -------------------------------------- */

static const struct column name_cols[] = {
	{"name", "", CELL_TEXT, -24},
	{NULL, "", CELL_TEXT, 1},
	{"description", "", CELL_TEXT, 0},
};
static const struct opt list_opts[] = {
	{'n', OPT_FLAG, NULL, "match names only, not descriptions"},
	{0},
};

/* a pattern that names are matched with */
struct filter {
	regex_t re;
	bool has_re;
	bool names_only;
};

static struct err *filter_open(const struct dcmd_call *call, struct filter *f)
{
	void *const values[] = {&f->names_only};
	size_t first = 0;
	struct err *err = dcmd_options(call, list_opts, values, &first);

	if (err)
		return err;
	if (call->argc > first + 1)
		return err_new(ERR_USAGE, "only one pattern may be given");
	if (call->argc == first)
		return NULL;
	if (regcomp(&f->re, call->argv[first].str, REG_EXTENDED | REG_NOSUB))
		return err_new(ERR_USAGE, "'%s' is no regular expression",
			       call->argv[first].str);
	f->has_re = true;
	return NULL;
}

static void filter_close(struct filter *f)
{
	if (f->has_re)
		regfree(&f->re);
}

static void list_name(struct out *o, const struct filter *f, const char *name,
		      const char *brief)
{
	if (f->has_re && regexec(&f->re, name, 0, NULL, 0) &&
	    (f->names_only || regexec(&f->re, brief, 0, NULL, 0)))
		return;
	out_str(o, name);
	out_str(o, "-");
	out_str(o, brief);
	out_end_row(o, 0);
}

static struct err *dcmd_dcmds(struct dcmd_call *call)
{
	struct filter f = {0};
	struct err *err = filter_open(call, &f);
	const struct dcmd *const *v = NULL;
	size_t n = 0;

	if (err)
		return err;
	n = session_dcmds(call->s, &v);
	out_begin(call->out, name_cols, 3, "");
	for (size_t i = 0; i < n; i++)
		/* the short names are said in the descriptions */
		if (v[i]->name[0] != '$')
			list_name(call->out, &f, v[i]->name, v[i]->brief);
	out_end(call->out);
	mem_free((void *)v);
	filter_close(&f);
	return NULL;
}

static struct err *dcmd_walkers(struct dcmd_call *call)
{
	struct filter f = {0};
	struct err *err = filter_open(call, &f);
	const struct walker *const *v = NULL;
	size_t n = 0;

	if (err)
		return err;
	n = session_walkers(call->s, &v);
	out_begin(call->out, name_cols, 3, "");
	for (size_t i = 0; i < n; i++)
		list_name(call->out, &f, v[i]->name, v[i]->brief);
	out_end(call->out);
	mem_free((void *)v);
	filter_close(&f);
	return NULL;
}

static const char overview[] =
	"\n"
	"  address::dcmd arguments     run a dcmd on an address; ::dcmds lists\n"
	"                              them, ::help name explains one\n"
	"  address::walk walker        the addresses a walker finds; ::walkers\n"
	"                              lists them, one for each cache\n"
	"  dcmd | dcmd                 each value found goes to the next\n"
	"  dcmd ! command              output through a shell command\n"
	"  address/formats             print memory: /X hex, /D decimal,\n"
	"                              /K pointer-sized, /s string, /p symbol\n"
	"  expression=formats          print a value: =X =D =E =K\n"
	"  expression>name  <name      set and use a variable; registers, too:\n"
	"                              <rip, <rsp\n"
	"\n"
	"  Numbers are hexadecimal; 0t1234 is decimal.  Start with ::status,\n"
	"  ::stack, ::findleaks, ::kmastat, address::whatis.  $q quits.\n"
	"\n";

static struct err *dcmd_help(struct dcmd_call *call)
{
	if (call->argc > 1)
		return err_new(ERR_USAGE, "only one dcmd may be named");
	if (call->argc == 1)
		return session_help(call->s, call->argv[0].str);
	out_text(call->out, "%s", overview);
	return NULL;
}

/* ---- ::echo, ::eval, ::grep, ::map, ::head --------------------------- */

static void put_number(struct strbuf *sb, uint64_t n, int radix)
{
	static const char digits[] = "0123456789abcdef";
	char buf[65];
	size_t i = sizeof(buf);

	do {
		buf[--i] = digits[n % (unsigned)radix];
		n /= (unsigned)radix;
	} while (n > 0);
	strbuf_add(sb, buf + i, sizeof(buf) - i);
}

static struct err *dcmd_echo(struct dcmd_call *call)
{
	struct strbuf sb = {0};

	for (size_t i = 0; i < call->argc; i++) {
		if (call->argv[i].type == ARG_NUMBER)
			put_number(&sb, call->argv[i].num,
				   session_radix(call->s));
		else
			strbuf_puts(&sb, call->argv[i].str);
		strbuf_putc(&sb, ' ');
	}
	out_text(call->out, "%s\n", strbuf_str(&sb));
	strbuf_free(&sb);
	return NULL;
}

static struct err *dcmd_eval(struct dcmd_call *call)
{
	_free_ char *text = NULL;

	if (call->argc == 0)
		return err_new(ERR_USAGE, "::eval needs a command");
	text = join_args(call, 0);
	return session_run_at(call->s, call->addr, text);
}

/* dot after a command ran at an address; dot is as before then */
static struct err *dot_after(struct dcmd_call *call, uint64_t *ret)
{
	_free_ char *text = join_args(call, 0);
	struct err *err = session_run_at(call->s, call->addr, text);

	*ret = session_dot(call->s);
	session_set_dot(call->s, call->addr);
	return err;
}

static struct err *dcmd_grep(struct dcmd_call *call)
{
	uint64_t dot = 0;
	struct err *err = NULL;

	if (call->argc == 0)
		return err_new(ERR_USAGE, "::grep needs an expression");
	err = dot_after(call, &dot);
	if (!err && dot != 0)
		out_value(call->out, call->addr);
	return err;
}

static struct err *dcmd_map(struct dcmd_call *call)
{
	uint64_t dot = 0;
	struct err *err = NULL;

	if (call->argc == 0)
		return err_new(ERR_USAGE, "::map needs an expression");
	err = dot_after(call, &dot);
	if (!err)
		out_value(call->out, dot);
	return err;
}

static struct err *head_count(struct dcmd_call *call, uint64_t *ret)
{
	const char *text = NULL;

	*ret = 10;
	if (call->argc == 0)
		return NULL;
	text = call->argv[0].str;
	if (call->argc == 2 && !strcmp(text, "-n")) {
		if (call->argv[1].type == ARG_NUMBER) {
			*ret = call->argv[1].num;
			return NULL;
		}
		text = call->argv[1].str;
	} else if (call->argc == 1 && !strncmp(text, "-n", 2)) {
		text += 2;
	} else if (call->argc == 1 && text[0] == '-') {
		text++;
	} else {
		return err_new(ERR_USAGE, "%s", "");
	}
	*ret = 0;
	for (; *text >= '0' && *text <= '9' && *ret < 1ull << 48; text++)
		*ret = *ret * 10 + (uint64_t)(*text - '0');
	if (*text)
		return err_new(ERR_USAGE, "'%s' is no decimal number", text);
	return NULL;
}

static struct err *dcmd_head(struct dcmd_call *call)
{
	uint64_t n = 0;
	struct err *err = NULL;

	if (!(call->flags & DCMD_PIPE))
		return err_new(ERR_USAGE, "::head reads from a pipe");
	err = head_count(call, &n);
	session_stop_loop(call->s);
	if (err)
		return err;
	for (; n > 0; n--) {
		if (out_is_pipe(call->out) || out_is_json(call->out))
			out_value(call->out, call->addr);
		else
			out_text(call->out, "%" PRIx64 "\n", call->addr);
		if (!session_next(call))
			break;
	}
	return NULL;
}

static const struct dcmd dcmds[] = {
	{.name = "walk",
	 .addr = ADDR_OPTIONAL,
	 .usage = "walker [variable]",
	 .opts = walk_opts,
	 .brief = "addresses that a walker finds",
	 .run = dcmd_walk},
	{.name = "walkers",
	 .usage = "[pattern]",
	 .opts = list_opts,
	 .brief = "list walkers",
	 .run = dcmd_walkers},
	{.name = "dcmds",
	 .usage = "[pattern]",
	 .opts = list_opts,
	 .brief = "list dcmds",
	 .run = dcmd_dcmds},
	{.name = "help",
	 .usage = "[dcmd]",
	 .brief = "explain a dcmd",
	 .run = dcmd_help},
	{.name = "echo",
	 .addr = ADDR_OPTIONAL,
	 .usage = "[argument ...]",
	 .brief = "print arguments",
	 .run = dcmd_echo},
	{.name = "eval",
	 .addr = ADDR_OPTIONAL,
	 .usage = "command",
	 .brief = "run a command",
	 .run = dcmd_eval},
	{.name = "grep",
	 .addr = ADDR_OPTIONAL,
	 .usage = "expression",
	 .brief = "keep values for which an expression is not zero",
	 .run = dcmd_grep},
	{.name = "map",
	 .addr = ADDR_OPTIONAL,
	 .usage = "expression",
	 .brief = "replace each value by an expression of it",
	 .run = dcmd_map},
	{.name = "head",
	 .addr = ADDR_OPTIONAL,
	 .usage = "[-N | -n N]",
	 .brief = "keep the first values of a pipeline",
	 .run = dcmd_head},
	{0},
};

const struct group group_lang = {.name = "lang", .dcmds = dcmds};
