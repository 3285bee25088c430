/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Compressed cores: gzip, xz and zstd (systemd's), known by their first bytes.
 *
 * The core is unpacked into a file without a name in $TMPDIR (/var/tmp if that
 * is not set), which goes away with us however we end.  Runs of zeros become
 * holes: most of a core is zeros.
 *
 * I1  Unpacking stops before the file system is full, and at UNPACKED_MAX:
 *     a file made to fill a disk is an error of one line.
 * I2  What was unpacked before the data ended too early, or was damaged, is
 *     used, and said to be incomplete.
 */
#define _GNU_SOURCE /* mkostemp */
#define ZLIB_CONST
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lzma.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/interrupt.h"
#include "target/target_impl.h"

#define UNPACKED_MAX (1ull << 42) /* bytes of a core */
#define CHUNK        (1u << 18)
#define HOLE         4096u         /* zeros of this size are not written */
#define FREE_MIN     (64ull << 20) /* bytes left to others on the disk */
#define CHECK_EVERY  (16ull << 20) /* bytes between two looks at the disk */
#define XZ_MEMORY    (1ull << 30)

/* where the bytes go */
struct sink {
	char *dir;
	int fd;
	uint64_t size, written, checked;
};

/* a decoder; each call makes some output */
struct unpacker {
	const char *name; /* "gzip" */
	const unsigned char *in;
	size_t n, pos;
	unsigned char *out; /* CHUNK bytes */
	size_t nout;
	bool is_end;
	const char *why; /* the input is bad: how */
	z_stream z;
	lzma_stream xz;
	ZSTD_DStream *zstd;
};

/* ---- the file -------------------------------------------------------- */

static struct err *sink_open(struct sink *s)
{
	const char *dir = getenv("TMPDIR");
	_free_ char *path = NULL;

	s->dir = mem_strdup(dir && dir[0] ? dir : "/var/tmp");
	path = mem_printf("%s/pmdb.XXXXXX", s->dir);
	s->fd = mkostemp(path, O_CLOEXEC);
	if (s->fd < 0)
		return err_new(ERR_IO,
			       "compressed, and no file to unpack it can be "
			       "made in %s: %s",
			       s->dir, strerror(errno));
	(void)unlink(path); /* it was made a moment ago */
	return NULL;
}

/* I1 */
static struct err *check_room(struct sink *s)
{
	struct statvfs vfs;

	if (s->size > UNPACKED_MAX)
		return err_new(ERR_BADDATA,
			       "compressed: more than %" PRIu64
			       " bytes when unpacked",
			       (uint64_t)UNPACKED_MAX);
	if (s->written - s->checked < CHECK_EVERY && s->checked > 0)
		return NULL;
	s->checked = s->written + 1;
	if (fstatvfs(s->fd, &vfs) ||
	    (uint64_t)vfs.f_bavail * vfs.f_frsize >= FREE_MIN)
		return NULL;
	return err_new(ERR_IO,
		       "compressed, and %s has no room to unpack it: %" PRIu64
		       " bytes so far (set TMPDIR to another directory)",
		       s->dir, s->size);
}

static struct err *sink_write(struct sink *s, const unsigned char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = pwrite(s->fd, p, n, (off_t)s->size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return err_new(ERR_IO,
				       "compressed, and cannot be unpacked in "
				       "%s: %s after %" PRIu64
				       " bytes (set TMPDIR to another "
				       "directory)",
				       s->dir, strerror(done ? errno : ENOSPC),
				       s->size);
		p += done;
		n -= (size_t)done;
		s->size += (uint64_t)done;
		s->written += (uint64_t)done;
	}
	return NULL;
}

static struct err *sink_put(struct sink *s, const unsigned char *p, size_t n)
{
	static const unsigned char zeros[HOLE];
	struct err *err = check_room(s);

	while (!err && n > 0) {
		size_t some = n < HOLE ? n : HOLE;

		if (memcmp(p, zeros, some) == 0)
			s->size += some;
		else
			err = sink_write(s, p, some);
		p += some;
		n -= some;
	}
	return err ? err : interrupt_check();
}

/* ---- the formats ----------------------------------------------------- */

static void step_gzip(struct unpacker *u)
{
	int rc = Z_OK;

	u->z.next_in = u->in + u->pos;
	u->z.avail_in = u->n - u->pos > CHUNK ? CHUNK : (uInt)(u->n - u->pos);
	u->z.next_out = u->out;
	u->z.avail_out = CHUNK;
	rc = inflate(&u->z, Z_NO_FLUSH);
	u->pos = (size_t)(u->z.next_in - u->in);
	u->nout = CHUNK - u->z.avail_out;
	if (rc == Z_STREAM_END) {
		/* another member may follow; padding may, too */
		u->is_end = u->n - u->pos < 2 || u->in[u->pos] != 0x1f ||
			    u->in[u->pos + 1] != 0x8b;
		if (!u->is_end && inflateReset(&u->z) != Z_OK)
			u->why = "damaged";
	} else if (rc == Z_BUF_ERROR && u->pos == u->n) {
		u->why = "cut short";
	} else if (rc != Z_OK && rc != Z_BUF_ERROR) {
		u->why = "damaged";
	}
}

static void step_xz(struct unpacker *u)
{
	lzma_ret rc = LZMA_OK;

	u->xz.next_in = u->in + u->pos;
	u->xz.avail_in = u->n - u->pos;
	u->xz.next_out = u->out;
	u->xz.avail_out = CHUNK;
	rc = lzma_code(&u->xz, LZMA_FINISH);
	u->pos = (size_t)(u->xz.next_in - u->in);
	u->nout = CHUNK - u->xz.avail_out;
	if (rc == LZMA_STREAM_END)
		u->is_end = true;
	else if (rc == LZMA_BUF_ERROR && u->pos == u->n)
		u->why = "cut short";
	else if (rc == LZMA_MEMLIMIT_ERROR)
		u->why = "packed so that it needs too much memory";
	else if (rc != LZMA_OK)
		u->why = "damaged";
}

static void step_zstd(struct unpacker *u)
{
	ZSTD_inBuffer in = {u->in, u->n, u->pos};
	ZSTD_outBuffer out = {u->out, CHUNK, 0};
	size_t rc = ZSTD_decompressStream(u->zstd, &out, &in);
	bool moved = in.pos > u->pos || out.pos > 0;

	u->pos = in.pos;
	u->nout = out.pos;
	if (ZSTD_isError(rc))
		u->why = "damaged";
	else if (rc == 0 && u->pos == u->n)
		u->is_end = true;
	else if (!moved)
		u->why = "cut short";
}

static void unpacker_close(struct unpacker *u)
{
	if (u->name && !strcmp(u->name, "gzip"))
		(void)inflateEnd(&u->z); /* nothing to lose */
	lzma_end(&u->xz);
	(void)ZSTD_freeDStream(u->zstd); /* NULL allowed */
	mem_free(u->out);
}

/* false: the file is not compressed, or not in a way we know */
static bool unpacker_open(struct unpacker *u)
{
	static const lzma_stream none = LZMA_STREAM_INIT;
	const unsigned char *p = u->in;

	u->xz = none;
	if (u->n >= 3 && !memcmp(p, "\x1f\x8b\x08", 3)) {
		if (inflateInit2(&u->z, 15 + 16 /* gzip */) != Z_OK)
			return false;
		u->name = "gzip";
	} else if (u->n >= 6 && !memcmp(p, "\xfd\x37zXZ\0", 6)) {
		if (lzma_stream_decoder(&u->xz, XZ_MEMORY, LZMA_CONCATENATED) !=
		    LZMA_OK)
			return false;
		u->name = "xz";
	} else if (u->n >= 4 && !memcmp(p, "\x28\xb5\x2f\xfd", 4)) {
		u->zstd = ZSTD_createDStream();
		if (!u->zstd)
			return false;
		u->name = "zstd";
	} else {
		return false;
	}
	u->out = mem_alloc(CHUNK);
	return true;
}

static struct err *unpack(struct unpacker *u, struct sink *s)
{
	struct err *err = NULL;

	while (!err && !u->is_end && !u->why) {
		u->nout = 0;
		if (u->zstd)
			step_zstd(u);
		else if (!strcmp(u->name, "xz"))
			step_xz(u);
		else
			step_gzip(u);
		err = sink_put(s, u->out, u->nout);
	}
	/* a hole at the end */
	if (!err && ftruncate(s->fd, (off_t)s->size))
		err = err_new(ERR_IO, "compressed, and cannot be unpacked: %s",
			      strerror(errno));
	return err;
}

struct err *target_unpack(struct target *t, int *ret_fd)
{
	struct unpacker u = {.in = t->base, .n = t->size_bytes};
	struct sink s = {.fd = -1};
	struct err *err = NULL;
	void (*saved)(int) = SIG_DFL;

	*ret_fd = -1;
	if (!unpacker_open(&u)) {
		unpacker_close(&u);
		return NULL;
	}
	/* a limit on the size of files is an error, not our end */
	saved = signal(SIGXFSZ, SIG_IGN);
	err = sink_open(&s);
	if (!err)
		err = unpack(&u, &s);
	(void)signal(SIGXFSZ, saved); /* it was there before */
	if (!err && s.size == 0)
		err = err_new(ERR_BADDATA,
			      "%s-compressed, and there is nothing in it%s%s",
			      u.name, u.why ? ": the file is " : "",
			      u.why ? u.why : "");
	if (!err && u.why)
		target_incomplete(t,
				  "the %s file is %s after %" PRIu64
				  " bytes of the core",
				  u.name, u.why, s.size); /* I2 */
	unpacker_close(&u);
	mem_free(s.dir);
	if (!err)
		*ret_fd = s.fd;
	else if (s.fd >= 0)
		(void)close(s.fd); /* unlinked: gone */
	return err;
}
