/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The memory of another process: which maps there are, what of them a core
 * takes, and how it is read.
 *
 * What is taken is what the snapshots of libkmem take (the order matters):
 *
 *   not readable; [vvar], [vsyscall]     nothing
 *   maps of devices                      absent
 *   private anonymous memory             the pages there are; bit 0
 *   private file maps, writable and not
 *   huge, or with a page of their own    all; bit 0
 *   other private file maps              the first page if it is an ELF header
 *                                        (bit 4); all with bit 2
 *   shared memory without a file         the pages there are; bit 1
 *   shared writable maps of files        the pages there are; bit 3
 *   other shared maps                    nothing: the file has it
 *
 * The bits are those of /proc/PID/coredump_filter (core(5)): where they are
 * heeded, what a bit that is not set would have been is absent.  Huge pages
 * have bits 5 and 6.  So is what was given to madvise(MADV_DONTDUMP).
 *
 * A page nobody touched reads as zero and is not read: reading it would give
 * the process a page.  Which there are says /proc/PID/pagemap of private
 * memory; of shared memory /proc/PID/map_files, by SEEK_DATA, where we may open
 * that (root), else a shared map is read whole.
 */
#define _GNU_SOURCE
#include "target/proc.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PAGE          4096u
#define MAX_CLOSED    ((uint64_t)1 << 30)  /* that is looked for pages in */
#define MAX_UNWRITTEN ((uint64_t)64 << 20) /* of a writable map of a file */
#define MAPS_MAX      ((size_t)1 << 22)
#define RECORDS       8192 /* of pagemap, read at once */

#define PAGEMAP_PRESENT ((uint64_t)1 << 63)
#define PAGEMAP_SWAPPED ((uint64_t)1 << 62)
#define PAGEMAP_FILE    ((uint64_t)1 << 61)
#define PAGEMAP_GUARD   ((uint64_t)1 << 58)

/* bits of coredump_filter */
enum {
	FILTER_ANON_PRIVATE = 1,
	FILTER_ANON_SHARED = 2,
	FILTER_FILE_PRIVATE = 4,
	FILTER_FILE_SHARED = 8,
	FILTER_ELF_HEADERS = 16,
	FILTER_HUGE_PRIVATE = 32,
	FILTER_HUGE_SHARED = 64,
	FILTER_DEFAULT = 0x33,
	FILTER_ALL = ~FILTER_FILE_PRIVATE & 127,
};

/* ---- lines of maps ------------------------------------------------------- */

static FILE *open_of(pid_t pid, pid_t tid, const char *file)
{
	_free_ char *path = mem_printf("/proc/%d/task/%d/%s", pid, tid, file);

	return fopen(path, "re");
}

static int fd_of(const struct proc *p, const char *file)
{
	_free_ char *path = mem_printf("/proc/%d/task/%d/%s", p->pid,
				       attach_tid(p->attach), file);

	return open(path, O_RDONLY | O_CLOEXEC);
}

/* "START-END rwxp OFFSET MAJOR:MINOR INODE   NAME"; the name stays in line */
static bool parse_line(char *line, struct proc_map *map)
{
	char flags[5] = "";
	int name_at = 0;

	*map = (struct proc_map){.name = ""};
	if (sscanf(line,
		   "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %" SCNu64 " %n",
		   &map->start, &map->end, flags, &map->file_off, &map->inode,
		   &name_at) < 5)
		return false;
	map->prot = (flags[0] == 'r' ? PF_R : 0u) |
		    (flags[1] == 'w' ? PF_W : 0u) |
		    (flags[2] == 'x' ? PF_X : 0u);
	map->is_shared = flags[3] == 's';
	line[strcspn(line, "\n")] = '\0';
	map->name = line + name_at;
	return map->start < map->end;
}

static struct err *read_maps(struct proc *p)
{
	FILE *f = open_of(p->pid, attach_tid(p->attach), "maps");
	char *line = NULL;
	size_t room = 0;

	if (!f)
		return err_new(ERR_IO, "the maps of process %d: %s", p->pid,
			       strerror(errno));
	while (getline(&line, &room, f) > 0 && p->maps.n < MAPS_MAX) {
		struct proc_map map;
		char *name = NULL;

		if (!parse_line(line, &map))
			continue;
		name = mem_strdup(map.name);
		VEC_PUSH(&p->names, name);
		map.name = name;
		VEC_PUSH(&p->maps, map);
	}
	free(line);
	(void)fclose(f); /* only read */
	if (p->maps.n == 0)
		return err_new(ERR_IO, "process %d has no memory", p->pid);
	return NULL;
}

