/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Makes transactions, for logfile.t to find in the file of the log.
 *
 *	logfile N [kill | fork | exec | fds | errno | rename | wait]...
 *
 * Each word is done after N transactions, which are followed by N more.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *kept[500];
static unsigned seed = 1;

static void churn(int n)
{
	for (int i = 0; i < n; i++) {
		void **p = &kept[rand_r(&seed) % 500];

		if (*p) {
			free(*p);
			*p = NULL;
			continue;
		}
		*p = malloc((size_t)rand_r(&seed) % 400 + 1);
		if (!*p)
			_exit(98);
	}
}

/* what came of malloc() before the handlers, and of it between them */
static void *between;

static void at_child(void)
{
	between = malloc(77);
}

static void at_parent(void)
{
	free(malloc(77));
}

static void in_child(int n)
{
	pid_t pid = fork();

	if (pid == 0) {
		free(between);
		churn(n / 2);
		_exit(0);
	}
	printf("child %d\n", (int)pid);
	waitpid(pid, NULL, 0);
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	if (!dir)
		_exit(97);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 0;
	int before;

	pthread_atfork(NULL, at_parent, at_child);
	churn(n);
	for (int i = 2; i < argc; i++) {
		const char *word = argv[i];

		before = count_fds();
		fflush(stdout);
		if (!strcmp(word, "kill"))
			kill(getpid(), SIGKILL);
		else if (!strcmp(word, "fork"))
			in_child(n);
		else if (!strcmp(word, "exec"))
			execl(argv[0], argv[0], "10", (char *)NULL);
		else if (!strcmp(word, "rename"))
			rename(getenv("LOG"), getenv("MOVED"));
		else if (!strcmp(word, "wait"))
			(void)!getchar();
		errno = EDOM;
		churn(n);
		if (!strcmp(word, "errno"))
			printf("errno %d\n", errno == EDOM);
		if (!strcmp(word, "fds"))
			printf("fds %d\n", count_fds() - before);
	}
	fflush(stdout);
	_exit(0);
}
