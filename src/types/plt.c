/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names for the procedure linkage table: calls of other objects go through an
 * entry that jumps to where a slot points, and no symbol names the entry.
 *
 *	.plt .plt.sec .plt.got     jmpq *slot(%rip)
 *	.rela.plt .rela.dyn        slot: symbol
 *
 * The entries are read from the file, so that a slot that was filled in, or
 * damaged, makes no difference.  Entries have 16 bytes, or 8 in .plt.got.
 */
#include "types/types_impl.h"

#include <gelf.h>
#include <string.h>

/* slot -> index of its symbol, + 1 */
static void add_relocs(Elf_Scn *scn, struct hash *slots)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	GElf_Rela rela;

	for (int i = 0; data && gelf_getrela(data, i, &rela); i++) {
		unsigned type = (unsigned)GELF_R_TYPE(rela.r_info);

		if (type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT)
			*hash_put(slots, rela.r_offset, NULL) =
				GELF_R_SYM(rela.r_info) + 1;
	}
}

/* where the slot is that an entry jumps through; false: it does not */
static bool find_slot(const unsigned char *entry, size_t n, taddr_t at,
		      taddr_t *ret)
{
	for (size_t i = 0; i + 6 <= n; i++) {
		int32_t disp = 0;

		if (entry[i] != 0xff || entry[i + 1] != 0x25)
			continue;
		memcpy(&disp, entry + i + 2, sizeof(disp));
		*ret = at + i + 6 + (uint64_t)(int64_t)disp;
		return true;
	}
	return false;
}

/* what the entries of one section are found with */
struct plt {
	struct symtab *tab;
	const struct hash *slots;
	Elf *elf;
	Elf_Data *syms; /* of .dynsym */
	size_t strings; /* section with their names */
	GElf_Addr bias;
};

static void add_entry(const struct plt *p, taddr_t at, uint64_t size,
		      uint64_t index, size_t shndx)
{
	struct sym_entry entry = {
		.value = at + p->bias,
		.size = size,
		.shndx = (uint16_t)shndx,
		.type = STT_FUNC,
		.bind = STB_LOCAL,
	};
	const char *name = NULL;
	char *label = NULL;
	GElf_Sym sym;

	if (gelf_getsym(p->syms, (int)index, &sym))
		name = elf_strptr(p->elf, p->strings, sym.st_name);
	if (!name || name[0] == '\0')
		return;
	label = mem_printf("PLT=%s", name);
	VEC_PUSH(&p->tab->names, label);
	entry.name = label;
	VEC_PUSH(&p->tab->by_addr, entry);
}

static void add_section(const struct plt *p, Elf_Scn *scn, const GElf_Shdr *sh)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t size = sh->sh_entsize == 8 ? 8 : 16;

	if (!data || !data->d_buf)
		return;
	for (size_t at = 0; at + size <= data->d_size; at += size) {
		const unsigned char *code = data->d_buf;
		taddr_t slot = 0;
		uint64_t *index = NULL;

		if (find_slot(code + at, size, sh->sh_addr + at, &slot))
			index = hash_get(p->slots, slot);
		if (index)
			add_entry(p, sh->sh_addr + at, size, *index - 1,
				  elf_ndxscn(scn));
	}
}

/* the next section of a type, or NULL */
static Elf_Scn *next_of(Elf *elf, Elf_Scn *scn, GElf_Word type, GElf_Shdr *ret)
{
	while ((scn = elf_nextscn(elf, scn)) != NULL)
		if (gelf_getshdr(scn, ret) && ret->sh_type == type)
			return scn;
	return NULL;
}

void symtab_add_plt(struct object_impl *obj, struct symtab *tab)
{
	struct plt p = {.tab = tab};
	struct hash slots;
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;
	size_t names = 0;

	p.elf = obj->mod ? dwfl_module_getelf(obj->mod, &p.bias) : NULL;
	if (!p.elf || elf_getshdrstrndx(p.elf, &names))
		return;
	scn = next_of(p.elf, NULL, SHT_DYNSYM, &sh);
	if (!scn)
		return;
	p.syms = elf_getdata(scn, NULL);
	p.strings = sh.sh_link;
	hash_init(&slots);
	p.slots = &slots;
	for (scn = NULL; (scn = next_of(p.elf, scn, SHT_RELA, &sh));)
		add_relocs(scn, &slots);
	for (scn = NULL; (scn = next_of(p.elf, scn, SHT_PROGBITS, &sh));) {
		const char *name = elf_strptr(p.elf, names, sh.sh_name);

		if (name && p.syms && !strncmp(name, ".plt", 4))
			add_section(&p, scn, &sh);
	}
	hash_fini(&slots);
}
