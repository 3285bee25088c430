/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "pmdb run": starts a program with libkmem preloaded, waits for it, and gives
 * its status as its own.
 *
 * The work is done by the library in the program; all that passes between is
 * the environment.  A program the loader would not preload anything into is
 * refused before it starts, for it would run unobserved:
 *
 *   LD_PRELOAD      libkmem_preload.so, then what the user had
 *   KMEM_DEBUG      default, unless the user chose
 *   KMEM_LOGGING    transaction=1m, unless the user chose
 *   KMEM_SNAPSHOT   exit,_exit,fatal,panic,main=PID[,list=FILE][,only=PATTERNS],
 *                   path=TEMPLATE
 *
 * Each process appends a record to FILE, since only the library knows which
 * dumps there are: "PID /NAME", or "PID WHY" of one that failed, with a NUL.  A
 * process that has become another user may append as well; the name of the
 * file is kept from others by a directory they cannot list.
 */
#define _GNU_SOURCE
#include "pmdb/pmdb.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "pmdb/run_impl.h"

#define PRELOAD_NAME     "libkmem_preload.so"
#define DEFAULT_DUMP     "pmdb.%c.%p.core"
#define MAX_INTERPRETERS 4
#define GROUP_MS         200 /* for the witness to tell */
#define GRACE_S          10  /* from SIGTERM to SIGKILL at a timeout */

/* which dumps stay when they have been judged */
enum keep {
	KEEP_ALL,
	KEEP_FAILED,
	KEEP_NONE,
};

/* options of run alone; those of check are above 0x100 */
enum run_code {
	RUN_DUMP_DIR = 0x80,
	RUN_KEEP,
	RUN_ONLY,
	RUN_TIMEOUT,
};

struct run {
	const char *dump;     /* template, as given */
	const char *dump_dir; /* for it; NULL: where we are */
	enum keep keep;
	struct strbuf only;       /* patterns of names, ":" between */
	long timeout_s;           /* 0: none */
	const char *check_option; /* one that needs --check, NULL none */
	int is_check;
	struct check *check; /* what --check asks for */
	char **argv;         /* the program's */
	char prog[PATH_MAX]; /* what is executed */
	char lib[PATH_MAX];  /* the preload library */
	char list[256];      /* file of records, or "" */
	size_t list_dir;     /* length of the part that is its directory */
	char *cwd;           /* owned; for a relative name of the dump, or "" */
	pid_t pid;           /* the program */
};

/* what the processes of a run told */
struct told {
	VEC(char *) paths; /* borrowed from the list */
	int is_any_failed;
	int has_main; /* the program told something */
};

/* a file mapped whole, read through image_at() only */
struct image {
	const char *bytes;
	size_t size_bytes;
};