/* ---- what is taken ------------------------------------------------------- */

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static bool ends(const char *s, const char *with)
{
	size_t n = strlen(s);
	size_t m = strlen(with);

	return n >= m && strcmp(s + n - m, with) == 0;
}

static bool is_file(const struct proc_map *map)
{
	return map->name[0] == '/';
}

static bool is_huge(const struct proc_map *map)
{
	return begins(map->name, "/anon_hugepage") ||
	       begins(map->name, "/dev/hugepages/");
}

static bool is_device(const struct proc_map *map)
{
	return begins(map->name, "/dev/") && !begins(map->name, "/dev/shm/") &&
	       !begins(map->name, "/dev/hugepages/") &&
	       !begins(map->name, "/dev/zero");
}

static bool is_elf(const struct proc *p, const struct proc_map *map)
{
	char magic[SELFMAG];

	return map->file_off == 0 &&
	       proc_read(p, map->start, magic, sizeof(magic)) == SELFMAG &&
	       memcmp(magic, ELFMAG, SELFMAG) == 0;
}

static bool is_own_page(uint64_t record)
{
	return (record & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) &&
	       !(record & (PAGEMAP_FILE | PAGEMAP_GUARD));
}

/* records of pagemap from addr on; how many */
static size_t read_pagemap(const struct proc *p, uint64_t addr, uint64_t end,
			   uint64_t records[RECORDS])
{
	uint64_t n = (end - addr) / PAGE;
	ssize_t got = 0;

	if (p->pagemap_fd < 0)
		return 0;
	if (n > RECORDS)
		n = RECORDS;
	got = pread(p->pagemap_fd, records, n * 8, (off_t)(addr / PAGE * 8));
	return got > 0 ? (size_t)got / 8 : 0;
}

/* has a private map of a file a page that is no longer the file's? */
static bool is_written(const struct proc *p, const struct proc_map *map)
{
	uint64_t records[RECORDS];
	uint64_t at = map->start;

	while (at < map->end) {
		size_t n = read_pagemap(p, at, map->end, records);

		if (n == 0)
			return true;
		for (size_t i = 0; i < n; i++)
			if (is_own_page(records[i]))
				return true;
		at += n * PAGE;
	}
	return false;
}

/* what a bit of the filter says of memory that would be taken */
static enum proc_take if_bit(const struct proc *p, unsigned bit,
			     enum proc_take take)
{
	return p->filter & bit ? take : PROC_ABSENT;
}

static enum proc_take take_private(const struct proc *p,
				   const struct proc_map *map)
{
	unsigned bit = is_huge(map) ? FILTER_HUGE_PRIVATE : FILTER_ANON_PRIVATE;

	if (!strcmp(map->name, "[vdso]"))
		return PROC_ALL;
	if (!is_file(map) || begins(map->name, "/dev/zero") || is_huge(map))
		return if_bit(p, bit, PROC_PRESENT);
	if (is_device(map))
		return PROC_ABSENT;
	if (((map->prot & PF_W) && map->end - map->start <= MAX_UNWRITTEN) ||
	    is_written(p, map))
		return if_bit(p, bit, PROC_ALL);
	if (ends(map->name, " (deleted)") || (p->filter & FILTER_FILE_PRIVATE))
		return PROC_ALL;
	return (p->filter & FILTER_ELF_HEADERS) && is_elf(p, map)
		       ? PROC_FIRST_PAGE
		       : PROC_NOTHING;
}

static enum proc_take take_shared(const struct proc *p,
				  const struct proc_map *map)
{
	if (is_device(map) || (!is_file(map) && map->name[0]))
		return PROC_ABSENT;
	if (is_huge(map))
		return if_bit(p, FILTER_HUGE_SHARED, PROC_PRESENT);
	if (ends(map->name, " (deleted)"))
		return if_bit(p, FILTER_ANON_SHARED, PROC_PRESENT);
	if (map->prot & PF_W)
		return if_bit(p, FILTER_FILE_SHARED, PROC_PRESENT);
	return PROC_NOTHING;
}

/* memory that was written and then closed; not what was only set aside */
static bool is_closed(const struct proc *p, const struct proc_map *map)
{
	return p->pagemap_fd >= 0 && !(map->prot & (PF_R | PF_W | PF_X)) &&
	       !map->is_shared && !is_file(map) &&
	       map->end - map->start <= MAX_CLOSED && is_written(p, map);
}

