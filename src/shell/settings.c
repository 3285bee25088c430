/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Settings: what the options of the command line and ::set change.  They are
 * parsed before there is a session, so that a mistake is said at once.
 */
#include <ctype.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "shell/session.h"
#include "shell/shell_impl.h"

enum {
	PROMPT_MAX = 35,
	PAGE = 80, /* columns when there is no terminal */
};

#define MACRO_PATH  "%r/usr/local/share/pmdb/macros:%r/usr/share/pmdb/macros"
#define MODULE_PATH "%r/usr/local/lib/pmdb/modules:%r/usr/lib/pmdb/modules"

static const struct option_row {
	const char *name;
	size_t offset;
	bool is_number; /* else a flag */
} rows[] = {
	{"array_mem_limit", offsetof(struct settings, array_mem_limit), true},
	{"array_str_limit", offsetof(struct settings, array_str_limit), true},
	{"autowrap", offsetof(struct settings, autowrap), false},
	{"ignoreeof", offsetof(struct settings, ignoreeof), false},
	{"nomods", offsetof(struct settings, nomods), false},
	{"pager", offsetof(struct settings, pager), false},
	{"repeatlast", offsetof(struct settings, repeatlast), false},
};

/* options of mdb that have nothing to act on here */
static const char *const meaningless[] = {
	"adb",
	"allow_io_access",
	"follow_exec_mode",
	"follow_fork_mode",
	"latest",
	"lmraw",
	"noctf",
	"nostop",
	"showlmid",
	"stop_on_bpt_nosym",
	"term",
	"write_readback",
};

/* ---- paths ----------------------------------------------------------- */

static void put_token(struct strbuf *sb, char c, const char *old)
{
	struct utsname u;
	bool has_names = uname(&u) == 0;

	switch (c) {
	case 'i':
		strbuf_puts(sb, "amd64");
		break;
	case 'm':
	case 'p':
		strbuf_puts(sb, has_names ? u.machine : "x86_64");
		break;
	case 'o':
		strbuf_puts(sb, old ? old : "");
		break;
	case 'r': /* no other root than "/" */
		break;
	case 't':
		strbuf_puts(sb, "proc");
		break;
	case 'R':
		strbuf_puts(sb, has_names ? u.release : "");
		break;
	case 'V':
		strbuf_puts(sb, has_names ? u.version : "");
		break;
	default:
		strbuf_putc(sb, '%');
		strbuf_putc(sb, c);
	}
}

static char *expand_path(const char *text, const char *old)
{
	struct strbuf sb = {0};

	strbuf_puts(&sb, "");
	for (; *text; text++) {
		if (text[0] != '%' || text[1] == '\0')
			strbuf_putc(&sb, *text);
		else
			put_token(&sb, *++text, old);
	}
	return sb.s;
}

static struct err *set_path(char **path, const char *text)
{
	char *old = *path;

	if (strchr(text, ';'))
		return err_new(ERR_USAGE, "a path may not contain ';': %s",
			       text);
	*path = expand_path(text, old);
	mem_free(old);
	return NULL;
}

/* ---- the whole ------------------------------------------------------- */

void settings_init(struct settings *set)
{
	*set = (struct settings){
		.array_mem_limit = 32,
		.array_str_limit = 1024,
		.prompt = mem_strdup("> "),
		.macro_path = expand_path(MACRO_PATH, NULL),
		.module_path = expand_path(MODULE_PATH, NULL),
		.pager = true,
	};
}

void settings_free(struct settings *set)
{
	mem_free(set->prompt);
	mem_free(set->macro_path);
	mem_free(set->module_path);
	*set = (struct settings){0};
}

/* ---- -o -------------------------------------------------------------- */

static bool is_meaningless(const char *name)
{
	for (size_t i = 0; i < sizeof(meaningless) / sizeof(*meaningless); i++)
		if (!strcmp(meaningless[i], name))
			return true;
	return false;
}

static struct err *set_number(const char *name, uint64_t *to, const char *text)
{
	_err_free_ struct err *err = NULL;

	if (!strcmp(text, "none")) {
		*to = LIMIT_NONE;
		return NULL;
	}
	if (isdigit((unsigned char)text[0]))
		err = lex_number(text, strlen(text), 10, to);
	if (err || !isdigit((unsigned char)text[0]))
		return err_new(ERR_USAGE,
			       "invalid argument for option %s -- %s", name,
			       text);
	return NULL;
}

static bool is_flag(const char *name)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (!strcmp(rows[i].name, name))
			return !rows[i].is_number;
	return false;
}

static struct err *set_one(struct settings *set, char *text, bool is_on)
{
	struct nearest near = nearest_to(text);
	_free_ char *meant = NULL;
	char *value = strchr(text, '=');
	char *at = (char *)set;

	if (value)
		*value++ = '\0';
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct option_row *row = &rows[i];

