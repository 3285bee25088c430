/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What checked buffers look like, and what is said of damaged ones. */
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>

static const uint64_t feed = KMEM_REDZONE_PATTERN;
static const uint64_t dead = KMEM_FREE_PATTERN;
static const uint64_t bad = KMEM_UNINITIALIZED_PATTERN;

static void sizes_are_encoded_as_documented(void **state)
{
	static const uint32_t pairs[][2] = {
		{0, 0x1},      {1, 0xfc},       {8, 0x7d9},
		{20, 0x139d},  {24, 0x1789},    {32, 0x1f61},
		{100, 0x620d}, {4096, 0xfb001}, {131072, 0x1f60001},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		assert_int_equal(KMEM_SIZE_ENCODE(pairs[i][0]), pairs[i][1]);
		assert_int_equal(KMEM_SIZE_DECODE(pairs[i][1]), pairs[i][0]);
		assert_true(KMEM_SIZE_VALID(pairs[i][1]));
	}
	assert_false(KMEM_SIZE_VALID(0xfeedfaceu));
}

/* A request of 20 bytes from the class of 32, word by word. */
static void a_checked_buffer_looks_as_documented(void **state)
{
	uint64_t *p = kmem_alloc(20, KM_SLEEP);
	uint64_t *q;

	(void)state;
	assert_int_equal((uintptr_t)p % 64, 0);
	assert_int_equal(p[0], bad);
	assert_int_equal(p[1], bad);
	assert_int_equal(p[2], 0xbaddcabbbaddcafe);
	assert_int_equal(p[3], bad);
	assert_int_equal(p[4], 0x0000139dfeedface);
	assert_int_equal(p[5] ^ p[6], 0xa110c8ed);
	assert_int_equal(p[7], bad);
	assert_ptr_equal(((kmem_bufctl_t *)p[5])->bc_addr, p);
	q = kmem_alloc(32, KM_SLEEP);
	assert_ptr_equal(q, p - 8); /* consecutive ones descend */
	assert_int_equal(q[4], 0x00001f61feedfabb);
	kmem_free(p, 20);
	for (int i = 0; i < 4; i++)
		assert_int_equal(p[i], dead);
	assert_int_equal(p[4], feed);
	assert_int_equal(p[5] ^ p[6], 0xf4eef4ee);
	assert_int_equal(p[7], bad);
	assert_ptr_equal(kmem_alloc(20, KM_SLEEP), p);
	kmem_free(p, 20);
	kmem_free(q, 32);
}

static void usable_size_is_what_was_asked_for(void **state)
{
	(void)state;
	for (size_t n = 0; n < 140000; n = n * 5 / 4 + 1) {
		void *p = kmem_malloc_impl(n, 0, KMEM_KIND_MALLOC);

		assert_int_equal(kmem_usable(p), n);
		memset(p, 0xff, n);
		kmem_free_impl(p, KMEM_KIND_MALLOC);
	}
}

static void records_say_who_and_how(void **state)
{
	char *p = kmem_malloc_impl(50, 0, KMEM_KIND_NEW);
	kmem_cache_t *cp = kmem_addr_cache(p, NULL, NULL);
	kmem_bufctl_audit_t *bcap = (void *)kmem_buftag_of(cp, p)->bt_bufctl;
	const kmem_bufctl_audit_t *log = bcap->bc_lastlog;
	hrtime_t then = bcap->bc_timestamp;

	(void)state;
	assert_int_equal(bcap->bc_what, KMEM_WHAT_ALLOC);
	assert_int_equal(bcap->bc_kind, KMEM_KIND_NEW);
	assert_int_equal(bcap->bc_thread, gettid());
	assert_ptr_equal(log->bc_cache, cp);
	assert_non_null(kmem_stack_get(bcap->bc_stack));
	assert_ptr_equal(log->bc_addr, p);
	assert_int_equal(log->bc_timestamp, then);
	strcpy(p, "left behind");
	kmem_free_impl(p, KMEM_KIND_NEW);
	assert_int_equal(bcap->bc_what, KMEM_WHAT_FREE);
	assert_int_equal(bcap->bc_kind, KMEM_KIND_NEW);
	assert_true(bcap->bc_timestamp >= then);
	assert_string_equal(bcap->bc_contents, "left behind");
	/* the record of the free leads to that of the allocation */
	assert_ptr_not_equal(bcap->bc_lastlog, log);
	assert_ptr_equal(bcap->bc_lastlog->bc_lastlog, log);
	assert_int_equal(bcap->bc_lastlog->bc_what, KMEM_WHAT_FREE);
}

