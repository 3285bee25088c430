/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Arenas: fit policies, constraints, imports, quantum caches, invariants. */
#include "check.h"

#include <pthread.h>
#include <sys/mman.h>

static vmem_t *ids(size_t base, size_t n)
{
	return vmem_create("ids", (void *)base, n, 1, NULL, NULL, NULL, 0,
			   VM_SLEEP | VMC_IDENTIFIER);
}

static size_t take(vmem_t *vmp, size_t n, int flags)
{
	return (size_t)vmem_alloc(vmp, n, flags | VM_NOSLEEP);
}

static void give(vmem_t *vmp, size_t at, size_t n)
{
	vmem_free(vmp, (void *)at, n);
}

static void instant_fit_uses_exact_powers_first(void **state)
{
	vmem_t *vmp = ids(1, 16);

	(void)state;
	assert_int_equal(take(vmp, 1, 0), 1);
	assert_int_equal(take(vmp, 1, 0), 2);
	assert_int_equal(take(vmp, 1, 0), 3);
	give(vmp, 2, 1);
	assert_int_equal(vmp->vm_freemap, 1 << 0 | 1 << 3);
	assert_int_equal(take(vmp, 1, 0), 2);
	give(vmp, 1, 1);
	give(vmp, 2, 1);
	give(vmp, 3, 1);
	assert_int_equal(vmp->vm_freemap, 1 << 4);
	assert_int_equal(take(vmp, 3, 0), 1);
	assert_int_equal(take(vmp, 16, 0), 0);
	assert_int_equal(check_arena(vmp), 0);
	give(vmp, 1, 3);
	assert_int_equal(take(vmp, 16, 0), 1);
	give(vmp, 1, 16);
	vmem_destroy(vmp);
}

static void a_fit_in_the_sizes_own_list_is_found(void **state)
{
	vmem_t *vmp = ids(1, 7); /* 7 and 5 are both on list 2 */

	(void)state;
	assert_int_equal(take(vmp, 5, 0), 1);
	give(vmp, 1, 5);
	vmem_destroy(vmp);
}

static void best_fit_takes_the_tightest(void **state)
{
	vmem_t *vmp = ids(1, 64);

	(void)state;
	/* free: [1,8) 7, [10,15) 5, [16,65) */
	assert_int_equal(take(vmp, 7, 0), 1);
	assert_int_equal(take(vmp, 2, 0), 8);
	assert_int_equal(take(vmp, 5, 0), 10);
	assert_int_equal(take(vmp, 1, 0), 15);
	give(vmp, 10, 5);
	give(vmp, 1, 7);
	assert_int_equal(take(vmp, 5, VM_BESTFIT), 10);
	give(vmp, 10, 5);
	give(vmp, 15, 1); /* merges [10,65) */
	assert_int_equal(take(vmp, 5, VM_BESTFIT), 1);
	give(vmp, 1, 5);
	/* instant fit looks at the longer lists only */
	assert_int_equal(take(vmp, 5, 0), 10);
	assert_int_equal(check_arena(vmp), 0);
	give(vmp, 10, 5);
	give(vmp, 8, 2);
	vmem_destroy(vmp);
}

static void next_fit_reuses_as_late_as_possible(void **state)
{
	vmem_t *vmp = ids(1, 8);

	(void)state;
	for (size_t i = 1; i <= 20; i++) {
		size_t id = take(vmp, 1, VM_NEXTFIT);

		assert_int_equal(id, (i - 1) % 8 + 1);
		give(vmp, id, 1);
	}
	assert_int_equal(take(vmp, 1, VM_NEXTFIT), 5);
	give(vmp, 5, 1);
	/* the rotor may stand in the middle, yet all of it can be had */
	assert_int_equal(take(vmp, 8, VM_NEXTFIT), 1);
	give(vmp, 1, 8);
	assert_int_equal(check_arena(vmp), 0);
	vmem_destroy(vmp);
}

