/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A report's pictures of memory, of time, and of how often. */
#include <inttypes.h>
#include <string.h>

#include "pmdb/report_html.h"
#include "pmdb/report_impl.h"

/* ---- the map --------------------------------------------------------- */

#define LEVELS 8 /* of a cell that is part allocated; 0 is all free */
#define CELL   8 /* units */
#define GAP    4 /* where addresses are left out */

struct map_row {
	uint64_t number, allocated_bytes, free_bytes;
	size_t y;
};

struct picture {
	const struct pagemap *m;
	VEC(struct map_row) rows;
};

static unsigned level_of(const struct pagemap_cell *c)
{
	uint64_t all = c->allocated_bytes + c->free_bytes;

	if (c->allocated_bytes == 0 || all == 0)
		return 0;
	return 1 + (unsigned)((double)c->allocated_bytes / (double)all *
			      (LEVELS - 1));
}

static unsigned percent_of(const struct pagemap_cell *c)
{
	uint64_t all = c->allocated_bytes + c->free_bytes;

	return all ? (unsigned)((double)c->allocated_bytes * 100 / (double)all)
		   : 0;
}

static void find_rows(struct picture *pic)
{
	const struct pagemap *m = pic->m;
	struct map_row *row = NULL;

	for (size_t i = 0; i < m->pages.n;) {
		struct pagemap_cell c = pagemap_next(m, &i);
		uint64_t number = c.number / m->ncells;

		if (!row || row->number != number) {
			size_t y = !row ? 0
				   : row->number + 1 == number
					   ? row->y + CELL
					   : row->y + CELL + GAP;

			VEC_PUSH(&pic->rows,
				 ((struct map_row){.number = number, .y = y}));
			row = &pic->rows.v[pic->rows.n - 1];
		}
		row->allocated_bytes += c.allocated_bytes;
		row->free_bytes += c.free_bytes;
	}
}

/* the cells of one level are one path */
static void put_level(const struct picture *pic, unsigned level, FILE *o)
{
	const struct pagemap *m = pic->m;
	const struct map_row *row = pic->rows.v;

	fprintf(o, "<path class=\"l%u\" d=\"", level);
	for (size_t i = 0; i < m->pages.n;) {
		struct pagemap_cell c = pagemap_next(m, &i);

		while (row->number != c.number / m->ncells)
			row++;
		if (level_of(&c) == level)
			fprintf(o, "M%" PRIu64 " %zuh7v7h-7z",
				c.number % m->ncells * CELL, row->y);
	}
	fputs("\"/>\n", o);
}

/* for the pointer: "ADDR Y PERCENTS;" a row, two hex digits a cell */
static void put_data(const struct picture *pic, FILE *o)
{
	const struct pagemap *m = pic->m;
	const struct map_row *row = NULL;
	uint64_t at = 0;

	for (size_t i = 0; i < m->pages.n;) {
		struct pagemap_cell c = pagemap_next(m, &i);

		if (!row || row->number != c.number / m->ncells) {
			fputs(row ? ";" : "", o);
			row = row ? row + 1 : pic->rows.v;
			at = row->number * m->ncells;
			fprintf(o, "%" PRIx64 " %zu ", at << m->cell_bits,
				row->y);
		}
		for (; at < c.number; at++)
			fputs("..", o);
		fprintf(o, "%02x", percent_of(&c));
		at++;
	}
}

static void put_map_table(const struct picture *pic, FILE *o)
{
	static const struct html_column cols[] = {
		{"From", false},
		{"Allocated", true},
		{"Free", true},
		{"Allocated, share", true},
	};
	const struct pagemap *m = pic->m;

	fputs("<details><summary>The map as a table</summary>\n", o);
	html_table(o, "map-rows", "A row of the map each", cols, 4);
	for (size_t i = 0; i < pic->rows.n; i++) {
		const struct map_row *row = &pic->rows.v[i];

		fprintf(o,
			"<tr><th scope=\"row\"><code>%" PRIx64 "</code></th>",
			row->number * m->ncells << m->cell_bits);
		html_cell_size(o, row->allocated_bytes);
		html_cell_size(o, row->free_bytes);
		html_cell_percent(o, row->allocated_bytes,
				  row->allocated_bytes + row->free_bytes);
		fputs("</tr>\n", o);
	}
	html_table_end(o);
	fputs("</details>\n", o);
}