static void complain(const char *what, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* "pmdb: WHAT: WHY" on stderr */
static void complain(const char *what, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "pmdb: %s: ", what);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

/* ---- the program --------------------------------------------------------- */

/* bytes [off, off + len) of an image, or NULL */
static const void *image_at(const struct image *img, uint64_t off, uint64_t len)
{
	if (off > img->size_bytes || len > img->size_bytes - off)
		return NULL;
	return img->bytes + off;
}

/* the program header of a type; or, if vaddr is not 0, the one of that type
 * whose file bytes hold the address */
static const Elf64_Phdr *find_phdr(const struct image *img, uint32_t type,
				   uint64_t vaddr)
{
	const Elf64_Ehdr *eh = image_at(img, 0, sizeof(*eh));

	for (size_t i = 0; eh && i < eh->e_phnum; i++) {
		const Elf64_Phdr *ph = image_at(
			img, eh->e_phoff + i * sizeof(*ph), sizeof(*ph));

		if (!ph)
			return NULL;
		if (ph->p_type == type &&
		    (vaddr == 0 || (vaddr >= ph->p_vaddr &&
				    vaddr - ph->p_vaddr < ph->p_filesz)))
			return ph;
	}
	return NULL;
}

/* a value of the dynamic section: the n-th of a tag, 0 when there is none */
static uint64_t dynamic_value(const struct image *img, int64_t tag, size_t n)
{
	const Elf64_Phdr *ph = find_phdr(img, PT_DYNAMIC, 0);
	const Elf64_Dyn *dyn;

	if (!ph)
		return 0;
	dyn = image_at(img, ph->p_offset, ph->p_filesz);
	for (size_t i = 0; dyn && i < ph->p_filesz / sizeof(*dyn); i++) {
		if (dyn[i].d_tag == DT_NULL)
			break;
		if (dyn[i].d_tag == tag && n-- == 0)
			return dyn[i].d_un.d_val;
	}
	return 0;
}

/* the dynamic string table; sets *size_bytes */
static const char *dynamic_strings(const struct image *img, size_t *size_bytes)
{
	uint64_t vaddr = dynamic_value(img, DT_STRTAB, 0);
	const Elf64_Phdr *ph = vaddr ? find_phdr(img, PT_LOAD, vaddr) : NULL;
	const char *strings;

	*size_bytes = dynamic_value(img, DT_STRSZ, 0);
	if (!ph || *size_bytes == 0)
		return NULL;
	strings = image_at(img, ph->p_offset + (vaddr - ph->p_vaddr),
			   *size_bytes);
	if (strings && strings[*size_bytes - 1] != '\0')
		return NULL;
	return strings;
}

/* which sanitizer replaces malloc in the program, as a reason to refuse it, or
 * NULL */
static const char *sanitizer_of(const struct image *img)
{
	static const struct {
		const char *soname, *symbol, *why;
	} known[] = {
		{"libasan.so", "__asan_init",
		 "built with AddressSanitizer, which has its own malloc"},
		{"liblsan.so", "__lsan_init",
		 "built with LeakSanitizer, which has its own malloc"},
		{"libtsan.so", "__tsan_init",
		 "built with ThreadSanitizer, which has its own malloc"},
		{"libhwasan.so", "__hwasan_init",
		 "built with HWAddressSanitizer, which has its own malloc"},
		{"libmsan.so", "__msan_init",
		 "built with MemorySanitizer, which has its own malloc"},
	};
	size_t size_bytes;
	const char *strings = dynamic_strings(img, &size_bytes);

	/* names of needed objects and of symbols are in the same table */
	for (size_t at = 0; strings && at < size_bytes;
	     at += strlen(strings + at) + 1) {
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			const char *so = known[i].soname;

			if (!strcmp(strings + at, known[i].symbol) ||
			    !strncmp(strings + at, so, strlen(so)))
				return known[i].why;
		}
	}
	return NULL;
}

/* why the loader would not preload libkmem into an ELF file, or NULL */
static const char *refuse_elf(const struct image *img)
{
	const Elf64_Ehdr *eh = image_at(img, 0, sizeof(*eh));
	const Elf64_Phdr *ph;
	const char *interp;
	const char *name;

	if (!eh)
		return "a truncated ELF file";
	if (eh->e_ident[EI_CLASS] == ELFCLASS32)
		return "a 32-bit program; libkmem is 64-bit";
	if (eh->e_ident[EI_DATA] != ELFDATA2LSB || eh->e_machine != EM_X86_64)
		return "a program for another kind of machine";
	if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		return "an ELF file, but not a program";
	if (eh->e_phentsize != sizeof(Elf64_Phdr))
		return "a damaged ELF file";
	ph = find_phdr(img, PT_INTERP, 0);
	if (!ph)
		return "statically linked; libkmem cannot be loaded into it";
	interp = image_at(img, ph->p_offset, ph->p_filesz);
	if (!interp || ph->p_filesz == 0 || interp[ph->p_filesz - 1] != '\0')
		return "a damaged ELF file";
	name = strrchr(interp, '/');
	if (strncmp(name ? name + 1 : interp, "ld-linux", 8) != 0)
		return "not a glibc program; libkmem needs glibc's loader";
	return sanitizer_of(img);
}

/* the interpreter a script names, copied; 0 when it names none */
static int interpreter_of(const struct image *img, char *interp, size_t room)
{
	size_t at = 2;
	size_t n = 0;

	while (at < img->size_bytes &&
	       (img->bytes[at] == ' ' || img->bytes[at] == '\t'))
		at++;
	while (at + n < img->size_bytes &&
	       !strchr(" \t\r\n", img->bytes[at + n]))
		n++;
	if (n == 0 || n >= room)
		return 0;
	memcpy(interp, img->bytes + at, n);
	interp[n] = '\0';
	return 1;
}

