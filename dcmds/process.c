/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The process and its threads beside memory: variables of threads, errno, the
 * environment, what the dump says of it in notes. */
#define _GNU_SOURCE /* sigabbrev_np, strerrorname_np */
#include "thread.h"

#include <elf.h>
#include <signal.h>
#include <sys/procfs.h>

/* ---- $l, $L, $? ------------------------------------------------------ */

static struct err *dcmd_lwp(struct dcmd_call *call)
{
	const struct target_thread *th = session_thread(call->s);

	if (!th)
		return err_new(ERR_NOSUP, "no process active");
	if (out_is_pipe(call->out) || out_is_json(call->out))
		out_value(call->out, th->tid);
	else
		out_text(call->out, "%u\n", th->tid);
	return NULL;
}

/* "lwpids 1, 2 and 3 in core of process 123." */
static struct err *dcmd_lwps(struct dcmd_call *call)
{
	struct target *t = session_target(call->s);
	size_t n = target_nthreads(t);
	struct strbuf sb = {0};

	if (n == 0)
		return err_new(ERR_NOSUP, "no process active");
	for (size_t i = 0; i < n; i++)
		strbuf_printf(&sb, "%s%u",
			      i == 0       ? ""
			      : i + 1 == n ? " and "
					   : ", ",
			      target_thread(t, i)->tid);
	if (n == 1)
		out_text(call->out,
			 "lwpid %s is the only lwp in core of process %u.\n",
			 sb.s, target_info(t)->pid);
	else
		out_text(call->out, "lwpids %s in core of process %u.\n", sb.s,
			 target_info(t)->pid);
	strbuf_free(&sb);
	return NULL;
}

static struct err *dcmd_summary(struct dcmd_call *call)
{
	const struct target_info *info = target_info(session_target(call->s));
	const char *name = info->signo ? sigabbrev_np(info->signo) : NULL;

	if (target_nthreads(session_target(call->s)) == 0) {
		out_text(call->out, "no process\n");
		return NULL;
	}
	out_text(call->out, "process id = %u\n", info->pid);
	if (name)
		out_text(call->out, "SIG%s (%s)\n\n", name,
			 sigdescr_np(info->signo));
	return session_run(call->s, session_thread(call->s)->tid, "::regs");
}

/* ---- ::tls, ::errno -------------------------------------------------- */

static struct err *no_variable(const struct target_thread *th, const char *name)
{
	return err_new(ERR_NOTFOUND,
		       th->regs_partial
			       ? "%s: where thread 0x%x has its variables was "
				 "not recorded"
			       : "%s: thread 0x%x has no such variable",
		       name, th->tid);
}

static struct err *dcmd_tls(struct dcmd_call *call)
{
	struct types *types = session_types(call->s);
	const struct target_thread *th = NULL;
	const struct object *scope = NULL;
	const char *name = NULL;
	const char *mark = NULL;
	struct symbol sym;
	struct err *err = NULL;

	if (call->argc != 1)
		return err_new(ERR_USAGE, "a symbol is needed");
	err = find_thread(call, &th);
	if (err)
		return err;
	name = call->argv[0].str;
	mark = strrchr(name, '`');
	if (mark) {
		_free_ char *object = mem_strndup(name, (size_t)(mark - name));

		scope = types_object_named(types, object);
		if (!scope)
			return err_new(ERR_NOTFOUND, "no such object: %s",
				       object);
		name = mark + 1;
	}
	if (!types_tls_symbol(types, scope, th, name, &sym))
		return no_variable(th, name);
	out_value(call->out, sym.value);
	return NULL;
}

static const struct column errno_cols[] = {
	{"thread", "THREAD", CELL_HEX, -16},
	{"errno", "ERRNO", CELL_COUNT, 5},
	{"name", "NAME", CELL_TEXT, -16},
	{"description", "DESCRIPTION", CELL_TEXT, 0},
};

static struct err *put_errno(struct dcmd_call *call,
			     const struct target_thread *th)
{
	struct types *types = session_types(call->s);
	const struct object *libc = types_object_named(types, "libc");
	const char *name = NULL;
	struct symbol sym;
	int value = 0;
	struct err *err = NULL;

	if (!libc || !types_tls_symbol(types, libc, th, "errno", &sym))
		return no_variable(th, "errno");
	err = target_read(session_target(call->s), sym.value, &value,
			  sizeof(value));
	if (err)
		return err;
	name = value ? strerrorname_np(value) : NULL;
	out_u64(call->out, th->tid);
	out_u64(call->out, (uint64_t)(unsigned)value);
	out_str(call->out, name);
	out_str(call->out, name ? strerrordesc_np(value) : NULL);
	out_end_row(call->out, (taddr_t)value);
	return NULL;
}

static struct err *dcmd_errno(struct dcmd_call *call)
{
	struct target *t = session_target(call->s);
	const struct target_thread *th = NULL;
	struct err *err = NULL;

