/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Caches: geometry, colours, order of use, magazines, construction. */
#define _GNU_SOURCE
#include "check.h"

#include <sched.h>

struct geometry {
	size_t size, align, slab, bufs, maxcolor;
	int is_hashed;
	uint32_t mag_first, mag_last;
	/* with audit, contents and guards */
	size_t chunk, dslab, dbufs, dmaxcolor;
	uint32_t dmag;
};

static const struct geometry classes[] = {
	{8, 8, 4096, 505, 0, 0, 15, 143, 32, 4096, 128, 0, 15},
	{16, 16, 4096, 252, 8, 0, 15, 143, 48, 4096, 85, 16, 15},
	{32, 16, 4096, 126, 8, 0, 15, 143, 64, 4096, 64, 0, 15},
	{48, 16, 4096, 84, 8, 0, 15, 143, 80, 4096, 51, 16, 7},
	{64, 64, 4096, 63, 8, 0, 15, 143, 128, 4096, 32, 0, 7},
	{80, 16, 4096, 50, 40, 0, 7, 143, 112, 4096, 36, 64, 7},
	{96, 16, 4096, 42, 8, 0, 7, 143, 128, 4096, 32, 0, 7},
	{112, 16, 4096, 36, 8, 0, 7, 143, 144, 4096, 28, 64, 7},
	{128, 64, 4096, 31, 72, 0, 7, 143, 192, 4096, 21, 64, 7},
	{160, 16, 4096, 25, 40, 0, 7, 143, 192, 4096, 21, 64, 7},
	{192, 64, 4096, 21, 8, 0, 7, 143, 256, 4096, 16, 0, 7},
	{224, 16, 4096, 18, 8, 0, 7, 143, 256, 4096, 16, 0, 7},
	{256, 64, 4096, 15, 200, 0, 7, 143, 320, 4096, 12, 256, 3},
	{320, 64, 4096, 12, 200, 0, 3, 143, 384, 4096, 10, 256, 3},
	{384, 64, 4096, 10, 200, 0, 3, 143, 448, 4096, 9, 64, 3},
	{448, 64, 4096, 9, 8, 0, 3, 143, 512, 4096, 8, 0, 3},
	{512, 64, 4096, 8, 0, 1, 3, 95, 576, 4096, 7, 64, 3},
	{640, 64, 4096, 6, 256, 1, 3, 95, 704, 8192, 11, 448, 3},
	{768, 64, 4096, 5, 256, 1, 3, 95, 832, 8192, 9, 704, 3},
	{896, 64, 8192, 9, 128, 1, 3, 95, 960, 4096, 4, 256, 3},
	{1152, 64, 8192, 7, 128, 1, 3, 63, 1216, 12288, 10, 128, 3},
	{1344, 64, 4096, 3, 64, 1, 3, 63, 1408, 12288, 8, 1024, 3},
	{1600, 64, 8192, 5, 192, 1, 3, 63, 1664, 12288, 7, 640, 3},
	{2048, 64, 4096, 2, 0, 1, 3, 47, 2112, 20480, 9, 1472, 3},
	{2304, 64, 16384, 7, 256, 1, 3, 47, 2368, 12288, 5, 448, 3},
	{2688, 64, 8192, 3, 128, 1, 3, 47, 2752, 20480, 7, 1216, 3},
	{4096, 4096, 4096, 1, 0, 1, 1, 31, 8192, 8192, 1, 0, 1},
	{4544, 64, 36864, 8, 512, 1, 1, 31, 4608, 36864, 8, 0, 1},
	{8192, 4096, 8192, 1, 0, 1, 1, 15, 12288, 12288, 1, 0, 1},
	{9216, 64, 36864, 4, 0, 1, 1, 15, 9280, 65536, 7, 576, 1},
	{12288, 4096, 12288, 1, 0, 1, 1, 15, 16384, 16384, 1, 0, 1},
	{16384, 4096, 16384, 1, 0, 1, 1, 7, 20480, 20480, 1, 0, 1},
	{24576, 4096, 24576, 1, 0, 1, 1, 7, 28672, 28672, 1, 0, 1},
	{32768, 4096, 32768, 1, 0, 1, 1, 3, 36864, 36864, 1, 0, 1},
	{40960, 4096, 40960, 1, 0, 1, 1, 3, 45056, 45056, 1, 0, 1},
	{49152, 4096, 49152, 1, 0, 1, 1, 3, 53248, 53248, 1, 0, 1},
	{57344, 4096, 57344, 1, 0, 1, 1, 3, 61440, 61440, 1, 0, 1},
	{65536, 4096, 65536, 1, 0, 1, 1, 1, 69632, 69632, 1, 0, 1},
	{73728, 4096, 73728, 1, 0, 1, 1, 1, 77824, 77824, 1, 0, 1},
	{81920, 4096, 81920, 1, 0, 1, 1, 1, 86016, 86016, 1, 0, 1},
	{90112, 4096, 90112, 1, 0, 1, 1, 1, 94208, 94208, 1, 0, 1},
	{98304, 4096, 98304, 1, 0, 1, 1, 1, 102400, 102400, 1, 0, 1},
	{106496, 4096, 106496, 1, 0, 1, 1, 1, 110592, 110592, 1, 0, 1},
	{114688, 4096, 114688, 1, 0, 1, 1, 1, 118784, 118784, 1, 0, 1},
	{122880, 4096, 122880, 1, 0, 1, 1, 1, 126976, 126976, 1, 0, 1},
	{131072, 4096, 131072, 1, 0, 1, 1, 1, 135168, 135168, 1, 0, 1},
};

