/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A flame graph of live bytes, outermost function on top.
 *
 * The stacks are one tree: a function below another one is one node, however
 * many stacks go through it.  Each node is a small SVG within the large one, at
 * a place in percent, so that names are cut off at its edge, and zooming is new
 * percentages.  What is too narrow to be seen even when zoomed is left out.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "pmdb/report_html.h"
#include "pmdb/report_impl.h"

#define DEPTH_MAX   100
#define NODES_MAX   2500
#define NODES_BYTES 900000 /* of the page */
#define NARROWEST   5000   /* a node is at least such a part of the whole */
#define ROW         20     /* pixels */
#define TONES       6

struct node {
	const char *name; /* of the profile */
	const char *file;
	int line;
	uint64_t bytes, nbufs, leaked_bytes;
	size_t parent, depth;
	size_t child, sibling; /* 0: none, which is the root */
};

struct flame {
	const struct profile *p;
	FILE *o;
	VEC(struct node) nodes;
	struct hash by_key;
	size_t nshown, depth; /* of those that are shown */
	size_t nhidden;
	long start; /* of the picture in the page */
};

/* ---- the tree -------------------------------------------------------- */

static size_t child_of(struct flame *f, size_t parent,
		       const struct profile_line *l)
{
	uint64_t key = hash_bytes(l->function, strlen(l->function), parent);
	uint64_t *at = hash_put(&f->by_key, key, NULL);

	/* a key may be taken by another: then the next one is asked */
	while (*at) {
		const struct node *n = &f->nodes.v[*at];

		if (n->parent == parent && !strcmp(n->name, l->function))
			return *at;
		at = hash_put(&f->by_key, ++key, NULL);
	}
	*at = f->nodes.n;
	VEC_PUSH(&f->nodes, ((struct node){
				    .name = l->function,
				    .file = l->file,
				    .line = l->line,
				    .parent = parent,
				    .depth = f->nodes.v[parent].depth + 1,
				    .sibling = f->nodes.v[parent].child,
			    }));
	f->nodes.v[parent].child = f->nodes.n - 1;
	return f->nodes.n - 1;
}

static void add_to(struct node *n, const struct profile_site *s)
{
	n->bytes += s->bytes[PROFILE_INUSE];
	n->nbufs += s->count[PROFILE_INUSE];
	n->leaked_bytes += s->bytes[PROFILE_LEAKED];
}

static void add_site(struct flame *f, const struct profile_site *s)
{
	size_t at = 0;

	if (!s->bytes[PROFILE_INUSE])
		return;
	add_to(&f->nodes.v[0], s);
	for (size_t i = s->nplaces; i-- > 0;) {
		const struct profile_place *place =
			&f->p->places.v[s->places[i]];

		for (size_t j = place->lines.n; j-- > 0;) {
			if (f->nodes.v[at].depth == DEPTH_MAX)
				return;
			at = child_of(f, at, &place->lines.v[j]);
			add_to(&f->nodes.v[at], s);
		}
	}
}

/* ---- the picture ----------------------------------------------------- */

static bool is_shown(const struct flame *f, const struct node *n)
{
	return n->bytes >= f->nodes.v[0].bytes / NARROWEST &&
	       f->nshown < NODES_MAX &&
	       html_has_room(f->o, f->start, NODES_BYTES);
}

/* the same function has the same tone everywhere */
static void put_class(const struct flame *f, const struct node *n)
{
	if (n->depth == 0)
		fputs("root", f->o);
	else if (n->leaked_bytes > n->bytes / 2)
		fputs("lost", f->o);
	else
		fprintf(f->o, "t%" PRIu64,
			hash_bytes(n->name, strlen(n->name), 0) % TONES);
}