	if (call->argc > 0)
		return err_new(ERR_USAGE, "it takes no arguments");
	if (call->flags & DCMD_ADDRSPEC)
		err = find_thread(call, &th);
	if (err)
		return err;
	out_begin(call->out, errno_cols, 4, NULL);
	for (size_t i = 0; i < target_nthreads(t) && !err; i++)
		if (!th || th == target_thread(t, i))
			err = put_errno(call, target_thread(t, i));
	out_end(call->out);
	return err;
}

/* ---- ::getenv -------------------------------------------------------- */

static const struct opt getenv_opts[] = {
	{'t', OPT_FLAG, NULL, "as it is now, not as the program began"},
	{0},
};
static const struct column getenv_cols[] = {
	{"variable", "", CELL_TEXT, 0},
};

/* the vector the program was started with: behind that of its arguments */
static bool initial_environment(struct session *s, taddr_t *ret)
{
	struct target *t = session_target(s);
	struct symbol sym;
	uint64_t argv = 0;
	uint64_t arg = 0;
	struct err *err = NULL;

	if (!types_symbol_named(session_types(s), NULL, "_dl_argv", &sym))
		return false;
	err = target_read_u64(t, sym.value, &argv);
	/* NULL ends the arguments; there are not so many */
	for (unsigned i = 0; !err && i < 1u << 20; i++) {
		err = target_read_u64(t, argv, &arg);
		argv += 8;
		if (!err && arg == 0) {
			*ret = argv;
			return true;
		}
	}
	err_free(err);
	return false;
}

static bool current_environment(struct session *s, taddr_t *ret)
{
	struct symbol sym;
	struct err *err = NULL;

	if (!types_symbol_named(session_types(s), NULL, "__environ", &sym) &&
	    !types_symbol_named(session_types(s), NULL, "environ", &sym))
		return false;
	err = target_read_u64(session_target(s), sym.value, ret);
	err_free(err); /* then it is not known */
	return !err && *ret;
}

static struct err *put_environment(struct dcmd_call *call, taddr_t at,
				   const char *want)
{
	struct target *t = session_target(call->s);
	bool has_found = false;
	struct err *err = NULL;

	for (unsigned i = 0; !err && i < 1u << 20; i++, at += 8) {
		_free_ char *text = NULL;
		uint64_t var = 0;

		err = target_read_u64(t, at, &var);
		if (err || var == 0)
			break;
		err = target_read_str(t, var, 1u << 20, &text);
		if (err || (want && (strncmp(text, want, strlen(want)) != 0 ||
				     text[strlen(want)] != '=')))
			continue;
		out_str(call->out, text);
		out_end_row(call->out, var);
		has_found = true;
	}
	if (!err && want && !has_found)
		err = err_new(ERR_NOTFOUND, "%s is not in the environment",
			      want);
	return err;
}

static struct err *dcmd_getenv(struct dcmd_call *call)
{
	bool current = false;
	void *const values[] = {&current};
	taddr_t at = 0;
	size_t first = 0;
	struct err *err = dcmd_options(call, getenv_opts, values, &first);

	if (err)
		return err;
	if (call->argc > first + 1)
		return err_new(ERR_USAGE, "only one name may be given");
	if ((current || !initial_environment(call->s, &at)) &&
	    !current_environment(call->s, &at))
		return err_new(ERR_NOTFOUND,
			       "where the environment is is not known: there "
			       "are no symbols of the C library");
	out_begin(call->out, getenv_cols, 1, "");
	err = put_environment(
		call, at, call->argc > first ? call->argv[first].str : NULL);
	out_end(call->out);
	return err;
}

/* ---- ::psinfo -------------------------------------------------------- */

static const struct elf_prpsinfo *prpsinfo(struct target *t)
{
	const struct target_note *note =
		target_find_note(t, "CORE", NT_PRPSINFO);

	return note && note->desc_bytes >= sizeof(struct elf_prpsinfo)
		       ? note->desc
		       : NULL;
}

static const struct opt psinfo_opts[] = {
	{'v', OPT_FLAG, NULL, "all there is"},
	{0},
};
static const struct column psinfo_cols[] = {
	{"pid", "PID", CELL_COUNT, 7},   {"ppid", "PPID", CELL_COUNT, 7},
	{"pgrp", "PGRP", CELL_COUNT, 7}, {"sid", "SID", CELL_COUNT, 7},
	{"uid", "UID", CELL_COUNT, 7},   {"gid", "GID", CELL_COUNT, 7},
	{"state", "S", CELL_TEXT, -1},   {"args", "ARGS", CELL_TEXT, 0},
};

