/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Core files from bytes, for tests: phdrs, then notes, then memory. */
#ifndef COREBUILD_H
#define COREBUILD_H

#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/procfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"

struct corebuild {
	Elf64_Ehdr eh;
	VEC(Elf64_Phdr) phdrs;
	struct strbuf notes;
	struct strbuf memory;
};

static inline void corebuild_init(struct corebuild *cb)
{
	*cb = (struct corebuild){
		.eh =
			{
				.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3,
					    ELFCLASS64, ELFDATA2LSB,
					    EV_CURRENT},
				.e_type = ET_CORE,
				.e_machine = EM_X86_64,
				.e_version = EV_CURRENT,
				.e_ehsize = sizeof(Elf64_Ehdr),
				.e_phoff = sizeof(Elf64_Ehdr),
				.e_phentsize = sizeof(Elf64_Phdr),
			},
	};
}

static inline void corebuild_free(struct corebuild *cb)
{
	VEC_FREE(&cb->phdrs);
	strbuf_free(&cb->notes);
	strbuf_free(&cb->memory);
}

static inline void corebuild_note(struct corebuild *cb, const char *owner,
				  uint32_t type, const void *desc, size_t n)
{
	Elf64_Nhdr hdr = {
		.n_namesz = (uint32_t)strlen(owner) + 1,
		.n_descsz = (uint32_t)n,
		.n_type = type,
	};

	strbuf_add(&cb->notes, (const char *)&hdr, sizeof(hdr));
	strbuf_add(&cb->notes, owner, hdr.n_namesz);
	while (cb->notes.n % 4 != 0)
		strbuf_putc(&cb->notes, '\0');
	strbuf_add(&cb->notes, desc, n);
	while (cb->notes.n % 4 != 0)
		strbuf_putc(&cb->notes, '\0');
}

/* a PT_LOAD whose first n bytes are in the file; p_offset is filled in when
 * the file is written */
static inline void corebuild_load(struct corebuild *cb, uint64_t start,
				  uint64_t memsz, const void *bytes, size_t n,
				  uint32_t flags)
{
	Elf64_Phdr ph = {
		.p_type = PT_LOAD,
		.p_flags = flags,
		.p_vaddr = start,
		.p_memsz = memsz,
		.p_filesz = n,
		.p_offset = cb->memory.n,
		.p_align = 1,
	};

	VEC_PUSH(&cb->phdrs, ph);
	strbuf_add(&cb->memory, bytes, n);
}

struct corebuild_file {
	uint64_t start, end, off_pages;
	const char *path;
};

static inline void corebuild_files(struct corebuild *cb,
				   const struct corebuild_file *v, size_t n)
{
	struct strbuf desc = {0};
	const uint64_t head[2] = {n, 4096};
	size_t i;

	strbuf_add(&desc, (const char *)head, sizeof(head));
	for (i = 0; i < n; i++)
		strbuf_add(&desc, (const char *)&v[i], 24);
	for (i = 0; i < n; i++)
		strbuf_add(&desc, v[i].path, strlen(v[i].path) + 1);
	corebuild_note(cb, "CORE", NT_FILE, desc.s, desc.n);
	strbuf_free(&desc);
}

static inline void corebuild_thread(struct corebuild *cb, int tid, int sig,
				    uint64_t rip)
{
	struct elf_prstatus pr = {.pr_pid = tid, .pr_cursig = (short)sig};

	pr.pr_reg[16] = rip;
	corebuild_note(cb, "CORE", NT_PRSTATUS, &pr, sizeof(pr));
}

/* the whole file, in a buffer; e_phnum is set unless it was PN_XNUM */
static inline struct strbuf corebuild_bytes(const struct corebuild *cb)
{
	struct strbuf out = {0};
	Elf64_Ehdr eh = cb->eh;
	size_t nph = cb->phdrs.n + 1;
	uint64_t notes_at = sizeof(eh) + nph * sizeof(Elf64_Phdr);
	Elf64_Phdr note = {
		.p_type = PT_NOTE,
		.p_offset = notes_at,
		.p_filesz = cb->notes.n,
		.p_align = 4,
	};
	size_t i;

	if (eh.e_phnum == 0)
		eh.e_phnum = (uint16_t)nph;
	strbuf_add(&out, (const char *)&eh, sizeof(eh));
	strbuf_add(&out, (const char *)&note, sizeof(note));
	for (i = 0; i < cb->phdrs.n; i++) {
		Elf64_Phdr ph = cb->phdrs.v[i];

		ph.p_offset += notes_at + cb->notes.n;
		strbuf_add(&out, (const char *)&ph, sizeof(ph));
	}
	strbuf_add(&out, cb->notes.s, cb->notes.n);
	strbuf_add(&out, cb->memory.s, cb->memory.n);
	return out;
}

static inline void corebuild_write_bytes(const char *path, const void *bytes,
					 size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, bytes, n) != (ssize_t)n || close(fd) != 0)
		_exit(99);
}

static inline void corebuild_write(const struct corebuild *cb, const char *path)
{
	struct strbuf out = corebuild_bytes(cb);

	corebuild_write_bytes(path, out.s, out.n);
	strbuf_free(&out);
}

#endif