static void decide(const struct proc *p, struct proc_map *map)
{
	map->take = PROC_NOTHING;
	if (is_closed(p, map))
		map->take = if_bit(p, FILTER_ANON_PRIVATE, PROC_PRESENT);
	if ((map->prot & PF_R) && !begins(map->name, "[vvar") &&
	    strcmp(map->name, "[vsyscall]") != 0)
		map->take = map->is_shared ? take_shared(p, map)
					   : take_private(p, map);
	if (map->take == PROC_FIRST_PAGE)
		map->take_bytes = PAGE;
	else if (map->take == PROC_PRESENT || map->take == PROC_ALL)
		map->take_bytes = map->end - map->start;
}

static struct proc_map *map_at(struct proc *p, uint64_t addr)
{
	size_t lo = 0;
	size_t hi = p->maps.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		struct proc_map *map = &p->maps.v[mid];

		if (addr < map->start)
			hi = mid;
		else if (addr >= map->end)
			lo = mid + 1;
		else
			return map;
	}
	return NULL;
}

/* what comes first in a core: stacks and headers, then what was written, the
 * largest last: so a cut core has most of the answers */
static void set_ranks(struct proc *p)
{
	size_t n = 0;
	const struct attach_thread *threads = attach_threads(p->attach, &n);

	for (size_t i = 0; i < p->maps.n; i++) {
		struct proc_map *map = &p->maps.v[i];

		map->rank = map->take == PROC_FIRST_PAGE ? 0
			    : is_file(map)               ? 1
							 : 2;
	}
	for (size_t i = 0; i < n; i++) {
		struct proc_map *map = map_at(p, threads[i].regs.rsp);

		if (map)
			map->rank = 0;
	}
}

/* ---- MADV_DONTDUMP ------------------------------------------------------- */

struct range {
	uint64_t start, end;
};

struct ranges {
	struct range *v;
	size_t n, cap;
};

/* The kernel counts pages to print smaps, which takes 25 ms a GiB: it is read
 * while the process still runs.  A map that changes after that is taken. */
static void read_excluded(pid_t pid, struct ranges *ret)
{
	_free_ char *path = mem_printf("/proc/%d/smaps", pid);
	FILE *f = fopen(path, "re");
	struct proc_map map = {0};
	char *line = NULL;
	size_t room = 0;

	while (f && getline(&line, &room, f) > 0) {
		if (begins(line, "VmFlags:")) {
			struct range r = {map.start, map.end};

			if (strstr(line, " dd ") || ends(line, " dd\n"))
				VEC_PUSH(ret, r);
		} else if (line[0] >= '0' &&
			   (line[0] <= '9' || line[0] >= 'a')) {
			(void)parse_line(line, &map);
		}
	}
	free(line);
	if (f)
		(void)fclose(f); /* only read */
}

static void exclude(struct proc *p, const struct ranges *excluded)
{
	for (size_t i = 0; i < excluded->n; i++) {
		const struct range *r = &excluded->v[i];
		struct proc_map *map = map_at(p, r->start);

		if (!map || map->start != r->start || map->end != r->end ||
		    map->take == PROC_NOTHING || !strcmp(map->name, "[vdso]"))
			continue;
		map->take = PROC_ABSENT;
		map->take_bytes = 0;
	}
}

/* ---- contents ------------------------------------------------------------ */

size_t proc_read(const struct proc *p, uint64_t addr, void *buf, size_t len)
{
	pid_t tid = attach_tid(p->attach);
	size_t done = 0;
	size_t nread = 0;

	while (done < len) {
		struct iovec to = {(char *)buf + done, len - done};
		struct iovec from = {(void *)(uintptr_t)(addr + done),
				     len - done};
		ssize_t got = process_vm_readv(tid, &to, 1, &from, 1, 0);
		size_t page = PAGE - (addr + done) % PAGE;

		if (got <= 0) {
			/* where it may not, /proc may; a page at a time */
			if (page > len - done)
				page = len - done;
			got = pread(p->mem_fd, to.iov_base, page,
				    (off_t)(addr + done));
			if (got <= 0) {
				memset(to.iov_base, 0, page);
				done += page;
				continue;
			}
		}
		done += (size_t)got;
		nread += (size_t)got;
	}
	return nread;
}

/* private memory: by pagemap */
static struct err *runs_private(const struct proc *p, uint64_t start,
				uint64_t end, proc_run_fn *fn, void *arg)
{
	uint64_t records[RECORDS];
	struct err *err = NULL;

	while (!err && start < end) {
		size_t n = read_pagemap(p, start, end, records);
		size_t i = 0;

		if (n == 0)
			return fn(arg, start, end);
		while (!err && i < n) {
			size_t first = i;
			bool there = is_own_page(records[i]);

			while (i < n && is_own_page(records[i]) == there)
				i++;
			if (there)
				err = fn(arg, start + first * PAGE,
					 start + i * PAGE);
		}
		start += n * PAGE;
	}
	return err;
}

