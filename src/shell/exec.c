/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Running commands.
 *
 *	a | b | c      a runs, its values are collected; b runs once for each of
 *	               them with dot = the value, its values are collected; ...
 *
 * What travels are 64-bit numbers.  A stage that prints text into a pipe has
 * its lines read back as expressions, one value each.
 *
 * I1  s->out, s->loop and the headings seen are restored by whoever changed
 *     them, also on error: a nested command leaves its caller's as they were.
 * I2  An error of one call in a loop is printed and counted, and the loop goes
 *     on; USAGE, STOP and a stopped loop end the pipeline.
 *     With --fail-fast the first error that is printed ends the session.
 * I3  Nesting (::eval in ::eval) is at most SESSION_DEPTH_MAX.
 */
#include "shell/shell_impl.h"

static void print_error(struct session *s, const char *msg)
{
	_free_ char *placed = NULL;

	if (s->script)
		placed =
			mem_printf("%s:%u: %s", s->script, s->script_line, msg);
	out_error(s->out, placed ? placed : msg);
}

void exec_report(struct session *s, struct err *err)
{
	if (!err)
		return;
	/* a reader that went away is no failure */
	if (!(err->code == ERR_STOP && s->base_out.is_closed)) {
		print_error(s, err->msg);
		s->nfailed++;
		s->is_quit |= s->is_fail_fast;
	}
	err_free(err);
}

/* ---- values on their way --------------------------------------------- */

struct collector {
	struct session *s;
	struct pipeline *pipeline;
	struct elems *to;
};

static void collect(void *arg, taddr_t value)
{
	struct collector *c = arg;
	struct elem e = {value, c->to->binds.n, c->pipeline->bound.n};

	for (size_t i = 0; i < e.nbinds; i++) {
		uint64_t v = 0;

		(void)vars_get(c->s, c->pipeline->bound.v[i], &v);
		VEC_PUSH(&c->to->binds, v);
	}
	VEC_PUSH(&c->to->list, e);
}

static void elems_free(struct elems *e)
{
	VEC_FREE(&e->list);
	VEC_FREE(&e->binds);
}

static void load_elem(struct session *s, const struct loop *l)
{
	const struct elem *e = &l->in->list.v[l->i];

	s->dot = e->value;
	for (size_t i = 0; i < e->nbinds; i++)
		/* it could be set once, so it can be set again */
		err_free(session_set_var(s, l->pipeline->bound.v[i],
					 l->in->binds.v[e->bind + i]));
}

bool session_next(struct dcmd_call *call)
{
	struct loop *l = call->s->loop;

	if (!l || !l->in || l->i + 1 >= l->in->list.n)
		return false;
	l->i++;
	load_elem(call->s, l);
	call->addr = call->s->dot;
	return true;
}

void session_stop_loop(struct session *s)
{
	if (s->loop)
		s->loop->is_stopped = true;
}

/* a line of text in a pipe: an expression */
static struct err *text_value(struct session *s, struct lex *lx,
			      struct out *out)
{
	struct command *cmd = NULL;
	uint64_t value = 0;
	struct err *err = NULL;

	for (;;) {
		err = parse_command(lx, s->radix, &cmd);
		if (!err && !cmd)
			return NULL;
		if (!err && (!cmd->addr || cmd->stages.n > 0 || cmd->shell))
			err = err_new(ERR_USAGE, "syntax error");
		if (!err)
			err = eval_expr(s, cmd->addr, &value);
		command_free(cmd);
		if (err)
			break;
		out->value_fn(out->value_arg, value);
	}
	if (err_is(err, ERR_USAGE)) {
		_free_ char *near = lex_near(lx);

		err_free(err);
		err = err_new(ERR_USAGE,
			      "syntax error: the pipe holds text that is no "
			      "expression%s%s%s",
			      near[0] ? ", near \"" : "", near,
			      near[0] ? "\"" : "");
	}
	return err;
}

