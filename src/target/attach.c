/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Stopping a process by ptrace, without leaving a trace in it.
 *
 * PTRACE_SEIZE and PTRACE_INTERRUPT send no signal: a process that was stopped
 * by one (Ctrl-Z) stays so, and nothing is added to what its parent sees.
 * Only the thread that seized may go on to ask, so each attachment has a
 * thread of ours that does nothing else; it lives as long as the process is
 * stopped.
 *
 * (I1) The kernel lets go what a tracing thread held when that thread ends, of
 *      whatever cause.  A kill -9 of pmdb leaves the process running.
 * (I2) Threads are stopped in rounds: one that still ran may have made others,
 *      so /proc/PID/task is read until it names none that is new.
 * (I3) A signal that arrives is met in its delivery: it is handed back when the
 *      thread is let go, never lost and never doubled.
 * (I4) A thread asleep in the kernel in a way nothing interrupts (state D; the
 *      parent in vfork()) cannot run user code without being stopped first, so
 *      that it counts as stopped after WAIT_NS.  What is known of its
 *      registers is /proc/PID/task/TID/syscall.
 * (I5) System calls go on.  Most are restarted by the kernel; a few return
 *      EINTR to a thread that was merely stopped (epoll_wait, semop, a read
 *      with a time limit), which a program that handles no signal does not
 *      expect.  Their result is changed to ERESTARTNOHAND before the thread
 *      goes on: the kernel then begins them again, with their whole time limit,
 *      or returns EINTR if there is a handler to run.  The dump shows EINTR.
 */
#define _GNU_SOURCE
#include "target/attach.h"

#include <cpuid.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"

#define WAIT_NS           ((uint64_t)1000000000) /* for a thread to stop */
#define ROUNDS_MAX        1000
#define THREADS_MAX       (1 << 18)
#define XSTATE_MAX        65536 /* the kernel's; ours: */
#define XSTATE_BYTES      2696
#define XSTATE_AVX_BYTES  832
#define XSTATE_HEADER_END 576
#define XSTATE_XCR0       464 /* in it */
#define XSTATE_BV         512
#define ERESTARTNOHAND    514 /* of the kernel; no program ever sees it */

struct attach {
	pid_t pid, live_tid;
	VEC(struct attach_thread) threads;
	struct hash seen; /* their tids */
	uint64_t began_ns, ended_ns;
	struct err *err; /* why it could not be stopped */
	pthread_t tracer;
	bool has_tracer;
	pthread_mutex_t lock; /* guards the two below */
	pthread_cond_t changed;
	bool is_ready, is_over;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- /proc --------------------------------------------------------------- */

/* a small file of /proc, owned; NULL: it cannot be read */
static char *read_text(const char *path)
{
	char buf[8192];
	size_t n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	while (n < sizeof(buf)) {
		ssize_t got = read(fd, buf + n, sizeof(buf) - n);

		if (got <= 0)
			break;
		n += (size_t)got;
	}
	(void)close(fd); /* only read */
	return mem_strndup(buf, n);
}

static char *read_of(pid_t pid, pid_t tid, const char *file)
{
	_free_ char *path = mem_printf("/proc/%d/task/%d/%s", pid, tid, file);

	return read_text(path);
}

char *proc_status(pid_t pid, const char *name)
{
	_free_ char *path = mem_printf("/proc/%d/status", pid);
	_free_ char *text = read_text(path);
	_free_ char *key = mem_printf("\n%s:", name);
	const char *at = NULL;

	if (text && !strncmp(text, key + 1, strlen(key) - 1))
		at = text - 1;
	else if (text)
		at = strstr(text, key);
	if (!at)
		return NULL;
	at += strlen(key);
	at += strspn(at, " \t");
	return mem_strndup(at, strcspn(at, "\n"));
}

long proc_number(pid_t pid, const char *name)
{
	_free_ char *text = proc_status(pid, name);

	return text ? strtol(text, NULL, 10) : -1;
}

/* the letter of a thread's state; 0: it is gone */
static char state_of(pid_t pid, pid_t tid)
{
	_free_ char *text = read_of(pid, tid, "stat");
	const char *paren = text ? strrchr(text, ')') : NULL;

	return paren && paren[1] == ' ' ? paren[2] : 0;
}

/* ---- why not ------------------------------------------------------------- */

static struct err *check_process(pid_t pid)
{
	_free_ char *state = proc_status(pid, "State");
	long tgid = proc_number(pid, "Tgid");

