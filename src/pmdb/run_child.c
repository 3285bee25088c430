/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "pmdb run": starts the program and waits for it as if it had been started
 * without: it gets the signals that come for pmdb, pmdb stands still when it
 * does, and its status is pmdb's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "pmdb/run_impl.h"

#define GROUP_MS 200 /* for the witness to tell */
#define GRACE_S  10  /* from SIGTERM to SIGKILL at a timeout */

/* the child's environment; returns 0 or -1 with errno set */
static int set_environment(const struct run *run)
{
	const char *old = getenv("LD_PRELOAD");
	_free_ char *preload = NULL;
	_free_ char *snapshot = NULL;

	preload = old && *old ? mem_printf("%s:%s", run->lib, old)
			      : mem_strdup(run->lib);
	snapshot =
		mem_printf("exit,_exit,fatal,panic,main=%d,%s%s%s%s%s%s"
			   "path=%s%s",
			   (int)getpid(), run->list[0] ? "list=" : "",
			   run->list, run->list[0] ? "," : "",
			   run->only.n ? "only=" : "", strbuf_str(&run->only),
			   run->only.n ? "," : "", run->cwd, run->dump);
	if (setenv("LD_PRELOAD", preload, 1) ||
	    setenv("KMEM_SNAPSHOT", snapshot, 1))
		return -1;
	if (!getenv("UMEM_DEBUG") && setenv("KMEM_DEBUG", "default", 0))
		return -1;
	if (!getenv("UMEM_LOGGING") &&
	    setenv("KMEM_LOGGING", "transaction=1m", 0))
		return -1;
	return 0;
}

/* a script without #! is the shell's, as execvp() has it */
static void become_shell(const struct run *run)
{
	_free_ char **argv = NULL;
	size_t n = 0;

	while (run->argv[n])
		n++;
	argv = mem_array(n + 2, sizeof(*argv));
	argv[0] = run->argv[0];
	argv[1] = (char *)(uintptr_t)run->prog;
	memcpy(argv + 2, run->argv + 1, n * sizeof(*argv));
	execv("/bin/sh", argv);
}

/* in the child: becomes the program, or tells the parent why not */
static void become(const struct run *run, int fd) __attribute__((noreturn));
static void become(const struct run *run, int fd)
{
	int err;

	if (set_environment(run) == 0) {
		execv(run->prog, run->argv);
		if (errno == ENOEXEC)
			become_shell(run);
	}
	err = errno;
	if (write(fd, &err, sizeof(err)) != sizeof(err))
		_exit(PMDB_RUN_FAILED);
	_exit(PMDB_RUN_NOEXEC);
}

/*
 * A signal sent to the whole process group comes to the program as well, and
 * must not be handed on: a second SIGINT would strike while it cleans up.
 * Nothing in the signal tells, so a process that does nothing else is in the
 * group too, and writes down what it gets.
 */
struct witness {
	pid_t pid;
	int fd; /* a byte for each signal */
};

static void witness_start(struct witness *w, const sigset_t *set)
{
	int fds[2];

	w->pid = -1;
	w->fd = -1;
	if (pipe2(fds, O_CLOEXEC))
		return;
	w->pid = fork();
	if (w->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* nobody may wait for the end of what we hold open */
		if (dup2(fds[1], 0) < 0 || close_range(1, ~0U, 0))
			_exit(0);
		for (;;) {
			char signo = (char)sigwaitinfo(set, NULL);

			if (write(0, &signo, 1) != 1)
				_exit(0);
		}
	}
	close(fds[1]);
	w->fd = fds[0];
}

static void witness_stop(struct witness *w)
{
	if (w->pid > 0) {
		kill(w->pid, SIGKILL);
		waitpid(w->pid, NULL, 0);
	}
	if (w->fd >= 0)
		close(w->fd);
}

/* has the whole group got the signal? */
static int is_for_group(const struct witness *w, int signo)
{
	struct pollfd in = {.fd = w->fd, .events = POLLIN};
	char got = 0;

	while (w->pid > 0 && poll(&in, 1, GROUP_MS) > 0 &&
	       read(w->fd, &got, 1) == 1) {
		if (got == signo)
			return 1;
	}
	return 0;
}

/* the signals that are handed on.  SIGTTIN and SIGTTOU are not: a terminal
 * sends them to all of a group. */
