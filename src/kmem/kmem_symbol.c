/* SPDX-License-Identifier: MIT */
/*
 * What an address is, for a report: object, symbol and offset of code, or the
 * place a pointer that is not of the heap points to.
 *
 * dladdr() and dl_iterate_phdr() take locks, and know no symbol that is not
 * exported.  So the object is found in /proc/self/maps and its symbol table in
 * its file, by system calls, into static memory.  Nothing here can fail: what is
 * not found is printed as object+0xoffset or as a number, which addr2line
 * understands.  A file that is not the one that was loaded (its header differs
 * from the one in memory) is not asked.
 *
 * Everything is done under kmem_report_lock.
 */
#define _GNU_SOURCE
#include "kmem_internal.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME_MAX_BYTES 256
#define SECTIONS_MAX   10000
#define SYMBOLS_TURN   128
#define SYMBOLS_MAX    ((uint64_t)4 << 20)

/* a line of /proc/self/maps; its name is left in scratch.path */
struct map_line {
	uintptr_t start, end;
	uintptr_t base; /* where the object of that name begins, 0 none */
	int is_found;
	int has_path;
};

/* all of it under kmem_report_lock */
static struct {
	int fd;
	size_t used, filled;
	char buf[1024];
	char line[PATH_MAX + 128];
	char path[PATH_MAX];
	char name[NAME_MAX_BYTES];
	Elf64_Sym sym[SYMBOLS_TURN];
} scratch;

/* ---- mappings ---- */

static int read_char(void)
{
	if (scratch.used == scratch.filled) {
		long n = syscall(SYS_read, scratch.fd, scratch.buf,
				 sizeof(scratch.buf));

		if (n <= 0)
			return -1;
		scratch.filled = (size_t)n;
		scratch.used = 0;
	}
	return (unsigned char)scratch.buf[scratch.used++];
}

static int read_line(void)
{
	size_t n = 0;
	int c;

	while ((c = read_char()) >= 0 && c != '\n')
		if (n + 1 < sizeof(scratch.line))
			scratch.line[n++] = (char)c;
	scratch.line[n] = '\0';
	return c >= 0;
}

static const char *read_hex(const char *s, uintptr_t *ret)
{
	uintptr_t n = 0;

	for (;; s++) {
		if (*s >= '0' && *s <= '9')
			n = n << 4 | (uintptr_t)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			n = n << 4 | (uintptr_t)(*s - 'a' + 10);
		else
			break;
	}
	*ret = n;
	return s;
}

/**
 * Reads "start-end perms offset dev inode  path".  The object's base is that of
 * its first mapping; memory without a name right behind it is its .bss.
 */
static void parse_map(struct map_line *map)
{
	uintptr_t last = map->end;
	const char *s = read_hex(scratch.line, &map->start);
	const char *path = strchr(scratch.line, '/');
	uintptr_t offset = 0;

	if (!path)
		path = strchr(scratch.line, '[');
	s = read_hex(*s ? s + 1 : s, &map->end);
	s = strchr(*s ? s + 1 : s, ' '); /* behind the permissions */
	if (s)
		(void)read_hex(s + 1, &offset);
	if (!path && map->start == last && map->base)
		return;
	if (!path || *path != '/' || offset == 0)
		map->base = path && *path == '/' ? map->start : 0;
	map->has_path = path != NULL;
	if (path)
		(void)kmem_format(scratch.path, sizeof(scratch.path), "%s",
				  path);
}

/** The mapping that holds an address; is_found says whether there is one. */
static struct map_line find_map(uintptr_t at)
{
	struct map_line map = {0};

	scratch.fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/maps",
				  O_RDONLY | O_CLOEXEC);
	scratch.used = scratch.filled = 0;
	while (scratch.fd >= 0 && !map.is_found && read_line()) {
		parse_map(&map);
		map.is_found = at >= map.start && at < map.end;
	}
	if (scratch.fd >= 0)
		(void)syscall(SYS_close, scratch.fd);
	return map;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* ---- symbols ---- */

static int read_at(int fd, void *buf, size_t bytes, uint64_t offset)
{
	return syscall(SYS_pread64, fd, buf, bytes, offset) == (long)bytes;
}

/** The better of two symbol tables of a file; 0: it has none. */
static int find_table(int fd, const Elf64_Ehdr *ehdr, Elf64_Shdr *ret_table,
		      Elf64_Shdr *ret_strings)
{
	Elf64_Shdr sh;
	int has_one = 0;

	if (ehdr->e_shentsize != sizeof(sh) || ehdr->e_shnum > SECTIONS_MAX)
		return 0;
	for (unsigned i = 0; i < ehdr->e_shnum; i++) {
		if (!read_at(fd, &sh, sizeof(sh),
			     ehdr->e_shoff + i * sizeof(sh)))
			return 0;
		if (sh.sh_type == SHT_SYMTAB ||
		    (sh.sh_type == SHT_DYNSYM && !has_one)) {
			*ret_table = sh;
			has_one = 1;
		}
	}
	return has_one && ret_table->sh_link < ehdr->e_shnum &&
	       read_at(fd, ret_strings, sizeof(*ret_strings),
		       ehdr->e_shoff + ret_table->sh_link * sizeof(sh));
}

