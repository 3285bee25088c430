/* SPDX-License-Identifier: MIT */
/*
 * The transaction log kept whole in a file.
 *
 * The log in memory stays what it is: a ring of chunks in which each CPU fills
 * its own.  But the memory of a chunk is a shared mapping of the file, and when
 * a CPU takes a chunk to fill it, the next piece of the file is mapped there.
 * So a record is written once, by the same code, and it is in the file when it
 * is written, whatever becomes of the process: the kernel has the page.
 *
 *   ring      [ 0 | 1 | 2 | 3 | ... ]      the latest chunks, as in any log
 *               |   |   |   |
 *   file  [head| 5 | 6 | 3 | 4 ]           every chunk there was
 *
 * Beside the records there is a chunk of notes: each stack and each cache when
 * it comes into being, since records hold their numbers and addresses.
 *
 * (W1) Nothing is written where the file has no room: a piece is allocated
 *      (fallocate) and made present (MADV_POPULATE_WRITE) before it replaces
 *      the memory of a chunk.  When that fails the log goes on in memory only,
 *      and head and kmem_logfile say since when, and why.
 * (W2) A piece of the file is mapped for writing by the process that made it.
 *      A forked child has its parent's mappings, and gets copies of what the
 *      parent had written by then; each CPU's room is taken away before the
 *      fork, so that a record of the child cannot be faster.  With %p in the
 *      name the child begins a file of its own, with its first record.
 * (W3) No descriptor is kept: a program counts its own, and closes those it does
 *      not know.  The file is opened by its name for each piece, and must be the
 *      one it was.
 * (W4) What is not a log, or that of a process that lives, is not written over.
 *
 * Who cuts the file while it is written kills the process, as with any shared
 * mapping.  A child made by a bare clone() without our knowing writes into its
 * parent's file until its chunk is full.
 *
 * Lock: lh_lock of the log, for everything here.
 */
#define _GNU_SOURCE
#include "kmem_logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "contract/logfile.h"
#include "kmem_sandbox.h"
#include "snap/snap_sys.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define CHUNKS_PER_CPU  4
#define SAVED_ERRNO_MAX 4095

_Static_assert(sizeof(struct kmem_logfile_chunk) == sizeof(kmem_bufctl_audit_t),
	       "the head of a chunk stands for a record");
_Static_assert(offsetof(kmem_bufctl_audit_t, bc_timestamp) >=
		       offsetof(struct kmem_logfile_chunk, lc_zero),
	       "and has no time");
_Static_assert(sizeof(struct kmem_logfile_header) <= KMEM_PAGE, "a page");

kmem_logfile_t kmem_logfile;
kmem_log_header_t *kmem_logfile_log;

/* lock: see above */
static struct {
	struct kmem_logfile_header *header; /* mapped; NULL: in memory only */
	void *header_at;                    /* where it goes */
	char *notes;                        /* where the chunk of notes goes */
	size_t notes_used;                  /* KMEM_LOGFILE_CHUNK: it is full */
	uint64_t dev, ino;
	uint64_t nchunks;
	hrtime_t forked;
	int has_pid; /* the name has %p: a child begins its own */
	int is_forking;
	int is_late; /* a child begins its file with its first record */
	int is_dead; /* there was no memory to leave the parent's (W2) */
} lf;

/* ---- system calls ---- */