static struct err *pipe_text(struct session *s, struct out *out)
{
	struct strbuf text = out->text;
	struct lex lx = {.text = strbuf_str(&text)};
	struct err *err = NULL;

	if (out->kind != OUT_PIPE || text.n == 0)
		return NULL;
	out->text = (struct strbuf){0};
	err = text_value(s, &lx, out);
	if (err)
		session_stop_loop(s);
	strbuf_free(&text);
	return err;
}

/* ---- one stage ------------------------------------------------------- */

static struct err *assign(struct session *s, const struct stage *st)
{
	uint64_t value = s->dot;

	if (st->size_bytes > 0 && st->size_bytes < 8)
		value &= (1ull << (st->size_bytes * 8)) - 1;
	return session_set_var(s, st->name, value);
}

static struct err *call_stage(struct session *s, const struct stage *st,
			      unsigned flags, uint64_t count)
{
	struct err *err = NULL;

	if (out_is_pipe(s->out))
		flags |= DCMD_PIPE_OUT;
	s->out->is_loop = flags & DCMD_LOOP;
	switch (st->kind) {
	case STAGE_DCMD:
		err = dcmd_call(s, dcmd_find(s, st->name), &st->args, flags,
				s->dot, count);
		break;
	case STAGE_FORMAT:
		err = fmt_run(s, st, flags);
		break;
	case STAGE_ASSIGN:
		err = assign(s, st);
		break;
	case STAGE_SHELL:
		break;
	}
	if (!err)
		err = pipe_text(s, s->out);
	if (interrupt_flag) { /* what failed since failed of that */
		err_free(err);
		err = interrupt_check();
	}
	return err;
}

/* I2 */
static bool goes_on(const struct loop *l, const struct err *err)
{
	return !l->is_stopped && !err_is(err, ERR_STOP) &&
	       !err_is(err, ERR_USAGE);
}

/* the first stage: once, or count times with dot moving on */
static struct err *run_first(struct session *s, const struct stage *st,
			     bool has_addr, uint64_t count)
{
	unsigned flags = has_addr ? DCMD_ADDRSPEC : 0;
	struct err *err = NULL;

	if (count != 1)
		flags |= DCMD_LOOP | DCMD_LOOPFIRST;
	if (st->kind != STAGE_FORMAT)
		s->increment = 0;
	for (uint64_t i = 0; i < count; i++) {
		err = call_stage(s, st, flags, count);
		if (err || s->loop->is_stopped || s->is_quit)
			break;
		flags &= ~(unsigned)DCMD_LOOPFIRST;
		if (i + 1 < count)
			s->dot += s->increment;
	}
	return err;
}

static struct err *run_each(struct session *s, const struct stage *st)
{
	struct loop *l = s->loop;
	size_t n = l->in->list.n;
	unsigned first = DCMD_LOOPFIRST;

	for (; l->i < n && !l->is_stopped && !s->is_quit; l->i++) {
		struct err *err = NULL;

		load_elem(s, l);
		err = call_stage(s, st,
				 DCMD_ADDRSPEC | DCMD_PIPE | DCMD_LOOP | first,
				 1);
		first = 0;
		if (err && (n == 1 || !goes_on(l, err)))
			return err;
		exec_report(s, err);
	}
	return NULL;
}

/* ---- pipelines ------------------------------------------------------- */

/* a pipeline that runs */
struct pipe_run {
	struct pipeline pipeline;
	struct elems in; /* of the stage that runs */
	bool has_in;
	bool has_addr; /* of the first stage */
	uint64_t count;
};

/* runs one stage with its output going to out; *ret_goes_on: an error is no
 * reason to end the pipeline */
