/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The progress line.  A timer draws it, so that work needs no clock: it only
 * says now and then how far it is (base/progress.h).
 *
 *	marking  43%, 12 s (Ctrl-C stops it)
 *
 * I1  It is drawn after a second in which nothing was printed, and when the
 *     cursor is in column 0, never into a line that is not finished.
 * I2  The handler calls write(2) only.
 */
#include "shell/progress.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/progress.h"
#include "shell/term.h"

enum {
	TICK_MS = 250,
	FIRST_TICKS = 4, /* of quiet */
};

/* there is one terminal, and a signal handler has no argument */
static struct {
	volatile sig_atomic_t is_running;
	volatile sig_atomic_t is_shown;
	volatile sig_atomic_t is_mid_line;
	volatile sig_atomic_t quiet; /* ticks since something was printed */
	volatile sig_atomic_t ticks;
} progress;

struct line {
	char text[80]; /* one fits on any terminal */
	size_t n;
};

static void add(struct line *l, const char *s)
{
	while (*s && l->n < sizeof(l->text))
		l->text[l->n++] = *s++;
}

static void add_number(struct line *l, uint64_t v)
{
	char digits[21];
	size_t i = sizeof(digits) - 1;

	digits[i] = '\0';
	do {
		digits[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	add(l, digits + i);
}

/* I2 */
static void put(const struct line *l)
{
	ssize_t n = write(STDERR_FILENO, l->text, l->n);

	(void)n; /* a line that is not seen is no loss */
}

static void draw(void)
{
	struct progress p = progress_state;
	struct line l = {.n = 0};

	add(&l, "\r");
	add(&l, p.what ? p.what : "working");
	if (p.what && p.total > 0) {
		add(&l, "  ");
		add_number(&l, p.done >= p.total
				       ? 100
				       : (uint64_t)((double)p.done * 100 /
						    (double)p.total));
		add(&l, "%, ");
	} else if (p.what && p.done > 0) {
		add(&l, "  ");
		add_number(&l, p.done);
		add(&l, ", ");
	} else {
		add(&l, "  ");
	}
	add_number(&l, (uint64_t)progress.ticks * TICK_MS / 1000);
	add(&l, " s (Ctrl-C stops it)\033[K");
	put(&l);
	progress.is_shown = 1;
}

static void on_tick(int sig)
{
	int saved = errno;

	(void)sig;
	progress.ticks++;
	progress.quiet++;
	if (progress.quiet >= FIRST_TICKS && !progress.is_mid_line &&
	    progress.is_running)
		draw();
	errno = saved;
}

static void set_timer(unsigned ms)
{
	struct itimerval it = {.it_interval.tv_usec = (suseconds_t)ms * 1000,
			       .it_value.tv_usec = (suseconds_t)ms * 1000};

	(void)setitimer(ITIMER_REAL, &it, NULL); /* cannot fail */
}

void progress_start(void)
{
	struct sigaction sa = {.sa_handler = on_tick, .sa_flags = SA_RESTART};

	if (!term_is_capable(STDERR_FILENO))
		return;
	progress_set(NULL, 0, 0);
	progress.ticks = progress.quiet = 0;
	progress.is_mid_line = 0;
	progress.is_running = 1;
	(void)sigaction(SIGALRM, &sa, NULL); /* cannot fail */
	set_timer(TICK_MS);
}

void progress_erase(void)
{
	static const struct line blank = {.text = "\r\033[K", .n = 4};

	if (!progress.is_shown)
		return;
	progress.is_shown = 0;
	put(&blank);
}

void progress_printed(size_t column)
{
	progress.quiet = 0;
	progress.is_mid_line = column > 0;
}

void progress_stop(void)
{
	if (!progress.is_running)
		return;
	progress.is_running = 0;
	set_timer(0);
	progress_erase();
}
