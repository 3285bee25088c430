/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Threads that wait for this and that, each with variables of its own. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

__thread int own = 5;
static __thread volatile long hidden[4];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t other = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t sem;
static int nready;

static void ready(int n)
{
	own = n;
	hidden[1] = n * 100;
	errno = n;
	__atomic_add_fetch(&nready, 1, __ATOMIC_SEQ_CST);
}

static void *locker(void *arg)
{
	ready((int)(long)arg);
	pthread_mutex_lock(&mutex);
	return NULL;
}

static void *waiter(void *arg)
{
	pthread_mutex_lock(&other);
	ready((int)(long)arg);
	pthread_cond_wait(&cond, &other);
	return NULL;
}

static void *poster(void *arg)
{
	ready((int)(long)arg);
	sem_wait(&sem);
	return NULL;
}

int main(void)
{
	void *(*const work[])(void *) = {locker, locker, locker, waiter,
					 poster};
	pthread_t t;

	own = 2;
	errno = ENOENT;
	pthread_mutex_lock(&mutex);
	sem_init(&sem, 0, 0);
	for (long i = 0; i < 5; i++)
		pthread_create(&t, NULL, work[i], (void *)(i + 10));
	while (__atomic_load_n(&nready, __ATOMIC_SEQ_CST) < 5)
		usleep(1000);
	usleep(100000);
	errno = ENOENT;
	abort();
}