static void put_map(const struct picture *pic, FILE *o)
{
	const struct pagemap *m = pic->m;

	fprintf(o,
		"<figure><svg id=\"map\" class=\"map\" role=\"img\" "
		"aria-label=\"Map of the heap; the table below says the "
		"same\" viewBox=\"0 0 %" PRIu64 " %zu\" data-cell=\"%" PRIu64
		"\" data-rows=\"",
		m->ncells * CELL, pic->rows.v[pic->rows.n - 1].y + CELL,
		(uint64_t)1 << m->cell_bits);
	put_data(pic, o);
	fputs("\">\n", o);
	for (unsigned level = 0; level <= LEVELS; level++)
		put_level(pic, level, o);
	fputs("</svg>\n<p class=\"readout\" id=\"map-readout\"></p>\n"
	      "<figcaption>A cell is ",
	      o);
	html_size(o, (uint64_t)1 << m->cell_bits);
	fputs(": <span class=\"key l0\"></span> all free, "
	      "<span class=\"key l1\"></span><span class=\"key l4\"></span>"
	      "<span class=\"key l7\"></span> part allocated, "
	      "<span class=\"key l8\"></span> all allocated; rows without "
	      "buffers are left out. Allocated: ",
	      o);
	html_count(o, m->nallocated);
	fputs(m->nallocated == 1 ? " buffer, " : " buffers, ", o);
	html_size(o, m->allocated_bytes);
	fputs("; free: ", o);
	html_count(o, m->nfree);
	fputs(m->nfree == 1 ? " buffer, " : " buffers, ", o);
	html_size(o, m->free_bytes);
	fputs(", the largest ", o);
	html_size(o, m->largest_free_bytes);
	fputs(".</figcaption></figure>\n", o);
}

void report_map(const struct page *p, FILE *o)
{
	struct picture pic = {.m = &p->map};

	html_section(o, "map-section", "Heap map");
	find_rows(&pic);
	if (pic.rows.n) {
		put_map(&pic, o);
		put_map_table(&pic, o);
	} else {
		fputs("<p>The heap has no buffers.</p>\n", o);
	}
	VEC_FREE(&pic.rows);
	html_section_end(o);
}

/* ---- time ------------------------------------------------------------ */

#define TABLE_STEP 10 /* slots in a row of the table */

static uint64_t value_of(const struct past *past, size_t i, bool is_bytes)
{
	return is_bytes ? past->slot[i].bytes : past->slot[i].nbufs;
}

static void put_value(FILE *o, uint64_t v, bool is_bytes)
{
	if (is_bytes)
		html_size(o, v);
	else
		html_count(o, v);
}

static void put_curve(const struct past *past, bool is_bytes, FILE *o)
{
	const char *what = is_bytes ? "bytes" : "buffers";
	uint64_t most = 1;

	for (size_t i = 0; i < PAST_SLOTS; i++)
		if (value_of(past, i, is_bytes) > most)
			most = value_of(past, i, is_bytes);
	fprintf(o,
		"<figure class=\"curve\"><p class=\"scale\">Live %s, at "
		"most ",
		what);
	put_value(o, most, is_bytes);
	fprintf(o,
		"</p><svg class=\"time\" role=\"img\" aria-label=\"Live %s "
		"over time; the table below says the same\" viewBox=\"0 0 "
		"%d 100\" preserveAspectRatio=\"none\"><path class=\"area\" "
		"d=\"M0 100",
		what, PAST_SLOTS);
	for (size_t i = 0; i < PAST_SLOTS; i++)
		fprintf(o, "V%.2fH%zu",
			100 - (double)value_of(past, i, is_bytes) /
					(double)most * 100,
			i + 1);
	fputs("V100z\"/></svg><p class=\"scale ends\"><span>", o);
	html_duration(o, past->last_ns - past->first_ns);
	fputs(" before the last record</span><span>the last record</span></p>"
	      "</figure>\n",
	      o);
}

static void put_times(const struct past *past, FILE *o)
{
	static const struct html_column cols[] = {
		{"Before the last record", true},
		{"Live bytes, at most", true},
		{"Live buffers, at most", true},
	};
	uint64_t span = past->last_ns - past->first_ns;

	fputs("<details><summary>The curve as a table</summary>\n", o);
	html_table(o, "times", "Live bytes and buffers over time", cols, 3);
	for (size_t i = 0; i < PAST_SLOTS; i += TABLE_STEP) {
		uint64_t bytes = 0;
		uint64_t nbufs = 0;
		uint64_t before = (uint64_t)((double)span / PAST_SLOTS *
					     (double)(PAST_SLOTS - i));

		for (size_t j = i; j < i + TABLE_STEP; j++) {
			if (past->slot[j].bytes > bytes)
				bytes = past->slot[j].bytes;
			if (past->slot[j].nbufs > nbufs)
				nbufs = past->slot[j].nbufs;
		}
		fprintf(o, "<tr><td class=\"n\" data-v=\"%" PRIu64 "\">",
			before);
		html_duration(o, before);
		fputs("</td>", o);
		html_cell_size(o, bytes);
		html_cell_count(o, nbufs);
		fputs("</tr>\n", o);
	}
	html_table_end(o);
	fputs("</details>\n", o);
}

