/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The small tools every floor stands on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "base/strbuf.h"

static void an_error_carries_code_and_prefixes(void **state)
{
	struct err *err = err_new(ERR_FAULT, "no bytes at 0x%x", 0x10);

	(void)state;
	assert_true(err_is(err, ERR_FAULT));
	assert_false(err_is(err, ERR_STOP));
	assert_false(err_is(NULL, ERR_FAULT));
	err = err_prefix(err, "cache %d", 3);
	assert_string_equal(err->msg, "cache 3: no bytes at 0x10");
	err_free(err);
	err_free(NULL);
	assert_null(err_prefix(NULL, "x"));
}

static void a_string_grows_past_any_capacity(void **state)
{
	struct strbuf sb = {0};
	size_t i;

	(void)state;
	assert_string_equal(strbuf_str(&sb), "");
	for (i = 0; i < 1000; i++)
		strbuf_printf(&sb, "%zu,", i);
	assert_int_equal(sb.n, strlen(sb.s));
	assert_memory_equal(sb.s, "0,1,2,", 6);
	assert_string_equal(sb.s + sb.n - 4, "999,");
	strbuf_reset(&sb);
	assert_string_equal(strbuf_str(&sb), "");
	strbuf_putc(&sb, 'a');
	strbuf_puts(&sb, "");
	assert_string_equal(strbuf_str(&sb), "a");
	strbuf_free(&sb);
	assert_null(sb.s);
	/* the edge where the text and its NUL meet the capacity */
	for (i = 0; i < 70; i++) {
		strbuf_putc(&sb, 'x');
		assert_int_equal(strlen(sb.s), i + 1);
		assert_true(sb.cap > sb.n);
	}
	strbuf_free(&sb);
}

static void a_hash_finds_what_was_put_and_nothing_else(void **state)
{
	struct hash h;
	bool is_new;
	uint64_t i;

	(void)state;
	hash_init(&h);
	assert_null(hash_get(&h, 0));
	for (i = 0; i < 100000; i++) {
		*hash_put(&h, i << 12, &is_new) = i + 1;
		assert_true(is_new);
	}
	assert_int_equal(h.n, 100000);
	for (i = 0; i < 100000; i++) {
		uint64_t *val = hash_get(&h, i << 12);

		assert_non_null(val);
		assert_int_equal(*val, i + 1);
		assert_null(hash_get(&h, (i << 12) + 1));
	}
	*hash_put(&h, 0, &is_new) = 7;
	assert_false(is_new);
	assert_int_equal(*hash_get(&h, 0), 7);
	hash_fini(&h);
	assert_null(hash_get(&h, 0));
}

static void bytes_hash_as_fnv1a_does(void **state)
{
	uint64_t whole = hash_bytes("foobar", 6, 0);

	(void)state;
	assert_true(hash_bytes("", 0, 0) == 0xcbf29ce484222325ULL);
	assert_true(whole == 0x85944171f73967e8ULL);
	assert_true(hash_bytes("bar", 3, hash_bytes("foo", 3, 0)) == whole);
}

static void a_vector_keeps_order(void **state)
{
	VEC(int) vec = {0};
	int i;

	(void)state;
	for (i = 0; i < 100; i++)
		VEC_PUSH(&vec, i);
	assert_int_equal(vec.n, 100);
	for (i = 0; i < 100; i++)
		assert_int_equal(vec.v[i], i);
	VEC_FREE(&vec);
	assert_null(vec.v);
}

static void an_interrupt_is_an_error_until_cleared(void **state)
{
	struct err *err;

	(void)state;
	assert_null(interrupt_check());
	interrupt_flag = 1;
	err = interrupt_check();
	assert_true(err_is(err, ERR_STOP));
	err_free(err);
	interrupt_flag = 0;
	assert_null(interrupt_check());
}

/* what is offered for name, given these */
static void offers(const char *name, const char *const *names, const char *want)
{
	struct nearest n = nearest_to(name);
	char *text;

	for (; *names; names++)
		nearest_try(&n, *names);
	text = nearest_text(&n, "::");
	assert_string_equal(text, want);
	mem_free(text);
}

static void a_slip_is_told_from_another_name(void **state)
{
	static const char *const names[] = {
		"walk",
		"findleaks",
		"kmem_cache",
		"list",
		"a_name_of_more_than_thirty_two_characters",
		NULL};

	(void)state;
	offers("wlak", names, " (did you mean ::walk?)");
	offers("FINDLEAKS", names, " (did you mean ::findleaks?)");
	offers("findlaek", names, " (did you mean ::findleaks?)");
	offers("kmem_cash", names, " (did you mean ::kmem_cache?)");
	offers("lst", names, " (did you mean ::list?)");
	offers("ls", names, "");
	offers("x", names, "");
	offers("", names, "");
	offers("findls", names, "");
	offers("a_name_of_more_than_thirty_two_character", names, "");
}

static void no_memory_ends_with_status_3(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		close(STDERR_FILENO);
		mem_free(mem_array(SIZE_MAX / 2, 16));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_carries_code_and_prefixes),
		cmocka_unit_test(a_string_grows_past_any_capacity),
		cmocka_unit_test(a_hash_finds_what_was_put_and_nothing_else),
		cmocka_unit_test(bytes_hash_as_fnv1a_does),
		cmocka_unit_test(a_vector_keeps_order),
		cmocka_unit_test(an_interrupt_is_an_error_until_cleared),
		cmocka_unit_test(a_slip_is_told_from_another_name),
		cmocka_unit_test(no_memory_ends_with_status_3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
