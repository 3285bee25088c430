/* SPDX-License-Identifier: MIT */
/*
 * A process writes itself down while it runs on.
 *
 *   the caller      block signals, take facts, stop threads, fork,
 *                   let threads go, release the allocator, wait
 *   the child       close what is not its own, write its copy-on-write
 *                   image, end with an errno as status
 *
 * The child is made by clone(2) with no exit signal: the program hears no
 * SIGCHLD, and its wait() calls pass it over unless they ask for __WALL.  Its
 * memory is the image; what is in it about threads (ids, registers) was put
 * in shared memory before, as seen by the parent.  It ends without running
 * anything of the program, atfork handlers included.
 *
 * Without a child (fork fails, or req->nofork) the caller writes, with
 * the others stopped until it is done.
 *
 * Memory with MADV_WIPEONFORK is kept for this one fork, while nobody else
 * can.  The same is not done for MADV_DONTFORK: a device may be writing there,
 * and before Linux 5.12 a fork would part the page from the process.
 *
 *   I1  One snapshot at a time: "busy" holds the pid, so that what a fork of
 *       the program inherited does not count.
 *   I2  Between stop and resume nothing is called that could wait for another
 *       thread: those that stand still may hold any lock.
 *   I3  No signal is delivered to the caller meanwhile.  SIGXFSZ, which a write
 *       in place may raise, is taken off before signals are let in again.
 */
#define _GNU_SOURCE
#include "snap/snap_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "snap/snap_sys.h"

#define SIGSET_BYTES  8
#define SPARE_THREADS 64

static int32_t busy;     /* I1 */
static int32_t last_pid; /* a child nobody waited for, or 0 */
static int32_t last_parent;

/* the caller's registers as they are at this point of the calling function */
#define CAPTURE(r, fp)                                                        \
	__asm__ volatile(                                                     \
		"movq %%r15, %c[r15](%0)\n\t"                                 \
		"movq %%r14, %c[r14](%0)\n\t"                                 \
		"movq %%r13, %c[r13](%0)\n\t"                                 \
		"movq %%r12, %c[r12](%0)\n\t"                                 \
		"movq %%rbp, %c[rbp](%0)\n\t"                                 \
		"movq %%rbx, %c[rbx](%0)\n\t"                                 \
		"movq %%rsp, %c[rsp](%0)\n\t"                                 \
		"leaq 0(%%rip), %%rax\n\t"                                    \
		"movq %%rax, %c[rip](%0)\n\t"                                 \
		"pushfq\n\tpopq %c[eflags](%0)\n\t"                           \
		"fxsave64 (%1)"                                               \
		:                                                             \
		: "r"(r),                                                     \
		  "r"(fp), [r15] "i"(offsetof(struct user_regs_struct, r15)), \
		  [r14] "i"(offsetof(struct user_regs_struct, r14)),          \
		  [r13] "i"(offsetof(struct user_regs_struct, r13)),          \
		  [r12] "i"(offsetof(struct user_regs_struct, r12)),          \
		  [rbp] "i"(offsetof(struct user_regs_struct, rbp)),          \
		  [rbx] "i"(offsetof(struct user_regs_struct, rbx)),          \
		  [rsp] "i"(offsetof(struct user_regs_struct, rsp)),          \
		  [rip] "i"(offsetof(struct user_regs_struct, rip)),          \
		  [eflags] "i"(offsetof(struct user_regs_struct, eflags))     \
		: "rax", "memory")

/* ---- the work area ------------------------------------------------------- */

/* threads there are: the number of links of /proc/self/task, less two */
static size_t count_threads(void)
{
	struct stat st;

	if (snap_sys(SYS_newfstatat, AT_FDCWD, "/proc/self/task", &st) < 0 ||
	    st.st_nlink < 3)
		return 1;
	return st.st_nlink - 2;
}

