/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A report's leaks, damage and mismatched frees. */
#include <inttypes.h>
#include <string.h>

#include "pmdb/report_html.h"
#include "pmdb/report_impl.h"

#define LEAKS_MAX     500
#define LEAKS_BYTES   1200000 /* of the page */
#define LEAKS_SHOWN   25      /* before the rest is folded */
#define CALLERS       2       /* named beside the place of a leak */
#define FRAMES_MAX    48
#define STORIES_MAX   100
#define STORY_MAX     (64 * 1024)
#define STORIES_BYTES 800000

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* ---- stacks ---------------------------------------------------------- */

static void put_frame(const struct page *p, const struct check_frame *f,
		      FILE *o)
{
	const char *slash = f->object ? strrchr(f->object, '/') : NULL;

	fputs(f->is_own ? "<li class=\"own\"><code>" : "<li><code>", o);
	if (f->function)
		html_text(o, f->function);
	else
		fprintf(o, "0x%" PRIx64, f->pc);
	fputs("</code>", o);
	if (f->file) {
		fputs(" <span class=\"file\">", o);
		html_text(o, p->check->has_root ? f->path : f->file);
		fprintf(o, ":%d</span>", f->line);
	} else if (f->object) {
		fputs(" <span class=\"file\">", o);
		html_text(o, slash ? slash + 1 : f->object);
		fprintf(o, "+0x%" PRIx64 "</span>", f->offset);
	}
	fputs("</li>", o);
}

static void put_stack(const struct page *p, bool is_there,
		      const struct check_stack *s, const char *why, FILE *o)
{
	if (!is_there || s->n == 0) {
		fputs("<p class=\"note\">No stack: ", o);
		html_text(o, why ? why : "none was recorded");
		fputs("</p>", o);
		return;
	}
	fputs("<ol class=\"stack\">", o);
	for (size_t i = 0; i < s->n && i < FRAMES_MAX; i++)
		put_frame(p, s->v[i], o);
	fputs("</ol>", o);
	if (s->n > FRAMES_MAX)
		fprintf(o, "<p class=\"note\">%zu more frames</p>",
			s->n - FRAMES_MAX);
}

/* ---- leaks ----------------------------------------------------------- */

static const struct {
	const char *css, *name;
} kinds[] = {
	[ITEM_LEAK] = {"direct", "direct"},
	[ITEM_INDIRECT] = {"indirect", "indirect"},
	[ITEM_POSSIBLE] = {"possible", "possible"},
};

/* who called the function of a frame: a helper that allocates is everybody's */
static void put_callers(const struct item *item, const struct check_frame *f,
			FILE *o)
{
	const struct check_stack *s = &item->stack;
	size_t i = 0;

	while (i < s->n && s->v[i] != f)
		i++;
	const char *before = i < s->n ? s->v[i]->function : NULL;

	/* what calls main() is the same everywhere */
	for (size_t n = 0;
	     n < CALLERS && before && strcmp(before, "main") && i + 1 < s->n;) {
		const char *name = s->v[++i]->function;

		if (name && !strcmp(name, before))
			continue; /* it calls itself */
		n++;
		before = name;
		fputs(" <span class=\"file\">\xe2\x86\x90 ", o);
		html_text(o, name ? name : "?");
		fputs("</span>", o);
	}
}

static void put_leak_line(const struct item *item, FILE *o)
{
	const struct check_frame *f = check_where(item);
	struct strbuf words = {0};

	fprintf(o, "<span class=\"badge %s\">%s</span> <strong>",
		kinds[item->kind].css, kinds[item->kind].name);
	html_size(o, item->bytes);
	fputs("</strong> <span class=\"many\">in ", o);
	html_count(o, item->nbufs);
	fprintf(o, " buffer%s</span> <code>", plural(item->nbufs));
	if (f)
		check_frame_words(f, &words);
	else
		strbuf_puts(&words, item->cache ? item->cache : "?");
	html_text(o, strbuf_str(&words));
	fputs("</code>", o);
	put_callers(item, f, o);
	if (item->type) {
		fputs(" <span class=\"type\">", o);
		html_text(o, item->type);
		fputs("</span>", o);
	} else if (item->shape) {
		fputs(" <code>", o);
		html_text(o, item->shape);
		fputs("</code>", o);
	}
	strbuf_free(&words);
}