#define NCLASSES   (sizeof(classes) / sizeof(*classes))
#define ALL_CHECKS (KMF_AUDIT | KMF_BUFTAG | KMF_CONTENTS)

static uint32_t last_magazine(const kmem_cache_t *cp)
{
	const kmem_magtype_t *mtp = cp->cache_magtype;

	while (cp->cache_chunksize < mtp->mt_maxbuf)
		mtp++;
	return mtp->mt_magsize;
}

static void classes_have_the_documented_geometry(void **state)
{
	char name[40];

	(void)state;
	assert_int_equal(NCLASSES, 46);
	for (size_t i = 0; i < NCLASSES; i++) {
		const struct geometry *g = &classes[i];
		kmem_cache_t *cp;

		snprintf(name, sizeof(name), "kmem_alloc_%zu", g->size);
		cp = cache_named(name);
		assert_non_null(cp);
		assert_int_equal(cp->cache_align, g->align);
		assert_int_equal(cp->cache_chunksize, g->size);
		assert_int_equal(cp->cache_slabsize, g->slab);
		assert_int_equal(cp->cache_maxcolor, g->maxcolor);
		assert_int_equal(!!(cp->cache_flags & KMF_HASH), g->is_hashed);
		assert_int_equal((g->slab - (g->is_hashed ? 0 : 56)) / g->size,
				 g->bufs);
		assert_int_equal(cp->cache_magtype->mt_magsize, g->mag_first);
		assert_int_equal(last_magazine(cp), g->mag_last);
	}
}

static void checked_classes_have_the_documented_geometry(void **state)
{
	(void)state;
	for (size_t i = 0; i < NCLASSES; i++) {
		const struct geometry *g = &classes[i];
		kmem_cache_t *cp =
			kmem_cache_create("checked", g->size, g->align, NULL,
					  NULL, NULL, NULL, NULL, ALL_CHECKS);

		assert_int_equal(cp->cache_chunksize, g->chunk);
		assert_int_equal(cp->cache_slabsize, g->dslab);
		assert_int_equal(cp->cache_slabsize / g->chunk, g->dbufs);
		assert_int_equal(cp->cache_maxcolor, g->dmaxcolor);
		assert_int_equal(cp->cache_magtype->mt_magsize, g->dmag);
		assert_int_equal(cp->cache_flags, ALL_CHECKS | KMF_HASH);
		assert_int_equal(cp->cache_buftag, g->size);
		kmem_cache_destroy(cp);
	}
}

