/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where text leaves the cursor of a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "shell/term.h"

/* text from a column on, ten columns wide */
static void moves(const char *text, size_t from, size_t down, size_t to)
{
	size_t column = from;

	assert_int_equal(term_advance(text, strlen(text), 10, &column), down);
	assert_int_equal(column, to);
}

static void lines_wrap_when_the_next_letter_comes(void **state)
{
	(void)state;
	moves("", 3, 0, 3);
	moves("abc", 0, 0, 3);
	moves("abc\n", 4, 1, 0);
	moves("0123456789", 0, 0, 10);
	moves("0123456789\n", 0, 1, 0);
	moves("0123456789a", 0, 1, 1);
	moves("a\nb\nc", 0, 2, 1);
	moves("\ta", 0, 0, 9);
}

static void styles_take_no_room(void **state)
{
	(void)state;
	moves("\033[1mab\033[0m", 0, 0, 2);
	moves("\033[1;31m0123456789\033[0m", 0, 0, 10);
	moves("\033", 0, 0, 0);
	moves("\033[", 0, 0, 0);
	moves("\033[31", 5, 0, 5);
}

static void letters_of_several_bytes_are_one(void **state)
{
	(void)state;
	moves("gr\303\274\303\237e", 0, 0, 5);
	moves("\342\200\223\n", 2, 1, 0);
}

static void colours_are_named(void **state)
{
	(void)state;
	term_set_colour(COLOUR_ALWAYS);
	assert_true(term_has_colour(-1));
	term_set_colour(COLOUR_NEVER);
	assert_false(term_has_colour(-1));
	term_set_colour(COLOUR_AUTO);
	assert_false(term_has_colour(-1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_wrap_when_the_next_letter_comes),
		cmocka_unit_test(styles_take_no_room),
		cmocka_unit_test(letters_of_several_bytes_are_one),
		cmocka_unit_test(colours_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
