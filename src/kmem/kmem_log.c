/* SPDX-License-Identifier: MIT */
/*
 * Logs: rings of records, written by each CPU into a chunk of its own.
 *
 *   lh_free: ring of chunk numbers    head -> [ 5 | 2 | 7 | ... ] <- tail
 *   CPU:     clh_current -> next record in its chunk, clh_avail bytes left
 *
 * A CPU whose chunk is full returns it at the tail and takes the one at the
 * head, the chunk that was full longest ago: the oldest records go first, by
 * whole chunks.  A chunk is not cleared, so its end holds older records until
 * they are overwritten; a reader sorts by time.  When a chunk was returned is
 * kept beside the ring: what is written over is older, so the log holds each
 * record since lh_lost, and of those before it some.
 *
 * To take a lock for each record, and to find out which CPU it is, is half of
 * what a record costs.  So the chunks of the transaction log are cut into runs
 * of some records, and a thread that writes a record takes all the CPU has left
 * of a run.  What follows are plain stores, by the thread alone:
 *
 *   chunk    | run | run | run |         | run |         | run |
 *               ^     ^           ^         ^
 *           thread's  thread's    CPU's     a thread's, of the last time round:
 *                                           the CPU will pass by
 *
 * A run stays the thread's until it wants another one, if that is never: when
 * its chunk comes to be used again the run is left out.  At most a quarter of
 * all runs are held; a thread that gets none writes records one by one.  When
 * the log is kept in a file there are no runs, since the memory of a chunk is
 * then exchanged.
 *
 * Invariants
 *   L1  Every chunk number is either some CPU's or in the ring between head and
 *       tail, so the ring never runs empty.
 *   L2  Nobody but a thread writes to a run that is marked as held, until that
 *       thread takes the mark away, after its last record.
 *   L3  A run's last records may be later than when its chunk was returned, so
 *       a run that was given up rests until its chunk is returned again.
 *   L4  A place in a run is had by one instruction (xadd), since a signal
 *       handler may come between.  A handler writes to the run there is, and
 *       takes no other: one that was given up could be used by a CPU before
 *       the interrupted record is written.
 *
 * Locks: clh_lock, then lh_lock; both are innermost in the whole library.
 */
#include "kmem_logfile.h"

#include <string.h>

#define CHUNKS_PER_CPU 4
#define RUNS_A_CHUNK   4 /* at least */
#define RUN_MAX        ((size_t)2048)
#define RECORD         sizeof(kmem_bufctl_audit_t)

/* what lh_held says of a run that is not free */
enum {
	HELD = 1,
	RESTS
};

int kmem_logging; /* written by the one reporting thread only */
kmem_log_header_t *kmem_transaction_log;
kmem_log_header_t *kmem_content_log;
kmem_log_header_t *kmem_failure_log;
kmem_log_header_t *kmem_slab_log;
kmem_log_header_t *kmem_zerosized_log;
vmem_t *kmem_log_arena;

/** When each chunk was last returned; behind the ring. */
static hrtime_t *returned(const kmem_log_header_t *lhp)
{
	return (hrtime_t *)(void *)(lhp->lh_free + lhp->lh_nchunks);
}

kmem_log_header_t *kmem_log_init(size_t bytes)
{
	int32_t nchunks = (int32_t)kmem_max_ncpus * CHUNKS_PER_CPU;
	size_t header = sizeof(kmem_log_header_t) +
			kmem_max_ncpus * sizeof(kmem_cpu_log_header_t);
	kmem_log_header_t *lhp;

	if (bytes == 0)
		return NULL;
	lhp = vmem_xalloc(kmem_log_arena, header, 64, 0, 0, NULL, NULL,
			  VM_SLEEP);
	memset(lhp, 0, header);
	lhp->lh_chunksize =
		(bytes / (size_t)nchunks + KMEM_PAGE - 1) & -KMEM_PAGE;
	if (lhp->lh_chunksize < KMEM_PAGE)
		lhp->lh_chunksize = KMEM_PAGE;
	lhp->lh_nchunks = nchunks;
	bytes = lhp->lh_chunksize * (size_t)nchunks;
	lhp->lh_base = vmem_xalloc(kmem_log_arena, bytes, KMEM_PAGE, 0, 0, NULL,
				   NULL, VM_SLEEP);
	bytes = (size_t)nchunks * (sizeof(*lhp->lh_free) + sizeof(hrtime_t));
	lhp->lh_free = vmem_alloc(kmem_log_arena, bytes, VM_SLEEP);
	memset(lhp->lh_free, 0, bytes);
	bytes = lhp->lh_chunksize * (size_t)nchunks;
	if (kmem_sys_zero(lhp->lh_base, bytes) != 0)
		memset(lhp->lh_base, 0, bytes);
	for (int32_t i = 0; i < nchunks; i++)
		lhp->lh_free[i] = i;
	for (uint32_t i = 0; i < kmem_max_ncpus; i++) {
		/* the CPU's own first chunk; its first record replaces it */
		lhp->lh_cpu[i].clh_chunk = lhp->lh_free[i];
		lhp->lh_free[i] = -1;
	}
	lhp->lh_head = (int32_t)kmem_max_ncpus;
	return lhp;
}