static const struct {
	const char *name;
	size_t size, align, chunk, bufs, maxcolor;
	uint32_t mag;
	size_t dchunk, dbufs, dmaxcolor;
	uint32_t dmag;
} metadata[] = {
	{"kmem_magazine_1", 16, 8, 16, 252, 8, 15, 40, 101, 0, 15},
	{"kmem_magazine_3", 32, 16, 32, 126, 8, 15, 64, 63, 8, 15},
	{"kmem_magazine_7", 64, 32, 64, 63, 8, 15, 96, 42, 8, 7},
	{"kmem_magazine_15", 128, 64, 128, 31, 72, 7, 192, 21, 8, 7},
	{"kmem_magazine_31", 256, 64, 256, 15, 200, 7, 320, 12, 200, 3},
	{"kmem_magazine_47", 384, 64, 384, 10, 200, 3, 448, 9, 8, 3},
	{"kmem_magazine_63", 512, 64, 512, 7, 456, 3, 576, 7, 8, 3},
	{"kmem_magazine_95", 768, 64, 768, 5, 200, 3, 832, 4, 712, 3},
	{"kmem_magazine_143", 1152, 64, 1152, 3, 584, 3, 1216, 3, 392, 3},
	{"kmem_slab_cache", 56, 8, 56, 72, 8, 15, 80, 50, 40, 7},
	{"kmem_bufctl_cache", 24, 8, 24, 168, 8, 15, 48, 84, 8, 15},
	{"kmem_bufctl_audit_cache", 48, 8, 48, 84, 8, 15, 72, 56, 8, 7},
};

static void metadata_caches_are_raw(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(metadata) / sizeof(*metadata); i++) {
		kmem_cache_t *cp = cache_named(metadata[i].name);

		assert_non_null(cp);
		assert_ptr_equal(cp->cache_arena, kmem_msb_arena);
		assert_int_equal(cp->cache_flags & KMF_HASH, 0);
		assert_int_equal(cp->cache_chunksize, metadata[i].chunk);
		assert_int_equal((4096 - 56) / cp->cache_chunksize,
				 metadata[i].bufs);
		assert_int_equal(cp->cache_maxcolor, metadata[i].maxcolor);
		assert_int_equal(cp->cache_magtype->mt_magsize,
				 metadata[i].mag);

		cp = kmem_cache_create(
			"raw", metadata[i].size, metadata[i].align, NULL, NULL,
			NULL, NULL, kmem_msb_arena, KMC_NOHASH | ALL_CHECKS);
		/* NOHASH takes the audit away, and contents with it */
		assert_int_equal(cp->cache_flags, KMF_BUFTAG);
		assert_int_equal(cp->cache_chunksize, metadata[i].dchunk);
		assert_int_equal((4096 - 56) / cp->cache_chunksize,
				 metadata[i].dbufs);
		assert_int_equal(cp->cache_maxcolor, metadata[i].dmaxcolor);
		assert_int_equal(cp->cache_magtype->mt_magsize,
				 metadata[i].dmag);
		kmem_cache_destroy(cp);
	}
}

static void flags_follow_the_rules(void **state)
{
	static const struct {
		size_t size;
		int cflags, flags;
	} want[] = {
		{40, 0, 0},
		{40, KMF_DEADBEEF, KMF_BUFTAG},
		{40, KMF_AUDIT, KMF_AUDIT | KMF_REDZONE | KMF_HASH},
		{40, KMF_CONTENTS, 0},
		{40, KMF_AUDIT | KMC_NOTOUCH, KMF_AUDIT | KMF_HASH},
		{40, ALL_CHECKS | KMC_NODEBUG, 0},
		{40, KMF_LITE | KMF_AUDIT, KMF_LITE | KMF_BUFTAG},
		{1024, KMF_LITE | KMF_AUDIT, KMF_HASH},
		{40, KMC_NOMAGAZINE, KMF_NOMAGAZINE},
		{40, KMC_NOTOUCH | KMF_BUFTAG, KMF_HASH},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
		kmem_cache_t *cp =
			kmem_cache_create("flags", want[i].size, 0, NULL, NULL,
					  NULL, NULL, NULL, want[i].cflags);

		assert_int_equal(cp->cache_flags, want[i].flags);
		kmem_cache_destroy(cp);
	}
}

