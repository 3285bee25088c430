/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * HTML as reports need it.  Every text that came out of a dump goes through
 * html_text(): it is hostile, and must stay text.
 */
#ifndef PMDB_REPORT_HTML_H
#define PMDB_REPORT_HTML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* made from report.css and report.js, see src/pmdb/report/embed */
extern const char report_css[], report_js[];
extern const char report_css_hash[], report_js_hash[]; /* "sha256-..." */

/** Text, for between tags and within quotes.  What is no UTF-8, controls a
 * terminal, or turns the direction of writing becomes U+FFFD. */
void html_text(FILE *o, const char *s);
/** "1,234,567" */
void html_count(FILE *o, uint64_t n);
/** "1.2 MiB" */
void html_size(FILE *o, uint64_t bytes);
/** "3.4 %", "0 %", "<0.1 %" */
void html_percent(FILE *o, uint64_t part, uint64_t whole);
/** "12 µs", "3.4 s" */
void html_duration(FILE *o, uint64_t ns);

/* a column of a table that can be sorted */
struct html_column {
	const char *title;
	bool is_number;
};

/** Begins a table up to its first row. */
void html_table(FILE *o, const char *id, const char *caption,
		const struct html_column *cols, size_t n);
/** Ends it. */
void html_table_end(FILE *o);
/** A cell; those of numbers sort by the number, whatever they show. */
void html_cell_text(FILE *o, const char *s);
/** A cell that heads its row. */
void html_cell_name(FILE *o, const char *s);
/** A cell of what is not known; it sorts below all others. */
void html_cell_none(FILE *o);
/** A cell of a html_count(). */
void html_cell_count(FILE *o, uint64_t n);
/** A cell of a html_size(). */
void html_cell_size(FILE *o, uint64_t bytes);
/** A cell of a html_percent(), and a bar. */
void html_cell_percent(FILE *o, uint64_t part, uint64_t whole);
/** True while less than that was written since html_at() said start: the names
 * in a dump may be of any length, a page is not. */
bool html_has_room(FILE *o, long start, long bytes);
/** How much was written so far. */
long html_at(FILE *o);
/** Begins a section with its heading. */
void html_section(FILE *o, const char *id, const char *title);
/** Ends it. */
void html_section_end(FILE *o);

#endif