static void put_fact(FILE *o, const char *name, const char *value)
{
	fprintf(o, "<dt>%s</dt><dd>", name);
	html_text(o, value);
	fputs("</dd>", o);
}

static void put_leak_facts(const struct item *item, FILE *o)
{
	fputs("<dl class=\"facts\">", o);
	fprintf(o, "<dt>Bytes</dt><dd>");
	html_count(o, item->bytes);
	fputs("</dd>", o);
	if (item->kind == ITEM_LEAK && item->ndirect < item->nbufs) {
		fputs("<dt>Indirect of these</dt><dd>", o);
		html_count(o, item->nbufs - item->ndirect);
		fputs("</dd>", o);
	}
	put_fact(o, "Cache", item->cache ? item->cache : "?");
	if (item->ncaches > 1)
		fprintf(o, "<dt>Other caches</dt><dd>%zu</dd>",
			item->ncaches - 1);
	if (item->type)
		put_fact(o, "Type", item->type);
	if (item->shape)
		put_fact(o, "Shape", item->shape);
	if (*item->call)
		put_fact(o, "Allocated by", item->call);
	if (item->kept_by != ITEM_NONE && item->kind == ITEM_INDIRECT)
		fprintf(o,
			"<dt>Kept by</dt><dd><a href=\"#item-%zu\">another "
			"leak</a></dd>",
			item->kept_by);
	if (item->kept_bufs && item->kind == ITEM_LEAK) {
		fputs("<dt>Keeps</dt><dd>", o);
		html_size(o, item->kept_bytes);
		fputs(" more in ", o);
		html_count(o, item->kept_bufs);
		fprintf(o, " buffer%s</dd>", plural(item->kept_bufs));
	}
	fprintf(o,
		"<dt>Fingerprint</dt><dd><code>%016" PRIx64 "</code></dd></dl>",
		item->fingerprint);
}

static void put_leak(const struct page *p, size_t i, FILE *o)
{
	const struct item *item = &p->v.items.v[i];

	fprintf(o, "<details id=\"item-%zu\" class=\"item\"><summary>", i);
	put_leak_line(item, o);
	fputs("</summary>\n", o);
	put_leak_facts(item, o);
	put_stack(p, item->has_stack, &item->stack, item->no_stack, o);
	fputs("</details>\n", o);
}

struct leak_sums {
	uint64_t nitems, bytes;
};

/* of those from the nth on */
static struct leak_sums sum_from(const struct page *p, uint64_t nth)
{
	struct leak_sums sums = {0};
	uint64_t n = 0;

	for (size_t i = 0; i < p->v.items.n; i++) {
		if (!item_is_buffers(&p->v.items.v[i]) || n++ < nth)
			continue;
		sums.nitems++;
		sums.bytes += p->v.items.v[i].bytes;
	}
	return sums;
}

static void put_sums(const char *begin, const struct leak_sums *sums,
		     const char *end, FILE *o)
{
	fputs(begin, o);
	html_count(o, sums->nitems);
	fprintf(o, " more group%s, ", plural(sums->nitems));
	html_size(o, sums->bytes);
	fputs(end, o);
}

static void put_groups(const struct page *p, FILE *o)
{
	struct leak_sums folded = sum_from(p, LEAKS_SHOWN);
	struct leak_sums left_out;
	uint64_t n = 0;
	long start = html_at(o);

	for (size_t i = 0; i < p->v.items.n && n < LEAKS_MAX &&
			   html_has_room(o, start, LEAKS_BYTES);
	     i++) {
		if (!item_is_buffers(&p->v.items.v[i]))
			continue;
		if (n++ == LEAKS_SHOWN)
			put_sums("<details class=\"more\"><summary>", &folded,
				 "</summary><div class=\"list\">\n", o);
		put_leak(p, i, o);
	}
	if (n > LEAKS_SHOWN)
		fputs("</div></details>\n", o);
	fputs("</div>\n", o);
	if (!n)
		fputs("<p>Nothing is leaked.</p>\n", o);
	left_out = sum_from(p, n);
	if (left_out.nitems)
		put_sums("<p class=\"note\">", &left_out,
			 " together, are left out (pmdb check has all).</p>\n",
			 o);
}

