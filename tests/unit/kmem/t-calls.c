/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls and flags: what each promises, and what becomes of a request nobody can
 * satisfy. */
#define _GNU_SOURCE
#include "check.h"
#include "umem.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Runs a function in a child; returns how it ended, and what it said. */
static char said[4096];

static int status_of(void (*func)(void))
{
	int fd[2], status = -1;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	pid = fork();
	if (pid == 0) {
		(void)dup2(fd[1], 2);
		(void)close(fd[1]);
		func();
		_exit(0);
	}
	(void)close(fd[1]);
	memset(said, 0, sizeof(said));
	while ((got = read(fd[0], said + n, sizeof(said) - 1 - n)) > 0)
		n += (size_t)got;
	(void)close(fd[0]);
	(void)waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- kmem_alloc_tryhard, kmem_rezalloc ---- */

static void tryhard_takes_what_there_is(void **state)
{
	size_t got = 0;
	void *p = kmem_alloc_tryhard(100, &got, KM_NOSLEEP);

	(void)state;
	assert_non_null(p);
	assert_int_equal(got, 104);
	kmem_free(p, got);
	p = kmem_alloc_tryhard(100000, &got, KM_SLEEP);
	assert_non_null(p);
	assert_int_equal(got, 100000);
	kmem_free(p, got);
	assert_null(kmem_alloc_tryhard(0, &got, KM_NOSLEEP));
	assert_int_equal(got, 0);
	assert_null(kmem_alloc_tryhard(SIZE_MAX - 2, &got, KM_NOSLEEP));
}

static void leave_one_class(void)
{
	static void *p[100000];
	kmem_cache_t *cp = cache_named("kmem_alloc_320");
	size_t got = 0;
	void *q;
	int n = 0;

	/* a buffer of 320 is the only one there is */
	vmem_set_limit(vmem_heap, vmem_size(vmem_heap, VMEM_ALLOC));
	while (n < 100000 && (p[n] = kmem_alloc(320, KM_NOSLEEP)))
		n++;
	while (kmem_alloc(256, KM_NOSLEEP) || kmem_alloc(224, KM_NOSLEEP) ||
	       kmem_alloc(384, KM_NOSLEEP))
		;
	if (n == 0 || n == 100000)
		_exit(1);
	kmem_free(p[0], 320);
	q = kmem_alloc_tryhard(220, &got, KM_NOSLEEP);
	if (q != p[0] || got <= 256 || got > 320 ||
	    kmem_addr_cache(q, NULL, NULL) != cp)
		_exit(2);
	kmem_free(q, got);
	_exit(7);
}

static void tryhard_takes_a_larger_class(void **state)
{
	(void)state;
	assert_int_equal(status_of(leave_one_class), 7);
}

static void rezalloc_keeps_the_contents(void **state)
{
	char *p = kmem_rezalloc(NULL, 0, 100, KM_SLEEP);

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(p[i], 0);
	memset(p, 7, 100);
	p = kmem_rezalloc(p, 100, 5000, KM_SLEEP);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(p[i], i < 100 ? 7 : 0);
	p = kmem_rezalloc(p, 5000, 50, KM_SLEEP);
	for (int i = 0; i < 50; i++)
		assert_int_equal(p[i], 7);
	assert_null(kmem_rezalloc(p, 50, SIZE_MAX / 8, KM_NOSLEEP));
	assert_int_equal(p[49], 7); /* still there */
	assert_null(kmem_rezalloc(p, 50, 0, KM_SLEEP));
}

/* ---- KM_* ---- */

static vmem_t *small_arena(size_t bytes)
{
	static char memory[1 << 20] __attribute__((aligned(4096)));
	static size_t used;
	vmem_t *vmp = vmem_create("small", memory + used, bytes, 4096, NULL,
				  NULL, NULL, 0, VM_SLEEP);

	used += bytes;
	assert_true(used <= sizeof(memory));
	return vmp;
}

static void panic_instead_of_failing(void)
{
	kmem_cache_t *cp = kmem_cache_create("last", 4096, 0, NULL, NULL, NULL,
					     NULL, small_arena(8192), 0);

	if (!kmem_cache_alloc(cp, KM_PANIC) || !kmem_cache_alloc(cp, KM_PANIC))
		_exit(1);
	if (kmem_cache_alloc(cp, KM_NOSLEEP) ||
	    kmem_cache_alloc(cp, KM_NOSLEEP_LAZY))
		_exit(2);
	(void)kmem_cache_alloc(cp, KM_PANIC);
}

static void km_panic_panics(void **state)
{
	(void)state;
	assert_int_equal(status_of(panic_instead_of_failing), -SIGABRT);
	assert_non_null(strstr(said, "cannot satisfy mandatory allocation"));
}

static int nreclaimed;

static void count_reclaim(void *priv)
{
	assert_ptr_equal(priv, &nreclaimed);
	nreclaimed++;
}

static void who_is_lazy_does_not_reap(void **state)
{
	kmem_cache_t *cp =
		kmem_cache_create("reclaims", 64, 0, NULL, NULL, count_reclaim,
				  &nreclaimed, NULL, 0);
	vmem_t *vmp = vmem_create("imports", NULL, 0, 4096, vmem_alloc,
				  vmem_free, small_arena(8192), 0, VM_SLEEP);

	(void)state;
	nreclaimed = 0;
	assert_null(vmem_alloc(vmp, 65536, VM_NOSLEEP | VM_NORMALPRI));
	assert_int_equal(nreclaimed, 0);
	assert_null(vmem_alloc(vmp, 65536, VM_NOSLEEP | VM_ABORT));
	assert_int_equal(nreclaimed, 0);
	assert_null(vmem_alloc(vmp, 65536, VM_NOSLEEP));
	assert_int_equal(nreclaimed, 1);
	vmem_destroy(vmp);
	kmem_cache_destroy(cp);
}

/* While the library holds a lock of its own, no callback may run. */
static void who_holds_a_lock_does_not_reap(void **state)
{
	kmem_cache_t *cp =
		kmem_cache_create("reclaims", 64, 0, NULL, NULL, count_reclaim,
				  &nreclaimed, NULL, 0);

	(void)state;
	nreclaimed = 0;
	kmem_update_hold();
	kmem_reap();
	kmem_reap_all();
	kmem_reap_idspace();
	kmem_cache_reap_now(cp);
	assert_int_equal(nreclaimed, 0);
	kmem_update_unhold();
	kmem_reap();
	assert_int_equal(nreclaimed, 1);
	kmem_cache_destroy(cp);
}

static void pushpage_goes_beyond_a_limit(void **state)
{
	vmem_t *vmp = small_arena(65536);
	kmem_cache_t *cp = kmem_cache_create("reserve", 4096, 0, NULL, NULL,
					     NULL, NULL, vmp, KMC_NOMAGAZINE);
	void *p, *q;

	(void)state;
	vmp->vm_limit = 4096;
	p = kmem_cache_alloc(cp, KM_NOSLEEP);
	assert_non_null(p);
	assert_null(kmem_cache_alloc(cp, KM_NOSLEEP));
	q = kmem_cache_alloc(cp, KM_NOSLEEP | KM_PUSHPAGE);
	assert_non_null(q);
	kmem_cache_free(cp, q);
	kmem_cache_free(cp, p);
	kmem_cache_destroy(cp);
	vmem_destroy(vmp);
}

static void absurd_sizes_are_refused(void **state)
{
	(void)state;
	assert_null(kmem_alloc(SIZE_MAX, KM_NOSLEEP));
	assert_null(kmem_alloc(SIZE_MAX / 2, KM_NOSLEEP));
	assert_null(kmem_zalloc(SIZE_MAX / 4 + 1, KM_NOSLEEP));
}

static void want_an_absurd_size(void)
{
	(void)kmem_alloc(SIZE_MAX / 2, KM_SLEEP);
}

static void who_must_get_an_absurd_size_is_told(void **state)
{
	(void)state;
	assert_int_equal(status_of(want_an_absurd_size), -SIGABRT);
	assert_non_null(strstr(said, "no memory is that large"));
}

/* ---- when the system has none ---- */

static int nasked;

static int ask(void)
{
	struct rlimit rl = {RLIM_INFINITY, RLIM_INFINITY};

	if (++nasked == 3)
		(void)setrlimit(RLIMIT_AS, &rl);
	return KMEM_CALLBACK_RETRY;
}

static int give_up(void)
{
	return KMEM_CALLBACK_EXIT(42);
}

static void starve(void)
{
	struct rlimit rl;

	getrlimit(RLIMIT_AS, &rl);
	rl.rlim_cur = (rlim_t)64 << 20;
	assert_int_equal(setrlimit(RLIMIT_AS, &rl), 0);
}

static void ask_until_there_is_some(void)
{
	char *p;

	kmem_nofail_callback(ask);
	starve();
	if (kmem_alloc(100 << 20, KM_NOSLEEP) || nasked)
		_exit(1);
	p = kmem_alloc(100 << 20, KM_SLEEP);
	if (!p || nasked != 3)
		_exit(2);
	p[99 << 20] = 1;
	nasked = 0;
	starve();
	for (int i = 0; i < 2000; i++) /* objects too */
		if (!kmem_alloc(100000, KM_SLEEP))
			_exit(3);
	_exit(nasked == 3 ? 7 : 4);
}

static void ask_and_exit(void)
{
	kmem_nofail_callback(give_up);
	starve();
	(void)kmem_alloc(100 << 20, KM_SLEEP);
}

static void nobody_to_ask(void)
{
	starve();
	(void)kmem_alloc(100 << 20, KM_SLEEP);
}

static void a_callback_is_asked_when_the_system_has_none(void **state)
{
	(void)state;
	assert_int_equal(status_of(ask_until_there_is_some), 7);
	assert_int_equal(status_of(ask_and_exit), 42);
	assert_int_equal(status_of(nobody_to_ask), -SIGABRT);
	assert_non_null(strstr(said, "no memory left"));
}

/* ---- KMC_* ---- */

static void notouch_is_not_touched(void **state)
{
	vmem_t *vmp = small_arena(65536);
	unsigned char *memory = (void *)vmp->vm_seg0.vs_knext->vs_start;
	kmem_cache_t *cp =
		kmem_cache_create("untouched", 100, 4, NULL, NULL, NULL, NULL,
				  vmp, KMC_NOTOUCH | KMF_BUFTAG | KMF_AUDIT);
	void *p[500];

	(void)state;
	for (int i = 0; i < 65536; i++)
		memory[i] = (unsigned char)(i * 7);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 500; i++)
			p[i] = kmem_cache_alloc(cp, KM_SLEEP);
		for (int i = 0; i < 500; i++)
			kmem_cache_free(cp, p[i]);
		kmem_reap();
	}
	kmem_cache_destroy(cp);
	for (int i = 0; i < 65536; i++)
		assert_int_equal(memory[i], (unsigned char)(i * 7));
	vmem_destroy(vmp);
}

