/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What pictures in the terminal are made of. */
#ifndef DCMDS_DRAW_H
#define DCMDS_DRAW_H

#include "pmdb_mod.h"

#define DRAW_LEVELS 8

/** True when a picture must be ASCII: asked for, or the locale has no UTF-8. */
bool draw_is_ascii(bool is_wanted);
/**
 * The sign for a share of a whole, lowest to highest: 0 none of it (a dot), then
 * DRAW_LEVELS steps, of which only the whole is the last.  One column wide.
 * Borrowed.
 */
const char *draw_level(uint64_t part, uint64_t whole, bool is_ascii);
/** The sign of a step: 0 to DRAW_LEVELS. */
const char *draw_sign(unsigned level, bool is_ascii);

#endif
