/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Random operations on the allocator against a shadow model (model.h).
 *
 *   model [-s SEED] [-n OPERATIONS] [-j THREADS] [-r ROUNDS] [-t SECONDS]
 *         [-f] [-d DUMP]
 *
 * A round starts the threads, lets each do its operations and joins them; then
 * the allocator's structures are checked against themselves and against the
 * model.  -f: now and then a thread forks, and the child uses and checks what it
 * inherited.  -d: writes a snapshot before the end, and the live and the free
 * buffers on stdout.  The seed is printed; with one thread it decides all.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "model.h"
#include "verify.h"

struct slot slots[NSLOTS];
int may_fail, has_limit, may_fork;
long live_bytes;

static struct {
	unsigned long seed, nops, nrounds, nseconds;
	unsigned nthreads;
	const char *dump;
} opt = {.nops = 20000, .nrounds = 2, .nthreads = 1};

#define LIMITED_BYTES (16L << 20)

uint64_t draw(struct worker *w)
{
	uint64_t x = w->state += 0x9e3779b97f4a7c15UL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9UL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebUL;
	return x ^ (x >> 31);
}

static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value ? value : "";
}

void fail(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "model: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr,
		"\nagain: KMEM_DEBUG='%s' KMEM_LOGGING='%s' KMEM_OPTIONS='%s' "
		"model -s %lu -n %lu -j %u -r %lu%s\n",
		env("KMEM_DEBUG"), env("KMEM_LOGGING"), env("KMEM_OPTIONS"),
		opt.seed, opt.nops, opt.nthreads, opt.nrounds,
		may_fork ? " -f" : "");
	abort();
}

int slot_take(struct slot *s)
{
	return __atomic_exchange_n(&s->lock, 1, __ATOMIC_ACQUIRE) == 0;
}

void slot_give(struct slot *s)
{
	__atomic_store_n(&s->lock, 0, __ATOMIC_RELEASE);
}

/* ---- content ---- */

#define EDGE ((size_t)2048) /* of a large buffer both ends are written */

static uint64_t word_at(uint64_t tag, size_t i)
{
	return (tag + i) * 0xd1342543de82ef95UL | 1;
}

/** Visits the words of a slot's content; returns the first that differs, or
 * bytes. */
static size_t content(const struct slot *s, uint64_t tag, int is_write)
{
	size_t n = s->bytes;

	for (size_t i = 0; i < n; i += 8) {
		uint64_t want;
		size_t len;

		if (i == EDGE && n > 2 * EDGE + 8 && !s->is_whole)
			i = (n - EDGE) & ~(size_t)7;
		want = word_at(tag, i);
		len = n - i < 8 ? n - i : 8;
		if (is_write)
			memcpy((char *)s->p + i, &want, len);
		else if (memcmp((char *)s->p + i, &want, len) != 0)
			return i;
	}
	return n;
}

/* the first 16 bytes of an object are its head */
static struct slot body(const struct slot *s)
{
	struct slot b = {.p = s->p, .bytes = s->bytes, .is_whole = s->is_whole};

	if (s->kind == OBJECT) {
		b.p = (char *)s->p + 16;
		b.bytes = s->bytes - 16;
	}
	return b;
}

void content_fill(struct slot *s, uint64_t tag)
{
	struct slot b = body(s);

	s->tag = tag;
	(void)content(&b, tag, 1);
}

void content_check(const struct slot *s)
{
	struct slot b = body(s);
	size_t at = content(&b, s->tag, 0);

	if (at != b.bytes)
		fail("%p, kind %d, %zu bytes, cache %u: changed at %zu", s->p,
		     s->kind, s->size, s->which, at);
}

/* ---- operations ---- */

static void fill_slot(struct worker *w, struct slot *s)
{
	size_t percent = below(w, 100);

	if (has_limit &&
	    __atomic_load_n(&live_bytes, __ATOMIC_RELAXED) > LIMITED_BYTES)
		return;
	if (percent < 50)
		mem_alloc(w, s);
	else if (percent < 80)
		obj_alloc(w, s);
	else
		arena_alloc(w, s);
	if (s->kind != EMPTY)
		content_fill(s, draw(w));
}

static void empty_slot(struct worker *w, struct slot *s)
{
	if (s->kind == OBJECT)
		obj_free(w, s);
	else if (s->kind >= SEGMENT)
		arena_free(w, s);
	else
		mem_free(w, s);
}

static void use_slot(struct worker *w, struct slot *s)
{
	size_t percent = below(w, 100);

	content_check(s);
	if (percent < 75)
		empty_slot(w, s);
	else if (percent < 85 && (s->kind == KMEM || s->kind == KMALLOC))
		mem_resize(w, s);
	else if (percent < 95)
		content_fill(s, draw(w));
}

/** What a forked child does: it has one thread, and all of the memory. */
static void in_child(struct worker *w)
{
	for (size_t i = 0; i < NSLOTS; i++) {
		struct slot *s = &slots[i];

		/* what its parent's other threads held stays theirs */
		if (!slot_take(s))
			continue;
		if (s->kind == EMPTY)
			fill_slot(w, s);
		else
			use_slot(w, s);
		slot_give(s);
	}
	kmem_reap();
	_exit(verify_all() ? 1 : 0);
}

