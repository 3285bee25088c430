/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Threads that are each in a function of its own when the snapshot is taken:
 * blocked in the kernel, busy, with every signal blocked, without stack to
 * spare, on an alternate stack.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_barrier_t ready;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile long spins;

#define KEEP() __asm__ volatile("" ::: "memory")

__attribute__((noinline)) static void in_pause(void)
{
	for (;;)
		pause();
}

__attribute__((noinline)) static void in_spin(void)
{
	for (;;)
		spins++;
}

__attribute__((noinline)) static void in_poll(void)
{
	for (;;)
		poll(NULL, 0, 100000);
}

__attribute__((noinline)) static void in_lock(void)
{
	pthread_mutex_lock(&lock);
	KEEP();
}

__attribute__((noinline)) static void in_malloc(void)
{
	for (;;) {
		void *volatile p = malloc(100);

		free(p);
	}
}

__attribute__((noinline)) static void in_handler(int signo)
{
	(void)signo;
	pthread_barrier_wait(&ready);
	in_pause();
}

static void *start(void *arg)
{
	const char *name = arg;
	char stack[16384];
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};
	sigset_t all;

	pthread_setname_np(pthread_self(), name);
	if (!strcmp(name, "handler")) {
		sigaltstack(&ss, NULL);
		pthread_kill(pthread_self(), SIGUSR2);
	}
	sigfillset(&all);
	if (!strcmp(name, "blocked"))
		pthread_sigmask(SIG_BLOCK, &all, NULL);
	pthread_barrier_wait(&ready);
	if (!strcmp(name, "pause"))
		in_pause();
	if (!strcmp(name, "spin"))
		in_spin();
	if (!strcmp(name, "poll") || !strcmp(name, "blocked"))
		in_poll();
	if (!strcmp(name, "lock"))
		in_lock();
	if (!strcmp(name, "malloc"))
		in_malloc();
	return NULL;
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"pause",   "spin", "poll",
					    "blocked", "lock", "malloc",
					    "handler"};
	const int n = sizeof(names) / sizeof(names[0]);
	struct sigaction sa = {.sa_handler = in_handler,
			       .sa_flags = SA_ONSTACK};
	pthread_attr_t attr;
	pthread_t t;

	sigaction(SIGUSR2, &sa, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 << 10);
	pthread_barrier_init(&ready, NULL, n + 1);
	pthread_mutex_lock(&lock);
	for (int i = 0; i < n; i++)
		pthread_create(&t, &attr, start, (void *)names[i]);
	pthread_barrier_wait(&ready);
	/* for those that are to be in the kernel */
	usleep(100000);
	if (argc > 1 && !strcmp(argv[1], "crash"))
		*(volatile int *)8 = 1;
	return 0;
}
