/* SPDX-License-Identifier: MIT */
/*
 * When a process writes a snapshot of itself, and under which name.
 *
 * KMEM_SNAPSHOT is a list of items between commas:
 *
 *   exit        exit(), return from main
 *   _exit       _exit(), _Exit(), quick_exit()
 *   fatal       a signal that ends the process
 *   panic       the allocator found damage
 *   signal=NAME at this signal, and goes on
 *   main=PID    the process whose dump has the name as it is
 *   list=FILE   append "PID /NAME" of each dump to this file, with a NUL;
 *               of one that failed, "PID WHY"
 *   only=P[:P]  only in a process whose command, or program, has such a name;
 *               * and ? are wildcards
 *   path=NAME   the rest of the value is the name of the dump
 *
 * A value that begins with '/' or has no such item is a name and means exit,
 * _exit, fatal and panic.  In a name %p is the process id, %c the command, %n
 * the number of the dump in the process, from 1, %% a percent sign.  Without
 * %p every process but the main one appends ".PID"; without %n the second dump
 * of a process, and those that follow, append ".N".
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
#include "kmem_snap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "contract/notes.h"
#include "kmem_internal.h"
#include "kmem_sandbox.h"
#include "snap/snap.h"
#include "snap/snap_sys.h"

#define DEFAULT_PATH "pmdb.%c.%p.core"
#define LOCK_NS      ((hrtime_t)5 * 1000000000)   /* for another snapshot */
#define LAST_NS      ((hrtime_t)600 * 1000000000) /* I3 */
#define LOCK_ALL_MS  300
#define MAX_RANGES   4096
#define MAX_WIPED    64

/* as the environment was at the start; written once, by the constructor */
static struct {
	int is_read;
	int is_left_out; /* by only= */
	unsigned events; /* KMEM_ON_* */
	int signo;
	int main_pid;
	char comm[16];
	dev_t stderr_dev;
	ino_t stderr_ino;
	size_t env_bytes;
	/* the pages of these are touched if there is something to put there */
	char list[PATH_MAX];
	char path[PATH_MAX]; /* a template, absolute */
	char env[8192];      /* KMEM_NT_ENV */
} conf KM_SELDOM;

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

/* ---- text ---------------------------------------------------------------- */

/* a place to write text; what does not fit makes it fail */
struct text {
	char *at, *end;
	int is_full;
};

static void put(struct text *t, char c)
{
	if (t->at + 1 < t->end)
		*t->at++ = c;
	else
		t->is_full = 1;
	*t->at = '\0';
}

static void put_string(struct text *t, const char *s)
{
	while (*s)
		put(t, *s++);
}

static void put_number(struct text *t, uint32_t n)
{
	if (n >= 10)
		put_number(t, n / 10);
	put(t, (char)('0' + n % 10));
}

static unsigned parse_number(const char *s, size_t len)
{
	unsigned n = 0;

	for (size_t i = 0; i < len && s[i] >= '0' && s[i] <= '9'; i++)
		n = n * 10 + (unsigned)(s[i] - '0');
	return n;
}

/* the file name a template means in this process; 0 or -ENAMETOOLONG */
static int expand(const char *template, int is_shared, char *buf, size_t room)
{
	struct text t = {buf, buf + room, 0};
	uint32_t pid = (uint32_t)snap_sys(SYS_getpid);
	uint32_t number = ndumps[is_shared] + 1;
	int has_pid = 0;
	int has_number = 0;

	*buf = '\0';
	for (const char *p = template; *p; p++) {
		if (p[0] != '%' || !p[1]) {
			put(&t, *p);
			continue;
		}
		p++;
		has_pid |= *p == 'p';
		has_number |= *p == 'n';
		if (*p == 'p')
			put_number(&t, pid);
		else if (*p == 'n')
			put_number(&t, number);
		else if (*p == 'c')
			put_string(&t, conf.comm);
		else if (*p == '%')
			put(&t, '%');
		else
			put(&t, '%'), put(&t, *p);
	}
	if (is_shared && !has_pid && (int)pid != conf.main_pid) {
		put(&t, '.');
		put_number(&t, pid);
	}
	if (is_shared && !has_number && number > 1) {
		put(&t, '.');
		put_number(&t, number);
	}
	return t.is_full ? -ENAMETOOLONG : 0;
}

/* ---- KMEM_SNAPSHOT ------------------------------------------------------- */

