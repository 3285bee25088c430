/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "pmdb run": which program it is, and whether the loader would preload a
 * library into it.
 *
 * The file is read as the loader will: set-uid and file capabilities make it
 * ignore LD_PRELOAD; without an interpreter there is no loader; one that is not
 * glibc's has no place for libkmem; a sanitizer has taken malloc already.  A
 * file that cannot be read may still be executed: nothing is known of it.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "pmdb/run_impl.h"

#define MAX_INTERPRETERS 4

/* bytes [off, off + len) of an image, or NULL */
static const void *image_at(const struct image *img, uint64_t off, uint64_t len)
{
	if (off > img->size_bytes || len > img->size_bytes - off)
		return NULL;
	return img->bytes + off;
}

/* the program header of a type; or, if vaddr is not 0, the one of that type
 * whose file bytes hold the address */
static const Elf64_Phdr *find_phdr(const struct image *img, uint32_t type,
				   uint64_t vaddr)
{
	const Elf64_Ehdr *eh = image_at(img, 0, sizeof(*eh));

	for (size_t i = 0; eh && i < eh->e_phnum; i++) {
		const Elf64_Phdr *ph = image_at(
			img, eh->e_phoff + i * sizeof(*ph), sizeof(*ph));

		if (!ph)
			return NULL;
		if (ph->p_type == type &&
		    (vaddr == 0 || (vaddr >= ph->p_vaddr &&
				    vaddr - ph->p_vaddr < ph->p_filesz)))
			return ph;
	}
	return NULL;
}

/* a value of the dynamic section: the n-th of a tag, 0 when there is none */
static uint64_t dynamic_value(const struct image *img, int64_t tag, size_t n)
{
	const Elf64_Phdr *ph = find_phdr(img, PT_DYNAMIC, 0);
	const Elf64_Dyn *dyn;

	if (!ph)
		return 0;
	dyn = image_at(img, ph->p_offset, ph->p_filesz);
	for (size_t i = 0; dyn && i < ph->p_filesz / sizeof(*dyn); i++) {
		if (dyn[i].d_tag == DT_NULL)
			break;
		if (dyn[i].d_tag == tag && n-- == 0)
			return dyn[i].d_un.d_val;
	}
	return 0;
}

/* the dynamic string table; sets *size_bytes */
static const char *dynamic_strings(const struct image *img, size_t *size_bytes)
{
	uint64_t vaddr = dynamic_value(img, DT_STRTAB, 0);
	const Elf64_Phdr *ph = vaddr ? find_phdr(img, PT_LOAD, vaddr) : NULL;
	const char *strings;

	*size_bytes = dynamic_value(img, DT_STRSZ, 0);
	if (!ph || *size_bytes == 0)
		return NULL;
	strings = image_at(img, ph->p_offset + (vaddr - ph->p_vaddr),
			   *size_bytes);
	if (strings && strings[*size_bytes - 1] != '\0')
		return NULL;
	return strings;
}

/* which sanitizer replaces malloc in the program, as a reason to refuse it, or
 * NULL */
static const char *sanitizer_of(const struct image *img)
{
	static const struct {
		const char *soname, *symbol, *why;
	} known[] = {
		{"libasan.so", "__asan_init",
		 "built with AddressSanitizer, which has its own malloc"},
		{"liblsan.so", "__lsan_init",
		 "built with LeakSanitizer, which has its own malloc"},
		{"libtsan.so", "__tsan_init",
		 "built with ThreadSanitizer, which has its own malloc"},
		{"libhwasan.so", "__hwasan_init",
		 "built with HWAddressSanitizer, which has its own malloc"},
		{"libmsan.so", "__msan_init",
		 "built with MemorySanitizer, which has its own malloc"},
	};
	size_t size_bytes;
	const char *strings = dynamic_strings(img, &size_bytes);

	/* names of needed objects and of symbols are in the same table */
	for (size_t at = 0; strings && at < size_bytes;
	     at += strlen(strings + at) + 1) {
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			const char *so = known[i].soname;

			if (!strcmp(strings + at, known[i].symbol) ||
			    !strncmp(strings + at, so, strlen(so)))
				return known[i].why;
		}
	}
	return NULL;
}