static struct err *run_stage(struct session *s, const struct stage *st,
			     struct pipe_run *run, struct out *out,
			     bool *ret_goes_on)
{
	struct loop loop = {.pipeline = &run->pipeline,
			    .in = run->has_in ? &run->in : NULL};
	struct loop *saved_loop = s->loop;
	struct out *saved_out = s->out;
	struct out_seen saved_seen = out->seen;
	bool saved_is_loop = out->is_loop;
	struct err *err = NULL;

	s->loop = &loop;
	s->out = out;
	out->seen.n = 0;
	if (run->has_in)
		err = run_each(s, st);
	else
		err = run_first(s, st, run->has_addr, run->count);
	*ret_goes_on = goes_on(&loop, err);
	out->seen = saved_seen; /* I1 */
	out->is_loop = saved_is_loop;
	s->out = saved_out;
	s->loop = saved_loop;
	return err;
}

/* a stage (NULL: none) whose text goes through a shell command; the command's
 * lines are values.  Files between them: no one waits for the other. */
static struct err *run_filter(struct session *s, const struct stage *st,
			      const char *command, struct pipe_run *run,
			      struct out *out)
{
	FILE *from = tmpfile();
	FILE *to = tmpfile();
	struct err *err = NULL;
	char buf[4096];
	size_t n = 0;
	bool goes = false;

	if (!from || !to)
		err = err_new(ERR_IO, "cannot make a temporary file");
	if (!err && st) {
		struct out text;

		out_init(&text, OUT_TEXT, from, s->types);
		text.radix = (unsigned)s->radix;
		err = run_stage(s, st, run, &text, &goes);
		out_finish(&text);
		out_fini(&text);
		rewind(from);
	}
	if (!err)
		err = shell_run(command, fileno(from), fileno(to));
	if (to)
		rewind(to);
	while (!err && (n = fread(buf, 1, sizeof(buf), to)) > 0)
		strbuf_add(&out->text, buf, n);
	if (!err)
		err = pipe_text(s, out);
	if (from)
		(void)fclose(from); /* temporary */
	if (to)
		(void)fclose(to);
	return err;
}

/* the stage at i and, if a filter follows, that; returns how many it took */
static size_t run_step(struct session *s, const struct stages *st, size_t i,
		       struct pipe_run *run, struct err **ret_err)
{
	const struct stage *a = &st->v[i];
	const struct stage *b = i + 1 < st->n ? &st->v[i + 1] : NULL;
	struct elems next = {0};
	struct collector c = {s, &run->pipeline, &next};
	struct out pipe;
	bool goes = false;
	size_t used = 1;

	out_init(&pipe, OUT_PIPE, NULL, s->types);
	pipe.value_fn = collect;
	pipe.value_arg = &c;
	if (a->kind == STAGE_SHELL) {
		*ret_err = run_filter(s, NULL, a->name, run, &pipe);
	} else if (b && b->kind == STAGE_SHELL) {
		*ret_err = run_filter(s, a, b->name, run, &pipe);
		used = 2;
	} else {
		*ret_err = run_stage(s, a, run, b ? &pipe : s->out, &goes);
	}
	/* what was found before an error still goes on */
	if (*ret_err && goes && next.list.n > 0) {
		exec_report(s, *ret_err);
		*ret_err = NULL;
	}
	out_fini(&pipe);
	elems_free(&run->in);
	run->in = next;
	run->has_in = true;
	return used;
}

static struct err *run_stages(struct session *s, const struct stages *st,
			      bool has_addr, uint64_t count)
{
	struct pipe_run run = {.has_addr = has_addr, .count = count};
	struct err *err = NULL;

	for (size_t i = 0; i < st->n && !err && !s->is_quit;) {
		i += run_step(s, st, i, &run, &err);
		if (run.in.list.n == 0)
			break;
	}
	elems_free(&run.in);
	for (size_t i = 0; i < run.pipeline.bound.n; i++)
		mem_free(run.pipeline.bound.v[i]);
	VEC_FREE(&run.pipeline.bound);
	return err;
}

/* ---- "!" at the end of a command ------------------------------------- */

