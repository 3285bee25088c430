/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Core files made by hand: right ones, and every wrong one we could think of.*/
#define _GNU_SOURCE /* memfd_create */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "contract/notes.h"
#include "target/target.h"
#include "corebuild.h"

#define CORE "t.core"

/* a file in memory, for what is rewritten thousands of times */
static const char *memory_file(char path[64])
{
	int fd = memfd_create("core", 0);

	assert_true(fd >= 0);
	(void)snprintf(path, 64, "/proc/self/fd/%d", fd);
	return path;
}

static struct target *open_ok(const char *path)
{
	struct target *t = NULL;
	struct err *err = target_open_core(path, &t);

	if (err)
		fail_msg("%s", err->msg);
	return t;
}

static void assert_refused(const char *path, enum err_code code,
			   const char *what)
{
	struct target *t = NULL;
	struct err *err = target_open_core(path, &t);

	assert_non_null(err);
	assert_null(t);
	if (!strstr(err->msg, what))
		fail_msg("\"%s\" has no \"%s\"", err->msg, what);
	if (!strstr(err->msg, path) || strchr(err->msg, '\n'))
		fail_msg("\"%s\": not one line that names the file", err->msg);
	assert_int_equal(err->code, code);
	err_free(err);
}

static void fill(unsigned char *p, size_t n, unsigned seed)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (unsigned char)(i * 7 + seed);
}

/* every answer a caller may ask for, so that a checker sees each byte used */
static void touch_all(const struct target *t)
{
	volatile unsigned sum = 0;
	taddr_t last = 0;
	size_t i, j;

	for (i = 0; i < target_nmaps(t); i++) {
		const struct target_map *map = target_map(t, i);
		size_t n = 0;
		const unsigned char *p = target_peek(t, map->start, &n);

		assert_true(map->start < map->end);
		assert_true(map->start >= last);
		assert_true(map->core_end >= map->start);
		assert_true(map->core_end <= map->end);
		assert_int_equal(n, map->core_end - map->start);
		assert_ptr_equal(target_map_at(t, map->end - 1), map);
		if (map->path)
			sum += (unsigned)strlen(map->path);
		if (n > 0)
			sum += p[0] + p[n - 1];
		last = map->end;
	}
	for (i = 0; i < target_nthreads(t); i++) {
		const struct target_thread *thread = target_thread(t, i);
		const unsigned char *x = thread->xstate;

		sum += thread->tid + (unsigned)strlen(thread->name);
		for (j = 0; x && j < thread->xstate_bytes; j++)
			sum += x[j];
	}
	for (i = 0; i < target_nnotes(t); i++) {
		const struct target_note *note = target_note(t, i);
		const unsigned char *desc = note->desc;

		sum += (unsigned)strlen(note->owner);
		for (j = 0; j < note->desc_bytes; j++)
			sum += desc[j];
	}
	if (target_info(t)->incomplete)
		sum += (unsigned)strlen(target_info(t)->incomplete);
}

/* a small core with a bit of everything */
static void build_full(struct corebuild *cb)
{
	static const struct corebuild_file files[] = {
		{0x400000, 0x402000, 0, "/bin/prog"},
		{0x402000, 0x404000, 2, "/bin/prog"},
		{0x700000, 0x703000, 0, "/lib/libx.so"},
	};
	struct elf_prpsinfo ps = {
		.pr_pid = 42, .pr_fname = "prog", .pr_psargs = "prog -x "};
	uint64_t auxv[4] = {AT_ENTRY, 0x400123, AT_NULL, 0};
	siginfo_t si = {.si_signo = SIGSEGV, .si_code = SEGV_MAPERR};
	unsigned char bytes[256];

	corebuild_init(cb);
	si.si_addr = (void *)(uintptr_t)0xdead0;
	corebuild_thread(cb, 43, SIGSEGV, 0x400100);
	corebuild_note(cb, "CORE", NT_PRPSINFO, &ps, sizeof(ps));
	corebuild_note(cb, "CORE", NT_SIGINFO, &si, sizeof(si));
	corebuild_note(cb, "CORE", NT_AUXV, auxv, sizeof(auxv));
	corebuild_files(cb, files, 3);
	corebuild_note(cb, "CORE", NT_FPREGSET, bytes, 0);
	corebuild_note(cb, "LINUX", NT_X86_XSTATE, "xstate!", 7);
	corebuild_thread(cb, 42, 0, 0x400200);
	fill(bytes, sizeof(bytes), 1);
	corebuild_load(cb, 0x400000, 0x2000, bytes, 100, PF_R | PF_X);
	corebuild_load(cb, 0x402000, 0x2000, NULL, 0, PF_R | PF_W);
	corebuild_load(cb, 0x600000, 256, bytes, 256, PF_R | PF_W);
	corebuild_load(cb, 0x600100, 256, bytes, 256, PF_R | PF_W);
	corebuild_load(cb, 0x700000, 0x1000, NULL, 0, PF_R);
}

