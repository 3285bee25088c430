/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The session owns the target and everything that is computed from it; what is
 * computed is kept until the session ends.
 */
#include "shell/session.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "shell/progress.h"
#include "shell/shell_impl.h"
#include "shell/term.h"

struct session *session_create(struct target *target, struct types *types,
			       const struct session_options *opt)
{
	struct session *s = mem_zalloc(sizeof(*s));
	FILE *fp = opt && opt->out ? opt->out : stdout;

	s->target = target;
	s->types = types;
	if (opt)
		s->types_options = opt->types;
	s->is_quiet = opt && opt->is_quiet;
	s->live.is_held = target && target_info(target)->is_live;
	s->radix = 16;
	out_init(&s->base_out, opt && opt->is_json ? OUT_JSON : OUT_TEXT, fp,
		 types);
	s->base_out.dump = opt ? opt->dump : NULL;
	s->base_out.is_colour = !(opt && opt->is_json) && fileno(fp) >= 0 &&
				term_has_colour(fileno(fp));
	s->out = &s->base_out;
	settings_init(&s->settings);
	if (opt && opt->settings) {
		settings_free(&s->settings);
		s->settings = *opt->settings;
		*opt->settings = (struct settings){0};
	}
	settings_apply(s);
	vars_init(s);
	return s;
}

void session_destroy(struct session *s)
{
	if (!s)
		return;
	s->live.nholds = 0; /* whoever was about to */
	session_let_go(s);
	out_finish(&s->base_out);
	log_close(s);
	out_fini(&s->base_out);
	command_free(s->last);
	vars_free(s);
	macros_free(s);
	modules_free(s);
	settings_free(&s->settings);
	mem_free(s->own_walkers);
	mem_free(s->why_no_heap);
	mem_free(s->log_file);
	reach_free(s->reach);
	typegraph_free(s->typegraph);
	if (s->leaks)
		leaks_free(s->leaks);
	if (s->replay)
		heap_close(s->replay);
	if (s->heap)
		heap_close(s->heap);
	if (s->types)
		types_close(s->types);
	if (s->target)
		target_close(s->target);
	mem_free(s);
}

bool session_is_over(const struct session *s)
{
	return s->is_quit || s->base_out.is_closed;
}

void session_fail_fast(struct session *s)
{
	s->is_fail_fast = true;
}

unsigned session_nfailed(const struct session *s)
{
	return s->nfailed;
}

int session_output_error(struct session *s)
{
	out_finish(&s->base_out);
	return s->base_out.error;
}

/* ---- what dcmds ask for ---------------------------------------------- */

struct target *session_target(struct session *s)
{
	return s->target;
}

struct types *session_types(struct session *s)
{
	return s->types;
}

struct heap *session_try_heap(struct session *s, const char **ret_why)
{
	struct err *err = NULL;

	if (!s->heap && !s->why_no_heap) {
		err = heap_open(s->target, s->types, &s->heap);
		/* of a process that went on the heap is opened again */
		if (!err && s->log_file)
			err_free(s->heap->ops->open_log(s->heap, s->log_file));
		/* one that Ctrl-C stopped may be tried again */
		if (err && !interrupt_flag)
			s->why_no_heap = mem_strdup(err->msg);
		err_free(err);
	}
	if (ret_why)
		*ret_why = s->why_no_heap ? s->why_no_heap : "interrupted";
	return s->is_replaying ? s->replay : s->heap;
}

struct err *session_heap(struct session *s, struct heap **ret)
{
	struct heap *heap = session_try_heap(s, NULL);

	if (!heap && !s->why_no_heap)
		return interrupt_check();
	if (!heap) {
		/* it will not be there for the next address either */
		session_stop_loop(s);
		return err_new(ERR_NOTFOUND, "%s", s->why_no_heap);
	}
	*ret = heap;
	return NULL;
}

struct err *session_replay(struct session *s, struct heap **ret)
{
	struct heap *heap = NULL;
	struct err *err = session_heap(s, &heap);

	if (!err && !s->replay)
		err = heap_replay_open(s->heap, &s->replay);
	if (!err)
		*ret = s->replay;
	return err;
}