/* ---- reports: noabort is on, so a check may fail and life goes on ---- */

static void expect(int code, const char *text)
{
	assert_int_not_equal(kmem_panic_info.kmp_timestamp, 0);
	assert_int_equal(kmem_panic_info.kmp_error, code);
	assert_ptr_equal(strstr(kmem_error_buffer, "kernel memory allocator: "),
			 kmem_error_buffer);
	if (!strstr(kmem_error_buffer, text))
		fail_msg("no \"%s\" in: %s", text, kmem_error_buffer);
	assert_int_equal(kmem_logging, 1);
	memset(&kmem_panic_info, 0, sizeof(kmem_panic_info));
}

static void expect_silence(void)
{
	assert_int_equal(kmem_panic_info.kmp_timestamp, 0);
}

static char *get(size_t n)
{
	return kmem_malloc_impl(n, 0, KMEM_KIND_MALLOC);
}

static void put(void *p)
{
	kmem_free_impl(p, KMEM_KIND_MALLOC);
}

static void a_buffer_freed_twice_is_reported(void **state)
{
	char *p = get(100);
	char text[100];

	(void)state;
	put(p);
	expect_silence();
	put(p);
	snprintf(text, sizeof(text), "buffer=%p  bufctl=%p  cache: %s",
		 (void *)p, (void *)kmem_panic_info.kmp_bufctl,
		 "kmem_alloc_112");
	assert_ptr_equal(kmem_panic_info.kmp_buffer, p);
	assert_string_equal(kmem_panic_info.kmp_cache->cache_name,
			    "kmem_alloc_112");
	assert_non_null(strstr(kmem_error_buffer, text));
	assert_non_null(strstr(kmem_error_buffer, "previous transaction on"));
	assert_non_null(strstr(kmem_error_buffer, "freed by"));
	assert_non_null(strstr(kmem_error_buffer, "allocated by"));
	expect(KMERR_DUPFREE, "duplicate free: buffer freed twice");
}

static void an_overrun_by_one_is_reported(void **state)
{
	(void)state;
	for (size_t n = 1; n < 70; n++) {
		char *p = get(n);

		p[n - 1] = 1;
		put(p);
		expect_silence();
		p = get(n);
		p[n] ^= 1;
		put(p);
		expect(KMERR_REDZONE,
		       "redzone violation: write past end of buffer");
	}
}

/* a buffer that is not the first of its slab: in front of a slab without
 * colour is another's memory */
static char *get_inner(size_t n)
{
	kmem_slab_t *sp = NULL;
	void *base = NULL;
	char *p;

	do {
		p = get(n);
		assert_non_null(kmem_addr_cache(p, &sp, &base));
	} while (p == sp->slab_base);
	return p;
}

static void an_underrun_by_one_is_reported(void **state)
{
	static const size_t sizes[] = {16, 40, 100, 200};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		char *p = get_inner(sizes[i]);

		p[0] = 1;
		p[-1] ^= 1;
		put(p);
		expect(KMERR_UNDERRUN,
		       "redzone violation: write before start of buffer");
		p[-1] ^= 1;
		put(p);
		expect_silence();
	}
}

