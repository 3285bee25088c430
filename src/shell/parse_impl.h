/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the two files of the parser share. */
#ifndef SHELL_PARSE_IMPL_H
#define SHELL_PARSE_IMPL_H

#include "shell/parse.h"

struct parser {
	struct lex *lx;
	int radix;
	unsigned depth, nodes;
};

/** "syntax error" at pos. */
struct err *parse_error(const struct parser *p) must_use;
/** An expression; what follows it stays. */
struct err *parse_expr(struct parser *p, struct expr **ret) must_use;
/** The X of "* / X /" and "> / X /" (op says of which), in bytes; leaves *ret
 * alone if there is none. */
struct err *parse_modifier(struct parser *p, char op, unsigned *ret) must_use;

#endif