	if (pid <= 0 || !state)
		return err_new(ERR_NOTFOUND, "there is no process %d", pid);
	if (pid == getpid())
		return err_new(ERR_NOSUP, "process %d is pmdb itself", pid);
	if (tgid != pid)
		return err_new(
			ERR_NOSUP,
			"%d is a thread of process %ld, which is what to "
			"name",
			pid, tgid);
	/* a main thread that has ended leaves a process of the others */
	if (state[0] == 'Z' && proc_number(pid, "Threads") <= 1)
		return err_new(ERR_NOSUP,
			       "process %d has ended: its parent has not yet "
			       "collected it",
			       pid);
	if (state[0] != 'Z' && proc_number(pid, "VmSize") < 0)
		return err_new(ERR_NOSUP,
			       "process %d is a thread of the kernel", pid);
	return NULL;
}

static long yama_scope(void)
{
	_free_ char *text = read_text("/proc/sys/kernel/yama/ptrace_scope");

	return text ? strtol(text, NULL, 10) : 0;
}

/* the reason of a seizure that was not permitted */
static struct err *refused(pid_t pid, int errnum)
{
	long tracer = proc_number(pid, "TracerPid");
	long uid = proc_number(pid, "Uid");
	long scope = yama_scope();

	if (errnum == ESRCH)
		return err_new(ERR_NOTFOUND, "there is no process %d", pid);
	if (tracer > 0)
		return err_new(ERR_IO,
			       "process %d may not be stopped: process %ld "
			       "traces it already",
			       pid, tracer);
	if (uid >= 0 && geteuid() != 0 && uid != (long)geteuid())
		return err_new(ERR_IO,
			       "process %d may not be stopped: it belongs to "
			       "user %ld, pmdb runs as %u",
			       pid, uid, geteuid());
	if (scope > 0)
		return err_new(ERR_IO,
			       "process %d may not be stopped: "
			       "/proc/sys/kernel/yama/ptrace_scope is %ld%s",
			       pid, scope,
			       scope == 1
				       ? " (its own descendants only; root may)"
			       : scope == 2 ? " (root only)"
					    : " (nobody may)");
	if (errnum == EPERM && geteuid() != 0)
		return err_new(ERR_IO,
			       "process %d may not be stopped: it is not "
			       "dumpable (set-uid, capabilities, or its own "
			       "wish); root may",
			       pid);
	return err_new(ERR_IO, "process %d may not be stopped: %s", pid,
		       strerror(errnum));
}

/* ---- stopping ------------------------------------------------------------ */

/* a thread that has just been found; errno of a seizure that failed */
static int seize(struct attach *a, pid_t tid)
{
	struct attach_thread th = {.tid = tid};
	char state = state_of(a->pid, tid);
	_free_ char *name = NULL;

	if (state == 0)
		return 0;
	if (state == 'Z' || state == 'X')
		return 0; /* it has ended, and has no registers any more */
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0)
		/* it may have ended meanwhile */
		return errno == ESRCH || strchr("ZX", state_of(a->pid, tid))
			       ? 0
			       : errno;
	th.is_seized = true;
	(void)ptrace(PTRACE_INTERRUPT, tid, NULL, NULL); /* or it has ended */
	name = read_of(a->pid, tid, "comm");
	if (name)
		(void)snprintf(th.name, sizeof(th.name), "%.*s",
			       (int)strcspn(name, "\n"), name);
	(void)hash_put(&a->seen, (uint64_t)tid, NULL); /* that it is there */
	VEC_PUSH(&a->threads, th);
	return 0;
}