static void a_write_into_the_slack_is_reported(void **state)
{
	static const size_t sizes[] = {9, 17, 100, 200, 1000};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		size_t n = sizes[i];
		char *p = get(n);

		p[n + 1] ^= 1;
		put(p);
		expect(KMERR_REDZONE, "write past end of buffer");
		p[n + 1] ^= 1;
		p[(n + 15) / 16 * 16 - 1] ^= 1; /* the last of it */
		put(p);
		expect(KMERR_REDZONE, "write past end of buffer");
	}
}

static void a_destroyed_tag_is_reported(void **state)
{
	char *p = get(32);

	(void)state;
	memset(p, 0, 64);
	put(p);
	expect(KMERR_REDZONE, "redzone violation");
	p = get(32);
	put(p);
	memset(p + 40, 0, 16); /* a free buffer's bt_bufctl and bt_bxstat */
	put(get(32));
	expect(KMERR_BADBUFTAG, "bcp ^ bxstat = 0, should be f4eef4ee");
}

static void a_write_after_free_is_reported(void **state)
{
	uint64_t *p = (void *)get(200);

	(void)state;
	put(p);
	p[3] = 0x41;
	(void)get(200);
	expect(KMERR_MODIFIED,
	       "offset 0x18 (0xdeadbeefdeadbeef replaced by 0x41)");
}

static void a_write_after_free_is_found_when_a_magazine_is_emptied(void **state)
{
	kmem_cache_t *cp = kmem_cache_create("emptied", 40, 0, NULL, NULL, NULL,
					     NULL, NULL, 0);
	char *p = kmem_cache_alloc(cp, KM_SLEEP);

	(void)state;
	kmem_cache_free(cp, p);
	p[39] = 0;
	kmem_magazine_purge(cp);
	expect(KMERR_MODIFIED, "offset 0x20");
}

static void foreign_pointers_are_reported(void **state)
{
	static char mine[64];
	char *p = get(50);

	(void)state;
	put(mine);
	expect(KMERR_BADADDR, "invalid free: buffer not in cache");
	put((void *)0x123456789abcd000);
	expect(KMERR_BADADDR, "invalid free: buffer not in cache");
	put(p + 16);
	expect(KMERR_BADBASE, "!= alloc address");
	put(p);
	expect_silence();
}

static void damaged_oversize_frees_are_reported(void **state)
{
	char *p = get(1000000);

	(void)state;
	assert_int_equal(kmem_addr_oversize(p), 1000000);
	put(p + 8192);
	expect(KMERR_BADBASE, "!= alloc address");
	put(p);
	expect_silence();
	put(p);
	expect(KMERR_DUPFREE, "duplicate free: buffer freed twice");
	p = kmem_alloc(300000, KM_SLEEP);
	kmem_free(p, 300001);
	expect(KMERR_BADSIZE,
	       "bad free: free size (300001) != alloc size (300000)");
	kmem_free(p, 300000);
	expect_silence();
}

static void wrong_sizes_are_reported(void **state)
{
	char *p = kmem_alloc(100, KM_SLEEP);

	(void)state;
	kmem_free(p, 101);
	expect(KMERR_BADSIZE, "bad free: free size (101) != alloc size (100)");
	p = kmem_alloc(100, KM_SLEEP);
	kmem_free(p, 400);
	expect(KMERR_BADCACHE, "buffer was allocated from kmem_alloc_112,\n"
			       "caller attempting free to kmem_alloc_448.\n");
	kmem_free(p, 200000);
	expect(KMERR_BADCACHE, "buffer was allocated from kmem_alloc_112,\n"
			       "caller attempting free to kmem_oversize.\n");
	kmem_free(p, 100);
	kmem_free(NULL, 0);
	expect_silence();
}