static void colours_cycle(void **state)
{
	static const size_t color[] = {64, 128, 192, 0, 64, 128, 192, 0};
	kmem_cache_t *cp = kmem_cache_create("colours", 256, 64, NULL, NULL,
					     NULL, NULL, NULL, KMC_NOMAGAZINE);
	void *buf[8 * 15];

	(void)state;
	assert_int_equal(cp->cache_maxcolor, 200);
	for (int i = 0; i < 8; i++) {
		for (int j = 0; j < 15; j++)
			buf[i * 15 + j] = kmem_cache_alloc(cp, KM_SLEEP);
		/* the highest buffer goes first, so the last is the base */
		assert_int_equal((uintptr_t)buf[i * 15 + 14] % 4096, color[i]);
		assert_ptr_equal(buf[i * 15], (char *)buf[i * 15 + 14] + 3584);
	}
	assert_int_equal(cp->cache_slab_create, 8);
	assert_int_equal(cp->cache_complete_slab_count, 8);
	assert_int_equal(check_cache(cp), 0);
	for (int i = 0; i < 8 * 15; i++)
		kmem_cache_free(cp, buf[i]);
	assert_int_equal(cp->cache_slab_destroy, 8);
	assert_int_equal(cp->cache_buftotal, 0);
	kmem_cache_destroy(cp);
}

/* One CPU only, so that all goes through the same element. */
static void pin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

#define EXPECT(r, p, nfull, nempty)                                 \
	do {                                                        \
		assert_int_equal(ccp->cc_rounds, r);                \
		assert_int_equal(ccp->cc_prounds, p);               \
		assert_int_equal(cp->cache_full.ml_total, nfull);   \
		assert_int_equal(cp->cache_empty.ml_total, nempty); \
	} while (0)

static void magazines_are_exchanged_as_documented(void **state)
{
	/* 300 bytes: the first magazine size is 3 */
	kmem_cache_t *cp = kmem_cache_create("exchange", 300, 0, NULL, NULL,
					     NULL, NULL, NULL, 0);
	kmem_cpu_cache_t *ccp = kmem_cpu_cache(cp);
	kmem_magazine_t *m1, *m2, *m3;
	void *buf[8];

	(void)state;
	assert_int_equal(ccp->cc_magsize, 3);
	for (int i = 0; i < 7; i++)
		buf[i] = kmem_cache_alloc(cp, KM_SLEEP);
	EXPECT(-1, -1, 0, 0);
	assert_int_equal(cp->cache_slab_alloc, 7);
	kmem_cache_free(cp, buf[0]);
	EXPECT(1, -1, 0, 0);
	m1 = ccp->cc_loaded;
	kmem_cache_free(cp, buf[1]);
	kmem_cache_free(cp, buf[2]);
	EXPECT(3, -1, 0, 0);
	kmem_cache_free(cp, buf[3]);
	EXPECT(1, 3, 0, 0);
	m2 = ccp->cc_loaded;
	assert_ptr_equal(ccp->cc_ploaded, m1);
	kmem_cache_free(cp, buf[4]);
	kmem_cache_free(cp, buf[5]);
	kmem_cache_free(cp, buf[6]);
	EXPECT(1, 3, 1, 0);
	m3 = ccp->cc_loaded;
	assert_ptr_equal(ccp->cc_ploaded, m2);
	assert_ptr_equal(cp->cache_full.ml_list, m1);

	assert_ptr_equal(kmem_cache_alloc(cp, KM_SLEEP), buf[6]);
	EXPECT(0, 3, 1, 0);
	assert_ptr_equal(kmem_cache_alloc(cp, KM_SLEEP), buf[5]);
	EXPECT(2, 0, 1, 0);
	assert_ptr_equal(ccp->cc_ploaded, m3);
	assert_ptr_equal(kmem_cache_alloc(cp, KM_SLEEP), buf[4]);
	assert_ptr_equal(kmem_cache_alloc(cp, KM_SLEEP), buf[3]);
	EXPECT(0, 0, 1, 0);
	assert_ptr_equal(kmem_cache_alloc(cp, KM_SLEEP), buf[2]);
	EXPECT(2, 0, 0, 1);
	assert_ptr_equal(ccp->cc_loaded, m1);
	assert_ptr_equal(ccp->cc_ploaded, m2);
	assert_ptr_equal(cp->cache_empty.ml_list, m3);
	assert_ptr_equal(kmem_cache_alloc(cp, KM_SLEEP), buf[1]);
	assert_ptr_equal(kmem_cache_alloc(cp, KM_SLEEP), buf[0]);
	EXPECT(0, 0, 0, 1);
	assert_int_equal(cp->cache_slab_alloc, 7);
	buf[7] = kmem_cache_alloc(cp, KM_SLEEP);
	EXPECT(0, 0, 0, 1);
	assert_int_equal(cp->cache_slab_alloc, 8);
	assert_int_equal(ccp->cc_alloc, 7);
	assert_int_equal(ccp->cc_free, 7);
	for (int i = 0; i < 8; i++)
		kmem_cache_free(cp, buf[i]);
	kmem_cache_destroy(cp);
}

