/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * malloc and its relations as glibc defines them.  Runs under the preload
 * library, and without it to show that the expectations are glibc's.  Prints
 * TAP.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* a failing reallocarray() gives nothing up, which the compiler does not know */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wuse-after-free"
#endif

extern void *__libc_memalign(size_t align, size_t size);

static int count, failed;

static void ok(int good, const char *name)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++count, name);
	failed |= !good;
}

/* hides a value from the compiler */
static size_t opaque(size_t n)
{
	__asm__ volatile("" : "+r"(n));
	return n;
}

static int is_filled(const unsigned char *p, int c, size_t n)
{
	while (n--)
		if (p[n] != c)
			return 0;
	return 1;
}

static void test_sizes(void)
{
	int aligned = 1, usable = 1, whole = 1, moved = 1;
	unsigned char *p;
	size_t n;

	for (n = 0; n < 5000; n++) {
		p = malloc(n);
		aligned &= p && (uintptr_t)p % 16 == 0;
		usable &= malloc_usable_size(p) >= n;
		memset(p, 0x5a, malloc_usable_size(p));
		free(p);
	}
	ok(aligned, "malloc: every size is 16-byte aligned");
	ok(usable, "malloc_usable_size: at least what was asked for");
	p = NULL;
	for (n = 1; n < (size_t)3 << 20; n += 1 + n / 7) {
		p = realloc(p, n);
		moved &= p != NULL;
		p[n - 1] = 1;
	}
	free(p);
	ok(moved, "realloc: grows to megabytes");
	for (n = 1; n < (size_t)1 << 20; n = n * 3 + 1) {
		p = malloc(n);
		memset(p, 0x77, n);
		p = realloc(p, n * 2);
		whole &= is_filled(p, 0x77, n);
		p = realloc(p, n / 3 + 1);
		whole &= is_filled(p, 0x77, n / 3 + 1);
		free(p);
	}
	ok(whole, "realloc: keeps the contents both ways");
	ok(malloc_usable_size(NULL) == 0, "malloc_usable_size: of NULL is 0");
}

static void test_zero(void)
{
	void *a = malloc(opaque(0)), *b = malloc(opaque(0));
	void *p;

	ok(a && b && a != b, "malloc(0): pointers of their own");
	p = realloc(NULL, opaque(0));
	ok(p && p != a, "realloc(NULL, 0): as malloc(0)");
	errno = 0;
	ok(realloc(a, opaque(0)) == NULL && errno == 0,
	   "realloc(p, 0): frees and returns NULL");
	free(b);
	free(p);
	p = calloc(opaque(0), 10);
	ok(p != NULL, "calloc(0, n): a pointer");
	free(p);
	free(NULL);
	ok(1, "free(NULL): nothing");
}

static void test_calloc(void)
{
	static const size_t sizes[] = {1,    24,     64,      1000,   4096,
				       9000, 100000, 1 << 20, 5 << 20};
	int zeroed = 1, again;
	unsigned char *p;
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (again = 0; again < 20; again++) {
			p = calloc(1, sizes[i]);
			zeroed &= is_filled(p, 0, sizes[i]);
			memset(p, 0xff, sizes[i]);
			free(p);
		}
	ok(zeroed, "calloc: zeroed, also when memory is used again");
	errno = 0;
	ok(!calloc(opaque(SIZE_MAX / 2), 3) && errno == ENOMEM,
	   "calloc: overflow is ENOMEM");
	errno = 0;
	ok(!reallocarray(NULL, opaque(SIZE_MAX / 2), 3) && errno == ENOMEM,
	   "reallocarray: overflow is ENOMEM");
	p = reallocarray(NULL, 7, 11);
	ok(p != NULL, "reallocarray: allocates");
	errno = 0;
	ok(!reallocarray(p, opaque(SIZE_MAX), 2) && errno == ENOMEM,
	   "reallocarray: failing leaves the buffer");
	memset(p, 1, 77);
	free(p);
}