static void an_object_freed_to_another_cache_is_reported(void **state)
{
	kmem_cache_t *a = kmem_cache_create("cache_a", 64, 0, NULL, NULL, NULL,
					    NULL, NULL, 0);
	kmem_cache_t *b = kmem_cache_create("cache_b", 64, 0, NULL, NULL, NULL,
					    NULL, NULL, 0);
	void *p = kmem_cache_alloc(a, KM_SLEEP);

	(void)state;
	kmem_cache_free(b, p);
	expect(KMERR_BADCACHE, "buffer was allocated from cache_a,");
	put(p);
	expect(KMERR_BADCACHE, "caller attempting free to malloc.");
	kmem_cache_free(a, p);
	expect_silence();
	kmem_cache_destroy(a);
	kmem_cache_destroy(b);
}

static void objects_are_checked_without_a_size_too(void **state)
{
	kmem_cache_t *cp = kmem_cache_create("objects", 64, 0, NULL, NULL, NULL,
					     NULL, NULL, 0);
	char *p = kmem_cache_alloc(cp, KM_SLEEP);

	(void)state;
	assert_int_equal(*(uint64_t *)(p + 64), feed);
	kmem_cache_free(cp, p);
	expect_silence();
	kmem_cache_free(cp, p);
	expect(KMERR_DUPFREE, "duplicate free");
	p = kmem_cache_alloc(cp, KM_SLEEP);
	p[64 + 5] ^= 1;
	kmem_cache_free(cp, p);
	expect(KMERR_REDZONE, "redzone violation");
	kmem_cache_free(cp, p + 8);
	expect(KMERR_BADBASE, "!= alloc address");
}

static void a_wrong_bufctl_is_reported(void **state)
{
	char *p = get(32);
	kmem_cache_t *cp = kmem_addr_cache(p, NULL, NULL);
	kmem_bufctl_t *bcp = kmem_buftag_of(cp, p)->bt_bufctl;

	(void)state;
	bcp->bc_addr = p + 64;
	put(p);
	expect(KMERR_BADBUFCTL, "bufctl corrupted");
	bcp->bc_addr = p;
}

static void lite_notices_the_first_word(void **state)
{
	kmem_cache_t *cp = kmem_cache_create("lite", 100, 0, NULL, NULL, NULL,
					     NULL, NULL, KMF_LITE);
	char *p = kmem_cache_alloc(cp, KM_SLEEP);

	(void)state;
	kmem_cache_free(cp, p);
	p[50] = 1;
	assert_ptr_equal(kmem_cache_alloc(cp, KM_SLEEP), p);
	expect_silence();
	kmem_cache_free(cp, p);
	p[1] = 1;
	assert_null(kmem_cache_alloc(cp, KM_NOSLEEP));
	expect(KMERR_MODIFIED, "buffer modified after being freed");
}

static void failures_are_logged(void **state)
{
	uint64_t before = kmem_failure_log->lh_cpu[0].clh_hits;

	(void)state;
	assert_null(get(SIZE_MAX / 8));
	assert_int_equal(kmem_failure_log->lh_cpu[0].clh_hits, before + 1);
}

/* For one CPU there are 4 chunks, here of a page: 4 * 64 records; the oldest
 * chunk is reused first. */
static void a_log_keeps_the_newest_records(void **state)
{
	kmem_log_header_t *lhp = kmem_log_init(4 * 4096);
	kmem_bufctl_audit_t record = {0};
	uint64_t oldest = UINT64_MAX, newest = 0;
	int n = 0;

	(void)state;
	assert_int_equal(lhp->lh_nchunks, 4);
	assert_int_equal(lhp->lh_chunksize, 4096);
	for (hrtime_t i = 1; i <= 1000; i++) {
		record.bc_timestamp = i;
		assert_non_null(kmem_log_enter(lhp, &record, sizeof(record)));
	}
	for (size_t at = 0; at < 4 * 4096; at += sizeof(record)) {
		const kmem_bufctl_audit_t *r = (void *)(lhp->lh_base + at);

		if (r->bc_timestamp == 0)
			continue;
		n++;
		if ((uint64_t)r->bc_timestamp < oldest)
			oldest = (uint64_t)r->bc_timestamp;
		if ((uint64_t)r->bc_timestamp > newest)
			newest = (uint64_t)r->bc_timestamp;
	}
	assert_int_equal(n, 256);
	assert_int_equal(newest, 1000);
	assert_int_equal(oldest, 1000 - 256 + 1);
	assert_int_equal(lhp->lh_hits, 16); /* the first record exchanged too */
}

