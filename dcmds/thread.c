/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Threads: the one that is meant, ::walk thread. */
#include "thread.h"

static struct err *walk_thread(struct session *s, const struct walker *w,
			       bool has_addr, taddr_t addr, walk_fn *fn,
			       void *arg)
{
	struct target *t = session_target(s);
	struct err *err = NULL;

	(void)w;
	(void)has_addr;
	(void)addr;
	for (size_t i = 0; !err && i < target_nthreads(t); i++)
		err = fn(arg, target_thread(t, i)->tid);
	return err;
}

const struct target_thread *thread_by_id(struct target *t, uint64_t tid)
{
	for (size_t i = 0; i < target_nthreads(t); i++)
		if (target_thread(t, i)->tid == tid)
			return target_thread(t, i);
	return NULL;
}

struct err *find_thread(struct dcmd_call *call,
			const struct target_thread **ret)
{
	struct target *t = session_target(call->s);

	*ret = session_thread(call->s);
	if (call->flags & DCMD_ADDRSPEC) {
		*ret = thread_by_id(t, call->addr);
		if (!*ret)
			return err_new(ERR_NOTFOUND,
				       "invalid thread identifier 0x%" PRIx64
				       " (0t%" PRIu64 "): see ::walk thread",
				       call->addr, call->addr);
	}
	if (!*ret)
		return err_new(ERR_NOSUP, "no process active");
	if (!(*ret)->has_regs && !(*ret)->regs_partial)
		return err_new(ERR_NOSUP,
			       "no register set available for thread 0x%x",
			       (*ret)->tid);
	return NULL;
}

static const struct walker walkers[] = {
	{.name = "thread",
	 .brief = "ids of the threads, the one that crashed "
		  "first",
	 .run = walk_thread},
	{0},
};

const struct group group_thread = {.name = "session", .walkers = walkers};
