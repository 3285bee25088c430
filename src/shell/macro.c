/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Macro files: commands in a file, run by "$<name" and "$<<name".
 *
 * "$<" gives up what is left of the macro it stands in, "$<<" comes back to it.
 * So a macro that ends with "$<itself" is a loop, as adb's are: it must not
 * nest.  "$<" within a macro therefore only notes what comes next, and
 * run_chain() runs it when the macro that said so has ended.
 *
 * A name without a file may be an alias, or a type, which is printed.
 */
#include "shell/shell_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shell/session.h"

#define MACRO_MAX (16u << 20) /* bytes of a file */

static const struct alias {
	const char *name, *text;
} aliases[] = {
	{"bufctl", "::bufctl"},
	{"bufctl_audit", "::bufctl -v"},
	{"kmem_bufctl", "::bufctl"},
	{"kmem_bufctl_audit", "::bufctl -v"},
	{"kmem_cache", "::print kmem_cache_t"},
	{"kmem_magazine", "::print kmem_magazine_t"},
	{"kmem_slab", "::print kmem_slab_t"},
	{"umem_bufctl", "::bufctl"},
	{"umem_bufctl_audit", "::bufctl -v"},
	{"umem_cache", "::print kmem_cache_t"},
	{"umem_magazine", "::print kmem_magazine_t"},
	{"umem_slab", "::print kmem_slab_t"},
	{"vmem", "::print vmem_t"},
	{"vmem_seg", "::print vmem_seg_t"},
};

/* ---- files ----------------------------------------------------------- */

static struct err *read_file(int fd, const char *path, char **ret)
{
	struct strbuf sb = {0};
	struct err *err = NULL;
	char buf[4096];
	ssize_t n = 0;

	strbuf_puts(&sb, "");
	while (!err && (n = read(fd, buf, sizeof(buf))) > 0) {
		strbuf_add(&sb, buf, (size_t)n);
		if (sb.n > MACRO_MAX)
			err = err_new(ERR_BADDATA, "%s: too large for a macro",
				      path);
	}
	if (!err && n < 0)
		err = err_new(ERR_IO, "%s: %s", path, strerror(errno));
	if (!err && strlen(sb.s) != sb.n)
		err = err_new(ERR_BADDATA, "%s: not a text file", path);
	if (err)
		strbuf_free(&sb);
	else
		*ret = sb.s;
	return err;
}

/* *ret is NULL when there is no such file */
static struct err *load(const char *path, char **ret)
{
	struct err *err = NULL;
	struct stat st;
	/* O_NONBLOCK: a fifo must not hang us */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	*ret = NULL;
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return NULL;
	if (fd < 0)
		return err_new(ERR_IO, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		err = err_new(ERR_IO, "%s: not a regular file", path);
	else
		err = read_file(fd, path, ret);
	(void)close(fd); /* only read */
	return err;
}

/* a macro by name: in the directories of the path, or where it says */
static struct err *find_file(struct session *s, const char *name,
			     char **ret_path, char **ret_text)
{
	const char *dirs = s->settings.macro_path;
	struct err *err = NULL;

	*ret_text = NULL;
	if (strchr(name, '/')) {
		*ret_path = mem_strdup(name);
		err = load(name, ret_text);
		if (!err && !*ret_text)
			err = err_new(ERR_NOTFOUND, "%s: %s", name,
				      strerror(ENOENT));
		return err;
	}
	while (!err && !*ret_text && *dirs) {
		int n = (int)strcspn(dirs, ":");

		mem_free(*ret_path);
		*ret_path = mem_printf("%.*s/%s", n, dirs, name);
		if (n > 0)
			err = load(*ret_path, ret_text);
		dirs += n + (dirs[n] == ':');
	}
	return err;
}

/* ---- running --------------------------------------------------------- */

/* runs a macro, and those it goes on with; consumes path and text */
static struct err *run_chain(struct session *s, char *path, char *text)
{
	struct macros *m = &s->macros;
	/* what repeats is what was typed, not what a macro did */
	struct command *last = s->last ? command_hold(s->last) : NULL;
	struct err *err = NULL;

