/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * New processes while threads allocate: fork, vfork, posix_spawn, system.
 *
 * usage: procs fork|vfork|spawn N
 *        procs daemon FILE       writes "done" into the file, from a daemon
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NTHREADS 2
#define NSLOTS   64

static volatile int is_over;
/* what one thread allocates and another one frees */
static void *slot[NSLOTS];

static unsigned next(unsigned *seed)
{
	*seed = *seed * 1103515245 + 12345;
	return *seed >> 8;
}

/* a few allocations and frees of every kind */
static void churn(unsigned *seed, int n)
{
	while (n-- > 0) {
		size_t size =
			next(seed) % 9 ? next(seed) % 600 : next(seed) % 300000;
		char *p = malloc(size + 1);

		if (!p)
			abort();
		p[0] = p[size] = (char)size;
		p = __atomic_exchange_n(&slot[next(seed) % NSLOTS], p,
					__ATOMIC_ACQ_REL);
		free(p);
	}
}

static void *work(void *arg)
{
	unsigned seed = (unsigned)(size_t)arg;

	while (!is_over) {
		churn(&seed, 50);
		usleep(30); /* the processes want a CPU, too */
	}
	return NULL;
}

/* the status of a child, or what went wrong */
static int await(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status)
				 : 1000 + WTERMSIG(status);
}

static int by_fork(int i)
{
	unsigned seed = (unsigned)i;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		churn(&seed, 100);
		if (i % 16 == 0) { /* a grandchild, and a thread here */
			pthread_t t;

			is_over = 1;
			if (pthread_create(&t, NULL, work, NULL) ||
			    pthread_join(t, NULL) ||
			    await(fork() ?: (_exit(0), 0)))
				_exit(9);
		}
		_exit(i % 100);
	}
	return await(pid) == i % 100 ? 0 : -1;
}

static int by_vfork(int i)
{
	char number[20];
	pid_t pid;

	snprintf(number, sizeof(number), "exit %d", i % 100);
	pid = vfork();
	if (pid == 0) {
		/* not allowed, and done */
		char *p = malloc((size_t)(i % 5000) + 1);

		p[i % 5000] = 1;
		free(p);
		if (i % 3 == 0)
			_exit(i % 100);
		execl("/bin/sh", "sh", "-c", number, NULL);
		_exit(126);
	}
	return await(pid) == i % 100 ? 0 : -1;
}

static int by_spawn(int i)
{
	char number[20];
	char *argv[] = {"sh", "-c", number, NULL};
	posix_spawn_file_actions_t acts;
	posix_spawnattr_t attr;
	sigset_t all;
	FILE *in;
	pid_t pid;
	int n = -1;
	int rc;

	snprintf(number, sizeof(number), "exit %d", i % 100);
	sigfillset(&all);
	posix_spawn_file_actions_init(&acts);
	posix_spawn_file_actions_addopen(&acts, 0, "/dev/null", 0, 0);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigdefault(&attr, &all);
	rc = posix_spawn(&pid, "/bin/sh", &acts, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&acts);
	posix_spawnattr_destroy(&attr);
	if (rc || await(pid) != i % 100)
		return -1;
	in = popen("echo 42", "r");
	if (!in || fscanf(in, "%d", &n) != 1 || n != 42 || pclose(in))
		return -1;
	return system("exit 3") == 3 << 8 ? 0 : -1;
}

static int run_daemon(const char *path)
{
	FILE *f;
	unsigned seed = 1;

	churn(&seed, 100);
	printf("goes\n");
	if (daemon(1, 0))
		return 9;
	churn(&seed, 100);
	printf("nobody reads this\n");
	fflush(stdout);
	f = fopen(path, "w");
	if (!f)
		return 8;
	fprintf(f, "done %d\n", getsid(0) == getpid());
	return fclose(f) ? 7 : 4;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int);
	} cases[] = {
		{"fork", by_fork}, {"vfork", by_vfork}, {"spawn", by_spawn}};
	pthread_t thread[NTHREADS];
	int nfailed = 0;
	int n = argc > 2 ? atoi(argv[2]) : 0;

	if (argc == 3 && !strcmp(argv[1], "daemon")) {
		setvbuf(stdout, NULL, _IONBF, 0);
		return run_daemon(argv[2]);
	}
	for (size_t i = 0; i < NTHREADS; i++)
		if (pthread_create(&thread[i], NULL, work, (void *)(i + 1)))
			return 2;
	for (size_t c = 0; c < 3; c++) {
		if (argc < 2 || strcmp(argv[1], cases[c].name))
			continue;
		for (int i = 0; i < n; i++)
			nfailed += cases[c].run(i) != 0;
		printf("%s: %d times, %d failed\n", argv[1], n, nfailed);
	}
	is_over = 1;
	for (size_t i = 0; i < NTHREADS; i++)
		pthread_join(thread[i], NULL);
	return nfailed != 0;
}