static uint64_t clock_ns(int which)
{
	struct timespec ts = {0, 0};

	snap_sys(SYS_clock_gettime, which, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void take_facts(struct snap_work *work)
{
	long n;

	work->pid = (int32_t)snap_sys(SYS_getpid);
	work->tid = (int32_t)snap_sys(SYS_gettid);
	work->ppid = (int32_t)snap_sys(SYS_getppid);
	work->pgrp = (int32_t)snap_sys(SYS_getpgid, 0);
	work->sid = (int32_t)snap_sys(SYS_getsid, 0);
	work->uid = (uint32_t)snap_sys(SYS_getuid);
	work->gid = (uint32_t)snap_sys(SYS_getgid);
	work->wall_ns = clock_ns(CLOCK_REALTIME);
	work->mono_ns = clock_ns(CLOCK_MONOTONIC);
	n = snap_read_file("/proc/self/comm", work->comm,
			   sizeof(work->comm) - 1);
	if (n > 0 && work->comm[n - 1] == '\n')
		work->comm[n - 1] = '\0';
	work->nthreads = 1;
	work->threads[0].tid = (uint32_t)work->tid;
	work->threads[0].regs =
		work->req->is_at_call ? SNAP_AT_CALL : SNAP_ALL_REGS;
	work->threads[0].is_stopped = 1;
	snap_own_bases(&work->threads[0]);
}

static struct snap_work *work_create(const struct snap_request *req)
{
	size_t max_threads = 2 * count_threads() + SPARE_THREADS;
	size_t bytes = sizeof(struct snap_work) +
		       max_threads * sizeof(struct snap_thread);
	struct snap_work *work;
	long rc = snap_sys(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (rc < 0 && rc > -4096)
		return NULL;
	work = (struct snap_work *)rc;
	work->work_bytes = bytes;
	work->max_threads = max_threads;
	work->req = req;
	take_facts(work);
	return work;
}

/* ---- signals ------------------------------------------------------------- */

static void block_signals(uint64_t *ret_old)
{
	uint64_t all = ~(uint64_t)0;

	snap_sys(SYS_rt_sigprocmask, SIG_SETMASK, &all, ret_old, SIGSET_BYTES);
}

/* takes a pending SIGXFSZ off (I3) */
static void take_sigxfsz(void)
{
	uint64_t set = (uint64_t)1 << (SIGXFSZ - 1);
	struct timespec now = {0, 0};

	snap_sys(SYS_rt_sigtimedwait, &set, NULL, &now, SIGSET_BYTES);
}

static void restore_signals(uint64_t old)
{
	snap_sys(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, SIGSET_BYTES);
}

/* ---- the child ----------------------------------------------------------- */

static void child(struct snap_work *work) __attribute__((noreturn));
static void child(struct snap_work *work)
{
	struct rlimit none = {0, 0};

	/* a pipe of the program must not stay open because of us */
	snap_sys(SYS_close_range, 0, ~0U, 0);
	snap_sys(SYS_setrlimit, RLIMIT_CORE, &none);
	work->result = snap_write(work);
	work->is_done = 1;
	for (;;)
		snap_sys(SYS_exit_group, work->result);
}

/* waits for the child; returns 0 or a positive errno */
static int await_child(struct snap_work *work, long pid)
{
	int status = 0;
	long rc;

	do {
		rc = snap_sys(SYS_wait4, pid, &status, __WALL, NULL);
	} while (rc == -EINTR);
	/* what it said counts, even if somebody else collected it */
	if (work->is_done)
		return work->result;
	if (work->tmp[0])
		snap_sys(SYS_unlink, work->tmp);
	return EIO;
}

void snap_reap(void)
{
	int32_t pid = __atomic_exchange_n(&last_pid, 0, __ATOMIC_SEQ_CST);

	if (pid > 0 && last_parent == snap_sys(SYS_getpid) &&
	    snap_sys(SYS_wait4, pid, NULL, __WALL | WNOHANG, NULL) == 0)
		last_pid = pid;
}

/* ---- the caller ---------------------------------------------------------- */

static int take_busy(void)
{
	int32_t self = (int32_t)snap_sys(SYS_getpid);
	int32_t holder = __atomic_load_n(&busy, __ATOMIC_SEQ_CST);

	return holder != self &&
	       __atomic_compare_exchange_n(&busy, &holder, self, 0,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void release(const struct snap_request *req)
{
	if (req->release)
		req->release(req->release_arg);
}

/* says of all memory that a child finds wiped what a fork does with it;
 * returns 0 or -errno */
static long advise_wiped(const struct snap_request *req, int advice)
{
	long rc = 0;

	for (size_t i = 0; i < req->nwiped; i++) {
		const struct snap_range *r = &req->wiped[i];
		long err = snap_sys(SYS_madvise, r->start, r->end - r->start,
				    advice);

		rc = rc ? rc : err;
	}
	return rc;
}

/* a child whose memory is the image; as fork() */
static long fork_image(struct snap_work *work)
{
	long pid = advise_wiped(work->req, MADV_KEEPONFORK);

	if (pid == 0)
		pid = snap_sys(SYS_clone, 0, 0, 0, 0, 0);
	if (pid != 0)
		advise_wiped(work->req, MADV_WIPEONFORK);
	return pid;
}

/* makes the image, by a child or in place; *ret_pid is the child or not above
 * 0.  Returns 0 or a positive errno. */
static int make_image(struct snap_work *work, long *ret_pid)
{
	int err = 0;

	*ret_pid = -ENOSYS;
	if (!work->req->nofork) {
		work->is_forked = 1;
		*ret_pid = fork_image(work);
		if (*ret_pid == 0)
			child(work);
	}
	if (*ret_pid < 0) {
		work->is_forked = 0;
		err = snap_write(work);
		take_sigxfsz();
	}
	return err;
}

/* the snapshot itself, every signal being blocked; returns 0 or a positive
 * errno.  The work area is gone after, or left to late threads. */
static int take(struct snap_work *work, uint64_t old_signals)
{
	const struct snap_request *req = work->req;
	int is_waiting;
	int is_idle;
	int err;
	long pid;

	snap_threads_stop(work);
	err = make_image(work, &pid);
	is_waiting = pid > 0 && (req->wait || req->hold);
	if (is_waiting && req->hold) {
		err = await_child(work, pid);
		is_waiting = 0;
	} else if (pid > 0 && !is_waiting) {
		last_parent = work->pid;
		last_pid = (int32_t)pid;
	}
	is_idle = snap_threads_resume(work) == 0;
	release(req);
	__atomic_store_n(&busy, 0, __ATOMIC_SEQ_CST);
	restore_signals(old_signals);
	if (is_waiting)
		err = await_child(work, pid);
	if (is_idle)
		snap_sys(SYS_munmap, work, work->work_bytes);
	return err;
}

int snap_self(const struct snap_request *req)
{
	struct snap_work *work;
	uint64_t old_signals;

	snap_reap();
	if (!req->path || strlen(req->path) >= PATH_MAX || !take_busy()) {
		release(req);
		return !req->path                      ? -EINVAL
		       : strlen(req->path) >= PATH_MAX ? -ENAMETOOLONG
						       : -EBUSY;
	}
	work = work_create(req);
	if (!work) {
		__atomic_store_n(&busy, 0, __ATOMIC_SEQ_CST);
		release(req);
		return -ENOMEM;
	}
	block_signals(&old_signals);
	CAPTURE(&work->self_regs, work->self_fpregs);
	work->self_regs.cs = 0x33;
	work->self_regs.ss = 0x2b;
	return -take(work, old_signals);
}

const char *snap_strerror(int err)
{
	switch (-err) {
	case 0:
		return "Success";
	case EACCES:
		return "Permission denied";
	case EPERM:
		return "Operation not permitted";
	case ENOENT:
		return "No such file or directory";
	case ENOTDIR:
		return "Not a directory";
	case EISDIR:
		return "Is a directory";
	case EEXIST:
		return "Exists and is not a regular file";
	case ENOSPC:
		return "No space left on device";
	case EDQUOT:
		return "Disk quota exceeded";
	case EFBIG:
		return "File too large";
	case EROFS:
		return "Read-only file system";
	case ENAMETOOLONG:
		return "File name too long";
	case ELOOP:
		return "Too many levels of symbolic links";
	case ENOMEM:
		return "Cannot allocate memory";
	case EMFILE:
	case ENFILE:
		return "Too many open files";
	case ESRCH:
		return "/proc/self/maps cannot be read";
	case EBUSY:
		return "Another snapshot is being taken";
	case EINVAL:
		return "Invalid argument";
	case EIO:
		return "The writer died or the device failed";
	default:
		return "Unexpected error";
	}
}
