/* SPDX-License-Identifier: MIT */
/*
 * System calls that go past libc: errno stays, nothing is interposed, no
 * thread is cancelled in them.  The result is that of the kernel: -errno on
 * failure.
 */
#ifndef SNAP_SYS_H
#define SNAP_SYS_H

#include <fcntl.h>
#include <sys/syscall.h>

/* what stops threads; libc lets no program block it (snap_regs.c) */
#define SNAP_STOP_SIGNAL 33

static inline long snap_sys6(long nr, long a, long b, long c, long d, long e,
			     long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "+a"(nr)
			 : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return nr;
}

/* the arguments left out are 0 */
#define snap_sys(...) SNAP_SYS_PAD(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define SNAP_SYS_PAD(nr, a, b, c, d, e, f, ...)                                \
	snap_sys6((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), \
		  (long)(f))

/** Opens a file as libc does: a filter may know no other way.  A descriptor or
 * -errno. */
static inline long snap_open(const char *path, int flags, int mode)
{
	return snap_sys(SYS_openat, AT_FDCWD, path, flags, mode);
}

#endif