/* ---- what it is ---------------------------------------------------------- */

static void a_file_that_is_no_core_is_told_what_it_is(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *what;
	} rows[] = {
		{"", 0, "empty file"},
		{"\x7f", 1, "not an ELF file"},
		{"hello world, this is text", 25, "not an ELF file"},
		{"\x7f"
		 "ELF\2\1\1",
		 7, "truncated"},
		{"\x28\xb5\x2f\xfd....", 8, "zstd-compressed"},
		{"\x1f\x8b....", 6, "gzip-compressed"},
		{"\xfd"
		 "7zXZ\0...",
		 9, "xz-compressed"},
		{"BZh9....", 8, "bzip2-compressed"},
		{"MDMP....", 8, "minidump"},
		{"#!/bin/sh\n", 10, "a script"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		corebuild_write_bytes(CORE, rows[i].bytes, rows[i].n);
		assert_refused(CORE, ERR_BADDATA, rows[i].what);
	}
	assert_refused(".", ERR_BADDATA, "a directory");
	assert_refused("no-such-file", ERR_IO, "No such file");
	assert_refused("/proc/self/exe", ERR_BADDATA,
		       "an executable, not a core file");
	assert_refused("/lib/x86_64-linux-gnu/libdl.so.2", ERR_BADDATA,
		       "a shared library, not a core file");
	(void)unlink("fifo"); /* of a run before */
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_refused("fifo", ERR_BADDATA, "not a regular file");
}

static void a_file_we_may_not_read_says_so(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	corebuild_write_bytes(CORE, "x", 1);
	assert_int_equal(chmod(CORE, 0), 0);
	assert_int_equal(seteuid(65534), 0);
	/* the directory may be closed to that user, too: the word is equal */
	assert_refused(CORE, ERR_IO, "Permission denied");
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(unlink(CORE), 0);
}

static void a_core_of_another_machine_is_refused_by_name(void **state)
{
	struct corebuild cb;

	(void)state;
	build_full(&cb);
	cb.eh.e_machine = EM_AARCH64;
	corebuild_write(&cb, CORE);
	assert_refused(CORE, ERR_BADDATA, "architecture (aarch64, 64-bit)");
	cb.eh.e_machine = EM_X86_64;
	cb.eh.e_ident[EI_CLASS] = ELFCLASS32;
	corebuild_write(&cb, CORE);
	assert_refused(CORE, ERR_BADDATA, "32-bit");
	cb.eh.e_ident[EI_CLASS] = ELFCLASS64;
	cb.eh.e_ident[EI_DATA] = ELFDATA2MSB;
	corebuild_write(&cb, CORE);
	assert_refused(CORE, ERR_BADDATA, "big-endian");
	cb.eh.e_ident[EI_DATA] = ELFDATA2LSB;
	cb.eh.e_phentsize = 32;
	corebuild_write(&cb, CORE);
	assert_refused(CORE, ERR_BADDATA, "damaged ELF header");
	cb.eh.e_phentsize = sizeof(Elf64_Phdr);
	cb.eh.e_type = ET_REL;
	corebuild_write(&cb, CORE);
	assert_refused(CORE, ERR_BADDATA, "an object file");
	corebuild_free(&cb);
}

/* ---- what is in it ------------------------------------------------------- */

