/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one global flag; the prompt's SIGINT handler sets it, and clears it. */
#include "base/interrupt.h"

#include <stddef.h>

volatile sig_atomic_t interrupt_flag;

struct err *interrupt_check(void)
{
	if (!interrupt_flag)
		return NULL;
	return err_new(ERR_STOP, "command cancelled by user");
}
