/* SPDX-License-Identifier: MIT */
/*
 * The file: which notes, in which order, and under which name it grows.
 *
 *   ELF header, program headers (by address), section header if many
 *   PT_NOTE   CORE and LINUX notes as the kernel writes them, the current
 *             thread first; then those of owner KMEM
 *   PT_LOAD   the allocator's memory, stacks, everything else
 *   PT_NOTE   KMEM_NT_END: a file that has it whole is complete
 *
 * The file grows beside its final name and is renamed when it is complete; on
 * any failure it is removed.
 */
#define _GNU_SOURCE
#include "snap/snap_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snap/snap_sys.h"

#define NT_FPREGSET_CORE 2
#define MAX_NAMES        16 /* attempts at a name for the unfinished file */
#define AUXV_MAX_TYPE    64
#define XSTATE_XCR0      464
#define XSTATE_BV        512

/* ---- standard notes ------------------------------------------------------ */

static void put_note(struct elfcore *core, const char *owner, uint32_t type,
		     const void *desc, size_t bytes)
{
	elfcore_note(core, owner, type, bytes);
	elfcore_put(core, desc, bytes);
	elfcore_pad(core, 4);
}

/* the signal a debugger shall say ended the process: none for a snapshot of
 * one that goes on */
static int fatal_signal(const struct snap_request *req)
{
	return req->reason == KMEM_SNAP_FATAL || req->reason == KMEM_SNAP_PANIC
		       ? req->signo
		       : 0;
}

static void note_prstatus(struct elfcore *core, struct snap_work *work,
			  const struct snap_thread *thread)
{
	struct elf_prstatus status;
	struct user_regs_struct regs;

	memset(&status, 0, sizeof(status));
	/* in every thread, as the kernel does: bfd believes the last one */
	status.pr_cursig = (short)fatal_signal(work->req);
	status.pr_info.si_signo = status.pr_cursig;
	status.pr_pid = (pid_t)thread->tid;
	status.pr_ppid = work->ppid;
	status.pr_pgrp = work->pgrp;
	status.pr_sid = work->sid;
	status.pr_fpvalid = snap_regs_fp(work, thread) != NULL;
	snap_regs_general(work, thread, &regs);
	_Static_assert(sizeof(regs) == sizeof(status.pr_reg), "registers");
	memcpy(&status.pr_reg, &regs, sizeof(regs));
	put_note(core, "CORE", NT_PRSTATUS, &status, sizeof(status));
}

static void note_fp(struct elfcore *core, struct snap_work *work,
		    const struct snap_thread *thread)
{
	const void *fp = snap_regs_fp(work, thread);
	const char *xstate;
	size_t bytes;
	uint64_t mask;
	uint64_t in_use;

	if (fp)
		put_note(core, "CORE", NT_FPREGSET_CORE, fp, 512);
	xstate = snap_regs_xstate(work, thread, &bytes, &mask);
	if (!xstate)
		return;
	memcpy(&in_use, xstate + XSTATE_BV, sizeof(in_use));
	in_use &= mask;
	elfcore_note(core, "LINUX", NT_X86_XSTATE, bytes);
	elfcore_put(core, xstate, XSTATE_XCR0);
	elfcore_put(core, &mask, sizeof(mask));
	elfcore_pad(core, 4);
	elfcore_put(core, xstate + XSTATE_XCR0 + sizeof(mask),
		    XSTATE_BV - XSTATE_XCR0 - sizeof(mask));
	elfcore_put(core, &in_use, sizeof(in_use));
	elfcore_put(core, xstate + XSTATE_BV + sizeof(in_use),
		    bytes - XSTATE_BV - sizeof(in_use));
	elfcore_pad(core, 4);
}

static void note_prpsinfo(struct elfcore *core, struct snap_work *work)
{
	struct elf_prpsinfo info;
	long n;

	memset(&info, 0, sizeof(info));
	info.pr_sname = 'R';
	info.pr_uid = work->uid;
	info.pr_gid = work->gid;
	info.pr_pid = work->pid;
	info.pr_ppid = work->ppid;
	info.pr_pgrp = work->pgrp;
	info.pr_sid = work->sid;
	memcpy(info.pr_fname, work->comm, sizeof(info.pr_fname));
	n = snap_read_file("/proc/self/cmdline", info.pr_psargs,
			   sizeof(info.pr_psargs) - 1);
	/* arguments end in NUL: all but the last become spaces */
	for (long i = 0; i + 1 < n; i++) {
		if (info.pr_psargs[i] == '\0')
			info.pr_psargs[i] = ' ';
	}
	put_note(core, "CORE", NT_PRPSINFO, &info, sizeof(info));
}

