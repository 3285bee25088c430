/* SPDX-License-Identifier: MIT */
/*
 * The address space of the process, and what of it belongs in the file.
 *
 * /proc/self/maps is read twice, to count and then to keep, since the table
 * that holds it can only be as large as it has to be and there is no malloc.
 * The writer's own mappings are shared ones, which the kernel never merges
 * with a neighbour, so that they are whole lines of their own and are left
 * out by their start.
 *
 * What is taken (the order matters):
 *
 *   not readable; [vvar], [vsyscall]     nothing
 *   [vdso]; "(deleted)" private files    all: there is no file to find it in
 *   maps of devices                      absent
 *   private anonymous memory             the pages there are, holes between
 *   private file maps, writable and not
 *   huge, or with a written page (relro) all
 *   other private file maps              the first page if it is an ELF header
 *   shared maps of what is no file       absent
 *   shared writable maps                 the pages there are
 *   other shared maps                    nothing: the file has it
 *
 * Which pages there are says /proc/self/pagemap (private ones: present or
 * swapped, and not the file's), for shared ones mincore(), which speaks of the
 * page cache; a page that was never touched is not touched here either.
 *
 * Memory with MADV_DONTFORK is not in a forked child, memory with
 * MADV_WIPEONFORK is zero there; only smaps tells which that is.  To read it
 * takes as long as a fork, since the kernel counts pages for it: it is done
 * before anything is stopped or locked (snap_unforked()).
 */
#define _GNU_SOURCE
#include "snap/snap_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <ucontext.h>
#include <unistd.h>

#include "snap/snap_sys.h"

#define SLACK_MAPS  16 /* lines that may appear between the two readings */
#define SLACK_NAMES 4096
#define SMAPS_BYTES ((size_t)65536)

#define PAGEMAP_PRESENT ((uint64_t)1 << 63)
#define PAGEMAP_SWAPPED ((uint64_t)1 << 62)
#define PAGEMAP_FILE    ((uint64_t)1 << 61)
#define PAGEMAP_GUARD   ((uint64_t)1 << 58) /* MADV_GUARD_INSTALL */

/* writable private maps up to here are taken even if nothing was written, so
 * that the data of a program needs no file to be read */
#define MAX_UNWRITTEN ((uint64_t)64 << 20)

#define RANK_FIRST 0
#define RANK_STACK 1
#define RANK_REST  2

long snap_read_file(const char *path, char *buf, size_t room)
{
	long fd = snap_open(path, O_RDONLY | O_CLOEXEC, 0);
	size_t n = 0;
	long rc = 0;

	if (fd < 0)
		return fd;
	while (n < room) {
		rc = snap_sys(SYS_read, fd, buf + n, room - n);
		if (rc == -EINTR)
			continue;
		if (rc <= 0)
			break;
		n += (size_t)rc;
	}
	snap_sys(SYS_close, fd);
	return n ? (long)n : rc;
}

char *snap_append(char *at, char *end, const char *text)
{
	while (*text && at + 1 < end)
		*at++ = *text++;
	*at = '\0';
	return at;
}

char *snap_append_number(char *at, char *end, uint64_t n)
{
	char digits[24];
	char *p = digits + sizeof(digits);

	*--p = '\0';
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	return snap_append(at, end, p);
}

/* ---- lines of /proc/self/maps -------------------------------------------- */

/* the state of reading lines: text not yet used is [at, end) of scratch */
struct lines {
	long fd;
	size_t at, end;
	char *buf;
	size_t room;
};

/* the next line without its newline, ended; NULL at the end of the file */
static char *next_line(struct lines *ln)
{
	for (;;) {
		char *line = ln->buf + ln->at;
		char *nl = memchr(line, '\n', ln->end - ln->at);
		long n;

		if (nl) {
			*nl = '\0';
			ln->at = (size_t)(nl + 1 - ln->buf);
			return line;
		}
		memmove(ln->buf, line, ln->end - ln->at);
		ln->end -= ln->at;
		ln->at = 0;
		if (ln->end == ln->room) /* longer than any line is */
			return NULL;
		n = snap_sys(SYS_read, ln->fd, ln->buf + ln->end,
			     ln->room - ln->end);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			return NULL;
		ln->end += (size_t)n;
	}
}

