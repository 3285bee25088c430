/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the dump is of: status, maps, objects, threads, stacks, registers. */
#define _GNU_SOURCE /* sigabbrev_np */
#include "pmdb_mod.h"

#include <elf.h>
#include <signal.h>
#include <time.h>

static struct err *no_args(const struct dcmd_call *call)
{
	if (call->argc > 0)
		return err_new(ERR_USAGE, "it takes no arguments");
	return NULL;
}

/* ---- ::status -------------------------------------------------------- */

static const struct object *main_object(struct types *types)
{
	for (size_t i = 0; types && i < types_nobjects(types); i++)
		if (types_object(types, i)->is_exec)
			return types_object(types, i);
	return NULL;
}

/* how the process ended, or why it was copied */
static char *end_text(const struct target_info *info)
{
	const char *abbrev = info->signo ? sigabbrev_np(info->signo) : NULL;
	const char *descr = info->signo ? sigdescr_np(info->signo) : NULL;
	struct strbuf sb = {0};

	if (info->signo == 0)
		return mem_strdup(
			info->is_snapshot
				? "process snapshot written by libkmem"
				: "process core file generated with "
				  "gcore(1)");
	strbuf_printf(&sb, "process terminated by SIG%s (%s)",
		      abbrev ? abbrev : "?", descr ? descr : "unknown signal");
	if (info->si_code > 0 &&
	    (info->signo == SIGSEGV || info->signo == SIGBUS ||
	     info->signo == SIGILL || info->signo == SIGFPE ||
	     info->signo == SIGTRAP))
		strbuf_printf(&sb, ", addr=%" PRIx64, info->fault_addr);
	return sb.s;
}