static void note_siginfo(struct elfcore *core, struct snap_work *work)
{
	char siginfo[128];

	memset(siginfo, 0, sizeof(siginfo));
	if (work->req->siginfo && fatal_signal(work->req))
		memcpy(siginfo, work->req->siginfo, sizeof(siginfo));
	put_note(core, "CORE", NT_SIGINFO, siginfo, sizeof(siginfo));
}

static void note_auxv(struct elfcore *core, struct snap_work *work)
{
	Elf64_auxv_t *auxv = (void *)work->scratch;
	size_t n = 0;
	long bytes = snap_read_file("/proc/self/auxv", work->scratch,
				    sizeof(work->scratch));

	if (bytes <= 0) {
		/* a process that is not dumpable may not read its own */
		for (unsigned long t = 1; t < AUXV_MAX_TYPE; t++) {
			unsigned long value = getauxval(t);

			if (!value)
				continue;
			auxv[n].a_type = t;
			auxv[n++].a_un.a_val = value;
		}
		memset(&auxv[n++], 0, sizeof(auxv[0]));
		bytes = (long)(n * sizeof(auxv[0]));
	}
	put_note(core, "CORE", NT_AUXV, work->scratch, (size_t)bytes);
}

static int is_file_map(const struct snap_map *map)
{
	return map->name[0] == '/';
}

/* count, page size; start, end, offset in pages of each; the names */
static void note_file(struct elfcore *core, const struct snap_maps *maps)
{
	uint64_t head[2] = {0, ELFCORE_PAGE};
	size_t name_bytes = 0;

	for (size_t i = 0; i < maps->nmaps; i++) {
		if (!is_file_map(&maps->maps[i]))
			continue;
		head[0]++;
		name_bytes += strlen(maps->maps[i].name) + 1;
	}
	elfcore_note(core, "CORE", NT_FILE,
		     sizeof(head) + head[0] * 3 * sizeof(uint64_t) +
			     name_bytes);
	elfcore_put(core, head, sizeof(head));
	for (size_t i = 0; i < maps->nmaps; i++) {
		const struct snap_map *map = &maps->maps[i];
		uint64_t row[3] = {map->start, map->end,
				   map->pgoff_bytes / ELFCORE_PAGE};

		if (is_file_map(map))
			elfcore_put(core, row, sizeof(row));
	}
	for (size_t i = 0; i < maps->nmaps; i++) {
		if (is_file_map(&maps->maps[i]))
			elfcore_put(core, maps->maps[i].name,
				    strlen(maps->maps[i].name) + 1);
	}
	elfcore_pad(core, 4);
}

/* ---- our notes ----------------------------------------------------------- */

static void note_snap(struct elfcore *core, const struct snap_work *work)
{
	struct kmem_note_snap snap;
	const struct snap_request *req = work->req;

	memset(&snap, 0, sizeof(snap));
	snap.ns_version = KMEM_NOTE_VERSION;
	snap.ns_reason = req->reason;
	snap.ns_wall_ns = work->wall_ns;
	snap.ns_mono_ns = work->mono_ns;
	snap.ns_pid = (uint32_t)work->pid;
	snap.ns_tid = (uint32_t)work->tid;
	snap.ns_quiescent = req->quiescent;
	snap.ns_signo = (uint32_t)req->signo;
	for (size_t i = 0; i < work->nthreads; i++) {
		const struct snap_thread *thread = &work->threads[i];

		snap.ns_nthreads += thread->tid != 0;
		snap.ns_nthreads_lost +=
			i > 0 && thread->tid && thread->regs < SNAP_ALL_REGS;
	}
	snap.ns_exit_status = req->exit_status;
	snap.ns_forked = (uint32_t)work->is_forked;
	put_note(core, KMEM_NOTE_OWNER, KMEM_NT_SNAP, &snap, sizeof(snap));
}