/* two free segments with the rotor between them are one for everybody */
static void the_rotor_hides_nothing_from_other_policies(void **state)
{
	static const int policy[] = {0, VM_BESTFIT, VM_FIRSTFIT, VM_NEXTFIT};

	(void)state;
	for (size_t i = 0; i < sizeof(policy) / sizeof(*policy); i++) {
		vmem_t *vmp = ids(1, 16);

		assert_int_equal(take(vmp, 5, VM_NEXTFIT), 1);
		assert_int_equal(take(vmp, 5, VM_NEXTFIT), 6);
		give(vmp, 6, 5);
		give(vmp, 1, 5);
		assert_int_equal(take(vmp, 16, policy[i]), 1);
		give(vmp, 1, 16);
		assert_ptr_equal(vmem_xalloc(vmp, 14, 1, 0, 16, NULL, NULL,
					     VM_NOSLEEP | policy[i]),
				 (void *)1);
		vmem_xfree(vmp, (void *)1, 14);
		assert_int_equal(check_arena(vmp), 0);
		vmem_destroy(vmp);
	}
}

/* a source is never asked but by who imports from it */
static void the_hash_of_a_source_grows_too(void **state)
{
	vmem_t *top = ids(1, 3000);
	vmem_t *mid = vmem_create("mid", NULL, 0, 1, vmem_alloc, vmem_free, top,
				  0, VM_SLEEP | VMC_IDENTIFIER);
	vmem_t *low = vmem_create("low", NULL, 0, 1, vmem_alloc, vmem_free, mid,
				  0, VM_SLEEP | VMC_IDENTIFIER);
	size_t id[3000];

	(void)state;
	for (int i = 0; i < 3000; i++)
		id[i] = take(low, 1, 0);
	assert_true(low->vm_hash_mask >= 1023);
	assert_true(mid->vm_hash_mask >= 1023);
	assert_true(top->vm_hash_mask >= 1023);
	for (int i = 0; i < 3000; i++)
		give(low, id[i], 1);
	assert_int_equal(check_arena(top), 0);
	vmem_destroy(low);
	vmem_destroy(mid);
	vmem_destroy(top);
}

static void end_allocation_carves_from_the_top(void **state)
{
	vmem_t *vmp = ids(1, 16);

	(void)state;
	assert_int_equal(take(vmp, 3, VM_ENDALLOC), 14);
	assert_int_equal(take(vmp, 3, VM_ENDALLOC | VM_BESTFIT), 11);
	give(vmp, 14, 3);
	give(vmp, 11, 3);
	vmem_destroy(vmp);
}

static void constraints_hold(void **state)
{
	vmem_t *vmp = vmem_create("constrained", (void *)0x1000, 0x10000, 0x10,
				  NULL, NULL, NULL, 0, VM_SLEEP);
	unsigned seed = 7;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		size_t align = 0x10u << next_random(&seed) % 6;
		size_t phase = next_random(&seed) % align & ~0xful;
		size_t bytes = 1 + next_random(&seed) % 300;
		size_t nocross = next_random(&seed) % 2 ? 0x1000 : 0;
		uintptr_t min = 0x1000 + next_random(&seed) % 0xe000;
		uintptr_t max = min + 0x800;
		uintptr_t p = (uintptr_t)vmem_xalloc(vmp, bytes, align, phase,
						     nocross, (void *)min,
						     (void *)max, VM_NOSLEEP);

		if (!p)
			continue;
		assert_int_equal(p % align, phase);
		assert_true(p >= min && p + bytes <= max);
		if (nocross)
			assert_int_equal(p / nocross,
					 (p + bytes - 1) / nocross);
		if (i % 64 == 0)
			assert_int_equal(check_arena(vmp), 0);
		vmem_xfree(vmp, (void *)p, bytes);
	}
	assert_int_equal(vmem_size(vmp, VMEM_ALLOC), 0);
	vmem_destroy(vmp);
}