static void put_leaks(const struct page *p, FILE *o)
{
	html_section(o, "leaks", "Leaks");
	if (p->v.reason) {
		fputs("<p class=\"note warn\">What is leaked is not certain: ",
		      o);
		html_text(o, p->v.reason);
		fputs("</p>\n", o);
	}
	fputs("<div class=\"tools\" data-for=\"leak-list\"></div>\n"
	      "<div id=\"leak-list\" class=\"list\">\n",
	      o);
	put_groups(p, o);
	html_section_end(o);
}

/* ---- damage ---------------------------------------------------------- */

/* a story begins at the left edge; what tells it is indented */
static const char *story_end(const char *story)
{
	const char *p = story;

	do {
		p += strcspn(p, "\n");
		p += *p == '\n';
	} while (*p == ' ' || *p == '\t' || *p == '\n');
	return p;
}

static void put_story(const char *story, const char *end, FILE *o)
{
	size_t head = strcspn(story, "\n");
	size_t n = (size_t)(end - story);
	_free_ char *title = mem_strndup(story, head);
	_free_ char *text = NULL;

	fputs("<details class=\"item\"><summary><span class=\"badge damage\">"
	      "damage</span> ",
	      o);
	html_text(o, title);
	fputs("</summary>\n<pre tabindex=\"0\">", o);
	if (n > head) {
		n -= head + 1;
		text = mem_strndup(story + head + 1,
				   n < STORY_MAX ? n : STORY_MAX);
		html_text(o, text);
	}
	fputs("</pre></details>\n", o);
}

static size_t put_stories(const char *p, FILE *o)
{
	size_t n = 0;
	size_t nshown = 0;
	long start = html_at(o);

	for (; *p; n++) {
		const char *end = story_end(p);

		if (nshown == n && n < STORIES_MAX &&
		    html_has_room(o, start, STORIES_BYTES)) {
			put_story(p, end, o);
			nshown++;
		}
		p = end;
	}
	if (n > nshown)
		fprintf(o,
			"<p class=\"note\">%zu more findings are left out "
			"(::kmem_verify -v has all).</p>\n",
			n - nshown);
	return n;
}

static void put_panic(const struct item *item, FILE *o)
{
	fputs("<details class=\"item\" open><summary><span class=\"badge "
	      "damage\">panic</span> The allocator stopped the program"
	      "</summary>\n<pre tabindex=\"0\">",
	      o);
	html_text(o, *item->report ? item->report : "(no message)");
	fputs("</pre></details>\n", o);
}

static void put_mismatch(const struct page *p, const struct item *item, FILE *o)
{
	fputs("<details class=\"item\"><summary><span class=\"badge damage\">"
	      "mismatch</span> allocated by <code>",
	      o);
	html_text(o, item->call);
	fputs("</code>, freed by <code>", o);
	html_text(o, item->freed_by);
	fputs("</code>", o);
	if (item->nbufs > 1) {
		fputs(", ", o);
		html_count(o, item->nbufs);
		fputs(" times", o);
	}
	fputs("</summary>\n<h3>Allocated at</h3>", o);
	put_stack(p, item->has_stack, &item->stack, item->no_stack, o);
	fputs("<h3>Freed at</h3>", o);
	put_stack(p, item->has_freed, &item->freed, NULL, o);
	fputs("</details>\n", o);
}

static void put_damage(const struct page *p, FILE *o)
{
	size_t n = 0;
	size_t nmismatches = 0;

	html_section(o, "damage", "Heap corruption");
	for (size_t i = 0; i < p->v.items.n; i++) {
		const struct item *item = &p->v.items.v[i];

		if (item->kind == ITEM_PANIC && ++n)
			put_panic(item, o);
		if (item->kind == ITEM_MISMATCH && ++n &&
		    ++nmismatches <= STORIES_MAX)
			put_mismatch(p, item, o);
	}
	n += put_stories(p->stories, o);
	if (!n)
		fputs("<p>No damage was found.</p>\n", o);
	if (nmismatches > STORIES_MAX)
		fprintf(o,
			"<p class=\"note\">%zu more mismatched frees are left "
			"out (pmdb check has all).</p>\n",
			nmismatches - STORIES_MAX);
	html_section_end(o);
}

void report_findings(const struct page *p, FILE *o)
{
	put_damage(p, o);
	put_leaks(p, o);
}
