/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Leaks on hand-made heaps: which words keep which buffers alive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <elf.h>
#include <string.h>
#include "base/mem.h"
#include "graph/graph.h"

/*
 * The world of a test: heap memory in buffers of 64 bytes, one page of data,
 * and the stack of one thread with a descriptor at its top as glibc has it.
 */
#define HEAP        0x10000000ULL
#define NBUFS       64
#define BUF(i)      (HEAP + (i)*64ULL)
#define DATA        0x20000000ULL
#define LARGE       0x50000000ULL
#define STACK       0x30001000ULL /* the guard page is below */
#define STACK_BYTES 0x8000ULL
#define TCB         (STACK + STACK_BYTES - 0x900)
#define SP          (STACK + 0x6000)

struct world {
	uint64_t heap[NBUFS * 8];
	uint64_t data[512];
	uint64_t stack[STACK_BYTES / 8];
	struct heap_fake_buf bufs[NBUFS];
	size_t nbufs;
	struct user_regs_struct regs;
	bool is_ended;      /* the stack's thread is gone */
	bool is_regs_lost;  /* and so are the registers */
	size_t large_bytes; /* of a mapping at LARGE; 0 none */
	bool is_bytewise;   /* pointers may be at any byte */
	bool is_followed;   /* by a mapping that begins where the heap ends */
	void *large;
	struct target *t;
	struct heap *h;
	struct leaks *l;
};

static void put(struct world *w, uint64_t addr, uint64_t value)
{
	if (addr >= STACK)
		w->stack[(addr - STACK) / 8] = value;
	else if (addr >= DATA)
		w->data[(addr - DATA) / 8] = value;
	else
		w->heap[(addr - HEAP) / 8] = value;
}

static void buf(struct world *w, int i, enum buf_state state, uint32_t stack)
{
	w->bufs[w->nbufs++] = (struct heap_fake_buf){BUF(i), 64, state, stack};
}

static struct world *world(void)
{
	struct world *w = mem_zalloc(sizeof(*w));

	put(w, TCB, TCB);
	put(w, TCB + 0x10, TCB);
	put(w, TCB + 0x690, STACK - 0x1000);
	put(w, TCB + 0x698, STACK_BYTES + 0x1000);
	put(w, TCB + 0x6a0, 0x1000);
	w->regs.rsp = SP;
	w->regs.fs_base = TCB;
	return w;
}

static void look(struct world *w)
{
	static const struct heap_range own = {HEAP, HEAP + NBUFS * 64};
	struct target_thread th = {.tid = 7, .has_regs = true};
	struct target_thread other = {.tid = 6, .has_regs = true};

	w->t = target_mem_create();
	target_mem_add(w->t, HEAP, w->heap, sizeof(w->heap), PF_R | PF_W);
	if (w->is_followed)
		target_mem_add(w->t, HEAP + sizeof(w->heap), w->heap,
			       sizeof(w->heap), PF_R);
	if (w->large_bytes) {
		if (!w->large)
			w->large = mem_zalloc(w->large_bytes);
		target_mem_add(w->t, LARGE, w->large, w->large_bytes,
			       PF_R | PF_W);
	}
	target_mem_add(w->t, DATA, w->data, sizeof(w->data), PF_R | PF_W);
	target_mem_add(w->t, STACK, w->stack, sizeof(w->stack), PF_R | PF_W);
	th.regs = w->regs;
	th.has_regs = !w->is_regs_lost;
	if (!w->is_ended)
		target_mem_thread(w->t, &th);
	else
		target_mem_thread(w->t, &other);
	w->h = heap_fake_create(w->t, NULL, w->bufs, w->nbufs, &own, 1);
	struct err *err = w->is_bytewise ? leaks_find_bytewise(w->h, &w->l)
					 : leaks_find(w->h, &w->l);

	assert_null(err);
}

static void done(struct world *w)
{
	leaks_free(w->l);
	heap_close(w->h);
	target_close(w->t);
	mem_free(w->large);
	mem_free(w);
}

static void expect(struct world *w, size_t ngroups, size_t nbufs)
{
	look(w);
	assert_int_equal(w->l->nbufs, nbufs);
	assert_int_equal(w->l->n, ngroups);
}