static void put_node(struct flame *f, const struct node *n, double start)
{
	FILE *o = f->o;
	double all = (double)f->nodes.v[0].bytes;

	fputs("<svg class=\"f ", o);
	put_class(f, n);
	fprintf(o,
		"\" x=\"%.4g%%\" y=\"%zu\" width=\"%.4g%%\" height=\"%d\" "
		"data-b=\"%" PRIu64 "\"><title>",
		start / all * 100, n->depth * ROW, (double)n->bytes / all * 100,
		ROW - 1, n->bytes);
	html_text(o, n->name);
	fputs(": ", o);
	html_size(o, n->bytes);
	fputs(" (", o);
	html_percent(o, n->bytes, f->nodes.v[0].bytes);
	fputs(") in ", o);
	html_count(o, n->nbufs);
	fputs(n->nbufs == 1 ? " buffer" : " buffers", o);
	if (n->leaked_bytes) {
		fputs(", ", o);
		html_size(o, n->leaked_bytes);
		fputs(" leaked", o);
	}
	if (n->file) {
		fputs(", ", o);
		html_text(o, n->file);
		fprintf(o, ":%d", n->line);
	}
	fputs("</title><rect width=\"100%\" height=\"100%\"/>"
	      "<text x=\"4\" y=\"14\">",
	      o);
	html_text(o, n->name);
	fputs("</text></svg>\n", o);
}

struct sorted {
	size_t node;
	uint64_t bytes;
	const char *name;
};

static int most_bytes_first(const void *a, const void *b)
{
	const struct sorted *x = a;
	const struct sorted *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* children follow their parent; the depth is bounded, and so is recursion */
static void put_tree(struct flame *f, size_t at, double start)
{
	const struct node *n = &f->nodes.v[at];
	VEC(struct sorted) children = {0};

	put_node(f, n, start);
	f->nshown++;
	if (n->depth + 1 > f->depth)
		f->depth = n->depth + 1;
	for (size_t c = n->child; c; c = f->nodes.v[c].sibling)
		VEC_PUSH(&children, ((struct sorted){c, f->nodes.v[c].bytes,
						     f->nodes.v[c].name}));
	if (children.n)
		qsort(children.v, children.n, sizeof(*children.v),
		      most_bytes_first);
	for (size_t i = 0; i < children.n; i++) {
		if (is_shown(f, &f->nodes.v[children.v[i].node]))
			put_tree(f, children.v[i].node, start);
		else
			f->nhidden++;
		start += (double)children.v[i].bytes;
	}
	VEC_FREE(&children);
}

/* the height has to be known before the nodes are */
static size_t depth_of(const struct flame *f)
{
	size_t depth = 1;

	for (size_t i = 0; i < f->nodes.n; i++)
		if (f->nodes.v[i].bytes >= f->nodes.v[0].bytes / NARROWEST &&
		    f->nodes.v[i].depth + 1 > depth)
			depth = f->nodes.v[i].depth + 1;
	return depth;
}

static void draw(struct flame *f)
{
	fputs("<div class=\"flame-tools\" id=\"flame-tools\"></div>\n"
	      "<figure><div class=\"flame-scroll\">\n",
	      f->o);
	fprintf(f->o,
		"<svg id=\"flame\" class=\"flame\" role=\"group\" "
		"aria-label=\"Flame graph of live bytes; the table of call "
		"sites says the same\" width=\"100%%\" height=\"%zu\">\n",
		depth_of(f) * ROW);
	put_tree(f, 0, 0);
	fputs("</svg></div>\n<figcaption>Width is live bytes, callers stand "
	      "above what they call. "
	      "<span class=\"key lost\"></span> more than half is leaked.",
	      f->o);
	if (f->nhidden) {
		fputs(" ", f->o);
		html_count(f->o, f->nhidden);
		fputs(f->nhidden == 1 ? " branch" : " branches", f->o);
		fputs(" too narrow to be seen left out.", f->o);
	}
	fputs("</figcaption></figure>\n", f->o);
}

void report_flame(const struct page *p, FILE *o)
{
	struct flame f = {.p = &p->profile, .o = o, .start = html_at(o)};

	hash_init(&f.by_key);
	VEC_PUSH(&f.nodes, ((struct node){.name = "all live bytes"}));
	for (size_t i = 0; i < p->profile.sites.n; i++)
		add_site(&f, &p->profile.sites.v[i]);
	if (f.nodes.v[0].bytes)
		draw(&f);
	hash_fini(&f.by_key);
	VEC_FREE(&f.nodes);
}