static uint64_t parse_number(const char **p, unsigned base)
{
	uint64_t n = 0;

	for (;; (*p)++) {
		unsigned digit;

		if (**p >= '0' && **p <= '9')
			digit = (unsigned)(**p - '0');
		else if (base == 16 && **p >= 'a' && **p <= 'f')
			digit = (unsigned)(**p - 'a' + 10);
		else
			return n;
		n = n * base + digit;
	}
}

/* "START-END rwxp OFFSET MAJOR:MINOR INODE   NAME"; the name stays in line */
static void parse_line(const char *line, struct snap_map *map)
{
	const char *p = line;

	memset(map, 0, sizeof(*map));
	map->start = parse_number(&p, 16);
	p++;
	map->end = parse_number(&p, 16);
	p++;
	map->flags = (uint8_t)((p[0] == 'r' ? SNAP_R : 0) |
			       (p[1] == 'w' ? SNAP_W : 0) |
			       (p[2] == 'x' ? SNAP_X : 0) |
			       (p[3] == 's' ? SNAP_SHARED : 0));
	p += 5;
	map->pgoff_bytes = parse_number(&p, 16);
	p++;
	parse_number(&p, 16);
	p++;
	parse_number(&p, 16);
	p++;
	map->inode = parse_number(&p, 10);
	while (*p == ' ')
		p++;
	map->name = p;
}

/* ---- what is taken ------------------------------------------------------- */

static int begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static int ends(const char *s, const char *with)
{
	size_t n = strlen(s);
	size_t m = strlen(with);

	return n >= m && strcmp(s + n - m, with) == 0;
}

/* is it a special mapping whose name is not that of a file? */
static int is_file(const struct snap_map *map)
{
	return map->name[0] == '/';
}

static int is_device(const struct snap_map *map)
{
	return begins(map->name, "/dev/") && !begins(map->name, "/dev/shm/") &&
	       !begins(map->name, "/dev/hugepages/") &&
	       !begins(map->name, "/dev/zero");
}

/* reads memory that may not be readable, through a pipe */
static int peek(const int fds[2], uint64_t addr, void *buf, size_t bytes)
{
	return snap_sys(SYS_write, fds[1], addr, bytes) == (long)bytes &&
	       snap_sys(SYS_read, fds[0], buf, bytes) == (long)bytes;
}

static int is_elf(const struct snap_map *map, const int fds[2])
{
	char magic[SELFMAG];

	return map->pgoff_bytes == 0 && fds[0] >= 0 &&
	       peek(fds, map->start, magic, sizeof(magic)) &&
	       memcmp(magic, ELFMAG, SELFMAG) == 0;
}

/* calls for the records of pagemap of a map, a scratch buffer at a time;
 * returns the number of records at scratch, 0 at the end or on failure */
static size_t read_pagemap(const struct snap_map *map, struct snap_work *work,
			   int fd, uint64_t page)
{
	uint64_t npages = (map->end - map->start) / ELFCORE_PAGE - page;
	size_t bytes = sizeof(work->scratch);
	long n;

	if (fd < 0)
		return 0;
	if (npages * 8 < bytes)
		bytes = npages * 8;
	do {
		n = snap_sys(SYS_pread64, fd, work->scratch, bytes,
			     (map->start / ELFCORE_PAGE + page) * 8);
	} while (n == -EINTR);
	return n > 0 ? (size_t)n / 8 : 0;
}

static int is_own_page(uint64_t record)
{
	return (record & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) &&
	       !(record & (PAGEMAP_FILE | PAGEMAP_GUARD));
}

