/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A pool that holds the only pointers there are, in memory a child of fork()
 * has not (dontfork) or finds zero (wipeonfork).  With "call": a snapshot in
 * between, after which forks must find the memory as the program asked.
 */
#define _GNU_SOURCE
#include <alloca.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kmem.h"

#define BYTES ((size_t)1 << 20)

static void **pool;

__attribute__((noinline)) static void fill(void)
{
	for (size_t i = 0; i < 1000; i++)
		pool[i * 100] = malloc(48);
}

/* no stale word on the stack may keep what only the pool has */
__attribute__((noinline)) static void scrub(void)
{
	volatile char buf[16384];

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = 0;
}

/* what a child of fork() finds in the pool: 0 zero, 1 pointers, or a signal */
static int in_child(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		syscall(231, pool[0] != NULL); /* exit_group: no dump */
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	int is_wipe = !strcmp(argv[1], "wipeonfork");
	int how = is_wipe ? MADV_WIPEONFORK : MADV_DONTFORK;

	pool = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (madvise(pool, BYTES, how))
		return 77;
	fill();
	scrub();
	if (argc > 2) {
		if (kmem_snapshot("call.core", 0))
			return 98;
		/* the child of the other kind ends by a signal, with a dump */
		if (is_wipe && in_child() != 0)
			return 99;
		if (!is_wipe && mincore(pool, BYTES, alloca(BYTES / 4096)))
			return 99;
	}
	return 0;
}
