/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Processes whose heap is damaged, which is when a snapshot is wanted most.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

__attribute__((noinline)) static void crash_here(void)
{
	*(volatile int *)8 = 1;
}

static void double_free(void)
{
	char *volatile p = malloc(100);

	free(p);
	free(p);
}

/* fills what a root symbol of the allocator names */
static void scribble(const char *symbol, int byte, size_t bytes)
{
	void *p = dlsym(RTLD_DEFAULT, symbol);

	if (!p) {
		printf("no %s\n", symbol);
		exit(99);
	}
	memset(p, byte, bytes);
}

static void *overflow(void *arg)
{
	/* the least the kernel takes, and a little for us */
	static char stack[8192];
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};

	sigaltstack(&ss, NULL);
	crash_here();
	return arg;
}

static void *free_twice(void *arg)
{
	double_free();
	return arg;
}

static void in_thread(void *(*fn)(void *))
{
	pthread_t t;

	pthread_create(&t, NULL, fn, NULL);
	pthread_join(t, NULL);
}

int main(int argc, char **argv)
{
	const char *how = argv[1];

	(void)argc;
	free(malloc(10));
	if (!strcmp(how, "double_free"))
		double_free();
	else if (!strcmp(how, "thread"))
		in_thread(free_twice);
	else if (!strcmp(how, "altstack"))
		in_thread(overflow);
	else if (!strcmp(how, "caches"))
		scribble("kmem_null_cache", 0x41, 1024);
	else if (!strcmp(how, "arenas"))
		scribble("vmem_list", 0x41, 8);
	else if (!strcmp(how, "heap"))
		scribble("vmem_heap", 0x41, 8);
	if (!strcmp(how, "caches") || !strcmp(how, "arenas") ||
	    !strcmp(how, "heap"))
		crash_here();
	return 3;
}
