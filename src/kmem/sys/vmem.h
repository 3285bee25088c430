/* SPDX-License-Identifier: MIT */
/*
 * Arenas under the header name that programs written for libumem include.
 */
#ifndef SYS_VMEM_H
#define SYS_VMEM_H

#include <vmem.h>

#endif
