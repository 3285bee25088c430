/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is said, word for word, when the calls of kmem and vmem are misused: the
 * whole text on stderr, addresses, ids and times replaced and stacks left out.
 * What malloc and C++ programs get is compared in tests/kmem/reports.t.
 */
#define _GNU_SOURCE
#include "check.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static char said[8192];

/* ---- running ---- */

/* 0x7f12 is P, thread=12 is thread=T, T-0.12 is T-S; lines of frames go */
static void normalise(const char *in, char *out)
{
	while (*in) {
		const char *end = in + strcspn(in, "\n");

		if (strncmp(in, "    ", 4) == 0) {
			in = *end ? end + 1 : end;
			continue;
		}
		if (strncmp(in, "0x", 2) == 0 &&
		    strspn(in + 2, "0123456789abcdef") > 4) {
			*out++ = 'P';
			in += 2 + strspn(in + 2, "0123456789abcdef");
		} else if (strncmp(in, "thread=", 7) == 0) {
			out = stpcpy(out, "thread=T");
			in += 7 + strspn(in + 7, "0123456789");
		} else if (strncmp(in, "time=T-", 7) == 0) {
			out = stpcpy(out, "time=T-S");
			in += 7 + strspn(in + 7, "0123456789.");
		} else {
			int is_end = *in == '\n';

			*out++ = *in++;
			if (!is_end)
				continue;
		}
	}
	*out = '\0';
}

/* Runs a misuse in a child; its text is left in said.  Returns the signal that
 * ended the child, or minus its exit status. */
