/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Preloaded into a program: when it ends, writes what malloc says of itself to
 * the file $ORACLE, and then a snapshot to $ORACLE.core.  Of the program alone,
 * not of those it starts.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "contract/notes.h"
#include "snap/snap.h"

#if !__GLIBC_PREREQ(2, 33)
#define mallinfo2 mallinfo /* int is enough here */
#endif
#define N(x) ((size_t)m.x)

static char path[4096], text[1024];

__attribute__((constructor)) static void begin(void)
{
	const char *name = getenv("ORACLE");

	if (!name)
		return;
	snprintf(path, sizeof(path) - 8, "%s", name);
	unsetenv("ORACLE");
	unsetenv("LD_PRELOAD");
}

__attribute__((destructor)) static void end(void)
{
	struct snap_request req = {.reason = KMEM_SNAP_EXIT, .wait = 1};
	struct mallinfo2 m;
	int fd, n;

	if (!path[0])
		return;
	m = mallinfo2();
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
	strcat(path, ".core");
	req.path = path;
	if (snap_self(&req) != 0)
		_exit(98);
	path[0] = '\0';
}
