/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The stream behind a core file: bytes come out in order, holes read as zero,
 * memory that is not readable becomes zeros and is counted, errors stay.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "snap/elfcore.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static struct elfcore core; /* its buffer is large */

static int begin(void)
{
	int fd = memfd_create("core", 0);

	assert_true(fd >= 0);
	elfcore_init(&core, fd);
	return fd;
}

static off_t size_of(int fd)
{
	return lseek(fd, 0, SEEK_END);
}

static void puts_small_and_large_pieces_in_order(void **state)
{
	static char big[3 * ELFCORE_BUFFER + 17];
	char got[sizeof(big) + 7];
	int fd = begin();

	(void)state;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7);
	elfcore_put(&core, "abc", 3);
	elfcore_put(&core, big, sizeof(big));
	elfcore_put(&core, "wxyz", 4);
	assert_int_equal(elfcore_finish(&core), 0);
	assert_int_equal(core.at_bytes, sizeof(got));
	assert_int_equal(pread(fd, got, sizeof(got), 0), sizeof(got));
	assert_memory_equal(got, "abc", 3);
	assert_memory_equal(got + 3, big, sizeof(big));
	assert_memory_equal(got + 3 + sizeof(big), "wxyz", 4);
	close(fd);
}

static void counts_without_a_file_what_it_writes_with_one(void **state)
{
	uint64_t counted;
	int fd;

	(void)state;
	for (int pass = 0; pass < 2; pass++) {
		fd = begin();
		elfcore_init(&core, pass ? fd : -1);
		elfcore_note(&core, "CORE", 1, 5);
		elfcore_put(&core, "12345", 5);
		elfcore_pad(&core, 4);
		elfcore_note(&core, "LINUXES", 1, 0);
		elfcore_copy(&core, (uintptr_t)&core, 1000);
		elfcore_hole(&core, 5000);
		elfcore_pad(&core, ELFCORE_PAGE);
		assert_int_equal(elfcore_finish(&core), 0);
		if (pass)
			assert_int_equal(core.at_bytes, counted);
		counted = core.at_bytes;
		assert_int_equal(size_of(fd), pass ? counted : 0);
		close(fd);
	}
}

static void notes_are_as_elf_has_them(void **state)
{
	static const unsigned char want[] = {5, 0, 0, 0, 3,   0,   0,   0,
					     1, 0, 0, 0, 'K', 'M', 'E', 'M',
					     0, 0, 0, 0, 'a', 'b', 'c', 0};
	char got[sizeof(want)];
	int fd = begin();

	(void)state;
	elfcore_note(&core, "KMEM", 1, 3);
	elfcore_put(&core, "abc", 3);
	elfcore_pad(&core, 4);
	assert_int_equal(elfcore_finish(&core), 0);
	assert_int_equal(size_of(fd), sizeof(want));
	assert_int_equal(pread(fd, got, sizeof(got), 0), sizeof(got));
	assert_memory_equal(got, want, sizeof(want));
	close(fd);
}

static void a_hole_at_the_end_counts(void **state)
{
	char got[10];
	int fd = begin();

	(void)state;
	elfcore_put(&core, "x", 1);
	elfcore_hole(&core, 1 << 20);
	assert_int_equal(elfcore_finish(&core), 0);
	assert_int_equal(size_of(fd), 1 + (1 << 20));
	assert_int_equal(pread(fd, got, sizeof(got), 1), sizeof(got));
	for (size_t i = 0; i < sizeof(got); i++)
		assert_int_equal(got[i], 0);
	close(fd);
}

