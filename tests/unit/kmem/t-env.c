/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the environment may say, and what is made of it.  Options are read once
 * a process, so each case runs in a child of its own. */
#define _GNU_SOURCE
#include "check.h"

#include <sys/mman.h>
#include <sys/wait.h>

extern char **environ;

/* what a child found */
static struct found {
	int flags;
	struct kmem_options options;
	unsigned long flags_made; /* combinations caches got, as bits */
	int ninjected;
	int nfailed;      /* of 1000 */
	uint64_t pattern; /* which of the first 64 */
	char said[1000];  /* on stderr */
} * found;

/* what a function of the program answers when no variable is set */
static const char *answer_debug, *answer_options;
const char *_umem_debug_init(void);
const char *_kmem_options_init(void);

const char *_umem_debug_init(void)
{
	return answer_debug;
}

const char *_kmem_options_init(void)
{
	return answer_options;
}

/* what the flags did, in the child */
static void look_at_caches(void)
{
	for (kmem_cache_t *cp = kmem_null_cache.cache_next;
	     cp != &kmem_null_cache; cp = cp->cache_next) {
		int f = cp->cache_flags;
		int low = (f & KMF_AUDIT) | (f & KMF_DEADBEEF) |
			  (f & KMF_REDZONE) | (f & KMF_CONTENTS);

		low |= f & KMF_LITE ? 16 : 0;
		low |= f & KMF_NOMAGAZINE ? 32 : 0;
		found->flags_made |= 1UL << low;
	}
}

/* each kind of request that may fail, and which do */
static void try_to_get(void)
{
	kmem_cache_t *cp = kmem_cache_create("mine", 100, 0, NULL, NULL, NULL,
					     NULL, NULL, 0);
	void *p[6] = {
		kmem_malloc_impl(10, 0, KMEM_KIND_MALLOC),
		kmem_malloc_impl(10, 256, KMEM_KIND_MEMALIGN),
		kmem_malloc_impl(300000, 0, KMEM_KIND_MALLOC),
		kmem_malloc_impl(300000, 1 << 16, KMEM_KIND_MEMALIGN),
		kmem_alloc(100, KM_NOSLEEP),
		kmem_cache_alloc(cp, KM_NOSLEEP),
	};

	for (int i = 0; i < 6; i++)
		found->ninjected += !p[i];
	for (int i = 0; i < 1000; i++) {
		void *q = kmem_alloc(50, KM_NOSLEEP);

		found->nfailed += !q;
		if (i < 64 && !q)
			found->pattern |= 1UL << i;
		if (q)
			kmem_free(q, 50);
		/* who may wait is never failed */
		kmem_free(kmem_alloc(50, KM_SLEEP), 50);
	}
}

/* Starts the allocator in a child with an environment, NULL ended. */
static void start_with(const char **env)
{
	int fd[2];
	pid_t pid;
	int status;
	ssize_t n;

	memset(found, 0, sizeof(*found));
	assert_int_equal(pipe(fd), 0);
	pid = fork();
	if (pid == 0) {
		(void)dup2(fd[1], STDERR_FILENO);
		close(fd[1]);
		environ = (char **)(uintptr_t)env;
		kmem_init();
		found->flags = kmem_flags;
		found->options = kmem_options;
		look_at_caches();
		try_to_get();
		_exit(check_all());
	}
	close(fd[1]);
	memset(found->said, 0, sizeof(found->said));
	for (size_t at = 0; (n = read(fd[0], found->said + at,
				      sizeof(found->said) - 1 - at)) > 0;
	     at += (size_t)n)
		;
	assert_int_equal(n, 0);
	close(fd[0]);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

static void start_with_one(const char *setting)
{
	const char *env[] = {setting, NULL};

	start_with(env);
}

static void nothing_is_on_by_default(void **state)
{
	(void)state;
	start_with_one(NULL);
	assert_int_equal(found->flags, 0);
	assert_int_equal(found->options.stack_depth, 15);
	assert_int_equal(found->options.log_transaction, 0);
	assert_string_equal(found->said, "");
}

static void debug_items_set_flags(void **state)
{
	static const struct {
		const char *value;
		int flags;
	} want[] = {
		{"default", KMF_AUDIT | KMF_CONTENTS | KMF_BUFTAG},
		{"guards", KMF_BUFTAG},
		{"audit", KMF_AUDIT},
		{"audit,contents", KMF_AUDIT | KMF_CONTENTS},
		{" audit , guards ", KMF_AUDIT | KMF_BUFTAG},
		{"lite", KMF_LITE},
		{"firewall=2k", KMF_BUFTAG},
		{"AUDIT", 0},
		{"guards=1", 0},
		{"firewall", 0},
		{"audit=x", 0},
		{"audit=65", 0},
		{"", 0},
		{",,guards,", KMF_BUFTAG},
	};
	char setting[100];

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
		snprintf(setting, sizeof(setting), "KMEM_DEBUG=%s",
			 want[i].value);
		start_with_one(setting);
		assert_int_equal(found->flags, want[i].flags);
		assert_string_equal(found->said, "");
	}
}