static void finds_a_buffer_nobody_points_at(void **state)
{
	struct world *w = world();

	(void)state;
	buf(w, 1, BUF_ALLOCATED, 5);
	buf(w, 2, BUF_ALLOCATED, 5);
	put(w, DATA, BUF(1));
	expect(w, 1, 1);
	assert_int_equal(bufset_at(w->l->set, w->l->v[0].buf).addr, BUF(2));
	assert_int_equal(w->l->v[0].bytes, 64);
	assert_int_equal(w->l->v[0].stack, 5);
	assert_true(w->l->v[0].is_direct);
	assert_null(w->l->inconclusive);
	assert_int_equal(w->l->nlive, 2);
	done(w);
}

static void follows_a_chain_from_data(void **state)
{
	struct world *w = world();

	(void)state;
	for (int i = 0; i < 40; i++) {
		buf(w, i, BUF_ALLOCATED, 1);
		if (i < 39)
			put(w, BUF(i) + 56, BUF(i + 1));
	}
	put(w, DATA + 4088, BUF(0));
	expect(w, 0, 0);
	done(w);
}

static void a_lost_chain_has_one_direct_leak(void **state)
{
	struct world *w = world();

	(void)state;
	for (int i = 0; i < 5; i++) {
		buf(w, i, BUF_ALLOCATED, i < 1 ? 1 : 2);
		/* the chain runs downwards: order of age must not matter */
		if (i > 0)
			put(w, BUF(5 - i), BUF(5 - i - 1));
	}
	/* 4 -> 3 -> 2 -> 1 -> 0; only 4 is not pointed at */
	expect(w, 2, 5);
	for (size_t i = 0; i < 2; i++) {
		const struct leak *l = &w->l->v[i];

		assert_int_equal(l->ndirect, l->stack == 2 ? 1 : 0);
		assert_int_equal(l->nbufs, l->stack == 2 ? 4 : 1);
	}
	done(w);
}

static void a_lost_ring_has_one_direct_leak(void **state)
{
	struct world *w = world();

	(void)state;
	for (int i = 0; i < 6; i++) {
		buf(w, i, BUF_ALLOCATED, 10 + (uint32_t)i);
		put(w, BUF(i) + 8, BUF((i + 1) % 6));
	}
	/* a leaf that hangs on the ring is indirect, too */
	buf(w, 6, BUF_ALLOCATED, 99);
	put(w, BUF(3) + 16, BUF(6));
	expect(w, 7, 7);
	size_t ndirect = 0;

	for (size_t i = 0; i < w->l->n; i++) {
		ndirect += w->l->v[i].ndirect;
		/* the oldest stands for the ring */
		assert_int_equal(w->l->v[i].is_direct, w->l->v[i].stack == 10);
	}
	assert_int_equal(ndirect, 1);
	done(w);
}

static void a_ring_behind_another_leak_is_indirect(void **state)
{
	struct world *w = world();

	(void)state;
	buf(w, 0, BUF_ALLOCATED, 1);
	buf(w, 1, BUF_ALLOCATED, 1);
	buf(w, 2, BUF_ALLOCATED, 2); /* head, younger than its ring */
	put(w, BUF(0), BUF(1));
	put(w, BUF(1), BUF(0));
	put(w, BUF(2), BUF(0));
	expect(w, 2, 3);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(w->l->v[i].is_direct, w->l->v[i].stack == 2);
	done(w);
}

static void
without_a_stack_leaks_are_grouped_by_what_they_look_like(void **state)
{
	struct world *w = world();

	(void)state;
	/* a list of 20, and between its elements 20 of numbers */
	for (int i = 0; i < 40; i++) {
		buf(w, i, BUF_ALLOCATED, 0);
		if (i % 2)
			put(w, BUF(i), 0x100000000 + (uint64_t)i);
		else if (i < 38)
			put(w, BUF(i), BUF(i + 2));
		put(w, BUF(i) + 8, 7);
	}
	expect(w, 2, 40);
	for (size_t i = 0; i < 2; i++) {
		const struct leak *l = &w->l->v[i];

		assert_int_equal(l->nbufs, 20);
		for (size_t k = 0; k < 20; k++)
			assert_int_equal(l->members[k] % 2, l->buf % 2);
		assert_string_equal(l->shape, l->buf % 2 ? "{num*2 0*6}"
							 : "{own? num 0*6}");
	}
	done(w);
}

