/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Many dumps in one call.
 *
 * Each dump is opened by a child of its own, forked before anything was opened:
 * a dump that ends its child takes none of the others with it, and what was
 * computed of one is gone before the next.  What a child prints goes to two
 * files without names; when all dumps before it have been printed, they are.
 *
 * I1  At most jobs children run, and at most WINDOW_PER_JOB * jobs dumps are
 *     begun but not printed: neither memory nor files grow with their number.
 * I2  A child is the leader of a process group, which the shell commands it
 *     starts are in.  However this process ends, so do the groups: by a signal
 *     one can catch, because we wait for these with sigwaitinfo() and pass it
 *     on; by SIGKILL, because the kernel tells the children.
 * I3  A child never reads our standard input: there is one, and they are many.
 */
#define _GNU_SOURCE /* mkostemp, sigabbrev_np */
#include "pmdb/many.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "pmdb/pmdb.h"

enum {
	WINDOW_PER_JOB = 2,
	COPY_BYTES = 65536,
};

struct child {
	pid_t pid; /* 0: it has ended, or there is none */
	int out, err;
	int status; /* of the exit */
	int signo;  /* that ended it; 0: none */
};

struct pool {
	const struct many *m;
	struct child *children; /* of the dump i: at i % nchildren */
	size_t nchildren;
	size_t begun, printed; /* dumps */
	size_t nrunning;
	sigset_t wait, before;
	int worst;
	int ended_by; /* the signal that ends us; 0: none */
	int lost;     /* errno of the write that failed */
};

/* ---- a child --------------------------------------------------------- */

static int spool(void)
{
	const char *dir = getenv("TMPDIR");
	_free_ char *path =
		mem_printf("%s/pmdb.XXXXXX", dir && dir[0] ? dir : "/var/tmp");
	int fd = mkostemp(path, O_CLOEXEC);

	if (fd < 0) {
		fprintf(stderr, "pmdb: %s: cannot make a file: %s\n", path,
			strerror(errno));
		return -1;
	}
	(void)unlink(path); /* it was made a moment ago */
	return fd;
}

/* the children share the processors, unless somebody said how */
static void share_processors(unsigned jobs)
{
	cpu_set_t set;
	char text[16];
	int n = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);
	int each = n / (int)jobs;

	(void)snprintf(text, sizeof(text), "%d", each > 0 ? each : 1);
	(void)setenv("PMDB_JOBS", text, 0); /* without it there is less speed */
}

static _Noreturn void be_child(const struct pool *p, const struct child *c,
			       const char *dump, pid_t parent)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int rc = 0;

	(void)setpgid(0, 0); /* the parent does it, too */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) /* it has ended already */
		_exit(PMDB_NO_VERDICT);
	(void)sigprocmask(SIG_SETMASK, &p->before, NULL);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(c->out, STDOUT_FILENO) < 0 || dup2(c->err, STDERR_FILENO) < 0)
		_exit(PMDB_NO_VERDICT);
	share_processors(p->m->jobs);
	rc = p->m->one(p->m->arg, dump);
	if (fflush(stdout))
		rc = PMDB_NO_VERDICT;
	_exit(rc);
}

static struct child *child_of(const struct pool *p, size_t i)
{
	return &p->children[i % p->nchildren];
}

static void begin(struct pool *p)
{
	const char *dump = p->m->dumps[p->begun];
	struct child *c = child_of(p, p->begun++);
	pid_t parent = getpid();

	*c = (struct child){
		.out = spool(), .err = -1, .status = PMDB_NO_VERDICT};
	if (c->out >= 0)
		c->err = spool();
	if (c->err < 0)
		return;
	fflush(NULL);
	c->pid = fork();
	if (c->pid < 0) {
		fprintf(stderr, "pmdb: %s: cannot start a process: %s\n", dump,
			strerror(errno));
		c->pid = 0;
		return;
	}
	if (c->pid == 0)
		be_child(p, c, dump, parent);
	(void)setpgid(c->pid, c->pid); /* I2; the child does it, too */
	p->nrunning++;
}

/* ---- what they printed ----------------------------------------------- */

/* whole, as it is; false: our output cannot be written */
static bool copy_out(int fd)
{
	char buf[COPY_BYTES];
	ssize_t n = 0;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return true;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n)
			return false;
	return !fflush(stdout);
}

