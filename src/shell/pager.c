/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pager.  Output is held back until it is more than the screen takes; then
 * $PAGER, or less, or what is here, shows it.  So a short answer is printed as
 * ever, no program is started for it, and a long one is whole in the pager.
 *
 *	HOLD --a screenful--> CHILD or OWN --the user quits--> QUIT
 *	HOLD --slow---------> SLOW  --a screenful--> CHILD or OWN
 *	PASS: no pager is wanted
 *
 * I1  What is held is shown, in order, before anybody else writes to the
 *     terminal: a message, a shell command, the next prompt.
 * I2  A pager that ended makes the stream fail (EPIPE), as a pipe does: the
 *     command ends at its next check, and nobody is told of an error.
 * I3  Text is on the terminal once: what SLOW has shown is not paged.
 */
#define _GNU_SOURCE /* fopencookie */
#include "shell/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "shell/progress.h"
#include "shell/term.h"

enum state {
	PASS,
	HOLD,
	SLOW,
	CHILD,
	OWN,
	QUIT
};

enum {
	HOLD_MS = 300 /* then what there is is shown */
};

/* there is one terminal */
static struct {
	FILE *fp;
	enum state state;
	bool is_on; /* for this command */
	bool has_quit;
	struct strbuf held;
	struct timespec since; /* the first held byte */
	size_t rows, columns, down, column;
	int fd; /* CHILD: its input */
	pid_t pid;
} pager;

/* all of it to a descriptor; false: errno says why */
static bool put(int fd, const char *text, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, text, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		text += done;
		n -= (size_t)done;
	}
	return true;
}

static bool put_held(int fd)
{
	bool ok = put(fd, strbuf_str(&pager.held), pager.held.n);

	strbuf_reset(&pager.held);
	return ok;
}

/* ---- another program ------------------------------------------------- */

static bool is_in_path(const char *name)
{
	const char *path = getenv("PATH");

	while (path && *path) {
		size_t n = strcspn(path, ":");
		_free_ char *file = mem_printf("%.*s/%s", (int)n, path, name);

		if (access(file, X_OK) == 0)
			return true;
		path += n + (path[n] == ':');
	}
	return false;
}

/* in the child */
static void __attribute__((noreturn)) become(const char *command, int in)
{
	(void)signal(SIGINT, SIG_DFL); /* these cannot fail */
	(void)signal(SIGPIPE, SIG_DFL);
	(void)signal(SIGQUIT, SIG_DFL);
	if (dup2(in, 0) == 0) {
		/* a pager of the user's own gets what git and man give it */
		(void)setenv("LESS", "FRX", 0);
		if (command)
			execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		else
			execlp("less", "less", "-FRX", (char *)NULL);
	}
	_exit(127);
}

static bool start_child(const char *command)
{
	int fds[2];
	pid_t pid = -1;

	if (pipe2(fds, O_CLOEXEC))
		return false;
	progress_stop();
	pid = fork(); /* the child ends without flushing anything */
	if (pid == 0)
		become(command, fds[0]);
	(void)close(fds[0]); /* the child's */
	if (pid < 0) {
		(void)close(fds[1]); /* nothing was written */
		return false;
	}
	pager.pid = pid;
	pager.fd = fds[1];
	return true;
}

static void end_child(void)
{
	int status = 0;

	(void)close(pager.fd); /* end of its input */
	while (waitpid(pager.pid, &status, 0) < 0 && errno == EINTR)
		continue;
	pager.pid = 0;
	pager.fd = -1;
}

/* ---- our own --------------------------------------------------------- */

static int read_key(void)
{
	struct termios was, now;
	char c = 'q';
	ssize_t n = 0;

	if (tcgetattr(STDIN_FILENO, &was))
		return 'c'; /* nobody can answer */
	now = was;
	now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	now.c_cc[VMIN] = 1;
	now.c_cc[VTIME] = 0;
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &now); /* else with Return */
	do
		n = read(STDIN_FILENO, &c, 1);
	while (n < 0 && errno == EINTR && !interrupt_flag);
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &was); /* as it was */
	return n == 1 ? c : 'q';
}

/* mdb's question; how many lines may follow: 0 none, rows for no end */
static size_t ask(void)
{
	static const char question[] = ">> More [<space>, <cr>, q, n, c, a] ? ";
	size_t lines = 0;

	for (bool is_asking = true; is_asking;) {
		is_asking = false;
		if (!put(STDOUT_FILENO, question, sizeof(question) - 1))
			return 0;
		switch (read_key()) {
		case ' ':
			lines = pager.rows - 1;
			break;
		case 'n':
		case 'N':
		case '\n':
		case '\r':
			lines = 1;
			break;
		case 'c':
		case 'C':
			pager.state = PASS;
			lines = pager.rows;
			break;
		case 'q':
		case 'Q':
		case 'a':
		case 'A':
		case '\034':
		case '\004':
			break;
		default:
			is_asking = !interrupt_flag;
		}
		(void)put(STDOUT_FILENO, "\r\033[K", 4); /* the question */
	}
	return lines;
}