/* (I5) calls that have done nothing when they return EINTR */
static bool may_restart(unsigned long long nr)
{
	static const unsigned short calls[] = {
		SYS_read,           SYS_readv,           SYS_recvfrom,
		SYS_recvmsg,        SYS_sendto,          SYS_sendmsg,
		SYS_write,          SYS_writev,          SYS_accept,
		SYS_accept4,        SYS_epoll_wait,      SYS_epoll_pwait,
		SYS_epoll_pwait2,   SYS_semop,           SYS_semtimedop,
		SYS_msgrcv,         SYS_rt_sigtimedwait, SYS_io_getevents,
		SYS_io_uring_enter,
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (calls[i] == nr)
			return true;
	return false;
}

static void restart_call(const struct attach_thread *th)
{
	struct user_regs_struct regs = th->regs;
	struct iovec iov = {&regs, sizeof(regs)};

	if ((long long)regs.rax != -EINTR || !may_restart(regs.orig_rax))
		return;
	regs.rax = (unsigned long long)-ERESTARTNOHAND;
	/* a failure leaves the thread with an EINTR, which it may have */
	(void)ptrace(PTRACE_SETREGSET, th->tid, NT_PRSTATUS, &iov);
}

/*
 * Where the parts of the extended state lie is the CPU's affair; a core has no
 * place to say it, and readers know one layout, Intel's.  What they do not
 * know is left out.
 */
static const struct {
	unsigned feature; /* bit of XCR0 */
	unsigned offset, bytes;
} xparts[] = {
	{2, 576, 256},   /* AVX */
	{5, 1088, 64},   /* AVX-512: k0..k7, */
	{6, 1152, 512},  /* upper halves of zmm0..zmm15, */
	{7, 1664, 1024}, /* zmm16..zmm31 */
	{9, 2688, 8},    /* PKRU */
};

static void keep_xstate(struct attach_thread *th, const unsigned char *raw,
			size_t bytes)
{
	const uint64_t pkru = 1u << 9;
	const uint64_t wide = 1u << 5 | 1u << 6 | 1u << 7;
	unsigned char *to = mem_zalloc(XSTATE_BYTES);
	uint64_t known = 3;
	uint64_t mask = 0;
	uint64_t in_use = 0;

	memcpy(to, raw, XSTATE_HEADER_END);
	memcpy(&mask, raw + XSTATE_XCR0, sizeof(mask));
	memcpy(&in_use, raw + XSTATE_BV, sizeof(in_use));
	for (size_t i = 0; i < sizeof(xparts) / sizeof(*xparts); i++) {
		unsigned size = 0, offset = 0, c = 0, d = 0;
		uint64_t bit = (uint64_t)1 << xparts[i].feature;

		__cpuid_count(0xd, xparts[i].feature, size, offset, c, d);
		if (!(mask & bit) || size != xparts[i].bytes ||
		    offset + size > bytes)
			continue;
		memcpy(to + xparts[i].offset, raw + offset, size);
		known |= bit;
	}
	mask &= known;
	in_use &= known;
	memcpy(to + XSTATE_XCR0, &mask, sizeof(mask));
	memcpy(to + XSTATE_BV, &in_use, sizeof(in_use));
	th->xstate = to;
	th->xstate_bytes = mask & pkru   ? XSTATE_BYTES
			   : mask & wide ? XSTATE_BYTES - 8
					 : XSTATE_AVX_BYTES;
}

static struct err *read_registers(struct attach *a, struct attach_thread *th)
{
	struct iovec iov = {&th->regs, sizeof(th->regs)};
	unsigned char xstate[XSTATE_MAX];

	if (ptrace(PTRACE_GETREGSET, th->tid, NT_PRSTATUS, &iov) != 0)
		return NULL; /* killed meanwhile */
	if (iov.iov_len != sizeof(th->regs))
		return err_new(ERR_NOSUP,
			       "process %d is a 32-bit program: not supported",
			       a->pid);
	th->regs_known = ATTACH_ALL;
	restart_call(th);
	iov = (struct iovec){&th->fpregs, sizeof(th->fpregs)};
	if (ptrace(PTRACE_GETREGSET, th->tid, NT_PRFPREG, &iov) != 0)
		memset(&th->fpregs, 0, sizeof(th->fpregs));
	iov = (struct iovec){xstate, sizeof(xstate)};
	if (ptrace(PTRACE_GETREGSET, th->tid, NT_X86_XSTATE, &iov) == 0 &&
	    iov.iov_len >= XSTATE_HEADER_END)
		keep_xstate(th, xstate, iov.iov_len);
	return NULL;
}

/* (I4) "NR ARG1..ARG6 SP PC", or "running" */
static void read_sleeper(struct attach *a, struct attach_thread *th)
{
	_free_ char *text = read_of(a->pid, th->tid, "syscall");
	struct user_regs_struct *r = &th->regs;
	long long nr = -1;

	if (!text ||
	    sscanf(text, "%lld %llx %llx %llx %llx %llx %llx %llx %llx", &nr,
		   &r->rdi, &r->rsi, &r->rdx, &r->r10, &r->r8, &r->r9, &r->rsp,
		   &r->rip) != 9)
		return;
	r->orig_rax = (unsigned long long)nr;
	r->cs = 0x33;
	r->ss = 0x2b;
	th->regs_known = ATTACH_PC_SP;
}

/* waits until one thread has stopped; false: it has ended */
static bool await_stop(struct attach_thread *th)
{
	uint64_t deadline = now_ns() + WAIT_NS;
	struct timespec nap = {.tv_nsec = 20000};

	for (;;) {
		int status = 0;
		pid_t got = waitpid(th->tid, &status, __WALL | WNOHANG);

		if (got < 0 && errno != EINTR)
			return false;
		if (got == th->tid && !WIFSTOPPED(status))
			return false;
		if (got == th->tid) {
			th->is_stopped = true;
			/* (I3) a stop of ours has an event in its status */
			if (status >> 16 == 0)
				th->signo = WSTOPSIG(status);
			return true;
		}
		if (now_ns() > deadline)
			return true;         /* (I4) */
		(void)nanosleep(&nap, NULL); /* shorter will do */
		if (nap.tv_nsec < 1000000)
			nap.tv_nsec *= 2;
	}
}

/* (I2) one round: seizes what is new; *ret_n of them */
static struct err *seize_round(struct attach *a, size_t *ret_n)
{
	_free_ char *path = mem_printf("/proc/%d/task", a->pid);
	DIR *dir = opendir(path);
	size_t before = a->threads.n;
	int errnum = 0;

	if (!dir)
		return refused(a->pid, errno == ENOENT ? ESRCH : errno);
	for (struct dirent *e = readdir(dir); e && !errnum; e = readdir(dir)) {
		pid_t tid = (pid_t)strtol(e->d_name, NULL, 10);

		if (tid > 0 && !hash_get(&a->seen, (uint64_t)tid) &&
		    a->threads.n < THREADS_MAX)
			errnum = seize(a, tid);
	}
	(void)closedir(dir); /* only read */
	*ret_n = a->threads.n - before;
	return errnum ? refused(a->pid, errnum) : NULL;
}

static struct err *stop_all(struct attach *a)
{
	struct err *err = NULL;

	for (unsigned round = 0; round < ROUNDS_MAX; round++) {
		size_t first = a->threads.n;
		size_t n = 0;

		err = seize_round(a, &n);
		for (size_t i = first; i < a->threads.n; i++) {
			struct attach_thread *th = &a->threads.v[i];

			th->is_seized = await_stop(th);
			if (err || !th->is_seized)
				continue;
			if (th->is_stopped)
				err = read_registers(a, th);
			else
				read_sleeper(a, th);
		}
		if (err || n == 0)
			return err;
	}
	return err_new(ERR_IO,
		       "process %d may not be stopped: it makes threads faster "
		       "than they can be stopped",
		       a->pid);
}

static void detach_all(struct attach *a)
{
	for (size_t i = 0; i < a->threads.n; i++) {
		const struct attach_thread *th = &a->threads.v[i];

		/* those that did not stop are let go by our end: (I1) */
		if (th->is_stopped)
			(void)ptrace(PTRACE_DETACH, th->tid, NULL,
				     (void *)(intptr_t)th->signo);
	}
}

/* those that have ended meanwhile leave the list; the main one comes first */
static void tidy(struct attach *a)
{
	size_t kept = 0;

	for (size_t i = 0; i < a->threads.n; i++) {
		struct attach_thread th = a->threads.v[i];

		if (!th.is_seized)
			continue;
		a->threads.v[kept] = th;
		if (th.tid == a->pid) {
			a->threads.v[kept] = a->threads.v[0];
			a->threads.v[0] = th;
		}
		kept++;
	}
	a->threads.n = kept;
	if (kept > 0)
		a->live_tid = a->threads.v[0].tid;
	else if (!a->err)
		a->err = err_new(ERR_NOTFOUND, "process %d has ended", a->pid);
}

static void *trace(void *arg)
{
	struct attach *a = arg;

	a->began_ns = now_ns();
	a->err = stop_all(a);
	tidy(a);
	(void)pthread_mutex_lock(&a->lock); /* none of these can fail */
	a->is_ready = true;
	(void)pthread_cond_broadcast(&a->changed);
	while (!a->is_over && !a->err)
		(void)pthread_cond_wait(&a->changed, &a->lock);
	(void)pthread_mutex_unlock(&a->lock);
	detach_all(a);
	a->ended_ns = now_ns();
	return NULL;
}

/* ---- the calls ----------------------------------------------------------- */

/* the thread takes no signal of ours */
static bool start_tracer(struct attach *a)
{
	sigset_t all;
	sigset_t old;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old); /* constants */
	a->has_tracer = pthread_create(&a->tracer, NULL, trace, a) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return a->has_tracer;
}

