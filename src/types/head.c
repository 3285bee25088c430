/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The headers of an ELF image, from a file or from the target's memory.  Both
 * are untrusted: everything is copied out, counted and bounded.
 */
#include "types/types_impl.h"

#include <string.h>

bool head_read(fetch_fn *fetch, void *arg, struct head *ret)
{
	Elf64_Ehdr eh;
	size_t bytes;
	Elf64_Phdr *ph;

	if (!fetch(arg, 0, &eh, sizeof(eh)) ||
	    memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh.e_ident[EI_DATA] != ELFDATA2LSB || eh.e_machine != EM_X86_64 ||
	    (eh.e_type != ET_EXEC && eh.e_type != ET_DYN) ||
	    eh.e_phentsize != sizeof(Elf64_Phdr) || eh.e_phnum == 0 ||
	    eh.e_phnum > PHDRS_MAX)
		return false;
	bytes = eh.e_phnum * sizeof(*ph);
	ph = mem_alloc(bytes);
	if (!fetch(arg, eh.e_phoff, ph, bytes)) {
		mem_free(ph);
		return false;
	}
	ret->type = eh.e_type;
	ret->entry = eh.e_entry;
	ret->phoff = eh.e_phoff;
	ret->nph = eh.e_phnum;
	ret->ph = ph;
	return true;
}

void head_free(struct head *head)
{
	mem_free(head->ph);
	*head = (struct head){0};
}

bool head_extent(const struct head *head, taddr_t *ret_lo, taddr_t *ret_hi)
{
	taddr_t lo = UINT64_MAX;
	taddr_t hi = 0;
	size_t i;

	for (i = 0; i < head->nph; i++) {
		const Elf64_Phdr *ph = &head->ph[i];
		taddr_t end;

		if (ph->p_type != PT_LOAD || ph->p_memsz == 0)
			continue;
		if (__builtin_add_overflow(ph->p_vaddr, ph->p_memsz, &end) ||
		    end > UINT64_MAX - PAGE_BYTES)
			return false;
		if (ph->p_vaddr < lo)
			lo = ph->p_vaddr;
		if (end > hi)
			hi = end;
	}
	if (lo >= hi)
		return false;
	*ret_lo = lo & ~(taddr_t)(PAGE_BYTES - 1);
	*ret_hi = (hi + PAGE_BYTES - 1) & ~(taddr_t)(PAGE_BYTES - 1);
	return true;
}

const Elf64_Phdr *head_find(const struct head *head, uint32_t type)
{
	size_t i;

	for (i = 0; i < head->nph; i++)
		if (head->ph[i].p_type == type)
			return &head->ph[i];
	return NULL;
}

/* the build-id in a run of notes; 0 none */
static size_t find_build_id(const unsigned char *p, size_t n, size_t align,
			    unsigned char ret[64])
{
	size_t at = 0;

	while (n - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr hdr;
		uint64_t name = at + sizeof(hdr);
		uint64_t desc, end;

		memcpy(&hdr, p + at, sizeof(hdr));
		desc = (name + hdr.n_namesz + align - 1) & ~(align - 1);
		end = desc + hdr.n_descsz;
		if (end > n)
			return 0;
		if (hdr.n_type == NT_GNU_BUILD_ID && hdr.n_namesz == 4 &&
		    memcmp(p + name, "GNU", 4) == 0 && hdr.n_descsz > 0 &&
		    hdr.n_descsz <= 64) {
			memcpy(ret, p + desc, hdr.n_descsz);
			return hdr.n_descsz;
		}
		at = (end + align - 1) & ~(align - 1);
		if (at > n)
			return 0;
	}
	return 0;
}

size_t head_build_id(const struct head *head, fetch_fn *fetch, void *arg,
		     bool by_vaddr, unsigned char ret[64])
{
	enum {
		NOTES_BYTES = 4096
	};
	_free_ unsigned char *buf = mem_alloc(NOTES_BYTES);
	size_t i;

	for (i = 0; i < head->nph; i++) {
		const Elf64_Phdr *ph = &head->ph[i];
		size_t n = ph->p_filesz;

		if (ph->p_type != PT_NOTE || n == 0 || n > NOTES_BYTES ||
		    !fetch(arg, by_vaddr ? ph->p_vaddr : ph->p_offset, buf, n))
			continue;
		n = find_build_id(buf, n, ph->p_align == 8 ? 8 : 4, ret);
		if (n > 0)
			return n;
	}
	return 0;
}

bool head_equal(const struct head *a, const struct head *b)
{
	size_t i;

	if (a->type != b->type || a->entry != b->entry || a->nph != b->nph)
		return false;
	for (i = 0; i < a->nph; i++)
		if (memcmp(&a->ph[i], &b->ph[i], sizeof(a->ph[i])) != 0)
			return false;
	return true;
}