static void the_working_set_is_kept_and_the_rest_reaped(void **state)
{
	kmem_cache_t *cp = kmem_cache_create("reaped", 300, 0, NULL, NULL, NULL,
					     NULL, NULL, 0);
	void *buf[60];

	(void)state;
	for (int i = 0; i < 60; i++)
		buf[i] = kmem_cache_alloc(cp, KM_SLEEP);
	for (int i = 0; i < 60; i++)
		kmem_cache_free(cp, buf[i]);
	assert_int_equal(cp->cache_full.ml_total, 18);
	kmem_depot_ws_reap(cp); /* no interval has passed yet */
	assert_int_equal(cp->cache_full.ml_total, 18);
	kmem_depot_ws_update(cp);
	for (int i = 0; i < 30; i++) /* takes 8 of them out for a while */
		buf[i] = kmem_cache_alloc(cp, KM_SLEEP);
	for (int i = 0; i < 30; i++)
		kmem_cache_free(cp, buf[i]);
	kmem_depot_ws_update(cp);
	assert_int_equal(cp->cache_full.ml_reaplimit, 10);
	kmem_depot_ws_reap(cp);
	assert_int_equal(cp->cache_full.ml_total, 8);
	assert_int_equal(check_cache(cp), 0);
	kmem_cache_destroy(cp);
}

static void magazines_grow_when_the_depot_is_fought_for(void **state)
{
	kmem_cache_t *cp = kmem_cache_create("grows", 300, 0, NULL, NULL, NULL,
					     NULL, NULL, 0);
	void *buf[10];

	(void)state;
	for (int i = 0; i < 10; i++)
		buf[i] = kmem_cache_alloc(cp, KM_SLEEP);
	for (int i = 0; i < 10; i++)
		kmem_cache_free(cp, buf[i]);
	cp->cache_depot_contention += 3;
	kmem_magazine_resize(cp);
	assert_int_equal(cp->cache_magtype->mt_magsize, 3);
	cp->cache_depot_contention += 4;
	kmem_magazine_resize(cp);
	assert_int_equal(cp->cache_magtype->mt_magsize, 7);
	assert_int_equal(kmem_cpu_cache(cp)->cc_magsize, 7);
	assert_int_equal(cp->cache_buftotal, 0); /* purged */
	for (int i = 0; i < 10; i++)
		buf[i] = kmem_cache_alloc(cp, KM_SLEEP);
	for (int i = 0; i < 10; i++)
		kmem_cache_free(cp, buf[i]);
	assert_int_equal(check_cache(cp), 0);
	kmem_cache_destroy(cp);
}