static const int handed_on[] = {SIGTERM, SIGHUP,  SIGINT,  SIGQUIT, SIGUSR1,
				SIGUSR2, SIGALRM, SIGTSTP, SIGCONT};

/* seconds that are left of a timeout; is_set: there is one */
struct clock {
	bool is_set;
	bool is_over; /* SIGTERM was sent, SIGKILL is next */
	time_t end_s;
};

static time_t now_s(void)
{
	struct timespec t = {0};

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* waits for a signal, or until it is time: 0 then */
static int await_signal(const sigset_t *set, const struct clock *clock)
{
	struct timespec left = {0};
	int signo = 0;

	if (!clock->is_set)
		return sigwaitinfo(set, NULL);
	left.tv_sec = clock->end_s - now_s();
	if (left.tv_sec < 0)
		left.tv_sec = 0;
	signo = sigtimedwait(set, NULL, &left);
	return signo < 0 && errno == EAGAIN ? 0 : signo;
}

/* it is time: the program and all it started are asked to end, which lets them
 * leave their dumps; then they are made to */
static void time_out(pid_t pid, struct clock *clock)
{
	if (now_s() < clock->end_s)
		return;
	run_signal_tree(pid, clock->is_over ? SIGKILL : SIGTERM);
	clock->is_over = true;
	clock->end_s = now_s() + GRACE_S;
}

/* waits for the program to end, handing on the signals that come for it to
 * pmdb, and standing still while it does; all of set is blocked.  Returns the
 * wait status. */
static int await(pid_t pid, const struct witness *w, const sigset_t *set,
		 struct clock *clock)
{
	int status;

	for (;;) {
		int signo = await_signal(set, clock);

		if (signo == 0)
			time_out(pid, clock);
		if (signo > 0 && signo != SIGCHLD && !is_for_group(w, signo))
			kill(pid, signo);
		if (signo != SIGCHLD ||
		    waitpid(pid, &status, WNOHANG | WUNTRACED) != pid)
			continue;
		if (!WIFSTOPPED(status))
			return status;
		/* a shell that waits for us is to know; it goes on with SIGCONT,
		 * for us or for the group */
		raise(SIGSTOP);
	}
}

int run_and_wait(struct run *run, int *ret_started)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	struct sigaction old_chld;
	struct clock clock = {run->timeout_s > 0, false, 0};
	struct witness w;
	sigset_t set;
	sigset_t saved;
	int fds[2];
	int err = 0;
	int status;
	pid_t pid;

	*ret_started = 0;
	if (pipe2(fds, O_CLOEXEC)) {
		run_complain("run", "%s", strerror(errno));
		return PMDB_RUN_FAILED;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < sizeof(handed_on) / sizeof(int); i++)
		sigaddset(&set, handed_on[i]);
	sigprocmask(SIG_BLOCK, &set, &saved);
	sigaction(SIGCHLD, &dfl, &old_chld);
	witness_start(&w, &set);
	pid = fork();
	if (pid == 0) {
		sigaction(SIGCHLD, &old_chld, NULL);
		sigprocmask(SIG_SETMASK, &saved, NULL);
		become(run, fds[1]);
	}
	if (pid < 0) {
		run_complain("run", "cannot fork: %s", strerror(errno));
		witness_stop(&w);
		return PMDB_RUN_FAILED;
	}
	close(fds[1]);
	*ret_started = read(fds[0], &err, sizeof(err)) != sizeof(err);
	close(fds[0]);
	run->pid = pid;
	clock.end_s = now_s() + run->timeout_s;
	status = await(pid, &w, &set, &clock);
	witness_stop(&w);
	sigprocmask(SIG_SETMASK, &saved, NULL);
	if (!*ret_started) {
		run_complain(run->argv[0], "%s", strerror(err));
		return err == ENOENT ? PMDB_RUN_NOTFOUND : PMDB_RUN_NOEXEC;
	}
	if (clock.is_over) {
		run_complain(run->argv[0], "ended after %ld seconds",
			     run->timeout_s);
		return PMDB_RUN_TIMEOUT;
	}
	return WIFSIGNALED(status) ? PMDB_RUN_SIGNAL + WTERMSIG(status)
				   : WEXITSTATUS(status);
}