/* shared memory: by the holes of its file */
static struct err *runs_shared(const struct proc *p, const struct proc_map *map,
			       uint64_t start, uint64_t end, proc_run_fn *fn,
			       void *arg)
{
	_free_ char *path =
		mem_printf("/proc/%d/map_files/%" PRIx64 "-%" PRIx64, p->pid,
			   map->start, map->end);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct err *err = NULL;
	const uint64_t delta = map->file_off - map->start; /* may wrap */

	if (fd < 0)
		return fn(arg, start, end);
	while (!err && start < end) {
		off_t data = lseek(fd, (off_t)(start + delta), SEEK_DATA);
		off_t hole = data < 0 ? data : lseek(fd, data, SEEK_HOLE);
		uint64_t stop = (uint64_t)hole - delta;

		if (data < 0 && errno != ENXIO) {
			err = fn(arg, start, end); /* it cannot say */
			break;
		}
		if (data < 0 || (uint64_t)data - delta >= end)
			break; /* zeros up to the end */
		start = ((uint64_t)data - delta) & ~(uint64_t)(PAGE - 1);
		stop = (stop + PAGE - 1) & ~(uint64_t)(PAGE - 1);
		if (hole < 0 || stop > end)
			stop = end;
		err = fn(arg, start, stop);
		start = stop;
	}
	(void)close(fd); /* only read */
	return err;
}

struct err *proc_runs(const struct proc *p, const struct proc_map *map,
		      uint64_t start, uint64_t end, proc_run_fn *fn, void *arg)
{
	if (map->take != PROC_PRESENT)
		return fn(arg, start, end);
	if (map->is_shared)
		return runs_shared(p, map, start, end, fn, arg);
	return runs_private(p, start, end, fn, arg);
}

/* ---- the calls ----------------------------------------------------------- */

/* a main thread that has ended shows none: the kernel's own then */
static unsigned read_filter(pid_t pid)
{
	_free_ char *path = mem_printf("/proc/%d/coredump_filter", pid);
	FILE *f = fopen(path, "re");
	unsigned filter = FILTER_DEFAULT;

	if (f && fscanf(f, "%x", &filter) != 1)
		filter = FILTER_DEFAULT;
	if (f)
		(void)fclose(f); /* only read */
	return filter;
}

static struct err *describe(struct proc *p, bool is_filtered,
			    const struct ranges *excluded)
{
	struct timespec ts;
	struct err *err = NULL;

	(void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail */
	p->wall_ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	p->mem_fd = fd_of(p, "mem");
	if (p->mem_fd < 0)
		return err_new(ERR_IO, "the memory of process %d: %s", p->pid,
			       strerror(errno));
	p->pagemap_fd = fd_of(p, "pagemap");
	p->filter = is_filtered ? read_filter(p->pid) : FILTER_ALL;
	err = read_maps(p);
	if (err)
		return err;
	for (size_t i = 0; i < p->maps.n; i++)
		decide(p, &p->maps.v[i]);
	exclude(p, excluded);
	set_ranks(p);
	proc_notes(p);
	return NULL;
}

struct err *proc_stop(pid_t pid, const struct proc_options *opt,
		      struct proc **ret_proc)
{
	struct proc *p = mem_zalloc(sizeof(*p));
	struct ranges excluded = {0};
	struct err *err = NULL;

	p->pid = pid;
	p->mem_fd = p->pagemap_fd = -1;
	if (opt->is_filtered)
		read_excluded(pid, &excluded);
	err = attach_stop(pid, &p->attach);
	if (!err)
		err = describe(p, opt->is_filtered, &excluded);
	VEC_FREE(&excluded);
	if (err) {
		(void)proc_release(p); /* it did not stand still for anybody */
		return err;
	}
	*ret_proc = p;
	return NULL;
}

void proc_resume(struct proc *p)
{
	if (p->attach)
		p->paused_ns = attach_resume(p->attach);
	p->attach = NULL;
}

uint64_t proc_release(struct proc *p)
{
	if (!p)
		return 0;
	proc_resume(p);
	const uint64_t ns = p->paused_ns;

	if (p->mem_fd >= 0)
		(void)close(p->mem_fd); /* only read */
	if (p->pagemap_fd >= 0)
		(void)close(p->pagemap_fd);
	for (size_t i = 0; i < p->names.n; i++)
		mem_free(p->names.v[i]);
	VEC_FREE(&p->names);
	VEC_FREE(&p->maps);
	strbuf_free(&p->notes);
	mem_free(p);
	return ns;
}