static void a_pointer_to_itself_saves_nobody(void **state)
{
	struct world *w = world();

	(void)state;
	buf(w, 0, BUF_ALLOCATED, 1);
	put(w, BUF(0) + 8, BUF(0));
	expect(w, 1, 1);
	assert_true(w->l->v[0].is_direct);
	done(w);
}

static void an_interior_pointer_keeps_and_is_told(void **state)
{
	struct world *w = world();

	(void)state;
	buf(w, 0, BUF_ALLOCATED, 1);
	buf(w, 1, BUF_ALLOCATED, 1);
	put(w, DATA, BUF(0) + 63);
	put(w, DATA + 8, BUF(1) + 8);
	put(w, DATA + 16, BUF(1));
	expect(w, 0, 0);
	assert_int_equal(w->l->ninterior, 1);
	assert_int_equal(w->l->interior_bytes, 64);
	done(w);
}

static void one_past_the_end_keeps_weakly(void **state)
{
	struct world *w = world();

	(void)state;
	buf(w, 0, BUF_ALLOCATED, 1);
	buf(w, 2, BUF_ALLOCATED, 1);
	buf(w, 4, BUF_ALLOCATED, 1);
	buf(w, 5, BUF_ALLOCATED, 1);
	put(w, DATA, BUF(0) + 64);
	put(w, BUF(0), BUF(2)); /* held by what is held so */
	put(w, DATA + 8, BUF(0) - 1);
	put(w, DATA + 16, BUF(4) + 64); /* which is the start of another */
	put(w, DATA + 24, BUF(4) - 1);
	expect(w, 1, 1);
	assert_int_equal(w->l->set->mark[0], MARK_PAST);
	assert_int_equal(w->l->set->mark[1], MARK_REACHABLE);
	assert_int_equal(w->l->set->mark[2], MARK_NONE);
	assert_int_equal(w->l->set->mark[3], MARK_REACHABLE);
	done(w);
}

/* behind a buffer with a mapping of its own there may be, say, a stack: what
 * points there means that */
static void the_start_of_a_mapping_is_no_end(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct world *w = world();

		(void)state;
		buf(w, NBUFS - 1, BUF_ALLOCATED, 1);
		put(w, DATA, BUF(NBUFS));
		w->is_followed = i;
		expect(w, (size_t)i, (size_t)i);
		assert_int_equal(w->l->set->mark[0], i ? MARK_NONE : MARK_PAST);
		done(w);
	}
}

/* two mappings that touch are one in the dump */
static void a_page_behind_a_large_buffer_is_no_end(void **state)
{
	static const size_t sizes[] = {0x8000, 0x20000};

	for (size_t i = 0; i < 2; i++) {
		struct world *w = world();

		(void)state;
		w->bufs[w->nbufs++] = (struct heap_fake_buf){LARGE, sizes[i],
							     BUF_ALLOCATED, 1};
		w->large_bytes = sizes[i] + 0x1000;
		put(w, DATA, LARGE + sizes[i]);
		expect(w, i, i);
		assert_int_equal(w->l->set->mark[0], i ? MARK_NONE : MARK_PAST);
		done(w);
	}
}

/* in a root, across the border of what threads share, in a buffer */
static void every_byte_may_begin_a_pointer(void **state)
{
	static const size_t places[] = {0, 1, 7, 65536 - 3, 0x1fff8};

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		struct world *w = world();
		bool is_bytewise = i % 2;
		bool is_word = places[i / 2] % 8 == 0;
		uint64_t to[2] = {BUF(1), BUF(2)};
		size_t n = is_bytewise ? 0 : is_word ? 1 : 2;

		buf(w, 1, BUF_ALLOCATED, 1);
		buf(w, 2, BUF_ALLOCATED, 1);
		memcpy((char *)w->heap + 64 + 11, &to[1], 8);
		w->is_bytewise = is_bytewise;
		w->large_bytes = 0x20000;
		w->large = mem_zalloc(w->large_bytes);
		memcpy((char *)w->large + places[i / 2], &to[0], 8);
		look(w);
		assert_int_equal(w->l->nbufs, n);
		done(w);
	}
}

static void a_free_buffer_keeps_nothing(void **state)
{
	struct world *w = world();

	(void)state;
	buf(w, 0, BUF_FREE_MAG, 1);
	buf(w, 1, BUF_ALLOCATED, 1);
	put(w, DATA, BUF(0));
	put(w, BUF(0), BUF(1));
	/* nor does memory of the allocator between buffers */
	put(w, BUF(30), BUF(1));
	expect(w, 1, 1);
	done(w);
}

