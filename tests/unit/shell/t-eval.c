/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The evaluator: precedence against a table made by another hand - C's own
 * operators, fully bracketed - memory, registers, variables. */
#include "session-test.h"

static uint64_t eval(struct world *w, const char *text)
{
	uint64_t v = 0;
	struct err *err = session_eval_expr(w->s, text, &v);

	if (err)
		fail_msg("%s: %s", text, err->msg);
	return v;
}

static void bad(struct world *w, const char *text, const char *want)
{
	uint64_t v = 12345;
	struct err *err = session_eval_expr(w->s, text, &v);

	if (!err)
		fail_msg("%s: no error", text);
	assert_string_equal(err->msg, want);
	assert_int_equal(v, 12345);
	err_free(err);
}

/* every pair of binary operators: the tighter one first, whatever the order */
static void operators_bind_by_level(void **state)
{
	static const struct {
		const char *op;
		int level;
	} ops[] = {{"%%", 8}, {"*", 7},  {"%", 7},  {"#", 7},  {"+", 6},
		   {"-", 6},  {"<<", 5}, {">>", 5}, {"==", 4}, {"!=", 4},
		   {"&", 3},  {"^", 2},  {"|", 1}};
	enum {
		N = sizeof(ops) / sizeof(*ops)
	};
	struct world *w = world_open(false);

	(void)state;
	for (size_t i = 0; i < N; i++)
		for (size_t j = 0; j < N; j++) {
			bool left = ops[i].level >= ops[j].level;
			char plain[64], bracketed[64];

			snprintf(plain, sizeof(plain), "0x5d %s 0x17 %s 3",
				 ops[i].op, ops[j].op);
			snprintf(bracketed, sizeof(bracketed),
				 left ? "(0x5d %s 0x17) %s 3"
				      : "0x5d %s (0x17 %s 3)",
				 ops[i].op, ops[j].op);
			if (eval(w, plain) != eval(w, bracketed))
				fail_msg("%s is not %s", plain, bracketed);
		}
	world_close(w);
}

static void operators_do_what_c_does(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	assert_int_equal(eval(w, "0x5d+0x17"), 0x5d + 0x17);
	assert_int_equal(eval(w, "0x5d*0x17"), 0x5d * 0x17);
	assert_int_equal(eval(w, "0x5d%0x17"), 0x5d / 0x17);
	assert_int_equal(eval(w, "0x5d%%0x17"), 0x5d % 0x17);
	assert_int_equal(eval(w, "0x5d^0x17"), 0x5d ^ 0x17);
	assert_int_equal(eval(w, "0x5d&0x17"), 0x5d & 0x17);
	assert_int_equal(eval(w, "0x5d|0x17"), 0x5d | 0x17);
	assert_int_equal(eval(w, "0x5d#0x17"), 0x5c + 0x17);
	assert_int_equal(eval(w, "0x5c#0x17"), 0x5c);
	assert_int_equal(eval(w, "0x5d<<0t63"), 1ull << 63);
	assert_int_equal(eval(w, "1<<40"), 0);
	assert_true(eval(w, "-6%2") == (uint64_t)-3);
	assert_true(eval(w, "~-1") == 0);
	assert_int_equal(eval(w, "##5"), 1);
	world_close(w);
}

static void unary_operators_bind_tightest(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	assert_true(eval(w, "-1+2") == 1);
	assert_true(eval(w, "~0&ff") == 0xff);
	assert_int_equal(eval(w, "#0+5"), 6);
	assert_int_equal(eval(w, "*1000+1"), 0x8877665544332211 + 1);
	assert_int_equal(eval(w, "*(1000+8)"), 0x1008);
	assert_int_equal(eval(w, "**1008"), 0x1008);
	world_close(w);
}

static void memory_is_read_in_sizes(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	assert_int_equal(eval(w, "*/c/1000"), 0x11);
	assert_int_equal(eval(w, "*/1/1007"), 0x88);
	assert_int_equal(eval(w, "*/s/1000"), 0x2211);
	assert_int_equal(eval(w, "*/i/1000"), 0x44332211);
	assert_int_equal(eval(w, "*/4/1004"), 0x88776655);
	assert_true(eval(w, "*/l/1000") == 0x8877665544332211);
	bad(w, "*2000",
	    "failed to read from address 0x2000: no mapping for address");
	bad(w, "*103c",
	    "failed to read from address 0x103c: no mapping for address");
	bad(w, "*/q/1000", "invalid cast -- */q/");
	world_close(w);
}

static void registers_are_variables(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	assert_true(eval(w, "<rip") == 0x123456789abcdef0);
	assert_int_equal(eval(w, "<eax"), 0x55667788);
	assert_int_equal(eval(w, "<ax"), 0x7788);
	assert_int_equal(eval(w, "<al"), 0x88);
	assert_int_equal(eval(w, "<ah"), 0x77);
	assert_int_equal(eval(w, "<thread"), 7);
	assert_int_equal(eval(w, "<0"), 0);
	bad(w, "<nope", "variable 'nope' is not defined");
	world_close(w);
}

static void the_radix_is_the_sessions(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	session_set_radix(w->s, 10);
	assert_int_equal(eval(w, "10"), 10);
	assert_int_equal(eval(w, "0x10"), 16);
	bad(w, "ff", "failed to dereference symbol 'ff': unknown symbol name");
	session_set_radix(w->s, 16);
	assert_int_equal(eval(w, "ff"), 255);
	world_close(w);
}

static void dot_and_its_neighbours(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	prints(w, "1000/X ! cat >/dev/null", "");
	assert_int_equal(eval(w, "."), 0x1000);
	assert_int_equal(eval(w, "+"), 0x1004);
	assert_int_equal(eval(w, "^"), 0xffc);
	assert_int_equal(eval(w, "&"), 0x1000);
	world_close(w);
}

static void what_is_no_expression_is_refused(void **state)
{
	static const char *const texts[] = {
		"",   "1+", "(1", "1)",   "1 2",   "*",     "<",   "'a",
		"1=", "::", "$",  "1::x", "0x1 |", "\"a\"", "1//", "1;2",
	};
	struct world *w = world_open(false);

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		uint64_t v = 0;
		struct err *err = session_eval_expr(w->s, texts[i], &v);

		if (!err && strcmp(texts[i], "1//"))
			fail_msg("\"%s\" was taken", texts[i]);
		err_free(err);
	}
	world_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operators_bind_by_level),
		cmocka_unit_test(operators_do_what_c_does),
		cmocka_unit_test(unary_operators_bind_tightest),
		cmocka_unit_test(memory_is_read_in_sizes),
		cmocka_unit_test(registers_are_variables),
		cmocka_unit_test(the_radix_is_the_sessions),
		cmocka_unit_test(dot_and_its_neighbours),
		cmocka_unit_test(what_is_no_expression_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
