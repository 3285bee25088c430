/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stacks: ::stack, $c, $C. */
#include "thread.h"

/* ---- ::stack --------------------------------------------------------- */

enum {
	FRAME_COLS = 8
};
static const struct column frame_cols[] = {
	{"tid", NULL, CELL_COUNT, 0}, {"frame", NULL, CELL_COUNT, 0},
	{"pc", NULL, CELL_ADDR, 0},   {"cfa", NULL, CELL_ADDR, 16},
	{"name", "", CELL_TEXT, 0},   {"function", NULL, CELL_TEXT, 0},
	{"file", NULL, CELL_TEXT, 0}, {"line", NULL, CELL_COUNT, 0},
};
static const struct column frame_v_cols[] = {
	{"tid", NULL, CELL_COUNT, 0}, {"frame", NULL, CELL_COUNT, 0},
	{"pc", NULL, CELL_ADDR, 0},   {"cfa", "", CELL_ADDR, 16},
	{"name", "", CELL_TEXT, 0},   {"function", NULL, CELL_TEXT, 0},
	{"file", NULL, CELL_TEXT, 0}, {"line", NULL, CELL_COUNT, 0},
};
static const struct opt stack_opts[] = {
	{'n', OPT_FLAG, NULL, "addresses, not names"},
	{'s', OPT_FLAG, NULL, "sizes of the frames, bytes"},
	{'t', OPT_FLAG, NULL, "types of the functions' arguments"},
	{'v', OPT_FLAG, NULL, "the frame's address before it ($C)"},
	{0},
};

struct stack_print {
	struct dcmd_call *call;
	uint32_t tid;
	bool is_numeric, has_sizes, has_types, verbose;
	bool has_regs; /* ::stackregs */
	uint64_t nframes;
};

/* "int, char **" of the function at pc; owned; "" when it is not known */
static char *argument_types(struct types *types, taddr_t pc)
{
	const struct type *type = NULL;
	struct symbol sym;
	struct err *err = NULL;
	const char *text = NULL;

	if (!types_symbol_at(types, pc, &sym))
		return mem_strdup("");
	err = types_of_symbol(types, &sym, &type);
	if (err || type_info(type).kind != TYPE_FUNCTION) {
		err_free(err);
		return mem_strdup("");
	}
	/* "int (int, char **)" */
	text = strchr(type_name(type), '(');
	if (!text || text[strlen(text) - 1] != ')')
		return mem_strdup("");
	return mem_strndup(text + 1, strlen(text) - 2);
}

/* one frame as a line; owned */
static char *frame_text(const struct stack_print *p, const struct frame *f)
{
	struct types *types = session_types(p->call->s);
	taddr_t at = f->is_activation ? f->pc : f->pc - 1;
	struct strbuf sb = {0};
	_free_ char *name = NULL;
	_free_ char *args =
		p->has_types ? argument_types(types, at) : mem_strdup("");

	if (p->is_numeric)
		name = mem_printf("0x%" PRIx64, f->pc);
	else if (f->is_activation)
		name = types_addr_name(types, f->pc);
	else
		name = session_frame_name(p->call->s, f->pc);
	if (p->has_sizes && f->cfa > f->sp)
		strbuf_printf(&sb, "[%4" PRIx64 "] ", f->cfa - f->sp);
	else if (p->has_sizes)
		strbuf_puts(&sb, "[   ?] ");
	/* a C++ name has the types of its arguments */
	if (strchr(name, '('))
		strbuf_puts(&sb, name);
	else
		strbuf_printf(&sb, "%s(%s)", name, args);
	return sb.s;
}

/* what a function finds in the registers that it has to keep */
static void put_regs(struct out *o, const struct frame *f)
{
	static const struct {
		const char *name;
		unsigned number;
	} kept[] = {{"rbx", 3},  {"rbp", 6},  {"rsp", 7}, {"r12", 12},
		    {"r13", 13}, {"r14", 14}, {"r15", 15}};
	struct strbuf sb = {0};

	strbuf_puts(&sb, "");
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		if (!(f->has_regs & 1u << kept[i].number))
			continue;
		strbuf_printf(&sb, "%s%%%s = 0x%016" PRIx64,
			      sb.n == 0    ? "    "
			      : i % 3 == 0 ? "\n    "
					   : "  ",
			      kept[i].name, f->regs[kept[i].number]);
	}
	if (sb.n > 0)
		out_text(o, "%s\n", sb.s);
	strbuf_free(&sb);
}

static void put_source(struct out *o, struct types *types, taddr_t pc)
{
	_free_ char *function = types_function_name(types, pc);
	const char *file = NULL;
	int line = 0;

	out_str(o, function);
	if (types_source_line(types, pc, &file, &line)) {
		out_str(o, file);
		out_u64(o, (uint64_t)line);
	} else {
		out_none(o);
		out_none(o);
	}
}

static struct err *print_frame(void *arg, const struct frame *f)
{
	struct stack_print *p = arg;
	struct out *o = p->call->out;
	struct types *types = session_types(p->call->s);
	_free_ char *text = frame_text(p, f);

