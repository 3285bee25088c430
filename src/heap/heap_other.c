/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Allocators that are known, but not understood: a process with one of them
 * gets no verdict, and is told its name.  To look at what glibc's malloc has
 * there would find nothing, which is not "clean".
 *
 * A library is known by its name, since it takes malloc over when it is loaded;
 * one that is linked into the program by a symbol only it has.  A library that
 * has an allocator for its own use does not take malloc over, so that symbols
 * of libraries are not looked at.
 */
#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "heap/heap_impl.h"

static const struct {
	const char *name;
	const char *object; /* its name begins so; NULL: there is none */
	const char *symbol; /* of the program; NULL: there is none */
} others[] = {
	{"jemalloc", "libjemalloc.", "mallctl"},
	{"jemalloc", NULL, "je_mallctl"},
	{"jemalloc", NULL, "_rjem_mallctl"},
	{"mimalloc", "libmimalloc", "mi_malloc"},
	{"tcmalloc", "libtcmalloc", "tc_malloc"},
	{"tcmalloc", NULL, "TCMallocInternalMalloc"},
	{"musl's malloc", "ld-musl-", "__libc_malloc_impl"},
	{"musl's malloc", "libc.musl-", NULL},
	{"snmalloc", "libsnmalloc", NULL},
	{"Hoard", "libhoard", NULL},
	{"Scudo", "libclang_rt.scudo", NULL},
	{"Electric Fence", "libefence.", NULL},
	{"DUMA", "libduma.", NULL},
	{"AddressSanitizer", "libasan.", "__asan_init"},
	{"AddressSanitizer", "libclang_rt.asan", NULL},
	{"ThreadSanitizer", "libtsan.", "__tsan_init"},
	{"MemorySanitizer", NULL, "__msan_init"},
	{"LeakSanitizer", "liblsan.", "__lsan_init"},
	{"valgrind", "vgpreload_", NULL},
	{"the Go runtime", NULL, "runtime.mallocgc"},
};

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static const struct object *exec_of(const struct types *types)
{
	for (size_t i = 0; i < types_nobjects(types); i++)
		if (types_object(types, i)->is_exec)
			return types_object(types, i);
	return NULL;
}

/* the name of the allocator an object is, or NULL */
static const char *by_name(const struct object *obj)
{
	/* glibc's has a number: libc.so.6 */
	if (strcmp(obj->name, "libc.so") == 0)
		return "musl's malloc";
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (others[i].object && begins(obj->name, others[i].object))
			return others[i].name;
	return NULL;
}

static const char *by_symbol(struct types *types, const struct object *exec)
{
	struct symbol sym;

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (others[i].symbol &&
		    types_symbol_named(types, exec, others[i].symbol, &sym) &&
		    sym.shndx != SHN_UNDEF)
			return others[i].name;
	return NULL;
}

static char *sentence(const char *name, const struct object *obj)
{
	return mem_printf("its malloc is %s (%s), which is not yet supported: "
			  "nothing is known of its buffers",
			  name, obj->name);
}

/* a program started by way of the loader looks the same to the kernel */
static bool is_static(const struct target *t, const struct types *types)
{
	uint64_t base = 0; /* where the kernel put the loader */

	if (!target_auxv(t, AT_BASE, &base) || base != 0)
		return false;
	for (size_t i = 0; types && i < types_nobjects(types); i++)
		if (begins(types_object(types, i)->name, "libc."))
			return false;
	return true;
}

char *heap_other(const struct target *t, struct types *types)
{
	const struct object *exec = types ? exec_of(types) : NULL;
	const char *name = NULL;
	struct symbol sym;

	for (size_t i = 0; types && i < types_nobjects(types); i++) {
		const struct object *obj = types_object(types, i);

		name = by_name(obj);
		if (name)
			return sentence(name, obj);
	}
	name = exec ? by_symbol(types, exec) : NULL;
	if (name)
		return sentence(name, exec);
	/* its brk area holds more than malloc's chunks, and its malloc may be
	 * anybody's */
	if (is_static(t, types))
		return mem_printf("a statically linked program (%s), %s: not "
				  "supported, nothing is known of its buffers",
				  exec ? exec->name : target_info(t)->fname,
				  exec && types_symbol_named(types, exec,
							     "main_arena", &sym)
					  ? "which has glibc's malloc in it"
					  : "whose allocator is not known");
	return NULL;
}

/* writable memory of the process, and how much of it the dump has */
static void count_memory(const struct target *t, uint64_t *ret_all,
			 uint64_t *ret_there)
{
	*ret_all = *ret_there = 0;
	for (size_t i = 0; i < target_nmaps(t); i++) {
		const struct target_map *map = target_map(t, i);

		if (!(map->prot & PF_W))
			continue;
		*ret_all += map->end - map->start;
		*ret_there += map->core_end - map->start;
	}
}

char *heap_shape(const struct target *t)
{
	uint64_t all = 0;
	uint64_t there = 0;

	count_memory(t, &all, &there);
	if (all == 0 || there >= all / 2)
		return NULL;
	return mem_printf("%" PRIu64 " of the %" PRIu64
			  " bytes the process could write are not in the dump "
			  "(see coredump_filter in core(5))",
			  all - there, all);
}
