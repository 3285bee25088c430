/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Packages of split DWARF: PROGRAM.dwp holds what were many .dwo files.
 *
 * libdw knows .dwo files, but not packages.  A package is an ELF file whose
 * .debug_cu_index says for each unit, by the id its skeleton has, which part of
 * each section is its own:
 *
 *	version, columns, units, slots
 *	slots x id                  a hash table of ids
 *	slots x row                 of each the row, from 1; 0: empty
 *	columns x section           which section a column is about
 *	units x columns x offset
 *	units x columns x size
 *
 * So a unit is cut out when it is first asked for, into an ELF image that looks
 * like the .dwo it was; libdw reads that.  What it cannot know then is its
 * skeleton, whose .debug_addr numbers refer to: see dwp_address().
 *
 * The id is the check of the build: a unit of another one has another id.
 * Version 2 (GNU, DWARF 4) and version 5 differ in the names of sections only.
 */
#include "types/types_impl.h"

#include <dwarf.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	COLUMNS_MAX = 8,
	SECTIONS_MAX = 10, /* of an image: those, strings, names */
	UNITS_MAX = 1 << 20,
};

/* by the numbers of .debug_cu_index; 0 and what is not needed: NULL */
static const char *const sections_v2[] = {
	NULL,
	".debug_info.dwo",
	NULL,
	".debug_abbrev.dwo",
	".debug_line.dwo",
	".debug_loc.dwo",
	".debug_str_offsets.dwo",
};
static const char *const sections_v5[] = {
	NULL,
	".debug_info.dwo",
	NULL,
	".debug_abbrev.dwo",
	".debug_line.dwo",
	".debug_loclists.dwo",
	".debug_str_offsets.dwo",
	NULL,
	".debug_rnglists.dwo",
};

struct part {
	const char *name;
	const unsigned char *bytes;
	size_t n;
};

struct unit {
	uint64_t id;
	unsigned char *image; /* owned */
	Elf *elf;
	Dwarf *dwarf; /* NULL: it cannot be read */
	Dwarf *skeleton_dwarf;
	uint64_t addr_base;
};

struct dwp {
	int fd;
	Elf *elf;
	const unsigned char *index;
	size_t index_bytes;
	uint32_t version, ncolumns, nunits, nslots;
	VEC(struct unit) units;
};

/* ---- reading the package ------------------------------------------------- */

static uint32_t word(const unsigned char *p)
{
	uint32_t n;

	memcpy(&n, p, sizeof(n));
	return n;
}

static bool section(Elf *elf, const char *name, struct part *ret)
{
	Elf_Scn *scn = NULL;
	size_t strings;

	if (elf_getshdrstrndx(elf, &strings) != 0)
		return false;
	while ((scn = elf_nextscn(elf, scn)) != NULL) {
		GElf_Shdr mem;
		GElf_Shdr *sh = gelf_getshdr(scn, &mem);
		const char *is =
			sh ? elf_strptr(elf, strings, sh->sh_name) : NULL;
		Elf_Data *data;

		if (!is || strcmp(is, name) != 0 ||
		    (sh->sh_flags & SHF_COMPRESSED))
			continue;
		data = elf_rawdata(scn, NULL);
		if (!data || !data->d_buf)
			return false;
		*ret = (struct part){name, data->d_buf, data->d_size};
		return true;
	}
	return false;
}

/* where the tables of the index are; the header was checked */
static const unsigned char *rows_of_slots(const struct dwp *dwp)
{
	return dwp->index + 16 + 8 * (size_t)dwp->nslots;
}

static const unsigned char *columns(const struct dwp *dwp)
{
	return rows_of_slots(dwp) + 4 * (size_t)dwp->nslots;
}

static const unsigned char *cell(const struct dwp *dwp, bool is_size,
				 uint32_t row, uint32_t column)
{
	size_t table = 4 * (size_t)dwp->nunits * dwp->ncolumns;

	return columns(dwp) + 4 * (size_t)dwp->ncolumns +
	       (is_size ? table : 0) +
	       4 * ((size_t)(row - 1) * dwp->ncolumns + column);
}