static void values_are_read(void **state)
{
	(void)state;
	start_with_one("KMEM_DEBUG=audit=30,contents=1k,firewall=2m,"
		       "maxverify=100,mtbf=7,noabort");
	assert_int_equal(found->options.stack_depth, 30);
	assert_int_equal(found->options.content_maxsave, 1024);
	assert_int_equal(found->options.minfirewall, 2 << 20);
	assert_int_equal(found->options.maxverify, 100);
	assert_int_equal(found->options.mtbf, 7);
	assert_int_equal(found->options.no_abort, 1);
	assert_int_equal(found->options.abort_mismatch, 0);
	start_with_one("KMEM_DEBUG=default,mismatch=abort");
	assert_int_equal(found->options.abort_mismatch, 1);
	start_with_one("KMEM_DEBUG=verbose,mismatch=always");
	assert_int_equal(found->options.abort_mismatch, 0);
	assert_non_null(strstr(found->said, "'mismatch' not recognized"));
	start_with_one("KMEM_LOGGING=transaction=1M,fail,slab=0");
	assert_int_equal(found->options.log_transaction, 1 << 20);
	assert_int_equal(found->options.log_failure, 65536);
	assert_int_equal(found->options.log_slab, 0);
	start_with_one("KMEM_OPTIONS=nomagazines,concurrency=3");
	assert_int_equal(found->flags, KMF_NOMAGAZINE);
	assert_int_equal(found->options.concurrency, 3);
}

static void numbers_that_overflow_are_dropped(void **state)
{
	(void)state;
	start_with_one("KMEM_DEBUG=contents=99999999999999999999");
	assert_int_equal(found->flags, 0);
	start_with_one("KMEM_DEBUG=contents=99999999999t");
	assert_int_equal(found->flags, 0);
	start_with_one("KMEM_DEBUG=contents=-1");
	assert_int_equal(found->flags, 0);
}

static void verbose_says_all_that_was_dropped(void **state)
{
	const char *all[] = {"KMEM_DEBUG=nonsense,firewall,verbose",
			     "KMEM_OPTIONS=limit=5q", NULL};

	(void)state;
	start_with(all);
	assert_string_equal(
		found->said,
		"kmem: KMEM_DEBUG: 'nonsense' not recognized\n"
		"kmem: KMEM_DEBUG: 'firewall' Required value missing\n"
		"kmem: KMEM_OPTIONS: 'limit' not a number\n");
	all[0] = "KMEM_DEBUG=nonsense,firewall";
	start_with(all);
	assert_string_equal(found->said, "");
}

static void an_item_that_is_too_long_is_dropped(void **state)
{
	char setting[700];

	(void)state;
	/* cut off it would be a size that is right */
	snprintf(setting, sizeof(setting),
		 "KMEM_DEBUG=verbose,contents=%0501dk1", 1);
	start_with_one(setting);
	assert_int_equal(found->flags, 0);
	assert_non_null(strstr(found->said, "is too long"));
}

static void umem_names_count_when_ours_are_unset(void **state)
{
	const char *both[] = {"UMEM_DEBUG=guards", "KMEM_DEBUG=audit", NULL};
	const char *more[] = {"UMEM_DEBUG=guards",
			      "UMEM_LOGGING=transaction=128k",
			      "KMEM_DEBUGX=audit", NULL};

	(void)state;
	start_with(both);
	assert_int_equal(found->flags, KMF_AUDIT);
	start_with(more);
	assert_int_equal(found->flags, KMF_BUFTAG);
	assert_int_equal(found->options.log_transaction, 128 << 10);
}

static void every_request_that_may_fail_can(void **state)
{
	(void)state;
	start_with_one("KMEM_DEBUG=mtbf=1");
	assert_int_equal(found->ninjected, 6);
	assert_int_equal(found->nfailed, 1000);
	start_with_one("KMEM_DEBUG=default,mtbf=1");
	assert_int_equal(found->ninjected, 6);
	start_with_one("KMEM_DEBUG=guards,firewall=16,mtbf=1");
	assert_int_equal(found->ninjected, 6);
	start_with_one("KMEM_DEBUG=mtbf=10");
	assert_in_range(found->nfailed, 50, 200);
	start_with_one("KMEM_DEBUG=mtbf=0");
	assert_int_equal(found->nfailed, 0);
}

static void failures_come_again_with_the_same_seed(void **state)
{
	uint64_t first;

	(void)state;
	start_with_one("KMEM_DEBUG=mtbf=5,seed=7,verbose");
	first = found->pattern;
	assert_int_not_equal(first, 0);
	assert_string_equal(found->said, "kmem: mtbf=5,seed=7\n");
	start_with_one("KMEM_DEBUG=mtbf=5,seed=7");
	assert_int_equal(found->pattern, first);
	start_with_one("KMEM_DEBUG=mtbf=5,seed=8");
	assert_int_not_equal(found->pattern, first);
}

