/* SPDX-License-Identifier: MIT */
/*
 * To whom a process tells of its dumps: to "pmdb run", in the file of list=, else,
 * and only what went wrong, to people on stderr.
 */
#define _GNU_SOURCE
#include "kmem_snap_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kmem_internal.h"
#include "snap/snap.h"
#include "snap/snap_sys.h"

/* where descriptor 2 led at the start */
static dev_t stderr_dev;
static ino_t stderr_ino;

/* writes at the end of a file; nobody hears SIGXFSZ.  0 or -errno */
static long append(const char *path, const char *buf, size_t bytes)
{
	uint64_t all = ~(uint64_t)0;
	uint64_t xfsz = (uint64_t)1 << (SIGXFSZ - 1);
	struct timespec now = {0, 0};
	uint64_t old;
	long rc;
	long fd = snap_open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
			    0);

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
long kmem_snap_tell(const char *what)
{
	static char record[PATH_MAX + 256] KM_SELDOM;
	struct kmem_text t = {record, record + sizeof(record), 0};
	long rc;

	if (!kmem_snap_conf.list[0])
		return -ENOENT;
	kmem_text_number(&t, (uint32_t)snap_sys(SYS_getpid));
	kmem_text_put(&t, ' ');
	kmem_text_string(&t, what);
	t.at++;
	rc = append(kmem_snap_conf.list, record, (size_t)(t.at - record));
	if (rc == -EMFILE)
		rc = append_by_child(kmem_snap_conf.list, record,
				     (size_t)(t.at - record));
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
	       (st.st_dev == stderr_dev && st.st_ino == stderr_ino) ||
	       (snap_sys(SYS_fcntl, 2, F_GETFL) & O_APPEND);
}

void kmem_snap_save_stderr(void)
{
	struct stat st;

	if (snap_sys(SYS_fstat, 2, &st))
		return;
	stderr_dev = st.st_dev;
	stderr_ino = st.st_ino;
}

/* "snapshot of PID: cannot write PATH: WHY" */
static void put_why(struct kmem_text *t, const char *path, int rc)
{
	kmem_text_string(t, "snapshot of ");
	kmem_text_number(t, (uint32_t)snap_sys(SYS_getpid));
	kmem_text_string(t, ": cannot write ");
	kmem_text_string(t, path);
	kmem_text_string(t, ": ");
	kmem_text_string(t, snap_strerror(rc));
}

/* says that a file could not be written: to "pmdb run", which has a line for
 * it in the end, or on stderr; snap_lock is held */
void kmem_snap_complain(const char *path, int rc)
{
	static char line[PATH_MAX + 128] KM_SELDOM;
	struct kmem_text t = {line, line + sizeof(line) - 1, 0};
	const char *why;

	kmem_text_string(&t, "pmdb: ");
	why = t.at;
	put_why(&t, path, rc);
	if (path != kmem_snap_conf.list && kmem_snap_tell(why) == 0)
		return;
	kmem_text_put(&t, '\n');
	if (is_stderr())
		kmem_sys_write(2, line, (size_t)(t.at - line));
}
