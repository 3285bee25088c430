/* SPDX-License-Identifier: MIT */
/*
 * Stopping the allocator: for fork, so that the child finds no lock held by a
 * thread it does not have, and for a snapshot, so that the image is of a heap
 * at rest.
 *
 * The gate is closed first, so that no buffer is in the middle of a change.
 * Locks are taken in the order of kmem_internal.h: first those under which
 * caches and arenas come and go, then those of each cache and arena.  They are
 * freed the other way round, so that the members are the same all the time.
 * One function visits them and is given what to do with each, so that taking
 * and freeing cannot disagree about which locks there are.
 *
 * While everything is held the holder's own lock calls do nothing (invariant
 * L1 of kmem_lock.c): atfork handlers of others run between ours and allocate.
 * Freeing therefore frees each lock whoever took it, those of caches made
 * meanwhile too.  A vfork child shares our memory and its parent waits, so it
 * needs nothing of this.  Nor does a fork by the only thread there is: what is
 * held then is held by what a signal handler interrupted that forks, and that
 * goes on in parent and child alike.
 */
#include "kmem_logfile.h"

#include <pthread.h>
#include <sys/single_threaded.h>

#include "kmem_snap.h"

#define LOOK_NS ((hrtime_t)200 * 1000) /* at a lock that nobody may tell of */

extern KM_HIDDEN kmem_mutex_t kmem_report_lock;

typedef int visit_fn(kmem_mutex_t *m, void *arg);

static int depth; /* of nested kmem_lock_all() of the holder */

static int visit_cache(kmem_cache_t *cp, visit_fn *visit, void *arg)
{
	if (!visit(&cp->cache_lock, arg))
		return 0;
	for (uint32_t i = 0; i < kmem_max_ncpus; i++)
		if (!visit(&cp->cache_cpu[i].cc_lock, arg))
			return 0;
	return visit(&cp->cache_depot_lock, arg);
}

static int visit_log(kmem_log_header_t *lhp, visit_fn *visit, void *arg)
{
	if (!lhp)
		return 1;
	for (uint32_t i = 0; i < kmem_max_ncpus; i++)
		if (!visit(&lhp->lh_cpu[i].clh_lock, arg))
			return 0;
	return visit(&lhp->lh_lock, arg);
}

/* the locks under which caches and arenas come and go */
static kmem_mutex_t *const list_locks[] = {
	&kmem_firewall_lock, &kmem_init_lock, &kmem_align_lock,
	&kmem_list_lock,     &vmem_list_lock, &vmem_populate_lock,
	&kmem_wait_lock,     &kmem_rmap_lock,
};
#define NLIST_LOCKS (sizeof(list_locks) / sizeof(*list_locks))

/** Visits the locks of every cache, arena and log until a visit says 0. */
static int visit_members(visit_fn *visit, void *arg)
{
	kmem_log_header_t *logs[] = {kmem_transaction_log, kmem_content_log,
				     kmem_failure_log, kmem_slab_log,
				     kmem_zerosized_log};

	for (kmem_cache_t *cp = kmem_null_cache.cache_next;
	     cp != &kmem_null_cache; cp = cp->cache_next)
		if (!visit_cache(cp, visit, arg))
			return 0;
	for (vmem_t *vmp = vmem_list; vmp; vmp = vmp->vm_next)
		if (!visit(&vmp->vm_lock, arg))
			return 0;
	if (!visit(&vmem_segfree_lock, arg))
		return 0;
	for (size_t i = 0; i < sizeof(logs) / sizeof(*logs); i++)
		if (!visit_log(logs[i], visit, arg))
			return 0;
	if (!visit(&kmem_mismatch_lock, arg))
		return 0;
	/* the hook of a panic runs with that one held by its own thread */
	return kmem_is_reporting() || visit(&kmem_report_lock, arg);
}

/* the progress of taking, and of undoing an attempt that failed */
struct attempt {
	hrtime_t deadline; /* 0: none */
	size_t ntaken;
	size_t nleft;
};

