/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The notes of a stopped process: those the kernel writes into a core, the
 * main thread first, then those of owner KMEM that say of a snapshot what it
 * is (contract/notes.h).  Of the allocator they say nothing: whoever stops a
 * process from outside does not know whether one is at rest.
 */
#define _GNU_SOURCE
#include "target/proc.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/procfs.h>
#include <time.h>
#include <unistd.h>

#include "contract/notes.h"

#define PAGE      4096u
#define AUXV_ROOM 8192

static void pad4(struct strbuf *notes)
{
	while (notes->n % 4 != 0)
		strbuf_putc(notes, '\0');
}

static void put(struct strbuf *notes, const void *p, size_t bytes)
{
	strbuf_add(notes, p, bytes);
}

static void head(struct strbuf *notes, const char *owner, uint32_t type,
		 size_t desc_bytes)
{
	Elf64_Nhdr hdr = {(uint32_t)strlen(owner) + 1, (uint32_t)desc_bytes,
			  type};

	put(notes, &hdr, sizeof(hdr));
	put(notes, owner, hdr.n_namesz);
	pad4(notes);
}

static void note(struct strbuf *notes, const char *owner, uint32_t type,
		 const void *desc, size_t bytes)
{
	head(notes, owner, type, bytes);
	put(notes, desc, bytes);
	pad4(notes);
}

/* up to room bytes of a file of /proc; how many */
static size_t read_file(const struct proc *p, const char *file, void *buf,
			size_t room)
{
	_free_ char *path = mem_printf("/proc/%d/task/%d/%s", p->pid,
				       attach_tid(p->attach), file);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, room);

	if (fd >= 0)
		(void)close(fd); /* only read */
	return n > 0 ? (size_t)n : 0;
}

/* who the process is */
struct who {
	char state;
	int ppid, pgrp, sid;
	long nice;
	unsigned long flags;
};

static struct who read_who(const struct proc *p)
{
	struct who w = {.state = 'R'};
	char buf[1024];
	size_t n = read_file(p, "stat", buf, sizeof(buf) - 1);
	const char *paren = NULL;

	buf[n] = '\0';
	paren = strrchr(buf, ')');
	if (!paren ||
	    sscanf(paren + 1,
		   " %c %d %d %d %*d %*d %lu %*u %*u %*u "
		   "%*u %*u %*u %*d %*d %*d %ld",
		   &w.state, &w.ppid, &w.pgrp, &w.sid, &w.flags, &w.nice) < 4)
		w.state = 'R';
	return w;
}

static void note_prstatus(struct proc *p, const struct attach_thread *th,
			  const struct who *w)
{
	struct elf_prstatus status;

	memset(&status, 0, sizeof(status));
	status.pr_pid = th->tid;
	status.pr_ppid = w->ppid;
	status.pr_pgrp = w->pgrp;
	status.pr_sid = w->sid;
	status.pr_fpvalid = th->regs_known == ATTACH_ALL;
	_Static_assert(sizeof(th->regs) == sizeof(status.pr_reg),
		       "the kernel's order of registers");
	memcpy(&status.pr_reg, &th->regs, sizeof(th->regs));
	note(&p->notes, "CORE", NT_PRSTATUS, &status, sizeof(status));
}

static void note_prpsinfo(struct proc *p, const struct who *w)
{
	static const char states[] = "RSDTZW";
	const char *state = strchr(states, w->state);
	struct elf_prpsinfo info;
	size_t n = 0;

	memset(&info, 0, sizeof(info));
	/* 't' is what we have made of it */
	info.pr_sname = w->state == 't' ? 'R' : w->state;
	info.pr_state = (char)(state ? state - states : 0);
	info.pr_nice = (char)w->nice;
	info.pr_flag = w->flags;
	info.pr_uid = (unsigned)proc_number(p->pid, "Uid");
	info.pr_gid = (unsigned)proc_number(p->pid, "Gid");
	info.pr_pid = p->pid;
	info.pr_ppid = w->ppid;
	info.pr_pgrp = w->pgrp;
	info.pr_sid = w->sid;
	n = read_file(p, "comm", info.pr_fname, sizeof(info.pr_fname));
	if (n > 0)
		info.pr_fname[n - 1] = '\0';
	n = read_file(p, "cmdline", info.pr_psargs, sizeof(info.pr_psargs) - 1);
	/* arguments end in NUL: all but the last become spaces */
	for (size_t i = 0; i + 1 < n; i++)
		if (info.pr_psargs[i] == '\0')
			info.pr_psargs[i] = ' ';
	note(&p->notes, "CORE", NT_PRPSINFO, &info, sizeof(info));
}

static bool is_file_map(const struct proc_map *map)
{
	return map->name[0] == '/';
}

