/* SPDX-License-Identifier: MIT */
/*
 * How the preload library learns that a process ends, and how it stays out of
 * sight while it waits for that.
 *
 * exit() and return from main: a handler registered by the library's
 * constructor, which runs after every handler the program registers and after
 * the destructors of all objects.  quick_exit(): likewise.  _exit(), _Exit():
 * interposed; what libc calls by itself is not reached by that and need not
 * be, but for daemon(), which is interposed, too.
 *
 * Fatal signals: a handler for every signal that would end the process, on an
 * alternate stack, so that an overflow of the stack is seen too.
 *
 *   I1  A program must not see the handler: python installs its own for SIGINT
 *       only if it finds SIG_DFL.  All of the sigaction family is interposed;
 *       where the kernel has our handler it says SIG_DFL, and SIG_DFL given by
 *       the program puts our handler back.  What is asked is the kernel, not a
 *       table: a child of vfork() shares our memory but not its handlers.
 *   I2  The process ends as it would have: by the same signal, with the same
 *       siginfo if the fault can strike again.
 *
 * A handler set by code that goes past these functions (system calls of its
 * own, libc inside posix_spawn()) is not ours, and a signal that then kills the
 * process is not noticed.  Threads have no alternate stack unless the program
 * gives them one: an overflow of theirs is not noticed either.
 */
#define _GNU_SOURCE
#include "kmem_snap.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "contract/notes.h"
#include "kmem_internal.h"
#include "snap/snap_sys.h"

#define EXPORT __attribute__((visibility("default")))

#define SIGNALS         65
#define KERNEL_RESTORER 0x04000000
#define ALTSTACK_BYTES  ((size_t)128 << 10)

typedef void signal_fn(int);

/* declared by no header of ours, or only with feature macros */
int __sigaction(int signo, const struct sigaction *act, struct sigaction *old);
signal_fn *bsd_signal(int signo, signal_fn *handler);
signal_fn *__sysv_signal(int signo, signal_fn *handler);

/* the kernel's struct sigaction */
struct kernel_sigaction {
	union {
		signal_fn *handler;
		void (*action)(int, siginfo_t *, void *);
	};
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

/** The return from a signal handler (snap_regs.c). */
KM_HIDDEN void snap_restore_rt(void);

static uint64_t interrupting; /* signals given to siginterrupt() */
static int is_hooked;         /* fatal signals are watched */

static uint64_t bit_of(int signo)
{
	return (uint64_t)1 << (signo - 1);
}

/* ---- the ends of a process ----------------------------------------------- */

static void on_end(uint32_t reason, int status)
{
	struct kmem_snap_cause cause = {
		.reason = reason,
		.exit_status = (uint32_t)status & 0xff,
	};

	(void)kmem_snap_last(&cause); /* the caller ends */
}

static void at_exit(int status, void *arg)
{
	(void)arg;
	on_end(KMEM_SNAP_EXIT, status);
}

static void at_quick(void)
{
	on_end(KMEM_SNAP__EXIT, 0);
}

static void __attribute__((noreturn)) end_now(int status)
{
	if (kmem_snap_events() & KMEM_ON__EXIT)
		on_end(KMEM_SNAP__EXIT, status);
	for (;;)
		snap_sys(SYS_exit_group, status);
}

EXPORT void _exit(int status)
{
	end_now(status);
}

EXPORT void _Exit(int status)
{
	end_now(status);
}

/* descriptors 0 to 2 become the null device; 0 or -1 with errno */
static int close_standard(void)
{
	struct stat st;
	long fd = snap_open("/dev/null", O_RDWR, 0);
	long rc = fd < 0 ? fd : snap_sys(SYS_fstat, fd, &st);

	if (rc >= 0 && (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3)))
		rc = -ENODEV;
	for (int to = 0; rc >= 0 && to < 3; to++)
		snap_sys(SYS_dup2, fd, to);
	if (fd > 2 || (fd >= 0 && rc < 0))
		snap_sys(SYS_close, fd);
	errno = rc < 0 ? (int)-rc : errno;
	return rc < 0 ? -1 : 0;
}

/* libc's ends the parent by an _exit() of its own */
EXPORT int daemon(int stays, int is_open)
{
	pid_t pid = fork();

	if (pid > 0)
		end_now(0);
	if (pid < 0 || snap_sys(SYS_setsid) < 0)
		return -1;
	if (!stays)
		snap_sys(SYS_chdir, "/");
	return is_open ? 0 : close_standard();
}

/* ---- fatal signals ------------------------------------------------------- */

/* does the signal end a process by default? */
static int is_fatal(int signo)
{
	const uint64_t harmless = bit_of(SIGCHLD) | bit_of(SIGCONT) |
				  bit_of(SIGTSTP) | bit_of(SIGTTIN) |
				  bit_of(SIGTTOU) | bit_of(SIGURG) |
				  bit_of(SIGWINCH);
	const uint64_t not_ours =
		bit_of(SIGKILL) | bit_of(SIGSTOP) | bit_of(32) | bit_of(33);

	return signo > 0 && signo < SIGNALS &&
	       !((harmless | not_ours) & bit_of(signo));
}

