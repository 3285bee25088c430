/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A stopped process to a core file.
 *
 *   ELF header, program headers (by address), section header if many
 *   PT_NOTE   all there is but memory: a core cut off behind it names threads,
 *             files, maps
 *   PT_LOAD   stacks and headers, data of objects, the rest
 *   PT_NOTE   KMEM_NT_END: a file that has it whole is complete
 *
 * While the process stands still its memory is copied (proc_hold.c), no more;
 * it is written when the process goes on.  What there is no room for comes by
 * process_vm_readv() into a buffer the cache holds, and goes into the file from
 * there, before.  Zeros become holes.  The disk is not waited for.
 *
 * The file grows beside its final name and is renamed when it is complete; on
 * any failure it is removed.
 */
#define _GNU_SOURCE
#include "target/proc.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "target/proc_hold.h"

#define PAGE      4096u
#define CHUNK     ((size_t)1 << 20)
#define NRANKS    3
#define MAX_NAMES 16 /* attempts at a name for the unfinished file */

struct writer {
	struct proc *proc;
	const char *path; /* as the user gave it */
	char *tmp;
	int fd;
	uint64_t *at; /* where each map begins in the file */
	uint64_t notes_at, end_at;
	const struct proc_map *map; /* being written */
	uint64_t map_at;
	unsigned char *buf; /* CHUNK bytes */
	struct proc_hold *hold;
	struct proc_written done;
};

static struct err *failed(const struct writer *w, int errnum)
{
	return err_new(ERR_IO, "%s: %s", w->path, strerror(errnum));
}

