/* SPDX-License-Identifier: MIT */
/*
 * How a process writes a snapshot of itself: who, in what order, and what it does
 * when that fails.  When and where to is kmem_snap_conf.c's.
 *
 *   I1  Locks: snap_lock, then the allocator's (kmem_lock_all), then other
 *       threads are stopped.  The other way round, a stopped thread could
 *       hold the lock that is waited for.
 *   I2  In a child of vfork() nothing may be done: memory and the files it
 *       writes are its parent's.  It is known by its pid, which is not the one
 *       recorded, while a page with MADV_WIPEONFORK still has its contents; a
 *       child of fork(), by whatever call, finds that page wiped.
 *   I3  The last snapshot is taken by the first thread that asks.  Another one
 *       waits for it, since its next step would be to end the process; it is
 *       shown where it was interrupted.  One that a signal from outside told
 *       to end goes on instead: it may hold what the snapshot needs.
 *   I4  The locks and ranges are the allocator's, whose lists may be what is
 *       damaged: a fault while they are walked brings us back, and the snapshot
 *       is taken without them.
 *
 * Nothing here allocates.  What a snapshot needs is static, under snap_lock.
 */
#define _GNU_SOURCE
#include "kmem_snap_impl.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "contract/notes.h"
#include "kmem_internal.h"
#include "kmem_sandbox.h"
#include "snap/snap.h"
#include "snap/snap_sys.h"

#define LOCK_NS     ((hrtime_t)5 * 1000000000)   /* for another snapshot */
#define LAST_NS     ((hrtime_t)600 * 1000000000) /* I3 */
#define LOCK_ALL_MS 300
#define MAX_RANGES  4096
#define MAX_WIPED   64

static kmem_mutex_t snap_lock;
static int32_t lock_owner;           /* tid, 0 none */
static int32_t self_pid;             /* I2 */
static volatile uint32_t *fork_mark; /* 1, or 0 in a child of fork() */
static uint32_t last_tid;            /* I3: who takes the last snapshot */
static uint32_t is_last_done;        /* a futex */

/* guarded by snap_lock */
static char path_buf[PATH_MAX] KM_SELDOM;
static struct snap_range ranges[MAX_RANGES] KM_SELDOM;
static struct snap_range wiped[MAX_WIPED] KM_SELDOM;
static uint32_t ndumps[2]; /* made by this process: asked for by name, others */

/** The definition this library itself has, whoever's is in use. */
extern int own_kmem_snapshot(const char *path, int flags)
	__attribute__((alias("kmem_snapshot"), visibility("hidden")));

/* ---- which process this is (I2) ------------------------------------------ */

static void process_init(void)
{
	long page = snap_sys(SYS_mmap, NULL, KMEM_PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	self_pid = (int32_t)snap_sys(SYS_getpid);
	if (page < 0 && page > -4096)
		return;
	if (snap_sys(SYS_madvise, page, KMEM_PAGE, MADV_WIPEONFORK) < 0) {
		snap_sys(SYS_munmap, page, KMEM_PAGE);
		return;
	}
	fork_mark = (uint32_t *)page;
	*fork_mark = 1;
}

/* in a child of fork() starts afresh */
int kmem_snap_is_vforked(void)
{
	int32_t pid = (int32_t)snap_sys(SYS_getpid);

	if (pid == self_pid)
		return 0;
	if (self_pid && (!fork_mark || *fork_mark))
		return 1;
	self_pid = pid;
	ndumps[0] = ndumps[1] = 0;
	lock_owner = 0;
	last_tid = 0;
	kmem_mutex_break(&snap_lock);
	is_last_done = 0;
	if (fork_mark)
		*fork_mark = 1;
	else
		process_init();
	return 0;
}

/* ---- the snapshot -------------------------------------------------------- */

static void unlock_all(void *arg)
{
	(void)arg;
	kmem_unlock_all();
}

/* takes snap_lock; 0 or -errno */
static int lock(void)
{
	int32_t tid = (int32_t)snap_sys(SYS_gettid);

	/* struck by a signal within a snapshot */
	if (__atomic_load_n(&lock_owner, __ATOMIC_SEQ_CST) == tid)
		return -EBUSY;
	if (!kmem_mutex_enter_until(&snap_lock, kmem_now() + LOCK_NS))
		return -EBUSY;
	__atomic_store_n(&lock_owner, tid, __ATOMIC_SEQ_CST);
	return 0;
}

static void unlock(void)
{
	__atomic_store_n(&lock_owner, 0, __ATOMIC_SEQ_CST);
	kmem_mutex_exit(&snap_lock);
}

static volatile int32_t probing_tid; /* I4 */
static void *probe_buf[5];

void kmem_snap_recover(void)
{
	if (probing_tid && probing_tid == (int32_t)snap_sys(SYS_gettid)) {
		probing_tid = 0;
		__builtin_longjmp(probe_buf, 1);
	}
}

/* takes every lock of the allocator and finds out what is its own memory;
 * returns 0, or -1 when it did not let us (I4) */
static int quiesce(struct snap_request *req)
{
	/* not if struck while it starts */
	if (kmem_ready != 2 || kmem_lock_all(LOCK_ALL_MS))
		return -1;
	req->quiescent = 1;
	req->release = unlock_all;
	req->nfirst = kmem_meta_ranges(ranges, MAX_RANGES);
	req->first = ranges;
	return 0;
}

static void quiesce_guarded(struct snap_request *req)
{
	uint64_t faults =
		(uint64_t)1 << (SIGSEGV - 1) | (uint64_t)1 << (SIGBUS - 1);
	uint64_t old;
	int rc = -1;

	snap_sys(SYS_rt_sigprocmask, SIG_UNBLOCK, &faults, &old, sizeof(old));
	if (__builtin_setjmp(probe_buf) == 0) {
		probing_tid = (int32_t)snap_sys(SYS_gettid);
		rc = quiesce(req);
	}
	probing_tid = 0;
	snap_sys(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old));
	if (rc) {
		req->quiescent = 0;
		req->nfirst = 0;
	}
}

