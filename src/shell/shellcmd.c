/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "!": commands of the user's shell.  A child gets default signals back (we
 * ignore SIGPIPE); an interrupt is for the child, and we wait on.
 */
#define _GNU_SOURCE /* pipe2 */
#include "shell/shell_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shell/pager.h"
#include "shell/progress.h"

static const char *shell_path(void)
{
	const char *path = getenv("SHELL");

	return path && path[0] ? path : "/bin/sh";
}

/* in the child */
static void __attribute__((noreturn))
become(const char *path, const char *command, int in, int out)
{
	static const int sigs[] = {SIGINT, SIGPIPE, SIGQUIT};

	for (size_t i = 0; i < sizeof(sigs) / sizeof(*sigs); i++)
		(void)signal(sigs[i], SIG_DFL); /* cannot fail */
	if ((in < 0 || dup2(in, 0) == 0) && (out < 0 || dup2(out, 1) == 1))
		execl(path, path, "-c", command, (char *)NULL);
	_exit(127);
}

static struct err *spawn(const char *command, int in, int out, pid_t *ret)
{
	const char *path = shell_path();
	pid_t pid = -1;

	if (access(path, X_OK))
		return err_new(ERR_IO, "cannot access %s", path);
	pager_settle();
	progress_stop();
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return err_new(ERR_IO, "cannot start %s: %s", path,
			       strerror(errno));
	if (pid == 0)
		become(path, command, in, out);
	*ret = pid;
	return NULL;
}

static void wait_for(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
}

struct err *shell_run(const char *command, int in, int out)
{
	pid_t pid = -1;
	struct err *err = spawn(command, in, out, &pid);

	if (!err)
		wait_for(pid);
	return err;
}

struct err *shell_start(const char *command, int out, struct shell_child *ret)
{
	struct err *err = NULL;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return err_new(ERR_IO, "cannot make a pipe: %s",
			       strerror(errno));
	err = spawn(command, fds[0], out, &ret->pid);
	(void)close(fds[0]); /* the child's */
	if (err) {
		(void)close(fds[1]); /* nothing was written */
		return err;
	}
	ret->fp = fdopen(fds[1], "w");
	if (ret->fp)
		return NULL;
	(void)close(fds[1]); /* the child sees end of file */
	wait_for(ret->pid);
	return err_new(ERR_IO, "cannot write to a pipe: %s", strerror(errno));
}

void shell_finish(struct shell_child *child)
{
	/* a child that reads no more is no error of ours */
	(void)fclose(child->fp);
	wait_for(child->pid);
}
