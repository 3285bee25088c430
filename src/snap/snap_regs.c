/* SPDX-License-Identifier: MIT */
/*
 * Where every thread is, learnt from inside and without ptrace.
 *
 * A signal is queued to each thread.  Its handler puts the address of the
 * ucontext the kernel made, and the thread's fs and gs base, in a slot of the
 * work area, and then waits on a futex; so the registers stay on the thread's
 * own stack, below its stack pointer, and the forked child reads them there.
 *
 *   I1  The signal is the second of those glibc keeps to itself (33): its
 *       functions do not let a program block it, so that a thread that has
 *       blocked "all" signals answers too.  glibc's own use of it (setuid in
 *       every thread) is told apart by si_code and passed on.
 *   I2  The slot of a thread is in the signal's value.  It is believed only
 *       while this snapshot is the active one, since an answer may come late.
 *   I3  "inside" counts threads in the handler; the work area is unmapped
 *       only when it is 0 and no snapshot is active.
 *   I4  The old disposition comes back only if every signal sent was received:
 *       one that arrived later could kill the process.
 *   I5  The list of threads is read again until it holds no new one: only a
 *       thread that is not stopped can make another.
 *
 * A thread that does not answer in time (blocked in the kernel, or with the
 * signal blocked by hand) leaves its pc and sp in /proc/self/task/TID/syscall.
 *
 * Rejected: a real-time signal of the program's range (a thread may block it,
 * the program may use it); ptrace from a helper (Yama and containers forbid
 * it).  A system call that a signal interrupts in spite of SA_RESTART, as poll
 * and nanosleep, returns EINTR in the stopped thread.
 */
#define _GNU_SOURCE
#include "snap/snap_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "snap/snap_sys.h"

#define STOP_MS          200 /* for all threads together */
#define ZOMBIE_MS        10  /* then look whether the silent ones are dead */
#define ASK_MS           250 /* to find one that does not stop in the kernel */
#define INSIDE_MS        100 /* for all to leave the handler */
#define KERNEL_RESTORER  0x04000000 /* SA_RESTORER */
#define ARCH_GET_FS_CODE 0x1003
#define ARCH_GET_GS_CODE 0x1004