static bool read_index(struct dwp *dwp)
{
	struct part index;

	if (!section(dwp->elf, ".debug_cu_index", &index) || index.n < 16)
		return false;
	dwp->index = index.bytes;
	dwp->index_bytes = index.n;
	dwp->version = word(index.bytes) & 0xffff; /* 2 has 4 bytes, 5 has 2 */
	dwp->ncolumns = word(index.bytes + 4);
	dwp->nunits = word(index.bytes + 8);
	dwp->nslots = word(index.bytes + 12);
	return (dwp->version == 2 || dwp->version == 5) &&
	       dwp->ncolumns <= COLUMNS_MAX && dwp->nunits <= UNITS_MAX &&
	       dwp->nslots <= 4 * UNITS_MAX &&
	       16 + 12 * (size_t)dwp->nslots + 4 * (size_t)dwp->ncolumns +
			       8 * (size_t)dwp->nunits * dwp->ncolumns <=
		       index.n;
}

static struct dwp *dwp_open(const char *path)
{
	struct dwp *dwp = mem_zalloc(sizeof(*dwp));

	dwp->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (dwp->fd >= 0)
		dwp->elf = elf_begin(dwp->fd, ELF_C_READ_MMAP, NULL);
	if (dwp->elf && read_index(dwp))
		return dwp;
	dwp_close(dwp);
	return NULL;
}

void dwp_close(struct dwp *dwp)
{
	if (!dwp)
		return;
	for (size_t i = 0; i < dwp->units.n; i++) {
		if (dwp->units.v[i].dwarf)
			(void)dwarf_end(dwp->units.v[i].dwarf);
		if (dwp->units.v[i].elf)
			(void)elf_end(dwp->units.v[i].elf);
		mem_free(dwp->units.v[i].image);
	}
	VEC_FREE(&dwp->units);
	if (dwp->elf)
		(void)elf_end(dwp->elf);
	if (dwp->fd >= 0)
		(void)close(dwp->fd);
	mem_free(dwp);
}

/* beside the debug information, or the object */
static struct dwp *dwp_of(struct object_impl *obj)
{
	const char *const beside[] = {obj->debug_file, obj->file};

	if (obj->has_looked_dwp)
		return obj->dwp;
	obj->has_looked_dwp = true;
	for (size_t i = 0; i < 2 && !obj->dwp; i++) {
		_free_ char *path =
			beside[i] ? mem_printf("%s.dwp", beside[i]) : NULL;

		if (path)
			obj->dwp = dwp_open(path);
	}
	return obj->dwp;
}

/* ---- cutting a unit out -------------------------------------------------- */

/* the row of a unit; 0: it is not in the package */
static uint32_t find_row(const struct dwp *dwp, uint64_t id)
{
	for (uint32_t i = 0; i < dwp->nslots; i++) {
		uint32_t row = word(rows_of_slots(dwp) + 4 * (size_t)i);
		uint64_t is;

		memcpy(&is, dwp->index + 16 + 8 * (size_t)i, sizeof(is));
		if (row != 0 && is == id)
			return row <= dwp->nunits ? row : 0;
	}
	return 0;
}

static const char *column_name(const struct dwp *dwp, uint32_t column)
{
	uint32_t id = word(columns(dwp) + 4 * (size_t)column);

	if (dwp->version == 2)
		return id < sizeof(sections_v2) / sizeof(*sections_v2)
			       ? sections_v2[id]
			       : NULL;
	return id < sizeof(sections_v5) / sizeof(*sections_v5) ? sections_v5[id]
							       : NULL;
}

/* its parts of the sections, and all strings */
static size_t find_parts(const struct dwp *dwp, uint32_t row,
			 struct part parts[SECTIONS_MAX])
{
	size_t n = 0;

	for (uint32_t i = 0; i < dwp->ncolumns; i++) {
		const char *name = column_name(dwp, i);
		uint32_t off = word(cell(dwp, false, row, i));
		uint32_t size = word(cell(dwp, true, row, i));
		struct part whole;

		if (!name || size == 0 || !section(dwp->elf, name, &whole) ||
		    off > whole.n || size > whole.n - off)
			continue;
		parts[n++] = (struct part){name, whole.bytes + off, size};
	}
	if (section(dwp->elf, ".debug_str.dwo", &parts[n]))
		n++;
	return n;
}

