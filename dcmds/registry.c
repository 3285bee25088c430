/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The groups of dcmds, in the order names are looked up. */
#include "pmdb_mod.h"

#define GROUPS(X)   \
	X(session)  \
	X(thread)   \
	X(stack)    \
	X(regs)     \
	X(stacks)   \
	X(fpregs)   \
	X(process)  \
	X(lang)     \
	X(vars)     \
	X(settings) \
	X(files)    \
	X(syms)     \
	X(print)    \
	X(types)    \
	X(enum)     \
	X(printf)   \
	X(typedef)  \
	X(names)    \
	X(lists)    \
	X(dis)      \
	X(findsym)  \
	X(modules)  \
	X(cache)    \
	X(bufs)     \
	X(vmem)     \
	X(arenas)   \
	X(audit)    \
	X(kmem_log) \
	X(users)    \
	X(waiters)  \
	X(search)   \
	X(sizes)    \
	X(states)   \
	X(heapmap)  \
	X(refs)     \
	X(path)     \
	X(retained) \
	X(whattype) \
	X(typestat) \
	X(locks)    \
	X(history)  \
	X(replay)   \
	X(churn)    \
	X(verify)   \
	X(leaks)    \
	X(whatis)

#define DECLARE(name) extern const struct group group_##name;
#define ADDRESS(name) &group_##name,

GROUPS(DECLARE)

const struct group *const dcmd_groups[] = {GROUPS(ADDRESS) NULL};