static void maps_merge_segments_and_files(void **state)
{
	static const struct {
		taddr_t start, end, core_end;
		enum map_presence presence;
		const char *path;
		uint64_t file_off;
	} want[] = {
		{0x400000, 0x402000, 0x400064, MAP_PARTLY, "/bin/prog", 0},
		{0x402000, 0x404000, 0x402000, MAP_ABSENT, "/bin/prog", 0x2000},
		{0x600000, 0x600100, 0x600100, MAP_IN_CORE, NULL, 0},
		{0x600100, 0x600200, 0x600200, MAP_IN_CORE, NULL, 0},
		{0x700000, 0x701000, 0x700000, MAP_FROM_FILE, "/lib/libx.so",
		 0},
		{0x701000, 0x703000, 0x701000, MAP_FROM_FILE, "/lib/libx.so",
		 0x1000},
	};
	struct corebuild cb;
	struct target *t;
	size_t i;

	(void)state;
	build_full(&cb);
	corebuild_write(&cb, CORE);
	t = open_ok(CORE);
	assert_null(target_info(t)->incomplete);
	assert_int_equal(target_nmaps(t), sizeof(want) / sizeof(want[0]));
	for (i = 0; i < target_nmaps(t); i++) {
		const struct target_map *map = target_map(t, i);

		assert_int_equal(map->start, want[i].start);
		assert_int_equal(map->end, want[i].end);
		assert_int_equal(map->core_end, want[i].core_end);
		assert_int_equal(map->presence, want[i].presence);
		if (want[i].path) {
			assert_string_equal(map->path, want[i].path);
			assert_int_equal(map->file_off, want[i].file_off);
		} else {
			assert_null(map->path);
		}
	}
	touch_all(t);
	target_close(t);
	corebuild_free(&cb);
}

static void a_segment_is_split_where_files_begin_and_end(void **state)
{
	static const struct corebuild_file files[] = {
		{0x3000, 0x4000, 7, "/b"},
		{0x1000, 0x2000, 5, "/a"},
	};
	unsigned char bytes[0x5000];
	struct corebuild cb;
	struct target *t;
	unsigned char got[0x5000];

	(void)state;
	fill(bytes, sizeof(bytes), 3);
	corebuild_init(&cb);
	corebuild_files(&cb, files, 2);
	corebuild_load(&cb, 0x800, 0x4800, bytes, 0x4800, PF_R);
	corebuild_write(&cb, CORE);
	t = open_ok(CORE);
	assert_int_equal(target_nmaps(t), 5);
	assert_null(target_map(t, 0)->path);
	assert_string_equal(target_map(t, 1)->path, "/a");
	assert_null(target_map(t, 2)->path);
	assert_string_equal(target_map(t, 3)->path, "/b");
	assert_int_equal(target_map(t, 3)->file_off, 0x7000);
	assert_null(target_map(t, 4)->path);
	/* split or not, the bytes read as one */
	assert_null(target_read(t, 0x800, got, 0x4800));
	assert_memory_equal(got, bytes, 0x4800);
	target_close(t);
	corebuild_free(&cb);
}

static void facts_and_threads_come_from_the_notes(void **state)
{
	struct corebuild cb;
	struct target *t;
	const struct target_info *info;
	uint64_t value;

	(void)state;
	build_full(&cb);
	corebuild_write(&cb, CORE);
	t = open_ok(CORE);
	info = target_info(t);
	assert_int_equal(info->pid, 42);
	assert_string_equal(info->fname, "prog");
	assert_string_equal(info->psargs, "prog -x");
	assert_int_equal(info->signo, SIGSEGV);
	assert_int_equal(info->si_code, SEGV_MAPERR);
	assert_int_equal(info->fault_addr, 0xdead0);
	assert_false(info->is_snapshot);
	assert_int_equal(target_nthreads(t), 2);
	assert_int_equal(target_thread(t, 0)->tid, 43);
	assert_true(target_thread(t, 0)->has_regs);
	assert_int_equal(target_thread(t, 0)->regs.rip, 0x400100);
	assert_int_equal(target_thread(t, 0)->xstate_bytes, 7);
	assert_int_equal(target_thread(t, 1)->tid, 42);
	assert_null(target_thread(t, 1)->xstate);
	assert_true(target_auxv(t, AT_ENTRY, &value));
	assert_int_equal(value, 0x400123);
	assert_false(target_auxv(t, AT_BASE, &value));
	assert_non_null(target_find_note(t, "LINUX", NT_X86_XSTATE));
	assert_null(target_find_note(t, "LINUX", NT_PRSTATUS));
	assert_string_equal(target_path(t), CORE);
	target_close(t);
	corebuild_free(&cb);
}