static void an_alignment_below_8_implies_notouch(void **state)
{
	kmem_cache_t *cp = kmem_cache_create("bytes", 3, 1, NULL, NULL, NULL,
					     NULL, NULL, 0);

	(void)state;
	assert_true(cp->cache_cflags & KMC_NOTOUCH);
	assert_int_equal(cp->cache_chunksize, 3);
	kmem_cache_destroy(cp);
}

static void a_prefilled_cache_has_its_slab_in_magazines(void **state)
{
	kmem_cache_t *cp = kmem_cache_create("prefilled", 48, 0, NULL, NULL,
					     NULL, NULL, NULL, KMC_PREFILL);
	uint32_t magsize = cp->cache_magtype->mt_magsize;
	void *p[84];

	(void)state;
	assert_true(cp->cache_flags & KMF_PREFILL);
	p[0] = kmem_cache_alloc(cp, KM_SLEEP);
	assert_int_equal(cp->cache_full.ml_total, 83 / magsize);
	assert_int_equal(cp->cache_slab_alloc, 1 + 83 / magsize * magsize);
	assert_int_equal(kmem_cache_stat(cp, "buf_inuse"), 1);
	assert_int_equal(kmem_cache_stat(cp, "alloc"), 1);
	assert_int_equal(check_cache(cp), 0);
	for (int i = 1; i < 84; i++) {
		p[i] = kmem_cache_alloc(cp, KM_SLEEP);
		for (int k = 0; k < i; k++)
			assert_ptr_not_equal(p[i], p[k]);
	}
	assert_int_equal(cp->cache_slab_create, 1);
	assert_int_equal(kmem_cache_stat(cp, "alloc"), 84);
	assert_int_equal(check_cache(cp), 0);
	for (int i = 0; i < 84; i++)
		kmem_cache_free(cp, p[i]);
	assert_int_equal(kmem_cache_stat(cp, "free"), 84);
	assert_int_equal(check_cache(cp), 0);
	kmem_cache_destroy(cp);
}