static long kernel_set(int signo, const struct kernel_sigaction *act,
		       struct kernel_sigaction *old)
{
	return snap_sys(SYS_rt_sigaction, signo, act, old,
			sizeof(((struct kernel_sigaction *)0)->mask));
}

/* will the instruction that faulted fault again? */
static int strikes_again(int signo, const siginfo_t *si)
{
	if (si->si_code <= 0)
		return 0;
	return signo == SIGSEGV || signo == SIGILL || signo == SIGFPE ||
	       (signo == SIGBUS && si->si_code != BUS_MCEERR_AO);
}

/* did somebody else, who knows nothing of this thread, send it?  What a thread
 * does to itself, as abort(), it does not expect to come back from. */
static int is_from_outside(int signo, const siginfo_t *si)
{
	if (strikes_again(signo, si))
		return 0;
	if (si->si_code == SI_USER || si->si_code == SI_QUEUE)
		return si->si_pid != (pid_t)snap_sys(SYS_getpid);
	return si->si_code == SI_KERNEL;
}

static void on_fatal(int signo, siginfo_t *si, void *uc)
{
	struct kernel_sigaction dfl = {.handler = SIG_DFL};
	int saved = errno;
	struct kmem_snap_cause cause = {
		.reason = KMEM_SNAP_FATAL,
		.signo = signo,
		.siginfo = si,
		.ucontext = uc,
		.may_go_on = is_from_outside(signo, si),
	};

	kmem_snap_recover();
	if (!kmem_snap_last(&cause)) {
		errno = saved;
		return;
	}
	kernel_set(signo, &dfl, NULL);
	/* I2: blocked here, so it is delivered where it struck first */
	if (!strikes_again(signo, si))
		snap_sys(SYS_tgkill, snap_sys(SYS_getpid), snap_sys(SYS_gettid),
			 signo);
	errno = saved;
}

static const struct kernel_sigaction fatal_action = {
	.action = on_fatal,
	.flags = SA_SIGINFO | SA_ONSTACK | KERNEL_RESTORER,
	.restorer = snap_restore_rt,
	/* but not the signal that stops threads */
	.mask = ~((uint64_t)1 << (SNAP_STOP_SIGNAL - 1)),
};

/* what the program asks for becomes what the kernel gets */
static void to_kernel(int signo, const struct sigaction *act,
		      struct kernel_sigaction *ret)
{
	if (act->sa_handler == SIG_DFL &&
	    ((is_hooked && is_fatal(signo)) || signo == kmem_snap_signal())) {
		*ret = fatal_action;
		if (signo == kmem_snap_signal()) {
			ret->action = kmem_snap_on_signal;
			ret->flags |= SA_RESTART;
		}
		return;
	}
	ret->handler = act->sa_handler;
	ret->flags =
		(unsigned long)(unsigned int)act->sa_flags | KERNEL_RESTORER;
	ret->restorer = snap_restore_rt;
	memcpy(&ret->mask, &act->sa_mask, sizeof(ret->mask));
}

/* what the kernel has becomes what the program sees */
static void from_kernel(const struct kernel_sigaction *k, struct sigaction *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (k->action == on_fatal || k->action == kmem_snap_on_signal)
		return; /* SIG_DFL */
	ret->sa_handler = k->handler;
	ret->sa_flags = (int)k->flags; /* SA_RESTORER too, as libc has it */
	ret->sa_restorer = k->restorer;
	memcpy(&ret->sa_mask, &k->mask, sizeof(k->mask));
}

EXPORT int sigaction(int signo, const struct sigaction *act,
		     struct sigaction *old)
{
	struct kernel_sigaction in;
	struct kernel_sigaction out;
	long rc;

	/* 32 and 33 are the C library's */
	if (signo <= 0 || signo >= SIGNALS || signo == 32 || signo == 33) {
		errno = EINVAL;
		return -1;
	}
	if (act)
		to_kernel(signo, act, &in);
	rc = kernel_set(signo, act ? &in : NULL, old ? &out : NULL);
	if (rc < 0) {
		errno = (int)-rc;
		return -1;
	}
	if (old)
		from_kernel(&out, old);
	return 0;
}

EXPORT int __sigaction(int signo, const struct sigaction *act,
		       struct sigaction *old)
{
	return sigaction(signo, act, old);
}

static signal_fn *set_handler(int signo, signal_fn *handler, int flags)
{
	struct sigaction act;
	struct sigaction old;

	memset(&act, 0, sizeof(act));
	act.sa_handler = handler;
	act.sa_flags = flags;
	if (handler == SIG_ERR) {
		errno = EINVAL;
		return SIG_ERR;
	}
	if (!(flags & SA_NODEFER) && signo > 0 && signo < SIGNALS)
		sigaddset(&act.sa_mask, signo);
	return sigaction(signo, &act, &old) ? SIG_ERR : old.sa_handler;
}

