/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernel's page, and one that is linked at another address than 0, as
 * gVisor's is. */
#define _GNU_SOURCE
#include "check.h"

#include <elf.h>
#include <sys/auxv.h>

#include "kmem_short.h"

#define LINKED_AT ((uintptr_t)0xffffffffff700000)
#define PAGES     8192

extern char **environ;

static char page[PAGES] __attribute__((aligned(4096)));
static uintptr_t the_clock;

static unsigned long find_aux(unsigned long type)
{
	char **env = environ;
	const Elf64_auxv_t *aux;

	while (*env)
		env++;
	for (aux = (const void *)(env + 1); aux->a_type != AT_NULL; aux++)
		if (aux->a_type == type)
			return aux->a_un.a_val;
	return 0;
}

/** The section of the page, its addresses moved. */
static void move_dynamic(Elf64_Dyn *dyn, uintptr_t real)
{
	Elf64_Sym *sym = NULL;
	const char *names = NULL;

	for (; dyn->d_tag != DT_NULL; dyn++) {
		if (dyn->d_tag == DT_SYMTAB)
			sym = (void *)(page + dyn->d_un.d_ptr);
		else if (dyn->d_tag == DT_STRTAB)
			names = page + dyn->d_un.d_ptr;
		else
			continue;
		dyn->d_un.d_ptr += LINKED_AT;
	}
	for (; sym && (const char *)(sym + 1) <= names; sym++) {
		if (sym->st_shndx == SHN_UNDEF)
			continue;
		if (strcmp(names + sym->st_name, "__vdso_clock_gettime") == 0)
			the_clock = real + sym->st_value;
		/* the code stays where it is */
		sym->st_value += real - (uintptr_t)page + LINKED_AT;
	}
}

/** A copy of the kernel's page, linked at another address. */
static unsigned long moved_page(void)
{
	const char *real = (const char *)find_aux(AT_SYSINFO_EHDR);
	const Elf64_Ehdr *head = (const void *)page;
	Elf64_Phdr *ph;

	if (!real)
		return 0;
	if (page[0])
		return (unsigned long)page;
	for (size_t i = 0; i < sizeof(page); i++)
		page[i] = real[i];
	ph = (void *)(page + head->e_phoff);
	for (int i = 0; i < head->e_phnum; i++) {
		ph[i].p_vaddr += LINKED_AT;
		if (ph[i].p_type == PT_DYNAMIC)
			move_dynamic((void *)(page + ph[i].p_offset),
				     (uintptr_t)real);
	}
	return (unsigned long)page;
}

/** libc's, for the library. */
unsigned long getauxval(unsigned long type)
{
	return type == AT_SYSINFO_EHDR ? moved_page() : find_aux(type);
}

static void a_page_linked_elsewhere_is_read(void **state)
{
	struct timespec ts = {0, 0}, libc = {0, 0};

	(void)state;
	kmem_free_impl(kmem_malloc_impl(100, 0, KMEM_KIND_MALLOC),
		       KMEM_KIND_MALLOC);
	if (!find_aux(AT_SYSINFO_EHDR))
		skip();
	assert_true(the_clock != 0);
	assert_int_equal((uintptr_t)kmem_clock_coarse, the_clock);
	assert_int_equal(kmem_clock_coarse(CLOCK_MONOTONIC_COARSE, &ts), 0);
	assert_int_equal(clock_gettime(CLOCK_MONOTONIC_COARSE, &libc), 0);
	assert_in_range(libc.tv_sec, ts.tv_sec, ts.tv_sec + 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_linked_elsewhere_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
