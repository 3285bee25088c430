/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What malloc stands on: sizes, alignments, ownership, and random use of all
 * of it from several threads, across forks. */
#define _GNU_SOURCE
#include "check.h"

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>

static void every_size_has_room_and_alignment(void **state)
{
	(void)state;
	for (size_t n = 0; n < 300000; n += n < 5000 ? 1 : 977) {
		unsigned char *p = kmem_malloc_impl(n, 0, KMEM_KIND_MALLOC);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		assert_true(kmem_usable(p) >= n);
		memset(p, 0xa5, kmem_usable(p));
		kmem_free_impl(p, KMEM_KIND_MALLOC);
	}
	assert_int_equal(check_all(), 0);
}

static void every_alignment_is_kept(void **state)
{
	(void)state;
	for (size_t align = 16; align <= 1 << 22; align *= 2) {
		for (size_t n = 1; n < 400000; n = n * 3 + 5) {
			char *p[3];

			for (int i = 0; i < 3; i++) {
				p[i] = kmem_malloc_impl(n, align,
							KMEM_KIND_MEMALIGN);
				assert_non_null(p[i]);
				assert_int_equal((uintptr_t)p[i] % align, 0);
				assert_true(kmem_usable(p[i]) >= n);
				memset(p[i], i, n);
			}
			for (int i = 0; i < 3; i++) {
				assert_int_equal(p[i][n - 1], i);
				kmem_free_impl(p[i], KMEM_KIND_MEMALIGN);
			}
		}
	}
	assert_non_null(cache_named("kmem_align_128_128"));
	assert_null(cache_named("kmem_align_4096_4096"));
	assert_int_equal(check_all(), 0);
}

static void addresses_lead_to_their_cache(void **state)
{
	char *p = kmem_malloc_impl(100, 0, KMEM_KIND_MALLOC);
	kmem_slab_t *slab = NULL;
	void *base = NULL;

	(void)state;
	for (int i = 0; i < 112; i++) {
		assert_string_equal(
			kmem_addr_cache(p + i, &slab, &base)->cache_name,
			"kmem_alloc_112");
		assert_ptr_equal(base, p);
	}
	assert_ptr_equal(kmem_slab_find(slab->slab_cache, p), slab);
	kmem_free_impl(p, KMEM_KIND_MALLOC);
	assert_null(kmem_addr_cache(&slab, NULL, NULL));
	assert_null(kmem_addr_cache(NULL, NULL, NULL));
	assert_null(kmem_addr_cache((void *)UINTPTR_MAX, NULL, NULL));
	assert_int_equal(kmem_usable(NULL), 0);
	assert_int_equal(kmem_usable(&slab), 0);
}

static void absurd_sizes_fail_and_errno_is_kept(void **state)
{
	(void)state;
	errno = 4711;
	assert_null(kmem_malloc_impl(SIZE_MAX, 0, KMEM_KIND_MALLOC));
	assert_null(kmem_malloc_impl(SIZE_MAX / 4, 0, KMEM_KIND_MALLOC));
	assert_null(kmem_malloc_impl((size_t)1 << 50, 0, KMEM_KIND_MALLOC));
	assert_null(kmem_malloc_impl(1, (size_t)1 << 60, KMEM_KIND_MALLOC));
	assert_null(kmem_alloc((size_t)1 << 50, KM_NOSLEEP));
	assert_null(kmem_alloc(0, KM_SLEEP));
	kmem_free_impl(NULL, KMEM_KIND_MALLOC);
	assert_int_equal(errno, 4711);
}

static void zeroed_memory_is_zero(void **state)
{
	(void)state;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t n = 1; n < 1000000; n = n * 2 + 3) {
			char *p = kmem_zalloc(n, KM_SLEEP);

			for (size_t i = 0; i < n; i++)
				assert_int_equal(p[i], 0);
			memset(p, 0xff, n);
			kmem_free(p, n);
		}
	}
}

/* ---- random use ---- */

enum {
	NSLOTS = 512,
	NTHREADS = 4
};

