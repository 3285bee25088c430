/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A process with a heap of a given size that snapshots itself.
 *
 * usage: heap MIB [DUMP]
 *
 * A second thread looks at the clock all the time; the longest time between two
 * looks during the snapshot is the pause the program feels.  With a DUMP:
 * prints pause in milliseconds, milliseconds until the file is complete, and
 * its bytes.  Without: prints "ready" and waits for its standard input to
 * close, so that somebody else may take the core.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static volatile int stop;
static volatile uint64_t longest_ns;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + ts.tv_nsec;
}

static void *watch(void *arg)
{
	uint64_t last = now_ns();

	(void)arg;
	while (!stop) {
		uint64_t now = now_ns();

		if (now - last > longest_ns)
			longest_ns = now - last;
		last = now;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	enum {
		SIZE = 16384
	};
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) * (1048576 / SIZE) : 0;
	int (*snapshot)(const char *path, int flags);
	uint64_t start, idle_ns, pause_ns, all_ns;
	pthread_t t;
	struct stat st;
	char **v;

	v = calloc(n + 1, sizeof(*v));
	for (size_t i = 0; i < n; i++) {
		v[i] = malloc(SIZE);
		if (!v[i])
			return 1;
		memset(v[i], (int)(i % 255) + 1, SIZE);
	}
	if (argc < 3) {
		printf("ready\n");
		fflush(stdout);
		while (getchar() != EOF)
			;
		return 0;
	}
	snapshot = (int (*)(const char *, int))dlsym(RTLD_DEFAULT,
						     "kmem_snapshot");
	if (!snapshot) {
		fprintf(stderr, "no libkmem in this process\n");
		return 1;
	}
	if (pthread_create(&t, NULL, watch, NULL) != 0)
		return 1;
	usleep(200000);
	idle_ns = longest_ns; /* what the scheduler alone does */
	longest_ns = 0;
	start = now_ns();
	if (snapshot(argv[2], 0) != 0) {
		perror("kmem_snapshot");
		return 1;
	}
	all_ns = now_ns() - start;
	pause_ns = longest_ns;
	stop = 1;
	pthread_join(t, NULL);
	if (stat(argv[2], &st) != 0)
		return 1;
	printf("%.2f %.2f %.1f %lld\n", pause_ns / 1e6, idle_ns / 1e6,
	       all_ns / 1e6, (long long)st.st_size);
	return 0;
}