static void a_word_that_is_not_aligned_is_no_pointer(void **state)
{
	struct world *w = world();

	(void)state;
	buf(w, 0, BUF_ALLOCATED, 1);
	put(w, DATA, BUF(0) << 32);
	put(w, DATA + 8, BUF(0) >> 32);
	expect(w, 1, 1);
	done(w);
}

static void registers_are_roots(void **state)
{
	struct world *w = world();

	(void)state;
	buf(w, 0, BUF_ALLOCATED, 1);
	buf(w, 1, BUF_ALLOCATED, 1);
	put(w, BUF(0) + 8, BUF(1));
	w->regs.r13 = BUF(0);
	expect(w, 0, 0);
	done(w);
}

static void the_stack_counts_from_the_red_zone_up(void **state)
{
	struct world *w = world();

	(void)state;
	for (int i = 0; i < 4; i++)
		buf(w, i, BUF_ALLOCATED, 1);
	put(w, SP, BUF(0));
	put(w, SP - 128, BUF(1));
	put(w, SP - 136, BUF(2));    /* below */
	put(w, TCB + 0x300, BUF(3)); /* thread-specific data */
	expect(w, 1, 1);
	assert_int_equal(bufset_at(w->l->set, w->l->v[0].buf).addr, BUF(2));
	assert_int_equal(w->l->roots->dead_stack_bytes, SP - 128 - STACK);
	done(w);
}

static void the_stack_of_an_ended_thread_is_dead(void **state)
{
	struct world *w = world();

	(void)state;
	for (int i = 0; i < 3; i++)
		buf(w, i, BUF_ALLOCATED, 1);
	put(w, SP + 64, BUF(0));
	put(w, TCB - 64, BUF(1)); /* TLS */
	put(w, TCB + 0x300, BUF(2));
	w->is_ended = true;
	expect(w, 1, 3);
	done(w);
}

static void the_tls_blocks_of_an_ended_thread_are_dead_but_no_leak(void **state)
{
	struct world *w = world();
	uint64_t dtv = BUF(0) + 16;

	(void)state;
	for (int i = 0; i < 5; i++)
		buf(w, i, BUF_ALLOCATED, 1);
	put(w, TCB + 8, dtv);
	put(w, dtv - 16, 2);
	put(w, dtv + 32, BUF(1) + 32);
	put(w, dtv + 40, BUF(1));
	put(w, BUF(1) + 40, BUF(2)); /* a variable in the block */
	/* a block that is reached in another way is looked into */
	put(w, dtv + 24, BUF(3));
	put(w, DATA, BUF(3));
	put(w, BUF(3), BUF(4));
	w->is_ended = true;
	expect(w, 1, 1);
	assert_int_equal(bufset_at(w->l->set, w->l->v[0].buf).addr, BUF(2));
	done(w);
}

static void a_stack_left_for_another_counts_whole(void **state)
{
	struct world *w = world();

	(void)state;
	buf(w, 0, BUF_ALLOCATED, 1);
	put(w, STACK + 64, BUF(0));
	w->regs.rsp = DATA + 64;
	expect(w, 0, 0);
	done(w);
}

static void what_only_looks_like_a_thread_is_memory(void **state)
{
	struct world *w = world();

	(void)state;
	buf(w, 0, BUF_ALLOCATED, 1);
	put(w, SP + 64, BUF(0));
	put(w, TCB + 0x698, STACK_BYTES + 0x2000); /* beyond the top */
	put(w, TCB + 0x690, STACK + 0x1000);
	put(w, TCB + 0x6a0, 0); /* no guard */
	w->is_ended = true;
	expect(w, 0, 0);
	done(w);
}

static void lost_registers_are_no_verdict(void **state)
{
	struct world *w = world();

	(void)state;
	buf(w, 0, BUF_ALLOCATED, 1);
	w->is_regs_lost = true;
	look(w);
	assert_non_null(w->l->inconclusive);
	assert_non_null(strstr(w->l->inconclusive, "registers"));
	done(w);
}