static char *time_text(uint64_t wall_ns)
{
	time_t t = (time_t)(wall_ns / 1000000000);
	struct tm tm;
	char buf[64];

	if (!localtime_r(&t, &tm) ||
	    strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M:%S %z", &tm) == 0)
		return mem_strdup("?");
	return mem_strdup(buf);
}

/* the strings of a snapshot's options on one line; "" none.  Owned. */
static char *options_text(const struct target_info *info)
{
	struct strbuf sb = {0};
	size_t at = 0;

	strbuf_puts(&sb, "");
	while (at < info->snap_env_bytes) {
		size_t n =
			strnlen(info->snap_env + at, info->snap_env_bytes - at);

		if (n > 0 && sb.n > 0)
			strbuf_putc(&sb, ' ');
		strbuf_add(&sb, info->snap_env + at, n);
		at += n + 1;
	}
	return sb.s;
}

static void heap_status(struct dcmd_call *call)
{
	struct out *o = call->out;
	const char *why = NULL;
	struct heap *heap = session_try_heap(call->s, &why);
	const struct heap_health *h = heap ? &heap->health : NULL;
	_free_ char *options =
		options_text(target_info(session_target(call->s)));

	if (!heap) {
		out_text(o, "heap: none: %s\n", why);
		return;
	}
	out_text(o, "heap: %s%s\n", heap->ops->name,
		 !h->is_quiescent_known ? ", not known to be at rest"
		 : h->is_quiescent      ? ", at rest when it was copied"
					: ", in use while it was copied");
	if (options[0])
		out_text(o, "heap options: %s\n", options);
	if (h->nthreads_lost > 0)
		out_text(o, "threads without registers: %u\n",
			 h->nthreads_lost);
	if (h->nfindings > 0)
		out_text(o, "heap damage: %" PRIu64 " findings; first: %s\n",
			 h->nfindings,
			 h->first_finding ? h->first_finding : "-");
	if (h->has_panic || h->panic)
		out_text(o, "libkmem panic message: %s\n",
			 h->panic ? h->panic : "");
}

static const struct column status_cols[] = {
	{"program", NULL, CELL_TEXT, 0},
	{"file", NULL, CELL_TEXT, 0},
	{"dump", NULL, CELL_TEXT, 0},
	{"args", NULL, CELL_TEXT, 0},
	{"pid", NULL, CELL_COUNT, 0},
	{"signal", NULL, CELL_COUNT, 0},
	{"fault_addr", NULL, CELL_ADDR, 0},
	{"status", NULL, CELL_TEXT, 0},
	{"snapshot_reason", NULL, CELL_TEXT, 0},
	{"snapshot_wall_ns", NULL, CELL_COUNT, 0},
	{"threads", NULL, CELL_COUNT, 0},
	{"absent_bytes", NULL, CELL_BYTES, 0},
	{"incomplete", NULL, CELL_TEXT, 0},
	{"heap", NULL, CELL_TEXT, 0},
	{"heap_options", NULL, CELL_TEXT, 0},
	{"heap_findings", NULL, CELL_COUNT, 0},
	{"heap_panic", NULL, CELL_TEXT, 0},
};

static void status_row(struct dcmd_call *call, const char *end)
{
	struct target *t = session_target(call->s);
	const struct target_info *info = target_info(t);
	const struct object *exe = main_object(session_types(call->s));
	struct heap *heap = session_try_heap(call->s, NULL);
	_free_ char *options = options_text(info);
	struct out *o = call->out;

	out_begin(o, status_cols, sizeof(status_cols) / sizeof(*status_cols),
		  "");
	out_str(o, info->fname);
	out_str(o, exe ? exe->path : NULL);
	out_str(o, target_path(t));
	out_str(o, info->psargs);
	out_u64(o, info->pid);
	out_u64(o, (uint64_t)info->signo);
	out_addr(o, info->fault_addr);
	out_str(o, end);
	out_str(o, info->snap_reason);
	if (info->snap_wall_ns)
		out_u64(o, info->snap_wall_ns);
	else
		out_none(o);
	out_u64(o, target_nthreads(t));
	out_u64(o, info->absent_bytes);
	out_str(o, info->incomplete);
	out_str(o, heap ? heap->ops->name : NULL);
	out_str(o, options[0] ? options : NULL);
	out_u64(o, heap ? heap->health.nfindings : 0);
	out_str(o, heap ? heap->health.panic : NULL);
	out_end_row(o, info->pid);
	out_end(o);
}

static void status_text(struct dcmd_call *call, const char *end)
{
	struct target *t = session_target(call->s);
	const struct target_info *info = target_info(t);
	const struct object *exe = main_object(session_types(call->s));
	struct out *o = call->out;

	out_text(o, "debugging core file of %s (64-bit)\n",
		 info->fname[0] ? info->fname : "an unknown program");
	if (exe)
		out_text(o, "file: %s%s\n", exe->path,
			 exe->state == OBJECT_OK ? ""
			 : exe->state == OBJECT_MISMATCH
				 ? " (of another build: "
				   "not used)"
				 : " (not found)");
	if (info->psargs[0])
		out_text(o, "initial argv: %s\n", info->psargs);
	out_text(o, "threading model: native threads\n");
	out_text(o, "status: %s\n", end);
	if (info->snap_reason)
		out_text(o, "snapshot reason: %s\n", info->snap_reason);
	if (info->snap_wall_ns) {
		_free_ char *when = time_text(info->snap_wall_ns);

		out_text(o, "snapshot time: %s\n", when);
	}
	out_text(o, "dump: %s\n",
		 info->incomplete ? info->incomplete : "complete");
	out_text(o, "threads: %zu\n", target_nthreads(t));
	if (info->absent_bytes > 0)
		out_text(o, "memory left out: %" PRIu64 " bytes\n",
			 info->absent_bytes);
	heap_status(call);
}

/* an executable that nobody runs */
static void status_idle(struct dcmd_call *call)
{
	out_text(call->out, "debugging executable file (64-bit)\n");
	out_text(call->out, "file: %s\n", target_path(session_target(call->s)));
	out_text(call->out, "status: idle\n");
}

static struct err *dcmd_status(struct dcmd_call *call)
{
	struct target *t = session_target(call->s);
	struct err *err = no_args(call);
	_free_ char *end = NULL;

	if (err)
		return err;
	if (target_nmaps(t) == 0) {
		out_text(call->out, "no target\n");
		return NULL;
	}
	if (target_info(t)->is_exec) {
		status_idle(call);
		return NULL;
	}
	if (target_info(t)->is_raw) {
		out_text(call->out, "debugging file %s as bytes\n",
			 target_path(t));
		return NULL;
	}
	end = end_text(target_info(t));
	if (out_is_json(call->out))
		status_row(call, end);
	else
		status_text(call, end);
	return NULL;
}

/* ---- ::mappings ------------------------------------------------------ */

static const struct column map_cols[] = {
	{"base", "BASE", CELL_HEX, 16},      {"limit", "LIMIT", CELL_HEX, 16},
	{"size_bytes", NULL, CELL_BYTES, 0}, {NULL, "SIZE", CELL_HEX, 16},
	{"name", "NAME", CELL_TEXT, 0},      {"protection", NULL, CELL_TEXT, 0},
	{"presence", NULL, CELL_TEXT, 0},    {"file_offset", NULL, CELL_HEX, 0},
};

/* what anonymous ranges are for */
struct map_names {
	struct target *t;
	struct hash stacks; /* start of a map to tid of the thread on it */
	struct heap_range *own;
	size_t nown;
	uint64_t vdso;
};

static void names_open(struct session *s, struct map_names *mn)
{
	struct heap *heap = session_try_heap(s, NULL);

	*mn = (struct map_names){.t = session_target(s)};
	hash_init(&mn->stacks);
	for (size_t i = 0; i < target_nthreads(mn->t); i++) {
		const struct target_thread *th = target_thread(mn->t, i);
		const struct target_map *m = NULL;

		if (th->has_regs || th->regs_partial)
			m = target_map_at(mn->t, th->regs.rsp);
		if (m)
			*hash_put(&mn->stacks, m->start, NULL) = th->tid;
	}
	(void)target_auxv(mn->t, AT_SYSINFO_EHDR, &mn->vdso);
	if (heap && heap->ops->own)
		/* a name is all that is lost */
		err_free(heap->ops->own(heap, &mn->own, &mn->nown));
}

static void names_close(struct map_names *mn)
{
	hash_fini(&mn->stacks);
	mem_free(mn->own);
}

static char *map_name(const struct map_names *mn, const struct target_map *m)
{
	const uint64_t *tid = hash_get(&mn->stacks, m->start);

	if (m->path)
		return mem_strdup(m->path);
	if (tid && *tid == target_info(mn->t)->pid)
		return mem_strdup("[ stack ]");
	if (tid)
		return mem_printf("[ stack tid=0x%" PRIx64 " ]", *tid);
	if (mn->vdso && m->start <= mn->vdso && mn->vdso < m->end)
		return mem_strdup("[ vdso ]");
	for (size_t i = 0; i < mn->nown; i++)
		if (mn->own[i].start < m->end && m->start < mn->own[i].end)
			return mem_strdup("[ heap ]");
	return mem_strdup("[ anon ]");
}

static const char *presence_text(enum map_presence p)
{
	switch (p) {
	case MAP_IN_CORE:
		return "in core";
	case MAP_PARTLY:
		return "partly in core";
	case MAP_FROM_FILE:
		return "from file";
	case MAP_ABSENT:
		return "absent";
	}
	return NULL;
}

static void map_row(struct out *o, const struct target_map *m, const char *name)
{
	char prot[] = "---";

	if (m->prot & PF_R)
		prot[0] = 'r';
	if (m->prot & PF_W)
		prot[1] = 'w';
	if (m->prot & PF_X)
		prot[2] = 'x';
	out_addr(o, m->start);
	out_addr(o, m->end);
	out_u64(o, m->end - m->start);
	out_u64(o, m->end - m->start);
	out_str(o, name);
	out_str(o, prot);
	out_str(o, presence_text(m->presence));
	if (m->path)
		out_u64(o, m->file_off);
	else
		out_none(o);
	out_end_row(o, m->start);
}

static bool map_matches(const struct target_map *m, const char *name,
			const char *want)
{
	const char *base = m->path ? strrchr(m->path, '/') : NULL;

	return !strcmp(name, want) || (base && !strcmp(base + 1, want));
}

static struct err *dcmd_mappings(struct dcmd_call *call)
{
	const char *want = call->argc > 0 ? call->argv[0].str : NULL;
	struct target *t = session_target(call->s);
	struct map_names mn;

	if (call->argc > 1)
		return err_new(ERR_USAGE, "only one name may be given");
	names_open(call->s, &mn);
	out_begin(call->out, map_cols, sizeof(map_cols) / sizeof(*map_cols),
		  NULL);
	for (size_t i = 0; i < target_nmaps(t); i++) {
		const struct target_map *m = target_map(t, i);
		_free_ char *name = NULL;

		if ((call->flags & DCMD_ADDRSPEC) &&
		    (call->addr < m->start || call->addr >= m->end))
			continue;
		name = map_name(&mn, m);
		if (!want || map_matches(m, name, want))
			map_row(call->out, m, name);
	}
	out_end(call->out);
	names_close(&mn);
	return NULL;
}

/* ---- ::objects ------------------------------------------------------- */

static const struct column object_cols[] = {
	{"base", "BASE", CELL_HEX, 16},      {"limit", "LIMIT", CELL_HEX, 16},
	{"size_bytes", NULL, CELL_BYTES, 0}, {NULL, "SIZE", CELL_HEX, 16},
	{"path", "NAME", CELL_TEXT, 0},      {"state", NULL, CELL_TEXT, 0},
	{"build_id", NULL, CELL_TEXT, 0},
};
static const struct column object_v_cols[] = {
	{"path", "NAME", CELL_TEXT, -44},
	{"state", "STATE", CELL_TEXT, -9},
	{"build_id", "BUILD-ID", CELL_TEXT, 0},
};
static const struct column object_d_cols[] = {
	{"path", "NAME", CELL_TEXT, -44},
	{"debug", "DEBUG INFORMATION", CELL_TEXT, 0},
	{"why", NULL, CELL_TEXT, 0},
};
static const struct opt objects_opts[] = {
	{'d', OPT_FLAG, NULL, "where debug information is: looked for now"},
	{'v', OPT_FLAG, NULL, "state of the file and build-id"},
	{0},
};

static const char *state_text(enum object_state state)
{
	switch (state) {
	case OBJECT_OK:
		return "ok";
	case OBJECT_MISSING:
		return "missing";
	case OBJECT_MISMATCH:
		return "mismatch";
	}
	return NULL;
}

static char *hex_id(const struct object *o)
{
	struct strbuf sb = {0};

	for (size_t i = 0; i < o->build_id_bytes; i++)
		strbuf_printf(&sb, "%02x", o->build_id[i]);
	return sb.s;
}

static void object_row(struct out *o, const struct object *obj, bool verbose)
{
	_free_ char *id = hex_id(obj);

	if (!verbose) {
		out_addr(o, obj->start);
		out_addr(o, obj->end);
		out_u64(o, obj->end - obj->start);
		out_u64(o, obj->end - obj->start);
	}
	out_str(o, obj->path);
	out_str(o, state_text(obj->state));
	out_str(o, id);
	out_end_row(o, obj->start);
}

/* text has the reason in place of the file */
static void debug_row(struct out *o, struct types *types,
		      const struct object *obj)
{
	bool has = types_object_has_dwarf(types, obj);
	const char *why = has ? NULL : obj->debug_why;

	if (!has && !why)
		why = obj->state == OBJECT_OK ? "none" : obj->why;
	out_str(o, obj->path);
	if (out_is_json(o) && !has)
		out_none(o);
	else
		out_str(o, has ? obj->debug_file : why);
	if (why)
		out_str(o, why);
	else
		out_none(o);
	out_end_row(o, obj->start);
}

static struct err *dcmd_objects(struct dcmd_call *call)
{
	struct types *types = session_types(call->s);
	bool verbose = false;
	bool debug = false;
	void *const values[] = {&debug, &verbose};
	size_t first = 0;
	struct err *err = dcmd_options(call, objects_opts, values, &first);

	if (!err && first < call->argc)
		err = err_new(ERR_USAGE, "it takes no arguments");
	if (err)
		return err;
	if (debug)
		out_begin(call->out, object_d_cols, 3, NULL);
	else if (verbose)
		out_begin(call->out, object_v_cols, 3, NULL);
	else
		out_begin(call->out, object_cols, 7, NULL);
	for (size_t i = 0; !err && i < types_nobjects(types); i++) {
		if (debug)
			debug_row(call->out, types, types_object(types, i));
		else
			object_row(call->out, types_object(types, i), verbose);
		err = interrupt_check();
	}
	out_end(call->out);
	return err;
}

/* ---- threads --------------------------------------------------------- */

static struct err *walk_thread(struct session *s, const struct walker *w,
			       bool has_addr, taddr_t addr, walk_fn *fn,
			       void *arg)
{
	struct target *t = session_target(s);
	struct err *err = NULL;

	(void)w;
	(void)has_addr;
	(void)addr;
	for (size_t i = 0; !err && i < target_nthreads(t); i++)
		err = fn(arg, target_thread(t, i)->tid);
	return err;
}

/* the thread an address names, or the current one */
static struct err *find_thread(struct dcmd_call *call,
			       const struct target_thread **ret)
{
	struct target *t = session_target(call->s);

	*ret = session_thread(call->s);
	if (call->flags & DCMD_ADDRSPEC) {
		*ret = NULL;
		for (size_t i = 0; i < target_nthreads(t); i++)
			if (target_thread(t, i)->tid == call->addr)
				*ret = target_thread(t, i);
		if (!*ret)
			return err_new(ERR_NOTFOUND,
				       "invalid thread identifier 0x%" PRIx64
				       " (0t%" PRIu64 "): see ::walk thread",
				       call->addr, call->addr);
	}
	if (!*ret)
		return err_new(ERR_NOSUP, "no process active");
	if (!(*ret)->has_regs && !(*ret)->regs_partial)
		return err_new(ERR_NOSUP,
			       "no register set available for thread 0x%x",
			       (*ret)->tid);
	return NULL;
}

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
	{'v', OPT_FLAG, NULL, "the frame's address before it ($C)"},
	{0},
};

