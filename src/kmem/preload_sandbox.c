/* SPDX-License-Identifier: MIT */
/*
 * How the preload library learns that the process puts itself into a sandbox:
 * by prctl(), or by syscall(), which is how libseccomp and others say seccomp.
 *
 * syscall() is written as in libc, in assembly: a call that comes back on
 * another stack must find nothing of ours on it.
 */
#define _GNU_SOURCE
#include "kmem_sandbox.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>

#include "kmem_internal.h"
#include "kmem_snap.h"
#include "snap/snap_sys.h"

#define EXPORT __attribute__((visibility("default")))

/** syscall() of seccomp; called by the assembly below, as the next. */
KM_HIDDEN long kmem_syscall_watched(long nr, long a, long b, long c);
/** Sets errno; returns -1. */
KM_HIDDEN long kmem_syscall_failed(long error);

/** Notes a filter that comes next, or with NULL the strict mode. */
static void before(const struct sock_fprog *prog)
{
	if (kmem_snap_is_vforked())
		return; /* a sandbox for the child, whose memory is ours */
	if (prog)
		kmem_sandbox_filter(prog);
	else
		kmem_sandbox_strict();
	if (!kmem_snap_is_possible()) {
		kmem_hooks_stop();
		kmem_snap_give_up();
	}
}

long kmem_syscall_failed(long error)
{
	errno = (int)error;
	return -1;
}

static long done(long rc)
{
	return rc < 0 && rc > -4096 ? kmem_syscall_failed(-rc) : rc;
}

EXPORT int prctl(int option, ...)
{
	unsigned long a[4];
	va_list ap;

	va_start(ap, option);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if (option == PR_SET_SECCOMP && a[0] == SECCOMP_MODE_STRICT)
		before(NULL);
	else if (option == PR_SET_SECCOMP && a[0] == SECCOMP_MODE_FILTER &&
		 a[1])
		before((const struct sock_fprog *)a[1]);
	return (int)done(snap_sys(SYS_prctl, option, a[0], a[1], a[2], a[3]));
}

/* seccomp: what it is told, then as any other call */
long kmem_syscall_watched(long nr, long a, long b, long c)
{
	/* with other arguments it asks what the kernel knows */
	if (a == SECCOMP_SET_MODE_STRICT && b == 0 && c == 0)
		before(NULL);
	else if (a == SECCOMP_SET_MODE_FILTER && c)
		before((const struct sock_fprog *)c);
	return done(snap_sys(nr, a, b, c));
}

/* 317 is SYS_seccomp */
__asm__(".pushsection .text\n"
	".globl syscall\n"
	".type syscall, @function\n"
	"syscall:\n"
	"	.cfi_startproc\n"
	"	cmp $317, %rdi\n"
	"	je kmem_syscall_watched\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rcx, %rdx\n"
	"	mov %r8, %r10\n"
	"	mov %r9, %r8\n"
	"	mov 8(%rsp), %r9\n"
	"	syscall\n"
	"	cmp $-4095, %rax\n"
	"	jae 1f\n"
	"	ret\n"
	"1:	neg %rax\n"
	"	mov %rax, %rdi\n"
	"	jmp kmem_syscall_failed\n"
	"	.cfi_endproc\n"
	".size syscall, . - syscall\n"
	".popsection\n");
