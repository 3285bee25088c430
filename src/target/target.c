/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every kind of target answers in the same way: reads, maps, facts. */
#define _GNU_SOURCE
#include "target/target.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target/target_impl.h"

#define PF_W 2u
/* a smaller core may lie about */
#define RELEASE_MIN ((uint64_t)32 << 20)
/* when so much was passed it is looked how much there is: of the core this, or
 * one in so many of its bytes, may be held in any case, and more while all memory
 * is not more than that */
#define PASSED_MIN  ((uint64_t)8 << 20)
#define FILES_MIN   ((uint64_t)16 << 20)
#define FILES_SHARE 16u
#define HELD_MAX    ((uint64_t)84 << 20)
#define PAGE_BYTES  ((uintptr_t)4096)
#define HOLE_MIN    ((uint64_t)1 << 20) /* a shorter range is not worth a call */

void target_incomplete(struct target *t, const char *fmt, ...)
{
	_free_ char *old = t->incomplete;
	_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = mem_vprintf(fmt, ap);
	va_end(ap);
	t->incomplete =
		mem_printf("%s%s%s", old ? old : "", old ? "; " : "", text);
	t->info.incomplete = t->incomplete;
}

void target_forget(struct target *t)
{
	size_t i;

	for (i = 0; i < t->maps.n; i++)
		if (t->maps.v[i].is_owned)
			mem_free((void *)(uintptr_t)t->maps.v[i].bytes);
	for (i = 0; i < t->notes.n; i++)
		mem_free((void *)(uintptr_t)t->notes.v[i].owner);
	VEC_FREE(&t->maps);
	VEC_FREE(&t->threads);
	VEC_FREE(&t->notes);
	VEC_FREE(&t->files);
	VEC_FREE(&t->absents);
	if (t->base)
		(void)munmap((void *)(uintptr_t)t->base, t->size_bytes);
	t->base = NULL;
	t->auxv = NULL;
	t->nauxv = 0;
	mem_free(t->incomplete);
	t->incomplete = NULL;
	t->info = (struct target_info){.is_live = t->info.is_live};
}

void target_close(struct target *t)
{
	if (!t)
		return;
	live_close(t);
	target_forget(t);
	if (t->zeros)
		(void)munmap(t->zeros, t->zeros_bytes);
	if (t->fd >= 0)
		(void)close(t->fd);
	if (t->statm_fd >= 0)
		(void)close(t->statm_fd);
	mem_free(t->path);
	mem_free(t);
}

const struct target_info *target_info(const struct target *t)
{
	return &t->info;
}

const char *target_path(const struct target *t)
{
	return t->path;
}

int target_fd(const struct target *t)
{
	return t->fd;
}

/* ---- memory -------------------------------------------------------------- */

static const struct map_impl *map_at(const struct target *t, taddr_t addr)
{
	size_t lo = 0;
	size_t hi = t->maps.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct map_impl *map = &t->maps.v[mid];

		if (addr < map->pub.start)
			hi = mid;
		else if (addr >= map->pub.end)
			lo = mid + 1;
		else
			return map;
	}
	return NULL;
}

const void *target_peek(const struct target *t, taddr_t addr, size_t *ret_len)
{
	const struct map_impl *map = map_at(t, addr);

	*ret_len = 0;
	if (!map || addr >= map->pub.core_end)
		return NULL;
	*ret_len = map->pub.core_end - addr;
	if (t->live)
		*ret_len = live_peek(t, addr, *ret_len);
	if (*ret_len == 0)
		return NULL;
	return map->bytes + (addr - map->pub.start);
}

/* where the core's file goes on with data, or with a hole; the end if it does not
 * say */
static uint64_t seek(const struct target *t, uint64_t off, int what)
{
	off_t to = lseek(t->fd, (off_t)off, what);

	if (to >= 0)
		return (uint64_t)to;
	return what == SEEK_DATA && errno != ENXIO ? off : t->size_bytes;
}

taddr_t target_past_zeros(const struct target *t, taddr_t at, taddr_t end,
			  taddr_t *ret_stop)
{
	const struct map_impl *map = map_at(t, at);
	uint64_t off = 0;
	uint64_t n = 0;

	*ret_stop = end;
	if (end - at < HOLE_MIN || !map || at >= map->pub.core_end || t->live ||
	    !t->base || map->bytes < t->base ||
	    map->bytes >= t->base + t->size_bytes)
		return at;
	if (end > map->pub.core_end)
		end = map->pub.core_end;
	off = (uint64_t)(map->bytes - t->base) + (at - map->pub.start);
	n = (seek(t, off, SEEK_DATA) - off) & -PAGE_BYTES;
	if (n >= end - at)
		return end;
	at += n;
	n = seek(t, off + n, SEEK_HOLE) - (off + n);
	*ret_stop =
		n < end - at ? at + ((n + PAGE_BYTES - 1) & -PAGE_BYTES) : end;
	if (*ret_stop > end || *ret_stop <= at)
		*ret_stop = end;
	return at;
}

void target_release(const struct target *t)
{
	/* it may be refused, and then is no worse than before */
	if (t->base && t->size_bytes >= RELEASE_MIN)
		(void)madvise((void *)(uintptr_t)t->base, t->size_bytes,
			      MADV_DONTNEED);
}

/* Is too much of the core held?  How much comes with a byte that is looked at,
 * 64 KB or 2 MB, is the system's choice: so it is asked. */