/* has a private file map a page that is no longer the file's? */
static int is_written(const struct snap_map *map, struct snap_work *work,
		      int pagemap_fd)
{
	const uint64_t *records = (const void *)work->scratch;
	uint64_t page = 0;
	size_t n;

	if (pagemap_fd < 0)
		return 1;
	while ((n = read_pagemap(map, work, pagemap_fd, page)) > 0) {
		for (size_t i = 0; i < n; i++) {
			if (is_own_page(records[i]))
				return 1;
		}
		page += n;
		if (page == (map->end - map->start) / ELFCORE_PAGE)
			return 0;
	}
	return 1;
}

static enum snap_take take_private(const struct snap_map *map,
				   struct snap_work *work, int pagemap_fd,
				   const int fds[2])
{
	if (!is_file(map))
		return strcmp(map->name, "[vdso]") ? SNAP_PRESENT : SNAP_ALL;
	if (is_device(map))
		return SNAP_ABSENT;
	/* anonymous memory by another name */
	if (begins(map->name, "/dev/zero") ||
	    begins(map->name, "/anon_hugepage"))
		return SNAP_PRESENT;
	if ((map->flags & SNAP_W) && map->end - map->start <= MAX_UNWRITTEN)
		return SNAP_ALL;
	if (ends(map->name, " (deleted)") || is_written(map, work, pagemap_fd))
		return SNAP_ALL;
	return is_elf(map, fds) ? SNAP_FIRST_PAGE : SNAP_NOTHING;
}

static enum snap_take take_shared(const struct snap_map *map)
{
	if (is_device(map) || (!is_file(map) && map->name[0]))
		return SNAP_ABSENT;
	if ((map->flags & SNAP_W) || ends(map->name, " (deleted)"))
		return SNAP_PRESENT;
	return SNAP_NOTHING;
}

static void decide(struct snap_map *map, struct snap_work *work, int pagemap_fd,
		   const int fds[2])
{
	uint64_t bytes = map->end - map->start;

	map->rank = RANK_REST;
	map->take = SNAP_NOTHING;
	if ((map->flags & SNAP_R) && !begins(map->name, "[vvar") &&
	    strcmp(map->name, "[vsyscall]") != 0)
		map->take = (uint8_t)((map->flags & SNAP_SHARED)
					      ? take_shared(map)
					      : take_private(map, work,
							     pagemap_fd, fds));
	if (map->take == SNAP_FIRST_PAGE)
		map->file_bytes = ELFCORE_PAGE;
	else if (map->take == SNAP_PRESENT || map->take == SNAP_ALL)
		map->file_bytes = bytes;
}