/* A buffer that carries what it should hold. */
struct slot {
	unsigned char *p;
	size_t n;
	unsigned char fill;
};

static struct slot shared[NSLOTS];
static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static volatile int nbad;

static size_t random_size(unsigned *seed)
{
	static const size_t most[] = {64, 64, 512, 4000, 60000, 400000};

	return next_random(seed) % most[next_random(seed) % 6] + 1;
}

static void fill_slot(struct slot *s, unsigned *seed)
{
	size_t align =
		next_random(seed) % 8 ? 0 : 16u << next_random(seed) % 10;

	s->n = random_size(seed);
	s->fill = (unsigned char)next_random(seed);
	s->p = kmem_malloc_impl(s->n, align, KMEM_KIND_MALLOC);
	if (s->p && align && (uintptr_t)s->p % align)
		nbad++;
	if (s->p)
		memset(s->p, s->fill, s->n);
}

static void empty_slot(struct slot *s)
{
	for (size_t i = 0; i < s->n; i += i < 16 || i + 17 > s->n ? 1 : 16)
		if (s->p[i] != s->fill)
			nbad++;
	kmem_free_impl(s->p, KMEM_KIND_MALLOC);
	s->p = NULL;
}

/* Buffers wander between threads through the shared slots. */
static void *use_at_random(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < 30000; i++) {
		struct slot mine = {NULL, 0, 0}, other;
		size_t k = next_random(&seed) % NSLOTS;

		if (next_random(&seed) % 2)
			fill_slot(&mine, &seed);
		pthread_mutex_lock(&shared_lock);
		other = shared[k];
		shared[k] = mine;
		pthread_mutex_unlock(&shared_lock);
		if (other.p)
			empty_slot(&other);
	}
	return NULL;
}

static void use_from_threads(int nforks)
{
	pthread_t thread[NTHREADS];
	int nfailed = 0;

	for (uintptr_t i = 0; i < NTHREADS; i++)
		pthread_create(&thread[i], NULL, use_at_random,
			       (void *)(i + 1));
	for (int i = 0; i < nforks; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			alarm(20);
			/* other threads may have been at the slots */
			pthread_mutex_init(&shared_lock, NULL);
			memset(shared, 0, sizeof(shared));
			(void)use_at_random((void *)99);
			_exit(nbad || check_all() ? 1 : 0);
		}
		waitpid(pid, &status, 0);
		nfailed += status != 0;
	}
	for (int i = 0; i < NTHREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(nfailed, 0);
	assert_int_equal(nbad, 0);
	for (int i = 0; i < NSLOTS; i++)
		if (shared[i].p)
			empty_slot(&shared[i]);
	assert_int_equal(nbad, 0);
	assert_int_equal(check_all(), 0);
}

static void *allocate_once(void *arg)
{
	void *p = kmem_malloc_impl(100, 0, KMEM_KIND_MALLOC);

	kmem_free_impl(p, KMEM_KIND_MALLOC);
	*(volatile int *)arg = 1;
	return NULL;
}

static void children_may_have_threads(void **state)
{
	volatile int is_done = 0;
	pthread_t thread;
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		alarm(5);
		pthread_create(&thread, NULL, allocate_once, (void *)&is_done);
		pthread_join(thread, NULL);
		_exit(!is_done);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

static void threads_do_not_disturb_each_other(void **state)
{
	(void)state;
	use_from_threads(0);
}

static void children_of_busy_parents_have_a_whole_heap(void **state)
{
	(void)state;
	use_from_threads(8);
}

static void *reap_all_the_time(void *arg)
{
	while (!*(volatile int *)arg) {
		for (kmem_cache_t *cp = kmem_null_cache.cache_next;
		     cp != &kmem_null_cache; cp = cp->cache_next) {
			kmem_depot_ws_update(cp);
			kmem_hash_rescale(cp);
			cp->cache_depot_contention += 10;
			kmem_magazine_resize(cp);
		}
		vmem_update();
		kmem_reap();
		usleep(1000);
	}
	return NULL;
}

static void upkeep_goes_on_beside_use(void **state)
{
	int is_over = 0;
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, reap_all_the_time, &is_over);
	use_from_threads(2);
	is_over = 1;
	pthread_join(thread, NULL);
	assert_int_equal(check_all(), 0);
}