static int may_call_all(void)
{
	static const short calls[] = {
		SYS_openat,    SYS_newfstatat, SYS_close,  SYS_fallocate,
		SYS_mmap,      SYS_munmap,     SYS_mremap, SYS_madvise,
		SYS_prlimit64, SYS_pwrite64,
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (!kmem_may_call(calls[i]))
			return 0;
	return 1;
}

static int is_error(long rc)
{
	return rc < 0 && rc >= -SAVED_ERRNO_MAX;
}

static long open_at(const char *path, int flags)
{
	return snap_open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/** Opens the file again for its next piece (W3). */
static long reopen(void)
{
	struct stat st;
	long fd = open_at(kmem_logfile.klf_path, O_RDWR);
	long rc;

	if (fd < 0)
		return fd;
	rc = snap_sys(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH);
	if (rc == 0 && (st.st_dev != lf.dev || st.st_ino != lf.ino))
		rc = -ESTALE;
	if (rc == 0)
		return fd;
	(void)snap_sys(SYS_close, fd);
	return rc;
}

/** Gives a range of the file memory on disk (W1); 0 or -errno. */
static long allocate(long fd, uint64_t at, uint64_t bytes)
{
	static const char zeros[KMEM_PAGE];
	struct rlimit lim = {RLIM_INFINITY, RLIM_INFINITY};
	long rc;

	/* beyond the limit the answer is a signal */
	(void)snap_sys(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &lim);
	if (at + bytes > lim.rlim_cur)
		return -EFBIG;
	do {
		rc = snap_sys(SYS_fallocate, fd, 0, at, bytes);
	} while (rc == -EINTR);
	if (rc != -EOPNOTSUPP && rc != -ENOSYS)
		return rc;
	for (uint64_t n = 0; n < bytes; n += sizeof(zeros)) {
		rc = snap_sys(SYS_pwrite64, fd, zeros, sizeof(zeros), at + n);
		if (rc != sizeof(zeros))
			return is_error(rc) ? rc : -ENOSPC;
	}
	return 0;
}

/** Maps a range of the file that has memory; the address or -errno. */
static long map_range(long fd, uint64_t at, size_t bytes)
{
	long p = snap_sys(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_SHARED, fd, at);
	long rc;

	if (is_error(p))
		return p;
	rc = snap_sys(SYS_madvise, p, bytes, MADV_POPULATE_WRITE);
	if (rc == 0 || rc == -EINVAL) /* a kernel before 5.14 */
		return p;
	(void)snap_sys(SYS_munmap, p, bytes);
	return rc == -EFAULT ? -EIO : rc;
}

/** Puts a mapping where memory of ours is; 0 or -errno, then it is gone. */
static long move_to(long p, void *at, size_t bytes)
{
	long rc = snap_sys(SYS_mremap, p, bytes, bytes,
			   MREMAP_MAYMOVE | MREMAP_FIXED, at);

	if (!is_error(rc))
		return 0;
	(void)snap_sys(SYS_munmap, p, bytes);
	return rc;
}

/** Puts memory of our own there, filled by a function; 0 or -errno. */
static long own_memory(void *at, void (*fill)(void *to, const void *from))
{
	long p = snap_sys(SYS_mmap, NULL, KMEM_LOGFILE_CHUNK,
			  PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	if (is_error(p))
		return p;
	if (fill)
		fill((void *)p, at);
	return move_to(p, at, KMEM_LOGFILE_CHUNK);
}

/* ---- pieces ---- */

/** Is the file that of the process this one was forked from? */
static int is_parents(void)
{
	return lf.header && snap_sys(SYS_getpid) != kmem_logfile.klf_pid;
}

/** No more pieces: the log goes on in memory. */
static void stop(long rc)
{
	kmem_logfile.klf_stop = kmem_now();
	kmem_logfile.klf_errno = (int32_t)-rc;
	lf.header->lf_stop_errno = (uint32_t)-rc;
	lf.header->lf_stop_ns = (uint64_t)kmem_logfile.klf_stop;
}

/** Puts the next piece of the file there; 0 or -errno. */
static long next_piece(void *at, uint32_t type)
{
	uint64_t offset = KMEM_PAGE + lf.nchunks * KMEM_LOGFILE_CHUNK;
	struct kmem_logfile_chunk *chunk;
	long fd, rc, p;

	if (!may_call_all())
		return -EPERM;
	fd = reopen();
	if (fd < 0)
		return fd;
	rc = allocate(fd, offset, KMEM_LOGFILE_CHUNK);
	p = rc == 0 ? map_range(fd, offset, KMEM_LOGFILE_CHUNK) : rc;
	(void)snap_sys(SYS_close, fd);
	if (is_error(p))
		return p;
	chunk = (void *)p;
	chunk->lc_magic = KMEM_LOGCHUNK_MAGIC;
	chunk->lc_type = type;
	chunk->lc_start_ns = (uint64_t)kmem_now();
	rc = move_to(p, at, KMEM_LOGFILE_CHUNK);
	if (rc == 0)
		lf.header->lf_nchunks = ++lf.nchunks;
	return rc;
}

static int is_piece(const void *at)
{
	return ((const struct kmem_logfile_chunk *)at)->lc_magic ==
	       KMEM_LOGCHUNK_MAGIC;
}

int kmem_logfile_chunk(kmem_cpu_log_header_t *clhp)
{
	const size_t head = sizeof(struct kmem_logfile_chunk);
	long rc;

	clhp->clh_avail = 0;
	if (lf.is_dead)
		return 0;
	if (lf.header && !kmem_logfile.klf_stop) {
		rc = next_piece(clhp->clh_current, KMEM_LOG_RECORDS);
		if (rc == 0) {
			clhp->clh_current += head;
			clhp->clh_avail = KMEM_LOGFILE_CHUNK - head;
			return 1;
		}
		stop(rc);
	}
	/* what is in the file stays in the file */
	if (is_piece(clhp->clh_current) &&
	    own_memory(clhp->clh_current, NULL) != 0)
		return 0;
	clhp->clh_avail = KMEM_LOGFILE_CHUNK;
	return 1;
}

/* ---- notes ---- */

/** Room for a note and its payload, or NULL; lh_lock is held. */
static struct kmem_logfile_note *note_room(size_t bytes)
{
	struct kmem_logfile_note *note;
	long rc;

	if (!lf.header || kmem_logfile.klf_stop ||
	    (lf.is_forking && is_parents()))
		return NULL;
	if (lf.notes_used + bytes > KMEM_LOGFILE_CHUNK) {
		rc = next_piece(lf.notes, KMEM_LOG_NOTES);
		if (rc != 0) {
			stop(rc);
			return NULL;
		}
		lf.notes_used = sizeof(struct kmem_logfile_chunk);
	}
	note = (void *)(lf.notes + lf.notes_used);
	lf.notes_used += bytes;
	note->ln_bytes = (uint32_t)bytes;
	return note;
}

/** Writes a note; its type comes last and makes it one. */
static void write_note(uint32_t type, uint64_t key, const void *data,
		       size_t bytes)
{
	struct kmem_logfile_note *note;

	kmem_mutex_enter(&kmem_logfile_log->lh_lock);
	note = note_room(sizeof(*note) + bytes);
	if (note) {
		note->ln_key = key;
		memcpy(note + 1, data, bytes);
		__atomic_store_n(&note->ln_type, type, __ATOMIC_RELEASE);
	}
	kmem_mutex_exit(&kmem_logfile_log->lh_lock);
}

static void write_stack(uint32_t id, const uintptr_t *pcs, unsigned depth)
{
	write_note(KMEM_LOGNOTE_STACK, id, pcs, depth * sizeof(*pcs));
}

void kmem_logfile_cache(const kmem_cache_t *cp)
{
	struct kmem_logfile_cache note = {
		.lc_bufsize = cp->cache_bufsize,
		.lc_flags = (uint32_t)cp->cache_flags,
		.lc_cflags = (uint32_t)cp->cache_cflags,
	};

	note.lc_stamp_ns = (uint64_t)kmem_now();
	memcpy(note.lc_name, cp->cache_name, sizeof(note.lc_name) - 1);
	write_note(KMEM_LOGNOTE_CACHE, (uintptr_t)cp, &note, sizeof(note));
}

/* ---- the file ---- */

/** What a template means in this process: %p the process id, %% a percent sign;
 * absolute.  0, or -errno. */
static long expand(const char *template)
{
	char *p = kmem_logfile.klf_path;
	size_t room = sizeof(kmem_logfile.klf_path);
	size_t n = 0;

	lf.has_pid = 0;
	if (*template != '/') {
		long len = snap_sys(SYS_getcwd, p, room - 1);

		if (len <= 0 || *p != '/')
			return len < 0 ? len : -ENOENT;
		n = (size_t)len - 1;
		p[n++] = '/';
	}
	for (; *template && n < room - 1; template ++) {
		if (template[0] == '%' && template[1] == 'p') {
			n += kmem_format(p + n, room - n, "%u",
					 (unsigned)snap_sys(SYS_getpid));
			lf.has_pid = 1;
			template ++;
			continue;
		}
		template += template[0] == '%' && template[1] == '%';
		p[n++] = *template;
	}
	if (n >= room - 1)
		return -ENAMETOOLONG;
	p[n] = '\0';
	return 0;
}

/** May a file that is there be replaced (W4)?  0, or -errno. */
static long may_replace(void)
{
	struct kmem_logfile_header h = {.lf_pid = 0};
	long fd = open_at(kmem_logfile.klf_path, O_RDONLY | O_NONBLOCK);
	struct stat st;
	long n;

	if (fd < 0)
		return fd;
	n = snap_sys(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH);
	if (n == 0)
		n = S_ISREG(st.st_mode) ? snap_sys(SYS_read, fd, &h, sizeof(h))
					: -EEXIST;
	(void)snap_sys(SYS_close, fd);
	if (n <= 0) /* empty: as mktemp() makes them */
		return n;
	if (n != sizeof(h) ||
	    memcmp(h.lf_magic, KMEM_LOGFILE_MAGIC, sizeof(h.lf_magic)) != 0)
		return -EEXIST;
	/* the same process: the program before exec() */
	if (h.lf_pid != snap_sys(SYS_getpid) &&
	    snap_sys(SYS_kill, h.lf_pid, 0) != -ESRCH)
		return -EBUSY;
	return 0;
}

static long create(void)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL;
	long fd = open_at(kmem_logfile.klf_path, flags);
	long rc;

	if (fd != -EEXIST)
		return fd;
	rc = may_replace();
	if (rc < 0)
		return rc;
	(void)snap_sys(SYS_unlink, kmem_logfile.klf_path);
	return open_at(kmem_logfile.klf_path, flags);
}

static void fill_header(struct kmem_logfile_header *h)
{
	struct timespec wall = {0, 0};

	(void)clock_gettime(CLOCK_REALTIME, &wall);
	*h = (struct kmem_logfile_header){
		.lf_version = KMEM_LOGFILE_VERSION,
		.lf_header_bytes = KMEM_PAGE,
		.lf_pid = (uint32_t)snap_sys(SYS_getpid),
		.lf_ppid = (uint32_t)snap_sys(SYS_getppid),
		.lf_record_bytes = sizeof(kmem_bufctl_audit_t),
		.lf_chunk_bytes = KMEM_LOGFILE_CHUNK,
		.lf_start_ns = (uint64_t)(lf.is_late ? lf.forked : kmem_now()),
		.lf_wall_ns = (uint64_t)wall.tv_sec * 1000000000 + wall.tv_nsec,
		.lf_forked_ns = lf.is_late ? (uint64_t)lf.forked : 0,
	};
	h->lf_id[0] = h->lf_wall_ns;
	h->lf_id[1] =
		(uint64_t)h->lf_pid << 32 | (uint32_t)__builtin_ia32_rdtsc();
	memcpy(h->lf_magic, KMEM_LOGFILE_MAGIC, sizeof(h->lf_magic));
	memcpy(kmem_logfile.klf_id, h->lf_id, sizeof(h->lf_id));
	kmem_logfile.klf_start = (hrtime_t)h->lf_start_ns;
	kmem_logfile.klf_pid = h->lf_pid;
}

/** Maps the first page of a new file; 0 or -errno. */
static long map_header(long fd)
{
	struct stat st;
	long rc = snap_sys(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH);
	long p;

	if (rc == 0)
		rc = allocate(fd, 0, KMEM_PAGE);
	if (rc != 0)
		return rc;
	p = map_range(fd, 0, KMEM_PAGE);
	if (is_error(p))
		return p;
	fill_header((void *)p);
	rc = move_to(p, lf.header_at, KMEM_PAGE);
	if (rc != 0)
		return rc;
	lf.dev = st.st_dev;
	lf.ino = st.st_ino;
	lf.nchunks = 0;
	lf.notes_used = KMEM_LOGFILE_CHUNK;
	lf.header = lf.header_at;
	return 0;
}

/** Begins a file; 0 or -errno. */
static long begin(void)
{
	long rc = may_call_all() ? expand(kmem_options.log_file) : -EPERM;
	long fd;

	memset(kmem_logfile.klf_id, 0, sizeof(kmem_logfile.klf_id));
	kmem_logfile.klf_stop = 0;
	lf.header = NULL;
	if (rc != 0)
		return rc;
	fd = create();
	if (fd < 0)
		return fd;
	rc = map_header(fd);
	(void)snap_sys(SYS_close, fd);
	return rc;
}

static void complain(long rc)
{
	static const struct {
		int number;
		const char *why;
	} words[] = {
		{EEXIST, "it is there, and no log"},
		{EACCES, "permission denied"},
		{ENOENT, "no such directory"},
		{ENOSPC, "no space on the device"},
		{EROFS, "a read-only file system"},
		{EISDIR, "it is a directory"},
		{ELOOP, "it is a symbolic link"},
		{ENAMETOOLONG, "the name is too long"},
	};
	char line[640];
	const char *why = "error";
	size_t n;

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (words[i].number == -rc)
			why = words[i].why;
	n = kmem_format(line, sizeof(line), "kmem: log file %s: %s (%u)\n",
			kmem_options.log_file, why, (unsigned)-rc);
	kmem_sys_write(2, line, n);
}

kmem_log_header_t *kmem_logfile_init(void)
{
	size_t nchunks = (size_t)kmem_max_ncpus * CHUNKS_PER_CPU;
	kmem_log_header_t *lhp = kmem_log_init(nchunks * KMEM_LOGFILE_CHUNK);
	long rc;

	lf.header_at = vmem_xalloc(kmem_log_arena, KMEM_PAGE, KMEM_PAGE, 0, 0,
				   NULL, NULL, VM_SLEEP);
	lf.notes = vmem_xalloc(kmem_log_arena, KMEM_LOGFILE_CHUNK, KMEM_PAGE, 0,
			       0, NULL, NULL, VM_SLEEP);
	kmem_logfile_log = lhp;
	rc = begin();
	if (rc == 0)
		kmem_stack_told = write_stack;
	else if (rc != -EBUSY) /* another process has it: it was first */
		complain(rc);
	return lhp;
}

/* ---- fork (W2) ---- */

void kmem_logfile_before_fork(void)
{
	kmem_log_header_t *lhp = kmem_logfile_log;

	if (!lhp || !lf.header)
		return;
	lf.forked = kmem_now();
	/* what either does from now on is later, to the nanosecond */
	if (kmem_thread_self && kmem_thread_self->th_stamp < lf.forked)
		kmem_thread_self->th_stamp = lf.forked;
	lf.is_forking = 1;
	for (uint32_t i = 0; i < kmem_max_ncpus; i++) {
		kmem_cpu_log_header_t *clhp = &lhp->lh_cpu[i];

		if (!clhp->clh_kept)
			clhp->clh_kept = clhp->clh_avail + 1;
		clhp->clh_avail = 0;
	}
}

/** Gives a CPU back the room it had. */
static void give_back(kmem_cpu_log_header_t *clhp)
{
	if (!clhp->clh_kept)
		return;
	clhp->clh_avail = clhp->clh_kept - 1;
	clhp->clh_kept = 0;
}

void kmem_logfile_forked_parent(void)
{
	if (!lf.is_forking)
		return;
	lf.is_forking = 0;
	for (uint32_t i = 0; i < kmem_max_ncpus; i++)
		give_back(&kmem_logfile_log->lh_cpu[i]);
}

/** Copies a chunk without what its process wrote after the fork. */
static void copy_before(void *to, const void *from)
{
	const kmem_bufctl_audit_t *record = from;
	kmem_bufctl_audit_t *copy = to;
	size_t n = KMEM_LOGFILE_CHUNK / sizeof(*record);

	for (size_t i = 1; i < n; i++) /* the first is the head of the chunk */
		if (record[i].bc_timestamp <= lf.forked)
			copy[i] = record[i];
}

/** Makes what a child has of its parent's mappings its own. */
static void leave_parent(void)
{
	char *at = kmem_logfile_log->lh_base;

	for (int32_t i = 0; i < kmem_logfile_log->lh_nchunks; i++) {
		if (is_piece(at) && own_memory(at, copy_before) != 0)
			lf.is_dead = 1;
		at += KMEM_LOGFILE_CHUNK;
	}
	lf.header = NULL;
	lf.is_late = lf.has_pid && !lf.is_dead;
	memset(kmem_logfile.klf_id, 0, sizeof(kmem_logfile.klf_id));
}

void kmem_logfile_forked_child(void)
{
	lf.is_forking = 0;
	if (is_parents())
		leave_parent();
}

int kmem_logfile_resume(kmem_log_header_t *lhp, kmem_cpu_log_header_t *clhp,
			size_t bytes)
{
	if (lf.is_forking && is_parents()) /* another's handler, before ours */
		leave_parent();
	if (lf.is_dead || (lf.is_late && begin() == 0))
		for (uint32_t i = 0; i < kmem_max_ncpus; i++)
			lhp->lh_cpu[i].clh_kept = 0; /* its room is elsewhere */
	lf.is_late = 0;
	give_back(clhp);
	return bytes <= clhp->clh_avail;
}