static int nconstructed, ndestructed;

static int construct(void *buf, void *priv, int kmflag)
{
	(void)kmflag;
	if (priv && nconstructed >= *(int *)priv)
		return -1;
	nconstructed++;
	memset(buf, 0x11, 100);
	return 0;
}

static void destruct(void *buf, void *priv)
{
	(void)priv;
	for (int i = 0; i < 100; i++)
		assert_int_equal(((unsigned char *)buf)[i], 0x11);
	ndestructed++;
}

static void objects_stay_constructed_in_magazines(void **state)
{
	kmem_cache_t *cp = kmem_cache_create("ctor", 100, 0, construct,
					     destruct, NULL, NULL, NULL, 0);
	void *a, *b;

	(void)state;
	nconstructed = ndestructed = 0;
	a = kmem_cache_alloc(cp, KM_SLEEP);
	b = kmem_cache_alloc(cp, KM_SLEEP);
	for (int i = 0; i < 100; i++) {
		kmem_cache_free(cp, a);
		a = kmem_cache_alloc(cp, KM_SLEEP);
	}
	assert_int_equal(nconstructed, 2);
	assert_int_equal(ndestructed, 0);
	kmem_cache_free(cp, a);
	kmem_cache_free(cp, b);
	kmem_cache_destroy(cp);
	assert_int_equal(ndestructed, 2);
}

static void poisoned_objects_are_constructed_every_time(void **state)
{
	kmem_cache_t *cp =
		kmem_cache_create("poisoned", 100, 0, construct, destruct, NULL,
				  NULL, NULL, KMF_BUFTAG);

	(void)state;
	nconstructed = ndestructed = 0;
	for (int i = 0; i < 10; i++)
		kmem_cache_free(cp, kmem_cache_alloc(cp, KM_SLEEP));
	assert_int_equal(nconstructed, 10);
	assert_int_equal(ndestructed, 10);
	kmem_cache_destroy(cp);
	assert_int_equal(ndestructed, 10);
}

static void lite_objects_stay_constructed(void **state)
{
	kmem_cache_t *cp =
		kmem_cache_create("lite", 100, 0, construct, destruct, NULL,
				  NULL, NULL, KMF_LITE);

	(void)state;
	nconstructed = ndestructed = 0;
	for (int i = 0; i < 10; i++) {
		unsigned char *p = kmem_cache_alloc(cp, KM_SLEEP);

		assert_int_equal(p[0], 0x11);
		assert_int_equal(p[99], 0x11);
		kmem_cache_free(cp, p);
	}
	assert_int_equal(nconstructed, 1);
	kmem_cache_destroy(cp);
	assert_int_equal(ndestructed, 1);
}

static void a_failed_constructor_fails_the_allocation(void **state)
{
	int limit = 2;

	(void)state;
	for (int pass = 0; pass < 2; pass++) {
		kmem_cache_t *cp = kmem_cache_create(
			"fails", 100, 0, construct, destruct, NULL, &limit,
			NULL, pass ? KMF_BUFTAG : 0);
		void *a, *b;

		nconstructed = 0;
		a = kmem_cache_alloc(cp, KM_NOSLEEP);
		b = kmem_cache_alloc(cp, KM_NOSLEEP);
		assert_non_null(a);
		assert_non_null(b);
		assert_null(kmem_cache_alloc(cp, KM_NOSLEEP));
		assert_int_equal(cp->cache_alloc_fail, 1);
		assert_int_equal(check_cache(cp), 0);
		kmem_cache_free(cp, a);
		kmem_cache_free(cp, b);
		kmem_cache_destroy(cp);
	}
}