/* the first map that ends beyond an address; nmaps if none does */
static size_t map_from(const struct snap_maps *maps, uint64_t addr)
{
	size_t lo = 0;
	size_t hi = maps->nmaps;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (maps->maps[mid].end > addr)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static void set_rank(const struct snap_maps *maps, uint64_t start, uint64_t end,
		     uint8_t rank)
{
	for (size_t i = map_from(maps, start);
	     i < maps->nmaps && maps->maps[i].start < end; i++)
		maps->maps[i].rank = rank;
}

/* what comes first in the file: the allocator's memory, then stacks */
static void set_ranks(const struct snap_maps *maps,
		      const struct snap_work *work)
{
	for (size_t i = 0; i < work->nthreads; i++) {
		struct user_regs_struct regs;

		snap_regs_general(work, &work->threads[i], &regs);
		if (work->threads[i].tid)
			set_rank(maps, regs.rsp, regs.rsp + 1, RANK_STACK);
	}
	for (size_t i = 0; i < work->req->nfirst; i++)
		set_rank(maps, work->req->first[i].start,
			 work->req->first[i].end, RANK_FIRST);
}

/* ---- the table ----------------------------------------------------------- */

static int is_own(const struct snap_map *map, const struct snap_maps *maps,
		  const struct snap_work *work)
{
	return map->start == (uintptr_t)work ||
	       (maps->maps && map->start == (uintptr_t)maps->maps);
}

static void open_lines(struct lines *ln, struct snap_work *work)
{
	ln->fd = snap_open("/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
	ln->at = 0;
	ln->end = 0;
	ln->buf = work->scratch;
	ln->room = sizeof(work->scratch);
}

/* shared memory is never merged with a neighbour: see the top */
static void *map_shared(size_t bytes)
{
	long rc = snap_sys(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return rc < 0 && rc > -4096 ? NULL : (void *)rc;
}

static int read_maps(struct snap_maps *maps, struct snap_work *work, size_t max,
		     char *names, char *names_end)
{
	struct lines ln;
	char *line;

	open_lines(&ln, work);
	if (ln.fd < 0)
		return (int)ln.fd;
	while (maps->nmaps < max && (line = next_line(&ln))) {
		struct snap_map *map = &maps->maps[maps->nmaps];
		char *end;

		parse_line(line, map);
		if (is_own(map, maps, work))
			continue;
		end = snap_append(names, names_end, map->name);
		map->name = names;
		if (end + 1 < names_end)
			names = end + 1;
		maps->nmaps++;
	}
	snap_sys(SYS_close, ln.fd);
	return 0;
}

int snap_maps_init(struct snap_maps *ret_maps, struct snap_work *work)
{
	size_t nlines = SLACK_MAPS;
	size_t name_bytes = SLACK_NAMES;
	int fds[2] = {-1, -1};
	struct lines ln;
	const char *line;
	char *names;
	long pagemap_fd;
	int rc;

	memset(ret_maps, 0, sizeof(*ret_maps));
	open_lines(&ln, work);
	if (ln.fd < 0)
		return -ESRCH; /* there is no /proc */
	while ((line = next_line(&ln))) {
		nlines++;
		name_bytes += strlen(line) + 1;
	}
	snap_sys(SYS_close, ln.fd);
	ret_maps->table_bytes = nlines * sizeof(struct snap_map) + name_bytes;
	ret_maps->maps = map_shared(ret_maps->table_bytes);
	if (!ret_maps->maps)
		return -ENOMEM;
	names = (char *)(ret_maps->maps + nlines);
	rc = read_maps(ret_maps, work, nlines, names, names + name_bytes);
	if (rc)
		return rc;
	pagemap_fd = snap_open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0);
	snap_sys(SYS_pipe2, fds, O_CLOEXEC | O_NONBLOCK);
	for (size_t i = 0; i < ret_maps->nmaps; i++)
		decide(&ret_maps->maps[i], work, (int)pagemap_fd, fds);
	set_ranks(ret_maps, work);
	for (int i = 0; i < 2 && fds[i] >= 0; i++)
		snap_sys(SYS_close, fds[i]);
	if (pagemap_fd >= 0)
		snap_sys(SYS_close, pagemap_fd);
	return 0;
}

/* has a line "VmFlags: rd wr ..." this flag? */
static int has_flag(const char *line, const char *flag)
{
	for (; *line; line++) {
		if (line[0] == ' ' && line[1] == flag[0] && line[2] == flag[1])
			return 1;
	}
	return 0;
}

/* registers of a device have no child that could read them, and hold nothing */
static int is_kept_back(const struct snap_map *map, const char *flags)
{
	return (map->flags & SNAP_R) && has_flag(flags, "dc") &&
	       ((map->flags & SNAP_W) || !has_flag(flags, "io"));
}

/* what the kernel may drop at any time ("dp") holds nothing either */
static int is_wiped(const struct snap_map *map, const char *flags)
{
	return (map->flags & SNAP_R) && has_flag(flags, "wf") &&
	       !has_flag(flags, "dp");
}

int snap_unforked(struct snap_range *ret_wiped, size_t max, size_t *ret_nwiped)
{
	struct lines ln = {.room = SMAPS_BYTES};
	struct snap_map map = {0, 0, 0, 0, 0, 0, NULL, 0, 0, 0};
	int is_any_kept_back = 0;
	const char *line;

	*ret_nwiped = 0;
	ln.buf = map_shared(SMAPS_BYTES);
	if (!ln.buf)
		return 0;
	ln.fd = snap_open("/proc/self/smaps", O_RDONLY | O_CLOEXEC, 0);
	while (ln.fd >= 0 && (line = next_line(&ln))) {
		/* names of facts begin with a capital letter */
		if (line[0] >= '0' && (line[0] <= '9' || line[0] >= 'a')) {
			parse_line(line, &map);
		} else if (begins(line, "VmFlags:")) {
			is_any_kept_back |= is_kept_back(&map, line);
			if (!is_wiped(&map, line))
				continue;
			if (*ret_nwiped == max)
				is_any_kept_back = 1;
			else
				ret_wiped[(*ret_nwiped)++] =
					(struct snap_range){map.start, map.end};
		}
	}
	if (ln.fd >= 0)
		snap_sys(SYS_close, ln.fd);
	snap_sys(SYS_munmap, ln.buf, SMAPS_BYTES);
	return is_any_kept_back;
}

void snap_maps_fini(struct snap_maps *maps)
{
	if (maps->maps)
		snap_sys(SYS_munmap, maps->maps, maps->table_bytes);
}

/* ---- contents ------------------------------------------------------------ */

/* writes or leaves out pages [first, end) of a map */
static void write_run(const struct snap_map *map, struct elfcore *core,
		      uint64_t first, uint64_t end, int is_there)
{
	uint64_t bytes = (end - first) * ELFCORE_PAGE;

	if (is_there)
		elfcore_copy(core, map->start + first * ELFCORE_PAGE, bytes);
	else
		elfcore_hole(core, bytes);
}

/* which of the next pages of a map there are, as a byte each at scratch;
 * returns how many, 0 when that is not known */
static size_t read_residence(const struct snap_map *map, struct snap_work *work,
			     int pagemap_fd, uint64_t page)
{
	uint64_t npages = (map->end - map->start) / ELFCORE_PAGE - page;
	unsigned char *is_there = (void *)work->scratch;
	const uint64_t *records = (const void *)work->scratch;
	size_t n;

	if (map->flags & SNAP_SHARED) {
		n = npages < sizeof(work->scratch) ? npages
						   : sizeof(work->scratch);
		return snap_sys(SYS_mincore, map->start + page * ELFCORE_PAGE,
				n * ELFCORE_PAGE, is_there)
			       ? 0
			       : n;
	}
	n = read_pagemap(map, work, pagemap_fd, page);
	/* the bytes go where records were: never ahead of the reading */
	for (size_t i = 0; i < n; i++)
		is_there[i] = is_own_page(records[i]);
	return n;
}

/* mincore() does not know of shared memory that is swapped out */
static int is_swap_used(void)
{
	struct sysinfo si;

	return snap_sys(SYS_sysinfo, &si) || si.totalswap != si.freeswap;
}

static void write_present(const struct snap_map *map, struct snap_work *work,
			  int pagemap_fd)
{
	const char *is_there = work->scratch;
	uint64_t npages = map->file_bytes / ELFCORE_PAGE;
	uint64_t first = 0; /* of a run that is not written yet */
	uint64_t page = 0;
	int there = 0;

	while (page < npages) {
		size_t n = read_residence(map, work, pagemap_fd, page);

		if (n == 0)
			break;
		for (size_t i = 0; i < n; i++, page++) {
			if ((is_there[i] & 1) == there)
				continue;
			write_run(map, &work->core, first, page, there);
			first = page;
			there = !there;
		}
	}
	/* what is not known is taken to be there */
	if (page < npages && !there) {
		write_run(map, &work->core, first, page, 0);
		first = page;
		there = 1;
	}
	write_run(map, &work->core, first, npages, there);
}

void snap_map_write(const struct snap_map *map, struct snap_work *work,
		    int pagemap_fd)
{
	int is_sparse = map->take == SNAP_PRESENT &&
			(!(map->flags & SNAP_SHARED) || !is_swap_used());

	if (is_sparse)
		write_present(map, work, pagemap_fd);
	else
		elfcore_copy(&work->core, map->start, map->file_bytes);
}
