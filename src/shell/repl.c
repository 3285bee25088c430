/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The prompt.  Ctrl-C while a line is edited drops the line; while a command
 * runs it sets the flag that every loop looks at.
 *
 * I1  Output goes through the pager's stream from the first prompt to the last,
 *     and the pager is settled before a prompt.
 * I2  The handler of Ctrl-C leaves readline() by a jump only while it reads;
 *     readline has restored the terminal by then.
 */
#include <stdio.h> /* readline needs it before its own header */

#include <errno.h>
#include <locale.h>
#include <readline/history.h>
#include <readline/readline.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "shell/complete.h"
#include "shell/history.h"
#include "shell/pager.h"
#include "shell/shell_impl.h"
#include "shell/term.h"

/* readline's callbacks and a signal handler have no argument of ours */
static struct {
	sigjmp_buf top;
	volatile sig_atomic_t is_reading;
	struct session *session;
	struct completion found;
	size_t next;
	char *before; /* what stands before the word in readline's text */
	size_t skip;  /* bytes of the word that stand before readline's text */
	struct history history;
	char *text;     /* of the prompt, while it is shown */
	unsigned nends; /* of input, one after the other */
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
	completion_free(&prompt.found);
	mem_free(prompt.before);
	prompt.before = NULL;
	prompt.skip = prompt.next = 0;
}

static char *next_word(const char *text, int state)
{
	(void)text;
	if (state == 0)
		prompt.next = 0;
	if (prompt.next == prompt.found.words.n)
		return NULL;
	return mem_printf("%s%s", prompt.before,
			  prompt.found.words.v[prompt.next++] + prompt.skip);
}

/* Types are read for it, which may take a while: Ctrl-C ends the search, and
 * must not jump out of it (I2). */
static void find_words(const char *line)
{
	struct sigaction ours = {.sa_handler = on_interrupt,
				 .sa_flags = SA_RESTART};
	struct sigaction readlines;

	prompt.is_reading = 0;
	sigemptyset(&ours.sa_mask);
	(void)sigaction(SIGINT, &ours, &readlines); /* cannot fail */
	complete_line(prompt.session, line, &prompt.found);
	(void)sigaction(SIGINT, &readlines, NULL);
	prompt.is_reading = 1;
	if (!interrupt_flag)
		return;
	interrupt_flag = 0;
	completion_free(&prompt.found); /* some would look like all */
	(void)raise(SIGINT);            /* for readline: the line is dropped */
}

static char **complete(const char *text, int start, int end)
{
	_free_ char *line = mem_strndup(rl_line_buffer, (size_t)end);
	const size_t begin = (size_t)start;

	drop_words();
	find_words(line);
	/* readline's own: names of files */
	rl_attempted_completion_over = !prompt.found.is_file;
	if (prompt.found.words.n == 0)
		return NULL;
	if (prompt.found.start < begin)
		prompt.skip = begin - prompt.found.start;
	else
		prompt.before = mem_strndup(text, prompt.found.start - begin);
	if (!prompt.before)
		prompt.before = mem_strdup("");
	rl_completion_append_character = prompt.found.is_open ? '\0' : ' ';
	return rl_completion_matches(text, next_word);
}

/* the words alone, without what readline thinks belongs to them */
static void show_words(char **matches, int n, int longest)
{
	size_t before = prompt.before ? strlen(prompt.before) : 0;
	char **words = NULL;

	if (rl_completion_query_items > 0 && n >= rl_completion_query_items) {
		int c = 0;

		printf("\nDisplay all %d possibilities? (y or n)", n);
		fflush(stdout);
		do
			c = rl_read_key();
		while (c > 0 && !strchr("yYnN \003\007\177", c));
		if (!strchr("yY ", c)) {
			printf("\n");
			rl_forced_update_display();
			return;
		}
	}
	words = mem_array((size_t)n + 2, sizeof(*words));
	for (int i = 0; i <= n; i++)
		words[i] = matches[i] + (prompt.found.is_file ? 0 : before);
	printf("\n");
	rl_display_match_list(
		words, n, longest - (prompt.found.is_file ? 0 : (int)before));
	mem_free(words);
	rl_forced_update_display();
}

/* the name of a macro's file follows "<"; elsewhere that is in C++ names */
static char *word_breaks(void)
{
	return (char *)(strstr(rl_line_buffer, "$<") ? " \t\n|;!,<"
						     : " \t\n|;!,");
}

/* ---- the loop -------------------------------------------------------- */

static void set_up(struct session *s)
{
	struct sigaction sa = {.sa_handler = on_interrupt,
			       .sa_flags = SA_RESTART};

	prompt.session = s;
	/* letters of more than a byte are edited as one */
	(void)setlocale(LC_CTYPE, "");
	rl_readline_name = "pmdb";
	rl_instream = stdin; /* they are needed before the first line */
	rl_outstream = stdout;
	rl_attempted_completion_function = complete;
	rl_completion_display_matches_hook = show_words;
	rl_completion_word_break_hook = word_breaks;
	rl_change_environment = 0;
	rl_catch_signals = 1;
	rl_catch_sigwinch = 1;
	sigemptyset(&sa.sa_mask);
	(void)sigaction(SIGINT, &sa, NULL); /* cannot fail */
	(void)signal(SIGQUIT, SIG_IGN);
}

/* one line of the user's; its output is paged */
static void run_line(struct session *s, const char *line)
{
	pager_begin(s->settings.pager);
	session_line(s, line);
	if (pager_end()) { /* seen enough: no reason to end the session */
		s->base_out.is_closed = false;
		s->base_out.error = 0;
		s->base_out.column = 0;
	}
	interrupt_flag = 0;
}

/* the next line; NULL at the end of input.  Owned, see free(). */
static char *read_line(struct session *s)
{
	char *line = NULL;

	mem_free(prompt.text);
	prompt.text = session_prompt(s);
	rl_reset_screen_size(); /* it may have changed meanwhile */
	prompt.is_reading = 1;
	line = readline(prompt.text);
	prompt.is_reading = 0;
	return line;
}

/* Ctrl-D; a terminal that is gone, or one that keeps saying so, ends us even
 * if the user wants it ignored */
static bool is_end(struct session *s)
{
	if (s->settings.ignoreeof && isatty(STDIN_FILENO) &&
	    ++prompt.nends < 10) {
		fputs("Use \"::quit\" to end pmdb.\n", stdout);
		return false;
	}
	fputs("\n", stdout);
	return true;
}

/* false: the session is over */
static bool run_next(struct session *s)
{
	char *line = NULL;

	if (sigsetjmp(prompt.top, 1))
		fputs("\n", stdout); /* a new prompt after Ctrl-C */
	line = read_line(s);
	if (!line)
		return !is_end(s);
	prompt.nends = 0;
	history_keep(&prompt.history, line);
	/* "+": the next address, which repeats the last command */
	run_line(s, line[0] || !s->settings.repeatlast ? line : "+");
	free(line);
	return true;
}

void repl_run(struct session *s)
{
	FILE *saved = s->base_out.fp;
	FILE *paged = saved == stdout ? pager_open() : NULL;

	set_up(s);
	if (paged)
		s->base_out.fp = paged;
	history_begin(&prompt.history);
	while (!session_is_over(s) && run_next(s))
		continue;
	(void)signal(SIGINT, SIG_DFL);
	s->base_out.fp = saved;
	pager_close();
	drop_words();
	history_end(&prompt.history);
	mem_free(prompt.text);
	prompt.text = NULL;
	prompt.session = NULL;
}
