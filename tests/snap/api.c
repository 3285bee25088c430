/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * kmem_snapshot() as a program calls it, and what the program is afterwards:
 * no child, no descriptor, no signal, no mapping more than before.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kmem.h"

static int failures;
static volatile int stop;
static volatile long done;

#define CHECK(x)                                                         \
	do {                                                             \
		if (!(x)) {                                              \
			failures++;                                      \
			printf("line %d: %s (errno %d)\n", __LINE__, #x, \
			       errno);                                   \
		}                                                        \
	} while (0)

static int count_dir(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int count_maps(void)
{
	char line[1000];
	FILE *f = fopen("/proc/self/maps", "r");
	int n = 0;

	while (fgets(line, sizeof(line), f))
		n++;
	fclose(f);
	return n;
}

static void *worker(void *arg)
{
	(void)arg;
	while (!stop) {
		void *p = kmem_alloc(100, KM_SLEEP);

		kmem_free(p, 100);
		done++;
	}
	return NULL;
}

static void *snapper(void *arg)
{
	for (int i = 0; i < 5; i++)
		CHECK(kmem_snapshot(arg, 0) == 0);
	return NULL;
}

static void test_plain(void)
{
	struct sigaction sa[65];
	struct sigaction now;
	struct stat st;
	int status;
	int nfds = count_dir("/proc/self/fd");
	int nmaps;

	for (int i = 1; i < 65; i++)
		sigaction(i, NULL, &sa[i]);
	CHECK(kmem_snapshot("plain.core", 0) == 0);
	CHECK(stat("plain.core", &st) == 0);
	CHECK((st.st_mode & 07777) == 0600);
	CHECK(wait(&status) == -1 && errno == ECHILD);
	CHECK(count_dir("/proc/self/fd") == nfds);
	nmaps = count_maps();
	for (int i = 0; i < 20; i++)
		CHECK(kmem_snapshot("plain.core", 0) == 0);
	CHECK(count_maps() <= nmaps + 2);
	CHECK(count_dir("/proc/self/fd") == nfds);
	for (int i = 1; i < 65; i++) {
		sigaction(i, NULL, &now);
		CHECK(i == 32 || i == 33 || now.sa_handler == sa[i].sa_handler);
	}
}

static void test_names(void)
{
	char path[100];
	struct stat st;

	CHECK(kmem_snapshot("n.%p.%c.%%.core", 0) == 0);
	snprintf(path, sizeof(path), "n.%d.api.%%.core", (int)getpid());
	CHECK(stat(path, &st) == 0);
	errno = 0;
	CHECK(kmem_snapshot(NULL, 0) == -1 && errno == EINVAL);
	CHECK(kmem_snapshot("x.core", 0x100) == -1 && errno == EINVAL);
	CHECK(kmem_snapshot("/nonexistent/x.core", 0) == -1 && errno == ENOENT);
	CHECK(kmem_snapshot("/", 0) == -1 && errno == EISDIR);
	errno = 77;
	CHECK(kmem_snapshot("errno.core", 0) == 0 && errno == 77);
	/* what is there is replaced, a link is not followed */
	CHECK(symlink("/etc/passwd", "link.core") == 0);
	CHECK(kmem_snapshot("link.core", 0) == 0);
	CHECK(lstat("link.core", &st) == 0 && S_ISREG(st.st_mode));
}

static void test_nowait(void)
{
	struct timespec tick = {0, 10000000};
	struct stat st;
	int i;

	CHECK(kmem_snapshot("nowait.core", KMEM_SNAP_NOWAIT) == 0);
	for (i = 0; i < 500 && stat("nowait.core", &st); i++)
		nanosleep(&tick, NULL);
	CHECK(i < 500);
}

static void test_threads(void)
{
	pthread_t t[4];
	long before;
	sigset_t usr1;

	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, worker, NULL);
	/* a thread that is made and ends all the time */
	for (int i = 0; i < 5; i++) {
		pthread_create(&t[3], NULL, snapper, "threads.core");
		CHECK(kmem_snapshot("main.core", 0) == 0);
		pthread_join(t[3], NULL);
	}
	before = done;
	usleep(50000);
	CHECK(done > before);
	stop = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	CHECK(pthread_sigmask(SIG_UNBLOCK, &usr1, NULL) == 0);
}

/* memory of kinds that are told apart */
static void test_memory(void)
{
	char *shared = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *sparse = mmap(NULL, (size_t)4 << 30, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *none = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	char *once = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct stat st;

	CHECK(shared != MAP_FAILED && sparse != MAP_FAILED &&
	      none != MAP_FAILED && once != MAP_FAILED);
	strcpy(shared + 5000, "in shared memory");
	strcpy(sparse + ((size_t)3 << 30), "in sparse memory");
	strcpy(once, "in memory no longer writable");
	mprotect(once, 1 << 20, PROT_READ);
	printf("shared %p\nsparse %p\nonce %p\n", shared + 5000,
	       sparse + ((size_t)3 << 30), once);
	CHECK(kmem_snapshot("memory.core", 0) == 0);
	CHECK(stat("memory.core", &st) == 0);
	CHECK(st.st_size > (off_t)4 << 30);
	CHECK(st.st_blocks * 512 < 64 << 20);
}

int main(int argc, char **argv)
{
	kmem_free(kmem_alloc(10, KM_SLEEP), 10);
	if (!strcmp(argv[1], "plain"))
		test_plain();
	else if (!strcmp(argv[1], "names"))
		test_names();
	else if (!strcmp(argv[1], "nowait"))
		test_nowait();
	else if (!strcmp(argv[1], "threads"))
		test_threads();
	else
		test_memory();
	return failures != 0;
}