void session_set_replaying(struct session *s, bool is_on)
{
	s->is_replaying = is_on && s->replay;
	session_drop_leaks(s);
}

bool session_is_replaying(const struct session *s)
{
	return s->is_replaying;
}

struct err *session_log_file(struct session *s, const char *path)
{
	struct heap *heap = NULL;
	struct err *err = session_heap(s, &heap);

	if (!err && !heap->ops->open_log)
		err = err_new(ERR_NOSUP, "%s: %s heap keeps no log", path,
			      heap->ops->name);
	if (!err)
		err = heap->ops->open_log(heap, path);
	if (!err)
		s->log_file = mem_strdup(path);
	return err;
}

struct err *session_leaks(struct session *s, struct leaks **ret)
{
	struct heap *heap = NULL;
	struct err *err = session_heap(s, &heap);

	if (!err && !s->leaks)
		err = leaks_find(heap, &s->leaks);
	if (!err)
		*ret = s->leaks;
	return err;
}

struct err *session_leaks_bytewise(struct session *s, bool is_bytewise,
				   struct leaks **ret)
{
	struct heap *heap = NULL;
	struct err *err = session_heap(s, &heap);

	if (!err && s->leaks && s->leaks->set->is_bytewise != is_bytewise)
		session_drop_leaks(s);
	if (!err && !s->leaks && is_bytewise)
		err = leaks_find_bytewise(heap, &s->leaks);
	return err ? err : session_leaks(s, ret);
}

/* leaves none behind when it fails */
static struct err *build_typegraph(struct session *s, struct heap *heap,
				   struct leaks *leaks)
{
	struct typegraph *g = NULL;
	struct err *err = typegraph_build(heap, leaks->set, &g);

	if (!err)
		err = typegraph_group_leaks(g, leaks);
	if (err)
		typegraph_free(g);
	else
		s->typegraph = g;
	return err;
}

struct err *session_typegraph(struct session *s, struct typegraph **ret)
{
	struct leaks *leaks = NULL;
	struct heap *heap = NULL;
	struct err *err = session_heap(s, &heap);

	if (!err)
		err = session_leaks(s, &leaks);
	if (!err && !s->typegraph)
		err = build_typegraph(s, heap, leaks);
	if (!err)
		*ret = s->typegraph;
	return err;
}

struct typegraph *session_try_typegraph(struct session *s)
{
	return s->typegraph;
}

void session_drop_leaks(struct session *s)
{
	reach_free(s->reach);
	s->reach = NULL;
	typegraph_free(s->typegraph);
	s->typegraph = NULL;
	if (s->leaks)
		leaks_free(s->leaks);
	s->leaks = NULL;
}

struct err *session_reach(struct session *s, struct reach **ret)
{
	struct leaks *leaks = NULL;
	struct heap *heap = NULL;
	struct err *err = session_heap(s, &heap);

	if (!err)
		err = session_leaks(s, &leaks);
	if (!err && !s->reach)
		err = reach_build(heap, leaks, &s->reach);
	if (!err)
		*ret = s->reach;
	return err;
}

bool session_has_leaks(const struct session *s)
{
	return s->leaks;
}

struct out *session_out(struct session *s)
{
	return s->out;
}

taddr_t session_dot(const struct session *s)
{
	return s->dot;
}

void session_set_dot(struct session *s, taddr_t dot)
{
	s->dot = dot;
}

const struct target_thread *session_thread(struct session *s)
{
	if (!s->target || target_nthreads(s->target) == 0)
		return NULL;
	return target_thread(s->target, 0);
}

void session_set_radix(struct session *s, int radix)
{
	s->radix = radix;
	s->base_out.radix = (unsigned)radix;
}

int session_radix(const struct session *s)
{
	return s->radix;
}

void session_quit(struct session *s)
{
	s->is_quit = true;
}

char *session_frame_name(struct session *s, taddr_t pc)
{
	return out_frame_name(&s->base_out, pc);
}