static void test_too_much(void)
{
	size_t absurd = opaque((size_t)PTRDIFF_MAX + 1);
	unsigned char *p = malloc(40);

	errno = 0;
	ok(!malloc(absurd) && errno == ENOMEM,
	   "malloc: above PTRDIFF_MAX is ENOMEM");
	errno = 0;
	ok(!malloc(opaque(PTRDIFF_MAX)) && errno == ENOMEM,
	   "malloc: PTRDIFF_MAX is ENOMEM");
	errno = 0;
	ok(!malloc(opaque(SIZE_MAX)) && errno == ENOMEM,
	   "malloc: SIZE_MAX is ENOMEM");
	memset(p, 0x31, 40);
	errno = 0;
	ok(!realloc(p, absurd) && errno == ENOMEM && is_filled(p, 0x31, 40),
	   "realloc: failing leaves the buffer");
	free(p);
	errno = 0;
	ok(!aligned_alloc(64, absurd) && errno == ENOMEM,
	   "aligned_alloc: too much is ENOMEM");
	errno = 0;
	ok(!pvalloc(opaque(SIZE_MAX)) && errno == ENOMEM,
	   "pvalloc: too much is ENOMEM");
	errno = 0;
	ok(!valloc(opaque(SIZE_MAX)) && errno == ENOMEM,
	   "valloc: too much is ENOMEM");
	errno = 0;
	ok(!memalign(opaque((size_t)PTRDIFF_MAX + 2), 8) && errno == EINVAL,
	   "memalign: an absurd alignment is EINVAL");
}

static void test_aligned(void)
{
	int aligned = 1, whole = 1;
	size_t align, n;
	void *p;

	for (align = 1; align <= (size_t)4 << 20; align *= 2)
		for (n = 0; n < 300000; n = n * 5 + 1) {
			p = memalign(align, n);
			aligned &= p && (uintptr_t)p % align == 0 &&
				   (uintptr_t)p % 16 == 0;
			aligned &= malloc_usable_size(p) >= n;
			memset(p, 0x21, n);
			if (n % 3 == 1) {
				p = realloc(p, n + 100);
				whole &= is_filled(p, 0x21, n);
			}
			free(p);
		}
	ok(aligned, "memalign: every power of two up to 4 MiB");
	ok(whole, "realloc: of aligned memory keeps it");
	p = memalign(opaque(24), 100);
	ok(p && (uintptr_t)p % 32 == 0, "memalign: 24 means 32");
	free(p);
	p = aligned_alloc(opaque(48), 100);
	ok(p && (uintptr_t)p % 64 == 0, "aligned_alloc: 48 means 64");
	free(p);
	p = __libc_memalign(256, 100);
	ok(p && (uintptr_t)p % 256 == 0, "__libc_memalign");
	free(p);
	p = valloc(100);
	ok(p && (uintptr_t)p % 4096 == 0, "valloc: a page boundary");
	free(p);
	p = pvalloc(4097);
	ok(p && (uintptr_t)p % 4096 == 0 && malloc_usable_size(p) >= 8192,
	   "pvalloc: whole pages");
	free(p);
}

static void test_posix_memalign(void)
{
	void *const before = &count;
	void *p = before;

	errno = 77;
	ok(posix_memalign(&p, opaque(4), 8) == EINVAL && p == before,
	   "posix_memalign: less than a pointer is EINVAL");
	ok(posix_memalign(&p, opaque(24), 8) == EINVAL && p == before,
	   "posix_memalign: no power of two is EINVAL");
	ok(posix_memalign(&p, opaque(0), 8) == EINVAL && p == before,
	   "posix_memalign: 0 is EINVAL");
	ok(errno == 77, "posix_memalign: EINVAL leaves errno");
	ok(posix_memalign(&p, 64, opaque(SIZE_MAX)) == ENOMEM && p == before,
	   "posix_memalign: too much is ENOMEM, pointer untouched");
	ok(posix_memalign(&p, 8, 100) == 0 && (uintptr_t)p % 8 == 0,
	   "posix_memalign: 8");
	free(p);
	ok(posix_memalign(&p, 4096, 0) == 0 && (uintptr_t)p % 4096 == 0,
	   "posix_memalign: size 0");
	free(p);
}

static void test_errno(void)
{
	void *p[64];
	size_t i;

	errno = 123;
	for (i = 0; i < 64; i++)
		p[i] = malloc(opaque((size_t)1 << (i % 23)));
	for (i = 0; i < 64; i++)
		p[i] = realloc(p[i], opaque((size_t)1 << (i * 7 % 23)));
	ok(errno == 123, "errno: success leaves it");
	for (i = 0; i < 64; i++)
		free(p[i]);
	ok(errno == 123, "errno: free leaves it");
}