/* maps a file; img->bytes is NULL when it is empty.  Returns 0 or errno. */
static int image_open(const char *path, struct image *img, struct stat *st)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int err = 0;

	img->bytes = NULL;
	img->size_bytes = 0;
	if (fd < 0)
		return errno;
	if (fstat(fd, st)) {
		err = errno;
	} else if (st->st_size > 0) {
		void *p = mmap(NULL, (size_t)st->st_size, PROT_READ,
			       MAP_PRIVATE, fd, 0);

		if (p == MAP_FAILED) {
			err = errno;
		} else {
			img->bytes = p;
			img->size_bytes = (size_t)st->st_size;
		}
	}
	close(fd);
	return err;
}

static void image_close(struct image *img)
{
	if (img->bytes)
		munmap((void *)(uintptr_t)img->bytes, img->size_bytes);
}

/* why a program cannot be run under libkmem, or NULL; follows #! to the
 * program that is started in the end */
static const char *refuse(const char *path, unsigned depth)
{
	char interp[PATH_MAX];
	struct image img;
	struct stat st;
	const char *why = NULL;
	int is_elf;

	/* what cannot be read may still be executed: nothing is known of it */
	if (image_open(path, &img, &st))
		return NULL;
	is_elf = img.size_bytes >= SELFMAG &&
		 !memcmp(img.bytes, ELFMAG, SELFMAG);
	if (is_elf && (st.st_mode & (S_ISUID | S_ISGID)))
		why = "set-uid or set-gid; the loader ignores LD_PRELOAD in it";
	else if (is_elf && getxattr(path, "security.capability", NULL, 0) > 0)
		why = "has file capabilities; the loader ignores LD_PRELOAD in it";
	else if (is_elf)
		why = refuse_elf(&img);
	else if (img.size_bytes > 2 && !memcmp(img.bytes, "#!", 2) &&
		 depth < MAX_INTERPRETERS &&
		 interpreter_of(&img, interp, sizeof(interp)))
		why = refuse(interp, depth + 1);
	image_close(&img);
	return why;
}

/* as refuse(), for a name that may be a directory or not executable;
 * sets errno when it cannot be executed */
static int can_execute(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return 0;
	if (S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return 0;
	}
	return access(path, X_OK) == 0;
}

/* finds the program as a shell does; returns 0 or the exit status */
static int find_program(const char *name, char *prog)
{
	const char *path = getenv("PATH");
	int denied = 0;

	if (strchr(name, '/')) {
		if (snprintf(prog, PATH_MAX, "%s", name) < PATH_MAX &&
		    can_execute(prog))
			return 0;
		complain(name, "%s", strerror(errno));
		return errno == ENOENT || errno == ENOTDIR ? PMDB_RUN_NOTFOUND
							   : PMDB_RUN_NOEXEC;
	}
	if (!path)
		path = "/bin:/usr/bin";
	for (;;) {
		size_t n = strcspn(path, ":");

		errno = ENOENT;
		if (snprintf(prog, PATH_MAX, "%.*s%s%s", (int)n, path,
			     n ? "/" : "./", name) < PATH_MAX &&
		    can_execute(prog))
			return 0;
		denied |= errno == EACCES;
		if (path[n] == '\0')
			break;
		path += n + 1;
	}
	complain(name, "%s", denied ? strerror(EACCES) : "command not found");
	return denied ? PMDB_RUN_NOEXEC : PMDB_RUN_NOTFOUND;
}

/* ---- the library --------------------------------------------------------- */

/* where the preload library is: beside pmdb in a build tree, or installed;
 * returns 0 or -1 with a line said */
