/* SPDX-License-Identifier: MIT */
/*
 * System calls that touch neither errno nor thread cancellation.
 */
#ifndef KMEM_UNWIND_SYS_H
#define KMEM_UNWIND_SYS_H

#include <sys/syscall.h>

/* returns what the kernel returns: -E... on failure */
static inline long unwind_syscall(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}

#endif