/* count, page size; start, end, offset in pages of each; the names */
static void note_file(struct proc *p)
{
	struct strbuf desc = {0};
	struct strbuf names = {0};
	uint64_t begin[2] = {0, PAGE};

	put(&desc, begin, sizeof(begin));
	for (size_t i = 0; i < p->maps.n; i++) {
		const struct proc_map *map = &p->maps.v[i];
		uint64_t row[3] = {map->start, map->end, map->file_off / PAGE};

		if (!is_file_map(map))
			continue;
		begin[0]++;
		put(&desc, row, sizeof(row));
		put(&names, map->name, strlen(map->name) + 1);
	}
	memcpy(desc.s, begin, sizeof(begin));
	put(&desc, strbuf_str(&names), names.n);
	note(&p->notes, "CORE", NT_FILE, desc.s, desc.n);
	strbuf_free(&desc);
	strbuf_free(&names);
}

static void note_process(struct proc *p, const struct who *w)
{
	char siginfo[128] = {0}; /* none: it goes on */
	char auxv[AUXV_ROOM];

	note_prpsinfo(p, w);
	note(&p->notes, "CORE", NT_SIGINFO, siginfo, sizeof(siginfo));
	note(&p->notes, "CORE", NT_AUXV, auxv,
	     read_file(p, "auxv", auxv, sizeof(auxv)));
	note_file(p);
}

/* ---- ours ---------------------------------------------------------------- */

static void note_snap(struct proc *p, const struct attach_thread *threads,
		      size_t n)
{
	struct kmem_note_snap snap;
	struct timespec ts;

	memset(&snap, 0, sizeof(snap));
	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	snap.ns_version = KMEM_NOTE_VERSION;
	snap.ns_reason = KMEM_SNAP_OUTSIDE;
	snap.ns_wall_ns = p->wall_ns;
	snap.ns_mono_ns =
		(uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	snap.ns_pid = (uint32_t)p->pid;
	snap.ns_tid = (uint32_t)threads[0].tid;
	snap.ns_quiescent = KMEM_QUIESCENT_UNKNOWN;
	snap.ns_nthreads = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		snap.ns_nthreads_lost += threads[i].regs_known != ATTACH_ALL;
	note(&p->notes, KMEM_NOTE_OWNER, KMEM_NT_SNAP, &snap, sizeof(snap));
}

static void note_threads(struct proc *p, const struct attach_thread *threads,
			 size_t n)
{
	head(&p->notes, KMEM_NOTE_OWNER, KMEM_NT_THREADS,
	     n * sizeof(struct kmem_note_thread));
	for (size_t i = 0; i < n; i++) {
		struct kmem_note_thread row;

		row.nt_tid = (uint32_t)threads[i].tid;
		row.nt_regs = threads[i].regs_known;
		memcpy(row.nt_name, threads[i].name, sizeof(row.nt_name));
		put(&p->notes, &row, sizeof(row));
	}
	pad4(&p->notes);
}

static void note_absent(struct proc *p)
{
	struct strbuf desc = {0};

	for (size_t i = 0; i < p->maps.n; i++) {
		const struct proc_map *map = &p->maps.v[i];
		uint64_t row[2] = {map->start, map->end};

		if (map->take == PROC_ABSENT)
			put(&desc, row, sizeof(row));
	}
	if (desc.n > 0)
		note(&p->notes, KMEM_NOTE_OWNER, KMEM_NT_ABSENT, desc.s,
		     desc.n);
	strbuf_free(&desc);
}

void proc_notes(struct proc *p)
{
	size_t n = 0;
	const struct attach_thread *threads = attach_threads(p->attach, &n);
	struct who w = read_who(p);

	for (size_t i = 0; i < n; i++) {
		const struct attach_thread *th = &threads[i];

		if (i > 0 && th->regs_known == ATTACH_NONE)
			continue;
		note_prstatus(p, th, &w);
		if (i == 0)
			note_process(p, &w);
		if (th->regs_known == ATTACH_ALL)
			note(&p->notes, "CORE", NT_FPREGSET, &th->fpregs,
			     sizeof(th->fpregs));
		if (th->xstate)
			note(&p->notes, "LINUX", NT_X86_XSTATE, th->xstate,
			     th->xstate_bytes);
	}
	note_snap(p, threads, n);
	note_threads(p, threads, n);
	note_absent(p);
}

void proc_end_note(struct strbuf *notes, uint64_t core_bytes,
		   uint64_t unreadable_bytes)
{
	struct kmem_note_end end;

	memset(&end, 0, sizeof(end));
	end.ne_size = core_bytes;
	end.ne_unreadable = unreadable_bytes;
	note(notes, KMEM_NOTE_OWNER, KMEM_NT_END, &end, sizeof(end));
}