static const struct {
	const char *name;
	int signo;
} signals[] = {
	{"HUP", SIGHUP},   {"INT", SIGINT},       {"QUIT", SIGQUIT},
	{"USR1", SIGUSR1}, {"USR2", SIGUSR2},     {"ALRM", SIGALRM},
	{"TERM", SIGTERM}, {"URG", SIGURG},       {"IO", SIGIO},
	{"PROF", SIGPROF}, {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH},
	{"PWR", SIGPWR},   {"TRAP", SIGTRAP},     {"CONT", SIGCONT},
};

/* the number of a signal by name, with or without SIG, or by number; 0: none */
static int parse_signal(const char *s, size_t len)
{
	unsigned n = parse_number(s, len);

	if (n > 0)
		return n < 65 && n != SIGKILL && n != SIGSTOP && n != 32 &&
				       n != 33
			       ? (int)n
			       : 0;
	if (len > 3 && strncmp(s, "SIG", 3) == 0) {
		s += 3;
		len -= 3;
	}
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		if (strlen(signals[i].name) == len &&
		    strncmp(s, signals[i].name, len) == 0)
			return signals[i].signo;
	}
	return 0;
}

/* is s[0, len) the word, or begins with it when that ends in '='? */
static int is_item(const char *s, size_t len, const char *word)
{
	size_t n = strlen(word);

	return word[n - 1] == '=' ? len >= n && strncmp(s, word, n) == 0
				  : len == n && strncmp(s, word, n) == 0;
}

/* is the name matched by a pattern? */
static int is_match(const char *p, const char *end, const char *name)
{
	const char *star = NULL; /* the last one, and what it may still take */
	const char *from = name;

	while (*name) {
		if (p < end && *p == '*') {
			star = ++p;
			from = name;
		} else if (p < end && (*p == '?' || *p == *name)) {
			p++;
			name++;
		} else if (star) {
			p = star;
			name = ++from;
		} else {
			return 0;
		}
	}
	while (p < end && *p == '*')
		p++;
	return p == end;
}

/* is this process one of those between colons?  The command is cut off after 15
 * characters, the name of the program is not. */
static int is_chosen(const char *s, size_t len)
{
	const char *end = s + len;
	const char *exe;
	long n = snap_sys(SYS_readlink, "/proc/self/exe", path_buf,
			  sizeof(path_buf) - 1);

	path_buf[n > 0 ? n : 0] = '\0';
	exe = strrchr(path_buf, '/');
	exe = exe ? exe + 1 : path_buf;
	while (s < end) {
		const char *p = s;

		while (s < end && *s != ':')
			s++;
		if (is_match(p, s, conf.comm) || is_match(p, s, exe))
			return 1;
		s++;
	}
	return 0;
}

/* takes one item in; 0 when there is no such item */
static int take_item(const char *s, size_t len)
{
	static const struct {
		const char *word;
		unsigned event;
	} words[] = {
		{"exit", KMEM_ON_EXIT},
		{"_exit", KMEM_ON__EXIT},
		{"fatal", KMEM_ON_FATAL},
		{"panic", KMEM_ON_PANIC},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (is_item(s, len, words[i].word)) {
			conf.events |= words[i].event;
			return 1;
		}
	}
	if (is_item(s, len, "signal=")) {
		conf.signo = parse_signal(s + 7, len - 7);
		if (conf.signo)
			conf.events |= KMEM_ON_SIGNAL;
		return 1;
	}
	if (is_item(s, len, "main=")) {
		conf.main_pid = (int)parse_number(s + 5, len - 5);
		return 1;
	}
	if (is_item(s, len, "only=")) {
		conf.is_left_out = !is_chosen(s + 5, len - 5);
		return 1;
	}
	if (is_item(s, len, "list=")) {
		len -= 5;
		if (len < sizeof(conf.list)) {
			memcpy(conf.list, s + 5, len);
			conf.list[len] = '\0';
		}
		return 1;
	}
	return 0;
}

/* returns the template in the value, or NULL for the default */
static const char *parse_value(const char *value)
{
	const char *s = value;

	while (*s) {
		size_t len = strcspn(s, ",");

		if (strncmp(s, "path=", 5) == 0)
			return s + 5;
		if (!take_item(s, len)) {
			/* the first word decides what the value is */
			if (s == value)
				return value;
			kmem_warn("pmdb: KMEM_SNAPSHOT: unitems item: %s\n", s);
		}
		s += len + (s[len] == ',');
	}
	return NULL;
}

