/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * After xmalloc-test: half the threads allocate batches of blocks and hand them
 * over, the other half free them.  No block is freed where it was allocated.
 *
 * usage: xmalloc-test [PAIRS [BATCHES]]
 */
#include "bench.h"

#define BATCH 120
#define QUEUE 256 /* batches that may wait */

struct batch {
	struct batch *next;
	void *block[BATCH];
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct batch *head;
	size_t nwaiting, nleft; /* nleft: to be freed yet */
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER,
	   .changed = PTHREAD_COND_INITIALIZER};

static const size_t sizes[] = {12, 16, 24, 32, 48, 64, 96, 128, 192, 256};

struct task {
	uint32_t seed;
	size_t nbatches;
	int frees;
};

static void produce(struct task *t)
{
	for (size_t i = 0; i < t->nbatches; i++) {
		struct batch *b = must(malloc(sizeof(*b)));

		for (int k = 0; k < BATCH; k++)
			b->block[k] = make(sizes[next_random(&t->seed) % 10]);
		pthread_mutex_lock(&queue.lock);
		while (queue.nwaiting == QUEUE)
			pthread_cond_wait(&queue.changed, &queue.lock);
		b->next = queue.head;
		queue.head = b;
		if (queue.nwaiting++ == 0)
			pthread_cond_broadcast(&queue.changed);
		pthread_mutex_unlock(&queue.lock);
	}
}

static struct batch *take(void)
{
	struct batch *b = NULL;

	pthread_mutex_lock(&queue.lock);
	while (!queue.head && queue.nleft > 0)
		pthread_cond_wait(&queue.changed, &queue.lock);
	if (queue.head) {
		b = queue.head;
		queue.head = b->next;
		queue.nleft--;
		if (queue.nwaiting-- == QUEUE || queue.nleft == 0)
			pthread_cond_broadcast(&queue.changed);
	}
	pthread_mutex_unlock(&queue.lock);
	return b;
}

static void consume(void)
{
	struct batch *b;

	while ((b = take()) != NULL) {
		for (int k = 0; k < BATCH; k++)
			free(b->block[k]);
		free(b);
	}
}

static void *work(void *arg)
{
	struct task *t = arg;

	if (t->frees)
		consume();
	else
		produce(t);
	return NULL;
}

int main(int argc, char **argv)
{
	size_t npairs = arg_or(argc, argv, 1, 1);
	size_t nbatches = arg_or(argc, argv, 2, 50000) / npairs;
	struct task task[BENCH_MAX_THREADS];

	if (npairs < 1 || npairs > BENCH_MAX_THREADS / 2)
		return 2;
	queue.nleft = nbatches * npairs;
	for (size_t i = 0; i < 2 * npairs; i++)
		task[i] = (struct task){.seed = 417 + (uint32_t)i,
					.nbatches = nbatches,
					.frees = i % 2 == 1};
	run_threads(2 * npairs, work, task, sizeof(task[0]));
	printf("xmalloc-test: %zu batches\n", nbatches * npairs);
	return 0;
}
