/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The scanner: numbers, names, quotes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "pmdb_mod.h"
#include "shell/lex.h"

const struct group *const dcmd_groups[] = {NULL};

static uint64_t number(const char *text, int radix)
{
	uint64_t v = 0;
	struct err *err = lex_number(text, strlen(text), radix, &v);

	if (err)
		fail_msg("%s: %s", text, err->msg);
	return v;
}

static void bad_number(const char *text, int radix)
{
	uint64_t v = 12345;
	struct err *err = lex_number(text, strlen(text), radix, &v);

	assert_true(err_is(err, ERR_USAGE));
	assert_int_equal(v, 12345); /* untouched */
	err_free(err);
}

static void numbers_follow_their_prefix(void **state)
{
	(void)state;
	assert_int_equal(number("ff", 16), 255);
	assert_int_equal(number("10", 10), 10);
	assert_int_equal(number("10", 2), 2);
	assert_int_equal(number("0t10", 16), 10);
	assert_int_equal(number("0T10", 16), 10);
	assert_int_equal(number("0x10", 10), 16);
	assert_int_equal(number("0o17", 16), 15);
	assert_int_equal(number("0i101", 16), 5);
	assert_int_equal(number("0", 16), 0);
	assert_true(number("ffffffffffffffff", 16) == UINT64_MAX);
	assert_true(number("0t18446744073709551615", 16) == UINT64_MAX);
}

static void underscores_stand_after_the_first_digit(void **state)
{
	(void)state;
	assert_int_equal(number("1_0", 16), 16);
	assert_int_equal(number("0xd_e_", 16), 0xde);
	bad_number("0x_1", 16);
	bad_number("0t_4", 16);
	bad_number("_1", 16);
}

static void bad_numbers_are_refused(void **state)
{
	(void)state;
	bad_number("0i2", 16);
	bad_number("0o8", 16);
	bad_number("0ta", 16);
	bad_number("fg", 16);
	bad_number("a", 10);
	bad_number("0x", 16);
	bad_number("10000000000000000", 16);
	bad_number("0t18446744073709551616", 16);
}

static void doubles_are_their_bits(void **state)
{
	double d = 1.5;
	uint64_t bits = 0;

	(void)state;
	memcpy(&bits, &d, sizeof(bits));
	assert_true(number("0t1.5", 16) == bits);
}

static size_t symbol(const char *text)
{
	struct lex lx = {.text = text};

	return lex_symbol_span(&lx);
}

static void names_end_where_operators_begin(void **state)
{
	(void)state;
	assert_int_equal(symbol("main+4"), 4);
	assert_int_equal(symbol("a.out`main"), 10);
	assert_int_equal(symbol("libc.so.6`malloc::x"), 16);
	/* a file name may hold what is an operator elsewhere */
	assert_int_equal(symbol("ld-linux-x86-64.so.2`_rtld_global"), 33);
	assert_int_equal(symbol("libstdc++.so.6`x"), 16);
	assert_int_equal(symbol("a-b`c"), 1);
	assert_int_equal(symbol(".+4"), 0);
	assert_int_equal(symbol(".hidden"), 7);
	assert_int_equal(symbol("4x"), 0);
	assert_int_equal(symbol(""), 0);
}

static void quoted(const char *text, const char *want)
{
	struct lex lx = {.text = text};
	struct strbuf sb = {0};

	strbuf_puts(&sb, "");
	assert_null(lex_quoted(&lx, &sb));
	assert_string_equal(sb.s, want);
	assert_int_equal(lx.pos, strlen(text));
	strbuf_free(&sb);
}

static void quotes_are_mdbs(void **state)
{
	struct lex lx = {.text = "'abc\ndef'"};
	struct strbuf sb = {0};
	struct err *err = NULL;

	(void)state;
	quoted("'a\\nb\"'", "a\\nb\"");
	quoted("\"a\\tb\"", "a\tb");
	quoted("\"\\101\\60\"", "A0");
	quoted("\"\\x\\$\\'\"", "\\x\\$\\'");
	quoted("\"\\\"\\\\\"", "\"\\");
	quoted("\"\"", "");
	err = lex_quoted(&lx, &sb);
	assert_true(err_is(err, ERR_USAGE)); /* no newline in it */
	err_free(err);
	strbuf_free(&sb);
}

static void comments_need_a_token_start(void **state)
{
	struct lex lx = {.text = "  // gone\nx"};
	struct strbuf sb = {0};

	(void)state;
	lex_space(&lx);
	assert_int_equal(lex_peek(&lx, 0), '\n');
	lx = (struct lex){.text = "a//b c"};
	assert_true(lex_plain(&lx, &sb));
	assert_string_equal(sb.s, "a//b");
	strbuf_free(&sb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_follow_their_prefix),
		cmocka_unit_test(underscores_stand_after_the_first_digit),
		cmocka_unit_test(bad_numbers_are_refused),
		cmocka_unit_test(doubles_are_their_bits),
		cmocka_unit_test(names_end_where_operators_begin),
		cmocka_unit_test(quotes_are_mdbs),
		cmocka_unit_test(comments_need_a_token_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