/* keeps the effective options as they are now for the note */
static void save_env(void)
{
	static const char *const names[] = {
		"KMEM_DEBUG", "KMEM_LOGGING", "KMEM_OPTIONS", "KMEM_SNAPSHOT",
		"UMEM_DEBUG", "UMEM_LOGGING", "UMEM_OPTIONS",
	};
	struct text t = {conf.env, conf.env + sizeof(conf.env), 0};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = kmem_getenv(names[i]);
		char *start = t.at;

		if (!value)
			continue;
		put_string(&t, names[i]);
		put(&t, '=');
		put_string(&t, value);
		if (t.is_full || t.at + 1 >= t.end) {
			/* none rather than half of one */
			t.at = start;
			t.is_full = 0;
			continue;
		}
		t.at++;
	}
	conf.env_bytes = (size_t)(t.at - conf.env);
}

/* an absolute template: a later chdir() must not matter */
static void save_path(const char *template)
{
	struct text t = {conf.path, conf.path + sizeof(conf.path), 0};

	if (template[0] != '/' &&
	    snap_sys(SYS_getcwd, conf.path, sizeof(conf.path)) > 0 &&
	    conf.path[0] == '/') {
		/* a percent sign of the directory is no escape */
		char *cwd = path_buf;

		memcpy(cwd, conf.path, strlen(conf.path) + 1);
		for (; *cwd; cwd++) {
			if (*cwd == '%')
				put(&t, '%');
			put(&t, *cwd);
		}
		put(&t, '/');
	}
	put_string(&t, template);
}

/* the command as the kernel names it, fit for a file name */
static void save_comm(void)
{
	long fd = snap_sys(SYS_openat, AT_FDCWD, "/proc/self/comm",
			   O_RDONLY | O_CLOEXEC);
	long n = 0;

	if (fd >= 0) {
		n = snap_sys(SYS_read, fd, conf.comm, sizeof(conf.comm) - 1);
		snap_sys(SYS_close, fd);
	}
	conf.comm[n > 0 ? n : 0] = '\0';
	for (char *p = conf.comm; *p; p++) {
		if (*p == '\n' && !p[1])
			*p = '\0';
		else if (*p == '/' || (unsigned char)*p < ' ')
			*p = '_';
	}
	if (!conf.comm[0])
		conf.comm[0] = '_';
}

unsigned kmem_snap_events(void)
{
	const char *value;
	const char *template;

	if (conf.is_read)
		return conf.events;
	conf.is_read = 1;
	save_comm();
	save_env();
	value = kmem_getenv("KMEM_SNAPSHOT");
	if (value && *value) {
		template = *value == '/' ? value : parse_value(value);
		if (!conf.events)
			conf.events = KMEM_ON_EXIT | KMEM_ON__EXIT |
				      KMEM_ON_FATAL | KMEM_ON_PANIC;
		if (conf.is_left_out)
			conf.events = 0;
		save_path(template && *template ? template : DEFAULT_PATH);
	}
	return conf.events;
}

int kmem_snap_signal(void)
{
	return conf.signo;
}

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

/* writes at the end of a file; nobody hears SIGXFSZ.  0 or -errno */
static long append(const char *path, const char *buf, size_t bytes)
{
	uint64_t all = ~(uint64_t)0;
	uint64_t xfsz = (uint64_t)1 << (SIGXFSZ - 1);
	struct timespec now = {0, 0};
	uint64_t old;
	long rc;
	long fd = snap_sys(SYS_open, path,
			   O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return fd;
	snap_sys(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof(old));
	rc = snap_sys(SYS_write, fd, buf, bytes);
	if (rc == -EFBIG)
		snap_sys(SYS_rt_sigtimedwait, &xfsz, NULL, &now, sizeof(xfsz));
	snap_sys(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old));
	snap_sys(SYS_close, fd);
	return rc < 0 ? rc : 0;
}

/* as append(), in a process with no descriptor left: by a child that has */
static long append_by_child(const char *path, const char *buf, size_t bytes)
{
	int status = 0;
	long rc = snap_sys(SYS_clone, 0, 0, 0, 0, 0);

	if (rc == 0) {
		snap_sys(SYS_close_range, 0, ~0U, 0);
		rc = append(path, buf, bytes);
		for (;;)
			snap_sys(SYS_exit_group, -rc);
	}
	if (rc > 0) {
		while (snap_sys(SYS_wait4, rc, &status, __WALL, NULL) == -EINTR)
			;
		rc = WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
	}
	return rc;
}

/* tells "pmdb run" of a dump, by its name, or why there is none; snap_lock is
 * held.  Returns 0 or -errno; -ENOENT when nobody wants to know. */