void kmem_log_use_runs(kmem_log_header_t *lhp)
{
	size_t bytes = RUN_MAX;
	uint32_t nruns;

	while (bytes * RUNS_A_CHUNK > lhp->lh_chunksize)
		bytes /= 2;
	nruns = (uint32_t)(lhp->lh_chunksize / bytes) *
		(uint32_t)lhp->lh_nchunks;
	lhp->lh_held = vmem_alloc(kmem_log_arena, nruns, VM_SLEEP);
	memset(lhp->lh_held, 0, nruns);
	lhp->lh_nruns = nruns;
	lhp->lh_runsize = bytes;
	for (uint32_t i = 0; i < kmem_max_ncpus; i++)
		lhp->lh_cpu[i].clh_current =
			lhp->lh_base +
			(size_t)lhp->lh_cpu[i].clh_chunk * lhp->lh_chunksize;
}

/** The number of the run an address is in. */
static uint32_t run_of(const kmem_log_header_t *lhp, const char *at)
{
	return (uint32_t)((size_t)(at - lhp->lh_base) / lhp->lh_runsize);
}

/** Gives a CPU the first run at or behind an address in its chunk that is
 * nobody's; 0: there is none. */
static int use_run(kmem_log_header_t *lhp, kmem_cpu_log_header_t *clhp,
		   char *at)
{
	char *end = lhp->lh_base +
		    (size_t)(clhp->clh_chunk + 1) * lhp->lh_chunksize;

	for (; at < end; at += lhp->lh_runsize)
		if (!__atomic_load_n(&lhp->lh_held[run_of(lhp, at)],
				     __ATOMIC_ACQUIRE)) { /* L2 */
			clhp->clh_current = at;
			clhp->clh_avail = lhp->lh_runsize;
			return 1;
		}
	return 0;
}

/** Ends the rest of a chunk's runs that are nobody's; (L3). */
static void wake_runs(kmem_log_header_t *lhp, int32_t chunk)
{
	size_t n = lhp->lh_runsize ? lhp->lh_chunksize / lhp->lh_runsize : 0;
	uint8_t *held = lhp->lh_held + (size_t)chunk * n;

	for (size_t i = 0; i < n; i++)
		if (__atomic_load_n(&held[i], __ATOMIC_ACQUIRE) == RESTS)
			__atomic_store_n(&held[i], 0, __ATOMIC_RELAXED);
}

/** Gives a CPU another chunk; lh_lock is held. */
static void exchange(kmem_log_header_t *lhp, kmem_cpu_log_header_t *clhp)
{
	hrtime_t lost;

	lhp->lh_hits++;
	wake_runs(lhp, clhp->clh_chunk);
	returned(lhp)[clhp->clh_chunk] = kmem_now();
	lhp->lh_free[lhp->lh_tail] = clhp->clh_chunk;
	lhp->lh_tail = (lhp->lh_tail + 1) % lhp->lh_nchunks;
	clhp->clh_chunk = lhp->lh_free[lhp->lh_head];
	lhp->lh_head = (lhp->lh_head + 1) % lhp->lh_nchunks;
	clhp->clh_current =
		lhp->lh_base + (size_t)clhp->clh_chunk * lhp->lh_chunksize;
	clhp->clh_avail = lhp->lh_chunksize;
	lost = returned(lhp)[clhp->clh_chunk];
	if (lost > lhp->lh_lost)
		lhp->lh_lost = lost;
}