static size_t resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	size_t total = 0, resident = 0;

	assert_int_equal(fscanf(f, "%zu %zu", &total, &resident), 2);
	fclose(f);
	return resident * 4096;
}

static void what_is_freed_goes_back_to_the_system(void **state)
{
	enum {
		N = 20000
	};
	static void *p[N];
	size_t mapped, peak, resident;

	(void)state;
	kmem_reap();
	mapped = vmem_heap->vm_kstat.vk_mem_total;
	resident = resident_bytes();
	for (int i = 0; i < N; i++)
		p[i] = memset(kmem_malloc_impl(4000, 0, KMEM_KIND_MALLOC), 1,
			      4000);
	peak = vmem_heap->vm_kstat.vk_mem_total;
	assert_true(peak > mapped + 60000000);
	assert_true(resident_bytes() > resident + 60000000);
	for (int i = 0; i < N; i++)
		kmem_free_impl(p[i], KMEM_KIND_MALLOC);
	kmem_reap();
	/* a span with anything left in it stays mapped, without its pages; what
	 * is left are tags and, of the 20000, one a span at most */
	assert_true(vmem_heap->vm_kstat.vk_mem_total < mapped + 10000000);
	assert_true(resident_bytes() < resident + 6000000);
	assert_int_equal(check_all(), 0);
}

static void the_holder_of_all_locks_may_allocate(void **state)
{
	struct snap_range ranges[64];
	volatile int is_done = 0;
	pthread_t thread;
	void *p;

	(void)state;
	assert_int_equal(kmem_lock_all(1000), 0);
	pthread_create(&thread, NULL, allocate_once, (void *)&is_done);
	for (int i = 0; i < 1000; i++) {
		p = kmem_malloc_impl(random_size((unsigned[]){1}), 0, 0);
		kmem_free_impl(p, 0);
		p = kmem_malloc_impl(100, 0, 0); /* what the other wants */
		kmem_free_impl(p, 0);
	}
	assert_int_equal(kmem_lock_all(0), 0); /* nests */
	kmem_unlock_all();
	usleep(20000);
	assert_false(is_done);
	assert_in_range(kmem_meta_ranges(ranges, 64), 3, 64);
	assert_int_equal(kmem_meta_ranges(ranges, 1), 1);
	kmem_unlock_all();
	pthread_join(thread, NULL);
	assert_true(is_done);
	assert_int_equal(check_all(), 0);
}

static void quiescing_gives_up_in_time(void **state)
{
	kmem_cache_t *cp = cache_named("kmem_alloc_64");
	hrtime_t then = kmem_now();

	(void)state;
	kmem_mutex_enter(&cp->cache_depot_lock);
	assert_int_equal(kmem_lock_all(50), -1);
	assert_true(kmem_now() - then >= 50000000);
	kmem_mutex_exit(&cp->cache_depot_lock);
	assert_int_equal(kmem_lock_all(50), 0); /* nothing was left held */
	kmem_unlock_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_has_room_and_alignment),
		cmocka_unit_test(every_alignment_is_kept),
		cmocka_unit_test(addresses_lead_to_their_cache),
		cmocka_unit_test(absurd_sizes_fail_and_errno_is_kept),
		cmocka_unit_test(zeroed_memory_is_zero),
		cmocka_unit_test(what_is_freed_goes_back_to_the_system),
		cmocka_unit_test(threads_do_not_disturb_each_other),
		cmocka_unit_test(children_of_busy_parents_have_a_whole_heap),
		cmocka_unit_test(children_may_have_threads),
		cmocka_unit_test(upkeep_goes_on_beside_use),
		cmocka_unit_test(the_holder_of_all_locks_may_allocate),
		cmocka_unit_test(quiescing_gives_up_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
