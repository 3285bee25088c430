/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * With guards on, who writes up to 16 bytes past the end of a buffer, or before
 * its start, reaches nothing of the allocator's own: each such write is found
 * when the buffer is freed, is called by its name, and once it is undone
 * everything is as it was.  Every size, every length, every alignment, every
 * way to check.
 */
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <sys/wait.h>

#define LENGTHS 16

static unsigned seed = 1;
static int nfound;

static void put(void *p)
{
	kmem_free_impl(p, KMEM_KIND_MALLOC);
}

/* changes every byte of a range; a second time it is as before */
static void scramble(unsigned char *p, size_t n, unsigned start)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char x = next_random(&start) & 0xff;

		p[i] ^= x ? x : 1;
	}
}

static int reported(void)
{
	int code =
		kmem_panic_info.kmp_timestamp ? kmem_panic_info.kmp_error : -1;

	memset(&kmem_panic_info, 0, sizeof(kmem_panic_info));
	nfound += code >= 0;
	return code;
}

static void expect(int code, size_t size, size_t align, size_t n)
{
	int is = reported();

	if (is == code)
		return;
	fprintf(stderr, "# size %zu align %zu length %zu: code %d, not %d\n",
		size, align, n, is, code);
	_exit(1);
}

static void *get(size_t size, size_t align)
{
	void *p = kmem_malloc_impl(size, align, KMEM_KIND_MALLOC);

	if (!p)
		_exit(2);
	memset(p, 0x11, size);
	return p;
}

static void overrun(size_t size, size_t align, size_t n)
{
	unsigned char *p = get(size, align);
	unsigned how = next_random(&seed);

	scramble(p + size, n, how);
	put(p);
	expect(KMERR_REDZONE, size, align, n);
	scramble(p + size, n, how);
	put(p); /* nothing was touched by the report */
	expect(-1, size, align, n);
}

/* what real programs write */
static void overrun_with(size_t size, int byte, size_t n)
{
	unsigned char *p = get(size, 0);
	unsigned char saved[LENGTHS];

	memcpy(saved, p + size, n);
	memset(p + size, byte, n);
	put(p);
	expect(KMERR_REDZONE, size, 0, n);
	memcpy(p + size, saved, n);
	put(p);
	expect(-1, size, 0, n);
}

/* a buffer with another of its slab before it */
static unsigned char *get_inner(size_t size)
{
	kmem_slab_t *sp = NULL;
	unsigned char *p;

	do {
		p = get(size, 0);
		if (!kmem_addr_cache(p, &sp, NULL))
			_exit(3);
	} while (sp->slab_chunks > 1 && p == sp->slab_base);
	return p;
}

static void underrun(size_t size, size_t n)
{
	unsigned char *p = get_inner(size);
	unsigned how = next_random(&seed);

	scramble(p - n, n, how);
	put(p);
	expect(KMERR_UNDERRUN, size, 0, n);
	scramble(p - n, n, how);
	put(p);
	expect(-1, size, 0, n);
}

/* the first buffer of each slab there is: what is before it may be written over
 * without anything of the allocator's being harmed */
static void underrun_first(size_t size)
{
	kmem_slab_t *sp = NULL;
	unsigned char *p;

	do {
		p = get(size, 0);
		if (!kmem_addr_cache(p, &sp, NULL))
			_exit(3);
	} while (p != sp->slab_base);
	scramble(p - LENGTHS, LENGTHS, 5);
	if (check_all() != 0)
		_exit(4);
	scramble(p - LENGTHS, LENGTHS, 5);
	put(p);
	expect(-1, size, 0, LENGTHS);
}

static void every_size(void)
{
	static const int bytes[] = {0, 'A', 0xff};
	static const size_t aligns[] = {0, 32, 64, 256, 1024, 4096};

	for (size_t size = 0; size <= 5000; size++) {
		overrun(size, 0, 1 + size % LENGTHS);
		if (size < 300)
			overrun(size, aligns[size % 6], 1 + size / 6 % LENGTHS);
		if (size % 8 == 0)
			overrun_with(size, bytes[size / 8 % 3],
				     1 + size / 24 % LENGTHS);
	}
}

static void every_length(void)
{
	static const size_t sizes[] = {1,   8,   15,   16,   24,   31,  32,
				       33,  40,  47,   48,   64,   100, 200,
				       448, 512, 1024, 2048, 4096, 8192};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (size_t n = 1; n <= LENGTHS; n++)
			overrun(sizes[i], 0, n);
}

static void every_underrun(void)
{
	static const size_t sizes[] = {1, 16, 24, 40, 64, 100, 200, 400, 448};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		for (size_t n = 1; n <= LENGTHS; n++)
			underrun(sizes[i], n);
		underrun_first(sizes[i]);
	}
}

static void large(void)
{
	static const size_t sizes[] = {
		5001,   9000,   16384,  65536,  131071, 131072,  131073, 135152,
		135153, 135167, 135168, 135169, 200000, 1 << 20, 5000000};
	static const size_t aligns[] = {0, 64, 4096, 65536, 1 << 21};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (size_t a = 0; a < 5; a++)
			for (size_t n = 1; n <= LENGTHS; n += a ? 5 : 1)
				overrun(sizes[i], aligns[a], n);
}

