/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A report's call sites and caches. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "pmdb/report_html.h"
#include "pmdb/report_impl.h"

#define SITES_MAX   300
#define SITES_BYTES 900000 /* of the page */
#define FRAMES_MAX  48
#define CALLERS     2 /* named beside a call site */
#define CACHES_MAX  800

/* ---- call sites ------------------------------------------------------ */

/* what came from one stack; its buffers may be of many sizes */
struct caller {
	const struct profile_site *site; /* the first of them */
	uint64_t nbufs, bytes, leaked_bytes;
};

struct callers {
	VEC(struct caller) list;
	struct hash by_stack;
};

static int most_bytes_first(const void *a, const void *b)
{
	const struct caller *x = a;
	const struct caller *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	if (x->site->stack != y->site->stack)
		return x->site->stack < y->site->stack ? -1 : 1;
	return strcmp(x->site->cache, y->site->cache);
}

static struct caller *caller_of(struct callers *c, const struct profile_site *s)
{
	uint64_t key =
		s->stack ? s->stack : hash_bytes(s->cache, strlen(s->cache), 1);
	uint64_t *at = hash_put(&c->by_stack, key, NULL);

	while (*at) {
		const struct profile_site *o = c->list.v[*at - 1].site;

		if (o->stack == s->stack &&
		    (s->stack || !strcmp(o->cache, s->cache)))
			return &c->list.v[*at - 1];
		at = hash_put(&c->by_stack, ++key, NULL);
	}
	VEC_PUSH(&c->list, ((struct caller){.site = s}));
	*at = c->list.n;
	return &c->list.v[c->list.n - 1];
}

static void put_place(const struct profile_line *l, FILE *o)
{
	fputs("<code>", o);
	html_text(o, l->function);
	fputs("</code>", o);
	if (!l->file)
		return;
	fputs(" <span class=\"file\">", o);
	html_text(o, l->file);
	fprintf(o, ":%d</span>", l->line);
}

static void put_stack(const struct page *p, const struct profile_site *s,
		      FILE *o)
{
	size_t n = 0;

	fputs("<ol class=\"stack\">", o);
	for (size_t i = 0; i < s->nplaces; i++) {
		const struct profile_place *place =
			&p->profile.places.v[s->places[i]];

		for (size_t j = 0; j < place->lines.n; j++) {
			if (n++ >= FRAMES_MAX)
				continue;
			fputs("<li>", o);
			put_place(&place->lines.v[j], o);
			fputs("</li>", o);
		}
	}
	fputs("</ol>", o);
	if (n > FRAMES_MAX)
		fprintf(o, "<p class=\"note\">%zu more frames</p>",
			n - FRAMES_MAX);
}

static const char *name_of(const struct page *p, const struct profile_site *s,
			   size_t i)
{
	return p->profile.places.v[s->places[i]].lines.v[0].function;
}

/* a helper that allocates is everybody's: who called it is named, too */
static void put_outer(const struct page *p, const struct profile_site *s,
		      FILE *o)
{
	const char *before = name_of(p, s, 0);

	for (size_t i = 1, n = 0;
	     i < s->nplaces && n < CALLERS && strcmp(before, "main"); i++) {
		const char *name = name_of(p, s, i);

		if (!strcmp(name, before))
			continue; /* it calls itself */
		n++;
		before = name;
		fputs(" <span class=\"file\">\xe2\x86\x90 ", o);
		html_text(o, name);
		fputs("</span>", o);
	}
}

static void put_caller(const struct page *p, const struct caller *c, FILE *o)
{
	const struct profile_place *place =
		&p->profile.places.v[c->site->places[0]];

	fputs("<tr><td role=\"rowheader\" class=\"head\">", o);
	if (c->site->stack) {
		fputs("<details><summary>", o);
		put_place(&place->lines.v[0], o);
		put_outer(p, c->site, o);
		fputs("</summary>", o);
		put_stack(p, c->site, o);
		fputs("</details>", o);
	} else {
		put_place(&place->lines.v[0], o);
		fputs(" <span class=\"file\">no stack recorded</span>", o);
	}
	fputs("</td>", o);
	html_cell_count(o, c->nbufs);
	html_cell_size(o, c->bytes);
	html_cell_percent(o, c->bytes, p->v.live.bytes);
	html_cell_size(o, c->leaked_bytes);
	fputs("</tr>\n", o);
}

static void put_callers(const struct page *p, const struct callers *c, FILE *o)
{
	static const struct html_column cols[] = {
		{"Call site", false},      {"Buffers", true},
		{"Live bytes", true},      {"Share of live", true},
		{"Leaked of these", true},
	};
	uint64_t left_out = 0;
	size_t nshown = 0;
	long start = html_at(o);

	html_table(o, "sites", "Live bytes by call site", cols, 5);
	for (size_t i = 0; i < c->list.n; i++) {
		if (nshown == i && i < SITES_MAX &&
		    html_has_room(o, start, SITES_BYTES)) {
			put_caller(p, &c->list.v[i], o);
			nshown++;
		} else {
			left_out += c->list.v[i].bytes;
		}
	}
	html_table_end(o);
	if (c->list.n == nshown)
		return;
	fputs("<p class=\"note\">", o);
	html_count(o, c->list.n - nshown);
	fputs(" more call sites, which have ", o);
	html_size(o, left_out);
	fputs(" together, are left out (pmdb export has all).</p>\n", o);
}

