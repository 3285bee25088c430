/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pipelines with made-up dcmds: flags, headings, errors, variables, options;
 * and the rows they print. */
#include "session-test.h"

#define HEAD "ADDR                  HEX NAME       SIZE LAST\n"

static void flags_say_how_a_dcmd_is_called(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	prints(w, "::flags", "-----1\n");
	prints(w, "5::flags", "a----1\n");
	prints(w, "5,2::flags", "aLf--2\naL---2\n");
	prints(w, ",2::flags", "-Lf--2\n-L---2\n");
	prints(w, "5,0::flags", "");
	prints(w, "::walk three | ::flags", "aLfp-1\naL-p-1\naL-p-1\n");
	prints(w, "::eval ::flags", "-----1\n");
	world_close(w);
}

static void a_nested_command_has_the_callers_address(void **state)
{
	struct world *w = world_open(false);
	struct err *err =
		session_run(w->s, 5, "::flags;::needs;::eval ::flags");

	(void)state;
	assert_null(err);
	fflush(w->fp);
	assert_string_equal(w->text, "a----1\na----1\n-----1\n");
	world_close(w);
}

static void a_heading_is_printed_once_a_loop(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	prints(w, "::row",
	       HEAD "0000000000000000        0 n          1.5K last\n");
	prints(w, "::walk three | ::row",
	       HEAD "0000000000000001        1 n          1.5K last\n"
		    "0000000000000002        2 n          1.5K last\n"
		    "0000000000000003        3 n          1.5K last\n");
	prints(w, "::walk three ! cat >/dev/null;5::row",
	       HEAD "0000000000000005        5 n          1.5K last\n");
	world_close(w);
}

static void rows_are_json_lines(void **state)
{
	struct world *w = world_open(true);

	(void)state;
	prints(w, "ab::row",
	       "{\"addr\":\"0xab\",\"hex\":\"0xab\",\"name\":\"n\","
	       "\"size_bytes\":1536,\"hidden\":7}\n");
	prints(w, "ab::flags", "{\"text\":\"a----1\"}\n");
	prints(w, "::walk three | ::sum", "{\"value\":\"0x6\"}\n");
	world_close(w);
}

static void a_row_hands_on_its_value(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	prints(w, "::walk three | ::row | ::row | ::sum", "0xc\n");
	prints(w, "::walk three | ::sum", "6\n");
	prints(w, "5::walk three | ::sum", "0x15\n");
	world_close(w);
}

static void variables_travel_with_values(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	prints(w, "::walk three v | ::eval <v=x",
	       "                1       \n                2       \n"
	       "                3       \n");
	/* the outer value is that of the element the inner one came from */
	prints(w, "::walk three v | ::walk three u | ::eval <v*0t10+<u=d",
	       "                12      \n                13      \n"
	       "                14      \n                23      \n"
	       "                24      \n                25      \n"
	       "                34      \n                35      \n"
	       "                36      \n");
	world_close(w);
}

static void an_error_of_one_call_lets_the_others_run(void **state)
{
	struct world *w = world_open(false);
	unsigned before = 0;

	(void)state;
	before = session_nfailed(w->s);
	prints(w, "::walk three | ::fail", "");
	assert_int_equal(session_nfailed(w->s) - before, 3);
	/* a single call hands its error up */
	fails(w, "4::fail", "no 0x4");
	/* what was found before damage is used */
	prints(w, "::walk torn | ::sum", "3\n");
	assert_int_equal(session_nfailed(w->s) - before, 4);
	/* what cannot succeed the next time is said once */
	fails(w, "::walk three | ::stop", "never at 0x1");
	assert_int_equal(session_nfailed(w->s) - before, 4);
	world_close(w);
}