/*
 * Where the program called us.  What we, and exit() before us, have on the
 * stack by now covers frames that are gone, in parts: a pointer left there
 * would keep a leak from being one.  So the snapshot shows the thread as it is
 * in its call, and says that it is.  Under snap_lock.
 */
static const ucontext_t *calling_context(const struct kmem_snap_cause *cause)
{
	static struct _libc_fpstate unused = {.cwd = 0x37f, .mxcsr = 0x1f80};
	static ucontext_t uc;
	uintptr_t past = 0;

	if (cause->reason == KMEM_SNAP_EXIT)
		past = (uintptr_t)exit;
	if (!kmem_unwind_caller(past, &uc))
		return NULL;
	uc.uc_mcontext.fpregs = &unused;
	return &uc;
}

/* the snapshot of a cause; snap_lock is held.  Returns 0 or -errno. */
static int snapshot(const struct kmem_snap_cause *cause, const char *template,
		    int is_nowait)
{
	struct snap_request req;
	int is_shared = template == kmem_snap_conf.path;
	int rc = kmem_snap_expand(template, ndumps[is_shared] + 1, path_buf,
				  sizeof(path_buf));

	if (rc)
		return rc;
	memset(&req, 0, sizeof(req));
	req.path = path_buf;
	req.reason = cause->reason;
	req.signo = cause->signo;
	req.siginfo = cause->siginfo;
	req.ucontext = cause->ucontext;
	if (!req.ucontext) {
		req.ucontext = calling_context(cause);
		req.is_at_call = req.ucontext != NULL;
	}
	req.exit_status = cause->exit_status;
	req.env = kmem_snap_conf.env;
	req.env_bytes = kmem_snap_conf.env_bytes;
	req.wait = !is_nowait;
	req.hold = cause->reason != KMEM_SNAP_CALL &&
		   cause->reason != KMEM_SNAP_SIGNAL;
	req.nofork = snap_unforked(wiped, MAX_WIPED, &req.nwiped);
	req.wiped = wiped;
	quiesce_guarded(&req);
	rc = snap_self(&req);
	ndumps[is_shared] += rc == 0;
	return rc;
}

/* takes a snapshot under the name of KMEM_SNAPSHOT, or says why not */
static void snapshot_or_complain(const struct kmem_snap_cause *cause)
{
	int rc = lock();
	long told;

	if (rc)
		return; /* within or beside another one: that one reports */
	rc = snapshot(cause, kmem_snap_conf.path, 0);
	if (rc == -ENOMEM && (cause->reason == KMEM_SNAP_EXIT ||
			      cause->reason == KMEM_SNAP__EXIT)) {
		kmem_reap(); /* the address space may be limited, and ours */
		rc = snapshot(cause, kmem_snap_conf.path, 0);
	}
	told = rc ? 0 : kmem_snap_tell(path_buf);
	if (rc)
		kmem_snap_complain(path_buf, rc);
	else if (told < 0 && told != -ENOENT)
		kmem_snap_complain(kmem_snap_conf.list, (int)told);
	unlock();
}

int kmem_snap_is_possible(void)
{
	static const uint16_t needed[] = {
		SYS_arch_prctl,
		SYS_clock_gettime,
		SYS_clone,
		SYS_close,
		SYS_exit_group,
		SYS_fchmod,
		SYS_fcntl,
		SYS_fstat,
		SYS_ftruncate,
		SYS_futex,
		SYS_getdents64,
		SYS_getgid,
		SYS_getpgid,
		SYS_getpid,
		SYS_getppid,
		SYS_getsid,
		SYS_gettid,
		SYS_getuid,
		SYS_lseek,
		SYS_madvise,
		SYS_mincore,
		SYS_mmap,
		SYS_munmap,
		SYS_nanosleep,
		SYS_newfstatat,
		SYS_openat,
		SYS_pipe2,
		SYS_pread64,
		SYS_read,
		SYS_rename,
		SYS_rt_sigaction,
		SYS_rt_sigprocmask,
		SYS_rt_sigtimedwait,
		SYS_rt_tgsigqueueinfo,
		SYS_sched_yield,
		SYS_setrlimit,
		SYS_sysinfo,
		SYS_tgkill,
		SYS_unlink,
		SYS_wait4,
		SYS_write,
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!kmem_may_call(needed[i]))
			return 0;
	return 1;
}