static long tell_runner(const char *what)
{
	static char record[PATH_MAX + 256] KM_SELDOM;
	struct text t = {record, record + sizeof(record), 0};
	long rc;

	if (!conf.list[0])
		return -ENOENT;
	put_number(&t, (uint32_t)self_pid);
	put(&t, ' ');
	put_string(&t, what);
	t.at++;
	rc = append(conf.list, record, (size_t)(t.at - record));
	if (rc == -EMFILE)
		rc = append_by_child(conf.list, record,
				     (size_t)(t.at - record));
	return rc;
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
	int is_shared = template == conf.path;
	int rc = expand(template, is_shared, path_buf, sizeof(path_buf));

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
	req.env = conf.env;
	req.env_bytes = conf.env_bytes;
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

/* is descriptor 2 still what a line for people belongs in?  A daemon may have
 * closed it and have a file of its own there. */
static int is_stderr(void)
{
	struct stat st;

	if (snap_sys(SYS_fstat, 2, &st))
		return 0;
	return !S_ISREG(st.st_mode) ||
	       (st.st_dev == conf.stderr_dev && st.st_ino == conf.stderr_ino) ||
	       (snap_sys(SYS_fcntl, 2, F_GETFL) & O_APPEND);
}

static void save_stderr(void)
{
	struct stat st;

	if (snap_sys(SYS_fstat, 2, &st))
		return;
	conf.stderr_dev = st.st_dev;
	conf.stderr_ino = st.st_ino;
}

/* "snapshot of PID: cannot write PATH: WHY" */
static void put_why(struct text *t, const char *path, int rc)
{
	put_string(t, "snapshot of ");
	put_number(t, (uint32_t)self_pid);
	put_string(t, ": cannot write ");
	put_string(t, path);
	put_string(t, ": ");
	put_string(t, snap_strerror(rc));
}

/* says that a file could not be written: to "pmdb run", which has a line for
 * it in the end, or on stderr; snap_lock is held */
static void complain(const char *path, int rc)
{
	static char line[PATH_MAX + 128] KM_SELDOM;
	struct text t = {line, line + sizeof(line) - 1, 0};
	const char *why;

	put_string(&t, "pmdb: ");
	why = t.at;
	put_why(&t, path, rc);
	if (path != conf.list && tell_runner(why) == 0)
		return;
	put(&t, '\n');
	if (is_stderr())
		kmem_sys_write(2, line, (size_t)(t.at - line));
}

/* takes a snapshot under the name of KMEM_SNAPSHOT, or says why not */
static void snapshot_or_complain(const struct kmem_snap_cause *cause)
{
	int rc = lock();
	long told;

	if (rc)
		return; /* within or beside another one: that one reports */
	rc = snapshot(cause, conf.path, 0);
	if (rc == -ENOMEM && (cause->reason == KMEM_SNAP_EXIT ||
			      cause->reason == KMEM_SNAP__EXIT)) {
		kmem_reap(); /* the address space may be limited, and ours */
		rc = snapshot(cause, conf.path, 0);
	}
	told = rc ? 0 : tell_runner(path_buf);
	if (rc)
		complain(path_buf, rc);
	else if (told < 0 && told != -ENOENT)
		complain(conf.list, (int)told);
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
		SYS_lstat,
		SYS_madvise,
		SYS_mincore,
		SYS_mmap,
		SYS_munmap,
		SYS_nanosleep,
		SYS_open,
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
		SYS_stat,
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
	if (!conf.events || (int)snap_sys(SYS_getpid) != conf.main_pid ||
	    lock())
		return;
	(void)tell_runner("the program filters its system calls: no dump is "
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
	if (!path && conf.path[0])
		path = conf.path;
	if (path && *path && !(flags & ~KMEM_SNAP_NOWAIT) &&
	    !kmem_snap_is_vforked())
		rc = lock();
	if (rc == 0) {
		rc = snapshot(&cause, path, flags & KMEM_SNAP_NOWAIT);
		/* what is not complete yet is not looked at; the program
		 * knows of a failure */
		if (rc == 0 && path == conf.path && !flags)
			(void)tell_runner(path_buf);
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
	save_stderr();
	/* a program that never allocates has a heap to be looked at, too */
	if (kmem_snap_events())
		kmem_ready_check();
	if (conf.events & KMEM_ON_PANIC)
		kmem_panic_hook = on_panic;
	if (!conf.signo)
		return;
	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = kmem_snap_on_signal;
	sa.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
	sigfillset(&sa.sa_mask);
	(void)sigaction(conf.signo, &sa, NULL); /* a bad number: no handler */
}