static struct err *write_at(struct writer *w, const void *p, size_t bytes,
			    uint64_t at)
{
	const char *from = p;

	while (bytes > 0) {
		ssize_t n = pwrite(w->fd, from, bytes, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return failed(w, n < 0 ? errno : ENOSPC);
		from += n;
		at += (uint64_t)n;
		bytes -= (size_t)n;
	}
	return NULL;
}

/* ---- memory -------------------------------------------------------------- */

static bool is_zero(const unsigned char *p, size_t bytes)
{
	return bytes == 0 || (p[0] == 0 && !memcmp(p, p + 1, bytes - 1));
}

/* what is not zero of a buffer, in as few writes as there are runs of it */
static struct err *write_chunk(struct writer *w, const unsigned char *p,
			       size_t bytes, uint64_t at)
{
	struct err *err = NULL;
	size_t i = 0;

	while (!err && i < bytes) {
		size_t first = i;

		while (i < bytes && !is_zero(p + i, PAGE))
			i += PAGE;
		if (i > first) {
			err = write_at(w, p + first, i - first, at + first);
			w->done.memory_bytes += i - first;
		}
		while (i < bytes && is_zero(p + i, PAGE))
			i += PAGE;
	}
	return err;
}

/* a proc_run_fn */
static struct err *write_run(void *arg, uint64_t start, uint64_t end)
{
	struct writer *w = arg;
	struct err *err = interrupt_check();

	while (!err && start < end) {
		size_t n = end - start < CHUNK ? end - start : CHUNK;
		uint64_t at = w->map_at + (start - w->map->start);

		if (!proc_hold_add(w->hold, start, n, at)) {
			size_t got = proc_read(w->proc, start, w->buf, n);

			w->done.unreadable_bytes += n - got;
			err = write_chunk(w, w->buf, n, at);
		}
		if (!err)
			err = interrupt_check();
		start += n;
	}
	return err;
}

/* a proc_held_fn */
static struct err *write_held(void *arg, const unsigned char *p, size_t bytes,
			      size_t nread, uint64_t at)
{
	struct writer *w = arg;
	struct err *err = interrupt_check();

	w->done.unreadable_bytes += bytes - nread;
	return err ? err : write_chunk(w, p, bytes, at);
}

/* takes all memory: there is no need for the process to stand still then */
static struct err *take_memory(struct writer *w)
{
	struct err *err = NULL;

	for (unsigned rank = 0; rank < NRANKS; rank++) {
		for (size_t i = 0; !err && i < w->proc->maps.n; i++) {
			const struct proc_map *map = &w->proc->maps.v[i];

			if (map->rank != rank || map->take_bytes == 0)
				continue;
			w->map = map;
			w->map_at = w->at[i];
			err = proc_runs(w->proc, map, map->start,
					map->start + map->take_bytes, write_run,
					w);
		}
	}
	return err ? err : proc_hold_read(w->hold, w->proc);
}

/* ---- headers ------------------------------------------------------------- */

static uint64_t page_up(uint64_t n)
{
	return (n + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

static bool is_xnum(size_t nphdrs)
{
	return nphdrs >= PN_XNUM;
}

/* gives every map its place in the file, first those of lowest rank */
static void lay_out(struct writer *w, size_t nphdrs)
{
	uint64_t at = sizeof(Elf64_Ehdr) + nphdrs * sizeof(Elf64_Phdr) +
		      (is_xnum(nphdrs) ? sizeof(Elf64_Shdr) : 0);

	w->notes_at = at;
	at = page_up(at + w->proc->notes.n);
	for (unsigned rank = 0; rank < NRANKS; rank++) {
		for (size_t i = 0; i < w->proc->maps.n; i++) {
			if (w->proc->maps.v[i].rank != rank)
				continue;
			w->at[i] = at;
			at += w->proc->maps.v[i].take_bytes;
		}
	}
	w->end_at = at;
}

static void put_ehdr(struct strbuf *out, size_t nphdrs)
{
	Elf64_Ehdr eh;

	memset(&eh, 0, sizeof(eh));
	memcpy(eh.e_ident, ELFMAG, SELFMAG);
	eh.e_ident[EI_CLASS] = ELFCLASS64;
	eh.e_ident[EI_DATA] = ELFDATA2LSB;
	eh.e_ident[EI_VERSION] = EV_CURRENT;
	eh.e_type = ET_CORE;
	eh.e_machine = EM_X86_64;
	eh.e_version = EV_CURRENT;
	eh.e_phoff = sizeof(eh);
	eh.e_ehsize = sizeof(eh);
	eh.e_phentsize = sizeof(Elf64_Phdr);
	eh.e_phnum = (uint16_t)(is_xnum(nphdrs) ? PN_XNUM : nphdrs);
	if (is_xnum(nphdrs)) {
		eh.e_shoff = sizeof(eh) + nphdrs * sizeof(Elf64_Phdr);
		eh.e_shentsize = sizeof(Elf64_Shdr);
		eh.e_shnum = 1;
	}
	strbuf_add(out, (const char *)&eh, sizeof(eh));
}

static void put_phdr(struct strbuf *out, const Elf64_Phdr *ph)
{
	strbuf_add(out, (const char *)ph, sizeof(*ph));
}

static void put_phdrs(struct strbuf *out, const struct writer *w,
		      uint64_t end_bytes)
{
	Elf64_Phdr note = {
		.p_type = PT_NOTE,
		.p_offset = w->notes_at,
		.p_filesz = w->proc->notes.n,
		.p_align = 4,
	};

	put_phdr(out, &note);
	for (size_t i = 0; i < w->proc->maps.n; i++) {
		const struct proc_map *map = &w->proc->maps.v[i];
		Elf64_Phdr load = {
			.p_type = PT_LOAD,
			.p_flags = map->prot,
			.p_offset = w->at[i],
			.p_vaddr = map->start,
			.p_filesz = map->take_bytes,
			.p_memsz = map->end - map->start,
			.p_align = PAGE,
		};

		put_phdr(out, &load);
	}
	note.p_offset = w->end_at;
	note.p_filesz = end_bytes;
	put_phdr(out, &note);
}

static struct err *write_head(struct writer *w, size_t nphdrs,
			      uint64_t end_bytes)
{
	struct strbuf out = {0};
	struct err *err = NULL;

	put_ehdr(&out, nphdrs);
	put_phdrs(&out, w, end_bytes);
	if (is_xnum(nphdrs)) {
		Elf64_Shdr sh = {.sh_info = (uint32_t)nphdrs};

		strbuf_add(&out, (const char *)&sh, sizeof(sh));
	}
	strbuf_add(&out, w->proc->notes.s, w->proc->notes.n);
	err = write_at(w, out.s, out.n, 0);
	strbuf_free(&out);
	return err;
}

static struct err *write_all(struct writer *w)
{
	size_t nphdrs = w->proc->maps.n + 2;
	struct strbuf end = {0};
	struct err *err = NULL;

	w->at = mem_array(w->proc->maps.n, sizeof(*w->at));
	lay_out(w, nphdrs);
	proc_end_note(&end, 0, 0); /* as long as the true one */
	err = take_memory(w);
	proc_resume(w->proc);
	if (!err)
		err = write_head(w, nphdrs, end.n);
	if (!err)
		err = proc_hold_each(w->hold, write_held, w);
	w->done.file_bytes = w->end_at + end.n;
	strbuf_reset(&end);
	proc_end_note(&end, w->done.file_bytes, w->done.unreadable_bytes);
	if (!err)
		err = write_at(w, end.s, end.n, w->end_at);
	strbuf_free(&end);
	return err;
}

/* ---- the file ------------------------------------------------------------ */

static struct err *create(struct writer *w)
{
	struct stat st;

	if (lstat(w->path, &st) == 0 && !S_ISREG(st.st_mode) &&
	    !S_ISLNK(st.st_mode))
		return err_new(ERR_IO, "%s: there is %s of that name", w->path,
			       S_ISDIR(st.st_mode) ? "a directory"
						   : "a device or the like");
	for (unsigned n = 0; n < MAX_NAMES; n++) {
		mem_free(w->tmp);
		w->tmp = mem_printf("%s.tmp.%d.%u", w->path, getpid(), n);
		w->fd = open(w->tmp,
			     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
				     O_CLOEXEC,
			     0600);
		if (w->fd >= 0) {
			/* a file system without modes may refuse */
			(void)fchmod(w->fd, 0600);
			return NULL;
		}
		if (errno != EEXIST)
			break;
	}
	return failed(w, errno);
}

static struct err *finish(struct writer *w, struct err *err)
{
	if (close(w->fd) != 0 && !err)
		err = failed(w, errno);
	if (!err && rename(w->tmp, w->path) != 0)
		err = failed(w, errno);
	if (err)
		(void)unlink(w->tmp); /* ours; there is no more to do */
	return err;
}

static void count(struct writer *w)
{
	size_t n = 0;
	const struct attach_thread *threads =
		attach_threads(w->proc->attach, &n);

	w->done.nthreads = n;
	for (size_t i = 0; i < n; i++)
		w->done.nthreads_lost += threads[i].regs_known != ATTACH_ALL;
	for (size_t i = 0; i < w->proc->maps.n; i++) {
		const struct proc_map *map = &w->proc->maps.v[i];

		if (map->take == PROC_ABSENT)
			w->done.absent_bytes += map->end - map->start;
	}
}

struct err *proc_write(struct proc *proc, const char *path,
		       struct proc_hold *hold, struct proc_written *ret_written)
{
	struct writer w = {.proc = proc, .path = path, .fd = -1, .hold = hold};
	/* a limit on the size of files is an error, not our end */
	void (*saved)(int) = signal(SIGXFSZ, SIG_IGN);
	struct err *err = create(&w);

	if (!err) {
		w.buf = mem_alloc(CHUNK);
		count(&w);
		err = finish(&w, write_all(&w));
	}
	(void)signal(SIGXFSZ, saved); /* it was there before */
	mem_free(w.buf);
	mem_free(w.at);
	mem_free(w.tmp);
	if (!err)
		*ret_written = w.done;
	return err;
}