static struct err *read_all(FILE *fp, struct strbuf *sb)
{
	char buf[4096];
	size_t n = 0;

	rewind(fp);
	while ((n = fread(buf, 1, sizeof(buf), fp)) > 0)
		strbuf_add(sb, buf, n);
	if (ferror(fp))
		return err_new(ERR_IO, "cannot read what the command wrote");
	return NULL;
}

/* the stages' output goes to the command as it comes */
static struct err *run_piped(struct session *s, const struct command *cmd,
			     bool has_addr, uint64_t count, int to)
{
	struct out *saved = s->out;
	struct shell_child child;
	struct out out;
	struct err *err = shell_start(cmd->shell, to, &child);

	if (err)
		return err;
	out_init(&out, s->base_out.kind, child.fp, s->types);
	out.radix = (unsigned)s->radix;
	out.dump = s->base_out.dump;
	s->out = &out;
	err = run_stages(s, &cmd->stages, has_addr, count);
	s->out = saved;
	out_finish(&out);
	if (out.is_closed) {
		/* it has seen enough; so have we */
		interrupt_flag = 0;
		if (err_is(err, ERR_STOP)) {
			err_free(err);
			err = NULL;
		}
	}
	out_fini(&out);
	shell_finish(&child);
	return err;
}

static struct err *run_shell(struct session *s, const struct command *cmd,
			     bool has_addr, uint64_t count)
{
	FILE *capture = cmd->shell_source ? tmpfile() : NULL;
	struct strbuf text = {0};
	struct err *err = NULL;
	int to = -1;

	if (out_is_pipe(s->out))
		return err_new(ERR_USAGE, "syntax error: ! in a pipe");
	live_show(s);
	if (cmd->shell_source && !capture)
		return err_new(ERR_IO, "cannot make a temporary file");
	if (capture)
		to = fileno(capture);
	out_finish(s->out);
	if (cmd->stages.n > 0)
		err = run_piped(s, cmd, has_addr, count, to);
	else
		err = shell_run(cmd->shell, -1, to);
	if (!capture)
		return err;
	if (!err)
		err = read_all(capture, &text);
	(void)fclose(capture); /* temporary */
	if (!err)
		err = exec_text(s, strbuf_str(&text), INPUT_STRING, NULL, 0);
	strbuf_free(&text);
	return err;
}

/* ---- commands -------------------------------------------------------- */

static struct err *check_names(struct session *s, const struct stages *st)
{
	for (size_t i = 0; i < st->n; i++)
		if (st->v[i].kind == STAGE_DCMD && !dcmd_find(s, st->v[i].name))
			return dcmd_unknown(s, st->v[i].name);
	return NULL;
}

/* a pipeline, perhaps the last one again */
static struct err *run_pipeline(struct session *s, const struct command *cmd,
				bool has_addr, uint64_t count)
{
	struct err *err = check_names(s, &cmd->stages);

	if (err || count == 0)
		return err;
	if (cmd->shell)
		return run_shell(s, cmd, has_addr, count);
	return run_stages(s, &cmd->stages, has_addr, count);
}

/* consumes cmd */
static struct err *run_command(struct session *s, struct command *cmd,
			       enum input_kind kind)
{
	uint64_t dot = s->dot;
	uint64_t count = 1;
	bool is_lone = cmd->stages.n == 0 && !cmd->shell;
	bool has_addr = cmd->addr || s->has_addr;
	struct err *err = NULL;

	if (cmd->addr)
		err = eval_expr(s, cmd->addr, &dot);
	if (!err && cmd->count)
		err = eval_expr(s, cmd->count, &count);
	if (err)
		goto out;
	if (is_lone && !cmd->addr)
		dot = s->dot + s->increment;
	s->dot = dot;
	if (is_lone && (kind == INPUT_STRING || !s->last)) {
		s->increment = 0;
		goto out;
	}
	if (is_lone) {
		/* what it runs may be followed by another last one */
		command_free(cmd);
		cmd = command_hold(s->last);
		err = run_pipeline(s, cmd, true, count);
		goto out;
	}
	if (kind == INPUT_LINES && cmd->stages.n > 0) {
		command_free(s->last);
		s->last = command_hold(cmd);
	}
	err = run_pipeline(s, cmd, has_addr, count);
out:
	command_free(cmd);
	return err;
}