static int find_library(char *lib)
{
	static const char *const places[] = {"", "/../lib/pmdb"};
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	int dir = 0;

	if (n > 0) {
		exe[n] = '\0';
		dir = (int)(strrchr(exe, '/') - exe);
	}
	for (size_t i = 0; n > 0 && i < 2; i++) {
		char path[2 * PATH_MAX];

		snprintf(path, sizeof(path), "%.*s%s/%s", dir, exe, places[i],
			 PRELOAD_NAME);
		if (realpath(path, lib))
			goto out_found;
	}
	if (!realpath(PMDB_LIBDIR "/" PRELOAD_NAME, lib)) {
		complain(PRELOAD_NAME, "not beside pmdb, nor in %s",
			 PMDB_LIBDIR);
		return -1;
	}
out_found:
	/* the loader splits LD_PRELOAD at these */
	if (strpbrk(lib, ": ")) {
		complain(lib, "LD_PRELOAD cannot name a path with ':' or ' '");
		return -1;
	}
	return 0;
}

/* ---- running ------------------------------------------------------------- */

/* makes a directory and those above it; returns its path, owned, or NULL */
static char *make_dir(const char *path)
{
	_free_ char *part = mem_strdup(path);

	for (char *p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		(void)mkdir(part, 0777); /* the last one will tell */
		*p = '/';
	}
	if (mkdir(part, 0777) && errno != EEXIST)
		return NULL;
	return realpath(path, NULL);
}

/* where a relative name of the dump begins, fit for a template; returns 0 or
 * -1 with a line said */
static int find_cwd(struct run *run)
{
	_free_ char *cwd = NULL;
	char *to;

	if (run->dump_dir) {
		cwd = make_dir(run->dump_dir);
		if (!cwd) {
			complain(run->dump_dir, "%s", strerror(errno));
			return -1;
		}
	} else if (run->dump[0] == '/') {
		run->cwd = mem_strdup("");
		return 0;
	}
	if (!cwd)
		cwd = getcwd(NULL, 0); /* allocates what it needs */
	if (!cwd || cwd[0] != '/') {
		complain("current directory", "%s",
			 cwd ? "cannot be reached" : strerror(errno));
		return -1;
	}
	to = run->cwd = mem_array(2 * strlen(cwd) + 2, 1);
	for (const char *from = cwd; *from; from++) {
		if (*from == '%')
			*to++ = '%';
		*to++ = *from;
	}
	*to++ = '/';
	*to = '\0';
	return 0;
}

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

/* starts the program and waits for it.  Returns the exit status;
 * *ret_started tells whether the program ran at all. */
static int run_and_wait(struct run *run, int *ret_started)
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
		complain("run", "%s", strerror(errno));
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
		complain("run", "cannot fork: %s", strerror(errno));
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
		complain(run->argv[0], "%s", strerror(err));
		return err == ENOENT ? PMDB_RUN_NOTFOUND : PMDB_RUN_NOEXEC;
	}
	if (clock.is_over) {
		complain(run->argv[0], "ended after %ld seconds",
			 run->timeout_s);
		return PMDB_RUN_TIMEOUT;
	}
	return WIFSIGNALED(status) ? PMDB_RUN_SIGNAL + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

/* ---- what became of it --------------------------------------------------- */

/* creates the file the processes append to, or says why not */
static void list_create(struct run *run)
{
	const char *dir = getenv("TMPDIR");
	int fd = -1;

	/* the name goes between commas */
	if (!dir || dir[0] != '/' || strchr(dir, ',') || strlen(dir) > 200)
		dir = "/tmp";
	snprintf(run->list, sizeof(run->list), "%s/pmdb-run.XXXXXX", dir);
	if (mkdtemp(run->list)) {
		run->list_dir = strlen(run->list);
		/* may be entered, not listed: see the top */
		(void)chmod(run->list, 0711);
		snprintf(run->list + run->list_dir,
			 sizeof(run->list) - run->list_dir, "/XXXXXX");
		fd = mkostemp(run->list, O_CLOEXEC);
	}
	if (fd < 0) {
		complain(run->list, "%s", strerror(errno));
		run->list[run->list_dir] = '\0';
		if (run->list_dir)
			rmdir(run->list);
		run->list[0] = '\0';
		return;
	}
	(void)fchmod(fd, 0622);
	close(fd);
}

static void list_remove(struct run *run)
{
	if (!run->list[0])
		return;
	unlink(run->list);
	run->list[run->list_dir] = '\0';
	rmdir(run->list);
}