void report_sites(const struct page *p, FILE *o)
{
	struct callers c = {0};

	hash_init(&c.by_stack);
	for (size_t i = 0; i < p->profile.sites.n; i++) {
		const struct profile_site *s = &p->profile.sites.v[i];

		if (!s->count[PROFILE_INUSE])
			continue;
		struct caller *at = caller_of(&c, s);

		at->nbufs += s->count[PROFILE_INUSE];
		at->bytes += s->bytes[PROFILE_INUSE];
		at->leaked_bytes += s->bytes[PROFILE_LEAKED];
	}
	if (c.list.n)
		qsort(c.list.v, c.list.n, sizeof(*c.list.v), most_bytes_first);
	html_section(o, "live", "Who has the memory");
	if (c.list.n == 0)
		fputs("<p>Nothing is allocated.</p>\n", o);
	else if (!p->has_stacks)
		fputs("<p class=\"note\">No stacks were recorded: memory stands "
		      "under the name of its cache. Run the program under "
		      "<code>pmdb run</code> to see who allocated it.</p>\n",
		      o);
	report_flame(p, o);
	if (c.list.n)
		put_callers(p, &c, o);
	html_section_end(o);
	hash_fini(&c.by_stack);
	VEC_FREE(&c.list);
}

/* ---- caches ---------------------------------------------------------- */

struct caches_arg {
	VEC(struct heap_cache) list;
};

static struct err *take_cache(void *arg, const struct heap_cache *c)
{
	struct caches_arg *a = arg;

	VEC_PUSH(&a->list, *c);
	return NULL;
}

static uint64_t in_use(const struct heap_cache *c)
{
	uint64_t nfree = c->nfree_mag + c->nfree_slab;

	return c->buftotal > nfree ? c->buftotal - nfree : 0;
}

static int largest_first(const void *a, const void *b)
{
	const struct heap_cache *x = a;
	const struct heap_cache *y = b;
	uint64_t m = in_use(x) * x->bufsize_bytes;
	uint64_t n = in_use(y) * y->bufsize_bytes;

	if (m != n)
		return m > n ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void put_cache(const struct heap_cache *c, FILE *o)
{
	uint64_t memory =
		(c->slabs_created - c->slabs_destroyed) * c->slab_bytes;

	fputs(c->is_internal ? "<tr class=\"internal\">" : "<tr>", o);
	html_cell_name(o, c->name);
	html_cell_text(o, c->is_internal ? "allocator" : "program");
	html_cell_size(o, c->bufsize_bytes);
	html_cell_count(o, in_use(c));
	html_cell_count(o, c->buftotal);
	html_cell_percent(o, in_use(c), c->buftotal);
	html_cell_size(o, in_use(c) * c->bufsize_bytes);
	if (c->slab_bytes)
		html_cell_size(o, memory);
	else
		html_cell_none(o);
	if (c->nalloc != HEAP_NOT_KNOWN) {
		html_cell_count(o, c->nalloc);
		html_cell_count(o, c->nalloc_fail);
	} else { /* this allocator does not count */
		html_cell_none(o);
		html_cell_none(o);
	}
	fputs("</tr>\n", o);
}

struct err *report_caches(const struct page *p, FILE *o)
{
	static const struct html_column cols[] = {
		{"Cache", false}, {"Used by", false}, {"Buffer size", true},
		{"Live", true},   {"Buffers", true},  {"Full", true},
		{"In use", true}, {"Memory", true},   {"Allocations", true},
		{"Failed", true},
	};
	struct caches_arg a = {0};
	struct heap *heap = p->e.heap;
	size_t nunused = 0;
	struct err *err = heap->ops->caches(heap, take_cache, &a);

	if (a.list.n)
		qsort(a.list.v, a.list.n, sizeof(*a.list.v), largest_first);
	html_section(o, "caches-section", "Caches");
	html_table(o, "caches", "Caches", cols, sizeof(cols) / sizeof(*cols));
	for (size_t i = 0; i < a.list.n && i < CACHES_MAX; i++) {
		const struct heap_cache *c = &a.list.v[i];

		if (c->buftotal || (c->nalloc != HEAP_NOT_KNOWN &&
				    (c->nalloc || c->nalloc_fail)))
			put_cache(c, o);
		else
			nunused++;
	}
	html_table_end(o);
	if (nunused)
		fprintf(o,
			"<p class=\"note\">%zu that were never used are left "
			"out.</p>\n",
			nunused);
	if (a.list.n > CACHES_MAX)
		fprintf(o,
			"<p class=\"note\">%zu smaller caches are left "
			"out.</p>\n",
			a.list.n - CACHES_MAX);
	html_section_end(o);
	VEC_FREE(&a.list);
	return err;
}
