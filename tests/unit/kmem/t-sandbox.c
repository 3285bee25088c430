/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a filter of system calls kills for: as the kernel does. */
#define _GNU_SOURCE
#include "check.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kmem_sandbox.h"

#define NR                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define RET(what)         BPF_STMT(BPF_RET | BPF_K, (what))
#define JUMP(op, k, t, f) BPF_JUMP(BPF_JMP | (op) | BPF_K, (k), (t), (f))

/* what lists of today leave out: libc has not called it since 2017 */
static struct sock_filter modern[] = {
	NR,
	JUMP(BPF_JEQ, SYS_open, 0, 1),
	RET(SECCOMP_RET_KILL_PROCESS),
	RET(SECCOMP_RET_ALLOW),
};

/* harmless, without arguments, and none that the end of a process needs */
static const int calls[] = {SYS_getpid,  SYS_gettid,  SYS_getuid,
			    SYS_getppid, SYS_getegid, SYS_sched_yield,
			    SYS_getpgrp};

/* an allow-list; a jump over a range; arithmetic and scratch memory; errors */
static struct sock_filter listed[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
	JUMP(BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0),
	RET(SECCOMP_RET_KILL_PROCESS),
	NR,
	JUMP(BPF_JGE, 0x40000000, 3, 0),
	JUMP(BPF_JEQ, SYS_getpid, 3, 0),
	JUMP(BPF_JEQ, SYS_getuid, 2, 0),
	JUMP(BPF_JEQ, SYS_exit_group, 1, 0),
	RET(SECCOMP_RET_KILL_PROCESS),
	RET(SECCOMP_RET_ALLOW),
};
static struct sock_filter ranges[] = {
	NR,
	JUMP(BPF_JGT, SYS_getppid, 0, 2),
	JUMP(BPF_JEQ, SYS_exit_group, 1, 0),
	RET(SECCOMP_RET_TRAP),
	JUMP(BPF_JSET, 1, 1, 0),
	RET(SECCOMP_RET_ERRNO | 1),
	RET(SECCOMP_RET_ALLOW),
};
static struct sock_filter sums[] = {
	NR,
	BPF_STMT(BPF_ST, 3),
	BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 3),
	BPF_STMT(BPF_MISC | BPF_TAX, 0),
	BPF_STMT(BPF_LD | BPF_MEM, 3),
	BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
	BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 2),
	BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, SYS_gettid),
	JUMP(BPF_JEQ, 0, 0, 1),
	RET(SECCOMP_RET_KILL_THREAD),
	RET(SECCOMP_RET_ALLOW),
};

/* does the kernel kill a process with the filter for the call? */
static int kills(const struct sock_fprog *prog, int nr)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGSYS, SIG_DFL); /* cmocka has a handler */
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, prog))
			_exit(99);
		syscall(nr);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		assert_int_equal(WEXITSTATUS(status), 0);
	return !WIFEXITED(status);
}

/* the same by ours, in a process of its own: what is forbidden stays so */
static int is_forbidden(const struct sock_fprog *prog, int nr)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		kmem_sandbox_filter(prog);
		_exit(!kmem_may_call(nr));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void agree(struct sock_filter *code, size_t n, int want)
{
	struct sock_fprog prog = {(unsigned short)n, code};
	int nkilled = 0;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int is_killed = kills(&prog, calls[i]);

		assert_int_equal(is_forbidden(&prog, calls[i]), is_killed);
		nkilled += is_killed;
	}
	assert_int_equal(nkilled, want);
}

static void an_allow_list_is_read(void **state)
{
	(void)state;
	agree(listed, sizeof(listed) / sizeof(*listed), 5);
}

static void ranges_and_errors_are_read(void **state)
{
	(void)state;
	/* getpgrp and gettid are above getppid */
	agree(ranges, sizeof(ranges) / sizeof(*ranges), 2);
}

static void arithmetic_is_read(void **state)
{
	(void)state;
	agree(sums, sizeof(sums) / sizeof(*sums), 1);
}

static void filters_add_up(void **state)
{
	struct sock_fprog one = {sizeof(listed) / sizeof(*listed), listed};
	struct sock_fprog two = {sizeof(sums) / sizeof(*sums), sums};

	(void)state;
	assert_true(kmem_may_call(SYS_gettid));
	kmem_sandbox_filter(&two);
	assert_false(kmem_may_call(SYS_gettid));
	assert_true(kmem_may_call(SYS_sched_yield));
	kmem_sandbox_filter(&one);
	assert_false(kmem_may_call(SYS_gettid));
	assert_false(kmem_may_call(SYS_sched_yield));
	assert_true(kmem_may_call(SYS_getuid));
	kmem_sandbox_strict();
	assert_false(kmem_may_call(SYS_getuid));
}

static void who_starts_in_a_sandbox_opens_as_libc_does(void **state)
{
	struct sock_fprog prog = {sizeof(modern) / sizeof(*modern), modern};
	int status = -1;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		signal(SIGSYS, SIG_DFL); /* cmocka has a handler */
		setenv("KMEM_DEBUG", "default,firewall=2000", 1);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
			_exit(99);
		execl("/proc/self/exe", "t-sandbox", "start", NULL);
		_exit(98);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_allow_list_is_read),
		cmocka_unit_test(ranges_and_errors_are_read),
		cmocka_unit_test(arithmetic_is_read),
		cmocka_unit_test(filters_add_up),
		cmocka_unit_test(who_starts_in_a_sandbox_opens_as_libc_does),
	};

	if (argc == 2 && strcmp(argv[1], "start") == 0) {
		kmem_init();
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
