/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Large buffers end at a page that cannot be touched, small ones have guards:
 * KMEM_DEBUG=guards,firewall=2000.  What was freed cannot be touched either. */
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static char *get(size_t n)
{
	return kmem_malloc_impl(n, 0, KMEM_KIND_MALLOC);
}

static void put(void *p)
{
	kmem_free_impl(p, KMEM_KIND_MALLOC);
}

/* what was reported of the last call; -1: nothing */
static int reported(void)
{
	int code =
		kmem_panic_info.kmp_timestamp ? kmem_panic_info.kmp_error : -1;

	memset(&kmem_panic_info, 0, sizeof(kmem_panic_info));
	return code;
}

static void __attribute__((format(printf, 1, 2)))
expect_text(const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	(void)kmem_vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!strstr(kmem_error_buffer, text))
		fail_msg("no \"%s\" in: %s", text, kmem_error_buffer);
}

/* does a child that reads or writes there die of it? */
static int faults(volatile char *at, int is_write)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		if (is_write)
			*at = 1;
		else
			(void)*at;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void large_buffers_end_at_a_guard_page(void **state)
{
	static const size_t sizes[] = {2048, 4096, 9216, 131072};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		char *p = get(sizes[i]);

		assert_int_equal((uintptr_t)(p + sizes[i]) % 4096, 0);
		assert_int_equal(kmem_usable(p), sizes[i]);
		memset(p, 1, sizes[i]);
		assert_true(faults(p + sizes[i], 1));
		put(p);
	}
	assert_int_equal(reported(), -1);
}

static void a_freed_buffer_cannot_be_touched(void **state)
{
	static const size_t sizes[] = {2048, 4096, 9000, 131072};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		char *p = get(sizes[i]);

		assert_false(faults(p, 1));
		put(p);
		assert_true(faults(p, 0));
		assert_true(faults(p, 1));
		assert_true(faults(p + sizes[i] - 1, 0));
	}
	assert_int_equal(check_all(), 0);
}

/* bytes of the process that are in memory */
static size_t resident(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	size_t total = 0, pages = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%zu %zu", &total, &pages), 2);
	fclose(f);
	return pages * 4096;
}

/* of all the sizes together the last 16384 freed stay away */
static void addresses_are_used_again_late(void **state)
{
	size_t before;
	char *first = get(2048);

	(void)state;
	put(first);
	before = resident();
	for (int i = 0; i < 16000; i++) {
		char *p = get(i % 2 ? 2048 : 2100);

		assert_ptr_not_equal(p, first);
		*p = 1;
		put(p);
	}
	assert_true(faults(first, 0));
	/* their memory is gone all the same: they had 64 MB */
	assert_true(resident() - before < (size_t)12 << 20);
	assert_int_equal(check_all(), 0);
	for (int i = 0; i < 600; i++)
		put(get(2048));
	assert_int_equal(check_all(), 0);
	kmem_reap();
	assert_int_equal(check_all(), 0);
}

static int count_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	int n = 0;

	assert_non_null(f);
	for (int c = getc(f); c != EOF; c = getc(f))
		n += c == '\n';
	fclose(f);
	return n;
}

/* walled neighbours are one mapping, and so is what is open again */
static void mappings_are_two_a_live_buffer(void **state)
{
	static char *p[1000];
	unsigned seed = 9;
	int before = count_maps();

	(void)state;
	for (int i = 0; i < 60000; i++) {
		unsigned at = next_random(&seed) % 1000;

		put(p[at]);
		p[at] = get(2048 + next_random(&seed) % 2000);
		*p[at] = 1;
	}
	assert_true(count_maps() - before < 4000);
	for (int i = 0; i < 1000; i++)
		put(p[i]);
	kmem_reap();
}