static void fork_and_check(struct worker *w)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		alarm(60);
		in_child(w);
	}
	if (pid > 0 && (waitpid(pid, &status, 0) != pid || status != 0))
		fail("a forked child ended with %x", status);
}

static void operate(struct worker *w)
{
	struct slot *s = &slots[below(w, NSLOTS)];

	if (below(w, 1000) == 0)
		obj_upkeep(w);
	if (below(w, 1000) == 0)
		arena_upkeep(w);
	if (may_fork && below(w, 5000) == 0)
		fork_and_check(w);
	if (!slot_take(s))
		return;
	if (s->kind == EMPTY)
		fill_slot(w, s);
	else
		use_slot(w, s);
	slot_give(s);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned long i = 0; i < w->nops; i++)
		operate(w);
	return NULL;
}

/* ---- rounds ---- */

static void check(const char *when)
{
	int nbad = verify_all() + verify_metadata() + mem_compare() +
		   obj_compare() + arena_compare();

	if (nbad)
		fail("%d things are wrong %s", nbad, when);
}

static void run_round(struct worker *workers)
{
	pthread_t thread[64];

	if (opt.nthreads == 1) {
		(void)work(workers);
		return;
	}
	for (unsigned i = 0; i < opt.nthreads; i++)
		if (pthread_create(&thread[i], NULL, work, &workers[i]) != 0)
			fail("no thread");
	for (unsigned i = 0; i < opt.nthreads; i++)
		(void)pthread_join(thread[i], NULL);
}

static void say_live(void *buf, void *arg)
{
	printf("live %s %p\n", ((kmem_cache_t *)arg)->cache_name, buf);
}

static void say_free(void *buf, void *arg)
{
	printf("free %s %p\n", ((kmem_cache_t *)arg)->cache_name, buf);
}

static void dump(void)
{
	if (kmem_snapshot(opt.dump, 0) != 0)
		fail("no snapshot");
	for (kmem_cache_t *cp = kmem_null_cache.cache_next;
	     cp != &kmem_null_cache; cp = cp->cache_next)
		if (!verify_is_metadata(cp))
			verify_buffers(cp, say_live, say_free, cp);
	for (size_t i = 0; i < NSLOTS; i++)
		if (slots[i].kind >= KMEM && slots[i].kind < SEGMENT &&
		    slots[i].kind != OBJECT &&
		    !kmem_addr_cache(slots[i].p, NULL, NULL))
			printf("live oversize %p\n", slots[i].p);
}

static void options(int argc, char **argv)
{
	int c;

	opt.seed = (unsigned long)time(NULL) ^ (unsigned long)getpid() << 20;
	while ((c = getopt(argc, argv, "s:n:j:r:t:fd:")) != -1) {
		unsigned long n = optarg ? strtoul(optarg, NULL, 0) : 0;

		if (c == 's')
			opt.seed = n;
		else if (c == 'n')
			opt.nops = n;
		else if (c == 'j')
			opt.nthreads = n < 64 ? (unsigned)n : 64;
		else if (c == 'r')
			opt.nrounds = n;
		else if (c == 't')
			opt.nseconds = n;
		else if (c == 'f')
			may_fork = 1;
		else if (c == 'd')
			opt.dump = optarg;
		else
			exit(2);
	}
}

static void say_counts(const struct worker *workers)
{
	static const char *const name[NKINDS] = {
		"",       "kmem",    "malloc",  "object", "umem",
		"ualign", "kmalloc", "segment", "placed", "range"};

	fprintf(stderr, "model:");
	for (int k = KMEM; k < NKINDS; k++) {
		unsigned long n = 0;

		for (unsigned i = 0; i < opt.nthreads; i++)
			n += workers[i].count[k];
		fprintf(stderr, " %s %lu", name[k], n);
		if (n == 0 && opt.nops * opt.nrounds > 5000)
			fail("no %s was allocated", name[k]);
	}
	fprintf(stderr, "\n");
}

int main(int argc, char **argv)
{
	struct worker workers[64];
	time_t end;

	options(argc, argv);
	fprintf(stderr, "model: seed %lu\n", opt.seed);
	end = time(NULL) + (time_t)opt.nseconds;
	memset(workers, 0, sizeof(workers));
	for (unsigned i = 0; i < opt.nthreads; i++) {
		workers[i].state = opt.seed * 1000 + i;
		workers[i].nops = opt.nops;
	}
	kmem_free(kmem_alloc(1, KM_SLEEP), 1);
	has_limit = kmem_options.limit != 0;
	may_fail = has_limit || kmem_options.mtbf != 0;
	obj_init(&workers[0]);
	arena_init();
	mem_init();
	check("at the start");
	for (unsigned long r = 0; r < opt.nrounds || time(NULL) < end; r++) {
		run_round(workers);
		check("after a round");
	}
	if (opt.dump)
		dump();
	for (size_t i = 0; i < NSLOTS; i++)
		if (slots[i].kind != EMPTY)
			empty_slot(&workers[0], &slots[i]);
	check("when all is free");
	kmem_reap();
	kmem_reap_idspace();
	check("after a reap");
	arena_fini();
	obj_fini();
	if (verify_all() + verify_metadata())
		fail("things are wrong at the end");
	say_counts(workers);
	return 0;
}