	out_u64(o, p->tid);
	out_u64(o, p->nframes++);
	out_addr(o, f->pc);
	out_addr(o, f->cfa);
	out_str(o, text);
	if (out_is_json(o))
		put_source(o, types, f->is_activation ? f->pc : f->pc - 1);
	out_end_row(o, f->pc);
	if (p->has_regs && !out_is_json(o) && !out_is_pipe(o))
		put_regs(o, f);
	return interrupt_check();
}

static struct err *print_stack(struct stack_print p)
{
	struct dcmd_call *call = p.call;
	const struct target_thread *th = NULL;
	struct err *err = find_thread(call, &th);

	if (err)
		return err;
	p.tid = th->tid;
	if ((call->flags & DCMD_LOOP) && !out_is_json(call->out) &&
	    !out_is_pipe(call->out))
		out_text(call->out, "%sthread 0x%x%s%s:\n",
			 call->flags & DCMD_LOOPFIRST ? "" : "\n", th->tid,
			 th->name[0] ? " " : "", th->name);
	out_begin(call->out, p.verbose ? frame_v_cols : frame_cols, FRAME_COLS,
		  "");
	err = types_unwind(session_types(call->s), th, print_frame, &p);
	out_end(call->out);
	return err;
}

/* mdb's count of arguments to show: there are none to be had */
static struct err *check_count(const struct dcmd_call *call, size_t first)
{
	uint64_t n = 0;

	if (call->argc > first + 1)
		return err_new(ERR_USAGE, "only one count may be given");
	if (call->argc == first || call->argv[first].type == ARG_NUMBER)
		return NULL;
	return session_parse_number(call->s, call->argv[first].str, &n);
}

static struct err *dcmd_stack(struct dcmd_call *call)
{
	struct stack_print p = {.call = call};
	void *const values[] = {&p.is_numeric, &p.has_sizes, &p.has_types,
				&p.verbose};
	size_t first = 0;
	struct err *err = dcmd_options(call, stack_opts, values, &first);

	if (!err)
		err = check_count(call, first);
	return err ? err : print_stack(p);
}

static struct err *dcmd_stack_frames(struct dcmd_call *call)
{
	struct stack_print p = {.call = call, .verbose = true};
	struct err *err = check_count(call, 0);

	return err ? err : print_stack(p);
}

static struct err *dcmd_stackregs(struct dcmd_call *call)
{
	struct stack_print p = {.call = call, .has_regs = true};
	struct err *err = check_count(call, 0);

	return err ? err : print_stack(p);
}

/* ---- ::findstack ----------------------------------------------------- */

static const struct opt findstack_opts[] = {
	{'v', OPT_FLAG, NULL, "with the types of arguments"},
	{0},
};

static struct err *find_frame(void *arg, const struct frame *f)
{
	const struct stack_print *p = arg;
	_free_ char *text = frame_text(p, f);

	out_text(p->call->out, "[ %016" PRIx64 " %s ]\n", f->sp, text);
	return interrupt_check();
}

static struct err *dcmd_findstack(struct dcmd_call *call)
{
	struct stack_print p = {.call = call};
	void *const values[] = {&p.has_types};
	const struct target_thread *th = NULL;
	size_t first = 0;
	struct err *err = dcmd_options(call, findstack_opts, values, &first);

	if (!err && first < call->argc)
		err = err_new(ERR_USAGE, "it takes no arguments");
	if (!err)
		err = find_thread(call, &th);
	if (err)
		return err;
	out_text(call->out, "stack pointer for thread %x: %llx\n", th->tid,
		 th->regs.rsp);
	return types_unwind(session_types(call->s), th, find_frame, &p);
}

static const struct dcmd dcmds[] = {
	{.name = "stack",
	 .addr = ADDR_OPTIONAL,
	 .opts = stack_opts,
	 .usage = "[count]",
	 .brief = "stack of a thread ($c; $C with frames)",
	 .run = dcmd_stack},
	{.name = "$c",
	 .addr = ADDR_OPTIONAL,
	 .opts = stack_opts,
	 .usage = "[count]",
	 .brief = "stack of a thread",
	 .run = dcmd_stack},
	{.name = "$C",
	 .addr = ADDR_OPTIONAL,
	 .usage = "[count]",
	 .brief = "stack of a thread with frame addresses",
	 .run = dcmd_stack_frames},
	{.name = "stackregs",
	 .addr = ADDR_OPTIONAL,
	 .usage = "[count]",
	 .brief = "stack of a thread with the registers of each frame",
	 .run = dcmd_stackregs},
	{.name = "findstack",
	 .addr = ADDR_REQUIRED,
	 .opts = findstack_opts,
	 .usage = "",
	 .brief = "stack of a thread with its stack pointers",
	 .run = dcmd_findstack},
	{0},
};

const struct group group_stack = {.name = "session", .dcmds = dcmds};
