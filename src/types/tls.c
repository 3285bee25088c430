/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Thread-local variables: where a thread has them.
 *
 * The thread pointer fs points behind the blocks that were there from the
 * start, the program's first; later ones hang off the vector at fs + 8.
 *
 *	program:        fs - size of its block (rounded up) + value
 *	other objects:  the loader has left in a slot, for its own code,
 *	                either the distance from fs (R_X86_64_TPOFF64)
 *	                or the index in the vector (R_X86_64_DTPMOD64)
 *
 * An object without such a slot has no thread-local variable that it uses.
 */
#include "types/type_impl.h"
#include "types/types_impl.h"

#include <gelf.h>
#include <string.h>

#define DTV_UNALLOCATED UINT64_MAX

static bool read_u64(const struct types *types, taddr_t at, uint64_t *ret)
{
	struct err *err = target_read_u64(types->target, at, ret);
	bool ok = !err;

	err_free(err);
	return ok;
}

/* the block of a module by its index in the thread's vector */
static bool block_of_module(const struct types *types, taddr_t fs,
			    uint64_t index, taddr_t *ret)
{
	uint64_t dtv = 0;
	taddr_t at;

	return read_u64(types, fs + 8, &dtv) && index < (1u << 20) &&
	       !__builtin_add_overflow(dtv, index * 16, &at) &&
	       read_u64(types, at, ret) && *ret != DTV_UNALLOCATED && *ret != 0;
}

/* the block, from one relocation that the loader has carried out */
static bool block_from_rela(const struct object_impl *obj, taddr_t fs,
			    const GElf_Rela *rela, Elf_Data *syms, taddr_t *ret)
{
	uint64_t slot = 0;
	GElf_Sym sym = {0};
	int index = (int)GELF_R_SYM(rela->r_info);
	unsigned type = (unsigned)GELF_R_TYPE(rela->r_info);

	if (type != R_X86_64_TPOFF64 && type != R_X86_64_DTPMOD64)
		return false;
	/* another object's variable says nothing of this one's block */
	if (index != 0 &&
	    (!syms || !gelf_getsym(syms, index, &sym) || sym.st_shndx == 0))
		return false;
	if (!read_u64(obj->types, obj->pub.bias + rela->r_offset, &slot))
		return false;
	if (type == R_X86_64_DTPMOD64)
		return block_of_module(obj->types, fs, slot, ret);
	*ret = fs + slot - sym.st_value - (uint64_t)rela->r_addend;
	return true;
}

static bool block_from_slots(struct object_impl *obj, taddr_t fs, taddr_t *ret)
{
	Dwfl_Module *mod = object_module(obj);
	GElf_Addr bias = 0;
	Elf *elf = mod ? dwfl_module_getelf(mod, &bias) : NULL;
	Elf_Scn *scn = NULL;

	while (elf && (scn = elf_nextscn(elf, scn)) != NULL) {
		GElf_Shdr sh;
		GElf_Rela rela;
		Elf_Data *data = NULL;
		Elf_Data *syms = NULL;

		if (!gelf_getshdr(scn, &sh) || sh.sh_type != SHT_RELA)
			continue;
		data = elf_getdata(scn, NULL);
		syms = elf_getdata(elf_getscn(elf, sh.sh_link), NULL);
		for (int i = 0; data && gelf_getrela(data, i, &rela); i++)
			if (block_from_rela(obj, fs, &rela, syms, ret))
				return true;
	}
	return false;
}

/* where a thread has an object's thread-local variables */
static bool find_block(struct object_impl *obj, taddr_t fs, taddr_t *ret)
{
	const Elf64_Phdr *ph = head_find(&obj->head, PT_TLS);
	uint64_t align;

	if (!ph)
		return false;
	if (!obj->pub.is_exec)
		return block_from_slots(obj, fs, ret);
	align = ph->p_align > 0 ? ph->p_align : 1;
	if ((align & (align - 1)) || ph->p_memsz > UINT64_MAX - align)
		return false;
	*ret = fs - ((ph->p_memsz + align - 1) & -align);
	return true;
}