/** Takes a lock, until a time that is not 0.  Who holds one to spin on wakes
 * nobody when it is left, so it is looked at again and again. */
static int enter_until(kmem_mutex_t *m, hrtime_t deadline)
{
	hrtime_t now = kmem_now();

	while (deadline == 0 || now < deadline) {
		hrtime_t next = now + LOOK_NS;

		if (deadline && next > deadline)
			next = deadline;
		if (kmem_mutex_enter_until(m, next))
			return 1;
		now = kmem_now();
	}
	return 0;
}

static int visit_enter(kmem_mutex_t *m, void *arg)
{
	struct attempt *a = arg;

	if (!enter_until(m, a->deadline))
		return 0;
	a->ntaken++;
	return 1;
}

static int visit_break(kmem_mutex_t *m, void *arg)
{
	struct attempt *a = arg;

	if (a->nleft == 0)
		return 0;
	a->nleft--;
	kmem_mutex_break(m);
	return 1;
}

/** Frees the first nmembers members' locks, then the list locks: as long as
 * those are held the members stay the same. */
static void break_locks(size_t nlists, size_t nmembers)
{
	struct attempt a = {.nleft = nmembers};

	(void)visit_members(visit_break, &a);
	while (nlists > 0)
		kmem_mutex_break(list_locks[--nlists]);
}

int kmem_lock_all(int try_ms)
{
	struct attempt a = {0, 0, 0};
	size_t nlists = 0;

	if (KM_PEEK(kmem_all_holder) == kmem_self()) {
		depth++;
		return 0;
	}
	if (try_ms >= 0)
		a.deadline = kmem_now() + (hrtime_t)try_ms * 1000000 + 1;
	/* struck in the middle of a transaction of its own: no heap at rest.
	 * One that found damage is over. */
	if (a.deadline && kmem_gate_is_inside() && !kmem_is_reporting())
		return -1;
	if (kmem_gate_close(a.deadline) != 0)
		return -1;
	while (nlists < NLIST_LOCKS && visit_enter(list_locks[nlists], &a))
		nlists++;
	a.ntaken = 0;
	if (nlists < NLIST_LOCKS || !visit_members(visit_enter, &a)) {
		break_locks(nlists, a.ntaken);
		kmem_gate_open();
		return -1;
	}
	depth = 1;
	KM_POKE(kmem_all_holder, kmem_self());
	return 0;
}

void kmem_unlock_all(void)
{
	if (KM_PEEK(kmem_all_holder) != kmem_self() || --depth > 0)
		return;
	KM_POKE(kmem_all_holder, NULL);
	break_locks(NLIST_LOCKS, SIZE_MAX);
	kmem_gate_open();
}

size_t kmem_meta_ranges(struct snap_range *ranges, size_t max)
{
	vmem_t *arenas[] = {vmem_metadata_arena, kmem_metadata_arena,
			    kmem_log_arena, kmem_pages_arena};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(arenas) / sizeof(*arenas); i++) {
		vmem_seg_t *seg0, *span;

		if (!arenas[i])
			continue;
		seg0 = &arenas[i]->vm_seg0;
		for (span = seg0->vs_knext; span != seg0 && n < max;
		     span = span->vs_knext) {
			ranges[n].start = span->vs_start;
			ranges[n++].end = span->vs_end;
		}
	}
	return n;
}

static void before_fork(void)
{
	if (!__libc_single_threaded)
		(void)kmem_lock_all(-1); /* without a limit it succeeds */
	kmem_logfile_before_fork();
}

static void after_fork_parent(void)
{
	kmem_logfile_forked_parent();
	kmem_unlock_all();
}

static void after_fork_child(void)
{
	kmem_tid_reset();
	kmem_gate_reset();
	kmem_update_reset();
	kmem_memory_reset();
	kmem_thread_forked();
	kmem_logfile_forked_child();
	kmem_unlock_all();
}

__attribute__((constructor)) static void register_fork(void)
{
	/* its lists are those of the other library, which takes their locks */
	if (kmem_snap_is_beside())
		return;
	(void)pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}