static void a_cache_that_ends_leaves_nothing_behind(void **state)
{
	kmem_cache_t *cp = kmem_cache_create("walled", 3000, 0, NULL, NULL,
					     NULL, NULL, NULL, 0);
	size_t inuse = vmem_size(kmem_firewall_arena, VMEM_ALLOC);
	void *p[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		p[i] = kmem_cache_alloc(cp, KM_SLEEP);
	for (int i = 0; i < 3; i++)
		kmem_cache_free(cp, p[i]);
	assert_true(vmem_size(kmem_firewall_arena, VMEM_ALLOC) > inuse);
	kmem_cache_destroy(cp);
	assert_int_equal(vmem_size(kmem_firewall_arena, VMEM_ALLOC), inuse);
	put(get(2048));
	kmem_reap();
	assert_int_equal(reported(), -1);
	assert_int_equal(check_all(), 0);
}

static void a_large_buffer_freed_twice_is_reported(void **state)
{
	char *p = get(3000);

	(void)state;
	put(p);
	put(p);
	assert_int_equal(reported(), KMERR_DUPFREE);
	expect_text("free(%p): double-free or invalid buffer\nbuffer=%p",
		    (void *)p, (void *)p);
}

static void a_pointer_into_a_large_buffer_is_reported(void **state)
{
	char *p = get(3000);
	void *base = NULL;

	(void)state;
	put(p + 64);
	assert_int_equal(reported(), KMERR_BADBASE);
	expect_text("free address (%p) != alloc address (%p)", (void *)(p + 64),
		    (void *)p);
	assert_non_null(kmem_addr_cache(p + 64, NULL, &base));
	assert_ptr_equal(base, p);
	put(p);
	assert_int_equal(reported(), -1);
}

static void an_oversize_buffer_freed_twice_is_reported(void **state)
{
	char *p = get(500000);

	(void)state;
	put(p);
	put(p);
	assert_int_equal(reported(), KMERR_DUPFREE);
	expect_text("free(%p): double-free or invalid buffer\nbuffer=%p",
		    (void *)p, (void *)p);
}

/* The first page of one that was freed may lie within one that lives. */
static void a_pointer_into_an_oversize_buffer_is_reported(void **state)
{
	static char foreign[8192];
	char *p = get(500000);

	(void)state;
	for (size_t at = 16; at < 500000; at += 4096 * 7 + 8) {
		put(p + at);
		assert_int_equal(reported(), KMERR_BADBASE);
		expect_text("free address (%p) != alloc address (%p)",
			    (void *)(p + at), (void *)p);
	}
	put(foreign + 4096);
	assert_int_equal(reported(), KMERR_BADADDR);
	put(p);
	assert_int_equal(reported(), -1);
}

static void small_buffers_have_guards(void **state)
{
	char *p = get(100);

	(void)state;
	p[100] = 0;
	put(p);
	assert_int_equal(reported(), KMERR_REDZONE);
	p = get(100);
	put(p);
	put(p);
	assert_int_equal(reported(), KMERR_DUPFREE);
}

static void random_operations_keep_contents(void **state)
{
	struct {
		unsigned char *p;
		size_t n;
	} slot[64] = {{NULL, 0}};
	unsigned seed = 5;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		unsigned at = next_random(&seed) % 64;

		for (size_t j = 0; j < slot[at].n; j += 97)
			assert_int_equal(slot[at].p[j], at);
		put(slot[at].p);
		slot[at].n = next_random(&seed) % (i % 50 ? 6000 : 300000);
		slot[at].p = (unsigned char *)get(slot[at].n);
		assert_non_null(slot[at].p);
		memset(slot[at].p, (int)at, slot[at].n);
	}
	for (int i = 0; i < 64; i++)
		put(slot[i].p);
	assert_int_equal(reported(), -1);
	assert_int_equal(check_all(), 0);
}

/* takes all guard pages and more; what is left is the program's */
static void use_up(size_t n)
{
	char **p = mmap(NULL, n * sizeof(*p), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *own[1000];

	signal(SIGSEGV, SIG_DFL);
	for (size_t i = 0; i < n; i++) {
		p[i] = get(2048);
		if (!p[i])
			_exit(1);
	}
	((volatile char *)p[n - 1])[2048] = 1; /* there is no guard */
	/* each a mapping, since its neighbours have another protection */
	for (int i = 0; i < 1000; i++) {
		own[i] = mmap(NULL, 4096, i & 1 ? PROT_NONE : PROT_READ,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (own[i] == MAP_FAILED)
			_exit(2);
	}
	for (size_t i = 0; i < 500; i++) {
		put(p[i]);
		put(p[n - 1 - i]);
	}
	if (reported() != -1 || check_all() != 0)
		_exit(3);
	p[0] = get(2048);
	((volatile char *)p[0])[2048] = 1; /* there is again */
	_exit(4);
}

static void there_are_mappings_left_for_others(void **state)
{
	FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
	size_t max = 0;
	int status = 0;
	pid_t pid;

	(void)state;
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%zu", &max), 1);
	fclose(f);
	if (max > 100000)
		skip();
	pid = fork();
	if (pid == 0)
		use_up(max / 2);
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSEGV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(large_buffers_end_at_a_guard_page),
		cmocka_unit_test(a_freed_buffer_cannot_be_touched),
		cmocka_unit_test(addresses_are_used_again_late),
		cmocka_unit_test(mappings_are_two_a_live_buffer),
		cmocka_unit_test(a_cache_that_ends_leaves_nothing_behind),
		cmocka_unit_test(a_large_buffer_freed_twice_is_reported),
		cmocka_unit_test(a_pointer_into_a_large_buffer_is_reported),
		cmocka_unit_test(an_oversize_buffer_freed_twice_is_reported),
		cmocka_unit_test(a_pointer_into_an_oversize_buffer_is_reported),
		cmocka_unit_test(small_buffers_have_guards),
		cmocka_unit_test(there_are_mappings_left_for_others),
		cmocka_unit_test(random_operations_keep_contents),
	};
	int null = open("/dev/null", O_WRONLY);

	setenv("KMEM_DEBUG", "guards,firewall=2000,noabort", 1);
	kmem_init();
	if (!getenv("SHOW_REPORTS"))
		(void)dup2(null, STDERR_FILENO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
