/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Three threads sleep, two for memory of the heap and one in an arena of the
 * program's; a snapshot is taken of them, then they are served.  Prints their
 * thread ids in the order in which they came.  A resource map has two free
 * ranges, [11, 101) and [200, 204).
 * LINK: kmem */
#define _GNU_SOURCE
#include "kmem.h"
#include "rmap.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BIG ((size_t)3 << 20)

kmem_cache_t *waited_cache;
vmem_t *waited_arena;
static volatile int nstarted;

static void *wait_for_bytes(void *arg)
{
	printf("%d\n", (int)gettid());
	nstarted = 1;
	kmem_free(kmem_alloc(BIG, KM_SLEEP), BIG);
	return arg;
}

static void *wait_for_object(void *arg)
{
	printf("%d\n", (int)gettid());
	nstarted = 2;
	kmem_cache_free(waited_cache, kmem_cache_alloc(waited_cache, KM_SLEEP));
	return arg;
}

static void *wait_for_number(void *arg)
{
	printf("%d\n", (int)gettid());
	nstarted = 3;
	vmem_free(waited_arena, vmem_alloc(waited_arena, 2, VM_SLEEP), 2);
	return arg;
}

int main(int argc, char **argv)
{
	void *(*func[])(void *) = {wait_for_bytes, wait_for_object,
				   wait_for_number};
	pthread_t thread[3];
	struct map *map = rmallocmap(8);
	void *taken[1000];
	int n = 0;

	if (argc < 2)
		return 2;
	alarm(30);
	if (!map)
		return 5;
	rmfree(map, 100, 1);
	rmfree(map, 4, 200);
	if (rmalloc(map, 10) != 1)
		return 6;
	waited_cache = kmem_cache_create("waited", 40000, 0, NULL, NULL, NULL,
					 NULL, NULL, 0);
	waited_arena = vmem_create("waited", (void *)1, 4, 1, NULL, NULL, NULL,
				   0, VM_SLEEP | VMC_IDENTIFIER);
	(void)vmem_alloc(waited_arena, 4, VM_SLEEP);
	while (n < 1000 && (taken[n] = kmem_alloc(40000, KM_NOSLEEP)))
		n++;
	for (int i = 0; i < 3; i++) {
		if (pthread_create(&thread[i], NULL, func[i], NULL) != 0)
			return 3;
		while (nstarted < i + 1)
			usleep(1000);
		usleep(100000);
	}
	if (kmem_snapshot(argv[1], 0) != 0)
		return 4;
	vmem_free(waited_arena, (void *)1, 4);
	while (n > 0)
		kmem_free(taken[--n], 40000);
	for (int i = 0; i < 3; i++)
		(void)pthread_join(thread[i], NULL);
	return 0;
}