static bool is_much_held(const struct target *t)
{
	uint64_t least = t->size_bytes / FILES_SHARE;
	char text[128];
	unsigned long all = 0;
	unsigned long files = 0;
	ssize_t n = pread(t->statm_fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return true;
	text[n] = '\0';
	/* pages: size, resident, of that in files */
	return sscanf(text, "%*u %lu %lu", &all, &files) != 2 ||
	       (files > (least > FILES_MIN ? least : FILES_MIN) / PAGE_BYTES &&
		all > HELD_MAX / PAGE_BYTES);
}

void target_passed(struct target *t, uint64_t bytes)
{
	uint64_t sum = 0;

	if (!t->base || t->size_bytes < RELEASE_MIN)
		return;
	sum = __atomic_add_fetch(&t->passed_bytes, bytes, __ATOMIC_RELAXED);
	if (sum < PASSED_MIN)
		return;
	__atomic_store_n(&t->passed_bytes, 0, __ATOMIC_RELAXED);
	if (is_much_held(t))
		target_release(t);
}

void target_passed_share(struct target *t, uint64_t n)
{
	target_passed(t, t->size_bytes / (n ? n : 1));
}

static struct err *fault(const struct target *t, const struct map_impl *map,
			 taddr_t addr)
{
	if (map && t->live)
		return err_new(ERR_FAULT,
			       "0x%" PRIx64 " of the process cannot be read",
			       addr);
	if (!map)
		return err_new(ERR_FAULT, "no memory at 0x%" PRIx64, addr);
	if (map->pub.path)
		return err_new(ERR_FAULT,
			       "0x%" PRIx64 " is not in the core (%s)", addr,
			       map->pub.path);
	return err_new(ERR_FAULT, "0x%" PRIx64 " is not in the core", addr);
}

/* bytes that are not in the core but, never written, in a file */
static bool read_file(const struct target *t, const struct map_impl *map,
		      taddr_t addr, void *buf, size_t len)
{
	if (!map->pub.path || (map->pub.prot & PF_W) || !t->read_file)
		return false;
	return t->read_file(t->read_file_arg, map->pub.path,
			    map->pub.file_off + (addr - map->pub.start), buf,
			    len);
}

struct err *target_read(const struct target *t, taddr_t addr, void *buf,
			size_t len)
{
	unsigned char *to = buf;

	while (len > 0) {
		const struct map_impl *map = map_at(t, addr);
		uint64_t n;

		if (!map)
			return fault(t, NULL, addr);
		if (addr < map->pub.core_end) {
			n = map->pub.core_end - addr;
			if (n > len)
				n = len;
			if (t->live && !live_fill(t, addr, n))
				return fault(t, map, addr);
			memcpy(to, map->bytes + (addr - map->pub.start), n);
		} else {
			n = map->pub.end - addr;
			if (n > len)
				n = len;
			if (!read_file(t, map, addr, to, n))
				return fault(t, map, addr);
		}
		addr += n;
		to += n;
		len -= n;
	}
	return NULL;
}

struct err *target_read_u64(const struct target *t, taddr_t addr, uint64_t *ret)
{
	uint64_t value;
	struct err *err = target_read(t, addr, &value, sizeof(value));

	if (!err)
		*ret = value;
	return err;
}

/* how many of want bytes at addr lie in its map, on its side of core_end */
static size_t run_at(const struct target *t, taddr_t addr, size_t want)
{
	const struct map_impl *map = map_at(t, addr);
	uint64_t n;

	if (!map)
		return 1; /* let the read say what is wrong */
	n = (addr < map->pub.core_end ? map->pub.core_end : map->pub.end) -
	    addr;
	return n < want ? n : want;
}

struct err *target_read_str(const struct target *t, taddr_t addr, size_t max,
			    char **ret)
{
	enum {
		STEP = 256
	};
	struct err *err = NULL;
	char *s = NULL;
	size_t n = 0;

	while (n + 1 < max) {
		size_t step = max - 1 - n;

		step = run_at(t, addr + n, step < STEP ? step : STEP);
		s = mem_realloc(s, n + step + 1, 1);
		err = target_read(t, addr + n, s + n, step);
		if (err) {
			mem_free(s);
			return err;
		}
		s[n + step] = '\0';
		if (memchr(s + n, '\0', step))
			break;
		n += step;
	}
	*ret = s ? s : mem_strdup("");
	return NULL;
}

void target_set_file_reader(struct target *t, target_file_reader_fn *fn,
			    void *arg)
{
	t->read_file = fn;
	t->read_file_arg = arg;
}

/* ---- what is there ------------------------------------------------------- */

size_t target_nmaps(const struct target *t)
{
	return t->maps.n;
}

const struct target_map *target_map(const struct target *t, size_t i)
{
	return &t->maps.v[i].pub;
}

const struct target_map *target_map_at(const struct target *t, taddr_t addr)
{
	const struct map_impl *map = map_at(t, addr);

	return map ? &map->pub : NULL;
}

size_t target_nthreads(const struct target *t)
{
	return t->threads.n;
}

const struct target_thread *target_thread(const struct target *t, size_t i)
{
	return &t->threads.v[i];
}

size_t target_nnotes(const struct target *t)
{
	return t->notes.n;
}

const struct target_note *target_note(const struct target *t, size_t i)
{
	return &t->notes.v[i];
}

const struct target_note *target_find_note(const struct target *t,
					   const char *owner, uint32_t type)
{
	size_t i;

	for (i = 0; i < t->notes.n; i++)
		if (t->notes.v[i].type == type &&
		    strcmp(t->notes.v[i].owner, owner) == 0)
			return &t->notes.v[i];
	return NULL;
}

bool target_auxv(const struct target *t, uint64_t type, uint64_t *ret_value)
{
	size_t i;

	for (i = 0; i < t->nauxv; i++) {
		uint64_t pair[2];

		memcpy(pair, t->auxv + i * sizeof(pair), sizeof(pair));
		if (pair[0] == type) {
			*ret_value = pair[1];
			return true;
		}
	}
	return false;
}