/* "pmdb: what" becomes "pmdb: DUMP: what", unless it says the dump's name */
static void print_errors(int fd, const char *dump)
{
	int copy = dup(fd);
	FILE *fp = copy < 0 ? NULL : fdopen(copy, "r");
	char *line = NULL;
	size_t cap = 0;

	if (!fp) {
		if (copy >= 0)
			(void)close(copy); /* only read */
		return;
	}
	rewind(fp);
	while (getline(&line, &cap, fp) > 0) {
		bool is_ours = !strncmp(line, "pmdb: ", 6);
		const char *what = is_ours ? line + 6 : line;
		size_t n = strlen(dump);

		if (is_ours && !strncmp(what, dump, n) && what[n] == ':')
			fputs(line, stderr);
		else
			fprintf(stderr, "%s%s: %s", is_ours ? "pmdb: " : "",
				dump, what);
	}
	free(line);
	(void)fclose(fp); /* only read */
}

static void print_ending(const struct child *c, const char *dump)
{
	const char *name = sigabbrev_np(c->signo);

	if (c->signo)
		fprintf(stderr,
			"pmdb: %s: the process that examined it was ended by "
			"signal %d (SIG%s)\n",
			dump, c->signo, name ? name : "?");
}

static void drop(struct child *c)
{
	if (c->out >= 0)
		(void)close(c->out); /* temporary */
	if (c->err >= 0)
		(void)close(c->err);
	c->out = c->err = -1;
}

/* the next one in order; false: nothing is wanted after it */
static bool print_next(struct pool *p)
{
	struct child *c = child_of(p, p->printed);
	const char *dump = p->m->dumps[p->printed];
	bool is_written = true;

	if (p->m->has_headings)
		is_written = printf("%s==> %s <==\n", p->printed ? "\n" : "",
				    dump) > 0;
	if (c->err >= 0 && is_written)
		is_written = copy_out(c->out);
	if (!is_written)
		p->lost = errno;
	if (c->err >= 0)
		print_errors(c->err, dump);
	print_ending(c, dump);
	drop(c);
	p->printed++;
	if (c->status > p->worst)
		p->worst = c->status;
	return is_written && !(p->m->is_fail_fast && c->status);
}

/* ---- all of them ----------------------------------------------------- */

/* takes those that have ended */
static void reap(struct pool *p)
{
	for (size_t i = p->printed; i < p->begun; i++) {
		struct child *c = child_of(p, i);
		int st = 0;

		if (c->pid == 0 || waitpid(c->pid, &st, WNOHANG) != c->pid)
			continue;
		c->pid = 0;
		p->nrunning--;
		if (WIFSIGNALED(st))
			c->signo = WTERMSIG(st);
		else
			c->status = WEXITSTATUS(st);
	}
}

/* I2: nobody is left */
static void end_all(struct pool *p)
{
	for (size_t i = p->printed; i < p->begun; i++) {
		struct child *c = child_of(p, i);

		if (c->pid > 0) {
			(void)kill(-c->pid, SIGKILL); /* or it has ended */
			while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
				continue;
		}
		drop(c);
	}
}

static void loop(struct pool *p)
{
	const struct many *m = p->m;

	while (p->printed < m->n) {
		int signo = 0;

		while (p->nrunning < m->jobs && p->begun < m->n &&
		       p->begun - p->printed < p->nchildren) /* I1 */
			begin(p);
		if (child_of(p, p->printed)->pid == 0) {
			if (!print_next(p))
				return;
			continue;
		}
		signo = sigwaitinfo(&p->wait, NULL);
		if (signo == SIGCHLD) {
			reap(p);
		} else if (signo > 0) {
			p->ended_by = signo;
			return;
		}
	}
}

/* what ends us is waited for; what is ignored (nohup) stays so */
static void block_signals(struct pool *p)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

	sigemptyset(&p->wait);
	sigaddset(&p->wait, SIGCHLD);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		struct sigaction old;

		(void)sigaction(ends[i], NULL, &old); /* it exists */
		if (old.sa_handler != SIG_IGN)
			sigaddset(&p->wait, ends[i]);
	}
	(void)signal(SIGCHLD, SIG_DFL); /* if not, there is no status */
	(void)sigprocmask(SIG_BLOCK, &p->wait, &p->before);
}

int many_run(const struct many *m)
{
	struct pool p = {.m = m, .nchildren = (size_t)m->jobs * WINDOW_PER_JOB};

	p.children = mem_array(p.nchildren, sizeof(*p.children));
	block_signals(&p);
	loop(&p);
	end_all(&p);
	mem_free(p.children);
	(void)sigprocmask(SIG_SETMASK, &p.before, NULL);
	if (p.ended_by) {
		(void)signal(p.ended_by, SIG_DFL);
		(void)raise(p.ended_by);
	}
	/* a reader that went away has seen enough */
	if (p.lost && p.lost != EPIPE) {
		fprintf(stderr, "pmdb: cannot write the output: %s\n",
			strerror(p.lost));
		return PMDB_NO_VERDICT;
	}
	return p.worst;
}