/* pager.down counts the lines that may still be shown */
static bool put_own(const char *text, size_t n)
{
	while (n > 0 && pager.state == OWN) {
		const char *end = memchr(text, '\n', n);
		size_t line = end ? (size_t)(end - text) + 1 : n;
		size_t down =
			term_advance(text, line, pager.columns, &pager.column);

		if (down > pager.down) {
			pager.down = ask();
			if (pager.down == 0) {
				errno = EPIPE; /* I2 */
				return false;
			}
		}
		pager.down -= down < pager.down ? down : pager.down;
		if (!put(STDOUT_FILENO, text, line))
			return false;
		text += line;
		n -= line;
	}
	return put(STDOUT_FILENO, text, n);
}

/* ---- the stream ------------------------------------------------------ */

static bool is_slow(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
	return (now.tv_sec - pager.since.tv_sec) * 1000 +
		       (now.tv_nsec - pager.since.tv_nsec) / 1000000 >
	       HOLD_MS;
}

/* a screenful: who shows it? */
static bool start(void)
{
	const char *command = getenv("PAGER");
	_free_ char *text = NULL;
	size_t n = pager.held.n;

	if (command && (!command[0] || !strcmp(command, "cat"))) {
		pager.state = PASS;
		return put_held(STDOUT_FILENO);
	}
	if ((command || is_in_path("less")) && start_child(command)) {
		pager.state = CHILD;
		return put_held(pager.fd);
	}
	pager.state = OWN;
	pager.column = 0;
	pager.down = pager.rows - 1;
	text = mem_strndup(strbuf_str(&pager.held), n);
	strbuf_reset(&pager.held);
	return put_own(text, n);
}

static bool hold(const char *text, size_t n)
{
	if (pager.held.n == 0)
		(void)clock_gettime(CLOCK_MONOTONIC, &pager.since);
	strbuf_add(&pager.held, text, n);
	pager.down += term_advance(text, n, pager.columns, &pager.column);
	if (pager.down >= pager.rows)
		return start();
	if (pager.state == HOLD && !is_slow())
		return true;
	pager.state = SLOW;
	progress_erase();
	return put_held(STDOUT_FILENO);
}

static ssize_t write_fn(void *cookie, const char *text, size_t n)
{
	bool ok = true;

	(void)cookie;
	switch (pager.state) {
	case PASS:
		progress_erase();
		ok = put(STDOUT_FILENO, text, n);
		break;
	case HOLD:
	case SLOW:
		ok = hold(text, n);
		break;
	case CHILD:
		ok = put(pager.fd, text, n);
		break;
	case OWN:
		ok = put_own(text, n);
		break;
	case QUIT:
		errno = EPIPE;
		ok = false;
		break;
	}
	if (!ok && errno == EPIPE) {
		pager.has_quit = true;
		if (pager.state == CHILD)
			end_child();
		pager.state = QUIT;
		errno = EPIPE;
	}
	return ok ? (ssize_t)n : 0;
}

FILE *pager_open(void)
{
	cookie_io_functions_t io = {.write = write_fn};

	if (!isatty(STDOUT_FILENO))
		return NULL;
	pager.fp = fopencookie(NULL, "w", io);
	if (pager.fp)
		(void)setvbuf(pager.fp, NULL, _IOLBF, 0); /* else 4 KB */
	return pager.fp;
}

void pager_begin(bool is_on)
{
	if (!pager.fp)
		return;
	pager.is_on =
		is_on && term_is_capable(STDOUT_FILENO) && isatty(STDIN_FILENO);
	pager.has_quit = false;
	pager.down = pager.column = 0;
	term_size(STDOUT_FILENO, &pager.rows, &pager.columns);
	pager.state = pager.is_on ? HOLD : PASS;
}

void pager_show(void)
{
	if (!pager.fp)
		return;
	fflush(pager.fp);
	progress_erase();
	if (pager.held.n > 0)
		(void)put_held(STDOUT_FILENO); /* the next write says it */
}

void pager_settle(void)
{
	if (!pager.fp)
		return;
	pager_show();
	if (pager.state == CHILD)
		end_child();
	pager.down = pager.column = 0;
	if (pager.state != QUIT)
		pager.state = pager.is_on ? HOLD : PASS;
}

bool pager_end(void)
{
	if (!pager.fp)
		return false;
	pager_settle();
	clearerr(pager.fp);
	pager.state = PASS;
	return pager.has_quit;
}

FILE *pager_running(void)
{
	return pager.state == CHILD || pager.state == OWN ? pager.fp : NULL;
}

void pager_close(void)
{
	if (!pager.fp)
		return;
	(void)fclose(pager.fp); /* pager_end() has shown it */
	strbuf_free(&pager.held);
	pager.fp = NULL;
}