static void publish(const struct sym_entry *sym, const struct object_impl *obj,
		    taddr_t block, struct symbol *ret)
{
	*ret = (struct symbol){
		.name = sym->name,
		.value = block + sym->value,
		.size = sym->size,
		.type = STT_TLS,
		.bind = sym->bind,
		.other = sym->other,
		.shndx = sym->shndx,
		.object = &obj->pub,
	};
}

static bool has_block(const struct target_thread *thread)
{
	return thread && thread->has_regs && !thread->regs_partial;
}

bool tls_block(struct object_impl *obj, const struct target_thread *thread,
	       taddr_t *ret)
{
	return has_block(thread) && find_block(obj, thread->regs.fs_base, ret);
}

bool types_tls_symbol(struct types *types, const struct object *object,
		      const struct target_thread *thread, const char *name,
		      struct symbol *ret)
{
	if (!has_block(thread))
		return false;
	for (size_t i = 0; i < types->objects.n; i++) {
		struct object_impl *obj = types->objects.v[i];
		const struct sym_entry *sym = NULL;
		taddr_t block = 0;

		if (object && &obj->pub != object)
			continue;
		/* few objects have any: the others' tables are not read */
		if (!head_find(&obj->head, PT_TLS))
			continue;
		sym = symtab_find_tls(obj, name);
		if (!sym || !find_block(obj, thread->regs.fs_base, &block))
			continue;
		publish(sym, obj, block, ret);
		return true;
	}
	return false;
}

/* what one thread has at addr, of one object */
static bool variable_of(struct object_impl *obj,
			const struct target_thread *thread, taddr_t addr,
			bool is_inside, struct symbol *ret,
			const struct type **ret_type)
{
	const Elf64_Phdr *ph = head_find(&obj->head, PT_TLS);
	const struct sym_entry *sym = NULL;
	taddr_t block = 0;
	Dwarf_Die die, to;

	if (!ph || !find_block(obj, thread->regs.fs_base, &block) ||
	    addr - block >= ph->p_memsz)
		return false;
	sym = symtab_tls_at(obj, addr - block, is_inside);
	if (!sym)
		return false;
	publish(sym, obj, block, ret);
	*ret_type = NULL;
	if (variable_in_block(obj, sym->value, &die))
		*ret_type = type_of_die(obj->types, obj,
					die_type(&die, &to) ? &to : NULL);
	return true;
}

static bool variable_at_any(struct types *types, taddr_t addr, bool is_inside,
			    struct symbol *ret, const struct type **ret_type)
{
	for (size_t i = 0; i < target_nthreads(types->target); i++) {
		const struct target_thread *t = target_thread(types->target, i);

		for (size_t j = 0; has_block(t) && j < types->objects.n; j++)
			if (variable_of(types->objects.v[j], t, addr, is_inside,
					ret, ret_type))
				return true;
	}
	return false;
}

bool types_tls_at(struct types *types, taddr_t addr, struct symbol *ret,
		  const struct type **ret_type)
{
	return variable_at_any(types, addr, false, ret, ret_type);
}

bool types_tls_around(struct types *types, taddr_t addr, struct symbol *ret,
		      const struct type **ret_type)
{
	return variable_at_any(types, addr, true, ret, ret_type);
}

struct err *types_tls_blocks(struct types *types,
			     const struct target_thread *thread,
			     tls_block_fn *fn, void *arg)
{
	struct err *err = NULL;

	for (size_t i = 0; has_block(thread) && !err && i < types->objects.n;
	     i++) {
		struct object_impl *obj = types->objects.v[i];
		const Elf64_Phdr *ph = head_find(&obj->head, PT_TLS);
		taddr_t block = 0;

		if (ph && find_block(obj, thread->regs.fs_base, &block) &&
		    block + ph->p_memsz > block)
			err = fn(arg, &obj->pub, block, block + ph->p_memsz);
	}
	return err;
}
