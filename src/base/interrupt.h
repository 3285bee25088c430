/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one global flag: the user pressed Ctrl-C. */
#ifndef BASE_INTERRUPT_H
#define BASE_INTERRUPT_H

#include <signal.h>
#include "err.h"

extern volatile sig_atomic_t interrupt_flag;

/** ERR_STOP "command cancelled by user" once the flag is set, else NULL;
 * cheap enough for every turn of a loop. */
struct err *interrupt_check(void) must_use;

#endif
