/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A core file: ELF64, x86-64, ET_CORE - the kernel's, gdb's, or a snapshot.
 *
 * The file is mapped whole and parsed by hand: it is hostile, and four
 * structures of ELF are all there is (the header, program headers, section
 * header 0 when there are too many of those, notes).
 *
 * (I1) no offset is used before it is checked against the file's size;
 * (I2) what reaches beyond the end of the file is cut there, and said in
 *      info.incomplete: the largest end of a segment, or of the section headers,
 *      is the size it should have;
 * (I3) what a file is not, it is told in words, before any parsing.
 *
 * A file may still shrink while it is mapped.  The bytes then raise SIGBUS:
 * one line, status 3.
 */
#include "target/target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target/target_impl.h"

/* ---- what it is instead -------------------------------------------------- */

static const char *machine_name(unsigned machine)
{
	switch (machine) {
	case EM_386:
		return "i386";
	case EM_X86_64:
		return "x86-64";
	case EM_AARCH64:
		return "aarch64";
	case EM_ARM:
		return "arm";
	case EM_RISCV:
		return "riscv";
	case EM_PPC64:
		return "ppc64";
	case EM_S390:
		return "s390x";
	case EM_LOONGARCH:
		return "loongarch";
	case EM_MIPS:
		return "mips";
	default:
		return NULL;
	}
}

