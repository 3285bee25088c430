/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * JUnit XML, which has no specification: what the schema of Jenkins allows, with
 * what GitLab reads.  A dump is a suite.  A finding is a case that failed, with
 * its fingerprint in the name, since GitLab drops a second one of the same name;
 * a dump without a verdict is a case with an error.  Each suite has cases that
 * pass, so that "0 tests" is never taken for success.
 */
#include "pmdb/check_impl.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "shell/out_json.h"

/* text that any XML reader takes: no control characters, valid UTF-8 */
static void put_text(FILE *out, const char *s)
{
	json_t *clean = out_json_string(s);

	for (const char *p = json_string_value(clean); *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '&')
			fputs("&amp;", out);
		else if (c == '<')
			fputs("&lt;", out);
		else if (c == '>')
			fputs("&gt;", out);
		else if (c == '"')
			fputs("&quot;", out);
		else if (c == '\n')
			fputs("&#10;", out);
		else if (c < 0x20 && c != '\t')
			fputs("\xef\xbf\xbd", out);
		else if (memcmp(p, "\xef\xbf", strnlen(p, 2)) == 0 &&
			 ((unsigned char)p[2] & 0xfe) == 0xbe)
			p += 2; /* U+FFFE and U+FFFF are no characters of XML */
		else
			fputc(c, out);
	}
	json_decref(clean);
}

static void put_attribute(FILE *out, const char *name, const char *value)
{
	fprintf(out, " %s=\"", name);
	put_text(out, value);
	fputc('"', out);
}

static void begin_case(FILE *out, const char *class, const char *name)
{
	fputs("    <testcase", out);
	put_attribute(out, "classname", class);
	put_attribute(out, "name", name);
	fputs(" time=\"0\"", out);
}

static void put_stack(FILE *out, const struct check_stack *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct strbuf sb = {0};

		check_frame_words(s->v[i], &sb);
		fprintf(out, "#%zu ", i);
		put_text(out, strbuf_str(&sb));
		fputc('\n', out);
		strbuf_free(&sb);
	}
}

static void put_item(FILE *out, const struct item *item)
{
	const struct check_frame *f = check_where(item);
	struct strbuf words = {0};
	struct strbuf name = {0};

	check_item_words(item, &words);
	if (f)
		check_frame_words(f, &name);
	else
		strbuf_puts(&name, item->cache ? item->cache : "heap");
	strbuf_printf(&name, " [%016" PRIx64 "]", item->fingerprint);
	begin_case(out, item_is_buffers(item) ? "pmdb.leaks" : "pmdb.integrity",
		   strbuf_str(&name));
	fputs(">\n      <failure", out);
	put_attribute(out, "type", check_kind_name(item->kind));
	put_attribute(out, "message", strbuf_str(&words));
	fputc('>', out);
	put_text(out, strbuf_str(&words));
	fputc('\n', out);
	if (item->report)
		put_text(out, item->report);
	else
		put_stack(out, &item->stack);
	if (item->freed.n) {
		fputs("freed at\n", out);
		put_stack(out, &item->freed);
	}
	fputs("</failure>\n    </testcase>\n", out);
	strbuf_free(&words);
	strbuf_free(&name);
}

struct tally {
	size_t tests, failures, errors;
	bool has_leak, has_damage;
};

/* a suite has a case for each finding, one for each half of the heap that has
 * none, and one for whether there is a verdict */
static struct tally count(const struct verdict *v)
{
	struct tally n = {.errors = v->status == PMDB_NO_VERDICT};

	for (size_t i = 0; i < v->items.n; i++) {
		const struct item *item = &v->items.v[i];

		if (item->state != ITEM_FAILS)
			continue;
		n.failures++;
		if (item_is_buffers(item))
			n.has_leak = true;
		else
			n.has_damage = true;
	}
	n.tests = 1 + n.failures + !n.has_leak + !n.has_damage;
	return n;
}

static void put_suite(const struct verdict *v, FILE *out)
{
	struct tally n = count(v);

	fputs("  <testsuite", out);
	put_attribute(out, "name", v->path);
	fprintf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\">\n",
		n.tests, n.failures, n.errors);
	begin_case(out, "pmdb.verdict", "the dump can be judged");
	if (n.errors) {
		fputs(">\n      <error type=\"inconclusive\"", out);
		put_attribute(out, "message", v->reason);
		fputs("/>\n    </testcase>\n", out);
	} else {
		fputs("/>\n", out);
	}
	if (!n.has_leak) {
		begin_case(out, "pmdb.leaks", "no leaks");
		fputs(n.errors ? "><skipped/></testcase>\n" : "/>\n", out);
	}
	if (!n.has_damage) {
		begin_case(out, "pmdb.integrity", "no corruption");
		fputs(n.errors ? "><skipped/></testcase>\n" : "/>\n", out);
	}
	for (size_t i = 0; i < v->items.n; i++)
		if (v->items.v[i].state == ITEM_FAILS)
			put_item(out, &v->items.v[i]);
	fputs("  </testsuite>\n", out);
}

void check_print_junit(const struct report *r, FILE *out)
{
	struct tally sum = {0};

	for (size_t i = 0; i < r->n; i++) {
		struct tally n = count(&r->v[i]);

		sum.tests += n.tests;
		sum.failures += n.failures;
		sum.errors += n.errors;
	}
	fprintf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<testsuites name=\"pmdb check\" tests=\"%zu\" "
		"failures=\"%zu\" errors=\"%zu\">\n",
		sum.tests, sum.failures, sum.errors);
	for (size_t i = 0; i < r->n; i++)
		put_suite(&r->v[i], out);
	fputs("</testsuites>\n", out);
}
