/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the dump is of: status, maps, objects, threads, stacks, registers. */
#define _GNU_SOURCE /* sigabbrev_np */
#include "audited.h"

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

	/* gdb's gcore stops the process, which ends none */
	if (info->is_live)
		return mem_strdup("stopped by pmdb while a command works");
	if (info->signo == 0 || info->signo == SIGSTOP)
		return mem_strdup(
			info->is_outside
				? "process snapshot written by pmdb snap"
			: info->is_snapshot
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
	/* abort() is the process itself */
	if (info->sender_pid != 0 && info->sender_pid != info->pid) {
		strbuf_printf(&sb, ", pid=%u uid=%u", info->sender_pid,
			      info->sender_uid);
		if (info->si_code != 0)
			strbuf_printf(&sb, " code=%d", info->si_code);
	}
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

/* frees by calls that do not belong to the ones that allocated */
static uint64_t mismatches(struct heap *heap)
{
	uint64_t n = 0;

	if (heap && heap->ops->mismatches)
		err_free(heap->ops->mismatches(heap, &n, NULL, NULL));
	return n;
}

/* what to type next when something is damaged; NULL: nothing is known to be */
static const char *next_command(const struct heap_health *h)
{
	return h->has_panic || h->nfindings > 0 ? "::kmem_verify -v" : NULL;
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
	if (options[0]) {
		_free_ char *plain = out_plain(options);

		out_text(o, "heap options: %s\n", plain);
	}
	if (h->nthreads_lost > 0)
		out_text(o, "threads without registers: %u\n",
			 h->nthreads_lost);
	if (h->nfindings > 0)
		out_text(o, "heap damage: %" PRIu64 " findings; first: %s\n",
			 h->nfindings,
			 h->first_finding ? h->first_finding : "-");
	if (mismatches(heap) > 0)
		out_text(o,
			 "%" PRIu64 " mismatched free%s (::kmalog mismatch)\n",
			 mismatches(heap), mismatches(heap) == 1 ? "" : "s");
	if (h->has_panic || h->panic)
		out_text(o, "libkmem panic message: %s\n",
			 h->panic ? h->panic : "");
	if (h->has_panic) {
		struct heap_stack stack;

		heap_stack_of(heap, h->panic_of.stack, &stack);
		out_text(o, "panic thread: 0x%x, which called\n",
			 h->panic_of.tid);
		print_frames(call, &stack);
	}
	if (next_command(h))
		out_text(o, "next: %s\n", next_command(h));
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
	{"heap_panic_thread", NULL, CELL_COUNT, 0},
	{"heap_panic_buffer", NULL, CELL_ADDR, 0},
	{"heap_panic_stack", NULL, CELL_STACK, 0},
	{"next", NULL, CELL_TEXT, 0},
	{"heap_mismatches", NULL, CELL_COUNT, 0},
};

static void panic_cells(struct out *o, struct heap *heap)
{
	struct heap_stack stack = {0};

	if (!heap || !heap->health.has_panic) {
		out_none(o);
		out_none(o);
	} else {
		out_u64(o, heap->health.panic_of.tid);
		out_addr(o, heap->health.panic_of.buf);
		heap_stack_of(heap, heap->health.panic_of.stack, &stack);
	}
	out_stack(o, stack.pc, stack.depth);
	text_or_none(o, heap ? next_command(&heap->health) : NULL);
}

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
	panic_cells(o, heap);
	out_u64(o, mismatches(heap));
	out_end_row(o, info->pid);
	out_end(o);
}

static void status_text(struct dcmd_call *call, const char *end)
{
	struct target *t = session_target(call->s);
	const struct target_info *info = target_info(t);
	const struct object *exe = main_object(session_types(call->s));
	struct out *o = call->out;
	_free_ char *fname =
		out_plain(info->fname[0] ? info->fname : "an unknown program");
	_free_ char *psargs = out_plain(info->psargs);
	_free_ char *path = out_plain(exe ? exe->path : "");

	if (info->is_live)
		out_text(o, "debugging PID %u of %s (64-bit)\n", info->pid,
			 fname);
	else
		out_text(o, "debugging core file of %s (64-bit)\n", fname);
	if (exe)
		out_text(o, "file: %s%s\n", path,
			 exe->state == OBJECT_OK ? ""
			 : exe->state == OBJECT_MISMATCH
				 ? " (of another build: "
				   "not used)"
				 : " (not found)");
	if (psargs[0])
		out_text(o, "initial argv: %s\n", psargs);
	out_text(o, "threading model: native threads\n");
	out_text(o, "status: %s\n", end);
	if (info->snap_reason && !info->is_live)
		out_text(o, "snapshot reason: %s\n", info->snap_reason);
	if (info->snap_wall_ns && !info->is_live) {
		_free_ char *when = time_text(info->snap_wall_ns);

		out_text(o, "snapshot time: %s\n", when);
	}
	if (!info->is_live || info->incomplete)
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

const struct group group_session = {
	.name = "session",
	.dcmds = dcmds,
};
