/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of size classes, as KMEM_OPTIONS changes it: every request gets the
 * smallest there is that holds it, under each way to check. */
#define _GNU_SOURCE
#include "check.h"

#include <sys/wait.h>

#define MAX 131072

static unsigned seed = 3;

/* the sizes an allocator has that was started with some options; ends in 0 */
struct table {
	const char *options;
	unsigned first[6]; /* the smallest of them */
	unsigned n;
};

static size_t smallest(size_t n)
{
	for (unsigned i = 0; i < kmem_nsizes; i++)
		if (kmem_sizes[i] >= n)
			return kmem_sizes[i];
	return 0;
}

static void expect_class(size_t n)
{
	void *p = kmem_malloc_impl(n, 0, KMEM_KIND_MALLOC);
	kmem_cache_t *cp = kmem_addr_cache(p, NULL, NULL);
	void *q = kmem_alloc(n, KM_SLEEP);

	if (!p || !q || !cp || cp->cache_bufsize != smallest(n > 8 ? n : 16)) {
		fprintf(stderr, "# %zu is in %s\n", n,
			cp ? cp->cache_name : "nothing");
		_exit(1);
	}
	memset(p, 1, n);
	memset(q, 1, n);
	kmem_free_impl(p, KMEM_KIND_MALLOC);
	kmem_free(q, n);
}

static void use(void)
{
	void *p[200] = {NULL};

	for (int i = 0; i < 20000; i++) {
		unsigned at = next_random(&seed) % 200;
		size_t n = next_random(&seed) % (i % 20 ? 3000 : MAX + 1000);
		size_t align = (size_t)16 << next_random(&seed) % 9;

		kmem_free_impl(p[at], KMEM_KIND_MALLOC);
		p[at] = kmem_malloc_impl(n, i % 8 ? 0 : align,
					 KMEM_KIND_MALLOC);
		if (!p[at] || (i % 8 == 0 && (uintptr_t)p[at] % align))
			_exit(2);
		memset(p[at], 2, n);
	}
	for (int i = 0; i < 200; i++)
		kmem_free_impl(p[i], KMEM_KIND_MALLOC);
}

static void run(const struct table *t, const char *debug)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		setenv("KMEM_OPTIONS", t->options, 1);
		setenv("KMEM_DEBUG", debug, 1);
		kmem_init();
		if (kmem_nsizes != t->n || kmem_sizes[t->n - 1] != MAX)
			_exit(3);
		for (unsigned i = 0; i < t->n && i < 6; i++)
			if (t->first[i] && kmem_sizes[i] != t->first[i])
				_exit(4);
		for (size_t n = 1; n < 5000; n += debug[0] ? 7 : 1)
			expect_class(n);
		for (size_t n = 5000; n <= MAX; n += 997)
			expect_class(n);
		use();
		_exit(check_all() || kmem_panic_info.kmp_timestamp ? 5 : 0);
	}
	waitpid(pid, &status, 0);
	if (status)
		fail_msg("%s %s: status %x", t->options, debug,
			 (unsigned)status);
}

static void requests_get_the_smallest_that_holds_them(void **state)
{
	static const struct table tables[] = {
		{"", {8, 16, 32, 48, 64, 80}, 46},
		{"size_add=20,size_add=1030", {8, 16, 24, 32, 48, 64}, 48},
		{"size_remove=8,size_remove=64", {16, 32, 48, 80, 96}, 44},
		{"size_clear", {MAX}, 1},
		{"size_clear,size_add=3000,size_add=1k,size_add=16",
		 {16, 1024, 3008, MAX},
		 4},
		{"size_add=100000,size_remove=131072,size_remove=7",
		 {8, 16, 32, 48, 64, 80},
		 47},
		/* the last one wins, and what was there before it does not */
		{"size_add=24,size_clear,size_add=40", {40, MAX}, 2},
	};
	static const char *const debugs[] = {
		"", "default", "guards", "audit", "lite", "firewall=100",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		for (int k = 0; k < 6; k++)
			run(&tables[i], debugs[k]);
}

/* more than threads have bins for, and all there may be */
static void so_many_can_be_added(void **state)
{
	static struct table t = {.n = 70};
	char options[1000] = "size_add=24";

	(void)state;
	for (int i = 0; i < 30; i++) {
		char *end = options + strlen(options);

		snprintf(end, (size_t)(options + sizeof(options) - end),
			 ",size_add=%d", 1000 + 8 * i);
	}
	/* of those above 1024, eight are one */
	for (int i = 0; i < 25; i++) {
		char *end = options + strlen(options);

		snprintf(end, (size_t)(options + sizeof(options) - end),
			 ",size_add=%d", 2752 + 64 * i);
	}
	t.options = options;
	run(&t, "");
	run(&t, "default");
	run(&t, "guards");
}

/* what this thread keeps in its bins, in bytes */
static size_t kept(void)
{
	size_t sum = 0;

	for (kmem_thread_t *th = kmem_threads; th; th = th->th_next)
		for (int i = 0; i < KMEM_NCLASSES; i++)
			if (th->th_bin[i].tb_cache)
				sum += th->th_bin[i].tb_rounds *
				       th->th_bin[i].tb_cache->cache_chunksize;
	return sum;
}

static void keep(size_t size, const char *option)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		void *p[500];
		size_t most = 0;

		setenv("KMEM_OPTIONS", option, 1);
		kmem_init();
		for (size_t n = 8; n <= 32768; n += n / 4) {
			for (int i = 0; i < 500; i++)
				p[i] = kmem_malloc_impl(n, 0, KMEM_KIND_MALLOC);
			for (int i = 0; i < 500; i++)
				kmem_free_impl(p[i], KMEM_KIND_MALLOC);
			if (kept() > most)
				most = kept();
		}
		use();
		_exit(check_all()                ? 2
		      : most > size              ? 3
		      : size && most < size / 10 ? 4
						 : 0);
	}
	waitpid(pid, &status, 0);
	if (status)
		fail_msg("%s: status %x", option, (unsigned)status);
}

static void threads_keep_no_more_than_they_may(void **state)
{
	(void)state;
	keep(0, "perthread_cache=0");
	keep(16384, "perthread_cache=16k");
	keep(100000, "perthread_cache=100000");
	keep(1 << 20, "perthread_cache=1m");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_get_the_smallest_that_holds_them),
		cmocka_unit_test(so_many_can_be_added),
		cmocka_unit_test(threads_keep_no_more_than_they_may),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