/* the kernel's struct sigaction */
struct kernel_sigaction {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static struct {
	struct snap_work *volatile active; /* I2 */
	uint32_t nstopped;                 /* futex; threads that answered */
	uint32_t round;   /* futex; changes when the threads may go on */
	uint32_t ninside; /* I3 */
	int is_installed;
	struct kernel_sigaction old;
} stop;

/*
 * The return from a handler.  An unwinder that comes through it (gdb in a core,
 * our own in a stack to record, that of C++ exceptions) needs to be told where
 * the kernel put the registers: rsp points to the ucontext, gregs are at 40.
 * The rules begin a byte early, since unwinders look at the address before a
 * return address.
 */
#define CFA_AT(low, high) ".cfi_escape 0x0f,4,0x77," #low "," #high ",0x06\n"
#define REG_AT1(reg, off) ".cfi_escape 0x10," #reg ",2,0x77," #off "\n"
#define REG_AT(reg, low, high) \
	".cfi_escape 0x10," #reg ",3,0x77," #low "," #high "\n"

void snap_restore_rt(void);
__asm__(".text\n"
	".type snap_restore_rt, @function\n"
	".hidden snap_restore_rt\n"
	".globl snap_restore_rt\n"
	".cfi_startproc simple\n"
	".cfi_signal_frame\n" CFA_AT(0xa0, 0x01) /* rsp */
	REG_AT(0, 0x90, 0x01)                    /* rax */
	REG_AT(1, 0x88, 0x01)                    /* rdx */
	REG_AT(2, 0x98, 0x01)                    /* rcx */
	REG_AT(3, 0x80, 0x01)                    /* rbx */
	REG_AT(4, 0xf0, 0x00)                    /* rsi */
	REG_AT(5, 0xe8, 0x00)                    /* rdi */
	REG_AT(6, 0xf8, 0x00)                    /* rbp */
	REG_AT(7, 0xa0, 0x01)                    /* rsp */
	REG_AT1(8, 0x28)                         /* r8 */
	REG_AT1(9, 0x30)                         /* r9 */
	REG_AT1(10, 0x38)                        /* r10 */
	REG_AT(11, 0xc0, 0x00)                   /* r11 */
	REG_AT(12, 0xc8, 0x00)                   /* r12 */
	REG_AT(13, 0xd0, 0x00)                   /* r13 */
	REG_AT(14, 0xd8, 0x00)                   /* r14 */
	REG_AT(15, 0xe0, 0x00)                   /* r15 */
	REG_AT(16, 0xa8, 0x01)                   /* rip */
	"	nop\n"
	"snap_restore_rt:\n"
	"	movq $15, %rax\n"
	"	syscall\n"
	".cfi_endproc\n"
	".size snap_restore_rt, . - snap_restore_rt\n");

static uint64_t now_ms(void)
{
	struct timespec ts = {0, 0};

	snap_sys(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* waits while *word is value, at most ms (-1: for ever) */
static void futex_wait(uint32_t *word, uint32_t value, long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	snap_sys(SYS_futex, word, FUTEX_WAIT_PRIVATE, value,
		 ms < 0 ? NULL : &ts);
}

static void futex_wake_all(uint32_t *word)
{
	snap_sys(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX);
}

void snap_own_bases(struct snap_thread *thread)
{
	snap_sys(SYS_arch_prctl, ARCH_GET_FS_CODE, &thread->fs_base);
	snap_sys(SYS_arch_prctl, ARCH_GET_GS_CODE, &thread->gs_base);
}

/* how this thread is to be shown, or NULL */
static __thread const void *shown_as;

const void *snap_show_as(const void *ucontext)
{
	const void *old = shown_as;

	shown_as = ucontext;
	return old;
}

/* ---- the handler --------------------------------------------------------- */

/* the slot a signal is about, or NULL (I2) */
static struct snap_thread *slot_of(const siginfo_t *si)
{
	struct snap_work *work =
		__atomic_load_n(&stop.active, __ATOMIC_ACQUIRE);
	struct snap_thread *thread = si->si_value.sival_ptr;

	if (!work || thread < work->threads ||
	    thread >= work->threads + work->max_threads)
		return NULL;
	/* an earlier snapshot may have had its work area at this place */
	if ((long)thread->tid != snap_sys(SYS_gettid) || thread->is_stopped)
		return NULL;
	return thread;
}

/* hands glibc what is glibc's (I1) */
static void pass_on(int signo, siginfo_t *si, void *uc)
{
	void (*handler)(int, siginfo_t *, void *) = stop.old.handler;

	if ((uintptr_t)handler != (uintptr_t)SIG_DFL &&
	    (uintptr_t)handler != (uintptr_t)SIG_IGN)
		handler(signo, si, uc);
}

static void on_stop(int signo, siginfo_t *si, void *uc)
{
	struct snap_thread *thread;
	uint32_t round;

	if (si->si_code != SI_QUEUE) {
		pass_on(signo, si, uc);
		return;
	}
	__atomic_add_fetch(&stop.ninside, 1, __ATOMIC_SEQ_CST);
	round = __atomic_load_n(&stop.round, __ATOMIC_SEQ_CST);
	thread = slot_of(si);
	if (thread) {
		thread->ucontext = shown_as ? shown_as : uc;
		snap_own_bases(thread);
		thread->regs = SNAP_ALL_REGS;
		__atomic_store_n(&thread->is_stopped, 1, __ATOMIC_RELEASE);
		__atomic_add_fetch(&stop.nstopped, 1, __ATOMIC_SEQ_CST);
		futex_wake_all(&stop.nstopped);
		while (__atomic_load_n(&stop.round, __ATOMIC_SEQ_CST) == round)
			futex_wait(&stop.round, round, -1);
	}
	__atomic_sub_fetch(&stop.ninside, 1, __ATOMIC_SEQ_CST);
}

static void install(void)
{
	struct kernel_sigaction sa = {
		.handler = on_stop,
		.flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK | KERNEL_RESTORER,
		.restorer = snap_restore_rt,
		.mask = ~(uint64_t)0,
	};

	struct kernel_sigaction now;

	stop.is_installed = 0;
	if (snap_sys(SYS_rt_sigaction, SNAP_STOP_SIGNAL, NULL, &now,
		     sizeof(sa.mask)))
		return;
	/* still ours after a thread did not answer (I4)? */
	if (now.handler != on_stop)
		stop.old = now;
	stop.is_installed = snap_sys(SYS_rt_sigaction, SNAP_STOP_SIGNAL, &sa,
				     NULL, sizeof(sa.mask)) == 0;
}

static void uninstall(void)
{
	if (stop.is_installed)
		snap_sys(SYS_rt_sigaction, SNAP_STOP_SIGNAL, &stop.old, NULL,
			 sizeof(stop.old.mask));
}

/* ---- the list of threads ------------------------------------------------- */

struct dirent64_head {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

/* "/proc/self/task/TID/FILE" in work->path */
static const char *task_path(struct snap_work *work, uint32_t tid,
			     const char *file)
{
	char *end = work->path + sizeof(work->path);
	char *at = snap_append(work->path, end, "/proc/self/task/");

	at = snap_append_number(at, end, tid);
	at = snap_append(at, end, "/");
	snap_append(at, end, file);
	return work->path;
}

/* the slot of a thread, likely at hint or before it: the list is in the order
 * of creation, but for the caller, who has slot 0 */
static struct snap_thread *find(struct snap_work *work, uint32_t tid,
				size_t hint)
{
	for (size_t i = hint; i + 2 > hint; i--) {
		if (i < work->nthreads && work->threads[i].tid == tid)
			return &work->threads[i];
		if (i == 0)
			break;
	}
	for (size_t i = 0; i < work->nthreads; i++) {
		if (work->threads[i].tid == tid)
			return &work->threads[i];
	}
	return NULL;
}

/* gives a thread a slot and sends it the signal */
static void add(struct snap_work *work, uint32_t tid)
{
	struct snap_thread *thread = &work->threads[work->nthreads];
	siginfo_t si;
	long rc;

	memset(thread, 0, sizeof(*thread));
	thread->tid = tid;
	memset(&si, 0, sizeof(si));
	si.si_signo = SNAP_STOP_SIGNAL;
	si.si_code = SI_QUEUE;
	si.si_pid = work->pid;
	si.si_uid = work->uid;
	si.si_value.sival_ptr = thread;
	do {
		rc = snap_sys(SYS_rt_tgsigqueueinfo, work->pid, tid,
			      SNAP_STOP_SIGNAL, &si);
		/* the queue of signals is full: others are being received */
		if (rc == -EAGAIN)
			snap_sys(SYS_sched_yield);
	} while (rc == -EAGAIN && thread->is_signalled++ < 1000);
	thread->is_signalled = rc == 0;
	if (rc != -ESRCH)
		work->nthreads++;
}

/* takes in the threads that are not known yet; returns how many */
static size_t scan(struct snap_work *work)
{
	size_t nbefore = work->nthreads;
	size_t nseen = 0;
	long fd = snap_open("/proc/self/task",
			    O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	long n;

	if (fd < 0)
		return 0;
	while ((n = snap_sys(SYS_getdents64, fd, work->scratch,
			     sizeof(work->scratch))) > 0) {
		for (long at = 0; at < n;) {
			struct dirent64_head *de = (void *)(work->scratch + at);
			uint32_t tid = 0;

			at += de->reclen;
			for (const char *p = de->name; *p >= '0' && *p <= '9';
			     p++)
				tid = tid * 10 + (uint32_t)(*p - '0');
			if (tid == 0)
				continue;
			if (!find(work, tid, ++nseen) &&
			    work->nthreads < work->max_threads)
				add(work, tid);
		}
	}
	snap_sys(SYS_close, fd);
	return work->nthreads - nbefore;
}

/* a thread that has ended, or is ending, has no registers to lose */
static int is_dead(struct snap_work *work, const struct snap_thread *thread)
{
	char *text = work->scratch;
	long n = snap_read_file(task_path(work, thread->tid, "stat"), text,
				sizeof(work->scratch) - 1);

	if (n <= 0)
		return 1;
	/* "TID (NAME) S ...", and NAME may hold anything */
	while (n > 2 && text[n - 1] != ')')
		n--;
	return n > 2 && (text[n + 1] == 'Z' || text[n + 1] == 'X');
}

static void drop_dead(struct snap_work *work)
{
	size_t n = 1;

	for (size_t i = 1; i < work->nthreads; i++) {
		struct snap_thread *thread = &work->threads[i];

		/* slots of stopped threads are known by address: none moves */
		if (!thread->is_stopped && thread->tid && is_dead(work, thread))
			thread->tid = 0;
		if (thread->tid)
			n = i + 1;
	}
	work->nthreads = n;
}

static size_t count_silent(const struct snap_work *work)
{
	size_t n = 0;

	for (size_t i = 1; i < work->nthreads; i++) {
		const struct snap_thread *thread = &work->threads[i];

		n += thread->tid && thread->is_signalled &&
		     !__atomic_load_n(&thread->is_stopped, __ATOMIC_ACQUIRE);
	}
	return n;
}

/* waits until all that were signalled have answered, or time is up */
static void await(struct snap_work *work, uint64_t deadline_ms)
{
	for (;;) {
		uint32_t n = __atomic_load_n(&stop.nstopped, __ATOMIC_SEQ_CST);
		uint64_t now = now_ms();

		if (count_silent(work) == 0 || now >= deadline_ms)
			return;
		futex_wait(&stop.nstopped, n, (long)(deadline_ms - now));
	}
}

/* pc and sp of a thread that did not answer, as the kernel tells them:
 * "NR A0 A1 A2 A3 A4 A5 SP PC", "-1 SP PC" or "running" */
static void ask_kernel(struct snap_work *work, struct snap_thread *thread,
		       uint64_t deadline_ms)
{
	const struct timespec tick = {0, 1000000};
	char *text = work->scratch;
	uint64_t word = 0;
	uint64_t before = 0;
	long n;

	for (;;) {
		n = snap_read_file(task_path(work, thread->tid, "syscall"),
				   text, sizeof(work->scratch) - 1);
		if (n <= 0)
			return;
		if (text[0] != 'r')
			break;
		/* it may be in a system call the next moment */
		if (now_ms() >= deadline_ms)
			return;
		snap_sys(SYS_nanosleep, &tick, NULL);
	}
	for (long i = 0; i < n; i++) {
		char c = text[i];

		if (c == ' ') {
			before = word;
			word = 0;
		} else if (c >= '0' && c <= '9') {
			word = word << 4 | (uint64_t)(c - '0');
		} else if (c >= 'a' && c <= 'f') {
			word = word << 4 | (uint64_t)(c - 'a' + 10);
		} else if (c == 'x') {
			word = 0;
		}
	}
	thread->sp = before;
	thread->pc = word;
	thread->regs = SNAP_PC_SP;
}

static void read_name(struct snap_work *work, struct snap_thread *thread)
{
	long n = snap_read_file(task_path(work, thread->tid, "comm"),
				thread->name, sizeof(thread->name) - 1);

	if (n > 0 && thread->name[n - 1] == '\n')
		thread->name[n - 1] = '\0';
}

void snap_threads_stop(struct snap_work *work)
{
	uint64_t start_ms = now_ms();

	install();
	__atomic_store_n(&stop.nstopped, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&stop.active, work, __ATOMIC_SEQ_CST);
	if (stop.is_installed) {
		/* I5 */
		while (scan(work))
			await(work, start_ms + ZOMBIE_MS);
		if (count_silent(work)) {
			drop_dead(work);
			await(work, start_ms + STOP_MS);
		}
		if (count_silent(work))
			drop_dead(work);
	}
	for (size_t i = 0; i < work->nthreads; i++) {
		struct snap_thread *thread = &work->threads[i];

		if (i > 0 && thread->tid && !thread->is_stopped)
			ask_kernel(work, thread, start_ms + ASK_MS);
		if (thread->tid)
			read_name(work, thread);
	}
}

int snap_threads_resume(struct snap_work *work)
{
	uint64_t deadline_ms;
	size_t nsilent = count_silent(work);

	__atomic_store_n(&stop.active, NULL, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&stop.round, 1, __ATOMIC_SEQ_CST);
	futex_wake_all(&stop.round);
	if (nsilent == 0)
		uninstall(); /* I4 */
	deadline_ms = now_ms() + INSIDE_MS;
	while (__atomic_load_n(&stop.ninside, __ATOMIC_SEQ_CST)) {
		if (now_ms() >= deadline_ms)
			return -EBUSY;
		snap_sys(SYS_sched_yield);
	}
	return 0;
}

/* ---- registers as notes hold them ---------------------------------------- */

static const ucontext_t *ucontext_of(const struct snap_work *work,
				     const struct snap_thread *thread)
{
	return thread == work->threads ? work->req->ucontext : thread->ucontext;
}

static void regs_of_ucontext(const ucontext_t *uc, struct user_regs_struct *r)
{
	const greg_t *g = uc->uc_mcontext.gregs;

	r->r8 = (uint64_t)g[REG_R8];
	r->r9 = (uint64_t)g[REG_R9];
	r->r10 = (uint64_t)g[REG_R10];
	r->r11 = (uint64_t)g[REG_R11];
	r->r12 = (uint64_t)g[REG_R12];
	r->r13 = (uint64_t)g[REG_R13];
	r->r14 = (uint64_t)g[REG_R14];
	r->r15 = (uint64_t)g[REG_R15];
	r->rdi = (uint64_t)g[REG_RDI];
	r->rsi = (uint64_t)g[REG_RSI];
	r->rbp = (uint64_t)g[REG_RBP];
	r->rbx = (uint64_t)g[REG_RBX];
	r->rdx = (uint64_t)g[REG_RDX];
	r->rax = (uint64_t)g[REG_RAX];
	r->rcx = (uint64_t)g[REG_RCX];
	r->rsp = (uint64_t)g[REG_RSP];
	r->rip = (uint64_t)g[REG_RIP];
	r->eflags = (uint64_t)g[REG_EFL];
	/* cs, gs, fs, ss, 16 bits each */
	r->cs = (uint64_t)g[REG_CSGSFS] & 0xffff;
	r->ss = (uint64_t)g[REG_CSGSFS] >> 48;
	if (r->ss == 0)
		r->ss = 0x2b;
}

void snap_regs_general(const struct snap_work *work,
		       const struct snap_thread *thread,
		       struct user_regs_struct *ret_regs)
{
	const ucontext_t *uc = ucontext_of(work, thread);

	memset(ret_regs, 0, sizeof(*ret_regs));
	if (uc) {
		regs_of_ucontext(uc, ret_regs);
	} else if (thread == work->threads) {
		*ret_regs = work->self_regs;
	} else {
		ret_regs->rip = thread->pc;
		ret_regs->rsp = thread->sp;
	}
	ret_regs->orig_rax = ~(uint64_t)0; /* not in a system call */
	ret_regs->fs_base = thread->fs_base;
	ret_regs->gs_base = thread->gs_base;
}

const void *snap_regs_fp(const struct snap_work *work,
			 const struct snap_thread *thread)
{
	const ucontext_t *uc = ucontext_of(work, thread);

	if (uc)
		return uc->uc_mcontext.fpregs;
	return thread == work->threads ? work->self_fpregs : NULL;
}

/* features whose place is the same on every machine and known to gdb 13 and
 * libdw 0.188: x87, SSE, AVX; and with AVX-512 its three and PKRU */
#define XFEATURES_AVX       0x07
#define XFEATURES_AVX512    0xe0
#define XFEATURES_PKRU      0x200
#define XSTATE_AVX_BYTES    832
#define XSTATE_AVX512_BYTES 2696

/* what the kernel leaves in the spare bytes of the fxsave area */
#define XSTATE_SPARE 464
#define XSTATE_MAGIC 0x46505853U
struct xstate_spare {
	uint32_t magic;
	uint32_t extended_bytes;
	uint64_t features;
	uint32_t xstate_bytes;
};

const void *snap_regs_xstate(const struct snap_work *work,
			     const struct snap_thread *thread,
			     size_t *ret_bytes, uint64_t *ret_mask)
{
	const ucontext_t *uc = ucontext_of(work, thread);
	const char *fp = uc ? (const char *)uc->uc_mcontext.fpregs : NULL;
	struct xstate_spare spare;

	if (!fp)
		return NULL;
	memcpy(&spare, fp + XSTATE_SPARE, sizeof(spare));
	if (spare.magic != XSTATE_MAGIC || (spare.features & 4) == 0)
		return NULL;
	if ((spare.features & XFEATURES_AVX512) == XFEATURES_AVX512 &&
	    spare.xstate_bytes >= XSTATE_AVX512_BYTES) {
		*ret_bytes = XSTATE_AVX512_BYTES;
		*ret_mask = spare.features &
			    (XFEATURES_AVX | XFEATURES_AVX512 | XFEATURES_PKRU);
	} else if (spare.xstate_bytes >= XSTATE_AVX_BYTES) {
		*ret_bytes = XSTATE_AVX_BYTES;
		*ret_mask = spare.features & XFEATURES_AVX;
	} else {
		return NULL;
	}
	return fp;
}
