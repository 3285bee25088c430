/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signs of one column for a share of a whole. */
#include <langinfo.h>
#include <locale.h>
#include <string.h>
#include "draw.h"

bool draw_is_ascii(bool is_wanted)
{
	/* that of the process stays "C": numbers are written the same everywhere */
	locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
	bool is_utf8 = false;

	if (locale) {
		is_utf8 = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
		freelocale(locale);
	}
	return is_wanted || !is_utf8;
}

const char *draw_sign(unsigned level, bool is_ascii)
{
	static const char *const blocks[DRAW_LEVELS + 1] = {
		"·", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const letters[DRAW_LEVELS + 1] = {
		".", "1", "2", "3", "4", "5", "6", "7", "#"};

	return is_ascii ? letters[level] : blocks[level];
}

const char *draw_level(uint64_t part, uint64_t whole, bool is_ascii)
{
	unsigned level = DRAW_LEVELS;

	if (part == 0)
		level = 0;
	else if (part < whole)
		level = 1 + (unsigned)((double)part / (double)whole *
				       (DRAW_LEVELS - 1));
	return draw_sign(level, is_ascii);
}
