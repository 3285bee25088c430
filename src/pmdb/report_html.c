/* SPDX-License-Identifier: GPL-3.0-or-later */
/* HTML as reports need it. */
#include "pmdb/report_html.h"

#include <inttypes.h>
#include <string.h>

/* ---- text ------------------------------------------------------------ */

/* the length of the character at s, and which it is; 0: no UTF-8 */
static size_t decode(const unsigned char *s, uint32_t *ret)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = *s < 0x80             ? 1
		   : (*s & 0xe0) == 0xc0 ? 2
		   : (*s & 0xf0) == 0xe0 ? 3
		   : (*s & 0xf8) == 0xf0 ? 4
					 : 0;
	uint32_t c = n > 1 ? *s & (0x7fU >> n) : *s;

	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (n && (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)))
		return 0;
	*ret = c;
	return n;
}

static bool is_shown(uint32_t c)
{
	if (c < 0x20)
		return c == '\t' || c == '\n';
	if (c >= 0x7f && c < 0xa0)
		return false;
	/* embeddings, overrides, isolates; noncharacters */
	if ((c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
	    c == 0x200e || c == 0x200f || c == 0x061c)
		return false;
	return (c & 0xfffe) != 0xfffe && !(c >= 0xfdd0 && c <= 0xfdef);
}

static const char *entity(uint32_t c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

void html_text(FILE *o, const char *s)
{
	while (*s) {
		uint32_t c = 0;
		size_t n = decode((const unsigned char *)s, &c);
		const char *as = n ? entity(c) : NULL;

		if (as)
			fputs(as, o);
		else if (n && is_shown(c))
			fwrite(s, 1, n, o);
		else
			fputs("\xef\xbf\xbd", o);
		s += n ? n : 1;
	}
}

void html_count(FILE *o, uint64_t n)
{
	char digits[24];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, n);

	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			fputc(',', o);
		fputc(digits[i], o);
	}
}

void html_size(FILE *o, uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB",
					    "TiB", "PiB", "EiB"};
	double v = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		fprintf(o, "%" PRIu64 " B", bytes);
		return;
	}
	for (; v >= 1000 && i + 1 < sizeof(units) / sizeof(*units); i++)
		v /= 1024;
	fprintf(o,
		v < 10    ? "%.2f %s"
		: v < 100 ? "%.1f %s"
			  : "%.0f %s",
		v, units[i]);
}

void html_percent(FILE *o, uint64_t part, uint64_t whole)
{
	double v = whole ? (double)part * 100 / (double)whole : 0;

	if (v == 0)
		fputs("0 %", o);
	else if (v < 0.1)
		fputs("&lt;0.1 %", o);
	else
		fprintf(o, "%.1f %%", v);
}

void html_duration(FILE *o, uint64_t ns)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = {{"h", 3600e9},
		     {"min", 60e9},
		     {"s", 1e9},
		     {"ms", 1e6},
		     {"µs", 1e3}};

	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if ((double)ns < units[i].ns)
			continue;
		fprintf(o, "%.3g %s", (double)ns / units[i].ns, units[i].name);
		return;
	}
	fprintf(o, "%" PRIu64 " ns", ns);
}

/* ---- tables ---------------------------------------------------------- */

void html_table(FILE *o, const char *id, const char *caption,
		const struct html_column *cols, size_t n)
{
	fprintf(o,
		"<div class=\"scroll\" tabindex=\"0\" role=\"group\" "
		"aria-labelledby=\"%s-caption\"><table id=\"%s\">\n"
		"<caption id=\"%s-caption\">%s</caption>\n<thead><tr>",
		id, id, id, caption);
	for (size_t i = 0; i < n; i++)
		fprintf(o, "<th scope=\"col\"%s>%s</th>",
			cols[i].is_number ? " class=\"n\"" : "", cols[i].title);
	fputs("</tr></thead>\n<tbody>\n", o);
}

void html_table_end(FILE *o)
{
	fputs("</tbody></table></div>\n", o);
}

void html_cell_text(FILE *o, const char *s)
{
	fputs("<td>", o);
	html_text(o, s);
	fputs("</td>", o);
}

void html_cell_name(FILE *o, const char *s)
{
	fputs("<th scope=\"row\">", o);
	html_text(o, s);
	fputs("</th>", o);
}

void html_cell_none(FILE *o)
{
	fputs("<td class=\"n\" data-v=\"-1\">\xe2\x80\x93</td>", o);
}

void html_cell_count(FILE *o, uint64_t n)
{
	fprintf(o, "<td class=\"n\" data-v=\"%" PRIu64 "\">", n);
	html_count(o, n);
	fputs("</td>", o);
}

void html_cell_size(FILE *o, uint64_t bytes)
{
	fprintf(o, "<td class=\"n\" data-v=\"%" PRIu64 "\" title=\"", bytes);
	html_count(o, bytes);
	fputs(bytes == 1 ? " byte\">" : " bytes\">", o);
	html_size(o, bytes);
	fputs("</td>", o);
}

void html_cell_percent(FILE *o, uint64_t part, uint64_t whole)
{
	double v = whole ? (double)part * 100 / (double)whole : 0;

	/* a bar beside the number, which says the same */
	fprintf(o,
		"<td class=\"n bar\" data-v=\"%.4f\"><svg class=\"meter\" "
		"viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" "
		"aria-hidden=\"true\"><rect class=\"full\" width=\"100\" "
		"height=\"10\"></rect><rect class=\"part\" width=\"%.1f\" "
		"height=\"10\"></rect></svg> <span class=\"pct\">",
		v, v > 100 ? 100 : v);
	html_percent(o, part, whole);
	fputs("</span></td>", o);
}

long html_at(FILE *o)
{
	return ftell(o);
}

bool html_has_room(FILE *o, long start, long bytes)
{
	return ftell(o) - start < bytes;
}

void html_section(FILE *o, const char *id, const char *title)
{
	fprintf(o,
		"<section id=\"%s\" aria-labelledby=\"%s-title\">\n"
		"<h2 id=\"%s-title\">%s</h2>\n",
		id, id, id, title);
}

void html_section_end(FILE *o)
{
	fputs("</section>\n", o);
}
