/* SPDX-License-Identifier: MIT */
/*
 * System calls a sandbox of the process itself would kill it for.
 */
#ifndef KMEM_SANDBOX_H
#define KMEM_SANDBOX_H

#include "kmem_impl.h"

struct sock_fprog;

/** Takes a filter of system calls into account; the kernel is to get it next. */
KM_HIDDEN void kmem_sandbox_filter(const struct sock_fprog *prog);
/** The same of the strict mode, which leaves read, write and exit. */
KM_HIDDEN void kmem_sandbox_strict(void);
/** Has the process put itself in a sandbox?  What is not needed is not called
 * then: of some filters a call's death is in its arguments. */
KM_HIDDEN int kmem_is_sandboxed(void);
/** May a system call be made, as far as is known? */
KM_HIDDEN int kmem_may_call(long nr);

#endif
