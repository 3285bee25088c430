/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Terminals: which descriptor is one, how large, what it shows. */
#include "shell/term.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool term_is_capable(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && term && term[0] && strcmp(term, "dumb") != 0;
}

/* the user's word is for every terminal there is */
static struct {
	enum term_colour want;
} term;

void term_set_colour(enum term_colour want)
{
	term.want = want;
}

bool term_has_colour(int fd)
{
	const char *no = getenv("NO_COLOR");

	if (term.want != COLOUR_AUTO)
		return term.want == COLOUR_ALWAYS;
	return !(no && no[0]) && term_is_capable(fd);
}

void term_size(int fd, size_t *ret_rows, size_t *ret_columns)
{
	struct winsize ws = {0};

	if (ioctl(fd, TIOCGWINSZ, &ws))
		ws = (struct winsize){0};
	if (ret_rows)
		*ret_rows = ws.ws_row > 1 ? ws.ws_row : 24;
	if (ret_columns)
		*ret_columns = ws.ws_col > 1 ? ws.ws_col : 80;
}

/* length of the escape sequence at s */
static size_t escape_span(const char *s, size_t n)
{
	size_t i = 2;

	if (n < 2 || s[1] != '[')
		return 1;
	while (i < n && !(s[i] >= '@' && s[i] <= '~'))
		i++;
	return i < n ? i + 1 : n;
}

size_t term_advance(const char *text, size_t n, size_t columns, size_t *column)
{
	size_t down = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\n') {
			down++;
			*column = 0;
		} else if (c == '\033') {
			i += escape_span(text + i, n - i) - 1;
		} else if (c == '\t') {
			*column += 8 - *column % 8;
		} else if ((c & 0xc0) != 0x80) { /* a letter's first byte */
			*column += 1;
		}
		if (*column > columns) { /* it wraps when the next one comes */
			down++;
			*column -= columns;
		}
	}
	return down;
}