/* header, bytes of each part, names, section headers */
static unsigned char *make_image(const struct part *parts, size_t n,
				 size_t *ret_n)
{
	Elf64_Shdr sh[SECTIONS_MAX + 2] = {0};
	Elf64_Ehdr eh = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
			    ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_REL,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_ehsize = sizeof(eh),
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = (Elf64_Half)(n + 2),
		.e_shstrndx = (Elf64_Half)(n + 1),
	};
	struct strbuf names = {0};
	struct strbuf out = {0};

	strbuf_putc(&names, '\0');
	strbuf_add(&out, (const char *)&eh, sizeof(eh));
	for (size_t i = 0; i < n; i++) {
		sh[i + 1] = (Elf64_Shdr){
			.sh_name = (Elf64_Word)names.n,
			.sh_type = SHT_PROGBITS,
			.sh_offset = out.n,
			.sh_size = parts[i].n,
			.sh_addralign = 1,
		};
		strbuf_add(&names, parts[i].name, strlen(parts[i].name) + 1);
		strbuf_add(&out, (const char *)parts[i].bytes, parts[i].n);
	}
	sh[n + 1] = (Elf64_Shdr){
		.sh_name = (Elf64_Word)names.n,
		.sh_type = SHT_STRTAB,
		.sh_offset = out.n,
		.sh_addralign = 1,
	};
	strbuf_add(&names, ".shstrtab", sizeof(".shstrtab"));
	sh[n + 1].sh_size = names.n;
	strbuf_add(&out, names.s, names.n);
	while (out.n % sizeof(uint64_t))
		strbuf_putc(&out, '\0');
	eh.e_shoff = out.n;
	strbuf_add(&out, (const char *)sh, (n + 2) * sizeof(*sh));
	memcpy(out.s, &eh, sizeof(eh));
	strbuf_free(&names);
	*ret_n = out.n;
	return (unsigned char *)out.s;
}

static struct unit *cut_out(struct dwp *dwp, uint64_t id)
{
	struct part parts[SECTIONS_MAX];
	struct unit unit = {.id = id};
	uint32_t row = find_row(dwp, id);
	size_t n = row ? find_parts(dwp, row, parts) : 0;
	size_t image_bytes;

	if (n > 0) {
		unit.image = make_image(parts, n, &image_bytes);
		unit.elf = elf_memory((char *)unit.image, image_bytes);
	}
	if (unit.elf)
		unit.dwarf = dwarf_begin_elf(unit.elf, DWARF_C_READ, NULL);
	VEC_PUSH(&dwp->units, unit);
	return &dwp->units.v[dwp->units.n - 1];
}

bool dwp_unit(struct object_impl *obj, Dwarf_Die *skeleton, uint64_t id,
	      Dwarf_Die *ret)
{
	struct dwp *dwp = dwp_of(obj);
	struct unit *unit = NULL;
	Dwarf_Attribute attr;
	Dwarf_CU *cu = NULL;

	for (size_t i = 0; dwp && i < dwp->units.n; i++)
		if (dwp->units.v[i].id == id)
			unit = &dwp->units.v[i];
	if (dwp && !unit) {
		unit = cut_out(dwp, id);
		unit->skeleton_dwarf = dwarf_cu_getdwarf(skeleton->cu);
		if (dwarf_attr(skeleton, DW_AT_addr_base, &attr) ||
		    dwarf_attr(skeleton, DW_AT_GNU_addr_base, &attr))
			(void)dwarf_formudata(&attr, &unit->addr_base);
	}
	return unit && unit->dwarf &&
	       dwarf_get_units(unit->dwarf, NULL, &cu, NULL, NULL, ret, NULL) ==
		       0;
}

bool dwp_address(struct object_impl *obj, Dwarf_Die *die, uint64_t number,
		 Dwarf_Addr *ret)
{
	Dwarf *dwarf = dwarf_cu_getdwarf(die->cu);
	struct part addrs;

	for (size_t i = 0; obj->dwp && i < obj->dwp->units.n; i++) {
		const struct unit *unit = &obj->dwp->units.v[i];

		if (unit->dwarf != dwarf || !unit->skeleton_dwarf)
			continue;
		if (!section(dwarf_getelf(unit->skeleton_dwarf), ".debug_addr",
			     &addrs) ||
		    unit->addr_base > addrs.n ||
		    number >= (addrs.n - unit->addr_base) / sizeof(*ret))
			return false;
		memcpy(ret,
		       addrs.bytes + unit->addr_base + number * sizeof(*ret),
		       sizeof(*ret));
		return true;
	}
	return false;
}
