/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the libkmem back end says of a healthy heap. */
#include "heap_kmem_world.h"

static void tells_the_states_of_buffers(void **state)
{
	struct world *w = world();

	(void)state;
	open_world(w);
	expect_bufs(w, false, BUF_ALLOCATED, "012");
	expect_bufs(w, false, BUF_FREE_DEPOT, "3");
	expect_bufs(w, false, BUF_FREE_MAG, "45");
	expect_bufs(w, false, BUF_FREE_SLAB, "67");
	expect_bufs(w, true, BUF_ALLOCATED, "01");
	expect_bufs(w, true, BUF_FREE, "23");
	expect_healthy(w);
	assert_true(w->heap->health.is_quiescent);
	done(w);
}

static void lists_candidates_with_what_was_asked_for(void **state)
{
	struct world *w = world();
	struct list l = {0};

	(void)state;
	open_world(w);
	struct err *err =
		w->heap->ops->bufs(w->heap, 0, BUF_ALLOCATED, add_buf, &l);

	assert_null(err);
	assert_int_equal(l.v.n, 6);
	assert_int_equal(l.v.v[0].size_bytes, 64);
	assert_int_equal(l.v.v[0].req_bytes, 20);
	assert_int_equal(l.v.v[1].req_bytes, 64);
	assert_int_equal(l.v.v[2].req_bytes, 64); /* not sized */
	assert_int_equal(l.v.v[3].req_bytes, 100);
	assert_int_equal(l.v.v[5].kind, BUF_OVERSIZE);
	assert_int_equal(l.v.v[5].size_bytes, 8000);
	VEC_FREE(&l.v);
	strbuf_free(&l.text);
	done(w);
}

static void finds_the_buffer_of_an_address(void **state)
{
	struct world *w = world();
	struct heap_buf b;

	(void)state;
	open_world(w);
	for (uint64_t a = RAW(0) - 8; a < RAW(8) + 8; a++) {
		bool is_in =
			a >= RAW(0) && a < RAW(8) && (a - RAW(0)) % 96 < 64;

		assert_int_equal(w->heap->ops->buf_at(w->heap, a, &b), is_in);
		if (is_in)
			assert_int_equal(b.addr, RAW((a - RAW(0)) / 96));
	}
	assert_true(w->heap->ops->buf_at(w->heap, A(big_mem) + 7999, &b));
	assert_false(w->heap->ops->buf_at(w->heap, A(big_mem) + 8000, &b));
	done(w);
}

static void tells_who_did_it(void **state)
{
	struct world *w = world();
	struct heap_audit au;
	struct heap_stack st;
	struct heap_buf b;

	(void)state;
	open_world(w);
	assert_true(w->heap->ops->buf_at(w->heap, HASH(0) + 3, &b));
	assert_true(w->heap->ops->audit(w->heap, &b, &au));
	assert_int_equal(au.tid, 77);
	assert_int_equal(au.what, 1);
	assert_int_equal(au.stamp_ns, 100);
	assert_true(w->heap->ops->stack(w->heap, au.stack, &st));
	assert_int_equal(st.depth, 3);
	assert_int_equal(st.pc[2], 0x403000);
	assert_false(w->heap->ops->stack(w->heap, 0, &st));
	assert_false(w->heap->ops->stack(w->heap, 0xffffffff, &st));
	assert_true(w->heap->ops->buf_at(w->heap, A(big_mem), &b));
	assert_true(w->heap->ops->audit(w->heap, &b, &au));
	assert_int_equal(au.tid, 9);
	done(w);
}

static struct err *add_stamp(void *arg, const struct heap_audit *a)
{
	struct list *l = arg;

	strbuf_printf(&l->text, "%d ", (int)a->stamp_ns);
	return NULL;
}

static void the_log_is_read_newest_first(void **state)
{
	struct world *w = world();
	struct list l = {0};

	(void)state;
	open_world(w);
	struct err *err = w->heap->ops->log(w->heap, HEAP_LOG_TRANSACTION, 0,
					    add_stamp, &l);

	assert_null(err);
	assert_string_equal(strbuf_str(&l.text), "30 20 10 ");
	strbuf_free(&l.text);
	err = w->heap->ops->log(w->heap, HEAP_LOG_FAIL, 0, add_stamp, &l);
	assert_true(err_is(err, ERR_NOTFOUND));
	err_free(err);
	done(w);
}

static struct err *get_nalloc(void *arg, const struct heap_cache *c)
{
	if (strcmp(c->name, "raw") == 0)
		*(uint64_t *)arg = c->nalloc;
	return NULL;
}

static void taking_a_magazine_from_the_depot_is_no_allocation(void **state)
{
	struct world *w = world();
	uint64_t nalloc = 0;

	(void)state;
	w->im->raw.slab_alloc = 20;
	w->im->raw.full.nalloc = 5;
	open_world(w);
	assert_null(w->heap->ops->caches(w->heap, get_nalloc, &nalloc));
	assert_int_equal(nalloc, 20);
	done(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_the_states_of_buffers),
		cmocka_unit_test(lists_candidates_with_what_was_asked_for),
		cmocka_unit_test(finds_the_buffer_of_an_address),
		cmocka_unit_test(tells_who_did_it),
		cmocka_unit_test(the_log_is_read_newest_first),
		cmocka_unit_test(
			taking_a_magazine_from_the_depot_is_no_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
