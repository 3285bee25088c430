/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Processes that keep themselves within bounds: no descriptors, another root,
 * a filter of system calls.
 *
 * usage: bounds closed|nofile|chroot|environ|seccomp|errno|old
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static void churn(unsigned seed, int n)
{
	static __thread void *slot[64];

	while (n-- > 0) {
		unsigned at;
		size_t size;

		seed = seed * 1103515245 + 12345;
		at = seed >> 26;
		size = seed % 13 ? (seed >> 8) % 900 : (seed >> 8) % 3000000;
		slot[at] = realloc(slot[at], size + 1);
		if (!slot[at])
			abort();
		memset(slot[at], 1, size < 100 ? size : 100);
		free(aligned_alloc(4096, seed % 7000 + 1));
	}
}

/* a reply that needs no stdio, which may be closed */
static void say(const char *text)
{
	if (write(1, text, strlen(text)) < 0)
		_exit(99);
}

static pthread_barrier_t ready;

/* allocates nothing before the filter is there */
static void *late(void *arg)
{
	pthread_barrier_wait(&ready);
	pthread_barrier_wait(&ready);
	churn((unsigned)(size_t)arg, 2000);
	pthread_barrier_wait(&ready);
	return NULL;
}

#define ALLOW(nr)                                        \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static int install(struct sock_filter *code, size_t n)
{
	struct sock_fprog prog = {(unsigned short)n, code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			    SECCOMP_FILTER_FLAG_TSYNC, &prog);
}

/* what glibc's malloc needs, and to write and to end; all else is death, or
 * EPERM */
static int filter_unused(unsigned other)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_write),
		ALLOW(SYS_exit_group),
		ALLOW(SYS_exit),
		ALLOW(SYS_mmap),
		ALLOW(SYS_munmap),
		ALLOW(SYS_mremap),
		ALLOW(SYS_mprotect),
		ALLOW(SYS_madvise),
		ALLOW(SYS_brk),
		ALLOW(SYS_futex),
		ALLOW(SYS_rt_sigreturn),
		ALLOW(SYS_rt_sigprocmask),
		BPF_STMT(BPF_RET | BPF_K, other),
	};

	return install(code, sizeof(code) / sizeof(*code));
}

/* system calls that libc has not made for years are deadly, no others are */
static int filter_old(unsigned kill)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_open, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_stat, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_lstat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, kill),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return install(code, sizeof(code) / sizeof(*code));
}

static int sandboxed(int (*filter)(unsigned), unsigned other)
{
	pthread_t t;

	pthread_barrier_init(&ready, NULL, 3);
	for (size_t i = 1; i < 3; i++)
		if (pthread_create(&t, NULL, late, (void *)i))
			return 2;
	pthread_barrier_wait(&ready);
	if (filter(other)) {
		say("no filter\n");
		return 77;
	}
	pthread_barrier_wait(&ready);
	churn(9, 3000);
	pthread_barrier_wait(&ready);
	say("allocated in the sandbox\n");
	return 4;
}

int main(int argc, char **argv)
{
	struct rlimit lim = {8, 8};
	const char *what = argc > 1 ? argv[1] : "";
	size_t bytes = 0;

	churn(1, 100);
	if (!strcmp(what, "closed")) {
		close_range(3, ~0U, 0);
		churn(2, 2000);
		say("closed\n");
		close_range(0, ~0U, 0);
		churn(3, 2000);
		return 5;
	}
	if (!strcmp(what, "nofile")) {
		if (setrlimit(RLIMIT_NOFILE, &lim))
			return 2;
		while (dup(1) >= 0)
			;
		churn(2, 2000);
		say("no descriptor left\n");
		return 6;
	}
	if (!strcmp(what, "chroot")) {
		if (chroot(argv[2]) || chdir("/"))
			return 77;
		churn(2, 2000);
		say(access("/etc/passwd", F_OK) ? "elsewhere\n" : "here\n");
		return 7;
	}
	if (!strcmp(what, "environ")) {
		for (char **e = environ; *e; e++)
			bytes += strlen(*e) > 50000;
		churn(2, 2000);
		printf("%zu large variables\n", bytes);
		return 8;
	}
	if (!strcmp(what, "seccomp"))
		return sandboxed(filter_unused, SECCOMP_RET_KILL_PROCESS);
	if (!strcmp(what, "errno"))
		return sandboxed(filter_unused, SECCOMP_RET_ERRNO | EPERM);
	if (!strcmp(what, "old"))
		return sandboxed(filter_old, SECCOMP_RET_KILL_PROCESS);
	return 2;
}
