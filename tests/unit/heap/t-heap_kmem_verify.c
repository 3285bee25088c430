/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Damage of buffers, and between them, that the libkmem back end tells. */
#include "heap_kmem_world.h"

static struct err *add_finding(void *arg, const struct heap_finding *f)
{
	struct list *l = arg;
	const char *p = strstr(f->text, ") ");

	l->nfindings++;
	strbuf_puts(&l->text, f->kind == FINDING_BUFFER && p ? p + 2 : f->text);
	strbuf_putc(&l->text, ';');
	return NULL;
}

static void expect_findings(struct world *w, const char *want)
{
	struct list l = {0};
	struct err *err = w->heap->ops->verify(w->heap, 0, add_finding, &l);

	assert_null(err);
	if (*want == '~') {
		if (!strstr(strbuf_str(&l.text), want + 1))
			fail_msg("\"%s\" is not in \"%s\"", want + 1,
				 strbuf_str(&l.text));
	} else {
		assert_string_equal(strbuf_str(&l.text), want);
	}
	strbuf_free(&l.text);
}

static void a_healthy_heap_has_no_findings(void **state)
{
	struct world *w = world();

	(void)state;
	open_world(w);
	expect_findings(w, "");
	done(w);
}

static void every_kind_of_buffer_damage_is_told(void **state)
{
	static const struct {
		uint64_t addr, value;
		const char *want;
	} cases[] = {
		/* one word of a free buffer */
		{RAW(4) + 56, 0xdeadbeefdeadbe00,
		 "seems corrupted, at 101000;"},
		{RAW(5) + 64, 0, "seems to have a corrupt redzone pattern;"},
		{RAW(5) + 80, 0, "has a corrupt buftag;"},
		/* the byte behind what was asked for, and the code of it */
		{RAW(0) + 16, 0, "has a corrupt redzone signature;"},
		{RAW(0) + 64, 0x12345678feedface,
		 "has a corrupt redzone size encoding;"},
		{RAW(1) + 64, 0x00003ec1feedface,
		 "has a corrupt redzone signature;"},
		{RAW(0) + 80, 1, "has a corrupt buftag;"},
		{HASH(1) + 128, 1, "has a corrupt redzone size encoding;"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct world *w = world();
		_free_ char *want = NULL;

		put(w->im, cases[i].addr, cases[i].value);
		open_world(w);
		if (i == 0)
			want = mem_printf("seems corrupted, at %" PRIx64 ";",
					  cases[i].addr);
		else
			want = mem_strdup(cases[i].want);
		expect_findings(w, want);
		done(w);
	}
}

static void writes_between_buffers_are_told(void **state)
{
	static const struct {
		uint64_t addr, at, value;
		const char *want;
	} cases[] = {
		/* before a buffer in use, and a free one */
		{RAW(1) - 8, RAW(1) - 1, 0x41ddcafebaddcafe,
		 "before its start"},
		{RAW(4) - 8, RAW(4) - 8, 0xbaddcafebaddca41,
		 "before its start"},
		/* behind the tag of the last buffer */
		{RAW(8) - 8, RAW(8) - 8, 0xbaddcafebaddca41, NULL},
		/* past what was asked for, where the redzone byte is whole */
		{RAW(0) + 24, RAW(0) + 26, 0xbaddcafeba00cafe, "past its end"},
		{RAW(0) + 16, RAW(0) + 23, 0x00ddcabbbaddcafe, "past its end"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct world *w = world();
		const char *what = cases[i].want;
		_free_ char *want =
			mem_printf("has %s%s, at %" PRIx64 ";",
				   what ? "been written " : "a corrupt padding",
				   what ? what : "", cases[i].at);

		put(w->im, cases[i].addr, cases[i].value);
		open_world(w);
		expect_findings(w, want);
		done(w);
	}
}

static void a_write_past_an_object_that_fills_no_word_is_told(void **state)
{
	_free_ char *want =
		mem_printf("has been written past its end, at %" PRIx64 ";",
			   (uint64_t)(RAW(2) + 62));

	(void)state;
	for (int is_bad = 0; is_bad <= 1; is_bad++) {
		struct world *w = world();

		w->im->raw.bufsize = 61;
		put(w->im, RAW(1) + 64, numbers[P_REDZONE]); /* an object too */
		/* the first 61 bytes are the program's */
		put(w->im, RAW(2) + 48, 1);
		put(w->im, RAW(2) + 56,
		    is_bad ? 0xba41ca0000000000 : 0xbaddca0000000000);
		open_world(w);
		expect_findings(w, is_bad ? want : "");
		done(w);
	}
}

static void counts_that_disagree_are_told(void **state)
{
	struct world *w = world();

	(void)state;
	w->im->raw.buftotal = 9;
	open_world(w);
	expect_findings(w, "cache raw: cache_buftotal is 9, found 8;");
	done(w);
	w = world();
	w->im->over.inuse = 1;
	open_world(w);
	expect_findings(w, "~allocated segments add up to 8000 bytes, not 1");
	done(w);
	w = world();
	w->im->seg[3].start += 4096;
	open_world(w);
	expect_findings(w, "~starts at");
	done(w);
}

/* how far a buffer has come on its way into a magazine or out of one; the
 * words of it that differ from an allocated one */
static void a_buffer_in_transit_is_neither_allocated_nor_damaged(void **state)
{
	struct world *w = world();

	(void)state;
	/* tagged free, not yet filled */
	put(w->im, RAW(2) + 80, (RAW(2) + 64) ^ numbers[P_TAG_FREE]);
	/* recorded free, tagged allocated: set aside, or not given out yet */
	w->im->ctl[1].what = 2;
	/* the mark of a request that fills its object is half made */
	put(w->im, RAW(1) + 64, 0xfeedfacefeedfabb);
	open_world(w);
	expect_bufs(w, false, BUF_ALLOCATED, "01");
	expect_bufs(w, false, BUF_TRANSIT, "2");
	expect_bufs(w, true, BUF_ALLOCATED, "0");
	expect_bufs(w, true, BUF_TRANSIT, "1");
	expect_findings(w, "");
	done(w);
}

static void damage_of_a_buffer_in_transit_is_told(void **state)
{
	struct world *w = world();

	(void)state;
	put(w->im, RAW(2) + 80, (RAW(2) + 64) ^ numbers[P_TAG_FREE]);
	put(w->im, RAW(2) + 64, 0xfeedface41414141);
	open_world(w);
	expect_findings(w, "seems to have a corrupt redzone pattern;");
	done(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_healthy_heap_has_no_findings),
		cmocka_unit_test(every_kind_of_buffer_damage_is_told),
		cmocka_unit_test(writes_between_buffers_are_told),
		cmocka_unit_test(
			a_write_past_an_object_that_fills_no_word_is_told),
		cmocka_unit_test(counts_that_disagree_are_told),
		cmocka_unit_test(
			a_buffer_in_transit_is_neither_allocated_nor_damaged),
		cmocka_unit_test(damage_of_a_buffer_in_transit_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