int kmem_log_exchange(kmem_log_header_t *lhp, kmem_cpu_log_header_t *clhp,
		      size_t bytes)
{
	int is_there = 1;

	if (lhp->lh_runsize &&
	    use_run(lhp, clhp, clhp->clh_current + clhp->clh_avail))
		return 1;
	kmem_mutex_enter(&lhp->lh_lock);
	if (KM_UNLIKELY(kmem_logfile_is(lhp)) &&
	    kmem_logfile_resume(lhp, clhp, bytes))
		goto out;
	do /* some run is free: no more than a quarter are held */
		exchange(lhp, clhp);
	while (lhp->lh_runsize && !use_run(lhp, clhp, clhp->clh_current));
	if (KM_UNLIKELY(kmem_logfile_is(lhp)))
		is_there = kmem_logfile_chunk(clhp);
out:
	kmem_mutex_exit(&lhp->lh_lock);
	return is_there;
}

/** Gives up a thread's run; 0: it had none. */
static int run_end(kmem_log_header_t *lhp, kmem_thread_t *th)
{
	uint32_t run = th->th_log_run;

	th->th_log_end = NULL; /* no handler uses it from now on */
	KMEM_BARRIER();
	if (run)
		__atomic_store_n(&lhp->lh_held[run - 1], RESTS,
				 __ATOMIC_RELEASE); /* L2 */
	th->th_log_run = 0;
	return run != 0;
}

/** Gives a thread what is left of a CPU's run; clhp is locked. */
static void run_begin(kmem_log_header_t *lhp, kmem_cpu_log_header_t *clhp,
		      kmem_thread_t *th)
{
	char *end = clhp->clh_current + clhp->clh_avail;

	th->th_log_run = 1 + run_of(lhp, end - 1);
	__atomic_store_n(&lhp->lh_held[th->th_log_run - 1], HELD,
			 __ATOMIC_RELAXED);
	th->th_log = clhp->clh_current;
	KMEM_BARRIER();
	th->th_log_end = end;
	clhp->clh_hits += clhp->clh_avail / RECORD;
	clhp->clh_current = end;
	clhp->clh_avail = 0;
}

/** May a thread that has no run have one?  Then it is counted. */
static int may_begin(kmem_log_header_t *lhp)
{
	uint32_t max = lhp->lh_nruns / 4;

	if (KM_PEEK(lhp->lh_nheld) >= max)
		return 0;
	if (__atomic_fetch_add(&lhp->lh_nheld, 1, __ATOMIC_RELAXED) < max)
		return 1;
	__atomic_fetch_sub(&lhp->lh_nheld, 1, __ATOMIC_RELAXED);
	return 0;
}

kmem_bufctl_audit_t *kmem_log_run(kmem_thread_t *th,
				  kmem_cpu_log_header_t **ret_clhp)
{
	kmem_log_header_t *lhp = kmem_transaction_log;
	int is_outer =
		lhp && lhp->lh_runsize && kmem_gate_self.gs_depth == 1; /* L4 */
	int had_one = is_outer && run_end(lhp, th);
	kmem_bufctl_audit_t *record;
	kmem_cpu_log_header_t *clhp;

	record = kmem_log_reserve(lhp, RECORD, &clhp);
	*ret_clhp = record ? clhp : NULL;
	if (record && is_outer && (had_one || may_begin(lhp)))
		run_begin(lhp, clhp, th);
	else if (had_one)
		__atomic_fetch_sub(&lhp->lh_nheld, 1, __ATOMIC_RELAXED);
	return record;
}

void *kmem_log_enter(kmem_log_header_t *lhp, const void *data, size_t bytes)
{
	kmem_cpu_log_header_t *clhp;
	void *record;

	if (lhp && bytes > lhp->lh_chunksize)
		bytes = lhp->lh_chunksize;
	/* the chunk size is a multiple of a page */
	record = kmem_log_reserve(lhp, (bytes + 7) & ~(size_t)7, &clhp);
	if (!record)
		return NULL;
	memcpy(record, data, bytes);
	kmem_spin_exit(&clhp->clh_lock);
	return record;
}
