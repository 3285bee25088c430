/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The prompt.  Ctrl-C while a line is edited drops the line; while a command
 * runs it sets the flag that every loop looks at.  History is kept in a file
 * that only its owner may read: lines may quote data of a dump.
 */
#include <stdio.h> /* readline needs it before its own header */

#include <errno.h>
#include <fcntl.h>
#include <readline/history.h>
#include <readline/readline.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shell/shell_impl.h"

/* readline's callbacks and a signal handler have no argument of ours */
static struct {
	sigjmp_buf top;
	volatile sig_atomic_t is_reading;
	struct session *session;
	char **words;
	size_t nwords, next;
	char *before;  /* what stands before the word in readline's text */
	char *history; /* file name, NULL: none is kept */
} prompt;

static void on_interrupt(int sig)
{
	(void)sig;
	if (prompt.is_reading) {
		prompt.is_reading = 0;
		siglongjmp(prompt.top, 1);
	}
	interrupt_flag = 1;
}

/* ---- completion ------------------------------------------------------ */

static void drop_words(void)
{
	for (size_t i = 0; i < prompt.nwords; i++)
		mem_free(prompt.words[i]);
	mem_free(prompt.words);
	mem_free(prompt.before);
	prompt.words = NULL;
	prompt.before = NULL;
	prompt.nwords = prompt.next = 0;
}

static char *next_word(const char *text, int state)
{
	(void)text;
	if (state == 0)
		prompt.next = 0;
	if (prompt.next == prompt.nwords)
		return NULL;
	return mem_printf("%s%s", prompt.before, prompt.words[prompt.next++]);
}

static char **complete(const char *text, int start, int end)
{
	_free_ char *line = mem_strndup(rl_line_buffer, (size_t)end);
	size_t at = 0;

	rl_attempted_completion_over = 1; /* never file names */
	drop_words();
	prompt.nwords =
		complete_words(prompt.session, line, &prompt.words, &at);
	if (prompt.nwords == 0 || at < (size_t)start)
		return NULL;
	prompt.before = mem_strndup(text, at - (size_t)start);
	return rl_completion_matches(text, next_word);
}

/* ---- history --------------------------------------------------------- */

/* the directories above path, ours alone */
static void make_dirs(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		(void)mkdir(path, 0700); /* the open says if it is missing */
		*p = '/';
	}
}

/* where history is kept; NULL: nowhere.  Owned. */
static char *history_path(void)
{
	const char *own = getenv("PMDB_HISTFILE");
	const char *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");

	if (own)
		return own[0] ? mem_strdup(own) : NULL;
	if (state && state[0] == '/')
		return mem_printf("%s/pmdb/history", state);
	if (home && home[0] == '/')
		return mem_printf("%s/.local/state/pmdb/history", home);
	return NULL;
}

/* opens the file of history; NULL: there will be none.  Owned. */
static char *history_open(void)
{
	const char *size = getenv("HISTSIZE");
	long lines = size ? strtol(size, NULL, 10) : 0;
	char *path = history_path();
	int fd = -1;

	using_history();
	stifle_history(lines > 0 && lines < 1000000 ? (int)lines : 1000);
	if (!path)
		return NULL;
	make_dirs(path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fchmod(fd, 0600)) {
		fprintf(stderr, "pmdb: no history: %s: %s\n", path,
			strerror(errno));
		mem_free(path);
		path = NULL;
	}
	if (fd >= 0)
		(void)close(fd); /* nothing was written */
	if (path)
		(void)read_history(path); /* an empty one is fine */
	return path;
}

static void remember(const char *line, const char *path)
{
	HIST_ENTRY *last = history_get(history_base + history_length - 1);

	if (line[strspn(line, " \t")] == '\0')
		return;
	if (last && !strcmp(last->line, line))
		return;
	add_history(line);
	if (path)
		(void)append_history(1, path); /* a full disk is no reason
						* to stop debugging */
}

/* ---- the loop -------------------------------------------------------- */

static void set_up(struct session *s)
{
	struct sigaction sa = {.sa_handler = on_interrupt,
			       .sa_flags = SA_RESTART};

	prompt.session = s;
	rl_readline_name = "pmdb";
	rl_attempted_completion_function = complete;
	rl_completer_word_break_characters = " \t\n|;!,";
	rl_change_environment = 0;
	rl_catch_signals = 1;
	sigemptyset(&sa.sa_mask);
	(void)sigaction(SIGINT, &sa, NULL); /* cannot fail */
	(void)signal(SIGQUIT, SIG_IGN);
}

void repl_run(struct session *s)
{
	set_up(s);
	prompt.history = history_open();
	while (!session_is_over(s)) {
		char *line = NULL;

		if (sigsetjmp(prompt.top, 1))
			fputs("\n", stdout); /* a new prompt after Ctrl-C */
		prompt.is_reading = 1;
		line = readline("> ");
		prompt.is_reading = 0;
		if (!line) {
			fputs("\n", stdout);
			break;
		}
		remember(line, prompt.history);
		session_line(s, line);
		free(line);
	}
	(void)signal(SIGINT, SIG_DFL);
	drop_words();
	mem_free(prompt.history);
	prompt.history = NULL;
	prompt.session = NULL;
}
