/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What may complete a word; complete.c says what is meant by it. */
#ifndef SHELL_OFFER_H
#define SHELL_OFFER_H

#include "shell/complete.h"

struct request {
	struct session *s;
	const char *line;
	struct completion *ret;
	const struct dcmd *dcmd; /* whose arguments they are; NULL: none */
	const struct type *base; /* whose members are meant; NULL not known */
};

/** The word begins at p, within the line. */
void offer_begin(struct request *r, const char *p);
/** What of the word is there. */
const char *offer_prefix(const struct request *r);

/** Dcmds, but those of punctuation. */
void offer_dcmds(struct request *r);
/** Walkers. */
void offer_walkers(struct request *r);
/** Objects of the program. */
void offer_objects(struct request *r);
/** Modules, the built-in ones too. */
void offer_modules(struct request *r);
/** Variables and registers. */
void offer_variables(struct request *r);
/** Options of the dcmd. */
void offer_options(struct request *r);
/** Symbols: "name" or "object`name". */
void offer_symbols(struct request *r);
/** Macros and aliases. */
void offer_macros(struct request *r);
/** Types; tag: "struct" when that word was typed before, or "". */
void offer_types(struct request *r, const char *tag);
/** Members, through what is before: of "next->pair[1].na" the last name. */
void offer_path(struct request *r, const char *path);

#endif