static void note_threads(struct elfcore *core, const struct snap_work *work)
{
	size_t n = 0;

	for (size_t i = 0; i < work->nthreads; i++)
		n += work->threads[i].tid != 0;
	elfcore_note(core, KMEM_NOTE_OWNER, KMEM_NT_THREADS,
		     n * sizeof(struct kmem_note_thread));
	for (size_t i = 0; i < work->nthreads; i++) {
		struct kmem_note_thread row;

		row.nt_tid = work->threads[i].tid;
		row.nt_regs = work->threads[i].regs;
		memcpy(row.nt_name, work->threads[i].name, sizeof(row.nt_name));
		if (row.nt_tid)
			elfcore_put(core, &row, sizeof(row));
	}
	elfcore_pad(core, 4);
}

static void note_absent(struct elfcore *core, const struct snap_maps *maps)
{
	size_t n = 0;

	for (size_t i = 0; i < maps->nmaps; i++)
		n += maps->maps[i].take == SNAP_ABSENT;
	if (n == 0)
		return;
	elfcore_note(core, KMEM_NOTE_OWNER, KMEM_NT_ABSENT,
		     n * 2 * sizeof(uint64_t));
	for (size_t i = 0; i < maps->nmaps; i++) {
		const struct snap_map *map = &maps->maps[i];
		uint64_t row[2] = {map->start, map->end};

		if (map->take == SNAP_ABSENT)
			elfcore_put(core, row, sizeof(row));
	}
}

static void put_notes(struct elfcore *core, struct snap_work *work,
		      const struct snap_maps *maps)
{
	for (size_t i = 0; i < work->nthreads; i++) {
		const struct snap_thread *thread = &work->threads[i];

		if (!thread->tid || (i > 0 && thread->regs == SNAP_NO_REGS))
			continue;
		note_prstatus(core, work, thread);
		if (i == 0) {
			note_prpsinfo(core, work);
			note_siginfo(core, work);
			note_auxv(core, work);
			note_file(core, maps);
		}
		note_fp(core, work, thread);
	}
	note_snap(core, work);
	if (work->req->env_bytes)
		put_note(core, KMEM_NOTE_OWNER, KMEM_NT_ENV, work->req->env,
			 work->req->env_bytes);
	note_threads(core, work);
	note_absent(core, maps);
}

static void put_end(struct elfcore *core)
{
	struct kmem_note_end end;

	/* the note is the same length whatever it says */
	end.ne_size = core->at_bytes + sizeof(Elf64_Nhdr) + 8 + sizeof(end);
	end.ne_unreadable = core->unreadable_bytes;
	put_note(core, KMEM_NOTE_OWNER, KMEM_NT_END, &end, sizeof(end));
}

/* ---- the file ------------------------------------------------------------ */

static uint64_t page_up(uint64_t n)
{
	return (n + ELFCORE_PAGE - 1) & ~(uint64_t)(ELFCORE_PAGE - 1);
}

/* gives every map its place in the file, first those of lowest rank;
 * returns where the last one ends */
static uint64_t lay_out(const struct snap_maps *maps, uint64_t at_bytes)
{
	for (unsigned rank = 0; rank < 3; rank++) {
		for (size_t i = 0; i < maps->nmaps; i++) {
			struct snap_map *map = &maps->maps[i];

			if (map->rank != rank)
				continue;
			map->file_at = at_bytes;
			at_bytes += map->file_bytes;
		}
	}
	return at_bytes;
}

static void put_phdrs(struct elfcore *core, const struct snap_maps *maps,
		      uint64_t notes_at, uint64_t note_bytes, uint64_t end_at)
{
	Elf64_Phdr note = {.p_type = PT_NOTE, .p_align = 4};

	note.p_offset = notes_at;
	note.p_filesz = note_bytes;
	elfcore_phdr(core, &note);
	for (size_t i = 0; i < maps->nmaps; i++) {
		const struct snap_map *map = &maps->maps[i];
		Elf64_Phdr load = {.p_type = PT_LOAD};

		load.p_flags = (map->flags & SNAP_R ? PF_R : 0U) |
			       (map->flags & SNAP_W ? PF_W : 0U) |
			       (map->flags & SNAP_X ? PF_X : 0U);
		load.p_offset = map->file_at;
		load.p_vaddr = map->start;
		load.p_filesz = map->file_bytes;
		load.p_memsz = map->end - map->start;
		load.p_align = ELFCORE_PAGE;
		elfcore_phdr(core, &load);
	}
	note.p_offset = end_at;
	note.p_filesz = sizeof(Elf64_Nhdr) + 8 + sizeof(struct kmem_note_end);
	elfcore_phdr(core, &note);
}