static void unreadable_pages_become_zeros(void **state)
{
	char *p = mmap(NULL, 4 * ELFCORE_PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char got[4 * ELFCORE_PAGE];
	int fd = begin();

	(void)state;
	assert_true(p != MAP_FAILED);
	memset(p, 7, 4 * ELFCORE_PAGE);
	mprotect(p + ELFCORE_PAGE, 2 * ELFCORE_PAGE, PROT_NONE);
	elfcore_copy(&core, (uintptr_t)p, 4 * ELFCORE_PAGE);
	assert_int_equal(elfcore_finish(&core), 0);
	assert_int_equal(core.unreadable_bytes, 2 * ELFCORE_PAGE);
	assert_int_equal(size_of(fd), 4 * ELFCORE_PAGE);
	assert_int_equal(pread(fd, got, sizeof(got), 0), sizeof(got));
	for (size_t i = 0; i < sizeof(got); i++)
		assert_int_equal(got[i], i / ELFCORE_PAGE % 3 == 0 ? 7 : 0);
	munmap(p, 4 * ELFCORE_PAGE);
	close(fd);
}

static void the_first_error_stays(void **state)
{
	int fd = open("/dev/full", O_WRONLY);

	(void)state;
	assert_true(fd >= 0);
	elfcore_init(&core, fd);
	elfcore_copy(&core, (uintptr_t)&core, 100);
	assert_int_equal(core.err, ENOSPC);
	core.fd = 12345;
	elfcore_put(&core, "x", 1);
	assert_int_equal(elfcore_finish(&core), ENOSPC);
	close(fd);
}

static void errno_is_kept(void **state)
{
	int fd = open("/dev/full", O_WRONLY);

	(void)state;
	elfcore_init(&core, fd);
	errno = 77;
	elfcore_copy(&core, 0, ELFCORE_PAGE);
	elfcore_copy(&core, (uintptr_t)&core, 100);
	elfcore_finish(&core);
	assert_int_equal(errno, 77);
	close(fd);
}

/* as write_core() does: headers of n segments that are all empty */
static void put_headers(size_t nphdrs, Elf64_Ehdr *ret_eh, Elf64_Shdr *ret_sh)
{
	Elf64_Phdr ph = {.p_type = PT_LOAD};
	int fd = begin();

	elfcore_ehdr(&core, nphdrs);
	for (size_t i = 0; i < nphdrs; i++) {
		ph.p_vaddr = i;
		elfcore_phdr(&core, &ph);
	}
	elfcore_shdr(&core, nphdrs);
	assert_int_equal(core.at_bytes, elfcore_header_bytes(nphdrs));
	assert_int_equal(elfcore_finish(&core), 0);
	assert_int_equal(pread(fd, ret_eh, sizeof(*ret_eh), 0),
			 sizeof(*ret_eh));
	assert_int_equal(
		pread(fd, &ph, sizeof(ph),
		      (off_t)(ret_eh->e_phoff + (nphdrs - 1) * sizeof(ph))),
		sizeof(ph));
	assert_int_equal(ph.p_vaddr, nphdrs - 1);
	if (ret_eh->e_shoff)
		assert_int_equal(pread(fd, ret_sh, sizeof(*ret_sh),
				       (off_t)ret_eh->e_shoff),
				 sizeof(*ret_sh));
	close(fd);
}

static void few_segments_need_no_section(void **state)
{
	Elf64_Ehdr eh;
	Elf64_Shdr sh;

	(void)state;
	put_headers(PN_XNUM - 1, &eh, &sh);
	assert_memory_equal(eh.e_ident, ELFMAG, SELFMAG);
	assert_int_equal(eh.e_type, ET_CORE);
	assert_int_equal(eh.e_machine, EM_X86_64);
	assert_int_equal(eh.e_phnum, PN_XNUM - 1);
	assert_int_equal(eh.e_shoff, 0);
}

static void many_segments_are_counted_in_a_section(void **state)
{
	Elf64_Ehdr eh;
	Elf64_Shdr sh;

	(void)state;
	put_headers(PN_XNUM, &eh, &sh);
	assert_int_equal(eh.e_phnum, PN_XNUM);
	assert_int_equal(sh.sh_info, PN_XNUM);
	put_headers(100000, &eh, &sh);
	assert_int_equal(eh.e_phnum, PN_XNUM);
	assert_int_equal(eh.e_shnum, 1);
	assert_int_equal(eh.e_shentsize, sizeof(sh));
	assert_int_equal(sh.sh_info, 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(puts_small_and_large_pieces_in_order),
		cmocka_unit_test(counts_without_a_file_what_it_writes_with_one),
		cmocka_unit_test(notes_are_as_elf_has_them),
		cmocka_unit_test(a_hole_at_the_end_counts),
		cmocka_unit_test(unreadable_pages_become_zeros),
		cmocka_unit_test(the_first_error_stays),
		cmocka_unit_test(errno_is_kept),
		cmocka_unit_test(few_segments_need_no_section),
		cmocka_unit_test(many_segments_are_counted_in_a_section),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