/* takes in one record */
static void take_record(const struct run *run, char *record, struct told *told)
{
	char *what = NULL;
	long pid = strtol(record, &what, 10);

	if (what == record || *what != ' ')
		return;
	what++;
	if (*what == '/') {
		VEC_PUSH(&told->paths, what);
	} else {
		fprintf(stderr, "pmdb: %s\n", what);
		told->is_any_failed = 1;
	}
	told->has_main |= pid == (long)run->pid;
}

/* reads the list, saying what failed */
static void take_list(const struct run *run, const struct image *img,
		      struct told *told)
{
	const char *list = img->bytes;

	if (img->size_bytes == 0 || list[img->size_bytes - 1] != '\0')
		return;
	for (size_t at = 0; at < img->size_bytes; at += strlen(list + at) + 1)
		take_record(run, (char *)(uintptr_t)(list + at), told);
}

/* takes away dumps that were judged and are not to be kept */
static void sweep(const struct run *run, const struct told *told,
		  const enum pmdb_status *status)
{
	for (size_t i = 0; i < told->paths.n; i++)
		if (run->keep == KEEP_NONE ||
		    (run->keep == KEEP_FAILED && status[i] == PMDB_CLEAN))
			unlink(told->paths.v[i]);
}

/* says what the run left, and gives the verdict if it is asked for */
static int judge_run(const struct run *run)
{
	struct told told = {{NULL, 0, 0}, 0, 0};
	struct image img;
	struct stat st;
	int verdict = PMDB_CLEAN;
	bool is_missing = false;
	int err = image_open(run->list, &img, &st);

	if (err) {
		complain(run->list, "%s", strerror(err));
		return PMDB_NO_VERDICT;
	}
	take_list(run, &img, &told);
	/* of those that were chosen there may be none but has to be one */
	is_missing = run->only.n ? told.paths.n == 0 : !told.has_main;
	if (is_missing)
		complain(run->argv[0], run->only.n
					       ? "no process of that name left "
						 "a dump"
					       : "left no dump");
	if (run->is_check && told.paths.n) {
		_free_ enum pmdb_status *status =
			mem_array(told.paths.n, sizeof(*status));

		verdict = check_dumps(run->check, told.paths.v, told.paths.n,
				      status);
		sweep(run, &told, status);
	}
	if (told.is_any_failed || is_missing) {
		verdict = PMDB_NO_VERDICT;
		if (run->is_check)
			complain(run->argv[0],
				 "no verdict: not every process left a dump");
	}
	VEC_FREE(&told.paths);
	image_close(&img);
	return verdict;
}

/* ---- the command line ---------------------------------------------------- */

static void usage(FILE *out)
{
	fputs("usage: pmdb run [OPTION]... -- CMD ARGS...\n"
	      "\n"
	      "  -o, --output DUMP       the name of dumps; %p process, %c "
	      "command\n"
	      "  --dump-dir DIR          where they go; it is made\n"
	      "  --only PATTERN          dump processes of such a name only; "
	      "repeatable\n"
	      "  --timeout SECONDS       end the program and its children "
	      "then: status 124\n"
	      "  --check                 judge the dumps in the end; with it:\n"
	      "  --keep all|failed|none  which dumps stay\n",
	      out);
	check_help(out);
}

/* "pmdb: run: WHAT" on stderr */
static int bad_usage(const char *what, const char *arg)
{
	complain("run", "%s%s", what, arg);
	return PMDB_USAGE;
}

static int set_keep(struct run *run, const char *arg)
{
	static const char *const words[] = {
		[KEEP_ALL] = "all",
		[KEEP_FAILED] = "failed",
		[KEEP_NONE] = "none",
	};

	for (int i = KEEP_ALL; i <= KEEP_NONE; i++) {
		if (strcmp(arg, words[i]) == 0) {
			run->keep = (enum keep)i;
			return 0;
		}
	}
	return bad_usage("--keep is all, failed or none; not ", arg);
}