static void wrong_use_ends_a_pipeline_and_shows_usage(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	fails(w, "::needs", "::needs needs an address\nUsage: addr ::needs");
	fails(w, "5::none", "::none takes no address\nUsage: ::none");
	fails(w, "::walk three | ::none", "::none takes no address");
	fails(w, "::walk nosuch",
	      "failed to perform walk 'nosuch': unknown "
	      "walk name");
	fails(w, "::walk from",
	      "failed to perform walk 'from': walker "
	      "requires starting address");
	fails(w, "5::walk torn",
	      "failed to perform walk 'torn': walker does "
	      "not accept starting address");
	fails(w, "::nosuch", "invalid command '::nosuch': unknown dcmd name");
	fails(w, "::flasg",
	      "invalid command '::flasg': unknown dcmd name "
	      "(did you mean ::flags?)");
	/* names are looked up before anything runs */
	fails(w, "::flags | ::nosuch", "invalid command '::nosuch'");
	world_close(w);
}

static void options_are_taken_from_the_table(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	prints(w, "::opts", "a0 b0 n0 s-\n");
	prints(w, "::opts -a -b x -a", "a1 b1 n0 s- [x] [-a]\n");
	prints(w, "::opts -ab -n 10 -s str w", "a1 b1 n10 sstr [w]\n");
	prints(w, "::opts -an10 -sx", "a1 b0 n10 sx\n");
	prints(w, "::opts -n $[2*3] -n 0t10", "a0 b0 na s-\n");
	prints(w, "::opts -a -- -b", "a1 b0 n0 s- [-b]\n");
	prints(w, "::opts - -a", "a0 b0 n0 s- [-] [-a]\n");
	prints(w, "::opts $[10]", "a0 b0 n0 s- [0x10]\n");
	fails(w, "::opts -z", "illegal option -- z");
	fails(w, "::opts -an", "option requires an argument -- n");
	fails(w, "::opts -n zz", "invalid argument for -n: 'zz'");
	fails(w, "::opts -Z",
	      "illegal option -- Z\nUsage: [ addr ] ::opts "
	      "[-a] [-b] [-n n] [-s s] [word ...]");
	world_close(w);
}

static void text_in_a_pipe_is_read_as_expressions(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	prints(w, "! 'echo 1; echo 2+2' | ::sum", "5\n");
	prints(w, "::walk three ! 'tail -1' | ::sum", "3\n");
	fails(w, "! 'echo 1; echo oops:' | ::sum",
	      "syntax error: the pipe holds text that is no expression");
	world_close(w);
}

static void assignments_may_be_a_stage(void **state)
{
	struct world *w = world_open(false);
	uint64_t v = 0;

	(void)state;
	prints(w, "::walk three | >x", "");
	assert_null(session_eval_expr(w->s, "<x", &v));
	assert_int_equal(v, 3);
	prints(w, "1ff>/c/y", "");
	assert_null(session_eval_expr(w->s, "<y", &v));
	assert_int_equal(v, 0xff);
	fails(w, "5>rax", "variable 'rax' is read-only");
	world_close(w);
}

static void endless_nesting_is_refused(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	prints(w, "::eval '::eval \"::eval ::flags\"'", "-----1\n");
	for (unsigned i = 0; i < 3; i++)
		prints(w, "::flags", "-----1\n"); /* depth is given back */
	world_close(w);
}

static void quit_ends_the_rest(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	prints(w, "::flags;$q;::flags", "-----1\n");
	assert_true(session_is_over(w->s));
	world_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_say_how_a_dcmd_is_called),
		cmocka_unit_test(a_nested_command_has_the_callers_address),
		cmocka_unit_test(a_heading_is_printed_once_a_loop),
		cmocka_unit_test(rows_are_json_lines),
		cmocka_unit_test(a_row_hands_on_its_value),
		cmocka_unit_test(variables_travel_with_values),
		cmocka_unit_test(an_error_of_one_call_lets_the_others_run),
		cmocka_unit_test(wrong_use_ends_a_pipeline_and_shows_usage),
		cmocka_unit_test(options_are_taken_from_the_table),
		cmocka_unit_test(text_in_a_pipe_is_read_as_expressions),
		cmocka_unit_test(assignments_may_be_a_stage),
		cmocka_unit_test(endless_nesting_is_refused),
		cmocka_unit_test(quit_ends_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