struct err *session_eval_expr(struct session *s, const char *text,
			      uint64_t *ret)
{
	struct lex lx = {.text = text};
	struct symbol sym;
	struct expr *e = NULL;
	struct err *err = NULL;

	/* here "::" begins no dcmd */
	if (strstr(text, "::") && session_symbol(s, text, &sym)) {
		*ret = sym.value;
		return NULL;
	}
	if (strstr(text, "::") && !strpbrk(text, " \t+-*%()\"'"))
		return err_new(ERR_NOTFOUND, "%s: unknown symbol name", text);
	err = parse_expression(&lx, s->radix, &e);

	if (!err)
		err = eval_expr(s, e, ret);
	expr_free(e);
	return err;
}

struct err *session_parse_number(struct session *s, const char *text,
				 uint64_t *ret)
{
	struct symbol sym;

	if (text[0] == '\0')
		return err_new(ERR_USAGE, "a number is missing");
	if (strchr("0123456789", text[0]))
		return lex_number(text, strlen(text), s->radix, ret);
	if (session_symbol(s, text, &sym)) {
		*ret = sym.value;
		return NULL;
	}
	return lex_number(text, strlen(text), s->radix, ret);
}

/* ---- input ----------------------------------------------------------- */

/* "quit" and "exit" are no dcmds, but everybody types them */
static bool is_quit_word(const char *line)
{
	size_t a = strspn(line, " \t");
	size_t n = strcspn(line + a, " \t\r\n;");

	if (line[a + n + strspn(line + a + n, " \t\r\n;")] != '\0')
		return false;
	return (n == 4 && !strncmp(line + a, "quit", n)) ||
	       (n == 4 && !strncmp(line + a, "exit", n));
}

void session_string(struct session *s, const char *text)
{
	log_input(s, text);
	if (is_quit_word(text)) {
		s->is_quit = true;
		return;
	}
	if (!session_hold(s))
		return;
	if (!s->is_quiet)
		progress_start();
	exec_report(s, exec_text(s, text, INPUT_STRING, "(-e)", 1));
	out_finish(&s->base_out);
	progress_stop();
	session_let_go(s);
}

static void run_line(struct session *s, const char *line, const char *name,
		     unsigned number)
{
	log_input(s, line);
	if (is_quit_word(line)) {
		s->is_quit = true;
		return;
	}
	/* a shell command alone asks nothing of the process */
	if (line[strspn(line, " \t")] != '!' && !session_hold(s))
		return;
	if (!s->is_quiet)
		progress_start();
	if (s->settings.repeatlast && line[strspn(line, " \t")] == '\0')
		exec_report(s, exec_repeat(s));
	else
		exec_report(s, exec_text(s, line, INPUT_LINES, name, number));
	out_finish(&s->base_out);
	progress_stop();
	session_let_go(s);
}

void session_line(struct session *s, const char *line)
{
	interrupt_flag = 0;
	run_line(s, line, NULL, 0);
	interrupt_flag = 0;
}

/* a byte at a time: what follows a "!" line may be the child's to read */
static bool read_line(int fd, struct strbuf *line, bool *ret_failed)
{
	strbuf_reset(line);
	for (;;) {
		char c = 0;
		ssize_t n = read(fd, &c, 1);

		if (n < 0 && errno == EINTR)
			continue;
		*ret_failed = n < 0;
		if (n <= 0)
			return line->n > 0;
		if (c == '\n')
			return true;
		strbuf_putc(line, c);
	}
}

void session_script(struct session *s, int fd, const char *name)
{
	struct strbuf line = {0};
	bool failed = false;

	strbuf_puts(&line, "");
	for (unsigned n = 1; !session_is_over(s); n++) {
		if (!read_line(fd, &line, &failed))
			break;
		if (n == 1 && !strncmp(strbuf_str(&line), "#!", 2))
			continue;
		s->script_line = n;
		run_line(s, strbuf_str(&line), name, n);
	}
	if (failed && name)
		exec_report(s,
			    err_new(ERR_IO, "%s: %s", name, strerror(errno)));
	else if (failed)
		exec_report(s, err_new(ERR_IO, "%s", strerror(errno)));
	strbuf_free(&line);
}

void session_script_file(struct session *s, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		exec_report(s,
			    err_new(ERR_IO, "%s: %s", path, strerror(errno)));
		return;
	}
	s->script = path;
	session_script(s, fd, NULL);
	s->script = NULL;
	(void)close(fd); /* only read */
}
