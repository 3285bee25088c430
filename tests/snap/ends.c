/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A process that ends, or has children that do, in the way its argument says.
 * Standard output is buffered, so that what is lost or doubled shows.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

__attribute__((noinline)) static int deep(int n)
{
	char buf[1000];

	memset(buf, n, sizeof(buf));
	return deep(n + 1) + buf[n % 1000];
}

__attribute__((noinline)) static void crash_here(void)
{
	*(volatile int *)8 = 1;
}

static void *crash_thread(void *arg)
{
	(void)arg;
	crash_here();
	return NULL;
}

static void at_end(void)
{
	printf("atexit\n");
}

static void on_usr1(int signo)
{
	(void)signo;
	_exit(33);
}

static int child_status(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return 99;
	return WIFSIGNALED(status) ? 100 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static int fork_child(const char *how)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		printf("child\n");
		if (!strcmp(how, "exit"))
			exit(3);
		if (!strcmp(how, "_exit"))
			_exit(4);
		if (!strcmp(how, "crash"))
			crash_here();
		execlp("sh", "sh", "-c", "exit 5", (char *)NULL);
	}
	return child_status(pid);
}

static int spawn_child(void)
{
	char *argv[] = {"sh", "-c", "exit 6", NULL};
	pid_t pid;

	if (posix_spawnp(&pid, "sh", NULL, NULL, argv, environ))
		return 98;
	return child_status(pid);
}

static int vfork_child(const char *how)
{
	pid_t pid = vfork();

	if (pid == 0) {
		if (!strcmp(how, "exec"))
			execlp("sh", "sh", "-c", "exit 7", (char *)NULL);
		if (!strcmp(how, "kill"))
			kill(getpid(), SIGTERM);
		_exit(8);
	}
	return child_status(pid);
}

/* fork without any function of libc that tells others of it */
static int raw_fork(void)
{
	pid_t pid = (pid_t)syscall(SYS_fork);

	if (pid == 0)
		_exit(9);
	return child_status(pid);
}

static int read_pipe(void)
{
	char buf[100] = "";
	FILE *f = popen("echo from popen; exit 10", "r");

	if (!fgets(buf, sizeof(buf), f))
		return 97;
	fputs(buf, stdout);
	return WEXITSTATUS(pclose(f));
}

/* nothing there is may be seen as a child */
static int no_children(void)
{
	int status;

	return wait(&status) == -1 && errno == ECHILD ? 0 : 1;
}

/* SIG_DFL must be seen, and be what is back after it was set again */
static int dispositions(void)
{
	struct sigaction sa;
	int bad = 0;

	for (int i = 1; i < 65; i++) {
		if (i == 32 || i == 33) {
			bad += !sigaction(i, NULL, &sa) || errno != EINVAL;
			continue;
		}
		if (sigaction(i, NULL, &sa) || sa.sa_handler != SIG_DFL ||
		    sa.sa_flags)
			printf("signal %d is not SIG_DFL\n", i), bad++;
	}
	bad += signal(SIGUSR1, on_usr1) != SIG_DFL;
	bad += signal(SIGUSR1, SIG_IGN) != on_usr1;
	bad += signal(SIGUSR1, SIG_DFL) != SIG_IGN;
	bad += sysv_signal(SIGUSR2, on_usr1) != SIG_DFL;
	bad += sigset(SIGUSR2, SIG_DFL) != on_usr1;
	bad += signal(SIGKILL, on_usr1) != SIG_ERR || errno != EINVAL;
	bad += siginterrupt(SIGUSR1, 1) != 0;
	bad += sigaction(SIGUSR1, NULL, &sa) || sa.sa_handler != SIG_DFL;
	sigset(SIGHUP, SIG_HOLD);
	bad += sigset(SIGHUP, SIG_DFL) != SIG_HOLD;
	return bad;
}

static int run(const char *how, const char *arg)
{
	if (!strcmp(how, "return"))
		return 11;
	if (!strcmp(how, "exit"))
		exit(12);
	if (!strcmp(how, "_exit"))
		_exit(13);
	if (!strcmp(how, "_Exit"))
		_Exit(14);
	if (!strcmp(how, "quick_exit"))
		quick_exit(15);
	if (!strcmp(how, "abort"))
		abort();
	if (!strcmp(how, "segv"))
		crash_here();
	if (!strcmp(how, "overflow"))
		return deep(0);
	if (!strcmp(how, "trap"))
		__asm__("int3");
	if (!strcmp(how, "raise"))
		raise(atoi(arg));
	if (!strcmp(how, "thread")) {
		pthread_t t;

		pthread_create(&t, NULL, crash_thread, NULL);
		pthread_join(t, NULL);
	}
	if (!strcmp(how, "handler")) {
		signal(SIGUSR1, on_usr1);
		raise(SIGUSR1);
	}
	if (!strcmp(how, "ignored")) {
		signal(SIGTERM, SIG_IGN);
		raise(SIGTERM);
		return 16;
	}
	if (!strcmp(how, "reset")) {
		signal(SIGTERM, SIG_IGN);
		signal(SIGTERM, SIG_DFL);
		raise(SIGTERM);
	}
	if (!strcmp(how, "fork"))
		return fork_child(arg);
	if (!strcmp(how, "vfork"))
		return vfork_child(arg);
	if (!strcmp(how, "rawfork"))
		return raw_fork();
	if (!strcmp(how, "spawn"))
		return spawn_child();
	if (!strcmp(how, "system")) {
		fflush(stdout);
		return WEXITSTATUS(system("echo in the shell; exit 17"));
	}
	if (!strcmp(how, "popen"))
		return read_pipe();
	if (!strcmp(how, "exec"))
		execlp("sh", "sh", "-c", "exit 18", (char *)NULL);
	if (!strcmp(how, "children"))
		return no_children();
	if (!strcmp(how, "dispositions"))
		return dispositions();
	if (!strcmp(how, "stderr")) {
		/* a file of the program's own where stderr was */
		close(2);
		return open("own", O_WRONLY | O_CREAT | O_TRUNC, 0600) == 2
			       ? 20
			       : 95;
	}
	if (!strcmp(how, "chdir"))
		return chdir("/") ? 1 : 19;
	return 96;
}

int main(int argc, char **argv)
{
	static char buf[4096];

	setvbuf(stdout, buf, _IOFBF, sizeof(buf));
	printf("begin\n");
	atexit(at_end);
	return run(argv[1], argc > 2 ? argv[2] : "");
}
