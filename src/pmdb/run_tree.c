/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A process with all its descendants, as far as the kernel's lists of children
 * lead: who has lost its parent is init's, and not found.  A process that is met
 * has its children listed before it gets the signal that may end it.
 */
#include "pmdb/run_impl.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>

#include "base/mem.h"

/* more would be a fork bomb */
#define PROCESSES_MAX 65536

struct tree {
	VEC(pid_t) pids;
};

static void add_children_of_thread(struct tree *tree, pid_t pid,
				   const char *tid)
{
	_free_ char *path =
		mem_printf("/proc/%d/task/%s/children", (int)pid, tid);
	FILE *f = fopen(path, "re");
	int child = 0;

	while (f && tree->pids.n < PROCESSES_MAX &&
	       fscanf(f, "%d", &child) == 1)
		VEC_PUSH(&tree->pids, (pid_t)child);
	if (f)
		fclose(f);
}

static void add_children(struct tree *tree, pid_t pid)
{
	_free_ char *path = mem_printf("/proc/%d/task", (int)pid);
	DIR *dir = opendir(path);

	if (!dir)
		return;
	for (;;) {
		const struct dirent *entry = readdir(dir);

		if (!entry)
			break;
		if (entry->d_name[0] != '.')
			add_children_of_thread(tree, pid, entry->d_name);
	}
	closedir(dir);
}

void run_signal_tree(pid_t pid, int signo)
{
	struct tree tree = {0};

	VEC_PUSH(&tree.pids, pid);
	for (size_t i = 0; i < tree.pids.n; i++)
		add_children(&tree, tree.pids.v[i]);
	for (size_t i = 0; i < tree.pids.n; i++)
		kill(tree.pids.v[i], signo);
	VEC_FREE(&tree.pids);
}
