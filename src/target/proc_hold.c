/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memory of a stopped process, kept until the process goes on.
 *
 * To write a core takes much longer than to copy memory: pages of the file must
 * be found, zeros told from the rest.  So what a process has is copied to memory
 * of ours while it stands still, by several threads, and written when it goes
 * on.  That memory is made before the process is stopped, pages and all, as much
 * as the process has resident, but never more than half of what the machine,
 * or our control group, has left: what does not fit is written at once.
 */
#define _GNU_SOURCE
#include "target/proc_hold.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/jobs.h"

#define PAGE      4096u
#define HUGE_PAGE ((uint64_t)2 << 20)
#define SLACK     ((uint64_t)4 << 20) /* the process may grow meanwhile */

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* a copy of [addr, addr + bytes) */
struct held {
	uint64_t addr, at; /* at: in the file */
	size_t off, bytes; /* off: in mem */
	size_t nread;
};

struct proc_hold {
	unsigned char *mem;
	size_t cap, used;
	VEC(struct held) pieces;
	const struct proc *proc; /* while it is read */
};

/* ---- how much ------------------------------------------------------------ */

/* the number behind a word of a file, or in it; UINT64_MAX: it has none */
static uint64_t number_in(const char *path, const char *word)
{
	FILE *f = fopen(path, "re");
	uint64_t n = UINT64_MAX;
	char line[256];

	while (f && n == UINT64_MAX && fgets(line, sizeof(line), f)) {
		size_t len = strlen(word);

		if (strncmp(line, word, len) != 0 ||
		    sscanf(line + len, "%" SCNu64, &n) != 1)
			n = UINT64_MAX;
	}
	if (f)
		(void)fclose(f); /* only read */
	return n;
}

/* what our control group may still have; UINT64_MAX: no limit, or none is known */
static uint64_t group_left(void)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	uint64_t left = UINT64_MAX;
	char line[1024];

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "0::/", 4) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		_free_ char *max =
			mem_printf("/sys/fs/cgroup%s/memory.max", line + 3);
		_free_ char *current =
			mem_printf("/sys/fs/cgroup%s/memory.current", line + 3);
		uint64_t limit = number_in(max, "");
		uint64_t used = number_in(current, "");

		if (limit != UINT64_MAX && used != UINT64_MAX)
			left = limit > used ? limit - used : 0;
	}
	if (f)
		(void)fclose(f); /* only read */
	return left;
}

static uint64_t bytes_left(void)
{
	uint64_t kib = number_in("/proc/meminfo", "MemAvailable:");
	uint64_t left = kib == UINT64_MAX ? 0 : kib << 10;
	uint64_t group = group_left();

	return (group < left ? group : left) / 2;
}

/* what of a process is in memory, and in no file */
static uint64_t bytes_resident(pid_t pid)
{
	_free_ char *path = mem_printf("/proc/%d/status", pid);
	uint64_t anon = number_in(path, "RssAnon:");
	uint64_t shmem = number_in(path, "RssShmem:");

	return ((anon == UINT64_MAX ? 0 : anon) +
		(shmem == UINT64_MAX ? 0 : shmem))
	       << 10;
}

/* ---- the calls ----------------------------------------------------------- */

struct proc_hold *proc_hold_create(pid_t pid)
{
	struct proc_hold *hold = mem_zalloc(sizeof(*hold));
	uint64_t want = bytes_resident(pid) + SLACK;
	uint64_t left = bytes_left();
	size_t cap = (size_t)(want < left ? want : left) & ~(size_t)(PAGE - 1);
	void *p = cap ? mmap(NULL, cap, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
		      : MAP_FAILED;

	if (p == MAP_FAILED)
		return hold;
	hold->mem = p;
	hold->cap = cap;
	/* without either it is slower only */
	if (cap >= HUGE_PAGE)
		(void)madvise(p, cap, MADV_HUGEPAGE);
	(void)madvise(p, cap, MADV_POPULATE_WRITE);
	return hold;
}

void proc_hold_free(struct proc_hold *hold)
{
	if (!hold)
		return;
	if (hold->mem)
		(void)munmap(hold->mem, hold->cap); /* ours, and whole */
	VEC_FREE(&hold->pieces);
	mem_free(hold);
}

bool proc_hold_add(struct proc_hold *hold, uint64_t addr, size_t bytes,
		   uint64_t at)
{
	struct held piece = {
		.addr = addr, .at = at, .off = hold->used, .bytes = bytes};

	if (bytes > hold->cap - hold->used)
		return false;
	VEC_PUSH(&hold->pieces, piece);
	hold->used += bytes;
	return true;
}

static void read_piece(void *arg, size_t i)
{
	struct proc_hold *hold = arg;
	struct held *piece = &hold->pieces.v[i];

	piece->nread = proc_read(hold->proc, piece->addr,
				 hold->mem + piece->off, piece->bytes);
}

struct err *proc_hold_read(struct proc_hold *hold, const struct proc *proc)
{
	size_t mean = hold->used / PAGE / (hold->pieces.n + 1) + 1;

	hold->proc = proc;
	return jobs_each("copying memory", hold->pieces.n, mean, read_piece,
			 hold);
}

struct err *proc_hold_each(struct proc_hold *hold, proc_held_fn *fn, void *arg)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < hold->pieces.n; i++) {
		const struct held *piece = &hold->pieces.v[i];

		err = fn(arg, hold->mem + piece->off, piece->bytes,
			 piece->nread, piece->at);
	}
	return err;
}
