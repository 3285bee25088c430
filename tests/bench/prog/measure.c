/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Runs a command and writes what it cost: a launcher that is small itself,
 * since the kernel counts the pages of whoever calls exec() in the peak of
 * what runs then.
 *
 * usage: measure OUTPUT SECONDS [VARIABLE=VALUE ...] COMMAND [ARGUMENT ...]
 * Writes to OUTPUT: status, seconds of CPU (user and system), seconds of wall
 * time, peak resident KiB.  Status 124: it took longer than SECONDS.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t pid;
static volatile sig_atomic_t is_late;

static void on_alarm(int sig)
{
	(void)sig;
	is_late = 1;
	kill(pid, SIGKILL);
}

static double seconds(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	int i = 3, status = 0;
	struct rusage ru;
	double start;
	FILE *out;

	while (i < argc && strchr(argv[i], '='))
		i++;
	if (i >= argc)
		return 2;
	out = fopen(argv[1], "we");
	if (!out)
		return 2;
	start = now();
	pid = fork();
	if (pid == 0) {
		for (int k = 3; k < i; k++)
			putenv(argv[k]);
		execvp(argv[i], argv + i);
		_exit(127);
	}
	signal(SIGALRM, on_alarm);
	alarm((unsigned)atoi(argv[2]));
	while (wait4(pid, &status, 0, &ru) < 0 && errno == EINTR)
		;
	status = WIFEXITED(status) ? WEXITSTATUS(status)
				   : 128 + WTERMSIG(status);
	fprintf(out, "%d %.6f %.6f %ld\n", is_late ? 124 : status,
		seconds(ru.ru_utime) + seconds(ru.ru_stime), now() - start,
		ru.ru_maxrss);
	return fclose(out) != 0;
}