void report_past(const struct page *p, FILE *o)
{
	html_section(o, "time", "Live bytes over time");
	if (p->past.why) {
		fprintf(o, "<p class=\"note\">%s</p>\n", p->past.why);
	} else {
		put_curve(&p->past, true, o);
		put_curve(&p->past, false, o);
		fputs("<p class=\"note\">From ", o);
		html_count(o, p->past.nrecords);
		fputs(" records of the transaction log. A buffer counts as "
		      "large as those of its cache are.</p>\n",
		      o);
		put_times(&p->past, o);
	}
	html_section_end(o);
}

/* ---- how often ------------------------------------------------------- */

static unsigned size_bin(uint64_t bytes)
{
	return bytes ? 64 - (unsigned)__builtin_clzll(bytes) : 0;
}

static void put_sizes(const struct page *p, FILE *o)
{
	static const struct html_column cols[] = {
		{"Asked for", true},        {"Buffers", true},
		{"Share of buffers", true}, {"Bytes", true},
		{"Share of bytes", true},
	};
	struct {
		uint64_t nbufs, bytes;
	} bin[SIZE_BINS] = {0};

	for (size_t i = 0; i < p->profile.sites.n; i++) {
		const struct profile_site *s = &p->profile.sites.v[i];
		unsigned at = size_bin(s->size_bytes);

		bin[at].nbufs += s->count[PROFILE_INUSE];
		bin[at].bytes += s->bytes[PROFILE_INUSE];
	}
	if (!p->v.live.nbufs) {
		fputs("<p>Nothing is allocated.</p>\n", o);
		return;
	}
	html_table(o, "sizes", "Sizes of live buffers", cols, 5);
	for (unsigned i = 0; i < SIZE_BINS; i++) {
		uint64_t first = i ? 1ULL << (i - 1) : 0;

		if (!bin[i].nbufs)
			continue;
		fprintf(o,
			"<tr><th scope=\"row\" class=\"n\" data-v=\"%" PRIu64
			"\">",
			first);
		html_count(o, first);
		if (i > 1) {
			fputs(" to ", o);
			html_count(o, first * 2 - 1);
		}
		fputs("</th>", o);
		html_cell_count(o, bin[i].nbufs);
		html_cell_percent(o, bin[i].nbufs, p->v.live.nbufs);
		html_cell_size(o, bin[i].bytes);
		html_cell_percent(o, bin[i].bytes, p->v.live.bytes);
		fputs("</tr>\n", o);
	}
	html_table_end(o);
}

static void put_lifetimes(const struct past *past, FILE *o)
{
	static const struct html_column cols[] = {
		{"Time", true},           {"Freed after it", true},
		{"Share of freed", true}, {"Live, so old", true},
		{"Share of live", true},
	};

	html_table(o, "lifetimes", "Lifetimes", cols, 5);
	for (unsigned i = 0; i < PAST_BINS; i++) {
		fprintf(o, "<tr><th scope=\"row\" class=\"n\" data-v=\"%u\">",
			i);
		if (i == 0) {
			fputs("less than ", o);
			html_duration(o, past_bin_end(0));
		} else {
			html_duration(o, past_bin_end(i - 1));
			fputs(i < PAST_BINS - 1 ? " to " : " or longer", o);
			if (i < PAST_BINS - 1)
				html_duration(o, past_bin_end(i));
		}
		fputs("</th>", o);
		html_cell_count(o, past->freed[i]);
		html_cell_percent(o, past->freed[i], past->nfreed);
		html_cell_count(o, past->live[i]);
		html_cell_percent(o, past->live[i], past->nlive);
		fputs("</tr>\n", o);
	}
	html_table_end(o);
	fputs("<p class=\"note\">Freed: pairs of an allocation and a free that "
	      "the transaction log still has. Live: how long ago a buffer that "
	      "is audited was allocated.</p>\n",
	      o);
}

void report_distributions(const struct page *p, FILE *o)
{
	html_section(o, "distributions", "Sizes and lifetimes");
	put_sizes(p, o);
	if (p->past.nfreed || p->past.nlive)
		put_lifetimes(&p->past, o);
	else
		fputs("<p class=\"note\">Lifetimes are not known: nothing was "
		      "audited.</p>\n",
		      o);
	html_section_end(o);
}