static const char *foreign_format(const unsigned char *p, size_t n)
{
	static const struct {
		char magic[8];
		unsigned char len;
		char what[56];
	} known[] = {
		{"\x1f\x8b", 2, "gzip-compressed, but damaged"},
		{"\xfd"
		 "7zXZ",
		 5, "xz-compressed, but damaged"},
		{"BZh", 3, "bzip2-compressed: uncompress it first"},
		{"\x04\x22\x4d\x18", 4, "lz4-compressed: uncompress it first"},
		{"PK\x03\x04", 4, "a zip archive: unpack it first"},
		{"MDMP", 4, "a minidump, which holds no heap"},
		{"KDUMP   ", 8, "a compressed kernel dump: not supported"},
		{"!<arch>\n", 8, "an archive, not a core file"},
		{"#!", 2, "a script, not a core file"},
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (n >= known[i].len &&
		    memcmp(p, known[i].magic, known[i].len) == 0)
			return known[i].what;
	return "not an ELF file";
}

static const char *file_kind(const struct target *t, const Elf64_Ehdr *eh)
{
	uint64_t i;

	switch (eh->e_type) {
	case ET_REL:
		return "an object file";
	case ET_EXEC:
		return "an executable";
	case ET_DYN:
		for (i = 0; i < eh->e_phnum; i++) {
			uint64_t at = eh->e_phoff + i * sizeof(Elf64_Phdr);
			uint32_t type;

			if (eh->e_phoff > t->size_bytes ||
			    at + sizeof(type) > t->size_bytes)
				break;
			memcpy(&type, t->base + at, sizeof(type));
			if (type == PT_INTERP)
				return "an executable";
		}
		return "a shared library";
	default:
		return "an ELF file of unknown type";
	}
}

/* what a header of another class or byte order says; both halves lie where
 * they do in ours */
static struct err *foreign_ident(const unsigned char *id)
{
	bool is_big = id[EI_DATA] == ELFDATA2MSB;
	unsigned type = is_big ? id[16] << 8 | id[17] : id[17] << 8 | id[16];
	unsigned machine = is_big ? id[18] << 8 | id[19] : id[19] << 8 | id[18];
	const char *name = machine_name(machine);

	return err_new(ERR_BADDATA,
		       "%s of another architecture (%s, %d-bit%s): only x86-64 "
		       "is supported",
		       type == ET_CORE ? "core" : "ELF file",
		       name ? name : "unknown",
		       id[EI_CLASS] == ELFCLASS32 ? 32 : 64,
		       is_big ? ", big-endian" : "");
}

static struct err *check_ident(const struct target *t)
{
	const unsigned char *id = t->base;

	if (t->size_bytes < SELFMAG || memcmp(id, ELFMAG, SELFMAG) != 0)
		return err_new(ERR_BADDATA, "%s",
			       foreign_format(id, t->size_bytes));
	if (t->size_bytes < sizeof(Elf64_Ehdr))
		return err_new(ERR_BADDATA,
			       "truncated: an ELF header has 64 bytes, %" PRIu64
			       " are there",
			       t->size_bytes);
	if (id[EI_DATA] == ELFDATA2MSB || id[EI_CLASS] == ELFCLASS32)
		return foreign_ident(id);
	if (id[EI_CLASS] != ELFCLASS64 || id[EI_DATA] != ELFDATA2LSB)
		return err_new(ERR_BADDATA, "damaged ELF header");
	return NULL;
}

static struct err *check_header(const struct target *t, const Elf64_Ehdr *eh)
{
	if (eh->e_type != ET_CORE)
		return err_new(ERR_BADDATA, "%s, not a core file",
			       file_kind(t, eh));
	if (eh->e_machine != EM_X86_64)
		return foreign_ident(t->base);
	if (eh->e_phentsize != sizeof(Elf64_Phdr))
		return err_new(
			ERR_BADDATA,
			"damaged ELF header: program headers of %u bytes",
			eh->e_phentsize);
	return NULL;
}

/* ---- program headers ----------------------------------------------------- */

/* how many program headers there are in the file */
static uint64_t count_phdrs(struct target *t, const Elf64_Ehdr *eh)
{
	uint64_t n = eh->e_phnum;
	uint64_t fit;
	Elf64_Shdr sh;

	if (n == PN_XNUM) {
		if (eh->e_shoff > t->size_bytes ||
		    t->size_bytes - eh->e_shoff < sizeof(sh)) {
			target_incomplete(t, "the number of its segments is "
					     "missing");
		} else {
			memcpy(&sh, t->base + eh->e_shoff, sizeof(sh));
			n = sh.sh_info;
		}
	}
	fit = eh->e_phoff > t->size_bytes
		      ? 0
		      : (t->size_bytes - eh->e_phoff) / sizeof(Elf64_Phdr);
	if (n > fit)
		target_incomplete(t,
				  "truncated: %" PRIu64 " of %" PRIu64
				  " program headers are there",
				  fit, n);
	return n < fit ? n : fit;
}

static Elf64_Phdr phdr_at(const struct target *t, uint64_t phoff, uint64_t i)
{
	Elf64_Phdr ph;

	memcpy(&ph, t->base + phoff + i * sizeof(ph), sizeof(ph));
	return ph;
}

/* the bytes of a segment that are in the file */
static uint64_t bytes_there(const struct target *t, const Elf64_Phdr *ph)
{
	uint64_t there;

	if (ph->p_offset >= t->size_bytes)
		return 0;
	there = t->size_bytes - ph->p_offset;
	return ph->p_filesz < there ? ph->p_filesz : there;
}

/* false: it says nothing that can be used */
static bool make_load(const struct target *t, const Elf64_Phdr *ph,
		      struct map_impl *ret)
{
	uint64_t bytes = bytes_there(t, ph);
	taddr_t end;

	if (ph->p_memsz == 0 ||
	    __builtin_add_overflow(ph->p_vaddr, ph->p_memsz, &end))
		return false;
	if (bytes > ph->p_memsz)
		bytes = ph->p_memsz;
	*ret = (struct map_impl){
		.pub =
			{
				.start = ph->p_vaddr,
				.end = end,
				.core_end = ph->p_vaddr + bytes,
				.core_off = ph->p_offset,
				.prot = ph->p_flags & (PF_R | PF_W | PF_X),
			},
		.bytes = bytes > 0 ? t->base + ph->p_offset : NULL,
		.is_left_out = ph->p_filesz == 0,
	};
	return true;
}

/* gdb writes section headers, too; they come last */
static uint64_t shdrs_end(const Elf64_Ehdr *eh)
{
	uint64_t bytes = (uint64_t)eh->e_shnum * eh->e_shentsize;
	uint64_t end;

	if (eh->e_shoff == 0 || eh->e_shentsize != sizeof(Elf64_Shdr) ||
	    __builtin_add_overflow(eh->e_shoff, bytes, &end))
		return 0;
	return end;
}

static void check_size(struct target *t, const Elf64_Ehdr *eh, uint64_t n)
{
	uint64_t want = shdrs_end(eh);
	uint64_t i;

	for (i = 0; i < n; i++) {
		Elf64_Phdr ph = phdr_at(t, eh->e_phoff, i);
		uint64_t end;

		if (ph.p_type != PT_LOAD && ph.p_type != PT_NOTE)
			continue;
		if (__builtin_add_overflow(ph.p_offset, ph.p_filesz, &end))
			end = UINT64_MAX;
		if (ph.p_filesz > 0 && end > want)
			want = end;
	}
	if (want > t->size_bytes)
		target_incomplete(t,
				  "truncated: %" PRIu64 " of %" PRIu64
				  " bytes are there",
				  t->size_bytes, want);
}

static void read_phdrs(struct target *t, const Elf64_Ehdr *eh)
{
	uint64_t n = count_phdrs(t, eh);
	struct map_impl *loads;
	size_t nloads = 0;
	uint64_t i;

	check_size(t, eh, n);
	loads = mem_array(n, sizeof(*loads));
	for (i = 0; i < n; i++) {
		Elf64_Phdr ph = phdr_at(t, eh->e_phoff, i);

		if (ph.p_type == PT_LOAD && make_load(t, &ph, &loads[nloads]))
			nloads++;
		else if (ph.p_type == PT_NOTE && bytes_there(t, &ph) > 0)
			notes_parse(t, ph.p_offset, bytes_there(t, &ph),
				    ph.p_align == 8 ? 8 : 4);
	}
	notes_interpret(t);
	maps_build(t, loads, nloads);
	if (n == 0 && !t->info.incomplete)
		target_incomplete(t, "no segments");
}

/* ---- opening ------------------------------------------------------------- */

static void on_sigbus(int signo)
{
	static const char text[] =
		"pmdb: core file changed while it was read: no verdict\n";

	(void)signo;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(3); /* nobody to tell */
	_exit(3);
}

/* from here on a file that shrinks under its map ends us in order */
static void target_guard(void)
{
	struct sigaction sa = {.sa_handler = on_sigbus};

	sigemptyset(&sa.sa_mask);
	(void)sigaction(SIGBUS, &sa, NULL); /* cannot fail: constants */
}

/* maps what t->fd is open on */
static struct err *map_fd(struct target *t)
{
	struct stat st;
	void *base;

	if (fstat(t->fd, &st) != 0)
		return err_new(ERR_IO, "%s", strerror(errno));
	if (S_ISDIR(st.st_mode))
		return err_new(ERR_BADDATA, "a directory, not a core file");
	if (!S_ISREG(st.st_mode))
		return err_new(ERR_BADDATA, "not a regular file");
	t->size_bytes = (uint64_t)st.st_size;
	if (t->size_bytes == 0)
		return err_new(ERR_BADDATA, "empty file");
	base = mmap(NULL, t->size_bytes, PROT_READ, MAP_PRIVATE, t->fd, 0);
	if (base == MAP_FAILED)
		return err_new(ERR_IO, "cannot be mapped: %s", strerror(errno));
	t->base = base;
	return NULL;
}

static struct err *map_file(struct target *t)
{
	/* O_NONBLOCK: a fifo must not hang us */
	t->fd = open(t->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (t->fd < 0)
		return err_new(ERR_IO, "%s", strerror(errno));
	return map_fd(t);
}

/* a compressed core gives way to its contents */
static struct err *unpack(struct target *t)
{
	int fd = -1;
	struct err *err = target_unpack(t, &fd);

	if (err || fd < 0)
		return err;
	(void)munmap((void *)(uintptr_t)t->base, t->size_bytes);
	(void)close(t->fd); /* only read */
	t->base = NULL;
	t->fd = fd;
	return map_fd(t);
}

static struct err *open_core(struct target *t)
{
	Elf64_Ehdr eh;
	struct err *err = map_file(t);

	if (err)
		return err;
	target_guard();
	err = unpack(t);
	if (!err)
		err = check_ident(t);
	if (err)
		return err;
	memcpy(&eh, t->base, sizeof(eh));
	err = check_header(t, &eh);
	if (err)
		return err;
	read_phdrs(t, &eh);
	return NULL;
}

/* the zeros behind a segment's bytes; false: there are none */
static bool make_bss(struct target *t, const Elf64_Phdr *ph,
		     struct map_impl *ret)
{
	uint64_t n = ph->p_memsz - ph->p_filesz;

	if (ph->p_memsz <= ph->p_filesz || n > BSS_MAX)
		return false;
	if (n > t->zeros_bytes) {
		void *zeros = mmap(NULL, n, PROT_READ,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
				   -1, 0);

		/* of segments with zeros there is one, but for mistakes */
		if (zeros == MAP_FAILED || t->zeros)
			return false;
		t->zeros = zeros;
		t->zeros_bytes = n;
	}
	ret->pub.start = ph->p_vaddr + ph->p_filesz;
	ret->pub.end = ret->pub.core_end = ph->p_vaddr + ph->p_memsz;
	ret->pub.prot = ph->p_flags & (PF_R | PF_W | PF_X);
	ret->bytes = t->zeros;
	return ret->pub.start < ret->pub.end;
}

static void read_segments(struct target *t, const Elf64_Ehdr *eh)
{
	uint64_t n = count_phdrs(t, eh);
	struct map_impl *loads = mem_array(n * 2, sizeof(*loads));
	size_t nloads = 0;

	for (uint64_t i = 0; i < n; i++) {
		Elf64_Phdr ph = phdr_at(t, eh->e_phoff, i);
		struct map_impl *load = &loads[nloads];
		struct file_range range = {
			.start = ph.p_vaddr,
			.file_off = ph.p_offset,
			.path = t->path,
		};

		if (ph.p_type != PT_LOAD || !make_load(t, &ph, load))
			continue;
		range.end = load->pub.core_end;
		if (range.end > range.start)
			VEC_PUSH(&t->files, range);
		load->pub.end = load->pub.core_end;
		if (load->pub.end > load->pub.start)
			nloads++;
		if (make_bss(t, &ph, &loads[nloads]))
			nloads++;
	}
	ranges_tidy(t->files.v, &t->files.n);
	maps_build(t, loads, nloads);
}

static struct err *open_exec(struct target *t)
{
	Elf64_Ehdr eh;
	const char *slash = strrchr(t->path, '/');
	struct err *err = map_file(t);

	if (err)
		return err;
	target_guard();
	err = check_ident(t);
	if (err)
		return err;
	memcpy(&eh, t->base, sizeof(eh));
	if (eh.e_machine != EM_X86_64 || eh.e_phentsize != sizeof(Elf64_Phdr))
		return err_new(ERR_BADDATA, "not an x86-64 ELF executable");
	t->info.is_exec = true;
	snprintf(t->info.fname, sizeof(t->info.fname), "%s",
		 slash ? slash + 1 : t->path);
	read_segments(t, &eh);
	return NULL;
}

/* the bytes of the file at their offsets */
static struct err *open_raw(struct target *t)
{
	struct err *err = map_file(t);
	struct map_impl map = {0};

	if (err)
		return err;
	target_guard();
	map.pub.end = map.pub.core_end = t->size_bytes;
	map.pub.prot = PF_R;
	map.pub.presence = MAP_IN_CORE;
	map.bytes = t->base;
	VEC_PUSH(&t->maps, map);
	t->info.is_raw = true;
	return NULL;
}

static struct err *open_with(const char *path,
			     struct err *(*open_it)(struct target *t),
			     struct target **ret_target)
{
	struct target *t = mem_zalloc(sizeof(*t));
	struct err *err;

	t->fd = -1;
	t->statm_fd = -1;
	t->path = mem_strdup(path);
	t->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	err = open_it(t);
	if (err) {
		target_close(t);
		return err_prefix(err, "%s", path);
	}
	*ret_target = t;
	return NULL;
}

struct err *target_open_core(const char *path, struct target **ret_target)
{
	return open_with(path, open_core, ret_target);
}

struct err *target_open_raw(const char *path, struct target **ret_target)
{
	return open_with(path, open_raw, ret_target);
}

struct err *target_open_exec(const char *path, struct target **ret_target)
{
	return open_with(path, open_exec, ret_target);
}