void kmem_snap_give_up(void)
{
	/* others are not missed */
	if (!kmem_snap_conf.events ||
	    (int)snap_sys(SYS_getpid) != kmem_snap_conf.main_pid || lock())
		return;
	(void)kmem_snap_tell("the program filters its system calls: no dump is "
			     "possible"); /* nobody asked: nobody to tell */
	unlock();
}

/* waits for the thread that takes the last snapshot (I3) */
static void await_last(void)
{
	hrtime_t deadline = kmem_now() + LAST_NS;
	struct timespec second = {1, 0};

	while (!__atomic_load_n(&is_last_done, __ATOMIC_SEQ_CST) &&
	       kmem_now() < deadline)
		snap_sys(SYS_futex, &is_last_done, FUTEX_WAIT_PRIVATE, 0,
			 &second);
}

int kmem_snap_last(const struct kmem_snap_cause *cause)
{
	uint32_t owner = 0;
	const void *shown;
	uint32_t tid;

	if (!kmem_snap_is_possible())
		return 1;
	tid = (uint32_t)snap_sys(SYS_gettid);
	if (kmem_snap_is_vforked())
		return 1;
	if (__atomic_compare_exchange_n(&last_tid, &owner, tid, 0,
					__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		snapshot_or_complain(cause);
		__atomic_store_n(&is_last_done, 1, __ATOMIC_SEQ_CST);
		snap_sys(SYS_futex, &is_last_done, FUTEX_WAKE_PRIVATE, INT_MAX);
	} else if (owner != tid) {
		if (cause->may_go_on)
			return 0;
		shown = snap_show_as(cause->ucontext);
		await_last();
		snap_show_as(shown);
	}
	return 1;
}

void kmem_snap_on_signal(int signo, siginfo_t *siginfo, void *ucontext)
{
	struct kmem_snap_cause cause = {
		.reason = KMEM_SNAP_SIGNAL,
		.signo = signo,
		.siginfo = siginfo,
		.ucontext = ucontext,
	};
	const void *shown;

	if (!kmem_snap_is_possible() || kmem_snap_is_vforked())
		return;
	shown = snap_show_as(ucontext);
	snapshot_or_complain(&cause);
	snap_show_as(shown);
}

static void on_panic(void)
{
	struct kmem_snap_cause cause = {
		.reason = KMEM_SNAP_PANIC,
		.signo = SIGABRT,
	};

	(void)kmem_snap_last(&cause); /* the caller ends */
}

int kmem_snapshot(const char *path, int flags)
{
	struct kmem_snap_cause cause = {.reason = KMEM_SNAP_CALL};
	int rc = -EINVAL;

	kmem_ready_check();
	if (!kmem_snap_is_possible()) {
		errno = EPERM;
		return -1;
	}
	kmem_snap_events();
	if (!path && kmem_snap_conf.path[0])
		path = kmem_snap_conf.path;
	if (path && *path && !(flags & ~KMEM_SNAP_NOWAIT) &&
	    !kmem_snap_is_vforked())
		rc = lock();
	if (rc == 0) {
		rc = snapshot(&cause, path, flags & KMEM_SNAP_NOWAIT);
		/* what is not complete yet is not looked at; the program
		 * knows of a failure */
		if (rc == 0 && path == kmem_snap_conf.path && !flags)
			(void)kmem_snap_tell(path_buf);
		unlock();
	}
	if (rc == 0)
		return 0;
	errno = -rc;
	return -1;
}

/* ---- start --------------------------------------------------------------- */

int kmem_snap_is_beside(void)
{
	return &kmem_snapshot != &own_kmem_snapshot;
}

static void __attribute__((constructor)) snap_start(void)
{
	struct sigaction sa;

	if (kmem_snap_is_beside())
		return;
	process_init();
	kmem_snap_save_stderr();
	/* a program that never allocates has a heap to be looked at, too */
	if (kmem_snap_events())
		kmem_ready_check();
	if (kmem_snap_conf.events & KMEM_ON_PANIC)
		kmem_panic_hook = on_panic;
	if (!kmem_snap_conf.signo)
		return;
	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = kmem_snap_on_signal;
	sa.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
	sigfillset(&sa.sa_mask);
	(void)sigaction(kmem_snap_conf.signo, &sa,
			NULL); /* a bad number: no handler */
}