static void an_impossible_range_fails(void **state)
{
	vmem_t *vmp = ids(1, 100);

	(void)state;
	assert_null(
		vmem_xalloc(vmp, 10, 0, 0, 0, (void *)95, NULL, VM_NOSLEEP));
	assert_null(
		vmem_xalloc(vmp, 10, 0, 0, 0, NULL, (void *)10, VM_NOSLEEP));
	assert_ptr_equal(
		vmem_xalloc(vmp, 10, 0, 0, 0, NULL, (void *)11, VM_NOSLEEP),
		(void *)1);
	assert_int_equal(vmp->vm_kstat.vk_fail, 2);
	vmem_xfree(vmp, (void *)1, 10);
	vmem_destroy(vmp);
}

static void whole_imports_go_back(void **state)
{
	vmem_t *src = ids(1000, 1000);
	vmem_t *vmp = vmem_create("importer", NULL, 0, 1, vmem_alloc, vmem_free,
				  src, 0, VM_SLEEP | VMC_IDENTIFIER);
	size_t a = take(vmp, 10, 0);
	size_t b = take(vmp, 20, 0);

	(void)state;
	assert_true(a >= 1000 && b >= 1000);
	assert_int_equal(vmp->vm_kstat.vk_mem_import, 30);
	assert_int_equal(vmem_size(src, VMEM_ALLOC), 30);
	assert_true(vmem_contains(vmp, (void *)a, 10));
	assert_false(vmem_contains(vmp, (void *)a, 500));
	give(vmp, a, 10);
	assert_int_equal(vmem_size(src, VMEM_ALLOC), 20);
	give(vmp, b, 20);
	assert_int_equal(vmem_size(src, VMEM_ALLOC), 0);
	assert_int_equal(vmp->vm_kstat.vk_mem_total, 0);
	vmem_destroy(vmp);
	vmem_destroy(src);
}

static void aligned_imports_leave_room(void **state)
{
	size_t align = 1 << 20;
	void *p = vmem_xalloc(kmem_oversize_arena, 100, align, 0, 0, NULL, NULL,
			      VM_SLEEP);

	(void)state;
	assert_int_equal((uintptr_t)p % align, 0);
	vmem_xfree(kmem_oversize_arena, p, 100);
	assert_int_equal(check_arena(kmem_oversize_arena), 0);
}

static void quantum_caches_serve_small_multiples(void **state)
{
	kmem_cache_t *cp = cache_named("kmem_va_8192");
	uint64_t before = cp->cache_slab_alloc;
	void *p = vmem_alloc(cp->cache_arena, 5000, VM_SLEEP);

	(void)state;
	assert_int_equal(cp->cache_slabsize, 131072);
	assert_int_equal(cp->cache_slab_alloc, before + 1);
	vmem_free(cp->cache_arena, p, 5000);
	assert_null(cache_named("kmem_va_36864"));
	assert_non_null(cache_named("kmem_va_32768"));
}

static void hash_follows_the_number_of_segments(void **state)
{
	static const struct {
		size_t n, to;
	} grow[] = {{41, 16}, {42, 64}, {169, 64}, {170, 256}},
	  shrink[] = {{84, 256}, {83, 64}, {20, 64}, {19, 16}};
	vmem_t *vmp = ids(1, 10000);
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 4; i++) {
		while (n < grow[i].n)
			assert_int_equal(take(vmp, 1, 0), ++n);
		vmem_hash_rescale(vmp);
		assert_int_equal(vmp->vm_hash_mask + 1, grow[i].to);
		assert_int_equal(1 << vmp->vm_hash_shift, grow[i].to);
	}
	for (int i = 0; i < 4; i++) {
		while (n > shrink[i].n)
			give(vmp, n--, 1);
		vmem_hash_rescale(vmp);
		assert_int_equal(vmp->vm_hash_mask + 1, shrink[i].to);
	}
	assert_int_equal(check_arena(vmp), 0);
	while (n > 0)
		give(vmp, n--, 1);
	vmem_destroy(vmp);
}

