/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kmalloc.h with the flags of Linux 2.6.32; LINK: kmem */
#define KMALLOC_GFP_2_6
#include "kmalloc_calls.h"