static void put_memory(const struct snap_maps *maps, struct snap_work *work)
{
	long pagemap_fd =
		snap_open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0);

	for (unsigned rank = 0; rank < 3; rank++) {
		for (size_t i = 0; i < maps->nmaps; i++) {
			const struct snap_map *map = &maps->maps[i];

			if (map->rank == rank && map->file_bytes)
				snap_map_write(map, work, (int)pagemap_fd);
		}
	}
	if (pagemap_fd >= 0)
		snap_sys(SYS_close, pagemap_fd);
}

/* writes the whole core; returns 0 or a positive errno */
static int write_core(struct snap_work *work, int fd)
{
	struct elfcore *core = &work->core;
	struct snap_maps maps;
	size_t nphdrs;
	uint64_t notes_at;
	uint64_t note_bytes;
	uint64_t end_at;
	int rc = snap_maps_init(&maps, work);

	if (rc) {
		snap_maps_fini(&maps);
		return -rc;
	}
	nphdrs = maps.nmaps + 2;
	notes_at = (elfcore_header_bytes(nphdrs) + 3) & ~(uint64_t)3;
	elfcore_init(core, -1);
	put_notes(core, work, &maps);
	note_bytes = core->at_bytes;
	end_at = lay_out(&maps, page_up(notes_at + note_bytes));
	elfcore_init(core, fd);
	elfcore_ehdr(core, nphdrs);
	put_phdrs(core, &maps, notes_at, note_bytes, end_at);
	elfcore_shdr(core, nphdrs);
	elfcore_pad(core, 4);
	put_notes(core, work, &maps);
	elfcore_pad(core, ELFCORE_PAGE);
	put_memory(&maps, work);
	put_end(core);
	snap_maps_fini(&maps);
	return elfcore_finish(core);
}

/* may the final name be replaced?  Returns 0 or a positive errno. */
static int check_name(const char *path)
{
	struct stat st;
	long rc = snap_sys(SYS_newfstatat, AT_FDCWD, path, &st,
			   AT_SYMLINK_NOFOLLOW);

	if (rc < 0)
		return rc == -ENOENT ? 0 : (int)-rc;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	/* never in the place of /dev/null */
	return S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) ? 0 : EEXIST;
}

/* creates the unfinished file and says in work->tmp what it is called;
 * returns a descriptor or -errno */
static int create(struct snap_work *work)
{
	char *end = work->tmp + sizeof(work->tmp);
	long fd = -EEXIST;

	for (unsigned n = 0; n < MAX_NAMES && fd == -EEXIST; n++) {
		char *at = snap_append(work->tmp, end, work->req->path);

		at = snap_append(at, end, ".tmp.");
		at = snap_append_number(at, end, (uint64_t)work->pid);
		if (n) {
			at = snap_append(at, end, ".");
			snap_append_number(at, end, n);
		}
		fd = snap_open(work->tmp,
			       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
				       O_CLOEXEC,
			       0600);
	}
	if (fd < 0)
		work->tmp[0] = '\0';
	return (int)fd;
}

int snap_write(struct snap_work *work)
{
	int err = check_name(work->req->path);
	long rc;
	int fd;

	if (err)
		return err;
	fd = create(work);
	if (fd < 0)
		return -fd;
	/* whatever the umask is; a file system without modes may refuse */
	(void)snap_sys(SYS_fchmod, fd, 0600);
	err = write_core(work, fd);
	rc = snap_sys(SYS_close, fd);
	if (!err && rc < 0)
		err = (int)-rc;
	if (!err) {
		rc = snap_sys(SYS_rename, work->tmp, work->req->path);
		err = rc < 0 ? (int)-rc : 0;
	}
	if (err)
		snap_sys(SYS_unlink, work->tmp);
	work->tmp[0] = '\0';
	return err;
}