struct stack_print {
	struct dcmd_call *call;
	uint32_t tid;
	bool is_numeric;
	uint64_t nframes;
};

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
	_free_ char *name = NULL;
	_free_ char *text = NULL;

	if (p->is_numeric)
		name = mem_printf("0x%" PRIx64, f->pc);
	else if (f->is_activation)
		name = types_addr_name(types, f->pc);
	else
		name = session_frame_name(p->call->s, f->pc);
	text = mem_printf("%s()", name);
	out_u64(o, p->tid);
	out_u64(o, p->nframes++);
	out_addr(o, f->pc);
	out_addr(o, f->cfa);
	out_str(o, text);
	if (out_is_json(o))
		put_source(o, types, f->is_activation ? f->pc : f->pc - 1);
	out_end_row(o, f->pc);
	return interrupt_check();
}

static struct err *print_stack(struct dcmd_call *call, bool verbose,
			       bool numeric)
{
	struct stack_print p = {.call = call, .is_numeric = numeric};
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
	out_begin(call->out, verbose ? frame_v_cols : frame_cols, FRAME_COLS,
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
	bool numeric = false;
	bool verbose = false;
	void *const values[] = {&numeric, &verbose};
	size_t first = 0;
	struct err *err = dcmd_options(call, stack_opts, values, &first);

	if (!err)
		err = check_count(call, first);
	if (err)
		return err;
	return print_stack(call, verbose, numeric);
}

static struct err *dcmd_stack_frames(struct dcmd_call *call)
{
	struct err *err = check_count(call, 0);

	return err ? err : print_stack(call, true, false);
}

/* ---- ::regs ---------------------------------------------------------- */

static const struct column reg_cols[] = {
	{"tid", NULL, CELL_COUNT, 0},
	{"register", NULL, CELL_TEXT, 0},
	{"value", NULL, CELL_HEX, 0},
};

#define REG(name)                                              \
	{                                                      \
#name, offsetof(struct user_regs_struct, name) \
	}
static const struct reg {
	const char *name;
	size_t offset;
} reg_table[] = {
	REG(rax),     REG(rbx),      REG(rcx),    REG(rdx), REG(rsi),
	REG(rdi),     REG(r8),       REG(r9),     REG(r10), REG(r11),
	REG(r12),     REG(r13),      REG(r14),    REG(r15), REG(rip),
	REG(rbp),     REG(rsp),      REG(eflags), REG(cs),  REG(ds),
	REG(es),      REG(fs),       REG(gs),     REG(ss),  REG(fs_base),
	REG(gs_base), REG(orig_rax),
};

static uint64_t reg_value(const struct target_thread *th, size_t i)
{
	uint64_t v = 0;

	memcpy(&v, (const char *)&th->regs + reg_table[i].offset, sizeof(v));
	return v;
}

static void regs_json(struct dcmd_call *call, const struct target_thread *th)
{
	size_t n = sizeof(reg_table) / sizeof(*reg_table);
	struct out *o = call->out;

	out_begin(o, reg_cols, 3, "");
	for (size_t i = 0; i < n; i++) {
		const char *name = reg_table[i].name;

		if (th->regs_partial && strcmp(name, "rip") &&
		    strcmp(name, "rsp"))
			continue;
		out_u64(o, th->tid);
		out_str(o, name);
		out_u64(o, reg_value(th, i));
		out_end_row(o, reg_value(th, i));
	}
	out_end(o);
}

static void flags_text(struct out *o, uint64_t flags)
{
	static const struct {
		const char *off, *on;
		unsigned bit;
	} names[] = {
		{"of", "OF", 11}, {"df", "DF", 10}, {"if", "IF", 9},
		{"tf", "TF", 8},  {"sf", "SF", 7},  {"zf", "ZF", 6},
		{"af", "AF", 4},  {"pf", "PF", 2},  {"cf", "CF", 0},
	};

	out_text(o, "%%rflags = 0x%08" PRIx64 "\n", flags);
	out_text(o, "  id=%d vip=%d vif=%d ac=%d vm=%d rf=%d nt=%d iopl=0x%x\n",
		 (int)(flags >> 21 & 1), (int)(flags >> 20 & 1),
		 (int)(flags >> 19 & 1), (int)(flags >> 18 & 1),
		 (int)(flags >> 17 & 1), (int)(flags >> 16 & 1),
		 (int)(flags >> 14 & 1), (unsigned)(flags >> 12 & 3));
	out_text(o, "  status=<");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		out_text(o, "%s%s", i ? "," : "",
			 flags >> names[i].bit & 1 ? names[i].on
						   : names[i].off);
	out_text(o, ">\n");
}

static void regs_text(struct dcmd_call *call, const struct target_thread *th)
{
	const struct user_regs_struct *r = &th->regs;
	struct out *o = call->out;
	_free_ char *at = types_addr_name(session_types(call->s), r->rip);

	for (size_t i = 0; i < 6; i++)
		out_text(o,
			 "%%%s = 0x%016" PRIx64 "\t%%%-3s = 0x%016" PRIx64 "\n",
			 reg_table[i].name, reg_value(th, i),
			 reg_table[i + 6].name, reg_value(th, i + 6));
	out_text(o, "\t\t\t\t%%r14 = 0x%016llx\n\t\t\t\t%%r15 = 0x%016llx\n",
		 r->r14, r->r15);
	out_text(o, "\n%%cs = 0x%04llx\t%%fs = 0x%04llx\t%%gs = 0x%04llx\n",
		 r->cs, r->fs, r->gs);
	out_text(o, "%%ds = 0x%04llx\t%%es = 0x%04llx\t%%ss = 0x%04llx\n",
		 r->ds, r->es, r->ss);
	out_text(o, "\n%%rip = 0x%016llx %s\n", r->rip, at);
	out_text(o, "%%rbp = 0x%016llx\n%%rsp = 0x%016llx\n\n", r->rbp, r->rsp);
	flags_text(o, r->eflags);
	out_text(o, "\n%%gsbase = 0x%llx\n%%fsbase = 0x%llx\n", r->gs_base,
		 r->fs_base);
}

static struct err *dcmd_regs(struct dcmd_call *call)
{
	const struct target_thread *th = NULL;
	struct err *err = no_args(call);

	if (!err)
		err = find_thread(call, &th);
	if (err)
		return err;
	if (out_is_json(call->out) || out_is_pipe(call->out))
		regs_json(call, th);
	else if (th->regs_partial)
		out_text(call->out,
			 "%%rip = 0x%016llx\n%%rsp = 0x%016llx\n"
			 "(the other registers were not recorded)\n",
			 th->regs.rip, th->regs.rsp);
	else
		regs_text(call, th);
	return NULL;
}

static struct err *dcmd_quit(struct dcmd_call *call)
{
	session_quit(call->s);
	return NULL;
}

static const struct dcmd dcmds[] = {
	{.name = "status",
	 .usage = "",
	 .brief = "what the dump is of, and how good it is",
	 .run = dcmd_status},
	{.name = "mappings",
	 .addr = ADDR_OPTIONAL,
	 .usage = "[name]",
	 .brief = "the address space ($m)",
	 .run = dcmd_mappings},
	{.name = "$m",
	 .addr = ADDR_OPTIONAL,
	 .usage = "[name]",
	 .brief = "the address space",
	 .run = dcmd_mappings},
	{.name = "objects",
	 .opts = objects_opts,
	 .usage = "",
	 .brief = "load objects",
	 .run = dcmd_objects},
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
	{.name = "regs",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .brief = "registers of a thread ($r)",
	 .run = dcmd_regs},
	{.name = "$r",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .brief = "registers of a thread",
	 .run = dcmd_regs},
	{.name = "quit",
	 .usage = "",
	 .brief = "end the debugger ($q)",
	 .run = dcmd_quit},
	{.name = "$q",
	 .usage = "",
	 .brief = "end the debugger",
	 .run = dcmd_quit},
	{.name = "$Q",
	 .usage = "",
	 .brief = "end the debugger",
	 .run = dcmd_quit},
	{.name = "$%",
	 .usage = "",
	 .brief = "end the debugger",
	 .run = dcmd_quit},
	{0},
};

static const struct walker walkers[] = {
	{.name = "thread",
	 .brief = "ids of the threads, the one that crashed "
		  "first",
	 .run = walk_thread},
	{0},
};

const struct group group_session = {
	.name = "session",
	.dcmds = dcmds,
	.walkers = walkers,
};