static void the_bufctl_hash_follows_the_number_of_buffers(void **state)
{
	kmem_cache_t *cp = kmem_cache_create("hashed", 512, 64, NULL, NULL,
					     NULL, NULL, NULL, KMC_NOMAGAZINE);
	static void *buf[4000];

	(void)state;
	for (int i = 0; i < 4000; i++) {
		buf[i] = kmem_cache_alloc(cp, KM_SLEEP);
		if (i == 79) /* 80 buffers */
			assert_int_equal(cp->cache_hash_mask, 31);
		if (i == 87) /* 88 */
			assert_int_equal(cp->cache_hash_mask, 127);
	}
	assert_int_equal(cp->cache_hash_mask, 2047);
	assert_int_equal(check_cache(cp), 0);
	for (int i = 0; i < 4000; i++)
		kmem_cache_free(cp, buf[i]);
	kmem_hash_rescale(cp);
	assert_int_equal(cp->cache_hash_mask, 7);
	kmem_cache_destroy(cp);
}

static void identifiers_come_from_caches_too(void **state)
{
	vmem_t *vmp = vmem_create("minors", (void *)1, 1000, 1, NULL, NULL,
				  NULL, 4, VM_SLEEP | VMC_IDENTIFIER);
	void *id = vmem_alloc(vmp, 1, VM_SLEEP);

	(void)state;
	assert_in_range((uintptr_t)id, 1, 1000);
	assert_true(cache_named("minors_1")->cache_cflags & KMC_IDENTIFIER);
	assert_int_equal(check_all(), 0);
	vmem_free(vmp, id, 1);
	vmem_destroy(vmp);
	assert_null(cache_named("minors_1"));
}

static void a_cache_that_is_not_empty_is_left_alone(void **state)
{
	kmem_cache_t *cp = kmem_cache_create("busy", 64, 0, NULL, NULL, NULL,
					     NULL, NULL, 0);
	char *p = kmem_cache_alloc(cp, KM_SLEEP);

	(void)state;
	kmem_cache_destroy(cp);
	assert_null(cache_named("busy"));
	memset(p, 1, 64); /* still there */
	assert_ptr_equal(kmem_addr_cache(p, NULL, NULL), cp);
}

static void nothing_is_lost_over_a_cache_s_life(void **state)
{
	size_t before, after;

	(void)state;
	kmem_reap();
	before = vmem_size(kmem_cache_arena, VMEM_ALLOC) +
		 vmem_size(kmem_hash_arena, VMEM_ALLOC);
	for (int i = 0; i < 100; i++) {
		kmem_cache_t *cp =
			kmem_cache_create("life", 700, 0, NULL, NULL, NULL,
					  NULL, NULL, i % 2 ? ALL_CHECKS : 0);
		void *p = kmem_cache_alloc(cp, KM_SLEEP);

		kmem_cache_free(cp, p);
		kmem_cache_destroy(cp);
	}
	after = vmem_size(kmem_cache_arena, VMEM_ALLOC) +
		vmem_size(kmem_hash_arena, VMEM_ALLOC);
	assert_int_equal(after, before);
	assert_int_equal(check_all(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes_have_the_documented_geometry),
		cmocka_unit_test(checked_classes_have_the_documented_geometry),
		cmocka_unit_test(metadata_caches_are_raw),
		cmocka_unit_test(flags_follow_the_rules),
		cmocka_unit_test(colours_cycle),
		cmocka_unit_test(magazines_are_exchanged_as_documented),
		cmocka_unit_test(the_working_set_is_kept_and_the_rest_reaped),
		cmocka_unit_test(magazines_grow_when_the_depot_is_fought_for),
		cmocka_unit_test(objects_stay_constructed_in_magazines),
		cmocka_unit_test(poisoned_objects_are_constructed_every_time),
		cmocka_unit_test(lite_objects_stay_constructed),
		cmocka_unit_test(a_failed_constructor_fails_the_allocation),
		cmocka_unit_test(the_bufctl_hash_follows_the_number_of_buffers),
		cmocka_unit_test(identifiers_come_from_caches_too),
		cmocka_unit_test(a_cache_that_is_not_empty_is_left_alone),
		cmocka_unit_test(nothing_is_lost_over_a_cache_s_life),
	};

	pin();
	kmem_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
