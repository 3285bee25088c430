/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A program as they are written for libumem: a queue of requests between
 * threads.  Requests are objects with a lock and a condition that stay
 * initialised while they are free; their payloads are of any size; each has a
 * number from an arena of identifiers and a buffer aligned for a device.
 * LINK: kmem */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vmem.h>
#include <umem.h>

#define NTHREADS  4
#define NREQUESTS 4000
#define DEVICE    512

struct request {
	pthread_mutex_t lock;
	pthread_cond_t done;
	struct request *next;
	int is_done;
	unsigned long id;
	size_t size;
	unsigned char *payload;
	unsigned char *device;
	unsigned long sum;
};

static umem_cache_t *request_cache;
static vmem_t *id_arena;
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_cv = PTHREAD_COND_INITIALIZER;
static struct request *queue;
static int is_over;
static long nmade, nunmade; /* queue_lock */
static unsigned long total;

static int request_constructor(void *buf, void *arg, int flags)
{
	struct request *r = buf;

	(void)flags;
	(void)pthread_mutex_init(&r->lock, NULL);
	(void)pthread_cond_init(&r->done, NULL);
	__atomic_fetch_add((long *)arg, 1, __ATOMIC_RELAXED);
	return 0;
}

static void request_destructor(void *buf, void *arg)
{
	struct request *r = buf;

	(void)arg;
	(void)pthread_mutex_destroy(&r->lock);
	(void)pthread_cond_destroy(&r->done);
	__atomic_fetch_add(&nunmade, 1, __ATOMIC_RELAXED);
}

static void *serve(void *arg)
{
	for (;;) {
		struct request *r;

		(void)pthread_mutex_lock(&queue_lock);
		while (!queue && !is_over)
			(void)pthread_cond_wait(&queue_cv, &queue_lock);
		r = queue;
		if (r)
			queue = r->next;
		(void)pthread_mutex_unlock(&queue_lock);
		if (!r)
			return arg;
		(void)pthread_mutex_lock(&r->lock);
		r->sum = 0;
		for (size_t i = 0; i < r->size; i++)
			r->sum += r->payload[i];
		memset(r->device, 0xdd, DEVICE);
		r->is_done = 1;
		(void)pthread_cond_signal(&r->done);
		(void)pthread_mutex_unlock(&r->lock);
	}
}

static struct request *request_create(unsigned *seed)
{
	struct request *r = umem_cache_alloc(request_cache, UMEM_NOFAIL);

	*seed = *seed * 1103515245 + 12345;
	r->size = 1 + (*seed >> 8) % 20000;
	r->payload = umem_alloc(r->size, UMEM_NOFAIL);
	memset(r->payload, 3, r->size);
	r->device = umem_alloc_align(DEVICE, DEVICE, UMEM_NOFAIL);
	if ((uintptr_t)r->device % DEVICE)
		exit(2);
	r->id = (unsigned long)(uintptr_t)vmem_alloc(id_arena, 1, VM_SLEEP);
	r->is_done = 0;
	return r;
}

static void request_destroy(struct request *r)
{
	vmem_free(id_arena, (void *)(uintptr_t)r->id, 1);
	umem_free_align(r->device, DEVICE);
	umem_free(r->payload, r->size);
	umem_cache_free(request_cache, r);
}

static void *ask(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < NREQUESTS; i++) {
		struct request *r = request_create(&seed);

		(void)pthread_mutex_lock(&queue_lock);
		r->next = queue;
		queue = r;
		(void)pthread_cond_signal(&queue_cv);
		(void)pthread_mutex_unlock(&queue_lock);
		(void)pthread_mutex_lock(&r->lock);
		while (!r->is_done)
			(void)pthread_cond_wait(&r->done, &r->lock);
		(void)pthread_mutex_unlock(&r->lock);
		if (r->sum != 3 * r->size || r->id == 0 || r->id > NTHREADS)
			exit(1);
		__atomic_fetch_add(&total, r->size, __ATOMIC_RELAXED);
		request_destroy(r);
		if (i % 1000 == 0)
			umem_reap();
	}
	return NULL;
}

int main(void)
{
	pthread_t server[NTHREADS], client[NTHREADS];

	request_cache = umem_cache_create(
		"request", sizeof(struct request), 0, request_constructor,
		request_destructor, NULL, &nmade, NULL, 0);
	id_arena = vmem_create("request_id", (void *)1, NTHREADS, 1, NULL, NULL,
			       NULL, 0, VM_SLEEP | VMC_IDENTIFIER);
	if (!request_cache || !id_arena)
		return 3;
	for (uintptr_t i = 0; i < NTHREADS; i++) {
		(void)pthread_create(&server[i], NULL, serve, NULL);
		(void)pthread_create(&client[i], NULL, ask, (void *)(i + 1));
	}
	for (int i = 0; i < NTHREADS; i++)
		(void)pthread_join(client[i], NULL);
	(void)pthread_mutex_lock(&queue_lock);
	is_over = 1;
	(void)pthread_cond_broadcast(&queue_cv);
	(void)pthread_mutex_unlock(&queue_lock);
	for (int i = 0; i < NTHREADS; i++)
		(void)pthread_join(server[i], NULL);
	umem_cache_destroy(request_cache);
	vmem_destroy(id_arena);
	printf("%d requests, %lu bytes, %s\n", NTHREADS * NREQUESTS, total,
	       nmade == nunmade && nmade >= 1 ? "all undone" : "not undone");
	return 0;
}