/* objects, which may end anywhere before their redzone */
static void every_object(void)
{
	for (size_t size = 1; size <= 600; size += size < 80 ? 1 : 7) {
		kmem_cache_t *cp = kmem_cache_create("object", size, 0, NULL,
						     NULL, NULL, NULL, NULL, 0);

		for (size_t n = 1; n <= LENGTHS; n++) {
			unsigned char *p = kmem_cache_alloc(cp, KM_SLEEP);

			memset(p, 0x11, size);
			scramble(p + size, n, next_random(&seed));
			kmem_cache_free(cp, p);
			expect(KMERR_REDZONE, size, 0, n);
			p = kmem_cache_alloc(cp, KM_SLEEP);
			kmem_cache_free(cp, p);
			expect(-1, size, 0, n);
		}
	}
}

/* Runs cases in a child that starts the allocator with a setting. */
static void under(const char *setting, const char *more,
		  void (*const cases[])(void))
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);
		int err = dup(STDERR_FILENO);

		setenv("KMEM_DEBUG", setting, 1);
		if (more)
			setenv("KMEM_OPTIONS", more, 1);
		(void)dup2(null, STDERR_FILENO);
		kmem_init();
		for (; *cases; cases++)
			(*cases)();
		(void)dup2(err, STDERR_FILENO);
		_exit(check_all() || nfound == 0 ? 5 : 0);
	}
	waitpid(pid, &status, 0);
	if (status != 0)
		fail_msg("%s: status %x", setting, (unsigned)status);
}

static void with_guards_nothing_is_reached(void **state)
{
	static void (*const cases[])(void) = {
		every_size, every_length, every_underrun,
		large,      every_object, NULL,
	};

	(void)state;
	under("guards,noabort", NULL, cases);
}

static void with_audit_and_guards_nothing_is_reached(void **state)
{
	static void (*const cases[])(void) = {
		every_size, every_length, every_underrun,
		large,      every_object, NULL,
	};

	(void)state;
	under("default,audit=1,noabort", NULL, cases);
}

static void without_magazines_nothing_is_reached(void **state)
{
	static void (*const cases[])(void) = {
		every_length, every_underrun, large, every_object, NULL,
	};

	(void)state;
	under("guards,noabort", "nomagazines", cases);
	under("default,audit=1,noabort", "nomagazines", cases);
}

static void part_of_a_buffer_verified_is_enough(void **state)
{
	static void (*const cases[])(void) = {
		every_length,
		every_underrun,
		large,
		NULL,
	};

	(void)state;
	under("guards,maxverify=64,noabort", NULL, cases);
}

static void every_alignment(void)
{
	for (size_t align = 16; align <= 65536; align *= 2)
		for (size_t size = 1; size < 3 * align && size < 40000;
		     size = size * 3 / 2 + 1)
			for (size_t n = 1; n <= LENGTHS; n += 5)
				overrun(size, align, n);
}

static void at_every_alignment_nothing_is_reached(void **state)
{
	static void (*const cases[])(void) = {every_alignment, NULL};

	(void)state;
	under("guards,noabort", NULL, cases);
	under("default,audit=1,noabort", NULL, cases);
}

/* What goes on for pages does reach the headers of slabs: no crash, a report at
 * every buffer there, and of a slab that is to be allocated from. */
static void pages(size_t size, size_t n)
{
	unsigned char *p[400];
	unsigned char *end;
	int nhit = 0;

	for (int i = 0; i < 400; i++)
		p[i] = kmem_malloc_impl(size, 0, KMEM_KIND_MALLOC);
	for (int i = 0; i < 400; i += 40)
		put(p[i]);
	(void)reported();
	if (!p[201])
		_exit(4);
	end = p[201] + n;
	memset(p[201], 'A', n);
	for (int i = 0; i < 400; i++) {
		int is_hit = p[i] >= p[201] && p[i] + size + 64 <= end;

		if (i % 40 == 0)
			continue;
		put(p[i]);
		if (reported() >= 0)
			nhit++;
		else if (is_hit)
			_exit(6);
	}
	for (int i = 0; i < 1000; i++)
		(void)kmem_malloc_impl(size, 0, KMEM_KIND_MALLOC);
	if (nhit < 1)
		_exit(7);
}

static void every_page(void)
{
	for (size_t size = 16; size < 3000; size += size / 2)
		for (size_t n = 3000; n < 20000; n *= 2)
			pages(size, n);
	_exit(0); /* the heap stays damaged */
}

static void what_reaches_a_header_is_reported(void **state)
{
	static void (*const cases[])(void) = {every_page, NULL};

	(void)state;
	under("guards,noabort", NULL, cases);
	under("guards,noabort", "nomagazines", cases);
	under("lite,noabort", NULL, cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_guards_nothing_is_reached),
		cmocka_unit_test(with_audit_and_guards_nothing_is_reached),
		cmocka_unit_test(without_magazines_nothing_is_reached),
		cmocka_unit_test(part_of_a_buffer_verified_is_enough),
		cmocka_unit_test(at_every_alignment_nothing_is_reached),
		cmocka_unit_test(what_reaches_a_header_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