/** Does a symbol cover an address, and better than another that does? */
static int is_better(const Elf64_Sym *sym, uint64_t at, const Elf64_Sym *best)
{
	unsigned type = ELF64_ST_TYPE(sym->st_info);

	if (sym->st_shndx == SHN_UNDEF || at < sym->st_value ||
	    at - sym->st_value >= sym->st_size ||
	    (type != STT_FUNC && type != STT_OBJECT && type != STT_GNU_IFUNC))
		return 0;
	return best->st_size == 0 ||
	       (sym->st_value == best->st_value &&
		ELF64_ST_BIND(best->st_info) == STB_LOCAL &&
		ELF64_ST_BIND(sym->st_info) != STB_LOCAL);
}

/** Looks an address of the file up; 0: no symbol covers it. */
static int search_table(int fd, const Elf64_Shdr *table, uint64_t at,
			Elf64_Sym *ret)
{
	uint64_t total = table->sh_size / sizeof(Elf64_Sym);

	ret->st_size = 0;
	for (uint64_t i = 0; i < total && i < SYMBOLS_MAX; i += SYMBOLS_TURN) {
		size_t n = total - i < SYMBOLS_TURN ? total - i : SYMBOLS_TURN;

		if (!read_at(fd, scratch.sym, n * sizeof(Elf64_Sym),
			     table->sh_offset + i * sizeof(Elf64_Sym)))
			break;
		for (size_t k = 0; k < n; k++)
			if (is_better(&scratch.sym[k], at, ret))
				*ret = scratch.sym[k];
	}
	return ret->st_size != 0;
}

/** Leaves the name of the symbol at an address of a file in scratch.name and
 * returns the distance from it, or -1. */
static long find_symbol(int fd, const void *base, uint64_t at)
{
	Elf64_Shdr table = {0};
	Elf64_Shdr strings = {0};
	Elf64_Ehdr ehdr;
	Elf64_Sym sym;
	long n;

	if (!read_at(fd, &ehdr, sizeof(ehdr), 0) ||
	    memcmp(&ehdr, base, sizeof(ehdr)) != 0 ||
	    !find_table(fd, &ehdr, &table, &strings) ||
	    !search_table(fd, &table, at, &sym))
		return -1;
	n = syscall(SYS_pread64, fd, scratch.name, NAME_MAX_BYTES - 1,
		    strings.sh_offset + sym.st_name);
	if (n <= 0)
		return -1;
	scratch.name[n] = '\0';
	return (long)(at - sym.st_value);
}

/** Where an object is loaded: what to take off an address of it. */
static uintptr_t load_base(uintptr_t start)
{
	const Elf64_Ehdr *ehdr = (const void *)start;

	if (memcmp(ehdr->e_ident, ELFMAG, SELFMAG) != 0 ||
	    ehdr->e_type == ET_EXEC)
		return 0;
	return start;
}

/**
 * Prints object`symbol+0xn, or object+0xoffset.
 *
 * @at:  what is looked up; @shown, not far from it, is what is printed
 *
 * Returns the offset in the object if a symbol was printed instead, else 0.
 */
static uintptr_t report_symbol(const struct map_line *map, uintptr_t at,
			       uintptr_t shown)
{
	uintptr_t bias = load_base(map->base);
	long distance = -1;
	int fd;

	fd = (int)syscall(SYS_openat, AT_FDCWD, scratch.path,
			  O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		distance = find_symbol(fd, (const void *)map->base, at - bias);
		(void)syscall(SYS_close, fd);
	}
	if (distance < 0) {
		kmem_report("%s+0x%lx", base_name(scratch.path), shown - bias);
		return 0;
	}
	kmem_report("%s`%s+0x%lx", base_name(scratch.path), scratch.name,
		    (unsigned long)distance + (shown - at));
	return shown - bias;
}

void kmem_report_pc(uintptr_t pc)
{
	/* a return address may be the first byte behind a function */
	struct map_line map = find_map(pc - 1);
	uintptr_t offset = 0;

	kmem_report("    ");
	if (map.is_found && map.base)
		offset = report_symbol(&map, pc - 1, pc);
	else
		kmem_report("%p", (void *)pc);
	if (offset)
		kmem_report(" [0x%lx]", offset); /* for addr2line */
	kmem_report("\n");
}

void kmem_report_place(const void *p)
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
	struct map_line map = find_map((uintptr_t)p);

	kmem_report("address %p is ", p);
	if (!map.is_found) {
		kmem_report("not mapped\n");
	} else if (frame >= map.start && frame < map.end) {
		kmem_report("on the stack of this thread\n");
	} else if (map.base) {
		kmem_report("in ");
		(void)report_symbol(&map, (uintptr_t)p, (uintptr_t)p);
		kmem_report("\n");
	} else if (map.has_path) {
		kmem_report("in %s\n", base_name(scratch.path));
	} else {
		kmem_report("in memory without a name\n");
	}
}