static struct err *dcmd_psinfo(struct dcmd_call *call)
{
	struct target *t = session_target(call->s);
	const struct elf_prpsinfo *from = prpsinfo(t);
	struct elf_prpsinfo ps;
	bool verbose = false;
	void *const values[] = {&verbose};
	char state[2] = {0};
	size_t first = 0;
	struct err *err = dcmd_options(call, psinfo_opts, values, &first);

	if (!err && first < call->argc)
		err = err_new(ERR_USAGE, "it takes no arguments");
	if (!err && !from)
		err = err_new(ERR_NOTFOUND, "the dump does not say");
	if (err)
		return err;
	memcpy(&ps, from, sizeof(ps)); /* notes are not aligned */
	state[0] = ps.pr_sname;
	if (verbose && !out_is_json(call->out)) {
		out_text(call->out,
			 "pid %d\nppid %d\npgrp %d\nsid %d\nuid %u\ngid %u\n"
			 "state %s\nnice %d\nflags 0x%lx\nname %.16s\n"
			 "args %.80s\n",
			 ps.pr_pid, ps.pr_ppid, ps.pr_pgrp, ps.pr_sid,
			 ps.pr_uid, ps.pr_gid, state, ps.pr_nice, ps.pr_flag,
			 ps.pr_fname, ps.pr_psargs);
		return NULL;
	}
	out_begin(call->out, psinfo_cols, 8, NULL);
	out_u64(call->out, (uint64_t)ps.pr_pid);
	out_u64(call->out, (uint64_t)ps.pr_ppid);
	out_u64(call->out, (uint64_t)ps.pr_pgrp);
	out_u64(call->out, (uint64_t)ps.pr_sid);
	out_u64(call->out, ps.pr_uid);
	out_u64(call->out, ps.pr_gid);
	out_str(call->out, state);
	out_str(call->out, target_info(t)->psargs);
	out_end_row(call->out, (taddr_t)ps.pr_pid);
	out_end(call->out);
	return NULL;
}

/* ---- ::xdata --------------------------------------------------------- */

static const struct {
	const char *name, *owner, *brief;
	uint32_t type;
} xdata[] = {
	{"auxv", "CORE", "auxiliary vector", NT_AUXV},
	{"psinfo", "CORE", "psinfo structure", NT_PRPSINFO},
	{"pstatus", "CORE", "status of the first thread", NT_PRSTATUS},
	{"fpregset", "CORE", "floating point registers of it", NT_FPREGSET},
	{"xstate", "LINUX", "extended registers of it", NT_X86_XSTATE},
	{"siginfo", "CORE", "what the signal said", NT_SIGINFO},
	{"files", "CORE", "files that are mapped", NT_FILE},
};
static const struct column xdata_cols[] = {
	{"name", NULL, CELL_TEXT, 0},
	{"description", NULL, CELL_TEXT, 0},
	{"size_bytes", NULL, CELL_BYTES, 0},
};

static struct err *dcmd_xdata(struct dcmd_call *call)
{
	struct out *o = call->out;

	if (call->argc > 0)
		return err_new(ERR_USAGE, "it takes no arguments");
	out_begin(o, xdata_cols, 3, "");
	for (size_t i = 0; i < sizeof(xdata) / sizeof(*xdata); i++) {
		const struct target_note *note = target_find_note(
			session_target(call->s), xdata[i].owner, xdata[i].type);

		if (!note)
			continue;
		if (!out_is_json(o)) {
			out_text(o, "%-24s - %s (%zu bytes)\n", xdata[i].name,
				 xdata[i].brief, note->desc_bytes);
			continue;
		}
		out_str(o, xdata[i].name);
		out_str(o, xdata[i].brief);
		out_u64(o, note->desc_bytes);
		out_end_row(o, 0);
	}
	out_end(o);
	return NULL;
}

static const struct dcmd dcmds[] = {
	{.name = "$l",
	 .usage = "",
	 .brief = "id of the current thread",
	 .run = dcmd_lwp},
	{.name = "$L",
	 .usage = "",
	 .brief = "ids of all threads",
	 .run = dcmd_lwps},
	{.name = "$?",
	 .usage = "",
	 .brief = "process, signal, registers",
	 .run = dcmd_summary},
	{.name = "tls",
	 .addr = ADDR_REQUIRED,
	 .usage = "symbol",
	 .brief = "where a thread has a variable of threads",
	 .run = dcmd_tls},
	{.name = "errno",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .brief = "errno of each thread",
	 .run = dcmd_errno},
	{.name = "getenv",
	 .opts = getenv_opts,
	 .usage = "[name]",
	 .brief = "environment of the program",
	 .run = dcmd_getenv},
	{.name = "psinfo",
	 .opts = psinfo_opts,
	 .usage = "",
	 .brief = "what the kernel said of the process",
	 .run = dcmd_psinfo},
	{.name = "xdata",
	 .usage = "",
	 .brief = "notes of the dump",
	 .run = dcmd_xdata},
	{0},
};

const struct group group_process = {.name = "session", .dcmds = dcmds};