static void an_allocator_at_work_is_no_verdict(void **state)
{
	struct world *w = world();

	(void)state;
	buf(w, 0, BUF_ALLOCATED, 1);
	look(w);
	assert_null(w->l->inconclusive);
	leaks_free(w->l);
	w->h->health.is_quiescent = false;
	struct err *err = leaks_find(w->h, &w->l);

	assert_null(err);
	assert_non_null(w->l->inconclusive);
	assert_int_equal(w->l->nbufs, 1);
	done(w);
}

static void buffers_that_overlap_are_damage(void **state)
{
	struct world *w = world();

	(void)state;
	buf(w, 0, BUF_ALLOCATED, 1);
	w->bufs[w->nbufs++] =
		(struct heap_fake_buf){BUF(0) + 32, 64, BUF_ALLOCATED, 1};
	w->bufs[w->nbufs++] =
		(struct heap_fake_buf){BUF(60), UINT64_MAX, BUF_ALLOCATED, 1};
	look(w);
	assert_int_equal(w->h->health.nfindings, 2);
	assert_non_null(w->l->inconclusive);
	assert_int_equal(w->l->nlive, 1);
	done(w);
}

static void groups_by_stack_largest_first(void **state)
{
	struct world *w = world();

	(void)state;
	for (int i = 0; i < 9; i++)
		buf(w, i, BUF_ALLOCATED, i % 3 ? 1 : 2);
	expect(w, 2, 9);
	assert_int_equal(w->l->v[0].stack, 1);
	assert_int_equal(w->l->v[0].nbufs, 6);
	assert_int_equal(w->l->v[0].bytes, 384);
	assert_int_equal(w->l->v[1].nbufs, 3);
	/* the oldest stands for its group */
	assert_int_equal(bufset_at(w->l->set, w->l->v[1].buf).addr, BUF(0));
	done(w);
}

static void finds_the_buffer_of_every_address(void **state)
{
	struct world *w = world();

	(void)state;
	for (int i = 0; i < NBUFS; i += 2)
		buf(w, i, BUF_ALLOCATED, 1);
	look(w);
	for (uint64_t a = HEAP - 64; a < HEAP + NBUFS * 64 + 64; a++) {
		size_t i = bufset_find(w->l->set, a);
		bool is_in = a >= HEAP && a < HEAP + NBUFS * 64 &&
			     (a - HEAP) / 64 % 2 == 0;

		assert_int_equal(i != BUFSET_NONE, is_in);
		if (is_in)
			assert_int_equal(bufset_at(w->l->set, i).addr,
					 a & ~(uint64_t)63);
	}
	done(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_a_buffer_nobody_points_at),
		cmocka_unit_test(follows_a_chain_from_data),
		cmocka_unit_test(a_lost_chain_has_one_direct_leak),
		cmocka_unit_test(a_lost_ring_has_one_direct_leak),
		cmocka_unit_test(a_ring_behind_another_leak_is_indirect),
		cmocka_unit_test(
			without_a_stack_leaks_are_grouped_by_what_they_look_like),
		cmocka_unit_test(a_pointer_to_itself_saves_nobody),
		cmocka_unit_test(an_interior_pointer_keeps_and_is_told),
		cmocka_unit_test(one_past_the_end_keeps_weakly),
		cmocka_unit_test(the_start_of_a_mapping_is_no_end),
		cmocka_unit_test(a_page_behind_a_large_buffer_is_no_end),
		cmocka_unit_test(every_byte_may_begin_a_pointer),
		cmocka_unit_test(a_free_buffer_keeps_nothing),
		cmocka_unit_test(a_word_that_is_not_aligned_is_no_pointer),
		cmocka_unit_test(registers_are_roots),
		cmocka_unit_test(the_stack_counts_from_the_red_zone_up),
		cmocka_unit_test(the_stack_of_an_ended_thread_is_dead),
		cmocka_unit_test(
			the_tls_blocks_of_an_ended_thread_are_dead_but_no_leak),
		cmocka_unit_test(a_stack_left_for_another_counts_whole),
		cmocka_unit_test(what_only_looks_like_a_thread_is_memory),
		cmocka_unit_test(lost_registers_are_no_verdict),
		cmocka_unit_test(an_allocator_at_work_is_no_verdict),
		cmocka_unit_test(buffers_that_overlap_are_damage),
		cmocka_unit_test(groups_by_stack_largest_first),
		cmocka_unit_test(finds_the_buffer_of_every_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
