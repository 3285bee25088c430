/* SPDX-License-Identifier: MIT */
/*
 * System calls that touch neither errno nor thread cancellation.
 */
#ifndef KMEM_UNWIND_SYS_H
#define KMEM_UNWIND_SYS_H

#include <errno.h>
#include <sys/syscall.h>

#include "kmem_sandbox.h"

/* returns what the kernel returns: -E... on failure; what a sandbox kills for
 * is not tried */
static inline long unwind_syscall(long nr, long a, long b, long c, long d)
{
	long ret = -EPERM;

	if (kmem_may_call(nr)) {
		/* here, for a call in between would change it */
		register long r10 __asm__("r10") = d;

		__asm__ volatile("syscall"
				 : "=a"(ret)
				 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
				 : "rcx", "r11", "memory");
	}
	return ret;
}

#endif