/* why the loader would not preload libkmem into an ELF file, or NULL */
static const char *refuse_elf(const struct image *img)
{
	const Elf64_Ehdr *eh = image_at(img, 0, sizeof(*eh));
	const Elf64_Phdr *ph;
	const char *interp;
	const char *name;

	if (!eh)
		return "a truncated ELF file";
	if (eh->e_ident[EI_CLASS] == ELFCLASS32)
		return "a 32-bit program; libkmem is 64-bit";
	if (eh->e_ident[EI_DATA] != ELFDATA2LSB || eh->e_machine != EM_X86_64)
		return "a program for another kind of machine";
	if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		return "an ELF file, but not a program";
	if (eh->e_phentsize != sizeof(Elf64_Phdr))
		return "a damaged ELF file";
	ph = find_phdr(img, PT_INTERP, 0);
	if (!ph)
		return "statically linked; libkmem cannot be loaded into it";
	interp = image_at(img, ph->p_offset, ph->p_filesz);
	if (!interp || ph->p_filesz == 0 || interp[ph->p_filesz - 1] != '\0')
		return "a damaged ELF file";
	name = strrchr(interp, '/');
	if (strncmp(name ? name + 1 : interp, "ld-linux", 8) != 0)
		return "not a glibc program; libkmem needs glibc's loader";
	return sanitizer_of(img);
}

/* the interpreter a script names, copied; 0 when it names none */
static int interpreter_of(const struct image *img, char *interp, size_t room)
{
	size_t at = 2;
	size_t n = 0;

	while (at < img->size_bytes &&
	       (img->bytes[at] == ' ' || img->bytes[at] == '\t'))
		at++;
	while (at + n < img->size_bytes &&
	       !strchr(" \t\r\n", img->bytes[at + n]))
		n++;
	if (n == 0 || n >= room)
		return 0;
	memcpy(interp, img->bytes + at, n);
	interp[n] = '\0';
	return 1;
}

int run_image_open(const char *path, struct image *img, struct stat *st)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int err = 0;

	img->bytes = NULL;
	img->size_bytes = 0;
	if (fd < 0)
		return errno;
	if (fstat(fd, st)) {
		err = errno;
	} else if (st->st_size > 0) {
		void *p = mmap(NULL, (size_t)st->st_size, PROT_READ,
			       MAP_PRIVATE, fd, 0);

		if (p == MAP_FAILED) {
			err = errno;
		} else {
			img->bytes = p;
			img->size_bytes = (size_t)st->st_size;
		}
	}
	close(fd);
	return err;
}

void run_image_close(struct image *img)
{
	if (img->bytes)
		munmap((void *)(uintptr_t)img->bytes, img->size_bytes);
}

/* why a program cannot be run under libkmem, or NULL; follows #! to the
 * program that is started in the end */
static const char *refuse(const char *path, unsigned depth)
{
	char interp[PATH_MAX];
	struct image img;
	struct stat st;
	const char *why = NULL;
	int is_elf;

	/* what cannot be read may still be executed: nothing is known of it */
	if (run_image_open(path, &img, &st))
		return NULL;
	is_elf = img.size_bytes >= SELFMAG &&
		 !memcmp(img.bytes, ELFMAG, SELFMAG);
	if (is_elf && (st.st_mode & (S_ISUID | S_ISGID)))
		why = "set-uid or set-gid; the loader ignores LD_PRELOAD in it";
	else if (is_elf && getxattr(path, "security.capability", NULL, 0) > 0)
		why = "has file capabilities; the loader ignores LD_PRELOAD in it";
	else if (is_elf)
		why = refuse_elf(&img);
	else if (img.size_bytes > 2 && !memcmp(img.bytes, "#!", 2) &&
		 depth < MAX_INTERPRETERS &&
		 interpreter_of(&img, interp, sizeof(interp)))
		why = refuse(interp, depth + 1);
	run_image_close(&img);
	return why;
}

const char *run_refuse(const char *path)
{
	return refuse(path, 0);
}

/* as refuse(), for a name that may be a directory or not executable;
 * sets errno when it cannot be executed */
static int can_execute(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return 0;
	if (S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return 0;
	}
	return access(path, X_OK) == 0;
}

int run_find_program(const char *name, char *prog)
{
	const char *path = getenv("PATH");
	int denied = 0;

	if (strchr(name, '/')) {
		if (snprintf(prog, PATH_MAX, "%s", name) < PATH_MAX &&
		    can_execute(prog))
			return 0;
		run_complain(name, "%s", strerror(errno));
		return errno == ENOENT || errno == ENOTDIR ? PMDB_RUN_NOTFOUND
							   : PMDB_RUN_NOEXEC;
	}
	if (!path)
		path = "/bin:/usr/bin";
	for (;;) {
		size_t n = strcspn(path, ":");

		errno = ENOENT;
		if (snprintf(prog, PATH_MAX, "%.*s%s%s", (int)n, path,
			     n ? "/" : "./", name) < PATH_MAX &&
		    can_execute(prog))
			return 0;
		denied |= errno == EACCES;
		if (path[n] == '\0')
			break;
		path += n + 1;
	}
	run_complain(name, "%s",
		     denied ? strerror(EACCES) : "command not found");
	return denied ? PMDB_RUN_NOEXEC : PMDB_RUN_NOTFOUND;
}