EXPORT signal_fn *signal(int signo, signal_fn *handler)
{
	int is_interrupting =
		signo > 0 && signo < SIGNALS && (interrupting & bit_of(signo));

	return set_handler(signo, handler, is_interrupting ? 0 : SA_RESTART);
}

EXPORT signal_fn *bsd_signal(int signo, signal_fn *handler)
{
	return signal(signo, handler);
}

EXPORT signal_fn *ssignal(int signo, signal_fn *handler)
{
	return signal(signo, handler);
}

EXPORT signal_fn *sysv_signal(int signo, signal_fn *handler)
{
	return set_handler(signo, handler, (int)(SA_RESETHAND | SA_NODEFER));
}

EXPORT signal_fn *__sysv_signal(int signo, signal_fn *handler)
{
	return sysv_signal(signo, handler);
}

EXPORT int siginterrupt(int signo, int is_interrupting)
{
	struct sigaction act;

	if (sigaction(signo, NULL, &act))
		return -1;
	if (is_interrupting) {
		interrupting |= bit_of(signo);
		act.sa_flags &= ~SA_RESTART;
	} else {
		interrupting &= ~bit_of(signo);
		act.sa_flags |= SA_RESTART;
	}
	return sigaction(signo, &act, NULL);
}

EXPORT signal_fn *sigset(int signo, signal_fn *disposition)
{
	struct sigaction act;
	struct sigaction old;
	sigset_t set;
	sigset_t was;

	if (disposition == SIG_ERR || signo <= 0 || signo >= SIGNALS) {
		errno = EINVAL;
		return SIG_ERR;
	}
	sigemptyset(&set);
	sigaddset(&set, signo);
	memset(&act, 0, sizeof(act));
	act.sa_handler = disposition;
	if (disposition == SIG_HOLD) {
		if (sigprocmask(SIG_BLOCK, &set, &was) ||
		    sigaction(signo, NULL, &old))
			return SIG_ERR;
	} else if (sigaction(signo, &act, &old) ||
		   sigprocmask(SIG_UNBLOCK, &set, &was)) {
		return SIG_ERR;
	}
	return sigismember(&was, signo) ? SIG_HOLD : old.sa_handler;
}

EXPORT int sigignore(int signo)
{
	struct sigaction act;

	memset(&act, 0, sizeof(act));
	act.sa_handler = SIG_IGN;
	return sigaction(signo, &act, NULL);
}

/* ---- dlclose ------------------------------------------------------------- */

EXPORT int dlclose(void *handle)
{
	static int (*real)(void *);
	int rc;

	if (!real) {
		void *sym = dlsym(RTLD_NEXT, "dlclose");

		memcpy(&real, &sym, sizeof(real));
	}
	if (!real)
		return -1;
	rc = real(handle);
	/* other code may come to be where the object was */
	kmem_unwind_flush();
	return rc;
}

/* ---- start --------------------------------------------------------------- */

/* a stack for the handlers of the main thread, with a guard page below */
static void set_altstack(void)
{
	size_t bytes = ALTSTACK_BYTES + getauxval(AT_MINSIGSTKSZ);
	stack_t old;
	stack_t ss;
	long p;

	memset(&ss, 0, sizeof(ss));
	if (sigaltstack(NULL, &old) || !(old.ss_flags & SS_DISABLE))
		return;
	bytes = (bytes + KMEM_PAGE - 1) & ~(KMEM_PAGE - 1);
	p = snap_sys(SYS_mmap, NULL, bytes + KMEM_PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p < 0 && p > -4096)
		return;
	(void)kmem_sys_protect((void *)p, KMEM_PAGE, 0); /* only a guard */
	ss.ss_sp = (char *)p + KMEM_PAGE;
	ss.ss_size = bytes;
	if (sigaltstack(&ss, NULL))
		return; /* overflows are not seen */
	kmem_altstack[0] = (uintptr_t)p;
	kmem_altstack[1] = (uintptr_t)p + KMEM_PAGE + bytes;
}

static void hook_signals(void)
{
	struct kernel_sigaction old;

	set_altstack();
	is_hooked = 1;
	for (int signo = 1; signo < SIGNALS; signo++) {
		if (is_fatal(signo) && !kernel_set(signo, NULL, &old) &&
		    old.handler == SIG_DFL)
			kernel_set(signo, &fatal_action, NULL);
	}
}

void kmem_hooks_stop(void)
{
	struct kernel_sigaction dfl = {.handler = SIG_DFL};
	struct kernel_sigaction now;

	is_hooked = 0;
	for (int signo = 1; signo < SIGNALS; signo++) {
		if (is_fatal(signo) && !kernel_set(signo, NULL, &now) &&
		    now.action == on_fatal)
			kernel_set(signo, &dfl, NULL);
	}
}

static void __attribute__((constructor)) hooks_start(void)
{
	unsigned events = kmem_snap_events();

	if (events & KMEM_ON_EXIT)
		(void)on_exit(at_exit, NULL); /* no memory: no snapshot */
	if (events & KMEM_ON__EXIT)
		(void)at_quick_exit(at_quick);
	if (events & KMEM_ON_FATAL)
		hook_signals();
}