	m->depth++;
	for (;;) {
		err = exec_text(s, text, INPUT_LINES, path, 1);
		mem_free(path);
		mem_free(text);
		m->is_ended = false;
		path = m->next_path;
		text = m->next_text;
		m->next_path = m->next_text = NULL;
		if (!text)
			break;
		exec_report(s, err);
		err = interrupt_check();
		if (err) {
			mem_free(path);
			mem_free(text);
			break;
		}
	}
	m->depth--;
	command_free(s->last);
	s->last = last;
	/* what is wrong in a macro is no wrong use of "$<" */
	if (err_is(err, ERR_USAGE))
		err->code = ERR_NOTFOUND;
	return err;
}

/* alias or type; NULL: neither.  Owned. */
static char *other_meaning(struct session *s, const char *name)
{
	static const char *const forms[] = {"struct %s", "union %s", "%s_t",
					    "%ss"};

	for (size_t i = 0; i < sizeof(aliases) / sizeof(*aliases); i++)
		if (!strcmp(aliases[i].name, name))
			return mem_strdup(aliases[i].text);
	for (size_t i = 0; s->types && i < 4; i++) {
		const char *percent = strstr(forms[i], "%s");
		_free_ char *type =
			mem_printf("%.*s%s%s", (int)(percent - forms[i]),
				   forms[i], name, percent + 2);
		const struct type *found = NULL;
		struct err *err = types_lookup(s->types, NULL, type, &found);

		if (!err)
			return mem_printf("::print '%s'", type);
		err_free(err);
	}
	return NULL;
}

static struct err *run_other(struct session *s, const struct dcmd_call *call,
			     const char *name)
{
	_free_ char *text = NULL;

	if (!strchr(name, '\''))
		text = other_meaning(s, name);
	if (!text) {
		session_stop_loop(s);
		return err_new(ERR_NOTFOUND,
			       "%s: no macro file, alias or type of this name "
			       "(see ::help '$<')",
			       name);
	}
	if (call->flags & DCMD_ADDRSPEC)
		return session_run(s, call->addr, text);
	return session_run_at(s, call->addr, text);
}

/* "$<" alone: leaves the macro */
static struct err *leave(struct session *s)
{
	if (s->macros.depth == 0)
		return err_new(ERR_USAGE, "there is no macro to leave");
	s->macros.is_ended = true;
	return NULL;
}

struct err *session_macro(struct dcmd_call *call, bool is_nested)
{
	struct session *s = call->s;
	struct macros *m = &s->macros;
	bool is_loop = call->flags & DCMD_PIPE;
	char *path = NULL;
	char *text = NULL;
	struct err *err = NULL;

	if (!is_loop)
		session_stop_loop(s); /* the count is the macro's to use */
	if (call->argc > 1)
		return err_new(ERR_USAGE, "only one macro may be named");
	if (out_is_pipe(call->out))
		return err_new(ERR_NOSUP, "a macro cannot feed a pipeline");
	if (call->argc == 0)
		return leave(s);
	if (!is_nested)
		vars_macro_count(s, call->count);
	err = find_file(s, call->argv[0].str, &path, &text);
	if (err || !text) {
		mem_free(path);
		return err ? err : run_other(s, call, call->argv[0].str);
	}
	s->dot = call->addr;
	if (is_nested || is_loop || m->depth == 0)
		return run_chain(s, path, text);
	mem_free(m->next_path);
	mem_free(m->next_text);
	m->next_path = path;
	m->next_text = text;
	m->is_ended = true;
	return NULL;
}

void session_aliases(struct session *s)
{
	for (size_t i = 0; i < sizeof(aliases) / sizeof(*aliases); i++)
		out_text(s->out, "%-24s - %s\n", aliases[i].name,
			 aliases[i].text);
}

const char *macro_alias(const char *name)
{
	for (size_t i = 0; i < sizeof(aliases) / sizeof(*aliases); i++)
		if (!strcmp(aliases[i].name, name))
			return aliases[i].text;
	return NULL;
}

static void files_in(const char *dir, void (*fn)(void *arg, const char *name),
		     void *arg)
{
	DIR *d = opendir(dir);
	const struct dirent *e = NULL;

	while (d && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			fn(arg, e->d_name);
	if (d)
		closedir(d);
}

void macro_names(const struct session *s,
		 void (*fn)(void *arg, const char *name), void *arg)
{
	const char *dirs = s->settings.macro_path;

	for (size_t i = 0; i < sizeof(aliases) / sizeof(*aliases); i++)
		fn(arg, aliases[i].name);
	while (*dirs) {
		size_t n = strcspn(dirs, ":");
		_free_ char *dir = mem_strndup(dirs, n);

		files_in(dir, fn, arg);
		dirs += n + (dirs[n] == ':');
	}
}

void macros_free(struct session *s)
{
	mem_free(s->macros.next_path);
	mem_free(s->macros.next_text);
}

/* ---- the user's own -------------------------------------------------- */

/* the start-up files, in the order they are looked for; owned */
static char *start_file(size_t i)
{
	const char *home = getenv("HOME");
	const char *config = getenv("XDG_CONFIG_HOME");

	if (home && home[0] != '/')
		home = NULL;
	if (i == 0)
		return home ? mem_printf("%s/.pmdbrc", home) : NULL;
	if (config && config[0] == '/')
		return mem_printf("%s/pmdb/pmdbrc", config);
	return home ? mem_printf("%s/.config/pmdb/pmdbrc", home) : NULL;
}

void session_start_file(struct session *s)
{
	unsigned failed = s->nfailed;

	for (size_t i = 0; i < 2; i++) {
		char *path = start_file(i);
		char *text = NULL;
		struct err *err = path ? load(path, &text) : NULL;

		if (text)
			err = run_chain(s, path, text);
		else
			mem_free(path);
		exec_report(s, err);
		out_finish(&s->base_out);
		if (text)
			break;
	}
	/* what fails here is said, but is no failure of the user's commands */
	s->nfailed = failed;
}
