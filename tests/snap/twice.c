/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Threads that are all told to end at once: by signals from outside while they
 * allocate (term), or each by a fault of its own (crash).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 4

static pthread_barrier_t all;
static void *volatile kept[THREADS];

static void *in_work(void *arg)
{
	void *volatile *slot = arg;

	for (;;) {
		free(*slot);
		*slot = NULL;
		*slot = malloc(100);
	}
	return NULL;
}

__attribute__((noinline)) static void *in_crash(void *arg)
{
	pthread_barrier_wait(&all);
	*(volatile int *)8 = 1;
	return arg;
}

int main(int argc, char **argv)
{
	int is_term = argc > 1 && !strcmp(argv[1], "term");
	pthread_t t;

	pthread_barrier_init(&all, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&t, NULL, is_term ? in_work : in_crash,
			       (void *)&kept[i]);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
