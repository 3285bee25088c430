/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Preloaded into a program: when it ends, writes what malloc says of itself to
 * the file $ORACLE, and then a snapshot to $ORACLE.core.  Of the program alone,
 * not of those it starts.
 *
 * With ORACLE_SIGNAL, of a server: on SIGUSR2 as well, as soon as the thread that
 * is asked has come back from epoll_wait(), where no call of malloc's family can
 * have been interrupted; to $ORACLE.0, $ORACLE.0.core and so on.  At its end to
 * the next of these.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "contract/notes.h"
#include "snap/snap.h"

#if !__GLIBC_PREREQ(2, 33)
#define mallinfo2 mallinfo /* int is enough here */
#endif
#define N(x) ((size_t)m.x)

typedef int wait_fn(int, struct epoll_event *, int, int);

static char stem[4000], path[4096], text[1024];
static wait_fn *wait_next;
static int is_server;
static unsigned ntaken;
static volatile sig_atomic_t is_asked;

static void ask(int sig)
{
	(void)sig;
	is_asked = 1;
}

__attribute__((constructor)) static void begin(void)
{
	const char *name = getenv("ORACLE");
	struct sigaction act = {.sa_handler = ask};

	wait_next = (wait_fn *)dlsym(RTLD_NEXT, "epoll_wait");
	if (!name)
		return;
	snprintf(stem, sizeof(stem), "%s", name);
	is_server = getenv("ORACLE_SIGNAL") != NULL;
	if (is_server)
		sigaction(SIGUSR2, &act, NULL);
	unsetenv("ORACLE");
	unsetenv("ORACLE_SIGNAL");
	unsetenv("LD_PRELOAD");
}

static void take(void)
{
	struct snap_request req = {.reason = KMEM_SNAP_EXIT, .wait = 1};
	struct mallinfo2 m;
	int fd, n;

	if (is_server)
		snprintf(path, sizeof(path), "%s.%u.core", stem, ntaken++);
	else
		snprintf(path, sizeof(path), "%s.core", stem);
	m = mallinfo2();
	req.path = path;
	if (snap_self(&req) != 0)
		_exit(98);
	path[strlen(path) - 5] = '\0';
	n = snprintf(text, sizeof(text),
		     "arena %zu\nordblks %zu\nsmblks %zu\nhblks %zu\n"
		     "hblkhd %zu\nfsmblks %zu\nuordblks %zu\nfordblks %zu\n"
		     "keepcost %zu\n",
		     N(arena), N(ordblks), N(smblks), N(hblks), N(hblkhd),
		     N(fsmblks), N(uordblks), N(fordblks), N(keepcost));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		_exit(97);
	close(fd);
}

int epoll_wait(int fd, struct epoll_event *events, int max, int ms)
{
	int n = wait_next(fd, events, max, ms);

	if (is_asked) {
		is_asked = 0;
		take();
	}
	return n;
}

__attribute__((destructor)) static void end(void)
{
	if (stem[0])
		take();
	stem[0] = '\0';
}