struct err *attach_stop(pid_t pid, struct attach **ret_attach)
{
	struct err *err = check_process(pid);
	struct attach *a = NULL;

	if (err)
		return err;
	a = mem_zalloc(sizeof(*a));
	a->pid = pid;
	hash_init(&a->seen);
	(void)pthread_mutex_init(&a->lock, NULL); /* cannot fail */
	(void)pthread_cond_init(&a->changed, NULL);
	if (!start_tracer(a)) {
		(void)attach_resume(a);
		return err_new(ERR_IO, "no thread can be made: %s",
			       strerror(errno));
	}
	(void)pthread_mutex_lock(&a->lock);
	while (!a->is_ready)
		(void)pthread_cond_wait(&a->changed, &a->lock);
	(void)pthread_mutex_unlock(&a->lock);
	if (a->err) {
		err = a->err;
		a->err = NULL;
		/* the tracer ends by itself; it may still look at err */
		(void)attach_resume(a);
		return err;
	}
	*ret_attach = a;
	return NULL;
}

uint64_t attach_resume(struct attach *a)
{
	uint64_t ns = 0;

	if (!a)
		return 0;
	if (a->has_tracer) {
		(void)pthread_mutex_lock(&a->lock);
		a->is_over = true;
		(void)pthread_cond_broadcast(&a->changed);
		(void)pthread_mutex_unlock(&a->lock);
		(void)pthread_join(a->tracer, NULL);
		ns = a->ended_ns - a->began_ns;
	}
	(void)pthread_mutex_destroy(&a->lock);
	(void)pthread_cond_destroy(&a->changed);
	for (size_t i = 0; i < a->threads.n; i++)
		mem_free(a->threads.v[i].xstate);
	VEC_FREE(&a->threads);
	hash_fini(&a->seen);
	mem_free(a);
	return ns;
}

const struct attach_thread *attach_threads(const struct attach *a,
					   size_t *ret_n)
{
	*ret_n = a->threads.n;
	return a->threads.v;
}

pid_t attach_tid(const struct attach *a)
{
	return a->live_tid;
}