static void the_error_buffer_keeps_the_beginning(void **state)
{
	(void)state;
	kmem_report_clear();
	for (int i = 0; i < 1000; i++)
		kmem_report("line %04d of a long report\n", i);
	assert_int_equal(strlen(kmem_error_buffer), KMEM_ERROR_BUFFER - 1);
	assert_memory_equal(kmem_error_buffer, "line 0000 of", 12);
	kmem_report_clear();
	assert_string_equal(kmem_error_buffer, "");
}

static void messages_are_formatted_as_printf_does(void **state)
{
	char ours[200], theirs[200];
	size_t n;

#define SAME(...)                                                        \
	do {                                                             \
		n = kmem_format(ours, sizeof(ours), __VA_ARGS__);        \
		assert_int_equal(n, snprintf(theirs, 200, __VA_ARGS__)); \
		assert_string_equal(ours, theirs);                       \
	} while (0)
	(void)state;
	SAME("%d %d %d", 0, -1, INT32_MIN);
	SAME("%u %lu %lx %llx", 4000000000u, ULONG_MAX, ULONG_MAX, 1ull << 63);
	SAME("T-%ld.%09ld", 12L, 345L);
	SAME("%5d|%05x|%c|%s|%p|%%", 42, 0xabcu, 'x', "text", (void *)ours);
	assert_int_equal(kmem_format(ours, 4, "%s", "truncated"), 9);
	assert_string_equal(ours, "tru");
}

static void all_is_consistent_in_the_end(void **state)
{
	(void)state;
	assert_int_equal(check_all(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_encoded_as_documented),
		cmocka_unit_test(a_checked_buffer_looks_as_documented),
		cmocka_unit_test(usable_size_is_what_was_asked_for),
		cmocka_unit_test(records_say_who_and_how),
		cmocka_unit_test(a_buffer_freed_twice_is_reported),
		cmocka_unit_test(an_overrun_by_one_is_reported),
		cmocka_unit_test(a_write_after_free_is_reported),
		cmocka_unit_test(
			a_write_after_free_is_found_when_a_magazine_is_emptied),
		cmocka_unit_test(foreign_pointers_are_reported),
		cmocka_unit_test(damaged_oversize_frees_are_reported),
		cmocka_unit_test(wrong_sizes_are_reported),
		cmocka_unit_test(an_object_freed_to_another_cache_is_reported),
		cmocka_unit_test(objects_are_checked_without_a_size_too),
		cmocka_unit_test(a_wrong_bufctl_is_reported),
		cmocka_unit_test(an_underrun_by_one_is_reported),
		cmocka_unit_test(a_write_into_the_slack_is_reported),
		cmocka_unit_test(a_destroyed_tag_is_reported),
		cmocka_unit_test(lite_notices_the_first_word),
		cmocka_unit_test(failures_are_logged),
		cmocka_unit_test(a_log_keeps_the_newest_records),
		cmocka_unit_test(the_error_buffer_keeps_the_beginning),
		cmocka_unit_test(messages_are_formatted_as_printf_does),
		cmocka_unit_test(all_is_consistent_in_the_end),
	};
	int null = open("/dev/null", O_WRONLY);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	(void)sched_setaffinity(0, sizeof(set), &set); /* one CPU element */
	setenv("KMEM_DEBUG", "default,noabort", 1);
	setenv("KMEM_LOGGING", "transaction,contents,fail", 1);
	kmem_init();
	if (!getenv("SHOW_REPORTS"))
		(void)dup2(null, STDERR_FILENO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
