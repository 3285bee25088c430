/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Allocation patterns, timed by the CPU they use.
 *
 * usage: alloc PATTERN COUNT
 *   pairs     malloc and free of one size, one after the other
 *   random    sizes 16..1024, a live set of 10,000, replaced at random
 *   handover  one thread allocates, another frees
 *   larson    four threads replace buffers at random and hand their arrays to
 *             their successors, as a server does with its connections
 *
 * Prints: PATTERN, operations (an allocation and a free are two), CPU seconds
 * of user and system, wall seconds, peak resident KiB.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static uint32_t next_random(uint32_t *state)
{
	uint32_t x = *state;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *state = x;
}

/* a buffer that is never touched would measure something else */
static void *make(size_t size)
{
	char *p = malloc(size);

	if (!p) {
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	p[0] = p[size - 1] = 1;
	return p;
}

static void run_pairs(size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(make(64));
}

#define LIVE 10000

static void run_random(size_t count)
{
	static void *slot[LIVE];
	uint32_t seed = 417;

	for (size_t i = 0; i < count; i++) {
		uint32_t r = next_random(&seed);
		size_t k = r % LIVE;

		free(slot[k]);
		slot[k] = make(16 + (r >> 16) % 1009);
	}
	for (size_t k = 0; k < LIVE; k++)
		free(slot[k]);
}

#define RING 1024

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	void *batch[RING][64];
	unsigned head, tail; /* batches put, taken */
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER,
	  .changed = PTHREAD_COND_INITIALIZER};

static void *consume(void *arg)
{
	size_t nbatches = *(size_t *)arg;

	for (size_t i = 0; i < nbatches; i++) {
		pthread_mutex_lock(&ring.lock);
		while (ring.head == ring.tail)
			pthread_cond_wait(&ring.changed, &ring.lock);
		pthread_mutex_unlock(&ring.lock);
		for (int k = 0; k < 64; k++)
			free(ring.batch[ring.tail % RING][k]);
		pthread_mutex_lock(&ring.lock);
		ring.tail++;
		pthread_cond_signal(&ring.changed);
		pthread_mutex_unlock(&ring.lock);
	}
	return NULL;
}

static void run_handover(size_t count)
{
	size_t nbatches = count / 64;
	uint32_t seed = 417;
	pthread_t t;

	if (pthread_create(&t, NULL, consume, &nbatches) != 0)
		exit(1);
	for (size_t i = 0; i < nbatches; i++) {
		pthread_mutex_lock(&ring.lock);
		while (ring.head - ring.tail == RING)
			pthread_cond_wait(&ring.changed, &ring.lock);
		pthread_mutex_unlock(&ring.lock);
		for (int k = 0; k < 64; k++)
			ring.batch[ring.head % RING][k] =
				make(16 + next_random(&seed) % 240);
		pthread_mutex_lock(&ring.lock);
		ring.head++;
		pthread_cond_signal(&ring.changed);
		pthread_mutex_unlock(&ring.lock);
	}
	pthread_join(t, NULL);
}

#define SERVERS 4
#define SLOTS   1000
#define ROUNDS  10

struct server {
	uint32_t seed;
	size_t count;
	void *slot[SLOTS];
};

static void *serve(void *arg)
{
	struct server *s = arg;

	for (size_t i = 0; i < s->count; i++) {
		uint32_t r = next_random(&s->seed);
		size_t k = r % SLOTS;

		free(s->slot[k]);
		s->slot[k] = make(16 + (r >> 16) % 500);
	}
	return NULL;
}

static void run_larson(size_t count)
{
	static struct server server[SERVERS];
	pthread_t t[SERVERS];

	for (int i = 0; i < SERVERS; i++) {
		server[i].seed = 417 + i;
		server[i].count = count / SERVERS / ROUNDS;
	}
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < SERVERS; i++)
			if (pthread_create(&t[i], NULL, serve, &server[i]) != 0)
				exit(1);
		for (int i = 0; i < SERVERS; i++)
			pthread_join(t[i], NULL);
	}
	for (int i = 0; i < SERVERS; i++)
		for (int k = 0; k < SLOTS; k++)
			free(server[i].slot[k]);
}

static double seconds(struct timeval tv)
{
	return tv.tv_sec + tv.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(size_t count);
	} pattern[] = {
		{"pairs", run_pairs},
		{"random", run_random},
		{"handover", run_handover},
		{"larson", run_larson},
	};
	struct timespec a, b;
	struct rusage ru;
	size_t count;

	if (argc != 3)
		return 2;
	count = strtoul(argv[2], NULL, 10);
	for (size_t i = 0; i < sizeof(pattern) / sizeof(pattern[0]); i++) {
		if (strcmp(argv[1], pattern[i].name) != 0)
			continue;
		clock_gettime(CLOCK_MONOTONIC, &a);
		pattern[i].run(count);
		clock_gettime(CLOCK_MONOTONIC, &b);
		getrusage(RUSAGE_SELF, &ru);
		printf("%s %zu %.4f %.4f %ld\n", argv[1], count * 2,
		       seconds(ru.ru_utime) + seconds(ru.ru_stime),
		       (b.tv_sec - a.tv_sec) + (b.tv_nsec - a.tv_nsec) / 1e9,
		       ru.ru_maxrss);
		return 0;
	}
	return 2;
}