/* where a syntax error is */
static struct err *at_place(struct err *err, const struct lex *lx,
			    const char *name, unsigned line)
{
	_free_ char *near = lex_near(lx);
	struct strbuf sb = {0};
	struct err *ret = NULL;

	strbuf_puts(&sb, err->msg);
	if (name) {
		for (size_t i = 0; i < lx->tok; i++)
			line += lx->text[i] == '\n';
		strbuf_printf(&sb, " on line %u of %s", line, name);
	}
	if (near[0])
		strbuf_printf(&sb, " near \"%s\"", near);
	ret = err_new(ERR_USAGE, "%s", sb.s);
	err_free(err);
	strbuf_free(&sb);
	return ret;
}

/* damage that was met since it was last told of */
static void tell_damage(struct session *s)
{
	struct heap_health *h = s->heap ? &s->heap->health : NULL;

	if (!h || !h->untold || s->depth > 1)
		return;
	out_warn(s->out, "the heap is damaged: %s%s; see ::kmem_verify",
		 h->untold, h->nfindings > 1 ? ", and more" : "");
	mem_free(h->untold);
	h->untold = NULL;
}

struct err *exec_text(struct session *s, const char *text, enum input_kind kind,
		      const char *name, unsigned line)
{
	struct lex lx = {.text = text};
	struct err *err = NULL;

	if (s->depth == SESSION_DEPTH_MAX) /* I3 */
		return err_new(ERR_USAGE, "commands are nested too deeply");
	s->depth++;
	while (!s->is_quit) {
		struct command *cmd = NULL;
		struct err *next = parse_command(&lx, s->radix, &cmd);
		bool is_syntax = next;

		if (next || cmd) { /* before what follows prints anything */
			exec_report(s, err);
			err = NULL;
		}
		if (s->is_quit) { /* that error was the last */
			command_free(cmd);
			err_free(next);
			break;
		}
		if (next)
			next = at_place(next, &lx, name, line);
		else if (!cmd)
			break;
		else
			next = run_command(s, cmd, kind);
		tell_damage(s);
		if (!is_syntax)
			out_finish(s->out);
		err = next;
		if (s->macros.is_ended)
			break;
		if (is_syntax && kind == INPUT_LINES) {
			exec_report(s, err);
			err = NULL;
			lex_skip_command(&lx);
			continue;
		}
		if (is_syntax || err_is(err, ERR_STOP))
			break;
	}
	s->depth--;
	return err;
}

struct err *exec_repeat(struct session *s)
{
	struct command *cmd = s->last ? command_hold(s->last) : NULL;
	struct err *err = NULL;

	if (!cmd)
		return NULL;
	s->dot += s->increment;
	err = run_pipeline(s, cmd, true, 1);
	command_free(cmd);
	return err;
}

static struct err *run_text(struct session *s, taddr_t dot, const char *text,
			    bool has_addr)
{
	bool saved = s->has_addr;
	struct err *err = NULL;

	s->dot = dot;
	s->has_addr = has_addr;
	err = exec_text(s, text, INPUT_STRING, NULL, 0);
	s->has_addr = saved;
	/* the usage said is that of the inner command, not the caller's */
	if (err_is(err, ERR_USAGE))
		err->code = ERR_NOTFOUND;
	return err;
}

struct err *session_run(struct session *s, taddr_t addr, const char *text)
{
	return run_text(s, addr, text, true);
}

struct err *session_run_at(struct session *s, taddr_t dot, const char *text)
{
	return run_text(s, dot, text, false);
}
