/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Filling with a pattern and looking for it: every length, and a word that
 * differs at every place. */
#include "check.h"

#include <stdlib.h>

#define WORDS 80 /* ten turns */

static const uint64_t dead = KMEM_FREE_PATTERN;
static const uint64_t bad = KMEM_UNINITIALIZED_PATTERN;

/* one word more on each side, which nothing may touch */
static uint64_t room[WORDS + 2];
static uint64_t *const p = room + 1;

static void prepare(size_t n)
{
	for (size_t i = 0; i < WORDS + 2; i++)
		room[i] = 1;
	kmem_pattern_fill(dead, p, n * 8);
}

static void a_fill_is_as_long_as_asked(void **state)
{
	(void)state;
	for (size_t n = 0; n <= WORDS; n++) {
		prepare(n);
		for (size_t i = 0; i < WORDS + 2; i++)
			assert_int_equal(room[i], i > 0 && i <= n ? dead : 1);
		assert_null(kmem_pattern_verify(dead, p, n * 8));
	}
}

static void a_word_that_differs_is_found(void **state)
{
	(void)state;
	for (size_t n = 1; n <= WORDS; n++)
		for (size_t i = 0; i < n; i++) {
			prepare(n);
			p[i] ^= (uint64_t)1 << (i * 7 % 64);
			assert_ptr_equal(kmem_pattern_verify(dead, p, n * 8),
					 &p[i]);
		}
}

static void what_is_not_the_pattern_stays_as_it_is(void **state)
{
	(void)state;
	for (size_t n = 1; n <= WORDS; n++)
		for (size_t i = 0; i < n; i++) {
			prepare(n);
			p[i] = 5;
			assert_ptr_equal(
				kmem_pattern_replace(dead, bad, p, n * 8),
				&p[i]);
			for (size_t k = 0; k < n; k++)
				assert_int_equal(p[k], k == i ? 5 : dead);
			assert_int_equal(p[n], 1);
		}
}

static void a_pattern_is_replaced_whole(void **state)
{
	(void)state;
	for (size_t n = 0; n <= WORDS; n++) {
		prepare(n);
		assert_null(kmem_pattern_replace(dead, bad, p, n * 8));
		for (size_t i = 0; i < WORDS + 2; i++)
			assert_int_equal(room[i], i > 0 && i <= n ? bad : 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fill_is_as_long_as_asked),
		cmocka_unit_test(a_word_that_differs_is_found),
		cmocka_unit_test(what_is_not_the_pattern_stays_as_it_is),
		cmocka_unit_test(a_pattern_is_replaced_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