static void free_all_of(void *arg, void *start, size_t size)
{
	vmem_free(arg, start, size);
}

static void sum_sizes(void *arg, void *start, size_t size)
{
	(void)start;
	*(size_t *)arg += size;
}

static void walks_may_change_the_arena(void **state)
{
	vmem_t *vmp = ids(1, 100);
	size_t sum = 0;

	(void)state;
	for (int i = 0; i < 50; i++)
		(void)take(vmp, 2, 0);
	vmem_walk(vmp, VMEM_ALLOC, sum_sizes, &sum);
	assert_int_equal(sum, 100);
	vmem_walk(vmp, (int)(VMEM_ALLOC | VMEM_REENTRANT), free_all_of, vmp);
	assert_int_equal(vmem_size(vmp, VMEM_ALLOC), 0);
	assert_int_equal(vmem_size(vmp, VMEM_FREE), 100);
	assert_int_equal(check_arena(vmp), 0);
	assert_int_equal(take(vmp, 100, 0), 1); /* one segment again */
	give(vmp, 1, 100);
	vmem_destroy(vmp);
}

static void spans_are_added_in_address_order(void **state)
{
	vmem_t *vmp = ids(500, 10);

	(void)state;
	assert_ptr_equal(vmem_add(vmp, (void *)900, 10, VM_SLEEP), (void *)900);
	assert_ptr_equal(vmem_add(vmp, (void *)100, 10, VM_SLEEP), (void *)100);
	assert_int_equal(vmp->vm_seg0.vs_knext->vs_start, 100);
	assert_int_equal(vmp->vm_seg0.vs_kprev->vs_start, 900);
	assert_int_equal(check_arena(vmp), 0);
	assert_int_equal(take(vmp, 11, 0), 0);
	vmem_destroy(vmp);
}

static void *wait_for_an_id(void *arg)
{
	return vmem_alloc(arg, 4, VM_SLEEP);
}

static void sleepers_wake_when_something_is_freed(void **state)
{
	vmem_t *vmp = ids(1, 4);
	pthread_t thread;
	void *got;

	(void)state;
	assert_int_equal(take(vmp, 4, 0), 1);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_an_id, vmp), 0);
	while (__atomic_load_n(&vmp->vm_kstat.vk_wait, __ATOMIC_RELAXED) == 0)
		usleep(1000);
	give(vmp, 1, 4);
	pthread_join(thread, &got);
	assert_ptr_equal(got, (void *)1);
	give(vmp, 1, 4);
	vmem_destroy(vmp);
}

/* A shadow of the arena as one byte a unit: what is allocated never overlaps,
 * and what is refused was not there to be had. */
static void random_operations_match_a_bitmap(void **state)
{
	enum {
		UNITS = 4096,
		SLOTS = 300
	};
	static unsigned char used[UNITS + 1];
	static const int policy[] = {0, VM_BESTFIT, VM_FIRSTFIT, VM_NEXTFIT};
	vmem_t *vmp = ids(1, UNITS);
	size_t at[SLOTS] = {0}, size[SLOTS];
	unsigned seed = 42;

	(void)state;
	for (int i = 0; i < 60000; i++) {
		size_t k = next_random(&seed) % SLOTS;

		if (at[k]) {
			memset(used + at[k], 0, size[k]);
			give(vmp, at[k], size[k]);
			at[k] = 0;
		} else {
			size[k] = 1 + next_random(&seed) % 40;
			at[k] = take(vmp, size[k],
				     policy[next_random(&seed) % 4]);
			for (size_t j = 0; at[k] && j < size[k]; j++)
				assert_false(used[at[k] + j]++);
			if (!at[k]) { /* then no gap is that long */
				size_t run = 0;

				for (size_t j = 1; j <= UNITS; j++) {
					run = used[j] ? 0 : run + 1;
					assert_true(run < size[k]);
				}
			}
		}
		if (i % 500 == 0)
			assert_int_equal(check_arena(vmp), 0);
	}
	for (size_t k = 0; k < SLOTS; k++)
		if (at[k])
			give(vmp, at[k], size[k]);
	assert_int_equal(check_arena(vmp), 0);
	vmem_destroy(vmp);
}

