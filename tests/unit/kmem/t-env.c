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
	char said[1000]; /* on stderr */
} * found;

/* Starts the allocator in a child with an environment, NULL ended. */
static void start_with(const char **env)
{
	int fd[2];
	pid_t pid;
	int status;
	ssize_t n;

	assert_int_equal(pipe(fd), 0);
	pid = fork();
	if (pid == 0) {
		(void)dup2(fd[1], STDERR_FILENO);
		close(fd[1]);
		environ = (char **)(uintptr_t)env;
		kmem_init();
		found->flags = kmem_flags;
		found->options = kmem_options;
		_exit(check_all());
	}
	close(fd[1]);
	memset(found->said, 0, sizeof(found->said));
	n = read(fd[0], found->said, sizeof(found->said) - 1);
	assert_true(n >= 0);
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

static void verbose_says_what_was_dropped_once(void **state)
{
	(void)state;
	start_with_one("KMEM_DEBUG=nonsense,firewall,verbose");
	assert_string_equal(found->said,
			    "kmem: KMEM_DEBUG: 'nonsense' not recognized\n");
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
		cmocka_unit_test(verbose_says_what_was_dropped_once),
		cmocka_unit_test(umem_names_count_when_ours_are_unset),
		cmocka_unit_test(any_variable_can_be_looked_up),
	};

	found = mmap(NULL, sizeof(*found), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
