/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * After rptest: threads that allocate and free blocks of 16 bytes to 16 KiB in
 * strides over their table, and every few loops give a batch of blocks to
 * another thread to free.
 *
 * usage: rptest [THREADS [LOOPS]]
 */
#include "bench.h"

#define BLOCKS 1000
#define OPS    100
#define CROSS  2  /* loops from one batch given away to the next */
#define INBOX  16 /* batches that may wait in one */
#define MIN    16
#define MAX    16000

struct batch {
	struct batch *next;
	void *block[OPS];
};

struct task {
	uint32_t seed;
	size_t index, nthreads, nloops;
};

static struct {
	struct batch *head;
	int count;
} inbox[BENCH_MAX_THREADS];

static void *block_new(uint32_t *seed)
{
	/* the square of a uniform number: small ones are more common */
	size_t r = next_random(seed) % 1024;
	size_t size = MIN + (MAX - MIN) * r / 1024 * r / 1024;
	char *p = make(size);

	for (size_t i = 0; i < size; i += 512)
		p[i] = 1;
	return p;
}

static void send(struct task *t)
{
	size_t to = (t->index + 1) % t->nthreads;
	struct batch **box = &inbox[to].head;
	struct batch *b;

	if (__atomic_load_n(&inbox[to].count, __ATOMIC_RELAXED) >= INBOX)
		return; /* that thread does not run now */
	b = must(malloc(sizeof(*b)));
	for (int i = 0; i < OPS; i++)
		b->block[i] = block_new(&t->seed);
	__atomic_fetch_add(&inbox[to].count, 1, __ATOMIC_RELAXED);
	b->next = __atomic_load_n(box, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(box, &b->next, b, 0,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

static void receive(size_t index)
{
	struct batch *b =
		__atomic_exchange_n(&inbox[index].head, NULL, __ATOMIC_ACQUIRE);

	while (b) {
		struct batch *next = b->next;

		for (int i = 0; i < OPS; i++)
			free(b->block[i]);
		free(b);
		__atomic_fetch_sub(&inbox[index].count, 1, __ATOMIC_RELAXED);
		b = next;
	}
}

static void *work(void *arg)
{
	struct task *t = arg;
	void **block = must(calloc(BLOCKS, sizeof(*block)));
	size_t at = 0;

	for (size_t loop = 0; loop < t->nloops; loop++) {
		for (int i = 0; i < OPS; i++, at = (at + 7) % BLOCKS)
			free(block[at]);
		at = (at + BLOCKS - 7 * OPS % BLOCKS) % BLOCKS;
		for (int i = 0; i < OPS; i++, at = (at + 7) % BLOCKS)
			block[at] = block_new(&t->seed);
		at = (at + next_random(&t->seed)) % BLOCKS;
		if (loop % CROSS == 0)
			send(t);
		receive(t->index);
	}
	for (size_t i = 0; i < BLOCKS; i++)
		free(block[i]);
	free(block);
	return NULL;
}

int main(int argc, char **argv)
{
	size_t nthreads = arg_or(argc, argv, 1, 2);
	size_t nloops = arg_or(argc, argv, 2, 20000);
	struct task task[BENCH_MAX_THREADS];

	if (nthreads < 1 || nthreads > BENCH_MAX_THREADS)
		return 2;
	for (size_t i = 0; i < nthreads; i++)
		task[i] = (struct task){.seed = 417 + (uint32_t)i,
					.index = i,
					.nthreads = nthreads,
					.nloops = nloops / nthreads};
	run_threads(nthreads, work, task, sizeof(task[0]));
	for (size_t i = 0; i < nthreads; i++)
		receive(i);
	printf("rptest: %zu loops\n", nloops);
	return 0;
}