/* More arenas and tags than there are static ones. */
static void tags_never_run_out(void **state)
{
	vmem_t *arena[40];

	(void)state;
	for (int i = 0; i < 40; i++) {
		arena[i] = ids(1, 2000);
		for (int j = 0; j < 200; j++)
			assert_true(take(arena[i], 1 + j % 9, 0));
	}
	for (int i = 0; i < 40; i++) {
		assert_int_equal(check_arena(arena[i]), 0);
		vmem_walk(arena[i], (int)(VMEM_ALLOC | VMEM_REENTRANT),
			  free_all_of, arena[i]);
		vmem_destroy(arena[i]);
	}
	assert_int_equal(check_all(), 0);
}

static void all_memory_is_in_spans_of_the_heap(void **state)
{
	void *big = kmem_alloc(3000000, KM_SLEEP);
	void *small = kmem_alloc(100, KM_SLEEP);
	void *pages = kmem_pages_alloc(100000);

	(void)state;
	assert_true(vmem_contains(vmem_heap, big, 3000000));
	assert_true(vmem_contains(vmem_heap, small, 100));
	assert_true(vmem_contains(vmem_heap, pages, 100000));
	assert_true(vmem_contains(vmem_heap, kmem_slab_cache, 1));
	for (int i = 0; i < 100000; i++)
		assert_int_equal(((char *)pages)[i], 0);
	kmem_free(big, 3000000);
	kmem_free(small, 100);
	memset(pages, 0xff, 100000);
	kmem_pages_free(pages, 100000);
	pages = kmem_pages_alloc(100000); /* likely the same ones */
	for (int i = 0; i < 100000; i++)
		assert_int_equal(((char *)pages)[i], 0);
	kmem_pages_free(pages, 100000);
}

/* ---- addresses given back ---- */

#define PIECE ((size_t)2 << 20)

static void count(void *arg, void *start, size_t bytes)
{
	(void)start;
	(void)bytes;
	++*(int *)arg;
}

static int nspans(void)
{
	int n = 0;

	vmem_walk(vmem_heap, VMEM_SPAN, count, &n);
	return n;
}

/* Is any page of it mapped? */
static int is_mapped(char *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 4096)
		if (msync(p + i, 4096, MS_ASYNC) == 0)
			return 1;
	return 0;
}

/* Frees a piece and has it released: nmore more spans are there then. */
static void release(char *p, int nmore)
{
	size_t total = vmem_size(vmem_heap, VMEM_ALLOC | VMEM_FREE);
	uint64_t import = vmem_heap->vm_kstat.vk_mem_import;
	int n = nspans();

	assert_true(is_mapped(p, PIECE));
	vmem_xfree(vmem_heap, p, PIECE);
	vmem_heap_release();
	assert_false(is_mapped(p, PIECE));
	assert_false(vmem_contains(vmem_heap, p, 1));
	assert_int_equal(vmem_size(vmem_heap, VMEM_ALLOC | VMEM_FREE),
			 total - PIECE);
	assert_int_equal(vmem_heap->vm_kstat.vk_mem_import, import - PIECE);
	assert_int_equal(nspans(), n + nmore);
	assert_int_equal(check_arena(vmem_heap), 0);
}

