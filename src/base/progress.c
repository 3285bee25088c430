/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one place where long work says how far it is. */
#include "base/progress.h"

struct progress progress_state;