		if (strcmp(row->name, text))
			continue;
		at += row->offset;
		if (row->is_number && !value)
			return err_new(ERR_USAGE,
				       "option requires an argument -- %s",
				       text);
		if (row->is_number)
			return set_number(text, (uint64_t *)(void *)at, value);
		if (value)
			return err_new(
				ERR_USAGE,
				"option does not accept an argument -- %s",
				text);
		*(bool *)at = is_on;
		return NULL;
	}
	if (is_meaningless(text))
		return err_new(ERR_USAGE,
			       "option has no meaning for a dump -- %s", text);
	if (!value && !strncmp(text, "no", 2) && is_flag(text + 2))
		return set_one(set, text + 2, !is_on); /* "nopager" */
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		nearest_try(&near, rows[i].name);
	meant = nearest_text(&near, "");
	return err_new(ERR_USAGE, "invalid debugger option -- %s%s", text,
		       meant);
}

struct err *settings_option(struct settings *set, const char *text, bool is_on)
{
	_free_ char *copy = mem_strdup(text);
	struct err *err = NULL;
	char *next = copy;

	while (next && !err) {
		char *one = next;

		next = strchr(one, ',');
		if (next)
			*next++ = '\0';
		err = set_one(set, one, is_on);
	}
	return err;
}

/* ---- letters --------------------------------------------------------- */

/* decimal digits only */
static struct err *set_decimal(uint64_t *to, const char *what, const char *text)
{
	if (text[0] == '\0' || strspn(text, "0123456789") != strlen(text))
		return err_new(ERR_USAGE, "invalid %s -- %s", what, text);
	return lex_number(text, strlen(text), 10, to);
}

struct err *settings_letter(struct settings *set, char letter, const char *text)
{
	switch (letter) {
	case 's':
		return set_decimal(&set->symdist, "symbol matching distance",
				   text);
	case 'w':
		return set_decimal(&set->page_width, "page width", text);
	case 'I':
		return set_path(&set->macro_path, text);
	case 'L':
		return set_path(&set->module_path, text);
	case 'P':
		break;
	}
	mem_free(set->prompt);
	set->prompt = mem_strdup(text);
	return NULL;
}

/* ---- the session's --------------------------------------------------- */

const struct settings *session_settings(const struct session *s)
{
	return &s->settings;
}

void settings_apply(struct session *s)
{
	s->base_out.wrap = s->settings.autowrap ? session_page_width(s) : 0;
	if (s->types)
		types_set_symdist(s->types, s->settings.symdist);
}

struct err *session_option(struct session *s, const char *text, bool is_on)
{
	struct err *err = settings_option(&s->settings, text, is_on);

	settings_apply(s);
	return err;
}

struct err *session_setting(struct session *s, char letter, const char *text)
{
	struct err *err = settings_letter(&s->settings, letter, text);

	settings_apply(s);
	return err;
}

size_t session_page_width(const struct session *s)
{
	int fd = s->base_out.fp ? fileno(s->base_out.fp) : -1;
	struct winsize ws;

	if (s->settings.page_width > 0)
		return s->settings.page_width;
	if (fd < 0)
		fd = STDOUT_FILENO; /* through the pager */
	if (ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col >= PAGE / 4)
		return ws.ws_col;
	return PAGE;
}

/* "%<_name>" is a variable in decimal */
/* "(replay -1.204s) ": how far from the dump */
static void put_moment(struct session *s, struct strbuf *sb)
{
	struct heap_moment m;

	heap_replay_moment(s->replay, &m);
	bool is_later = m.stamp_ns > m.dump_ns;
	uint64_t gap_ns =
		is_later ? m.stamp_ns - m.dump_ns : m.dump_ns - m.stamp_ns;

	strbuf_printf(sb, "(replay %c%" PRIu64 ".%06" PRIu64 "s) ",
		      is_later ? '+' : '-', gap_ns / 1000000000,
		      gap_ns % 1000000000 / 1000);
}

char *session_prompt(struct session *s)
{
	const char *text = s->settings.prompt;
	struct strbuf sb = {0};

	strbuf_puts(&sb, "");
	if (s->is_replaying)
		put_moment(s, &sb);
	while (*text) {
		size_t n = strcspn(text, ">");
		uint64_t value = 0;

		if (!strncmp(text, "%<_", 3) && text[n] == '>') {
			_free_ char *name = mem_strndup(text + 3, n - 3);

			if (vars_get(s, name, &value))
				strbuf_printf(&sb, "%" PRIu64, value);
			text += n + 1;
			continue;
		}
		if (text[0] == '%' && text[1] == '%')
			text++;
		strbuf_putc(&sb, *text++);
	}
	if (sb.n > PROMPT_MAX)
		sb.s[PROMPT_MAX] = '\0';
	return sb.s;
}
