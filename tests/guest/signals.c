/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Signal handlers that interrupt the allocator.
 *
 * usage: signals quiet MS    handlers that do not allocate (the others may not)
 *        signals jump MS     handlers that jump, out of code that allocates not
 *        signals stack MS    handlers on an alternate stack, coroutines
 *        signals alloc MS    handlers that allocate, which no program should
 *        signals altalloc MS the same on an alternate stack
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static volatile sig_atomic_t nsignals;
static volatile int is_over;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* until the time is over and there were some signals, which on a machine with
 * much to do takes longer */
static int goes_on(double end)
{
	return now() < end || (nsignals < 20 && now() < end + 20);
}

static void churn(unsigned *seed, int n)
{
	static __thread void *slot[32];

	while (n-- > 0) {
		unsigned at;
		size_t size;

		*seed = *seed * 1103515245 + 12345;
		at = *seed >> 27;
		size = *seed % 13 ? (*seed >> 8) % 900 : (*seed >> 8) % 200000;
		free(slot[at]);
		slot[at] = malloc(size + 1);
		if (!slot[at])
			abort();
		memset(slot[at], 1, size < 100 ? size : 100);
	}
	if (*seed % 64 == 0)
		for (int i = 0; i < 32; i++) {
			free(slot[i]);
			slot[i] = NULL;
		}
}

static void handler(int signo)
{
	(void)signo;
	nsignals++;
}

static void set(int signo, void (*fn)(int), int flags)
{
	struct sigaction sa = {.sa_handler = fn, .sa_flags = flags};

	sigaction(signo, &sa, NULL);
}

static void *work(void *arg)
{
	unsigned seed = (unsigned)(size_t)arg;

	while (!is_over)
		churn(&seed, 20);
	return NULL;
}

static void tick(long us)
{
	struct itimerval it = {{0, us}, {0, us}};

	setitimer(ITIMER_REAL, &it, NULL);
}

static int interrupt(int nthreads, double seconds)
{
	pthread_t thread[4];
	double end = now() + seconds;
	unsigned seed = 1;

	set(SIGALRM, handler, SA_RESTART);
	set(SIGUSR1, handler, SA_RESTART);
	for (int i = 0; i < nthreads; i++)
		if (pthread_create(&thread[i], NULL, work,
				   (void *)(size_t)(i + 2)))
			return 2;
	tick(100);
	while (goes_on(end)) {
		churn(&seed, 50);
		for (int i = 0; i < nthreads; i++)
			pthread_kill(thread[i], SIGUSR1);
	}
	tick(0);
	is_over = 1;
	for (int i = 0; i < nthreads; i++)
		pthread_join(thread[i], NULL);
	return nsignals < 20;
}

static sigjmp_buf back;

static void jump(int signo)
{
	(void)signo;
	nsignals++;
	siglongjmp(back, 1);
}

/* jumps out of loops that do not allocate, into ones that do */
static int jumps(double seconds)
{
	double end = now() + seconds;
	unsigned seed = 1;

	set(SIGALRM, jump, 0);
	while (goes_on(end)) {
		struct itimerval it = {{0, 0}, {0, 200}};

		churn(&seed, 30);
		if (sigsetjmp(back, 1) == 0) {
			setitimer(ITIMER_REAL, &it, NULL);
			for (;;)
				pause();
		}
	}
	return nsignals < 20;
}

#define NCORO      20
#define CORO_BYTES 32768

static ucontext_t coro[NCORO], home;
static int ndone;

static void body(int self)
{
	unsigned seed = (unsigned)self;

	for (int i = 0; i < 30; i++) {
		churn(&seed, 10);
		swapcontext(&coro[self], &home);
	}
	ndone++;
}

static int stacks(double seconds)
{
	double end = now() + seconds;
	stack_t ss = {.ss_size = 65536};
	char *memory[NCORO];

	ss.ss_sp = malloc(ss.ss_size);
	sigaltstack(&ss, NULL);
	set(SIGALRM, handler, SA_RESTART | SA_ONSTACK);
	tick(100);
	for (int i = 0; i < NCORO; i++) {
		memory[i] = malloc(CORO_BYTES);
		getcontext(&coro[i]);
		coro[i].uc_stack.ss_sp = memory[i];
		coro[i].uc_stack.ss_size = CORO_BYTES;
		coro[i].uc_link = &home;
		makecontext(&coro[i], (void (*)(void))body, 1, i);
	}
	for (int i = 0; i < 31; i++)
		for (int j = 0; j < NCORO; j++)
			swapcontext(&home, &coro[j]);
	while (nsignals < 20 && goes_on(end))
		free(malloc(100));
	tick(0);
	for (int i = 0; i < NCORO; i++)
		free(memory[i]);
	printf("%d coroutines ended\n", ndone);
	return nsignals < 5;
}

#define NKEPT 16

/* what the handler allocates, filled with a byte that says which it is */
static unsigned char *kept[NKEPT];
static size_t nkept[NKEPT];
static int ndamaged;

static void allocator(int signo)
{
	unsigned at = (unsigned)nsignals % NKEPT;
	int saved = errno;

	(void)signo;
	for (size_t i = 0; i < nkept[at]; i++)
		if (kept[at][i] != 0x80 + at)
			ndamaged++;
	free(kept[at]);
	nkept[at] = (size_t)(nsignals * 37) % 700;
	kept[at] = malloc(nkept[at] + 1);
	if (kept[at])
		memset(kept[at], (int)(0x80 + at), nkept[at]);
	else
		nkept[at] = 0; /* refused, since what it needs is in use */
	nsignals++;
	errno = saved;
}

/* until the end: each buffer of ours must be ours alone, the handler's its own */
static int allocates(double seconds, int flags)
{
	static unsigned char altstack[65536];
	stack_t ss = {.ss_sp = altstack, .ss_size = sizeof(altstack)};
	double end = now() + seconds;
	unsigned char *mine[64] = {NULL};
	unsigned seed = 1;

	sigaltstack(&ss, NULL);
	set(SIGALRM, allocator, SA_RESTART | flags);
	tick(100);
	while (goes_on(end)) {
		for (unsigned i = 0; i < 64; i++) {
			seed = seed * 1103515245 + 12345;
			if (mine[i] && (mine[i][0] != i || mine[i][15] != i))
				ndamaged++;
			free(mine[i]);
			mine[i] = malloc(16 + (seed >> 16) % 700);
			if (!mine[i])
				abort();
			memset(mine[i], (int)i, 16);
		}
	}
	tick(0);
	return nsignals < 20 || ndamaged > 0;
}

int main(int argc, char **argv)
{
	double seconds = argc > 2 ? atoi(argv[2]) / 1e3 : 0;
	int rc = 2;

	if (argc < 2)
		return 2;
	if (!strcmp(argv[1], "jump"))
		rc = jumps(seconds);
	else if (!strcmp(argv[1], "stack"))
		rc = stacks(seconds);
	else if (!strcmp(argv[1], "alloc"))
		rc = allocates(seconds, 0);
	else if (!strcmp(argv[1], "altalloc"))
		rc = allocates(seconds, SA_ONSTACK);
	else
		rc = interrupt(2, seconds);
	printf("%s: %d\n", argv[1], rc);
	return rc;
}
