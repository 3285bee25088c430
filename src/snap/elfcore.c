/* SPDX-License-Identifier: MIT */
/*
 * The stream behind a core file.  Small pieces are gathered in a buffer,
 * memory goes from where it is to write(2) with no copy in between, which also
 * makes unreadable pages harmless: the kernel answers EFAULT, we never touch
 * them.
 */
#include "snap/elfcore.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "snap/snap_sys.h"

/* a write is never longer: a kernel caps it at 2 GiB, a signal cuts it short */
#define MAX_WRITE ((uint64_t)4 << 20)

static void fail(struct elfcore *core, long rc)
{
	if (!core->err)
		core->err = rc < 0 ? (int)-rc : EIO;
}

/* writes all of a readable buffer */
static void write_all(struct elfcore *core, const char *p, size_t bytes)
{
	while (bytes && !core->err) {
		long n = snap_sys(SYS_write, core->fd, p, bytes);

		if (n == -EINTR)
			continue;
		if (n <= 0) {
			fail(core, n);
			return;
		}
		p += n;
		bytes -= (size_t)n;
	}
}

static void flush(struct elfcore *core)
{
	write_all(core, core->buf, core->nbuf);
	core->nbuf = 0;
}

void elfcore_init(struct elfcore *core, int fd)
{
	core->fd = fd;
	core->err = 0;
	core->at_bytes = 0;
	core->unreadable_bytes = 0;
	core->ends_in_hole = 0;
	core->nbuf = 0;
}

void elfcore_put(struct elfcore *core, const void *p, size_t bytes)
{
	const char *from = p;

	core->at_bytes += bytes;
	core->ends_in_hole = 0;
	while (core->fd >= 0 && !core->err && bytes) {
		size_t n = sizeof(core->buf) - core->nbuf;

		if (n > bytes)
			n = bytes;
		memcpy(core->buf + core->nbuf, from, n);
		core->nbuf += n;
		from += n;
		bytes -= n;
		if (core->nbuf == sizeof(core->buf))
			flush(core);
	}
}

static void put_zeros(struct elfcore *core, uint64_t bytes)
{
	static const char zeros[ELFCORE_PAGE];

	while (bytes) {
		size_t n = bytes < sizeof(zeros) ? bytes : sizeof(zeros);

		elfcore_put(core, zeros, n);
		bytes -= n;
	}
}

void elfcore_pad(struct elfcore *core, size_t align)
{
	put_zeros(core, -core->at_bytes & (align - 1));
}

void elfcore_hole(struct elfcore *core, uint64_t bytes)
{
	if (bytes == 0)
		return;
	core->at_bytes += bytes;
	if (core->fd < 0)
		return;
	flush(core);
	if (!core->err) {
		long rc = snap_sys(SYS_lseek, core->fd, bytes, SEEK_CUR);

		if (rc < 0)
			fail(core, rc);
	}
	core->ends_in_hole = 1;
}

void elfcore_copy(struct elfcore *core, uintptr_t addr, uint64_t bytes)
{
	if (core->fd < 0) {
		core->at_bytes += bytes;
		return;
	}
	flush(core);
	while (bytes && !core->err) {
		/* to where a large page of the file begins */
		uint64_t room = MAX_WRITE - core->at_bytes % MAX_WRITE;
		uint64_t n = bytes < room ? bytes : room;
		uint64_t page = ELFCORE_PAGE - addr % ELFCORE_PAGE;
		long rc = snap_sys(SYS_write, core->fd, addr, n);

		if (rc == -EINTR)
			continue;
		if (rc == -EFAULT) {
			/* a short write may have ended within the page */
			n = page < bytes ? page : bytes;
			put_zeros(core, n);
			flush(core);
			core->unreadable_bytes += n;
		} else if (rc <= 0) {
			fail(core, rc);
		} else {
			n = (uint64_t)rc;
			core->at_bytes += n;
			core->ends_in_hole = 0;
		}
		addr += n;
		bytes -= n;
	}
}

static int is_extended(size_t nphdrs)
{
	return nphdrs >= PN_XNUM;
}

uint64_t elfcore_header_bytes(size_t nphdrs)
{
	return sizeof(Elf64_Ehdr) + nphdrs * sizeof(Elf64_Phdr) +
	       (is_extended(nphdrs) ? sizeof(Elf64_Shdr) : 0);
}

void elfcore_ehdr(struct elfcore *core, size_t nphdrs)
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
	eh.e_phnum = (Elf64_Half)nphdrs;
	if (is_extended(nphdrs)) {
		eh.e_phnum = PN_XNUM;
		eh.e_shoff = sizeof(eh) + nphdrs * sizeof(Elf64_Phdr);
		eh.e_shentsize = sizeof(Elf64_Shdr);
		eh.e_shnum = 1;
	}
	elfcore_put(core, &eh, sizeof(eh));
}

void elfcore_phdr(struct elfcore *core, const Elf64_Phdr *phdr)
{
	elfcore_put(core, phdr, sizeof(*phdr));
}

void elfcore_shdr(struct elfcore *core, size_t nphdrs)
{
	Elf64_Shdr sh;

	if (!is_extended(nphdrs))
		return;
	memset(&sh, 0, sizeof(sh));
	sh.sh_type = SHT_NULL;
	sh.sh_size = 1; /* e_shnum */
	sh.sh_info = (Elf64_Word)nphdrs;
	elfcore_put(core, &sh, sizeof(sh));
}

void elfcore_note(struct elfcore *core, const char *owner, uint32_t type,
		  size_t desc_bytes)
{
	Elf64_Nhdr nh;

	nh.n_namesz = (Elf64_Word)strlen(owner) + 1;
	nh.n_descsz = (Elf64_Word)desc_bytes;
	nh.n_type = type;
	elfcore_put(core, &nh, sizeof(nh));
	elfcore_put(core, owner, nh.n_namesz);
	elfcore_pad(core, 4);
}

int elfcore_finish(struct elfcore *core)
{
	flush(core);
	if (!core->err && core->ends_in_hole) {
		long rc = snap_sys(SYS_ftruncate, core->fd, core->at_bytes);

		if (rc < 0)
			fail(core, rc);
	}
	return core->err;
}