static int add_only(struct run *run, const char *arg)
{
	if (!*arg || strpbrk(arg, ",:"))
		return bad_usage("no pattern of a name: ", arg);
	strbuf_printf(&run->only, "%s%s", run->only.n ? ":" : "", arg);
	return 0;
}

static int set_timeout(struct run *run, const char *arg)
{
	char *end = NULL;

	errno = 0;
	run->timeout_s = strtol(arg, &end, 10);
	if (end == arg || *end || errno || run->timeout_s <= 0 ||
	    run->timeout_s > INT_MAX)
		return bad_usage("no number of seconds: ", arg);
	return 0;
}

/* takes an option that is not of check */
static int take_option(struct run *run, int code, const char *arg)
{
	switch (code) {
	case 'o':
		run->dump = arg;
		return 0;
	case 'c':
		run->is_check = 1;
		return 0;
	case RUN_DUMP_DIR:
		run->dump_dir = arg;
		return *arg ? 0 : bad_usage("no directory: ", arg);
	case RUN_KEEP:
		run->check_option = "--keep";
		return set_keep(run, arg);
	case RUN_ONLY:
		return add_only(run, arg);
	case RUN_TIMEOUT:
		return set_timeout(run, arg);
	default:
		usage(stderr);
		return PMDB_USAGE;
	}
}

static const struct option longs[] = {
	{"output", required_argument, NULL, 'o'},
	{"check", no_argument, NULL, 'c'},
	{"dump-dir", required_argument, NULL, RUN_DUMP_DIR},
	{"keep", required_argument, NULL, RUN_KEEP},
	{"only", required_argument, NULL, RUN_ONLY},
	{"timeout", required_argument, NULL, RUN_TIMEOUT},
	{"help", no_argument, NULL, 'h'},
	CHECK_OPTION_ROWS,
	{NULL, 0, NULL, 0},
};

/* returns -1 to go on, or the exit status */
static int parse(int argc, char **argv, struct run *run)
{
	int index = 0;
	int status;
	int opt;

	while ((opt = getopt_long(argc, argv, "+o:h", longs, &index)) != -1) {
		if (opt == 'h') {
			usage(stdout);
			return fflush(stdout) ? PMDB_NO_VERDICT : PMDB_CLEAN;
		}
		if (opt >= CHECK_FORMAT)
			run->check_option = longs[index].name;
		status = opt >= CHECK_FORMAT
				 ? check_option(run->check, opt, optarg)
				 : take_option(run, opt, optarg);
		if (status)
			return status;
	}
	run->argv = argv + optind;
	if (!run->argv[0] || !run->argv[0][0] || !run->dump[0]) {
		usage(stderr);
		return PMDB_USAGE;
	}
	if (run->check_option && !run->is_check)
		return bad_usage("without --check there is no ",
				 run->check_option);
	if (run->dump_dir && run->dump[0] == '/')
		return bad_usage("in --dump-dir a dump cannot be named ",
				 run->dump);
	return -1;
}

/* the whole of it; run->check is there */
static int run_it(struct run *run, int argc, char **argv)
{
	const char *why;
	int started;
	int status;
	int verdict;

	status = parse(argc, argv, run);
	if (status >= 0)
		return status;
	status = check_prepare(run->check);
	if (status)
		return status;
	status = find_program(run->argv[0], run->prog);
	if (status)
		return status;
	why = refuse(run->prog, 0);
	if (why) {
		complain(run->prog, "%s", why);
		return PMDB_RUN_FAILED;
	}
	if (find_library(run->lib))
		return PMDB_RUN_FAILED;
	if (find_cwd(run))
		return PMDB_RUN_FAILED;
	list_create(run);
	if (run->is_check && !run->list[0])
		return PMDB_RUN_FAILED;
	status = run_and_wait(run, &started);
	if (started && run->list[0]) {
		verdict = judge_run(run);
		if (run->is_check && status == 0)
			status = verdict;
	}
	list_remove(run);
	return status;
}

int run_main(int argc, char **argv)
{
	struct run run = {.dump = DEFAULT_DUMP};
	int status;

	run.check = check_create(stderr);
	status = run_it(&run, argc, argv);
	check_destroy(run.check);
	strbuf_free(&run.only);
	mem_free(run.cwd);
	return status;
}
