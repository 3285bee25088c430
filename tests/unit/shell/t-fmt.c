/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Format verbs on memory: labels, widths, wrapping, dot and increment. */
#include "session-test.h"

#define IND "                "

static void a_label_goes_to_column_16(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	prints(w, "1000/X", "0x1000:         44332211        \n");
	prints(w, "1000/s", "0x1000:         \021\"3DUfw\210\b\020\n");
	prints(w, "1010/s", "0x1010:         hello\n");
	prints(w, "1010/sS",
	       "0x1010:         hello\\n\\200\\377\\377\\377\\377"
	       "\\377\\377\\377\\377\n");
	prints(w, "1000/\"v=\"x", "0x1000:         v=2211    \n");
	world_close(w);
}

static void lines_wrap_at_80(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	prints(w, "1000/5X",
	       "0x1000:         44332211        88776655        1008          "
	       "  0               \n" IND "6c6c6568        \n");
	prints(w, "1000/9B",
	       "0x1000:         11      22      33      44      55      66    "
	       "  77      88      \n" IND "8       \n");
	prints(w, "1018/2R",
	       "0x1018:         "
	       "1111111111111111111111111111111111111111111111"
	       "111111111111111111 \n" IND
	       "0                                             "
	       "                  \n");
	world_close(w);
}

static void a_loop_continues_its_line(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	prints(w, "1000,2/X",
	       "0x1000:         44332211        88776655        \n");
	assert_int_equal(session_dot(w->s), 0x1004);
	prints(w, "1000,2/nax",
	       "0x1000:         \n0x1000:         2211    \n"
	       "0x1002:         4433    \n");
	prints(w, "1000/nap",
	       "0x1000:         \n0x1000:         "
	       "0x8877665544332211 \n");
	world_close(w);
}

static void dot_moves_within_a_list(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	prints(w, "1000/B+B", "0x1000:         11      33      \n");
	prints(w, "1000/B3+B", "0x1000:         11      55      \n");
	prints(w, "1000/X^x", "0x1000:         44332211        2211    \n");
	prints(w, "1004/B-B", "0x1004:         55      55      \n");
	prints(w, "1000/$[1+1]B", "0x1000:         11      22      \n");
	world_close(w);
}

static void unreadable_memory_says_where(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	fails(w, "2000/X",
	      "failed to read data from target: no mapping for "
	      "address 0x2000");
	fails(w, "1038/JX",
	      "failed to read data from target: no mapping for "
	      "address 0x1040");
	fails(w, "1000/k", "invalid format character 'k'");
	fails(w, "1000\\X", "'\\': the target has no physical addresses");
	fails(w, "1000/W 1",
	      "failed to write 0x1 at address 0x1000: target "
	      "is not open for writing");
	fails(w, "1000/W", "expected value to write following W");
	fails(w, "1000/L", "expected value following L");
	fails(w, "1000/L 1 2 3", "only value and mask may follow L");
	world_close(w);
}

static void a_search_leaves_dot_at_its_find(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	prints(w, "1000/L 1008", "0x1008\n");
	assert_int_equal(session_dot(w->s), 0x1008);
	prints(w, "1000/l 6600 ff00", "0x1004\n");
	prints(w, "1000/M 5", "");
	assert_int_equal(session_dot(w->s), 0x1040);
	prints(w, "1000/L $[1000+8]", "0x1008\n");
	world_close(w);
}

static void values_travel_instead_of_text(void **state)
{
	struct world *w = world_open(false);

	(void)state;
	prints(w, "1000/2x | ::eval .=X",
	       IND "2211            \n" IND "4433            \n");
	prints(w, "1000/xna | ::eval .=X",
	       IND "2211            \n" IND "1002            \n");
	prints(w, "5=D | ::eval .=X", IND "5               \n");
	world_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_label_goes_to_column_16),
		cmocka_unit_test(lines_wrap_at_80),
		cmocka_unit_test(a_loop_continues_its_line),
		cmocka_unit_test(dot_moves_within_a_list),
		cmocka_unit_test(unreadable_memory_says_where),
		cmocka_unit_test(a_search_leaves_dot_at_its_find),
		cmocka_unit_test(values_travel_instead_of_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
