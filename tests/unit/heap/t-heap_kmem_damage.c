/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The libkmem back end believes nothing of a damaged heap. */
#include "heap_kmem_world.h"

static void a_slab_list_that_is_a_ring_ends(void **state)
{
	struct world *w = world();

	(void)state;
	w->im->raw_slab.next = A(raw_slab);
	open_world(w);
	expect_damage(w, "is in the list already");
	expect_bufs(w, false, BUF_ALLOCATED, "012");
	expect_bufs(w, true, BUF_ALLOCATED, "01");
	done(w);
}

static void a_wild_slab_pointer_ends_its_list_only(void **state)
{
	struct world *w = world();

	(void)state;
	w->im->raw_slab.next = 0xdeadbeefdeadbeef;
	open_world(w);
	expect_damage(w, "is not in the dump");
	expect_bufs(w, false, BUF_ANY, "01234567");
	expect_bufs(w, true, BUF_ANY, "0123");
	done(w);
}

static void a_slab_of_another_cache_is_not_taken(void **state)
{
	struct world *w = world();

	(void)state;
	w->im->raw_slab.next = A(hash_slab);
	open_world(w);
	expect_damage(w, "belongs to another cache");
	expect_bufs(w, false, BUF_ANY, "01234567");
	done(w);
}

static void slabs_that_overlap_count_once(void **state)
{
	struct world *w = world();

	(void)state;
	w->im->spare_slab = w->im->raw_slab;
	w->im->spare_slab.base = RAW(2);
	w->im->raw_slab.next = A(spare_slab);
	open_world(w);
	expect_damage(w, "overlaps");
	expect_bufs(w, false, BUF_ANY, "01234567");
	done(w);
}

static void a_slab_too_large_for_its_memory_is_dropped(void **state)
{
	struct world *w = world();

	(void)state;
	w->im->raw_slab.chunks = 60000;
	open_world(w);
	expect_damage(w, "more buffers than it has room for");
	expect_bufs(w, false, BUF_ANY, "");
	expect_bufs(w, true, BUF_ANY, "0123");
	done(w);
}

static void a_geometry_that_cannot_be_is_dropped(void **state)
{
	static const struct {
		size_t offset;
		uint64_t value;
	} bad[] = {
		{offsetof(struct t_cache, chunk), 0},
		{offsetof(struct t_cache, chunk), UINT64_MAX},
		{offsetof(struct t_cache, slabsize), 0},
		{offsetof(struct t_cache, slabsize), 4095},
		{offsetof(struct t_cache, bufsize), 97},
		{offsetof(struct t_cache, bufsize), UINT64_MAX},
		{offsetof(struct t_cache, buftag), 96},
		{offsetof(struct t_cache, verify), UINT64_MAX},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct world *w = world();

		put(w->im, A(raw) + bad[i].offset, bad[i].value);
		open_world(w);
		expect_damage(w, "cannot be");
		expect_bufs(w, false, BUF_ANY, "");
		expect_bufs(w, true, BUF_ALLOCATED, "01");
		done(w);
	}
}

static void a_broken_free_list_leaves_it_to_the_tags(void **state)
{
	struct world *w = world();

	(void)state;
	put(w->im, RAW(7) + 64, 0x4141414141414141);
	open_world(w);
	expect_damage(w, "is no bufctl of the slab");
	expect_bufs(w, false, BUF_ALLOCATED, "012");
	expect_bufs(w, false, BUF_FREE_SLAB, "67");
	done(w);
}

static void a_free_list_that_is_a_ring_ends(void **state)
{
	struct world *w = world();

	(void)state;
	w->im->raw_slab.refcnt = 3;
	put(w->im, RAW(6) + 64, RAW(7) + 64);
	open_world(w);
	expect_damage(w, "is in the list twice");
	expect_bufs(w, false, BUF_ALLOCATED, "012");
	done(w);
}

static void a_free_list_off_the_grid_is_damage(void **state)
{
	struct world *w = world();

	(void)state;
	put(w->im, RAW(7) + 64, RAW(6) + 72);
	open_world(w);
	expect_damage(w, "is no bufctl of the slab");
	done(w);
}

static void a_free_list_of_the_wrong_length_is_damage(void **state)
{
	struct world *w = world();

	(void)state;
	w->im->raw_slab.refcnt = 7;
	open_world(w);
	expect_damage(w, "goes on too long");
	done(w);
	w = world();
	w->im->raw_slab.refcnt = 5;
	open_world(w);
	expect_damage(w, "ends too early");
	done(w);
}

static void hash_chains_in_a_ring_end(void **state)
{
	struct world *w = world();

	(void)state;
	w->im->ctl[1].next = A(ctl[0]);
	open_world(w);
	expect_damage(w, "is in the table twice");
	expect_bufs(w, true, BUF_ALLOCATED, "01");
	expect_bufs(w, true, BUF_FREE, "23");
	done(w);
}

static void a_hash_table_of_absurd_size_is_not_read(void **state)
{
	struct world *w = world();

	(void)state;
	w->im->hash.hash_mask = UINT64_MAX / 8;
	open_world(w);
	expect_damage(w, "hash table");
	/* the free lists still tell */
	expect_bufs(w, true, BUF_ALLOCATED, "01");
	done(w);
}

