/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Threads that come and go.
 *
 * usage: threads churn N    N threads; memory stays bounded
 *        threads keys N     destructors of thread-local data that allocate
 *        threads exit|quick|_exit|return   the process ends while they allocate
 *        threads small N    on the smallest stacks there are
 */
#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NATONCE 8
#define NSLOTS  64

static void *slot[NSLOTS];
static pthread_key_t key[4];
static int ndestroyed;

static long rss_kib(void)
{
	char line[200];
	long kib = -1;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

/* gets some, and puts them where another thread finds them to free */
static void churn(unsigned seed, int n)
{
	while (n-- > 0) {
		size_t size;
		char *p;

		seed = seed * 1103515245 + 12345;
		size = seed % 11 ? (seed >> 8) % 700 : (seed >> 8) % 200000;
		p = malloc(size + 1);
		if (!p)
			abort();
		p[0] = p[size] = 1;
		free(__atomic_exchange_n(&slot[(seed >> 16) % NSLOTS], p,
					 __ATOMIC_ACQ_REL));
	}
}

static void *brief(void *arg)
{
	churn((unsigned)(size_t)arg, 20);
	return NULL;
}

static void *endless(void *arg)
{
	for (unsigned i = (unsigned)(size_t)arg;; i++)
		churn(i, 100);
	return NULL;
}

static int run(void *(*fn)(void *), int n, const pthread_attr_t *attr)
{
	pthread_t t[NATONCE];

	for (int i = 0; i < n; i += NATONCE) {
		int k = n - i < NATONCE ? n - i : NATONCE;

		for (int j = 0; j < k; j++)
			if (pthread_create(&t[j], attr, fn,
					   (void *)(size_t)(i + j + 1)))
				return -1;
		for (int j = 0; j < k; j++)
			if (pthread_join(t[j], NULL))
				return -1;
	}
	return 0;
}

static int run_churn(int n)
{
	long before;
	long after;

	if (run(brief, n / 4, NULL))
		return 2;
	before = rss_kib();
	if (run(brief, n - n / 4, NULL))
		return 2;
	after = rss_kib();
	printf("%d threads, %s\n", n,
	       after - before < 8192 ? "bounded" : "memory grows");
	if (after - before >= 8192)
		printf("%ld KiB, then %ld KiB\n", before, after);
	return 0;
}

/* the value is what is left to do: destructors of glibc run four rounds */
static void destroy(void *value)
{
	char *p = value;

	if (*p > 1) {
		char *q = malloc(100 + (size_t)*p);

		*q = *p - 1;
		pthread_setspecific(key[1], q);
	}
	p = realloc(p, 3000);
	free(malloc(200000));
	free(p);
	__atomic_fetch_add(&ndestroyed, 1, __ATOMIC_RELAXED);
}

static void at_thread_exit(void *p)
{
	free(p);
	free(calloc(3, 77));
	__atomic_fetch_add(&ndestroyed, 1, __ATOMIC_RELAXED);
}

/* what thread_local of C++ is made of */
int __cxa_thread_atexit_impl(void (*fn)(void *), void *arg, void *dso);
extern void *__dso_handle;

static void *with_keys(void *arg)
{
	brief(arg);
	for (int i = 0; i < 4; i++) {
		char *p = malloc(50);

		*p = (char)i;
		pthread_setspecific(key[i], p);
	}
	__cxa_thread_atexit_impl(at_thread_exit, strdup("text"), &__dso_handle);
	if ((size_t)arg % 2)
		pthread_exit(malloc(1) ? NULL : NULL);
	return NULL;
}

static int make_keys(void)
{
	for (int i = 0; i < 4; i++)
		if (pthread_key_create(&key[i], destroy))
			return -1;
	return 0;
}

static int run_keys(int n)
{
	if (make_keys())
		return 2;
	if (run(with_keys, n, NULL))
		return 2;
	printf("%d threads, %d destructions\n", n, ndestroyed);
	return 0;
}

static void at_exit(void)
{
	churn(5, 100);
	printf("at exit\n");
	fflush(stdout);
}

static int run_end(const char *how)
{
	pthread_t t;

	for (size_t i = 1; i <= 3; i++)
		if (pthread_create(&t, NULL, endless, (void *)i))
			return 2;
	atexit(at_exit);
	at_quick_exit(at_exit);
	usleep(3000);
	churn(9, 1000);
	printf("ends by %s\n", how);
	fflush(stdout);
	if (!strcmp(how, "exit"))
		exit(5);
	if (!strcmp(how, "quick"))
		quick_exit(6);
	if (!strcmp(how, "_exit"))
		_exit(7);
	return 8;
}

static int run_small(int n)
{
	pthread_attr_t attr;
	size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN);
	int rc = make_keys();

	pthread_attr_init(&attr);
	rc |= pthread_attr_setstacksize(&attr, least);
	rc |= run(brief, n, &attr);
	pthread_attr_setstacksize(&attr, 65536);
	rc |= run(brief, n, &attr);
	rc |= run(with_keys, n, &attr);
	printf("small stacks: %s\n", rc ? "failed" : "fine");
	return rc;
}

int main(int argc, char **argv)
{
	int n = argc > 2 ? atoi(argv[2]) : 0;

	if (argc < 2)
		return 2;
	if (!strcmp(argv[1], "churn"))
		return run_churn(n);
	if (!strcmp(argv[1], "keys"))
		return run_keys(n);
	if (!strcmp(argv[1], "small"))
		return run_small(n);
	return run_end(argv[1]);
}