static void random_tries_combinations(void **state)
{
	int n = 0;

	(void)state;
	start_with_one("KMEM_DEBUG=random");
	for (int i = 0; i < 64; i++)
		n += found->flags_made >> i & 1;
	assert_true(n >= 8);
	start_with_one("KMEM_DEBUG=guards");
	for (int i = n = 0; i < 64; i++)
		n += found->flags_made >> i & 1;
	assert_true(n <= 3);
}

static void names_of_umem_are_known(void **state)
{
	static const char *const known[] = {
		"UMEM_DEBUG=verbose,random,checknull,nosignal,allverbose",
		"UMEM_OPTIONS=backend=mmap,allocator=best,concurrency=2",
		"UMEM_OPTIONS=max_contention=9,reap_interval=60",
		"UMEM_OPTIONS=perthread_cache=1m,allocator=instant",
	};
	const char *env[] = {NULL, "KMEM_DEBUG=verbose", NULL};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		env[0] = known[i];
		start_with(env);
		assert_string_equal(found->said, "");
	}
	start_with_one(known[0]);
	assert_int_equal(found->flags, KMF_RANDOMIZE | KMF_CHECKNULL |
					       KMF_AUDIT | KMF_CHECKSIGNAL);
	start_with_one("UMEM_OPTIONS=max_contention=9,reap_interval=60,"
		       "allocator=best,perthread_cache=0");
	assert_int_equal(found->options.max_contention, 9);
	assert_int_equal(found->options.reap_interval, 60);
	assert_int_equal(found->options.heap_policy, VM_BESTFIT);
	assert_int_equal(found->options.thread_cache, 0);
	env[0] = "UMEM_OPTIONS=backend=sbrk";
	start_with(env);
	assert_string_equal(
		found->said,
		"kmem: UMEM_OPTIONS: 'backend=sbrk' not supported\n");
	env[0] = "UMEM_OPTIONS=size_add=24,size_remove=24,size_clear";
	start_with(env);
	assert_string_equal(found->said, "");
	env[0] = "UMEM_OPTIONS=size_add=16,size_remove=17,size_clear=1";
	start_with(env);
	assert_string_equal(
		found->said,
		"kmem: UMEM_OPTIONS: 'size_add' is a size already\n"
		"kmem: UMEM_OPTIONS: 'size_remove' is no size\n"
		"kmem: UMEM_OPTIONS: 'size_clear' does not take a value. ignored\n");
	env[0] = "UMEM_OPTIONS=allocator=worst";
	start_with(env);
	assert_string_equal(found->said,
			    "kmem: UMEM_OPTIONS: 'allocator' not recognized\n");
}

static void flaws_are_named(void **state)
{
	static const char *const said[][2] = {
		{"nonsense", "'nonsense' not recognized"},
		{"", "'' empty option"},
		{"audit=x", "'audit' not a number"},
		{"contents=99999999999999999999", "'contents' overflowed"},
		{"firewall", "'firewall' Required value missing"},
		{"guards=1", "'guards' does not take a value. ignored"},
	};
	char setting[100], text[100];

	(void)state;
	for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++) {
		snprintf(setting, sizeof(setting), "KMEM_DEBUG=verbose,%s",
			 said[i][0]);
		snprintf(text, sizeof(text), "kmem: KMEM_DEBUG: %s\n",
			 said[i][1]);
		start_with_one(setting);
		assert_string_equal(found->said, text);
	}
}

static void the_program_may_have_the_answer(void **state)
{
	const char *env[] = {"UMEM_DEBUG=audit", NULL};

	(void)state;
	answer_debug = "guards,mtbf=3";
	answer_options = "nomagazines";
	start_with_one(NULL);
	assert_int_equal(found->flags, KMF_BUFTAG | KMF_NOMAGAZINE);
	assert_int_equal(found->options.mtbf, 3);
	start_with(env); /* the environment wins */
	assert_int_equal(found->flags, KMF_AUDIT | KMF_NOMAGAZINE);
	answer_debug = answer_options = NULL;
}

static void any_variable_can_be_looked_up(void **state)
{
	(void)state;
	setenv("KMEM_SNAPSHOT", "/tmp/a=b", 1);
	assert_string_equal(kmem_getenv("KMEM_SNAPSHOT"), "/tmp/a=b");
	assert_null(kmem_getenv("KMEM_SNAP"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_on_by_default),
		cmocka_unit_test(debug_items_set_flags),
		cmocka_unit_test(values_are_read),
		cmocka_unit_test(numbers_that_overflow_are_dropped),
		cmocka_unit_test(verbose_says_all_that_was_dropped),
		cmocka_unit_test(an_item_that_is_too_long_is_dropped),
		cmocka_unit_test(umem_names_count_when_ours_are_unset),
		cmocka_unit_test(every_request_that_may_fail_can),
		cmocka_unit_test(failures_come_again_with_the_same_seed),
		cmocka_unit_test(random_tries_combinations),
		cmocka_unit_test(names_of_umem_are_known),
		cmocka_unit_test(flaws_are_named),
		cmocka_unit_test(the_program_may_have_the_answer),
		cmocka_unit_test(any_variable_can_be_looked_up),
	};

	found = mmap(NULL, sizeof(*found), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