static void test_tuning(void)
{
	struct mallinfo2 info = mallinfo2();
	int pipes[2], saved = dup(2);
	char c;

	ok(info.uordblks + info.fordblks == info.arena,
	   "mallinfo2: what is in use and what is free is all");
	ok(mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1, "mallopt: 1");
	(void)malloc_trim(0);
	if (pipe(pipes) != 0)
		return;
	dup2(pipes[1], 2);
	malloc_stats();
	dup2(saved, 2);
	close(pipes[1]);
	ok(read(pipes[0], &c, 1) == 1 && c == 'A', "malloc_stats: says it");
	close(pipes[0]);
	close(saved);
}

/* many threads pass buffers to each other; each is filled by one and checked
 * by another */
#define NTHREADS 4
#define NSLOTS   256
static unsigned char *volatile slot[NSLOTS];
static int is_damaged;

static void *worker(void *arg)
{
	uint64_t s = (uint64_t)(uintptr_t)arg * 0x9e3779b97f4a7c15ULL + 1;
	int i;

	for (i = 0; i < 20000; i++) {
		unsigned char *p, *old;
		size_t n;

		s = s * 6364136223846793005ULL + 1442695040888963407ULL;
		n = (s >> 33) % ((s >> 60) == 0 ? 40000 : 700) + 2;
		p = s >> 59 & 1 ? malloc(n) : calloc(1, n);
		memset(p, (int)(n & 0xff), n);
		p[0] = (unsigned char)n;
		old = __atomic_exchange_n(&slot[s >> 40 & (NSLOTS - 1)], p,
					  __ATOMIC_ACQ_REL);
		if (old && old[1] != old[0])
			is_damaged = 1;
		free(old);
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t t[NTHREADS];
	int i, status = -1;
	pid_t pid;

	for (i = 0; i < NTHREADS; i++)
		pthread_create(&t[i], NULL, worker, (void *)(intptr_t)i);
	/* a child forked amid it has a heap that works */
	pid = fork();
	if (pid == 0) {
		worker((void *)(intptr_t)9);
		_exit(is_damaged);
	}
	if (waitpid(pid, &status, 0) != pid)
		status = -1;
	for (i = 0; i < NTHREADS; i++)
		pthread_join(t[i], NULL);
	ok(!is_damaged, "threads: no buffer is damaged");
	ok(status == 0, "threads: nor in a child forked meanwhile");
	for (i = 0; i < NSLOTS; i++)
		free((void *)slot[i]);
}

/* all the memory there is, in pieces of one size; then free it and go on */
static int exhaust(size_t size)
{
	void **list = NULL, **p, *q;
	int n = 0;

	for (;;) {
		errno = 0;
		p = malloc(size);
		if (!p)
			break;
		*p = list;
		list = p;
		n++;
	}
	if (errno != ENOMEM || (size_t)n * size < (size_t)16 << 20)
		return 1;
	for (; list; list = p) {
		p = *list;
		free(list);
	}
	for (n = 0; n < 1000; n++) {
		q = calloc(1, size);
		if (!q)
			return 2;
		free(q);
	}
	return 0;
}

static void test_exhausted(size_t size, const char *name)
{
	struct rlimit as = {(size_t)160 << 20, (size_t)160 << 20};
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		if (setrlimit(RLIMIT_AS, &as) != 0)
			_exit(3);
		_exit(exhaust(size));
	}
	if (waitpid(pid, &status, 0) != pid)
		status = -1;
	if (status)
		printf("# status 0x%x\n", (unsigned)status);
	ok(status == 0, name);
}

/* after exit handlers, when much of libc is gone already */
static void __attribute__((destructor)) late(void)
{
	free(realloc(malloc(100), 5000));
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_sizes();
	test_zero();
	test_calloc();
	test_too_much();
	test_aligned();
	test_posix_memalign();
	test_errno();
	test_tuning();
	test_threads();
	test_exhausted((size_t)1 << 20, "no memory: large buffers");
	test_exhausted(6000, "no memory: buffers of a page or so");
	test_exhausted(64, "no memory: small buffers");
	printf("1..%d\n", count);
	return failed;
}
