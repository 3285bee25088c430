/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kmalloc.h with the flags of Linux 6.1; LINK: kmem */
#include "kmalloc_calls.h"