static void magazines_are_not_believed(void **state)
{
	struct world *w = world();

	(void)state;
	w->im->raw.cpu[0].rounds = 1000000;
	open_world(w);
	expect_damage(w, "1000000 rounds in a magazine of 1");
	expect_bufs(w, false, BUF_FREE_DEPOT, "3");
	done(w);
	w = world();
	w->im->mag[0].round[0] = RAW(4) + 8;
	open_world(w);
	expect_damage(w, "is no buffer of the cache");
	expect_bufs(w, false, BUF_FREE_DEPOT, "3");
	done(w);
	w = world();
	w->im->mag[0].round[0] = RAW(7);
	open_world(w);
	expect_damage(w, "is free in another place, too");
	done(w);
	w = world();
	w->im->mag[2].next = A(mag[2]);
	open_world(w);
	expect_damage(w, "depot");
	expect_bufs(w, false, BUF_ALLOCATED, "012");
	done(w);
	w = world();
	w->im->raw.full.list = 0x10;
	open_world(w);
	expect_damage(w, "is not mapped");
	done(w);
}

static struct err *count_cache(void *arg, const struct heap_cache *c)
{
	size_t *n = arg;

	(void)c;
	(*n)++;
	return NULL;
}

static void a_ring_of_caches_that_misses_its_anchor_ends(void **state)
{
	struct world *w = world();
	size_t n = 0;

	(void)state;
	w->im->hash.next = A(raw);
	open_world(w);
	expect_damage(w, "is in the list already");
	struct err *err = w->heap->ops->caches(w->heap, count_cache, &n);

	assert_null(err);
	assert_int_equal(n, 2);
	done(w);
}

static void arenas_are_not_believed(void **state)
{
	struct world *w = world();

	(void)state;
	w->im->over.next = A(heap);
	open_world(w);
	expect_damage(w, "is in the list already");
	done(w);
	w = world();
	w->im->heap.source = A(over); /* a ring of sources */
	open_world(w);
	expect_bufs(w, false, BUF_ALLOCATED, "012");
	done(w);
	w = world();
	w->im->seg[3].anext = A(seg[2]); /* never back to the anchor */
	open_world(w);
	expect_damage(w, "does not point back");
	done(w);
	w = world();
	w->im->seg[3].end = UINT64_MAX;
	open_world(w);
	expect_damage(w, "is not mapped");
	done(w);
	w = world();
	w->im->seg[2].type = 99;
	open_world(w);
	expect_damage(w, "is no boundary tag");
	done(w);
}

static void a_held_lock_is_seen(void **state)
{
	struct world *w = world();

	(void)state;
	w->im->raw.cpu[1].lock = 1;
	open_world(w);
	expect_bufs(w, false, BUF_ALLOCATED, "012");
	assert_true(w->heap->health.is_quiescent_known);
	assert_false(w->heap->health.is_quiescent);
	done(w);
}

static void what_is_not_ready_is_refused(void **state)
{
	static const struct {
		size_t offset;
		uint32_t value;
	} bad[] = {
		{offsetof(struct image, ready), 1},
		{offsetof(struct image, ncpus), 0},
		{offsetof(struct image, ncpus), 1000000},
		{offsetof(struct image, seg_size), 1},
		{offsetof(struct image, seg_size), 1000000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct world *w = world();

		memcpy((char *)w->im + bad[i].offset, &bad[i].value, 4);
		w->t = target_mem_create();
		target_mem_add(w->t, AT, w->im, BYTES, PF_R | PF_W);
		w->heap = mem_zalloc(sizeof(*w->heap));
		w->heap->ops = &heap_kmem_ops;
		w->heap->target = w->t;
		struct err *err = kmem_open_named(w->heap, &w->names);

		assert_non_null(err);
		err_free(err);
		done(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slab_list_that_is_a_ring_ends),
		cmocka_unit_test(a_wild_slab_pointer_ends_its_list_only),
		cmocka_unit_test(a_slab_of_another_cache_is_not_taken),
		cmocka_unit_test(slabs_that_overlap_count_once),
		cmocka_unit_test(a_slab_too_large_for_its_memory_is_dropped),
		cmocka_unit_test(a_geometry_that_cannot_be_is_dropped),
		cmocka_unit_test(a_broken_free_list_leaves_it_to_the_tags),
		cmocka_unit_test(a_free_list_that_is_a_ring_ends),
		cmocka_unit_test(a_free_list_off_the_grid_is_damage),
		cmocka_unit_test(a_free_list_of_the_wrong_length_is_damage),
		cmocka_unit_test(hash_chains_in_a_ring_end),
		cmocka_unit_test(a_hash_table_of_absurd_size_is_not_read),
		cmocka_unit_test(magazines_are_not_believed),
		cmocka_unit_test(a_ring_of_caches_that_misses_its_anchor_ends),
		cmocka_unit_test(arenas_are_not_believed),
		cmocka_unit_test(a_held_lock_is_seen),
		cmocka_unit_test(what_is_not_ready_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