static void every_statistic_has_its_name(void **state)
{
	static const char *const names[] = {
		"buf_size",
		"align",
		"chunk_size",
		"slab_size",
		"alloc",
		"alloc_fail",
		"free",
		"depot_alloc",
		"depot_free",
		"depot_contention",
		"slab_alloc",
		"slab_free",
		"buf_constructed",
		"buf_avail",
		"buf_inuse",
		"buf_total",
		"buf_max",
		"slab_create",
		"slab_destroy",
		"vmem_source",
		"hash_size",
		"hash_lookup_depth",
		"hash_rescale",
		"full_magazines",
		"empty_magazines",
		"magazine_size",
		"reap",
		"defrag",
		"scan",
		"move_callbacks",
		"move_yes",
		"move_no",
		"move_later",
		"move_dont_need",
		"move_dont_know",
		"move_hunt_found",
		"move_slabs_freed",
		"move_reclaimable",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (kmem_cache_stat(kmem_slab_cache, names[i]) == UINT64_MAX)
			fail_msg("no %s", names[i]);
	assert_true(kmem_cache_stat(kmem_slab_cache, "hunt") == UINT64_MAX);
}

static int construct(void *buf, void *priv, int kmflag)
{
	(void)buf;
	(void)priv;
	(void)kmflag;
	return 0;
}

static void prefill_is_dropped_where_it_has_no_sense(void **state)
{
	static const struct {
		size_t size;
		int (*ctor)(void *, void *, int);
		int cflags;
	} tried[] = {
		{1000, NULL, 0},
		{48, construct, 0},
		{48, NULL, KMF_BUFTAG},
		{48, NULL, KMC_NOMAGAZINE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(tried) / sizeof(*tried); i++) {
		kmem_cache_t *cp = kmem_cache_create(
			"not_prefilled", tried[i].size, 0, tried[i].ctor, NULL,
			NULL, NULL, NULL, KMC_PREFILL | tried[i].cflags);

		assert_false(cp->cache_flags & KMF_PREFILL);
		kmem_cache_free(cp, kmem_cache_alloc(cp, KM_SLEEP));
		kmem_cache_destroy(cp);
	}
}

/* ---- upkeep ---- */

static void *free_a_magazine(void *arg)
{
	kmem_cache_t *cp = arg;
	kmem_magazine_t *mp =
		kmem_cache_alloc(cp->cache_magtype->mt_cache, KM_SLEEP);

	kmem_depot_free(cp, &cp->cache_empty, mp);
	return NULL;
}

static void a_depot_that_is_fought_for_gets_larger_magazines(void **state)
{
	kmem_cache_t *cp = kmem_cache_create("fought", 300, 0, NULL, NULL, NULL,
					     NULL, NULL, 0);
	pthread_t thread;

	(void)state;
	for (unsigned i = 1; i <= 4; i++) {
		kmem_mutex_enter(&cp->cache_depot_lock);
		pthread_create(&thread, NULL, free_a_magazine, cp);
		while (cp->cache_depot_lock.km_word != 2) /* it waits */
			sched_yield();
		kmem_mutex_exit(&cp->cache_depot_lock);
		(void)pthread_join(thread, NULL);
		assert_int_equal(kmem_cache_stat(cp, "depot_contention"), i);
		if (i == 3) { /* is not too often */
			kmem_magazine_resize(cp);
			assert_int_equal(kmem_cache_stat(cp, "magazine_size"),
					 3);
			cp->cache_depot_contention_prev = 0;
		}
	}
	kmem_magazine_resize(cp);
	assert_int_equal(kmem_cache_stat(cp, "magazine_size"), 7);
	assert_int_equal(kmem_cache_stat(cp, "empty_magazines"), 0);
	kmem_magazine_resize(cp); /* the purge is no reason to go on */
	assert_int_equal(kmem_cache_stat(cp, "magazine_size"), 7);
	kmem_cache_destroy(cp);
}

static kmem_cache_t *spare_cache;
static void *spare[50];

static void give_spare(void *priv)
{
	(void)priv;
	for (int i = 0; i < 50; i++)
		if (spare[i])
			kmem_cache_free(spare_cache, spare[i]);
	memset(spare, 0, sizeof(spare));
}

static void a_reclaim_callback_s_memory_goes_back_at_once(void **state)
{
	(void)state;
	spare_cache = kmem_cache_create("spare", 300, 0, NULL, NULL, give_spare,
					NULL, NULL, 0);
	for (int i = 0; i < 50; i++)
		spare[i] = kmem_cache_alloc(spare_cache, KM_SLEEP);
	assert_int_equal(kmem_cache_stat(spare_cache, "buf_inuse"), 50);
	kmem_cache_reap_now(spare_cache);
	assert_int_equal(kmem_cache_stat(spare_cache, "buf_inuse"), 0);
	assert_int_equal(kmem_cache_stat(spare_cache, "full_magazines"), 0);
	assert_int_equal(kmem_cache_stat(spare_cache, "reap"), 1);
	/* two magazines of three are still at a CPU, or at each */
	assert_true(kmem_cache_stat(spare_cache, "buf_total") <=
		    13 * (1 + kmem_max_ncpus));
	kmem_cache_destroy(spare_cache);
}

static void destroy_itself(void *priv)
{
	(void)priv;
	kmem_cache_destroy(spare_cache);
}

static void a_cache_may_go_while_it_is_reaped(void **state)
{
	(void)state;
	spare_cache = kmem_cache_create("going", 300, 0, NULL, NULL,
					destroy_itself, NULL, NULL, 0);
	kmem_cache_reap_now(spare_cache);
	assert_null(cache_named("going"));
	kmem_reap();
	assert_int_equal(check_all(), 0);
}

static void identifiers_are_reaped_when_asked_for(void **state)
{
	vmem_t *vmp = vmem_create("numbers", (void *)1, 10000, 1, NULL, NULL,
				  NULL, 0, VM_SLEEP | VMC_IDENTIFIER);
	kmem_cache_t *cp = kmem_cache_create("numbers", 1, 1, NULL, NULL, NULL,
					     NULL, vmp, 0);
	void *p[500];

	(void)state;
	for (int i = 0; i < 500; i++)
		p[i] = kmem_cache_alloc(cp, KM_SLEEP);
	for (int i = 0; i < 500; i++)
		kmem_cache_free(cp, p[i]);
	kmem_reap();
	assert_int_equal(kmem_cache_stat(cp, "reap"), 0);
	assert_true(kmem_cache_stat(cp, "full_magazines") > 20);
	kmem_reap_idspace();
	assert_int_equal(kmem_cache_stat(cp, "reap"), 1);
	assert_int_equal(kmem_cache_stat(cp, "full_magazines"), 0);
	kmem_cache_destroy(cp);
	vmem_destroy(vmp);
}

static void statistics_have_names(void **state)
{
	kmem_cache_t *cp = cache_named("kmem_alloc_320");
	uint64_t inuse = kmem_cache_stat(cp, "buf_inuse");
	uint64_t nalloc = kmem_cache_stat(cp, "alloc");
	uint64_t nfree = kmem_cache_stat(cp, "free");
	void *p[100];

	(void)state;
	for (int i = 0; i < 100; i++)
		p[i] = kmem_alloc(320, KM_SLEEP);
	assert_int_equal(kmem_cache_stat(cp, "buf_inuse"), inuse + 100);
	for (int i = 0; i < 100; i++)
		kmem_free(p[i], 320);
	assert_int_equal(kmem_cache_stat(cp, "buf_inuse"), inuse);
	assert_int_equal(kmem_cache_stat(cp, "alloc"), nalloc + 100);
	assert_int_equal(kmem_cache_stat(cp, "free"), nfree + 100);
	assert_int_equal(kmem_cache_stat(cp, "buf_size"), 320);
	assert_int_equal(kmem_cache_stat(cp, "buf_total"),
			 kmem_cache_stat(cp, "buf_inuse") +
				 kmem_cache_stat(cp, "buf_avail"));
	assert_true(kmem_cache_stat(cp, "no such") == UINT64_MAX);
}

/* ---- mtbf ---- */

static void let_some_fail(void)
{
	kmem_cache_t *cp = kmem_cache_create("may_fail", 40, 0, NULL, NULL,
					     NULL, NULL, NULL, 0);
	int nfailed = 0;

	umem_setmtbf(10);
	for (int i = 0; i < 10000; i++) {
		void *p = umem_alloc(100, UMEM_DEFAULT);
		void *q = umem_cache_alloc(cp, UMEM_DEFAULT);
		void *r = umem_alloc(200000, UMEM_DEFAULT);

		nfailed += !p + !q + !r;
		if (p)
			umem_free(p, 100);
		if (q)
			umem_cache_free(cp, q);
		if (r)
			umem_free(r, 200000);
	}
	if (nfailed < 2000 || nfailed > 4000)
		_exit(1);
	if (kmem_cache_stat(cp, "alloc_fail") < 700)
		_exit(2);
	umem_setmtbf(1);
	for (int i = 0; i < 1000; i++) {
		kmem_free(kmem_alloc(100, KM_SLEEP), 100);
		umem_free(umem_alloc(100, UMEM_NOFAIL), 100);
		umem_free(umem_alloc(200000, UMEM_NOFAIL), 200000);
		umem_free_align(umem_alloc_align(100, 64, UMEM_NOFAIL), 100);
		umem_cache_free(cp, umem_cache_alloc(cp, UMEM_NOFAIL));
		if (umem_alloc(100, UMEM_DEFAULT))
			_exit(5);
	}
	umem_setmtbf(0);
	for (int i = 0; i < 1000; i++)
		if (!umem_alloc(100, UMEM_DEFAULT))
			_exit(3);
	_exit(check_all() == 0 ? 7 : 4);
}

static void requests_can_be_made_to_fail(void **state)
{
	(void)state;
	assert_int_equal(status_of(let_some_fail), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_statistic_has_its_name),
		cmocka_unit_test(tryhard_takes_what_there_is),
		cmocka_unit_test(tryhard_takes_a_larger_class),
		cmocka_unit_test(rezalloc_keeps_the_contents),
		cmocka_unit_test(km_panic_panics),
		cmocka_unit_test(who_is_lazy_does_not_reap),
		cmocka_unit_test(who_holds_a_lock_does_not_reap),
		cmocka_unit_test(pushpage_goes_beyond_a_limit),
		cmocka_unit_test(absurd_sizes_are_refused),
		cmocka_unit_test(who_must_get_an_absurd_size_is_told),
		cmocka_unit_test(a_callback_is_asked_when_the_system_has_none),
		cmocka_unit_test(notouch_is_not_touched),
		cmocka_unit_test(an_alignment_below_8_implies_notouch),
		cmocka_unit_test(a_prefilled_cache_has_its_slab_in_magazines),
		cmocka_unit_test(prefill_is_dropped_where_it_has_no_sense),
		cmocka_unit_test(
			a_depot_that_is_fought_for_gets_larger_magazines),
		cmocka_unit_test(a_reclaim_callback_s_memory_goes_back_at_once),
		cmocka_unit_test(a_cache_may_go_while_it_is_reaped),
		cmocka_unit_test(identifiers_are_reaped_when_asked_for),
		cmocka_unit_test(statistics_have_names),
		cmocka_unit_test(requests_can_be_made_to_fail),
	};

	alarm(60);
	(void)kmem_alloc(1, KM_SLEEP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