static int run(const char *debug, void (*misuse)(void))
{
	static char text[sizeof(said)];
	size_t used = 0;
	int fd[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	pid = fork();
	if (pid == 0) {
		struct rlimit none = {0, 0};

		(void)setrlimit(RLIMIT_CORE, &none);
		(void)dup2(fd[1], STDERR_FILENO);
		close(fd[0]);
		close(fd[1]);
		setenv("KMEM_DEBUG", debug, 1);
		(void)signal(SIGABRT, SIG_DFL); /* cmocka's */
		misuse();
		_exit(0);
	}
	close(fd[1]);
	while ((n = read(fd[0], text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(fd[0]);
	waitpid(pid, &status, 0);
	normalise(text, said);
	return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static void expect_abort(const char *debug, void (*misuse)(void),
			 const char *text)
{
	assert_int_equal(run(debug, misuse), SIGABRT);
	assert_string_equal(said, text);
}

/* ---- buffers ---- */

static kmem_cache_t *mine(const char *name, size_t bytes)
{
	return kmem_cache_create(name, bytes, 0, NULL, NULL, NULL, NULL, NULL,
				 0);
}

static void damage_a_free_tag(void)
{
	kmem_cache_t *cp = mine("mine", 64);
	char *p = kmem_cache_alloc(cp, KM_SLEEP);

	kmem_cache_free(cp, p);
	kmem_buftag_of(cp, p)->bt_bxstat ^= 0x10;
	(void)kmem_cache_alloc(cp, KM_SLEEP);
}

static void a_damaged_tag(void **state)
{
	(void)state;
	expect_abort("default", damage_a_free_tag,
		     "kernel memory allocator: boundary tag corrupted\n"
		     "bcp ^ bxstat = f4eef4fe, should be f4eef4ee\n"
		     "buffer=P  bufctl=P  cache: mine\n"
		     "thread=T  called by\n"
		     "previous transaction on buffer P:\n"
		     "thread=T  time=T-S  slab=P  cache: mine  "
		     "freed by kmem_cache_free\n"
		     "kernel heap corruption detected\n");
}

static void damage_a_bufctl(void)
{
	kmem_cache_t *cp = mine("mine", 64);
	char *p = kmem_cache_alloc(cp, KM_SLEEP);

	kmem_buftag_of(cp, p)->bt_bufctl->bc_addr = p + 8;
	kmem_cache_free(cp, p);
}

static void a_damaged_bufctl(void **state)
{
	(void)state;
	expect_abort("default", damage_a_bufctl,
		     "kernel memory allocator: bufctl corrupted\n"
		     "buffer=P  bufctl=0x0  cache: mine\n"
		     "thread=T  called by\n"
		     "kernel heap corruption detected\n");
}

static void free_to_another(void)
{
	kmem_cache_t *a = mine("cache_a", 64);
	kmem_cache_t *b = mine("cache_b", 64);

	kmem_cache_free(b, kmem_cache_alloc(a, KM_SLEEP));
}

static void the_wrong_cache(void **state)
{
	(void)state;
	expect_abort("default", free_to_another,
		     "kernel memory allocator: buffer freed to wrong cache\n"
		     "buffer was allocated from cache_a,\n"
		     "caller attempting free to cache_b.\n"
		     "buffer=P  bufctl=P  cache: cache_a\n"
		     "thread=T  called by\n"
		     "previous transaction on buffer P:\n"
		     "thread=T  time=T-S  slab=P  cache: cache_a  "
		     "allocated by kmem_cache_alloc\n"
		     "kernel heap corruption detected\n");
}

static void free_another_class(void)
{
	kmem_free(kmem_alloc(100, KM_SLEEP), 200);
}

static void the_wrong_class(void **state)
{
	(void)state;
	expect_abort("default", free_another_class,
		     "kernel memory allocator: buffer freed to wrong cache\n"
		     "buffer was allocated from kmem_alloc_112,\n"
		     "caller attempting free to kmem_alloc_224.\n"
		     "buffer=P  bufctl=P  cache: kmem_alloc_112\n"
		     "thread=T  called by\n"
		     "previous transaction on buffer P:\n"
		     "thread=T  time=T-S  slab=P  cache: kmem_alloc_112  "
		     "allocated by kmem_alloc\n"
		     "kernel heap corruption detected\n");
}

static void free_another_size(void)
{
	kmem_free(kmem_alloc(100, KM_SLEEP), 101);
}

static void free_another_large_size(void)
{
	kmem_free(kmem_alloc(300000, KM_SLEEP), 300001);
}

static void the_wrong_size(void **state)
{
	(void)state;
	expect_abort("default", free_another_size,
		     "kernel memory allocator: bad free: "
		     "free size (101) != alloc size (100)\n"
		     "buffer=P  bufctl=P  cache: kmem_alloc_112\n"
		     "thread=T  called by\n"
		     "previous transaction on buffer P:\n"
		     "thread=T  time=T-S  slab=P  cache: kmem_alloc_112  "
		     "allocated by kmem_alloc\n"
		     "kernel heap corruption detected\n");
	expect_abort("default", free_another_large_size,
		     "kernel memory allocator: bad free: "
		     "free size (300001) != alloc size (300000)\n"
		     "buffer=P  bufctl=0x0  cache: kmem_oversize\n"
		     "thread=T  called by\n"
		     "previous transaction on buffer P:\n"
		     "thread=T  time=T-S  slab=0x0  cache: kmem_oversize  "
		     "allocated by kmem_alloc\n"
		     "kernel heap corruption detected\n");
}

static void free_by_another_name(void)
{
	kmem_free_impl(kmem_alloc(100, KM_SLEEP), KMEM_KIND_MALLOC);
}

static void the_wrong_call(void **state)
{
	(void)state;
	expect_abort("audit", free_by_another_name,
		     "kernel memory allocator: mismatched free: "
		     "allocated by kmem_alloc, freed by free\n"
		     "free(P): invalid or corrupted buffer\n"
		     "buffer=P  bufctl=P  cache: kmem_alloc_112\n"
		     "thread=T  called by\n"
		     "previous transaction on buffer P:\n"
		     "thread=T  time=T-S  slab=P  cache: kmem_alloc_112  "
		     "allocated by kmem_alloc\n"
		     "kernel heap corruption detected\n");
}

static void write_behind_an_object(void)
{
	kmem_cache_t *cp = mine("mine", 40);
	char *p = kmem_cache_alloc(cp, KM_SLEEP);

	p[40] = 1;
	kmem_cache_free(cp, p);
}

static void an_object_overrun(void **state)
{
	(void)state;
	expect_abort("audit", write_behind_an_object,
		     "kernel memory allocator: "
		     "redzone violation: write past end of buffer\n"
		     "buffer=P  bufctl=P  cache: mine\n"
		     "thread=T  called by\n"
		     "previous transaction on buffer P:\n"
		     "thread=T  time=T-S  slab=P  cache: mine  "
		     "allocated by kmem_cache_alloc\n"
		     "kernel heap corruption detected\n");
}

/* an earlier transaction is known when they are logged */
static void free_twice_with_a_log(void)
{
	void *p;

	setenv("KMEM_LOGGING", "transaction", 1);
	p = kmem_alloc(100, KM_SLEEP);
	kmem_free(p, 100);
	kmem_free(p, 100);
}

static void two_transactions(void **state)
{
	(void)state;
	expect_abort("default", free_twice_with_a_log,
		     "kernel memory allocator: "
		     "duplicate free: buffer freed twice\n"
		     "buffer=P  bufctl=P  cache: kmem_alloc_112\n"
		     "thread=T  called by\n"
		     "previous transaction on buffer P:\n"
		     "thread=T  time=T-S  slab=P  cache: kmem_alloc_112  "
		     "freed by kmem_free\n"
		     "transaction before that:\n"
		     "thread=T  time=T-S  slab=P  cache: kmem_alloc_112  "
		     "allocated by kmem_alloc\n"
		     "kernel heap corruption detected\n");
}

static void without_abort(void **state)
{
	(void)state;
	assert_int_equal(run("default,noabort", free_by_another_name), 0);
	assert_null(strstr(said, "kernel heap corruption detected"));
	assert_non_null(strstr(said, "mismatched free"));
}

/* ---- caches ---- */

static void create_crooked(void)
{
	(void)kmem_cache_create("mine", 64, 24, NULL, NULL, NULL, NULL, NULL,
				0);
}

static void create_empty(void)
{
	(void)mine("mine", 0);
}

static void create_without_room(void)
{
	(void)kmem_cache_create("mine", 5000, 0, NULL, NULL, NULL, NULL, NULL,
				KMC_NOHASH);
}

static void destroy_in_use(void)
{
	kmem_cache_t *cp = mine("mine", 64);

	(void)kmem_cache_alloc(cp, KM_SLEEP);
	kmem_cache_destroy(cp);
}

static void caches_that_cannot_be(void **state)
{
	(void)state;
	expect_abort("", create_crooked,
		     "kernel memory allocator: "
		     "kmem_cache_create: bad alignment 24\n");
	expect_abort("", create_empty,
		     "kernel memory allocator: "
		     "kmem_cache_create: 'mine' has size 0\n");
	expect_abort("", create_without_room,
		     "kernel memory allocator: "
		     "kmem_cache_create: 'mine' cannot be KMC_NOHASH\n");
	assert_int_equal(run("verbose", destroy_in_use), 0);
	assert_string_equal(said,
			    "kmem: kmem_cache_destroy: 'mine' (P) not empty\n");
	assert_int_equal(run("", destroy_in_use), 0);
	assert_string_equal(said, ""); /* a guest is silent */
}

/* ---- requests for nothing ---- */

static void ask_for_no_bytes(void)
{
	const kmem_bufctl_audit_t *rec;

	setenv("KMEM_LOGGING", "zerosized", 1);
	if (kmem_alloc(0, KM_SLEEP) || kmem_alloc(0, KM_SLEEP) ||
	    kmem_alloc(0, KM_NOSLEEP))
		_exit(1);
	for (uint32_t i = 0, n = 0; i < kmem_max_ncpus; i++) {
		n += (uint32_t)kmem_zerosized_log->lh_cpu[i].clh_hits;
		if (i == kmem_max_ncpus - 1 && n != 2)
			_exit(2);
	}
	rec = (const void *)kmem_zerosized_log->lh_base;
	for (size_t i = 0; !rec->bc_timestamp && i < 1000; i++)
		rec++;
	if (rec->bc_what != KMEM_WHAT_FAIL || rec->bc_addr || !rec->bc_stack)
		_exit(3);
}

static void nothing_is_noted(void **state)
{
	(void)state;
	assert_int_equal(run("verbose", ask_for_no_bytes), 0);
	assert_string_equal(
		said, "kmem: kmem_alloc(): sleeping allocation with size of 0; "
		      "see kmem_zerosized_log for details\n");
}

/* ---- arenas ---- */

static vmem_t *ids(void)
{
	return vmem_create("ids", (void *)0x1000000, 0x100000, 0x1000, NULL,
			   NULL, NULL, 0, VM_SLEEP | VMC_IDENTIFIER);
}

static void free_what_is_free(void)
{
	vmem_free(ids(), (void *)0x1003000, 0x1000);
}

static void free_too_much(void)
{
	vmem_t *vmp = ids();

	vmem_free(vmp, vmem_alloc(vmp, 0x2000, VM_SLEEP), 0x3000);
}

static void add_crooked(void)
{
	(void)vmem_add(ids(), (void *)0x2000010, 0x1000, VM_SLEEP);
}

static void add_nothing(void)
{
	(void)vmem_add(ids(), (void *)0x2000000, 0, VM_SLEEP);
}

static void ask_for_nothing(void)
{
	(void)vmem_alloc(ids(), 0, VM_SLEEP);
}

static void ask_crooked(void)
{
	(void)vmem_xalloc(ids(), 0x1000, 0x1000, 0x10, 0, NULL, NULL, VM_SLEEP);
}

static void ask_too_much(void)
{
	(void)vmem_xalloc(ids(), 0x10000000, 0, 0, 0, NULL, NULL,
			  VM_NOSLEEP | VM_PANIC);
}

static void destroy_arena_in_use(void)
{
	vmem_t *vmp = ids();

	(void)vmem_alloc(vmp, 0x1000, VM_SLEEP);
	vmem_destroy(vmp);
}

static void arenas(void **state)
{
	(void)state;
#define PREFIX "kernel memory allocator: "
	expect_abort("", free_what_is_free,
		     PREFIX "vmem_hash_delete(P, 1003000, 4096): bad free\n");
	expect_abort("", free_too_much,
		     PREFIX "vmem_hash_delete(P, 1000000, 12288): "
			    "wrong size (expect 8192)\n");
	expect_abort("", add_crooked,
		     PREFIX "vmem_span_create(P, P, 4096): misaligned\n");
	expect_abort("", add_nothing,
		     PREFIX "vmem_add(P, P, 0): bad arguments\n");
	expect_abort("", ask_for_nothing, PREFIX "vmem_xalloc(): size == 0\n");
	expect_abort("", ask_crooked,
		     PREFIX "vmem_xalloc(P, 4096, 4096, 16, 0, 0x0, 0x0, 0): "
			    "parameters not vm_quantum aligned\n");
	expect_abort("", ask_too_much,
		     PREFIX "vmem_xalloc(P, 268435456, 4096, 0, 0, 0x0, 0x0, 3)"
			    ": cannot satisfy mandatory allocation\n");
	assert_int_equal(run("verbose", destroy_arena_in_use), 0);
	assert_string_equal(
		said, "kmem: vmem_destroy('ids'): leaked 4096 identifiers\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_damaged_tag),
		cmocka_unit_test(a_damaged_bufctl),
		cmocka_unit_test(the_wrong_cache),
		cmocka_unit_test(the_wrong_class),
		cmocka_unit_test(the_wrong_size),
		cmocka_unit_test(the_wrong_call),
		cmocka_unit_test(an_object_overrun),
		cmocka_unit_test(two_transactions),
		cmocka_unit_test(without_abort),
		cmocka_unit_test(caches_that_cannot_be),
		cmocka_unit_test(nothing_is_noted),
		cmocka_unit_test(arenas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
