/* SPDX-License-Identifier: MIT */
/*
 * The system calls the allocator makes, each of which leaves errno as it was:
 * malloc may change errno on failure only, and free never.
 */
#define _GNU_SOURCE
#include "kmem_internal.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* where glibc, since 2.26, keeps the id of a thread: bytes from its pointer */
#define GLIBC_TID 720

static __thread uint32_t self_tid;
static pid_t self_pid; /* written by the constructor and after fork */
static int is_in_tcb;  /* GLIBC_TID is true; written by the constructor */

void *kmem_sys_map(size_t bytes)
{
	int saved = errno;
	void *p;

	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	errno = saved;
	return p == MAP_FAILED ? NULL : p;
}

int kmem_sys_unmap(void *addr, size_t bytes)
{
	int saved = errno;
	int rc = munmap(addr, bytes);

	errno = saved;
	return rc;
}

int kmem_sys_protect(void *addr, size_t bytes, int is_open)
{
	int saved = errno;
	int rc;

	rc = mprotect(addr, bytes,
		      is_open ? PROT_READ | PROT_WRITE : PROT_NONE);
	errno = saved;
	return rc;
}

int kmem_sys_zero(void *addr, size_t bytes)
{
	int saved = errno;
	int rc = madvise(addr, bytes, MADV_DONTNEED);

	errno = saved;
	return rc;
}

void kmem_sys_huge(void *addr, size_t bytes)
{
	int saved = errno;

	(void)madvise(addr, bytes, MADV_HUGEPAGE); /* refused: no harm */
	errno = saved;
}

/** The id as glibc has it. */
static uint32_t tcb_tid(void)
{
	const char *tp = __builtin_thread_pointer();

	return *(const uint32_t *)(const void *)(tp + GLIBC_TID);
}

/* not from the kernel where that can be avoided: a thread may be in a sandbox
 * that kills it for asking */
uint32_t kmem_tid(void)
{
	uint32_t tid = self_tid;

	if (KM_LIKELY(is_in_tcb))
		return tcb_tid();
	if (KM_LIKELY(tid != 0))
		return tid;
	tid = (uint32_t)syscall(SYS_gettid);
	/* a child of vfork() runs on its parent's thread-local memory */
	if (getpid() == self_pid)
		self_tid = tid;
	return tid;
}

void kmem_tid_reset(void)
{
	self_tid = 0;
	self_pid = getpid();
}

__attribute__((constructor)) static void pid_init(void)
{
	self_pid = getpid();
	is_in_tcb = tcb_tid() == (uint32_t)syscall(SYS_gettid);
}

void kmem_sys_write(int fd, const char *buf, size_t bytes)
{
	int saved = errno;

	while (bytes) {
		/* not write(): that is a cancellation point */
		long n = syscall(SYS_write, fd, buf, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf += n;
		bytes -= (size_t)n;
	}
	errno = saved;
}