/* what the kernel writes of an object whose .bss was never written; then memory
 * of the process alone, of which there are bytes or not */
static void build_untouched(struct corebuild *cb, size_t stack_bytes,
			    size_t data_bytes, uint32_t data_flags)
{
	static const unsigned char bytes[0x1000] = {1};
	struct corebuild_file files[] = {{0x1000, 0x2000, 0, "/bin/x"}};

	corebuild_init(cb);
	corebuild_files(cb, files, 1);
	corebuild_load(cb, 0x1000, 0x1000, bytes, data_bytes, data_flags);
	corebuild_load(cb, 0x2000, 0x3000, NULL, 0, PF_R | PF_W);
	corebuild_load(cb, 0x6000, 0x1000, NULL, 0, PF_R | PF_W);
	corebuild_load(cb, 0x8000, 0x1000, bytes, stack_bytes, PF_R | PF_W);
	corebuild_write(cb, CORE);
}

static void a_bss_that_was_never_written_is_zeros(void **state)
{
	static const struct {
		size_t stack_bytes, data_bytes;
		uint32_t data_flags;
		bool is_zeros;
	} cases[] = {
		{0x1000, 0x1000, PF_R | PF_W, true},
		/* private memory was left out: it may have been written */
		{0, 0x1000, PF_R | PF_W, false},
		/* the object's data was, too */
		{0x1000, 0, PF_R | PF_W, false},
		/* not where data ends */
		{0x1000, 0x1000, PF_R, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct corebuild cb;
		uint64_t word = 1;
		struct target *t;
		struct err *err = NULL;

		build_untouched(&cb, cases[i].stack_bytes, cases[i].data_bytes,
				cases[i].data_flags);
		t = open_ok(CORE);
		assert_int_equal(target_nmaps(t), 4);
		err = target_read_u64(t, 0x4ff8, &word);
		assert_int_equal(!err, cases[i].is_zeros);
		assert_int_equal(word, cases[i].is_zeros ? 0 : 1);
		err_free(err);
		assert_int_equal(target_map(t, 1)->presence,
				 cases[i].is_zeros ? MAP_IN_CORE : MAP_ABSENT);
		/* nobody knows why this is not there */
		assert_int_equal(target_map(t, 2)->presence, MAP_ABSENT);
		target_close(t);
		corebuild_free(&cb);
	}
}

/* ---- snapshots ----------------------------------------------------------- */

static void build_snapshot(struct corebuild *cb, bool with_end, int64_t off)
{
	struct kmem_note_snap snap = {
		.ns_version = 1, .ns_pid = 7, .ns_tid = 9};
	struct kmem_note_thread threads[] = {
		{.nt_tid = 7, .nt_regs = 2, .nt_name = "main"},
		{.nt_tid = 8, .nt_regs = 1, .nt_name = "sixteen-letters!"},
		{.nt_tid = 9, .nt_regs = 2, .nt_name = "asked"},
		{.nt_tid = 10, .nt_regs = 0, .nt_name = "lost"},
	};
	uint64_t absent[] = {0x5000, 0x6000, 0x9000, 0x9800};
	struct kmem_note_end end = {0};
	struct strbuf bytes;

	corebuild_init(cb);
	corebuild_note(cb, "KMEM", KMEM_NT_SNAP, &snap, sizeof(snap));
	corebuild_thread(cb, 7, 0, 0x107);
	corebuild_thread(cb, 8, 0, 0x108);
	corebuild_thread(cb, 9, 0, 0x109);
	corebuild_note(cb, "KMEM", KMEM_NT_THREADS, threads, sizeof(threads));
	corebuild_note(cb, "KMEM", KMEM_NT_ABSENT, absent, sizeof(absent));
	corebuild_load(cb, 0x5800, 0x1000, NULL, 0, PF_R | PF_W);
	if (!with_end)
		return;
	corebuild_note(cb, "KMEM", KMEM_NT_END, &end, sizeof(end));
	bytes = corebuild_bytes(cb);
	end.ne_size = bytes.n + (uint64_t)off;
	memcpy(cb->notes.s + cb->notes.n - sizeof(end), &end, sizeof(end));
	strbuf_free(&bytes);
}

static void a_snapshot_names_its_threads(void **state)
{
	struct corebuild cb;
	struct target *t;

	(void)state;
	build_snapshot(&cb, true, 0);
	corebuild_write(&cb, CORE);
	t = open_ok(CORE);
	assert_true(target_info(t)->is_snapshot);
	assert_null(target_info(t)->incomplete);
	assert_int_equal(target_info(t)->pid, 7);
	assert_int_equal(target_info(t)->absent_bytes, 0x1000 + 0x800);
	assert_int_equal(target_nthreads(t), 4);
	assert_int_equal(target_thread(t, 0)->tid, 9); /* who asked */
	assert_string_equal(target_thread(t, 0)->name, "asked");
	assert_int_equal(target_thread(t, 1)->tid, 7);
	assert_false(target_thread(t, 1)->regs_partial);
	assert_true(target_thread(t, 2)->regs_partial);
	assert_string_equal(target_thread(t, 2)->name, "sixteen-letters!");
	assert_false(target_thread(t, 3)->has_regs);
	assert_string_equal(target_thread(t, 3)->name, "lost");
	/* what was left out and is in no segment is a map, too */
	assert_int_equal(target_nmaps(t), 3);
	assert_int_equal(target_map(t, 0)->end, 0x5800);
	assert_int_equal(target_map(t, 0)->presence, MAP_ABSENT);
	assert_int_equal(target_map(t, 1)->end, 0x6800);
	assert_int_equal(target_map(t, 2)->start, 0x9000);
	target_close(t);
	corebuild_free(&cb);
}

static void a_snapshot_without_its_end_mark_is_incomplete(void **state)
{
	struct corebuild cb;
	struct target *t;

	(void)state;
	build_snapshot(&cb, false, 0);
	corebuild_write(&cb, CORE);
	t = open_ok(CORE);
	assert_non_null(strstr(target_info(t)->incomplete, "no end mark"));
	target_close(t);
	corebuild_free(&cb);
	build_snapshot(&cb, true, 4096);
	corebuild_write(&cb, CORE);
	t = open_ok(CORE);
	assert_non_null(strstr(target_info(t)->incomplete, "end mark"));
	target_close(t);
	corebuild_free(&cb);
}

/* ---- reading ------------------------------------------------------------- */

static bool give_ones(void *arg, const char *path, uint64_t off, void *buf,
		      size_t len)
{
	unsigned *calls = arg;

	(*calls)++;
	if (off >= 0x3000)
		return false;
	memset(buf, path[1], len);
	return true;
}

static void a_read_crosses_maps_and_names_the_first_bad_address(void **state)
{
	struct corebuild cb;
	struct target *t;
	unsigned char buf[512];
	struct err *err;
	char *s = NULL;
	size_t n;

	(void)state;
	build_full(&cb);
	corebuild_write(&cb, CORE);
	t = open_ok(CORE);
	assert_null(target_read(t, 0x6000f0, buf, 0x20));
	assert_int_equal(buf[0x0f], (unsigned char)(255 * 7 + 1));
	assert_int_equal(buf[0x10], 1);
	err = target_read(t, 0x6001f0, buf, 0x20);
	assert_true(err_is(err, ERR_FAULT));
	assert_non_null(strstr(err->msg, "0x600200"));
	err_free(err);
	err = target_read(t, 0x400050, buf, 0x40);
	assert_true(err_is(err, ERR_FAULT));
	assert_non_null(strstr(err->msg, "0x400064"));
	assert_non_null(strstr(err->msg, "/bin/prog"));
	err_free(err);
	err = target_read(t, 0, buf, 1);
	assert_true(err_is(err, ERR_FAULT));
	err_free(err);
	assert_null(target_read(t, 0, buf, 0));
	assert_null(target_peek(t, 0x500000, &n));
	assert_int_equal(n, 0);
	assert_non_null(target_peek(t, 0x600010, &n));
	assert_int_equal(n, 0xf0);
	assert_null(target_peek(t, 0x400064, &n));
	err = target_read_str(t, 0x10, 8, &s);
	assert_true(err_is(err, ERR_FAULT));
	err_free(err);
	target_close(t);
	corebuild_free(&cb);
}

static void what_is_not_in_the_core_comes_from_a_verified_file(void **state)
{
	struct corebuild cb;
	struct target *t;
	unsigned char buf[0x40];
	unsigned calls = 0;
	struct err *err;

	(void)state;
	build_full(&cb);
	corebuild_write(&cb, CORE);
	t = open_ok(CORE);
	target_set_file_reader(t, give_ones, &calls);
	assert_null(target_read(t, 0x400050, buf, 0x40));
	assert_int_equal(buf[0x13], (unsigned char)(99 * 7 + 1));
	assert_int_equal(buf[0x14], 'b');
	assert_int_equal(calls, 1);
	assert_null(target_read(t, 0x702fff, buf, 1));
	assert_int_equal(buf[0], 'l');
	/* a writable page may have been written: no file stands for it */
	err = target_read(t, 0x402000, buf, 1);
	assert_true(err_is(err, ERR_FAULT));
	err_free(err);
	assert_int_equal(calls, 2);
	target_close(t);
	corebuild_free(&cb);
}

static void strings_are_read_to_their_end_or_the_limit(void **state)
{
	struct target *t = target_mem_create();
	char long_text[1000];
	struct err *err;
	char *s = NULL;

	(void)state;
	memset(long_text, 'a', sizeof(long_text));
	target_mem_add(t, 0x2000, "world", 6, PF_R);
	target_mem_add(t, 0x1ffa, "hello,", 6, PF_R);
	target_mem_add(t, 0x5000, long_text, sizeof(long_text), PF_R);
	assert_null(target_read_str(t, 0x1ffa, 100, &s));
	assert_string_equal(s, "hello,world");
	mem_free(s);
	assert_null(target_read_str(t, 0x1ffa, 4, &s));
	assert_string_equal(s, "hel");
	mem_free(s);
	assert_null(target_read_str(t, 0x1ffa, 1, &s));
	assert_string_equal(s, "");
	mem_free(s);
	assert_null(target_read_str(t, 0x5000, 1000, &s));
	assert_int_equal(strlen(s), 999);
	mem_free(s);
	err = target_read_str(t, 0x5000, 1002, &s);
	assert_true(err_is(err, ERR_FAULT));
	err_free(err);
	target_close(t);
}

/* ---- hostile ones -------------------------------------------------------- */

static void segments_may_overlap_wrap_and_come_in_any_order(void **state)
{
	unsigned char a[64], b[64];
	unsigned char got[96];
	struct corebuild cb;
	struct target *t;

	(void)state;
	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	corebuild_init(&cb);
	corebuild_load(&cb, 0x1020, 64, b, 64, PF_R);
	corebuild_load(&cb, 0x1000, 64, a, 64, PF_R);
	corebuild_load(&cb, 0x1010, 16, b, 16, PF_R); /* inside another */
	corebuild_load(&cb, 0x9000, 0, a, 64, PF_R);  /* nothing */
	corebuild_load(&cb, UINT64_MAX - 10, 64, a, 64, PF_R);
	corebuild_load(&cb, 0x1000, 16, a, 64, PF_R); /* more than memory */
	corebuild_load(&cb, 0x1000, 64, b, 64, PF_R); /* twice */
	/* of which all bytes are covered by the one before */
	corebuild_load(&cb, 0x1030, 1ULL << 60, b, 8, PF_R);
	corebuild_write(&cb, CORE);
	t = open_ok(CORE);
	touch_all(t);
	assert_int_equal(target_nmaps(t), 3);
	assert_null(target_read(t, 0x1000, got, 96));
	assert_memory_equal(got, a, 64);
	assert_memory_equal(got + 64, b, 32);
	assert_int_equal(target_map(t, 2)->start, 0x1060);
	assert_int_equal(target_map(t, 2)->end, 0x1030 + (1ULL << 60));
	assert_int_equal(target_map(t, 2)->presence, MAP_ABSENT);
	target_close(t);
	corebuild_free(&cb);
}

static void more_segments_than_a_header_can_say_are_found(void **state)
{
	struct corebuild cb;
	struct strbuf out;
	struct target *t;
	Elf64_Shdr sh = {0};
	Elf64_Ehdr eh;
	const size_t n = 70000;
	size_t i;

	(void)state;
	corebuild_init(&cb);
	for (i = 0; i < n; i++)
		corebuild_load(&cb, 0x10000 + i * 0x1000, 8, "12345678", 8,
			       PF_R);
	cb.eh.e_phnum = PN_XNUM;
	out = corebuild_bytes(&cb);
	sh.sh_info = (uint32_t)n + 1;
	memcpy(&eh, out.s, sizeof(eh));
	eh.e_shoff = out.n;
	eh.e_shnum = 1;
	memcpy(out.s, &eh, sizeof(eh));
	strbuf_add(&out, (const char *)&sh, sizeof(sh));
	corebuild_write_bytes(CORE, out.s, out.n);
	t = open_ok(CORE);
	assert_null(target_info(t)->incomplete);
	assert_int_equal(target_nmaps(t), n);
	target_close(t);
	/* the section header gone */
	corebuild_write_bytes(CORE, out.s, out.n - 1);
	t = open_ok(CORE);
	assert_non_null(target_info(t)->incomplete);
	target_close(t);
	/* an absurd number */
	sh.sh_info = UINT32_MAX;
	memcpy(out.s + out.n - sizeof(sh), &sh, sizeof(sh));
	corebuild_write_bytes(CORE, out.s, out.n);
	t = open_ok(CORE);
	assert_non_null(strstr(target_info(t)->incomplete, "truncated"));
	touch_all(t);
	target_close(t);
	strbuf_free(&out);
	corebuild_free(&cb);
}

static void notes_that_overrun_end_the_segment(void **state)
{
	static const Elf64_Nhdr bad[] = {
		{UINT32_MAX, 0, 1},     {0, UINT32_MAX, 1},
		{5, 1u << 20, 1},       {UINT32_MAX, UINT32_MAX, UINT32_MAX},
		{1u << 31, 4, NT_FILE},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct corebuild cb;
		struct target *t;

		corebuild_init(&cb);
		corebuild_thread(&cb, 5, 0, 1);
		strbuf_add(&cb.notes, (const char *)&bad[i], sizeof(bad[i]));
		strbuf_add(&cb.notes, "CORE\0\0\0\0", 8);
		corebuild_write(&cb, CORE);
		t = open_ok(CORE);
		assert_int_equal(target_nthreads(t), 1);
		assert_int_equal(target_nnotes(t), 1);
		assert_non_null(target_info(t)->incomplete);
		target_close(t);
		corebuild_free(&cb);
	}
}

static void a_file_list_that_lies_is_cut(void **state)
{
	static const uint64_t lies[][5] = {
		{UINT64_MAX, 4096, 1, 2, 3},
		{1, 0, 0x1000, 0x2000, 0},
		{2, 4096, 0x1000, 0x2000, 0},
		{1, 4096, 0x2000, 0x1000, 0},
		{1, 4096, 0x1000, 0x2000, UINT64_MAX},
		{1, UINT64_MAX, 0x1000, 0x2000, 1},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct corebuild cb;
		struct target *t;

		corebuild_init(&cb);
		corebuild_note(&cb, "CORE", NT_FILE, lies[i], sizeof(lies[i]));
		corebuild_write(&cb, CORE);
		t = open_ok(CORE);
		touch_all(t);
		assert_int_equal(target_nmaps(t), 0);
		target_close(t);
		corebuild_free(&cb);
	}
}

static void a_core_cut_at_any_byte_opens_or_is_refused(void **state)
{
	char name[64];
	const char *path = memory_file(name);
	struct corebuild cb;
	struct strbuf out;
	size_t n;

	(void)state;
	build_full(&cb);
	out = corebuild_bytes(&cb);
	for (n = 0; n < out.n; n++) {
		struct target *t = NULL;
		struct err *err;

		corebuild_write_bytes(path, out.s, n);
		err = target_open_core(path, &t);
		if (n < sizeof(Elf64_Ehdr)) {
			assert_non_null(err);
			err_free(err);
			continue;
		}
		if (err)
			fail_msg("%zu bytes: %s", n, err->msg);
		if (!target_info(t)->incomplete)
			fail_msg("%zu of %zu bytes pass for whole", n, out.n);
		touch_all(t);
		target_close(t);
	}
	strbuf_free(&out);
	corebuild_free(&cb);
}

/* xorshift: the same bytes each time */
static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void a_core_with_wrong_bytes_never_crashes_us(void **state)
{
	enum {
		ROUNDS = 4000
	};
	char name[64];
	const char *path = memory_file(name);
	uint64_t seed = 88172645463325252ULL;
	int i;

	(void)state;
	for (i = 0; i < ROUNDS; i++) {
		struct corebuild cb;
		struct strbuf out;
		struct target *t = NULL;
		struct err *err;
		int k;

		if (i % 2)
			build_full(&cb);
		else
			build_snapshot(&cb, true, 0);
		out = corebuild_bytes(&cb);
		for (k = 0; k < 1 + i % 7; k++) {
			size_t at = next_random(&seed) % out.n;

			out.s[at] = next_random(&seed) % 3
					    ? (char)next_random(&seed)
					    : (char)0xff;
		}
		corebuild_write_bytes(path, out.s, out.n);
		err = target_open_core(path, &t);
		if (err) {
			err_free(err);
		} else {
			touch_all(t);
			target_close(t);
		}
		strbuf_free(&out);
		corebuild_free(&cb);
	}
}

static void a_core_that_shrinks_while_read_ends_us_in_one_line(void **state)
{
	static unsigned char bytes[64 << 10];
	struct corebuild cb;
	int status;
	int out[2];
	char text[200] = "";
	pid_t pid;
	ssize_t n;

	(void)state;
	corebuild_init(&cb);
	corebuild_load(&cb, 0x10000, sizeof(bytes), bytes, sizeof(bytes), PF_R);
	corebuild_write(&cb, CORE);
	assert_int_equal(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		struct target *t = open_ok(CORE);
		char c;

		(void)dup2(out[1], STDERR_FILENO);
		if (truncate(CORE, 4096) != 0)
			_exit(98);
		err_free(target_read(t, 0x1f000, &c, 1));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 3);
	n = read(out[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	assert_non_null(strstr(text, "core file changed while it was read"));
	close(out[0]);
	close(out[1]);
	corebuild_free(&cb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_that_is_no_core_is_told_what_it_is),
		cmocka_unit_test(a_file_we_may_not_read_says_so),
		cmocka_unit_test(a_core_of_another_machine_is_refused_by_name),
		cmocka_unit_test(maps_merge_segments_and_files),
		cmocka_unit_test(a_segment_is_split_where_files_begin_and_end),
		cmocka_unit_test(facts_and_threads_come_from_the_notes),
		cmocka_unit_test(a_bss_that_was_never_written_is_zeros),
		cmocka_unit_test(a_snapshot_names_its_threads),
		cmocka_unit_test(a_snapshot_without_its_end_mark_is_incomplete),
		cmocka_unit_test(
			a_read_crosses_maps_and_names_the_first_bad_address),
		cmocka_unit_test(
			what_is_not_in_the_core_comes_from_a_verified_file),
		cmocka_unit_test(strings_are_read_to_their_end_or_the_limit),
		cmocka_unit_test(
			segments_may_overlap_wrap_and_come_in_any_order),
		cmocka_unit_test(more_segments_than_a_header_can_say_are_found),
		cmocka_unit_test(notes_that_overrun_end_the_segment),
		cmocka_unit_test(a_file_list_that_lies_is_cut),
		cmocka_unit_test(a_core_cut_at_any_byte_opens_or_is_refused),
		cmocka_unit_test(a_core_with_wrong_bytes_never_crashes_us),
		cmocka_unit_test(
			a_core_that_shrinks_while_read_ends_us_in_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