static void the_heap_gives_addresses_back(void **state)
{
	char *p, *piece[6];

	(void)state;
	vmem_heap_release(); /* what others left */
	p = vmem_alloc(vmem_heap, 6 * PIECE, VM_SLEEP);
	vmem_free(vmem_heap, p, 6 * PIECE); /* and is kept */
	for (size_t i = 0; i < 6; i++) {
		piece[i] = vmem_xalloc(vmem_heap, PIECE, 0, 0, 0, p + i * PIECE,
				       p + (i + 1) * PIECE, VM_NOSLEEP);
		assert_ptr_equal(piece[i], p + i * PIECE);
		memset(piece[i], (int)i + 1, PIECE);
	}
	vmem_heap_release();  /* of what is beside them */
	release(piece[2], 1); /* in the middle: two spans */
	release(piece[3], 0); /* the start of the second one */
	release(piece[1], 0); /* the end of the first one */
	for (size_t i = 0; i < 6; i += i == 0 ? 4 : 1)
		for (size_t k = 0; k < PIECE; k += 4095)
			assert_int_equal(piece[i][k], i + 1);
	/* a piece below what is imported at a time stays */
	vmem_xfree(vmem_heap, piece[4], PIECE);
	p = vmem_xalloc(vmem_heap, PIECE - 65536, 0, 0, 0, piece[4],
			piece[4] + PIECE - 65536, VM_NOSLEEP);
	assert_ptr_equal(p, piece[4]);
	vmem_heap_release();
	assert_true(is_mapped(piece[4] + PIECE - 65536, 65536));
	vmem_xfree(vmem_heap, p, PIECE - 65536);
	vmem_xfree(vmem_heap, piece[0], PIECE);
	vmem_xfree(vmem_heap, piece[5], PIECE);
	vmem_heap_release();
	for (size_t i = 0; i < 6; i++)
		assert_false(is_mapped(piece[i], PIECE));
	assert_int_equal(check_all(), 0);
}

/* New tags go to the arenas that tags are made with first: were they put on
 * the global list, another thread could take them all in between. */
static void who_makes_tags_has_tags_to_make_them_with(void **state)
{
	vmem_t *vmp = vmem_create("tags", (void *)4096, 1 << 20, 1, NULL, NULL,
				  NULL, 0, VM_SLEEP);
	uint64_t before = vmp->vm_kstat.vk_populate_wait;
	int n = 0;

	(void)state;
	for (; vmp->vm_kstat.vk_populate_wait == before && n < 100000; n++)
		(void)vmem_alloc(vmp, 1, VM_SLEEP);
	assert_true(n < 100000);
	for (int i = 0; i < vmem_npopulators; i++)
		assert_true(vmem_populators[i]->vm_nsegfree >=
			    2 * VMEM_RESERVE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instant_fit_uses_exact_powers_first),
		cmocka_unit_test(a_fit_in_the_sizes_own_list_is_found),
		cmocka_unit_test(best_fit_takes_the_tightest),
		cmocka_unit_test(next_fit_reuses_as_late_as_possible),
		cmocka_unit_test(the_rotor_hides_nothing_from_other_policies),
		cmocka_unit_test(the_hash_of_a_source_grows_too),
		cmocka_unit_test(end_allocation_carves_from_the_top),
		cmocka_unit_test(constraints_hold),
		cmocka_unit_test(an_impossible_range_fails),
		cmocka_unit_test(whole_imports_go_back),
		cmocka_unit_test(aligned_imports_leave_room),
		cmocka_unit_test(quantum_caches_serve_small_multiples),
		cmocka_unit_test(hash_follows_the_number_of_segments),
		cmocka_unit_test(walks_may_change_the_arena),
		cmocka_unit_test(spans_are_added_in_address_order),
		cmocka_unit_test(sleepers_wake_when_something_is_freed),
		cmocka_unit_test(random_operations_match_a_bitmap),
		cmocka_unit_test(tags_never_run_out),
		cmocka_unit_test(all_memory_is_in_spans_of_the_heap),
		cmocka_unit_test(the_heap_gives_addresses_back),
		cmocka_unit_test(who_makes_tags_has_tags_to_make_them_with),
	};

	kmem_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
