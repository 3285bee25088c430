/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzing the command language: any text is typed at a session on a few bytes
 * of hostile memory.  It must not crash, leak, hang, or run a shell command
 * that the user did not write.
 *
 * The shell and the log are replaced by traps (the linker takes ours before
 * those of the archive): nothing is executed, no file is written.  The memory
 * holds text that looks like commands, all with MARK in it; it must never reach
 * the shell.
 *
 * An input that begins with "@" is the text of one -e, "{" of one with JSON;
 * others are lines typed at the prompt.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "shell/session.h"
#include "shell/shell_impl.h"

#define MARK "DUMPTEXT"

enum {
	PATIENCE_MS = 100, /* then the user presses Ctrl-C */
	HANG_TICKS = 50,   /* so many times PATIENCE_MS after that: it hangs */
	INPUT_MAX = 4096,
};

/* what the traps look at */
static struct {
	const char *text; /* the input */
	volatile sig_atomic_t ticks;
	FILE *null;
} fuzz;

/* ---- traps ----------------------------------------------------------- */

static void check_command(const char *command)
{
	if (strchr(fuzz.text, '!') &&
	    (!strstr(command, MARK) || strstr(fuzz.text, MARK)))
		return;
	fprintf(stderr, "a shell command that nobody wrote: %s\n", command);
	abort();
}

struct err *shell_run(const char *command, int in, int out)
{
	static const char text[] = "1000\n1008\n";

	(void)in;
	check_command(command);
	if (out >= 0 && write(out, text, sizeof(text) - 1) < 0)
		return err_new(ERR_IO, "cannot write");
	return NULL;
}

struct err *shell_start(const char *command, int out, struct shell_child *ret)
{
	(void)out;
	check_command(command);
	ret->pid = 0;
	ret->fp = fopen("/dev/null", "w");
	return ret->fp ? NULL : err_new(ERR_IO, "cannot write");
}

void shell_finish(struct shell_child *child)
{
	(void)fclose(child->fp);
}

struct err *session_log(struct session *s, const char *path)
{
	(void)s;
	(void)path;
	return NULL;
}

const char *session_log_path(const struct session *s)
{
	(void)s;
	return NULL;
}

void log_input(struct session *s, const char *line)
{
	(void)s;
	(void)line;
}

void log_close(struct session *s)
{
	(void)s;
}

/* ---- one input ------------------------------------------------------- */

static void on_tick(int sig)
{
	static const char text[] = "it hangs\n";

	(void)sig;
	interrupt_flag = 1;
	if (++fuzz.ticks < HANG_TICKS)
		return;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
	abort();
}

static void set_up(void)
{
	struct sigaction sa = {.sa_handler = on_tick, .sa_flags = SA_RESTART};

	if (fuzz.null)
		return;
	fuzz.null = fopen("/dev/null", "w");
	sigemptyset(&sa.sa_mask);
	sigaction(SIGALRM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* no start-up file, no macro of this machine */
	setenv("HOME", "/nonexistent", 1);
}

static void set_clock(long ms)
{
	struct itimerval it = {{0, ms * 1000}, {0, ms * 1000}};

	fuzz.ticks = 0;
	setitimer(ITIMER_REAL, &it, NULL);
}

static struct target *make_target(void)
{
	static const char strings[256] =
		"! touch " MARK "\0::echo 1 ! " MARK "\0!< " MARK "\n! '" MARK
		"' | ::map .\n$<" MARK;
	uint64_t words[64];
	struct target_thread th = {.tid = 7, .has_regs = true};
	struct target *t = target_mem_create();

	for (size_t i = 0; i < 64; i++)
		words[i] = i % 3 ? 0x1000 + i * 8 : ~0ull >> i;
	target_mem_add(t, 0x1000, words, sizeof(words), 6);
	target_mem_add(t, 0x2000, strings, sizeof(strings), 4);
	th.regs.rip = 0x1010;
	th.regs.rsp = 0x1000;
	target_mem_thread(t, &th);
	return t;
}

/* a session on an executable, or (NULL) on those bytes */
static struct session *make_session(bool is_json)
{
	const char *exe = getenv("FUZZ_EXE");
	struct session_options so = {.is_json = is_json, .out = fuzz.null};
	struct types_options to = {.exe = exe};
	struct target *t = NULL;
	struct types *types = NULL;

	if (!exe)
		t = make_target();
	else if (target_open_exec(exe, &t))
		abort();
	if (types_open(t, &to, &types))
		abort();
	return session_create(t, types, &so);
}

static void type_lines(struct session *s, char *text)
{
	while (text && !session_is_over(s)) {
		char *end = strchr(text, '\n');

		if (end)
			*end++ = '\0';
		set_clock(PATIENCE_MS);
		session_line(s, text);
		text = end;
	}
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	char *text = NULL;
	char *copy = NULL;
	struct session *s = NULL;

	if (size == 0 || size > INPUT_MAX || memchr(data, 0, size))
		return 0;
	set_up();
	text = mem_strndup((const char *)data, size);
	copy = mem_strdup(text);
	fuzz.text = copy;
	interrupt_flag = 0;
	s = make_session(text[0] == '{');
	set_clock(PATIENCE_MS);
	if (text[0] == '@' || text[0] == '{')
		session_string(s, text + 1);
	else
		type_lines(s, text);
	set_clock(0);
	session_destroy(s);
	mem_free(text);
	mem_free(copy);
	return 0;
}
